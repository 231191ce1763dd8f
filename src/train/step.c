/* train/step.c - graphs over batches. */
#include "train/train.h"

#include <string.h>

const char *nc_default_loss(const nc_roles *roles, const char *given)
{
    return given ? given : roles->classes ? "cross_entropy" : "mse";
}

const char *const *nc_default_metrics(const nc_roles *roles, const char *const *given)
{
    static const char *const classes[] = {"accuracy", NULL}, *const values[] = {"rmse", NULL};
    return given ? given : roles->classes ? classes : values;
}

int nc_list_length(const char *const *names)
{
    int count = 0;
    while (names && names[count]) count++;
    return count;
}

nacre_status nc_find_roles(nacre_context *context, const nacre_loader *loader, nc_roles *roles)
{
    *roles = (nc_roles){.target = -1};
    for (int i = 0; i < nacre_loader_field_count(loader); i++) {
        const nacre_field *field = nacre_loader_field(loader, i);
        if (field->role == NACRE_ROLE_IMAGE || field->role == NACRE_ROLE_FEATURES) {
            roles->inputs[roles->input_count++] = i;
        } else if (field->role == NACRE_ROLE_LABEL || field->role == NACRE_ROLE_TARGET) {
            roles->target = i;
            roles->classes = field->role == NACRE_ROLE_LABEL && field->dtype == NACRE_I64;
        }
    }
    if (roles->input_count > 0) return NACRE_OK;
    return nacre_fail(context, NACRE_ERROR_ARGUMENT, "\"%s\" has neither images nor features to feed a model with",
                      nacre_dataset_name(nacre_loader_dataset(loader)));
}

/* A loss over zero targets, for data without any, would be a silent lie. */
static nacre_tensor *loss_of(nacre_context *context, nc_step_graph *step, const nc_step_options *options)
{
    if (!step->target) {
        nacre_fail(context, NACRE_ERROR_ARGUMENT, "the data has no labels or targets to train or evaluate with");
        return NULL;
    }
    if (step->shares && strcmp(options->loss, "cross_entropy") != 0) {
        nacre_fail(context, NACRE_ERROR_ARGUMENT, "mixed batches need the loss cross_entropy, not %s", options->loss);
        return NULL;
    }
    return nacre_loss(options->loss, step->outputs, step->shares ? step->shares : step->target,
                      options->label_smoothing);
}

void nc_step_inputs(nc_step_graph *step, const nc_step_options *options)
{
    nacre_graph *graph = step->graph;
    step->update.learning_rate = nacre_input(graph, "learning_rate", NACRE_F32, NACRE_SCALAR);
    step->update.step = nacre_input(graph, "step", NACRE_I64, NACRE_SCALAR);
    step->update.momentum = options->cycle_momentum ? nacre_input(graph, "momentum", NACRE_F32, NACRE_SCALAR) : NULL;
    step->mix = options->average ? nacre_input(graph, "mix", NACRE_F32, NACRE_SCALAR) : NULL;
}

static nacre_status build(nc_step_graph *step, nacre_context *context, const nc_step_options *options,
                          const nc_roles *roles, const nacre_batch *batch)
{
    nacre_graph *graph = step->graph;
    for (int i = 0; i < roles->input_count; i++) {
        const nacre_batch_field *field = &batch->fields[roles->inputs[i]];
        step->inputs[i] = nacre_input(graph, field->name, field->dtype, field->shape);
    }
    step->target = NULL;
    if (roles->target >= 0) {
        const nacre_batch_field *field = &batch->fields[roles->target];
        step->target = nacre_input(graph, field->name, field->dtype, field->shape);
    }
    step->shares = NULL;
    if (batch->shares)
        step->shares = nacre_input(graph, "shares", NACRE_F32, NACRE_SHAPE(batch->count, batch->classes));
    nacre_scope scope = nacre_root(graph, options->model, options->training);
    step->outputs = options->build(options->user, scope, step->inputs, roles->input_count);
    nacre_graph_set_path(graph, "loss");
    step->loss = loss_of(context, step, options);
    nacre_output(step->outputs);
    nacre_output(step->loss);
    if (options->recompute) nacre_graph_recompute(graph, NACRE_RECOMPUTE_AUTO);
    if (!options->forward && options->optimizer) {
        nc_step_inputs(step, options);
        nacre_minimise(step->loss, options->model, options->optimizer, &step->update);
        if (step->mix) nacre_average_model(graph, options->model, step->mix);
    } else if (!options->forward) {
        /* The mean over classes is one over all positions of a sequence, the other losses' over samples alike. */
        step->weight = (double)(roles->classes ? nacre_tensor_count(step->target) : batch->count);
        nacre_tensor *weight = nacre_full(graph, NACRE_F32, NACRE_SCALAR, step->weight);
        nacre_tensor *sum = nacre_mul(step->loss, weight);
        if (options->scaler) sum = nacre_scale_loss(sum, options->model, options->scaler);
        nacre_accumulate_gradients(sum, options->model);
    }
    step->seed = nacre_seed(graph, false);
    nacre_graph_set_precision(graph, options->precision);
    return nacre_check(context);
}

nacre_status nc_step_prepare(nc_step_graph *step, nacre_context *context, const nc_step_options *options,
                             const nc_roles *roles, const nacre_batch *batch)
{
    if (step->count == batch->count) return NACRE_OK;
    if (!step->graph) step->graph = nacre_graph_create(context);
    nacre_graph_reset(step->graph);
    step->count = 0;
    nacre_status status = step->graph ? build(step, context, options, roles, batch) : nacre_check(context);
    if (status == NACRE_OK) step->count = batch->count;
    return status;
}

void nc_step_feed(nc_step_graph *step, const nc_roles *roles, const nacre_batch *batch)
{
    for (int i = 0; i < roles->input_count; i++) nacre_feed(step->inputs[i], batch->fields[roles->inputs[i]].data);
    if (step->target) nacre_feed(step->target, batch->fields[roles->target].data);
    if (step->shares) nacre_feed(step->shares, batch->shares);
}

void nc_step_release(nc_step_graph *step)
{
    nacre_graph_destroy(step->graph);
    memset(step, 0, sizeof *step);
}

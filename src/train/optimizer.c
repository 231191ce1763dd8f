/* train/optimizer.c - gradients to weights: one fused update for each group of parameters. */
#include "train/optimizer.h"

#include <stdio.h>
#include <string.h>

enum { MAX_MOMENTS = 3 };

/* ---- kinds ---- */

typedef struct family {
    const char *name;
    nacre_update_function *update;
    const char *moments[MAX_MOMENTS];
} family;

static const family FAMILIES[NACRE_OPTIMIZER_KINDS] = {
    [NACRE_OPTIMIZER_SGD] = {"sgd", nacre_sgd_update, {"momentum_buffer"}},
    [NACRE_OPTIMIZER_ADAM] = {"adam", nacre_adam_update, {"exp_avg", "exp_avg_sq"}},
    [NACRE_OPTIMIZER_ADAMW] = {"adamw", nacre_adamw_update, {"exp_avg", "exp_avg_sq"}},
    [NACRE_OPTIMIZER_NADAM] = {"nadam", nacre_nadam_update, {"exp_avg", "exp_avg_sq"}},
    [NACRE_OPTIMIZER_RADAM] = {"radam", nacre_radam_update, {"exp_avg", "exp_avg_sq"}},
    [NACRE_OPTIMIZER_ADAMAX] = {"adamax", nacre_adamax_update, {"exp_avg", "exp_inf"}},
    [NACRE_OPTIMIZER_ADAGRAD] = {"adagrad", nacre_adagrad_update, {"sum"}},
    [NACRE_OPTIMIZER_ADADELTA] = {"adadelta", nacre_adadelta_update, {"square_avg", "acc_delta"}},
    [NACRE_OPTIMIZER_RMSPROP] = {"rmsprop", nacre_rmsprop_update, {"square_avg"}},
    [NACRE_OPTIMIZER_LARS] = {"lars", nacre_lars_update, {"momentum_buffer"}},
    [NACRE_OPTIMIZER_LARC] = {"larc", nacre_larc_update, {"momentum_buffer"}},
    [NACRE_OPTIMIZER_LAMB] = {"lamb", nacre_lamb_update, {"exp_avg", "exp_avg_sq"}},
    [NACRE_OPTIMIZER_LION] = {"lion", nacre_lion_update, {"exp_avg"}},
    [NACRE_OPTIMIZER_MUON] = {"muon", nacre_adamw_update, {"exp_avg", "exp_avg_sq"}}, /* of vectors */
};

const char *nacre_optimizer_name(nacre_optimizer_kind kind)
{
    return (int)kind >= 0 && kind < NACRE_OPTIMIZER_KINDS ? FAMILIES[kind].name : NULL;
}

bool nacre_optimizer_find(const char *name, nacre_optimizer_kind *kind)
{
    for (int i = 0; i < NACRE_OPTIMIZER_KINDS; i++)
        if (!strcmp(FAMILIES[i].name, name)) {
            *kind = (nacre_optimizer_kind)i;
            return true;
        }
    return false;
}

/* What moves a parameter, with the names of its moments, which options may take away or add. */
static family family_of(const nacre_optimizer *optimizer, const nc_parameter *parameter)
{
    family f = FAMILIES[optimizer->kind];
    bool orthogonal = optimizer->kind == NACRE_OPTIMIZER_MUON && !parameter->vector;
    if (orthogonal) f.update = nacre_sgd_update;
    if (orthogonal || (optimizer->kind == NACRE_OPTIMIZER_SGD && optimizer->momentum == 0))
        memset(f.moments, 0, sizeof f.moments);
    if (optimizer->amsgrad && f.update != nacre_sgd_update && f.moments[1]) f.moments[2] = "max_exp_avg_sq";
    if (optimizer->kind == NACRE_OPTIMIZER_RMSPROP && optimizer->centered) f.moments[1] = "grad_avg";
    if (optimizer->kind == NACRE_OPTIMIZER_RMSPROP && optimizer->momentum != 0)
        f.moments[1 + optimizer->centered] = "momentum_buffer";
    return f;
}

bool nacre_optimizer_has_momentum(const nacre_optimizer *optimizer)
{
    switch (optimizer->kind) {
    case NACRE_OPTIMIZER_SGD:
    case NACRE_OPTIMIZER_RMSPROP:
    case NACRE_OPTIMIZER_LARS:
    case NACRE_OPTIMIZER_LARC: return optimizer->momentum != 0;
    case NACRE_OPTIMIZER_ADAGRAD:
    case NACRE_OPTIMIZER_ADADELTA: return false;
    default: return true;
    }
}

/* ---- parameters ---- */

static nc_parameter describe(const nacre_optimizer *optimizer, const nacre_parameter_group *group,
                             const nacre_entry *entry, int slot)
{
    bool vector = entry->shape.rank < 2;
    nc_parameter parameter = {.slot = slot, .rate = 1, .vector = vector, .weight_decay = optimizer->weight_decay};
    if (vector && optimizer->spare_vectors) parameter.weight_decay = 0;
    if (group && group->rate != 0) parameter.rate = group->rate;
    if (group && group->has_weight_decay) parameter.weight_decay = group->weight_decay;
    return parameter;
}

static void release(nc_parameters *all)
{
    nacre_release(nacre_graph_context(all->graph), all->items);
}

/* Collects the parameters that are not frozen. */
static bool collect(nc_parameters *all, nacre_graph *graph, nacre_model *model, const nacre_optimizer *optimizer,
                    const nacre_step_inputs *inputs)
{
    nacre_context *context = nacre_graph_context(graph);
    nacre_entry entry;
    *all = (nc_parameters){.graph = graph, .model = model, .optimizer = optimizer, .inputs = inputs};
    all->items = nacre_allocate(context, sizeof *all->items * (size_t)(nacre_model_count(model) + 1));
    for (int slot = 0; all->items && nacre_model_entry(model, slot, &entry); slot++) {
        const nacre_parameter_group *group = nc_group_of(optimizer, entry.path);
        if (entry.role != NACRE_ENTRY_PARAMETER || (group && group->frozen)) continue;
        all->items[all->count] = describe(optimizer, group, &entry, slot);
        all->items[all->count++].weight = nacre_model_tensor(graph, model, slot);
    }
    return nacre_check(context) == NACRE_OK;
}

nacre_tensor *nc_state_tensor(const nc_parameters *all, const char *prefix, const nc_parameter *parameter, bool copy)
{
    char name[NACRE_PATH_SIZE + 64];
    nacre_entry entry;
    nacre_model_entry(all->model, parameter->slot, &entry);
    snprintf(name, sizeof name, "%s.%s", prefix, entry.path);
    int slot = nacre_model_find(all->model, name);
    if (slot < 0) {
        slot = nacre_model_add(all->model, NACRE_ENTRY_STATE, name, entry.dtype, entry.shape);
        void *values = copy ? nacre_model_write(all->model, slot) : NULL;
        nacre_model_entry(all->model, parameter->slot, &entry); /* again: it may have moved */
        if (values) memcpy(values, entry.data, entry.bytes);
    }
    return nacre_model_tensor(all->graph, all->model, slot);
}

static bool differentiate(nc_parameters *all, nacre_tensor *loss)
{
    nacre_context *context = nacre_graph_context(all->graph);
    nacre_tensor **tensors = nacre_allocate(context, 2 * sizeof *tensors * (size_t)(all->count + 1));
    if (!tensors) return false;
    nacre_tensor **gradients = tensors + all->count;
    for (int i = 0; i < all->count; i++) tensors[i] = all->items[i].weight;
    bool done = nacre_gradients(loss, tensors, all->count, gradients) == NACRE_OK;
    for (int i = 0; done && i < all->count; i++) all->items[i].gradient = gradients[i];
    nacre_release(context, tensors);
    return done;
}

/* ---- updates ---- */

static nacre_update_options options_of(const nacre_optimizer *optimizer, const nc_parameter *parameter)
{
    bool orthogonal = optimizer->kind == NACRE_OPTIMIZER_MUON;
    return (nacre_update_options){.momentum = orthogonal ? 0 : optimizer->momentum,
                                  .dampening = optimizer->dampening,
                                  .nesterov = optimizer->nesterov,
                                  .beta1 = optimizer->beta1,
                                  .beta2 = optimizer->beta2,
                                  .eps = optimizer->eps,
                                  .weight_decay = parameter->weight_decay,
                                  .amsgrad = optimizer->amsgrad,
                                  .momentum_decay = optimizer->momentum_decay,
                                  .rate_decay = optimizer->rate_decay,
                                  .initial = optimizer->initial,
                                  .rho = optimizer->rho,
                                  .centered = optimizer->centered,
                                  .trust = optimizer->trust,
                                  .plain = parameter->vector && optimizer->kind != NACRE_OPTIMIZER_LARC};
}

static bool alike(const nc_parameters *all, const nc_parameter *a, const nc_parameter *b)
{
    nacre_optimizer_kind kind = all->optimizer->kind;
    bool by_shape = kind == NACRE_OPTIMIZER_LARS || kind == NACRE_OPTIMIZER_LAMB || kind == NACRE_OPTIMIZER_MUON;
    return a->rate == b->rate && a->weight_decay == b->weight_decay && (!by_shape || a->vector == b->vector);
}

/* One node for the parameter and all that are alike. `tensors` has room for weight, gradient and moments of each. */
static void update_alike(nc_parameters *all, int first, nacre_tensor *scale, nacre_tensor **tensors)
{
    const nc_parameter *like = &all->items[first];
    const family f = family_of(all->optimizer, like);
    nacre_tensor **gradients = tensors + all->count, **state = gradients + all->count;
    nacre_update_options options = options_of(all->optimizer, like);
    nacre_update_operands operands = {.weights = tensors,
                                      .gradients = gradients,
                                      .state = state,
                                      .learning_rate = all->inputs->learning_rate,
                                      .step = all->inputs->step,
                                      .momentum = all->inputs->momentum,
                                      .scale = scale};
    int moments = 0;
    for (int i = first; i < all->count; i++) {
        nc_parameter *p = &all->items[i];
        if (p->done || !alike(all, like, p)) continue;
        p->done = true;
        tensors[operands.count] = p->weight;
        gradients[operands.count++] = p->gradient;
        for (int k = 0; k < MAX_MOMENTS && f.moments[k]; k++) {
            char prefix[48];
            snprintf(prefix, sizeof prefix, "optimizer.%s", f.moments[k]);
            state[moments++] = nc_state_tensor(all, prefix, p, false);
        }
    }
    if (like->rate != 1) {
        nacre_dtype dtype = nacre_tensor_dtype(operands.learning_rate);
        nacre_tensor *factor = nacre_full(all->graph, dtype, NACRE_SCALAR, like->rate);
        operands.learning_rate = nacre_mul(operands.learning_rate, factor);
    }
    f.update(&operands, &options);
}

static void update(nc_parameters *all, nacre_tensor *scale)
{
    nacre_context *context = nacre_graph_context(all->graph);
    size_t room = (size_t)(all->count + 1) * (2 + MAX_MOMENTS);
    nacre_tensor **tensors = nacre_allocate(context, sizeof *tensors * room);
    if (all->optimizer->kind == NACRE_OPTIMIZER_MUON) nc_orthogonalise(all, scale);
    for (int i = 0; tensors && i < all->count; i++)
        if (!all->items[i].done) update_alike(all, i, scale, tensors);
    nacre_release(context, tensors);
    if (all->optimizer->max_norm > 0) nc_limit_norms(all);
    if (all->optimizer->lookahead > 0) nc_look_back(all, scale);
}

/* 0, which makes the update change nothing, where the loss or the scale is not finite. */
static nacre_tensor *guard(nacre_tensor *loss, nacre_tensor *scale)
{
    nacre_graph *graph = nacre_tensor_graph(loss);
    nacre_dtype dtype = nacre_tensor_dtype(loss);
    nacre_tensor *zero = nacre_full(graph, dtype, NACRE_SCALAR, 0), *finite = nacre_isfinite(loss);
    if (!scale) return nacre_where(finite, nacre_full(graph, dtype, NACRE_SCALAR, 1), zero);
    finite = nacre_logical_and(finite, nacre_isfinite(scale));
    return nacre_where(finite, scale, zero);
}

/* Scaling taken back, clipping, the update and what follows it. `loss` NULL: it was looked at before. */
static void move(nc_parameters *all, nacre_step_inputs *inputs, nacre_tensor *loss)
{
    const bool scaled = all->optimizer->scaler != NULL;
    nc_scaling scaling = {0};
    if (scaled) scaling = nc_scaler_begin(all, inputs);
    nacre_tensor *scale = nc_prepare_gradients(all, inputs->scale);
    if (loss)
        scale = guard(loss, scale);
    else if (!scale)
        scale = nacre_full(all->graph, NACRE_F32, NACRE_SCALAR, 1);
    if (scaled) scale = nc_scaler_guard(&scaling, scale);
    update(all, scale);
    if (scaled) nc_scaler_end(all, &scaling);
}

nacre_status nacre_minimise(nacre_tensor *loss, nacre_model *model, const nacre_optimizer *optimizer,
                            const nacre_step_inputs *inputs)
{
    nacre_graph *graph = nacre_tensor_graph(loss);
    nc_parameters all;
    if (!loss || !model || !optimizer || !inputs) return NACRE_ERROR_ARGUMENT;
    nacre_step_inputs own = *inputs;
    nacre_tensor *minimised = optimizer->scaler ? nacre_scale_loss(loss, model, optimizer->scaler) : loss;
    if (collect(&all, graph, model, optimizer, &own) && differentiate(&all, minimised)) {
        nacre_graph_set_path(graph, "optimizer");
        move(&all, &own, loss);
    }
    release(&all);
    return nacre_check(nacre_graph_context(graph));
}

nacre_status nacre_accumulate_gradients(nacre_tensor *loss, nacre_model *model)
{
    static const nacre_optimizer none = {0};
    nacre_graph *graph = nacre_tensor_graph(loss);
    nc_parameters all;
    if (!loss || !model) return NACRE_ERROR_ARGUMENT;
    if (collect(&all, graph, model, &none, NULL) && differentiate(&all, loss)) {
        nacre_graph_set_path(graph, "optimizer");
        for (int i = 0; i < all.count; i++) {
            nacre_tensor *sum = nc_state_tensor(&all, "gradient", &all.items[i], false);
            nacre_assign(sum, nacre_add(sum, all.items[i].gradient));
        }
    }
    release(&all);
    return nacre_check(nacre_graph_context(graph));
}

/* 0 whatever it was. Not by a constant of its shape, which would take as much memory. */
static void clear(nacre_tensor *sum)
{
    nacre_graph *graph = nacre_tensor_graph(sum);
    nacre_tensor *keep = nacre_full(graph, NACRE_BOOL, NACRE_SCALAR, 0);
    nacre_tensor *zero = nacre_full(graph, nacre_tensor_dtype(sum), NACRE_SCALAR, 0);
    nacre_assign(sum, nacre_where(keep, sum, zero));
}

nacre_status nacre_apply_gradients(nacre_graph *graph, nacre_model *model, const nacre_optimizer *optimizer,
                                   const nacre_step_inputs *inputs)
{
    nc_parameters all;
    if (!graph || !model || !optimizer || !inputs || !inputs->scale) return NACRE_ERROR_ARGUMENT;
    nacre_step_inputs own = *inputs;
    if (collect(&all, graph, model, optimizer, &own)) {
        nacre_graph_set_path(graph, "optimizer");
        for (int i = 0; i < all.count; i++)
            all.items[i].gradient = nc_state_tensor(&all, "gradient", &all.items[i], false);
        move(&all, &own, NULL);
        for (int i = 0; i < all.count; i++) clear(nc_state_tensor(&all, "gradient", &all.items[i], false));
    }
    release(&all);
    return nacre_check(nacre_graph_context(graph));
}

nacre_status nacre_average_model(nacre_graph *graph, nacre_model *model, nacre_tensor *mix)
{
    static const nacre_optimizer none = {0};
    nacre_context *context = nacre_graph_context(graph);
    nc_parameters all;
    if (!graph || !model || !mix) return NACRE_ERROR_ARGUMENT;
    nacre_tensor **pairs = nacre_allocate(context, 2 * sizeof *pairs * (size_t)(nacre_model_count(model) + 1));
    if (collect(&all, graph, model, &none, NULL) && pairs) {
        nacre_graph_set_path(graph, "average");
        for (int i = 0; i < all.count; i++) {
            pairs[2 * i] = all.items[i].weight;
            pairs[2 * i + 1] = nc_state_tensor(&all, "average", &all.items[i], true);
        }
        nacre_average_weights(mix, pairs, all.count, false);
    }
    nacre_release(context, pairs);
    release(&all);
    return nacre_check(context);
}

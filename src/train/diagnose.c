/* train/diagnose.c - where the first number that is not finite comes from. */
#include "train/train.h"

#include <nacre/backend.h>

#include <math.h>
#include <stdio.h>
#include <string.h>

static bool all_finite(nacre_dtype dtype, const void *data, int64_t count)
{
    bool finite = true;
    for (int64_t i = 0; i < count && finite; i++) finite = isfinite(nacre_dtype_load(dtype, data, i));
    return finite;
}

/* ---- weights ---- */

nacre_status nc_check_weights(nacre_model *model, const char *where)
{
    nacre_entry entry;
    for (int slot = 0; nacre_model_entry(model, slot, &entry); slot++)
        if (entry.role != NACRE_ENTRY_STATE && nacre_dtype_is_float(entry.dtype) &&
            !all_finite(entry.dtype, entry.data, nacre_shape_count(entry.shape)))
            return nacre_fail(nacre_model_context(model), NACRE_ERROR_NUMERIC,
                              "the weights are no longer finite (%s): first in \"%s\"; try a lower learning rate, "
                              "warm-up or clip_norm",
                              where, entry.path);
    return NACRE_OK;
}

/* ---- steps ---- */

/* The loss of a label that is no class is not a number. */
static nacre_status check_labels(nacre_context *context, const nc_step_graph *step, const nc_roles *roles,
                                 const nacre_batch *batch)
{
    const nacre_batch_field *labels = roles->classes ? &batch->fields[roles->target] : NULL;
    int64_t classes = nacre_tensor_dim(step->outputs, 1), count = labels ? nacre_shape_count(labels->shape) : 0;
    for (int64_t i = 0; i < count; i++) {
        int64_t label = ((const int64_t *)labels->data)[i];
        if (label < 0 || label >= classes)
            return nacre_fail(context, NACRE_ERROR_ARGUMENT,
                              "sample %lld has label %lld, the model's outputs are for labels 0 to %lld",
                              (long long)batch->indices[i / (count / batch->count)], (long long)label,
                              (long long)classes - 1);
    }
    return NACRE_OK;
}

/* Infinities in constants are meant. */
static nacre_tensor *computed_at(const nacre_graph *graph, int index, const nacre_node_view *node)
{
    nacre_tensor *tensor = nacre_graph_node_output(graph, index, 0);
    bool constant = !strcmp(node->op->name, "constant") || !strcmp(node->op->name, "full");
    return tensor && !constant && nacre_dtype_is_float(nacre_tensor_dtype(tensor)) ? tensor : NULL;
}

static bool is_finite(nacre_context *context, nacre_tensor *tensor)
{
    int64_t count = nacre_tensor_count(tensor);
    nacre_dtype dtype = nacre_tensor_dtype(tensor);
    size_t bytes = (size_t)count * nacre_dtype_size(dtype);
    void *data = nacre_allocate(context, bytes);
    bool finite = !data || nacre_read(tensor, data, bytes) != NACRE_OK || all_finite(dtype, data, count);
    nacre_release(context, data);
    return finite;
}

/* Runs with every intermediate result kept: slow and large, but it happens rarely. Returns the node's index; -1: all
 * are finite. */
static int find_node(nacre_context *context, const nc_step_graph *step, nacre_node_view *node)
{
    nacre_tensor *tensor;
    for (int i = 0; nacre_graph_node(step->graph, i, node); i++) nacre_output(computed_at(step->graph, i, node));
    if (nacre_run(step->graph)) return -1;
    for (int i = 0; nacre_graph_node(step->graph, i, node); i++)
        if ((tensor = computed_at(step->graph, i, node)) && !is_finite(context, tensor)) return i;
    return -1;
}

/* ---- overflow ---- */

/* Back from the scaled loss to every parameter, without changing any. Returns where the gradient's nodes begin. */
static int append_gradients(nc_step_graph *step, nacre_model *model, double scale)
{
    nacre_context *context = nacre_graph_context(step->graph);
    nacre_entry entry;
    int count = 0;
    nacre_tensor *factor = nacre_full(step->graph, NACRE_F32, NACRE_SCALAR, scale);
    nacre_tensor *scaled = nacre_mul(step->loss, factor);
    nacre_tensor **tensors = nacre_allocate(context, 2 * sizeof *tensors * (size_t)(nacre_model_count(model) + 1));
    for (int slot = 0; tensors && nacre_model_entry(model, slot, &entry); slot++)
        if (entry.role == NACRE_ENTRY_PARAMETER) tensors[count++] = nacre_model_tensor(step->graph, model, slot);
    const int first = nacre_graph_node_count(step->graph);
    if (tensors && count) nacre_gradients(scaled, tensors, count, tensors + count);
    nacre_release(context, tensors);
    return first;
}

nacre_status nc_find_overflow(nacre_context *context, const nc_step_options *options, const nc_roles *roles,
                              const nacre_batch *batch, uint64_t seed, double scale, char culprit[NC_CULPRIT_SIZE])
{
    nc_step_options forward = *options;
    nc_step_graph step = {0};
    nacre_node_view node;
    forward.forward = true;
    forward.recompute = false;
    *culprit = 0;
    if (nc_step_prepare(&step, context, &forward, roles, batch) == NACRE_OK) {
        const int first_back = append_gradients(&step, options->model, scale);
        nc_step_feed(&step, roles, batch);
        if (step.seed) nacre_feed_scalar(step.seed, (double)seed);
        const int index = find_node(context, &step, &node);
        if (index >= 0)
            snprintf(culprit, NC_CULPRIT_SIZE, "%s \"%s\"%s", node.op->name, *node.name ? node.name : node.path,
                     index >= first_back ? " of the gradient" : "");
    }
    nc_step_release(&step);
    return nacre_check(context);
}

/* ---- the loss ---- */

nacre_status nc_diagnose(nacre_context *context, const nc_step_options *options, const nc_roles *roles,
                         const nacre_batch *batch, uint64_t seed, const char *where)
{
    nc_step_options forward = *options;
    nc_step_graph step = {0};
    nacre_node_view node;
    forward.forward = true;
    if (nc_step_prepare(&step, context, &forward, roles, batch) == NACRE_OK &&
        check_labels(context, &step, roles, batch) == NACRE_OK) {
        nc_step_feed(&step, roles, batch);
        if (step.seed) nacre_feed_scalar(step.seed, (double)seed);
        const char *advice = options->training ? "; try a lower learning rate, warm-up or clip_norm" : "";
        const bool found = find_node(context, &step, &node) >= 0;
        if (found && !strcmp(node.op->name, "embedding")) /* its rows were finite, or they would have come first */
            advice = "; an index lies outside its rows: is the vocabulary large enough?";
        if (found)
            nacre_fail(context, NACRE_ERROR_NUMERIC, "the loss is not finite (%s): first in %s \"%s\"%s", where,
                       node.op->name, *node.name ? node.name : node.path, advice);
        else
            nacre_fail(context, NACRE_ERROR_NUMERIC, "the loss is not finite (%s)%s", where, advice);
    }
    nc_step_release(&step);
    return nacre_check(context);
}

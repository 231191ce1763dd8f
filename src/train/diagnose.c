/* train/diagnose.c - where the first number that is not finite comes from. */
#include "train/train.h"

#include <nacre/backend.h>

#include <math.h>

static bool is_finite(nacre_context *context, nacre_tensor *tensor)
{
    int64_t count = nacre_tensor_count(tensor);
    nacre_dtype dtype = nacre_tensor_dtype(tensor);
    size_t bytes = (size_t)count * nacre_dtype_size(dtype);
    void *data = nacre_allocate(context, bytes);
    bool finite = true;
    if (data && nacre_read(tensor, data, bytes) == NACRE_OK)
        for (int64_t i = 0; i < count && finite; i++) finite = isfinite(nacre_dtype_load(dtype, data, i));
    nacre_release(context, data);
    return finite;
}

static bool wanted(const nacre_graph *graph, int index, nacre_tensor **tensor)
{
    *tensor = nacre_graph_node_output(graph, index, 0);
    return *tensor && nacre_dtype_is_float(nacre_tensor_dtype(*tensor));
}

/* Forward only, every intermediate result kept: slow and large, but it happens once. */
nacre_status nc_diagnose(nacre_context *context, const nc_step_options *options, const nc_roles *roles,
                         const nacre_batch *batch, uint64_t seed, const char *where)
{
    nc_step_options forward = *options;
    nc_step_graph step = {0};
    nacre_node_view node;
    nacre_tensor *tensor;
    const char *operation = NULL, *path = NULL;
    forward.training = false;
    if (nc_step_prepare(&step, context, &forward, roles, batch) == NACRE_OK) {
        nc_step_feed(&step, roles, batch);
        if (step.seed) nacre_feed_scalar(step.seed, (double)seed);
        for (int i = 0; nacre_graph_node(step.graph, i, &node); i++)
            if (wanted(step.graph, i, &tensor)) nacre_output(tensor);
        if (nacre_run(step.graph) == NACRE_OK)
            for (int i = 0; !operation && nacre_graph_node(step.graph, i, &node); i++)
                if (wanted(step.graph, i, &tensor) && !is_finite(context, tensor)) {
                    operation = node.op->name;
                    path = node.path;
                }
    }
    if (nacre_check(context) == NACRE_OK)
        nacre_fail(context, NACRE_ERROR_NUMERIC,
                   operation ? "the loss is not finite (%s): first in %s \"%s\"; try a lower learning rate, warm-up or "
                               "clip_norm"
                             : "the loss is not finite (%s)%s%s",
                   where, operation ? operation : "", path ? path : "");
    nc_step_release(&step);
    return nacre_check(context);
}

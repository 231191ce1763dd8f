/* ops/fused.c - a chain of element-wise operations as one node. Made by the fuse pass. */
#include "ops/op.h"

static nacre_status shape(nacre_shape_call *call)
{
    return nacre_shape_fail(call, NACRE_ERROR_STATE, "is made by the planner only");
}

/* One element through the whole chain, each step by its operation's own reference kernel on a scalar. */
static void run_element(const nacre_call *call, const int64_t *index)
{
    const nacre_chain *chain = call->chain;
    const nacre_view *y = &call->outputs[0];
    double results[NACRE_CHAIN_MAX_STEPS];
    for (int k = 0; k < chain->count; k++) {
        const nacre_chain_step *step = &chain->steps[k];
        nacre_view sources[NACRE_CHAIN_MAX_SOURCES], result = {.data = &results[k], .dtype = step->dtype};
        for (int i = 0; i < step->source_count; i++) {
            int source = step->sources[i];
            if (source < 0) {
                sources[i] = (nacre_view){.data = &results[-1 - source], .dtype = chain->steps[-1 - source].dtype};
            } else {
                const nacre_view *x = &call->inputs[source];
                int64_t offset = nc_broadcast_offset(x, index, y->shape.rank) * (int64_t)nacre_dtype_size(x->dtype);
                sources[i] = (nacre_view){.data = (char *)x->data + offset, .dtype = x->dtype};
            }
        }
        step->op->reference(&(nacre_call){.op = step->op,
                                          .attributes = step->attributes,
                                          .inputs = sources,
                                          .input_count = step->source_count,
                                          .outputs = &result,
                                          .output_count = 1});
    }
    int last = chain->count - 1;
    nc_set(y, nc_offset(y, index), nacre_dtype_load(chain->steps[last].dtype, &results[last], 0));
}

static void reference(const nacre_call *call)
{
    int64_t index[NACRE_MAX_RANK] = {0};
    if (nc_count(&call->outputs[0]) == 0) return;
    do run_element(call, index);
    while (nc_next(&call->outputs[0].shape, index));
}

const nacre_op nc_op_fused = {
    .name = "fused",
    .doc = "A chain of element-wise operations computed element by element (fast kernels: tile by tile in the first-"
           "level cache), so that intermediate results never reach memory.",
    .inputs = "x*",
    .outputs = "y",
    .flags = NACRE_OP_ELEMENTWISE,
    .shape = shape,
    .reference = reference,
};

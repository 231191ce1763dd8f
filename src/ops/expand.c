/* ops/expand.c - repeats a tensor along the axes where it has size 1. */
#include "ops/op.h"

static nacre_status shape(nacre_shape_call *call)
{
    nacre_shape from = nacre_tensor_shape(call->inputs[0]), to = {.rank = (int)call->attributes[0]};
    for (int i = 0; i < to.rank; i++) to.dims[i] = call->attributes[1 + i];
    nacre_shape wide = to;
    if (!nc_broadcast(&wide, &from) || !nacre_shape_equal(wide, to)) {
        char a[NACRE_SHAPE_TEXT_SIZE], b[NACRE_SHAPE_TEXT_SIZE];
        return nacre_shape_fail(call, NACRE_ERROR_SHAPE, "%s does not broadcast to %s", nacre_shape_text(from, a),
                                nacre_shape_text(to, b));
    }
    call->shapes[0] = to;
    call->dtypes[0] = nacre_tensor_dtype(call->inputs[0]);
    return NACRE_OK;
}

static void gradient(nacre_gradient_call *call)
{
    call->input_grads[0] = nc_sum_to(call->output_grads[0], call->inputs[0]);
}

static void reference(const nacre_call *call)
{
    const nacre_view *x = &call->inputs[0], *y = &call->outputs[0];
    int64_t index[NACRE_MAX_RANK] = {0};
    if (nc_count(y) == 0) return;
    do nc_set(y, nc_offset(y, index), nc_get(x, nc_broadcast_offset(x, index, y->shape.rank)));
    while (nc_next(&y->shape, index));
}

static const char *const CASES[] = {"x=3x1 shape=2,3,4", "x=scalar shape=5", "x=1x4 shape=3,4", NULL};

const nacre_op nc_op_expand = {
    .name = "expand",
    .doc = "Repeats x along the axes where it has size 1 (or that it lacks at the left) to fill `shape`.",
    .onnx = "Expand",
    .inputs = "x",
    .outputs = "y",
    .attributes = {{"shape", NACRE_ATTRIBUTE_INTS, .limit = NACRE_MAX_RANK, .doc = "result dimensions"}},
    .shape = shape,
    .gradient = gradient,
    .reference = reference,
    .cases = CASES,
};

nacre_tensor *nacre_expand(nacre_tensor *x, nacre_shape to)
{
    int64_t words[1 + NACRE_MAX_RANK];
    nc_put_ints(words, to.dims, to.rank, NACRE_MAX_RANK);
    return nc_apply1(&nc_op_expand, x, words);
}

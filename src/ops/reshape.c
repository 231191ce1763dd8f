/* ops/reshape.c - the same memory under another shape. */
#include "ops/op.h"

enum { SHAPE = 0 }; /* count, dims */

static nacre_status shape(nacre_shape_call *call)
{
    nacre_shape from = nacre_tensor_shape(call->inputs[0]), to = {.rank = (int)call->attributes[SHAPE]};
    char a[NACRE_SHAPE_TEXT_SIZE], b[NACRE_SHAPE_TEXT_SIZE];
    int unknown = -1;
    int64_t known = 1, count = nacre_shape_count(from);
    for (int i = 0; i < to.rank; i++) {
        to.dims[i] = call->attributes[SHAPE + 1 + i];
        if (to.dims[i] == -1 && unknown < 0)
            unknown = i;
        else if (to.dims[i] < 0 || __builtin_mul_overflow(known, to.dims[i], &known))
            known = -1;
    }
    if (unknown >= 0 && known > 0 && count % known == 0) to.dims[unknown] = count / known;
    if (known < 0 || nacre_shape_count(to) != count)
        return nacre_shape_fail(call, NACRE_ERROR_SHAPE, "%s has %lld elements and does not fit %s",
                                nacre_shape_text(from, a), (long long)count, nacre_shape_text(to, b));
    for (int i = 0; i < to.rank; i++) call->attributes[SHAPE + 1 + i] = to.dims[i];
    call->shapes[0] = to;
    call->dtypes[0] = nacre_tensor_dtype(call->inputs[0]);
    return NACRE_OK;
}

static void gradient(nacre_gradient_call *call)
{
    call->input_grads[0] = nacre_reshape(call->output_grads[0], nacre_tensor_shape(call->inputs[0]));
}

/* Only a harness runs this: a plan gives both tensors the same memory. */
static void reference(const nacre_call *call)
{
    const nacre_view *x = &call->inputs[0], *y = &call->outputs[0];
    for (int64_t i = 0; i < nc_count(y); i++) nc_set(y, i, nc_get(x, i));
}

static const char *const CASES[] = {"x=2x3x4 shape=6,4", "x=2x3x4 shape=2,-1", "x=24 shape=2,3,4", "x=1 shape=1,1",
                                    NULL};

const nacre_op nc_op_reshape = {
    .name = "reshape",
    .doc = "The same elements in the same order under another shape; one dimension may be -1 and is worked out.",
    .onnx = "Reshape",
    .inputs = "x",
    .outputs = "y",
    .attributes = {{"shape", NACRE_ATTRIBUTE_INTS, .limit = NACRE_MAX_RANK, .doc = "new dimensions"}},
    .flags = NACRE_OP_ALIAS,
    .shape = shape,
    .gradient = gradient,
    .reference = reference,
    .cases = CASES,
};

nacre_tensor *nacre_reshape(nacre_tensor *x, nacre_shape to)
{
    int64_t words[1 + NACRE_MAX_RANK];
    nc_put_ints(words, to.dims, to.rank, NACRE_MAX_RANK);
    return nc_apply1(&nc_op_reshape, x, words);
}

nacre_tensor *nacre_squeeze(nacre_tensor *x, int axis)
{
    nacre_shape from = nacre_tensor_shape(x), to = {0};
    if (axis < 0) axis += from.rank;
    for (int i = 0; i < from.rank; i++)
        if (i != axis || from.dims[i] != 1) to.dims[to.rank++] = from.dims[i];
    return nacre_reshape(x, to);
}

nacre_tensor *nacre_unsqueeze(nacre_tensor *x, int axis)
{
    nacre_shape from = nacre_tensor_shape(x), to = {.rank = from.rank + 1};
    if (axis < 0) axis += to.rank;
    if (!x) return NULL;
    if (axis < 0 || axis >= to.rank || to.rank > NACRE_MAX_RANK) {
        nacre_fail(nacre_graph_context(nacre_tensor_graph(x)), NACRE_ERROR_SHAPE,
                   "unsqueeze: axis %d of a tensor of rank %d", axis, to.rank);
        return NULL;
    }
    for (int i = 0; i < to.rank; i++) to.dims[i] = i < axis ? from.dims[i] : i == axis ? 1 : from.dims[i - 1];
    return nacre_reshape(x, to);
}

nacre_tensor *nacre_flatten(nacre_tensor *x, int first_axis)
{
    nacre_shape from = nacre_tensor_shape(x), to = {.rank = first_axis + 1};
    if (!x || first_axis < 0 || first_axis >= from.rank) return x;
    for (int i = 0; i < first_axis; i++) to.dims[i] = from.dims[i];
    to.dims[first_axis] = 1;
    for (int i = first_axis; i < from.rank; i++) to.dims[first_axis] *= from.dims[i];
    return nacre_reshape(x, to);
}

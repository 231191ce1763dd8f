/* ops/transpose.c - axes in another order. */
#include "ops/op.h"

enum { ORDER = 0, WORDS = 1 + NACRE_MAX_RANK }; /* count, axes */

static nacre_status shape(nacre_shape_call *call)
{
    nacre_shape from = nacre_tensor_shape(call->inputs[0]);
    int64_t *count = call->attributes + ORDER, *order = count + 1;
    bool reversed = *count == 0;
    if (reversed) *count = from.rank;
    for (int i = 0; reversed && i < from.rank; i++) order[i] = from.rank - 1 - i;
    if (*count != from.rank)
        return nacre_shape_fail(call, NACRE_ERROR_SHAPE, "%lld axes are named of a tensor of rank %d",
                                (long long)*count, from.rank);
    nacre_status status = nc_normalise_axes(call, count, from.rank);
    if (status) return status;
    call->shapes[0].rank = from.rank;
    for (int i = 0; i < from.rank; i++) call->shapes[0].dims[i] = from.dims[order[i]];
    call->dtypes[0] = nacre_tensor_dtype(call->inputs[0]);
    return NACRE_OK;
}

static void gradient(nacre_gradient_call *call)
{
    int64_t inverse[NACRE_MAX_RANK];
    for (int i = 0; i < call->attributes[ORDER]; i++) inverse[call->attributes[ORDER + 1 + i]] = i;
    call->input_grads[0] = nacre_transpose(call->output_grads[0], inverse);
}

static void reference(const nacre_call *call)
{
    nacre_view turned = call->inputs[0];
    for (int i = 0; i < turned.shape.rank; i++) {
        turned.shape.dims[i] = call->inputs[0].shape.dims[call->attributes[ORDER + 1 + i]];
        turned.strides[i] = call->inputs[0].strides[call->attributes[ORDER + 1 + i]];
    }
    nc_copy_view(&turned, &call->outputs[0]);
}

static const char *const CASES[] = {"x=2x3x4 order=2,0,1",
                                    "x=5x7",
                                    "x=2x3x4x5 order=0,2,-1,1",
                                    "x=33x17 order=1,0",
                                    "x=2x3:i64@-9..9",
                                    "x=9",
                                    "x=2x1x3x1x4 order=4,3,2,1,0",
                                    "x=scalar",
                                    "x=0x3x2",
                                    NULL};

const nacre_op nc_op_transpose = {
    .name = "transpose",
    .doc = "Axis i of the result is axis order[i] of x; without an order all axes are reversed.",
    .onnx = "Transpose",
    .inputs = "x",
    .outputs = "y",
    .attributes = {{"order", NACRE_ATTRIBUTE_INTS, .limit = NACRE_MAX_RANK, .doc = "a permutation of the axes"}},
    .shape = shape,
    .gradient = gradient,
    .reference = reference,
    .cases = CASES,
};

nacre_tensor *nacre_transpose(nacre_tensor *x, const int64_t *order)
{
    int64_t words[WORDS];
    nc_put_ints(words, order, order ? nacre_tensor_rank(x) : 0, NACRE_MAX_RANK);
    return nc_apply1(&nc_op_transpose, x, words);
}

nacre_tensor *nacre_swap_axes(nacre_tensor *x, int a, int b)
{
    int rank = nacre_tensor_rank(x);
    int64_t order[NACRE_MAX_RANK];
    if (a < 0) a += rank;
    if (b < 0) b += rank;
    for (int i = 0; i < rank; i++) order[i] = i == a ? b : i == b ? a : i;
    return nacre_transpose(x, order);
}

/* ops/flip.c - axes in the opposite direction, and what is built of slices: roll, split, tile, repeat. */
#include "ops/op.h"

enum { AXES = 0, WORDS = 1 + NACRE_MAX_RANK }; /* count, axes */

static nacre_status shape(nacre_shape_call *call)
{
    nc_shape_same(call);
    return nc_normalise_axes(call, call->attributes + AXES, call->shapes[0].rank);
}

static void gradient(nacre_gradient_call *call)
{
    call->input_grads[0] = nc_apply1(&nc_op_flip, call->output_grads[0], call->attributes);
}

static void reference(const nacre_call *call)
{
    nacre_view x = call->inputs[0];
    for (int i = 1; i <= call->attributes[AXES]; i++) {
        int axis = (int)call->attributes[AXES + i];
        x = nc_section(x, axis, x.shape.dims[axis] - 1, -1, x.shape.dims[axis]);
    }
    nc_copy_view(&x, &call->outputs[0]);
}

static const char *const CASES[] = {
    "x=2x3x4 axes=0,2", "x=7 axes=-1", "x=2x3x4x5 axes=3", "x=2x3", "x=3x1:i32@-9..9 axes=0,1", "x=0x3 axes=0", NULL};

const nacre_op nc_op_flip = {
    .name = "flip",
    .doc = "The order of the positions along the axes is reversed.",
    .inputs = "x",
    .outputs = "y",
    .attributes = {{"axes", NACRE_ATTRIBUTE_INTS, .limit = NACRE_MAX_RANK, .doc = "which"}},
    .shape = shape,
    .gradient = gradient,
    .reference = reference,
    .cases = CASES,
};

nacre_tensor *nacre_flip(nacre_tensor *x, const int64_t *axes, int count)
{
    int64_t words[WORDS];
    nc_put_ints(words, axes, count, NACRE_MAX_RANK);
    return nc_apply1(&nc_op_flip, x, words);
}

nacre_tensor *nacre_roll(nacre_tensor *x, int axis, int64_t shift)
{
    int64_t dim = nacre_tensor_dim(x, axis);
    shift = dim > 0 ? (shift % dim + dim) % dim : 0;
    if (shift == 0) return x;
    nacre_tensor *parts[] = {nacre_slice(x, axis, dim - shift, dim, 1), nacre_slice(x, axis, 0, dim - shift, 1)};
    return nacre_concat(parts, 2, axis);
}

nacre_status nacre_split(nacre_tensor *x, int axis, const int64_t *sizes, int count, nacre_tensor **parts)
{
    nacre_context *context = nacre_graph_context(nacre_tensor_graph(x));
    int64_t dim = nacre_tensor_dim(x, axis), total = 0;
    for (int i = 0; i < count; i++) {
        parts[i] = NULL;
        total += sizes ? sizes[i] : dim / count;
    }
    if (!x || count < 1) return NACRE_ERROR_ARGUMENT;
    if (total != dim)
        return nacre_fail(context, NACRE_ERROR_SHAPE, "split: an axis of size %lld, but %d parts of together %lld",
                          (long long)dim, count, (long long)total);
    for (int64_t i = 0, start = 0, size; i < count; i++, start += size) {
        size = sizes ? sizes[i] : dim / count;
        parts[i] = nacre_slice(x, axis, start, start + size, 1);
    }
    return nacre_check(context);
}

/* x [before, dim, after] -> [before, copies, dim, after] or [before, dim, copies, after] -> the shape of x with
 * copies dim. */
static nacre_tensor *multiply_axis(nacre_tensor *x, int axis, int64_t copies, bool each)
{
    nacre_shape to = nacre_tensor_shape(x);
    int64_t before = 1, after = 1;
    if (!x) return NULL;
    if (axis < 0) axis += to.rank;
    if (axis < 0 || axis >= to.rank || copies < 0) {
        nacre_fail(nacre_graph_context(nacre_tensor_graph(x)), NACRE_ERROR_SHAPE,
                   "repeat: axis %d of a tensor of rank %d, %lld times", axis, to.rank, (long long)copies);
        return NULL;
    }
    for (int i = 0; i < axis; i++) before *= to.dims[i];
    for (int i = axis + 1; i < to.rank; i++) after *= to.dims[i];
    nacre_shape single = NACRE_SHAPE(before, 1, to.dims[axis], after), many = single;
    if (each) single = NACRE_SHAPE(before, to.dims[axis], 1, after), many = single;
    many.dims[each ? 2 : 1] = copies;
    to.dims[axis] *= copies;
    return nacre_reshape(nacre_expand(nacre_reshape(x, single), many), to);
}

nacre_tensor *nacre_tile(nacre_tensor *x, int axis, int64_t copies)
{
    return multiply_axis(x, axis, copies, false);
}

nacre_tensor *nacre_repeat(nacre_tensor *x, int axis, int64_t copies)
{
    return multiply_axis(x, axis, copies, true);
}

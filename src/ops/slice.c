/* ops/slice.c - evenly spaced positions along axes, and its gradient, which puts them back among zeros. */
#include "ops/op.h"

#include <string.h>

/* Lists of one length: count and values each. */
enum { LIST = 1 + NACRE_MAX_RANK, AXES = 0, START = LIST, STOP = 2 * LIST, STEP = 3 * LIST, WORDS = 4 * LIST };
#define SCHEMA                                                                                                         \
    {"axes", NACRE_ATTRIBUTE_INTS, .limit = NACRE_MAX_RANK, .doc = "axes to cut; none: the first ones"},               \
        {"start", NACRE_ATTRIBUTE_INTS, .limit = NACRE_MAX_RANK, .doc = "first position, for each axis"},              \
        {"stop", NACRE_ATTRIBUTE_INTS, .limit = NACRE_MAX_RANK, .doc = "where to stop before"},                        \
    {                                                                                                                  \
        "step", NACRE_ATTRIBUTE_INTS, .limit = NACRE_MAX_RANK, .doc = "distance, may be negative; none: 1"             \
    }

static int64_t within(int64_t position, int64_t dim, int64_t low, int64_t high)
{
    if (position < 0) position += dim;
    return position < low ? low : position > high ? high : position;
}

/* How many positions of an axis of size `dim` are taken, and the first one. */
static int64_t range(int64_t dim, int64_t start, int64_t stop, int64_t step, int64_t *first)
{
    if (step > 0) {
        *first = within(start, dim, 0, dim);
        stop = within(stop, dim, 0, dim);
        return stop > *first ? (stop - *first - 1) / step + 1 : 0;
    }
    *first = within(start, dim, -1, dim - 1);
    stop = within(stop, dim, -1, dim - 1);
    return *first > stop ? (*first - stop - 1) / -step + 1 : 0;
}

nacre_view nc_slice_section(nacre_view view, const int64_t *attributes)
{
    for (int i = 1; i <= attributes[AXES]; i++) {
        int axis = (int)attributes[AXES + i];
        int64_t first, step = attributes[STEP + i];
        int64_t count = range(view.shape.dims[axis], attributes[START + i], attributes[STOP + i], step, &first);
        view = nc_section(view, axis, first, step, count);
    }
    return view;
}

nacre_tensor *nc_slice_source(const nacre_tensor *part, int64_t start, int64_t count)
{
    nacre_node_view node;
    if (!nacre_graph_node(nacre_tensor_graph(part), nacre_tensor_node(part, NULL), &node) || node.op != &nc_op_slice)
        return NULL;
    const int64_t *words = node.attributes, last = nacre_tensor_rank(node.inputs[0]) - 1;
    if (words[AXES] != 1 || words[AXES + 1] != last || words[STEP + 1] != 1) return NULL;
    int64_t first, found = range(nacre_tensor_dim(node.inputs[0], -1), words[START + 1], words[STOP + 1], 1, &first);
    return first == start && found == count ? node.inputs[0] : NULL;
}

/* Completes the lists for cuts of a tensor of this shape. */
static nacre_status complete(nacre_shape_call *call, const nacre_shape *whole)
{
    int64_t *words = call->attributes, count = words[START];
    bool no_axes = words[AXES] == 0, no_steps = words[STEP] == 0;
    if (no_axes) words[AXES] = count;
    if (no_steps) words[STEP] = count;
    for (int i = 0; i < count; i++) {
        if (no_axes) words[AXES + 1 + i] = i;
        if (no_steps) words[STEP + 1 + i] = 1;
    }
    if (words[AXES] != count || words[STOP] != count || words[STEP] != count)
        return nacre_shape_fail(call, NACRE_ERROR_ARGUMENT, "%lld axes, %lld starts, %lld stops and %lld steps",
                                (long long)words[AXES], (long long)count, (long long)words[STOP],
                                (long long)words[STEP]);
    for (int i = 1; i <= count; i++)
        if (words[STEP + i] == 0 || words[STEP + i] < -INT64_MAX)
            return nacre_shape_fail(call, NACRE_ERROR_ARGUMENT, "a step must not be %lld", (long long)words[STEP + i]);
    return nc_normalise_axes(call, words + AXES, whole->rank);
}

static nacre_status shape(nacre_shape_call *call)
{
    nacre_view whole = {.shape = nacre_tensor_shape(call->inputs[0])};
    nacre_status status = complete(call, &whole.shape);
    if (status) return status;
    call->shapes[0] = nc_slice_section(whole, call->attributes).shape;
    call->dtypes[0] = nacre_tensor_dtype(call->inputs[0]);
    return NACRE_OK;
}

static void reference(const nacre_call *call)
{
    nacre_view part = nc_slice_section(call->inputs[0], call->attributes);
    nc_copy_view(&part, &call->outputs[0]);
}

static void gradient(nacre_gradient_call *call)
{
    nacre_shape whole = nacre_tensor_shape(call->inputs[0]);
    int64_t words[WORDS + LIST];
    memcpy(words, call->attributes, sizeof(int64_t) * WORDS);
    nc_put_ints(words + WORDS, whole.dims, whole.rank, NACRE_MAX_RANK);
    call->input_grads[0] = nc_apply1(&nc_op_slice_backward, call->output_grads[0], words);
}

/* ---- slice_backward ---- */

static nacre_status backward_shape(nacre_shape_call *call)
{
    nacre_view whole = {.shape.rank = (int)call->attributes[WORDS]};
    for (int i = 0; i < whole.shape.rank; i++) whole.shape.dims[i] = call->attributes[WORDS + 1 + i];
    if (nacre_shape_count(whole.shape) < 0)
        return nacre_shape_fail(call, NACRE_ERROR_ARGUMENT, "no tensor has such a shape");
    nacre_status status = complete(call, &whole.shape);
    if (status) return status;
    if (!nacre_shape_equal(nc_slice_section(whole, call->attributes).shape, nacre_tensor_shape(call->inputs[0])))
        return nacre_shape_fail(call, NACRE_ERROR_SHAPE, "dy has not the shape of the slice");
    call->shapes[0] = whole.shape;
    call->dtypes[0] = nacre_tensor_dtype(call->inputs[0]);
    return NACRE_OK;
}

static void backward_reference(const nacre_call *call)
{
    nacre_view part = nc_slice_section(call->outputs[0], call->attributes);
    nc_fill_view(&call->outputs[0], 0);
    nc_copy_view(&call->inputs[0], &part);
}

static void backward_gradient(nacre_gradient_call *call)
{
    call->input_grads[0] = nc_apply1(&nc_op_slice, call->output_grads[0], call->attributes);
}

/* ---- sums of gradients ---- */

/* A gradient that is zero but for positions [start, stop) of one axis, where it is dy; else dy is NULL. */
typedef struct stretch {
    nacre_tensor *dy;
    int64_t axis, start, stop;
} stretch;

static stretch stretch_of(nacre_tensor *gradient)
{
    nacre_node_view node;
    const int index = nacre_tensor_node(gradient, NULL);
    if (!nacre_graph_node(nacre_tensor_graph(gradient), index, &node) || node.op != &nc_op_slice_backward ||
        node.attributes[AXES] != 1 || node.attributes[STEP + 1] != 1)
        return (stretch){0};
    stretch s = {.dy = node.inputs[0], .axis = node.attributes[AXES + 1]};
    const int64_t dim = nacre_tensor_dim(gradient, (int)s.axis);
    s.stop = range(dim, node.attributes[START + 1], node.attributes[STOP + 1], 1, &s.start) + s.start;
    return s;
}

/* Appends x, or what it was itself concatenated from, so that many parts in a row are copied once. */
static int append_parts(nacre_tensor *x, int64_t axis, nacre_tensor **parts, int count, int limit)
{
    nacre_node_view node;
    nacre_graph_node(nacre_tensor_graph(x), nacre_tensor_node(x, NULL), &node);
    if (node.op != &nc_op_concat || node.attributes[0] != axis || count + node.input_count > limit) {
        parts[count] = x;
        return count + 1;
    }
    memcpy(parts + count, node.inputs, sizeof *parts * (size_t)node.input_count);
    return count + node.input_count;
}

nacre_tensor *nc_join_slices(nacre_tensor *a, nacre_tensor *b)
{
    stretch first = stretch_of(a), second = stretch_of(b);
    if (!first.dy || !second.dy || first.axis != second.axis) return NULL;
    if (first.start > second.start) {
        const stretch later = first;
        first = second;
        second = later;
    }
    if (first.stop != second.start) return NULL;
    const int axis = (int)first.axis;
    enum { MOST_PARTS = 64 };
    nacre_tensor *parts[MOST_PARTS];
    int count = append_parts(first.dy, axis, parts, 0, MOST_PARTS - 1);
    count = append_parts(second.dy, axis, parts, count, MOST_PARTS);
    nacre_tensor *joined = nacre_concat(parts, count, axis);
    nacre_shape whole = nacre_tensor_shape(a);
    if (second.stop - first.start == whole.dims[axis]) return joined;
    int64_t words[WORDS + LIST] = {0};
    words[AXES] = words[START] = words[STOP] = words[STEP] = words[STEP + 1] = 1;
    words[AXES + 1] = axis;
    words[START + 1] = first.start;
    words[STOP + 1] = second.stop;
    nc_put_ints(words + WORDS, whole.dims, whole.rank, NACRE_MAX_RANK);
    return nc_apply1(&nc_op_slice_backward, joined, words);
}

/* ---- descriptors ---- */

static const char *const CASES[] = {"x=7 start=2 stop=5",
                                    "x=4x5x6 axes=-1 start=-4 stop=-1",
                                    "x=4x5x6 axes=2,0 start=1,0 stop=9,4 step=2,3",
                                    "x=9 start=-1 stop=-100 step=-1",
                                    "x=3x8 axes=1 start=6 stop=1 step=-2",
                                    "x=3x4 start=2 stop=1",
                                    "x=2x5x7x6 axes=2,3,1 start=0,1,3 stop=9,9,0 step=2,3,-1",
                                    "x=3x4:i64@-9..9 axes=1 start=1 stop=3",
                                    "x=scalar",
                                    "x=0x3 axes=1 start=1 stop=3",
                                    NULL};
static const char *const BACKWARD_CASES[] = {"dy=3 start=2 stop=5 step=1 axes=0 shape=7",
                                             "dy=2x5x3 axes=2,0 start=1,0 stop=9,4 step=2,3 shape=4,5,6",
                                             "dy=3x3 axes=1 start=6 stop=1 step=-2 shape=3,8",
                                             "dy=2x3x4x2 axes=2,3,1 start=0,1,3 stop=9,9,0 step=2,3,-1 shape=2,5,7,6",
                                             "dy=0x4 axes=0 start=2 stop=1 step=1 shape=3,4",
                                             NULL};

const nacre_op nc_op_slice = {
    .name = "slice",
    .doc = "The positions start, start + step, ... before stop along each of the axes, others whole. Negative starts "
           "and stops count from the end and are then clipped to the tensor, as in Python; with a negative step "
           "the order is reversed.",
    .onnx = "Slice",
    .inputs = "x",
    .outputs = "y",
    .attributes = {SCHEMA},
    .layouts = "d>d",
    .shape = shape,
    .gradient = gradient,
    .reference = reference,
    .cases = CASES,
};

const nacre_op nc_op_slice_backward = {
    .name = "slice_backward",
    .doc = "Zeros of `shape` with dy at the positions that slice takes.",
    .inputs = "dy",
    .outputs = "dx",
    .attributes = {SCHEMA, {"shape", NACRE_ATTRIBUTE_INTS, .limit = NACRE_MAX_RANK, .doc = "of what was sliced"}},
    .layouts = "d>d",
    .shape = backward_shape,
    .gradient = backward_gradient,
    .reference = backward_reference,
    .cases = BACKWARD_CASES,
};

nacre_tensor *nacre_slice(nacre_tensor *x, int axis, int64_t start, int64_t stop, int64_t step)
{
    int64_t words[WORDS] = {0};
    words[AXES] = words[START] = words[STOP] = words[STEP] = 1;
    words[AXES + 1] = axis;
    words[START + 1] = start;
    words[STOP + 1] = stop;
    words[STEP + 1] = step;
    return nc_apply1(&nc_op_slice, x, words);
}

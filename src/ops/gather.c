/* ops/gather.c - elements by indices along an axis, each of its own line: gather, scatter, scatter_add. */
#include "ops/index.h"
#include "ops/rows.h"

enum { AXIS, WORDS };

/* The indices must be no longer than x along all axes but `axis`. */
static nacre_status check_indices(nacre_shape_call *call)
{
    nacre_shape x = nacre_tensor_shape(call->inputs[0]), indices = nacre_tensor_shape(call->inputs[1]);
    nacre_status status = nc_normalise_axis(call, &call->attributes[AXIS], x.rank);
    if (!status) status = nc_need_index(call, 1);
    if (status) return status;
    bool fits = indices.rank == x.rank;
    for (int i = 0; fits && i < x.rank; i++) fits = i == call->attributes[AXIS] || indices.dims[i] <= x.dims[i];
    if (fits) return NACRE_OK;
    char a[NACRE_SHAPE_TEXT_SIZE], b[NACRE_SHAPE_TEXT_SIZE];
    return nacre_shape_fail(call, NACRE_ERROR_SHAPE, "indices %s do not fit into %s but for axis %lld",
                            nacre_shape_text(indices, a), nacre_shape_text(x, b), (long long)call->attributes[AXIS]);
}

static nacre_status gather_shape(nacre_shape_call *call)
{
    nacre_status status = check_indices(call);
    call->shapes[0] = nacre_tensor_shape(call->inputs[1]);
    call->dtypes[0] = nacre_tensor_dtype(call->inputs[0]);
    return status;
}

static nacre_status scatter_shape(nacre_shape_call *call)
{
    nacre_status status = check_indices(call);
    nacre_shape indices = nacre_tensor_shape(call->inputs[1]), updates = nacre_tensor_shape(call->inputs[2]);
    if (status) return status;
    char a[NACRE_SHAPE_TEXT_SIZE], b[NACRE_SHAPE_TEXT_SIZE];
    if (!nacre_shape_equal(indices, updates))
        return nacre_shape_fail(call, NACRE_ERROR_SHAPE, "updates are %s, indices %s", nacre_shape_text(updates, a),
                                nacre_shape_text(indices, b));
    if (nacre_tensor_dtype(call->inputs[2]) != nacre_tensor_dtype(call->inputs[0]))
        return nacre_shape_fail(call, NACRE_ERROR_DTYPE, "updates are %s, x is %s; cast one of them first",
                                nacre_dtype_name(nacre_tensor_dtype(call->inputs[2])),
                                nacre_dtype_name(nacre_tensor_dtype(call->inputs[0])));
    return nc_shape_same(call);
}

/* Offset in `view` of the element that the index at position `at` names, -1 if it names none. */
static int64_t named(const nacre_view *view, const nacre_view *indices, const int64_t *at, int axis)
{
    int64_t position = nc_position(indices, nc_offset(indices, at), view->shape.dims[axis]);
    return position < 0 ? -1 : nc_offset(view, at) + (position - at[axis]) * view->strides[axis];
}

static void gather_reference(const nacre_call *call)
{
    const nacre_view *x = &call->inputs[0], *indices = &call->inputs[1], *y = &call->outputs[0];
    int64_t at[NACRE_MAX_RANK] = {0};
    if (nc_count(y) == 0) return;
    do {
        int64_t source = named(x, indices, at, (int)call->attributes[AXIS]);
        if (source < 0)
            nc_set_missing(y, nc_offset(y, at));
        else
            nc_copy_element(x, source, y, nc_offset(y, at));
    } while (nc_next(&y->shape, at));
}

static void scatter_reference(const nacre_call *call)
{
    const nacre_view *indices = &call->inputs[1], *updates = &call->inputs[2], *y = &call->outputs[0];
    int64_t at[NACRE_MAX_RANK] = {0};
    nc_copy_view(&call->inputs[0], y);
    if (nc_count(indices) == 0) return;
    do {
        int64_t target = named(y, indices, at, (int)call->attributes[AXIS]);
        if (target >= 0) nc_copy_element(updates, nc_offset(updates, at), y, target);
    } while (nc_next(&indices->shape, at));
}

/* One line of the result, WIDTH elements at a time: x and what is added to it, in double and in order. */
static void add_to_line(const nacre_call *call, const int64_t *start, int axis)
{
    enum { WIDTH = 256 };
    const nacre_view *x = &call->inputs[0], *indices = &call->inputs[1], *updates = &call->inputs[2];
    const nacre_view *y = &call->outputs[0];
    int64_t size = x->shape.dims[axis], count = indices->shape.dims[axis];
    for (int i = 0; i < x->shape.rank; i++)
        if (i != axis && start[i] >= indices->shape.dims[i]) count = 0;
    for (int64_t from = 0; from < size; from += WIDTH) {
        double sums[WIDTH];
        int64_t width = size - from < WIDTH ? size - from : WIDTH;
        for (int64_t i = 0; i < width; i++) sums[i] = nc_get_along(x, nc_offset(x, start), axis, from + i);
        for (int64_t k = 0; k < count; k++) {
            int64_t position = nc_position(indices, nc_offset(indices, start) + k * indices->strides[axis], size);
            if (position >= from && position < from + width)
                sums[position - from] += nc_get_along(updates, nc_offset(updates, start), axis, k);
        }
        for (int64_t i = 0; i < width; i++) nc_set_along(y, nc_offset(y, start), axis, from + i, sums[i]);
    }
}

static void scatter_add_reference(const nacre_call *call)
{
    int axis = (int)call->attributes[AXIS];
    nacre_shape starts = nc_line_starts(&call->outputs[0].shape, axis);
    int64_t start[NACRE_MAX_RANK] = {0};
    if (nc_count(&call->outputs[0]) == 0) return;
    do add_to_line(call, start, axis);
    while (nc_next(&starts, start));
}

static nacre_tensor *zeros_like(nacre_tensor *tensor)
{
    return nacre_full(nacre_tensor_graph(tensor), nacre_tensor_dtype(tensor), nacre_tensor_shape(tensor), 0);
}

static void gather_gradient(nacre_gradient_call *call)
{
    call->input_grads[0] = nacre_scatter_add(zeros_like(call->inputs[0]), call->inputs[1], call->output_grads[0],
                                             (int)call->attributes[AXIS]);
}

static void scatter_gradient(nacre_gradient_call *call)
{
    nacre_tensor *dy = call->output_grads[0], *indices = call->inputs[1];
    int axis = (int)call->attributes[AXIS];
    if (call->wanted[0]) call->input_grads[0] = nacre_scatter(dy, indices, zeros_like(call->inputs[2]), axis);
    if (call->wanted[2]) call->input_grads[2] = nacre_gather(dy, indices, axis);
}

static void scatter_add_gradient(nacre_gradient_call *call)
{
    nacre_tensor *dy = call->output_grads[0];
    if (call->wanted[0]) call->input_grads[0] = dy;
    if (call->wanted[2]) call->input_grads[2] = nacre_gather(dy, call->inputs[1], (int)call->attributes[AXIS]);
}

static const char *const GATHER_CASES[] = {"x=5x4 indices=3x4:i64@0..4",
                                           "x=3x6x2 indices=3x4x2:i64@0..5 axis=1",
                                           "x=3x6 indices=2x9:i32@-6..5 axis=-1",
                                           "x=7 indices=9:i64@0..6",
                                           "x=7 indices=9:i64@-12..12 !grad",
                                           "x=4x3:bool@0..1 indices=4x1:i64@0..2 axis=1",
                                           "x=4x3 indices=0x3:i64",
                                           NULL};
static const char *const SCATTER_CASES[] = {"x=9x2 indices=1x2:i64@0..8 updates=1x2",
                                            "x=3x6x2 indices=3x1x2:i64@0..5 updates=3x1x2 axis=1",
                                            "x=3x6 indices=2x1:i32@-6..5 updates=2x1 axis=-1",
                                            "x=5x4 indices=9x4:i64@-7..7 updates=9x4 !grad",
                                            "x=4x3 indices=0x3:i64 updates=0x3",
                                            NULL};
static const char *const SCATTER_ADD_CASES[] = {"x=5x4 indices=3x4:i64@0..4 updates=3x4",
                                                "x=3x6x2 indices=3x4x2:i64@0..5 updates=3x4x2 axis=1",
                                                "x=3x6 indices=2x9:i32@-6..5 updates=2x9 axis=-1",
                                                "x=300 indices=700:i64@0..299 updates=700",
                                                "x=5x4:i32@0..9 indices=9x4:i64@-7..7 updates=9x4:i32@0..9",
                                                "x=4x3 indices=0x3:i64 updates=0x3",
                                                NULL};

#define AXIS_SCHEMA                                                                                                    \
    {                                                                                                                  \
        {                                                                                                              \
            "axis", NACRE_ATTRIBUTE_INT, .doc = "along which"                                                          \
        }                                                                                                              \
    }

const nacre_op nc_op_gather = {
    .name = "gather",
    .doc = "The element of each line of x along the axis that the index names: y[i][j] = x[indices[i][j]][j] for axis "
           "0. The result has the shape of the indices. A negative index counts from the end, one outside reads NaN.",
    .onnx = "GatherElements",
    .inputs = "x indices",
    .outputs = "y",
    .attributes = AXIS_SCHEMA,
    .shape = gather_shape,
    .gradient = gather_gradient,
    .reference = gather_reference,
    .cases = GATHER_CASES,
};

const nacre_op nc_op_scatter = {
    .name = "scatter",
    .doc = "x with the elements that the indices name replaced by updates: y[indices[i][j]][j] = updates[i][j] for "
           "axis 0. Where an element is named twice the later one counts, and the gradient takes it for both. Indices "
           "outside are left out.",
    .onnx = "ScatterElements",
    .inputs = "x indices updates",
    .outputs = "y",
    .attributes = AXIS_SCHEMA,
    .shape = scatter_shape,
    .gradient = scatter_gradient,
    .reference = scatter_reference,
    .cases = SCATTER_CASES,
};

const nacre_op nc_op_scatter_add = {
    .name = "scatter_add",
    .doc = "x with updates added to the elements that the indices name: y[indices[i][j]][j] += updates[i][j] for axis "
           "0, in the order of the indices. Indices outside are left out.",
    .inputs = "x indices updates",
    .outputs = "y",
    .attributes = AXIS_SCHEMA,
    .shape = scatter_shape,
    .gradient = scatter_add_gradient,
    .reference = scatter_add_reference,
    .cases = SCATTER_ADD_CASES,
};

nacre_tensor *nacre_gather(nacre_tensor *x, nacre_tensor *indices, int axis)
{
    return nc_apply2(&nc_op_gather, x, indices, (int64_t[WORDS]){axis});
}

nacre_tensor *nacre_scatter(nacre_tensor *x, nacre_tensor *indices, nacre_tensor *updates, int axis)
{
    return nc_apply3(&nc_op_scatter, x, indices, updates, (int64_t[WORDS]){axis});
}

nacre_tensor *nacre_scatter_add(nacre_tensor *x, nacre_tensor *indices, nacre_tensor *updates, int axis)
{
    return nc_apply3(&nc_op_scatter_add, x, indices, updates, (int64_t[WORDS]){axis});
}

/* ops/take.c - whole positions of an axis by their indices: take, embedding, and their gradient. */
#include "ops/index.h"

enum { TAKE_AXIS, TAKE_WORDS };
enum { EMBEDDING_PADDING, EMBEDDING_WORDS };
enum { BACKWARD_AXIS, BACKWARD_SIZE, BACKWARD_PADDING, BACKWARD_WORDS };

nacre_status nc_need_index(nacre_shape_call *call, int operand)
{
    nacre_dtype dtype = nacre_tensor_dtype(call->inputs[operand]);
    if (!nacre_dtype_is_float(dtype) && dtype != NACRE_BOOL) return NACRE_OK;
    return nacre_shape_fail(call, NACRE_ERROR_DTYPE, "indices are %s, expected integers", nacre_dtype_name(dtype));
}

/* ---- take ---- */

/* x [before, size, after] and indices [...] -> [before, ..., after]. */
static nacre_status taken_shape(nacre_shape_call *call, int axis)
{
    nacre_shape x = nacre_tensor_shape(call->inputs[0]), indices = nacre_tensor_shape(call->inputs[1]), y = {0};
    if (x.rank - 1 + indices.rank > NACRE_MAX_RANK)
        return nacre_shape_fail(call, NACRE_ERROR_SHAPE, "the result would have more than %d axes", NACRE_MAX_RANK);
    for (int i = 0; i < axis; i++) y.dims[y.rank++] = x.dims[i];
    for (int i = 0; i < indices.rank; i++) y.dims[y.rank++] = indices.dims[i];
    for (int i = axis + 1; i < x.rank; i++) y.dims[y.rank++] = x.dims[i];
    call->shapes[0] = y;
    call->dtypes[0] = nacre_tensor_dtype(call->inputs[0]);
    return nc_need_index(call, 1);
}

static nacre_status take_shape(nacre_shape_call *call)
{
    nacre_status status = nc_normalise_axis(call, &call->attributes[TAKE_AXIS], nacre_tensor_rank(call->inputs[0]));
    return status ? status : taken_shape(call, (int)call->attributes[TAKE_AXIS]);
}

static void take_along(const nacre_call *call, int axis)
{
    const nacre_view *x = &call->inputs[0], *indices = &call->inputs[1], *y = &call->outputs[0];
    int64_t at[NACRE_MAX_RANK] = {0};
    if (nc_count(y) == 0) return;
    do {
        int64_t position = nc_position(indices, nc_offset(indices, at + axis), x->shape.dims[axis]);
        int64_t source = position * x->strides[axis], target = nc_offset(y, at);
        for (int i = 0; i < axis; i++) source += at[i] * x->strides[i];
        for (int i = axis + 1; i < x->shape.rank; i++) source += at[i - 1 + indices->shape.rank] * x->strides[i];
        if (position < 0)
            nc_set_missing(y, target);
        else
            nc_copy_element(x, source, y, target);
    } while (nc_next(&y->shape, at));
}

static void take_reference(const nacre_call *call)
{
    take_along(call, (int)call->attributes[TAKE_AXIS]);
}

static void take_gradient(nacre_gradient_call *call)
{
    int axis = (int)call->attributes[TAKE_AXIS];
    call->input_grads[0] = nc_take_backward(call->output_grads[0], call->inputs[1], axis,
                                            nacre_tensor_dim(call->inputs[0], axis), NC_NO_PADDING_INDEX);
}

/* ---- embedding ---- */

static nacre_status embedding_shape(nacre_shape_call *call)
{
    nacre_shape weight = nacre_tensor_shape(call->inputs[0]);
    char text[NACRE_SHAPE_TEXT_SIZE];
    if (weight.rank != 2)
        return nacre_shape_fail(call, NACRE_ERROR_SHAPE, "the weight is %s, expected [entries, width]",
                                nacre_shape_text(weight, text));
    int64_t *padding = &call->attributes[EMBEDDING_PADDING];
    if (*padding != NC_NO_PADDING_INDEX && (*padding < -weight.dims[0] || *padding >= weight.dims[0]))
        return nacre_shape_fail(call, NACRE_ERROR_ARGUMENT, "there is no padding index %lld among %lld entries",
                                (long long)*padding, (long long)weight.dims[0]);
    if (*padding != NC_NO_PADDING_INDEX && *padding < 0) *padding += weight.dims[0];
    return taken_shape(call, 0);
}

static void embedding_reference(const nacre_call *call)
{
    take_along(call, 0);
}

static void embedding_gradient(nacre_gradient_call *call)
{
    call->input_grads[0] = nc_take_backward(call->output_grads[0], call->inputs[1], 0,
                                            nacre_tensor_dim(call->inputs[0], 0), call->attributes[EMBEDDING_PADDING]);
}

/* ---- take_backward ---- */

static nacre_status backward_shape(nacre_shape_call *call)
{
    nacre_shape dy = nacre_tensor_shape(call->inputs[0]), indices = nacre_tensor_shape(call->inputs[1]), dx = {0};
    int64_t axis = call->attributes[BACKWARD_AXIS];
    char a[NACRE_SHAPE_TEXT_SIZE], b[NACRE_SHAPE_TEXT_SIZE];
    bool fits = axis >= 0 && axis <= dy.rank - indices.rank && call->attributes[BACKWARD_SIZE] >= 0 &&
                dy.rank - indices.rank < NACRE_MAX_RANK;
    for (int i = 0; fits && i < indices.rank; i++) fits = dy.dims[axis + i] == indices.dims[i];
    if (!fits)
        return nacre_shape_fail(call, NACRE_ERROR_SHAPE, "indices are %s, but dy is %s from axis %lld on",
                                nacre_shape_text(indices, a), nacre_shape_text(dy, b), (long long)axis);
    for (int i = 0; i < axis; i++) dx.dims[dx.rank++] = dy.dims[i];
    dx.dims[dx.rank++] = call->attributes[BACKWARD_SIZE];
    for (int i = (int)axis + indices.rank; i < dy.rank; i++) dx.dims[dx.rank++] = dy.dims[i];
    call->shapes[0] = dx;
    call->dtypes[0] = nacre_tensor_dtype(call->inputs[0]);
    return nc_need_index(call, 1);
}

/* Offset of the position with row-major number `number` among `count` axes from `first` on. */
static int64_t offset_among(const nacre_view *view, int first, int count, int64_t number)
{
    int64_t offset = 0;
    for (int i = first + count - 1; i >= first; i--) {
        offset += number % view->shape.dims[i] * view->strides[i];
        number /= view->shape.dims[i];
    }
    return offset;
}

static int64_t count_among(const nacre_shape *shape, int first, int count)
{
    int64_t product = 1;
    for (int i = first; i < first + count; i++) product *= shape->dims[i];
    return product;
}

/* Sums up in double and in the order of the indices, WIDTH elements of a position at a time. */
static void backward_reference(const nacre_call *call)
{
    enum { WIDTH = 256 };
    const nacre_view *dy = &call->inputs[0], *indices = &call->inputs[1], *dx = &call->outputs[0];
    int64_t padding = call->attributes[BACKWARD_PADDING];
    int axis = (int)call->attributes[BACKWARD_AXIS], rank = indices->shape.rank, inner = dx->shape.rank - axis - 1;
    int64_t outer_count = count_among(&dx->shape, 0, axis), count = nc_count(indices), size = dx->shape.dims[axis];
    int64_t inner_count = count_among(&dx->shape, axis + 1, inner);
    for (int64_t row = 0; row < outer_count * size; row++) {
        for (int64_t from = 0; from < inner_count; from += WIDTH) {
            double sums[WIDTH] = {0};
            int64_t width = inner_count - from < WIDTH ? inner_count - from : WIDTH;
            for (int64_t k = 0; k < count; k++) {
                int64_t position = nc_position(indices, offset_among(indices, 0, rank, k), size);
                if (position != row % size || position == padding) continue;
                int64_t at = offset_among(dy, 0, axis, row / size) + offset_among(dy, axis, rank, k);
                for (int64_t i = 0; i < width; i++)
                    sums[i] += nc_get(dy, at + offset_among(dy, axis + rank, inner, from + i));
            }
            int64_t at = offset_among(dx, 0, axis + 1, row);
            for (int64_t i = 0; i < width; i++) nc_set(dx, at + offset_among(dx, axis + 1, inner, from + i), sums[i]);
        }
    }
}

/* What was left out as padding is left out again. */
static void backward_gradient(nacre_gradient_call *call)
{
    nacre_tensor *indices = call->inputs[1], *taken;
    int axis = (int)call->attributes[BACKWARD_AXIS];
    int64_t padding = call->attributes[BACKWARD_PADDING];
    taken = nacre_take(call->output_grads[0], indices, axis);
    if (padding != NC_NO_PADDING_INDEX) {
        nacre_shape shape = nacre_tensor_shape(indices);
        int inner = nacre_tensor_rank(taken) - axis - shape.rank;
        nacre_tensor *is_padding = nacre_equal(indices, nc_scalar_like(indices, (double)padding));
        for (int i = 0; i < inner; i++) shape.dims[shape.rank++] = 1;
        taken = nacre_where(nacre_reshape(is_padding, shape), nc_zero_like(taken), taken);
    }
    call->input_grads[0] = taken;
}

nacre_tensor *nc_take_backward(nacre_tensor *dy, nacre_tensor *indices, int axis, int64_t size, int64_t padding_index)
{
    return nc_apply2(&nc_op_take_backward, dy, indices, (int64_t[BACKWARD_WORDS]){axis, size, padding_index});
}

/* ---- descriptors ---- */

static const char *const TAKE_CASES[] = {"x=5x4 indices=3:i64@0..4",
                                         "x=3x6x2 indices=4x2:i64@0..5 axis=1",
                                         "x=3x6 indices=7:i32@-6..5 axis=-1",
                                         "x=5x4 indices=scalar:i64@3..3",
                                         "x=9:i64@-9..9 indices=2x2:u8@0..8",
                                         "x=5x4 indices=6:i64@-9..9 !grad",
                                         "x=5x4 indices=0:i64",
                                         "x=5x0 indices=3:i64@0..4",
                                         NULL};
static const char *const EMBEDDING_CASES[] = {"weight=7x4 indices=9:i64@0..6",
                                              "weight=7x4 indices=2x5:i32@0..6 padding_index=3 !grad",
                                              "weight=3x300 indices=40:i64@0..2 padding_index=-1 !grad",
                                              "weight=7x4 indices=scalar:i64@6..6",
                                              "weight=7x4 indices=0:i64",
                                              NULL};
static const char *const BACKWARD_CASES[] = {"dy=9x4 indices=9:i64@0..6 size=7",
                                             "dy=9x4 indices=9:i64@0..6 size=7 padding_index=2",
                                             "dy=3x4x2x5 indices=4x2:i64@-6..5 axis=1 size=6",
                                             "dy=40x300 indices=40:i32@0..2 size=3",
                                             "dy=3x4 indices=scalar:i64@1..1 axis=1 size=2",
                                             "dy=0x4 indices=0:i64 size=3",
                                             NULL};

#define PADDING_INDEX                                                                                                  \
    {                                                                                                                  \
        "padding_index", NACRE_ATTRIBUTE_INT, (double)NC_NO_PADDING_INDEX,                                             \
            .doc = "an entry that gets no gradient; none: the default"                                                 \
    }

/* Of the table only the rows that are taken. */
static void take_cost(const nacre_node_info *node, nacre_cost *cost)
{
    const nacre_view *table = &node->inputs[0], *rows = &node->outputs[0];
    const double size = (double)nacre_dtype_size(rows->dtype);
    cost->bytes += size * (double)(nacre_shape_count(rows->shape) - nacre_shape_count(table->shape));
}

const nacre_op nc_op_take = {
    .name = "take",
    .doc = "The positions of one axis that the indices name; the axes of the indices stand in its place. A negative "
           "index counts from the end, one outside reads NaN.",
    .onnx = "Gather",
    .inputs = "x indices",
    .outputs = "y",
    .attributes = {{"axis", NACRE_ATTRIBUTE_INT, .doc = "whose positions"}},
    .shape = take_shape,
    .gradient = take_gradient,
    .cost = take_cost,
    .reference = take_reference,
    .cases = TAKE_CASES,
};

const nacre_op nc_op_embedding = {
    .name = "embedding",
    .doc = "The rows of a table that the indices name: take along axis 0, with an entry that may be kept from "
           "learning.",
    .inputs = "weight indices",
    .outputs = "y",
    .attributes = {PADDING_INDEX},
    .shape = embedding_shape,
    .gradient = embedding_gradient,
    .cost = take_cost,
    .reference = embedding_reference,
    .cases = EMBEDDING_CASES,
};

const nacre_op nc_op_take_backward = {
    .name = "take_backward",
    .doc = "The gradient of take and embedding: sums of what the indices took from each position, in the order of the "
           "indices.",
    .inputs = "dy indices",
    .outputs = "dx",
    .attributes = {{"axis", NACRE_ATTRIBUTE_INT, .doc = "whose positions"},
                   {"size", NACRE_ATTRIBUTE_INT, .required = true, .doc = "of that axis"},
                   PADDING_INDEX},
    .shape = backward_shape,
    .gradient = backward_gradient,
    .reference = backward_reference,
    .cases = BACKWARD_CASES,
};

nacre_tensor *nacre_take(nacre_tensor *x, nacre_tensor *indices, int axis)
{
    return nc_apply2(&nc_op_take, x, indices, (int64_t[TAKE_WORDS]){axis});
}

nacre_tensor *nacre_embedding_with(nacre_tensor *weight, nacre_tensor *indices, const int64_t *padding_index)
{
    return nc_apply2(&nc_op_embedding, weight, indices,
                     (int64_t[EMBEDDING_WORDS]){padding_index ? *padding_index : NC_NO_PADDING_INDEX});
}

/* ops/op.c - what the operations share. */
#include "ops/op.h"

/* ---- building ---- */

nacre_tensor *nc_apply1(const nacre_op *op, nacre_tensor *x, const int64_t *attributes)
{
    return x ? nacre_apply(nacre_tensor_graph(x), op, &x, 1, attributes) : NULL;
}

nacre_tensor *nc_apply2(const nacre_op *op, nacre_tensor *a, nacre_tensor *b, const int64_t *attributes)
{
    return a && b ? nacre_apply(nacre_tensor_graph(a), op, (nacre_tensor *[]){a, b}, 2, attributes) : NULL;
}

nacre_tensor *nc_apply3(const nacre_op *op, nacre_tensor *a, nacre_tensor *b, nacre_tensor *c,
                        const int64_t *attributes)
{
    return a && b && c ? nacre_apply(nacre_tensor_graph(a), op, (nacre_tensor *[]){a, b, c}, 3, attributes) : NULL;
}

void nc_put_ints(int64_t *words, const int64_t *values, int count, int limit)
{
    if (count > limit) count = limit;
    words[0] = count;
    for (int i = 0; i < limit; i++) words[1 + i] = i < count ? values[i] : 0;
}

nacre_tensor *nc_scalar_like(nacre_tensor *tensor, double value)
{
    return nacre_full(nacre_tensor_graph(tensor), nacre_tensor_dtype(tensor), NACRE_SCALAR, value);
}

nacre_tensor *nc_zero_like(nacre_tensor *tensor)
{
    return nc_scalar_like(tensor, 0);
}

nacre_tensor *nc_one_minus(nacre_tensor *x)
{
    return x ? nacre_sub(nc_scalar_like(x, 1), x) : NULL;
}

nacre_tensor *nc_sum_along(nacre_tensor *x, int64_t axis)
{
    return nacre_sum(x, &(nacre_reduce_options){.axes = &axis, .axis_count = 1, .keep = true});
}

nacre_tensor *nc_sum_to(nacre_tensor *gradient, nacre_tensor *like)
{
    nacre_shape from = nacre_tensor_shape(gradient), to = nacre_tensor_shape(like);
    if (!gradient || !like || nacre_shape_equal(from, to)) return gradient;
    int64_t axes[NACRE_MAX_RANK];
    int count = 0, shift = from.rank - to.rank;
    for (int i = 0; i < from.rank; i++)
        if (i < shift || (to.dims[i - shift] == 1 && from.dims[i] != 1)) axes[count++] = i;
    gradient = nacre_sum(gradient, &(nacre_reduce_options){.axes = axes, .axis_count = count, .keep = true});
    return nacre_reshape(gradient, to);
}

/* ---- shape rules ---- */

nacre_status nc_shape_same(nacre_shape_call *call)
{
    call->shapes[0] = nacre_tensor_shape(call->inputs[0]);
    call->dtypes[0] = nacre_tensor_dtype(call->inputs[0]);
    return NACRE_OK;
}

nacre_status nc_shape_float(nacre_shape_call *call)
{
    nacre_status status = nc_need_float(call);
    return status ? status : nc_shape_same(call);
}

bool nc_broadcast(nacre_shape *shape, const nacre_shape *other)
{
    nacre_shape wide = shape->rank >= other->rank ? *shape : *other;
    const nacre_shape *narrow = shape->rank >= other->rank ? other : shape;
    int shift = wide.rank - narrow->rank;
    for (int i = 0; i < narrow->rank; i++) {
        int64_t a = wide.dims[shift + i], b = narrow->dims[i];
        if (a != b && a != 1 && b != 1) return false;
        wide.dims[shift + i] = a == 1 ? b : a;
    }
    *shape = wide;
    return true;
}

nacre_status nc_shape_broadcast(nacre_shape_call *call)
{
    nacre_shape shape = nacre_tensor_shape(call->inputs[0]);
    nacre_dtype dtype = nacre_tensor_dtype(call->inputs[0]);
    for (int i = 1; i < call->input_count; i++) {
        nacre_shape before = shape, other = nacre_tensor_shape(call->inputs[i]);
        nacre_dtype other_dtype = nacre_tensor_dtype(call->inputs[i]);
        char a[NACRE_SHAPE_TEXT_SIZE], b[NACRE_SHAPE_TEXT_SIZE];
        if (other_dtype != dtype)
            return nacre_shape_fail(call, NACRE_ERROR_DTYPE, "operands are %s and %s; cast one of them first",
                                    nacre_dtype_name(dtype), nacre_dtype_name(other_dtype));
        if (!nc_broadcast(&shape, &other))
            return nacre_shape_fail(call, NACRE_ERROR_SHAPE, "shapes %s and %s do not broadcast",
                                    nacre_shape_text(before, a), nacre_shape_text(other, b));
    }
    call->shapes[0] = shape;
    call->dtypes[0] = dtype;
    return NACRE_OK;
}

nacre_status nc_shape_float_broadcast(nacre_shape_call *call)
{
    nacre_status status = nc_need_float(call);
    return status ? status : nc_shape_broadcast(call);
}

nacre_status nc_shape_compare(nacre_shape_call *call)
{
    nacre_status status = nc_shape_broadcast(call);
    call->dtypes[0] = NACRE_BOOL;
    return status;
}

nacre_status nc_shape_leaf(nacre_shape_call *call)
{
    const int64_t *words = call->attributes;
    if (words[1] < 0 || words[1] >= NACRE_DTYPE_COUNT || words[2] < 0 || words[2] > NACRE_MAX_RANK)
        return nacre_shape_fail(call, NACRE_ERROR_ARGUMENT, "no such dtype or rank");
    call->dtypes[0] = (nacre_dtype)words[1];
    call->shapes[0].rank = (int)words[2];
    memcpy(call->shapes[0].dims, words + 3, sizeof call->shapes[0].dims);
    return NACRE_OK;
}

nacre_status nc_need_float(nacre_shape_call *call)
{
    nacre_dtype dtype = nacre_tensor_dtype(call->inputs[0]);
    if (nacre_dtype_is_float(dtype)) return NACRE_OK;
    return nacre_shape_fail(call, NACRE_ERROR_DTYPE, "needs a floating type, got %s; cast it first",
                            nacre_dtype_name(dtype));
}

nacre_status nc_need_one_dtype(nacre_shape_call *call)
{
    nacre_dtype dtype = nacre_tensor_dtype(call->inputs[0]);
    for (int i = 1; i < call->input_count; i++)
        if (call->inputs[i] && nacre_tensor_dtype(call->inputs[i]) != dtype)
            return nacre_shape_fail(call, NACRE_ERROR_DTYPE, "operands are %s and %s; cast one of them first",
                                    nacre_dtype_name(dtype), nacre_dtype_name(nacre_tensor_dtype(call->inputs[i])));
    return NACRE_OK;
}

nacre_status nc_need_same(nacre_shape_call *call, int last)
{
    nacre_shape shape = nacre_tensor_shape(call->inputs[0]);
    for (int i = 1; i <= last; i++) {
        nacre_shape other = nacre_tensor_shape(call->inputs[i]);
        char a[NACRE_SHAPE_TEXT_SIZE], b[NACRE_SHAPE_TEXT_SIZE];
        if (!nacre_shape_equal(shape, other))
            return nacre_shape_fail(call, NACRE_ERROR_SHAPE, "operand %d is %s, expected %s as operand 1", i + 1,
                                    nacre_shape_text(other, a), nacre_shape_text(shape, b));
    }
    return nc_need_one_dtype(call);
}

nacre_status nc_normalise_axis(nacre_shape_call *call, int64_t *axis, int rank)
{
    int64_t given = *axis;
    if (*axis < 0) *axis += rank;
    if (*axis >= 0 && *axis < rank) return NACRE_OK;
    return nacre_shape_fail(call, NACRE_ERROR_SHAPE, "axis %lld is outside a tensor of rank %d", (long long)given,
                            rank);
}

nacre_status nc_normalise_axes(nacre_shape_call *call, int64_t *list, int rank)
{
    bool named[NACRE_MAX_RANK] = {false};
    for (int i = 1; i <= list[0]; i++) {
        nacre_status status = nc_normalise_axis(call, &list[i], rank);
        if (status) return status;
        if (named[list[i]])
            return nacre_shape_fail(call, NACRE_ERROR_ARGUMENT, "axis %lld is named twice", (long long)list[i]);
        named[list[i]] = true;
    }
    return NACRE_OK;
}

/* ---- reference kernels ---- */

void nc_reference_unary(const nacre_call *call, double (*f)(double))
{
    const nacre_view *x = &call->inputs[0], *y = &call->outputs[0];
    int64_t index[NACRE_MAX_RANK] = {0};
    if (nc_count(y) == 0) return;
    do nc_set(y, nc_offset(y, index), f(nc_get(x, nc_offset(x, index))));
    while (nc_next(&y->shape, index));
}

void nc_reference_binary(const nacre_call *call, double (*f)(double, double))
{
    const nacre_view *a = &call->inputs[0], *b = &call->inputs[1], *y = &call->outputs[0];
    int rank = y->shape.rank;
    int64_t index[NACRE_MAX_RANK] = {0};
    if (nc_count(y) == 0) return;
    do {
        double left = nc_get(a, nc_broadcast_offset(a, index, rank));
        double right = nc_get(b, nc_broadcast_offset(b, index, rank));
        nc_set(y, nc_offset(y, index), f(left, right));
    } while (nc_next(&y->shape, index));
}

void nc_reference_elementwise(const nacre_call *call, double (*f)(const double *, const int64_t *))
{
    const nacre_view *y = &call->outputs[0];
    double operands[NACRE_CHAIN_MAX_SOURCES];
    int64_t index[NACRE_MAX_RANK] = {0};
    if (nc_count(y) == 0) return;
    do {
        for (int i = 0; i < call->input_count; i++)
            operands[i] = nc_get(&call->inputs[i], nc_broadcast_offset(&call->inputs[i], index, y->shape.rank));
        nc_set(y, nc_offset(y, index), f(operands, call->attributes));
    } while (nc_next(&y->shape, index));
}

void nc_copy_view(const nacre_view *from, const nacre_view *to)
{
    int64_t index[NACRE_MAX_RANK] = {0};
    if (nc_count(to) == 0) return;
    do nc_copy_element(from, nc_offset(from, index), to, nc_offset(to, index));
    while (nc_next(&to->shape, index));
}

void nc_fill_view(const nacre_view *view, double value)
{
    int64_t index[NACRE_MAX_RANK] = {0};
    if (nc_count(view) == 0) return;
    do nc_set(view, nc_offset(view, index), value);
    while (nc_next(&view->shape, index));
}

nacre_view nc_section(nacre_view view, int axis, int64_t start, int64_t step, int64_t count)
{
    view.shape.dims[axis] = count;
    if (count > 0 && view.data)
        view.data = (char *)view.data + start * view.strides[axis] * (int64_t)nacre_dtype_size(view.dtype);
    view.strides[axis] *= step;
    return view;
}

void nc_reference_copy(const nacre_call *call)
{
    nc_copy_view(&call->inputs[0], &call->outputs[0]);
}

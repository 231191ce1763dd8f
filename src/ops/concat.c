/* ops/concat.c - tensors one after the other along an axis: concat along an old one, stack along a new one. */
#include "ops/op.h"

enum { AXIS, WORDS };

/* All shapes must be that of the first one, but for `axis` (-1: there too). */
static nacre_status check_alike(nacre_shape_call *call, int64_t axis)
{
    nacre_shape first = nacre_tensor_shape(call->inputs[0]);
    for (int i = 1; i < call->input_count; i++) {
        nacre_shape other = nacre_tensor_shape(call->inputs[i]), same = other;
        char a[NACRE_SHAPE_TEXT_SIZE], b[NACRE_SHAPE_TEXT_SIZE];
        if (axis >= 0) same.dims[axis] = first.dims[axis];
        if (!nacre_shape_equal(first, same))
            return nacre_shape_fail(call, NACRE_ERROR_SHAPE, "operand %d is %s, the first one %s", i + 1,
                                    nacre_shape_text(other, a), nacre_shape_text(first, b));
    }
    return nc_need_one_dtype(call);
}

static nacre_status concat_shape(nacre_shape_call *call)
{
    nacre_status status = nc_normalise_axis(call, &call->attributes[AXIS], nacre_tensor_rank(call->inputs[0]));
    int axis = (int)call->attributes[AXIS];
    if (!status) status = check_alike(call, axis);
    if (status) return status;
    nc_shape_same(call);
    for (int i = 1; i < call->input_count; i++) call->shapes[0].dims[axis] += nacre_tensor_dim(call->inputs[i], axis);
    return NACRE_OK;
}

static nacre_status stack_shape(nacre_shape_call *call)
{
    nacre_shape shape = nacre_tensor_shape(call->inputs[0]);
    if (shape.rank == NACRE_MAX_RANK)
        return nacre_shape_fail(call, NACRE_ERROR_SHAPE, "the result would have more than %d axes", NACRE_MAX_RANK);
    nacre_status status = nc_normalise_axis(call, &call->attributes[AXIS], shape.rank + 1);
    if (!status) status = check_alike(call, -1);
    if (status) return status;
    int axis = (int)call->attributes[AXIS];
    for (int i = shape.rank++; i > axis; i--) shape.dims[i] = shape.dims[i - 1];
    shape.dims[axis] = call->input_count;
    call->shapes[0] = shape;
    call->dtypes[0] = nacre_tensor_dtype(call->inputs[0]);
    return NACRE_OK;
}

static void concat_gradient(nacre_gradient_call *call)
{
    int axis = (int)call->attributes[AXIS];
    int64_t start = 0;
    for (int i = 0; i < call->input_count; i++) {
        int64_t stop = start + nacre_tensor_dim(call->inputs[i], axis);
        if (call->wanted[i]) call->input_grads[i] = nacre_slice(call->output_grads[0], axis, start, stop, 1);
        start = stop;
    }
}

static void stack_gradient(nacre_gradient_call *call)
{
    int axis = (int)call->attributes[AXIS];
    for (int i = 0; i < call->input_count; i++)
        if (call->wanted[i])
            call->input_grads[i] = nacre_reshape(nacre_slice(call->output_grads[0], axis, i, i + 1, 1),
                                                 nacre_tensor_shape(call->inputs[i]));
}

static void concat_reference(const nacre_call *call)
{
    int axis = (int)call->attributes[AXIS];
    int64_t start = 0;
    for (int i = 0; i < call->input_count; i++) {
        int64_t count = call->inputs[i].shape.dims[axis];
        nacre_view part = nc_section(call->outputs[0], axis, start, 1, count);
        nc_copy_view(&call->inputs[i], &part);
        start += count;
    }
}

static void stack_reference(const nacre_call *call)
{
    int axis = (int)call->attributes[AXIS];
    for (int i = 0; i < call->input_count; i++) {
        nacre_view part = nc_section(call->outputs[0], axis, i, 1, 1);
        for (int k = axis; k + 1 < part.shape.rank; k++) {
            part.shape.dims[k] = part.shape.dims[k + 1];
            part.strides[k] = part.strides[k + 1];
        }
        part.shape.rank--;
        nc_copy_view(&call->inputs[i], &part);
    }
}

static const char *const CONCAT_CASES[] = {"x=2x3x4 x=2x5x4 axis=1",
                                           "x=2x3 x=1x3 x=4x3",
                                           "x=2x3 x=2x1 x=2x0 axis=-1",
                                           "x=7",
                                           "x=2x3:i64@-9..9 x=2x3:i64@-9..9",
                                           "x=2x4x3x5 x=2x2x3x5 axis=1",
                                           NULL};
static const char *const STACK_CASES[] = {"x=2x3 x=2x3 axis=1", "x=2x3 x=2x3 x=2x3 axis=-1",
                                          "x=scalar x=scalar",  "x=4:bool@0..1 x=4:bool@0..1",
                                          "x=0x3 x=0x3",        NULL};

const nacre_op nc_op_concat = {
    .name = "concat",
    .doc = "The operands one after the other along an axis; their other dimensions are equal.",
    .onnx = "Concat",
    .inputs = "x*",
    .outputs = "y",
    .attributes = {{"axis", NACRE_ATTRIBUTE_INT, .doc = "along which"}},
    .layouts = "d>d",
    .shape = concat_shape,
    .gradient = concat_gradient,
    .reference = concat_reference,
    .cases = CONCAT_CASES,
};

const nacre_op nc_op_stack = {
    .name = "stack",
    .doc = "The operands, of one shape, one after the other along a new axis.",
    .inputs = "x*",
    .outputs = "y",
    .attributes = {{"axis", NACRE_ATTRIBUTE_INT, .doc = "place of the new axis in the result"}},
    .shape = stack_shape,
    .gradient = stack_gradient,
    .reference = stack_reference,
    .cases = STACK_CASES,
};

static nacre_tensor *join(const nacre_op *op, nacre_tensor *const *tensors, int count, int axis)
{
    for (int i = 0; i < count; i++)
        if (!tensors[i]) return NULL;
    return count > 0 ? nacre_apply(nacre_tensor_graph(tensors[0]), op, tensors, count, (int64_t[WORDS]){axis}) : NULL;
}

nacre_tensor *nacre_concat(nacre_tensor *const *tensors, int count, int axis)
{
    return join(&nc_op_concat, tensors, count, axis);
}

nacre_tensor *nacre_stack(nacre_tensor *const *tensors, int count, int axis)
{
    return join(&nc_op_stack, tensors, count, axis);
}

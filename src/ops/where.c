/* ops/where.c - choosing between two operands, element by element. */
#include "ops/op.h"

static nacre_status shape(nacre_shape_call *call)
{
    nacre_dtype condition = nacre_tensor_dtype(call->inputs[0]);
    nacre_shape chosen, question = nacre_tensor_shape(call->inputs[0]);
    if (condition != NACRE_BOOL)
        return nacre_shape_fail(call, NACRE_ERROR_DTYPE, "the condition is %s, expected bool; compare it first",
                                nacre_dtype_name(condition));
    nacre_shape_call choice = *call;
    choice.inputs = call->inputs + 1;
    choice.input_count = 2;
    nacre_status status = nc_shape_broadcast(&choice);
    if (status) return status;
    chosen = choice.shapes[0];
    if (!nc_broadcast(&chosen, &question)) {
        char a[NACRE_SHAPE_TEXT_SIZE], b[NACRE_SHAPE_TEXT_SIZE];
        return nacre_shape_fail(call, NACRE_ERROR_SHAPE, "the condition %s and %s do not broadcast",
                                nacre_shape_text(question, a), nacre_shape_text(choice.shapes[0], b));
    }
    call->shapes[0] = chosen;
    call->dtypes[0] = choice.dtypes[0];
    return NACRE_OK;
}

static double value(const double *operands, const int64_t *attributes)
{
    (void)attributes;
    return operands[0] != 0 ? operands[1] : operands[2];
}

static void reference(const nacre_call *call)
{
    nc_reference_elementwise(call, value);
}

static void gradient(nacre_gradient_call *call)
{
    nacre_tensor *condition = call->inputs[0], *dy = call->output_grads[0], *zero = nc_zero_like(dy);
    if (call->wanted[1]) call->input_grads[1] = nc_sum_to(nacre_where(condition, dy, zero), call->inputs[1]);
    if (call->wanted[2]) call->input_grads[2] = nc_sum_to(nacre_where(condition, zero, dy), call->inputs[2]);
}

static const char *const CASES[] = {"condition=2x3x4:bool@0..1 a=2x3x4 b=2x3x4",
                                    "condition=3x4:bool@0..1 a=2x1x4 b=3x1",
                                    "condition=2x1x1:bool@0..1 a=scalar b=5",
                                    "condition=scalar:bool@1..1 a=7 b=7",
                                    "condition=9:bool@0..1 a=9:i32@-5..5 b=scalar:i32@7..7",
                                    "condition=0x3:bool@0..1 a=0x3 b=1x3",
                                    NULL};

const nacre_op nc_op_where = {
    .name = "where",
    .doc = "a where the condition holds, else b; all three broadcast.",
    .onnx = "Where",
    .inputs = "condition a b",
    .outputs = "y",
    .flags = NACRE_OP_ELEMENTWISE,
    .shape = shape,
    .gradient = gradient,
    .reference = reference,
    .cases = CASES,
};

nacre_tensor *nacre_where(nacre_tensor *condition, nacre_tensor *a, nacre_tensor *b)
{
    return nc_apply3(&nc_op_where, condition, a, b, NULL);
}

/* ops/arithmetic.c - add, sub, mul, div, neg with NumPy's broadcasting. */
#include "ops/op.h"

static double add(double a, double b)
{
    return a + b;
}

static double sub(double a, double b)
{
    return a - b;
}

static double mul(double a, double b)
{
    return a * b;
}

static double divide(double a, double b)
{
    return a / b;
}

static double negate(double x)
{
    return -x;
}

static void add_reference(const nacre_call *call)
{
    nc_reference_binary(call, add);
}

static void sub_reference(const nacre_call *call)
{
    nc_reference_binary(call, sub);
}

static void mul_reference(const nacre_call *call)
{
    nc_reference_binary(call, mul);
}

static void div_reference(const nacre_call *call)
{
    nc_reference_binary(call, divide);
}

static void neg_reference(const nacre_call *call)
{
    nc_reference_unary(call, negate);
}

static void add_gradient(nacre_gradient_call *call)
{
    nacre_tensor *g = call->output_grads[0];
    if (call->wanted[0]) call->input_grads[0] = nc_sum_to(g, call->inputs[0]);
    if (call->wanted[1]) call->input_grads[1] = nc_sum_to(g, call->inputs[1]);
}

static void sub_gradient(nacre_gradient_call *call)
{
    nacre_tensor *g = call->output_grads[0];
    if (call->wanted[0]) call->input_grads[0] = nc_sum_to(g, call->inputs[0]);
    if (call->wanted[1]) call->input_grads[1] = nc_sum_to(nacre_neg(g), call->inputs[1]);
}

static void mul_gradient(nacre_gradient_call *call)
{
    nacre_tensor *g = call->output_grads[0], *a = call->inputs[0], *b = call->inputs[1];
    if (call->wanted[0]) call->input_grads[0] = nc_sum_to(nacre_mul(g, b), a);
    if (call->wanted[1]) call->input_grads[1] = nc_sum_to(nacre_mul(g, a), b);
}

static void div_gradient(nacre_gradient_call *call)
{
    nacre_tensor *g = call->output_grads[0], *a = call->inputs[0], *b = call->inputs[1];
    if (call->wanted[0]) call->input_grads[0] = nc_sum_to(nacre_div(g, b), a);
    if (call->wanted[1]) call->input_grads[1] = nc_sum_to(nacre_neg(nacre_div(nacre_mul(g, call->outputs[0]), b)), b);
}

static void neg_gradient(nacre_gradient_call *call)
{
    call->input_grads[0] = nacre_neg(call->output_grads[0]);
}

static const char *const CASES[] = {"a=2x3x4 b=2x3x4", "a=2x3x4 b=4",         "a=3x1 b=2x1x5", "a=scalar b=7",
                                    "a=1x33 b=17x1",   "a=2x5x3x4 b=1x5x1x1", "a=0x3 b=0x3",   NULL};
static const char *const DIV_CASES[] = {"a=2x3x4 b=2x3x4@0.5..2", "a=2x3x4 b=4@-2..-0.5", "a=scalar b=7@1..2", NULL};
static const char *const UNARY_CASES[] = {"x=2x3x5", "x=scalar", "x=100", NULL};

const nacre_op nc_op_add = {
    .name = "add",
    .doc = "a + b with broadcasting.",
    .onnx = "Add",
    .inputs = "a b",
    .outputs = "y",
    .flags = NACRE_OP_ELEMENTWISE,
    .shape = nc_shape_broadcast,
    .gradient = add_gradient,
    .reference = add_reference,
    .cases = CASES,
};

const nacre_op nc_op_sub = {
    .name = "sub",
    .doc = "a - b with broadcasting.",
    .onnx = "Sub",
    .inputs = "a b",
    .outputs = "y",
    .flags = NACRE_OP_ELEMENTWISE,
    .shape = nc_shape_broadcast,
    .gradient = sub_gradient,
    .reference = sub_reference,
    .cases = CASES,
};

const nacre_op nc_op_mul = {
    .name = "mul",
    .doc = "a * b with broadcasting.",
    .onnx = "Mul",
    .inputs = "a b",
    .outputs = "y",
    .flags = NACRE_OP_ELEMENTWISE,
    .shape = nc_shape_broadcast,
    .gradient = mul_gradient,
    .reference = mul_reference,
    .cases = CASES,
};

const nacre_op nc_op_div = {
    .name = "div",
    .doc = "a / b with broadcasting.",
    .onnx = "Div",
    .inputs = "a b",
    .outputs = "y",
    .flags = NACRE_OP_ELEMENTWISE,
    .shape = nc_shape_broadcast,
    .gradient = div_gradient,
    .reference = div_reference,
    .cases = DIV_CASES,
};

const nacre_op nc_op_neg = {
    .name = "neg",
    .doc = "-x.",
    .onnx = "Neg",
    .inputs = "x",
    .outputs = "y",
    .flags = NACRE_OP_ELEMENTWISE,
    .shape = nc_shape_same,
    .gradient = neg_gradient,
    .reference = neg_reference,
    .cases = UNARY_CASES,
};

nacre_tensor *nacre_add(nacre_tensor *a, nacre_tensor *b)
{
    return nc_apply2(&nc_op_add, a, b, NULL);
}

nacre_tensor *nacre_sub(nacre_tensor *a, nacre_tensor *b)
{
    return nc_apply2(&nc_op_sub, a, b, NULL);
}

nacre_tensor *nacre_mul(nacre_tensor *a, nacre_tensor *b)
{
    return nc_apply2(&nc_op_mul, a, b, NULL);
}

nacre_tensor *nacre_div(nacre_tensor *a, nacre_tensor *b)
{
    return nc_apply2(&nc_op_div, a, b, NULL);
}

nacre_tensor *nacre_neg(nacre_tensor *x)
{
    return nc_apply1(&nc_op_neg, x, NULL);
}

nacre_tensor *nacre_add_scalar(nacre_tensor *x, double value)
{
    return nacre_add(x, nc_scalar_like(x, value));
}

nacre_tensor *nacre_mul_scalar(nacre_tensor *x, double value)
{
    return nacre_mul(x, nc_scalar_like(x, value));
}

nacre_tensor *nacre_lerp(nacre_tensor *a, nacre_tensor *b, nacre_tensor *weight)
{
    return nacre_add(a, nacre_mul(weight, nacre_sub(b, a)));
}

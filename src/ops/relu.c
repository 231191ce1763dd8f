/* ops/relu.c - the rectifier and its gradient, which needs only the result. */
#include "ops/op.h"

static double relu(double x)
{
    return x < 0 ? 0 : x; /* NaN stays NaN */
}

static double pass_where_positive(double gradient, double y)
{
    return y > 0 ? gradient : 0;
}

static void reference(const nacre_call *call)
{
    nc_reference_unary(call, relu);
}

static void backward_reference(const nacre_call *call)
{
    nc_reference_binary(call, pass_where_positive);
}

static nacre_tensor *backward(nacre_tensor *gradient, nacre_tensor *y)
{
    return nc_apply2(&nc_op_relu_backward, gradient, y, NULL);
}

static void gradient(nacre_gradient_call *call)
{
    call->input_grads[0] = backward(call->output_grads[0], call->outputs[0]);
}

static void backward_gradient(nacre_gradient_call *call) /* the second derivative is zero almost everywhere */
{
    if (call->wanted[0]) call->input_grads[0] = backward(call->output_grads[0], call->inputs[1]);
}

static const char *const CASES[] = {"x=2x3x5", "x=scalar@0.5..1", "x=1000", "x=2x3x4x5", NULL};
static const char *const BACKWARD_CASES[] = {"dy=2x3x5 y=2x3x5", "dy=1000 y=1000", NULL};

const nacre_op nc_op_relu = {
    .name = "relu",
    .doc = "max(x, 0).",
    .onnx = "Relu",
    .inputs = "x",
    .outputs = "y",
    .flags = NACRE_OP_ELEMENTWISE,
    .shape = nc_shape_same,
    .gradient = gradient,
    .reference = reference,
    .cases = CASES,
};

const nacre_op nc_op_relu_backward = {
    .name = "relu_backward",
    .doc = "dy where y > 0, else 0: the gradient of relu from its result.",
    .inputs = "dy y",
    .outputs = "dx",
    .flags = NACRE_OP_ELEMENTWISE,
    .shape = nc_shape_broadcast,
    .gradient = backward_gradient,
    .reference = backward_reference,
    .cases = BACKWARD_CASES,
};

nacre_tensor *nacre_relu(nacre_tensor *x)
{
    return nc_apply1(&nc_op_relu, x, NULL);
}

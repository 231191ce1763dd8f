/* ops/silu.c - the sigmoid linear unit, also called swish (Elfwing et al. 2017), and its gradient. */
#include "ops/op.h"

#include <math.h>

static double silu(double x)
{
    return x / (1 + exp(-x));
}

static double backward_value(double dy, double x)
{
    double s = 1 / (1 + exp(-x));
    return dy * s * (1 + x * (1 - s));
}

static void reference(const nacre_call *call)
{
    nc_reference_unary(call, silu);
}

static void backward_reference(const nacre_call *call)
{
    nc_reference_binary(call, backward_value);
}

static void gradient(nacre_gradient_call *call)
{
    call->input_grads[0] = nc_apply2(&nc_op_silu_backward, call->output_grads[0], call->inputs[0], NULL);
}

static void backward_expand(nacre_graph *graph, nacre_tensor *const *inputs, int input_count, const int64_t *attributes,
                            nacre_tensor **outputs)
{
    (void)graph, (void)input_count, (void)attributes;
    nacre_tensor *dy = inputs[0], *x = inputs[1], *s = nacre_sigmoid(x);
    nacre_tensor *slope = nacre_mul(s, nacre_add_scalar(nacre_mul(x, nc_one_minus(s)), 1));
    outputs[0] = nacre_mul(dy, slope);
}

static const char *const CASES[] = {"x=2x3x5@-6..6", "x=scalar@0.5..1", "x=131@-9..9", "x=0x3", NULL};
static const char *const BACKWARD_CASES[] = {"dy=2x3x5 x=2x3x5@-6..6", "dy=131 x=131@-9..9", NULL};

const nacre_op nc_op_silu = {
    .name = "silu",
    .doc = "x sigmoid(x), also called swish (Elfwing et al. 2017).",
    .inputs = "x",
    .outputs = "y",
    .flags = NACRE_OP_ELEMENTWISE,
    .shape = nc_shape_float,
    .gradient = gradient,
    .reference = reference,
    .cases = CASES,
};

const nacre_op nc_op_silu_backward = {
    .name = "silu_backward",
    .doc = "dy times the derivative of silu at x.",
    .inputs = "dy x",
    .outputs = "dx",
    .flags = NACRE_OP_ELEMENTWISE,
    .shape = nc_shape_broadcast,
    .expand = backward_expand,
    .reference = backward_reference,
    .cases = BACKWARD_CASES,
};

nacre_tensor *nacre_silu(nacre_tensor *x)
{
    return nc_apply1(&nc_op_silu, x, NULL);
}

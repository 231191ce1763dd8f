/* ops/gelu.c - the Gaussian error linear unit (Hendrycks and Gimpel 2016) and its gradient. */
#include "ops/op.h"

#include <math.h>

enum { APPROXIMATE, WORDS };
#define SQRT_2_OVER_PI (M_2_SQRTPI * M_SQRT1_2) /* sqrt(2 / pi) */
#define CUBIC          0.044715
#define SCHEMA                                                                                                         \
    {                                                                                                                  \
        {                                                                                                              \
            "approximate", NACRE_ATTRIBUTE_ENUM,                                                                       \
                .choices = "none|tanh",                                                                                \
                .doc = "none: the normal distribution itself; tanh: x/2 (1 + tanh(sqrt(2/pi) (x + 0.044715 x^3)))"     \
        }                                                                                                              \
    }

double nc_gelu_value(double x, bool with_tanh)
{
    if (with_tanh) return 0.5 * x * (1 + tanh(SQRT_2_OVER_PI * (x + CUBIC * x * x * x)));
    return 0.5 * x * (1 + erf(x * M_SQRT1_2));
}

static double value(const double *operands, const int64_t *attributes)
{
    return nc_gelu_value(operands[0], attributes[APPROXIMATE] != 0);
}

static double backward_value(const double *operands, const int64_t *attributes)
{
    double dy = operands[0], x = operands[1];
    if (attributes[APPROXIMATE]) {
        double t = tanh(SQRT_2_OVER_PI * (x + CUBIC * x * x * x));
        return dy * 0.5 * (1 + t + x * (1 - t * t) * SQRT_2_OVER_PI * (1 + 3 * CUBIC * x * x));
    }
    double density = 0.5 * SQRT_2_OVER_PI * exp(-0.5 * x * x);
    return dy * (0.5 * (1 + erf(x * M_SQRT1_2)) + x * density);
}

static void reference(const nacre_call *call)
{
    nc_reference_elementwise(call, value);
}

static void backward_reference(const nacre_call *call)
{
    nc_reference_elementwise(call, backward_value);
}

static void gradient(nacre_gradient_call *call)
{
    call->input_grads[0] = nc_apply2(&nc_op_gelu_backward, call->output_grads[0], call->inputs[0], call->attributes);
}

/* Phi(x) + x phi(x) */
static nacre_tensor *exact_slope(nacre_tensor *x)
{
    nacre_tensor *twice_phi = nacre_add_scalar(nacre_erf(nacre_mul_scalar(x, M_SQRT1_2)), 1);
    nacre_tensor *density = nacre_mul_scalar(nacre_exp(nacre_mul_scalar(nacre_square(x), -0.5)), SQRT_2_OVER_PI);
    return nacre_mul_scalar(nacre_add(twice_phi, nacre_mul(x, density)), 0.5);
}

/* (1 + t + x (1 - t^2) u') / 2 with t = tanh(u) */
static nacre_tensor *tanh_slope(nacre_tensor *x)
{
    nacre_tensor *x2 = nacre_square(x);
    nacre_tensor *t =
        nacre_tanh(nacre_mul(nacre_mul_scalar(x, SQRT_2_OVER_PI), nacre_add_scalar(nacre_mul_scalar(x2, CUBIC), 1)));
    nacre_tensor *du = nacre_mul_scalar(nacre_add_scalar(nacre_mul_scalar(x2, 3 * CUBIC), 1), SQRT_2_OVER_PI);
    nacre_tensor *rest = nacre_mul(nacre_mul(x, nc_one_minus(nacre_square(t))), du);
    return nacre_mul_scalar(nacre_add(nacre_add_scalar(t, 1), rest), 0.5);
}

static void backward_expand(nacre_graph *graph, nacre_tensor *const *inputs, int input_count, const int64_t *attributes,
                            nacre_tensor **outputs)
{
    (void)graph, (void)input_count;
    outputs[0] = nacre_mul(inputs[0], attributes[APPROXIMATE] ? tanh_slope(inputs[1]) : exact_slope(inputs[1]));
}

static const char *const CASES[] = {
    "x=2x3x5@-4..4", "x=131@-6..6", "x=scalar@0.5..1", "x=3x1x7@-4..4 approximate=tanh", "x=131@-6..6 approximate=tanh",
    "x=0x3",         NULL};
static const char *const BACKWARD_CASES[] = {"dy=2x3x5 x=2x3x5@-4..4", "dy=131 x=131@-6..6",
                                             "dy=3x1x7 x=3x1x7@-4..4 approximate=tanh",
                                             "dy=131 x=131@-6..6 approximate=tanh", NULL};

const nacre_op nc_op_gelu = {
    .name = "gelu",
    .doc = "x times the normal distribution function at x (Hendrycks and Gimpel 2016).",
    .onnx = "Gelu",
    .inputs = "x",
    .outputs = "y",
    .attributes = SCHEMA,
    .flags = NACRE_OP_ELEMENTWISE,
    .shape = nc_shape_float,
    .gradient = gradient,
    .reference = reference,
    .cases = CASES,
};

const nacre_op nc_op_gelu_backward = {
    .name = "gelu_backward",
    .doc = "dy times the derivative of gelu at x.",
    .inputs = "dy x",
    .outputs = "dx",
    .attributes = SCHEMA,
    .flags = NACRE_OP_ELEMENTWISE,
    .shape = nc_shape_broadcast,
    .expand = backward_expand,
    .reference = backward_reference,
    .cases = BACKWARD_CASES,
};

nacre_tensor *nacre_gelu(nacre_tensor *x)
{
    return nc_apply1(&nc_op_gelu, x, NULL);
}

nacre_tensor *nacre_gelu_tanh(nacre_tensor *x)
{
    return nc_apply1(&nc_op_gelu, x, (int64_t[WORDS]){1});
}

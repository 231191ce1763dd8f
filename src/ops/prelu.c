/* ops/prelu.c - the rectifier with a learned slope (He et al. 2015), and the gated linear unit. */
#include "ops/elementwise.h"

static nacre_tensor *choose(nacre_tensor *x, nacre_tensor *above, nacre_tensor *below)
{
    return nacre_where(nacre_greater(x, nc_zero_like(x)), above, below);
}

static double value(const double *operands, const int64_t *attributes)
{
    double x = operands[0], slope = operands[1];
    (void)attributes;
    return x > 0 ? x : slope * x;
}

static void reference(const nacre_call *call)
{
    nc_reference_elementwise(call, value);
}

static void gradient(nacre_gradient_call *call)
{
    nacre_tensor *x = call->inputs[0], *slope = call->inputs[1], *dy = call->output_grads[0];
    if (call->wanted[0]) call->input_grads[0] = nc_sum_to(choose(x, dy, nacre_mul(dy, slope)), x);
    if (call->wanted[1]) call->input_grads[1] = nc_sum_to(choose(x, nc_zero_like(x), nacre_mul(dy, x)), slope);
}

static const char *const CASES[] = {"x=2x3x4 slope=3x1", "x=2x3x4x5 slope=3x1x1", "x=2x3x5 slope=scalar",
                                    "x=9 slope=1",       "x=0x3 slope=3",         NULL};

const nacre_op nc_op_prelu = {
    .name = "prelu",
    .doc = "x where x > 0, else slope x; the slope is an operand and broadcasts (He et al. 2015).",
    .onnx = "PRelu",
    .inputs = "x slope",
    .outputs = "y",
    .flags = NACRE_OP_ELEMENTWISE,
    .shape = nc_shape_float_broadcast,
    .gradient = gradient,
    .reference = reference,
    .cases = CASES,
};

nacre_tensor *nacre_prelu(nacre_tensor *x, nacre_tensor *slope)
{
    nacre_shape channels = NACRE_SHAPE(-1);
    while (channels.rank < nacre_tensor_rank(x) - 1) channels.dims[channels.rank++] = 1;
    if (nacre_tensor_rank(slope) == 1) slope = nacre_reshape(slope, channels);
    return nc_apply2(&nc_op_prelu, x, slope, NULL);
}

nacre_tensor *nacre_glu(nacre_tensor *x, int axis)
{
    nacre_tensor *halves[2];
    nacre_split(x, axis, NULL, 2, halves);
    return nacre_mul(halves[0], nacre_sigmoid(halves[1]));
}

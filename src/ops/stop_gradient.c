/* ops/stop_gradient.c - the same value, as a constant to differentiation. */
#include "ops/op.h"

const nacre_op nc_op_stop_gradient = {
    .name = "stop_gradient",
    .doc = "x, but gradients do not flow through.",
    .onnx = "Identity",
    .inputs = "x",
    .outputs = "y",
    .flags = NACRE_OP_ALIAS | NACRE_OP_NONDIFFERENTIABLE,
    .shape = nc_shape_same,
    .reference = nc_reference_copy,
};

nacre_tensor *nacre_stop_gradient(nacre_tensor *x)
{
    return nc_apply1(&nc_op_stop_gradient, x, NULL);
}

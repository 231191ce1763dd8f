/* ops/relayout.c - the same values in another memory order. Inserted by the layout pass. */
#include "ops/op.h"

static void gradient(nacre_gradient_call *call)
{
    call->input_grads[0] = call->output_grads[0];
}

const nacre_op nc_op_relayout = {
    .name = "relayout",
    .doc = "Copies a tensor of rank 4 into another memory order; its logical shape and values stay.",
    .inputs = "x",
    .outputs = "y",
    .attributes = {{"order", NACRE_ATTRIBUTE_ENUM, .choices = "plain|channels_last"}},
    .layouts = "d>d",
    .shape = nc_shape_same,
    .gradient = gradient,
    .reference = nc_reference_copy,
};

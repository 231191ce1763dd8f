/* ops/global_norm.c - the norm of all gradients, and what to clip them by. */
#include "ops/op.h"

#include <math.h>

static nacre_status shape(nacre_shape_call *call)
{
    if (call->input_count < 1) return nacre_shape_fail(call, NACRE_ERROR_ARGUMENT, "takes at least one tensor");
    call->shapes[0] = NACRE_SCALAR;
    call->dtypes[0] = nacre_tensor_dtype(call->inputs[0]);
    nacre_status status = nc_need_float(call);
    return status ? status : nc_need_one_dtype(call);
}

static void reference(const nacre_call *call)
{
    double sum = 0;
    for (int k = 0; k < call->input_count; k++)
        for (int64_t i = 0; i < nc_count(&call->inputs[k]); i++) {
            double value = nc_get(&call->inputs[k], i);
            sum += value * value;
        }
    nc_set(&call->outputs[0], 0, sqrt(sum));
}

static void gradient(nacre_gradient_call *call)
{
    nacre_tensor *factor = nacre_div(call->output_grads[0], call->outputs[0]);
    for (int i = 0; i < call->input_count; i++)
        if (call->wanted[i]) call->input_grads[i] = nacre_mul(call->inputs[i], factor);
}

static const char *const CASES[] = {"x=7", "x=2x3 x=100 x=scalar", NULL};

const nacre_op nc_op_global_norm = {
    .name = "global_norm",
    .doc = "The Euclidean norm of all elements of all operands together.",
    .inputs = "x*",
    .outputs = "y",
    .shape = shape,
    .gradient = gradient,
    .reference = reference,
    .cases = CASES,
};

nacre_tensor *nacre_global_norm(nacre_tensor *const *tensors, int count)
{
    return count > 0 ? nacre_apply(nacre_tensor_graph(tensors[0]), &nc_op_global_norm, tensors, count, NULL) : NULL;
}

nacre_tensor *nacre_clip_coefficient(nacre_tensor *norm, double largest)
{
    if (!norm) return NULL;
    nacre_tensor *ratio = nacre_div(nc_scalar_like(norm, largest), nacre_add(norm, nc_scalar_like(norm, 1e-6)));
    return nacre_minimum(ratio, nc_scalar_like(norm, 1));
}

/* ops/cast.c - the same values in another element type. */
#include "ops/op.h"

enum { DTYPE, WORDS };

static nacre_status shape(nacre_shape_call *call)
{
    int64_t dtype = call->attributes[DTYPE];
    if (dtype < 0 || dtype >= NACRE_DTYPE_COUNT)
        return nacre_shape_fail(call, NACRE_ERROR_ARGUMENT, "there is no element type %lld", (long long)dtype);
    nc_shape_same(call);
    call->dtypes[0] = (nacre_dtype)dtype;
    return NACRE_OK;
}

static void gradient(nacre_gradient_call *call)
{
    call->input_grads[0] = nacre_cast(call->output_grads[0], nacre_tensor_dtype(call->inputs[0]));
}

static const char *const CASES[] = {"x=2x3x5 dtype=f64",
                                    "x=2x3x5 dtype=bf16 !grad",
                                    "x=2x3x5 dtype=f16 !grad",
                                    "x=131@-300..300 dtype=i8",
                                    "x=131@-300..300 dtype=u8",
                                    "x=40@-9..9 dtype=i32",
                                    "x=40@-9..9 dtype=i64",
                                    "x=40:i32@-1..1 dtype=bool",
                                    "x=40:bool@0..1 dtype=f32 !grad",
                                    "x=3x1x4:i64@-9..9 dtype=i64",
                                    "x=scalar dtype=f32 !grad",
                                    "x=0x3 dtype=i32",
                                    NULL};

const nacre_op nc_op_cast = {
    .name = "cast",
    .doc = "x in another element type: floats round to nearest even, integers truncate towards zero and saturate (NaN "
           "becomes 0), bool is x != 0. The gradient passes between floating types.",
    .onnx = "Cast",
    .inputs = "x",
    .outputs = "y",
    .attributes = {{"dtype", NACRE_ATTRIBUTE_DTYPE, .required = true, .doc = "of the result"}},
    .flags = NACRE_OP_ELEMENTWISE,
    .shape = shape,
    .gradient = gradient,
    .reference = nc_reference_copy,
    .cases = CASES,
};

nacre_tensor *nacre_cast(nacre_tensor *x, nacre_dtype dtype)
{
    return nc_apply1(&nc_op_cast, x, (int64_t[WORDS]){dtype});
}

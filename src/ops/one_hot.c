/* ops/one_hot.c - class numbers as vectors. */
#include "ops/index.h"

enum { CLASSES, DTYPE, WORDS };

static nacre_status shape(nacre_shape_call *call)
{
    nacre_shape to = nacre_tensor_shape(call->inputs[0]);
    int64_t dtype = call->attributes[DTYPE];
    nacre_status status = nc_need_index(call, 0);
    if (status) return status;
    if (to.rank == NACRE_MAX_RANK || call->attributes[CLASSES] < 0 || dtype < 0 || dtype >= NACRE_DTYPE_COUNT)
        return nacre_shape_fail(call, NACRE_ERROR_ARGUMENT, "%lld classes for a tensor of rank %d",
                                (long long)call->attributes[CLASSES], to.rank);
    to.dims[to.rank++] = call->attributes[CLASSES];
    call->shapes[0] = to;
    call->dtypes[0] = (nacre_dtype)dtype;
    return NACRE_OK;
}

static void reference(const nacre_call *call)
{
    const nacre_view *indices = &call->inputs[0], *y = &call->outputs[0];
    int64_t at[NACRE_MAX_RANK] = {0};
    if (nc_count(y) == 0) return;
    do nc_set(y, nc_offset(y, at), nc_get(indices, nc_offset(indices, at)) == (double)at[indices->shape.rank]);
    while (nc_next(&y->shape, at));
}

static const char *const CASES[] = {"indices=5:i64@0..3 classes=4", "indices=2x3:i32@-1..4 classes=4 dtype=i64",
                                    "indices=scalar:u8@2..2 classes=3 dtype=bool", "indices=0:i64 classes=3", NULL};

const nacre_op nc_op_one_hot = {
    .name = "one_hot",
    .doc = "1 at the index along a new last axis of `classes` positions, 0 elsewhere, and 0 everywhere for an index "
           "outside.",
    .onnx = "OneHot",
    .inputs = "indices",
    .outputs = "y",
    .attributes = {{"classes", NACRE_ATTRIBUTE_INT, .required = true, .doc = "size of the new axis"},
                   {"dtype", NACRE_ATTRIBUTE_DTYPE, NACRE_F32, .doc = "of the result"}},
    .flags = NACRE_OP_NONDIFFERENTIABLE,
    .shape = shape,
    .reference = reference,
    .cases = CASES,
};

nacre_tensor *nacre_one_hot(nacre_tensor *indices, int64_t classes, nacre_dtype dtype)
{
    return nc_apply1(&nc_op_one_hot, indices, (int64_t[WORDS]){classes, dtype});
}

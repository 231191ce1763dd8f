/* ops/extremum.c - the largest and the smallest elements over axes, and where along one axis they are. */
#include "ops/reduce.h"
#include "ops/rows.h"

#include <math.h>

static nacre_status shape(nacre_shape_call *call)
{
    nacre_status status = nc_reduce_shape(call);
    if (status) return status;
    if (nc_reduced_count(call->inputs[0], call->attributes) > 0 || nacre_shape_count(call->shapes[0]) == 0)
        return NACRE_OK;
    return nacre_shape_fail(call, NACRE_ERROR_SHAPE, "there is none among no elements");
}

static double max_fold(const nacre_view *elements, const int64_t *attributes)
{
    (void)attributes;
    return nc_fold(elements, -INFINITY, nc_larger);
}

static double min_fold(const nacre_view *elements, const int64_t *attributes)
{
    (void)attributes;
    return nc_fold(elements, INFINITY, nc_smaller);
}

/* dy in equal parts to all elements that equal the result. */
static void gradient(nacre_gradient_call *call)
{
    nacre_tensor *x = call->inputs[0], *y = nc_unreduce(call->outputs[0], x, call->attributes);
    nacre_tensor *dy = nc_unreduce(call->output_grads[0], x, call->attributes);
    nacre_tensor *equal = nacre_cast(nacre_equal(x, y), nacre_tensor_dtype(x));
    nacre_reduce_options same_axes = nc_reduce_options(call->attributes);
    call->input_grads[0] = nacre_mul(equal, nacre_div(dy, nacre_sum(equal, &same_axes)));
}

static const char *const CASES[] = {"x=2x3x4",        "x=2x3x4 axes=1",         "x=2x3x5 axes=0,-1 keep=1",
                                    "x=64x33 axes=1", "x=9x5:i32@-3..3 axes=0", "x=2x4x3x5 axes=2,3",
                                    "x=scalar",       "x=0x3 axes=1",           NULL};

NC_REDUCTION(max, "ReduceMax",
             "The largest element over the given axes; NaN if there is one. Equal ones share the gradient.", shape,
             gradient, 0, CASES, {NULL});
NC_REDUCTION(min, "ReduceMin",
             "The smallest element over the given axes; NaN if there is one. Equal ones share the gradient.", shape,
             gradient, 0, CASES, {NULL});

nacre_tensor *nacre_max(nacre_tensor *x, const nacre_reduce_options *options)
{
    return nc_reduce(&nc_op_max, x, options);
}

nacre_tensor *nacre_min(nacre_tensor *x, const nacre_reduce_options *options)
{
    return nc_reduce(&nc_op_min, x, options);
}

/* ---- where they are ---- */

enum { AXIS, KEEP, WORDS };

static nacre_status place_shape(nacre_shape_call *call)
{
    nacre_shape from = nacre_tensor_shape(call->inputs[0]), to = {0};
    nacre_status status = nc_normalise_axis(call, &call->attributes[AXIS], from.rank);
    if (status) return status;
    for (int i = 0; i < from.rank; i++) {
        bool gone = i == call->attributes[AXIS];
        if (!gone || call->attributes[KEEP]) to.dims[to.rank++] = gone ? 1 : from.dims[i];
    }
    if (from.dims[call->attributes[AXIS]] == 0 && nacre_shape_count(to) > 0)
        return nacre_shape_fail(call, NACRE_ERROR_SHAPE, "there is none among no elements");
    call->shapes[0] = to;
    call->dtypes[0] = NACRE_I64;
    return NACRE_OK;
}

/* The first of equal ones, and the first NaN if there is one. */
static void find(const nacre_call *call, double (*better)(double, double))
{
    const nacre_view *x = &call->inputs[0], *y = &call->outputs[0];
    int axis = (int)call->attributes[AXIS];
    nacre_shape starts = nc_line_starts(&x->shape, axis);
    int64_t at[NACRE_MAX_RANK] = {0};
    if (nc_count(y) == 0) return;
    do {
        int64_t line = nc_offset(x, at), best = 0, result[NACRE_MAX_RANK];
        double value = nc_get_along(x, line, axis, 0);
        int rank = 0;
        for (int64_t i = 1; i < x->shape.dims[axis] && value == value; i++) {
            double next = nc_get_along(x, line, axis, i);
            if (better(value, next) == value) continue;
            value = next;
            best = i;
        }
        for (int i = 0; i < x->shape.rank; i++)
            if (i != axis || call->attributes[KEEP]) result[rank++] = at[i];
        nc_set(y, nc_offset(y, result), (double)best);
    } while (nc_next(&starts, at));
}

static void argmax_reference(const nacre_call *call)
{
    find(call, nc_larger);
}

static void argmin_reference(const nacre_call *call)
{
    find(call, nc_smaller);
}

static const char *const PLACE_CASES[] = {
    "x=3x7", "x=3x4x5 axis=1 keep=true", "x=9x2:i32@-1..1 axis=0", "x=100x10", "x=5x1", "x=0x3", NULL};
#define PLACE_SCHEMA                                                                                                   \
    {                                                                                                                  \
        {"axis", NACRE_ATTRIBUTE_INT, -1, .doc = "along which"},                                                       \
        {                                                                                                              \
            "keep", NACRE_ATTRIBUTE_BOOL, .doc = "the axis stays with size 1"                                          \
        }                                                                                                              \
    }

const nacre_op nc_op_argmax = {
    .name = "argmax",
    .doc = "The index of the largest element along an axis, the first of equal ones; NaN counts as the largest.",
    .onnx = "ArgMax",
    .inputs = "x",
    .outputs = "y",
    .attributes = PLACE_SCHEMA,
    .flags = NACRE_OP_NONDIFFERENTIABLE,
    .shape = place_shape,
    .reference = argmax_reference,
    .cases = PLACE_CASES,
};

const nacre_op nc_op_argmin = {
    .name = "argmin",
    .doc = "The index of the smallest element along an axis, the first of equal ones; NaN counts as the smallest.",
    .onnx = "ArgMin",
    .inputs = "x",
    .outputs = "y",
    .attributes = PLACE_SCHEMA,
    .flags = NACRE_OP_NONDIFFERENTIABLE,
    .shape = place_shape,
    .reference = argmin_reference,
    .cases = PLACE_CASES,
};

nacre_tensor *nacre_argmax(nacre_tensor *x, int axis, bool keep)
{
    return nc_apply1(&nc_op_argmax, x, (int64_t[WORDS]){axis, keep});
}

nacre_tensor *nacre_argmin(nacre_tensor *x, int axis, bool keep)
{
    return nc_apply1(&nc_op_argmin, x, (int64_t[WORDS]){axis, keep});
}

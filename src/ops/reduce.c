/* ops/reduce.c - what the reductions share, and sum. */
#include "ops/reduce.h"

#include <string.h>

void nc_reduce_words(int64_t words[NC_REDUCE_WORDS], const nacre_reduce_options *options)
{
    memset(words, 0, sizeof(int64_t) * NC_REDUCE_WORDS);
    if (!options) return;
    nc_put_ints(words, options->axes, options->axis_count, NACRE_MAX_RANK);
    words[NC_REDUCE_KEEP] = options->keep;
}

bool nc_is_reduced(const int64_t *attributes, int axis)
{
    for (int i = 0; i < attributes[0]; i++)
        if (attributes[1 + i] == axis) return true;
    return false;
}

nacre_status nc_reduce_shape(nacre_shape_call *call)
{
    nacre_shape from = nacre_tensor_shape(call->inputs[0]), to = {0};
    int64_t *axes = call->attributes + NC_REDUCE_AXES;
    bool reduced[NACRE_MAX_RANK] = {false};
    for (int i = 0; i < axes[0]; i++) {
        nacre_status status = nc_normalise_axis(call, &axes[1 + i], from.rank);
        if (status) return status;
        if (reduced[axes[1 + i]])
            return nacre_shape_fail(call, NACRE_ERROR_ARGUMENT, "axis %lld is named twice", (long long)axes[1 + i]);
        reduced[axes[1 + i]] = true;
    }
    bool all = axes[0] == 0;
    axes[0] = 0;
    for (int i = 0; i < from.rank; i++) {
        bool keep = call->attributes[NC_REDUCE_KEEP] != 0;
        if (all || reduced[i])
            axes[1 + axes[0]++] = i;
        else
            to.dims[to.rank++] = from.dims[i];
        if ((all || reduced[i]) && keep) to.dims[to.rank++] = 1;
    }
    for (int i = (int)axes[0]; i < NACRE_MAX_RANK; i++) axes[1 + i] = 0;
    call->shapes[0] = to;
    call->dtypes[0] = nacre_tensor_dtype(call->inputs[0]);
    return NACRE_OK;
}

nacre_tensor *nc_unreduce(nacre_tensor *reduced, nacre_tensor *x, const int64_t *attributes)
{
    nacre_shape shape = nacre_tensor_shape(x);
    for (int i = 0; i < shape.rank; i++)
        if (nc_is_reduced(attributes, i)) shape.dims[i] = 1;
    return nacre_reshape(reduced, shape);
}

void nc_reference_reduce(const nacre_call *call, double start, double (*take)(double, double),
                         double (*finish)(double, double))
{
    const nacre_view *x = &call->inputs[0], *y = &call->outputs[0];
    nacre_shape outer = x->shape, inner = {.rank = x->shape.rank};
    for (int i = 0; i < x->shape.rank; i++) {
        bool reduced = nc_is_reduced(call->attributes, i);
        inner.dims[i] = reduced ? x->shape.dims[i] : 1;
        if (reduced) outer.dims[i] = 1;
    }
    int64_t at[NACRE_MAX_RANK] = {0};
    if (nc_count(y) == 0) return;
    do {
        int64_t in[NACRE_MAX_RANK] = {0}, position[NACRE_MAX_RANK], result[NACRE_MAX_RANK];
        double state = start;
        if (nacre_shape_count(inner) > 0) {
            do {
                for (int i = 0; i < x->shape.rank; i++) position[i] = at[i] + in[i];
                state = take(state, nc_get(x, nc_offset(x, position)));
            } while (nc_next(&inner, in));
        }
        int rank = 0;
        bool keep = call->attributes[NC_REDUCE_KEEP] != 0;
        for (int i = 0; i < x->shape.rank; i++)
            if (keep || !nc_is_reduced(call->attributes, i)) result[rank++] = at[i];
        nc_set(y, nc_offset(y, result), finish ? finish(state, (double)nacre_shape_count(inner)) : state);
    } while (nc_next(&outer, at));
}

/* ---- sum ---- */

static double take_sum(double state, double x)
{
    return state + x;
}

static void sum_reference(const nacre_call *call)
{
    nc_reference_reduce(call, 0, take_sum, NULL);
}

static void sum_gradient(nacre_gradient_call *call)
{
    nacre_tensor *x = call->inputs[0];
    call->input_grads[0] = nacre_expand(nc_unreduce(call->output_grads[0], x, call->attributes), nacre_tensor_shape(x));
}

static const char *const CASES[] = {"x=2x3x4",         "x=2x3x4 axes=1", "x=2x3x4 axes=0,2 keep=1",
                                    "x=128x10 axes=0", "x=64x33 axes=1", "x=4x8x5x5 axes=0,2,3",
                                    "x=scalar",        "x=0x3 axes=0",   NULL};

const nacre_op nc_op_sum = {
    .name = "sum",
    .doc = "The sum over the given axes.",
    .onnx = "ReduceSum",
    .inputs = "x",
    .outputs = "y",
    .attributes = {NC_REDUCE_SCHEMA},
    .layouts = "d>p",
    .shape = nc_reduce_shape,
    .gradient = sum_gradient,
    .reference = sum_reference,
    .cases = CASES,
};

nacre_tensor *nacre_sum(nacre_tensor *x, const nacre_reduce_options *options)
{
    int64_t words[NC_REDUCE_WORDS];
    nc_reduce_words(words, options);
    return nc_apply1(&nc_op_sum, x, words);
}

/* ops/variance.c - the variance and the standard deviation over axes. */
#include "ops/reduce.h"

#include <math.h>

enum { CORRECTION = NC_REDUCE_WORDS, WORDS };

/* What the sum of squared distances is divided by. */
static double divisor(int64_t count, const int64_t *attributes)
{
    return fmax((double)count - (double)attributes[CORRECTION], 0);
}

static double var_fold(const nacre_view *elements, const int64_t *attributes)
{
    double squares = nc_fold_about(elements, nc_fold_mean(elements), nc_add_square);
    return squares / divisor(nc_count(elements), attributes);
}

static double std_fold(const nacre_view *elements, const int64_t *attributes)
{
    return sqrt(var_fold(elements, attributes));
}

/* dy times 2 (x - mean) / divisor */
static nacre_tensor *var_backward(const nacre_gradient_call *call, nacre_tensor *dy)
{
    nacre_tensor *x = call->inputs[0];
    double scale = 2 / divisor(nc_reduced_count(x, call->attributes), call->attributes);
    nacre_reduce_options same_axes = nc_reduce_options(call->attributes);
    nacre_tensor *distance = nacre_sub(x, nacre_mean(x, &same_axes));
    return nacre_mul(nc_unreduce(nacre_mul_scalar(dy, scale), x, call->attributes), distance);
}

static void var_gradient(nacre_gradient_call *call)
{
    call->input_grads[0] = var_backward(call, call->output_grads[0]);
}

/* 0 where all elements are equal. */
static void std_gradient(nacre_gradient_call *call)
{
    nacre_tensor *y = call->outputs[0], *zero = nc_zero_like(y);
    nacre_tensor *slope = nacre_div(call->output_grads[0], nacre_mul_scalar(y, 2));
    call->input_grads[0] = var_backward(call, nacre_where(nacre_equal(y, zero), zero, slope));
}

static const char *const CASES[] = {"x=2x3x4",
                                    "x=2x7x4 axes=1 correction=1",
                                    "x=2x3x5 axes=0,-1 keep=1",
                                    "x=64x33@9..10 axes=1",
                                    "x=5x4x3x3 axes=0,2,3",
                                    "x=2x1 axes=1",
                                    "x=0x3 axes=1",
                                    NULL};
#define CORRECTION_SCHEMA                                                                                              \
    {                                                                                                                  \
        "correction", NACRE_ATTRIBUTE_INT, .doc = "taken off the number of elements: 1 for an unbiased estimate"       \
    }

NC_REDUCTION(var, NULL,
             "The mean squared distance from the mean over the given axes: the sum of squares divided by the number of "
             "elements less `correction`.",
             nc_reduce_shape_float, var_gradient, 0, CASES, CORRECTION_SCHEMA);
NC_REDUCTION(std, NULL, "The square root of var. Its gradient where all elements are equal is 0.",
             nc_reduce_shape_float, std_gradient, 0, CASES, CORRECTION_SCHEMA);

nacre_tensor *nacre_var(nacre_tensor *x, const nacre_reduce_options *options, int64_t correction)
{
    int64_t words[WORDS];
    nc_reduce_words(words, options);
    words[CORRECTION] = correction;
    return nc_apply1(&nc_op_var, x, words);
}

nacre_tensor *nacre_std(nacre_tensor *x, const nacre_reduce_options *options, int64_t correction)
{
    int64_t words[WORDS];
    nc_reduce_words(words, options);
    words[CORRECTION] = correction;
    return nc_apply1(&nc_op_std, x, words);
}

/* ops/reduce.h - what the reductions share: the axes and keep attributes. */
#ifndef NC_OPS_REDUCE_H
#define NC_OPS_REDUCE_H

#include "ops/op.h"

/* Words: axes (count, up to 8; none means all), keep. */
enum { NC_REDUCE_AXES = 0, NC_REDUCE_KEEP = 1 + NACRE_MAX_RANK, NC_REDUCE_WORDS };
#define NC_REDUCE_SCHEMA                                                                                               \
    {"axes", NACRE_ATTRIBUTE_INTS, .limit = NACRE_MAX_RANK, .doc = "axes to reduce; none: all"},                       \
    {                                                                                                                  \
        "keep", NACRE_ATTRIBUTE_BOOL, .doc = "keep reduced axes with size 1"                                           \
    }

void nc_reduce_words(int64_t words[NC_REDUCE_WORDS], const nacre_reduce_options *options);
/* The other way round, for a reduction over the same axes, which stay with size 1. */
nacre_reduce_options nc_reduce_options(const int64_t *attributes);
/* A reduction with no attributes but the common ones. */
nacre_tensor *nc_reduce(const nacre_op *op, nacre_tensor *x, const nacre_reduce_options *options);
/* Normalises the axes (sorted, all where none are given) and sets the shape of output 0; dtype as operand 0. */
nacre_status nc_reduce_shape(nacre_shape_call *call);
nacre_status nc_reduce_shape_float(nacre_shape_call *call);
/* Whether axis `i` of operand 0 is reduced. */
bool nc_is_reduced(const int64_t *attributes, int axis);
/* A reduced tensor (gradient or result) back with size 1 at the reduced axes, so that it broadcasts to x. */
nacre_tensor *nc_unreduce(nacre_tensor *reduced, nacre_tensor *x, const int64_t *attributes);
/* How many elements of x each result is made of. */
int64_t nc_reduced_count(nacre_tensor *x, const int64_t *attributes);
/* Each result = fold(the elements of operand 0 that it is made of, as a view; the attributes). */
void nc_reference_fold(const nacre_call *call, double (*fold)(const nacre_view *elements, const int64_t *attributes));
/* Walks over a view in row-major order: state = take(state, element). */
double nc_fold(const nacre_view *view, double state, double (*take)(double state, double x));
/* The same from 0 with element - center. */
double nc_fold_about(const nacre_view *view, double center, double (*take)(double state, double x));
double nc_add_square(double state, double x); /* to be taken: state + x^2 */
/* The mean of a view's elements, NaN if there are none. */
double nc_fold_mean(const nacre_view *view);

/* The descriptor of a reduction, whose function `symbol`_fold gives the value and `symbol`_gradient the gradient rule.
 * What follows are attributes after the common ones. */
#define NC_REDUCTION(symbol, onnx_name, text, shape_rule, gradient_rule, op_flags, case_list, ...)                     \
    static void symbol##_reference(const nacre_call *call)                                                             \
    {                                                                                                                  \
        nc_reference_fold(call, symbol##_fold);                                                                        \
    }                                                                                                                  \
    const nacre_op nc_op_##symbol = {                                                                                  \
        .name = #symbol,                                                                                               \
        .doc = text,                                                                                                   \
        .onnx = onnx_name,                                                                                             \
        .inputs = "x",                                                                                                 \
        .outputs = "y",                                                                                                \
        .attributes = {NC_REDUCE_SCHEMA, __VA_ARGS__},                                                                 \
        .flags = op_flags,                                                                                             \
        .layouts = "d>p",                                                                                              \
        .shape = shape_rule,                                                                                           \
        .gradient = gradient_rule,                                                                                     \
        .reference = symbol##_reference,                                                                               \
        .cases = case_list,                                                                                            \
    }

#endif

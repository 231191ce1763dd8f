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
/* Normalises the axes (sorted, all where none are given) and sets the shape of output 0; dtype as operand 0. */
nacre_status nc_reduce_shape(nacre_shape_call *call);
/* Whether axis `i` of operand 0 is reduced. */
bool nc_is_reduced(const int64_t *attributes, int axis);
/* A reduced tensor (gradient or result) back with size 1 at the reduced axes, so that it broadcasts to x. */
nacre_tensor *nc_unreduce(nacre_tensor *reduced, nacre_tensor *x, const int64_t *attributes);
/* For each result: state starts at `start`, takes in each element; then `finish` (may be NULL) with their number. */
void nc_reference_reduce(const nacre_call *call, double start, double (*take)(double state, double x),
                         double (*finish)(double state, double count));

#endif

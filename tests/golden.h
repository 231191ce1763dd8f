/* golden.h - comparing with the golden values of tests/golden. */
#ifndef NC_GOLDEN_H
#define NC_GOLDEN_H

#include "support.h"

#include <nacre/safetensors.h>

/* The tolerances of results in the two precisions, against values computed in f64. */
static inline double nc_tolerance(nacre_dtype dtype)
{
    return dtype == NACRE_F64 ? 1e-10 : 1e-4;
}

/* The largest error of `count` elements relative to the larger of the expected element and the root mean square of
 * all (1 if all are zero): where a sum cancels, its rounding is that of its terms. Infinite where only one side is not
 * finite. */
static inline double nc_furthest(nacre_dtype dtype, const void *got, const double *expected, int64_t count)
{
    double squares = 0, furthest = 0;
    for (int64_t i = 0; i < count; i++) squares += expected[i] * expected[i];
    double scale = squares > 0 ? sqrt(squares / (double)count) : 1;
    for (int64_t i = 0; i < count; i++) {
        double value = nacre_dtype_load(dtype, got, i), error = fabs(value - expected[i]);
        if (value == expected[i] || (isnan(value) && isnan(expected[i]))) continue;
        error /= fmax(scale, fabs(expected[i]));
        furthest = fmax(furthest, isnan(error) ? INFINITY : error);
    }
    return furthest;
}

/* The whole array as doubles, NULL when memory ran out; freed with free. */
static inline double *nc_golden_values(const nacre_named_array *array)
{
    double *values = malloc((size_t)nacre_shape_count(array->shape) * sizeof *values + 1);
    if (values) nacre_safetensors_load(array, NACRE_F64, values);
    return values;
}

#endif

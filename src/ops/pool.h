/* ops/pool.h - what the pooling operations share: planes, and results given by position. */
#ifndef NC_OPS_POOL_H
#define NC_OPS_POOL_H

#include "ops/window.h"

/* Result [N, C, sizes] of operand 0's type; fails where the spatial axes of operand 0 are empty. `sizes` NULL: those of
 * operand 0. */
nacre_status nc_pool_shape(nacre_shape_call *call, const int64_t *sizes);
/* Output 1: for each maximum its position in the input's plane, counted in row-major order, as i32. */
nacre_status nc_pool_indices_shape(nacre_shape_call *call);
/* The gradient rule of whatever has outputs (values, positions of them in operand 0). */
void nc_max_pool_gradient(nacre_gradient_call *call);

/* The largest so far of a window and where it stands; the first of equals, and NaN wins. */
typedef struct nc_largest {
    double value;
    int64_t position; /* -1: none yet */
} nc_largest;
static inline void nc_take_largest(nc_largest *largest, double value, int64_t position)
{
    if (largest->position < 0 || value > largest->value || value != value)
        *largest = (nc_largest){.value = value, .position = position};
}

/* Row-major position of a spatial index. */
static inline int64_t nc_plane_position(const nacre_shape *shape, const int64_t *spatial)
{
    int64_t position = 0;
    for (int i = 2; i < shape->rank; i++) position = position * shape->dims[i] + spatial[i - 2];
    return position;
}

#endif

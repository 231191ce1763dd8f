/* ops/rows.h - walking over the lines along one axis. */
#ifndef NC_OPS_ROWS_H
#define NC_OPS_ROWS_H

#include "ops/op.h"

/* All positions with index 0 along `axis`: the shape to step through with nc_next, one position per line. */
static inline nacre_shape nc_line_starts(const nacre_shape *shape, int axis)
{
    nacre_shape starts = *shape;
    starts.dims[axis] = 1;
    return starts;
}

/* Element `i` of the line that starts at `offset`. */
static inline double nc_get_along(const nacre_view *view, int64_t offset, int axis, int64_t i)
{
    return nc_get(view, offset + i * view->strides[axis]);
}

static inline void nc_set_along(const nacre_view *view, int64_t offset, int axis, int64_t i, double value)
{
    nc_set(view, offset + i * view->strides[axis], value);
}

/* log(sum(exp(x))) of a line without overflow; -infinity for a line of nothing else. */
double nc_logsumexp_along(const nacre_view *view, int64_t offset, int axis);

#endif

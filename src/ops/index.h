/* ops/index.h - what indices along an axis mean, wherever they are operands: negative ones count from the end; one that
 * is still outside reads NaN (0 where the type has none) and writes nothing. */
#ifndef NC_OPS_INDEX_H
#define NC_OPS_INDEX_H

#include "ops/op.h"

#include <math.h>

/* The position an index element stands for, -1 if there is none. */
static inline int64_t nc_position(const nacre_view *indices, int64_t offset, int64_t dim)
{
    double index = nc_get(indices, offset);
    if (index < 0) index += (double)dim;
    return index >= 0 && index < (double)dim ? (int64_t)index : -1;
}

static inline void nc_set_missing(const nacre_view *view, int64_t offset)
{
    nc_set(view, offset, nacre_dtype_is_float(view->dtype) ? NAN : 0);
}

/* The operand must be of an integer type. */
nacre_status nc_need_index(nacre_shape_call *call, int operand);

#define NC_NO_PADDING_INDEX INT64_MIN

/* The gradient of nacre_take(x, indices, axis) with regard to x, whose axis has `size` positions. */
nacre_tensor *nc_take_backward(nacre_tensor *dy, nacre_tensor *indices, int axis, int64_t size, int64_t padding_index);

#endif

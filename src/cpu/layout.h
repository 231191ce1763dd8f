/* cpu/layout.h - questions about the memory order of views. */
#ifndef NC_CPU_LAYOUT_H
#define NC_CPU_LAYOUT_H

#include <nacre/backend.h>

/* Strides of an axis of size 1 say nothing. */
static inline bool nc_has_strides(const nacre_view *view, const int64_t *strides)
{
    for (int i = 0; i < view->shape.rank; i++)
        if (view->shape.dims[i] > 1 && view->strides[i] != strides[i]) return false;
    return true;
}

static inline bool nc_is_channels_last(const nacre_view *view)
{
    const int64_t *d = view->shape.dims;
    return view->shape.rank == 4 && nc_has_strides(view, (int64_t[]){d[1] * d[2] * d[3], 1, d[1] * d[3], d[1]});
}

static inline bool nc_is_plain(const nacre_view *view)
{
    int64_t strides[NACRE_MAX_RANK], stride = 1;
    for (int i = view->shape.rank - 1; i >= 0; i--) {
        strides[i] = stride;
        stride *= view->shape.dims[i];
    }
    return nc_has_strides(view, strides);
}

#endif

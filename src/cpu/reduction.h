/* cpu/reduction.h - the loops of a reduction over some axes of a dense tensor. */
#ifndef NC_CPU_REDUCTION_H
#define NC_CPU_REDUCTION_H

#include <nacre/backend.h>

typedef struct nc_reduction_axis {
    int64_t size, x, y; /* strides of operand and result; y is 0 on a reduced axis */
} nc_reduction_axis;

/* Axes in the operand's memory order, neighbours of one kind merged: the innermost one, on which x is contiguous, and
 * the kept and the reduced ones outside of it. */
typedef struct nc_reduction {
    nc_reduction_axis inner, kept[NACRE_MAX_RANK], reduced[NACRE_MAX_RANK];
    int kept_rank, reduced_rank;
    bool inner_reduced;
    int64_t kept_count, reduced_count; /* products of the outer axes */
    int64_t per_result;                /* elements that meet in one result */
} nc_reduction;

/* `attributes` begin with a list of axes (ops/reduce.h); `keep` says whether reduced axes stay with size 1. */
void nc_reduction_make(nc_reduction *reduction, const nacre_view *x, const nacre_view *y, const int64_t *attributes,
                       bool keep);

/* Steps `index` to the next position of some axes and moves the offsets along; wraps to the start at the end. */
static inline void nc_reduction_next(const nc_reduction_axis *axes, int rank, int64_t *index, int64_t *x, int64_t *y)
{
    for (int i = rank - 1; i >= 0; i--) {
        *x += axes[i].x;
        *y += axes[i].y;
        if (++index[i] < axes[i].size) return;
        *x -= index[i] * axes[i].x;
        *y -= index[i] * axes[i].y;
        index[i] = 0;
    }
}

/* Position `at` of some axes in row-major order. */
static inline void nc_reduction_seek(const nc_reduction_axis *axes, int rank, int64_t at, int64_t *index, int64_t *x,
                                     int64_t *y)
{
    *x = *y = 0;
    for (int i = rank - 1; i >= 0; i--) {
        index[i] = at % axes[i].size;
        at /= axes[i].size;
        *x += index[i] * axes[i].x;
        *y += index[i] * axes[i].y;
    }
}

#endif

/* cpu/reduction.c - the loops of a reduction over some axes of a dense tensor. */
#include "cpu/reduction.h"

#include "ops/reduce.h"

struct axis {
    nc_reduction_axis axis;
    bool reduced;
};

/* Axes of more than one element from the outermost in memory to the innermost. */
static int in_memory_order(const nacre_view *x, const nacre_view *y, const int64_t *attributes, bool keep,
                           struct axis axes[NACRE_MAX_RANK])
{
    int rank = 0, y_axis = 0;
    for (int i = 0; i < x->shape.rank; i++) {
        const bool reduced = nc_is_reduced(attributes, i);
        const int own = y_axis;
        if (keep || !reduced) y_axis++;
        if (x->shape.dims[i] == 1) continue;
        const struct axis axis = {{x->shape.dims[i], x->strides[i], reduced ? 0 : y->strides[own]}, reduced};
        int at = rank++;
        for (; at > 0 && axes[at - 1].axis.x < axis.axis.x; at--) axes[at] = axes[at - 1];
        axes[at] = axis;
    }
    return rank;
}

static int merge(struct axis *axes, int rank)
{
    int merged = 0;
    for (int i = 0; i < rank; i++) {
        struct axis *last = &axes[merged - 1];
        const nc_reduction_axis *next = &axes[i].axis;
        if (merged > 0 && last->reduced == axes[i].reduced && last->axis.x == next->x * next->size &&
            last->axis.y == next->y * next->size)
            last->axis = (nc_reduction_axis){last->axis.size * next->size, next->x, next->y};
        else
            axes[merged++] = axes[i];
    }
    return merged;
}

void nc_reduction_make(nc_reduction *reduction, const nacre_view *x, const nacre_view *y, const int64_t *attributes,
                       bool keep)
{
    struct axis axes[NACRE_MAX_RANK];
    const int rank = merge(axes, in_memory_order(x, y, attributes, keep, axes));
    *reduction = (nc_reduction){.inner = {1, 1, 1}, .kept_count = 1, .reduced_count = 1, .per_result = 1};
    for (int i = 0; i < rank; i++) {
        const nc_reduction_axis axis = axes[i].axis;
        if (axes[i].reduced) reduction->per_result *= axis.size;
        if (i == rank - 1) {
            reduction->inner = axis;
            reduction->inner_reduced = axes[i].reduced;
        } else if (axes[i].reduced) {
            reduction->reduced[reduction->reduced_rank++] = axis;
            reduction->reduced_count *= axis.size;
        } else {
            reduction->kept[reduction->kept_rank++] = axis;
            reduction->kept_count *= axis.size;
        }
    }
}

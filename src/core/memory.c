/* core/memory.c - greedy packing by size. */
#include "core/memory.h"

#include <stdlib.h>

enum { ALIGNMENT = 64 };

static int larger_first(const void *a, const void *b)
{
    const nc_lifetime *x = *(nc_lifetime *const *)a, *y = *(nc_lifetime *const *)b;
    if (x->bytes != y->bytes) return x->bytes < y->bytes ? 1 : -1;
    return x < y ? -1 : x > y; /* the same plan for the same graph */
}

static bool overlap_in_time(const nc_lifetime *a, const nc_lifetime *b)
{
    return a->first <= b->last && b->first <= a->last;
}

/* The lowest gap between the already placed ones (sorted by offset) that live at the same time. */
static size_t lowest_gap(nc_lifetime *const *placed, int count, const nc_lifetime *item)
{
    size_t free_from = 0;
    for (int i = 0; i < count; i++) {
        if (!overlap_in_time(placed[i], item)) continue;
        if (placed[i]->offset >= free_from + item->bytes) break;
        size_t end = placed[i]->offset + placed[i]->bytes;
        if (end > free_from) free_from = end;
    }
    return free_from;
}

static void insert_by_offset(nc_lifetime **placed, int count, nc_lifetime *item)
{
    int at = count;
    for (; at > 0 && placed[at - 1]->offset > item->offset; at--) placed[at] = placed[at - 1];
    placed[at] = item;
}

size_t nc_pack(nacre_context *context, nc_lifetime *lifetimes, int count)
{
    if (count == 0) return 0;
    nc_lifetime **order = nacre_allocate(context, sizeof *order * (size_t)count);
    nc_lifetime **placed = nacre_allocate(context, sizeof *placed * (size_t)count);
    size_t total = SIZE_MAX;
    if (order && placed) {
        for (int i = 0; i < count; i++) {
            lifetimes[i].bytes = (lifetimes[i].bytes + ALIGNMENT - 1) & ~(size_t)(ALIGNMENT - 1);
            order[i] = &lifetimes[i];
        }
        qsort(order, (size_t)count, sizeof *order, larger_first);
        total = 0;
        int placed_count = 0;
        for (int i = 0; i < count; i++) {
            if (order[i]->kept) continue;
            order[i]->offset = lowest_gap(placed, placed_count, order[i]);
            insert_by_offset(placed, placed_count++, order[i]);
            if (order[i]->offset + order[i]->bytes > total) total = order[i]->offset + order[i]->bytes;
        }
    }
    nacre_release(context, order);
    nacre_release(context, placed);
    return total;
}

/* cpu/share.h - cutting work into parts. */
#ifndef NC_CPU_SHARE_H
#define NC_CPU_SHARE_H

#include <stdint.h>

typedef struct nc_range {
    int64_t begin, end;
} nc_range;

static inline int64_t nc_ceil_div(int64_t a, int64_t b)
{
    return (a + b - 1) / b;
}

static inline int64_t nc_round_up(int64_t a, int64_t unit)
{
    return nc_ceil_div(a, unit) * unit;
}

static inline int64_t nc_least(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

static inline int64_t nc_most(int64_t a, int64_t b)
{
    return a > b ? a : b;
}

/* Part `index` of `parts` of [0, count), as even as whole units allow. */
static inline nc_range nc_share(int64_t count, int64_t unit, int64_t parts, int64_t index)
{
    const int64_t units = nc_ceil_div(count, unit);
    return (nc_range){nc_least(units * index / parts * unit, count),
                      nc_least(units * (index + 1) / parts * unit, count)};
}

#endif

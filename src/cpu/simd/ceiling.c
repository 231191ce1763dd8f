/* cpu/simd/ceiling.c - multiply-adds that never leave the registers; memory written and read in order. */
#include "cpu/ceiling.h"

#include "cpu/simd/simd.h"

float nc_isa(nc_multiply_adds)(void)
{
    nc_vec sums[NC_CEILING_CHAINS], half = nc_splat(0.5f);
    NC_UNROLL
    for (int c = 0; c < NC_CEILING_CHAINS; c++) sums[c] = nc_splat((float)c);
    for (int i = 0; i < NC_CEILING_STEPS; i++) {
        NC_UNROLL
        for (int c = 0; c < NC_CEILING_CHAINS; c++) sums[c] = nc_fma(sums[c], half, half);
    }
    NC_UNROLL
    for (int c = 1; c < NC_CEILING_CHAINS; c++) sums[0] += sums[c];
    return nc_sum(sums[0]); /* so that the work cannot be left out */
}

void nc_isa(nc_triad)(float *a, const float *b, const float *c, int64_t count)
{
    int64_t i = 0;
    for (; i + NC_LANES <= count; i += NC_LANES)
        nc_store(a + i, nc_fma(nc_splat(0.5f), nc_load(c + i), nc_load(b + i)));
    for (; i < count; i++) a[i] = b[i] + 0.5f * c[i];
}

/* Fetched ahead, around the second-level cache: the fastest of the ways that were tried, by a few percent. */
uint32_t nc_isa(nc_read)(const char *data, int64_t lines)
{
    enum { AHEAD = 4096, VECTORS = NC_CEILING_LINE / NC_VECTOR_BYTES };
    nc_veci sums[VECTORS] = {{0}};
    for (int64_t i = 0; i < lines; i++, data += NC_CEILING_LINE) {
        __builtin_prefetch(data + AHEAD, 0, 0);
        NC_UNROLL
        for (int v = 0; v < VECTORS; v++) sums[v] ^= *(const nc_veci_any *)(const void *)(data + v * NC_VECTOR_BYTES);
    }
    uint32_t all = 0;
    for (int v = 0; v < VECTORS; v++)
        for (int lane = 0; lane < NC_LANES; lane++) all ^= (uint32_t)sums[v][lane];
    return all; /* so that the reading cannot be left out */
}

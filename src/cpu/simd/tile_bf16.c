/* cpu/simd/tile_bf16.c - register tiles of pairs of bf16: c += a0 b0 + a1 b1 in one instruction (AVX-512 BF16).
 *
 * As tile.h, but an element of a and b is a pair of bf16 numbers, two steps of k; sums and c are f32. The instruction
 * rounds once per pair and takes subnormal numbers for zero. Compiled for a processor that may lack it: the kernels
 * ask before they take a node. */
#include "cpu/simd/tile_bf16.h"

#include "cpu/ceiling.h"

#if defined(NC_ISA_avx512)

enum { GROUP = 3, GROUPS = (NC_TILE_ROWS + GROUP - 1) / GROUP }; /* as in tile_body.h */

NC_BF16 static inline __attribute__((always_inline)) void run(const nc_tile *tile, int order, int rows, int vectors)
{
    const int64_t a_row = order == NC_TILE_ROWS_CONTIGUOUS ? 1 : tile->a_row;
    const int64_t a_step = order == NC_TILE_ROWS_CONTIGUOUS ? tile->a_step : 1;
    __m512 sums[NC_TILE_ROWS][NC_TILE_VECTORS];
    __mmask16 mask[NC_TILE_VECTORS];
    NC_UNROLL
    for (int v = 0; v < vectors; v++) {
        const int64_t left = tile->columns - v * NC_LANES;
        mask[v] = (__mmask16)(left >= NC_LANES ? 0xffffu : (1u << left) - 1u);
    }
    NC_UNROLL
    for (int i = 0; i < rows; i++) {
        NC_UNROLL
        for (int v = 0; v < vectors; v++)
            sums[i][v] = tile->accumulate
                             ? _mm512_maskz_loadu_ps(mask[v], (float *)tile->c + i * tile->c_row + v * NC_LANES)
                             : _mm512_setzero_ps();
    }
    const int32_t *a[GROUPS], *b = tile->b;
    NC_UNROLL
    for (int g = 0; g < GROUPS; g++) a[g] = (const int32_t *)tile->a + g * GROUP * a_row;
    for (int64_t k = 0; k < tile->steps; k++) {
        __m512i columns[NC_TILE_VECTORS];
        NC_UNROLL
        for (int v = 0; v < vectors; v++) columns[v] = _mm512_loadu_si512(b + v * NC_LANES);
        NC_UNROLL
        for (int i = 0; i < rows; i++) {
            const __m512i row = _mm512_set1_epi32(a[i / GROUP][i % GROUP * a_row]);
            NC_UNROLL
            for (int v = 0; v < vectors; v++)
                sums[i][v] = _mm512_dpbf16_ps(sums[i][v], (__m512bh)row, (__m512bh)columns[v]);
        }
        NC_UNROLL
        for (int g = 0; g < GROUPS; g++) a[g] += a_step;
        b += tile->b_step;
    }
    NC_UNROLL
    for (int i = 0; i < rows; i++) {
        NC_UNROLL
        for (int v = 0; v < vectors; v++)
            _mm512_mask_storeu_ps((float *)tile->c + i * tile->c_row + v * NC_LANES, mask[v], sums[i][v]);
    }
}

/* cpu/ceiling.h */
NC_BF16 float nc_multiply_pairs_avx512(void)
{
    __m512 sums[NC_CEILING_CHAINS];
    const __m512bh ones = (__m512bh)_mm512_set1_epi16(0x3f80), small = (__m512bh)_mm512_set1_epi16(0x3000);
    NC_UNROLL
    for (int c = 0; c < NC_CEILING_CHAINS; c++) sums[c] = _mm512_set1_ps((float)c);
    for (int i = 0; i < NC_CEILING_STEPS; i++) {
        NC_UNROLL
        for (int c = 0; c < NC_CEILING_CHAINS; c++) sums[c] = _mm512_dpbf16_ps(sums[c], ones, small);
    }
    NC_UNROLL
    for (int c = 1; c < NC_CEILING_CHAINS; c++) sums[0] = _mm512_add_ps(sums[0], sums[c]);
    return _mm512_reduce_add_ps(sums[0]); /* so that the work cannot be left out */
}

#define DEFINE(rows)                                                                                                   \
    NC_BF16 static void steps_##rows##_1(const nc_tile *tile)                                                          \
    {                                                                                                                  \
        run(tile, NC_TILE_STEPS_CONTIGUOUS, rows, 1);                                                                  \
    }                                                                                                                  \
    NC_BF16 static void steps_##rows##_2(const nc_tile *tile)                                                          \
    {                                                                                                                  \
        run(tile, NC_TILE_STEPS_CONTIGUOUS, rows, 2);                                                                  \
    }                                                                                                                  \
    NC_BF16 static void rows_##rows##_1(const nc_tile *tile)                                                           \
    {                                                                                                                  \
        run(tile, NC_TILE_ROWS_CONTIGUOUS, rows, 1);                                                                   \
    }                                                                                                                  \
    NC_BF16 static void rows_##rows##_2(const nc_tile *tile)                                                           \
    {                                                                                                                  \
        run(tile, NC_TILE_ROWS_CONTIGUOUS, rows, 2);                                                                   \
    }
#define STEPS_ENTRY(rows) {steps_##rows##_1, steps_##rows##_2},
#define ROWS_ENTRY(rows)  {rows_##rows##_1, rows_##rows##_2},
#define EACH(X)           X(1) X(2) X(3) X(4) X(5) X(6) X(7) X(8) X(9) X(10) X(11) X(12) X(13) X(14)

EACH(DEFINE)
nc_tile_function *const nc_tiles_bf16[2][NC_TILE_ROWS][NC_TILE_VECTORS] = {{EACH(STEPS_ENTRY)}, {EACH(ROWS_ENTRY)}};

#else

typedef int nothing_on_this_level; /* an empty file is no C */

#endif

/* cpu/simd/tile_bf16.c - register tiles of pairs of bf16: c += a0 b0 + a1 b1 in one instruction (AVX-512 BF16).
 *
 * As tile.h, but an element of a and b is a pair of bf16 numbers, two steps of k; sums are f32, and c is either f32 or
 * rounded to bf16 with what follows the sums, before they leave the registers. The instruction rounds once per pair and
 * takes subnormal numbers for zero. Compiled for a processor that may lack it: the kernels ask before they take a node.
 */
#include "cpu/simd/tile_bf16.h"

#include "cpu/ceiling.h"

#include <math.h>

#if defined(NC_ISA_avx512)

enum { GROUP = 3, GROUPS = (NC_TILE_ROWS + GROUP - 1) / GROUP, LINE = 64 }; /* as in tile_body.h */

/* Over checks in what is unrolled here clang takes many minutes; gcc's sanitizers check it. */
#if defined(__clang__)
#define TILE_BF16 NC_BF16 __attribute__((no_sanitize("address", "undefined")))
#else
#define TILE_BF16 NC_BF16
#endif
#define INLINE_BF16 TILE_BF16 static inline __attribute__((always_inline))
typedef __m512 tile_sums[NC_TILE_ROWS][NC_TILE_VECTORS];

INLINE_BF16 void find_masks(const nc_tile *tile, int vectors, __mmask16 mask[NC_TILE_VECTORS])
{
    NC_UNROLL
    for (int v = 0; v < vectors; v++) {
        const int64_t left = tile->columns - v * NC_LANES;
        mask[v] = (__mmask16)(left >= NC_LANES ? 0xffffu : (1u << left) - 1u);
    }
}

/* From `before`, NULL: from zero. */
INLINE_BF16 void begin(const float *before, int64_t row, const __mmask16 mask[NC_TILE_VECTORS], int rows, int vectors,
                       tile_sums sums)
{
    NC_UNROLL
    for (int i = 0; i < rows; i++) {
        NC_UNROLL
        for (int v = 0; v < vectors; v++)
            sums[i][v] = before ? _mm512_maskz_loadu_ps(mask[v], before + i * row + v * NC_LANES) : _mm512_setzero_ps();
    }
}

/* What is left to fetch: see tile.h. Rows of c are `lines` lines each; the residual is among the reads. */
struct fetching {
    const char *c;
    int64_t rows, c_row, read_count; /* c_row: bytes */
    const char *const *reads;
};

INLINE_BF16 struct fetching begin_fetching(const nc_tile *tile, int rows, int64_t size)
{
    return (struct fetching){.c = (const char *)tile->c + rows * tile->c_row * size,
                             .rows = tile->fetch_below ? rows : 0,
                             .c_row = tile->c_row * size,
                             .read_count = tile->read_count,
                             .reads = tile->reads};
}

INLINE_BF16 void fetch(struct fetching *next, int lines)
{
    if (next->rows > 0) {
        NC_UNROLL
        for (int i = 0; i < lines; i++) __builtin_prefetch(next->c + i * LINE, 1);
        next->c += next->c_row;
        next->rows--;
    }
    if (next->read_count > 0) {
        __builtin_prefetch(*next->reads++);
        next->read_count--;
    }
}

INLINE_BF16 void multiply(const nc_tile *tile, int order, int rows, int vectors, struct fetching next, int lines,
                          tile_sums sums)
{
    const int64_t a_row = order == NC_TILE_ROWS_CONTIGUOUS ? 1 : tile->a_row;
    const int64_t a_step = order == NC_TILE_ROWS_CONTIGUOUS ? tile->a_step : 1;
    for (int64_t t = 0; t < tile->tap_count; t++) {
        const int32_t *a[GROUPS], *b = (const int32_t *)tile->b + tile->taps[t].b;
        NC_UNROLL
        for (int g = 0; g < GROUPS; g++) a[g] = (const int32_t *)tile->a + tile->taps[t].a + g * GROUP * a_row;
        for (int64_t k = 0; k < tile->steps; k++) {
            fetch(&next, lines);
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
    }
}

INLINE_BF16 void run(const nc_tile *tile, int order, int rows, int vectors)
{
    tile_sums sums;
    __mmask16 mask[NC_TILE_VECTORS];
    find_masks(tile, vectors, mask);
    float *c = tile->c;
    begin(tile->accumulate ? c : NULL, tile->c_row, mask, rows, vectors, sums);
    multiply(tile, order, rows, vectors, begin_fetching(tile, rows, sizeof *c), vectors, sums);
    NC_UNROLL
    for (int i = 0; i < rows; i++) {
        NC_UNROLL
        for (int v = 0; v < vectors; v++)
            _mm512_mask_storeu_ps(c + i * tile->c_row + v * NC_LANES, mask[v], sums[i][v]);
    }
}

/* Bias, residual and activation, in passes over the registers. */
INLINE_BF16 void follow(const nc_tile *tile, const __mmask16 mask[NC_TILE_VECTORS], int rows, int vectors,
                        tile_sums sums)
{
    if (tile->column_bias) {
        NC_UNROLL
        for (int v = 0; v < vectors; v++) {
            const __m512 bias = _mm512_maskz_loadu_ps(mask[v], (const float *)tile->column_bias + v * NC_LANES);
            NC_UNROLL
            for (int i = 0; i < rows; i++) sums[i][v] = _mm512_add_ps(sums[i][v], bias);
        }
    }
    if (tile->residual) {
        const uint16_t *residual = tile->residual;
        NC_UNROLL
        for (int i = 0; i < rows; i++) {
            NC_UNROLL
            for (int v = 0; v < vectors; v++) {
                const __m256i bits = _mm256_maskz_loadu_epi16(mask[v], residual + i * tile->c_row + v * NC_LANES);
                const __m512i wide = _mm512_slli_epi32(_mm512_cvtepu16_epi32(bits), 16);
                sums[i][v] = _mm512_add_ps(sums[i][v], _mm512_castsi512_ps(wide));
            }
        }
    }
    if (!tile->relu) return;
    const __m512 low = _mm512_setzero_ps();
    const __m512 high = _mm512_set1_ps(tile->ceiling > 0 ? (float)tile->ceiling : INFINITY);
    NC_UNROLL
    for (int i = 0; i < rows; i++) {
        NC_UNROLL
        for (int v = 0; v < vectors; v++) sums[i][v] = _mm512_min_ps(high, _mm512_max_ps(low, sums[i][v]));
    }
}

INLINE_BF16 void run_rounded(const nc_rounded_tile *rounded, int order, int rows, int vectors)
{
    const nc_tile *tile = &rounded->tile;
    tile_sums sums;
    __mmask16 mask[NC_TILE_VECTORS];
    find_masks(tile, vectors, mask);
    uint16_t *c = tile->c;
    begin(rounded->before, rounded->before_row, mask, rows, vectors, sums);
    multiply(tile, order, rows, vectors, begin_fetching(tile, rows, sizeof *c), 1, sums);
    follow(tile, mask, rows, vectors, sums);
    const bool whole = tile->columns == vectors * NC_LANES;
    NC_UNROLL
    for (int i = 0; i < rows; i++) {
        NC_UNROLL
        for (int v = 0; v < vectors; v++) {
            uint16_t *to = c + i * tile->c_row + v * NC_LANES;
            const __m256i halves = nc_round_to_bf16((nc_vec)sums[i][v]);
            if (whole)
                _mm256_storeu_si256((__m256i *)(void *)to, halves);
            else
                _mm256_mask_storeu_epi16(to, mask[v], halves);
        }
    }
}

/* cpu/ceiling.h */
TILE_BF16 float nc_multiply_pairs_avx512(void)
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

#define FUNCTION(name, tile_type, body, order, rows, vectors)                                                          \
    TILE_BF16 static void name##_##rows##_##vectors(const tile_type *tile)                                             \
    {                                                                                                                  \
        body(tile, order, rows, vectors);                                                                              \
    }
#define SIZES(name, tile_type, body, order, rows)                                                                      \
    FUNCTION(name, tile_type, body, order, rows, 1) FUNCTION(name, tile_type, body, order, rows, 2)
#define DEFINE(count)                                                                                                  \
    SIZES(steps, nc_tile, run, NC_TILE_STEPS_CONTIGUOUS, count)                                                        \
    SIZES(rows, nc_tile, run, NC_TILE_ROWS_CONTIGUOUS, count)                                                          \
    SIZES(rounded_steps, nc_rounded_tile, run_rounded, NC_TILE_STEPS_CONTIGUOUS, count)                                \
    SIZES(rounded_rows, nc_rounded_tile, run_rounded, NC_TILE_ROWS_CONTIGUOUS, count)
#define STEPS_ENTRY(rows)         {steps_##rows##_1, steps_##rows##_2},
#define ROWS_ENTRY(rows)          {rows_##rows##_1, rows_##rows##_2},
#define ROUNDED_STEPS_ENTRY(rows) {rounded_steps_##rows##_1, rounded_steps_##rows##_2},
#define ROUNDED_ROWS_ENTRY(rows)  {rounded_rows_##rows##_1, rounded_rows_##rows##_2},
#define EACH(X)                   X(1) X(2) X(3) X(4) X(5) X(6) X(7) X(8) X(9) X(10) X(11) X(12) X(13) X(14)

EACH(DEFINE)
nc_tile_function *const nc_tiles_bf16[2][NC_TILE_ROWS][NC_TILE_VECTORS] = {{EACH(STEPS_ENTRY)}, {EACH(ROWS_ENTRY)}};
nc_rounded_tile_function *const nc_tiles_rounded[2][NC_TILE_ROWS][NC_TILE_VECTORS] = {{EACH(ROUNDED_STEPS_ENTRY)},
                                                                                      {EACH(ROUNDED_ROWS_ENTRY)}};

#else

typedef int nothing_on_this_level; /* an empty file is no C */

#endif

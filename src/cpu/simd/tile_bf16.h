/* cpu/simd/tile_bf16.h - the register tile of tile.h over pairs of bf16, of the widest instruction set only. */
#ifndef NC_CPU_TILE_BF16_H
#define NC_CPU_TILE_BF16_H

#include "cpu/simd/tile.h"

#if defined(NC_ISA_avx512)
/* Of functions that only a processor with AVX-512 BF16 runs. */
#define NC_BF16 __attribute__((target("avx512bf16")))

/* To the nearest, even; subnormal numbers become zero. */
NC_BF16 static inline __m256i nc_round_to_bf16(nc_vec v)
{
    return (__m256i)_mm512_cvtneps_pbh((__m512)v);
}

/* [order of a][rows - 1][vectors - 1]; a, b and their strides count pairs, c is f32; no epilogue. */
extern nc_tile_function *const nc_tiles_bf16[2][NC_TILE_ROWS][NC_TILE_VECTORS];

/* The same with the epilogue, written once: c and the residual are bf16, the bias is f32. */
typedef struct nc_rounded_tile {
    nc_tile tile;
    const float *before; /* sums of earlier steps, NULL: none */
    int64_t before_row;
} nc_rounded_tile;
typedef void nc_rounded_tile_function(const nc_rounded_tile *tile);
extern nc_rounded_tile_function *const nc_tiles_rounded[2][NC_TILE_ROWS][NC_TILE_VECTORS];
#endif

#endif

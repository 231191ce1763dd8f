/* cpu/simd/tile.h - the register tile every matrix product and convolution here is made of.
 *
 *     c[i][j] = epilogue( (accumulate ? c[i][j] : 0) + sum over taps t and steps k of a_t[i][k] * b_t[k][j] )
 *
 * for i < rows, j < columns, where a_t = a + taps[t].a and b_t = b + taps[t].b. The rows x columns sums stay in
 * registers from the first step to the last. One vector of b serves all rows, each element of a is broadcast; with one
 * tap this is the inner kernel of a blocked matrix product (Van Zee and van de Geijn, "BLIS", 2015), with a tap for
 * each filter position it is a convolution without an im2col buffer, and with a tap for each image row it is a
 * convolution's weight gradient.
 */
#ifndef NC_CPU_TILE_H
#define NC_CPU_TILE_H

#include "cpu/simd/simd.h"

#include <stdbool.h>

typedef struct nc_tap {
    int64_t a, b; /* element offsets */
} nc_tap;

/* Strides are in elements. b's rows are contiguous; they need `vectors` whole vectors of readable memory each, of
 * which only `columns` are used (columns > (vectors - 1) * lanes). */
typedef struct nc_tile {
    const void *a;
    int64_t a_row, a_step;
    const void *b;
    int64_t b_step;
    const nc_tap *taps;
    int64_t tap_count, steps;
    void *c;
    int64_t c_row, columns;
    bool accumulate, relu;
    double ceiling;                                /* with relu: the largest value, 0: none */
    const void *row_bias, *column_bias, *residual; /* [rows], [columns], laid out like c; NULL: none */
    /* What comes next and lies beyond the caches is fetched while the sums grow, a line or two a step: all at once it
     * would take every buffer for misses, and a and b would wait behind it. */
    bool fetch_below;         /* the rows of c and the residual below these; else c itself, at once */
    const char *const *reads; /* lines that later tiles will read, `read_count` of them */
    int64_t read_count;
} nc_tile;

typedef void nc_tile_function(const nc_tile *tile);

/* Registers: rows * vectors sums, `vectors` of b, one broadcast. */
#define NC_TILE_VECTORS 2
#if defined(NC_ISA_avx512)
#define NC_TILE_ROWS 14
#elif defined(__aarch64__)
#define NC_TILE_ROWS 10
#else
#define NC_TILE_ROWS 6
#endif
#define NC_TILE_COLUMNS   (NC_TILE_VECTORS * NC_LANES)
#define NC_TILE_COLUMNS64 (NC_TILE_VECTORS * NC_LANES64)

/* How a is stored: consecutive rows apart and steps contiguous (a_step == 1), or rows contiguous (a_row == 1). */
enum { NC_TILE_STEPS_CONTIGUOUS, NC_TILE_ROWS_CONTIGUOUS };

/* [order of a][rows - 1][vectors - 1] */
extern nc_tile_function *const nc_isa(nc_tiles_f32)[2][NC_TILE_ROWS][NC_TILE_VECTORS];
extern nc_tile_function *const nc_isa(nc_tiles_f64)[2][NC_TILE_ROWS][NC_TILE_VECTORS];

#endif

/* cpu/simd/tile_f64.c - register tiles of double. */
#define NC_DOUBLE
#include "cpu/simd/tile.h"
#include "cpu/simd/real.h"

#include "cpu/simd/tile_body.h"

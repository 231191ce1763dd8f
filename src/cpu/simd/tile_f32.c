/* cpu/simd/tile_f32.c - register tiles of float. */
#include "cpu/simd/tile.h"
#include "cpu/simd/real.h"

#include "cpu/simd/tile_body.h"

/* cpu/simd/matmul_f32.c - matrix products of float. */
#include "cpu/matmul.h"
#include "cpu/share.h"
#include "cpu/simd/math.h"
#include "cpu/simd/tile.h"
#include "cpu/simd/real.h"

#include "cpu/simd/matmul_body.h"

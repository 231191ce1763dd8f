/* cpu/simd/matmul_f64.c - matrix products of double. */
#define NC_DOUBLE
#include "cpu/matmul.h"
#include "cpu/share.h"
#include "cpu/simd/tile.h"
#include "cpu/simd/real.h"

#include <math.h>

#include "cpu/simd/matmul_body.h"

/* cpu/simd/im2col_f64.c - convolutions of double as matrix products. */
#define NC_DOUBLE
#include "cpu/conv.h"
#include "cpu/matmul.h"
#include "cpu/share.h"
#include "cpu/simd/real.h"

#include "cpu/simd/im2col_body.h"

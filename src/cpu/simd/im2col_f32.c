/* cpu/simd/im2col_f32.c - convolutions of float as matrix products. */
#include "cpu/conv.h"
#include "cpu/matmul.h"
#include "cpu/share.h"
#include "cpu/simd/real.h"

#include "cpu/simd/im2col_body.h"

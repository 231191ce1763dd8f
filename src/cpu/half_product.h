/* cpu/half_product.h - matrix products of 16-bit numbers with f32 sums: the problem, apart from any graph. */
#ifndef NC_CPU_HALF_PRODUCT_H
#define NC_CPU_HALF_PRODUCT_H

#include <nacre/backend.h>

/* The matrix whose row p holds what a filter at position p of dense N,H,W,C images meets, tap by tap, the channels of
 * a tap side by side; zeros outside the image. Along an axis, output position o and tap t meet the input position
 * (o * step + t * tap + origin) / divisor, none where that is not whole. */
typedef struct nc_patches {
    int64_t channels;
    int64_t in[2], out[2], kernel[2];
    int64_t step[2], tap[2], origin[2], divisor[2];
} nc_patches;

/* A factor as the product sees it: lines (rows of a, columns of b) of k steps. Strides are in elements. With patches
 * `data` is the image; one of line and step is 1 and tells which way its rows run. */
typedef struct nc_half_matrix {
    const void *data;
    int64_t line, step;
    const nc_patches *patches;
    int64_t batch[NACRE_MAX_RANK];
} nc_half_matrix;

/* c = relu?( a . b + bias + residual ), once per batch item: a is [m, k], b is [k, n], c is [m, n] with contiguous
 * columns. a and b have elements of `dtype`, bf16 or f16; c, bias and residual have types of their own. */
typedef struct nc_half_product {
    int64_t m, n, k;
    nacre_dtype dtype, c_dtype, bias_dtype, residual_dtype;
    nc_half_matrix a, b;
    void *c;
    int64_t c_row;
    const void *bias, *residual; /* [n], laid out like c; NULL: none */
    bool relu;
    int batch_rank;
    int64_t batch[NACRE_MAX_RANK], c_batch[NACRE_MAX_RANK];
} nc_half_product;

/* Whether the processor multiplies pairs of bf16 (AVX-512 BF16). */
bool nc_has_bf16_pairs(void);

/* Works on any processor: factors become f32 while they are packed. `pairs`: bf16 stays bf16 and is multiplied in
 * pairs, where the processor can. The workspace is 64-byte aligned; no result depends on the number of threads. */
#define NC_HALF_PRODUCT_DECLARE(isa)                                                                                   \
    size_t nc_half_product_workspace_##isa(const nc_half_product *product, bool pairs, int threads);                   \
    void nc_half_product_##isa(const nc_half_product *product, bool pairs, void *workspace, nacre_team *team);
NC_HALF_PRODUCT_DECLARE(base)
#if defined(__x86_64__)
NC_HALF_PRODUCT_DECLARE(avx2)
NC_HALF_PRODUCT_DECLARE(avx512)
#endif

#endif

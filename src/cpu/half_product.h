/* cpu/half_product.h - matrix products of 16-bit numbers with f32 sums: the problem, apart from any graph. */
#ifndef NC_CPU_HALF_PRODUCT_H
#define NC_CPU_HALF_PRODUCT_H

#include "cpu/matmul.h"

/* The matrix whose row p holds what a filter at position p of dense N,H,W,C images meets: the rows of the kernel one
 * after the other, in each its columns, in each the channels; zeros outside the image. */
typedef struct nc_patches {
    int64_t channels;
    int64_t in[2], out[2], kernel[2], stride[2], pad[2];
} nc_patches;

/* A factor as the product sees it: lines (rows of a, columns of b) of k steps. Strides are in elements. */
typedef struct nc_half_matrix {
    const void *data;
    int64_t line, step;
    int64_t inner, inner_step; /* of b, inner > 0: step s lies at s / inner * step + s % inner * inner_step */
    const nc_patches *patches; /* of a: `data` is the image, line and step mean nothing */
    int64_t batch[NACRE_MAX_RANK];
} nc_half_matrix;

/* c = activation( a . b + bias + residual ), once per batch item: a is [m, k], b is [k, n], c is [m, n] with contiguous
 * columns. a and b have elements of `dtype`, bf16 or f16; c, bias and residual have types of their own. */
typedef struct nc_half_product {
    int64_t m, n, k;
    nacre_dtype dtype, c_dtype, bias_dtype, residual_dtype;
    nc_half_matrix a, b;
    void *c;
    int64_t c_row;
    const void *bias, *residual; /* [n], laid out like c; NULL: none */
    bool accumulate;             /* the sums begin with c: f32 results only */
    bool relu;
    float ceiling; /* with relu: the largest value, 0: none */
    nc_gelu_form gelu;
    int batch_rank;
    int64_t batch[NACRE_MAX_RANK], c_batch[NACRE_MAX_RANK];
} nc_half_product;

/* Whether the processor multiplies pairs of bf16 (AVX-512 BF16). */
bool nc_has_bf16_pairs(void);
/* Why a kernel compiled for this instruction set does not multiply pairs, NULL if it does. */
static inline const char *nc_pairs_refusal(void)
{
    const char *reason = "needs AVX-512 BF16";
#if defined(NC_ISA_avx512)
    if (nc_has_bf16_pairs()) reason = NULL;
#endif
    return reason;
}

/* Works on any processor: factors become f32 while they are packed. `pairs`: bf16 stays bf16 and is multiplied in
 * pairs, where the processor can. First b is packed, once for as many products as share it, then multiplied with;
 * nc_half_product does both for one product, with workspace of its own. All memory is 64-byte aligned; no result
 * depends on the number of threads. */
#define NC_HALF_PRODUCT_DECLARE(isa)                                                                                   \
    size_t nc_half_packed_bytes_##isa(const nc_half_product *product, bool pairs);                                     \
    void nc_half_pack_##isa(const nc_half_product *product, bool pairs, void *packed, nacre_team *team);               \
    size_t nc_half_workspace_##isa(const nc_half_product *product, bool pairs, int threads);                           \
    void nc_half_multiply_##isa(const nc_half_product *product, bool pairs, const void *packed, void *workspace,       \
                                nacre_team *team);                                                                     \
    size_t nc_half_product_workspace_##isa(const nc_half_product *product, bool pairs, int threads);                   \
    void nc_half_product_##isa(const nc_half_product *product, bool pairs, void *workspace, nacre_team *team);
NC_HALF_PRODUCT_DECLARE(base)
#if defined(__x86_64__)
NC_HALF_PRODUCT_DECLARE(avx2)
NC_HALF_PRODUCT_DECLARE(avx512)
#endif

#endif

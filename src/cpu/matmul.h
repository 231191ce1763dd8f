/* cpu/matmul.h - blocked matrix products on strided operands: the problem, apart from any graph. */
#ifndef NC_CPU_MATMUL_H
#define NC_CPU_MATMUL_H

#include <nacre/backend.h>

/* The forms of GELU: see ops/gelu.c. */
typedef enum nc_gelu_form { NC_NO_GELU, NC_GELU_EXACT, NC_GELU_TANH } nc_gelu_form;

/* c = activation( (accumulate ? c : 0) + a . b + row_bias + column_bias + residual ), once per batch item.
 *
 * a is [m, k], b is [k, n], c is [m, n] with contiguous columns. Strides are in elements and free for a and b, so
 * a transposed operand is one with its strides exchanged. Batch strides may be zero. Optional parts are NULL. */
typedef struct nc_matmul {
    int64_t m, n, k;
    const void *a;
    int64_t a_row, a_column;
    const void *b;
    int64_t b_row, b_column;
    void *c;
    int64_t c_row;
    bool accumulate, relu;
    nc_gelu_form gelu;                  /* f32 only */
    const void *row_bias, *column_bias; /* [m], [n]: the same for each batch item */
    const void *residual;               /* laid out like c */
    int batch_rank;
    int64_t batch[NACRE_MAX_RANK], a_batch[NACRE_MAX_RANK], b_batch[NACRE_MAX_RANK], c_batch[NACRE_MAX_RANK];
} nc_matmul;

/* The product that a matmul node asks for; without data where the views have none. */
nc_matmul nc_matmul_problem(const int64_t *attributes, const nacre_view *inputs, int input_count,
                            const nacre_view *output);
/* Why kernels of this element type do not take the node, NULL if they do. */
const char *nc_matmul_refusal(const nacre_node_info *node, nacre_dtype dtype);

/* One for each instruction set and element type. The workspace is 64-byte aligned; its contents need not be kept.
 * The result does not depend on the number of threads. */
#define NC_MATMUL_DECLARE(suffix)                                                                                      \
    void nc_matmul_##suffix(const nc_matmul *problem, void *workspace, nacre_team *team);                              \
    size_t nc_matmul_workspace_##suffix(const nc_matmul *problem, int threads);
NC_MATMUL_DECLARE(f32_base)
NC_MATMUL_DECLARE(f64_base)
#if defined(__x86_64__)
NC_MATMUL_DECLARE(f32_avx2)
NC_MATMUL_DECLARE(f64_avx2)
NC_MATMUL_DECLARE(f32_avx512)
NC_MATMUL_DECLARE(f64_avx512)
#endif

#endif

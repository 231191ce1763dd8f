/* cpu/simd/matmul_half.c - the matrix product of 16-bit numbers as a kernel. */
#include "cpu/half_product.h"
#include "cpu/matmul.h"
#include "cpu/share.h"
#include "cpu/simd/half.h"

enum { A, B, BIAS, RESIDUAL }; /* operands */
enum { LEAST_ROWS = 64, ALIGNMENT = 64 };

static bool in_pairs(nacre_dtype dtype)
{
    return dtype == NACRE_BF16 && !nc_pairs_refusal();
}

static const char *refuse(const nacre_node_info *node)
{
    const nacre_dtype dtype = node->inputs[A].dtype;
    if (!nc_is_half(dtype) || node->inputs[B].dtype != dtype) return "takes factors of 16 bits only";
    return NULL;
}

static nacre_dtype dtype_of(const nacre_view *inputs, int count, int index)
{
    return index < count ? inputs[index].dtype : NACRE_F32;
}

static nc_half_product product_of(const int64_t *attributes, const nacre_view *inputs, int input_count,
                                  const nacre_view *output)
{
    const nc_matmul matmul = nc_matmul_problem(attributes, inputs, input_count, output);
    nc_half_product p = {.m = matmul.m,
                         .n = matmul.n,
                         .k = matmul.k,
                         .dtype = inputs[A].dtype,
                         .c_dtype = output->dtype,
                         .bias_dtype = dtype_of(inputs, input_count, BIAS),
                         .residual_dtype = dtype_of(inputs, input_count, RESIDUAL),
                         .a = {.data = matmul.a, .line = matmul.a_row, .step = matmul.a_column},
                         .b = {.data = matmul.b, .line = matmul.b_column, .step = matmul.b_row},
                         .c = matmul.c,
                         .c_row = matmul.c_row,
                         .bias = matmul.column_bias,
                         .residual = matmul.residual,
                         .relu = matmul.relu,
                         .gelu = matmul.gelu,
                         .batch_rank = matmul.batch_rank};
    for (int i = 0; i < p.batch_rank; i++) {
        p.batch[i] = matmul.batch[i];
        p.a.batch[i] = matmul.a_batch[i];
        p.b.batch[i] = matmul.b_batch[i];
        p.c_batch[i] = matmul.c_batch[i];
    }
    return p;
}

static nc_half_product read_node(const nacre_node_info *node)
{
    return product_of(node->attributes, node->inputs, node->input_count, &node->outputs[0]);
}

/* Weights are packed once where that is seldom and pays: not for the few rows of a short prompt, nor where both factors
 * are transposed and f32 is the result, which is a gradient of weights. */
static bool packs_beforehand(const nc_half_product *p)
{
    const bool is_gradient = p->a.line == 1 && p->b.line == 1 && p->c_dtype == NACRE_F32;
    return p->m >= LEAST_ROWS && p->batch_rank == 0 && !is_gradient;
}

static size_t packed_bytes(const nc_half_product *p)
{
    return (size_t)nc_round_up((int64_t)nc_isa(nc_half_packed_bytes)(p, in_pairs(p->dtype)), ALIGNMENT);
}

static size_t prepared(const nacre_node_info *node)
{
    const nc_half_product p = read_node(node);
    return packs_beforehand(&p) ? packed_bytes(&p) : 0;
}

static void prepare(const nacre_call *call)
{
    const nc_half_product p = product_of(call->attributes, call->inputs, call->input_count, &call->outputs[0]);
    nc_isa(nc_half_pack)(&p, in_pairs(p.dtype), call->prepared, call->team);
}

static size_t workspace(const nacre_node_info *node)
{
    const nc_half_product p = read_node(node);
    const bool pairs = in_pairs(p.dtype);
    return packs_beforehand(&p) ? nc_isa(nc_half_workspace)(&p, pairs, node->threads)
                                : nc_isa(nc_half_product_workspace)(&p, pairs, node->threads);
}

static void run(const nacre_call *call)
{
    const nc_half_product p = product_of(call->attributes, call->inputs, call->input_count, &call->outputs[0]);
    const bool pairs = in_pairs(p.dtype);
    if (packs_beforehand(&p))
        nc_isa(nc_half_multiply)(&p, pairs, call->prepared, call->workspace, call->team);
    else
        nc_isa(nc_half_product)(&p, pairs, call->workspace, call->team);
}

const nacre_kernel nc_isa(nc_matmul_half_kernel) = {
    .op = "matmul",
    .variant = "packed_half_" NC_ISA_NAME,
    .flags = NACRE_KERNEL_MIXED,
    .can = refuse,
    .workspace = workspace,
    .run = run,
    .prepared = prepared,
    .prepare = prepare,
    .prepared_operand = B,
};

/* cpu/matmul.c - from a matmul node to a blocked matrix product. */
#include "cpu/matmul.h"

enum { A, B, BIAS, RESIDUAL };                 /* operands */
enum { TRANSPOSE_A, TRANSPOSE_B, ACTIVATION }; /* attribute words */
enum { NONE, RELU, GELU, GELU_TANH };          /* activations */

static nc_gelu_form gelu_of(int64_t activation)
{
    if (activation < GELU) return NC_NO_GELU;
    return activation == GELU ? NC_GELU_EXACT : NC_GELU_TANH;
}

const char *nc_matmul_refusal(const nacre_node_info *node, nacre_dtype dtype)
{
    if (dtype == NACRE_F64 && node->attributes[ACTIVATION] >= GELU) return "computes GELU in f32 only";
    if (node->outputs[0].dtype == dtype) return NULL;
    return dtype == NACRE_F32 ? "computes f32 only" : "computes f64 only";
}

/* Strides of an operand over the batch axes of the result: 0 where it broadcasts. */
static void batch_strides(const nacre_view *view, int batch_rank, int64_t *strides)
{
    const int shift = batch_rank - (view->shape.rank - 2);
    for (int i = 0; i < batch_rank; i++)
        strides[i] = i < shift || view->shape.dims[i - shift] == 1 ? 0 : view->strides[i - shift];
}

/* One b for all batch items: their rows together are one tall matrix. */
static void join_rows(nc_matmul *p)
{
    for (int i = 0; i < p->batch_rank; i++)
        if (p->b_batch[i] != 0) return;
    int64_t stride = p->m * p->a_row;
    for (int i = p->batch_rank - 1; i >= 0; i--) {
        if (p->batch[i] > 1 && p->a_batch[i] != stride) return;
        stride *= p->batch[i];
    }
    for (int i = 0; i < p->batch_rank; i++) p->m *= p->batch[i];
    p->batch_rank = 0;
}

static const void *optional(const nacre_view *inputs, int count, int index)
{
    return index < count ? inputs[index].data : NULL;
}

nc_matmul nc_matmul_problem(const int64_t *attributes, const nacre_view *inputs, int input_count,
                            const nacre_view *output)
{
    const nacre_view *a = &inputs[A], *b = &inputs[B];
    const int rank_a = a->shape.rank, rank_b = b->shape.rank, rank = output->shape.rank;
    const int row_a = rank_a - (attributes[TRANSPOSE_A] ? 1 : 2), inner_a = 2 * rank_a - 3 - row_a;
    const int inner_b = rank_b - (attributes[TRANSPOSE_B] ? 1 : 2), column_b = 2 * rank_b - 3 - inner_b;
    nc_matmul p = {.m = output->shape.dims[rank - 2],
                   .n = output->shape.dims[rank - 1],
                   .k = a->shape.dims[inner_a],
                   .a = a->data,
                   .a_row = a->strides[row_a],
                   .a_column = a->strides[inner_a],
                   .b = b->data,
                   .b_row = b->strides[inner_b],
                   .b_column = b->strides[column_b],
                   .c = output->data,
                   .c_row = output->strides[rank - 2],
                   .relu = attributes[ACTIVATION] == RELU,
                   .gelu = gelu_of(attributes[ACTIVATION]),
                   .column_bias = optional(inputs, input_count, BIAS),
                   .residual = optional(inputs, input_count, RESIDUAL),
                   .batch_rank = rank - 2};
    for (int i = 0; i < p.batch_rank; i++) p.batch[i] = output->shape.dims[i];
    batch_strides(a, p.batch_rank, p.a_batch);
    batch_strides(b, p.batch_rank, p.b_batch);
    batch_strides(output, p.batch_rank, p.c_batch);
    join_rows(&p);
    return p;
}

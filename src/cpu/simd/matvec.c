/* cpu/simd/matvec.c - matrix products with few rows by weights [out, in]: one token of a language model, one sample of
 * a network.
 *
 * There is little to compute for each weight, so what counts is that the weights are read once, in the order in which
 * they lie in memory, by all threads: no packing, a few rows of weights at a time against all rows of x, whose sums
 * stay in registers.
 */
#include "cpu/matmul.h"
#include "cpu/share.h"
#include "cpu/simd/simd.h"

enum {
    MOST_ROWS = 8,
#ifdef NACRE_STRESS
    GRAIN = 1 << 6,
#else
    GRAIN = 1 << 15, /* weights of a task */
#endif
    AHEAD = 1 << 10 /* bytes to fetch beforehand */
};

typedef struct matvec {
    const nc_matmul *problem;
    int64_t outputs_each; /* of a task */
} matvec;

static void finish(const nc_matmul *p, int64_t row, int64_t output, float sum)
{
    const int64_t at = row * p->c_row + output;
    if (p->column_bias) sum += ((const float *)p->column_bias)[output];
    if (p->residual) sum += ((const float *)p->residual)[at];
    if (p->relu && sum < 0) sum = 0;
    ((float *)p->c)[at] = sum;
}

/* `outputs` rows of weights from `first` on against `rows` rows of x. */
NC_ALWAYS_INLINE void multiply(const nc_matmul *p, int64_t first, int rows, int outputs)
{
    const float *x = p->a, *w = (const float *)p->b + first * p->b_column;
    nc_vec sums[MOST_ROWS][4] = {{{0}}};
    for (int64_t k = 0; k < p->k; k += NC_LANES) {
        const int64_t lanes = nc_least(p->k - k, NC_LANES);
        nc_vec weights[4];
        NC_UNROLL
        for (int o = 0; o < outputs; o++) {
            const float *at = w + o * p->b_column + k;
            __builtin_prefetch((const char *)at + AHEAD);
            weights[o] = lanes == NC_LANES ? nc_load(at) : nc_load_some(at, lanes);
        }
        NC_UNROLL
        for (int i = 0; i < rows; i++) {
            const float *at = x + i * p->a_row + k;
            const nc_vec v = lanes == NC_LANES ? nc_load(at) : nc_load_some(at, lanes);
            NC_UNROLL
            for (int o = 0; o < outputs; o++) sums[i][o] = nc_fma(v, weights[o], sums[i][o]);
        }
    }
    for (int i = 0; i < rows; i++)
        for (int o = 0; o < outputs; o++) finish(p, i, first + o, nc_sum(sums[i][o]));
}

NC_ALWAYS_INLINE void multiply_range(const nc_matmul *p, nc_range range, int rows, int outputs)
{
    int64_t j = range.begin;
    for (; j + outputs <= range.end; j += outputs) multiply(p, j, rows, outputs);
    for (; j < range.end; j++) multiply(p, j, rows, 1);
}

static void run_task(void *user, int64_t index, int thread)
{
    (void)thread;
    const matvec *job = user;
    const nc_matmul *p = job->problem;
    const int64_t first = index * job->outputs_each;
    const nc_range range = {first, nc_least(first + job->outputs_each, p->n)};
    switch (p->m) {
    case 1: multiply_range(p, range, 1, 4); break;
    case 2: multiply_range(p, range, 2, 4); break;
    case 3: multiply_range(p, range, 3, 4); break;
    case 4: multiply_range(p, range, 4, 2); break;
    case 5: multiply_range(p, range, 5, 2); break;
    case 6: multiply_range(p, range, 6, 2); break;
    case 7: multiply_range(p, range, 7, 1); break;
    default: multiply_range(p, range, 8, 1); break;
    }
}

static void run(const nacre_call *call)
{
    const nc_matmul p = nc_matmul_problem(call->attributes, call->inputs, call->input_count, &call->outputs[0]);
    matvec job = {.problem = &p, .outputs_each = nc_round_up(nc_most(GRAIN / nc_most(p.k, 1), 1), 4)};
    if (p.m > 0) nacre_parallel(call->team, nc_ceil_div(p.n, job.outputs_each), run_task, &job);
}

static const char *refuse(const nacre_node_info *node)
{
    const char *reason = nc_matmul_refusal(node, NACRE_F32);
    if (reason) return reason;
    const nc_matmul p = nc_matmul_problem(node->attributes, node->inputs, node->input_count, &node->outputs[0]);
    if (p.m > MOST_ROWS || p.batch_rank > 0) return "for up to 8 rows";
    if (p.b_row != 1 || p.a_column != 1) return "needs b as [out, in]";
    return NULL;
}

const nacre_kernel nc_isa(nc_matvec_kernel) = {
    .op = "matmul",
    .variant = "rows_" NC_ISA_NAME,
    .can = refuse,
    .run = run,
};

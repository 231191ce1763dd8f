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
    MOST_CHAINS = 4,
#ifdef NACRE_STRESS
    GRAIN = 1 << 6,
#else
    GRAIN = 1 << 15, /* weights of a task */
#endif
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

/* sums[i] += x[i][k..] w[k..] over a vector, or its first lanes. */
NC_ALWAYS_INLINE void add_products(const nc_matmul *p, int64_t k, int64_t lanes, const float *w, int rows, nc_vec *sums)
{
    const nc_vec weights = lanes >= NC_LANES ? nc_load(w + k) : nc_load_some(w + k, lanes);
    NC_UNROLL
    for (int i = 0; i < rows; i++) {
        const float *x = (const float *)p->a + i * p->a_row + k;
        sums[i] = nc_fma(lanes >= NC_LANES ? nc_load(x) : nc_load_some(x, lanes), weights, sums[i]);
    }
}

/* One row of weights against `rows` rows of x, with `chains` sums for each. */
NC_ALWAYS_INLINE void multiply(const nc_matmul *p, int64_t output, int rows, int chains)
{
    const float *w = (const float *)p->b + output * p->b_column;
    nc_vec sums[MOST_CHAINS][MOST_ROWS] = {{{0}}};
    int64_t k = 0;
    for (; k + chains * NC_LANES <= p->k; k += chains * NC_LANES) {
        NC_UNROLL
        for (int c = 0; c < chains; c++) add_products(p, k + c * NC_LANES, NC_LANES, w, rows, sums[c]);
    }
    for (; k < p->k; k += NC_LANES) add_products(p, k, p->k - k, w, rows, sums[0]);
    for (int i = 0; i < rows; i++) {
        nc_vec sum = sums[0][i];
        for (int c = 1; c < chains; c++) sum += sums[c][i];
        finish(p, i, output, nc_sum(sum));
    }
}

NC_ALWAYS_INLINE void multiply_range(const nc_matmul *p, nc_range range, int rows, int chains)
{
    for (int64_t j = range.begin; j < range.end; j++) multiply(p, j, rows, chains);
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
    case 3: multiply_range(p, range, 3, 2); break;
    case 4: multiply_range(p, range, 4, 2); break;
    case 5: multiply_range(p, range, 5, 1); break;
    case 6: multiply_range(p, range, 6, 1); break;
    case 7: multiply_range(p, range, 7, 1); break;
    default: multiply_range(p, range, 8, 1); break;
    }
}

static void run(const nacre_call *call)
{
    const nc_matmul p = nc_matmul_problem(call->attributes, call->inputs, call->input_count, &call->outputs[0]);
    matvec job = {.problem = &p, .outputs_each = nc_most(GRAIN / nc_most(p.k, 1), 1)};
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

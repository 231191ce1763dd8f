/* cpu/simd/half_rows.c - matrix products with few rows by 16-bit weights [out, in]: one token of a language model.
 *
 * What counts is that the weights are read once, in the order in which they lie in memory: see matvec.c. The rows of x
 * are widened to f32 beforehand, the weights in registers, so the products are exact and the sums f32. */
#include "cpu/matmul.h"
#include "cpu/share.h"
#include "cpu/simd/half.h"

enum { A, B, BIAS, RESIDUAL }; /* operands */
enum {
    MOST_ROWS = 8,
    MOST_CHAINS = 4,
#ifdef NACRE_STRESS
    GRAIN = 1 << 6,
#else
    GRAIN = 1 << 16, /* weights of a task */
#endif
};

typedef struct rows_job {
    nc_matmul problem;
    nacre_dtype dtype, bias_dtype, residual_dtype, c_dtype;
    const float *x; /* [m][k] */
    int64_t outputs_each;
} rows_job;

NC_ALWAYS_INLINE nc_vec load_half(nacre_dtype dtype, const uint16_t *p)
{
    return dtype == NACRE_BF16 ? nc_load_bf16(p) : nc_load_f16(p);
}

/* sums[i] = x[i] . w */
NC_ALWAYS_INLINE void multiply(const rows_job *job, nacre_dtype dtype, const uint16_t *w, int rows, int chains,
                               float *sums)
{
    const int64_t k = job->problem.k;
    nc_vec parts[MOST_CHAINS][MOST_ROWS] = {{{0}}};
    int64_t at = 0;
    for (; at + chains * NC_LANES <= k; at += chains * NC_LANES) {
        NC_UNROLL
        for (int c = 0; c < chains; c++) {
            const nc_vec weights = load_half(dtype, w + at + c * NC_LANES);
            NC_UNROLL
            for (int i = 0; i < rows; i++)
                parts[c][i] = nc_fma(nc_load(job->x + i * k + at + c * NC_LANES), weights, parts[c][i]);
        }
    }
    for (; at < k; at += NC_LANES) {
        const int64_t lanes = nc_least(k - at, NC_LANES);
        const nc_vec weights = nc_load_as(dtype, w, at, lanes);
        for (int i = 0; i < rows; i++)
            parts[0][i] = nc_fma(nc_load_some(job->x + i * k + at, lanes), weights, parts[0][i]);
    }
    for (int i = 0; i < rows; i++) {
        nc_vec sum = parts[0][i];
        for (int c = 1; c < chains; c++) sum += parts[c][i];
        sums[i * NC_LANES] = nc_sum(sum);
    }
}

/* Outputs [first, first + count) of row i; count is at most a vector. */
static void finish(const rows_job *job, int64_t i, int64_t first, int64_t count, nc_vec sum)
{
    const nc_matmul *p = &job->problem;
    const int64_t at = i * p->c_row + first;
    if (p->column_bias) sum += nc_load_as(job->bias_dtype, p->column_bias, first, count);
    if (p->residual) sum += nc_load_as(job->residual_dtype, p->residual, at, count);
    if (p->relu) sum = nc_max((nc_vec){0}, sum);
    nc_store_as(job->c_dtype, p->c, at, sum, count);
}

NC_ALWAYS_INLINE void multiply_range(const rows_job *job, nacre_dtype dtype, nc_range range, int rows, int chains)
{
    const nc_matmul *p = &job->problem;
    float sums[MOST_ROWS * NC_LANES];
    for (int64_t j = range.begin; j < range.end; j += NC_LANES) {
        const int64_t count = nc_least(range.end - j, NC_LANES);
        for (int64_t l = 0; l < count; l++)
            multiply(job, dtype, (const uint16_t *)p->b + (j + l) * p->b_column, rows, chains, sums + l);
        for (int i = 0; i < rows; i++) finish(job, i, j, count, nc_load_some(sums + i * NC_LANES, count));
    }
}

NC_ALWAYS_INLINE void choose_rows(const rows_job *job, nacre_dtype dtype, nc_range range)
{
    switch (job->problem.m) {
    case 1: multiply_range(job, dtype, range, 1, 4); break;
    case 2: multiply_range(job, dtype, range, 2, 4); break;
    case 3: multiply_range(job, dtype, range, 3, 2); break;
    case 4: multiply_range(job, dtype, range, 4, 2); break;
    case 5: multiply_range(job, dtype, range, 5, 1); break;
    case 6: multiply_range(job, dtype, range, 6, 1); break;
    case 7: multiply_range(job, dtype, range, 7, 1); break;
    default: multiply_range(job, dtype, range, 8, 1); break;
    }
}

static void run_task(void *user, int64_t index, int thread)
{
    (void)thread;
    const rows_job *job = user;
    const int64_t first = index * job->outputs_each;
    const nc_range range = {first, nc_least(first + job->outputs_each, job->problem.n)};
    if (job->dtype == NACRE_BF16)
        choose_rows(job, NACRE_BF16, range);
    else
        choose_rows(job, NACRE_F16, range);
}

static nacre_dtype dtype_of(const nacre_call *call, int index)
{
    return index < call->input_count ? call->inputs[index].dtype : NACRE_F32;
}

static void run(const nacre_call *call)
{
    rows_job job = {.problem = nc_matmul_problem(call->attributes, call->inputs, call->input_count, &call->outputs[0]),
                    .dtype = dtype_of(call, B),
                    .bias_dtype = dtype_of(call, BIAS),
                    .residual_dtype = dtype_of(call, RESIDUAL),
                    .c_dtype = call->outputs[0].dtype,
                    .x = call->workspace};
    const nc_matmul *p = &job.problem;
    for (int64_t i = 0; i < p->m; i++)
        nc_widen(job.dtype, (const uint16_t *)p->a + i * p->a_row, p->k, (float *)call->workspace + i * p->k);
    job.outputs_each = nc_round_up(nc_most(GRAIN / nc_most(p->k, 1), 1), NC_LANES);
    if (p->m > 0) nacre_parallel(call->team, nc_ceil_div(p->n, job.outputs_each), run_task, &job);
}

static size_t workspace(const nacre_node_info *node)
{
    const nc_matmul p = nc_matmul_problem(node->attributes, node->inputs, node->input_count, &node->outputs[0]);
    return (size_t)(p.m * p.k) * sizeof(float);
}

static const char *refuse(const nacre_node_info *node)
{
    const nacre_dtype dtype = node->inputs[B].dtype;
    if (!nc_is_half(dtype) || node->inputs[A].dtype != dtype) return "takes factors of 16 bits only";
    const nc_matmul p = nc_matmul_problem(node->attributes, node->inputs, node->input_count, &node->outputs[0]);
    if (p.m > MOST_ROWS || p.batch_rank > 0) return "for up to 8 rows";
    if (p.b_row != 1 || p.a_column != 1) return "needs b as [out, in]";
    return NULL;
}

const nacre_kernel nc_isa(nc_matmul_half_rows_kernel) = {
    .op = "matmul",
    .variant = "half_rows_" NC_ISA_NAME,
    .flags = NACRE_KERNEL_MIXED,
    .can = refuse,
    .workspace = workspace,
    .run = run,
};

/* cpu/simd/matvec.c - matrix products with few rows by weights [out, in]: one token of a language model, one sample of
 * a network; and with few columns, as where a network ends in ten classes.
 *
 * There is little to compute for each weight, so what counts is that the weights are read once, in the order in which
 * they lie in memory: no packing, one row of weights after the other against all rows of x, whose sums stay in
 * registers. Weights of 16 bits are widened there, and the rows of x beforehand, so their products are exact and all
 * sums are f32.
 */
#include "cpu/matmul.h"
#include "cpu/share.h"
#include "cpu/simd/half.h"
#include "cpu/simd/math.h"

enum { A, B, BIAS, RESIDUAL }; /* operands */
enum {
    MOST_ROWS = 8,
    MOST_CHAINS = 4,
    LINE = 64,
    AHEAD = 4096, /* bytes: weights on their way from memory */
#ifdef NACRE_STRESS
    LEAST_PIECE = 1 << 6,
#else
    LEAST_PIECE = 1 << 14, /* bytes */
#endif
};

typedef struct rows_job {
    nc_matmul problem;
    nacre_dtype dtype, bias_dtype, residual_dtype, c_dtype;
    const float *x; /* [m][x_row] */
    int64_t x_row;
    int64_t least; /* outputs of a piece */
    int64_t rounds;
    int threads;
} rows_job;

NC_ALWAYS_INLINE nc_vec load_weights(nacre_dtype dtype, const char *p)
{
    return dtype == NACRE_F32 ? nc_load((const float *)(const void *)p) : nc_load_as(dtype, p, 0, NC_LANES);
}

/* nacre_dtype_size for these types, known when this is compiled. */
NC_ALWAYS_INLINE int64_t size_of(nacre_dtype dtype)
{
    return dtype == NACRE_F32 ? sizeof(float) : sizeof(uint16_t);
}

/* sums[i] = x[i] . w */
NC_ALWAYS_INLINE void multiply(const rows_job *job, nacre_dtype dtype, const char *w, int rows, int chains, float *sums)
{
    const int64_t k = job->problem.k, size = size_of(dtype);
    nc_vec parts[MOST_CHAINS][MOST_ROWS] = {{{0}}};
    int64_t at = 0;
    for (; at + chains * NC_LANES <= k; at += chains * NC_LANES) {
        NC_UNROLL
        for (int byte = 0; byte < chains * NC_LANES * size; byte += LINE)
            __builtin_prefetch(w + at * size + AHEAD + byte, 0, 0);
        NC_UNROLL
        for (int c = 0; c < chains; c++) {
            const nc_vec weights = load_weights(dtype, w + (at + c * NC_LANES) * size);
            NC_UNROLL
            for (int i = 0; i < rows; i++)
                parts[c][i] = nc_fma(nc_load(job->x + i * job->x_row + at + c * NC_LANES), weights, parts[c][i]);
        }
    }
    for (; at < k; at += NC_LANES) {
        const int64_t lanes = nc_least(k - at, NC_LANES);
        const nc_vec weights = nc_load_as(dtype, w, at, lanes);
        for (int i = 0; i < rows; i++)
            parts[0][i] = nc_fma(nc_load_some(job->x + i * job->x_row + at, lanes), weights, parts[0][i]);
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
    if (p->gelu) sum = nc_gelu(sum, p->gelu == NC_GELU_TANH);
    nc_store_as(job->c_dtype, p->c, at, sum, count);
}

NC_ALWAYS_INLINE void multiply_range(const rows_job *job, nacre_dtype dtype, nc_range range, int rows, int chains)
{
    const nc_matmul *p = &job->problem;
    const int64_t row_bytes = p->b_column * size_of(dtype);
    float sums[MOST_ROWS * NC_LANES];
    for (int64_t j = range.begin; j < range.end; j += NC_LANES) {
        const int64_t count = nc_least(range.end - j, NC_LANES);
        for (int64_t l = 0; l < count; l++)
            multiply(job, dtype, (const char *)p->b + (j + l) * row_bytes, rows, chains, sums + l);
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

/* ---- pieces ------------------------------------------------------------------------------------------------------ */

/* Where round `round` begins. Each takes half of what is left, a piece for each thread: long ones first, as a stream
 * from memory is slow to start, short ones last, so that all threads end together. A thread's pieces are neighbours. */
static int64_t round_start(const rows_job *job, int64_t round)
{
    int64_t left = job->problem.n;
    for (; round > 0 && left > 0; round--)
        left -= nc_least(left, job->threads * nc_round_up(nc_most(left / 2 / job->threads, job->least), NC_LANES));
    return job->problem.n - left;
}

static int64_t count_rounds(const rows_job *job)
{
    int64_t rounds = 0;
    while (round_start(job, rounds) < job->problem.n) rounds++;
    return rounds;
}

static void run_piece(void *user, int64_t index, int thread)
{
    (void)thread;
    const rows_job *job = user;
    const int64_t round = index % job->rounds, begin = round_start(job, round), end = round_start(job, round + 1);
    nc_range range = nc_share(end - begin, NC_LANES, job->threads, index / job->rounds);
    range.begin += begin;
    range.end += begin;
    if (job->dtype == NACRE_F32)
        choose_rows(job, NACRE_F32, range);
    else if (job->dtype == NACRE_BF16)
        choose_rows(job, NACRE_BF16, range);
    else
        choose_rows(job, NACRE_F16, range);
}

/* ---- few columns ------------------------------------------------------------------------------------------------- */

/* Ten outputs would fill ten of sixteen lanes. So lanes go along the sums: rows of both factors are read as they lie.
 */
enum {
    TILE_ROWS = 4,
    TILE_COLUMNS = NC_LANES == 16 ? 5 : 2, /* as many sums as there are registers for */
    MOST_COLUMNS = 2 * 16,
    TASK_ROWS = 4 * TILE_ROWS,
};

typedef struct dot_tile {
    const float *a[TILE_ROWS], *b[TILE_COLUMNS];
} dot_tile;

NC_ALWAYS_INLINE void add_products(const dot_tile *t, int64_t at, int64_t lanes, nc_vec sums[TILE_ROWS][TILE_COLUMNS])
{
    nc_vec a[TILE_ROWS];
    NC_UNROLL
    for (int i = 0; i < TILE_ROWS; i++) a[i] = nc_load_as(NACRE_F32, t->a[i], at, lanes);
    NC_UNROLL
    for (int j = 0; j < TILE_COLUMNS; j++) {
        const nc_vec b = nc_load_as(NACRE_F32, t->b[j], at, lanes);
        NC_UNROLL
        for (int i = 0; i < TILE_ROWS; i++) sums[i][j] = nc_fma(a[i], b, sums[i][j]);
    }
}

/* Where there are fewer rows or columns left the last ones are repeated; `results` has room for them. */
static void dot_rows(const nc_matmul *p, int64_t row, int64_t column, float results[TILE_ROWS][MOST_COLUMNS])
{
    dot_tile t;
    for (int i = 0; i < TILE_ROWS; i++) t.a[i] = (const float *)p->a + nc_least(row + i, p->m - 1) * p->a_row;
    for (int j = 0; j < TILE_COLUMNS; j++) t.b[j] = (const float *)p->b + nc_least(column + j, p->n - 1) * p->b_column;
    nc_vec sums[TILE_ROWS][TILE_COLUMNS] = {{{0}}};
    int64_t at = 0;
    for (; at + NC_LANES <= p->k; at += NC_LANES) add_products(&t, at, NC_LANES, sums);
    if (at < p->k) add_products(&t, at, p->k - at, sums);
    NC_UNROLL
    for (int i = 0; i < TILE_ROWS; i++) {
        NC_UNROLL
        for (int j = 0; j < TILE_COLUMNS; j++) results[i][column + j] = nc_sum(sums[i][j]);
    }
}

static void run_dots(void *user, int64_t index, int thread)
{
    (void)thread;
    const rows_job *job = user;
    const nc_matmul *p = &job->problem;
    const int64_t end = nc_least((index + 1) * TASK_ROWS, p->m);
    float results[TILE_ROWS][MOST_COLUMNS];
    for (int64_t row = index * TASK_ROWS; row < end; row += TILE_ROWS) {
        for (int64_t j = 0; j < p->n; j += TILE_COLUMNS) dot_rows(p, row, j, results);
        for (int64_t i = row; i < nc_least(row + TILE_ROWS, end); i++)
            for (int64_t j = 0; j < p->n; j += NC_LANES) {
                const int64_t count = nc_least(p->n - j, NC_LANES);
                finish(job, i, j, count, nc_load_some(results[i - row] + j, count));
            }
    }
}

/* ---- as a kernel ------------------------------------------------------------------------------------------------- */

static nacre_dtype dtype_of(const nacre_call *call, int index)
{
    return index < call->input_count ? call->inputs[index].dtype : NACRE_F32;
}

static void run(const nacre_call *call)
{
    const nacre_dtype dtype = dtype_of(call, B);
    rows_job job = {.problem = nc_matmul_problem(call->attributes, call->inputs, call->input_count, &call->outputs[0]),
                    .dtype = dtype,
                    .bias_dtype = dtype_of(call, BIAS),
                    .residual_dtype = dtype_of(call, RESIDUAL),
                    .c_dtype = call->outputs[0].dtype,
                    .threads = nacre_team_size(call->team)};
    const nc_matmul *p = &job.problem;
    job.x = dtype == NACRE_F32 ? p->a : call->workspace;
    job.x_row = dtype == NACRE_F32 ? p->a_row : p->k;
    for (int64_t i = 0; dtype != NACRE_F32 && i < p->m; i++)
        nc_widen(dtype, (const uint16_t *)p->a + i * p->a_row, p->k, (float *)call->workspace + i * p->k);
    job.least = nc_most(LEAST_PIECE / nc_most(p->k * (int64_t)nacre_dtype_size(dtype), 1), 1);
    job.rounds = count_rounds(&job);
    if (p->m > 0) nacre_parallel(call->team, job.rounds * job.threads, run_piece, &job);
}

static size_t workspace(const nacre_node_info *node)
{
    const nc_matmul p = nc_matmul_problem(node->attributes, node->inputs, node->input_count, &node->outputs[0]);
    return node->inputs[B].dtype == NACRE_F32 ? 0 : (size_t)(p.m * p.k) * sizeof(float);
}

static const char *refuse(const nacre_node_info *node)
{
    const nacre_dtype dtype = node->inputs[B].dtype;
    if (node->inputs[A].dtype != dtype) return "takes factors of one type only";
    if (!nc_is_half(dtype)) {
        const char *reason = nc_matmul_refusal(node, NACRE_F32);
        if (reason) return reason;
    }
    const nc_matmul p = nc_matmul_problem(node->attributes, node->inputs, node->input_count, &node->outputs[0]);
    if (p.m > MOST_ROWS || p.batch_rank > 0) return "for up to 8 rows";
    if (p.b_row != 1 || p.a_column != 1) return "needs b as [out, in]";
    return NULL;
}

const nacre_kernel nc_isa(nc_matvec_kernel) = {
    .op = "matmul",
    .variant = "rows_" NC_ISA_NAME,
    .flags = NACRE_KERNEL_MIXED | NACRE_KERNEL_READS_ONCE,
    .can = refuse,
    .workspace = workspace,
    .run = run,
};

static void run_few_columns(const nacre_call *call)
{
    rows_job job = {.problem = nc_matmul_problem(call->attributes, call->inputs, call->input_count, &call->outputs[0]),
                    .bias_dtype = NACRE_F32,
                    .residual_dtype = NACRE_F32,
                    .c_dtype = NACRE_F32};
    nacre_parallel(call->team, nc_ceil_div(job.problem.m, TASK_ROWS), run_dots, &job);
}

static const char *refuse_many_columns(const nacre_node_info *node)
{
    const char *reason = nc_matmul_refusal(node, NACRE_F32);
    if (reason) return reason;
    const nc_matmul p = nc_matmul_problem(node->attributes, node->inputs, node->input_count, &node->outputs[0]);
    if (p.batch_rank > 0 || p.b_row != 1 || p.a_column != 1) return "needs a and b with sums along memory";
    if (p.n == 0 || nc_round_up(p.n, TILE_COLUMNS) > MOST_COLUMNS) return "for few columns";
    return NULL;
}

/* Columns that fill lanes, or sums that are short beside adding up the lanes of each. */
static const char *many_columns_are_faster(const nacre_node_info *node)
{
    const nc_matmul p = nc_matmul_problem(node->attributes, node->inputs, node->input_count, &node->outputs[0]);
    if (p.k < 8 * NC_LANES) return "short sums";
    return 8 * nc_round_up(p.n, TILE_COLUMNS) > 7 * nc_round_up(p.n, NC_LANES) ? "columns fill the lanes" : NULL;
}

const nacre_kernel nc_isa(nc_few_columns_kernel) = {
    .op = "matmul",
    .variant = "dots_" NC_ISA_NAME,
    .can = refuse_many_columns,
    .slower = many_columns_are_faster,
    .run = run_few_columns,
};

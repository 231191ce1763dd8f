/* Blocked matrix products of every instruction set against plain loops in double. */
#include "raw.h"

#include "cpu/matmul.h"

typedef void matmul_function(const nc_matmul *, void *, nacre_team *);
typedef size_t workspace_function(const nc_matmul *, int);
static matmul_function *const multiply_f32[] = NC_ISA_TABLE(nc_matmul_f32);
static matmul_function *const multiply_f64[] = NC_ISA_TABLE(nc_matmul_f64);
static workspace_function *const workspace_f32[] = NC_ISA_TABLE(nc_matmul_workspace_f32);
static workspace_function *const workspace_f64[] = NC_ISA_TABLE(nc_matmul_workspace_f64);

static nacre_context *context;
static nacre_team *teams[2]; /* of one and of three threads */

typedef struct shape {
    int64_t m, n, k, batch;
    bool transpose_a, transpose_b, strided; /* strided: neither stride of an operand is 1 */
    bool accumulate, relu, row_bias, column_bias, residual;
} shape;

static double value(nacre_dtype dtype, const void *data, int64_t index)
{
    return nacre_dtype_load(dtype, data, index);
}

static void *random_array(nacre_dtype dtype, int64_t count, uint64_t seed)
{
    void *data = nc_test_memory((size_t)count * nacre_dtype_size(dtype));
    for (int64_t i = 0; i < count; i++) nacre_dtype_store(dtype, data, i, nc_random_unit(&seed));
    return data;
}

static double expected(nacre_dtype dtype, const nc_matmul *p, const void *start, int64_t item, int64_t i, int64_t j)
{
    const int64_t a = item * p->a_batch[0] + i * p->a_row, b = item * p->b_batch[0] + j * p->b_column;
    const int64_t c = item * p->c_batch[0] + i * p->c_row + j;
    double sum = p->accumulate ? value(dtype, start, c) : 0;
    for (int64_t k = 0; k < p->k; k++)
        sum += value(dtype, p->a, a + k * p->a_column) * value(dtype, p->b, b + k * p->b_row);
    if (p->row_bias) sum += value(dtype, p->row_bias, i);
    if (p->column_bias) sum += value(dtype, p->column_bias, j);
    if (p->residual) sum += value(dtype, p->residual, c);
    return p->relu && sum < 0 ? 0 : sum;
}

static void check_shape(const shape *s, nacre_dtype dtype, int level, nacre_team *team)
{
    const int64_t spread = s->strided ? 2 : 1;
    const size_t size = nacre_dtype_size(dtype);
    nc_matmul p = {.m = s->m, .n = s->n, .k = s->k, .c_row = s->n + 3, .accumulate = s->accumulate, .relu = s->relu};
    p.a_row = (s->transpose_a ? 1 : s->k) * spread;
    p.a_column = (s->transpose_a ? s->m : 1) * spread;
    p.b_row = (s->transpose_b ? 1 : s->n) * spread;
    p.b_column = (s->transpose_b ? s->k : 1) * spread;
    p.batch_rank = 1;
    p.batch[0] = s->batch;
    p.a_batch[0] = s->m * s->k * spread;
    p.b_batch[0] = s->batch > 2 ? 0 : s->k * s->n * spread; /* the larger batches share b */
    p.c_batch[0] = s->m * p.c_row;
    const int64_t c_count = s->batch * s->m * p.c_row;
    void *a = random_array(dtype, s->batch * s->m * s->k * spread + 1, 1);
    void *b = random_array(dtype, s->batch * s->k * s->n * spread + 1, 2);
    void *c = random_array(dtype, c_count, 3), *start = random_array(dtype, c_count, 3);
    void *rows = random_array(dtype, s->m, 4), *columns = random_array(dtype, s->n, 5);
    void *residual = random_array(dtype, c_count, 6);
    p.a = a;
    p.b = b;
    p.c = c;
    if (s->row_bias) p.row_bias = rows;
    if (s->column_bias) p.column_bias = columns;
    if (s->residual) p.residual = residual;
    workspace_function *const *workspaces = dtype == NACRE_F64 ? workspace_f64 : workspace_f32;
    void *workspace = nc_test_memory(workspaces[level](&p, nacre_team_size(team)));
    (dtype == NACRE_F64 ? multiply_f64 : multiply_f32)[level](&p, workspace, team);

    double worst = 0;
    for (int64_t item = 0; item < s->batch; item++)
        for (int64_t i = 0; i < s->m; i++) {
            for (int64_t j = 0; j < s->n; j++) {
                const double e = expected(dtype, &p, start, item, i, j);
                const double d = fabs(e - value(dtype, c, item * p.c_batch[0] + i * p.c_row + j));
                if (!(d <= worst)) worst = d;
            }
            const size_t gap = (size_t)(item * p.c_batch[0] + i * p.c_row + s->n) * size;
            NC_CHECK(memcmp((char *)c + gap, (char *)start + gap, 3 * size) == 0); /* nothing outside is touched */
        }
    if (!(worst <= (dtype == NACRE_F64 ? 1e-13 : 1e-5) * (double)(s->k + 8)))
        NC_COMPLAIN("%s level %d: %dx%dx%d batch %d transposed %d%d strided %d: off by %g", nacre_dtype_name(dtype),
                    level, (int)s->m, (int)s->n, (int)s->k, (int)s->batch, s->transpose_a, s->transpose_b, s->strided,
                    worst);
    void *const blocks[] = {a, b, c, start, rows, columns, residual, workspace};
    for (size_t i = 0; i < sizeof blocks / sizeof *blocks; i++) free(blocks[i]);
}

static void check_everywhere(const shape *s)
{
    for (int level = 0; level < nc_isa_levels(); level++)
        for (int t = 0; t < 2; t++) {
            check_shape(s, NACRE_F32, level, teams[t]);
            check_shape(s, NACRE_F64, level, teams[t]);
        }
}

static void edges(void)
{
    static const int64_t sizes[] = {1, 2, 7, 15, 16, 17, 33, 70};
    const int count = sizeof sizes / sizeof *sizes;
    for (int i = 0; i < count * count * count; i++) {
        shape s = {.m = sizes[i % count], .n = sizes[i / count % count], .k = sizes[i / count / count], .batch = 1};
        s.transpose_a = i & 1;
        s.transpose_b = i >> 1 & 1;
        s.accumulate = i % 3 == 0;
        s.relu = i % 5 == 0;
        s.column_bias = i % 7 == 0;
        check_everywhere(&s);
    }
}

static void orders(void)
{
    for (int i = 0; i < 8; i++) {
        shape s = {.m = 75, .n = 133, .k = 90, .batch = 1 + i % 3};
        s.transpose_a = i & 1;
        s.transpose_b = i >> 1 & 1;
        s.strided = i >> 2;
        check_everywhere(&s);
    }
}

static void epilogues(void)
{
    for (int i = 0; i < 32; i++)
        check_everywhere(&(shape){.m = 20,
                                  .n = 37,
                                  .k = 11,
                                  .batch = 2,
                                  .accumulate = i & 1,
                                  .relu = i >> 1 & 1,
                                  .row_bias = i >> 2 & 1,
                                  .column_bias = i >> 3 & 1,
                                  .residual = i >> 4});
}

static void several_slices_and_blocks(void)
{
    check_everywhere(&(shape){.m = 40, .n = 700, .k = 1000, .batch = 1, .relu = true, .column_bias = true});
    check_everywhere(&(shape){.m = 300, .n = 40, .k = 900, .batch = 1, .transpose_a = true, .transpose_b = true});
    check_everywhere(&(shape){.m = 5, .n = 6, .k = 0, .batch = 2, .accumulate = true, .row_bias = true});
}

static void nan_passes_relu(void)
{
    for (int level = 0; level < nc_isa_levels(); level++) {
        float a[2] = {NAN, 1}, b[1] = {1}, c[2];
        nc_matmul p = {.m = 2, .n = 1, .k = 1, .a = a, .a_row = 1, .a_column = 1, .b = b, .b_row = 1, .b_column = 1};
        p.c = c;
        p.c_row = 1;
        p.relu = true;
        void *workspace = nc_test_memory(workspace_f32[level](&p, 1));
        multiply_f32[level](&p, workspace, teams[0]);
        NC_CHECK(isnan(c[0]));
        NC_CHECK(c[1] == 1);
        free(workspace);
    }
}

int main(void)
{
    context = nacre_context_create(&(nacre_context_options){.threads = 1});
    teams[0] = nc_team_create(context, 1);
    teams[1] = nc_team_create(context, 3);
    NC_RUN(edges);
    NC_RUN(orders);
    NC_RUN(epilogues);
    NC_RUN(several_slices_and_blocks);
    NC_RUN(nan_passes_relu);
    nc_team_destroy(teams[0]);
    nc_team_destroy(teams[1]);
    nacre_context_destroy(context);
    return nc_report();
}

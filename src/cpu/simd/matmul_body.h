/* cpu/simd/matmul_body.h - the text of the blocked matrix product, in the vocabulary of real.h: see matmul.h.
 *
 * The product is cut into tasks of rows x columns; each task walks its columns in blocks, and the inner dimension in
 * slices of DEPTH at most:
 *
 *     for each block of columns            its slice of b, packed, stays in the second-level cache
 *         for each slice of k
 *             for each group of row panels its slice of a is packed together
 *                 for each panel of rows       this part of a stays in the first-level cache
 *                     for each panel of columns: one register tile
 *
 * Packed panels are [k][NC_TILE_COLUMNS] of b and [k][A_STEP] of a. An operand is read where it lies instead when
 * the tile can take it in that order and too few tiles would share the copy. Packing goes along the rows of a matrix as
 * they lie in memory, over several panels at once: a step from row to row is often a new page.
 */

enum {
    PANEL = NC_TILE_VECTORS * LANES,
    A_STEP = (NC_TILE_ROWS + LANES - 1) / LANES * LANES, /* whole vectors, so that packing needs no masks */
#ifdef NACRE_STRESS
    DEPTH = 5,
    LEAST_DEPTH = 2,
    BLOCK = 2 * DEPTH * PANEL,
#else
    DEPTH = 28 * 1024 / (NC_TILE_ROWS * sizeof(REAL)), /* a panel of a takes most of a 32 KB cache */
    LEAST_DEPTH = DEPTH / 2,                           /* where that saves packing a once more */
    BLOCK = 704 * 1024 / sizeof(REAL),                 /* elements of b packed together: two thirds of a 1 MB cache */
#endif
    GROUP_PANELS = 4,          /* row panels packed together */
    FAR = 4096 / sizeof(REAL), /* rows so far apart, or a multiple, fall into one set of the first-level cache */
    AHEAD = 12,                /* steps */
    REUSE_A = 3,               /* tiles that must share a packed panel of a */
    REUSE_B = 3,               /* and of b */
    LINE = 64,                 /* bytes that a cache fetches together */
    SMALL = 1 << 16,           /* multiply-adds that are not worth waking a thread */
    LARGE = 1 << 24            /* and that are worth a second task for each thread */
};

struct job {
    const nc_matmul *problem;
    char *workspace;
    int64_t batches, row_tasks, column_tasks;
};

/* ---- packing ----------------------------------------------------------------------------------------------------- */

/* packed[k][j] = source[k * step + j * line] for j < lines, zero up to `width`; a multiple of LANES. */
static void pack_strided(const REAL *source, int64_t step, int64_t line, int64_t steps, int64_t lines, int64_t width,
                         REAL *packed)
{
    for (int64_t k = 0; k < steps; k++)
        for (int64_t j = 0; j < width; j++) packed[k * width + j] = j < lines ? source[k * step + j * line] : 0;
}

/* The same for line == 1, one step. Rows are too short and too far apart for the processor to fetch them in time by
 * itself, so some steps ahead it is told to. */
static inline void pack_step(const REAL *source, int64_t step, int64_t lines, int64_t width, REAL *packed)
{
    for (int64_t j = 0; j < width; j += LANES) {
        const int64_t left = lines - j;
        __builtin_prefetch((const char *)(source + j) + AHEAD * step * (int64_t)sizeof(REAL));
        STORE(packed + j, left >= LANES ? LOAD(source + j) : LOAD_SOME(source + j, left < 0 ? 0 : left));
    }
}

/* The same for step == 1: squares of LANES x LANES are transposed in registers. */
static void pack_steps_contiguous(const REAL *source, int64_t line, int64_t steps, int64_t lines, int64_t width,
                                  REAL *packed)
{
    for (int64_t j = 0; j < width; j += LANES) {
        int64_t k = 0;
        for (; k + LANES <= steps; k += LANES) {
            VECTOR square[LANES];
            NC_UNROLL
            for (int i = 0; i < LANES; i++) square[i] = j + i < lines ? LOAD(source + (j + i) * line + k) : (VECTOR){0};
            TRANSPOSE(square);
            NC_UNROLL
            for (int i = 0; i < LANES; i++) STORE(packed + (k + i) * width + j, square[i]);
        }
        for (; k < steps; k++)
            for (int64_t i = j; i < j + LANES; i++) packed[k * width + i] = i < lines ? source[i * line + k] : 0;
    }
}

/* One panel, where line != 1. */
static void pack(const REAL *source, int64_t step, int64_t line, int64_t steps, int64_t lines, int64_t width,
                 REAL *packed)
{
    if (step == 1)
        pack_steps_contiguous(source, line, steps, lines, width, packed);
    else
        pack_strided(source, step, line, steps, lines, width, packed);
}

/* ---- one task ---------------------------------------------------------------------------------------------------- */

struct block { /* rows x columns of one batch item, k in [begin, begin + steps) */
    const nc_matmul *problem;
    const REAL *a, *b;
    REAL *c;
    const REAL *residual;
    nc_range rows, columns;
    int64_t k, steps;
    bool first, last; /* slice of k */
    REAL *packed_a, *packed_b;
};

/* Whether a product with so many columns packs a. */
static bool packs_a(const nc_matmul *problem, int64_t columns)
{
    if (problem->a_column == 1) return problem->a_row % FAR == 0 && columns > PANEL;
    return problem->a_row != 1 || columns > REUSE_A * PANEL;
}

/* A panel that is not whole is always packed: reading it in place could touch memory beyond the matrix. */
static bool packs_b(const struct block *block, int64_t column)
{
    const bool whole = block->columns.end - column >= PANEL;
    return !whole || block->problem->b_column != 1 || block->rows.end - block->rows.begin > REUSE_B * NC_TILE_ROWS;
}

static void pack_columns(const struct block *block)
{
    const nc_matmul *problem = block->problem;
    const REAL *b = block->b + block->k * problem->b_row;
    const int64_t end = block->columns.end, panel_size = block->steps * PANEL;
    if (problem->b_column == 1) {
        int64_t first = block->columns.begin; /* if not all panels are packed, it is the last one */
        while (first < end && !packs_b(block, first)) first += PANEL;
        REAL *packed = block->packed_b + (first - block->columns.begin) / PANEL * panel_size;
        for (int64_t k = 0; k < block->steps; k++)
            for (int64_t j = first; j < end; j += PANEL)
                pack_step(b + k * problem->b_row + j, problem->b_row, end - j, PANEL,
                          packed + (j - first) / PANEL * panel_size + k * PANEL);
        return;
    }
    for (int64_t j = block->columns.begin; j < end; j += PANEL)
        pack(b + j * problem->b_column, problem->b_row, problem->b_column, block->steps,
             end - j < PANEL ? end - j : PANEL, PANEL,
             block->packed_b + (j - block->columns.begin) / PANEL * panel_size);
}

static nc_range row_panel(const struct block *block, int64_t index)
{
    const int64_t rows = block->rows.end - block->rows.begin;
    nc_range panel = nc_share(rows, 1, nc_ceil_div(rows, NC_TILE_ROWS), index);
    return (nc_range){panel.begin + block->rows.begin, panel.end + block->rows.begin};
}

/* Row panels [first, end) of the task, one after the other. */
static void pack_rows(const struct block *block, int64_t first, int64_t end)
{
    const nc_matmul *problem = block->problem;
    const REAL *a = block->a + block->k * problem->a_column;
    const int64_t panel_size = block->steps * A_STEP;
    if (problem->a_row == 1) {
        nc_range panels[GROUP_PANELS];
        for (int64_t p = first; p < end; p++) panels[p - first] = row_panel(block, p);
        for (int64_t k = 0; k < block->steps; k++)
            for (int64_t p = 0; p < end - first; p++)
                pack_step(a + k * problem->a_column + panels[p].begin, problem->a_column,
                          panels[p].end - panels[p].begin, A_STEP, block->packed_a + p * panel_size + k * A_STEP);
        return;
    }
    for (int64_t p = first; p < end; p++) {
        const nc_range rows = row_panel(block, p);
        pack(a + rows.begin * problem->a_row, problem->a_column, problem->a_row, block->steps, rows.end - rows.begin,
             A_STEP, block->packed_a + (p - first) * panel_size);
    }
}

/* Rows of memory that are wanted soon. */
struct wanted {
    const char *row;
    int64_t rows, stride, bytes, at;
};

static void fetch(struct wanted *wanted, int64_t lines)
{
    for (; lines > 0 && wanted->rows > 0; lines--) {
        __builtin_prefetch(wanted->row + wanted->at, 0, 2);
        wanted->at += LINE;
        if (wanted->at < wanted->bytes) continue;
        wanted->at = 0;
        wanted->row += wanted->stride;
        wanted->rows--;
    }
}

/* What panel `index` of the block reads of a; past the last one it is a panel of the next slice. */
static struct wanted source_of(const struct block *block, int64_t index)
{
    const nc_matmul *problem = block->problem;
    const int64_t panels = nc_ceil_div(block->rows.end - block->rows.begin, NC_TILE_ROWS);
    const int64_t k = block->k + index / panels * block->steps;
    if (k + block->steps > problem->k) return (struct wanted){0};
    const nc_range rows = row_panel(block, index % panels);
    const int64_t size = sizeof(REAL), count = rows.end - rows.begin;
    struct wanted wanted = {.row = (const char *)(block->a + rows.begin * problem->a_row + k * problem->a_column)};
    if (problem->a_column == 1) {
        wanted.rows = count;
        wanted.stride = problem->a_row * size;
        wanted.bytes = block->steps * size;
    } else {
        wanted.rows = block->steps;
        wanted.stride = problem->a_column * size;
        wanted.bytes = problem->a_row * count * size;
    }
    /* Whole lines: the last elements may be in one more. */
    const int64_t early = (int64_t)((uintptr_t)wanted.row % LINE);
    wanted.row -= early;
    wanted.bytes += early;
    return wanted;
}

#ifndef NC_DOUBLE
/* In place, over rows that the cache still holds. */
static void apply_gelu(nc_gelu_form form, float *c, int64_t c_row, int64_t rows, int64_t columns)
{
    for (int64_t i = 0; i < rows; i++, c += c_row)
        for (int64_t j = 0; j < columns; j += LANES) {
            const int64_t count = nc_least(columns - j, LANES);
            STORE_SOME(c + j, nc_gelu(LOAD_SOME(c + j, count), form == NC_GELU_TANH), count);
        }
}
#endif

/* One panel of rows against all columns of the block; packed_a is NULL where a is read as it lies. Meanwhile what a
 * later panel wants of a is fetched. */
static void multiply_panel(const struct block *block, nc_range rows, const REAL *packed_a, struct wanted *wanted)
{
    const nc_matmul *problem = block->problem;
    const nc_tap origin = {0, 0};
    const int64_t count = rows.end - rows.begin;
    nc_tile tile = {.a = block->a + rows.begin * problem->a_row + block->k * problem->a_column,
                    .a_row = problem->a_row,
                    .a_step = problem->a_column,
                    .taps = &origin,
                    .tap_count = 1,
                    .steps = block->steps,
                    .c_row = problem->c_row,
                    .accumulate = problem->accumulate || !block->first,
                    .relu = problem->relu && block->last};
    if (packed_a) {
        tile.a = packed_a;
        tile.a_row = 1;
        tile.a_step = A_STEP;
    }
    if (block->last && problem->row_bias) tile.row_bias = (const REAL *)problem->row_bias + rows.begin;
    const int order = tile.a_step == 1 ? NC_TILE_STEPS_CONTIGUOUS : NC_TILE_ROWS_CONTIGUOUS;
    const REAL *packed = block->packed_b;
    const int64_t tiles = nc_ceil_div(block->columns.end - block->columns.begin, PANEL);
    const int64_t lines = nc_ceil_div(wanted->rows * nc_ceil_div(wanted->bytes, LINE), tiles);
    for (int64_t j = block->columns.begin; j < block->columns.end; j += PANEL, packed += block->steps * PANEL) {
        const int64_t left = block->columns.end - j;
        tile.columns = left < PANEL ? left : PANEL;
        if (packs_b(block, j)) {
            tile.b = packed;
            tile.b_step = PANEL;
        } else {
            tile.b = block->b + block->k * problem->b_row + j;
            tile.b_step = problem->b_row;
        }
        const int64_t offset = rows.begin * problem->c_row + j;
        tile.c = block->c + offset;
        if (block->last && problem->residual) tile.residual = block->residual + offset;
        if (block->last && problem->column_bias) tile.column_bias = (const REAL *)problem->column_bias + j;
        fetch(wanted, lines);
        nc_isa_real(nc_tiles)[order][count - 1][tile.columns > LANES](&tile);
    }
#ifndef NC_DOUBLE
    if (block->last && problem->gelu)
        apply_gelu(problem->gelu, block->c + rows.begin * problem->c_row + block->columns.begin, problem->c_row, count,
                   block->columns.end - block->columns.begin);
#endif
}

static void multiply_block(const struct block *block)
{
    pack_columns(block);
    const int64_t panels = nc_ceil_div(block->rows.end - block->rows.begin, NC_TILE_ROWS);
    const bool packs = packs_a(block->problem, block->columns.end - block->columns.begin);
    for (int64_t first = 0; first < panels; first += GROUP_PANELS) {
        const int64_t end = first + GROUP_PANELS < panels ? first + GROUP_PANELS : panels;
        if (packs) pack_rows(block, first, end);
        for (int64_t p = first; p < end; p++) {
            struct wanted wanted = source_of(block, p + (packs ? GROUP_PANELS : 1));
            multiply_panel(block, row_panel(block, p),
                           packs ? block->packed_a + (p - first) * block->steps * A_STEP : NULL, &wanted);
        }
    }
}

/* Slices of k. Lower ones where all columns then make one block, so that a is packed once. */
static int64_t slice_count(const nc_matmul *problem)
{
    const int64_t lower = BLOCK / nc_round_up(problem->n, PANEL);
    const int64_t depth = packs_a(problem, problem->n) && lower >= LEAST_DEPTH && lower < DEPTH ? lower : DEPTH;
    return nc_most(nc_ceil_div(problem->k, depth), 1);
}

/* Columns whose slice of b makes a block. */
static int64_t block_columns(const nc_matmul *problem)
{
    const int64_t steps = nc_most(nc_ceil_div(problem->k, slice_count(problem)), 1);
    return nc_most(BLOCK / steps / PANEL, 1) * PANEL;
}

static void run_task(void *user, int64_t index, int thread)
{
    const struct job *job = user;
    const nc_matmul *problem = job->problem;
    const int64_t tasks = job->row_tasks * job->column_tasks;
    int64_t item = index / tasks, a = 0, b = 0, c = 0;
    for (int axis = problem->batch_rank - 1; axis >= 0; axis--) {
        const int64_t at = item % problem->batch[axis];
        item /= problem->batch[axis];
        a += at * problem->a_batch[axis];
        b += at * problem->b_batch[axis];
        c += at * problem->c_batch[axis];
    }
    REAL *packed = (REAL *)(void *)job->workspace + (size_t)thread * (DEPTH * GROUP_PANELS * A_STEP + BLOCK);
    struct block block = {.problem = problem,
                          .a = (const REAL *)problem->a + a,
                          .b = (const REAL *)problem->b + b,
                          .c = (REAL *)problem->c + c,
                          .residual = problem->residual ? (const REAL *)problem->residual + c : NULL,
                          .rows = nc_share(problem->m, 1, job->row_tasks, index % tasks / job->column_tasks),
                          .packed_a = packed,
                          .packed_b = packed + DEPTH * GROUP_PANELS * A_STEP};
    const nc_range columns = nc_share(problem->n, PANEL, job->column_tasks, index % job->column_tasks);
    const int64_t slices = slice_count(problem);
    const int64_t blocks = nc_ceil_div(columns.end - columns.begin, block_columns(problem));
    for (int64_t j = 0; j < blocks; j++) {
        const nc_range part = nc_share(columns.end - columns.begin, PANEL, blocks, j);
        block.columns = (nc_range){columns.begin + part.begin, columns.begin + part.end};
        for (int64_t s = 0; s < slices; s++) {
            const nc_range slice = nc_share(problem->k, 1, slices, s);
            block.k = slice.begin;
            block.steps = slice.end - slice.begin;
            block.first = s == 0;
            block.last = s == slices - 1;
            multiply_block(&block);
        }
    }
}

/* ---- the whole --------------------------------------------------------------------------------------------------- */

static int64_t batch_count(const nc_matmul *problem)
{
    int64_t count = 1;
    for (int axis = 0; axis < problem->batch_rank; axis++) count *= problem->batch[axis];
    return count;
}

/* What the longest of the tasks takes, in multiply-adds of a vector: its tiles, and packing, an element each. */
static double cost_of_task(const nc_matmul *problem, int64_t row_tasks, int64_t column_tasks)
{
    const int64_t rows = nc_ceil_div(problem->m, row_tasks);
    const int64_t columns = nc_least(nc_ceil_div(nc_ceil_div(problem->n, PANEL), column_tasks) * PANEL, problem->n);
    const int64_t blocks = nc_ceil_div(columns, block_columns(problem));
    const int64_t tiles = rows * nc_ceil_div(columns, LANES);
    return (double)(tiles + columns + rows * blocks) * (double)problem->k;
}

/* Enough tasks to keep all threads busy to the end. Each task packs the columns it meets, and each of its blocks of
 * columns the rows: rows and columns are cut so that the whole is done soonest. */
static void cut(struct job *job, int threads)
{
    const nc_matmul *problem = job->problem;
    job->batches = batch_count(problem);
    job->row_tasks = job->column_tasks = 1;
    const int64_t work = problem->m * problem->n * (problem->k + 1);
    if (threads == 1 || work * job->batches < SMALL) return;
    const int64_t each = nc_ceil_div(threads * (work * job->batches < LARGE ? 1 : 2), job->batches);
    double least = INFINITY;
    for (int64_t rows = 1; rows <= each && (rows == 1 || rows * NC_TILE_ROWS <= problem->m); rows++) {
        const int64_t columns = nc_least(nc_ceil_div(each, rows), nc_ceil_div(problem->n, PANEL));
        const int64_t turns = nc_ceil_div(job->batches * rows * columns, threads);
        const double cost = (double)turns * cost_of_task(problem, rows, columns);
        if (cost >= least) continue;
        least = cost;
        job->row_tasks = rows;
        job->column_tasks = columns;
    }
}

size_t nc_isa_real(nc_matmul_workspace)(const nc_matmul *problem, int threads)
{
    (void)problem;
    return (size_t)threads * (DEPTH * GROUP_PANELS * A_STEP + BLOCK) * sizeof(REAL);
}

void nc_isa_real(nc_matmul)(const nc_matmul *problem, void *workspace, nacre_team *team)
{
    if (problem->m == 0 || problem->n == 0) return;
    struct job job = {.problem = problem, .workspace = workspace};
    cut(&job, nacre_team_size(team));
    const int64_t tasks = job.batches * job.row_tasks * job.column_tasks;
    if (problem->m * problem->n * (problem->k + 1) * job.batches < SMALL)
        for (int64_t i = 0; i < tasks; i++) run_task(&job, i, 0);
    else
        nacre_parallel(team, tasks, run_task, &job);
}

/* ---- as a kernel ------------------------------------------------------------------------------------------------- */

static const char *refuse(const nacre_node_info *node)
{
    return nc_matmul_refusal(node, sizeof(REAL) == 8 ? NACRE_F64 : NACRE_F32);
}

static size_t node_workspace(const nacre_node_info *node)
{
    const nc_matmul problem = nc_matmul_problem(node->attributes, node->inputs, node->input_count, &node->outputs[0]);
    return nc_isa_real(nc_matmul_workspace)(&problem, node->threads);
}

static void run_call(const nacre_call *call)
{
    const nc_matmul problem = nc_matmul_problem(call->attributes, call->inputs, call->input_count, &call->outputs[0]);
    nc_isa_real(nc_matmul)(&problem, call->workspace, call->team);
}

const nacre_kernel nc_isa_real(nc_matmul_kernel) = {
    .op = "matmul",
    .variant = "packed_" REAL_NAME "_" NC_ISA_NAME,
    .can = refuse,
    .workspace = node_workspace,
    .run = run_call,
};

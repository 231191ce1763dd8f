/* cpu/simd/half_product.c - matrix products of 16-bit numbers with f32 sums: see cpu/half_product.h.
 *
 * Both factors are packed into units of four bytes: a number widened to f32, or a pair of bf16 neighbours along k. From
 * there on the two are the same: panels of a stay in the first-level cache, a block of b in the second, register tiles
 * sum in f32. An f32 result collects the sums of several slices of k itself, a 16-bit one has f32 room beside it. */
#include "cpu/half_product.h"
#include "cpu/share.h"
#include "cpu/simd/half.h"
#include "cpu/simd/tile_bf16.h"

enum {
    PANEL = NC_TILE_COLUMNS,
    A_STEP = (NC_TILE_ROWS + NC_LANES - 1) / NC_LANES * NC_LANES,
#ifdef NACRE_STRESS
    UNITS = 5,
    BLOCK = 2 * PANEL,
    CHUNK = NC_TILE_ROWS,
#else
    UNITS = 448, /* a slice of k: a panel of a takes most of a 32 KB cache */
    BLOCK = 512 * 1024 / (UNITS * sizeof(float)) / PANEL * PANEL, /* columns of b: half of a 1 MB cache */
    CHUNK = 18 * NC_TILE_ROWS,                                    /* rows whose sums are kept beside a 16-bit result */
#endif
    SMALL = 1 << 16 /* multiply-adds that are not worth waking a thread */
};

struct job {
    const nc_half_product *product;
    char *workspace;
    bool pairs;
    int64_t batches, row_tasks, column_tasks;
};

/* ---- lines of 16-bit numbers ------------------------------------------------------------------------------------- */

static int64_t meet(const nc_patches *p, int axis, int64_t out, int64_t tap)
{
    const int64_t at = out * p->step[axis] + tap * p->tap[axis] + p->origin[axis];
    if (at < 0 || at % p->divisor[axis]) return -1;
    return at / p->divisor[axis] < p->in[axis] ? at / p->divisor[axis] : -1;
}

/* Columns [first, first + count) of row `position` of the patches. */
static void copy_patch(const nc_half_matrix *matrix, int64_t position, int64_t first, int64_t count, uint16_t *to)
{
    const nc_patches *p = matrix->patches;
    const int64_t column = position % p->out[1], row = position / p->out[1] % p->out[0];
    const int64_t image = position / (p->out[1] * p->out[0]);
    for (int64_t done = 0; done < count;) {
        const int64_t tap = (first + done) / p->channels, channel = (first + done) % p->channels;
        const int64_t run = nc_least(p->channels - channel, count - done);
        const int64_t y = meet(p, 0, row, tap / p->kernel[1]), x = meet(p, 1, column, tap % p->kernel[1]);
        if (y < 0 || x < 0)
            memset(to + done, 0, (size_t)run * sizeof *to);
        else
            memcpy(to + done,
                   (const uint16_t *)matrix->data + ((image * p->in[0] + y) * p->in[1] + x) * p->channels + channel,
                   (size_t)run * sizeof *to);
        done += run;
    }
}

/* The first `count` (at most NC_LANES, `safe` readable) numbers as bits on lanes of four bytes, the others zero. */
NC_ALWAYS_INLINE nc_vecu load_bits(const uint16_t *p, int64_t count, int64_t safe)
{
    uint16_t some[NC_LANES] = {0};
    if (count <= 0) return (nc_vecu){0};
    if (safe < NC_LANES) p = memcpy(some, p, (size_t)count * sizeof *p);
    return __builtin_convertvector(*(const nc_halves_any *)p, nc_vecu);
}

NC_ALWAYS_INLINE nc_vec widen_bits(nacre_dtype dtype, nc_vecu bits)
{
    if (dtype == NACRE_BF16) return (nc_vec)(bits << 16);
    uint16_t halves[NC_LANES];
    *(nc_halves_any *)halves = __builtin_convertvector(bits, nc_halves);
    return nc_load_f16(halves);
}

/* ---- packing ----------------------------------------------------------------------------------------------------- */

/* `lines` lines from `line`, steps [k, k + steps). */
struct piece {
    const nc_half_product *product;
    const nc_half_matrix *matrix;
    int64_t line, lines, all_lines, k, steps;
    bool pairs;
};

static int64_t units_of(const struct piece *piece)
{
    return piece->pairs ? nc_ceil_div(piece->steps, 2) : piece->steps;
}

static const uint16_t *at(const struct piece *piece, int64_t line, int64_t step)
{
    return (const uint16_t *)piece->matrix->data + (piece->line + line) * piece->matrix->line +
           (piece->k + step) * piece->matrix->step;
}

/* One step of up to LANES lines that lie side by side. */
NC_ALWAYS_INLINE nc_vecu step_of_lines(const struct piece *piece, int64_t line, int64_t step)
{
    const int64_t count = nc_least(piece->lines - line, NC_LANES);
    if (step >= piece->steps) return (nc_vecu){0};
    if (!piece->matrix->patches) return load_bits(at(piece, line, step), count, piece->all_lines - piece->line - line);
    uint16_t some[NC_LANES] = {0};
    if (count > 0) copy_patch(piece->matrix, piece->k + step, piece->line + line, count, some);
    return load_bits(some, count, NC_LANES);
}

/* packed[unit][line], lines side by side in the source. */
static void pack_lines_contiguous(const struct piece *piece, int64_t width, float *packed)
{
    const int64_t units = units_of(piece);
    for (int64_t u = 0; u < units; u++)
        for (int64_t j = 0; j < width; j += NC_LANES) {
            nc_vec unit;
            if (piece->pairs)
                unit = (nc_vec)(step_of_lines(piece, j, 2 * u) | step_of_lines(piece, j, 2 * u + 1) << 16);
            else
                unit = widen_bits(piece->product->dtype, step_of_lines(piece, j, u));
            nc_store(packed + u * width + j, unit);
        }
}

static uint32_t pair_at(const struct piece *piece, int64_t line, int64_t unit)
{
    if (line >= piece->lines) return 0;
    const uint32_t low = *at(piece, line, 2 * unit);
    return 2 * unit + 1 < piece->steps ? low | (uint32_t)*at(piece, line, 2 * unit + 1) << 16 : low;
}

static float unit_at(const struct piece *piece, int64_t line, int64_t unit)
{
    if (piece->pairs) return nc_bits_to_f32(pair_at(piece, line, unit));
    if (line >= piece->lines) return 0;
    const uint16_t half = *at(piece, line, unit);
    return piece->product->dtype == NACRE_BF16 ? nc_bf16_to_f32(half) : nc_f16_to_f32(half);
}

static void pack_strided(const struct piece *piece, int64_t first_unit, int64_t width, float *packed)
{
    const int64_t units = units_of(piece);
    for (int64_t u = first_unit; u < units; u++)
        for (int64_t j = 0; j < width; j++) packed[u * width + j] = unit_at(piece, j, u);
}

/* The same for steps side by side: squares of units are transposed in registers. */
static void pack_steps_contiguous(const struct piece *piece, int64_t width, float *packed)
{
    const int64_t whole = piece->pairs ? piece->steps / 2 : piece->steps;
    int64_t u = 0;
    for (; u + NC_LANES <= whole; u += NC_LANES)
        for (int64_t j = 0; j < width; j += NC_LANES) {
            nc_vec square[NC_LANES];
            NC_UNROLL
            for (int i = 0; i < NC_LANES; i++) {
                if (j + i >= piece->lines)
                    square[i] = (nc_vec){0};
                else if (piece->pairs) /* at any even address */
                    memcpy(&square[i], at(piece, j + i, 2 * u), sizeof square[i]);
                else
                    square[i] = widen_bits(piece->product->dtype, load_bits(at(piece, j + i, u), NC_LANES, NC_LANES));
            }
            nc_transpose(square);
            NC_UNROLL
            for (int i = 0; i < NC_LANES; i++) nc_store(packed + (u + i) * width + j, square[i]);
        }
    pack_strided(piece, u, width, packed);
}

static void pack(const struct piece *piece, int64_t width, float *packed)
{
    if (piece->matrix->line == 1)
        pack_lines_contiguous(piece, width, packed);
    else if (piece->matrix->step == 1)
        pack_steps_contiguous(piece, width, packed);
    else
        pack_strided(piece, 0, width, packed);
}

/* packed[line][unit], lines UNITS apart: a copy, where steps lie side by side. */
static void pack_apart(const struct piece *piece, float *packed)
{
    for (int64_t i = 0; i < piece->lines; i++) {
        float *to = packed + i * UNITS;
        if (!piece->pairs) {
            nc_widen(piece->product->dtype, at(piece, i, 0), piece->steps, to);
            continue;
        }
        uint16_t *halves = (uint16_t *)(void *)to;
        if (piece->matrix->patches)
            copy_patch(piece->matrix, piece->line + i, piece->k, piece->steps, halves);
        else
            memcpy(halves, at(piece, i, 0), (size_t)piece->steps * sizeof *halves);
        if (piece->steps % 2) halves[piece->steps] = 0;
    }
}

/* ---- results ----------------------------------------------------------------------------------------------------- */

/* What follows the sums of a tile, and their way into the result; `c` counts elements from its beginning. */
static void finish(const nc_half_product *p, const float *sums, int64_t sums_row, int64_t c, int64_t column,
                   int64_t rows, int64_t columns)
{
    for (int64_t j = 0; j < columns; j += NC_LANES) {
        const int64_t count = nc_least(columns - j, NC_LANES);
        const nc_vec bias = p->bias ? nc_load_as(p->bias_dtype, p->bias, column + j, count) : (nc_vec){0};
        for (int64_t i = 0; i < rows; i++) {
            nc_vec v = nc_load_some(sums + i * sums_row + j, count) + bias;
            if (p->residual) v += nc_load_as(p->residual_dtype, p->residual, c + i * p->c_row + j, count);
            if (p->relu) v = nc_max((nc_vec){0}, v);
            nc_store_as(p->c_dtype, p->c, c + i * p->c_row + j, v, count);
        }
    }
}

/* ---- one task ---------------------------------------------------------------------------------------------------- */

struct block {                      /* rows x columns of one batch item, a slice of k */
    const nc_half_product *product; /* of the item: its factors' data are the item's */
    bool pairs, first, last;
    nc_range rows, columns;
    int64_t k, steps, c; /* c: where the item begins */
    float *packed_a, *packed_b, *sums;
    int64_t sums_row; /* 0: sums holds one tile */
};

static bool has_epilogue(const nc_half_product *p)
{
    return p->c_dtype != NACRE_F32 || p->bias || p->residual || p->relu;
}

static nc_tile_function *tile_function(bool pairs, int order, int64_t rows, int64_t columns)
{
#if defined(NC_ISA_avx512)
    if (pairs) return nc_tiles_bf16[order][rows - 1][columns > NC_LANES];
#endif
    (void)pairs;
    return nc_isa(nc_tiles_f32)[order][rows - 1][columns > NC_LANES];
}

static void multiply_panel(const struct block *block, nc_range rows, int64_t units)
{
    const nc_half_product *p = block->product;
    const nc_tap origin = {0, 0};
    const struct piece piece = {.product = p,
                                .matrix = &p->a,
                                .line = rows.begin,
                                .lines = rows.end - rows.begin,
                                .all_lines = p->m,
                                .k = block->k,
                                .steps = block->steps,
                                .pairs = block->pairs};
    const int order = p->a.step == 1 ? NC_TILE_STEPS_CONTIGUOUS : NC_TILE_ROWS_CONTIGUOUS;
    if (order == NC_TILE_STEPS_CONTIGUOUS)
        pack_apart(&piece, block->packed_a);
    else
        pack(&piece, A_STEP, block->packed_a);
    for (int64_t j = block->columns.begin; j < block->columns.end; j += PANEL) {
        const int64_t columns = nc_least(block->columns.end - j, PANEL), c = block->c + rows.begin * p->c_row + j;
        float *sums = block->sums;
        int64_t sums_row = PANEL;
        if (p->c_dtype == NACRE_F32) {
            sums = (float *)p->c + c;
            sums_row = p->c_row;
        } else if (block->sums_row) {
            sums_row = block->sums_row;
            sums += (rows.begin - block->rows.begin) * sums_row + j - block->columns.begin;
        }
        const nc_tile tile = {.a = block->packed_a,
                              .a_row = order == NC_TILE_STEPS_CONTIGUOUS ? UNITS : 1,
                              .a_step = order == NC_TILE_STEPS_CONTIGUOUS ? 1 : A_STEP,
                              .b = block->packed_b + (j - block->columns.begin) * units,
                              .b_step = PANEL,
                              .taps = &origin,
                              .tap_count = 1,
                              .steps = units,
                              .c = sums,
                              .c_row = sums_row,
                              .columns = columns,
                              .accumulate = !block->first};
        tile_function(block->pairs, order, piece.lines, columns)(&tile);
        if (block->last && has_epilogue(p)) finish(p, sums, sums_row, c, j, piece.lines, columns);
    }
}

static void multiply_block(const struct block *block)
{
    const nc_half_product *p = block->product;
    struct piece piece = {
        .product = p, .matrix = &p->b, .all_lines = p->n, .k = block->k, .steps = block->steps, .pairs = block->pairs};
    const int64_t units = units_of(&piece), count = block->rows.end - block->rows.begin;
    const int64_t panels = nc_ceil_div(count, NC_TILE_ROWS);
    for (piece.line = block->columns.begin; piece.line < block->columns.end; piece.line += PANEL) {
        piece.lines = nc_least(block->columns.end - piece.line, PANEL);
        pack(&piece, PANEL, block->packed_b + (piece.line - block->columns.begin) * units);
    }
    for (int64_t i = 0; i < panels; i++) {
        nc_range rows = nc_share(count, 1, panels, i);
        rows.begin += block->rows.begin;
        rows.end += block->rows.begin;
        multiply_panel(block, rows, units);
    }
}

static int64_t slice_count(const nc_half_product *p, bool pairs)
{
    const int64_t units = pairs ? nc_ceil_div(p->k, 2) : p->k;
    return units > UNITS ? nc_ceil_div(units, UNITS) : 1;
}

static bool keeps_sums(const nc_half_product *p, bool pairs)
{
    return p->c_dtype != NACRE_F32 && slice_count(p, pairs) > 1;
}

static size_t thread_floats(const nc_half_product *p, bool pairs)
{
    return (size_t)UNITS * (A_STEP + BLOCK) + (keeps_sums(p, pairs) ? CHUNK * BLOCK : NC_TILE_ROWS * PANEL);
}

static void multiply_rows(struct block *block, nc_range columns)
{
    const int64_t k = block->product->k, per_unit = block->pairs ? 2 : 1;
    const int64_t slices = slice_count(block->product, block->pairs), units = nc_ceil_div(k, per_unit);
    for (int64_t j = columns.begin; j < columns.end; j += BLOCK) {
        block->columns = (nc_range){j, nc_least(j + BLOCK, columns.end)};
        for (int64_t s = 0; s < slices; s++) {
            const nc_range slice = nc_share(units, 1, slices, s);
            block->k = slice.begin * per_unit;
            block->steps = nc_least(slice.end * per_unit, k) - block->k;
            block->first = s == 0;
            block->last = s == slices - 1;
            multiply_block(block);
        }
    }
}

static void run_task(void *user, int64_t index, int thread)
{
    const struct job *job = user;
    const int64_t tasks = job->row_tasks * job->column_tasks;
    nc_half_product item = *job->product;
    int64_t left = index / tasks, a = 0, b = 0, c = 0;
    for (int axis = item.batch_rank - 1; axis >= 0; axis--) {
        const int64_t here = left % item.batch[axis];
        left /= item.batch[axis];
        a += here * item.a.batch[axis];
        b += here * item.b.batch[axis];
        c += here * item.c_batch[axis];
    }
    item.a.data = (const uint16_t *)item.a.data + a;
    item.b.data = (const uint16_t *)item.b.data + b;
    float *free = (float *)(void *)job->workspace + (size_t)thread * thread_floats(&item, job->pairs);
    struct block block = {.product = &item,
                          .pairs = job->pairs,
                          .c = c,
                          .packed_a = free,
                          .packed_b = free + UNITS * A_STEP,
                          .sums = free + UNITS * (A_STEP + BLOCK),
                          .sums_row = keeps_sums(&item, job->pairs) ? BLOCK : 0};
    const nc_range rows = nc_share(item.m, 1, job->row_tasks, index % tasks / job->column_tasks);
    const nc_range columns = nc_share(item.n, PANEL, job->column_tasks, index % job->column_tasks);
    const int64_t chunk = block.sums_row ? CHUNK : rows.end - rows.begin;
    for (int64_t i = rows.begin; i < rows.end; i += chunk) {
        block.rows = (nc_range){i, nc_least(i + chunk, rows.end)};
        multiply_rows(&block, columns);
    }
}

/* ---- the whole --------------------------------------------------------------------------------------------------- */

/* Enough tasks to keep all threads busy to the end, cut across the longer side: what the other one's tasks share is
 * packed by each of them. */
static void cut(struct job *job, int threads)
{
    const nc_half_product *p = job->product;
    job->batches = 1;
    for (int axis = 0; axis < p->batch_rank; axis++) job->batches *= p->batch[axis];
    job->row_tasks = job->column_tasks = 1;
    const int64_t work = p->m * p->n * (p->k + 1) * job->batches;
    if (threads == 1 || work < SMALL) return;
    int64_t wanted = work / threads / SMALL;
    wanted = threads * (wanted < 1 ? 1 : nc_least(wanted, 4));
    const int64_t each = nc_ceil_div(wanted, job->batches);
    const int64_t most_columns = nc_ceil_div(p->n, 2 * PANEL), most_rows = nc_ceil_div(p->m, NC_TILE_ROWS);
    if (p->m > p->n) {
        job->row_tasks = nc_least(each, most_rows);
        job->column_tasks = nc_least(nc_ceil_div(each, job->row_tasks), most_columns);
    } else {
        job->column_tasks = nc_least(each, most_columns);
        job->row_tasks = nc_least(nc_ceil_div(each, job->column_tasks), most_rows);
    }
}

size_t nc_isa(nc_half_product_workspace)(const nc_half_product *product, bool pairs, int threads)
{
    return (size_t)threads * thread_floats(product, pairs) * sizeof(float);
}

void nc_isa(nc_half_product)(const nc_half_product *product, bool pairs, void *workspace, nacre_team *team)
{
    if (product->m == 0 || product->n == 0) return;
    struct job job = {.product = product, .workspace = workspace, .pairs = pairs};
    cut(&job, nacre_team_size(team));
    const int64_t tasks = job.batches * job.row_tasks * job.column_tasks;
    if (product->m * product->n * (product->k + 1) * job.batches < SMALL)
        for (int64_t i = 0; i < tasks; i++) run_task(&job, i, 0);
    else
        nacre_parallel(team, tasks, run_task, &job);
}

/* cpu/simd/half_product.c - matrix products of 16-bit numbers with f32 sums: see cpu/half_product.h.
 *
 * Both factors are seen in units of four bytes: a number widened to f32, or a pair of bf16 neighbours along k. From
 * there on the two are the same. b is packed as a whole, panel by panel of columns. A task takes some rows and columns
 * of the result; for each slice of k it brings its rows of a into order, unless they are read where they lie, and
 * multiplies: a panel of rows stays in the first-level cache, a block of b in the second, register tiles sum in f32.
 * An f32 result collects the sums of several slices itself, a 16-bit one has f32 room beside it. */
#include "cpu/half_product.h"
#include "cpu/share.h"
#include "cpu/simd/half.h"
#include "cpu/simd/math.h"
#include "cpu/simd/tile_bf16.h"

enum {
    PANEL = NC_TILE_COLUMNS,
    A_STEP = (NC_TILE_ROWS + NC_LANES - 1) / NC_LANES * NC_LANES,
#ifdef NACRE_STRESS
    UNITS = 5,
    BLOCK = 2 * PANEL,
    PANELS = 2,
    MOST_COLUMNS = 3 * PANEL,
    STRIPS = 2,
    PART = 3,
#else
    UNITS = 448, /* a slice of k: a panel of a takes most of a 32 KB cache */
    BLOCK = 512 * 1024 / (UNITS * sizeof(float)) / PANEL * PANEL, /* columns of b: half of a 1 MB cache */
    PANELS = 12,                                                  /* of a task's rows: a third of it */
    MOST_COLUMNS = 1024,                                          /* of a task */
    STRIPS = 16, /* panels of b that are packed together, where lines lie side by side: 1 KB of each step */
    PART = 64,   /* units of them */
#endif
    A_PANEL = UNITS * A_STEP + NC_LANES, /* floats between panels of a: not a multiple of 4 KB */
    CHUNK = PANELS * NC_TILE_ROWS,
    LINE = 64,
    AHEAD = 32,     /* steps that packing fetches ahead: they are pages apart */
    WAY = 2048,     /* bytes: rows that lie so far apart, or a multiple, crowd a few sets of a 32 KB cache */
    SMALL = 1 << 16 /* multiply-adds that are not worth waking a thread */
};

struct job {
    const nc_half_product *product;
    bool pairs;
    float *packed; /* b: [batch item][panel][unit][column] */
    float *workspace;
    int64_t batches, panels, units; /* of the whole product: items, panels of b, units of k */
    int64_t row_tasks, column_tasks;
};

/* ---- lines of 16-bit numbers ------------------------------------------------------------------------------------- */

/* Few at a time, which a call would cost more than. */
static inline void copy_halves(uint16_t *to, const uint16_t *from, int64_t count)
{
#if defined(NC_ISA_avx512)
    enum { WIDTH = 32 };
    for (; count >= WIDTH; count -= WIDTH, to += WIDTH, from += WIDTH)
        _mm512_storeu_si512(to, _mm512_loadu_si512(from));
    const __mmask32 rest = (__mmask32)((1ull << count) - 1);
    _mm512_mask_storeu_epi16(to, rest, _mm512_maskz_loadu_epi16(rest, from));
#else
    memcpy(to, from, (size_t)count * sizeof *to);
#endif
}

/* A row of the patches. */
struct position {
    int64_t image, row, column;
};

static struct position position_of(const nc_patches *p, int64_t index)
{
    const int64_t row = index / p->out[1];
    return (struct position){row / p->out[0], row % p->out[0], index % p->out[1]};
}

static void advance(const nc_patches *p, struct position *at)
{
    if (++at->column < p->out[1]) return;
    at->column = 0;
    if (++at->row < p->out[0]) return;
    at->row = 0;
    at->image++;
}

/* Columns [first, first + count) of a row of the patches. A row of the kernel meets neighbours in memory. */
static void copy_patch(const nc_half_matrix *matrix, const struct position *position, int64_t first, int64_t count,
                       uint16_t *to)
{
    const nc_patches *p = matrix->patches;
    const int64_t across = p->kernel[1] * p->channels, width = p->in[1] * p->channels;
    const int64_t left = (position->column * p->stride[1] - p->pad[1]) * p->channels;
    const uint16_t *image = (const uint16_t *)matrix->data + position->image * p->in[0] * width + left;
    int64_t y = position->row * p->stride[0] - p->pad[0], at = first;
    if (first > 0) {
        y += first / across;
        at = first % across;
    }
    for (int64_t end; count > 0; count -= end, at = 0, y++) {
        end = nc_least(across - at, count);
        const bool inside = y >= 0 && y < p->in[0];
        const int64_t from = inside ? nc_least(nc_most(-left - at, 0), end) : end; /* zeros before and behind */
        const int64_t upto = nc_most(nc_least(width - left - at, end), from);
        if (from > 0) memset(to, 0, (size_t)from * sizeof *to);
        if (upto > from) copy_halves(to + from, image + y * width + at + from, upto - from);
        if (end > upto) memset(to + upto, 0, (size_t)(end - upto) * sizeof *to);
        to += end;
    }
}

/* The first `count` (at most NC_LANES, `safe` readable) numbers as bits on lanes of four bytes, the others zero. */
NC_ALWAYS_INLINE nc_vecu load_bits(const uint16_t *p, int64_t count, int64_t safe)
{
    if (count <= 0) return (nc_vecu){0};
    const nc_halves halves = safe < NC_LANES ? nc_load_halves(p, count) : (nc_halves) * (const nc_halves_any *)p;
    return __builtin_convertvector(halves, nc_vecu);
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
    const nc_half_matrix *m = piece->matrix;
    const uint16_t *begin = (const uint16_t *)m->data + (piece->line + line) * m->line;
    const int64_t k = piece->k + step;
    return m->inner ? begin + k / m->inner * m->step + k % m->inner * m->inner_step : begin + k * m->step;
}

/* Lines of a piece that become one panel. */
struct strip {
    int64_t line, lines;
    float *packed;
};

/* packed[unit][line], lines side by side in the source: unit by unit, so that each step is read from end to end. */
static void pack_strips(const struct piece *piece, const struct strip *strips, int count, int64_t width)
{
    const int64_t units = units_of(piece), all = piece->all_lines - piece->line;
    for (int64_t u = 0; u < units; u++) {
        const int64_t step = piece->pairs ? 2 * u : u;
        const bool alone = !piece->pairs || step + 1 == piece->steps;
        const uint16_t *low = at(piece, 0, step), *high = alone ? low : at(piece, 0, step + 1);
        const uint16_t *soon = low + piece->matrix->step * AHEAD; /* beyond the end: fetches nothing of use */
        for (int64_t i = 0; i < piece->lines; i += LINE / 2) {
            __builtin_prefetch(soon + i);
            if (piece->pairs) __builtin_prefetch(soon + piece->matrix->step + i);
        }
        for (int s = 0; s < count; s++) {
            const struct strip *strip = &strips[s];
            float *to = strip->packed + u * width;
            const bool whole = all - strip->line >= width; /* what is read beyond the lines counts nothing */
            for (int64_t j = 0; j < width; j += NC_LANES) {
                const int64_t line = strip->line + j, lines = whole ? NC_LANES : strip->lines - j;
                const int64_t safe = whole ? NC_LANES : all - line;
                const nc_vecu bits = load_bits(low + line, lines, safe);
                nc_vec unit = (nc_vec)bits;
                if (!piece->pairs)
                    unit = widen_bits(piece->product->dtype, bits);
                else if (!alone)
                    unit = (nc_vec)(bits | load_bits(high + line, lines, safe) << 16);
                nc_store(to + j, unit);
            }
        }
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
    if (!piece->matrix->inner && piece->matrix->step == 1)
        pack_steps_contiguous(piece, width, packed);
    else
        pack_strided(piece, 0, width, packed);
}

/* packed[line][unit], lines UNITS apart: a copy, where steps lie side by side. */
static void pack_apart(const struct piece *piece, float *packed)
{
    const nc_patches *patches = piece->matrix->patches;
    struct position position = patches ? position_of(patches, piece->line) : (struct position){0};
    for (int64_t i = 0; i < piece->lines; i++) {
        float *to = packed + i * UNITS;
        uint16_t some[2 * UNITS], *halves = piece->pairs ? (uint16_t *)(void *)to : some;
        if (patches) {
            copy_patch(piece->matrix, &position, piece->k, piece->steps, halves);
            advance(patches, &position);
        } else
            memcpy(halves, at(piece, i, 0), (size_t)piece->steps * sizeof *halves);
        if (!piece->pairs)
            nc_widen(piece->product->dtype, halves, piece->steps, to);
        else if (piece->steps % 2)
            halves[piece->steps] = 0;
    }
}

/* ---- results ----------------------------------------------------------------------------------------------------- */

typedef void store_function(nacre_dtype dtype, void *base, int64_t offset, nc_vec v, int64_t count);

static inline void store(nacre_dtype dtype, void *base, int64_t offset, nc_vec v, int64_t count)
{
    nc_store_as(dtype, base, offset, v, count);
}

/* What follows the sums of a tile, and their way into the result; `c` counts elements from its beginning. */
NC_ALWAYS_INLINE void finish_with(store_function *put, const nc_half_product *p, const float *sums, int64_t sums_row,
                                  int64_t c, int64_t column, int64_t rows, int64_t columns)
{
    for (int64_t j = 0; j < columns; j += NC_LANES) {
        const int64_t count = nc_least(columns - j, NC_LANES);
        const nc_vec bias = p->bias ? nc_load_as(p->bias_dtype, p->bias, column + j, count) : (nc_vec){0};
        for (int64_t i = 0; i < rows; i++) {
            nc_vec v = nc_load_some(sums + i * sums_row + j, count) + bias;
            if (p->residual) v += nc_load_as(p->residual_dtype, p->residual, c + i * p->c_row + j, count);
            if (p->relu) v = nc_max((nc_vec){0}, v);
            if (p->ceiling > 0) v = nc_min(nc_splat(p->ceiling), v);
            if (p->gelu) v = nc_gelu(v, p->gelu == NC_GELU_TANH);
            put(p->c_dtype, p->c, c + i * p->c_row + j, v, count);
        }
    }
}

static void finish(const nc_half_product *p, const float *sums, int64_t sums_row, int64_t c, int64_t column,
                   int64_t rows, int64_t columns)
{
    finish_with(store, p, sums, sums_row, c, column, rows, columns);
}

#if defined(NC_ISA_avx512)
/* The same where the processor rounds to bf16 itself. */
NC_BF16 static inline void store_rounded(nacre_dtype dtype, void *base, int64_t offset, nc_vec v, int64_t count)
{
    if (dtype == NACRE_F32) {
        nc_store_some((float *)base + offset, v, count);
        return;
    }
    const __mmask16 lanes = (__mmask16)((1u << count) - 1u);
    _mm256_mask_storeu_epi16((uint16_t *)base + offset, lanes, nc_round_to_bf16(v));
}

NC_BF16 static void finish_pairs(const nc_half_product *p, const float *sums, int64_t sums_row, int64_t c,
                                 int64_t column, int64_t rows, int64_t columns)
{
    finish_with(store_rounded, p, sums, sums_row, c, column, rows, columns);
}
#endif

/* ---- one task ---------------------------------------------------------------------------------------------------- */

struct block {                      /* rows x columns of one batch item, a slice of k */
    const nc_half_product *product; /* of the item: its factors' data are the item's */
    const struct job *job;
    bool first, last;
    nc_range rows, columns, units;
    int64_t c; /* where the item begins */
    float *packed_a, *sums;
    const float *packed_b;
    int64_t sums_row; /* 0: sums holds one tile */
};

static bool has_epilogue(const nc_half_product *p)
{
    return p->c_dtype != NACRE_F32 || p->bias || p->residual || p->relu || p->gelu;
}

static nc_tile_function *tile_function(bool pairs, int order, int64_t rows, int64_t columns)
{
#if defined(NC_ISA_avx512)
    if (pairs) return nc_tiles_bf16[order][rows - 1][columns > NC_LANES];
#endif
    (void)pairs;
    return nc_isa(nc_tiles_f32)[order][rows - 1][columns > NC_LANES];
}

/* Whether the tiles read pairs of a where they lie. */
static bool reads_in_place(const nc_half_product *p, bool pairs)
{
    return pairs && !p->a.patches && p->a.step == 1 && p->a.line % 2 == 0 && p->k % 2 == 0 &&
           p->a.line * (int64_t)sizeof(uint16_t) % WAY != 0;
}

static nc_range panel_rows(const struct block *block, int64_t index)
{
    const int64_t count = block->rows.end - block->rows.begin;
    const nc_range rows = nc_share(count, 1, nc_ceil_div(count, NC_TILE_ROWS), index);
    return (nc_range){block->rows.begin + rows.begin, block->rows.begin + rows.end};
}

/* A panel of a as a tile wants it: where it is, how far apart its rows or steps are. */
static int place_panel(const struct block *block, nc_range rows, int64_t panel, nc_tile *tile)
{
    const nc_half_product *p = block->product;
    const bool apart = p->a.patches || p->a.step == 1;
    tile->a = block->packed_a + panel * A_PANEL;
    tile->a_row = apart ? UNITS : 1;
    tile->a_step = apart ? 1 : A_STEP;
    if (reads_in_place(p, block->job->pairs)) {
        tile->a = (const uint16_t *)p->a.data + rows.begin * p->a.line + 2 * block->units.begin;
        tile->a_row = p->a.line / 2;
    }
    return apart ? NC_TILE_STEPS_CONTIGUOUS : NC_TILE_ROWS_CONTIGUOUS;
}

static struct piece piece_of_a(const struct block *block, nc_range rows)
{
    const nc_half_product *p = block->product;
    const int64_t per_unit = block->job->pairs ? 2 : 1, k = block->units.begin * per_unit;
    return (struct piece){.product = p,
                          .matrix = &p->a,
                          .line = rows.begin,
                          .lines = rows.end - rows.begin,
                          .all_lines = p->m,
                          .k = k,
                          .steps = nc_least(block->units.end * per_unit, p->k) - k,
                          .pairs = block->job->pairs};
}

static void pack_panels(const struct block *block, int64_t panels)
{
    const nc_half_matrix *a = &block->product->a;
    if (!a->patches && a->line == 1 && a->step != 1) {
        const struct piece piece = piece_of_a(block, block->rows);
        struct strip strips[PANELS];
        for (int64_t i = 0; i < panels; i++) {
            const nc_range rows = panel_rows(block, i);
            strips[i] =
                (struct strip){rows.begin - block->rows.begin, rows.end - rows.begin, block->packed_a + i * A_PANEL};
        }
        pack_strips(&piece, strips, (int)panels, A_STEP);
        return;
    }
    for (int64_t i = 0; i < panels; i++) {
        const struct piece piece = piece_of_a(block, panel_rows(block, i));
        float *packed = block->packed_a + i * A_PANEL;
        if (a->patches || a->step == 1)
            pack_apart(&piece, packed);
        else
            pack(&piece, A_STEP, packed);
    }
}

static void fetch_rows(const void *base, nacre_dtype dtype, int64_t begin, int64_t row, int64_t rows, int64_t columns)
{
    const int64_t size = dtype == NACRE_F32 ? 4 : 2;
    for (int64_t i = 0; i < rows; i++)
        for (int64_t at = 0; at < columns * size; at += LINE)
            __builtin_prefetch((const char *)base + (begin + i * row) * size + at, 1);
}

/* Where the result will go, unless the tiles write it, and what is added to it, is on its way while the sums grow. */
static void fetch(const nc_half_product *p, int64_t c, int64_t rows, int64_t columns)
{
    if (p->c_dtype != NACRE_F32) fetch_rows(p->c, p->c_dtype, c, p->c_row, rows, columns);
    if (p->residual && p->residual != p->c) fetch_rows(p->residual, p->residual_dtype, c, p->c_row, rows, columns);
}

#if defined(NC_ISA_avx512)
/* Whether tiles finish and round their sums themselves. GELU is too long to be unrolled in each. */
static bool rounds_in_tiles(const nc_half_product *p, bool pairs)
{
    return pairs && !p->gelu && p->c_dtype == NACRE_BF16 && (!p->bias || p->bias_dtype == NACRE_F32) &&
           (!p->residual || p->residual_dtype == NACRE_BF16);
}

/* What the tiles below this one will read, in as many pieces as there are tiles side by side. */
enum { MOST_READS = 96 };
static int64_t list_reads(const struct block *block, int64_t first_row, int64_t column, const char *reads[MOST_READS])
{
    const nc_half_product *p = block->product;
    const int64_t rows = nc_least(p->m - first_row, NC_TILE_ROWS), size = sizeof(uint16_t);
    int64_t count = 0;
    if (p->residual)
        for (int64_t i = 0; i < rows; i++)
            reads[count++] = (const char *)p->residual + (block->c + (first_row + i) * p->c_row + column) * size;
    if (!reads_in_place(p, true)) return count;
    const int64_t tiles = nc_ceil_div(block->columns.end - block->columns.begin, PANEL);
    const int64_t lines = nc_ceil_div(p->k * size, LINE), share = (column - block->columns.begin) / PANEL;
    const nc_range part = {share * lines / tiles, (share + 1) * lines / tiles};
    for (int64_t line = part.begin; line < part.end; line++)
        for (int64_t i = 0; i < rows && count < MOST_READS; i++)
            reads[count++] = (const char *)p->a.data + (first_row + i) * p->a.line * size + line * LINE;
    return count;
}

/* The last slice of a product whose tiles round themselves. */
static void finish_in_tile(const struct block *block, int order, const nc_tile *tile, nc_range rows, int64_t c,
                           int64_t column)
{
    const nc_half_product *p = block->product;
    const char *reads[MOST_READS];
    nc_rounded_tile rounded = {.tile = *tile, .before_row = tile->c_row};
    rounded.tile.reads = reads;
    rounded.tile.read_count = list_reads(block, rows.end, column, reads);
    if (!block->first) rounded.before = tile->c;
    rounded.tile.c = (uint16_t *)p->c + c;
    rounded.tile.c_row = p->c_row;
    rounded.tile.relu = p->relu;
    rounded.tile.ceiling = p->ceiling;
    if (p->bias) rounded.tile.column_bias = (const float *)p->bias + column;
    if (p->residual) rounded.tile.residual = (const uint16_t *)p->residual + c;
    nc_tiles_rounded[order][rows.end - rows.begin - 1][tile->columns > NC_LANES](&rounded);
}
#endif

static void multiply_tile(const struct block *block, int order, nc_tile *tile, nc_range rows, int64_t column)
{
    const nc_half_product *p = block->product;
    const nc_tap origin = {0, 0};
    const int64_t c = block->c + rows.begin * p->c_row + column, count = rows.end - rows.begin;
    float *sums = block->sums;
    int64_t sums_row = PANEL;
    tile->columns = nc_least(block->columns.end - column, PANEL);
    if (p->c_dtype == NACRE_F32) {
        sums = (float *)p->c + c;
        sums_row = p->c_row;
    } else if (block->sums_row) {
        sums_row = block->sums_row;
        sums += (rows.begin - block->rows.begin) * sums_row + column - block->columns.begin;
    }
    tile->b = block->packed_b + (column * block->job->units + block->units.begin * PANEL);
    tile->b_step = PANEL;
    tile->taps = &origin;
    tile->tap_count = 1;
    tile->steps = block->units.end - block->units.begin;
    tile->c = sums;
    tile->c_row = sums_row;
    tile->accumulate = !block->first || p->accumulate;
    tile->fetch_below = true;
#if defined(NC_ISA_avx512)
    if (block->last && rounds_in_tiles(p, block->job->pairs)) {
        finish_in_tile(block, order, tile, rows, c, column);
        return;
    }
#endif
    if (block->last) fetch(p, c, count, tile->columns);
    tile_function(block->job->pairs, order, count, tile->columns)(tile);
    if (!block->last || !has_epilogue(p)) return;
#if defined(NC_ISA_avx512)
    if (block->job->pairs) {
        finish_pairs(p, sums, sums_row, c, column, count, tile->columns);
        return;
    }
#endif
    finish(p, sums, sums_row, c, column, count, tile->columns);
}

static void multiply_block(const struct block *block)
{
    const int64_t panels = nc_ceil_div(block->rows.end - block->rows.begin, NC_TILE_ROWS);
    if (!reads_in_place(block->product, block->job->pairs)) pack_panels(block, panels);
    for (int64_t begin = block->columns.begin; begin < block->columns.end; begin += BLOCK) {
        const int64_t end = nc_least(begin + BLOCK, block->columns.end);
        for (int64_t i = 0; i < panels; i++) {
            const nc_range rows = panel_rows(block, i);
            nc_tile tile = {0};
            const int order = place_panel(block, rows, i, &tile);
            for (int64_t j = begin; j < end; j += PANEL) multiply_tile(block, order, &tile, rows, j);
        }
    }
}

static int64_t unit_count(const nc_half_product *p, bool pairs)
{
    return pairs ? nc_ceil_div(p->k, 2) : p->k;
}

static int64_t slice_count(const nc_half_product *p, bool pairs)
{
    return nc_most(nc_ceil_div(unit_count(p, pairs), UNITS), 1);
}

static bool keeps_sums(const nc_half_product *p, bool pairs)
{
    return p->c_dtype != NACRE_F32 && slice_count(p, pairs) > 1;
}

static size_t thread_floats(const nc_half_product *p, bool pairs)
{
    const size_t packed = reads_in_place(p, pairs) ? 0 : (size_t)PANELS * A_PANEL;
    return packed + (keeps_sums(p, pairs) ? (size_t)CHUNK * MOST_COLUMNS : (size_t)NC_TILE_ROWS * PANEL);
}

/* Batch item `index`: its operands, and where its result begins. */
static nc_half_product item_of(const nc_half_product *product, int64_t index, int64_t *c)
{
    nc_half_product item = *product;
    int64_t a = 0, b = 0;
    *c = 0;
    if (item.batch_rank == 0) return item; /* b may be packed when a is not there yet */
    for (int axis = item.batch_rank - 1; axis >= 0; axis--) {
        const int64_t here = index % item.batch[axis];
        index /= item.batch[axis];
        a += here * item.a.batch[axis];
        b += here * item.b.batch[axis];
        *c += here * item.c_batch[axis];
    }
    item.a.data = (const uint16_t *)item.a.data + a;
    item.b.data = (const uint16_t *)item.b.data + b;
    return item;
}

static void run_task(void *user, int64_t index, int thread)
{
    const struct job *job = user;
    const int64_t tasks = job->row_tasks * job->column_tasks, slices = slice_count(job->product, job->pairs);
    const nc_range panels = nc_share(job->panels, 1, job->column_tasks, index % job->column_tasks);
    const nc_range rows = nc_share(job->product->m, 1, job->row_tasks, index % tasks / job->column_tasks);
    struct block block = {.job = job,
                          .sums = job->workspace + (size_t)thread * thread_floats(job->product, job->pairs)};
    const nc_half_product item = item_of(job->product, index / tasks, &block.c);
    block.product = &item;
    block.packed_a = block.sums;
    if (!reads_in_place(&item, job->pairs)) block.sums += PANELS * A_PANEL;
    block.packed_b = job->packed + index / tasks * job->panels * job->units * PANEL;
    block.columns = (nc_range){panels.begin * PANEL, nc_least(panels.end * PANEL, item.n)};
    if (keeps_sums(&item, job->pairs)) block.sums_row = MOST_COLUMNS;
    for (int64_t i = rows.begin; i < rows.end; i += CHUNK) {
        block.rows = (nc_range){i, nc_least(i + CHUNK, rows.end)};
        for (int64_t s = 0; s < slices; s++) {
            block.units = nc_share(job->units, 1, slices, s);
            block.first = s == 0;
            block.last = s == slices - 1;
            multiply_block(&block);
        }
    }
}

/* ---- the whole --------------------------------------------------------------------------------------------------- */

static struct job describe(const nc_half_product *product, bool pairs, const void *packed)
{
    struct job job = {.product = product,
                      .pairs = pairs,
                      .packed = (float *)(uintptr_t)packed,
                      .batches = 1,
                      .panels = nc_ceil_div(product->n, PANEL),
                      .units = unit_count(product, pairs)};
    for (int axis = 0; axis < product->batch_rank; axis++) job.batches *= product->batch[axis];
    return job;
}

static int64_t work_of(const struct job *job)
{
    return job->product->m * job->product->n * (job->product->k + 1) * job->batches;
}

static void run_all(const struct job *job, int64_t tasks, void (*body)(void *, int64_t, int), nacre_team *team)
{
    if (work_of(job) >= SMALL) {
        nacre_parallel(team, tasks, body, (void *)(uintptr_t)job);
        return;
    }
    for (int64_t i = 0; i < tasks; i++) body((void *)(uintptr_t)job, i, 0);
}

/* Rows that fill a part of the second-level cache, as many tasks for each thread; more where that leaves threads
 * without work, by columns first: rows that tasks share are packed by each of them. */
static void cut(struct job *job, int threads)
{
    const nc_half_product *p = job->product;
    const int64_t most_columns = nc_ceil_div(job->panels, 2), most_rows = nc_ceil_div(p->m, NC_TILE_ROWS);
    job->column_tasks = nc_ceil_div(p->n, MOST_COLUMNS - PANEL);
    job->row_tasks = nc_least(nc_round_up(nc_ceil_div(p->m, CHUNK), threads), most_rows);
    if (threads == 1 || work_of(job) < SMALL) return;
    const int64_t wanted = threads * nc_most(nc_least(work_of(job) / threads / SMALL, 4), 1);
    const int64_t missing = nc_ceil_div(wanted, job->batches * job->row_tasks * job->column_tasks);
    job->column_tasks = nc_most(nc_least(job->column_tasks * missing, most_columns), job->column_tasks);
}

/* Of b: lines side by side are packed in pieces of some panels and some units, others panel by panel. */
static bool packs_strips(const nc_half_product *p)
{
    return p->b.line == 1 && p->b.inner == 0;
}

static int64_t panel_pieces(const struct job *job)
{
    return packs_strips(job->product) ? nc_ceil_div(job->panels, STRIPS) : job->panels;
}

static int64_t unit_pieces(const struct job *job)
{
    return packs_strips(job->product) ? nc_ceil_div(job->units, PART) : 1;
}

static void pack_task(void *user, int64_t index, int thread)
{
    (void)thread;
    const struct job *job = user;
    const int64_t pieces = panel_pieces(job), parts = unit_pieces(job), per_unit = job->pairs ? 2 : 1;
    const nc_range panels = nc_share(job->panels, 1, pieces, index / parts % pieces);
    const nc_range units = nc_share(job->units, 1, parts, index % parts);
    const int64_t batch = index / parts / pieces;
    int64_t c;
    const nc_half_product item = item_of(job->product, batch, &c);
    struct piece piece = {.product = &item,
                          .matrix = &item.b,
                          .line = panels.begin * PANEL,
                          .lines = nc_least(panels.end * PANEL, item.n) - panels.begin * PANEL,
                          .all_lines = item.n,
                          .k = units.begin * per_unit,
                          .steps = nc_least(units.end * per_unit, item.k) - units.begin * per_unit,
                          .pairs = job->pairs};
    float *packed = job->packed + ((batch * job->panels + panels.begin) * job->units + units.begin) * PANEL;
    if (!packs_strips(&item)) {
        pack(&piece, PANEL, packed);
        return;
    }
    struct strip strips[STRIPS];
    for (int64_t i = 0; i < panels.end - panels.begin; i++)
        strips[i] =
            (struct strip){i * PANEL, nc_least(piece.lines - i * PANEL, PANEL), packed + i * job->units * PANEL};
    pack_strips(&piece, strips, (int)(panels.end - panels.begin), PANEL);
}

size_t nc_isa(nc_half_packed_bytes)(const nc_half_product *product, bool pairs)
{
    const struct job job = describe(product, pairs, NULL);
    return (size_t)(job.batches * job.panels * job.units * PANEL) * sizeof(float);
}

void nc_isa(nc_half_pack)(const nc_half_product *product, bool pairs, void *packed, nacre_team *team)
{
    const struct job job = describe(product, pairs, packed);
    run_all(&job, job.batches * panel_pieces(&job) * unit_pieces(&job), pack_task, team);
}

size_t nc_isa(nc_half_workspace)(const nc_half_product *product, bool pairs, int threads)
{
    return (size_t)threads * thread_floats(product, pairs) * sizeof(float);
}

void nc_isa(nc_half_multiply)(const nc_half_product *product, bool pairs, const void *packed, void *workspace,
                              nacre_team *team)
{
    if (product->m == 0 || product->n == 0) return;
    struct job job = describe(product, pairs, packed);
    job.workspace = workspace;
    cut(&job, nacre_team_size(team));
    run_all(&job, job.batches * job.row_tasks * job.column_tasks, run_task, team);
}

/* A long sum whose result is f32 is taken slice by slice: what is packed of b never leaves the caches. Pointers do not
 * decide, as there are none yet when a plan asks for the workspace. */
static int64_t part_count(const nc_half_product *p, bool pairs)
{
    return p->c_dtype == NACRE_F32 && !p->b.inner && !p->a.patches ? slice_count(p, pairs) : 1;
}

/* What follows the sums comes with the last part. */
static nc_half_product part_of(const nc_half_product *product, bool pairs, int64_t parts, int64_t index)
{
    nc_half_product part = *product;
    const nc_range units = nc_share(unit_count(product, pairs), 1, parts, index);
    const int64_t per_unit = pairs ? 2 : 1, begin = units.begin * per_unit;
    part.k = nc_least(units.end * per_unit, product->k) - begin;
    part.a.data = (const uint16_t *)product->a.data + begin * product->a.step;
    part.b.data = (const uint16_t *)product->b.data + begin * product->b.step;
    part.accumulate = product->accumulate || index > 0;
    if (index == parts - 1) return part;
    part.bias = part.residual = NULL;
    part.relu = false;
    part.ceiling = 0;
    part.gelu = NC_NO_GELU;
    return part;
}

/* The first part is the longest. */
static size_t packed_part(const nc_half_product *product, bool pairs)
{
    const int64_t parts = part_count(product, pairs);
    nc_half_product longest = *product;
    if (parts > 1) longest.k = nc_ceil_div(unit_count(product, pairs), parts) * (pairs ? 2 : 1);
    return (size_t)nc_round_up((int64_t)nc_isa(nc_half_packed_bytes)(&longest, pairs), LINE);
}

size_t nc_isa(nc_half_product_workspace)(const nc_half_product *product, bool pairs, int threads)
{
    return packed_part(product, pairs) + nc_isa(nc_half_workspace)(product, pairs, threads);
}

void nc_isa(nc_half_product)(const nc_half_product *product, bool pairs, void *workspace, nacre_team *team)
{
    const int64_t parts = part_count(product, pairs);
    char *free = (char *)workspace + packed_part(product, pairs);
    for (int64_t i = 0; i < parts; i++) {
        const nc_half_product part = parts > 1 ? part_of(product, pairs, parts, i) : *product;
        nc_isa(nc_half_pack)(&part, pairs, workspace, team);
        nc_isa(nc_half_multiply)(&part, pairs, workspace, free, team);
    }
}

/* cpu/simd/attention.c - attention and its gradient without a matrix of weights (Milakov and Gimelshein 2018; Dao et
 * al. 2022): blocks of scores live in scratch, sums of exponentials are corrected as larger scores turn up, and the
 * gradient makes the weights again from logsumexp.
 *
 * The products are register tiles (tile.h): a tile's rows are rows of q, its panels columns of scores. What a row may
 * not attend to because of `causal` is not computed but for the rest of its tile. A task is a head, or some rows of one
 * where there are few heads, so no result depends on the number of threads. A row alone, as when text is generated,
 * is worked on without tiles: its keys would be packed for nothing.
 */
#include "cpu/heads.h"
#include "cpu/share.h"
#include "cpu/simd/math.h"
#include "cpu/simd/tile.h"

#include <nacre/backend.h>

enum {
    PANEL = NC_TILE_COLUMNS,
#ifdef NACRE_STRESS
    BLOCK = PANEL,           /* columns of scores at a time */
    SPAN = 2 * NC_TILE_ROWS, /* rows of scores at a time, backward */
    FEW = 1,
#else
    BLOCK = 256,
    SPAN = 8 * NC_TILE_ROWS,
    FEW = 3, /* rows that are not worth packing keys for */
#endif
};

enum { CAUSAL, SCALE, HEADS };                                             /* attribute words */
enum { Q, K, V, MASK, LENGTH };                                            /* operands of attention */
enum { DY, BACK_Q, BACK_K, BACK_V, Y, LOGSUMEXP, BACK_MASK, BACK_LENGTH }; /* of attention_backward */

typedef struct attention {
    int64_t heads, rows, columns, depth, width; /* T, S, D, E */
    int64_t parts;                              /* tasks of a head: forward */
    float scale;
    bool causal;
    int64_t valid, shift; /* columns that exist; row t attends to columns up to t + shift, if causal */
    nacre_shape lead;
    nacre_view mask; /* no data: none */
    nc_heads q, k, v, y;
    nc_heads_gradients gradients; /* backward */
    float *sums;
    float *scratch; /* of each thread, floats */
    int64_t scratch_size;
} attention;

static float *row_of(const nc_heads *heads, int64_t head, int64_t row)
{
    return (float *)heads->data + nc_heads_offset(heads, head, row);
}

/* ---- a head's rows and columns ----------------------------------------------------------------------------------- */

/* Columns before this one are what `row` may attend to. */
static int64_t end_of_row(const attention *p, int64_t row)
{
    const int64_t end = p->causal ? nc_least(p->valid, row + p->shift + 1) : p->valid;
    return nc_most(end, 0);
}

/* The first row that may attend to `column`. */
static int64_t first_row(const attention *p, int64_t column)
{
    return p->causal ? nc_most(column - p->shift, 0) : 0;
}

/* Element offset of the mask's value for (head, row, 0). */
static int64_t mask_offset(const attention *p, int64_t head, int64_t row)
{
    const nacre_view *mask = &p->mask;
    const int missing = p->lead.rank + 2 - mask->shape.rank;
    int64_t offset = 0;
    for (int i = p->lead.rank - 1; i >= 0; i--) {
        const int64_t at = head % p->lead.dims[i];
        head /= p->lead.dims[i];
        if (i >= missing && mask->shape.dims[i - missing] > 1) offset += at * mask->strides[i - missing];
    }
    const int axis = mask->shape.rank - 2;
    return axis >= 0 && mask->shape.dims[axis] > 1 ? offset + row * mask->strides[axis] : offset;
}

NC_ALWAYS_INLINE nc_vec get(const float *p, int64_t lanes)
{
    return lanes >= NC_LANES ? nc_load(p) : nc_load_some(p, lanes);
}

NC_ALWAYS_INLINE void put(float *p, nc_vec v, int64_t lanes)
{
    if (lanes >= NC_LANES)
        nc_store(p, v);
    else
        nc_store_some(p, v, lanes);
}

/* scores = scale scores + mask, for columns [first, end) of a row; -infinity from there to a whole vector after `last`,
 * so that what follows needs no masks. */
static void finish_scores(const attention *p, int64_t head, int64_t row, int64_t first, int64_t end, int64_t last,
                          float *scores)
{
    const int64_t count = nc_most(end - first, 0), padded = nc_round_up(last - first, NC_LANES);
    for (int64_t i = 0; i < count; i += NC_LANES) nc_store(scores + i, nc_load(scores + i) * p->scale);
    for (int64_t i = count; i < padded; i++) scores[i] = -__builtin_inff();
    if (!p->mask.data) return;
    const int axis = p->mask.shape.rank - 1;
    const int64_t step = axis >= 0 && p->mask.shape.dims[axis] > 1 ? p->mask.strides[axis] : 0;
    const int64_t offset = mask_offset(p, head, row) + first * step;
    if (p->mask.dtype == NACRE_BOOL) {
        const uint8_t *allowed = (const uint8_t *)p->mask.data + offset;
        for (int64_t i = 0; i < count; i++)
            if (!allowed[i * step]) scores[i] = -__builtin_inff();
    } else {
        const float *added = (const float *)p->mask.data + offset;
        for (int64_t i = 0; i < count; i++) scores[i] += added[i * step];
    }
}

/* Rows of `width` floats, `row` apart, as a tile reads them: in whole vectors beside each other, so copied, with zeros
 * behind, if they do not lie so. Rows that only happen to be whole vectors apart do not: memory may end with the last.
 */
static const float *whole_vectors(const float *rows, int64_t row, int64_t count, int64_t width, float *copy,
                                  int64_t *step)
{
    *step = nc_round_up(width, NC_LANES);
    if (*step == width && row == width) return rows;
    for (int64_t i = 0; i < count; i++)
        for (int64_t j = 0; j < *step; j += NC_LANES)
            nc_store(copy + i * *step + j, nc_load_some(rows + i * row + j, nc_least(width - j, NC_LANES)));
    return copy;
}

/* Rows of `width` floats, `row` apart, as panels of columns: [count / PANEL][width][PANEL], zeros behind the last. */
static void pack_transposed(const float *rows, int64_t row, int64_t count, int64_t width, float *packed)
{
    for (int64_t i = 0; i < count; i += NC_LANES) {
        float *to = packed + i / PANEL * PANEL * width + i % PANEL;
        for (int64_t j = 0; j < width; j += NC_LANES) {
            nc_vec square[NC_LANES];
            NC_UNROLL
            for (int r = 0; r < NC_LANES; r++)
                square[r] = i + r < count ? get(rows + (i + r) * row + j, width - j) : (nc_vec){0};
            nc_transpose(square);
            for (int r = 0; r < NC_LANES && j + r < width; r++) nc_store(to + (j + r) * PANEL, square[r]);
        }
    }
    if (nc_round_up(count, PANEL) - nc_round_up(count, NC_LANES) == NC_LANES)
        for (int64_t j = 0; j < width; j++)
            nc_store(packed + count / PANEL * PANEL * width + j * PANEL + NC_LANES, (nc_vec){0});
}

/* ---- products ---------------------------------------------------------------------------------------------------- */

typedef struct product {
    const float *a;
    int64_t a_row, a_step, rows; /* one of the strides is 1; rows up to NC_TILE_ROWS */
    const float *b;
    int64_t b_step, b_panel, columns; /* between rows and between panels of b */
    int64_t steps;
    float *c;
    int64_t c_row;
    bool accumulate;
} product;

static void multiply(const product *p)
{
    const nc_tap origin = {0, 0};
    nc_tile tile = {.a = p->a,
                    .a_row = p->a_row,
                    .a_step = p->a_step,
                    .b_step = p->b_step,
                    .taps = &origin,
                    .tap_count = 1,
                    .steps = p->steps,
                    .c_row = p->c_row,
                    .accumulate = p->accumulate};
    const int order = p->a_step == 1 ? NC_TILE_STEPS_CONTIGUOUS : NC_TILE_ROWS_CONTIGUOUS;
    for (int64_t j = 0; j < p->columns; j += PANEL) {
        tile.b = p->b + j / PANEL * p->b_panel;
        tile.c = p->c + j;
        tile.columns = nc_least(p->columns - j, PANEL);
        nc_isa(nc_tiles_f32)[order][p->rows - 1][tile.columns > NC_LANES](&tile);
    }
}

/* Rows of `depth` floats, `row` apart, times packed columns. */
static void multiply_packed(const float *a, int64_t row, int64_t count, int64_t depth, const float *packed,
                            int64_t columns, float *scores)
{
    multiply(&(product){.a = a,
                        .a_row = row,
                        .a_step = 1,
                        .rows = count,
                        .b = packed,
                        .b_step = PANEL,
                        .b_panel = depth * PANEL,
                        .columns = nc_round_up(columns, PANEL),
                        .steps = depth,
                        .c = scores,
                        .c_row = BLOCK});
}

/* ---- forward ----------------------------------------------------------------------------------------------------- */

/* Where a row stands: the largest score so far and the sum of exp(score - largest). */
typedef struct running {
    float largest, sum;
} running;

/* Turns scores, up to a whole vector after `count`, into exp(score - largest); returns what the sums so far are to be
 * multiplied by. */
static float exponentiate(running *state, float *scores, int64_t count)
{
    nc_vec largest = nc_splat(state->largest), sum = {0};
    for (int64_t i = 0; i < count; i += NC_LANES) largest = nc_max(largest, nc_load(scores + i));
    const float top = nc_fold_max(largest);
    if (top == -__builtin_inff()) {
        memset(scores, 0, (size_t)nc_round_up(count, NC_LANES) * sizeof *scores);
        return 1;
    }
    for (int64_t i = 0; i < count; i += NC_LANES) {
        const nc_vec p = nc_exp_of_term(nc_load(scores + i) - top);
        nc_store(scores + i, p);
        sum += p;
    }
    const float correction = state->largest == top ? 1 : nc_exp(nc_splat(state->largest - top))[0];
    state->largest = top;
    state->sum = state->sum * correction + nc_sum(sum);
    return correction;
}

static void scale_row(float *row, int64_t width, float factor)
{
    for (int64_t i = 0; i < width; i += NC_LANES) put(row + i, get(row + i, width - i) * factor, width - i);
}

/* y = y / sum; a row that attends to nothing gives 0. */
static void finish_row(const attention *p, running state, float *y, float *sum)
{
    if (state.sum == 0)
        memset(y, 0, (size_t)p->width * sizeof *y);
    else
        scale_row(y, p->width, 1 / state.sum);
    *sum = state.sum == 0 ? __builtin_inff() : state.largest + nc_log(nc_splat(state.sum))[0];
}

static running nothing_yet(void)
{
    return (running){.largest = -__builtin_inff()};
}

/* A tile of rows against the packed keys and the values of columns [first, first + BLOCK). */
static void attend_tile(const attention *p, int64_t head, nc_range rows, int64_t first, const float *keys,
                        const float *values, int64_t value_step, running *states, float *scores)
{
    const int64_t count = rows.end - rows.begin;
    const int64_t last = nc_least(end_of_row(p, rows.end - 1), first + BLOCK);
    if (last <= first) return;
    float *y = row_of(&p->y, head, rows.begin);
    multiply_packed(row_of(&p->q, head, rows.begin), p->q.row, count, p->depth, keys, last - first, scores);
    for (int64_t r = 0; r < count; r++) {
        float *row = scores + r * BLOCK;
        finish_scores(p, head, rows.begin + r, first, nc_least(end_of_row(p, rows.begin + r), last), last, row);
        const float correction = exponentiate(&states[r], row, last - first);
        if (first > 0 && correction != 1) scale_row(y + r * p->y.row, p->width, correction);
    }
    multiply(&(product){.a = scores,
                        .a_row = BLOCK,
                        .a_step = 1,
                        .rows = count,
                        .b = values,
                        .b_step = value_step,
                        .b_panel = PANEL,
                        .columns = p->width,
                        .steps = last - first,
                        .c = y,
                        .c_row = p->y.row,
                        .accumulate = first > 0});
}

static size_t forward_scratch(const attention *p) /* floats: keys, values, scores, states */
{
    const int64_t rows = nc_ceil_div(p->rows, p->parts) + 1;
    return (size_t)(BLOCK * p->depth + BLOCK * nc_round_up(p->width, NC_LANES) + NC_TILE_ROWS * BLOCK + 2 * rows);
}

static void attend_rows(const attention *p, int64_t head, nc_range rows, float *scratch)
{
    float *packed = scratch, *copy = packed + BLOCK * p->depth;
    float *scores = copy + BLOCK * nc_round_up(p->width, NC_LANES);
    running *states = (running *)(void *)(scores + NC_TILE_ROWS * BLOCK);
    const int64_t tiles = nc_ceil_div(rows.end - rows.begin, NC_TILE_ROWS);
    for (int64_t r = 0; r < rows.end - rows.begin; r++) states[r] = nothing_yet();
    for (int64_t first = 0; first < end_of_row(p, rows.end - 1); first += BLOCK) {
        const int64_t count = nc_least(p->columns - first, BLOCK);
        int64_t value_step;
        pack_transposed(row_of(&p->k, head, first), p->k.row, count, p->depth, packed);
        const float *values = whole_vectors(row_of(&p->v, head, first), p->v.row, count, p->width, copy, &value_step);
        for (int64_t i = 0; i < tiles; i++) {
            const nc_range tile = nc_share(rows.end - rows.begin, 1, tiles, i);
            attend_tile(p, head, (nc_range){rows.begin + tile.begin, rows.begin + tile.end}, first, packed, values,
                        value_step, states + tile.begin, scores);
        }
    }
    for (int64_t r = rows.begin; r < rows.end; r++)
        finish_row(p, states[r - rows.begin], row_of(&p->y, head, r), p->sums + head * p->rows + r);
}

/* ---- forward, row by row ----------------------------------------------------------------------------------------- */

/* Brings `count` rows of `width` floats into the cache. */
NC_ALWAYS_INLINE void fetch_rows(const float *rows, int64_t row, int64_t count, int64_t width)
{
    enum { LINE = 64 / sizeof(float) };
    for (int64_t j = 0; j < count; j++)
        for (int64_t d = 0; d < width; d += LINE) __builtin_prefetch(rows + j * row + d, 0, 3);
}

static void dots(const float *q, const float *keys, int64_t row, int64_t count, int64_t depth, float *scores)
{
    enum { KEYS = 4 };
    for (int64_t j = 0; j < count; j += KEYS) {
        nc_vec sums[KEYS] = {{0}};
        const float *key[KEYS];
        for (int i = 0; i < KEYS; i++) key[i] = keys + nc_least(j + i, count - 1) * row;
        for (int64_t d = 0; d < depth; d += NC_LANES) {
            const nc_vec x = get(q + d, depth - d);
            NC_UNROLL
            for (int i = 0; i < KEYS; i++) sums[i] = nc_fma(x, get(key[i] + d, depth - d), sums[i]);
        }
        for (int i = 0; i < KEYS && j + i < count; i++) scores[j + i] = nc_sum(sums[i]);
    }
}

/* y = factor y + sum of weights[j] values[j] */
static void add_weighted(const float *weights, const float *values, int64_t row, int64_t count, int64_t width,
                         float factor, float *y)
{
    for (int64_t e = 0; e < width; e += NC_LANES) {
        const int64_t lanes = nc_least(width - e, NC_LANES);
        nc_vec even = get(y + e, lanes) * factor, odd = {0};
        int64_t j = 0;
        for (; j + 1 < count; j += 2) {
            even = nc_fma(nc_splat(weights[j]), get(values + j * row + e, lanes), even);
            odd = nc_fma(nc_splat(weights[j + 1]), get(values + (j + 1) * row + e, lanes), odd);
        }
        if (j < count) even = nc_fma(nc_splat(weights[j]), get(values + j * row + e, lanes), even);
        put(y + e, even + odd, lanes);
    }
}

/* scores = q . k for columns [first, end). Rows of a head are short and far apart, so the processor does not fetch them
 * ahead by itself: the next keys come while these are read, and the values which follow. */
static void score_row(const attention *p, int64_t head, int64_t row, int64_t first, int64_t end, float *scores)
{
    enum { FETCHED = 8 };
    for (int64_t j = first; j < end; j += FETCHED) {
        const int64_t count = nc_least(end - j, FETCHED), next = j + count;
        fetch_rows(row_of(&p->k, head, next), p->k.row, nc_least(end - next, FETCHED), p->depth);
        fetch_rows(row_of(&p->v, head, j), p->v.row, count, p->width);
        dots(row_of(&p->q, head, row), row_of(&p->k, head, j), p->k.row, count, p->depth, scores + j - first);
    }
}

static void attend_row(const attention *p, int64_t head, int64_t row, float *scores)
{
    float *y = row_of(&p->y, head, row);
    running state = nothing_yet();
    memset(y, 0, (size_t)p->width * sizeof *y);
    for (int64_t first = 0; first < end_of_row(p, row); first += BLOCK) {
        const int64_t end = nc_least(end_of_row(p, row), first + BLOCK);
        score_row(p, head, row, first, end, scores);
        finish_scores(p, head, row, first, end, end, scores);
        const float correction = exponentiate(&state, scores, end - first);
        add_weighted(scores, row_of(&p->v, head, first), p->v.row, end - first, p->width, correction, y);
    }
    finish_row(p, state, y, p->sums + head * p->rows + row);
}

static void forward_task(void *user, int64_t index, int thread)
{
    const attention *p = user;
    float *scratch = p->scratch + thread * p->scratch_size;
    const int64_t head = index / p->parts;
    const nc_range rows = nc_share(p->rows, 1, p->parts, index % p->parts);
    if (rows.end - rows.begin > FEW)
        attend_rows(p, head, rows, scratch);
    else
        for (int64_t r = rows.begin; r < rows.end; r++) attend_row(p, head, r, scratch);
}

/* ---- backward ---------------------------------------------------------------------------------------------------- */

/* What a task of the gradient keeps in scratch. */
typedef struct workshop {
    float *keys, *values;             /* packed transposed: a block of columns */
    float *p, *ds;                    /* [SPAN][BLOCK] */
    float *k_copy, *q_copy, *dy_copy; /* where the originals do not end in whole vectors */
    const float *k_rows, *q_rows, *dy_rows;
    int64_t depth_step, width_step;
    float *deltas; /* sum(dy y) of each row */
} workshop;

static size_t backward_scratch(const attention *p) /* floats */
{
    const int64_t depth = nc_round_up(p->depth, NC_LANES), width = nc_round_up(p->width, NC_LANES);
    return (size_t)(BLOCK * (p->depth + p->width) + 2 * SPAN * BLOCK + BLOCK * depth + p->rows * (depth + width) +
                    p->rows);
}

static workshop furnish(const attention *p, int64_t head, float *scratch)
{
    const int64_t depth = nc_round_up(p->depth, NC_LANES), width = nc_round_up(p->width, NC_LANES);
    workshop w = {.keys = scratch};
    w.values = w.keys + BLOCK * p->depth;
    w.p = w.values + BLOCK * p->width;
    w.ds = w.p + SPAN * BLOCK;
    w.k_copy = w.ds + SPAN * BLOCK;
    w.q_copy = w.k_copy + BLOCK * depth;
    w.dy_copy = w.q_copy + p->rows * depth;
    w.deltas = w.dy_copy + p->rows * width;
    w.q_rows = whole_vectors(row_of(&p->q, head, 0), p->q.row, p->rows, p->depth, w.q_copy, &w.depth_step);
    w.dy_rows = whole_vectors(row_of(&p->gradients.dy, head, 0), p->gradients.dy.row, p->rows, p->width, w.dy_copy,
                              &w.width_step);
    for (int64_t r = 0; r < p->rows; r++)
        dots(row_of(&p->gradients.dy, head, r), row_of(&p->y, head, r), 0, 1, p->width, w.deltas + r);
    return w;
}

/* Turns scores and dy v' of columns [first, end) into p and scale ds; up to a whole vector after `last`. */
static void weigh(const attention *p, const workshop *w, int64_t head, int64_t row, int64_t first, int64_t last,
                  float *scores, float *ds)
{
    const nc_vec log_sum = nc_splat(p->sums[head * p->rows + row]), delta = nc_splat(w->deltas[row]);
    finish_scores(p, head, row, first, nc_least(end_of_row(p, row), last), last, scores);
    for (int64_t i = 0; i < last - first; i += NC_LANES) {
        const nc_vec weight = nc_exp_of_term(nc_load(scores + i) - log_sum);
        nc_store(scores + i, weight);
        nc_store(ds + i, weight * (nc_load(ds + i) - delta) * p->scale);
    }
}

/* Weights and score gradients of a tile of rows, and what they add to dq. They stand at row - span of w->p and w->ds.
 */
static void weigh_tile(const attention *p, const workshop *w, int64_t head, nc_range rows, int64_t span, int64_t first,
                       int64_t block_end)
{
    const int64_t count = rows.end - rows.begin;
    const int64_t last = nc_least(end_of_row(p, rows.end - 1), block_end);
    float *weights = w->p + (rows.begin - span) * BLOCK, *ds = w->ds + (rows.begin - span) * BLOCK;
    const int64_t used = last > first ? nc_round_up(last - first, NC_LANES) : 0;
    if (used > 0) {
        multiply_packed(row_of(&p->q, head, rows.begin), p->q.row, count, p->depth, w->keys, last - first, weights);
        multiply_packed(row_of(&p->gradients.dy, head, rows.begin), p->gradients.dy.row, count, p->width, w->values,
                        last - first, ds);
        for (int64_t r = 0; r < count; r++)
            weigh(p, w, head, rows.begin + r, first, last, weights + r * BLOCK, ds + r * BLOCK);
        multiply(&(product){.a = ds,
                            .a_row = BLOCK,
                            .a_step = 1,
                            .rows = count,
                            .b = w->k_rows,
                            .b_step = w->depth_step,
                            .b_panel = PANEL,
                            .columns = p->depth,
                            .steps = last - first,
                            .c = row_of(&p->gradients.dq, head, rows.begin),
                            .c_row = p->gradients.dq.row,
                            .accumulate = true});
    }
    for (int64_t r = 0; r < count; r++) { /* the products over rows read whole tiles of columns */
        memset(weights + r * BLOCK + used, 0, (size_t)(BLOCK - used) * sizeof *weights);
        memset(ds + r * BLOCK + used, 0, (size_t)(BLOCK - used) * sizeof *ds);
    }
}

/* to += columns' . rows over a span: `columns` of p or ds by q or dy. */
static void add_over_rows(const float *columns, int64_t count, const float *rows, int64_t row_step, int64_t width,
                          int64_t steps, float *to, int64_t to_row)
{
    multiply(&(product){.a = columns,
                        .a_row = 1,
                        .a_step = BLOCK,
                        .rows = count,
                        .b = rows,
                        .b_step = row_step,
                        .b_panel = PANEL,
                        .columns = width,
                        .steps = steps,
                        .c = to,
                        .c_row = to_row,
                        .accumulate = true});
}

/* Rows [span.begin, span.end) against columns [first, end). */
static void differentiate_span(const attention *p, const workshop *w, int64_t head, nc_range span, int64_t first,
                               int64_t end)
{
    const int64_t tiles = nc_ceil_div(span.end - span.begin, NC_TILE_ROWS);
    for (int64_t i = 0; i < tiles; i++) {
        const nc_range tile = nc_share(span.end - span.begin, 1, tiles, i);
        weigh_tile(p, w, head, (nc_range){span.begin + tile.begin, span.begin + tile.end}, span.begin, first, end);
    }
    for (int64_t column = first; column < end; column += NC_TILE_ROWS) {
        const int64_t row = nc_most(first_row(p, column), span.begin);
        if (row >= span.end) break;
        const int64_t at = (row - span.begin) * BLOCK + column - first, count = nc_least(end - column, NC_TILE_ROWS);
        add_over_rows(w->ds + at, count, w->q_rows + row * w->depth_step, w->depth_step, p->depth, span.end - row,
                      row_of(&p->gradients.dk, head, column), p->gradients.dk.row);
        add_over_rows(w->p + at, count, w->dy_rows + row * w->width_step, w->width_step, p->width, span.end - row,
                      row_of(&p->gradients.dv, head, column), p->gradients.dv.row);
    }
}

static void clear(const nc_heads *heads, int64_t head, int64_t rows, int64_t width)
{
    for (int64_t r = 0; r < rows; r++) memset(row_of(heads, head, r), 0, (size_t)width * sizeof(float));
}

static void backward_task(void *user, int64_t head, int thread)
{
    const attention *p = user;
    workshop w = furnish(p, head, p->scratch + thread * p->scratch_size);
    clear(&p->gradients.dq, head, p->rows, p->depth);
    clear(&p->gradients.dk, head, p->columns, p->depth);
    clear(&p->gradients.dv, head, p->columns, p->width);
    for (int64_t first = 0; first < nc_least(p->valid, p->columns); first += BLOCK) {
        const int64_t end = nc_least(p->columns, first + BLOCK);
        const float *k = row_of(&p->k, head, first);
        int64_t row = first_row(p, first);
        pack_transposed(k, p->k.row, end - first, p->depth, w.keys);
        pack_transposed(row_of(&p->v, head, first), p->v.row, end - first, p->width, w.values);
        w.k_rows = whole_vectors(k, p->k.row, end - first, p->depth, w.k_copy, &w.depth_step);
        for (; row < p->rows; row += SPAN)
            differentiate_span(p, &w, head, (nc_range){row, nc_least(row + SPAN, p->rows)}, first, end);
    }
}

/* ---- as kernels -------------------------------------------------------------------------------------------------- */

static int64_t length_of(const nacre_view *inputs, int count, int index, int64_t columns)
{
    if (index >= count || !inputs[index].data) return columns;
    return *(const int64_t *)inputs[index].data;
}

/* `first`: of the operands q, k, v. Without data where the views have none. */
static attention describe(const nacre_view *inputs, int count, const int64_t *attributes, int first, int mask,
                          int threads)
{
    nacre_view parts[3];
    nc_attention_parts(&inputs[first], count - first, attributes[HEADS], parts);
    const int rank = parts[Q].shape.rank;
    attention p = {.lead = parts[Q].shape,
                   .rows = parts[Q].shape.dims[rank - 2],
                   .columns = parts[K].shape.dims[rank - 2],
                   .depth = parts[Q].shape.dims[rank - 1],
                   .width = parts[V].shape.dims[rank - 1],
                   .causal = attributes[CAUSAL] != 0,
                   .q = nc_heads_of(&parts[Q]),
                   .k = nc_heads_of(&parts[K]),
                   .v = nc_heads_of(&parts[V])};
    const double scale = nacre_unword(attributes[SCALE]);
    p.scale = (float)(scale != 0 ? scale : 1 / sqrt((double)p.depth));
    p.lead.rank -= 2;
    p.heads = nacre_shape_count(p.lead);
    const int64_t length = length_of(inputs, count, mask + 1, p.columns);
    p.valid = nc_most(nc_least(length, p.columns), 0);
    p.shift = mask + 1 < count && inputs[mask + 1].data ? length - p.rows : 0;
    if (mask < count && inputs[mask].data) p.mask = inputs[mask];
    const int64_t wanted = p.heads >= 4 * threads ? 1 : nc_ceil_div(4 * threads, nc_most(p.heads, 1));
    p.parts = nc_most(nc_least(wanted, p.rows / (4 * NC_TILE_ROWS)), 1);
    return p;
}

static void run_forward(const nacre_call *call)
{
    attention p = describe(call->inputs, call->input_count, call->attributes, Q, MASK, nacre_team_size(call->team));
    p.y = nc_heads_of_rows(&call->outputs[0], call->attributes[HEADS]);
    p.sums = call->outputs[1].data;
    p.scratch = call->workspace;
    p.scratch_size = nc_round_up((int64_t)forward_scratch(&p), 16);
    if (p.rows > 0) nacre_parallel(call->team, p.heads * p.parts, forward_task, &p);
}

static void run_backward(const nacre_call *call)
{
    attention p =
        describe(call->inputs, call->input_count, call->attributes, BACK_Q, BACK_MASK, nacre_team_size(call->team));
    p.y = nc_heads_of_rows(&call->inputs[Y], call->attributes[HEADS]);
    p.gradients = nc_heads_of_gradients(call, DY, call->attributes[HEADS]);
    p.sums = call->inputs[LOGSUMEXP].data;
    p.scratch = call->workspace;
    p.scratch_size = nc_round_up((int64_t)backward_scratch(&p), 16);
    nacre_parallel(call->team, p.heads, backward_task, &p);
}

static size_t forward_workspace(const nacre_node_info *info)
{
    const attention p = describe(info->inputs, info->input_count, info->attributes, Q, MASK, info->threads);
    return sizeof(float) * (size_t)info->threads * (size_t)nc_round_up((int64_t)forward_scratch(&p), 16);
}

static size_t backward_workspace(const nacre_node_info *info)
{
    const attention p = describe(info->inputs, info->input_count, info->attributes, BACK_Q, BACK_MASK, info->threads);
    return sizeof(float) * (size_t)info->threads * (size_t)nc_round_up((int64_t)backward_scratch(&p), 16);
}

static const char *refuse(const nacre_node_info *info)
{
    return info->outputs[0].dtype == NACRE_F32 ? NULL : "computes f32 only";
}

const nacre_kernel nc_isa(nc_attention_kernel) = {
    .op = "attention",
    .variant = "tiled_" NC_ISA_NAME,
    .can = refuse,
    .workspace = forward_workspace,
    .run = run_forward,
};
const nacre_kernel nc_isa(nc_attention_backward_kernel) = {
    .op = "attention_backward",
    .variant = "tiled_" NC_ISA_NAME,
    .can = refuse,
    .workspace = backward_workspace,
    .run = run_backward,
};

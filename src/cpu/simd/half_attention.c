/* cpu/simd/half_attention.c - attention and its gradient over bf16 operands: see attention.c for the algorithm.
 *
 * Products are of pairs of bf16 with f32 sums; scores, exponentials and everything that is added up are f32, and
 * weights are rounded to bf16 only to be multiplied with values. Keys and values of a head are packed as a whole. */
#include "cpu/half_product.h"
#include "cpu/heads.h"
#include "cpu/share.h"
#include "cpu/simd/half.h"
#include "cpu/simd/math.h"
#include "cpu/simd/tile_bf16.h"

#include <nacre/backend.h>

enum { Q, K, V, MASK, LENGTH };                                            /* operands of attention */
enum { DY, BACK_Q, BACK_K, BACK_V, Y, LOGSUMEXP, BACK_MASK, BACK_LENGTH }; /* of attention_backward */

#if defined(NC_ISA_avx512)

enum {
    PANEL = NC_TILE_COLUMNS,
#ifdef NACRE_STRESS
    BLOCK = PANEL,
    SPAN = 2 * NC_TILE_ROWS,
#else
    BLOCK = 256,             /* columns of scores at a time */
    SPAN = 8 * NC_TILE_ROWS, /* rows of scores at a time, backward */
#endif
    LEAST_ROWS = 8,
    ALIGNMENT = 64
};

enum { CAUSAL, SCALE, HEADS }; /* attribute words */

typedef struct attention {
    int64_t heads, rows, columns, depth, width; /* T, S, D, E */
    int64_t parts;                              /* tasks of a head: forward */
    float scale;
    bool causal;
    nc_heads q, k, v, y;
    nc_heads_gradients gradients; /* backward */
    void *sums;                   /* logsumexp of each row, of a type of its own */
    nacre_dtype sums_dtype;
    char *scratch; /* of each thread */
    size_t scratch_bytes;
} attention;

static uint16_t *row_of(const nc_heads *heads, int64_t head, int64_t row)
{
    return (uint16_t *)heads->data + nc_heads_offset(heads, head, row);
}

/* Columns before this one are what `row` may attend to. */
static int64_t end_of_row(const attention *p, int64_t row)
{
    return p->causal ? nc_least(p->columns, row + 1) : p->columns;
}

/* ---- scratch ----------------------------------------------------------------------------------------------------- */

/* The next `count` elements of four bytes; without memory they are only counted. */
static void *take(char *scratch, size_t *used, int64_t count)
{
    char *taken = scratch ? scratch + *used : NULL;
    *used += (size_t)nc_round_up(count * 4, ALIGNMENT);
    return taken;
}

/* ---- packing ----------------------------------------------------------------------------------------------------- */

/* Rows of halves, `row` apart, as columns of pairs: [count / PANEL][width / 2][PANEL], zeros behind the last. */
static void pack_transposed(const uint16_t *rows, int64_t row, int64_t count, int64_t width, float *packed)
{
    const int64_t pairs = width / 2;
    for (int64_t i = 0; i < nc_round_up(count, PANEL); i += NC_LANES)
        for (int64_t j = 0; j < pairs; j += NC_LANES) {
            nc_vec square[NC_LANES];
            NC_UNROLL
            for (int r = 0; r < NC_LANES; r++) {
                square[r] = (nc_vec){0};
                if (i + r < count) memcpy(&square[r], rows + (i + r) * row + 2 * j, sizeof square[r]);
            }
            nc_transpose(square);
            float *to = packed + i / PANEL * PANEL * pairs + i % PANEL;
            NC_UNROLL
            for (int r = 0; r < NC_LANES; r++) nc_store(to + (j + r) * PANEL, square[r]);
        }
}

NC_ALWAYS_INLINE nc_vecu bits_of(const uint16_t *p)
{
    return __builtin_convertvector(*(const nc_halves_any *)p, nc_vecu);
}

/* Rows of halves as rows of pairs: element j of rows 2i and 2i + 1 beside each other; a zero where the last is alone.
 */
static void zip_rows(const uint16_t *rows, int64_t row, int64_t count, int64_t width, float *zipped)
{
    for (int64_t i = 0; i < count; i += 2)
        for (int64_t j = 0; j < width; j += NC_LANES) {
            const nc_vecu low = bits_of(rows + i * row + j);
            const nc_vecu high = i + 1 < count ? bits_of(rows + (i + 1) * row + j) : (nc_vecu){0};
            nc_store(zipped + i / 2 * width + j, (nc_vec)(low | high << 16));
        }
}

/* The same of f32 rows that are rounded. */
NC_BF16 static void zip_rounded(const float *low, const float *high, int64_t count, float *zipped)
{
    for (int64_t j = 0; j < count; j += NC_LANES) {
        const __m512i a = _mm512_cvtepu16_epi32(nc_round_to_bf16(nc_load(low + j)));
        const __m512i b = high ? _mm512_cvtepu16_epi32(nc_round_to_bf16(nc_load(high + j))) : _mm512_setzero_si512();
        nc_store(zipped + j, (nc_vec)_mm512_or_si512(a, _mm512_slli_epi32(b, 16)));
    }
}

NC_BF16 static void round_row(const float *from, int64_t count, uint16_t *to)
{
    for (int64_t j = 0; j < count; j += NC_LANES)
        _mm256_storeu_si256((__m256i *)(void *)(to + j), nc_round_to_bf16(nc_load(from + j)));
}

/* Rows of f32 become those of a head. */
static void round_rows(const float *from, int64_t count, int64_t width, const nc_heads *to, int64_t head, int64_t first)
{
    for (int64_t r = 0; r < count; r++) round_row(from + r * width, width, row_of(to, head, first + r));
}

/* ---- products ---------------------------------------------------------------------------------------------------- */

typedef struct product { /* strides count pairs */
    const void *a;
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
    const int order = p->a_step == 1 ? NC_TILE_STEPS_CONTIGUOUS : NC_TILE_ROWS_CONTIGUOUS;
    for (int64_t j = 0; j < p->columns; j += PANEL) {
        const nc_tile tile = {.a = p->a,
                              .a_row = p->a_row,
                              .a_step = p->a_step,
                              .b = p->b + j / PANEL * p->b_panel,
                              .b_step = p->b_step,
                              .taps = &origin,
                              .tap_count = 1,
                              .steps = p->steps,
                              .c = p->c + j,
                              .c_row = p->c_row,
                              .columns = nc_least(p->columns - j, PANEL),
                              .accumulate = p->accumulate};
        nc_tiles_bf16[order][p->rows - 1][tile.columns > NC_LANES](&tile);
    }
}

/* Rows of `depth` halves, `row` apart, times all of some packed columns from `first` on, `columns` of them. */
static void multiply_packed(const uint16_t *a, int64_t row, int64_t count, int64_t depth, const float *packed,
                            int64_t first, int64_t columns, float *scores)
{
    multiply(&(product){.a = a,
                        .a_row = row / 2,
                        .a_step = 1,
                        .rows = count,
                        .b = packed + first * (depth / 2),
                        .b_step = PANEL,
                        .b_panel = depth / 2 * PANEL,
                        .columns = nc_round_up(columns, PANEL),
                        .steps = depth / 2,
                        .c = scores,
                        .c_row = BLOCK});
}

/* Rows of halves, BLOCK apart, times zipped rows. */
static void multiply_zipped(const uint16_t *a, int64_t count, int64_t steps, const float *zipped, int64_t width,
                            float *c, bool accumulate)
{
    multiply(&(product){.a = a,
                        .a_row = BLOCK / 2,
                        .a_step = 1,
                        .rows = count,
                        .b = zipped,
                        .b_step = width,
                        .b_panel = PANEL,
                        .columns = width,
                        .steps = nc_ceil_div(steps, 2),
                        .c = c,
                        .c_row = width,
                        .accumulate = accumulate});
}

/* ---- forward ----------------------------------------------------------------------------------------------------- */

/* Where a row stands: the largest score so far and the sum of exp(score - largest). */
typedef struct running {
    float largest, sum;
} running;

typedef struct forward_room {
    float *keys, *values; /* of the whole head: packed transposed, zipped */
    float *scores, *y;    /* [tile rows][BLOCK], [tile rows][width] */
    uint16_t *weights;    /* [tile rows][BLOCK] */
} forward_room;

static forward_room furnish_forward(const attention *p, char *scratch, size_t *used)
{
    const int64_t columns = nc_round_up(p->columns, PANEL);
    forward_room room;
    room.keys = take(scratch, used, columns * p->depth / 2);
    room.values = take(scratch, used, columns * p->width / 2);
    room.scores = take(scratch, used, NC_TILE_ROWS * BLOCK);
    room.y = take(scratch, used, NC_TILE_ROWS * p->width);
    room.weights = take(scratch, used, NC_TILE_ROWS * BLOCK / 2);
    return room;
}

/* Scores of a row, of which the first `count` count, into weights exp(scale score - largest); returns what the sums so
 * far are to be multiplied by. All up to `padded` are written. */
static float exponentiate(const attention *p, running *state, float *scores, int64_t count, int64_t padded)
{
    nc_vec largest = nc_splat(state->largest), sum = {0};
    for (int64_t i = count; i < padded; i++) scores[i] = -__builtin_inff();
    for (int64_t i = 0; i < padded; i += NC_LANES) {
        const nc_vec scaled = nc_load(scores + i) * p->scale;
        nc_store(scores + i, scaled);
        largest = nc_max(largest, scaled);
    }
    const float top = nc_fold_max(largest);
    for (int64_t i = 0; i < padded; i += NC_LANES) {
        const nc_vec weight = nc_exp_of_term(nc_load(scores + i) - top);
        nc_store(scores + i, weight);
        sum += weight;
    }
    const float correction = nc_exp(nc_splat(state->largest - top))[0];
    state->largest = top;
    state->sum = state->sum * correction + nc_sum(sum);
    return correction;
}

static void scale_row(float *row, int64_t width, float factor)
{
    for (int64_t i = 0; i < width; i += NC_LANES) nc_store(row + i, nc_load(row + i) * factor);
}

static void attend_tile(const attention *p, const forward_room *room, int64_t head, nc_range rows)
{
    const int64_t count = rows.end - rows.begin, end = end_of_row(p, rows.end - 1);
    running states[NC_TILE_ROWS];
    for (int64_t r = 0; r < count; r++) states[r] = (running){.largest = -__builtin_inff()};
    for (int64_t first = 0; first < end; first += BLOCK) {
        const int64_t last = nc_least(end, first + BLOCK), padded = nc_round_up(last - first, PANEL);
        multiply_packed(row_of(&p->q, head, rows.begin), p->q.row, count, p->depth, room->keys, first, last - first,
                        room->scores);
        for (int64_t r = 0; r < count; r++) {
            float *scores = room->scores + r * BLOCK;
            const int64_t own = nc_least(end_of_row(p, rows.begin + r), last) - first;
            if (own <= 0) { /* this block begins behind the row's last column */
                memset(scores, 0, (size_t)padded * sizeof *scores);
            } else {
                const float correction = exponentiate(p, &states[r], scores, own, padded);
                if (first > 0) scale_row(room->y + r * p->width, p->width, correction);
            }
            round_row(scores, padded, room->weights + r * BLOCK);
        }
        multiply_zipped(room->weights, count, last - first, room->values + first / 2 * p->width, p->width, room->y,
                        first > 0);
    }
    for (int64_t r = 0; r < count; r++) {
        const int64_t row = head * p->rows + rows.begin + r;
        scale_row(room->y + r * p->width, p->width, 1 / states[r].sum);
        round_row(room->y + r * p->width, p->width, row_of(&p->y, head, rows.begin + r));
        nacre_dtype_store(p->sums_dtype, p->sums, row,
                          (double)(states[r].largest + nc_log(nc_splat(states[r].sum))[0]));
    }
}

static void forward_task(void *user, int64_t index, int thread)
{
    const attention *p = user;
    size_t bytes = 0;
    const forward_room room = furnish_forward(p, p->scratch + (size_t)thread * p->scratch_bytes, &bytes);
    const int64_t head = index / p->parts;
    const nc_range rows = nc_share(p->rows, 1, p->parts, index % p->parts);
    const int64_t needed = end_of_row(p, rows.end - 1);
    pack_transposed(row_of(&p->k, head, 0), p->k.row, needed, p->depth, room.keys);
    zip_rows(row_of(&p->v, head, 0), p->v.row, needed, p->width, room.values);
    const int64_t tiles = nc_ceil_div(rows.end - rows.begin, NC_TILE_ROWS);
    for (int64_t i = 0; i < tiles; i++) {
        const nc_range tile = nc_share(rows.end - rows.begin, 1, tiles, i);
        attend_tile(p, &room, head, (nc_range){rows.begin + tile.begin, rows.begin + tile.end});
    }
}

/* ---- backward ---------------------------------------------------------------------------------------------------- */

typedef struct backward_room {
    float *keys, *values;                /* packed transposed, for scores and dy v' */
    float *k_pairs, *q_pairs, *dy_pairs; /* zipped rows */
    float *deltas;                       /* sum(dy y) of each row */
    float *dq, *dk, *dv;                 /* [SPAN][depth], [columns][depth], [columns][width] */
    float *p, *ds;                       /* a tile's weights and score gradients: [tile rows][BLOCK] */
    uint16_t *ds_rows;                   /* the same rounded */
    float *p_pairs, *ds_pairs;           /* of a span, zipped: [SPAN / 2][BLOCK] */
} backward_room;

static backward_room furnish_backward(const attention *p, char *scratch, size_t *used)
{
    const int64_t columns = nc_round_up(p->columns, PANEL), rows = nc_round_up(p->rows, 2);
    backward_room room;
    room.keys = take(scratch, used, columns * p->depth / 2);
    room.values = take(scratch, used, columns * p->width / 2);
    room.k_pairs = take(scratch, used, columns * p->depth / 2);
    room.q_pairs = take(scratch, used, rows * p->depth / 2);
    room.dy_pairs = take(scratch, used, rows * p->width / 2);
    room.deltas = take(scratch, used, p->rows);
    room.dq = take(scratch, used, SPAN * p->depth);
    room.dk = take(scratch, used, columns * p->depth);
    room.dv = take(scratch, used, columns * p->width);
    room.p = take(scratch, used, NC_TILE_ROWS * BLOCK);
    room.ds = take(scratch, used, NC_TILE_ROWS * BLOCK);
    room.ds_rows = take(scratch, used, NC_TILE_ROWS * BLOCK / 2);
    room.p_pairs = take(scratch, used, SPAN / 2 * BLOCK);
    room.ds_pairs = take(scratch, used, SPAN / 2 * BLOCK);
    return room;
}

static void pack_head(const attention *p, const backward_room *room, int64_t head)
{
    const uint16_t *k = row_of(&p->k, head, 0);
    const int64_t columns = nc_round_up(p->columns, PANEL);
    pack_transposed(k, p->k.row, p->columns, p->depth, room->keys);
    pack_transposed(row_of(&p->v, head, 0), p->v.row, p->columns, p->width, room->values);
    memset(room->k_pairs, 0, (size_t)(columns * p->depth / 2) * sizeof *room->k_pairs);
    zip_rows(k, p->k.row, p->columns, p->depth, room->k_pairs);
    zip_rows(row_of(&p->q, head, 0), p->q.row, p->rows, p->depth, room->q_pairs);
    zip_rows(row_of(&p->gradients.dy, head, 0), p->gradients.dy.row, p->rows, p->width, room->dy_pairs);
    memset(room->dk, 0, (size_t)(p->columns * p->depth) * sizeof *room->dk);
    memset(room->dv, 0, (size_t)(p->columns * p->width) * sizeof *room->dv);
    for (int64_t r = 0; r < p->rows; r++) {
        const uint16_t *dy = row_of(&p->gradients.dy, head, r), *y = row_of(&p->y, head, r);
        nc_vec sum = {0};
        for (int64_t j = 0; j < p->width; j += NC_LANES) sum = nc_fma(nc_load_bf16(dy + j), nc_load_bf16(y + j), sum);
        room->deltas[r] = nc_sum(sum);
    }
}

/* Scores and dy v' of a row, of which the first `count` count, into weights and scale * score gradients. */
static void weigh(const attention *p, const backward_room *room, int64_t head, int64_t row, int64_t count,
                  int64_t padded, float *scores, float *ds)
{
    const float log_sum = (float)nacre_dtype_load(p->sums_dtype, p->sums, head * p->rows + row);
    const float delta = room->deltas[row];
    for (int64_t i = nc_most(count, 0); i < padded; i++) scores[i] = -__builtin_inff();
    for (int64_t i = 0; i < padded; i += NC_LANES) {
        const nc_vec weight = nc_exp_of_term(nc_load(scores + i) * p->scale - log_sum);
        nc_store(scores + i, weight);
        nc_store(ds + i, weight * (nc_load(ds + i) - delta) * p->scale);
    }
}

/* A tile of rows of a span that begins at `span`, against columns [first, end): its part of dq, and its weights and
 * score gradients zipped, zeros behind the columns that it may attend to. */
static void weigh_tile(const attention *p, const backward_room *room, int64_t head, int64_t span, nc_range rows,
                       int64_t first, int64_t end)
{
    const int64_t count = rows.end - rows.begin;
    const int64_t last = nc_least(end_of_row(p, rows.end - 1), end), all = nc_round_up(end - first, PANEL);
    const int64_t padded = last > first ? nc_round_up(last - first, PANEL) : 0;
    if (padded > 0) {
        multiply_packed(row_of(&p->q, head, rows.begin), p->q.row, count, p->depth, room->keys, first, last - first,
                        room->p);
        multiply_packed(row_of(&p->gradients.dy, head, rows.begin), p->gradients.dy.row, count, p->width, room->values,
                        first, last - first, room->ds);
        for (int64_t r = 0; r < count; r++) {
            const int64_t own = nc_least(end_of_row(p, rows.begin + r), last) - first;
            weigh(p, room, head, rows.begin + r, own, padded, room->p + r * BLOCK, room->ds + r * BLOCK);
            round_row(room->ds + r * BLOCK, padded, room->ds_rows + r * BLOCK);
        }
        multiply_zipped(room->ds_rows, count, last - first, room->k_pairs + first / 2 * p->depth, p->depth,
                        room->dq + (rows.begin - span) * p->depth, first > 0);
    }
    for (int64_t r = 0; r < count; r += 2) {
        const int64_t to = (rows.begin - span + r) / 2 * BLOCK, from = r * BLOCK;
        const bool pair = r + 1 < count;
        zip_rounded(room->p + from, pair ? room->p + from + BLOCK : NULL, padded, room->p_pairs + to);
        zip_rounded(room->ds + from, pair ? room->ds + from + BLOCK : NULL, padded, room->ds_pairs + to);
        memset(room->p_pairs + to + padded, 0, (size_t)(all - padded) * sizeof(float));
        memset(room->ds_pairs + to + padded, 0, (size_t)(all - padded) * sizeof(float));
    }
}

/* to += columns' . rows over a span: some columns of weights or score gradients by dy or q. */
static void add_over_rows(const float *columns, int64_t count, const float *rows, int64_t width, int64_t steps,
                          float *to)
{
    multiply(&(product){.a = columns,
                        .a_row = 1,
                        .a_step = BLOCK,
                        .rows = count,
                        .b = rows,
                        .b_step = width,
                        .b_panel = PANEL,
                        .columns = width,
                        .steps = steps,
                        .c = to,
                        .c_row = width,
                        .accumulate = true});
}

/* Rows of a span against columns [first, end). */
static void differentiate_span(const attention *p, const backward_room *room, int64_t head, nc_range span,
                               int64_t first, int64_t end)
{
    for (int64_t r = span.begin; r < span.end; r += NC_TILE_ROWS)
        weigh_tile(p, room, head, span.begin, (nc_range){r, nc_least(r + NC_TILE_ROWS, span.end)}, first, end);
    const int64_t pairs = nc_ceil_div(span.end - span.begin, 2);
    for (int64_t column = first; column < end; column += NC_TILE_ROWS) {
        const int64_t count = nc_least(end - column, NC_TILE_ROWS);
        const int64_t skipped = p->causal ? nc_most(column - span.begin, 0) / 2 : 0; /* pairs of rows before it */
        if (skipped >= pairs) break;
        const int64_t from = skipped * BLOCK + column - first, row = span.begin / 2 + skipped;
        add_over_rows(room->ds_pairs + from, count, room->q_pairs + row * p->depth, p->depth, pairs - skipped,
                      room->dk + column * p->depth);
        add_over_rows(room->p_pairs + from, count, room->dy_pairs + row * p->width, p->width, pairs - skipped,
                      room->dv + column * p->width);
    }
}

static void backward_task(void *user, int64_t head, int thread)
{
    const attention *p = user;
    size_t bytes = 0;
    const backward_room room = furnish_backward(p, p->scratch + (size_t)thread * p->scratch_bytes, &bytes);
    pack_head(p, &room, head);
    for (int64_t row = 0; row < p->rows; row += SPAN) {
        const nc_range span = {row, nc_least(row + SPAN, p->rows)};
        for (int64_t first = 0; first < end_of_row(p, span.end - 1); first += BLOCK)
            differentiate_span(p, &room, head, span, first, nc_least(first + BLOCK, p->columns));
        round_rows(room.dq, span.end - row, p->depth, &p->gradients.dq, head, row);
    }
    round_rows(room.dk, p->columns, p->depth, &p->gradients.dk, head, 0);
    round_rows(room.dv, p->columns, p->width, &p->gradients.dv, head, 0);
}

/* ---- as kernels -------------------------------------------------------------------------------------------------- */

/* `first`: of the operands q, k, v. Without data where the views have none. */
static attention describe(const nacre_view *inputs, int count, const int64_t *attributes, int first, int threads)
{
    nacre_view parts[3];
    nc_attention_parts(&inputs[first], count - first, attributes[HEADS], parts);
    nacre_shape lead = parts[Q].shape;
    lead.rank -= 2;
    attention p = {.heads = nacre_shape_count(lead),
                   .rows = parts[Q].shape.dims[lead.rank],
                   .columns = parts[K].shape.dims[lead.rank],
                   .depth = parts[Q].shape.dims[lead.rank + 1],
                   .width = parts[V].shape.dims[lead.rank + 1],
                   .causal = attributes[CAUSAL] != 0,
                   .q = nc_heads_of(&parts[Q]),
                   .k = nc_heads_of(&parts[K]),
                   .v = nc_heads_of(&parts[V])};
    const double scale = nacre_unword(attributes[SCALE]);
    p.scale = (float)(scale != 0 ? scale : 1 / sqrt((double)p.depth));
    const int64_t wanted = p.heads >= 4 * threads ? 1 : nc_ceil_div(4 * threads, nc_most(p.heads, 1));
    p.parts = nc_most(nc_least(wanted, p.rows / (4 * NC_TILE_ROWS)), 1);
    return p;
}

static size_t forward_bytes(const attention *p)
{
    size_t bytes = 0;
    furnish_forward(p, NULL, &bytes);
    return bytes;
}

static size_t backward_bytes(const attention *p)
{
    size_t bytes = 0;
    furnish_backward(p, NULL, &bytes);
    return bytes;
}

static void run_forward(const nacre_call *call)
{
    attention p = describe(call->inputs, call->input_count, call->attributes, Q, nacre_team_size(call->team));
    p.y = nc_heads_of_rows(&call->outputs[0], call->attributes[HEADS]);
    p.sums = call->outputs[1].data;
    p.sums_dtype = call->outputs[1].dtype;
    p.scratch = call->workspace;
    p.scratch_bytes = forward_bytes(&p);
    nacre_parallel(call->team, p.heads * p.parts, forward_task, &p);
}

static void run_backward(const nacre_call *call)
{
    attention p = describe(call->inputs, call->input_count, call->attributes, BACK_Q, nacre_team_size(call->team));
    p.y = nc_heads_of_rows(&call->inputs[Y], call->attributes[HEADS]);
    p.gradients = nc_heads_of_gradients(call, DY, call->attributes[HEADS]);
    p.sums = call->inputs[LOGSUMEXP].data;
    p.sums_dtype = call->inputs[LOGSUMEXP].dtype;
    p.scratch = call->workspace;
    p.scratch_bytes = backward_bytes(&p);
    nacre_parallel(call->team, p.heads, backward_task, &p);
}

static size_t forward_workspace(const nacre_node_info *info)
{
    const attention p = describe(info->inputs, info->input_count, info->attributes, Q, info->threads);
    return (size_t)info->threads * forward_bytes(&p);
}

static size_t backward_workspace(const nacre_node_info *info)
{
    const attention p = describe(info->inputs, info->input_count, info->attributes, BACK_Q, info->threads);
    return (size_t)info->threads * backward_bytes(&p);
}

static bool is_present(const nacre_node_info *info, int index)
{
    return index < info->input_count && info->inputs[index].shape.rank >= 0;
}

static const char *refuse_any(const nacre_node_info *info, int first, int mask)
{
    const char *reason = nc_pairs_refusal();
    if (reason) return reason;
    for (int i = 0; i < 3; i++)
        if (is_present(info, first + i) && info->inputs[first + i].dtype != NACRE_BF16)
            return "takes bf16 operands only";
    if (info->outputs[0].dtype != NACRE_BF16) return "gives bf16 only";
    if (is_present(info, mask) || is_present(info, mask + 1)) return "takes no mask and no length";
    const attention p = describe(info->inputs, info->input_count, info->attributes, first, info->threads);
    if (p.depth % PANEL || p.width % PANEL) return "for heads of a multiple of 32 numbers";
    if (p.rows < LEAST_ROWS || p.columns < 1) return "for 8 rows and more";
    return NULL;
}

static const char *refuse_forward(const nacre_node_info *info)
{
    return refuse_any(info, Q, MASK);
}

static const char *refuse_backward(const nacre_node_info *info)
{
    if (info->inputs[DY].dtype != NACRE_BF16 || info->inputs[Y].dtype != NACRE_BF16) return "takes bf16 operands only";
    return refuse_any(info, BACK_Q, BACK_MASK);
}

#define KERNEL(name, direction)                                                                                        \
    const nacre_kernel nc_isa(nc_##name##_half_kernel) = {.op = #name,                                                 \
                                                          .variant = "pairs_bf16_" NC_ISA_NAME,                        \
                                                          .flags = NACRE_KERNEL_MIXED,                                 \
                                                          .can = refuse_##direction,                                   \
                                                          .workspace = direction##_workspace,                          \
                                                          .run = run_##direction};
KERNEL(attention, forward)
KERNEL(attention_backward, backward)

#else

static const char *refuse(const nacre_node_info *info)
{
    (void)info;
    return "needs AVX-512 BF16";
}

#define KERNEL(name)                                                                                                   \
    const nacre_kernel nc_isa(nc_##name##_half_kernel) = {                                                             \
        .op = #name, .variant = "pairs_bf16_" NC_ISA_NAME, .can = refuse};
KERNEL(attention)
KERNEL(attention_backward)

#endif

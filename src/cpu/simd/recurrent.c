/* cpu/simd/recurrent.c - recurrent layers: one parallel region a step, in which register tiles (tile.h) multiply the
 * state with weights that were packed once, and the gates are worked out while their sums are in the first-level cache.
 *
 * Forward, a task is a vector of units: packed weights hold its gates side by side, [gate pairs][H][pair of vectors].
 * Backward, a task is a panel of units, with packed weights [gates H][PANEL].
 *
 * What the next step reads is kept a second time, sample by sample: in the sequences the samples of one time are far
 * apart, by powers of two as a rule, and would fall into a few sets of the cache. Forward, the input's part of the next
 * step is copied side by side as well, by the way. While a tile's sums grow, the lines that its gates are going to read
 * are fetched; and results that the caches cannot hold until they are read again are stored around them.
 */
#include "cpu/share.h"
#include "cpu/simd/math.h"
#include "cpu/simd/tile.h"

#include <nacre/backend.h>

enum {
    PANEL = NC_TILE_COLUMNS,
    MOST_GATES = 4,
    APART = 16, /* floats between rows that would be whole pages */
    LINE = 64 / sizeof(float),
    MOST_LINES = NC_TILE_ROWS * (MOST_GATES + 2) * (PANEL + LINE - 1) / LINE, /* that the gates of a tile read */
#ifdef NACRE_STRESS
    LARGE = 0,
#else
    LARGE = 8 * 1024 * 1024, /* bytes that no cache holds until they are read again */
#endif
};
enum { X, W, B, H0, C0 }; /* operands of the forward operations */
enum { Y, CELLS, GATES }; /* outputs of lstm; gru has y and gates */
enum { DY, SAVED = 2 };   /* operands of all backward operations */
enum { LSTM_C = SAVED, LSTM_GATES, LSTM_C0, LSTM_DC };
enum { STATE_Y = SAVED, GRU_GATES, GRU_H0 };
enum { DX, LSTM_DH, LSTM_DC0 }; /* outputs of lstm_backward; rnn_backward has the first two */
enum { DHIDDEN = 1, GRU_DH };   /* of gru_backward */

typedef struct recurrence recurrence;
/* One row (sample) at one time, `lanes` units from `unit` on. Forward: `sums` holds the state's part of each gate, a
 * vector each. Backward: the gradient that comes from the following step. */
typedef void unit_function(const recurrence *r, int64_t sample, int64_t time, int64_t unit, int64_t lanes,
                           const float *sums);

struct recurrence {
    int64_t batch, length, size;
    int gates;
    bool reverse;
    unit_function *unit;
    const float *packed;
    int64_t tasks, row_parts; /* of a step; those that share a panel */
    float *passed[2];         /* by turns: what a step passes on, [N][passed_row] */
    int64_t passed_row;

    const float *x, *bias, *h0, *c0;
    float *staged[2]; /* by turns: what a step reads of x, [N][staged_row] */
    int64_t staged_row;
    float *y, *cells, *saved; /* saved: gates, [T, N, 4 H] */
    bool streams;             /* results of all times go around the caches */

    const float *dy, *dcells, *old_y, *old_cells, *old_saved;
    float *dx, *dhidden; /* dhidden: of gru */
    float *dh, *dc;      /* carried to the step before */

    int64_t step; /* the one that is running; time goes on from 0, backward ends with -1: the initial state */
};

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

/* ---- places ------------------------------------------------------------------------------------------------------ */

static int64_t time_of(const recurrence *r, int64_t step)
{
    return r->reverse ? r->length - 1 - step : step;
}

/* Element of a sequence [N, T, width]. */
static int64_t place(const recurrence *r, int64_t sample, int64_t time, int64_t width)
{
    return (sample * r->length + time) * width;
}

/* Of saved gates. */
static int64_t place_saved(const recurrence *r, int64_t sample, int64_t time)
{
    return (time * r->batch + sample) * 4 * r->size;
}

/* Units of a sequence one step before. */
NC_ALWAYS_INLINE nc_vec before(const recurrence *r, const float *sequence, const float *initial, int64_t sample,
                               int64_t unit, int64_t lanes)
{
    if (r->step > 0) return get(sequence + place(r, sample, time_of(r, r->step - 1), r->size) + unit, lanes);
    return initial ? get(initial + sample * r->size + unit, lanes) : (nc_vec){0};
}

/* Copies what a step reads of x. */
static void stage(const recurrence *r, int64_t step, nc_range samples)
{
    const int64_t width = r->gates * r->size;
    for (int64_t i = samples.begin; i < samples.end; i++)
        memcpy(r->staged[step & 1] + i * r->staged_row, r->x + place(r, i, time_of(r, step), width),
               sizeof(float) * (size_t)width);
}

/* Fetches part `part` of `parts` of what stage() is going to read. */
static void fetch(const recurrence *r, int64_t step, nc_range samples, int64_t part, int64_t parts)
{
    const int64_t width = r->gates * r->size;
    const nc_range range = nc_share(width, LINE, parts, part);
    for (int64_t i = samples.begin; i < samples.end; i++)
        for (int64_t k = range.begin; k < range.end; k += LINE)
            __builtin_prefetch(r->x + place(r, i, time_of(r, step), width) + k, 0, 2);
}

/* What is passed on for element `at` of a sample. */
NC_ALWAYS_INLINE void pass(const recurrence *r, int64_t sample, int64_t at, nc_vec v, int64_t lanes)
{
    put(r->passed[r->step & 1] + sample * r->passed_row + at, v, lanes);
}

/* Element `at` of what the step before passed on; units of the initial state before the first one. */
NC_ALWAYS_INLINE nc_vec passed(const recurrence *r, const float *initial, int64_t sample, int64_t at, int64_t unit,
                               int64_t lanes)
{
    if (r->step > 0) return get(r->passed[~r->step & 1] + sample * r->passed_row + at, lanes);
    return initial ? get(initial + sample * r->size + unit, lanes) : (nc_vec){0};
}

/* ---- units, forward ---------------------------------------------------------------------------------------------- */

/* The state's part of a gate. */
NC_ALWAYS_INLINE nc_vec hidden_part(const recurrence *r, const float *sums, int gate, int64_t unit, int64_t lanes)
{
    const nc_vec sum = nc_load(sums + gate * NC_LANES);
    return r->bias ? sum + get(r->bias + gate * r->size + unit, lanes) : sum;
}

NC_ALWAYS_INLINE nc_vec input_part(const recurrence *r, int64_t sample, int gate, int64_t unit, int64_t lanes)
{
    return get(r->staged[r->step & 1] + sample * r->staged_row + gate * r->size + unit, lanes);
}

static void lstm_unit(const recurrence *r, int64_t sample, int64_t time, int64_t unit, int64_t lanes, const float *sums)
{
    nc_vec gate[4];
    float *saved = r->saved + place_saved(r, sample, time) + unit;
    const int64_t at = place(r, sample, time, r->size) + unit;
    for (int g = 0; g < 4; g++) {
        const nc_vec sum = input_part(r, sample, g, unit, lanes) + hidden_part(r, sums, g, unit, lanes);
        gate[g] = g == 2 ? nc_tanh(sum) : nc_sigmoid(sum);
        nc_store_result(r->streams, saved + g * r->size, gate[g], lanes);
    }
    const nc_vec c = nc_fma(gate[1], passed(r, r->c0, sample, r->size + unit, unit, lanes), gate[0] * gate[2]);
    const nc_vec y = gate[3] * nc_tanh(c);
    nc_store_result(r->streams, r->cells + at, c, lanes);
    nc_store_result(r->streams, r->y + at, y, lanes);
    pass(r, sample, unit, y, lanes);
    pass(r, sample, r->size + unit, c, lanes);
}

static void gru_unit(const recurrence *r, int64_t sample, int64_t time, int64_t unit, int64_t lanes, const float *sums)
{
    float *saved = r->saved + place_saved(r, sample, time) + unit;
    nc_vec sum[2];
    for (int g = 0; g < 2; g++) sum[g] = input_part(r, sample, g, unit, lanes) + hidden_part(r, sums, g, unit, lanes);
    const nc_vec reset = nc_sigmoid(sum[0]), update = nc_sigmoid(sum[1]);
    const nc_vec part = hidden_part(r, sums, 2, unit, lanes);
    const nc_vec new = nc_tanh(nc_fma(reset, part, input_part(r, sample, 2, unit, lanes)));
    const nc_vec old = passed(r, r->h0, sample, unit, unit, lanes);
    nc_store_result(r->streams, saved, reset, lanes);
    nc_store_result(r->streams, saved + r->size, update, lanes);
    nc_store_result(r->streams, saved + 2 * r->size, new, lanes);
    nc_store_result(r->streams, saved + 3 * r->size, part, lanes);
    const nc_vec y = nc_fma(update, old - new, new);
    nc_store_result(r->streams, r->y + place(r, sample, time, r->size) + unit, y, lanes);
    pass(r, sample, unit, y, lanes);
}

static void rnn_unit(const recurrence *r, int64_t sample, int64_t time, int64_t unit, int64_t lanes, const float *sums)
{
    const nc_vec sum = input_part(r, sample, 0, unit, lanes) + hidden_part(r, sums, 0, unit, lanes);
    const nc_vec y = nc_tanh(sum);
    nc_store_result(r->streams, r->y + place(r, sample, time, r->size) + unit, y, lanes);
    pass(r, sample, unit, y, lanes);
}

/* ---- units, backward --------------------------------------------------------------------------------------------- */

/* What reaches the state at this time: from above and from the gates of the following step. */
NC_ALWAYS_INLINE nc_vec arriving(const recurrence *r, int64_t sample, int64_t time, int64_t unit, int64_t lanes,
                                 const float *sums)
{
    return get(r->dy + place(r, sample, time, r->size) + unit, lanes) + nc_load(sums);
}

static void lstm_back_unit(const recurrence *r, int64_t sample, int64_t time, int64_t unit, int64_t lanes,
                           const float *sums)
{
    const int64_t at = place(r, sample, time, r->size) + unit;
    const float *saved = r->old_saved + place_saved(r, sample, time) + unit;
    float *carried = r->dc + sample * r->size + unit, *dx = r->dx + place(r, sample, time, 4 * r->size) + unit;
    const nc_vec in = get(saved, lanes), forget = get(saved + r->size, lanes);
    const nc_vec new = get(saved + 2 * r->size, lanes), out = get(saved + 3 * r->size, lanes);
    const nc_vec tanh_c = nc_tanh(get(r->old_cells + at, lanes)), dh = arriving(r, sample, time, unit, lanes, sums);
    nc_vec dc = nc_fma(dh * out, 1 - tanh_c * tanh_c, get(carried, lanes));
    if (r->dcells) dc += get(r->dcells + at, lanes);
    const nc_vec old = before(r, r->old_cells, r->c0, sample, unit, lanes);
    const nc_vec sum[4] = {dc * new *in *(1 - in), dc *old *forget *(1 - forget), dc *in *(1 - new *new),
                           dh *tanh_c *out *(1 - out)};
    for (int g = 0; g < 4; g++) {
        nc_store_result(r->streams, dx + g * r->size, sum[g], lanes);
        pass(r, sample, g * r->size + unit, sum[g], lanes);
    }
    put(carried, dc * forget, lanes);
}

static void gru_back_unit(const recurrence *r, int64_t sample, int64_t time, int64_t unit, int64_t lanes,
                          const float *sums)
{
    const float *saved = r->old_saved + place_saved(r, sample, time) + unit;
    float *carried = r->dh + sample * r->size + unit;
    float *dx = r->dx + place(r, sample, time, 3 * r->size) + unit;
    float *dhidden = r->dhidden + place(r, sample, time, 3 * r->size) + unit;
    const nc_vec reset = get(saved, lanes), update = get(saved + r->size, lanes);
    const nc_vec new = get(saved + 2 * r->size, lanes), part = get(saved + 3 * r->size, lanes);
    const nc_vec dh = arriving(r, sample, time, unit, lanes, sums) + get(carried, lanes);
    const nc_vec old = before(r, r->old_y, r->h0, sample, unit, lanes);
    const nc_vec dnew = dh * (1 - update) * (1 - new *new);
    const nc_vec sum[3] = {dnew * part * reset * (1 - reset), dh * (old - new) * update * (1 - update), dnew};
    for (int g = 0; g < 3; g++) {
        const nc_vec hidden = g == 2 ? dnew * reset : sum[g];
        nc_store_result(r->streams, dx + g * r->size, sum[g], lanes);
        nc_store_result(r->streams, dhidden + g * r->size, hidden, lanes);
        pass(r, sample, g * r->size + unit, hidden, lanes);
    }
    put(carried, dh * update, lanes);
}

static void rnn_back_unit(const recurrence *r, int64_t sample, int64_t time, int64_t unit, int64_t lanes,
                          const float *sums)
{
    const int64_t at = place(r, sample, time, r->size) + unit;
    const nc_vec y = get(r->old_y + at, lanes);
    const nc_vec dx = arriving(r, sample, time, unit, lanes, sums) * (1 - y * y);
    nc_store_result(r->streams, r->dx + at, dx, lanes);
    pass(r, sample, unit, dx, lanes);
}

/* The initial state's gradient: what was carried and what the first step's gates send. */
static void initial_unit(const recurrence *r, int64_t sample, int64_t unit, int64_t lanes, const float *sums)
{
    float *dh = r->dh + sample * r->size + unit;
    put(dh, get(dh, lanes) + nc_load(sums), lanes);
}

/* ---- packing ----------------------------------------------------------------------------------------------------- */

typedef struct packing {
    const float *w;
    float *packed;
    int64_t size;
    int gates;
} packing;

/* The vectors of a unit's gates lie in pairs; the last one may be alone. */
static int pair_width(int gates, int pair)
{
    return gates - 2 * pair >= 2 ? 2 : 1;
}

/* A vector of rows of w as columns: to[k * step + i] = w[i][k], zeros where there are no more rows. */
static void pack_vector(const float *w, int64_t rows, int64_t width, float *to, int64_t step)
{
    for (int64_t k = 0; k < width; k += NC_LANES) {
        nc_vec square[NC_LANES];
        NC_UNROLL
        for (int i = 0; i < NC_LANES; i++) square[i] = i < rows ? get(w + i * width + k, width - k) : (nc_vec){0};
        nc_transpose(square);
        for (int i = 0; i < NC_LANES && k + i < width; i++) nc_store(to + (k + i) * step, square[i]);
    }
}

static void pack_forward(void *user, int64_t index, int thread)
{
    (void)thread;
    const packing *p = user;
    const int64_t unit = index * NC_LANES;
    float *to = p->packed + unit * p->gates * p->size;
    for (int g = 0; g < p->gates; g++) {
        const int width = pair_width(p->gates, g / 2);
        pack_vector(p->w + (g * p->size + unit) * p->size, p->size - unit, p->size,
                    to + (g / 2 * 2 * p->size + g % 2) * NC_LANES, width * NC_LANES);
    }
}

static void pack_backward(void *user, int64_t index, int thread)
{
    (void)thread;
    const packing *p = user;
    const int64_t rows = p->gates * p->size, first = index * PANEL;
    float *to = p->packed + first * rows;
    for (int64_t k = 0; k < rows; k++)
        for (int64_t i = 0; i < PANEL; i += NC_LANES) {
            const int64_t lanes = nc_most(nc_least(p->size - first - i, NC_LANES), 0);
            nc_store(to + k * PANEL + i, nc_load_some(p->w + k * p->size + first + i, lanes));
        }
}

static void pack_weights(const nacre_call *call, int gates, int64_t unit,
                         void (*body)(void *user, int64_t index, int thread))
{
    packing p = {
        .w = call->inputs[W].data, .packed = call->prepared, .size = call->inputs[W].shape.dims[1], .gates = gates};
    nacre_parallel(call->team, nc_ceil_div(p.size, unit), body, &p);
}

static size_t packed_bytes(const nacre_node_info *info, int gates, int64_t unit)
{
    const int64_t size = info->inputs[W].shape.dims[1];
    return sizeof(float) * (size_t)(nc_round_up(size, unit) * gates * size);
}

/* ---- steps ------------------------------------------------------------------------------------------------------- */

typedef struct lines {
    const char *at[MOST_LINES];
    int64_t count;
} lines;

/* Lines of `width` floats of each sample's row; of `parts` such places, `size` floats apart. */
static void add_lines(lines *l, const float *rows, int64_t apart, int64_t samples, int64_t parts, int64_t size,
                      int64_t width)
{
    for (int64_t i = 0; i < samples; i++)
        for (int64_t part = 0; part < parts; part++)
            for (int64_t k = 0; k < width; k += LINE)
                l->at[l->count++] = (const char *)(rows + i * apart + part * size + k);
}

/* What a tile's units are going to read; not what this thread has just used. */
static void list_forward(const recurrence *r, nc_range samples, int64_t unit, lines *l)
{
    const int64_t count = samples.end - samples.begin, width = nc_least(r->size - unit, NC_LANES);
    l->count = 0;
    add_lines(l, r->staged[r->step & 1] + samples.begin * r->staged_row + unit, r->staged_row, count, r->gates, r->size,
              width);
    if (r->cells && r->step > 0)
        add_lines(l, r->passed[~r->step & 1] + samples.begin * r->passed_row + r->size + unit, r->passed_row, count, 1,
                  0, width);
}

static void list_backward(const recurrence *r, nc_range samples, int64_t unit, lines *l)
{
    const int64_t count = samples.end - samples.begin, width = nc_least(r->size - unit, PANEL);
    const int64_t time = time_of(r, r->step), apart = r->length * r->size;
    const float *states = r->old_cells ? r->old_cells : r->old_y;
    l->count = 0;
    if (r->step < 0) return;
    add_lines(l, r->dy + place(r, samples.begin, time, r->size) + unit, apart, count, 1, 0, width);
    if (r->old_saved)
        add_lines(l, r->old_saved + place_saved(r, samples.begin, time) + unit, 4 * r->size, count, 4, r->size, width);
    if (r->step > 0)
        add_lines(l, states + place(r, samples.begin, time_of(r, r->step - 1), r->size) + unit, apart, count, 1, 0,
                  width);
}

/* sums = rows of a by a packed panel of one or two vectors; meanwhile lines are fetched. */
static void multiply(const float *a, int64_t a_row, int64_t rows, const float *packed, int vectors, int64_t steps,
                     float *sums, int64_t sums_row, const lines *l)
{
    const nc_tap origin = {0, 0};
    const nc_tile tile = {.a = a,
                          .a_row = a_row,
                          .a_step = 1,
                          .b = packed,
                          .b_step = vectors * NC_LANES,
                          .taps = &origin,
                          .tap_count = 1,
                          .steps = steps,
                          .c = sums,
                          .c_row = sums_row,
                          .columns = vectors * NC_LANES,
                          .reads = l->at,
                          .read_count = l->count};
    nc_isa(nc_tiles_f32)[NC_TILE_STEPS_CONTIGUOUS][rows - 1][vectors - 1](&tile);
}

static nc_range part_of_batch(const recurrence *r, int64_t part)
{
    return nc_share(r->batch, 1, r->row_parts, part);
}

/* What a task copies for the next step. */
static nc_range samples_staged(const recurrence *r, int64_t task)
{
    return r->step + 1 < r->length ? nc_share(r->batch, 1, r->tasks, task) : (nc_range){0, 0};
}

static void forward_task(void *user, int64_t index, int thread)
{
    (void)thread;
    const recurrence *r = user;
    const int64_t unit = index / r->row_parts * NC_LANES, lanes = r->size - unit, width = r->gates * NC_LANES;
    const nc_range rows = part_of_batch(r, index % r->row_parts), next = samples_staged(r, index);
    const int64_t tiles = nc_ceil_div(rows.end - rows.begin, NC_TILE_ROWS), time = time_of(r, r->step);
    const float *packed = r->packed + unit * r->gates * r->size;
    const float *states = r->step > 0 ? r->passed[~r->step & 1] : r->h0;
    const int64_t row_step = r->step > 0 ? r->passed_row : r->size;
    float sums[NC_TILE_ROWS * MOST_GATES * NC_LANES] = {0};
    lines wanted;
    for (int64_t i = 0; i < tiles; i++) {
        const nc_range tile = nc_share(rows.end - rows.begin, 1, tiles, i);
        const int64_t first = rows.begin + tile.begin, count = tile.end - tile.begin;
        list_forward(r, (nc_range){first, first + count}, unit, &wanted);
        fetch(r, r->step + 1, next, i, tiles);
        for (int pair = 0; states && 2 * pair < r->gates; pair++, wanted.count = 0)
            multiply(states + first * row_step, row_step, count, packed + 2 * pair * NC_LANES * r->size,
                     pair_width(r->gates, pair), r->size, sums + 2 * pair * NC_LANES, width, &wanted);
        for (int64_t k = 0; k < count; k++) r->unit(r, first + k, time, unit, lanes, sums + k * width);
    }
    stage(r, r->step + 1, next);
    if (r->streams) nc_stream_end();
}

static void backward_task(void *user, int64_t index, int thread)
{
    (void)thread;
    const recurrence *r = user;
    const int64_t unit = index / r->row_parts * PANEL, all = r->gates * r->size;
    const nc_range rows = part_of_batch(r, index % r->row_parts);
    const int64_t tiles = nc_ceil_div(rows.end - rows.begin, NC_TILE_ROWS), later = r->step + 1;
    float sums[NC_TILE_ROWS * PANEL] = {0};
    lines wanted;
    for (int64_t i = 0; i < tiles; i++) {
        const nc_range tile = nc_share(rows.end - rows.begin, 1, tiles, i);
        const int64_t first = rows.begin + tile.begin, count = tile.end - tile.begin;
        list_backward(r, (nc_range){first, first + count}, unit, &wanted);
        if (later < r->length)
            multiply(r->passed[later & 1] + first * r->passed_row, r->passed_row, count, r->packed + unit * all,
                     NC_TILE_VECTORS, all, sums, PANEL, &wanted);
        for (int64_t k = 0; k < count; k++)
            for (int64_t at = unit; at < nc_least(unit + PANEL, r->size); at += NC_LANES) {
                const float *sum = sums + k * PANEL + at - unit;
                if (r->step < 0)
                    initial_unit(r, first + k, at, r->size - at, sum);
                else
                    r->unit(r, first + k, time_of(r, r->step), at, r->size - at, sum);
            }
    }
    if (r->streams) nc_stream_end();
}

static void cut(recurrence *r, int64_t panels, int threads)
{
    const int64_t wanted = nc_ceil_div(4 * threads, panels);
    r->row_parts = nc_most(nc_least(wanted, r->batch / NC_TILE_ROWS), 1);
    r->tasks = panels * r->row_parts;
}

static const void *optional(const nacre_call *call, int index)
{
    return index < call->input_count ? call->inputs[index].data : NULL;
}

/* Floats from row to row of what is kept sample by sample. */
static int64_t row_apart(int64_t width)
{
    return nc_round_up(width, NC_LANES) + APART;
}

/* `passed`: elements that a step passes on for each sample; `staged`: that are copied for it. */
static size_t workspace(const nacre_node_info *info, int64_t passed, int64_t staged)
{
    return sizeof(float) * (size_t)(2 * info->inputs[0].shape.dims[0] * (row_apart(passed) + row_apart(staged)));
}

static void take_workspace(const nacre_call *call, recurrence *r, int64_t passed)
{
    r->passed_row = row_apart(passed);
    r->passed[0] = call->workspace;
    r->passed[1] = r->batch > 0 ? r->passed[0] + r->batch * r->passed_row : NULL; /* no samples: no workspace */
}

static recurrence describe(const nacre_call *call, int gates, unit_function *unit)
{
    const nacre_shape *first = &call->inputs[0].shape; /* x, or dy */
    return (recurrence){.batch = first->dims[0],
                        .length = first->dims[1],
                        .size = call->inputs[W].shape.dims[1],
                        .gates = gates,
                        .reverse = call->attributes[0] != 0,
                        .unit = unit,
                        .packed = call->prepared};
}

static void stage_first(void *user, int64_t sample, int thread)
{
    (void)thread;
    stage(user, 0, (nc_range){sample, sample + 1});
}

/* Whether gates at all times, [N, T, 4 H], are large, and whole vectors of the results in their places. */
static bool may_stream(const recurrence *r)
{
    const int64_t bytes = place(r, r->batch, 0, 4 * r->size) * (int64_t)sizeof(float);
    const uintptr_t places =
        (uintptr_t)r->y | (uintptr_t)r->cells | (uintptr_t)r->saved | (uintptr_t)r->dx | (uintptr_t)r->dhidden;
    return bytes > LARGE && r->size % NC_LANES == 0 && places % NC_VECTOR_BYTES == 0;
}

static void run_steps_forward(const nacre_call *call, recurrence *r, int64_t passed_width)
{
    const int64_t panels = nc_ceil_div(r->size, NC_LANES);
    r->x = call->inputs[X].data;
    r->bias = optional(call, B);
    r->h0 = optional(call, H0);
    r->y = call->outputs[Y].data;
    r->streams = may_stream(r);
    take_workspace(call, r, passed_width);
    r->staged_row = row_apart(r->gates * r->size);
    if (r->batch > 0) {
        r->staged[0] = r->passed[1] + r->batch * r->passed_row;
        r->staged[1] = r->staged[0] + r->batch * r->staged_row;
    }
    cut(r, panels, nacre_team_size(call->team));
    nacre_parallel(call->team, r->batch, stage_first, r);
    for (r->step = 0; r->step < r->length; r->step++) nacre_parallel(call->team, r->tasks, forward_task, r);
}

static void run_steps_backward(const nacre_call *call, recurrence *r)
{
    const int64_t panels = nc_ceil_div(r->size, PANEL);
    r->dy = call->inputs[DY].data;
    r->dx = call->outputs[DX].data;
    r->streams = may_stream(r);
    take_workspace(call, r, r->gates * r->size);
    cut(r, panels, nacre_team_size(call->team));
    const size_t state_bytes = sizeof(float) * (size_t)(r->batch * r->size);
    const bool no_dh = call->attributes[1] != 0;
    memset(r->dh, 0, state_bytes);
    if (r->dc) memset(r->dc, 0, state_bytes);
    for (r->step = r->length - 1; r->step >= (no_dh ? 0 : -1); r->step--)
        nacre_parallel(call->team, r->tasks, backward_task, r);
    if (no_dh) memset(r->dh, 0, state_bytes);
}

/* ---- as kernels -------------------------------------------------------------------------------------------------- */

static void run_lstm(const nacre_call *call)
{
    recurrence r = describe(call, 4, lstm_unit);
    r.c0 = optional(call, C0);
    r.cells = call->outputs[CELLS].data;
    r.saved = call->outputs[GATES].data;
    run_steps_forward(call, &r, 2 * r.size);
}

static void run_gru(const nacre_call *call)
{
    recurrence r = describe(call, 3, gru_unit);
    r.saved = call->outputs[1].data;
    run_steps_forward(call, &r, r.size);
}

static void run_rnn(const nacre_call *call)
{
    recurrence r = describe(call, 1, rnn_unit);
    run_steps_forward(call, &r, r.size);
}

static void run_lstm_backward(const nacre_call *call)
{
    recurrence r = describe(call, 4, lstm_back_unit);
    r.old_cells = call->inputs[LSTM_C].data;
    r.old_saved = call->inputs[LSTM_GATES].data;
    r.c0 = optional(call, LSTM_C0);
    r.dcells = optional(call, LSTM_DC);
    r.dh = call->outputs[LSTM_DH].data;
    r.dc = call->outputs[LSTM_DC0].data;
    run_steps_backward(call, &r);
}

static void run_gru_backward(const nacre_call *call)
{
    recurrence r = describe(call, 3, gru_back_unit);
    r.old_y = call->inputs[STATE_Y].data;
    r.old_saved = call->inputs[GRU_GATES].data;
    r.h0 = optional(call, GRU_H0);
    r.dhidden = call->outputs[DHIDDEN].data;
    r.dh = call->outputs[GRU_DH].data;
    run_steps_backward(call, &r);
}

static void run_rnn_backward(const nacre_call *call)
{
    recurrence r = describe(call, 1, rnn_back_unit);
    r.old_y = call->inputs[STATE_Y].data;
    r.dh = call->outputs[LSTM_DH].data;
    run_steps_backward(call, &r);
}

static const char *refuse(const nacre_node_info *info)
{
    return info->outputs[0].dtype == NACRE_F32 ? NULL : "computes f32 only";
}

#define KERNEL(name, gates, direction, unit, passed_gates, staged_gates)                                               \
    static size_t name##_workspace(const nacre_node_info *info)                                                        \
    {                                                                                                                  \
        const int64_t size = info->inputs[W].shape.dims[1];                                                            \
        return workspace(info, (passed_gates)*size, (staged_gates)*size);                                              \
    }                                                                                                                  \
    static size_t name##_prepared(const nacre_node_info *info)                                                         \
    {                                                                                                                  \
        return packed_bytes(info, gates, unit);                                                                        \
    }                                                                                                                  \
    static void name##_prepare(const nacre_call *call)                                                                 \
    {                                                                                                                  \
        pack_weights(call, gates, unit, pack_##direction);                                                             \
    }                                                                                                                  \
    const nacre_kernel nc_isa(nc_##name##_kernel) = {.op = #name,                                                      \
                                                     .variant = "steps_" NC_ISA_NAME,                                  \
                                                     .can = refuse,                                                    \
                                                     .workspace = name##_workspace,                                    \
                                                     .run = run_##name,                                                \
                                                     .prepared = name##_prepared,                                      \
                                                     .prepare = name##_prepare,                                        \
                                                     .prepared_operand = W};
KERNEL(lstm, 4, forward, NC_LANES, 2, 4)
KERNEL(gru, 3, forward, NC_LANES, 1, 3)
KERNEL(rnn, 1, forward, NC_LANES, 1, 1)
KERNEL(lstm_backward, 4, backward, PANEL, 4, 0)
KERNEL(gru_backward, 3, backward, PANEL, 3, 0)
KERNEL(rnn_backward, 1, backward, PANEL, 1, 0)

/* cpu/simd/conv_depthwise.c - convolutions of channels-last images whose groups have one channel each.
 *
 * The lanes are channels. A few output positions beside each other are computed for one vector of channels after the
 * other, so that memory is read in its order, their sums do not wait for each other, and a weight is loaded once for
 * all of them. Rows of taps outside the image are left out of the list of taps; positions at the left and right ends
 * have lists of their own. Meanwhile the input row that the next output row will need is fetched. The gradient of the
 * weights keeps a sum per tap in registers for some positions of a row. */
#include "cpu/simd/correlation.h"

enum { ABREAST = 8, MOST_SUMS = 9, MAX_SLOTS = 16, COLUMNS = 16, TASKS = 8 /* for each thread */ };

/* The taps of one output row, or of one position: where they read, and which they are. */
typedef struct row_taps {
    int count;
    int64_t offset[NC_CONV_MAX_TAPS]; /* floats from an output position's place in the input */
    int64_t column[NC_CONV_MAX_TAPS];
    int tap[NC_CONV_MAX_TAPS];
    nc_range inner; /* output positions all of whose taps lie inside */
} row_taps;

static void find_taps(const nc_correlation *c, int64_t row, row_taps *r)
{
    r->inner.begin = nc_least(nc_ceil_div(nc_most(-c->low[1], 0), c->step[1]), c->out[1]);
    r->inner.end = nc_least(nc_ceil_div(nc_most(c->in[1] - c->high[1], 0), c->step[1]), c->out[1]);
    r->inner.end = nc_most(r->inner.end, r->inner.begin);
    r->count = 0;
    for (int t = 0; t < c->tap_count; t++) {
        const int64_t at = row * c->step[0] + c->taps[t].row;
        if (at < 0 || at >= c->in[0]) continue;
        r->offset[r->count] = (at * c->in[1] + c->taps[t].column) * c->groups;
        r->column[r->count] = c->taps[t].column;
        r->tap[r->count++] = t;
    }
}

/* Those that lie inside at output position `column`. */
static void find_end_taps(const nc_correlation *c, const row_taps *row, int64_t column, row_taps *r)
{
    r->count = 0;
    for (int t = 0; t < row->count; t++) {
        const int64_t at = column * c->step[1] + row->column[t];
        if (at < 0 || at >= c->in[1]) continue;
        r->offset[r->count] = row->offset[t];
        r->tap[r->count++] = row->tap[t];
    }
}

/* ---- forward and gradient of the input --------------------------------------------------------------------------- */

typedef struct depthwise {
    const nc_correlation *c;
    int64_t parts; /* of an image's rows */
} depthwise;

typedef struct line { /* an output row */
    const nc_correlation *c;
    const row_taps *taps;
    const float *x; /* the image */
    int64_t y;      /* offset of the row's start */
    int64_t ahead;  /* floats from a tap to the same of the next output row; 0: there is none */
} line;

NC_ALWAYS_INLINE nc_vec get(const float *p, int64_t lanes, bool whole)
{
    return whole ? nc_load(p) : nc_load_some(p, lanes);
}

/* `abreast` positions from `column` on for a vector of channels; `whole`: all its lanes. */
NC_ALWAYS_INLINE void convolve_vector(const line *l, const row_taps *taps, int64_t column, int64_t channel, int abreast,
                                      bool whole)
{
    const nc_correlation *c = l->c;
    const nc_conv_epilogue *epilogue = c->epilogue;
    const int64_t step = c->step[1] * c->groups, lanes = c->groups - channel;
    const float *x = l->x + column * step + channel, *weights = c->packed + channel;
    nc_vec sums[ABREAST] = {{0}};
    for (int t = 0; t < taps->count; t++) {
        const float *from = x + taps->offset[t];
        const nc_vec weight = get(weights + taps->tap[t] * c->groups, lanes, whole);
        NC_UNROLL
        for (int i = 0; i < abreast; i++) sums[i] = nc_fma(get(from + i * step, lanes, whole), weight, sums[i]);
    }
    if (l->ahead) {
        const float *next = x + taps->offset[taps->count - 1] + l->ahead;
        NC_UNROLL
        for (int i = 0; i < abreast; i++) __builtin_prefetch(next + i * step, 0, 2);
    }
    const nc_vec bias = epilogue->bias ? get(epilogue->bias + channel, lanes, whole) : (nc_vec){0};
    NC_UNROLL
    for (int i = 0; i < abreast; i++) {
        const int64_t at = l->y + (column + i) * c->y_pixel + channel;
        nc_vec sum = sums[i] + bias;
        if (epilogue->residual) sum += get(epilogue->residual + at, lanes, whole);
        if (epilogue->relu) sum = nc_max((nc_vec){0}, sum);
        if (epilogue->ceiling > 0) sum = nc_min(nc_splat(epilogue->ceiling), sum);
        if (whole)
            nc_store(c->y + at, sum);
        else
            nc_store_some(c->y + at, sum, lanes);
    }
}

/* The same for all channels. */
NC_ALWAYS_INLINE void convolve(const line *l, const row_taps *taps, int64_t column, int abreast)
{
    int64_t channel = 0;
    for (; channel + NC_LANES <= l->c->groups; channel += NC_LANES)
        convolve_vector(l, taps, column, channel, abreast, true);
    if (channel < l->c->groups) convolve_vector(l, taps, column, channel, abreast, false);
}

static void run_end(const line *l, int64_t column)
{
    row_taps taps;
    find_end_taps(l->c, l->taps, column, &taps);
    const line end = {l->c, l->taps, l->x, l->y, 0};
    convolve(&end, &taps, column, 1);
}

static void run_line(const line *l)
{
    const nc_range inner = l->taps->inner;
    for (int64_t j = 0; j < inner.begin; j++) run_end(l, j);
    int64_t column = inner.begin;
    for (; column + 8 <= inner.end; column += 8) convolve(l, l->taps, column, 8);
    for (; column + 4 <= inner.end; column += 4) convolve(l, l->taps, column, 4);
    for (; column < inner.end; column++) convolve(l, l->taps, column, 1);
    for (int64_t j = inner.end; j < l->c->out[1]; j++) run_end(l, j);
}

static void run_part(void *user, int64_t index, int thread)
{
    (void)thread;
    const depthwise *d = user;
    const nc_correlation *c = d->c;
    const int64_t image = index / d->parts, pitch = c->in[1] * c->groups;
    const nc_range rows = nc_share(c->out[0], 1, d->parts, index % d->parts);
    row_taps taps;
    for (int64_t row = rows.begin; row < rows.end; row++) {
        find_taps(c, row, &taps);
        const int64_t next = (row + 1) * c->step[0] + c->high[0];
        const line l = {.c = c,
                        .taps = &taps,
                        .x = c->x + image * c->in[0] * pitch,
                        .y = image * c->y_image + row * c->y_row,
                        .ahead = taps.count > 0 && row + 1 < rows.end && next < c->in[0] ? c->step[0] * pitch : 0};
        run_line(&l);
    }
}

static void run_parts(const nc_correlation *c, float *scratch, nacre_team *team)
{
    (void)scratch;
    const int64_t wanted = nc_ceil_div(TASKS * nacre_team_size(team), c->batch);
    depthwise d = {c, nc_least(wanted, c->out[0])};
    nacre_parallel(team, c->batch * d.parts, run_part, &d);
}

static int64_t no_scratch(const nc_correlation *c, int threads)
{
    (void)c, (void)threads;
    return 0;
}

/* Weights are packed as [tap][channel]. */
static int64_t packed_floats(const nc_correlation *c)
{
    return c->tap_count * c->groups;
}

static void pack_taps(const nc_correlation *c, const nc_correlation_weights *from, float *packed, nacre_team *team)
{
    (void)team;
    for (int t = 0; t < c->tap_count; t++)
        for (int64_t i = 0; i < c->groups; i++)
            packed[t * c->groups + i] = from->w[i * from->group + c->taps[t].weight];
}

static const nc_correlator DEPTHWISE = {packed_floats, pack_taps, no_scratch, run_parts};

/* ---- gradient of the weights ------------------------------------------------------------------------------------- */

/* Rows of all images are shared among slots, whose number depends on the sizes alone. */
typedef struct outer {
    nc_correlation c; /* the forward convolution; x is its input */
    const float *dy;
    float *sums, *dw; /* sums: [slot][tap][channel] */
    int64_t slots;
} outer;

static outer outer_of(const nc_conv *conv)
{
    outer o;
    memset(&o, 0, sizeof o);
    nc_isa(nc_correlation_forward)(&o.c, conv);
    o.slots = nc_most(nc_least(o.c.batch * o.c.out[0], MAX_SLOTS), 1);
    return o;
}

/* Adds the products of positions `columns` for taps [first, first + count) of the row, for one vector of channels. */
NC_ALWAYS_INLINE void add_taps(const outer *o, const row_taps *taps, nc_range columns, const float *x, const float *dy,
                               int64_t lanes, int first, int count, float *sums)
{
    const nc_correlation *c = &o->c;
    nc_vec products[MOST_SUMS] = {{0}};
    NC_UNROLL
    for (int t = 0; t < count; t++) products[t] = nc_load_some(sums + taps->tap[first + t] * c->groups, lanes);
    for (int64_t j = columns.begin; j < columns.end; j++) {
        const nc_vec gradient = nc_load_some(dy + j * c->groups, lanes);
        const float *from = x + j * c->step[1] * c->groups;
        NC_UNROLL
        for (int t = 0; t < count; t++)
            products[t] = nc_fma(nc_load_some(from + taps->offset[first + t], lanes), gradient, products[t]);
    }
    NC_UNROLL
    for (int t = 0; t < count; t++) nc_store_some(sums + taps->tap[first + t] * c->groups, products[t], lanes);
}

/* The same for all taps and channels. */
static void add_columns(const outer *o, const row_taps *taps, nc_range columns, const float *x, const float *dy,
                        float *sums)
{
    const int64_t channels = o->c.groups;
    for (int64_t channel = 0; channel < channels; channel += NC_LANES)
        for (int first = 0; first < taps->count; first += MOST_SUMS) {
            const int64_t lanes = nc_least(channels - channel, NC_LANES);
            const int count = (int)nc_least(taps->count - first, MOST_SUMS);
            if (count == MOST_SUMS)
                add_taps(o, taps, columns, x + channel, dy + channel, lanes, first, MOST_SUMS, sums + channel);
            else if (count == 6) /* a 3x3 kernel at the upper or lower end, or at the left or right one */
                add_taps(o, taps, columns, x + channel, dy + channel, lanes, first, 6, sums + channel);
            else
                add_taps(o, taps, columns, x + channel, dy + channel, lanes, first, count, sums + channel);
        }
}

static void add_row(const outer *o, int64_t index, float *sums)
{
    const nc_correlation *c = &o->c;
    row_taps taps, end;
    find_taps(c, index % c->out[0], &taps);
    const float *x = c->x + index / c->out[0] * c->in[0] * c->in[1] * c->groups;
    const float *dy = o->dy + index * c->out[1] * c->groups;
    for (int64_t j = 0; j < c->out[1];) {
        const bool inner = j >= taps.inner.begin && j < taps.inner.end;
        const nc_range columns = {j, inner ? nc_least(j + COLUMNS, taps.inner.end) : j + 1};
        if (!inner) find_end_taps(c, &taps, j, &end);
        add_columns(o, inner ? &taps : &end, columns, x, dy, sums);
        j = columns.end;
    }
}

static void add_slot(void *user, int64_t slot, int thread)
{
    (void)thread;
    const outer *o = user;
    const nc_range rows = nc_share(o->c.batch * o->c.out[0], 1, o->slots, slot);
    float *sums = o->sums + slot * o->c.tap_count * o->c.groups;
    memset(sums, 0, (size_t)(o->c.tap_count * o->c.groups) * sizeof *sums);
    for (int64_t row = rows.begin; row < rows.end; row++) add_row(o, row, sums);
}

static size_t weights_workspace(const nacre_node_info *info)
{
    const nc_conv conv = nc_conv_problem_of_info(info);
    const outer o = outer_of(&conv);
    return sizeof(float) * (size_t)(o.slots * o.c.tap_count * o.c.groups);
}

static void run_weights(const nacre_call *call)
{
    const nc_conv_node node = nc_conv_node_of_call(call);
    const nc_conv conv = nc_conv_problem(&node);
    outer o = outer_of(&conv);
    o.c.x = node.x.data;
    o.dy = node.y.data;
    o.dw = node.w.data;
    o.sums = call->workspace;
    nacre_parallel(call->team, o.slots, add_slot, &o);
    for (int64_t i = 0; i < o.c.groups; i++)
        for (int t = 0; t < o.c.tap_count; t++) {
            float sum = 0;
            for (int64_t slot = 0; slot < o.slots; slot++) sum += o.sums[(slot * o.c.tap_count + t) * o.c.groups + i];
            o.dw[i * o.c.tap_count + t] = sum;
        }
}

/* ---- as kernels -------------------------------------------------------------------------------------------------- */

NC_CORRELATION_KERNELS(depthwise, DEPTHWISE, nc_conv_depthwise_refusal, NULL)
const nacre_kernel nc_isa(nc_conv_backward_weight_depthwise_kernel) = {
    .op = "conv_backward_weight",
    .variant = "depthwise_" NC_ISA_NAME,
    .flags = NACRE_KERNEL_CHANNELS_LAST,
    .can = nc_conv_depthwise_refusal,
    .workspace = weights_workspace,
    .run = run_weights,
};

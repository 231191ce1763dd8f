/* cpu/simd/conv_depthwise.c - convolutions of channels-last images whose groups have one channel each.
 *
 * The lanes are channels. The weights of one vector of channels stay in registers while a row of output positions goes
 * by, a few positions at a time so that their sums do not wait for each other. Rows of taps outside the image are left
 * out of the list of taps; only positions at the left and right ends ask tap by tap. The gradient of the weights keeps
 * a sum per tap in registers instead. */
#include "cpu/simd/correlation.h"

enum { ABREAST = 4, MOST_SUMS = 9, MAX_SLOTS = 16 };

/* The taps of one output row: where they read, and weights. */
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

/* ---- forward and gradient of the input --------------------------------------------------------------------------- */

typedef struct line { /* an output row of one vector of channels */
    const nc_correlation *c;
    const row_taps *taps;
    const float *x;
    int64_t y, lanes; /* offset of the row's start */
    nc_vec weights[NC_CONV_MAX_TAPS], bias;
} line;

NC_ALWAYS_INLINE void finish(const line *l, int64_t column, nc_vec sum)
{
    const nc_conv_epilogue *epilogue = l->c->epilogue;
    const int64_t at = l->y + column * l->c->y_pixel;
    sum += l->bias;
    if (epilogue->residual) sum += nc_load_some(epilogue->residual + at, l->lanes);
    if (epilogue->relu) sum = nc_max((nc_vec){0}, sum);
    if (epilogue->ceiling > 0) sum = nc_min(nc_splat(epilogue->ceiling), sum);
    nc_store_some(l->c->y + at, sum, l->lanes);
}

/* `abreast` positions from `column` on, all of whose taps lie inside. */
NC_ALWAYS_INLINE void inner_positions(const line *l, int64_t column, int count, int abreast)
{
    const int64_t step = l->c->step[1] * l->c->groups;
    const float *x = l->x + column * step;
    nc_vec sums[ABREAST] = {{0}};
    NC_UNROLL
    for (int t = 0; t < count; t++) {
        const float *from = x + l->taps->offset[t];
        NC_UNROLL
        for (int i = 0; i < abreast; i++)
            sums[i] = nc_fma(nc_load_some(from + i * step, l->lanes), l->weights[t], sums[i]);
    }
    NC_UNROLL
    for (int i = 0; i < abreast; i++) finish(l, column + i, sums[i]);
}

static void end_position(const line *l, int64_t column)
{
    const nc_correlation *c = l->c;
    const int64_t at = column * c->step[1];
    nc_vec sum = {0};
    for (int t = 0; t < l->taps->count; t++) {
        const int64_t from = at + l->taps->column[t];
        if (from < 0 || from >= c->in[1]) continue;
        sum = nc_fma(nc_load_some(l->x + at * c->groups + l->taps->offset[t], l->lanes), l->weights[t], sum);
    }
    finish(l, column, sum);
}

NC_ALWAYS_INLINE void inner_line(const line *l, int count)
{
    int64_t column = l->taps->inner.begin;
    for (; column + ABREAST <= l->taps->inner.end; column += ABREAST) inner_positions(l, column, count, ABREAST);
    for (; column < l->taps->inner.end; column++) inner_positions(l, column, count, 1);
}

static void run_line(const line *l)
{
    for (int64_t j = 0; j < l->taps->inner.begin; j++) end_position(l, j);
    if (l->taps->count == 9) /* 3x3 */
        inner_line(l, 9);
    else if (l->taps->count == 6) /* the same at the upper or lower end */
        inner_line(l, 6);
    else
        inner_line(l, l->taps->count);
    for (int64_t j = l->taps->inner.end; j < l->c->out[1]; j++) end_position(l, j);
}

static void run_row(void *user, int64_t index, int thread)
{
    (void)thread;
    const nc_correlation *c = user;
    const int64_t image = index / c->out[0], row = index % c->out[0];
    row_taps taps;
    line l;
    find_taps(c, row, &taps);
    l.c = c;
    l.taps = &taps;
    for (int64_t channel = 0; channel < c->groups; channel += NC_LANES) {
        l.lanes = nc_least(c->groups - channel, NC_LANES);
        l.x = c->x + image * c->in[0] * c->in[1] * c->groups + channel;
        l.y = image * c->y_image + row * c->y_row + channel;
        for (int t = 0; t < taps.count; t++)
            l.weights[t] = nc_load_some(c->packed + taps.tap[t] * c->groups + channel, l.lanes);
        l.bias = c->epilogue->bias ? nc_load_some(c->epilogue->bias + channel, l.lanes) : (nc_vec){0};
        run_line(&l);
    }
}

static void run_rows(const nc_correlation *c, float *scratch, nacre_team *team)
{
    (void)scratch;
    nacre_parallel(team, c->batch * c->out[0], run_row, (void *)(uintptr_t)c);
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

static const nc_correlator DEPTHWISE = {packed_floats, pack_taps, no_scratch, run_rows};

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

/* Adds a row's products for taps [first, first + count) of the row, for one vector of channels. */
NC_ALWAYS_INLINE void add_taps(const outer *o, const row_taps *taps, const float *x, const float *dy, int64_t lanes,
                               int first, int count, float *sums)
{
    const nc_correlation *c = &o->c;
    nc_vec products[MOST_SUMS] = {{0}};
    NC_UNROLL
    for (int t = 0; t < count; t++) products[t] = nc_load_some(sums + taps->tap[first + t] * c->groups, lanes);
    for (int64_t j = taps->inner.begin; j < taps->inner.end; j++) {
        const nc_vec gradient = nc_load_some(dy + j * c->groups, lanes);
        const float *from = x + j * c->step[1] * c->groups;
        NC_UNROLL
        for (int t = 0; t < count; t++)
            products[t] = nc_fma(nc_load_some(from + taps->offset[first + t], lanes), gradient, products[t]);
    }
    NC_UNROLL
    for (int t = 0; t < count; t++) nc_store_some(sums + taps->tap[first + t] * c->groups, products[t], lanes);
}

static void add_end(const outer *o, const row_taps *taps, const float *x, const float *dy, int64_t lanes,
                    int64_t column, float *sums)
{
    const nc_correlation *c = &o->c;
    const int64_t at = column * c->step[1];
    const nc_vec gradient = nc_load_some(dy + column * c->groups, lanes);
    for (int t = 0; t < taps->count; t++) {
        const int64_t from = at + taps->column[t];
        if (from < 0 || from >= c->in[1]) continue;
        float *sum = sums + taps->tap[t] * c->groups;
        const nc_vec value = nc_load_some(x + at * c->groups + taps->offset[t], lanes);
        nc_store_some(sum, nc_fma(value, gradient, nc_load_some(sum, lanes)), lanes);
    }
}

static void add_row(const outer *o, int64_t index, float *sums)
{
    const nc_correlation *c = &o->c;
    row_taps taps;
    find_taps(c, index % c->out[0], &taps);
    for (int64_t channel = 0; channel < c->groups; channel += NC_LANES) {
        const int64_t lanes = nc_least(c->groups - channel, NC_LANES);
        const float *x = c->x + index / c->out[0] * c->in[0] * c->in[1] * c->groups + channel;
        const float *dy = o->dy + index * c->out[1] * c->groups + channel;
        for (int64_t j = 0; j < taps.inner.begin; j++) add_end(o, &taps, x, dy, lanes, j, sums + channel);
        for (int64_t j = taps.inner.end; j < c->out[1]; j++) add_end(o, &taps, x, dy, lanes, j, sums + channel);
        for (int first = 0; first < taps.count; first += MOST_SUMS) {
            const int count = (int)nc_least(taps.count - first, MOST_SUMS);
            if (count == MOST_SUMS)
                add_taps(o, &taps, x, dy, lanes, first, MOST_SUMS, sums + channel);
            else
                add_taps(o, &taps, x, dy, lanes, first, count, sums + channel);
        }
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
    const nc_conv_node node =
        nc_conv_node_read(info->op, info->attributes, info->inputs, info->input_count, &info->outputs[0]);
    const nc_conv conv = nc_conv_problem(&node);
    const outer o = outer_of(&conv);
    return sizeof(float) * (size_t)(o.slots * o.c.tap_count * o.c.groups);
}

static void run_weights(const nacre_call *call)
{
    const nc_conv_node node =
        nc_conv_node_read(call->op, call->attributes, call->inputs, call->input_count, &call->outputs[0]);
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

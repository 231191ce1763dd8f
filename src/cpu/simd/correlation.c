/* cpu/simd/correlation.c - see correlation.h. */
#include "cpu/simd/correlation.h"

enum { PANEL = NC_TILE_COLUMNS };

/* ---- taps -------------------------------------------------------------------------------------------------------- */

/* Longest run of taps that are neighbours in memory, the same for all rows of taps; 1 if channels of other groups
 * lie between them. */
static int joined(const nc_correlation *c)
{
    int run = 1;
    while (run < c->tap_count && c->taps[run].row == c->taps[0].row) run++;
    if (c->groups > 1 || c->tap_count == 0 || c->tap_count % run) return 1;
    for (int t = 0; t < c->tap_count; t++) {
        const nc_correlation_tap *first = &c->taps[t - t % run];
        if (c->taps[t].row != first->row || c->taps[t].column != first->column + t % run) return 1;
    }
    return run;
}

static void measure(nc_correlation *c)
{
    c->low[0] = c->low[1] = INT64_MAX;
    c->high[0] = c->high[1] = INT64_MIN;
    for (int t = 0; t < c->tap_count; t++) {
        c->low[0] = nc_least(c->low[0], c->taps[t].row);
        c->high[0] = nc_most(c->high[0], c->taps[t].row);
        c->low[1] = nc_least(c->low[1], c->taps[t].column);
        c->high[1] = nc_most(c->high[1], c->taps[t].column);
    }
    if (c->tap_count == 0) c->low[0] = c->low[1] = c->high[0] = c->high[1] = 0;
    c->run = joined(c);
}

void nc_isa(nc_correlation_forward)(nc_correlation *c, const nc_conv *conv)
{
    *c = (nc_correlation){.batch = conv->batch,
                          .groups = conv->groups,
                          .in_channels = conv->in_channels / conv->groups,
                          .out_channels = conv->out_channels / conv->groups};
    for (int i = 0; i < 2; i++) {
        c->in[i] = conv->in[i];
        c->out[i] = conv->out[i];
        c->step[i] = conv->stride[i];
    }
    for (int64_t k = 0; k < conv->kernel[0]; k++)
        for (int64_t l = 0; l < conv->kernel[1]; l++)
            c->taps[c->tap_count++] = (nc_correlation_tap){.row = k * conv->dilation[0] - conv->pad[0],
                                                           .column = l * conv->dilation[1] - conv->pad[1],
                                                           .weight = k * conv->kernel[1] + l};
    c->y_pixel = conv->out_channels;
    c->y_row = conv->out[1] * c->y_pixel;
    c->y_image = conv->out[0] * c->y_row;
    measure(c);
}

/* The taps along one axis that reach positions phase, phase + stride, ... of the input, by ascending offset. */
static int reaching(const nc_conv *conv, int axis, int64_t phase, nc_correlation_tap *taps)
{
    int count = 0;
    for (int64_t k = conv->kernel[axis] - 1; k >= 0; k--) {
        const int64_t distance = phase + conv->pad[axis] - k * conv->dilation[axis];
        if (distance % conv->stride[axis] == 0)
            taps[count++] = (nc_correlation_tap){.row = distance / conv->stride[axis], .weight = k};
    }
    return count;
}

static void set_phase(nc_correlation *c, const nc_conv *conv, int64_t row, int64_t column)
{
    *c = (nc_correlation){.batch = conv->batch,
                          .groups = conv->groups,
                          .in_channels = conv->out_channels / conv->groups,
                          .out_channels = conv->in_channels / conv->groups,
                          .step = {1, 1}};
    const int64_t phase[2] = {row, column};
    for (int i = 0; i < 2; i++) {
        c->in[i] = conv->out[i];
        c->out[i] = nc_ceil_div(conv->in[i] - phase[i], conv->stride[i]);
    }
    nc_correlation_tap rows[NC_CONV_MAX_TAPS], columns[NC_CONV_MAX_TAPS];
    const int row_count = reaching(conv, 0, row, rows), column_count = reaching(conv, 1, column, columns);
    for (int i = 0; i < row_count; i++)
        for (int j = 0; j < column_count; j++)
            c->taps[c->tap_count++] =
                (nc_correlation_tap){.row = rows[i].row,
                                     .column = columns[j].row,
                                     .weight = rows[i].weight * conv->kernel[1] + columns[j].weight};
    c->y_pixel = conv->stride[1] * conv->in_channels;
    c->y_row = conv->stride[0] * conv->in[1] * conv->in_channels;
    c->y_image = conv->in[0] * conv->in[1] * conv->in_channels;
    measure(c);
}

/* ---- a node as correlations -------------------------------------------------------------------------------------- */

typedef struct phases {
    nc_conv conv;
    bool forward;
    int64_t count[2];
} phases;

static phases phases_of(const nc_conv_node *node, const nacre_op *op)
{
    phases p = {.conv = nc_conv_problem(node), .forward = !strcmp(op->name, "conv"), .count = {1, 1}};
    for (int i = 0; i < 2 && !p.forward; i++) p.count[i] = nc_least(p.conv.stride[i], p.conv.in[i]);
    return p;
}

static void set(const phases *p, int64_t phase, nc_correlation *c)
{
    if (p->forward)
        nc_isa(nc_correlation_forward)(c, &p->conv);
    else
        set_phase(c, &p->conv, phase / p->count[1], phase % p->count[1]);
}

int64_t nc_isa(nc_correlation_panel_floats)(const nc_correlation *c)
{
    return c->groups * nc_correlation_panels(c) * PANEL * nc_correlation_depth(c);
}

size_t nc_isa(nc_correlation_prepared)(const nc_correlator *how, const nacre_node_info *info)
{
    const nc_conv_node node = nc_conv_node_of_info(info);
    const phases p = phases_of(&node, info->op);
    nc_correlation c;
    int64_t floats = 0;
    for (int64_t i = 0; i < p.count[0] * p.count[1]; i++) {
        set(&p, i, &c);
        floats += how->packed(&c);
    }
    return sizeof(float) * (size_t)floats;
}

size_t nc_isa(nc_correlation_workspace)(const nc_correlator *how, const nacre_node_info *info)
{
    const nc_conv_node node = nc_conv_node_of_info(info);
    const phases p = phases_of(&node, info->op);
    nc_correlation c;
    int64_t floats = 0;
    for (int64_t i = 0; i < p.count[0] * p.count[1]; i++) {
        set(&p, i, &c);
        floats = nc_most(floats, how->scratch(&c, info->threads));
    }
    return sizeof(float) * (size_t)floats;
}

void nc_isa(nc_correlation_run)(const nc_correlator *how, const nacre_call *call)
{
    const nc_conv_node node = nc_conv_node_of_call(call);
    const nc_conv_epilogue epilogue = nc_conv_epilogue_of(&node);
    const phases p = phases_of(&node, call->op);
    const float *packed = call->prepared;
    nc_correlation c;
    for (int64_t i = 0; i < p.count[0] * p.count[1]; i++) {
        set(&p, i, &c);
        c.epilogue = &epilogue;
        c.packed = packed;
        c.x = p.forward ? node.x.data : node.y.data;
        c.y = p.forward ? node.y.data : node.x.data;
        c.y += i / p.count[1] * p.conv.in[1] * p.conv.in_channels + i % p.count[1] * p.conv.in_channels;
        packed += how->packed(&c);
        if (c.batch > 0 && c.out[0] > 0 && c.out[1] > 0) how->run(&c, call->workspace, call->team);
    }
}

/* ---- packing of weights ------------------------------------------------------------------------------------------ */

typedef struct packing {
    const nc_correlation *to;
    const nc_correlation_weights *from;
    float *packed;
} packing;

/* Up to a vector of outputs from `w` on. Squares of outputs and contiguous weights are transposed in registers. */
static void pack_lanes(const nc_correlation_weights *from, int64_t channels, const float *w, int64_t lanes,
                       float *packed)
{
    const bool joined_channels = from->in == from->taps;
    const int64_t length = joined_channels ? channels * from->taps : from->taps;
    for (int64_t channel = 0; channel < (joined_channels ? 1 : channels); channel++)
        for (int64_t k = 0; k < length; k += NC_LANES) {
            nc_vec columns[NC_LANES];
            const int64_t count = nc_least(length - k, NC_LANES);
            nc_load_columns(w + channel * from->in + k, from->out, lanes, count, columns);
            for (int64_t j = 0; j < count; j++) {
                const int place = from->place[(k + j) % from->taps];
                const int64_t row = place * channels + channel + (k + j) / from->taps;
                if (place >= 0) nc_store(packed + row * PANEL, columns[j]);
            }
        }
}

static void pack_panel(void *user, int64_t index, int thread)
{
    (void)thread;
    const packing *p = user;
    const nc_correlation *c = p->to;
    const nc_correlation_weights *from = p->from;
    const int64_t panel = index % nc_correlation_panels(c) * PANEL;
    const float *w = from->w + index / nc_correlation_panels(c) * from->group + panel * from->out;
    float *packed = p->packed + index * nc_correlation_depth(c) * PANEL;
    for (int64_t v = 0; v < PANEL; v += NC_LANES) {
        const int64_t lanes = nc_most(nc_least(c->out_channels - panel - v, NC_LANES), 0);
        if (from->out == 1) /* a 1x1 kernel, whose outputs are contiguous here */
            for (int64_t i = 0; i < c->in_channels && c->tap_count; i++)
                nc_store(packed + i * PANEL + v, nc_load_some(w + i * from->in + (lanes ? v : 0), lanes));
        else
            pack_lanes(from, c->in_channels, w + (lanes ? v : 0) * from->out, lanes, packed + v);
    }
}

void nc_isa(nc_correlation_pack_panels)(const nc_correlation *c, const nc_correlation_weights *from, float *packed,
                                        nacre_team *team)
{
    packing p = {c, from, packed};
    nacre_parallel(team, c->groups * nc_correlation_panels(c), pack_panel, &p);
}

void nc_isa(nc_correlation_prepare)(const nc_correlator *how, const nacre_call *call)
{
    const nc_conv_node node = nc_conv_node_of_call(call);
    const phases p = phases_of(&node, call->op);
    const int64_t taps = p.conv.kernel[0] * p.conv.kernel[1], in = p.conv.in_channels / p.conv.groups;
    float *packed = call->prepared;
    nc_correlation c;
    nc_correlation_weights from = {.w = node.w.data, .taps = taps};
    from.group = p.conv.out_channels / p.conv.groups * in * taps;
    from.out = p.forward ? in * taps : taps;
    from.in = p.forward ? taps : in * taps;
    for (int64_t i = 0; i < p.count[0] * p.count[1]; i++) {
        set(&p, i, &c);
        for (int64_t t = 0; t < taps; t++) from.place[t] = -1;
        for (int t = 0; t < c.tap_count; t++) from.place[c.taps[t].weight] = t;
        how->pack(&c, &from, packed, call->team);
        packed += how->packed(&c);
    }
}

/* ---- the gradient of the weights --------------------------------------------------------------------------------- */

typedef struct restoring {
    const nc_conv *conv;
    float *sums, *dw;
    int64_t slots, channels, depth, panels, taps; /* channels: of a group's input; panels of a group's output */
} restoring;

static void add_slots(void *user, int64_t index, int thread)
{
    (void)thread;
    const restoring *r = user;
    const int64_t outputs = r->conv->out_channels / r->conv->groups, panel = index % r->panels * PANEL;
    float *total = r->sums + index * r->depth * PANEL;
    for (int64_t slot = 1; slot < r->slots; slot++) {
        const float *sums = total + slot * nc_conv_slot_floats(r->conv);
        for (int64_t i = 0; i < r->depth * PANEL; i += NC_LANES)
            nc_store(total + i, nc_load(total + i) + nc_load(sums + i));
    }
    float *dw = r->dw + (index / r->panels * outputs + panel) * r->depth;
    for (int64_t v = 0; v < nc_least(PANEL, outputs - panel); v += NC_LANES)
        for (int64_t k = 0; k < r->depth; k += NC_LANES) {
            nc_vec lines[NC_LANES] = {0};
            const int64_t count = nc_least(r->depth - k, NC_LANES), lanes = nc_least(outputs - panel - v, NC_LANES);
            for (int64_t j = 0; j < count; j++)
                lines[j] = nc_load(total + ((k + j) % r->taps * r->channels + (k + j) / r->taps) * PANEL + v);
            nc_transpose(lines);
            for (int64_t o = 0; o < lanes; o++) nc_store_some(dw + (v + o) * r->depth + k, lines[o], count);
        }
}

void nc_isa(nc_conv_add_slots)(const nc_conv *conv, float *sums, int64_t slots, float *dw, nacre_team *team)
{
    restoring r = {.conv = conv,
                   .sums = sums,
                   .dw = dw,
                   .slots = slots,
                   .channels = conv->in_channels / conv->groups,
                   .panels = nc_ceil_div(conv->out_channels / conv->groups, PANEL),
                   .taps = conv->kernel[0] * conv->kernel[1]};
    r.depth = r.channels * r.taps;
    nacre_parallel(team, conv->groups * r.panels, add_slots, &r);
}

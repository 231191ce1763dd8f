/* cpu/simd/conv.c - direct convolutions of channels-last images, made of register tiles.
 *
 * A tile takes consecutive positions of an output row against a panel of output channels; one tap is a product over
 * the input channels, and taps that lie side by side in memory are joined into one longer product. Rows that stick out
 * on the left or right are copied into padded scratch, rows above and below are left out with their taps.
 *
 * The gradient of the weights is, for each kernel row, the product of (kernel column, input channel) x pixels with
 * pixels x output channels, summed over rows of pixels in registers and over images in private copies that are added
 * up in a fixed order. */
#include "cpu/simd/correlation.h"

enum {
    PANEL = NC_TILE_COLUMNS,
    MANY = 1 << 12, /* products of channels, */
    FEW = 64,       /* and channels, of 1x1 kernels */
    FEW_WEIGHTS = 24 * 1024 / sizeof(float),
#ifdef NACRE_STRESS
    SCRATCH = 1 << 8,
#else
    SCRATCH = 1 << 16,     /* floats of padded rows a task may hold: a quarter of a 1 MB cache */
#endif
};

/* ---- forward and gradient of the input --------------------------------------------------------------------------- */

typedef struct direct {
    const nc_correlation *c;
    float *scratch;
    int64_t pitch;        /* floats of a padded row; 0: rows are read in place */
    int64_t scratch_size; /* floats for each thread */
    int64_t row_parts, panel_parts;
    bool whole_pixels; /* weights stay in the first-level cache: all panels of a row after each other */
} direct;

/* Copies rows [rows.begin, rows.end) of an image of `width` pixels from column `low` on, `pitch` floats each, with
 * zeros where columns lie outside. */
static void copy_padded(const float *image, int64_t width, int64_t channels, nc_range rows, int64_t low, int64_t pitch,
                        float *target)
{
    const int64_t columns = pitch / channels, before = nc_least(nc_most(-low, 0), columns), from = nc_most(low, 0);
    const int64_t copied = nc_most(nc_least(width - from, columns - before), 0);
    const size_t size = sizeof *target;
    for (int64_t row = rows.begin; row < rows.end; row++, target += pitch) {
        memset(target, 0, (size_t)(before * channels) * size);
        memcpy(target + before * channels, image + (row * width + from) * channels, (size_t)(copied * channels) * size);
        memset(target + (before + copied) * channels, 0, (size_t)((columns - before - copied) * channels) * size);
    }
}

/* One output row against one panel of channels; `tile` holds the row's start. */
static void correlate_row(const nc_correlation *c, nc_tile *tile, const nc_tap *taps, int64_t out_row,
                          int64_t pixel_step)
{
    const int64_t at = out_row * c->step[0];
    int first = 0, last = c->tap_count;
    while (first < last && at + c->taps[first].row < 0) first += c->run;
    while (last > first && at + c->taps[last - 1].row >= c->in[0]) last -= c->run;
    tile->taps = taps + first / c->run;
    tile->tap_count = (last - first) / c->run;
    const int64_t parts = nc_ceil_div(c->out[1], NC_TILE_ROWS);
    const nc_tile start = *tile;
    for (int64_t p = 0; p < parts; p++) {
        const nc_range pixels = nc_share(c->out[1], 1, parts, p);
        const int64_t offset = pixels.begin * c->y_pixel;
        tile->a = (const float *)start.a + pixels.begin * pixel_step;
        tile->c = (float *)start.c + offset;
        if (start.residual) tile->residual = (const float *)start.residual + offset;
        nc_isa(nc_tiles_f32)[NC_TILE_STEPS_CONTIGUOUS][pixels.end - pixels.begin - 1][tile->columns > NC_LANES](tile);
    }
    *tile = start;
}

static void correlate_part(void *user, int64_t index, int thread)
{
    const direct *d = user;
    const nc_correlation *c = d->c;
    const int64_t tasks = d->row_parts * d->panel_parts, image = index / tasks, panels = nc_correlation_panels(c);
    const nc_range rows = nc_share(c->out[0], 1, d->row_parts, index % tasks / d->panel_parts);
    const nc_range part = nc_share(c->groups * panels, 1, d->panel_parts, index % d->panel_parts);
    const int64_t channels = c->in_channels * c->groups;
    const float *x = c->x + image * c->in[0] * c->in[1] * channels;
    int64_t in_row = c->in[1] * channels, first = 0;
    if (d->pitch) {
        const nc_range needed = {nc_most(rows.begin * c->step[0] + c->low[0], 0),
                                 nc_least((rows.end - 1) * c->step[0] + c->high[0] + 1, c->in[0])};
        float *scratch = d->scratch + thread * d->scratch_size;
        copy_padded(x, c->in[1], channels, needed, c->low[1], d->pitch, scratch);
        x = scratch;
        in_row = d->pitch;
        first = needed.begin;
    }
    const int64_t low = d->pitch ? c->low[1] : 0;
    nc_tap taps[NC_CONV_MAX_TAPS];
    for (int t = 0; t < c->tap_count; t += c->run) {
        taps[t / c->run].a = c->taps[t].row * in_row + (c->taps[t].column - low) * channels;
        taps[t / c->run].b = t * c->in_channels * PANEL;
    }
    const int64_t pixel_step = c->step[1] * channels;
    nc_tile tile = {.a_row = pixel_step,
                    .a_step = 1,
                    .b_step = PANEL,
                    .steps = c->run * c->in_channels,
                    .c_row = c->y_pixel,
                    .relu = c->epilogue->relu,
                    .ceiling = c->epilogue->ceiling,
                    .fetch_below = true};
    const int64_t row_count = rows.end - rows.begin, panel_count = part.end - part.begin;
    for (int64_t i = 0; i < row_count * panel_count; i++) {
        const int64_t p = part.begin + (d->whole_pixels ? i % panel_count : i / row_count);
        const int64_t row = rows.begin + (d->whole_pixels ? i / panel_count : i % row_count);
        const int64_t group = p / panels, channel = p % panels * PANEL;
        const int64_t out_channel = group * c->out_channels + channel;
        const int64_t offset = image * c->y_image + row * c->y_row + out_channel;
        tile.a = x + (row * c->step[0] - first) * in_row + group * c->in_channels;
        tile.b = c->packed + p * c->tap_count * c->in_channels * PANEL;
        tile.c = c->y + offset;
        tile.columns = nc_least(c->out_channels - channel, PANEL);
        if (c->epilogue->bias) tile.column_bias = c->epilogue->bias + out_channel;
        if (c->epilogue->residual) tile.residual = c->epilogue->residual + offset;
        correlate_row(c, &tile, taps, row, pixel_step);
    }
}

/* Rows of an image are cut so that the scratch of a part stays small, then further (panels first: they share no
 * work but the copy) until all threads are busy. */
static direct cut(const nc_correlation *c, int threads)
{
    direct d = {.c = c};
    const int64_t reach = (c->out[1] - 1) * c->step[1] + c->high[1], panels = c->groups * nc_correlation_panels(c);
    if (c->tap_count && (c->low[1] < 0 || reach >= c->in[1]))
        d.pitch = (reach - c->low[1] + 1) * c->in_channels * c->groups;
    const int64_t wanted = nc_ceil_div(4 * threads, nc_most(c->batch, 1));
    const int64_t fit = d.pitch ? nc_most((SCRATCH / d.pitch - (c->high[0] - c->low[0])) / c->step[0], 1) : c->out[0];
    d.row_parts = nc_ceil_div(c->out[0], nc_most(fit, 1));
    d.whole_pixels = c->tap_count * c->in_channels * panels * PANEL <= FEW_WEIGHTS;
    d.panel_parts = threads == 1 || d.whole_pixels ? 1 : nc_least(nc_ceil_div(wanted, nc_most(d.row_parts, 1)), panels);
    if (d.row_parts * d.panel_parts < wanted && threads > 1)
        d.row_parts = nc_least(nc_ceil_div(wanted, nc_most(d.panel_parts, 1)), c->out[0]);
    const int64_t rows = nc_ceil_div(c->out[0], nc_most(d.row_parts, 1));
    d.scratch_size = nc_round_up(d.pitch * ((rows - 1) * c->step[0] + c->high[0] - c->low[0] + 1), 16);
    return d;
}

static int64_t correlate_scratch(const nc_correlation *c, int threads)
{
    return cut(c, threads).scratch_size * threads;
}

static void correlate(const nc_correlation *c, float *scratch, nacre_team *team)
{
    direct d = cut(c, nacre_team_size(team));
    d.scratch = scratch;
    nacre_parallel(team, c->batch * d.row_parts * d.panel_parts, correlate_part, &d);
}

static const nc_correlator DIRECT = {nc_isa(nc_correlation_panel_floats), nc_isa(nc_correlation_pack_panels),
                                     correlate_scratch, correlate};

/* ---- gradient of the weights ------------------------------------------------------------------------------------- */

enum {
    MAX_SLOTS = 32,
#ifdef NACRE_STRESS
    SLOT_BUDGET = 1 << 12,
    CHUNK = 20,
#else
    SLOT_BUDGET = 1 << 21, /* floats of all private copies of the weights */
    CHUNK = 256,           /* pixels whose rows of input and output stay in the first cache levels */
#endif
};

typedef struct outer {
    const nc_conv *conv;
    const float *x, *dy;
    int64_t in_channels, out_channels, panels, taps; /* channels and panels of one group */
    int64_t low, pitch;                              /* first column and floats of a padded row; pitch 0: in place */
    int64_t chunk_rows;
    int64_t slots; /* private copies; depends on the problem only, so that the order of additions does */
    float *sums;   /* [slot][group][panel][tap][input channel][PANEL] */
    float *scratch;
    int64_t scratch_x, scratch_dy; /* floats for each thread */
} outer;

static void set_outer(outer *o, const nc_conv *conv)
{
    *o = (outer){.conv = conv,
                 .in_channels = conv->in_channels / conv->groups,
                 .out_channels = conv->out_channels / conv->groups,
                 .taps = conv->kernel[0] * conv->kernel[1]};
    o->panels = nc_ceil_div(o->out_channels, PANEL);
    const int64_t reach = (conv->out[1] - 1) * conv->stride[1] + (conv->kernel[1] - 1) * conv->dilation[1];
    o->low = -conv->pad[1];
    if (conv->pad[1] > 0 || reach >= conv->in[1] + conv->pad[1]) o->pitch = (reach + 1) * conv->in_channels;
    o->chunk_rows = nc_least(nc_most(CHUNK / conv->out[1], 1), conv->out[0]);
    const int64_t size = nc_conv_slot_floats(conv);
    o->slots = nc_most(nc_least(nc_least(conv->batch, MAX_SLOTS), SLOT_BUDGET / size), 1);
    const int64_t in_rows = (o->chunk_rows - 1) * conv->stride[0] + (conv->kernel[0] - 1) * conv->dilation[0] + 1;
    o->scratch_x = nc_round_up(o->pitch * in_rows, 16);
    if (o->out_channels % NC_LANES) o->scratch_dy = o->chunk_rows * conv->out[1] * PANEL;
}

/* Some output rows and the input rows that they need. */
typedef struct chunk {
    nc_range rows;
    const float *x; /* input row `first`, column 0 of the kernel, first channel of the group */
    int64_t first, in_row;
} chunk;

/* A chunk against kernel row k: adds to sums[kernel column][input channel][PANEL]. */
static void multiply_kernel_row(const outer *o, const chunk *in, nc_tile tile, int64_t k, float *sums)
{
    const nc_conv *conv = o->conv;
    nc_tap taps[CHUNK];
    for (int64_t row = in->rows.begin; row < in->rows.end; row++) {
        const int64_t at = row * conv->stride[0] + k * conv->dilation[0] - conv->pad[0];
        if (at < 0 || at >= conv->in[0]) continue;
        taps[tile.tap_count++] =
            (nc_tap){(at - in->first) * in->in_row, (row - in->rows.begin) * conv->out[1] * tile.b_step};
    }
    if (tile.tap_count == 0) return;
    tile.taps = taps;
    const bool joined = conv->groups == 1 && conv->dilation[1] == 1;
    const int64_t columns = joined ? 1 : conv->kernel[1];
    const int64_t lines = joined ? conv->kernel[1] * o->in_channels : o->in_channels;
    const int64_t parts = nc_ceil_div(lines, NC_TILE_ROWS);
    for (int64_t l = 0; l < columns; l++)
        for (int64_t p = 0; p < parts; p++) {
            const nc_range part = nc_share(lines, 1, parts, p);
            tile.a = in->x + l * conv->dilation[1] * conv->in_channels + part.begin;
            tile.c = sums + (l * o->in_channels + part.begin) * PANEL;
            nc_isa(nc_tiles_f32)[NC_TILE_ROWS_CONTIGUOUS][part.end - part.begin - 1][tile.columns > NC_LANES](&tile);
        }
}

static void multiply_chunk(const outer *o, int64_t image, nc_range rows, int64_t group, int64_t panel, float *scratch,
                           float *sums)
{
    const nc_conv *conv = o->conv;
    const float *x = o->x + image * conv->in[0] * conv->in[1] * conv->in_channels;
    const int64_t pixels = (rows.end - rows.begin) * conv->out[1], columns = nc_least(o->out_channels - panel, PANEL);
    chunk in = {rows, x, 0, conv->in[1] * conv->in_channels};
    if (o->pitch) {
        const int64_t low = -conv->pad[0], high = (conv->kernel[0] - 1) * conv->dilation[0] - conv->pad[0];
        const nc_range needed = {nc_most(rows.begin * conv->stride[0] + low, 0),
                                 nc_least((rows.end - 1) * conv->stride[0] + high + 1, conv->in[0])};
        copy_padded(x, conv->in[1], conv->in_channels, needed, o->low, o->pitch, scratch);
        in = (chunk){rows, scratch, needed.begin, o->pitch};
    } else {
        in.x += o->low * conv->in_channels;
    }
    in.x += group * o->in_channels;
    nc_tile tile = {.a_row = 1,
                    .a_step = conv->stride[1] * conv->in_channels,
                    .b = o->dy + ((image * conv->out[0] + rows.begin) * conv->out[1]) * conv->out_channels +
                         group * o->out_channels + panel,
                    .b_step = conv->out_channels,
                    .steps = conv->out[1],
                    .c_row = PANEL,
                    .columns = nc_round_up(columns, NC_LANES),
                    .accumulate = true};
    if (columns % NC_LANES) { /* whole vectors would reach beyond the last pixel */
        float *copy = scratch + o->scratch_x;
        for (int64_t i = 0; i < pixels; i++)
            memcpy(copy + i * PANEL, (const float *)tile.b + i * tile.b_step, (size_t)columns * sizeof *copy);
        tile.b = copy;
        tile.b_step = PANEL;
    }
    for (int64_t k = 0; k < conv->kernel[0]; k++)
        multiply_kernel_row(o, &in, tile, k, sums + k * conv->kernel[1] * o->in_channels * PANEL);
}

static void multiply_slot(void *user, int64_t index, int thread)
{
    const outer *o = user;
    const nc_conv *conv = o->conv;
    const int64_t parts = conv->groups * o->panels, part = index % parts;
    const int64_t size = o->taps * o->in_channels * PANEL;
    const nc_range images = nc_share(conv->batch, 1, o->slots, index / parts);
    float *sums = o->sums + index * size, *scratch = o->scratch + thread * (o->scratch_x + o->scratch_dy);
    memset(sums, 0, (size_t)size * sizeof *sums);
    memset(scratch + o->scratch_x, 0, (size_t)o->scratch_dy * sizeof *scratch);
    for (int64_t image = images.begin; image < images.end; image++)
        for (int64_t row = 0; row < conv->out[0]; row += o->chunk_rows)
            multiply_chunk(o, image, (nc_range){row, nc_least(row + o->chunk_rows, conv->out[0])}, part / o->panels,
                           part % o->panels * PANEL, scratch, sums);
}

static size_t slots_workspace(const nc_conv *conv, int threads)
{
    outer o;
    set_outer(&o, conv);
    return sizeof(float) * (size_t)(o.slots * nc_conv_slot_floats(conv) + (o.scratch_x + o.scratch_dy) * threads);
}

static void multiply_slots(const nc_conv *conv, const nc_conv_node *node, void *workspace, nacre_team *team)
{
    outer o;
    set_outer(&o, conv);
    o.x = node->x.data;
    o.dy = node->y.data;
    o.sums = workspace;
    o.scratch = o.sums + o.slots * nc_conv_slot_floats(conv);
    nacre_parallel(team, o.slots * conv->groups * o.panels, multiply_slot, &o);
    nc_isa(nc_conv_add_slots)(conv, o.sums, o.slots, node->w.data, team);
}

/* ---- as kernels -------------------------------------------------------------------------------------------------- */

static size_t weights_workspace(const nacre_node_info *info)
{
    const nc_conv conv = nc_conv_problem_of_info(info);
    return slots_workspace(&conv, info->threads);
}

static void run_weights(const nacre_call *call)
{
    const nc_conv_node node = nc_conv_node_of_call(call);
    const nc_conv conv = nc_conv_problem(&node);
    multiply_slots(&conv, &node, call->workspace, call->team);
}

/* The matrix product reads an image once for all outputs. Where its result is scattered, as in the gradient of the
 * input with a stride, it writes that twice, and for the gradient of few inputs' weights it copies more than it saves.
 */
static const char *slower(const nacre_node_info *info)
{
    const nc_conv conv = nc_conv_problem_of_info(info);
    if (conv.kernel[0] * conv.kernel[1] > 1 || conv.in_channels * conv.out_channels < MANY) return NULL;
    const bool scattered = !strcmp(info->op->name, "conv_backward_data") && conv.stride[0] * conv.stride[1] > 1;
    const bool narrow = !strcmp(info->op->name, "conv_backward_weight") && conv.in_channels <= FEW;
    return scattered || narrow ? NULL : "a 1x1 kernel is a matrix product";
}

NC_CORRELATION_KERNELS(direct, DIRECT, nc_conv_direct_refusal, slower)
const nacre_kernel nc_isa(nc_conv_backward_weight_direct_kernel) = {
    .op = "conv_backward_weight",
    .variant = "direct_" NC_ISA_NAME,
    .flags = NACRE_KERNEL_CHANNELS_LAST,
    .can = nc_conv_direct_refusal,
    .slower = slower,
    .workspace = weights_workspace,
    .run = run_weights,
};

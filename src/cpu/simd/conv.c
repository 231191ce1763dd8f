/* cpu/simd/conv.c - direct convolutions of channels-last images, made of register tiles.
 *
 * Forward and backward-data are both a correlation: at each output position, a list of taps (offset in the input,
 * matrix of weights). Forward has one tap per kernel position. The gradient of the input has them mirrored, and with
 * a stride s its positions fall into s * s phases, each with the taps that reach it. A tile takes consecutive
 * positions of an output row against a panel of output channels; one tap is a product over the input channels, and
 * taps that lie side by side in memory are joined into one longer product. No im2col buffer: rows that stick out on
 * the left or right are copied into padded scratch, rows above and below are left out with their taps.
 *
 * The gradient of the weights is, for each kernel row, the product of (kernel column, input channel) x pixels with
 * pixels x output channels, summed over rows of pixels in registers and over images in private copies that are added
 * up in a fixed order. */
#include "cpu/conv.h"
#include "cpu/share.h"
#include "cpu/simd/tile.h"

enum {
    PANEL = NC_TILE_COLUMNS,
#ifdef NACRE_STRESS
    SCRATCH = 1 << 8,
#else
    SCRATCH = 1 << 16,     /* floats of padded rows a task may hold: a quarter of a 1 MB cache */
#endif
};

typedef struct tap {
    int64_t row, column; /* offset of the input position */
    int64_t weight;      /* offset in one [kernel height, kernel width] */
} tap;

typedef struct correlation {
    int64_t batch, groups;
    int64_t in_channels, out_channels; /* of one group */
    int64_t in[2], out[2];
    int64_t step[2]; /* input positions from one output position to the next */
    const float *x;
    float *y;
    int64_t y_image, y_row, y_pixel; /* strides of the output positions */
    int tap_count;
    tap taps[NC_CONV_MAX_TAPS]; /* by row, then by column */
    int64_t low[2], high[2];    /* of the taps' offsets */
    int run;                    /* taps joined into one product */
    const float *packed;        /* [group][panel][tap][input channel][PANEL] */
    const nc_conv_epilogue *epilogue;
    float *scratch;
    int64_t pitch;        /* floats of a padded row; 0: rows are read in place */
    int64_t scratch_size; /* floats for each thread */
    int64_t row_parts, panel_parts;
} correlation;

/* ---- packing of weights ------------------------------------------------------------------------------------------ */

typedef struct weights {
    const correlation *to;
    const float *w;
    int64_t group, out, in; /* strides of w over groups and channels of the correlation's output and input */
    float *packed;
} weights;

static int64_t panels(const correlation *c)
{
    return nc_ceil_div(c->out_channels, PANEL);
}

static int64_t packed_size(int64_t groups, int64_t out_channels, int64_t in_channels, int64_t taps)
{
    return groups * nc_round_up(out_channels, PANEL) * in_channels * taps;
}

static void pack_panel(void *user, int64_t index, int thread)
{
    (void)thread;
    const weights *packing = user;
    const correlation *c = packing->to;
    const int64_t panel = index % panels(c), depth = c->tap_count * c->in_channels;
    const int64_t channels = nc_least(c->out_channels - panel * PANEL, PANEL);
    const float *w = packing->w + index / panels(c) * packing->group + panel * PANEL * packing->out;
    float *packed = packing->packed + index * depth * PANEL;
    if (channels < PANEL) memset(packed, 0, (size_t)(depth * PANEL) * sizeof *packed);
    for (int64_t i = 0; i < c->in_channels; i++)
        for (int64_t o = 0; o < channels; o++)
            for (int t = 0; t < c->tap_count; t++)
                packed[(t * c->in_channels + i) * PANEL + o] =
                    w[o * packing->out + i * packing->in + c->taps[t].weight];
}

/* ---- running a correlation --------------------------------------------------------------------------------------- */

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
static void correlate_row(const correlation *c, nc_tile *tile, const nc_tap *taps, int64_t out_row, int64_t pixel_step)
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
    const correlation *c = user;
    const int64_t tasks = c->row_parts * c->panel_parts, image = index / tasks;
    const nc_range rows = nc_share(c->out[0], 1, c->row_parts, index % tasks / c->panel_parts);
    const nc_range part = nc_share(c->groups * panels(c), 1, c->panel_parts, index % c->panel_parts);
    const int64_t channels = c->in_channels * c->groups;
    const float *x = c->x + image * c->in[0] * c->in[1] * channels;
    int64_t in_row = c->in[1] * channels, first = 0;
    if (c->pitch) {
        const nc_range needed = {nc_most(rows.begin * c->step[0] + c->low[0], 0),
                                 nc_least((rows.end - 1) * c->step[0] + c->high[0] + 1, c->in[0])};
        float *scratch = c->scratch + thread * c->scratch_size;
        copy_padded(x, c->in[1], channels, needed, c->low[1], c->pitch, scratch);
        x = scratch;
        in_row = c->pitch;
        first = needed.begin;
    }
    const int64_t low = c->pitch ? c->low[1] : 0;
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
                    .relu = c->epilogue && c->epilogue->relu};
    for (int64_t p = part.begin; p < part.end; p++) {
        const int64_t group = p / panels(c), channel = p % panels(c) * PANEL;
        const int64_t out_channel = group * c->out_channels + channel;
        tile.b = c->packed + p * c->tap_count * c->in_channels * PANEL;
        tile.columns = nc_least(c->out_channels - channel, PANEL);
        if (c->epilogue && c->epilogue->bias) tile.column_bias = c->epilogue->bias + out_channel;
        for (int64_t row = rows.begin; row < rows.end; row++) {
            const int64_t offset = image * c->y_image + row * c->y_row + out_channel;
            tile.a = x + (row * c->step[0] - first) * in_row + group * c->in_channels;
            tile.c = c->y + offset;
            if (c->epilogue && c->epilogue->residual) tile.residual = c->epilogue->residual + offset;
            correlate_row(c, &tile, taps, row, pixel_step);
        }
    }
}

/* Longest run of taps that are neighbours in memory, the same for all rows of taps; 1 if channels of other groups
 * lie between them. */
static int joined(const correlation *c)
{
    int run = 1;
    while (run < c->tap_count && c->taps[run].row == c->taps[0].row) run++;
    if (c->groups > 1 || c->tap_count == 0 || c->tap_count % run) return 1;
    for (int t = 0; t < c->tap_count; t++) {
        const tap *first = &c->taps[t - t % run];
        if (c->taps[t].row != first->row || c->taps[t].column != first->column + t % run) return 1;
    }
    return run;
}

/* Offsets, runs and the padded row, once the taps are known. */
static void measure(correlation *c)
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
    const int64_t reach = (c->out[1] - 1) * c->step[1] + c->high[1];
    c->pitch =
        c->tap_count && (c->low[1] < 0 || reach >= c->in[1]) ? (reach - c->low[1] + 1) * c->in_channels * c->groups : 0;
}

/* Rows of an image are cut so that the scratch of a part stays small, then further (panels first: they share no
 * work but the copy) until all threads are busy. */
static void cut(correlation *c, int threads)
{
    const int64_t wanted = nc_ceil_div(4 * threads, nc_most(c->batch, 1));
    const int64_t fit = c->pitch ? nc_most((SCRATCH / c->pitch - (c->high[0] - c->low[0])) / c->step[0], 1) : c->out[0];
    c->row_parts = nc_ceil_div(c->out[0], fit);
    c->panel_parts = nc_least(nc_ceil_div(wanted, c->row_parts), c->groups * panels(c));
    if (threads == 1) c->panel_parts = 1;
    if (c->row_parts * c->panel_parts < wanted && threads > 1)
        c->row_parts = nc_least(nc_ceil_div(wanted, c->panel_parts), c->out[0]);
    const int64_t rows = nc_ceil_div(c->out[0], c->row_parts);
    c->scratch_size = nc_round_up(c->pitch * ((rows - 1) * c->step[0] + c->high[0] - c->low[0] + 1), 16);
}

static void correlate(correlation *c, weights *packing, nacre_team *team)
{
    if (c->out[0] <= 0 || c->out[1] <= 0) return;
    packing->to = c;
    nacre_parallel(team, c->groups * panels(c), pack_panel, packing);
    c->packed = packing->packed;
    nacre_parallel(team, c->batch * c->row_parts * c->panel_parts, correlate_part, c);
}

/* ---- forward ----------------------------------------------------------------------------------------------------- */

static void set_forward(correlation *c, const nc_conv *conv, int threads)
{
    *c = (correlation){.batch = conv->batch,
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
            c->taps[c->tap_count++] = (tap){.row = k * conv->dilation[0] - conv->pad[0],
                                            .column = l * conv->dilation[1] - conv->pad[1],
                                            .weight = k * conv->kernel[1] + l};
    c->y_pixel = conv->out_channels;
    c->y_row = conv->out[1] * c->y_pixel;
    c->y_image = conv->out[0] * c->y_row;
    measure(c);
    cut(c, threads);
}

size_t nc_isa(nc_conv_forward_workspace)(const nc_conv *conv, int threads)
{
    correlation c;
    set_forward(&c, conv, threads);
    return sizeof(float) *
           (size_t)(packed_size(c.groups, c.out_channels, c.in_channels, c.tap_count) + c.scratch_size * threads);
}

void nc_isa(nc_conv_forward)(const nc_conv *conv, const float *x, const float *w, float *y,
                             const nc_conv_epilogue *epilogue, void *workspace, nacre_team *team)
{
    correlation c;
    set_forward(&c, conv, nacre_team_size(team));
    c.x = x;
    c.y = y;
    c.epilogue = epilogue;
    const int64_t taps = c.tap_count;
    weights packing = {.w = w, .in = taps, .out = c.in_channels * taps, .group = c.out_channels * c.in_channels * taps};
    packing.packed = workspace;
    c.scratch = packing.packed + packed_size(c.groups, c.out_channels, c.in_channels, taps);
    correlate(&c, &packing, team);
}

/* ---- gradient of the input --------------------------------------------------------------------------------------- */

/* The taps along one axis that reach positions phase, phase + stride, ... of the input, by ascending offset. */
static int reaching(const nc_conv *conv, int axis, int64_t phase, tap *taps)
{
    int count = 0;
    for (int64_t k = conv->kernel[axis] - 1; k >= 0; k--) {
        const int64_t distance = phase + conv->pad[axis] - k * conv->dilation[axis];
        if (distance % conv->stride[axis] == 0)
            taps[count++] = (tap){.row = distance / conv->stride[axis], .weight = k};
    }
    return count;
}

static void set_phase(correlation *c, const nc_conv *conv, int64_t row, int64_t column, int threads)
{
    *c = (correlation){.batch = conv->batch,
                       .groups = conv->groups,
                       .in_channels = conv->out_channels / conv->groups,
                       .out_channels = conv->in_channels / conv->groups,
                       .step = {1, 1}};
    const int64_t phase[2] = {row, column};
    for (int i = 0; i < 2; i++) {
        c->in[i] = conv->out[i];
        c->out[i] = nc_ceil_div(conv->in[i] - phase[i], conv->stride[i]);
    }
    tap rows[NC_CONV_MAX_TAPS], columns[NC_CONV_MAX_TAPS];
    const int row_count = reaching(conv, 0, row, rows), column_count = reaching(conv, 1, column, columns);
    for (int i = 0; i < row_count; i++)
        for (int j = 0; j < column_count; j++)
            c->taps[c->tap_count++] = (tap){.row = rows[i].row,
                                            .column = columns[j].row,
                                            .weight = rows[i].weight * conv->kernel[1] + columns[j].weight};
    c->y_pixel = conv->stride[1] * conv->in_channels;
    c->y_row = conv->stride[0] * conv->in[1] * conv->in_channels;
    c->y_image = conv->in[0] * conv->in[1] * conv->in_channels;
    measure(c);
    cut(c, threads);
}

static int64_t packed_size_backward(const nc_conv *conv)
{
    return packed_size(conv->groups, conv->in_channels / conv->groups, conv->out_channels / conv->groups,
                       conv->kernel[0] * conv->kernel[1]);
}

size_t nc_isa(nc_conv_backward_data_workspace)(const nc_conv *conv, int threads)
{
    int64_t scratch = 0;
    correlation c;
    for (int64_t row = 0; row < nc_least(conv->stride[0], conv->in[0]); row++)
        for (int64_t column = 0; column < nc_least(conv->stride[1], conv->in[1]); column++) {
            set_phase(&c, conv, row, column, threads);
            scratch = nc_most(scratch, c.scratch_size);
        }
    return sizeof(float) * (size_t)(packed_size_backward(conv) + scratch * threads);
}

void nc_isa(nc_conv_backward_data)(const nc_conv *conv, const float *dy, const float *w, float *dx,
                                   const nc_conv_epilogue *epilogue, void *workspace, nacre_team *team)
{
    const int64_t taps = conv->kernel[0] * conv->kernel[1];
    correlation c;
    for (int64_t row = 0; row < nc_least(conv->stride[0], conv->in[0]); row++)
        for (int64_t column = 0; column < nc_least(conv->stride[1], conv->in[1]); column++) {
            set_phase(&c, conv, row, column, nacre_team_size(team));
            const int64_t offset = (row * conv->in[1] + column) * conv->in_channels;
            nc_conv_epilogue shifted = {0};
            if (epilogue) shifted = *epilogue;
            if (shifted.residual) shifted.residual += offset;
            c.x = dy;
            c.y = dx + offset;
            c.epilogue = &shifted;
            weights packing = {
                .w = w, .out = taps, .in = c.out_channels * taps, .group = c.out_channels * c.in_channels * taps};
            packing.packed = workspace;
            c.scratch = packing.packed + packed_size_backward(conv);
            correlate(&c, &packing, team);
        }
}

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
    float *dw;
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
    const int64_t size = packed_size(conv->groups, o->out_channels, o->in_channels, o->taps);
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

/* Adds up the slots of one panel and writes it in the order O,I,H,W. */
static void add_slots(void *user, int64_t index, int thread)
{
    (void)thread;
    const outer *o = user;
    const int64_t depth = o->taps * o->in_channels, panel = index % o->panels * PANEL;
    const int64_t channels = nc_least(o->out_channels - panel, PANEL);
    float *total = o->sums + index * depth * PANEL;
    for (int64_t slot = 1; slot < o->slots; slot++) {
        const float *sums = total + slot * o->conv->groups * o->panels * depth * PANEL;
        for (int64_t i = 0; i < depth * PANEL; i += NC_LANES)
            nc_store(total + i, nc_load(total + i) + nc_load(sums + i));
    }
    float *dw = o->dw + (index / o->panels * o->out_channels + panel) * depth;
    for (int64_t c = 0; c < channels; c++)
        for (int64_t i = 0; i < o->in_channels; i++)
            for (int64_t t = 0; t < o->taps; t++)
                dw[c * depth + i * o->taps + t] = total[(t * o->in_channels + i) * PANEL + c];
}

size_t nc_isa(nc_conv_backward_weights_workspace)(const nc_conv *conv, int threads)
{
    outer o;
    set_outer(&o, conv);
    return sizeof(float) * (size_t)(o.slots * packed_size(conv->groups, o.out_channels, o.in_channels, o.taps) +
                                    (o.scratch_x + o.scratch_dy) * threads);
}

void nc_isa(nc_conv_backward_weights)(const nc_conv *conv, const float *x, const float *dy, float *dw, void *workspace,
                                      nacre_team *team)
{
    outer o;
    set_outer(&o, conv);
    o.x = x;
    o.dy = dy;
    o.dw = dw;
    o.sums = workspace;
    o.scratch = o.sums + o.slots * packed_size(conv->groups, o.out_channels, o.in_channels, o.taps);
    nacre_parallel(team, o.slots * conv->groups * o.panels, multiply_slot, &o);
    nacre_parallel(team, conv->groups * o.panels, add_slots, &o);
}

/* ---- as kernels -------------------------------------------------------------------------------------------------- */

static nc_conv_node read_call(const nacre_call *call)
{
    return nc_conv_node_read(call->op, call->attributes, call->inputs, call->input_count, &call->outputs[0]);
}

static nc_conv problem_of(const nacre_node_info *info)
{
    const nc_conv_node node =
        nc_conv_node_read(info->op, info->attributes, info->inputs, info->input_count, &info->outputs[0]);
    return nc_conv_problem(&node);
}

static size_t forward_workspace(const nacre_node_info *info)
{
    const nc_conv conv = problem_of(info);
    return nc_isa(nc_conv_forward_workspace)(&conv, info->threads);
}

static void run_forward(const nacre_call *call)
{
    const nc_conv_node node = read_call(call);
    const nc_conv conv = nc_conv_problem(&node);
    const nc_conv_epilogue epilogue = {.bias = node.bias, .residual = node.residual, .relu = node.relu};
    nc_isa(nc_conv_forward)(&conv, node.x.data, node.w.data, node.y.data, &epilogue, call->workspace, call->team);
}

static size_t backward_data_workspace(const nacre_node_info *info)
{
    const nc_conv conv = problem_of(info);
    return nc_isa(nc_conv_backward_data_workspace)(&conv, info->threads);
}

static void run_backward_data(const nacre_call *call)
{
    const nc_conv_node node = read_call(call);
    const nc_conv conv = nc_conv_problem(&node);
    nc_isa(nc_conv_backward_data)(&conv, node.y.data, node.w.data, node.x.data, NULL, call->workspace, call->team);
}

static size_t backward_weights_workspace(const nacre_node_info *info)
{
    const nc_conv conv = problem_of(info);
    return nc_isa(nc_conv_backward_weights_workspace)(&conv, info->threads);
}

static void run_backward_weights(const nacre_call *call)
{
    const nc_conv_node node = read_call(call);
    const nc_conv conv = nc_conv_problem(&node);
    nc_isa(nc_conv_backward_weights)(&conv, node.x.data, node.y.data, node.w.data, call->workspace, call->team);
}

const nacre_kernel nc_isa(nc_conv_kernel) = {
    .op = "conv",
    .variant = "direct_" NC_ISA_NAME,
    .flags = NACRE_KERNEL_CHANNELS_LAST,
    .can = nc_conv_direct_refusal,
    .workspace = forward_workspace,
    .run = run_forward,
};
const nacre_kernel nc_isa(nc_conv_backward_data_kernel) = {
    .op = "conv_backward_data",
    .variant = "direct_" NC_ISA_NAME,
    .flags = NACRE_KERNEL_CHANNELS_LAST,
    .can = nc_conv_direct_refusal,
    .workspace = backward_data_workspace,
    .run = run_backward_data,
};
const nacre_kernel nc_isa(nc_conv_backward_weight_kernel) = {
    .op = "conv_backward_weight",
    .variant = "direct_" NC_ISA_NAME,
    .flags = NACRE_KERNEL_CHANNELS_LAST,
    .can = nc_conv_direct_refusal,
    .workspace = backward_weights_workspace,
    .run = run_backward_weights,
};

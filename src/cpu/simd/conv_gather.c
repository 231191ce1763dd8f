/* cpu/simd/conv_gather.c - convolutions of channels-last images as matrix products whose packing gathers the patches.
 *
 * Some output positions - from as many rows and images as it takes to fill the tiles - are worked on at a time, and the
 * inner dimension (taps x input channels) in slices:
 *
 *     for each slice
 *         copy the slice of each position's patch into scratch        stays in the second-level cache
 *         for each panel of output channels                           its slice of weights streams through once
 *             for each few positions: one register tile
 *
 * A copied number takes part in one multiplication per output channel, so the copy is a few per cent of the work; no
 * matrix of patches ever exists as a whole (Chetlur et al., "cuDNN: Efficient Primitives for Deep Learning", 2014). The
 * patches of a 1x1 kernel of stride 1 lie in the image as the tiles want them and are read where they are. The gradient
 * of the weights gathers in the same way: its tiles are lines of patches against output channels, summed over
 * positions.
 *
 * What the next block will read is fetched into the second-level cache while this one is multiplied. */
#include "cpu/simd/correlation.h"

enum {
    PANEL = NC_TILE_COLUMNS,
#ifdef NACRE_STRESS
    DEPTH = 7,
    ROWS = 2 * NC_TILE_ROWS,
    BLOCKS = 2,
    STEPS = 5,
    LINES = 2 * NC_TILE_ROWS,
    SUMS = LINES * PANEL,
    MOST_OUTPUTS = 2 * PANEL,
#else
    DEPTH = 24 * 1024 / (NC_TILE_ROWS * sizeof(float)), /* of a slice */
    ROWS = 112 / NC_TILE_ROWS * NC_TILE_ROWS,           /* positions of a block */
    BLOCKS = 8,                                         /* most blocks of a task */
    STEPS = 128,                                        /* positions whose patches a task for the weights holds */
    LINES = 448 / NC_TILE_ROWS * NC_TILE_ROWS,          /* of patches that such a task takes */
    SUMS = LINES * 128,                                 /* of such a task: a quarter of the second-level cache */
    MOST_OUTPUTS = 512 / PANEL * PANEL,                 /* of its output channels */
#endif
    LINE = 16,            /* floats of a cache line */
    MOST_FETCHED = 256,   /* lines a tile fetches for the block after it */
    MOST_IN_PLACE = 1024, /* floats of a pixel; rows so far apart meet in one set of the first-level cache */
};

/* Floats from one gathered patch to the next: an odd number of cache lines, so that they do not meet in one set. */
static int64_t pitch_of(int64_t depth)
{
    return nc_round_up(depth, 32) + 16;
}

static void copy_floats(float *to, const float *from, int64_t count)
{
    for (; count >= NC_LANES; count -= NC_LANES, to += NC_LANES, from += NC_LANES) nc_store(to, nc_load(from));
    if (count > 0) nc_store_some(to, nc_load_some(from, count), count);
}

static void zero_floats(float *to, int64_t count)
{
    for (; count >= NC_LANES; count -= NC_LANES, to += NC_LANES) nc_store(to, (nc_vec){0});
    if (count > 0) nc_store_some(to, (nc_vec){0}, count);
}

/* Rows that will be read soon. */
typedef struct upcoming {
    const float *from;
    int64_t pitch, rows, lines; /* floats from row to row, cache lines of a row */
    int64_t row, line;          /* the next to fetch */
} upcoming;

/* The next `most` lines or fewer; returns how many. */
static int64_t list_lines(upcoming *u, int64_t most, const char *lines[])
{
    int64_t count = 0;
    while (count < most && u->row < u->rows) {
        lines[count++] = (const char *)(u->from + u->row * u->pitch + u->line * LINE);
        if (++u->line < u->lines) continue;
        u->line = 0;
        u->row++;
    }
    return count;
}

/* ---- patches ----------------------------------------------------------------------------------------------------- */

typedef struct position {
    int64_t image, row, column;
} position;

static position position_of(const nc_correlation *c, int64_t index)
{
    const int64_t within = index % (c->out[0] * c->out[1]);
    return (position){index / (c->out[0] * c->out[1]), within / c->out[1], within % c->out[1]};
}

static void advance(const nc_correlation *c, position *at)
{
    if (++at->column < c->out[1]) return;
    at->column = 0;
    if (++at->row < c->out[0]) return;
    at->row = 0;
    at->image++;
}

/* Part `part` of one run of taps at an input position: `length` floats from there on, where they lie inside. */
static void copy_run(const nc_correlation *c, const float *image, int64_t row, int64_t column, nc_range part, float *to)
{
    const int64_t channels = c->in_channels * c->groups, size = c->run * c->in_channels;
    nc_range inside = {0, 0};
    if (row >= 0 && row < c->in[0])
        inside = (nc_range){nc_least(nc_most(-column, 0), c->run) * c->in_channels,
                            nc_most(nc_least(c->in[1] - column, c->run), 0) * c->in_channels};
    inside.begin = nc_least(nc_most(inside.begin, part.begin), part.end);
    inside.end = nc_most(nc_least(inside.end, nc_least(part.end, size)), inside.begin);
    zero_floats(to, inside.begin - part.begin);
    copy_floats(to + inside.begin - part.begin, image + (row * c->in[1] + column) * channels + inside.begin,
                inside.end - inside.begin);
    zero_floats(to + inside.end - part.begin, part.end - inside.end);
}

/* The slice of the patches of positions [first, first + count). */
static void gather(const nc_correlation *c, int64_t group, int64_t first, int64_t count, nc_range slice, float *to)
{
    const int64_t size = c->run * c->in_channels, pitch = pitch_of(slice.end - slice.begin);
    const int64_t image = c->in[0] * c->in[1] * c->in_channels * c->groups;
    position at = position_of(c, first);
    for (int64_t i = 0; i < count; i++, to += pitch, advance(c, &at)) {
        const float *x = c->x + at.image * image + group * c->in_channels;
        float *next = to;
        for (int64_t k = slice.begin; k < slice.end;) {
            const nc_correlation_tap *tap = &c->taps[k / size * c->run];
            const nc_range part = {k % size, nc_least(size, k % size + slice.end - k)};
            copy_run(c, x, at.row * c->step[0] + tap->row, at.column * c->step[1] + tap->column, part, next);
            next += part.end - part.begin;
            k += part.end - part.begin;
        }
    }
}

/* Whether the patch of a position is its pixel. */
static bool is_pixelwise(const nc_correlation *c)
{
    return c->tap_count == 1 && !c->taps[0].row && !c->taps[0].column && c->step[0] == 1 && c->step[1] == 1 &&
           c->in[0] == c->out[0] && c->in[1] == c->out[1];
}

/* ---- forward and gradient of the input --------------------------------------------------------------------------- */

typedef struct product {
    const nc_correlation *c;
    float *scratch;
    bool in_place;               /* patches are read where they are */
    int64_t thread_floats, sums; /* floats of scratch; of it, for results that are not dense in y */
    int64_t positions, tasks, blocks, panel_parts, slices;
} product;

static bool is_dense(const nc_correlation *c)
{
    return c->y_row == c->out[1] * c->y_pixel && c->y_image == c->out[0] * c->y_row;
}

static product cut(const nc_correlation *c, int threads)
{
    product p = {.c = c, .positions = c->batch * c->out[0] * c->out[1]};
    const int64_t most = nc_ceil_div(p.positions, NC_TILE_ROWS), depth = nc_correlation_depth(c);
    p.in_place = is_pixelwise(c) && c->in_channels * c->groups % MOST_IN_PLACE && depth < MOST_IN_PLACE;
    p.blocks = nc_most(nc_ceil_div(p.positions, ROWS), 1);
    p.panel_parts = nc_least(nc_ceil_div(threads, p.blocks), nc_correlation_panels(c));
    if (p.panel_parts == 1 && p.blocks < 4 * threads)
        p.blocks = nc_most(nc_least(nc_round_up(p.blocks, threads), most), 1);
    p.tasks = nc_most(nc_ceil_div(p.blocks, BLOCKS), nc_least(p.blocks, 4 * threads));
    p.slices = p.in_place ? 1 : nc_most(nc_ceil_div(depth, DEPTH), 1);
    if (!is_dense(c)) p.sums = ROWS * nc_round_up(c->out_channels, 16);
    p.thread_floats = (p.in_place ? LINE : ROWS * pitch_of(DEPTH)) + p.sums; /* never none: it has an address */
    return p;
}

static int64_t product_scratch(const nc_correlation *c, int threads)
{
    return cut(c, threads).thread_floats * threads;
}

/* The slice of a block's patches against one panel of output channels; `share` lines are fetched for each tile. */
static void multiply_panel(const nc_tile *panel, int64_t count, int64_t pitch, upcoming *next, int64_t share)
{
    const int64_t parts = nc_ceil_div(count, NC_TILE_ROWS);
    const char *lines[MOST_FETCHED];
    nc_tile tile = *panel;
    tile.reads = lines;
    for (int64_t part = 0; part < parts; part++) {
        const nc_range rows = nc_share(count, 1, parts, part);
        const int64_t offset = rows.begin * tile.c_row;
        tile.a = (const float *)panel->a + rows.begin * pitch;
        tile.c = (float *)panel->c + offset;
        if (panel->residual) tile.residual = (const float *)panel->residual + offset;
        tile.read_count = list_lines(next, nc_least(share, MOST_FETCHED), lines);
        nc_isa(nc_tiles_f32)[NC_TILE_STEPS_CONTIGUOUS][rows.end - rows.begin - 1][tile.columns > NC_LANES](&tile);
    }
}

/* Rows of sums to positions that lie apart. */
static void scatter(const product *p, int64_t group, nc_range rows, nc_range channels, const float *sums)
{
    const nc_correlation *c = p->c;
    const int64_t pitch = p->sums / ROWS;
    position at = position_of(c, rows.begin);
    for (int64_t i = rows.begin; i < rows.end; i++, sums += pitch, advance(c, &at))
        copy_floats(c->y + at.image * c->y_image + at.row * c->y_row + at.column * c->y_pixel +
                        group * c->out_channels + channels.begin,
                    sums + channels.begin, channels.end - channels.begin);
}

/* Positions `rows` of a group against some panels. */
static void multiply_block(const product *p, int64_t group, nc_range rows, nc_range panels, upcoming *next,
                           float *patches)
{
    const nc_correlation *c = p->c;
    const nc_tap origin = {0, 0};
    const int64_t depth = nc_correlation_depth(c), count = rows.end - rows.begin;
    const int64_t tiles = p->slices * (panels.end - panels.begin) * nc_ceil_div(count, NC_TILE_ROWS);
    const int64_t share = nc_ceil_div(next->rows * next->lines, nc_most(tiles, 1));
    float *sums = patches + p->thread_floats - p->sums;
    for (int64_t s = 0; s < p->slices; s++) {
        const nc_range slice = nc_share(depth, 1, p->slices, s);
        const int64_t pitch = p->in_place ? c->in_channels * c->groups : pitch_of(slice.end - slice.begin);
        nc_tile tile = {.a = patches,
                        .a_row = pitch,
                        .a_step = 1,
                        .b_step = PANEL,
                        .taps = &origin,
                        .tap_count = 1,
                        .steps = slice.end - slice.begin,
                        .c_row = p->sums ? p->sums / ROWS : c->y_pixel,
                        .accumulate = s > 0,
                        .fetch_below = !p->sums};
        if (p->in_place)
            tile.a = c->x + rows.begin * pitch + group * c->in_channels;
        else
            gather(c, group, rows.begin, count, slice, patches);
        for (int64_t panel = panels.begin; panel < panels.end; panel++) {
            const int64_t channel = panel * PANEL, out = group * c->out_channels + channel;
            tile.b = c->packed + (group * nc_correlation_panels(c) + panel) * depth * PANEL + slice.begin * PANEL;
            tile.columns = nc_least(c->out_channels - channel, PANEL);
            tile.c = p->sums ? sums + channel : c->y + rows.begin * c->y_pixel + out;
            if (s == p->slices - 1) {
                if (c->epilogue->bias) tile.column_bias = c->epilogue->bias + out;
                if (c->epilogue->residual) tile.residual = c->epilogue->residual + rows.begin * c->y_pixel + out;
                tile.relu = c->epilogue->relu;
                tile.ceiling = c->epilogue->ceiling;
            }
            multiply_panel(&tile, count, pitch, next, share);
        }
    }
    if (p->sums)
        scatter(p, group, rows, (nc_range){panels.begin * PANEL, nc_least(panels.end * PANEL, c->out_channels)}, sums);
}

static void multiply_blocks(void *user, int64_t index, int thread)
{
    const product *p = user;
    const nc_correlation *c = p->c;
    const int64_t group = index / p->panel_parts / p->tasks, pixel = c->in_channels * c->groups;
    const nc_range blocks = nc_share(p->blocks, 1, p->tasks, index / p->panel_parts % p->tasks);
    const nc_range panels = nc_share(nc_correlation_panels(c), 1, p->panel_parts, index % p->panel_parts);
    for (int64_t block = blocks.begin; block < blocks.end; block++) {
        const nc_range rows = nc_share(p->positions, 1, p->blocks, block);
        upcoming next = {.from = c->x + rows.end * pixel + group * c->in_channels,
                         .pitch = pixel,
                         .lines = nc_ceil_div(c->in_channels, LINE)};
        if (is_pixelwise(c) && block + 1 < blocks.end)
            next.rows = nc_share(p->positions, 1, p->blocks, block + 1).end - rows.end;
        multiply_block(p, group, rows, panels, &next, p->scratch + thread * p->thread_floats);
    }
}

static void multiply(const nc_correlation *c, float *scratch, nacre_team *team)
{
    product p = cut(c, nacre_team_size(team));
    p.scratch = scratch;
    nacre_parallel(team, c->groups * p.tasks * p.panel_parts, multiply_blocks, &p);
}

static const nc_correlator GATHER = {nc_isa(nc_correlation_panel_floats), nc_isa(nc_correlation_pack_panels),
                                     product_scratch, multiply};

/* ---- gradient of the weights ------------------------------------------------------------------------------------- */

enum { LEAST_TASKS = 16, MAX_SLOTS = 16 };

/* A task takes some lines of patches and some panels of outputs, which no other task of its slot touches. Slots share
 * the positions where there are few such parts; their number depends on the sizes alone, and so does every sum. */
typedef struct outer {
    nc_correlation c; /* the forward convolution; x is its input */
    const float *dy;
    float *sums, *scratch;
    int64_t positions, lines, line_parts, output_parts, slots, slot_floats, thread_floats;
    int64_t outputs; /* most output channels of a part */
} outer;

static outer outer_of(const nc_conv *conv)
{
    outer o = {.slot_floats = nc_conv_slot_floats(conv)};
    nc_isa(nc_correlation_forward)(&o.c, conv);
    o.lines = nc_correlation_depth(&o.c);
    o.positions = o.c.batch * o.c.out[0] * o.c.out[1];
    o.line_parts = nc_most(nc_ceil_div(o.lines, LINES), 1);
    const int64_t part = nc_ceil_div(o.lines, o.line_parts) + NC_TILE_ROWS;
    o.outputs = nc_least(nc_most(SUMS / part / PANEL, 1) * PANEL, MOST_OUTPUTS);
    o.output_parts = nc_ceil_div(o.c.out_channels, o.outputs);
    const int64_t tasks = nc_most(o.c.groups * o.line_parts * o.output_parts, 1);
    o.slots = nc_most(nc_least(nc_least(nc_ceil_div(LEAST_TASKS, tasks), MAX_SLOTS), o.positions / (2 * STEPS)), 1);
    o.thread_floats = STEPS * (pitch_of(LINES) + o.outputs);
    return o;
}

/* Output channels of positions, panel by panel: [panel][position][PANEL], zero beyond the last channel. */
static void pack_gradient(const outer *o, int64_t group, nc_range outputs, int64_t first, int64_t count, float *to)
{
    const int64_t channels = o->c.out_channels * o->c.groups;
    for (int64_t output = outputs.begin; output < outputs.end; output += PANEL)
        for (int64_t i = 0; i < count; i++, to += PANEL) {
            const float *from = o->dy + (first + i) * channels + group * o->c.out_channels + output;
            const int64_t lanes = nc_least(outputs.end - output, PANEL);
            copy_floats(to, from, lanes);
            zero_floats(to + lanes, PANEL - lanes);
        }
}

static void add_products(const outer *o, nc_range lines, int64_t panels, int64_t count, const float *patches,
                         const float *gradients, float *sums, upcoming next[2])
{
    const nc_tap origin = {0, 0};
    const int64_t parts = nc_ceil_div(lines.end - lines.begin, NC_TILE_ROWS), tiles = nc_most(parts * panels, 1);
    const int64_t shares[] = {nc_ceil_div(next[0].rows * next[0].lines, tiles),
                              nc_ceil_div(next[1].rows * next[1].lines, tiles)};
    const char *lines_ahead[MOST_FETCHED];
    nc_tile tile = {.a_row = 1,
                    .a_step = pitch_of(lines.end - lines.begin),
                    .b_step = PANEL,
                    .taps = &origin,
                    .tap_count = 1,
                    .steps = count,
                    .c_row = PANEL,
                    .columns = PANEL,
                    .accumulate = true,
                    .reads = lines_ahead};
    for (int64_t part = 0; part < parts; part++) {
        const nc_range rows = nc_share(lines.end - lines.begin, 1, parts, part);
        for (int64_t panel = 0; panel < panels; panel++) {
            tile.a = patches + rows.begin;
            tile.b = gradients + panel * count * PANEL;
            tile.c = sums + (panel * o->lines + lines.begin + rows.begin) * PANEL;
            tile.read_count = 0;
            for (int i = 0; i < 2; i++)
                tile.read_count +=
                    list_lines(&next[i], nc_least(shares[i], MOST_FETCHED / 2), lines_ahead + tile.read_count);
            nc_isa(nc_tiles_f32)[NC_TILE_ROWS_CONTIGUOUS][rows.end - rows.begin - 1][NC_TILE_VECTORS - 1](&tile);
        }
    }
}

/* What the next steps read: of the input, where it is plain to see, and of the gradient. */
static void look_ahead(const outer *o, int64_t group, nc_range lines, nc_range outputs, nc_range positions,
                       upcoming next[2])
{
    const nc_correlation *c = &o->c;
    const int64_t in_pitch = c->in_channels * c->groups, out_pitch = c->out_channels * c->groups;
    const int64_t rows = positions.end - positions.begin;
    next[0] = (upcoming){.from = c->x + positions.begin * in_pitch + group * c->in_channels + lines.begin,
                         .pitch = in_pitch,
                         .rows = is_pixelwise(c) ? rows : 0,
                         .lines = nc_ceil_div(lines.end - lines.begin, LINE)};
    next[1] = (upcoming){.from = o->dy + positions.begin * out_pitch + group * c->out_channels + outputs.begin,
                         .pitch = out_pitch,
                         .rows = rows,
                         .lines = nc_ceil_div(outputs.end - outputs.begin, LINE)};
}

static void multiply_part(void *user, int64_t index, int thread)
{
    const outer *o = user;
    const int64_t all_panels = nc_correlation_panels(&o->c), slot = index % o->slots;
    const int64_t output_part = index / o->slots % o->output_parts;
    const int64_t line_part = index / o->slots / o->output_parts % o->line_parts;
    const int64_t group = index / o->slots / o->output_parts / o->line_parts;
    const nc_range lines = nc_share(o->lines, NC_TILE_ROWS, o->line_parts, line_part);
    const nc_range panels = nc_share(all_panels, 1, o->output_parts, output_part);
    const nc_range outputs = {panels.begin * PANEL, nc_least(panels.end * PANEL, o->c.out_channels)};
    const nc_range positions = nc_share(o->positions, 1, o->slots, slot);
    float *patches = o->scratch + thread * o->thread_floats, *gradients = patches + STEPS * pitch_of(LINES);
    float *sums = o->sums + slot * o->slot_floats + (group * all_panels + panels.begin) * o->lines * PANEL;
    for (int64_t p = 0; p < panels.end - panels.begin; p++)
        memset(sums + (p * o->lines + lines.begin) * PANEL, 0,
               (size_t)((lines.end - lines.begin) * PANEL) * sizeof *sums);
    for (int64_t at = positions.begin; at < positions.end; at += STEPS) {
        const int64_t count = nc_least(STEPS, positions.end - at);
        gather(&o->c, group, at, count, lines, patches);
        pack_gradient(o, group, outputs, at, count, gradients);
        upcoming next[2];
        look_ahead(o, group, lines, outputs, (nc_range){at + count, nc_least(at + count + STEPS, positions.end)}, next);
        add_products(o, lines, panels.end - panels.begin, count, patches, gradients, sums, next);
    }
}

static size_t weights_workspace(const nacre_node_info *info)
{
    const nc_conv conv = nc_conv_problem_of_info(info);
    const outer o = outer_of(&conv);
    return sizeof(float) * (size_t)(o.slots * o.slot_floats + info->threads * o.thread_floats);
}

static void run_weights(const nacre_call *call)
{
    const nc_conv_node node = nc_conv_node_of_call(call);
    const nc_conv conv = nc_conv_problem(&node);
    outer o = outer_of(&conv);
    o.c.x = node.x.data;
    o.dy = node.y.data;
    o.sums = call->workspace;
    o.scratch = o.sums + o.slots * o.slot_floats;
    nacre_parallel(call->team, o.c.groups * o.line_parts * o.output_parts * o.slots, multiply_part, &o);
    nc_isa(nc_conv_add_slots)(&conv, o.sums, o.slots, node.w.data, call->team);
}

/* ---- as kernels -------------------------------------------------------------------------------------------------- */

NC_CORRELATION_KERNELS(gather, GATHER, nc_conv_direct_refusal, NULL)
const nacre_kernel nc_isa(nc_conv_backward_weight_gather_kernel) = {
    .op = "conv_backward_weight",
    .variant = "gather_" NC_ISA_NAME,
    .flags = NACRE_KERNEL_CHANNELS_LAST,
    .can = nc_conv_direct_refusal,
    .workspace = weights_workspace,
    .run = run_weights,
};

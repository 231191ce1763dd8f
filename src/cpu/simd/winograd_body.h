/* cpu/simd/winograd_body.h - the text of F(OUT x OUT, 3x3): 3x3 convolutions of stride 1 with fewer multiplications.
 *
 * OUT by OUT outputs of a channel pair are  A' [ (G w G') . (B' x B) ] A  with a patch x of SIDE = OUT + 2 lines
 * (Winograd; Lavin and Gray, "Fast algorithms for convolutional neural networks", 2016). So a convolution becomes, for
 * each of the SIDE * SIDE places of the transformed patch, one matrix product [tiles x inputs] [inputs x outputs], done
 * with register tiles on as many tiles as fit into the second-level cache.
 *
 * The product is bilinear, so its adjoints use the same matrices: the gradient of x is a convolution with the mirrored
 * weights, and the gradient of w is  G' [ sum over tiles of (A dy A') . (B' x B) ] G.
 *
 * The file that includes this one defines OUT, the matrices - transform_input, transform_output, transform_gradient,
 * transform_weights, restore_weights, each for one line -, the kernels' NAME and LEAST_CHANNELS.
 *
 * How exact it is. Along one axis  y = A' [ (G w) . (B' x) ],  and what is rounded on the way is at most the same
 * expression with absolute values everywhere. With u = 2^-24, sums of C products (C: input channels; for the gradient
 * of the weights tiles) and at most a, b, g roundings in a line of A', B' and G, a result has R = 2 (a + b + g) + C of
 * them one after the other, so that to first order, for |x| <= X and |w| <= W,
 *
 *     |error| <= u R K^2 C X W,    K = largest line of  |A'| [ (|G| 1) . (|B'| 1) ];    direct: u (9 C) 9 C X W.
 *
 * That is the worst case. Independent roundings add up like a random walk: on random data, relative to the root mean
 * square of the results,
 *
 *     error ~ (u / sqrt 3) (S^2 / 3) sqrt(C / 2 + 2 (a + b + g)),    S^2 = largest line of  A'^2 [ (G^2 1) . (B'^2 1) ]
 *
 * with the squares taken element by element; direct: (u / sqrt 3) sqrt(9 C / 2). The largest of many errors is about
 * five times that, the largest result at least three times its root mean square. K, S and the roundings stand beside
 * the matrices. */
#include "cpu/simd/correlation.h"

enum {
    PLACES = SIDE * SIDE,
    PANEL = NC_TILE_COLUMNS,
    PAD = NC_LANES,   /* floats between tiles, so that their rows do not meet in one set of the cache */
    LEAST_TILES = 12, /* of all images; with fewer, reading the transformed weights costs more */
#ifdef NACRE_STRESS
    CHUNK_FLOATS = 1 << 12,
    SHARED_FLOATS = 1 << 13,
    SHARED_WEIGHTS = 1 << 12,
    SHARED_GRADIENTS = 1 << 13,
    SLOT_FLOATS = 1 << 11,
    MAX_SLOTS = 3,
#else
    CHUNK_FLOATS = 1 << 17,     /* of transformed tiles: half of a 1 MB cache */
    SHARED_FLOATS = 1 << 21,    /* of transformed tiles that all threads work on together */
    SHARED_WEIGHTS = 1 << 22,   /* more transformed weights than that are read once for all threads */
    SHARED_GRADIENTS = 1 << 22, /* as SHARED_FLOATS, for the gradient of the weights, whose sums are read each time */
    SLOT_FLOATS = 1 << 18,      /* most of one private copy of the transformed weights' gradient */
    MAX_SLOTS = 16,
#endif
    MOST_SUMS = 1 << 24, /* floats of the transformed weights' gradient */
    RESTORED = 16,       /* input channels whose weights' gradients a task restores */
};

/* Applies a transform to the columns and then to the rows of a square: [from][from] -> [to][to]. */
#define TWO_SIDED(name, line, from, to)                                                                                \
    NC_ALWAYS_INLINE void name(nc_vec in[from][from], nc_vec out[to][to])                                              \
    {                                                                                                                  \
        nc_vec half[to][from];                                                                                         \
        NC_UNROLL                                                                                                      \
        for (int j = 0; j < from; j++) {                                                                               \
            nc_vec column[from], transformed[to];                                                                      \
            NC_UNROLL                                                                                                  \
            for (int i = 0; i < from; i++) column[i] = in[i][j];                                                       \
            line(column, transformed);                                                                                 \
            NC_UNROLL                                                                                                  \
            for (int i = 0; i < to; i++) half[i][j] = transformed[i];                                                  \
        }                                                                                                              \
        NC_UNROLL                                                                                                      \
        for (int i = 0; i < to; i++) line(half[i], out[i]);                                                            \
    }
TWO_SIDED(square_of_input, transform_input, SIDE, SIDE)
TWO_SIDED(square_of_output, transform_output, SIDE, OUT)
TWO_SIDED(square_of_gradient, transform_gradient, OUT, SIDE)
TWO_SIDED(square_of_weights, transform_weights, 3, SIDE)
TWO_SIDED(square_of_restored, restore_weights, SIDE, 3)

/* ---- tiles of an image ---------------------------------------------------------------------------------------------
 */

typedef struct side {                        /* of one side of the convolution */
    int64_t height, width, channels, padded; /* channels rounded up to whole vectors */
    int64_t stride;                          /* floats from one transformed tile to the next */
} side;

typedef struct winograd {
    side in, out;
    int64_t pad[2];
    int64_t batch, tile_rows, tile_columns, tiles; /* of all images */
    int64_t chunk, chunks;                         /* tiles worked on at a time */
    bool together;                                 /* by all threads; else each thread has chunks of its own */
    int64_t first;                                 /* tile of the chunk that all threads work on */
    const float *x, *dy, *w;
    float *y;
    bool mirrored; /* weights are w[in][out] and upside down: the gradient of the input */
    const nc_conv_epilogue *epilogue;
    float *weights; /* [place][panel of outputs][input][PANEL] */
    float *scratch; /* for each thread: transformed inputs, then products or gradients */
    int64_t slots;  /* private copies; depends on the sizes alone */
    int64_t panel_parts;
    float *sums; /* [slot][place][input][padded outputs] */
    float *dw;
} winograd;

static side side_of(int64_t height, int64_t width, int64_t channels)
{
    side s = {.height = height, .width = width, .channels = channels, .padded = nc_round_up(channels, PANEL)};
    s.stride = PLACES * s.padded + PAD;
    return s;
}

static void place_tiles(winograd *g)
{
    g->tile_rows = nc_ceil_div(g->out.height, OUT);
    g->tile_columns = nc_ceil_div(g->out.width, OUT);
    g->tiles = g->batch * g->tile_rows * g->tile_columns;
}

static void cut(winograd *g, int64_t floats)
{
    const int64_t fit = nc_most(floats / (g->in.stride + g->out.stride) / NC_TILE_ROWS, 1) * NC_TILE_ROWS;
    g->chunks = nc_most(nc_ceil_div(g->tiles, fit), 1);
    g->chunk = nc_ceil_div(g->tiles, g->chunks);
}

/* Neither way of sharing the work changes a sum, so the number of threads may decide. */
static void share_work(winograd *g, int threads)
{
    cut(g, CHUNK_FLOATS);
    g->together = PLACES * g->in.padded * g->out.padded > SHARED_WEIGHTS || (threads > 1 && g->chunks < 2 * threads);
    if (g->together) cut(g, SHARED_FLOATS);
}

static winograd forward_of(const nc_conv *conv)
{
    winograd g = {.in = side_of(conv->in[0], conv->in[1], conv->in_channels),
                  .out = side_of(conv->out[0], conv->out[1], conv->out_channels),
                  .pad = {conv->pad[0], conv->pad[1]},
                  .batch = conv->batch};
    place_tiles(&g);
    return g;
}

static winograd backward_data_of(const nc_conv *conv)
{
    winograd g = {.in = side_of(conv->out[0], conv->out[1], conv->out_channels),
                  .out = side_of(conv->in[0], conv->in[1], conv->in_channels),
                  .pad = {2 - conv->pad[0], 2 - conv->pad[1]},
                  .batch = conv->batch,
                  .mirrored = true};
    place_tiles(&g);
    return g;
}

static int64_t thread_floats(const winograd *g)
{
    return g->chunk * (g->in.stride + g->out.stride);
}

/* Where tile `index` begins: image, first output row and column. */
typedef struct place {
    int64_t image, row, column;
} place;

static place place_of(const winograd *g, int64_t index)
{
    const int64_t within = index % (g->tile_rows * g->tile_columns);
    return (place){.image = index / (g->tile_rows * g->tile_columns),
                   .row = within / g->tile_columns * OUT,
                   .column = within % g->tile_columns * OUT};
}

/* Loads up to size x size pixels from (row, column) on, zero outside the image, `lanes` channels from `image` on. */
NC_ALWAYS_INLINE void load_square(const side *s, const float *image, int64_t row, int64_t column, int64_t lanes,
                                  int size, nc_vec *square)
{
    const bool inside = row >= 0 && column >= 0 && row + size <= s->height && column + size <= s->width;
    if (inside && lanes == NC_LANES) {
        const float *from = image + (row * s->width + column) * s->channels;
        NC_UNROLL
        for (int i = 0; i < size; i++) {
            NC_UNROLL
            for (int j = 0; j < size; j++) square[i * size + j] = nc_load(from + (i * s->width + j) * s->channels);
        }
        return;
    }
    for (int i = 0; i < size; i++)
        for (int j = 0; j < size; j++) {
            const bool there = row + i >= 0 && row + i < s->height && column + j >= 0 && column + j < s->width;
            const float *from = image + ((row + i) * s->width + column + j) * s->channels;
            square[i * size + j] = there ? nc_load_some(from, lanes) : (nc_vec){0};
        }
}

/* Patch of tile `index`, transformed: to[place][channel]. */
static void load_patch(const winograd *g, int64_t index, float *to)
{
    const place at = place_of(g, index);
    const float *image = g->x + at.image * g->in.height * g->in.width * g->in.channels;
    for (int64_t c = 0; c < g->in.padded; c += NC_LANES) {
        nc_vec patch[SIDE][SIDE], transformed[SIDE][SIDE];
        const int64_t lanes = nc_most(nc_least(g->in.channels - c, NC_LANES), 0);
        load_square(&g->in, image + c, at.row - g->pad[0], at.column - g->pad[1], lanes, SIDE, &patch[0][0]);
        square_of_input(patch, transformed);
        NC_UNROLL
        for (int p = 0; p < PLACES; p++) nc_store(to + p * g->in.padded + c, transformed[p / SIDE][p % SIDE]);
    }
}

/* ---- forward and gradient of the input ------------------------------------------------------------------------------
 */

/* Nine weights of a vector of outputs, for one input channel. */
NC_ALWAYS_INLINE void load_taps(const float *w, int64_t line, int64_t lanes, bool mirrored, nc_vec taps[3][3])
{
    nc_vec column[NC_LANES];
    for (int first = 0; first < 9; first += NC_LANES) {
        nc_load_columns(w + first, line, lanes, nc_least(9 - first, NC_LANES), column);
        for (int t = first; t < nc_least(first + NC_LANES, 9); t++) {
            const int to = mirrored ? 8 - t : t;
            taps[to / 3][to % 3] = column[t - first];
        }
    }
}

/* Up to a panel of outputs: the nine weights of each input channel become 36. */
static void pack_weights(void *user, int64_t index, int thread)
{
    (void)thread;
    const winograd *g = user;
    const int64_t panels = g->out.padded / PANEL, panel = index, size = g->in.channels * PANEL;
    const int64_t line = 9 * (g->mirrored ? 1 : g->in.channels);
    for (int64_t c = 0; c < g->in.channels; c++)
        for (int64_t v = 0; v < PANEL; v += NC_LANES) {
            const int64_t o = panel * PANEL + v, lanes = nc_most(nc_least(g->out.channels - o, NC_LANES), 0);
            const float *w = g->w + 9 * (g->mirrored ? c * g->out.channels + o : o * g->in.channels + c);
            nc_vec taps[3][3], transformed[SIDE][SIDE];
            load_taps(lanes ? w : g->w, line, lanes, g->mirrored, taps);
            square_of_weights(taps, transformed);
            for (int p = 0; p < PLACES; p++)
                nc_store(g->weights + (p * panels + panel) * size + c * PANEL + v, transformed[p / SIDE][p % SIDE]);
        }
}

/* products[tile][place][output] = patches[tile][place][input] weights[place][input][output], for a place and a panel
 * of outputs */
static void multiply(const winograd *g, int64_t p, int64_t panel, int64_t tiles, const float *patches, float *products)
{
    const nc_tap origin = {0, 0};
    const int64_t panels = g->out.padded / PANEL, parts = nc_ceil_div(tiles, NC_TILE_ROWS);
    nc_tile tile = {.a_row = g->in.stride,
                    .a_step = 1,
                    .b_step = PANEL,
                    .taps = &origin,
                    .tap_count = 1,
                    .steps = g->in.channels,
                    .c_row = g->out.stride,
                    .columns = PANEL};
    for (int64_t part = 0; part < parts; part++) {
        const nc_range rows = nc_share(tiles, 1, parts, part);
        tile.a = patches + rows.begin * g->in.stride + p * g->in.padded;
        tile.b = g->weights + (p * panels + panel) * g->in.channels * PANEL;
        tile.c = products + rows.begin * g->out.stride + p * g->out.padded + panel * PANEL;
        nc_isa(nc_tiles_f32)[NC_TILE_STEPS_CONTIGUOUS][rows.end - rows.begin - 1][NC_TILE_VECTORS - 1](&tile);
    }
}

static void store_tile(const winograd *g, int64_t index, const float *products)
{
    const place at = place_of(g, index);
    const int64_t rows = nc_least(g->out.height - at.row, OUT), columns = nc_least(g->out.width - at.column, OUT);
    const nc_conv_epilogue *epilogue = g->epilogue;
    for (int64_t c = 0; c < g->out.channels; c += NC_LANES) {
        nc_vec sums[SIDE][SIDE], y[OUT][OUT];
        const int64_t lanes = nc_least(g->out.channels - c, NC_LANES);
        NC_UNROLL
        for (int p = 0; p < PLACES; p++) sums[p / SIDE][p % SIDE] = nc_load(products + p * g->out.padded + c);
        square_of_output(sums, y);
        const nc_vec bias = epilogue->bias ? nc_load_some(epilogue->bias + c, lanes) : (nc_vec){0};
        const int64_t to = ((at.image * g->out.height + at.row) * g->out.width + at.column) * g->out.channels + c;
        for (int64_t i = 0; i < rows; i++)
            for (int64_t j = 0; j < columns; j++) {
                const int64_t offset = to + (i * g->out.width + j) * g->out.channels;
                nc_vec value = y[i][j] + bias;
                if (epilogue->residual) value += nc_load_some(epilogue->residual + offset, lanes);
                if (epilogue->relu) value = nc_max((nc_vec){0}, value);
                if (epilogue->ceiling > 0) value = nc_min(nc_splat(epilogue->ceiling), value);
                if (lanes == NC_LANES)
                    nc_store(g->y + offset, value);
                else
                    nc_store_some(g->y + offset, value, lanes);
            }
    }
}

static void run_chunk(void *user, int64_t index, int thread)
{
    const winograd *g = user;
    const int64_t first = index * g->chunk, tiles = nc_least(g->tiles - first, g->chunk);
    float *patches = g->scratch + thread * thread_floats(g), *products = patches + g->chunk * g->in.stride;
    for (int64_t t = 0; t < tiles; t++) load_patch(g, first + t, patches + t * g->in.stride);
    for (int64_t p = 0; p < PLACES; p++)
        for (int64_t panel = 0; panel < g->out.padded / PANEL; panel++) multiply(g, p, panel, tiles, patches, products);
    for (int64_t t = 0; t < tiles; t++) store_tile(g, first + t, products + t * g->out.stride);
}

static void load_shared(void *user, int64_t t, int thread)
{
    (void)thread;
    const winograd *g = user;
    load_patch(g, g->first + t, g->scratch + t * g->in.stride);
}

static void multiply_shared(void *user, int64_t index, int thread)
{
    (void)thread;
    const winograd *g = user;
    const int64_t panels = g->out.padded / PANEL;
    multiply(g, index / panels, index % panels, nc_least(g->tiles - g->first, g->chunk), g->scratch,
             g->scratch + g->chunk * g->in.stride);
}

static void store_shared(void *user, int64_t t, int thread)
{
    (void)thread;
    const winograd *g = user;
    store_tile(g, g->first + t, g->scratch + g->chunk * g->in.stride + t * g->out.stride);
}

static void convolve(winograd *g, nacre_team *team)
{
    if (!g->together) {
        nacre_parallel(team, g->chunks, run_chunk, g);
        return;
    }
    for (g->first = 0; g->first < g->tiles; g->first += g->chunk) {
        const int64_t tiles = nc_least(g->tiles - g->first, g->chunk);
        nacre_parallel(team, tiles, load_shared, g);
        nacre_parallel(team, PLACES * (g->out.padded / PANEL), multiply_shared, g);
        nacre_parallel(team, tiles, store_shared, g);
    }
}

/* ---- gradient of the weights --------------------------------------------------------------------------------------
 */

static int64_t slot_floats(const winograd *g)
{
    return PLACES * g->in.channels * g->out.padded;
}

/* Threads have chunks and sums of their own, unless there would be about as many of these as of what is summed. */
static winograd backward_weights_of(const nc_conv *conv)
{
    winograd g = forward_of(conv);
    cut(&g, CHUNK_FLOATS);
    g.slots = nc_least(g.chunks, MAX_SLOTS);
    g.together =
        slot_floats(&g) > SLOT_FLOATS || 2 * g.slots * slot_floats(&g) > g.tiles * (g.in.stride + g.out.stride);
    if (!g.together) return g;
    g.slots = 1;
    cut(&g, SHARED_GRADIENTS);
    return g;
}

static void load_gradient(const winograd *g, int64_t index, float *to)
{
    const place at = place_of(g, index);
    const float *image = g->dy + at.image * g->out.height * g->out.width * g->out.channels;
    for (int64_t c = 0; c < g->out.padded; c += NC_LANES) {
        nc_vec square[OUT][OUT], transformed[SIDE][SIDE];
        const int64_t lanes = nc_most(nc_least(g->out.channels - c, NC_LANES), 0);
        load_square(&g->out, image + c, at.row, at.column, lanes, OUT, &square[0][0]);
        square_of_gradient(square, transformed);
        NC_UNROLL
        for (int p = 0; p < PLACES; p++) nc_store(to + p * g->out.padded + c, transformed[p / SIDE][p % SIDE]);
    }
}

/* sums[place][input][output] (+)= over tiles of patches[tile][place][input] gradients[tile][place][output], for one
 * place and some panels of outputs */
static void add_products(const winograd *g, int64_t p, nc_range panels, int64_t tiles, const float *patches,
                         const float *gradients, float *sums, bool accumulate)
{
    const nc_tap origin = {0, 0};
    const int64_t parts = nc_ceil_div(g->in.channels, NC_TILE_ROWS);
    nc_tile tile = {.a_row = 1,
                    .a_step = g->in.stride,
                    .b_step = g->out.stride,
                    .taps = &origin,
                    .tap_count = 1,
                    .steps = tiles,
                    .c_row = g->out.padded,
                    .columns = PANEL,
                    .accumulate = accumulate};
    for (int64_t o = panels.begin * PANEL; o < panels.end * PANEL; o += PANEL)
        for (int64_t part = 0; part < parts; part++) {
            const nc_range rows = nc_share(g->in.channels, 1, parts, part);
            tile.a = patches + p * g->in.padded + rows.begin;
            tile.b = gradients + p * g->out.padded + o;
            tile.c = sums + (p * g->in.channels + rows.begin) * g->out.padded + o;
            nc_isa(nc_tiles_f32)[NC_TILE_ROWS_CONTIGUOUS][rows.end - rows.begin - 1][NC_TILE_VECTORS - 1](&tile);
        }
}

static void run_slot(void *user, int64_t slot, int thread)
{
    const winograd *g = user;
    const nc_range chunks = nc_share(g->chunks, 1, g->slots, slot), panels = {0, g->out.padded / PANEL};
    float *patches = g->scratch + thread * thread_floats(g), *gradients = patches + g->chunk * g->in.stride;
    float *sums = g->sums + slot * slot_floats(g);
    for (int64_t chunk = chunks.begin; chunk < chunks.end; chunk++) {
        const int64_t first = chunk * g->chunk, tiles = nc_least(g->tiles - first, g->chunk);
        for (int64_t t = 0; t < tiles; t++) {
            load_patch(g, first + t, patches + t * g->in.stride);
            load_gradient(g, first + t, gradients + t * g->out.stride);
        }
        for (int64_t p = 0; p < PLACES; p++)
            add_products(g, p, panels, tiles, patches, gradients, sums, chunk > chunks.begin);
    }
}

static void load_shared_gradients(void *user, int64_t t, int thread)
{
    const winograd *g = user;
    load_shared(user, t, thread);
    load_gradient(g, g->first + t, g->scratch + g->chunk * g->in.stride + t * g->out.stride);
}

static void add_shared(void *user, int64_t index, int thread)
{
    (void)thread;
    const winograd *g = user;
    const nc_range panels = nc_share(g->out.padded / PANEL, 1, g->panel_parts, index % g->panel_parts);
    add_products(g, index / g->panel_parts, panels, nc_least(g->tiles - g->first, g->chunk), g->scratch,
                 g->scratch + g->chunk * g->in.stride, g->sums, g->first > 0);
}

/* Adds up the slots of some input channels and one panel of outputs, and goes back to nine weights. */
static void restore_part(void *user, int64_t index, int thread)
{
    (void)thread;
    const winograd *g = user;
    const int64_t panels = g->out.padded / PANEL, first = index % panels * PANEL;
    const int64_t begin = index / panels * RESTORED, end = nc_least(begin + RESTORED, g->in.channels);
    for (int64_t c = begin; c < end; c++)
        for (int64_t o = first; o < nc_least(first + PANEL, g->out.channels); o += NC_LANES) {
            nc_vec sums[SIDE][SIDE], w[3][3], lines[NC_LANES];
            for (int p = 0; p < PLACES; p++) {
                const float *from = g->sums + (p * g->in.channels + c) * g->out.padded + o;
                nc_vec total = nc_load(from);
                for (int64_t slot = 1; slot < g->slots; slot++) total += nc_load(from + slot * slot_floats(g));
                sums[p / SIDE][p % SIDE] = total;
            }
            square_of_restored(sums, w);
            for (int at = 0; at < 9; at += NC_LANES) {
                const int64_t count = nc_least(9 - at, NC_LANES);
                for (int t = 0; t < NC_LANES; t++) lines[t] = t < count ? w[(at + t) / 3][(at + t) % 3] : (nc_vec){0};
                nc_transpose(lines);
                for (int64_t i = 0; i < nc_least(g->out.channels - o, NC_LANES); i++)
                    nc_store_some(g->dw + ((o + i) * g->in.channels + c) * 9 + at, lines[i], count);
            }
        }
}

static void differentiate(winograd *g, nacre_team *team)
{
    if (!g->together) nacre_parallel(team, g->slots, run_slot, g);
    g->panel_parts = nc_least(nc_ceil_div(2 * nacre_team_size(team), PLACES), g->out.padded / PANEL);
    for (int64_t chunk = 0; g->together && chunk < g->chunks; chunk++) { /* at least one, which may be empty */
        g->first = chunk * g->chunk;
        nacre_parallel(team, nc_least(g->tiles - g->first, g->chunk), load_shared_gradients, g);
        nacre_parallel(team, PLACES * g->panel_parts, add_shared, g);
    }
    nacre_parallel(team, nc_ceil_div(g->in.channels, RESTORED) * (g->out.padded / PANEL), restore_part, g);
}

/* ---- as kernels
 * ------------------------------------------------------------------------------------------------------ */

static const char *refuse(const nacre_node_info *info)
{
    const char *reason = nc_conv_direct_refusal(info);
    if (reason) return reason;
    const nc_conv conv = nc_conv_problem_of_info(info);
    for (int i = 0; i < 2; i++)
        if (conv.kernel[i] != 3 || conv.stride[i] != 1 || conv.dilation[i] != 1)
            return "takes a 3x3 kernel with stride and dilation 1 only";
    if (conv.groups != 1) return "takes one group only";
    return NULL;
}

static winograd problem_of(const nc_conv_node *node, const nacre_op *op)
{
    const nc_conv conv = nc_conv_problem(node);
    return strcmp(op->name, "conv") ? backward_data_of(&conv) : forward_of(&conv);
}

static const char *slower(const nacre_node_info *info)
{
    const nc_conv_node node = nc_conv_node_of_info(info);
    const winograd g = problem_of(&node, info->op);
    if (g.in.channels < LEAST_CHANNELS || g.out.channels < LEAST_CHANNELS) return "too few channels";
    return g.tiles < LEAST_TILES ? "the images are too small" : NULL;
}

static const char *refuse_weights(const nacre_node_info *info)
{
    const char *reason = refuse(info);
    if (reason) return reason;
    const nc_conv conv = nc_conv_problem_of_info(info);
    const winograd g = backward_weights_of(&conv);
    return slot_floats(&g) > MOST_SUMS ? "too many channels" : NULL;
}

static size_t prepared(const nacre_node_info *info)
{
    const nc_conv_node node = nc_conv_node_of_info(info);
    const winograd g = problem_of(&node, info->op);
    return sizeof(float) * (size_t)(PLACES * g.in.channels * g.out.padded);
}

static void prepare(const nacre_call *call)
{
    const nc_conv_node node = nc_conv_node_of_call(call);
    winograd g = problem_of(&node, call->op);
    g.w = node.w.data;
    g.weights = call->prepared;
    nacre_parallel(call->team, g.out.padded / PANEL, pack_weights, &g);
}

static size_t workspace(const nacre_node_info *info)
{
    const nc_conv_node node = nc_conv_node_of_info(info);
    winograd g = problem_of(&node, info->op);
    share_work(&g, info->threads);
    return sizeof(float) * (size_t)(thread_floats(&g) * (g.together ? 1 : info->threads));
}

static void run(const nacre_call *call)
{
    const nc_conv_node node = nc_conv_node_of_call(call);
    const nc_conv_epilogue epilogue = {
        .bias = node.bias, .residual = node.residual, .relu = node.relu, .ceiling = node.ceiling};
    winograd g = problem_of(&node, call->op);
    share_work(&g, nacre_team_size(call->team));
    g.x = g.mirrored ? node.y.data : node.x.data;
    g.y = g.mirrored ? node.x.data : node.y.data;
    g.weights = call->prepared;
    g.scratch = call->workspace;
    g.epilogue = &epilogue;
    convolve(&g, call->team);
}

static size_t backward_weights_workspace(const nacre_node_info *info)
{
    const nc_conv conv = nc_conv_problem_of_info(info);
    const winograd g = backward_weights_of(&conv);
    return sizeof(float) * (size_t)(g.slots * slot_floats(&g) + (g.together ? 1 : info->threads) * thread_floats(&g));
}

static void run_backward_weights(const nacre_call *call)
{
    const nc_conv_node node = nc_conv_node_of_call(call);
    const nc_conv conv = nc_conv_problem(&node);
    winograd g = backward_weights_of(&conv);
    g.x = node.x.data;
    g.dy = node.y.data;
    g.dw = node.w.data;
    g.sums = call->workspace;
    g.scratch = g.sums + g.slots * slot_floats(&g);
    differentiate(&g, call->team);
}

#define KERNEL_(operation, name) nc_isa(nc_##operation##_##name##_kernel)
#define KERNEL(operation, name)  KERNEL_(operation, name)
#define CONVOLUTION(operation)                                                                                         \
    const nacre_kernel KERNEL(operation, NAME) = {.op = #operation,                                                    \
                                                  .variant = NC_STRING(NAME) "_" NC_ISA_NAME,                          \
                                                  .flags = NACRE_KERNEL_CHANNELS_LAST,                                 \
                                                  .can = refuse,                                                       \
                                                  .slower = slower,                                                    \
                                                  .workspace = workspace,                                              \
                                                  .prepared = prepared,                                                \
                                                  .prepare = prepare,                                                  \
                                                  .prepared_operand = NC_CORRELATION_WEIGHTS,                          \
                                                  .run = run};
CONVOLUTION(conv)
CONVOLUTION(conv_backward_data)
const nacre_kernel KERNEL(conv_backward_weight, NAME) = {
    .op = "conv_backward_weight",
    .variant = NC_STRING(NAME) "_" NC_ISA_NAME,
    .flags = NACRE_KERNEL_CHANNELS_LAST,
    .can = refuse_weights,
    .slower = slower,
    .workspace = backward_weights_workspace,
    .run = run_backward_weights,
};

/* cpu/simd/winograd_body.h - the text of F(OUT x OUT, TAPS x TAPS): convolutions with fewer multiplications.
 *
 * OUT by OUT outputs of a channel pair are  A' [ (G w G') . (B' x B) ] A  with a patch x of SIDE = OUT + TAPS - 1 lines
 * (Winograd; Lavin and Gray, "Fast algorithms for convolutional neural networks", 2016). So a convolution becomes, for
 * each of the SIDE * SIDE places of the transformed patch, one matrix product [tiles x inputs] [inputs x outputs], done
 * with register tiles on as many tiles as fit into the second-level cache.
 *
 * The product is bilinear, so its adjoints use the same matrices: the gradient of x is a convolution with the mirrored
 * weights, and the gradient of w is  G' [ sum over tiles of (A dy A') . (B' x B) ] G.
 *
 * A stride STEP is taken apart into STEP * STEP phases, each a convolution of stride 1 of every STEP-th pixel with
 * every STEP-th of the STEP * TAPS weights along an axis. Forward and for the weights the phases are further input
 * channels; in the gradient of x each phase has pixels, weights and products of its own.
 *
 * Images, weights, bias and residual may each be f32 or of 16 bits: they are widened and rounded on the way in and out.
 * Transforms, products and sums are f32 whatever they are, so 16 bits cost no exactness but the last rounding.
 *
 * Few tiles of many channels would wait for the transformed weights, PLACES for every TAPS * TAPS. There the weights
 * are transformed slice by slice where they are used, and their gradients restored where they arise, in the cache.
 *
 * The file that includes this one defines OUT, TAPS, STEP, SIDE, the matrices - transform_input, transform_output,
 * transform_gradient, transform_weights, restore_weights, each for one line -, the kernels' NAME and LEAST_CHANNELS.
 *
 * How exact it is. Along one axis  y = A' [ (G w) . (B' x) ],  and what is rounded on the way is at most the same
 * expression with absolute values everywhere. With u = 2^-24, sums of C products (C: input channels; for the gradient
 * of the weights tiles) and at most a, b, g roundings in a line of A', B' and G, a result has R = 2 (a + b + g) + C of
 * them one after the other, so that to first order, for |x| <= X and |w| <= W,
 *
 *     |error| <= u R K^2 C X W,    K = largest line of  |A'| [ (|G| 1) . (|B'| 1) ];    direct: u T C T C X W,
 *
 * where T = TAPS^2. That is the worst case. Independent roundings add up like a random walk: on random data, relative
 * to the root mean square of the results,
 *
 *     error ~ (u / sqrt 3) (S^2 / TAPS) sqrt(C / 2 + 2 (a + b + g)),
 *     S^2 = largest line of  A'^2 [ (G^2 1) . (B'^2 1) ]
 *
 * with the squares taken element by element; direct: (u / sqrt 3) sqrt(T C / 2). The largest of many errors is about
 * five times that, the largest result at least three times its root mean square. K, S and the roundings stand beside
 * the matrices. */
#include "cpu/simd/correlation.h"
#include "cpu/simd/half.h"

enum {
    PLACES = SIDE * SIDE,
    PHASES = STEP * STEP,
    KERNEL = STEP * TAPS, /* weights along an axis */
    WEIGHTS = KERNEL * KERNEL,
    PANEL = NC_TILE_COLUMNS,
    LINE = 16,        /* floats of a cache line */
    PAD = NC_LANES,   /* floats between tiles, so that their rows do not meet in one set of the cache */
    LEAST_TILES = 12, /* of all images; with fewer, reading the transformed weights costs more */
#ifdef NACRE_STRESS
    CHUNK_FLOATS = 1 << 12,
    SHARED_FLOATS = 1 << 13,
    SHARED_WEIGHTS = 1 << 12,
    SHARED_GRADIENTS = 1 << 14,
    SLOT_FLOATS = 1 << 11,
    MAX_SLOTS = 3,
    WIDE_WEIGHTS = 1 << 13,
    SLICE = 5,
#else
    CHUNK_FLOATS = 1 << 17,     /* of transformed tiles: half of a 1 MB cache */
    SHARED_FLOATS = 1 << 21,    /* of transformed tiles that all threads work on together */
    SHARED_WEIGHTS = 1 << 22,   /* more transformed weights than that are read once for all threads */
    SHARED_GRADIENTS = 1 << 22, /* as SHARED_FLOATS, for the gradient of the weights, whose sums are read each time */
    SLOT_FLOATS = 1 << 18,      /* most of one private copy of the transformed weights' gradient */
    MAX_SLOTS = 16,
    WIDE_WEIGHTS = 1 << 20, /* fewer transformed weights stay in the cache */
    SLICE = 64,             /* input channels whose weights are transformed at a time, where they are used */
#endif
    FEW_TILES = STEP > 1 ? 64 : 0, /* that meet weights as these are transformed */
    MOST_SUMS = 1 << 24,           /* floats of the transformed weights' gradient */
    RESTORED = 2 * NC_TILE_ROWS,   /* input channels whose weights' gradients a task restores */
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
TWO_SIDED(square_of_weights, transform_weights, TAPS, SIDE)
TWO_SIDED(square_of_restored, restore_weights, SIDE, TAPS)

/* ---- tiles of an image ---------------------------------------------------------------------------------------------
 */

typedef struct side { /* of one side of the convolution */
    void *data;       /* images: what is read, what is written, or its gradient */
    nacre_dtype dtype;
    int64_t height, width, channels;
    int64_t step;   /* pixels from one of a tile to the next */
    int64_t depth;  /* numbers at a place of a transformed tile: channels, of all phases if they are together */
    int64_t padded; /* depth in whole panels */
    int64_t stride; /* floats from one transformed tile to the next */
} side;

typedef struct winograd {
    side in, out;
    int64_t pad[2];
    int64_t phase_places, phase_depth;             /* from one phase to the next: in places or at a place */
    int64_t batch, tile_rows, tile_columns, tiles; /* of all images */
    int64_t chunk, chunks;                         /* tiles worked on at a time */
    bool together;                                 /* by all threads; else each thread has chunks of its own */
    bool sliced;                                   /* together, and weights are transformed where they are used */
    int64_t first;                                 /* tile of the chunk that all threads work on */
    nacre_view w;                                  /* weights, or their gradient */
    bool mirrored;            /* weights are w[in][out] and upside down: the gradient of the input */
    const nc_conv_node *node; /* what follows the sums */
    float *weights;           /* [place][panel of outputs][input][PANEL] */
    float *scratch;           /* for each thread: transformed inputs, then products or gradients */
    int64_t slots;            /* private copies; depends on the sizes alone */
    int64_t panel_parts;
    float *sums; /* [slot][place][input][padded outputs] */
} winograd;

static side side_of(int64_t height, int64_t width, int64_t channels, int64_t step, int64_t depth, int64_t places)
{
    side s = {.height = height, .width = width, .channels = channels, .step = step, .depth = depth};
    s.padded = nc_round_up(depth, PANEL);
    s.stride = places * s.padded + PAD;
    return s;
}

static void place_tiles(winograd *g)
{
    g->tile_rows = nc_ceil_div(nc_ceil_div(g->out.height, g->out.step), OUT);
    g->tile_columns = nc_ceil_div(nc_ceil_div(g->out.width, g->out.step), OUT);
    g->tiles = g->batch * g->tile_rows * g->tile_columns;
}

static int64_t places(const winograd *g)
{
    return PLACES + (PHASES - 1) * g->phase_places;
}

static void cut(winograd *g, int64_t floats)
{
    const int64_t fit = nc_most(floats / (g->in.stride + g->out.stride) / NC_TILE_ROWS, 1) * NC_TILE_ROWS;
    g->chunks = nc_most(nc_ceil_div(g->tiles, fit), 1);
    g->chunk = nc_ceil_div(g->tiles, g->chunks);
}

/* Depends on the sizes alone, as the order of additions does. */
static bool is_sliced(const winograd *g)
{
    return g->tiles <= FEW_TILES && places(g) * g->in.depth * g->out.padded > WIDE_WEIGHTS;
}

/* Neither way of sharing the work changes a sum, so the number of threads may decide. */
static void share_work(winograd *g, int threads)
{
    g->sliced = is_sliced(g);
    cut(g, CHUNK_FLOATS);
    g->together = places(g) * g->in.padded * g->out.padded > SHARED_WEIGHTS || (threads > 1 && g->chunks < 2 * threads);
    g->together |= g->sliced;
    if (g->together) cut(g, g->sliced ? SHARED_GRADIENTS : SHARED_FLOATS);
}

static winograd forward_of(const nc_conv *conv)
{
    winograd g = {.pad = {conv->pad[0], conv->pad[1]}, .batch = conv->batch};
    g.phase_depth = PHASES > 1 ? nc_round_up(conv->in_channels, NC_LANES) : conv->in_channels;
    g.in = side_of(conv->in[0], conv->in[1], conv->in_channels, STEP, PHASES * g.phase_depth, PLACES);
    g.out = side_of(conv->out[0], conv->out[1], conv->out_channels, 1, conv->out_channels, PLACES);
    place_tiles(&g);
    return g;
}

static winograd backward_data_of(const nc_conv *conv)
{
    winograd g = {.pad = {conv->pad[0], conv->pad[1]}, .batch = conv->batch, .phase_places = PLACES, .mirrored = true};
    g.in = side_of(conv->out[0], conv->out[1], conv->out_channels, 1, conv->out_channels, PHASES * PLACES);
    g.out = side_of(conv->in[0], conv->in[1], conv->in_channels, STEP, conv->in_channels, PHASES * PLACES);
    place_tiles(&g);
    return g;
}

static int64_t thread_floats(const winograd *g)
{
    return g->chunk * (g->in.stride + g->out.stride);
}

/* Where tile `index` begins: image, first output row and column, of those of a phase. */
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

/* The first line that a tile reads along an axis, where its outputs begin with the `at`-th of a phase. In the gradient
 * of the input a phase is the outputs phase, phase + STEP, ... */
static int64_t first_line(const winograd *g, int axis, int64_t at, int64_t phase)
{
    return g->mirrored ? at + (phase + g->pad[axis]) / STEP - (TAPS - 1) : at * STEP - g->pad[axis] + phase;
}

/* The first weight of a phase along an axis; the others follow STEP apart. */
static int64_t first_weight(const winograd *g, int axis, int64_t phase)
{
    return g->mirrored ? (phase + g->pad[axis]) % STEP : phase;
}

/* Loads up to size x size pixels, s->step apart, from (row, column) on, zero outside the image, `lanes` channels from
 * element `image` on. */
NC_ALWAYS_INLINE void load_square_as(nacre_dtype dtype, const side *s, int64_t image, int64_t row, int64_t column,
                                     int64_t lanes, int size, nc_vec *square)
{
    const int64_t reach = (size - 1) * s->step;
    const bool inside = row >= 0 && column >= 0 && row + reach < s->height && column + reach < s->width;
    if (inside && lanes == NC_LANES) {
        const int64_t from = image + (row * s->width + column) * s->channels;
        const int64_t line = s->step * s->width * s->channels, pixel = s->step * s->channels;
        NC_UNROLL
        for (int i = 0; i < size; i++) {
            NC_UNROLL
            for (int j = 0; j < size; j++)
                square[i * size + j] = nc_load_as(dtype, s->data, from + i * line + j * pixel, NC_LANES);
        }
        return;
    }
    for (int i = 0; i < size; i++)
        for (int j = 0; j < size; j++) {
            const int64_t at_row = row + i * s->step, at_column = column + j * s->step;
            const bool there = at_row >= 0 && at_row < s->height && at_column >= 0 && at_column < s->width;
            const int64_t from = image + (at_row * s->width + at_column) * s->channels;
            square[i * size + j] = there ? nc_load_as(dtype, s->data, from, lanes) : (nc_vec){0};
        }
}

/* The same of the type that the side has. */
NC_ALWAYS_INLINE void load_square(const side *s, int64_t image, int64_t row, int64_t column, int64_t lanes, int size,
                                  nc_vec *square)
{
    if (s->dtype == NACRE_F32)
        load_square_as(NACRE_F32, s, image, row, column, lanes, size, square);
    else if (s->dtype == NACRE_BF16)
        load_square_as(NACRE_BF16, s, image, row, column, lanes, size, square);
    else
        load_square_as(NACRE_F16, s, image, row, column, lanes, size, square);
}

/* One phase of the patch of tile `index`, transformed: to[place][channel]. */
static void load_phase(const winograd *g, int64_t index, int64_t phase, float *to)
{
    const place at = place_of(g, index);
    const int64_t row = first_line(g, 0, at.row, phase / STEP), column = first_line(g, 1, at.column, phase % STEP);
    const int64_t image = at.image * g->in.height * g->in.width * g->in.channels;
    for (int64_t c = 0; c < g->in.channels; c += NC_LANES) {
        nc_vec patch[SIDE][SIDE], transformed[SIDE][SIDE];
        const int64_t lanes = nc_least(g->in.channels - c, NC_LANES);
        load_square(&g->in, image + c, row, column, lanes, SIDE, &patch[0][0]);
        square_of_input(patch, transformed);
        NC_UNROLL
        for (int p = 0; p < PLACES; p++) nc_store(to + p * g->in.padded + c, transformed[p / SIDE][p % SIDE]);
    }
}

static void load_patch(const winograd *g, int64_t index, float *to)
{
    for (int64_t phase = 0; phase < PHASES; phase++)
        load_phase(g, index, phase, to + phase * (g->phase_places * g->in.padded + g->phase_depth));
}

/* ---- forward and gradient of the input ------------------------------------------------------------------------------
 */

/* Weights [out][in][KERNEL][KERNEL], as transposed in registers: of one input channel and a vector of outputs. */
typedef struct kernel_weights {
    nc_vec at[(WEIGHTS + NC_LANES - 1) / NC_LANES * NC_LANES];
} kernel_weights;

/* `lanes` outputs, `line` elements apart, from element `from` on. */
NC_ALWAYS_INLINE void load_weights(const nacre_view *w, int64_t from, int64_t line, int64_t lanes,
                                   kernel_weights *weights)
{
    for (int first = 0; first < WEIGHTS; first += NC_LANES) {
        const int64_t count = nc_least(WEIGHTS - first, NC_LANES);
        nc_vec *const columns = weights->at + first;
        for (int64_t i = 0; i < NC_LANES; i++)
            columns[i] = i < lanes ? nc_load_as(w->dtype, w->data, from + i * line + first, count) : (nc_vec){0};
        nc_transpose(columns);
    }
}

/* Where tap (i, j) of a phase is among the weights. */
NC_ALWAYS_INLINE int64_t weight_of(const winograd *g, int64_t phase, int i, int j)
{
    const int64_t row = first_weight(g, 0, phase / STEP) + STEP * (g->mirrored ? TAPS - 1 - i : i);
    const int64_t column = first_weight(g, 1, phase % STEP) + STEP * (g->mirrored ? TAPS - 1 - j : j);
    return row * KERNEL + column;
}

/* The weights of input channel c and a vector of outputs from `out` on, zero beyond the last. */
NC_ALWAYS_INLINE void load_weights_at(const winograd *g, int64_t c, int64_t out, kernel_weights *weights)
{
    const int64_t lanes = c < g->in.channels ? nc_most(nc_least(g->out.channels - out, NC_LANES), 0) : 0;
    const int64_t from = WEIGHTS * (g->mirrored ? c * g->out.channels + out : out * g->in.channels + c);
    const int64_t line = WEIGHTS * (g->mirrored ? 1 : g->in.channels);
    load_weights(&g->w, from, line, lanes, weights);
}

/* The taps of a phase become PLACES, `apart` floats from one to the next. */
NC_ALWAYS_INLINE void transform_phase(const winograd *g, const kernel_weights *weights, int64_t phase, int64_t apart,
                                      float *to)
{
    nc_vec taps[TAPS][TAPS], transformed[SIDE][SIDE];
    for (int t = 0; t < TAPS * TAPS; t++)
        taps[t / TAPS][t % TAPS] = weights->at[weight_of(g, phase, t / TAPS, t % TAPS)];
    square_of_weights(taps, transformed);
    for (int p = 0; p < PLACES; p++) nc_store(to + p * apart, transformed[p / SIDE][p % SIDE]);
}

/* Up to a panel of outputs. */
static void pack_weights(void *user, int64_t panel, int thread)
{
    (void)thread;
    const winograd *g = user;
    const int64_t panels = g->out.padded / PANEL, size = g->in.depth * PANEL;
    const int64_t rows = g->phase_depth ? g->phase_depth : g->in.channels;
    for (int64_t c = 0; c < rows; c++)
        for (int64_t v = 0; v < PANEL; v += NC_LANES) {
            kernel_weights weights;
            load_weights_at(g, c, panel * PANEL + v, &weights);
            for (int64_t phase = 0; phase < PHASES; phase++)
                transform_phase(g, &weights, phase, panels * size,
                                g->weights + (phase * g->phase_places * panels + panel) * size +
                                    (phase * g->phase_depth + c) * PANEL + v);
        }
}

/* c[tile] (+)= a[tile] b, for the tiles of a chunk */
static void multiply_tiles(nc_tile tile, int64_t tiles)
{
    const nc_tap origin = {0, 0};
    const int64_t parts = nc_ceil_div(tiles, NC_TILE_ROWS);
    const nc_tile first = tile;
    tile.taps = &origin;
    tile.tap_count = 1;
    for (int64_t part = 0; part < parts; part++) {
        const nc_range rows = nc_share(tiles, 1, parts, part);
        tile.a = (const float *)first.a + rows.begin * tile.a_row;
        tile.c = (float *)first.c + rows.begin * tile.c_row;
        nc_isa(nc_tiles_f32)[NC_TILE_STEPS_CONTIGUOUS][rows.end - rows.begin - 1][NC_TILE_VECTORS - 1](&tile);
    }
}

/* products[tile][place][output] = patches[tile][place][input] weights[place][input][output], for a place and a panel
 * of outputs */
static void multiply(const winograd *g, int64_t p, int64_t panel, int64_t tiles, const float *patches, float *products)
{
    const nc_tile tile = {.a = patches + p * g->in.padded,
                          .a_row = g->in.stride,
                          .a_step = 1,
                          .b = g->weights + (p * (g->out.padded / PANEL) + panel) * g->in.depth * PANEL,
                          .b_step = PANEL,
                          .steps = g->in.depth,
                          .c = products + p * g->out.padded + panel * PANEL,
                          .c_row = g->out.stride,
                          .columns = PANEL};
    multiply_tiles(tile, tiles);
}

/* Some channels of the outputs of tile `index` and a phase: products[place * apart + channel]. */
static void store_phase(const winograd *g, int64_t index, int64_t phase, nc_range channels, const float *products,
                        int64_t apart)
{
    const place at = place_of(g, index);
    const int64_t step = g->out.step, row = at.row * step + phase / STEP, column = at.column * step + phase % STEP;
    const int64_t rows = nc_least(nc_ceil_div(g->out.height - row, step), OUT);
    const int64_t columns = nc_least(nc_ceil_div(g->out.width - column, step), OUT);
    const nc_conv_node *node = g->node;
    for (int64_t c = channels.begin; c < nc_least(channels.end, g->out.channels); c += NC_LANES) {
        nc_vec sums[SIDE][SIDE], y[OUT][OUT];
        const int64_t lanes = nc_least(g->out.channels - c, NC_LANES);
        NC_UNROLL
        for (int p = 0; p < PLACES; p++) sums[p / SIDE][p % SIDE] = nc_load(products + p * apart + c - channels.begin);
        square_of_output(sums, y);
        const nc_vec bias = node->bias.data ? nc_load_as(node->bias.dtype, node->bias.data, c, lanes) : (nc_vec){0};
        const int64_t to = ((at.image * g->out.height + row) * g->out.width + column) * g->out.channels + c;
        for (int64_t i = 0; i < rows; i++)
            for (int64_t j = 0; j < columns; j++) {
                const int64_t offset = to + (i * g->out.width + j) * step * g->out.channels;
                nc_vec value = y[i][j] + bias;
                if (node->residual.data) value += nc_load_as(node->residual.dtype, node->residual.data, offset, lanes);
                if (node->relu) value = nc_max((nc_vec){0}, value);
                if (node->ceiling > 0) value = nc_min(nc_splat(node->ceiling), value);
                nc_store_as(g->out.dtype, g->out.data, offset, value, lanes);
            }
    }
}

static void store_tile(const winograd *g, int64_t index, const float *products)
{
    for (int64_t phase = 0; phase < places(g) / PLACES; phase++)
        store_phase(g, index, phase, (nc_range){0, g->out.channels}, products + phase * PLACES * g->out.padded,
                    g->out.padded);
}

static void run_chunk(void *user, int64_t index, int thread)
{
    const winograd *g = user;
    const int64_t first = index * g->chunk, tiles = nc_least(g->tiles - first, g->chunk);
    float *patches = g->scratch + thread * thread_floats(g), *products = patches + g->chunk * g->in.stride;
    for (int64_t t = 0; t < tiles; t++) load_patch(g, first + t, patches + t * g->in.stride);
    for (int64_t p = 0; p < places(g); p++)
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

/* Of one thread, where weights are transformed as they are used: a slice of them, and the sums of a panel of outputs,
 * [tile][place][PANEL]. */
enum { SLICED_WEIGHTS = PLACES * SLICE * PANEL, SLICED_STRIDE = PLACES * PANEL + PAD };

static int64_t sliced_floats(const winograd *g)
{
    return SLICED_WEIGHTS + g->chunk * SLICED_STRIDE;
}

/* Asks for what the products after these will read. */
static void fetch_rows(const float *from, int64_t stride, int64_t rows, int64_t count)
{
    for (int64_t row = 0; row < rows; row++)
        for (int64_t i = 0; i < count; i += LINE) __builtin_prefetch(from + row * stride + i);
}

/* One phase and slice of the input channels: transforms its weights and adds its products to the sums. */
static void add_slice(const winograd *g, int64_t panel, int64_t phase, nc_range slice, float *weights, bool accumulate)
{
    const int64_t depth = slice.end - slice.begin, apart = depth * PANEL,
                  tiles = nc_least(g->tiles - g->first, g->chunk);
    const float *patches = g->scratch + phase * (g->phase_places * g->in.padded + g->phase_depth) + slice.begin;
    for (int64_t c = slice.begin; c < slice.end; c++)
        for (int64_t v = 0; v < PANEL; v += NC_LANES) {
            kernel_weights from;
            load_weights_at(g, c, panel * PANEL + v, &from);
            transform_phase(g, &from, phase, apart, weights + (c - slice.begin) * PANEL + v);
        }
    for (int64_t p = 0; p < PLACES; p++) {
        if (p + 1 < PLACES) fetch_rows(patches + (p + 1) * g->in.padded, g->in.stride, tiles, depth);
        const nc_tile tile = {.a = patches + p * g->in.padded,
                              .a_row = g->in.stride,
                              .a_step = 1,
                              .b = weights + p * apart,
                              .b_step = PANEL,
                              .steps = depth,
                              .c = weights + SLICED_WEIGHTS + p * PANEL,
                              .c_row = SLICED_STRIDE,
                              .columns = PANEL,
                              .accumulate = accumulate};
        multiply_tiles(tile, tiles);
    }
}

/* A panel of outputs; in the gradient of the input, of one phase. */
static void run_panel(void *user, int64_t index, int thread)
{
    const winograd *g = user;
    const int64_t panels = g->out.padded / PANEL, panel = index % panels, first = index / panels;
    const int64_t end = g->mirrored ? first + 1 : PHASES, slices = nc_ceil_div(g->in.channels, SLICE);
    float *weights = g->scratch + g->chunk * g->in.stride + thread * sliced_floats(g);
    for (int64_t s = 0; s < slices; s++)
        for (int64_t phase = first; phase < end; phase++)
            add_slice(g, panel, phase, nc_share(g->in.channels, 1, slices, s), weights, s > 0 || phase > first);
    for (int64_t t = 0; t < nc_least(g->tiles - g->first, g->chunk); t++)
        store_phase(g, g->first + t, first, (nc_range){panel * PANEL, (panel + 1) * PANEL},
                    weights + SLICED_WEIGHTS + t * SLICED_STRIDE, PANEL);
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
        if (g->sliced) {
            nacre_parallel(team, places(g) / PLACES * (g->out.padded / PANEL), run_panel, g);
            continue;
        }
        nacre_parallel(team, places(g) * (g->out.padded / PANEL), multiply_shared, g);
        nacre_parallel(team, tiles, store_shared, g);
    }
}

/* ---- gradient of the weights --------------------------------------------------------------------------------------
 */

static int64_t slot_floats(const winograd *g)
{
    return PLACES * g->in.depth * g->out.padded;
}

/* Threads have chunks and sums of their own, unless there would be about as many of these as of what is summed. */
static winograd backward_weights_of(const nc_conv *conv)
{
    winograd g = forward_of(conv);
    g.sliced = is_sliced(&g);
    if (g.sliced) {
        g.chunk = g.tiles;
        g.together = true;
        return g;
    }
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
    const int64_t image = at.image * g->out.height * g->out.width * g->out.channels;
    for (int64_t c = 0; c < g->out.padded; c += NC_LANES) {
        nc_vec square[OUT][OUT], transformed[SIDE][SIDE];
        const int64_t lanes = nc_most(nc_least(g->out.channels - c, NC_LANES), 0);
        load_square(&g->out, image + c, at.row, at.column, lanes, OUT, &square[0][0]);
        square_of_gradient(square, transformed);
        NC_UNROLL
        for (int p = 0; p < PLACES; p++) nc_store(to + p * g->out.padded + c, transformed[p / SIDE][p % SIDE]);
    }
}

/* sums[input][output] (+)= over tiles of patches[tile][input] gradients[tile][output], for `depth` inputs and a panel
 * of outputs; rows of sums are `apart` floats from one another */
static void add_products(const winograd *g, int64_t depth, int64_t tiles, const float *patches, const float *gradients,
                         float *sums, int64_t apart, bool accumulate)
{
    const nc_tap origin = {0, 0};
    const int64_t parts = nc_ceil_div(depth, NC_TILE_ROWS);
    nc_tile tile = {.a_row = 1,
                    .a_step = g->in.stride,
                    .b_step = g->out.stride,
                    .taps = &origin,
                    .tap_count = 1,
                    .b = gradients,
                    .steps = tiles,
                    .c_row = apart,
                    .columns = PANEL,
                    .accumulate = accumulate};
    for (int64_t part = 0; part < parts; part++) {
        const nc_range rows = nc_share(depth, 1, parts, part);
        tile.a = patches + rows.begin;
        tile.c = sums + rows.begin * apart;
        nc_isa(nc_tiles_f32)[NC_TILE_ROWS_CONTIGUOUS][rows.end - rows.begin - 1][NC_TILE_VECTORS - 1](&tile);
    }
}

/* All inputs of one place and some panels of outputs: sums[place][input][output]. */
static void add_place(const winograd *g, int64_t p, nc_range panels, int64_t tiles, const float *patches,
                      const float *gradients, float *sums, bool accumulate)
{
    for (int64_t o = panels.begin * PANEL; o < panels.end * PANEL; o += PANEL)
        add_products(g, g->in.depth, tiles, patches + p * g->in.padded, gradients + p * g->out.padded + o,
                     sums + p * g->in.depth * g->out.padded + o, g->out.padded, accumulate);
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
            add_place(g, p, panels, tiles, patches, gradients, sums, chunk > chunks.begin);
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
    add_place(g, index / g->panel_parts, panels, nc_least(g->tiles - g->first, g->chunk), g->scratch,
              g->scratch + g->chunk * g->in.stride, g->sums, g->first > 0);
}

/* Where a task finds what it restores: sums[slot][place][phase][input][output], in floats from one to the next, and
 * places of the last three. */
typedef struct restored {
    const float *sums;
    int64_t slots, slot, place, phase, input;
} restored;

/* Adds up the slots of one input channel and vector of outputs, and goes back to its weights. */
static void restore_vector(const winograd *g, const restored *r, int64_t c, int64_t out, const float *from)
{
    kernel_weights weights = {0};
    for (int64_t phase = 0; phase < PHASES; phase++) {
        nc_vec sums[SIDE][SIDE], taps[TAPS][TAPS];
        for (int p = 0; p < PLACES; p++) {
            const float *slot = from + p * r->place + phase * r->phase;
            nc_vec total = nc_load(slot);
            for (int64_t i = 1; i < r->slots; i++) total += nc_load(slot + i * r->slot);
            sums[p / SIDE][p % SIDE] = total;
        }
        square_of_restored(sums, taps);
        for (int t = 0; t < TAPS * TAPS; t++)
            weights.at[weight_of(g, phase, t / TAPS, t % TAPS)] = taps[t / TAPS][t % TAPS];
    }
    for (int at = 0; at < WEIGHTS; at += NC_LANES) {
        nc_transpose(weights.at + at);
        for (int64_t i = 0; i < nc_least(g->out.channels - out, NC_LANES); i++)
            nc_store_as(g->w.dtype, g->w.data, ((out + i) * g->in.channels + c) * WEIGHTS + at, weights.at[at + i],
                        nc_least(WEIGHTS - at, NC_LANES));
    }
}

static void restore(const winograd *g, const restored *r, nc_range inputs, int64_t panel)
{
    for (int64_t c = inputs.begin; c < inputs.end; c++)
        for (int64_t v = 0; v < nc_least(PANEL, g->out.channels - panel * PANEL); v += NC_LANES)
            restore_vector(g, r, c, panel * PANEL + v, r->sums + (c - inputs.begin) * r->input + v);
}

/* Input channels that a task restores. */
static nc_range restored_inputs(const winograd *g, int64_t index)
{
    return nc_share(g->in.channels, 1, nc_ceil_div(g->in.channels, RESTORED), index);
}

static void restore_part(void *user, int64_t index, int thread)
{
    (void)thread;
    const winograd *g = user;
    const int64_t panels = g->out.padded / PANEL, panel = index % panels, outputs = g->out.padded;
    const nc_range inputs = restored_inputs(g, index / panels);
    const restored r = {.sums = g->sums + inputs.begin * outputs + panel * PANEL,
                        .slots = g->slots,
                        .slot = slot_floats(g),
                        .place = g->in.depth * outputs,
                        .phase = g->phase_depth * outputs,
                        .input = outputs};
    restore(g, &r, inputs, panel);
}

/* The same without sums of all weights: those of the task are added up and restored in scratch. */
enum { RESTORED_PHASE = RESTORED * PANEL, RESTORED_FLOATS = PLACES * PHASES * RESTORED_PHASE };

static void sum_and_restore(void *user, int64_t index, int thread)
{
    const winograd *g = user;
    const int64_t panels = g->out.padded / PANEL, panel = index % panels;
    const nc_range inputs = restored_inputs(g, index / panels);
    const float *patches = g->scratch + inputs.begin, *gradients = g->scratch + g->chunk * g->in.stride + panel * PANEL;
    float *sums = g->sums + thread * RESTORED_FLOATS;
    for (int64_t i = 0; i < PLACES * PHASES; i++)
        add_products(g, inputs.end - inputs.begin, g->tiles,
                     patches + i / PHASES * g->in.padded + i % PHASES * g->phase_depth,
                     gradients + i / PHASES * g->out.padded, sums + i * RESTORED_PHASE, PANEL, false);
    const restored r = {
        .sums = sums, .slots = 1, .place = PHASES * RESTORED_PHASE, .phase = RESTORED_PHASE, .input = PANEL};
    restore(g, &r, inputs, panel);
}

static void differentiate(winograd *g, nacre_team *team)
{
    const int64_t parts = nc_ceil_div(g->in.channels, RESTORED) * (g->out.padded / PANEL);
    if (g->sliced) {
        nacre_parallel(team, g->tiles, load_shared_gradients, g);
        nacre_parallel(team, parts, sum_and_restore, g);
        return;
    }
    if (!g->together) nacre_parallel(team, g->slots, run_slot, g);
    g->panel_parts = nc_least(nc_ceil_div(2 * nacre_team_size(team), PLACES), g->out.padded / PANEL);
    for (int64_t chunk = 0; g->together && chunk < g->chunks; chunk++) { /* at least one, which may be empty */
        g->first = chunk * g->chunk;
        nacre_parallel(team, nc_least(g->tiles - g->first, g->chunk), load_shared_gradients, g);
        nacre_parallel(team, PLACES * g->panel_parts, add_shared, g);
    }
    nacre_parallel(team, parts, restore_part, g);
}

/* ---- as kernels
 * ------------------------------------------------------------------------------------------------------ */

static const char *refuse(const nacre_node_info *info)
{
    const char *reason = nc_conv_mixed_refusal(info);
    if (reason) return reason;
    const nc_conv conv = nc_conv_problem_of_info(info);
    for (int i = 0; i < 2; i++)
        if (conv.kernel[i] != KERNEL || conv.stride[i] != STEP || conv.dilation[i] != 1)
            return STEP > 1 ? "takes a 4x4 kernel with stride 2 and no dilation only"
                            : "takes a 3x3 kernel with stride and dilation 1 only";
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
    return !g.sliced && slot_floats(&g) > MOST_SUMS ? "too many channels" : NULL;
}

static size_t prepared(const nacre_node_info *info)
{
    const nc_conv_node node = nc_conv_node_of_info(info);
    const winograd g = problem_of(&node, info->op);
    return is_sliced(&g) ? 0 : sizeof(float) * (size_t)(places(&g) * g.in.depth * g.out.padded);
}

static void prepare(const nacre_call *call)
{
    const nc_conv_node node = nc_conv_node_of_call(call);
    winograd g = problem_of(&node, call->op);
    if (is_sliced(&g)) return;
    g.w = node.w;
    g.weights = call->prepared;
    nacre_parallel(call->team, g.out.padded / PANEL, pack_weights, &g);
}

static size_t workspace(const nacre_node_info *info)
{
    const nc_conv_node node = nc_conv_node_of_info(info);
    winograd g = problem_of(&node, info->op);
    share_work(&g, info->threads);
    const int64_t sliced = g.chunk * g.in.stride + info->threads * sliced_floats(&g);
    return sizeof(float) * (size_t)(g.sliced ? sliced : thread_floats(&g) * (g.together ? 1 : info->threads));
}

static void set_images(side *s, const nacre_view *images)
{
    s->data = images->data;
    s->dtype = images->dtype;
}

static void run(const nacre_call *call)
{
    const nc_conv_node node = nc_conv_node_of_call(call);
    winograd g = problem_of(&node, call->op);
    share_work(&g, nacre_team_size(call->team));
    set_images(&g.in, g.mirrored ? &node.y : &node.x);
    set_images(&g.out, g.mirrored ? &node.x : &node.y);
    g.w = node.w;
    g.weights = call->prepared;
    g.scratch = call->workspace;
    g.node = &node;
    convolve(&g, call->team);
}

static size_t backward_weights_workspace(const nacre_node_info *info)
{
    const nc_conv conv = nc_conv_problem_of_info(info);
    const winograd g = backward_weights_of(&conv);
    const int64_t sums = g.sliced ? info->threads * RESTORED_FLOATS : g.slots * slot_floats(&g);
    return sizeof(float) * (size_t)(sums + (g.together ? 1 : info->threads) * thread_floats(&g));
}

static void run_backward_weights(const nacre_call *call)
{
    const nc_conv_node node = nc_conv_node_of_call(call);
    const nc_conv conv = nc_conv_problem(&node);
    winograd g = backward_weights_of(&conv);
    set_images(&g.in, &node.x);
    set_images(&g.out, &node.y);
    g.w = node.w;
    g.sums = call->workspace;
    g.scratch = g.sums + (g.sliced ? nacre_team_size(call->team) * RESTORED_FLOATS : g.slots * slot_floats(&g));
    differentiate(&g, call->team);
}

enum { FLAGS = NACRE_KERNEL_CHANNELS_LAST | NACRE_KERNEL_MIXED };

#define KERNEL_(operation, name) nc_isa(nc_##operation##_##name##_kernel)
#define KERNEL(operation, name)  KERNEL_(operation, name)
#define CONVOLUTION(operation)                                                                                         \
    const nacre_kernel KERNEL(operation, NAME) = {.op = #operation,                                                    \
                                                  .variant = NC_STRING(NAME) "_" NC_ISA_NAME,                          \
                                                  .flags = FLAGS,                                                      \
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
    .flags = FLAGS,
    .can = refuse_weights,
    .slower = slower,
    .workspace = backward_weights_workspace,
    .run = run_backward_weights,
};

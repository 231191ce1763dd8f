/* cpu/simd/batch_norm.c - normalisation of each channel over batch and space, and its gradients.
 *
 * x is seen as [images][channels][pixels], where one of the last two axes is contiguous: channels-last images and
 * matrices [N, C] are one image of N * H * W pixels with channels side by side, plain ones have pixels side by side.
 * The statistics of a slab of pixels are taken in one pass and joined in a fixed order (Chan, Golub and LeVeque 1979),
 * so that x is read from memory once for them and once for the result: the other way round, so that what was read last
 * is found in the cache. Results larger than the cache go around it.
 *
 * x, dy and the result may be of 16 bits, all alike, and so may statistics and parameters; sums are f32. */
#include "cpu/layout.h"
#include "cpu/share.h"
#include "cpu/simd/half.h"

#include <math.h>

#ifdef NACRE_STRESS
enum { SLAB = 1 << 6, SLAB_ACROSS = 1 << 6 };
#else
enum { SLAB = 1 << 13, SLAB_ACROSS = 1 << 15 }; /* elements of a slab: a first-level cache; contiguous channels */
#endif
enum {
    ABREAST = 4, /* vectors of contiguous channels that are worked on together */
    JOINED = 16, /* channels whose slabs a task joins */
    RANGE = 512, /* channels whose sums wait in the first-level cache */
};

typedef struct batch_norm {
    int64_t images, channels, pixels; /* pixels of an image */
    bool across;                      /* channels are contiguous */
    bool streamed;                    /* the result goes around the cache */
    int64_t slab, slabs;              /* pixels of a slab, slabs of an image */
    int64_t share;                    /* of the tasks, a thread's */
    nacre_dtype dtype;                /* of x, dy and y */
    const void *x, *dy;
    void *y;
    /* [slabs of all images][channels]: sums over a slab of x and of squared deviations, or of dy and of dy n */
    float *first, *second;
    float *scale, *shift; /* [channels]: y = x scale + shift, dx = dy scale + x slope + shift */
    float *slope;
    const float *mean, *inverse; /* backward: [channels] */
} batch_norm;

static batch_norm describe(const nacre_view *x, void *workspace)
{
    const int64_t *dims = x->shape.dims;
    int64_t pixels = 1;
    for (int i = 2; i < x->shape.rank; i++) pixels *= dims[i];
    batch_norm b = {.images = dims[0], .channels = dims[1], .pixels = pixels, .across = pixels == 1};
    b.across = pixels == 1 || (x->shape.rank == 4 && !nc_is_plain(x));
    if (b.across) {
        b.pixels *= b.images;
        b.images = 1;
    }
    b.slab = nc_least(nc_most(b.across ? SLAB_ACROSS / b.channels : SLAB, 1), b.pixels);
    b.slabs = nc_ceil_div(b.pixels, b.slab);
    b.dtype = x->dtype;
    b.x = x->data;
    const int64_t partials = b.images * b.slabs * b.channels;
    b.first = workspace;
    b.second = b.first ? b.first + partials : NULL;
    b.scale = b.first ? b.second + partials : NULL;
    b.shift = b.first ? b.scale + b.channels : NULL;
    b.slope = b.first ? b.shift + b.channels : NULL;
    return b;
}

static int64_t task_count(const batch_norm *b)
{
    return b->images * b->slabs * (b->across ? 1 : b->channels);
}

static size_t workspace_bytes(const nacre_view *x)
{
    const batch_norm b = describe(x, NULL);
    return sizeof(float) * (size_t)(2 * b.images * b.slabs * b.channels + 3 * b.channels);
}

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

/* Elements [at, at + lanes) of x, dy or y. `dtype` is known when this is compiled. */
NC_ALWAYS_INLINE nc_vec get_data(nacre_dtype dtype, const void *data, int64_t at, int64_t lanes)
{
    return dtype == NACRE_F32 ? get((const float *)data + at, lanes) : nc_load_as(dtype, data, at, lanes);
}

NC_ALWAYS_INLINE void put_data(nacre_dtype dtype, void *data, int64_t at, nc_vec v, int64_t lanes)
{
    if (dtype == NACRE_F32)
        put((float *)data + at, v, lanes);
    else
        nc_store_as(dtype, data, at, v, nc_least(lanes, NC_LANES));
}

/* ---- a line of lanes: pixels of one channel, or channels of one pixel ----------------------------------------------
 */

/* Where slab `index` of the image stands and which pixels of it there are. */
typedef struct slab {
    int64_t offset, pixels, partial; /* of x; how many; of the partial sums */
} slab;

static slab find_slab(const batch_norm *b, int64_t index, int64_t channel)
{
    const int64_t image = index / b->slabs, first = index % b->slabs * b->slab;
    const int64_t start = image * b->channels * b->pixels;
    return (slab){.offset = start + (b->across ? first * b->channels + channel : channel * b->pixels + first),
                  .pixels = nc_least(b->slab, b->pixels - first),
                  .partial = index * b->channels + channel};
}

/* Sum and squared deviations from the slab's mean, for one channel of contiguous pixels. */
NC_ALWAYS_INLINE void moments_along(nacre_dtype dtype, const batch_norm *b, slab s)
{
    nc_vec sum = {0}, squares = {0};
    for (int64_t i = 0; i < s.pixels; i += NC_LANES) sum += get_data(dtype, b->x, s.offset + i, s.pixels - i);
    const float total = nc_sum(sum), mean = total / (float)s.pixels;
    int64_t i = 0;
    for (; i + NC_LANES <= s.pixels; i += NC_LANES) {
        const nc_vec d = get_data(dtype, b->x, s.offset + i, NC_LANES) - mean;
        squares = nc_fma(d, d, squares);
    }
    float rest[NC_LANES] = {0}, squared = 0;
    if (i < s.pixels) nc_store(rest, get_data(dtype, b->x, s.offset + i, s.pixels - i) - mean);
    for (int64_t k = 0; k < s.pixels - i; k++) squared += rest[k] * rest[k];
    b->first[s.partial] = total;
    b->second[s.partial] = nc_sum(squares) + squared;
}

/* Contiguous channels are worked on some vectors at a time: over all pixels of a slab if that are all channels, else
 * pixel by pixel, so that memory is read as it lies, and what is summed waits here meanwhile. */
typedef struct collected {
    float first[RANGE], second[RANGE], off[RANGE];
} collected;

/* Channels [channel, ...), a vector of `lanes` or some whole ones, of pixels [first, first + pixels) of a slab. */
typedef struct part {
    int64_t begin; /* of the slab, at this channel */
    int64_t first, pixels, channel, lanes;
} part;

NC_ALWAYS_INLINE void begin(const part *p, const float *from, nc_vec sum[ABREAST], int vectors)
{
    NC_UNROLL
    for (int v = 0; v < vectors; v++)
        sum[v] = p->first == 0 ? (nc_vec){0} : get(from + p->channel % RANGE + v * NC_LANES, p->lanes);
}

NC_ALWAYS_INLINE void end(const part *p, float *to, const nc_vec sum[ABREAST], int vectors)
{
    NC_UNROLL
    for (int v = 0; v < vectors; v++) put(to + p->channel % RANGE + v * NC_LANES, sum[v], p->lanes);
}

/* The same as moments_along for contiguous channels, in one pass: deviations are taken from the slab's first pixel. */
NC_ALWAYS_INLINE void moments_across(nacre_dtype dtype, const batch_norm *b, const part *p, collected *so_far,
                                     int vectors)
{
    int64_t at = p->begin;
    nc_vec pivot[ABREAST], sum[ABREAST], off[ABREAST], squares[ABREAST];
    begin(p, so_far->first, sum, vectors);
    begin(p, so_far->second, squares, vectors);
    begin(p, so_far->off, off, vectors);
    NC_UNROLL
    for (int v = 0; v < vectors; v++) pivot[v] = get_data(dtype, b->x, at + v * NC_LANES, p->lanes);
    at += p->first * b->channels;
    for (int64_t i = 0; i < p->pixels; i++, at += b->channels) {
        NC_UNROLL
        for (int v = 0; v < vectors; v++) {
            const nc_vec value = get_data(dtype, b->x, at + v * NC_LANES, p->lanes), d = value - pivot[v];
            sum[v] += value; /* off would lose digits of a mean that is small beside the pivot */
            off[v] += d;
            squares[v] = nc_fma(d, d, squares[v]);
        }
    }
    end(p, so_far->first, sum, vectors);
    end(p, so_far->second, squares, vectors);
    end(p, so_far->off, off, vectors);
}

/* Channels [channel, end) of a slab are summed. As its first pixel is one of its pixels, what is subtracted is at most
 * their number times what is left. */
static void finish_moments(const batch_norm *b, const slab *s, const collected *so_far, int64_t channel, int64_t end)
{
    for (int64_t c = channel; c < end; c++) {
        const float off = so_far->off[c % RANGE], left = so_far->second[c % RANGE] - off * (off / (float)s->pixels);
        b->first[s->partial + c] = so_far->first[c % RANGE];
        b->second[s->partial + c] = left > 0 ? left : 0;
    }
}

/* Sums of dy and of dy n, n = (x - mean) inverse. */
NC_ALWAYS_INLINE void products_along(nacre_dtype dtype, const batch_norm *b, slab s, int64_t channel)
{
    const nc_vec mean = nc_splat(b->mean[channel]);
    nc_vec sum = {0}, products = {0};
    for (int64_t i = 0; i < s.pixels; i += NC_LANES) {
        const nc_vec g = get_data(dtype, b->dy, s.offset + i, s.pixels - i);
        sum += g;
        products = nc_fma(g, get_data(dtype, b->x, s.offset + i, s.pixels - i) - mean, products);
    }
    b->first[s.partial] = nc_sum(sum);
    b->second[s.partial] = nc_sum(products) * b->inverse[channel];
}

/* The inverse comes in the end. */
NC_ALWAYS_INLINE void products_across(nacre_dtype dtype, const batch_norm *b, const part *p, collected *so_far,
                                      int vectors)
{
    int64_t at = p->begin + p->first * b->channels;
    nc_vec mean[ABREAST], sum[ABREAST], products[ABREAST];
    begin(p, so_far->first, sum, vectors);
    begin(p, so_far->second, products, vectors);
    NC_UNROLL
    for (int v = 0; v < vectors; v++) mean[v] = get(b->mean + p->channel + v * NC_LANES, p->lanes);
    for (int64_t i = 0; i < p->pixels; i++, at += b->channels) {
        NC_UNROLL
        for (int v = 0; v < vectors; v++) {
            const nc_vec g = get_data(dtype, b->dy, at + v * NC_LANES, p->lanes);
            sum[v] += g;
            products[v] = nc_fma(g, get_data(dtype, b->x, at + v * NC_LANES, p->lanes) - mean[v], products[v]);
        }
    }
    end(p, so_far->first, sum, vectors);
    end(p, so_far->second, products, vectors);
}

static void finish_products(const batch_norm *b, const slab *s, const collected *so_far, int64_t channel, int64_t end)
{
    for (int64_t c = channel; c < end; c++) {
        b->first[s->partial + c] = so_far->first[c % RANGE];
        b->second[s->partial + c] = so_far->second[c % RANGE] * b->inverse[c];
    }
}

/* y = x scale + shift, or dx = dy scale + x slope + shift. */
NC_ALWAYS_INLINE nc_vec combined(nacre_dtype dtype, const batch_norm *b, int64_t at, int64_t lanes, nc_vec scale,
                                 nc_vec slope, nc_vec shift)
{
    const nc_vec x = get_data(dtype, b->x, at, lanes);
    if (!b->dy) return nc_fma(x, scale, shift);
    return nc_fma(get_data(dtype, b->dy, at, lanes), scale, nc_fma(x, slope, shift));
}

NC_ALWAYS_INLINE void write_along(nacre_dtype dtype, const batch_norm *b, slab s, int64_t channel)
{
    const nc_vec scale = nc_splat(b->scale[channel]), shift = nc_splat(b->shift[channel]);
    const nc_vec slope = b->dy ? nc_splat(b->slope[channel]) : scale;
    for (int64_t i = 0; i < s.pixels; i += NC_LANES) {
        const int64_t at = s.offset + i, lanes = s.pixels - i;
        put_data(dtype, b->y, at, combined(dtype, b, at, lanes, scale, slope, shift), lanes);
    }
}

NC_ALWAYS_INLINE void write_across(nacre_dtype dtype, const batch_norm *b, const part *p, collected *none, int vectors)
{
    (void)none;
    nc_vec scale[ABREAST], shift[ABREAST], slope[ABREAST];
    NC_UNROLL
    for (int v = 0; v < vectors; v++) {
        const int64_t c = p->channel + v * NC_LANES;
        scale[v] = get(b->scale + c, p->lanes);
        shift[v] = get(b->shift + c, p->lanes);
        slope[v] = b->dy ? get(b->slope + c, p->lanes) : scale[v];
    }
    for (int64_t i = p->first; i < p->first + p->pixels; i++) {
        NC_UNROLL
        for (int v = 0; v < vectors; v++) {
            const int64_t at = p->begin + i * b->channels + v * NC_LANES;
            const nc_vec y = combined(dtype, b, at, p->lanes, scale[v], slope[v], shift[v]);
            if (dtype == NACRE_F32 && b->streamed)
                nc_stream((float *)b->y + at, y);
            else
                put_data(dtype, b->y, at, y, p->lanes);
        }
    }
}

/* ---- tasks: a slab of all channels, or of one where pixels are contiguous ------------------------------------------
 */

/* The function for the type of the data, which it is compiled for. */
#define FOR_TYPE(function, b, index)                                                                                   \
    do {                                                                                                               \
        if ((b)->dtype == NACRE_F32)                                                                                   \
            function(NACRE_F32, b, index);                                                                             \
        else if ((b)->dtype == NACRE_BF16)                                                                             \
            function(NACRE_BF16, b, index);                                                                            \
        else                                                                                                           \
            function(NACRE_F16, b, index);                                                                             \
    } while (0)

/* All channels of slab `index`. */
typedef void walk_function(nacre_dtype dtype, const batch_norm *b, const part *p, collected *so_far, int vectors);
typedef void finish_function(const batch_norm *b, const slab *s, const collected *so_far, int64_t channel, int64_t end);

NC_ALWAYS_INLINE void across(nacre_dtype dtype, const batch_norm *b, int64_t index, walk_function *walk,
                             finish_function *finish)
{
    const slab s = find_slab(b, index, 0);
    const int64_t together = b->channels > ABREAST * NC_LANES ? 1 : s.pixels;
    collected so_far;
    for (int64_t begin = 0, end; begin < b->channels; begin = end) {
        end = nc_least(begin + RANGE, b->channels);
        for (int64_t i = 0; i < s.pixels; i += together)
            for (int64_t c = begin; c < end;) {
                part p = {s.offset + c, i, nc_least(together, s.pixels - i), c, nc_least(end - c, NC_LANES)};
                const bool several = end - c >= ABREAST * NC_LANES;
                if (several)
                    walk(dtype, b, &p, &so_far, ABREAST);
                else
                    walk(dtype, b, &p, &so_far, 1);
                c += several ? ABREAST * NC_LANES : NC_LANES;
            }
        if (finish) finish(b, &s, &so_far, begin, end);
    }
}

NC_ALWAYS_INLINE void moments(nacre_dtype dtype, const batch_norm *b, int64_t index)
{
    if (b->across)
        across(dtype, b, index, moments_across, finish_moments);
    else
        moments_along(dtype, b, find_slab(b, index / b->channels, index % b->channels));
}

static void moments_task(void *user, int64_t index, int thread)
{
    (void)thread;
    const batch_norm *b = user;
    FOR_TYPE(moments, b, index);
}

NC_ALWAYS_INLINE void products(nacre_dtype dtype, const batch_norm *b, int64_t index)
{
    if (b->across)
        across(dtype, b, index, products_across, finish_products);
    else
        products_along(dtype, b, find_slab(b, index / b->channels, index % b->channels), index % b->channels);
}

static void products_task(void *user, int64_t index, int thread)
{
    (void)thread;
    const batch_norm *b = user;
    FOR_TYPE(products, b, index);
}

NC_ALWAYS_INLINE void write(nacre_dtype dtype, const batch_norm *b, int64_t index)
{
    if (b->across)
        across(dtype, b, index, write_across, NULL);
    else
        write_along(dtype, b, find_slab(b, index / b->channels, index % b->channels), index % b->channels);
    if (b->streamed) nc_stream_end();
}

/* Each thread's last slabs first: a team gives neighbours to one thread. */
static void write_task(void *user, int64_t place, int thread)
{
    (void)thread;
    const batch_norm *b = user;
    const int64_t begin = place / b->share * b->share, end = nc_least(begin + b->share, task_count(b));
    const int64_t index = begin + end - 1 - place;
    FOR_TYPE(write, b, index);
}

/* Whole vectors at aligned addresses of memory that x is not in. */
static void set_result(batch_norm *b, void *y)
{
    b->y = y;
    b->streamed = b->dtype == NACRE_F32 && b->across && b->channels % NC_LANES == 0 &&
                  nc_is_streamed(y, b->pixels * b->channels) && y != b->x && y != b->dy;
}

static void run_slabs(batch_norm *b, nacre_team *team, void (*body)(void *, int64_t, int))
{
    b->share = nc_ceil_div(task_count(b), nacre_team_size(team));
    nacre_parallel(team, task_count(b), body, b);
}

/* ---- forward -------------------------------------------------------------------------------------------------------
 */

static double given(const nacre_call *call, int index, int64_t channel, double absent)
{
    if (index >= call->input_count || !call->inputs[index].data) return absent;
    return nacre_dtype_load(call->inputs[index].dtype, call->inputs[index].data, channel);
}

static void give(const nacre_call *call, int index, int64_t channel, double value)
{
    nacre_dtype_store(call->outputs[index].dtype, call->outputs[index].data, channel, value);
}

/* Some channels of a call, whose slabs are joined together as they lie beside each other. */
typedef struct joining {
    const nacre_call *call;
    batch_norm *b;
} joining;

static void join_channels(joining *j, void (*body)(void *, int64_t, int))
{
    nacre_parallel(j->call->team, nc_ceil_div(j->b->channels, JOINED), body, j);
}

/* Per channel the mean of all slabs, the sum of squared deviations from it, and what follows from them. */
static void join_moments(void *user, int64_t index, int thread)
{
    enum { X, WEIGHT, BIAS };
    (void)thread;
    const joining *j = user;
    const nacre_call *call = j->call;
    batch_norm *b = j->b;
    const int64_t first = index * JOINED, channels = nc_least(JOINED, b->channels - first);
    const double count = (double)(b->images * b->pixels), epsilon = nacre_unword(call->attributes[0]);
    double mean[JOINED] = {0}, squares[JOINED] = {0};
    for (int64_t i = 0; i < b->images * b->slabs; i++)
        for (int64_t c = 0; c < channels; c++) mean[c] += (double)b->first[i * b->channels + first + c];
    for (int64_t c = 0; c < channels; c++) mean[c] /= count;
    for (int64_t i = 0; i < b->images * b->slabs; i++) {
        const double pixels = (double)nc_least(b->slab, b->pixels - i % b->slabs * b->slab), share = 1 / pixels;
        for (int64_t c = 0; c < channels; c++) {
            const double off = (double)b->first[i * b->channels + first + c] * share - mean[c];
            squares[c] += (double)b->second[i * b->channels + first + c] + pixels * off * off;
        }
    }
    for (int64_t c = 0; c < channels; c++) {
        const int64_t channel = first + c;
        const double var = squares[c] / count, scale = given(call, WEIGHT, channel, 1) / sqrt(var + epsilon);
        b->scale[channel] = (float)scale;
        b->shift[channel] = (float)(given(call, BIAS, channel, 0) - mean[c] * scale);
        give(call, 1, channel, mean[c]);
        give(call, 2, channel, var);
    }
}

static void run_forward(const nacre_call *call)
{
    batch_norm b = describe(&call->inputs[0], call->workspace);
    set_result(&b, call->outputs[0].data);
    run_slabs(&b, call->team, moments_task);
    join_channels(&(joining){call, &b}, join_moments);
    run_slabs(&b, call->team, write_task);
}

static void run_inference(const nacre_call *call)
{
    enum { X, MEAN, VAR, WEIGHT, BIAS };
    batch_norm b = describe(&call->inputs[X], call->workspace);
    const double epsilon = nacre_unword(call->attributes[0]);
    set_result(&b, call->outputs[0].data);
    for (int64_t c = 0; c < b.channels; c++) {
        const double scale = given(call, WEIGHT, c, 1) / sqrt(given(call, VAR, c, 0) + epsilon);
        b.scale[c] = (float)scale;
        b.shift[c] = (float)(given(call, BIAS, c, 0) - given(call, MEAN, c, 0) * scale);
    }
    run_slabs(&b, call->team, write_task);
}

/* ---- gradients -----------------------------------------------------------------------------------------------------
 */

enum { DY, SAVED_X, MEAN, VAR, BACKWARD_WEIGHT };

/* Per channel the sums of all slabs, and dx = weight inverse (dy - mean(dy) - n mean(dy n)) as dy scale + x slope +
 * shift.
 */
static void join_products(void *user, int64_t index, int thread)
{
    (void)thread;
    const joining *j = user;
    const nacre_call *call = j->call;
    batch_norm *b = j->b;
    const int64_t first = index * JOINED, channels = nc_least(JOINED, b->channels - first);
    const double epsilon = nacre_unword(call->attributes[0]), count = (double)(b->images * b->pixels);
    double sums[JOINED] = {0}, products[JOINED] = {0};
    for (int64_t i = 0; i < b->images * b->slabs; i++)
        for (int64_t c = 0; c < channels; c++) {
            sums[c] += (double)b->first[i * b->channels + first + c];
            products[c] += (double)b->second[i * b->channels + first + c];
        }
    for (int64_t c = 0; c < channels; c++) {
        const int64_t channel = first + c;
        const double inverse = 1 / sqrt(given(call, VAR, channel, 0) + epsilon);
        const double scale = given(call, BACKWARD_WEIGHT, channel, 1) * inverse;
        const double slope = -scale * inverse * products[c] / count;
        give(call, 1, channel, products[c]);
        give(call, 2, channel, sums[c]);
        b->scale[channel] = (float)scale;
        b->slope[channel] = (float)slope;
        b->shift[channel] = (float)(-scale * sums[c] / count - slope * (double)b->mean[channel]);
    }
}

static void run_backward(const nacre_call *call)
{
    batch_norm b = describe(&call->inputs[SAVED_X], call->workspace);
    const double epsilon = nacre_unword(call->attributes[0]);
    b.dy = call->inputs[DY].data;
    set_result(&b, call->outputs[0].data);
    b.mean = b.shift; /* until they are the shift and the scale */
    b.inverse = b.scale;
    for (int64_t c = 0; c < b.channels; c++) {
        b.shift[c] = (float)given(call, MEAN, c, 0);
        b.scale[c] = (float)(1 / sqrt(given(call, VAR, c, 0) + epsilon));
    }
    run_slabs(&b, call->team, products_task);
    join_channels(&(joining){call, &b}, join_products);
    run_slabs(&b, call->team, write_task);
}

/* ---- as kernels ----------------------------------------------------------------------------------------------------
 */

static const char *refuse(const nacre_node_info *info)
{
    const nacre_view *y = &info->outputs[0];
    if (y->dtype != NACRE_F32 && !nc_is_half(y->dtype)) return "computes f32, bf16 and f16 only";
    const int data = info->op->layouts[1] == 'd' ? 2 : 1; /* operands: x, or dy and x */
    for (int i = 0; i < data; i++)
        if (info->inputs[i].dtype != y->dtype) return "takes data of one type only";
    if (nacre_shape_count(y->shape) == 0) return "there is nothing to normalise";
    return nc_is_plain(y) || nc_is_channels_last(y) ? NULL : "needs plain or channels-last order";
}

static size_t forward_workspace(const nacre_node_info *info)
{
    return workspace_bytes(&info->outputs[0]);
}

#define KERNEL(name, function)                                                                                         \
    const nacre_kernel nc_isa(nc_##name##_kernel) = {                                                                  \
        .op = #name,                                                                                                   \
        .variant = "slabs_" NC_ISA_NAME,                                                                               \
        .flags = NACRE_KERNEL_ANY_LAYOUT | NACRE_KERNEL_IN_PLACE | NACRE_KERNEL_MIXED,                                 \
        .can = refuse,                                                                                                 \
        .workspace = forward_workspace,                                                                                \
        .run = function,                                                                                               \
    };
KERNEL(batch_norm, run_forward)
KERNEL(batch_norm_backward, run_backward)
KERNEL(batch_norm_inference, run_inference)

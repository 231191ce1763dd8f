/* cpu/simd/batch_norm.c - normalisation of each channel over batch and space, and its gradients.
 *
 * x is seen as [images][channels][pixels], where one of the last two axes is contiguous: channels-last images and
 * matrices [N, C] are one image of N * H * W pixels with channels side by side, plain ones have pixels side by side.
 * The statistics of a slab of pixels are taken in two passes while it is in the cache and joined in a fixed order
 * (Chan, Golub and LeVeque 1979), so that x is read from memory once for them and once for the result. */
#include "cpu/layout.h"
#include "cpu/share.h"
#include "cpu/simd/simd.h"

#include <math.h>

#ifdef NACRE_STRESS
enum { SLAB = 1 << 6 };
#else
enum { SLAB = 1 << 13 }; /* elements of a slab: a first-level cache */
#endif

typedef struct batch_norm {
    int64_t images, channels, pixels; /* pixels of an image */
    bool across;                      /* channels are contiguous */
    int64_t slab, slabs;              /* pixels of a slab, slabs of an image */
    const float *x, *dy;
    float *y;
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
    b.slab = nc_least(nc_most(b.across ? SLAB / b.channels : SLAB, 1), b.pixels);
    b.slabs = nc_ceil_div(b.pixels, b.slab);
    b.x = x->data;
    const int64_t partials = b.images * b.slabs * b.channels;
    b.first = workspace;
    b.second = b.first ? b.first + partials : NULL;
    b.scale = b.first ? b.second + partials : NULL;
    b.shift = b.first ? b.scale + b.channels : NULL;
    b.slope = b.first ? b.shift + b.channels : NULL;
    return b;
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
static void moments_along(const batch_norm *b, slab s)
{
    const float *x = b->x + s.offset;
    nc_vec sum = {0}, squares = {0};
    for (int64_t i = 0; i < s.pixels; i += NC_LANES) sum += get(x + i, s.pixels - i);
    const float total = nc_sum(sum), mean = total / (float)s.pixels;
    int64_t i = 0;
    for (; i + NC_LANES <= s.pixels; i += NC_LANES) {
        const nc_vec d = nc_load(x + i) - mean;
        squares = nc_fma(d, d, squares);
    }
    float rest = 0;
    for (; i < s.pixels; i++) rest += (x[i] - mean) * (x[i] - mean);
    b->first[s.partial] = total;
    b->second[s.partial] = nc_sum(squares) + rest;
}

/* The same for up to a vector of contiguous channels. */
static void moments_across(const batch_norm *b, slab s, int64_t lanes)
{
    const float *x = b->x + s.offset;
    nc_vec sum = {0}, squares = {0};
    for (int64_t i = 0; i < s.pixels; i++) sum += get(x + i * b->channels, lanes);
    const nc_vec mean = sum / (float)s.pixels;
    for (int64_t i = 0; i < s.pixels; i++) {
        const nc_vec d = get(x + i * b->channels, lanes) - mean;
        squares = nc_fma(d, d, squares);
    }
    put(b->first + s.partial, sum, lanes);
    put(b->second + s.partial, squares, lanes);
}

/* Sums of dy and of dy n, n = (x - mean) inverse. */
static void products_along(const batch_norm *b, slab s, int64_t channel)
{
    const float *x = b->x + s.offset, *dy = b->dy + s.offset;
    const nc_vec mean = nc_splat(b->mean[channel]);
    nc_vec sum = {0}, products = {0};
    for (int64_t i = 0; i < s.pixels; i += NC_LANES) {
        const nc_vec g = get(dy + i, s.pixels - i);
        sum += g;
        products = nc_fma(g, get(x + i, s.pixels - i) - mean, products);
    }
    b->first[s.partial] = nc_sum(sum);
    b->second[s.partial] = nc_sum(products) * b->inverse[channel];
}

static void products_across(const batch_norm *b, slab s, int64_t channel, int64_t lanes)
{
    const float *x = b->x + s.offset, *dy = b->dy + s.offset;
    const nc_vec mean = get(b->mean + channel, lanes);
    nc_vec sum = {0}, products = {0};
    for (int64_t i = 0; i < s.pixels; i++) {
        const nc_vec g = get(dy + i * b->channels, lanes);
        sum += g;
        products = nc_fma(g, get(x + i * b->channels, lanes) - mean, products);
    }
    put(b->first + s.partial, sum, lanes);
    put(b->second + s.partial, products * get(b->inverse + channel, lanes), lanes);
}

/* y = x scale + shift, or dx = dy scale + x slope + shift. */
NC_ALWAYS_INLINE nc_vec combined(const batch_norm *b, int64_t at, int64_t lanes, nc_vec scale, nc_vec slope,
                                 nc_vec shift)
{
    const nc_vec x = get(b->x + at, lanes);
    return b->dy ? nc_fma(get(b->dy + at, lanes), scale, nc_fma(x, slope, shift)) : nc_fma(x, scale, shift);
}

static void write_along(const batch_norm *b, slab s, int64_t channel)
{
    const nc_vec scale = nc_splat(b->scale[channel]), shift = nc_splat(b->shift[channel]);
    const nc_vec slope = b->dy ? nc_splat(b->slope[channel]) : scale;
    for (int64_t i = 0; i < s.pixels; i += NC_LANES) {
        const int64_t at = s.offset + i, lanes = s.pixels - i;
        put(b->y + at, combined(b, at, lanes, scale, slope, shift), lanes);
    }
}

static void write_across(const batch_norm *b, slab s, int64_t channel, int64_t lanes)
{
    const nc_vec scale = get(b->scale + channel, lanes), shift = get(b->shift + channel, lanes);
    const nc_vec slope = b->dy ? get(b->slope + channel, lanes) : scale;
    for (int64_t i = 0; i < s.pixels; i++) {
        const int64_t at = s.offset + i * b->channels;
        put(b->y + at, combined(b, at, lanes, scale, slope, shift), lanes);
    }
}

/* ---- tasks: a slab of all channels, or of one where pixels are contiguous ------------------------------------------
 */

static void moments_task(void *user, int64_t index, int thread)
{
    (void)thread;
    const batch_norm *b = user;
    for (int64_t c = 0; b->across && c < b->channels; c += NC_LANES)
        moments_across(b, find_slab(b, index, c), nc_least(b->channels - c, NC_LANES));
    if (!b->across) moments_along(b, find_slab(b, index / b->channels, index % b->channels));
}

static void products_task(void *user, int64_t index, int thread)
{
    (void)thread;
    const batch_norm *b = user;
    const int64_t channel = index % b->channels;
    for (int64_t c = 0; b->across && c < b->channels; c += NC_LANES)
        products_across(b, find_slab(b, index, c), c, nc_least(b->channels - c, NC_LANES));
    if (!b->across) products_along(b, find_slab(b, index / b->channels, channel), channel);
}

static void write_task(void *user, int64_t index, int thread)
{
    (void)thread;
    const batch_norm *b = user;
    const int64_t channel = index % b->channels;
    for (int64_t c = 0; b->across && c < b->channels; c += NC_LANES)
        write_across(b, find_slab(b, index, c), c, nc_least(b->channels - c, NC_LANES));
    if (!b->across) write_along(b, find_slab(b, index / b->channels, channel), channel);
}

static void run_slabs(const batch_norm *b, nacre_team *team, void (*body)(void *, int64_t, int))
{
    nacre_parallel(team, b->images * b->slabs * (b->across ? 1 : b->channels), body, (void *)(uintptr_t)b);
}

/* ---- forward -------------------------------------------------------------------------------------------------------
 */

/* Joins the slabs of one channel: the mean of all, and the sum of squared deviations from it. */
static void join_moments(const batch_norm *b, int64_t channel, double *mean, double *var)
{
    const double count = (double)(b->images * b->pixels);
    double total = 0, squares = 0;
    for (int64_t i = 0; i < b->images * b->slabs; i++) total += (double)b->first[i * b->channels + channel];
    *mean = total / count;
    for (int64_t i = 0; i < b->images * b->slabs; i++) {
        const double pixels = (double)nc_least(b->slab, b->pixels - i % b->slabs * b->slab);
        const double off = (double)b->first[i * b->channels + channel] / pixels - *mean;
        squares += (double)b->second[i * b->channels + channel] + pixels * off * off;
    }
    *var = squares / count;
}

static float given(const nacre_call *call, int index, int64_t channel, float absent)
{
    if (index >= call->input_count || !call->inputs[index].data) return absent;
    return ((const float *)call->inputs[index].data)[channel];
}

static void run_forward(const nacre_call *call)
{
    enum { X, WEIGHT, BIAS };
    batch_norm b = describe(&call->inputs[X], call->workspace);
    const double epsilon = nacre_unword(call->attributes[0]);
    b.y = call->outputs[0].data;
    run_slabs(&b, call->team, moments_task);
    for (int64_t c = 0; c < b.channels; c++) {
        double mean, var;
        join_moments(&b, c, &mean, &var);
        const double scale = (double)given(call, WEIGHT, c, 1) / sqrt(var + epsilon);
        b.scale[c] = (float)scale;
        b.shift[c] = (float)((double)given(call, BIAS, c, 0) - mean * scale);
        ((float *)call->outputs[1].data)[c] = (float)mean;
        ((float *)call->outputs[2].data)[c] = (float)var;
    }
    run_slabs(&b, call->team, write_task);
}

static void run_inference(const nacre_call *call)
{
    enum { X, MEAN, VAR, WEIGHT, BIAS };
    batch_norm b = describe(&call->inputs[X], call->workspace);
    const double epsilon = nacre_unword(call->attributes[0]);
    b.y = call->outputs[0].data;
    for (int64_t c = 0; c < b.channels; c++) {
        const double scale = (double)given(call, WEIGHT, c, 1) / sqrt((double)given(call, VAR, c, 0) + epsilon);
        b.scale[c] = (float)scale;
        b.shift[c] = (float)((double)given(call, BIAS, c, 0) - (double)given(call, MEAN, c, 0) * scale);
    }
    run_slabs(&b, call->team, write_task);
}

/* ---- gradients -----------------------------------------------------------------------------------------------------
 */

/* dx = weight inverse (dy - mean(dy) - n mean(dy n)), written as dy scale + x slope + shift. */
static void run_backward(const nacre_call *call)
{
    enum { DY, X, MEAN, VAR, WEIGHT };
    batch_norm b = describe(&call->inputs[X], call->workspace);
    const double epsilon = nacre_unword(call->attributes[0]), count = (double)(b.images * b.pixels);
    float *dweight = call->outputs[1].data, *dbias = call->outputs[2].data;
    b.dy = call->inputs[DY].data;
    b.y = call->outputs[0].data;
    b.mean = call->inputs[MEAN].data;
    b.inverse = b.scale; /* until it is the scale */
    for (int64_t c = 0; c < b.channels; c++) b.scale[c] = (float)(1 / sqrt((double)given(call, VAR, c, 0) + epsilon));
    run_slabs(&b, call->team, products_task);
    for (int64_t c = 0; c < b.channels; c++) {
        double sum = 0, products = 0;
        for (int64_t i = 0; i < b.images * b.slabs; i++) {
            sum += (double)b.first[i * b.channels + c];
            products += (double)b.second[i * b.channels + c];
        }
        const double inverse = 1 / sqrt((double)given(call, VAR, c, 0) + epsilon);
        const double scale = (double)given(call, WEIGHT, c, 1) * inverse, slope = -scale * inverse * products / count;
        dweight[c] = (float)products;
        dbias[c] = (float)sum;
        b.scale[c] = (float)scale;
        b.slope[c] = (float)slope;
        b.shift[c] = (float)(-scale * sum / count - slope * (double)b.mean[c]);
    }
    run_slabs(&b, call->team, write_task);
}

/* ---- as kernels ----------------------------------------------------------------------------------------------------
 */

static const char *refuse(const nacre_node_info *info)
{
    const nacre_view *y = &info->outputs[0];
    if (y->dtype != NACRE_F32) return "computes f32 only";
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
        .flags = NACRE_KERNEL_ANY_LAYOUT | NACRE_KERNEL_IN_PLACE,                                                      \
        .can = refuse,                                                                                                 \
        .workspace = forward_workspace,                                                                                \
        .run = function,                                                                                               \
    };
KERNEL(batch_norm, run_forward)
KERNEL(batch_norm_backward, run_backward)
KERNEL(batch_norm_inference, run_inference)

/* cpu/simd/row_norm.c - layer, RMS and group normalisation: each contiguous row has its own statistics.
 *
 * A row of layer or RMS normalisation is what the last axes hold, and each of its elements has a weight of its own. A
 * row of group normalisation is a group of channels of one sample: `repeat` pixels share a weight, and the weights of a
 * sample's rows follow each other. A sample is the rows that use all weights once. */
#include "cpu/layout.h"
#include "cpu/share.h"
#include "cpu/simd/simd.h"

#include <math.h>

#ifdef NACRE_STRESS
enum { GRAIN = 1 << 5, MOST_PARTS = 3 };
#else
enum { GRAIN = 1 << 14, MOST_PARTS = 32 }; /* elements of a part, parts with sums of their own */
#endif

typedef struct row_norm {
    int64_t samples, rows, length, repeat; /* rows of a sample, elements of a row, elements of a weight */
    int64_t weights;                       /* of a sample */
    int64_t parts;                         /* of the samples; depends on the sizes alone */
    bool centred;
    bool streamed; /* the result goes around the cache */
    double epsilon;
    const float *x, *weight, *bias, *dy;
    float *y, *mean, *var; /* forward; var is the mean square if not centred */
    float *dx, *sums;      /* backward; sums: [parts][dweight, dbias][weights] */
} row_norm;

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

/* Weights of elements [i, i + lanes) of a row; the lanes stay within one weight if several elements share it. */
NC_ALWAYS_INLINE nc_vec weights_at(const row_norm *n, const float *weights, int64_t i, int64_t lanes, float absent)
{
    if (!weights) return nc_splat(absent);
    return n->repeat == 1 ? get(weights + i, lanes) : nc_splat(weights[i / n->repeat]);
}

/* End of the run of elements from i on that are treated alike. */
static int64_t run_end(const row_norm *n, int64_t i)
{
    return n->repeat == 1 ? n->length : (i / n->repeat + 1) * n->repeat;
}

enum { CHAINS = 4 }; /* an addition waits for the one before it */

static float mean_of(const float *x, int64_t count)
{
    nc_vec sums[CHAINS] = {{0}};
    int64_t i = 0;
    for (; i + CHAINS * NC_LANES <= count; i += CHAINS * NC_LANES) {
        NC_UNROLL
        for (int v = 0; v < CHAINS; v++) sums[v] += nc_load(x + i + v * NC_LANES);
    }
    for (; i < count; i += NC_LANES) sums[0] += get(x + i, count - i);
    return nc_sum((sums[0] + sums[1]) + (sums[2] + sums[3])) / (float)count;
}

/* Meanwhile the next row is fetched: while this one is worked on memory would rest. */
static float mean_square(const float *x, float centre, int64_t count)
{
    nc_vec sums[CHAINS] = {{0}};
    int64_t i = 0;
    for (; i + CHAINS * NC_LANES <= count; i += CHAINS * NC_LANES) {
        NC_UNROLL
        for (int v = 0; v < CHAINS; v++) {
            const nc_vec d = nc_load(x + i + v * NC_LANES) - centre;
            nc_fetch(x + i + v * NC_LANES, count);
            sums[v] = nc_fma(d, d, sums[v]);
        }
    }
    float rest = 0;
    for (; i < count; i++) rest += (x[i] - centre) * (x[i] - centre);
    return (nc_sum((sums[0] + sums[1]) + (sums[2] + sums[3])) + rest) / (float)count;
}

static float inverse_of(const row_norm *n, float var)
{
    return (float)(1 / sqrt((double)var + n->epsilon));
}

/* ---- forward -------------------------------------------------------------------------------------------------------
 */

static void forward_row(const row_norm *n, int64_t row, const float *weight, const float *bias)
{
    const float *x = n->x + row * n->length;
    float *y = n->y + row * n->length;
    const float mean = n->centred ? mean_of(x, n->length) : 0, var = mean_square(x, mean, n->length);
    const float inverse = inverse_of(n, var);
    if (n->centred) n->mean[row] = mean;
    n->var[row] = var;
    for (int64_t start = 0; start < n->length; start = run_end(n, start))
        for (int64_t i = start; i < run_end(n, start); i += NC_LANES) {
            const int64_t lanes = run_end(n, start) - i;
            const nc_vec normal = (get(x + i, lanes) - mean) * inverse;
            nc_store_result(n->streamed, y + i,
                            nc_fma(normal, weights_at(n, weight, i, lanes, 1), weights_at(n, bias, i, lanes, 0)),
                            lanes);
        }
}

static void forward_part(void *user, int64_t index, int thread)
{
    (void)thread;
    const row_norm *n = user;
    const nc_range samples = nc_share(n->samples, 1, n->parts, index);
    for (int64_t row = samples.begin * n->rows; row < samples.end * n->rows; row++) {
        const int64_t first = row % n->rows * (n->weights / n->rows);
        forward_row(n, row, n->weight ? n->weight + first : NULL, n->bias ? n->bias + first : NULL);
    }
    if (n->streamed) nc_stream_end();
}

/* ---- gradients ------------------------------------------------------------------------------------------------------
 */

/* h = dy weight: adds dy n and dy to the sums, and gives the sums of h and h n over the row. */
static void add_products(const row_norm *n, int64_t row, const float *weight, float *dweight, float *dbias,
                         float *sum_h, float *sum_hn)
{
    const float *x = n->x + row * n->length, *dy = n->dy + row * n->length;
    const float mean = n->centred ? n->mean[row] : 0, inverse = inverse_of(n, n->var[row]);
    nc_vec h_total = {0}, hn_total = {0};
    for (int64_t start = 0; start < n->length; start = run_end(n, start)) {
        nc_vec products = {0}, sum = {0};
        for (int64_t i = start; i < run_end(n, start); i += NC_LANES) {
            const int64_t lanes = run_end(n, start) - i;
            const nc_vec g = get(dy + i, lanes), w = weights_at(n, weight, i, lanes, 1);
            const nc_vec gn = g * ((get(x + i, lanes) - mean) * inverse);
            h_total = nc_fma(g, w, h_total);
            hn_total = nc_fma(gn, w, hn_total);
            if (n->repeat == 1) {
                put(dweight + i, get(dweight + i, lanes) + gn, lanes);
                put(dbias + i, get(dbias + i, lanes) + g, lanes);
            }
            products += gn;
            sum += g;
        }
        if (n->repeat == 1) continue;
        dweight[start / n->repeat] += nc_sum(products);
        dbias[start / n->repeat] += nc_sum(sum);
    }
    *sum_h = nc_sum(h_total);
    *sum_hn = nc_sum(hn_total);
}

static void backward_row(const row_norm *n, int64_t row, const float *weight, float *dweight, float *dbias)
{
    const float *x = n->x + row * n->length, *dy = n->dy + row * n->length;
    const float mean = n->centred ? n->mean[row] : 0, inverse = inverse_of(n, n->var[row]);
    float *dx = n->dx + row * n->length, sum_h, sum_hn;
    add_products(n, row, weight, dweight, dbias, &sum_h, &sum_hn);
    const float mean_h = n->centred ? sum_h / (float)n->length : 0, mean_hn = sum_hn / (float)n->length;
    for (int64_t start = 0; start < n->length; start = run_end(n, start))
        for (int64_t i = start; i < run_end(n, start); i += NC_LANES) {
            const int64_t lanes = run_end(n, start) - i;
            const nc_vec h = get(dy + i, lanes) * weights_at(n, weight, i, lanes, 1);
            const nc_vec normal = (get(x + i, lanes) - mean) * inverse;
            nc_store_result(n->streamed, dx + i, (h - mean_h - normal * mean_hn) * inverse, lanes);
            nc_fetch(x + i, n->length);
            nc_fetch(dy + i, n->length);
        }
}

static void backward_part(void *user, int64_t index, int thread)
{
    (void)thread;
    const row_norm *n = user;
    const nc_range samples = nc_share(n->samples, 1, n->parts, index);
    float *dweight = n->sums + 2 * index * n->weights, *dbias = dweight + n->weights;
    memset(dweight, 0, (size_t)(2 * n->weights) * sizeof *dweight);
    for (int64_t row = samples.begin * n->rows; row < samples.end * n->rows; row++) {
        const int64_t first = row % n->rows * (n->weights / n->rows);
        backward_row(n, row, n->weight ? n->weight + first : NULL, dweight + first, dbias + first);
    }
    if (n->streamed) nc_stream_end();
}

/* The parts' sums side by side become the result, in order. */
static void add_parts(const row_norm *n, const float *sums, float *result)
{
    for (int64_t i = 0; i < n->weights; i += NC_LANES) {
        nc_vec total = {0};
        for (int64_t part = 0; part < n->parts; part++) total += get(sums + 2 * part * n->weights + i, n->weights - i);
        put(result + i, total, n->weights - i);
    }
}

/* ---- as kernels ----------------------------------------------------------------------------------------------------
 */

static void cut(row_norm *n)
{
    const int64_t elements = nc_most(n->rows * n->length, 1);
    n->parts = nc_least(nc_most(n->samples * elements / GRAIN, 1), nc_least(MOST_PARTS, nc_most(n->samples, 1)));
}

/* Attribute words: axes or groups, epsilon. */
static row_norm by_rows(const nacre_shape *x, const int64_t *attributes, bool centred)
{
    row_norm n = {
        .samples = 1, .rows = 1, .length = 1, .repeat = 1, .centred = centred, .epsilon = nacre_unword(attributes[1])};
    for (int i = 0; i < x->rank; i++) *(i < x->rank - attributes[0] ? &n.samples : &n.length) *= x->dims[i];
    n.weights = n.length;
    cut(&n);
    return n;
}

static row_norm by_groups(const nacre_shape *x, const int64_t *attributes)
{
    row_norm n = {.samples = x->dims[0],
                  .rows = attributes[0],
                  .repeat = 1,
                  .weights = x->dims[1],
                  .centred = true,
                  .epsilon = nacre_unword(attributes[1])};
    for (int i = 2; i < x->rank; i++) n.repeat *= x->dims[i];
    n.length = x->dims[1] / attributes[0] * n.repeat;
    cut(&n);
    return n;
}

static const void *optional(const nacre_call *call, int index)
{
    return index < call->input_count ? call->inputs[index].data : NULL;
}

/* Whole vectors only, of memory that nothing is read from. */
static bool is_streamed(const row_norm *n, const float *result)
{
    return nc_is_streamed(result, n->samples * n->rows * n->length) && result != n->x && result != n->dy &&
           (n->repeat == 1 ? n->length : n->repeat) % NC_LANES == 0;
}

static void run_forward(const nacre_call *call, row_norm n)
{
    n.x = call->inputs[0].data;
    n.weight = optional(call, 1);
    n.bias = n.centred ? optional(call, 2) : NULL;
    n.y = call->outputs[0].data;
    n.mean = n.centred ? call->outputs[1].data : NULL;
    n.var = call->outputs[n.centred ? 2 : 1].data;
    n.streamed = is_streamed(&n, n.y);
    nacre_parallel(call->team, n.parts, forward_part, &n);
}

static void run_backward(const nacre_call *call, row_norm n)
{
    n.dy = call->inputs[0].data;
    n.x = call->inputs[1].data;
    n.mean = n.centred ? call->inputs[2].data : NULL;
    n.var = call->inputs[n.centred ? 3 : 2].data;
    n.weight = optional(call, n.centred ? 4 : 3);
    n.dx = call->outputs[0].data;
    n.sums = call->workspace;
    n.streamed = is_streamed(&n, n.dx);
    nacre_parallel(call->team, n.parts, backward_part, &n);
    add_parts(&n, n.sums, call->outputs[1].data);
    if (n.centred) add_parts(&n, n.sums + n.weights, call->outputs[2].data);
}

static const char *refuse(const nacre_node_info *info)
{
    if (info->outputs[0].dtype != NACRE_F32) return "computes f32 only";
    return nacre_shape_count(info->outputs[0].shape) > 0 ? NULL : "there is nothing to normalise";
}

static size_t sums_bytes(row_norm n)
{
    return sizeof(float) * (size_t)(2 * n.parts * n.weights);
}

#define KERNELS(name, describe)                                                                                        \
    static void run_##name(const nacre_call *call)                                                                     \
    {                                                                                                                  \
        const nacre_shape *shape = &call->inputs[0].shape;                                                             \
        const int64_t *attributes = call->attributes;                                                                  \
        run_forward(call, describe);                                                                                   \
    }                                                                                                                  \
    static void run_##name##_backward(const nacre_call *call)                                                          \
    {                                                                                                                  \
        const nacre_shape *shape = &call->inputs[0].shape;                                                             \
        const int64_t *attributes = call->attributes;                                                                  \
        run_backward(call, describe);                                                                                  \
    }                                                                                                                  \
    static size_t name##_workspace(const nacre_node_info *info)                                                        \
    {                                                                                                                  \
        const nacre_shape *shape = &info->inputs[0].shape;                                                             \
        const int64_t *attributes = info->attributes;                                                                  \
        return sums_bytes(describe);                                                                                   \
    }                                                                                                                  \
    const nacre_kernel nc_isa(nc_##name##_kernel) = {.op = #name,                                                      \
                                                     .variant = "rows_" NC_ISA_NAME,                                   \
                                                     .flags = NACRE_KERNEL_IN_PLACE,                                   \
                                                     .can = refuse,                                                    \
                                                     .run = run_##name};                                               \
    const nacre_kernel nc_isa(nc_##name##_backward_kernel) = {.op = #name "_backward",                                 \
                                                              .variant = "rows_" NC_ISA_NAME,                          \
                                                              .flags = NACRE_KERNEL_IN_PLACE,                          \
                                                              .can = refuse,                                           \
                                                              .workspace = name##_workspace,                           \
                                                              .run = run_##name##_backward};
KERNELS(layer_norm, by_rows(shape, attributes, true))
KERNELS(rms_norm, by_rows(shape, attributes, false))
KERNELS(group_norm, by_groups(shape, attributes))

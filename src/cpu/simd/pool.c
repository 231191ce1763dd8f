/* cpu/simd/pool.c - maximum and average over windows of channels-last images: the lanes are channels. The maximum takes
 * 16 bits as well, as it is one of the numbers it is given. */
#include "cpu/layout.h"
#include "cpu/share.h"
#include "cpu/simd/half.h"
#include "ops/window.h"

enum { ROWS = 4 }; /* rows of an image that a task takes */

typedef struct pool {
    nc_window window;
    int64_t channels, in[2], out[2], row_tasks;
    const float *x;
    float *y;
    const nacre_view *in_any, *out_any; /* of the maximum: in any type */
    int32_t *indices;
    bool count_padding;
} pool;

static const char *refuse_any(const nacre_node_info *info)
{
    if (info->inputs[0].shape.rank != 4) return "takes two spatial axes only";
    for (int i = 0; i < info->input_count; i++)
        if (!nc_is_channels_last(&info->inputs[i])) return "needs channels-last images";
    for (int i = 0; i < info->output_count; i++)
        if (!nc_is_channels_last(&info->outputs[i])) return "needs channels-last images";
    const nacre_dtype dtype = info->outputs[0].dtype;
    return dtype == NACRE_F32 || nc_is_half(dtype) ? NULL : "computes f32 and 16 bits only";
}

static const char *refuse(const nacre_node_info *info)
{
    return info->outputs[0].dtype == NACRE_F32 ? refuse_any(info) : "computes f32 only";
}

static pool read_pool(const nacre_call *call, const nacre_view *in, const nacre_view *out)
{
    pool p = {.window = nc_window_read(call->attributes, 2, call->attributes + NC_POOL_KERNEL + 1),
              .channels = in->shape.dims[1]};
    for (int i = 0; i < 2; i++) {
        p.in[i] = in->shape.dims[2 + i];
        p.out[i] = out->shape.dims[2 + i];
    }
    return p;
}

/* Taps k of window `o` with 0 <= o * stride - begin + k * dilation < size. */
static nc_range taps_inside(const nc_window *window, int axis, int64_t o, int64_t size)
{
    const int64_t first = o * window->stride[axis] - window->begin[axis], step = window->dilation[axis];
    const int64_t begin = first < 0 ? nc_ceil_div(-first, step) : 0;
    const int64_t end = nc_least(window->kernel[axis], size > first ? nc_ceil_div(size - first, step) : 0);
    return (nc_range){begin, nc_most(begin, end)};
}

static void run_rows(pool *p, nacre_team *team, int64_t images, int64_t rows, void (*body)(void *, int64_t, int))
{
    p->row_tasks = nc_ceil_div(rows, ROWS);
    nacre_parallel(team, images * p->row_tasks, body, p);
}

/* ---- maximum ----------------------------------------------------------------------------------------------------- */

/* One window; the image at the first channel of the vector is element `x`. The first of equals wins, and NaN wins over
 * all. */
NC_ALWAYS_INLINE void largest_of(const pool *p, nacre_dtype dtype, int64_t x, int64_t row, int64_t column, nc_range k,
                                 nc_range l, int64_t lanes, nc_vec *value, nc_veci *position)
{
    *value = nc_splat(-__builtin_inff());
    *position = nc_splati(-1);
    for (int64_t i = k.begin; i < k.end; i++)
        for (int64_t j = l.begin; j < l.end; j++) {
            const int64_t at = (row + i * p->window.dilation[0]) * p->in[1] + column + j * p->window.dilation[1];
            const nc_vec candidate = nc_load_as(dtype, p->in_any->data, x + at * p->channels, lanes);
            if (i == k.begin && j == l.begin) {
                *value = candidate;
                *position = nc_splati((int32_t)at);
                continue;
            }
            const nc_mask taken = nc_less(*value, candidate) | nc_unequal(candidate, candidate);
            *value = nc_select(taken, candidate, *value);
            *position = nc_selecti(taken, nc_splati((int32_t)at), *position);
        }
}

NC_ALWAYS_INLINE void max_rows_as(const pool *p, nacre_dtype dtype, int64_t index)
{
    const int64_t image = index / p->row_tasks, first = index % p->row_tasks * ROWS;
    const int64_t x = image * p->in[0] * p->in[1] * p->channels;
    for (int64_t o = first; o < nc_least(first + ROWS, p->out[0]); o++) {
        const nc_range k = taps_inside(&p->window, 0, o, p->in[0]);
        const int64_t row = o * p->window.stride[0] - p->window.begin[0];
        for (int64_t q = 0; q < p->out[1]; q++) {
            const nc_range l = taps_inside(&p->window, 1, q, p->in[1]);
            const int64_t column = q * p->window.stride[1] - p->window.begin[1];
            const int64_t to = ((image * p->out[0] + o) * p->out[1] + q) * p->channels;
            for (int64_t c = 0; c < p->channels; c += NC_LANES) {
                const int64_t lanes = nc_least(p->channels - c, NC_LANES);
                nc_vec value;
                nc_veci position;
                largest_of(p, dtype, x + c, row, column, k, l, lanes, &value, &position);
                nc_store_as(dtype, p->out_any->data, to + c, value, lanes);
                nc_store_some((float *)(void *)(p->indices + to + c), (nc_vec)position, lanes);
            }
        }
    }
}

static void max_rows(void *user, int64_t index, int thread)
{
    (void)thread;
    const pool *p = user;
    if (p->in_any->dtype == NACRE_F32)
        max_rows_as(p, NACRE_F32, index);
    else if (p->in_any->dtype == NACRE_BF16)
        max_rows_as(p, NACRE_BF16, index);
    else
        max_rows_as(p, NACRE_F16, index);
}

static void run_max(const nacre_call *call)
{
    pool p = read_pool(call, &call->inputs[0], &call->outputs[0]);
    p.in_any = &call->inputs[0];
    p.out_any = &call->outputs[0];
    p.indices = call->outputs[1].data;
    run_rows(&p, call->team, call->inputs[0].shape.dims[0], p.out[0], max_rows);
}

/* ---- gradient of the maximum ------------------------------------------------------------------------------------- */

/* Windows are not known here, only positions. Where the result's size is a multiple of dy's, each element of dy most
 * likely comes from its own block, which is then written at once; or, of windows that overlap, from there or the
 * positions around it. What comes from farther away is added afterwards. */
typedef struct scatter {
    const float *dy;
    const int32_t *indices;
    float *dx;
    int64_t channels, in[2], out[2], block[2];
} scatter;

/* Positions that are looked at for one element of dy. */
typedef struct area {
    nc_range rows, columns;
} area;

static area area_of(const scatter *s, int64_t o, int64_t q, int64_t around)
{
    const int64_t row = o * s->block[0], column = q * s->block[1];
    return (area){{nc_most(row - around, 0), nc_least(row + s->block[0] + around, s->in[0])},
                  {nc_most(column - around, 0), nc_least(column + s->block[1] + around, s->in[1])}};
}

static bool is_within(const area *near, int64_t row, int64_t column)
{
    return row >= near->rows.begin && row < near->rows.end && column >= near->columns.begin &&
           column < near->columns.end;
}

static void add_elsewhere(const scatter *s, int64_t image, bool all)
{
    const int64_t plane = s->in[0] * s->in[1], from = image * s->out[0] * s->out[1] * s->channels;
    float *dx = s->dx + image * plane * s->channels;
    for (int64_t pixel = 0; pixel < s->out[0] * s->out[1]; pixel++) {
        const area near = area_of(s, pixel / s->out[1], pixel % s->out[1], 1);
        for (int64_t c = 0; c < s->channels; c++) {
            const int64_t at = s->indices[from + pixel * s->channels + c];
            if (at < 0 || at >= plane || (!all && is_within(&near, at / s->in[1], at % s->in[1]))) continue;
            dx[at * s->channels + c] += s->dy[from + pixel * s->channels + c];
        }
    }
}

/* One element of dy per lane into its area, added to what is there or written; true if some lane belongs elsewhere. */
NC_ALWAYS_INLINE bool fill_area(const scatter *s, const area *near, nc_vec dy, nc_veci position, int64_t lanes,
                                bool add, float *dx)
{
    const nc_vec zero = {0};
    nc_veci left = nc_splati(1);
    for (int64_t i = near->rows.begin; i < near->rows.end; i++)
        for (int64_t j = near->columns.begin; j < near->columns.end; j++) {
            const int64_t at = i * s->in[1] + j;
            const nc_mask here = nc_equali(position, nc_splati((int32_t)at));
            float *to = dx + at * s->channels;
            const nc_vec value = nc_select(here, dy, zero);
            nc_store_some(to, add ? nc_load_some(to, lanes) + value : value, lanes);
            left = nc_selecti(here, (nc_veci)zero, left);
        }
    int32_t lane[NC_LANES], any = 0;
    memcpy(lane, &left, sizeof lane);
    for (int i = 0; i < NC_LANES; i++) any |= i < lanes ? lane[i] : 0;
    return any != 0;
}

/* A row of dy; true if some of it belongs elsewhere. */
NC_ALWAYS_INLINE bool fill_row(const scatter *s, int64_t image, int64_t o, bool add)
{
    const int64_t from = (image * s->out[0] + o) * s->out[1] * s->channels;
    float *dx = s->dx + image * s->in[0] * s->in[1] * s->channels;
    bool elsewhere = false;
    for (int64_t q = 0; q < s->out[1]; q++) {
        const area near = area_of(s, o, q, add ? 1 : 0);
        for (int64_t c = 0; c < s->channels; c += NC_LANES) {
            const int64_t at = from + q * s->channels + c, lanes = nc_least(s->channels - c, NC_LANES);
            elsewhere |= fill_area(s, &near, nc_load_some(s->dy + at, lanes),
                                   (nc_veci)nc_load_some((const float *)(const void *)(s->indices + at), lanes), lanes,
                                   add, dx + c);
        }
    }
    return elsewhere;
}

static void scatter_image(void *user, int64_t image, int thread)
{
    (void)thread;
    const scatter *s = user;
    const int64_t row = s->in[1] * s->channels;
    float *dx = s->dx + image * s->in[0] * row;
    bool apart = s->block[0] > 0, elsewhere = false;
    for (int64_t o = 0; apart && o < s->out[0]; o++) apart = !fill_row(s, image, o, false);
    if (apart) return;
    if (s->block[0] == 0) {
        memset(dx, 0, (size_t)(s->in[0] * row) * sizeof *dx);
        add_elsewhere(s, image, true);
        return;
    }
    int64_t cleared = 0; /* rows */
    for (int64_t o = 0; o < s->out[0]; o++) {
        const int64_t needed = nc_least((o + 1) * s->block[0] + 1, s->in[0]);
        memset(dx + cleared * row, 0, (size_t)((needed - cleared) * row) * sizeof *dx);
        cleared = needed;
        elsewhere |= fill_row(s, image, o, true);
    }
    if (elsewhere) add_elsewhere(s, image, false);
}

static void run_max_backward(const nacre_call *call)
{
    const nacre_view *dy = &call->inputs[0], *dx = &call->outputs[0];
    scatter s = {.dy = dy->data, .indices = call->inputs[1].data, .dx = dx->data, .channels = dy->shape.dims[1]};
    for (int i = 0; i < 2; i++) {
        s.in[i] = dx->shape.dims[2 + i];
        s.out[i] = dy->shape.dims[2 + i];
    }
    if (s.out[0] > 0 && s.out[1] > 0 && s.in[0] % s.out[0] == 0 && s.in[1] % s.out[1] == 0)
        for (int i = 0; i < 2; i++) s.block[i] = s.in[i] / s.out[i];
    nacre_parallel(call->team, dy->shape.dims[0], scatter_image, &s);
}

/* ---- average ----------------------------------------------------------------------------------------------------- */

/* Along one axis: taps of window `o` that count towards the divisor. */
static int64_t counted(const pool *p, int axis, int64_t o)
{
    const nc_window *w = &p->window;
    if (!p->count_padding) {
        const nc_range inside = taps_inside(w, axis, o, p->in[axis]);
        return inside.end - inside.begin;
    }
    const int64_t first = o * w->stride[axis] - w->begin[axis], end = p->in[axis] + w->end[axis];
    return nc_least(w->kernel[axis], end > first ? nc_ceil_div(end - first, w->dilation[axis]) : 0);
}

static void average_rows(void *user, int64_t index, int thread)
{
    (void)thread;
    const pool *p = user;
    const nc_window *w = &p->window;
    const int64_t image = index / p->row_tasks, first = index % p->row_tasks * ROWS;
    const float *x = p->x + image * p->in[0] * p->in[1] * p->channels;
    for (int64_t o = first; o < nc_least(first + ROWS, p->out[0]); o++)
        for (int64_t q = 0; q < p->out[1]; q++) {
            const nc_range k = taps_inside(w, 0, o, p->in[0]), l = taps_inside(w, 1, q, p->in[1]);
            const int64_t row = o * w->stride[0] - w->begin[0], column = q * w->stride[1] - w->begin[1];
            const int64_t to = ((image * p->out[0] + o) * p->out[1] + q) * p->channels;
            const int64_t by = counted(p, 0, o) * counted(p, 1, q);
            const float scale = by ? 1.0f / (float)by : 0;
            for (int64_t c = 0; c < p->channels; c += NC_LANES) {
                const int64_t lanes = nc_least(p->channels - c, NC_LANES);
                nc_vec sum = {0};
                for (int64_t i = k.begin; i < k.end; i++)
                    for (int64_t j = l.begin; j < l.end; j++)
                        sum += nc_load_some(
                            x + ((row + i * w->dilation[0]) * p->in[1] + column + j * w->dilation[1]) * p->channels + c,
                            lanes);
                nc_store_some(p->y + to + c, by ? sum * scale : sum * 0.0f, lanes);
            }
        }
}

static void run_average(const nacre_call *call)
{
    pool p = read_pool(call, &call->inputs[0], &call->outputs[0]);
    p.x = call->inputs[0].data;
    p.y = call->outputs[0].data;
    p.count_padding = call->attributes[NC_POOL_COUNT_PADDING] != 0;
    run_rows(&p, call->team, call->inputs[0].shape.dims[0], p.out[0], average_rows);
}

/* Spreads the rows of one image: rows of dx may be met by several windows, so an image is one task. */
static void spread_image(void *user, int64_t image, int thread)
{
    (void)thread;
    const pool *p = user; /* x is dy, y is dx */
    const nc_window *w = &p->window;
    const float *dy = p->x + image * p->out[0] * p->out[1] * p->channels;
    float *dx = p->y + image * p->in[0] * p->in[1] * p->channels;
    memset(dx, 0, (size_t)(p->in[0] * p->in[1] * p->channels) * sizeof *dx);
    for (int64_t o = 0; o < p->out[0]; o++)
        for (int64_t q = 0; q < p->out[1]; q++, dy += p->channels) {
            const nc_range k = taps_inside(w, 0, o, p->in[0]), l = taps_inside(w, 1, q, p->in[1]);
            const int64_t row = o * w->stride[0] - w->begin[0], column = q * w->stride[1] - w->begin[1];
            const float scale = 1.0f / (float)nc_most(counted(p, 0, o) * counted(p, 1, q), 1);
            for (int64_t i = k.begin; i < k.end; i++)
                for (int64_t j = l.begin; j < l.end; j++) {
                    float *to =
                        dx + ((row + i * w->dilation[0]) * p->in[1] + column + j * w->dilation[1]) * p->channels;
                    for (int64_t c = 0; c < p->channels; c += NC_LANES) {
                        const int64_t lanes = nc_least(p->channels - c, NC_LANES);
                        nc_store_some(to + c, nc_load_some(to + c, lanes) + nc_load_some(dy + c, lanes) * scale, lanes);
                    }
                }
        }
}

static void run_average_backward(const nacre_call *call)
{
    pool p = read_pool(call, &call->outputs[0], &call->inputs[0]);
    p.x = call->inputs[0].data;
    p.y = call->outputs[0].data;
    p.count_padding = call->attributes[NC_POOL_COUNT_PADDING] != 0;
    nacre_parallel(call->team, call->inputs[0].shape.dims[0], spread_image, &p);
}

/* ---- average over cells ------------------------------------------------------------------------------------------ */

/* Cell i of `count` over `size` elements. Seen from the elements, the cells that an element is in are the same with the
 * two numbers exchanged. */
static nc_range cell(int64_t i, int64_t count, int64_t size)
{
    return (nc_range){i * size / count, nc_ceil_div((i + 1) * size, count)};
}

static int64_t length(nc_range range)
{
    return range.end - range.begin;
}

static void cell_rows(void *user, int64_t index, int thread)
{
    (void)thread;
    const pool *p = user;
    const int64_t image = index / p->row_tasks, first = index % p->row_tasks * ROWS;
    const float *x = p->x + image * p->in[0] * p->in[1] * p->channels;
    for (int64_t o = first; o < nc_least(first + ROWS, p->out[0]); o++)
        for (int64_t q = 0; q < p->out[1]; q++) {
            const nc_range rows = cell(o, p->out[0], p->in[0]), columns = cell(q, p->out[1], p->in[1]);
            const int64_t to = ((image * p->out[0] + o) * p->out[1] + q) * p->channels;
            const float scale = 1.0f / (float)(length(rows) * length(columns));
            for (int64_t c = 0; c < p->channels; c += NC_LANES) {
                const int64_t lanes = nc_least(p->channels - c, NC_LANES);
                nc_vec sum = {0};
                for (int64_t i = rows.begin; i < rows.end; i++)
                    for (int64_t j = columns.begin; j < columns.end; j++)
                        sum += nc_load_some(x + (i * p->in[1] + j) * p->channels + c, lanes);
                nc_store_some(p->y + to + c, sum * scale, lanes);
            }
        }
}

static void run_adaptive(const nacre_call *call)
{
    const nacre_view *x = &call->inputs[0], *y = &call->outputs[0];
    pool p = {.channels = x->shape.dims[1],
              .in = {x->shape.dims[2], x->shape.dims[3]},
              .out = {y->shape.dims[2], y->shape.dims[3]},
              .x = x->data,
              .y = y->data};
    run_rows(&p, call->team, x->shape.dims[0], p.out[0], cell_rows);
}

/* Here x is dy and y is dx. */
static void spread_rows(void *user, int64_t index, int thread)
{
    (void)thread;
    const pool *p = user;
    const int64_t image = index / p->row_tasks, first = index % p->row_tasks * ROWS;
    const float *dy = p->x + image * p->out[0] * p->out[1] * p->channels;
    for (int64_t i = first; i < nc_least(first + ROWS, p->in[0]); i++)
        for (int64_t j = 0; j < p->in[1]; j++) {
            const nc_range rows = cell(i, p->in[0], p->out[0]), columns = cell(j, p->in[1], p->out[1]);
            float *to = p->y + ((image * p->in[0] + i) * p->in[1] + j) * p->channels;
            for (int64_t c = 0; c < p->channels; c += NC_LANES) {
                const int64_t lanes = nc_least(p->channels - c, NC_LANES);
                nc_vec sum = {0};
                for (int64_t o = rows.begin; o < rows.end; o++)
                    for (int64_t q = columns.begin; q < columns.end; q++) {
                        const int64_t size =
                            length(cell(o, p->out[0], p->in[0])) * length(cell(q, p->out[1], p->in[1]));
                        sum += nc_load_some(dy + (o * p->out[1] + q) * p->channels + c, lanes) * (1.0f / (float)size);
                    }
                nc_store_some(to + c, sum, lanes);
            }
        }
}

static void run_adaptive_backward(const nacre_call *call)
{
    const nacre_view *dy = &call->inputs[0], *dx = &call->outputs[0];
    pool p = {.channels = dx->shape.dims[1],
              .in = {dx->shape.dims[2], dx->shape.dims[3]},
              .out = {dy->shape.dims[2], dy->shape.dims[3]},
              .x = dy->data,
              .y = dx->data};
    run_rows(&p, call->team, dx->shape.dims[0], p.in[0], spread_rows);
}

/* ---- as kernels -------------------------------------------------------------------------------------------------- */

#define KERNEL(name, refusal, function)                                                                                \
    const nacre_kernel nc_isa(nc_##name##_kernel) = {                                                                  \
        .op = #name,                                                                                                   \
        .variant = "channels_" NC_ISA_NAME,                                                                            \
        .flags = NACRE_KERNEL_CHANNELS_LAST,                                                                           \
        .can = refusal,                                                                                                \
        .run = function,                                                                                               \
    };
KERNEL(max_pool, refuse_any, run_max)
KERNEL(max_pool_backward, refuse, run_max_backward)
KERNEL(avg_pool, refuse, run_average)
KERNEL(avg_pool_backward, refuse, run_average_backward)
KERNEL(adaptive_avg_pool, refuse, run_adaptive)
KERNEL(adaptive_avg_pool_backward, refuse, run_adaptive_backward)

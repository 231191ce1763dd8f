/* cpu/simd/softmax.c - softmax, its logarithm, their gradients, and cross-entropy: line by line along an axis.
 *
 * A line that is contiguous is worked on in place; any other is gathered into scratch first. */
#include "cpu/share.h"
#include "cpu/simd/math.h"

#include <nacre/backend.h>

#ifdef NACRE_STRESS
enum { GRAIN = 1 << 5 };
#else
enum { GRAIN = 1 << 12 }; /* elements worth a task */
#endif
enum { MOST_TASKS = 256 };
enum { CHAINS = 4 }; /* vectors side by side, where a result waits for the one before it */

/* ---- lines ------------------------------------------------------------------------------------------------------- */

NC_ALWAYS_INLINE nc_vec get(const float *p, int64_t lanes, float beyond)
{
    if (lanes >= NC_LANES) return nc_load(p);
    float values[NC_LANES];
    for (int i = 0; i < NC_LANES; i++) values[i] = beyond;
    memcpy(values, p, (size_t)lanes * sizeof *p);
    return nc_load(values);
}

/* The largest number; a NaN among finite ones may be passed over, for it shows in what is computed next. */
static float largest_of(const float *x, int64_t count)
{
    const float infinity = __builtin_inff();
    nc_vec largest[CHAINS];
    for (int v = 0; v < CHAINS; v++) largest[v] = nc_splat(-infinity);
    int64_t i = 0;
    for (; i + CHAINS * NC_LANES <= count; i += CHAINS * NC_LANES) {
        NC_UNROLL
        for (int v = 0; v < CHAINS; v++) largest[v] = nc_max(largest[v], nc_load(x + i + v * NC_LANES));
    }
    for (; i < count; i += NC_LANES) largest[0] = nc_max(largest[0], get(x + i, count - i, -infinity));
    const float top = nc_fold_max(nc_max(nc_max(largest[0], largest[1]), nc_max(largest[2], largest[3])));
    if (top < infinity && top > -infinity) return top;
    for (i = 0; i < count; i++)
        if (x[i] != x[i]) return x[i];
    return top;
}

/* sum(exp(x - top)); with y, the terms are stored there. Meanwhile the next line is fetched, for memory would rest. */
NC_ALWAYS_INLINE float sum_of_exponentials(const float *x, float top, int64_t count, float *y)
{
    nc_vec sum = {0};
    int64_t i = 0;
    for (; i + NC_LANES <= count; i += NC_LANES) {
        const nc_vec term = nc_exp_of_term(nc_load(x + i) - top);
        nc_fetch(x + i, count);
        if (y) nc_store(y + i, term);
        sum += term;
    }
    if (i < count) {
        const nc_vec term = nc_exp_of_term(get(x + i, count - i, -__builtin_inff()) - top);
        if (y) nc_store_some(y + i, term, count - i);
        sum += term;
    }
    return nc_sum(sum);
}

static bool is_finite(float x)
{
    return x - x == 0;
}

/* log(sum(exp(x))) */
static float log_sum_exp(const float *x, int64_t count)
{
    const float top = largest_of(x, count);
    if (!is_finite(top)) return top;
    return top + nc_log(nc_splat(sum_of_exponentials(x, top, count, NULL)))[0];
}

/* `terms` may be y, unless that is streamed. */
static void softmax_line(const float *x, float *terms, float *y, int64_t count, bool streamed)
{
    const float top = largest_of(x, count), sum = sum_of_exponentials(x, top, count, terms);
    const float scale = is_finite(top) ? 1 / sum : 1;
    for (int64_t i = 0; i < count; i += NC_LANES)
        nc_store_result(streamed, y + i, get(terms + i, count - i, 0) * scale, count - i);
}

static void log_softmax_line(const float *x, float *terms, float *y, int64_t count, bool streamed)
{
    (void)terms;
    const float log_sum = log_sum_exp(x, count);
    for (int64_t i = 0; i < count; i += NC_LANES)
        nc_store_result(streamed, y + i, get(x + i, count - i, 0) - log_sum, count - i);
}

static float dot(const float *a, const float *b, int64_t count)
{
    nc_vec sums[CHAINS] = {{0}};
    int64_t i = 0;
    for (; i + CHAINS * NC_LANES <= count; i += CHAINS * NC_LANES) {
        NC_UNROLL
        for (int v = 0; v < CHAINS; v++)
            sums[v] = nc_fma(nc_load(a + i + v * NC_LANES), nc_load(b + i + v * NC_LANES), sums[v]);
    }
    for (; i < count; i += NC_LANES) sums[0] = nc_fma(get(a + i, count - i, 0), get(b + i, count - i, 0), sums[0]);
    return nc_sum((sums[0] + sums[1]) + (sums[2] + sums[3]));
}

static void softmax_backward_line(const float *dy, const float *y, float *dx, int64_t count, bool streamed)
{
    const float total = dot(dy, y, count);
    for (int64_t i = 0; i < count; i += NC_LANES) {
        nc_fetch(dy + i, count);
        nc_fetch(y + i, count);
        nc_store_result(streamed, dx + i, get(y + i, count - i, 0) * (get(dy + i, count - i, 0) - total), count - i);
    }
}

static void log_softmax_backward_line(const float *dy, const float *y, float *dx, int64_t count, bool streamed)
{
    nc_vec sum = {0};
    for (int64_t i = 0; i < count; i += NC_LANES) sum += get(dy + i, count - i, 0);
    const nc_vec total = nc_splat(nc_sum(sum));
    for (int64_t i = 0; i < count; i += NC_LANES) {
        nc_fetch(dy + i, count);
        nc_store_result(streamed, dx + i,
                        nc_fma(nc_exp_of_term(get(y + i, count - i, 0)), -total, get(dy + i, count - i, 0)), count - i);
    }
}

/* ---- all lines of a tensor --------------------------------------------------------------------------------------- */

typedef struct lines {
    nacre_shape starts; /* positions of lines: the axis has size 1 */
    int axis;
    int64_t count, length, per_task;
    float *scratch; /* for each thread three lines; NULL where all are contiguous and the result is not streamed */
    bool streamed;  /* the result goes around the cache */
} lines;

static lines lines_of(const nacre_shape *shape, int axis)
{
    lines l = {.starts = *shape, .axis = axis, .length = shape->dims[axis]};
    l.starts.dims[axis] = 1;
    l.count = l.length ? nacre_shape_count(l.starts) : 0;
    /* Each line fetches the next one, best of the same task: few tasks where there are many lines. */
    l.per_task = nc_most(nc_most(GRAIN / nc_most(l.length, 1), l.count / MOST_TASKS), 1);
    return l;
}

static int64_t line_offset(const lines *l, const nacre_view *view, int64_t line)
{
    int64_t offset = 0;
    for (int i = l->starts.rank - 1; i >= 0; i--) {
        offset += line % l->starts.dims[i] * view->strides[i];
        line /= l->starts.dims[i];
    }
    return offset;
}

/* The line at `offset` of a view: where it stands, or a copy in `copy`. */
static const float *read_line(const lines *l, const nacre_view *view, int64_t offset, float *copy)
{
    const float *data = (const float *)view->data + offset;
    const int64_t stride = view->strides[l->axis];
    if (stride == 1) return data;
    for (int64_t i = 0; i < l->length; i++) copy[i] = data[i * stride];
    return copy;
}

static float *line_to_write(const lines *l, const nacre_view *view, int64_t offset, float *copy)
{
    return view->strides[l->axis] == 1 ? (float *)view->data + offset : copy;
}

static void write_line(const lines *l, const nacre_view *view, int64_t offset, const float *copy)
{
    const int64_t stride = view->strides[l->axis];
    if (stride == 1) return;
    for (int64_t i = 0; i < l->length; i++) ((float *)view->data)[offset + i * stride] = copy[i];
}

enum { SCRATCH_LINES = 3 };

static float *scratch_line(const lines *l, int thread, int index)
{
    if (!l->scratch) return NULL; /* dense lines are used where they lie */
    return l->scratch + (thread * SCRATCH_LINES + index) * nc_round_up(l->length, NC_LANES);
}

/* Large, and each line whole vectors. */
static bool may_be_streamed(const nacre_view *view, int axis)
{
    return view->strides[axis] == 1 && view->shape.dims[axis] % NC_LANES == 0 &&
           nacre_shape_count(view->shape) >= NC_STREAMED;
}

static bool is_streamed(const nacre_call *call, const nacre_view *result, int axis)
{
    bool streamed = may_be_streamed(result, axis) && nc_is_streamed(result->data, nacre_shape_count(result->shape));
    for (int i = 0; i < call->input_count; i++) streamed = streamed && call->inputs[i].data != result->data;
    return streamed;
}

static size_t scratch_bytes(const nacre_node_info *info, const nacre_view *view, int axis)
{
    if (view->strides[axis] == 1 && !may_be_streamed(view, axis)) return 0;
    return sizeof(float) * (size_t)(info->threads * SCRATCH_LINES * nc_round_up(view->shape.dims[axis], NC_LANES));
}

/* ---- softmax ----------------------------------------------------------------------------------------------------- */

typedef struct softmax {
    lines lines;
    nacre_view in[2], out; /* x; dy and y */
    void (*forward)(const float *x, float *terms, float *y, int64_t count, bool streamed);
    void (*backward)(const float *dy, const float *y, float *dx, int64_t count, bool streamed);
} softmax;

static void softmax_lines(void *user, int64_t index, int thread)
{
    const softmax *s = user;
    const lines *l = &s->lines;
    for (int64_t i = index * l->per_task; i < nc_least((index + 1) * l->per_task, l->count); i++) {
        const int64_t to = line_offset(l, &s->out, i);
        float *y = line_to_write(l, &s->out, to, scratch_line(l, thread, 0));
        const float *a = read_line(l, &s->in[0], line_offset(l, &s->in[0], i), scratch_line(l, thread, 1));
        if (s->forward)
            s->forward(a, l->streamed ? scratch_line(l, thread, 0) : y, y, l->length, l->streamed);
        else
            s->backward(a, read_line(l, &s->in[1], line_offset(l, &s->in[1], i), scratch_line(l, thread, 2)), y,
                        l->length, l->streamed);
        write_line(l, &s->out, to, y);
    }
    if (l->streamed) nc_stream_end();
}

static void run_lines(const nacre_call *call, softmax *s)
{
    s->lines = lines_of(&call->outputs[0].shape, (int)call->attributes[0]);
    s->lines.scratch = call->workspace;
    s->lines.streamed = is_streamed(call, &call->outputs[0], s->lines.axis);
    s->in[0] = call->inputs[0];
    if (call->input_count > 1) s->in[1] = call->inputs[1];
    s->out = call->outputs[0];
    nacre_parallel(call->team, nc_ceil_div(s->lines.count, s->lines.per_task), softmax_lines, s);
}

static void run_softmax(const nacre_call *call)
{
    run_lines(call, &(softmax){.forward = softmax_line});
}

static void run_log_softmax(const nacre_call *call)
{
    run_lines(call, &(softmax){.forward = log_softmax_line});
}

static void run_softmax_backward(const nacre_call *call)
{
    run_lines(call, &(softmax){.backward = softmax_backward_line});
}

static void run_log_softmax_backward(const nacre_call *call)
{
    run_lines(call, &(softmax){.backward = log_softmax_backward_line});
}

static const char *refuse(const nacre_node_info *info)
{
    return info->outputs[0].dtype == NACRE_F32 ? NULL : "computes f32 only";
}

static size_t softmax_workspace(const nacre_node_info *info)
{
    return scratch_bytes(info, &info->outputs[0], (int)info->attributes[0]);
}

/* ---- cross-entropy ----------------------------------------------------------------------------------------------- */

enum { LABEL_SMOOTHING, IGNORE_INDEX }; /* attribute words */
enum { CLASSES = 1 };                   /* the axis */

/* With smoothing e and K classes the target distribution is (1 - e) w[t] on the target and e / K w[c] on each class
 * (ops/cross_entropy.c). */
typedef struct cross_entropy {
    lines lines;
    const nacre_view *logits, *target;
    const float *weight;     /* NULL: 1 */
    float smoothing, spread; /* e and e / K */
    float smoothed;          /* e / K times the sum of the weights */
    int64_t ignored;
    float *loss, *log_sum, *counted;    /* forward */
    const float *dloss, *given_log_sum; /* backward */
    nacre_view dlogits;
} cross_entropy;

typedef struct target {
    int64_t class;
    float weight;   /* 0 where ignored, NaN where it is no class */
    float smoothed; /* 0 where ignored */
} target;

static target read_target(const cross_entropy *c, int64_t line)
{
    const int64_t class = c->target->dtype == NACRE_I64 ? ((const int64_t *)c->target->data)[line]
                                                        : ((const int32_t *)c->target->data)[line];
    if (class == c->ignored) return (target){.class = class};
    const bool exists = class >= 0 && class < c->lines.length;
    return (target){.class = class,
                    .weight = !exists     ? __builtin_nanf("")
                              : c->weight ? c->weight[class]
                                          : 1,
                    .smoothed = c->smoothed};
}

/* Sum over the classes of w[c] (log_sum - x[c]). */
static float weighted_sum(const cross_entropy *c, const float *x, float log_sum)
{
    nc_vec sum = {0};
    for (int64_t i = 0; i < c->lines.length; i += NC_LANES) {
        const int64_t left = c->lines.length - i;
        const nc_vec loss = log_sum - get(x + i, left, log_sum);
        sum += c->weight ? loss * get(c->weight + i, left, 0) : loss;
    }
    return nc_sum(sum);
}

static void loss_lines(void *user, int64_t index, int thread)
{
    const cross_entropy *c = user;
    const lines *l = &c->lines;
    for (int64_t i = index * l->per_task; i < nc_least((index + 1) * l->per_task, l->count); i++) {
        const float *x = read_line(l, c->logits, line_offset(l, c->logits, i), scratch_line(l, thread, 0));
        const target t = read_target(c, i);
        const float log_sum = log_sum_exp(x, l->length);
        float loss = 0;
        if (t.weight != t.weight)
            loss = t.weight;
        else if (t.weight != 0)
            loss = (1 - c->smoothing) * t.weight * (log_sum - x[t.class]);
        if (t.smoothed != 0) loss += c->spread * weighted_sum(c, x, log_sum);
        c->loss[i] = loss;
        c->log_sum[i] = log_sum;
        c->counted[i] = t.weight;
    }
}

/* Of classes [i, i + lanes), but for what the target itself adds. */
NC_ALWAYS_INLINE nc_vec gradient_at(const cross_entropy *c, const float *x, int64_t i, float log_sum, float all,
                                    float d, const target *t)
{
    const int64_t left = c->lines.length - i;
    nc_vec g = nc_exp_of_term(get(x + i, left, 0) - log_sum) * all;
    nc_fetch(x + i, c->lines.length);
    if (t->smoothed != 0) g -= c->spread * (c->weight ? get(c->weight + i, left, 0) : nc_splat(1));
    return all == 0 ? (nc_vec){0} : g * d;
}

static void gradient_line(const cross_entropy *c, int64_t line, const float *x, float *dx)
{
    const target t = read_target(c, line);
    const int64_t count = c->lines.length;
    const float on_target = (1 - c->smoothing) * t.weight, all = on_target + t.smoothed, d = c->dloss[line];
    const float log_sum = c->given_log_sum[line];
    const bool exists = t.class >= 0 && t.class < count && all != 0;
    const int64_t own =
        exists ? t.class / NC_LANES * NC_LANES : 0; /* x may be overwritten: the target's vector first */
    nc_vec of_target = gradient_at(c, x, own, log_sum, all, d, &t);
    if (exists) of_target[t.class - own] -= d * on_target;
    for (int64_t i = 0; i < count; i += NC_LANES)
        nc_store_result(c->lines.streamed, dx + i, gradient_at(c, x, i, log_sum, all, d, &t), count - i);
    nc_store_result(c->lines.streamed, dx + own, of_target, count - own);
}

static void gradient_lines(void *user, int64_t index, int thread)
{
    const cross_entropy *c = user;
    const lines *l = &c->lines;
    for (int64_t i = index * l->per_task; i < nc_least((index + 1) * l->per_task, l->count); i++) {
        const float *x = read_line(l, c->logits, line_offset(l, c->logits, i), scratch_line(l, thread, 0));
        const int64_t to = line_offset(l, &c->dlogits, i);
        float *dx = line_to_write(l, &c->dlogits, to, scratch_line(l, thread, 1));
        gradient_line(c, i, x, dx);
        write_line(l, &c->dlogits, to, dx);
    }
    if (l->streamed) nc_stream_end();
}

static cross_entropy describe(const nacre_call *call, int logits, int weight)
{
    cross_entropy c = {.logits = &call->inputs[logits], .target = &call->inputs[logits + 1]};
    c.lines = lines_of(&c.logits->shape, CLASSES);
    c.lines.scratch = call->workspace;
    if (weight < call->input_count) c.weight = call->inputs[weight].data;
    c.smoothing = (float)nacre_unword(call->attributes[LABEL_SMOOTHING]);
    c.spread = c.smoothing / (float)nc_most(c.lines.length, 1);
    c.ignored = call->attributes[IGNORE_INDEX];
    double weights = c.weight ? 0 : (double)c.lines.length;
    for (int64_t i = 0; c.weight && i < c.lines.length; i++) weights += (double)c.weight[i];
    c.smoothed = c.spread * (float)weights;
    return c;
}

static void run_cross_entropy(const nacre_call *call)
{
    cross_entropy c = describe(call, 0, 2);
    c.loss = call->outputs[0].data;
    c.log_sum = call->outputs[1].data;
    c.counted = call->outputs[2].data;
    nacre_parallel(call->team, nc_ceil_div(c.lines.count, c.lines.per_task), loss_lines, &c);
}

static void run_cross_entropy_backward(const nacre_call *call)
{
    cross_entropy c = describe(call, 1, 4);
    c.dloss = call->inputs[0].data;
    c.given_log_sum = call->inputs[3].data;
    c.dlogits = call->outputs[0];
    c.lines.streamed = is_streamed(call, &c.dlogits, CLASSES);
    nacre_parallel(call->team, nc_ceil_div(c.lines.count, c.lines.per_task), gradient_lines, &c);
}

static size_t cross_entropy_workspace(const nacre_node_info *info)
{
    return scratch_bytes(info, &info->inputs[0], CLASSES);
}

static size_t cross_entropy_backward_workspace(const nacre_node_info *info)
{
    return scratch_bytes(info, &info->inputs[1], CLASSES);
}

/* ---- as kernels -------------------------------------------------------------------------------------------------- */

#define KERNEL(name, bytes)                                                                                            \
    const nacre_kernel nc_isa(nc_##name##_kernel) = {                                                                  \
        .op = #name,                                                                                                   \
        .variant = "lines_" NC_ISA_NAME,                                                                               \
        .flags = NACRE_KERNEL_ANY_LAYOUT | NACRE_KERNEL_IN_PLACE,                                                      \
        .can = refuse,                                                                                                 \
        .workspace = bytes,                                                                                            \
        .run = run_##name,                                                                                             \
    };
KERNEL(softmax, softmax_workspace)
KERNEL(log_softmax, softmax_workspace)
KERNEL(softmax_backward, softmax_workspace)
KERNEL(log_softmax_backward, softmax_workspace)
KERNEL(cross_entropy, cross_entropy_workspace)
KERNEL(cross_entropy_backward, cross_entropy_backward_workspace)

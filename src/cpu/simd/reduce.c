/* cpu/simd/reduce.c - sums, means and extrema over some axes.
 *
 * A result is one kept position outside times one on the innermost axis if that is kept. Results are computed
 * independently; where they are few, the reduced positions are also cut into a number of parts that depends on the
 * sizes alone, whose partial results are combined in order. Columns of 16-bit numbers, as bias gradients sum them, are
 * read as they are; their partial results are f32. */
#include "cpu/reduction.h"
#include "cpu/share.h"
#include "cpu/simd/half.h"
#include "cpu/simd/math.h"

enum {
    FEW = 4, /* vectors side by side: sums of a line, or results on a kept innermost axis */
    MANY = 8,
    BLOCK = FEW * NC_LANES,
};
#ifdef NACRE_STRESS
enum { GRAIN = 32, MOST_PARTS = 3, WIDE = 2 * MANY * NC_LANES };
#else
enum {
    GRAIN = 1 << 14, /* elements worth a task */
    MOST_PARTS = 64,
    WIDE = 1 << 12 /* results on a kept innermost axis that wait in the first-level cache while lines are added */
};
#endif

typedef enum fold_kind { SUM, MAX, MIN } fold_kind;

typedef struct reduction {
    nc_reduction loops;
    const float *x; /* or 16-bit numbers */
    nacre_dtype dtype;
    float *y;       /* [parts][results], or the result itself for one part of f32 */
    float scale;    /* of the last step: 1 / count for a mean */
    int64_t width;  /* results of a block on the innermost axis, if kept: FEW vectors or WIDE */
    int64_t blocks; /* on that axis */
    int64_t units;  /* kept positions times blocks */
    int64_t units_per_task, parts;
} reduction;

NC_ALWAYS_INLINE nc_vec start_of(fold_kind kind)
{
    const float infinity = __builtin_inff();
    return nc_splat(kind == SUM ? 0.0f : kind == MAX ? -infinity : infinity);
}

/* Of two extrema a NaN wins. */
NC_ALWAYS_INLINE nc_vec combine(fold_kind kind, nc_vec a, nc_vec b)
{
    if (kind == SUM) return a + b;
    const nc_vec extreme = kind == MAX ? nc_max(a, b) : nc_min(a, b); /* b where either is NaN */
    return nc_select(nc_unequal(a, a), a, extreme);
}

NC_ALWAYS_INLINE float fold(fold_kind kind, nc_vec v)
{
    return kind == SUM ? nc_sum(v) : kind == MAX ? nc_fold_max(v) : nc_fold_min(v);
}

/* Takes in elements [begin, end) of a line. */
NC_ALWAYS_INLINE void take_line(fold_kind kind, const float *x, int64_t begin, int64_t end, nc_vec sums[4])
{
    int64_t i = begin;
    for (; i + BLOCK <= end; i += BLOCK) {
        NC_UNROLL
        for (int v = 0; v < 4; v++) sums[v] = combine(kind, sums[v], nc_load(x + i + v * NC_LANES));
    }
    for (; i < end; i += NC_LANES) {
        const int64_t left = nc_least(end - i, NC_LANES);
        nc_vec last = nc_load_some(x + i, left);
        if (kind != SUM && left < NC_LANES) { /* lanes beyond the end must not count */
            float lanes[NC_LANES];
            memcpy(lanes, &last, sizeof lanes);
            for (int64_t k = left; k < NC_LANES; k++) lanes[k] = lanes[0];
            last = nc_load(lanes);
        }
        sums[0] = combine(kind, sums[0], last);
    }
}

/* A kept position whose lines are reduced: one result. */
NC_ALWAYS_INLINE void reduce_lines(fold_kind kind, const reduction *r, int64_t unit, int64_t part, float *y)
{
    const nc_reduction *loops = &r->loops;
    int64_t index[NACRE_MAX_RANK], x, to, ignored;
    nc_reduction_seek(loops->kept, loops->kept_rank, unit, index, &x, &to);
    const bool cut_line = loops->reduced_count == 1;
    const nc_range whole = {0, loops->inner.size};
    const nc_range line = cut_line ? nc_share(loops->inner.size, BLOCK, r->parts, part) : whole;
    const nc_range outer = cut_line ? (nc_range){0, 1} : nc_share(loops->reduced_count, 1, r->parts, part);
    nc_vec sums[4] = {start_of(kind), start_of(kind), start_of(kind), start_of(kind)};
    int64_t at[NACRE_MAX_RANK], offset;
    nc_reduction_seek(loops->reduced, loops->reduced_rank, outer.begin, at, &offset, &ignored);
    for (int64_t i = outer.begin; i < outer.end; i++) {
        take_line(kind, r->x + x + offset, line.begin, line.end, sums);
        nc_reduction_next(loops->reduced, loops->reduced_rank, at, &offset, &ignored);
    }
    y[to] = fold(kind, combine(kind, combine(kind, sums[0], sums[1]), combine(kind, sums[2], sums[3])));
    if (r->parts == 1) y[to] *= r->scale;
}

/* Takes `count` lines (up to FEW), which begin at `offsets`, into results that wait in memory: so lines are read from
 * end to end. */
NC_ALWAYS_INLINE void take_lines(fold_kind kind, nacre_dtype dtype, const void *x, const int64_t *offsets, int count,
                                 int64_t columns, float *results)
{
    for (int64_t i = 0; i < columns; i += NC_LANES) {
        const int64_t left = nc_least(columns - i, NC_LANES);
        nc_vec sum = nc_load_as(dtype, x, offsets[0] + i, left);
        NC_UNROLL
        for (int v = 1; v < count; v++) sum = combine(kind, sum, nc_load_as(dtype, x, offsets[v] + i, left));
        nc_store_some(results + i, combine(kind, nc_load_some(results + i, left), sum), left);
    }
}

/* A kept position and a wide piece of the innermost axis, whose results lie side by side. */
NC_ALWAYS_INLINE void reduce_wide(fold_kind kind, nacre_dtype dtype, const reduction *r, int64_t unit, int64_t part,
                                  float *y)
{
    const nc_reduction *loops = &r->loops;
    int64_t index[NACRE_MAX_RANK], at[NACRE_MAX_RANK], x, to, offset, ignored;
    nc_reduction_seek(loops->kept, loops->kept_rank, unit / r->blocks, index, &x, &to);
    const nc_range piece = nc_share(loops->inner.size, NC_LANES, r->blocks, unit % r->blocks);
    const nc_range outer = nc_share(loops->reduced_count, 1, r->parts, part);
    const int64_t columns = piece.end - piece.begin;
    float *results = y + to + piece.begin;
    for (int64_t i = 0; i < columns; i += NC_LANES)
        nc_store_some(results + i, start_of(kind), nc_least(columns - i, NC_LANES));
    nc_reduction_seek(loops->reduced, loops->reduced_rank, outer.begin, at, &offset, &ignored);
    for (int64_t i = outer.begin; i < outer.end; i += FEW) {
        const int count = (int)nc_least(outer.end - i, FEW);
        int64_t lines[FEW];
        for (int v = 0; v < count; v++) {
            lines[v] = x + offset + piece.begin;
            nc_reduction_next(loops->reduced, loops->reduced_rank, at, &offset, &ignored);
        }
        if (count == FEW)
            take_lines(kind, dtype, r->x, lines, FEW, columns, results);
        else
            for (int v = 0; v < count; v++) take_lines(kind, dtype, r->x, lines + v, 1, columns, results);
    }
    if (r->parts > 1 || r->scale == 1) return;
    for (int64_t i = 0; i < columns; i++) results[i] *= r->scale;
}

/* A kept position and a block of the innermost axis: a result per lane. */
NC_ALWAYS_INLINE void reduce_columns(fold_kind kind, const reduction *r, int64_t unit, int64_t part, float *y)
{
    const nc_reduction *loops = &r->loops;
    int64_t index[NACRE_MAX_RANK], at[NACRE_MAX_RANK], x, to, offset, ignored;
    nc_reduction_seek(loops->kept, loops->kept_rank, unit / r->blocks, index, &x, &to);
    const int64_t column = unit % r->blocks * r->width, columns = nc_least(loops->inner.size - column, r->width);
    const nc_range outer = nc_share(loops->reduced_count, 1, r->parts, part);
    nc_vec sums[FEW];
    for (int v = 0; v < FEW; v++) sums[v] = start_of(kind);
    nc_reduction_seek(loops->reduced, loops->reduced_rank, outer.begin, at, &offset, &ignored);
    for (int64_t i = outer.begin; i < outer.end; i++) {
        const float *line = r->x + x + offset + column;
        if (columns == FEW * NC_LANES) {
            NC_UNROLL
            for (int v = 0; v < FEW; v++) {
                sums[v] = combine(kind, sums[v], nc_load(line + v * NC_LANES));
            }
        } else {
            NC_UNROLL
            for (int v = 0; v < FEW; v++) {
                const int64_t left = nc_most(nc_least(columns - v * NC_LANES, NC_LANES), 0);
                if (left > 0) sums[v] = combine(kind, sums[v], nc_load_some(line + v * NC_LANES, left));
            }
        }
        nc_reduction_next(loops->reduced, loops->reduced_rank, at, &offset, &ignored);
    }
    for (int64_t k = 0; k < columns; k++)
        y[to + (column + k) * loops->inner.y] = sums[k / NC_LANES][k % NC_LANES] * (r->parts == 1 ? r->scale : 1.0f);
}

NC_ALWAYS_INLINE void run_task(fold_kind kind, const reduction *r, int64_t index)
{
    const int64_t results = r->loops.kept_count * (r->loops.inner_reduced ? 1 : r->loops.inner.size);
    const int64_t part = index % r->parts, first = index / r->parts * r->units_per_task;
    float *y = r->y + part * results;
    for (int64_t unit = first; unit < nc_least(first + r->units_per_task, r->units); unit++) {
        if (r->loops.inner_reduced)
            reduce_lines(kind, r, unit, part, y);
        else if (r->width == BLOCK)
            reduce_columns(kind, r, unit, part, y);
        else if (r->dtype == NACRE_F32)
            reduce_wide(kind, NACRE_F32, r, unit, part, y);
        else if (r->dtype == NACRE_BF16)
            reduce_wide(kind, NACRE_BF16, r, unit, part, y);
        else
            reduce_wide(kind, NACRE_F16, r, unit, part, y);
    }
}

static void sum_task(void *user, int64_t index, int thread)
{
    (void)thread;
    run_task(SUM, user, index);
}

static void max_task(void *user, int64_t index, int thread)
{
    (void)thread;
    run_task(MAX, user, index);
}

static void min_task(void *user, int64_t index, int thread)
{
    (void)thread;
    run_task(MIN, user, index);
}

static void cut(reduction *r)
{
    const nc_reduction *loops = &r->loops;
    r->width = loops->inner.size < MANY * NC_LANES || loops->inner.y != 1 ? BLOCK : WIDE;
    const int64_t lines = loops->inner_reduced ? loops->inner.size : nc_least(loops->inner.size, r->width);
    const int64_t per_unit = nc_most(loops->reduced_count * lines, 1);
    r->blocks = loops->inner_reduced ? 1 : nc_ceil_div(loops->inner.size, r->width);
    r->units = loops->kept_count * r->blocks;
    r->units_per_task = nc_most(GRAIN / per_unit, 1);
    r->parts = 1;
    if (r->units >= MOST_PARTS) return;
    const int64_t most = loops->inner_reduced && loops->reduced_count == 1 ? nc_ceil_div(loops->inner.size, BLOCK)
                                                                           : loops->reduced_count;
    r->parts = nc_most(nc_least(nc_least(per_unit / GRAIN, MOST_PARTS / nc_most(r->units, 1)), most), 1);
}

static int64_t result_count(const reduction *r)
{
    return r->loops.kept_count * (r->loops.inner_reduced ? 1 : r->loops.inner.size);
}

/* Partial results side by side become the result, in order. */
static void add_parts(const reduction *r, fold_kind kind, const nacre_view *y)
{
    const int64_t count = result_count(r);
    for (int64_t i = 0; i < count; i += NC_LANES) {
        const int64_t left = nc_least(count - i, NC_LANES);
        nc_vec total = nc_load_some(r->y + i, left);
        for (int64_t part = 1; part < r->parts; part++)
            total = combine(kind, total, nc_load_some(r->y + part * count + i, left));
        nc_store_as(y->dtype, y->data, i, total * r->scale, left);
    }
}

/* ---- as kernels -------------------------------------------------------------------------------------------------- */

enum { KEEP = 1 + NACRE_MAX_RANK }; /* attribute word: the axes stand before it */

static void make(reduction *r, const nacre_view *x, const nacre_view *y, const int64_t *attributes)
{
    *r = (reduction){.scale = 1, .dtype = x->dtype};
    nc_reduction_make(&r->loops, x, y, attributes, attributes[KEEP] != 0);
    cut(r);
}

static const char *refuse(const nacre_node_info *info)
{
    const nacre_view *x = &info->inputs[0], *y = &info->outputs[0];
    if (nacre_shape_count(x->shape) == 0) return "there is nothing to reduce";
    if (x->dtype == NACRE_F32 && y->dtype == NACRE_F32) return NULL;
    if (!nc_is_half(x->dtype) || (y->dtype != NACRE_F32 && y->dtype != x->dtype)) return "computes f32, bf16 and f16";
    reduction r;
    make(&r, x, y, info->attributes);
    return r.loops.inner_reduced || r.width == BLOCK ? "takes wide columns only, where numbers have 16 bits" : NULL;
}

/* Whether results are not written where they belong at once. */
static bool is_partial(const reduction *r, const nacre_view *y)
{
    return r->parts > 1 || y->dtype != NACRE_F32;
}

static size_t workspace(const nacre_node_info *info)
{
    reduction r;
    make(&r, &info->inputs[0], &info->outputs[0], info->attributes);
    return is_partial(&r, &info->outputs[0]) ? (size_t)(r.parts * result_count(&r)) * sizeof(float) : 0;
}

static void run_kind(const nacre_call *call, fold_kind kind, bool mean)
{
    static void (*const tasks[])(void *, int64_t, int) = {sum_task, max_task, min_task};
    const nacre_view *x = &call->inputs[0], *y = &call->outputs[0];
    reduction r;
    make(&r, x, y, call->attributes);
    const float scale = mean ? 1.0f / (float)r.loops.per_result : 1;
    const bool partial = is_partial(&r, y);
    if (!partial) r.scale = scale;
    r.x = x->data;
    r.y = partial ? call->workspace : y->data;
    nacre_parallel(call->team, nc_ceil_div(r.units, r.units_per_task) * r.parts, tasks[kind], &r);
    r.scale = scale;
    if (partial) add_parts(&r, kind, y);
}

static void run_sum(const nacre_call *call)
{
    run_kind(call, SUM, false);
}

static void run_mean(const nacre_call *call)
{
    run_kind(call, SUM, true);
}

static void run_max(const nacre_call *call)
{
    run_kind(call, MAX, false);
}

static void run_min(const nacre_call *call)
{
    run_kind(call, MIN, false);
}

#define KERNEL(name, function)                                                                                         \
    const nacre_kernel nc_isa(nc_##name##_kernel) = {                                                                  \
        .op = #name,                                                                                                   \
        .variant = "lines_" NC_ISA_NAME,                                                                               \
        .flags = NACRE_KERNEL_ANY_LAYOUT | NACRE_KERNEL_MIXED,                                                         \
        .can = refuse,                                                                                                 \
        .workspace = workspace,                                                                                        \
        .run = function,                                                                                               \
    };
KERNEL(sum, run_sum)
KERNEL(mean, run_mean)
KERNEL(max, run_max)
KERNEL(min, run_min)

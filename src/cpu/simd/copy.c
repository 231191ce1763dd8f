/* cpu/simd/copy.c - parts of tensors copied: slice, its gradient, pad, concat and stack, of any element type.
 *
 * The axes are walked in the order in which the result lies in memory. What is contiguous on both sides is one run; the
 * runs are shared out among the threads. */
#include "cpu/share.h"
#include "cpu/simd/simd.h"
#include "ops/op.h"

#ifdef NACRE_STRESS
enum { GRAIN = 1 << 5 };
#else
enum { GRAIN = 1 << 16 }; /* bytes worth a task */
#endif

typedef struct copying {
    nacre_view from, to; /* of one shape, without the axes of a run; the last axis is walked within a task */
    int64_t run;         /* bytes */
    int64_t rows, per_task;
} copying;

static int64_t offset_of(const nacre_view *view, int64_t row)
{
    int64_t offset = 0;
    for (int i = view->shape.rank - 2; i >= 0; i--) {
        offset += row % view->shape.dims[i] * view->strides[i];
        row /= view->shape.dims[i];
    }
    return offset;
}

/* `count` runs, `from_step` and `to_step` bytes apart. */
static void copy_runs(char *to, int64_t to_step, const char *from, int64_t from_step, int64_t run, int64_t count)
{
    if (run == 4)
        for (int64_t i = 0; i < count; i++) memcpy(to + i * to_step, from + i * from_step, 4);
    else
        for (int64_t i = 0; i < count; i++) memcpy(to + i * to_step, from + i * from_step, (size_t)run);
}

static void copy_rows(void *user, int64_t index, int thread)
{
    (void)thread;
    const copying *c = user;
    const int last = c->to.shape.rank - 1;
    const int64_t size = (int64_t)nacre_dtype_size(c->to.dtype);
    for (int64_t row = index * c->per_task; row < nc_least((index + 1) * c->per_task, c->rows); row++)
        copy_runs((char *)c->to.data + offset_of(&c->to, row) * size, c->to.strides[last] * size,
                  (const char *)c->from.data + offset_of(&c->from, row) * size, c->from.strides[last] * size, c->run,
                  c->to.shape.dims[last]);
}

/* Axes by falling stride of the result, without those of size 1. */
static void sort_axes(nacre_view *from, nacre_view *to)
{
    nacre_view sorted_from = *from, sorted_to = *to;
    int rank = 0;
    for (int axis = 0; axis < to->shape.rank; axis++) {
        if (to->shape.dims[axis] == 1) continue;
        int at = rank++;
        for (; at > 0 && sorted_to.strides[at - 1] < to->strides[axis]; at--) {
            sorted_to.shape.dims[at] = sorted_to.shape.dims[at - 1];
            sorted_to.strides[at] = sorted_to.strides[at - 1];
            sorted_from.strides[at] = sorted_from.strides[at - 1];
        }
        sorted_to.shape.dims[at] = to->shape.dims[axis];
        sorted_to.strides[at] = to->strides[axis];
        sorted_from.strides[at] = from->strides[axis];
    }
    sorted_to.shape.rank = rank;
    sorted_from.shape = sorted_to.shape;
    *from = sorted_from;
    *to = sorted_to;
}

/* Joins the last axes that are contiguous on both sides into a run, and gives the rest at least one axis. */
static copying describe(nacre_view from, nacre_view to)
{
    int64_t elements = 1;
    sort_axes(&from, &to);
    int rank = to.shape.rank;
    while (rank > 0 && from.strides[rank - 1] == elements && to.strides[rank - 1] == elements)
        elements *= to.shape.dims[--rank];
    if (rank == 0) from.shape.dims[rank] = to.shape.dims[rank] = 1, from.strides[rank] = to.strides[rank] = 0, rank = 1;
    from.shape.rank = to.shape.rank = rank;
    copying c = {.from = from, .to = to, .run = elements * (int64_t)nacre_dtype_size(to.dtype), .rows = 1};
    for (int i = 0; i < rank - 1; i++) c.rows *= to.shape.dims[i];
    c.per_task = nc_most(GRAIN / nc_most(c.run * to.shape.dims[rank - 1], 1), 1);
    return c;
}

/* A run alone is cut, so that more than one thread copies it. */
static void cut_long_run(copying *c)
{
    const int last = c->to.shape.rank - 1;
    if (c->rows > 1 || c->to.shape.dims[last] > 1) return;
    const int64_t size = (int64_t)nacre_dtype_size(c->to.dtype), part = GRAIN / size;
    const int64_t elements = c->run / size;
    if (elements < 2 * part || elements % part) return;
    c->to.shape = NACRE_SHAPE(elements / part, 1);
    c->to.strides[0] = c->from.strides[0] = part;
    c->to.strides[1] = c->from.strides[1] = 0;
    c->from.shape = c->to.shape;
    c->rows = elements / part;
    c->run = GRAIN;
    c->per_task = 1;
}

static void copy_view(nacre_team *team, nacre_view from, nacre_view to)
{
    if (nacre_shape_count(to.shape) == 0) return;
    copying c = describe(from, to);
    cut_long_run(&c);
    nacre_parallel(team, nc_ceil_div(c.rows, c.per_task), copy_rows, &c);
}

typedef struct filling {
    char *to;
    int64_t bytes;
    unsigned char pattern[64]; /* the value, repeated */
} filling;

static void fill_part(void *user, int64_t index, int thread)
{
    (void)thread;
    const filling *f = user;
    const int64_t end = nc_least((index + 1) * GRAIN, f->bytes);
    for (int64_t at = index * GRAIN; at < end; at += (int64_t)sizeof f->pattern)
        memcpy(f->to + at, f->pattern, (size_t)nc_least(end - at, (int64_t)sizeof f->pattern));
}

static void fill(nacre_team *team, const nacre_view *view, double value)
{
    const int64_t size = (int64_t)nacre_dtype_size(view->dtype);
    filling f = {.to = view->data, .bytes = nacre_shape_count(view->shape) * size};
    for (int64_t i = 0; i < (int64_t)sizeof f.pattern / size; i++) nacre_dtype_store(view->dtype, f.pattern, i, value);
    nacre_parallel(team, nc_ceil_div(f.bytes, GRAIN), fill_part, &f);
}

/* ---- as kernels -------------------------------------------------------------------------------------------------- */

static void run_slice(const nacre_call *call)
{
    copy_view(call->team, nc_slice_section(call->inputs[0], call->attributes), call->outputs[0]);
}

static void run_slice_backward(const nacre_call *call)
{
    const nacre_view *dx = &call->outputs[0];
    fill(call->team, dx, 0);
    copy_view(call->team, call->inputs[0], nc_slice_section(*dx, call->attributes));
}

static void run_pad(const nacre_call *call)
{
    double value;
    nc_pad_value(call->attributes, &value);
    fill(call->team, &call->outputs[0], value);
    copy_view(call->team, call->inputs[0], nc_pad_part(call->outputs[0], &call->inputs[0].shape, call->attributes));
}

static const char *refuse_pad(const nacre_node_info *info)
{
    double value;
    return nc_pad_value(info->attributes, &value) ? NULL : "pads with one value only";
}

static void run_concat(const nacre_call *call)
{
    const int axis = (int)call->attributes[0];
    int64_t start = 0;
    for (int i = 0; i < call->input_count; i++) {
        const int64_t count = call->inputs[i].shape.dims[axis];
        copy_view(call->team, call->inputs[i], nc_section(call->outputs[0], axis, start, 1, count));
        start += count;
    }
}

static void run_stack(const nacre_call *call)
{
    const int axis = (int)call->attributes[0];
    for (int i = 0; i < call->input_count; i++) {
        nacre_view part = nc_section(call->outputs[0], axis, i, 1, 1);
        for (int k = axis; k + 1 < part.shape.rank; k++) {
            part.shape.dims[k] = part.shape.dims[k + 1];
            part.strides[k] = part.strides[k + 1];
        }
        part.shape.rank--;
        copy_view(call->team, call->inputs[i], part);
    }
}

#define KERNEL(name, order, refusal)                                                                                   \
    const nacre_kernel nc_isa(nc_##name##_kernel) = {                                                                  \
        .op = #name, .variant = "runs_" NC_ISA_NAME, .flags = order, .can = refusal, .run = run_##name};
KERNEL(slice, NACRE_KERNEL_ANY_LAYOUT, NULL)
KERNEL(slice_backward, NACRE_KERNEL_ANY_LAYOUT, NULL)
KERNEL(pad, NACRE_KERNEL_ANY_LAYOUT, refuse_pad)
KERNEL(concat, NACRE_KERNEL_ANY_LAYOUT, NULL)
KERNEL(stack, 0, NULL)

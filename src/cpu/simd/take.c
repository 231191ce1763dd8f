/* cpu/simd/take.c - rows that indices name: take and embedding copy them, their gradient adds them up again in the
 * order of the indices. */
#include "cpu/share.h"
#include "cpu/simd/half.h"
#include "ops/index.h"

enum { SLICE = 8 * NC_LANES }; /* elements of a row that a task of the gradient adds up */
#ifdef NACRE_STRESS
enum { GRAIN = 1 << 4 };
#else
enum { GRAIN = 1 << 13 }; /* elements worth a task */
#endif

/* The table is [outer][size][inner], what is taken from it [outer][indices][inner]. */
typedef struct take {
    int64_t outer, size, inner, count, per_task, slices;
    const nacre_view *indices;
    int64_t padding; /* an index that gets no gradient */
    const void *from;
    void *to;
    nacre_dtype dtype;
} take;

static take describe(const nacre_view *table, int axis, const nacre_view *indices)
{
    take t = {.outer = 1, .size = table->shape.dims[axis], .inner = 1, .indices = indices};
    for (int i = 0; i < axis; i++) t.outer *= table->shape.dims[i];
    for (int i = axis + 1; i < table->shape.rank; i++) t.inner *= table->shape.dims[i];
    t.count = nacre_shape_count(indices->shape);
    t.per_task = nc_most(GRAIN / nc_most(t.inner, 1), 1);
    t.slices = nc_ceil_div(t.inner, SLICE);
    return t;
}

static void copy_rows(void *user, int64_t index, int thread)
{
    (void)thread;
    const take *t = user;
    const size_t row = (size_t)t->inner * nacre_dtype_size(t->dtype);
    for (int64_t i = index * t->per_task; i < nc_least((index + 1) * t->per_task, t->outer * t->count); i++) {
        const int64_t position = nc_position(t->indices, i % t->count, t->size);
        char *to = (char *)t->to + (size_t)i * row;
        if (position >= 0)
            memcpy(to, (const char *)t->from + (size_t)(i / t->count * t->size + position) * row, row);
        else
            for (int64_t k = 0; k < t->inner; k++) nacre_dtype_store(t->dtype, to, k, (double)__builtin_nanf(""));
    }
}

static void run_take_along(const nacre_call *call, int axis)
{
    take t = describe(&call->inputs[0], axis, &call->inputs[1]);
    t.from = call->inputs[0].data;
    t.to = call->outputs[0].data;
    t.dtype = call->outputs[0].dtype;
    nacre_parallel(call->team, nc_ceil_div(t.outer * t.count, t.per_task), copy_rows, &t);
}

static void run_take(const nacre_call *call)
{
    run_take_along(call, (int)call->attributes[0]);
}

static void run_embedding(const nacre_call *call)
{
    run_take_along(call, 0);
}

/* A slice of all rows of one outer position. */
static void add_rows(void *user, int64_t index, int thread)
{
    (void)thread;
    const take *t = user;
    const int64_t outer = index / t->slices, first = index % t->slices * SLICE;
    const int64_t width = nc_least(t->inner - first, SLICE);
    float *table = (float *)t->to + outer * t->size * t->inner + first;
    const float *rows = (const float *)t->from + outer * t->count * t->inner + first;
    for (int64_t row = 0; row < t->size; row++) memset(table + row * t->inner, 0, (size_t)width * sizeof *table);
    for (int64_t k = 0; k < t->count; k++) {
        const int64_t position = nc_position(t->indices, k, t->size);
        if (position < 0 || position == t->padding) continue;
        float *to = table + position * t->inner;
        for (int64_t i = 0; i < width; i += NC_LANES) {
            const int64_t lanes = nc_least(width - i, NC_LANES);
            nc_store_some(to + i, nc_load_some(to + i, lanes) + nc_load_some(rows + k * t->inner + i, lanes), lanes);
        }
    }
}

enum { AXIS, SIZE, PADDING }; /* attribute words of take_backward */

static void run_backward(const nacre_call *call)
{
    take t = describe(&call->outputs[0], (int)call->attributes[AXIS], &call->inputs[1]);
    t.padding = call->attributes[PADDING];
    t.from = call->inputs[0].data;
    t.to = call->outputs[0].data;
    nacre_parallel(call->team, t.outer * t.slices, add_rows, &t);
}

static const char *refuse(const nacre_node_info *info)
{
    return info->outputs[0].dtype == NACRE_F32 ? NULL : "computes f32 only";
}

static const char *refuse_moved(const nacre_node_info *info)
{
    const nacre_dtype dtype = info->outputs[0].dtype;
    return dtype == NACRE_F32 || nc_is_half(dtype) ? NULL : "moves floats of two and four bytes only";
}

#define KERNEL(name, function, refusal)                                                                                \
    const nacre_kernel nc_isa(nc_##name##_kernel) = {                                                                  \
        .op = #name, .variant = "rows_" NC_ISA_NAME, .can = refusal, .run = function};
KERNEL(take, run_take, refuse_moved)
KERNEL(embedding, run_embedding, refuse_moved)
KERNEL(take_backward, run_backward, refuse)

/* ops/adaptive_pool.c - pooling to a given number of cells: cell i of `count` over `size` elements reaches from
 * floor(i size / count) to ceil((i + 1) size / count), so neighbours may share an element. */
#include "ops/pool.h"

#include <math.h>
#include <string.h>

enum { SIZE = 0, WORDS = SIZE + 1 + NC_WINDOW_AXES };

/* Cell `index` along each axis as a box: first elements and extents. The cells that an element is in are the box of the
 * element with the two numbers exchanged. */
static nacre_shape box_of(const int64_t *index, const int64_t *counts, const int64_t *sizes, int axes, int64_t *first)
{
    nacre_shape extents = {.rank = axes};
    for (int i = 0; i < axes; i++) {
        first[i] = index[i] * sizes[i] / counts[i];
        extents.dims[i] = ((index[i] + 1) * sizes[i] + counts[i] - 1) / counts[i] - first[i];
    }
    return extents;
}

static nacre_status pool_shape(nacre_shape_call *call)
{
    nacre_status status = nc_need_float(call);
    if (!status) status = nc_need_spatial(call, 0);
    if (!status)
        status = nc_spread(call, "size", call->attributes + SIZE, nacre_tensor_rank(call->inputs[0]) - 2, NULL, 1);
    return status ? status : nc_pool_shape(call, call->attributes + SIZE + 1);
}

static nacre_status max_pool_shape(nacre_shape_call *call)
{
    nacre_status status = pool_shape(call);
    return status ? status : nc_pool_indices_shape(call);
}

static nacre_tensor *with_size_of(const nacre_op *op, nacre_tensor *x, nacre_tensor *like)
{
    int64_t words[WORDS];
    nacre_shape shape = nacre_tensor_shape(like);
    nc_put_ints(words + SIZE, shape.dims + 2, shape.rank - 2, NC_WINDOW_AXES);
    return nc_apply1(op, x, words);
}

static void avg_gradient(nacre_gradient_call *call)
{
    call->input_grads[0] = with_size_of(&nc_op_adaptive_avg_pool_backward, call->output_grads[0], call->inputs[0]);
}

static void avg_backward_gradient(nacre_gradient_call *call)
{
    call->input_grads[0] = with_size_of(&nc_op_adaptive_avg_pool, call->output_grads[0], call->inputs[0]);
}

static void avg_reference(const nacre_call *call)
{
    const nacre_view *x = &call->inputs[0], *y = &call->outputs[0];
    int axes = x->shape.rank - 2;
    int64_t out[NACRE_MAX_RANK] = {0};
    if (nc_count(y) == 0) return;
    do {
        int64_t first[NACRE_MAX_RANK], step[NACRE_MAX_RANK] = {0}, in[NACRE_MAX_RANK] = {out[0], out[1]};
        nacre_shape box = box_of(out + 2, y->shape.dims + 2, x->shape.dims + 2, axes, first);
        double sum = 0;
        do {
            for (int i = 0; i < axes; i++) in[2 + i] = first[i] + step[i];
            sum += nc_get(x, nc_offset(x, in));
        } while (nc_next(&box, step));
        nc_set(y, nc_offset(y, out), sum / (double)nacre_shape_count(box));
    } while (nc_next(&y->shape, out));
}

static void avg_backward_reference(const nacre_call *call)
{
    const nacre_view *dy = &call->inputs[0], *dx = &call->outputs[0];
    const int64_t *counts = dy->shape.dims + 2, *sizes = dx->shape.dims + 2;
    int axes = dx->shape.rank - 2;
    int64_t in[NACRE_MAX_RANK] = {0};
    if (nc_count(dx) == 0) return;
    do {
        int64_t first[NACRE_MAX_RANK], step[NACRE_MAX_RANK] = {0}, out[NACRE_MAX_RANK] = {in[0], in[1]};
        nacre_shape cells = box_of(in + 2, sizes, counts, axes, first);
        double sum = 0;
        do {
            int64_t unused[NACRE_MAX_RANK];
            for (int i = 0; i < axes; i++) out[2 + i] = first[i] + step[i];
            nacre_shape cell = box_of(out + 2, counts, sizes, axes, unused);
            sum += nc_get(dy, nc_offset(dy, out)) / (double)nacre_shape_count(cell);
        } while (nc_next(&cells, step));
        nc_set(dx, nc_offset(dx, in), sum);
    } while (nc_next(&dx->shape, in));
}

static void max_reference(const nacre_call *call)
{
    const nacre_view *x = &call->inputs[0], *y = &call->outputs[0], *indices = &call->outputs[1];
    int axes = x->shape.rank - 2;
    int64_t out[NACRE_MAX_RANK] = {0};
    if (nc_count(y) == 0) return;
    do {
        int64_t first[NACRE_MAX_RANK], step[NACRE_MAX_RANK] = {0}, in[NACRE_MAX_RANK] = {out[0], out[1]};
        nacre_shape box = box_of(out + 2, y->shape.dims + 2, x->shape.dims + 2, axes, first);
        nc_largest largest = {.value = -INFINITY, .position = -1};
        do {
            for (int i = 0; i < axes; i++) in[2 + i] = first[i] + step[i];
            nc_take_largest(&largest, nc_get(x, nc_offset(x, in)), nc_plane_position(&x->shape, in + 2));
        } while (nc_next(&box, step));
        nc_set(y, nc_offset(y, out), largest.value);
        nc_set(indices, nc_offset(indices, out), (double)largest.position);
    } while (nc_next(&y->shape, out));
}

static const char *const CASES[] = {"x=2x3x7x5 size=3,2",     "x=2x3x7x5 size=1",        "x=1x2x3x4 size=5,8",
                                    "x=2x3x8x8 size=4",       "x=1x1x1x1 size=1",        "x=2x3x7 size=4",
                                    "x=1x2x4x3x5 size=2,3,2", "x=2x40x7x7 size=1 !grad", NULL};
static const char *const BACKWARD_CASES[] = {"dy=2x3x3x2 size=7,5", "dy=2x3x1x1 size=7,5",     "dy=1x2x5x8 size=3,4",
                                             "dy=2x3x4 size=7",     "dy=1x2x2x3x2 size=4,3,5", NULL};

#define SCHEMA(of)                                                                                                     \
    {                                                                                                                  \
        {                                                                                                              \
            "size", NACRE_ATTRIBUTE_INTS, .required = true, .limit = NC_WINDOW_AXES, .doc = "spatial sizes of " of     \
        }                                                                                                              \
    }

const nacre_op nc_op_adaptive_avg_pool = {
    .name = "adaptive_avg_pool",
    .doc =
        "The mean over each of size[0] x size[1] ... cells of x [N, C, ...]; cell i of k reaches from floor(i n / k) "
        "to ceil((i + 1) n / k) along an axis of n elements.",
    .inputs = "x",
    .outputs = "y",
    .attributes = SCHEMA("y"),
    .layouts = "d>d",
    .shape = pool_shape,
    .gradient = avg_gradient,
    .reference = avg_reference,
    .cases = CASES,
};

const nacre_op nc_op_adaptive_avg_pool_backward = {
    .name = "adaptive_avg_pool_backward",
    .doc = "The gradient of adaptive_avg_pool: spreads each element of dy evenly over its cell.",
    .inputs = "dy",
    .outputs = "dx",
    .attributes = SCHEMA("dx"),
    .layouts = "d>d",
    .shape = pool_shape,
    .gradient = avg_backward_gradient,
    .reference = avg_backward_reference,
    .cases = BACKWARD_CASES,
};

const nacre_op nc_op_adaptive_max_pool = {
    .name = "adaptive_max_pool",
    .doc = "The largest element of each cell, cut as adaptive_avg_pool does, and its position in the input's plane "
           "(i32).",
    .inputs = "x",
    .outputs = "y indices",
    .attributes = SCHEMA("y"),
    .layouts = "d>dd",
    .shape = max_pool_shape,
    .gradient = nc_max_pool_gradient,
    .reference = max_reference,
    .cases = CASES,
};

static nacre_tensor *pool(const nacre_op *op, nacre_tensor *x, const int64_t *size)
{
    int64_t words[WORDS];
    int axes = nacre_tensor_rank(x) - 2;
    if (!x || !size) return NULL;
    nc_put_ints(words + SIZE, size, axes < 0 ? 0 : axes, NC_WINDOW_AXES);
    return nc_apply1(op, x, words);
}

nacre_tensor *nacre_adaptive_avg_pool(nacre_tensor *x, const int64_t *size)
{
    return pool(&nc_op_adaptive_avg_pool, x, size);
}

nacre_tensor *nacre_adaptive_max_pool(nacre_tensor *x, const int64_t *size)
{
    return pool(&nc_op_adaptive_max_pool, x, size);
}

nacre_tensor *nacre_global_avg_pool(nacre_tensor *x)
{
    return pool(&nc_op_adaptive_avg_pool, x, (int64_t[NC_WINDOW_AXES]){1, 1, 1});
}

/* ops/pool.c - maximum and average over sliding windows.
 *
 * max_pool gives positions along with the values; max_pool_backward adds gradients up at positions and max_pool_gather
 * picks values at them, each the other's gradient. avg_pool is linear, avg_pool_backward is its adjoint.
 */
#include "ops/pool.h"

#include <math.h>
#include <string.h>

/* ---- shape rules ---- */

nacre_status nc_pool_shape(nacre_shape_call *call, const int64_t *sizes)
{
    nacre_status status = nc_need_spatial(call, 0);
    if (status) return status;
    nacre_shape x = nacre_tensor_shape(call->inputs[0]);
    char text[NACRE_SHAPE_TEXT_SIZE];
    for (int i = 2; i < x.rank; i++)
        if (x.dims[i] < 1)
            return nacre_shape_fail(call, NACRE_ERROR_SHAPE, "the planes of %s are empty", nacre_shape_text(x, text));
    call->shapes[0] = x;
    call->dtypes[0] = nacre_tensor_dtype(call->inputs[0]);
    if (sizes) memcpy(call->shapes[0].dims + 2, sizes, sizeof(int64_t) * (size_t)(x.rank - 2));
    return NACRE_OK;
}

nacre_status nc_pool_indices_shape(nacre_shape_call *call)
{
    nacre_shape x = nacre_tensor_shape(call->inputs[0]);
    if (nacre_shape_count(nc_spatial(&x)) > INT32_MAX)
        return nacre_shape_fail(call, NACRE_ERROR_SHAPE, "planes have more than 2^31 elements");
    call->shapes[1] = call->shapes[0];
    call->dtypes[1] = NACRE_I32;
    return NACRE_OK;
}

/* A last window may hang over the end if it begins inside the input or the padding before it (PyTorch's rule). */
static int64_t count_windows(const nc_window *window, int axis, int64_t input, bool ceil_mode)
{
    int64_t count = nc_window_count(window, axis, input), stride = window->stride[axis];
    int64_t room = input + window->begin[axis] + window->end[axis] - nc_window_reach(window, axis);
    if (!ceil_mode || count == 0 || room % stride == 0) return count;
    return count * stride < input + window->begin[axis] ? count + 1 : count;
}

/* The sizes that pooling planes of `sizes` gives. */
static nacre_status pooled_sizes(nacre_shape_call *call, const int64_t *sizes, int axes, int64_t *result)
{
    int64_t *kernel = call->attributes + NC_POOL_KERNEL;
    nacre_status status = nc_spread(call, "kernel", kernel, axes, NULL, 1);
    if (!status) status = nc_window_complete(call, axes, kernel + 1, true);
    if (status) return status;
    nc_window window = nc_window_read(call->attributes, axes, kernel + 1);
    for (int i = 0; i < axes; i++) {
        int64_t reach = nc_window_reach(&window, i);
        if (window.begin[i] < 0 || window.end[i] < 0 || window.begin[i] >= reach || window.end[i] >= reach)
            return nacre_shape_fail(call, NACRE_ERROR_ARGUMENT,
                                    "padding is %lld and %lld, expected 0 to %lld along axis %d",
                                    (long long)window.begin[i], (long long)window.end[i], (long long)reach - 1, 2 + i);
        result[i] = count_windows(&window, i, sizes[i], call->attributes[NC_POOL_CEIL] != 0);
        if (result[i] < 1)
            return nacre_shape_fail(call, NACRE_ERROR_SHAPE,
                                    "window covers %lld elements of axis %d, padded input has %lld", (long long)reach,
                                    2 + i, (long long)(sizes[i] + window.begin[i] + window.end[i]));
    }
    return NACRE_OK;
}

static nacre_status pool_shape(nacre_shape_call *call)
{
    int64_t sizes[NC_WINDOW_AXES];
    nacre_status status = nc_need_float(call);
    if (!status) status = nc_pool_shape(call, NULL);
    if (status) return status;
    nacre_shape x = nacre_tensor_shape(call->inputs[0]);
    status = pooled_sizes(call, x.dims + 2, x.rank - 2, sizes);
    return status ? status : nc_pool_shape(call, sizes);
}

static nacre_status max_pool_shape(nacre_shape_call *call)
{
    nacre_status status = pool_shape(call);
    return status ? status : nc_pool_indices_shape(call);
}

static nacre_status avg_pool_backward_shape(nacre_shape_call *call)
{
    int64_t *size = call->attributes + NC_POOL_SIZE, sizes[NC_WINDOW_AXES];
    nacre_status status = nc_need_float(call);
    if (!status) status = nc_pool_shape(call, NULL);
    if (status) return status;
    nacre_shape dy = nacre_tensor_shape(call->inputs[0]);
    status = nc_spread(call, "size", size, dy.rank - 2, NULL, 1);
    if (!status) status = pooled_sizes(call, size + 1, dy.rank - 2, sizes);
    if (status) return status;
    for (int i = 0; i < dy.rank - 2; i++)
        if (sizes[i] != dy.dims[2 + i])
            return nacre_shape_fail(call, NACRE_ERROR_SHAPE, "pooling gives %lld elements along axis %d, dy has %lld",
                                    (long long)sizes[i], 2 + i, (long long)dy.dims[2 + i]);
    return nc_pool_shape(call, size + 1);
}

enum { SIZE = 0, SIZE_WORDS = SIZE + 1 + NC_WINDOW_AXES }; /* max_pool_backward */

static nacre_status need_indices(nacre_shape_call *call)
{
    nacre_status status = nc_need_float(call);
    if (!status) status = nc_need_spatial(call, 0);
    if (!status && nacre_tensor_dtype(call->inputs[1]) != NACRE_I32)
        return nacre_shape_fail(call, NACRE_ERROR_DTYPE, "indices are %s, expected i32",
                                nacre_dtype_name(nacre_tensor_dtype(call->inputs[1])));
    return status;
}

static nacre_status fail_indices(nacre_shape_call *call, nacre_shape data, nacre_shape indices)
{
    char a[NACRE_SHAPE_TEXT_SIZE], b[NACRE_SHAPE_TEXT_SIZE];
    return nacre_shape_fail(call, NACRE_ERROR_SHAPE, "indices %s do not fit %s", nacre_shape_text(indices, a),
                            nacre_shape_text(data, b));
}

static nacre_status max_pool_backward_shape(nacre_shape_call *call)
{
    nacre_status status = need_indices(call);
    if (status) return status;
    nacre_shape dy = nacre_tensor_shape(call->inputs[0]), indices = nacre_tensor_shape(call->inputs[1]);
    if (!nacre_shape_equal(dy, indices)) return fail_indices(call, dy, indices);
    int64_t *size = call->attributes + SIZE;
    status = nc_spread(call, "size", size, dy.rank - 2, NULL, 1);
    return status ? status : nc_pool_shape(call, size + 1);
}

static nacre_status max_pool_gather_shape(nacre_shape_call *call)
{
    nacre_status status = need_indices(call);
    if (status) return status;
    nacre_shape x = nacre_tensor_shape(call->inputs[0]), indices = nacre_tensor_shape(call->inputs[1]);
    if (x.rank != indices.rank || x.dims[0] != indices.dims[0] || x.dims[1] != indices.dims[1])
        return fail_indices(call, x, indices);
    return nc_pool_shape(call, indices.dims + 2);
}

/* ---- gradient rules ---- */

static nacre_tensor *add_at(nacre_tensor *dy, nacre_tensor *indices, nacre_tensor *x)
{
    int64_t words[SIZE_WORDS];
    nacre_shape shape = nacre_tensor_shape(x);
    nc_put_ints(words + SIZE, shape.dims + 2, shape.rank - 2, NC_WINDOW_AXES);
    return nc_apply2(&nc_op_max_pool_backward, dy, indices, words);
}

void nc_max_pool_gradient(nacre_gradient_call *call)
{
    if (call->output_grads[0]) call->input_grads[0] = add_at(call->output_grads[0], call->outputs[1], call->inputs[0]);
}

static void max_pool_backward_gradient(nacre_gradient_call *call)
{
    call->input_grads[0] = nc_apply2(&nc_op_max_pool_gather, call->output_grads[0], call->inputs[1], NULL);
}

static void max_pool_gather_gradient(nacre_gradient_call *call)
{
    call->input_grads[0] = add_at(call->output_grads[0], call->inputs[1], call->inputs[0]);
}

enum { POOL_WORDS = NC_POOL_SIZE + 1 + NC_WINDOW_AXES };

static void avg_pool_gradient(nacre_gradient_call *call)
{
    int64_t words[POOL_WORDS];
    nacre_shape x = nacre_tensor_shape(call->inputs[0]);
    memcpy(words, call->attributes, sizeof(int64_t) * NC_POOL_SIZE);
    nc_put_ints(words + NC_POOL_SIZE, x.dims + 2, x.rank - 2, NC_WINDOW_AXES);
    call->input_grads[0] = nc_apply1(&nc_op_avg_pool_backward, call->output_grads[0], words);
}

static void avg_pool_backward_gradient(nacre_gradient_call *call)
{
    call->input_grads[0] = nc_apply1(&nc_op_avg_pool, call->output_grads[0], call->attributes);
}

/* ---- reference kernels ---- */

static nacre_shape taps_of(const nc_window *window)
{
    nacre_shape taps = {.rank = window->axes};
    memcpy(taps.dims, window->kernel, sizeof window->kernel);
    return taps;
}

static nc_window read_window(const nacre_call *call)
{
    return nc_window_read(call->attributes, call->inputs[0].shape.rank - 2, call->attributes + NC_POOL_KERNEL + 1);
}

static void max_pool_reference(const nacre_call *call)
{
    const nacre_view *x = &call->inputs[0], *y = &call->outputs[0], *indices = &call->outputs[1];
    nc_window window = read_window(call);
    nacre_shape taps = taps_of(&window);
    int64_t out[NACRE_MAX_RANK] = {0};
    if (nc_count(y) == 0) return;
    do {
        nc_largest largest = {.value = -INFINITY, .position = -1};
        int64_t tap[NACRE_MAX_RANK] = {0}, in[NACRE_MAX_RANK] = {out[0], out[1]};
        do {
            if (nc_window_at(&window, out + 2, tap, x->shape.dims + 2, in + 2))
                nc_take_largest(&largest, nc_get(x, nc_offset(x, in)), nc_plane_position(&x->shape, in + 2));
        } while (nc_next(&taps, tap));
        nc_set(y, nc_offset(y, out), largest.value);
        nc_set(indices, nc_offset(indices, out), (double)largest.position);
    } while (nc_next(&y->shape, out));
}

/* Visits every position of one plane; `index` holds n and c already. */
static bool next_in_plane(const nacre_shape *shape, int64_t *index)
{
    nacre_shape plane = nc_spatial(shape);
    return nc_next(&plane, index + 2);
}

/* Adds one plane up in double, a part of it at a time. */
static void add_plane_at(const nacre_view *dy, const nacre_view *indices, const nacre_view *dx, int64_t n, int64_t c)
{
    enum { PART = 512 };
    int64_t count = nacre_shape_count(nc_spatial(&dx->shape)), to[NACRE_MAX_RANK] = {n, c};
    for (int64_t first = 0; first < count; first += PART) {
        double sums[PART] = {0};
        int64_t from[NACRE_MAX_RANK] = {n, c};
        do {
            int64_t at = (int64_t)nc_get(indices, nc_offset(indices, from)) - first;
            if (at >= 0 && at < PART) sums[at] += nc_get(dy, nc_offset(dy, from));
        } while (next_in_plane(&dy->shape, from));
        for (int i = 0; i < PART && first + i < count; i++) {
            nc_set(dx, nc_offset(dx, to), sums[i]);
            next_in_plane(&dx->shape, to);
        }
    }
}

static void max_pool_backward_reference(const nacre_call *call)
{
    const nacre_view *dx = &call->outputs[0];
    for (int64_t n = 0; n < dx->shape.dims[0]; n++)
        for (int64_t c = 0; c < dx->shape.dims[1]; c++) add_plane_at(&call->inputs[0], &call->inputs[1], dx, n, c);
}

static void max_pool_gather_reference(const nacre_call *call)
{
    const nacre_view *x = &call->inputs[0], *indices = &call->inputs[1], *y = &call->outputs[0];
    nacre_shape plane = nc_spatial(&x->shape);
    int64_t size = nacre_shape_count(plane), out[NACRE_MAX_RANK] = {0};
    if (nc_count(y) == 0) return;
    do {
        int64_t at = (int64_t)nc_get(indices, nc_offset(indices, out)), in[NACRE_MAX_RANK] = {out[0], out[1]};
        bool inside = at >= 0 && at < size;
        for (int i = plane.rank - 1; inside && i >= 0; i--) {
            in[2 + i] = at % plane.dims[i];
            at /= plane.dims[i];
        }
        nc_set(y, nc_offset(y, out), inside ? nc_get(x, nc_offset(x, in)) : 0);
    } while (nc_next(&y->shape, out));
}

/* What the sum over window `out` is divided by: its taps inside the input, or inside the padded input. 0: none. */
static int64_t divisor(const nc_window *window, const int64_t *out, const int64_t *sizes, bool count_padding)
{
    int64_t product = 1;
    for (int i = 0; i < window->axes; i++) {
        int64_t least = count_padding ? -window->begin[i] : 0, most = sizes[i] + (count_padding ? window->end[i] : 0);
        int64_t first = out[i] * window->stride[i] - window->begin[i], taps = 0;
        for (int64_t k = 0; k < window->kernel[i]; k++) {
            int64_t position = first + k * window->dilation[i];
            if (position >= least && position < most) taps++;
        }
        product *= taps;
    }
    return product;
}

static void avg_pool_reference(const nacre_call *call)
{
    const nacre_view *x = &call->inputs[0], *y = &call->outputs[0];
    nc_window window = read_window(call);
    nacre_shape taps = taps_of(&window);
    int64_t out[NACRE_MAX_RANK] = {0};
    if (nc_count(y) == 0) return;
    do {
        double sum = 0;
        int64_t tap[NACRE_MAX_RANK] = {0}, in[NACRE_MAX_RANK] = {out[0], out[1]};
        int64_t by = divisor(&window, out + 2, x->shape.dims + 2, call->attributes[NC_POOL_COUNT_PADDING] != 0);
        do {
            if (nc_window_at(&window, out + 2, tap, x->shape.dims + 2, in + 2)) sum += nc_get(x, nc_offset(x, in));
        } while (nc_next(&taps, tap));
        nc_set(y, nc_offset(y, out), by ? sum / (double)by : 0);
    } while (nc_next(&y->shape, out));
}

static void avg_pool_backward_reference(const nacre_call *call)
{
    const nacre_view *dy = &call->inputs[0], *dx = &call->outputs[0];
    nc_window window = read_window(call);
    nacre_shape taps = taps_of(&window);
    int64_t in[NACRE_MAX_RANK] = {0};
    if (nc_count(dx) == 0) return;
    do {
        double sum = 0;
        int64_t tap[NACRE_MAX_RANK] = {0}, out[NACRE_MAX_RANK] = {in[0], in[1]};
        do {
            if (!nc_window_from(&window, in + 2, tap, dy->shape.dims + 2, out + 2)) continue;
            int64_t by = divisor(&window, out + 2, dx->shape.dims + 2, call->attributes[NC_POOL_COUNT_PADDING] != 0);
            sum += nc_get(dy, nc_offset(dy, out)) / (double)by;
        } while (nc_next(&taps, tap));
        nc_set(dx, nc_offset(dx, in), sum);
    } while (nc_next(&dx->shape, in));
}

/* ---- descriptors ---- */

static const char *const MAX_CASES[] = {"x=2x3x8x8 kernel=2",
                                        "x=2x2x7x6 kernel=2",
                                        "x=2x2x7x6 kernel=3 stride=2 padding=1",
                                        "x=2x2x8x7 kernel=3,2 stride=2 ceil_mode=1",
                                        "x=2x2x5x5@-30..30 kernel=2 stride=2 padding=1 ceil_mode=1",
                                        "x=1x1x5x4 kernel=1 stride=3",
                                        "x=1x2x8x8 kernel=2 stride=1 dilation=2,3",
                                        "x=1x2x6x6 kernel=2 padding=0,0,1,1",
                                        "x=1x2x7x7 kernel=7",
                                        "x=1x1x1x1 kernel=2 padding=1 dilation=2 !grad",
                                        "x=2x32x28x28 kernel=2 !grad",
                                        "x=2x3x9 kernel=3 stride=2 padding=1",
                                        "x=1x2x4x5x4 kernel=2 stride=2,1,2",
                                        "x=0x3x4x4 kernel=2",
                                        NULL};
static const char *const BACKWARD_CASES[] = {
    "dy=2x3x4x4 indices=2x3x4x4:i32@0..63 size=8",         "dy=2x3x4x3 indices=2x3x4x3:i32@-1..41 size=7,6",
    "dy=1x1x2x2 indices=1x1x2x2:i32@0..1023 size=32",      "dy=2x3x4 indices=2x3x4:i32@0..7 size=8",
    "dy=1x2x2x4x2 indices=1x2x2x4x2:i32@0..79 size=4,5,4", NULL};
static const char *const GATHER_CASES[] = {"x=2x3x8x8 indices=2x3x4x4:i32@0..63",
                                           "x=2x3x7x6 indices=2x3x4x3:i32@-1..41", "x=2x3x8 indices=2x3x4:i32@0..7",
                                           "x=1x2x4x5x4 indices=1x2x2x4x2:i32@0..79", NULL};
static const char *const AVG_CASES[] = {"x=2x3x8x8 kernel=2",
                                        "x=2x2x7x6 kernel=3 stride=2 padding=1",
                                        "x=2x2x7x6 kernel=3 stride=2 padding=1 count_include_pad=0",
                                        "x=2x2x8x7 kernel=3,2 stride=2 padding=1,0 ceil_mode=1",
                                        "x=2x2x8x7 kernel=3,2 stride=2 padding=1,0 ceil_mode=1 count_include_pad=0",
                                        "x=1x2x6x6 kernel=2 padding=0,0,1,1",
                                        "x=1x2x8x8 kernel=2 stride=1 dilation=2,3",
                                        "x=1x1x1x1 kernel=2 padding=1 dilation=2 count_include_pad=0",
                                        "x=1x1x5x4 kernel=1 stride=3",
                                        "x=2x3x9 kernel=3 stride=2 padding=1",
                                        "x=1x2x4x5x4 kernel=2 stride=2,1,2",
                                        NULL};
static const char *const AVG_BACKWARD_CASES[] = {
    "dy=2x3x4x4 kernel=2 size=8",
    "dy=2x2x4x3 kernel=3 stride=2 padding=1 size=7,6",
    "dy=2x2x4x3 kernel=3 stride=2 padding=1 count_include_pad=0 size=7,6",
    "dy=2x2x5x4 kernel=3,2 stride=2 padding=1,0 ceil_mode=1 size=8,7",
    "dy=2x2x5x4 kernel=3,2 stride=2 padding=1,0 ceil_mode=1 count_include_pad=0 size=8,7",
    "dy=1x1x1x1 kernel=2 padding=1 dilation=2 count_include_pad=0 size=1",
    "dy=2x3x5 kernel=3 stride=2 padding=1 size=9",
    "dy=1x2x2x4x2 kernel=2 stride=2,1,2 size=4,5,4",
    NULL};

#define KERNEL                                                                                                         \
    {"kernel", NACRE_ATTRIBUTE_INTS, .required = true, .limit = NC_WINDOW_AXES, .doc = "sizes of the window"},         \
    {                                                                                                                  \
        "ceil_mode", NACRE_ATTRIBUTE_BOOL, .doc = "a last window may hang over the end"                                \
    }
#define COUNT_PADDING                                                                                                  \
    {                                                                                                                  \
        "count_include_pad", NACRE_ATTRIBUTE_BOOL, 1, .doc = "the divisor counts padding too"                          \
    }

const nacre_op nc_op_max_pool = {
    .name = "max_pool",
    .doc = "The largest element of each window of x [N, C, ...] and, as i32, its position in the input's plane in "
           "row-major order; the first of equals, NaN before all. Padding never wins; a window of padding only gives "
           "-infinity and position -1.",
    .onnx = "MaxPool",
    .inputs = "x",
    .outputs = "y indices",
    .attributes = {NC_WINDOW_SCHEMA(0, "the kernel"), KERNEL},
    .layouts = "d>dd",
    .shape = max_pool_shape,
    .gradient = nc_max_pool_gradient,
    .reference = max_pool_reference,
    .cases = MAX_CASES,
};

const nacre_op nc_op_max_pool_backward = {
    .name = "max_pool_backward",
    .doc = "Planes of `size`: at each position the sum of the elements of dy whose index it is; indices outside of the "
           "plane are skipped. The gradient of max_pool, adaptive_max_pool and max_pool_gather.",
    .inputs = "dy indices",
    .outputs = "dx",
    .attributes = {{"size", NACRE_ATTRIBUTE_INTS, .required = true, .limit = NC_WINDOW_AXES,
                    .doc = "spatial sizes of dx"}},
    .layouts = "dd>d",
    .shape = max_pool_backward_shape,
    .gradient = max_pool_backward_gradient,
    .reference = max_pool_backward_reference,
    .cases = BACKWARD_CASES,
};

const nacre_op nc_op_max_pool_gather = {
    .name = "max_pool_gather",
    .doc = "The elements of each plane of x at the given positions; 0 for positions outside. The gradient of "
           "max_pool_backward.",
    .inputs = "x indices",
    .outputs = "y",
    .layouts = "dd>d",
    .shape = max_pool_gather_shape,
    .gradient = max_pool_gather_gradient,
    .reference = max_pool_gather_reference,
    .cases = GATHER_CASES,
};

const nacre_op nc_op_avg_pool = {
    .name = "avg_pool",
    .doc = "The sum over each window of x [N, C, ...] divided by the number of its elements: with count_include_pad "
           "those in the padding too, but not those that hang over its end; else only those in the input.",
    .onnx = "AveragePool",
    .inputs = "x",
    .outputs = "y",
    .attributes = {NC_WINDOW_SCHEMA(0, "the kernel"), KERNEL, COUNT_PADDING},
    .layouts = "d>d",
    .shape = pool_shape,
    .gradient = avg_pool_gradient,
    .reference = avg_pool_reference,
    .cases = AVG_CASES,
};

const nacre_op nc_op_avg_pool_backward = {
    .name = "avg_pool_backward",
    .doc = "The gradient of avg_pool: spreads each element of dy evenly over its window.",
    .inputs = "dy",
    .outputs = "dx",
    .attributes = {NC_WINDOW_SCHEMA(0, "the kernel"),
                   KERNEL,
                   COUNT_PADDING,
                   {"size", NACRE_ATTRIBUTE_INTS, .required = true, .limit = NC_WINDOW_AXES,
                    .doc = "spatial sizes of dx"}},
    .layouts = "d>d",
    .shape = avg_pool_backward_shape,
    .gradient = avg_pool_backward_gradient,
    .reference = avg_pool_backward_reference,
    .cases = AVG_BACKWARD_CASES,
};

/* ---- builders ---- */

static nacre_tensor *pool(const nacre_op *op, nacre_tensor *x, const nacre_pool_options *options)
{
    int64_t words[POOL_WORDS] = {0};
    int axes = nacre_tensor_rank(x) - 2;
    if (!x || !options) return NULL;
    int64_t stride[NC_WINDOW_AXES];
    for (int i = 0; i < NC_WINDOW_AXES; i++) stride[i] = options->stride[i] ? options->stride[i] : options->kernel[i];
    nc_window_words(words, axes, stride, options->padding, options->padding_extra, options->dilation);
    nc_put_ints(words + NC_POOL_KERNEL, options->kernel, axes < 0 ? 0 : axes, NC_WINDOW_AXES);
    words[NC_POOL_CEIL] = options->ceil_mode;
    words[NC_POOL_COUNT_PADDING] = !options->exclude_padding;
    return nc_apply1(op, x, words);
}

nacre_tensor *nacre_max_pool(nacre_tensor *x, const nacre_pool_options *options)
{
    return pool(&nc_op_max_pool, x, options);
}

nacre_tensor *nacre_avg_pool(nacre_tensor *x, const nacre_pool_options *options)
{
    return pool(&nc_op_avg_pool, x, options);
}

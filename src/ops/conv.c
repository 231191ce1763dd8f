/* ops/conv.c - convolution over one to three axes, and the two operations its gradient is made of.
 *
 * y = conv(x, w) is linear in x and in w. conv_backward_data and conv_backward_weight are its adjoints in each, so the
 * gradient of any of the three is the other two, and derivatives of every order exist.
 */
#include "ops/window.h"

#include <string.h>

enum { CONV_WORDS = NC_CONV_ACTIVATION + 1, BACKWARD_WORDS = NC_CONV_SIZE + 1 + NC_WINDOW_AXES };

/* ---- shape rules ---- */

/* x [N, C, sizes], w [O, C / groups, kernel], y [N, O, counts]: two of them are operands, the third is the result. */
typedef struct extents {
    nacre_shape x, w, y;
} extents;

static nacre_status fail_shapes(nacre_shape_call *call, const char *what, const nacre_shape *a, const nacre_shape *b)
{
    char text_a[NACRE_SHAPE_TEXT_SIZE], text_b[NACRE_SHAPE_TEXT_SIZE];
    return nacre_shape_fail(call, NACRE_ERROR_SHAPE, "%s: %s and %s with groups=%lld", what,
                            nacre_shape_text(*a, text_a), nacre_shape_text(*b, text_b),
                            (long long)call->attributes[NC_CONV_GROUPS]);
}

/* The number of windows along each axis; fails if there is none. */
static nacre_status count_windows(nacre_shape_call *call, const nacre_shape *x, const nacre_shape *w, int64_t *counts)
{
    int axes = x->rank - 2;
    nacre_status status = nc_window_complete(call, axes, w->dims + 2, false);
    if (status) return status;
    nc_window window = nc_window_read(call->attributes, axes, w->dims + 2);
    for (int i = 0; i < axes; i++) {
        counts[i] = nc_window_count(&window, i, x->dims[2 + i]);
        if (counts[i] < 1)
            return nacre_shape_fail(call, NACRE_ERROR_SHAPE,
                                    "kernel covers %lld elements of axis %d, padded input has %lld",
                                    (long long)nc_window_reach(&window, i), 2 + i,
                                    (long long)(x->dims[2 + i] + window.begin[i] + window.end[i]));
    }
    return NACRE_OK;
}

static nacre_status need_operands(nacre_shape_call *call)
{
    nacre_status status = nc_need_float(call);
    if (!status) status = nc_need_one_dtype(call);
    if (!status) status = nc_need_spatial(call, 0);
    if (status) return status;
    nacre_shape a = nacre_tensor_shape(call->inputs[0]), b = nacre_tensor_shape(call->inputs[1]);
    if (a.rank != b.rank) return fail_shapes(call, "operands differ in rank", &a, &b);
    if (call->attributes[NC_CONV_GROUPS] < 1)
        return nacre_shape_fail(call, NACRE_ERROR_ARGUMENT, "groups must be at least 1");
    return NACRE_OK;
}

static nacre_status conv_shape(nacre_shape_call *call)
{
    nacre_status status = need_operands(call);
    if (status) return status;
    nacre_shape x = nacre_tensor_shape(call->inputs[0]), w = nacre_tensor_shape(call->inputs[1]), y = x;
    int64_t groups = call->attributes[NC_CONV_GROUPS];
    char got[NACRE_SHAPE_TEXT_SIZE], want[NACRE_SHAPE_TEXT_SIZE];
    if (x.dims[1] % groups || x.dims[1] / groups != w.dims[1])
        return nacre_shape_fail(
            call, NACRE_ERROR_SHAPE, "input has %lld channels, weight %s expects %lld in each of %lld groups",
            (long long)x.dims[1], nacre_shape_text(w, want), (long long)w.dims[1], (long long)groups);
    if (w.dims[0] % groups) return fail_shapes(call, "groups do not divide the output channels", &x, &w);
    y.dims[1] = w.dims[0];
    status = count_windows(call, &x, &w, y.dims + 2);
    if (status) return status;
    nacre_shape bias = NACRE_SHAPE(w.dims[0]);
    for (int i = 2; i < call->input_count; i++) {
        nacre_shape shape = nacre_tensor_shape(call->inputs[i]), *expected = i == 2 ? &bias : &y;
        if (call->inputs[i] && !nacre_shape_equal(shape, *expected))
            return nacre_shape_fail(call, NACRE_ERROR_SHAPE, "%s is %s, expected %s", i == 2 ? "bias" : "residual",
                                    nacre_shape_text(shape, got), nacre_shape_text(*expected, want));
    }
    call->shapes[0] = y;
    call->dtypes[0] = nacre_tensor_dtype(call->inputs[0]);
    return NACRE_OK;
}

/* The result's sizes are an attribute; they must lead back to the gradient that is there. */
static nacre_status check_counts(nacre_shape_call *call, const nacre_shape *x, const nacre_shape *w,
                                 const nacre_shape *dy)
{
    int64_t counts[NC_WINDOW_AXES];
    nacre_status status = count_windows(call, x, w, counts);
    if (status) return status;
    for (int i = 0; i < x->rank - 2; i++)
        if (counts[i] != dy->dims[2 + i])
            return nacre_shape_fail(call, NACRE_ERROR_SHAPE,
                                    "a convolution gives %lld elements along axis %d, dy has %lld",
                                    (long long)counts[i], 2 + i, (long long)dy->dims[2 + i]);
    return NACRE_OK;
}

/* Without a size the result ends with the last window. */
static void natural_size(const int64_t *attributes, const nacre_shape *dy, const nacre_shape *w, int64_t *size)
{
    nc_window window = nc_window_read(attributes, dy->rank - 2, w->dims + 2);
    size[0] = window.axes;
    for (int i = 0; i < window.axes; i++)
        size[1 + i] =
            (dy->dims[2 + i] - 1) * window.stride[i] + nc_window_reach(&window, i) - window.begin[i] - window.end[i];
}

static nacre_status backward_data_shape(nacre_shape_call *call)
{
    nacre_status status = need_operands(call);
    if (status) return status;
    nacre_shape dy = nacre_tensor_shape(call->inputs[0]), w = nacre_tensor_shape(call->inputs[1]), x = dy;
    int64_t groups = call->attributes[NC_CONV_GROUPS], *size = call->attributes + NC_CONV_SIZE;
    int axes = dy.rank - 2;
    if (dy.dims[1] != w.dims[0] || w.dims[0] % groups)
        return nacre_shape_fail(call, NACRE_ERROR_SHAPE, "input has %lld channels, weight expects %lld, in %lld groups",
                                (long long)dy.dims[1], (long long)w.dims[0], (long long)groups);
    status = nc_window_complete(call, axes, w.dims + 2, false);
    if (!status && size[0] == 0) natural_size(call->attributes, &dy, &w, size);
    if (!status) status = nc_spread(call, "size", size, axes, NULL, 1);
    if (status) return status;
    if (__builtin_mul_overflow(w.dims[1], groups, &x.dims[1])) return fail_shapes(call, "too many channels", &dy, &w);
    memcpy(x.dims + 2, size + 1, sizeof(int64_t) * (size_t)axes);
    call->shapes[0] = x;
    call->dtypes[0] = nacre_tensor_dtype(call->inputs[0]);
    return check_counts(call, &x, &w, &dy);
}

static nacre_status backward_weight_shape(nacre_shape_call *call)
{
    nacre_status status = need_operands(call);
    if (status) return status;
    nacre_shape x = nacre_tensor_shape(call->inputs[0]), dy = nacre_tensor_shape(call->inputs[1]), w = dy;
    int64_t groups = call->attributes[NC_CONV_GROUPS], *kernel = call->attributes + NC_CONV_KERNEL;
    if (x.dims[0] != dy.dims[0]) return fail_shapes(call, "batches differ", &x, &dy);
    if (x.dims[1] % groups || dy.dims[1] % groups)
        return fail_shapes(call, "groups do not divide the channels", &x, &dy);
    status = nc_spread(call, "kernel", kernel, x.rank - 2, NULL, 1);
    if (status) return status;
    w.dims[0] = dy.dims[1];
    w.dims[1] = x.dims[1] / groups;
    memcpy(w.dims + 2, kernel + 1, sizeof(int64_t) * (size_t)(x.rank - 2));
    call->shapes[0] = w;
    call->dtypes[0] = nacre_tensor_dtype(call->inputs[0]);
    return check_counts(call, &x, &w, &dy);
}

/* ---- gradient rules: each of the three by the other two ---- */

static nacre_tensor *like_conv(const int64_t *attributes, nacre_tensor *x, nacre_tensor *w)
{
    int64_t words[CONV_WORDS] = {0};
    memcpy(words, attributes, sizeof(int64_t) * NC_CONV_ACTIVATION);
    return nc_apply2(&nc_op_conv, x, w, words);
}

static nacre_tensor *backward(const nacre_op *op, const int64_t *attributes, nacre_tensor *a, nacre_tensor *b,
                              nacre_tensor *result_like)
{
    int64_t words[BACKWARD_WORDS];
    nacre_shape size = nacre_tensor_shape(result_like);
    memcpy(words, attributes, sizeof(int64_t) * NC_CONV_SIZE);
    nc_put_ints(words + NC_CONV_SIZE, size.dims + 2, size.rank - 2, NC_WINDOW_AXES);
    return nc_apply2(op, a, b, words);
}

static nacre_tensor *sum_to_bias(nacre_tensor *g)
{
    int64_t axes[1 + NC_WINDOW_AXES] = {0, 2, 3, 4};
    return nacre_sum(g, &(nacre_reduce_options){.axes = axes, .axis_count = nacre_tensor_rank(g) - 1});
}

static void conv_gradient(nacre_gradient_call *call)
{
    nacre_tensor *x = call->inputs[0], *w = call->inputs[1], *g = call->output_grads[0];
    const int64_t *words = call->attributes;
    if (words[NC_CONV_ACTIVATION]) g = nc_apply2(&nc_op_relu_backward, g, call->outputs[0], NULL);
    if (words[NC_CONV_ACTIVATION] == NC_CONV_RELU6) {
        nacre_tensor *six = nacre_full(call->graph, nacre_tensor_dtype(g), NACRE_SCALAR, 6);
        g = nc_apply2(&nc_op_relu_backward, g, nacre_sub(six, call->outputs[0]), NULL);
    }
    if (call->wanted[0]) call->input_grads[0] = backward(&nc_op_conv_backward_data, words, g, w, x);
    if (call->wanted[1]) call->input_grads[1] = backward(&nc_op_conv_backward_weight, words, x, g, w);
    if (call->input_count > 2 && call->wanted[2]) call->input_grads[2] = sum_to_bias(g);
    if (call->input_count > 3 && call->wanted[3]) call->input_grads[3] = g;
}

static void backward_data_gradient(nacre_gradient_call *call)
{
    nacre_tensor *dy = call->inputs[0], *w = call->inputs[1], *g = call->output_grads[0];
    if (call->wanted[0]) call->input_grads[0] = like_conv(call->attributes, g, w);
    if (call->wanted[1]) call->input_grads[1] = backward(&nc_op_conv_backward_weight, call->attributes, g, dy, w);
}

static void backward_weight_gradient(nacre_gradient_call *call)
{
    nacre_tensor *x = call->inputs[0], *dy = call->inputs[1], *g = call->output_grads[0];
    if (call->wanted[0]) call->input_grads[0] = backward(&nc_op_conv_backward_data, call->attributes, dy, g, x);
    if (call->wanted[1]) call->input_grads[1] = like_conv(call->attributes, x, g);
}

/* ---- reference kernels ---- */

static void conv_reference(const nacre_call *call)
{
    const nacre_view *x = &call->inputs[0], *w = &call->inputs[1], *y = &call->outputs[0];
    const nacre_view *bias = nc_optional(call, 2), *residual = nc_optional(call, 3);
    nc_window window = nc_window_read(call->attributes, x->shape.rank - 2, w->shape.dims + 2);
    int64_t outputs_per_group = w->shape.dims[0] / call->attributes[NC_CONV_GROUPS];
    nacre_shape taps = w->shape;
    taps.dims[0] = 1;
    int64_t out[NACRE_MAX_RANK] = {0};
    if (nc_count(y) == 0) return;
    do {
        double sum = bias ? nc_get(bias, out[1] * bias->strides[0]) : 0;
        int64_t tap[NACRE_MAX_RANK] = {0}, in[NACRE_MAX_RANK] = {out[0]};
        int64_t first_channel = out[1] / outputs_per_group * w->shape.dims[1];
        if (nacre_shape_count(taps) > 0) {
            do {
                in[1] = first_channel + tap[1];
                if (!nc_window_at(&window, out + 2, tap + 2, x->shape.dims + 2, in + 2)) continue;
                sum += nc_get(x, nc_offset(x, in)) * nc_get(w, out[1] * w->strides[0] + nc_offset(w, tap));
            } while (nc_next(&taps, tap));
        }
        if (residual) sum += nc_get(residual, nc_offset(residual, out));
        if (call->attributes[NC_CONV_ACTIVATION] != NC_CONV_PLAIN && sum < 0) sum = 0;
        if (call->attributes[NC_CONV_ACTIVATION] == NC_CONV_RELU6 && sum > 6) sum = 6;
        nc_set(y, nc_offset(y, out), sum);
    } while (nc_next(&y->shape, out));
}

/* Each element of dx collects from the windows that met it. */
static void backward_data_reference(const nacre_call *call)
{
    const nacre_view *dy = &call->inputs[0], *w = &call->inputs[1], *dx = &call->outputs[0];
    nc_window window = nc_window_read(call->attributes, dy->shape.rank - 2, w->shape.dims + 2);
    int64_t outputs_per_group = w->shape.dims[0] / call->attributes[NC_CONV_GROUPS];
    nacre_shape taps = w->shape;
    taps.dims[0] = outputs_per_group;
    taps.dims[1] = 1;
    int64_t in[NACRE_MAX_RANK] = {0};
    if (nc_count(dx) == 0) return;
    do {
        double sum = 0;
        int64_t tap[NACRE_MAX_RANK] = {0}, out[NACRE_MAX_RANK] = {in[0]}, weight[NACRE_MAX_RANK];
        int64_t first_output = in[1] / w->shape.dims[1] * outputs_per_group;
        if (nacre_shape_count(taps) > 0) {
            do {
                if (!nc_window_from(&window, in + 2, tap + 2, dy->shape.dims + 2, out + 2)) continue;
                memcpy(weight, tap, sizeof weight);
                weight[0] = out[1] = first_output + tap[0];
                weight[1] = in[1] % w->shape.dims[1];
                sum += nc_get(dy, nc_offset(dy, out)) * nc_get(w, nc_offset(w, weight));
            } while (nc_next(&taps, tap));
        }
        nc_set(dx, nc_offset(dx, in), sum);
    } while (nc_next(&dx->shape, in));
}

static void backward_weight_reference(const nacre_call *call)
{
    const nacre_view *x = &call->inputs[0], *dy = &call->inputs[1], *dw = &call->outputs[0];
    nc_window window = nc_window_read(call->attributes, x->shape.rank - 2, dw->shape.dims + 2);
    int64_t outputs_per_group = dw->shape.dims[0] / call->attributes[NC_CONV_GROUPS];
    nacre_shape windows = dy->shape;
    windows.dims[1] = 1;
    int64_t weight[NACRE_MAX_RANK] = {0};
    if (nc_count(dw) == 0) return;
    do {
        double sum = 0;
        int64_t out[NACRE_MAX_RANK] = {0}, in[NACRE_MAX_RANK];
        in[1] = weight[0] / outputs_per_group * dw->shape.dims[1] + weight[1];
        if (nacre_shape_count(windows) > 0) {
            do {
                in[0] = out[0];
                if (!nc_window_at(&window, out + 2, weight + 2, x->shape.dims + 2, in + 2)) continue;
                sum += nc_get(x, nc_offset(x, in)) * nc_get(dy, weight[0] * dy->strides[1] + nc_offset(dy, out));
            } while (nc_next(&windows, out));
        }
        nc_set(dw, nc_offset(dw, weight), sum);
    } while (nc_next(&dw->shape, weight));
}

/* ---- descriptors ---- */

static const char *const CASES[] = {
    "x=2x3x8x8 w=4x3x3x3",
    "x=2x3x8x8 w=4x3x3x3 b=4 stride=2 padding=1",
    "x=1x1x5x5 w=1x1x1x1 b=1",
    "x=2x5x7x6 w=3x5x1x1 stride=2",
    "x=2x4x9x7 w=6x2x3x2 b=6 groups=2 padding=1,0",
    "x=1x6x7x7 w=6x1x3x3 b=6 groups=6 padding=1",
    "x=1x4x6x6 w=8x1x5x5 groups=4 padding=2 stride=2",
    "x=2x3x9x9 w=2x3x3x3 dilation=2,3 padding=1,2",
    "x=1x2x7x8 w=3x2x3x3 padding=0,1,2,0 stride=2,1",
    "x=1x2x9x9 w=3x2x2x2 stride=3",
    "x=1x2x6x6 w=2x2x3x3 padding=3",
    "x=1x2x6x6 w=2x2x3x3 padding=1,1,-1,-2",
    "x=2x16x14x14 w=32x16x3x3 b=32 padding=1 !grad",
    "x=2x3x8x8 w=4x3x3x3 b=4 residual=2x4x6x6",
    "x=2x3x8x8 w=4x3x3x3 b=4 residual=2x4x6x6@-2..2 activation=relu",
    "x=2x3x6x6@0.2..2 w=8x3x3x3@0.1..2 b=8 activation=relu6 padding=1",
    "x=2x16x6x6 w=16x1x3x3 b=16 groups=16 padding=1 activation=relu6",
    "x=2x20x6x7 w=20x1x3x3 residual=2x20x3x4 groups=20 padding=1 stride=2 activation=relu",
    "x=1x18x5x5 w=18x1x5x3 groups=18 padding=2,1 dilation=1,2",
    "x=3x16x9x9 w=33x16x3x3 b=33 residual=3x33x9x9 padding=1 activation=relu6 !grad",
    "x=2x40x7x7 w=70x40x1x1 b=70 stride=2 !grad",
    "x=2x16x9x17 w=35x16x3x3 residual=2x35x5x9 stride=2 padding=1 activation=relu6 !grad",
    "x=2x3x17x15 w=35x3x7x7 b=35 stride=2 padding=3 !grad",
    "x=1x130x6x5 w=40x130x3x3 residual=1x40x6x5 padding=1 activation=relu !grad",
    "x=2x34x5x7 w=36x34x1x1 b=36 !grad",
    "x=2x3x11 w=4x3x3 b=4 stride=2 padding=1",
    "x=1x4x9 w=4x2x3 groups=2 padding=2,0 dilation=2",
    "x=2x2x4x5x4 w=3x2x2x3x2 b=3 padding=1,0,1",
    "x=1x4x4x4x5 w=4x2x2x2x2 stride=2,1,2 dilation=1,2,1 groups=2",
    "x=0x3x5x5 w=4x3x3x3",
    NULL};
static const char *const BACKWARD_DATA_CASES[] = {
    "dy=2x4x6x6 w=4x3x3x3 size=8",
    "dy=2x4x4x4 w=4x3x3x3 size=8 stride=2 padding=1",
    "dy=2x4x4x4 w=4x3x3x3 size=7,8 stride=2 padding=1",
    "dy=2x3x4x3 w=3x4x4x4 stride=2 padding=1",
    "dy=1x4x3x4 w=4x2x3x2 stride=3,2 padding=1,0,-1,-1 dilation=2,1 groups=2",
    "dy=1x6x7x7 w=6x1x3x3 size=7 groups=6 padding=1",
    "dy=2x6x9x6 w=6x2x3x2 size=9,7 groups=2 padding=1,0",
    "dy=2x3x4x3 w=3x5x1x1 size=7,6 stride=2",
    "dy=1x3x3x3 w=3x2x2x2 size=9 stride=3",
    "dy=2x2x7x7 w=2x3x3x3 size=9 dilation=2,3 padding=1,2",
    "dy=1x3x4x7 w=3x2x3x3 size=7,8 padding=0,1,2,0 stride=2,1",
    "dy=2x16x14x14 w=16x8x3x3 size=14 padding=1 !grad",
    "dy=2x10x9x17 w=10x17x5x3 size=10,16 padding=2,1,1,2 !grad",
    "dy=2x20x4x4 w=20x1x3x3 size=7 groups=20 stride=2 padding=1",
    "dy=1x18x3x3 w=18x1x5x3 size=5 groups=18 padding=2,1 dilation=1,2 stride=2,1",
    "dy=2x40x4x4 w=40x24x4x4 size=8 stride=2 padding=1 !grad",
    "dy=2x40x4x4 w=40x70x1x1 size=7 stride=2 !grad",
    "dy=3x33x9x9 w=33x16x3x3 size=9 padding=1 !grad",
    "dy=2x36x5x7 w=36x34x1x1 size=5,7 !grad",
    "dy=2x4x6 w=4x3x3 size=11 stride=2 padding=1",
    "dy=1x3x5x3x5 w=3x2x2x3x2 size=4,5,4 padding=1,0,1",
    NULL};
static const char *const BACKWARD_WEIGHT_CASES[] = {"x=2x3x8x8 dy=2x4x6x6 kernel=3",
                                                    "x=2x3x8x8 dy=2x4x4x4 kernel=3 stride=2 padding=1",
                                                    "x=1x6x7x7 dy=1x6x7x7 kernel=3 groups=6 padding=1",
                                                    "x=2x4x9x7 dy=2x6x9x6 kernel=3,2 groups=2 padding=1,0",
                                                    "x=2x5x7x6 dy=2x3x4x3 kernel=1 stride=2",
                                                    "x=1x2x9x9 dy=1x3x3x3 kernel=2 stride=3",
                                                    "x=2x3x9x9 dy=2x2x7x7 kernel=3 dilation=2,3 padding=1,2",
                                                    "x=1x2x7x8 dy=1x3x4x7 kernel=3 padding=0,1,2,0 stride=2,1",
                                                    "x=2x8x14x14 dy=2x16x14x14 kernel=3 padding=1 !grad",
                                                    "x=2x20x7x7 dy=2x20x4x4 kernel=3 groups=20 stride=2 padding=1",
                                                    "x=1x18x5x5 dy=1x18x3x3 kernel=5,3 groups=18 padding=2,1 "
                                                    "dilation=1,2 stride=2,1",
                                                    "x=2x24x8x8 dy=2x40x4x4 kernel=4 stride=2 padding=1 !grad",
                                                    "x=3x16x13x13 dy=3x33x13x13 kernel=3 padding=1 !grad",
                                                    "x=2x70x7x7 dy=2x40x4x4 kernel=1 stride=2 !grad",
                                                    "x=2x34x5x7 dy=2x36x5x7 kernel=1 !grad",
                                                    "x=2x3x11 dy=2x4x6 kernel=3 stride=2 padding=1",
                                                    "x=1x2x4x5x4 dy=1x3x5x3x5 kernel=2,3,2 padding=1,0,1",
                                                    "x=0x3x8x8 dy=0x4x6x6 kernel=3",
                                                    NULL};

/* Each element of the smaller map meets each weight of one of its channels. */
static void count(const nacre_view *map, const nacre_view *weight, nacre_cost *cost)
{
    double taps = 1;
    for (int i = 1; i < weight->shape.rank; i++) taps *= (double)weight->shape.dims[i];
    cost->operations = 2 * (double)nacre_shape_count(map->shape) * taps;
}

static void conv_cost(const nacre_node_info *node, nacre_cost *cost)
{
    count(&node->outputs[0], &node->inputs[1], cost);
}

static void backward_data_cost(const nacre_node_info *node, nacre_cost *cost)
{
    count(&node->inputs[0], &node->inputs[1], cost);
}

static void backward_weight_cost(const nacre_node_info *node, nacre_cost *cost)
{
    count(&node->inputs[1], &node->outputs[0], cost);
}

#define GROUPS                                                                                                         \
    {                                                                                                                  \
        "groups", NACRE_ATTRIBUTE_INT, 1, .doc = "channels are split into so many independent parts"                   \
    }

const nacre_op nc_op_conv = {
    .name = "conv",
    .doc =
        "Cross-correlation over 1 to 3 spatial axes: x [N, C, ...], w [O, C / groups, kernel...] -> [N, O, ...], y[n,"
        " o, p] = sum over c, k of x[n, c, p * stride - begin + k * dilation] w[o, c, k] + b[o] + residual, then the "
        "activation; x is 0 outside. `activation` and `residual` are used by the planner, which folds what follows "
        "a convolution.",
    .onnx = "Conv",
    .inputs = "x w ?b ?residual",
    .outputs = "y",
    .attributes = {NC_WINDOW_SCHEMA(1, "1"),
                   GROUPS,
                   {"activation", NACRE_ATTRIBUTE_ENUM, .choices = "none|relu|relu6", .doc = "applied last"}},
    .layouts = "dppd>d",
    .shape = conv_shape,
    .gradient = conv_gradient,
    .cost = conv_cost,
    .reference = conv_reference,
    .cases = CASES,
};

const nacre_op nc_op_conv_backward_data = {
    .name = "conv_backward_data",
    .doc = "The gradient of conv with respect to x, given dy [N, O, ...] and w [O, C / groups, kernel...]: dx [N, C, "
           "size...]. As an operation of its own it is the transposed convolution, whose weight is [in, out / groups, "
           "kernel...].",
    .onnx = "ConvTranspose",
    .inputs = "dy w",
    .outputs = "dx",
    .attributes = {NC_WINDOW_SCHEMA(1, "1"),
                   GROUPS,
                   {"size", NACRE_ATTRIBUTE_INTS, .limit = NC_WINDOW_AXES,
                    .doc = "spatial sizes of dx; none: up to the last window"}},
    .layouts = "dp>d",
    .shape = backward_data_shape,
    .gradient = backward_data_gradient,
    .cost = backward_data_cost,
    .reference = backward_data_reference,
    .cases = BACKWARD_DATA_CASES,
};

const nacre_op nc_op_conv_backward_weight = {
    .name = "conv_backward_weight",
    .doc = "The gradient of conv with respect to w, given x [N, C, ...] and dy [N, O, ...]: dw [O, C / groups, "
           "kernel...].",
    .inputs = "x dy",
    .outputs = "dw",
    .attributes = {NC_WINDOW_SCHEMA(1, "1"),
                   GROUPS,
                   {"kernel", NACRE_ATTRIBUTE_INTS, .required = true, .limit = NC_WINDOW_AXES,
                    .doc = "spatial sizes of dw"}},
    .layouts = "dd>p",
    .shape = backward_weight_shape,
    .gradient = backward_weight_gradient,
    .cost = backward_weight_cost,
    .reference = backward_weight_reference,
    .cases = BACKWARD_WEIGHT_CASES,
};

/* ---- builders ---- */

/* Words of the options for x's spatial axes. */
static void put_options(int64_t words[BACKWARD_WORDS], nacre_tensor *x, const nacre_conv_options *options)
{
    memset(words, 0, sizeof(int64_t) * BACKWARD_WORDS);
    words[NC_CONV_GROUPS] = options->groups ? options->groups : 1;
    nc_window_words(words, nacre_tensor_rank(x) - 2, options->stride, options->padding, options->padding_extra,
                    options->dilation);
}

nacre_tensor *nacre_conv_with(nacre_tensor *x, nacre_tensor *weight, nacre_tensor *bias,
                              const nacre_conv_options *options)
{
    int64_t words[BACKWARD_WORDS];
    if (!x || !weight) return NULL;
    put_options(words, x, options ? options : &(nacre_conv_options){0});
    return nacre_apply(nacre_tensor_graph(x), &nc_op_conv, (nacre_tensor *[]){x, weight, bias}, bias ? 3 : 2, words);
}

nacre_tensor *nacre_conv_transpose_with(nacre_tensor *x, nacre_tensor *weight, nacre_tensor *bias,
                                        const nacre_conv_options *options)
{
    static const nacre_conv_options defaults;
    int64_t words[BACKWARD_WORDS];
    if (!x || !weight) return NULL;
    if (!options) options = &defaults;
    put_options(words, x, options);
    int64_t axes = words[NC_WINDOW_STRIDE], *end = words + NC_WINDOW_PADDING + 1 + axes;
    for (int64_t i = 0; i < axes; i++) end[i] -= options->output_padding[i]; /* elements behind the last window */
    nacre_tensor *y = nc_apply2(&nc_op_conv_backward_data, x, weight, words);
    if (!y || !bias) return y;
    nacre_shape channels = {.rank = nacre_tensor_rank(x) - 1, .dims = {nacre_tensor_dim(bias, 0), 1, 1, 1}};
    return nacre_add(y, nacre_reshape(bias, channels));
}

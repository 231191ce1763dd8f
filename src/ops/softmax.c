/* ops/softmax.c - softmax, its logarithm, and their gradients from the result. */
#include "ops/rows.h"

#include <math.h>

enum { AXIS, WORDS };

static nacre_status shape(nacre_shape_call *call)
{
    nacre_status status = nc_need_float(call);
    if (!status) status = nc_normalise_axis(call, &call->attributes[AXIS], nacre_tensor_rank(call->inputs[0]));
    return status ? status : nc_shape_same(call);
}

static nacre_status backward_shape(nacre_shape_call *call)
{
    nacre_status status = nc_need_same(call, 1);
    return status ? status : shape(call);
}

static void gradient(nacre_gradient_call *call)
{
    call->input_grads[0] =
        nc_apply2(&nc_op_softmax_backward, call->output_grads[0], call->outputs[0], call->attributes);
}

static void log_gradient(nacre_gradient_call *call)
{
    call->input_grads[0] =
        nc_apply2(&nc_op_log_softmax_backward, call->output_grads[0], call->outputs[0], call->attributes);
}

static void backward_expand(nacre_graph *graph, nacre_tensor *const *inputs, int input_count, const int64_t *attributes,
                            nacre_tensor **outputs)
{
    (void)graph, (void)input_count;
    nacre_tensor *dy = inputs[0], *y = inputs[1];
    outputs[0] = nacre_mul(y, nacre_sub(dy, nc_sum_along(nacre_mul(dy, y), attributes[AXIS])));
}

static void log_backward_expand(nacre_graph *graph, nacre_tensor *const *inputs, int input_count,
                                const int64_t *attributes, nacre_tensor **outputs)
{
    (void)graph, (void)input_count;
    nacre_tensor *dy = inputs[0], *y = inputs[1];
    outputs[0] = nacre_sub(dy, nacre_mul(nacre_exp(y), nc_sum_along(dy, attributes[AXIS])));
}

double nc_logsumexp_along(const nacre_view *view, int64_t offset, int axis)
{
    double largest = -INFINITY, sum = 0;
    for (int64_t i = 0; i < view->shape.dims[axis]; i++) {
        double x = nc_get_along(view, offset, axis, i);
        if (x > largest || x != x) largest = x;
    }
    if (isinf(largest)) return largest;
    for (int64_t i = 0; i < view->shape.dims[axis]; i++) sum += exp(nc_get_along(view, offset, axis, i) - largest);
    return largest + log(sum);
}

/* Calls `line` for the start of each line of output 0 along the axis. */
static void for_each_line(const nacre_call *call, void (*line)(const nacre_call *call, const int64_t *start))
{
    const nacre_view *y = &call->outputs[0];
    nacre_shape starts = nc_line_starts(&y->shape, (int)call->attributes[AXIS]);
    int64_t index[NACRE_MAX_RANK] = {0};
    if (nc_count(y) == 0) return;
    do line(call, index);
    while (nc_next(&starts, index));
}

static void softmax_line(const nacre_call *call, const int64_t *start)
{
    const nacre_view *x = &call->inputs[0], *y = &call->outputs[0];
    int axis = (int)call->attributes[AXIS];
    int64_t at_x = nc_offset(x, start), at_y = nc_offset(y, start);
    double log_sum = nc_logsumexp_along(x, at_x, axis);
    for (int64_t i = 0; i < x->shape.dims[axis]; i++)
        nc_set_along(y, at_y, axis, i, exp(nc_get_along(x, at_x, axis, i) - log_sum));
}

static void log_softmax_line(const nacre_call *call, const int64_t *start)
{
    const nacre_view *x = &call->inputs[0], *y = &call->outputs[0];
    int axis = (int)call->attributes[AXIS];
    int64_t at_x = nc_offset(x, start), at_y = nc_offset(y, start);
    double log_sum = nc_logsumexp_along(x, at_x, axis);
    for (int64_t i = 0; i < x->shape.dims[axis]; i++)
        nc_set_along(y, at_y, axis, i, nc_get_along(x, at_x, axis, i) - log_sum);
}

static void softmax_backward_line(const nacre_call *call, const int64_t *start)
{
    const nacre_view *dy = &call->inputs[0], *y = &call->inputs[1], *dx = &call->outputs[0];
    int axis = (int)call->attributes[AXIS];
    int64_t at_dy = nc_offset(dy, start), at_y = nc_offset(y, start), at_dx = nc_offset(dx, start);
    double dot = 0;
    for (int64_t i = 0; i < y->shape.dims[axis]; i++)
        dot += nc_get_along(dy, at_dy, axis, i) * nc_get_along(y, at_y, axis, i);
    for (int64_t i = 0; i < y->shape.dims[axis]; i++)
        nc_set_along(dx, at_dx, axis, i, nc_get_along(y, at_y, axis, i) * (nc_get_along(dy, at_dy, axis, i) - dot));
}

static void log_softmax_backward_line(const nacre_call *call, const int64_t *start)
{
    const nacre_view *dy = &call->inputs[0], *y = &call->inputs[1], *dx = &call->outputs[0];
    int axis = (int)call->attributes[AXIS];
    int64_t at_dy = nc_offset(dy, start), at_y = nc_offset(y, start), at_dx = nc_offset(dx, start);
    double sum = 0;
    for (int64_t i = 0; i < y->shape.dims[axis]; i++) sum += nc_get_along(dy, at_dy, axis, i);
    for (int64_t i = 0; i < y->shape.dims[axis]; i++)
        nc_set_along(dx, at_dx, axis, i, nc_get_along(dy, at_dy, axis, i) - exp(nc_get_along(y, at_y, axis, i)) * sum);
}

static void softmax_reference(const nacre_call *call)
{
    for_each_line(call, softmax_line);
}

static void log_softmax_reference(const nacre_call *call)
{
    for_each_line(call, log_softmax_line);
}

static void softmax_backward_reference(const nacre_call *call)
{
    for_each_line(call, softmax_backward_line);
}

static void log_softmax_backward_reference(const nacre_call *call)
{
    for_each_line(call, log_softmax_backward_line);
}

static const char *const CASES[] = {
    "x=4x9", "x=2x3x4x5 axis=1", "x=3x40@-90..90", "x=2x5x3 axis=0", "x=7",
    "x=4x1", "x=1x1000 axis=-1", "x=33x17",        "x=0x3",          "x=2x3x7x5 axis=-1",
    NULL};
static const char *const BACKWARD_CASES[] = {"dy=4x9 y=4x9",
                                             "dy=2x3x4x5 y=2x3x4x5 axis=1",
                                             "dy=7 y=7",
                                             "dy=33x17 y=33x17",
                                             "dy=2x5x3 y=2x5x3 axis=0",
                                             "dy=0x3 y=0x3",
                                             NULL};

#define SCHEMA                                                                                                         \
    {                                                                                                                  \
        {                                                                                                              \
            "axis", NACRE_ATTRIBUTE_INT, -1, .doc = "the values along it sum to one"                                   \
        }                                                                                                              \
    }

const nacre_op nc_op_softmax = {
    .name = "softmax",
    .doc = "exp(x) / sum(exp(x)) along an axis, without overflow.",
    .onnx = "Softmax",
    .inputs = "x",
    .outputs = "y",
    .attributes = SCHEMA,
    .layouts = "d>d",
    .shape = shape,
    .gradient = gradient,
    .reference = softmax_reference,
    .cases = CASES,
};

const nacre_op nc_op_softmax_backward = {
    .name = "softmax_backward",
    .doc = "y (dy - sum(dy y)) along an axis: the gradient of softmax from its result.",
    .inputs = "dy y",
    .outputs = "dx",
    .attributes = SCHEMA,
    .layouts = "dd>d",
    .shape = backward_shape,
    .expand = backward_expand,
    .reference = softmax_backward_reference,
    .cases = BACKWARD_CASES,
};

const nacre_op nc_op_log_softmax = {
    .name = "log_softmax",
    .doc = "x - log(sum(exp(x))) along an axis, without overflow.",
    .onnx = "LogSoftmax",
    .inputs = "x",
    .outputs = "y",
    .attributes = SCHEMA,
    .layouts = "d>d",
    .shape = shape,
    .gradient = log_gradient,
    .reference = log_softmax_reference,
    .cases = CASES,
};

const nacre_op nc_op_log_softmax_backward = {
    .name = "log_softmax_backward",
    .doc = "dy - exp(y) sum(dy) along an axis: the gradient of log_softmax from its result.",
    .inputs = "dy y",
    .outputs = "dx",
    .attributes = SCHEMA,
    .layouts = "dd>d",
    .shape = backward_shape,
    .expand = log_backward_expand,
    .reference = log_softmax_backward_reference,
    .cases = BACKWARD_CASES,
};

nacre_tensor *nacre_softmax(nacre_tensor *x, int axis)
{
    return nc_apply1(&nc_op_softmax, x, (int64_t[WORDS]){axis});
}

nacre_tensor *nacre_log_softmax(nacre_tensor *x, int axis)
{
    return nc_apply1(&nc_op_log_softmax, x, (int64_t[WORDS]){axis});
}

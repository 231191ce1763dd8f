/* ops/batch_norm.c - normalisation of each channel over batch and space. */
#include "ops/norm.h"

#include <math.h>

enum { EPSILON, WORDS };

static nc_norm describe(const nacre_shape *x, const int64_t *attributes)
{
    nc_norm norm = {.shape = *x, .centred = true, .epsilon = nacre_unword(attributes[EPSILON])};
    for (int i = 0; i < x->rank; i++) norm.reduced[i] = i != 1;
    norm.affine[1] = true;
    norm.statistics = norm.weight = NACRE_SHAPE(x->dims[1]);
    return norm;
}

static nacre_status need_channels(nacre_shape_call *call)
{
    nacre_shape x = nacre_tensor_shape(call->inputs[0]);
    char text[NACRE_SHAPE_TEXT_SIZE];
    if (x.rank >= 2) return NACRE_OK;
    return nacre_shape_fail(call, NACRE_ERROR_SHAPE, "operand is %s, expected [N, C, ...]", nacre_shape_text(x, text));
}

static nacre_status shape(nacre_shape_call *call)
{
    nacre_status status = need_channels(call);
    if (status) return status;
    nacre_shape x = nacre_tensor_shape(call->inputs[0]);
    nc_norm norm = describe(&x, call->attributes);
    char text[NACRE_SHAPE_TEXT_SIZE];
    if (nc_norm_count(&norm) < 2)
        return nacre_shape_fail(call, NACRE_ERROR_SHAPE,
                                "%s has fewer than 2 values per channel: there is no variance to "
                                "train with; use a larger batch",
                                nacre_shape_text(x, text));
    return nc_norm_shape(call, &norm);
}

static nacre_status backward_shape(nacre_shape_call *call)
{
    nacre_status status = need_channels(call);
    if (status) return status;
    nacre_shape x = nacre_tensor_shape(call->inputs[0]);
    nc_norm norm = describe(&x, call->attributes);
    return nc_norm_backward_shape(call, &norm);
}

static void gradient(nacre_gradient_call *call)
{
    nacre_shape x = nacre_tensor_shape(call->inputs[0]);
    nc_norm norm = describe(&x, call->attributes);
    nc_norm_gradient(call, &norm, &nc_op_batch_norm_backward);
}

static void backward_expand(nacre_graph *graph, nacre_tensor *const *inputs, int input_count, const int64_t *attributes,
                            nacre_tensor **outputs)
{
    (void)graph;
    nacre_shape x = nacre_tensor_shape(inputs[0]);
    nc_norm norm = describe(&x, attributes);
    nc_norm_backward_expand(&norm, inputs, input_count, outputs);
}

static void reference(const nacre_call *call)
{
    nc_norm norm = describe(&call->inputs[0].shape, call->attributes);
    nc_norm_reference(call, &norm);
}

static void backward_reference(const nacre_call *call)
{
    nc_norm norm = describe(&call->inputs[0].shape, call->attributes);
    nc_norm_backward_reference(call, &norm);
}

/* ---- with given statistics ---- */

enum { X, MEAN, VAR, WEIGHT, BIAS, OPERANDS };

static nacre_status inference_shape(nacre_shape_call *call)
{
    static const char *const names[] = {"x", "mean", "variance", "weight", "bias"};
    nacre_status status = need_channels(call);
    if (!status) status = nc_need_float(call);
    if (!status) status = nc_need_one_dtype(call);
    if (status) return status;
    int64_t channels = nacre_tensor_dim(call->inputs[X], 1);
    for (int i = MEAN; i < call->input_count; i++) {
        nacre_shape given = nacre_tensor_shape(call->inputs[i]);
        char text[NACRE_SHAPE_TEXT_SIZE];
        if (call->inputs[i] && !nacre_shape_equal(given, NACRE_SHAPE(channels)))
            return nacre_shape_fail(call, NACRE_ERROR_SHAPE, "%s is %s, expected one per channel, [%lld]", names[i],
                                    nacre_shape_text(given, text), (long long)channels);
    }
    return nc_shape_same(call);
}

static void inference_expand(nacre_graph *graph, nacre_tensor *const *inputs, int input_count,
                             const int64_t *attributes, nacre_tensor **outputs)
{
    nacre_tensor *operand[OPERANDS] = {0};
    nacre_shape channels = {.rank = nacre_tensor_rank(inputs[X]) - 1, .dims = {nacre_tensor_dim(inputs[X], 1)}};
    (void)graph;
    for (int i = 1; i < channels.rank; i++) channels.dims[i] = 1;
    for (int i = 0; i < input_count; i++)
        operand[i] = i == X || !inputs[i] ? inputs[i] : nacre_reshape(inputs[i], channels);
    nacre_tensor *scale = nacre_rsqrt(nacre_add_scalar(operand[VAR], nacre_unword(attributes[EPSILON])));
    if (operand[WEIGHT]) scale = nacre_mul(scale, operand[WEIGHT]);
    nacre_tensor *y = nacre_mul(nacre_sub(operand[X], operand[MEAN]), scale);
    outputs[0] = operand[BIAS] ? nacre_add(y, operand[BIAS]) : y;
}

static double channel(const nacre_call *call, int index, int64_t c, double absent)
{
    const nacre_view *view = nc_optional(call, index);
    return view ? nc_get(view, c * view->strides[0]) : absent;
}

static void inference_reference(const nacre_call *call)
{
    const nacre_view *x = &call->inputs[X], *y = &call->outputs[0];
    double epsilon = nacre_unword(call->attributes[EPSILON]);
    int64_t index[NACRE_MAX_RANK] = {0};
    if (nc_count(y) == 0) return;
    do {
        int64_t c = index[1];
        double scale = channel(call, WEIGHT, c, 1) / sqrt(channel(call, VAR, c, 0) + epsilon);
        double centred = nc_get(x, nc_offset(x, index)) - channel(call, MEAN, c, 0);
        nc_set(y, nc_offset(y, index), centred * scale + channel(call, BIAS, c, 0));
    } while (nc_next(&y->shape, index));
}

/* ---- descriptors ---- */

static const char *const CASES[] = {"x=4x3x5x5 weight=3 bias=3",
                                    "x=8x3 weight=3 bias=3",
                                    "x=3x4x5 weight=4 bias=4 epsilon=0.001",
                                    "x=2x1x3x3@5..6 weight=1 bias=1",
                                    "x=1x5x4x3 weight=5",
                                    "x=2x3x2x3x2",
                                    "x=2x1x1x1",
                                    "x=16x20x7x7 weight=20 bias=20 !grad",
                                    "x=9x530 weight=530 bias=530 !grad",
                                    NULL};
static const char *const BACKWARD_CASES[] = {"dy=4x3x5x5 x=4x3x5x5 mean=3 var=3@0.5..1 weight=3",
                                             "dy=8x3 x=8x3 mean=3 var=3@0.5..1 weight=3",
                                             "dy=3x4x5 x=3x4x5 mean=4 var=4@0.5..1 epsilon=0.001",
                                             "dy=1x5x4x3 x=1x5x4x3 mean=5 var=5@0.5..1 weight=5",
                                             "dy=2x1x1x1 x=2x1x1x1 mean=1 var=1@0.5..1",
                                             "dy=16x20x7x7 x=16x20x7x7 mean=20 var=20@0.5..1 weight=20 !grad",
                                             "dy=9x530 x=9x530 mean=530 var=530@0.5..1 weight=530 !grad",
                                             NULL};
static const char *const INFERENCE_CASES[] = {"x=4x3x5x5 mean=3 var=3@0.5..1 weight=3 bias=3",
                                              "x=8x3 mean=3 var=3@0.5..1 weight=3 bias=3",
                                              "x=1x4x5 mean=4 var=4@0.5..1 epsilon=0.001",
                                              "x=1x1x4x3 mean=1 var=1@0.5..1 weight=1",
                                              "x=16x20x7x7 mean=20 var=20@0.5..1 weight=20 bias=20 !grad",
                                              "x=9x530 mean=530 var=530@0.5..1 weight=530 bias=530 !grad",
                                              "x=0x3x2x2 mean=3 var=3@0.5..1",
                                              NULL};

#define SCHEMA                                                                                                         \
    {                                                                                                                  \
        {                                                                                                              \
            "epsilon", NACRE_ATTRIBUTE_FLOAT, 1e-5, .doc = "added to the variance"                                     \
        }                                                                                                              \
    }

const nacre_op nc_op_batch_norm = {
    .name = "batch_norm",
    .doc =
        "Normalises each channel of x [N, C, ...] by its mean and (biased) variance over all other axes, then scales "
        "by weight [C] and shifts by bias [C]. Gives mean and variance too (Ioffe and Szegedy 2015).",
    .inputs = "x ?weight ?bias",
    .outputs = "y mean var",
    .attributes = SCHEMA,
    .layouts = "dpp>dpp",
    .shape = shape,
    .gradient = gradient,
    .reference = reference,
    .cases = CASES,
};

const nacre_op nc_op_batch_norm_backward = {
    .name = "batch_norm_backward",
    .doc = "The gradients of batch_norm with respect to x, weight and bias, from its operands, mean and variance.",
    .inputs = "dy x mean var ?weight",
    .outputs = "dx dweight dbias",
    .attributes = SCHEMA,
    .layouts = "ddppp>dpp",
    .shape = backward_shape,
    .expand = backward_expand,
    .reference = backward_reference,
    .cases = BACKWARD_CASES,
};

const nacre_op nc_op_batch_norm_inference = {
    .name = "batch_norm_inference",
    .doc = "(x - mean) / sqrt(var + epsilon) weight + bias, each per channel of x [N, C, ...].",
    .onnx = "BatchNormalization",
    .inputs = "x mean var ?weight ?bias",
    .outputs = "y",
    .attributes = SCHEMA,
    .layouts = "dpppp>d",
    .shape = inference_shape,
    .expand = inference_expand,
    .reference = inference_reference,
    .cases = INFERENCE_CASES,
};

nacre_tensor *nacre_batch_norm_with(nacre_tensor *x, nacre_tensor *weight, nacre_tensor *bias, double epsilon)
{
    if (!x) return NULL;
    return nacre_apply(nacre_tensor_graph(x), &nc_op_batch_norm, (nacre_tensor *[]){x, weight, bias}, 3,
                       (int64_t[WORDS]){nacre_word(epsilon)});
}

nacre_tensor *nacre_batch_norm_inference(nacre_tensor *x, nacre_tensor *mean, nacre_tensor *var, nacre_tensor *weight,
                                         nacre_tensor *bias, double epsilon)
{
    if (!x || !mean || !var) return NULL;
    return nacre_apply(nacre_tensor_graph(x), &nc_op_batch_norm_inference,
                       (nacre_tensor *[]){x, mean, var, weight, bias}, 5, (int64_t[WORDS]){nacre_word(epsilon)});
}

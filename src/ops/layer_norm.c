/* ops/layer_norm.c - normalisation over the last axes, with mean and variance (layer) or the mean square (RMS). */
#include "ops/norm.h"

enum { AXES, EPSILON, WORDS };

static nc_norm describe(const nacre_shape *x, const int64_t *attributes, bool centred)
{
    nc_norm norm = {.shape = *x, .centred = centred, .epsilon = nacre_unword(attributes[EPSILON])};
    norm.statistics.rank = x->rank - (int)attributes[AXES];
    for (int i = 0; i < x->rank; i++) {
        norm.reduced[i] = norm.affine[i] = i >= norm.statistics.rank;
        if (norm.reduced[i])
            norm.weight.dims[norm.weight.rank++] = x->dims[i];
        else
            norm.statistics.dims[i] = x->dims[i];
    }
    return norm;
}

static nacre_status need_axes(nacre_shape_call *call)
{
    int64_t axes = call->attributes[AXES];
    nacre_shape x = nacre_tensor_shape(call->inputs[0]);
    char text[NACRE_SHAPE_TEXT_SIZE];
    if (axes >= 1 && axes <= x.rank) return NACRE_OK;
    return nacre_shape_fail(call, NACRE_ERROR_ARGUMENT, "axes is %lld, expected 1 to the rank of %s", (long long)axes,
                            nacre_shape_text(x, text));
}

static nacre_status forward_shape(nacre_shape_call *call, bool centred)
{
    nacre_status status = need_axes(call);
    if (status) return status;
    nacre_shape x = nacre_tensor_shape(call->inputs[0]);
    nc_norm norm = describe(&x, call->attributes, centred);
    return nc_norm_shape(call, &norm);
}

static nacre_status any_backward_shape(nacre_shape_call *call, bool centred)
{
    nacre_status status = need_axes(call);
    if (status) return status;
    nacre_shape x = nacre_tensor_shape(call->inputs[0]);
    nc_norm norm = describe(&x, call->attributes, centred);
    return nc_norm_backward_shape(call, &norm);
}

static nacre_status layer_shape(nacre_shape_call *call)
{
    return forward_shape(call, true);
}

static nacre_status rms_shape(nacre_shape_call *call)
{
    return forward_shape(call, false);
}

static nacre_status layer_backward_shape(nacre_shape_call *call)
{
    return any_backward_shape(call, true);
}

static nacre_status rms_backward_shape(nacre_shape_call *call)
{
    return any_backward_shape(call, false);
}

static void layer_gradient(nacre_gradient_call *call)
{
    nacre_shape x = nacre_tensor_shape(call->inputs[0]);
    nc_norm norm = describe(&x, call->attributes, true);
    nc_norm_gradient(call, &norm, &nc_op_layer_norm_backward);
}

static void rms_gradient(nacre_gradient_call *call)
{
    nacre_shape x = nacre_tensor_shape(call->inputs[0]);
    nc_norm norm = describe(&x, call->attributes, false);
    nc_norm_gradient(call, &norm, &nc_op_rms_norm_backward);
}

static void layer_backward_expand(nacre_graph *graph, nacre_tensor *const *inputs, int input_count,
                                  const int64_t *attributes, nacre_tensor **outputs)
{
    (void)graph;
    nacre_shape x = nacre_tensor_shape(inputs[0]);
    nc_norm norm = describe(&x, attributes, true);
    nc_norm_backward_expand(&norm, inputs, input_count, outputs);
}

static void rms_backward_expand(nacre_graph *graph, nacre_tensor *const *inputs, int input_count,
                                const int64_t *attributes, nacre_tensor **outputs)
{
    (void)graph;
    nacre_shape x = nacre_tensor_shape(inputs[0]);
    nc_norm norm = describe(&x, attributes, false);
    nc_norm_backward_expand(&norm, inputs, input_count, outputs);
}

static void layer_reference(const nacre_call *call)
{
    nc_norm norm = describe(&call->inputs[0].shape, call->attributes, true);
    nc_norm_reference(call, &norm);
}

static void rms_reference(const nacre_call *call)
{
    nc_norm norm = describe(&call->inputs[0].shape, call->attributes, false);
    nc_norm_reference(call, &norm);
}

static void layer_backward_reference(const nacre_call *call)
{
    nc_norm norm = describe(&call->inputs[0].shape, call->attributes, true);
    nc_norm_backward_reference(call, &norm);
}

static void rms_backward_reference(const nacre_call *call)
{
    nc_norm norm = describe(&call->inputs[0].shape, call->attributes, false);
    nc_norm_backward_reference(call, &norm);
}

static const char *const LAYER_CASES[] = {"x=4x10 weight=10 bias=10",
                                          "x=2x3x4x5 weight=4x5 bias=4x5 axes=2",
                                          "x=3x7 epsilon=0.1",
                                          "x=2x3x33 weight=33",
                                          "x=9 weight=9 bias=9",
                                          "x=3x1 weight=1 bias=1 epsilon=0.5",
                                          "x=16x128 weight=128 bias=128 !grad",
                                          "x=0x4 weight=4",
                                          NULL};
static const char *const LAYER_BACKWARD_CASES[] = {"dy=4x10 x=4x10 mean=4 var=4@0.5..1 weight=10",
                                                   "dy=2x3x4x5 x=2x3x4x5 mean=2x3 var=2x3@0.5..1 weight=4x5 axes=2",
                                                   "dy=3x7 x=3x7 mean=3 var=3@0.5..1 epsilon=0.1",
                                                   "dy=9 x=9 mean=scalar var=scalar@0.5..1",
                                                   "dy=16x128 x=16x128 mean=16 var=16@0.5..1 weight=128 !grad",
                                                   "dy=0x4 x=0x4 mean=0 var=0 weight=4",
                                                   NULL};
static const char *const RMS_CASES[] = {"x=4x10 weight=10",
                                        "x=2x3x4x5 weight=4x5 axes=2 epsilon=0.01",
                                        "x=3x7",
                                        "x=2x3x33 weight=33",
                                        "x=3x1 weight=1",
                                        "x=16x128 weight=128 !grad",
                                        NULL};
static const char *const RMS_BACKWARD_CASES[] = {
    "dy=4x10 x=4x10 square=4@0.5..1 weight=10", "dy=2x3x4x5 x=2x3x4x5 square=2x3@0.5..1 weight=4x5 axes=2",
    "dy=3x7 x=3x7 square=3@0.5..1 epsilon=0.1", "dy=16x128 x=16x128 square=16@0.5..1 weight=128 !grad", NULL};

#define SCHEMA                                                                                                         \
    {                                                                                                                  \
        {"axes", NACRE_ATTRIBUTE_INT, 1, .doc = "how many axes at the end are normalised together"},                   \
        {                                                                                                              \
            "epsilon", NACRE_ATTRIBUTE_FLOAT, 1e-5, .doc = "added to the variance or mean square"                      \
        }                                                                                                              \
    }

const nacre_op nc_op_layer_norm = {
    .name = "layer_norm",
    .doc = "Normalises x by mean and variance over its last axes, then scales by weight and shifts by bias, both of "
           "those axes' shape. Gives mean and variance too (Ba, Kiros and Hinton 2016).",
    .onnx = "LayerNormalization",
    .inputs = "x ?weight ?bias",
    .outputs = "y mean var",
    .attributes = SCHEMA,
    .shape = layer_shape,
    .gradient = layer_gradient,
    .reference = layer_reference,
    .cases = LAYER_CASES,
};

const nacre_op nc_op_layer_norm_backward = {
    .name = "layer_norm_backward",
    .doc = "The gradients of layer_norm with respect to x, weight and bias, from its operands, mean and variance.",
    .inputs = "dy x mean var ?weight",
    .outputs = "dx dweight dbias",
    .attributes = SCHEMA,
    .shape = layer_backward_shape,
    .expand = layer_backward_expand,
    .reference = layer_backward_reference,
    .cases = LAYER_BACKWARD_CASES,
};

const nacre_op nc_op_rms_norm = {
    .name = "rms_norm",
    .doc = "x / sqrt(mean(x^2) + epsilon) over the last axes, scaled by weight of those axes' shape. Gives the mean "
           "square too (Zhang and Sennrich 2019).",
    .onnx = "RMSNormalization",
    .inputs = "x ?weight",
    .outputs = "y square",
    .attributes = SCHEMA,
    .shape = rms_shape,
    .gradient = rms_gradient,
    .reference = rms_reference,
    .cases = RMS_CASES,
};

const nacre_op nc_op_rms_norm_backward = {
    .name = "rms_norm_backward",
    .doc = "The gradients of rms_norm with respect to x and weight, from its operands and the mean square.",
    .inputs = "dy x square ?weight",
    .outputs = "dx dweight",
    .attributes = SCHEMA,
    .shape = rms_backward_shape,
    .expand = rms_backward_expand,
    .reference = rms_backward_reference,
    .cases = RMS_BACKWARD_CASES,
};

nacre_tensor *nacre_layer_norm_with(nacre_tensor *x, int axes, nacre_tensor *weight, nacre_tensor *bias, double epsilon)
{
    if (!x) return NULL;
    return nacre_apply(nacre_tensor_graph(x), &nc_op_layer_norm, (nacre_tensor *[]){x, weight, bias}, 3,
                       (int64_t[WORDS]){axes, nacre_word(epsilon)});
}

nacre_tensor *nacre_rms_norm_with(nacre_tensor *x, int axes, nacre_tensor *weight, double epsilon)
{
    if (!x) return NULL;
    return nacre_apply(nacre_tensor_graph(x), &nc_op_rms_norm, (nacre_tensor *[]){x, weight}, 2,
                       (int64_t[WORDS]){axes, nacre_word(epsilon)});
}

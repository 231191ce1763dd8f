/* ops/group_norm.c - normalisation of each sample's channels in groups; with one channel per group: instance. */
#include "ops/norm.h"

enum { GROUPS, EPSILON, WORDS };

/* x seen as [N, groups, C / groups, ...]. */
static nc_norm describe(const nacre_shape *x, const int64_t *attributes)
{
    nc_norm norm = {.shape = *x, .centred = true, .epsilon = nacre_unword(attributes[EPSILON])};
    norm.shape.rank = x->rank + 1;
    norm.shape.dims[1] = attributes[GROUPS];
    norm.shape.dims[2] = x->dims[1] / attributes[GROUPS];
    for (int i = 2; i < x->rank; i++) norm.shape.dims[i + 1] = x->dims[i];
    for (int i = 2; i < norm.shape.rank; i++) norm.reduced[i] = true;
    norm.affine[1] = norm.affine[2] = true;
    norm.statistics = NACRE_SHAPE(x->dims[0], attributes[GROUPS]);
    norm.weight = NACRE_SHAPE(x->dims[1]);
    return norm;
}

static nacre_status need_groups(nacre_shape_call *call)
{
    nacre_shape x = nacre_tensor_shape(call->inputs[0]);
    int64_t groups = call->attributes[GROUPS];
    char text[NACRE_SHAPE_TEXT_SIZE];
    if (x.rank < 2 || x.rank >= NACRE_MAX_RANK)
        return nacre_shape_fail(call, NACRE_ERROR_SHAPE, "operand is %s, expected [N, C, ...]",
                                nacre_shape_text(x, text));
    if (groups < 1 || x.dims[1] % groups)
        return nacre_shape_fail(call, NACRE_ERROR_SHAPE, "%lld groups do not divide the %lld channels of %s",
                                (long long)groups, (long long)x.dims[1], nacre_shape_text(x, text));
    return NACRE_OK;
}

static nacre_status shape(nacre_shape_call *call)
{
    nacre_status status = need_groups(call);
    if (status) return status;
    nacre_shape x = nacre_tensor_shape(call->inputs[0]);
    nc_norm norm = describe(&x, call->attributes);
    return nc_norm_shape(call, &norm);
}

static nacre_status backward_shape(nacre_shape_call *call)
{
    nacre_status status = need_groups(call);
    if (status) return status;
    nacre_shape x = nacre_tensor_shape(call->inputs[0]);
    nc_norm norm = describe(&x, call->attributes);
    return nc_norm_backward_shape(call, &norm);
}

static void gradient(nacre_gradient_call *call)
{
    nacre_shape x = nacre_tensor_shape(call->inputs[0]);
    nc_norm norm = describe(&x, call->attributes);
    nc_norm_gradient(call, &norm, &nc_op_group_norm_backward);
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

static const char *const CASES[] = {"x=3x6x4 weight=6 bias=6 groups=3",
                                    "x=2x4x3x3 weight=4 bias=4 groups=2",
                                    "x=2x4x3x3 groups=1",
                                    "x=2x3x4x5 weight=3 groups=3",
                                    "x=4x6 weight=6 bias=6 groups=2",
                                    "x=1x4x2x3x2 weight=4 bias=4 groups=2 epsilon=0.01",
                                    "x=4x32x7x7 weight=32 bias=32 groups=8 !grad",
                                    "x=0x4x3x3 weight=4 groups=2",
                                    NULL};
static const char *const BACKWARD_CASES[] = {"dy=3x6x4 x=3x6x4 mean=3x3 var=3x3@0.5..1 weight=6 groups=3",
                                             "dy=2x4x3x3 x=2x4x3x3 mean=2x2 var=2x2@0.5..1 weight=4 groups=2",
                                             "dy=2x4x3x3 x=2x4x3x3 mean=2x1 var=2x1@0.5..1 groups=1",
                                             "dy=2x3x4x5 x=2x3x4x5 mean=2x3 var=2x3@0.5..1 weight=3 groups=3",
                                             "dy=4x32x7x7 x=4x32x7x7 mean=4x8 var=4x8@0.5..1 weight=32 groups=8 !grad",
                                             NULL};

#define SCHEMA                                                                                                         \
    {                                                                                                                  \
        {"groups", NACRE_ATTRIBUTE_INT, 1, .required = true, .doc = "parts that the channels are split into"},         \
        {                                                                                                              \
            "epsilon", NACRE_ATTRIBUTE_FLOAT, 1e-5, .doc = "added to the variance"                                     \
        }                                                                                                              \
    }

const nacre_op nc_op_group_norm = {
    .name = "group_norm",
    .doc =
        "Normalises each sample of x [N, C, ...] by mean and variance [N, groups] over each group of channels and all"
        " space, then scales by weight [C] and shifts by bias [C] (Wu and He 2018). With groups = C it is instance "
        "normalisation (Ulyanov, Vedaldi and Lempitsky 2016).",
    .onnx = "GroupNormalization",
    .inputs = "x ?weight ?bias",
    .outputs = "y mean var",
    .attributes = SCHEMA,
    .layouts = "dpp>dpp",
    .shape = shape,
    .gradient = gradient,
    .reference = reference,
    .cases = CASES,
};

const nacre_op nc_op_group_norm_backward = {
    .name = "group_norm_backward",
    .doc = "The gradients of group_norm with respect to x, weight and bias, from its operands, mean and variance.",
    .inputs = "dy x mean var ?weight",
    .outputs = "dx dweight dbias",
    .attributes = SCHEMA,
    .layouts = "ddppp>dpp",
    .shape = backward_shape,
    .expand = backward_expand,
    .reference = backward_reference,
    .cases = BACKWARD_CASES,
};

nacre_tensor *nacre_group_norm_with(nacre_tensor *x, int64_t groups, nacre_tensor *weight, nacre_tensor *bias,
                                    double epsilon)
{
    if (!x) return NULL;
    return nacre_apply(nacre_tensor_graph(x), &nc_op_group_norm, (nacre_tensor *[]){x, weight, bias}, 3,
                       (int64_t[WORDS]){groups, nacre_word(epsilon)});
}

nacre_tensor *nacre_instance_norm_with(nacre_tensor *x, nacre_tensor *weight, nacre_tensor *bias, double epsilon)
{
    return nacre_group_norm_with(x, nacre_tensor_dim(x, 1), weight, bias, epsilon);
}

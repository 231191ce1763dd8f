/* nn/conv.c - convolution layers over one to three axes. */
#include "nn/layer.h"

static nacre_conv_layer_options with_defaults(const nacre_conv_layer_options *options, int64_t kernel, bool same)
{
    nacre_conv_layer_options chosen = options ? *options : (nacre_conv_layer_options){0};
    if (chosen.stride == 0) chosen.stride = 1;
    if (chosen.dilation == 0) chosen.dilation = 1;
    if (chosen.groups == 0) chosen.groups = 1;
    if (chosen.padding == 0 && !chosen.valid && same) chosen.padding = chosen.dilation * (kernel - 1) / 2;
    return chosen;
}

static nacre_conv_options spatial(const nacre_conv_layer_options *chosen, int axes)
{
    nacre_conv_options result = {.groups = chosen->groups};
    for (int i = 0; i < axes; i++) {
        result.stride[i] = chosen->stride;
        result.dilation[i] = chosen->dilation;
        result.padding[i] = chosen->padding;
        result.output_padding[i] = chosen->output_padding;
    }
    return result;
}

static nacre_shape weight_shape(int64_t first, int64_t second, int64_t kernel, int axes)
{
    nacre_shape shape = {.rank = axes + 2, .dims = {first, second}};
    for (int i = 0; i < axes; i++) shape.dims[2 + i] = kernel;
    return shape;
}

/* 1 / sqrt(fan_in), fan_in as PyTorch counts it: the second dimension times the kernel's size. */
static double default_bound(nacre_shape weight)
{
    double fan_in = 1;
    for (int i = 1; i < weight.rank; i++) fan_in *= (double)weight.dims[i];
    return fan_in > 0 ? 1 / sqrt(fan_in) : 0;
}

typedef nacre_tensor *convolution(nacre_tensor *x, nacre_tensor *weight, nacre_tensor *bias,
                                  const nacre_conv_options *options);

static nacre_tensor *layer(nacre_scope scope, nacre_tensor *x, int64_t channels, nacre_shape shape,
                           const nacre_conv_layer_options *chosen, convolution *convolve)
{
    double bound = default_bound(shape);
    nacre_tensor *weight = nacre_parameter(scope, "weight", shape, nc_default_init(chosen->weight, bound));
    nacre_tensor *bias = NULL;
    if (!chosen->no_bias &&
        !(bias = nacre_parameter(scope, "bias", NACRE_SHAPE(channels), nc_default_init(chosen->bias, bound))))
        return NULL;
    nacre_conv_options options = spatial(chosen, shape.rank - 2);
    return convolve(x, weight, bias, &options);
}

/* The rank of x has to fit the layer, and its channels the groups. */
static bool fits(nacre_tensor *x, int axes, int64_t channels, int64_t kernel, const nacre_conv_layer_options *chosen)
{
    nacre_context *context = nacre_graph_context(nacre_tensor_graph(x));
    char text[NACRE_SHAPE_TEXT_SIZE];
    if (!x) return false;
    int64_t in = nacre_tensor_dim(x, 1);
    if (nacre_tensor_rank(x) != axes + 2 || axes < 1 || axes > 3)
        nacre_fail(context, NACRE_ERROR_SHAPE, "conv%dd: input is %s, expected [N, channels%s]", axes,
                   nacre_shape_text(nacre_tensor_shape(x), text),
                   axes == 1   ? ", L"
                   : axes == 2 ? ", H, W"
                               : ", D, H, W");
    else if (kernel < 1 || channels < 1 || chosen->groups < 1 || in % chosen->groups || channels % chosen->groups)
        nacre_fail(context, NACRE_ERROR_ARGUMENT,
                   "conv%dd: %lld to %lld channels with kernel %lld do not divide into %lld groups", axes,
                   (long long)in, (long long)channels, (long long)kernel, (long long)chosen->groups);
    else
        return true;
    return false;
}

static nacre_tensor *conv(nacre_scope scope, nacre_tensor *x, int axes, int64_t channels, int64_t kernel,
                          const nacre_conv_layer_options *options)
{
    nacre_conv_layer_options chosen = with_defaults(options, kernel, true);
    if (!fits(x, axes, channels, kernel, &chosen)) return NULL;
    nacre_shape shape = weight_shape(channels, nacre_tensor_dim(x, 1) / chosen.groups, kernel, axes);
    return layer(scope, x, channels, shape, &chosen, nacre_conv_with);
}

nacre_tensor *nacre_conv1d(nacre_scope scope, nacre_tensor *x, int64_t channels, int64_t kernel,
                           const nacre_conv_layer_options *options)
{
    return conv(scope, x, 1, channels, kernel, options);
}

nacre_tensor *nacre_conv2d(nacre_scope scope, nacre_tensor *x, int64_t channels, int64_t kernel,
                           const nacre_conv_layer_options *options)
{
    return conv(scope, x, 2, channels, kernel, options);
}

nacre_tensor *nacre_conv3d(nacre_scope scope, nacre_tensor *x, int64_t channels, int64_t kernel,
                           const nacre_conv_layer_options *options)
{
    return conv(scope, x, 3, channels, kernel, options);
}

nacre_tensor *nacre_conv_transpose(nacre_scope scope, nacre_tensor *x, int64_t channels, int64_t kernel,
                                   const nacre_conv_layer_options *options)
{
    nacre_conv_layer_options chosen = with_defaults(options, kernel, false);
    int axes = nacre_tensor_rank(x) - 2;
    if (!fits(x, axes, channels, kernel, &chosen)) return NULL;
    nacre_shape shape = weight_shape(nacre_tensor_dim(x, 1), channels / chosen.groups, kernel, axes);
    return layer(scope, x, channels, shape, &chosen, nacre_conv_transpose_with);
}

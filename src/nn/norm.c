/* nn/norm.c - normalisation layers. */
#include "nn/layer.h"

static double epsilon_of(const nacre_norm_options *options, double fallback)
{
    return options && options->eps != 0 ? options->eps : fallback;
}

/* Scale and shift of a shape, ones and zeros; both NULL and true where there is to be none. */
static bool affine(nacre_scope scope, nacre_shape shape, const nacre_norm_options *options, nacre_tensor **weight,
                   nacre_tensor **bias)
{
    *weight = *bias = NULL;
    if (options && options->no_affine) return true;
    *weight = nacre_parameter(scope, "weight", shape, (nacre_init){NACRE_INIT_CONSTANT, 1, 0});
    *bias = nacre_parameter(scope, "bias", shape, (nacre_init){NACRE_INIT_CONSTANT, 0, 0});
    return *weight && *bias;
}

static bool has_channels(nacre_tensor *x, const char *layer)
{
    char text[NACRE_SHAPE_TEXT_SIZE];
    if (!x) return false;
    if (nacre_tensor_rank(x) >= 2) return true;
    nacre_fail(nacre_graph_context(nacre_tensor_graph(x)), NACRE_ERROR_SHAPE, "%s: input is %s, expected [N, C, ...]",
               layer, nacre_shape_text(nacre_tensor_shape(x), text));
    return false;
}

nacre_tensor *nacre_batch_norm(nacre_scope scope, nacre_tensor *x, const nacre_norm_options *options)
{
    nacre_tensor *weight, *bias;
    if (!has_channels(x, "batch_norm")) return NULL;
    nacre_shape shape = NACRE_SHAPE(nacre_tensor_dim(x, 1));
    double momentum = options && options->momentum != 0 ? options->momentum : 0.1;
    if (!affine(scope, shape, options, &weight, &bias)) return NULL;
    nacre_tensor *running_mean = nacre_state_buffer(scope, "running_mean", shape, 0);
    nacre_tensor *running_var = nacre_state_buffer(scope, "running_var", shape, 1);
    if (!scope.training)
        return nacre_batch_norm_inference(x, running_mean, running_var, weight, bias, epsilon_of(options, 1e-5));
    nacre_tensor *y = nacre_batch_norm_with(x, weight, bias, epsilon_of(options, 1e-5));
    /* The running variance is that of the population: n / (n - 1) times the batch's. */
    double n = (double)nacre_tensor_count(x) / (double)(shape.dims[0] ? shape.dims[0] : 1);
    nacre_assign_lerp(running_mean, nacre_tensor_sibling(y, 1), momentum, 1);
    nacre_assign_lerp(running_var, nacre_tensor_sibling(y, 2), momentum, n > 1 ? n / (n - 1) : 1);
    return y;
}

/* The last `axes` dimensions of x. */
static nacre_shape last_axes(nacre_tensor *x, int axes)
{
    nacre_shape all = nacre_tensor_shape(x), shape = {.rank = axes};
    for (int i = 0; i < axes; i++) shape.dims[i] = all.dims[all.rank - axes + i];
    return shape;
}

nacre_tensor *nacre_layer_norm(nacre_scope scope, nacre_tensor *x, int axes, const nacre_norm_options *options)
{
    nacre_tensor *weight, *bias;
    if (!x) return NULL;
    if (axes < 1 || axes > nacre_tensor_rank(x)) {
        nacre_fail(nacre_graph_context(scope.graph), NACRE_ERROR_ARGUMENT,
                   "layer_norm: cannot normalise the last %d axes of a tensor of rank %d", axes, nacre_tensor_rank(x));
        return NULL;
    }
    if (!affine(scope, last_axes(x, axes), options, &weight, &bias)) return NULL;
    return nacre_layer_norm_with(x, axes, weight, bias, epsilon_of(options, 1e-5));
}

nacre_tensor *nacre_group_norm(nacre_scope scope, nacre_tensor *x, int64_t groups, const nacre_norm_options *options)
{
    nacre_tensor *weight, *bias;
    if (!has_channels(x, "group_norm")) return NULL;
    if (!affine(scope, NACRE_SHAPE(nacre_tensor_dim(x, 1)), options, &weight, &bias)) return NULL;
    return nacre_group_norm_with(x, groups, weight, bias, epsilon_of(options, 1e-5));
}

nacre_tensor *nacre_instance_norm(nacre_scope scope, nacre_tensor *x, const nacre_norm_options *options)
{
    nacre_tensor *weight, *bias;
    if (!has_channels(x, "instance_norm")) return NULL;
    if (!affine(scope, NACRE_SHAPE(nacre_tensor_dim(x, 1)), options, &weight, &bias)) return NULL;
    return nacre_instance_norm_with(x, weight, bias, epsilon_of(options, 1e-5));
}

nacre_tensor *nacre_rms_norm(nacre_scope scope, nacre_tensor *x, const nacre_norm_options *options)
{
    nacre_tensor *weight = NULL;
    if (!x) return NULL;
    if (!options || !options->no_affine) {
        weight = nacre_parameter(scope, "weight", NACRE_SHAPE(nacre_tensor_dim(x, -1)),
                                 (nacre_init){NACRE_INIT_CONSTANT, 1, 0});
        if (!weight) return NULL;
    }
    return nacre_rms_norm_with(x, 1, weight, epsilon_of(options, 1e-6));
}

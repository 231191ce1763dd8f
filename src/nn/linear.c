/* nn/linear.c - the fully connected layer and the embedding. */
#include "nn/layer.h"

nacre_init nc_default_init(nacre_init given, double bound)
{
    return given.kind == NACRE_INIT_DEFAULT ? (nacre_init){NACRE_INIT_UNIFORM, -bound, bound} : given;
}

nacre_tensor *nacre_linear(nacre_scope scope, nacre_tensor *x, int64_t features, const nacre_linear_options *options)
{
    nacre_linear_options chosen = options ? *options : (nacre_linear_options){0};
    if (!x) return NULL;
    int64_t in = nacre_tensor_dim(x, -1);
    double bound = in > 0 ? 1 / sqrt((double)in) : 0;
    nacre_tensor *weight =
        nacre_parameter(scope, "weight", NACRE_SHAPE(features, in), nc_default_init(chosen.weight, bound));
    nacre_tensor *bias = NULL;
    if (!chosen.no_bias) {
        bias = nacre_parameter(scope, "bias", NACRE_SHAPE(features), nc_default_init(chosen.bias, bound));
        if (!bias) return NULL;
    }
    return nacre_linear_with(x, weight, bias);
}

nacre_tensor *nacre_embedding(nacre_scope scope, nacre_tensor *ids, int64_t count, int64_t width,
                              const nacre_embedding_options *options)
{
    nacre_init init = {NACRE_INIT_NORMAL, 0, 1};
    if (options && options->weight.kind != NACRE_INIT_DEFAULT) init = options->weight;
    nacre_tensor *weight = nacre_parameter(scope, "weight", NACRE_SHAPE(count, width), init);
    return ids ? nacre_embedding_with(weight, ids, NULL) : NULL;
}

/* nn/dropout.c - what draws random numbers while training. */
#include "nn/layer.h"

/* The number of nodes built so far tells one dropout of a graph from another, the same in every run of it. */
static nacre_tensor *drop(nacre_scope scope, nacre_tensor *x, double p, int mask_axes)
{
    if (!scope.training || p == 0) return x;
    int64_t stream = nacre_graph_node_count(scope.graph); /* before the seed, which may be a node more */
    return nacre_dropout_with(x, nacre_seed(scope.graph, true), stream, p, mask_axes);
}

nacre_tensor *nacre_dropout(nacre_scope scope, nacre_tensor *x, double p)
{
    return drop(scope, x, p, 0);
}

nacre_tensor *nacre_channel_dropout(nacre_scope scope, nacre_tensor *x, double p)
{
    return drop(scope, x, p, 2);
}

nacre_tensor *nacre_drop_path(nacre_scope scope, nacre_tensor *x, double p)
{
    return drop(scope, x, p, 1);
}

double nacre_drop_path_rate(double last, int64_t block, int64_t blocks)
{
    return blocks > 1 ? last * (double)block / (double)(blocks - 1) : last;
}

nacre_tensor *nacre_draw_latent(nacre_scope scope, nacre_tensor *mean, nacre_tensor *log_variance)
{
    if (!scope.training || !mean || !log_variance) return log_variance ? mean : NULL;
    int64_t stream = nacre_graph_node_count(scope.graph);
    nacre_tensor *seed = nacre_seed(scope.graph, true);
    nacre_tensor *noise = nacre_draw_normal(seed, stream, nacre_tensor_dtype(mean), nacre_tensor_shape(mean), 0, 1);
    nacre_tensor *deviation = nacre_exp(nacre_mul_scalar(log_variance, 0.5));
    return nacre_add(mean, nacre_mul(noise, deviation));
}

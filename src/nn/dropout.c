/* nn/dropout.c - random omission while training. */
#include "nn/layer.h"

/* The number of nodes built so far tells one dropout of a graph from another, the same in every run of it. */
nacre_tensor *nacre_dropout(nacre_scope scope, nacre_tensor *x, double p)
{
    if (!scope.training || p == 0) return x;
    int64_t stream = nacre_graph_node_count(scope.graph); /* before the seed, which may be a node more */
    return nacre_dropout_with(x, nacre_seed(scope.graph, true), stream, p, 0);
}

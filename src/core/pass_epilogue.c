#include "core/pass.h"
nacre_graph *nc_pass_epilogue(nacre_graph *graph)
{
    nc_rewrite rewrite;
    if (nc_rewrite_begin(&rewrite, graph))
        for (int i = 0; i < graph->node_count; i++)
            if (!nc_copy_node(&rewrite, graph->nodes[i])) break;
    return nc_rewrite_end(&rewrite);
}

/* core/pass.h - rewriting a graph: each pass reads one graph and builds the next. */
#ifndef NC_CORE_PASS_H
#define NC_CORE_PASS_H

#include "core/graph.h"

/* From the tensors of one graph to those of the graph that replaces it. */
typedef struct nc_rewrite {
    nacre_graph *from, *to;
    nacre_tensor **map; /* by base[node] + output */
    int *base;
    int *uses; /* per tensor, like map: how many operands it is, wanted outputs counted too */
} nc_rewrite;

bool nc_rewrite_begin(nc_rewrite *rewrite, nacre_graph *from);
/* Moves the wanted outputs over and frees the tables; NULL (and `to` freed) after a failure. */
nacre_graph *nc_rewrite_end(nc_rewrite *rewrite);
nacre_tensor *nc_mapped(const nc_rewrite *rewrite, const nacre_tensor *tensor); /* NULL for NULL */
void nc_map(nc_rewrite *rewrite, const nacre_tensor *tensor, nacre_tensor *replacement);
int nc_uses(const nc_rewrite *rewrite, const nacre_tensor *tensor);
/* The same node over the mapped operands; all its outputs are mapped. */
nacre_tensor *nc_copy_node(nc_rewrite *rewrite, const nc_node *node);
/* A node whose shapes are known already, without asking the shape rule. */
nc_node *nc_clone_node(nacre_graph *graph, const nc_node *node, nacre_tensor *const *inputs);

/* The passes, in order. Each returns a graph of its own, NULL after a failure; the argument stays the caller's. */
nacre_graph *nc_pass_recompute(nacre_graph *graph); /* forward values again where the gradient needs them */
nacre_graph *
nc_pass_simplify(nacre_graph *graph);          /* drops what nothing needs, merges equal nodes, removes identities */
nacre_graph *nc_pass_fold(nacre_graph *graph); /* running statistics into the weights of the convolution */
nacre_graph *nc_pass_precision(nacre_graph *graph); /* nodes in the graph's 16-bit type, and the casts between */
nacre_graph *nc_pass_epilogue(nacre_graph *graph);  /* activation and residual into the matrix product or convolution */
nacre_graph *nc_pass_layout(nacre_graph *graph);    /* channels-last where kernels want it */
nacre_graph *nc_pass_fuse(nacre_graph *graph);      /* element-wise chains into one node */

#endif

/* core/kernel.h - choosing a kernel for a node. */
#ifndef NC_CORE_KERNEL_H
#define NC_CORE_KERNEL_H

#include "core/graph.h"

enum { NC_LAYOUT_AS_IS = -1 };

/* The view of a tensor, without data; rank -1 for NULL. */
nacre_view nc_view(const nacre_tensor *tensor);
/* Whether an operand (or output) takes part in the node's memory order. */
bool nc_follows_layout(const nacre_op *op, int operand, bool output);
/* What kernels are told of a node, as its tensors stand or as if its data operands were in `layout`. */
bool nc_node_info(nc_arena *arena, const nacre_context *context, const nc_node *node, int layout,
                  nacre_node_info *info);
/* Why `kernel` would not run this node, NULL if it would. */
const char *nc_refusal(const nacre_context *context, const nacre_kernel *kernel, const nacre_node_info *info);
/* The first that can, NULL if only the reference is left. */
const nacre_kernel *nc_choose_kernel(const nacre_context *context, const nacre_node_info *info);

#endif

/* core/pass_layout.c - chooses the memory order of rank-4 tensors and plans the repacking.
 *
 * Greedy and forward: a node whose best kernel wants channels-last gets it; a node that works in either order follows
 * its operands; everything else is plain. A conversion is a node of its own, made once per tensor and direction.
 */
#include "core/context.h"
#include "core/kernel.h"
#include "core/pass.h"

static bool wants_channels_last(nacre_graph *graph, const nc_node *node)
{
    nacre_node_info info;
    if (!nc_node_info(&graph->arena, graph->context, node, NACRE_LAYOUT_CHANNELS_LAST, &info)) return false;
    const nacre_kernel *kernel = nc_choose_kernel(graph->context, &info);
    return kernel && kernel->flags & NACRE_KERNEL_CHANNELS_LAST;
}

/* A node that takes either order follows the larger part of its data. */
static bool follows_channels_last(nc_rewrite *rewrite, const nc_node *node)
{
    int64_t balance = 0;
    for (int i = 0; i < node->input_count; i++) {
        const nacre_tensor *tensor = nc_mapped(rewrite, node->inputs[i]);
        if (!tensor || tensor->shape.rank != 4 || !nc_follows_layout(node->op, i, false)) continue;
        balance += tensor->channels_last ? nacre_tensor_count(tensor) : -nacre_tensor_count(tensor);
    }
    if (balance <= 0) return false;
    nacre_node_info info;
    if (!nc_node_info(&rewrite->to->arena, rewrite->to->context, node, NACRE_LAYOUT_CHANNELS_LAST, &info)) return false;
    const nacre_kernel *kernel = nc_choose_kernel(rewrite->to->context, &info);
    return kernel && kernel->flags & NACRE_KERNEL_ANY_LAYOUT;
}

/* In both orders the same bytes: one channel, or one pixel. */
static bool order_is_immaterial(const nacre_tensor *tensor)
{
    const int64_t *dims = tensor->shape.dims;
    return dims[1] == 1 || (dims[2] == 1 && dims[3] == 1);
}

struct conversions {
    nacre_tensor **other; /* per tensor of the old graph: the same value in the other order */
};

static nacre_tensor *in_order(nc_rewrite *rewrite, struct conversions *done, const nacre_tensor *old,
                              bool channels_last)
{
    nacre_tensor *tensor = nc_mapped(rewrite, old);
    if (!tensor || tensor->channels_last == channels_last || tensor->shape.rank != 4) return tensor;
    nacre_tensor **other = &done->other[rewrite->base[old->node->index] + old->output];
    if (*other) return *other;
    if (order_is_immaterial(tensor)) {
        *other = nc_arena_take(&rewrite->to->arena, sizeof **other);
        if (*other) **other = *tensor; /* the same output of the same node under other strides */
    } else {
        int64_t order = channels_last ? NACRE_LAYOUT_CHANNELS_LAST : NACRE_LAYOUT_PLAIN;
        nacre_graph_set_path(rewrite->to, old->node->path);
        *other = nacre_apply(rewrite->to, &nc_op_relayout, &tensor, 1, &order);
    }
    if (*other) (*other)->channels_last = channels_last;
    return *other;
}

static bool copy_in_order(nc_rewrite *rewrite, struct conversions *done, const nc_node *node, bool channels_last)
{
    nacre_tensor **inputs = nc_arena_take(&rewrite->to->arena, sizeof *inputs * (size_t)(node->input_count + 1));
    if (!inputs) return false;
    for (int i = 0; i < node->input_count; i++)
        inputs[i] = in_order(rewrite, done, node->inputs[i], channels_last && nc_follows_layout(node->op, i, false));
    nc_node *copy = nc_clone_node(rewrite->to, node, inputs);
    if (!copy) return false;
    for (int i = 0; i < copy->output_count; i++) {
        copy->outputs[i].channels_last =
            channels_last && copy->outputs[i].shape.rank == 4 && nc_follows_layout(node->op, i, true);
        nc_map(rewrite, &node->outputs[i], &copy->outputs[i]);
    }
    return true;
}

/* Results leave a plan in plain order. */
static void convert_wanted(nc_rewrite *rewrite, struct conversions *done)
{
    nacre_graph *from = rewrite->from;
    for (int i = 0; i < from->wanted_count; i++) {
        nacre_tensor *plain = in_order(rewrite, done, from->wanted[i], false);
        nc_map(rewrite, from->wanted[i], plain);
    }
}

nacre_graph *nc_pass_layout(nacre_graph *graph)
{
    nacre_context *context = graph->context;
    nc_rewrite rewrite;
    struct conversions done = {0};
    if (nc_rewrite_begin(&rewrite, graph)) {
        int last = graph->node_count - 1;
        int tensors = last < 0 ? 0 : rewrite.base[last] + graph->nodes[last]->output_count;
        done.other = nacre_allocate(context, sizeof *done.other * (size_t)tensors);
        for (int i = 0; done.other && i < graph->node_count; i++) {
            const nc_node *node = graph->nodes[i];
            bool channels_last = wants_channels_last(rewrite.to, node) || follows_channels_last(&rewrite, node);
            if (!copy_in_order(&rewrite, &done, node, channels_last)) break;
        }
        if (done.other && nacre_check(context) == NACRE_OK) convert_wanted(&rewrite, &done);
    }
    nacre_release(context, done.other);
    return nc_rewrite_end(&rewrite);
}

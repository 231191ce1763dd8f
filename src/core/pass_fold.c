/* core/pass_fold.c - normalisation by running statistics becomes part of the convolution before it.
 *
 *     s = weight / sqrt(var + epsilon),  conv(x, w, b) normalised = conv(x, s w, (b - mean) s + bias)
 *
 * What is new depends on parameters alone, so a plan for inference computes it once. Only where nothing else uses the
 * convolution's result, which also keeps the graph of a training step as it is; and never on the reference device.
 */
#include "core/context.h"
#include "core/graph.h"
#include "core/pass.h"

#include <nacre/ops.h>

#include <string.h>

enum { X, WEIGHTS, BIAS, RESIDUAL };                          /* of conv */
enum { NORM_X, NORM_MEAN, NORM_VAR, NORM_SCALE, NORM_SHIFT }; /* of batch_norm_inference */

static int64_t attribute(const nc_node *node, const char *name)
{
    return node->attributes[nc_traits(node->op)->offsets[nacre_op_attribute_find(node->op, name)]];
}

static const nacre_tensor *operand(const nc_node *node, int index)
{
    return index < node->input_count ? node->inputs[index] : NULL;
}

/* A missing operand is as good as one that stays. */
static bool is_parameter(const nacre_tensor *tensor)
{
    return !tensor || tensor->node->op == &nc_op_parameter;
}

static bool folds(const nc_rewrite *rewrite, const nc_node *norm)
{
    if (strcmp(norm->op->name, "batch_norm_inference") != 0) return false;
    const nacre_tensor *x = norm->inputs[NORM_X];
    const nc_node *conv = x->node;
    if (strcmp(conv->op->name, "conv") != 0 || nc_uses(rewrite, x) != 1) return false;
    if (operand(conv, RESIDUAL) || attribute(conv, "activation")) return false;
    for (int i = NORM_MEAN; i <= NORM_SHIFT; i++)
        if (!is_parameter(operand(norm, i))) return false;
    return is_parameter(conv->inputs[WEIGHTS]) && is_parameter(operand(conv, BIAS));
}

static bool fold(nc_rewrite *rewrite, const nc_node *norm)
{
    const nc_node *conv = norm->inputs[NORM_X]->node;
    nacre_tensor *mean = nc_mapped(rewrite, norm->inputs[NORM_MEAN]);
    nacre_tensor *var = nc_mapped(rewrite, norm->inputs[NORM_VAR]);
    nacre_tensor *scale = nc_mapped(rewrite, operand(norm, NORM_SCALE));
    nacre_tensor *shift = nc_mapped(rewrite, operand(norm, NORM_SHIFT));
    nacre_tensor *weights = nc_mapped(rewrite, conv->inputs[WEIGHTS]);
    nacre_tensor *bias = nc_mapped(rewrite, operand(conv, BIAS));
    nacre_graph_set_path(rewrite->to, conv->path);
    nacre_tensor *s = nacre_rsqrt(nacre_add_scalar(var, nacre_unword(attribute(norm, "epsilon"))));
    if (scale) s = nacre_mul(s, scale);
    nacre_shape columns = nacre_tensor_shape(weights);
    for (int i = 1; i < columns.rank; i++) columns.dims[i] = 1;
    weights = nacre_mul(weights, nacre_reshape(s, columns));
    bias = nacre_mul(bias ? nacre_sub(bias, mean) : nacre_neg(mean), s);
    if (shift) bias = nacre_add(bias, shift);
    nacre_tensor *inputs[] = {nc_mapped(rewrite, conv->inputs[X]), weights, bias};
    nacre_tensor *y = nacre_apply(rewrite->to, conv->op, inputs, 3, conv->attributes);
    if (y) nc_map(rewrite, &norm->outputs[0], y);
    return y != NULL;
}

/* A state change between the two could change what the convolution reads. */
static bool changes_state(const nacre_graph *graph)
{
    for (int i = 0; i < graph->node_count; i++)
        if (graph->nodes[i]->op->flags & NACRE_OP_STATEFUL) return true;
    return false;
}

nacre_graph *nc_pass_fold(nacre_graph *graph)
{
    const bool may = graph->context->device != NACRE_DEVICE_REFERENCE && !changes_state(graph);
    nc_rewrite rewrite;
    if (nc_rewrite_begin(&rewrite, graph))
        for (int i = 0; i < graph->node_count; i++) {
            const nc_node *node = graph->nodes[i];
            if (may && folds(&rewrite, node) ? !fold(&rewrite, node) : !nc_copy_node(&rewrite, node)) break;
        }
    return nc_rewrite_end(&rewrite);
}

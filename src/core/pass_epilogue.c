/* core/pass_epilogue.c - folds a following residual addition and activation into the matrix product or convolution.
 *
 * Only where the kernel that would run the product alone also takes it with its epilogue; so the reference device,
 * which has no such kernels, keeps the plain nodes.
 */
#include "core/context.h"
#include "core/kernel.h"
#include "core/pass.h"

#include <stdio.h>
#include <string.h>

enum { RESIDUAL = 3, OPERANDS = 4, NAME_SIZE = 64 };

static bool is_product(const nc_node *node)
{
    return (!strcmp(node->op->name, "matmul") || !strcmp(node->op->name, "conv"));
}

static int64_t *activation(const nc_node *node)
{
    int index = nacre_op_attribute_find(node->op, "activation");
    return node->attributes + nc_traits(node->op)->offsets[index];
}

static const nacre_kernel *kernel_of(nacre_graph *graph, const nc_node *node)
{
    for (int layout = NACRE_LAYOUT_CHANNELS_LAST; layout >= NACRE_LAYOUT_PLAIN; layout--) {
        nacre_node_info info;
        if (!nc_node_info(&graph->arena, graph->context, node, layout, &info)) return NULL;
        const nacre_kernel *kernel = nc_choose_kernel(graph->context, &info);
        if (kernel) return kernel;
    }
    return NULL;
}

/* The product that made `tensor` (in the new graph), if nothing else uses it and nothing follows in it yet. */
static nc_node *foldable(const nc_rewrite *rewrite, const nacre_tensor *old)
{
    nacre_tensor *tensor = nc_mapped(rewrite, old);
    if (!tensor || nc_uses(rewrite, old) != 1 || !is_product(tensor->node) || *activation(tensor->node)) return NULL;
    return tensor->node;
}

/* Activations are named like the operations that they are, and forms of them like gelu with approximate=tanh,
 * gelu_tanh. */
static bool name_activation(const nc_node *node, char name[NAME_SIZE])
{
    const nacre_attribute *form = node->op->attributes;
    if (node->input_count != 1) return false;
    snprintf(name, NAME_SIZE, "%s", node->op->name);
    if (form[0].type == NACRE_ATTRIBUTE_NONE) return true;
    if (form[0].type != NACRE_ATTRIBUTE_ENUM || form[1].type != NACRE_ATTRIBUTE_NONE) return false;
    if (node->attributes[0] == 0) return true;
    const char *choice = form[0].choices;
    for (int64_t i = 0; i < node->attributes[0]; i++) choice += strcspn(choice, "|") + 1;
    snprintf(name, NAME_SIZE, "%s_%.*s", node->op->name, (int)strcspn(choice, "|"), choice);
    return true;
}

static bool fold_activation(nc_rewrite *rewrite, const nc_node *node)
{
    char name[NAME_SIZE];
    nc_node *product = name_activation(node, name) ? foldable(rewrite, node->inputs[0]) : NULL;
    if (!product) return false;
    const int index = nacre_op_attribute_find(product->op, "activation");
    int64_t chosen;
    if (!nacre_attribute_parse(&product->op->attributes[index], name, &chosen)) return false;
    const nacre_kernel *before = kernel_of(rewrite->to, product);
    *activation(product) = chosen;
    if (before && kernel_of(rewrite->to, product) == before) {
        nc_map(rewrite, &node->outputs[0], &product->outputs[0]);
        return true;
    }
    *activation(product) = 0;
    return false;
}

/* The product again, at the place of the addition, where the residual is known; the first one dies unused. */
static bool fold_residual(nc_rewrite *rewrite, const nc_node *add, int side)
{
    nc_node *product = foldable(rewrite, add->inputs[side]);
    nacre_tensor *residual = nc_mapped(rewrite, add->inputs[1 - side]);
    if (!product || !residual || (product->input_count > RESIDUAL && product->inputs[RESIDUAL])) return false;
    if (residual->node == product || !nacre_shape_equal(residual->shape, product->outputs[0].shape)) return false;
    if (residual->dtype != add->outputs[0].dtype) return false;
    nacre_graph *to = rewrite->to;
    int words = nc_traits(product->op)->words;
    nc_node *folded = nc_new_node(to, product->op, OPERANDS, 1, words);
    if (!folded) return false;
    for (int i = 0; i < OPERANDS; i++) folded->inputs[i] = i < product->input_count ? product->inputs[i] : NULL;
    folded->inputs[RESIDUAL] = residual;
    folded->path = product->path;
    folded->repetition = product->repetition;
    folded->backward = product->backward;
    memcpy(folded->attributes, product->attributes, sizeof(int64_t) * (size_t)words);
    folded->outputs[0] = product->outputs[0];
    folded->outputs[0].node = folded;
    folded->outputs[0].dtype = residual->dtype; /* 16-bit factors, an f32 sum */
    const nacre_kernel *before = kernel_of(to, product);
    if (!before || kernel_of(to, folded) != before) return false;
    to->nodes[to->node_count++] = folded;
    nc_map(rewrite, &add->outputs[0], &folded->outputs[0]);
    return true;
}

/* A state change between the product and its new place could change what the product reads. */
static bool crosses_state_change(const nacre_graph *graph, const nc_node *from, const nc_node *to)
{
    for (int i = from->index + 1; i < to->index; i++)
        if (graph->nodes[i]->op->flags & NACRE_OP_STATEFUL) return true;
    return false;
}

static bool fold(nc_rewrite *rewrite, const nc_node *node)
{
    if (strcmp(node->op->name, "add")) return fold_activation(rewrite, node);
    for (int side = 0; side < 2; side++)
        if (is_product(nc_mapped(rewrite, node->inputs[side])->node) &&
            !crosses_state_change(rewrite->from, node->inputs[side]->node, node) && fold_residual(rewrite, node, side))
            return true;
    return false;
}

nacre_graph *nc_pass_epilogue(nacre_graph *graph)
{
    nc_rewrite rewrite;
    if (nc_rewrite_begin(&rewrite, graph))
        for (int i = 0; i < graph->node_count; i++)
            if (!fold(&rewrite, graph->nodes[i]) && !nc_copy_node(&rewrite, graph->nodes[i])) break;
    return nc_rewrite_end(&rewrite);
}

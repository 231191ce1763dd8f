/* core/pass.c - what all passes share. */
#include "core/pass.h"

#include <string.h>

/* The old graph may be gone before the new one: paths, names and constants move along. */
static bool copy_texts(nacre_graph *graph, nc_node *node)
{
    nacre_graph_set_path(graph, node->path);
    node->path = graph->path;
    if (*node->name) node->name = nc_arena_text(&graph->arena, node->name);
    if (node->data) {
        size_t bytes = (size_t)nacre_tensor_count(node->outputs) * nacre_dtype_size(node->outputs[0].dtype);
        void *data = nc_arena_take(&graph->arena, bytes);
        node->data = data ? memcpy(data, node->data, bytes) : NULL;
        if (!data) return false;
    }
    return node->name != NULL;
}

nc_node *nc_clone_node(nacre_graph *graph, const nc_node *node, nacre_tensor *const *inputs)
{
    int words = nc_traits(node->op)->words;
    nc_node *copy = nc_new_node(graph, node->op, node->input_count, node->output_count, words);
    if (!copy) return NULL;
    copy->path = node->path;
    copy->name = node->name;
    copy->data = node->data;
    copy->repetition = node->repetition;
    copy->backward = node->backward;
    memcpy(copy->attributes, node->attributes, sizeof(int64_t) * (size_t)words);
    memcpy(copy->outputs, node->outputs, sizeof(nacre_tensor) * (size_t)node->output_count);
    if (node->input_count) memcpy(copy->inputs, inputs, sizeof *inputs * (size_t)node->input_count);
    for (int i = 0; i < copy->output_count; i++) copy->outputs[i].node = copy;
    if (!copy_texts(graph, copy)) return NULL;
    graph->nodes[graph->node_count++] = copy;
    return copy;
}

static int place(const nc_rewrite *rewrite, const nacre_tensor *tensor)
{
    return rewrite->base[tensor->node->index] + tensor->output;
}

bool nc_rewrite_begin(nc_rewrite *rewrite, nacre_graph *from)
{
    nacre_context *context = from->context;
    int tensors = 0;
    *rewrite = (nc_rewrite){.from = from, .to = nacre_graph_create(context)};
    if (rewrite->to) rewrite->to->segments = from->segments;
    if (rewrite->to) rewrite->to->precision = from->precision;
    rewrite->base = nacre_allocate(context, sizeof(int) * (size_t)from->node_count);
    if (!rewrite->base) return false;
    for (int i = 0; i < from->node_count; i++) {
        rewrite->base[i] = tensors;
        tensors += from->nodes[i]->output_count;
    }
    rewrite->map = nacre_allocate(context, sizeof(nacre_tensor *) * (size_t)tensors);
    rewrite->uses = nacre_allocate(context, sizeof(int) * (size_t)tensors);
    if (!rewrite->to || !rewrite->map || !rewrite->uses) return false;
    for (int i = 0; i < from->node_count; i++)
        for (int k = 0; k < from->nodes[i]->input_count; k++)
            if (from->nodes[i]->inputs[k]) rewrite->uses[place(rewrite, from->nodes[i]->inputs[k])]++;
    for (int i = 0; i < from->wanted_count; i++) rewrite->uses[place(rewrite, from->wanted[i])]++;
    return true;
}

nacre_graph *nc_rewrite_end(nc_rewrite *rewrite)
{
    nacre_graph *from = rewrite->from, *to = rewrite->to;
    nacre_context *context = from->context;
    bool complete = to && rewrite->map && nacre_check(context) == NACRE_OK;
    for (int i = 0; complete && i < from->wanted_count; i++) {
        nacre_tensor *tensor = nc_mapped(rewrite, from->wanted[i]);
        complete = tensor && nc_grow(context, &to->wanted, to->wanted_count, &to->wanted_capacity, sizeof tensor);
        if (complete) to->wanted[to->wanted_count++] = tensor;
    }
    nacre_release(context, rewrite->map);
    nacre_release(context, rewrite->base);
    nacre_release(context, rewrite->uses);
    if (complete) return to;
    nacre_graph_destroy(to);
    return NULL;
}

nacre_tensor *nc_mapped(const nc_rewrite *rewrite, const nacre_tensor *tensor)
{
    return tensor ? rewrite->map[place(rewrite, tensor)] : NULL;
}

void nc_map(nc_rewrite *rewrite, const nacre_tensor *tensor, nacre_tensor *replacement)
{
    rewrite->map[place(rewrite, tensor)] = replacement;
}

int nc_uses(const nc_rewrite *rewrite, const nacre_tensor *tensor)
{
    return rewrite->uses[place(rewrite, tensor)];
}

nacre_tensor *nc_copy_node(nc_rewrite *rewrite, const nc_node *node)
{
    enum { LOCAL = 16 };
    nacre_tensor *local[LOCAL], **inputs = local;
    if (node->input_count > LOCAL)
        inputs = nc_arena_take(&rewrite->to->arena, sizeof *inputs * (size_t)node->input_count);
    if (!inputs) return NULL;
    for (int i = 0; i < node->input_count; i++) inputs[i] = nc_mapped(rewrite, node->inputs[i]);
    nc_node *copy = nc_clone_node(rewrite->to, node, inputs);
    if (!copy) return NULL;
    for (int i = 0; i < copy->output_count; i++) nc_map(rewrite, &node->outputs[i], &copy->outputs[i]);
    return &copy->outputs[0];
}

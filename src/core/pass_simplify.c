/* core/pass_simplify.c - drops what nothing needs, merges equal nodes, removes identities. */
#include "core/context.h"
#include "core/pass.h"

#include <string.h>

static void mark_live(const nacre_graph *graph, bool *live)
{
    for (int i = 0; i < graph->wanted_count; i++) live[graph->wanted[i]->node->index] = true;
    for (int i = graph->node_count - 1; i >= 0; i--) {
        const nc_node *node = graph->nodes[i];
        live[i] |= (node->op->flags & NACRE_OP_STATEFUL) != 0;
        for (int k = 0; live[i] && k < node->input_count; k++)
            if (node->inputs[k]) live[node->inputs[k]->node->index] = true;
    }
}

/* ---- equal nodes ---- */

/* Two nodes between the same two state changes with the same operation, attributes and operands give the same value;
 * random ones too, their stream is an attribute. */
struct table {
    nc_node **slots;
    size_t size;
};

static uint64_t node_hash(const nc_node *node)
{
    uint64_t hash = (uintptr_t)node->op;
    int words = nc_traits(node->op)->words;
    for (int i = 0; i < words; i++) hash = (hash ^ (uint64_t)node->attributes[i]) * 0x9e3779b97f4a7c15u;
    for (int i = 0; i < node->input_count; i++)
        hash = (hash ^ (uint64_t)nc_tensor_word(node->inputs[i])) * 0x9e3779b97f4a7c15u;
    return hash ^ hash >> 29;
}

static bool nodes_equal(const nc_node *a, const nc_node *b)
{
    if (a->op != b->op || a->repetition != b->repetition || a->input_count != b->input_count ||
        a->output_count != b->output_count)
        return false;
    if (memcmp(a->attributes, b->attributes, sizeof(int64_t) * (size_t)nc_traits(a->op)->words)) return false;
    for (int i = 0; i < a->input_count; i++)
        if (a->inputs[i] != b->inputs[i]) return false;
    if (!a->data) return true;
    size_t bytes = (size_t)nacre_tensor_count(a->outputs) * nacre_dtype_size(a->outputs[0].dtype);
    return !memcmp(a->data, b->data, bytes);
}

/* An equal node that is in the table, or `node` itself, which then is. */
static nc_node *find_equal(struct table *table, nc_node *node)
{
    for (uint64_t at = node_hash(node);; at++) {
        nc_node **slot = &table->slots[at & (table->size - 1)];
        if (!*slot) *slot = node;
        if (*slot == node || nodes_equal(*slot, node)) return *slot;
    }
}

/* ---- identities ---- */

/* Operations whose result is their operand when nothing changes: reshape, expand, cast to what it is already. */
static bool is_identity(const nc_node *node)
{
    static const char *const names[] = {"reshape", "expand", "cast", "stop_gradient"};
    if (node->input_count < 1 || node->output_count != 1 || !node->inputs[0]) return false;
    const nacre_tensor *in = node->inputs[0], *out = &node->outputs[0];
    if (in->dtype != out->dtype || !nacre_shape_equal(in->shape, out->shape)) return false;
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (!strcmp(node->op->name, names[i])) return true;
    return false;
}

nacre_graph *nc_pass_simplify(nacre_graph *graph)
{
    nacre_context *context = graph->context;
    nc_rewrite rewrite;
    struct table table = {.size = 64};
    while (table.size < 2 * (size_t)graph->node_count) table.size *= 2;
    table.slots = nacre_allocate(context, sizeof *table.slots * table.size);
    bool *live = nacre_allocate(context, (size_t)graph->node_count);
    if (nc_rewrite_begin(&rewrite, graph) && table.slots && live) {
        mark_live(graph, live);
        for (int i = 0; i < graph->node_count && nacre_check(context) == NACRE_OK; i++) {
            const nc_node *node = graph->nodes[i];
            if (!live[i]) continue;
            if (is_identity(node)) {
                nc_map(&rewrite, &node->outputs[0], nc_mapped(&rewrite, node->inputs[0]));
                continue;
            }
            nacre_tensor *copy = nc_copy_node(&rewrite, node);
            if (!copy) break;
            if (node->op->flags & NACRE_OP_STATEFUL) {
                memset(table.slots, 0, sizeof *table.slots * table.size);
                continue;
            }
            nc_node *equal = find_equal(&table, copy->node);
            if (equal == copy->node) continue;
            for (int k = 0; k < node->output_count; k++) nc_map(&rewrite, &node->outputs[k], &equal->outputs[k]);
            rewrite.to->node_count--;
        }
    }
    nacre_release(context, table.slots);
    nacre_release(context, live);
    return nc_rewrite_end(&rewrite);
}

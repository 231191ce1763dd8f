/* core/pass_fuse.c - element-wise chains become one node.
 *
 * A node takes in each producer that is element-wise too, has the same shape and memory order, and has no other user:
 * the chain is a tree that is evaluated tile by tile. Only operations that a "fused" kernel knows take part.
 */
#include "core/context.h"
#include "core/kernel.h"
#include "core/pass.h"

#include <string.h>

enum { MAX_OPERANDS = 12 };

struct cluster {
    nacre_chain chain;
    const nacre_tensor *operands[MAX_OPERANDS]; /* of the old graph */
    int operand_count;
};

struct fusion {
    nc_rewrite rewrite;
    bool *fusable;  /* per node */
    bool *absorbed; /* per node: runs inside a later one */
    int *changes;   /* per node: state changes before it */
};

/* A node as a chain of one step. */
static void single(const nc_node *node, struct cluster *cluster)
{
    cluster->chain.count = 1;
    cluster->chain.steps[0] = (nacre_chain_step){.op = node->op,
                                                 .attributes = node->attributes,
                                                 .dtype = node->outputs[0].dtype,
                                                 .source_count = node->input_count};
    cluster->operand_count = node->input_count;
    for (int i = 0; i < node->input_count; i++) {
        cluster->chain.steps[0].sources[i] = i;
        cluster->operands[i] = node->inputs[i];
    }
}

static nc_node *fused_node(nacre_graph *graph, const nc_node *last, const struct cluster *cluster)
{
    nc_node *node = nc_new_node(graph, &nc_op_fused, cluster->operand_count, 1, 0);
    if (!node) return NULL;
    node->chain = &cluster->chain;
    node->outputs[0] = last->outputs[0];
    node->outputs[0].node = node;
    for (int i = 0; i < cluster->operand_count; i++) node->inputs[i] = (nacre_tensor *)cluster->operands[i];
    return node;
}

/* Whether a fused kernel takes the chain. The node is made only to ask and stays outside the graph. */
static bool kernel_takes(nacre_graph *graph, const nc_node *last, const struct cluster *cluster)
{
    nacre_node_info info;
    nc_node *node = fused_node(graph, last, cluster);
    return node && nc_node_info(&graph->arena, graph->context, node, NC_LAYOUT_AS_IS, &info) &&
           nc_choose_kernel(graph->context, &info);
}

static bool is_fusable(nacre_graph *scratch, const nc_node *node)
{
    if (!(node->op->flags & NACRE_OP_ELEMENTWISE) || node->op->flags & (NACRE_OP_RANDOM | NACRE_OP_STATEFUL) ||
        node->op == &nc_op_fused || node->output_count != 1 || node->input_count < 1 ||
        node->input_count > NACRE_CHAIN_MAX_SOURCES)
        return false;
    for (int i = 0; i < node->input_count; i++)
        if (!node->inputs[i]) return false;
    struct cluster cluster;
    single(node, &cluster);
    return kernel_takes(scratch, node, &cluster);
}

static bool can_absorb(const struct fusion *fusion, const nc_node *consumer, const nacre_tensor *tensor)
{
    const nc_node *producer = tensor->node;
    const nacre_tensor *result = &consumer->outputs[0];
    return fusion->fusable[producer->index] && !fusion->absorbed[producer->index] &&
           nc_uses(&fusion->rewrite, tensor) == 1 && nacre_shape_equal(tensor->shape, result->shape) &&
           tensor->channels_last == result->channels_last &&
           fusion->changes[producer->index] == fusion->changes[consumer->index];
}

static int operand_source(struct cluster *cluster, const nacre_tensor *tensor)
{
    for (int i = 0; i < cluster->operand_count; i++)
        if (cluster->operands[i] == tensor) return i;
    cluster->operands[cluster->operand_count] = tensor;
    return cluster->operand_count++;
}

/* Adds `node` and what it can take in, producers first; returns the number of its step. `reserve` steps and operands
 * must stay free for the consumers that are not in the chain yet. */
static int add_steps(struct fusion *fusion, struct cluster *cluster, const nc_node *node, int reserve)
{
    int sources[NACRE_CHAIN_MAX_SOURCES];
    int waiting = reserve + node->input_count + 1;
    for (int i = 0; i < node->input_count; i++) {
        const nacre_tensor *tensor = node->inputs[i];
        bool room = cluster->chain.count + waiting < NACRE_CHAIN_MAX_STEPS &&
                    cluster->operand_count + waiting + NACRE_CHAIN_MAX_SOURCES <= MAX_OPERANDS;
        if (room && can_absorb(fusion, node, tensor)) {
            fusion->absorbed[tensor->node->index] = true;
            sources[i] = -1 - add_steps(fusion, cluster, tensor->node, waiting);
        } else {
            sources[i] = operand_source(cluster, tensor);
        }
    }
    nacre_chain_step *step = &cluster->chain.steps[cluster->chain.count];
    *step = (nacre_chain_step){.op = node->op,
                               .attributes = node->attributes,
                               .dtype = node->outputs[0].dtype,
                               .source_count = node->input_count};
    memcpy(step->sources, sources, sizeof sources);
    return cluster->chain.count++;
}

/* Last nodes first, so that each chain is as long as it can be. */
static bool form_clusters(struct fusion *fusion, struct cluster **clusters)
{
    nacre_graph *graph = fusion->rewrite.from, *to = fusion->rewrite.to;
    for (int i = graph->node_count - 1; i >= 0; i--) {
        if (!fusion->fusable[i] || fusion->absorbed[i]) continue;
        struct cluster *cluster = nc_arena_take(&to->arena, sizeof *cluster);
        if (!cluster) return false;
        cluster->chain.count = cluster->operand_count = 0;
        add_steps(fusion, cluster, graph->nodes[i], 0);
        clusters[i] = cluster->chain.count > 1 ? cluster : NULL;
    }
    return true;
}

static bool emit(struct fusion *fusion, const nc_node *last, struct cluster *cluster)
{
    nc_rewrite *rewrite = &fusion->rewrite;
    nacre_graph *to = rewrite->to;
    for (int i = 0; i < cluster->operand_count; i++) cluster->operands[i] = nc_mapped(rewrite, cluster->operands[i]);
    for (int i = 0; i < cluster->chain.count; i++) { /* the old graph's attributes do not outlive it */
        nacre_chain_step *step = &cluster->chain.steps[i];
        size_t bytes = sizeof(int64_t) * (size_t)nc_traits(step->op)->words;
        int64_t *words = nc_arena_take(&to->arena, bytes);
        if (!words) return false;
        step->attributes = memcpy(words, step->attributes, bytes);
    }
    nc_node *node = fused_node(to, last, cluster);
    if (!node) return false;
    nacre_graph_set_path(to, last->path);
    node->path = to->path;
    to->nodes[to->node_count++] = node;
    nc_map(rewrite, &last->outputs[0], &node->outputs[0]);
    return true;
}

static void classify(struct fusion *fusion, nacre_graph *scratch)
{
    nacre_graph *graph = fusion->rewrite.from;
    int changes = 0;
    for (int i = 0; i < graph->node_count; i++) {
        fusion->fusable[i] = is_fusable(scratch, graph->nodes[i]);
        fusion->changes[i] = changes;
        changes += (graph->nodes[i]->op->flags & NACRE_OP_STATEFUL) != 0;
    }
}

nacre_graph *nc_pass_fuse(nacre_graph *graph)
{
    nacre_context *context = graph->context;
    size_t count = (size_t)graph->node_count + 1;
    struct fusion fusion = {.fusable = nacre_allocate(context, count),
                            .absorbed = nacre_allocate(context, count),
                            .changes = nacre_allocate(context, sizeof(int) * count)};
    struct cluster **clusters = nacre_allocate(context, sizeof *clusters * count);
    bool ready =
        nc_rewrite_begin(&fusion.rewrite, graph) && fusion.fusable && fusion.absorbed && fusion.changes && clusters;
    if (ready) {
        classify(&fusion, fusion.rewrite.to);
        ready = form_clusters(&fusion, clusters);
    }
    for (int i = 0; ready && i < graph->node_count; i++) {
        if (fusion.absorbed[i]) continue;
        ready = clusters[i] ? emit(&fusion, graph->nodes[i], clusters[i])
                            : nc_copy_node(&fusion.rewrite, graph->nodes[i]) != NULL;
    }
    nacre_release(context, fusion.fusable);
    nacre_release(context, fusion.absorbed);
    nacre_release(context, fusion.changes);
    nacre_release(context, clusters);
    return nc_rewrite_end(&fusion.rewrite);
}

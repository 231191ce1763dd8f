/* core/pass_recompute.c - memory for time: what the gradient needs of the forward part is computed again.
 *
 * The forward part (everything before the first node of a gradient) is cut into segments where a single tensor
 * crosses: after each residual block, say. That tensor is kept; the rest of a segment dies as soon as the forward part
 * is through with it, and the first gradient node that asks for any of it is preceded by a second copy of what the
 * segment needs (Chen, Xu, Zhang and Guestrin 2016, "Training deep nets with sublinear memory cost"). The last segment
 * is not worth a copy: its gradient comes next.
 *
 * The copies give the same bits: random nodes carry their stream as an attribute, and nodes that change state are never
 * copied, so running statistics are updated once. A number in each copy keeps the next pass from merging it with the
 * node it repeats.
 */
#include "core/context.h"
#include "core/pass.h"

#include <math.h>

typedef struct recomputation {
    nc_rewrite rewrite;
    int first_backward; /* nodes before it are the forward part */
    int *last_reader;   /* per forward node: the last forward node that reads it, itself if none does */
    int *segment;       /* per forward node */
    bool *repeated;     /* per forward node: the gradient uses its copy */
    bool *copied;       /* per segment */
    int segment_count;
} recomputation;

static bool is_stateful(const nc_node *node)
{
    return (node->op->flags & NACRE_OP_STATEFUL) != 0;
}

static size_t node_bytes(const nc_node *node)
{
    size_t bytes = 0;
    for (int i = 0; i < node->output_count; i++)
        bytes += (size_t)nacre_tensor_count(&node->outputs[i]) * nacre_dtype_size(node->outputs[i].dtype);
    return bytes;
}

static int find_first_backward(const nacre_graph *graph)
{
    int first = 0;
    while (first < graph->node_count && !graph->nodes[first]->backward) first++;
    return first;
}

/* ---- what would have to be kept ---- */

/* Marks what depends on an input: the rest (weights, what is made of them alone) is small and stays. Then, of that,
 * what the gradient reads. */
static void find_saved(const recomputation *all, bool *varies, bool *saved)
{
    const nacre_graph *graph = all->rewrite.from;
    for (int i = 0; i < all->first_backward; i++) {
        const nc_node *node = graph->nodes[i];
        varies[i] = node->op == &nc_op_input;
        for (int k = 0; k < node->input_count; k++)
            if (node->inputs[k]) varies[i] |= varies[node->inputs[k]->node->index];
    }
    for (int i = all->first_backward; i < graph->node_count; i++)
        for (int k = 0; k < graph->nodes[i]->input_count; k++) {
            const nacre_tensor *operand = graph->nodes[i]->inputs[k];
            if (operand && operand->node->index < all->first_backward) saved[operand->node->index] = true;
        }
    for (int i = 0; i < all->first_backward; i++)
        if (!varies[i] || graph->nodes[i]->op->flags & NACRE_OP_LEAF) varies[i] = saved[i] = false;
}

static void find_last_readers(const recomputation *all)
{
    const nacre_graph *graph = all->rewrite.from;
    for (int i = 0; i < all->first_backward; i++) {
        all->last_reader[i] = i;
        for (int k = 0; k < graph->nodes[i]->input_count; k++)
            if (graph->nodes[i]->inputs[k]) all->last_reader[graph->nodes[i]->inputs[k]->node->index] = i;
    }
}

/* ---- segments ---- */

/* How many tensors that node `index` reads nobody reads after it. */
static int count_ends(const recomputation *all, const bool *varies, int index)
{
    const nc_node *node = all->rewrite.from->nodes[index];
    int ends = 0;
    for (int k = 0; k < node->input_count; k++) {
        const nc_node *maker = node->inputs[k] ? node->inputs[k]->node : NULL;
        bool counts = maker && varies[maker->index] && all->last_reader[maker->index] == index;
        for (int j = 0; j < k && counts; j++) counts = !node->inputs[j] || node->inputs[j]->node != maker;
        ends += counts;
    }
    return ends;
}

/* Cuts where one tensor crosses and so many bytes have gathered since the last cut. */
static void cut(recomputation *all, const bool *varies, const bool *saved, size_t enough)
{
    size_t gathered = 0;
    int crossing = 0;
    all->segment_count = 0;
    for (int i = 0; i < all->first_backward; i++) {
        all->segment[i] = all->segment_count;
        gathered += saved[i] ? node_bytes(all->rewrite.from->nodes[i]) : 0;
        crossing += (varies[i] && all->last_reader[i] > i) - count_ends(all, varies, i);
        if (crossing > 1 || gathered < enough) continue;
        all->segment_count++;
        gathered = 0;
    }
    all->segment_count++;
}

/* With n places to cut, the square root of n segments balance what crosses cuts against what one segment needs. */
static void cut_evenly(recomputation *all, const bool *varies, const bool *saved, int segments)
{
    size_t total = 0;
    for (int i = 0; i < all->first_backward; i++) total += saved[i] ? node_bytes(all->rewrite.from->nodes[i]) : 0;
    if (segments == NACRE_RECOMPUTE_AUTO) {
        cut(all, varies, saved, 1);
        segments = (int)lround(sqrt(all->segment_count));
    }
    cut(all, varies, saved, total / (size_t)(segments > 1 ? segments : 1) + 1);
}

/* What crosses a cut is kept, and so is what a copy could not repeat. */
static bool is_kept(const recomputation *all, const bool *varies, int index)
{
    const nc_node *node = all->rewrite.from->nodes[index];
    if (!varies[index] || is_stateful(node) || all->segment[index] == all->segment_count - 1) return true;
    return all->segment[all->last_reader[index]] != all->segment[index];
}

/* Backwards: what the gradient reads, and what that is made of within the segment. */
static void choose(recomputation *all, const bool *varies, const bool *saved)
{
    const nacre_graph *graph = all->rewrite.from;
    for (int i = 0; i < graph->wanted_count; i++) /* alive to the end in any case */
        if (graph->wanted[i]->node->index < all->first_backward)
            all->last_reader[graph->wanted[i]->node->index] = all->first_backward - 1;
    for (int i = all->first_backward - 1; i >= 0; i--) {
        all->repeated[i] = (all->repeated[i] || saved[i]) && !is_kept(all, varies, i);
        for (int k = 0; all->repeated[i] && k < graph->nodes[i]->input_count; k++)
            if (graph->nodes[i]->inputs[k]) all->repeated[graph->nodes[i]->inputs[k]->node->index] = true;
    }
}

/* A copy must read what the node read that it repeats: no entry of a model that a state change writes in between. */
static void keep_readers_of_changed_state(recomputation *all)
{
    const nacre_graph *graph = all->rewrite.from;
    for (int i = 0; i < all->first_backward; i++) {
        const nc_node *change = graph->nodes[i];
        for (int k = 0; is_stateful(change) && k < change->input_count; k++) {
            if (!change->inputs[k] || change->inputs[k]->node->op != &nc_op_parameter) continue;
            for (int j = 0; j < i; j++)
                for (int o = 0; o < graph->nodes[j]->input_count; o++)
                    if (graph->nodes[j]->inputs[o] == change->inputs[k]) all->repeated[j] = false;
        }
    }
}

/* ---- the new graph ---- */

static bool copy_segment(recomputation *all, int segment)
{
    nc_rewrite *rewrite = &all->rewrite;
    all->copied[segment] = true;
    for (int i = 0; i < all->first_backward; i++) {
        if (all->segment[i] != segment || !all->repeated[i]) continue;
        nacre_tensor *copy = nc_copy_node(rewrite, rewrite->from->nodes[i]);
        if (!copy) return false;
        copy->node->repetition = segment + 1;
    }
    return true;
}

static bool provide_operands(recomputation *all, const nc_node *node)
{
    for (int i = 0; i < node->input_count; i++) {
        int index = node->inputs[i] ? node->inputs[i]->node->index : all->first_backward;
        if (index >= all->first_backward || !all->repeated[index] || all->copied[all->segment[index]]) continue;
        if (!copy_segment(all, all->segment[index])) return false;
    }
    return true;
}

static bool rebuild(recomputation *all)
{
    nacre_graph *graph = all->rewrite.from;
    bool changed = false; /* weights, say, by an update: from here on nothing may be computed again */
    for (int i = 0; i < graph->node_count; i++) {
        const nc_node *node = graph->nodes[i];
        if (i >= all->first_backward && !changed && !provide_operands(all, node)) return false;
        changed |= i >= all->first_backward && is_stateful(node);
        if (!nc_copy_node(&all->rewrite, node)) return false;
    }
    return true;
}

nacre_graph *nc_pass_recompute(nacre_graph *graph)
{
    nacre_context *context = graph->context;
    recomputation all = {.first_backward = find_first_backward(graph)};
    size_t count = (size_t)all.first_backward + 1;
    bool *varies = nacre_allocate(context, count), *saved = nacre_allocate(context, count);
    all.last_reader = nacre_allocate(context, sizeof(int) * count);
    all.segment = nacre_allocate(context, sizeof(int) * count);
    all.repeated = nacre_allocate(context, count);
    all.copied = nacre_allocate(context, count);
    if (nc_rewrite_begin(&all.rewrite, graph) && varies && saved && all.last_reader && all.segment && all.repeated &&
        all.copied) {
        find_saved(&all, varies, saved);
        find_last_readers(&all);
        cut_evenly(&all, varies, saved, graph->segments);
        choose(&all, varies, saved);
        keep_readers_of_changed_state(&all);
        rebuild(&all);
    }
    nacre_release(context, varies);
    nacre_release(context, saved);
    nacre_release(context, all.last_reader);
    nacre_release(context, all.segment);
    nacre_release(context, all.repeated);
    nacre_release(context, all.copied);
    return nc_rewrite_end(&all.rewrite);
}

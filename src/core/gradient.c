/* core/gradient.c - reverse-mode differentiation from graph to graph.
 *
 * Nodes are in topological order, so one walk from the last output down to the first wanted operand meets every node
 * after all its users. Rules append ordinary nodes: the result can be differentiated again.
 */
#include "core/graph.h"

#include <nacre/ops.h>

#include <string.h>

typedef struct traversal {
    nacre_graph *graph;
    int first, last;        /* node indices between which gradients flow */
    bool *reached;          /* per node: depends on something wanted */
    int *base;              /* per node: where its outputs' gradients stand */
    nacre_tensor **arrived; /* per output: the gradient so far */
} traversal;

static nacre_tensor **arrived_at(const traversal *walk, const nacre_tensor *tensor)
{
    return &walk->arrived[walk->base[tensor->node->index - walk->first] + tensor->output];
}

static bool in_range(const traversal *walk, const nacre_tensor *tensor)
{
    return tensor && tensor->node->index >= walk->first && tensor->node->index <= walk->last;
}

static bool is_reached(const traversal *walk, const nacre_tensor *tensor)
{
    return in_range(walk, tensor) && walk->reached[tensor->node->index - walk->first];
}

static bool begin(traversal *walk, nacre_tensor *const *outputs, int output_count, nacre_tensor *const *wrt, int count)
{
    walk->graph = outputs[0]->node->graph;
    walk->first = wrt[0]->node->index;
    walk->last = outputs[0] ? outputs[0]->node->index : 0;
    for (int i = 1; i < count; i++)
        if (wrt[i]->node->index < walk->first) walk->first = wrt[i]->node->index;
    for (int i = 1; i < output_count; i++)
        if (outputs[i]->node->index > walk->last) walk->last = outputs[i]->node->index;
    if (walk->last < walk->first) walk->last = walk->first;

    nacre_context *context = walk->graph->context;
    int span = walk->last - walk->first + 1, outputs_in_span = 0;
    walk->reached = nacre_allocate(context, (size_t)span);
    walk->base = nacre_allocate(context, sizeof(int) * (size_t)span);
    if (!walk->reached || !walk->base) return false;
    for (int i = 0; i < count; i++) walk->reached[wrt[i]->node->index - walk->first] = true;
    for (int i = 0; i < span; i++) {
        const nc_node *node = walk->graph->nodes[walk->first + i];
        walk->base[i] = outputs_in_span;
        outputs_in_span += node->output_count;
        if (node->op->flags & NACRE_OP_NONDIFFERENTIABLE) continue;
        for (int k = 0; k < node->input_count && !walk->reached[i]; k++)
            walk->reached[i] = is_reached(walk, node->inputs[k]);
    }
    walk->arrived = nacre_allocate(context, sizeof(nacre_tensor *) * (size_t)outputs_in_span);
    return walk->arrived != NULL;
}

static void end(traversal *walk)
{
    nacre_context *context = walk->graph->context;
    nacre_release(context, walk->reached);
    nacre_release(context, walk->base);
    nacre_release(context, walk->arrived);
}

static void arrive(traversal *walk, nacre_tensor *tensor, nacre_tensor *gradient)
{
    nacre_tensor **place = arrived_at(walk, tensor);
    if (!nacre_shape_equal(tensor->shape, gradient->shape) || tensor->dtype != gradient->dtype) {
        char want[NACRE_SHAPE_TEXT_SIZE], got[NACRE_SHAPE_TEXT_SIZE];
        nacre_fail(walk->graph->context, NACRE_ERROR_SHAPE, "gradient of %s is %s%s, expected %s%s",
                   tensor->node->op->name, nacre_dtype_name(gradient->dtype), nacre_shape_text(gradient->shape, got),
                   nacre_dtype_name(tensor->dtype), nacre_shape_text(tensor->shape, want));
        return;
    }
    nacre_tensor *joined = *place ? nc_join_slices(*place, gradient) : gradient;
    *place = joined ? joined : nacre_add(*place, gradient);
}

/* The rule by way of the operation's expansion into simpler ones. It works on aliases of the operands, so that the
 * gradient with regard to one does not include what flows on through another one to what that was made from. */
static void expand_gradient(nacre_gradient_call *call)
{
    nacre_tensor *outputs[NACRE_MAX_OUTPUTS] = {0}, *seeds[NACRE_MAX_OUTPUTS], *aliases[NACRE_MAX_OUTPUTS * 2] = {0};
    for (int i = 0; i < call->input_count; i++)
        if (call->inputs[i]) aliases[i] = nacre_reshape(call->inputs[i], nacre_tensor_shape(call->inputs[i]));
    call->op->expand(call->graph, aliases, call->input_count, call->attributes, outputs);
    int count = 0, wanted = 0;
    for (int i = 0; i < call->output_count; i++) {
        if (!outputs[i] || !call->output_grads[i]) continue;
        outputs[count] = outputs[i];
        seeds[count++] = call->output_grads[i];
    }
    nacre_tensor *wrt[NACRE_MAX_OUTPUTS * 2], *grads[NACRE_MAX_OUTPUTS * 2];
    for (int i = 0; i < call->input_count; i++)
        if (call->wanted[i]) wrt[wanted++] = aliases[i];
    if (count == 0 || nacre_vjp(outputs, seeds, count, wrt, wanted, grads)) return;
    for (int i = 0, k = 0; i < call->input_count; i++)
        if (call->wanted[i]) call->input_grads[i] = grads[k++];
}

static void differentiate(traversal *walk, nc_node *node)
{
    nacre_tensor **grads = &walk->arrived[walk->base[node->index - walk->first]];
    bool any = false;
    for (int i = 0; i < node->output_count; i++) any |= grads[i] != NULL;
    if (!any || node->op->flags & (NACRE_OP_LEAF | NACRE_OP_NONDIFFERENTIABLE)) return;
    if (!node->op->gradient && !node->op->expand) {
        nacre_fail(walk->graph->context, NACRE_ERROR_UNSUPPORTED, "%s \"%s\" has no gradient", node->op->name,
                   node->path);
        return;
    }
    enum { LOCAL = 16 };
    bool local_wanted[LOCAL] = {0}, *wanted = local_wanted;
    nacre_tensor *local_grads[LOCAL] = {0}, **input_grads = local_grads;
    if (node->input_count > LOCAL) {
        wanted = nc_arena_take(&walk->graph->arena, (size_t)node->input_count);
        input_grads = nc_arena_take(&walk->graph->arena, sizeof(nacre_tensor *) * (size_t)node->input_count);
        if (!wanted || !input_grads) return;
        memset(input_grads, 0, sizeof(nacre_tensor *) * (size_t)node->input_count);
    }
    bool needed = false;
    for (int i = 0; i < node->input_count; i++) {
        wanted[i] = is_reached(walk, node->inputs[i]) && nacre_dtype_is_float(node->inputs[i]->dtype);
        needed |= wanted[i];
    }
    if (!needed) return;
    nacre_tensor *outputs[NACRE_MAX_OUTPUTS];
    for (int i = 0; i < node->output_count; i++) outputs[i] = &node->outputs[i];
    nacre_gradient_call call = {.graph = walk->graph,
                                .op = node->op,
                                .inputs = node->inputs,
                                .input_count = node->input_count,
                                .outputs = outputs,
                                .output_grads = grads,
                                .output_count = node->output_count,
                                .attributes = node->attributes,
                                .wanted = wanted,
                                .input_grads = input_grads};
    walk->graph->path = node->path;
    if (node->op->gradient)
        node->op->gradient(&call);
    else
        expand_gradient(&call);
    for (int i = 0; i < node->input_count; i++)
        if (wanted[i] && input_grads[i]) arrive(walk, node->inputs[i], input_grads[i]);
}

static bool check_arguments(nacre_tensor *const *outputs, int output_count, nacre_tensor *const *wrt, int count)
{
    if (!outputs || output_count < 1 || count < 0) return false;
    for (int i = 0; i < output_count; i++)
        if (!outputs[i] || outputs[i]->node->graph != outputs[0]->node->graph) return false;
    for (int i = 0; i < count; i++)
        if (!wrt[i] || wrt[i]->node->graph != outputs[0]->node->graph) return false;
    return true;
}

nacre_status nacre_vjp(nacre_tensor *const *outputs, nacre_tensor *const *seeds, int output_count,
                       nacre_tensor *const *wrt, int count, nacre_tensor **grads)
{
    for (int i = 0; i < count; i++) grads[i] = NULL;
    if (!check_arguments(outputs, output_count, wrt, count)) return NACRE_ERROR_ARGUMENT;
    if (count == 0) return NACRE_OK;
    nacre_graph *graph = outputs[0]->node->graph;
    const char *path = graph->path;
    traversal walk = {0};
    graph->differentiating++;
    if (begin(&walk, outputs, output_count, wrt, count)) {
        for (int i = 0; i < output_count; i++)
            if (seeds[i] && is_reached(&walk, outputs[i])) arrive(&walk, outputs[i], seeds[i]);
        for (int i = walk.last; i >= walk.first && nacre_check(graph->context) == NACRE_OK; i--)
            if (walk.reached[i - walk.first]) differentiate(&walk, graph->nodes[i]);
        for (int i = 0; i < count; i++) {
            grads[i] = in_range(&walk, wrt[i]) ? *arrived_at(&walk, wrt[i]) : NULL;
            if (!grads[i]) grads[i] = nacre_full(graph, wrt[i]->dtype, wrt[i]->shape, 0);
        }
    }
    end(&walk);
    graph->differentiating--;
    graph->path = path;
    return nacre_check(graph->context);
}

nacre_status nacre_gradients(nacre_tensor *loss, nacre_tensor *const *wrt, int count, nacre_tensor **grads)
{
    if (!loss) {
        for (int i = 0; i < count; i++) grads[i] = NULL;
        return NACRE_ERROR_ARGUMENT;
    }
    nacre_graph *graph = loss->node->graph;
    if (nacre_tensor_count(loss) != 1) {
        char text[NACRE_SHAPE_TEXT_SIZE];
        for (int i = 0; i < count; i++) grads[i] = NULL;
        return nacre_fail(graph->context, NACRE_ERROR_SHAPE,
                          "gradients need a scalar loss, this one is %s; take its mean or sum first",
                          nacre_shape_text(loss->shape, text));
    }
    nacre_tensor *seed = nacre_full(graph, loss->dtype, loss->shape, 1);
    return nacre_vjp(&loss, &seed, 1, wrt, count, grads);
}

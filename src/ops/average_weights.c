/* ops/average_weights.c - running averages of many tensors, and the pull back to them. */
#include "ops/op.h"

enum { MIX, FIRST };
enum { BACK, WORDS };

static nacre_status shape(nacre_shape_call *call)
{
    if (call->input_count < FIRST || (call->input_count - FIRST) % 2)
        return nacre_shape_fail(call, NACRE_ERROR_ARGUMENT, "takes mix and pairs of weight and average");
    if (nacre_tensor_count(call->inputs[MIX]) != 1)
        return nacre_shape_fail(call, NACRE_ERROR_SHAPE, "mix must be one number");
    for (int i = FIRST; i < call->input_count; i += 2)
        if (!call->inputs[i] || !call->inputs[i + 1] ||
            !nacre_shape_equal(nacre_tensor_shape(call->inputs[i]), nacre_tensor_shape(call->inputs[i + 1])))
            return nacre_shape_fail(call, NACRE_ERROR_SHAPE, "weight and average must have one shape");
    return nc_shape_same(call);
}

static void reference(const nacre_call *call)
{
    double mix = nc_get(&call->inputs[MIX], 0);
    for (int k = FIRST; mix != 0 && k < call->input_count; k += 2) {
        const nacre_view *weight = &call->inputs[k], *average = &call->inputs[k + 1];
        for (int64_t i = 0; i < nc_count(weight); i++) {
            double old = nc_get(average, i), mean = old + mix * (nc_get(weight, i) - old);
            nc_set(average, i, mean);
            if (call->attributes[BACK]) nc_set(weight, i, mean);
        }
    }
}

static void cost(const nacre_node_info *node, nacre_cost *cost)
{
    for (int i = FIRST + 1; i < node->input_count; i += 2)
        cost->bytes += (node->attributes[BACK] ? 2 : 1) * (double)nacre_shape_count(node->inputs[i].shape) *
                       (double)nacre_dtype_size(node->inputs[i].dtype);
}

static const char *const CASES[] = {"mix=scalar@0.3..0.3 tensors=7 tensors=7 tensors=3x40 tensors=3x40",
                                    "mix=scalar@0.5..0.5 tensors=7 tensors=7 tensors=3x40 tensors=3x40 back=1",
                                    "mix=scalar@0..0 tensors=7 tensors=7 back=1",
                                    "mix=scalar@0.3..0.3 tensors=3 tensors=3 tensors=3 tensors=3 tensors=3 tensors=3 "
                                    "tensors=3 tensors=3 tensors=3 tensors=3 tensors=3 tensors=3 "
                                    "tensors=3 tensors=3 tensors=3 tensors=3 tensors=3 tensors=3",
                                    NULL};

const nacre_op nc_op_average_weights = {
    .name = "average_weights",
    .doc =
        "average = average + mix (weight - average), for each pair; with `back` the weight becomes the average too, "
        "which is Lookahead's synchronisation (Zhang and others 2019). A mix of 0 changes nothing and costs nothing.",
    .inputs = "mix tensors*",
    .outputs = "token",
    .attributes = {{"back", NACRE_ATTRIBUTE_BOOL}},
    .flags = NACRE_OP_STATEFUL | NACRE_OP_ALIAS | NACRE_OP_NONDIFFERENTIABLE,
    .shape = shape,
    .cost = cost,
    .reference = reference,
    .cases = CASES,
};

nacre_tensor *nacre_average_weights(nacre_tensor *mix, nacre_tensor *const *pairs, int count, bool back)
{
    nacre_graph *graph = nacre_tensor_graph(mix);
    nacre_context *context = nacre_graph_context(graph);
    if (!graph || nacre_check(context)) return NULL;
    nacre_tensor **inputs = nacre_allocate(context, sizeof *inputs * (size_t)(FIRST + 2 * count));
    if (!inputs) return NULL;
    inputs[MIX] = mix;
    for (int i = 0; i < 2 * count; i++) inputs[FIRST + i] = pairs[i];
    nacre_tensor *token =
        nacre_apply(graph, &nc_op_average_weights, inputs, FIRST + 2 * count, (int64_t[WORDS]){[BACK] = back});
    nacre_release(context, inputs);
    return token;
}

/* ops/update.c - what optimizer updates of many tensors have in common. */
#include "ops/update.h"

#include <math.h>

static nacre_status check_scalar(nacre_shape_call *call, int operand, const char *name, nacre_dtype dtype)
{
    if (!call->inputs[operand]) return NACRE_OK;
    if (nacre_tensor_count(call->inputs[operand]) == 1 && nacre_tensor_dtype(call->inputs[operand]) == dtype)
        return NACRE_OK;
    return nacre_shape_fail(call, NACRE_ERROR_SHAPE, "%s must be one number of type %s", name, nacre_dtype_name(dtype));
}

nacre_status nc_update_shape(nacre_shape_call *call, int moments)
{
    int stride = 2 + moments;
    if (call->input_count < NC_UPDATE_FIRST) /* what is optional may be absent, but then its place is there */
        return nacre_shape_fail(call, NACRE_ERROR_ARGUMENT, "takes learning_rate, step, scale, beta and tensors");
    nacre_dtype dtype = nacre_tensor_dtype(call->inputs[NC_UPDATE_RATE]);
    if (check_scalar(call, NC_UPDATE_RATE, "learning_rate", dtype) ||
        check_scalar(call, NC_UPDATE_STEP, "step", NACRE_I64) || check_scalar(call, NC_UPDATE_SCALE, "scale", dtype) ||
        check_scalar(call, NC_UPDATE_MOMENTUM, "beta", dtype))
        return NACRE_ERROR_SHAPE;
    if ((call->input_count - NC_UPDATE_FIRST) % stride)
        return nacre_shape_fail(call, NACRE_ERROR_ARGUMENT, "tensors come in groups of %d, got %d", stride,
                                call->input_count - NC_UPDATE_FIRST);
    for (int i = NC_UPDATE_FIRST; i < call->input_count; i++) {
        nacre_tensor *weight = call->inputs[i - (i - NC_UPDATE_FIRST) % stride];
        char a[NACRE_SHAPE_TEXT_SIZE], b[NACRE_SHAPE_TEXT_SIZE];
        nacre_shape want = nacre_tensor_shape(weight), got = nacre_tensor_shape(call->inputs[i]);
        if (!weight || !call->inputs[i] || !nacre_shape_equal(want, got))
            return nacre_shape_fail(call, NACRE_ERROR_SHAPE, "gradient or moment is %s, its weight %s",
                                    nacre_shape_text(got, a), nacre_shape_text(want, b));
    }
    return nc_shape_same(call);
}

static double scalar(const nacre_view *view, double absent)
{
    return view->data ? nc_get(view, 0) : absent;
}

void nc_update_reference(const nacre_call *call, int moments, double momentum, nc_update_rule *rule)
{
    nc_update_now now = {.learning_rate = scalar(&call->inputs[NC_UPDATE_RATE], 0),
                         .step = scalar(&call->inputs[NC_UPDATE_STEP], 1),
                         .scale = scalar(&call->inputs[NC_UPDATE_SCALE], 1),
                         .momentum = scalar(&call->inputs[NC_UPDATE_MOMENTUM], momentum)};
    for (int i = NC_UPDATE_FIRST; now.scale != 0 && i < call->input_count; i += 2 + moments)
        rule(call->attributes, &call->inputs[i], now);
}

void nc_update_cost(const nacre_node_info *node, int moments, nacre_cost *cost)
{
    for (int i = NC_UPDATE_FIRST; i < node->input_count; i++)
        if ((i - NC_UPDATE_FIRST) % (2 + moments) != 1)
            cost->bytes +=
                (double)nacre_shape_count(node->inputs[i].shape) * (double)nacre_dtype_size(node->inputs[i].dtype);
}

void nc_adam_words(const nacre_update_options *options, double usual_eps, int64_t *words)
{
    words[NC_ADAM_BETA1] = nacre_word(nc_or(options->beta1, 0.9));
    words[NC_ADAM_BETA2] = nacre_word(nc_or(options->beta2, 0.999));
    words[NC_ADAM_EPS] = nacre_word(nc_or(options->eps, usual_eps));
    words[NC_ADAM_WEIGHT_DECAY] = nacre_word(options->weight_decay);
}

nacre_status nc_adam_shape(nacre_shape_call *call)
{
    return nc_update_shape(call, 2);
}

void nc_adam_cost(const nacre_node_info *node, nacre_cost *cost)
{
    nc_update_cost(node, 2, cost);
}

const char *const nc_adam_cases[] = {
    "learning_rate=scalar@0.1..0.1 step=scalar:i64@3..3 tensors=7 tensors=7 tensors=7 tensors=7@0..1",
    "learning_rate=scalar@0.1..0.1 step=scalar:i64@900..900 scale=scalar@0.5..0.5 tensors=7 tensors=7 tensors=7 "
    "tensors=7@0..1 tensors=3x40 tensors=3x40 tensors=3x40 tensors=3x40@0..1 weight_decay=0.1 eps=1e-6",
    "learning_rate=scalar@0.1..0.1 step=scalar:i64@3..3 scale=scalar@0..0 tensors=7 tensors=7 tensors=7 tensors=7@0..1",
    NULL};

double nc_update_norm(const nacre_view *view)
{
    double sum = 0;
    for (int64_t i = 0; i < nc_count(view); i++) sum += nc_get(view, i) * nc_get(view, i);
    return sqrt(sum);
}

nacre_tensor *nc_update_apply(const nacre_op *op, const nacre_update_operands *operands, int moments,
                              const int64_t *words)
{
    nacre_graph *graph = nacre_tensor_graph(operands->learning_rate);
    nacre_context *context = nacre_graph_context(graph);
    if (!graph || nacre_check(context)) return NULL;
    size_t room = (size_t)(NC_UPDATE_FIRST + operands->count * (2 + moments));
    nacre_tensor **inputs = nacre_allocate(context, sizeof *inputs * room);
    if (!inputs) return NULL;
    int count = NC_UPDATE_FIRST;
    inputs[NC_UPDATE_RATE] = operands->learning_rate;
    inputs[NC_UPDATE_STEP] = operands->step;
    inputs[NC_UPDATE_SCALE] = operands->scale;
    inputs[NC_UPDATE_MOMENTUM] = operands->momentum;
    for (int i = 0; i < operands->count; i++) {
        inputs[count++] = operands->weights[i];
        inputs[count++] = operands->gradients[i];
        for (int k = 0; k < moments; k++) inputs[count++] = operands->state[i * moments + k];
    }
    nacre_tensor *token = nacre_apply(graph, op, inputs, count, words);
    nacre_release(context, inputs);
    return token;
}

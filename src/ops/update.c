/* ops/update.c - optimizer updates of many tensors at once, and the norm of all gradients.
 *
 * An update is one node over all parameters: operands learning_rate, step and scale, then for each tensor the weight,
 * its gradient and its moments. It writes weights and moments, which are entries of a model, and returns its first
 * operand.
 */
#include "ops/op.h"

#include <math.h>

enum { LEARNING_RATE, STEP, SCALE, FIRST };

/* ---- shape ---- */

static nacre_status check_scalar(nacre_shape_call *call, int operand, const char *name, nacre_dtype dtype)
{
    if (!call->inputs[operand]) return NACRE_OK;
    if (nacre_tensor_count(call->inputs[operand]) == 1 && nacre_tensor_dtype(call->inputs[operand]) == dtype)
        return NACRE_OK;
    return nacre_shape_fail(call, NACRE_ERROR_SHAPE, "%s must be one number of type %s", name, nacre_dtype_name(dtype));
}

static nacre_status shape(nacre_shape_call *call, int moments)
{
    int stride = 2 + moments;
    if (call->input_count < FIRST) /* the scale may be absent, but then its place is there */
        return nacre_shape_fail(call, NACRE_ERROR_ARGUMENT, "takes learning_rate, step, scale and tensors");
    nacre_dtype dtype = nacre_tensor_dtype(call->inputs[LEARNING_RATE]);
    if (check_scalar(call, LEARNING_RATE, "learning_rate", dtype) || check_scalar(call, STEP, "step", NACRE_I64) ||
        check_scalar(call, SCALE, "scale", dtype))
        return NACRE_ERROR_SHAPE;
    if ((call->input_count - FIRST) % stride)
        return nacre_shape_fail(call, NACRE_ERROR_ARGUMENT, "tensors come in groups of %d, got %d", stride,
                                call->input_count - FIRST);
    for (int i = FIRST; i < call->input_count; i++) {
        nacre_tensor *weight = call->inputs[i - (i - FIRST) % stride];
        char a[NACRE_SHAPE_TEXT_SIZE], b[NACRE_SHAPE_TEXT_SIZE];
        nacre_shape want = nacre_tensor_shape(weight), got = nacre_tensor_shape(call->inputs[i]);
        if (!weight || !call->inputs[i] || !nacre_shape_equal(want, got))
            return nacre_shape_fail(call, NACRE_ERROR_SHAPE, "gradient or moment is %s, its weight %s",
                                    nacre_shape_text(got, a), nacre_shape_text(want, b));
    }
    return nc_shape_same(call);
}

/* ---- stochastic gradient descent ---- */

enum { SGD_MOMENTUM, SGD_DAMPENING, SGD_NESTEROV, SGD_WEIGHT_DECAY, SGD_WORDS };

static int sgd_moments(const int64_t *attributes)
{
    return nacre_unword(attributes[SGD_MOMENTUM]) != 0;
}

static nacre_status sgd_shape(nacre_shape_call *call)
{
    return shape(call, sgd_moments(call->attributes));
}

/* The scalars of a call; a scale of 0 means that nothing is to change. */
struct scalars {
    double learning_rate, step, scale;
};

static struct scalars read_scalars(const nacre_call *call)
{
    const nacre_view *views = call->inputs;
    return (struct scalars){.learning_rate = nc_get(&views[LEARNING_RATE], 0),
                            .step = nc_get(&views[STEP], 0),
                            .scale = views[SCALE].data ? nc_get(&views[SCALE], 0) : 1};
}

static void sgd_tensor(const int64_t *attributes, const nacre_view *views, struct scalars now)
{
    double momentum = nacre_unword(attributes[SGD_MOMENTUM]), decay = nacre_unword(attributes[SGD_WEIGHT_DECAY]);
    double damping = nacre_unword(attributes[SGD_DAMPENING]);
    for (int64_t i = 0; i < nc_count(&views[0]); i++) {
        double weight = nc_get(&views[0], i), gradient = now.scale * nc_get(&views[1], i) + decay * weight;
        if (momentum != 0) {
            double buffer = now.step <= 1 ? gradient : momentum * nc_get(&views[2], i) + (1 - damping) * gradient;
            nc_set(&views[2], i, buffer);
            gradient = attributes[SGD_NESTEROV] ? gradient + momentum * buffer : buffer;
        }
        nc_set(&views[0], i, weight - now.learning_rate * gradient);
    }
}

static void sgd_reference(const nacre_call *call)
{
    int stride = 2 + sgd_moments(call->attributes);
    struct scalars now = read_scalars(call);
    for (int i = FIRST; now.scale != 0 && i < call->input_count; i += stride)
        sgd_tensor(call->attributes, &call->inputs[i], now);
}

/* ---- Adam ---- */

enum { ADAM_BETA1, ADAM_BETA2, ADAM_EPS, ADAM_WEIGHT_DECAY, ADAM_DECOUPLED, ADAM_WORDS };

static nacre_status adam_shape(nacre_shape_call *call)
{
    return shape(call, 2);
}

static void adam_tensor(const int64_t *attributes, const nacre_view *views, struct scalars now)
{
    double beta1 = nacre_unword(attributes[ADAM_BETA1]), beta2 = nacre_unword(attributes[ADAM_BETA2]);
    double eps = nacre_unword(attributes[ADAM_EPS]), decay = nacre_unword(attributes[ADAM_WEIGHT_DECAY]);
    double correction1 = 1 - pow(beta1, now.step), correction2 = 1 - pow(beta2, now.step);
    bool decoupled = attributes[ADAM_DECOUPLED] != 0;
    for (int64_t i = 0; i < nc_count(&views[0]); i++) {
        double weight = nc_get(&views[0], i), gradient = now.scale * nc_get(&views[1], i);
        if (decoupled)
            weight *= 1 - now.learning_rate * decay;
        else
            gradient += decay * weight;
        double first = beta1 * nc_get(&views[2], i) + (1 - beta1) * gradient;
        double second = beta2 * nc_get(&views[3], i) + (1 - beta2) * gradient * gradient;
        nc_set(&views[2], i, first);
        nc_set(&views[3], i, second);
        nc_set(&views[0], i, weight - now.learning_rate / correction1 * first / (sqrt(second / correction2) + eps));
    }
}

static void adam_reference(const nacre_call *call)
{
    struct scalars now = read_scalars(call);
    for (int i = FIRST; now.scale != 0 && i < call->input_count; i += 4)
        adam_tensor(call->attributes, &call->inputs[i], now);
}

/* ---- global norm ---- */

static nacre_status norm_shape(nacre_shape_call *call)
{
    if (call->input_count < 1) return nacre_shape_fail(call, NACRE_ERROR_ARGUMENT, "takes at least one tensor");
    call->shapes[0] = NACRE_SCALAR;
    call->dtypes[0] = nacre_tensor_dtype(call->inputs[0]);
    nacre_status status = nc_need_float(call);
    return status ? status : nc_need_one_dtype(call);
}

static void norm_reference(const nacre_call *call)
{
    double sum = 0;
    for (int k = 0; k < call->input_count; k++)
        for (int64_t i = 0; i < nc_count(&call->inputs[k]); i++) {
            double value = nc_get(&call->inputs[k], i);
            sum += value * value;
        }
    nc_set(&call->outputs[0], 0, sqrt(sum));
}

static void norm_gradient(nacre_gradient_call *call)
{
    nacre_tensor *factor = nacre_div(call->output_grads[0], call->outputs[0]);
    for (int i = 0; i < call->input_count; i++)
        if (call->wanted[i]) call->input_grads[i] = nacre_mul(call->inputs[i], factor);
}

/* ---- descriptors ---- */

static const char *const SGD_CASES[] = {
    "learning_rate=scalar@0.1..0.1 step=scalar:i64@3..3 tensors=7 tensors=7 tensors=2x3 tensors=2x3 weight_decay=0.1",
    "learning_rate=scalar@0.1..0.1 step=scalar:i64@1..1 scale=scalar@0.5..0.5 tensors=7 tensors=7 tensors=7 "
    "momentum=0.9",
    "learning_rate=scalar@0.1..0.1 step=scalar:i64@3..3 tensors=7 tensors=7 tensors=7 tensors=2x50 tensors=2x50 "
    "tensors=2x50 momentum=0.9 dampening=0.1 weight_decay=0.01",
    "learning_rate=scalar@0.1..0.1 step=scalar:i64@3..3 tensors=7 tensors=7 tensors=7 momentum=0.9 nesterov=1",
    "learning_rate=scalar@0.1..0.1 step=scalar:i64@3..3 scale=scalar@0..0 tensors=7 tensors=7 tensors=7 momentum=0.9",
    NULL};
static const char *const ADAM_CASES[] = {
    "learning_rate=scalar@0.1..0.1 step=scalar:i64@3..3 tensors=7 tensors=7 tensors=7 tensors=7@0..1",
    "learning_rate=scalar@0.1..0.1 step=scalar:i64@1..1 scale=scalar@0.5..0.5 tensors=7 tensors=7 tensors=7 "
    "tensors=7@0..1 tensors=3x40 tensors=3x40 tensors=3x40 tensors=3x40@0..1 weight_decay=0.1",
    "learning_rate=scalar@0.1..0.1 step=scalar:i64@9..9 tensors=7 tensors=7 tensors=7 tensors=7@0..1 weight_decay=0.1 "
    "decoupled=1 eps=1e-6",
    "learning_rate=scalar@0.1..0.1 step=scalar:i64@3..3 scale=scalar@0..0 tensors=7 tensors=7 tensors=7 tensors=7@0..1",
    NULL};
static const char *const NORM_CASES[] = {"x=7", "x=2x3 x=100 x=scalar", NULL};

const nacre_op nc_op_sgd = {
    .name = "sgd",
    .doc =
        "g = scale g + weight_decay p; with momentum b = momentum b + (1 - dampening) g (b = g at step 1) and g = b, "
        "or g + momentum b for Nesterov's; p = p - learning_rate g. A scale of 0 changes nothing. As torch.optim.SGD.",
    .inputs = "learning_rate step ?scale tensors*",
    .outputs = "token",
    .attributes = {{"momentum", NACRE_ATTRIBUTE_FLOAT},
                   {"dampening", NACRE_ATTRIBUTE_FLOAT},
                   {"nesterov", NACRE_ATTRIBUTE_BOOL},
                   {"weight_decay", NACRE_ATTRIBUTE_FLOAT}},
    .flags = NACRE_OP_STATEFUL | NACRE_OP_ALIAS | NACRE_OP_NONDIFFERENTIABLE,
    .shape = sgd_shape,
    .reference = sgd_reference,
    .cases = SGD_CASES,
};

const nacre_op nc_op_adam = {
    .name = "adam",
    .doc = "m = beta1 m + (1 - beta1) g; v = beta2 v + (1 - beta2) g^2; p = p - learning_rate / (1 - beta1^step) m / "
           "(sqrt(v / (1 - beta2^step)) + eps), g times scale. Weight decay is added to g, or with `decoupled` (AdamW) "
           "p is first multiplied by 1 - learning_rate weight_decay. A scale of 0 changes nothing. Kingma and Ba 2015, "
           "Loshchilov and Hutter 2019.",
    .inputs = "learning_rate step ?scale tensors*",
    .outputs = "token",
    .attributes = {{"beta1", NACRE_ATTRIBUTE_FLOAT, 0.9},
                   {"beta2", NACRE_ATTRIBUTE_FLOAT, 0.999},
                   {"eps", NACRE_ATTRIBUTE_FLOAT, 1e-8},
                   {"weight_decay", NACRE_ATTRIBUTE_FLOAT},
                   {"decoupled", NACRE_ATTRIBUTE_BOOL}},
    .flags = NACRE_OP_STATEFUL | NACRE_OP_ALIAS | NACRE_OP_NONDIFFERENTIABLE,
    .shape = adam_shape,
    .reference = adam_reference,
    .cases = ADAM_CASES,
};

const nacre_op nc_op_global_norm = {
    .name = "global_norm",
    .doc = "The Euclidean norm of all elements of all operands together.",
    .inputs = "x*",
    .outputs = "y",
    .shape = norm_shape,
    .gradient = norm_gradient,
    .reference = norm_reference,
    .cases = NORM_CASES,
};

/* ---- builders ---- */

enum { MAX_STATE = 2 };

static nacre_tensor *apply(const nacre_op *op, const nacre_update_operands *operands, int moments, const int64_t *words)
{
    nacre_graph *graph = nacre_tensor_graph(operands->learning_rate);
    nacre_context *context = nacre_graph_context(graph);
    if (!graph || nacre_check(context)) return NULL;
    size_t room = (size_t)(FIRST + operands->count * (2 + MAX_STATE));
    nacre_tensor **inputs = nacre_allocate(context, sizeof *inputs * room);
    if (!inputs) return NULL;
    int count = FIRST;
    inputs[LEARNING_RATE] = operands->learning_rate;
    inputs[STEP] = operands->step;
    inputs[SCALE] = operands->scale;
    for (int i = 0; i < operands->count; i++) {
        inputs[count++] = operands->weights[i];
        inputs[count++] = operands->gradients[i];
        for (int k = 0; k < moments; k++) inputs[count++] = operands->state[i * moments + k];
    }
    nacre_tensor *token = nacre_apply(graph, op, inputs, count, words);
    nacre_release(context, inputs);
    return token;
}

nacre_tensor *nacre_sgd_update(const nacre_update_operands *operands, const nacre_update_options *options)
{
    int64_t words[SGD_WORDS] = {[SGD_MOMENTUM] = nacre_word(options->momentum),
                                [SGD_DAMPENING] = nacre_word(options->dampening),
                                [SGD_NESTEROV] = options->nesterov,
                                [SGD_WEIGHT_DECAY] = nacre_word(options->weight_decay)};
    return apply(&nc_op_sgd, operands, sgd_moments(words), words);
}

static nacre_tensor *adam_update(const nacre_update_operands *operands, const nacre_update_options *options,
                                 bool decoupled)
{
    int64_t words[ADAM_WORDS] = {[ADAM_BETA1] = nacre_word(options->beta1 != 0 ? options->beta1 : 0.9),
                                 [ADAM_BETA2] = nacre_word(options->beta2 != 0 ? options->beta2 : 0.999),
                                 [ADAM_EPS] = nacre_word(options->eps != 0 ? options->eps : 1e-8),
                                 [ADAM_WEIGHT_DECAY] = nacre_word(options->weight_decay),
                                 [ADAM_DECOUPLED] = decoupled};
    return apply(&nc_op_adam, operands, 2, words);
}

nacre_tensor *nacre_adam_update(const nacre_update_operands *operands, const nacre_update_options *options)
{
    return adam_update(operands, options, false);
}

nacre_tensor *nacre_adamw_update(const nacre_update_operands *operands, const nacre_update_options *options)
{
    return adam_update(operands, options, true);
}

nacre_tensor *nacre_global_norm(nacre_tensor *const *tensors, int count)
{
    return count > 0 ? nacre_apply(nacre_tensor_graph(tensors[0]), &nc_op_global_norm, tensors, count, NULL) : NULL;
}

nacre_tensor *nacre_clip_coefficient(nacre_tensor *norm, double largest)
{
    if (!norm) return NULL;
    nacre_tensor *ratio = nacre_div(nc_scalar_like(norm, largest), nacre_add(norm, nc_scalar_like(norm, 1e-6)));
    return nacre_minimum(ratio, nc_scalar_like(norm, 1));
}

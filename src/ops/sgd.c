/* ops/sgd.c - stochastic gradient descent. */
#include "ops/update.h"

enum { MOMENTUM, DAMPENING, NESTEROV, WEIGHT_DECAY, WORDS };

static int moments(const int64_t *attributes)
{
    return nacre_unword(attributes[MOMENTUM]) != 0;
}

static nacre_status shape(nacre_shape_call *call)
{
    return nc_update_shape(call, moments(call->attributes));
}

static void update(const int64_t *attributes, const nacre_view *views, nc_update_now now)
{
    double decay = nacre_unword(attributes[WEIGHT_DECAY]), damping = nacre_unword(attributes[DAMPENING]);
    for (int64_t i = 0; i < nc_count(&views[0]); i++) {
        double weight = nc_get(&views[0], i), gradient = now.scale * nc_get(&views[1], i) + decay * weight;
        if (moments(attributes)) {
            double buffer = now.step <= 1 ? gradient : now.momentum * nc_get(&views[2], i) + (1 - damping) * gradient;
            nc_set(&views[2], i, buffer);
            gradient = attributes[NESTEROV] ? gradient + now.momentum * buffer : buffer;
        }
        nc_set(&views[0], i, weight - now.learning_rate * gradient);
    }
}

static void cost(const nacre_node_info *node, nacre_cost *cost)
{
    nc_update_cost(node, moments(node->attributes), cost);
}

static void reference(const nacre_call *call)
{
    nc_update_reference(call, moments(call->attributes), nacre_unword(call->attributes[MOMENTUM]), update);
}

static const char *const CASES[] = {
    "learning_rate=scalar@0.1..0.1 step=scalar:i64@3..3 tensors=7 tensors=7 tensors=2x3 tensors=2x3 weight_decay=0.1",
    "learning_rate=scalar@0.1..0.1 step=scalar:i64@1..1 scale=scalar@0.5..0.5 tensors=7 tensors=7 tensors=7 "
    "momentum=0.9",
    "learning_rate=scalar@0.1..0.1 step=scalar:i64@3..3 tensors=7 tensors=7 tensors=7 tensors=2x50 tensors=2x50 "
    "tensors=2x50 momentum=0.9 dampening=0.1 weight_decay=0.01",
    "learning_rate=scalar@0.1..0.1 step=scalar:i64@3..3 tensors=7 tensors=7 tensors=7 momentum=0.9 nesterov=1",
    "learning_rate=scalar@0.1..0.1 step=scalar:i64@3..3 scale=scalar@0..0 tensors=7 tensors=7 tensors=7 momentum=0.9",
    NULL};

const nacre_op nc_op_sgd = {
    .name = "sgd",
    .doc =
        "g = scale g + weight_decay p; with momentum b = momentum b + (1 - dampening) g (b = g at step 1) and g = b, "
        "or g + momentum b for Nesterov's; p = p - learning_rate g. A scale of 0 changes nothing. As torch.optim.SGD.",
    .inputs = NC_UPDATE_OPERANDS,
    .outputs = "token",
    .attributes = {{"momentum", NACRE_ATTRIBUTE_FLOAT},
                   {"dampening", NACRE_ATTRIBUTE_FLOAT},
                   {"nesterov", NACRE_ATTRIBUTE_BOOL},
                   {"weight_decay", NACRE_ATTRIBUTE_FLOAT}},
    .flags = NC_UPDATE_FLAGS,
    .shape = shape,
    .cost = cost,
    .reference = reference,
    .cases = CASES,
};

nacre_tensor *nacre_sgd_update(const nacre_update_operands *operands, const nacre_update_options *options)
{
    int64_t words[WORDS] = {[MOMENTUM] = nacre_word(options->momentum),
                            [DAMPENING] = nacre_word(options->dampening),
                            [NESTEROV] = options->nesterov,
                            [WEIGHT_DECAY] = nacre_word(options->weight_decay)};
    return nc_update_apply(&nc_op_sgd, operands, moments(words), words);
}

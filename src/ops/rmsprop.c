/* ops/rmsprop.c */
#include "ops/update.h"

#include <math.h>

enum { RHO, EPS, WEIGHT_DECAY, MOMENTUM, CENTERED, WORDS };
enum { SQUARE = 2, REST }; /* views: then the mean of gradients if centred, then the momentum buffer if there is one */

static bool has_momentum(const int64_t *attributes)
{
    return nacre_unword(attributes[MOMENTUM]) != 0;
}

static int moments(const int64_t *attributes)
{
    return 1 + (attributes[CENTERED] != 0) + has_momentum(attributes);
}

static nacre_status shape(nacre_shape_call *call)
{
    return nc_update_shape(call, moments(call->attributes));
}

static void update(const int64_t *attributes, const nacre_view *views, nc_update_now now)
{
    double rho = nacre_unword(attributes[RHO]), eps = nacre_unword(attributes[EPS]);
    double decay = nacre_unword(attributes[WEIGHT_DECAY]);
    const nacre_view *buffer = &views[REST + (attributes[CENTERED] != 0)];
    for (int64_t i = 0; i < nc_count(&views[0]); i++) {
        double weight = nc_get(&views[0], i), gradient = now.scale * nc_get(&views[1], i) + decay * weight, mean = 0;
        double square = rho * nc_get(&views[SQUARE], i) + (1 - rho) * gradient * gradient;
        nc_set(&views[SQUARE], i, square);
        if (attributes[CENTERED]) {
            mean = rho * nc_get(&views[REST], i) + (1 - rho) * gradient;
            nc_set(&views[REST], i, mean);
        }
        double change = gradient / (sqrt(square - mean * mean) + eps);
        if (has_momentum(attributes)) {
            change += now.momentum * nc_get(buffer, i);
            nc_set(buffer, i, change);
        }
        nc_set(&views[0], i, weight - now.learning_rate * change);
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
    "learning_rate=scalar@0.1..0.1 step=scalar:i64@3..3 tensors=7 tensors=7 tensors=7@0.1..1",
    "learning_rate=scalar@0.1..0.1 step=scalar:i64@9..9 scale=scalar@0.5..0.5 tensors=3x40 tensors=3x40 "
    "tensors=3x40@0..1 tensors=3x40 weight_decay=0.1 momentum=0.9 rho=0.9",
    "learning_rate=scalar@0.1..0.1 step=scalar:i64@9..9 tensors=3x40 tensors=3x40 tensors=3x40@1..2 "
    "tensors=3x40@-0.5..0.5 centered=1",
    "learning_rate=scalar@0.1..0.1 step=scalar:i64@9..9 tensors=3x40 tensors=3x40 tensors=3x40@1..2 "
    "tensors=3x40@-0.5..0.5 tensors=3x40 centered=1 momentum=0.5",
    "learning_rate=scalar@0.1..0.1 step=scalar:i64@3..3 scale=scalar@0..0 tensors=7 tensors=7 tensors=7@0..1",
    NULL};

const nacre_op nc_op_rmsprop = {
    .name = "rmsprop",
    .doc = "s = rho s + (1 - rho) g^2; centred also a = rho a + (1 - rho) g; d = g / (sqrt(s - a^2) + eps); with "
           "momentum b = momentum b + d and d = b; p = p - learning_rate d; weight decay is added to g. As "
           "torch.optim.RMSprop, which calls rho alpha; Tieleman and Hinton 2012, Graves 2013.",
    .inputs = NC_UPDATE_OPERANDS,
    .outputs = "token",
    .attributes = {{"rho", NACRE_ATTRIBUTE_FLOAT, 0.99},
                   {"eps", NACRE_ATTRIBUTE_FLOAT, 1e-8},
                   {"weight_decay", NACRE_ATTRIBUTE_FLOAT},
                   {"momentum", NACRE_ATTRIBUTE_FLOAT},
                   {"centered", NACRE_ATTRIBUTE_BOOL}},
    .flags = NC_UPDATE_FLAGS,
    .shape = shape,
    .cost = cost,
    .reference = reference,
    .cases = CASES,
};

nacre_tensor *nacre_rmsprop_update(const nacre_update_operands *operands, const nacre_update_options *options)
{
    int64_t words[WORDS] = {[RHO] = nacre_word(nc_or(options->rho, 0.99)),
                            [EPS] = nacre_word(nc_or(options->eps, 1e-8)),
                            [WEIGHT_DECAY] = nacre_word(options->weight_decay),
                            [MOMENTUM] = nacre_word(options->momentum),
                            [CENTERED] = options->centered};
    return nc_update_apply(&nc_op_rmsprop, operands, moments(words), words);
}

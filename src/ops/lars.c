/* ops/lars.c - a rate for each layer, after the norms of its weights and gradient: LARS and LARC. */
#include "ops/update.h"

#include <math.h>

enum { MOMENTUM, WEIGHT_DECAY, TRUST, EPS, CLIP, PLAIN, WORDS };

static nacre_status shape(nacre_shape_call *call)
{
    return nc_update_shape(call, 1);
}

/* What multiplies the layer's gradient; both norms above 0, that of the gradient with its scale. */
static double layer_rate(const int64_t *attributes, double weight_norm, double gradient_norm, double learning_rate)
{
    double below = gradient_norm + nacre_unword(attributes[WEIGHT_DECAY]) * weight_norm + nacre_unword(attributes[EPS]);
    double rate = nacre_unword(attributes[TRUST]) * weight_norm / below;
    return attributes[CLIP] ? fmin(rate / learning_rate, 1) : rate;
}

void nc_lars_factors(const int64_t *attributes, double weight_norm, double gradient_norm, double learning_rate,
                     double *factor, double *decay)
{
    bool adapts = !attributes[PLAIN] && weight_norm > 0 && gradient_norm > 0;
    *factor = adapts ? layer_rate(attributes, weight_norm, gradient_norm, learning_rate) : 1;
    *decay = adapts || attributes[PLAIN] || !attributes[CLIP] ? nacre_unword(attributes[WEIGHT_DECAY]) : 0;
}

static void update(const int64_t *attributes, const nacre_view *views, nc_update_now now)
{
    double factor, decay, rate = now.learning_rate;
    nc_lars_factors(attributes, nc_update_norm(&views[0]), fabs(now.scale) * nc_update_norm(&views[1]), rate, &factor,
                    &decay);
    double into = attributes[CLIP] ? factor : factor * rate, out = attributes[CLIP] ? rate : 1;
    for (int64_t i = 0; i < nc_count(&views[0]); i++) {
        double weight = nc_get(&views[0], i), gradient = now.scale * nc_get(&views[1], i) + decay * weight;
        double velocity = now.momentum * nc_get(&views[2], i) + into * gradient;
        nc_set(&views[2], i, velocity);
        nc_set(&views[0], i, weight - out * velocity);
    }
}

static void cost(const nacre_node_info *node, nacre_cost *cost)
{
    nc_update_cost(node, 1, cost);
    nc_update_cost(node, 1, cost); /* weights and gradients are read twice, for the norms come first */
}

static void reference(const nacre_call *call)
{
    nc_update_reference(call, 1, nacre_unword(call->attributes[MOMENTUM]), update);
}

static const char *const CASES[] = {
    "learning_rate=scalar@0.5..0.5 step=scalar:i64@3..3 tensors=7 tensors=7 tensors=7 tensors=3x40 tensors=3x40 "
    "tensors=3x40 weight_decay=0.1 momentum=0.9",
    "learning_rate=scalar@0.01..0.01 step=scalar:i64@9..9 scale=scalar@0.5..0.5 tensors=7 tensors=7 tensors=7 "
    "tensors=3x40 tensors=3x40 tensors=3x40 weight_decay=0.1 clip=1 trust=0.02 eps=1e-8",
    "learning_rate=scalar@0.1..0.1 step=scalar:i64@3..3 tensors=7 tensors=7 tensors=7 plain=1 momentum=0.9",
    "learning_rate=scalar@0.1..0.1 step=scalar:i64@3..3 tensors=7@0..0 tensors=7 tensors=7 clip=1 weight_decay=0.1",
    "learning_rate=scalar@0.1..0.1 step=scalar:i64@3..3 scale=scalar@0..0 tensors=7 tensors=7 tensors=7",
    NULL};

const nacre_op nc_op_lars = {
    .name = "lars",
    .doc =
        "For each tensor f = trust |p| / (|g| + weight_decay |p| + eps), or 1 where a norm is 0 or with `plain` (for "
        "biases and norms); v = momentum v + learning_rate f (g + weight_decay p); p = p - v. You and others 2017. "
        "With `clip` LARC, as apex: f = min(f / learning_rate, 1); v = momentum v + f (g + weight_decay p); p = p - "
        "learning_rate v; where a norm is 0 there is no decay either.",
    .inputs = NC_UPDATE_OPERANDS,
    .outputs = "token",
    .attributes = {{"momentum", NACRE_ATTRIBUTE_FLOAT},
                   {"weight_decay", NACRE_ATTRIBUTE_FLOAT},
                   {"trust", NACRE_ATTRIBUTE_FLOAT, 0.001},
                   {"eps", NACRE_ATTRIBUTE_FLOAT},
                   {"clip", NACRE_ATTRIBUTE_BOOL},
                   {"plain", NACRE_ATTRIBUTE_BOOL}},
    .flags = NC_UPDATE_FLAGS,
    .shape = shape,
    .cost = cost,
    .reference = reference,
    .cases = CASES,
};

static nacre_tensor *apply(const nacre_update_operands *operands, const nacre_update_options *options, bool clip)
{
    int64_t words[WORDS] = {[MOMENTUM] = nacre_word(options->momentum),
                            [WEIGHT_DECAY] = nacre_word(options->weight_decay),
                            [TRUST] = nacre_word(nc_or(options->trust, clip ? 0.02 : 0.001)),
                            [EPS] = nacre_word(nc_or(options->eps, clip ? 1e-8 : 0)),
                            [CLIP] = clip,
                            [PLAIN] = options->plain};
    return nc_update_apply(&nc_op_lars, operands, 1, words);
}

nacre_tensor *nacre_lars_update(const nacre_update_operands *operands, const nacre_update_options *options)
{
    return apply(operands, options, false);
}

nacre_tensor *nacre_larc_update(const nacre_update_operands *operands, const nacre_update_options *options)
{
    return apply(operands, options, true);
}

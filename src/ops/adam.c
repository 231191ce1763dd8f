/* ops/adam.c - Adam, AdamW and AMSGrad. */
#include "ops/update.h"

#include <math.h>

enum { DECOUPLED = NC_ADAM_WORDS, AMSGRAD, WORDS };

static int moments(const int64_t *attributes)
{
    return attributes[AMSGRAD] ? 3 : 2;
}

static nacre_status shape(nacre_shape_call *call)
{
    return nc_update_shape(call, moments(call->attributes));
}

static void update(const int64_t *attributes, const nacre_view *views, nc_update_now now)
{
    double beta1 = now.momentum, beta2 = nacre_unword(attributes[NC_ADAM_BETA2]),
           eps = nacre_unword(attributes[NC_ADAM_EPS]);
    double decay = nacre_unword(attributes[NC_ADAM_WEIGHT_DECAY]);
    double correction1 = 1 - pow(beta1, now.step), correction2 = 1 - pow(beta2, now.step);
    for (int64_t i = 0; i < nc_count(&views[0]); i++) {
        double weight = nc_get(&views[0], i), gradient = now.scale * nc_get(&views[1], i);
        if (attributes[DECOUPLED])
            weight *= 1 - now.learning_rate * decay;
        else
            gradient += decay * weight;
        double first = beta1 * nc_get(&views[2], i) + (1 - beta1) * gradient;
        double second = beta2 * nc_get(&views[3], i) + (1 - beta2) * gradient * gradient;
        nc_set(&views[2], i, first);
        nc_set(&views[3], i, second);
        if (attributes[AMSGRAD]) {
            second = nc_larger(second, nc_get(&views[4], i));
            nc_set(&views[4], i, second);
        }
        nc_set(&views[0], i, weight - now.learning_rate / correction1 * first / (sqrt(second / correction2) + eps));
    }
}

static void cost(const nacre_node_info *node, nacre_cost *cost)
{
    nc_update_cost(node, moments(node->attributes), cost);
}

static void reference(const nacre_call *call)
{
    nc_update_reference(call, moments(call->attributes), nacre_unword(call->attributes[NC_ADAM_BETA1]), update);
}

static const char *const CASES[] = {
    "learning_rate=scalar@0.1..0.1 step=scalar:i64@3..3 tensors=7 tensors=7 tensors=7 tensors=7@0..1",
    "learning_rate=scalar@0.1..0.1 step=scalar:i64@1..1 scale=scalar@0.5..0.5 tensors=7 tensors=7 tensors=7 "
    "tensors=7@0..1 tensors=3x40 tensors=3x40 tensors=3x40 tensors=3x40@0..1 weight_decay=0.1",
    "learning_rate=scalar@0.1..0.1 step=scalar:i64@9..9 tensors=7 tensors=7 tensors=7 tensors=7@0..1 weight_decay=0.1 "
    "decoupled=1 eps=1e-6",
    "learning_rate=scalar@0.1..0.1 step=scalar:i64@3..3 scale=scalar@0..0 tensors=7 tensors=7 tensors=7 tensors=7@0..1",
    "learning_rate=scalar@0.1..0.1 step=scalar:i64@9..9 beta=scalar@0.8..0.8 tensors=3x40 tensors=3x40 "
    "tensors=3x40 tensors=3x40@0..1 tensors=3x40@0..2 amsgrad=1",
    NULL};

const nacre_op nc_op_adam = {
    .name = "adam",
    .doc = "m = beta1 m + (1 - beta1) g; v = beta2 v + (1 - beta2) g^2; p = p - learning_rate / (1 - beta1^step) m / "
           "(sqrt(v / (1 - beta2^step)) + eps), g times scale. Weight decay is added to g, or with `decoupled` (AdamW) "
           "p is first multiplied by 1 - learning_rate weight_decay. `amsgrad` divides by the largest v so far, which "
           "is a third moment. The operand beta takes the place of beta1. A scale of 0 changes nothing. Kingma and "
           "Ba 2015, Loshchilov and Hutter 2019, Reddi and others 2018.",
    .inputs = NC_UPDATE_OPERANDS,
    .outputs = "token",
    .attributes = {NC_ADAM_ATTRIBUTES(1e-8), {"decoupled", NACRE_ATTRIBUTE_BOOL}, {"amsgrad", NACRE_ATTRIBUTE_BOOL}},
    .flags = NC_UPDATE_FLAGS,
    .shape = shape,
    .cost = cost,
    .reference = reference,
    .cases = CASES,
};

static nacre_tensor *apply(const nacre_update_operands *operands, const nacre_update_options *options, bool decoupled)
{
    int64_t words[WORDS] = {[DECOUPLED] = decoupled, [AMSGRAD] = options->amsgrad};
    nc_adam_words(options, 1e-8, words);
    return nc_update_apply(&nc_op_adam, operands, moments(words), words);
}

nacre_tensor *nacre_adam_update(const nacre_update_operands *operands, const nacre_update_options *options)
{
    return apply(operands, options, false);
}

nacre_tensor *nacre_adamw_update(const nacre_update_operands *operands, const nacre_update_options *options)
{
    return apply(operands, options, true);
}

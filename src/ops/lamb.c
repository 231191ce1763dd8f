/* ops/lamb.c - Adam with a rate for each layer. */
#include "ops/update.h"

#include <math.h>

enum { PLAIN = NC_ADAM_WORDS, WORDS };

/* The direction of one element from its moments. */
struct direction {
    double correction1, correction2, eps, decay;
};

static double direction(struct direction d, double weight, double first, double second)
{
    return first / d.correction1 / (sqrt(second / d.correction2) + d.eps) + d.decay * weight;
}

static void update(const int64_t *attributes, const nacre_view *views, nc_update_now now)
{
    double beta1 = now.momentum, beta2 = nacre_unword(attributes[NC_ADAM_BETA2]), squares = 0;
    struct direction d = {1 - pow(beta1, now.step), 1 - pow(beta2, now.step), nacre_unword(attributes[NC_ADAM_EPS]),
                          nacre_unword(attributes[NC_ADAM_WEIGHT_DECAY])};
    for (int64_t i = 0; i < nc_count(&views[0]); i++) {
        double gradient = now.scale * nc_get(&views[1], i);
        nc_set(&views[2], i, beta1 * nc_get(&views[2], i) + (1 - beta1) * gradient);
        nc_set(&views[3], i, beta2 * nc_get(&views[3], i) + (1 - beta2) * gradient * gradient);
        double way = direction(d, nc_get(&views[0], i), nc_get(&views[2], i), nc_get(&views[3], i));
        squares += way * way;
    }
    double norm = nc_update_norm(&views[0]);
    double trust = !attributes[PLAIN] && norm > 0 && squares > 0 ? norm / sqrt(squares) : 1;
    for (int64_t i = 0; i < nc_count(&views[0]); i++) {
        double weight = nc_get(&views[0], i);
        double way = direction(d, weight, nc_get(&views[2], i), nc_get(&views[3], i));
        nc_set(&views[0], i, weight - now.learning_rate * trust * way);
    }
}

static void cost(const nacre_node_info *node, nacre_cost *cost)
{
    nc_update_cost(node, 2, cost);
    nc_update_cost(node, 2, cost); /* weights and moments are read twice, for the norms come first */
}

static void reference(const nacre_call *call)
{
    nc_update_reference(call, 2, nacre_unword(call->attributes[NC_ADAM_BETA1]), update);
}

static const char *const CASES[] = {
    "learning_rate=scalar@0.1..0.1 step=scalar:i64@3..3 tensors=7 tensors=7 tensors=7 tensors=7@0..1",
    "learning_rate=scalar@0.1..0.1 step=scalar:i64@9..9 scale=scalar@0.5..0.5 tensors=7 tensors=7 tensors=7 "
    "tensors=7@0..1 tensors=3x40 tensors=3x40 tensors=3x40 tensors=3x40@0..1 weight_decay=0.1",
    "learning_rate=scalar@0.1..0.1 step=scalar:i64@9..9 tensors=3x40 tensors=3x40 tensors=3x40 tensors=3x40@0..1 "
    "plain=1",
    "learning_rate=scalar@0.1..0.1 step=scalar:i64@3..3 scale=scalar@0..0 tensors=7 tensors=7 tensors=7 tensors=7@0..1",
    NULL};

const nacre_op nc_op_lamb = {
    .name = "lamb",
    .doc = "Adam's averages m and v; u = m / (1 - beta1^step) / (sqrt(v / (1 - beta2^step)) + eps) + weight_decay p; "
           "p = p - learning_rate |p| / |u| u for each tensor; the ratio is 1 where a norm is 0 and with `plain`. As "
           "apex; You and others 2020.",
    .inputs = NC_UPDATE_OPERANDS,
    .outputs = "token",
    .attributes = {NC_ADAM_ATTRIBUTES(1e-6), {"plain", NACRE_ATTRIBUTE_BOOL}},
    .flags = NC_UPDATE_FLAGS,
    .shape = nc_adam_shape,
    .cost = cost,
    .reference = reference,
    .cases = CASES,
};

nacre_tensor *nacre_lamb_update(const nacre_update_operands *operands, const nacre_update_options *options)
{
    int64_t words[WORDS] = {[PLAIN] = options->plain};
    nc_adam_words(options, 1e-6, words);
    return nc_update_apply(&nc_op_lamb, operands, 2, words);
}

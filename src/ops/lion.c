/* ops/lion.c */
#include "ops/update.h"

enum { BETA1, BETA2, WEIGHT_DECAY, WORDS };

static nacre_status shape(nacre_shape_call *call)
{
    return nc_update_shape(call, 1);
}

static void update(const int64_t *attributes, const nacre_view *views, nc_update_now now)
{
    double beta1 = now.momentum, beta2 = nacre_unword(attributes[BETA2]);
    double keep = 1 - now.learning_rate * nacre_unword(attributes[WEIGHT_DECAY]);
    for (int64_t i = 0; i < nc_count(&views[0]); i++) {
        double weight = nc_get(&views[0], i), gradient = now.scale * nc_get(&views[1], i), mean = nc_get(&views[2], i);
        double direction = beta1 * mean + (1 - beta1) * gradient;
        nc_set(&views[2], i, beta2 * mean + (1 - beta2) * gradient);
        nc_set(&views[0], i, keep * weight - now.learning_rate * ((direction > 0) - (direction < 0)));
    }
}

static void cost(const nacre_node_info *node, nacre_cost *cost)
{
    nc_update_cost(node, 1, cost);
}

static void reference(const nacre_call *call)
{
    nc_update_reference(call, 1, nacre_unword(call->attributes[BETA1]), update);
}

static const char *const CASES[] = {
    "learning_rate=scalar@0.1..0.1 step=scalar:i64@3..3 tensors=7 tensors=7 tensors=7",
    "learning_rate=scalar@0.1..0.1 step=scalar:i64@9..9 scale=scalar@0.5..0.5 tensors=7 tensors=7 tensors=7 "
    "tensors=3x40 tensors=3x40 tensors=3x40 weight_decay=0.1 beta2=0.95",
    "learning_rate=scalar@0.1..0.1 step=scalar:i64@3..3 scale=scalar@0..0 tensors=7 tensors=7 tensors=7", NULL};

const nacre_op nc_op_lion = {
    .name = "lion",
    .doc = "p = (1 - learning_rate weight_decay) p - learning_rate sign(beta1 m + (1 - beta1) g); then m = beta2 m + "
           "(1 - beta2) g. Chen and others 2023.",
    .inputs = NC_UPDATE_OPERANDS,
    .outputs = "token",
    .attributes = {{"beta1", NACRE_ATTRIBUTE_FLOAT, 0.9},
                   {"beta2", NACRE_ATTRIBUTE_FLOAT, 0.99},
                   {"weight_decay", NACRE_ATTRIBUTE_FLOAT}},
    .flags = NC_UPDATE_FLAGS,
    .shape = shape,
    .cost = cost,
    .reference = reference,
    .cases = CASES,
};

nacre_tensor *nacre_lion_update(const nacre_update_operands *operands, const nacre_update_options *options)
{
    int64_t words[WORDS] = {[BETA1] = nacre_word(nc_or(options->beta1, 0.9)),
                            [BETA2] = nacre_word(nc_or(options->beta2, 0.99)),
                            [WEIGHT_DECAY] = nacre_word(options->weight_decay)};
    return nc_update_apply(&nc_op_lion, operands, 1, words);
}

/* ops/adagrad.c */
#include "ops/update.h"

#include <math.h>

enum { EPS, WEIGHT_DECAY, RATE_DECAY, INITIAL, WORDS };

static nacre_status shape(nacre_shape_call *call)
{
    return nc_update_shape(call, 1);
}

static void update(const int64_t *attributes, const nacre_view *views, nc_update_now now)
{
    double eps = nacre_unword(attributes[EPS]), decay = nacre_unword(attributes[WEIGHT_DECAY]);
    double initial = nacre_unword(attributes[INITIAL]);
    double rate = now.learning_rate / (1 + (now.step - 1) * nacre_unword(attributes[RATE_DECAY]));
    for (int64_t i = 0; i < nc_count(&views[0]); i++) {
        double weight = nc_get(&views[0], i), gradient = now.scale * nc_get(&views[1], i) + decay * weight;
        double sum = nc_get(&views[2], i) + gradient * gradient;
        nc_set(&views[2], i, sum);
        nc_set(&views[0], i, weight - rate * gradient / (sqrt(sum + initial) + eps));
    }
}

static void cost(const nacre_node_info *node, nacre_cost *cost)
{
    nc_update_cost(node, 1, cost);
}

static void reference(const nacre_call *call)
{
    nc_update_reference(call, 1, 0, update);
}

static const char *const CASES[] = {
    "learning_rate=scalar@0.1..0.1 step=scalar:i64@3..3 tensors=7 tensors=7 tensors=7@0.1..1",
    "learning_rate=scalar@0.1..0.1 step=scalar:i64@9..9 scale=scalar@0.5..0.5 tensors=7 tensors=7 tensors=7@0..1 "
    "tensors=3x40 tensors=3x40 tensors=3x40@0..1 weight_decay=0.1 rate_decay=0.01 initial=0.1",
    "learning_rate=scalar@0.1..0.1 step=scalar:i64@3..3 scale=scalar@0..0 tensors=7 tensors=7 tensors=7@0..1", NULL};

const nacre_op nc_op_adagrad = {
    .name = "adagrad",
    .doc = "s = s + g^2; p = p - learning_rate / (1 + (step - 1) rate_decay) g / (sqrt(s + initial) + eps); weight "
           "decay is added to g. As torch.optim.Adagrad; Duchi and others 2011.",
    .inputs = NC_UPDATE_OPERANDS,
    .outputs = "token",
    .attributes = {{"eps", NACRE_ATTRIBUTE_FLOAT, 1e-10},
                   {"weight_decay", NACRE_ATTRIBUTE_FLOAT},
                   {"rate_decay", NACRE_ATTRIBUTE_FLOAT},
                   {"initial", NACRE_ATTRIBUTE_FLOAT}},
    .flags = NC_UPDATE_FLAGS,
    .shape = shape,
    .cost = cost,
    .reference = reference,
    .cases = CASES,
};

nacre_tensor *nacre_adagrad_update(const nacre_update_operands *operands, const nacre_update_options *options)
{
    int64_t words[WORDS] = {[EPS] = nacre_word(nc_or(options->eps, 1e-10)),
                            [WEIGHT_DECAY] = nacre_word(options->weight_decay),
                            [RATE_DECAY] = nacre_word(options->rate_decay),
                            [INITIAL] = nacre_word(options->initial)};
    return nc_update_apply(&nc_op_adagrad, operands, 1, words);
}

/* ops/adadelta.c */
#include "ops/update.h"

#include <math.h>

enum { RHO, EPS, WEIGHT_DECAY, WORDS };

static void update(const int64_t *attributes, const nacre_view *views, nc_update_now now)
{
    double rho = nacre_unword(attributes[RHO]), eps = nacre_unword(attributes[EPS]);
    double decay = nacre_unword(attributes[WEIGHT_DECAY]);
    for (int64_t i = 0; i < nc_count(&views[0]); i++) {
        double weight = nc_get(&views[0], i), gradient = now.scale * nc_get(&views[1], i) + decay * weight;
        double square = rho * nc_get(&views[2], i) + (1 - rho) * gradient * gradient, moved = nc_get(&views[3], i);
        double change = sqrt((moved + eps) / (square + eps)) * gradient;
        nc_set(&views[2], i, square);
        nc_set(&views[3], i, rho * moved + (1 - rho) * change * change);
        nc_set(&views[0], i, weight - now.learning_rate * change);
    }
}

static void reference(const nacre_call *call)
{
    nc_update_reference(call, 2, 0, update);
}

static const char *const CASES[] = {
    "learning_rate=scalar@1..1 step=scalar:i64@3..3 tensors=7 tensors=7 tensors=7@0.1..1 tensors=7@0..1",
    "learning_rate=scalar@0.5..0.5 step=scalar:i64@9..9 scale=scalar@0.5..0.5 tensors=7 tensors=7 tensors=7@0..1 "
    "tensors=7@0..1 tensors=3x40 tensors=3x40 tensors=3x40@0..1 tensors=3x40@0..1 weight_decay=0.1 rho=0.8",
    "learning_rate=scalar@1..1 step=scalar:i64@3..3 scale=scalar@0..0 tensors=7 tensors=7 tensors=7@0..1 "
    "tensors=7@0..1",
    NULL};

const nacre_op nc_op_adadelta = {
    .name = "adadelta",
    .doc = "s = rho s + (1 - rho) g^2; d = sqrt((a + eps) / (s + eps)) g; a = rho a + (1 - rho) d^2; p = p - "
           "learning_rate d; weight decay is added to g. As torch.optim.Adadelta; Zeiler 2012.",
    .inputs = NC_UPDATE_OPERANDS,
    .outputs = "token",
    .attributes = {{"rho", NACRE_ATTRIBUTE_FLOAT, 0.9},
                   {"eps", NACRE_ATTRIBUTE_FLOAT, 1e-6},
                   {"weight_decay", NACRE_ATTRIBUTE_FLOAT}},
    .flags = NC_UPDATE_FLAGS,
    .shape = nc_adam_shape,
    .cost = nc_adam_cost,
    .reference = reference,
    .cases = CASES,
};

nacre_tensor *nacre_adadelta_update(const nacre_update_operands *operands, const nacre_update_options *options)
{
    int64_t words[WORDS] = {[RHO] = nacre_word(nc_or(options->rho, 0.9)),
                            [EPS] = nacre_word(nc_or(options->eps, 1e-6)),
                            [WEIGHT_DECAY] = nacre_word(options->weight_decay)};
    return nc_update_apply(&nc_op_adadelta, operands, 2, words);
}

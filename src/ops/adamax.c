/* ops/adamax.c - Adam with the largest gradient in place of their mean square. */
#include "ops/update.h"

#include <math.h>

enum { WORDS = NC_ADAM_WORDS };

static void update(const int64_t *attributes, const nacre_view *views, nc_update_now now)
{
    double beta1 = now.momentum, beta2 = nacre_unword(attributes[NC_ADAM_BETA2]),
           eps = nacre_unword(attributes[NC_ADAM_EPS]);
    double decay = nacre_unword(attributes[NC_ADAM_WEIGHT_DECAY]),
           rate = now.learning_rate / (1 - pow(beta1, now.step));
    for (int64_t i = 0; i < nc_count(&views[0]); i++) {
        double weight = nc_get(&views[0], i), gradient = now.scale * nc_get(&views[1], i) + decay * weight;
        double first = beta1 * nc_get(&views[2], i) + (1 - beta1) * gradient;
        double largest = nc_larger(beta2 * nc_get(&views[3], i), fabs(gradient) + eps);
        nc_set(&views[2], i, first);
        nc_set(&views[3], i, largest);
        nc_set(&views[0], i, weight - rate * first / largest);
    }
}

static void reference(const nacre_call *call)
{
    nc_update_reference(call, 2, nacre_unword(call->attributes[NC_ADAM_BETA1]), update);
}

const nacre_op nc_op_adamax = {
    .name = "adamax",
    .doc = "m = beta1 m + (1 - beta1) g; u = max(beta2 u, |g| + eps); p = p - learning_rate / (1 - beta1^step) m / u; "
           "weight decay is added to g. As torch.optim.Adamax; Kingma and Ba 2015.",
    .inputs = NC_UPDATE_OPERANDS,
    .outputs = "token",
    .attributes = {NC_ADAM_ATTRIBUTES(1e-8)},
    .flags = NC_UPDATE_FLAGS,
    .shape = nc_adam_shape,
    .cost = nc_adam_cost,
    .reference = reference,
    .cases = nc_adam_cases,
};

nacre_tensor *nacre_adamax_update(const nacre_update_operands *operands, const nacre_update_options *options)
{
    int64_t words[WORDS];
    nc_adam_words(options, 1e-8, words);
    return nc_update_apply(&nc_op_adamax, operands, 2, words);
}

/* ops/nadam.c - Adam with Nesterov's momentum. */
#include "ops/update.h"

#include <math.h>

enum { MOMENTUM_DECAY = NC_ADAM_WORDS, WORDS };

void nc_nadam_momenta(double beta1, double momentum_decay, int64_t step, double *now, double *next, double *product)
{
    double mu = 0;
    *product = 1;
    for (int64_t t = 1; t <= step; t++) {
        mu = beta1 * (1 - 0.5 * pow(0.96, (double)t * momentum_decay));
        *product *= mu;
        if (*product > 0x1p-60) continue; /* 1 - product is 1 from here on */
        mu = beta1 * (1 - 0.5 * pow(0.96, (double)step * momentum_decay));
        break;
    }
    *now = mu;
    *next = beta1 * (1 - 0.5 * pow(0.96, (double)(step + 1) * momentum_decay));
}

static void update(const int64_t *attributes, const nacre_view *views, nc_update_now now)
{
    double beta1 = now.momentum, beta2 = nacre_unword(attributes[NC_ADAM_BETA2]),
           eps = nacre_unword(attributes[NC_ADAM_EPS]);
    double decay = nacre_unword(attributes[NC_ADAM_WEIGHT_DECAY]), correction2 = 1 - pow(beta2, now.step);
    double mu, next, product;
    nc_nadam_momenta(beta1, nacre_unword(attributes[MOMENTUM_DECAY]), (int64_t)now.step, &mu, &next, &product);
    for (int64_t i = 0; i < nc_count(&views[0]); i++) {
        double weight = nc_get(&views[0], i), gradient = now.scale * nc_get(&views[1], i) + decay * weight;
        double first = beta1 * nc_get(&views[2], i) + (1 - beta1) * gradient;
        double second = beta2 * nc_get(&views[3], i) + (1 - beta2) * gradient * gradient;
        double ahead = (1 - mu) / (1 - product) * gradient + next / (1 - product * next) * first;
        nc_set(&views[2], i, first);
        nc_set(&views[3], i, second);
        nc_set(&views[0], i, weight - now.learning_rate * ahead / (sqrt(second / correction2) + eps));
    }
}

static void reference(const nacre_call *call)
{
    nc_update_reference(call, 2, nacre_unword(call->attributes[NC_ADAM_BETA1]), update);
}

const nacre_op nc_op_nadam = {
    .name = "nadam",
    .doc =
        "Adam's averages m and v; p = p - learning_rate ((1 - mu) / (1 - P) g + mu' / (1 - P mu') m) / "
        "(sqrt(v / (1 - beta2^step)) + eps) with mu = beta1 (1 - 0.96^(step momentum_decay) / 2), mu' that of the "
        "next step and P the product of all mu so far; weight decay is added to g. As torch.optim.NAdam; Dozat 2016.",
    .inputs = NC_UPDATE_OPERANDS,
    .outputs = "token",
    .attributes = {NC_ADAM_ATTRIBUTES(1e-8), {"momentum_decay", NACRE_ATTRIBUTE_FLOAT, 4e-3}},
    .flags = NC_UPDATE_FLAGS,
    .shape = nc_adam_shape,
    .cost = nc_adam_cost,
    .reference = reference,
    .cases = nc_adam_cases,
};

nacre_tensor *nacre_nadam_update(const nacre_update_operands *operands, const nacre_update_options *options)
{
    int64_t words[WORDS] = {[MOMENTUM_DECAY] = nacre_word(nc_or(options->momentum_decay, 4e-3))};
    nc_adam_words(options, 1e-8, words);
    return nc_update_apply(&nc_op_nadam, operands, 2, words);
}

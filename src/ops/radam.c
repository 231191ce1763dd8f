/* ops/radam.c - rectified Adam. */
#include "ops/update.h"

#include <math.h>

enum { WORDS = NC_ADAM_WORDS };

double nc_radam_rectification(double beta2, double step)
{
    double last = 2 / (1 - beta2) - 1, power = pow(beta2, step), length = last - 2 * step * power / (1 - power);
    if (length <= 5) return 0;
    return sqrt((length - 4) * (length - 2) * last / ((last - 4) * (last - 2) * length) * (1 - power));
}

static void update(const int64_t *attributes, const nacre_view *views, nc_update_now now)
{
    double beta1 = now.momentum, beta2 = nacre_unword(attributes[NC_ADAM_BETA2]),
           eps = nacre_unword(attributes[NC_ADAM_EPS]);
    double decay = nacre_unword(attributes[NC_ADAM_WEIGHT_DECAY]),
           rate = now.learning_rate / (1 - pow(beta1, now.step));
    double rectification = nc_radam_rectification(beta2, now.step);
    for (int64_t i = 0; i < nc_count(&views[0]); i++) {
        double weight = nc_get(&views[0], i), gradient = now.scale * nc_get(&views[1], i) + decay * weight;
        double first = beta1 * nc_get(&views[2], i) + (1 - beta1) * gradient;
        double second = beta2 * nc_get(&views[3], i) + (1 - beta2) * gradient * gradient;
        nc_set(&views[2], i, first);
        nc_set(&views[3], i, second);
        double adapted = rectification != 0 ? rectification / (sqrt(second) + eps) : 1;
        nc_set(&views[0], i, weight - rate * first * adapted);
    }
}

static void reference(const nacre_call *call)
{
    nc_update_reference(call, 2, nacre_unword(call->attributes[NC_ADAM_BETA1]), update);
}

const nacre_op nc_op_radam = {
    .name = "radam",
    .doc = "Adam's averages m and v; p = p - learning_rate m / (1 - beta1^step) r / (sqrt(v) + eps), where r corrects "
           "the few steps that v has seen: with R = 2 / (1 - beta2) - 1 and n = R - 2 step beta2^step / (1 - "
           "beta2^step), r = sqrt((n - 4)(n - 2) R (1 - beta2^step) / ((R - 4)(R - 2) n)); while n <= 5 there is no "
           "division at all. Weight decay is added to g. As torch.optim.RAdam; Liu and others 2020.",
    .inputs = NC_UPDATE_OPERANDS,
    .outputs = "token",
    .attributes = {NC_ADAM_ATTRIBUTES(1e-8)},
    .flags = NC_UPDATE_FLAGS,
    .shape = nc_adam_shape,
    .cost = nc_adam_cost,
    .reference = reference,
    .cases = nc_adam_cases,
};

nacre_tensor *nacre_radam_update(const nacre_update_operands *operands, const nacre_update_options *options)
{
    int64_t words[WORDS];
    nc_adam_words(options, 1e-8, words);
    return nc_update_apply(&nc_op_radam, operands, 2, words);
}

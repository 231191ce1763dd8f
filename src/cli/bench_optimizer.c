/* cli/bench_optimizer.c - one update of ResNet-50's parameters, whose gradients are there already. */
#include "bench.h"

#include <nacre/backend.h>
#include <nacre/ops.h>

#include <stdio.h>

typedef struct optimizer {
    nacre_tensor *(*update)(const nacre_update_operands *operands, const nacre_update_options *options);
    nacre_update_options options;
    double learning_rate;
    int moments;
} optimizer;

/* Entries "PREFIX.PATH" of the shapes of all parameters. */
static bool add_state(nacre_model *model, const char *prefix, int count)
{
    nacre_entry entry;
    char path[256];
    for (int slot = 0; slot < count; slot++) {
        nacre_model_entry(model, slot, &entry);
        if (entry.role != NACRE_ENTRY_PARAMETER) continue;
        snprintf(path, sizeof path, "%s.%s", prefix, entry.path);
        if (nacre_model_add(model, NACRE_ENTRY_STATE, path, NACRE_F32, entry.shape) < 0) return false;
    }
    return true;
}

/* ResNet-50's parameters, then as many gradients and moments. */
static bool add_entries(nc_bench_network *network, int moments)
{
    nacre_model *model = network->models[0];
    nacre_tensor *x = nacre_input(network->graph, "x", NACRE_F32, NACRE_SHAPE(1, 3, 224, 224));
    nc_build_zoo(network, "resnet", NULL, 0, false, &x, NULL, 0);
    const int count = nacre_model_count(model);
    static const char *const names[] = {"first", "second"};
    bool complete = add_state(model, "gradient", count);
    for (int i = 0; i < moments && complete; i++) complete = add_state(model, names[i], count);
    nacre_graph_reset(network->graph);
    return complete;
}

/* Parameters and state as operands of the update: the k-th state of a parameter lies k times their number further. */
static bool build(nc_bench *bench, const optimizer *what, nacre_tensor **weights, nacre_tensor **gradients,
                  nacre_tensor **state)
{
    nc_bench_network *network = bench->state;
    nacre_model *model = network->models[0];
    nacre_entry entry;
    int count = 0, states = 0;
    for (int slot = 0; nacre_model_entry(model, slot, &entry); slot++) {
        if (entry.role == NACRE_ENTRY_PARAMETER) weights[count++] = nacre_model_tensor(network->graph, model, slot);
        if (entry.role != NACRE_ENTRY_STATE) continue;
        nacre_tensor *tensor = nacre_model_tensor(network->graph, model, slot);
        if (states < count)
            gradients[states] = tensor;
        else
            state[(states - count) % count * what->moments + (states - count) / count] = tensor;
        states++;
    }
    nacre_tensor *rate = nacre_input(network->graph, "learning_rate", NACRE_F32, NACRE_SCALAR);
    network->step = nacre_input(network->graph, "step", NACRE_I64, NACRE_SCALAR);
    nacre_feed_scalar(rate, what->learning_rate);
    const nacre_update_operands operands = {.count = count,
                                            .weights = weights,
                                            .gradients = gradients,
                                            .state = state,
                                            .learning_rate = rate,
                                            .step = network->step};
    what->update(&operands, &what->options);
    return nacre_check(bench->context) == NACRE_OK;
}

static bool create(nc_bench *bench)
{
    const optimizer *what = bench->workload->details;
    nc_bench_network *network = nc_open_network(bench);
    if (!network || !add_entries(network, what->moments)) return false;
    const size_t count = (size_t)nacre_model_count(network->models[0]);
    nacre_tensor **tensors = nacre_allocate(bench->context, sizeof *tensors * 4 * count);
    const bool complete = tensors && build(bench, what, tensors, tensors + count, tensors + 2 * count);
    nacre_release(bench->context, tensors);
    bench->parameters = nacre_model_elements(network->models[0], NACRE_ENTRY_PARAMETER);
    bench->items = 1e-6 * (double)bench->parameters;
    bench->bytes = 4.0 * (double)bench->parameters * (what->moments == 2 ? 7 : 5);
    return complete;
}

/* The comparison's other side has several implementations, this one has one. */
static void add_facts(nc_bench *bench, cJSON *object)
{
    nc_bench_network *network = bench->state;
    nacre_entry entry;
    int tensors = 0;
    for (int slot = 0; nacre_model_entry(network->models[0], slot, &entry); slot++)
        tensors += entry.role == NACRE_ENTRY_PARAMETER;
    cJSON_AddNumberToObject(object, "tensors", tensors);
    cJSON *table = cJSON_AddArrayToObject(object, "table"), *row = cJSON_CreateObject();
    cJSON_AddStringToObject(row, "impl", "fused");
    for (int i = 0; i < 2; i++) {
        const char *name = i ? "ms_min" : "ms_median";
        cJSON_AddNumberToObject(row, name, cJSON_GetNumberValue(cJSON_GetObjectItem(object, name)));
    }
    cJSON_AddItemToArray(table, row);
}

#define OPTIMIZER(id, text, ...)                                                                                       \
    {                                                                                                                  \
        .name = id, .metric = "optimizer throughput", .unit = "Mparams/s", .summary = text, .create = create,          \
        .step = nc_step_network, .destroy = nc_close_network, .add_facts = add_facts,                                  \
        .details = &(const optimizer){__VA_ARGS__},                                                                    \
    }

const nc_workload nc_bench_optimizers[] = {
    OPTIMIZER("adamw_step", "AdamW's update of ResNet-50's 161 tensors", .update = nacre_adamw_update, .moments = 2,
              .options = {.weight_decay = 0.01}, .learning_rate = 1e-3),
    OPTIMIZER("sgd_step", "SGD's update of ResNet-50's 161 tensors, with momentum and weight decay",
              .update = nacre_sgd_update, .moments = 1, .options = {.momentum = 0.9, .weight_decay = 1e-4},
              .learning_rate = 1e-2),
    {0},
};

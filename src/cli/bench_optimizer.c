/* cli/bench_optimizer.c - one update of ResNet-50's parameters, whose gradients are there already. */
#include "bench.h"

#include <nacre/backend.h>
#include <nacre/io.h>
#include <nacre/ops.h>
#include <nacre/train.h>

#include <math.h>
#include <stdio.h>
#include <string.h>

enum { MOST_MOMENTS = 3 };

/* `update` NULL: `whole` with its products, or without kind's name the running average. */
typedef struct optimizer {
    const char *name;
    nacre_update_function *update;
    int moments;
    nacre_update_options options;
    double learning_rate;
    nacre_optimizer whole;
    bool back; /* of the average */
} optimizer;

#define ADAMW                                                                                                          \
    {                                                                                                                  \
        "adamw", nacre_adamw_update, 2, {.weight_decay = 0.01}, 1e-3                                                   \
    }
#define SGD                                                                                                            \
    {                                                                                                                  \
        "sgd, momentum", nacre_sgd_update, 1, {.momentum = 0.9, .weight_decay = 1e-4}, 1e-2                            \
    }

static const optimizer OPTIMIZERS[] = {
    {"sgd", nacre_sgd_update, 0, {.weight_decay = 1e-4}, 1e-2},
    SGD,
    {"adam", nacre_adam_update, 2, {.weight_decay = 0.01}, 1e-3},
    ADAMW,
    {"adamw, amsgrad", nacre_adamw_update, 3, {.weight_decay = 0.01, .amsgrad = true}, 1e-3},
    {"nadam", nacre_nadam_update, 2, {.weight_decay = 0.01}, 1e-3},
    {"radam", nacre_radam_update, 2, {.weight_decay = 0.01}, 1e-3},
    {"adamax", nacre_adamax_update, 2, {.weight_decay = 0.01}, 1e-3},
    {"adagrad", nacre_adagrad_update, 1, {.weight_decay = 1e-4}, 1e-2},
    {"adadelta", nacre_adadelta_update, 2, {.weight_decay = 1e-4}, 1},
    {"rmsprop", nacre_rmsprop_update, 1, {.weight_decay = 1e-4}, 1e-3},
    {"rmsprop, all", nacre_rmsprop_update, 3, {.momentum = 0.9, .centered = true, .weight_decay = 1e-4}, 1e-3},
    {"lars", nacre_lars_update, 1, {.momentum = 0.9, .weight_decay = 1e-4}, 1},
    {"larc", nacre_larc_update, 1, {.momentum = 0.9, .weight_decay = 1e-4}, 0.1},
    {"lamb", nacre_lamb_update, 2, {.weight_decay = 0.01}, 1e-3},
    {"lion", nacre_lion_update, 1, {.weight_decay = 0.1}, 1e-4},
    {"ema, swa", .moments = 1},
    {"lookahead", .moments = 1, .back = true},
    {"muon", .whole = {.kind = NACRE_OPTIMIZER_MUON, .weight_decay = 0.01}, .learning_rate = 1e-3},
};
enum { OPTIMIZER_COUNT = sizeof OPTIMIZERS / sizeof *OPTIMIZERS };

/* ---- the update as a graph -----------------------------------------------------------------------------------------
 */

/* Gradients of usual size; what they are does not matter, but zeros would be a case of its own. */
static void fill(float *values, size_t bytes)
{
    for (size_t i = 0; values && i < bytes / sizeof *values; i++) values[i] = 0.001f * ((float)(i % 251) - 125);
}

/* Entries "PREFIX.PATH" of the shapes of all parameters. */
static bool add_state(nacre_model *model, const char *prefix, int count)
{
    nacre_entry entry;
    char path[256];
    for (int slot = 0; slot < count; slot++) {
        nacre_model_entry(model, slot, &entry);
        if (entry.role != NACRE_ENTRY_PARAMETER) continue;
        snprintf(path, sizeof path, "%s.%s", prefix, entry.path);
        const int added = nacre_model_add(model, NACRE_ENTRY_STATE, path, NACRE_F32, entry.shape);
        if (added < 0) return false;
        if (!strcmp(prefix, "gradient")) fill(nacre_model_write(model, added), entry.bytes);
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
    static const char *const names[MOST_MOMENTS] = {"first", "second", "third"};
    bool complete = add_state(model, "gradient", count);
    for (int i = 0; i < moments && complete; i++) complete = add_state(model, names[i], count);
    nacre_graph_reset(network->graph);
    return complete;
}

/* weights[count], then the gradients, then the moments of each weight one after the other. In the model the k-th state
 * of a parameter lies k times their number further. */
static int find_tensors(nc_bench_network *network, int moments, nacre_tensor **tensors)
{
    nacre_model *model = network->models[0];
    nacre_entry entry;
    int count = 0, states = 0;
    for (int slot = 0; nacre_model_entry(model, slot, &entry); slot++) {
        if (entry.role != NACRE_ENTRY_PARAMETER && entry.role != NACRE_ENTRY_STATE) continue;
        nacre_tensor *tensor = nacre_model_tensor(network->graph, model, slot);
        if (entry.role == NACRE_ENTRY_PARAMETER)
            tensors[count++] = tensor;
        else if (states++ < count)
            tensors[count + states - 1] = tensor;
        else
            tensors[2 * count + (states - 1 - count) % count * moments + (states - 1 - count) / count] = tensor;
    }
    return count;
}

static void append_update(nc_bench_network *network, const optimizer *what, nacre_tensor **tensors, int count)
{
    nacre_tensor *rate = nacre_input(network->graph, "learning_rate", NACRE_F32, NACRE_SCALAR);
    network->step = nacre_input(network->graph, "step", NACRE_I64, NACRE_SCALAR);
    nacre_feed_scalar(rate, what->learning_rate);
    const nacre_update_operands operands = {.count = count,
                                            .weights = tensors,
                                            .gradients = tensors + count,
                                            .state = tensors + 2 * count,
                                            .learning_rate = rate,
                                            .step = network->step};
    nacre_tensor *one = what->update ? NULL : nacre_full(network->graph, NACRE_F32, NACRE_SCALAR, 1);
    if (what->update)
        what->update(&operands, &what->options);
    else
        nacre_apply_gradients(network->graph, network->models[0], &what->whole,
                              &(nacre_step_inputs){.learning_rate = rate, .step = network->step, .scale = one});
}

/* Every update a term of the mean, as Lookahead's are where they are due. */
static void append_average(nc_bench_network *network, const optimizer *what, nacre_tensor **tensors, int count)
{
    nacre_tensor **pairs = tensors + 3 * count;
    for (int i = 0; i < count; i++) {
        pairs[2 * i] = tensors[i];
        pairs[2 * i + 1] = tensors[2 * count + i];
    }
    nacre_tensor *mix = nacre_full(network->graph, NACRE_F32, NACRE_SCALAR, 0.5);
    nacre_average_weights(mix, pairs, count, what->back);
}

static bool create(nc_bench *bench, const optimizer *what)
{
    nc_bench_network *network = nc_open_network(bench);
    if (!network || !add_entries(network, what->moments)) return false;
    const size_t entries = (size_t)nacre_model_count(network->models[0]);
    nacre_tensor **tensors = nacre_allocate(bench->context, sizeof *tensors * (3 + MOST_MOMENTS) * entries);
    const int count = tensors ? find_tensors(network, what->moments, tensors) : 0;
    if (what->learning_rate > 0)
        append_update(network, what, tensors, count);
    else
        append_average(network, what, tensors, count);
    nacre_release(bench->context, tensors);
    const nacre_cost cost = nacre_graph_cost(network->graph);
    bench->operations = what->update ? 0 : cost.operations;
    bench->bytes = cost.bytes;
    bench->parameters = nacre_model_elements(network->models[0], NACRE_ENTRY_PARAMETER);
    return nacre_check(bench->context) == NACRE_OK;
}

/* ---- one optimizer, as the comparison's other side has it ---------------------------------------------------------
 */

static bool create_one(nc_bench *bench)
{
    const bool complete = create(bench, bench->workload->details);
    bench->items = 1e-6 * (double)bench->parameters;
    return complete;
}

/* The other side has several implementations, this one has one. */
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

/* ---- all of them beside what memory can do ------------------------------------------------------------------------
 */

enum { LENGTH = 1 << 24 /* 64 MiB an array */ };

/* What is measured: one workload runs at a time. */
typedef struct row {
    double seconds, triad, in_place, peak; /* the update's least time; bytes and operations a second at best */
    nacre_cost cost;
} row;
static row rows[OPTIMIZER_COUNT];

static double rate_of(nacre_context *context, float *a, const float *b, const float *c)
{
    const double start = nacre_seconds();
    const double bytes = nacre_exercise_memory(context, a, b, c, LENGTH);
    return bytes / (nacre_seconds() - start);
}

/* Triad over three arrays fetches the lines that it overwrites, which nobody counts; in place it does not, and neither
 * do updates: that is the harder measure. */
static void measure_ceilings(nc_bench *bench, row *best)
{
    float *a = bench->state, *b = a + LENGTH, *c = a + 2 * (size_t)LENGTH;
    best->triad = fmax(best->triad, rate_of(bench->context, a, b, c));
    best->in_place = fmax(best->in_place, rate_of(bench->context, a, a, b));
    const double start = nacre_seconds();
    const double operations = nacre_exercise_arithmetic(bench->context, NACRE_F32);
    best->peak = fmax(best->peak, operations / (nacre_seconds() - start));
}

/* One optimizer in turn with the ceilings, for other machines may share the memory; so nothing of it stays in caches,
 * either. */
static bool measure_one(nc_bench *bench, const optimizer *what, row *best)
{
    nc_bench one = *bench;
    bool complete = create(&one, what) && nc_step_network(&one) >= 0;
    const double end = nacre_seconds() + bench->seconds / OPTIMIZER_COUNT;
    *best = (row){.seconds = INFINITY, .cost = {.bytes = one.bytes, .operations = one.operations}};
    for (int64_t i = 0; complete && (i < bench->least || nacre_seconds() < end); i++) {
        const double step = nc_step_network(&one);
        complete = step >= 0;
        best->seconds = fmin(best->seconds, step);
        measure_ceilings(bench, best);
    }
    bench->parameters = one.parameters;
    nc_close_network(&one);
    return complete;
}

static bool measure_all(nc_bench *bench, nc_series *times)
{
    double logarithms = 0, seconds = 0;
    for (int i = 0; i < OPTIMIZER_COUNT; i++) {
        if (!measure_one(bench, &OPTIMIZERS[i], &rows[i])) return false;
        seconds += rows[i].seconds;
        logarithms += log(rows[i].cost.bytes / rows[i].seconds * 1e-9);
    }
    bench->value = exp(logarithms / OPTIMIZER_COUNT);
    return nc_series_add(bench->context, times, seconds);
}

static bool create_arrays(nc_bench *bench)
{
    float *arrays = bench->state = nacre_allocate_aligned(bench->context, sizeof *arrays * 3 * LENGTH);
    for (int64_t i = 0; arrays && i < (int64_t)3 * LENGTH; i++) arrays[i] = 1;
    return arrays != NULL;
}

static void release_arrays(nc_bench *bench)
{
    nacre_release_aligned(bench->context, bench->state);
}

static void add_table(nc_bench *bench, cJSON *object)
{
    (void)bench;
    cJSON *table = cJSON_AddArrayToObject(object, "table");
    for (int i = 0; i < OPTIMIZER_COUNT; i++) {
        cJSON *line = cJSON_CreateObject();
        const row *found = &rows[i];
        const double bytes = found->cost.bytes / found->seconds, operations = found->cost.operations / found->seconds;
        cJSON_AddStringToObject(line, "optimizer", OPTIMIZERS[i].name);
        nc_add_rounded(line, "ms_min", found->seconds * 1e3, 3);
        nc_add_rounded(line, "gbyte", found->cost.bytes * 1e-9, 4);
        nc_add_rounded(line, "gbs", bytes * 1e-9, 1);
        nc_add_rounded(line, "triad_gbs", found->triad * 1e-9, 1);
        nc_add_rounded(line, "in_place_gbs", found->in_place * 1e-9, 1);
        nc_add_rounded(line, "of_triad", bytes / found->triad, 2);
        nc_add_rounded(line, "of_in_place", bytes / found->in_place, 2);
        if (operations > 0) nc_add_rounded(line, "of_peak", operations / found->peak, 2);
        cJSON_AddItemToArray(table, line);
    }
}

#define ONE(id, text, ...)                                                                                             \
    {                                                                                                                  \
        .name = id, .metric = "optimizer throughput", .unit = "Mparams/s", .summary = text, .create = create_one,      \
        .step = nc_step_network, .destroy = nc_close_network, .add_facts = add_facts,                                  \
        .details = &(const optimizer)__VA_ARGS__,                                                                      \
    }

const nc_workload nc_bench_optimizers[] = {
    ONE("adamw_step", "AdamW's update of ResNet-50's 161 tensors", ADAMW),
    ONE("sgd_step", "SGD's update of ResNet-50's 161 tensors, with momentum and weight decay", SGD),
    {
        .name = "optimizer_step",
        .metric = "geometric mean of the memory rate of each optimizer",
        .unit = "GB/s",
        .summary = "every optimizer's update of ResNet-50's 161 tensors, beside what memory can do",
        .create = create_arrays,
        .measure = measure_all,
        .destroy = release_arrays,
        .add_facts = add_table,
    },
    {0},
};

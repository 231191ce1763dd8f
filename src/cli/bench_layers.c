/* cli/bench_layers.c - convolutions of well-known networks one by one, by every algorithm that can.
 *
 * What counts is the time of the kernels alone: tensors are in the order of memory that the planner chose.
 */
#include "bench.h"

#include <nacre/backend.h>
#include <nacre/ops.h>
#include <nacre/profile.h>

#include <math.h>
#include <stdio.h>
#include <string.h>

/* Without bias, padding kernel / 2; the first layer of a network wants no gradient of its input. */
typedef struct layer {
    const char *name;
    int64_t batch, in, size, out, kernel, stride, groups;
    bool first;
} layer;

static const layer LAYERS[] = {
    {"r50 stem 7x7/2", 16, 3, 224, 64, 7, 2, 1, true},
    {"r50 1x1 64-64 @56", 16, 64, 56, 64, 1, 1, 1, false},
    {"r50 3x3 64 @56", 16, 64, 56, 64, 3, 1, 1, false},
    {"r50 1x1 64-256 @56", 16, 64, 56, 256, 1, 1, 1, false},
    {"r50 3x3 128 @28", 16, 128, 28, 128, 3, 1, 1, false},
    {"r50 1x1/2 256-512 @56", 16, 256, 56, 512, 1, 2, 1, false},
    {"r50 3x3 256 @14", 16, 256, 14, 256, 3, 1, 1, false},
    {"r50 1x1 1024-256 @14", 16, 1024, 14, 256, 1, 1, 1, false},
    {"r50 3x3 512 @7", 16, 512, 7, 512, 3, 1, 1, false},
    {"vgg 3x3 64 @224", 2, 64, 224, 64, 3, 1, 1, false},
    {"vgg 3x3 256 @56", 4, 256, 56, 256, 3, 1, 1, false},
    {"vgg 3x3 512 @28", 4, 512, 28, 512, 3, 1, 1, false},
    {"cifar 3x3 16 @32", 128, 16, 32, 16, 3, 1, 1, false},
    {"cifar 3x3 32 @16", 128, 32, 16, 32, 3, 1, 1, false},
    {"cifar 3x3 64 @8", 128, 64, 8, 64, 3, 1, 1, false},
    {"mbv2 dw3x3 144 @56", 16, 144, 56, 144, 3, 1, 144, false},
    {"mbv2 dw3x3 384 @14", 16, 384, 14, 384, 3, 1, 384, false},
};
enum { LAYER_COUNT = sizeof LAYERS / sizeof *LAYERS };

static const char *const OPS[] = {"conv", "conv_backward_data", "conv_backward_weight"};
enum { FORWARD, DATA, WEIGHT, DIRECTIONS };
static const char *const DIRECTION[] = {"forward", "data", "weight"};

/* The least time of one direction by one kernel. */
typedef struct timing {
    double seconds, operations;
    char kernel[48];
} timing;

/* An input that holds the same numbers in every graph that is built of the layer. */
static nacre_tensor *operand(nc_bench_network *network, int index, const char *name, nacre_shape shape)
{
    if (network->fed_count == index) return nc_feed_normal(network, name, shape);
    nacre_tensor *input = nacre_input(network->graph, name, NACRE_F32, shape);
    nacre_feed(input, network->fed[index]);
    return input;
}

/* A graph of one direction of the layer. */
static bool build(nc_bench_network *network, nacre_dtype precision, const layer *what, int direction)
{
    const nacre_conv_options options = {.stride = {what->stride, what->stride},
                                        .padding = {what->kernel / 2, what->kernel / 2},
                                        .groups = what->groups};
    nacre_graph_reset(network->graph);
    nacre_graph_set_precision(network->graph, precision);
    nacre_tensor *x = operand(network, 0, "x", NACRE_SHAPE(what->batch, what->in, what->size, what->size));
    nacre_tensor *w =
        operand(network, 1, "w", NACRE_SHAPE(what->out, what->in / what->groups, what->kernel, what->kernel));
    nacre_tensor *y = nacre_conv_with(x, w, NULL, &options), *result = y;
    if (direction != FORWARD) {
        nacre_tensor *dy = operand(network, 2, "dy", nacre_tensor_shape(y)), *of = direction == DATA ? x : w;
        nacre_vjp(&y, &dy, 1, &of, 1, &result);
    }
    nacre_output(result);
    return nacre_check(network->context) == NACRE_OK;
}

/* The fastest call of a direction in some runs. */
static bool time_runs(nc_bench *bench, nacre_graph *graph, int direction, timing *best)
{
    nacre_profile *profile = nacre_profile_create(bench->context);
    const double enough = bench->seconds * 0.04, begin = nacre_seconds(); /* 5 seconds asked for: a fifth of one */
    bool complete = profile && nacre_run(graph) == NACRE_OK;
    const double start = nacre_seconds();
    const int least = start - begin > enough ? 1 : 3;
    nacre_profile_start(profile);
    for (int i = 0; complete && (i < least || nacre_seconds() < start + enough); i++)
        complete = nacre_run(graph) == NACRE_OK;
    nacre_profile_stop(profile);
    nacre_profile_row row;
    for (int i = 0; complete && nacre_profile_at(profile, i, &row); i++) {
        if (strcmp(row.op, OPS[direction]) != 0) continue;
        *best = (timing){.seconds = row.least, .operations = row.operations / (double)row.calls};
        snprintf(best->kernel, sizeof best->kernel, "%s", row.variant);
    }
    nacre_profile_destroy(profile);
    return complete;
}

/* A step of a plan that is looked for: it computes `op`; by `variant` if that is not NULL. */
typedef struct wanted_step {
    const char *op, *variant;
    bool found;
} wanted_step;

static void look_at(void *user, const nacre_plan_step *step)
{
    wanted_step *wanted = user;
    if (!strcmp(step->op, wanted->op) && (!wanted->variant || !strcmp(step->variant, wanted->variant)))
        wanted->found = true;
}

/* By the kernel that the planner takes, or by `variant`; `best` stays as it was where that does not take the layer. */
static bool time_direction(nc_bench *bench, const layer *what, int direction, const char *variant, timing *best)
{
    nc_bench_network *network = bench->state;
    wanted_step wanted = {.op = OPS[direction], .variant = variant};
    if (variant) nacre_force_variant(bench->context, OPS[direction], variant);
    bool complete =
        build(network, bench->dtype, what, direction) && nacre_plan_visit(network->graph, look_at, &wanted) == NACRE_OK;
    if (complete && wanted.found) complete = time_runs(bench, network->graph, direction, best);
    nacre_force_variant(bench->context, NULL, NULL);
    return complete;
}

static double rate(const timing *time)
{
    return time->seconds > 0 ? time->operations / time->seconds * 1e-9 : 0;
}

/* Variants end in the instruction set that they are made for; those of lesser ones would only take time. */
static bool same_instructions(const char *variant, const char *other)
{
    const char *end = strrchr(variant, '_'), *other_end = strrchr(other, '_');
    return end && other_end && !strcmp(end, other_end);
}

/* Every other kernel of a direction that takes this layer, into `list`. */
static bool time_others(nc_bench *bench, const layer *what, int direction, const timing *chosen, cJSON *list)
{
    const nacre_op *op = nacre_op_find(OPS[direction]);
    const nacre_kernel *kernel;
    for (int i = 0; (kernel = nacre_kernel_at(bench->context, op, i)); i++) {
        timing best = {0};
        if (!same_instructions(kernel->variant, chosen->kernel) || !strcmp(kernel->variant, chosen->kernel)) continue;
        if (!time_direction(bench, what, direction, kernel->variant, &best)) return false;
        if (!*best.kernel) continue; /* it refused */
        cJSON *entry = cJSON_CreateObject();
        cJSON_AddStringToObject(entry, "direction", DIRECTION[direction]);
        cJSON_AddStringToObject(entry, "kernel", kernel->variant);
        nc_add_rounded(entry, "gfs", rate(&best), 1);
        cJSON_AddItemToArray(list, entry);
    }
    return true;
}

static cJSON *describe(const layer *what, const timing best[DIRECTIONS])
{
    cJSON *row = cJSON_CreateObject();
    double seconds = 0, operations = 0;
    cJSON_AddStringToObject(row, "layer", what->name);
    for (int k = 0; k < DIRECTIONS; k++) {
        seconds += best[k].seconds;
        operations += best[k].operations;
    }
    nc_add_rounded(row, "gflop_fwd", best[FORWARD].operations * 1e-9, 4);
    nc_add_rounded(row, "fwd_gfs", rate(&best[FORWARD]), 1);
    nc_add_rounded(row, "fwd_ms", 1e3 * best[FORWARD].seconds, 3);
    nc_add_rounded(row, "fwdbwd_gfs", operations / seconds * 1e-9, 1);
    nc_add_rounded(row, "fwdbwd_ms", 1e3 * seconds, 3);
    for (int k = 0; k < DIRECTIONS; k++) {
        char name[32];
        if (!*best[k].kernel) continue;
        snprintf(name, sizeof name, "%s_kernel", DIRECTION[k]);
        cJSON_AddStringToObject(row, name, best[k].kernel);
        snprintf(name, sizeof name, "%s_gfs", DIRECTION[k]);
        nc_add_rounded(row, name, rate(&best[k]), 1);
    }
    return row;
}

/* The layer by the kernels that the planner takes, then, forced, by the others. */
static cJSON *measure_layer(nc_bench *bench, const layer *what, timing best[DIRECTIONS])
{
    cJSON *row = NULL;
    bool complete = nc_open_network(bench) != NULL;
    for (int k = 0; complete && k < DIRECTIONS; k++)
        complete = (k == DATA && what->first) || time_direction(bench, what, k, NULL, &best[k]);
    if (complete) {
        row = describe(what, best);
        cJSON *others = cJSON_AddArrayToObject(row, "others");
        for (int k = 0; complete && k < DIRECTIONS; k++)
            complete = !*best[k].kernel || time_others(bench, what, k, &best[k], others);
    }
    nc_close_network(bench);
    bench->state = NULL;
    return row;
}

static bool measure(nc_bench *bench, nc_series *times)
{
    double logarithms = 0, seconds = 0;
    bench->table = cJSON_CreateArray();
    for (int i = 0; i < LAYER_COUNT; i++) {
        timing best[DIRECTIONS] = {{0}};
        cJSON *row = measure_layer(bench, &LAYERS[i], best);
        if (nacre_check(bench->context)) return false;
        cJSON_AddItemToArray(bench->table, row);
        logarithms += log(rate(&best[FORWARD]));
        seconds += best[FORWARD].seconds;
        bench->operations += best[FORWARD].operations;
    }
    bench->value = exp(logarithms / LAYER_COUNT);
    return nc_series_add(bench->context, times, seconds);
}

const nc_workload nc_bench_layers[] = {
    {
        .name = "conv_layers",
        .metric = "geometric mean of the forward rate of each layer",
        .unit = "GF/s",
        .summary = "17 convolutions of ResNet-50, VGG, MobileNetV2 and a CIFAR network, by each algorithm that can",
        .measure = measure,
        .half = true,
    },
    {0},
};

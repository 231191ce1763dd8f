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

/* Builds the layer with its gradients; what is measured are its nodes. */
static bool build(nc_bench_network *network, const layer *what)
{
    const nacre_conv_options options = {.stride = {what->stride, what->stride},
                                        .padding = {what->kernel / 2, what->kernel / 2},
                                        .groups = what->groups};
    nacre_tensor *x = nc_feed_normal(network, "x", NACRE_SHAPE(what->batch, what->in, what->size, what->size));
    nacre_tensor *w =
        nc_feed_normal(network, "w", NACRE_SHAPE(what->out, what->in / what->groups, what->kernel, what->kernel));
    nacre_tensor *y = nacre_conv_with(x, w, NULL, &options), *operands[] = {w, x}, *gradients[2];
    nacre_tensor *dy = nc_feed_normal(network, "dy", nacre_tensor_shape(y));
    nacre_output(y);
    const int wanted = what->first ? 1 : 2;
    nacre_vjp(&y, &dy, 1, operands, wanted, gradients);
    for (int i = 0; i < wanted; i++) nacre_output(gradients[i]);
    return nacre_check(network->context) == NACRE_OK;
}

/* The fastest call of each direction in some runs; a direction that did not run stays as it was. */
static bool time_runs(nc_bench *bench, nacre_graph *graph, timing best[DIRECTIONS])
{
    nacre_profile *profile = nacre_profile_create(bench->context);
    bool complete = profile && nacre_run(graph) == NACRE_OK;
    const double end = nacre_seconds() + bench->seconds * 0.04; /* 5 seconds asked for: a fifth of one */
    nacre_profile_start(profile);
    for (int i = 0; complete && (i < 3 || nacre_seconds() < end); i++) complete = nacre_run(graph) == NACRE_OK;
    nacre_profile_stop(profile);
    nacre_profile_row row;
    for (int i = 0; complete && nacre_profile_at(profile, i, &row); i++)
        for (int k = 0; k < DIRECTIONS; k++) {
            if (strcmp(row.op, OPS[k]) != 0) continue;
            best[k] = (timing){.seconds = row.least, .operations = row.operations / (double)row.calls};
            snprintf(best[k].kernel, sizeof best[k].kernel, "%s", row.variant);
        }
    nacre_profile_destroy(profile);
    return complete;
}

static double rate(const timing *time)
{
    return time->seconds > 0 ? time->operations / time->seconds * 1e-9 : 0;
}

/* Every other kernel of a direction that takes this layer, into `list`. */
static bool time_others(nc_bench *bench, nacre_graph *graph, int direction, const timing *chosen, cJSON *list)
{
    const nacre_op *op = nacre_op_find(OPS[direction]);
    const nacre_kernel *kernel;
    for (int i = 0; (kernel = nacre_kernel_at(bench->context, op, i)); i++) {
        timing best[DIRECTIONS] = {{0}};
        if (strcmp(kernel->variant, chosen->kernel) != 0) {
            nacre_force_variant(bench->context, op->name, kernel->variant);
            const bool complete = time_runs(bench, graph, best);
            nacre_force_variant(bench->context, NULL, NULL);
            if (!complete) return false;
        }
        if (strcmp(best[direction].kernel, kernel->variant) != 0) continue; /* it refused */
        cJSON *entry = cJSON_CreateObject();
        cJSON_AddStringToObject(entry, "direction", DIRECTION[direction]);
        cJSON_AddStringToObject(entry, "kernel", kernel->variant);
        nc_add_rounded(entry, "gfs", rate(&best[direction]), 1);
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
    nc_bench_network *network = nc_open_network(bench);
    cJSON *row = NULL;
    if (network && build(network, what) && time_runs(bench, network->graph, best)) {
        row = describe(what, best);
        cJSON *others = cJSON_AddArrayToObject(row, "others");
        for (int k = 0; k < DIRECTIONS; k++)
            if (*best[k].kernel && !time_others(bench, network->graph, k, &best[k], others)) break;
    }
    nc_close_network(bench);
    bench->state = NULL;
    return row;
}

static cJSON *table; /* of the layers that were measured; one workload runs at a time */

static bool measure(nc_bench *bench, nc_series *times)
{
    double logarithms = 0, seconds = 0;
    table = cJSON_CreateArray();
    for (int i = 0; i < LAYER_COUNT; i++) {
        timing best[DIRECTIONS] = {{0}};
        cJSON *row = measure_layer(bench, &LAYERS[i], best);
        if (nacre_check(bench->context)) return false;
        cJSON_AddItemToArray(table, row);
        logarithms += log(rate(&best[FORWARD]));
        seconds += best[FORWARD].seconds;
        bench->operations += best[FORWARD].operations;
    }
    bench->value = exp(logarithms / LAYER_COUNT);
    return nc_series_add(bench->context, times, seconds);
}

static bool create(nc_bench *bench)
{
    (void)bench;
    return true;
}

static void destroy(nc_bench *bench)
{
    (void)bench;
    cJSON_Delete(table);
    table = NULL;
}

static void add_facts(nc_bench *bench, cJSON *object)
{
    (void)bench;
    cJSON_AddItemToObject(object, "table", table);
    table = NULL;
}

const nc_workload nc_bench_layers[] = {
    {
        .name = "conv_layers",
        .metric = "geometric mean of the forward rate of each layer",
        .unit = "GF/s",
        .summary = "17 convolutions of ResNet-50, VGG, MobileNetV2 and a CIFAR network, by each algorithm that can",
        .create = create,
        .measure = measure,
        .destroy = destroy,
        .half = true,

        .add_facts = add_facts,
    },
    {0},
};

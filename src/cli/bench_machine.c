/* cli/bench_machine.c - what the machine can do at most, and what a node of a graph costs. */
#include "bench.h"

#include <nacre/backend.h>
#include <nacre/io.h>

#include <math.h>
#include <string.h>

/* ---- peak ----------------------------------------------------------------------------------------------------------
 */

static bool create_peak(nc_bench *bench)
{
    bench->operations = nacre_exercise_arithmetic(bench->context, bench->dtype);
    bench->items = bench->operations * 1e-9;
    return true;
}

static double step_peak(nc_bench *bench)
{
    const double start = nacre_seconds();
    nacre_exercise_arithmetic(bench->context, bench->dtype);
    return nacre_seconds() - start;
}

/* ---- memory --------------------------------------------------------------------------------------------------------
 */

enum { TRIAD_COUNT = 1 << 24 }; /* 64 MiB each, beyond most caches */

static bool create_triad(nc_bench *bench)
{
    float *arrays = bench->state = nacre_allocate_aligned(bench->context, sizeof(float) * 3 * TRIAD_COUNT);
    if (!arrays) return false;
    for (int64_t i = 0; i < (int64_t)3 * TRIAD_COUNT; i++) arrays[i] = 1;
    bench->bytes = 3.0 * sizeof(float) * TRIAD_COUNT;
    bench->items = bench->bytes * 1e-9;
    return true;
}

static double step_triad(nc_bench *bench)
{
    float *a = bench->state;
    const double start = nacre_seconds();
    nacre_exercise_memory(bench->context, a, a + TRIAD_COUNT, a + 2 * (size_t)TRIAD_COUNT, TRIAD_COUNT);
    return nacre_seconds() - start;
}

/* One array of the same size. */
static bool create_read(nc_bench *bench)
{
    const size_t bytes = sizeof(float) * 3 * TRIAD_COUNT;
    bench->state = nacre_allocate_aligned(bench->context, bytes);
    if (!bench->state) return false;
    memset(bench->state, 1, bytes);
    bench->bytes = (double)bytes;
    bench->items = bench->bytes * 1e-9;
    return true;
}

static double step_read(nc_bench *bench)
{
    const double start = nacre_seconds();
    nacre_exercise_reading(bench->context, bench->state, sizeof(float) * 3 * TRIAD_COUNT);
    return nacre_seconds() - start;
}

static void release_arrays(nc_bench *bench)
{
    nacre_release_aligned(bench->context, bench->state);
}

/* ---- graph ---------------------------------------------------------------------------------------------------------
 */

/* Dense layers on one sample of eight numbers: so little arithmetic that what is left is the cost of a node. */
enum { NODES = 1000, WIDTH = 8 };

static nacre_tensor *build(nacre_graph *graph)
{
    nacre_tensor *x = nacre_input(graph, "x", NACRE_F32, NACRE_SHAPE(1, WIDTH));
    nacre_tensor *weight = nacre_input(graph, "weight", NACRE_F32, NACRE_SHAPE(WIDTH, WIDTH));
    nacre_tensor *bias = nacre_input(graph, "bias", NACRE_F32, NACRE_SHAPE(WIDTH));
    while (x && nacre_graph_node_count(graph) < NODES)
        x = nacre_relu(nacre_add(nacre_matmul(x, weight, false, false), bias));
    nacre_output(x);
    return x;
}

static bool create_graph(nc_bench *bench)
{
    bench->state = nacre_graph_create(bench->context);
    return bench->state && build(bench->state) && nacre_plan(bench->state, NULL) == NACRE_OK;
}

/* As a model whose structure depends on its data does every step: forget, build, find the plan. */
static double step_graph(nc_bench *bench)
{
    const double start = nacre_seconds();
    nacre_graph_reset(bench->state);
    if (!build(bench->state) || nacre_plan(bench->state, NULL)) return -1;
    return nacre_seconds() - start;
}

/* Seconds a node of a run of tiny products, least of some runs: choosing nothing, computing next to nothing. */
static double dispatch_seconds(nacre_context *context, int *nodes)
{
    nacre_graph *graph = nacre_graph_create(context);
    const float one = 1;
    nacre_tensor *scalar = nacre_input(graph, "x", NACRE_F32, NACRE_SHAPE(1, 1)), *x = scalar;
    for (int i = 0; i < NODES; i++) x = nacre_matmul(x, scalar, false, false);
    nacre_feed(scalar, &one);
    nacre_output(x);
    nacre_plan_info info = {0};
    nacre_plan(graph, &info);
    double least = INFINITY;
    for (int i = 0; i < 200 && nacre_check(context) == NACRE_OK; i++) {
        const double start = nacre_seconds();
        nacre_run(graph);
        least = fmin(least, nacre_seconds() - start);
    }
    nacre_graph_destroy(graph);
    *nodes = info.nodes;
    return least / info.nodes;
}

static void add_graph_facts(nc_bench *bench, cJSON *object)
{
    cJSON_AddNumberToObject(object, "nodes", nacre_graph_node_count(bench->state));
    int nodes;
    const double seconds = dispatch_seconds(bench->context, &nodes);
    cJSON_AddNumberToObject(object, "run_nodes", nodes);
    cJSON_AddNumberToObject(object, "run_us_per_node", round(seconds * 1e9) * 1e-3);
}

static void destroy_graph(nc_bench *bench)
{
    nacre_graph_destroy(bench->state);
}

const nc_workload nc_bench_machine[] = {
    {
        .name = "graph",
        .metric = "rebuild a graph and find its plan",
        .unit = "ms",
        .summary = "build a graph of 1,000 nodes again, hash it and find its plan; then what running one node costs",
        .create = create_graph,
        .step = step_graph,
        .destroy = destroy_graph,
        .add_facts = add_graph_facts,
    },
    {
        .name = "peak",
        .metric = "multiply-adds in registers",
        .unit = "GFLOP/s",
        .summary = "multiply-adds that never leave the registers: the ceiling of arithmetic",
        .create = create_peak,
        .step = step_peak,
        .half = true,
    },
    {
        .name = "triad",
        .metric = "a = b + 0.5 c over arrays of 64 MiB",
        .unit = "GB/s",
        .summary = "a = b + 0.5 c over arrays beyond the caches: the ceiling of memory",
        .create = create_triad,
        .step = step_triad,
        .destroy = release_arrays,
    },
    {
        .name = "read",
        .metric = "192 MiB read in order",
        .unit = "GB/s",
        .summary = "an array beyond the caches read in order, nothing written: the ceiling of a token of generation",
        .create = create_read,
        .step = step_read,
        .destroy = release_arrays,
    },
    {0},
};

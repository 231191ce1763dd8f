/* cli/bench.c - fixed workloads, timed one step at a time. */
#include "bench.h"

#include <nacre/io.h>

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

static const nc_workload *const workloads[] = {&nc_bench_mlp_train, &nc_bench_lenet_train, &nc_bench_startup,
                                               &nc_bench_graph,     &nc_bench_peak,        &nc_bench_triad};
enum { WORKLOADS = sizeof workloads / sizeof *workloads };

/* ---- measuring ---------------------------------------------------------------------------------------------------
 */

typedef struct series {
    double *seconds; /* of each timed step */
    int count, capacity;
} series;

static bool add(nacre_context *context, series *times, double seconds)
{
    if (times->count == times->capacity) {
        int capacity = times->capacity ? 2 * times->capacity : 1024;
        double *grown = nacre_resize(context, times->seconds, sizeof(double) * (size_t)capacity);
        if (!grown) return false;
        times->seconds = grown;
        times->capacity = capacity;
    }
    times->seconds[times->count++] = seconds;
    return true;
}

/* At least three steps, and steps until half a second or fifty steps. */
static bool warm_up(const nc_workload *workload, nc_bench *bench)
{
    const double start = nacre_seconds();
    for (int i = 0; i < 3 || (i < 50 && nacre_seconds() - start < 0.5); i++)
        if (workload->step(bench) < 0) return false;
    return true;
}

static bool measure(const nc_workload *workload, nc_bench *bench, double seconds, int64_t least, series *times)
{
    if (!warm_up(workload, bench)) return false;
    const double end = nacre_seconds() + seconds;
    while (times->count < least || nacre_seconds() < end) {
        double step = workload->step(bench);
        if (step < 0 || !add(bench->context, times, step)) return false;
    }
    return true;
}

static int by_size(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* ---- reporting -----------------------------------------------------------------------------------------------------
 */

static double own_memory(void)
{
    struct rusage usage;
    getrusage(RUSAGE_SELF, &usage);
    return 1024.0 * (double)usage.ru_maxrss;
}

static void add_number(cJSON *object, const char *name, double value, int decimals)
{
    const double scale = pow(10, decimals);
    cJSON_AddNumberToObject(object, name, round(value * scale) / scale);
}

/* The same keys as the comparison's other side: see bench/compare. */
static cJSON *describe(const nc_workload *workload, nc_bench *bench, const series *times)
{
    cJSON *object = cJSON_CreateObject();
    const double least = times->seconds[0],
                 middle = times->count % 2
                              ? times->seconds[times->count / 2]
                              : 0.5 * (times->seconds[times->count / 2 - 1] + times->seconds[times->count / 2]);
    cJSON_AddStringToObject(object, "workload", workload->name);
    cJSON_AddStringToObject(object, "metric", workload->metric);
    add_number(object, "value", bench->items > 0 ? bench->items / middle : middle * 1e3, 3);
    cJSON_AddStringToObject(object, "unit", workload->unit);
    cJSON_AddNumberToObject(object, "threads", nacre_threads(bench->context));
    cJSON_AddStringToObject(object, "dtype", "fp32");
    cJSON_AddStringToObject(object, "nacre_version", nacre_version());
    add_number(object, "peak_rss_mb", (workload->memory ? workload->memory() : own_memory()) / 1048576, 1);
    add_number(object, "ms_median", middle * 1e3, 4);
    add_number(object, "ms_min", least * 1e3, 4);
    cJSON_AddNumberToObject(object, "iters", times->count);
    cJSON_AddStringToObject(object, "mode",
                            nacre_context_device(bench->context) == NACRE_DEVICE_REFERENCE ? "reference" : "plan");
    if (bench->items > 0) add_number(object, "value_best", bench->items / least, 3);
    if (bench->operations > 0) {
        add_number(object, "gflop_per_step", bench->operations * 1e-9, 4);
        add_number(object, "gfs_median", bench->operations / middle * 1e-9, 1);
        add_number(object, "gfs_best", bench->operations / least * 1e-9, 1);
    }
    if (bench->bytes > 0) {
        add_number(object, "gbyte_per_step", bench->bytes * 1e-9, 4);
        add_number(object, "gbs_best", bench->bytes / least * 1e-9, 1);
    }
    if (bench->parameters > 0) cJSON_AddNumberToObject(object, "params", (double)bench->parameters);
    if (workload->add_facts) workload->add_facts(bench, object);
    return object;
}

static nc_exit print(nc_call *call, cJSON *object)
{
    if (nc_flag(call, "json")) return nc_print_json(call, object);
    for (const cJSON *item = object ? object->child : NULL; item; item = item->next) {
        if (cJSON_IsNumber(item))
            printf("%-16s %.10g\n", item->string, item->valuedouble);
        else if (cJSON_IsString(item))
            printf("%-16s %s\n", item->string, item->valuestring);
    }
    cJSON_Delete(object);
    return object ? NC_EXIT_DONE : NC_EXIT_FAILED;
}

/* ---- the command ----------------------------------------------------------------------------------------------------
 */

static nc_exit run_workload(nc_call *call, const nc_workload *workload)
{
    nc_bench bench = {.context = call->context};
    series times = {0};
    nc_exit code = NC_EXIT_FAILED;
    if (workload->create(&bench) &&
        measure(workload, &bench, nc_number(call, "seconds"), nc_integer(call, "min-iters"), &times)) {
        qsort(times.seconds, (size_t)times.count, sizeof *times.seconds, by_size);
        code = print(call, describe(workload, &bench, &times));
    }
    workload->destroy(&bench);
    nacre_release(call->context, times.seconds);
    return code;
}

static nc_exit print_prediction(nc_call *call)
{
    if (strcmp(call->arguments[0], "startup") != 0) return nc_usage_error(call, "--once belongs to startup");
    const int class = nc_predict_once(call->context);
    if (class < 0) return NC_EXIT_FAILED;
    printf("%d\n", class);
    return NC_EXIT_DONE;
}

static int run(nc_call *call)
{
    const char *name = call->arguments[0];
    if (nc_flag(call, "once")) return print_prediction(call);
    for (int i = 0; i < WORKLOADS; i++)
        if (!strcmp(workloads[i]->name, name)) return run_workload(call, workloads[i]);
    for (int i = 0; i < WORKLOADS; i++) printf("%-14s %s\n", workloads[i]->name, workloads[i]->summary);
    return NC_EXIT_DONE;
}

const nc_command nc_command_bench = {
    .name = "bench",
    .summary = "time a fixed workload",
    .description =
        "Runs a workload again and again on one synthetic batch and prints how long a step takes: the median and the "
        "least, the rate that the median gives, the peak of resident memory and, where it means something, the rate "
        "of arithmetic or memory traffic. Making the batch and a warm-up (at least three steps, and steps until half "
        "a second or fifty steps) are not timed.\n\n"
        "'nacre bench list' tells what each workload does.",
    .with = NC_WITH_COMPUTE | NC_WITH_JSON,
    .options = (const nc_option[]){{.name = "seconds",
                                    .letter = 's',
                                    .type = NC_NUMBER,
                                    .argument = "S",
                                    .fallback = "5",
                                    .doc = "Time steps for this long."},
                                   {.name = "min-iters",
                                    .type = NC_INTEGER,
                                    .argument = "N",
                                    .fallback = "5",
                                    .doc = "Time at least this many steps."},
                                   {.name = "once",
                                    .type = NC_FLAG,
                                    .doc = "startup: make the one prediction, print its class, measure nothing."},
                                   {0}},
    .arguments = {{.name = "WORKLOAD",
                   .type = NC_CHOICE,
                   .choices = "mlp_train|lenet_train|startup|graph|peak|triad|list",
                   .doc = "What to time, or 'list'."}},
    .examples =
        (const nc_example[]){{"nacre bench lenet_train --threads 2", NULL}, {"nacre bench graph --json", NULL}, {0}},
    .run = run,
};

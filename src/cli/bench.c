/* cli/bench.c - fixed workloads, timed one step at a time. */
#include "bench.h"

#include <nacre/io.h>

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

static const nc_workload *const lists[] = {nc_bench_training,   nc_bench_inference, nc_bench_generation,
                                           nc_bench_optimizers, nc_bench_layers,    nc_bench_kernels,
                                           nc_bench_loading,    nc_bench_process,   nc_bench_machine};
enum { LISTS = sizeof lists / sizeof *lists };

/* ---- measuring -----------------------------------------------------------------------------------------------------
 */

bool nc_series_add(nacre_context *context, nc_series *times, double seconds)
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

static int by_size(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

void nc_series_sort(nc_series *times)
{
    if (times->count > 1) qsort(times->seconds, (size_t)times->count, sizeof *times->seconds, by_size);
}

double nc_series_median(const nc_series *times)
{
    const double *middle = times->seconds + times->count / 2;
    return times->count % 2 ? middle[0] : 0.5 * (middle[-1] + middle[0]);
}

static bool warm_up(nc_bench *bench)
{
    const nc_workload *workload = bench->workload;
    const double start = nacre_seconds();
    for (int i = 0; workload->warm_up ? i < workload->warm_up : i < 3 || (i < 50 && nacre_seconds() - start < 0.5); i++)
        if (workload->step(bench) < 0) return false;
    return true;
}

bool nc_bench_measure(nc_bench *bench, nc_series *times)
{
    if (!warm_up(bench)) return false;
    nacre_profile_start(bench->timed);
    const double end = nacre_seconds() + bench->seconds;
    bool complete = true;
    while (complete && (times->count < bench->least || nacre_seconds() < end)) {
        const double step = bench->workload->step(bench);
        complete = step >= 0 && nc_series_add(bench->context, times, step);
    }
    nacre_profile_stop(bench->timed);
    return complete;
}

/* ---- reporting -----------------------------------------------------------------------------------------------------
 */

static double own_memory(void)
{
    struct rusage usage;
    getrusage(RUSAGE_SELF, &usage);
    return 1024.0 * (double)usage.ru_maxrss;
}

void nc_add_rounded(cJSON *object, const char *name, double value, int decimals)
{
    const double scale = pow(10, decimals);
    cJSON_AddNumberToObject(object, name, round(value * scale) / scale);
}

static double value_of(const nc_bench *bench, double seconds)
{
    if (bench->items > 0) return bench->items / seconds;
    return bench->value > 0 ? bench->value : seconds * 1e3;
}

static void add_times(cJSON *object, const nc_bench *bench, const nc_series *times)
{
    const double least = times->seconds[0], middle = nc_series_median(times);
    nc_add_rounded(object, "value", value_of(bench, middle), 3);
    nc_add_rounded(object, "ms_median", middle * 1e3, 4);
    nc_add_rounded(object, "ms_min", least * 1e3, 4);
    cJSON_AddNumberToObject(object, "iters", times->count);
    if (bench->items > 0) nc_add_rounded(object, "value_best", bench->items / least, 3);
    if (bench->operations > 0) {
        nc_add_rounded(object, "gfs_median", bench->operations / middle * 1e-9, 1);
        nc_add_rounded(object, "gfs_best", bench->operations / least * 1e-9, 1);
    }
    if (bench->bytes > 0) nc_add_rounded(object, "gbs_best", bench->bytes / least * 1e-9, 1);
}

/* The same keys as the comparison's other side: see bench/compare. Without times only what a step is. */
static cJSON *describe(nc_bench *bench, const nc_series *times)
{
    const nc_workload *workload = bench->workload;
    cJSON *object = cJSON_CreateObject();
    cJSON_AddStringToObject(object, "workload", workload->name);
    cJSON_AddStringToObject(object, "metric", workload->metric);
    cJSON_AddStringToObject(object, "unit", workload->unit);
    cJSON_AddNumberToObject(object, "threads", nacre_threads(bench->context));
    cJSON_AddStringToObject(object, "dtype", bench->dtype == NACRE_BF16 ? "bf16" : "fp32");
    cJSON_AddStringToObject(object, "nacre_version", nacre_version());
    nc_add_rounded(object, "peak_rss_mb", (workload->memory ? workload->memory() : own_memory()) / 1048576, 1);
    cJSON_AddStringToObject(object, "mode",
                            nacre_context_device(bench->context) == NACRE_DEVICE_REFERENCE ? "reference" : "plan");
    if (bench->operations > 0) nc_add_rounded(object, "gflop_per_step", bench->operations * 1e-9, 4);
    if (bench->bytes > 0) nc_add_rounded(object, "gbyte_per_step", bench->bytes * 1e-9, 4);
    if (bench->parameters > 0) cJSON_AddNumberToObject(object, "params", (double)bench->parameters);
    if (times->count == 0) return object;
    add_times(object, bench, times);
    if (workload->add_facts) workload->add_facts(bench, object);
    if (bench->table) cJSON_AddItemReferenceToObject(object, "table", bench->table);
    return object;
}

static void print_value(const cJSON *item, const char *after)
{
    if (cJSON_IsNumber(item))
        printf("%.10g%s", item->valuedouble, after);
    else if (cJSON_IsString(item))
        printf("%s%s", item->valuestring, after);
}

/* Rows of a table, one a line: "layer=... fwd_gfs=...", and what is within them further in. */
static void print_rows(const cJSON *table, int indent)
{
    for (const cJSON *row = table->child; row; row = row->next) {
        printf("%*s", indent, "");
        for (const cJSON *cell = row->child; cell; cell = cell->next) {
            if (cJSON_IsArray(cell)) continue;
            printf("%s=", cell->string);
            print_value(cell, cell->next && !cJSON_IsArray(cell->next) ? "  " : "\n");
        }
        for (const cJSON *cell = row->child; cell; cell = cell->next)
            if (cJSON_IsArray(cell)) print_rows(cell, indent + 4);
    }
}

static nc_exit print(nc_call *call, cJSON *object)
{
    if (nc_flag(call, "json")) return nc_print_json(call, object);
    for (const cJSON *item = object ? object->child : NULL; item; item = item->next) {
        if (cJSON_IsArray(item)) {
            print_rows(item, 2);
            continue;
        }
        printf("%-16s ", item->string);
        print_value(item, "\n");
    }
    cJSON_Delete(object);
    return object ? NC_EXIT_DONE : NC_EXIT_FAILED;
}

/* ---- the command ----------------------------------------------------------------------------------------------------
 */

static nc_exit run_workload(nc_call *call, const nc_workload *workload)
{
    nc_bench bench = {.context = call->context,
                      .workload = workload,
                      .dtype = nc_choice(call, "dtype") == 1 ? NACRE_BF16 : NACRE_F32,
                      .seconds = nc_number(call, "seconds"),
                      .least = nc_integer(call, "min-iters")};
    nc_series times = {0};
    nc_exit code = NC_EXIT_FAILED;
    if (bench.dtype != NACRE_F32 && !workload->half)
        return nc_usage_error(call, "%s knows only --dtype fp32", workload->name);
    if (nc_flag(call, "profile")) bench.timed = nacre_profile_create(call->context);
    bool (*measure)(nc_bench *, nc_series *) = workload->measure ? workload->measure : nc_bench_measure;
    if ((!workload->create || workload->create(&bench)) && (nc_flag(call, "dry-run") || measure(&bench, &times))) {
        nc_series_sort(&times);
        code = print(call, describe(&bench, &times));
        if (bench.timed && code == NC_EXIT_DONE) {
            char trace[96];
            snprintf(trace, sizeof trace, "%s.trace.json", workload->name);
            code = nc_print_profile(call, bench.timed, NULL, trace);
        }
    }
    if (workload->destroy) workload->destroy(&bench);
    cJSON_Delete(bench.table);
    nacre_profile_destroy(bench.timed);
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
    for (int i = 0; i < LISTS; i++)
        for (const nc_workload *workload = lists[i]; workload->name; workload++)
            if (!strcmp(workload->name, name)) return run_workload(call, workload);
    for (int i = 0; i < LISTS; i++)
        for (const nc_workload *workload = lists[i]; workload->name; workload++)
            printf("%-20s %s\n", workload->name, workload->summary);
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
                                   {.name = "dtype",
                                    .type = NC_CHOICE,
                                    .choices = "fp32|bf16",
                                    .fallback = "fp32",
                                    .doc = "What products and convolutions compute in."},
                                   {.name = "profile",
                                    .letter = 'p',
                                    .type = NC_FLAG,
                                    .doc = "Print where the time of the timed steps went, operation by operation, and "
                                           "write a time line to WORKLOAD.trace.json."},
                                   {.name = "dry-run",
                                    .letter = 'n',
                                    .type = NC_FLAG,
                                    .doc = "Say what a step is - parameters, arithmetic, memory traffic - and run "
                                           "nothing."},
                                   {.name = "once",
                                    .type = NC_FLAG,
                                    .doc = "startup: make the one prediction, print its class, measure nothing."},
                                   {0}},
    .arguments =
        {{.name = "WORKLOAD",
          .type = NC_CHOICE,
          .choices =
              "mlp_train|lenet_train|resnet56_train|lstm_train|gpt_train|gpt2_train|dcgan_train|vae_train|"
              "resnet50_infer_b1|resnet50_infer_b16|mobilenetv2_infer_b1|vgg16_infer_b1|bert_infer|gpt2_generate|"
              "adamw_step|sgd_step|optimizer_step|conv_layers|products|passes|loader|startup|graph|peak|triad|read|"
              "list",
          .doc = "What to time, or 'list'."}},
    .examples =
        (const nc_example[]){{"nacre bench lenet_train --threads 2", NULL}, {"nacre bench graph --json", NULL}, {0}},
    .run = run,
};

/* bench.h - what a workload of `nacre bench` is. */
#ifndef NACRE_CLI_BENCH_H
#define NACRE_CLI_BENCH_H

#include "cli.h"

#include <nacre/nn.h>
#include <nacre/profile.h>
#include <nacre/recipe.h>
#include <nacre/zoo.h>

typedef struct nc_workload nc_workload;

/* A workload that is being measured. */
typedef struct nc_bench {
    nacre_context *context;
    const nc_workload *workload;
    nacre_dtype dtype;    /* to compute in: NACRE_F32 or NACRE_BF16 */
    double seconds;       /* to time steps for */
    int64_t least;        /* steps to time */
    nacre_profile *timed; /* of the timed steps; NULL: not wanted */
    /* What create and measure find out: */
    double items;       /* of `unit` a step: the rate is items / seconds; 0: see value */
    double value;       /* where there are no items; 0: the step's time in ms */
    double operations;  /* arithmetic a step, 0 if that says nothing */
    double bytes;       /* least memory traffic a step, 0 likewise */
    int64_t parameters; /* 0: no model */
    cJSON *table;       /* what was measured case by case, a row each; owned; NULL: a single case */
    void *state;
} nc_bench;

/* Seconds of timed steps. */
typedef struct nc_series {
    double *seconds;
    int count, capacity;
} nc_series;

struct nc_workload {
    const char *name, *metric, *unit, *summary;
    bool (*create)(nc_bench *bench);                    /* false after a recorded failure; NULL: nothing to do */
    double (*step)(nc_bench *bench);                    /* the seconds that count, negative after a recorded failure */
    void (*destroy)(nc_bench *bench);                   /* called in any case; NULL: nothing to do */
    bool (*measure)(nc_bench *bench, nc_series *times); /* instead of steps; NULL: nc_bench_measure */
    int warm_up;                                        /* steps before the clock; 0: see nc_bench_measure */
    bool half;                                          /* can be asked for bf16 */
    void (*add_facts)(nc_bench *bench, cJSON *object);  /* further fields; may measure; NULL: none */
    double (*memory)(void);                             /* peak resident bytes, NULL: of this process */
    const void *details;                                /* what the functions above share between workloads */
};

/* Lists of workloads, each ended by an empty one. */
extern const nc_workload nc_bench_training[], nc_bench_inference[], nc_bench_generation[], nc_bench_optimizers[],
    nc_bench_layers[], nc_bench_kernels[], nc_bench_loading[], nc_bench_process[], nc_bench_machine[];

/* Calls the step until bench->seconds have passed and bench->least steps are timed, after a warm-up of as many steps as
 * the workload says, else at least three, and steps until half a second or fifty steps. */
bool nc_bench_measure(nc_bench *bench, nc_series *times);
bool nc_series_add(nacre_context *context, nc_series *times, double seconds);
void nc_series_sort(nc_series *times);
double nc_series_median(const nc_series *times); /* of sorted ones */
void nc_add_rounded(cJSON *object, const char *name, double value, int decimals);

/* ---- networks ------------------------------------------------------------------------------------------------------
 */

/* A graph of one or two models and what it is fed. */
typedef struct nc_bench_network {
    nacre_context *context;
    nacre_graph *graph;
    nacre_model *models[2];
    nacre_tensor *step, *seed; /* fed the number of the run; NULL: not there */
    int64_t runs;
    void *fed[4]; /* arrays of the inputs */
    int fed_count;
} nc_bench_network;

/* The state of a workload that is a graph: opened by create; nc_step_network and nc_close_network are its functions.
 */
nc_bench_network *nc_open_network(nc_bench *bench);
double nc_step_network(nc_bench *bench);
void nc_close_network(nc_bench *bench);
/* An architecture of the zoo over tensors of the graph, with settings ended by a NULL name. */
nacre_tensor *nc_build_zoo(nc_bench_network *network, const char *name, const nacre_setting *settings, int model,
                           bool training, nacre_tensor *const *inputs, nacre_tensor **outputs, int output_limit);
/* An input that is fed the same numbers in every run: normal ones, uniform ones in [0, 1), or whole ones below `limit`.
 */
nacre_tensor *nc_feed_normal(nc_bench_network *network, const char *name, nacre_shape shape);
nacre_tensor *nc_feed_uniform(nc_bench_network *network, const char *name, nacre_shape shape);
nacre_tensor *nc_feed_whole(nc_bench_network *network, const char *name, nacre_shape shape, int64_t limit);

/* The class of an image of ones by a fresh LeNet: what the process that `startup` starts does; -1 after a failure. */
int nc_predict_once(nacre_context *context);
/* lenet_train's network: two convolutions, one pool, two full layers. */
nacre_tensor *nc_bench_lenet(nacre_scope scope, nacre_tensor *x);

#endif

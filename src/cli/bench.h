/* bench.h - what a workload of `nacre bench` is. */
#ifndef NACRE_CLI_BENCH_H
#define NACRE_CLI_BENCH_H

#include "cli.h"

/* What is known about a workload before it is measured. */
typedef struct nc_bench {
    nacre_context *context;
    double items;       /* of `unit` a step: the rate is items / seconds; 0: the value is the step's time */
    double operations;  /* arithmetic a step, 0 if that says nothing */
    double bytes;       /* least memory traffic a step, 0 likewise */
    int64_t parameters; /* 0: no model */
    void *state;
} nc_bench;

typedef struct nc_workload {
    const char *name, *metric, *unit, *summary;
    bool (*create)(nc_bench *bench); /* false after a recorded failure; `destroy` is called in any case */
    double (*step)(nc_bench *bench); /* the seconds that count, negative after a recorded failure */
    void (*destroy)(nc_bench *bench);
    void (*add_facts)(nc_bench *bench, cJSON *object); /* further fields; may measure; NULL: none */
    double (*memory)(void);                            /* peak resident bytes, NULL: of this process */
} nc_workload;

extern const nc_workload nc_bench_mlp_train, nc_bench_lenet_train, nc_bench_startup, nc_bench_graph, nc_bench_peak,
    nc_bench_triad;

/* What the process that `startup` starts does: the class of one image, -1 after a recorded failure. */
int nc_predict_once(nacre_context *context);

#endif

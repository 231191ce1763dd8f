/* train/advise.h - what the parts of advice share. */
#ifndef NC_TRAIN_ADVISE_H
#define NC_TRAIN_ADVISE_H

#include "train/experiment.h"

#include <nacre/advise.h>

typedef struct nc_advising {
    nacre_context *context;
    const nacre_recipe *recipe;
    nacre_advise_options options; /* with defaults filled in */
    nacre_advice *advice;
    nacre_dataset *pool; /* what the folds are made of */
    nacre_fold_options folds;
    double start;
    int64_t training, total; /* trainings begun; how many there will be */
} nc_advising;

/* Trains `recipe` on a fraction of each fold. What a pilot finds out stands in it; NACRE_OK also for one that failed.
 * NACRE_ERROR_CANCELLED without a message: time is over or the listener wants no more. More than `most_parameters`
 * (0: any number): NACRE_ERROR_UNSUPPORTED without a message. */
nacre_status nc_run_pilot(nc_advising *advising, const nacre_recipe *recipe, const char *name, double fraction,
                          int64_t most_parameters, nacre_pilot *pilot);

/* About how long one training of `recipe` on all samples of a fold takes, from a few timed steps; 0: unknown, also of
 * models with more parameters than that. */
double nc_pilot_seconds(nc_advising *advising, const nacre_recipe *recipe, int64_t most_parameters);

/* A text in the advice's pool; "" without memory. */
const char *nc_advice_text(nc_advising *advising, const char *format, ...) NACRE_PRINTF(2, 3);

/* advice.json, report.html and the pictures. */
nacre_status nc_write_advice(nacre_context *context, const nacre_recipe *recipe, const char *folder,
                             nacre_advice *advice);

#endif

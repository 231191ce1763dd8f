/* train/experiment.h - what the parts of an experiment share. */
#ifndef NC_TRAIN_EXPERIMENT_H
#define NC_TRAIN_EXPERIMENT_H

#include "train/network.h"

#include <nacre/report.h>

/* How many predictions and how many mistakes a report shows. */
enum { NC_SHOWN_SAMPLES = 24, NC_SHOWN_MISTAKES = 24 };

/* report.html and the curves as PNG in the experiment's folder. `gallery` NULL: no test part. */
nacre_status nc_experiment_report(nacre_context *context, nacre_experiment *experiment, nacre_gallery *gallery,
                                  nacre_experiment_result *result);

#endif

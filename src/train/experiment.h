/* train/experiment.h - what the parts of an experiment share. */
#ifndef NC_TRAIN_EXPERIMENT_H
#define NC_TRAIN_EXPERIMENT_H

#include "train/network.h"

/* Samples of the test part with what the model made of them: the first few, and the most confident mistakes. */
enum { NC_SHOWN_SAMPLES = 24, NC_SHOWN_MISTAKES = 24 };

typedef struct nc_prediction {
    int64_t index, truth, predicted; /* index: in the dataset */
    double probability;
} nc_prediction;

typedef struct nc_predictions {
    nacre_context *context;
    nacre_dataset *dataset;
    nc_prediction samples[NC_SHOWN_SAMPLES], mistakes[NC_SHOWN_MISTAKES]; /* mistakes: most confident first */
    int sample_count, mistake_count;
} nc_predictions;

/* For nacre_evaluate_options: classes only, other outputs are passed over. */
nacre_status nc_predictions_visit(void *predictions, const nacre_batch *batch, const float *outputs, int64_t columns);

/* report.html and curves.png in the experiment's folder. */
nacre_status nc_experiment_report(nacre_context *context, nacre_experiment *experiment,
                                  const nc_predictions *predictions, nacre_experiment_result *result);

#endif

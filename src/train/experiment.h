/* train/experiment.h - what the parts of an experiment share. */
#ifndef NC_TRAIN_EXPERIMENT_H
#define NC_TRAIN_EXPERIMENT_H

#include "train/network.h"

#include <nacre/report.h>

/* What the recipe says. */
nacre_optimizer nc_experiment_optimizer(const nacre_recipe *recipe);
nacre_schedule nc_experiment_schedule(const nacre_experiment *experiment);
nacre_averaging nc_experiment_averaging(const nacre_recipe *recipe);
/* What training.rate_scaling multiplies the learning rate by. */
double nc_rate_factor(const nacre_recipe *recipe);

/* What stands in for auto until nacre_recipe_settle has found it. */
enum { NC_UNSETTLED_BATCH = 64 };
int64_t nc_recipe_batch(const nacre_recipe *recipe);
int nc_recipe_workers(const nacre_recipe *recipe);
#include <nacre/train.h>

/* How many predictions and how many mistakes a report shows. */
enum { NC_SHOWN_SAMPLES = 24, NC_SHOWN_MISTAKES = 24 };

/* Everything that a recipe's data section names, and one part of it: NULL without a failure where there is none. */
nacre_dataset *nc_experiment_data(nacre_context *context, const nacre_recipe *recipe, const char *folder);
nacre_dataset *nc_experiment_part(nacre_context *context, nacre_dataset *all, const nacre_recipe *recipe,
                                  nacre_part part);

/* All training samples, with those that the recipe would draw for validation. */
nacre_dataset *nc_experiment_pool(nacre_context *context, nacre_dataset *all, const nacre_recipe *recipe);
/* The model text that a recipe names. */
nacre_text *nc_experiment_text(nacre_context *context, const nacre_recipe *recipe);

/* What learning_rate: auto stands for, and a sentence about it. */
enum { NC_RATE_TEXT = 192 };
nacre_status nc_experiment_rate(nacre_context *context, const nacre_fit_options *fit, double *rate,
                                char text[NC_RATE_TEXT]);

/* Where the output goes, in fresh memory: `output`, else the recipe's folder or runs/NAME, with `what` behind it
 * ("-tune", "" for a run itself). */
char *nc_experiment_folder(nacre_context *context, const nacre_recipe *recipe, const char *output, const char *what);

/* report.html and the curves as PNG in the experiment's folder. `gallery` NULL: no test part. */
nacre_status nc_experiment_report(nacre_context *context, nacre_experiment *experiment, nacre_gallery *gallery,
                                  nacre_experiment_result *result);

#endif

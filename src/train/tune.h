/* train/tune.h - what the parts of a search share. */
#ifndef NC_TRAIN_TUNE_H
#define NC_TRAIN_TUNE_H

#include <nacre/select.h>

/* Reads the ranges of the recipe and of the options into the result's pool. */
nacre_status nc_read_ranges(nacre_context *context, const nacre_recipe *recipe, const char *const *more,
                            nacre_tune_result *result);
/* Every setting that is to be tried, in the result's pool: drawn by seed, or the grid. */
nacre_status nc_choose_trials(nacre_context *context, const nacre_recipe *recipe, nacre_tune_result *result);
/* Where a trial's value of a range lies: the number, or the index of the choice. */
double nc_range_position(const nacre_range *range, const char *value);

/* Whether trial `a` did better than trial `b`; those without a value come last, of equals the one tried first. */
bool nc_trial_is_better(const nacre_tune_result *result, int64_t a, int64_t b);

/* best.yaml, parallel.png and report.html. `folder` is the output's. */
nacre_status nc_write_search(nacre_context *context, const nacre_recipe *recipe, const char *folder,
                             nacre_tune_result *result);

/* A recipe with the settings of a trial. */
nacre_recipe *nc_recipe_of_trial(nacre_context *context, const nacre_recipe *recipe, const nacre_tune_result *result,
                                 int64_t trial);

#endif

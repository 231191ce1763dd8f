/* select.h - choosing a model: cross-validation.
 *
 *     nacre_recipe *recipe = nacre_recipe_load(ctx, "iris.yaml", (const char *[]){"validation.folds=5", NULL});
 *     nacre_folds_result folds;
 *     if (nacre_cross_validate(ctx, recipe, "data", NULL, NULL, &folds) == NACRE_OK)
 *         printf("%s %.3f +- %.3f\n", folds.names[1], folds.spreads[1].mean, folds.spreads[1].deviation);
 *     nacre_folds_release(&folds);
 */
#ifndef NACRE_SELECT_H
#define NACRE_SELECT_H

#include <nacre/report.h>
#include <nacre/train.h>

#ifdef __cplusplus
extern "C" {
#endif

/* ---- means with their spread ------------------------------------------------------------------------------------- */

/* Of the values that are finite: their mean and their standard deviation (n - 1; 0 for one value). count 0: NaN. */
typedef struct nacre_spread {
    double mean, deviation;
    int64_t count;
} nacre_spread;
NACRE_API nacre_spread nacre_spread_of(const double *values, int64_t count);
/* "0.953 ± 0.012", with the digits that the deviation leaves sense to. */
#define NACRE_SPREAD_SIZE 64
NACRE_API char *nacre_text_spread(char text[NACRE_SPREAD_SIZE], nacre_spread spread);

/* ---- cross-validation -------------------------------------------------------------------------------------------- */

typedef struct nacre_folds_result {
    int folds, done;                               /* asked for; trained and measured */
    int metric_count;                              /* loss and the recipe's metrics */
    const char *const *names;                      /* of them: "loss", "accuracy" */
    const double *values;                          /* done * metric_count: of each fold's held-out samples */
    const nacre_spread *spreads;                   /* of each metric over the folds */
    const int64_t *train, *held_out, *best_epochs; /* of each fold */
    const char *report_path;                       /* NULL: not written */
    double seconds;
    bool cancelled;
    nacre_pool pool; /* holds all of this */
} nacre_folds_result;

typedef struct nacre_folds_options {
    bool resume; /* folds that are done are only measured again, one that was interrupted goes on */
    /* As in nacre_fit_options, with the fold from 1. */
    bool (*listen)(void *user, int fold, int folds, const nacre_fit_event *event);
    void (*measured)(void *user, const nacre_folds_result *so_far); /* after each fold; NULL: not wanted */
    void *listen_user;
} nacre_folds_options;

/* Trains as the recipe says, validation.folds times. Folds are made of all samples but the test part, which is not
 * touched. In each of them
 * - one fold is held out and only measured, at the end: nothing is chosen on it, not the epoch either;
 * - the epoch is chosen on data.validation's share of the other folds, drawn as ever (or on the official validation
 *   part); with data.validation 0 the last weights count;
 * - preprocessing is fitted on what is left, the samples trained on.
 * `output` (NULL: the recipe's, else runs/NAME) gets a folder fold-1, fold-2, ... of an ordinary run each, folds.json
 * and report.html. Before anything is trained, an error says that there are more folds than samples or groups, a class
 * with fewer samples than folds where validation.stratified is set, or no such column to group by. */
NACRE_API nacre_status nacre_cross_validate(nacre_context *context, const nacre_recipe *recipe, const char *data_folder,
                                            const char *output, const nacre_folds_options *options,
                                            nacre_folds_result *result);
NACRE_API void nacre_folds_release(nacre_folds_result *result);

#ifdef __cplusplus
}
#endif

#endif

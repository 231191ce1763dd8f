/* select.h - choosing a model: cross-validation, and the search for settings.
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
 * `output` (NULL: the recipe's or runs/NAME, and -folds) gets a folder fold-1, fold-2, ... of an ordinary run each,
 * folds.json and report.html. Before anything is trained, an error says that there are more folds than samples or
 * groups, a class with fewer samples than folds where validation.stratified is set, or no such column to group by. */
NACRE_API nacre_status nacre_cross_validate(nacre_context *context, const nacre_recipe *recipe, const char *data_folder,
                                            const char *output, const nacre_folds_options *options,
                                            nacre_folds_result *result);
NACRE_API void nacre_folds_release(nacre_folds_result *result);

/* ---- searching settings ------------------------------------------------------------------------------------------ */

/* What may be tried for one key of a recipe, as text:
 *     optimizer.learning_rate=1e-4..1e-1:log   a number, evenly in its logarithm
 *     model.parameters.dropout=0.0..0.5        a number
 *     model.parameters.layers=1..4             a whole number, as both ends are written without point or exponent
 *     training.batch_size=32,64,128            one of these, text or numbers
 * A last word ":7" is the number of points that a grid takes from a range (5, or all whole numbers if there are fewer).
 */
typedef enum nacre_range_kind { NACRE_RANGE_NUMBER, NACRE_RANGE_WHOLE, NACRE_RANGE_CHOICE } nacre_range_kind;

typedef struct nacre_range {
    const char *key;
    nacre_range_kind kind;
    double low, high;
    bool logarithmic;
    int points;                 /* of a grid */
    const char *const *choices; /* CHOICE */
    int choice_count;
} nacre_range;

typedef struct nacre_trial {
    const char *const *values; /* one per range, as they stand in the recipe */
    int64_t epochs;            /* trained; 0: not yet */
    int rung;                  /* of asha, from 0 */
    double value;   /* the deciding figure on the validation samples, of the best epoch so far; NaN: none, diverged */
    double seconds; /* of training */
    bool failed;    /* the loss was no number: tried and out */
} nacre_trial;

typedef struct nacre_tune_result {
    const nacre_range *ranges;
    int range_count;
    nacre_trial *trials;
    int64_t trial_count, runs; /* runs: trainings begun or continued */
    int64_t best;              /* index of the trial, -1: none */
    const int64_t *ranking;    /* all trials, the best first; NULL before the end */
    const char *deciding;      /* "accuracy": the recipe's first metric, else "loss" */
    bool higher_is_better;
    char *recipe_path, *report_path, *picture_path; /* NULL: not written */
    double seconds;                                 /* of all trainings, resumed ones counted */
    bool cancelled;
    nacre_pool pool; /* holds all of this */
} nacre_tune_result;

typedef struct nacre_tune_event {
    enum { NACRE_TUNE_FIT, NACRE_TUNE_TRIAL } kind;
    const nacre_tune_result *so_far;
    int64_t trial;                   /* index */
    int64_t run, runs;               /* from 1; how many there will be, as far as is known */
    int64_t from_epoch, to_epoch;    /* of this run */
    const nacre_fit_event *training; /* FIT; TRIAL: a run has ended, NULL */
} nacre_tune_event;

typedef struct nacre_tune_options {
    const char *const *ranges; /* "KEY=RANGE" ended by NULL, in addition to those of the recipe; NULL: none */
    bool resume;               /* go on with the search in `output`, which must be the same one */
    /* After each batch and each run; false stops as if killed. */
    bool (*listen)(void *user, const nacre_tune_event *event);
    void *listen_user;
} nacre_tune_options;

/* Trains the recipe with many settings and finds the best on its validation samples; the test part is not looked at.
 * - random: tune.trials settings, drawn by tune.seed, each trained for training.epochs;
 * - grid: every combination of the ranges' points;
 * - asha: settings as in random, of which one in tune.reduction goes on from rung to rung: after tune.min_epochs
 *   epochs, tune.reduction times as many, and so on to training.epochs (Li et al. 2020, "A system for massively
 *   parallel hyperparameter tuning"; one trial at a time, so the outcome depends on the seed alone). A trial that goes
 *   on continues from its checkpoint; its schedule is that of the whole run from the beginning. The best one is always
 *   trained to the end.
 * Settings that are all finite are tried once each at most.
 * `output` (NULL: the recipe's or runs/NAME, and -tune) gets tune.jsonl (a record per run, appended), trial-1, trial-2,
 * ... with checkpoints and logs, best.yaml, parallel.png and report.html. A search that was killed at any moment and is
 * resumed ends with the same log and the same bits. Before any training, an error says which range, which setting or
 * which combination of settings the recipe cannot take. */
NACRE_API nacre_status nacre_tune(nacre_context *context, const nacre_recipe *recipe, const char *data_folder,
                                  const char *output, const nacre_tune_options *options, nacre_tune_result *result);
NACRE_API void nacre_tune_release(nacre_tune_result *result);

#ifdef __cplusplus
}
#endif

#endif

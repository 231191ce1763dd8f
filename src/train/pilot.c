/* train/pilot.c - short trainings over folds, and what is measured in them. */
#include "train/advise.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

enum { MOST_FOLDS = 20, MOST_STRETCH = 10 };

/* One training of a pilot. */
typedef struct trial_run {
    nc_advising *advising;
    const nacre_experiment *experiment;
    const char *const *metrics;
    int64_t epochs; /* measured after the first and after the last */
    double first_loss, last_loss;
    struct measured {
        double train_loss, validation_loss, train_error, validation_error;
    } first, last;
    bool complete;
} trial_run;

const char *nc_advice_text(nc_advising *advising, const char *format, ...)
{
    va_list arguments, again;
    va_start(arguments, format);
    va_copy(again, arguments);
    size_t size = (size_t)vsnprintf(NULL, 0, format, arguments) + 1;
    char *text = nacre_pool_allocate(&advising->advice->pool, size);
    if (text) vsnprintf(text, size, format, again);
    va_end(again);
    va_end(arguments);
    return text ? text : "";
}

/* ---- measuring ---- */

static const char *const CLASS_METRICS[] = {"accuracy", NULL}, *const VALUE_METRICS[] = {"r2", NULL};

static nacre_status measure(const trial_run *run, nacre_dataset *dataset, double *loss, double *error)
{
    const nacre_experiment *experiment = run->experiment;
    const nacre_recipe *recipe = experiment->recipe;
    nacre_evaluation evaluation = {0};
    nacre_status status =
        nacre_evaluate(run->advising->context,
                       &(nacre_evaluate_options){.model = nacre_network_model(experiment->network),
                                                 .build = nacre_network_build,
                                                 .user = experiment->network,
                                                 .dataset = dataset,
                                                 .transforms = nacre_network_transforms(experiment->network),
                                                 .workers = nc_recipe_workers(recipe),
                                                 .loss = recipe->training.loss,
                                                 .metrics = run->metrics},
                       &evaluation);
    if (status == NACRE_OK) {
        *loss = evaluation.loss;
        *error = 1 - nacre_metrics_value(evaluation.metrics, 0);
    }
    nacre_metrics_destroy(evaluation.metrics);
    return status;
}

static void measure_both(const trial_run *run, struct measured *figures)
{
    const nacre_experiment *experiment = run->experiment;
    if (measure(run, experiment->train, &figures->train_loss, &figures->train_error) == NACRE_OK)
        measure(run, experiment->validation, &figures->validation_loss, &figures->validation_error);
}

static nacre_fit_answer watch(void *user, const nacre_fit_event *event)
{
    trial_run *run = user;
    nc_advising *advising = run->advising;
    nacre_advice *advice = advising->advice;
    const nacre_advise_options *options = &advising->options;
    if (event->kind == NACRE_FIT_EPOCH) {
        if (event->epoch == 1) {
            run->first_loss = event->train_loss;
            measure_both(run, &run->first);
        }
        run->last_loss = event->train_loss;
        run->complete = event->epoch == run->epochs;
        if (run->complete) measure_both(run, &run->last);
    }
    if (event->kind != NACRE_FIT_STEP && event->kind != NACRE_FIT_EPOCH) return NACRE_FIT_GO_ON;
    if (options->listen && !options->listen(options->listen_user, advising->training, advising->total, event))
        advice->cancelled = true;
    if (nacre_seconds() - advising->start > options->seconds) advice->out_of_time = true;
    return (advice->cancelled || advice->out_of_time) && !run->complete ? NACRE_FIT_INTERRUPT : NACRE_FIT_GO_ON;
}

/* ---- one training ---- */

/* Fewer samples get as many updates, by more epochs: what is compared is data, not work. */
static int64_t epochs_for(const nacre_recipe *recipe, double fraction)
{
    double stretch = fmin(1 / fraction, MOST_STRETCH);
    return (int64_t)ceil((double)recipe->training.epochs * stretch);
}

static nacre_experiment_parts cut_parts(const nc_advising *advising, double fraction, int fold)
{
    nacre_experiment_parts parts = {.validation =
                                        nacre_dataset_fold(advising->pool, fold, NACRE_TEST, &advising->folds)};
    parts.train = nacre_dataset_fold(advising->pool, fold, NACRE_TRAIN, &advising->folds);
    if (fraction >= 1 || !parts.train) return parts;
    int64_t count = (int64_t)ceil(fraction * (double)nacre_dataset_count(parts.train));
    nacre_dataset *fewer = nacre_dataset_subset(parts.train, count, (uint64_t)advising->recipe->data.seed);
    nacre_dataset_destroy(parts.train);
    parts.train = fewer;
    return parts;
}

static nacre_status fit(trial_run *run)
{
    nacre_callback callback = {.call = watch, .user = run};
    nacre_fit_options options = nacre_experiment_fit(run->experiment);
    nacre_fit_result result;
    options.folder = NULL;
    options.validation = NULL; /* the last weights count, and nothing stops early */
    options.metrics = run->metrics;
    options.patience = 0;
    options.epochs = run->epochs;
    options.callbacks = &callback;
    options.callback_count = 1;
    return nacre_fit(run->advising->context, &options, &result);
}

static nacre_status train_fold(nc_advising *advising, const nacre_recipe *recipe, double fraction, int fold,
                               int64_t most_parameters, trial_run *run, nacre_pilot *pilot)
{
    nacre_context *context = advising->context;
    nacre_experiment experiment;
    nacre_experiment_parts parts = cut_parts(advising, fraction, fold);
    nacre_status status = nacre_experiment_open_on(context, recipe, &parts, "", &experiment);
    if (status) return status;
    pilot->parameters = experiment.parameters;
    pilot->samples = nacre_dataset_count(experiment.train);
    if (most_parameters > 0 && experiment.parameters > most_parameters) {
        status = NACRE_ERROR_UNSUPPORTED;
    } else {
        *run = (trial_run){.advising = advising,
                           .experiment = &experiment,
                           .metrics = advising->advice->survey.regression ? VALUE_METRICS : CLASS_METRICS,
                           .epochs = epochs_for(recipe, fraction)};
        advising->training++;
        status = fit(run);
        if (status == NACRE_ERROR_NUMERIC) {
            nacre_clear(context);
            pilot->failed = true;
            status = NACRE_OK;
        }
        if (status == NACRE_OK && !run->complete && !pilot->failed) status = NACRE_ERROR_CANCELLED;
    }
    nacre_experiment_close(&experiment);
    return status;
}

double nc_pilot_seconds(nc_advising *advising, const nacre_recipe *recipe, int64_t most_parameters)
{
    enum { TIMED_STEPS = 6 };
    const double limit = 0.5;
    nacre_experiment experiment;
    nacre_experiment_parts parts = cut_parts(advising, 1, 0);
    nacre_fit_timing timing = {0};
    double seconds = 0;
    if (nacre_experiment_open_on(advising->context, recipe, &parts, "", &experiment)) return 0;
    if (experiment.parameters <= most_parameters) {
        nacre_fit_options fit = nacre_experiment_fit(&experiment);
        fit.validation = NULL;
        const double steps = ceil((double)nacre_dataset_count(experiment.train) / (double)fit.batch_size);
        nacre_status status = nacre_fit_time(advising->context, &fit, TIMED_STEPS, limit, &timing);
        if (status == NACRE_ERROR_NUMERIC) nacre_clear(advising->context); /* the pilot itself will say so */
        seconds = timing.step_seconds * steps * (double)(recipe->training.epochs + 1); /* 1: what is measured */
    }
    nacre_experiment_close(&experiment);
    return seconds;
}

/* ---- a pilot ---- */

/* The gap of the losses at the end beyond that after the first epoch; 0 unless the training loss fell. */
static double growth_of(const trial_run *run)
{
    const struct measured *a = &run->first, *b = &run->last;
    if (!(b->train_loss < a->train_loss)) return 0;
    return (b->validation_loss - b->train_loss) - (a->validation_loss - a->train_loss);
}

static void summarise(const nc_advising *advising, const trial_run *runs, nacre_pilot *pilot)
{
    int count = advising->folds.count;
    double train_error[MOST_FOLDS], validation_error[MOST_FOLDS], train_loss[MOST_FOLDS], *losses;
    losses = nacre_pool_allocate(&advising->advice->pool, (size_t)count * sizeof *losses);
    if (!losses) return;
    for (int f = 0; f < count; f++) {
        train_error[f] = runs[f].last.train_error;
        validation_error[f] = runs[f].last.validation_error;
        train_loss[f] = runs[f].last.train_loss;
        losses[f] = runs[f].last.validation_loss;
        pilot->gap_growth += growth_of(&runs[f]) / count;
        pilot->fall += (1 - runs[f].last_loss / runs[f].first_loss) / count;
    }
    pilot->losses = losses;
    pilot->train_error = nacre_spread_of(train_error, count);
    pilot->validation_error = nacre_spread_of(validation_error, count);
    pilot->train_loss = nacre_spread_of(train_loss, count);
    pilot->validation_loss = nacre_spread_of(losses, count);
}

nacre_status nc_run_pilot(nc_advising *advising, const nacre_recipe *recipe, const char *name, double fraction,
                          int64_t most_parameters, nacre_pilot *pilot)
{
    trial_run runs[MOST_FOLDS];
    double start = nacre_seconds();
    nacre_status status = NACRE_OK;
    *pilot = (nacre_pilot){.name = name, .fraction = fraction, .capacity = NAN};
    pilot->train_error.mean = pilot->validation_error.mean = NAN;
    pilot->train_loss.mean = pilot->validation_loss.mean = NAN;
    for (int f = 0; f < advising->folds.count && !status && !pilot->failed; f++)
        status = train_fold(advising, recipe, fraction, f, most_parameters, &runs[f], pilot);
    if (status == NACRE_OK && !pilot->failed) summarise(advising, runs, pilot);
    pilot->seconds = nacre_seconds() - start;
    advising->advice->pilots = advising->training;
    return nacre_check(advising->context) ? nacre_check(advising->context) : status;
}

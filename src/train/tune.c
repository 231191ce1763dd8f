/* train/tune.c - the search for settings: which trial runs next, its run, and the log. */
#include "train/tune.h"

#include "train/experiment.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

enum { MOST_RUNGS = 40, MOST_FIELDS = 48 };

typedef struct searching {
    nacre_context *context;
    const nacre_recipe *recipe;
    nacre_tune_options options;
    nacre_tune_result *result;
    char *folder;
    nacre_run_log *log;
    nacre_dataset *train, *validation; /* shared by all trials; NULL if they change the data */
    int64_t rungs[MOST_RUNGS];         /* epochs at each; the last is training.epochs */
    int rung_count;
    double *reached; /* [trial * rung_count + rung]: the value there; NaN with `done` set: failed */
    bool *done;      /* [trial * rung_count + rung] */
    bool resumed;    /* checkpoints in the folder are of this search */

    /* The run that goes on. */
    int64_t trial, from, to;
} searching;

/* ---- rungs and who comes next ---- */

/* A rung close below the last one would compare what is as good as finished. */
static void lay_rungs(searching *search)
{
    const nacre_recipe *recipe = search->recipe;
    int64_t last = recipe->training.epochs;
    bool early = !strcmp(recipe->tune.method, "asha");
    for (int64_t at = recipe->tune.min_epochs; early && at <= last / 2 && search->rung_count + 1 < MOST_RUNGS;
         at *= recipe->tune.reduction)
        search->rungs[search->rung_count++] = at;
    search->rungs[search->rung_count++] = last;
}

static int64_t cell(const searching *search, int64_t trial, int rung)
{
    return trial * search->rung_count + rung;
}

/* Whether `a` is better than `b` by their values at a rung; equals in their order. */
static bool is_ahead(const searching *search, int64_t a, int64_t b, int rung)
{
    double x = search->reached[cell(search, a, rung)], y = search->reached[cell(search, b, rung)];
    if (isnan(x) || isnan(y)) return isnan(y) && (!isnan(x) || a < b);
    if (x == y) return a < b;
    return search->result->higher_is_better ? x > y : x < y;
}

/* The best trial of a rung that may go on: it is among the first `places` there and has not gone on yet; -1: none. */
static int64_t find_promotable(const searching *search, int rung, int64_t places)
{
    int64_t best = -1;
    for (int64_t t = 0; t < search->result->trial_count; t++) {
        if (!search->done[cell(search, t, rung)] || search->done[cell(search, t, rung + 1)] ||
            isnan(search->reached[cell(search, t, rung)]))
            continue;
        int64_t ahead = 0;
        for (int64_t u = 0; u < search->result->trial_count; u++)
            ahead += u != t && search->done[cell(search, u, rung)] && is_ahead(search, u, t, rung);
        if (ahead < places && (best < 0 || is_ahead(search, t, best, rung))) best = t;
    }
    return best;
}

static int64_t count_done(const searching *search, int rung)
{
    int64_t count = 0;
    for (int64_t t = 0; t < search->result->trial_count; t++) count += search->done[cell(search, t, rung)];
    return count;
}

/* Algorithm 2 of Li et al. for one worker: promote where one may be, from the top; else begin another; at last let the
 * best of the highest rung finish. */
static bool next_run(const searching *search, int64_t *trial, int *rung)
{
    int last = search->rung_count - 1;
    for (*rung = last; *rung > 0; --*rung) {
        *trial = find_promotable(search, *rung - 1, count_done(search, *rung - 1) / search->recipe->tune.reduction);
        if (*trial >= 0) return true;
    }
    for (*trial = 0; *trial < search->result->trial_count; ++*trial)
        if (!search->done[cell(search, *trial, 0)]) return true;
    if (count_done(search, last) > 0) return false;
    for (*rung = last; *rung > 0; --*rung) {
        *trial = count_done(search, *rung - 1) > 0 ? find_promotable(search, *rung - 1, 1) : -1;
        if (*trial >= 0) return true;
    }
    return false;
}

/* How many runs the whole search takes as it looks now. */
static int64_t expect_runs(const searching *search)
{
    int64_t runs = 0, at_rung = search->result->trial_count;
    for (int r = 0; r < search->rung_count; r++) {
        runs += at_rung;
        at_rung /= search->recipe->tune.reduction;
        if (at_rung == 0) at_rung = 1;
    }
    return runs > search->result->runs ? runs : search->result->runs + 1;
}

bool nc_trial_is_better(const nacre_tune_result *result, int64_t a, int64_t b)
{
    const nacre_trial *x = &result->trials[a], *y = &result->trials[b];
    if (x->rung != y->rung && !isnan(x->value) && !isnan(y->value)) return x->rung > y->rung;
    if (isnan(x->value) || isnan(y->value)) return isnan(y->value) && (!isnan(x->value) || a < b);
    if (x->value == y->value) return a < b;
    return result->higher_is_better ? x->value > y->value : x->value < y->value;
}

/* Enters the outcome of a run, whether it has just ended or stands in the log. */
static void take_run(searching *search, int64_t index, int rung, double value, int64_t epochs, double seconds)
{
    nacre_tune_result *result = search->result;
    nacre_trial *trial = &result->trials[index];
    search->reached[cell(search, index, rung)] = value;
    search->done[cell(search, index, rung)] = true;
    trial->rung = rung;
    trial->value = value;
    trial->failed = isnan(value);
    trial->epochs = epochs;
    result->seconds += seconds - trial->seconds; /* a trial's seconds count all its runs */
    trial->seconds = seconds;
    result->runs++;
    result->best = -1;
    for (int64_t t = 0; t < result->trial_count; t++)
        if (!isnan(result->trials[t].value) && (result->best < 0 || nc_trial_is_better(result, t, result->best)))
            result->best = t;
}

/* ---- the log ---- */

/* What makes a search this one and no other. */
static void describe_search(const searching *search, nacre_buffer *text)
{
    const nacre_tune_result *result = search->result;
    const nacre_recipe *recipe = search->recipe;
    nacre_buffer_print(text, "%s, %lld trials, seed %lld, epochs", recipe->tune.method, (long long)result->trial_count,
                       (long long)recipe->tune.seed);
    for (int r = 0; r < search->rung_count; r++) nacre_buffer_print(text, " %lld", (long long)search->rungs[r]);
    for (int r = 0; r < result->range_count; r++) {
        const nacre_range *range = &result->ranges[r];
        nacre_buffer_print(text, "; %s=", range->key);
        for (int c = 0; c < range->choice_count; c++) nacre_buffer_print(text, "%s%s", c ? "," : "", range->choices[c]);
        if (range->kind != NACRE_RANGE_CHOICE)
            nacre_buffer_print(text, "%.17g..%.17g%s:%d", range->low, range->high, range->logarithmic ? ":log" : "",
                               range->points);
    }
}

static nacre_status read_log(searching *search, const char *path, const char *description)
{
    nacre_run_history *history = nacre_run_history_read(search->context, path);
    if (!history) return nacre_check(search->context);
    const char *before = nacre_run_history_text(history, "search", "search");
    nacre_series trials = nacre_run_history_series(history, "run", "rung", "trial");
    nacre_series values = nacre_run_history_series(history, "run", "epochs", "value");
    nacre_series seconds = nacre_run_history_series(history, "run", "step", "seconds");
    if (before && strcmp(before, description) != 0)
        nacre_fail(search->context, NACRE_ERROR_STATE,
                   "%s is the log of another search (%s); without --resume it is begun anew, or take another folder",
                   path, before);
    for (int64_t i = 0; i < trials.count && nacre_check(search->context) == NACRE_OK; i++) {
        int64_t trial = (int64_t)trials.y[i] - 1, rung = (int64_t)trials.x[i];
        bool fits = i < values.count && i < seconds.count && trial >= 0 && trial < search->result->trial_count &&
                    rung >= 0 && rung < search->rung_count;
        if (fits)
            take_run(search, trial, (int)rung, values.y[i], (int64_t)values.x[i], seconds.y[i]);
        else
            nacre_fail(search->context, NACRE_ERROR_FORMAT, "%s: run %lld is none of this search", path,
                       (long long)i + 1);
    }
    search->resumed = before != NULL;
    nacre_run_history_destroy(history);
    return nacre_check(search->context);
}

static char *trial_folder(const searching *search, int64_t trial)
{
    char name[32];
    snprintf(name, sizeof name, "trial-%lld", (long long)trial + 1);
    return nacre_path_join(search->context, search->folder, name);
}

/* What an earlier search has left must not be taken for this one's. */
static void remove_checkpoints(const searching *search)
{
    for (int64_t t = 0; t < search->result->trial_count; t++) {
        char *folder = trial_folder(search, t);
        char *path = folder ? nacre_path_join(search->context, folder, "last.safetensors") : NULL;
        if (path && nacre_path_exists(path)) nacre_file_remove(search->context, path);
        nacre_release(search->context, path);
        nacre_release(search->context, folder);
    }
}

static nacre_status open_log(searching *search)
{
    nacre_buffer description = nacre_buffer_create(search->context);
    char *path = nacre_path_join(search->context, search->folder, "tune.jsonl");
    describe_search(search, &description);
    if (path && !description.failed) {
        if (search->options.resume && nacre_path_exists(path)) read_log(search, path, description.data);
        if (!search->resumed && nacre_check(search->context) == NACRE_OK) remove_checkpoints(search);
        if (nacre_check(search->context) == NACRE_OK)
            search->log = nacre_run_log_open(search->context, path, search->resumed ? search->result->runs : -1);
        if (search->log && !search->resumed)
            nacre_run_log_append(search->log, "search", 0,
                                 &(nacre_log_field){.key = "search", .text = description.data}, 1);
    }
    nacre_release(search->context, path);
    nacre_buffer_destroy(&description);
    return nacre_check(search->context);
}

static nacre_status log_run(searching *search, int64_t index, int rung)
{
    const nacre_tune_result *result = search->result;
    const nacre_trial *trial = &result->trials[index];
    nacre_log_field fields[MOST_FIELDS] = {{.key = "trial", .value = (double)(index + 1)},
                                           {.key = "rung", .value = rung},
                                           {.key = "epochs", .value = (double)trial->epochs},
                                           {.key = "value", .value = trial->value},
                                           {.key = "seconds", .value = trial->seconds}};
    int count = 5;
    for (int r = 0; r < result->range_count && count < MOST_FIELDS; r++, count++)
        fields[count] = (nacre_log_field){.key = result->ranges[r].key, .text = trial->values[r]};
    nacre_status status = nacre_run_log_append(search->log, "run", result->runs, fields, count);
    return status ? status : nacre_run_log_sync(search->log);
}

/* ---- one run ---- */

static bool tell(searching *search, const nacre_fit_event *training)
{
    if (!search->options.listen) return true;
    nacre_tune_event event = {.kind = training ? NACRE_TUNE_FIT : NACRE_TUNE_TRIAL,
                              .so_far = search->result,
                              .trial = search->trial,
                              .run = search->result->runs + (training != NULL),
                              .runs = expect_runs(search),
                              .from_epoch = search->from,
                              .to_epoch = search->to,
                              .training = training};
    return search->options.listen(search->options.listen_user, &event);
}

/* A run ends with its rung, whose checkpoint the next one goes on from. One that was killed between its checkpoint and
 * its record has nothing left to do. */
static nacre_fit_answer watch(void *user, const nacre_fit_event *event)
{
    searching *search = user;
    bool last = event->epochs == search->to;
    if (event->kind == NACRE_FIT_BEGIN) {
        search->from = event->epoch - 1;
        return !last && event->epoch > search->to ? NACRE_FIT_INTERRUPT : NACRE_FIT_GO_ON;
    }
    if (event->kind == NACRE_FIT_END || tell(search, event))
        return event->kind == NACRE_FIT_EPOCH && event->epoch >= search->to && !last ? NACRE_FIT_INTERRUPT
                                                                                     : NACRE_FIT_GO_ON;
    search->result->cancelled = true;
    return NACRE_FIT_INTERRUPT;
}

static nacre_dataset *share(nacre_dataset *dataset)
{
    return dataset ? nacre_dataset_split(dataset, NACRE_ALL, NULL) : NULL;
}

static nacre_status open_trial(const searching *search, const nacre_recipe *recipe, const char *data_folder,
                               int64_t trial, nacre_experiment *experiment)
{
    char *folder = trial_folder(search, trial);
    if (!folder) return nacre_check(search->context);
    nacre_experiment_parts parts = {share(search->train), share(search->validation), NULL};
    if (search->train)
        nacre_experiment_open_on(search->context, recipe, &parts, folder, experiment);
    else
        nacre_experiment_open(search->context, recipe, data_folder, folder, experiment);
    nacre_release(search->context, folder);
    return nacre_check(search->context);
}

static bool has_checkpoint(const searching *search, const nacre_experiment *experiment)
{
    char *path = nacre_path_join(search->context, experiment->folder, "last.safetensors");
    bool there = path && nacre_path_exists(path);
    nacre_release(search->context, path);
    return there;
}

/* A loss that is no number is the outcome of a setting, not of the search. */
static nacre_status fit_trial(searching *search, const nacre_experiment *experiment, int rung)
{
    nacre_callback callback = {.call = watch, .user = search};
    nacre_fit_options fit = nacre_experiment_fit(experiment);
    nacre_fit_result fitted;
    fit.callbacks = &callback;
    fit.callback_count = 1;
    fit.resume = (rung > 0 || search->resumed) && has_checkpoint(search, experiment);
    nacre_status status = nacre_fit(search->context, &fit, &fitted);
    double value = fitted.best_value;
    if (status == NACRE_ERROR_NUMERIC) {
        nacre_log_message(search->context, NACRE_LOG_WARNING, "trial %lld is out: %s", (long long)search->trial + 1,
                          nacre_message(search->context));
        nacre_clear(search->context);
        status = NACRE_OK;
        value = NAN;
    }
    if (status || search->result->cancelled) return status;
    take_run(search, search->trial, rung, value, fitted.epochs, fitted.seconds);
    status = log_run(search, search->trial, rung);
    if (status == NACRE_OK && !tell(search, NULL)) search->result->cancelled = true;
    return status;
}

static nacre_status run_trial(searching *search, const char *data_folder, int64_t trial, int rung)
{
    nacre_experiment experiment;
    nacre_recipe *recipe = nc_recipe_of_trial(search->context, search->recipe, search->result, trial);
    if (!recipe) return nacre_check(search->context);
    search->trial = trial;
    search->to = rung + 1 < search->rung_count ? search->rungs[rung] : recipe->training.epochs;
    if (open_trial(search, recipe, data_folder, trial, &experiment) == NACRE_OK) {
        if (experiment.validation)
            fit_trial(search, &experiment, rung);
        else
            nacre_recipe_fail(search->recipe, "data.validation", NACRE_ERROR_ARGUMENT,
                              "leaves no samples to compare the trials on");
        nacre_experiment_close(&experiment);
    }
    nacre_recipe_destroy(recipe);
    return nacre_check(search->context);
}

/* ---- the search ---- */

static bool changes_data(const nacre_tune_result *result)
{
    for (int r = 0; r < result->range_count; r++)
        if (!strncmp(result->ranges[r].key, "data.", 5)) return true;
    return false;
}

static void open_data(searching *search, const char *data_folder)
{
    nacre_dataset *all = nc_experiment_data(search->context, search->recipe, data_folder);
    if (all) {
        search->train = nc_experiment_part(search->context, all, search->recipe, NACRE_TRAIN);
        search->validation = nc_experiment_part(search->context, all, search->recipe, NACRE_VALIDATION);
    }
    nacre_dataset_destroy(all);
}

static bool prepare(searching *search, const char *data_folder)
{
    nacre_tune_result *result = search->result;
    const nacre_recipe *recipe = search->recipe;
    const char *const *metrics = recipe->training.metrics;
    if (recipe->validation.folds > 0)
        nacre_recipe_fail(recipe, "validation.folds", NACRE_ERROR_ARGUMENT,
                          "must be 0 in a search, which compares trials on one validation part");
    if (nacre_check(search->context) || nc_read_ranges(search->context, recipe, search->options.ranges, result) ||
        nc_choose_trials(search->context, recipe, result))
        return false;
    for (int r = 0; r < result->range_count; r++)
        if (!strcmp(result->ranges[r].key, "training.epochs") && !strcmp(recipe->tune.method, "asha"))
            nacre_recipe_fail(recipe, "tune.method", NACRE_ERROR_ARGUMENT,
                              "cannot be asha where training.epochs is searched: it is what asha gives out");
    if (nacre_check(search->context)) return false;
    result->deciding = metrics && *metrics ? nacre_pool_copy(&result->pool, *metrics, strlen(*metrics)) : "loss";
    if (!result->deciding) return false;
    result->higher_is_better = nacre_metric_higher_is_better(result->deciding);
    lay_rungs(search);
    size_t cells = (size_t)(result->trial_count * search->rung_count);
    search->reached = nacre_pool_allocate(&result->pool, cells * sizeof *search->reached);
    search->done = nacre_pool_allocate(&result->pool, cells * sizeof *search->done);
    if (!changes_data(result)) open_data(search, data_folder);
    return nacre_check(search->context) == NACRE_OK;
}

static nacre_status search_all(searching *search, const char *data_folder)
{
    int64_t trial;
    int rung;
    if (open_log(search)) return nacre_check(search->context);
    while (!search->result->cancelled && next_run(search, &trial, &rung))
        if (run_trial(search, data_folder, trial, rung)) return nacre_check(search->context);
    if (search->result->cancelled) return nacre_check(search->context);
    if (search->result->best < 0)
        return nacre_fail(search->context, NACRE_ERROR_NUMERIC,
                          "no setting could be trained: the loss of every trial became infinite or NaN");
    return nc_write_search(search->context, search->recipe, search->folder, search->result);
}

nacre_status nacre_tune(nacre_context *context, const nacre_recipe *recipe, const char *data_folder, const char *output,
                        const nacre_tune_options *options, nacre_tune_result *result)
{
    *result = (nacre_tune_result){.best = -1, .pool = {.context = context}};
    searching search = {.context = context, .recipe = recipe, .result = result};
    if (options) search.options = *options;
    nacre_lock *lock = NULL;
    bool ready = prepare(&search, data_folder) &&
                 (search.folder = nc_experiment_folder(context, recipe, output, "-tune")) &&
                 nacre_make_directories(context, search.folder) == NACRE_OK &&
                 (lock = nacre_lock_directory(context, search.folder));
    if (ready) search_all(&search, data_folder);
    nacre_run_log_close(search.log);
    nacre_unlock(lock);
    nacre_release(context, search.folder);
    nacre_dataset_destroy(search.train);
    nacre_dataset_destroy(search.validation);
    return nacre_check(context);
}

void nacre_tune_release(nacre_tune_result *result)
{
    if (!result) return;
    nacre_pool_destroy(&result->pool);
    *result = (nacre_tune_result){.best = -1};
}

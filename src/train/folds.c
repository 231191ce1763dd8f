/* train/folds.c - cross-validation of a recipe. */
#include "train/experiment.h"

#include <nacre/select.h>

#include <math.h>
#include <stdio.h>
#include <string.h>

typedef struct validating {
    nacre_context *context;
    const nacre_recipe *recipe;
    nacre_folds_options options;
    nacre_folds_result *result;
    char *folder;
    nacre_dataset *pool, *validation; /* what the folds are made of; the official validation part or NULL */
    nacre_fold_options folds;
    int fold; /* from 0 */
    const char **names;
    double *values;
    nacre_spread *spreads;
    int64_t *train, *held_out, *best_epochs;
} validating;

/* ---- data ---- */

/* All training samples; those that the recipe would draw for validation are drawn within each fold instead. */
static bool open_pool(validating *all, const char *data_folder)
{
    nacre_recipe unsplit = *all->recipe;
    unsplit.data.validation = 0;
    nacre_dataset *data = nc_experiment_data(all->context, all->recipe, data_folder);
    if (data) {
        all->pool = nc_experiment_pool(all->context, data, all->recipe);
        all->validation = nc_experiment_part(all->context, data, &unsplit, NACRE_VALIDATION);
    }
    nacre_dataset_destroy(data);
    all->folds = (nacre_fold_options){.count = (int)all->recipe->validation.folds,
                                      .stratified = all->recipe->validation.stratified && !all->recipe->data.ordered &&
                                                    nacre_dataset_classes(all->pool) > 0,
                                      .ordered = all->recipe->data.ordered,
                                      .seed = (uint64_t)all->recipe->data.seed};
    nacre_dataset_destroy(nacre_dataset_fold(all->pool, 0, NACRE_TEST, &all->folds)); /* what cannot be, shows */
    return nacre_check(all->context) == NACRE_OK;
}

/* Another view of the same samples. */
static nacre_dataset *share(nacre_dataset *dataset)
{
    return dataset ? nacre_dataset_split(dataset, NACRE_ALL, NULL) : NULL;
}

static nacre_experiment_parts parts_of_fold(const validating *all)
{
    const nacre_recipe *recipe = all->recipe;
    nacre_experiment_parts parts = {.test = nacre_dataset_fold(all->pool, all->fold, NACRE_TEST, &all->folds)};
    nacre_dataset *others = nacre_dataset_fold(all->pool, all->fold, NACRE_TRAIN, &all->folds);
    nacre_split_options inner = {.validation = recipe->data.validation,
                                 .test = -1,
                                 .seed = (uint64_t)recipe->data.seed,
                                 .ordered = recipe->data.ordered};
    if (all->validation) {
        parts.train = others;
        parts.validation = share(all->validation);
        return parts;
    }
    parts.train = nacre_dataset_split(others, NACRE_TRAIN, &inner);
    if (inner.validation > 0) parts.validation = nacre_dataset_split(others, NACRE_VALIDATION, &inner);
    nacre_dataset_destroy(others);
    return parts;
}

/* ---- one fold ---- */

static bool listen(void *user, const nacre_fit_event *event)
{
    const validating *all = user;
    return all->options.listen(all->options.listen_user, all->fold + 1, all->folds.count, event);
}

static nacre_status open_fold(const validating *all, nacre_experiment *experiment)
{
    char name[32];
    snprintf(name, sizeof name, "fold-%d", all->fold + 1);
    char *folder = nacre_path_join(all->context, all->folder, name);
    nacre_experiment_parts parts = parts_of_fold(all);
    nacre_status status = nacre_experiment_open_on(all->context, all->recipe, &parts, folder ? folder : "", experiment);
    nacre_release(all->context, folder);
    return status;
}

/* The first fold tells which metrics there are. */
static bool make_room(validating *all, const nacre_evaluation *test)
{
    nacre_folds_result *result = all->result;
    nacre_pool *pool = &result->pool;
    size_t folds = (size_t)all->folds.count;
    result->metric_count = 1 + nacre_metrics_count(test->metrics);
    size_t metrics = (size_t)result->metric_count;
    result->names = all->names = nacre_pool_allocate(pool, metrics * sizeof *all->names);
    result->values = all->values = nacre_pool_allocate(pool, folds * metrics * sizeof *all->values);
    result->spreads = all->spreads = nacre_pool_allocate(pool, metrics * sizeof *all->spreads);
    result->train = all->train = nacre_pool_allocate(pool, folds * sizeof *all->train);
    result->held_out = all->held_out = nacre_pool_allocate(pool, folds * sizeof *all->held_out);
    result->best_epochs = all->best_epochs = nacre_pool_allocate(pool, folds * sizeof *all->best_epochs);
    for (int i = 0; all->names && i < result->metric_count; i++) {
        const char *name = i ? nacre_metrics_name(test->metrics, i - 1) : "loss";
        all->names[i] = nacre_pool_copy(pool, name, strlen(name));
    }
    return nacre_check(all->context) == NACRE_OK;
}

static nacre_status take_fold(validating *all, const nacre_experiment *experiment, nacre_experiment_result *outcome)
{
    nacre_folds_result *result = all->result;
    if (all->fold == 0 && !make_room(all, &outcome->test)) return nacre_check(all->context);
    double *row = all->values + (size_t)all->fold * (size_t)result->metric_count;
    row[0] = outcome->test.loss;
    for (int i = 1; i < result->metric_count; i++) row[i] = nacre_metrics_value(outcome->test.metrics, i - 1);
    all->train[all->fold] = nacre_dataset_count(experiment->train);
    all->held_out[all->fold] = nacre_dataset_count(experiment->test);
    all->best_epochs[all->fold] = outcome->fit.best_epoch;
    result->seconds += outcome->fit.seconds;
    result->done++;
    if (all->options.measured) all->options.measured(all->options.listen_user, result);
    return NACRE_OK;
}

static nacre_status run_fold(validating *all)
{
    nacre_experiment experiment;
    nacre_experiment_result outcome = {0};
    nacre_experiment_options options = {
        .resume = all->options.resume, .listen = all->options.listen ? listen : NULL, .listen_user = all};
    nacre_status status = open_fold(all, &experiment);
    if (status) return status;
    if (options.resume) {
        char *checkpoint = nacre_path_join(all->context, experiment.folder, "last.safetensors");
        options.resume = checkpoint && nacre_path_exists(checkpoint);
        nacre_release(all->context, checkpoint);
    }
    status = nacre_experiment_run(all->context, &experiment, &options, &outcome);
    all->result->cancelled = outcome.fit.cancelled;
    if (status == NACRE_OK && !outcome.fit.cancelled) status = take_fold(all, &experiment, &outcome);
    nacre_metrics_destroy(outcome.test.metrics);
    nacre_release(all->context, outcome.model_path);
    nacre_release(all->context, outcome.report_path);
    nacre_experiment_close(&experiment);
    return status;
}

/* ---- what all of them say ---- */

static void find_spreads(const validating *all)
{
    const nacre_folds_result *result = all->result;
    double *column = nacre_allocate(all->context, (size_t)(result->done + 1) * sizeof *column);
    for (int m = 0; column && m < result->metric_count; m++) {
        for (int f = 0; f < result->done; f++) column[f] = all->values[f * result->metric_count + m];
        all->spreads[m] = nacre_spread_of(column, result->done);
    }
    nacre_release(all->context, column);
}

static void write_json(const validating *all)
{
    const nacre_folds_result *result = all->result;
    nacre_buffer text = nacre_buffer_create(all->context);
    nacre_buffer_print(&text, "{\"folds\": [");
    for (int f = 0; f < result->done; f++) {
        nacre_buffer_print(&text, "%s\n  {\"train\": %lld, \"held_out\": %lld, \"best_epoch\": %lld", f ? "," : "",
                           (long long)result->train[f], (long long)result->held_out[f],
                           (long long)result->best_epochs[f]);
        for (int m = 0; m < result->metric_count; m++) {
            double value = result->values[f * result->metric_count + m];
            nacre_buffer_print(&text, ", \"%s\": ", result->names[m]);
            if (isfinite(value))
                nacre_buffer_number(&text, value);
            else
                nacre_buffer_print(&text, "null");
        }
        nacre_buffer_print(&text, "}");
    }
    nacre_buffer_print(&text, "\n], \"mean\": {");
    for (int m = 0; m < result->metric_count; m++) {
        nacre_buffer_print(&text, "%s\"%s\": {\"mean\": ", m ? ", " : "", result->names[m]);
        nacre_buffer_number(&text, result->spreads[m].mean);
        nacre_buffer_print(&text, ", \"deviation\": ");
        nacre_buffer_number(&text, result->spreads[m].deviation);
        nacre_buffer_print(&text, "}");
    }
    nacre_buffer_print(&text, "}}\n");
    char *path = nacre_path_join(all->context, all->folder, "folds.json");
    if (path && !text.failed) nacre_file_write(all->context, path, text.data, text.size);
    nacre_release(all->context, path);
    nacre_buffer_destroy(&text);
}

static const char *keep(validating *all, const char *text)
{
    const char *copy = nacre_pool_copy(&all->result->pool, text, strlen(text));
    return copy ? copy : "";
}

/* One row per fold. */
static nacre_report_table make_table(validating *all)
{
    const nacre_folds_result *result = all->result;
    int columns = 4 + result->metric_count;
    const char **names = nacre_pool_allocate(&all->result->pool, (size_t)columns * sizeof *names);
    const char **cells =
        nacre_pool_allocate(&all->result->pool, (size_t)columns * (size_t)result->done * sizeof *cells);
    if (!names || !cells) return (nacre_report_table){.title = "Folds"};
    static const char *const HEAD[] = {"fold", "trained on", "held out", "best epoch"};
    memcpy(names, HEAD, sizeof HEAD);
    memcpy(names + 4, result->names, (size_t)result->metric_count * sizeof *names);
    for (int f = 0; f < result->done; f++) {
        const char **row = cells + (size_t)f * (size_t)columns;
        char text[NACRE_NUMBER_SIZE];
        row[0] = keep(all, nacre_text_count(text, f + 1));
        row[1] = keep(all, nacre_text_count(text, result->train[f]));
        row[2] = keep(all, nacre_text_count(text, result->held_out[f]));
        row[3] = keep(all, nacre_text_count(text, result->best_epochs[f]));
        for (int m = 0; m < result->metric_count; m++)
            row[4 + m] = keep(all, nacre_text_value(text, result->values[f * result->metric_count + m]));
    }
    return (nacre_report_table){.title = "Folds",
                                .remark = "each measured on samples that nothing was fitted to or chosen on",
                                .columns = names,
                                .column_count = columns,
                                .cells = cells,
                                .row_count = result->done};
}

static void write_report(validating *all)
{
    const nacre_folds_result *result = all->result;
    nacre_pool *pool = &all->result->pool;
    nacre_report_table table = make_table(all);
    nacre_fact *facts = nacre_pool_allocate(pool, (size_t)result->metric_count * sizeof *facts);
    nacre_buffer settings = nacre_buffer_create(all->context);
    nacre_recipe_print(all->recipe, false, &settings);
    for (int m = 0; facts && m < result->metric_count; m++) {
        char text[NACRE_SPREAD_SIZE];
        int metric = (m + 1) % result->metric_count; /* the loss comes last */
        facts[m] = (nacre_fact){result->names[metric], keep(all, nacre_text_spread(text, result->spreads[metric]))};
    }
    char subtitle[160];
    snprintf(subtitle, sizeof subtitle, "%d-fold cross-validation on %.80s: mean ± standard deviation", result->done,
             nacre_dataset_name(all->pool));
    nacre_report report = {.title = all->recipe->name ? all->recipe->name : "Cross-validation",
                           .subtitle = subtitle,
                           .summary = facts,
                           .summary_count = facts ? result->metric_count : 0,
                           .tables = &table,
                           .table_count = 1,
                           .settings = settings.data};
    char *path = nacre_path_join(all->context, all->folder, "report.html");
    if (path && nacre_check(all->context) == NACRE_OK && nacre_report_write(all->context, &report, path) == NACRE_OK)
        all->result->report_path = keep(all, path);
    nacre_release(all->context, path);
    nacre_buffer_destroy(&settings);
}

/* ---- all folds ---- */

static void run_all(validating *all)
{
    for (all->fold = 0; all->fold < all->folds.count && !all->result->cancelled; all->fold++)
        if (run_fold(all)) return;
    if (all->result->cancelled) return;
    find_spreads(all);
    write_json(all);
    if (all->recipe->output.report) write_report(all);
}

nacre_status nacre_cross_validate(nacre_context *context, const nacre_recipe *recipe, const char *data_folder,
                                  const char *output, const nacre_folds_options *options, nacre_folds_result *result)
{
    *result = (nacre_folds_result){.folds = (int)recipe->validation.folds, .pool = {.context = context}};
    validating all = {.context = context, .recipe = recipe, .result = result};
    if (options) all.options = *options;
    nacre_lock *lock = NULL;
    bool ready =
        open_pool(&all, data_folder) && (all.folder = nc_experiment_folder(context, recipe, output, "-folds")) &&
        nacre_make_directories(context, all.folder) == NACRE_OK && (lock = nacre_lock_directory(context, all.folder));
    if (ready) run_all(&all);
    nacre_unlock(lock);
    nacre_release(context, all.folder);
    nacre_dataset_destroy(all.pool);
    nacre_dataset_destroy(all.validation);
    return nacre_check(context);
}

void nacre_folds_release(nacre_folds_result *result)
{
    if (!result) return;
    nacre_pool_destroy(&result->pool);
    *result = (nacre_folds_result){0};
}

/* cli/train.c */
#include "recipe.h"
#include "rehearse.h"
#include "watch.h"

#include <nacre/select.h>

/* ---- words before and after ---- */

static void introduce(const nacre_experiment *experiment)
{
    char train[NACRE_NUMBER_SIZE], parameters[NACRE_NUMBER_SIZE], other[NACRE_NUMBER_SIZE];
    fprintf(stderr, "%s: %s training samples", nacre_dataset_name(experiment->train),
            nacre_text_count(train, nacre_dataset_count(experiment->train)));
    if (experiment->validation)
        fprintf(stderr, ", %s validation", nacre_text_count(other, nacre_dataset_count(experiment->validation)));
    if (experiment->test) fprintf(stderr, ", %s test", nacre_text_count(other, nacre_dataset_count(experiment->test)));
    fprintf(stderr, "; model with %s parameters; output in %s\n", nacre_text_count(parameters, experiment->parameters),
            experiment->folder);
}

static void conclude(const nacre_experiment *experiment, const nacre_experiment_result *result)
{
    char text[NACRE_NUMBER_SIZE];
    if (result->fit.cancelled) {
        printf("interrupted after %lld steps; go on with --resume\n", (long long)result->fit.steps);
        return;
    }
    if (result->fit.stopped_early) printf("stopped early: no improvement\n");
    if (result->test.samples > 0) {
        printf("test");
        for (int i = 0; i < nacre_metrics_count(result->test.metrics); i++)
            printf("  %s %s", nacre_metrics_name(result->test.metrics, i),
                   nacre_text_value(text, nacre_metrics_value(result->test.metrics, i)));
        printf("  loss %s  (%lld samples, best epoch %lld of %lld, %s)\n", nacre_text_value(text, result->test.loss),
               (long long)result->test.samples, (long long)result->fit.best_epoch, (long long)result->fit.epochs,
               nacre_text_duration((char[NACRE_NUMBER_SIZE]){0}, result->fit.seconds));
    }
    printf("model  %s\n", result->model_path);
    if (result->report_path) printf("report %s\n", result->report_path);
    if (result->missed) printf("the recipe's target for %s was not reached\n", result->missed);
    (void)experiment;
}

static cJSON *to_json(const nacre_experiment *experiment, const nacre_experiment_result *result)
{
    cJSON *object = cJSON_CreateObject(), *metrics = cJSON_AddObjectToObject(object, "metrics");
    cJSON *test = cJSON_AddObjectToObject(metrics, "test");
    if (result->test.samples > 0) cJSON_AddNumberToObject(test, "loss", result->test.loss);
    for (int i = 0; i < nacre_metrics_count(result->test.metrics); i++)
        cJSON_AddNumberToObject(test, nacre_metrics_name(result->test.metrics, i),
                                nacre_metrics_value(result->test.metrics, i));
    cJSON_AddNumberToObject(object, "test_samples", (double)result->test.samples);
    cJSON_AddNumberToObject(object, "seed", (double)experiment->recipe->training.seed);
    cJSON_AddNumberToObject(object, "seconds", result->fit.seconds);
    cJSON_AddNumberToObject(object, "wait_seconds", result->fit.wait_seconds);
    cJSON_AddNumberToObject(object, "parameters", (double)experiment->parameters);
    cJSON_AddNumberToObject(object, "epochs", (double)result->fit.epochs);
    cJSON_AddNumberToObject(object, "best_epoch", (double)result->fit.best_epoch);
    cJSON_AddNumberToObject(object, "steps", (double)result->fit.steps);
    cJSON_AddBoolToObject(object, "stopped_early", result->fit.stopped_early);
    cJSON_AddBoolToObject(object, "target_reached", !result->missed && !result->fit.cancelled);
    if (result->model_path) cJSON_AddStringToObject(object, "model", result->model_path);
    if (result->report_path) cJSON_AddStringToObject(object, "report", result->report_path);
    return object;
}

/* ---- one run ---- */

/* Where a thread that computes has waited for those that load. */
static void advise(const nacre_experiment *experiment, const nacre_fit_result *fit, bool settled)
{
    int64_t workers = experiment->recipe->data.workers;
    double share = fit->seconds > 0 ? fit->wait_seconds / fit->seconds : 0;
    if (share < 0.05 || settled) return;
    fprintf(stderr, "%.0f %% of the time went into waiting for data, with data.workers %lld: ", 100 * share,
            (long long)workers);
    if (workers < nacre_machine_info()->cores)
        fprintf(stderr, "try data.workers=auto, which measures how many are best\n");
    else
        fprintf(stderr,
                "all %d cores load already; resize pictures once before, or use fewer steps in "
                "data.transforms\n",
                nacre_machine_info()->cores);
}

/* What crossed between program and device, all of the process. */
static cJSON *transfers_json(nc_call *call)
{
    nacre_transfers all = nacre_transfer_statistics(call->context);
    cJSON *object = cJSON_CreateObject();
    cJSON_AddNumberToObject(object, "runs", (double)all.runs);
    cJSON_AddNumberToObject(object, "borrowed_bytes", (double)all.borrowed_bytes);
    cJSON_AddNumberToObject(object, "in_bytes", (double)all.in_bytes);
    cJSON_AddNumberToObject(object, "out_bytes", (double)all.out_bytes);
    cJSON_AddNumberToObject(object, "out_calls", (double)all.out_calls);
    return object;
}

static int train_once(nc_call *call, nacre_experiment *experiment, const char *notes)
{
    nacre_context *context = call->context;
    nacre_experiment_result result = {0};
    nc_watch watch;
    if (!nc_flag(call, "quiet")) introduce(experiment);
    nc_watch_begin(&watch, call, NULL, 0);
    nacre_experiment_options options = {
        .resume = nc_flag(call, "resume"), .notes = notes, .listen = nc_watch_fit, .listen_user = &watch};
    nacre_profile *profile = nc_flag(call, "profile") ? nacre_profile_create(context) : NULL;
    nacre_profile_start(profile);
    nacre_status status = nacre_experiment_run(context, experiment, &options, &result);
    nacre_profile_stop(profile);
    nc_watch_end(&watch);
    int code = status || result.fit.cancelled ? NC_EXIT_FAILED : NC_EXIT_DONE;
    if (status == NACRE_OK && nc_flag(call, "json")) {
        cJSON *object = to_json(experiment, &result);
        cJSON_AddItemToObject(object, "transfers", transfers_json(call));
        if (nc_print_json(call, object)) code = NC_EXIT_FAILED;
    } else if (status == NACRE_OK) {
        conclude(experiment, &result);
    }
    if (status == NACRE_OK && !nc_flag(call, "quiet")) advise(experiment, &result.fit, notes != NULL);
    if (code == NC_EXIT_DONE && result.missed && nc_flag(call, "require-target")) code = NC_EXIT_FAILED;
    if (profile && status == NACRE_OK && nc_print_profile(call, profile, experiment->folder, "trace.json"))
        code = NC_EXIT_FAILED;
    nacre_profile_destroy(profile);
    nacre_metrics_destroy(result.test.metrics);
    nacre_release(context, result.model_path);
    nacre_release(context, result.report_path);
    return code;
}

/* ---- cross-validation ---- */

static bool listen_to_folds(void *user, int fold, int folds, const nacre_fit_event *event)
{
    nc_watch *watch = user;
    watch->total = folds;
    nc_watch_next(watch, fold);
    return nc_watch_fit(watch, event);
}

static void measured_fold(void *user, const nacre_folds_result *result)
{
    nacre_named_value values[16];
    int fold = result->done - 1, count = result->metric_count < 16 ? result->metric_count : 16;
    for (int i = 0; i < count; i++)
        values[i] = (nacre_named_value){result->names[i], result->values[fold * result->metric_count + i]};
    nc_watch *watch = user;
    nc_watch_next(watch, result->done);
    nc_watch_finish(watch, values, count, NULL);
}

static void conclude_folds(const nacre_folds_result *result)
{
    char text[NACRE_SPREAD_SIZE];
    printf("%d folds, mean ± standard deviation:", result->done);
    for (int i = 1; i <= result->metric_count; i++) {
        int metric = i % result->metric_count; /* the loss comes last */
        printf("  %s %s", result->names[metric], nacre_text_spread(text, result->spreads[metric]));
    }
    printf("  (%s)\n", nacre_text_duration(text, result->seconds));
    if (result->report_path) printf("report %s\n", result->report_path);
}

static cJSON *folds_to_json(const nacre_folds_result *result)
{
    cJSON *object = cJSON_CreateObject(), *metrics = cJSON_AddObjectToObject(object, "metrics");
    cJSON *means = cJSON_AddObjectToObject(metrics, "mean"), *spreads = cJSON_AddObjectToObject(metrics, "deviation");
    cJSON *all = cJSON_AddArrayToObject(object, "folds");
    for (int f = 0; f < result->done; f++) {
        cJSON *fold = cJSON_CreateObject();
        cJSON_AddNumberToObject(fold, "train", (double)result->train[f]);
        cJSON_AddNumberToObject(fold, "held_out", (double)result->held_out[f]);
        for (int i = 0; i < result->metric_count; i++)
            cJSON_AddNumberToObject(fold, result->names[i], result->values[f * result->metric_count + i]);
        cJSON_AddItemToArray(all, fold);
    }
    for (int i = 0; i < result->metric_count; i++) {
        cJSON_AddNumberToObject(means, result->names[i], result->spreads[i].mean);
        cJSON_AddNumberToObject(spreads, result->names[i], result->spreads[i].deviation);
    }
    cJSON_AddNumberToObject(object, "seconds", result->seconds);
    if (result->report_path) cJSON_AddStringToObject(object, "report", result->report_path);
    return object;
}

static int cross_validate(nc_call *call, const nacre_recipe *recipe)
{
    nacre_folds_result result;
    nc_watch watch;
    nc_watch_begin(&watch, call, "fold", recipe->validation.folds);
    nacre_folds_options options = {
        .resume = nc_flag(call, "resume"), .listen = listen_to_folds, .measured = measured_fold, .listen_user = &watch};
    nacre_status status =
        nacre_cross_validate(call->context, recipe, nc_data_folder(call), nc_text(call, "output"), &options, &result);
    nc_watch_end(&watch);
    int code = status || result.cancelled ? NC_EXIT_FAILED : NC_EXIT_DONE;
    if (result.cancelled)
        printf("interrupted in fold %d; go on with --resume\n", result.done + 1);
    else if (status == NACRE_OK && nc_flag(call, "json"))
        code = (int)nc_print_json(call, folds_to_json(&result));
    else if (status == NACRE_OK)
        conclude_folds(&result);
    nacre_folds_release(&result);
    return code;
}

/* ---- the command ---- */

static int train_or_rehearse(nc_call *call, nacre_recipe *recipe, const char *notes)
{
    nacre_experiment experiment;
    int code = NC_EXIT_FAILED;
    if (nacre_experiment_open(call->context, recipe, nc_data_folder(call), nc_text(call, "output"), &experiment) ==
        NACRE_OK) {
        code = nc_flag(call, "dry-run")       ? (int)nc_dry_run(call, &experiment)
               : nc_is_given(call, "overfit") ? (int)nc_overfit(call, &experiment, nc_integer(call, "overfit"))
                                              : train_once(call, &experiment, notes);
        nacre_experiment_close(&experiment);
    }
    return code;
}

/* With what the recipe leaves to measuring found first. */
static int settle_and_train(nc_call *call, nacre_recipe *recipe)
{
    const bool folds = recipe->validation.folds > 0;
    nacre_buffer words = nacre_buffer_create(call->context);
    const nacre_settle_options options = {.purpose = folds ? NACRE_SETTLE_FOLDS : NACRE_SETTLE_RUN,
                                          .output = nc_text(call, "output"),
                                          .resume = nc_flag(call, "resume"),
                                          .words = &words};
    int code = nc_settle_recipe(call, recipe, &options);
    if (code == NC_EXIT_DONE)
        code =
            folds ? cross_validate(call, recipe) : train_or_rehearse(call, recipe, words.size > 0 ? words.data : NULL);
    nacre_buffer_destroy(&words);
    return code;
}

static int run(nc_call *call)
{
    char folds[64] = "";
    const char *more[] = {NULL, NULL};
    int code;
    if (nc_is_given(call, "folds")) {
        snprintf(folds, sizeof folds, "validation.folds=%lld", (long long)nc_integer(call, "folds"));
        more[0] = folds;
    }
    nacre_recipe *recipe = nc_open_recipe(call, call->arguments[0], more, &code);
    if (recipe && recipe->validation.folds > 0 && nc_flag(call, "profile"))
        code = (int)nc_usage_error(call, "--profile is of one run, not of folds");
    else if (recipe)
        code = settle_and_train(call, recipe);
    nacre_recipe_destroy(recipe);
    return code;
}

static const nc_option OPTIONS[] = {
    NC_SET_OPTION,
    {"output", 'o', NC_FOLDER, "DIR", NULL, NULL, false,
     "The folder for model, checkpoints, log and report. Without it the recipe's, else runs/NAME."},
    {"resume", 'r', NC_FLAG, NULL, NULL, NULL, false, "Go on from the last checkpoint in the output folder."},
    {"folds", 'k', NC_INTEGER, "K", NULL, NULL, false,
     "Cross-validation: train K times, each time with another part of the training samples held out and measured; the "
     "recipe's validation.folds."},
    {"dry-run", 'n', NC_FLAG, NULL, NULL, NULL, false,
     "Show layers, memory to the byte and the time it will take, after a few timed steps; nothing is written."},
    {"overfit", 0, NC_INTEGER, "N", NULL, NULL, false,
     "Check that the model can learn: train on one batch of N samples alone until the loss is near 0, without "
     "augmentation and decay; fail if that cannot be. Nothing is written."},
    {"profile", 'p', NC_FLAG, NULL, NULL, NULL, false,
     "Print where the time went, operation by operation, and write a time line to trace.json in the output folder."},
    {"require-target", 0, NC_FLAG, NULL, NULL, NULL, false, "Fail if a target figure of the recipe is not reached."},
    {0},
};

static const nc_example EXAMPLES[] = {
    {"nacre train recipes/glyphs.yaml", "Digits that the program draws itself: needs no data."},
    {"nacre train recipes/fashion-mnist.yaml --data data --set training.epochs=3", "Three epochs only."},
    {"nacre train recipes/mnist.yaml -o runs/a --resume", "Go on after an interruption."},
    {"nacre train recipes/glyphs.yaml --dry-run", "Will it fit, and how long will it take?"},
    {"nacre train recipes/glyphs.yaml --overfit 32", "Can the model learn at all?"},
    {"nacre train iris.yaml --folds 5", "How good is the recipe? Mean and standard deviation over five folds."},
    {0},
};

const nc_command nc_command_train = {
    .name = "train",
    .summary = "train a model as a recipe says",
    .description =
        "Trains, keeps the weights that are best on the validation data, measures them on the test data, and writes "
        "into the output folder: model.safetensors (weights, model text, preprocessing, labels, figures), "
        "last.safetensors (checkpoint for --resume), log.jsonl, report.html and curves as PNG.\n\n"
        "An interrupted run (Ctrl-C, kill, power cut) goes on with --resume and ends with the same bits as if it had "
        "not been interrupted. With --json the last line on stdout is an object with metrics.test.NAME, seed, seconds "
        "and parameters.",
    .with = NC_WITH_DATA | NC_WITH_COMPUTE | NC_WITH_SEED | NC_WITH_JSON | NC_WITH_QUIET,
    .options = OPTIONS,
    .arguments = {{"RECIPE", false, false, NC_FILE, NULL,
                   "A YAML file that says which data, which model and how to train it."}},
    .examples = EXAMPLES,
    .run = run,
};

/* cli/train.c */
#include "cli.h"

#include <nacre/report.h>

#include <signal.h>
#include <string.h>
#include <unistd.h>

enum { MAX_SETTINGS = 64, MAX_VALUES = 12 };

static volatile sig_atomic_t interrupted;

static void interrupt(int signal_number)
{
    (void)signal_number;
    interrupted = 1;
}

/* ---- progress ---- */

static void write_error(void *user, const char *text, size_t size)
{
    (void)user;
    fwrite(text, 1, size, stderr);
    fflush(stderr);
}

static int columns(void *user)
{
    (void)user;
    return nacre_terminal_columns(STDERR_FILENO);
}

typedef struct audience {
    nacre_progress *progress; /* NULL: quiet */
} audience;

static int add_values(nacre_named_value *values, int count, char names[][64], const char *prefix, double loss,
                      nacre_metrics *metrics)
{
    snprintf(names[count], 64, "%sloss", prefix);
    values[count] = (nacre_named_value){names[count], loss};
    count++;
    for (int i = 0; i < nacre_metrics_count(metrics) && count < MAX_VALUES; i++, count++) {
        snprintf(names[count], 64, "%s%s", prefix, nacre_metrics_name(metrics, i));
        values[count] = (nacre_named_value){names[count], nacre_metrics_value(metrics, i)};
    }
    return count;
}

static bool listen(void *user, const nacre_fit_event *event)
{
    audience *listener = user;
    nacre_named_value values[MAX_VALUES];
    char names[MAX_VALUES][64];
    if (!listener->progress) return !interrupted;
    int count = add_values(values, 0, names, "", event->train_loss, event->train);
    if (event->kind == NACRE_FIT_EPOCH && event->validation && count < MAX_VALUES)
        count = add_values(values, count, names, "validation ", event->validation->loss, event->validation->metrics);
    nacre_progress_state state = {.phase = event->kind == NACRE_FIT_VALIDATION ? "validation" : NULL,
                                  .epoch = event->epoch,
                                  .epochs = event->epochs,
                                  .step = event->batch,
                                  .steps = event->batches,
                                  .samples = event->samples,
                                  .values = values,
                                  .value_count = count};
    if (event->kind == NACRE_FIT_EPOCH) {
        char note[64] = "";
        double waiting = event->epoch_seconds > 0 ? event->wait_seconds / event->epoch_seconds : 0;
        if (waiting > 0.1) snprintf(note, sizeof note, "%.0f %% waiting for data", 100 * waiting);
        if (event->best && event->validation)
            snprintf(note + strlen(note), sizeof note - strlen(note), "%sbest", *note ? ", " : "");
        nacre_progress_finish_epoch(listener->progress, &state, *note ? note : NULL);
    } else {
        nacre_progress_update(listener->progress, &state);
    }
    return !interrupted;
}

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

/* ---- the command ---- */

static int train(nc_call *call, nacre_experiment *experiment)
{
    nacre_context *context = call->context;
    nacre_progress_options drawing = {.write = write_error, .columns = columns};
    audience listener = {0};
    nacre_experiment_result result = {0};
    bool quiet = nc_flag(call, "quiet");
    if (!quiet) {
        introduce(experiment);
        nacre_progress_detect(&drawing, STDERR_FILENO);
        call->progress = listener.progress = nacre_progress_create(context, &drawing);
    }
    /* The first signal asks, a second one ends the process. */
    struct sigaction action = {.sa_handler = interrupt, .sa_flags = (int)SA_RESETHAND}, before[2];
    sigaction(SIGINT, &action, &before[0]);
    sigaction(SIGTERM, &action, &before[1]);
    nacre_experiment_options options = {.resume = nc_flag(call, "resume"), .listen = listen, .listen_user = &listener};
    nacre_status status = nacre_experiment_run(context, experiment, &options, &result);
    sigaction(SIGINT, &before[0], NULL);
    sigaction(SIGTERM, &before[1], NULL);
    call->progress = NULL;
    nacre_progress_destroy(listener.progress);
    int code = status || result.fit.cancelled ? NC_EXIT_FAILED : NC_EXIT_DONE;
    if (status == NACRE_OK && nc_flag(call, "json")) {
        if (nc_print_json(call, to_json(experiment, &result))) code = NC_EXIT_FAILED;
    } else if (status == NACRE_OK) {
        conclude(experiment, &result);
    }
    if (code == NC_EXIT_DONE && result.missed && nc_flag(call, "require-target")) code = NC_EXIT_FAILED;
    nacre_metrics_destroy(result.test.metrics);
    nacre_release(context, result.model_path);
    nacre_release(context, result.report_path);
    return code;
}

/* The recipe may say where to compute; then everything, the recipe too, belongs to another context. */
static nacre_recipe *open_recipe(nc_call *call, const char *const *settings)
{
    nacre_recipe *recipe = nacre_recipe_load(call->context, call->arguments[0], settings);
    if (!recipe) return NULL;
    bool reference = !strcmp(recipe->training.device, "reference");
    int64_t threads = recipe->training.threads;
    if (!reference && threads == 0) return recipe;
    nacre_recipe_destroy(recipe);
    if (nc_renew_context(call, reference ? "reference" : "cpu", threads) != NC_EXIT_DONE) return NULL;
    return nacre_recipe_load(call->context, call->arguments[0], settings);
}

static int run(nc_call *call)
{
    const char *settings[MAX_SETTINGS + 2] = {0}, *setting;
    char seed[64];
    int count = 0, position = 0;
    while ((setting = nc_next(call, "set", &position))) {
        if (count == MAX_SETTINGS) return nc_usage_error(call, "more than %d --set", MAX_SETTINGS);
        settings[count++] = setting;
    }
    if (nc_is_given(call, "seed")) {
        snprintf(seed, sizeof seed, "training.seed=%lld", (long long)nc_integer(call, "seed"));
        settings[count++] = seed;
    }
    nacre_recipe *recipe = open_recipe(call, settings);
    nacre_experiment experiment;
    int code = NC_EXIT_FAILED;
    if (recipe && nacre_experiment_open(call->context, recipe, nc_data_folder(call), nc_text(call, "output"),
                                        &experiment) == NACRE_OK) {
        code = train(call, &experiment);
        nacre_experiment_close(&experiment);
    }
    nacre_recipe_destroy(recipe);
    return code;
}

static const nc_option OPTIONS[] = {
    {"set", 's', NC_TEXT, "KEY=VALUE", NULL, NULL, true,
     "Give a key of the recipe another value, e.g. training.epochs=3; 'nacre help --recipe' explains the keys."},
    {"output", 'o', NC_FOLDER, "DIR", NULL, NULL, false,
     "The folder for model, checkpoints, log and report. Without it the recipe's, else runs/NAME."},
    {"resume", 'r', NC_FLAG, NULL, NULL, NULL, false, "Go on from the last checkpoint in the output folder."},
    {"require-target", 0, NC_FLAG, NULL, NULL, NULL, false, "Fail if a target figure of the recipe is not reached."},
    {0},
};

static const nc_example EXAMPLES[] = {
    {"nacre train recipes/glyphs.yaml", "Digits that the program draws itself: needs no data."},
    {"nacre train recipes/fashion-mnist.yaml --data data --set training.epochs=3", "Three epochs only."},
    {"nacre train recipes/mnist.yaml -o runs/a --resume", "Go on after an interruption."},
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

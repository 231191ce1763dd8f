/* cli/tune.c */
#include "recipe.h"
#include "watch.h"

#include <nacre/select.h>

#include <string.h>

enum { MAX_RANGES = 32, SHOWN = 10, CELL = 96 };

/* ---- progress ---- */

static bool listen(void *user, const nacre_tune_event *event)
{
    nc_watch *watch = user;
    const nacre_tune_result *result = event->so_far;
    watch->total = event->runs;
    watch->from = event->from_epoch;
    watch->to = event->to_epoch;
    nc_watch_next(watch, event->run);
    if (event->training) return nc_watch_fit(watch, event->training);
    const nacre_trial *trial = &result->trials[event->trial];
    char note[96];
    snprintf(note, sizeof note, "trial %lld, epoch %lld%s", (long long)event->trial + 1, (long long)trial->epochs,
             event->trial == result->best ? ", best" : "");
    nc_watch_finish(watch, &(nacre_named_value){result->deciding, trial->value}, 1, note);
    return !nc_watch_interrupted();
}

/* ---- the table ---- */

static const char *column_name(const nacre_tune_result *result, int column)
{
    static const char *const NAMES[] = {"trial", NULL, "epochs"};
    return column == 1 ? result->deciding : column < 3 ? NAMES[column] : result->ranges[column - 3].key;
}

static const char *cell_text(const nacre_tune_result *result, int64_t trial, int column, char text[CELL])
{
    const nacre_trial *row = &result->trials[trial];
    if (column >= 3) return row->values[column - 3];
    if (column == 1) return row->failed ? "failed" : nacre_text_value(text, row->value);
    snprintf(text, CELL, "%lld", (long long)(column ? row->epochs : trial + 1));
    return text;
}

static void print_table(const nacre_tune_result *result)
{
    int rows = result->trial_count < SHOWN ? (int)result->trial_count : SHOWN, widths[MAX_RANGES + 3];
    char text[CELL];
    for (int c = 0; c < result->range_count + 3; c++) {
        widths[c] = (int)strlen(column_name(result, c));
        for (int i = 0; i < rows; i++) {
            int width = (int)strlen(cell_text(result, result->ranking[i], c, text));
            if (width > widths[c]) widths[c] = width;
        }
    }
    for (int i = -1; i < rows; i++) {
        for (int c = 0; c < result->range_count + 3; c++)
            printf("%s%*s", c ? "  " : "", widths[c],
                   i < 0 ? column_name(result, c) : cell_text(result, result->ranking[i], c, text));
        printf("\n");
    }
    if (rows < result->trial_count) printf("... and %lld more\n", (long long)result->trial_count - rows);
}

static void conclude(const nacre_tune_result *result)
{
    char time[NACRE_NUMBER_SIZE];
    print_table(result);
    printf("\nbest of %lld trials in %s of training\n", (long long)result->trial_count,
           nacre_text_duration(time, result->seconds));
    printf("recipe  %s\n", result->recipe_path);
    if (result->picture_path) printf("picture %s\n", result->picture_path);
    if (result->report_path) printf("report  %s\n", result->report_path);
}

static cJSON *to_json(const nacre_tune_result *result)
{
    cJSON *object = cJSON_CreateObject(), *best = cJSON_AddObjectToObject(object, "best");
    cJSON *settings = cJSON_AddObjectToObject(best, "settings");
    const nacre_trial *trial = &result->trials[result->best];
    cJSON_AddNumberToObject(best, "trial", (double)result->best + 1);
    cJSON_AddStringToObject(best, "metric", result->deciding);
    cJSON_AddNumberToObject(best, "value", trial->value);
    cJSON_AddNumberToObject(best, "epochs", (double)trial->epochs);
    for (int r = 0; r < result->range_count; r++)
        cJSON_AddStringToObject(settings, result->ranges[r].key, trial->values[r]);
    cJSON_AddNumberToObject(object, "trials", (double)result->trial_count);
    cJSON_AddNumberToObject(object, "runs", (double)result->runs);
    cJSON_AddNumberToObject(object, "seconds", result->seconds);
    cJSON_AddStringToObject(object, "recipe", result->recipe_path);
    if (result->picture_path) cJSON_AddStringToObject(object, "picture", result->picture_path);
    if (result->report_path) cJSON_AddStringToObject(object, "report", result->report_path);
    return object;
}

/* ---- the command ---- */

static int tune(nc_call *call, const nacre_recipe *recipe, const char *const *ranges)
{
    nacre_tune_result result;
    nc_watch watch;
    nc_watch_begin(&watch, call, "run", 0);
    nacre_tune_options options = {
        .ranges = ranges, .resume = nc_flag(call, "resume"), .listen = listen, .listen_user = &watch};
    nacre_status status =
        nacre_tune(call->context, recipe, nc_data_folder(call), nc_text(call, "output"), &options, &result);
    nc_watch_end(&watch);
    int code = status || result.cancelled ? NC_EXIT_FAILED : NC_EXIT_DONE;
    if (result.cancelled)
        printf("interrupted after %lld runs; go on with --resume\n", (long long)result.runs);
    else if (status == NACRE_OK && nc_flag(call, "json"))
        code = (int)nc_print_json(call, to_json(&result));
    else if (status == NACRE_OK)
        conclude(&result);
    nacre_tune_release(&result);
    return code;
}

static int run(nc_call *call)
{
    const char *ranges[MAX_RANGES + 1] = {0}, *more[3] = {0}, *range;
    char method[64], trials[64];
    int count = 0, given = 0, position = 0, code;
    while ((range = nc_next(call, "range", &position))) {
        if (count == MAX_RANGES) return nc_usage_error(call, "more than %d --range", MAX_RANGES);
        ranges[count++] = range;
    }
    if (nc_is_given(call, "method")) {
        snprintf(method, sizeof method, "tune.method=%s", nc_text(call, "method"));
        more[given++] = method;
    }
    if (nc_is_given(call, "trials")) {
        snprintf(trials, sizeof trials, "tune.trials=%lld", (long long)nc_integer(call, "trials"));
        more[given++] = trials;
    }
    nacre_recipe *recipe = nc_open_recipe(call, call->arguments[0], more, &code);
    const nacre_settle_options settling = {.purpose = NACRE_SETTLE_SEARCH,
                                           .output = nc_text(call, "output"),
                                           .resume = nc_flag(call, "resume"),
                                           .ranges = ranges};
    if (recipe) code = nc_settle_recipe(call, recipe, &settling);
    if (recipe && code == NC_EXIT_DONE) code = tune(call, recipe, ranges);
    nacre_recipe_destroy(recipe);
    return code;
}

static const nc_option OPTIONS[] = {
    {"range", 0, NC_TEXT, "KEY=RANGE", NULL, NULL, true,
     "A key of the recipe and what to try: LOW..HIGH, LOW..HIGH:log, or values such as 32,64,128. Ends without point "
     "or exponent mean whole numbers; a last :7 is the number of a grid's points. In addition to the recipe's "
     "tune.ranges."},
    {"method", 'm', NC_CHOICE, "METHOD", "asha|random|grid", NULL, false,
     "How to search: asha (weak trials are stopped early), random or grid. Without it the recipe's tune.method."},
    {"trials", 'n', NC_INTEGER, "N", NULL, NULL, false, "How many settings to draw; the recipe's tune.trials."},
    NC_SET_OPTION,
    {"output", 'o', NC_FOLDER, "DIR", NULL, NULL, false,
     "The folder for the log, trials, picture, report and best recipe. Without it runs/NAME-tune."},
    {"resume", 'r', NC_FLAG, NULL, NULL, NULL, false, "Go on with the search in the output folder."},
    {0},
};

static const nc_example EXAMPLES[] = {
    {"nacre tune mine.yaml --range optimizer.learning_rate=1e-4..1e-1:log -n 30",
     "Thirty learning rates; one in three goes on from rung to rung."},
    {"nacre tune mine.yaml -m grid --range model.parameters.hidden=64,256 -o runs/t", "Every combination."},
    {"nacre tune mine.yaml -o runs/t --resume", "Go on after an interruption."},
    {0},
};

const nc_command nc_command_tune = {
    .name = "tune",
    .summary = "search for the settings that do best",
    .description =
        "Trains the recipe with many settings and compares them by its first metric on the validation samples; the "
        "test part is not looked at. What varies stands in the recipe's tune.ranges or behind --range.\n\n"
        "The output folder gets tune.jsonl (a record per run), trial-1, trial-2, ... with checkpoints and logs, "
        "best.yaml (the recipe with the best settings), parallel.png and report.html. The same seed gives the same "
        "search. One that was interrupted or killed goes on with --resume and ends as if it had not been.",
    .with = NC_WITH_DATA | NC_WITH_COMPUTE | NC_WITH_SEED | NC_WITH_JSON | NC_WITH_QUIET,
    .options = OPTIONS,
    .arguments = {{"RECIPE", false, false, NC_FILE, NULL,
                   "A YAML file that says which data, which model and how to train it."}},
    .examples = EXAMPLES,
    .run = run,
};

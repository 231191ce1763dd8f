/* cli/advise.c */
#include "recipe.h"
#include "watch.h"

#include <nacre/advise.h>

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { INDENT = 11 };

/* ---- what is shown ---- */

/* "diagnosis  overfitting": a name, and text broken behind it. */
static void print_item(const char *name, const char *text)
{
    printf("%s%-*s%s", nc_style_code(stdout, NC_BOLD), INDENT, name, nc_style_code(stdout, NC_PLAIN));
    nc_print_wrapped(stdout, text, INDENT, INDENT, nc_width(stdout));
}

static void print_survey(const nacre_survey *survey)
{
    char text[512], shape[NACRE_SHAPE_TEXT_SIZE], count[NACRE_NUMBER_SIZE];
    size_t used =
        (size_t)snprintf(text, sizeof text, "%s of shape %s, %s training samples", nacre_data_kind_name(survey->kind),
                         nacre_shape_text(survey->input.shape, shape), nacre_text_count(count, survey->samples));
    if (survey->regression)
        used += (size_t)snprintf(text + used, sizeof text - used, ", numbers to predict");
    else
        used += (size_t)snprintf(text + used, sizeof text - used, ", %d classes of %lld to %lld samples",
                                 survey->classes, (long long)survey->smallest, (long long)survey->largest);
    if (survey->kind == NACRE_DATA_SEQUENCES || survey->kind == NACRE_DATA_TEXT)
        used += (size_t)snprintf(text + used, sizeof text - used, ", %lld to %lld steps (median %lld)",
                                 (long long)survey->shortest, (long long)survey->longest, (long long)survey->median);
    if (survey->missing > 0)
        snprintf(text + used, sizeof text - used, ", %lld values missing", (long long)survey->missing);
    print_item("data", text);
}

static void print_suggestions(const nacre_advice *advice)
{
    char text[512], low[NACRE_NUMBER_SIZE], high[NACRE_NUMBER_SIZE];
    for (int i = 0; advice->families[i].name; i++) {
        const nacre_family *family = &advice->families[i];
        snprintf(text, sizeof text, "%s (%s): %s", family->name, family->here, family->reason);
        print_item(i ? "" : "families", text);
    }
    snprintf(text, sizeof text,
             "%s to %s parameters: a tenth of the samples (Baum and Haussler 1989) to ten times what learns them all "
             "by heart (Zhang et al. 2017)",
             nacre_text_count(low, advice->capacity.low), nacre_text_count(high, advice->capacity.high));
    print_item("capacity", text);
}

static void print_spread(nacre_spread spread, bool failed, int width)
{
    char text[NACRE_SPREAD_SIZE];
    spread.mean *= 100;
    spread.deviation *= 100;
    nacre_text_spread(text, spread);
    int columns = (int)strlen(text) - (strstr(text, "±") != NULL); /* the sign has two bytes */
    printf("%*s%s", failed ? width - 6 : width - columns, "", failed ? "failed" : text);
}

static void print_pilot(const nacre_pilot *pilot)
{
    char samples[NACRE_NUMBER_SIZE], parameters[NACRE_NUMBER_SIZE];
    printf("  %-34.34s %8s %11s", pilot->name, nacre_text_count(samples, pilot->samples),
           nacre_text_count(parameters, pilot->parameters));
    print_spread(pilot->train_error, pilot->failed, 14);
    print_spread(pilot->validation_error, pilot->failed, 14);
    printf("\n");
}

/* More capacity is a remedy that was a pilot before. */
static bool is_shown(const nacre_advice *advice, const nacre_pilot *remedy)
{
    for (int i = 0; i < advice->capacity_count; i++)
        if (!strcmp(advice->capacities[i].name, remedy->name)) return true;
    return false;
}

static void print_pilots(const nacre_advice *advice)
{
    const char *error = advice->survey.regression ? "left" : "error";
    printf("\n  %-34s %8s %11s  train %5s %%  valid %5s %%\n", "pilot", "samples", "parameters", error, error);
    for (int i = 0; i < advice->fraction_count; i++) print_pilot(&advice->fractions[i]);
    for (int i = 0; i < advice->capacity_count; i++)
        if (advice->capacities[i].capacity != advice->base->capacity) print_pilot(&advice->capacities[i]);
    for (int i = 0; i < advice->remedy_count; i++)
        if (!is_shown(advice, &advice->remedies[i].pilot)) print_pilot(&advice->remedies[i].pilot);
    printf("\n");
}

static void print_proposal(const nacre_advice *advice)
{
    const nacre_remedy *proposal = advice->proposal;
    const nacre_pilot *base = advice->base;
    char text[512], before[NACRE_SPREAD_SIZE], after[NACRE_SPREAD_SIZE];
    size_t used = 0;
    if (!proposal && advice->remedy_count > 0) print_item("proposal", "nothing that was tried helped beyond chance");
    if (!proposal) return;
    for (int i = 0; proposal->settings[i] && used < sizeof text; i++)
        used += (size_t)snprintf(text + used, sizeof text - used, "%s--set %s", i ? " " : "", proposal->settings[i]);
    print_item("proposal", text);
    if (base->failed) return;
    snprintf(
        text, sizeof text, "measured: validation loss %s without, %s with it; validation error %.3g %% and %.3g %%",
        nacre_text_spread(before, base->validation_loss), nacre_text_spread(after, proposal->pilot.validation_loss),
        100 * base->validation_error.mean, 100 * proposal->pilot.validation_error.mean);
    print_item("", text);
}

static void conclude(const nacre_advice *advice)
{
    char text[128], time[NACRE_NUMBER_SIZE];
    print_survey(&advice->survey);
    print_suggestions(advice);
    print_pilots(advice);
    print_item("diagnosis", nacre_diagnosis_name(advice->diagnosis));
    print_item("", advice->reason);
    print_proposal(advice);
    for (int i = 0; advice->notes[i]; i++) print_item(i ? "" : "notes", advice->notes[i]);
    snprintf(text, sizeof text, "%lld trainings over %d folds in %s", (long long)advice->pilots, advice->folds,
             nacre_text_duration(time, advice->seconds));
    print_item("pilots", text);
    print_item("report", advice->report_path);
}

static cJSON *to_json(nc_call *call, const nacre_advice *advice)
{
    size_t size;
    char *text = nacre_file_read(call->context, advice->json_path, 0, &size);
    cJSON *object = text ? cJSON_Parse(text) : NULL;
    cJSON_AddStringToObject(object, "report", advice->report_path);
    nacre_release(call->context, text);
    return object;
}

/* ---- the command ---- */

static bool listen(void *user, int64_t training, int64_t total, const nacre_fit_event *event)
{
    nc_watch *watch = user;
    watch->total = total > training ? total : training;
    nc_watch_next(watch, training);
    return nc_watch_fit(watch, event);
}

/* The recipe as advice changes it, for --recipe. */
static nacre_status write_recipe(const nacre_recipe *recipe, const nacre_advice *advice, const char *path)
{
    nacre_recipe *changed = nacre_recipe_copy(recipe, advice->proposal ? advice->proposal->settings : NULL);
    nacre_status status = changed ? nacre_recipe_save(changed, path) : NACRE_ERROR_MEMORY;
    nacre_recipe_destroy(changed);
    return status;
}

static int advise(nc_call *call, const nacre_recipe *recipe)
{
    nacre_advice advice;
    nc_watch watch;
    const char *path = nc_text(call, "recipe");
    nc_watch_begin(&watch, call, "pilot", 0);
    nacre_advise_options options = {.samples = nc_integer(call, "samples"),
                                    .folds = (int)nc_integer(call, "folds"),
                                    .seconds = (double)nc_integer(call, "time"),
                                    .listen = listen,
                                    .listen_user = &watch};
    nacre_status status =
        nacre_advise(call->context, recipe, nc_data_folder(call), nc_text(call, "output"), &options, &advice);
    nc_watch_end(&watch);
    bool given_up = status || advice.cancelled;
    if (!given_up && path && write_recipe(recipe, &advice, path)) given_up = true;
    int code = given_up ? NC_EXIT_FAILED : NC_EXIT_DONE;
    if (advice.cancelled)
        printf("interrupted\n");
    else if (!given_up && nc_flag(call, "json"))
        code = (int)nc_print_json(call, to_json(call, &advice));
    else if (!given_up)
        conclude(&advice);
    if (!given_up && path && !nc_flag(call, "json")) print_item("recipe", path);
    nacre_advice_release(&advice);
    return code;
}

/* Opening a recipe may replace the context, so nothing of the old one is kept meanwhile but texts of this size. */
enum { TEXT_SIZE = 8192 };

static bool take_text(nacre_buffer *buffer, char text[TEXT_SIZE])
{
    bool fits = buffer->data && !buffer->failed && buffer->size < TEXT_SIZE;
    if (fits) memcpy(text, buffer->data, buffer->size + 1);
    if (buffer->size >= TEXT_SIZE)
        nacre_fail(buffer->context, NACRE_ERROR_ARGUMENT, "the name of the data is too long");
    nacre_buffer_destroy(buffer);
    return fits;
}

/* The largest token of all parts + 1: a model without rows for those of the test part could not be measured. */
static bool widen_vocabulary(nc_call *call, const nacre_recipe *recipe, nacre_survey *survey)
{
    if (survey->kind != NACRE_DATA_TEXT) return true;
    nacre_survey whole;
    nacre_dataset *all = nacre_experiment_part(call->context, recipe, nc_data_folder(call), NACRE_ALL);
    const bool known = all && nacre_survey_data(all, &whole) == NACRE_OK;
    if (known) survey->vocabulary = whole.vocabulary;
    nacre_dataset_destroy(all);
    return known;
}

static bool suggest_recipe(nc_call *call, const nacre_recipe *recipe, const char *source, char text[TEXT_SIZE])
{
    nacre_survey survey;
    nacre_buffer yaml = nacre_buffer_create(call->context);
    nacre_dataset *train = nacre_experiment_part(call->context, recipe, nc_data_folder(call), NACRE_TRAIN);
    bool known = train && nacre_survey_data(train, &survey) == NACRE_OK && widen_vocabulary(call, recipe, &survey) &&
                 nacre_suggest_recipe(call->context, &survey, source, &yaml) == NACRE_OK;
    nacre_dataset_destroy(train);
    return take_text(&yaml, text) && known;
}

/* Data without a recipe get one that suits them. */
static nacre_recipe *recipe_for(nc_call *call, const char *source, int *code)
{
    char text[TEXT_SIZE];
    const char *slash = strrchr(source, '/'), *name = slash && slash[1] ? slash + 1 : source;
    nacre_buffer yaml = nacre_buffer_create(call->context);
    nacre_buffer_print(&yaml, "data: {keep_missing: true, source: ");
    nacre_buffer_quote(&yaml, source);
    nacre_buffer_print(&yaml, "}\nmodel: {zoo: mlp}\n");
    *code = NC_EXIT_FAILED;
    if (!take_text(&yaml, text)) return NULL;
    nacre_recipe *first = nc_parse_recipe(call, text, name, code);
    bool known = first && suggest_recipe(call, first, source, text);
    nacre_recipe_destroy(first);
    return known ? nc_parse_recipe(call, text, name, code) : NULL;
}

static bool is_recipe(const char *name)
{
    const char *dot = strrchr(name, '.');
    return dot && (!strcmp(dot, ".yaml") || !strcmp(dot, ".yml"));
}

static int run(nc_call *call)
{
    int code;
    const char *name = call->arguments[0];
    nacre_recipe *recipe = is_recipe(name) ? nc_open_recipe(call, name, NULL, &code) : recipe_for(call, name, &code);
    if (recipe) code = nc_settle_recipe(call, recipe, &(nacre_settle_options){0});
    if (recipe && code == NC_EXIT_DONE) code = advise(call, recipe);
    nacre_recipe_destroy(recipe);
    return code;
}

static const nc_option OPTIONS[] = {
    NC_SET_OPTION,
    {"samples", 'n', NC_INTEGER, "N", NULL, "3000", false, "Use at most so many of the training samples."},
    {"folds", 'k', NC_INTEGER, "K", NULL, "3", false, "Train each pilot so often, on other parts of the samples."},
    {"time", 't', NC_INTEGER, "SECONDS", NULL, "300", false, "Begin no pilot after so many seconds."},
    {"recipe", 0, NC_FILE, "FILE", NULL, NULL, false,
     "Write the recipe with what is proposed into FILE; for data, the recipe that suits them."},
    {"output", 'o', NC_FOLDER, "DIR", NULL, NULL, false,
     "The folder for report, pictures and advice.json. Without it runs/NAME-advice."},
    {0},
};

static const nc_example EXAMPLES[] = {
    {"nacre advise mine.yaml", "Is the model too small, too large, or the rate wrong?"},
    {"nacre advise mine.yaml --recipe better.yaml", "Writes the recipe with what helped."},
    {"nacre advise patients.csv --set data.target=outcome --recipe first.yaml",
     "Data without a recipe: which models suit them, and a recipe to begin with."},
    {0},
};

const nc_command nc_command_advise = {
    .name = "advise",
    .summary = "say what data and a recipe ask for, from short trainings",
    .description =
        "Looks at the data (kind, size, classes, balance, missing values, lengths), names families of models and a "
        "range of capacity with reasons, and trains the recipe on folds of the training samples: on 10, 33, 55, 78 "
        "and 100 percent of them, and with a quarter and four times its capacity (twice, and on fewer samples, where "
        "that would take longer than --time). From training and validation error "
        "it tells underfitting, overfitting and faults of data or learning rate apart, tries what could help (weight "
        "decay, dropout, capacity, rate), and proposes what did help.\n\n"
        "The output folder gets report.html, learning.png, capacity.png and advice.json. The test part is not looked "
        "at.",
    .with = NC_WITH_DATA | NC_WITH_COMPUTE | NC_WITH_SEED | NC_WITH_JSON | NC_WITH_QUIET,
    .options = OPTIONS,
    .arguments = {{"RECIPE|DATA", false, false, NC_FILE, NULL,
                   "A recipe (.yaml), or data: a name of 'nacre data list', a folder or a file."}},
    .examples = EXAMPLES,
    .run = run,
};

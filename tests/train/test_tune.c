/* The search for settings: ranges, trials, rungs, what is promoted and how it goes on, what a search that stopped and
 * goes on leaves, and what is refused before anything is trained.
 */
#include "runs.h"

#include <nacre/select.h>

static nacre_context *ctx;

static const char BASE[] = "data: {source: glyphs, count: 60, transforms: [resize(6), scale(1/255)], workers: 0}\n"
                           "model: {zoo: mlp, parameters: {hidden: 8, layers: 1}}\n"
                           "optimizer: {name: adam, learning_rate: 0.01}\n"
                           "schedule: {name: cosine}\n"
                           "training: {epochs: 9, batch_size: 20}\n"
                           "output: {report: false}\n"
                           "tune: {trials: 9, seed: 3}\n";

static const char *const RANGES[] = {"optimizer.learning_rate=1e-4..1e-1:log", "model.parameters.hidden=4..16", NULL};

static nacre_recipe *open_recipe(const char *const *settings)
{
    return nacre_recipe_parse(ctx, BASE, strlen(BASE), "test.yaml", settings);
}

static bool search_in(const char *folder, const char *const *settings, const nacre_tune_options *options,
                      nacre_tune_result *result)
{
    nacre_recipe *recipe = open_recipe(settings);
    *result = (nacre_tune_result){0};
    bool done = recipe && nacre_tune(ctx, recipe, NULL, nc_file(folder), options, result) == NACRE_OK;
    nacre_recipe_destroy(recipe);
    return done;
}

#define SETTINGS(...) ((const char *const[]){__VA_ARGS__, NULL})

/* ---- which settings ---- */

static void draws_lie_in_their_ranges(void)
{
    nacre_tune_result result, again;
    nacre_tune_options options = {.ranges = SETTINGS("optimizer.learning_rate=1e-4..1e-1:log", "optimizer.eps=0.1..0.9",
                                                     "model.parameters.hidden=4..16", "optimizer.name=adam, adamw")};
    const char *const *settings = SETTINGS("tune.method=random", "tune.trials=12", "training.epochs=1");
    int below = 0, names = 0;
    NC_CHECK(search_in("draws", settings, &options, &result));
    NC_CHECK(search_in("again", settings, &options, &again));
    NC_CHECK_INT(result.trial_count, 12);
    NC_CHECK_INT(result.range_count, 4);
    for (int64_t t = 0; t < result.trial_count; t++) {
        double rate = atof(result.trials[t].values[0]), eps = atof(result.trials[t].values[1]);
        double hidden = atof(result.trials[t].values[2]);
        NC_CHECK(rate >= 1e-4 && rate <= 1e-1 && eps >= 0.1 && eps <= 0.9);
        NC_CHECK(hidden >= 4 && hidden <= 16 && hidden == floor(hidden));
        below += rate < 3.2e-3; /* half of the logarithmic range */
        names += !strcmp(result.trials[t].values[3], "adam");
        for (int r = 0; r < 4; r++) NC_CHECK_TEXT(again.trials[t].values[r], result.trials[t].values[r]);
        NC_CHECK(again.trials[t].value == result.trials[t].value);
    }
    NC_CHECK(below >= 3 && below <= 9);
    NC_CHECK(names >= 3 && names <= 9);
    NC_CHECK_INT(again.best, result.best);
    nacre_tune_release(&again);
    NC_CHECK(search_in("again", SETTINGS("tune.method=random", "tune.trials=12", "training.epochs=1", "tune.seed=4"),
                       &options, &again));
    NC_CHECK(strcmp(again.trials[0].values[0], result.trials[0].values[0]) != 0);
    nacre_tune_release(&again);
    nacre_tune_release(&result);
    NC_CHECK_OK(ctx);
}

static void a_grid_has_every_combination(void)
{
    static const char *const EXPECTED[][2] = {{"0.001", "4"}, {"0.001", "6"}, {"0.01", "4"},
                                              {"0.01", "6"},  {"0.1", "4"},   {"0.1", "6"}};
    nacre_tune_result result;
    nacre_tune_options options = {
        .ranges = SETTINGS("optimizer.learning_rate=1e-3..1e-1:log:3", "model.parameters.hidden=4..6:2")};
    NC_CHECK(search_in("grid", SETTINGS("tune.method=grid", "training.epochs=1"), &options, &result));
    NC_CHECK_INT(result.trial_count, 6);
    for (int64_t t = 0; t < result.trial_count; t++)
        for (int r = 0; r < 2; r++) NC_CHECK_TEXT(result.trials[t].values[r], EXPECTED[t][r]);
    NC_CHECK_INT(result.runs, 6);
    nacre_tune_release(&result);
    NC_CHECK_OK(ctx);
}

static void few_settings_are_tried_once(void)
{
    nacre_tune_result result;
    nacre_tune_options options = {.ranges = SETTINGS("model.parameters.hidden=4..6", "optimizer.name=adam,sgd")};
    NC_CHECK(
        search_in("few", SETTINGS("tune.method=random", "tune.trials=50", "training.epochs=1"), &options, &result));
    NC_CHECK_INT(result.trial_count, 6);
    for (int64_t t = 0; t < result.trial_count; t++)
        for (int64_t u = 0; u < t; u++)
            NC_CHECK(strcmp(result.trials[t].values[0], result.trials[u].values[0]) ||
                     strcmp(result.trials[t].values[1], result.trials[u].values[1]));
    nacre_tune_release(&result);
    NC_CHECK_OK(ctx);
}

/* ---- asha ---- */

/* The recipe of the best trial, trained in one go. */
static void train_best(const char *recipe_path, const char *folder)
{
    nacre_recipe *recipe = nacre_recipe_load(ctx, recipe_path, NULL);
    nacre_experiment experiment;
    nacre_fit_result fitted;
    if (recipe && nacre_experiment_open(ctx, recipe, NULL, nc_file(folder), &experiment) == NACRE_OK) {
        nacre_fit_options fit = nacre_experiment_fit(&experiment);
        nacre_fit(ctx, &fit, &fitted);
        nacre_experiment_close(&experiment);
    }
    nacre_recipe_destroy(recipe);
}

static void the_better_go_on(void)
{
    nacre_tune_result result;
    int at_rung[3] = {0};
    NC_CHECK(search_in("asha", NULL, &(nacre_tune_options){.ranges = RANGES}, &result));
    for (int64_t t = 0; t < result.trial_count; t++)
        for (int r = 0; r <= result.trials[t].rung; r++) at_rung[r]++;
    NC_CHECK_INT(at_rung[0], 9);
    NC_CHECK(at_rung[1] >= 3 && at_rung[1] <= 5); /* promoted on the way: a later one may turn out better */
    NC_CHECK(at_rung[2] >= 1 && at_rung[2] <= 2);
    for (int64_t t = 0; t < result.trial_count; t++) {
        static const int64_t EPOCHS[] = {1, 3, 9};
        NC_CHECK_INT(result.trials[t].epochs, EPOCHS[result.trials[t].rung]);
    }
    const nacre_trial *best = &result.trials[result.best];
    NC_CHECK_INT(best->rung, 2);
    NC_CHECK_INT(result.ranking[0], result.best);
    for (int64_t t = 0; t < result.trial_count; t++)
        NC_CHECK(result.trials[t].rung < 2 || result.trials[t].value <= best->value);

    /* Going on from rung to rung is the same as not to have stopped. */
    char model[64];
    snprintf(model, sizeof model, "asha/trial-%lld/model.safetensors", (long long)result.best + 1);
    train_best(result.recipe_path, "straight");
    NC_CHECK(nc_same_tensors(ctx, nc_file("straight/model.safetensors"), nc_file(model)));
    NC_CHECK(nacre_path_exists(result.picture_path));
    nacre_tune_release(&result);
    NC_CHECK_OK(ctx);
}

/* ---- stopped and resumed ---- */

static bool stop_after(void *user, const nacre_tune_event *event)
{
    (void)event;
    return --*(int *)user > 0;
}

static void same_searches(const nacre_tune_result *a, const nacre_tune_result *b)
{
    NC_CHECK_INT(a->best, b->best);
    NC_CHECK_INT(a->runs, b->runs);
    NC_CHECK_INT(a->trial_count, b->trial_count);
    for (int64_t t = 0; t < a->trial_count; t++) {
        NC_CHECK_INT(a->trials[t].rung, b->trials[t].rung);
        NC_CHECK_INT(a->trials[t].epochs, b->trials[t].epochs);
        NC_CHECK(a->trials[t].value == b->trials[t].value);
        NC_CHECK_INT(a->ranking[t], b->ranking[t]);
    }
}

static void a_stopped_search_goes_on(void)
{
    nacre_tune_result whole, part = {0};
    NC_CHECK(search_in("whole", NULL, &(nacre_tune_options){.ranges = RANGES}, &whole));
    int stops = 0;
    for (int steps = 7;; steps += 5, stops++) {
        int left = steps;
        nacre_tune_options options = {.ranges = RANGES, .resume = true, .listen = stop_after, .listen_user = &left};
        NC_CHECK(search_in("parts", NULL, &options, &part));
        if (!part.cancelled || stops > 100) break;
        nacre_tune_release(&part);
    }
    NC_CHECK(stops > 3);
    same_searches(&whole, &part);
    nacre_tune_release(&part);
    /* What is done stays done. */
    NC_CHECK(search_in("parts", NULL, &(nacre_tune_options){.ranges = RANGES, .resume = true}, &part));
    same_searches(&whole, &part);
    nacre_tune_release(&part);
    nacre_tune_release(&whole);
    NC_CHECK_OK(ctx);
}

/* The checkpoints of an earlier search in the folder are not taken for those of this one. */
static void another_search_begins_anew(void)
{
    nacre_tune_result fresh, used;
    int left = 12;
    nacre_tune_options options = {.ranges = RANGES};
    NC_CHECK(search_in("used", SETTINGS("training.seed=9"), &options, &used));
    nacre_tune_release(&used);
    options.listen = stop_after;
    options.listen_user = &left;
    NC_CHECK(search_in("used", NULL, &options, &used));
    NC_CHECK(used.cancelled);
    nacre_tune_release(&used);
    NC_CHECK(search_in("used", NULL, &(nacre_tune_options){.ranges = RANGES, .resume = true}, &used));
    NC_CHECK(search_in("fresh", NULL, &(nacre_tune_options){.ranges = RANGES}, &fresh));
    same_searches(&fresh, &used);
    nacre_tune_release(&fresh);
    nacre_tune_release(&used);
    NC_CHECK(
        !search_in("used", SETTINGS("tune.trials=8"), &(nacre_tune_options){.ranges = RANGES, .resume = true}, &used));
    NC_CHECK_FAILED(ctx, NACRE_ERROR_STATE, "is the log of another search");
    nacre_tune_release(&used);
}

/* ---- settings that fail ---- */

static void a_trial_that_diverges_is_out(void)
{
    nacre_tune_result result;
    nacre_tune_options options = {.ranges = SETTINGS("optimizer.learning_rate=1e30,0.1")};
    const char *const *settings = SETTINGS("tune.method=grid", "optimizer.name=sgd", "training.epochs=3");
    NC_CHECK(search_in("diverging", settings, &options, &result));
    NC_CHECK(result.trials[0].failed && isnan(result.trials[0].value));
    NC_CHECK_INT(result.best, 1);
    nacre_tune_release(&result);
    NC_CHECK_OK(ctx);
    options.ranges = SETTINGS("optimizer.learning_rate=1e30,1e31");
    NC_CHECK(!search_in("diverging", settings, &options, &result));
    NC_CHECK_FAILED(ctx, NACRE_ERROR_NUMERIC, "no setting could be trained");
    nacre_tune_release(&result);
}

static void refuse(const char *setting, const char *range, nacre_status status, const char *message)
{
    nacre_tune_result result;
    nacre_tune_options options = {.ranges = range ? SETTINGS(range) : NULL};
    NC_CHECK(!search_in("refused", SETTINGS(setting), &options, &result));
    NC_CHECK_FAILED(ctx, status, message);
    NC_CHECK(!nacre_path_exists(nc_file("refused/trial-1")));
    nacre_tune_release(&result);
}

static void what_cannot_be_is_said_first(void)
{
    static const struct {
        const char *range, *message;
        nacre_status status;
    } RANGES_REFUSED[] = {
        {NULL, "'tune.ranges' is missing", NACRE_ERROR_ARGUMENT},
        {"optimizer.learning_rate", "expected KEY=RANGE", NACRE_ERROR_ARGUMENT},
        {"optimizer.learning_rate=", "a key and its values are needed", NACRE_ERROR_ARGUMENT},
        {"optimizer.learning_rate=a..b", "the ends must be numbers", NACRE_ERROR_ARGUMENT},
        {"optimizer.learning_rate=0.1..0.1", "the low end must be below", NACRE_ERROR_ARGUMENT},
        {"optimizer.learning_rate=0..1e-1:log", "must lie above 0", NACRE_ERROR_ARGUMENT},
        {"optimizer.learning_rate=1e-3..1e-1:lin", "there can be log or a number", NACRE_ERROR_ARGUMENT},
        {"optimizer.learning_rate=1e-3..1e-1:1", "there can be log or a number", NACRE_ERROR_ARGUMENT},
        {"optimizer.name=sgd,,adam", "a choice is empty", NACRE_ERROR_ARGUMENT},
        {"optimizer.name=sgd,sgd", "twice", NACRE_ERROR_ARGUMENT},
        {"optimizer.name=sgd,adma", "did you mean 'adam'?", NACRE_ERROR_FORMAT},
        {"optimizer.lr=1e-3..1e-1", "unknown key 'optimizer.lr'", NACRE_ERROR_FORMAT},
        {"optimizer.learning_rate=-1.0..1.0", "'optimizer.learning_rate' must be", NACRE_ERROR_FORMAT},
        {"training.epochs=1..9", "cannot be asha where training.epochs is searched", NACRE_ERROR_ARGUMENT}};
    for (size_t i = 0; i < sizeof RANGES_REFUSED / sizeof *RANGES_REFUSED; i++)
        refuse("training.epochs=9", RANGES_REFUSED[i].range, RANGES_REFUSED[i].status, RANGES_REFUSED[i].message);
    refuse("validation.folds=3", RANGES[0], NACRE_ERROR_ARGUMENT, "must be 0 in a search");
}

int main(void)
{
    ctx = nacre_context_create(&(nacre_context_options){.threads = 1});
    NC_RUN(draws_lie_in_their_ranges);
    NC_RUN(a_grid_has_every_combination);
    NC_RUN(few_settings_are_tried_once);
    NC_RUN(the_better_go_on);
    NC_RUN(a_stopped_search_goes_on);
    NC_RUN(another_search_begins_anew);
    NC_RUN(a_trial_that_diverges_is_out);
    NC_RUN(what_cannot_be_is_said_first);
    nacre_context_destroy(ctx);
    return nc_report();
}

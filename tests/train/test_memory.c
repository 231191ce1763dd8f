/* Memory that runs out at each allocation in turn, in training, opening, loading and evaluating: one clear failure,
 * nothing leaked, nothing half written. */
#include "runs.h"

#include <nacre/advise.h>

#include <unistd.h>

/* Only power cuts need the disk. */
int fsync(int file)
{
    (void)file;
    return 0;
}

/* ---- fitting ---- */

static bool fit(nacre_context *context, void *user)
{
    const char *folder = user;
    nc_run run = {.context = context};
    run.train = nc_stripes(context, 20, 1, NC_CLASSES);
    run.validation = nc_stripes(context, 6, 2, NC_CLASSES);
    run.transforms = nacre_transforms_parse(context, "random_crop(6, padding=1); scale(1/255)");
    run.fit = (nacre_fit_options){.model = nacre_model_create(context),
                                  .build = nc_lively_model,
                                  .train = run.train,
                                  .validation = run.validation,
                                  .transforms = run.transforms,
                                  .optimizer = {.kind = NACRE_OPTIMIZER_ADAMW, .clip_norm = 1},
                                  .schedule = {.base = 0.02},
                                  .epochs = 2,
                                  .batch_size = 8,
                                  .accumulate = 16,
                                  .checkpoint_every = 1,
                                  .folder = folder};
    bool done = nacre_check(context) == NACRE_OK && nc_run_go(&run) == NACRE_OK;
    nacre_model_destroy(run.fit.model);
    nacre_transforms_destroy(run.transforms);
    nacre_dataset_destroy(run.train);
    nacre_dataset_destroy(run.validation);
    if (folder) NC_CHECK_INT(nc_count_temporaries(folder), 0);
    return done;
}

static void fitting(void)
{
    nc_fail_each_planning_allocation(fit, NULL);
}

static void fitting_with_files(void)
{
    char folder[256];
    snprintf(folder, sizeof folder, "%s", nc_file("fit"));
    nc_fail_each_planning_allocation(fit, folder);
}

/* ---- experiments ---- */

static const char RECIPE[] = "data: {source: glyphs, count: 30, transforms: [resize(8), scale(1/255), standardise]}\n"
                             "model:\n"
                             "  text: |\n"
                             "    model tiny(classes=10, width=2)\n"
                             "      input x f32[N, 1, 8, 8]\n"
                             "      h = flatten(x)\n"
                             "      repeat i in 1..2\n"
                             "        h = linear(h, 4 * width) as fc{i}\n"
                             "        h = relu(h)\n"
                             "      end\n"
                             "      out = linear(h, classes)\n"
                             "      return out\n"
                             "    end\n"
                             "  parameters: {width: 3}\n"
                             "training: {epochs: 1, batch_size: 16, metrics: [accuracy, f1_macro]}\n"
                             "target: {accuracy: 0.1}\n";

typedef struct place {
    const char *folder;
    bool run;
} place;

static bool experiment(nacre_context *context, void *user)
{
    const place *where = user;
    nacre_recipe *recipe = nacre_recipe_parse(context, RECIPE, strlen(RECIPE), "test.yaml", NULL);
    nacre_experiment opened = {0};
    nacre_experiment_result result = {0};
    bool done = recipe && nacre_experiment_open(context, recipe, NULL, where->folder, &opened) == NACRE_OK;
    if (done && where->run) done = nacre_experiment_run(context, &opened, NULL, &result) == NACRE_OK;
    nacre_metrics_destroy(result.test.metrics);
    nacre_release(context, result.model_path);
    nacre_release(context, result.report_path);
    nacre_experiment_close(&opened);
    nacre_recipe_destroy(recipe);
    return done;
}

static void opening_an_experiment(void)
{
    char folder[256];
    snprintf(folder, sizeof folder, "%s", nc_file("open"));
    nc_fail_each_planning_allocation(experiment, &(place){folder, false});
}

static void running_an_experiment(void)
{
    char folder[256];
    snprintf(folder, sizeof folder, "%s", nc_file("run"));
    nc_fail_each_planning_allocation(experiment, &(place){folder, true});
    NC_CHECK_INT(nc_count_temporaries(folder), 0);
}

/* ---- searches and advice ---- */

static const char SMALL[] =
    "data: {source: ./rows.csv, test: 0, validation: 0.3, workers: 0, transforms: [standardise]}\n"
    "model: {zoo: mlp, parameters: {classes: 2, hidden: 1, layers: 1}}\n"
    "optimizer: {name: adamw, learning_rate: 0.02}\n"
    "training: {epochs: 1, batch_size: 16}\n";

enum { THINNING = 50 };

static void write_rows(void)
{
    nacre_context *context = nacre_context_create(NULL);
    nacre_buffer text = nacre_buffer_create(context);
    nacre_buffer_print(&text, "a,b,class\n");
    for (int i = 0; i < 40; i++) nacre_buffer_print(&text, "%d,%d,%s\n", i * 7 % 11, i % 5, i % 2 ? "odd" : "even");
    nacre_file_write(context, nc_file("rows.csv"), text.data, text.size);
    nacre_buffer_destroy(&text);
    nacre_context_destroy(context);
}

static bool search(nacre_context *context, void *user)
{
    static const char *const RANGES[] = {"model.parameters.hidden=1,2", NULL};
    nacre_recipe *recipe = nacre_recipe_parse(context, SMALL, strlen(SMALL), user, NULL);
    nacre_tune_result result;
    char folder[300];
    snprintf(folder, sizeof folder, "%s-tune", (const char *)user);
    bool done = recipe && nacre_recipe_set(recipe, "tune.method=grid") == NACRE_OK;
    if (done) {
        const nacre_tune_options options = {.ranges = RANGES};
        done = nacre_tune(context, recipe, NULL, folder, &options, &result) == NACRE_OK;
        nacre_tune_release(&result);
        NC_CHECK_INT(nc_count_temporaries(folder), 0);
    }
    nacre_recipe_destroy(recipe);
    return done;
}

static bool advise(nacre_context *context, void *user)
{
    nacre_recipe *recipe = nacre_recipe_parse(context, SMALL, strlen(SMALL), user, NULL);
    nacre_advice advice;
    char folder[300];
    snprintf(folder, sizeof folder, "%s-advice", (const char *)user);
    bool done = recipe != NULL;
    if (done) {
        const nacre_advise_options options = {.folds = 2};
        done = nacre_advise(context, recipe, NULL, folder, &options, &advice) == NACRE_OK;
        nacre_advice_release(&advice);
        if (nacre_path_exists(folder)) NC_CHECK_INT(nc_count_temporaries(folder), 0);
    }
    nacre_recipe_destroy(recipe);
    return done;
}

static void searching(void)
{
    char recipe[256];
    snprintf(recipe, sizeof recipe, "%s", nc_file("small.yaml"));
    write_rows();
    nc_fail_planning_allocations(search, recipe, THINNING);
}

static void advising(void)
{
    char recipe[256];
    snprintf(recipe, sizeof recipe, "%s", nc_file("small.yaml"));
    nc_fail_planning_allocations(advise, recipe, THINNING);
}

/* ---- saved models ---- */

/* Loads and evaluates, as the command does. */
static bool load(nacre_context *context, void *user)
{
    nacre_network *network = nacre_network_load(context, user);
    nacre_dataset *dataset = network ? nacre_glyphs(context, 12, 0) : NULL;
    nacre_evaluation evaluation = {0};
    bool done = dataset && nacre_network_check_data(network, dataset) == NACRE_OK &&
                nacre_evaluate(context,
                               &(nacre_evaluate_options){.model = nacre_network_model(network),
                                                         .build = nacre_network_build,
                                                         .user = network,
                                                         .dataset = dataset,
                                                         .transforms = nacre_network_transforms(network)},
                               &evaluation) == NACRE_OK;
    nacre_metrics_destroy(evaluation.metrics);
    nacre_dataset_destroy(dataset);
    nacre_network_destroy(network);
    return done;
}

static void loading_a_model(void)
{
    char path[256];
    snprintf(path, sizeof path, "%s", nc_file("run/model.safetensors"));
    NC_REQUIRE(nacre_path_exists(path));
    nc_fail_each_planning_allocation(load, path);
}

int main(void)
{
    NC_RUN(fitting);
    NC_RUN(fitting_with_files);
    NC_RUN(opening_an_experiment);
    NC_RUN(running_an_experiment);
    NC_RUN(loading_a_model);
    NC_RUN(searching);
    NC_RUN(advising);
    return nc_report();
}

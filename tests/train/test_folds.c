/* Cross-validation: nothing of what is held out reaches what is trained, groups are not divided, an interrupted
 * validation goes on with the same bits, and what cannot be is said before anything is trained.
 */
#include "runs.h"

#include <nacre/select.h>

static nacre_context *ctx;

enum { ROWS = 60, FOLDS = 3 };

static const char BASE[] = "data: {source: ./rows.csv, transforms: [impute, standardise], keep_missing: true, test: 0,"
                           " workers: 0}\n"
                           "model: {zoo: mlp, parameters: {hidden: 8, layers: 1}}\n"
                           "optimizer: {learning_rate: 0.1}\n"
                           "training: {epochs: 3, batch_size: 8}\n"
                           "validation: {folds: 3}\n"
                           "output: {report: false}\n";

static nacre_recipe *open_recipe(const char *const *settings)
{
    return nacre_recipe_parse(ctx, BASE, strlen(BASE), nc_file("test.yaml"), settings);
}

/* Rows marked in `spoilt` hold what would change every mean and spread it enters. */
static void write_rows(const bool *spoilt)
{
    nacre_buffer text = nacre_buffer_create(ctx);
    nacre_buffer_print(&text, "a,b,class\n");
    for (int i = 0; i < ROWS; i++)
        if (spoilt && spoilt[i])
            nacre_buffer_print(&text, "1e6,%s,%s\n", i % 2 ? "" : "-4e5", i % 3 ? "x" : "y");
        else
            nacre_buffer_print(&text, "%d,%d.5,%s\n", i % 7, i % 5, i % 3 ? "x" : "y");
    nacre_file_write(ctx, nc_file("rows.csv"), text.data, text.size);
    nacre_buffer_destroy(&text);
}

static bool run_in(const char *folder, const char *const *settings, const nacre_folds_options *options,
                   nacre_folds_result *result)
{
    nacre_recipe *recipe = open_recipe(settings);
    bool done = recipe && nacre_cross_validate(ctx, recipe, NULL, nc_file(folder), options, result) == NACRE_OK;
    nacre_recipe_destroy(recipe);
    return done;
}

/* The weights and the preprocessing of a fold. */
static bool same_fold(const char *a_folder, const char *b_folder, int fold)
{
    char a_name[64], b_name[64];
    snprintf(a_name, sizeof a_name, "%s/fold-%d/model.safetensors", a_folder, fold);
    snprintf(b_name, sizeof b_name, "%s/fold-%d/model.safetensors", b_folder, fold);
    nacre_network *a = nacre_network_load(ctx, nc_file(a_name)), *b = nacre_network_load(ctx, nc_file(b_name));
    bool same = a && b && nc_same_models(nacre_network_model(a), nacre_network_model(b)) &&
                !strcmp(nacre_network_metadata(a, "nacre.transforms"), nacre_network_metadata(b, "nacre.transforms"));
    nacre_network_destroy(a);
    nacre_network_destroy(b);
    NC_CHECK_OK(ctx);
    return same;
}

static void a_planted_leak_changes_nothing(void)
{
    bool spoilt[ROWS] = {false};
    nacre_folds_result clean = {0}, leaky = {0};
    write_rows(NULL);
    NC_CHECK(run_in("clean", NULL, NULL, &clean));
    nacre_dataset *all = nacre_dataset_open(ctx, nc_file("rows.csv"), NULL);
    nacre_dataset *held =
        nacre_dataset_fold(all, 0, NACRE_TEST, &(nacre_fold_options){.count = FOLDS, .stratified = true});
    NC_CHECK_INT(nacre_dataset_count(held), ROWS / FOLDS);
    for (int64_t i = 0; i < nacre_dataset_count(held); i++) {
        char origin[300];
        nacre_dataset_origin(held, i, origin, sizeof origin);
        spoilt[atoi(strrchr(origin, ':') + 1) - 2] = true; /* lines are counted from 1, and the first has names */
    }
    nacre_dataset_destroy(held);
    nacre_dataset_destroy(all);
    write_rows(spoilt);
    NC_CHECK(run_in("leaky", NULL, NULL, &leaky));
    NC_CHECK(same_fold("clean", "leaky", 1));
    NC_CHECK(!same_fold("clean", "leaky", 2)); /* here the spoilt rows are trained on */
    nacre_folds_release(&clean);
    nacre_folds_release(&leaky);
    NC_CHECK_OK(ctx);
}

static void what_comes_out(void)
{
    nacre_folds_result result = {0};
    int64_t held = 0;
    write_rows(NULL);
    NC_CHECK(run_in("out", (const char *const[]){"output.report=true", NULL}, NULL, &result));
    NC_CHECK_INT(result.done, FOLDS);
    NC_CHECK_INT(result.metric_count, 2);
    NC_CHECK_TEXT(result.names[0], "loss");
    NC_CHECK_TEXT(result.names[1], "accuracy");
    for (int f = 0; f < FOLDS; f++) held += result.held_out[f];
    NC_CHECK_INT(held, ROWS);
    double mean = (result.values[1] + result.values[3] + result.values[5]) / 3, squares = 0;
    for (int f = 0; f < FOLDS; f++) squares += (result.values[2 * f + 1] - mean) * (result.values[2 * f + 1] - mean);
    NC_CHECK_NEAR(result.spreads[1].mean, mean, 1e-12);
    NC_CHECK_NEAR(result.spreads[1].deviation, sqrt(squares / 2), 1e-12);
    NC_CHECK(nacre_path_exists(nc_file("out/folds.json")));
    NC_CHECK(nacre_path_exists(nc_file("out/fold-3/report.html")));
    NC_CHECK(result.report_path && nacre_path_exists(result.report_path));
    nacre_folds_release(&result);
    NC_CHECK_OK(ctx);
}

/* Each group has a class of its own accord; which group a row is of says everything as long as the group is known. */
static void groups_are_not_divided(void)
{
    nacre_folds_result divided = {0}, whole = {0};
    nacre_buffer text = nacre_buffer_create(ctx);
    nacre_buffer_print(&text, "who,again,one,class\n");
    for (int i = 0; i < 160; i++) {
        uint32_t bits[4];
        int group = i % 32;
        nacre_philox((uint32_t[]){5, 5}, (uint32_t[]){(uint32_t)group, 0, 0, 0}, bits);
        nacre_buffer_print(&text, "w%d,a%d,1,%s\n", group, group, bits[0] % 2 ? "x" : "y");
    }
    nacre_file_write(ctx, nc_file("rows.csv"), text.data, text.size);
    nacre_buffer_destroy(&text);
    NC_CHECK(run_in("divided",
                    (const char *const[]){"data.ignore=[who]", "data.validation=0", "training.epochs=30", NULL}, NULL,
                    &divided));
    NC_CHECK(run_in("whole", (const char *const[]){"data.group=who", "data.validation=0", "training.epochs=30", NULL},
                    NULL, &whole));
    NC_CHECK(divided.spreads && divided.spreads[1].mean > 0.95);
    NC_CHECK(whole.spreads && whole.spreads[1].mean < 0.75);
    nacre_folds_release(&divided);
    nacre_folds_release(&whole);
    NC_CHECK_OK(ctx);
}

static bool stop_in_second(void *user, int fold, int folds, const nacre_fit_event *event)
{
    (void)user, (void)folds;
    return fold < 2 || event->epoch < 2;
}

static void an_interrupted_validation_goes_on(void)
{
    nacre_folds_result whole = {0}, first = {0}, second = {0};
    write_rows(NULL);
    NC_CHECK(run_in("whole", NULL, NULL, &whole));
    NC_CHECK(run_in("parts", NULL, &(nacre_folds_options){.listen = stop_in_second}, &first));
    NC_CHECK(first.cancelled);
    NC_CHECK_INT(first.done, 1);
    NC_CHECK(run_in("parts", NULL, &(nacre_folds_options){.resume = true}, &second));
    NC_CHECK_INT(second.done, FOLDS);
    NC_CHECK(!memcmp(whole.values, second.values, FOLDS * 2 * sizeof(double)));
    for (int f = 1; f <= FOLDS; f++) NC_CHECK(same_fold("whole", "parts", f));
    nacre_folds_release(&whole);
    nacre_folds_release(&first);
    nacre_folds_release(&second);
    NC_CHECK_OK(ctx);
}

static void refuse(const char *setting, nacre_status status, const char *message)
{
    nacre_folds_result result = {0};
    NC_CHECK(!run_in("refused", (const char *const[]){setting, NULL}, NULL, &result));
    NC_CHECK_FAILED(ctx, status, message);
    NC_CHECK(!nacre_path_exists(nc_file("refused")));
    nacre_folds_release(&result);
}

static void what_cannot_be_is_said_first(void)
{
    write_rows(NULL);
    refuse("validation.folds=61", NACRE_ERROR_ARGUMENT, "61 folds asked for, but there are only 60 samples");
    refuse("validation.folds=1", NACRE_ERROR_ARGUMENT, "1 folds asked for, at least 2");
    refuse("validation.folds=25", NACRE_ERROR_ARGUMENT, "class \"y\" has 20 samples, too few for 25 stratified folds");
    refuse("data.group=c", NACRE_ERROR_NOT_FOUND, "no column 'c'");
}

static void spreads(void)
{
    static const double VALUES[] = {2, 4, 4, 4, 5, 5, 7, 9, NAN};
    char text[NACRE_SPREAD_SIZE];
    nacre_spread spread = nacre_spread_of(VALUES, 9);
    NC_CHECK_INT(spread.count, 8);
    NC_CHECK_NEAR(spread.mean, 5, 1e-15);
    NC_CHECK_NEAR(spread.deviation, sqrt(32.0 / 7), 1e-15);
    NC_CHECK(isnan(nacre_spread_of(NULL, 0).mean));
    NC_CHECK_TEXT(nacre_text_spread(text, spread), "5.0 ± 2.1");
    NC_CHECK_TEXT(nacre_text_spread(text, (nacre_spread){0.95342, 0.0123, 5}), "0.953 ± 0.012");
    NC_CHECK_TEXT(nacre_text_spread(text, (nacre_spread){1234.5, 250, 5}), "1234 ± 250");
    NC_CHECK_TEXT(nacre_text_spread(text, (nacre_spread){0.5, 0, 1}), "0.5");
}

int main(void)
{
    ctx = nacre_context_create(&(nacre_context_options){.threads = 1});
    NC_RUN(a_planted_leak_changes_nothing);
    NC_RUN(what_comes_out);
    NC_RUN(groups_are_not_divided);
    NC_RUN(an_interrupted_validation_goes_on);
    NC_RUN(what_cannot_be_is_said_first);
    NC_RUN(spreads);
    nacre_context_destroy(ctx);
    return nc_report();
}

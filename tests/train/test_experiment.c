/* Recipes carried out: parts and limits of the data, schedules in epochs, targets, and who may write into the folder.
 */
#include "runs.h"

#include <sys/syscall.h>

/* ---- between the library and the system ---- */

static const char *watched; /* a folder */
static int busy, idle;      /* how often it was, while files in it were replaced */

/* What a second process would meet. */
int rename(const char *from, const char *to)
{
    if (watched && !strncmp(to, watched, strlen(watched))) {
        nacre_context *context = nacre_context_create(&(nacre_context_options){.threads = 1});
        nacre_lock *lock = nacre_lock_directory(context, watched);
        lock ? idle++ : busy++;
        nacre_unlock(lock);
        nacre_context_destroy(context);
    }
    return (int)syscall(SYS_renameat2, -100 /* AT_FDCWD */, from, -100, to, 0);
}

/* ---- recipes ---- */

static const char BASE[] = "data: {source: glyphs, count: 60, transforms: [resize(8), scale(1/255)]}\n"
                           "model: {zoo: mlp, parameters: {hidden: 8, layers: 1}}\n"
                           "optimizer: {learning_rate: 0.5}\n"
                           "training: {epochs: 4, batch_size: 8}\n"
                           "output: {report: false}\n";

static nacre_context *ctx;

typedef struct opened {
    nacre_recipe *recipe;
    nacre_experiment experiment;
} opened;

/* `settings` ended by NULL. */
static opened open_with(const char *const *settings, const char *folder)
{
    opened all = {.recipe = nacre_recipe_parse(ctx, BASE, strlen(BASE), "test.yaml", settings)};
    if (all.recipe) nacre_experiment_open(ctx, all.recipe, NULL, folder, &all.experiment);
    return all;
}

static void close_all(opened *all)
{
    nacre_experiment_close(&all->experiment);
    nacre_recipe_destroy(all->recipe);
}

#define OPEN(folder, ...) open_with((const char *const[]){__VA_ARGS__, NULL}, folder)

/* ---- data ---- */

static int64_t count_of(const nacre_dataset *dataset)
{
    return dataset ? nacre_dataset_count(dataset) : -1;
}

static void parts_of_the_data(void)
{
    opened all = OPEN(NULL, "data.limit=7");
    NC_CHECK_INT(count_of(all.experiment.train), 7);
    NC_CHECK_INT(count_of(all.experiment.validation), 7);
    NC_CHECK_INT(count_of(all.experiment.test), 7);
    close_all(&all);
    all = OPEN(NULL, "data.limit=30");
    NC_CHECK_INT(count_of(all.experiment.train), 30);
    NC_CHECK_INT(count_of(all.experiment.test), 10);
    close_all(&all);
    NC_CHECK_OK(ctx);
}

/* A table has no parts of its own: shares are drawn, and 0 is none. */
static void shares_of_a_table(void)
{
    nacre_buffer text = nacre_buffer_create(ctx);
    char source[300];
    nacre_buffer_print(&text, "a,b,class\n");
    for (int i = 0; i < 40; i++) nacre_buffer_print(&text, "%d,%d,%s\n", i, i % 7, i % 2 ? "odd" : "even");
    nacre_file_write(ctx, nc_file("table.csv"), text.data, text.size);
    nacre_buffer_destroy(&text);
    snprintf(source, sizeof source, "data.source=%s", nc_file("table.csv"));

    opened all = OPEN(NULL, source, "data.transforms=[standardise]", "data.test=0.25", "data.validation=0.2");
    NC_CHECK_INT(count_of(all.experiment.train), 24);
    NC_CHECK_INT(count_of(all.experiment.validation), 6);
    NC_CHECK_INT(count_of(all.experiment.test), 10);
    close_all(&all);
    all = OPEN(NULL, source, "data.transforms=[standardise]", "data.test=0", "data.validation=0");
    NC_CHECK_INT(count_of(all.experiment.train), 40);
    NC_CHECK_INT(count_of(all.experiment.validation), -1);
    NC_CHECK_INT(count_of(all.experiment.test), -1);
    NC_CHECK(!nacre_experiment_part(ctx, all.recipe, NULL, NACRE_TEST));
    NC_CHECK_FAILED(ctx, NACRE_ERROR_NOT_FOUND, "has no test part");
    close_all(&all);
    NC_CHECK_OK(ctx);
}

/* ---- schedules ---- */

typedef struct rates {
    double of_step[256];
    int64_t count;
} rates;

static bool note_rate(void *user, const nacre_fit_event *event)
{
    rates *seen = user;
    if (event->kind == NACRE_FIT_STEP && event->step > seen->count && seen->count < 256)
        seen->of_step[seen->count++] = event->learning_rate;
    return true;
}

static rates run_rates(opened *all)
{
    rates seen = {0};
    nacre_experiment_result result = {0};
    nacre_experiment_run(ctx, &all->experiment, &(nacre_experiment_options){.listen = note_rate, .listen_user = &seen},
                         &result);
    NC_CHECK_OK(ctx);
    nacre_metrics_destroy(result.test.metrics);
    nacre_release(ctx, result.model_path);
    close_all(all);
    return seen;
}

/* 60 samples in batches of 8: 8 steps an epoch. */
static void schedules_count_epochs(void)
{
    opened all = OPEN(nc_file("steps"), "schedule={name: step, step_size: 2, gamma: 0.5}");
    rates seen = run_rates(&all);
    NC_CHECK_INT(seen.count, 32);
    NC_CHECK_NEAR(seen.of_step[15], 0.5, 1e-15);
    NC_CHECK_NEAR(seen.of_step[16], 0.25, 1e-15);
    NC_CHECK_NEAR(seen.of_step[31], 0.25, 1e-15);

    all = OPEN(nc_file("warm"), "schedule.warmup_epochs=0.5");
    seen = run_rates(&all);
    for (int i = 0; i < 4; i++) NC_CHECK_NEAR(seen.of_step[i], 0.1 * (i + 1), 1e-15);
    NC_CHECK_NEAR(seen.of_step[4], 0.5, 1e-15);

    /* 7 full batches, two an update: 4 updates an epoch, the last of one batch. */
    all = OPEN(nc_file("updates"), "schedule={name: step, step_size: 1, gamma: 0.5}", "data.drop_last=true",
               "training.accumulate=16");
    seen = run_rates(&all);
    NC_CHECK_INT(seen.count, 16);
    NC_CHECK_NEAR(seen.of_step[3], 0.5, 1e-15);
    NC_CHECK_NEAR(seen.of_step[4], 0.25, 1e-15);
    NC_CHECK_NEAR(seen.of_step[15], 0.0625, 1e-15);
}

/* ---- targets ---- */

static void targets_are_measured(void)
{
    opened all = OPEN(NULL, "target={auc: 0.9}");
    NC_CHECK_FAILED(ctx, NACRE_ERROR_ARGUMENT, "'auc' is not among training.metrics");
    close_all(&all);
    nacre_experiment_result result = {0};
    all = OPEN(nc_file("target"), "target={accuracy: 0.05, f1_macro: 1}", "training.metrics=[accuracy, f1_macro]");
    NC_CHECK_INT(nacre_experiment_run(ctx, &all.experiment, NULL, &result), NACRE_OK);
    NC_CHECK_TEXT(result.missed, "f1_macro");
    nacre_metrics_destroy(result.test.metrics);
    nacre_release(ctx, result.model_path);
    close_all(&all);
    NC_CHECK_OK(ctx);
}

/* ---- the folder ---- */

static void the_folder_is_kept_to_the_end(void)
{
    char folder[300];
    nacre_experiment_result result = {0};
    snprintf(folder, sizeof folder, "%s", nc_file("kept"));
    opened all = OPEN(folder, "output.report=true");
    watched = folder;
    NC_CHECK_INT(nacre_experiment_run(ctx, &all.experiment, NULL, &result), NACRE_OK);
    watched = NULL;
    NC_CHECK(busy >= 7); /* a checkpoint an epoch, the best model, the saved model, the report */
    NC_CHECK_INT(idle, 0);
    NC_CHECK(nacre_path_exists(nc_file("kept/report.html")));
    nacre_metrics_destroy(result.test.metrics);
    nacre_release(ctx, result.model_path);
    nacre_release(ctx, result.report_path);
    close_all(&all);
    NC_CHECK_OK(ctx);
}

int main(void)
{
    ctx = nacre_context_create(&(nacre_context_options){.threads = 1});
    NC_RUN(parts_of_the_data);
    NC_RUN(shares_of_a_table);
    NC_RUN(schedules_count_epochs);
    NC_RUN(targets_are_measured);
    NC_RUN(the_folder_is_kept_to_the_end);
    nacre_context_destroy(ctx);
    return nc_report();
}

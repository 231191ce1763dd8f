/* What a recipe leaves to measuring, and what it makes of the learning rate. */
#include "support.h"

#include <nacre/report.h>
#include <nacre/train.h>

static nacre_context *ctx;

static const char RECIPE[] = "data: {source: glyphs, count: 600, transforms: [resize(8), scale(1/255)]}\n"
                             "model:\n"
                             "  text: |\n"
                             "    model tiny(classes=10)\n"
                             "      input x f32[N, 1, 8, 8]\n"
                             "      h = flatten(x)\n"
                             "      fc = linear(h, classes)\n"
                             "      return fc\n"
                             "    end\n"
                             "output: {report: false}\n"
                             "training: {epochs: 10}\n";

static nacre_recipe *recipe_with(const char *a, const char *b, const char *c)
{
    const char *settings[] = {a, b, c, NULL};
    nacre_recipe *recipe = nacre_recipe_parse(ctx, RECIPE, strlen(RECIPE), NULL, settings);
    NC_CHECK_OK(ctx);
    return recipe;
}

static void batch_and_workers(void)
{
    nacre_recipe *recipe = recipe_with("training.batch_size=auto", "data.workers=auto", NULL);
    nacre_buffer words = nacre_buffer_create(ctx);
    NC_REQUIRE(recipe);
    NC_CHECK(recipe->training.batch_size == 0 && recipe->data.workers == -1);
    nacre_recipe_settle(ctx, recipe, NULL, &(nacre_settle_options){.output = nc_file("none"), .words = &words});
    NC_CHECK_OK(ctx);
    int64_t size = recipe->training.batch_size;
    NC_CHECK(size == 16 || size == 32); /* a tenth of the samples is 60 */
    NC_CHECK(recipe->data.workers >= 0 && recipe->data.workers <= nacre_machine_info()->cores);
    NC_CHECK(recipe->data.prefetch >= 2 * recipe->data.workers);
    NC_CHECK_CONTAINS(words.data, "batch size 16: ");
    NC_CHECK_CONTAINS(words.data, "32 is the largest tried that fits");
    NC_CHECK_CONTAINS(words.data, "of the best rate");
    NC_CHECK(access(nc_file("none"), F_OK) != 0);
    nacre_buffer_clear(&words); /* there is nothing left to do */
    nacre_recipe_settle(ctx, recipe, NULL, &(nacre_settle_options){.words = &words});
    NC_CHECK_OK(ctx);
    NC_CHECK_INT(words.size, 0);
    nacre_buffer_destroy(&words);
    nacre_recipe_destroy(recipe);
}

/* What is too large for the bound is not even planned. */
static void little_memory(void)
{
    nacre_recipe *recipe = recipe_with("training.batch_size=auto", "training.memory=1e-6", NULL);
    nacre_recipe_settle(ctx, recipe, NULL, NULL);
    NC_CHECK_FAILED(ctx, NACRE_ERROR_MEMORY, "not even a batch of 16 samples fits into 0.00 GiB");
    NC_CHECK_INT(recipe->training.batch_size, 0);
    nacre_recipe_destroy(recipe);
    recipe = recipe_with("training.batch_size=auto", "training.accumulate=24", NULL);
    nacre_recipe_settle(ctx, recipe, NULL, NULL);
    NC_CHECK_FAILED(ctx, NACRE_ERROR_ARGUMENT, "must be a multiple of 16");
    nacre_recipe_destroy(recipe);
}

/* The checkpoint's numbers, not new ones. */
static void gone_on_with(void)
{
    nacre_recipe *recipe = recipe_with("training.batch_size=20", "data.workers=2", "training.epochs=1");
    nacre_experiment experiment;
    nacre_experiment_result result = {0};
    nacre_experiment_options options = {.notes = "first line\nsecond line\n"};
    nacre_experiment_open(ctx, recipe, NULL, nc_file("first"), &experiment);
    nacre_experiment_run(ctx, &experiment, &options, &result);
    NC_CHECK_OK(ctx);
    nacre_experiment_close(&experiment);
    nacre_metrics_destroy(result.test.metrics);
    nacre_release(ctx, result.model_path);
    nacre_release(ctx, result.report_path);
    nacre_recipe_destroy(recipe);
    nacre_run_history *history = nacre_run_history_read(ctx, nc_file("first/log.jsonl"));
    NC_CHECK_INT(nacre_run_history_count(history), 3);
    NC_CHECK_TEXT(nacre_run_history_text(history, "note", "text"), "second line");
    nacre_run_history_destroy(history);

    recipe = recipe_with("training.batch_size=auto", "data.workers=auto", NULL);
    nacre_recipe_settle(ctx, recipe, NULL, &(nacre_settle_options){.output = nc_file("first"), .resume = true});
    NC_CHECK_OK(ctx);
    NC_CHECK_INT(recipe->training.batch_size, 20);
    NC_CHECK_INT(recipe->data.workers, 2);
    nacre_recipe_destroy(recipe);
}

/* Where folds and searches keep their first checkpoint. */
static void found_where_it_is(void)
{
    static const struct {
        nacre_settle_purpose purpose;
        const char *folder;
    } PLACES[] = {
        {NACRE_SETTLE_RUN, "place"}, {NACRE_SETTLE_FOLDS, "place/fold-1"}, {NACRE_SETTLE_SEARCH, "place/trial-1"}};
    for (int i = 0; i < 3; i++) {
        char size[64];
        snprintf(size, sizeof size, "training.batch_size=%d", 20 + i);
        nacre_recipe *recipe = recipe_with(size, "training.epochs=1", "optimizer.learning_rate=0.0625");
        nacre_experiment experiment;
        nacre_experiment_result result = {0};
        nacre_experiment_open(ctx, recipe, NULL, nc_file(PLACES[i].folder), &experiment);
        nacre_experiment_run(ctx, &experiment, NULL, &result);
        NC_CHECK_OK(ctx);
        nacre_experiment_close(&experiment);
        nacre_metrics_destroy(result.test.metrics);
        nacre_release(ctx, result.model_path);
        nacre_release(ctx, result.report_path);
        nacre_recipe_destroy(recipe);
    }
    for (int i = 0; i < 3; i++) {
        nacre_recipe *recipe = recipe_with("training.batch_size=auto", "optimizer.learning_rate=auto", NULL);
        const nacre_settle_options options = {.purpose = PLACES[i].purpose, .output = nc_file("place"), .resume = true};
        nacre_recipe_settle(ctx, recipe, NULL, &options);
        NC_CHECK_OK(ctx);
        NC_CHECK_INT(recipe->training.batch_size, 20 + i);
        NC_CHECK_NEAR(recipe->optimizer.learning_rate, i == 1 ? 0 : 0.0625, 0); /* each fold finds its own */
        nacre_recipe_destroy(recipe);
    }
}

/* What is searched is left alone, and the rest is found. */
static void beside_ranges(void)
{
    static const char *const RANGES[] = {"optimizer.learning_rate=1e-4..1e-1:log", NULL};
    nacre_recipe *recipe = recipe_with("training.batch_size=auto", "optimizer.learning_rate=auto", NULL);
    nacre_recipe_settle(
        ctx, recipe, NULL,
        &(nacre_settle_options){.purpose = NACRE_SETTLE_SEARCH, .output = nc_file("new"), .ranges = RANGES});
    NC_CHECK_OK(ctx);
    NC_CHECK(recipe->training.batch_size > 0);
    NC_CHECK_NEAR(recipe->optimizer.learning_rate, 0, 0);
    nacre_recipe_destroy(recipe);
}

/* ---- the learning rate ---- */

/* That of the search by itself, to the last bit. */
static void automatic_rate(void)
{
    nacre_recipe *recipe = recipe_with("optimizer.learning_rate=auto", NULL, NULL);
    nacre_buffer words = nacre_buffer_create(ctx);
    nacre_experiment experiment;
    nacre_rate_curve curve = {0};
    nacre_experiment_open(ctx, recipe, NULL, nc_file("none"), &experiment);
    const nacre_fit_options fit = nacre_experiment_fit(&experiment);
    nacre_find_rate(ctx, &fit, NULL, &curve);
    nacre_experiment_close(&experiment);
    nacre_recipe_settle(ctx, recipe, NULL, &(nacre_settle_options){.words = &words});
    NC_CHECK_OK(ctx);
    NC_CHECK(curve.valley > 0 && recipe->optimizer.learning_rate == curve.valley);
    NC_CHECK_CONTAINS(words.data, "found as the valley");
    nacre_rate_curve_release(ctx, &curve);
    nacre_buffer_destroy(&words);
    nacre_recipe_destroy(recipe);
}

static nacre_schedule scaled(const char *rule, const char *batch, const char *more)
{
    char setting[64];
    snprintf(setting, sizeof setting, "training.rate_scaling=%s", rule);
    nacre_recipe *recipe = recipe_with(setting, batch, more);
    nacre_experiment experiment;
    nacre_experiment_open(ctx, recipe, NULL, nc_file("none"), &experiment);
    NC_CHECK_OK(ctx);
    nacre_fit_options fit = nacre_experiment_fit(&experiment);
    nacre_experiment_close(&experiment);
    nacre_recipe_destroy(recipe);
    return fit.schedule;
}

/* The fifth of 10 epochs is 2. */
static void rate(void)
{
    NC_CHECK_NEAR(scaled("none", "training.batch_size=256", NULL).base, 0.01, 1e-12);
    NC_CHECK_INT(scaled("none", "training.batch_size=256", NULL).warmup_steps, 0);
    NC_CHECK_NEAR(scaled("linear", "training.batch_size=256", NULL).base, 0.04, 1e-12);
    NC_CHECK_NEAR(scaled("sqrt", "training.batch_size=256", NULL).base, 0.02, 1e-12);
    NC_CHECK_NEAR(scaled("linear", "training.batch_size=32", NULL).base, 0.005, 1e-12);
    NC_CHECK_NEAR(scaled("linear", "training.batch_size=32", "training.reference_batch=8").base, 0.04, 1e-12);
    NC_CHECK_NEAR(scaled("linear", "training.batch_size=32", "training.accumulate=128").base, 0.02, 1e-12);
    NC_CHECK_INT(scaled("linear", "training.batch_size=32", NULL).warmup_steps, 0); /* a lower rate needs none */
    const int64_t epoch = 5;                                                        /* updates of 120 of 600 samples */
    NC_CHECK_INT(scaled("linear", "training.batch_size=120", NULL).warmup_steps, 2 * epoch);
    NC_CHECK_INT(scaled("linear", "training.batch_size=120", "training.epochs=100").warmup_steps, 5 * epoch);
    NC_CHECK_INT(scaled("linear", "training.batch_size=120", "schedule.warmup_steps=3").warmup_steps, 3);
    NC_CHECK_INT(scaled("linear", "training.batch_size=120", "schedule.name=one_cycle").warmup_steps, 0);
}

static void rate_in_words(void)
{
    nacre_recipe *recipe = recipe_with("training.rate_scaling=linear", "training.batch_size=256", NULL);
    nacre_buffer words = nacre_buffer_create(ctx);
    nacre_recipe_settle(ctx, recipe, NULL, &(nacre_settle_options){.words = &words});
    NC_CHECK_OK(ctx);
    NC_CHECK_TEXT(words.data, "learning rate 0.01 x 4 = 0.04: linear in the samples per update, from 64\n");
    nacre_buffer_destroy(&words);
    nacre_recipe_destroy(recipe);
    recipe = recipe_with("training.rate_scaling=linear", "optimizer.learning_rate=auto", NULL);
    nacre_recipe_settle(ctx, recipe, NULL, NULL);
    NC_CHECK_FAILED(ctx, NACRE_ERROR_ARGUMENT, "nothing is to scale");
    nacre_recipe_destroy(recipe);
}

int main(void)
{
    ctx = nacre_context_create(&(nacre_context_options){.threads = 1});
    NC_RUN(batch_and_workers);
    NC_RUN(little_memory);
    NC_RUN(gone_on_with);
    NC_RUN(found_where_it_is);
    NC_RUN(beside_ranges);
    NC_RUN(automatic_rate);
    NC_RUN(rate);
    NC_RUN(rate_in_words);
    nacre_context_destroy(ctx);
    return nc_report();
}

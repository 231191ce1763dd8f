/* Figures of merit against values worked out by hand. */
#include "support.h"

#include <nacre/metrics.h>

static nacre_context *ctx;

static void means_are_weighted_by_samples(void)
{
    nacre_running_mean mean = {0};
    NC_CHECK(isnan(nacre_running_mean_value(&mean)));
    nacre_running_mean_add(&mean, 1.0, 128);
    nacre_running_mean_add(&mean, 4.0, 64);
    NC_CHECK_NEAR(nacre_running_mean_value(&mean), 2.0, 1e-15);
}

static void regression_errors(void)
{
    const double target[] = {3, -0.5, 2, 7}, predicted[] = {2.5, 0, 2, 8};
    nacre_regression r = {0};
    NC_CHECK(isnan(nacre_regression_mse(&r)) && isnan(nacre_regression_mae(&r)) && isnan(nacre_regression_r2(&r)));
    for (int i = 0; i < 4; i++) nacre_regression_add(&r, predicted[i], target[i]);
    NC_CHECK_NEAR(nacre_regression_mae(&r), 0.5, 1e-15);
    NC_CHECK_NEAR(nacre_regression_mse(&r), 0.375, 1e-15);
    NC_CHECK_NEAR(nacre_regression_rmse(&r), 0.61237243569579447, 1e-15);
    NC_CHECK_NEAR(nacre_regression_r2(&r), 1 - 1.5 / 29.1875, 1e-14); /* mean 2.875, spread 29.1875 */

    nacre_regression far = {0};
    for (int i = 0; i < 4; i++) nacre_regression_add(&far, 1e9 + predicted[i], 1e9 + target[i]);
    NC_CHECK_NEAR(nacre_regression_r2(&far), 1 - 1.5 / 29.1875, 1e-6);
}

/*           predicted
 *            0 1 2
 * truth 0    2 0 0     precision 2/3, 0, 0
 *       1    1 0 1     recall    1, 0, 0
 *       2    0 2 0     F1        4/5, 0, 0     */
static void confusion_scores(void)
{
    const int truth[] = {0, 1, 2, 0, 1, 2}, predicted[] = {0, 2, 1, 0, 0, 1};
    nacre_confusion *c = nacre_confusion_create(ctx, 3);
    NC_CHECK(isnan(nacre_confusion_accuracy(c)));
    NC_CHECK(isnan(nacre_confusion_average(c, NACRE_AVERAGE_MACRO).f1));
    for (int i = 0; i < 6; i++) NC_CHECK_INT(nacre_confusion_add(c, truth[i], predicted[i]), NACRE_OK);

    NC_CHECK_INT(nacre_confusion_classes(c), 3);
    NC_CHECK_INT(nacre_confusion_total(c), 6);
    NC_CHECK_INT(nacre_confusion_count(c, 2, 1), 2);
    NC_CHECK_INT(nacre_confusion_count(c, 1, 2), 1);
    NC_CHECK_INT(nacre_confusion_count(c, 3, 0), 0);
    NC_CHECK_NEAR(nacre_confusion_accuracy(c), 2.0 / 6, 1e-15);
    nacre_class_scores zero = nacre_confusion_class(c, 0);
    NC_CHECK_INT(zero.support, 2);
    NC_CHECK_NEAR(zero.precision, 2.0 / 3, 1e-15);
    NC_CHECK_NEAR(zero.recall, 1, 1e-15);
    NC_CHECK_NEAR(zero.f1, 0.8, 1e-15);
    nacre_class_scores macro = nacre_confusion_average(c, NACRE_AVERAGE_MACRO);
    NC_CHECK_NEAR(macro.precision, 2.0 / 9, 1e-15);
    NC_CHECK_NEAR(macro.recall, 1.0 / 3, 1e-15);
    NC_CHECK_NEAR(macro.f1, 0.8 / 3, 1e-15);
    NC_CHECK_NEAR(nacre_confusion_average(c, NACRE_AVERAGE_MICRO).f1, 1.0 / 3, 1e-15);
    nacre_confusion_add(c, 0, 0); /* supports are now 3, 2, 2; class 0 has precision 3/4 */
    NC_CHECK_NEAR(nacre_confusion_average(c, NACRE_AVERAGE_WEIGHTED).precision, 0.75 * 3 / 7, 1e-15);

    nacre_confusion_clear(c);
    NC_CHECK_INT(nacre_confusion_total(c), 0);
    NC_CHECK_INT(nacre_confusion_count(c, 2, 1), 0);
    NC_CHECK_INT(nacre_confusion_add(c, 3, 0), NACRE_ERROR_ARGUMENT);
    NC_CHECK_FAILED(ctx, NACRE_ERROR_ARGUMENT, "class 3 predicted as 0, expected 0 to 2");
    nacre_confusion_destroy(c);

    NC_CHECK(!nacre_confusion_create(ctx, 0));
    NC_CHECK_FAILED(ctx, NACRE_ERROR_ARGUMENT, "0 classes");
}

/* A class that never occurs does not pull the macro average down; one that was only predicted does. */
static void macro_average_over_classes_that_occur(void)
{
    nacre_confusion *c = nacre_confusion_create(ctx, 5);
    nacre_confusion_add(c, 0, 0);
    nacre_confusion_add(c, 1, 3);
    nacre_class_scores macro = nacre_confusion_average(c, NACRE_AVERAGE_MACRO);
    NC_CHECK_NEAR(macro.recall, 1.0 / 3, 1e-15);
    nacre_confusion_destroy(c);
}

static void a_vocabulary_keeps_sums_only(void)
{
    nacre_confusion *c = nacre_confusion_create(ctx, 50257);
    NC_REQUIRE(c);
    nacre_confusion_add(c, 50256, 50256);
    nacre_confusion_add(c, 7, 50256);
    NC_CHECK_INT(nacre_confusion_count(c, 50256, 50256), 1);
    NC_CHECK_INT(nacre_confusion_count(c, 7, 50256), -1);
    NC_CHECK_NEAR(nacre_confusion_class(c, 50256).precision, 0.5, 1e-15);
    nacre_confusion_destroy(c);
}

static void argmax_and_nan(void)
{
    NC_CHECK_INT(nacre_best_class((float[]){1, 3, 3, 2}, 4), 1);
    NC_CHECK_INT(nacre_best_class((float[]){-INFINITY, -INFINITY}, 2), 0);
    NC_CHECK_INT(nacre_best_class((float[]){1, NAN}, 2), -1);
    NC_CHECK_INT(nacre_best_class(NULL, 0), -1);
}

static void area_under_the_curve(void)
{
    nacre_roc *roc = nacre_roc_create(ctx);
    NC_CHECK(isnan(nacre_roc_area(roc)));
    nacre_roc_add(roc, 0.1, false);
    nacre_roc_add(roc, 0.4, false);
    NC_CHECK(isnan(nacre_roc_area(roc))); /* one class only */
    nacre_roc_add(roc, 0.35, true);
    nacre_roc_add(roc, 0.8, true);
    NC_CHECK_NEAR(nacre_roc_area(roc), 0.75, 1e-15);
    nacre_roc_add(roc, 0.9, true); /* adding goes on after asking */
    NC_CHECK_NEAR(nacre_roc_area(roc), 5.0 / 6, 1e-15);

    nacre_roc_clear(roc);
    const double scores[] = {0.5, 0.5, 0.5, 0.2};
    const bool positive[] = {true, false, true, false};
    for (int i = 0; i < 4; i++) nacre_roc_add(roc, scores[i], positive[i]);
    NC_CHECK_NEAR(nacre_roc_area(roc), 0.75, 1e-15); /* two ties at one half, two won */
    NC_CHECK_INT(nacre_roc_add(roc, NAN, true), NACRE_ERROR_NUMERIC);
    NC_CHECK_FAILED(ctx, NACRE_ERROR_NUMERIC, "NaN");
    nacre_roc_destroy(roc);
}

static double value_of(nacre_metrics *m, const char *name)
{
    for (int i = 0; i < nacre_metrics_count(m); i++)
        if (strcmp(nacre_metrics_name(m, i), name) == 0) return nacre_metrics_value(m, i);
    return NAN;
}

static void set_for_many_classes(void)
{
    const char *names[] = {"accuracy",          "top1",   "top2", "top3", "f1_macro", "precision_micro",
                           "balanced_accuracy", "roc_auc"};
    const float scores[] = {0.5f, 0.2f, 0.2f, 0.3f, 0.4f, 0.2f, 0.2f, 0.4f, 0.3f, 0.7f, 0.2f, 0.1f};
    const int64_t labels[] = {0, 1, 2, 2};
    nacre_metrics *m = nacre_metrics_create(ctx, names, 8, 3);
    NC_REQUIRE(m);
    NC_CHECK(isnan(value_of(m, "accuracy")) && isnan(value_of(m, "top2")) && isnan(value_of(m, "roc_auc")));
    for (int pass = 0; pass < 2; pass++) { /* a second pass after clear gives the same */
        nacre_metrics_clear(m);
        NC_CHECK_INT(nacre_metrics_add(m, scores, NACRE_I64, labels, 3), NACRE_OK);
        NC_CHECK_INT(nacre_metrics_add(m, scores + 9, NACRE_U8, (uint8_t[]){2}, 1), NACRE_OK);
        NC_CHECK_NEAR(value_of(m, "accuracy"), 0.5, 1e-15);
        NC_CHECK_NEAR(value_of(m, "top1"), 0.5, 1e-15);
        NC_CHECK_NEAR(value_of(m, "top2"), 0.75, 1e-15);
        NC_CHECK_NEAR(value_of(m, "top3"), 1, 1e-15);
        /* predictions 0 1 1 0: F1 of the classes 2/3, 2/3, 0 */
        NC_CHECK_NEAR(value_of(m, "f1_macro"), 4.0 / 9, 1e-15);
        NC_CHECK_NEAR(value_of(m, "precision_micro"), 0.5, 1e-15);
        NC_CHECK_NEAR(value_of(m, "balanced_accuracy"), 2.0 / 3, 1e-15);
        /* against the rest: class 0 {.5} over {.3 .2 .7} 2/3; class 1 {.4} over {.2 .4 .2} 5/6;
         * class 2 {.3 .1} over {.2 .2} 1/2 */
        NC_CHECK_NEAR(value_of(m, "roc_auc"), (2.0 / 3 + 5.0 / 6 + 0.5) / 3, 1e-7);
    }
    NC_CHECK_INT(nacre_confusion_count(nacre_metrics_confusion(m), 2, 1), 1);
    NC_CHECK(!nacre_metrics_name(m, 8) && !nacre_metrics_name(m, -1) && isnan(nacre_metrics_value(m, 8)));

    NC_CHECK_INT(nacre_metrics_add(m, scores, NACRE_I32, (int32_t[]){0, 3}, 2), NACRE_ERROR_ARGUMENT);
    NC_CHECK_FAILED(ctx, NACRE_ERROR_ARGUMENT,
                    "sample 1 of the batch has label 3, expected a whole number from 0 to 2");
    NC_CHECK_INT(nacre_metrics_add(m, scores, NACRE_F32, (float[]){0.5f}, 1), NACRE_ERROR_ARGUMENT);
    NC_CHECK_FAILED(ctx, NACRE_ERROR_ARGUMENT, "label 0.5");
    NC_CHECK_INT(nacre_metrics_add(m, (float[]){0, NAN, 0}, NACRE_I64, labels, 1), NACRE_ERROR_NUMERIC);
    NC_CHECK_FAILED(ctx, NACRE_ERROR_NUMERIC, "sample 0");
    nacre_metrics_destroy(m);
}

/* One logit and the two-column form of the same scores agree. */
static void set_for_two_classes(void)
{
    const char *names[] = {"accuracy", "precision", "recall", "f1", "roc_auc", "top1"};
    const float one[] = {-1, 2, 0.5f, -0.5f, 3}, two[] = {1, 0, 0, 2, 0, 0.5f, 0.5f, 0, -1, 2};
    const uint8_t labels[] = {0, 1, 0, 1, 1};
    for (int columns = 1; columns <= 2; columns++) {
        nacre_metrics *m = nacre_metrics_create(ctx, names, 6, columns);
        NC_REQUIRE(m);
        NC_CHECK_INT(nacre_metrics_add(m, columns == 1 ? one : two, NACRE_BOOL, labels, 5), NACRE_OK);
        NC_CHECK_NEAR(value_of(m, "accuracy"), 0.6, 1e-15);
        NC_CHECK_NEAR(value_of(m, "precision"), 2.0 / 3, 1e-15);
        NC_CHECK_NEAR(value_of(m, "recall"), 2.0 / 3, 1e-15);
        NC_CHECK_NEAR(value_of(m, "f1"), 2.0 / 3, 1e-15);
        NC_CHECK_NEAR(value_of(m, "top1"), 0.6, 1e-15);
        NC_CHECK_NEAR(value_of(m, "roc_auc"), 5.0 / 6, 1e-15);
        nacre_metrics_destroy(m);
    }
}

static void set_for_values(void)
{
    const char *names[] = {"mse", "rmse", "mae", "r2"};
    nacre_metrics *m = nacre_metrics_create(ctx, names, 4, 2);
    NC_REQUIRE(m);
    const float predicted[] = {2.5f, 0, 2, 8};
    NC_CHECK_INT(nacre_metrics_add(m, predicted, NACRE_F32, (float[]){3, -0.5f, 2, 7}, 2), NACRE_OK);
    NC_CHECK_NEAR(value_of(m, "mse"), 0.375, 1e-15);
    NC_CHECK_NEAR(value_of(m, "rmse"), sqrt(0.375), 1e-15);
    NC_CHECK_NEAR(value_of(m, "mae"), 0.5, 1e-15);
    NC_CHECK_NEAR(value_of(m, "r2"), 1 - 1.5 / 29.1875, 1e-14);
    NC_CHECK(!nacre_metrics_confusion(m));
    NC_CHECK_INT(nacre_metrics_add(m, (float[]){0, 0, NAN, 0}, NACRE_F32, predicted, 2), NACRE_ERROR_NUMERIC);
    NC_CHECK_FAILED(ctx, NACRE_ERROR_NUMERIC, "sample 1");
    nacre_metrics_destroy(m);
}

static void names_are_checked(void)
{
    const char *misspelt[] = {"acuracy"}, *mixed[] = {"accuracy", "mse"}, *binary[] = {"f1"}, *top[] = {"top0"};
    NC_CHECK(!nacre_metrics_create(ctx, misspelt, 1, 10));
    NC_CHECK_FAILED(ctx, NACRE_ERROR_ARGUMENT, "unknown metric 'acuracy', did you mean 'accuracy'?");
    NC_CHECK(!nacre_metrics_create(ctx, mixed, 2, 10));
    NC_CHECK_FAILED(ctx, NACRE_ERROR_ARGUMENT, "'accuracy' and 'mse' cannot be mixed");
    NC_CHECK(!nacre_metrics_create(ctx, binary, 1, 10));
    NC_CHECK_FAILED(ctx, NACRE_ERROR_ARGUMENT, "take 'f1_macro'");
    NC_CHECK(!nacre_metrics_create(ctx, top, 1, 10));
    NC_CHECK_FAILED(ctx, NACRE_ERROR_ARGUMENT, "unknown metric 'top0'");
    NC_CHECK(!nacre_metrics_create(ctx, top, 1, 0));
    NC_CHECK_FAILED(ctx, NACRE_ERROR_ARGUMENT, "0 output columns");
    NC_CHECK(nacre_metric_higher_is_better("top5") && nacre_metric_higher_is_better("r2"));
    NC_CHECK(!nacre_metric_higher_is_better("loss") && !nacre_metric_higher_is_better("mse"));
    NC_CHECK(!nacre_metric_higher_is_better(NULL));
}

static bool one_batch(nacre_context *context, void *user)
{
    (void)user;
    const char *names[] = {"accuracy", "top2", "roc_auc"};
    nacre_metrics *m = nacre_metrics_create(context, names, 3, 3);
    bool done = m && nacre_metrics_add(m, (float[]){1, 2, 3}, NACRE_I64, (int64_t[]){2}, 1) == NACRE_OK;
    nacre_metrics_destroy(m);
    return done;
}

static void memory_runs_out(void)
{
    nc_fail_each_allocation(one_batch, NULL);
}

int main(void)
{
    ctx = nacre_context_create(&(nacre_context_options){.threads = 1});
    NC_RUN(means_are_weighted_by_samples);
    NC_RUN(regression_errors);
    NC_RUN(confusion_scores);
    NC_RUN(macro_average_over_classes_that_occur);
    NC_RUN(a_vocabulary_keeps_sums_only);
    NC_RUN(argmax_and_nan);
    NC_RUN(area_under_the_curve);
    NC_RUN(set_for_many_classes);
    NC_RUN(set_for_two_classes);
    NC_RUN(set_for_values);
    NC_RUN(names_are_checked);
    NC_RUN(memory_runs_out);
    NC_CHECK_OK(ctx);
    nacre_context_destroy(ctx);
    return nc_report();
}

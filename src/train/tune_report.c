/* train/tune_report.c - what a search leaves: the best recipe, a picture, a report. */
#include "train/tune.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { PICTURE_WIDTH = 860, PICTURE_HEIGHT = 400, MOST_PICTURED = 2000 };

typedef struct contents {
    nacre_context *context;
    const nacre_recipe *recipe;
    nacre_tune_result *result;
    nacre_figure figures[2];
    nacre_report_table table;
} contents;

static const char *keep(contents *all, const char *text)
{
    const char *copy = nacre_pool_copy(&all->result->pool, text, strlen(text));
    return copy ? copy : "";
}

/* ---- order ---- */

static bool sort_trials(contents *all)
{
    nacre_tune_result *result = all->result;
    int64_t *order = nacre_pool_allocate(&result->pool, (size_t)result->trial_count * sizeof *order);
    for (int64_t t = 0; order && t < result->trial_count; t++) {
        int64_t place = t;
        for (; place > 0 && nc_trial_is_better(result, t, order[place - 1]); place--) order[place] = order[place - 1];
        order[place] = t;
    }
    result->ranking = order;
    return order != NULL;
}

/* ---- pictures ---- */

static nacre_axis axis_of_range(const nacre_range *range)
{
    const char *dot = strrchr(range->key, '.');
    bool vague = dot && !strcmp(dot, ".name"); /* of what? */
    return (nacre_axis){.label = dot && !vague ? dot + 1 : range->key,
                        .logarithmic = range->logarithmic,
                        .whole = range->kind == NACRE_RANGE_WHOLE,
                        .names = range->choices,
                        .name_count = range->choice_count};
}

static bool is_share(const nacre_tune_result *result)
{
    return result->higher_is_better && strcmp(result->deciding, "r2") != 0;
}

/* The lines of better trials stand out more. */
static bool draw_parallel(contents *all)
{
    nacre_tune_result *result = all->result;
    int columns = result->range_count + 1;
    int rows = result->trial_count < MOST_PICTURED ? (int)result->trial_count : MOST_PICTURED;
    nacre_axis *axes = nacre_pool_allocate(&result->pool, (size_t)columns * sizeof *axes);
    double *values = nacre_pool_allocate(&result->pool, (size_t)rows * (size_t)columns * sizeof *values);
    double *weights = nacre_pool_allocate(&result->pool, (size_t)rows * sizeof *weights);
    if (!axes || !values || !weights) return false;
    for (int r = 0; r < result->range_count; r++) axes[r] = axis_of_range(&result->ranges[r]);
    axes[columns - 1] = (nacre_axis){.label = result->deciding, .percent = is_share(result)};
    for (int i = 0; i < rows; i++) {
        const nacre_trial *trial = &result->trials[result->ranking[i]];
        weights[i] = i == 0 ? 1 : 0.95 * pow(1 - (double)i / rows, 2);
        for (int r = 0; r < result->range_count; r++)
            values[i * columns + r] = nc_range_position(&result->ranges[r], trial->values[r]);
        values[i * columns + columns - 1] = trial->value;
    }
    all->figures[0] = (nacre_figure){.kind = NACRE_FIGURE_PARALLEL,
                                     .title = "Settings and what they reach",
                                     .width = PICTURE_WIDTH,
                                     .height = PICTURE_HEIGHT,
                                     .axes = axes,
                                     .columns = columns,
                                     .rows = rows,
                                     .values = values,
                                     .weights = weights};
    return true;
}

/* Each trial's value and the best until then. */
static bool draw_progress(contents *all)
{
    nacre_tune_result *result = all->result;
    size_t count = (size_t)result->trial_count;
    double *numbers = nacre_pool_allocate(&result->pool, 3 * count * sizeof *numbers), best = NAN;
    nacre_series *series = nacre_pool_allocate(&result->pool, 2 * sizeof *series);
    if (!numbers || !series) return false;
    double *x = numbers, *value = numbers + count, *so_far = value + count;
    for (int64_t t = 0; t < result->trial_count; t++) {
        x[t] = (double)t + 1;
        value[t] = result->trials[t].value;
        best = result->higher_is_better ? fmax(best, value[t]) : fmin(best, value[t]);
        so_far[t] = best;
    }
    series[0] = (nacre_series){.name = "trial", .x = x, .y = value, .count = result->trial_count, .faint = true};
    series[1] = (nacre_series){.name = "best so far", .x = x, .y = so_far, .count = result->trial_count, .color = 2};
    all->figures[1] = (nacre_figure){.title = "Trials in their order",
                                     .width = PICTURE_WIDTH,
                                     .x = {.label = "trial", .whole = true},
                                     .y = {.label = result->deciding, .percent = is_share(result)},
                                     .series = series,
                                     .series_count = 2};
    return true;
}

/* ---- the table ---- */

static bool make_table(contents *all)
{
    nacre_tune_result *result = all->result;
    int columns = result->range_count + 4;
    const char **names = nacre_pool_allocate(&result->pool, (size_t)columns * sizeof *names);
    const char **cells =
        nacre_pool_allocate(&result->pool, (size_t)result->trial_count * (size_t)columns * sizeof *cells);
    if (!names || !cells) return false;
    names[0] = "trial";
    names[1] = result->deciding;
    names[2] = "epochs";
    names[3] = "time";
    for (int r = 0; r < result->range_count; r++) names[4 + r] = result->ranges[r].key;
    for (int64_t i = 0; i < result->trial_count; i++) {
        const nacre_trial *trial = &result->trials[result->ranking[i]];
        const char **row = cells + i * columns;
        char text[NACRE_NUMBER_SIZE];
        row[0] = keep(all, nacre_text_count(text, result->ranking[i] + 1));
        row[1] = trial->failed ? "failed" : keep(all, nacre_text_value(text, trial->value));
        row[2] = keep(all, nacre_text_count(text, trial->epochs));
        row[3] = keep(all, nacre_text_duration(text, trial->seconds));
        for (int r = 0; r < result->range_count; r++) row[4 + r] = trial->values[r];
    }
    all->table = (nacre_report_table){.title = "Trials",
                                      .remark = "the best first; those that went further before those that did not",
                                      .columns = names,
                                      .column_count = columns,
                                      .cells = cells,
                                      .row_count = (int)result->trial_count,
                                      .marked = 1};
    return true;
}

/* ---- files ---- */

static char *path_in(contents *all, const char *folder, const char *name)
{
    char *joined = nacre_path_join(all->context, folder, name);
    char *path = joined ? nacre_pool_copy(&all->result->pool, joined, strlen(joined)) : NULL;
    nacre_release(all->context, joined);
    return path;
}

static void write_best(contents *all, const char *folder)
{
    nacre_tune_result *result = all->result;
    nacre_recipe *best = nc_recipe_of_trial(all->context, all->recipe, result, result->best);
    char *path = path_in(all, folder, "best.yaml");
    if (best && path && nacre_recipe_set(best, "tune.ranges=null") == NACRE_OK &&
        nacre_recipe_save(best, path) == NACRE_OK)
        result->recipe_path = path;
    nacre_recipe_destroy(best);
}

static void write_report(contents *all, const char *folder)
{
    nacre_tune_result *result = all->result;
    const nacre_trial *best = &result->trials[result->best];
    char value[NACRE_NUMBER_SIZE], count[NACRE_NUMBER_SIZE], time[NACRE_NUMBER_SIZE], subtitle[128];
    nacre_fact facts[4 + 32] = {{result->deciding, nacre_text_value(value, best->value)}};
    int fact_count = 1;
    for (int r = 0; r < result->range_count; r++)
        facts[fact_count++] = (nacre_fact){result->ranges[r].key, best->values[r]};
    facts[fact_count++] = (nacre_fact){"trials", nacre_text_count(count, result->trial_count)};
    facts[fact_count++] = (nacre_fact){"training time", nacre_text_duration(time, result->seconds)};
    snprintf(subtitle, sizeof subtitle, "A search by %s, on the validation samples", all->recipe->tune.method);
    nacre_buffer settings = nacre_buffer_create(all->context);
    nacre_recipe_print(all->recipe, false, &settings);
    nacre_report report = {.title = all->recipe->name ? all->recipe->name : "A search",
                           .subtitle = subtitle,
                           .summary = facts,
                           .summary_count = fact_count,
                           .figures = all->figures,
                           .figure_count = 2,
                           .tables = &all->table,
                           .table_count = 1,
                           .settings = settings.data};
    char *path = path_in(all, folder, "report.html");
    if (path && nacre_report_write(all->context, &report, path) == NACRE_OK) result->report_path = path;
    nacre_buffer_destroy(&settings);
}

static void write_picture(contents *all, const char *folder)
{
#ifdef NACRE_HAVE_CAIRO
    char *path = path_in(all, folder, "parallel.png");
#else
    char *path = path_in(all, folder, "parallel.svg");
#endif
    if (path && nacre_figure_write(all->context, &all->figures[0], path) == NACRE_OK) all->result->picture_path = path;
}

nacre_status nc_write_search(nacre_context *context, const nacre_recipe *recipe, const char *folder,
                             nacre_tune_result *result)
{
    contents all = {.context = context, .recipe = recipe, .result = result};
    if (sort_trials(&all) && draw_parallel(&all) && draw_progress(&all) && make_table(&all)) {
        write_best(&all, folder);
        if (nacre_check(context) == NACRE_OK && recipe->output.report) write_report(&all, folder);
        if (nacre_check(context) == NACRE_OK) write_picture(&all, folder);
    }
    return nacre_check(context);
}

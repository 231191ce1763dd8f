/* cli/plot_runs.c - the curves of several runs in one picture. */
#include "plot.h"

#include <nacre/report.h>

#include <string.h>

enum { MOST_RUNS = 8, MOST_PANELS = 6, TEXT = 160 };

typedef struct run_curves {
    nacre_run_history *history;
    char name[TEXT]; /* in the legend */
} run_curves;

typedef struct comparison {
    nc_call *call;
    run_curves runs[MOST_RUNS];
    int run_count;
    const char *x;
    const char *metrics[MOST_PANELS];
    nacre_figure panels[MOST_PANELS];
    nacre_series series[MOST_PANELS][2 * MOST_RUNS];
    char titles[MOST_PANELS][TEXT];
    int panel_count;
} comparison;

/* ---- reading ---- */

/* "runs/a/" and "runs/a/log.jsonl" are both called "a". */
static void name_run(const char *path, char name[TEXT])
{
    static const char file[] = "log.jsonl";
    size_t length = strlen(path), end = sizeof file - 1;
    if (length > end && !strcmp(path + length - end, file)) length -= end;
    while (length > 1 && path[length - 1] == '/') length--;
    const char *start = path + length;
    while (start > path && start[-1] != '/') start--;
    snprintf(name, TEXT, "%.*s", (int)(path + length - start), start);
}

static bool open_run(comparison *all, const char *path)
{
    nacre_context *context = all->call->context;
    run_curves *run = &all->runs[all->run_count];
    char *log =
        nacre_path_is_directory(path) ? nacre_path_join(context, path, "log.jsonl") : nacre_duplicate(context, path);
    name_run(path, run->name);
    run->history = log ? nacre_run_history_read(context, log) : NULL;
    nacre_release(context, log);
    if (!run->history) return false;
    all->run_count++;
    if (nacre_run_history_series(run->history, "epoch", "epoch", "epoch").count > 0) return true;
    nacre_fail(context, NACRE_ERROR_NOT_FOUND, "%s: no epoch is finished yet, so there is nothing to draw", path);
    return false;
}

static bool open_runs(comparison *all)
{
    for (int i = 0; i < all->call->argument_count; i++)
        if (!open_run(all, all->call->arguments[i])) return false;
    return true;
}

/* ---- panels ---- */

static nacre_series read_series(const comparison *all, int run, const char *part, const char *metric)
{
    char key[TEXT];
    snprintf(key, sizeof key, "%s%s", part, metric);
    return nacre_run_history_series(all->runs[run].history, "epoch", all->x, key);
}

/* Training is dashed beside validation, alone it is not. */
static int add_run(comparison *all, int panel, int run, int count)
{
    const char *metric = all->metrics[panel];
    nacre_series *series = all->series[panel];
    nacre_series validation = read_series(all, run, "validation.", metric);
    nacre_series training = read_series(all, run, "train.", metric);
    if (!strcmp(metric, "learning_rate")) validation = read_series(all, run, "", metric);
    if (validation.count > 0) {
        series[count] = validation;
        series[count].name = all->runs[run].name;
        series[count++].color = run + 1;
    }
    if (training.count > 0) {
        series[count] = training;
        series[count].name = validation.count > 0 ? NULL : all->runs[run].name;
        series[count].dashed = validation.count > 0;
        series[count++].color = run + 1;
    }
    return count;
}

static nacre_axis choose_axis(const char *metric, const nacre_series *series, int count)
{
    double low = INFINITY, high = -INFINITY;
    for (int s = 0; s < count; s++)
        for (int64_t i = 0; i < series[s].count; i++) {
            low = fmin(low, series[s].y[i]);
            high = fmax(high, series[s].y[i]);
        }
    bool share = nacre_metric_higher_is_better(metric) && strcmp(metric, "r2") != 0 && low >= 0 && high <= 1;
    return (nacre_axis){.percent = share, .logarithmic = !share && low > 0 && isfinite(high) && high > 50 * low};
}

static bool add_panel(comparison *all, const char *metric)
{
    int panel = all->panel_count, count = 0;
    if (panel == MOST_PANELS) return nc_usage_error(all->call, "more than %d --metric", MOST_PANELS), false;
    all->metrics[panel] = metric;
    for (int run = 0; run < all->run_count; run++) count = add_run(all, panel, run, count);
    if (count == 0) {
        nacre_fail(all->call->context, NACRE_ERROR_NOT_FOUND, "no run has logged '%s'", metric);
        return false;
    }
    bool both = false;
    for (int i = 0; i < count; i++) both |= all->series[panel][i].dashed;
    snprintf(all->titles[panel], TEXT, "%s%s", metric, both ? " (dashed: training)" : "");
    all->panels[panel] = (nacre_figure){.title = all->titles[panel],
                                        .width = 560,
                                        .height = 380,
                                        .x = {.label = all->x, .whole = true},
                                        .y = choose_axis(metric, all->series[panel], count),
                                        .series = all->series[panel],
                                        .series_count = count};
    all->panel_count++;
    return true;
}

/* What the first run's recipe measures first; loss alone where it logs nothing else. */
static const char *first_metric(const comparison *all)
{
    static const char *const names[] = {
#define NAME(name, ...) #name,
        NACRE_METRIC_TABLE(NAME)
#undef NAME
    };
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (read_series(all, 0, "train.", names[i]).count > 0) return names[i];
    return NULL;
}

static bool add_panels(comparison *all)
{
    const char *metric;
    int position = 0;
    while ((metric = nc_next(all->call, "metric", &position)))
        if (!add_panel(all, metric)) return false;
    if (all->panel_count > 0) return true;
    metric = first_metric(all);
    return add_panel(all, "loss") && (!metric || add_panel(all, metric));
}

/* ---- the table below ---- */

/* The best value of a run's curve and where it was reached; NaN if it has none. */
static double best_value(const comparison *all, int panel, int run, double *at)
{
    const char *metric = all->metrics[panel];
    nacre_series series = read_series(all, run, "validation.", metric);
    if (series.count == 0) series = read_series(all, run, "train.", metric);
    double best = NAN;
    for (int64_t i = 0; i < series.count; i++) {
        bool better = nacre_metric_higher_is_better(metric) ? series.y[i] > best : series.y[i] < best;
        if (!better && !isnan(best)) continue;
        best = series.y[i];
        *at = series.x[i];
    }
    return best;
}

static void print_table(const comparison *all)
{
    int width = 3;
    for (int r = 0; r < all->run_count; r++)
        if ((int)strlen(all->runs[r].name) > width) width = (int)strlen(all->runs[r].name);
    printf("%-*s", width, "run");
    for (int p = 0; p < all->panel_count; p++) printf("  %18s", all->metrics[p]);
    printf("\n");
    for (int r = 0; r < all->run_count; r++) {
        printf("%-*s", width, all->runs[r].name);
        for (int p = 0; p < all->panel_count; p++) {
            char value[NACRE_NUMBER_SIZE], cell[2 * NACRE_NUMBER_SIZE];
            double at = 0, best = best_value(all, p, r, &at);
            snprintf(cell, sizeof cell, isnan(best) ? "-" : "%s @ %.0f", nacre_text_value(value, best), at);
            printf("  %18s", cell);
        }
        printf("\n");
    }
}

static cJSON *to_json(const comparison *all, const char *path)
{
    cJSON *object = cJSON_CreateObject(), *runs = cJSON_AddArrayToObject(object, "runs");
    cJSON_AddStringToObject(object, "picture", path);
    for (int r = 0; r < all->run_count; r++) {
        cJSON *run = cJSON_CreateObject(), *best = cJSON_CreateObject();
        cJSON_AddItemToArray(runs, run);
        cJSON_AddStringToObject(run, "name", all->runs[r].name);
        cJSON_AddItemToObject(run, "best", best);
        for (int p = 0; p < all->panel_count; p++) {
            double at = 0, value = best_value(all, p, r, &at);
            cJSON *entry = cJSON_AddObjectToObject(best, all->metrics[p]);
            cJSON_AddNumberToObject(entry, "value", value);
            cJSON_AddNumberToObject(entry, all->x, at);
        }
    }
    return object;
}

/* ---- the whole ---- */

nc_exit nc_plot_runs(nc_call *call)
{
    enum { COLUMNS = 2 };
    nacre_context *context = call->context;
    const char *path = nc_is_given(call, "output") ? nc_text(call, "output") : "runs.png";
    if (call->argument_count > MOST_RUNS) return nc_usage_error(call, "more than %d runs", MOST_RUNS);
    comparison *all = nacre_allocate(context, sizeof *all);
    if (!all) return NC_EXIT_FAILED;
    *all = (comparison){.call = call, .x = nc_text(call, "x")};
    nc_exit code = NC_EXIT_FAILED;
    if (open_runs(all) && add_panels(all) &&
        nacre_figures_write(context, all->panels, all->panel_count, COLUMNS, path) == NACRE_OK) {
        code = NC_EXIT_DONE;
        if (nc_flag(call, "json")) {
            code = nc_print_json(call, to_json(all, path));
        } else {
            print_table(all);
            printf("picture  %s\n", path);
        }
    }
    for (int r = 0; r < all->run_count; r++) nacre_run_history_destroy(all->runs[r].history);
    nacre_release(context, all);
    return code;
}

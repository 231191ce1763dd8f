/* train/runlog_history.c - the log of a run read back: its numbers as series, and as curves. */
#include "train/runlog.h"

#include <ctype.h>
#include <math.h>
#include <string.h>

struct nacre_run_history {
    nacre_context *context;
    cJSON **records;
    int64_t count, capacity;
    nacre_pool pool; /* all that was asked for */
};

/* ---- reading ---- */

static bool keep_record(void *user, cJSON *record, size_t before, size_t end)
{
    (void)before, (void)end;
    nacre_run_history *history = user;
    if (history->count == history->capacity) {
        int64_t capacity = history->capacity ? 2 * history->capacity : 64;
        cJSON **records = nacre_resize(history->context, history->records, (size_t)capacity * sizeof *records);
        if (!records) {
            cJSON_Delete(record);
            return false;
        }
        history->records = records;
        history->capacity = capacity;
    }
    history->records[history->count++] = record;
    return true;
}

nacre_run_history *nacre_run_history_read(nacre_context *context, const char *path)
{
    nacre_run_history *history = nacre_allocate(context, sizeof *history);
    if (!history) return NULL;
    *history = (nacre_run_history){.context = context, .pool = {.context = context}};
    size_t size;
    char *text = nacre_file_read(context, path, 0, &size);
    bool done = text && nc_scan_records(context, path, text, size, keep_record, history) == NACRE_OK;
    nacre_release(context, text);
    if (done) return history;
    nacre_run_history_destroy(history);
    return NULL;
}

void nacre_run_history_destroy(nacre_run_history *history)
{
    if (!history) return;
    for (int64_t i = 0; i < history->count; i++) cJSON_Delete(history->records[i]);
    nacre_pool_destroy(&history->pool);
    nacre_release(history->context, history->records);
    nacre_release(history->context, history);
}

int64_t nacre_run_history_count(const nacre_run_history *history)
{
    return history ? history->count : 0;
}

static bool is_event(const cJSON *record, const char *event)
{
    const char *name = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(record, "event"));
    return !event || (name && strcmp(name, event) == 0);
}

/* Fills x and y unless they are NULL; returns how many points there are. */
static int64_t gather(const nacre_run_history *history, const char *event, const char *x_key, const char *key,
                      double *x, double *y)
{
    int64_t count = 0;
    for (int64_t i = 0; i < history->count; i++) {
        const cJSON *record = history->records[i];
        double at, value;
        if (!is_event(record, event) || !nc_read_number(cJSON_GetObjectItemCaseSensitive(record, x_key), &at) ||
            !nc_read_number(cJSON_GetObjectItemCaseSensitive(record, key), &value))
            continue;
        if (x) {
            x[count] = at;
            y[count] = value;
        }
        count++;
    }
    return count;
}

nacre_series nacre_run_history_series(nacre_run_history *history, const char *event, const char *x_key, const char *key)
{
    if (!history) return (nacre_series){0};
    int64_t count = gather(history, event, x_key, key, NULL, NULL);
    double *numbers = nacre_pool_allocate(&history->pool, 2 * (size_t)count * sizeof *numbers);
    char *name = nacre_pool_copy(&history->pool, key, strlen(key));
    if (!numbers || !name) return (nacre_series){0};
    gather(history, event, x_key, key, numbers, numbers + count);
    return (nacre_series){.name = name, .x = numbers, .y = numbers + count, .count = count};
}

const char *nacre_run_history_text(const nacre_run_history *history, const char *event, const char *key)
{
    for (int64_t i = nacre_run_history_count(history); i-- > 0;) {
        const cJSON *record = history->records[i];
        const char *text = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(record, key));
        if (text && is_event(record, event)) return text;
    }
    return NULL;
}

/* ---- curves ---- */

static const char epoch_event[] = "epoch", train_prefix[] = "train.", validation_prefix[] = "validation.";

enum { MOST_CURVES = 32 };

/* NAME of "train.NAME" and "validation.NAME", NULL for other keys. */
static const char *curve_name(const char *key)
{
    size_t train = strlen(train_prefix), validation = strlen(validation_prefix);
    if (strncmp(key, train_prefix, train) == 0) return key + train;
    return strncmp(key, validation_prefix, validation) == 0 ? key + validation : NULL;
}

static int add_name(const char *names[MOST_CURVES], int count, const char *name)
{
    for (int i = 0; i < count; i++)
        if (strcmp(names[i], name) == 0) return count;
    if (count < MOST_CURVES) names[count++] = name;
    return count;
}

/* The names of all curves, loss first, then as they were logged. They belong to the records. */
static int collect_names(const nacre_run_history *history, const char *names[MOST_CURVES])
{
    int count = 0;
    names[count++] = "loss";
    for (int64_t i = 0; i < history->count; i++) {
        if (!is_event(history->records[i], epoch_event)) continue;
        for (const cJSON *item = history->records[i]->child; item; item = item->next) {
            const char *name = curve_name(item->string);
            if (name && *name) count = add_name(names, count, name);
        }
    }
    return count;
}

/* "f1_macro" is titled "F1 macro". */
static char *make_title(nacre_pool *pool, const char *name)
{
    char *title = nacre_pool_copy(pool, name, strlen(name));
    for (char *c = title; c && *c; c++)
        if (*c == '_') *c = ' ';
    if (title) title[0] = (char)toupper((unsigned char)title[0]);
    return title;
}

/* Shares of one read best as percent, what spans decades on a logarithmic axis. */
static nacre_axis choose_axis(const char *name, const nacre_series *series, int count)
{
    double low = INFINITY, high = -INFINITY;
    for (int s = 0; s < count; s++)
        for (int64_t i = 0; i < series[s].count; i++) {
            low = fmin(low, series[s].y[i]);
            high = fmax(high, series[s].y[i]);
        }
    bool share = nacre_metric_higher_is_better(name) && strcmp(name, "r2") != 0 && low >= 0 && high <= 1;
    return (nacre_axis){.percent = share, .logarithmic = !share && low > 0 && isfinite(high) && high > 50 * low};
}

/* A figure of up to two series; one without data if memory is short. */
static nacre_figure make_curve(nacre_run_history *history, const char *name, const char *const keys[2],
                               const char *const labels[2], int64_t best_epoch)
{
    nacre_series *series = nacre_pool_allocate(&history->pool, 2 * sizeof *series);
    int count = 0;
    for (int i = 0; series && i < 2; i++) {
        if (!keys[i]) continue;
        series[count] = nacre_run_history_series(history, epoch_event, "epoch", keys[i]);
        series[count].name = labels[i];
        series[count].color = i + 1;
        count += series[count].count > 0;
    }
    return (nacre_figure){.title = make_title(&history->pool, name),
                          .x = {.label = "epoch", .whole = true},
                          .y = choose_axis(name, series, count),
                          .series = series,
                          .series_count = count,
                          .mark_name = best_epoch > 0 ? "best" : NULL,
                          .mark = (double)best_epoch};
}

static char *join(nacre_pool *pool, const char *prefix, const char *name)
{
    size_t start = strlen(prefix), length = strlen(name);
    char *key = nacre_pool_allocate(pool, start + length + 1);
    if (!key) return NULL;
    memcpy(key, prefix, start);
    memcpy(key + start, name, length);
    return key;
}

static nacre_figure make_pair(nacre_run_history *history, const char *name, int64_t best_epoch)
{
    const char *keys[2] = {join(&history->pool, train_prefix, name), join(&history->pool, validation_prefix, name)};
    const char *labels[2] = {"training", "validation"};
    return make_curve(history, name, keys, labels, best_epoch);
}

const nacre_figure *nacre_run_history_curves(nacre_run_history *history, int64_t best_epoch, int *count)
{
    *count = 0;
    if (!history) return NULL;
    const char *names[MOST_CURVES];
    int name_count = collect_names(history, names);
    nacre_figure *figures = nacre_pool_allocate(&history->pool, (size_t)(name_count + 1) * sizeof *figures);
    if (!figures) return NULL;
    for (int i = 0; i < name_count; i++) {
        figures[*count] = make_pair(history, names[i], best_epoch);
        *count += figures[*count].series_count > 0;
    }
    const char *rate[2] = {"learning_rate", NULL}, *unnamed[2] = {NULL, NULL};
    figures[*count] = make_curve(history, rate[0], rate, unnamed, 0);
    *count += figures[*count].series_count > 0;
    return figures;
}

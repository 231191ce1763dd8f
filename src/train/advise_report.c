/* train/advise_report.c - advice as JSON, as a page and as pictures. */
#include "train/advise.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

typedef struct contents {
    nacre_context *context;
    const nacre_recipe *recipe;
    nacre_advice *advice;
    nacre_figure figures[2]; /* learning curve, capacity */
    int figure_count;
    nacre_report_table tables[3];
    int table_count;
} contents;

static const char *keep(contents *all, const char *text)
{
    const char *copy = nacre_pool_copy(&all->advice->pool, text, strlen(text));
    return copy ? copy : "";
}

/* ---- pictures ---- */

/* To where an axis that begins at 0 can end. */
static double round_up(double share)
{
    const double step = share > 0.5 ? 0.2 : share > 0.2 ? 0.1 : share > 0.1 ? 0.05 : 0.02;
    return step * ceil(share / step);
}

/* Training and validation error of pilots against what `place` says of them. */
static bool add_figure(contents *all, const nacre_pilot *pilots, int count, double (*place)(const nacre_pilot *pilot),
                       nacre_figure figure)
{
    nacre_pool *pool = &all->advice->pool;
    double *numbers = nacre_pool_allocate(pool, 5 * (size_t)count * sizeof *numbers);
    nacre_series *series = nacre_pool_allocate(pool, 2 * sizeof *series);
    if (!numbers || !series) return false;
    double *x = numbers, *train = x + count, *train_error = train + count;
    double *validation = train_error + count, *validation_error = validation + count, highest = 0;
    for (int i = 0; i < count; i++) {
        x[i] = place(&pilots[i]);
        train[i] = pilots[i].train_error.mean;
        train_error[i] = pilots[i].train_error.deviation;
        validation[i] = pilots[i].validation_error.mean;
        validation_error[i] = pilots[i].validation_error.deviation;
        highest = fmax(highest, fmax(train[i] + train_error[i], validation[i] + validation_error[i]));
    }
    series[0] = (nacre_series){.name = "training", .x = x, .y = train, .error = train_error, .count = count};
    series[1] =
        (nacre_series){.name = "validation", .x = x, .y = validation, .error = validation_error, .count = count};
    figure.series = series;
    figure.series_count = 2;
    figure.y = (nacre_axis){.label = all->advice->survey.regression ? "share of variance left" : "error",
                            .percent = !all->advice->survey.regression,
                            .high = round_up(highest)}; /* from 0: what a bar promises below it cannot be */
    all->figures[all->figure_count++] = figure;
    return true;
}

static double samples_of(const nacre_pilot *pilot)
{
    return (double)pilot->samples;
}

static double parameters_of(const nacre_pilot *pilot)
{
    return (double)pilot->parameters;
}

static bool draw_figures(contents *all)
{
    const nacre_advice *advice = all->advice;
    return add_figure(all, advice->fractions, advice->fraction_count, samples_of,
                      (nacre_figure){.title = "Learning curve", .x = {.label = "training samples"}}) &&
           (advice->capacity_count < 2 ||
            add_figure(all, advice->capacities, advice->capacity_count, parameters_of,
                       (nacre_figure){.title = "Capacity", .x = {.label = "parameters", .logarithmic = true}}));
}

/* ---- tables ---- */

static const char *spread_cell(contents *all, nacre_spread spread, double scale, bool failed)
{
    char text[NACRE_SPREAD_SIZE];
    spread.mean *= scale;
    spread.deviation *= scale;
    return failed ? "failed" : keep(all, nacre_text_spread(text, spread));
}

enum { COLUMNS = 7 };

static void fill_row(contents *all, const nacre_pilot *pilot, const char *gain, const char **row)
{
    char text[NACRE_NUMBER_SIZE];
    row[0] = pilot->name;
    row[1] = keep(all, nacre_text_count(text, pilot->samples));
    row[2] = keep(all, nacre_text_count(text, pilot->parameters));
    row[3] = spread_cell(all, pilot->train_error, 100, pilot->failed);
    row[4] = spread_cell(all, pilot->validation_error, 100, pilot->failed);
    row[5] = spread_cell(all, pilot->validation_loss, 1, pilot->failed);
    row[6] = gain;
}

/* Pilots, or remedies where `remedies` is given. */
static bool add_table(contents *all, const char *title, const char *remark, const nacre_pilot *pilots,
                      const nacre_remedy *remedies, int count, int marked)
{
    static const char *const HEAD[COLUMNS] = {
        "pilot", "samples", "parameters", "training error %", "validation error %", "validation loss", "gain in loss"};
    int columns = remedies ? COLUMNS : COLUMNS - 1;
    const char **cells = nacre_pool_allocate(&all->advice->pool, (size_t)(count * COLUMNS + 1) * sizeof *cells);
    if (!cells) return false;
    for (int i = 0; i < count; i++) {
        const char *row[COLUMNS];
        const nacre_pilot *pilot = remedies ? &remedies[i].pilot : &pilots[i];
        bool compared = remedies && isfinite(remedies[i].gain.mean);
        fill_row(all, pilot, compared ? spread_cell(all, remedies[i].gain, 1, false) : "", row);
        memcpy(&cells[i * columns], row, (size_t)columns * sizeof *cells);
    }
    all->tables[all->table_count++] = (nacre_report_table){.title = title,
                                                           .remark = remark,
                                                           .columns = HEAD,
                                                           .column_count = columns,
                                                           .cells = cells,
                                                           .row_count = count,
                                                           .marked = marked};
    return true;
}

static bool make_tables(contents *all)
{
    const nacre_advice *advice = all->advice;
    int marked = advice->proposal ? (int)(advice->proposal - advice->remedies) + 1 : 0;
    return add_table(all, "Samples", "as many updates with fewer samples; mean ± standard deviation over folds",
                     advice->fractions, NULL, advice->fraction_count, 0) &&
           add_table(all, "Capacities", NULL, advice->capacities, NULL, advice->capacity_count, 0) &&
           (advice->remedy_count == 0 ||
            add_table(all, "What was tried", "the proposal stands out; gain: fold by fold, against the recipe as it is",
                      NULL, advice->remedies, advice->remedy_count, marked));
}

/* ---- JSON ---- */

static void put_number(nacre_buffer *json, const char *key, double value)
{
    nacre_buffer_print(json, "\"%s\": ", key);
    if (isfinite(value))
        nacre_buffer_number(json, value);
    else
        nacre_buffer_print(json, "null");
}

static void put_spread(nacre_buffer *json, const char *key, nacre_spread spread)
{
    nacre_buffer_print(json, ", \"%s\": {", key);
    put_number(json, "mean", spread.mean);
    nacre_buffer_print(json, ", ");
    put_number(json, "deviation", spread.deviation);
    nacre_buffer_print(json, "}");
}

static void put_pilot(nacre_buffer *json, const nacre_pilot *pilot)
{
    nacre_buffer_print(json, "{\"name\": ");
    nacre_buffer_quote(json, pilot->name);
    nacre_buffer_print(json, ", \"samples\": %lld, \"parameters\": %lld, ", (long long)pilot->samples,
                       (long long)pilot->parameters);
    put_number(json, "fraction", pilot->fraction);
    nacre_buffer_print(json, ", ");
    put_number(json, "capacity", pilot->capacity);
    put_spread(json, "train_error", pilot->train_error);
    put_spread(json, "validation_error", pilot->validation_error);
    put_spread(json, "train_loss", pilot->train_loss);
    put_spread(json, "validation_loss", pilot->validation_loss);
    nacre_buffer_print(json, ", ");
    put_number(json, "gap_growth", pilot->gap_growth);
    nacre_buffer_print(json, ", ");
    put_number(json, "seconds", pilot->seconds);
    nacre_buffer_print(json, ", \"failed\": %s}", pilot->failed ? "true" : "false");
}

static void put_pilots(nacre_buffer *json, const char *key, const nacre_pilot *pilots, int count)
{
    nacre_buffer_print(json, ",\n\"%s\": [", key);
    for (int i = 0; i < count; i++) {
        nacre_buffer_print(json, i ? ",\n  " : "\n  ");
        put_pilot(json, &pilots[i]);
    }
    nacre_buffer_print(json, "]");
}

static void put_settings(nacre_buffer *json, const char *const *settings)
{
    nacre_buffer_print(json, "[");
    for (int i = 0; settings && settings[i]; i++) {
        nacre_buffer_print(json, i ? ", " : "");
        nacre_buffer_quote(json, settings[i]);
    }
    nacre_buffer_print(json, "]");
}

static void put_survey(nacre_buffer *json, const nacre_survey *survey)
{
    nacre_buffer_print(
        json, "\"data\": {\"kind\": \"%s\", \"samples\": %lld, \"classes\": %d, \"smallest_class\": %lld, ",
        nacre_data_kind_name(survey->kind), (long long)survey->samples, survey->classes, (long long)survey->smallest);
    nacre_buffer_print(
        json, "\"largest_class\": %lld, \"missing\": %lld, \"constant\": %lld, \"lengths\": [%lld, %lld, %lld]}",
        (long long)survey->largest, (long long)survey->missing, (long long)survey->constant,
        (long long)survey->shortest, (long long)survey->median, (long long)survey->longest);
}

static void put_advice(nacre_buffer *json, const nacre_advice *advice)
{
    nacre_buffer_print(json, "{\"diagnosis\": \"%s\", \"reason\": ", nacre_diagnosis_name(advice->diagnosis));
    nacre_buffer_quote(json, advice->reason);
    nacre_buffer_print(json, ",\n");
    put_survey(json, &advice->survey);
    nacre_buffer_print(json, ",\n\"families\": [");
    for (int i = 0; advice->families[i].name; i++) {
        nacre_buffer_print(json, i ? ", " : "");
        nacre_buffer_quote(json, advice->families[i].name);
    }
    nacre_buffer_print(json, "],\n\"capacity\": [%lld, %lld], ", (long long)advice->capacity.low,
                       (long long)advice->capacity.high);
    put_number(json, "chance", advice->chance);
    nacre_buffer_print(json, ", \"folds\": %d,\n\"proposal\": ", advice->folds);
    put_settings(json, advice->proposal ? advice->proposal->settings : NULL);
    put_pilots(json, "fractions", advice->fractions, advice->fraction_count);
    put_pilots(json, "capacities", advice->capacities, advice->capacity_count);
    nacre_buffer_print(json, ",\n\"remedies\": [");
    for (int i = 0; i < advice->remedy_count; i++) {
        nacre_buffer_print(json, i ? ",\n  {\"settings\": " : "\n  {\"settings\": ");
        put_settings(json, advice->remedies[i].settings);
        put_spread(json, "gain", advice->remedies[i].gain);
        nacre_buffer_print(json, ", \"pilot\": ");
        put_pilot(json, &advice->remedies[i].pilot);
        nacre_buffer_print(json, "}");
    }
    nacre_buffer_print(json, "],\n\"notes\": ");
    put_settings(json, advice->notes);
    nacre_buffer_print(json, ",\n\"pilots\": %lld, ", (long long)advice->pilots);
    put_number(json, "seconds", advice->seconds);
    nacre_buffer_print(json, ", \"out_of_time\": %s}\n", advice->out_of_time ? "true" : "false");
}

/* ---- files ---- */

static char *path_in(contents *all, const char *folder, const char *name)
{
    char *joined = nacre_path_join(all->context, folder, name);
    char *path = joined ? nacre_pool_copy(&all->advice->pool, joined, strlen(joined)) : NULL;
    nacre_release(all->context, joined);
    return path;
}

static void write_json(contents *all, const char *folder)
{
    nacre_buffer json = nacre_buffer_create(all->context);
    put_advice(&json, all->advice);
    char *path = path_in(all, folder, "advice.json");
    if (path && !json.failed && nacre_file_write(all->context, path, json.data, json.size) == NACRE_OK)
        all->advice->json_path = path;
    nacre_buffer_destroy(&json);
}

static const char *proposal_text(contents *all)
{
    const nacre_remedy *proposal = all->advice->proposal;
    if (!proposal) return NULL;
    nacre_buffer text = nacre_buffer_create(all->context);
    nacre_buffer_print(&text, "Proposal:");
    for (int i = 0; proposal->settings[i]; i++) nacre_buffer_print(&text, " --set %s", proposal->settings[i]);
    const char *kept = text.failed ? NULL : keep(all, text.data);
    nacre_buffer_destroy(&text);
    return kept;
}

static void write_page(contents *all, const char *folder)
{
    nacre_advice *advice = all->advice;
    char samples[NACRE_NUMBER_SIZE], parameters[NACRE_NUMBER_SIZE], time[NACRE_NUMBER_SIZE];
    const char *notes[2 + 16 + NACRE_MOST_FAMILIES];
    int count = 0;
    notes[count++] = advice->reason;
    if (proposal_text(all)) notes[count++] = proposal_text(all);
    for (int i = 0; advice->notes[i] && i < 16; i++) notes[count++] = advice->notes[i];
    nacre_fact facts[] = {
        {"diagnosis", nacre_diagnosis_name(advice->diagnosis)},
        {"training error %", spread_cell(all, advice->base->train_error, 100, advice->base->failed)},
        {"validation error %", spread_cell(all, advice->base->validation_error, 100, advice->base->failed)},
        {"data", nacre_data_kind_name(advice->survey.kind)},
        {"samples", nacre_text_count(samples, advice->survey.samples)},
        {"parameters", nacre_text_count(parameters, advice->base->parameters)},
        {"time", nacre_text_duration(time, advice->seconds)}};
    nacre_buffer settings = nacre_buffer_create(all->context);
    nacre_recipe_print(all->recipe, false, &settings);
    nacre_report report = {.title = all->recipe->name ? all->recipe->name : "Advice",
                           .subtitle = "What the data and short trainings say",
                           .summary = facts,
                           .summary_count = sizeof facts / sizeof *facts,
                           .notes = notes,
                           .note_count = count,
                           .figures = all->figures,
                           .figure_count = all->figure_count,
                           .tables = all->tables,
                           .table_count = all->table_count,
                           .settings = settings.data};
    char *path = path_in(all, folder, "report.html");
    if (path && nacre_report_write(all->context, &report, path) == NACRE_OK) advice->report_path = path;
    nacre_buffer_destroy(&settings);
}

static void write_pictures(contents *all, const char *folder)
{
#ifdef NACRE_HAVE_CAIRO
    static const char *const NAMES[] = {"learning.png", "capacity.png"};
#else
    static const char *const NAMES[] = {"learning.svg", "capacity.svg"};
#endif
    char **const paths[] = {&all->advice->learning_path, &all->advice->capacity_path};
    for (int i = 0; i < all->figure_count && nacre_check(all->context) == NACRE_OK; i++) {
        char *path = path_in(all, folder, NAMES[i]);
        if (path && nacre_figure_write(all->context, &all->figures[i], path) == NACRE_OK) *paths[i] = path;
    }
}

nacre_status nc_write_advice(nacre_context *context, const nacre_recipe *recipe, const char *folder,
                             nacre_advice *advice)
{
    contents all = {.context = context, .recipe = recipe, .advice = advice};
    if (draw_figures(&all) && make_tables(&all)) {
        write_json(&all, folder);
        if (nacre_check(context) == NACRE_OK) write_page(&all, folder);
        if (nacre_check(context) == NACRE_OK) write_pictures(&all, folder);
    }
    return nacre_check(context);
}

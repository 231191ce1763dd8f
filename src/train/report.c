/* train/report.c - one HTML file that tells what was trained, how well, and on what.
 *
 * The text is HTML and well-formed XML at once, so that any XML parser can check it.
 */
#include "train/report.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

/* What keeps the file below a megabyte. */
enum {
    MOST_SAMPLES = 48,
    MOST_MISTAKES = 24,
    MOST_PICTURE_BYTES = 400 * 1024, /* of pixels; base64 adds a third */
    MOST_MATRIX_CLASSES = 32,
    MOST_PAIRS = 10,
    MOST_ROWS = 200,
    MOST_SETTINGS = 64 * 1024,
    MOST_TEXT = 72 /* of one name, in widths of an m */
};

typedef struct html {
    nacre_context *context;
    const nacre_report *report;
    nacre_buffer *out;
} html;

/* ---- elements ---- */

/* Text of any length and kind, escaped and cut. */
static void put_text(html *page, const char *text)
{
    char fitted[NC_FITTED_SIZE];
    nc_put_escaped(page->out, nc_text_fit(fitted, text ? text : "", 1, MOST_TEXT));
}

static void put_element(html *page, const char *tag, const char *text)
{
    nacre_buffer_print(page->out, "<%s>", tag);
    put_text(page, text);
    nacre_buffer_print(page->out, "</%s>", tag);
}

static void put_cell(html *page, const char *text)
{
    put_element(page, "td", text);
}

static void put_count_cell(html *page, int64_t count)
{
    char text[NACRE_NUMBER_SIZE];
    nacre_buffer_print(page->out, "<td class=\"n\">%s</td>", nacre_text_count(text, count));
}

/* A share of one as percent, with a bar below it. */
static void put_share_cell(html *page, double share)
{
    int thousandths = (int)lround(1000 * fmin(fmax(share, 0), 1));
    nacre_buffer_print(page->out, "<td class=\"n bar\" style=\"--v:%d.%03d\">%d.%d %%</td>", thousandths / 1000,
                       thousandths % 1000, thousandths / 10, thousandths % 10);
}

static void open_section(html *page, const char *title, const char *remark)
{
    nacre_buffer_print(page->out, "<section>\n");
    nacre_buffer_print(page->out, "<h2>%s", title);
    if (remark) put_element(page, "small", remark);
    nacre_buffer_print(page->out, "</h2>\n");
}

static void close_section(html *page)
{
    nacre_buffer_print(page->out, "</section>\n");
}

static void put_left_out(html *page, int64_t shown, int64_t all, const char *what)
{
    if (shown < all)
        nacre_buffer_print(page->out, "<p class=\"note\">%" PRId64 " of %" PRId64 " %s are shown.</p>\n", shown, all,
                           what);
}

static int least(int64_t a, int b)
{
    return a < b ? (int)a : b;
}

/* ---- classes ---- */

static const char *class_name(const nacre_report *report, int64_t index, char number[NACRE_NUMBER_SIZE])
{
    if (index >= 0 && index < report->class_count && report->class_names && report->class_names[index])
        return report->class_names[index];
    snprintf(number, NACRE_NUMBER_SIZE, "%" PRId64, index);
    return number;
}

/* Names of all classes as an array, numbers where there are none; NULL without memory. */
static const char **collect_names(html *page, int64_t classes)
{
    size_t row = sizeof(char *) + NACRE_NUMBER_SIZE;
    const char **names = nacre_allocate(page->context, (size_t)classes * row);
    if (!names) return NULL;
    char *numbers = (char *)(names + classes);
    for (int64_t i = 0; i < classes; i++) names[i] = class_name(page->report, i, numbers + i * NACRE_NUMBER_SIZE);
    return names;
}

static nacre_status put_matrix(html *page)
{
    const nacre_confusion *confusion = page->report->confusion;
    int classes = (int)nacre_confusion_classes(confusion);
    const char **names = collect_names(page, classes);
    double *values = nacre_allocate(page->context, (size_t)classes * (size_t)classes * sizeof *values);
    nacre_status status = names && values ? NACRE_OK : NACRE_ERROR_MEMORY;
    for (int i = 0; !status && i < classes * classes; i++)
        values[i] = (double)nacre_confusion_count(confusion, i / classes, i % classes);
    nacre_figure figure = {.kind = NACRE_FIGURE_HEAT,
                           .title = "Confusion matrix",
                           .width = classes <= 4    ? 400
                                    : classes <= 12 ? 520
                                                    : 760,
                           .x = {.label = "predicted class"},
                           .y = {.label = "true class"},
                           .names = names,
                           .values = values,
                           .rows = classes,
                           .columns = classes,
                           .confusion = true};
    nacre_buffer_print(page->out, "<div class=\"card matrix\">");
    if (!status) status = nacre_figure_svg(page->context, &figure, true, page->out);
    nacre_buffer_print(page->out, "</div>\n");
    nacre_release(page->context, values);
    nacre_release(page->context, names);
    return status;
}

typedef struct class_pair {
    int64_t truth, predicted, count;
} class_pair;

/* The pairs most often confused, in order; returns how many there are. */
static int find_pairs(const nacre_confusion *confusion, class_pair pairs[MOST_PAIRS])
{
    int64_t classes = nacre_confusion_classes(confusion);
    int found = 0;
    for (int64_t i = 0; i < classes; i++)
        for (int64_t j = 0; j < classes; j++) {
            class_pair pair = {i, j, nacre_confusion_count(confusion, i, j)};
            if (i == j || pair.count <= 0) continue;
            int place = found;
            while (place > 0 && pairs[place - 1].count < pair.count) place--;
            if (place == MOST_PAIRS) continue;
            if (found < MOST_PAIRS) found++;
            memmove(&pairs[place + 1], &pairs[place], (size_t)(found - 1 - place) * sizeof *pairs);
            pairs[place] = pair;
        }
    return found;
}

static void put_pairs(html *page)
{
    const nacre_confusion *confusion = page->report->confusion;
    class_pair pairs[MOST_PAIRS];
    int count = find_pairs(confusion, pairs);
    nacre_buffer_print(page->out,
                       "<div class=\"card\"><table>\n<thead><tr><th>true class</th><th>taken for</th>"
                       "<th class=\"n\">samples</th><th class=\"n\">of the class</th></tr></thead>\n<tbody>");
    for (int i = 0; i < count; i++) {
        char number[NACRE_NUMBER_SIZE];
        int64_t support = nacre_confusion_class(confusion, pairs[i].truth).support;
        nacre_buffer_print(page->out, "<tr>");
        put_cell(page, class_name(page->report, pairs[i].truth, number));
        put_cell(page, class_name(page->report, pairs[i].predicted, number));
        put_count_cell(page, pairs[i].count);
        nacre_buffer_print(page->out, "<td class=\"n\">%.1f %%</td></tr>\n",
                           100 * (double)pairs[i].count / (double)support);
    }
    if (count == 0)
        nacre_buffer_print(page->out, "<tr><td colspan=\"4\">No sample was taken for another class.</td></tr>");
    nacre_buffer_print(page->out, "</tbody></table></div>\n");
}

static void put_class_row(html *page, const char *name, nacre_class_scores scores, bool total)
{
    nacre_buffer_print(page->out, total ? "<tr class=\"total\">" : "<tr>");
    put_cell(page, name);
    put_count_cell(page, scores.support);
    put_share_cell(page, scores.precision);
    put_share_cell(page, scores.recall);
    put_share_cell(page, scores.f1);
    nacre_buffer_print(page->out, "</tr>\n");
}

static void put_class_table(html *page)
{
    const nacre_confusion *confusion = page->report->confusion;
    int64_t classes = nacre_confusion_classes(confusion);
    int shown = least(classes, MOST_ROWS);
    nacre_buffer_print(page->out,
                       "<div class=\"card\"><table>\n<thead><tr><th>class</th><th class=\"n\">samples</th>"
                       "<th class=\"n\">precision</th><th class=\"n\">recall</th><th class=\"n\">F1</th></tr>"
                       "</thead>\n<tbody>");
    for (int i = 0; i < shown; i++) {
        char number[NACRE_NUMBER_SIZE];
        put_class_row(page, class_name(page->report, i, number), nacre_confusion_class(confusion, i), false);
    }
    put_class_row(page, "mean over classes", nacre_confusion_average(confusion, NACRE_AVERAGE_MACRO), true);
    nacre_buffer_print(page->out, "</tbody></table></div>\n");
    put_left_out(page, shown, classes, "classes");
}

static nacre_status put_classes(html *page)
{
    const nacre_confusion *confusion = page->report->confusion;
    if (!confusion || nacre_confusion_total(confusion) == 0) return NACRE_OK;
    char count[NACRE_NUMBER_SIZE], remark[64];
    snprintf(remark, sizeof remark, "%s samples", nacre_text_count(count, nacre_confusion_total(confusion)));
    open_section(page, "Confusion", remark);
    nacre_status status = NACRE_OK;
    nacre_buffer_print(page->out, "<div class=\"grid\">\n");
    if (nacre_confusion_classes(confusion) <= MOST_MATRIX_CLASSES) status = put_matrix(page);
    put_pairs(page);
    nacre_buffer_print(page->out, "</div>\n");
    close_section(page);
    open_section(page, "Classes", NULL);
    put_class_table(page);
    close_section(page);
    return status;
}

/* ---- predictions ---- */

static nacre_status put_sample(html *page, const nacre_report_sample *sample, size_t most_bytes)
{
    char number[NACRE_NUMBER_SIZE];
    bool known = sample->truth >= 0, right = sample->truth == sample->predicted;
    const char *predicted = class_name(page->report, sample->predicted, number);
    nacre_buffer_print(page->out, "<figure%s>", known && !right ? " class=\"wrong\"" : "");
    nacre_status status = nc_put_image(page->context, &sample->image, most_bytes, predicted, page->out);
    nacre_buffer_print(page->out, "<figcaption><b>%s", !known ? "" : right ? "✓\u00a0" : "✗\u00a0");
    put_text(page, predicted);
    nacre_buffer_print(page->out, "</b>");
    if (isfinite(sample->probability))
        nacre_buffer_print(page->out, "<span>%.1f %%</span>", 100 * fmin(fmax(sample->probability, 0), 1));
    if (known && !right) {
        nacre_buffer_print(page->out, "<span>is ");
        put_text(page, class_name(page->report, sample->truth, number));
        nacre_buffer_print(page->out, "</span>");
    }
    if (sample->name) put_element(page, "span", sample->name);
    nacre_buffer_print(page->out, "</figcaption></figure>\n");
    return status;
}

static nacre_status put_samples(html *page, const char *title, const char *remark, const nacre_report_sample *samples,
                                int shown, size_t most_bytes)
{
    nacre_status status = NACRE_OK;
    if (shown <= 0) return NACRE_OK;
    open_section(page, title, remark);
    nacre_buffer_print(page->out, "<div class=\"samples\">\n");
    for (int i = 0; i < shown && !status; i++) status = put_sample(page, &samples[i], most_bytes);
    nacre_buffer_print(page->out, "</div>\n");
    close_section(page);
    return status;
}

static nacre_status put_predictions(html *page)
{
    const nacre_report *report = page->report;
    int samples = least(report->sample_count, MOST_SAMPLES), mistakes = least(report->mistake_count, MOST_MISTAKES);
    if (samples <= 0 && mistakes <= 0) return NACRE_OK;
    size_t most_bytes = MOST_PICTURE_BYTES / (size_t)(samples + mistakes);
    nacre_status status =
        put_samples(page, "Predictions", "with the probability the model gives", report->samples, samples, most_bytes);
    return status ? status
                  : put_samples(page, "Mistakes", "the most confident first", report->mistakes, mistakes, most_bytes);
}

/* ---- facts ---- */

static void put_summary(html *page)
{
    const nacre_report *report = page->report;
    if (report->summary_count > 0) {
        nacre_buffer_print(page->out, "<dl class=\"tiles\">\n");
        for (int i = 0; i < report->summary_count; i++) {
            nacre_buffer_print(page->out, "<div>");
            put_element(page, "dt", report->summary[i].name);
            put_element(page, "dd", report->summary[i].value);
            nacre_buffer_print(page->out, "</div>\n");
        }
        nacre_buffer_print(page->out, "</dl>\n");
    }
    if (report->note_count > 0) {
        nacre_buffer_print(page->out, "<ul class=\"notes\">\n");
        for (int i = 0; i < report->note_count; i++) {
            nacre_buffer_print(page->out, "<li>");
            nc_put_escaped(page->out, report->notes[i]);
            nacre_buffer_print(page->out, "</li>\n");
        }
        nacre_buffer_print(page->out, "</ul>\n");
    }
}

static nacre_status put_figures(html *page)
{
    const nacre_report *report = page->report;
    nacre_status status = NACRE_OK;
    if (report->figure_count <= 0) return NACRE_OK;
    open_section(page, "Curves", NULL);
    nacre_buffer_print(page->out, "<div class=\"grid\">\n");
    for (int i = 0; i < report->figure_count && !status; i++) {
        nacre_buffer_print(page->out, "<div class=\"card\">");
        status = nacre_figure_svg(page->context, &report->figures[i], true, page->out);
        nacre_buffer_print(page->out, "</div>\n");
    }
    nacre_buffer_print(page->out, "</div>\n");
    close_section(page);
    return status;
}

/* "3", "-0.5", "0.95 ± 0.02" */
static bool is_number(const char *text)
{
    return text[strspn(text, "+-.")] >= '0' && text[strspn(text, "+-.")] <= '9';
}

/* A column of numbers stands on the right: as its first row says. */
static void put_table_cell(html *page, const nacre_report_table *table, int column, const char *tag, const char *text)
{
    bool right = table->row_count > 0 && is_number(table->cells[column]);
    nacre_buffer_print(page->out, right ? "<%s class=\"n\">" : "<%s>", tag);
    put_text(page, text);
    nacre_buffer_print(page->out, "</%s>", tag);
}

static void put_table(html *page, const nacre_report_table *table)
{
    int shown = least(table->row_count, MOST_ROWS);
    open_section(page, table->title, table->remark);
    nacre_buffer_print(page->out, "<div class=\"card\"><table>\n<thead><tr>");
    for (int c = 0; c < table->column_count; c++) put_table_cell(page, table, c, "th", table->columns[c]);
    nacre_buffer_print(page->out, "</tr></thead>\n<tbody>");
    for (int r = 0; r < shown; r++) {
        nacre_buffer_print(page->out, r + 1 == table->marked ? "<tr class=\"total\">" : "<tr>");
        for (int c = 0; c < table->column_count; c++)
            put_table_cell(page, table, c, "td", table->cells[r * table->column_count + c]);
        nacre_buffer_print(page->out, "</tr>\n");
    }
    nacre_buffer_print(page->out, "</tbody></table></div>\n");
    put_left_out(page, shown, table->row_count, "rows");
    close_section(page);
}

static void put_model(html *page)
{
    const nacre_report *report = page->report;
    if (report->layer_count <= 0) return;
    int64_t total = 0;
    int shown = least(report->layer_count, MOST_ROWS);
    open_section(page, "Model", NULL);
    nacre_buffer_print(page->out, "<div class=\"card\"><table>\n<thead><tr><th>path</th><th>layer</th><th>output</th>"
                                  "<th class=\"n\">parameters</th></tr></thead>\n<tbody>");
    for (int i = 0; i < report->layer_count; i++) {
        const nacre_report_layer *layer = &report->layers[i];
        total += layer->parameters;
        if (i >= shown) continue;
        nacre_buffer_print(page->out, "<tr><td>");
        put_element(page, "code", layer->path);
        nacre_buffer_print(page->out, "</td>");
        put_cell(page, layer->kind);
        put_cell(page, layer->output);
        put_count_cell(page, layer->parameters);
        nacre_buffer_print(page->out, "</tr>\n");
    }
    nacre_buffer_print(page->out, "<tr class=\"total\"><td colspan=\"3\">total</td>");
    put_count_cell(page, total);
    nacre_buffer_print(page->out, "</tr>\n</tbody></table></div>\n");
    put_left_out(page, shown, report->layer_count, "layers");
    close_section(page);
}

static nacre_status put_settings(html *page)
{
    const char *settings = page->report->settings;
    if (!settings || !*settings) return NACRE_OK;
    open_section(page, "Settings", NULL);
    nacre_buffer_print(page->out, "<div class=\"card\"><pre>");
    size_t size = strlen(settings);
    if (size <= MOST_SETTINGS) {
        nc_put_escaped(page->out, settings);
    } else {
        char *cut = nacre_duplicate(page->context, settings);
        if (!cut) return NACRE_ERROR_MEMORY;
        cut[MOST_SETTINGS] = 0;
        nc_put_escaped(page->out, cut);
        nacre_release(page->context, cut);
    }
    nacre_buffer_print(page->out, "</pre></div>\n");
    if (size > MOST_SETTINGS) nacre_buffer_print(page->out, "<p class=\"note\">The rest is left out.</p>\n");
    close_section(page);
    return NACRE_OK;
}

static void put_fact(html *page, const char *name, const char *value)
{
    nacre_buffer_print(page->out, "<tr>");
    put_element(page, "th", name);
    put_cell(page, value);
    nacre_buffer_print(page->out, "</tr>\n");
}

static void put_environment(html *page)
{
    const nacre_report *report = page->report;
    const nacre_machine *machine = nacre_machine_info();
    char text[256], date[64];
    time_t now = report->time ? (time_t)report->time : time(NULL);
    struct tm utc;
    gmtime_r(&now, &utc);
    strftime(date, sizeof date, "%Y-%m-%d %H:%M:%S UTC", &utc);
    open_section(page, "Environment", NULL);
    nacre_buffer_print(page->out, "<div class=\"card\"><table><tbody>\n");
    put_fact(page, "date", date);
    put_fact(page, "Nacre", nacre_version());
    put_fact(page, "processor", machine->cpu);
    snprintf(text, sizeof text, "%s (%s)", nacre_instruction_set_name(machine->best), machine->features);
    put_fact(page, "instructions", text);
    snprintf(text, sizeof text, "%d of %d cores", nacre_threads(page->context), machine->cores);
    put_fact(page, "threads", text);
    snprintf(text, sizeof text, "%.1f GiB", (double)machine->memory_bytes / (1 << 30));
    put_fact(page, "memory", text);
    for (int i = 0; i < report->environment_count; i++)
        put_fact(page, report->environment[i].name, report->environment[i].value);
    nacre_buffer_print(page->out, "</tbody></table></div>\n");
    close_section(page);
}

/* ---- the page ---- */

/* The policy makes sure of what the page promises: nothing is fetched, nothing runs. */
static void put_head(html *page)
{
    const nacre_report *report = page->report;
    nacre_buffer_print(page->out,
                       "<!DOCTYPE html>\n<html xmlns=\"http://www.w3.org/1999/xhtml\" lang=\"en\">\n<head>\n"
                       "<meta charset=\"utf-8\"/>\n"
                       "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; img-src data:; "
                       "style-src 'unsafe-inline'\"/>\n"
                       "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\"/>\n"
                       "<meta name=\"color-scheme\" content=\"light dark\"/>\n");
    put_element(page, "title", report->title ? report->title : "Training report");
    nacre_buffer_print(page->out, "\n<style>\n");
    nc_put_plot_style(page->out);
    nacre_buffer_print(page->out, "%s</style>\n</head>\n<body>\n<header>\n", nc_report_style);
    put_element(page, "h1", report->title ? report->title : "Training report");
    if (report->subtitle) put_element(page, "p", report->subtitle);
    nacre_buffer_print(page->out, "\n</header>\n<main>\n");
}

nacre_status nacre_report_html(nacre_context *context, const nacre_report *report, nacre_buffer *out)
{
    if (!report || !out) return nacre_fail(context, NACRE_ERROR_ARGUMENT, "report: there is nothing to write");
    html page = {context, report, out};
    put_head(&page);
    put_summary(&page);
    nacre_status status = put_figures(&page);
    for (int i = 0; i < report->table_count; i++) put_table(&page, &report->tables[i]);
    if (!status) status = put_classes(&page);
    if (!status) status = put_predictions(&page);
    put_model(&page);
    if (!status) status = put_settings(&page);
    put_environment(&page);
    nacre_buffer_print(out, "</main>\n<footer>Written by Nacre %s.</footer>\n</body>\n</html>\n", nacre_version());
    return status ? status : out->failed ? NACRE_ERROR_MEMORY : NACRE_OK;
}

nacre_status nacre_report_write(nacre_context *context, const nacre_report *report, const char *path)
{
    nacre_buffer page = nacre_buffer_create(context);
    nacre_status status = nacre_report_html(context, report, &page);
    if (!status) status = nacre_file_write(context, path, page.data, page.size);
    nacre_buffer_destroy(&page);
    return status;
}

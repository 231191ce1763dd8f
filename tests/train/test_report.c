/* The HTML report: complete, well-formed, harmless whatever the names are, and never much larger than a megabyte. */
#include "support.h"
#include "train/markup.h"

#include <nacre/report.h>

static nacre_context *ctx;

static nacre_buffer write_html(const nacre_report *report)
{
    nacre_buffer html = nacre_buffer_create(ctx);
    NC_CHECK_INT(nacre_report_html(ctx, report, &html), NACRE_OK);
    NC_CHECK_OK(ctx);
    NC_CHECK_MARKUP(html.data ? html.data : "");
    return html;
}

static void everything_is_there(void)
{
    const double y[] = {1, 0.5};
    const char *names[] = {"cat", "dog", "hen"};
    nacre_series series = {.name = "training", .y = y, .count = 2};
    nacre_figure figure = {.title = "Loss", .series = &series, .series_count = 1};
    nacre_fact summary[] = {{"test accuracy", "92.31 %"}}, environment[] = {{"data", "../data"}};
    const char *notes[] = {"Measured once."};
    uint8_t pixels[3 * 2 * 2] = {255, 0, 0, 0, 255, 0, 0, 0, 255, 9, 9, 9};
    nacre_report_sample samples[] = {{{3, 2, 2, pixels, 0}, 0, 0, 0.75, "#1"}, {{0}, -1, 1, NAN, NULL}};
    nacre_report_sample mistakes[] = {{{1, 3, 4, pixels, 0}, 2, 1, 0.999, NULL}};
    nacre_report_layer layers[] = {{"conv1", "conv2d 8 3x3", "[8, 2, 2]", 1234}, {"fc", "linear 3", "[3]", 99}};
    const char *columns[] = {"fold", "kind"}, *cells[] = {"1", "<b>", "2", "plain"};
    nacre_report_table table = {
        .title = "Folds", .columns = columns, .column_count = 2, .cells = cells, .row_count = 2, .marked = 2};
    nacre_confusion *confusion = nacre_confusion_create(ctx, 3);
    for (int i = 0; i < 8; i++) nacre_confusion_add(confusion, 0, 0);
    for (int i = 0; i < 2; i++) nacre_confusion_add(confusion, 0, 1);
    nacre_confusion_add(confusion, 2, 0);
    nacre_report report = {.title = "Pets & more",
                           .subtitle = "a recipe",
                           .summary = summary,
                           .summary_count = 1,
                           .notes = notes,
                           .note_count = 1,
                           .figures = &figure,
                           .figure_count = 1,
                           .tables = &table,
                           .table_count = 1,
                           .confusion = confusion,
                           .class_names = names,
                           .class_count = 2, /* the third has no name */
                           .samples = samples,
                           .sample_count = 2,
                           .mistakes = mistakes,
                           .mistake_count = 1,
                           .layers = layers,
                           .layer_count = 2,
                           .settings = "seed: 1\nname: <x>\n",
                           .environment = environment,
                           .environment_count = 1,
                           .time = 1700000000};
    nacre_buffer html = write_html(&report);
    const char *parts[] = {
        "<title>Pets &amp; more</title>",
        "<h1>Pets &amp; more</h1>",
        "<dt>test accuracy</dt><dd>92.31 %</dd>",
        "<li>Measured once.</li>",
        "aria-label=\"Loss\"",
        "<title>cat taken for dog: 2 of 10 (20.0 %)</title>",
        "<tr><td>cat</td><td>dog</td><td class=\"n\">2</td><td class=\"n\">20.0 %</td></tr>",
        "<tr><td>2</td><td>cat</td><td class=\"n\">1</td><td class=\"n\">100.0 %</td></tr>",
        "<tr><td>cat</td><td class=\"n\">10</td><td class=\"n bar\" style=\"--v:0.889\">88.9 %</td>",
        "<tr><td class=\"n\">1</td><td>&lt;b&gt;</td></tr>",
        "<tr class=\"total\"><td class=\"n\">2</td><td>plain</td></tr>",
        "<figcaption><b>✓\u00a0cat</b><span>75.0 %</span><span>#1</span></figcaption>",
        "<figcaption><b>dog</b></figcaption>",
        "<figcaption><b>✗\u00a0dog</b><span>99.9 %</span><span>is 2</span></figcaption>",
        "<td><code>conv1</code></td><td>conv2d 8 3x3</td><td>[8, 2, 2]</td><td class=\"n\">1,234</td>",
        "<td colspan=\"3\">total</td><td class=\"n\">1,333</td>",
        "<pre>seed: 1\nname: &lt;x&gt;\n</pre>",
        "<th>date</th><td>2023-11-14 22:13:20 UTC</td>",
        "<th>data</th><td>../data</td>"};
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) NC_CHECK_CONTAINS(html.data, parts[i]);
    NC_CHECK(!strstr(html.data, "http:") ||
             nc_markup_count(html.data, "http:") == nc_markup_count(html.data, "xmlns="));
    NC_CHECK(!strstr(html.data, "https:") && !strstr(html.data, "<script") && !strstr(html.data, "@import"));
    nacre_buffer_destroy(&html);

    NC_CHECK_INT(nacre_report_write(ctx, &report, nc_file("report.html")), NACRE_OK);
    NC_CHECK(nacre_path_exists(nc_file("report.html")));
    NC_CHECK_INT(nacre_report_write(ctx, &report, nc_file("no/report.html")), NACRE_ERROR_NOT_FOUND);
    nacre_clear(ctx);
    nacre_confusion_destroy(confusion);
}

static void nothing_is_there(void)
{
    nacre_buffer html = write_html(&(nacre_report){0});
    NC_CHECK_CONTAINS(html.data, "<h1>Training report</h1>");
    NC_CHECK_INT(nc_markup_count(html.data, "<section>"), 1); /* the environment */
    nacre_buffer_destroy(&html);
    nacre_confusion *empty = nacre_confusion_create(ctx, 2);
    html = write_html(&(nacre_report){.confusion = empty});
    NC_CHECK(!strstr(html.data, "Confusion"));
    nacre_buffer_destroy(&html);
    nacre_confusion_destroy(empty);
    NC_CHECK_INT(nacre_report_html(ctx, NULL, &html), NACRE_ERROR_ARGUMENT);
    NC_CHECK_FAILED(ctx, NACRE_ERROR_ARGUMENT, "nothing to write");
}

/* The picture inside a page decodes to what went in: its PNG is found again byte by byte. */
static void pictures_are_png_in_base64(void)
{
    uint8_t grey[] = {0, 128, 255};
    nacre_report_sample sample = {{1, 1, 3, grey, 0}, 0, 0, 1, NULL};
    nacre_buffer png = nacre_buffer_create(ctx);
    if (nacre_image_encode_png(ctx, &sample.image, &png) == NACRE_ERROR_UNSUPPORTED) {
        nacre_clear(ctx);
        return;
    }
    nacre_buffer html = write_html(&(nacre_report){.samples = &sample, .sample_count = 1});
    const char *at = strstr(html.data, "base64,");
    NC_REQUIRE(at);
    at += strlen("base64,");
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    size_t size = 0;
    for (unsigned bits = 0, have = 0; *at && *at != '"' && *at != '='; at++) {
        bits = bits << 6 | (unsigned)(strchr(digits, *at) - digits);
        have += 6;
        if (have < 8) continue;
        have -= 8;
        NC_REQUIRE(size < png.size);
        NC_CHECK_INT((unsigned char)(bits >> have), (unsigned char)png.data[size]);
        size++;
    }
    NC_CHECK_INT(size, png.size);
    nacre_buffer_destroy(&html);
    nacre_buffer_destroy(&png);
}

static void hostile_names(void)
{
    char longest[5001];
    memset(longest, 'x', 5000);
    longest[5000] = 0;
    const char *names[] = {
        "<script>alert(1)</script>", "\"><img src=x onerror=alert(1)>", "'&\x01]]>--", "\xff\xc0\xaf", longest, NULL};
    enum { COUNT = 6 };
    nacre_confusion *confusion = nacre_confusion_create(ctx, COUNT);
    uint8_t pixel = 7;
    nacre_report_sample samples[COUNT];
    nacre_report_layer layers[COUNT];
    nacre_fact facts[COUNT];
    for (int i = 0; i < COUNT; i++) {
        for (int j = 0; j < COUNT; j++) nacre_confusion_add(confusion, i, j);
        samples[i] = (nacre_report_sample){{1, 1, 1, &pixel, 0}, i, (i + 1) % COUNT, 2.5, names[i]};
        layers[i] = (nacre_report_layer){names[i], names[i], names[i], i};
        facts[i] = (nacre_fact){names[i], names[i]};
    }
    for (int i = 0; i < COUNT; i++) {
        nacre_report report = {.title = names[i],
                               .subtitle = names[i],
                               .summary = facts,
                               .summary_count = COUNT,
                               .notes = names,
                               .note_count = COUNT,
                               .confusion = confusion,
                               .class_names = names,
                               .class_count = COUNT,
                               .samples = samples,
                               .sample_count = COUNT,
                               .layers = layers,
                               .layer_count = COUNT,
                               .settings = names[i],
                               .environment = facts,
                               .environment_count = COUNT};
        nacre_buffer html = write_html(&report);
        NC_CHECK(!strstr(html.data, "<script") && !strstr(html.data, "<img src=x"));
        nacre_buffer_destroy(&html);
    }
    nacre_confusion_destroy(confusion);
}

/* Everything at its largest at once. */
static void it_stays_small(void)
{
    enum { CLASSES = 32, STEPS = 200000, SIDE = 224, SAMPLES = 100, LAYERS = 1000, SETTINGS = 1 << 20 };
    char *settings = malloc(SETTINGS + 1);
    memset(settings, 's', SETTINGS);
    settings[SETTINGS] = 0;
    char name[200];
    memset(name, 'n', sizeof name - 1);
    name[sizeof name - 1] = 0;
    const char *names[CLASSES];
    for (int i = 0; i < CLASSES; i++) names[i] = name;
    nacre_confusion *confusion = nacre_confusion_create(ctx, CLASSES);
    for (int i = 0; i < CLASSES; i++)
        for (int j = 0; j < CLASSES; j++) nacre_confusion_add(confusion, i, j);

    double *y = malloc(STEPS * sizeof *y);
    uint32_t state = 1;
    for (int i = 0; i < STEPS; i++) y[i] = (state = state * 1664525 + 1013904223) >> 8;
    nacre_series series = {.name = "loss", .y = y, .count = STEPS};
    nacre_figure figures[6];
    for (int i = 0; i < 6; i++) figures[i] = (nacre_figure){.title = "Loss", .series = &series, .series_count = 1};
    uint8_t *pixels = malloc(SIDE * SIDE * 3);
    for (int i = 0; i < SIDE * SIDE * 3; i++) pixels[i] = (uint8_t)((state = state * 1664525 + 1013904223) >> 24);
    nacre_report_sample samples[SAMPLES];
    for (int i = 0; i < SAMPLES; i++) samples[i] = (nacre_report_sample){{3, SIDE, SIDE, pixels, 0}, 0, 1, 0.5, name};
    nacre_report_layer *layers = malloc(LAYERS * sizeof *layers);
    for (int i = 0; i < LAYERS; i++) layers[i] = (nacre_report_layer){"layer4.2.conv3", "conv2d", "[1, 2]", 1};

    nacre_report report = {.figures = figures,
                           .figure_count = 6,
                           .confusion = confusion,
                           .class_names = names,
                           .class_count = CLASSES,
                           .samples = samples,
                           .sample_count = SAMPLES,
                           .mistakes = samples,
                           .mistake_count = SAMPLES,
                           .layers = layers,
                           .layer_count = LAYERS,
                           .settings = settings};
    nacre_buffer html = write_html(&report);
    NC_CHECK(html.size < 1200 * 1000);
    NC_CHECK_INT(nc_markup_count(html.data, "<figure"), 48 + 24);
    NC_CHECK_CONTAINS(html.data, "200 of 1000 layers are shown");
    NC_CHECK_CONTAINS(html.data, "The rest is left out");
    NC_CHECK_CONTAINS(html.data, "<td class=\"n\">1,000</td></tr>"); /* the total counts all layers */
    nacre_buffer_destroy(&html);
    nacre_confusion_destroy(confusion);
    free(settings);
    free(y);
    free(pixels);
    free(layers);
}

/* Too many classes for a matrix: the pairs tell what matters. */
static void many_classes(void)
{
    nacre_confusion *confusion = nacre_confusion_create(ctx, 1000);
    for (int i = 0; i < 1000; i++) nacre_confusion_add(confusion, i, i);
    for (int n = 0; n < 20; n++)
        for (int i = 0; i <= n; i++) nacre_confusion_add(confusion, n, 500 + n);
    nacre_buffer html = write_html(&(nacre_report){.confusion = confusion});
    NC_CHECK(html.size < 100000 && !strstr(html.data, "Confusion matrix"));
    const char *first = strstr(html.data, "<tr><td>19</td><td>519</td><td class=\"n\">20</td>");
    const char *last = strstr(html.data, "<tr><td>10</td><td>510</td><td class=\"n\">11</td>");
    NC_CHECK(first && last && first < last);
    NC_CHECK(!strstr(html.data, "<td>9</td><td>509</td>"));
    NC_CHECK_CONTAINS(html.data, "200 of 1000 classes are shown");
    nacre_buffer_destroy(&html);
    nacre_confusion_destroy(confusion);
}

static bool write_small(nacre_context *context, void *user)
{
    (void)user;
    const double y[] = {1, 2};
    const char *names[] = {"a", "b"};
    uint8_t pixels[] = {1, 2, 3, 4};
    nacre_series series = {.y = y, .count = 2};
    nacre_figure figure = {.series = &series, .series_count = 1};
    nacre_report_sample sample = {{1, 2, 2, pixels, 0}, 0, 1, 0.5, "x"};
    nacre_confusion *confusion = nacre_confusion_create(context, 2);
    bool done = confusion && nacre_confusion_add(confusion, 0, 1) == NACRE_OK;
    nacre_report report = {.figures = &figure,
                           .figure_count = 1,
                           .confusion = confusion,
                           .class_names = names,
                           .class_count = 2,
                           .samples = &sample,
                           .sample_count = 1,
                           .settings = "a: b\n"};
    done = done && nacre_report_write(context, &report, nc_file("small.html")) == NACRE_OK;
    nacre_confusion_destroy(confusion);
    return done;
}

static void memory_runs_out(void)
{
    nc_fail_each_allocation(write_small, NULL);
}

int main(void)
{
    ctx = nacre_context_create(&(nacre_context_options){.threads = 1});
    NC_RUN(everything_is_there);
    NC_RUN(nothing_is_there);
    NC_RUN(pictures_are_png_in_base64);
    NC_RUN(hostile_names);
    NC_RUN(it_stays_small);
    NC_RUN(many_classes);
    NC_RUN(memory_runs_out);
    NC_CHECK_OK(ctx);
    nacre_context_destroy(ctx);
    return nc_report();
}

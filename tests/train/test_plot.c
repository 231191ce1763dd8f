/* Figures: what is drawn where, as SVG text; that PNG comes out; that nothing in them can do harm. */
#include "support.h"
#include "train/markup.h"
#include "train/plot.h"

static nacre_context *ctx;

/* The figure as SVG inside a page; freed by the caller with nacre_buffer_destroy. */
static nacre_buffer draw(const nacre_figure *figure)
{
    nacre_buffer out = nacre_buffer_create(ctx);
    NC_CHECK_INT(nacre_figure_svg(ctx, figure, true, &out), NACRE_OK);
    NC_CHECK_OK(ctx);
    NC_CHECK_MARKUP(out.data ? out.data : "");
    return out;
}

static void curves(void)
{
    const double x[] = {1, 2, 3}, y[] = {1, 0.5, 0.25};
    nacre_series series[] = {{.name = "training", .x = x, .y = y, .count = 3},
                             {.name = "validation", .y = y, .count = 2, .dashed = true}};
    nacre_figure figure = {.title = "Loss",
                           .x = {.label = "epoch", .whole = true},
                           .series = series,
                           .series_count = 2,
                           .mark_name = "best",
                           .mark = 3};
    nacre_buffer svg = draw(&figure);
    NC_CHECK_CONTAINS(svg.data, "<svg xmlns=\"http://www.w3.org/2000/svg\" class=\"plot\" viewBox=\"0 0 480 290\" "
                                "role=\"img\" aria-label=\"Loss\">");
    NC_CHECK_CONTAINS(svg.data, ">Loss</text>");
    NC_CHECK_CONTAINS(svg.data, ">training</text>");
    NC_CHECK_CONTAINS(svg.data, ">best</text>");
    NC_CHECK_CONTAINS(svg.data, ">0.5</text>"); /* ticks 0 0.5 1 and 0 1 2 3 */
    NC_CHECK_CONTAINS(svg.data, ">3</text>");
    NC_CHECK_CONTAINS(svg.data, "<path class=\"s2 d\" stroke-width=\"2\"");
    NC_CHECK_CONTAINS(svg.data, "<title>epoch 2\ntraining 0.5000</title>");
    NC_CHECK(!strstr(svg.data, "<style>"));
    nacre_buffer_destroy(&svg);
}

/* A line from corner to corner ends in the corners of the axes. */
static void positions(void)
{
    const double y[] = {0, 10};
    nacre_series series = {.y = y, .count = 2};
    nacre_figure figure = {.width = 200, .height = 150, .series = &series, .series_count = 1};
    nacre_buffer svg = draw(&figure);
    /* Left 12 + ceil(2 digits of 0.64 em) + 8, right 12 + 8; top 12 + 8, bottom 12 + 18. */
    NC_CHECK_CONTAINS(svg.data, "<path class=\"s1\" stroke-width=\"2\" d=\"M36 120L180 20\"/>");
    nacre_buffer_destroy(&svg);
}

static void gaps_points_and_nothing(void)
{
    const double y[] = {1, 2, NAN, 3, INFINITY, 4, 5};
    nacre_series series = {.name = "gaps", .y = y, .count = 7};
    nacre_figure figure = {.series = &series, .series_count = 1};
    nacre_buffer svg = draw(&figure);
    NC_CHECK_INT(nc_markup_count(svg.data, "<path class=\"s1\" stroke-width=\"2\" d=\"M"), 3); /* legend, two pieces */
    NC_CHECK_INT(nc_markup_count(svg.data, "<circle class=\"s1\""), 1);                        /* the 3 between gaps */
    NC_CHECK_INT(nc_markup_count(svg.data, "<circle class=\"s1 h\""), 5);
    NC_CHECK(!strstr(svg.data, "nan") && !strstr(svg.data, "inf"));
    nacre_buffer_destroy(&svg);

    series.count = 1;
    svg = draw(&figure);
    NC_CHECK_INT(nc_markup_count(svg.data, "<circle class=\"s1\""), 1);
    NC_CHECK(!strstr(svg.data, "nan") && !strstr(svg.data, "inf"));
    nacre_buffer_destroy(&svg);

    series.count = 0;
    svg = draw(&figure);
    NC_CHECK_CONTAINS(svg.data, "no data yet");
    nacre_buffer_destroy(&svg);

    figure.series_count = 0;
    figure.y.logarithmic = figure.x.logarithmic = true;
    svg = draw(&figure);
    NC_CHECK_CONTAINS(svg.data, "no data yet");
    nacre_buffer_destroy(&svg);

    const double only_bad[] = {NAN, -1, 0, -INFINITY};
    series = (nacre_series){.y = only_bad, .count = 4};
    figure.series_count = 1;
    svg = draw(&figure);
    NC_CHECK(!strstr(svg.data, "nan") && !strstr(svg.data, "inf"));
    nacre_buffer_destroy(&svg);
}

static void extreme_values(void)
{
    static const double values[][3] = {{1e300, -1e300, 0},
                                       {1e-310, 2e-310, 3e-310},
                                       {1e15, 1e15 + 1, 1e15 + 2},
                                       {1e18, 1e18, 1e18},
                                       {-5, -5, -5},
                                       {0, 0, 0},
                                       {1e-9, 1, 1e9}};
    for (size_t i = 0; i < sizeof values / sizeof *values; i++)
        for (int flags = 0; flags < 8; flags++) {
            nacre_series series = {.y = values[i], .count = 3};
            nacre_figure figure = {.series = &series,
                                   .series_count = 1,
                                   .y = {.logarithmic = flags & 1, .percent = flags & 2, .whole = flags & 4}};
            nacre_buffer svg = draw(&figure);
            NC_CHECK(!strstr(svg.data, "nan") && !strstr(svg.data, "inf"));
            NC_CHECK(svg.size < 20000);
            nacre_buffer_destroy(&svg);
        }
}

static void axes_out_of_reach(void)
{
    const double y[] = {1, 2}, huge[] = {1e308, 1e308, -1e308, 3};
    nacre_series series = {.y = y, .count = 2};
    const nacre_axis axes[] = {{.low = 1, .high = INFINITY}, {.low = NAN, .high = NAN}, {.low = -1e308, .high = 1e308},
                               {.low = 5, .high = 4},        {.low = 0.5, .high = 0.6}, {.low = 1e-320, .high = 1}};
    for (size_t i = 0; i < 2 * sizeof axes / sizeof *axes; i++) {
        nacre_figure figure = {.x = axes[i / 2], .y = axes[i / 2], .series = &series, .series_count = 1};
        figure.x.logarithmic = figure.y.logarithmic = i % 2;
        nacre_buffer svg = draw(&figure);
        NC_CHECK(!strstr(svg.data, "nan") && !strstr(svg.data, "inf"));
        nacre_buffer_destroy(&svg);
    }
    nacre_figure figure = {.kind = NACRE_FIGURE_HEAT, .values = huge, .rows = 2, .columns = 2, .confusion = true};
    nacre_buffer svg = draw(&figure);
    nacre_buffer_destroy(&svg);
}

/* A million steps are drawn with a few thousand points, and the one spike among them is still there. */
static void long_series_are_thinned(void)
{
    enum { COUNT = 1000000 };
    double *y = calloc(COUNT, sizeof *y);
    for (int i = 0; i < COUNT; i++) y[i] = i % 2 ? 1 : NAN;
    nacre_series series = {.y = y, .count = COUNT};
    nacre_figure figure = {.series = &series, .series_count = 1};
    nacre_buffer svg = draw(&figure);
    NC_CHECK(svg.size < 100000);
    nacre_buffer_destroy(&svg);

    for (int i = 0; i < COUNT; i++) y[i] = (i * 7919LL) % 1000;
    y[543210] = 5000;
    svg = draw(&figure);
    NC_CHECK(svg.size < 100000);
    NC_CHECK_CONTAINS(svg.data, " 20 "); /* y of 5000, the top of the plot */
    nacre_buffer_destroy(&svg);
    free(y);
}

static void tick_texts(void)
{
    const struct {
        nacre_axis axis;
        double low, high;
        const char *ticks;
    } cases[] = {{{0}, 0, 1, "0 0.2 0.4 0.6 0.8 1.0"},
                 {{.percent = true}, 0.8, 0.93, "80 % 85 % 90 % 95 %"},
                 {{.whole = true}, 1, 3, "1 2 3"},
                 {{0}, 0, 30000, "0 5k 10k 15k 20k 25k 30k"},
                 {{0}, 0, 3e-5, "0 5×10⁻⁶ 10⁻⁵ 1.5×10⁻⁵ 2×10⁻⁵ 2.5×10⁻⁵ 3×10⁻⁵"},
                 {{.logarithmic = true}, 0.05, 3, "0.05 0.1 0.2 0.5 1 2 5"},
                 {{.logarithmic = true}, 1e-6, 1, "10⁻⁶ 10⁻⁵ 0.0001 0.001 0.01 0.1 1"},
                 {{.low = -1, .high = 1}, 5, 7, "-1.0 -0.5 0 0.5 1.0"}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        nc_scale scale = nc_scale_make(&cases[i].axis, (nc_range){cases[i].low, cases[i].high}, 6, true);
        char all[512] = "", text[NACRE_NUMBER_SIZE];
        for (int t = 0; t < scale.tick_count; t++)
            snprintf(all + strlen(all), sizeof all - strlen(all), "%s%s", t ? " " : "",
                     nc_tick_text(text, &scale, scale.ticks[t]));
        NC_CHECK_TEXT(all, cases[i].ticks);
    }
}

static void bars(void)
{
    const char *names[] = {"one", "two & more"};
    const double y[] = {2, 4}, negative[] = {-3, NAN};
    nacre_series series[] = {{.name = "a", .y = y, .count = 2}, {.name = "b", .y = negative, .count = 2}};
    nacre_figure figure = {.kind = NACRE_FIGURE_BARS, .series = series, .series_count = 1, .names = names};
    nacre_buffer svg = draw(&figure);
    NC_CHECK_CONTAINS(svg.data, ">two &amp; more</text>");
    NC_CHECK_CONTAINS(svg.data, ">4</text>");
    NC_CHECK_INT(nc_markup_count(svg.data, "<rect class=\"s1\""), 3); /* the legend's, and two bars */
    nacre_buffer_destroy(&svg);

    figure.series_count = 2;
    figure.x.percent = true;
    svg = draw(&figure);
    NC_CHECK_CONTAINS(svg.data, ">-300 %</text>");
    NC_CHECK_CONTAINS(svg.data, ">nan %</text>");
    NC_CHECK_INT(nc_markup_count(svg.data, "<rect class=\"s2\""), 2);
    nacre_buffer_destroy(&svg);
}

static void matrices(void)
{
    const char *names[] = {"cat", "dog"};
    const double values[] = {90, 10, 0, 1000};
    nacre_figure figure = {
        .kind = NACRE_FIGURE_HEAT, .values = values, .rows = 2, .columns = 2, .names = names, .confusion = true};
    nacre_buffer svg = draw(&figure);
    NC_CHECK_CONTAINS(svg.data, "<title>cat taken for dog: 10 of 100 (10.0 %)</title>");
    NC_CHECK_CONTAINS(svg.data, "<title>dog taken for dog: 1,000 of 1,000 (100.0 %)</title>");
    NC_CHECK_CONTAINS(svg.data, ">1.00k</text>");
    NC_CHECK_INT(nc_markup_count(svg.data, "<rect class=\"r\""), 2);
    NC_CHECK_INT(nc_markup_count(svg.data, "<rect class=\"w\""), 1); /* the zero is not drawn */
    nacre_buffer_destroy(&svg);

    const double any[] = {0.5, NAN, -1, INFINITY, 2, 1};
    const char *columns[] = {"x", NULL, "z"};
    figure = (nacre_figure){
        .kind = NACRE_FIGURE_HEAT, .values = any, .rows = 2, .columns = 3, .row_names = names, .column_names = columns};
    svg = draw(&figure);
    NC_CHECK_CONTAINS(svg.data, "<title>dog, 1: 2</title>");
    NC_CHECK_INT(nc_markup_count(svg.data, "<rect class=\"r\""), 4);
    nacre_buffer_destroy(&svg);

    figure.rows = figure.columns = 0;
    svg = draw(&figure);
    nacre_buffer_destroy(&svg);
}

/* Two points with bars of which one reaches below what a logarithmic axis can show. */
static void error_bars(void)
{
    const double y[] = {10, 1}, error[] = {2, 1.5};
    nacre_series series = {.y = y, .error = error, .count = 2};
    nacre_figure figure = {.width = 200, .height = 150, .series = &series, .series_count = 1};
    nacre_buffer svg = draw(&figure);
    NC_CHECK_INT(nc_markup_count(svg.data, "stroke-width=\"1.4\""), 6); /* a bar and two ends each */
    nacre_buffer_destroy(&svg);
    figure.y.logarithmic = true;
    svg = draw(&figure);
    NC_CHECK_INT(nc_markup_count(svg.data, "stroke-width=\"1.4\""), 5);
    nacre_buffer_destroy(&svg);
}

static void parallel_axes(void)
{
    static const char *const NAMES[] = {"sgd", "adam"};
    const nacre_axis axes[] = {{.label = "rate", .logarithmic = true},
                               {.label = "optimizer", .names = NAMES, .name_count = 2},
                               {.label = "accuracy", .percent = true}};
    const double values[] = {0.1, 0, 0.9, 0.001, 1, 0.5, 0.01, 1, NAN}, weights[] = {1, 0.5, 0};
    nacre_figure figure = {
        .kind = NACRE_FIGURE_PARALLEL, .axes = axes, .columns = 3, .rows = 3, .values = values, .weights = weights};
    nacre_buffer svg = draw(&figure);
    NC_CHECK_CONTAINS(svg.data, ">rate</text>");
    NC_CHECK_CONTAINS(svg.data, ">adam</text>");
    NC_CHECK_CONTAINS(svg.data, ">0.001</text>");
    NC_CHECK_INT(nc_markup_count(svg.data, "<path class=\"s2\""), 1); /* the best */
    NC_CHECK_INT(nc_markup_count(svg.data, "<path class=\"s1\""), 2);
    nacre_buffer_destroy(&svg);
    figure.rows = 0;
    svg = draw(&figure);
    nacre_buffer_destroy(&svg);
}

static void hostile_text(void)
{
    char longest[5001];
    memset(longest, 'x', 5000);
    longest[5000] = 0;
    const char *names[] = {"<script>alert(1)</script>",
                           "\" onload=\"alert(1)",
                           "' & ]]>",
                           "\xff\xfe\x80 \xed\xa0\x80",
                           "\x1b[31m\x01\x7f",
                           "\xe2\x80\xae"
                           "esrever",
                           longest,
                           ""};
    enum { COUNT = 8 };
    double values[COUNT * COUNT], y[COUNT];
    for (int i = 0; i < COUNT * COUNT; i++) values[i] = i;
    for (int i = 0; i < COUNT; i++) y[i] = i;
    nacre_series series[COUNT];
    for (int i = 0; i < COUNT; i++) series[i] = (nacre_series){.name = names[i], .y = y, .count = COUNT};
    for (int i = 0; i < COUNT; i++)
        for (int kind = NACRE_FIGURE_LINES; kind <= NACRE_FIGURE_HEAT; kind++) {
            nacre_figure figure = {.kind = (nacre_figure_kind)kind,
                                   .title = names[i],
                                   .x = {.label = names[i]},
                                   .y = {.label = names[i]},
                                   .mark_name = names[i],
                                   .mark = 2,
                                   .series = series,
                                   .series_count = COUNT,
                                   .names = names,
                                   .values = values,
                                   .rows = COUNT,
                                   .columns = COUNT,
                                   .confusion = i % 2};
            nacre_buffer svg = draw(&figure);
            NC_CHECK(!strstr(svg.data, "<script") && !strstr(svg.data, "\" onload") && svg.size < 100000);
            nacre_buffer_destroy(&svg);
        }
}

static void text_helpers(void)
{
    nacre_buffer out = nacre_buffer_create(ctx);
    nc_put_escaped(&out, "a<b>&\"'\xc3\xa9\xc3(\xf4\x90\x80\x80|");
    NC_CHECK_TEXT(out.data, "a&lt;b&gt;&amp;&quot;&#39;é\xef\xbf\xbd(\xef\xbf\xbd|");
    nacre_buffer_clear(&out);
    nc_put_clean(&out, "ok \xf0\x9f\x90\x9a\xc0\xaf");
    NC_CHECK_TEXT(out.data, "ok \xf0\x9f\x90\x9a\xef\xbf\xbd\xef\xbf\xbd");
    nacre_buffer_destroy(&out);

    char fitted[NC_FITTED_SIZE];
    NC_CHECK_TEXT(nc_text_fit(fitted, "short", 10, 100), "short");
    NC_CHECK_TEXT(nc_text_fit(fitted, "aaaaaaaaaa", 10, 40), "aaaaa…"); /* 6.4 each, 7.2 for the dots */
    NC_CHECK_TEXT(nc_text_fit(fitted, "aaa", 10, 0), "…");
    NC_CHECK_TEXT(nc_text_fit(fitted, NULL, 10, 40), "");
}

static void number_texts(void)
{
    char text[NACRE_NUMBER_SIZE];
    NC_CHECK_TEXT(nacre_text_duration(text, 7.44), "7.4s");
    NC_CHECK_TEXT(nacre_text_duration(text, 9.96), "10s");
    NC_CHECK_TEXT(nacre_text_duration(text, 59.6), "1:00");
    NC_CHECK_TEXT(nacre_text_duration(text, 185), "3:05");
    NC_CHECK_TEXT(nacre_text_duration(text, 3765), "1:02:45");
    NC_CHECK_TEXT(nacre_text_duration(text, 2 * 86400 + 3 * 3600 + 240), "2d 03:04");
    NC_CHECK_TEXT(nacre_text_duration(text, NAN), "?");
    NC_CHECK_TEXT(nacre_text_duration(text, -1), "?");
    NC_CHECK_TEXT(nacre_text_count(text, 0), "0");
    NC_CHECK_TEXT(nacre_text_count(text, 999), "999");
    NC_CHECK_TEXT(nacre_text_count(text, -1234567), "-1,234,567");
    NC_CHECK_TEXT(nacre_text_count(text, INT64_MIN), "-9,223,372,036,854,775,808");
    NC_CHECK_TEXT(nacre_text_quantity(text, 847), "847");
    NC_CHECK_TEXT(nacre_text_quantity(text, 0.5), "0.50");
    NC_CHECK_TEXT(nacre_text_quantity(text, 999.7), "1.00k");
    NC_CHECK_TEXT(nacre_text_quantity(text, 12345), "12.3k");
    NC_CHECK_TEXT(nacre_text_quantity(text, -4.56e6), "-4.56M");
    NC_CHECK_TEXT(nacre_text_value(text, 0.21434), "0.2143");
    NC_CHECK_TEXT(nacre_text_value(text, 12.567), "12.57");
    NC_CHECK_TEXT(nacre_text_value(text, 3), "3");
    NC_CHECK_TEXT(nacre_text_value(text, 3.14e-5), "3.14e-05");
    NC_CHECK_TEXT(nacre_text_value(text, -INFINITY), "-inf");
    NC_CHECK_TEXT(nacre_text_value(text, NAN), "nan");
}

static void impossible_figures(void)
{
    nacre_series series = {.count = 3};
    const nacre_figure figures[] = {{.width = 100},
                                    {.height = 20},
                                    {.width = 100000},
                                    {.series_count = 1},
                                    {.series = &series, .series_count = 1},
                                    {.kind = NACRE_FIGURE_HEAT, .rows = 2, .columns = 2},
                                    {.kind = NACRE_FIGURE_HEAT, .rows = -1, .columns = 2},
                                    {.kind = NACRE_FIGURE_PARALLEL, .rows = 1, .columns = 1}};
    nacre_buffer out = nacre_buffer_create(ctx);
    for (size_t i = 0; i < sizeof figures / sizeof *figures; i++) {
        NC_CHECK_INT(nacre_figure_svg(ctx, &figures[i], false, &out), NACRE_ERROR_ARGUMENT);
        NC_CHECK_FAILED(ctx, NACRE_ERROR_ARGUMENT, "figure: ");
    }
    NC_CHECK_INT(nacre_figure_svg(ctx, NULL, false, &out), NACRE_ERROR_ARGUMENT);
    nacre_clear(ctx);
    NC_CHECK_INT(nacre_figure_write(ctx, &(nacre_figure){0}, nc_file("figure.gif")), NACRE_ERROR_ARGUMENT);
    NC_CHECK_FAILED(ctx, NACRE_ERROR_ARGUMENT, "neither in .svg nor .png");
    nacre_buffer_destroy(&out);
}

/* Big-endian words of a PNG's header. */
static unsigned word_at(const nacre_buffer *png, size_t offset)
{
    const unsigned char *b = (const unsigned char *)png->data + offset;
    return (unsigned)b[0] << 24 | (unsigned)b[1] << 16 | (unsigned)b[2] << 8 | b[3];
}

static void files(void)
{
    const double y[] = {1, 2};
    nacre_series series = {.name = "<a>", .y = y, .count = 2};
    nacre_figure figure = {.width = 300, .height = 200, .series = &series, .series_count = 1};
    NC_CHECK_INT(nacre_figure_write(ctx, &figure, nc_file("figure.svg")), NACRE_OK);
    size_t size;
    char *text = nacre_file_read(ctx, nc_file("figure.svg"), 0, &size);
    NC_REQUIRE(text);
    NC_CHECK_MARKUP(text);
    NC_CHECK_CONTAINS(text, "width=\"300\" height=\"200\"");
    NC_CHECK_CONTAINS(text, "prefers-color-scheme:dark");
    nacre_release(ctx, text);

    nacre_buffer png = nacre_buffer_create(ctx);
    nacre_status status = nacre_figure_png(ctx, &figure, 0, &png);
    if (status == NACRE_ERROR_UNSUPPORTED) { /* built without cairo */
        NC_CHECK_FAILED(ctx, NACRE_ERROR_UNSUPPORTED, "cairo");
        return;
    }
    NC_REQUIRE(status == NACRE_OK && png.size > 100);
    NC_CHECK(memcmp(png.data, "\x89PNG\r\n\x1a\n", 8) == 0);
    NC_CHECK_INT(word_at(&png, 16), 600);
    NC_CHECK_INT(word_at(&png, 20), 400);
    nacre_buffer_destroy(&png);
    NC_CHECK_INT(nacre_figure_png(ctx, &figure, 1000, &png), NACRE_ERROR_ARGUMENT);
    NC_CHECK_FAILED(ctx, NACRE_ERROR_ARGUMENT, "scale 1000");
    NC_CHECK_INT(nacre_figure_write(ctx, &figure, nc_file("figure.PNG")), NACRE_OK);
    NC_CHECK(nacre_path_exists(nc_file("figure.PNG")));
}

static bool draw_all(nacre_context *context, void *user)
{
    (void)user;
    const double y[] = {1, 2, 3, 4};
    const char *names[] = {"a", "b"};
    const nacre_axis axes[2] = {{.label = "a"}, {.names = names, .name_count = 2}};
    nacre_series series = {.name = "a", .y = y, .error = y, .count = 2};
    nacre_figure figure = {.series = &series,
                           .series_count = 1,
                           .values = y,
                           .rows = 2,
                           .columns = 2,
                           .names = names,
                           .axes = axes,
                           .confusion = true};
    nacre_buffer out = nacre_buffer_create(context);
    bool done = true;
    for (int kind = NACRE_FIGURE_LINES; kind <= NACRE_FIGURE_PARALLEL && done; kind++) {
        figure.kind = (nacre_figure_kind)kind;
        done = nacre_figure_svg(context, &figure, false, &out) == NACRE_OK;
        nacre_status status = done ? nacre_figure_png(context, &figure, 1, &out) : NACRE_ERROR_MEMORY;
        if (status == NACRE_ERROR_UNSUPPORTED) nacre_clear(context);
        done = status == NACRE_OK || status == NACRE_ERROR_UNSUPPORTED;
    }
    nacre_buffer_destroy(&out);
    return done;
}

static void memory_runs_out(void)
{
    nc_fail_each_allocation(draw_all, NULL);
}

int main(void)
{
    ctx = nacre_context_create(&(nacre_context_options){.threads = 1});
    NC_RUN(curves);
    NC_RUN(positions);
    NC_RUN(gaps_points_and_nothing);
    NC_RUN(extreme_values);
    NC_RUN(axes_out_of_reach);
    NC_RUN(long_series_are_thinned);
    NC_RUN(tick_texts);
    NC_RUN(bars);
    NC_RUN(matrices);
    NC_RUN(error_bars);
    NC_RUN(parallel_axes);
    NC_RUN(hostile_text);
    NC_RUN(text_helpers);
    NC_RUN(number_texts);
    NC_RUN(impossible_figures);
    NC_RUN(files);
    NC_RUN(memory_runs_out);
    NC_CHECK_OK(ctx);
    nacre_context_destroy(ctx);
    return nc_report();
}

/* train/plot_lines.c - curves over linear and logarithmic axes. */
#include "train/plot.h"

#include <math.h>
#include <stdio.h>

enum { TICK_ROW = 18, LABEL_ROW = 18, TOP_ROW = 24, MOST_HOVER_DOTS = 120 };

typedef struct lines_plot {
    nc_drawing *drawing;
    nc_scale x, y;
    nc_box box; /* between the axes */
} lines_plot;

static double x_of(const nacre_series *series, int64_t index)
{
    return series->x ? series->x[index] : (double)index;
}

/* ---- scales ---- */

static bool is_shown(const nacre_figure *figure, double x, double y)
{
    return nc_can_show(x, figure->x.logarithmic) && nc_can_show(y, figure->y.logarithmic);
}

static void find_ranges(const nacre_figure *figure, nc_range *x, nc_range *y)
{
    *x = *y = (nc_range){INFINITY, -INFINITY};
    for (int s = 0; s < figure->series_count; s++) {
        const nacre_series *series = &figure->series[s];
        for (int64_t i = 0; i < series->count; i++) {
            if (!is_shown(figure, x_of(series, i), series->y[i])) continue;
            nc_range_add(x, x_of(series, i), figure->x.logarithmic);
            nc_range_add(y, series->y[i], figure->y.logarithmic);
            if (!series->error || !isfinite(series->error[i])) continue;
            nc_range_add(y, series->y[i] - series->error[i], figure->y.logarithmic);
            nc_range_add(y, series->y[i] + series->error[i], figure->y.logarithmic);
        }
    }
    if (figure->mark_name && x->low <= x->high) nc_range_add(x, figure->mark, figure->x.logarithmic);
    /* Zero is worth showing where it is near. */
    if (!figure->y.logarithmic && y->low > 0 && y->low < 0.4 * y->high) y->low = 0;
}

static double widest_tick(const nc_scale *scale)
{
    double widest = 0;
    char text[NACRE_NUMBER_SIZE];
    for (int i = 0; i < scale->tick_count; i++)
        widest = fmax(widest, nc_text_width(nc_tick_text(text, scale, scale->ticks[i]), NC_TEXT_SIZE));
    return widest;
}

/* As many ticks as have room beside each other. */
static nc_scale fit_x_scale(const nacre_axis *axis, nc_range range, double width)
{
    nc_scale scale;
    for (int want = 10; want > 0; want--) {
        scale = nc_scale_make(axis, range, want, false);
        if (scale.tick_count * (widest_tick(&scale) + 16) <= width) break;
    }
    return scale;
}

static lines_plot make_plot(nc_drawing *drawing)
{
    const nacre_figure *figure = drawing->figure;
    nc_range x, y;
    find_ranges(figure, &x, &y);
    double top = figure->y.label || figure->mark_name ? TOP_ROW : 8;
    double bottom = TICK_ROW + (figure->x.label ? LABEL_ROW : 0);
    double height = drawing->inner.height - top - bottom;

    lines_plot plot = {.drawing = drawing};
    plot.y = nc_scale_make(&figure->y, y, (int)fmax(height / 40, 2), true);
    double left = ceil(widest_tick(&plot.y)) + 8;
    plot.x = fit_x_scale(&figure->x, x, drawing->inner.width - left);
    double right = 8; /* half of a last label stands over */
    plot.box = (nc_box){drawing->inner.x + left, drawing->inner.y + top, drawing->inner.width - left - right, height};
    plot.x.from = plot.box.x;
    plot.x.to = plot.box.x + plot.box.width;
    plot.y.from = plot.box.y + plot.box.height;
    plot.y.to = plot.box.y;
    return plot;
}

/* ---- frame ---- */

static void draw_axes(const lines_plot *plot)
{
    nc_drawing *drawing = plot->drawing;
    nc_canvas *canvas = drawing->canvas;
    const nacre_figure *figure = drawing->figure;
    nc_box box = plot->box;
    double right = box.x + box.width, bottom = box.y + box.height;
    char text[NACRE_NUMBER_SIZE];
    for (int i = 0; i < plot->y.tick_count; i++) {
        double y = nc_scale_map(&plot->y, plot->y.ticks[i]);
        canvas->line(canvas, (nc_point[]){{box.x, y}, {right, y}}, 2, (nc_line_style){.ink = NC_INK_GRID, .width = 1});
        nc_tick_text(text, &plot->y, plot->y.ticks[i]);
        nc_draw_label(drawing, box.x - 8, y + 4, NC_INK_MUTED, NC_ANCHOR_END, text);
    }
    nc_line_style axis = {.ink = NC_INK_MUTED, .width = 1};
    canvas->line(canvas, (nc_point[]){{box.x, bottom}, {right, bottom}}, 2, axis);
    for (int i = 0; i < plot->x.tick_count; i++) {
        double x = nc_scale_map(&plot->x, plot->x.ticks[i]);
        canvas->line(canvas, (nc_point[]){{x, bottom}, {x, bottom + 4}}, 2, axis);
        nc_tick_text(text, &plot->x, plot->x.ticks[i]);
        nc_draw_label(drawing, x, bottom + TICK_ROW, NC_INK_MUTED, NC_ANCHOR_MIDDLE, text);
    }
    char label[NC_FITTED_SIZE];
    if (figure->x.label)
        nc_draw_label(drawing, box.x + box.width / 2, bottom + TICK_ROW + LABEL_ROW, NC_INK_MUTED, NC_ANCHOR_MIDDLE,
                      nc_text_fit(label, figure->x.label, NC_TEXT_SIZE, box.width));
    if (figure->y.label)
        nc_draw_label(drawing, drawing->inner.x, drawing->inner.y + TOP_ROW - 9, NC_INK_MUTED, NC_ANCHOR_START,
                      nc_text_fit(label, figure->y.label, NC_TEXT_SIZE, drawing->inner.width * 0.6));
}

/* A vertical line with its name above the plot, beside the label of the y axis if that is there too. */
static void draw_mark(const lines_plot *plot)
{
    nc_drawing *drawing = plot->drawing;
    const nacre_figure *figure = drawing->figure;
    if (!figure->mark_name || !is_shown(figure, figure->mark, 1)) return;
    double x = nc_scale_map(&plot->x, figure->mark), bottom = plot->box.y + plot->box.height;
    nc_line_style style = {.ink = NC_INK_MUTED, .width = 1, .dashed = true};
    drawing->canvas->line(drawing->canvas, (nc_point[]){{x, plot->box.y - 2}, {x, bottom}}, 2, style);

    char name[NC_FITTED_SIZE];
    double taken =
        figure->y.label ? fmin(nc_text_width(figure->y.label, NC_TEXT_SIZE), drawing->inner.width * 0.6) + 12 : 0;
    nc_text_fit(name, figure->mark_name, NC_TEXT_SIZE, drawing->inner.width - taken);
    double half = nc_text_width(name, NC_TEXT_SIZE) / 2, end = drawing->inner.x + drawing->inner.width;
    double center = fmax(fmin(x, end - half), drawing->inner.x + taken + half);
    nc_draw_label(drawing, center, drawing->inner.y + TOP_ROW - 9, NC_INK_MUTED, NC_ANCHOR_MIDDLE, name);
}

/* ---- curves ---- */

/* Gathers points into a path. Of all points in one column of pixels the first, the lowest, the highest and the last
 * are kept: the picture is the same, and a million steps take no more room than the picture is wide. */
typedef struct plot_pen {
    const lines_plot *plot;
    nc_line_style style;
    nc_point *points;
    int count;
    int64_t in_column;
    nc_point first, low, high, last;
} plot_pen;

static void end_column(plot_pen *pen)
{
    if (pen->in_column == 0) return;
    bool low_first = pen->low.x < pen->high.x;
    nc_point kept[] = {pen->first, low_first ? pen->low : pen->high, low_first ? pen->high : pen->low, pen->last};
    for (int i = 0; i < 4; i++) {
        const nc_point *before = pen->count ? &pen->points[pen->count - 1] : NULL;
        if (!before || before->x != kept[i].x || before->y != kept[i].y) pen->points[pen->count++] = kept[i];
    }
    pen->in_column = 0;
}

static void move_pen(plot_pen *pen, nc_point at)
{
    if (pen->in_column > 0 && floor(at.x) != floor(pen->first.x)) end_column(pen);
    if (pen->in_column++ == 0) pen->first = pen->low = pen->high = at;
    if (at.y < pen->low.y) pen->low = at;
    if (at.y > pen->high.y) pen->high = at;
    pen->last = at;
}

/* Draws what was gathered: a line, or a dot if it is a single point. */
static void lift_pen(plot_pen *pen)
{
    nc_canvas *canvas = pen->plot->drawing->canvas;
    end_column(pen);
    if (pen->count > 1) canvas->line(canvas, pen->points, pen->count, pen->style);
    if (pen->count == 1) canvas->dot(canvas, pen->points[0], 2.5, pen->style.ink, false, NULL);
    pen->count = 0;
}

/* A curve that turns back goes on as a new piece, for the room is that of one pass over the columns. */
static void turn_pen(plot_pen *pen)
{
    nc_point last = pen->last;
    lift_pen(pen);
    move_pen(pen, last);
}

static void draw_curve(plot_pen *pen, const nacre_series *series)
{
    const lines_plot *plot = pen->plot;
    bool down = false;
    double lifted_at = -1;
    for (int64_t i = 0; i < series->count; i++) {
        double x = x_of(series, i), y = series->y[i];
        if (is_shown(plot->drawing->figure, x, y)) {
            nc_point at = {nc_scale_map(&plot->x, x), nc_scale_map(&plot->y, y)};
            /* A curve full of gaps is thinned as well: one piece per column is all that can be seen. */
            if (!down && floor(at.x) == lifted_at) continue;
            if (down && floor(at.x) < floor(pen->last.x)) turn_pen(pen);
            move_pen(pen, at);
            down = true;
        } else if (down) {
            lifted_at = floor(pen->last.x);
            lift_pen(pen);
            down = false;
        }
    }
    lift_pen(pen);
}

/* Upright bars of mean - error to mean + error, with a dot where they belong. */
static void draw_errors(const lines_plot *plot, const nacre_series *series, nc_ink ink)
{
    nc_canvas *canvas = plot->drawing->canvas;
    nc_line_style style = {.ink = ink, .width = 1.4, .opacity = series->faint ? 0.4 : 0.8};
    for (int64_t i = 0; i < series->count; i++) {
        double x = x_of(series, i), y = series->y[i];
        if (!is_shown(plot->drawing->figure, x, y)) continue;
        nc_point at = {nc_scale_map(&plot->x, x), nc_scale_map(&plot->y, y)};
        canvas->dot(canvas, at, 2.8, ink, false, NULL);
        if (!(series->error[i] > 0) || !isfinite(series->error[i])) continue;
        double low = y - series->error[i], top = nc_scale_map(&plot->y, y + series->error[i]);
        bool below = plot->y.logarithmic && low <= 0; /* runs out of the picture */
        double bottom = below ? plot->box.y + plot->box.height : nc_scale_map(&plot->y, low);
        canvas->line(canvas, (nc_point[]){{at.x, top}, {at.x, bottom}}, 2, style);
        canvas->line(canvas, (nc_point[]){{at.x - 3, top}, {at.x + 3, top}}, 2, style);
        if (!below) canvas->line(canvas, (nc_point[]){{at.x - 3, bottom}, {at.x + 3, bottom}}, 2, style);
    }
}

/* Dots that show themselves and their numbers under the pointer. */
static void draw_hover_dots(const lines_plot *plot, const nacre_series *series, nc_ink ink)
{
    const nacre_figure *figure = plot->drawing->figure;
    int64_t every = (series->count + MOST_HOVER_DOTS - 1) / MOST_HOVER_DOTS;
    for (int64_t i = 0; i < series->count; i += every) {
        double x = x_of(series, i), y = series->y[i];
        if (!is_shown(figure, x, y)) continue;
        char tip[2 * NC_FITTED_SIZE + 96], name[NC_FITTED_SIZE], label[NC_FITTED_SIZE], value[NACRE_NUMBER_SIZE];
        nacre_text_value(value, figure->y.percent ? 100 * y : y);
        nc_text_fit(name, series->name ? series->name : "value", 1, 40);
        nc_text_fit(label, figure->x.label ? figure->x.label : "x", 1, 20);
        snprintf(tip, sizeof tip, "%s %.10g\n%s %s%s", label, x, name, value, figure->y.percent ? " %" : "");
        nc_point at = {nc_scale_map(&plot->x, x), nc_scale_map(&plot->y, y)};
        plot->drawing->canvas->dot(plot->drawing->canvas, at, 4.5, ink, true, tip);
    }
}

nacre_status nc_draw_lines(nc_drawing *drawing)
{
    const nacre_figure *figure = drawing->figure;
    lines_plot plot = make_plot(drawing);
    draw_axes(&plot);
    draw_mark(&plot);
    size_t room = 4 * ((size_t)plot.box.width + 3);
    nc_point *points = nacre_allocate(drawing->context, room * sizeof *points);
    if (!points) return NACRE_ERROR_MEMORY;
    int64_t shown = 0;
    for (int s = 0; s < figure->series_count; s++) {
        const nacre_series *series = &figure->series[s];
        nc_line_style style = {.ink = nc_series_ink(figure, s),
                               .width = series->faint ? 1.2 : 2,
                               .opacity = series->faint ? 0.4 : 1,
                               .dashed = series->dashed};
        draw_curve(&(plot_pen){.plot = &plot, .style = style, .points = points}, series);
        if (series->error) draw_errors(&plot, series, style.ink);
        shown += series->count;
    }
    for (int s = 0; s < figure->series_count; s++)
        if (!figure->series[s].faint) draw_hover_dots(&plot, &figure->series[s], nc_series_ink(figure, s));
    nacre_release(drawing->context, points);
    if (shown == 0)
        nc_draw_label(drawing, plot.box.x + plot.box.width / 2, plot.box.y + plot.box.height / 2, NC_INK_MUTED,
                      NC_ANCHOR_MIDDLE, "no data yet");
    return NACRE_OK;
}

/* train/plot_bars.c - horizontal bars, in groups with a name each. */
#include "train/plot.h"

#include <math.h>
#include <stdio.h>

enum { BAR = 16, BAR_IN_GROUP = 12, GAP = 8 };

static int64_t group_count(const nacre_figure *figure)
{
    int64_t groups = 0;
    for (int s = 0; s < figure->series_count; s++)
        if (figure->series[s].count > groups) groups = figure->series[s].count;
    return groups;
}

static double bar_height(const nacre_figure *figure)
{
    return figure->series_count > 1 ? BAR_IN_GROUP : BAR;
}

static double group_height(const nacre_figure *figure)
{
    return figure->series_count * bar_height(figure) + GAP;
}

double nc_bars_height(const nacre_figure *figure)
{
    return GAP + group_height(figure) * (double)group_count(figure) + (figure->x.label ? 18 : 0);
}

static double value_at(const nacre_figure *figure, int series, int64_t group)
{
    return group < figure->series[series].count ? figure->series[series].y[group] : NAN;
}

/* From zero, or from the next round number below on a logarithmic axis. */
static nc_scale make_scale(const nacre_figure *figure)
{
    nc_range range = {INFINITY, -INFINITY};
    for (int s = 0; s < figure->series_count; s++)
        for (int64_t i = 0; i < figure->series[s].count; i++)
            nc_range_add(&range, figure->series[s].y[i], figure->x.logarithmic);
    if (!figure->x.logarithmic && range.low <= range.high) nc_range_add(&range, 0, false);
    return nc_scale_make(&figure->x, range, 5, figure->x.logarithmic);
}

static char *value_text(char text[NACRE_NUMBER_SIZE], const nacre_figure *figure, double value)
{
    if (!figure->x.percent) return nc_short_text(text, value);
    snprintf(text, NACRE_NUMBER_SIZE, "%.3g %%", 100 * value);
    return text;
}

static double widest_value(const nacre_figure *figure)
{
    double widest = 0;
    char text[NACRE_NUMBER_SIZE];
    for (int s = 0; s < figure->series_count; s++)
        for (int64_t i = 0; i < figure->series[s].count; i++)
            widest = fmax(widest, nc_text_width(value_text(text, figure, figure->series[s].y[i]), NC_TEXT_SIZE));
    return widest;
}

static double widest_name(const nacre_figure *figure)
{
    double widest = 0;
    for (int64_t i = 0; figure->names && i < group_count(figure); i++)
        widest = fmax(widest, nc_text_width(figure->names[i], NC_TEXT_SIZE));
    return widest;
}

static void draw_bar(nc_drawing *drawing, const nc_scale *scale, int series, double value, double y)
{
    double height = bar_height(drawing->figure), zero = nc_scale_map(scale, 0), end = zero;
    if (nc_can_show(value, scale->logarithmic)) {
        end = nc_scale_map(scale, value);
        nc_box bar = {fmin(zero, end), y + 1, fabs(end - zero), height - 2};
        drawing->canvas->box(drawing->canvas, bar, nc_series_ink(drawing->figure, series), 1, NULL);
    }
    char text[NACRE_NUMBER_SIZE];
    value_text(text, drawing->figure, value);
    nc_draw_label(drawing, fmax(zero, end) + 5, y + height / 2 + 4, NC_INK_TEXT, NC_ANCHOR_START, text);
}

nacre_status nc_draw_bars(nc_drawing *drawing)
{
    const nacre_figure *figure = drawing->figure;
    nc_box inner = drawing->inner;
    double left = fmin(widest_name(figure), inner.width * 0.4), right = fmin(widest_value(figure), inner.width * 0.3);
    nc_scale scale = make_scale(figure);
    scale.from = inner.x + left + 10;
    scale.to = inner.x + inner.width - right - 8;

    int64_t groups = group_count(figure);
    double axis_room = figure->x.label ? 18 : 0, step = group_height(figure);
    if (groups > 0) step = fmin(step, (inner.height - axis_room) / (double)groups); /* a given height may be too low */
    for (int64_t i = 0; i < groups; i++) {
        double y = inner.y + GAP / 2.0 + (double)i * step;
        char name[NC_FITTED_SIZE];
        double middle = y + figure->series_count * bar_height(figure) / 2 + 4;
        if (figure->names)
            nc_draw_label(drawing, inner.x + left, middle, NC_INK_TEXT, NC_ANCHOR_END,
                          nc_text_fit(name, figure->names[i], NC_TEXT_SIZE, left));
        for (int s = 0; s < figure->series_count; s++)
            draw_bar(drawing, &scale, s, value_at(figure, s, i), y + s * bar_height(figure));
    }
    double zero = nc_scale_map(&scale, 0), bottom = inner.y + step * (double)groups + GAP / 2.0;
    drawing->canvas->line(drawing->canvas, (nc_point[]){{zero, inner.y + 2}, {zero, bottom}}, 2,
                          (nc_line_style){.ink = NC_INK_MUTED, .width = 1});
    char label[NC_FITTED_SIZE];
    if (figure->x.label)
        nc_draw_label(drawing, (scale.from + scale.to) / 2, inner.y + inner.height - 4, NC_INK_MUTED, NC_ANCHOR_MIDDLE,
                      nc_text_fit(label, figure->x.label, NC_TEXT_SIZE, inner.width - left));
    return NACRE_OK;
}

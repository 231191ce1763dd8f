/* train/plot.c - figures: what all kinds have in common, which is size, title and legend. */
#include "train/plot.h"

#include <math.h>

enum {
    MARGIN = 12,
    TITLE_SIZE = 14,
    TITLE_ROW = 24,
    LEGEND_ROW = 20,
    SWATCH = 18,
    LARGEST_SIDE = 8192,
    LEAST_INNER = 72,
    LINES_HEIGHT = 290
};

/* Legend entries of one figure; only curves and bars have any. */
static int named_series(const nacre_figure *figure)
{
    int named = 0;
    if (figure->kind == NACRE_FIGURE_HEAT || figure->kind == NACRE_FIGURE_PARALLEL) return 0;
    for (int i = 0; i < figure->series_count; i++) named += figure->series[i].name != NULL;
    return named;
}

nc_ink nc_series_ink(const nacre_figure *figure, int index)
{
    int color = figure->series[index].color > 0 ? figure->series[index].color - 1 : index;
    return (nc_ink)(NC_INK_SERIES + color % NC_SERIES_COLORS);
}

void nc_draw_label(nc_drawing *drawing, double x, double y, nc_ink ink, nc_anchor anchor, const char *text)
{
    drawing->canvas->text(drawing->canvas, (nc_point){x, y},
                          (nc_text_style){.ink = ink, .size = NC_TEXT_SIZE, .anchor = anchor}, text);
}

/* ---- legend ---- */

static void draw_swatch(nc_drawing *drawing, int index, double x, double y)
{
    nc_canvas *canvas = drawing->canvas;
    nc_ink ink = nc_series_ink(drawing->figure, index);
    const nacre_series *series = &drawing->figure->series[index];
    if (drawing->figure->kind == NACRE_FIGURE_BARS) {
        canvas->box(canvas, (nc_box){x + 4, y - 9, 10, 10}, ink, 1, NULL);
        return;
    }
    nc_line_style style = {.ink = ink, .width = 2, .opacity = series->faint ? 0.4 : 1, .dashed = series->dashed};
    canvas->line(canvas, (nc_point[]){{x, y - 4}, {x + SWATCH - 2, y - 4}}, 2, style);
}

/* Places the entries from left to right in as many rows as they need and returns these; draws if there is a
 * drawing. One routine for both, so that the room taken is the room drawn on. */
static int lay_legend(nc_drawing *drawing, const nacre_figure *figure, double x, double y, double width)
{
    int rows = 0;
    double used = 0;
    for (int i = 0; i < figure->series_count && named_series(figure); i++) {
        if (!figure->series[i].name) continue;
        char name[NC_FITTED_SIZE];
        nc_text_fit(name, figure->series[i].name, NC_TEXT_SIZE, width - SWATCH - 4);
        double needed = SWATCH + 4 + nc_text_width(name, NC_TEXT_SIZE);
        if (rows == 0 || used + needed > width) {
            rows++;
            used = 0;
        }
        double baseline = y + rows * LEGEND_ROW - 6;
        if (drawing) {
            draw_swatch(drawing, i, x + used, baseline);
            nc_draw_label(drawing, x + used + SWATCH + 4, baseline, NC_INK_TEXT, NC_ANCHOR_START, name);
        }
        used += needed + 14;
    }
    return rows;
}

/* ---- size ---- */

static int figure_width(const nacre_figure *figure)
{
    return figure->width ? figure->width : 480;
}

/* What title and legend take from the top. */
static double head_height(const nacre_figure *figure)
{
    int rows = lay_legend(NULL, figure, 0, 0, figure_width(figure) - 2 * MARGIN);
    return MARGIN + (figure->title ? TITLE_ROW : 0) + rows * LEGEND_ROW;
}

nc_size nc_figure_size(const nacre_figure *figure)
{
    int width = figure_width(figure);
    double height = figure->height;
    if (height == 0) {
        bool upright = figure->kind == NACRE_FIGURE_LINES || figure->kind == NACRE_FIGURE_PARALLEL;
        double inner = upright                             ? fmax(LINES_HEIGHT - MARGIN - head_height(figure), 190)
                       : figure->kind == NACRE_FIGURE_BARS ? nc_bars_height(figure)
                                                           : nc_heat_height(figure, width - 2 * MARGIN);
        height = head_height(figure) + inner + MARGIN;
    }
    return (nc_size){width, (int)ceil(height)};
}

/* ---- checks ---- */

static nacre_status check_series(nacre_context *context, const nacre_figure *figure)
{
    if (figure->series_count < 0 || (figure->series_count > 0 && !figure->series))
        return nacre_fail(context, NACRE_ERROR_ARGUMENT, "figure: %d series without data", figure->series_count);
    for (int i = 0; i < figure->series_count; i++) {
        const nacre_series *series = &figure->series[i];
        if (series->count < 0 || (series->count > 0 && !series->y))
            return nacre_fail(context, NACRE_ERROR_ARGUMENT, "figure: series %d has %lld points without data", i,
                              (long long)series->count);
    }
    return NACRE_OK;
}

nacre_status nc_figure_check(nacre_context *context, const nacre_figure *figure)
{
    if (!figure) return nacre_fail(context, NACRE_ERROR_ARGUMENT, "figure: NULL");
    if (figure->kind == NACRE_FIGURE_PARALLEL) {
        if (figure->rows < 0 || figure->columns < 2 || !figure->axes || (figure->rows > 0 && !figure->values))
            return nacre_fail(context, NACRE_ERROR_ARGUMENT,
                              "figure: %d lines across %d axes; at least 2 axes, described, and values are needed",
                              figure->rows, figure->columns);
    } else if (figure->kind == NACRE_FIGURE_HEAT) {
        if (figure->rows < 0 || figure->columns < 0 || (figure->rows * (int64_t)figure->columns > 0 && !figure->values))
            return nacre_fail(context, NACRE_ERROR_ARGUMENT, "figure: %d x %d cells without values", figure->rows,
                              figure->columns);
    } else {
        nacre_status status = check_series(context, figure);
        if (status) return status;
    }
    nc_size size = nc_figure_size(figure);
    if (size.width < 160 || size.width > LARGEST_SIDE || (figure->height && size.height < 120) ||
        size.height > LARGEST_SIDE)
        return nacre_fail(context, NACRE_ERROR_ARGUMENT, "figure: %d x %d pixels, expected 160 x 120 to %d x %d",
                          size.width, size.height, LARGEST_SIDE, LARGEST_SIDE);
    if (figure->height && figure->height < head_height(figure) + LEAST_INNER)
        return nacre_fail(context, NACRE_ERROR_ARGUMENT, "figure: %d pixels leave no room below its legend",
                          figure->height);
    return NACRE_OK;
}

/* ---- drawing ---- */

nacre_status nc_figure_draw(nacre_context *context, const nacre_figure *figure, nc_canvas *canvas)
{
    nc_size size = nc_figure_size(figure);
    double head = head_height(figure), width = size.width - 2 * MARGIN;
    nc_drawing drawing = {context, canvas, figure, {MARGIN, head, width, size.height - head - MARGIN}};
    if (figure->title) {
        char title[NC_FITTED_SIZE];
        nc_text_fit(title, figure->title, TITLE_SIZE * 1.08, width); /* bold runs wider */
        nc_text_style style = {.ink = NC_INK_TEXT, .size = TITLE_SIZE, .bold = true};
        canvas->text(canvas, (nc_point){MARGIN, MARGIN + TITLE_SIZE - 1}, style, title);
    }
    lay_legend(&drawing, figure, MARGIN, MARGIN + (figure->title ? TITLE_ROW : 0), width);
    switch (figure->kind) {
    case NACRE_FIGURE_LINES: return nc_draw_lines(&drawing);
    case NACRE_FIGURE_BARS: return nc_draw_bars(&drawing);
    case NACRE_FIGURE_HEAT: return nc_draw_heat(&drawing);
    case NACRE_FIGURE_PARALLEL: return nc_draw_parallel(&drawing);
    }
    return nacre_fail(context, NACRE_ERROR_ARGUMENT, "figure: there is no kind %d", (int)figure->kind);
}

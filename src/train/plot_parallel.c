/* train/plot_parallel.c - parallel coordinates: an upright axis for each thing that varies, a line for each trial. */
#include "train/plot.h"

#include <math.h>
#include <stdio.h>

enum { HEAD = 22, FOOT = 10, MOST_NAMES = NC_MOST_TICKS };

typedef struct parallel_plot {
    nc_drawing *drawing;
    nc_scale *scales; /* one per axis */
    double *places;   /* x of each axis */
} parallel_plot;

static double value_at(const nacre_figure *figure, int row, int column)
{
    return figure->values[(int64_t)row * figure->columns + column];
}

/* ---- axes ---- */

/* Names stand at 0, 1, 2, ...; of too many only some. */
static void take_names(nc_scale *scale, const nacre_axis *axis)
{
    int every = (axis->name_count + MOST_NAMES - 1) / MOST_NAMES;
    scale->low = axis->name_count > 1 ? 0 : -1;
    scale->high = axis->name_count > 1 ? axis->name_count - 1 : 1;
    scale->tick_count = 0;
    for (int i = 0; i<axis->name_count; i += every> 1 ? every : 1) scale->ticks[scale->tick_count++] = i;
}

static nc_scale make_scale(const nc_drawing *drawing, int column)
{
    const nacre_figure *figure = drawing->figure;
    const nacre_axis *axis = &figure->axes[column];
    nc_range range = {INFINITY, -INFINITY};
    for (int r = 0; r < figure->rows; r++) nc_range_add(&range, value_at(figure, r, column), axis->logarithmic);
    nc_scale scale = nc_scale_make(axis, range, (int)fmax(drawing->inner.height / 50, 2), true);
    if (axis->names) take_names(&scale, axis);
    scale.from = drawing->inner.y + drawing->inner.height - FOOT;
    scale.to = drawing->inner.y + HEAD + 6;
    return scale;
}

static char *tick_text(char text[NC_FITTED_SIZE], const nacre_axis *axis, const nc_scale *scale, int tick, double room)
{
    char number[NACRE_NUMBER_SIZE];
    const char *name =
        axis->names ? axis->names[(int)scale->ticks[tick]] : nc_tick_text(number, scale, scale->ticks[tick]);
    return nc_text_fit(text, name, NC_TEXT_SIZE, room);
}

/* What the ticks of an axis need beside it. */
static double tick_room(const parallel_plot *plot, int column, double most)
{
    double widest = 0;
    char text[NC_FITTED_SIZE];
    const nc_scale *scale = &plot->scales[column];
    for (int i = 0; i < scale->tick_count; i++)
        widest = fmax(
            widest, nc_text_width(tick_text(text, &plot->drawing->figure->axes[column], scale, i, most), NC_TEXT_SIZE));
    return widest + 8;
}

/* The first axis leaves room for its ticks on the left, where those of all axes stand. */
static void place_axes(parallel_plot *plot)
{
    const nc_drawing *drawing = plot->drawing;
    int columns = drawing->figure->columns;
    double left = tick_room(plot, 0, drawing->inner.width / 4), right = 14;
    for (int c = 0; c < columns; c++)
        plot->places[c] = drawing->inner.x + left + (drawing->inner.width - left - right) * c / (columns - 1);
}

static void draw_axis(const parallel_plot *plot, int column)
{
    nc_drawing *drawing = plot->drawing;
    nc_canvas *canvas = drawing->canvas;
    const nacre_figure *figure = drawing->figure;
    const nc_scale *scale = &plot->scales[column];
    double x = plot->places[column], gap = plot->places[1] - plot->places[0];
    nc_line_style style = {.ink = NC_INK_MUTED, .width = 1};
    canvas->line(canvas, (nc_point[]){{x, scale->to}, {x, scale->from}}, 2, style);
    for (int i = 0; i < scale->tick_count; i++) {
        char text[NC_FITTED_SIZE];
        double y = nc_scale_map(scale, scale->ticks[i]);
        tick_text(text, &figure->axes[column], scale, i, column ? gap - 12 : drawing->inner.width / 4);
        double width = nc_text_width(text, NC_TEXT_SIZE);
        /* Lines pass behind the numbers, which stay readable. */
        if (column) canvas->box(canvas, (nc_box){x - 7 - width, y - 8, width + 3, 15}, NC_INK_SURFACE, 0.8, NULL);
        canvas->line(canvas, (nc_point[]){{x - 4, y}, {x, y}}, 2, style);
        nc_draw_label(drawing, x - 6, y + 4, NC_INK_MUTED, NC_ANCHOR_END, text);
    }
    const char *label = figure->axes[column].label;
    if (!label) return;
    char fitted[NC_FITTED_SIZE];
    bool first = column == 0, last = column + 1 == figure->columns;
    double start = first ? drawing->inner.x : last ? drawing->inner.x + drawing->inner.width : x;
    nc_anchor anchor = first ? NC_ANCHOR_START : last ? NC_ANCHOR_END : NC_ANCHOR_MIDDLE;
    nc_draw_label(drawing, start, drawing->inner.y + 13, NC_INK_TEXT, anchor,
                  nc_text_fit(fitted, label, NC_TEXT_SIZE, gap - 8));
}

/* ---- lines ---- */

static void draw_row(const parallel_plot *plot, int row, nc_point *points)
{
    const nc_drawing *drawing = plot->drawing;
    const nacre_figure *figure = drawing->figure;
    double weight = figure->weights ? figure->weights[row] : 0.5;
    bool first = weight >= 1;
    nc_line_style style = {.ink = first ? NC_INK_SERIES_2 : NC_INK_SERIES,
                           .width = first ? 2.6 : 1.3,
                           .opacity = first ? 1 : 0.12 + 0.6 * fmax(weight, 0)};
    int count = 0;
    for (int c = 0; c <= figure->columns; c++) {
        double value = c < figure->columns ? value_at(figure, row, c) : NAN;
        if (nc_can_show(value, c < figure->columns && figure->axes[c].logarithmic)) {
            points[count++] = (nc_point){plot->places[c], nc_scale_map(&plot->scales[c], value)};
            continue;
        }
        if (count > 1) drawing->canvas->line(drawing->canvas, points, count, style);
        count = 0;
    }
}

nacre_status nc_draw_parallel(nc_drawing *drawing)
{
    const nacre_figure *figure = drawing->figure;
    size_t columns = (size_t)figure->columns;
    nacre_pool pool = {.context = drawing->context};
    parallel_plot plot = {.drawing = drawing,
                          .scales = nacre_pool_allocate(&pool, columns * sizeof *plot.scales),
                          .places = nacre_pool_allocate(&pool, columns * sizeof *plot.places)};
    nc_point *points = nacre_pool_allocate(&pool, columns * sizeof *points);
    bool ready = plot.scales && plot.places && points;
    for (int c = 0; ready && c < figure->columns; c++) plot.scales[c] = make_scale(drawing, c);
    if (ready) place_axes(&plot);
    for (int highlighted = 0; ready && highlighted < 2; highlighted++)
        for (int r = 0; r < figure->rows; r++)
            if ((figure->weights && figure->weights[r] >= 1) == highlighted) draw_row(&plot, r, points);
    for (int c = 0; ready && c < figure->columns; c++) draw_axis(&plot, c);
    nacre_pool_destroy(&pool);
    return ready ? NACRE_OK : NACRE_ERROR_MEMORY;
}

/* train/plot_heat.c - matrices as shaded cells. */
#include "train/plot.h"

#include <math.h>
#include <stdio.h>

enum { MOST_NAME = 130, TIP_NAME = 300, LABEL_ROW = 18, NAME_LINE = 13 };

/* Where the cells are, and how the columns' names stand below them. */
typedef struct heat_plot {
    nc_drawing *drawing;
    nc_box box;
    double cell_width, cell_height;
    double name_room, column_room; /* pixels for the names of rows, and below the cells for those of columns */
    bool slanted;
    double largest;   /* value */
    double text_size; /* of the numbers in the cells; 0: they do not fit */
} heat_plot;

static const char *row_name(const nacre_figure *figure, int row)
{
    const char *const *names = figure->row_names ? figure->row_names : figure->names;
    return names ? names[row] : NULL;
}

static const char *column_name(const nacre_figure *figure, int column)
{
    const char *const *names = figure->column_names ? figure->column_names : figure->names;
    return names ? names[column] : NULL;
}

/* The name, or the number of what has none. */
static char *fit_name(char fitted[NC_FITTED_SIZE], const char *name, int index, double room)
{
    char number[NACRE_NUMBER_SIZE];
    snprintf(number, sizeof number, "%d", index);
    return nc_text_fit(fitted, name ? name : number, NC_TEXT_SIZE, room);
}

static double widest_name(const nacre_figure *figure, bool rows)
{
    double widest = 0;
    char name[NC_FITTED_SIZE];
    for (int i = 0; i < (rows ? figure->rows : figure->columns); i++) {
        fit_name(name, rows ? row_name(figure, i) : column_name(figure, i), i, MOST_NAME);
        widest = fmax(widest, nc_text_width(name, NC_TEXT_SIZE));
    }
    return widest;
}

/* A matrix of few cells may use the room for them. */
static double largest_cell(const nacre_figure *figure)
{
    return figure->columns <= 2 ? 104 : figure->columns <= 4 ? 76 : 46;
}

/* Everything that follows from the width. */
static heat_plot measure(const nacre_figure *figure, double width)
{
    heat_plot plot = {.name_room = widest_name(figure, true)};
    double names = widest_name(figure, false);
    plot.cell_width = fmin((width - plot.name_room - 8) / fmax(figure->columns, 1), largest_cell(figure));
    plot.cell_height = plot.cell_width;
    plot.slanted = names > plot.cell_width - 6;
    plot.column_room = plot.slanted ? names * sqrt(0.5) + 14 : LABEL_ROW;
    return plot;
}

static double label_rows(const nacre_figure *figure)
{
    return (figure->y.label ? LABEL_ROW : 0) + (figure->x.label ? LABEL_ROW : 0);
}

double nc_heat_height(const nacre_figure *figure, double width)
{
    heat_plot plot = measure(figure, width);
    return plot.cell_height * figure->rows + plot.column_room + label_rows(figure) + 8;
}

static double value_at(const nacre_figure *figure, int row, int column)
{
    return figure->values[(int64_t)row * figure->columns + column];
}

/* The largest size at which all numbers fit. */
static double find_text_size(const nacre_figure *figure, double width, double height)
{
    double widest = 0;
    char text[NACRE_NUMBER_SIZE];
    for (int i = 0; i < figure->rows; i++)
        for (int j = 0; j < figure->columns; j++)
            if (isfinite(value_at(figure, i, j)))
                widest = fmax(widest, nc_text_width(nc_short_text(text, value_at(figure, i, j)), 1));
    double size = fmin(fmin(NC_TEXT_SIZE, (width - 4) / fmax(widest, 1e-9)), height * 0.6);
    return size >= 7.5 ? floor(2 * size) / 2 : 0;
}

static double row_sum(const nacre_figure *figure, int row)
{
    double sum = 0;
    for (int j = 0; j < figure->columns; j++) sum += fmax(value_at(figure, row, j), 0); /* fmax drops NaN */
    return sum;
}

/* Mistakes are shaded by the root of their share: one in a hundred is to be seen, one in ten to stand out. */
static double shade(const heat_plot *plot, int row, int column, double value, double sum)
{
    if (!plot->drawing->figure->confusion) return plot->largest > 0 ? fmin(fmax(value / plot->largest, 0), 1) : 0;
    double share = sum > 0 ? value / sum : 0;
    return row == column ? 0.1 + 0.9 * share : fmin(0.05 + 1.6 * sqrt(share), 1);
}

/* All digits of a count; what is far beyond one is rounded. */
static char *count_text(char text[NACRE_NUMBER_SIZE], double count)
{
    return fabs(count) < 1e15 ? nacre_text_count(text, (int64_t)count) : nacre_text_value(text, count);
}

static void write_tip(char *tip, size_t size, const nacre_figure *figure, int row, int column, double value, double sum)
{
    char of_row[NC_FITTED_SIZE], of_column[NC_FITTED_SIZE], number[NACRE_NUMBER_SIZE], total[NACRE_NUMBER_SIZE];
    fit_name(of_row, row_name(figure, row), row, TIP_NAME);
    fit_name(of_column, column_name(figure, column), column, TIP_NAME);
    if (!figure->confusion) {
        snprintf(tip, size, "%s, %s: %s", of_row, of_column, nacre_text_value(number, value));
        return;
    }
    count_text(number, value);
    count_text(total, sum);
    snprintf(tip, size, "%s taken for %s: %s of %s (%.1f %%)", of_row, of_column, number, total,
             sum > 0 ? 100 * value / sum : 0);
}

static void draw_cell(const heat_plot *plot, int row, int column, double sum)
{
    nc_drawing *drawing = plot->drawing;
    double value = value_at(drawing->figure, row, column);
    if (!isfinite(value) || (drawing->figure->confusion && value <= 0)) return;
    double gap = plot->cell_width > 6 ? 1 : 0, opacity = shade(plot, row, column, value, sum);
    nc_box cell = {plot->box.x + column * plot->cell_width, plot->box.y + row * plot->cell_height,
                   plot->cell_width - gap, plot->cell_height - gap};
    char tip[2 * NC_FITTED_SIZE + 96], text[NACRE_NUMBER_SIZE];
    write_tip(tip, sizeof tip, drawing->figure, row, column, value, sum);
    bool wrong = drawing->figure->confusion && row != column;
    drawing->canvas->box(drawing->canvas, cell, wrong ? NC_INK_WRONG : NC_INK_RIGHT, opacity, tip);
    if (plot->text_size == 0) return;
    nc_text_style style = {
        .ink = opacity > 0.6 ? NC_INK_SURFACE : NC_INK_TEXT, .size = plot->text_size, .anchor = NC_ANCHOR_MIDDLE};
    nc_point middle = {cell.x + cell.width / 2, cell.y + cell.height / 2 + plot->text_size * 0.36};
    drawing->canvas->text(drawing->canvas, middle, style, nc_short_text(text, value));
}

/* Names, every n-th where they would overlap. */
static void draw_names(const heat_plot *plot)
{
    nc_drawing *drawing = plot->drawing;
    const nacre_figure *figure = drawing->figure;
    char name[NC_FITTED_SIZE];
    int every = (int)ceil(NAME_LINE / fmax(plot->cell_height, 0.1));
    for (int i = 0; i < figure->rows; i += every) {
        double y = plot->box.y + (i + 0.5) * plot->cell_height + 4;
        nc_draw_label(drawing, plot->box.x - 6, y, NC_INK_TEXT, NC_ANCHOR_END,
                      fit_name(name, row_name(figure, i), i, MOST_NAME));
    }
    every = (int)ceil(NAME_LINE * (plot->slanted ? 1.2 : 1) / fmax(plot->cell_width, 0.1));
    double bottom = plot->box.y + plot->cell_height * figure->rows;
    for (int j = 0; j < figure->columns; j += every) {
        double x = plot->box.x + (j + 0.5) * plot->cell_width;
        nc_text_style style = {.ink = NC_INK_TEXT,
                               .size = NC_TEXT_SIZE,
                               .anchor = plot->slanted ? NC_ANCHOR_END : NC_ANCHOR_MIDDLE,
                               .angle = plot->slanted ? -45 : 0};
        nc_point at = {plot->slanted ? x + 4 : x, bottom + (plot->slanted ? 11 : 15)};
        drawing->canvas->text(drawing->canvas, at, style, fit_name(name, column_name(figure, j), j, MOST_NAME));
    }
}

nacre_status nc_draw_heat(nc_drawing *drawing)
{
    const nacre_figure *figure = drawing->figure;
    nc_box inner = drawing->inner;
    heat_plot plot = measure(figure, inner.width);
    plot.drawing = drawing;
    double top = figure->y.label ? LABEL_ROW : 0;
    if (figure->height && figure->rows > 0)
        plot.cell_height = fmax((inner.height - plot.column_room - label_rows(figure) - 8) / figure->rows, 1);
    plot.box = (nc_box){inner.x + plot.name_room + 8, inner.y + top + 4, plot.cell_width * figure->columns,
                        plot.cell_height * figure->rows};
    plot.text_size = find_text_size(figure, plot.cell_width, plot.cell_height);
    for (int i = 0; i < figure->rows; i++)
        for (int j = 0; j < figure->columns; j++)
            if (isfinite(value_at(figure, i, j))) plot.largest = fmax(plot.largest, value_at(figure, i, j));

    drawing->canvas->box(drawing->canvas, plot.box, NC_INK_GRID, 0.35, NULL);
    for (int i = 0; i < figure->rows; i++) {
        double sum = row_sum(figure, i);
        for (int j = 0; j < figure->columns; j++) draw_cell(&plot, i, j, sum);
    }
    draw_names(&plot);
    char label[NC_FITTED_SIZE];
    if (figure->y.label)
        nc_draw_label(drawing, inner.x, inner.y + 11, NC_INK_MUTED, NC_ANCHOR_START,
                      nc_text_fit(label, figure->y.label, NC_TEXT_SIZE, inner.width));
    if (figure->x.label)
        nc_draw_label(drawing, plot.box.x + plot.box.width / 2, inner.y + inner.height - 4, NC_INK_MUTED,
                      NC_ANCHOR_MIDDLE, nc_text_fit(label, figure->x.label, NC_TEXT_SIZE, inner.width));
    return NACRE_OK;
}

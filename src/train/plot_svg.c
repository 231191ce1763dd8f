/* train/plot_svg.c - the canvas that writes SVG 1.1: classes for colours, so that one style sheet serves all. */
#include "train/plot.h"

#include <math.h>
#include <stdlib.h>

typedef struct svg_canvas {
    nc_canvas base;
    nacre_buffer *out;
} svg_canvas;

static const struct {
    const char *name;
    unsigned light, dark;
} inks[] = {
#define INK_ROW(ink, name, light, dark) {name, light, dark},
    NC_INK_TABLE(INK_ROW)
#undef INK_ROW
};

/* A tenth of a pixel, without what says nothing (12.0 is 12), whatever decimal point the program's locale has. */
static void put_number(nacre_buffer *out, double value)
{
    long long tenths = llround(value * 10), size = llabs(tenths);
    nacre_buffer_print(out, tenths < 0 ? "-%lld" : "%lld", size / 10);
    if (size % 10) nacre_buffer_print(out, ".%lld", size % 10);
}

static void put_attribute(nacre_buffer *out, const char *name, double value)
{
    nacre_buffer_print(out, " %s=\"", name);
    put_number(out, value);
    nacre_buffer_print(out, "\"");
}

static void put_opacity(nacre_buffer *out, double opacity)
{
    int hundredths = (int)lround(opacity * 100);
    if (hundredths < 100) nacre_buffer_print(out, " opacity=\".%02d\"", hundredths);
}

/* Closes a shape, with its tip if it has one. */
static void put_end(nacre_buffer *out, const char *shape, const char *tip)
{
    if (!tip) {
        nacre_buffer_print(out, "/>\n");
        return;
    }
    nacre_buffer_print(out, "><title>");
    nc_put_escaped(out, tip);
    nacre_buffer_print(out, "</title></%s>\n", shape);
}

static void svg_line(nc_canvas *canvas, const nc_point *points, int count, nc_line_style style)
{
    nacre_buffer *out = ((svg_canvas *)canvas)->out;
    nacre_buffer_print(out, "<path class=\"%s%s\"", inks[style.ink].name, style.dashed ? " d" : "");
    put_attribute(out, "stroke-width", style.width);
    put_opacity(out, style.opacity > 0 ? style.opacity : 1);
    nacre_buffer_print(out, " d=\"");
    for (int i = 0; i < count; i++) {
        nacre_buffer_print(out, i == 0 ? "M" : i == 1 ? "L" : " ");
        put_number(out, points[i].x);
        nacre_buffer_print(out, " ");
        put_number(out, points[i].y);
    }
    nacre_buffer_print(out, "\"/>\n");
}

static void svg_box(nc_canvas *canvas, nc_box box, nc_ink ink, double opacity, const char *tip)
{
    nacre_buffer *out = ((svg_canvas *)canvas)->out;
    nacre_buffer_print(out, "<rect class=\"%s\"", inks[ink].name);
    put_attribute(out, "x", box.x);
    put_attribute(out, "y", box.y);
    put_attribute(out, "width", box.width);
    put_attribute(out, "height", box.height);
    put_opacity(out, opacity);
    put_end(out, "rect", tip);
}

static void svg_dot(nc_canvas *canvas, nc_point center, double radius, nc_ink ink, bool hidden, const char *tip)
{
    nacre_buffer *out = ((svg_canvas *)canvas)->out;
    nacre_buffer_print(out, "<circle class=\"%s%s\"", inks[ink].name, hidden ? " h" : "");
    put_attribute(out, "cx", center.x);
    put_attribute(out, "cy", center.y);
    put_attribute(out, "r", radius);
    put_end(out, "circle", tip);
}

static void svg_text(nc_canvas *canvas, nc_point at, nc_text_style style, const char *text)
{
    static const char *const anchors[] = {"", " text-anchor=\"middle\"", " text-anchor=\"end\""};
    nacre_buffer *out = ((svg_canvas *)canvas)->out;
    nacre_buffer_print(out, "<text class=\"%s%s\"", inks[style.ink].name, style.bold ? " b" : "");
    put_attribute(out, "x", at.x);
    put_attribute(out, "y", at.y);
    if (style.size != NC_TEXT_SIZE) put_attribute(out, "font-size", style.size);
    nacre_buffer_print(out, "%s", anchors[style.anchor]);
    if (style.angle != 0) {
        nacre_buffer_print(out, " transform=\"rotate(%d ", (int)style.angle);
        put_number(out, at.x);
        nacre_buffer_print(out, " ");
        put_number(out, at.y);
        nacre_buffer_print(out, ")\"");
    }
    nacre_buffer_print(out, ">");
    nc_put_escaped(out, text);
    nacre_buffer_print(out, "</text>\n");
}

static void put_palette(nacre_buffer *out, bool dark)
{
    for (size_t i = 0; i < sizeof inks / sizeof *inks; i++)
        nacre_buffer_print(out, "--%s:#%06x;", inks[i].name, dark ? inks[i].dark : inks[i].light);
}

void nc_put_plot_style(nacre_buffer *out)
{
    nacre_buffer_print(out, ":root{");
    put_palette(out, false);
    nacre_buffer_print(out, "}\n@media screen and (prefers-color-scheme:dark){:root{");
    put_palette(out, true);
    nacre_buffer_print(out, "}}\n");
    for (size_t i = 0; i < sizeof inks / sizeof *inks; i++)
        nacre_buffer_print(out, ".plot .%s{color:var(--%s)}", inks[i].name, inks[i].name);
    nacre_buffer_print(out,
                       "\n.plot{font:%dpx system-ui,-apple-system,\"Segoe UI\",Roboto,\"Helvetica Neue\",Arial,"
                       "sans-serif;font-variant-numeric:tabular-nums}\n"
                       ".plot path{fill:none;stroke:currentColor;stroke-linejoin:round;stroke-linecap:round}\n"
                       ".plot rect,.plot circle,.plot text{fill:currentColor}\n"
                       ".plot .d{stroke-dasharray:5 4}.plot .b{font-weight:600}\n"
                       ".plot .h{opacity:0}.plot .h:hover{opacity:1}\n",
                       NC_TEXT_SIZE);
}

static void put_style(nacre_buffer *out)
{
    nacre_buffer_print(out, "<style>\n");
    nc_put_plot_style(out);
    nacre_buffer_print(out, "</style>\n");
}

static void put_background(nacre_buffer *out, double width, double height)
{
    svg_canvas canvas = {{svg_line, svg_box, svg_dot, svg_text}, out};
    svg_box(&canvas.base, (nc_box){0, 0, width, height}, NC_INK_SURFACE, 1, NULL);
}

/* The beginning of an element; its further attributes and ">" follow. */
static void open_figure(nacre_buffer *out, const nacre_figure *figure)
{
    nc_size size = nc_figure_size(figure);
    nacre_buffer_print(out, "<svg xmlns=\"http://www.w3.org/2000/svg\" class=\"plot\" viewBox=\"0 0 %d %d\"",
                       size.width, size.height);
    nacre_buffer_print(out, " role=\"img\" aria-label=\"");
    nc_put_escaped(out, figure->title ? figure->title : "figure");
    nacre_buffer_print(out, "\"");
}

static nacre_status close_figure(nacre_context *context, const nacre_figure *figure, nacre_buffer *out)
{
    svg_canvas canvas = {{svg_line, svg_box, svg_dot, svg_text}, out};
    nacre_status status = nc_figure_draw(context, figure, &canvas.base);
    nacre_buffer_print(out, "</svg>\n");
    return out->failed ? NACRE_ERROR_MEMORY : status;
}

nacre_status nacre_figure_svg(nacre_context *context, const nacre_figure *figure, bool embedded, nacre_buffer *out)
{
    nacre_status status = nc_figure_check(context, figure);
    if (status) return status;
    nc_size size = nc_figure_size(figure);
    open_figure(out, figure);
    if (!embedded) {
        nacre_buffer_print(out, " width=\"%d\" height=\"%d\">\n", size.width, size.height);
        put_style(out);
        put_background(out, size.width, size.height);
    } else {
        nacre_buffer_print(out, ">\n");
    }
    return close_figure(context, figure, out);
}

nacre_status nc_sheet_svg(nacre_context *context, const nc_sheet *sheet, nacre_buffer *out)
{
    nc_point all = nc_sheet_place(sheet, sheet->count);
    nacre_status status = NACRE_OK;
    if (sheet->count == 1) return nacre_figure_svg(context, sheet->figures, false, out);
    nacre_buffer_print(out, "<svg xmlns=\"http://www.w3.org/2000/svg\" class=\"plot\" width=\"%d\" height=\"%d\">\n",
                       (int)all.x, (int)all.y);
    put_style(out);
    put_background(out, all.x, all.y);
    for (int i = 0; status == NACRE_OK && i < sheet->count; i++) {
        nc_size size = nc_figure_size(&sheet->figures[i]);
        nc_point place = nc_sheet_place(sheet, i);
        open_figure(out, &sheet->figures[i]);
        nacre_buffer_print(out, " x=\"%d\" y=\"%d\" width=\"%d\" height=\"%d\">\n", (int)place.x, (int)place.y,
                           size.width, size.height);
        status = close_figure(context, &sheet->figures[i], out);
    }
    nacre_buffer_print(out, "</svg>\n");
    return out->failed ? NACRE_ERROR_MEMORY : status;
}

/* train/plot_png.c - the canvas that paints with cairo, and figures as files. */
#include "train/plot.h"

#include <string.h>
#include <strings.h>

#ifdef NACRE_HAVE_CAIRO

#include <cairo.h>
#include <math.h>

typedef struct png_canvas {
    nc_canvas base;
    cairo_t *cairo;
} png_canvas;

static void use_ink(cairo_t *cairo, nc_ink ink, double opacity)
{
    static const unsigned colors[] = {
#define INK_COLOR(ink, name, light, dark) light,
        NC_INK_TABLE(INK_COLOR)
#undef INK_COLOR
    };
    unsigned color = colors[ink];
    cairo_set_source_rgba(cairo, (color >> 16) / 255.0, (color >> 8 & 255) / 255.0, (color & 255) / 255.0, opacity);
}

static void png_line(nc_canvas *canvas, const nc_point *points, int count, nc_line_style style)
{
    cairo_t *cairo = ((png_canvas *)canvas)->cairo;
    use_ink(cairo, style.ink, style.opacity > 0 ? style.opacity : 1);
    cairo_set_line_width(cairo, style.width);
    cairo_set_line_join(cairo, CAIRO_LINE_JOIN_ROUND);
    cairo_set_line_cap(cairo, CAIRO_LINE_CAP_ROUND);
    cairo_set_dash(cairo, (const double[]){5, 4}, style.dashed ? 2 : 0, 0);
    cairo_new_path(cairo); /* drawing text leaves a point behind */
    for (int i = 0; i < count; i++) cairo_line_to(cairo, points[i].x, points[i].y);
    cairo_stroke(cairo);
}

static void png_box(nc_canvas *canvas, nc_box box, nc_ink ink, double opacity, const char *tip)
{
    (void)tip;
    cairo_t *cairo = ((png_canvas *)canvas)->cairo;
    use_ink(cairo, ink, opacity);
    cairo_rectangle(cairo, box.x, box.y, box.width, box.height);
    cairo_fill(cairo);
}

static void png_dot(nc_canvas *canvas, nc_point center, double radius, nc_ink ink, bool hidden, const char *tip)
{
    (void)tip;
    if (hidden) return;
    cairo_t *cairo = ((png_canvas *)canvas)->cairo;
    use_ink(cairo, ink, 1);
    cairo_new_path(cairo);
    cairo_arc(cairo, center.x, center.y, radius, 0, 2 * acos(-1));
    cairo_fill(cairo);
}

static void png_text(nc_canvas *canvas, nc_point at, nc_text_style style, const char *text)
{
    cairo_t *cairo = ((png_canvas *)canvas)->cairo;
    char clean[NC_FITTED_SIZE];
    nc_text_fit(clean, text, style.size, INFINITY);
    cairo_select_font_face(cairo, "sans-serif", CAIRO_FONT_SLANT_NORMAL,
                           style.bold ? CAIRO_FONT_WEIGHT_BOLD : CAIRO_FONT_WEIGHT_NORMAL);
    cairo_set_font_size(cairo, style.size);
    cairo_text_extents_t extents;
    cairo_text_extents(cairo, clean, &extents);
    use_ink(cairo, style.ink, 1);
    cairo_save(cairo);
    cairo_translate(cairo, at.x, at.y);
    cairo_rotate(cairo, style.angle * acos(-1) / 180);
    cairo_move_to(cairo, -extents.x_advance * style.anchor / 2, 0);
    cairo_show_text(cairo, clean);
    cairo_restore(cairo);
}

static cairo_status_t put_bytes(void *out, const unsigned char *bytes, unsigned size)
{
    nacre_buffer_put(out, bytes, size);
    return ((nacre_buffer *)out)->failed ? CAIRO_STATUS_WRITE_ERROR : CAIRO_STATUS_SUCCESS;
}

static nacre_status paint(nacre_context *context, const nc_sheet *sheet, double scale, cairo_surface_t *surface,
                          nacre_buffer *out)
{
    png_canvas canvas = {{png_line, png_box, png_dot, png_text}, cairo_create(surface)};
    nacre_status status = NACRE_OK;
    cairo_set_source_rgb(canvas.cairo, 1, 1, 1);
    cairo_paint(canvas.cairo);
    cairo_scale(canvas.cairo, scale, scale);
    for (int i = 0; status == NACRE_OK && i < sheet->count; i++) {
        nc_point place = nc_sheet_place(sheet, i);
        cairo_save(canvas.cairo);
        cairo_translate(canvas.cairo, place.x, place.y);
        status = nc_figure_draw(context, &sheet->figures[i], &canvas.base);
        cairo_restore(canvas.cairo);
    }
    cairo_status_t painted = cairo_status(canvas.cairo);
    cairo_destroy(canvas.cairo);
    if (status) return status;
    if (!painted) painted = cairo_surface_write_to_png_stream(surface, put_bytes, out);
    if (out->failed) return NACRE_ERROR_MEMORY;
    if (painted) return nacre_fail(context, NACRE_ERROR_IO, "cannot paint a PNG: %s", cairo_status_to_string(painted));
    return NACRE_OK;
}

nacre_status nc_sheet_png(nacre_context *context, const nc_sheet *sheet, double scale, nacre_buffer *out)
{
    nc_point size = nc_sheet_place(sheet, sheet->count);
    if (scale == 0) scale = 2;
    double most = 16384.0 / fmax(size.x, size.y);
    if (!(scale > 0 && scale <= most))
        return nacre_fail(context, NACRE_ERROR_ARGUMENT, "PNG of a %.0f x %.0f figure: scale %g, expected up to %.3g",
                          size.x, size.y, scale, most);
    cairo_surface_t *surface =
        cairo_image_surface_create(CAIRO_FORMAT_RGB24, (int)ceil(size.x * scale), (int)ceil(size.y * scale));
    nacre_status status = paint(context, sheet, scale, surface, out);
    cairo_surface_destroy(surface);
    return status;
}

#else

nacre_status nc_sheet_png(nacre_context *context, const nc_sheet *sheet, double scale, nacre_buffer *out)
{
    (void)sheet, (void)scale, (void)out;
    return nacre_fail(context, NACRE_ERROR_UNSUPPORTED,
                      "figures as PNG: this build has no cairo; write .svg, or build with cairo");
}

#endif

nacre_status nacre_figure_png(nacre_context *context, const nacre_figure *figure, double scale, nacre_buffer *out)
{
    nc_sheet sheet = {figure, 1, 1};
    nacre_status status = nc_sheet_check(context, &sheet);
    return status ? status : nc_sheet_png(context, &sheet, scale, out);
}

/* train/plot.h - what the drawing routine and its two back ends share: text, colours, the canvas, axes. */
#ifndef NC_TRAIN_PLOT_H
#define NC_TRAIN_PLOT_H

#include <nacre/report.h>

/* ---- text (plot_text.c) ---- */

/* Decodes one code point and returns its bytes, 0 at the end. What is not UTF-8, control characters, and what turns
 * the direction of the text around come out as U+FFFD. */
size_t nc_utf8_next(const char *text, uint32_t *code);
/* Appends text as it is, but well-formed. */
void nc_put_clean(nacre_buffer *out, const char *text);
/* Appends text for XML and HTML, in element or attribute. NULL is empty. */
void nc_put_escaped(nacre_buffer *out, const char *text);
/* Room that text needs, from widths on the safe side of common sans-serif fonts, which are not known here. */
double nc_text_width(const char *text, double size);
/* Well-formed text that takes at most `room`, cut with an ellipsis. Returns `fitted`. */
#define NC_FITTED_SIZE 256
char *nc_text_fit(char fitted[NC_FITTED_SIZE], const char *text, double size, double room);

/* Three digits, which is what a bar or a shaded cell can show: "0.24", "980", "12.3k". */
char *nc_short_text(char text[NACRE_NUMBER_SIZE], double value);

/* ---- colours ---- */

/* X(ink, class in SVG, light, dark). RIGHT and WRONG shade the cells of matrices; the series' order is chosen to be
 * told apart under all common kinds of colour blindness, and in print by lightness where it can be. */
#define NC_INK_TABLE(X)                                                                                                \
    X(TEXT, "t", 0x1f2328, 0xe6e9ec)                                                                                   \
    X(MUTED, "m", 0x5b6672, 0x9aa5b1)                                                                                  \
    X(GRID, "g", 0xe1e5ea, 0x2e353d)                                                                                   \
    X(SURFACE, "f", 0xffffff, 0x14181d)                                                                                \
    X(RIGHT, "r", 0x0b6fae, 0x58b0ea)                                                                                  \
    X(WRONG, "w", 0xd1541f, 0xf2874f)                                                                                  \
    X(SERIES, "s1", 0x0b6fae, 0x58b0ea)                                                                                \
    X(SERIES_2, "s2", 0xd1541f, 0xf2874f)                                                                              \
    X(SERIES_3, "s3", 0x0a8f6c, 0x3cc59b)                                                                              \
    X(SERIES_4, "s4", 0xb55a94, 0xdd93c2)                                                                              \
    X(SERIES_5, "s5", 0xd99200, 0xf0b94a)                                                                              \
    X(SERIES_6, "s6", 0x44a3d8, 0x9bd4f5)                                                                              \
    X(SERIES_7, "s7", 0x6b6157, 0xb9aea2)                                                                              \
    X(SERIES_8, "s8", 0x8f8b1c, 0xcfca5a)

typedef enum nc_ink {
#define NC_INK_MEMBER(ink, name, light, dark) NC_INK_##ink,
    NC_INK_TABLE(NC_INK_MEMBER)
#undef NC_INK_MEMBER
} nc_ink;

enum { NC_SERIES_COLORS = 8 };

/* ---- the canvas (plot_svg.c, plot_png.c) ---- */

typedef struct nc_point {
    double x, y;
} nc_point;

typedef struct nc_box {
    double x, y, width, height;
} nc_box;

typedef struct nc_line_style {
    nc_ink ink;
    double width, opacity; /* opacity 0: 1 */
    bool dashed;
} nc_line_style;

typedef enum nc_anchor { NC_ANCHOR_START, NC_ANCHOR_MIDDLE, NC_ANCHOR_END } nc_anchor;

typedef struct nc_text_style {
    nc_ink ink;
    double size;
    nc_anchor anchor;
    bool bold;
    double angle; /* degrees, clockwise */
} nc_text_style;

/* Coordinates are CSS pixels, y points down, text stands on its baseline. Tips (NULL: none) are what a pointer
 * resting there shows; back ends without pointers leave them out, and hidden dots with them. */
typedef struct nc_canvas nc_canvas;
struct nc_canvas {
    void (*line)(nc_canvas *canvas, const nc_point *points, int count, nc_line_style style);
    void (*box)(nc_canvas *canvas, nc_box box, nc_ink ink, double opacity, const char *tip);
    void (*dot)(nc_canvas *canvas, nc_point center, double radius, nc_ink ink, bool hidden, const char *tip);
    void (*text)(nc_canvas *canvas, nc_point at, nc_text_style style, const char *text);
};

/* ---- sheets: figures side by side (plot_sheet.c) ---- */

typedef struct nc_sheet {
    const nacre_figure *figures;
    int count, columns;
} nc_sheet;
/* Where figure `index` has its upper left corner; with index = count, the sheet's width and height. */
nc_point nc_sheet_place(const nc_sheet *sheet, int index);
nacre_status nc_sheet_check(nacre_context *context, const nc_sheet *sheet);
nacre_status nc_sheet_svg(nacre_context *context, const nc_sheet *sheet, nacre_buffer *out);
nacre_status nc_sheet_png(nacre_context *context, const nc_sheet *sheet, double scale, nacre_buffer *out);

/* The style sheet of all figures, from the table of colours. */
void nc_put_plot_style(nacre_buffer *out);

/* ---- drawing (plot.c and one file per kind) ---- */

/* What one drawing knows. `inner` is what the title and the legend have left of the picture. */
typedef struct nc_drawing {
    nacre_context *context;
    nc_canvas *canvas;
    const nacre_figure *figure;
    nc_box inner;
} nc_drawing;

enum { NC_TEXT_SIZE = 12 };

/* The picture's size in pixels after defaults. */
typedef struct nc_size {
    int width, height;
} nc_size;
nc_size nc_figure_size(const nacre_figure *figure);
/* NACRE_ERROR_ARGUMENT if the description is impossible. */
nacre_status nc_figure_check(nacre_context *context, const nacre_figure *figure);
nacre_status nc_figure_draw(nacre_context *context, const nacre_figure *figure, nc_canvas *canvas);

nacre_status nc_draw_lines(nc_drawing *drawing);
nacre_status nc_draw_bars(nc_drawing *drawing);
nacre_status nc_draw_heat(nc_drawing *drawing);
nacre_status nc_draw_parallel(nc_drawing *drawing);
double nc_bars_height(const nacre_figure *figure);
double nc_heat_height(const nacre_figure *figure, double width);

nc_ink nc_series_ink(const nacre_figure *figure, int index);
void nc_draw_label(nc_drawing *drawing, double x, double y, nc_ink ink, nc_anchor anchor, const char *text);

/* ---- axes (plot_axis.c) ---- */

enum { NC_MOST_TICKS = 24 };

/* Values low..high lie on pixels from..to. */
typedef struct nc_scale {
    double low, high, from, to;
    bool logarithmic;
    int tick_count;
    double ticks[NC_MOST_TICKS];
    double step; /* between ticks; 0 on a logarithmic scale */
    bool percent;
} nc_scale;

/* Finite, positive on a logarithmic axis, and far enough from the ends of double that differences are finite too. */
bool nc_can_show(double value, bool logarithmic);

/* The smallest and largest of values that can be shown; an empty range (low > high) if there are none. */
typedef struct nc_range {
    double low, high;
} nc_range;
void nc_range_add(nc_range *range, double value, bool logarithmic);

/* A scale for these values with about `want` ticks. `rounded` widens it to whole ticks. */
nc_scale nc_scale_make(const nacre_axis *axis, nc_range range, int want, bool rounded);
/* The pixel of a value; what lies outside is at the edge. */
double nc_scale_map(const nc_scale *scale, double value);
/* "0.25", "12.5k", "10⁻³", "25 %" */
char *nc_tick_text(char text[NACRE_NUMBER_SIZE], const nc_scale *scale, double value);

#endif

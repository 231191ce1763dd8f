/* report.h - what people look at: plots, the log of a run, the progress bar, the HTML report.
 *
 * Nothing here prints: text goes into buffers, files or a callback. All input text may be hostile (class names come
 * from folders and CSV files): it is escaped where it is drawn, and bytes that are not UTF-8 become U+FFFD.
 */
#ifndef NACRE_REPORT_H
#define NACRE_REPORT_H

#include <nacre/base.h>
#include <nacre/data.h>
#include <nacre/image.h>
#include <nacre/io.h>
#include <nacre/metrics.h>

#ifdef __cplusplus
extern "C" {
#endif

/* ---- plots ----------------------------------------------------------------------------------------------------- */

/* A figure is a plain description, drawn by one routine through one of two back ends:
 *
 *     nacre_series curves[] = {{.name = "training", .x = epochs, .y = train, .count = n},
 *                              {.name = "validation", .x = epochs, .y = valid, .count = n}};
 *     nacre_figure figure = {.title = "Loss", .x = {.label = "epoch", .whole = true}, .y = {.logarithmic = true},
 *                            .series = curves, .series_count = 2};
 *     nacre_figure_write(ctx, &figure, "loss.svg");
 *     nacre_figure_write(ctx, &figure, "loss.png");
 *
 * All pointers are borrowed for the call. The palette can be told apart by colour-blind readers; SVG follows the
 * reader's light or dark scheme, PNG is light. */
typedef struct nacre_series {
    const char *name;    /* in the legend; NULL: not there */
    const double *x;     /* NULL: 0, 1, 2, ... */
    const double *error; /* LINES: half the length of a bar through each point, mean +- deviation; NULL: none */
    const double *y;     /* NaN and infinities leave gaps, and so does what a logarithmic axis cannot show */
    int64_t count;       /* long series are thinned to what the pixels can show, extremes kept */
    bool dashed, faint;  /* faint: raw values behind their smoothed curve */
    int color;           /* 1..8 of the palette; 0: the position of the series */
} nacre_series;

typedef struct nacre_axis {
    const char *label;
    bool logarithmic;
    bool whole;       /* ticks at whole numbers only: epochs, steps */
    bool percent;     /* 0.25 reads 25 % */
    double low, high; /* both 0: from the data. What lies outside is drawn at the edge */
    /* PARALLEL: values are 0, 1, 2, ... and these are what they are called; NULL: numbers. */
    const char *const *names;
    int name_count;
} nacre_axis;

typedef enum nacre_figure_kind {
    NACRE_FIGURE_LINES,
    NACRE_FIGURE_BARS,
    NACRE_FIGURE_HEAT,
    NACRE_FIGURE_PARALLEL
} nacre_figure_kind;

typedef struct nacre_figure {
    nacre_figure_kind kind;
    const char *title;
    int width, height; /* CSS pixels, at least 160 x 120; 0: 480 wide and as high as the kind likes */
    nacre_axis x, y;   /* BARS: x is the axis of values; HEAT: labels only */

    /* LINES: curves. BARS: y[i] of each series is the length of its bar in group i, x is ignored. */
    const nacre_series *series;
    int series_count;
    const char *mark_name; /* LINES: a vertical line at `mark`, e.g. "best"; NULL: none */
    double mark;

    const char *const *names; /* BARS: one per group. HEAT: one per row and column, if they are the same things */

    /* HEAT: values[row * columns + column], shaded from 0 to the largest. NaN cells stay empty. */
    const double *values;
    int rows, columns;
    const char *const *row_names, *const *column_names; /* NULL: `names` */
    /* Values are counts, rows true classes, columns predicted ones: each cell is shaded by its share of the row,
     * right ones in one colour, mistakes in another and so that the rare ones can be seen. */
    bool confusion;

    /* PARALLEL: each row is a line across `columns` upright axes, at values[row * columns + column] of each; NaN breaks
     * it. `weights` (one per row, 0 to 1; NULL: alike) is how much a line stands out; 1 has a colour of its own. */
    const nacre_axis *axes;
    const double *weights;
} nacre_figure;

/* Appends one <svg> element. `embedded` leaves out the style sheet, which the report has once for all figures. */
NACRE_API nacre_status nacre_figure_svg(nacre_context *context, const nacre_figure *figure, bool embedded,
                                        nacre_buffer *out);
/* Appends a PNG file of `scale` (0: 2) dots per CSS pixel. NACRE_ERROR_UNSUPPORTED if built without cairo. */
NACRE_API nacre_status nacre_figure_png(nacre_context *context, const nacre_figure *figure, double scale,
                                        nacre_buffer *out);
/* To a file, whose name ends in .svg or .png. */
NACRE_API nacre_status nacre_figure_write(nacre_context *context, const nacre_figure *figure, const char *path);
/* Several as one picture, in rows of `columns`. */
NACRE_API nacre_status nacre_figures_write(nacre_context *context, const nacre_figure *figures, int count, int columns,
                                           const char *path);

/* ---- numbers as people read them --------------------------------------------------------------------------------- */

/* Into the caller's text, which is returned. */
#define NACRE_NUMBER_SIZE 32
NACRE_API char *nacre_text_duration(char text[NACRE_NUMBER_SIZE], double seconds); /* 7.4s, 3:05, 1:02:45, 2d 03:04 */
NACRE_API char *nacre_text_count(char text[NACRE_NUMBER_SIZE], int64_t count);     /* 1,234,567 */
NACRE_API char *nacre_text_quantity(char text[NACRE_NUMBER_SIZE], double value);   /* 847, 12.3k, 4.56M */
NACRE_API char *nacre_text_value(char text[NACRE_NUMBER_SIZE], double value);      /* 0.2143, 12.57, 3.1e-05, nan */

/* ---- the log of a run -------------------------------------------------------------------------------------------- */

/* log.jsonl: one JSON object per line (RFC 8259), appended and never rewritten.
 *
 *     {"event":"epoch","step":938,"time":1754049730.125,"epoch":2,"train.loss":0.31,"validation.accuracy":0.91}
 *
 * Keys are flat; `event`, `step` and `time` (seconds since 1970, UTC) lead. NaN and infinities, which JSON cannot
 * say, are the strings "NaN", "Infinity", "-Infinity". Doubles read back to the same bits.
 *
 * What survives: each record is one write to a file opened for appending, so a killed process loses no record that
 * nacre_run_log_append has returned from. nacre_run_log_sync (call it before each checkpoint is written) makes them
 * survive a power cut. A last line that a full disk or a power cut has torn is ignored when reading and cut off
 * when resuming; a bad line elsewhere is NACRE_ERROR_FORMAT with file:line. */
typedef struct nacre_run_log nacre_run_log;

typedef struct nacre_log_field {
    const char *key;
    double value;
    const char *text; /* not NULL: a string instead of the value */
} nacre_log_field;

/* `resume_step` < 0 starts an empty log, replacing one that is there. Otherwise the log goes on: records after that
 * step are cut, for the run repeats them (steps never decrease within a log); a missing file is an empty one. */
NACRE_API nacre_run_log *nacre_run_log_open(nacre_context *context, const char *path, int64_t resume_step);
NACRE_API nacre_status nacre_run_log_append(nacre_run_log *log, const char *event, int64_t step,
                                            const nacre_log_field *fields, int count);
NACRE_API nacre_status nacre_run_log_sync(nacre_run_log *log);
NACRE_API nacre_status nacre_run_log_close(nacre_run_log *log); /* syncs; NULL is fine */

/* A log read into memory. */
typedef struct nacre_run_history nacre_run_history;
NACRE_API nacre_run_history *nacre_run_history_read(nacre_context *context, const char *path);
NACRE_API void nacre_run_history_destroy(nacre_run_history *history);
NACRE_API int64_t nacre_run_history_count(const nacre_run_history *history); /* records */
/* The numbers under `key` in records of this event (NULL: of any), against those under `x_key` of the same records
 * ("step", "epoch", ...). Named `key`, ready to plot; x and y belong to the history, count is 0 if there are none. */
NACRE_API nacre_series nacre_run_history_series(nacre_run_history *history, const char *event, const char *x_key,
                                                const char *key);
/* The curves of a run, from its "epoch" records against their "epoch": a figure for each NAME that is logged as
 * "train.NAME" or "validation.NAME", loss first, and one for "learning_rate". `best_epoch` > 0 is marked. They belong
 * to the history; the count is 0 if there are none. */
NACRE_API const nacre_figure *nacre_run_history_curves(nacre_run_history *history, int64_t best_epoch, int *count);
/* The last string under `key`; NULL if there is none. Belongs to the history. */
NACRE_API const char *nacre_run_history_text(const nacre_run_history *history, const char *event, const char *key);

/* ---- progress ---------------------------------------------------------------------------------------------------- */

/* On a terminal one line that redraws itself, at most ten times a second:
 *
 *     epoch  3/12  ━━━━━━━━━━━╸────────────  47%  loss 0.2143  accuracy 0.9241  8.1k/s  0:52 left
 *
 * and elsewhere a plain line now and then (after 10 s, then each time a tenth of the elapsed time has passed, at
 * most 5 minutes). Both end an epoch with a line that stays:
 *
 *     epoch  3/12  loss 0.2107  accuracy 0.9247  validation loss 0.2511  validation accuracy 0.9137  7.4s  8.1k
 * samples/s
 *
 * On a narrow terminal what matters least is left out: further metrics, then the rate, the first metric, the time
 * left. Nothing is ever written but through `write`, and none of these calls can fail once the object is there. */
typedef struct nacre_progress nacre_progress;

typedef struct nacre_progress_options {
    void (*write)(void *user, const char *text, size_t size); /* required: to standard error, a window, ... */
    int (*columns)(void *user);                               /* width of the terminal now; NULL: 80 */
    double (*clock)(void *user);                              /* seconds; NULL: nacre_seconds */
    void *user;
    bool terminal; /* redraw one line, instead of plain lines */
    bool unicode;  /* the bar may use UTF-8, not only ASCII */
    bool color;    /* the bar may use the terminal's colours */
} nacre_progress_options;

/* Fills terminal, unicode and color from a file descriptor and the environment: isatty, TERM=dumb, NO_COLOR, and
 * the character set of LC_ALL, LC_CTYPE or LANG. */
NACRE_API void nacre_progress_detect(nacre_progress_options *options, int descriptor);
/* The width of the terminal behind a file descriptor now; 0 if it is none. */
NACRE_API int nacre_terminal_columns(int descriptor);

/* One number with its name, in the order to show them; NaN shows as "nan". */
typedef struct nacre_named_value {
    const char *name;
    double value;
} nacre_named_value;

/* Where the run is. `samples` counts those of the epoch so far: the rate is its moving average. */
typedef struct nacre_progress_state {
    const char *phase;               /* NULL: "epoch"; e.g. "validation" shows while that is measured */
    const char *unit;                /* what is counted; NULL: "epoch". "fold", "trial": everything below is of one */
    int64_t epoch, epochs;           /* from 1; epochs 0: unknown */
    int64_t step, steps;             /* done in this epoch; steps 0: unknown, no bar */
    int64_t samples;                 /* done in this epoch */
    const nacre_named_value *values; /* running loss first, then metrics */
    int value_count;
} nacre_progress_state;

NACRE_API nacre_progress *nacre_progress_create(nacre_context *context, const nacre_progress_options *options);
NACRE_API void nacre_progress_destroy(nacre_progress *progress); /* takes an unfinished bar away */
/* Cheap to call after every step: it draws only when it is time. */
NACRE_API void nacre_progress_update(nacre_progress *progress, const nacre_progress_state *state);
/* The line that stays; `note` ("best") may be NULL. */
NACRE_API void nacre_progress_finish_epoch(nacre_progress *progress, const nacre_progress_state *state,
                                           const char *note);
/* A line of its own above the bar: log messages, warnings. */
NACRE_API void nacre_progress_say(nacre_progress *progress, const char *line);

/* ---- the report -------------------------------------------------------------------------------------------------- */

/* One HTML file that needs nothing else: no script, no font, no network. It follows the light or dark scheme, reads
 * on a phone and on paper, and stays below about a megabyte: pictures are scaled down, tables cut with a note. */
typedef struct nacre_fact {
    const char *name, *value;
} nacre_fact;

typedef struct nacre_report_sample {
    nacre_image image;        /* borrowed; without pixels (or in a build without libpng) there is no picture */
    int64_t truth, predicted; /* classes; truth < 0: not known */
    double probability;       /* of the predicted class; NaN: not known */
    const char *name;         /* file or number; may be NULL */
} nacre_report_sample;

typedef struct nacre_report_layer {
    const char *path, *kind, *output; /* "conv1", "conv2d 32 5x5", "[32, 24, 24]" */
    int64_t parameters;
} nacre_report_layer;

/* A table of its own section: what was tried, what each fold gave. */
typedef struct nacre_report_table {
    const char *title, *remark; /* remark may be NULL */
    const char *const *columns;
    int column_count, row_count;
    const char *const *cells; /* row after row; those that are numbers stand on the right */
    int marked;               /* a row to stand out, from 1; 0: none */
} nacre_report_table;

/* Everything is optional; sections without content are left out. All pointers are borrowed for the call. */
typedef struct nacre_report {
    const char *title, *subtitle;
    const nacre_fact *summary; /* the figures that count, at the top: accuracy, loss, time, parameters, seed */
    int summary_count;
    const char *const *notes; /* sentences below them: how it was measured, what went wrong */
    int note_count;
    const nacre_figure *figures; /* curves */
    int figure_count;
    const nacre_report_table *tables;
    int table_count;
    const nacre_confusion *confusion;    /* matrix, most confused pairs, scores per class */
    const char *const *class_names;      /* as many as classes; NULL: numbers */
    int64_t class_count;                 /* of class_names */
    const nacre_report_sample *samples;  /* some predictions */
    int sample_count;                    /* the first 48 are shown */
    const nacre_report_sample *mistakes; /* the most confident ones first */
    int mistake_count;                   /* the first 24 are shown */
    const nacre_report_layer *layers;
    int layer_count;
    const char *settings;          /* the recipe as text */
    const nacre_fact *environment; /* in addition to version, processor, threads and date */
    int environment_count;
    int64_t time; /* seconds since 1970; 0: now */
} nacre_report;

/* Gathers the predictions to show while a model is evaluated:
 *
 *     nacre_gallery *gallery = nacre_gallery_create(ctx, test, 24, 24);
 *     nacre_evaluate_options evaluate = {..., .dataset = test, .visit = nacre_gallery_visit, .visit_user = gallery};
 *     if (!nacre_evaluate(ctx, &evaluate, &result) && !nacre_gallery_show(gallery, &report))
 *         nacre_report_write(ctx, &report, "report.html");
 *     nacre_gallery_destroy(gallery);
 *
 * `samples` predictions are spread over the data set, one drawn from each of so many stretches; `mistakes` are those in
 * which the wrong class got the highest probability. The data set must outlive the gallery. */
typedef struct nacre_gallery nacre_gallery;
NACRE_API nacre_gallery *nacre_gallery_create(nacre_context *context, const nacre_dataset *dataset, int samples,
                                              int mistakes);
NACRE_API void nacre_gallery_destroy(nacre_gallery *gallery);
/* One batch: outputs are logits [count, columns], one per class, or one per sample for two classes; labels are those
 * of the batch's field of that role, unknown without one. */
NACRE_API nacre_status nacre_gallery_visit(void *gallery, const nacre_batch *batch, const float *outputs,
                                           int64_t columns);
/* Sets the report's samples, mistakes and class names. Pictures are taken from the data set as they are, before any
 * transform. What the report points to belongs to the gallery. */
NACRE_API nacre_status nacre_gallery_show(nacre_gallery *gallery, nacre_report *report);

/* Appends the document. */
NACRE_API nacre_status nacre_report_html(nacre_context *context, const nacre_report *report, nacre_buffer *out);
/* Writes it to a file at once or not at all. */
NACRE_API nacre_status nacre_report_write(nacre_context *context, const nacre_report *report, const char *path);

#ifdef __cplusplus
}
#endif

#endif

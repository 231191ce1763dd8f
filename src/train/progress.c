/* train/progress.c - the line that says how far a run is. */
#include "train/plot.h"

#include <math.h>
#include <stdlib.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <sys/ioctl.h>
#include <unistd.h>

static const double redraw_interval = 0.1, rate_interval = 0.25, rate_memory = 4;
static const double first_plain = 10, longest_silence = 300;

enum { LONGEST_LINE = 2400, MOST_PIECES = 24, PIECE_SIZE = 96, WIDEST_BAR = 32, NARROWEST_BAR = 10 };

struct nacre_progress {
    nacre_context *context;
    nacre_progress_options options;
    bool drawn; /* a bar stands on the terminal */
    double start, last_draw, next_plain;

    /* The moving average of samples per second, since when and from how many it is being measured. */
    double rate, rate_time;
    int64_t rate_samples;
    int64_t epoch;
    bool in_phase;

    /* Whole epochs, with validation and all, for the time left. */
    double epoch_start, epochs_seconds;
    int64_t epochs_finished;
};

/* ---- terminals ---- */

int nacre_terminal_columns(int descriptor)
{
    struct winsize size;
    if (!isatty(descriptor) || ioctl(descriptor, TIOCGWINSZ, &size) != 0) return 0;
    return size.ws_col;
}

static bool locale_is_utf8(void)
{
    static const char *const variables[] = {"LC_ALL", "LC_CTYPE", "LANG"};
    for (int i = 0; i < 3; i++) {
        const char *value = getenv(variables[i]);
        if (value && *value) return strcasestr(value, "utf-8") || strcasestr(value, "utf8");
    }
    return false;
}

void nacre_progress_detect(nacre_progress_options *options, int descriptor)
{
    const char *terminal = getenv("TERM"), *no_color = getenv("NO_COLOR");
    options->terminal = isatty(descriptor) && terminal && *terminal && strcmp(terminal, "dumb") != 0;
    options->unicode = locale_is_utf8();
    options->color = options->terminal && !(no_color && *no_color);
}

/* ---- creation ---- */

static double time_now(const nacre_progress *progress)
{
    return progress->options.clock ? progress->options.clock(progress->options.user) : nacre_seconds();
}

nacre_progress *nacre_progress_create(nacre_context *context, const nacre_progress_options *options)
{
    if (!options || !options->write) {
        nacre_fail(context, NACRE_ERROR_ARGUMENT, "progress: there is no function to write with");
        return NULL;
    }
    nacre_progress *progress = nacre_allocate(context, sizeof *progress);
    if (!progress) return NULL;
    *progress = (nacre_progress){.context = context, .options = *options, .rate = NAN};
    progress->start = progress->epoch_start = progress->rate_time = time_now(progress);
    progress->last_draw = progress->start - redraw_interval;
    progress->next_plain = progress->start + first_plain;
    return progress;
}

static void put(nacre_progress *progress, const char *text)
{
    progress->options.write(progress->options.user, text, strlen(text));
}

static void take_bar_away(nacre_progress *progress)
{
    if (progress->drawn) put(progress, "\r\x1b[K");
    progress->drawn = false;
}

void nacre_progress_destroy(nacre_progress *progress)
{
    if (!progress) return;
    take_bar_away(progress);
    nacre_release(progress->context, progress);
}

/* ---- lines ---- */

typedef struct text_line {
    char text[LONGEST_LINE];
    size_t used;
} text_line;

/* What does not fit is cut; the fixed room means that showing progress cannot run out of memory. */
static void append(text_line *line, const char *format, ...) NACRE_PRINTF(2, 3);
static void append(text_line *line, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    int length = vsnprintf(line->text + line->used, LONGEST_LINE - line->used, format, arguments);
    va_end(arguments);
    size_t left = LONGEST_LINE - 1 - line->used;
    if (length > 0) line->used += (size_t)length < left ? (size_t)length : left;
}

/* ---- pieces of a line ---- */

/* The line's words in the order they are shown, each with how gladly it is given up (0: never) when there is no room.
 */
typedef struct line_pieces {
    struct {
        char text[PIECE_SIZE];
        int rank;
    } items[MOST_PIECES];
    int count;
} line_pieces;

/* What comes first when there is room for some only. */
enum { RANK_ALWAYS, RANK_PERCENT, RANK_LOSS, RANK_LEFT, RANK_METRIC, RANK_RATE, RANK_MORE_METRICS };

static void add_piece(line_pieces *pieces, int rank, const char *format, ...) NACRE_PRINTF(3, 4);
static void add_piece(line_pieces *pieces, int rank, const char *format, ...)
{
    if (pieces->count == MOST_PIECES) return;
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(pieces->items[pieces->count].text, PIECE_SIZE, format, arguments);
    va_end(arguments);
    pieces->items[pieces->count++].rank = rank;
}

static int column_count(const char *text)
{
    int columns = 0;
    uint32_t code;
    for (size_t length; (length = nc_utf8_next(text, &code)) > 0; text += length) columns++;
    return columns;
}

/* "epoch  3/12": the number is padded so that the line does not jump. */
static void add_head(line_pieces *pieces, const nacre_progress_state *state)
{
    char phase[NC_FITTED_SIZE], total[NACRE_NUMBER_SIZE] = "";
    nc_text_fit(phase, state->phase ? state->phase : state->unit ? state->unit : "epoch", 1, 16);
    int digits = state->epochs > 0 ? snprintf(total, sizeof total, "/%lld", (long long)state->epochs) - 1 : 0;
    add_piece(pieces, RANK_ALWAYS, "%s %*lld%s", phase, digits, (long long)state->epoch, total);
}

static void add_values(line_pieces *pieces, const nacre_progress_state *state, bool all)
{
    for (int i = 0; i < state->value_count; i++) {
        char name[NC_FITTED_SIZE], value[NACRE_NUMBER_SIZE];
        nc_text_fit(name, state->values[i].name, 1, 24);
        int rank = all ? RANK_ALWAYS : i == 0 ? RANK_LOSS : i == 1 ? RANK_METRIC : RANK_MORE_METRICS;
        add_piece(pieces, rank, "%s %s", name, nacre_text_value(value, state->values[i].value));
    }
}

/* Short on the bar, in words on lines that stay. */
static void add_rate(line_pieces *pieces, double rate, bool bar)
{
    char text[NACRE_NUMBER_SIZE];
    if (rate > 0)
        add_piece(pieces, bar ? RANK_RATE : RANK_ALWAYS, "%s%s/s", nacre_text_quantity(text, rate),
                  bar ? "" : " samples");
}

/* ---- rate and time left ---- */

static void restart_rate(nacre_progress *progress, const nacre_progress_state *state, double now)
{
    progress->rate_time = now;
    progress->rate_samples = state->samples;
    progress->epoch = state->epoch;
    progress->in_phase = state->phase != NULL;
}

static void update_rate(nacre_progress *progress, const nacre_progress_state *state, double now)
{
    double seconds = now - progress->rate_time;
    bool elsewhere = state->epoch != progress->epoch || (state->phase != NULL) != progress->in_phase ||
                     state->samples < progress->rate_samples;
    if (elsewhere) {
        restart_rate(progress, state, now);
        return;
    }
    if (seconds < rate_interval) return;
    double current = (double)(state->samples - progress->rate_samples) / seconds;
    /* The weight of what is older falls by e in `rate_memory` seconds; phases have a rate of their own. */
    if (!progress->in_phase)
        progress->rate = isnan(progress->rate)
                             ? current
                             : progress->rate + (1 - exp(-seconds / rate_memory)) * (current - progress->rate);
    restart_rate(progress, state, now);
}

/* Seconds until the last epoch ends, NAN if that cannot be told. */
static double time_left(const nacre_progress *progress, const nacre_progress_state *state)
{
    if (state->phase || state->steps <= 0 || state->step <= 0 || !(progress->rate > 0)) return NAN;
    double step_seconds = (double)state->samples / (double)state->step / progress->rate;
    double epoch_seconds = progress->epochs_finished > 0 ? progress->epochs_seconds / (double)progress->epochs_finished
                                                         : step_seconds * (double)state->steps;
    double epochs = (double)(state->epochs > state->epoch ? state->epochs - state->epoch : 0);
    return step_seconds * (double)(state->steps - state->step) + epochs * epoch_seconds;
}

/* ---- drawing ---- */

static double share_done(const nacre_progress_state *state)
{
    return state->steps > 0 ? fmin(fmax((double)state->step / (double)state->steps, 0), 1) : 0;
}

static void append_ascii_bar(text_line *line, int width, double share)
{
    int filled = (int)(share * (width - 2));
    append(line, "[");
    for (int i = 0; i < width - 2; i++) append(line, i < filled ? "=" : i == filled ? ">" : " ");
    append(line, "]");
}

/* Moves by half columns; without colours the rest is a thinner line. */
static void append_unicode_bar(text_line *line, int width, double share, bool color)
{
    int halves = (int)(share * 2 * width), filled = halves / 2;
    if (color) append(line, "\x1b[36m");
    for (int i = 0; i < filled; i++) append(line, "━");
    if (halves % 2) append(line, "╸");
    if (color) append(line, "\x1b[0;2m");
    for (int i = filled + halves % 2; i < width; i++) append(line, color ? "━" : "─");
    if (color) append(line, "\x1b[0m");
}

/* Leaves in what has room, by rank; returns the columns taken. */
static int choose_pieces(const line_pieces *pieces, int room, bool chosen[MOST_PIECES])
{
    int used = 0;
    for (int rank = RANK_ALWAYS; rank <= RANK_MORE_METRICS; rank++)
        for (int i = 0; i < pieces->count; i++) {
            if (pieces->items[i].rank != rank) continue;
            int needed = column_count(pieces->items[i].text) + (used ? 2 : 0);
            chosen[i] = rank == RANK_ALWAYS || used + needed <= room;
            if (chosen[i]) used += needed;
        }
    return used;
}

static void draw_terminal(nacre_progress *progress, const nacre_progress_state *state, const line_pieces *pieces)
{
    const nacre_progress_options *options = &progress->options;
    int columns = options->columns ? options->columns(options->user) : 80;
    if (columns <= 0) columns = 80;
    int room = columns - 1; /* the last column is where terminals wrap */
    int reserved = state->steps > 0 && room >= 48 ? NARROWEST_BAR + 2 : 0;
    bool chosen[MOST_PIECES] = {false};
    int used = choose_pieces(pieces, room - reserved, chosen);
    int bar = (int)fmin(room - used - 2, WIDEST_BAR);

    text_line line = {.used = 0};
    append(&line, "\r");
    for (int i = 0; i < pieces->count; i++) {
        if (!chosen[i]) continue;
        append(&line, "%s%s", i ? "  " : "", pieces->items[i].text);
        if (i > 0 || state->steps <= 0 || bar < NARROWEST_BAR) continue;
        append(&line, "  ");
        if (options->unicode)
            append_unicode_bar(&line, bar, share_done(state), options->color);
        else
            append_ascii_bar(&line, bar, share_done(state));
    }
    append(&line, "\x1b[K");
    put(progress, line.text);
    progress->drawn = true;
}

static void draw_plain(nacre_progress *progress, const line_pieces *pieces)
{
    text_line line = {.used = 0};
    for (int i = 0; i < pieces->count; i++) append(&line, "%s%s", i ? "  " : "", pieces->items[i].text);
    put(progress, line.text);
    put(progress, "\n");
}

void nacre_progress_update(nacre_progress *progress, const nacre_progress_state *state)
{
    if (!progress || !state) return;
    double now = time_now(progress);
    update_rate(progress, state, now);
    bool terminal = progress->options.terminal;
    if (terminal ? now - progress->last_draw < redraw_interval : now < progress->next_plain) return;

    line_pieces pieces = {.count = 0};
    add_head(&pieces, state);
    if (!terminal && state->steps > 0)
        add_piece(&pieces, RANK_ALWAYS, "step %lld/%lld", (long long)state->step, (long long)state->steps);
    if (state->steps > 0) add_piece(&pieces, RANK_PERCENT, "%3d%%", (int)(100 * share_done(state)));
    add_values(&pieces, state, false);
    if (!state->phase) add_rate(&pieces, progress->rate, terminal);
    double left = time_left(progress, state);
    char text[NACRE_NUMBER_SIZE];
    if (!isnan(left)) add_piece(&pieces, RANK_LEFT, "%s left", nacre_text_duration(text, left));

    if (terminal)
        draw_terminal(progress, state, &pieces);
    else
        draw_plain(progress, &pieces);
    progress->last_draw = now;
    progress->next_plain = now + fmin(fmax(first_plain, (now - progress->start) / 10), longest_silence);
}

void nacre_progress_finish_epoch(nacre_progress *progress, const nacre_progress_state *state, const char *note)
{
    if (!progress || !state) return;
    double now = time_now(progress), seconds = now - progress->epoch_start;
    progress->epochs_seconds += seconds;
    progress->epochs_finished++;
    progress->epoch_start = now;

    line_pieces pieces = {.count = 0};
    char text[NACRE_NUMBER_SIZE], clean[NC_FITTED_SIZE];
    add_head(&pieces, state);
    add_values(&pieces, state, true);
    add_piece(&pieces, RANK_ALWAYS, "%s", nacre_text_duration(text, seconds));
    add_rate(&pieces, isnan(progress->rate) ? (double)state->samples / seconds : progress->rate, false);
    if (note) add_piece(&pieces, RANK_ALWAYS, "%s", nc_text_fit(clean, note, 1, 40));
    take_bar_away(progress);
    draw_plain(progress, &pieces);
    progress->last_draw = now - redraw_interval;
    progress->next_plain = now + fmin(fmax(first_plain, (now - progress->start) / 10), longest_silence);
}

void nacre_progress_say(nacre_progress *progress, const char *line)
{
    if (!progress || !line) return;
    take_bar_away(progress);
    put(progress, line);
    put(progress, "\n");
    progress->last_draw -= redraw_interval; /* the bar comes back at once */
}

/* train/runlog.c - the append-only log of a run, and reading it back. */
#include "train/plot.h"

#include <cJSON.h>

#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

/* ---- records ---- */

/* What JSON has no number for. */
static const struct {
    const char *text;
    double value;
} special_numbers[] = {{"NaN", NAN}, {"Infinity", INFINITY}, {"-Infinity", -INFINITY}};

static const char *special_text(double value)
{
    return isnan(value) ? "NaN" : isinf(value) ? (value > 0 ? "Infinity" : "-Infinity") : NULL;
}

/* Whether the item stands for a number, and which. */
static bool read_number(const cJSON *item, double *value)
{
    if (cJSON_IsNumber(item)) {
        *value = item->valuedouble;
        return true;
    }
    for (size_t i = 0; cJSON_IsString(item) && i < sizeof special_numbers / sizeof *special_numbers; i++) {
        if (strcmp(item->valuestring, special_numbers[i].text) != 0) continue;
        *value = special_numbers[i].value;
        return true;
    }
    return false;
}

static bool is_blank(const char *text, const char *end)
{
    while (text < end && strchr(" \t\r\n", *text) && *text) text++;
    return text == end;
}

/* One line as an object; NULL if it is none. */
static cJSON *parse_record(const char *line, const char *end)
{
    const char *stopped = line;
    cJSON *record = cJSON_ParseWithLengthOpts(line, (size_t)(end - line), &stopped, false);
    if (cJSON_IsObject(record) && is_blank(stopped, end)) return record;
    cJSON_Delete(record);
    return NULL;
}

/* Calls `take` for each record, which becomes its own, with the bytes of the log before and up to the end of its line,
 * until it returns false. A last line that is torn ends the log. */
static nacre_status scan_records(nacre_context *context, const char *path, const char *text, size_t size,
                                 bool (*take)(void *user, cJSON *record, size_t before, size_t end), void *user)
{
    const char *end = text + size, *line = text, *next;
    for (int number = 1; line < end; line = next, number++) {
        const char *stop = memchr(line, '\n', (size_t)(end - line));
        if (!stop) return NACRE_OK; /* torn: a record is written together with its end of line */
        next = stop + 1;
        if (is_blank(line, stop)) continue;
        cJSON *record = parse_record(line, stop);
        if (!record && is_blank(next, end)) return NACRE_OK;
        if (!record)
            return nacre_fail(context, NACRE_ERROR_FORMAT, "%s:%d: not a JSON object: %.*s", path, number,
                              (int)(stop - line < 60 ? stop - line : 60), line);
        if (!take(user, record, (size_t)(line - text), (size_t)(next - text))) return nacre_check(context);
    }
    return NACRE_OK;
}

/* ---- writing ---- */

struct nacre_run_log {
    nacre_context *context;
    char *path;
    int file;
    int64_t size, last_step;
};

/* What of a log stays: `size` bytes, up to the first record after `step`. */
typedef struct log_cut {
    int64_t step, last_step;
    size_t size;
} log_cut;

static bool find_cut(void *user, cJSON *record, size_t before, size_t end)
{
    log_cut *cut = user;
    double step = 0;
    read_number(cJSON_GetObjectItemCaseSensitive(record, "step"), &step);
    cJSON_Delete(record);
    bool stays = step <= (double)cut->step;
    cut->size = stays ? end : before;
    if (stays) cut->last_step = (int64_t)step;
    return stays;
}

static nacre_status find_kept(nacre_run_log *log, int64_t resume_step)
{
    size_t size;
    char *text = nacre_file_read(log->context, log->path, 0, &size);
    if (!text) return nacre_check(log->context);
    log_cut cut = {.step = resume_step};
    nacre_status status = scan_records(log->context, log->path, text, size, find_cut, &cut);
    log->size = (int64_t)cut.size;
    log->last_step = cut.last_step;
    nacre_release(log->context, text);
    return status;
}

static nacre_status fail_errno(nacre_run_log *log, const char *verb)
{
    return nacre_fail(log->context, NACRE_ERROR_IO, "cannot %s '%s': %s", verb, log->path, strerror(errno));
}

static nacre_status open_log(nacre_run_log *log, int64_t resume_step)
{
    if (resume_step >= 0 && nacre_path_exists(log->path)) {
        nacre_status status = find_kept(log, resume_step);
        if (status) return status;
    }
    log->file = open(log->path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0666);
    if (log->file < 0) return fail_errno(log, "open");
    if (ftruncate(log->file, log->size) != 0) return fail_errno(log, "cut");
    return nacre_run_log_sync(log);
}

static void free_log(nacre_run_log *log)
{
    if (log->file >= 0) close(log->file);
    nacre_release(log->context, log->path);
    nacre_release(log->context, log);
}

nacre_run_log *nacre_run_log_open(nacre_context *context, const char *path, int64_t resume_step)
{
    nacre_run_log *log = nacre_allocate(context, sizeof *log);
    if (!log) return NULL;
    *log = (nacre_run_log){.context = context, .path = nacre_duplicate(context, path), .file = -1};
    if (log->path && open_log(log, resume_step) == NACRE_OK) return log;
    free_log(log);
    return NULL;
}

/* JSON is UTF-8, whatever the text is. */
static void put_quoted(nacre_buffer *line, const char *text)
{
    nacre_buffer clean = nacre_buffer_create(line->context);
    nc_put_clean(&clean, text);
    if (!clean.failed) nacre_buffer_quote(line, clean.data ? clean.data : "");
    line->failed |= clean.failed;
    nacre_buffer_destroy(&clean);
}

static void put_field(nacre_buffer *line, const nacre_log_field *field)
{
    const char *text = field->text ? field->text : special_text(field->value);
    nacre_buffer_put(line, ",", 1);
    put_quoted(line, field->key);
    nacre_buffer_put(line, ":", 1);
    if (text)
        put_quoted(line, text);
    else
        nacre_buffer_number(line, field->value);
}

static double wall_clock(void)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    return (double)now.tv_sec + floor((double)now.tv_nsec / 1e6) / 1e3;
}

/* All of it or nothing: what a full disk has cut short is taken back. */
static nacre_status write_line(nacre_run_log *log, const char *line, size_t size)
{
    for (size_t done = 0; done < size;) {
        ssize_t written = write(log->file, line + done, size - done);
        if (written < 0 && errno == EINTR) continue;
        if (written < 0) {
            nacre_status status = fail_errno(log, "write");
            if (ftruncate(log->file, log->size) != 0) fail_errno(log, "cut");
            return status;
        }
        done += (size_t)written;
    }
    log->size += (int64_t)size;
    return NACRE_OK;
}

nacre_status nacre_run_log_append(nacre_run_log *log, const char *event, int64_t step, const nacre_log_field *fields,
                                  int count)
{
    if (!log) return NACRE_ERROR_ARGUMENT;
    if (step < log->last_step)
        return nacre_fail(log->context, NACRE_ERROR_ARGUMENT, "%s: record of step %lld after one of step %lld",
                          log->path, (long long)step, (long long)log->last_step);
    nacre_buffer line = nacre_buffer_create(log->context);
    nacre_buffer_print(&line, "{\"event\":");
    put_quoted(&line, event);
    put_field(&line, &(nacre_log_field){.key = "step", .value = (double)step});
    put_field(&line, &(nacre_log_field){.key = "time", .value = wall_clock()});
    for (int i = 0; i < count; i++) put_field(&line, &fields[i]);
    nacre_buffer_print(&line, "}\n");
    nacre_status status = line.failed ? NACRE_ERROR_MEMORY : write_line(log, line.data, line.size);
    nacre_buffer_destroy(&line);
    if (!status) log->last_step = step;
    return status;
}

nacre_status nacre_run_log_sync(nacre_run_log *log)
{
    if (!log) return NACRE_ERROR_ARGUMENT;
    /* Pipes and the like cannot be synced and need not be. */
    return fsync(log->file) == 0 || errno == EINVAL || errno == EROFS ? NACRE_OK : fail_errno(log, "sync");
}

nacre_status nacre_run_log_close(nacre_run_log *log)
{
    if (!log) return NACRE_OK;
    nacre_status status = nacre_run_log_sync(log);
    free_log(log);
    return status;
}

/* ---- reading ---- */

/* Memory of one series that was asked for: its name, x and y. */
typedef struct series_block {
    struct series_block *next;
    double *numbers;
    char *name;
} series_block;

struct nacre_run_history {
    nacre_context *context;
    cJSON **records;
    int64_t count, capacity;
    series_block *blocks;
};

static bool keep_record(void *user, cJSON *record, size_t before, size_t end)
{
    (void)before, (void)end;
    nacre_run_history *history = user;
    if (history->count == history->capacity) {
        int64_t capacity = history->capacity ? 2 * history->capacity : 64;
        cJSON **records = nacre_resize(history->context, history->records, (size_t)capacity * sizeof *records);
        if (!records) {
            cJSON_Delete(record);
            return false;
        }
        history->records = records;
        history->capacity = capacity;
    }
    history->records[history->count++] = record;
    return true;
}

nacre_run_history *nacre_run_history_read(nacre_context *context, const char *path)
{
    nacre_run_history *history = nacre_allocate(context, sizeof *history);
    if (!history) return NULL;
    history->context = context;
    size_t size;
    char *text = nacre_file_read(context, path, 0, &size);
    bool done = text && scan_records(context, path, text, size, keep_record, history) == NACRE_OK;
    nacre_release(context, text);
    if (done) return history;
    nacre_run_history_destroy(history);
    return NULL;
}

static void free_block(nacre_context *context, series_block *block)
{
    nacre_release(context, block->name);
    nacre_release(context, block->numbers);
    nacre_release(context, block);
}

void nacre_run_history_destroy(nacre_run_history *history)
{
    if (!history) return;
    for (int64_t i = 0; i < history->count; i++) cJSON_Delete(history->records[i]);
    for (series_block *block = history->blocks, *next; block; block = next) {
        next = block->next;
        free_block(history->context, block);
    }
    nacre_release(history->context, history->records);
    nacre_release(history->context, history);
}

int64_t nacre_run_history_count(const nacre_run_history *history)
{
    return history ? history->count : 0;
}

static bool is_event(const cJSON *record, const char *event)
{
    const char *name = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(record, "event"));
    return !event || (name && strcmp(name, event) == 0);
}

/* Fills x and y unless they are NULL; returns how many points there are. */
static int64_t gather(const nacre_run_history *history, const char *event, const char *x_key, const char *key,
                      double *x, double *y)
{
    int64_t count = 0;
    for (int64_t i = 0; i < history->count; i++) {
        const cJSON *record = history->records[i];
        double at, value;
        if (!is_event(record, event) || !read_number(cJSON_GetObjectItemCaseSensitive(record, x_key), &at) ||
            !read_number(cJSON_GetObjectItemCaseSensitive(record, key), &value))
            continue;
        if (x) {
            x[count] = at;
            y[count] = value;
        }
        count++;
    }
    return count;
}

nacre_series nacre_run_history_series(nacre_run_history *history, const char *event, const char *x_key, const char *key)
{
    if (!history) return (nacre_series){0};
    nacre_context *context = history->context;
    int64_t count = gather(history, event, x_key, key, NULL, NULL);
    series_block *block = nacre_allocate(context, sizeof *block);
    if (!block) return (nacre_series){0};
    block->name = nacre_duplicate(context, key);
    block->numbers = nacre_allocate(context, 2 * (size_t)count * sizeof(double));
    if (!block->name || !block->numbers) {
        free_block(context, block);
        return (nacre_series){0};
    }
    gather(history, event, x_key, key, block->numbers, block->numbers + count);
    block->next = history->blocks;
    history->blocks = block;
    return (nacre_series){.name = block->name, .x = block->numbers, .y = block->numbers + count, .count = count};
}

const char *nacre_run_history_text(const nacre_run_history *history, const char *event, const char *key)
{
    for (int64_t i = nacre_run_history_count(history); i-- > 0;) {
        const cJSON *record = history->records[i];
        const char *text = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(record, key));
        if (text && is_event(record, event)) return text;
    }
    return NULL;
}

/* train/runlog.c - the append-only log of a run. */
#include "train/runlog.h"

#include "train/appender.h"
#include "train/plot.h"

#include <math.h>
#include <string.h>
#include <time.h>

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

bool nc_read_number(const cJSON *item, double *value)
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

nacre_status nc_scan_records(nacre_context *context, const char *path, const char *text, size_t size,
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
    nc_appender file;
    int64_t last_step;
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
    nc_read_number(cJSON_GetObjectItemCaseSensitive(record, "step"), &step);
    cJSON_Delete(record);
    bool stays = step <= (double)cut->step;
    cut->size = stays ? end : before;
    if (stays) cut->last_step = (int64_t)step;
    return stays;
}

/* How many bytes of the file stay. */
static nacre_status find_kept(nacre_run_log *log, const char *path, int64_t resume_step, int64_t *kept)
{
    size_t size;
    *kept = 0;
    if (resume_step < 0 || !nacre_path_exists(path)) return NACRE_OK;
    char *text = nacre_file_read(log->context, path, 0, &size);
    if (!text) return nacre_check(log->context);
    log_cut cut = {.step = resume_step};
    nacre_status status = nc_scan_records(log->context, path, text, size, find_cut, &cut);
    *kept = (int64_t)cut.size;
    log->last_step = cut.last_step;
    nacre_release(log->context, text);
    return status;
}

static void free_log(nacre_run_log *log)
{
    nc_appender_close(&log->file);
    nacre_release(log->context, log);
}

nacre_run_log *nacre_run_log_open(nacre_context *context, const char *path, int64_t resume_step)
{
    nacre_run_log *log = nacre_allocate(context, sizeof *log);
    int64_t kept;
    if (!log) return NULL;
    *log = (nacre_run_log){.context = context, .file = {.context = context, .file = -1}};
    if (find_kept(log, path, resume_step, &kept) == NACRE_OK &&
        nc_appender_open(&log->file, context, path, kept) == NACRE_OK)
        return log;
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

nacre_status nacre_run_log_append(nacre_run_log *log, const char *event, int64_t step, const nacre_log_field *fields,
                                  int count)
{
    if (!log) return NACRE_ERROR_ARGUMENT;
    if (step < log->last_step)
        return nacre_fail(log->context, NACRE_ERROR_ARGUMENT, "%s: record of step %lld after one of step %lld",
                          log->file.path, (long long)step, (long long)log->last_step);
    nacre_buffer line = nacre_buffer_create(log->context);
    nacre_buffer_print(&line, "{\"event\":");
    put_quoted(&line, event);
    put_field(&line, &(nacre_log_field){.key = "step", .value = (double)step});
    put_field(&line, &(nacre_log_field){.key = "time", .value = wall_clock()});
    for (int i = 0; i < count; i++) put_field(&line, &fields[i]);
    nacre_buffer_print(&line, "}\n");
    nacre_status status = line.failed ? NACRE_ERROR_MEMORY : nc_append(&log->file, line.data, line.size);
    nacre_buffer_destroy(&line);
    if (!status) log->last_step = step;
    return status;
}

nacre_status nacre_run_log_sync(nacre_run_log *log)
{
    return log ? nc_appender_sync(&log->file) : NACRE_ERROR_ARGUMENT;
}

nacre_status nacre_run_log_close(nacre_run_log *log)
{
    if (!log) return NACRE_OK;
    nacre_status status = nacre_run_log_sync(log);
    free_log(log);
    return status;
}

/* train/runlog.c - the append-only log of a run. */
#include "train/runlog.h"

#include "train/plot.h"

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
    nc_read_number(cJSON_GetObjectItemCaseSensitive(record, "step"), &step);
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
    nacre_status status = nc_scan_records(log->context, log->path, text, size, find_cut, &cut);
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

/* train/csv_log.c - the record of each epoch as a row of a table. */
#include "train/appender.h"
#include "train/train.h"

#include <nacre/io.h>

#include <stdlib.h>
#include <string.h>

typedef struct csv_log {
    nacre_context *context;
    char *path;
    nc_appender file;
    char *header; /* of the file, with its end of line; NULL: none yet */
} csv_log;

/* ---- going on ---- */

/* The bytes up to the first row of a later step, or that is torn. Rows begin with "epoch,step,". */
static int64_t find_kept(const char *text, int64_t step)
{
    const char *end = strchr(text, '\n');
    while (end) {
        const char *row = end + 1, *comma = strchr(row, ','), *next = strchr(row, '\n');
        if (!next || !comma || comma > next || strtoll(comma + 1, NULL, 10) > step) return row - text;
        end = next;
    }
    return 0;
}

/* Reads what an interrupted run has left; 0 bytes stay where there is no whole header. */
static nacre_status read_file(csv_log *log, int64_t step, int64_t *kept)
{
    size_t size;
    *kept = 0;
    if (!nacre_path_exists(log->path)) return NACRE_OK;
    char *text = nacre_file_read(log->context, log->path, 0, &size);
    if (!text) return nacre_check(log->context);
    *kept = find_kept(text, step);
    if (*kept > 0) {
        strchr(text, '\n')[1] = 0;
        log->header = nacre_duplicate(log->context, text);
    }
    nacre_release(log->context, text);
    return nacre_check(log->context);
}

static nacre_status open_file(csv_log *log, const nacre_fit_event *event)
{
    int64_t kept = 0;
    if (event->resumed && read_file(log, event->step, &kept)) return nacre_check(log->context);
    return nc_appender_open(&log->file, log->context, log->path, kept);
}

/* ---- rows ---- */

static void put_header(nacre_buffer *text, const nc_event_fields *fields)
{
    nacre_buffer_print(text, "%s,step", fields->names[0]);
    for (int i = 1; i < fields->count; i++) nacre_buffer_print(text, ",%s", fields->names[i]);
    nacre_buffer_print(text, "\n");
}

static void put_row(nacre_buffer *text, const nc_event_fields *fields, int64_t step)
{
    nacre_buffer_number(text, fields->values[0]);
    nacre_buffer_print(text, ",%lld", (long long)step);
    for (int i = 1; i < fields->count; i++) {
        nacre_buffer_put(text, ",", 1);
        nacre_buffer_number(text, fields->values[i]);
    }
    nacre_buffer_print(text, "\n");
}

/* A row under a header that says something else would be a lie. */
static nacre_status check_header(csv_log *log, const nacre_buffer *header)
{
    if (!log->header) {
        log->header = nacre_duplicate(log->context, header->data);
        return log->header ? nc_append(&log->file, header->data, header->size) : NACRE_ERROR_MEMORY;
    }
    if (!strcmp(log->header, header->data)) return NACRE_OK;
    return nacre_fail(log->context, NACRE_ERROR_STATE,
                      "%s: its columns are %.*s, this run's %.*s; move the file away or resume with the same metrics",
                      log->path, (int)strcspn(log->header, "\n"), log->header, (int)strcspn(header->data, "\n"),
                      header->data);
}

static nacre_status append_epoch(csv_log *log, const nacre_fit_event *event)
{
    nc_event_fields fields;
    nacre_buffer header = nacre_buffer_create(log->context), row = nacre_buffer_create(log->context);
    nc_describe_epoch(event, &fields);
    put_header(&header, &fields);
    put_row(&row, &fields, event->step);
    nacre_status status = header.failed || row.failed ? NACRE_ERROR_MEMORY : check_header(log, &header);
    if (!status) status = nc_append(&log->file, row.data, row.size);
    if (!status) status = nc_appender_sync(&log->file);
    nacre_buffer_destroy(&header);
    nacre_buffer_destroy(&row);
    return status;
}

/* ---- the callback ---- */

static nacre_fit_answer hear(void *user, const nacre_fit_event *event)
{
    csv_log *log = user;
    if (event->kind == NACRE_FIT_BEGIN) open_file(log, event);
    if (event->kind == NACRE_FIT_EPOCH) append_epoch(log, event);
    return NACRE_FIT_GO_ON;
}

static void destroy(void *user)
{
    csv_log *log = user;
    nacre_context *context = log->context;
    nc_appender_close(&log->file);
    nacre_release(context, log->path);
    nacre_release(context, log->header);
    nacre_release(context, log);
}

nacre_callback nacre_csv_callback(nacre_context *context, const char *path)
{
    csv_log *log = nacre_allocate(context, sizeof *log);
    if (!log) return (nacre_callback){0};
    *log =
        (csv_log){.context = context, .path = nacre_duplicate(context, path), .file = {.context = context, .file = -1}};
    if (log->path) return (nacre_callback){hear, log, destroy};
    destroy(log);
    return (nacre_callback){0};
}

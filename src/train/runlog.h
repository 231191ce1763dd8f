/* train/runlog.h - the lines of a log, as its writer and its reader see them. */
#ifndef NC_TRAIN_RUNLOG_H
#define NC_TRAIN_RUNLOG_H

#include <nacre/report.h>

#include <cJSON.h>

/* Whether the item stands for a number, and which. */
bool nc_read_number(const cJSON *item, double *value);

/* Calls `take` for each record, which becomes its own, with the bytes of the log before and up to the end of its line,
 * until it returns false. A last line that is torn ends the log. */
nacre_status nc_scan_records(nacre_context *context, const char *path, const char *text, size_t size,
                             bool (*take)(void *user, cJSON *record, size_t before, size_t end), void *user);

#endif

/* train/appender.h - files that grow by whole records. */
#ifndef NC_TRAIN_APPENDER_H
#define NC_TRAIN_APPENDER_H

#include <nacre/base.h>

/* A record that nc_append has returned from survives the death of the process; after nc_appender_sync it survives a
 * power cut, too. What a full disk has cut short is taken back. */
typedef struct nc_appender {
    nacre_context *context;
    char *path;
    int file; /* -1: not open */
    int64_t size;
} nc_appender;

/* Goes on after the first `keep` bytes of the file; what lies behind them is cut off. */
nacre_status nc_appender_open(nc_appender *appender, nacre_context *context, const char *path, int64_t keep);
nacre_status nc_append(nc_appender *appender, const void *bytes, size_t size);
nacre_status nc_appender_sync(nc_appender *appender);
void nc_appender_close(nc_appender *appender); /* does not sync; also after a failed open */

#endif

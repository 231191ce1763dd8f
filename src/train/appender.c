/* train/appender.c - files that grow by whole records. */
#include "train/appender.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

static nacre_status fail_errno(nc_appender *appender, const char *verb)
{
    return nacre_fail(appender->context, NACRE_ERROR_IO, "cannot %s '%s': %s", verb, appender->path, strerror(errno));
}

nacre_status nc_appender_open(nc_appender *appender, nacre_context *context, const char *path, int64_t keep)
{
    *appender = (nc_appender){.context = context, .path = nacre_duplicate(context, path), .file = -1, .size = keep};
    if (!appender->path) return NACRE_ERROR_MEMORY;
    appender->file = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0666);
    if (appender->file < 0) return fail_errno(appender, "open");
    if (ftruncate(appender->file, keep) != 0) return fail_errno(appender, "cut");
    return nc_appender_sync(appender);
}

nacre_status nc_append(nc_appender *appender, const void *bytes, size_t size)
{
    const char *from = bytes;
    for (size_t done = 0; done < size;) {
        ssize_t written = write(appender->file, from + done, size - done);
        if (written < 0 && errno == EINTR) continue;
        if (written < 0) {
            nacre_status status = fail_errno(appender, "write");
            if (ftruncate(appender->file, appender->size) != 0) fail_errno(appender, "cut");
            return status;
        }
        done += (size_t)written;
    }
    appender->size += (int64_t)size;
    return NACRE_OK;
}

nacre_status nc_appender_sync(nc_appender *appender)
{
    /* Pipes and the like cannot be synced and need not be. */
    if (fsync(appender->file) == 0 || errno == EINVAL || errno == EROFS) return NACRE_OK;
    return fail_errno(appender, "sync");
}

void nc_appender_close(nc_appender *appender)
{
    if (appender->file >= 0) close(appender->file);
    nacre_release(appender->context, appender->path);
    *appender = (nc_appender){.file = -1};
}

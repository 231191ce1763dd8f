/* data/stream.h - bytes of files that may be compressed, and the members of archives. */
#ifndef NC_DATA_STREAM_H
#define NC_DATA_STREAM_H

#include <nacre/io.h>

/* A file or a block of memory, read from front to back; gzip is recognised by its first bytes and undone, with its
 * checksum and length verified. `name` is for messages and must outlive the stream. */
typedef struct nc_stream nc_stream;
nc_stream *nc_stream_open(nacre_context *context, const char *path);
nc_stream *nc_stream_open_memory(nacre_context *context, const char *name, const void *bytes, size_t size);
void nc_stream_close(nc_stream *stream);
/* Up to `size` bytes, fewer only at the end; -1 after a failure. */
int64_t nc_stream_read(nc_stream *stream, void *bytes, size_t size);
/* All that is left, appended. */
nacre_status nc_stream_read_all(nc_stream *stream, nacre_buffer *bytes);

/* The regular files of a tar (plain, .gz, .zst, ...) or zip, in stored order. */
typedef struct nc_archive nc_archive;
nc_archive *nc_archive_open(nacre_context *context, const char *path);
void nc_archive_close(nc_archive *archive);
/* The name of the next member, valid until the next call; NULL at the end. */
nacre_status nc_archive_next(nc_archive *archive, const char **name);
/* The current member's bytes, appended. */
nacre_status nc_archive_read(nc_archive *archive, nacre_buffer *bytes);
/* Whether a file's name ends like an archive's. */
bool nc_archive_has_name(const char *path);

/* Case-insensitive. */
bool nc_ends_with(const char *text, const char *ending);

#endif

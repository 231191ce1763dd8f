/* data/stream.c - reading through gzip (zlib) and archives (libarchive). */
#include "data/stream.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#ifdef NACRE_HAVE_ZLIB
#include <zlib.h>
#endif
#ifdef NACRE_HAVE_ARCHIVE
#include <archive.h>
#include <archive_entry.h>
#endif

enum { CHUNK = 1 << 16 };

bool nc_ends_with(const char *text, const char *ending)
{
    size_t size = strlen(text), ending_size = strlen(ending);
    return size >= ending_size && !strcasecmp(text + size - ending_size, ending);
}

/* ---- streams ---- */

struct nc_stream {
    nacre_context *context;
    const char *name;
    int file;                    /* -1: memory */
    const unsigned char *memory; /* what is left of it */
    size_t memory_size;
    unsigned char input[CHUNK]; /* of a file; input[start .. end) is not used yet */
    size_t start, end;
    bool failed, at_end; /* at_end: of the compressed members */
    bool gzip;
#ifdef NACRE_HAVE_ZLIB
    z_stream inflater;
#endif
};

/* Moves what is left of the input to the front and reads more behind it. False at the end or after a failure. */
static bool refill(nc_stream *stream)
{
    memmove(stream->input, stream->input + stream->start, stream->end - stream->start);
    stream->end -= stream->start;
    stream->start = 0;
    size_t room = sizeof stream->input - stream->end;
    if (stream->file < 0) {
        size_t size = stream->memory_size < room ? stream->memory_size : room;
        if (size) memcpy(stream->input + stream->end, stream->memory, size);
        stream->memory += size;
        stream->memory_size -= size;
        stream->end += size;
        return size > 0;
    }
    ssize_t got;
    do got = read(stream->file, stream->input + stream->end, room);
    while (got < 0 && errno == EINTR);
    if (got < 0) {
        stream->failed = true;
        nacre_fail(stream->context, NACRE_ERROR_IO, "cannot read '%s': %s", stream->name, strerror(errno));
        return false;
    }
    stream->end += (size_t)got;
    return got > 0;
}

static bool next_is_gzip(const nc_stream *stream)
{
    return stream->end - stream->start >= 2 && stream->input[stream->start] == 0x1f &&
           stream->input[stream->start + 1] == 0x8b;
}

static bool begin(nc_stream *stream)
{
    while (stream->end < 2 && refill(stream)) {
    }
    if (stream->failed) return false;
    stream->gzip = next_is_gzip(stream);
    if (!stream->gzip) return true;
#ifdef NACRE_HAVE_ZLIB
    enum { WINDOW = 15, GZIP = 16 };
    if (inflateInit2(&stream->inflater, WINDOW + GZIP) == Z_OK) return true;
    stream->gzip = false;
    nacre_fail(stream->context, NACRE_ERROR_MEMORY, "out of memory while opening '%s'", stream->name);
#else
    stream->gzip = false;
    nacre_fail(stream->context, NACRE_ERROR_UNSUPPORTED, "%s is gzip, and this build has no zlib", stream->name);
#endif
    return false;
}

static nc_stream *open_stream(nacre_context *context, const char *name, int file, const void *bytes, size_t size)
{
    nc_stream *stream = nacre_allocate(context, sizeof *stream);
    if (!stream) {
        if (file >= 0) close(file);
        return NULL;
    }
    stream->context = context;
    stream->name = name;
    stream->file = file;
    stream->memory = bytes;
    stream->memory_size = size;
    if (begin(stream)) return stream;
    nc_stream_close(stream);
    return NULL;
}

nc_stream *nc_stream_open(nacre_context *context, const char *path)
{
    int file = open(path, O_RDONLY | O_CLOEXEC);
    if (file < 0) {
        nacre_fail(context, errno == ENOENT ? NACRE_ERROR_NOT_FOUND : NACRE_ERROR_IO, "cannot read '%s': %s", path,
                   strerror(errno));
        return NULL;
    }
    return open_stream(context, path, file, NULL, 0);
}

nc_stream *nc_stream_open_memory(nacre_context *context, const char *name, const void *bytes, size_t size)
{
    return open_stream(context, name, -1, bytes, size);
}

void nc_stream_close(nc_stream *stream)
{
    if (!stream) return;
#ifdef NACRE_HAVE_ZLIB
    if (stream->gzip) inflateEnd(&stream->inflater);
#endif
    if (stream->file >= 0) close(stream->file);
    nacre_release(stream->context, stream);
}

static int64_t read_plain(nc_stream *stream, unsigned char *bytes, size_t size)
{
    size_t done = 0;
    while (done < size) {
        if (stream->start == stream->end && !refill(stream)) break;
        size_t part = stream->end - stream->start;
        if (part > size - done) part = size - done;
        memcpy(bytes + done, stream->input + stream->start, part);
        stream->start += part;
        done += part;
    }
    return stream->failed ? -1 : (int64_t)done;
}

#ifdef NACRE_HAVE_ZLIB
static int64_t fail_stream(nc_stream *stream, const char *what)
{
    stream->failed = true;
    nacre_fail(stream->context, NACRE_ERROR_FORMAT, "%s: %s", stream->name, what);
    return -1;
}

/* A gzip file may be several members one after the other (RFC 1952). */
static bool next_member(nc_stream *stream)
{
    while (stream->end - stream->start < 2 && refill(stream)) {
    }
    if (stream->failed) return false;
    if (stream->start == stream->end) {
        stream->at_end = true;
        return true;
    }
    if (!next_is_gzip(stream)) return fail_stream(stream, "bytes that are not gzip follow the gzip data") == 0;
    return inflateReset(&stream->inflater) == Z_OK || fail_stream(stream, "malformed gzip data") == 0;
}

static int64_t read_gzip(nc_stream *stream, unsigned char *bytes, size_t size)
{
    z_stream *inflater = &stream->inflater;
    size_t done = 0;
    while (done < size && !stream->at_end) {
        if (stream->start == stream->end && !refill(stream))
            return stream->failed ? -1 : fail_stream(stream, "cut short within gzip data");
        size_t room = size - done < UINT32_MAX ? size - done : UINT32_MAX;
        inflater->next_in = stream->input + stream->start;
        inflater->avail_in = (uInt)(stream->end - stream->start);
        inflater->next_out = bytes + done;
        inflater->avail_out = (uInt)room;
        int result = inflate(inflater, Z_NO_FLUSH);
        stream->start = stream->end - inflater->avail_in;
        done += room - inflater->avail_out;
        if (result == Z_STREAM_END) {
            if (!next_member(stream)) return -1;
        } else if (result != Z_OK && result != Z_BUF_ERROR) {
            return fail_stream(stream, inflater->msg ? inflater->msg : "malformed gzip data");
        }
    }
    return (int64_t)done;
}
#endif

int64_t nc_stream_read(nc_stream *stream, void *bytes, size_t size)
{
    if (stream->failed) return -1;
#ifdef NACRE_HAVE_ZLIB
    if (stream->gzip) return read_gzip(stream, bytes, size);
#endif
    return read_plain(stream, bytes, size);
}

nacre_status nc_stream_read_all(nc_stream *stream, nacre_buffer *bytes)
{
    char chunk[CHUNK];
    int64_t got;
    while ((got = nc_stream_read(stream, chunk, sizeof chunk)) > 0) nacre_buffer_put(bytes, chunk, (size_t)got);
    return got < 0 || bytes->failed ? nacre_check(stream->context) : NACRE_OK;
}

/* ---- archives ---- */

bool nc_archive_has_name(const char *path)
{
    static const char *const ENDINGS[] = {".zip",     ".tar",  ".tar.gz", ".tgz",    ".tar.zst",
                                          ".tar.bz2", ".tbz2", ".tar.xz", ".tar.lz4"};
    for (size_t i = 0; i < sizeof ENDINGS / sizeof *ENDINGS; i++)
        if (nc_ends_with(path, ENDINGS[i])) return true;
    return false;
}

#ifdef NACRE_HAVE_ARCHIVE

struct nc_archive {
    nacre_context *context;
    char *path;
    struct archive *reader;
    nc_stream *stream; /* what the reader reads from; NULL for zip, which is read by position */
    char input[CHUNK];
};

static ssize_t feed(struct archive *reader, void *user, const void **bytes)
{
    nc_archive *archive = user;
    *bytes = archive->input;
    int64_t got = nc_stream_read(archive->stream, archive->input, sizeof archive->input);
    if (got < 0) archive_set_error(reader, EIO, "unreadable");
    return (ssize_t)got;
}

static nacre_status fail_archive(nc_archive *archive)
{
    const char *reason = archive_error_string(archive->reader);
    return nacre_fail(archive->context, NACRE_ERROR_FORMAT, "%s: %s", archive->path,
                      reason ? reason : "not an archive that can be read");
}

static bool is_zip(nacre_context *context, const char *path)
{
    char magic[2] = {0};
    nc_stream *stream = nc_stream_open(context, path);
    bool zip = stream && nc_stream_read(stream, magic, sizeof magic) == sizeof magic && !memcmp(magic, "PK", 2);
    nc_stream_close(stream);
    return zip;
}

static bool open_reader(nc_archive *archive)
{
    archive->reader = archive_read_new();
    if (!archive->reader) {
        nacre_fail(archive->context, NACRE_ERROR_MEMORY, "out of memory while opening '%s'", archive->path);
        return false;
    }
    int result;
    if (is_zip(archive->context, archive->path)) { /* by its directory at the end: a torn zip has none */
        archive_read_support_format_zip_seekable(archive->reader);
        result = archive_read_open_filename(archive->reader, archive->path, CHUNK);
    } else {
        archive_read_support_filter_bzip2(archive->reader); /* gzip is the stream's, which verifies checksums */
        archive_read_support_filter_xz(archive->reader);
        archive_read_support_filter_zstd(archive->reader);
        archive_read_support_filter_lz4(archive->reader);
        archive_read_support_format_tar(archive->reader);
        archive->stream = nc_stream_open(archive->context, archive->path);
        if (!archive->stream) return false;
        result = archive_read_open(archive->reader, archive, NULL, feed, NULL);
    }
    if (result == ARCHIVE_OK) return true;
    fail_archive(archive);
    return false;
}

nc_archive *nc_archive_open(nacre_context *context, const char *path)
{
    nc_archive *archive = nacre_allocate(context, sizeof *archive);
    if (!archive) return NULL;
    archive->context = context;
    archive->path = nacre_duplicate(context, path);
    if (archive->path && open_reader(archive)) return archive;
    nc_archive_close(archive);
    return NULL;
}

void nc_archive_close(nc_archive *archive)
{
    if (!archive) return;
    archive_read_free(archive->reader);
    nc_stream_close(archive->stream);
    nacre_release(archive->context, archive->path);
    nacre_release(archive->context, archive);
}

nacre_status nc_archive_next(nc_archive *archive, const char **name)
{
    struct archive_entry *entry;
    int result;
    *name = NULL;
    while ((result = archive_read_next_header(archive->reader, &entry)) == ARCHIVE_OK || result == ARCHIVE_WARN) {
        if (archive_entry_filetype(entry) != AE_IFREG) continue;
        *name = archive_entry_pathname_utf8(entry);
        if (!*name) *name = archive_entry_pathname(entry); /* bytes that are no UTF-8 */
        if (*name) return NACRE_OK;
    }
    return result == ARCHIVE_EOF ? NACRE_OK : fail_archive(archive);
}

nacre_status nc_archive_read(nc_archive *archive, nacre_buffer *bytes)
{
    char chunk[CHUNK];
    la_ssize_t got;
    while ((got = archive_read_data(archive->reader, chunk, sizeof chunk)) > 0)
        nacre_buffer_put(bytes, chunk, (size_t)got);
    if (got < 0) return fail_archive(archive);
    return bytes->failed ? nacre_check(archive->context) : NACRE_OK;
}

#else

nc_archive *nc_archive_open(nacre_context *context, const char *path)
{
    nacre_fail(context, NACRE_ERROR_UNSUPPORTED, "%s is an archive, and this build has no libarchive", path);
    return NULL;
}

void nc_archive_close(nc_archive *archive)
{
    (void)archive;
}

nacre_status nc_archive_next(nc_archive *archive, const char **name)
{
    (void)archive;
    *name = NULL;
    return NACRE_ERROR_UNSUPPORTED;
}

nacre_status nc_archive_read(nc_archive *archive, nacre_buffer *bytes)
{
    (void)archive;
    (void)bytes;
    return NACRE_ERROR_UNSUPPORTED;
}

#endif

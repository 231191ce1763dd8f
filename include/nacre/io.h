/* io.h - what the upper floors need of the outside world: growing text, whole files, locks, hashes.
 *
 * Nothing is lost: files are written to a temporary name beside the target, synced and renamed.
 */
#ifndef NACRE_IO_H
#define NACRE_IO_H

#include <nacre/base.h>
#ifdef __cplusplus
extern "C" {
#endif

/* ---- growing buffers ------------------------------------------------------------------------------------------- */

/* Bytes that grow; always followed by a 0 byte, so `data` is also a C string (NULL while nothing was added).
 * After a failed allocation further calls do nothing and `failed` stays set; the context has the failure. */
typedef struct nacre_buffer {
    nacre_context *context;
    char *data;
    size_t size, capacity;
    bool failed;
} nacre_buffer;

NACRE_API nacre_buffer nacre_buffer_create(nacre_context *context);
NACRE_API void nacre_buffer_destroy(nacre_buffer *buffer);
NACRE_API void nacre_buffer_clear(nacre_buffer *buffer);
NACRE_API void nacre_buffer_put(nacre_buffer *buffer, const void *bytes, size_t size);
NACRE_API void nacre_buffer_print(nacre_buffer *buffer, const char *format, ...) NACRE_PRINTF(2, 3);
/* Appends `text` as a JSON string with its quotes (RFC 8259); what is not ASCII stays as it is. */
NACRE_API void nacre_buffer_quote(nacre_buffer *buffer, const char *text);
/* Appends the shortest usual text that reads back as the same double, whatever the locale: "3", "0.1", "1e-05", "nan",
 * "inf", "-inf". */
NACRE_API void nacre_buffer_number(nacre_buffer *buffer, double value);
/* Hands the memory over (freed with nacre_release) and empties the buffer; NULL if it failed. Never NULL for an
 * empty buffer that did not fail. */
NACRE_API char *nacre_buffer_take(nacre_buffer *buffer, size_t *size);
/* Well-formed UTF-8 (RFC 3629: no surrogates, nothing overlong, nothing beyond U+10FFFF). */
NACRE_API bool nacre_is_utf8(const void *bytes, size_t size);

/* The number that a whole text is, whatever the locale: "3", "-0.5", ".5", "1e-3". False for anything else, such as
 * "0x10", "nan", "1 " and what a double cannot hold. */
NACRE_API bool nacre_parse_number(const char *text, double *value);

/* A name with a value, where a file leaves the names open: parameters of a model, figures to reach. A NULL name ends a
 * list of them. */
typedef struct nacre_setting {
    const char *name;
    const char *text; /* as written */
    bool is_number;
    double number;
} nacre_setting;

/* ---- pools ------------------------------------------------------------------------------------------------------ */

/* Memory that is freed all at once. Zero-initialise but for the context. */
typedef struct nacre_pool {
    nacre_context *context;
    struct nacre_pool_block *blocks;
} nacre_pool;

NACRE_API void *nacre_pool_allocate(nacre_pool *pool, size_t size);                 /* zeroed; NULL: out of memory */
NACRE_API char *nacre_pool_copy(nacre_pool *pool, const char *text, size_t length); /* followed by a 0 */
NACRE_API void nacre_pool_destroy(nacre_pool *pool);

/* ---- whole files ------------------------------------------------------------------------------------------------ */

/* The file's bytes, 0-terminated, freed with nacre_release. Larger than `limit` (0: 1 GiB) is an error. */
NACRE_API char *nacre_file_read(nacre_context *context, const char *path, size_t limit, size_t *size);
/* Atomic replacement: either the old file or all of the new one is there afterwards, whatever happens. */
NACRE_API nacre_status nacre_file_write(nacre_context *context, const char *path, const void *data, size_t size);

/* The same in pieces. Nothing appears under `path` before nacre_writer_commit; nacre_writer_abandon (and a failed
 * commit) leave nothing behind. Both free the writer; NULL is accepted by all. */
typedef struct nacre_writer nacre_writer;
NACRE_API nacre_writer *nacre_writer_open(nacre_context *context, const char *path);
NACRE_API nacre_status nacre_writer_put(nacre_writer *writer, const void *data, size_t size);
NACRE_API nacre_status nacre_writer_commit(nacre_writer *writer);
NACRE_API void nacre_writer_abandon(nacre_writer *writer);

/* A file that is not there is fine. */
NACRE_API nacre_status nacre_file_remove(nacre_context *context, const char *path);

/* A file's bytes without copying them, read-only; 0 bytes is fine. */
typedef struct nacre_mapping {
    const unsigned char *data;
    size_t size;
} nacre_mapping;
NACRE_API nacre_status nacre_file_map(nacre_context *context, const char *path, nacre_mapping *mapping);
NACRE_API void nacre_file_unmap(nacre_mapping *mapping);

NACRE_API bool nacre_path_exists(const char *path);
NACRE_API bool nacre_path_is_directory(const char *path);
NACRE_API nacre_status nacre_make_directories(nacre_context *context, const char *path); /* like mkdir -p */
/* "a" + "b" -> "a/b" in fresh memory (nacre_release). An absolute `name` stands alone. */
NACRE_API char *nacre_path_join(nacre_context *context, const char *directory, const char *name);

/* ---- locks ------------------------------------------------------------------------------------------------------ */

/* Keeps a second process out of a folder (flock on `directory`/.lock, released by the kernel if we die), and removes
 * what processes that were killed while writing files (above) left in it.
 * NACRE_ERROR_BUSY names the process that holds it. */
typedef struct nacre_lock nacre_lock;
NACRE_API nacre_lock *nacre_lock_directory(nacre_context *context, const char *directory);
NACRE_API void nacre_unlock(nacre_lock *lock);

/* ---- hashes and time --------------------------------------------------------------------------------------------- */

/* SHA-256 (FIPS 180-4) of a file as 64 lower-case hex digits and a 0. */
NACRE_API nacre_status nacre_file_sha256(nacre_context *context, const char *path, char hex[65]);
NACRE_API double nacre_seconds(void); /* a monotonic clock */

/* The entry of `names` (ended by NULL) nearest to `word` by edit distance, NULL if none is near: for
 * "unknown key 'epoch', did you mean 'epochs'?" */
NACRE_API const char *nacre_nearest(const char *word, const char *const *names);

#ifdef __cplusplus
}
#endif

#endif

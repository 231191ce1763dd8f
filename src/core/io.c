/* core/io.c - growing text, whole files, locks, hashes: POSIX behind clear errors. */
#include <nacre/io.h>

#include <nettle/sha2.h>

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <locale.h>
#include <math.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

/* "cannot write 'a/b': No space left on device": one sentence for every refusal of the system. */
static nacre_status fail_errno(nacre_context *context, const char *verb, const char *path, int code)
{
    const char *advice = code == ENOSPC || code == EDQUOT ? "; free some space or choose another folder" : "";
    nacre_status status = code == ENOENT ? NACRE_ERROR_NOT_FOUND : NACRE_ERROR_IO;
    return nacre_fail(context, status, "cannot %s '%s': %s%s", verb, path, strerror(code), advice);
}

/* ---- growing buffers ---- */

nacre_buffer nacre_buffer_create(nacre_context *context)
{
    return (nacre_buffer){.context = context};
}

void nacre_buffer_destroy(nacre_buffer *buffer)
{
    if (!buffer) return;
    nacre_release(buffer->context, buffer->data);
    *buffer = (nacre_buffer){.context = buffer->context};
}

void nacre_buffer_clear(nacre_buffer *buffer)
{
    buffer->size = 0;
    if (buffer->data) buffer->data[0] = 0;
}

/* Room for `extra` bytes and the 0 after them. */
static bool reserve(nacre_buffer *buffer, size_t extra)
{
    if (buffer->failed) return false;
    if (extra < buffer->capacity - buffer->size) return true;
    if (extra > SIZE_MAX / 2 - buffer->size - 1) {
        nacre_fail(buffer->context, NACRE_ERROR_MEMORY, "out of memory: %zu more bytes were asked for", extra);
        buffer->failed = true;
        return false;
    }
    size_t capacity = buffer->capacity ? buffer->capacity : 64;
    while (capacity <= buffer->size + extra) capacity *= 2;
    char *data = nacre_resize(buffer->context, buffer->data, capacity);
    if (!data) {
        buffer->failed = true;
        return false;
    }
    buffer->data = data;
    buffer->capacity = capacity;
    return true;
}

void nacre_buffer_put(nacre_buffer *buffer, const void *bytes, size_t size)
{
    if (!reserve(buffer, size)) return;
    if (size) memcpy(buffer->data + buffer->size, bytes, size);
    buffer->size += size;
    buffer->data[buffer->size] = 0;
}

void nacre_buffer_print(nacre_buffer *buffer, const char *format, ...)
{
    va_list arguments, again;
    va_start(arguments, format);
    va_copy(again, arguments);
    int size = vsnprintf(NULL, 0, format, arguments);
    if (size < 0 && !buffer->failed) { /* longer than an int counts */
        nacre_fail(buffer->context, NACRE_ERROR_MEMORY, "out of memory: a text does not fit");
        buffer->failed = true;
    }
    if (size >= 0 && reserve(buffer, (size_t)size)) {
        vsnprintf(buffer->data + buffer->size, (size_t)size + 1, format, again);
        buffer->size += (size_t)size;
    }
    va_end(again);
    va_end(arguments);
}

void nacre_buffer_quote(nacre_buffer *buffer, const char *text)
{
    nacre_buffer_put(buffer, "\"", 1);
    for (const char *c = text; *c; c++) {
        size_t plain = 0;
        while ((unsigned char)c[plain] >= ' ' && c[plain] != '"' && c[plain] != '\\') plain++;
        nacre_buffer_put(buffer, c, plain);
        c += plain;
        if (*c == 0) break;
        if (*c == '"' || *c == '\\')
            nacre_buffer_print(buffer, "\\%c", *c);
        else if (*c == '\n')
            nacre_buffer_put(buffer, "\\n", 2);
        else
            nacre_buffer_print(buffer, "\\u%04x", (unsigned char)*c);
    }
    nacre_buffer_put(buffer, "\"", 1);
}

/* Threads that print or read numbers do so in the C locale, whatever the program has set. */
static locale_t number_locale;

static void make_number_locale(void)
{
    number_locale = newlocale(LC_ALL_MASK, "C", (locale_t)0);
}

static locale_t enter_number_locale(void)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, make_number_locale);
    return uselocale(number_locale);
}

void nacre_buffer_number(nacre_buffer *buffer, double value)
{
    locale_t before = enter_number_locale();
    char text[40];
    for (int digits = 15; digits <= 17; digits++) {
        snprintf(text, sizeof text, "%.*g", digits, value);
        if (strtod(text, NULL) == value) break;
    }
    uselocale(before);
    nacre_buffer_put(buffer, text, strlen(text));
}

/* [+-] digits [. digits] [e [+-] digits], with at least one digit before the exponent. */
static bool looks_like_number(const char *text)
{
    const char *c = text + (*text == '+' || *text == '-');
    size_t whole = strspn(c, "0123456789"), part = 0;
    c += whole;
    if (*c == '.') {
        part = strspn(c + 1, "0123456789");
        c += 1 + part;
    }
    if (whole + part == 0) return false;
    if (*c == 'e' || *c == 'E') {
        c += 1 + (c[1] == '+' || c[1] == '-');
        if (strspn(c, "0123456789") == 0) return false;
        c += strspn(c, "0123456789");
    }
    return *c == 0;
}

bool nacre_parse_number(const char *text, double *value)
{
    if (!looks_like_number(text)) return false;
    locale_t before = enter_number_locale();
    double number = strtod(text, NULL);
    uselocale(before);
    if (isinf(number)) return false;
    *value = number;
    return true;
}

char *nacre_buffer_take(nacre_buffer *buffer, size_t *size)
{
    nacre_buffer_put(buffer, "", 0); /* there is always at least the 0 */
    if (size) *size = buffer->failed ? 0 : buffer->size;
    char *data = NULL;
    if (!buffer->failed) {
        data = buffer->data;
        buffer->data = NULL;
    }
    nacre_buffer_destroy(buffer);
    return data;
}

bool nacre_is_utf8(const void *bytes, size_t size)
{
    const unsigned char *next = bytes, *end = next + size;
    while (next < end) {
        unsigned lead = *next++;
        if (lead < 0x80) continue;
        if (lead < 0xc2 || lead > 0xf4) return false;
        int more = lead < 0xe0 ? 1 : lead < 0xf0 ? 2 : 3;
        /* The second byte rules out what is overlong, a surrogate or too large. */
        unsigned low = lead == 0xe0 ? 0xa0 : lead == 0xf0 ? 0x90 : 0x80;
        unsigned high = lead == 0xed ? 0x9f : lead == 0xf4 ? 0x8f : 0xbf;
        for (; more > 0; more--, low = 0x80, high = 0xbf)
            if (next == end || *next < low || *next++ > high) return false;
    }
    return true;
}

/* ---- pools ---- */

struct nacre_pool_block {
    struct nacre_pool_block *next;
    max_align_t data[];
};

void *nacre_pool_allocate(nacre_pool *pool, size_t size)
{
    struct nacre_pool_block *block = nacre_allocate(pool->context, sizeof *block + size);
    if (!block) return NULL;
    block->next = pool->blocks;
    pool->blocks = block;
    return block->data;
}

char *nacre_pool_copy(nacre_pool *pool, const char *text, size_t length)
{
    char *copy = nacre_pool_allocate(pool, length + 1);
    return copy ? memcpy(copy, text, length) : NULL;
}

void nacre_pool_destroy(nacre_pool *pool)
{
    while (pool->blocks) {
        struct nacre_pool_block *block = pool->blocks;
        pool->blocks = block->next;
        nacre_release(pool->context, block);
    }
}

/* ---- reading ---- */

/* As much as there is up to `size` bytes; -1 with errno on failure. */
static ssize_t read_some(int file, void *data, size_t size)
{
    ssize_t got;
    do got = read(file, data, size);
    while (got < 0 && errno == EINTR);
    return got;
}

static int open_for_reading(nacre_context *context, const char *path)
{
    int file = open(path, O_RDONLY | O_CLOEXEC);
    if (file < 0) {
        fail_errno(context, "read", path, errno);
        return -1;
    }
    struct stat info;
    if (fstat(file, &info) == 0 && S_ISDIR(info.st_mode)) {
        close(file);
        fail_errno(context, "read", path, EISDIR);
        return -1;
    }
    return file;
}

char *nacre_file_read(nacre_context *context, const char *path, size_t limit, size_t *size)
{
    enum { CHUNK = 1 << 16 };
    if (limit == 0) limit = (size_t)1 << 30;
    int file = open_for_reading(context, path);
    if (file < 0) return NULL;

    /* The size that the system tells is only a hint: pipes and /proc tell 0, and files may grow meanwhile. */
    struct stat info;
    size_t step = CHUNK;
    if (fstat(file, &info) == 0 && info.st_size > 0 && (size_t)info.st_size <= limit) step = (size_t)info.st_size + 1;
    nacre_buffer buffer = nacre_buffer_create(context);
    ssize_t got = 0;
    while (reserve(&buffer, step) && (got = read_some(file, buffer.data + buffer.size, step)) > 0) {
        buffer.size += (size_t)got;
        if (buffer.size > limit) break;
        step = CHUNK;
    }
    if (got < 0) fail_errno(context, "read", path, errno);
    close(file);

    if (buffer.size > limit) {
        nacre_fail(context, NACRE_ERROR_FORMAT, "'%s' is larger than the %zu bytes allowed here", path, limit);
        got = -1;
    }
    if (got < 0) {
        nacre_buffer_destroy(&buffer);
        return NULL;
    }
    return nacre_buffer_take(&buffer, size);
}

nacre_status nacre_file_map(nacre_context *context, const char *path, nacre_mapping *mapping)
{
    *mapping = (nacre_mapping){.data = (const unsigned char *)""};
    int file = open_for_reading(context, path);
    if (file < 0) return nacre_check(context);

    nacre_status status = NACRE_OK;
    struct stat info;
    if (fstat(file, &info) != 0) {
        status = fail_errno(context, "read", path, errno);
    } else if (!S_ISREG(info.st_mode)) {
        status = nacre_fail(context, NACRE_ERROR_IO, "cannot read '%s': it is not a regular file", path);
    } else if (info.st_size > 0) {
        void *data = mmap(NULL, (size_t)info.st_size, PROT_READ, MAP_PRIVATE, file, 0);
        if (data == MAP_FAILED)
            status = fail_errno(context, "map", path, errno);
        else
            *mapping = (nacre_mapping){.data = data, .size = (size_t)info.st_size};
    }
    close(file);
    return status;
}

void nacre_file_unmap(nacre_mapping *mapping)
{
    if (!mapping) return;
    if (mapping->size) munmap((void *)(uintptr_t)mapping->data, mapping->size);
    *mapping = (nacre_mapping){0};
}

/* ---- writing ---- */

#define TEMPORARY_NAME ".nacre-%ld-%u.tmp" /* process, number */

struct nacre_writer {
    nacre_context *context;
    char *path;      /* where it will stand: the real file, so that symbolic links survive */
    char *temporary; /* where it is being written, in the same directory */
    int file;
    nacre_status status; /* the first failure of this writer */
};

/* The directory part of a path with its last '/', "" if it has none. */
static size_t directory_length(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash ? (size_t)(slash - path) + 1 : 0;
}

/* What is written through a symbolic link replaces the file and not the link. */
static char *real_target(nacre_context *context, const char *path)
{
    struct stat info;
    char target[PATH_MAX];
    if (lstat(path, &info) == 0 && S_ISLNK(info.st_mode) && realpath(path, target))
        return nacre_duplicate(context, target);
    return nacre_duplicate(context, path);
}

static nacre_status create_temporary(nacre_writer *writer)
{
    static atomic_uint counter; /* threads of this process; other processes differ in their id */
    nacre_buffer name = nacre_buffer_create(writer->context);
    do {
        nacre_buffer_clear(&name);
        nacre_buffer_print(&name, "%.*s" TEMPORARY_NAME, (int)directory_length(writer->path), writer->path,
                           (long)getpid(), atomic_fetch_add(&counter, 1));
        if (name.failed) break;
        writer->file = open(name.data, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
    } while (writer->file < 0 && errno == EEXIST);
    int code = errno;
    writer->temporary = nacre_buffer_take(&name, NULL);
    if (!writer->temporary) return NACRE_ERROR_MEMORY;
    return writer->file < 0 ? fail_errno(writer->context, "write", writer->path, code) : NACRE_OK;
}

nacre_writer *nacre_writer_open(nacre_context *context, const char *path)
{
    struct stat info;
    bool exists = stat(path, &info) == 0;
    if (exists && !S_ISREG(info.st_mode)) { /* renaming over a device would replace it */
        nacre_fail(context, NACRE_ERROR_IO, "cannot write '%s': it is not a regular file", path);
        return NULL;
    }
    if (exists && access(path, W_OK) != 0) { /* a rename would silently override the owner's wish */
        fail_errno(context, "write", path, errno);
        return NULL;
    }
    nacre_writer *writer = nacre_allocate(context, sizeof *writer);
    if (!writer) return NULL;
    *writer = (nacre_writer){.context = context, .file = -1};
    writer->path = real_target(context, path);
    if (!writer->path || create_temporary(writer) != NACRE_OK) {
        nacre_writer_abandon(writer);
        return NULL;
    }
    if (exists) (void)!fchmod(writer->file, info.st_mode & 07777);
    return writer;
}

nacre_status nacre_writer_put(nacre_writer *writer, const void *data, size_t size)
{
    if (!writer) return NACRE_ERROR_ARGUMENT;
    const char *bytes = data;
    while (writer->status == NACRE_OK && size > 0) {
        ssize_t put = write(writer->file, bytes, size);
        if (put < 0 && errno == EINTR) continue;
        if (put < 0) {
            writer->status = fail_errno(writer->context, "write", writer->path, errno);
        } else {
            bytes += put;
            size -= (size_t)put;
        }
    }
    return writer->status;
}

/* A rename is only durable once its directory is. */
static int sync_directory(const char *path)
{
    char directory[PATH_MAX] = ".";
    size_t length = directory_length(path);
    if (length >= sizeof directory) return ENAMETOOLONG;
    if (length) {
        memcpy(directory, path, length);
        directory[length] = 0;
    }
    int file = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (file < 0) return errno == EACCES ? 0 : errno; /* writable but not readable: nothing more can be done */
    int code = fsync(file) == 0 || errno == EINVAL || errno == EROFS ? 0 : errno;
    close(file);
    return code;
}

nacre_status nacre_writer_commit(nacre_writer *writer)
{
    if (!writer) return NACRE_ERROR_ARGUMENT;
    int code = 0;
    if (writer->status == NACRE_OK && fsync(writer->file) != 0) code = errno;
    if (close(writer->file) != 0 && code == 0) code = errno;
    writer->file = -1;
    if (writer->status == NACRE_OK && code == 0) {
        if (rename(writer->temporary, writer->path) != 0) {
            code = errno;
        } else {
            nacre_release(writer->context, writer->temporary);
            writer->temporary = NULL;
            code = sync_directory(writer->path);
        }
    }
    if (writer->status == NACRE_OK && code != 0)
        writer->status = fail_errno(writer->context, "write", writer->path, code);
    nacre_status status = writer->status;
    nacre_writer_abandon(writer);
    return status;
}

void nacre_writer_abandon(nacre_writer *writer)
{
    if (!writer) return;
    if (writer->file >= 0) close(writer->file);
    if (writer->temporary) unlink(writer->temporary);
    nacre_release(writer->context, writer->temporary);
    nacre_release(writer->context, writer->path);
    nacre_release(writer->context, writer);
}

nacre_status nacre_file_write(nacre_context *context, const char *path, const void *data, size_t size)
{
    nacre_writer *writer = nacre_writer_open(context, path);
    if (!writer) return nacre_check(context);
    nacre_writer_put(writer, data, size);
    return nacre_writer_commit(writer);
}

nacre_status nacre_file_remove(nacre_context *context, const char *path)
{
    return unlink(path) == 0 || errno == ENOENT ? NACRE_OK : fail_errno(context, "remove", path, errno);
}

/* ---- paths ---- */

bool nacre_path_exists(const char *path)
{
    return access(path, F_OK) == 0;
}

bool nacre_path_is_directory(const char *path)
{
    struct stat info;
    return stat(path, &info) == 0 && S_ISDIR(info.st_mode);
}

nacre_status nacre_make_directories(nacre_context *context, const char *path)
{
    char *copy = nacre_duplicate(context, path);
    if (!copy) return NACRE_ERROR_MEMORY;
    nacre_status status = NACRE_OK;
    for (char *end = copy; status == NACRE_OK && *end; end++) {
        if ((end == copy && *end == '/') || (*end != '/' && end[1] != 0)) continue;
        char kept = *end;
        if (kept == '/') *end = 0;
        if (mkdir(copy, 0777) != 0) {
            int code = errno; /* an existing parent may also answer EROFS or EACCES */
            if (!nacre_path_is_directory(copy))
                status = fail_errno(context, "create folder", copy, code == EEXIST ? ENOTDIR : code);
        }
        *end = kept;
    }
    nacre_release(context, copy);
    return status;
}

char *nacre_path_join(nacre_context *context, const char *directory, const char *name)
{
    if (!directory || !*directory || name[0] == '/') return nacre_duplicate(context, name);
    nacre_buffer path = nacre_buffer_create(context);
    bool separated = directory[strlen(directory) - 1] == '/';
    nacre_buffer_print(&path, "%s%s%s", directory, separated ? "" : "/", name);
    return nacre_buffer_take(&path, NULL);
}

/* ---- locks ---- */

struct nacre_lock {
    nacre_context *context;
    int file;
};

static nacre_status fail_busy(nacre_context *context, const char *directory, int file)
{
    char holder[32] = "";
    ssize_t size = pread(file, holder, sizeof holder - 1, 0);
    long process = size > 0 ? strtol(holder, NULL, 10) : 0;
    if (process <= 0) /* it has the lock and has not yet written who it is */
        return nacre_fail(context, NACRE_ERROR_BUSY, "'%s' is in use by another process; choose another folder",
                          directory);
    return nacre_fail(context, NACRE_ERROR_BUSY,
                      "'%s' is in use by process %ld; wait for it to end or choose another folder", directory, process);
}

static nacre_status take_lock(nacre_context *context, const char *directory, const char *path, int file)
{
    if (file < 0) return fail_errno(context, "lock", path, errno);
    if (flock(file, LOCK_EX | LOCK_NB) != 0) {
        if (errno == EWOULDBLOCK) return fail_busy(context, directory, file);
        return fail_errno(context, "lock", path, errno);
    }
    char holder[32];
    int size = snprintf(holder, sizeof holder, "%ld\n", (long)getpid());
    if (ftruncate(file, 0) != 0 || pwrite(file, holder, (size_t)size, 0) != size)
        return fail_errno(context, "lock", path, errno);
    return NACRE_OK;
}

/* A process that was killed while writing leaves a file under its temporary name. */
static void remove_leftovers(const char *directory)
{
    DIR *entries = opendir(directory);
    if (!entries) return;
    for (struct dirent *entry; (entry = readdir(entries));) {
        long process;
        unsigned number;
        int end = 0;
        if (sscanf(entry->d_name, TEMPORARY_NAME "%n", &process, &number, &end) != 2 || entry->d_name[end] || !end)
            continue;
        if (process > 0 && kill((pid_t)process, 0) != 0 && errno == ESRCH) unlinkat(dirfd(entries), entry->d_name, 0);
    }
    closedir(entries);
}

nacre_lock *nacre_lock_directory(nacre_context *context, const char *directory)
{
    nacre_lock *lock = nacre_allocate(context, sizeof *lock);
    char *path = nacre_path_join(context, directory, ".lock");
    if (!lock || !path) {
        nacre_release(context, lock);
        nacre_release(context, path);
        return NULL;
    }
    *lock = (nacre_lock){.context = context, .file = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0666)};
    if (take_lock(context, directory, path, lock->file) != NACRE_OK) {
        if (lock->file >= 0) close(lock->file);
        nacre_release(context, lock);
        lock = NULL;
    }
    if (lock) remove_leftovers(directory);
    nacre_release(context, path);
    return lock;
}

/* The file stays: removing it would let a third process lock a new one while a second still waits at the old. */
void nacre_unlock(nacre_lock *lock)
{
    if (!lock) return;
    (void)!ftruncate(lock->file, 0);
    close(lock->file);
    nacre_release(lock->context, lock);
}

/* ---- hashes and time ---- */

nacre_status nacre_file_sha256(nacre_context *context, const char *path, char hex[65])
{
    hex[0] = 0;
    int file = open_for_reading(context, path);
    if (file < 0) return nacre_check(context);

    struct sha256_ctx hash;
    sha256_init(&hash);
    unsigned char bytes[1 << 15];
    ssize_t got;
    while ((got = read_some(file, bytes, sizeof bytes)) > 0) sha256_update(&hash, (size_t)got, bytes);
    nacre_status status = got < 0 ? fail_errno(context, "read", path, errno) : NACRE_OK;
    close(file);
    if (status != NACRE_OK) return status;

    unsigned char digest[SHA256_DIGEST_SIZE];
    sha256_digest(&hash, sizeof digest, digest);
    for (size_t i = 0; i < sizeof digest; i++) snprintf(hex + 2 * i, 3, "%02x", digest[i]);
    return NACRE_OK;
}

double nacre_seconds(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

/* ---- nearest names ---- */

enum { LONGEST_NAME = 96 };

static int least(int a, int b)
{
    return a < b ? a : b;
}

static char lower(char c)
{
    return c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c;
}

/* Insertions, deletions, substitutions and swaps of neighbours that lead from one word to the other (the optimal
 * string alignment distance), blind to upper and lower case. Both words are at most LONGEST_NAME long. */
static int edit_distance(const char *a, int a_length, const char *b, int b_length)
{
    int rows[3][LONGEST_NAME + 1]; /* of the table: two above, above, this */
    int *before = rows[0], *above = rows[1], *row = rows[2];
    for (int j = 0; j <= b_length; j++) above[j] = j;
    for (int i = 1; i <= a_length; i++) {
        row[0] = i;
        for (int j = 1; j <= b_length; j++) {
            char x = lower(a[i - 1]), y = lower(b[j - 1]);
            row[j] = least(least(above[j], row[j - 1]) + 1, above[j - 1] + (x != y));
            if (i > 1 && j > 1 && x == lower(b[j - 2]) && y == lower(a[i - 2]))
                row[j] = least(row[j], before[j - 2] + 1);
        }
        int *free_row = before;
        before = above;
        above = row;
        row = free_row;
    }
    return above[b_length];
}

const char *nacre_nearest(const char *word, const char *const *names)
{
    const char *nearest = NULL;
    int best = INT_MAX;
    size_t length = word && names ? strlen(word) : SIZE_MAX;
    if (length > LONGEST_NAME) return NULL;
    for (; *names; names++) {
        size_t name_length = strlen(*names);
        if (name_length > LONGEST_NAME) continue;
        /* A third of the longer word may differ: one slip in a short word, more in a long one. */
        int allowed = (int)((length > name_length ? length : name_length) + 1) / 3;
        int distance = edit_distance(word, (int)length, *names, (int)name_length);
        if (distance <= allowed && distance < best) {
            best = distance;
            nearest = *names;
        }
    }
    return nearest;
}

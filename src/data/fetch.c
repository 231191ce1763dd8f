/* data/fetch.c - bringing the files of the catalogue: copied from a folder or downloaded, continued, verified. */
#include <nacre/data.h>

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#ifdef NACRE_HAVE_CURL
#define CURL_DISABLE_TYPECHECK
#include <curl/curl.h>
#include <dlfcn.h>
#include <pthread.h>
#endif

/* One file on its way. */
typedef struct transfer {
    nacre_context *context;
    const nacre_catalogue_file *file;
    const nacre_fetch_options *options;
    char *target, *part; /* paths */
    FILE *output;        /* the .part */
    int64_t offset;      /* its size when the transfer began */
    bool cancelled;
    int write_error; /* errno */
} transfer;

static nacre_status fail_system(transfer *t, const char *verb, const char *path, int code)
{
    return nacre_fail(t->context, code == ENOENT ? NACRE_ERROR_NOT_FOUND : NACRE_ERROR_IO, "cannot %s '%s': %s", verb,
                      path, strerror(code));
}

static bool goes_on(transfer *t, int64_t done)
{
    if (t->options->progress && !t->options->progress(t->options->user, t->file, done, t->file->bytes))
        t->cancelled = true;
    return !t->cancelled;
}

static nacre_status fail_cancelled(transfer *t)
{
    return nacre_fail(t->context, NACRE_ERROR_CANCELLED, "%s: cancelled; what has come is kept and will be continued",
                      t->file->path);
}

/* More than the catalogue says is stopped early: it cannot be the right file. */
static bool write_some(transfer *t, const void *bytes, size_t size, int64_t done)
{
    if (done + (int64_t)size > t->file->bytes) {
        t->write_error = EFBIG;
        return false;
    }
    if (fwrite(bytes, 1, size, t->output) == size) return true;
    t->write_error = errno ? errno : EIO;
    return false;
}

/* ---- from a folder ---- */

static nacre_status copy_from(transfer *t, const char *path)
{
    enum { CHUNK = 1 << 16 };
    char chunk[CHUNK];
    FILE *input = fopen(path, "rb");
    if (!input) return fail_system(t, "read", path, errno);
    nacre_status status = NACRE_OK;
    int64_t done = t->offset;
    if (fseeko(input, t->offset, SEEK_SET) != 0) status = fail_system(t, "read", path, errno);
    for (size_t got; status == NACRE_OK && (got = fread(chunk, 1, sizeof chunk, input)) > 0;) {
        if (!write_some(t, chunk, got, done)) break;
        done += (int64_t)got;
        if (!goes_on(t, done)) status = fail_cancelled(t);
    }
    if (status == NACRE_OK && ferror(input)) status = fail_system(t, "read", path, EIO);
    fclose(input);
    return status;
}

static nacre_status copy_from_folder(transfer *t, const char *folder)
{
    char *path = nacre_path_join(t->context, folder, t->file->path);
    nacre_status status = path ? copy_from(t, path) : NACRE_ERROR_MEMORY;
    nacre_release(t->context, path);
    return status;
}

/* ---- from a URL ---- */

#ifdef NACRE_HAVE_CURL

/* libcurl is opened when something is downloaded and not before: it takes milliseconds to load. */
static struct curl_library {
    void *handle;
    __typeof__(curl_global_init) *global_init;
    __typeof__(curl_easy_init) *easy_init;
    __typeof__(curl_easy_setopt) *easy_setopt;
    __typeof__(curl_easy_perform) *easy_perform;
    __typeof__(curl_easy_strerror) *easy_strerror;
    __typeof__(curl_easy_cleanup) *easy_cleanup;
} curl;

static void load_curl(void)
{
    static const char *const NAMES[] = {"libcurl.so.4", "libcurl-gnutls.so.4", "libcurl.4.dylib"};
    struct curl_library found = {0};
    for (size_t i = 0; !found.handle && i < sizeof NAMES / sizeof *NAMES; i++)
        found.handle = dlopen(NAMES[i], RTLD_NOW | RTLD_LOCAL);
    if (!found.handle) return;
    /* POSIX lets an object pointer carry a function's address; C has no cast for it. */
    *(void **)&found.global_init = dlsym(found.handle, "curl_global_init");
    *(void **)&found.easy_init = dlsym(found.handle, "curl_easy_init");
    *(void **)&found.easy_setopt = dlsym(found.handle, "curl_easy_setopt");
    *(void **)&found.easy_perform = dlsym(found.handle, "curl_easy_perform");
    *(void **)&found.easy_strerror = dlsym(found.handle, "curl_easy_strerror");
    *(void **)&found.easy_cleanup = dlsym(found.handle, "curl_easy_cleanup");
    bool complete = found.global_init && found.easy_init && found.easy_setopt && found.easy_perform &&
                    found.easy_strerror && found.easy_cleanup;
    if (complete && found.global_init(CURL_GLOBAL_DEFAULT) == CURLE_OK) curl = found;
}

static size_t on_bytes(char *bytes, size_t size, size_t count, void *user)
{
    transfer *t = user;
    return write_some(t, bytes, size * count, ftello(t->output)) ? size * count : 0;
}

static int on_progress(void *user, curl_off_t total, curl_off_t done, curl_off_t up_total, curl_off_t up_done)
{
    (void)total;
    (void)up_total;
    (void)up_done;
    transfer *t = user;
    return !goes_on(t, t->offset + done);
}

static char *make_url(transfer *t, const char *mirror)
{
    nacre_buffer url = nacre_buffer_create(t->context);
    size_t size = strlen(mirror);
    while (size && mirror[size - 1] == '/') size--;
    nacre_buffer_put(&url, mirror, size);
    nacre_buffer_put(&url, "/", 1);
    for (const char *c = t->file->path; *c; c++) {
        bool plain =
            (*c >= 'a' && *c <= 'z') || (*c >= 'A' && *c <= 'Z') || (*c >= '0' && *c <= '9') || strchr("-._~/+", *c);
        nacre_buffer_print(&url, plain ? "%c" : "%%%02X", (unsigned char)*c);
    }
    return nacre_buffer_take(&url, NULL);
}

static CURLcode perform(transfer *t, CURL *handle, const char *url, char reason[CURL_ERROR_SIZE])
{
    enum { CONNECT_SECONDS = 30, SILENT_SECONDS = 60 };
    *reason = 0;
    curl.easy_setopt(handle, CURLOPT_URL, url);
    curl.easy_setopt(handle, CURLOPT_ERRORBUFFER, reason);
    curl.easy_setopt(handle, CURLOPT_FAILONERROR, 1L);
    curl.easy_setopt(handle, CURLOPT_FOLLOWLOCATION, 1L);
    curl.easy_setopt(handle, CURLOPT_MAXREDIRS, 10L);
#if LIBCURL_VERSION_NUM >= 0x075500
    curl.easy_setopt(handle, CURLOPT_PROTOCOLS_STR, "https,http,file");
    curl.easy_setopt(handle, CURLOPT_REDIR_PROTOCOLS_STR, "https,http");
#endif
    curl.easy_setopt(handle, CURLOPT_NOSIGNAL, 1L);
    curl.easy_setopt(handle, CURLOPT_CONNECTTIMEOUT, (long)CONNECT_SECONDS);
    curl.easy_setopt(handle, CURLOPT_LOW_SPEED_LIMIT, 1L);
    curl.easy_setopt(handle, CURLOPT_LOW_SPEED_TIME, (long)SILENT_SECONDS);
    curl.easy_setopt(handle, CURLOPT_USERAGENT, "nacre/" NACRE_VERSION_STRING);
    curl.easy_setopt(handle, CURLOPT_RESUME_FROM_LARGE, (curl_off_t)t->offset);
    curl.easy_setopt(handle, CURLOPT_WRITEFUNCTION, on_bytes);
    curl.easy_setopt(handle, CURLOPT_WRITEDATA, t);
    curl.easy_setopt(handle, CURLOPT_XFERINFOFUNCTION, on_progress);
    curl.easy_setopt(handle, CURLOPT_XFERINFODATA, t);
    curl.easy_setopt(handle, CURLOPT_NOPROGRESS, 0L);
    return curl.easy_perform(handle);
}

/* Begins at the front again; for servers that cannot continue. */
static bool start_over(transfer *t)
{
    t->offset = 0;
    rewind(t->output);
    return ftruncate(fileno(t->output), 0) == 0;
}

static nacre_status download_with(transfer *t, CURL *handle, const char *url)
{
    char reason[CURL_ERROR_SIZE];
    CURLcode code = perform(t, handle, url, reason);
    if (code == CURLE_RANGE_ERROR && start_over(t)) code = perform(t, handle, url, reason);
    if (t->cancelled) return fail_cancelled(t);
    if (code == CURLE_OK || t->write_error) return NACRE_OK; /* what was written will be judged */
    if (code == CURLE_PARTIAL_FILE) return NACRE_OK;
    return nacre_fail(t->context, NACRE_ERROR_IO, "cannot get %s: %s", url,
                      *reason ? reason : curl.easy_strerror(code));
}

static nacre_status download(transfer *t, const char *mirror)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, load_curl);
    if (!curl.handle)
        return nacre_fail(
            t->context, NACRE_ERROR_UNSUPPORTED,
            "downloading needs libcurl (libcurl.so.4), which cannot be opened; a folder works as a mirror "
            "without it");
    char *url = make_url(t, mirror);
    if (!url) return NACRE_ERROR_MEMORY;
    CURL *handle = curl.easy_init();
    nacre_status status = handle ? download_with(t, handle, url)
                                 : nacre_fail(t->context, NACRE_ERROR_MEMORY, "out of memory for a download");
    if (handle) curl.easy_cleanup(handle);
    nacre_release(t->context, url);
    return status;
}

#else

static nacre_status download(transfer *t, const char *mirror)
{
    return nacre_fail(t->context, NACRE_ERROR_UNSUPPORTED,
                      "%s: this build has no libcurl; put the files in place by hand, or use a folder as the mirror",
                      mirror);
}

#endif

/* ---- one file ---- */

/* The size there is, -1 if there is no such file. */
static int64_t size_of(const char *path)
{
    struct stat info;
    return stat(path, &info) == 0 ? info.st_size : -1;
}

static nacre_status open_part(transfer *t)
{
    int file = open(t->part, O_RDWR | O_CREAT | O_CLOEXEC, 0666);
    if (file < 0) return fail_system(t, "write", t->part, errno);
    if (flock(file, LOCK_EX | LOCK_NB) != 0) {
        close(file);
        return nacre_fail(t->context, NACRE_ERROR_BUSY, "'%s' is being written by another process", t->part);
    }
    t->output = fdopen(file, "r+b");
    if (!t->output) {
        close(file);
        return fail_system(t, "write", t->part, errno);
    }
    if (fseeko(t->output, 0, SEEK_END) != 0) return fail_system(t, "write", t->part, errno);
    t->offset = ftello(t->output);
    if (t->offset <= t->file->bytes) return NACRE_OK;
    rewind(t->output); /* it cannot become the right file */
    t->offset = 0;
    return ftruncate(file, 0) == 0 ? NACRE_OK : fail_system(t, "write", t->part, errno);
}

static nacre_status close_part(transfer *t)
{
    if (!t->output) return NACRE_OK;
    bool good = fflush(t->output) == 0 && fsync(fileno(t->output)) == 0;
    int code = errno;
    fclose(t->output);
    t->output = NULL;
    if (good && t->write_error && t->write_error != EFBIG) return fail_system(t, "write", t->part, t->write_error);
    return good ? NACRE_OK : fail_system(t, "write", t->part, code);
}

static nacre_status reject(transfer *t, const char *what, const char *got, const char *expected)
{
    unlink(t->part);
    return nacre_fail(t->context, NACRE_ERROR_FORMAT,
                      "%s: %s %s, expected %s; what came was removed, the mirror has "
                      "another file",
                      t->file->path, what, got, expected);
}

/* Only what is complete and has the right content gets the name. */
static nacre_status finish(transfer *t)
{
    char hex[65];
    int64_t size = size_of(t->part);
    if (t->write_error == EFBIG) {
        snprintf(hex, sizeof hex, "%lld bytes", (long long)t->file->bytes);
        return reject(t, "got", "more", hex);
    }
    if (size < t->file->bytes)
        return nacre_fail(t->context, NACRE_ERROR_IO,
                          "%s: the transfer ended after %lld of %lld bytes; run it again to "
                          "continue",
                          t->file->path, (long long)size, (long long)t->file->bytes);
    nacre_status status = nacre_file_sha256(t->context, t->part, hex);
    if (status != NACRE_OK) return status;
    if (strcmp(hex, t->file->sha256)) return reject(t, "got SHA-256", hex, t->file->sha256);
    return rename(t->part, t->target) == 0 ? NACRE_OK : fail_system(t, "rename", t->part, errno);
}

static nacre_status bring(transfer *t, const char *mirror)
{
    nacre_status status = open_part(t);
    const bool ours = status == NACRE_OK;
    if (ours && t->offset < t->file->bytes)
        status = strstr(mirror, "://") ? download(t, mirror) : copy_from_folder(t, mirror);
    nacre_status closed = close_part(t);
    if (status == NACRE_OK) status = closed;
    if (ours && status != NACRE_OK && size_of(t->part) == 0) unlink(t->part); /* nothing came, so nothing stays */
    return status == NACRE_OK ? finish(t) : status;
}

/* Whether the right file is there already. */
static bool is_done(const transfer *t)
{
    char hex[65];
    if (size_of(t->target) != t->file->bytes) return false;
    nacre_context *quiet = nacre_context_fork(t->context); /* an unreadable file is no failure here */
    bool same = quiet && nacre_file_sha256(quiet, t->target, hex) == NACRE_OK && !strcmp(hex, t->file->sha256);
    nacre_context_destroy(quiet);
    return same;
}

static nacre_status make_folder(transfer *t)
{
    char *folder = nacre_duplicate(t->context, t->target);
    if (!folder) return NACRE_ERROR_MEMORY;
    char *slash = strrchr(folder, '/');
    if (slash) *slash = 0;
    nacre_status status = slash && *folder ? nacre_make_directories(t->context, folder) : NACRE_OK;
    nacre_release(t->context, folder);
    return status;
}

static nacre_status fetch_file(nacre_context *context, const nacre_catalogue_file *file, const char *folder,
                               const char *mirror, const nacre_fetch_options *options)
{
    transfer t = {.context = context, .file = file, .options = options};
    t.target = nacre_path_join(context, folder, file->path);
    nacre_buffer part = nacre_buffer_create(context);
    if (t.target) nacre_buffer_print(&part, "%s.part", t.target);
    t.part = part.data;
    nacre_status status = t.target && !part.failed ? NACRE_OK : NACRE_ERROR_MEMORY;
    if (status == NACRE_OK && !is_done(&t)) {
        if (!mirror)
            status = nacre_fail(context, NACRE_ERROR_ARGUMENT,
                                "%s is not there, and no mirror is known to get it from: "
                                "name a folder or URL that has it with --mirror or NACRE_MIRROR (none is built in)",
                                t.target);
        if (status == NACRE_OK) status = make_folder(&t);
        if (status == NACRE_OK) status = bring(&t, mirror);
    }
    if (status == NACRE_OK && !goes_on(&t, file->bytes)) status = fail_cancelled(&t);
    nacre_release(context, t.target);
    nacre_buffer_destroy(&part);
    return status;
}

nacre_status nacre_catalogue_fetch(nacre_context *context, const nacre_catalogue_set *set,
                                   const nacre_fetch_options *options)
{
    static const nacre_fetch_options DEFAULTS;
    if (!options) options = &DEFAULTS;
    const char *folder = options->folder ? options->folder : getenv("NACRE_DATA");
    const char *mirror = options->mirror ? options->mirror : getenv("NACRE_MIRROR");
    if (!folder)
        return nacre_fail(context, NACRE_ERROR_ARGUMENT,
                          "where to? Name the folder of data sets with --data or NACRE_DATA");
    nacre_status status = NACRE_OK;
    for (int i = 0; status == NACRE_OK && i < set->file_count; i++)
        status = fetch_file(context, &set->files[i], folder, mirror, options);
    return status;
}

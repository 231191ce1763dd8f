/* Fetching: from folders and over HTTP, continued, refused; against a small server of our own on the loopback. */
#include "support.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <pthread.h>
#include <sys/socket.h>
#include <sys/stat.h>

static nacre_context *ctx;

enum { SIZE = 100000 };
static char content[SIZE];
static char sha256[65];
static nacre_catalogue_file file = {.path = "toy/some+file 1.bin", .sha256 = sha256, .bytes = SIZE};
static const nacre_catalogue_set set = {.name = "toy", .files = &file, .file_count = 1};

/* ---- a server ---- */

typedef enum behaviour { WITH_RANGES, WITHOUT_RANGES, CUTS_OFF, NOT_FOUND, WRONG, TOO_LONG, CLOSED } behaviour;

typedef struct server {
    int socket, port;
    _Atomic behaviour behaviour;
    atomic_int ranges;
    atomic_long first; /* of the last range asked for */
    char path[256];    /* of the last request: read `requests` first */
    atomic_int requests;
    pthread_t thread;
} server;

static void send_all(int connection, const char *bytes, size_t size)
{
    while (size > 0) {
        ssize_t sent = send(connection, bytes, size, MSG_NOSIGNAL);
        if (sent <= 0) return;
        bytes += sent;
        size -= (size_t)sent;
    }
}

static void answer(server *self, int connection)
{
    char request[4096] = "", head[256];
    size_t size = 0;
    for (ssize_t got; !strstr(request, "\r\n\r\n") && size < sizeof request - 1; size += (size_t)got) {
        got = recv(connection, request + size, sizeof request - 1 - size, 0);
        if (got <= 0) return;
        request[size + (size_t)got] = 0;
    }
    sscanf(request, "GET %255s", self->path);
    self->requests++;
    const char *range = strstr(request, "Range: bytes=");
    self->first = range ? strtol(range + 13, NULL, 10) : -1;
    self->ranges += range != NULL;
    long start = self->behaviour == WITHOUT_RANGES || self->first < 0 ? 0 : self->first;
    if (self->behaviour == NOT_FOUND) {
        const char *refusal = "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
        send_all(connection, refusal, strlen(refusal));
        return;
    }
    long length = SIZE - start + (self->behaviour == TOO_LONG ? 10 : 0);
    if (start > 0)
        snprintf(head, sizeof head,
                 "HTTP/1.1 206 Partial Content\r\nContent-Range: bytes %ld-%d/%d\r\nContent-Length: %ld\r\n", start,
                 SIZE - 1, SIZE, length);
    else
        snprintf(head, sizeof head, "HTTP/1.1 200 OK\r\nContent-Length: %ld\r\n", length);
    send_all(connection, head, strlen(head));
    send_all(connection, "Connection: close\r\n\r\n", 21);
    long sent = self->behaviour == CUTS_OFF ? (SIZE - start) / 3 : SIZE - start;
    if (self->behaviour == WRONG) {
        char other = 'x';
        send_all(connection, &other, 1);
        send_all(connection, content + start + 1, (size_t)sent - 1);
    } else {
        send_all(connection, content + start, (size_t)sent);
    }
    if (self->behaviour == TOO_LONG) send_all(connection, "0123456789", 10);
}

static void *serve(void *argument)
{
    server *self = argument;
    for (int connection; (connection = accept(self->socket, NULL, NULL)) >= 0;) {
        if (self->behaviour != CLOSED) answer(self, connection);
        shutdown(connection, SHUT_RDWR);
        close(connection);
        if (self->behaviour == CLOSED) break;
    }
    return NULL;
}

static bool start_server(server *self)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof address;
    self->socket = socket(AF_INET, SOCK_STREAM, 0);
    if (self->socket < 0 || bind(self->socket, (struct sockaddr *)&address, sizeof address) ||
        listen(self->socket, 8) || getsockname(self->socket, (struct sockaddr *)&address, &size))
        return false;
    self->port = ntohs(address.sin_port);
    return pthread_create(&self->thread, NULL, serve, self) == 0;
}

static void stop_server(server *self)
{
    struct sockaddr_in address = {
        .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK), .sin_port = htons((uint16_t)self->port)};
    self->behaviour = CLOSED;
    int knock = socket(AF_INET, SOCK_STREAM, 0);
    if (connect(knock, (struct sockaddr *)&address, sizeof address) == 0) pthread_join(self->thread, NULL);
    close(knock);
    close(self->socket);
}

/* ---- a folder to fetch into ---- */

static const char *data_folder(void)
{
    return nc_file("data");
}

static const char *target_path(const char *ending)
{
    static char path[512];
    snprintf(path, sizeof path, "%s/%s%s", data_folder(), file.path, ending);
    return path;
}

static void write_part(size_t size)
{
    char folder[512];
    snprintf(folder, sizeof folder, "%s/toy", data_folder());
    nacre_make_directories(ctx, folder);
    nacre_file_write(ctx, target_path(".part"), content, size);
}

static void clean(void)
{
    unlink(target_path(""));
    unlink(target_path(".part"));
}

static nacre_status fetch(const char *mirror)
{
    return nacre_catalogue_fetch(ctx, &set, &(nacre_fetch_options){.folder = data_folder(), .mirror = mirror});
}

static void check_fetched(void)
{
    NC_CHECK_OK(ctx);
    NC_CHECK_INT(nacre_catalogue_check(ctx, &set, data_folder(), true), NACRE_OK);
    NC_CHECK(!nacre_path_exists(target_path(".part")));
    NC_CHECK_OK(ctx);
}

static int64_t part_size(void)
{
    struct stat info;
    return stat(target_path(".part"), &info) == 0 ? info.st_size : -1;
}

/* ---- from folders ---- */

static void make_mirror(const char *name, size_t size)
{
    char folder[512], path[1024];
    snprintf(folder, sizeof folder, "%s/toy", nc_file(name));
    NC_CHECK_INT(nacre_make_directories(ctx, folder), NACRE_OK);
    snprintf(path, sizeof path, "%s/%s", nc_file(name), file.path);
    NC_CHECK_INT(nacre_file_write(ctx, path, content, size), NACRE_OK);
}

static void from_a_folder(void)
{
    clean();
    make_mirror("mirror", SIZE);
    NC_CHECK_INT(fetch(nc_file("mirror")), NACRE_OK);
    check_fetched();
    NC_CHECK_INT(fetch("/nowhere"), NACRE_OK); /* it is there: nothing to get */
    nacre_file_write(ctx, target_path(""), "torn", 4);
    NC_CHECK_INT(fetch(nc_file("mirror")), NACRE_OK); /* a wrong file is replaced */
    check_fetched();
    clean();
    write_part(40000);
    NC_CHECK_INT(fetch(nc_file("mirror")), NACRE_OK);
    check_fetched();
    clean();
    write_part(SIZE); /* complete, but never given its name */
    NC_CHECK_INT(fetch("/nowhere"), NACRE_OK);
    check_fetched();
    clean();
    char url[512];
    snprintf(url, sizeof url, "file://%s", nc_file("mirror"));
    nacre_status status = fetch(url);
    if (status == NACRE_ERROR_UNSUPPORTED)
        nacre_clear(ctx); /* built without libcurl */
    else
        check_fetched();
}

static void refused_from_a_folder(void)
{
    clean();
    NC_CHECK_INT(fetch(nc_file("nothing")), NACRE_ERROR_NOT_FOUND);
    NC_CHECK_FAILED(ctx, NACRE_ERROR_NOT_FOUND, "some+file 1.bin");
    make_mirror("short", 60000);
    NC_CHECK_INT(fetch(nc_file("short")), NACRE_ERROR_IO);
    NC_CHECK_FAILED(ctx, NACRE_ERROR_IO, "ended after 60000 of 100000 bytes; run it again");
    NC_CHECK_INT(part_size(), 60000);
    NC_CHECK(!nacre_path_exists(target_path("")));
    NC_CHECK_INT(fetch(nc_file("mirror")), NACRE_OK); /* continued from elsewhere */
    check_fetched();
    clean();
    content[70000] ^= 1;
    make_mirror("wrong", SIZE);
    content[70000] ^= 1;
    NC_CHECK_INT(fetch(nc_file("wrong")), NACRE_ERROR_FORMAT);
    NC_CHECK_CONTAINS(nacre_message(ctx), "got SHA-256");
    NC_CHECK_CONTAINS(nacre_message(ctx), sha256);
    NC_CHECK_FAILED(ctx, NACRE_ERROR_FORMAT, "removed");
    NC_CHECK_INT(part_size(), -1);
    file.bytes = 50000;
    NC_CHECK_INT(fetch(nc_file("mirror")), NACRE_ERROR_FORMAT);
    NC_CHECK_FAILED(ctx, NACRE_ERROR_FORMAT, "got more, expected 50000 bytes");
    file.bytes = SIZE;
    NC_CHECK_INT(part_size(), -1);
    NC_CHECK(!nacre_path_exists(target_path("")));
}

static void no_mirror_no_folder(void)
{
    clean();
    unsetenv("NACRE_MIRROR");
    unsetenv("NACRE_DATA");
    NC_CHECK_INT(fetch(NULL), NACRE_ERROR_ARGUMENT);
    NC_CHECK_FAILED(ctx, NACRE_ERROR_ARGUMENT, "none is built in");
    NC_CHECK_INT(nacre_catalogue_fetch(ctx, &set, NULL), NACRE_ERROR_ARGUMENT);
    NC_CHECK_FAILED(ctx, NACRE_ERROR_ARGUMENT, "NACRE_DATA");
    setenv("NACRE_MIRROR", nc_file("mirror"), 1);
    setenv("NACRE_DATA", data_folder(), 1);
    NC_CHECK_INT(nacre_catalogue_fetch(ctx, &set, NULL), NACRE_OK);
    check_fetched();
    unsetenv("NACRE_MIRROR");
    unsetenv("NACRE_DATA");
}

static bool stop_halfway(void *user, const nacre_catalogue_file *which, int64_t done, int64_t total)
{
    *(int64_t *)user = done;
    NC_CHECK(which == &file && total == SIZE && done <= total);
    return done < SIZE / 2;
}

static void cancelled(void)
{
    clean();
    int64_t done = 0;
    nacre_fetch_options options = {
        .folder = data_folder(), .mirror = nc_file("mirror"), .progress = stop_halfway, .user = &done};
    NC_CHECK_INT(nacre_catalogue_fetch(ctx, &set, &options), NACRE_ERROR_CANCELLED);
    NC_CHECK_FAILED(ctx, NACRE_ERROR_CANCELLED, "continued");
    NC_CHECK(done >= SIZE / 2 && part_size() == done);
    NC_CHECK_INT(fetch(nc_file("mirror")), NACRE_OK);
    check_fetched();
}

static void without_permission(void)
{
    if (geteuid() == 0) return; /* root may write everywhere */
    clean();
    char folder[512];
    snprintf(folder, sizeof folder, "%s/toy", data_folder());
    NC_CHECK_INT(chmod(folder, 0500), 0);
    NC_CHECK_INT(fetch(nc_file("mirror")), NACRE_ERROR_IO);
    NC_CHECK_FAILED(ctx, NACRE_ERROR_IO, "Permission denied");
    chmod(folder, 0700);
}

/* ---- over HTTP ---- */

static void over_http(void)
{
    char url[128];
    server self = {.behaviour = WITH_RANGES};
    NC_REQUIRE(start_server(&self));
    snprintf(url, sizeof url, "http://127.0.0.1:%d/sets/", self.port);
    clean();
    if (fetch(url) == NACRE_ERROR_UNSUPPORTED) { /* built without libcurl */
        nacre_clear(ctx);
        stop_server(&self);
        return;
    }
    check_fetched();
    NC_CHECK_INT(self.requests, 1);
    NC_CHECK_TEXT(self.path, "/sets/toy/some+file%201.bin");
    NC_CHECK_INT(self.ranges, 0);

    clean();
    write_part(40000);
    NC_CHECK_INT(fetch(url), NACRE_OK);
    check_fetched();
    NC_CHECK_INT(self.first, 40000);

    clean();
    self.behaviour = CUTS_OFF;
    NC_CHECK_INT(fetch(url), NACRE_ERROR_IO);
    NC_CHECK_FAILED(ctx, NACRE_ERROR_IO, "ended after 33333 of 100000 bytes; run it again to continue");
    NC_CHECK_INT(part_size(), 33333);
    NC_CHECK_INT(fetch(url), NACRE_ERROR_IO);
    NC_CHECK_INT(part_size(), 33333 + 22222);
    nacre_clear(ctx);
    self.behaviour = WITH_RANGES;
    NC_CHECK_INT(fetch(url), NACRE_OK);
    check_fetched();
    NC_CHECK_INT(self.first, 55555);

    clean();
    write_part(40000);
    self.behaviour = WITHOUT_RANGES;
    NC_CHECK_INT(fetch(url), NACRE_OK); /* starts over */
    check_fetched();

    clean();
    self.behaviour = NOT_FOUND;
    NC_CHECK_INT(fetch(url), NACRE_ERROR_IO);
    NC_CHECK_FAILED(ctx, NACRE_ERROR_IO, "404");
    NC_CHECK(!nacre_path_exists(target_path("")));
    self.behaviour = WRONG;
    NC_CHECK_INT(fetch(url), NACRE_ERROR_FORMAT);
    NC_CHECK_FAILED(ctx, NACRE_ERROR_FORMAT, "got SHA-256");
    NC_CHECK_INT(part_size(), -1);
    self.behaviour = TOO_LONG;
    NC_CHECK_INT(fetch(url), NACRE_ERROR_FORMAT);
    NC_CHECK_FAILED(ctx, NACRE_ERROR_FORMAT, "got more");
    NC_CHECK_INT(part_size(), -1);
    int64_t done = 0;
    self.behaviour = WITH_RANGES;
    nacre_fetch_options options = {.folder = data_folder(), .mirror = url, .progress = stop_halfway, .user = &done};
    NC_CHECK_INT(nacre_catalogue_fetch(ctx, &set, &options), NACRE_ERROR_CANCELLED);
    nacre_clear(ctx);
    NC_CHECK(!nacre_path_exists(target_path("")));
    stop_server(&self);
    clean();
    NC_CHECK_INT(fetch(url), NACRE_ERROR_IO); /* nobody there */
    NC_CHECK_FAILED(ctx, NACRE_ERROR_IO, "cannot get http://127.0.0.1");
    NC_CHECK_INT(fetch("gopher://127.0.0.1/x"), NACRE_ERROR_IO);
    NC_CHECK_FAILED(ctx, NACRE_ERROR_IO, "cannot get gopher:");
}

/* ---- the catalogue itself ---- */

static void catalogue_is_sound(void)
{
    int count = 0;
    for (const nacre_catalogue_set *s; (s = nacre_catalogue_at(count)); count++) {
        nc_test = s->name;
        NC_CHECK(s->file_count > 0 && *s->task && *s->licence);
        NC_CHECK(nacre_catalogue_find(s->name) == s);
        NC_CHECK(nacre_catalogue_bytes(s) >= s->files[0].bytes);
        for (int i = 0; i < s->file_count; i++) {
            const nacre_catalogue_file *f = &s->files[i];
            NC_CHECK(f->bytes > 0 && *f->format && *f->source);
            NC_CHECK_INT(strspn(f->sha256, "0123456789abcdef"), 64);
            NC_CHECK_INT(strlen(f->sha256), 64);
            NC_CHECK(!strncmp(f->path, s->name, strlen(s->name)) && f->path[strlen(s->name)] == '/');
        }
    }
    NC_CHECK(count > 30);
    NC_CHECK(nacre_catalogue_at(-1) == NULL);
    NC_CHECK(nacre_catalogue_find("nonsense") == NULL);
    const nacre_catalogue_set *mnist = nacre_catalogue_find("mnist");
    NC_REQUIRE(mnist);
    NC_CHECK_INT(mnist->train, 60000);
    NC_CHECK_INT(mnist->test, 10000);
    NC_CHECK_INT(mnist->file_count, 4);
    NC_CHECK_TEXT(nacre_catalogue_dataset(mnist, 0), "mnist");
    NC_CHECK(nacre_catalogue_dataset(mnist, 1) == NULL);
    const nacre_catalogue_set *classics = nacre_catalogue_find("tabular_classics");
    NC_CHECK_TEXT(nacre_catalogue_dataset(classics, 1), "tabular_classics/wine");
    NC_CHECK(nacre_catalogue_dataset(nacre_catalogue_find("esc10"), 0) == NULL);
}

static void checked(void)
{
    clean();
    NC_CHECK_INT(nacre_catalogue_check(ctx, &set, data_folder(), false), NACRE_ERROR_NOT_FOUND);
    NC_CHECK_FAILED(ctx, NACRE_ERROR_NOT_FOUND, "nacre data get toy");
    content[5] ^= 1;
    write_part(SIZE);
    content[5] ^= 1;
    char part[512];
    snprintf(part, sizeof part, "%s", target_path(".part"));
    NC_CHECK_INT(rename(part, target_path("")), 0);
    NC_CHECK_INT(nacre_catalogue_check(ctx, &set, data_folder(), false), NACRE_OK);
    NC_CHECK_INT(nacre_catalogue_check(ctx, &set, data_folder(), true), NACRE_ERROR_FORMAT);
    NC_CHECK_FAILED(ctx, NACRE_ERROR_FORMAT, "has SHA-256");
    nacre_file_write(ctx, target_path(""), content, 10);
    NC_CHECK_INT(nacre_catalogue_check(ctx, &set, data_folder(), false), NACRE_ERROR_FORMAT);
    NC_CHECK_FAILED(ctx, NACRE_ERROR_FORMAT, "has 10 bytes, expected 100000");
}

static bool fetch_once(nacre_context *context, void *user)
{
    (void)user;
    clean();
    nacre_fetch_options options = {.folder = data_folder(), .mirror = nc_file("mirror")};
    return nacre_catalogue_fetch(context, &set, &options) == NACRE_OK;
}

static void out_of_memory(void)
{
    nc_fail_each_allocation(fetch_once, NULL);
}

int main(void)
{
    setenv("no_proxy", "127.0.0.1", 1);
    ctx = nacre_context_create(&(nacre_context_options){.threads = 1});
    for (int i = 0; i < SIZE; i++) content[i] = (char)(i * 7 + i / 251);
    nacre_file_write(ctx, nc_file("content"), content, SIZE);
    nacre_file_sha256(ctx, nc_file("content"), sha256);
    NC_RUN(from_a_folder);
    NC_RUN(refused_from_a_folder);
    NC_RUN(no_mirror_no_folder);
    NC_RUN(cancelled);
    NC_RUN(without_permission);
    NC_RUN(over_http);
    NC_RUN(catalogue_is_sound);
    NC_RUN(checked);
    NC_RUN(out_of_memory);
    nacre_context_destroy(ctx);
    return nc_report();
}

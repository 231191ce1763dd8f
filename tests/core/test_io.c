/* Growing buffers, atomic files, mappings, locks, hashes, nearest names. */
#include "support.h"

#include <dirent.h>
#include <sys/resource.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/wait.h>

static nacre_context *ctx;

static int files_in(const char *folder)
{
    int count = 0;
    DIR *directory = opendir(folder);
    if (!directory) return -1;
    for (struct dirent *entry; (entry = readdir(directory));)
        count += strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0;
    closedir(directory);
    return count;
}

static const char *fresh_folder(const char *name)
{
    const char *path = nc_file(name);
    NC_CHECK_INT(nacre_make_directories(ctx, path), NACRE_OK);
    return path;
}

static void buffers_grow(void)
{
    nacre_buffer buffer = nacre_buffer_create(ctx);
    NC_CHECK(buffer.data == NULL);
    for (int i = 0; i < 1000; i++) nacre_buffer_print(&buffer, "%d,", i);
    NC_CHECK_INT(buffer.size, 3890);
    NC_CHECK_INT(strlen(buffer.data), buffer.size);
    NC_CHECK(strncmp(buffer.data, "0,1,2,3,", 8) == 0);
    NC_CHECK_TEXT(buffer.data + buffer.size - 8, "998,999,");
    nacre_buffer_clear(&buffer);
    NC_CHECK_TEXT(buffer.data, "");
    nacre_buffer_put(&buffer, "a\0b", 3);
    NC_CHECK_INT(buffer.size, 3);

    size_t size = 0;
    char *taken = nacre_buffer_take(&buffer, &size);
    NC_CHECK_INT(size, 3);
    NC_CHECK(memcmp(taken, "a\0b", 4) == 0);
    NC_CHECK(buffer.data == NULL && buffer.size == 0);
    nacre_release(ctx, taken);

    taken = nacre_buffer_take(&buffer, &size);
    NC_CHECK_TEXT(taken, "");
    NC_CHECK_INT(size, 0);
    nacre_release(ctx, taken);
    NC_CHECK_OK(ctx);
}

static void buffers_refuse_the_impossible(void)
{
    nacre_buffer buffer = nacre_buffer_create(ctx);
    nacre_buffer_put(&buffer, "x", 1);
    nacre_buffer_put(&buffer, "x", SIZE_MAX - 8);
    NC_CHECK(buffer.failed);
    nacre_buffer_print(&buffer, "more");
    NC_CHECK(nacre_buffer_take(&buffer, NULL) == NULL);
    NC_CHECK_FAILED(ctx, NACRE_ERROR_MEMORY, "out of memory");
}

static void text_is_quoted(void)
{
    nacre_buffer buffer = nacre_buffer_create(ctx);
    nacre_buffer_quote(&buffer, "a\"b\\c\n\t\x01 \xc3\xa9");
    NC_CHECK_TEXT(buffer.data, "\"a\\\"b\\\\c\\n\\u0009\\u0001 \xc3\xa9\"");
    nacre_buffer_clear(&buffer);
    nacre_buffer_quote(&buffer, "");
    NC_CHECK_TEXT(buffer.data, "\"\"");
    nacre_buffer_destroy(&buffer);
    NC_CHECK_OK(ctx);
}

static void numbers_come_back(void)
{
    static const double values[] = {0, 1, -1, 0.1, 1.0 / 3, 1e-5, 123456789012, 1e300, 5e-324, 0x1p53, 0.1f, -2.5};
    nacre_buffer buffer = nacre_buffer_create(ctx);
    for (size_t i = 0; i < sizeof values / sizeof *values; i++) {
        double back = NAN;
        nacre_buffer_clear(&buffer);
        nacre_buffer_number(&buffer, values[i]);
        NC_CHECK(nacre_parse_number(buffer.data, &back));
        NC_CHECK_NEAR(back, values[i], 0);
    }
    nacre_buffer_clear(&buffer);
    nacre_buffer_number(&buffer, 0.001);
    NC_CHECK_TEXT(buffer.data, "0.001");
    nacre_buffer_destroy(&buffer);

    static const char *const good[] = {"3", "-0.5", ".5", "5.", "+1e-3", "1E6", "007"};
    static const char *const bad[] = {"",   "-",   ".",     "1 ",  " 1",    "0x10", "nan", "inf",
                                      "1e", "1e+", "1e400", "1,5", "1.2.3", "e3",   "--1", "1_000"};
    double value = 0;
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) NC_CHECK(nacre_parse_number(good[i], &value));
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) NC_CHECK(!nacre_parse_number(bad[i], &value));
    NC_CHECK_OK(ctx);
}

static void pools_keep_and_free(void)
{
    nacre_pool pool = {.context = ctx};
    char *text = nacre_pool_copy(&pool, "abcdef", 3);
    NC_CHECK_TEXT(text, "abc");
    for (int i = 0; i < 100; i++) {
        double *numbers = nacre_pool_allocate(&pool, 10 * sizeof *numbers);
        NC_REQUIRE(numbers);
        for (int j = 0; j < 10; j++) NC_CHECK(numbers[j] == 0);
    }
    NC_CHECK_TEXT(text, "abc");
    nacre_pool_destroy(&pool);
    nacre_pool_destroy(&pool);
    NC_CHECK_OK(ctx);
}

static void utf8_is_recognised(void)
{
    static const char *const good[] = {
        "", "plain", "\xc3\xa9", "\xe2\x82\xac", "\xf0\x9f\x90\x9a", "\xf4\x8f\xbf\xbf", "\xed\x9f\xbf"};
    static const char *const bad[] = {"\x80",         "\xc3",     "\xc0\xaf",         "\xe0\x80\xaf",
                                      "\xed\xa0\x80", "\xe2\x82", "\xf0\x80\x80\x80", "\xf4\x90\x80\x80",
                                      "\xff",         "a\xc3 b"};
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) NC_CHECK(nacre_is_utf8(good[i], strlen(good[i])));
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) NC_CHECK(!nacre_is_utf8(bad[i], strlen(bad[i])));
}

static void files_come_back(void)
{
    const char *path = nc_file("whole");
    static char data[300000];
    for (size_t i = 0; i < sizeof data; i++) data[i] = (char)(i * 7 + (i >> 8));
    for (size_t size = 0; size <= sizeof data; size = size * 3 + 1) {
        NC_CHECK_INT(nacre_file_write(ctx, path, data, size), NACRE_OK);
        size_t got = 99;
        char *back = nacre_file_read(ctx, path, 0, &got);
        NC_REQUIRE(back);
        NC_CHECK_INT(got, size);
        NC_CHECK(memcmp(back, data, size) == 0 && back[size] == 0);
        nacre_release(ctx, back);

        nacre_mapping mapping;
        NC_CHECK_INT(nacre_file_map(ctx, path, &mapping), NACRE_OK);
        NC_CHECK_INT(mapping.size, size);
        NC_CHECK(mapping.data && memcmp(mapping.data, data, size) == 0);
        nacre_file_unmap(&mapping);
    }
    NC_CHECK_OK(ctx);
}

static void reading_says_what_is_wrong(void)
{
    NC_CHECK(!nacre_file_read(ctx, nc_file("absent"), 0, NULL));
    NC_CHECK_FAILED(ctx, NACRE_ERROR_NOT_FOUND, "absent': No such file");
    NC_CHECK(!nacre_file_read(ctx, nc_folder(), 0, NULL));
    NC_CHECK_FAILED(ctx, NACRE_ERROR_IO, "directory");
    nacre_mapping mapping;
    NC_CHECK_INT(nacre_file_map(ctx, nc_folder(), &mapping), NACRE_ERROR_IO);
    NC_CHECK_FAILED(ctx, NACRE_ERROR_IO, "directory");
    NC_CHECK_INT(nacre_file_map(ctx, "/dev/null", &mapping), NACRE_ERROR_IO);
    NC_CHECK_FAILED(ctx, NACRE_ERROR_IO, "not a regular file");

    const char *path = nc_file("large");
    nacre_file_write(ctx, path, "12345678", 8);
    NC_CHECK(!nacre_file_read(ctx, path, 7, NULL));
    NC_CHECK_FAILED(ctx, NACRE_ERROR_FORMAT, "larger than the 7 bytes");
    char *text = nacre_file_read(ctx, path, 8, NULL);
    NC_CHECK_TEXT(text, "12345678");
    nacre_release(ctx, text);
    text = nacre_file_read(ctx, "/proc/self/stat", 0, NULL); /* tells a size of 0 */
    NC_CHECK(text && strlen(text) > 10);
    nacre_release(ctx, text);
    NC_CHECK_OK(ctx);
}

static void writing_is_all_or_nothing(void)
{
    const char *folder = fresh_folder("atomic");
    const char *path = nc_file("atomic/file");
    nacre_file_write(ctx, path, "old", 3);
    chmod(path, 0640);

    nacre_writer *writer = nacre_writer_open(ctx, path);
    NC_REQUIRE(writer);
    NC_CHECK_INT(nacre_writer_put(writer, "new ", 4), NACRE_OK);
    char *text = nacre_file_read(ctx, path, 0, NULL);
    NC_CHECK_TEXT(text, "old");
    nacre_release(ctx, text);
    nacre_writer_abandon(writer);
    NC_CHECK_INT(files_in(folder), 1);

    writer = nacre_writer_open(ctx, path);
    nacre_writer_put(writer, "new ", 4);
    nacre_writer_put(writer, "text", 4);
    NC_CHECK_INT(nacre_writer_commit(writer), NACRE_OK);
    text = nacre_file_read(ctx, path, 0, NULL);
    NC_CHECK_TEXT(text, "new text");
    nacre_release(ctx, text);
    NC_CHECK_INT(files_in(folder), 1);
    struct stat info;
    NC_CHECK(stat(path, &info) == 0 && (info.st_mode & 07777) == 0640);

    const char *link = nc_file("atomic/link");
    NC_CHECK_INT(symlink("file", link), 0);
    NC_CHECK_INT(nacre_file_write(ctx, link, "through", 7), NACRE_OK);
    NC_CHECK(lstat(link, &info) == 0 && S_ISLNK(info.st_mode));
    text = nacre_file_read(ctx, path, 0, NULL);
    NC_CHECK_TEXT(text, "through");
    nacre_release(ctx, text);

    nacre_writer_abandon(NULL);
    NC_CHECK_INT(nacre_writer_put(NULL, "", 0), NACRE_ERROR_ARGUMENT);
    NC_CHECK_INT(nacre_writer_commit(NULL), NACRE_ERROR_ARGUMENT);
    NC_CHECK_OK(ctx);
}

static void writing_says_what_is_wrong(void)
{
    NC_CHECK_INT(nacre_file_write(ctx, nc_file("nowhere/file"), "x", 1), NACRE_ERROR_NOT_FOUND);
    NC_CHECK_FAILED(ctx, NACRE_ERROR_NOT_FOUND, "nowhere/file': No such file");
    NC_CHECK_INT(nacre_file_write(ctx, nc_folder(), "x", 1), NACRE_ERROR_IO);
    NC_CHECK_FAILED(ctx, NACRE_ERROR_IO, "not a regular file");
    NC_CHECK_INT(nacre_file_write(ctx, "/dev/null", "x", 1), NACRE_ERROR_IO);
    NC_CHECK_FAILED(ctx, NACRE_ERROR_IO, "not a regular file");
}

/* The kernel refuses bytes past RLIMIT_FSIZE as it would on a full disk. */
static void a_full_disk_leaves_nothing(void)
{
    const char *folder = fresh_folder("full");
    const char *path = nc_file("full/file");
    nacre_file_write(ctx, path, "old", 3);
    struct rlimit before, small;
    getrlimit(RLIMIT_FSIZE, &before);
    small = before;
    small.rlim_cur = 4096;
    signal(SIGXFSZ, SIG_IGN);
    NC_CHECK_INT(setrlimit(RLIMIT_FSIZE, &small), 0);
    static const char data[10000];
    nacre_status status = nacre_file_write(ctx, path, data, sizeof data);
    setrlimit(RLIMIT_FSIZE, &before);
    NC_CHECK_INT(status, NACRE_ERROR_IO);
    NC_CHECK_FAILED(ctx, NACRE_ERROR_IO, "cannot write");
    NC_CHECK_INT(files_in(folder), 1);
    char *text = nacre_file_read(ctx, path, 0, NULL);
    NC_CHECK_TEXT(text, "old");
    nacre_release(ctx, text);
}

static void a_forbidden_file_stays(void)
{
    if (geteuid() == 0) return; /* root may write everywhere */
    const char *path = nc_file("forbidden");
    nacre_file_write(ctx, path, "old", 3);
    chmod(path, 0400);
    NC_CHECK_INT(nacre_file_write(ctx, path, "new", 3), NACRE_ERROR_IO);
    NC_CHECK_FAILED(ctx, NACRE_ERROR_IO, "Permission denied");
}

static void folders_are_made(void)
{
    char path[300];
    snprintf(path, sizeof path, "%s/a/b/c/", nc_folder());
    NC_CHECK_INT(nacre_make_directories(ctx, path), NACRE_OK);
    NC_CHECK(nacre_path_is_directory(path));
    NC_CHECK_INT(nacre_make_directories(ctx, path), NACRE_OK);
    nacre_file_write(ctx, nc_file("a/file"), "x", 1);
    NC_CHECK(nacre_path_exists(nc_file("a/file")));
    NC_CHECK(!nacre_path_is_directory(nc_file("a/file")));
    NC_CHECK(!nacre_path_exists(nc_file("a/none")));
    NC_CHECK_OK(ctx);
    NC_CHECK_INT(nacre_make_directories(ctx, nc_file("a/file/d")), NACRE_ERROR_IO);
    NC_CHECK_FAILED(ctx, NACRE_ERROR_IO, "a/file': Not a directory");
}

static void short_names_are_folders_too(void)
{
    char *before = getcwd(NULL, 0);
    NC_REQUIRE(before && chdir(nc_folder()) == 0);
    NC_CHECK_INT(nacre_make_directories(ctx, "s"), NACRE_OK);
    NC_CHECK(nacre_path_is_directory("s"));
    NC_CHECK_INT(nacre_make_directories(ctx, "."), NACRE_OK);
    NC_CHECK_INT(nacre_make_directories(ctx, "/"), NACRE_OK);
    NC_CHECK_OK(ctx);
    NC_CHECK(chdir(before) == 0);
    free(before);
}

static void files_are_removed(void)
{
    const char *path = nc_file("removed");
    nacre_file_write(ctx, path, "x", 1);
    NC_CHECK_INT(nacre_file_remove(ctx, path), NACRE_OK);
    NC_CHECK(!nacre_path_exists(path));
    NC_CHECK_INT(nacre_file_remove(ctx, path), NACRE_OK);
    NC_CHECK_INT(nacre_file_remove(ctx, nc_folder()), NACRE_ERROR_IO);
    NC_CHECK_FAILED(ctx, NACRE_ERROR_IO, "cannot remove");
}

static void paths_join(void)
{
    static const char *const cases[][3] = {{"a", "b", "a/b"},    {"a/", "b", "a/b"}, {"", "b", "b"},
                                           {"a", "/b", "/b"},    {"/", "b", "/b"},   {"a/b", "../c", "a/b/../c"},
                                           {".", "x.y", "./x.y"}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char *joined = nacre_path_join(ctx, cases[i][0], cases[i][1]);
        NC_CHECK_TEXT(joined, cases[i][2]);
        nacre_release(ctx, joined);
    }
    NC_CHECK_OK(ctx);
}

static void locks_keep_others_out(void)
{
    const char *folder = fresh_folder("locked");
    nacre_lock *lock = nacre_lock_directory(ctx, folder);
    NC_REQUIRE(lock);
    char holder[64];
    snprintf(holder, sizeof holder, "in use by process %ld", (long)getpid());

    pid_t child = fork();
    if (child == 0) {
        bool refused = !nacre_lock_directory(ctx, folder) && nacre_check(ctx) == NACRE_ERROR_BUSY &&
                       strstr(nacre_message(ctx), holder);
        _exit(refused ? 0 : 1);
    }
    int result = -1;
    waitpid(child, &result, 0);
    NC_CHECK_INT(result, 0);
    NC_CHECK(!nacre_lock_directory(ctx, folder));
    NC_CHECK_FAILED(ctx, NACRE_ERROR_BUSY, holder);

    nacre_unlock(lock);
    lock = nacre_lock_directory(ctx, folder);
    NC_CHECK(lock);
    nacre_unlock(lock);
    nacre_unlock(NULL);
    NC_CHECK_OK(ctx);
    NC_CHECK(!nacre_lock_directory(ctx, nc_file("no-such-folder")));
    NC_CHECK_FAILED(ctx, NACRE_ERROR_NOT_FOUND, "cannot lock");
}

/* A child that is gone when its number is used. */
static void leftovers_of_the_dead_are_removed(void)
{
    const char *folder = fresh_folder("left");
    pid_t child = fork();
    if (child == 0) _exit(0);
    waitpid(child, NULL, 0);
    char dead[64], alive[64];
    snprintf(dead, sizeof dead, "left/.nacre-%ld-3.tmp", (long)child);
    snprintf(alive, sizeof alive, "left/.nacre-%ld-3.tmp", (long)getpid());
    const char *const names[] = {dead, alive, "left/.nacre-1x.tmp", "left/.nacre-99999-1.tmpx", "left/own"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) nacre_file_write(ctx, nc_file(names[i]), "x", 1);
    nacre_unlock(nacre_lock_directory(ctx, folder));
    NC_CHECK_OK(ctx);
    NC_CHECK(!nacre_path_exists(nc_file(dead)));
    for (size_t i = 1; i < sizeof names / sizeof *names; i++) NC_CHECK(nacre_path_exists(nc_file(names[i])));
}

static void hashes_are_sha256(void)
{
    char hex[65];
    const char *path = nc_file("hashed");
    nacre_file_write(ctx, path, "abc", 3); /* FIPS 180-4's own example */
    NC_CHECK_INT(nacre_file_sha256(ctx, path, hex), NACRE_OK);
    NC_CHECK_TEXT(hex, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    nacre_file_write(ctx, path, "", 0);
    nacre_file_sha256(ctx, path, hex);
    NC_CHECK_TEXT(hex, "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
    NC_CHECK_OK(ctx);
    NC_CHECK_INT(nacre_file_sha256(ctx, nc_file("absent"), hex), NACRE_ERROR_NOT_FOUND);
    NC_CHECK_FAILED(ctx, NACRE_ERROR_NOT_FOUND, "absent");
}

static void time_goes_forward(void)
{
    double before = nacre_seconds();
    NC_CHECK(before > 0 && nacre_seconds() >= before);
}

static void nearest_names_are_found(void)
{
    static const char *const names[] = {"epochs", "batch_size", "learning_rate", "seed", "x", NULL};
    NC_CHECK_TEXT(nacre_nearest("epoch", names), "epochs");
    NC_CHECK_TEXT(nacre_nearest("EPOCHS", names), "epochs");
    NC_CHECK_TEXT(nacre_nearest("batchsize", names), "batch_size");
    NC_CHECK_TEXT(nacre_nearest("learnign_rate", names), "learning_rate");
    NC_CHECK_TEXT(nacre_nearest("sede", names), "seed");
    NC_CHECK(nacre_nearest("y", names) == NULL);
    NC_CHECK(nacre_nearest("momentum", names) == NULL);
    NC_CHECK(nacre_nearest("", names) == NULL);
    char monster[4000];
    memset(monster, 'a', sizeof monster - 1);
    monster[sizeof monster - 1] = 0;
    NC_CHECK(nacre_nearest(monster, names) == NULL);
}

static bool use_everything(nacre_context *context, void *user)
{
    const char *path = user;
    if (nacre_file_write(context, path, "some text", 9) != NACRE_OK) return false;
    char *text = nacre_file_read(context, path, 0, NULL);
    char *joined = nacre_path_join(context, "a", "b");
    bool done = text && strcmp(text, "some text") == 0 && joined;
    nacre_release(context, text);
    nacre_release(context, joined);
    nacre_buffer buffer = nacre_buffer_create(context);
    for (int i = 0; i < 100; i++) nacre_buffer_print(&buffer, "line %d\n", i);
    done = done && !buffer.failed;
    nacre_buffer_destroy(&buffer);
    nacre_lock *lock = nacre_lock_directory(context, nc_folder());
    done = done && lock;
    nacre_unlock(lock);
    return nacre_make_directories(context, nc_file("m/n")) == NACRE_OK && done;
}

static void every_allocation_may_fail(void)
{
    fresh_folder("memory");
    char path[300];
    snprintf(path, sizeof path, "%s/memory/file", nc_folder());
    nc_fail_each_allocation(use_everything, path);
    NC_CHECK_INT(files_in(nc_file("memory")), 1);
}

int main(void)
{
    ctx = nacre_context_create(NULL);
    NC_RUN(buffers_grow);
    NC_RUN(buffers_refuse_the_impossible);
    NC_RUN(text_is_quoted);
    NC_RUN(numbers_come_back);
    NC_RUN(pools_keep_and_free);
    NC_RUN(utf8_is_recognised);
    NC_RUN(files_come_back);
    NC_RUN(reading_says_what_is_wrong);
    NC_RUN(writing_is_all_or_nothing);
    NC_RUN(writing_says_what_is_wrong);
    NC_RUN(a_full_disk_leaves_nothing);
    NC_RUN(a_forbidden_file_stays);
    NC_RUN(folders_are_made);
    NC_RUN(short_names_are_folders_too);
    NC_RUN(files_are_removed);
    NC_RUN(paths_join);
    NC_RUN(locks_keep_others_out);
    NC_RUN(leftovers_of_the_dead_are_removed);
    NC_RUN(hashes_are_sha256);
    NC_RUN(time_goes_forward);
    NC_RUN(nearest_names_are_found);
    NC_RUN(every_allocation_may_fail);
    nacre_context_destroy(ctx);
    return nc_report();
}

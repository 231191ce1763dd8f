/* support.h - test.h and what tests of files and failures share: a scratch folder, expected failures, memory that
 * runs out.
 */
#ifndef NC_SUPPORT_H
#define NC_SUPPORT_H

#include "test.h"

#include <nacre/nacre.h>

#include <stdatomic.h>
#include <stdlib.h>
#include <unistd.h>

/* ---- expected and unexpected failures ---- */

/* The context failed with this status and a message that contains `part`; the failure is cleared. */
#define NC_CHECK_FAILED(context, expected, part)                                                                       \
    do {                                                                                                               \
        if (nacre_check(context) != (expected))                                                                        \
            NC_COMPLAIN("status is \"%s\" (%s), expected \"%s\"", nacre_status_text(nacre_check(context)),             \
                        nacre_message(context), nacre_status_text(expected));                                          \
        NC_CHECK_CONTAINS(nacre_message(context), part);                                                               \
        nacre_clear(context);                                                                                          \
    } while (0)

/* No failure is recorded. */
#define NC_CHECK_OK(context)                                                                                           \
    do {                                                                                                               \
        if (nacre_check(context) != NACRE_OK) NC_COMPLAIN("unexpected failure: %s", nacre_message(context));           \
        nacre_clear(context);                                                                                          \
    } while (0)

/* ---- a folder of this process, removed when it ends ---- */

static char nc_folder_name[64];

static inline void nc_remove_folder(void)
{
    char command[128];
    snprintf(command, sizeof command, "rm -rf '%s'", nc_folder_name);
    if (system(command) != 0) fprintf(stderr, "cannot remove %s\n", nc_folder_name);
}

static inline const char *nc_folder(void)
{
    if (!*nc_folder_name) {
        /* In memory where there is such a place: thousands of small files are written. */
        const char *place = access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp";
        snprintf(nc_folder_name, sizeof nc_folder_name, "%s/nacre-test-XXXXXX", place);
        if (!mkdtemp(nc_folder_name)) exit(1);
        atexit(nc_remove_folder);
    }
    return nc_folder_name;
}

/* "name" in that folder; valid until the eighth call after this one. */
static inline const char *nc_file(const char *name)
{
    static char names[8][256];
    static unsigned next;
    char *path = names[next++ % 8];
    snprintf(path, sizeof names[0], "%s/%s", nc_folder(), name);
    return path;
}

/* A file of the source tree: the tests run with NACRE_SOURCE set, or in the tree's root. Valid until the next call. */
static inline const char *nc_source(const char *name)
{
    static char path[4096];
    const char *root = getenv("NACRE_SOURCE");
    snprintf(path, sizeof path, "%s/%s", root ? root : ".", name);
    return path;
}

/* ---- memory that runs out ---- */

/* Fails once: at the allocation with index `fail_at`, counted from 0 (-1: never). `live` counts blocks that were not
 * freed. A loader's workers allocate too, hence the atomic counts. */
typedef struct nc_allocator {
    atomic_long count, live;
    long fail_at;
} nc_allocator;

static inline void *nc_allocator_resize(void *user, void *pointer, size_t size)
{
    nc_allocator *allocator = user;
    if (size == 0) {
        allocator->live -= pointer != NULL;
        free(pointer);
        return NULL;
    }
    if (allocator->count++ == allocator->fail_at) return NULL;
    allocator->live += pointer == NULL;
    return realloc(pointer, size);
}

/* Runs `body` in a fresh one-threaded context again and again while its 1st, 2nd, ... allocation fails, until it gets
 * by without a failure. `body` returns whether it did its work: each time it has either done so or left
 * NACRE_ERROR_MEMORY in the context, and it has freed all it took. */
static inline void nc_fail_each_allocation(bool (*body)(nacre_context *context, void *user), void *user)
{
    for (long skip = 0;; skip++) {
        nc_allocator allocator = {.fail_at = -1};
        nacre_context_options options = {.allocator = {&allocator, nc_allocator_resize}, .threads = 1};
        nacre_context *context = nacre_context_create(&options);
        NC_REQUIRE(context);
        long live = allocator.live;
        allocator.fail_at = allocator.count + skip;
        bool done = body(context, user);
        bool reached = allocator.count > allocator.fail_at;
        if (!done && nacre_check(context) != NACRE_ERROR_MEMORY)
            NC_COMPLAIN("allocation %ld failed: expected \"out of memory\", got \"%s\"", skip, nacre_message(context));
        if (!done && !reached) NC_COMPLAIN("not done although no allocation failed: %s", nacre_message(context));
        if (allocator.live != live)
            NC_COMPLAIN("allocation %ld failed: %ld blocks leaked", skip, allocator.live - live);
        nacre_context_destroy(context);
        if (allocator.live != 0) NC_COMPLAIN("allocation %ld failed: %ld blocks leaked at last", skip, allocator.live);
        if (!reached) return;
    }
}

/* As nc_fail_each_allocation, for what leaves compiled plans in the context. With `thinning` > 0 the steps between the
 * allocations that fail grow by a share of 1 / thinning: for what allocates tens of thousands of times. */
static inline void nc_fail_planning_allocations(bool (*body)(nacre_context *context, void *user), void *user,
                                                long thinning)
{
    bool reached = true;
    for (long skip = 0; reached; skip += 1 + (thinning ? skip / thinning : 0)) {
        nc_allocator allocator = {.fail_at = -1};
        nacre_context *context = nacre_context_create(
            &(nacre_context_options){.allocator = {&allocator, nc_allocator_resize}, .threads = 1});
        NC_REQUIRE(context);
        allocator.fail_at = allocator.count + skip;
        bool done = body(context, user);
        reached = allocator.count > allocator.fail_at;
        if (!done && nacre_check(context) != NACRE_ERROR_MEMORY)
            NC_COMPLAIN("allocation %ld failed: expected \"out of memory\", got \"%s\"", skip, nacre_message(context));
        if (!done && !reached) NC_COMPLAIN("not done although no allocation failed: %s", nacre_message(context));
        nacre_context_destroy(context);
        if (allocator.live != 0) NC_COMPLAIN("allocation %ld failed: %ld blocks leaked", skip, allocator.live);
    }
}

static inline void nc_fail_each_planning_allocation(bool (*body)(nacre_context *context, void *user), void *user)
{
    nc_fail_planning_allocations(body, user, 0);
}

#endif

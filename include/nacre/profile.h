/* profile.h - where the time of running plans goes.
 *
 *     nacre_profile *profile = nacre_profile_create(ctx);
 *     nacre_profile_start(profile);
 *     ... nacre_run(graph) ...
 *     nacre_profile_stop(profile);
 *     nacre_profile_print(profile, &ceiling, &text);
 *     nacre_profile_write_trace(profile, "trace.json");
 *     nacre_profile_destroy(profile);
 *
 * Every step of every plan that the context runs while a profile is started is timed on the calling thread, which waits
 * for the compute team, and set against what the step must do at least: the operations of matrix products and
 * convolutions (a multiply-add counts as two), and its operands and results read and written once. A context whose
 * profile is stopped pays one comparison a run.
 */
#ifndef NACRE_PROFILE_H
#define NACRE_PROFILE_H

#include <nacre/io.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct nacre_profile nacre_profile;

NACRE_API nacre_profile *nacre_profile_create(nacre_context *context);
NACRE_API void nacre_profile_destroy(nacre_profile *profile); /* stops it first; NULL is fine */
/* One profile of a context collects at a time: starting another one stops the first. What was collected before stays
 * and is added to. */
NACRE_API void nacre_profile_start(nacre_profile *profile);
NACRE_API void nacre_profile_stop(nacre_profile *profile);

/* All runs of one operation by one kernel, or, at `path`, of one layer; texts are valid until the profile is
 * destroyed. */
typedef struct nacre_profile_row {
    const char *op, *variant;
    int64_t calls;
    double seconds, least;    /* in all; of the fastest call */
    double operations, bytes; /* in all */
    double half_operations;   /* those of `operations` whose factors are bf16 */
} nacre_profile_row;

/* Row `index`, the longest time first; false past the end. */
NACRE_API bool nacre_profile_at(nacre_profile *profile, int index, nacre_profile_row *row);
NACRE_API int64_t nacre_profile_runs(const nacre_profile *profile);   /* of plans */
NACRE_API double nacre_profile_seconds(const nacre_profile *profile); /* of all steps */

/* What the machine can do at most, in operations and bytes a second; 0: not known. */
typedef struct nacre_ceiling {
    double operations, bytes;
    double half_operations; /* of bf16 factors; 0: as many as of f32 */
} nacre_ceiling;
/* Measures them with the context's threads: some hundredths of a second, and 192 MiB of memory meanwhile. */
NACRE_API nacre_status nacre_ceiling_measure(nacre_context *context, nacre_ceiling *ceiling);
/* The least time for so much work over the time it took: 1 at the ceiling. */
NACRE_API double nacre_profile_share(const nacre_profile_row *row, const nacre_ceiling *ceiling);

/* Appends a table, one line a row: time, its share of all, calls, GFLOP/s, GB/s and, if `ceiling` is not NULL, the
 * share of the bound (the nearer of the two ceilings). */
NACRE_API nacre_status nacre_profile_print(nacre_profile *profile, const nacre_ceiling *ceiling, nacre_buffer *text);

/* Writes the steps on a time line as Chrome's trace event format (JSON), which Perfetto (ui.perfetto.dev) and
 * chrome://tracing open. The first million steps are kept. */
NACRE_API nacre_status nacre_profile_write_trace(const nacre_profile *profile, const char *path);

#ifdef __cplusplus
}
#endif

#endif

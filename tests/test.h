/* test.h - a test is a program: named functions with checks in them; exit code 0 passed, 1 failed, 77 skipped.
 *
 *     static void addition(void) { NC_CHECK_INT(1 + 1, 2); }
 *     int main(void) { NC_RUN(addition); return nc_report(); }
 *
 * A failed check prints where and which values, counts, and the test goes on; NC_REQUIRE leaves the function.
 */
#ifndef NC_TEST_H
#define NC_TEST_H

#include <inttypes.h>
#include <math.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

enum { NC_SKIPPED = 77 };

static int nc_failures;
static const char *nc_test = "";

#define NC_COMPLAIN(...)                                                                                               \
    (nc_failures++, fprintf(stderr, "%s:%d: %s: ", __FILE__, __LINE__, nc_test), fprintf(stderr, __VA_ARGS__),         \
     fputc('\n', stderr))

#define NC_CHECK(condition) ((condition) ? (void)0 : (void)NC_COMPLAIN("%s does not hold", #condition))

#define NC_REQUIRE(condition)                                                                                          \
    do {                                                                                                               \
        if (!(condition)) {                                                                                            \
            NC_COMPLAIN("%s does not hold", #condition);                                                               \
            return;                                                                                                    \
        }                                                                                                              \
    } while (0)

#define NC_CHECK_INT(got, expected)                                                                                    \
    do {                                                                                                               \
        int64_t nc_got = (int64_t)(got), nc_expected = (int64_t)(expected);                                            \
        if (nc_got != nc_expected) NC_COMPLAIN("%s is %" PRId64 ", expected %" PRId64, #got, nc_got, nc_expected);     \
    } while (0)

#define NC_CHECK_NEAR(got, expected, tolerance)                                                                        \
    do {                                                                                                               \
        double nc_got = (double)(got), nc_expected = (double)(expected);                                               \
        if (!(fabs(nc_got - nc_expected) <= (tolerance)))                                                              \
            NC_COMPLAIN("%s is %.17g, expected %.17g", #got, nc_got, nc_expected);                                     \
    } while (0)

#define NC_CHECK_TEXT(got, expected)                                                                                   \
    do {                                                                                                               \
        const char *nc_got = (got), *nc_expected = (expected);                                                         \
        if (!nc_got || strcmp(nc_got, nc_expected))                                                                    \
            NC_COMPLAIN("%s is \"%s\", expected \"%s\"", #got, nc_got ? nc_got : "(null)", nc_expected);               \
    } while (0)

/* `text` contains `part`: for messages. */
#define NC_CHECK_CONTAINS(text, part)                                                                                  \
    do {                                                                                                               \
        const char *nc_got = (text), *nc_part = (part);                                                                \
        if (!nc_got || !strstr(nc_got, nc_part))                                                                       \
            NC_COMPLAIN("%s is \"%s\", expected \"%s\" in it", #text, nc_got ? nc_got : "(null)", nc_part);            \
    } while (0)

#define NC_RUN(function) (nc_test = #function, function())

static inline int nc_report(void)
{
    if (nc_failures) fprintf(stderr, "%d checks failed\n", nc_failures);
    return nc_failures ? 1 : 0;
}

#endif

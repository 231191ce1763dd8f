/* Kernels chosen by timing: what is kept, found again and thrown away. */
#include "support.h"
#include "test.h"

#include <nacre/nacre.h>

#include <string.h>

enum { TIMES = 256, SIZE = 2 * 16 * 12 * 12 };

typedef struct seen {
    char times[TIMES], variant[64];
} seen;

static void look(void *user, const nacre_plan_step *step)
{
    seen *all = user;
    if (strcmp(step->op, "conv")) return;
    snprintf(all->times, sizeof all->times, "%s", step->times);
    snprintf(all->variant, sizeof all->variant, "%s", step->variant);
}

static int warnings;

static void count_warnings(void *user, nacre_log_level level, const char *message)
{
    (void)user;
    warnings += level == NACRE_LOG_WARNING && strstr(message, "measured anew");
}

/* A convolution planned in a context of its own, as by another process; the results are compared with `expected`. */
static seen plan_one(bool deterministic, nacre_kernel_choice choice, float *result)
{
    nacre_context *context = nacre_context_create(&(nacre_context_options){.threads = 1,
                                                                           .deterministic = deterministic,
                                                                           .kernels = choice,
                                                                           .kernel_folder = nc_file("cache"),
                                                                           .log = count_warnings});
    static float x[SIZE], w[16 * 16 * 9];
    for (int i = 0; i < SIZE; i++) x[i] = (float)(i % 7) - 3;
    for (int i = 0; i < 16 * 16 * 9; i++) w[i] = (float)(i % 5) - 2;
    nacre_graph *graph = nacre_graph_create(context);
    nacre_tensor *input = nacre_input(graph, "x", NACRE_F32, NACRE_SHAPE(2, 16, 12, 12));
    nacre_tensor *weight = nacre_input(graph, "w", NACRE_F32, NACRE_SHAPE(16, 16, 3, 3));
    nacre_tensor *y = nacre_conv_with(input, weight, NULL, &(nacre_conv_options){.padding = {1, 1}});
    seen all = {0};
    nacre_output(y);
    nacre_feed(input, x);
    nacre_feed(weight, w);
    NC_CHECK_INT(nacre_plan_visit(graph, look, &all), NACRE_OK);
    NC_CHECK_INT(nacre_run(graph), NACRE_OK);
    NC_CHECK_INT(nacre_read(y, result, SIZE * sizeof *result), NACRE_OK);
    nacre_graph_destroy(graph);
    nacre_context_destroy(context);
    return all;
}

static int lines_of(const char *path)
{
    FILE *file = fopen(path, "rb");
    int lines = 0;
    for (int c; file && (c = getc(file)) != EOF;) lines += c == '\n';
    if (file) fclose(file);
    return lines;
}

static void write_text(const char *path, const char *text)
{
    FILE *file = fopen(path, "wb");
    NC_REQUIRE(file);
    fputs(text, file);
    fclose(file);
}

static float reference[SIZE], result[SIZE];

static void times_are_kept(void)
{
    seen rules = plan_one(false, NACRE_KERNELS_HEURISTIC, reference);
    NC_CHECK(!*rules.times);
    seen first = plan_one(false, NACRE_KERNELS_BENCHMARK, result);
    NC_CHECK(strstr(first.times, "winograd") && strstr(first.times, "direct") && strstr(first.times, " us"));
    NC_CHECK(strstr(first.times, first.variant) != NULL);
    for (int i = 0; i < SIZE; i++) NC_CHECK_NEAR(result[i], reference[i], 1e-3);
    NC_CHECK_INT(lines_of(nc_file("cache/kernels.txt")), 3); /* header, one problem, end */
    seen again = plan_one(false, NACRE_KERNELS_BENCHMARK, result);
    NC_CHECK(!strcmp(first.times, again.times)); /* to a tenth of a microsecond: it was read, not timed */
    NC_CHECK(!strcmp(first.variant, again.variant));
    plan_one(true, NACRE_KERNELS_BENCHMARK, result);
    NC_CHECK_INT(lines_of(nc_file("cache/kernels.txt")), 4); /* determinism is another problem */
    NC_CHECK_INT(warnings, 0);
}

static void files_of_others_are_replaced(void)
{
    static const char *const texts[] = {"", "nacre kernels 0.0.0 on another processor\nend 0\n", "\tno\n\n", "end 0"};
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        write_text(nc_file("cache/kernels.txt"), texts[i]);
        warnings = 0;
        NC_CHECK(*plan_one(false, NACRE_KERNELS_BENCHMARK, result).times);
        NC_CHECK_INT(warnings, 1);
        NC_CHECK_INT(lines_of(nc_file("cache/kernels.txt")), 3);
    }
}

/* Cut anywhere, the file is thrown away as a whole. */
static void torn_files_are_replaced(void)
{
    char text[4096];
    FILE *file = fopen(nc_file("cache/kernels.txt"), "rb");
    NC_REQUIRE(file);
    const size_t size = fread(text, 1, sizeof text - 1, file);
    fclose(file);
    for (size_t cut = 1; cut < size; cut += size / 7) {
        const char kept = text[size - cut];
        text[size - cut] = 0;
        write_text(nc_file("cache/kernels.txt"), text);
        text[size - cut] = kept;
        warnings = 0;
        plan_one(false, NACRE_KERNELS_BENCHMARK, result);
        NC_CHECK_INT(warnings, 1);
        NC_CHECK_INT(lines_of(nc_file("cache/kernels.txt")), 3);
    }
}

int main(void)
{
    NC_RUN(times_are_kept);
    NC_RUN(files_of_others_are_replaced);
    NC_RUN(torn_files_are_replaced);
    return nc_report();
}

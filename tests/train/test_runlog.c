/* The log of a run: what is written is read back to the same bits, and torn or repeated ends are dealt with. */
#include "support.h"

#include <nacre/report.h>

static nacre_context *ctx;

static void append_epoch(nacre_run_log *log, int64_t step, double loss)
{
    const nacre_log_field fields[] = {{.key = "epoch", .value = (double)step / 10},
                                      {.key = "train.loss", .value = loss}};
    NC_CHECK_INT(nacre_run_log_append(log, "epoch", step, fields, 2), NACRE_OK);
}

/* A fresh log of epochs at steps 10, 20, 30. */
static const char *write_log(const char *name)
{
    const char *path = nc_file(name);
    nacre_run_log *log = nacre_run_log_open(ctx, path, -1);
    for (int64_t step = 10; step <= 30; step += 10) append_epoch(log, step, 1.0 / (double)step);
    NC_CHECK_INT(nacre_run_log_close(log), NACRE_OK);
    NC_CHECK_OK(ctx);
    return path;
}

static void append_raw(const char *path, const char *text)
{
    FILE *file = fopen(path, "ab");
    NC_REQUIRE(file);
    fputs(text, file);
    fclose(file);
}

static char *read_text(const char *path)
{
    size_t size;
    return nacre_file_read(ctx, path, 0, &size);
}

static void lines_are_records(void)
{
    const char *path = nc_file("lines.jsonl");
    nacre_run_log *log = nacre_run_log_open(ctx, path, -1);
    const nacre_log_field fields[] = {
        {.key = "seed", .value = 7}, {.key = "recipe", .text = "a \"b\"\n\xff"}, {.key = "loss", .value = NAN}};
    NC_CHECK_INT(nacre_run_log_append(log, "start", 0, fields, 3), NACRE_OK);
    NC_CHECK_INT(nacre_run_log_close(log), NACRE_OK);
    char *text = read_text(path);
    NC_REQUIRE(text);
    NC_CHECK(strncmp(text, "{\"event\":\"start\",\"step\":0,\"time\":1", 34) == 0);
    NC_CHECK_CONTAINS(text, ",\"seed\":7,\"recipe\":\"a \\\"b\\\"\xef\xbf\xbd\xef\xbf\xbd\",\"loss\":\"NaN\"}\n");
    nacre_release(ctx, text);
}

static void numbers_come_back(void)
{
    const double values[] = {0.1, 1.0 / 3, 5e-324, 1.7976931348623157e308, -0.0, NAN, INFINITY, -INFINITY, 3};
    enum { COUNT = sizeof values / sizeof *values };
    const char *path = nc_file("numbers.jsonl");
    nacre_run_log *log = nacre_run_log_open(ctx, path, -1);
    for (int i = 0; i < COUNT; i++)
        nacre_run_log_append(log, i % 2 ? "odd" : "even", i, &(nacre_log_field){.key = "v", .value = values[i]}, 1);
    nacre_run_log_append(log, "odd", COUNT, &(nacre_log_field){.key = "name", .text = "resnet"}, 1);
    NC_CHECK_INT(nacre_run_log_close(log), NACRE_OK);

    nacre_run_history *history = nacre_run_history_read(ctx, path);
    NC_REQUIRE(history);
    NC_CHECK_INT(nacre_run_history_count(history), COUNT + 1);
    nacre_series all = nacre_run_history_series(history, NULL, "step", "v");
    NC_REQUIRE(all.count == COUNT);
    NC_CHECK_TEXT(all.name, "v");
    for (int i = 0; i < COUNT; i++) {
        NC_CHECK_INT(all.x[i], i);
        NC_CHECK(isnan(values[i]) ? isnan(all.y[i]) : all.y[i] == values[i]);
    }
    nacre_series odd = nacre_run_history_series(history, "odd", "step", "v");
    NC_CHECK_INT(odd.count, COUNT / 2);
    NC_CHECK_INT(odd.x[1], 3);
    NC_CHECK_INT(nacre_run_history_series(history, "odd", "epoch", "v").count, 0);
    NC_CHECK_INT(nacre_run_history_series(history, NULL, "step", "name").count, 0);
    NC_CHECK_TEXT(nacre_run_history_text(history, NULL, "name"), "resnet");
    NC_CHECK(!nacre_run_history_text(history, "even", "name"));
    nacre_run_history_destroy(history);
}

static void a_torn_end_is_ignored_and_cut(void)
{
    const char *ends[] = {"{\"event\":\"epoch\",\"step\":4", "{\"event\":\"epoch\",\"step\":40}", "{\"event\":\"ep\n",
                          "\n\n"};
    for (int i = 0; i < 4; i++) {
        const char *path = write_log("torn.jsonl");
        char *whole = read_text(path);
        append_raw(path, ends[i]);
        nacre_run_history *history = nacre_run_history_read(ctx, path);
        NC_CHECK_INT(nacre_run_history_count(history), 3);
        nacre_run_history_destroy(history);

        nacre_run_log *log = nacre_run_log_open(ctx, path, 1000);
        append_epoch(log, 40, 0.5);
        nacre_run_log_close(log);
        char *text = read_text(path);
        NC_CHECK(text && strncmp(text, whole, strlen(whole)) == 0);
        NC_CHECK_CONTAINS(text + strlen(whole), "{\"event\":\"epoch\",\"step\":40,\"time\":");
        nacre_release(ctx, text);
        nacre_release(ctx, whole);
    }
    NC_CHECK_OK(ctx);
}

/* Wherever a log is cut off, what was whole before is still read. */
static void it_can_be_cut_anywhere(void)
{
    const char *path = write_log("cut.jsonl");
    char *whole = read_text(path);
    NC_REQUIRE(whole);
    int lines = 3;
    for (size_t size = strlen(whole); size > 0; size--) {
        lines -= whole[size - 1] == '\n';
        NC_REQUIRE(truncate(path, (off_t)size - 1) == 0);
        nacre_run_history *history = nacre_run_history_read(ctx, path);
        NC_CHECK_INT(nacre_run_history_count(history), lines);
        nacre_run_history_destroy(history);
    }
    NC_CHECK_INT(lines, 0);
    nacre_release(ctx, whole);
    NC_CHECK_OK(ctx);
}

static void a_bad_line_elsewhere_is_an_error(void)
{
    const char *path = write_log("bad.jsonl");
    append_raw(path, "[1, 2]\n{\"event\":\"epoch\",\"step\":50}\n");
    NC_CHECK(!nacre_run_history_read(ctx, path));
    NC_CHECK_FAILED(ctx, NACRE_ERROR_FORMAT, "bad.jsonl:4: not a JSON object: [1, 2]");
    NC_CHECK(!nacre_run_log_open(ctx, path, 100));
    NC_CHECK_FAILED(ctx, NACRE_ERROR_FORMAT, "bad.jsonl:4");
    NC_CHECK(!nacre_run_history_read(ctx, nc_file("absent.jsonl")));
    NC_CHECK_FAILED(ctx, NACRE_ERROR_NOT_FOUND, "absent.jsonl");
}

static void resuming_cuts_what_is_repeated(void)
{
    const struct {
        int64_t step;
        int kept;
    } cases[] = {{0, 0}, {9, 0}, {10, 1}, {20, 2}, {29, 2}, {30, 3}, {99, 3}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const char *path = write_log("resumed.jsonl");
        nacre_run_log *log = nacre_run_log_open(ctx, path, cases[i].step);
        NC_REQUIRE(log);
        append_epoch(log, cases[i].step + 100, 0.5);
        NC_CHECK_INT(nacre_run_log_close(log), NACRE_OK);
        nacre_run_history *history = nacre_run_history_read(ctx, path);
        nacre_series loss = nacre_run_history_series(history, "epoch", "step", "train.loss");
        NC_CHECK_INT(loss.count, cases[i].kept + 1);
        if (loss.count > 0) NC_CHECK_INT(loss.x[loss.count - 1], cases[i].step + 100);
        nacre_run_history_destroy(history);
    }
    nacre_run_log *fresh = nacre_run_log_open(ctx, nc_file("new.jsonl"), 5); /* a missing log is an empty one */
    append_epoch(fresh, 6, 1);
    nacre_run_log_close(fresh);
    nacre_run_log *over = nacre_run_log_open(ctx, write_log("again.jsonl"), -1); /* and -1 starts over */
    nacre_run_log_close(over);
    nacre_run_history *empty = nacre_run_history_read(ctx, nc_file("again.jsonl"));
    NC_CHECK_INT(nacre_run_history_count(empty), 0);
    nacre_run_history_destroy(empty);
    NC_CHECK_OK(ctx);
}

static void curves_of_a_run(void)
{
    const char *path = nc_file("curves.jsonl");
    nacre_run_log *log = nacre_run_log_open(ctx, path, -1);
    for (int epoch = 1; epoch <= 3; epoch++) {
        const nacre_log_field fields[] = {{.key = "epoch", .value = epoch},
                                          {.key = "learning_rate", .value = 1.0 / pow(10, epoch)},
                                          {.key = "validation.f1_macro", .value = 0.5 + 0.1 * epoch},
                                          {.key = "train.loss", .value = epoch == 2 ? NAN : 1.0 / epoch},
                                          {.key = "validation.loss", .value = 2.0 / epoch},
                                          {.key = "validation.mse", .value = 4.0 / epoch}};
        nacre_run_log_append(log, "epoch", epoch, fields, 6);
        nacre_run_log_append(log, "step", epoch, fields, 6); /* other records are no points */
    }
    NC_CHECK_INT(nacre_run_log_close(log), NACRE_OK);
    nacre_run_history *history = nacre_run_history_read(ctx, path);
    int count;
    const nacre_figure *figures = nacre_run_history_curves(history, 3, &count);
    NC_REQUIRE(figures && count == 4);
    NC_CHECK_TEXT(figures[0].title, "Loss");
    NC_CHECK_TEXT(figures[1].title, "F1 macro");
    NC_CHECK_TEXT(figures[2].title, "Mse");
    NC_CHECK_TEXT(figures[3].title, "Learning rate");
    NC_CHECK_INT(figures[0].series_count, 2);
    NC_CHECK_INT(figures[0].series[1].count, 3);
    NC_CHECK_TEXT(figures[0].series[1].name, "validation");
    NC_CHECK_NEAR(figures[0].series[1].x[2], 3, 0);
    NC_CHECK_NEAR(figures[0].series[1].y[2], 2.0 / 3, 0);
    NC_CHECK(figures[1].y.percent && !figures[2].y.percent && !figures[0].y.logarithmic);
    NC_CHECK(figures[3].y.logarithmic && !figures[3].mark_name && figures[0].mark == 3);
    NC_CHECK_INT(figures[1].series[0].color, 2); /* validation keeps its colour without training */
    nacre_buffer svg = nacre_buffer_create(ctx);
    for (int i = 0; i < count; i++) NC_CHECK_INT(nacre_figure_svg(ctx, &figures[i], true, &svg), NACRE_OK);
    nacre_buffer_destroy(&svg);
    nacre_run_history_destroy(history);

    history = nacre_run_history_read(ctx, write_log("few.jsonl"));
    figures = nacre_run_history_curves(history, 0, &count);
    NC_CHECK_INT(count, 1);
    NC_CHECK(figures && !figures[0].mark_name && figures[0].series_count == 1);
    nacre_run_history_destroy(history);
    NC_CHECK(!nacre_run_history_curves(NULL, 0, &count) && count == 0);
}

static void refusals(void)
{
    nacre_run_log *log = nacre_run_log_open(ctx, nc_file("order.jsonl"), -1);
    append_epoch(log, 10, 1);
    NC_CHECK_INT(nacre_run_log_append(log, "epoch", 9, NULL, 0), NACRE_ERROR_ARGUMENT);
    NC_CHECK_FAILED(ctx, NACRE_ERROR_ARGUMENT, "record of step 9 after one of step 10");
    nacre_run_log_close(log);
    NC_CHECK(!nacre_run_log_open(ctx, nc_file("no/such/folder.jsonl"), -1));
    NC_CHECK_FAILED(ctx, NACRE_ERROR_IO, "folder.jsonl");

    log = nacre_run_log_open(ctx, "/dev/full", -1);
    if (log) { /* where it exists, it takes no byte */
        NC_CHECK_INT(nacre_run_log_append(log, "epoch", 1, NULL, 0), NACRE_ERROR_IO);
        NC_CHECK_FAILED(ctx, NACRE_ERROR_IO, "No space left");
        nacre_run_log_close(log);
    }
    nacre_clear(ctx);
    NC_CHECK_INT(nacre_run_log_append(NULL, "epoch", 1, NULL, 0), NACRE_ERROR_ARGUMENT);
    NC_CHECK_INT(nacre_run_log_close(NULL), NACRE_OK);
    NC_CHECK_INT(nacre_run_history_count(NULL), 0);
}

static bool write_and_read(nacre_context *context, void *user)
{
    const char *path = user;
    nacre_run_log *log = nacre_run_log_open(context, path, 5);
    bool done =
        log && nacre_run_log_append(log, "epoch", 6, &(nacre_log_field){.key = "v", .text = "x"}, 1) == NACRE_OK;
    done = done && nacre_run_log_append(log, "epoch", 7, &(nacre_log_field){.key = "v", .value = 1}, 1) == NACRE_OK;
    done = nacre_run_log_close(log) == NACRE_OK && done;
    nacre_run_history *history = done ? nacre_run_history_read(context, path) : NULL;
    done = history && nacre_run_history_series(history, NULL, "step", "v").count == 1;
    int count;
    done = done && nacre_run_history_curves(history, 0, &count) && nacre_check(context) == NACRE_OK;
    nacre_run_history_destroy(history);
    return done;
}

static void memory_runs_out(void)
{
    nc_fail_each_allocation(write_and_read, (void *)nc_file("memory.jsonl"));
}

int main(void)
{
    ctx = nacre_context_create(&(nacre_context_options){.threads = 1});
    NC_RUN(lines_are_records);
    NC_RUN(numbers_come_back);
    NC_RUN(a_torn_end_is_ignored_and_cut);
    NC_RUN(it_can_be_cut_anywhere);
    NC_RUN(a_bad_line_elsewhere_is_an_error);
    NC_RUN(resuming_cuts_what_is_repeated);
    NC_RUN(curves_of_a_run);
    NC_RUN(refusals);
    NC_RUN(memory_runs_out);
    NC_CHECK_OK(ctx);
    nacre_context_destroy(ctx);
    return nc_report();
}

/* Progress: what is written when, at which width, with a clock that only the test moves. */
#include "support.h"

#include <nacre/report.h>

static nacre_context *ctx;

/* Takes what is written; the last piece alone, and all of it. */
typedef struct text_sink {
    double now;
    int columns, writes;
    char last[4096], all[65536];
} text_sink;

static void take(void *user, const char *text, size_t size)
{
    text_sink *sink = user;
    sink->writes++;
    snprintf(sink->last, sizeof sink->last, "%.*s", (int)size, text);
    size_t used = strlen(sink->all);
    snprintf(sink->all + used, sizeof sink->all - used, "%.*s", (int)size, text);
}

static double tell_time(void *user)
{
    return ((text_sink *)user)->now;
}

static int tell_columns(void *user)
{
    return ((text_sink *)user)->columns;
}

static nacre_progress *create(text_sink *sink, bool terminal, bool unicode, bool color)
{
    return nacre_progress_create(ctx, &(nacre_progress_options){.write = take,
                                                                .columns = tell_columns,
                                                                .clock = tell_time,
                                                                .user = sink,
                                                                .terminal = terminal,
                                                                .unicode = unicode,
                                                                .color = color});
}

static const nacre_named_value values[] = {{"loss", 0.21434}, {"accuracy", 0.9241}, {"top5", 0.999}};

static nacre_progress_state at(int64_t epoch, int64_t step)
{
    return (nacre_progress_state){.epoch = epoch,
                                  .epochs = 12,
                                  .step = step,
                                  .steps = 100,
                                  .samples = step * 128,
                                  .values = values,
                                  .value_count = 3};
}

/* Eight steps a second (exact in binary) from step `from`; returns the state after `steps` of them. */
static nacre_progress_state run(nacre_progress *progress, text_sink *sink, int64_t epoch, int64_t from, int64_t steps)
{
    nacre_progress_state state = at(epoch, from);
    for (int64_t i = 1; i <= steps; i++) {
        sink->now += 0.125;
        state = at(epoch, from + i);
        nacre_progress_update(progress, &state);
    }
    return state;
}

static int columns_of(const char *line)
{
    int columns = 0;
    for (; *line; line++) {
        if (*line == '\x1b') {
            while (*line && *line != 'm' && *line != 'K') line++;
            if (!*line) break;
        } else if (*line != '\r' && ((unsigned char)*line & 0xc0) != 0x80) {
            columns++;
        }
    }
    return columns;
}

static void bar_on_a_terminal(void)
{
    text_sink sink = {.columns = 100};
    nacre_progress *progress = create(&sink, true, true, false);
    run(progress, &sink, 3, 0, 50);
    NC_CHECK_TEXT(sink.last, "\repoch  3/12  ━━━━━━━━╸────────   50%  loss 0.2143  accuracy 0.9241  top5 0.9990  "
                             "1.02k/s  1:59 left\x1b[K");
    nacre_progress_destroy(progress);
    NC_CHECK_TEXT(sink.last, "\r\x1b[K"); /* an unfinished bar is taken away */

    progress = create(&sink, true, false, false);
    run(progress, &sink, 3, 0, 50);
    NC_CHECK_CONTAINS(sink.last, "  [=======>       ]   50%");
    nacre_progress_destroy(progress);

    progress = create(&sink, true, true, true);
    run(progress, &sink, 3, 0, 50);
    NC_CHECK_CONTAINS(sink.last, "\x1b[36m━━━━━━━━╸\x1b[0;2m━━━━━━━━\x1b[0m   50%");
    nacre_progress_destroy(progress);
}

static void it_never_wraps(void)
{
    for (int columns = 20; columns <= 200; columns++)
        for (int unicode = 0; unicode < 2; unicode++) {
            text_sink sink = {.columns = columns};
            nacre_progress *progress = create(&sink, true, unicode, unicode);
            run(progress, &sink, 3, 0, 30);
            if (columns_of(sink.last) >= columns)
                NC_COMPLAIN("%d columns on a terminal of %d: %s", columns_of(sink.last), columns, sink.last);
            NC_CHECK_CONTAINS(sink.last, "epoch  3/12");
            if (columns >= 40) NC_CHECK_CONTAINS(sink.last, "loss 0.2143");
            if (columns >= 60) NC_CHECK_CONTAINS(sink.last, "2:01 left");
            if (columns >= 84) NC_CHECK_CONTAINS(sink.last, "1.02k/s");
            nacre_progress_destroy(progress);
        }
}

static void it_redraws_ten_times_a_second(void)
{
    text_sink sink = {.columns = 80};
    nacre_progress *progress = create(&sink, true, true, false);
    nacre_progress_state state = at(1, 1);
    for (int i = 0; i < 10000; i++) { /* two seconds */
        sink.now += 0.0002;
        nacre_progress_update(progress, &state);
    }
    NC_CHECK(sink.writes >= 18 && sink.writes <= 21);
    nacre_progress_destroy(progress);
}

static void epochs_end_with_a_line_that_stays(void)
{
    text_sink sink = {.columns = 80};
    nacre_progress *progress = create(&sink, true, true, false);
    nacre_progress_state state = run(progress, &sink, 1, 0, 100);
    const nacre_named_value final[] = {{"loss", 0.2107}, {"validation loss", 0.25}, {"validation accuracy", NAN}};
    state.values = final;
    sink.all[0] = 0;
    sink.now += 5;
    nacre_progress_finish_epoch(progress, &state, "best");
    NC_CHECK_TEXT(sink.all, "\r\x1b[Kepoch  1/12  loss 0.2107  validation loss 0.2500  validation accuracy nan  18s  "
                            "1.02k samples/s  best\n");
    sink.all[0] = 0;
    nacre_progress_say(progress, "a warning");
    NC_CHECK_TEXT(sink.all, "a warning\n");
    /* Ten epochs of 17.5 s each, validation included, and the rest of this one. */
    run(progress, &sink, 2, 0, 50);
    NC_CHECK_CONTAINS(sink.last, "3:01 left");
    sink.all[0] = 0;
    nacre_progress_say(progress, "another");
    NC_CHECK_TEXT(sink.all, "\r\x1b[Kanother\n");
    nacre_progress_state phase = state;
    phase.phase = "validation";
    phase.step = 5;
    nacre_progress_update(progress, &phase);
    NC_CHECK_CONTAINS(sink.last, "\rvalidation  1/12  ");
    NC_CHECK(!strstr(sink.last, "left"));
    nacre_progress_destroy(progress);
}

static void plain_lines_now_and_then(void)
{
    text_sink sink = {.columns = 80};
    nacre_progress *progress = create(&sink, false, true, true);
    run(progress, &sink, 1, 0, 79);
    NC_CHECK_TEXT(sink.all, ""); /* nothing in the first ten seconds */
    nacre_progress_state state = run(progress, &sink, 1, 79, 1);
    NC_CHECK_CONTAINS(sink.all, "epoch  1/12  step 80/100   80%  ");
    NC_CHECK_CONTAINS(sink.all, "loss 0.2143  accuracy 0.9241  top5 0.9990  1.02k samples/s  ");
    NC_CHECK(!strchr(sink.all, '\r') && !strchr(sink.all, '\x1b'));
    int before = sink.writes;
    for (int i = 0; i < 36000; i++) { /* ten hours in seconds */
        sink.now += 1;
        nacre_progress_update(progress, &state);
    }
    int lines = (sink.writes - before) / 2; /* the text and its end */
    NC_CHECK(lines > 60 && lines < 200);
    nacre_progress_destroy(progress);
}

static void unknown_lengths_and_odd_names(void)
{
    text_sink sink = {.columns = 120};
    nacre_progress *progress = create(&sink, true, true, false);
    const nacre_named_value odd[] = {{"\x1b[2Jloss\xff", INFINITY}, {"a name that goes on and on and on and on", 1}};
    nacre_progress_update(progress, &(nacre_progress_state){.epoch = 7, .values = odd, .value_count = 2});
    NC_CHECK_TEXT(sink.last, "\repoch 7  \xef\xbf\xbd[2Jloss\xef\xbf\xbd inf  a name that goes on and on and on and on "
                             "1\x1b[K");
    nacre_progress_destroy(progress);
    nacre_progress_update(NULL, NULL);
    nacre_progress_finish_epoch(NULL, NULL, NULL);
    nacre_progress_say(NULL, NULL);
    nacre_progress_destroy(NULL);
    NC_CHECK(!nacre_progress_create(ctx, &(nacre_progress_options){0}));
    NC_CHECK_FAILED(ctx, NACRE_ERROR_ARGUMENT, "no function to write with");
}

static void terminals_are_detected(void)
{
    FILE *file = fopen(nc_file("not-a-terminal"), "w");
    NC_REQUIRE(file);
    setenv("LC_ALL", "en_US.UTF-8", 1);
    nacre_progress_options options = {.terminal = true, .color = true};
    nacre_progress_detect(&options, fileno(file));
    NC_CHECK(!options.terminal && !options.color && options.unicode);
    setenv("LC_ALL", "C", 1);
    nacre_progress_detect(&options, fileno(file));
    NC_CHECK(!options.unicode);
    NC_CHECK_INT(nacre_terminal_columns(fileno(file)), 0);
    fclose(file);
}

static bool create_one(nacre_context *context, void *user)
{
    nacre_progress *progress = nacre_progress_create(context, &(nacre_progress_options){.write = take, .user = user});
    nacre_progress_state state = at(1, 1);
    nacre_progress_finish_epoch(progress, &state, NULL);
    nacre_progress_destroy(progress);
    return progress;
}

static void memory_runs_out(void)
{
    nc_fail_each_allocation(create_one, &(text_sink){.now = 0});
}

int main(void)
{
    ctx = nacre_context_create(&(nacre_context_options){.threads = 1});
    NC_RUN(bar_on_a_terminal);
    NC_RUN(it_never_wraps);
    NC_RUN(it_redraws_ten_times_a_second);
    NC_RUN(epochs_end_with_a_line_that_stays);
    NC_RUN(plain_lines_now_and_then);
    NC_RUN(unknown_lengths_and_odd_names);
    NC_RUN(terminals_are_detected);
    NC_RUN(memory_runs_out);
    NC_CHECK_OK(ctx);
    nacre_context_destroy(ctx);
    return nc_report();
}

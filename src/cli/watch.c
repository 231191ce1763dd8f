/* cli/watch.c - a run that is being watched. */
#include "watch.h"

#include <string.h>
#include <unistd.h>

enum { MAX_VALUES = 12 };

static volatile sig_atomic_t interrupted;

static void interrupt(int signal_number)
{
    (void)signal_number;
    interrupted = 1;
}

static void write_error(void *user, const char *text, size_t size)
{
    (void)user;
    fwrite(text, 1, size, stderr);
    fflush(stderr);
}

static int columns(void *user)
{
    (void)user;
    return nacre_terminal_columns(STDERR_FILENO);
}

/* ---- begin and end ---- */

void nc_watch_begin(nc_watch *watch, nc_call *call, const char *unit, int64_t total)
{
    *watch = (nc_watch){.call = call, .unit = unit, .index = 1, .total = total};
    nacre_progress_options drawing = {.write = write_error, .columns = columns};
    if (!nc_flag(call, "quiet")) {
        nacre_progress_detect(&drawing, STDERR_FILENO);
        call->progress = nacre_progress_create(call->context, &drawing);
    }
    struct sigaction action = {.sa_handler = interrupt, .sa_flags = (int)SA_RESETHAND};
    sigaction(SIGINT, &action, &watch->before[0]);
    sigaction(SIGTERM, &action, &watch->before[1]);
}

void nc_watch_end(nc_watch *watch)
{
    sigaction(SIGINT, &watch->before[0], NULL);
    sigaction(SIGTERM, &watch->before[1], NULL);
    nacre_progress_destroy(watch->call->progress);
    watch->call->progress = NULL;
}

bool nc_watch_interrupted(void)
{
    return interrupted;
}

/* ---- one run ---- */

static int add_values(nacre_named_value *values, int count, char names[][64], const char *prefix, double loss,
                      nacre_metrics *metrics)
{
    snprintf(names[count], 64, "%sloss", prefix);
    values[count] = (nacre_named_value){names[count], loss};
    count++;
    for (int i = 0; i < nacre_metrics_count(metrics) && count < MAX_VALUES; i++, count++) {
        snprintf(names[count], 64, "%s%s", prefix, nacre_metrics_name(metrics, i));
        values[count] = (nacre_named_value){names[count], nacre_metrics_value(metrics, i)};
    }
    return count;
}

static void finish_epoch(nacre_progress *progress, const nacre_progress_state *state, const nacre_fit_event *event)
{
    char note[64] = "";
    double waiting = event->epoch_seconds > 0 ? event->wait_seconds / event->epoch_seconds : 0;
    if (waiting > 0.1) snprintf(note, sizeof note, "%.0f %% waiting for data", 100 * waiting);
    if (event->best && event->validation)
        snprintf(note + strlen(note), sizeof note - strlen(note), "%sbest", *note ? ", " : "");
    nacre_progress_finish_epoch(progress, state, *note ? note : NULL);
}

/* Epochs of a run of several do not end its bar. */
static void show_within(nc_watch *watch, nacre_progress_state *state, const nacre_fit_event *event)
{
    if (event->kind == NACRE_FIT_VALIDATION) return; /* too short to be told */
    state->unit = watch->unit;
    state->epoch = watch->index;
    state->epochs = watch->total;
    int64_t to = watch->to ? watch->to : event->epochs;
    state->step += (event->epoch - 1 - watch->from) * event->batches;
    state->steps = (to - watch->from) * event->batches;
    state->samples += watch->samples;
    if (event->kind == NACRE_FIT_EPOCH) watch->samples = state->samples;
    nacre_progress_update(watch->call->progress, state);
}

bool nc_watch_fit(void *user, const nacre_fit_event *event)
{
    nc_watch *watch = user;
    nacre_progress *progress = watch->call->progress;
    nacre_named_value values[MAX_VALUES];
    char names[MAX_VALUES][64];
    if (!progress) return !interrupted;
    int count = add_values(values, 0, names, "", event->train_loss, event->train);
    if (event->kind == NACRE_FIT_EPOCH && event->validation && count < MAX_VALUES)
        count = add_values(values, count, names, "validation ", event->validation->loss, event->validation->metrics);
    nacre_progress_state state = {.phase = event->kind == NACRE_FIT_VALIDATION ? "validation" : NULL,
                                  .epoch = event->epoch,
                                  .epochs = event->epochs,
                                  .step = event->batch,
                                  .steps = event->batches,
                                  .samples = event->samples,
                                  .values = values,
                                  .value_count = count};
    if (watch->unit)
        show_within(watch, &state, event);
    else if (event->kind == NACRE_FIT_EPOCH)
        finish_epoch(progress, &state, event);
    else
        nacre_progress_update(progress, &state);
    return !interrupted;
}

/* ---- several runs ---- */

void nc_watch_next(nc_watch *watch, int64_t index)
{
    if (index != watch->index) watch->samples = 0;
    watch->index = index;
}

void nc_watch_finish(nc_watch *watch, const nacre_named_value *values, int count, const char *note)
{
    nacre_progress_state state = {.unit = watch->unit,
                                  .epoch = watch->index,
                                  .epochs = watch->total,
                                  .samples = watch->samples,
                                  .values = values,
                                  .value_count = count};
    nacre_progress_finish_epoch(watch->call->progress, &state, note);
    watch->samples = 0;
}

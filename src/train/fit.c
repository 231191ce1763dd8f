/* train/fit.c - the loop. */
#include "train/train.h"

#include <nacre/io.h>
#include <nacre/random.h>
#include <nacre/report.h>

#include <math.h>
#include <stdio.h>
#include <string.h>

typedef struct fitting {
    nacre_context *context;
    nacre_fit_options options; /* with defaults filled in */
    nacre_fit_result *result;
    nacre_loader *loader;
    nc_roles roles;
    nc_step_graph step;
    nc_step_graph update;  /* with accumulation: gradients to weights */
    nc_step_graph refresh; /* of running statistics, for averaged weights */
    nc_scores scores;
    nc_run_state state;
    nc_snapshot before; /* the buffers before the step: running statistics are updated on the way to the loss */
    nc_snapshot best;   /* without a folder */
    nacre_run_log *log;
    nacre_lock *lock; /* NULL: the caller's, or no folder */
    double start, epoch_start, wait_before;
    double rate;                               /* of the last step */
    double loss_scale;                         /* of f16: of the last batch */
    int64_t skipped;                           /* updates, so far */
    char culprit[NC_CULPRIT_SIZE];             /* of the overflow in this update, "": none, or not found */
    double batch_loss;                         /* of the last batch */
    int64_t total_steps, epoch_steps, samples; /* samples: done in this epoch */
    nc_snapshot live;                          /* weights while their averages stand in */
    bool averaged;
    bool stop, finish; /* as callbacks want it */
    bool resumed;
} fitting;

/* ---- what is best ---- */

static double deciding_value(const fitting *fit, const nacre_evaluation *validation)
{
    nacre_metrics *metrics = validation ? validation->metrics : fit->scores.metrics;
    if (nacre_metrics_count(metrics) > 0) return nacre_metrics_value(metrics, 0);
    return validation ? validation->loss : nacre_running_mean_value(&fit->state.loss);
}

/* Of the first metric; without any the loss decides. */
static bool higher_is_better(nacre_metrics *metrics)
{
    return nacre_metrics_count(metrics) > 0 && nacre_metric_higher_is_better(nacre_metrics_name(metrics, 0));
}

/* Better than an earlier epoch's value, NaN: none yet. Without validation data the last epoch is the best by
 * definition. */
static bool is_better(const fitting *fit, const nacre_evaluation *validation, double value, double before)
{
    if (!validation || isnan(before)) return true;
    double gain = higher_is_better(validation->metrics) ? value - before : before - value;
    return gain > fit->options.min_delta;
}

/* Patience counts from start_from_epoch on, and what was reached before does not count as reached (as in Keras). */
static void count_bad_epochs(fitting *fit, const nacre_evaluation *validation, double value)
{
    nc_run_state *state = &fit->state;
    bool counts = state->epoch > fit->options.start_from_epoch;
    bool better = counts && is_better(fit, validation, value, state->stop_value);
    state->bad_epochs = counts && !better ? state->bad_epochs + 1 : 0;
    if (better) state->stop_value = value;
}

static const char *deciding_name(const fitting *fit)
{
    const char *name = nacre_metrics_name(fit->scores.metrics, 0);
    return name ? name : "loss";
}

/* ---- files ---- */

static nacre_status save_best(fitting *fit)
{
    nacre_model *model = fit->options.model;
    if (!fit->options.folder) {
        nacre_status status = nc_snapshot_take(&fit->best, model, NACRE_ENTRY_PARAMETER);
        return status ? status : nc_snapshot_take(&fit->best, model, NACRE_ENTRY_BUFFER);
    }
    char *path = nacre_path_join(fit->context, fit->options.folder, "model.safetensors");
    if (path) nacre_model_save(model, path, false, fit->options.metadata, fit->options.metadata_count);
    nacre_release(fit->context, path);
    return nacre_check(fit->context);
}

static nacre_status load_best(fitting *fit)
{
    if (!fit->options.folder) {
        nc_snapshot_restore(&fit->best, fit->options.model);
        return NACRE_OK;
    }
    char *path = nacre_path_join(fit->context, fit->options.folder, "model.safetensors");
    nacre_safetensors *file = path ? nacre_safetensors_open(fit->context, path) : NULL;
    if (file) nacre_model_load(fit->options.model, file);
    nacre_safetensors_close(file);
    nacre_release(fit->context, path);
    return nacre_check(fit->context);
}

static double seconds_so_far(const fitting *fit)
{
    return fit->state.seconds + nacre_seconds() - fit->start;
}

static nacre_status save_checkpoint(fitting *fit)
{
    if (!fit->options.folder) return NACRE_OK;
    nc_run_state state = fit->state;
    state.seconds = seconds_so_far(fit);
    if (nacre_run_log_sync(fit->log)) return nacre_check(fit->context);
    return nc_checkpoint_save(&fit->options, &state);
}

static nacre_status log_epoch(fitting *fit, const nacre_fit_event *event)
{
    nc_event_fields described;
    nacre_log_field fields[NC_MOST_FIELDS];
    if (!fit->log) return NACRE_OK;
    nc_describe_epoch(event, &described);
    for (int i = 0; i < described.count; i++)
        fields[i] = (nacre_log_field){.key = described.names[i], .value = described.values[i]};
    return nacre_run_log_append(fit->log, "epoch", fit->state.step, fields, described.count);
}

/* ---- steps ---- */

static uint64_t step_seed(const fitting *fit)
{
    uint32_t bits[4];
    uint64_t seed = fit->options.seed, at = (uint64_t)fit->state.epoch << 32 | (uint64_t)fit->state.batch;
    nacre_philox((uint32_t[]){(uint32_t)seed, (uint32_t)(seed >> 32)},
                 (uint32_t[]){(uint32_t)at, (uint32_t)(at >> 32), 0x5eed, 0}, bits);
    return ((uint64_t)bits[1] << 32 | bits[0]) >> 12; /* exact as a double */
}

nc_step_options nc_training_step(const nacre_fit_options *options, const nc_roles *roles)
{
    bool accumulate = options->accumulate > options->batch_size;
    return (nc_step_options){.model = options->model,
                             .build = options->build,
                             .user = options->user,
                             .loss = nc_default_loss(roles, options->loss),
                             .label_smoothing = options->label_smoothing,
                             .recompute = options->recompute,
                             .training = true,
                             .precision = options->precision,
                             .optimizer = accumulate ? NULL : &options->optimizer,
                             .cycle_momentum = nacre_schedule_cycles_momentum(&options->schedule),
                             .average = options->averaging.kind != NACRE_AVERAGING_NONE,
                             .scaler = options->optimizer.scaler};
}

void nc_fit_fill(nacre_fit_options *options)
{
    if (options->epochs == 0) options->epochs = 1;
    if (options->batch_size == 0) options->batch_size = 64;
    if (options->accumulate == 0) options->accumulate = options->batch_size;
    if (options->precision == NACRE_F16) options->optimizer.scaler = &options->scaler;
}

static nc_step_options step_options(const fitting *fit)
{
    return nc_training_step(&fit->options, &fit->roles);
}

/* "epoch 2, batch 31, learning rate 0.1" */
enum { WHERE_SIZE = 96 };

static void describe_place(const fitting *fit, int64_t batch, char text[WHERE_SIZE])
{
    snprintf(text, WHERE_SIZE, "epoch %lld, batch %lld, learning rate %g", (long long)fit->state.epoch + 1,
             (long long)batch, fit->rate);
}

/* Where f16 overflowed, looked for once per update. Running statistics go back to before the batch. */
static nacre_status note_overflow(fitting *fit, const nacre_batch *batch, uint64_t seed)
{
    nc_step_options options = step_options(fit);
    double scale = fit->loss_scale * (options.optimizer ? 1 : fit->step.weight); /* accumulated are sums */
    if (!*fit->culprit) nc_find_overflow(fit->context, &options, &fit->roles, batch, seed, scale, fit->culprit);
    nc_snapshot_restore(&fit->before, fit->options.model);
    return nacre_check(fit->context);
}

static nacre_status log_skipped(fitting *fit, double scale)
{
    const nacre_log_field fields[] = {{.key = "epoch", .value = (double)fit->state.epoch + 1},
                                      {.key = "batch", .value = (double)fit->state.batch},
                                      {.key = "loss_scale", .value = fit->loss_scale},
                                      {.key = "next_loss_scale", .value = scale},
                                      {.key = "first", .text = fit->culprit}};
    if (!fit->log) return NACRE_OK;
    return nacre_run_log_append(fit->log, "skipped", fit->state.step, fields, sizeof fields / sizeof *fields);
}

/* After an update with loss scaling: says whether it was skipped, and stops where a smaller scale is no way out. */
static nacre_status check_overflow(fitting *fit, const nacre_batch *batch, uint64_t seed)
{
    const nacre_model *model = fit->options.model;
    const double scale = nacre_scaler_scale(model);
    const int64_t skipped = nacre_scaler_skipped(model);
    char where[WHERE_SIZE];
    if (skipped == fit->skipped) return NACRE_OK;
    fit->skipped = skipped;
    if (note_overflow(fit, batch, seed)) return nacre_check(fit->context);
    describe_place(fit, batch->index + 1, where);
    const char *first = *fit->culprit ? fit->culprit : "an earlier batch of this update";
    if (fit->loss_scale <= nc_scaler_filled(&fit->options.scaler).minimum)
        return nacre_fail(fit->context, NACRE_ERROR_NUMERIC,
                          "f16 overflows at the smallest loss scale, %g (%s): first in %s; bf16 has the range of f32, "
                          "or try a lower learning rate, warm-up or clip_norm",
                          fit->loss_scale, where, first);
    nacre_log_message(fit->context, NACRE_LOG_WARNING,
                      "update %lld skipped (%s): f16 overflows at a loss scale of %g, first in %s; the scale is now %g",
                      (long long)fit->state.step, where, fit->loss_scale, first, scale);
    if (log_skipped(fit, scale)) return nacre_check(fit->context);
    *fit->culprit = 0;
    return NACRE_OK;
}

/* The update has left the weights alone if the loss is not finite; the rest of the model goes back. With loss scaling
 * this is an overflow like others. */
static nacre_status check_loss(fitting *fit, const nacre_batch *batch, uint64_t seed)
{
    char where[WHERE_SIZE];
    if (isfinite(fit->batch_loss)) return NACRE_OK;
    if (fit->options.optimizer.scaler) return note_overflow(fit, batch, seed);
    nc_step_options options = step_options(fit);
    describe_place(fit, batch->index + 1, where);
    nc_diagnose(fit->context, &options, &fit->roles, batch, seed, where);
    nc_snapshot_restore(&fit->before, fit->options.model);
    return nacre_check(fit->context);
}

/* What is not finite never reaches a file. */
static nacre_status check_weights(const fitting *fit)
{
    char where[WHERE_SIZE];
    describe_place(fit, fit->state.batch, where);
    return nc_check_weights(fit->options.model, where);
}

static double rate_now(const fitting *fit)
{
    const nacre_schedule *schedule = &fit->options.schedule;
    if (schedule->kind == NACRE_SCHEDULE_PLATEAU)
        return nacre_plateau_rate(schedule, &fit->state.plateau, fit->state.step, fit->total_steps);
    return nacre_schedule_rate(schedule, fit->state.step, fit->total_steps);
}

/* What this step's update reads. */
static void feed_update(const fitting *fit, nc_step_graph *graph, uint64_t seed)
{
    const nc_run_state *state = &fit->state;
    if (graph->seed) nacre_feed_scalar(graph->seed, (double)seed);
    if (!graph->update.learning_rate) return;
    nacre_feed_scalar(graph->update.learning_rate, fit->rate);
    nacre_feed_scalar(graph->update.step, (double)(state->step + 1));
    if (graph->update.momentum)
        nacre_feed_scalar(graph->update.momentum,
                          nacre_schedule_momentum(&fit->options.schedule, state->step, fit->total_steps));
    if (graph->mix)
        nacre_feed_scalar(graph->mix, nacre_averaging_mix(&fit->options.averaging, state->step + 1, fit->total_steps,
                                                          fit->epoch_steps));
}

nacre_status nc_update_prepare(nc_step_graph *update, nacre_context *context, const nacre_fit_options *options,
                               const nc_step_options *step)
{
    if (update->graph) return NACRE_OK;
    update->graph = nacre_graph_create(context);
    nc_step_inputs(update, step);
    update->update.scale = nacre_input(update->graph, "scale", NACRE_F32, NACRE_SCALAR);
    nacre_apply_gradients(update->graph, options->model, &options->optimizer, &update->update);
    if (update->mix) nacre_average_model(update->graph, options->model, update->mix);
    update->seed = nacre_seed(update->graph, false);
    return nacre_check(context);
}

static nacre_status apply_accumulated(fitting *fit, uint64_t seed)
{
    nc_step_graph *update = &fit->update;
    nc_step_options options = step_options(fit);
    if (nc_update_prepare(update, fit->context, &fit->options, &options)) return nacre_check(fit->context);
    feed_update(fit, update, seed);
    nacre_feed_scalar(update->update.scale, 1 / fit->state.pending);
    fit->state.pending = 0;
    return nacre_run(update->graph);
}

/* What the batch adds to the scores of its epoch; nothing where f16 overflowed on the way to the loss. */
static nacre_status count_batch(fitting *fit, const nacre_batch *batch)
{
    if (!isfinite(fit->batch_loss)) return NACRE_OK;
    nacre_running_mean_add(&fit->state.loss, fit->batch_loss, (double)batch->count);
    return nc_scores_add(&fit->scores, fit->context, &fit->step, &fit->roles, fit->options.metrics, batch,
                         fit->batch_loss);
}

static nacre_status train_on(fitting *fit, const nacre_batch *batch)
{
    nc_step_options options = step_options(fit);
    uint64_t seed = step_seed(fit);
    bool last = batch->index + 1 == nacre_loader_batches(fit->loader);
    fit->rate = rate_now(fit);
    if (nc_step_prepare(&fit->step, fit->context, &options, &fit->roles, batch)) return nacre_check(fit->context);
    nc_step_feed(&fit->step, &fit->roles, batch);
    feed_update(fit, &fit->step, seed);
    if (nc_snapshot_take(&fit->before, fit->options.model, NACRE_ENTRY_BUFFER)) return nacre_check(fit->context);
    if (fit->options.optimizer.scaler) fit->loss_scale = nacre_scaler_scale(fit->options.model);
    if (nacre_run(fit->step.graph)) return nacre_check(fit->context);
    fit->batch_loss = nacre_read_scalar(fit->step.loss);
    if (check_loss(fit, batch, seed) || count_batch(fit, batch)) return nacre_check(fit->context);
    fit->samples += batch->count;
    fit->state.batch = batch->index + 1;
    if (!options.optimizer) {
        fit->state.pending += fit->step.weight;
        if (fit->samples % fit->options.accumulate != 0 && !last) return NACRE_OK;
        if (apply_accumulated(fit, seed)) return nacre_check(fit->context);
    }
    fit->state.step++;
    return fit->options.optimizer.scaler ? check_overflow(fit, batch, seed) : NACRE_OK;
}

/* ---- epochs ---- */

static nacre_fit_event describe(const fitting *fit)
{
    return (nacre_fit_event){.model = fit->options.model,
                             .epoch = fit->state.epoch + 1,
                             .epochs = fit->options.epochs,
                             .batch = fit->state.batch,
                             .batches = nacre_loader_batches(fit->loader),
                             .samples = fit->samples,
                             .step = fit->state.step,
                             .learning_rate = fit->rate,
                             .skipped = fit->skipped,
                             .loss_scale = fit->options.optimizer.scaler ? nacre_scaler_scale(fit->options.model) : 0,
                             .train_loss = nacre_running_mean_value(&fit->state.loss),
                             .train = fit->scores.metrics,
                             .epoch_seconds = nacre_seconds() - fit->epoch_start,
                             .wait_seconds = nacre_loader_statistics(fit->loader).wait_seconds - fit->wait_before};
}

static void heed(fitting *fit, nacre_fit_answer answer)
{
    fit->finish |= answer == NACRE_FIT_FINISH;
    fit->stop |= answer == NACRE_FIT_INTERRUPT;
}

static nacre_status tell(fitting *fit, const nacre_fit_event *event)
{
    const nacre_fit_options *options = &fit->options;
    for (int i = 0; i < options->callback_count && nacre_check(fit->context) == NACRE_OK; i++)
        heed(fit, options->callbacks[i].call(options->callbacks[i].user, event));
    bool heard = event->kind != NACRE_FIT_BEGIN && event->kind != NACRE_FIT_END;
    if (options->listen && heard && !options->listen(options->listen_user, event)) fit->stop = true;
    return nacre_check(fit->context);
}

/* Before the first step and after the last. */
static nacre_status tell_frame(fitting *fit, bool resumed, bool end)
{
    nacre_fit_event event = {.kind = end ? NACRE_FIT_END : NACRE_FIT_BEGIN,
                             .model = fit->options.model,
                             .resumed = resumed,
                             .epoch = end ? fit->state.epoch : fit->state.epoch + 1,
                             .epochs = fit->options.epochs,
                             .step = fit->state.step,
                             .train_loss = fit->state.train_loss};
    return tell(fit, &event);
}

/* The running statistics of the averaged weights are those of up to a hundred training batches. */
static nacre_status refresh_statistics(fitting *fit)
{
    enum { BATCHES = 100 };
    const nacre_batch *batch;
    nc_step_options options = step_options(fit);
    options.forward = true;
    if (nacre_model_elements(fit->options.model, NACRE_ENTRY_BUFFER) == 0) return NACRE_OK;
    int64_t count = nacre_loader_batches(fit->loader) < BATCHES ? nacre_loader_batches(fit->loader) : BATCHES;
    if (nacre_loader_start(fit->loader, fit->state.epoch, 0)) return nacre_check(fit->context);
    for (int64_t i = 0; i < count && (batch = nacre_loader_next(fit->loader)); i++) {
        if (nc_step_prepare(&fit->refresh, fit->context, &options, &fit->roles, batch))
            return nacre_check(fit->context);
        nc_step_feed(&fit->refresh, &fit->roles, batch);
        if (fit->refresh.seed) nacre_feed_scalar(fit->refresh.seed, (double)i);
        if (nacre_run(fit->refresh.graph)) return nacre_check(fit->context);
    }
    return nacre_check(fit->context);
}

static nacre_status enter_average(fitting *fit)
{
    const nacre_averaging *averaging = &fit->options.averaging;
    if (averaging->kind == NACRE_AVERAGING_NONE) return NACRE_OK;
    nacre_status status = nc_average_enter(&fit->live, fit->options.model, averaging, fit->state.step, fit->total_steps,
                                           fit->epoch_steps, &fit->averaged);
    if (status == NACRE_OK && fit->averaged && averaging->kind == NACRE_AVERAGING_SWA) status = refresh_statistics(fit);
    return status;
}

static void leave_average(fitting *fit)
{
    if (fit->averaged) nc_snapshot_restore(&fit->live, fit->options.model);
    fit->averaged = false;
}

static nacre_status validate(fitting *fit, nacre_evaluation *validation)
{
    nacre_fit_event event = describe(fit);
    char what[48];
    snprintf(what, sizeof what, "validation of epoch %lld", (long long)event.epoch);
    event.kind = NACRE_FIT_VALIDATION;
    if (tell(fit, &event)) return nacre_check(fit->context);
    return nc_measure(fit->context,
                      &(nacre_evaluate_options){.model = fit->options.model,
                                                .build = fit->options.build,
                                                .user = fit->options.user,
                                                .dataset = fit->options.validation,
                                                .transforms = fit->options.transforms,
                                                .batch_size = fit->options.batch_size,
                                                .workers = fit->options.workers,
                                                .precision = fit->options.precision,
                                                .loss = fit->options.loss,
                                                .metrics = fit->options.metrics},
                      what, validation);
}

/* The epoch is done: is it the best? Model, log and checkpoint are written in this order, so that a run that is killed
 * between two of them goes on from the checkpoint before and writes them again. */
static nacre_status conclude_epoch(fitting *fit, const nacre_evaluation *validation)
{
    nacre_fit_event event = describe(fit);
    double value = deciding_value(fit, validation);
    event.kind = NACRE_FIT_EPOCH;
    event.validation = validation;
    event.best = is_better(fit, validation, value, fit->state.best_value);
    event.deciding = deciding_name(fit);
    event.deciding_value = value;
    fit->state.train_loss = event.train_loss;
    fit->state.epoch++;
    fit->state.batch = 0;
    count_bad_epochs(fit, validation, value);
    if (fit->options.schedule.kind == NACRE_SCHEDULE_PLATEAU)
        nacre_plateau_observe(&fit->options.schedule, &fit->state.plateau, value,
                              higher_is_better(validation ? validation->metrics : fit->scores.metrics));
    if (event.best) {
        fit->state.best_value = value;
        fit->state.best_epoch = fit->state.epoch;
        if (save_best(fit)) return nacre_check(fit->context);
    }
    if (log_epoch(fit, &event) || tell(fit, &event)) return nacre_check(fit->context);
    nc_scores_clear(&fit->scores);
    fit->state.loss = (nacre_running_mean){0};
    fit->samples = 0;
    leave_average(fit); /* the run goes on with the weights themselves */
    return save_checkpoint(fit);
}

static nacre_status finish_epoch(fitting *fit)
{
    nacre_evaluation validation = {0};
    nacre_status status = check_weights(fit);
    if (status == NACRE_OK) status = enter_average(fit);
    if (status == NACRE_OK && fit->options.validation) status = validate(fit, &validation);
    if (status == NACRE_OK) status = conclude_epoch(fit, fit->options.validation ? &validation : NULL);
    leave_average(fit);
    nacre_metrics_destroy(validation.metrics);
    return status;
}

/* A run that stops at the end of an epoch finishes it: a checkpoint lies either within an epoch or after its record. */
static nacre_status save_within_epoch(fitting *fit, int64_t step_before)
{
    int64_t every = fit->options.checkpoint_every;
    bool due = every > 0 && fit->state.step != step_before && fit->state.step % every == 0;
    if (!due && !fit->stop) return NACRE_OK;
    nacre_status status = check_weights(fit);
    return status ? status : save_checkpoint(fit);
}

static nacre_status run_epoch(fitting *fit)
{
    const nacre_batch *batch;
    int64_t batches = nacre_loader_batches(fit->loader);
    fit->epoch_start = nacre_seconds();
    fit->wait_before = nacre_loader_statistics(fit->loader).wait_seconds;
    fit->samples = fit->state.batch * fit->options.batch_size;
    if (nacre_loader_start(fit->loader, fit->state.epoch, fit->state.batch)) return nacre_check(fit->context);
    while ((batch = nacre_loader_next(fit->loader))) {
        int64_t step_before = fit->state.step;
        if (train_on(fit, batch)) return nacre_check(fit->context);
        nacre_fit_event event = describe(fit);
        event.kind = NACRE_FIT_STEP;
        event.batch_loss = fit->batch_loss;
        if (tell(fit, &event)) return nacre_check(fit->context);
        if (fit->state.batch == batches) break;
        if (save_within_epoch(fit, step_before)) return nacre_check(fit->context);
        if (fit->stop) return NACRE_OK;
    }
    return nacre_check(fit->context) ? nacre_check(fit->context) : finish_epoch(fit);
}

/* ---- beginning and end ---- */

static nacre_status check_options(fitting *fit)
{
    nacre_fit_options *options = &fit->options;
    nacre_context *context = fit->context;
    nc_fit_fill(options);
    if (!options->model || !options->build || !options->train)
        return nacre_fail(context, NACRE_ERROR_ARGUMENT, "nacre_fit needs a model, its function and training data");
    if (nacre_dataset_count(options->train) == 0)
        return nacre_fail(context, NACRE_ERROR_ARGUMENT, "\"%s\" has no training samples",
                          nacre_dataset_name(options->train));
    if (options->epochs < 0 || options->batch_size < 0 || options->accumulate % options->batch_size)
        return nacre_fail(
            context, NACRE_ERROR_ARGUMENT,
            "epochs and batch_size must be positive and accumulate (%lld) a multiple of batch_size (%lld)",
            (long long)options->accumulate, (long long)options->batch_size);
    if (nacre_check_precision(context, options->precision)) return nacre_check(context);
    if (options->precision == NACRE_F16 && nc_scaler_check(context, &options->scaler)) return nacre_check(context);
    if (options->loss && !nacre_loss_exists(options->loss)) {
        const char *near = nacre_nearest(options->loss, nacre_loss_names);
        return nacre_fail(context, NACRE_ERROR_ARGUMENT, "there is no loss \"%s\"%s%s%s", options->loss,
                          near ? "; did you mean \"" : "", near ? near : "", near ? "\"?" : "");
    }
    return NACRE_OK;
}

/* Goes on from the checkpoint if that is wanted and there is one. An older run's checkpoint must not be taken for this
 * one's later. */
static nacre_status find_start(fitting *fit, bool *resumed)
{
    const nacre_fit_options *options = &fit->options;
    *resumed = options->resume && nc_checkpoint_exists(options);
    if (*resumed) return nc_checkpoint_load(options, &fit->state);
    if (options->resume)
        nacre_log_message(fit->context, NACRE_LOG_WARNING, "'%s' holds no checkpoint yet: the run begins anew",
                          options->folder);
    return nc_checkpoint_remove(options);
}

/* A record for each line. */
static void log_notes(fitting *fit)
{
    char line[512];
    const char *at = fit->options.notes;
    while (fit->log && at && *at) {
        size_t length = strcspn(at, "\n");
        snprintf(line, sizeof line, "%.*s", (int)length, at);
        nacre_run_log_append(fit->log, "note", 0, &(nacre_log_field){.key = "text", .text = line}, 1);
        at += length + (at[length] == '\n');
    }
}

static nacre_status open_folder(fitting *fit)
{
    const char *folder = fit->options.folder;
    if (!folder) return NACRE_OK;
    if (!fit->options.lock) {
        if (nacre_make_directories(fit->context, folder)) return nacre_check(fit->context);
        fit->lock = nacre_lock_directory(fit->context, folder);
        if (!fit->lock) return nacre_check(fit->context);
    }
    if (find_start(fit, &fit->resumed)) return nacre_check(fit->context);
    char *path = nacre_path_join(fit->context, folder, "log.jsonl");
    if (path) fit->log = nacre_run_log_open(fit->context, path, fit->resumed ? fit->state.step : -1);
    nacre_release(fit->context, path);
    if (!fit->resumed) log_notes(fit);
    return nacre_check(fit->context);
}

static nacre_status begin(fitting *fit)
{
    nacre_fit_options *options = &fit->options;
    if (check_options(fit)) return nacre_check(fit->context);
    fit->state.best_value = fit->state.stop_value = NAN;
    nacre_model_set_seed(options->model, options->seed);
    nacre_loader_options loading = {.batch_size = (int)options->batch_size,
                                    .workers = options->workers,
                                    .prefetch = options->prefetch,
                                    .shuffle = !options->no_shuffle,
                                    .drop_last = options->drop_last,
                                    .training = !options->no_augment,
                                    .seed = options->seed,
                                    .transforms = options->transforms,
                                    .mixup = options->mixup,
                                    .cutmix = options->cutmix};
    fit->loader = nacre_loader_create(options->train, &loading);
    if (!fit->loader || nc_find_roles(fit->context, fit->loader, &fit->roles)) return nacre_check(fit->context);
    if (nacre_loader_batches(fit->loader) == 0)
        return nacre_fail(fit->context, NACRE_ERROR_ARGUMENT, "%lld training samples do not fill a batch of %lld",
                          (long long)nacre_dataset_count(options->train), (long long)options->batch_size);
    fit->total_steps = nacre_fit_steps(options);
    fit->epoch_steps = fit->total_steps / options->epochs;
    if (nacre_schedule_check(fit->context, &options->schedule, fit->total_steps)) return nacre_check(fit->context);
    if (open_folder(fit)) return nacre_check(fit->context);
    fit->skipped = nacre_scaler_skipped(options->model);
    return tell_frame(fit, fit->resumed, false);
}

static void end(fitting *fit)
{
    nacre_run_log_close(fit->log);
    nacre_unlock(fit->lock);
    nc_scores_release(&fit->scores, fit->context);
    nc_step_release(&fit->step);
    nc_step_release(&fit->update);
    nc_snapshot_release(&fit->before, fit->context);
    nc_snapshot_release(&fit->best, fit->context);
    nc_snapshot_release(&fit->live, fit->context);
    nc_step_release(&fit->refresh);
    nacre_loader_destroy(fit->loader);
}

int64_t nacre_fit_steps(const nacre_fit_options *options)
{
    int64_t size = options->batch_size > 0 ? options->batch_size : 64, count = nacre_dataset_count(options->train);
    int64_t batches = options->drop_last ? count / size : (count + size - 1) / size;
    int64_t per_step = options->accumulate > size ? options->accumulate / size : 1;
    return (options->epochs > 0 ? options->epochs : 1) * ((batches + per_step - 1) / per_step);
}

nacre_status nacre_fit(nacre_context *context, const nacre_fit_options *options, nacre_fit_result *result)
{
    nacre_fit_result unwanted;
    if (!context || !options) return NACRE_ERROR_ARGUMENT;
    fitting fit = {
        .context = context, .options = *options, .result = result ? result : &unwanted, .start = nacre_seconds()};
    *fit.result = (nacre_fit_result){0};
    nacre_status status = begin(&fit);
    int64_t patience = options->patience;
    while (status == NACRE_OK && fit.state.epoch < fit.options.epochs && !fit.stop) {
        if (fit.finish || (patience > 0 && fit.state.bad_epochs >= patience)) {
            fit.result->stopped_early = true;
            break;
        }
        status = run_epoch(&fit);
    }
    bool holds_best = fit.state.best_epoch == fit.state.epoch && fit.options.averaging.kind == NACRE_AVERAGING_NONE;
    if (status == NACRE_OK && !fit.stop && !holds_best && fit.state.best_epoch > 0) status = load_best(&fit);
    if (status == NACRE_OK && !fit.stop) status = tell_frame(&fit, fit.resumed, true);
    fit.result->epochs = fit.state.epoch;
    fit.result->steps = fit.state.step;
    fit.result->train_loss = fit.state.train_loss;
    fit.result->best_epoch = fit.state.best_epoch;
    fit.result->best_value = fit.state.best_value;
    fit.result->cancelled = fit.stop;
    fit.result->seconds = seconds_so_far(&fit);
    fit.result->wait_seconds = fit.loader ? nacre_loader_statistics(fit.loader).wait_seconds : 0;
    end(&fit);
    return status;
}

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
    nc_step_graph update; /* with accumulation: gradients to weights */
    nacre_tensor *update_scale;
    nc_scores scores;
    nc_run_state state;
    nacre_run_log *log;
    nacre_lock *lock;
    double start, epoch_start, wait_before;
    int64_t total_steps, samples; /* samples: done in this epoch */
    bool stop;
} fitting;

/* ---- what is best ---- */

static double deciding_value(const fitting *fit, const nacre_evaluation *validation)
{
    nacre_metrics *metrics = validation ? validation->metrics : fit->scores.metrics;
    if (nacre_metrics_count(metrics) > 0) return nacre_metrics_value(metrics, 0);
    return validation ? validation->loss : nacre_running_mean_value(&fit->state.loss);
}

/* Without validation data the last epoch is the best by definition. */
static bool is_better(const fitting *fit, const nacre_evaluation *validation, double value)
{
    if (!validation || isnan(fit->state.best_value)) return true;
    bool higher = nacre_metrics_count(validation->metrics) > 0 &&
                  nacre_metric_higher_is_better(nacre_metrics_name(validation->metrics, 0));
    double gain = higher ? value - fit->state.best_value : fit->state.best_value - value;
    return gain > fit->options.min_delta;
}

/* ---- files ---- */

static nacre_status save_best(fitting *fit)
{
    if (!fit->options.folder) return NACRE_OK;
    char *path = nacre_path_join(fit->context, fit->options.folder, "model.safetensors");
    if (path) nacre_model_save(fit->options.model, path, false, fit->options.metadata, fit->options.metadata_count);
    nacre_release(fit->context, path);
    return nacre_check(fit->context);
}

static nacre_status save_checkpoint(fitting *fit)
{
    if (!fit->options.folder) return NACRE_OK;
    nc_run_state state = fit->state;
    state.seconds += nacre_seconds() - fit->start;
    if (nacre_run_log_sync(fit->log)) return nacre_check(fit->context);
    return nc_checkpoint_save(&fit->options, &state);
}

static nacre_status load_best(fitting *fit)
{
    if (!fit->options.folder) return NACRE_OK;
    char *path = nacre_path_join(fit->context, fit->options.folder, "model.safetensors");
    nacre_safetensors *file = path ? nacre_safetensors_open(fit->context, path) : NULL;
    if (file) nacre_model_load(fit->options.model, file);
    nacre_safetensors_close(file);
    nacre_release(fit->context, path);
    return nacre_check(fit->context);
}

static nacre_status log_epoch(fitting *fit, const nacre_evaluation *validation, double rate, double seconds)
{
    enum { MAX = 40 };
    nacre_log_field fields[MAX];
    char names[MAX][64];
    int count = 0;
    if (!fit->log) return NACRE_OK;
#define FIELD(number, ...)                                                                                             \
    (snprintf(names[count], sizeof names[count], __VA_ARGS__),                                                         \
     fields[count] = (nacre_log_field){.key = names[count], .value = (number)}, count++)
    FIELD((double)fit->state.epoch, "epoch");
    FIELD(nacre_running_mean_value(&fit->state.loss), "train.loss");
    for (int i = 0; i < nacre_metrics_count(fit->scores.metrics) && count < MAX - 6; i++)
        FIELD(nacre_metrics_value(fit->scores.metrics, i), "train.%s", nacre_metrics_name(fit->scores.metrics, i));
    if (validation) {
        FIELD(validation->loss, "validation.loss");
        for (int i = 0; i < nacre_metrics_count(validation->metrics) && count < MAX - 4; i++)
            FIELD(nacre_metrics_value(validation->metrics, i), "validation.%s",
                  nacre_metrics_name(validation->metrics, i));
    }
    FIELD(rate, "learning_rate");
    FIELD(seconds, "seconds");
#undef FIELD
    return nacre_run_log_append(fit->log, "epoch", fit->state.step, fields, count);
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

static double rate_now(const fitting *fit)
{
    return nacre_schedule_rate(&fit->options.schedule, fit->state.step, fit->total_steps);
}

static nc_step_options step_options(const fitting *fit)
{
    bool accumulate = fit->options.accumulate > fit->options.batch_size;
    return (nc_step_options){.model = fit->options.model,
                             .build = fit->options.build,
                             .user = fit->options.user,
                             .loss = nc_default_loss(&fit->roles, fit->options.loss),
                             .label_smoothing = fit->options.label_smoothing,
                             .training = true,
                             .optimizer = accumulate ? NULL : &fit->options.optimizer};
}

static nacre_status check_loss(fitting *fit, const nacre_batch *batch, uint64_t seed)
{
    if (isfinite(nacre_read_scalar(fit->step.loss))) return NACRE_OK;
    char where[96];
    nc_step_options options = step_options(fit);
    snprintf(where, sizeof where, "epoch %lld, batch %lld, learning rate %g", (long long)fit->state.epoch + 1,
             (long long)batch->index + 1, rate_now(fit));
    return nc_diagnose(fit->context, &options, &fit->roles, batch, seed, where);
}

/* The update of accumulated gradients is a graph of its own. */
static nacre_status apply_accumulated(fitting *fit, int64_t samples)
{
    nc_step_graph *update = &fit->update;
    if (!update->graph) {
        update->graph = nacre_graph_create(fit->context);
        update->learning_rate = nacre_input(update->graph, "learning_rate", NACRE_F32, NACRE_SCALAR);
        update->step = nacre_input(update->graph, "step", NACRE_I64, NACRE_SCALAR);
        fit->update_scale = nacre_input(update->graph, "scale", NACRE_F32, NACRE_SCALAR);
        nacre_apply_gradients(update->graph, fit->options.model, &fit->options.optimizer, update->learning_rate,
                              update->step, fit->update_scale);
    }
    nacre_feed_scalar(update->learning_rate, rate_now(fit));
    nacre_feed_scalar(update->step, (double)(fit->state.step + 1));
    nacre_feed_scalar(fit->update_scale, 1 / (double)samples);
    return nacre_run(update->graph);
}

static nacre_status train_on(fitting *fit, const nacre_batch *batch)
{
    nc_step_options options = step_options(fit);
    uint64_t seed = step_seed(fit);
    bool last = batch->index + 1 == nacre_loader_batches(fit->loader);
    if (nc_step_prepare(&fit->step, fit->context, &options, &fit->roles, batch)) return nacre_check(fit->context);
    nc_step_feed(&fit->step, &fit->roles, batch);
    if (fit->step.seed) nacre_feed_scalar(fit->step.seed, (double)seed);
    if (options.optimizer) {
        nacre_feed_scalar(fit->step.learning_rate, rate_now(fit));
        nacre_feed_scalar(fit->step.step, (double)(fit->state.step + 1));
    }
    if (nacre_run(fit->step.graph) || check_loss(fit, batch, seed)) return nacre_check(fit->context);
    if (nc_scores_add(&fit->scores, fit->context, &fit->step, &fit->roles, fit->options.metrics, batch))
        return nacre_check(fit->context);
    nacre_running_mean_add(&fit->state.loss, nacre_read_scalar(fit->step.loss), (double)batch->count);
    fit->samples += batch->count;
    fit->state.batch = batch->index + 1;
    if (options.optimizer) {
        fit->state.step++;
    } else {
        int64_t pending = fit->samples % fit->options.accumulate;
        if (pending == 0 || last) {
            if (apply_accumulated(fit, pending ? pending : fit->options.accumulate)) return nacre_check(fit->context);
            fit->state.step++;
        }
    }
    return NACRE_OK;
}

/* ---- epochs ---- */

static nacre_fit_event describe(const fitting *fit)
{
    return (nacre_fit_event){.epoch = fit->state.epoch + 1,
                             .epochs = fit->options.epochs,
                             .batch = fit->state.batch,
                             .batches = nacre_loader_batches(fit->loader),
                             .samples = fit->samples,
                             .step = fit->state.step,
                             .learning_rate = rate_now(fit),
                             .train_loss = nacre_running_mean_value(&fit->state.loss),
                             .train = fit->scores.metrics,
                             .epoch_seconds = nacre_seconds() - fit->epoch_start,
                             .wait_seconds = nacre_loader_statistics(fit->loader).wait_seconds - fit->wait_before};
}

static void tell(fitting *fit, const nacre_fit_event *event)
{
    if (fit->options.listen && !fit->options.listen(fit->options.listen_user, event)) fit->stop = true;
}

static nacre_status validate(fitting *fit, nacre_evaluation *validation)
{
    nacre_fit_event event = describe(fit);
    event.kind = NACRE_FIT_VALIDATION;
    tell(fit, &event);
    return nacre_evaluate(fit->context,
                          &(nacre_evaluate_options){.model = fit->options.model,
                                                    .build = fit->options.build,
                                                    .user = fit->options.user,
                                                    .dataset = fit->options.validation,
                                                    .transforms = fit->options.transforms,
                                                    .batch_size = fit->options.batch_size,
                                                    .workers = fit->options.workers,
                                                    .loss = fit->options.loss,
                                                    .metrics = fit->options.metrics},
                          validation);
}

static nacre_status finish_epoch(fitting *fit)
{
    nacre_evaluation validation = {0};
    const nacre_evaluation *seen = fit->options.validation ? &validation : NULL;
    if (seen && validate(fit, &validation)) return nacre_check(fit->context);
    nacre_fit_event event = describe(fit);
    double value = deciding_value(fit, seen);
    event.kind = NACRE_FIT_EPOCH;
    event.validation = seen;
    event.best = is_better(fit, seen, value);
    fit->state.epoch++;
    fit->state.batch = 0;
    fit->state.bad_epochs = event.best ? 0 : fit->state.bad_epochs + 1;
    if (event.best) {
        fit->state.best_value = value;
        fit->state.best_epoch = fit->state.epoch;
        save_best(fit);
    }
    fit->result->train_loss = event.train_loss;
    log_epoch(fit, seen, event.learning_rate, event.epoch_seconds);
    tell(fit, &event);
    nacre_metrics_destroy(validation.metrics);
    nc_scores_clear(&fit->scores);
    fit->state.loss = (nacre_running_mean){0};
    fit->samples = 0;
    return nacre_check(fit->context) ? nacre_check(fit->context) : save_checkpoint(fit);
}

static nacre_status run_epoch(fitting *fit)
{
    const nacre_batch *batch;
    int64_t every = fit->options.checkpoint_every;
    fit->epoch_start = nacre_seconds();
    fit->wait_before = nacre_loader_statistics(fit->loader).wait_seconds;
    fit->samples = fit->state.batch * fit->options.batch_size;
    if (nacre_loader_start(fit->loader, fit->state.epoch, fit->state.batch)) return nacre_check(fit->context);
    while ((batch = nacre_loader_next(fit->loader))) {
        int64_t step_before = fit->state.step;
        if (train_on(fit, batch)) return nacre_check(fit->context);
        nacre_fit_event event = describe(fit);
        event.kind = NACRE_FIT_STEP;
        tell(fit, &event);
        bool due = every > 0 && fit->state.step != step_before && fit->state.step % every == 0;
        if ((due || fit->stop) && save_checkpoint(fit)) return nacre_check(fit->context);
        if (fit->stop) return NACRE_OK;
    }
    return nacre_check(fit->context) ? nacre_check(fit->context) : finish_epoch(fit);
}

/* ---- beginning and end ---- */

static nacre_status check_options(fitting *fit)
{
    nacre_fit_options *options = &fit->options;
    nacre_context *context = fit->context;
    if (options->epochs == 0) options->epochs = 1;
    if (options->batch_size == 0) options->batch_size = 64;
    if (options->accumulate == 0) options->accumulate = options->batch_size;
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
    if (options->loss && !nacre_loss_exists(options->loss)) {
        const char *near = nacre_nearest(options->loss, nacre_loss_names);
        return nacre_fail(context, NACRE_ERROR_ARGUMENT, "there is no loss \"%s\"%s%s%s", options->loss,
                          near ? "; did you mean \"" : "", near ? near : "", near ? "\"?" : "");
    }
    return NACRE_OK;
}

static nacre_status open_folder(fitting *fit)
{
    const char *folder = fit->options.folder;
    if (!folder) return NACRE_OK;
    if (nacre_make_directories(fit->context, folder)) return nacre_check(fit->context);
    fit->lock = nacre_lock_directory(fit->context, folder);
    if (!fit->lock) return nacre_check(fit->context);
    if (fit->options.resume && nc_checkpoint_load(fit->context, &fit->options, &fit->state))
        return nacre_check(fit->context);
    char *path = nacre_path_join(fit->context, folder, "log.jsonl");
    if (path) fit->log = nacre_run_log_open(fit->context, path, fit->options.resume ? fit->state.step : -1);
    nacre_release(fit->context, path);
    return nacre_check(fit->context);
}

static nacre_status begin(fitting *fit)
{
    nacre_fit_options *options = &fit->options;
    if (check_options(fit)) return nacre_check(fit->context);
    fit->state.best_value = NAN;
    if (!options->resume) nacre_model_set_seed(options->model, options->seed);
    nacre_loader_options loading = {.batch_size = (int)options->batch_size,
                                    .workers = options->workers,
                                    .prefetch = options->prefetch,
                                    .shuffle = !options->no_shuffle,
                                    .drop_last = options->drop_last,
                                    .training = true,
                                    .seed = options->seed,
                                    .transforms = options->transforms};
    fit->loader = nacre_loader_create(options->train, &loading);
    if (!fit->loader || nc_find_roles(fit->context, fit->loader, &fit->roles)) return nacre_check(fit->context);
    int64_t micro = nacre_loader_batches(fit->loader), per_update = options->accumulate / options->batch_size;
    fit->total_steps = options->epochs * ((micro + per_update - 1) / per_update);
    return open_folder(fit);
}

static void end(fitting *fit)
{
    nacre_run_log_close(fit->log);
    nacre_unlock(fit->lock);
    nc_scores_release(&fit->scores, fit->context);
    nc_step_release(&fit->step);
    nc_step_release(&fit->update);
    nacre_loader_destroy(fit->loader);
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
        if (patience > 0 && fit.state.bad_epochs >= patience) {
            fit.result->stopped_early = true;
            break;
        }
        status = run_epoch(&fit);
    }
    if (status == NACRE_OK && !fit.stop && fit.state.best_epoch != fit.state.epoch) status = load_best(&fit);
    fit.result->epochs = fit.state.epoch;
    fit.result->steps = fit.state.step;
    fit.result->best_epoch = fit.state.best_epoch;
    fit.result->best_value = fit.state.best_value;
    fit.result->cancelled = fit.stop;
    fit.result->seconds = nacre_seconds() - fit.start;
    fit.result->wait_seconds = fit.loader ? nacre_loader_statistics(fit.loader).wait_seconds : 0;
    end(&fit);
    return status;
}

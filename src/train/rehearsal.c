/* train/rehearsal.c - what a run will need and how fast it will be: planned, and tried without leaving a trace. */
#include "train/train.h"

#include <nacre/io.h>

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* ---- memory ---- */

/* A batch of `count` samples that has shapes only. */
static nacre_batch shape_batch(const nacre_loader *loader, int64_t count, const nacre_fit_options *mixing)
{
    nacre_batch batch = {.count = count, .field_count = nacre_loader_field_count(loader)};
    for (int f = 0; f < batch.field_count; f++) {
        const nacre_field *field = nacre_loader_field(loader, f);
        nacre_shape shape = {.rank = field->shape.rank + 1, .dims = {count}};
        memcpy(shape.dims + 1, field->shape.dims, (size_t)field->shape.rank * sizeof *shape.dims);
        batch.fields[f] = (nacre_batch_field){field->name, field->role, field->dtype, shape, NULL};
    }
    static const float no_shares[1];
    if (mixing && (mixing->mixup > 0 || mixing->cutmix > 0)) {
        batch.shares = no_shares; /* that they are there decides about the graph */
        batch.classes = nacre_dataset_classes(nacre_loader_dataset(loader));
    }
    return batch;
}

/* The bytes of the plan for batches of `count`; -1 after a failure. */
static int64_t plan_batch(nacre_context *context, const nc_step_options *step, const nc_roles *roles,
                          const nacre_batch *batch)
{
    nc_step_graph graph = {0};
    nacre_plan_info info = {0};
    nacre_status status = nc_step_prepare(&graph, context, step, roles, batch);
    if (status == NACRE_OK) status = nacre_plan(graph.graph, &info);
    nc_step_release(&graph);
    return status == NACRE_OK ? (int64_t)(info.activation_bytes + info.prepared_bytes) : -1;
}

/* For full batches and for a last one that is not; *full is the first of them. */
static nacre_status plan_pass(nacre_context *context, const nc_step_options *step, nacre_dataset *dataset,
                              const nacre_fit_options *options, bool training, int64_t *bytes, int64_t *full)
{
    nacre_loader_options small = {.batch_size = 1, .transforms = options->transforms};
    nacre_loader *loader = nacre_loader_create(dataset, &small);
    nc_roles roles;
    int64_t size = options->batch_size, samples = nacre_dataset_count(dataset), part;
    int64_t counts[2] = {samples < size ? 0 : size, training && options->drop_last ? 0 : samples % size};
    *bytes = *full = 0;
    if (loader && nc_find_roles(context, loader, &roles) == NACRE_OK)
        for (int i = 0; i < 2 && nacre_check(context) == NACRE_OK; i++) {
            if (counts[i] == 0) continue;
            nacre_batch batch = shape_batch(loader, counts[i], training ? options : NULL);
            nc_step_options chosen = *step;
            if (training) chosen = nc_training_step(options, &roles);
            if (!training) chosen.loss = nc_default_loss(&roles, options->loss);
            part = plan_batch(context, &chosen, &roles, &batch);
            *bytes += part;
            if (*full == 0) *full = part;
        }
    nacre_loader_destroy(loader);
    return nacre_check(context);
}

/* With accumulation the update is a plan of its own. */
static int64_t plan_update(nacre_context *context, const nacre_fit_options *options)
{
    const nc_roles roles = {.target = -1};
    nc_step_options step = nc_training_step(options, &roles);
    nc_step_graph update = {0};
    nacre_plan_info info = {0};
    if (step.optimizer) return 0;
    if (nc_update_prepare(&update, context, options, &step) == NACRE_OK) nacre_plan(update.graph, &info);
    nc_step_release(&update);
    return (int64_t)(info.activation_bytes + info.prepared_bytes);
}

static int64_t ring_bytes(nacre_context *context, nacre_dataset *dataset, const nacre_fit_options *options,
                          bool training)
{
    nacre_loader_options loading = {.batch_size = (int)options->batch_size,
                                    .workers = options->workers,
                                    .prefetch = training ? options->prefetch : 0,
                                    .drop_last = training && options->drop_last,
                                    .training = training,
                                    .transforms = options->transforms,
                                    .mixup = options->mixup,
                                    .cutmix = options->cutmix};
    nacre_loader *loader = dataset ? nacre_loader_create(dataset, &loading) : NULL;
    int64_t bytes = nacre_loader_bytes(loader);
    nacre_loader_destroy(loader);
    return nacre_check(context) == NACRE_OK ? bytes : 0;
}

/* Of what a role's entries hold now; their slabs have room for more. */
static int64_t copy_bytes(nacre_model *model, nacre_entry_role role)
{
    int64_t sum = 0;
    for (int dtype = 0; dtype < NACRE_DTYPE_COUNT; dtype++) {
        size_t bytes = 0;
        if (nacre_model_slab(model, role, (nacre_dtype)dtype, &bytes)) sum += (int64_t)bytes;
    }
    return sum;
}

nacre_status nacre_fit_plan(nacre_context *context, const nacre_fit_options *options, nacre_fit_memory *memory)
{
    nacre_fit_options all = *options;
    nc_fit_fill(&all);
    nc_step_options measure = {
        .model = all.model, .build = all.build, .user = all.user, .precision = all.precision, .forward = true};
    int64_t unused;
    *memory = (nacre_fit_memory){0};
    nacre_model_set_seed(all.model, all.seed);
    if (plan_pass(context, &measure, all.train, &all, true, &memory->activations, &memory->batch_block))
        return nacre_check(context);
    memory->activations += plan_update(context, &all);
    if (all.validation && plan_pass(context, &measure, all.validation, &all, false, &memory->validation, &unused))
        return nacre_check(context);
    memory->loader = ring_bytes(context, all.train, &all, true) + ring_bytes(context, all.validation, &all, false);
    memory->parameters = (int64_t)nacre_model_bytes(all.model, NACRE_ENTRY_PARAMETER);
    memory->buffers = (int64_t)nacre_model_bytes(all.model, NACRE_ENTRY_BUFFER);
    memory->state = (int64_t)nacre_model_bytes(all.model, NACRE_ENTRY_STATE);
    memory->copies = copy_bytes(all.model, NACRE_ENTRY_BUFFER);
    if (!all.folder) memory->copies += memory->copies + copy_bytes(all.model, NACRE_ENTRY_PARAMETER);
    memory->total = memory->parameters + memory->buffers + memory->state + memory->activations + memory->validation +
                    memory->loader + memory->copies;
    return nacre_check(context);
}

/* ---- time ---- */

enum { UNTIMED_STEPS = 2, LEAST_STEPS = 3, MOST_STEPS = 256 };

typedef struct stopwatch {
    const nacre_context *context;
    int64_t wanted, steps, batch; /* batch: the last one's number */
    double seconds, start, last;
    double waited, wait_mark; /* wait_mark: of the last event */
    double times[MOST_STEPS];
    double first_loss, last_loss;
    nacre_transfers before;
} stopwatch;

static bool note_step(void *user, const nacre_fit_event *event)
{
    stopwatch *watch = user;
    double now = nacre_seconds();
    if (event->kind != NACRE_FIT_STEP) {
        watch->last = now;
        return true;
    }
    int64_t timed = watch->steps - UNTIMED_STEPS;
    if (watch->steps == 0) watch->first_loss = event->batch_loss;
    if (timed < 0) {
        watch->start = now;
        watch->before = nacre_transfer_statistics(watch->context);
    } else if (timed < MOST_STEPS) {
        watch->times[timed] = now - watch->last;
        watch->waited += event->wait_seconds - (event->wait_seconds >= watch->wait_mark ? watch->wait_mark : 0);
    }
    watch->wait_mark = event->wait_seconds;
    watch->steps++;
    watch->last = now;
    watch->last_loss = event->batch_loss;
    timed = watch->steps - UNTIMED_STEPS;
    bool long_enough = timed >= LEAST_STEPS && now - watch->start >= watch->seconds;
    return timed < watch->wanted && timed < MOST_STEPS && !long_enough;
}

static int compare_times(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static nacre_transfers difference(nacre_transfers after, nacre_transfers before, int64_t steps)
{
    nacre_transfers one = after;
    one.runs = (after.runs - before.runs) / steps;
    one.borrowed_calls = (after.borrowed_calls - before.borrowed_calls) / steps;
    one.borrowed_bytes = (after.borrowed_bytes - before.borrowed_bytes) / steps;
    one.in_calls = (after.in_calls - before.in_calls) / steps;
    one.in_bytes = (after.in_bytes - before.in_bytes) / steps;
    one.out_calls = (after.out_calls - before.out_calls) / steps;
    one.out_bytes = (after.out_bytes - before.out_bytes) / steps;
    one.scalar_reads = (after.scalar_reads - before.scalar_reads) / steps;
    return one;
}

/* The model as it was; what the trial has added to the training's state begins with zeros, as it would have. */
static void undo(const nc_snapshot *before, nacre_model *model)
{
    for (int dtype = 0; dtype < NACRE_DTYPE_COUNT; dtype++) {
        size_t bytes = 0;
        void *slab = nacre_model_slab(model, NACRE_ENTRY_STATE, (nacre_dtype)dtype, &bytes);
        if (slab) memset(slab, 0, bytes);
    }
    nc_snapshot_restore(before, model);
}

static nacre_status take_all(nc_snapshot *snapshot, nacre_model *model)
{
    nacre_status status = NACRE_OK;
    for (int role = 0; role < NACRE_ENTRY_ROLES && status == NACRE_OK; role++)
        status = nc_snapshot_take(snapshot, model, (nacre_entry_role)role);
    return status;
}

/* Enough epochs for so many steps. */
static int64_t epochs_for(const nacre_fit_options *options, int64_t steps)
{
    int64_t batches = nacre_dataset_count(options->train) / options->batch_size;
    int64_t needed = steps / (batches > 0 ? batches : 1) + 1;
    return needed > options->epochs ? needed : options->epochs;
}

/* The first pass finds kernels and memory, the second is timed. */
static nacre_status time_validation(nacre_context *context, const nacre_fit_options *options, int64_t batches,
                                    double *seconds)
{
    const int64_t there = options->validation ? nacre_dataset_count(options->validation) : 0;
    const int64_t wanted = batches * options->batch_size, samples = wanted < there ? wanted : there;
    nacre_dataset *some = samples > 0 ? nacre_dataset_subset(options->validation, samples, options->seed) : NULL;
    const nacre_evaluate_options measured = {.model = options->model,
                                             .build = options->build,
                                             .user = options->user,
                                             .dataset = some,
                                             .transforms = options->transforms,
                                             .batch_size = options->batch_size,
                                             .workers = options->workers,
                                             .precision = options->precision,
                                             .loss = options->loss,
                                             .metrics = options->metrics};
    for (int pass = 0; some && pass < 2 && nacre_check(context) == NACRE_OK; pass++) {
        nacre_evaluation result = {0};
        nacre_evaluate(context, &measured, &result);
        *seconds = result.seconds * (double)there / (double)samples;
        nacre_metrics_destroy(result.metrics);
    }
    nacre_dataset_destroy(some);
    return nacre_check(context);
}

nacre_status nacre_fit_time(nacre_context *context, const nacre_fit_options *options, int64_t steps, double seconds,
                            nacre_fit_timing *timing)
{
    nacre_fit_options all = *options;
    nc_fit_fill(&all);
    stopwatch watch = {.context = context, .wanted = steps, .seconds = seconds};
    nc_snapshot before = {0};
    *timing = (nacre_fit_timing){0};
    all.epochs = epochs_for(&all, MOST_STEPS);
    all.drop_last = nacre_dataset_count(all.train) >= all.batch_size; /* a smaller batch would be another plan */
    all.validation = NULL;
    all.folder = NULL;
    all.resume = false;
    all.callback_count = 0;
    all.patience = 0;
    all.listen = note_step;
    all.listen_user = &watch;
    nacre_status status = take_all(&before, all.model);
    if (status == NACRE_OK) status = nacre_fit(context, &all, NULL);
    undo(&before, all.model);
    nc_snapshot_release(&before, context);
    int64_t timed = watch.steps - UNTIMED_STEPS;
    if (status != NACRE_OK || timed < 1) return status;
    const nacre_transfers transfers = difference(nacre_transfer_statistics(context), watch.before, timed);
    nacre_fit_options measuring = *options;
    double validation = 0;
    nc_fit_fill(&measuring);
    if (time_validation(context, &measuring, steps, &validation)) return nacre_check(context);
    qsort(watch.times, (size_t)timed, sizeof *watch.times, compare_times);
    double median = watch.times[timed / 2];
    *timing = (nacre_fit_timing){.steps = timed,
                                 .step_seconds = median,
                                 .wait_share = watch.last > watch.start ? watch.waited / (watch.last - watch.start) : 0,
                                 .samples_per_second = median > 0 ? (double)all.batch_size / median : 0,
                                 .validation_seconds = validation,
                                 .first_loss = watch.first_loss,
                                 .last_loss = watch.last_loss,
                                 .transfers = transfers};
    return NACRE_OK;
}

/* ---- one batch by heart ---- */

static bool near_zero(void *user, const nacre_fit_event *event)
{
    nacre_overfit *result = user;
    if (event->kind != NACRE_FIT_STEP) return true;
    if (result->steps++ == 0) {
        result->first_loss = result->least_loss = event->batch_loss;
        if (result->goal == 0) result->goal = 0.02 * event->batch_loss;
    }
    result->last_loss = event->batch_loss;
    result->least_loss = fmin(result->least_loss, event->batch_loss);
    result->reached |= event->batch_loss <= result->goal;
    return !result->reached;
}

nacre_status nacre_fit_overfit(nacre_context *context, const nacre_fit_options *options, int64_t samples,
                               int64_t most_steps, nacre_overfit *result)
{
    nacre_fit_options all = *options;
    nc_fit_fill(&all);
    int64_t there = nacre_dataset_count(all.train);
    int classes = nacre_dataset_classes(all.train);
    *result = (nacre_overfit){.samples = samples < there ? samples : there};
    if (samples < 1)
        return nacre_fail(context, NACRE_ERROR_ARGUMENT, "overfitting needs at least one sample, not %lld",
                          (long long)samples);
    if (all.schedule.base <= 0)
        return nacre_fail(context, NACRE_ERROR_ARGUMENT,
                          "overfitting needs a learning rate; optimizer.learning_rate is auto");
    nacre_dataset *few = nacre_dataset_subset(all.train, result->samples, all.seed);
    if (!few) return nacre_check(context);
    bool guessing = classes > 1 && (!all.loss || !strcmp(all.loss, "cross_entropy"));
    if (guessing) result->goal = 0.02 * log(classes);
    all.train = few;
    all.validation = NULL;
    all.folder = NULL;
    all.resume = false;
    all.callback_count = 0;
    all.no_augment = true;
    all.no_shuffle = true;
    all.drop_last = false;
    all.mixup = all.cutmix = all.label_smoothing = 0;
    all.optimizer.weight_decay = 0;
    all.averaging.kind = NACRE_AVERAGING_NONE;
    all.schedule = (nacre_schedule){.kind = NACRE_SCHEDULE_CONSTANT, .base = all.schedule.base};
    all.patience = 0;
    all.batch_size = all.accumulate = result->samples;
    all.epochs = most_steps;
    all.listen = near_zero;
    all.listen_user = result;
    nacre_status status = nacre_fit(context, &all, NULL);
    nacre_dataset_destroy(few);
    return status;
}

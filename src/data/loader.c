/* data/loader.c - from samples to batches, on worker threads.
 *
 * The batches of an epoch are numbered. Slot number % slots of a ring belongs to batch `number`: a worker claims the
 * next number as soon as its slot is free, fills the slot, and the caller takes the slots in order. So the order and
 * the content of batches depend neither on the number of workers nor on their pace, and every buffer is used again.
 */
#include "data/dataset.h"
#include "data/mix.h"

#include <nacre/random.h>

#include <pthread.h>
#include <stdio.h>
#include <string.h>

enum { MAX_WORKERS = 64, MAX_PREFETCH = 256 };

typedef enum slot_state { FREE, FILLING, READY } slot_state;

typedef struct slot {
    slot_state state;
    nacre_batch batch;
    void *data[NACRE_MAX_FIELDS]; /* room for batch_size samples each */
    float *shares;                /* room for [batch_size, classes], where batches are mixed */
    nacre_status status;          /* of filling; a failure is told when the caller gets here */
    char message[512];
} slot;

/* What a thread needs to fill slots. */
typedef struct worker {
    nacre_loader *loader;
    nacre_context *context; /* a fork, so that failures stay apart until their batch is due */
    nacre_sample sample;
    nacre_work work[2];
    void *mixed; /* room for one sample, where batches are mixed */
    pthread_t thread;
    bool running;
} worker;

struct nacre_loader {
    nacre_context *context;
    nacre_dataset *dataset;
    nacre_loader_options options;
    nacre_field fields[NACRE_MAX_FIELDS]; /* of a sample as it stands in a batch */
    int64_t *order;                       /* dataset indices of the epoch */
    int64_t epoch, batches;               /* batches: per epoch */
    bool started, touched;
    nacre_loader_stats stats;

    slot *slots;
    worker *workers; /* at least one: with no threads, the caller uses it */
    int slot_count, worker_count;

    pthread_mutex_t lock;
    pthread_cond_t work_changed, slot_ready;
    int64_t claimed, delivered; /* the next batch to fill; the next to deliver */
    int busy;                   /* slots being filled */
    bool stopping;
};

/* ---- one batch ---- */

static nacre_status copy_value(nacre_loader *loader, const worker *self, int field, int64_t index, int64_t position,
                               slot *target)
{
    const nacre_value *value = &self->sample.values[field];
    const nacre_field *expected = &loader->fields[field];
    if (!nacre_shape_equal(value->shape, expected->shape)) {
        char origin[256], got[NACRE_SHAPE_TEXT_SIZE], wanted[NACRE_SHAPE_TEXT_SIZE];
        bool image = expected->role == NACRE_ROLE_IMAGE;
        return nacre_fail(self->context, NACRE_ERROR_SHAPE, "%s: \"%s\" is %s, but the first sample's is %s%s",
                          nacre_dataset_origin(loader->dataset, index, origin, sizeof origin), expected->name,
                          nacre_shape_text(value->shape, got), nacre_shape_text(expected->shape, wanted),
                          image ? "; add resize(height, width) to the transforms" : "");
    }
    int64_t count = nacre_shape_count(value->shape);
    void *to = (char *)target->data[field] + (size_t)(position * count) * nacre_dtype_size(expected->dtype);
    nacre_dtype_convert(expected->dtype, to, value->dtype, value->data, count);
    return NACRE_OK;
}

/* Says which sample it was. */
static nacre_status fail_sample(const nacre_loader *loader, const worker *self, int64_t index, nacre_status status)
{
    char origin[256], reason[512];
    snprintf(reason, sizeof reason, "%s", nacre_message(self->context));
    nacre_clear(self->context);
    return nacre_fail(self->context, status, "%s: %s",
                      nacre_dataset_origin(loader->dataset, index, origin, sizeof origin), reason);
}

static nacre_status fill_sample(nacre_loader *loader, worker *self, int64_t index, int64_t position, slot *target)
{
    const nacre_loader_options *options = &loader->options;
    nacre_draw draw = {options->training, options->seed, loader->epoch, index};
    nacre_status status = nacre_dataset_get(loader->dataset, index, &self->sample);
    if (status != NACRE_OK) return status;
    status = nacre_transforms_apply(options->transforms, loader->dataset, &draw, &self->sample, self->work);
    if (status != NACRE_OK) return fail_sample(loader, self, index, status);
    for (int f = 0; status == NACRE_OK && f < target->batch.field_count; f++)
        status = copy_value(loader, self, f, index, position, target);
    return status;
}

static void fill(nacre_loader *loader, worker *self, int64_t number, slot *target)
{
    nacre_batch *batch = &target->batch;
    int64_t first = number * loader->options.batch_size, left = nacre_dataset_count(loader->dataset) - first;
    batch->index = number;
    batch->count = left < loader->options.batch_size ? left : loader->options.batch_size;
    batch->indices = loader->order + first;
    target->status = NACRE_OK;
    for (int64_t i = 0; target->status == NACRE_OK && i < batch->count; i++)
        target->status = fill_sample(loader, self, batch->indices[i], i, target);
    for (int f = 0; f < batch->field_count; f++) batch->fields[f].shape.dims[0] = batch->count;
    if (target->status == NACRE_OK && target->shares)
        nc_mix(&loader->options, loader->epoch, batch, target->data, target->shares, self->mixed);
    if (target->status != NACRE_OK) {
        snprintf(target->message, sizeof target->message, "%s", nacre_message(self->context));
        nacre_clear(self->context);
    }
}

/* ---- threads ---- */

static slot *slot_of(nacre_loader *loader, int64_t number)
{
    return &loader->slots[number % loader->slot_count];
}

static bool can_claim(nacre_loader *loader)
{
    return loader->started && loader->claimed < loader->batches && slot_of(loader, loader->claimed)->state == FREE;
}

/* Fills the next batch; the lock is held before and after. */
static void fill_next(nacre_loader *loader, worker *self)
{
    int64_t number = loader->claimed++;
    slot *target = slot_of(loader, number);
    target->state = FILLING;
    loader->busy++;
    pthread_mutex_unlock(&loader->lock);
    fill(loader, self, number, target);
    pthread_mutex_lock(&loader->lock);
    loader->busy--;
    target->state = READY;
    pthread_cond_signal(&loader->slot_ready);
}

static void *run_worker(void *argument)
{
    worker *self = argument;
    nacre_loader *loader = self->loader;
    pthread_mutex_lock(&loader->lock);
    while (!loader->stopping) {
        if (can_claim(loader))
            fill_next(loader, self);
        else
            pthread_cond_wait(&loader->work_changed, &loader->lock);
    }
    pthread_mutex_unlock(&loader->lock);
    return NULL;
}

/* ---- creation ---- */

static nacre_status describe_fields(nacre_loader *loader)
{
    for (int f = 0; f < nacre_dataset_field_count(loader->dataset); f++) {
        nacre_field *field = &loader->fields[f];
        nacre_status status = nacre_transforms_field(loader->options.transforms, loader->dataset,
                                                     nacre_dataset_field(loader->dataset, f), field);
        if (status != NACRE_OK) return status;
        if (field->role == NACRE_ROLE_IMAGE && field->dtype == NACRE_U8) field->dtype = NACRE_F32;
        if (field->shape.rank == NACRE_MAX_RANK)
            return nacre_fail(loader->context, NACRE_ERROR_SHAPE,
                              "loader: \"%s\" has %d dimensions already; no room for "
                              "the batch",
                              field->name, NACRE_MAX_RANK);
    }
    return NACRE_OK;
}

/* Bytes of field `field` of a full batch; field_count stands for the shares of mixed batches. */
static size_t slot_bytes(const nacre_loader *loader, int field)
{
    size_t samples = (size_t)loader->options.batch_size;
    if (field == nacre_dataset_field_count(loader->dataset))
        return nc_mixes(&loader->options) ? samples * (size_t)nacre_dataset_classes(loader->dataset) * sizeof(float)
                                          : 0;
    const nacre_field *of = &loader->fields[field];
    return samples * (size_t)nacre_shape_count(of->shape) * nacre_dtype_size(of->dtype);
}

static nacre_status make_slot(nacre_loader *loader, slot *target)
{
    nacre_batch *batch = &target->batch;
    batch->field_count = nacre_dataset_field_count(loader->dataset);
    for (int f = 0; f < batch->field_count; f++) {
        const nacre_field *field = &loader->fields[f];
        nacre_shape shape = {.rank = field->shape.rank + 1, .dims = {loader->options.batch_size}};
        memcpy(shape.dims + 1, field->shape.dims, (size_t)field->shape.rank * sizeof *shape.dims);
        int64_t count = nacre_shape_count(shape);
        size_t size = nacre_dtype_size(field->dtype);
        if (count < 0 || (uint64_t)count > SIZE_MAX / size)
            return nacre_fail(loader->context, NACRE_ERROR_SHAPE, "loader: a batch of %d \"%s\" is too large",
                              loader->options.batch_size, field->name);
        target->data[f] = nacre_allocate_aligned(loader->context, slot_bytes(loader, f));
        if (!target->data[f]) return NACRE_ERROR_MEMORY;
        batch->fields[f] = (nacre_batch_field){field->name, field->role, field->dtype, shape, target->data[f]};
    }
    if (!nc_mixes(&loader->options)) return NACRE_OK;
    batch->classes = nacre_dataset_classes(loader->dataset);
    target->shares = nacre_allocate_aligned(loader->context, slot_bytes(loader, batch->field_count));
    batch->shares = target->shares;
    return target->shares ? NACRE_OK : NACRE_ERROR_MEMORY;
}

/* Bytes of the largest field of a sample. */
static size_t largest_value(const nacre_loader *loader)
{
    size_t largest = 0;
    for (int f = 0; f < nacre_dataset_field_count(loader->dataset); f++) {
        const nacre_field *field = &loader->fields[f];
        size_t size = (size_t)nacre_shape_count(field->shape) * nacre_dtype_size(field->dtype);
        if (size > largest) largest = size;
    }
    return largest;
}

/* Before the first batch: a worker may be given none until a later epoch, whose steps allocate nothing. */
static bool reserve_sample(const nacre_loader *loader, worker *self)
{
    for (int f = 0; f < nacre_dataset_field_count(loader->dataset); f++) {
        const nacre_field *field = nacre_dataset_field(loader->dataset, f);
        if (!nacre_sample_reserve(&self->sample, f, field->dtype, field->shape)) return false;
    }
    return true;
}

static nacre_status make_workers(nacre_loader *loader)
{
    int threads = loader->options.workers;
    loader->workers = nacre_allocate(loader->context, (size_t)loader->worker_count * sizeof *loader->workers);
    if (!loader->workers) return NACRE_ERROR_MEMORY;
    for (int i = 0; i < loader->worker_count; i++) {
        worker *self = &loader->workers[i];
        self->loader = loader;
        self->context = nacre_context_fork(loader->context);
        self->sample.context = self->context;
        if (!self->context || !reserve_sample(loader, self))
            return nacre_fail(loader->context, NACRE_ERROR_MEMORY, "out of memory for a loader's worker");
        if (!nc_mixes(&loader->options)) continue;
        self->mixed = nacre_allocate_aligned(loader->context, largest_value(loader));
        if (!self->mixed) return NACRE_ERROR_MEMORY;
    }
    for (int i = 0; i < threads; i++) {
        worker *self = &loader->workers[i];
        self->running = pthread_create(&self->thread, NULL, run_worker, self) == 0;
        if (!self->running)
            return nacre_fail(loader->context, NACRE_ERROR_STATE, "loader: the system gives no more threads (%d of %d)",
                              i, threads);
    }
    return NACRE_OK;
}

static nacre_status check_options(nacre_loader *loader)
{
    nacre_loader_options *options = &loader->options;
    if (options->batch_size == 0) options->batch_size = 32;
    if (options->batch_size < 0 || options->workers < 0 || options->workers > MAX_WORKERS || options->prefetch < 0 ||
        options->prefetch > MAX_PREFETCH)
        return nacre_fail(loader->context, NACRE_ERROR_ARGUMENT,
                          "loader: batch_size %d, workers %d, prefetch %d; expected at least 1, 0 to %d, 0 to %d",
                          options->batch_size, options->workers, options->prefetch, MAX_WORKERS, MAX_PREFETCH);
    int64_t count = nacre_dataset_count(loader->dataset), size = options->batch_size;
    loader->batches = options->drop_last ? count / size : (count + size - 1) / size;
    loader->worker_count = options->workers ? options->workers : 1;
    /* One slot is the caller's while the others are filled. */
    int ahead = options->prefetch ? options->prefetch : 2 * options->workers;
    loader->slot_count = 1 + (options->workers ? ahead : 0);
    if (loader->slot_count > loader->batches + 1) loader->slot_count = (int)loader->batches + 1;
    return NACRE_OK;
}

static nacre_status set_up(nacre_loader *loader)
{
    nacre_status status = check_options(loader);
    if (status == NACRE_OK) status = describe_fields(loader);
    if (status == NACRE_OK && nc_mixes(&loader->options))
        status = nc_mix_check(loader->context, loader->dataset, loader->fields,
                              nacre_dataset_field_count(loader->dataset), &loader->options);
    if (status != NACRE_OK) return status;
    loader->order =
        nacre_allocate(loader->context, (size_t)nacre_dataset_count(loader->dataset) * sizeof *loader->order);
    loader->slots = nacre_allocate(loader->context, (size_t)loader->slot_count * sizeof *loader->slots);
    if (!loader->order || !loader->slots) return NACRE_ERROR_MEMORY;
    for (int i = 0; status == NACRE_OK && i < loader->slot_count; i++) status = make_slot(loader, &loader->slots[i]);
    return status == NACRE_OK ? make_workers(loader) : status;
}

nacre_loader *nacre_loader_create(nacre_dataset *dataset, const nacre_loader_options *options)
{
    if (!dataset) return NULL;
    nacre_context *context = nacre_dataset_context(dataset);
    nacre_loader *loader = nacre_allocate(context, sizeof *loader);
    if (!loader) return NULL;
    loader->context = context;
    loader->dataset = nc_dataset_retain(dataset);
    if (options) loader->options = *options;
    pthread_mutex_init(&loader->lock, NULL);
    pthread_cond_init(&loader->work_changed, NULL);
    pthread_cond_init(&loader->slot_ready, NULL);
    if (set_up(loader) == NACRE_OK) return loader;
    nacre_loader_destroy(loader);
    return NULL;
}

void nacre_loader_destroy(nacre_loader *loader)
{
    if (!loader) return;
    nacre_context *context = loader->context;
    pthread_mutex_lock(&loader->lock);
    loader->stopping = true;
    pthread_cond_broadcast(&loader->work_changed);
    pthread_mutex_unlock(&loader->lock);
    for (int i = 0; loader->workers && i < loader->worker_count; i++) {
        worker *self = &loader->workers[i];
        if (self->running) pthread_join(self->thread, NULL);
        nacre_release_aligned(context, self->mixed);
        if (!self->context) continue;
        nacre_sample_release(&self->sample);
        for (int w = 0; w < 2; w++) nacre_release(self->context, self->work[w].block);
        nacre_context_destroy(self->context);
    }
    for (int i = 0; loader->slots && i < loader->slot_count; i++) {
        for (int f = 0; f < NACRE_MAX_FIELDS; f++) nacre_release_aligned(context, loader->slots[i].data[f]);
        nacre_release_aligned(context, loader->slots[i].shares);
    }
    pthread_cond_destroy(&loader->slot_ready);
    pthread_cond_destroy(&loader->work_changed);
    pthread_mutex_destroy(&loader->lock);
    nacre_release(context, loader->workers);
    nacre_release(context, loader->slots);
    nacre_release(context, loader->order);
    nacre_dataset_destroy(loader->dataset);
    nacre_release(context, loader);
}

/* ---- use ---- */

nacre_dataset *nacre_loader_dataset(const nacre_loader *loader)
{
    return loader ? loader->dataset : NULL;
}

int64_t nacre_loader_batches(const nacre_loader *loader)
{
    return loader ? loader->batches : 0;
}

int nacre_loader_field_count(const nacre_loader *loader)
{
    return loader ? nacre_dataset_field_count(loader->dataset) : 0;
}

const nacre_field *nacre_loader_field(const nacre_loader *loader, int index)
{
    return index >= 0 && index < nacre_loader_field_count(loader) ? &loader->fields[index] : NULL;
}

int64_t nacre_loader_bytes(const nacre_loader *loader)
{
    int64_t bytes = 0;
    for (int f = 0; loader && f <= nacre_dataset_field_count(loader->dataset); f++)
        bytes += (int64_t)slot_bytes(loader, f) * loader->slot_count;
    return bytes;
}

/* So that no batch of the first epoch waits for the system to find its pages. */
static void touch_slots(nacre_loader *loader)
{
    int fields = nacre_dataset_field_count(loader->dataset);
    for (int i = 0; i < loader->slot_count && !loader->touched; i++) {
        for (int f = 0; f < fields; f++) memset(loader->slots[i].data[f], 0, slot_bytes(loader, f));
        if (loader->slots[i].shares) memset(loader->slots[i].shares, 0, slot_bytes(loader, fields));
    }
    loader->touched = true;
}

nacre_loader_stats nacre_loader_statistics(const nacre_loader *loader)
{
    return loader ? loader->stats : (nacre_loader_stats){0};
}

nacre_status nacre_loader_start(nacre_loader *loader, int64_t epoch, int64_t batch)
{
    if (!loader) return NACRE_ERROR_ARGUMENT;
    if (epoch < 0 || batch < 0 || batch > loader->batches)
        return nacre_fail(loader->context, NACRE_ERROR_ARGUMENT,
                          "loader: epoch %lld, batch %lld; there are %lld batches", (long long)epoch, (long long)batch,
                          (long long)loader->batches);
    pthread_mutex_lock(&loader->lock);
    loader->started = false; /* nothing new is begun, and what is being filled is let finish */
    while (loader->busy > 0) pthread_cond_wait(&loader->slot_ready, &loader->lock);
    for (int i = 0; i < loader->slot_count; i++) loader->slots[i].state = FREE;
    touch_slots(loader);
    int64_t count = nacre_dataset_count(loader->dataset);
    if (loader->options.shuffle)
        nc_shuffle(loader->order, count, loader->options.seed, epoch);
    else
        for (int64_t i = 0; i < count; i++) loader->order[i] = i;
    loader->epoch = epoch;
    loader->claimed = loader->delivered = batch;
    loader->started = true;
    pthread_cond_broadcast(&loader->work_changed);
    pthread_mutex_unlock(&loader->lock);
    return NACRE_OK;
}

/* The batch that was delivered last is the caller's no longer. */
static void take_back(nacre_loader *loader)
{
    if (loader->delivered == 0) return;
    slot *last = slot_of(loader, loader->delivered - 1);
    if (last->state != READY || last->batch.index != loader->delivered - 1) return;
    last->state = FREE;
    pthread_cond_signal(&loader->work_changed);
}

const nacre_batch *nacre_loader_next(nacre_loader *loader)
{
    if (!loader || (!loader->started && nacre_loader_start(loader, 0, 0) != NACRE_OK)) return NULL;
    double begun = nacre_seconds();
    pthread_mutex_lock(&loader->lock);
    take_back(loader);
    slot *next = NULL;
    if (loader->delivered < loader->batches) {
        next = slot_of(loader, loader->delivered);
        if (loader->options.workers == 0) fill_next(loader, &loader->workers[0]);
        while (next->state != READY) pthread_cond_wait(&loader->slot_ready, &loader->lock);
        loader->delivered++;
    }
    pthread_mutex_unlock(&loader->lock);
    if (!next) return NULL;
    loader->stats.wait_seconds += nacre_seconds() - begun;
    if (next->status != NACRE_OK) {
        nacre_fail(loader->context, next->status, "%s", next->message);
        loader->delivered = loader->batches; /* nothing more until the next start */
        return NULL;
    }
    loader->stats.batches++;
    loader->stats.samples += next->batch.count;
    return &next->batch;
}

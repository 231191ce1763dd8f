/* Loaders: content and order whatever the number of workers, resuming, failures in workers, memory. */
#include "support.h"

#include <stdatomic.h>

static nacre_context *ctx;

/* ---- a dataset that can fail and that allocates nothing ---- */

typedef struct numbers {
    int64_t bad; /* this sample cannot be read; -1: none */
    int64_t odd; /* this sample has another shape; -1: none */
} numbers;

static nacre_status get_number(void *user, int64_t index, nacre_sample *sample)
{
    const numbers *self = user;
    if (index == self->bad)
        return nacre_fail(sample->context, NACRE_ERROR_FORMAT, "number %lld is torn", (long long)index);
    float *value = nacre_sample_reserve(sample, 0, NACRE_F32, NACRE_SHAPE(index == self->odd ? 3 : 2));
    int64_t *label = nacre_sample_reserve(sample, 1, NACRE_I64, NACRE_SCALAR);
    if (!value || !label) return NACRE_ERROR_MEMORY;
    value[0] = (float)index;
    value[1] = (float)index / 2;
    *label = index % 7;
    return NACRE_OK;
}

static nacre_dataset *make_numbers(nacre_context *context, numbers *self, int64_t count)
{
    nacre_dataset_source source = {.name = "numbers",
                                   .user = self,
                                   .count = count,
                                   .fields = {{"features", NACRE_ROLE_FEATURES, NACRE_F32, NACRE_SHAPE(2)},
                                              {"label", NACRE_ROLE_LABEL, NACRE_I64, NACRE_SCALAR}},
                                   .field_count = 2,
                                   .class_count = 7,
                                   .get = get_number};
    return nacre_dataset_create(context, &source);
}

/* ---- order ---- */

static uint64_t hash_bytes(uint64_t hash, const void *bytes, size_t size) /* FNV-1a */
{
    for (size_t i = 0; i < size; i++) hash = (hash ^ ((const uint8_t *)bytes)[i]) * 0x100000001b3u;
    return hash;
}

/* All that a batch holds. */
static uint64_t hash_batch(uint64_t hash, const nacre_batch *batch)
{
    hash = hash_bytes(hash, &batch->index, sizeof batch->index);
    hash = hash_bytes(hash, batch->indices, (size_t)batch->count * sizeof *batch->indices);
    for (int f = 0; f < batch->field_count; f++) {
        const nacre_batch_field *field = &batch->fields[f];
        NC_CHECK_INT(field->shape.dims[0], batch->count);
        NC_CHECK_INT((uintptr_t)field->data % 64, 0);
        hash = hash_bytes(hash, field->data, (size_t)nacre_shape_count(field->shape) * nacre_dtype_size(field->dtype));
    }
    return hash;
}

/* Batches [from, end) of an epoch. */
static uint64_t hash_epoch(nacre_loader *loader, int64_t epoch, int64_t from)
{
    uint64_t hash = 0xcbf29ce484222325u;
    int64_t expected = from;
    NC_CHECK_INT(nacre_loader_start(loader, epoch, from), NACRE_OK);
    for (const nacre_batch *batch; (batch = nacre_loader_next(loader));) {
        NC_CHECK_INT(batch->index, expected++);
        hash = hash_batch(hash, batch);
    }
    NC_CHECK_INT(expected, nacre_loader_batches(loader));
    NC_CHECK(nacre_loader_next(loader) == NULL); /* still at the end */
    NC_CHECK_OK(ctx);
    return hash;
}

static nacre_loader *make_glyph_loader(nacre_dataset *glyphs, const nacre_transforms *list, int workers, int prefetch)
{
    return nacre_loader_create(glyphs, &(nacre_loader_options){.batch_size = 16,
                                                               .workers = workers,
                                                               .prefetch = prefetch,
                                                               .shuffle = true,
                                                               .training = true,
                                                               .seed = 9,
                                                               .transforms = list});
}

static void same_for_any_number_of_workers(void)
{
    static const int WORKERS[][2] = {{0, 0}, {1, 1}, {1, 0}, {2, 0}, {3, 1}, {4, 9}};
    nacre_dataset *glyphs = nacre_glyphs(ctx, 150, 3);
    nacre_transforms *list = nacre_transforms_parse(
        ctx,
        "random_crop(28, padding=2); affine(10, translate=0.1); horizontal_flip; scale(1/255); noise(0.1); one_hot");
    uint64_t first[3] = {0};
    for (size_t i = 0; i < sizeof WORKERS / sizeof *WORKERS; i++) {
        nacre_loader *loader = make_glyph_loader(glyphs, list, WORKERS[i][0], WORKERS[i][1]);
        NC_REQUIRE(loader);
        for (int64_t epoch = 0; epoch < 3; epoch++) {
            uint64_t hash = hash_epoch(loader, epoch, 0);
            if (i == 0) first[epoch] = hash;
            NC_CHECK_INT(hash, first[epoch]);
        }
        nacre_loader_destroy(loader);
    }
    NC_CHECK(first[0] != first[1] && first[1] != first[2]);
    nacre_transforms_destroy(list);
    nacre_dataset_destroy(glyphs);
}

static void resumes_in_the_middle(void)
{
    nacre_dataset *glyphs = nacre_glyphs(ctx, 150, 3);
    nacre_transforms *list = nacre_transforms_parse(ctx, "affine(10); scale(1/255)");
    for (int workers = 0; workers <= 2; workers += 2) {
        nacre_loader *loader = make_glyph_loader(glyphs, list, workers, 0);
        uint64_t whole = hash_epoch(loader, 5, 4);
        NC_CHECK_INT(nacre_loader_start(loader, 5, 0), NACRE_OK); /* the same by way of the batches before */
        for (int i = 0; i < 4; i++) NC_CHECK(nacre_loader_next(loader));
        uint64_t rest = 0xcbf29ce484222325u;
        for (const nacre_batch *batch; (batch = nacre_loader_next(loader));) rest = hash_batch(rest, batch);
        NC_CHECK_INT(rest, whole);
        NC_CHECK_INT(nacre_loader_start(loader, 1, 0), NACRE_OK); /* given up halfway */
        NC_CHECK(nacre_loader_next(loader));
        NC_CHECK_INT(hash_epoch(loader, 5, 4), whole);
        nacre_loader_destroy(loader);
    }
    nacre_transforms_destroy(list);
    nacre_dataset_destroy(glyphs);
}

/* Every sample once per epoch, also when shuffled; in order when not. */
static void every_sample_once(void)
{
    numbers self = {-1, -1};
    nacre_dataset *dataset = make_numbers(ctx, &self, 103);
    for (int shuffle = 0; shuffle < 2; shuffle++) {
        nacre_loader *loader =
            nacre_loader_create(dataset, &(nacre_loader_options){.batch_size = 10, .workers = 2, .shuffle = shuffle});
        NC_CHECK_INT(nacre_loader_batches(loader), 11);
        int seen[103] = {0}, in_place = 0;
        int64_t position = 0;
        for (const nacre_batch *batch; (batch = nacre_loader_next(loader));) {
            NC_CHECK_INT(batch->count, batch->index < 10 ? 10 : 3);
            NC_CHECK(nacre_shape_equal(batch->fields[0].shape, NACRE_SHAPE(batch->count, 2)));
            NC_CHECK(nacre_shape_equal(batch->fields[1].shape, NACRE_SHAPE(batch->count)));
            for (int64_t i = 0; i < batch->count; i++, position++) {
                int64_t number = (int64_t)((const float *)batch->fields[0].data)[2 * i];
                NC_CHECK_INT(number, batch->indices[i]);
                NC_CHECK_NEAR(((const float *)batch->fields[0].data)[2 * i + 1], (double)number / 2, 0);
                NC_CHECK_INT(((const int64_t *)batch->fields[1].data)[i], number % 7);
                seen[number]++;
                in_place += number == position;
            }
        }
        for (int i = 0; i < 103; i++) NC_CHECK_INT(seen[i], 1);
        NC_CHECK(shuffle ? in_place < 20 : in_place == 103);
        nacre_loader_stats stats = nacre_loader_statistics(loader);
        NC_CHECK_INT(stats.batches, 11);
        NC_CHECK_INT(stats.samples, 103);
        NC_CHECK(stats.wait_seconds >= 0);
        nacre_loader_destroy(loader);
    }
    nacre_loader *loader = nacre_loader_create(dataset, &(nacre_loader_options){.batch_size = 10, .drop_last = true});
    nacre_dataset_destroy(dataset); /* the loader keeps it */
    NC_CHECK_INT(nacre_loader_batches(loader), 10);
    int batches = 0;
    for (const nacre_batch *batch; (batch = nacre_loader_next(loader)); batches++) NC_CHECK_INT(batch->count, 10);
    NC_CHECK_INT(batches, 10);
    nacre_loader_destroy(loader);
}

static void what_batches_hold(void)
{
    nacre_dataset *glyphs = nacre_glyphs(ctx, 30, 3);
    nacre_loader *plain = nacre_loader_create(glyphs, NULL);
    NC_CHECK_INT(nacre_loader_field_count(plain), 2);
    NC_CHECK_INT(nacre_loader_field(plain, 0)->dtype, NACRE_F32); /* bytes become floats and keep their range */
    NC_CHECK(nacre_shape_equal(nacre_loader_field(plain, 0)->shape, NACRE_SHAPE(1, 28, 28)));
    NC_CHECK_INT(nacre_loader_field(plain, 1)->dtype, NACRE_I64);
    NC_CHECK(nacre_loader_field(plain, 2) == NULL);
    NC_CHECK(nacre_loader_dataset(plain) == glyphs);
    const nacre_batch *batch = nacre_loader_next(plain);
    NC_REQUIRE(batch);
    float most = 0;
    for (int i = 0; i < 28 * 28; i++) most = fmaxf(most, ((const float *)batch->fields[0].data)[i]);
    NC_CHECK(most > 150 && most <= 255);
    nacre_transforms *list = nacre_transforms_parse(ctx, "resize(8, 10); flatten; one_hot");
    nacre_loader *flat = nacre_loader_create(glyphs, &(nacre_loader_options){.transforms = list});
    NC_CHECK(nacre_shape_equal(nacre_loader_field(flat, 0)->shape, NACRE_SHAPE(80)));
    NC_CHECK_INT(nacre_loader_field(flat, 0)->role, NACRE_ROLE_FEATURES);
    NC_CHECK(nacre_shape_equal(nacre_loader_field(flat, 1)->shape, NACRE_SHAPE(10)));
    NC_CHECK_OK(ctx);
    nacre_loader_destroy(flat);
    nacre_loader_destroy(plain);
    nacre_transforms_destroy(list);
    nacre_dataset_destroy(glyphs);
}

static void no_samples_no_batches(void)
{
    numbers self = {-1, -1};
    nacre_dataset *dataset = make_numbers(ctx, &self, 0);
    for (int workers = 0; workers < 3; workers++) {
        nacre_loader *loader = nacre_loader_create(dataset, &(nacre_loader_options){.workers = workers});
        NC_CHECK_INT(nacre_loader_batches(loader), 0);
        NC_CHECK(nacre_loader_next(loader) == NULL);
        nacre_loader_destroy(loader);
    }
    NC_CHECK_OK(ctx);
    nacre_dataset_destroy(dataset);
}

/* ---- failures ---- */

/* Whatever thread meets it, the caller gets all batches before it, then the failure, then nothing until a new start. */
static void a_torn_sample(void)
{
    numbers self = {57, -1};
    nacre_dataset *dataset = make_numbers(ctx, &self, 200);
    for (int workers = 0; workers <= 4; workers += 2) {
        nacre_loader *loader =
            nacre_loader_create(dataset, &(nacre_loader_options){.batch_size = 10, .workers = workers, .prefetch = 8});
        for (int i = 0; i < 5; i++) {
            const nacre_batch *batch = nacre_loader_next(loader);
            NC_REQUIRE(batch);
            NC_CHECK_INT(batch->index, i);
            NC_CHECK_INT(nacre_check(ctx), NACRE_OK); /* not before its turn */
        }
        NC_CHECK(nacre_loader_next(loader) == NULL);
        NC_CHECK_FAILED(ctx, NACRE_ERROR_FORMAT, "number 57 is torn");
        NC_CHECK(nacre_loader_next(loader) == NULL);
        NC_CHECK_INT(nacre_loader_start(loader, 0, 6), NACRE_OK);
        NC_CHECK(nacre_loader_next(loader) != NULL);
        NC_CHECK_OK(ctx);
        nacre_loader_destroy(loader);
    }
    nacre_dataset_destroy(dataset);
}

static void a_sample_of_another_size(void)
{
    numbers self = {-1, 31};
    nacre_dataset *dataset = make_numbers(ctx, &self, 40);
    nacre_loader *loader = nacre_loader_create(dataset, &(nacre_loader_options){.batch_size = 40, .workers = 1});
    NC_CHECK(nacre_loader_next(loader) == NULL);
    NC_CHECK_FAILED(ctx, NACRE_ERROR_SHAPE, "numbers[31]: \"features\" is [3], but the first sample's is [2]");
    nacre_loader_destroy(loader);
    nacre_dataset_destroy(dataset);
}

static void options_that_cannot_be(void)
{
    numbers self = {-1, -1};
    nacre_dataset *dataset = make_numbers(ctx, &self, 40);
    NC_CHECK(nacre_loader_create(dataset, &(nacre_loader_options){.batch_size = -1}) == NULL);
    NC_CHECK_FAILED(ctx, NACRE_ERROR_ARGUMENT, "batch_size -1");
    NC_CHECK(nacre_loader_create(dataset, &(nacre_loader_options){.workers = 1000}) == NULL);
    NC_CHECK_FAILED(ctx, NACRE_ERROR_ARGUMENT, "workers 1000");
    nacre_transforms *list = nacre_transforms_parse(ctx, "resize(3)");
    NC_CHECK(nacre_loader_create(dataset, &(nacre_loader_options){.transforms = list}) == NULL);
    NC_CHECK_FAILED(ctx, NACRE_ERROR_ARGUMENT, "resize has nothing to work on in numbers");
    nacre_loader *loader = nacre_loader_create(dataset, NULL);
    NC_CHECK_INT(nacre_loader_start(loader, 0, 3), NACRE_ERROR_ARGUMENT);
    NC_CHECK_FAILED(ctx, NACRE_ERROR_ARGUMENT, "there are 2 batches");
    NC_CHECK(nacre_loader_create(NULL, NULL) == NULL);
    NC_CHECK(nacre_loader_next(NULL) == NULL);
    nacre_loader_destroy(loader);
    nacre_transforms_destroy(list);
    nacre_dataset_destroy(dataset);
}

/* ---- memory ---- */

typedef struct counting {
    atomic_long calls, live;
} counting;

static void *count_resize(void *user, void *pointer, size_t size)
{
    counting *self = user;
    if (size == 0) {
        if (pointer) atomic_fetch_sub(&self->live, 1);
        free(pointer);
        return NULL;
    }
    atomic_fetch_add(&self->calls, 1);
    if (!pointer) atomic_fetch_add(&self->live, 1);
    return realloc(pointer, size);
}

/* After the first epoch every buffer has been used, and nothing is allocated any more. */
static void steady_state(void)
{
    for (int workers = 0; workers <= 2; workers++) {
        counting memory = {0};
        nacre_context *context =
            nacre_context_create(&(nacre_context_options){.allocator = {&memory, count_resize}, .threads = 1});
        nacre_dataset *glyphs = nacre_glyphs(context, 120, 3);
        nacre_transforms *list =
            nacre_transforms_parse(context, "resize(40); random_crop(28); affine(10); scale(1/255)");
        nacre_loader *loader = make_glyph_loader(glyphs, list, workers, 0);
        long before = 0;
        for (int64_t epoch = 0; epoch < 12; epoch++) {
            if (epoch == 8) before = atomic_load(&memory.calls);
            nacre_loader_start(loader, epoch, 0);
            while (nacre_loader_next(loader)) {
            }
        }
        NC_CHECK_INT(atomic_load(&memory.calls), before);
        NC_CHECK_INT(nacre_check(context), NACRE_OK);
        nacre_loader_destroy(loader);
        nacre_transforms_destroy(list);
        nacre_dataset_destroy(glyphs);
        nacre_context_destroy(context);
        NC_CHECK_INT(atomic_load(&memory.live), 0);
    }
}

static bool load_two(nacre_context *context, void *user)
{
    (void)user;
    nacre_dataset *glyphs = nacre_glyphs(context, 40, 3);
    nacre_transforms *list = nacre_transforms_parse(context, "resize(14); scale(1/255); one_hot");
    nacre_loader *loader = glyphs && list ? make_glyph_loader(glyphs, list, 0, 0) : NULL;
    bool done = loader && nacre_loader_next(loader) && nacre_loader_next(loader);
    nacre_loader_destroy(loader);
    nacre_transforms_destroy(list);
    nacre_dataset_destroy(glyphs);
    return done;
}

/* With workers: fails once, wherever. */
typedef struct failing {
    atomic_long left, live;
} failing;

static void *fail_resize(void *user, void *pointer, size_t size)
{
    failing *self = user;
    if (size == 0) {
        if (pointer) atomic_fetch_sub(&self->live, 1);
        free(pointer);
        return NULL;
    }
    if (atomic_fetch_sub(&self->left, 1) == 0) return NULL;
    if (!pointer) atomic_fetch_add(&self->live, 1);
    return realloc(pointer, size);
}

static void out_of_memory(void)
{
    nc_fail_each_allocation(load_two, NULL);
    for (long at = 3; at < 400; at++) {
        failing memory = {.left = at};
        nacre_context *context =
            nacre_context_create(&(nacre_context_options){.allocator = {&memory, fail_resize}, .threads = 1});
        if (!context) continue;
        nacre_dataset *glyphs = nacre_glyphs(context, 40, 3);
        nacre_transforms *list = nacre_transforms_parse(context, "resize(14); scale(1/255)");
        nacre_loader *loader = glyphs && list ? make_glyph_loader(glyphs, list, 2, 0) : NULL;
        int batches = 0;
        while (loader && nacre_loader_next(loader)) batches++;
        if (batches < 4 && nacre_check(context) != NACRE_ERROR_MEMORY)
            NC_COMPLAIN("allocation %ld failed, %d batches: %s", at, batches, nacre_message(context));
        nacre_loader_destroy(loader);
        nacre_transforms_destroy(list);
        nacre_dataset_destroy(glyphs);
        nacre_context_destroy(context);
        NC_CHECK_INT(atomic_load(&memory.live), 0);
    }
}

int main(void)
{
    ctx = nacre_context_create(&(nacre_context_options){.threads = 1});
    NC_RUN(same_for_any_number_of_workers);
    NC_RUN(resumes_in_the_middle);
    NC_RUN(every_sample_once);
    NC_RUN(what_batches_hold);
    NC_RUN(no_samples_no_batches);
    NC_RUN(a_torn_sample);
    NC_RUN(a_sample_of_another_size);
    NC_RUN(options_that_cannot_be);
    NC_RUN(steady_state);
    NC_RUN(out_of_memory);
    nacre_context_destroy(ctx);
    return nc_report();
}

/* runs.h - what tests of training share: small data, small models, folders compared. */
#ifndef NC_RUNS_H
#define NC_RUNS_H

#include "support.h"

#include <nacre/random.h>
#include <nacre/train.h>

#include <dirent.h>

enum { NC_SIDE = 6, NC_CLASSES = 3 };

/* ---- data ---- */

/* Grey pictures of noise with a bright row that tells the class; `part` has its own. Labels may go beyond the classes.
 */
static inline nacre_dataset *nc_stripes(nacre_context *context, int64_t count, uint32_t part, int64_t classes)
{
    nacre_array images = {NACRE_U8, NACRE_SHAPE(count, NC_SIDE, NC_SIDE), NULL};
    nacre_array labels = {NACRE_I64, NACRE_SHAPE(count), NULL};
    uint8_t *pixels = images.data = nacre_allocate_aligned(context, (size_t)(count * NC_SIDE * NC_SIDE));
    int64_t *ids = labels.data = nacre_allocate_aligned(context, sizeof *ids * (size_t)count);
    for (int64_t i = 0; pixels && ids && i < count; i++) {
        ids[i] = i % classes;
        for (int k = 0; k < NC_SIDE * NC_SIDE; k++) {
            uint32_t bits[4];
            nacre_philox((uint32_t[]){part, 7}, (uint32_t[]){(uint32_t)i, (uint32_t)k, 0, 0}, bits);
            bool bright = k / NC_SIDE == 2 * (int)ids[i];
            pixels[i * NC_SIDE * NC_SIDE + k] = (uint8_t)(bits[0] % 128 + (bright ? 100 : 0));
        }
    }
    if (!pixels || !ids) {
        nacre_release_aligned(context, pixels);
        nacre_release_aligned(context, ids);
        return NULL;
    }
    return nacre_dataset_from_arrays(context, "stripes", &images, &labels, NULL, NULL);
}

/* ---- models ---- */

/* Everything that a step can depend on: convolution, running statistics, dropout. */
static inline nacre_tensor *nc_lively_model(void *user, nacre_scope s, nacre_tensor *const *inputs, int input_count)
{
    (void)user;
    (void)input_count;
    nacre_tensor *x = nacre_conv2d(nacre_in(s, "conv"), inputs[0], 3, 3, NULL);
    x = nacre_relu(nacre_batch_norm(nacre_in(s, "bn"), x, NULL));
    x = nacre_dropout(nacre_in(s, "dropout"), nacre_flatten(x, 1), 0.2);
    return nacre_linear(nacre_in(s, "fc"), x, NC_CLASSES, NULL);
}

/* Each sample alone: no statistics of the batch, no chance. */
static inline nacre_tensor *nc_plain_model(void *user, nacre_scope s, nacre_tensor *const *inputs, int input_count)
{
    (void)user;
    (void)input_count;
    nacre_tensor *x = nacre_linear(nacre_in(s, "fc1"), nacre_flatten(inputs[0], 1), 8, NULL);
    return nacre_linear(nacre_in(s, "fc2"), nacre_tanh(x), NC_CLASSES, NULL);
}

/* ---- a run and what it needs ---- */

typedef struct nc_run {
    nacre_context *context;
    nacre_dataset *train, *validation;
    nacre_transforms *transforms;
    nacre_fit_options fit; /* to be changed before nc_run_go */
    nacre_fit_result result;
} nc_run;

/* 44 samples in batches of 8, three epochs, random crops: 18 steps. */
static inline nc_run nc_run_create(const nacre_context_options *options)
{
    nc_run run = {.context = nacre_context_create(options)};
    run.train = nc_stripes(run.context, 44, 1, NC_CLASSES);
    run.validation = nc_stripes(run.context, 12, 2, NC_CLASSES);
    run.transforms = nacre_transforms_parse(run.context, "random_crop(6, padding=1); scale(1/255)");
    run.fit = (nacre_fit_options){.model = nacre_model_create(run.context),
                                  .build = nc_lively_model,
                                  .train = run.train,
                                  .validation = run.validation,
                                  .transforms = run.transforms,
                                  .optimizer = {.kind = NACRE_OPTIMIZER_ADAMW},
                                  .schedule = {.kind = NACRE_SCHEDULE_COSINE, .base = 0.02},
                                  .epochs = 3,
                                  .batch_size = 8,
                                  .seed = 5};
    return run;
}

static inline nacre_status nc_run_go(nc_run *run)
{
    return nacre_fit(run->context, &run->fit, &run->result);
}

static inline void nc_run_destroy(nc_run *run)
{
    nacre_model_destroy(run->fit.model);
    nacre_transforms_destroy(run->transforms);
    nacre_dataset_destroy(run->train);
    nacre_dataset_destroy(run->validation);
    nacre_context_destroy(run->context);
}

/* ---- comparing ---- */

/* Says which tensor differs first. */
static inline bool nc_same_tensors(nacre_context *context, const char *a_path, const char *b_path)
{
    nacre_safetensors *a = nacre_safetensors_open(context, a_path), *b = nacre_safetensors_open(context, b_path);
    const nacre_named_array *x, *y;
    bool same = a && b && nacre_safetensors_count(a) == nacre_safetensors_count(b);
    if (!same) NC_COMPLAIN("%s and %s: %s", a_path, b_path, a && b ? "number of tensors" : nacre_message(context));
    for (int i = 0; same && (x = nacre_safetensors_at(a, i)); i++) {
        y = nacre_safetensors_find(b, x->name);
        same = y && y->dtype == x->dtype && nacre_shape_equal(x->shape, y->shape) &&
               !memcmp(x->data, y->data, (size_t)nacre_shape_count(x->shape) * nacre_dtype_size(x->dtype));
        if (!same) NC_COMPLAIN("%s and %s: %s differs", a_path, b_path, x->name);
    }
    nacre_safetensors_close(a);
    nacre_safetensors_close(b);
    nacre_clear(context);
    return same;
}

static inline bool nc_same_files(const char *a_path, const char *b_path)
{
    nacre_context *context = nacre_context_create(&(nacre_context_options){.threads = 1});
    size_t a_size = 0, b_size = 0;
    char *a = nacre_file_read(context, a_path, 0, &a_size), *b = nacre_file_read(context, b_path, 0, &b_size);
    bool same = a && b && a_size == b_size && !memcmp(a, b, a_size);
    nacre_release(context, a);
    nacre_release(context, b);
    nacre_context_destroy(context);
    return same;
}

/* Parameters and buffers, bit for bit. */
static inline bool nc_same_models(const nacre_model *a, const nacre_model *b)
{
    nacre_entry x, y;
    for (int slot = 0; nacre_model_entry(a, slot, &x); slot++)
        if (x.role != NACRE_ENTRY_STATE && (!nacre_model_entry(b, nacre_model_find(b, x.path), &y) ||
                                            x.bytes != y.bytes || memcmp(x.data, y.data, x.bytes)))
            return false;
    return nacre_model_count(a) > 0;
}

/* The largest difference of two models' parameters. */
static inline double nc_distance(const nacre_model *a, const nacre_model *b)
{
    nacre_entry x, y;
    double largest = 0;
    for (int slot = 0; nacre_model_entry(a, slot, &x); slot++) {
        if (x.role != NACRE_ENTRY_PARAMETER) continue;
        if (!nacre_model_entry(b, nacre_model_find(b, x.path), &y)) return INFINITY;
        for (int64_t i = 0; i < nacre_shape_count(x.shape); i++)
            largest = fmax(largest, fabs(nacre_dtype_load(x.dtype, x.data, i) - nacre_dtype_load(y.dtype, y.data, i)));
    }
    return largest;
}

/* How many files of unfinished writing a folder holds. */
static inline int nc_count_temporaries(const char *folder)
{
    DIR *entries = opendir(folder);
    int count = 0;
    for (const struct dirent *entry; entries && (entry = readdir(entries));)
        count += strstr(entry->d_name, ".tmp") != NULL;
    if (entries) closedir(entries);
    return count;
}

#endif

/* core/model.c - entries and their slabs. */
#include "core/model.h"

#include <stdatomic.h>
#include <string.h>

struct slab {
    char *data;
    size_t used, capacity;
};

struct entry {
    char *path;
    nacre_entry_role role;
    nacre_dtype dtype;
    nacre_shape shape;
    size_t offset, bytes;
};

struct nacre_model {
    nacre_context *context;
    struct entry *entries;
    int count, capacity;
    int *index; /* open addressing: slot + 1 by the path's hash */
    int index_size;
    struct slab slabs[NACRE_ENTRY_ROLES][NACRE_DTYPE_COUNT];
    bool frozen;
    uint64_t seed, version;
};

enum { ENTRY_ALIGNMENT = 64 };

nacre_model *nacre_model_create(nacre_context *context)
{
    nacre_model *model = nacre_allocate(context, sizeof *model);
    if (!model) return NULL;
    model->context = context;
    nc_model_touch(model);
    return model;
}

void nc_model_touch(nacre_model *model)
{
    static _Atomic uint64_t last;
    model->version = atomic_fetch_add(&last, 1) + 1;
}

uint64_t nc_model_version(const nacre_model *model)
{
    return model->version;
}

void nacre_model_destroy(nacre_model *model)
{
    if (!model) return;
    for (int i = 0; i < model->count; i++) nacre_release(model->context, model->entries[i].path);
    for (int role = 0; role < NACRE_ENTRY_ROLES; role++)
        for (int dtype = 0; dtype < NACRE_DTYPE_COUNT; dtype++)
            nacre_release_aligned(model->context, model->slabs[role][dtype].data);
    nacre_release(model->context, model->entries);
    nacre_release(model->context, model->index);
    nacre_release(model->context, model);
}

nacre_context *nacre_model_context(const nacre_model *model)
{
    return model ? model->context : NULL;
}

/* FNV-1a */
static uint64_t hash_path(const char *path)
{
    uint64_t hash = 0xcbf29ce484222325u;
    for (; *path; path++) hash = (hash ^ (unsigned char)*path) * 0x100000001b3u;
    return hash;
}

/* Where `path` stands in the index or would be put. */
static int *index_place(const nacre_model *model, const char *path)
{
    uint64_t at = hash_path(path);
    for (;; at++) {
        int *place = &model->index[at & (uint64_t)(model->index_size - 1)];
        if (*place == 0 || !strcmp(model->entries[*place - 1].path, path)) return place;
    }
}

int nacre_model_find(const nacre_model *model, const char *path)
{
    if (!model || !path || model->index_size == 0) return -1;
    return *index_place(model, path) - 1;
}

static bool grow_index(nacre_model *model)
{
    if (2 * (model->count + 1) <= model->index_size) return true;
    int size = model->index_size ? 2 * model->index_size : 64;
    int *fresh = nacre_allocate(model->context, sizeof *fresh * (size_t)size);
    if (!fresh) return false;
    nacre_release(model->context, model->index);
    model->index = fresh;
    model->index_size = size;
    for (int i = 0; i < model->count; i++) *index_place(model, model->entries[i].path) = i + 1;
    return true;
}

static bool grow_entries(nacre_model *model)
{
    if (model->count < model->capacity) return true;
    int capacity = model->capacity ? 2 * model->capacity : 32;
    struct entry *entries = nacre_resize(model->context, model->entries, sizeof *entries * (size_t)capacity);
    if (!entries) return false;
    model->entries = entries;
    model->capacity = capacity;
    return true;
}

/* Room to spare is not touched, so it costs addresses and no memory. */
static bool grow_slab(nacre_model *model, struct slab *slab, size_t needed)
{
    if (needed <= slab->capacity) return true;
    size_t capacity = needed + needed / 2;
    char *data = nacre_allocate_aligned(model->context, capacity);
    if (!data) return false;
    if (slab->used) memcpy(data, slab->data, slab->used);
    nacre_release_aligned(model->context, slab->data);
    slab->data = data;
    slab->capacity = capacity;
    return true;
}

int nacre_model_add(nacre_model *model, nacre_entry_role role, const char *path, nacre_dtype dtype, nacre_shape shape)
{
    if (!model || !path) return -1;
    int64_t count = nacre_shape_count(shape);
    if (count < 0) {
        char text[NACRE_SHAPE_TEXT_SIZE];
        nacre_fail(model->context, NACRE_ERROR_SHAPE, "entry \"%s\": impossible shape %s", path,
                   nacre_shape_text(shape, text));
        return -1;
    }
    if (nacre_model_find(model, path) >= 0) {
        nacre_fail(model->context, NACRE_ERROR_ARGUMENT, "entry \"%s\" is in the model already", path);
        return -1;
    }
    if (model->frozen && role != NACRE_ENTRY_STATE) {
        nacre_fail(model->context, NACRE_ERROR_NOT_FOUND,
                   "parameter \"%s\" is not in the loaded model; does the model text belong to these weights?", path);
        return -1;
    }
    struct slab *slab = &model->slabs[role][dtype];
    size_t bytes = (size_t)count * nacre_dtype_size(dtype);
    size_t offset = (slab->used + ENTRY_ALIGNMENT - 1) & ~(size_t)(ENTRY_ALIGNMENT - 1);
    if (!grow_entries(model) || !grow_index(model) || !grow_slab(model, slab, offset + bytes)) return -1;
    char *copy = nacre_duplicate(model->context, path);
    if (!copy) return -1;
    *index_place(model, copy) = model->count + 1;
    model->entries[model->count] =
        (struct entry){.path = copy, .role = role, .dtype = dtype, .shape = shape, .offset = offset, .bytes = bytes};
    if (slab->data) memset(slab->data + slab->used, 0, offset + bytes - slab->used); /* none for empty entries */
    slab->used = offset + bytes;
    nc_model_touch(model);
    return model->count++;
}

int nacre_model_count(const nacre_model *model)
{
    return model ? model->count : 0;
}

void *nc_model_data(const nacre_model *model, int slot)
{
    const struct entry *entry = &model->entries[slot];
    char *slab = model->slabs[entry->role][entry->dtype].data; /* NULL while all its entries are empty */
    return slab ? slab + entry->offset : NULL;
}

bool nacre_model_entry(const nacre_model *model, int slot, nacre_entry *out)
{
    if (!model || slot < 0 || slot >= model->count) return false;
    const struct entry *entry = &model->entries[slot];
    *out = (nacre_entry){.path = entry->path,
                         .role = entry->role,
                         .dtype = entry->dtype,
                         .shape = entry->shape,
                         .data = nc_model_data(model, slot),
                         .bytes = entry->bytes};
    return true;
}

void *nacre_model_write(nacre_model *model, int slot)
{
    if (!model || slot < 0 || slot >= model->count) return NULL;
    nc_model_touch(model);
    return nc_model_data(model, slot);
}

int64_t nacre_model_elements(const nacre_model *model, nacre_entry_role role)
{
    int64_t count = 0;
    for (int i = 0; i < nacre_model_count(model); i++)
        if (model->entries[i].role == role) count += nacre_shape_count(model->entries[i].shape);
    return count;
}

void *nacre_model_slab(nacre_model *model, nacre_entry_role role, nacre_dtype dtype, size_t *bytes)
{
    const struct slab *slab = model ? &model->slabs[role][dtype] : NULL;
    if (model) nc_model_touch(model);
    if (bytes) *bytes = slab ? slab->used : 0;
    return slab && slab->used ? slab->data : NULL;
}

size_t nacre_model_bytes(const nacre_model *model, nacre_entry_role role)
{
    size_t bytes = 0;
    for (int dtype = 0; model && dtype < NACRE_DTYPE_COUNT; dtype++) bytes += model->slabs[role][dtype].capacity;
    return bytes;
}

void nacre_model_freeze(nacre_model *model, bool frozen)
{
    if (model) model->frozen = frozen;
}

bool nacre_model_frozen(const nacre_model *model)
{
    return model && model->frozen;
}

void nacre_model_set_seed(nacre_model *model, uint64_t seed)
{
    if (model) model->seed = seed;
}

uint64_t nacre_model_seed(const nacre_model *model)
{
    return model ? model->seed : 0;
}

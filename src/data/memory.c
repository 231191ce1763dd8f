/* data/memory.c - datasets whose samples are slices of arrays in memory: from arrays, IDX folders, npz files. */
#include "data/dataset.h"
#include "data/stream.h"

#include <dirent.h>
#include <stdio.h>
#include <string.h>

/* ---- slices of arrays ---- */

enum { INPUTS, TARGETS, ARRAYS };

typedef struct memory {
    nacre_context *context;
    nacre_array arrays[ARRAYS];
    nacre_field fields[ARRAYS];
    int field_count;
} memory;

static void destroy_memory(void *user)
{
    memory *self = user;
    nacre_context *context = self->context;
    for (int i = 0; i < ARRAYS; i++) nacre_array_release(context, &self->arrays[i]);
    nacre_release(context, self);
}

static int64_t sample_size(const nacre_array *array)
{
    return array->shape.dims[0] ? nacre_shape_count(array->shape) / array->shape.dims[0] : 0;
}

static const char *slice(const nacre_array *array, int64_t index)
{
    return (const char *)array->data + (size_t)(index * sample_size(array)) * nacre_dtype_size(array->dtype);
}

/* A field of the element type that is stored is a slice; other numbers are converted. */
static nacre_status get_field(const memory *self, int which, int64_t index, nacre_sample *sample)
{
    const nacre_array *array = &self->arrays[which];
    const nacre_field *field = &self->fields[which];
    nacre_value *value = &sample->values[which];
    const char *from = slice(array, index);
    if (field->dtype == array->dtype) {
        value->dtype = field->dtype;
        value->shape = field->shape;
        value->data = from;
        return NACRE_OK;
    }
    void *room = nacre_sample_reserve(sample, which, field->dtype, field->shape);
    if (!room) return NACRE_ERROR_MEMORY;
    nacre_dtype_convert(field->dtype, room, array->dtype, from, sample_size(array));
    return NACRE_OK;
}

static nacre_status get_sample(void *user, int64_t index, nacre_sample *sample)
{
    const memory *self = user;
    nacre_status status = NACRE_OK;
    for (int i = 0; status == NACRE_OK && i < self->field_count; i++) status = get_field(self, i, index, sample);
    return status;
}

/* ---- what arrays mean ---- */

static nacre_field describe_inputs(const nacre_array *array)
{
    nacre_field field = {.name = "features", .role = NACRE_ROLE_FEATURES, .dtype = NACRE_F32};
    if (array->dtype == NACRE_I32 || array->dtype == NACRE_I64) field.dtype = array->dtype;
    field.shape.rank = array->shape.rank - 1;
    memcpy(field.shape.dims, array->shape.dims + 1, (size_t)field.shape.rank * sizeof *field.shape.dims);
    if (array->shape.rank != 4 && !(array->shape.rank == 3 && array->dtype == NACRE_U8)) return field;
    field.name = "image";
    field.role = NACRE_ROLE_IMAGE;
    field.dtype = array->dtype == NACRE_U8 ? NACRE_U8 : NACRE_F32;
    if (array->shape.rank == 3) field.shape = NACRE_SHAPE(1, array->shape.dims[1], array->shape.dims[2]);
    return field;
}

static bool is_channels_last(const nacre_array *array)
{
    const int64_t *dims = array->shape.dims;
    return array->shape.rank == 4 && (dims[3] == 1 || dims[3] == 3) && dims[1] != 1 && dims[1] != 3;
}

/* N,H,W,C to N,C,H,W. */
static nacre_status move_channels(nacre_context *context, nacre_array *array)
{
    const int64_t *dims = array->shape.dims;
    int64_t count = dims[0], plane = dims[1] * dims[2], channels = dims[3];
    nacre_array result = {array->dtype, NACRE_SHAPE(count, channels, dims[1], dims[2]), NULL};
    size_t size = nacre_dtype_size(array->dtype);
    result.data = nacre_allocate_aligned(context, (size_t)nacre_shape_count(array->shape) * size);
    if (!result.data) return NACRE_ERROR_MEMORY;
    char *to = result.data;
    for (int64_t n = 0; n < count; n++) {
        const char *from = (const char *)array->data + (size_t)(n * plane * channels) * size;
        for (int64_t c = 0; c < channels; c++)
            for (int64_t i = 0; i < plane; i++, to += size) memcpy(to, from + (size_t)(i * channels + c) * size, size);
    }
    nacre_array_release(context, array);
    *array = result;
    return NACRE_OK;
}

static bool is_label_array(const nacre_array *array)
{
    bool integer = array->dtype == NACRE_U8 || array->dtype == NACRE_I8 || array->dtype == NACRE_I32 ||
                   array->dtype == NACRE_I64 || array->dtype == NACRE_BOOL;
    return integer && (array->shape.rank == 1 || (array->shape.rank == 2 && array->shape.dims[1] == 1));
}

static nacre_status convert_array(nacre_context *context, nacre_array *array, nacre_dtype dtype, nacre_shape shape)
{
    nacre_array result = {dtype, shape, NULL};
    int64_t count = nacre_shape_count(shape);
    result.data = nacre_allocate_aligned(context, (size_t)count * nacre_dtype_size(dtype));
    if (!result.data) return NACRE_ERROR_MEMORY;
    nacre_dtype_convert(dtype, result.data, array->dtype, array->data, count);
    nacre_array_release(context, array);
    *array = result;
    return NACRE_OK;
}

static nacre_field describe_targets(const nacre_array *array, bool labels)
{
    if (labels) return (nacre_field){"label", NACRE_ROLE_LABEL, NACRE_I64, NACRE_SCALAR};
    nacre_field field = {"target", NACRE_ROLE_TARGET, NACRE_F32, NACRE_SCALAR};
    field.shape.rank = array->shape.rank > 1 ? array->shape.rank - 1 : 1;
    field.shape.dims[0] = 1; /* [N] is [N, 1] */
    memcpy(field.shape.dims, array->shape.dims + 1, (size_t)(array->shape.rank - 1) * sizeof *field.shape.dims);
    return field;
}

static nacre_status describe(memory *self, nacre_dataset_source *source, const nacre_dataset_options *options)
{
    nacre_context *context = self->context;
    nacre_array *inputs = &self->arrays[INPUTS], *targets = &self->arrays[TARGETS];
    if (inputs->shape.rank < 1)
        return nacre_fail(context, NACRE_ERROR_SHAPE, "%s: inputs must have the shape [samples, ...]", source->name);
    if (is_channels_last(inputs) && move_channels(context, inputs) != NACRE_OK) return NACRE_ERROR_MEMORY;
    source->count = inputs->shape.dims[0];
    self->fields[INPUTS] = describe_inputs(inputs);
    self->field_count = 1;
    if (!targets->data) return NACRE_OK;
    if (targets->shape.rank < 1 || targets->shape.dims[0] != source->count)
        return nacre_fail(context, NACRE_ERROR_SHAPE, "%s: %lld inputs, but %lld labels or targets", source->name,
                          (long long)source->count, (long long)(targets->shape.rank ? targets->shape.dims[0] : 1));
    bool labels = is_label_array(targets) && !options->regression;
    self->fields[TARGETS] = describe_targets(targets, labels);
    self->field_count = 2;
    if (!labels) return NACRE_OK;
    nacre_status status = convert_array(context, targets, NACRE_I64, NACRE_SHAPE(source->count));
    if (status != NACRE_OK) return status;
    source->labels = targets->data;
    source->class_names = options->labels;
    source->class_count =
        nc_check_labels(context, source->name, source->labels, source->count, nc_count_names(options->labels));
    return source->class_count < 0 ? nacre_check(context) : NACRE_OK;
}

nacre_dataset *nacre_dataset_from_arrays(nacre_context *context, const char *name, nacre_array *inputs,
                                         nacre_array *targets, const uint8_t *parts,
                                         const nacre_dataset_options *options)
{
    memory *self = nacre_allocate(context, sizeof *self);
    if (!self) {
        nacre_array_release(context, inputs);
        nacre_array_release(context, targets);
        return NULL;
    }
    self->context = context;
    self->arrays[INPUTS] = *inputs;
    *inputs = (nacre_array){0};
    if (targets) {
        self->arrays[TARGETS] = *targets;
        *targets = (nacre_array){0};
    }
    nacre_dataset_source source = {
        .name = name, .user = self, .parts = parts, .get = get_sample, .destroy = destroy_memory};
    nacre_status status = describe(self, &source, options ? options : &(nacre_dataset_options){0});
    if (status != NACRE_OK) {
        destroy_memory(self);
        return NULL;
    }
    source.field_count = self->field_count;
    memcpy(source.fields, self->fields, sizeof self->fields);
    return nacre_dataset_create(context, &source);
}

/* ---- several parts in one ---- */

/* Appends one part's arrays to those of the parts before it. */
static nacre_status append(nacre_context *context, const char *name, nacre_array *all, nacre_array *more)
{
    if (!all->data) {
        *all = *more;
        *more = (nacre_array){0};
        return NACRE_OK;
    }
    nacre_shape shape = all->shape;
    bool same = shape.rank == more->shape.rank && shape.rank > 0 && all->dtype == more->dtype;
    for (int i = 1; same && i < shape.rank; i++) same = shape.dims[i] == more->shape.dims[i];
    if (!same) {
        char a[NACRE_SHAPE_TEXT_SIZE], b[NACRE_SHAPE_TEXT_SIZE];
        return nacre_fail(context, NACRE_ERROR_SHAPE, "%s: the parts differ: %s%s and %s%s", name,
                          nacre_dtype_name(all->dtype), nacre_shape_text(all->shape, a), nacre_dtype_name(more->dtype),
                          nacre_shape_text(more->shape, b));
    }
    shape.dims[0] += more->shape.dims[0];
    nacre_array joined = {all->dtype, shape, NULL};
    size_t size = nacre_dtype_size(all->dtype), first = (size_t)nacre_shape_count(all->shape) * size,
           second = (size_t)nacre_shape_count(more->shape) * size;
    joined.data = nacre_allocate_aligned(context, first + second);
    if (!joined.data) return NACRE_ERROR_MEMORY;
    memcpy(joined.data, all->data, first);
    memcpy((char *)joined.data + first, more->data, second);
    nacre_array_release(context, all);
    *all = joined;
    return NACRE_OK;
}

typedef struct parts {
    nacre_context *context;
    const char *name;
    nacre_array inputs, targets;
    uint8_t *marks;
} parts;

static nacre_status add_part(parts *self, nacre_part part, nacre_array *inputs, nacre_array *targets)
{
    if (inputs->shape.rank < 1 ||
        (targets->data && (targets->shape.rank < 1 || targets->shape.dims[0] != inputs->shape.dims[0])))
        return nacre_fail(self->context, NACRE_ERROR_SHAPE,
                          "%s: %lld inputs, but %lld labels or targets in the %s part", self->name,
                          (long long)(inputs->shape.rank ? inputs->shape.dims[0] : 1),
                          (long long)(targets->shape.rank ? targets->shape.dims[0] : 1), nacre_part_name(part));
    int64_t before = self->inputs.data ? self->inputs.shape.dims[0] : 0, added = inputs->shape.dims[0];
    uint8_t *marks = nacre_resize(self->context, self->marks, (size_t)(before + added));
    if (!marks) return NACRE_ERROR_MEMORY;
    self->marks = marks;
    memset(marks + before, (int)part, (size_t)added);
    nacre_status status = append(self->context, self->name, &self->inputs, inputs);
    if (status == NACRE_OK && targets->data) status = append(self->context, self->name, &self->targets, targets);
    return status;
}

static nacre_dataset *finish_parts(parts *self, nacre_status status, bool marked, const nacre_dataset_options *options)
{
    nacre_dataset *dataset = NULL;
    if (status == NACRE_OK)
        dataset = nacre_dataset_from_arrays(self->context, self->name, &self->inputs, &self->targets,
                                            marked ? self->marks : NULL, options);
    nacre_array_release(self->context, &self->inputs);
    nacre_array_release(self->context, &self->targets);
    nacre_release(self->context, self->marks);
    return dataset;
}

static bool wants(const nacre_dataset_options *options, nacre_part part)
{
    return options->parts == 0 || options->parts >> part & 1;
}

/* ---- IDX folders ---- */

static const struct {
    const char *prefix;
    nacre_part part;
} IDX_PARTS[] = {{"train", NACRE_TRAIN}, {"validation", NACRE_VALIDATION}, {"t10k", NACRE_TEST}, {"test", NACRE_TEST}};
enum { IDX_PART_COUNT = sizeof IDX_PARTS / sizeof *IDX_PARTS };

/* The path of <prefix>-<what>, plain or gzip, in fresh memory; NULL if there is none (or no memory: see `failed`). */
static char *find_idx(nacre_context *context, const char *folder, const char *prefix, const char *what, bool *failed)
{
    static const char *const ENDINGS[] = {"", ".gz"};
    for (int i = 0; i < 2; i++) {
        char name[64];
        snprintf(name, sizeof name, "%s-%s%s", prefix, what, ENDINGS[i]);
        char *path = nacre_path_join(context, folder, name);
        if (!path) *failed = true;
        if (!path || nacre_path_exists(path)) return path;
        nacre_release(context, path);
    }
    return NULL;
}

bool nc_is_idx_folder(const char *path)
{
    DIR *folder = opendir(path);
    bool found = false;
    for (struct dirent *entry; folder && !found && (entry = readdir(folder));)
        found = strstr(entry->d_name, "-images-idx3-ubyte") != NULL;
    if (folder) closedir(folder);
    return found;
}

static nacre_status add_idx_part(parts *self, const char *folder, int which, bool *found)
{
    bool failed = false;
    nacre_array images = {0}, labels = {0};
    const char *prefix = IDX_PARTS[which].prefix;
    char *images_path = find_idx(self->context, folder, prefix, "images-idx3-ubyte", &failed);
    char *labels_path = images_path ? find_idx(self->context, folder, prefix, "labels-idx1-ubyte", &failed) : NULL;
    nacre_status status = failed ? NACRE_ERROR_MEMORY : NACRE_OK;
    if (images_path && !labels_path && !failed)
        status =
            nacre_fail(self->context, NACRE_ERROR_NOT_FOUND, "%s: %s-labels-idx1-ubyte is missing", folder, prefix);
    if (status == NACRE_OK && labels_path) status = nacre_idx_read(self->context, images_path, &images);
    if (status == NACRE_OK && labels_path) status = nacre_idx_read(self->context, labels_path, &labels);
    if (status == NACRE_OK && labels_path) {
        *found = true;
        status = add_part(self, IDX_PARTS[which].part, &images, &labels);
    }
    nacre_release(self->context, images_path);
    nacre_release(self->context, labels_path);
    nacre_array_release(self->context, &images);
    nacre_array_release(self->context, &labels);
    return status;
}

nacre_dataset *nc_open_idx(nacre_context *context, const char *folder, const nacre_dataset_options *options)
{
    parts all = {.context = context, .name = folder};
    nacre_status status = NACRE_OK;
    bool found = false;
    for (int i = 0; status == NACRE_OK && i < IDX_PART_COUNT; i++)
        if (wants(options, IDX_PARTS[i].part)) status = add_idx_part(&all, folder, i, &found);
    if (status == NACRE_OK && !found)
        status = nacre_fail(context, NACRE_ERROR_NOT_FOUND, "%s: no train-, t10k- or test-images-idx3-ubyte(.gz) in it",
                            folder);
    return finish_parts(&all, status, true, options);
}

/* ---- npz files ---- */

/* Arrays that belong together, under the names in use. */
static const struct {
    const char *inputs, *targets;
    nacre_part part;
} NPZ_NAMES[] = {{"x_train", "y_train", NACRE_TRAIN},
                 {"x_val", "y_val", NACRE_VALIDATION},
                 {"x_test", "y_test", NACRE_TEST},
                 {"train_images", "train_labels", NACRE_TRAIN},
                 {"val_images", "val_labels", NACRE_VALIDATION},
                 {"test_images", "test_labels", NACRE_TEST},
                 {"x", "y", NACRE_ALL},
                 {"images", "labels", NACRE_ALL},
                 {"data", "target", NACRE_ALL}};
enum { NPZ_NAME_COUNT = sizeof NPZ_NAMES / sizeof *NPZ_NAMES };

static int find_array(const nacre_npz *npz, const char *name)
{
    for (int i = 0; i < nacre_npz_count(npz); i++)
        if (!strcmp(nacre_npz_name(npz, i), name)) return i;
    return -1;
}

static nacre_status copy_array(nacre_context *context, const nacre_array *from, nacre_array *to)
{
    size_t size = (size_t)nacre_shape_count(from->shape) * nacre_dtype_size(from->dtype);
    *to = *from;
    to->data = nacre_allocate_aligned(context, size);
    if (to->data) memcpy(to->data, from->data, size);
    return to->data ? NACRE_OK : NACRE_ERROR_MEMORY;
}

/* `wanted`: the targets that were asked for, which must be there; NULL: those that usually go with the inputs. */
static nacre_status add_npz_part(parts *self, const nacre_npz *npz, int which, const char *wanted)
{
    nacre_array inputs = {0}, targets = {0};
    const nacre_array *y = NULL;
    if (wanted || find_array(npz, NPZ_NAMES[which].targets) >= 0) {
        y = nacre_npz_find(npz, wanted ? wanted : NPZ_NAMES[which].targets);
        if (!y) return nacre_check(self->context);
    }
    nacre_status status = copy_array(self->context, nacre_npz_find(npz, NPZ_NAMES[which].inputs), &inputs);
    if (status == NACRE_OK && y) status = copy_array(self->context, y, &targets);
    if (status == NACRE_OK) status = add_part(self, NPZ_NAMES[which].part, &inputs, &targets);
    nacre_array_release(self->context, &inputs);
    nacre_array_release(self->context, &targets);
    return status;
}

static nacre_status fail_npz(nacre_context *context, const nacre_npz *npz, const char *path)
{
    nacre_buffer names = nacre_buffer_create(context);
    for (int i = 0; i < nacre_npz_count(npz); i++)
        nacre_buffer_print(&names, "%s%s", i ? ", " : "", nacre_npz_name(npz, i));
    nacre_status status = nacre_fail(context, NACRE_ERROR_NOT_FOUND,
                                     "%s: arrays x and y (or x_train, y_train, ...; images and labels) expected, "
                                     "there are %s",
                                     path, names.data ? names.data : "none");
    nacre_buffer_destroy(&names);
    return status;
}

nacre_dataset *nc_open_npz(nacre_context *context, const char *path, const nacre_dataset_options *options)
{
    if (!nc_ends_with(path, ".npz")) {
        nacre_array inputs;
        if (nacre_npy_read(context, path, &inputs) != NACRE_OK) return NULL;
        return nacre_dataset_from_arrays(context, path, &inputs, NULL, NULL, options);
    }
    nacre_npz *npz = nacre_npz_open(context, path);
    if (!npz) return NULL;
    parts all = {.context = context, .name = path};
    nacre_status status = NACRE_OK;
    bool found = false, marked = false;
    for (int i = 0; status == NACRE_OK && i < NPZ_NAME_COUNT; i++) {
        nacre_part part = NPZ_NAMES[i].part;
        if (find_array(npz, NPZ_NAMES[i].inputs) < 0 || (found && part == NACRE_ALL)) continue;
        if (part != NACRE_ALL && !wants(options, part)) continue;
        status = add_npz_part(&all, npz, i, options->target);
        found = true;
        marked = marked || part != NACRE_ALL;
    }
    if (status == NACRE_OK && !found) status = fail_npz(context, npz, path);
    nacre_npz_close(npz);
    return finish_parts(&all, status, marked, options);
}

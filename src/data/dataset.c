/* data/dataset.c - datasets whatever their source: samples, views, splits. */
#include "data/dataset.h"

#include <nacre/random.h>

#include <stdio.h>
#include <string.h>
#include <strings.h>

enum { MAX_CLASSES = 1 << 16 };

struct nacre_dataset {
    nacre_context *context;
    nacre_pool pool; /* of the text and tables below */
    int references;  /* whoever created it, and each view */
    nacre_dataset_source source;
    nacre_dataset *root;    /* of a view: where the samples are; else itself */
    const int64_t *indices; /* of a view: into the root; else NULL */
};

/* ---- parts ---- */

static const char *const PART_NAMES[] = {"train", "validation", "test", "all"};

const char *nacre_part_name(nacre_part part)
{
    return (unsigned)part <= NACRE_ALL ? PART_NAMES[part] : "?";
}

int nacre_part_from_name(const char *name)
{
    static const struct {
        const char *name;
        nacre_part part;
    } NAMES[] = {{"train", NACRE_TRAIN},      {"training", NACRE_TRAIN},        {"val", NACRE_VALIDATION},
                 {"valid", NACRE_VALIDATION}, {"validation", NACRE_VALIDATION}, {"dev", NACRE_VALIDATION},
                 {"test", NACRE_TEST},        {"testing", NACRE_TEST},          {"all", NACRE_ALL}};
    for (size_t i = 0; i < sizeof NAMES / sizeof *NAMES; i++)
        if (!strcasecmp(name, NAMES[i].name)) return NAMES[i].part;
    return -1;
}

/* ---- samples ---- */

void nacre_sample_release(nacre_sample *sample)
{
    if (!sample) return;
    for (int i = 0; i < NACRE_MAX_FIELDS; i++) nacre_release(sample->context, sample->values[i].room.block);
    *sample = (nacre_sample){.context = sample->context};
}

void *nacre_sample_reserve(nacre_sample *sample, int field, nacre_dtype dtype, nacre_shape shape)
{
    nacre_value *value = &sample->values[field];
    size_t size = (size_t)nacre_shape_count(shape) * nacre_dtype_size(dtype);
    if (size > value->room.capacity || !value->room.block) {
        void *block = nacre_resize(sample->context, value->room.block, size);
        if (!block) return NULL;
        value->room = (nacre_work){block, size};
    }
    value->dtype = dtype;
    value->shape = shape;
    value->data = value->room.block;
    return value->room.block;
}

/* ---- creation ---- */

int nc_count_names(const char *const *names)
{
    int count = 0;
    while (names && names[count]) count++;
    return count;
}

int nc_check_labels(nacre_context *context, const char *name, const int64_t *labels, int64_t count, int classes)
{
    int64_t limit = classes ? classes : MAX_CLASSES, most = -1;
    for (int64_t i = 0; i < count; i++) {
        if (labels[i] < 0 || labels[i] >= limit) {
            nacre_fail(context, NACRE_ERROR_FORMAT, "%s: sample %lld has label %lld, expected 0 to %lld", name,
                       (long long)i, (long long)labels[i], (long long)limit - 1);
            return -1;
        }
        if (labels[i] > most) most = labels[i];
    }
    return classes ? classes : (int)most + 1;
}

/* Class names that were not given are numbers. */
static bool copy_classes(nacre_dataset *dataset, const nacre_dataset_source *source)
{
    const char **names = nacre_pool_allocate(&dataset->pool, ((size_t)source->class_count + 1) * sizeof *names);
    dataset->source.class_names = names;
    for (int i = 0; names && i < source->class_count; i++) {
        char number[16];
        snprintf(number, sizeof number, "%d", i);
        const char *name = source->class_names ? source->class_names[i] : number;
        names[i] = nacre_pool_copy(&dataset->pool, name, strlen(name));
        if (!names[i]) return false;
    }
    return names != NULL;
}

static bool copy_fields(nacre_dataset *dataset, const nacre_dataset_source *source)
{
    for (int i = 0; i < source->field_count; i++) {
        const char *name = source->fields[i].name;
        dataset->source.fields[i].name = nacre_pool_copy(&dataset->pool, name, strlen(name));
        if (!dataset->source.fields[i].name) return false;
    }
    return true;
}

static void *copy_bytes(nacre_dataset *dataset, const void *bytes, size_t size)
{
    void *copy = nacre_pool_allocate(&dataset->pool, size ? size : 1);
    return copy && size ? memcpy(copy, bytes, size) : copy;
}

static bool copy_source(nacre_dataset *dataset, const nacre_dataset_source *source)
{
    size_t count = (size_t)source->count;
    dataset->source = *source;
    dataset->source.name = nacre_pool_copy(&dataset->pool, source->name, strlen(source->name));
    if (!dataset->source.name || !copy_fields(dataset, source) || !copy_classes(dataset, source)) return false;
    if (source->labels && !(dataset->source.labels = copy_bytes(dataset, source->labels, count * sizeof(int64_t))))
        return false;
    if (source->groups && !(dataset->source.groups = copy_bytes(dataset, source->groups, count * sizeof(int64_t))))
        return false;
    return !source->parts || (dataset->source.parts = copy_bytes(dataset, source->parts, count)) != NULL;
}

static nacre_dataset *create(nacre_context *context)
{
    nacre_dataset *dataset = nacre_allocate(context, sizeof *dataset);
    if (!dataset) return NULL;
    dataset->context = context;
    dataset->pool.context = context;
    dataset->references = 1;
    dataset->root = dataset;
    return dataset;
}

nacre_dataset *nacre_dataset_create(nacre_context *context, const nacre_dataset_source *source)
{
    bool sound = source->count >= 0 && source->field_count >= 1 && source->field_count <= NACRE_MAX_FIELDS &&
                 source->get && source->name;
    if (!sound)
        nacre_fail(context, NACRE_ERROR_ARGUMENT, "a dataset needs a name, a get function and 1 to %d fields",
                   NACRE_MAX_FIELDS);
    if (sound && source->labels)
        sound = nc_check_labels(context, source->name, source->labels, source->count, source->class_count) >= 0;
    for (int64_t i = 0; sound && source->groups && i < source->count; i++)
        if (source->groups[i] < 0) {
            nacre_fail(context, NACRE_ERROR_ARGUMENT, "%s: sample %lld has group %lld, expected at least 0",
                       source->name, (long long)i, (long long)source->groups[i]);
            sound = false;
        }
    nacre_dataset *dataset = sound ? create(context) : NULL;
    if (dataset && copy_source(dataset, source)) return dataset;
    if (source->destroy) source->destroy(source->user);
    if (dataset) {
        nacre_pool_destroy(&dataset->pool);
        nacre_release(context, dataset);
    }
    return NULL;
}

void nacre_dataset_destroy(nacre_dataset *dataset)
{
    if (!dataset || --dataset->references > 0) return;
    if (dataset->root != dataset)
        nacre_dataset_destroy(dataset->root);
    else if (dataset->source.destroy)
        dataset->source.destroy(dataset->source.user);
    nacre_pool_destroy(&dataset->pool);
    nacre_release(dataset->context, dataset);
}

nacre_dataset *nc_dataset_retain(nacre_dataset *dataset)
{
    if (dataset) dataset->references++;
    return dataset;
}

/* ---- asking ---- */

nacre_context *nacre_dataset_context(const nacre_dataset *dataset)
{
    return dataset ? dataset->context : NULL;
}

const char *nacre_dataset_name(const nacre_dataset *dataset)
{
    return dataset ? dataset->root->source.name : "";
}

int64_t nacre_dataset_count(const nacre_dataset *dataset)
{
    return dataset ? dataset->source.count : 0;
}

int nacre_dataset_field_count(const nacre_dataset *dataset)
{
    return dataset ? dataset->root->source.field_count : 0;
}

const nacre_field *nacre_dataset_field(const nacre_dataset *dataset, int index)
{
    return index >= 0 && index < nacre_dataset_field_count(dataset) ? &dataset->root->source.fields[index] : NULL;
}

int nacre_dataset_classes(const nacre_dataset *dataset)
{
    return dataset ? dataset->root->source.class_count : 0;
}

const char *nacre_dataset_class_name(const nacre_dataset *dataset, int index)
{
    return index >= 0 && index < nacre_dataset_classes(dataset) ? dataset->root->source.class_names[index] : NULL;
}

static int64_t root_index(const nacre_dataset *dataset, int64_t index)
{
    return dataset->indices ? dataset->indices[index] : index;
}

int64_t nacre_dataset_label(const nacre_dataset *dataset, int64_t index)
{
    if (!dataset || index < 0 || index >= dataset->source.count) return -1;
    const int64_t *labels = dataset->root->source.labels;
    return labels ? labels[root_index(dataset, index)] : -1;
}

int64_t nacre_dataset_group(const nacre_dataset *dataset, int64_t index)
{
    if (!dataset || index < 0 || index >= dataset->source.count) return -1;
    const int64_t *groups = dataset->root->source.groups;
    return groups ? groups[root_index(dataset, index)] : -1;
}

bool nacre_dataset_has_groups(const nacre_dataset *dataset)
{
    return dataset && dataset->root->source.groups;
}

bool nacre_dataset_has_part(const nacre_dataset *dataset, nacre_part part)
{
    const uint8_t *parts = dataset ? dataset->root->source.parts : NULL;
    if (!parts) return false;
    for (int64_t i = 0; i < dataset->source.count; i++)
        if (parts[root_index(dataset, i)] == part) return true;
    return false;
}

const char *nacre_dataset_origin(const nacre_dataset *dataset, int64_t index, char *text, size_t size)
{
    const nacre_dataset_source *source = &dataset->root->source;
    if (source->origin)
        source->origin(source->user, root_index(dataset, index), text, size);
    else
        snprintf(text, size, "%s[%lld]", source->name, (long long)root_index(dataset, index));
    return text;
}

nacre_status nacre_dataset_get(const nacre_dataset *dataset, int64_t index, nacre_sample *sample)
{
    if (!dataset || index < 0 || index >= dataset->source.count)
        return nacre_fail(sample->context, NACRE_ERROR_ARGUMENT, "%s: sample %lld asked for, there are %lld",
                          nacre_dataset_name(dataset), (long long)index, (long long)nacre_dataset_count(dataset));
    const nacre_dataset_source *source = &dataset->root->source;
    return source->get(source->user, root_index(dataset, index), sample);
}

/* ---- views ---- */

void nc_shuffle(int64_t *order, int64_t count, uint64_t seed, int64_t stream)
{
    nacre_random random = nacre_random_create(nacre_random_fork(seed, 1), (uint32_t)stream, (uint64_t)stream >> 32);
    for (int64_t i = 0; i < count; i++) order[i] = i;
    for (int64_t i = count - 1; i > 0; i--) { /* Fisher and Yates */
        int64_t j = nacre_random_below(&random, (uint32_t)i + 1), kept = order[i];
        order[i] = order[j];
        order[j] = kept;
    }
}

nacre_dataset *nacre_dataset_select(nacre_dataset *dataset, const int64_t *indices, int64_t count)
{
    if (!dataset) return NULL;
    for (int64_t i = 0; i < count; i++)
        if (indices[i] < 0 || indices[i] >= dataset->source.count) {
            nacre_fail(dataset->context, NACRE_ERROR_ARGUMENT, "%s: sample %lld selected, there are %lld",
                       nacre_dataset_name(dataset), (long long)indices[i], (long long)dataset->source.count);
            return NULL;
        }
    nacre_dataset *view = create(dataset->context);
    int64_t *own = view ? nacre_pool_allocate(&view->pool, (size_t)(count ? count : 1) * sizeof *own) : NULL;
    if (!own) {
        nacre_release(dataset->context, view);
        return NULL;
    }
    for (int64_t i = 0; i < count; i++) own[i] = root_index(dataset, indices[i]);
    view->indices = own;
    view->source.count = count;
    view->root = nc_dataset_retain(dataset->root);
    return view;
}

/* The samples that `chosen` marks with `part`, in order. */
static nacre_dataset *select_marked(nacre_dataset *dataset, const uint8_t *marks, nacre_part part)
{
    int64_t count = 0, *indices = nacre_allocate(dataset->context, (size_t)dataset->source.count * sizeof *indices);
    if (!indices) return NULL;
    for (int64_t i = 0; i < dataset->source.count; i++)
        if (marks[i] == part || part == NACRE_ALL) indices[count++] = i;
    nacre_dataset *view = nacre_dataset_select(dataset, indices, count);
    nacre_release(dataset->context, indices);
    return view;
}

/* ---- splits ---- */

/* A drawing: samples in the order in which they are considered, and how many each class (the last: of unknown class)
 * still gives. */
typedef struct drawing {
    int64_t *order, *quotas;
    int classes;
} drawing;

static int class_of(const nacre_dataset *dataset, const drawing *draw, int64_t index)
{
    int64_t label = nacre_dataset_label(dataset, index);
    return label >= 0 && label < draw->classes ? (int)label : draw->classes;
}

static bool begin_drawing(nacre_dataset *dataset, drawing *draw, bool by_class)
{
    draw->classes = by_class ? nacre_dataset_classes(dataset) : 0;
    draw->order = nacre_allocate(dataset->context, (size_t)dataset->source.count * sizeof *draw->order);
    draw->quotas = nacre_allocate(dataset->context, ((size_t)draw->classes + 1) * sizeof *draw->quotas);
    return draw->order && draw->quotas;
}

static void end_drawing(nacre_dataset *dataset, drawing *draw)
{
    nacre_release(dataset->context, draw->order);
    nacre_release(dataset->context, draw->quotas);
}

/* Counts the samples marked `from` per class. */
static void count_classes(nacre_dataset *dataset, drawing *draw, const uint8_t *marks, nacre_part from)
{
    memset(draw->quotas, 0, ((size_t)draw->classes + 1) * sizeof *draw->quotas);
    for (int64_t i = 0; i < dataset->source.count; i++) draw->quotas[class_of(dataset, draw, i)] += marks[i] == from;
}

/* Re-marks samples while their class has quota left. */
static void take(nacre_dataset *dataset, drawing *draw, uint8_t *marks, nacre_part from, nacre_part to)
{
    for (int64_t i = 0; i < dataset->source.count; i++) {
        int64_t index = draw->order[i];
        if (marks[index] == from && draw->quotas[class_of(dataset, draw, index)]-- > 0) marks[index] = (uint8_t)to;
    }
}

/* Marks a share of the training samples as `part`. */
static nacre_status draw_share(nacre_dataset *dataset, uint8_t *marks, nacre_part part, double share,
                               const nacre_split_options *options)
{
    drawing draw = {0};
    int64_t count = dataset->source.count;
    if (nacre_dataset_has_groups(dataset) && !options->ordered)
        return nc_draw_groups(dataset, marks, part, share, options->seed);
    if (!begin_drawing(dataset, &draw, !options->ordered && !options->unstratified)) {
        end_drawing(dataset, &draw);
        return NACRE_ERROR_MEMORY;
    }
    if (options->ordered)
        for (int64_t i = 0; i < count; i++) draw.order[i] = count - 1 - i;
    else
        nc_shuffle(draw.order, count, options->seed, part);
    count_classes(dataset, &draw, marks, NACRE_TRAIN);
    for (int c = 0; c <= draw.classes; c++) draw.quotas[c] = (int64_t)((double)draw.quotas[c] * share + 0.5);
    take(dataset, &draw, marks, NACRE_TRAIN, part);
    end_drawing(dataset, &draw);
    return NACRE_OK;
}

static nacre_status mark_parts(nacre_dataset *dataset, uint8_t *marks, const nacre_split_options *options)
{
    const uint8_t *parts = dataset->root->source.parts;
    for (int64_t i = 0; i < dataset->source.count; i++) marks[i] = parts ? parts[root_index(dataset, i)] : NACRE_TRAIN;
    double test = options->test == 0 ? 0.2 : options->test;
    nacre_status status = NACRE_OK;
    if (test > 0 && !nacre_dataset_has_part(dataset, NACRE_TEST))
        status = draw_share(dataset, marks, NACRE_TEST, test, options);
    if (status == NACRE_OK && options->validation > 0 && !nacre_dataset_has_part(dataset, NACRE_VALIDATION))
        status = draw_share(dataset, marks, NACRE_VALIDATION, options->validation, options);
    return status;
}

nacre_dataset *nacre_dataset_split(nacre_dataset *dataset, nacre_part part, const nacre_split_options *options)
{
    if (!dataset) return NULL;
    nacre_split_options chosen = options ? *options : (nacre_split_options){0};
    if (!(chosen.validation >= 0 && chosen.validation < 1 && chosen.test < 1)) {
        nacre_fail(dataset->context, NACRE_ERROR_ARGUMENT,
                   "%s: validation share %g and test share %g must be less than 1, validation not negative",
                   nacre_dataset_name(dataset), chosen.validation, chosen.test);
        return NULL;
    }
    uint8_t *marks = nacre_allocate(dataset->context, (size_t)dataset->source.count);
    if (!marks) return NULL;
    nacre_dataset *view = NULL;
    if (mark_parts(dataset, marks, &chosen) == NACRE_OK) view = select_marked(dataset, marks, part);
    nacre_release(dataset->context, marks);
    if (view && view->source.count == 0) {
        nacre_fail(dataset->context, NACRE_ERROR_NOT_FOUND,
                   "%s: no %s samples; it has no such part, and no share was "
                   "asked for or it is too small",
                   nacre_dataset_name(dataset), nacre_part_name(part));
        nacre_dataset_destroy(view);
        return NULL;
    }
    return view;
}

nacre_dataset *nacre_dataset_subset(nacre_dataset *dataset, int64_t count, uint64_t seed)
{
    if (!dataset) return NULL;
    int64_t all = dataset->source.count;
    if (count < 0 || count > all) {
        nacre_fail(dataset->context, NACRE_ERROR_ARGUMENT, "%s: %lld samples asked for, there are %lld",
                   nacre_dataset_name(dataset), (long long)count, (long long)all);
        return NULL;
    }
    const nacre_part left = NACRE_TRAIN, taken = NACRE_TEST; /* as marks, no more */
    drawing draw = {0};
    uint8_t *marks = nacre_allocate(dataset->context, (size_t)all);
    nacre_dataset *view = NULL;
    if (begin_drawing(dataset, &draw, true) && marks) {
        nc_shuffle(draw.order, all, seed, NACRE_ALL);
        count_classes(dataset, &draw, marks, left);
        int64_t rest = count; /* what rounding down leaves goes to whoever comes first */
        for (int c = 0; c <= draw.classes; c++) {
            draw.quotas[c] = (int64_t)((double)draw.quotas[c] * (double)count / (double)(all ? all : 1));
            rest -= draw.quotas[c];
        }
        take(dataset, &draw, marks, left, taken);
        for (int64_t i = 0; i < all && rest > 0; i++)
            if (marks[draw.order[i]] == left) {
                marks[draw.order[i]] = (uint8_t)taken;
                rest--;
            }
        view = select_marked(dataset, marks, taken);
    }
    end_drawing(dataset, &draw);
    nacre_release(dataset->context, marks);
    return view;
}

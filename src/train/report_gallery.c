/* train/report_gallery.c - the predictions that a report shows: some of all, and the worst mistakes. */
#include <nacre/random.h>
#include <nacre/report.h>

#include <math.h>
#include <stdio.h>
#include <string.h>

typedef struct prediction {
    int64_t index, truth, predicted;
    double probability;
} prediction;

/* A list that keeps the first predictions it is given, or the most probable ones in order. */
typedef struct prediction_list {
    prediction *items;
    nacre_report_sample *shown; /* items with their pictures */
    int count, room;
} prediction_list;

struct nacre_gallery {
    nacre_context *context;
    const nacre_dataset *dataset;
    prediction_list samples, mistakes;
    nacre_pool pool;
    const char **class_names;
};

static bool make_room(nacre_pool *pool, prediction_list *list, int room)
{
    list->room = room > 0 ? room : 0;
    list->items = nacre_pool_allocate(pool, (size_t)list->room * sizeof *list->items);
    list->shown = nacre_pool_allocate(pool, (size_t)list->room * sizeof *list->shown);
    return list->items && list->shown;
}

nacre_gallery *nacre_gallery_create(nacre_context *context, const nacre_dataset *dataset, int samples, int mistakes)
{
    nacre_gallery *gallery = nacre_allocate(context, sizeof *gallery);
    if (!gallery) return NULL;
    *gallery = (nacre_gallery){.context = context, .dataset = dataset, .pool = {.context = context}};
    if (make_room(&gallery->pool, &gallery->samples, samples) &&
        make_room(&gallery->pool, &gallery->mistakes, mistakes))
        return gallery;
    nacre_gallery_destroy(gallery);
    return NULL;
}

static void release_pictures(nacre_gallery *gallery, prediction_list *list)
{
    for (int i = 0; list->shown && i < list->room; i++) nacre_image_release(gallery->context, &list->shown[i].image);
}

void nacre_gallery_destroy(nacre_gallery *gallery)
{
    if (!gallery) return;
    release_pictures(gallery, &gallery->samples);
    release_pictures(gallery, &gallery->mistakes);
    nacre_pool_destroy(&gallery->pool);
    nacre_release(gallery->context, gallery);
}

/* ---- choosing ---- */

/* Of `count` samples `room` are chosen, one from each of as many equal stretches. Where in the stretch is drawn, for
 * data that lies in a regular order would show the same few classes again and again. */
static bool is_chosen(int64_t index, int64_t count, int64_t room)
{
    if (count <= room) return true;
    int64_t stretch = index * room / count;
    int64_t first = (stretch * count + room - 1) / room, end = ((stretch + 1) * count + room - 1) / room;
    nacre_random random = nacre_random_create(0, 0, (uint64_t)stretch);
    return index == first + (int64_t)nacre_random_below(&random, (uint32_t)(end - first));
}

/* Before the first that is less probable; the least probable falls off the end. */
static void insert(prediction_list *list, prediction item)
{
    int place = list->count;
    while (place > 0 && list->items[place - 1].probability < item.probability) place--;
    if (place == list->room) return;
    if (list->count < list->room) list->count++;
    memmove(&list->items[place + 1], &list->items[place], (size_t)(list->count - 1 - place) * sizeof item);
    list->items[place] = item;
}

/* The likeliest class and its softmax; one logit alone stands against zero. -1: a NaN is among them. */
static prediction predict(const float *logits, int64_t columns)
{
    const float against_zero[2] = {0, logits[0]};
    const float *row = columns == 1 ? against_zero : logits;
    int64_t classes = columns == 1 ? 2 : columns, best = nacre_best_class(row, classes);
    double sum = 0;
    for (int64_t i = 0; best >= 0 && i < classes; i++) sum += exp((double)row[i] - (double)row[best]);
    return (prediction){.predicted = best, .probability = 1 / sum};
}

static const int64_t *find_labels(const nacre_batch *batch)
{
    for (int i = 0; i < batch->field_count; i++)
        if (batch->fields[i].role == NACRE_ROLE_LABEL && batch->fields[i].dtype == NACRE_I64)
            return batch->fields[i].data;
    return NULL;
}

nacre_status nacre_gallery_visit(void *user, const nacre_batch *batch, const float *outputs, int64_t columns)
{
    nacre_gallery *gallery = user;
    const int64_t *labels = find_labels(batch);
    int64_t all = nacre_dataset_count(gallery->dataset);
    for (int64_t i = 0; i < batch->count; i++) {
        prediction item = predict(outputs + i * columns, columns);
        item.index = batch->indices[i];
        item.truth = labels ? labels[i] : -1;
        if (item.predicted < 0)
            return nacre_fail(gallery->context, NACRE_ERROR_NUMERIC, "the outputs for sample %lld hold NaN",
                              (long long)item.index);
        prediction_list *samples = &gallery->samples;
        if (samples->count < samples->room && is_chosen(item.index, all, samples->room))
            samples->items[samples->count++] = item;
        if (item.truth >= 0 && item.truth != item.predicted) insert(&gallery->mistakes, item);
    }
    return NACRE_OK;
}

/* ---- showing ---- */

/* Numbers of any range as bytes: the darkest becomes black, the lightest white. */
static void stretch(const float *numbers, int64_t count, uint8_t *bytes)
{
    float low = INFINITY, high = -INFINITY;
    for (int64_t i = 0; i < count; i++) {
        low = fminf(low, numbers[i]);
        high = fmaxf(high, numbers[i]);
    }
    float scale = high > low ? 255 / (high - low) : 0;
    for (int64_t i = 0; i < count; i++) {
        float shade = (numbers[i] - low) * scale;
        bytes[i] = shade >= 0 ? (uint8_t)fminf(shade + 0.5f, 255) : 0; /* NaN is black too */
    }
}

/* The picture in a sample of one: u8 as it is, f32 stretched; its first channel where they are neither one nor three.
 */
static nacre_status copy_picture(nacre_context *context, const nacre_value *value, nacre_image *image)
{
    bool bytes = value->dtype == NACRE_U8;
    if (value->shape.rank != 3 || (!bytes && value->dtype != NACRE_F32)) return NACRE_OK;
    int channels = value->shape.dims[0] == 3 ? 3 : 1;
    nacre_status status =
        nacre_image_reserve(context, image, channels, (int)value->shape.dims[1], (int)value->shape.dims[2]);
    if (status) return status;
    int64_t count = channels * value->shape.dims[1] * value->shape.dims[2];
    if (bytes)
        memcpy(image->pixels, value->data, (size_t)count);
    else
        stretch(value->data, count, image->pixels);
    return NACRE_OK;
}

static nacre_status fetch_picture(nacre_gallery *gallery, int64_t index, nacre_sample *sample, nacre_image *image)
{
    for (int i = 0; i < nacre_dataset_field_count(gallery->dataset); i++) {
        if (nacre_dataset_field(gallery->dataset, i)->role != NACRE_ROLE_IMAGE) continue;
        nacre_status status = nacre_dataset_get(gallery->dataset, index, sample);
        return status ? status : copy_picture(gallery->context, &sample->values[i], image);
    }
    return NACRE_OK;
}

/* The end of where it came from: "7.jpg" of "test/cat/7.jpg", "test[7]" of "glyphs:test[7]". */
static char *short_origin(nacre_gallery *gallery, int64_t index)
{
    char text[512];
    const char *name = nacre_dataset_origin(gallery->dataset, index, text, sizeof text);
    for (const char *c; (c = strpbrk(name, "/:"));) name = c + 1;
    return nacre_pool_copy(&gallery->pool, name, strlen(name));
}

static nacre_status show_list(nacre_gallery *gallery, prediction_list *list, nacre_sample *sample)
{
    for (int i = 0; i < list->count; i++) {
        const prediction *item = &list->items[i];
        nacre_report_sample *shown = &list->shown[i];
        shown->truth = item->truth;
        shown->predicted = item->predicted;
        shown->probability = item->probability;
        shown->name = short_origin(gallery, item->index);
        nacre_status status =
            shown->name ? fetch_picture(gallery, item->index, sample, &shown->image) : NACRE_ERROR_MEMORY;
        if (status) return status;
    }
    return NACRE_OK;
}

nacre_status nacre_gallery_show(nacre_gallery *gallery, nacre_report *report)
{
    if (!gallery) return NACRE_ERROR_ARGUMENT;
    int classes = nacre_dataset_classes(gallery->dataset);
    gallery->class_names = nacre_pool_allocate(&gallery->pool, (size_t)classes * sizeof *gallery->class_names);
    if (!gallery->class_names) return NACRE_ERROR_MEMORY;
    for (int i = 0; i < classes; i++) gallery->class_names[i] = nacre_dataset_class_name(gallery->dataset, i);

    nacre_sample sample = {.context = gallery->context};
    nacre_status status = show_list(gallery, &gallery->samples, &sample);
    if (!status) status = show_list(gallery, &gallery->mistakes, &sample);
    nacre_sample_release(&sample);
    if (status) return status;
    report->class_names = gallery->class_names;
    report->class_count = classes;
    report->samples = gallery->samples.shown;
    report->sample_count = gallery->samples.count;
    report->mistakes = gallery->mistakes.shown;
    report->mistake_count = gallery->mistakes.count;
    return NACRE_OK;
}

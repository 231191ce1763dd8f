/* train/survey.c - what data look like: kind, size, classes, missing values, lengths. */
#include <nacre/advise.h>

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { MOST_LOOKED_AT = 2000 };

const char *nacre_data_kind_name(nacre_data_kind kind)
{
    static const char *const NAMES[] = {"pictures", "a table", "sequences", "text"};
    return (unsigned)kind <= NACRE_DATA_TEXT ? NAMES[kind] : "?";
}

/* What is gathered while samples are looked at. */
typedef struct looking {
    nacre_survey *survey;
    nacre_pool pool;
    int field; /* the input */
    int64_t columns;
    double *first;   /* TABLE: each column's first value that is there */
    bool *varies;    /* TABLE */
    int64_t *length; /* SEQUENCES, TEXT: of each sample */
} looking;

/* ---- what is known without looking ---- */

static nacre_status find_input(nacre_dataset *dataset, looking *look)
{
    const nacre_field *field;
    look->field = -1;
    for (int i = 0; (field = nacre_dataset_field(dataset, i)); i++) {
        if (field->role == NACRE_ROLE_TARGET) look->survey->regression = true;
        if (look->field >= 0 || (field->role != NACRE_ROLE_IMAGE && field->role != NACRE_ROLE_FEATURES)) continue;
        look->field = i;
        look->survey->input = *field;
    }
    if (look->field < 0)
        return nacre_fail(nacre_dataset_context(dataset), NACRE_ERROR_ARGUMENT,
                          "\"%s\" has neither pictures nor features to learn from", nacre_dataset_name(dataset));
    return NACRE_OK;
}

static nacre_data_kind kind_of(const nacre_field *field)
{
    bool tokens = field->dtype == NACRE_I32 || field->dtype == NACRE_I64;
    return field->role == NACRE_ROLE_IMAGE    ? NACRE_DATA_PICTURES
           : tokens && field->shape.rank == 1 ? NACRE_DATA_TEXT
           : field->shape.rank >= 2           ? NACRE_DATA_SEQUENCES
                                              : NACRE_DATA_TABLE;
}

static nacre_status count_classes(nacre_dataset *dataset, nacre_survey *survey)
{
    int classes = nacre_dataset_classes(dataset);
    if (classes == 0) return NACRE_OK;
    nacre_context *context = nacre_dataset_context(dataset);
    int64_t *counts = nacre_allocate(context, (size_t)classes * sizeof *counts);
    if (!counts) return NACRE_ERROR_MEMORY;
    for (int64_t i = 0; i < survey->samples; i++) {
        int64_t label = nacre_dataset_label(dataset, i);
        if (label >= 0 && label < classes) counts[label]++;
    }
    for (int c = 0; c < classes; c++) {
        if (counts[c] == 0) continue;
        if (survey->classes == 0 || counts[c] < survey->smallest) survey->smallest = counts[c];
        if (counts[c] > survey->largest) survey->largest = counts[c];
        survey->classes++;
    }
    nacre_release(context, counts);
    return NACRE_OK;
}

/* ---- looking at samples ---- */

static void look_at_columns(looking *look, const nacre_value *value)
{
    int64_t count = nacre_shape_count(value->shape);
    for (int64_t i = 0; i < count && i < look->columns; i++) {
        double number = nacre_dtype_load(value->dtype, value->data, i);
        if (isnan(number)) continue;
        if (isnan(look->first[i])) look->first[i] = number;
        look->varies[i] |= number != look->first[i];
    }
}

/* The last step that is not all zeros: sequences are padded at the end. */
static int64_t length_of(const nacre_value *value)
{
    int64_t steps = value->shape.dims[0], width = steps ? nacre_shape_count(value->shape) / steps : 0;
    for (int64_t i = steps * width - 1; i >= 0; i--)
        if (nacre_dtype_load(value->dtype, value->data, i) != 0) return i / width + 1;
    return 0;
}

static void look_at(looking *look, const nacre_value *value, int64_t index)
{
    nacre_survey *survey = look->survey;
    int64_t missing = 0, count = nacre_shape_count(value->shape);
    for (int64_t i = 0; i < count; i++) {
        double number = nacre_dtype_load(value->dtype, value->data, i);
        missing += isnan(number);
        survey->low = fmin(survey->low, number); /* NaN is passed over */
        survey->high = fmax(survey->high, number);
    }
    survey->missing += missing;
    survey->missing_samples += missing > 0;
    survey->same_size &= nacre_shape_equal(value->shape, survey->input.shape);
    if (survey->kind == NACRE_DATA_TABLE) look_at_columns(look, value);
    if (look->length) look->length[index] = length_of(value);
}

static int compare_lengths(const void *a, const void *b)
{
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return x < y ? -1 : x > y;
}

static void conclude(looking *look)
{
    nacre_survey *survey = look->survey;
    for (int64_t i = 0; survey->kind == NACRE_DATA_TABLE && i < look->columns; i++)
        survey->constant += !look->varies[i];
    if (look->length && survey->looked_at > 0) {
        qsort(look->length, (size_t)survey->looked_at, sizeof *look->length, compare_lengths);
        survey->shortest = look->length[0];
        survey->median = look->length[survey->looked_at / 2];
        survey->longest = look->length[survey->looked_at - 1];
    }
    if (survey->kind == NACRE_DATA_TEXT) survey->vocabulary = (int64_t)survey->high + 1;
}

static bool make_room(looking *look)
{
    nacre_survey *survey = look->survey;
    look->columns = nacre_shape_count(survey->input.shape);
    size_t columns = (size_t)(look->columns ? look->columns : 1);
    if (survey->kind == NACRE_DATA_TABLE) {
        look->first = nacre_pool_allocate(&look->pool, columns * sizeof *look->first);
        look->varies = nacre_pool_allocate(&look->pool, columns * sizeof *look->varies);
        for (int64_t i = 0; look->first && i < look->columns; i++) look->first[i] = NAN;
        return look->first && look->varies;
    }
    if (survey->kind == NACRE_DATA_PICTURES) return true;
    look->length = nacre_pool_allocate(&look->pool, (size_t)(survey->looked_at + 1) * sizeof *look->length);
    return look->length != NULL;
}

nacre_status nacre_survey_data(nacre_dataset *dataset, nacre_survey *survey)
{
    nacre_context *context = nacre_dataset_context(dataset);
    *survey =
        (nacre_survey){.samples = nacre_dataset_count(dataset), .same_size = true, .low = INFINITY, .high = -INFINITY};
    looking look = {.survey = survey, .pool = {.context = context}};
    nacre_status status = find_input(dataset, &look);
    if (status == NACRE_OK) status = count_classes(dataset, survey);
    if (status) return status;
    survey->kind = kind_of(&survey->input);
    const bool all = survey->kind == NACRE_DATA_TEXT; /* any of them may have the largest token */
    survey->looked_at = all || survey->samples < MOST_LOOKED_AT ? survey->samples : MOST_LOOKED_AT;
    nacre_sample sample = {.context = context};
    bool ready = make_room(&look);
    for (int64_t i = 0; ready && i < survey->looked_at; i++) {
        int64_t index = (int64_t)((double)i * (double)survey->samples / (double)survey->looked_at);
        ready = nacre_dataset_get(dataset, index, &sample) == NACRE_OK;
        if (ready) look_at(&look, &sample.values[look.field], i);
    }
    if (ready) conclude(&look);
    nacre_sample_release(&sample);
    nacre_pool_destroy(&look.pool);
    return nacre_check(context);
}

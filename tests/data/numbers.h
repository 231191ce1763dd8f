/* numbers.h - a dataset whose sample i is the number i. */
#ifndef NC_NUMBERS_H
#define NC_NUMBERS_H

#include "support.h"

static inline nacre_status nc_get_number(void *user, int64_t index, nacre_sample *sample)
{
    (void)user;
    float *value = nacre_sample_reserve(sample, 0, NACRE_F32, NACRE_SHAPE(1));
    int64_t *label = nacre_sample_reserve(sample, 1, NACRE_I64, NACRE_SCALAR);
    if (!value || !label) return NACRE_ERROR_MEMORY;
    *value = (float)index;
    *label = index % 3;
    return NACRE_OK;
}

/* Classes a, b, c where there are `labels`; both may be NULL. */
static inline nacre_dataset *nc_make_numbers(nacre_context *context, int64_t count, const int64_t *labels,
                                             const int64_t *groups)
{
    nacre_dataset_source source = {.name = "numbers",
                                   .count = count,
                                   .fields = {{"features", NACRE_ROLE_FEATURES, NACRE_F32, NACRE_SHAPE(1)},
                                              {"label", NACRE_ROLE_LABEL, NACRE_I64, NACRE_SCALAR}},
                                   .field_count = 2,
                                   .class_names = (const char *const[]){"a", "b", "c"},
                                   .class_count = labels ? 3 : 0,
                                   .labels = labels,
                                   .groups = groups,
                                   .get = nc_get_number};
    return nacre_dataset_create(context, &source);
}

/* The number that a sample of a view is; -1 after a failure. */
static inline int64_t nc_number_at(const nacre_dataset *dataset, int64_t index)
{
    nacre_sample sample = {.context = nacre_dataset_context(dataset)};
    int64_t number = -1;
    if (nacre_dataset_get(dataset, index, &sample) == NACRE_OK)
        number = (int64_t) * (const float *)sample.values[0].data;
    nacre_sample_release(&sample);
    return number;
}

#endif

/* data/rows.c - datasets of a table's rows: features side by side, and a class or a number to predict. */
#include "data/dataset.h"
#include "data/table.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MOST_CATEGORIES = 1000, MOST_CLASSES = 1000 };

typedef struct rows {
    nacre_context *context;
    nacre_pool pool; /* of class names */
    nacre_table *table;
    int64_t count;
    int target, group; /* columns; group: -1: none */
    int width;         /* of the features */
    float *features;   /* count * width */
    int64_t *labels;   /* or: */
    float *targets;
    int64_t *groups; /* NULL: none */
    const char *const *class_names;
    int class_count;
} rows;

static void destroy_rows(void *user)
{
    rows *self = user;
    nacre_context *context = self->context;
    nacre_release_aligned(context, self->features);
    nacre_release(context, self->labels);
    nacre_release(context, self->targets);
    nacre_release(context, self->groups);
    nacre_pool_destroy(&self->pool);
    nacre_table_destroy(self->table);
    nacre_release(context, self);
}

static nacre_status get_row(void *user, int64_t index, nacre_sample *sample)
{
    const rows *self = user;
    nacre_value *features = &sample->values[0], *target = &sample->values[1];
    features->dtype = NACRE_F32;
    features->shape = NACRE_SHAPE(self->width);
    features->data = self->features + index * self->width;
    target->dtype = self->labels ? NACRE_I64 : NACRE_F32;
    target->shape = self->labels ? NACRE_SCALAR : NACRE_SHAPE(1);
    target->data = self->labels ? (const void *)&self->labels[index] : &self->targets[index];
    return NACRE_OK;
}

static void name_origin(void *user, int64_t index, char *text, size_t size)
{
    const rows *self = user;
    snprintf(text, size, "%s:%lld", nacre_table_file(self->table, index),
             (long long)nacre_table_line(self->table, index));
}

static nacre_status fail_cell(const rows *self, const nacre_column *column, int64_t row, const char *what)
{
    return nacre_fail(self->context, NACRE_ERROR_FORMAT, "%s:%lld: column '%s' %s", nacre_table_file(self->table, row),
                      (long long)nacre_table_line(self->table, row), column->name, what);
}

static nacre_status fail_column(const rows *self, const nacre_column *column, int64_t count, const char *what)
{
    return nacre_fail(self->context, NACRE_ERROR_FORMAT, "%s: column '%s' holds %lld different %s",
                      nacre_table_file(self->table, 0), column->name, (long long)count, what);
}

/* ---- features ---- */

static int column_width(const nacre_column *column, bool codes)
{
    return column->numbers || codes ? 1 : column->category_count;
}

/* One column into `to`, which is `width` apart from row to row. */
static nacre_status fill_feature(const rows *self, const nacre_column *column, const nacre_dataset_options *options,
                                 float *to)
{
    for (int64_t row = 0; row < self->count; row++, to += self->width) {
        bool missing = column->numbers ? isnan(column->numbers[row]) : column->codes[row] < 0;
        if (missing && !options->keep_missing && (column->numbers || options->codes))
            return fail_cell(self, column, row,
                             "is missing; keep missing values and add impute to the transforms, or "
                             "ignore the column");
        if (column->numbers)
            *to = (float)column->numbers[row];
        else if (options->codes)
            *to = missing ? NAN : (float)column->codes[row];
        else
            for (int c = 0; c < column->category_count; c++) to[c] = column->codes[row] == c;
    }
    return NACRE_OK;
}

static nacre_status fill_features(rows *self, const nacre_dataset_options *options)
{
    const nacre_column *column;
    for (int c = 0; (column = nacre_table_column(self->table, c)); c++) {
        if (c == self->target || c == self->group) continue;
        if (column->category_count > MOST_CATEGORIES)
            return fail_column(self, column, column->category_count, "texts; ignore it if it is a name or a date");
        self->width += column_width(column, options->codes);
    }
    self->features = nacre_allocate_aligned(self->context, (size_t)self->count * (size_t)self->width * sizeof(float));
    nacre_status status = self->features ? NACRE_OK : NACRE_ERROR_MEMORY;
    float *to = self->features;
    for (int c = 0; status == NACRE_OK && (column = nacre_table_column(self->table, c)); c++) {
        if (c == self->target || c == self->group) continue;
        status = fill_feature(self, column, options, to);
        to += column_width(column, options->codes);
    }
    return status;
}

/* ---- targets ---- */

static nacre_status fill_numbers(rows *self, const nacre_column *column)
{
    if (!column->numbers)
        return nacre_fail(self->context, NACRE_ERROR_FORMAT, "%s: column '%s' holds text; regression needs numbers",
                          nacre_table_file(self->table, 0), column->name);
    self->targets = nacre_allocate(self->context, (size_t)self->count * sizeof *self->targets);
    if (!self->targets) return NACRE_ERROR_MEMORY;
    for (int64_t row = 0; row < self->count; row++) {
        if (isnan(column->numbers[row])) return fail_cell(self, column, row, "is missing, and it is what to predict");
        self->targets[row] = (float)column->numbers[row];
    }
    return NACRE_OK;
}

static int compare_numbers(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return x < y ? -1 : x > y;
}

/* The distinct numbers, ascending; missing ones left out. */
static int64_t sort_distinct(const nacre_column *column, int64_t count, double *values)
{
    int64_t present = 0, distinct = 0;
    for (int64_t i = 0; i < count; i++)
        if (!isnan(column->numbers[i])) values[present++] = column->numbers[i];
    qsort(values, (size_t)present, sizeof *values, compare_numbers);
    for (int64_t i = 0; i < present; i++)
        if (i == 0 || values[i] != values[distinct - 1]) values[distinct++] = values[i];
    return distinct;
}

static nacre_status name_numbers(rows *self, const double *values, int64_t count)
{
    const char **names = nacre_pool_allocate(&self->pool, ((size_t)count + 1) * sizeof *names);
    if (!names) return NACRE_ERROR_MEMORY;
    for (int64_t i = 0; i < count; i++) {
        nacre_buffer name = nacre_buffer_create(self->context);
        nacre_buffer_number(&name, values[i]);
        names[i] = name.failed ? NULL : nacre_pool_copy(&self->pool, name.data, name.size);
        nacre_buffer_destroy(&name);
        if (!names[i]) return NACRE_ERROR_MEMORY;
    }
    self->class_names = names;
    self->class_count = (int)count;
    return NACRE_OK;
}

/* Classes that are written as numbers: 1, 2, 3 or 0, 1. */
static nacre_status label_numbers(rows *self, const nacre_column *column)
{
    double *values = nacre_allocate(self->context, (size_t)self->count * sizeof *values);
    if (!values) return NACRE_ERROR_MEMORY;
    int64_t distinct = sort_distinct(column, self->count, values);
    nacre_status status = distinct > MOST_CLASSES ? fail_column(self, column, distinct,
                                                                "numbers, too many for classes; is it a regression?")
                                                  : name_numbers(self, values, distinct);
    for (int64_t row = 0; status == NACRE_OK && row < self->count; row++) {
        const double *found =
            distinct ? bsearch(&column->numbers[row], values, (size_t)distinct, sizeof *values, compare_numbers) : NULL;
        self->labels[row] = found && !isnan(column->numbers[row]) ? found - values : -1;
    }
    nacre_release(self->context, values);
    return status;
}

static void label_codes(rows *self, const nacre_column *column)
{
    self->class_names = column->categories;
    self->class_count = column->category_count;
    for (int64_t row = 0; row < self->count; row++) self->labels[row] = column->codes[row];
}

static int find_name(const char *const *names, const char *name)
{
    int i = 0;
    while (names[i] && strcmp(names[i], name)) i++;
    return names[i] ? i : -1;
}

static nacre_status fill_labels(rows *self, const nacre_column *column, const char *const *wanted)
{
    nacre_status status = NACRE_OK;
    self->labels = nacre_allocate(self->context, (size_t)self->count * sizeof *self->labels);
    if (!self->labels) return NACRE_ERROR_MEMORY;
    if (column->numbers)
        status = label_numbers(self, column);
    else
        label_codes(self, column);
    for (int64_t row = 0; status == NACRE_OK && row < self->count; row++) {
        int64_t *label = &self->labels[row];
        if (*label < 0) return fail_cell(self, column, row, "is missing, and it is what to predict");
        if (wanted) *label = find_name(wanted, self->class_names[*label]);
        if (*label < 0) return fail_cell(self, column, row, "is none of the classes that were given");
    }
    if (wanted) {
        self->class_names = wanted; /* copied when the dataset is created */
        self->class_count = nc_count_names(wanted);
    }
    return status;
}

/* ---- groups ---- */

static nacre_status fill_groups(rows *self, const nacre_column *column)
{
    self->groups = nacre_allocate(self->context, (size_t)self->count * sizeof *self->groups);
    double *values = nacre_allocate(self->context, (size_t)self->count * sizeof *values);
    nacre_status status = self->groups && values ? NACRE_OK : NACRE_ERROR_MEMORY;
    int64_t distinct = status == NACRE_OK && column->numbers ? sort_distinct(column, self->count, values) : 0;
    for (int64_t row = 0; status == NACRE_OK && row < self->count; row++) {
        bool missing = column->numbers ? isnan(column->numbers[row]) : column->codes[row] < 0;
        if (missing)
            status = fail_cell(self, column, row, "is missing, and it says which rows belong together");
        else if (column->codes)
            self->groups[row] = column->codes[row];
        else
            self->groups[row] = (const double *)bsearch(&column->numbers[row], values, (size_t)distinct, sizeof *values,
                                                        compare_numbers) -
                                values;
    }
    nacre_release(self->context, values);
    return status;
}

/* ---- the dataset ---- */

static nacre_status fill(rows *self, const nacre_dataset_options *options)
{
    self->count = nacre_table_rows(self->table);
    self->target = nacre_table_find(self->table, options->target ? options->target : "-1");
    const nacre_column *column = nacre_table_column(self->table, self->target);
    if (!column) return nacre_check(self->context);
    self->group = -1;
    if (options->group) {
        self->group = nacre_table_find(self->table, options->group);
        const nacre_column *group = nacre_table_column(self->table, self->group);
        if (!group) return nacre_check(self->context);
        if (self->group == self->target)
            return nacre_fail(self->context, NACRE_ERROR_ARGUMENT,
                              "%s: column '%s' cannot be both what to predict and what rows are grouped by",
                              nacre_table_file(self->table, 0), group->name);
        if (fill_groups(self, group)) return nacre_check(self->context);
    }
    nacre_status status = options->regression ? fill_numbers(self, column) : fill_labels(self, column, options->labels);
    return status == NACRE_OK ? fill_features(self, options) : status;
}

nacre_dataset *nc_dataset_from_table(nacre_context *context, nacre_table *table, const nacre_dataset_options *options,
                                     const uint8_t *parts)
{
    static const nacre_dataset_options DEFAULTS;
    if (!table) return NULL;
    rows *self = nacre_allocate(context, sizeof *self);
    if (!self) {
        nacre_table_destroy(table);
        return NULL;
    }
    self->context = self->pool.context = context;
    self->table = table;
    if (fill(self, options ? options : &DEFAULTS) != NACRE_OK) {
        destroy_rows(self);
        return NULL;
    }
    nacre_dataset_source source = {
        .name = nacre_table_file(table, 0),
        .user = self,
        .count = self->count,
        .fields = {{"features", NACRE_ROLE_FEATURES, NACRE_F32, NACRE_SHAPE(self->width)},
                   {"label", NACRE_ROLE_LABEL, NACRE_I64, NACRE_SCALAR}},
        .field_count = 2,
        .class_names = self->class_names,
        .class_count = self->class_count,
        .labels = self->labels,
        .groups = self->groups,
        .parts = parts,
        .get = get_row,
        .origin = name_origin,
        .destroy = destroy_rows,
    };
    if (self->targets) source.fields[1] = (nacre_field){"target", NACRE_ROLE_TARGET, NACRE_F32, NACRE_SHAPE(1)};
    return nacre_dataset_create(context, &source);
}

nacre_dataset *nacre_dataset_from_table(nacre_context *context, nacre_table *table,
                                        const nacre_dataset_options *options)
{
    return nc_dataset_from_table(context, table, options, NULL);
}

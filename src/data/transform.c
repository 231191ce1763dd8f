/* data/transform.c - lists of transforms: text to steps and back, applying, learning figures. */
#include "data/transform.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_STEPS = 64, MAX_ARGUMENTS = 8, MAX_NAME = 32 };

struct nacre_transforms {
    nacre_context *context;
    nacre_pool pool; /* of the arguments' numbers */
    nc_step steps[MAX_STEPS];
    int count;
};

nacre_transforms *nacre_transforms_create(nacre_context *context)
{
    nacre_transforms *list = nacre_allocate(context, sizeof *list);
    if (!list) return NULL;
    list->context = context;
    list->pool.context = context;
    return list;
}

void nacre_transforms_destroy(nacre_transforms *list)
{
    if (!list) return;
    nacre_pool_destroy(&list->pool);
    nacre_release(list->context, list);
}

int nacre_transforms_count(const nacre_transforms *list)
{
    return list ? list->count : 0;
}

/* ---- usage ---- */

/* "height, width=height, antialias=1" */
static const char *describe(const nc_transform *transform, char *text, size_t size)
{
    size_t used = 0;
    *text = 0;
    for (int i = 0; i < NC_MAX_PARAMETERS && transform->parameters[i].name; i++) {
        const nc_parameter *parameter = &transform->parameters[i];
        char fallback[40] = "";
        if (parameter->fallback == NC_SAME)
            snprintf(fallback, sizeof fallback, "=%s", transform->parameters[i - 1].name);
        else if (parameter->fallback != NC_REQUIRED)
            snprintf(fallback, sizeof fallback, "=%g", parameter->fallback);
        int more = snprintf(text + used, size - used, "%s%s%s", i ? ", " : "", parameter->name, fallback);
        used += more > 0 && (size_t)more < size - used ? (size_t)more : 0;
    }
    return text;
}

bool nacre_transform_at(int index, nacre_transform_info *info)
{
    if (index < 0 || index >= nc_transform_count) return false;
    const nc_transform *transform = &nc_transforms[index];
    *info = (nacre_transform_info){.name = transform->name, .doc = transform->doc, .random = transform->random};
    describe(transform, info->arguments, sizeof info->arguments);
    return true;
}

static const nc_transform *find_transform(nacre_context *context, const char *name)
{
    const char *names[64] = {0};
    for (int i = 0; i < nc_transform_count; i++) {
        names[i] = nc_transforms[i].name;
        if (!strcmp(name, names[i])) return &nc_transforms[i];
    }
    const char *near = nacre_nearest(name, names);
    nacre_fail(context, NACRE_ERROR_NOT_FOUND, "transforms: there is no '%s'%s%s%s", name,
               near ? "; did you mean '" : "", near ? near : "", near ? "'?" : "");
    return NULL;
}

/* ---- adding ---- */

static nacre_status fail_argument(nacre_transforms *list, const nc_transform *transform, const char *what,
                                  const char *name)
{
    char usage[128];
    return nacre_fail(list->context, NACRE_ERROR_ARGUMENT, "transforms: %s: %s%s%s; expected %s(%s)", transform->name,
                      what, *name ? " " : "", name, transform->name, describe(transform, usage, sizeof usage));
}

static int find_parameter(const nc_transform *transform, const char *name)
{
    for (int i = 0; i < NC_MAX_PARAMETERS && transform->parameters[i].name; i++)
        if (!strcmp(transform->parameters[i].name, name)) return i;
    return -1;
}

static nacre_status check_value(nacre_transforms *list, const nc_transform *transform, const nc_parameter *parameter,
                                double value)
{
    bool integer = parameter->kind == NC_INTEGER;
    if (value >= parameter->least && value <= parameter->most && !(integer && value != floor(value))) return NACRE_OK;
    return nacre_fail(list->context, NACRE_ERROR_ARGUMENT, "transforms: %s: %s is %g, expected %s from %g to %g",
                      transform->name, parameter->name, value, integer ? "an integer" : "a number", parameter->least,
                      parameter->most);
}

static nacre_status set_argument(nacre_transforms *list, nc_step *step, int index, const nacre_argument *argument)
{
    const nc_transform *transform = step->transform;
    const nc_parameter *parameter = &transform->parameters[index];
    if (argument->count < 1 || (argument->count > 1 && parameter->kind != NC_LIST))
        return fail_argument(list, transform, "one number is expected for", parameter->name);
    if (step->arguments[index].count) return fail_argument(list, transform, "twice:", parameter->name);
    for (int i = 0; i < argument->count; i++) {
        nacre_status status = check_value(list, transform, parameter, argument->values[i]);
        if (status != NACRE_OK) return status;
    }
    size_t size = (size_t)argument->count * sizeof *argument->values;
    double *values = nacre_pool_allocate(&list->pool, size);
    if (!values) return NACRE_ERROR_MEMORY;
    step->arguments[index] = (nc_argument){memcpy(values, argument->values, size), argument->count};
    return NACRE_OK;
}

static nacre_status make_step(nacre_transforms *list, nc_step *step, const nacre_argument *arguments, int count)
{
    const nc_transform *transform = step->transform;
    int position = 0;
    for (int i = 0; i < count; i++) {
        const char *name = arguments[i].name;
        int index = name ? find_parameter(transform, name) : position++;
        if (index < 0) return fail_argument(list, transform, "unknown argument", name);
        if (index >= NC_MAX_PARAMETERS || !transform->parameters[index].name)
            return fail_argument(list, transform, "too many arguments", "");
        nacre_status status = set_argument(list, step, index, &arguments[i]);
        if (status != NACRE_OK) return status;
    }
    for (int i = 0; i < NC_MAX_PARAMETERS && transform->parameters[i].name; i++)
        if (transform->parameters[i].fallback == NC_REQUIRED && !step->arguments[i].count)
            return fail_argument(list, transform, "missing:", transform->parameters[i].name);
    return NACRE_OK;
}

nacre_status nacre_transforms_add(nacre_transforms *list, const char *name, const nacre_argument *arguments,
                                  int argument_count)
{
    if (!list) return NACRE_ERROR_ARGUMENT;
    nc_step step = {.transform = find_transform(list->context, name)};
    if (!step.transform) return NACRE_ERROR_NOT_FOUND;
    if (list->count == MAX_STEPS)
        return nacre_fail(list->context, NACRE_ERROR_ARGUMENT, "transforms: more than %d steps", MAX_STEPS);
    nacre_status status = make_step(list, &step, arguments, argument_count);
    if (status == NACRE_OK) list->steps[list->count++] = step;
    return status;
}

/* ---- text ---- */

typedef struct parser {
    nacre_transforms *list;
    const char *text, *at;
    nacre_buffer numbers; /* doubles */
} parser;

static nacre_status fail_parse(const parser *p, const char *expected)
{
    int line = 1;
    for (const char *c = p->text; c < p->at; c++) line += *c == '\n';
    char got[16] = "the end";
    if (*p->at) snprintf(got, sizeof got, *p->at == '\n' ? "a line end" : "'%.8s'", p->at);
    return nacre_fail(p->list->context, NACRE_ERROR_FORMAT, "transforms, line %d: %s expected, got %s", line, expected,
                      got);
}

static void skip_blanks(parser *p, bool and_lines)
{
    for (;; p->at++) {
        if (*p->at == '#')
            while (p->at[1] && p->at[1] != '\n') p->at++;
        else if (*p->at != ' ' && *p->at != '\t' && *p->at != '\r' && !(and_lines && (*p->at == '\n' || *p->at == ';')))
            return;
    }
}

static bool accept(parser *p, char c)
{
    skip_blanks(p, false);
    if (*p->at != c) return false;
    p->at++;
    return true;
}

static bool scan_name(parser *p, char name[MAX_NAME])
{
    skip_blanks(p, false);
    size_t size = strspn(p->at, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ_0123456789");
    bool letter = (*p->at | 32) >= 'a' && (*p->at | 32) <= 'z';
    if (!letter || size >= MAX_NAME) return false;
    memcpy(name, p->at, size);
    name[size] = 0;
    p->at += size;
    return true;
}

static bool scan_plain(parser *p, double *value)
{
    char number[64];
    skip_blanks(p, false);
    size_t sign = *p->at == '-' || *p->at == '+', size = sign + strspn(p->at + sign, "0123456789.");
    if (p->at[size] == 'e' || p->at[size] == 'E') {
        size++;
        if (p->at[size] == '-' || p->at[size] == '+') size++;
        size += strspn(p->at + size, "0123456789");
    }
    if (size >= sizeof number) return false;
    memcpy(number, p->at, size);
    number[size] = 0;
    if (!nacre_parse_number(number, value)) return false;
    p->at += size;
    return true;
}

/* 0.5 or 1/255, at the end of p->numbers. */
static nacre_status scan_number(parser *p)
{
    double value, divisor = 1;
    if (!scan_plain(p, &value)) return fail_parse(p, "a number");
    if (accept(p, '/') && !scan_plain(p, &divisor)) return fail_parse(p, "a number");
    if (divisor == 0) return fail_parse(p, "a divisor other than 0");
    value /= divisor;
    nacre_buffer_put(&p->numbers, &value, sizeof value);
    return p->numbers.failed ? NACRE_ERROR_MEMORY : NACRE_OK;
}

static nacre_status scan_numbers(parser *p)
{
    if (!accept(p, '[')) return scan_number(p);
    nacre_status status;
    do status = scan_number(p);
    while (status == NACRE_OK && accept(p, ','));
    if (status == NACRE_OK && !accept(p, ']')) status = fail_parse(p, "',' or ']'");
    return status;
}

static nacre_status scan_step(parser *p)
{
    char name[MAX_NAME], names[MAX_ARGUMENTS][MAX_NAME];
    nacre_argument arguments[MAX_ARGUMENTS] = {0};
    size_t ends[MAX_ARGUMENTS];
    int count = 0;
    if (!scan_name(p, name)) return fail_parse(p, "the name of a transform");
    nacre_buffer_clear(&p->numbers);
    if (accept(p, '(') && !accept(p, ')')) {
        do {
            if (count == MAX_ARGUMENTS) return fail_parse(p, "fewer arguments");
            if (scan_name(p, names[count])) {
                arguments[count].name = names[count];
                if (!accept(p, '=')) return fail_parse(p, "'='");
            }
            nacre_status status = scan_numbers(p);
            if (status != NACRE_OK) return status;
            ends[count++] = p->numbers.size / sizeof(double);
        } while (accept(p, ','));
        if (!accept(p, ')')) return fail_parse(p, "',' or ')'");
    }
    for (int i = 0; i < count; i++) { /* the buffer stays where it is from here on */
        size_t start = i ? ends[i - 1] : 0;
        arguments[i].values = (const double *)(const void *)p->numbers.data + start;
        arguments[i].count = (int)(ends[i] - start);
    }
    skip_blanks(p, false);
    if (*p->at && *p->at != ';' && *p->at != '\n') return fail_parse(p, "';' or a line end");
    return nacre_transforms_add(p->list, name, arguments, count);
}

nacre_transforms *nacre_transforms_parse(nacre_context *context, const char *text)
{
    parser p = {nacre_transforms_create(context), text, text, nacre_buffer_create(context)};
    if (!p.list) return NULL;
    nacre_status status = NACRE_OK;
    for (skip_blanks(&p, true); status == NACRE_OK && *p.at; skip_blanks(&p, true)) status = scan_step(&p);
    nacre_buffer_destroy(&p.numbers);
    if (status == NACRE_OK) return p.list;
    nacre_transforms_destroy(p.list);
    return NULL;
}

static void print_argument(nacre_buffer *text, const nc_argument *argument)
{
    if (argument->count > 1) nacre_buffer_print(text, "[");
    for (int i = 0; i < argument->count; i++) {
        if (i) nacre_buffer_print(text, ", ");
        nacre_buffer_number(text, argument->values[i]);
    }
    if (argument->count > 1) nacre_buffer_print(text, "]");
}

static void print_step(nacre_buffer *text, const nc_step *step)
{
    const nc_transform *transform = step->transform;
    bool by_name = false; /* once one was left out */
    int printed = 0;
    nacre_buffer_print(text, "%s", transform->name);
    for (int i = 0; i < NC_MAX_PARAMETERS && transform->parameters[i].name; i++) {
        if (!step->arguments[i].count) {
            by_name = true;
            continue;
        }
        nacre_buffer_print(text, printed++ ? ", " : "(");
        if (by_name) nacre_buffer_print(text, "%s=", transform->parameters[i].name);
        print_argument(text, &step->arguments[i]);
    }
    if (printed) nacre_buffer_print(text, ")");
}

nacre_status nacre_transforms_print(const nacre_transforms *list, nacre_buffer *text)
{
    for (int i = 0; list && i < list->count; i++) {
        if (i) nacre_buffer_print(text, "; ");
        print_step(text, &list->steps[i]);
    }
    return text->failed ? NACRE_ERROR_MEMORY : NACRE_OK;
}

/* ---- applying ---- */

static bool touches(const nc_step *step, nacre_role role)
{
    return step->transform->roles >> role & 1;
}

static nacre_status change_field(nacre_context *context, const nc_step *step, int classes, nacre_field *field)
{
    if (!touches(step, field->role) || !step->transform->field) return NACRE_OK;
    if (field->role == NACRE_ROLE_IMAGE && field->shape.rank != 3) {
        char text[NACRE_SHAPE_TEXT_SIZE];
        return nacre_fail(context, NACRE_ERROR_SHAPE,
                          "transforms: %s: \"%s\" is %s, expected [channels, height, width]", step->transform->name,
                          field->name, nacre_shape_text(field->shape, text));
    }
    return step->transform->field(context, step, classes, field);
}

/* Operations on bytes make nonsense of numbers that are bytes no longer. */
static nacre_status check_order(const nacre_transforms *list, int index)
{
    for (int i = 0; i < index && list->steps[index].transform->bytes; i++)
        if (!list->steps[i].transform->random && touches(&list->steps[i], NACRE_ROLE_FEATURES))
            return nacre_fail(list->context, NACRE_ERROR_ARGUMENT,
                              "transforms: %s works on values 0 to 255; put it before %s",
                              list->steps[index].transform->name, list->steps[i].transform->name);
    return NACRE_OK;
}

/* A step that nothing of the dataset passes is a mistake; but labels may be absent, when predicting. */
static nacre_status check_use(const nacre_transforms *list, const nacre_dataset *dataset, int index)
{
    const nc_step *step = &list->steps[index];
    if (check_order(list, index)) return nacre_check(list->context);
    if (touches(step, NACRE_ROLE_LABEL)) return NACRE_OK;
    for (int f = 0; f < nacre_dataset_field_count(dataset); f++) {
        nacre_field field = *nacre_dataset_field(dataset, f);
        for (int i = 0; i < index; i++) change_field(NULL, &list->steps[i], nacre_dataset_classes(dataset), &field);
        if (touches(step, field.role)) return NACRE_OK;
    }
    return nacre_fail(nacre_dataset_context(dataset), NACRE_ERROR_ARGUMENT,
                      "transforms: %s has nothing to work on in %s", step->transform->name,
                      nacre_dataset_name(dataset));
}

nacre_status nacre_transforms_field(const nacre_transforms *list, const nacre_dataset *dataset,
                                    const nacre_field *field, nacre_field *result)
{
    *result = *field;
    nacre_status status = NACRE_OK;
    for (int i = 0; list && status == NACRE_OK && i < list->count; i++) {
        status = check_use(list, dataset, i);
        if (status == NACRE_OK)
            status =
                change_field(nacre_dataset_context(dataset), &list->steps[i], nacre_dataset_classes(dataset), result);
    }
    return status;
}

/* The first `count` steps. Each step has random numbers of its own, so that adding one does not change the others. */
static nacre_status apply_steps(const nacre_transforms *list, int count, const nacre_dataset *dataset,
                                const nacre_draw *draw, nacre_sample *sample, nacre_work work[2])
{
    enum { PURPOSE = 16 };
    for (int f = 0; f < nacre_dataset_field_count(dataset); f++) {
        nacre_field field = *nacre_dataset_field(dataset, f);
        for (int i = 0; i < count; i++) {
            const nc_step *step = &list->steps[i];
            if (!touches(step, field.role)) continue;
            field.shape = sample->values[f].shape; /* pictures may differ in size */
            nacre_random random;
            bool drawing = draw->training && step->transform->random;
            if (drawing)
                random = nacre_random_create(nacre_random_fork(draw->seed, PURPOSE + (uint64_t)i),
                                             (uint32_t)draw->epoch, (uint64_t)draw->index);
            nc_transform_call call = {sample->context,
                                      step,
                                      &field,
                                      &sample->values[f],
                                      &work[0],
                                      &work[1],
                                      drawing ? &random : NULL,
                                      nacre_dataset_classes(dataset)};
            nacre_field after = field;
            nacre_status status = change_field(sample->context, step, call.classes, &after);
            if (status == NACRE_OK) status = step->transform->apply(&call);
            if (status != NACRE_OK) return status;
            field = after;
        }
    }
    return NACRE_OK;
}

nacre_status nacre_transforms_apply(const nacre_transforms *list, const nacre_dataset *dataset, const nacre_draw *draw,
                                    nacre_sample *sample, nacre_work work[2])
{
    return list ? apply_steps(list, list->count, dataset, draw, sample, work) : NACRE_OK;
}

/* ---- learning figures ---- */

typedef struct figures {
    int64_t *counts;
    double *means, *squares; /* squares: sum of squared distances from the mean */
    int groups;
} figures;

/* Joins the figures of `count` more numbers (Chan, Golub, LeVeque 1979). */
static void join(figures *all, int group, int64_t count, double mean, double squares)
{
    if (!count) return;
    int64_t before = all->counts[group], total = before + count;
    double distance = mean - all->means[group];
    all->means[group] += distance * (double)count / (double)total;
    all->squares[group] += squares + distance * distance * (double)before * (double)count / (double)total;
    all->counts[group] = total;
}

/* `count` numbers, `step` apart. */
static void join_numbers(figures *all, int group, const nacre_value *value, int64_t start, int64_t count)
{
    double sum = 0, squares = 0;
    int64_t present = 0;
    for (int64_t i = start; i < start + count; i++) {
        double x = nacre_dtype_load(value->dtype, value->data, i);
        if (isnan(x)) continue;
        sum += x;
        present++;
    }
    double mean = present ? sum / (double)present : 0;
    for (int64_t i = start; i < start + count; i++) {
        double x = nacre_dtype_load(value->dtype, value->data, i);
        if (!isnan(x)) squares += (x - mean) * (x - mean);
    }
    join(all, group, present, mean, squares);
}

static void join_value(figures *all, nacre_role role, const nacre_value *value)
{
    int64_t count = nacre_shape_count(value->shape);
    if (role == NACRE_ROLE_IMAGE)
        for (int c = 0; c < all->groups; c++)
            join_numbers(all, c, value, c * (count / all->groups), count / all->groups);
    else
        for (int64_t i = 0; i < count; i++) join_numbers(all, (int)(i % all->groups), value, i, 1);
}

/* The field that the figures describe, as it arrives at step `index`. */
static int find_field(const nacre_transforms *list, const nacre_dataset *dataset, int index, nacre_field *field)
{
    for (int f = 0; f < nacre_dataset_field_count(dataset); f++) {
        *field = *nacre_dataset_field(dataset, f);
        for (int i = 0; i < index; i++) change_field(NULL, &list->steps[i], nacre_dataset_classes(dataset), field);
        if (touches(&list->steps[index], field->role) && field->shape.rank > 0) return f;
    }
    nacre_fail(list->context, NACRE_ERROR_ARGUMENT, "transforms: %s has nothing to learn from in %s",
               list->steps[index].transform->name, nacre_dataset_name(dataset));
    return -1;
}

static nacre_status collect(const nacre_transforms *list, const nacre_dataset *dataset, int index, int field,
                            nacre_role role, figures *all)
{
    nacre_sample sample = {.context = list->context};
    nacre_work work[2] = {{0}};
    nacre_draw draw = {0};
    nacre_status status = NACRE_OK;
    for (int64_t i = 0; status == NACRE_OK && i < nacre_dataset_count(dataset); i++) {
        draw.index = i;
        status = nacre_dataset_get(dataset, i, &sample);
        if (status == NACRE_OK) status = apply_steps(list, index, dataset, &draw, &sample, work);
        if (status == NACRE_OK) join_value(all, role, &sample.values[field]);
    }
    nacre_sample_release(&sample);
    nacre_release(list->context, work[0].block);
    nacre_release(list->context, work[1].block);
    return status;
}

/* Replaces the step by the one that holds the figures. */
static nacre_status settle(nacre_transforms *list, int index, figures *all)
{
    const char *name = nc_fitted_kind(list->steps[index].transform);
    nacre_argument arguments[2] = {{NULL, all->means, all->groups}, {NULL, all->squares, all->groups}};
    for (int c = 0; c < all->groups; c++) { /* a column that never changes keeps its scale */
        double variance = all->counts[c] ? all->squares[c] / (double)all->counts[c] : 0;
        all->squares[c] = variance > 0 ? sqrt(variance) : 1;
    }
    nc_step step = {.transform = find_transform(list->context, name)};
    nacre_status status = make_step(list, &step, arguments, strcmp(name, "fill") ? 2 : 1);
    if (status == NACRE_OK) list->steps[index] = step;
    return status;
}

static nacre_status fit_step(nacre_transforms *list, const nacre_dataset *dataset, int index)
{
    nacre_field field;
    int which = find_field(list, dataset, index, &field);
    if (which < 0) return nacre_check(list->context);
    bool image = field.role == NACRE_ROLE_IMAGE;
    figures all = {.groups = (int)field.shape.dims[image ? 0 : field.shape.rank - 1]};
    size_t groups = (size_t)(all.groups ? all.groups : 1);
    all.counts = nacre_allocate(list->context, groups * sizeof *all.counts);
    all.means = nacre_allocate(list->context, groups * sizeof *all.means);
    all.squares = nacre_allocate(list->context, groups * sizeof *all.squares);
    nacre_status status = all.counts && all.means && all.squares ? NACRE_OK : NACRE_ERROR_MEMORY;
    if (status == NACRE_OK) status = collect(list, dataset, index, which, field.role, &all);
    if (status == NACRE_OK) status = settle(list, index, &all);
    nacre_release(list->context, all.counts);
    nacre_release(list->context, all.means);
    nacre_release(list->context, all.squares);
    return status;
}

nacre_status nacre_transforms_fit(nacre_transforms *list, const nacre_dataset *dataset)
{
    nacre_status status = NACRE_OK;
    for (int i = 0; list && status == NACRE_OK && i < list->count; i++)
        if (nc_fitted_kind(list->steps[i].transform)) status = fit_step(list, dataset, i);
    return status;
}

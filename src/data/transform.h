/* data/transform.h - one kind of transform: its arguments, and what it does to a value. */
#ifndef NC_DATA_TRANSFORM_H
#define NC_DATA_TRANSFORM_H

#include <nacre/data.h>
#include <nacre/random.h>

enum { NC_MAX_PARAMETERS = 5 };

typedef enum nc_parameter_kind { NC_NUMBER, NC_INTEGER, NC_LIST } nc_parameter_kind;

/* NC_REQUIRED and NC_SAME (as the argument before it) stand for a fallback. */
#define NC_REQUIRED (-1e300)
#define NC_SAME     (-2e300)

typedef struct nc_parameter {
    const char *name; /* NULL ends the list */
    nc_parameter_kind kind;
    double fallback, least, most;
} nc_parameter;

typedef struct nc_argument {
    const double *values;
    int count; /* 0: not given */
} nc_argument;

typedef struct nc_step {
    const struct nc_transform *transform;
    nc_argument arguments[NC_MAX_PARAMETERS];
} nc_step;

/* What a step works on. `value` is replaced or changed in place. */
typedef struct nc_transform_call {
    nacre_context *context;
    const nc_step *step;
    const nacre_field *field; /* as it arrives */
    nacre_value *value;
    nacre_work *spare, *taps; /* room for a result, exchanged with value->room; and for resampling */
    nacre_random *random;     /* NULL outside training */
    int classes;
} nc_transform_call;

typedef struct nc_transform {
    const char *name, *doc;
    nc_parameter parameters[NC_MAX_PARAMETERS];
    unsigned roles; /* bits 1 << nacre_role */
    bool random;
    bool bytes; /* works on values 0 to 255 only: before scale and normalise */
    nacre_status (*field)(nacre_context *context, const nc_step *step, int classes,
                          nacre_field *field); /* NULL: same */
    nacre_status (*apply)(const nc_transform_call *call);
} nc_transform;

/* ---- for the functions behind `apply` ---- */

/* The value as floats of its own that may be changed in place; NULL when there is no memory. */
float *nc_own_floats(const nc_transform_call *call);
/* Scratch beside the value, until the next exchange; NULL when there is no memory. */
void *nc_reserve_spare(const nc_transform_call *call, size_t size);
/* A `field` for steps that only make numbers floats. */
nacre_status nc_become_float(nacre_context *context, const nc_step *step, int classes, nacre_field *field);

/* augment.c */
nacre_status nc_set_randaugment(nacre_context *context, const nc_step *step, int classes, nacre_field *field);
nacre_status nc_apply_randaugment(const nc_transform_call *call);
nacre_status nc_apply_trivialaugment(const nc_transform_call *call);
nacre_status nc_apply_random_erasing(const nc_transform_call *call);

/* ---- the list ---- */

extern const nc_transform nc_transforms[];
extern const int nc_transform_count;

/* The first value of an argument, or what stands for it. */
double nc_argument_value(const nc_step *step, int parameter);
/* Value `index` of a list; a list of one counts for all. */
double nc_argument_at(const nc_step *step, int parameter, int64_t index);

/* Names of the kinds that nacre_transforms_fit turns into others. */
const char *
nc_fitted_kind(const nc_transform *transform); /* "normalise" for standardise, "fill" for impute, else NULL */

#endif

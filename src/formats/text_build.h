/* formats/text_build.h - what the parts of building share: values, frames, failures. */
#ifndef NC_FORMATS_TEXT_BUILD_H
#define NC_FORMATS_TEXT_BUILD_H

#include "formats/text.h"

#include <nacre/layer.h>

enum { NC_RESULT_LIMIT = 16 };

typedef enum nc_value_kind { NC_VALUE_NUMBER, NC_VALUE_TEXT, NC_VALUE_LIST, NC_VALUE_TENSOR } nc_value_kind;

typedef struct nc_value {
    nc_value_kind kind;
    double number;
    const char *text;
    const double *list;
    int length; /* of the list */
    nacre_tensor *tensor;
} nc_value;

typedef struct nc_variable {
    const char *name;
    nc_value value;
} nc_variable;

/* A path at which a layer has parameters. */
typedef struct nc_place {
    const char *path;
    int line;
    struct nc_place *next;
} nc_place;

typedef struct nc_builder {
    const nacre_text *text;
    const nacre_text_options *options;
    nacre_context *context;
    nacre_pool pool; /* of this build */
    nc_place *places;
    int64_t batch, length; /* N and T */
    int inputs;            /* that the model has asked for */
    int steps, depth;
} nc_builder;

/* A block or the model at work. */
typedef struct nc_frame {
    nc_builder *b;
    nacre_scope scope;
    bool is_model;
    nc_variable *variables;
    int count, capacity;
    nc_value results[NC_RESULT_LIMIT];
    int result_count;
    bool returned;
} nc_frame;

#define NC_FAIL(f, line, ...) nc_text_fail((f)->b->context, (f)->b->text->origin, line, __VA_ARGS__)

/* Puts file and line in front of what a layer or operation has said. */
nacre_status nc_locate_failure(const nc_frame *f, int line);

/* ---- values ---- */

const char *nc_value_kind_name(nc_value_kind kind); /* "a number" */
const nc_value *nc_find_variable(const nc_frame *f, const char *name);
nacre_status nc_set_variable(nc_frame *f, const char *name, nc_value v);

nacre_status nc_evaluate(const nc_frame *f, const nc_expr *expr, nc_value *result);
nacre_status nc_evaluate_number(const nc_frame *f, const nc_expr *expr, double *number);
/* Literals may use all 64 bits, everything else what a double holds exactly. */
nacre_status nc_evaluate_whole(const nc_frame *f, const nc_expr *expr, int64_t *whole);
bool nc_is_whole(double number);
/* The text of a path: its parts as they stand, expressions as numbers or text. NULL after a failure. */
const char *nc_evaluate_path(const nc_frame *f, const nc_expr *path);

/* ---- calls ---- */

/* The scope in which a call works: the path that it says, or the first name that it is assigned to. */
nacre_status nc_enter(const nc_frame *f, const nc_statement *call, nacre_scope *scope);
nacre_status nc_call_layer(nc_frame *f, const nc_statement *call, const nacre_layer *layer);
nacre_status nc_call_operation(nc_frame *f, const nc_statement *call, const nacre_op *op);

#endif

/* formats/text_build.c - from the tree of a model text to nodes of a graph. */
#include "formats/text.h"

#include <nacre/layer.h>

#include <math.h>
#include <stdio.h>
#include <string.h>

enum { STEP_LIMIT = 200000, DEPTH_LIMIT = 32, RESULT_LIMIT = 16 };
#define LARGEST_EXACT 0x1p53

/* ---- values ----------------------------------------------------------------------------------------------------- */

typedef enum value_kind { VALUE_NUMBER, VALUE_TEXT, VALUE_LIST, VALUE_TENSOR } value_kind;

typedef struct value {
    value_kind kind;
    double number;
    const char *text;
    const double *list;
    int length; /* of the list */
    nacre_tensor *tensor;
} value;

typedef struct variable {
    const char *name;
    value value;
} variable;

/* A path at which a layer has parameters. */
typedef struct place {
    const char *path;
    int line;
    struct place *next;
} place;

typedef struct builder {
    const nacre_text *text;
    const nacre_text_options *options;
    nacre_context *context;
    nacre_pool pool; /* of this build */
    place *places;
    int64_t batch;
    int inputs; /* that the model has asked for */
    int steps, depth;
} builder;

/* A block or the model at work. */
typedef struct frame {
    builder *b;
    nacre_scope scope;
    bool is_model;
    variable *variables;
    int count, capacity;
    value results[RESULT_LIMIT];
    int result_count;
    bool returned;
} frame;

#define FAIL(f, line, ...) nc_text_fail((f)->b->context, (f)->b->text->origin, line, __VA_ARGS__)

/* Puts file and line in front of what a layer or operation has said. */
static nacre_status locate_failure(const frame *f, int line)
{
    nacre_context *context = f->b->context;
    char message[1024];
    nacre_status status = nacre_check(context);
    snprintf(message, sizeof message, "%s", nacre_message(context));
    nacre_clear(context);
    return nacre_fail(context, status, "%s:%d: %s", f->b->text->origin, line, message);
}

static const char *kind_name(value_kind kind)
{
    static const char *const names[] = {"a number", "a text", "a list", "a tensor"};
    return names[kind];
}

/* ---- variables ---- */

static const value *find_variable(const frame *f, const char *name)
{
    for (int i = f->count - 1; i >= 0; i--)
        if (strcmp(f->variables[i].name, name) == 0) return &f->variables[i].value;
    return NULL;
}

static nacre_status set_variable(frame *f, const char *name, value v)
{
    for (int i = f->count - 1; i >= 0; i--) {
        if (strcmp(f->variables[i].name, name) != 0) continue;
        f->variables[i].value = v;
        return NACRE_OK;
    }
    if (f->count == f->capacity) {
        int capacity = f->capacity ? 2 * f->capacity : 16;
        variable *grown = nacre_resize(f->b->context, f->variables, (size_t)capacity * sizeof *grown);
        if (!grown) return NACRE_ERROR_MEMORY;
        f->variables = grown;
        f->capacity = capacity;
    }
    f->variables[f->count++] = (variable){name, v};
    return NACRE_OK;
}

static nacre_status fail_unknown_name(const frame *f, int line, const char *name)
{
    const char **names = nacre_pool_allocate(&f->b->pool, (size_t)(f->count + 1) * sizeof *names);
    if (!names) return NACRE_ERROR_MEMORY;
    for (int i = 0; i < f->count; i++) names[i] = f->variables[i].name;
    const char *nearest = nacre_nearest(name, names);
    if (nearest) return FAIL(f, line, "there is no '%.100s' here; did you mean '%.100s'?", name, nearest);
    return FAIL(f, line, "there is no '%.100s' here", name);
}

/* ---- expressions ------------------------------------------------------------------------------------------------ */

static nacre_status evaluate(const frame *f, const nc_expr *expr, value *result);

static nacre_status evaluate_number(const frame *f, const nc_expr *expr, double *number)
{
    value v;
    nacre_status status = evaluate(f, expr, &v);
    if (status != NACRE_OK) return status;
    if (v.kind != VALUE_NUMBER) return FAIL(f, expr->line, "expected a number, got %s", kind_name(v.kind));
    *number = v.number;
    return NACRE_OK;
}

/* Literals may use all 64 bits, everything else what a double holds exactly. */
static nacre_status evaluate_whole(const frame *f, const nc_expr *expr, int64_t *whole)
{
    static const nacre_attribute integer = {.type = NACRE_ATTRIBUTE_INT};
    char literal[32];
    const nc_expr *inner = expr->kind == NC_EXPR_UNARY ? expr->first : expr;
    if (inner->kind == NC_EXPR_NUMBER && strlen(inner->text) < sizeof literal - 2) {
        snprintf(literal, sizeof literal, "%s%s", inner == expr ? "" : expr->text, inner->text);
        if (nacre_attribute_parse(&integer, literal, whole)) return NACRE_OK;
    }
    double number;
    nacre_status status = evaluate_number(f, expr, &number);
    if (status != NACRE_OK) return status;
    if (!(fabs(number) <= LARGEST_EXACT) || floor(number) != number)
        return FAIL(f, expr->line, "expected a whole number, got %g", number);
    *whole = (int64_t)number;
    return NACRE_OK;
}

static nacre_status evaluate_name(const frame *f, const nc_expr *expr, value *result)
{
    const value *found = find_variable(f, expr->text);
    if (found)
        *result = *found;
    else if (strcmp(expr->text, "N") == 0)
        *result = (value){.number = (double)f->b->batch};
    else
        return fail_unknown_name(f, expr->line, expr->text);
    return NACRE_OK;
}

static nacre_status evaluate_unary(const frame *f, const nc_expr *expr, value *result)
{
    double number;
    nacre_status status = evaluate_number(f, expr->first, &number);
    *result = (value){.number = expr->text[0] == '-' ? -number : number == 0};
    return status;
}

static bool compare(const char *operator, double a, double b)
{
    switch (operator[0]) {
    case '=': return a == b;
    case '!': return a != b;
    case '<': return operator[1] ? a <= b : a<b;
    default: return operator[1] ? a >= b : a> b;
    }
}

static double calculate(const char *operator, double a, double b)
{
    switch (operator[0]) {
    case '+': return a + b;
    case '-': return a - b;
    case '*': return a * b;
    case '/': return operator[1] ? floor(a / b) : a / b;
    case '%': return a - b * floor(a / b);
    case '^': return pow(a, b);
    default: return compare(operator, a, b);
    }
}

static nacre_status evaluate_binary(const frame *f, const nc_expr *expr, value *result)
{
    value a, b;
    nacre_status status = evaluate(f, expr->first, &a);
    if (status != NACRE_OK) return status;
    bool is_logic = expr->text[0] == 'a' || expr->text[0] == 'o';
    if (is_logic && a.kind == VALUE_NUMBER && (a.number != 0) == (expr->text[0] == 'o')) { /* settled */
        *result = (value){.number = a.number != 0};
        return NACRE_OK;
    }
    if ((status = evaluate(f, expr->second, &b)) != NACRE_OK) return status;
    bool is_equality = strcmp(expr->text, "==") == 0 || strcmp(expr->text, "!=") == 0;
    if (is_equality && a.kind == VALUE_TEXT && b.kind == VALUE_TEXT) {
        *result = (value){.number = (strcmp(a.text, b.text) == 0) == (expr->text[0] == '=')};
        return NACRE_OK;
    }
    if (a.kind != VALUE_NUMBER || b.kind != VALUE_NUMBER)
        return FAIL(f, expr->line, "'%s' takes two numbers, got %s and %s", expr->text, kind_name(a.kind),
                    kind_name(b.kind));
    *result = (value){.number = is_logic ? b.number != 0 : calculate(expr->text, a.number, b.number)};
    return NACRE_OK;
}

static nacre_status evaluate_list(const frame *f, const nc_expr *expr, value *result)
{
    int length = 0;
    for (const nc_expr *item = expr->first; item; item = item->next) length++;
    double *list = nacre_pool_allocate(&f->b->pool, (size_t)length * sizeof *list);
    if (!list) return NACRE_ERROR_MEMORY;
    *result = (value){.kind = VALUE_LIST, .list = list, .length = length};
    for (const nc_expr *item = expr->first; item; item = item->next) {
        nacre_status status = evaluate_number(f, item, list++);
        if (status != NACRE_OK) return status;
    }
    return NACRE_OK;
}

static nacre_status evaluate_dimension(const frame *f, const nc_expr *expr, value *result)
{
    value v;
    int64_t axis = 0;
    nacre_status status = evaluate(f, expr->first, &v);
    if (status == NACRE_OK && v.kind != VALUE_TENSOR)
        status = FAIL(f, expr->line, "dim takes a tensor, got %s", kind_name(v.kind));
    if (status == NACRE_OK) status = evaluate_whole(f, expr->second, &axis);
    if (status != NACRE_OK) return status;
    int rank = nacre_tensor_rank(v.tensor);
    if (axis < -rank || axis >= rank)
        return FAIL(f, expr->line, "dim: there is no axis %lld in a tensor with %d", (long long)axis, rank);
    *result = (value){.number = (double)nacre_tensor_dim(v.tensor, (int)axis)};
    return NACRE_OK;
}

static nacre_status evaluate(const frame *f, const nc_expr *expr, value *result)
{
    double condition;
    nacre_status status;
    switch (expr->kind) {
    case NC_EXPR_NUMBER: *result = (value){.number = expr->number}; return NACRE_OK;
    case NC_EXPR_TEXT: *result = (value){.kind = VALUE_TEXT, .text = expr->text}; return NACRE_OK;
    case NC_EXPR_LIST: return evaluate_list(f, expr, result);
    case NC_EXPR_NAME: return evaluate_name(f, expr, result);
    case NC_EXPR_UNARY: return evaluate_unary(f, expr, result);
    case NC_EXPR_BINARY: return evaluate_binary(f, expr, result);
    case NC_EXPR_GROUP: return evaluate(f, expr->first, result);
    case NC_EXPR_DIMENSION: return evaluate_dimension(f, expr, result);
    case NC_EXPR_CHOICE:
        status = evaluate_number(f, expr->first, &condition);
        return status == NACRE_OK ? evaluate(f, condition != 0 ? expr->second : expr->third, result) : status;
    }
    return NACRE_ERROR_STATE;
}

/* ---- paths ------------------------------------------------------------------------------------------------------ */

/* The text of a path: its parts as they stand, expressions as whole numbers or text. */
static const char *evaluate_path(const frame *f, const nc_expr *path)
{
    nacre_buffer text = nacre_buffer_create(f->b->context);
    for (const nc_expr *part = path; part; part = part->next) {
        value v;
        if (evaluate(f, part, &v) != NACRE_OK) break;
        if (v.kind == VALUE_TEXT)
            nacre_buffer_print(&text, "%s", v.text);
        else if (v.kind == VALUE_NUMBER)
            nacre_buffer_number(&text, v.number);
        else
            FAIL(f, part->line, "a path is made of numbers and texts, got %s", kind_name(v.kind));
    }
    bool done = nacre_check(f->b->context) == NACRE_OK && !text.failed;
    const char *result = done ? nacre_pool_copy(&f->b->pool, text.data ? text.data : "", text.size) : NULL;
    nacre_buffer_destroy(&text);
    return result;
}

/* The scope in which a call works. */
static nacre_status enter(const frame *f, const nc_statement *call, nacre_scope *scope)
{
    const char *name = call->path ? evaluate_path(f, call->path) : call->targets->name;
    if (!name) return nacre_check(f->b->context);
    *scope = nacre_in(f->scope, name);
    nacre_graph_set_path(scope->graph, scope->path);
    return nacre_check(f->b->context) == NACRE_OK ? NACRE_OK : locate_failure(f, call->line);
}

/* Parameters are shared on purpose only. */
static nacre_status take_place(const frame *f, const nc_statement *call, const char *path)
{
    builder *b = f->b;
    const place *taken = b->places;
    while (taken && strcmp(taken->path, path) != 0) taken = taken->next;
    if (taken && !call->reuse)
        return FAIL(f, call->line,
                    "%s \"%s\": line %d has parameters at this path; assign to another name, give one with 'as', or "
                    "share them with 'reuse'",
                    call->callee, path, taken->line);
    if (!taken && call->reuse)
        return FAIL(f, call->line, "%s \"%s\": there are no parameters at this path to reuse", call->callee, path);
    if (taken) return NACRE_OK;
    place *fresh = nacre_pool_allocate(&b->pool, sizeof *fresh);
    if (!fresh) return NACRE_ERROR_MEMORY;
    *fresh = (place){nacre_pool_copy(&b->pool, path, strlen(path)), call->line, b->places};
    b->places = fresh;
    return fresh->path ? NACRE_OK : NACRE_ERROR_MEMORY;
}

/* ---- calls of layers and operations ----------------------------------------------------------------------------- */

/* What the two have in common. */
typedef struct callable {
    const char *name;
    const char *inputs; /* "x w ?b" */
    const nacre_attribute *attributes;
    const nacre_layer *layer; /* one of them */
    const nacre_op *op;
} callable;

/* A call with its arguments in place. */
typedef struct binding {
    const frame *f;
    const nc_statement *call;
    callable to;
    nacre_tensor **inputs;
    int input_count;
    int64_t words[NACRE_MAX_ATTRIBUTE_WORDS];
    bool given[NACRE_MAX_ATTRIBUTES];
} binding;

#define FAIL_CALL(b, format, ...) FAIL((b)->f, (b)->call->line, "%s: " format, (b)->to.name, __VA_ARGS__)

static int attribute_count(const callable *to)
{
    int count = 0;
    while (count < NACRE_MAX_ATTRIBUTES && to->attributes[count].type != NACRE_ATTRIBUTE_NONE) count++;
    return count;
}

static int64_t *words_of(binding *b, int attribute)
{
    return b->words + (b->to.op ? nacre_op_attribute_offset(b->to.op, attribute) : attribute);
}

static void set_defaults(binding *b)
{
    if (b->to.op) {
        nacre_op_attribute_defaults(b->to.op, b->words);
        return;
    }
    for (int i = 0; i < attribute_count(&b->to); i++) {
        double fallback = b->to.attributes[i].fallback;
        b->words[i] = b->to.attributes[i].type == NACRE_ATTRIBUTE_FLOAT ? nacre_word(fallback) : (int64_t)fallback;
    }
}

/* ---- operands ---- */

/* The operand of the schema at `index`: its name's length, "" past the end; ? and * are not part of it. */
static const char *operand_at(const callable *to, int index, int *length, bool *is_optional, bool *repeats)
{
    const char *at = to->inputs;
    for (; *at && index > 0; index--) {
        at += strcspn(at, " ");
        at += strspn(at, " ");
    }
    *is_optional = *at == '?';
    at += *is_optional;
    *length = (int)strcspn(at, " ");
    *repeats = *length > 0 && at[*length - 1] == '*';
    *length -= *repeats;
    return at;
}

static int find_operand(const callable *to, const char *name)
{
    int length;
    bool is_optional, repeats;
    for (int i = 0;; i++) {
        const char *operand = operand_at(to, i, &length, &is_optional, &repeats);
        if (length == 0) return -1;
        if ((size_t)length == strlen(name) && memcmp(operand, name, (size_t)length) == 0) return i;
    }
}

/* Whether the schema has an operand for a tensor at this place. */
static bool takes_operand(const callable *to, int index)
{
    int length;
    bool is_optional, repeats = false;
    for (int i = 0; i <= index; i++) {
        if (repeats) return true;
        operand_at(to, i, &length, &is_optional, &repeats);
        if (length == 0) return false;
    }
    return true;
}

static nacre_status set_operand(binding *b, int index, const nc_expr *expr, nacre_tensor *tensor)
{
    if (!takes_operand(&b->to, index))
        return FAIL_CALL(b, "takes the operands \"%s\", got one more tensor", b->to.inputs);
    if (b->inputs[index]) return FAIL(b->f, expr->line, "%s: operand %d is given twice", b->to.name, index + 1);
    b->inputs[index] = tensor;
    if (b->input_count <= index) b->input_count = index + 1;
    return NACRE_OK;
}

static nacre_status check_operands(const binding *b)
{
    int length;
    bool is_optional, repeats;
    for (int i = 0;; i++) {
        const char *name = operand_at(&b->to, i, &length, &is_optional, &repeats);
        if (length == 0) return NACRE_OK;
        if (!b->inputs[i] && !is_optional && !repeats) return FAIL_CALL(b, "operand '%.*s' is missing", length, name);
    }
}

/* ---- attributes ---- */

static const char *type_name(nacre_attribute_type type)
{
    switch (type) {
    case NACRE_ATTRIBUTE_INT: return "a whole number";
    case NACRE_ATTRIBUTE_FLOAT: return "a number";
    case NACRE_ATTRIBUTE_BOOL: return "true or false";
    case NACRE_ATTRIBUTE_INTS: return "a list of whole numbers";
    case NACRE_ATTRIBUTE_DTYPE: return "an element type such as f32";
    default: return "a choice";
    }
}

static nacre_status fail_attribute(const binding *b, const nacre_attribute *attribute, const nc_expr *expr,
                                   const value *v)
{
    bool is_choice = attribute->type == NACRE_ATTRIBUTE_ENUM;
    char number[32] = "";
    if (v->kind == VALUE_NUMBER) snprintf(number, sizeof number, "%g", v->number);
    return FAIL(b->f, expr->line, "%s: '%s' must be %s%s, got %s%.100s", b->to.name, attribute->name,
                is_choice ? "one of " : type_name(attribute->type), is_choice ? attribute->choices : "",
                *number || v->kind == VALUE_TEXT ? "" : kind_name(v->kind), v->kind == VALUE_TEXT ? v->text : number);
}

static nacre_status set_ints(binding *b, const nacre_attribute *attribute, const nc_expr *expr, int64_t *words)
{
    value v = {.kind = VALUE_LIST};
    if (expr->kind != NC_EXPR_LIST) {
        nacre_status status = evaluate(b->f, expr, &v);
        if (status != NACRE_OK) return status;
        if (v.kind == VALUE_NUMBER) { /* one number is a list of one */
            words[0] = 1;
            return evaluate_whole(b->f, expr, &words[1]);
        }
        if (v.kind != VALUE_LIST) return fail_attribute(b, attribute, expr, &v);
    }
    int length = v.length;
    if (expr->kind == NC_EXPR_LIST)
        for (const nc_expr *item = expr->first; item; item = item->next) length++;
    if (length > attribute->limit)
        return FAIL(b->f, expr->line, "%s: '%s' takes at most %d numbers, got %d", b->to.name, attribute->name,
                    attribute->limit, length);
    words[0] = length;
    const nc_expr *item = expr->kind == NC_EXPR_LIST ? expr->first : NULL;
    for (int i = 0; i < length; i++) {
        nacre_status status = NACRE_OK;
        if (item) {
            status = evaluate_whole(b->f, item, &words[1 + i]);
            item = item->next;
        } else if (floor(v.list[i]) != v.list[i] || !(fabs(v.list[i]) <= LARGEST_EXACT)) {
            status = fail_attribute(b, attribute, expr, &v);
        } else {
            words[1 + i] = (int64_t)v.list[i];
        }
        if (status != NACRE_OK) return status;
    }
    return NACRE_OK;
}

/* ENUM and DTYPE: the bare word, or a text. */
static nacre_status set_choice(binding *b, const nacre_attribute *attribute, const nc_expr *expr, int64_t *words)
{
    if (expr->kind == NC_EXPR_NAME && nacre_attribute_parse(attribute, expr->text, words)) return NACRE_OK;
    value v = {.kind = VALUE_TEXT, .text = expr->text};
    bool is_word = expr->kind == NC_EXPR_NAME && !find_variable(b->f, expr->text);
    nacre_status status = is_word ? NACRE_OK : evaluate(b->f, expr, &v);
    if (status != NACRE_OK) return status;
    if (v.kind == VALUE_TEXT && nacre_attribute_parse(attribute, v.text, words)) return NACRE_OK;
    return fail_attribute(b, attribute, expr, &v);
}

static nacre_status set_number(binding *b, const nacre_attribute *attribute, const nc_expr *expr, int64_t *words)
{
    value v;
    nacre_status status = evaluate(b->f, expr, &v);
    if (status != NACRE_OK) return status;
    bool fits = v.kind == VALUE_NUMBER;
    if (attribute->type == NACRE_ATTRIBUTE_BOOL) fits = fits && (v.number == 0 || v.number == 1);
    if (attribute->type == NACRE_ATTRIBUTE_INT) fits = fits && floor(v.number) == v.number;
    if (!fits) return fail_attribute(b, attribute, expr, &v);
    if (attribute->type == NACRE_ATTRIBUTE_INT) return evaluate_whole(b->f, expr, words);
    *words = attribute->type == NACRE_ATTRIBUTE_FLOAT ? nacre_word(v.number) : (int64_t)v.number;
    return NACRE_OK;
}

static nacre_status set_attribute(binding *b, int index, const nc_expr *expr)
{
    const nacre_attribute *attribute = &b->to.attributes[index];
    if (b->given[index]) return FAIL(b->f, expr->line, "%s: '%s' is given twice", b->to.name, attribute->name);
    b->given[index] = true;
    int64_t *words = words_of(b, index);
    switch (attribute->type) {
    case NACRE_ATTRIBUTE_INTS: return set_ints(b, attribute, expr, words);
    case NACRE_ATTRIBUTE_ENUM:
    case NACRE_ATTRIBUTE_DTYPE: return set_choice(b, attribute, expr, words);
    default: return set_number(b, attribute, expr, words);
    }
}

static nacre_status check_attributes(const binding *b)
{
    for (int i = 0; i < attribute_count(&b->to); i++)
        if (b->to.attributes[i].required && !b->given[i])
            return FAIL_CALL(b, "'%s' is missing (%s)", b->to.attributes[i].name,
                             b->to.attributes[i].doc ? b->to.attributes[i].doc : type_name(b->to.attributes[i].type));
    return NACRE_OK;
}

/* ---- binding ---- */

static nacre_status fail_unknown_argument(const binding *b, const nc_item *item)
{
    const char *names[NACRE_MAX_ATTRIBUTES + 1] = {NULL};
    nacre_buffer list = nacre_buffer_create(b->f->b->context);
    for (int i = 0; i < attribute_count(&b->to); i++) {
        names[i] = b->to.attributes[i].name;
        nacre_buffer_print(&list, "%s%s", i ? ", " : "", names[i]);
    }
    const char *nearest = nacre_nearest(item->name, names);
    nacre_status status =
        nearest
            ? FAIL_CALL(b, "there is no attribute '%.100s'; did you mean '%s'?", item->name, nearest)
            : FAIL_CALL(b, "there is no attribute '%.100s'; there are: %s", item->name, list.data ? list.data : "none");
    nacre_buffer_destroy(&list);
    return status;
}

static nacre_status bind_named(binding *b, const nc_item *item)
{
    int operand = find_operand(&b->to, item->name);
    if (operand >= 0) {
        value v;
        nacre_status status = evaluate(b->f, item->value, &v);
        if (status != NACRE_OK) return status;
        if (v.kind != VALUE_TENSOR)
            return FAIL_CALL(b, "operand '%s' must be a tensor, got %s", item->name, kind_name(v.kind));
        return set_operand(b, operand, item->value, v.tensor);
    }
    for (int i = 0; i < attribute_count(&b->to); i++)
        if (strcmp(b->to.attributes[i].name, item->name) == 0) return set_attribute(b, i, item->value);
    return fail_unknown_argument(b, item);
}

/* By position: a tensor is the next operand, anything else the next attribute. */
static nacre_status bind_next(binding *b, const nc_expr *expr, int *operand, int *attribute)
{
    value v = {.kind = VALUE_TEXT};
    bool is_choice =
        *attribute < attribute_count(&b->to) && (b->to.attributes[*attribute].type == NACRE_ATTRIBUTE_ENUM ||
                                                 b->to.attributes[*attribute].type == NACRE_ATTRIBUTE_DTYPE);
    bool is_word = expr->kind == NC_EXPR_NAME && is_choice && !find_variable(b->f, expr->text);
    nacre_status status = is_word ? NACRE_OK : evaluate(b->f, expr, &v);
    if (status != NACRE_OK) return status;
    if (v.kind == VALUE_TENSOR) return set_operand(b, (*operand)++, expr, v.tensor);
    if (*attribute >= attribute_count(&b->to))
        return FAIL_CALL(b, "takes %d attributes, got one more", attribute_count(&b->to));
    return set_attribute(b, (*attribute)++, expr);
}

static nacre_status bind(binding *b)
{
    int length = NACRE_MAX_LAYER_INPUTS + 16, operand = 0, attribute = 0; /* more than any schema names */
    for (const nc_item *item = b->call->items; item; item = item->next) length++;
    b->inputs = nacre_pool_allocate(&b->f->b->pool, (size_t)length * sizeof *b->inputs);
    if (!b->inputs) return NACRE_ERROR_MEMORY;
    set_defaults(b);
    nacre_status status = NACRE_OK;
    for (const nc_item *item = b->call->items; item && status == NACRE_OK; item = item->next)
        status = item->name ? bind_named(b, item) : bind_next(b, item->value, &operand, &attribute);
    if (status == NACRE_OK) status = check_operands(b);
    return status == NACRE_OK ? check_attributes(b) : status;
}

static nacre_status call_schema(frame *f, const nc_statement *call, callable to)
{
    binding b = {.f = f, .call = call, .to = to};
    nacre_scope scope;
    nacre_status status = bind(&b);
    if (status == NACRE_OK) status = enter(f, call, &scope);
    if (status == NACRE_OK && to.layer && to.layer->learns) status = take_place(f, call, scope.path);
    if (status != NACRE_OK) return status;
    if (to.op && (to.op->flags & NACRE_OP_LEAF) && strcmp(to.op->name, "full") != 0)
        return FAIL(f, call->line, "%s: write '%s NAME f32[...]' instead", to.name, to.name);

    nacre_tensor *first = to.layer ? to.layer->build(scope, b.inputs, b.words)
                                   : nacre_apply(scope.graph, to.op, b.inputs, b.input_count, b.words);
    if (!first) return locate_failure(f, call->line);
    int index = 0;
    for (const nc_item *target = call->targets; target && status == NACRE_OK; target = target->next) {
        nacre_tensor *tensor = nacre_tensor_sibling(first, index++);
        if (!tensor) return FAIL(f, call->line, "%s has no result %d", to.name, index);
        status = set_variable(f, target->name, (value){.kind = VALUE_TENSOR, .tensor = tensor});
    }
    return status;
}

/* ---- calls of blocks -------------------------------------------------------------------------------------------- */

static nacre_status execute(frame *f, const nc_statement *list);

static const nc_item *find_item(const nc_item *items, const char *name)
{
    while (items && strcmp(items->name, name) != 0) items = items->next;
    return items;
}

static nacre_status fail_unknown_parameter(const frame *f, int line, const nc_statement *definition, const char *name)
{
    int count = 0;
    for (const nc_item *item = definition->items; item; item = item->next) count++;
    const char **names = nacre_pool_allocate(&f->b->pool, (size_t)(count + 1) * sizeof *names);
    if (!names) return NACRE_ERROR_MEMORY;
    count = 0;
    for (const nc_item *item = definition->items; item; item = item->next) names[count++] = item->name;
    const char *nearest = nacre_nearest(name, names);
    return FAIL(f, line, "%s has no parameter '%.100s'%s%.100s%s", definition->name, name,
                nearest ? "; did you mean '" : "", nearest ? nearest : "", nearest ? "'?" : "");
}

/* Arguments, evaluated where the block is called, become variables of the block. */
static nacre_status pass_arguments(const frame *caller, const nc_statement *call, const nc_statement *block,
                                   frame *inner)
{
    const nc_item *next = block->items;
    for (const nc_item *item = call->items; item; item = item->next) {
        const nc_item *parameter = item->name ? find_item(block->items, item->name) : next;
        if (!parameter && item->name) return fail_unknown_parameter(caller, call->line, block, item->name);
        if (!parameter) return FAIL(caller, call->line, "%s: more arguments than parameters", block->name);
        if (!item->name) next = next->next;
        if (find_variable(inner, parameter->name))
            return FAIL(caller, call->line, "%s: '%s' is given twice", block->name, parameter->name);
        value v;
        nacre_status status = evaluate(caller, item->value, &v);
        if (status == NACRE_OK) status = set_variable(inner, parameter->name, v);
        if (status != NACRE_OK) return status;
    }
    return NACRE_OK;
}

/* Parameters that were not given take their defaults, which may speak of those before them. */
static nacre_status pass_defaults(frame *inner, const nc_statement *definition, int line)
{
    for (const nc_item *parameter = definition->items; parameter; parameter = parameter->next) {
        if (find_variable(inner, parameter->name)) continue;
        if (!parameter->value) return FAIL(inner, line, "%s: '%s' is missing", definition->name, parameter->name);
        value v;
        nacre_status status = evaluate(inner, parameter->value, &v);
        if (status == NACRE_OK) status = set_variable(inner, parameter->name, v);
        if (status != NACRE_OK) return status;
    }
    return NACRE_OK;
}

static nacre_status take_results(frame *f, const nc_statement *call, const frame *inner)
{
    int index = 0;
    for (const nc_item *target = call->targets; target; target = target->next, index++) {
        if (index == inner->result_count)
            return FAIL(f, call->line, "%s returns %d values, line %d asks for more", call->callee, inner->result_count,
                        call->line);
        nacre_status status = set_variable(f, target->name, inner->results[index]);
        if (status != NACRE_OK) return status;
    }
    return NACRE_OK;
}

static nacre_status call_block(frame *f, const nc_statement *call, const nc_statement *block)
{
    if (f->b->depth == DEPTH_LIMIT)
        return FAIL(f, call->line, "%s: blocks call each other more than %d deep", block->name, DEPTH_LIMIT);
    frame inner = {.b = f->b};
    f->b->depth++;
    nacre_status status = enter(f, call, &inner.scope);
    if (status == NACRE_OK) status = pass_arguments(f, call, block, &inner);
    if (status == NACRE_OK) status = pass_defaults(&inner, block, call->line);
    if (status == NACRE_OK) status = execute(&inner, block->body);
    if (status == NACRE_OK) status = take_results(f, call, &inner);
    nacre_release(f->b->context, inner.variables);
    f->b->depth--;
    return status;
}

/* ---- calls by name ---------------------------------------------------------------------------------------------- */

static const nc_statement *find_block(const nacre_text *text, const char *name)
{
    for (const nc_statement *statement = text->statements; statement; statement = statement->next)
        if (statement->kind == NC_BLOCK && strcmp(statement->name, name) == 0) return statement;
    return NULL;
}

static nacre_status fail_unknown_call(const frame *f, const nc_statement *call)
{
    int count = 0;
    for (const nc_statement *s = f->b->text->statements; s; s = s->next) count += s->kind == NC_BLOCK;
    for (int i = 0; nacre_layer_at(i); i++) count++;
    for (int i = 0; nacre_op_at(i); i++) count++;
    const char **names = nacre_pool_allocate(&f->b->pool, (size_t)(count + 1) * sizeof *names);
    if (!names) return NACRE_ERROR_MEMORY;
    count = 0;
    for (const nc_statement *s = f->b->text->statements; s; s = s->next)
        if (s->kind == NC_BLOCK) names[count++] = s->name;
    for (int i = 0; nacre_layer_at(i); i++) names[count++] = nacre_layer_at(i)->name;
    for (int i = 0; nacre_op_at(i); i++) names[count++] = nacre_op_at(i)->name;
    const char *nearest = nacre_nearest(call->callee, names);
    if (nearest)
        return FAIL(f, call->line, "unknown layer or operation '%.100s'; did you mean '%.100s'?", call->callee,
                    nearest);
    return FAIL(f, call->line, "unknown layer or operation '%.100s'", call->callee);
}

static nacre_status execute_call(frame *f, const nc_statement *call)
{
    const nc_statement *block = call->is_operation ? NULL : find_block(f->b->text, call->callee);
    if (block) return call_block(f, call, block);
    const nacre_layer *layer = call->is_operation ? NULL : nacre_layer_find(call->callee);
    if (layer) return call_schema(f, call, (callable){layer->name, layer->inputs, layer->attributes, .layer = layer});
    const nacre_op *op = nacre_op_find(call->callee);
    if (op) return call_schema(f, call, (callable){op->name, op->inputs, op->attributes, .op = op});
    return fail_unknown_call(f, call);
}

/* ---- declarations ----------------------------------------------------------------------------------------------- */

static nacre_status evaluate_shape(const frame *f, const nc_statement *declaration, nacre_shape *shape)
{
    *shape = NACRE_SCALAR;
    for (const nc_expr *dim = declaration->shape; dim; dim = dim->next) {
        if (shape->rank == NACRE_MAX_RANK)
            return FAIL(f, dim->line, "'%s' has more than %d dimensions", declaration->name, NACRE_MAX_RANK);
        int64_t *size = &shape->dims[shape->rank++];
        nacre_status status = evaluate_whole(f, dim, size);
        if (status != NACRE_OK) return status;
        if (*size < 0) return FAIL(f, dim->line, "'%s' has a negative dimension", declaration->name);
    }
    return nacre_shape_count(*shape) >= 0 ? NACRE_OK
                                          : FAIL(f, declaration->line, "'%s' is too large", declaration->name);
}

static nacre_status check_type(const frame *f, const nc_statement *declaration, nacre_shape shape, nacre_dtype dtype,
                               nacre_shape got_shape, nacre_dtype got_dtype)
{
    if (nacre_shape_equal(shape, got_shape) && dtype == got_dtype) return NACRE_OK;
    char expected[NACRE_SHAPE_TEXT_SIZE], got[NACRE_SHAPE_TEXT_SIZE];
    return FAIL(f, declaration->line, "'%s' is %s%s here, got %s%s", declaration->name, nacre_dtype_name(dtype),
                nacre_shape_text(shape, expected), nacre_dtype_name(got_dtype), nacre_shape_text(got_shape, got));
}

/* The next tensor that the caller gives, which also settles N. */
static nacre_status take_input(frame *f, const nc_statement *input, nacre_tensor **tensor)
{
    builder *b = f->b;
    if (b->inputs >= b->options->input_count)
        return FAIL(f, input->line, "input '%s' is not given; there are %d", input->name, b->options->input_count);
    *tensor = b->options->inputs[b->inputs];
    const nc_expr *first = input->shape;
    bool has_batch = first && first->kind == NC_EXPR_NAME && strcmp(first->text, "N") == 0;
    if (b->inputs == 0 && has_batch && nacre_tensor_rank(*tensor) > 0) b->batch = nacre_tensor_dim(*tensor, 0);
    nacre_shape shape;
    nacre_status status = evaluate_shape(f, input, &shape);
    if (status != NACRE_OK) return status;
    return check_type(f, input, shape, input->dtype, nacre_tensor_shape(*tensor), nacre_tensor_dtype(*tensor));
}

static nacre_status make_input(frame *f, const nc_statement *input, nacre_tensor **tensor)
{
    nacre_shape shape;
    nacre_status status = evaluate_shape(f, input, &shape);
    const char *name = status == NACRE_OK && input->path ? evaluate_path(f, input->path) : input->name;
    if (status != NACRE_OK || !name) return nacre_check(f->b->context);
    if (nacre_graph_input(f->scope.graph, name))
        return FAIL(f, input->line, "the graph has an input '%.100s' already", name);
    *tensor = nacre_input(f->scope.graph, name, input->dtype, shape);
    return *tensor ? NACRE_OK : locate_failure(f, input->line);
}

static nacre_status execute_input(frame *f, const nc_statement *input)
{
    if (!f->is_model) return FAIL(f, input->line, "inputs belong into the model; a block has parameters");
    nacre_tensor *tensor = NULL;
    nacre_status status = f->b->options->inputs ? take_input(f, input, &tensor) : make_input(f, input, &tensor);
    f->b->inputs++;
    return status == NACRE_OK ? set_variable(f, input->name, (value){.kind = VALUE_TENSOR, .tensor = tensor}) : status;
}

/* An entry of the model as it is, or a new one filled with zeros. */
static nacre_status execute_entry(frame *f, const nc_statement *entry)
{
    nacre_shape shape;
    nacre_status status = evaluate_shape(f, entry, &shape);
    const char *name = status == NACRE_OK && entry->path ? evaluate_path(f, entry->path) : entry->name;
    if (status != NACRE_OK || !name) return nacre_check(f->b->context);
    nacre_scope scope = nacre_in(f->scope, name);
    nacre_graph_set_path(f->scope.graph, f->scope.path);
    int slot = nacre_model_find(scope.model, scope.path);
    if (slot < 0) slot = nacre_model_add(scope.model, entry->role, scope.path, entry->dtype, shape);
    nacre_entry found;
    if (slot < 0 || nacre_check(f->b->context) || !nacre_model_entry(scope.model, slot, &found))
        return locate_failure(f, entry->line);
    status = check_type(f, entry, shape, entry->dtype, found.shape, found.dtype);
    if (status != NACRE_OK) return status;
    nacre_tensor *tensor = nacre_model_tensor(scope.graph, scope.model, slot);
    if (!tensor) return locate_failure(f, entry->line);
    return set_variable(f, entry->name, (value){.kind = VALUE_TENSOR, .tensor = tensor});
}

static nacre_status store_literal(const frame *f, const nc_expr *literal, nacre_dtype dtype, void *data, int64_t index)
{
    if (dtype != NACRE_I64) {
        nacre_dtype_store(dtype, data, index, literal->number);
        return NACRE_OK;
    }
    return evaluate_whole(f, literal, (int64_t *)data + index);
}

static nacre_status execute_constant(frame *f, const nc_statement *constant)
{
    nacre_shape shape;
    nacre_status status = evaluate_shape(f, constant, &shape);
    if (status != NACRE_OK) return status;
    int64_t count = 0;
    for (const nc_expr *item = constant->value->first; item; item = item->next) count++;
    if (count != nacre_shape_count(shape)) {
        char text[NACRE_SHAPE_TEXT_SIZE];
        return FAIL(f, constant->line, "'%s' is %s, got %lld values", constant->name, nacre_shape_text(shape, text),
                    (long long)count);
    }
    void *data = nacre_allocate_aligned(f->b->context, (size_t)count * nacre_dtype_size(constant->dtype));
    if (!data) return NACRE_ERROR_MEMORY;
    int64_t index = 0;
    for (const nc_expr *item = constant->value->first; item && status == NACRE_OK; item = item->next)
        status = store_literal(f, item, constant->dtype, data, index++);
    nacre_tensor *tensor = status == NACRE_OK ? nacre_constant(f->scope.graph, constant->dtype, shape, data) : NULL;
    nacre_release_aligned(f->b->context, data);
    if (status != NACRE_OK) return status;
    if (!tensor) return locate_failure(f, constant->line);
    return set_variable(f, constant->name, (value){.kind = VALUE_TENSOR, .tensor = tensor});
}

/* ---- statements ------------------------------------------------------------------------------------------------- */

static nacre_status execute_let(frame *f, const nc_statement *let)
{
    value v;
    nacre_status status = evaluate(f, let->value, &v);
    return status == NACRE_OK ? set_variable(f, let->targets->name, v) : status;
}

static nacre_status execute_repeat(frame *f, const nc_statement *repeat)
{
    int64_t first, last;
    nacre_status status = evaluate_whole(f, repeat->value, &first);
    if (status == NACRE_OK) status = evaluate_whole(f, repeat->last, &last);
    if (status != NACRE_OK) return status;
    for (int64_t i = first; i <= last && !f->returned; i++) {
        if (i == INT64_MAX) return FAIL(f, repeat->line, "the counter is too large");
        if (++f->b->steps > STEP_LIMIT) return FAIL(f, repeat->line, "more than %d steps", STEP_LIMIT);
        status = set_variable(f, repeat->name, (value){.number = (double)i});
        if (status == NACRE_OK) status = execute(f, repeat->body);
        if (status != NACRE_OK) return status;
    }
    return NACRE_OK;
}

static nacre_status execute_if(frame *f, const nc_statement *statement)
{
    double condition;
    nacre_status status = evaluate_number(f, statement->value, &condition);
    return status == NACRE_OK ? execute(f, condition != 0 ? statement->body : statement->otherwise) : status;
}

static nacre_status execute_return(frame *f, const nc_statement *statement)
{
    for (const nc_expr *expr = statement->value; expr; expr = expr->next) {
        if (f->result_count == RESULT_LIMIT) return FAIL(f, expr->line, "more than %d results", RESULT_LIMIT);
        value *result = &f->results[f->result_count++];
        nacre_status status = evaluate(f, expr, result);
        if (status != NACRE_OK) return status;
        if (f->is_model && result->kind != VALUE_TENSOR)
            return FAIL(f, expr->line, "a model returns tensors, got %s", kind_name(result->kind));
    }
    f->returned = true;
    return NACRE_OK;
}

static nacre_status execute_statement(frame *f, const nc_statement *statement)
{
    switch (statement->kind) {
    case NC_INPUT: return execute_input(f, statement);
    case NC_ENTRY: return execute_entry(f, statement);
    case NC_CONSTANT: return execute_constant(f, statement);
    case NC_LET: return execute_let(f, statement);
    case NC_CALL: return execute_call(f, statement);
    case NC_REPEAT: return execute_repeat(f, statement);
    case NC_IF: return execute_if(f, statement);
    case NC_RETURN: return execute_return(f, statement);
    default: return NACRE_OK; /* blank lines and comments */
    }
}

static nacre_status execute(frame *f, const nc_statement *list)
{
    nacre_status status = NACRE_OK;
    for (const nc_statement *statement = list; statement && status == NACRE_OK && !f->returned;
         statement = statement->next) {
        if (++f->b->steps > STEP_LIMIT) return FAIL(f, statement->line, "more than %d steps", STEP_LIMIT);
        status = execute_statement(f, statement);
    }
    return status;
}

/* ---- models ----------------------------------------------------------------------------------------------------- */

static nacre_status pass_settings(frame *f, const nc_statement *model, const nacre_setting *settings)
{
    for (; settings && settings->name; settings++) {
        if (!find_item(model->items, settings->name))
            return fail_unknown_parameter(f, model->line, model, settings->name);
        value v = {.kind = settings->is_number ? VALUE_NUMBER : VALUE_TEXT,
                   .number = settings->number,
                   .text = settings->text};
        nacre_status status = set_variable(f, settings->name, v);
        if (status != NACRE_OK) return status;
    }
    return NACRE_OK;
}

static nacre_status execute_model(frame *f, const nc_statement *model)
{
    nacre_status status = pass_settings(f, model, f->b->options->parameters);
    if (status == NACRE_OK) status = pass_defaults(f, model, model->line);
    if (status == NACRE_OK) status = execute(f, model->body);
    if (status != NACRE_OK) return status;
    if (f->b->options->inputs && f->b->inputs < f->b->options->input_count)
        return FAIL(f, model->line, "%s has %d inputs, got %d", model->name, f->b->inputs, f->b->options->input_count);
    return f->result_count ? NACRE_OK : FAIL(f, model->line, "%s returns nothing", model->name);
}

nacre_tensor *nacre_text_build(const nacre_text *text, nacre_scope scope, const nacre_text_options *options)
{
    static const nacre_text_options defaults;
    nacre_context *context = nacre_graph_context(scope.graph);
    if (!text || !scope.graph || !scope.model || nacre_check(context)) return NULL;
    if (!options) options = &defaults;
    builder b = {.text = text, .options = options, .context = context, .pool = {.context = context}};
    b.batch = options->batch > 0 ? options->batch : 1;
    frame f = {.b = &b, .scope = scope, .is_model = true};
    nacre_status status = execute_model(&f, text->model);
    nacre_graph_set_path(scope.graph, scope.path);
    for (int i = 0; i < options->output_limit; i++)
        options->outputs[i] = status == NACRE_OK && i < f.result_count ? f.results[i].tensor : NULL;
    nacre_release(context, f.variables);
    nacre_pool_destroy(&b.pool);
    return status == NACRE_OK ? f.results[0].tensor : NULL;
}

/* formats/text_call.c - calls of layers and operations: arguments by schema, paths, results. */
#include "formats/text_build.h"

#include <stdio.h>
#include <string.h>

/* ---- paths ---- */

nacre_status nc_enter(const nc_frame *f, const nc_statement *call, nacre_scope *scope)
{
    const char *name = call->path ? nc_evaluate_path(f, call->path) : call->targets->name;
    if (!name) return nacre_check(f->b->context);
    *scope = nacre_in(f->scope, name);
    nacre_graph_set_path(scope->graph, scope->path);
    return nacre_check(f->b->context) == NACRE_OK ? NACRE_OK : nc_locate_failure(f, call->line);
}

/* Parameters are shared on purpose only. */
static nacre_status take_place(const nc_frame *f, const nc_statement *call, const char *path)
{
    nc_builder *b = f->b;
    const nc_place *taken = b->places;
    while (taken && strcmp(taken->path, path) != 0) taken = taken->next;
    if (taken && !call->reuse)
        return NC_FAIL(f, call->line,
                       "%s \"%s\": line %d has parameters at this path; assign to another name, give one with 'as', or "
                       "share them with 'reuse'",
                       call->callee, path, taken->line);
    if (!taken && call->reuse)
        return NC_FAIL(f, call->line, "%s \"%s\": there are no parameters at this path to reuse", call->callee, path);
    if (taken) return NACRE_OK;
    nc_place *fresh = nacre_pool_allocate(&b->pool, sizeof *fresh);
    if (!fresh) return NACRE_ERROR_MEMORY;
    *fresh = (nc_place){nacre_pool_copy(&b->pool, path, strlen(path)), call->line, b->places};
    b->places = fresh;
    return fresh->path ? NACRE_OK : NACRE_ERROR_MEMORY;
}

/* ---- schemas ---- */

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
    const nc_frame *f;
    const nc_statement *call;
    callable to;
    nacre_tensor **inputs;
    int input_count;
    int64_t words[NACRE_MAX_ATTRIBUTE_WORDS];
    bool given[NACRE_MAX_ATTRIBUTES];
} binding;

#define FAIL_CALL(b, format, ...) NC_FAIL((b)->f, (b)->call->line, "%s: " format, (b)->to.name, __VA_ARGS__)

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
    if (b->inputs[index]) return NC_FAIL(b->f, expr->line, "%s: operand %d is given twice", b->to.name, index + 1);
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
                                   const nc_value *v)
{
    bool is_choice = attribute->type == NACRE_ATTRIBUTE_ENUM;
    char number[32] = "";
    if (v->kind == NC_VALUE_NUMBER) snprintf(number, sizeof number, "%g", v->number);
    return NC_FAIL(b->f, expr->line, "%s: '%s' must be %s%s, got %s%.100s", b->to.name, attribute->name,
                   is_choice ? "one of " : type_name(attribute->type), is_choice ? attribute->choices : "",
                   *number || v->kind == NC_VALUE_TEXT ? "" : nc_value_kind_name(v->kind),
                   v->kind == NC_VALUE_TEXT ? v->text : number);
}

static nacre_status check_length(const binding *b, const nacre_attribute *attribute, const nc_expr *expr, int length)
{
    if (length <= attribute->limit) return NACRE_OK;
    return NC_FAIL(b->f, expr->line, "%s: '%s' takes at most %d numbers, got %d", b->to.name, attribute->name,
                   attribute->limit, length);
}

/* A list that stands here: its literals may use all 64 bits. */
static nacre_status set_literal_ints(binding *b, const nacre_attribute *attribute, const nc_expr *expr, int64_t *words)
{
    int length = 0;
    for (const nc_expr *item = expr->first; item; item = item->next) length++;
    nacre_status status = check_length(b, attribute, expr, length);
    words[0] = status == NACRE_OK ? length : 0;
    for (const nc_expr *item = expr->first; item && status == NACRE_OK; item = item->next)
        status = nc_evaluate_whole(b->f, item, ++words);
    return status;
}

/* A list under a name; one number is a list of one. */
static nacre_status set_ints(binding *b, const nacre_attribute *attribute, const nc_expr *expr, int64_t *words)
{
    if (expr->kind == NC_EXPR_LIST) return set_literal_ints(b, attribute, expr, words);
    nc_value v;
    nacre_status status = nc_evaluate(b->f, expr, &v);
    if (status != NACRE_OK) return status;
    if (v.kind == NC_VALUE_NUMBER) {
        words[0] = 1;
        return nc_evaluate_whole(b->f, expr, &words[1]);
    }
    if (v.kind != NC_VALUE_LIST) return fail_attribute(b, attribute, expr, &v);
    status = check_length(b, attribute, expr, v.length);
    words[0] = status == NACRE_OK ? v.length : 0;
    for (int i = 0; i < v.length && status == NACRE_OK; i++) {
        if (nc_is_whole(v.list[i]))
            words[1 + i] = (int64_t)v.list[i];
        else
            status = fail_attribute(b, attribute, expr, &v);
    }
    return status;
}

/* ENUM and DTYPE: the bare word, or a text. */
static nacre_status set_choice(binding *b, const nacre_attribute *attribute, const nc_expr *expr, int64_t *words)
{
    if (expr->kind == NC_EXPR_NAME && nacre_attribute_parse(attribute, expr->text, words)) return NACRE_OK;
    nc_value v = {.kind = NC_VALUE_TEXT, .text = expr->text};
    bool is_word = expr->kind == NC_EXPR_NAME && !nc_find_variable(b->f, expr->text);
    nacre_status status = is_word ? NACRE_OK : nc_evaluate(b->f, expr, &v);
    if (status != NACRE_OK) return status;
    if (v.kind == NC_VALUE_TEXT && nacre_attribute_parse(attribute, v.text, words)) return NACRE_OK;
    return fail_attribute(b, attribute, expr, &v);
}

static nacre_status set_number(binding *b, const nacre_attribute *attribute, const nc_expr *expr, int64_t *words)
{
    nc_value v;
    nacre_status status = nc_evaluate(b->f, expr, &v);
    if (status != NACRE_OK) return status;
    bool fits = v.kind == NC_VALUE_NUMBER;
    if (attribute->type == NACRE_ATTRIBUTE_BOOL) fits = fits && (v.number == 0 || v.number == 1);
    if (attribute->type == NACRE_ATTRIBUTE_INT) fits = fits && nc_is_whole(v.number);
    if (!fits) return fail_attribute(b, attribute, expr, &v);
    if (attribute->type == NACRE_ATTRIBUTE_INT) return nc_evaluate_whole(b->f, expr, words);
    *words = attribute->type == NACRE_ATTRIBUTE_FLOAT ? nacre_word(v.number) : (int64_t)v.number;
    return NACRE_OK;
}

static nacre_status set_attribute(binding *b, int index, const nc_expr *expr)
{
    const nacre_attribute *attribute = &b->to.attributes[index];
    if (b->given[index]) return NC_FAIL(b->f, expr->line, "%s: '%s' is given twice", b->to.name, attribute->name);
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
        nc_value v;
        nacre_status status = nc_evaluate(b->f, item->value, &v);
        if (status != NACRE_OK) return status;
        if (v.kind != NC_VALUE_TENSOR)
            return FAIL_CALL(b, "operand '%s' must be a tensor, got %s", item->name, nc_value_kind_name(v.kind));
        return set_operand(b, operand, item->value, v.tensor);
    }
    for (int i = 0; i < attribute_count(&b->to); i++)
        if (strcmp(b->to.attributes[i].name, item->name) == 0) return set_attribute(b, i, item->value);
    return fail_unknown_argument(b, item);
}

/* By position: a tensor is the next operand, anything else the next attribute. */
static nacre_status bind_next(binding *b, const nc_expr *expr, int *operand, int *attribute)
{
    nc_value v = {.kind = NC_VALUE_TEXT};
    bool is_choice =
        *attribute < attribute_count(&b->to) && (b->to.attributes[*attribute].type == NACRE_ATTRIBUTE_ENUM ||
                                                 b->to.attributes[*attribute].type == NACRE_ATTRIBUTE_DTYPE);
    bool is_word = expr->kind == NC_EXPR_NAME && is_choice && !nc_find_variable(b->f, expr->text);
    nacre_status status = is_word ? NACRE_OK : nc_evaluate(b->f, expr, &v);
    if (status != NACRE_OK) return status;
    if (v.kind == NC_VALUE_TENSOR) return set_operand(b, (*operand)++, expr, v.tensor);
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

static nacre_status call_schema(nc_frame *f, const nc_statement *call, callable to)
{
    binding b = {.f = f, .call = call, .to = to};
    nacre_scope scope;
    nacre_status status = bind(&b);
    if (status == NACRE_OK) status = nc_enter(f, call, &scope);
    if (status == NACRE_OK && to.layer && to.layer->learns) status = take_place(f, call, scope.path);
    if (status != NACRE_OK) return status;
    if (to.op && (to.op->flags & NACRE_OP_LEAF) && strcmp(to.op->name, "full") != 0)
        return NC_FAIL(f, call->line, "%s: write '%s NAME f32[...]' instead", to.name, to.name);

    nacre_tensor *first = to.layer ? to.layer->build(scope, b.inputs, b.words)
                                   : nacre_apply(scope.graph, to.op, b.inputs, b.input_count, b.words);
    if (!first) return nc_locate_failure(f, call->line);
    status = nc_set_variable(f, call->targets->name, (nc_value){.kind = NC_VALUE_TENSOR, .tensor = first});
    int index = 1;
    for (const nc_item *target = call->targets->next; target && status == NACRE_OK; target = target->next, index++) {
        nacre_tensor *tensor = nacre_tensor_sibling(first, index);
        if (!tensor) return NC_FAIL(f, call->line, "%s has no result %d", to.name, index + 1);
        status = nc_set_variable(f, target->name, (nc_value){.kind = NC_VALUE_TENSOR, .tensor = tensor});
    }
    return status;
}

nacre_status nc_call_layer(nc_frame *f, const nc_statement *call, const nacre_layer *layer)
{
    return call_schema(f, call, (callable){layer->name, layer->inputs, layer->attributes, .layer = layer});
}

nacre_status nc_call_operation(nc_frame *f, const nc_statement *call, const nacre_op *op)
{
    return call_schema(f, call, (callable){op->name, op->inputs, op->attributes, .op = op});
}

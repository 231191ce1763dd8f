/* formats/text_value.c - variables and expressions of a model text. */
#include "formats/text_build.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#define LARGEST_EXACT 0x1p53

nacre_status nc_locate_failure(const nc_frame *f, int line)
{
    nacre_context *context = f->b->context;
    char message[1024];
    nacre_status status = nacre_check(context);
    snprintf(message, sizeof message, "%s", nacre_message(context));
    nacre_clear(context);
    return nacre_fail(context, status, "%s:%d: %s", f->b->text->origin, line, message);
}

const char *nc_value_kind_name(nc_value_kind kind)
{
    static const char *const names[] = {"a number", "a text", "a list", "a tensor"};
    return names[kind];
}

/* ---- variables ---- */

const nc_value *nc_find_variable(const nc_frame *f, const char *name)
{
    for (int i = f->count - 1; i >= 0; i--)
        if (strcmp(f->variables[i].name, name) == 0) return &f->variables[i].value;
    return NULL;
}

nacre_status nc_set_variable(nc_frame *f, const char *name, nc_value v)
{
    for (int i = f->count - 1; i >= 0; i--) {
        if (strcmp(f->variables[i].name, name) != 0) continue;
        f->variables[i].value = v;
        return NACRE_OK;
    }
    if (f->count == f->capacity) {
        int capacity = f->capacity ? 2 * f->capacity : 16;
        nc_variable *grown = nacre_resize(f->b->context, f->variables, (size_t)capacity * sizeof *grown);
        if (!grown) return NACRE_ERROR_MEMORY;
        f->variables = grown;
        f->capacity = capacity;
    }
    f->variables[f->count++] = (nc_variable){name, v};
    return NACRE_OK;
}

static nacre_status fail_unknown_name(const nc_frame *f, int line, const char *name)
{
    const char **names = nacre_pool_allocate(&f->b->pool, (size_t)(f->count + 1) * sizeof *names);
    if (!names) return NACRE_ERROR_MEMORY;
    for (int i = 0; i < f->count; i++) names[i] = f->variables[i].name;
    const char *nearest = nacre_nearest(name, names);
    if (nearest) return NC_FAIL(f, line, "there is no '%.100s' here; did you mean '%.100s'?", name, nearest);
    return NC_FAIL(f, line, "there is no '%.100s' here", name);
}

/* ---- expressions ---- */

nacre_status nc_evaluate_number(const nc_frame *f, const nc_expr *expr, double *number)
{
    nc_value v;
    nacre_status status = nc_evaluate(f, expr, &v);
    if (status != NACRE_OK) return status;
    if (v.kind != NC_VALUE_NUMBER)
        return NC_FAIL(f, expr->line, "expected a number, got %s", nc_value_kind_name(v.kind));
    *number = v.number;
    return NACRE_OK;
}

bool nc_is_whole(double number)
{
    return fabs(number) <= LARGEST_EXACT && floor(number) == number;
}

nacre_status nc_evaluate_whole(const nc_frame *f, const nc_expr *expr, int64_t *whole)
{
    static const nacre_attribute integer = {.type = NACRE_ATTRIBUTE_INT};
    char literal[32];
    const nc_expr *inner = expr->kind == NC_EXPR_UNARY ? expr->first : expr;
    if (inner->kind == NC_EXPR_NUMBER && strlen(inner->text) < sizeof literal - 2) {
        snprintf(literal, sizeof literal, "%s%s", inner == expr ? "" : expr->text, inner->text);
        if (nacre_attribute_parse(&integer, literal, whole)) return NACRE_OK;
    }
    double number;
    nacre_status status = nc_evaluate_number(f, expr, &number);
    if (status != NACRE_OK) return status;
    if (!nc_is_whole(number)) return NC_FAIL(f, expr->line, "expected a whole number, got %g", number);
    *whole = (int64_t)number;
    return NACRE_OK;
}

static nacre_status evaluate_name(const nc_frame *f, const nc_expr *expr, nc_value *result)
{
    const nc_value *found = nc_find_variable(f, expr->text);
    if (found)
        *result = *found;
    else if (strcmp(expr->text, "N") == 0)
        *result = (nc_value){.number = (double)f->b->batch};
    else if (strcmp(expr->text, "T") == 0)
        *result = (nc_value){.number = (double)f->b->length};
    else
        return fail_unknown_name(f, expr->line, expr->text);
    return NACRE_OK;
}

static nacre_status evaluate_unary(const nc_frame *f, const nc_expr *expr, nc_value *result)
{
    double number;
    nacre_status status = nc_evaluate_number(f, expr->first, &number);
    *result = (nc_value){.number = expr->text[0] == '-' ? -number : number == 0};
    return status;
}

static bool compare(const char *sign, double a, double b)
{
    if (sign[0] == '=') return a == b;
    if (sign[0] == '!') return a != b;
    if (sign[1] == '=' && a == b) return true;
    return sign[0] == '<' ? a < b : a > b;
}

static double calculate(const char *sign, double a, double b)
{
    switch (sign[0]) {
    case '+': return a + b;
    case '-': return a - b;
    case '*': return a * b;
    case '/': return sign[1] ? floor(a / b) : a / b;
    case '%': return a - b * floor(a / b);
    case '^': return pow(a, b);
    default: return compare(sign, a, b);
    }
}

static nacre_status evaluate_binary(const nc_frame *f, const nc_expr *expr, nc_value *result)
{
    nc_value a, b;
    nacre_status status = nc_evaluate(f, expr->first, &a);
    if (status != NACRE_OK) return status;
    bool is_logic = expr->text[0] == 'a' || expr->text[0] == 'o';
    if (is_logic && a.kind == NC_VALUE_NUMBER && (a.number != 0) == (expr->text[0] == 'o')) { /* settled */
        *result = (nc_value){.number = a.number != 0};
        return NACRE_OK;
    }
    if ((status = nc_evaluate(f, expr->second, &b)) != NACRE_OK) return status;
    bool is_equality = strcmp(expr->text, "==") == 0 || strcmp(expr->text, "!=") == 0;
    if (is_equality && a.kind == NC_VALUE_TEXT && b.kind == NC_VALUE_TEXT) {
        *result = (nc_value){.number = (strcmp(a.text, b.text) == 0) == (expr->text[0] == '=')};
        return NACRE_OK;
    }
    if (a.kind != NC_VALUE_NUMBER || b.kind != NC_VALUE_NUMBER)
        return NC_FAIL(f, expr->line, "'%s' takes two numbers, got %s and %s", expr->text, nc_value_kind_name(a.kind),
                       nc_value_kind_name(b.kind));
    *result = (nc_value){.number = is_logic ? b.number != 0 : calculate(expr->text, a.number, b.number)};
    return NACRE_OK;
}

static nacre_status evaluate_list(const nc_frame *f, const nc_expr *expr, nc_value *result)
{
    int length = 0;
    for (const nc_expr *item = expr->first; item; item = item->next) length++;
    double *list = nacre_pool_allocate(&f->b->pool, (size_t)length * sizeof *list);
    if (!list) return NACRE_ERROR_MEMORY;
    *result = (nc_value){.kind = NC_VALUE_LIST, .list = list, .length = length};
    for (const nc_expr *item = expr->first; item; item = item->next) {
        nacre_status status = nc_evaluate_number(f, item, list++);
        if (status != NACRE_OK) return status;
    }
    return NACRE_OK;
}

static nacre_status evaluate_dimension(const nc_frame *f, const nc_expr *expr, nc_value *result)
{
    nc_value v;
    int64_t axis = 0;
    nacre_status status = nc_evaluate(f, expr->first, &v);
    if (status == NACRE_OK && v.kind != NC_VALUE_TENSOR)
        status = NC_FAIL(f, expr->line, "dim takes a tensor, got %s", nc_value_kind_name(v.kind));
    if (status == NACRE_OK) status = nc_evaluate_whole(f, expr->second, &axis);
    if (status != NACRE_OK) return status;
    int rank = nacre_tensor_rank(v.tensor);
    if (axis < -rank || axis >= rank)
        return NC_FAIL(f, expr->line, "dim: there is no axis %lld in a tensor with %d", (long long)axis, rank);
    *result = (nc_value){.number = (double)nacre_tensor_dim(v.tensor, (int)axis)};
    return NACRE_OK;
}

nacre_status nc_evaluate(const nc_frame *f, const nc_expr *expr, nc_value *result)
{
    double condition;
    nacre_status status;
    switch (expr->kind) {
    case NC_EXPR_NUMBER: *result = (nc_value){.number = expr->number}; return NACRE_OK;
    case NC_EXPR_TEXT: *result = (nc_value){.kind = NC_VALUE_TEXT, .text = expr->text}; return NACRE_OK;
    case NC_EXPR_LIST: return evaluate_list(f, expr, result);
    case NC_EXPR_NAME: return evaluate_name(f, expr, result);
    case NC_EXPR_UNARY: return evaluate_unary(f, expr, result);
    case NC_EXPR_BINARY: return evaluate_binary(f, expr, result);
    case NC_EXPR_GROUP: return nc_evaluate(f, expr->first, result);
    case NC_EXPR_DIMENSION: return evaluate_dimension(f, expr, result);
    case NC_EXPR_REST: break; /* of shapes only */
    case NC_EXPR_CHOICE:
        status = nc_evaluate_number(f, expr->first, &condition);
        return status == NACRE_OK ? nc_evaluate(f, condition != 0 ? expr->second : expr->third, result) : status;
    }
    return NACRE_ERROR_STATE;
}

/* ---- paths ---- */

const char *nc_evaluate_path(const nc_frame *f, const nc_expr *path)
{
    nacre_buffer text = nacre_buffer_create(f->b->context);
    for (const nc_expr *part = path; part; part = part->next) {
        nc_value v;
        if (nc_evaluate(f, part, &v) != NACRE_OK) break;
        if (v.kind == NC_VALUE_TEXT)
            nacre_buffer_print(&text, "%s", v.text);
        else if (v.kind == NC_VALUE_NUMBER)
            nacre_buffer_number(&text, v.number);
        else
            NC_FAIL(f, part->line, "a path is made of numbers and texts, got %s", nc_value_kind_name(v.kind));
    }
    bool done = nacre_check(f->b->context) == NACRE_OK && !text.failed;
    const char *result = done ? nacre_pool_copy(&f->b->pool, text.data ? text.data : "", text.size) : NULL;
    nacre_buffer_destroy(&text);
    return result;
}

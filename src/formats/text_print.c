/* formats/text_print.c - a model text in its one usual form. */
#include "formats/text.h"

#include <string.h>

enum { INDENT = 2 };

typedef struct printer {
    nacre_buffer *out;
    int depth;
    const nacre_setting *parameters; /* new defaults of the model's */
} printer;

static void put(printer *p, const char *text)
{
    nacre_buffer_put(p->out, text, strlen(text));
}

/* ---- expressions ---- */

static void print_expr(printer *p, const nc_expr *expr);

static void print_list(printer *p, const nc_expr *list)
{
    for (const nc_expr *expr = list; expr; expr = expr->next) {
        if (expr != list) put(p, ", ");
        print_expr(p, expr);
    }
}

static void print_expr(printer *p, const nc_expr *expr)
{
    switch (expr->kind) {
    case NC_EXPR_NUMBER:
    case NC_EXPR_REST:
    case NC_EXPR_NAME: put(p, expr->text); break;
    case NC_EXPR_TEXT: nacre_buffer_print(p->out, "\"%s\"", expr->text); break;
    case NC_EXPR_LIST:
        put(p, "[");
        print_list(p, expr->first);
        put(p, "]");
        break;
    case NC_EXPR_UNARY:
        put(p, expr->text);
        if (expr->text[0] != '-') put(p, " ");
        print_expr(p, expr->first);
        break;
    case NC_EXPR_BINARY:
        print_expr(p, expr->first);
        nacre_buffer_print(p->out, " %s ", expr->text);
        print_expr(p, expr->second);
        break;
    case NC_EXPR_CHOICE:
        print_expr(p, expr->first);
        put(p, " ? ");
        print_expr(p, expr->second);
        put(p, " : ");
        print_expr(p, expr->third);
        break;
    case NC_EXPR_GROUP:
        put(p, "(");
        print_expr(p, expr->first);
        put(p, ")");
        break;
    case NC_EXPR_DIMENSION:
        put(p, "dim(");
        print_expr(p, expr->first);
        put(p, ", ");
        print_expr(p, expr->second);
        put(p, ")");
        break;
    }
}

/* ---- statements ---- */

static const nacre_setting *find_setting(const nacre_setting *settings, const char *name)
{
    for (; settings && settings->name; settings++)
        if (strcmp(settings->name, name) == 0) return settings;
    return NULL;
}

static void print_setting(printer *p, const nacre_setting *setting)
{
    double number;
    if (setting->is_number)
        nacre_buffer_number(p->out, setting->number);
    else if (nc_is_number_word(setting->text, &number))
        put(p, setting->text);
    else
        nacre_buffer_print(p->out, "\"%s\"", setting->text);
}

/* Parameters (x, stride=1) or arguments, which may lack a name. */
static void print_items(printer *p, const nc_item *items, const nacre_setting *settings)
{
    put(p, "(");
    for (const nc_item *item = items; item; item = item->next) {
        const nacre_setting *setting = item->name ? find_setting(settings, item->name) : NULL;
        if (item != items) put(p, ", ");
        if (item->name) put(p, item->name);
        if (item->name && (item->value || setting)) put(p, "=");
        if (setting)
            print_setting(p, setting);
        else if (item->value)
            print_expr(p, item->value);
    }
    put(p, ")");
}

static void print_path(printer *p, const char *word, const nc_expr *path)
{
    nacre_buffer_print(p->out, " %s ", word);
    if (path->kind == NC_EXPR_TEXT && !path->next && !nc_is_path(path->text)) {
        print_expr(p, path);
        return;
    }
    for (; path; path = path->next) {
        if (path->kind == NC_EXPR_TEXT) {
            put(p, path->text);
            continue;
        }
        put(p, "{");
        print_expr(p, path);
        put(p, "}");
    }
}

void nc_text_print_type(const nc_statement *declaration, nacre_buffer *buffer)
{
    printer p = {.out = buffer};
    nacre_buffer_print(buffer, "%s[", nacre_dtype_name(declaration->dtype));
    print_list(&p, declaration->shape);
    put(&p, "]");
}

static void print_declaration(printer *p, const char *word, const nc_statement *statement)
{
    nacre_buffer_print(p->out, "%s %s ", word, statement->name);
    nc_text_print_type(statement, p->out);
}

static void print_call(printer *p, const nc_statement *statement)
{
    for (const nc_item *target = statement->targets; target; target = target->next)
        nacre_buffer_print(p->out, "%s%s", target == statement->targets ? "" : ", ", target->name);
    nacre_buffer_print(p->out, " = %s%s", statement->is_operation ? "op." : "", statement->callee);
    print_items(p, statement->items, NULL);
    if (statement->path) print_path(p, statement->reuse ? "reuse" : "as", statement->path);
}

static void print_head(printer *p, const nc_statement *statement)
{
    static const char *const roles[NACRE_ENTRY_ROLES] = {
        [NACRE_ENTRY_PARAMETER] = "parameter", [NACRE_ENTRY_BUFFER] = "buffer", [NACRE_ENTRY_STATE] = "state"};
    switch (statement->kind) {
    case NC_BLANK: break;
    case NC_COMMENT: put(p, statement->name); break;
    case NC_BLOCK:
        nacre_buffer_print(p->out, "block %s", statement->name);
        print_items(p, statement->items, NULL);
        break;
    case NC_MODEL:
        nacre_buffer_print(p->out, "model %s", statement->name);
        if (statement->items) print_items(p, statement->items, p->parameters);
        break;
    case NC_INPUT:
        print_declaration(p, "input", statement);
        if (statement->path) print_path(p, "as", statement->path);
        break;
    case NC_ENTRY:
        print_declaration(p, roles[statement->role], statement);
        if (statement->path) print_path(p, "as", statement->path);
        break;
    case NC_CONSTANT:
        print_declaration(p, "constant", statement);
        put(p, " = ");
        print_expr(p, statement->value);
        break;
    case NC_LET:
        nacre_buffer_print(p->out, "%s = ", statement->targets->name);
        print_expr(p, statement->value);
        break;
    case NC_CALL: print_call(p, statement); break;
    case NC_REPEAT:
        nacre_buffer_print(p->out, "repeat %s in ", statement->name);
        print_expr(p, statement->value);
        put(p, "..");
        print_expr(p, statement->last);
        break;
    case NC_IF:
        put(p, "if ");
        print_expr(p, statement->value);
        break;
    case NC_RETURN:
        put(p, "return ");
        print_list(p, statement->value);
        break;
    }
}

static void end_line(printer *p, const char *comment)
{
    if (comment) nacre_buffer_print(p->out, "  %s", comment);
    put(p, "\n");
}

static void begin_line(printer *p, const char *word)
{
    nacre_buffer_print(p->out, "%*s%s", INDENT * p->depth, "", word);
}

static void print_statements(printer *p, const nc_statement *list)
{
    for (const nc_statement *statement = list; statement; statement = statement->next) {
        if (statement->kind != NC_BLANK) begin_line(p, "");
        print_head(p, statement);
        end_line(p, statement->comment);
        bool has_body = statement->kind == NC_BLOCK || statement->kind == NC_MODEL || statement->kind == NC_REPEAT ||
                        statement->kind == NC_IF;
        if (!has_body) continue;
        p->depth++;
        print_statements(p, statement->body);
        p->depth--;
        if (statement->has_else) {
            begin_line(p, "else");
            end_line(p, statement->else_comment);
            p->depth++;
            print_statements(p, statement->otherwise);
            p->depth--;
        }
        begin_line(p, "end");
        end_line(p, statement->end_comment);
    }
}

nacre_status nacre_text_print(const nacre_text *text, const nacre_setting *parameters, nacre_buffer *buffer)
{
    printer p = {.out = buffer, .parameters = parameters};
    print_statements(&p, text->statements);
    return buffer->failed ? NACRE_ERROR_MEMORY : NACRE_OK;
}

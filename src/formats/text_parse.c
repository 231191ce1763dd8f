/* formats/text_parse.c - from words to the tree of a model text, by recursive descent. */
#include "formats/text.h"

#include <math.h>
#include <string.h>

enum { DEPTH_LIMIT = 64, PART_LIMIT = 500, SIZE_LIMIT = 16 << 20 };

typedef struct parser {
    nc_lexer lexer;
    int depth; /* of bodies and expressions */
    int parts; /* of the expressions of this statement that hold others: keeps trees shallow */
} parser;

/* ---- words ---- */

#define FAIL(p, ...) nc_text_fail((p)->lexer.pool->context, (p)->lexer.origin, (p)->lexer.token.line, __VA_ARGS__)

static bool advance(parser *p)
{
    return nc_lexer_next(&p->lexer);
}

static bool at_symbol(const parser *p, const char *symbol)
{
    return p->lexer.token.kind == NC_TOKEN_SYMBOL && strcmp(p->lexer.token.text, symbol) == 0;
}

static bool at_word(const parser *p, const char *word)
{
    return p->lexer.token.kind == NC_TOKEN_NAME && strcmp(p->lexer.token.text, word) == 0;
}

/* What stands here, for messages. */
static const char *here(const parser *p)
{
    switch (p->lexer.token.kind) {
    case NC_TOKEN_LINE_END: return "the end of the line";
    case NC_TOKEN_END: return "the end of the text";
    case NC_TOKEN_COMMENT: return "a comment";
    default: return p->lexer.token.text;
    }
}

static bool expect_symbol(parser *p, const char *symbol)
{
    if (at_symbol(p, symbol)) return advance(p);
    FAIL(p, "expected '%s', got '%.100s'", symbol, here(p));
    return false;
}

static const char *expect_name(parser *p, const char *what)
{
    const char *name = p->lexer.token.text;
    if (p->lexer.token.kind != NC_TOKEN_NAME || nc_is_keyword(name)) {
        FAIL(p, "expected %s, got '%.100s'", what, here(p));
        return NULL;
    }
    return advance(p) ? name : NULL;
}

/* ---- expressions, loosest first ---- */

static nc_expr *parse_expr(parser *p);

static nc_expr *new_expr(parser *p, nc_expr_kind kind, const char *text)
{
    bool is_leaf = kind == NC_EXPR_NUMBER || kind == NC_EXPR_TEXT || kind == NC_EXPR_NAME;
    if (!is_leaf && ++p->parts > PART_LIMIT) {
        FAIL(p, "more than %d operations in one statement", PART_LIMIT);
        return NULL;
    }
    nc_expr *expr = nacre_pool_allocate(p->lexer.pool, sizeof *expr);
    if (expr) *expr = (nc_expr){.kind = kind, .line = p->lexer.token.line, .text = text};
    return expr;
}

/* Expressions with commas up to a closing symbol, which is taken, too. */
static bool parse_list(parser *p, const char *close, nc_expr **list)
{
    while (!at_symbol(p, close)) {
        *list = parse_expr(p);
        if (!*list) return false;
        list = &(*list)->next;
        if (!at_symbol(p, ",")) break;
        if (!advance(p)) return false;
    }
    return expect_symbol(p, close);
}

static nc_expr *parse_dimension(parser *p)
{
    nc_expr *expr = new_expr(p, NC_EXPR_DIMENSION, "dim");
    if (!expr || !advance(p) || !expect_symbol(p, "(") || !(expr->first = parse_expr(p)) || !expect_symbol(p, ",") ||
        !(expr->second = parse_expr(p)) || !expect_symbol(p, ")"))
        return NULL;
    return expr;
}

bool nc_is_number_word(const char *word, double *number)
{
    *number = strcmp(word, "true") == 0 ? 1 : strcmp(word, "inf") == 0 ? INFINITY : strcmp(word, "nan") == 0 ? NAN : 0;
    return *number != 0 || strcmp(word, "false") == 0; /* NaN differs from 0, too */
}

static nc_expr *parse_word(parser *p)
{
    const char *word = p->lexer.token.text;
    double number;
    if (strcmp(word, "dim") == 0) return parse_dimension(p);
    nc_expr *expr = new_expr(p, nc_is_number_word(word, &number) ? NC_EXPR_NUMBER : NC_EXPR_NAME, word);
    if (!expr) return NULL;
    expr->number = number;
    if (expr->kind == NC_EXPR_NUMBER) return advance(p) ? expr : NULL;
    if (!expect_name(p, "a value")) return NULL;
    if (!at_symbol(p, "(")) return expr;
    FAIL(p, "'%.100s(' inside an expression; a call stands on a line of its own: NAME = %.100s(...)", word, word);
    return NULL;
}

static nc_expr *parse_primary(parser *p)
{
    const nc_token token = p->lexer.token;
    nc_expr *expr;
    if (token.kind == NC_TOKEN_NAME) return parse_word(p);
    if (token.kind == NC_TOKEN_NUMBER || token.kind == NC_TOKEN_STRING) {
        expr = new_expr(p, token.kind == NC_TOKEN_NUMBER ? NC_EXPR_NUMBER : NC_EXPR_TEXT, token.text);
        if (expr && token.kind == NC_TOKEN_NUMBER) nacre_parse_number(token.text, &expr->number);
        return expr && advance(p) ? expr : NULL;
    }
    if (at_symbol(p, "[")) {
        expr = new_expr(p, NC_EXPR_LIST, "[");
        return expr && advance(p) && parse_list(p, "]", &expr->first) ? expr : NULL;
    }
    if (at_symbol(p, "(")) {
        expr = new_expr(p, NC_EXPR_GROUP, "(");
        return expr && advance(p) && (expr->first = parse_expr(p)) && expect_symbol(p, ")") ? expr : NULL;
    }
    FAIL(p, "expected a value, got '%.100s'", here(p));
    return NULL;
}

/* Operators from the loosest level to the tightest; `not` and `-` stand before what they change. */
typedef struct level {
    const char *signs[7];
    bool is_prefix;
} level;
static const level LEVELS[] = {{{"or"}, false},     {{"and"}, false},
                               {{"not"}, true},     {{"==", "!=", "<", "<=", ">", ">="}, false},
                               {{"+", "-"}, false}, {{"*", "/", "//", "%"}, false},
                               {{"-"}, true},       {{"^"}, false}};
enum { LEVEL_COUNT = sizeof LEVELS / sizeof *LEVELS };

static const char *sign_here(const parser *p, const level *at)
{
    for (int i = 0; i < 7 && at->signs[i]; i++)
        if (at_symbol(p, at->signs[i]) || at_word(p, at->signs[i])) return at->signs[i];
    return NULL;
}

static nc_expr *parse_level(parser *p, int index)
{
    if (index == LEVEL_COUNT) return parse_primary(p);
    const level *at = &LEVELS[index];
    const char *sign = sign_here(p, at);
    if (at->is_prefix) {
        if (!sign) return parse_level(p, index + 1);
        nc_expr *expr = new_expr(p, NC_EXPR_UNARY, sign);
        return expr && advance(p) && (expr->first = parse_level(p, index + 1)) ? expr : NULL;
    }
    nc_expr *left = parse_level(p, index + 1);
    while (left && (sign = sign_here(p, at))) {
        nc_expr *expr = new_expr(p, NC_EXPR_BINARY, sign);
        if (!expr || !advance(p)) return NULL;
        expr->first = left;
        if (!(expr->second = parse_level(p, index + 1))) return NULL;
        left = expr;
    }
    return left;
}

static nc_expr *parse_expr(parser *p)
{
    if (++p->depth > DEPTH_LIMIT) {
        FAIL(p, "nested more than %d levels deep", DEPTH_LIMIT);
        return NULL;
    }
    nc_expr *condition = parse_level(p, 0);
    if (condition && at_symbol(p, "?")) {
        nc_expr *expr = new_expr(p, NC_EXPR_CHOICE, "?");
        if (!expr || !advance(p) || !(expr->second = parse_expr(p)) || !expect_symbol(p, ":") ||
            !(expr->third = parse_expr(p)))
            return NULL;
        expr->first = condition;
        condition = expr;
    }
    p->depth--;
    return condition;
}

/* ---- statements ---- */

static bool parse_body(parser *p, nc_statement **list, nc_statement *owner);

static nc_statement *new_statement(parser *p, nc_statement_kind kind)
{
    p->parts = 0;
    nc_statement *statement = nacre_pool_allocate(p->lexer.pool, sizeof *statement);
    if (statement) *statement = (nc_statement){.kind = kind, .line = p->lexer.token.line};
    return statement;
}

/* The end of a line with the comment before it. At the end of the text there is nothing to take. */
static bool parse_line_end(parser *p, const char **comment)
{
    if (p->lexer.token.kind == NC_TOKEN_COMMENT) {
        *comment = p->lexer.token.text;
        if (!advance(p)) return false;
    }
    if (p->lexer.token.kind == NC_TOKEN_END) return true;
    if (p->lexer.token.kind == NC_TOKEN_LINE_END) return advance(p);
    FAIL(p, "expected the end of the line, got '%.100s'", here(p));
    return false;
}

static nc_item *add_item(parser *p, nc_item ***last, const char *name)
{
    nc_item *item = nacre_pool_allocate(p->lexer.pool, sizeof *item);
    if (!item) return NULL;
    item->name = name;
    **last = item;
    *last = &item->next;
    return item;
}

/* (x, channels, stride=1) */
static bool parse_parameters(parser *p, nc_item **last)
{
    const nc_item *first = NULL;
    nc_item **start = last;
    if (!expect_symbol(p, "(")) return false;
    while (!at_symbol(p, ")")) {
        const char *name = expect_name(p, "the name of a parameter");
        for (first = *start; name && first; first = first->next) {
            if (strcmp(first->name, name) != 0) continue;
            FAIL(p, "parameter '%.100s' is there twice", name);
            return false;
        }
        nc_item *item = name ? add_item(p, &last, name) : NULL;
        if (!item) return false;
        if (at_symbol(p, "=") && (!advance(p) || !(item->value = parse_expr(p)))) return false;
        if (!at_symbol(p, ",")) break;
        if (!advance(p)) return false;
    }
    return expect_symbol(p, ")");
}

/* One argument: a value, or name=value. A name is only known for one by what follows it. */
static bool parse_argument(parser *p, nc_item ***last)
{
    const char *after = p->lexer.next;
    while (after < p->lexer.end && (*after == ' ' || *after == '\t')) after++;
    bool is_named =
        p->lexer.token.kind == NC_TOKEN_NAME && p->lexer.end - after > 1 && after[0] == '=' && after[1] != '=';
    const char *name = is_named ? p->lexer.token.text : NULL;
    if (is_named && (!advance(p) || !advance(p))) return false;
    nc_item *item = add_item(p, last, name);
    return item && (item->value = parse_expr(p));
}

static bool parse_arguments(parser *p, nc_item **last)
{
    if (!expect_symbol(p, "(")) return false;
    while (!at_symbol(p, ")")) {
        if (!parse_argument(p, &last)) return false;
        if (!at_symbol(p, ",")) break;
        if (!advance(p)) return false;
    }
    return expect_symbol(p, ")");
}

/* layer{stage}.{i} or "any text", behind the current word, which is `as` or `reuse`. */
static bool parse_path(parser *p, nc_expr **last)
{
    nc_lexer *lexer = &p->lexer;
    while (lexer->next < lexer->end && (*lexer->next == ' ' || *lexer->next == '\t')) lexer->next++;
    if (lexer->next < lexer->end && *lexer->next == '"') {
        if (!advance(p)) return false;
        *last = new_expr(p, NC_EXPR_TEXT, lexer->token.text);
        return *last && advance(p);
    }
    const nc_expr *const *first = (const nc_expr *const *)last;
    for (;;) {
        const char *text = nc_lexer_take_path(lexer);
        if (!text) return false;
        if (*text) {
            if (!(*last = new_expr(p, NC_EXPR_TEXT, text))) return false;
            last = &(*last)->next;
        }
        bool is_open = lexer->next < lexer->end && *lexer->next == '{';
        if (!advance(p)) return false;
        if (!is_open) break;
        if (!advance(p) || !(*last = parse_expr(p))) return false;
        last = &(*last)->next;
        if (!at_symbol(p, "}")) {
            FAIL(p, "expected '}', got '%.100s'", here(p));
            return false;
        }
    }
    if (*first) return true;
    FAIL(p, "expected a path, got '%.100s'", here(p));
    return false;
}

/* The dimensions of a shape; an input's may end with `...`. */
static bool parse_shape(parser *p, nc_statement *statement)
{
    nc_expr **last = &statement->shape;
    while (!at_symbol(p, "]")) {
        bool is_rest = at_symbol(p, "...") && statement->kind == NC_INPUT;
        *last = is_rest ? new_expr(p, NC_EXPR_REST, "...") : parse_expr(p);
        if (!*last || (is_rest && !advance(p))) return false;
        last = &(*last)->next;
        if (is_rest || !at_symbol(p, ",")) break;
        if (!advance(p)) return false;
    }
    return expect_symbol(p, "]");
}

/* f32[N, 3, 32, 32] */
static bool parse_type(parser *p, nc_statement *statement)
{
    int dtype = p->lexer.token.kind == NC_TOKEN_NAME ? nacre_dtype_from_name(p->lexer.token.text) : -1;
    if (dtype < 0) {
        FAIL(p, "expected an element type such as f32, got '%.100s'", here(p));
        return false;
    }
    statement->dtype = (nacre_dtype)dtype;
    return advance(p) && expect_symbol(p, "[") && parse_shape(p, statement);
}

/* `input`, `parameter` and `constant` begin alike: keyword, name, type. */
static nc_statement *parse_declaration(parser *p, nc_statement_kind kind)
{
    nc_statement *statement = new_statement(p, kind);
    if (!statement || !advance(p) || !(statement->name = expect_name(p, "a name")) || !parse_type(p, statement))
        return NULL;
    return statement;
}

static nc_statement *parse_input(parser *p)
{
    nc_statement *statement = parse_declaration(p, NC_INPUT);
    return statement && (!at_word(p, "as") || parse_path(p, &statement->path)) ? statement : NULL;
}

static nc_statement *parse_entry(parser *p, nacre_entry_role role)
{
    nc_statement *statement = parse_declaration(p, NC_ENTRY);
    if (!statement) return NULL;
    statement->role = role;
    return !at_word(p, "as") || parse_path(p, &statement->path) ? statement : NULL;
}

/* A number as it is written, with its sign. */
static nc_expr *parse_literal(parser *p)
{
    bool is_negative = at_symbol(p, "-");
    if (is_negative && !advance(p)) return NULL;
    const char *text = p->lexer.token.text;
    double number;
    bool is_number = p->lexer.token.kind == NC_TOKEN_NUMBER
                         ? nacre_parse_number(text, &number)
                         : p->lexer.token.kind == NC_TOKEN_NAME && nc_is_number_word(text, &number);
    if (!is_number) {
        FAIL(p, "expected a number, got '%.100s'", here(p));
        return NULL;
    }
    size_t length = strlen(text);
    char *whole = nacre_pool_allocate(p->lexer.pool, length + 2);
    if (!whole) return NULL;
    whole[0] = '-';
    memcpy(whole + is_negative, text, length);
    nc_expr *expr = new_expr(p, NC_EXPR_NUMBER, whole);
    if (expr) expr->number = is_negative ? -number : number;
    return expr && advance(p) ? expr : NULL;
}

static nc_statement *parse_constant(parser *p)
{
    nc_statement *statement = parse_declaration(p, NC_CONSTANT);
    if (!statement || !expect_symbol(p, "=") || !(statement->value = new_expr(p, NC_EXPR_LIST, "[")) ||
        !expect_symbol(p, "["))
        return NULL;
    nc_expr **last = &statement->value->first;
    while (!at_symbol(p, "]")) {
        if (!(*last = parse_literal(p))) return NULL;
        last = &(*last)->next;
        if (!at_symbol(p, ",")) break;
        if (!advance(p)) return NULL;
    }
    return expect_symbol(p, "]") ? statement : NULL;
}

static nc_statement *parse_return(parser *p)
{
    nc_statement *statement = new_statement(p, NC_RETURN);
    nc_expr **last = statement ? &statement->value : NULL;
    do {
        if (!last || !advance(p) || !(*last = parse_expr(p))) return NULL;
        last = &(*last)->next;
    } while (at_symbol(p, ","));
    return statement;
}

static nc_statement *parse_repeat(parser *p)
{
    nc_statement *statement = new_statement(p, NC_REPEAT);
    if (!statement || !advance(p) || !(statement->name = expect_name(p, "the name of a counter"))) return NULL;
    if (!at_word(p, "in")) {
        FAIL(p, "expected 'in', got '%.100s'", here(p));
        return NULL;
    }
    if (!advance(p) || !(statement->value = parse_expr(p)) || !expect_symbol(p, "..") ||
        !(statement->last = parse_expr(p)))
        return NULL;
    return parse_line_end(p, &statement->comment) && parse_body(p, &statement->body, statement) ? statement : NULL;
}

static nc_statement *parse_if(parser *p)
{
    nc_statement *statement = new_statement(p, NC_IF);
    if (!statement || !advance(p) || !(statement->value = parse_expr(p))) return NULL;
    return parse_line_end(p, &statement->comment) && parse_body(p, &statement->body, statement) ? statement : NULL;
}

/* block and model */
static nc_statement *parse_definition(parser *p, nc_statement_kind kind)
{
    nc_statement *statement = new_statement(p, kind);
    if (!statement || !advance(p) || !(statement->name = expect_name(p, "a name"))) return NULL;
    if ((kind == NC_BLOCK || at_symbol(p, "(")) && !parse_parameters(p, &statement->items)) return NULL;
    return parse_line_end(p, &statement->comment) && parse_body(p, &statement->body, statement) ? statement : NULL;
}

/* What is assigned: a call if a name with a bracket begins it, else an expression. */
static bool is_call(const parser *p)
{
    const char *after = p->lexer.next;
    while (after < p->lexer.end && (*after == ' ' || *after == '\t')) after++;
    if (p->lexer.token.kind != NC_TOKEN_NAME || nc_is_keyword(p->lexer.token.text) || after == p->lexer.end)
        return false;
    return *after == '(' || (*after == '.' && strcmp(p->lexer.token.text, "op") == 0);
}

static bool parse_call(parser *p, nc_statement *statement)
{
    statement->kind = NC_CALL;
    statement->callee = p->lexer.token.text;
    if (!advance(p)) return false;
    if (at_symbol(p, ".")) {
        statement->is_operation = true;
        if (!advance(p)) return false;
        statement->callee = p->lexer.token.text; /* may be a keyword */
        if (p->lexer.token.kind != NC_TOKEN_NAME) return expect_name(p, "the name of an operation");
        if (!advance(p)) return false;
    }
    if (!parse_arguments(p, &statement->items)) return false;
    statement->reuse = at_word(p, "reuse");
    return !(statement->reuse || at_word(p, "as")) || parse_path(p, &statement->path);
}

static nc_statement *parse_assignment(parser *p)
{
    nc_statement *statement = new_statement(p, NC_LET);
    if (!statement) return NULL;
    nc_item **last = &statement->targets;
    for (;;) {
        const char *name = expect_name(p, "a statement");
        if (!name || !add_item(p, &last, name)) return NULL;
        if (!at_symbol(p, ",")) break;
        if (!advance(p)) return NULL;
    }
    if (!expect_symbol(p, "=")) return NULL;
    if (is_call(p)) return parse_call(p, statement) ? statement : NULL;
    if (statement->targets->next) {
        FAIL(p, "only a call gives several values, got '%.100s'", here(p));
        return NULL;
    }
    return (statement->value = parse_expr(p)) ? statement : NULL;
}

static nc_statement *parse_comment(parser *p)
{
    nc_statement *statement = new_statement(p, NC_COMMENT);
    if (statement) statement->name = p->lexer.token.text;
    return statement && advance(p) ? statement : NULL;
}

/* One statement of a body without the end of its last line. */
static nc_statement *parse_statement(parser *p)
{
    if (p->lexer.token.kind == NC_TOKEN_LINE_END) return new_statement(p, NC_BLANK);
    if (p->lexer.token.kind == NC_TOKEN_COMMENT) return parse_comment(p);
    if (at_word(p, "input")) return parse_input(p);
    if (at_word(p, "parameter")) return parse_entry(p, NACRE_ENTRY_PARAMETER);
    if (at_word(p, "buffer")) return parse_entry(p, NACRE_ENTRY_BUFFER);
    if (at_word(p, "state")) return parse_entry(p, NACRE_ENTRY_STATE);
    if (at_word(p, "constant")) return parse_constant(p);
    if (at_word(p, "repeat")) return parse_repeat(p);
    if (at_word(p, "if")) return parse_if(p);
    if (at_word(p, "return")) return parse_return(p);
    return parse_assignment(p);
}

static const char *keyword_of(const nc_statement *statement)
{
    switch (statement->kind) {
    case NC_BLOCK: return "block";
    case NC_MODEL: return "model";
    case NC_REPEAT: return "repeat";
    default: return "if";
    }
}

/* Statements up to `end`, which is taken but not the end of its line. An `if` goes on after `else`. */
static bool parse_body(parser *p, nc_statement **list, nc_statement *owner)
{
    if (++p->depth > DEPTH_LIMIT) {
        FAIL(p, "nested more than %d levels deep", DEPTH_LIMIT);
        return false;
    }
    while (!at_word(p, "end")) {
        if (p->lexer.token.kind == NC_TOKEN_END) {
            FAIL(p, "the %s of line %d has no end", keyword_of(owner), owner->line);
            return false;
        }
        if (at_word(p, "else") && owner->kind == NC_IF && list != &owner->otherwise) {
            list = &owner->otherwise;
            owner->has_else = true;
            if (!advance(p) || !parse_line_end(p, &owner->else_comment)) return false;
            continue;
        }
        nc_statement *statement = parse_statement(p);
        if (!statement) return false;
        bool has_end = statement->kind == NC_REPEAT || statement->kind == NC_IF;
        if (!parse_line_end(p, has_end ? &statement->end_comment : &statement->comment)) return false;
        *list = statement;
        list = &statement->next;
    }
    p->depth--;
    return advance(p);
}

/* ---- texts ---- */

static nc_statement *parse_top(parser *p)
{
    if (p->lexer.token.kind == NC_TOKEN_LINE_END) return new_statement(p, NC_BLANK);
    if (p->lexer.token.kind == NC_TOKEN_COMMENT) return parse_comment(p);
    if (at_word(p, "block")) return parse_definition(p, NC_BLOCK);
    if (at_word(p, "model")) return parse_definition(p, NC_MODEL);
    FAIL(p, "expected 'block' or 'model', got '%.100s'", here(p));
    return NULL;
}

/* Blocks have different names and there is one model. */
static bool check_definition(parser *p, const nacre_text *text, const nc_statement *definition)
{
    if (definition->kind == NC_MODEL && text->model) {
        nc_text_fail(text->context, text->origin, definition->line, "a second model; the first is in line %d",
                     text->model->line);
        return false;
    }
    for (const nc_statement *other = text->statements; other && definition->kind == NC_BLOCK; other = other->next) {
        if (other == definition || other->kind != NC_BLOCK || strcmp(other->name, definition->name) != 0) continue;
        nc_text_fail(text->context, p->lexer.origin, definition->line,
                     "block '%.100s' is there twice, first in line %d", definition->name, other->line);
        return false;
    }
    return true;
}

static bool parse_text(parser *p, nacre_text *text)
{
    nc_statement **last = &text->statements;
    if (!advance(p)) return false;
    while (p->lexer.token.kind != NC_TOKEN_END) {
        nc_statement *statement = parse_top(p);
        if (!statement) return false;
        bool has_end = statement->kind == NC_BLOCK || statement->kind == NC_MODEL;
        if (!parse_line_end(p, has_end ? &statement->end_comment : &statement->comment)) return false;
        *last = statement;
        last = &statement->next;
        if (!check_definition(p, text, statement)) return false;
        if (statement->kind == NC_MODEL) text->model = statement;
    }
    if (!text->model) FAIL(p, "there is no model in it");
    return text->model;
}

nacre_text *nacre_text_parse(nacre_context *context, const char *source, size_t size, const char *origin)
{
    if (!origin) origin = "model";
    if (size > SIZE_LIMIT || !nacre_is_utf8(source, size) || memchr(source, 0, size)) {
        nacre_fail(context, NACRE_ERROR_FORMAT, "%s: not a text of at most %d bytes in UTF-8", origin, SIZE_LIMIT);
        return NULL;
    }
    nacre_text *text = nacre_allocate(context, sizeof *text);
    if (!text) return NULL;
    *text = (nacre_text){.context = context, .pool = {.context = context}};
    text->origin = nacre_pool_copy(&text->pool, origin, strlen(origin));
    parser p = {.lexer = {&text->pool, text->origin, source, source + size, .line = 1}};
    if (text->origin && parse_text(&p, text)) return text;
    nacre_text_destroy(text);
    return NULL;
}

nacre_text *nacre_text_load(nacre_context *context, const char *path)
{
    size_t size;
    char *source = nacre_file_read(context, path, SIZE_LIMIT, &size);
    nacre_text *text = source ? nacre_text_parse(context, source, size, path) : NULL;
    nacre_release(context, source);
    return text;
}

void nacre_text_destroy(nacre_text *text)
{
    if (!text) return;
    nacre_pool_destroy(&text->pool);
    nacre_release(text->context, text);
}

const char *nacre_text_name(const nacre_text *text)
{
    return text ? text->model->name : NULL;
}

bool nacre_text_parameter(const nacre_text *text, int index, nacre_setting *parameter)
{
    const nc_item *item = text ? text->model->items : NULL;
    while (item && index-- > 0) item = item->next;
    if (!item) return false;
    const nc_expr *value = item->value;
    bool number = value && value->kind == NC_EXPR_NUMBER;
    bool plain = number || (value && (value->kind == NC_EXPR_TEXT || value->kind == NC_EXPR_NAME));
    *parameter = (nacre_setting){.name = item->name,
                                 .text = plain ? value->text : "",
                                 .is_number = number,
                                 .number = number ? value->number : 0};
    return true;
}

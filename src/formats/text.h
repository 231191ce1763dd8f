/* formats/text.h - the tree of a model text. */
#ifndef NC_FORMATS_TEXT_H
#define NC_FORMATS_TEXT_H

#include <nacre/io.h>
#include <nacre/text.h>

/* ---- words ------------------------------------------------------------------------------------------------------ */

typedef enum nc_token_kind {
    NC_TOKEN_NAME,
    NC_TOKEN_NUMBER,
    NC_TOKEN_STRING, /* without its quotes */
    NC_TOKEN_SYMBOL, /* "(", "==", "..", ... */
    NC_TOKEN_COMMENT,
    NC_TOKEN_LINE_END,
    NC_TOKEN_END
} nc_token_kind;

typedef struct nc_token {
    nc_token_kind kind;
    int line;
    const char *text; /* in the pool, ended by 0 */
} nc_token;

typedef struct nc_lexer {
    nacre_pool *pool;
    const char *origin;
    const char *next, *end;
    int line;
    nc_token token; /* the current one */
} nc_lexer;

/* Goes on to the next word. False and a failure for what is none. */
bool nc_lexer_next(nc_lexer *lexer);
/* Takes the letters of a path that follow the current word: "layer1.0" of `layer1.0{i}`. NULL: out of memory. */
const char *nc_lexer_take_path(nc_lexer *lexer);
nacre_status nc_text_fail(nacre_context *context, const char *origin, int line, const char *format, ...)
    NACRE_PRINTF(4, 5);

/* Words that are numbers: true, false, inf, nan. */
bool nc_is_number_word(const char *word, double *number);

/* ---- expressions ------------------------------------------------------------------------------------------------ */

typedef enum nc_expr_kind {
    NC_EXPR_NUMBER,
    NC_EXPR_TEXT,
    NC_EXPR_NAME,
    NC_EXPR_LIST,      /* [first, ...] */
    NC_EXPR_UNARY,     /* -first, not first */
    NC_EXPR_BINARY,    /* first op second */
    NC_EXPR_CHOICE,    /* first ? second : third */
    NC_EXPR_GROUP,     /* (first) */
    NC_EXPR_DIMENSION, /* dim(first, second) */
    NC_EXPR_REST       /* ... at the end of an input's shape */
} nc_expr_kind;

typedef struct nc_expr {
    nc_expr_kind kind;
    int line;
    const char *text; /* of a number, text or name; the operator */
    double number;
    struct nc_expr *first, *second, *third;
    struct nc_expr *next; /* in a list of expressions */
} nc_expr;

/* ---- statements ------------------------------------------------------------------------------------------------- */

typedef enum nc_statement_kind {
    NC_BLANK,
    NC_COMMENT,
    NC_BLOCK,    /* block name(parameters) body end */
    NC_MODEL,    /* model name(parameters) body end */
    NC_INPUT,    /* input name dtype[shape]; as path, where the input has another name */
    NC_ENTRY,    /* parameter name dtype[shape] as path; also buffer, state */
    NC_CONSTANT, /* constant name dtype[shape] = [values] */
    NC_LET,      /* name = expression */
    NC_CALL,     /* names = callee(arguments) as path */
    NC_REPEAT,   /* repeat name in value..last body end */
    NC_IF,       /* if value body else otherwise end */
    NC_RETURN    /* return values */
} nc_statement_kind;

/* Names that are assigned, parameters (with a default) and arguments (the name NULL where given by position). */
typedef struct nc_item {
    const char *name;
    nc_expr *value;
    struct nc_item *next;
} nc_item;

typedef struct nc_statement {
    nc_statement_kind kind;
    int line;
    const char *name; /* of a block, model, input, entry, constant, loop variable; the text of a comment */
    nc_item *items;   /* parameters, arguments */
    nc_item *targets; /* of a call: what it is assigned to */
    const char *callee;
    bool is_operation; /* op.callee */
    nc_expr *path;     /* parts, in a list: TEXT as it stands, others in braces; NULL: the first target */
    bool reuse;
    nacre_entry_role role;
    nacre_dtype dtype;
    nc_expr *shape; /* dimensions, in a list */
    nc_expr *value, *last;
    struct nc_statement *body, *otherwise;
    bool has_else;
    const char *comment, *else_comment, *end_comment; /* behind the line; NULL: none */
    struct nc_statement *next;
} nc_statement;

struct nacre_text {
    nacre_context *context;
    nacre_pool pool; /* everything below */
    const char *origin;
    nc_statement *statements;
    const nc_statement *model;
};

/* Appends "f32[N, 784]", as it was declared. */
void nc_text_print_type(const nc_statement *declaration, nacre_buffer *buffer);

bool nc_is_keyword(const char *word);
bool nc_is_name(const char *text); /* can stand for a value */
bool nc_is_path(const char *text); /* can stand as a path without quotes */

#endif

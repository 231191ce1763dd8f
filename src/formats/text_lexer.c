/* formats/text_lexer.c - the words of a model text. */
#include "formats/text.h"

#include <stdio.h>
#include <string.h>

nacre_status nc_text_fail(nacre_context *context, const char *origin, int line, const char *format, ...)
{
    char message[768];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(message, sizeof message, format, arguments);
    va_end(arguments);
    return nacre_fail(context, NACRE_ERROR_FORMAT, "%s:%d: %s", origin, line, message);
}

static bool is_letter(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_';
}

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

bool nc_is_keyword(const char *word)
{
    static const char *const words[] = {"block", "model", "input", "parameter", "buffer", "state", "constant", "repeat",
                                        "in",    "if",    "else",  "end",       "return", "as",    "reuse",    "and",
                                        "or",    "not",   "true",  "false",     "inf",    "nan",   "dim"};
    for (size_t i = 0; i < sizeof words / sizeof *words; i++)
        if (strcmp(words[i], word) == 0) return true;
    return false;
}

bool nc_is_name(const char *text)
{
    const char *c = text;
    if (!is_letter(*c)) return false;
    while (is_letter(*c) || is_digit(*c)) c++;
    return *c == 0 && !nc_is_keyword(text);
}

static bool is_path_letter(char c)
{
    return is_letter(c) || is_digit(c) || c == '.' || c == '-';
}

bool nc_is_path(const char *text)
{
    const char *c = text;
    while (is_path_letter(*c)) c++;
    return *c == 0 && c > text;
}

static char peek(const nc_lexer *lexer, size_t offset)
{
    return (size_t)(lexer->end - lexer->next) > offset ? lexer->next[offset] : 0;
}

/* Ends the word that begins at `start` here. */
static bool finish(nc_lexer *lexer, nc_token_kind kind, const char *start, const char *end)
{
    lexer->token = (nc_token){kind, lexer->line, nacre_pool_copy(lexer->pool, start, (size_t)(end - start))};
    return lexer->token.text;
}

static bool read_number(nc_lexer *lexer)
{
    const char *start = lexer->next;
    while (is_digit(peek(lexer, 0))) lexer->next++;
    if (peek(lexer, 0) == '.' && is_digit(peek(lexer, 1))) { /* 1..3 is a range, and a point needs digits behind it */
        lexer->next++;
        while (is_digit(peek(lexer, 0))) lexer->next++;
    }
    if (peek(lexer, 0) == 'e' || peek(lexer, 0) == 'E') {
        lexer->next += peek(lexer, 1) == '+' || peek(lexer, 1) == '-' ? 2 : 1;
        while (is_digit(peek(lexer, 0))) lexer->next++;
    }
    double number;
    if (!finish(lexer, NC_TOKEN_NUMBER, start, lexer->next)) return false;
    if (nacre_parse_number(lexer->token.text, &number) && !is_letter(peek(lexer, 0))) return true;
    nc_text_fail(lexer->pool->context, lexer->origin, lexer->line, "'%.60s%.1s' is not a number", lexer->token.text,
                 lexer->next < lexer->end ? lexer->next : "");
    return false;
}

static bool read_string(nc_lexer *lexer)
{
    const char *start = ++lexer->next;
    while (lexer->next < lexer->end && *lexer->next != '"' && *lexer->next != '\n') lexer->next++;
    if (peek(lexer, 0) != '"') {
        nc_text_fail(lexer->pool->context, lexer->origin, lexer->line, "a text without its closing \"");
        return false;
    }
    return finish(lexer, NC_TOKEN_STRING, start, lexer->next++);
}

static bool read_comment(nc_lexer *lexer)
{
    const char *start = lexer->next, *end;
    while (lexer->next < lexer->end && *lexer->next != '\n') lexer->next++;
    for (end = lexer->next; end > start && (end[-1] == ' ' || end[-1] == '\t' || end[-1] == '\r');) end--;
    return finish(lexer, NC_TOKEN_COMMENT, start, end);
}

static bool read_symbol(nc_lexer *lexer)
{
    static const char *const symbols[] = {"...", "==", "!=", "<=", ">=", "..", "//", "=", "<", ">", "+", "-", "*",
                                          "/",   "%",  "^",  "(",  ")",  "[",  "]",  "{", "}", ",", ":", "?", "."};
    const char *start = lexer->next;
    for (size_t i = 0; i < sizeof symbols / sizeof *symbols; i++) {
        size_t length = strlen(symbols[i]);
        if ((size_t)(lexer->end - start) < length || memcmp(start, symbols[i], length) != 0) continue;
        lexer->next += length;
        lexer->token = (nc_token){NC_TOKEN_SYMBOL, lexer->line, symbols[i]};
        return true;
    }
    if (*start > ' ' && *start < 0x7f)
        nc_text_fail(lexer->pool->context, lexer->origin, lexer->line, "'%c' has no meaning here", *start);
    else
        nc_text_fail(lexer->pool->context, lexer->origin, lexer->line, "byte 0x%02x has no meaning here",
                     (unsigned char)*start);
    return false;
}

bool nc_lexer_next(nc_lexer *lexer)
{
    if (lexer->token.kind == NC_TOKEN_LINE_END) lexer->line++;
    while (peek(lexer, 0) == ' ' || peek(lexer, 0) == '\t' || peek(lexer, 0) == '\r') lexer->next++;
    const char *start = lexer->next;
    if (start == lexer->end) {
        lexer->token = (nc_token){NC_TOKEN_END, lexer->line, ""};
        return true;
    }
    if (*start == '\n') {
        lexer->next++;
        lexer->token = (nc_token){NC_TOKEN_LINE_END, lexer->line, ""};
        return true;
    }
    if (*start == '#') return read_comment(lexer);
    if (*start == '"') return read_string(lexer);
    if (is_digit(*start)) return read_number(lexer);
    if (!is_letter(*start)) return read_symbol(lexer);
    while (is_letter(peek(lexer, 0)) || is_digit(peek(lexer, 0))) lexer->next++;
    return finish(lexer, NC_TOKEN_NAME, start, lexer->next);
}

const char *nc_lexer_take_path(nc_lexer *lexer)
{
    const char *start = lexer->next;
    while (is_path_letter(peek(lexer, 0))) lexer->next++;
    return nacre_pool_copy(lexer->pool, start, (size_t)(lexer->next - start));
}

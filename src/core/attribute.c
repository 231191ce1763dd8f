/* core/attribute.c - attribute words from and to text. */
#include "core/registry.h"

#include <nacre/io.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static bool parse_int(const char *text, int64_t *value)
{
    char *end;
    errno = 0;
    *value = strtoll(text, &end, 10);
    return end != text && !*end && !errno;
}

static bool parse_bool(const char *text, int64_t *value)
{
    *value = !strcmp(text, "true") || !strcmp(text, "1");
    return *value || !strcmp(text, "false") || !strcmp(text, "0");
}

static bool parse_float(const char *text, int64_t *word)
{
    double value;
    if (!nacre_parse_number(text, &value)) return false;
    *word = nacre_word(value);
    return true;
}

static bool parse_ints(const char *text, int limit, int64_t *words)
{
    words[0] = 0;
    for (int i = 0; i < limit; i++) words[1 + i] = 0;
    while (*text) {
        char number[24];
        size_t length = strcspn(text, ",");
        if (words[0] == limit || length >= sizeof number) return false;
        memcpy(number, text, length);
        number[length] = 0;
        if (!parse_int(number, &words[1 + words[0]])) return false;
        words[0]++;
        text += length;
        if (*text == ',' && !*++text) return false;
    }
    return true;
}

/* The place of `text` in "zeros|reflect|replicate". */
static bool parse_choice(const char *choices, const char *text, int64_t *value)
{
    size_t wanted = strlen(text);
    *value = 0;
    for (const char *at = choices; wanted; (*value)++) {
        size_t length = strcspn(at, "|");
        if (length == wanted && !memcmp(at, text, length)) return true;
        if (!at[length]) break;
        at += length + 1;
    }
    return false;
}

bool nacre_attribute_parse(const nacre_attribute *attribute, const char *text, int64_t *word)
{
    int dtype;
    switch (attribute->type) {
    case NACRE_ATTRIBUTE_INT: return parse_int(text, word);
    case NACRE_ATTRIBUTE_BOOL: return parse_bool(text, word);
    case NACRE_ATTRIBUTE_FLOAT: return parse_float(text, word);
    case NACRE_ATTRIBUTE_INTS: return parse_ints(text, attribute->limit, word);
    case NACRE_ATTRIBUTE_ENUM: return parse_choice(attribute->choices, text, word);
    case NACRE_ATTRIBUTE_DTYPE:
        dtype = nacre_dtype_from_name(text);
        *word = dtype;
        return dtype >= 0;
    case NACRE_ATTRIBUTE_NONE: break;
    }
    return false;
}

static void print_choice(const char *choices, int64_t index, nacre_buffer *buffer)
{
    while (index-- > 0 && strchr(choices, '|')) choices = strchr(choices, '|') + 1;
    nacre_buffer_put(buffer, choices, strcspn(choices, "|"));
}

void nacre_attribute_print(const nacre_attribute *attribute, const int64_t *word, nacre_buffer *buffer)
{
    switch (attribute->type) {
    case NACRE_ATTRIBUTE_INT: nacre_buffer_print(buffer, "%lld", (long long)*word); break;
    case NACRE_ATTRIBUTE_BOOL: nacre_buffer_print(buffer, *word ? "true" : "false"); break;
    case NACRE_ATTRIBUTE_FLOAT: nacre_buffer_number(buffer, nacre_unword(*word)); break;
    case NACRE_ATTRIBUTE_INTS:
        for (int i = 0; i < word[0]; i++) nacre_buffer_print(buffer, i ? ",%lld" : "%lld", (long long)word[1 + i]);
        break;
    case NACRE_ATTRIBUTE_ENUM: print_choice(attribute->choices, *word, buffer); break;
    case NACRE_ATTRIBUTE_DTYPE: nacre_buffer_print(buffer, "%s", nacre_dtype_name((nacre_dtype)*word)); break;
    case NACRE_ATTRIBUTE_NONE: break;
    }
}

int nacre_op_attribute_find(const nacre_op *op, const char *name)
{
    for (int i = 0; i < NACRE_MAX_ATTRIBUTES && op->attributes[i].type != NACRE_ATTRIBUTE_NONE; i++)
        if (!strcmp(op->attributes[i].name, name)) return i;
    return -1;
}

void nacre_op_attribute_defaults(const nacre_op *op, int64_t *words)
{
    const nc_op_traits *traits = nc_traits(op);
    memcpy(words, traits->fallback, sizeof(int64_t) * (size_t)traits->words);
}

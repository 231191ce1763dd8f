/* markup.h - whether text is well-formed XML: what figures and reports must be, whatever they are given. */
#ifndef NC_MARKUP_H
#define NC_MARKUP_H

#include "test.h"

#include <ctype.h>

enum { NC_DEEPEST_MARKUP = 64 };

/* Bytes of one allowed UTF-8 character, 0 if there is none. */
static inline int nc_markup_character(const char *text)
{
    const unsigned char *c = (const unsigned char *)text;
    if (c[0] == '\n' || c[0] == '\t' || (c[0] >= 0x20 && c[0] < 0x7f)) return 1;
    int length = c[0] >= 0xf0 && c[0] < 0xf5 ? 4 : c[0] >= 0xe0 ? 3 : c[0] >= 0xc2 ? 2 : 0;
    for (int i = 1; i < length; i++)
        if ((c[i] & 0xc0) != 0x80) return 0;
    return length;
}

/* The end of an entity (&amp; &lt; &gt; &quot; &#39;), NULL if it is another. */
static inline const char *nc_markup_entity(const char *text)
{
    static const char *const known[] = {"&amp;", "&lt;", "&gt;", "&quot;", "&#39;"};
    for (int i = 0; i < 5; i++)
        if (strncmp(text, known[i], strlen(known[i])) == 0) return text + strlen(known[i]);
    return NULL;
}

/* Text up to `end` (a character); NULL if something in it is not allowed. */
static inline const char *nc_markup_text(const char *text, char end)
{
    while (*text && *text != end) {
        if (*text == '<') return NULL;
        int length = nc_markup_character(text);
        text = *text == '&' ? nc_markup_entity(text) : length ? text + length : NULL;
        if (!text) return NULL;
    }
    return text;
}

/* Skips ` name="value"`s; NULL if they are malformed. */
static inline const char *nc_markup_attributes(const char *text)
{
    while (*text == ' ') {
        text++;
        if (!isalpha((unsigned char)*text)) return NULL;
        while (isalnum((unsigned char)*text) || *text == '-') text++;
        if (strncmp(text, "=\"", 2) != 0) return NULL;
        text = nc_markup_text(text + 2, '"');
        if (!text || *text != '"') return NULL;
        text++;
    }
    return text;
}

/* NULL if all is well, else where it is not. */
static inline const char *nc_markup_error(const char *text)
{
    char open[NC_DEEPEST_MARKUP][16];
    int depth = 0;
    static const char doctype[] = "<!DOCTYPE html>\n";
    if (strncmp(text, doctype, strlen(doctype)) == 0) text += strlen(doctype);
    while (*text) {
        const char *at = text;
        text = nc_markup_text(text, '<');
        if (!text) return at;
        if (!*text) break;
        bool closes = text[1] == '/';
        const char *name = text + 1 + closes;
        size_t length = strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789");
        if (length == 0 || length >= sizeof open[0]) return text;
        if (closes) {
            if (depth == 0 || strlen(open[--depth]) != length || memcmp(open[depth], name, length) != 0) return text;
            text = name + length;
        } else {
            at = text;
            text = nc_markup_attributes(name + length);
            if (!text || depth == NC_DEEPEST_MARKUP) return at;
            if (*text == '/')
                text++;
            else
                snprintf(open[depth++], sizeof open[0], "%.*s", (int)length, name);
        }
        if (*text++ != '>') return text - 1;
    }
    return depth == 0 ? NULL : "the end: elements are still open";
}

#define NC_CHECK_MARKUP(text)                                                                                          \
    do {                                                                                                               \
        const char *nc_error = nc_markup_error(text);                                                                  \
        if (nc_error) NC_COMPLAIN("not well-formed at: %.60s", nc_error);                                              \
    } while (0)

/* How often `part` occurs. */
static inline int nc_markup_count(const char *text, const char *part)
{
    int count = 0;
    for (; (text = strstr(text, part)); text += strlen(part)) count++;
    return count;
}

#endif

/* train/plot_text.c - text of unknown origin made safe, measured and cut; numbers as people read them. */
#include "train/plot.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

/* ---- UTF-8 ---- */

enum { REPLACEMENT = 0xfffd };

/* Code points that XML forbids, that do not show, or that reorder what follows them. */
static bool is_drawable(uint32_t code)
{
    bool control = code < 0x20 || (code >= 0x7f && code < 0xa0);
    bool surrogate = code >= 0xd800 && code <= 0xdfff;
    bool reorders = (code >= 0x202a && code <= 0x202e) || (code >= 0x2066 && code <= 0x2069);
    return !control && !surrogate && !reorders && (code & 0xfffe) != 0xfffe && code <= 0x10ffff;
}

size_t nc_utf8_next(const char *text, uint32_t *code)
{
    const unsigned char *bytes = (const unsigned char *)text;
    *code = REPLACEMENT;
    if (bytes[0] == 0) return 0;
    if (bytes[0] < 0x80) {
        if (is_drawable(bytes[0])) *code = bytes[0];
        return 1;
    }
    static const uint32_t smallest[] = {0, 0, 0x80, 0x800, 0x10000};
    size_t length = bytes[0] >= 0xf0 ? 4 : bytes[0] >= 0xe0 ? 3 : 2;
    if (bytes[0] < 0xc2 || bytes[0] > 0xf4) return 1;
    uint32_t value = bytes[0] & (0xffu >> (length + 1));
    for (size_t i = 1; i < length; i++) {
        if ((bytes[i] & 0xc0) != 0x80) return i;
        value = value << 6 | (bytes[i] & 0x3fu);
    }
    if (value >= smallest[length] && is_drawable(value)) *code = value;
    return length;
}

static const char replacement_text[] = "\xef\xbf\xbd";

void nc_put_clean(nacre_buffer *out, const char *text)
{
    uint32_t code;
    for (size_t length; text && (length = nc_utf8_next(text, &code)) > 0; text += length)
        nacre_buffer_print(out, "%.*s", code == REPLACEMENT ? 3 : (int)length,
                           code == REPLACEMENT ? replacement_text : text);
}

void nc_put_escaped(nacre_buffer *out, const char *text)
{
    uint32_t code;
    for (size_t length; text && (length = nc_utf8_next(text, &code)) > 0; text += length) {
        const char *entity = code == '&'           ? "&amp;"
                             : code == '<'         ? "&lt;"
                             : code == '>'         ? "&gt;"
                             : code == '"'         ? "&quot;"
                             : code == '\''        ? "&#39;"
                             : code == REPLACEMENT ? replacement_text
                                                   : NULL;
        if (text[0] == '\n' || text[0] == '\t') entity = NULL; /* white space is fine in both */
        nacre_buffer_put(out, entity ? entity : text, entity ? strlen(entity) : length);
    }
}

/* ---- widths ---- */

/* In units of the font size; DejaVu Sans, the widest of the usual fonts, sets the measure. */
static double glyph_width(uint32_t code)
{
    if (code < 0x80) {
        if (strchr("ijl.,:;'|! ", (int)code)) return 0.33;
        if (strchr("frtI()[]-/\\\"", (int)code)) return 0.42;
        if (strchr("mwMW@%", (int)code)) return 0.97;
        if (code >= 'A' && code <= 'Z') return 0.72;
        return 0.64;
    }
    bool wide = (code >= 0x1100 && code <= 0x115f) || (code >= 0x2e80 && code <= 0xa4cf) ||
                (code >= 0xac00 && code <= 0xd7a3) || (code >= 0xf900 && code <= 0xfaff) ||
                (code >= 0xff00 && code <= 0xff60) || code >= 0x1f000;
    return wide ? 1.05 : 0.72;
}

double nc_text_width(const char *text, double size)
{
    double width = 0;
    uint32_t code;
    for (size_t length; text && (length = nc_utf8_next(text, &code)) > 0; text += length) width += glyph_width(code);
    return width * size;
}

char *nc_text_fit(char fitted[NC_FITTED_SIZE], const char *text, double size, double room)
{
    static const char ellipsis[] = "\xe2\x80\xa6";
    double ellipsis_width = nc_text_width(ellipsis, size), width = 0;
    bool whole = nc_text_width(text, size) <= room;
    size_t used = 0;
    uint32_t code;
    for (size_t length; text && (length = nc_utf8_next(text, &code)) > 0; text += length) {
        const char *glyph = code == REPLACEMENT ? replacement_text : text;
        size_t bytes = code == REPLACEMENT ? strlen(replacement_text) : length;
        width += size * glyph_width(code);
        bool overflows = used + bytes + sizeof ellipsis > NC_FITTED_SIZE;
        if (overflows || (!whole && width + ellipsis_width > room)) {
            memcpy(fitted + used, ellipsis, sizeof ellipsis);
            return fitted;
        }
        memcpy(fitted + used, glyph, bytes);
        used += bytes;
    }
    fitted[used] = 0;
    return fitted;
}

/* ---- numbers ---- */

char *nacre_text_duration(char text[NACRE_NUMBER_SIZE], double seconds)
{
    if (!(seconds >= 0) || seconds > 1e9) {
        snprintf(text, NACRE_NUMBER_SIZE, "?");
        return text;
    }
    int64_t whole = (int64_t)(seconds + 0.5);
    int64_t days = whole / 86400, hours = whole / 3600 % 24, minutes = whole / 60 % 60;
    if (seconds < 9.95)
        snprintf(text, NACRE_NUMBER_SIZE, "%.1fs", seconds);
    else if (whole < 60)
        snprintf(text, NACRE_NUMBER_SIZE, "%" PRId64 "s", whole);
    else if (days)
        snprintf(text, NACRE_NUMBER_SIZE, "%" PRId64 "d %02" PRId64 ":%02" PRId64, days, hours, minutes);
    else if (hours)
        snprintf(text, NACRE_NUMBER_SIZE, "%" PRId64 ":%02" PRId64 ":%02" PRId64, hours, minutes, whole % 60);
    else
        snprintf(text, NACRE_NUMBER_SIZE, "%" PRId64 ":%02" PRId64, minutes, whole % 60);
    return text;
}

char *nacre_text_count(char text[NACRE_NUMBER_SIZE], int64_t count)
{
    char digits[NACRE_NUMBER_SIZE];
    int length = snprintf(digits, sizeof digits, "%" PRId64, count), used = 0;
    for (int i = 0; i < length; i++) {
        int left = length - i;
        if (i > 0 && left % 3 == 0 && digits[i - 1] != '-') text[used++] = ',';
        text[used++] = digits[i];
    }
    text[used] = 0;
    return text;
}

char *nacre_text_quantity(char text[NACRE_NUMBER_SIZE], double value)
{
    static const char *const units[] = {"", "k", "M", "G", "T", "P"};
    int unit = 0;
    double size = fabs(value);
    while (size >= 999.5 && unit < 5) {
        size /= 1000;
        unit++;
    }
    bool whole = unit == 0 && size == floor(size);
    int decimals = whole || size >= 99.95 ? 0 : size >= 9.995 ? 1 : 2;
    snprintf(text, NACRE_NUMBER_SIZE, "%s%.*f%s", value < 0 ? "-" : "", decimals, size, units[unit]);
    return text;
}

char *nacre_text_value(char text[NACRE_NUMBER_SIZE], double value)
{
    double size = fabs(value);
    if (!isfinite(value))
        snprintf(text, NACRE_NUMBER_SIZE, "%s", isnan(value) ? "nan" : value > 0 ? "inf" : "-inf");
    else if (value == floor(value) && size < 1e6)
        snprintf(text, NACRE_NUMBER_SIZE, "%.0f", value);
    else if (size < 1e-3 || size >= 1e6)
        snprintf(text, NACRE_NUMBER_SIZE, "%.3g", value);
    else
        snprintf(text, NACRE_NUMBER_SIZE, "%.*f", size < 10 ? 4 : size < 1000 ? 2 : 1, value);
    return text;
}

char *nc_short_text(char text[NACRE_NUMBER_SIZE], double value)
{
    if (fabs(value) >= 1000 && isfinite(value)) return nacre_text_quantity(text, value);
    snprintf(text, NACRE_NUMBER_SIZE, "%.3g", value);
    return text;
}

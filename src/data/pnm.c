/* data/pnm.c - the portable anymaps of Netpbm: P1 to P6, with comments in the header. */
#include "data/picture.h"

#include <string.h>

typedef struct cursor {
    const uint8_t *at, *end;
} cursor;

static bool is_blank(uint8_t c)
{
    return c == ' ' || (c >= '\t' && c <= '\r');
}

static void skip_blanks(cursor *text)
{
    while (text->at < text->end && (is_blank(*text->at) || *text->at == '#')) {
        if (*text->at++ != '#') continue;
        while (text->at < text->end && *text->at != '\n') text->at++;
    }
}

/* -1: no number, or one of more than nine digits. */
static int scan_number(cursor *text)
{
    skip_blanks(text);
    int value = 0, digits = 0;
    for (; text->at < text->end && *text->at >= '0' && *text->at <= '9'; text->at++, digits++)
        value = digits < 9 ? value * 10 + (*text->at - '0') : -1;
    return digits >= 1 && digits <= 9 ? value : -1;
}

/* In plain bitmaps digits need no blanks between them. */
static int scan_bit(cursor *text)
{
    skip_blanks(text);
    return text->at < text->end && (*text->at == '0' || *text->at == '1') ? *text->at++ - '0' : -1;
}

static uint8_t scale(int value, int most)
{
    return (uint8_t)((value * 255 + most / 2) / most);
}

static nacre_status fail_cut(const nc_picture *picture, int y)
{
    return nc_picture_fail(picture, NACRE_ERROR_FORMAT, "PNM: cut short or malformed in row %d", y);
}

static nacre_status decode_plain(const nc_picture *picture, cursor *text, uint8_t *row, int samples, int most)
{
    const nacre_image *image = picture->image;
    for (int y = 0; y < image->height; y++) {
        for (int i = 0; i < image->width * samples; i++) {
            int value = most ? scan_number(text) : scan_bit(text);
            if (value < 0 || value > (most ? most : 1)) return fail_cut(picture, y);
            row[i] = most ? scale(value, most) : value ? 0 : 255; /* in bitmaps 1 is black */
        }
        nc_picture_row(picture, y, row, samples);
    }
    return NACRE_OK;
}

static nacre_status decode_raw(const nc_picture *picture, cursor *text, uint8_t *row, int samples, int most)
{
    const nacre_image *image = picture->image;
    int count = image->width * samples, size = most > 255 ? 2 : 1;
    size_t pitch = most ? (size_t)count * (size_t)size : ((size_t)count + 7) / 8;
    for (int y = 0; y < image->height; y++, text->at += pitch) {
        if ((size_t)(text->end - text->at) < pitch) return fail_cut(picture, y);
        const uint8_t *in = text->at;
        for (int i = 0; i < count; i++) {
            if (!most) {
                row[i] = in[i / 8] >> (7 - i % 8) & 1 ? 0 : 255;
                continue;
            }
            int value = size == 1 ? in[i] : in[2 * i] << 8 | in[2 * i + 1];
            if (value > most) return fail_cut(picture, y);
            row[i] = most == 255 ? (uint8_t)value : scale(value, most);
        }
        nc_picture_row(picture, y, row, samples);
    }
    return NACRE_OK;
}

nacre_status nc_decode_pnm(const nc_picture *picture)
{
    cursor text = {picture->bytes + 2, picture->bytes + picture->size};
    int kind = picture->bytes[1] - '0'; /* 1 to 3 plain, 4 to 6 raw: bitmap, grey, colour */
    bool raw = kind > 3, bitmap = kind % 3 == 1;
    int width = scan_number(&text), height = scan_number(&text), most = bitmap ? 0 : scan_number(&text);
    if (width < 1 || height < 1 || (!bitmap && (most < 1 || most > 65535)))
        return nc_picture_fail(picture, NACRE_ERROR_FORMAT, "PNM: malformed header (width, height%s expected)",
                               bitmap ? "" : ", largest value from 1 to 65535");
    if (raw && (text.at == text.end || !is_blank(*text.at++))) return fail_cut(picture, 0);
    int samples = kind % 3 == 0 ? 3 : 1;
    uint8_t *row = nc_picture_reserve(picture, samples, height, width, (size_t)width * 3);
    if (!row) return nacre_check(picture->context);
    return (raw ? decode_raw : decode_plain)(picture, &text, row, samples, most);
}

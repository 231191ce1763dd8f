/* data/bmp.c - Windows bitmaps: every uncompressed kind (BITMAPCOREHEADER to BITMAPV5HEADER, 1 to 32 bits). */
#include "data/picture.h"

#include <stdlib.h>
#include <string.h>

enum { FILE_HEADER = 14, CORE_HEADER = 12, INFO_HEADER = 40, BI_RGB = 0, BI_BITFIELDS = 3, BI_ALPHABITFIELDS = 6 };

typedef struct bmp {
    const uint8_t *palette, *pixels;
    unsigned colours, entry; /* of the palette, and the bytes of one */
    int width, height, bits;
    bool top_down, grey; /* grey: every colour of the palette is */
    uint32_t masks[4];   /* red, green, blue, alpha; of 16 and 32 bits */
    size_t pitch;
} bmp;

static uint32_t load(const uint8_t *bytes, int count)
{
    uint32_t value = 0;
    while (count--) value = value << 8 | bytes[count];
    return value;
}

static nacre_status find_palette(const nc_picture *picture, bmp *file, size_t start, unsigned used, size_t end)
{
    unsigned most = 1u << file->bits;
    file->colours = used && used < most ? used : most;
    file->palette = picture->bytes + start;
    if (start > end || (size_t)file->colours * file->entry > end - start)
        return nc_picture_fail(picture, NACRE_ERROR_FORMAT, "BMP: the palette is cut short");
    file->grey = true;
    for (unsigned i = 0; i < file->colours; i++) {
        const uint8_t *entry = file->palette + i * file->entry;
        file->grey = file->grey && entry[0] == entry[1] && entry[1] == entry[2];
    }
    return NACRE_OK;
}

/* Masks stand where the 40 bytes of BITMAPINFOHEADER end, within a longer header or after it. */
static nacre_status set_masks(const nc_picture *picture, bmp *file, const uint8_t *header, size_t size,
                              unsigned compression)
{
    enum { LONG_HEADER = 56 }; /* from here on with an alpha mask */
    if (compression == BI_RGB) {
        const uint32_t narrow[4] = {0x7c00, 0x03e0, 0x001f, 0}, wide[4] = {0xff0000, 0xff00, 0xff, 0};
        memcpy(file->masks, file->bits == 16 ? narrow : wide, sizeof file->masks);
        return NACRE_OK;
    }
    int count = compression == BI_ALPHABITFIELDS || size >= LONG_HEADER ? 4 : 3;
    if (picture->size < (size_t)(FILE_HEADER + INFO_HEADER + 4 * count))
        return nc_picture_fail(picture, NACRE_ERROR_FORMAT, "BMP: cut short");
    for (int i = 0; i < count; i++) file->masks[i] = load(header + INFO_HEADER + 4 * i, 4);
    return NACRE_OK;
}

static nacre_status parse(const nc_picture *picture, bmp *file)
{
    const uint8_t *bytes = picture->bytes, *header = bytes + FILE_HEADER;
    if (picture->size < FILE_HEADER + INFO_HEADER)
        return nc_picture_fail(picture, NACRE_ERROR_FORMAT, "BMP: cut short");
    size_t offset = load(bytes + 10, 4), header_size = load(header, 4);
    bool core = header_size == CORE_HEADER;
    if ((!core && header_size < INFO_HEADER) || header_size > picture->size - FILE_HEADER)
        return nc_picture_fail(picture, NACRE_ERROR_FORMAT, "BMP: a header of %zu bytes", header_size);
    int64_t width = core ? (int32_t)load(header + 4, 2) : (int32_t)load(header + 4, 4);
    int64_t height = core ? (int32_t)load(header + 6, 2) : (int32_t)load(header + 8, 4);
    unsigned compression = core ? BI_RGB : load(header + 16, 4), used = core ? 0 : load(header + 32, 4);
    file->bits = (int)load(header + (core ? 10 : 14), 2);
    file->entry = core ? 3 : 4;
    file->top_down = height < 0;
    if (height < 0) height = -height;
    if (width < 1 || height < 1 || width > 1 << 28 || height > 1 << 28)
        return nc_picture_fail(picture, NACRE_ERROR_FORMAT, "BMP: %lld x %lld pixels", (long long)width,
                               (long long)height);
    file->width = (int)width;
    file->height = (int)height;
    bool masked = compression == BI_BITFIELDS || compression == BI_ALPHABITFIELDS;
    if (compression != BI_RGB && !(masked && (file->bits == 16 || file->bits == 32)))
        return nc_picture_fail(picture, NACRE_ERROR_UNSUPPORTED, "BMP: compression %u; save it uncompressed",
                               compression);
    nacre_status status;
    switch (file->bits) {
    case 1:
    case 4:
    case 8: status = find_palette(picture, file, FILE_HEADER + header_size, used, picture->size); break;
    case 16:
    case 24:
    case 32: status = set_masks(picture, file, header, header_size, compression); break;
    default: status = nc_picture_fail(picture, NACRE_ERROR_FORMAT, "BMP: %d bits per pixel", file->bits);
    }
    if (status != NACRE_OK) return status;
    file->pitch = ((size_t)width * (size_t)file->bits + 31) / 32 * 4;
    if (offset > picture->size || file->pitch > (picture->size - offset) / (size_t)height)
        return nc_picture_fail(picture, NACRE_ERROR_FORMAT,
                               "BMP: cut short: %zu bytes, %lld rows of %zu expected at %zu", picture->size,
                               (long long)height, file->pitch, offset);
    file->pixels = bytes + offset;
    return NACRE_OK;
}

static uint8_t pick(uint32_t pixel, uint32_t mask)
{
    if (!mask) return 0;
    int shift = __builtin_ctz(mask);
    uint32_t most = mask >> shift;
    return (uint8_t)(((uint64_t)((pixel & mask) >> shift) * 255 + most / 2) / most);
}

/* Interleaved samples of one row: 1 (grey palette), 3 or 4. False: an index beyond the palette. */
static bool expand_row(const bmp *file, const uint8_t *in, uint8_t *out, int samples)
{
    for (int x = 0; x < file->width; x++, out += samples) {
        if (file->bits <= 8) {
            int bit = x * file->bits;
            unsigned index = (unsigned)in[bit / 8] >> (8 - file->bits - bit % 8) & ((1u << file->bits) - 1);
            if (index >= file->colours) return false;
            const uint8_t *entry = file->palette + index * file->entry;
            for (int c = 0; c < samples; c++) out[c] = entry[samples == 1 ? 0 : 2 - c];
        } else {
            uint32_t pixel = load(in + (size_t)x * (size_t)(file->bits / 8), file->bits / 8);
            for (int c = 0; c < samples; c++) out[c] = pick(pixel, file->masks[c]);
        }
    }
    return true;
}

nacre_status nc_decode_bmp(const nc_picture *picture)
{
    bmp file = {0};
    nacre_status status = parse(picture, &file);
    if (status != NACRE_OK) return status;
    int samples = file.grey ? 1 : file.masks[3] ? 4 : 3;
    uint8_t *row = nc_picture_reserve(picture, samples == 1 ? 1 : 3, file.height, file.width, (size_t)file.width * 4);
    if (!row) return nacre_check(picture->context);
    for (int y = 0; y < file.height; y++) {
        const uint8_t *in = file.pixels + (size_t)(file.top_down ? y : file.height - 1 - y) * file.pitch;
        if (!expand_row(&file, in, row, samples))
            return nc_picture_fail(picture, NACRE_ERROR_FORMAT, "BMP: a pixel beyond the palette of %u colours",
                                   file.colours);
        nc_picture_row(picture, y, row, samples);
    }
    return NACRE_OK;
}

/* train/report_image.c - pictures inside the report: scaled down, as PNG, as base64 (RFC 4648). */
#include "train/report.h"

#include <math.h>

#ifdef NACRE_HAVE_PNG
static const bool can_encode = true;
#else
static const bool can_encode = false;
#endif

static void put_base64(nacre_buffer *out, const uint8_t *bytes, size_t size)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    for (size_t i = 0; i < size; i += 3) {
        size_t left = size - i;
        unsigned group = (unsigned)bytes[i] << 16;
        if (left > 1) group |= (unsigned)bytes[i + 1] << 8;
        if (left > 2) group |= bytes[i + 2];
        char text[4] = {digits[group >> 18], digits[group >> 12 & 63], left > 1 ? digits[group >> 6 & 63] : '=',
                        left > 2 ? digits[group & 63] : '='};
        nacre_buffer_put(out, text, sizeof text);
    }
}

static nacre_status put_picture(nacre_context *context, const nacre_image *image, const char *alt, nacre_buffer *out)
{
    nacre_buffer file = nacre_buffer_create(context);
    nacre_status status = nacre_image_encode_png(context, image, &file);
    if (!status) {
        nacre_buffer_print(out, "<img width=\"%d\" height=\"%d\" alt=\"", image->width, image->height);
        nc_put_escaped(out, alt);
        nacre_buffer_print(out, "\" src=\"data:image/png;base64,");
        put_base64(out, (const uint8_t *)file.data, file.size);
        nacre_buffer_print(out, "\"/>");
    }
    nacre_buffer_destroy(&file);
    return status;
}

nacre_status nc_put_image(nacre_context *context, const nacre_image *image, size_t most_bytes, const char *alt,
                          nacre_buffer *out)
{
    if (!can_encode || !image->pixels) return NACRE_OK;
    double bytes = (double)image->width * image->height * image->channels;
    double scale = sqrt((double)most_bytes / bytes);
    if (scale >= 1) return put_picture(context, image, alt, out);
    nacre_image small = {0};
    int width = (int)fmax(image->width * scale, 1), height = (int)fmax(image->height * scale, 1);
    nacre_status status = nacre_image_resize(context, image, height, width, true, &small);
    if (!status) status = put_picture(context, &small, alt, out);
    nacre_image_release(context, &small);
    return status;
}

/* image.h - pictures as bytes: decode, resize, encode.
 *
 * A nacre_image is planar like everything in Nacre: channels, rows, columns. It is reusable scratch: decoding into the
 * same image again takes no memory while the picture is no larger than one seen before.
 *
 *     nacre_image picture = {0};
 *     if (nacre_image_read(ctx, "cat.jpg", 3, &picture) == NACRE_OK) ...   // pixels: u8[3, height, width]
 *     nacre_image_release(ctx, &picture);
 */
#ifndef NACRE_IMAGE_H
#define NACRE_IMAGE_H

#include <nacre/base.h>
#include <nacre/io.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct nacre_image {
    int channels, height, width; /* channels: 1 grey, 3 red green blue */
    uint8_t *pixels;             /* channels * height * width, dense */
    size_t capacity;             /* bytes behind `pixels` */
} nacre_image;

NACRE_API void nacre_image_release(nacre_context *context, nacre_image *image);
/* Sets the sizes and makes room; the pixels are undefined. An image of more than 2^28 bytes is refused. */
NACRE_API nacre_status nacre_image_reserve(nacre_context *context, nacre_image *image, int channels, int height,
                                           int width);

/* Recognised by their first bytes, never by name: PNG and JPEG (where built with libpng and libjpeg), BMP (1 to 32
 * bits, not compressed), PNM (P1 to P6: bitmap, grey and colour, plain and raw). 16-bit samples are reduced to 8,
 * transparency is laid over white, the orientation that cameras write into a JPEG is applied.
 *
 * `channels` 1 or 3 converts (grey = 0.299 R + 0.587 G + 0.114 B, ITU-R BT.601), 0 keeps what the file has. `name` is
 * for messages. Anything missing, cut short or with a wrong checksum is NACRE_ERROR_FORMAT: a torn picture is never
 * returned as if it were whole. Safe from several threads with a context and an image each. */
NACRE_API nacre_status nacre_image_decode(nacre_context *context, const char *name, const void *bytes, size_t size,
                                          int channels, nacre_image *image);
NACRE_API nacre_status nacre_image_read(nacre_context *context, const char *path, int channels, nacre_image *image);
/* "png", "jpeg", "bmp" or "pnm" by the first bytes; NULL: none of them. */
NACRE_API const char *nacre_image_format(const void *bytes, size_t size);
/* Whether a file's name ends like one of them (.png .jpg .jpeg .bmp .pbm .pgm .ppm .pnm, in any case). */
NACRE_API bool nacre_image_has_name(const char *path);

/* Appends a PNG to `png`; or writes a file, replaced atomically. */
NACRE_API nacre_status nacre_image_encode_png(nacre_context *context, const nacre_image *image, nacre_buffer *png);
NACRE_API nacre_status nacre_image_write_png(nacre_context *context, const nacre_image *image, const char *path);

/* Appends a JPEG of this quality (1 to 100), with halved chroma (4:2:0) where there is colour. */
NACRE_API nacre_status nacre_image_encode_jpeg(nacre_context *context, const nacre_image *image, int quality,
                                               nacre_buffer *jpeg);

/* ---- resampling ------------------------------------------------------------------------------------------------ */

/* Bilinear, pixel centres at half positions (align_corners = false). `antialias` widens the triangle when shrinking so
 * that every source pixel counts, as PIL and torchvision do; without it two neighbours per axis are read. */
NACRE_API nacre_status nacre_image_resize(nacre_context *context, const nacre_image *source, int height, int width,
                                          bool antialias, nacre_image *target);

/* Planes of numbers, u8 or f32, or a window of them: rows and planes may lie further apart than they are long. */
typedef struct nacre_planes {
    nacre_dtype dtype;
    const void *data; /* the window's first element */
    int planes, height, width;
    int64_t row_stride, plane_stride; /* in elements; 0: dense */
} nacre_planes;
/* The same on such planes. The target [planes, target_height, target_width] is f32, dense and not rounded; pixels
 * outside the window do not count. The work area grows to what is needed and is reused; nacre_release(context,
 * work->block) frees it. */
typedef struct nacre_work {
    void *block;
    size_t capacity;
} nacre_work;
NACRE_API nacre_status nacre_resample(nacre_context *context, nacre_work *work, const nacre_planes *source,
                                      float *target, int target_height, int target_width, bool antialias);

#ifdef __cplusplus
}
#endif

#endif

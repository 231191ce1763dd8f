/* data/picture.h - the decoders behind nacre_image_decode. */
#ifndef NC_DATA_PICTURE_H
#define NC_DATA_PICTURE_H

#include <nacre/image.h>

/* A decoder's task: fill `image` with 1 or 3 channels, whichever comes naturally; `channels` is only a hint. */
typedef struct nc_picture {
    nacre_context *context;
    const char *name;
    const uint8_t *bytes;
    size_t size;
    int channels;
    nacre_image *image;
} nc_picture;

nacre_status nc_decode_png(const nc_picture *picture);
nacre_status nc_decode_jpeg(const nc_picture *picture);
nacre_status nc_decode_bmp(const nc_picture *picture);
nacre_status nc_decode_pnm(const nc_picture *picture);

nacre_status nc_picture_fail(const nc_picture *picture, nacre_status status, const char *format, ...)
    NACRE_PRINTF(3, 4);
/* Sizes the image and makes room for `extra` bytes behind its pixels, which a decoder may use as it likes: so decoding
 * takes no memory of ours from picture to picture. NULL after a failure. */
uint8_t *nc_picture_reserve(const nc_picture *picture, int channels, int height, int width, size_t extra);
/* One row of interleaved samples (1 grey, 2 grey alpha, 3 colour, 4 colour alpha) into the planes. */
void nc_picture_row(const nc_picture *picture, int y, const uint8_t *row, int samples);
/* Turns the picture as EXIF orientation 1 to 8 says. There must be room for a copy behind the pixels. */
void nc_picture_orient(const nc_picture *picture, int orientation);

#endif

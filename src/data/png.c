/* data/png.c - PNG by libpng, whose errors jump: each jump lands in the function that set it up. */
#include "data/picture.h"

#ifdef NACRE_HAVE_PNG

#include <png.h>
#include <setjmp.h>
#include <stdio.h>
#include <string.h>

typedef struct png_state {
    char reason[128];
    const uint8_t *bytes; /* reading: what is left */
    size_t size;
    nacre_buffer *output; /* writing */
    png_bytepp rows;
} png_state;

static _Noreturn void on_error(png_structp png, png_const_charp reason)
{
    png_state *state = png_get_error_ptr(png);
    snprintf(state->reason, sizeof state->reason, "%s", reason);
    longjmp(png_jmpbuf(png), 1);
}

static void on_warning(png_structp png, png_const_charp reason)
{
    (void)png;
    (void)reason;
}

/* ---- reading ---- */

static void take_bytes(png_structp png, png_bytep target, size_t size)
{
    png_state *state = png_get_io_ptr(png);
    if (size > state->size) png_error(png, "cut short");
    memcpy(target, state->bytes, size);
    state->bytes += size;
    state->size -= size;
}

/* Whatever the file has becomes 8-bit samples, 1 to 4 per pixel. */
static int set_up_conversions(png_structp png, png_infop info)
{
    int depth = png_get_bit_depth(png, info), colour = png_get_color_type(png, info);
    if (colour == PNG_COLOR_TYPE_PALETTE) png_set_palette_to_rgb(png);
    if (colour == PNG_COLOR_TYPE_GRAY && depth < 8) png_set_expand_gray_1_2_4_to_8(png);
    if (png_get_valid(png, info, PNG_INFO_tRNS)) png_set_tRNS_to_alpha(png);
    if (depth == 16) png_set_scale_16(png);
    png_set_interlace_handling(png);
    png_read_update_info(png, info);
    return png_get_channels(png, info);
}

/* An interlaced picture arrives in seven passes over all rows, so all rows are kept until the end. */
static nacre_status decode(const nc_picture *picture, png_structp png, png_infop info, png_state *state)
{
    if (setjmp(png_jmpbuf(png))) return nc_picture_fail(picture, NACRE_ERROR_FORMAT, "PNG: %s", state->reason);
    png_set_crc_action(png, PNG_CRC_ERROR_QUIT, PNG_CRC_ERROR_QUIT); /* also where it would only warn */
    png_set_read_fn(png, state, take_bytes);
    png_read_info(png, info);
    int height = (int)png_get_image_height(png, info), width = (int)png_get_image_width(png, info);
    int samples = set_up_conversions(png, info);
    size_t pitch = (size_t)width * (size_t)samples;
    /* The row pointers follow the rows; 8 bytes to align them. */
    uint8_t *rows = nc_picture_reserve(picture, samples < 3 ? 1 : 3, height, width,
                                       (size_t)height * (pitch + sizeof(png_bytep)) + sizeof(png_bytep));
    if (!rows) return NACRE_ERROR_MEMORY;
    uintptr_t end = (uintptr_t)(rows + (size_t)height * pitch);
    state->rows = (png_bytepp)((end + sizeof(png_bytep) - 1) / sizeof(png_bytep) * sizeof(png_bytep));
    for (int y = 0; y < height; y++) state->rows[y] = rows + (size_t)y * pitch;
    png_read_image(png, state->rows);
    png_read_end(png, NULL);
    for (int y = 0; y < height; y++) nc_picture_row(picture, y, rows + (size_t)y * pitch, samples);
    return NACRE_OK;
}

nacre_status nc_decode_png(const nc_picture *picture)
{
    png_state state = {.bytes = picture->bytes, .size = picture->size};
    png_structp png = png_create_read_struct(PNG_LIBPNG_VER_STRING, &state, on_error, on_warning);
    png_infop info = png ? png_create_info_struct(png) : NULL;
    nacre_status status;
    if (info)
        status = decode(picture, png, info, &state);
    else
        status = nc_picture_fail(picture, NACRE_ERROR_MEMORY, "out of memory for the PNG decoder");
    png_destroy_read_struct(&png, &info, NULL);
    return status;
}

/* ---- writing ---- */

static void give_bytes(png_structp png, png_bytep bytes, size_t size)
{
    png_state *state = png_get_io_ptr(png);
    nacre_buffer_put(state->output, bytes, size);
    if (state->output->failed) png_error(png, "out of memory");
}

static void flush_nothing(png_structp png)
{
    (void)png;
}

static nacre_status encode(nacre_context *context, const nacre_image *image, png_structp png, png_infop info,
                           png_state *state, uint8_t *row)
{
    if (setjmp(png_jmpbuf(png)))
        return state->output->failed ? NACRE_ERROR_MEMORY
                                     : nacre_fail(context, NACRE_ERROR_IO, "cannot encode PNG: %s", state->reason);
    size_t plane = (size_t)image->height * (size_t)image->width, channels = (size_t)image->channels;
    png_set_write_fn(png, state, give_bytes, flush_nothing);
    png_set_IHDR(png, info, (png_uint_32)image->width, (png_uint_32)image->height, 8,
                 channels == 1 ? PNG_COLOR_TYPE_GRAY : PNG_COLOR_TYPE_RGB, PNG_INTERLACE_NONE,
                 PNG_COMPRESSION_TYPE_DEFAULT, PNG_FILTER_TYPE_DEFAULT);
    png_write_info(png, info);
    for (int y = 0; y < image->height; y++) {
        for (int x = 0; x < image->width; x++)
            for (size_t c = 0; c < channels; c++)
                row[(size_t)x * channels + c] = image->pixels[c * plane + (size_t)y * (size_t)image->width + (size_t)x];
        png_write_row(png, row);
    }
    png_write_end(png, info);
    return NACRE_OK;
}

nacre_status nacre_image_encode_png(nacre_context *context, const nacre_image *image, nacre_buffer *output)
{
    if (image->channels != 1 && image->channels != 3)
        return nacre_fail(context, NACRE_ERROR_ARGUMENT, "PNG of %d channels; 1 and 3 are possible", image->channels);
    png_state state = {.output = output};
    uint8_t *row = nacre_allocate(context, (size_t)image->width * (size_t)image->channels);
    if (!row) return NACRE_ERROR_MEMORY;
    png_structp png = png_create_write_struct(PNG_LIBPNG_VER_STRING, &state, on_error, on_warning);
    png_infop info = png ? png_create_info_struct(png) : NULL;
    nacre_status status;
    if (info)
        status = encode(context, image, png, info, &state, row);
    else
        status = nacre_fail(context, NACRE_ERROR_MEMORY, "out of memory for the PNG encoder");
    png_destroy_write_struct(&png, &info);
    nacre_release(context, row);
    return status;
}

#else

nacre_status nc_decode_png(const nc_picture *picture)
{
    return nc_picture_fail(picture, NACRE_ERROR_UNSUPPORTED, "PNG, and this build has no libpng");
}

nacre_status nacre_image_encode_png(nacre_context *context, const nacre_image *image, nacre_buffer *output)
{
    (void)image;
    (void)output;
    return nacre_fail(context, NACRE_ERROR_UNSUPPORTED, "PNG asked for, and this build has no libpng");
}

#endif

nacre_status nacre_image_write_png(nacre_context *context, const nacre_image *image, const char *path)
{
    nacre_buffer png = nacre_buffer_create(context);
    nacre_status status = nacre_image_encode_png(context, image, &png);
    if (status == NACRE_OK) status = nacre_file_write(context, path, png.data, png.size);
    nacre_buffer_destroy(&png);
    return status;
}

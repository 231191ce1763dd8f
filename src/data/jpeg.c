/* data/jpeg.c - JPEG by libjpeg, whose errors jump: each jump lands in the function that set it up. */
#include "data/picture.h"

#ifdef NACRE_HAVE_JPEG

#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <jpeglib.h>
#include <jerror.h>

typedef struct jpeg_state {
    struct jpeg_decompress_struct decoder;
    struct jpeg_error_mgr errors;
    jmp_buf escape;
    char reason[JMSG_LENGTH_MAX];
} jpeg_state;

static _Noreturn void on_error(j_common_ptr common)
{
    jpeg_state *state = common->client_data;
    common->err->format_message(common, state->reason);
    longjmp(state->escape, 1);
}

/* libjpeg warns and fills with grey where data are missing or torn. That would be learned from in silence, so it is an
 * error; only bytes between segments, which many cameras leave, do no harm. */
static void on_message(j_common_ptr common, int level)
{
    if (level < 0 && common->err->msg_code != JWRN_EXTRANEOUS_DATA) on_error(common);
}

/* ---- orientation: the tag 0x0112 of EXIF, a TIFF directory inside the APP1 segment ---- */

static unsigned load(const uint8_t *bytes, int count, bool big_endian)
{
    unsigned value = 0;
    for (int i = 0; i < count; i++) value = value << 8 | bytes[big_endian ? i : count - 1 - i];
    return value;
}

static int read_orientation(const uint8_t *tiff, size_t size)
{
    enum { HEADER = 8, ENTRY = 12, ORIENTATION = 0x0112 };
    if (size < HEADER || (memcmp(tiff, "II*\0", 4) && memcmp(tiff, "MM\0*", 4))) return 1;
    bool big_endian = *tiff == 'M';
    size_t at = load(tiff + 4, 4, big_endian);
    if (at > size - 2) return 1;
    unsigned entries = load(tiff + at, 2, big_endian);
    at += 2;
    for (; entries > 0 && at + ENTRY <= size; entries--, at += ENTRY)
        if (load(tiff + at, 2, big_endian) == ORIENTATION) return (int)load(tiff + at + 8, 2, big_endian);
    return 1;
}

static int find_orientation(const struct jpeg_decompress_struct *decoder)
{
    for (jpeg_saved_marker_ptr marker = decoder->marker_list; marker; marker = marker->next)
        if (marker->marker == JPEG_APP0 + 1 && marker->data_length > 6 && !memcmp(marker->data, "Exif\0\0", 6))
            return read_orientation(marker->data + 6, marker->data_length - 6);
    return 1;
}

/* ---- decoding ---- */

static nacre_status decode(const nc_picture *picture, jpeg_state *state)
{
    struct jpeg_decompress_struct *decoder = &state->decoder;
    if (setjmp(state->escape)) return nc_picture_fail(picture, NACRE_ERROR_FORMAT, "JPEG: %s", state->reason);
    jpeg_create_decompress(decoder);
    decoder->client_data = state;
    jpeg_mem_src(decoder, picture->bytes, (unsigned long)picture->size);
    jpeg_save_markers(decoder, JPEG_APP0 + 1, 0xffff);
    jpeg_read_header(decoder, TRUE);
    if (decoder->num_components == 4)
        return nc_picture_fail(picture, NACRE_ERROR_UNSUPPORTED, "JPEG in CMYK; convert it to RGB");
    bool grey = decoder->num_components == 1 || (picture->channels == 1 && decoder->jpeg_color_space == JCS_YCbCr);
    decoder->out_color_space = grey ? JCS_GRAYSCALE : JCS_RGB; /* the Y of YCbCr is the grey of BT.601 */
    decoder->dct_method = JDCT_ISLOW;
    jpeg_start_decompress(decoder);
    int channels = grey ? 1 : 3, height = (int)decoder->output_height, width = (int)decoder->output_width;
    size_t size = (size_t)channels * (size_t)height * (size_t)width; /* for turning; a row needs less */
    uint8_t *row = nc_picture_reserve(picture, channels, height, width, size);
    if (!row) return NACRE_ERROR_MEMORY;
    while (decoder->output_scanline < decoder->output_height) {
        int y = (int)decoder->output_scanline;
        jpeg_read_scanlines(decoder, &row, 1);
        nc_picture_row(picture, y, row, channels);
    }
    int orientation = find_orientation(decoder);
    jpeg_finish_decompress(decoder);
    nc_picture_orient(picture, orientation);
    return NACRE_OK;
}

nacre_status nc_decode_jpeg(const nc_picture *picture)
{
    jpeg_state state = {.decoder.client_data = &state};
    state.decoder.err = jpeg_std_error(&state.errors);
    state.errors.error_exit = on_error;
    state.errors.emit_message = on_message;
    nacre_status status = decode(picture, &state);
    jpeg_destroy_decompress(&state.decoder);
    return status;
}

/* ---- encoding ---- */

typedef struct jpeg_writer {
    struct jpeg_compress_struct encoder;
    struct jpeg_error_mgr errors;
    jmp_buf escape;
    char reason[JMSG_LENGTH_MAX];
    unsigned char *bytes; /* libjpeg's own */
    unsigned long size;
} jpeg_writer;

static _Noreturn void on_write_error(j_common_ptr common)
{
    jpeg_writer *writer = common->client_data;
    common->err->format_message(common, writer->reason);
    longjmp(writer->escape, 1);
}

static nacre_status encode(nacre_context *context, const nacre_image *image, int quality, jpeg_writer *writer,
                           uint8_t *row)
{
    struct jpeg_compress_struct *encoder = &writer->encoder;
    if (setjmp(writer->escape)) return nacre_fail(context, NACRE_ERROR_MEMORY, "JPEG: %s", writer->reason);
    jpeg_create_compress(encoder);
    encoder->client_data = writer;
    jpeg_mem_dest(encoder, &writer->bytes, &writer->size);
    encoder->image_width = (JDIMENSION)image->width;
    encoder->image_height = (JDIMENSION)image->height;
    encoder->input_components = image->channels;
    encoder->in_color_space = image->channels == 1 ? JCS_GRAYSCALE : JCS_RGB;
    jpeg_set_defaults(encoder);
    jpeg_set_quality(encoder, quality, TRUE);
    jpeg_start_compress(encoder, TRUE);
    const size_t width = (size_t)image->width, plane = width * (size_t)image->height;
    for (size_t y = 0; y < (size_t)image->height; y++) {
        for (size_t x = 0; x < width; x++)
            for (size_t c = 0; c < (size_t)image->channels; c++)
                row[x * (size_t)image->channels + c] = image->pixels[c * plane + y * width + x];
        jpeg_write_scanlines(encoder, &row, 1);
    }
    jpeg_finish_compress(encoder);
    return NACRE_OK;
}

nacre_status nacre_image_encode_jpeg(nacre_context *context, const nacre_image *image, int quality,
                                     nacre_buffer *output)
{
    if ((image->channels != 1 && image->channels != 3) || quality < 1 || quality > 100)
        return nacre_fail(
            context, NACRE_ERROR_ARGUMENT,
            "JPEG of %d channels and quality %d; 1 or 3 channels and a quality from 1 to 100 are possible",
            image->channels, quality);
    jpeg_writer writer = {.encoder.client_data = &writer};
    writer.encoder.err = jpeg_std_error(&writer.errors);
    writer.errors.error_exit = on_write_error;
    uint8_t *row = nacre_allocate(context, (size_t)image->width * (size_t)image->channels);
    if (!row) return NACRE_ERROR_MEMORY;
    nacre_status status = encode(context, image, quality, &writer, row);
    jpeg_destroy_compress(&writer.encoder);
    if (status == NACRE_OK) nacre_buffer_put(output, writer.bytes, writer.size);
    free(writer.bytes);
    nacre_release(context, row);
    return status ? status : nacre_check(context);
}

#else

nacre_status nacre_image_encode_jpeg(nacre_context *context, const nacre_image *image, int quality,
                                     nacre_buffer *output)
{
    (void)image;
    (void)quality;
    (void)output;
    return nacre_fail(context, NACRE_ERROR_UNSUPPORTED, "JPEG asked for, and this build has no libjpeg");
}

nacre_status nc_decode_jpeg(const nc_picture *picture)
{
    return nc_picture_fail(picture, NACRE_ERROR_UNSUPPORTED, "JPEG, and this build has no libjpeg");
}

#endif

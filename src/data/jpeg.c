/* data/jpeg.c - JPEG by libjpeg, whose errors jump: each jump lands in the function that set it up. */
#include "data/picture.h"

#ifdef NACRE_HAVE_JPEG

#include <setjmp.h>
#include <stdio.h>
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

#else

nacre_status nc_decode_jpeg(const nc_picture *picture)
{
    return nc_picture_fail(picture, NACRE_ERROR_UNSUPPORTED, "JPEG, and this build has no libjpeg");
}

#endif

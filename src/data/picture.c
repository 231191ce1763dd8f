/* data/picture.c - images whatever their format: recognise, decode, convert, resample. */
#include "data/picture.h"
#include "data/stream.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

enum { BYTE_LIMIT = 1 << 28 };

/* ---- memory ---- */

void nacre_image_release(nacre_context *context, nacre_image *image)
{
    if (!image) return;
    nacre_release(context, image->pixels);
    *image = (nacre_image){0};
}

static nacre_status reserve(nacre_context *context, nacre_image *image, int channels, int height, int width,
                            size_t extra)
{
    if (channels < 1 || height < 1 || width < 1 || (int64_t)height * width > BYTE_LIMIT / channels)
        return nacre_fail(context, NACRE_ERROR_FORMAT,
                          "an image of %d x %d x %d; from 1 x 1 x 1 to %d bytes are possible", channels, height, width,
                          BYTE_LIMIT);
    size_t size = (size_t)channels * (size_t)height * (size_t)width + extra;
    if (size > image->capacity) {
        uint8_t *pixels = nacre_resize(context, image->pixels, size);
        if (!pixels) return NACRE_ERROR_MEMORY;
        image->pixels = pixels;
        image->capacity = size;
    }
    image->channels = channels;
    image->height = height;
    image->width = width;
    return NACRE_OK;
}

nacre_status nacre_image_reserve(nacre_context *context, nacre_image *image, int channels, int height, int width)
{
    return reserve(context, image, channels, height, width, 0);
}

static size_t plane_size(const nacre_image *image)
{
    return (size_t)image->height * (size_t)image->width;
}

/* ---- what decoders use ---- */

nacre_status nc_picture_fail(const nc_picture *picture, nacre_status status, const char *format, ...)
{
    char message[256];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(message, sizeof message, format, arguments);
    va_end(arguments);
    return nacre_fail(picture->context, status, "%s: %s", picture->name, message);
}

uint8_t *nc_picture_reserve(const nc_picture *picture, int channels, int height, int width, size_t extra)
{
    nacre_image *image = picture->image;
    if (height < 1 || width < 1 || (int64_t)height * width > BYTE_LIMIT / channels) {
        nc_picture_fail(picture, NACRE_ERROR_FORMAT, "%d x %d pixels; from 1 x 1 to %d bytes are possible", width,
                        height, BYTE_LIMIT);
        return NULL;
    }
    if (reserve(picture->context, image, channels, height, width, extra) != NACRE_OK) return NULL;
    return image->pixels + (size_t)channels * plane_size(image);
}

/* Laid over white. */
static uint8_t blend(unsigned value, unsigned alpha)
{
    return (uint8_t)((value * alpha + 255 * (255 - alpha) + 127) / 255);
}

void nc_picture_row(const nc_picture *picture, int y, const uint8_t *row, int samples)
{
    const nacre_image *image = picture->image;
    size_t plane = plane_size(image), width = (size_t)image->width;
    bool alpha = samples % 2 == 0;
    for (int c = 0; c < image->channels; c++) {
        uint8_t *out = image->pixels + (size_t)c * plane + (size_t)y * width;
        const uint8_t *in = row + c, *opacity = row + samples - 1;
        size_t step = (size_t)samples;
        if (alpha)
            for (size_t x = 0; x < width; x++) out[x] = blend(in[x * step], opacity[x * step]);
        else
            for (size_t x = 0; x < width; x++) out[x] = in[x * step];
    }
}

void nc_picture_orient(const nc_picture *picture, int orientation)
{
    nacre_image *image = picture->image;
    if (orientation < 2 || orientation > 8) return;
    /* Where the target's pixel (y, x) comes from: mirrored in x, in y, and with the axes exchanged. */
    bool exchanged = orientation >= 5;
    bool mirror_x = orientation == 2 || orientation == 3 || orientation == 7 || orientation == 8;
    bool mirror_y = orientation == 3 || orientation == 4 || orientation == 6 || orientation == 7;
    int height = exchanged ? image->width : image->height, width = exchanged ? image->height : image->width;
    size_t plane = plane_size(image), size = plane * (size_t)image->channels;
    const uint8_t *source = memcpy(image->pixels + size, image->pixels, size);
    uint8_t *out = image->pixels;
    for (int c = 0; c < image->channels; c++, source += plane)
        for (int y = 0; y < height; y++)
            for (int x = 0; x < width; x++) {
                int from_y = exchanged ? x : y, from_x = exchanged ? y : x;
                if (mirror_y) from_y = image->height - 1 - from_y;
                if (mirror_x) from_x = image->width - 1 - from_x;
                *out++ = source[(size_t)from_y * (size_t)image->width + (size_t)from_x];
            }
    image->height = height;
    image->width = width;
}

/* ---- decoding ---- */

static const struct {
    const char *name, *magic;
    size_t size;
    nacre_status (*decode)(const nc_picture *picture);
} FORMATS[] = {
    {"png", "\x89PNG\r\n\x1a\n", 8, nc_decode_png},
    {"jpeg", "\xff\xd8\xff", 3, nc_decode_jpeg},
    {"bmp", "BM", 2, nc_decode_bmp},
    {"pnm", "P1", 2, nc_decode_pnm},
    {"pnm", "P2", 2, nc_decode_pnm},
    {"pnm", "P3", 2, nc_decode_pnm},
    {"pnm", "P4", 2, nc_decode_pnm},
    {"pnm", "P5", 2, nc_decode_pnm},
    {"pnm", "P6", 2, nc_decode_pnm},
};
enum { FORMAT_COUNT = sizeof FORMATS / sizeof *FORMATS };

static int find_format(const void *bytes, size_t size)
{
    int i = 0;
    while (i < FORMAT_COUNT && (size < FORMATS[i].size || memcmp(bytes, FORMATS[i].magic, FORMATS[i].size))) i++;
    return i;
}

const char *nacre_image_format(const void *bytes, size_t size)
{
    int format = find_format(bytes, size);
    return format < FORMAT_COUNT ? FORMATS[format].name : NULL;
}

bool nacre_image_has_name(const char *path)
{
    static const char *const ENDINGS[] = {".png", ".jpg", ".jpeg", ".bmp", ".pbm", ".pgm", ".ppm", ".pnm"};
    for (size_t i = 0; i < sizeof ENDINGS / sizeof *ENDINGS; i++)
        if (nc_ends_with(path, ENDINGS[i])) return true;
    return false;
}

static void make_grey(nacre_image *image)
{
    size_t plane = plane_size(image);
    uint8_t *red = image->pixels, *green = red + plane, *blue = green + plane;
    for (size_t i = 0; i < plane; i++) /* weights * 2^16, which add up to 2^16 */
        red[i] = (uint8_t)((19595u * red[i] + 38470u * green[i] + 7471u * blue[i] + 32768u) >> 16);
    image->channels = 1;
}

static nacre_status convert(nacre_context *context, nacre_image *image, int channels)
{
    if (channels == 0 || channels == image->channels) return NACRE_OK;
    if (channels == 1) {
        make_grey(image);
        return NACRE_OK;
    }
    nacre_status status = reserve(context, image, channels, image->height, image->width, 0);
    size_t plane = plane_size(image);
    for (int c = 1; status == NACRE_OK && c < channels; c++)
        memcpy(image->pixels + (size_t)c * plane, image->pixels, plane);
    return status;
}

nacre_status nacre_image_decode(nacre_context *context, const char *name, const void *bytes, size_t size, int channels,
                                nacre_image *image)
{
    if (channels != 0 && channels != 1 && channels != 3)
        return nacre_fail(context, NACRE_ERROR_ARGUMENT, "%s: %d channels asked for; 0, 1 or 3 are possible", name,
                          channels);
    int format = find_format(bytes, size);
    if (format == FORMAT_COUNT)
        return nacre_fail(context, NACRE_ERROR_FORMAT, "%s: not a PNG, JPEG, BMP or PNM picture", name);
    nc_picture picture = {context, name, bytes, size, channels, image};
    nacre_status status = FORMATS[format].decode(&picture);
    return status == NACRE_OK ? convert(context, image, channels) : status;
}

nacre_status nacre_image_read(nacre_context *context, const char *path, int channels, nacre_image *image)
{
    size_t size;
    char *bytes = nacre_file_read(context, path, 0, &size);
    if (!bytes) return nacre_check(context);
    nacre_status status = nacre_image_decode(context, path, bytes, size, channels, image);
    nacre_release(context, bytes);
    return status;
}

/* ---- resampling ---- */

/* For each target position which source positions count how much. */
typedef struct filter {
    int *starts, *counts;
    float *weights; /* `limit` for each */
    int limit;
} filter;

static double filter_radius(int from, int to, bool antialias)
{
    return antialias && from > to ? (double)from / to : 1;
}

static int tap_limit(int from, int to, bool antialias)
{
    return (int)ceil(filter_radius(from, to, antialias)) * 2 + 1;
}

static void fill_filter(filter *taps, int from, int to, bool antialias)
{
    double scale = (double)from / to, radius = filter_radius(from, to, antialias);
    for (int i = 0; i < to; i++) {
        double centre = (i + 0.5) * scale, sum = 0;
        int start = (int)(centre - radius + 0.5), end = (int)(centre + radius + 0.5);
        if (start < 0) start = 0;
        if (end > from) end = from;
        if (end - start > taps->limit) end = start + taps->limit;
        float *weights = taps->weights + (size_t)i * (size_t)taps->limit;
        for (int k = start; k < end; k++) {
            double weight = 1 - fabs((k + 0.5 - centre) / radius);
            weights[k - start] = weight > 0 ? (float)weight : 0;
            sum += weights[k - start];
        }
        for (int k = start; k < end; k++) weights[k - start] = (float)(weights[k - start] / sum);
        for (int k = end - start; k < taps->limit; k++) weights[k] = 0;
        taps->starts[i] = start;
        taps->counts[i] = end - start;
    }
}

/* `taps` is a number known where this is inlined, so that the sums are unrolled; weights past the counted ones are 0.
 */
static inline void weigh_row(const filter *f, const float *source, float *target, int width, int taps)
{
    for (int x = 0; x < width; x++) {
        const float *weights = f->weights + (size_t)x * (size_t)f->limit, *from = source + f->starts[x];
        float sum = 0;
        for (int k = 0; k < taps; k++) sum += weights[k] * from[k];
        target[x] = sum;
    }
}

/* `line` has room for a source row and the reach of the last taps beyond it. */
static void resample_row(const filter *taps, nacre_dtype dtype, const void *source, int from, float *line,
                         float *target, int width)
{
    if (dtype == NACRE_U8)
        for (int x = 0; x < from; x++) line[x] = ((const uint8_t *)source)[x];
    else
        memcpy(line, source, (size_t)from * sizeof *line);
    memset(line + from, 0, (size_t)taps->limit * sizeof *line);
    if (taps->limit == 3)
        weigh_row(taps, line, target, width, 3); /* enlarging */
    else if (taps->limit == 5)
        weigh_row(taps, line, target, width, 5); /* shrinking to a half or more */
    else
        weigh_row(taps, line, target, width, taps->limit);
}

static void blend_rows(const filter *taps, int y, const float *rows, float *target, int width)
{
    const float *weights = taps->weights + (size_t)y * (size_t)taps->limit;
    memset(target, 0, (size_t)width * sizeof *target);
    for (int k = 0; k < taps->counts[y]; k++) {
        const float *row = rows + (size_t)(taps->starts[y] + k) * (size_t)width;
        for (int x = 0; x < width; x++) target[x] += weights[k] * row[x];
    }
}

static char *place_filter(filter *taps, char *block, int from, int to, bool antialias)
{
    taps->limit = tap_limit(from, to, antialias);
    taps->starts = (int *)block;
    taps->counts = taps->starts + to;
    taps->weights = (float *)(taps->counts + to);
    return (char *)(taps->weights + (size_t)to * (size_t)taps->limit);
}

static size_t filter_size(int from, int to, bool antialias)
{
    return (size_t)to * (2 * sizeof(int) + sizeof(float) * (size_t)tap_limit(from, to, antialias));
}

nacre_status nacre_resample(nacre_context *context, nacre_work *work, const nacre_planes *source, float *target,
                            int target_height, int target_width, bool antialias)
{
    const int height = source->height, width = source->width;
    if (source->dtype != NACRE_U8 && source->dtype != NACRE_F32)
        return nacre_fail(context, NACRE_ERROR_DTYPE, "resampling %s; u8 and f32 are possible",
                          nacre_dtype_name(source->dtype));
    if (height < 1 || width < 1 || target_height < 1 || target_width < 1)
        return nacre_fail(context, NACRE_ERROR_SHAPE, "resampling %d x %d to %d x %d; sizes must be positive", height,
                          width, target_height, target_width);
    const size_t rows_size = (size_t)height * (size_t)target_width * sizeof(float);
    const size_t line_size = (size_t)(width + tap_limit(width, target_width, antialias)) * sizeof(float);
    const size_t size = rows_size + line_size + filter_size(width, target_width, antialias) +
                        filter_size(height, target_height, antialias);
    if (size > work->capacity) {
        void *block = nacre_resize(context, work->block, size);
        if (!block) return NACRE_ERROR_MEMORY;
        *work = (nacre_work){block, size};
    }
    float *rows = work->block, *line = rows + (size_t)height * (size_t)target_width;
    filter columns, lines;
    char *next = place_filter(&columns, (char *)line + line_size, width, target_width, antialias);
    place_filter(&lines, next, height, target_height, antialias);
    fill_filter(&columns, width, target_width, antialias);
    fill_filter(&lines, height, target_height, antialias);

    const int64_t row_stride = source->row_stride ? source->row_stride : width;
    const int64_t plane_stride = source->plane_stride ? source->plane_stride : row_stride * height;
    const int64_t element = (int64_t)nacre_dtype_size(source->dtype);
    for (int plane = 0; plane < source->planes; plane++) {
        const char *from = (const char *)source->data + plane * plane_stride * element;
        for (int y = 0; y < height; y++, from += row_stride * element)
            resample_row(&columns, source->dtype, from, width, line, rows + (size_t)y * (size_t)target_width,
                         target_width);
        for (int y = 0; y < target_height; y++, target += target_width)
            blend_rows(&lines, y, rows, target, target_width);
    }
    return NACRE_OK;
}

nacre_status nacre_image_resize(nacre_context *context, const nacre_image *source, int height, int width,
                                bool antialias, nacre_image *target)
{
    nacre_status status = nacre_image_reserve(context, target, source->channels, height, width);
    if (status != NACRE_OK) return status;
    size_t count = plane_size(target) * (size_t)target->channels;
    nacre_work work = {0};
    float *values = nacre_allocate(context, count * sizeof *values);
    if (!values) return NACRE_ERROR_MEMORY;
    const nacre_planes planes = {.dtype = NACRE_U8,
                                 .data = source->pixels,
                                 .planes = source->channels,
                                 .height = source->height,
                                 .width = source->width};
    status = nacre_resample(context, &work, &planes, values, height, width, antialias);
    for (size_t i = 0; status == NACRE_OK && i < count; i++) target->pixels[i] = (uint8_t)(values[i] + 0.5f);
    nacre_release(context, work.block);
    nacre_release(context, values);
    return status;
}

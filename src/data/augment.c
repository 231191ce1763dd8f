/* data/augment.c - RandAugment, TrivialAugment and random erasing, with torchvision's operations and ranges. */
#include "data/transform.h"

#include <math.h>
#include <string.h>

/* ---- pictures of bytes ---- */

typedef struct picture {
    int channels, height, width;
    const uint8_t *from;
    uint8_t *to;
} picture;

static int64_t plane_size(const picture *image)
{
    return (int64_t)image->height * image->width;
}

static int64_t value_count(const picture *image)
{
    return image->channels * plane_size(image);
}

static double clamp(double value)
{
    return value < 0 ? 0 : value > 255 ? 255 : value;
}

/* (1 + magnitude) image - magnitude other, cut to a whole number, in floats as torchvision computes. */
static uint8_t blend(uint8_t image, float other, double magnitude)
{
    float own = (float)(1 + magnitude) * (float)image, rest = (float)-magnitude * other;
    return (uint8_t)clamp((double)(own + rest));
}

static uint8_t grey_at(const picture *image, int64_t pixel)
{
    const uint8_t *red = image->from + pixel;
    int64_t plane = plane_size(image);
    if (image->channels != 3) return *red;
    return (uint8_t)(0.2989f * (float)red[0] + 0.587f * (float)red[plane] + 0.114f * (float)red[2 * plane]);
}

/* ---- operations ---- */

static void identity(const picture *image, double magnitude)
{
    (void)magnitude;
    memcpy(image->to, image->from, (size_t)value_count(image));
}

/* One coordinate of where a matrix takes a place, both from the middle of the picture: the nearest pixel. Floats in
 * torchvision's order, so that what lies half-way is rounded alike. */
static float place(const double row[3], float dx, float dy, int size)
{
    float half = 0.5f * (float)size;
    float at = dx * ((float)row[0] / half) + dy * ((float)row[1] / half) + (float)row[2] / half;
    return nearbyintf(((at + 1) * (float)size - 1) / 2);
}

/* Each target pixel is the source pixel nearest to where the matrix takes it. */
static void warp(const picture *image, const double matrix[6])
{
    int64_t plane = plane_size(image);
    for (int y = 0; y < image->height; y++)
        for (int x = 0; x < image->width; x++) {
            float dx = (float)x + 0.5f - 0.5f * (float)image->width, dy = (float)y + 0.5f - 0.5f * (float)image->height;
            float from_x = place(matrix, dx, dy, image->width), from_y = place(matrix + 3, dx, dy, image->height);
            bool inside = from_x >= 0 && from_y >= 0 && from_x < (float)image->width && from_y < (float)image->height;
            int64_t at = (int64_t)y * image->width + x;
            int64_t source = inside ? (int64_t)from_y * image->width + (int64_t)from_x : 0;
            for (int64_t c = 0; c < image->channels; c++)
                image->to[c * plane + at] = inside ? image->from[c * plane + source] : 0;
        }
}

/* About the upper left corner. */
static void shear_x(const picture *image, double magnitude)
{
    warp(image, (double[]){1, magnitude, magnitude * 0.5 * image->height, 0, 1, 0});
}

static void shear_y(const picture *image, double magnitude)
{
    warp(image, (double[]){1, 0, 0, magnitude, 1, magnitude * 0.5 * image->width});
}

static void translate_x(const picture *image, double magnitude)
{
    warp(image, (double[]){1, 0, -trunc(magnitude), 0, 1, 0});
}

static void translate_y(const picture *image, double magnitude)
{
    warp(image, (double[]){1, 0, 0, 0, 1, -trunc(magnitude)});
}

static void rotate(const picture *image, double magnitude)
{
    double angle = magnitude * 0.017453292519943295, c = cos(angle), s = sin(angle);
    warp(image, (double[]){c, -s, 0, s, c, 0});
}

static void brightness(const picture *image, double magnitude)
{
    for (int64_t i = 0; i < value_count(image); i++) image->to[i] = blend(image->from[i], 0, magnitude);
}

static void colour(const picture *image, double magnitude)
{
    int64_t plane = plane_size(image);
    for (int64_t i = 0; i < value_count(image); i++)
        image->to[i] =
            image->channels == 3 ? blend(image->from[i], (float)grey_at(image, i % plane), magnitude) : image->from[i];
}

static void contrast(const picture *image, double magnitude)
{
    int64_t plane = plane_size(image), sum = 0;
    for (int64_t i = 0; i < plane; i++) sum += grey_at(image, i);
    float mean = (float)((double)sum / (double)plane);
    for (int64_t i = 0; i < value_count(image); i++) image->to[i] = blend(image->from[i], mean, magnitude);
}

/* Smoothed by the weights 1 1 1, 1 5 1, 1 1 1 of 13; the edge as it is. */
static float smooth(const picture *image, int64_t at)
{
    int width = image->width, x = (int)(at % width), y = (int)(at / width % image->height);
    const uint8_t *from = image->from + at;
    int sum = 4 * *from;
    if (x == 0 || y == 0 || x == width - 1 || y == image->height - 1) return *from;
    for (int dy = -1; dy <= 1; dy++)
        for (int dx = -1; dx <= 1; dx++) sum += from[dy * width + dx];
    return nearbyintf((float)sum / 13);
}

static void sharpness(const picture *image, double magnitude)
{
    bool small = image->width <= 2 || image->height <= 2;
    for (int64_t i = 0; i < value_count(image); i++)
        image->to[i] = small ? image->from[i] : blend(image->from[i], smooth(image, i), magnitude);
}

static void posterise(const picture *image, double magnitude)
{
    unsigned kept = 0xffu << (8 - (int)magnitude);
    for (int64_t i = 0; i < value_count(image); i++) image->to[i] = (uint8_t)(image->from[i] & kept);
}

static void solarise(const picture *image, double magnitude)
{
    for (int64_t i = 0; i < value_count(image); i++)
        image->to[i] = image->from[i] >= magnitude ? (uint8_t)(255 - image->from[i]) : image->from[i];
}

/* Each channel stretched to 0 .. 255. */
static void auto_contrast(const picture *image, double magnitude)
{
    (void)magnitude;
    int64_t plane = plane_size(image);
    for (int64_t c = 0; c < image->channels; c++) {
        const uint8_t *from = image->from + c * plane;
        uint8_t least = 255, most = 0;
        for (int64_t i = 0; i < plane; i++) {
            least = from[i] < least ? from[i] : least;
            most = from[i] > most ? from[i] : most;
        }
        float scale = most > least ? 1 / (float)(most - least) * 255 : 1, low = most > least ? (float)least : 0;
        for (int64_t i = 0; i < plane; i++)
            image->to[c * plane + i] = (uint8_t)clamp((double)(((float)from[i] - low) * scale));
    }
}

/* The table that makes all values of a channel about equally frequent; false where there is nothing to do. */
static bool equalising_table(const uint8_t *from, int64_t plane, uint8_t table[256])
{
    int64_t counts[256] = {0}, sum = 0;
    int last = 0;
    for (int64_t i = 0; i < plane; i++) counts[from[i]]++;
    for (int v = 0; v < 256; v++)
        if (counts[v]) last = v;
    int64_t step = (plane - counts[last]) / 255;
    for (int v = 0; v < 256 && step; v++) {
        int64_t value = (sum + step / 2) / step;
        table[v] = (uint8_t)(v == 0 ? 0 : value > 255 ? 255 : value);
        sum += counts[v];
    }
    return step > 0;
}

static void equalise(const picture *image, double magnitude)
{
    int64_t plane = plane_size(image);
    uint8_t table[256];
    identity(image, magnitude);
    for (int64_t c = 0; c < image->channels; c++) {
        if (!equalising_table(image->from + c * plane, plane, table)) continue;
        for (int64_t i = c * plane; i < (c + 1) * plane; i++) image->to[i] = table[image->from[i]];
    }
}

/* ---- the table ---- */

/* Magnitude k of n is low + (high - low) k / (n - 1). */
typedef struct range {
    double low, high;
} range;

typedef struct operation {
    const char *name;
    void (*apply)(const picture *image, double magnitude);
    range random, trivial;
    bool with_sign; /* the sign is drawn */
    char side;      /* 'x', 'y': randaugment's range is a share of the width, the height */
} operation;

#define SHIFT (150.0 / 331.0)

static const operation OPERATIONS[] = {
    {"Identity", identity, {0, 0}, {0, 0}, false, 0},
    {"ShearX", shear_x, {0, 0.3}, {0, 0.99}, true, 0},
    {"ShearY", shear_y, {0, 0.3}, {0, 0.99}, true, 0},
    {"TranslateX", translate_x, {0, SHIFT}, {0, 32}, true, 'x'},
    {"TranslateY", translate_y, {0, SHIFT}, {0, 32}, true, 'y'},
    {"Rotate", rotate, {0, 30}, {0, 135}, true, 0},
    {"Brightness", brightness, {0, 0.9}, {0, 0.99}, true, 0},
    {"Color", colour, {0, 0.9}, {0, 0.99}, true, 0},
    {"Contrast", contrast, {0, 0.9}, {0, 0.99}, true, 0},
    {"Sharpness", sharpness, {0, 0.9}, {0, 0.99}, true, 0},
    {"Posterize", posterise, {8, 4}, {8, 2}, false, 0},
    {"Solarize", solarise, {255, 0}, {255, 0}, false, 0},
    {"AutoContrast", auto_contrast, {0, 0}, {0, 0}, false, 0},
    {"Equalize", equalise, {0, 0}, {0, 0}, false, 0},
};
enum { OPERATION_COUNT = sizeof OPERATIONS / sizeof *OPERATIONS };

nacre_status nacre_augment(nacre_context *context, const char *name, double magnitude, int channels, int height,
                           int width, const uint8_t *source, uint8_t *target)
{
    picture image = {channels, height, width, source, target};
    const char *names[OPERATION_COUNT + 1] = {NULL};
    for (int i = 0; i < OPERATION_COUNT; i++) {
        names[i] = OPERATIONS[i].name;
        if (strcmp(name, names[i]) != 0) continue;
        bool bits = OPERATIONS[i].apply == posterise;
        if (!isfinite(magnitude) || (bits && (magnitude < 0 || magnitude > 8)))
            return nacre_fail(context, NACRE_ERROR_ARGUMENT, "augment: %s with magnitude %g%s", name, magnitude,
                              bits ? ", expected 0 to 8 bits" : "");
        OPERATIONS[i].apply(&image, magnitude);
        return NACRE_OK;
    }
    const char *near = nacre_nearest(name, names);
    return nacre_fail(context, NACRE_ERROR_ARGUMENT, "augment: there is no operation '%s'%s%s%s", name,
                      near ? "; did you mean '" : "", near ? near : "", near ? "'?" : "");
}

/* ---- the steps ---- */

static double magnitude_at(range all, int index, int count)
{
    return all.low + (all.high - all.low) * index / (count - 1);
}

/* Values to bytes and back around operations, which take and leave the picture in image.from. */
typedef struct work {
    picture image;
    float *values;
    uint8_t *blocks[2];
} work;

static bool begin(const nc_transform_call *call, work *all)
{
    nacre_shape shape = call->value->shape;
    all->image = (picture){(int)shape.dims[0], (int)shape.dims[1], (int)shape.dims[2], NULL, NULL};
    all->values = nc_own_floats(call);
    size_t count = (size_t)nacre_shape_count(shape);
    uint8_t *bytes = all->values ? nc_reserve_spare(call, 2 * count) : NULL;
    if (!bytes) return false;
    for (size_t i = 0; i < count; i++) bytes[i] = (uint8_t)nearbyint(clamp((double)all->values[i]));
    all->image.from = all->blocks[0] = bytes;
    all->image.to = all->blocks[1] = bytes + count;
    return true;
}

static void perform(const nc_transform_call *call, work *all, const operation *chosen, double magnitude)
{
    if (chosen->with_sign && nacre_random_below(call->random, 2)) magnitude = -magnitude;
    if (chosen->apply == posterise) magnitude = nearbyint(magnitude);
    chosen->apply(&all->image, magnitude);
    bool first = all->image.from == all->blocks[0];
    all->image.from = all->blocks[first];
    all->image.to = all->blocks[!first];
}

static nacre_status finish(work *all)
{
    for (int64_t i = 0; i < value_count(&all->image); i++) all->values[i] = all->image.from[i];
    return NACRE_OK;
}

enum { COUNT, MAGNITUDE, MAGNITUDES };

nacre_status nc_set_randaugment(nacre_context *context, const nc_step *step, int classes, nacre_field *field)
{
    double magnitude = nc_argument_value(step, MAGNITUDE), magnitudes = nc_argument_value(step, MAGNITUDES);
    if (magnitude >= magnitudes)
        return nacre_fail(context, NACRE_ERROR_ARGUMENT,
                          "transforms: randaugment: magnitude is %g, but with %g magnitudes there are 0 to %g",
                          magnitude, magnitudes, magnitudes - 1);
    return nc_become_float(context, step, classes, field);
}

nacre_status nc_apply_randaugment(const nc_transform_call *call)
{
    work all;
    if (!call->random) return nc_own_floats(call) ? NACRE_OK : NACRE_ERROR_MEMORY;
    if (!begin(call, &all)) return NACRE_ERROR_MEMORY;
    int level = (int)nc_argument_value(call->step, MAGNITUDE), levels = (int)nc_argument_value(call->step, MAGNITUDES);
    for (int i = 0; i < (int)nc_argument_value(call->step, COUNT); i++) {
        const operation *chosen = &OPERATIONS[nacre_random_below(call->random, OPERATION_COUNT)];
        double side = chosen->side == 'x' ? all.image.width : chosen->side == 'y' ? all.image.height : 1;
        perform(call, &all, chosen, side * magnitude_at(chosen->random, level, levels));
    }
    return finish(&all);
}

nacre_status nc_apply_trivialaugment(const nc_transform_call *call)
{
    work all;
    if (!call->random) return nc_own_floats(call) ? NACRE_OK : NACRE_ERROR_MEMORY;
    if (!begin(call, &all)) return NACRE_ERROR_MEMORY;
    int levels = (int)nc_argument_value(call->step, 0);
    const operation *chosen = &OPERATIONS[nacre_random_below(call->random, OPERATION_COUNT)];
    int level = (int)nacre_random_below(call->random, (uint32_t)levels);
    perform(call, &all, chosen, magnitude_at(chosen->trivial, level, levels));
    return finish(&all);
}

/* ---- random erasing ---- */

typedef struct rectangle {
    int64_t top, left, height, width;
} rectangle;

/* A share of the area between two bounds with an aspect ratio from 3:10 to 33:10; false if ten tries do not fit. */
static bool draw_rectangle(const nc_transform_call *call, int64_t height, int64_t width, rectangle *found)
{
    enum { TRIES = 10, LEAST_AREA = 1, MOST_AREA = 2 };
    float least = (float)nc_argument_value(call->step, LEAST_AREA);
    float most = (float)nc_argument_value(call->step, MOST_AREA);
    for (int i = 0; i < TRIES; i++) {
        double area = (double)nacre_random_uniform(call->random, least, most) * (double)(height * width);
        double ratio = exp((double)nacre_random_uniform(call->random, logf(0.3f), logf(3.3f)));
        int64_t h = (int64_t)nearbyint(sqrt(area * ratio)), w = (int64_t)nearbyint(sqrt(area / ratio));
        if (h >= height || w >= width) continue;
        int64_t top = nacre_random_below(call->random, (uint32_t)(height - h + 1));
        *found = (rectangle){top, nacre_random_below(call->random, (uint32_t)(width - w + 1)), h, w};
        return true;
    }
    return false;
}

nacre_status nc_apply_random_erasing(const nc_transform_call *call)
{
    enum { PROBABILITY, VALUE = 3, NOISE };
    float *data = nc_own_floats(call), value = (float)nc_argument_value(call->step, VALUE);
    bool noise = nc_argument_value(call->step, NOISE) != 0;
    rectangle box;
    if (!data) return NACRE_ERROR_MEMORY;
    if (!call->random || !(nacre_uniform(nacre_random_bits(call->random)) < nc_argument_value(call->step, PROBABILITY)))
        return NACRE_OK;
    nacre_shape shape = call->value->shape;
    if (!draw_rectangle(call, shape.dims[1], shape.dims[2], &box)) return NACRE_OK;
    for (int64_t c = 0; c < shape.dims[0]; c++)
        for (int64_t y = box.top; y < box.top + box.height; y++)
            for (int64_t x = box.left; x < box.left + box.width; x++)
                data[(c * shape.dims[1] + y) * shape.dims[2] + x] = noise ? nacre_random_normal(call->random) : value;
    return NACRE_OK;
}

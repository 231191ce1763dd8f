/* data/steps.c - what each transform does. The table at the end is the list of them. */
#include "data/transform.h"

#include <math.h>
#include <string.h>

#define IMAGES   (1u << NACRE_ROLE_IMAGE)
#define NUMBERS  (1u << NACRE_ROLE_IMAGE | 1u << NACRE_ROLE_FEATURES)
#define LABELS   (1u << NACRE_ROLE_LABEL)
#define MAX_SIDE 65536

/* ---- values ---- */

double nc_argument_value(const nc_step *step, int parameter)
{
    const nc_argument *argument = &step->arguments[parameter];
    if (argument->count) return argument->values[0];
    double fallback = step->transform->parameters[parameter].fallback;
    return fallback == NC_SAME && parameter > 0 ? nc_argument_value(step, parameter - 1) : fallback;
}

double nc_argument_at(const nc_step *step, int parameter, int64_t index)
{
    const nc_argument *argument = &step->arguments[parameter];
    return argument->count > 1 ? argument->values[index] : nc_argument_value(step, parameter);
}

static int whole(const nc_step *step, int parameter)
{
    return (int)nc_argument_value(step, parameter);
}

static void *reserve(nacre_context *context, nacre_work *work, size_t size)
{
    if (size > work->capacity || !work->block) {
        void *block = nacre_resize(context, work->block, size);
        if (!block) return NULL;
        *work = (nacre_work){block, size};
    }
    return work->block;
}

/* Makes the spare block the value. */
static void exchange(const nc_transform_call *call, nacre_dtype dtype, nacre_shape shape)
{
    nacre_work kept = call->value->room;
    call->value->room = *call->spare;
    *call->spare = kept;
    call->value->dtype = dtype;
    call->value->shape = shape;
    call->value->data = call->value->room.block;
}

/* Room for a result that becomes the value at the end, with exchange. */
static float *reserve_result(const nc_transform_call *call, nacre_shape shape)
{
    return reserve(call->context, call->spare, (size_t)nacre_shape_count(shape) * sizeof(float));
}

void *nc_reserve_spare(const nc_transform_call *call, size_t size)
{
    return reserve(call->context, call->spare, size);
}

float *nc_own_floats(const nc_transform_call *call)
{
    nacre_value *value = call->value;
    if (value->dtype == NACRE_F32 && value->data == value->room.block) return value->room.block;
    float *result = reserve_result(call, value->shape);
    if (!result) return NULL;
    nacre_dtype_convert(NACRE_F32, result, value->dtype, value->data, nacre_shape_count(value->shape));
    exchange(call, NACRE_F32, value->shape);
    return result;
}

/* The value as floats to read. */
static const float *as_floats(const nc_transform_call *call)
{
    return call->value->dtype == NACRE_F32 ? call->value->data : nc_own_floats(call);
}

/* Numbers belong to a channel (images: the first axis) or to a column (features: the last). */
static int64_t group_count(nacre_role role, nacre_shape shape)
{
    if (shape.rank == 0) return 1;
    return role == NACRE_ROLE_IMAGE ? shape.dims[0] : shape.dims[shape.rank - 1];
}

static int64_t group_of(nacre_role role, nacre_shape shape, int64_t index)
{
    int64_t groups = group_count(role, shape);
    return role == NACRE_ROLE_IMAGE ? index / (nacre_shape_count(shape) / groups) : index % groups;
}

nacre_status nc_become_float(nacre_context *context, const nc_step *step, int classes, nacre_field *field)
{
    (void)context;
    (void)step;
    (void)classes;
    field->dtype = NACRE_F32;
    return NACRE_OK;
}

/* ---- numbers ---- */

static nacre_status apply_scale(const nc_transform_call *call)
{
    float *data = nc_own_floats(call), factor = (float)nc_argument_value(call->step, 0);
    if (!data) return NACRE_ERROR_MEMORY;
    int64_t count = nacre_shape_count(call->value->shape);
    for (int64_t i = 0; i < count; i++) data[i] *= factor;
    return NACRE_OK;
}

static nacre_status check_groups(nacre_context *context, const nc_step *step, int classes, nacre_field *field)
{
    int64_t groups = group_count(field->role, field->shape);
    for (int p = 0; p < NC_MAX_PARAMETERS && step->transform->parameters[p].name; p++) {
        int count = step->arguments[p].count;
        if (count > 1 && count != groups)
            return nacre_fail(context, NACRE_ERROR_SHAPE, "%s: %s has %d numbers, \"%s\" has %lld %s",
                              step->transform->name, step->transform->parameters[p].name, count, field->name,
                              (long long)groups, field->role == NACRE_ROLE_IMAGE ? "channels" : "columns");
    }
    return nc_become_float(context, step, classes, field);
}

static nacre_status apply_normalise(const nc_transform_call *call)
{
    enum { MEAN, STD };
    float *data = nc_own_floats(call);
    if (!data) return NACRE_ERROR_MEMORY;
    nacre_shape shape = call->value->shape;
    int64_t count = nacre_shape_count(shape), run = 1;
    if (call->field->role == NACRE_ROLE_IMAGE) run = count / group_count(NACRE_ROLE_IMAGE, shape);
    for (int64_t start = 0; start < count; start += run) {
        int64_t group = group_of(call->field->role, shape, start);
        float mean = (float)nc_argument_at(call->step, MEAN, group);
        float factor = (float)(1 / nc_argument_at(call->step, STD, group));
        for (int64_t i = start; i < start + run; i++) data[i] = (data[i] - mean) * factor;
    }
    return NACRE_OK;
}

static nacre_status apply_fill(const nc_transform_call *call)
{
    float *data = nc_own_floats(call);
    if (!data) return NACRE_ERROR_MEMORY;
    nacre_shape shape = call->value->shape;
    int64_t count = nacre_shape_count(shape);
    for (int64_t i = 0; i < count; i++)
        if (isnan(data[i])) data[i] = (float)nc_argument_at(call->step, 0, group_of(call->field->role, shape, i));
    return NACRE_OK;
}

static nacre_status apply_before_fit(const nc_transform_call *call)
{
    return nacre_fail(call->context, NACRE_ERROR_STATE,
                      "%s has learned no figures yet; call nacre_transforms_fit with the training samples",
                      call->step->transform->name);
}

static nacre_status apply_noise(const nc_transform_call *call)
{
    float *data = nc_own_floats(call), deviation = (float)nc_argument_value(call->step, 0);
    if (!data) return NACRE_ERROR_MEMORY;
    int64_t count = nacre_shape_count(call->value->shape);
    for (int64_t i = 0; call->random && i < count; i += 2) {
        float pair[2];
        uint32_t bits = nacre_random_bits(call->random);
        nacre_normal(bits, nacre_random_bits(call->random), pair);
        data[i] += deviation * pair[0];
        if (i + 1 < count) data[i + 1] += deviation * pair[1];
    }
    return NACRE_OK;
}

/* ---- images ---- */

typedef struct size {
    int64_t channels, height, width;
} size;

static size size_of(nacre_shape shape)
{
    return (size){shape.dims[0], shape.dims[1], shape.dims[2]};
}

static nacre_status set_size(nacre_context *context, const nc_step *step, int classes, nacre_field *field)
{
    field->shape.dims[1] = whole(step, 0);
    field->shape.dims[2] = whole(step, 1);
    return nc_become_float(context, step, classes, field);
}

/* The part of an image that is `window` large, from (top, left) on, resized. */
static nacre_status resample_window(const nc_transform_call *call, int64_t top, int64_t left, size window,
                                    int64_t height, int64_t width, bool antialias)
{
    const size from = size_of(call->value->shape);
    const nacre_shape shape = NACRE_SHAPE(from.channels, height, width);
    const bool bytes = call->value->dtype == NACRE_U8;
    const char *data = bytes ? call->value->data : (const void *)as_floats(call);
    float *result = data ? reserve_result(call, shape) : NULL;
    if (!result) return NACRE_ERROR_MEMORY;
    const nacre_dtype dtype = bytes ? NACRE_U8 : NACRE_F32;
    const nacre_planes planes = {.dtype = dtype,
                                 .data = data + (top * from.width + left) * (int64_t)nacre_dtype_size(dtype),
                                 .planes = (int)from.channels,
                                 .height = (int)window.height,
                                 .width = (int)window.width,
                                 .row_stride = from.width,
                                 .plane_stride = from.width * from.height};
    const nacre_status status =
        nacre_resample(call->context, call->taps, &planes, result, (int)height, (int)width, antialias);
    if (status == NACRE_OK) exchange(call, NACRE_F32, shape);
    return status;
}

static nacre_status apply_resize(const nc_transform_call *call)
{
    size from = size_of(call->value->shape);
    int height = whole(call->step, 0), width = whole(call->step, 1);
    if (from.height == height && from.width == width) return nc_own_floats(call) ? NACRE_OK : NACRE_ERROR_MEMORY;
    return resample_window(call, 0, 0, from, height, width, whole(call->step, 2));
}

/* The window [top, top + height) x [left, left + width), zero where it leaves the image. */
static nacre_status cut(const nc_transform_call *call, int64_t top, int64_t left, int64_t height, int64_t width)
{
    size from = size_of(call->value->shape);
    const float *source = as_floats(call);
    nacre_shape shape = NACRE_SHAPE(from.channels, height, width);
    float *result = source ? reserve_result(call, shape) : NULL;
    if (!result) return NACRE_ERROR_MEMORY;
    memset(result, 0, (size_t)nacre_shape_count(shape) * sizeof *result);
    int64_t first_y = top < 0 ? -top : 0, last_y = top + height > from.height ? from.height - top : height;
    int64_t first_x = left < 0 ? -left : 0, last_x = left + width > from.width ? from.width - left : width;
    for (int64_t c = 0; c < from.channels; c++)
        for (int64_t y = first_y; y < last_y && first_x < last_x; y++)
            memcpy(result + (c * height + y) * width + first_x,
                   source + (c * from.height + top + y) * from.width + left + first_x,
                   (size_t)(last_x - first_x) * sizeof *result);
    exchange(call, NACRE_F32, shape);
    return NACRE_OK;
}

static nacre_status fail_crop(nacre_context *context, const nc_step *step, nacre_shape shape)
{
    return nacre_fail(context, NACRE_ERROR_SHAPE, "%s: %d x %d is larger than the image, %lld x %lld",
                      step->transform->name, whole(step, 0), whole(step, 1), (long long)shape.dims[1],
                      (long long)shape.dims[2]);
}

enum { HEIGHT, WIDTH, PADDING };

/* center_crop has no padding: the parameter reads as 0. */
static int padding_of(const nc_step *step)
{
    return step->transform->random ? whole(step, PADDING) : 0;
}

static bool crop_fits(const nc_step *step, nacre_shape shape)
{
    int padding = padding_of(step);
    return whole(step, HEIGHT) <= shape.dims[1] + 2 * padding && whole(step, WIDTH) <= shape.dims[2] + 2 * padding;
}

static nacre_status set_crop(nacre_context *context, const nc_step *step, int classes, nacre_field *field)
{
    if (!crop_fits(step, field->shape)) return fail_crop(context, step, field->shape);
    return set_size(context, step, classes, field);
}

static nacre_status apply_crop(const nc_transform_call *call)
{
    size from = size_of(call->value->shape);
    int height = whole(call->step, HEIGHT), width = whole(call->step, WIDTH), padding = padding_of(call->step);
    if (!crop_fits(call->step, call->value->shape)) return fail_crop(call->context, call->step, call->value->shape);
    int64_t top = (from.height - height) / 2, left = (from.width - width) / 2;
    if (call->random) {
        top = (int64_t)nacre_random_below(call->random, (uint32_t)(from.height + 2 * padding - height + 1)) - padding;
        left = (int64_t)nacre_random_below(call->random, (uint32_t)(from.width + 2 * padding - width + 1)) - padding;
    }
    return cut(call, top, left, height, width);
}

/* A window of a random share of the area and an aspect ratio between 3:4 and 4:3; the middle square where ten draws do
 * not fit (Szegedy et al. 2014, as torchvision draws it). */
static size draw_window(nacre_random *random, size from, float least_area)
{
    const float limit = logf(4.0f / 3), whole_area = (float)from.height * (float)from.width;
    for (int i = 0; i < 10; i++) {
        const float area = whole_area * nacre_random_uniform(random, least_area, 1);
        const float ratio = expf(nacre_random_uniform(random, -limit, limit));
        const int64_t height = lrintf(sqrtf(area / ratio)), width = lrintf(sqrtf(area * ratio));
        if (height >= 1 && height <= from.height && width >= 1 && width <= from.width)
            return (size){from.channels, height, width};
    }
    const int64_t side = from.height < from.width ? from.height : from.width;
    return (size){from.channels, side, side};
}

static nacre_status apply_random_resized_crop(const nc_transform_call *call)
{
    enum { LEAST_AREA = 2 };
    const int height = whole(call->step, HEIGHT), width = whole(call->step, WIDTH);
    const size from = size_of(call->value->shape);
    if (!call->random) return resample_window(call, 0, 0, from, height, width, true);
    const size window = draw_window(call->random, from, (float)nc_argument_value(call->step, LEAST_AREA));
    const int64_t top = nacre_random_below(call->random, (uint32_t)(from.height - window.height + 1));
    const int64_t left = nacre_random_below(call->random, (uint32_t)(from.width - window.width + 1));
    return resample_window(call, top, left, window, height, width, true);
}

static bool happens(const nc_transform_call *call)
{
    return call->random && nacre_uniform(nacre_random_bits(call->random)) < nc_argument_value(call->step, 0);
}

static nacre_status apply_horizontal_flip(const nc_transform_call *call)
{
    float *data = nc_own_floats(call);
    if (!data) return NACRE_ERROR_MEMORY;
    if (!happens(call)) return NACRE_OK;
    size image = size_of(call->value->shape);
    for (int64_t row = 0; row < image.channels * image.height; row++, data += image.width)
        for (int64_t x = 0; x < image.width / 2; x++) {
            float kept = data[x];
            data[x] = data[image.width - 1 - x];
            data[image.width - 1 - x] = kept;
        }
    return NACRE_OK;
}

static nacre_status apply_vertical_flip(const nc_transform_call *call)
{
    float *data = nc_own_floats(call);
    if (!data) return NACRE_ERROR_MEMORY;
    if (!happens(call)) return NACRE_OK;
    size image = size_of(call->value->shape);
    for (int64_t c = 0; c < image.channels; c++, data += image.height * image.width)
        for (int64_t y = 0; y < image.height / 2; y++)
            for (int64_t x = 0; x < image.width; x++) {
                float *a = data + y * image.width + x, *b = data + (image.height - 1 - y) * image.width + x, kept = *a;
                *a = *b;
                *b = kept;
            }
    return NACRE_OK;
}

/* Bilinear, zero outside. */
static float sample_plane(const float *plane, int64_t height, int64_t width, float y, float x)
{
    float fy = floorf(y), fx = floorf(x), v = y - fy, u = x - fx, sum = 0;
    for (int i = 0; i < 2; i++)
        for (int j = 0; j < 2; j++) {
            float at_y = fy + (float)i, at_x = fx + (float)j;
            if (at_y < 0 || at_x < 0 || at_y >= (float)height || at_x >= (float)width) continue;
            sum += (i ? v : 1 - v) * (j ? u : 1 - u) * plane[(int64_t)at_y * width + (int64_t)at_x];
        }
    return sum;
}

/* Where target pixels come from: source = m (target - centre) + centre + shift, m the inverse of rotate * shear *
 * scale. */
static nacre_status apply_affine(const nc_transform_call *call)
{
    enum { ROTATE, SHEAR, SCALE, TRANSLATE };
    const float degree = 0.017453292519943295f;
    size image = size_of(call->value->shape);
    if (!call->random) return nc_own_floats(call) ? NACRE_OK : NACRE_ERROR_MEMORY;
    float drawn[5]; /* in [-1, 1) */
    for (int i = 0; i < 5; i++) drawn[i] = nacre_random_uniform(call->random, -1, 1);
    float angle = drawn[0] * (float)nc_argument_value(call->step, ROTATE) * degree;
    float shear = tanf(drawn[1] * (float)nc_argument_value(call->step, SHEAR) * degree);
    float zoom = 1 / (1 + drawn[2] * (float)nc_argument_value(call->step, SCALE));
    float shift = (float)nc_argument_value(call->step, TRANSLATE);
    float shift_y = drawn[3] * shift * (float)image.height, shift_x = drawn[4] * shift * (float)image.width;
    float c = cosf(angle) * zoom, s = sinf(angle) * zoom;
    float xx = c - shear * s, xy = -s - shear * c, yx = s,
          yy = c; /* shear^-1 * rotation^-1, up to the sign of angles */
    float centre_y = (float)(image.height - 1) / 2, centre_x = (float)(image.width - 1) / 2;

    const float *plane = as_floats(call);
    float *result = plane ? reserve_result(call, call->value->shape) : NULL, *out = result;
    if (!result) return NACRE_ERROR_MEMORY;
    for (int64_t channel = 0; channel < image.channels; channel++, plane += image.height * image.width)
        for (int64_t y = 0; y < image.height; y++)
            for (int64_t x = 0; x < image.width; x++) {
                float dy = (float)y - centre_y - shift_y, dx = (float)x - centre_x - shift_x;
                *out++ = sample_plane(plane, image.height, image.width, centre_y + yx * dx + yy * dy,
                                      centre_x + xx * dx + xy * dy);
            }
    exchange(call, NACRE_F32, call->value->shape);
    return NACRE_OK;
}

/* Brightness multiplies; contrast moves away from or towards the image's mean. Neither depends on the range of values.
 */
static nacre_status apply_jitter(const nc_transform_call *call)
{
    float *data = nc_own_floats(call);
    if (!data) return NACRE_ERROR_MEMORY;
    if (!call->random) return NACRE_OK;
    float brightness = 1 + nacre_random_uniform(call->random, -1, 1) * (float)nc_argument_value(call->step, 0);
    float contrast = 1 + nacre_random_uniform(call->random, -1, 1) * (float)nc_argument_value(call->step, 1);
    int64_t count = nacre_shape_count(call->value->shape);
    double sum = 0;
    for (int64_t i = 0; i < count; i++) sum += data[i];
    float mean = (float)(sum / (double)(count ? count : 1));
    for (int64_t i = 0; i < count; i++) data[i] = ((data[i] - mean) * contrast + mean) * brightness;
    return NACRE_OK;
}

static nacre_status set_grey(nacre_context *context, const nc_step *step, int classes, nacre_field *field)
{
    field->shape.dims[0] = 1;
    return nc_become_float(context, step, classes, field);
}

static nacre_status apply_grayscale(const nc_transform_call *call)
{
    float *red = nc_own_floats(call);
    if (!red) return NACRE_ERROR_MEMORY;
    size image = size_of(call->value->shape);
    int64_t plane = image.height * image.width;
    const float *green = red + plane, *blue = green + plane;
    if (image.channels == 3)
        for (int64_t i = 0; i < plane; i++) red[i] = 0.299f * red[i] + 0.587f * green[i] + 0.114f * blue[i];
    call->value->shape.dims[0] = 1;
    return NACRE_OK;
}

static nacre_status set_colour(nacre_context *context, const nc_step *step, int classes, nacre_field *field)
{
    field->shape.dims[0] = 3;
    return nc_become_float(context, step, classes, field);
}

static nacre_status apply_rgb(const nc_transform_call *call)
{
    size image = size_of(call->value->shape);
    if (image.channels == 3) return nc_own_floats(call) ? NACRE_OK : NACRE_ERROR_MEMORY;
    const float *grey = as_floats(call);
    nacre_shape shape = NACRE_SHAPE(3, image.height, image.width);
    float *result = grey ? reserve_result(call, shape) : NULL;
    if (!result) return NACRE_ERROR_MEMORY;
    int64_t plane = image.height * image.width;
    for (int c = 0; c < 3; c++) memcpy(result + c * plane, grey, (size_t)plane * sizeof *result);
    exchange(call, NACRE_F32, shape);
    return NACRE_OK;
}

static nacre_status set_flat(nacre_context *context, const nc_step *step, int classes, nacre_field *field)
{
    field->shape = NACRE_SHAPE(nacre_shape_count(field->shape));
    field->role = NACRE_ROLE_FEATURES;
    return nc_become_float(context, step, classes, field);
}

static nacre_status apply_flatten(const nc_transform_call *call)
{
    call->value->shape = NACRE_SHAPE(nacre_shape_count(call->value->shape));
    return nc_own_floats(call) ? NACRE_OK : NACRE_ERROR_MEMORY;
}

/* ---- labels ---- */

static int class_count(const nc_step *step, int classes)
{
    int asked = whole(step, 0);
    return asked ? asked : classes;
}

static nacre_status set_one_hot(nacre_context *context, const nc_step *step, int classes, nacre_field *field)
{
    if (class_count(step, classes) < 1)
        return nacre_fail(context, NACRE_ERROR_ARGUMENT,
                          "one_hot: the number of classes is not known; say one_hot(10)");
    field->role = NACRE_ROLE_TARGET;
    field->shape = NACRE_SHAPE(class_count(step, classes));
    return nc_become_float(context, step, classes, field);
}

static nacre_status apply_one_hot(const nc_transform_call *call)
{
    int classes = class_count(call->step, call->classes);
    int64_t label = (int64_t)nacre_dtype_load(call->value->dtype, call->value->data, 0);
    if (label < 0 || label >= classes)
        return nacre_fail(call->context, NACRE_ERROR_FORMAT, "one_hot: label %lld, expected 0 to %d", (long long)label,
                          classes - 1);
    nacre_shape shape = NACRE_SHAPE(classes);
    float *result = reserve_result(call, shape);
    if (!result) return NACRE_ERROR_MEMORY;
    memset(result, 0, (size_t)classes * sizeof *result);
    result[label] = 1;
    exchange(call, NACRE_F32, shape);
    return NACRE_OK;
}

/* ---- the table ---- */

#define HEIGHT_AND_WIDTH                                                                                               \
    {"height", NC_INTEGER, NC_REQUIRED, 1, MAX_SIDE},                                                                  \
    {                                                                                                                  \
        "width", NC_INTEGER, NC_SAME, 1, MAX_SIDE                                                                      \
    }
#define PROBABILITY                                                                                                    \
    {                                                                                                                  \
        "probability", NC_NUMBER, 0.5, 0, 1                                                                            \
    }

const nc_transform nc_transforms[] = {
    {"scale",
     "multiplies by a number: scale(1/255) takes bytes to 0..1",
     {{"factor", NC_NUMBER, NC_REQUIRED, -1e30, 1e30}},
     NUMBERS,
     false,
     false,
     nc_become_float,
     apply_scale},
    {"normalise",
     "(x - mean) / std, one number for all or one per channel or column",
     {{"mean", NC_LIST, NC_REQUIRED, -1e30, 1e30}, {"std", NC_LIST, 1, 1e-30, 1e30}},
     NUMBERS,
     false,
     false,
     check_groups,
     apply_normalise},
    {"standardise",
     "normalise with mean and standard deviation of the training samples, per channel or column",
     {{0}},
     NUMBERS,
     false,
     false,
     nc_become_float,
     apply_before_fit},
    {"fill",
     "puts a number where a value is missing, one for all or one per channel or column",
     {{"value", NC_LIST, NC_REQUIRED, -1e30, 1e30}},
     NUMBERS,
     false,
     false,
     check_groups,
     apply_fill},
    {"impute",
     "fill with the mean of the training samples, per channel or column",
     {{0}},
     NUMBERS,
     false,
     false,
     nc_become_float,
     apply_before_fit},
    {"resize",
     "bilinear; antialias=0 reads two neighbours per axis also when shrinking",
     {HEIGHT_AND_WIDTH, {"antialias", NC_INTEGER, 1, 0, 1}},
     IMAGES,
     false,
     false,
     set_size,
     apply_resize},
    {"center_crop", "the middle of the image", {HEIGHT_AND_WIDTH}, IMAGES, false, false, set_crop, apply_crop},
    {"random_crop",
     "a window anywhere, also reaching `padding` pixels of zeros beyond the edges; else the middle",
     {HEIGHT_AND_WIDTH, {"padding", NC_INTEGER, 0, 0, MAX_SIDE}},
     IMAGES,
     true,
     false,
     set_crop,
     apply_crop},
    {"random_resized_crop",
     "a window of least_area to all of the image, resized; else the whole image, resized",
     {HEIGHT_AND_WIDTH, {"least_area", NC_NUMBER, 0.08, 0.001, 1}},
     IMAGES,
     true,
     false,
     set_size,
     apply_random_resized_crop},
    {"horizontal_flip",
     "left and right exchanged with a probability",
     {PROBABILITY},
     IMAGES,
     true,
     false,
     nc_become_float,
     apply_horizontal_flip},
    {"vertical_flip",
     "top and bottom exchanged with a probability",
     {PROBABILITY},
     IMAGES,
     true,
     false,
     nc_become_float,
     apply_vertical_flip},
    {"affine",
     "turned and sheared by up to so many degrees, scaled by 1 - scale to 1 + scale, shifted by up to a share of the "
     "sides; bilinear, zero outside",
     {{"rotate", NC_NUMBER, 0, 0, 180},
      {"shear", NC_NUMBER, 0, 0, 80},
      {"scale", NC_NUMBER, 0, 0, 0.95},
      {"translate", NC_NUMBER, 0, 0, 1}},
     IMAGES,
     true,
     false,
     nc_become_float,
     apply_affine},
    {"jitter",
     "brightness and contrast multiplied by 1 - x to 1 + x each",
     {{"brightness", NC_NUMBER, 0, 0, 1}, {"contrast", NC_NUMBER, 0, 0, 1}},
     IMAGES,
     true,
     false,
     nc_become_float,
     apply_jitter},
    {"randaugment",
     "so many of 14 operations drawn at random, each with this magnitude of so many (Cubuk et al. 2019); on values 0 "
     "to "
     "255",
     {{"operations", NC_INTEGER, 2, 0, 100},
      {"magnitude", NC_INTEGER, 9, 0, 1000},
      {"magnitudes", NC_INTEGER, 31, 2, 1001}},
     IMAGES,
     true,
     true,
     nc_set_randaugment,
     nc_apply_randaugment},
    {"trivialaugment",
     "one of 14 operations with a magnitude drawn at random (Mueller and Hutter 2021, wide); on values 0 to 255",
     {{"magnitudes", NC_INTEGER, 31, 2, 1001}},
     IMAGES,
     true,
     true,
     nc_become_float,
     nc_apply_trivialaugment},
    {"random_erasing",
     "a rectangle of a share of the area replaced by a value, or by normal noise (Zhong et al. 2020)",
     {PROBABILITY,
      {"least_area", NC_NUMBER, 0.02, 0.0001, 1},
      {"most_area", NC_NUMBER, 0.33, 0.0001, 1},
      {"value", NC_NUMBER, 0, -1e30, 1e30},
      {"noise", NC_INTEGER, 0, 0, 1}},
     IMAGES,
     true,
     false,
     nc_become_float,
     nc_apply_random_erasing},
    {"noise",
     "normal noise of a standard deviation",
     {{"std", NC_NUMBER, NC_REQUIRED, 0, 1e30}},
     NUMBERS,
     true,
     false,
     nc_become_float,
     apply_noise},
    {"grayscale", "one channel, 0.299 R + 0.587 G + 0.114 B", {{0}}, IMAGES, false, false, set_grey, apply_grayscale},
    {"rgb", "three channels", {{0}}, IMAGES, false, false, set_colour, apply_rgb},
    {"flatten", "an image as a row of features", {{0}}, IMAGES, false, false, set_flat, apply_flatten},
    {"one_hot",
     "labels as 1 among zeros; 0: as many classes as the dataset has",
     {{"classes", NC_INTEGER, 0, 0, 65536}},
     LABELS,
     false,
     false,
     set_one_hot,
     apply_one_hot},
};
const int nc_transform_count = sizeof nc_transforms / sizeof *nc_transforms;

const char *nc_fitted_kind(const nc_transform *transform)
{
    if (transform->apply != apply_before_fit) return NULL;
    return strcmp(transform->name, "impute") ? "normalise" : "fill";
}

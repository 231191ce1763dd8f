/* data/mix.c - mixup and cutmix: batches mixed with themselves. */
#include "data/mix.h"

#include <nacre/random.h>

#include <math.h>
#include <string.h>

bool nc_mixes(const nacre_loader_options *options)
{
    return options->training && (options->mixup != 0 || options->cutmix != 0);
}

static bool is_input(const nacre_field *field)
{
    return field->role == NACRE_ROLE_IMAGE || field->role == NACRE_ROLE_FEATURES;
}

nacre_status nc_mix_check(nacre_context *context, const nacre_dataset *dataset, const nacre_field *fields,
                          int field_count, const nacre_loader_options *options)
{
    bool labels = false;
    const char *name = options->cutmix > 0 ? "cutmix" : "mixup";
    if (!isfinite(options->mixup) || !isfinite(options->cutmix) || options->mixup < 0 || options->cutmix < 0)
        return nacre_fail(context, NACRE_ERROR_ARGUMENT,
                          "loader: mixup %g, cutmix %g; expected finite numbers of at least 0", options->mixup,
                          options->cutmix);
    for (int f = 0; f < field_count; f++) {
        labels |= fields[f].role == NACRE_ROLE_LABEL && fields[f].dtype == NACRE_I64;
        if (is_input(&fields[f]) && fields[f].dtype != NACRE_F32)
            return nacre_fail(context, NACRE_ERROR_DTYPE, "loader: %s cannot mix \"%s\", which is %s", name,
                              fields[f].name, nacre_dtype_name(fields[f].dtype));
        if (is_input(&fields[f]) && options->cutmix > 0 && fields[f].role != NACRE_ROLE_IMAGE)
            return nacre_fail(context, NACRE_ERROR_ARGUMENT, "loader: cutmix needs pictures; \"%s\" is none",
                              fields[f].name);
    }
    if (labels && nacre_dataset_classes(dataset) > 0) return NACRE_OK;
    return nacre_fail(context, NACRE_ERROR_ARGUMENT, "loader: %s needs labels of classes, \"%s\" has none", name,
                      nacre_dataset_name(dataset));
}

/* ---- drawing ---- */

static double draw_uniform(nacre_random *random)
{
    uint32_t high = nacre_random_bits(random);
    return nacre_uniform_f64(high, nacre_random_bits(random));
}

/* Marsaglia and Tsang, "A simple method for generating gamma variables", 2000; below 1 by a power of a uniform. */
static double draw_gamma(nacre_random *random, double alpha)
{
    if (alpha < 1) {
        double u = 1 - draw_uniform(random);
        return draw_gamma(random, alpha + 1) * pow(u, 1 / alpha);
    }
    double d = alpha - 1.0 / 3, c = 1 / sqrt(9 * d);
    for (;;) {
        double x = (double)nacre_random_normal(random), v = 1 + c * x;
        if (v <= 0) continue;
        v = v * v * v;
        if (log(1 - draw_uniform(random)) < 0.5 * x * x + d - d * v + d * log(v)) return d * v;
    }
}

/* Both gammas may vanish for a tiny alpha: then it is one or the other. */
static double draw_beta(nacre_random *random, double alpha)
{
    double a = draw_gamma(random, alpha), b = draw_gamma(random, alpha);
    return a + b > 0 ? a / (a + b) : (double)nacre_random_below(random, 2);
}

/* ---- mixing ---- */

/* A rectangle of the neighbour, [top, bottom) x [left, right). */
typedef struct box {
    int64_t top, bottom, left, right;
} box;

/* Of a share 1 - kept of the area around a place anywhere, as far as it lies within the picture. */
static box draw_box(nacre_random *random, double kept, int64_t height, int64_t width)
{
    int64_t x = nacre_random_below(random, (uint32_t)width), y = nacre_random_below(random, (uint32_t)height);
    double half = 0.5 * sqrt(1 - kept);
    int64_t half_width = (int64_t)(half * (double)width), half_height = (int64_t)(half * (double)height);
    return (box){.top = y > half_height ? y - half_height : 0,
                 .bottom = y + half_height < height ? y + half_height : height,
                 .left = x > half_width ? x - half_width : 0,
                 .right = x + half_width < width ? x + half_width : width};
}

static void average(float *own, const float *other, int64_t count, float kept)
{
    for (int64_t i = 0; i < count; i++) own[i] = kept * own[i] + (1 - kept) * other[i];
}

static void paste(float *own, const float *other, nacre_shape shape, box at)
{
    for (int64_t c = 0; c < shape.dims[1]; c++)
        for (int64_t y = at.top; y < at.bottom; y++) {
            int64_t row = (c * shape.dims[2] + y) * shape.dims[3] + at.left;
            memcpy(own + row, other + row, (size_t)(at.right - at.left) * sizeof *own);
        }
}

/* Sample i takes from sample i - 1 as it was, the first from the last. `at` NULL: mixup. */
static void mix_field(const nacre_batch_field *field, int64_t count, float *data, float *last, float kept,
                      const box *at)
{
    int64_t size = nacre_shape_count(field->shape) / count;
    memcpy(last, data + (count - 1) * size, (size_t)size * sizeof *last);
    for (int64_t i = count - 1; i >= 0; i--) {
        const float *other = i > 0 ? data + (i - 1) * size : last;
        if (at)
            paste(data + i * size, other, field->shape, *at);
        else
            average(data + i * size, other, size, kept);
    }
}

static void write_shares(const nacre_batch *batch, const int64_t *labels, float kept, float *shares)
{
    memset(shares, 0, (size_t)(batch->count * batch->classes) * sizeof *shares);
    for (int64_t i = 0; i < batch->count; i++) {
        float *row = shares + i * batch->classes;
        int64_t other = labels[i > 0 ? i - 1 : batch->count - 1];
        if (labels[i] >= 0 && labels[i] < batch->classes) row[labels[i]] += kept;
        if (other >= 0 && other < batch->classes) row[other] += 1 - kept;
    }
}

void nc_mix(const nacre_loader_options *options, int64_t epoch, nacre_batch *batch, void *const *data, float *shares,
            void *sample)
{
    enum { PURPOSE = 8 };
    nacre_random random =
        nacre_random_create(nacre_random_fork(options->seed, PURPOSE), (uint32_t)epoch, (uint64_t)batch->index);
    bool both = options->mixup > 0 && options->cutmix > 0;
    bool cut = both ? nacre_random_below(&random, 2) : options->cutmix > 0;
    double kept = draw_beta(&random, cut ? options->cutmix : options->mixup);
    box at = {0};
    for (int f = 0; cut && f < batch->field_count; f++) { /* the label follows the area of the first picture */
        nacre_shape shape = batch->fields[f].shape;
        if (batch->fields[f].role != NACRE_ROLE_IMAGE) continue;
        at = draw_box(&random, kept, shape.dims[2], shape.dims[3]);
        double area = (double)((at.bottom - at.top) * (at.right - at.left));
        kept = 1 - area / (double)(shape.dims[2] * shape.dims[3]);
        break;
    }
    for (int f = 0; f < batch->field_count; f++) {
        const nacre_batch_field *field = &batch->fields[f];
        if (field->role == NACRE_ROLE_IMAGE || field->role == NACRE_ROLE_FEATURES)
            mix_field(field, batch->count, data[f], sample, (float)kept, cut ? &at : NULL);
        if (field->role == NACRE_ROLE_LABEL) write_shares(batch, field->data, (float)kept, shares);
    }
}

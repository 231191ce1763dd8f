/* Which predictions a report shows, and their pictures. */
#include "support.h"

#include <nacre/report.h>

static nacre_context *ctx;

enum { SAMPLES = 100, SIDE = 2 };

/* Sample i is a picture of which every pixel is i; its class is i % 3. */
static nacre_status get(void *user, int64_t index, nacre_sample *sample)
{
    bool floats = user != NULL;
    nacre_dtype dtype = floats ? NACRE_F32 : NACRE_U8;
    void *pixels = nacre_sample_reserve(sample, 0, dtype, NACRE_SHAPE(1, SIDE, SIDE));
    int64_t *label = nacre_sample_reserve(sample, 1, NACRE_I64, NACRE_SCALAR);
    if (!pixels || !label) return NACRE_ERROR_MEMORY;
    for (int i = 0; i < SIDE * SIDE; i++)
        nacre_dtype_store(dtype, pixels, i, floats ? (double)i / 10 - (double)index : (double)index);
    *label = index % 3;
    return NACRE_OK;
}

static nacre_dataset *make_dataset(nacre_context *context, bool floats)
{
    static const char *const names[] = {"ant", "bee", "cat"};
    static bool yes;
    nacre_dataset_source source = {.name = "test",
                                   .user = floats ? &yes : NULL,
                                   .count = SAMPLES,
                                   .fields = {{.name = "image",
                                               .role = NACRE_ROLE_IMAGE,
                                               .dtype = floats ? NACRE_F32 : NACRE_U8,
                                               .shape = NACRE_SHAPE(1, SIDE, SIDE)},
                                              {.name = "label", .role = NACRE_ROLE_LABEL, .dtype = NACRE_I64}},
                                   .field_count = 2,
                                   .class_names = names,
                                   .class_count = 3,
                                   .get = get};
    return nacre_dataset_create(context, &source);
}

/* All samples in batches of ten, last one first. The model says class 0 with a logit of i / 10 over the others. */
static nacre_status visit_all(nacre_gallery *gallery)
{
    for (int first = SAMPLES - 10; first >= 0; first -= 10) {
        float outputs[10][3] = {{0}};
        int64_t indices[10], labels[10];
        for (int i = 0; i < 10; i++) {
            indices[i] = first + i;
            labels[i] = (first + i) % 3;
            outputs[i][0] = (float)(first + i) / 10;
        }
        nacre_batch batch = {.count = 10,
                             .field_count = 2,
                             .fields = {{.role = NACRE_ROLE_IMAGE, .dtype = NACRE_F32},
                                        {.role = NACRE_ROLE_LABEL, .dtype = NACRE_I64, .data = labels}},
                             .indices = indices};
        nacre_status status = nacre_gallery_visit(gallery, &batch, outputs[0], 3);
        if (status) return status;
    }
    return NACRE_OK;
}

static void samples_and_mistakes(void)
{
    nacre_dataset *dataset = make_dataset(ctx, false);
    nacre_gallery *gallery = nacre_gallery_create(ctx, dataset, 10, 3);
    nacre_report report = {.title = "kept"};
    NC_CHECK_INT(visit_all(gallery), NACRE_OK);
    NC_CHECK_INT(nacre_gallery_show(gallery, &report), NACRE_OK);
    NC_CHECK_TEXT(report.title, "kept");
    NC_CHECK_INT(report.class_count, 3);
    NC_CHECK_TEXT(report.class_names[2], "cat");
    NC_REQUIRE(report.sample_count == 10 && report.mistake_count == 3);
    int odd_ones = 0;
    for (int i = 0; i < 10; i++) { /* one of each ten; batches came from the end */
        const nacre_report_sample *sample = &report.samples[i];
        int64_t index = sample->image.pixels[3];
        NC_CHECK_INT(index / 10, 9 - i);
        odd_ones += index % 2;
        NC_CHECK_INT(sample->image.width * sample->image.height * sample->image.channels, SIDE * SIDE);
        NC_CHECK_INT(sample->truth, index % 3);
        NC_CHECK_INT(sample->predicted, 0);
        NC_CHECK_NEAR(sample->probability, exp((double)index / 10) / (exp((double)index / 10) + 2), 1e-6);
    }
    NC_CHECK(odd_ones > 0 && odd_ones < 10); /* at no regular distance */
    const int worst[] = {98, 97, 95};        /* 99 and 96 are of class 0 */
    for (int i = 0; i < 3; i++) {
        NC_CHECK_INT(report.mistakes[i].image.pixels[0], worst[i]);
        NC_CHECK_INT(report.mistakes[i].truth, worst[i] % 3);
    }
    nacre_buffer html = nacre_buffer_create(ctx);
    NC_CHECK_INT(nacre_report_html(ctx, &report, &html), NACRE_OK);
    NC_CHECK_CONTAINS(html.data, "<b>✗\u00a0ant</b><span>100.0 %</span><span>is cat</span>");
    nacre_buffer_destroy(&html);
    nacre_gallery_destroy(gallery);
    nacre_dataset_destroy(dataset);
}

/* Numbers between any bounds fill the range of bytes. */
static void pictures_of_numbers(void)
{
    nacre_dataset *dataset = make_dataset(ctx, true);
    nacre_gallery *gallery = nacre_gallery_create(ctx, dataset, 1, 0);
    nacre_report report = {0};
    NC_CHECK_INT(visit_all(gallery), NACRE_OK);
    NC_CHECK_INT(nacre_gallery_show(gallery, &report), NACRE_OK);
    NC_REQUIRE(report.sample_count == 1 && report.mistake_count == 0);
    const uint8_t *pixels = report.samples[0].image.pixels;
    NC_CHECK_INT(pixels[0], 0);
    NC_CHECK_INT(pixels[1], 85);
    NC_CHECK_INT(pixels[2], 170);
    NC_CHECK_INT(pixels[3], 255);
    nacre_gallery_destroy(gallery);
    nacre_dataset_destroy(dataset);
}

static void one_logit_and_nan(void)
{
    nacre_dataset *dataset = make_dataset(ctx, false);
    nacre_gallery *gallery = nacre_gallery_create(ctx, dataset, SAMPLES, 5);
    const int64_t indices[] = {0, 1};
    nacre_batch batch = {.count = 2, .indices = indices};
    NC_CHECK_INT(nacre_gallery_visit(gallery, &batch, (float[]){-1, 2}, 1), NACRE_OK);
    nacre_report report = {0};
    NC_CHECK_INT(nacre_gallery_show(gallery, &report), NACRE_OK);
    NC_REQUIRE(report.sample_count == 2 && report.mistake_count == 0); /* without labels nothing is a mistake */
    NC_CHECK_INT(report.samples[0].predicted, 0);
    NC_CHECK_INT(report.samples[0].truth, -1);
    NC_CHECK_NEAR(report.samples[0].probability, 1 / (1 + exp(-1)), 1e-12);
    NC_CHECK_INT(report.samples[1].predicted, 1);
    NC_CHECK_NEAR(report.samples[1].probability, 1 / (1 + exp(-2)), 1e-12);
    NC_CHECK_INT(nacre_gallery_visit(gallery, &batch, (float[]){1, NAN, 1, 1}, 2), NACRE_ERROR_NUMERIC);
    NC_CHECK_FAILED(ctx, NACRE_ERROR_NUMERIC, "sample 0 hold NaN");
    nacre_gallery_destroy(gallery);
    nacre_dataset_destroy(dataset);
}

static bool gather(nacre_context *context, void *user)
{
    (void)user;
    nacre_dataset *dataset = make_dataset(context, false);
    nacre_gallery *gallery = dataset ? nacre_gallery_create(context, dataset, 3, 3) : NULL;
    nacre_report report = {0};
    bool done = gallery && visit_all(gallery) == NACRE_OK && nacre_gallery_show(gallery, &report) == NACRE_OK;
    nacre_gallery_destroy(gallery);
    nacre_dataset_destroy(dataset);
    return done;
}

static void memory_runs_out(void)
{
    nc_fail_each_allocation(gather, NULL);
}

int main(void)
{
    ctx = nacre_context_create(&(nacre_context_options){.threads = 1});
    NC_RUN(samples_and_mistakes);
    NC_RUN(pictures_of_numbers);
    NC_RUN(one_logit_and_nan);
    NC_RUN(memory_runs_out);
    NC_CHECK_OK(ctx);
    nacre_context_destroy(ctx);
    return nc_report();
}

/* Transforms: what each does to known numbers, text there and back, learning figures, what is refused. */
#include "support.h"

static nacre_context *ctx;

/* One picture: 2 channels of 2 x 3, the bytes 0 to 11, and a label. */
static nacre_status get_picture(void *user, int64_t index, nacre_sample *sample)
{
    const nacre_shape *shape = user;
    uint8_t *pixels = nacre_sample_reserve(sample, 0, NACRE_U8, *shape);
    int64_t *label = nacre_sample_reserve(sample, 1, NACRE_I64, NACRE_SCALAR);
    if (!pixels || !label) return NACRE_ERROR_MEMORY;
    for (int i = 0; i < nacre_shape_count(*shape); i++) pixels[i] = (uint8_t)(i + 20 * index);
    *label = index;
    return NACRE_OK;
}

static nacre_dataset *make_pictures(nacre_context *context, nacre_shape *shape)
{
    nacre_dataset_source source = {
        .name = "pictures",
        .user = shape,
        .count = 3,
        .fields = {{"image", NACRE_ROLE_IMAGE, NACRE_U8, *shape}, {"label", NACRE_ROLE_LABEL, NACRE_I64, NACRE_SCALAR}},
        .field_count = 2,
        .class_count = 3,
        .get = get_picture};
    return nacre_dataset_create(context, &source);
}

typedef struct result {
    nacre_shape shape, label_shape;
    nacre_status status;
    float image[256], label[8];
} result;

static nacre_shape picture_shape = {3, {2, 2, 3}};

/* Sample `index` after the steps of `text`. */
static result apply(const char *text, int64_t index, bool training, int64_t epoch)
{
    result r = {.status = NACRE_ERROR_STATE};
    nacre_dataset *dataset = make_pictures(ctx, &picture_shape);
    nacre_transforms *list = nacre_transforms_parse(ctx, text);
    nacre_sample sample = {.context = ctx};
    nacre_work work[2] = {{0}};
    nacre_draw draw = {training, 3, epoch, index};
    if (list) r.status = nacre_dataset_get(dataset, index, &sample);
    if (r.status == NACRE_OK) r.status = nacre_transforms_apply(list, dataset, &draw, &sample, work);
    if (r.status == NACRE_OK) {
        const nacre_value *image = &sample.values[0], *label = &sample.values[1];
        r.shape = image->shape;
        r.label_shape = label->shape;
        for (int64_t i = 0; i < nacre_shape_count(r.shape); i++)
            r.image[i] = (float)nacre_dtype_load(image->dtype, image->data, i);
        for (int64_t i = 0; i < nacre_shape_count(r.label_shape); i++)
            r.label[i] = (float)nacre_dtype_load(label->dtype, label->data, i);
        nacre_field field; /* the shape rule says the same */
        NC_CHECK_INT(nacre_transforms_field(list, dataset, nacre_dataset_field(dataset, 0), &field), NACRE_OK);
        NC_CHECK(nacre_shape_equal(field.shape, r.shape));
        NC_CHECK_INT(field.dtype, image->dtype);
    }
    for (int i = 0; i < 2; i++) nacre_release(ctx, work[i].block);
    nacre_sample_release(&sample);
    nacre_transforms_destroy(list);
    nacre_dataset_destroy(dataset);
    return r;
}

static void check(const char *text, nacre_shape shape, const float *expected)
{
    result r = apply(text, 0, false, 0);
    nc_test = text;
    NC_CHECK_OK(ctx);
    NC_REQUIRE(nacre_shape_equal(r.shape, shape));
    for (int64_t i = 0; i < nacre_shape_count(shape); i++) NC_CHECK_NEAR(r.image[i], expected[i], 1e-5);
}

#define CHECK(text, shape, ...) check(text, shape, (const float[]){__VA_ARGS__})

static void known_numbers(void)
{
    CHECK("scale(1/2)", NACRE_SHAPE(2, 2, 3), 0, .5f, 1, 1.5f, 2, 2.5f, 3, 3.5f, 4, 4.5f, 5, 5.5f);
    CHECK("normalise(mean=[1, 2], std=[2, 4])", NACRE_SHAPE(2, 2, 3), -.5f, 0, .5f, 1, 1.5f, 2, 1, 1.25f, 1.5f, 1.75f,
          2, 2.25f);
    CHECK("normalise(1)", NACRE_SHAPE(2, 2, 3), -1, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10);
    CHECK("center_crop(2, 1)", NACRE_SHAPE(2, 2, 1), 1, 4, 7, 10);
    CHECK("random_crop(1, 2)", NACRE_SHAPE(2, 1, 2), 0, 1, 6, 7);
    CHECK("random_crop(4, 3, padding=1)", NACRE_SHAPE(2, 4, 3), 0, 0, 0, 0, 1, 2, 3, 4, 5, 0, 0, 0, 0, 0, 0, 6, 7, 8, 9,
          10, 11, 0, 0, 0);
    CHECK("resize(1, 1)", NACRE_SHAPE(2, 1, 1), 2.5f, 8.5f);
    CHECK("resize(2, 6, antialias=0)", NACRE_SHAPE(2, 2, 6), 0, .25f, .75f, 1.25f, 1.75f, 2, 3, 3.25f, 3.75f, 4.25f,
          4.75f, 5, 6, 6.25f, 6.75f, 7.25f, 7.75f, 8, 9, 9.25f, 9.75f, 10.25f, 10.75f, 11);
    CHECK("resize(2, 3); scale(2)", NACRE_SHAPE(2, 2, 3), 0, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 22);
    CHECK("center_crop(1); rgb; flatten", NACRE_SHAPE(3), 1, 1, 1);
    CHECK("horizontal_flip(1); vertical_flip(1); affine(90); jitter(1, 1); noise(5)", NACRE_SHAPE(2, 2, 3), 0, 1, 2, 3,
          4, 5, 6, 7, 8, 9, 10, 11); /* nothing by chance outside training */
    CHECK("random_resized_crop(1)", NACRE_SHAPE(2, 1, 1), 2.5f, 8.5f);
    picture_shape = NACRE_SHAPE(3, 1, 1);
    CHECK("scale(100); grayscale", NACRE_SHAPE(1, 1, 1), .587f * 100 + .114f * 200);
    picture_shape = NACRE_SHAPE(2, 2, 3);
}

static void labels(void)
{
    result r = apply("one_hot", 2, false, 0);
    NC_CHECK(nacre_shape_equal(r.label_shape, NACRE_SHAPE(3)));
    NC_CHECK(r.label[0] == 0 && r.label[1] == 0 && r.label[2] == 1);
    r = apply("one_hot(5)", 1, false, 0);
    NC_CHECK(nacre_shape_equal(r.label_shape, NACRE_SHAPE(5)) && r.label[1] == 1);
    NC_CHECK_OK(ctx);
    apply("one_hot(2)", 2, false, 0);
    NC_CHECK_FAILED(ctx, NACRE_ERROR_FORMAT, "label 2, expected 0 to 1");
}

static void chance(void)
{
    result plain = apply("scale(1)", 0, false, 0);
    result flipped = apply("horizontal_flip(1)", 0, true, 0), turned = apply("vertical_flip(1)", 0, true, 0);
    for (int c = 0; c < 2; c++)
        for (int y = 0; y < 2; y++)
            for (int x = 0; x < 3; x++) {
                int at = c * 6 + y * 3 + x;
                NC_CHECK_NEAR(flipped.image[at], plain.image[c * 6 + y * 3 + 2 - x], 0);
                NC_CHECK_NEAR(turned.image[at], plain.image[c * 6 + (1 - y) * 3 + x], 0);
            }
    static const char *const RANDOM[] = {
        "random_crop(2, 3, padding=2)", "horizontal_flip", "affine(30, 10, 0.2, 0.2)", "jitter(0.5, 0.5)", "noise(1)",
        "random_resized_crop(2, 3)"};
    for (size_t i = 0; i < sizeof RANDOM / sizeof *RANDOM; i++) {
        int differ = 0;
        nc_test = RANDOM[i];
        for (int64_t epoch = 0; epoch < 20; epoch++) {
            result a = apply(RANDOM[i], 1, true, epoch), b = apply(RANDOM[i], 1, true, epoch);
            result c = apply(RANDOM[i], 1, true, epoch + 1);
            NC_CHECK(!memcmp(a.image, b.image, sizeof a.image)); /* the same draw gives the same */
            differ += memcmp(a.image, c.image, sizeof a.image) != 0;
        }
        NC_CHECK(differ >= 5);
    }
    NC_CHECK_OK(ctx);
}

static void noise_is_normal(void)
{
    picture_shape = NACRE_SHAPE(1, 16, 16);
    double sum = 0, squares = 0;
    for (int64_t epoch = 0; epoch < 40; epoch++) {
        result r = apply("noise(3)", 0, true, epoch), plain = apply("scale(1)", 0, true, epoch);
        for (int i = 0; i < 256; i++) {
            double d = r.image[i] - plain.image[i];
            sum += d / (40 * 256);
            squares += d * d / (40 * 256);
        }
    }
    NC_CHECK_NEAR(sum, 0, 0.1);
    NC_CHECK_NEAR(squares, 9, 0.4);
    picture_shape = NACRE_SHAPE(2, 2, 3);
}

/* A quarter turn, as far as the drawn angle allows to tell: the mass stays, a full frame keeps its middle. */
static void affine_moves_as_told(void)
{
    picture_shape = NACRE_SHAPE(1, 15, 15);
    int moved = 0;
    for (int64_t epoch = 0; epoch < 10; epoch++) {
        result plain = apply("scale(1)", 0, false, 0), turned = apply("affine(180)", 0, true, epoch);
        NC_CHECK_NEAR(turned.image[7 * 15 + 7], plain.image[7 * 15 + 7], 1e-3); /* the centre does not move */
        moved += fabsf(turned.image[7 * 15 + 3] - plain.image[7 * 15 + 3]) > 1;
        result shifted = apply("affine(translate=0.5)", 0, true, epoch);
        moved += fabsf(shifted.image[7 * 15 + 7] - plain.image[7 * 15 + 7]) > 1;
    }
    NC_CHECK(moved > 14);
    NC_CHECK_OK(ctx);
    picture_shape = NACRE_SHAPE(2, 2, 3);
}

/* ---- text ---- */

static void check_text(const char *text, const char *expected)
{
    nacre_transforms *list = nacre_transforms_parse(ctx, text);
    nacre_buffer printed = nacre_buffer_create(ctx), again = nacre_buffer_create(ctx);
    NC_CHECK_OK(ctx);
    nacre_transforms_print(list, &printed);
    NC_CHECK_TEXT(printed.data ? printed.data : "", expected);
    nacre_transforms *second = nacre_transforms_parse(ctx, printed.data ? printed.data : "");
    nacre_transforms_print(second, &again);
    NC_CHECK_TEXT(again.data ? again.data : "", expected);
    NC_CHECK_INT(nacre_transforms_count(second), nacre_transforms_count(list));
    nacre_buffer_destroy(&printed);
    nacre_buffer_destroy(&again);
    nacre_transforms_destroy(list);
    nacre_transforms_destroy(second);
}

static void there_and_back(void)
{
    check_text("", "");
    check_text(" # nothing\n ; ;\n", "");
    check_text("scale( 1 / 4 )", "scale(0.25)");
    check_text("scale(1/255)", "scale(0.00392156862745098)");
    check_text("scale(factor=-1.5e-3)", "scale(-0.0015)");
    check_text("resize(64)\nrandom_crop(56, padding = 4) # cut\n\nhorizontal_flip; one_hot",
               "resize(64); random_crop(56, padding=4); horizontal_flip; one_hot");
    check_text("normalise([0.5, 1/2, .25], 2)", "normalise([0.5, 0.5, 0.25], 2)");
    check_text("affine(translate=0.1, rotate=10)", "affine(10, translate=0.1)");
    check_text("rgb()", "rgb");
}

static void refused(void)
{
    static const struct {
        const char *text, *message;
        nacre_status status;
    } CASES[] = {
        {"scale(1); resise(3)", "there is no 'resise'; did you mean 'resize'?", NACRE_ERROR_NOT_FOUND},
        {"resize(hight=3)", "unknown argument hight; expected resize(height, width=height, antialias=1)",
         NACRE_ERROR_ARGUMENT},
        {"resize", "missing: height", NACRE_ERROR_ARGUMENT},
        {"resize(0)", "height is 0, expected an integer from 1 to 65536", NACRE_ERROR_ARGUMENT},
        {"resize(2.5)", "height is 2.5, expected an integer", NACRE_ERROR_ARGUMENT},
        {"resize(3, 3, 1, 1)", "too many arguments", NACRE_ERROR_ARGUMENT},
        {"resize(3, height=3)", "twice: height", NACRE_ERROR_ARGUMENT},
        {"resize([3, 4])", "one number is expected for height", NACRE_ERROR_ARGUMENT},
        {"normalise(0, 0)", "std is 0", NACRE_ERROR_ARGUMENT},
        {"horizontal_flip(1.5)", "probability is 1.5, expected a number from 0 to 1", NACRE_ERROR_ARGUMENT},
        {"scale(1)\n\nscale(", "line 3: a number expected, got the end", NACRE_ERROR_FORMAT},
        {"scale(1/0)", "divisor", NACRE_ERROR_FORMAT},
        {"scale(1 2)", "',' or ')' expected, got '2)'", NACRE_ERROR_FORMAT},
        {"scale(1) rgb", "';' or a line end expected, got 'rgb'", NACRE_ERROR_FORMAT},
        {"scale(factor 1)", "'=' expected", NACRE_ERROR_FORMAT},
        {"normalise([1, 2)", "',' or ']'", NACRE_ERROR_FORMAT},
        {"42", "the name of a transform expected", NACRE_ERROR_FORMAT},
        {"scale(nan)", "'=' expected", NACRE_ERROR_FORMAT},
        {"scale(1e999)", "a number expected", NACRE_ERROR_FORMAT},
    };
    for (size_t i = 0; i < sizeof CASES / sizeof *CASES; i++) {
        nc_test = CASES[i].text;
        NC_CHECK(nacre_transforms_parse(ctx, CASES[i].text) == NULL);
        NC_CHECK_FAILED(ctx, CASES[i].status, CASES[i].message);
    }
}

static void refused_when_applied(void)
{
    static const struct {
        const char *text, *message;
        nacre_status status;
    } CASES[] = {
        {"center_crop(3)", "3 x 3 is larger than the image, 2 x 3", NACRE_ERROR_SHAPE},
        {"normalise([1, 2, 3])", "mean has 3 numbers, \"image\" has 2 channels", NACRE_ERROR_SHAPE},
        {"standardise", "call nacre_transforms_fit", NACRE_ERROR_STATE},
    };
    for (size_t i = 0; i < sizeof CASES / sizeof *CASES; i++) {
        nc_test = CASES[i].text;
        NC_CHECK_INT(apply(CASES[i].text, 0, true, 0).status, CASES[i].status);
        NC_CHECK_FAILED(ctx, CASES[i].status, CASES[i].message);
    }
    nacre_dataset *dataset = make_pictures(ctx, &picture_shape);
    nacre_transforms *list = nacre_transforms_parse(ctx, "flatten; resize(3)");
    nacre_field field;
    NC_CHECK(nacre_transforms_field(list, dataset, nacre_dataset_field(dataset, 0), &field) != NACRE_OK);
    NC_CHECK_FAILED(ctx, NACRE_ERROR_ARGUMENT, "resize has nothing to work on in pictures");
    nacre_transforms_destroy(list);
    nacre_dataset_destroy(dataset);
}

static void catalogue_of_transforms(void)
{
    nacre_transform_info info;
    int count = 0;
    for (; nacre_transform_at(count, &info); count++) NC_CHECK(*info.name && *info.doc);
    NC_CHECK(count >= 15);
    NC_CHECK(!nacre_transform_at(-1, &info));
    NC_CHECK(nacre_transform_at(5, &info));
    NC_CHECK_TEXT(info.arguments, "height, width=height, antialias=1");
}

/* ---- learning figures ---- */

static nacre_dataset *make_table(nacre_context *context)
{
    static const float ROWS[4][3] = {{1, 10, 5}, {2, NAN, 5}, {3, 30, 5}, {6, 20, 5}};
    nacre_array inputs = {NACRE_F32, NACRE_SHAPE(4, 3), nacre_allocate_aligned(context, sizeof ROWS)};
    if (!inputs.data) return NULL;
    memcpy(inputs.data, ROWS, sizeof ROWS);
    return nacre_dataset_from_arrays(context, "table", &inputs, NULL, NULL, NULL);
}

static void figures_of_columns(void)
{
    nacre_dataset *dataset = make_table(ctx);
    nacre_transforms *list = nacre_transforms_parse(ctx, "impute; standardise");
    NC_REQUIRE(dataset && list);
    NC_CHECK_INT(nacre_transforms_fit(list, dataset), NACRE_OK);
    NC_CHECK_OK(ctx);
    nacre_buffer text = nacre_buffer_create(ctx);
    nacre_transforms_print(list, &text);
    /* means 3, 20, 5; deviations sqrt(14/4), sqrt(200/4) with the filled row, and 1 for what never changes */
    NC_CHECK_CONTAINS(text.data, "fill([3, 20, 5]); normalise([3, 20, 5], [1.87082869338697");
    NC_CHECK_CONTAINS(text.data, ", 7.07106781186547");
    NC_CHECK_CONTAINS(text.data, ", 1])");
    nacre_buffer_destroy(&text);
    nacre_sample sample = {.context = ctx};
    nacre_work work[2] = {{0}};
    nacre_dataset_get(dataset, 1, &sample);
    NC_CHECK_INT(nacre_transforms_apply(list, dataset, &(nacre_draw){0}, &sample, work), NACRE_OK);
    const float *row = sample.values[0].data;
    NC_CHECK_NEAR(row[0], (2 - 3) / sqrt(3.5), 1e-6);
    NC_CHECK_NEAR(row[1], 0, 1e-6);
    NC_CHECK_NEAR(row[2], 0, 1e-6);
    for (int i = 0; i < 2; i++) nacre_release(ctx, work[i].block);
    nacre_sample_release(&sample);
    nacre_transforms_destroy(list);
    nacre_dataset_destroy(dataset);
}

static void figures_of_channels(void)
{
    nacre_dataset *dataset = make_pictures(ctx, &picture_shape);
    nacre_transforms *list = nacre_transforms_parse(ctx, "scale(2); standardise");
    NC_CHECK_INT(nacre_transforms_fit(list, dataset), NACRE_OK);
    nacre_buffer text = nacre_buffer_create(ctx);
    nacre_transforms_print(list, &text);
    /* channel 0: 0..5 + {0, 20, 40}, doubled: mean 45, variance 4 (35/12 + 800/3) */
    NC_CHECK_CONTAINS(text.data, "normalise([45, 57], [32.83798");
    nacre_buffer_destroy(&text);
    nacre_transforms_destroy(list);
    nacre_dataset_destroy(dataset);
}

/* ---- memory ---- */

static bool transform_all(nacre_context *context, void *user)
{
    (void)user;
    nacre_sample sample = {.context = context};
    nacre_work work[2] = {{0}};
    nacre_buffer text = nacre_buffer_create(context);
    nacre_dataset *dataset = make_pictures(context, &picture_shape);
    nacre_transforms *list = nacre_transforms_parse(
        context,
        "resize(4); random_crop(3, padding=1); affine(20); normalise([1, 2], [3, 4]); standardise; flatten; one_hot");
    bool done = dataset && list && nacre_transforms_fit(list, dataset) == NACRE_OK &&
                nacre_dataset_get(dataset, 1, &sample) == NACRE_OK &&
                nacre_transforms_apply(list, dataset, &(nacre_draw){true, 1, 2, 1}, &sample, work) == NACRE_OK &&
                nacre_transforms_print(list, &text) == NACRE_OK;
    for (int i = 0; i < 2; i++) nacre_release(context, work[i].block);
    nacre_buffer_destroy(&text);
    nacre_sample_release(&sample);
    nacre_transforms_destroy(list);
    nacre_dataset_destroy(dataset);
    return done;
}

static void out_of_memory(void)
{
    nc_fail_each_allocation(transform_all, NULL);
}

int main(void)
{
    ctx = nacre_context_create(&(nacre_context_options){.threads = 1});
    NC_RUN(known_numbers);
    NC_RUN(labels);
    NC_RUN(chance);
    NC_RUN(noise_is_normal);
    NC_RUN(affine_moves_as_told);
    NC_RUN(there_and_back);
    NC_RUN(refused);
    NC_RUN(refused_when_applied);
    NC_RUN(catalogue_of_transforms);
    NC_RUN(figures_of_columns);
    NC_RUN(figures_of_channels);
    NC_RUN(out_of_memory);
    nacre_context_destroy(ctx);
    return nc_report();
}

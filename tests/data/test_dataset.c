/* Datasets: glyphs, arrays, views, splits, and what is refused. */
#include "numbers.h"

static nacre_context *ctx;

/* Of the first 600 glyphs of seed 7. */
#define GLYPH_HASH 0xd29049e25fb8c7f7u

/* With label i % 3. */
static nacre_dataset *make_numbers(nacre_context *context, int64_t count)
{
    int64_t labels[1000];
    for (int64_t i = 0; i < count; i++) labels[i] = i % 3;
    return nc_make_numbers(context, count, labels, NULL);
}

/* ---- glyphs ---- */

static uint64_t hash_bytes(uint64_t hash, const void *bytes, size_t size) /* FNV-1a */
{
    for (size_t i = 0; i < size; i++) hash = (hash ^ ((const uint8_t *)bytes)[i]) * 0x100000001b3u;
    return hash;
}

static uint64_t hash_glyphs(nacre_dataset *glyphs, int64_t count)
{
    nacre_sample sample = {.context = ctx};
    uint64_t hash = 0xcbf29ce484222325u;
    for (int64_t i = 0; i < count; i++) {
        NC_CHECK_INT(nacre_dataset_get(glyphs, i, &sample), NACRE_OK);
        hash = hash_bytes(hash, sample.values[0].data, 28 * 28);
    }
    nacre_sample_release(&sample);
    return hash;
}

static void glyphs_are_the_same_everywhere(void)
{
    nacre_dataset *glyphs = nacre_glyphs(ctx, 600, 7), *again = nacre_glyphs(ctx, 1200, 7),
                  *other = nacre_glyphs(ctx, 600, 8);
    NC_REQUIRE(glyphs && again && other);
    uint64_t hash = hash_glyphs(glyphs, 600);
    NC_CHECK_INT(hash, GLYPH_HASH); /* the same on any machine */
    NC_CHECK_INT(hash_glyphs(again, 600), hash);
    NC_CHECK(hash_glyphs(other, 600) != hash);
    nacre_dataset_destroy(glyphs);
    nacre_dataset_destroy(again);
    nacre_dataset_destroy(other);
}

static void glyphs_have_parts(void)
{
    nacre_dataset *glyphs = nacre_glyphs(ctx, 600, 7);
    NC_REQUIRE(glyphs);
    NC_CHECK_INT(nacre_dataset_count(glyphs), 800);
    NC_CHECK_INT(nacre_dataset_classes(glyphs), 10);
    NC_CHECK_TEXT(nacre_dataset_class_name(glyphs, 9), "9");
    NC_CHECK(nacre_dataset_class_name(glyphs, 10) == NULL);
    static const int64_t COUNTS[] = {600, 100, 100, 800};
    for (int part = NACRE_TRAIN; part <= NACRE_ALL; part++) {
        nacre_dataset *view = nacre_dataset_split(glyphs, (nacre_part)part, NULL);
        NC_CHECK_INT(nacre_dataset_count(view), COUNTS[part]);
        int64_t classes[10] = {0};
        for (int64_t i = 0; i < nacre_dataset_count(view); i++) classes[nacre_dataset_label(view, i)]++;
        for (int c = 0; c < 10; c++) NC_CHECK_INT(classes[c], COUNTS[part] / 10);
        nacre_dataset_destroy(view);
    }
    char origin[64];
    NC_CHECK_TEXT(nacre_dataset_origin(glyphs, 605, origin, sizeof origin), "glyphs:validation[5]");
    nacre_dataset_destroy(glyphs);
    NC_CHECK(nacre_glyphs(ctx, -1, 0) == NULL);
    NC_CHECK_FAILED(ctx, NACRE_ERROR_ARGUMENT, "glyphs");
}

/* Each picture has ink, and one drawn for a digit differs from the next of the same digit. */
static void glyphs_vary(void)
{
    nacre_dataset *glyphs = nacre_glyphs(ctx, 200, 1);
    nacre_sample sample = {.context = ctx};
    uint8_t before[10][28 * 28] = {{0}};
    for (int64_t i = 0; i < 200; i++) {
        NC_REQUIRE(nacre_dataset_get(glyphs, i, &sample) == NACRE_OK);
        const uint8_t *pixels = sample.values[0].data;
        int digit = (int)*(const int64_t *)sample.values[1].data, bright = 0;
        NC_CHECK_INT(digit, nacre_dataset_label(glyphs, i));
        for (int p = 0; p < 28 * 28; p++) bright += pixels[p] > 128;
        NC_CHECK(bright > 10 && bright < 350);
        NC_CHECK(memcmp(pixels, before[digit], sizeof before[digit]) != 0);
        memcpy(before[digit], pixels, sizeof before[digit]);
    }
    nacre_sample_release(&sample);
    nacre_dataset_destroy(glyphs);
}

/* ---- views and splits ---- */

static void views_compose(void)
{
    nacre_dataset *all = make_numbers(ctx, 30);
    nacre_dataset *odd = nacre_dataset_select(all, (int64_t[]){1, 3, 5, 7, 7}, 5);
    nacre_dataset *two = nacre_dataset_select(odd, (int64_t[]){4, 1}, 2);
    NC_REQUIRE(two);
    nacre_dataset_destroy(all); /* the views keep it */
    nacre_dataset_destroy(odd);
    NC_CHECK_INT(nacre_dataset_count(two), 2);
    NC_CHECK_INT(nc_number_at(two, 0), 7);
    NC_CHECK_INT(nc_number_at(two, 1), 3);
    NC_CHECK_INT(nacre_dataset_label(two, 0), 1);
    NC_CHECK_INT(nacre_dataset_label(two, 2), -1);
    NC_CHECK_TEXT(nacre_dataset_class_name(two, 2), "c");
    NC_CHECK_TEXT(nacre_dataset_field(two, 0)->name, "features");
    NC_CHECK(nacre_dataset_field(two, 2) == NULL);
    char origin[64];
    NC_CHECK_TEXT(nacre_dataset_origin(two, 0, origin, sizeof origin), "numbers[7]");
    NC_CHECK_OK(ctx);
    NC_CHECK(nacre_dataset_select(two, (int64_t[]){2}, 1) == NULL);
    NC_CHECK_FAILED(ctx, NACRE_ERROR_ARGUMENT, "sample 2");
    NC_CHECK_INT(nc_number_at(two, 2), -1);
    NC_CHECK_FAILED(ctx, NACRE_ERROR_ARGUMENT, "there are 2");
    nacre_dataset_destroy(two);
}

/* Train, validation and test share nothing, are everything, and have every class in proportion. */
static void parts_are_disjoint(void)
{
    nacre_dataset *all = make_numbers(ctx, 300);
    nacre_split_options options = {.validation = 0.25, .test = 0.1, .seed = 5};
    static const int64_t COUNTS[] = {201, 69, 30}; /* per class: 100, 10 for test, 22.5 of 90 for validation */
    int seen[300] = {0};
    for (int part = NACRE_TRAIN; part <= NACRE_TEST; part++) {
        nacre_dataset *view = nacre_dataset_split(all, (nacre_part)part, &options);
        nacre_dataset *again = nacre_dataset_split(all, (nacre_part)part, &options);
        NC_CHECK_INT(nacre_dataset_count(view), COUNTS[part]);
        int64_t classes[3] = {0};
        for (int64_t i = 0; i < nacre_dataset_count(view); i++) {
            NC_CHECK_INT(nc_number_at(again, i), nc_number_at(view, i));
            seen[nc_number_at(view, i)]++;
            classes[nacre_dataset_label(view, i)]++;
        }
        for (int c = 0; c < 3; c++) NC_CHECK_INT(classes[c], COUNTS[part] / 3);
        nacre_dataset_destroy(view);
        nacre_dataset_destroy(again);
    }
    for (int i = 0; i < 300; i++) NC_CHECK_INT(seen[i], 1);
    nacre_dataset *first = nacre_dataset_split(all, NACRE_TEST, &options);
    options.seed = 6;
    nacre_dataset *second = nacre_dataset_split(all, NACRE_TEST, &options);
    int same = 0;
    for (int64_t i = 0; i < 30; i++) same += nc_number_at(first, i) == nc_number_at(second, i);
    NC_CHECK(same < 15);
    nacre_dataset_destroy(first);
    nacre_dataset_destroy(second);
    nacre_dataset_destroy(all);
}

static void splits_in_order(void)
{
    nacre_dataset *all = make_numbers(ctx, 100);
    nacre_split_options options = {.validation = 0.25, .ordered = true}; /* the test share is 0.2 unless said */
    static const int64_t STARTS[] = {0, 60, 80};
    for (int part = NACRE_TRAIN; part <= NACRE_TEST; part++) {
        nacre_dataset *view = nacre_dataset_split(all, (nacre_part)part, &options);
        NC_CHECK_INT(nc_number_at(view, 0), STARTS[part]);
        NC_CHECK_INT(nacre_dataset_count(view), part == NACRE_TRAIN ? 60 : 20);
        nacre_dataset_destroy(view);
    }
    options = (nacre_split_options){.test = -1};
    nacre_dataset *train = nacre_dataset_split(all, NACRE_TRAIN, &options);
    NC_CHECK_INT(nacre_dataset_count(train), 100);
    NC_CHECK_OK(ctx);
    NC_CHECK(nacre_dataset_split(all, NACRE_TEST, &options) == NULL);
    NC_CHECK_FAILED(ctx, NACRE_ERROR_NOT_FOUND, "no test samples");
    options.validation = 1;
    NC_CHECK(nacre_dataset_split(all, NACRE_TRAIN, &options) == NULL);
    NC_CHECK_FAILED(ctx, NACRE_ERROR_ARGUMENT, "less than 1");
    nacre_dataset_destroy(train);
    nacre_dataset_destroy(all);
}

static void subsets(void)
{
    nacre_dataset *all = make_numbers(ctx, 100);
    nacre_dataset *some = nacre_dataset_subset(all, 31, 1), *none = nacre_dataset_subset(all, 0, 1);
    nacre_dataset *whole = nacre_dataset_subset(all, 100, 1);
    NC_CHECK_INT(nacre_dataset_count(some), 31);
    NC_CHECK_INT(nacre_dataset_count(none), 0);
    NC_CHECK_INT(nacre_dataset_count(whole), 100);
    int64_t classes[3] = {0}, last = -1;
    for (int64_t i = 0; i < 31; i++) {
        NC_CHECK(nc_number_at(some, i) > last);
        last = nc_number_at(some, i);
        classes[nacre_dataset_label(some, i)]++;
    }
    for (int c = 0; c < 3; c++) NC_CHECK(classes[c] >= 10 && classes[c] <= 11);
    NC_CHECK_OK(ctx);
    NC_CHECK(nacre_dataset_subset(all, 101, 1) == NULL);
    NC_CHECK_FAILED(ctx, NACRE_ERROR_ARGUMENT, "there are 100");
    nacre_dataset_destroy(some);
    nacre_dataset_destroy(none);
    nacre_dataset_destroy(whole);
    nacre_dataset_destroy(all);
}

/* ---- arrays ---- */

static nacre_array make_array(nacre_context *context, nacre_dtype dtype, nacre_shape shape)
{
    nacre_array array = {dtype, shape, NULL};
    int64_t count = nacre_shape_count(shape);
    array.data = nacre_allocate_aligned(context, (size_t)count * nacre_dtype_size(dtype));
    for (int64_t i = 0; array.data && i < count; i++) nacre_dtype_store(dtype, array.data, i, (double)(i % 100));
    return array;
}

static void arrays_become_fields(void)
{
    static const struct {
        nacre_dtype dtype;
        nacre_shape shape, field;
        nacre_role role;
        nacre_dtype becomes;
        int64_t second; /* the sample's element 1 of sample 0 */
    } CASES[] = {
        {NACRE_U8, {3, {4, 5, 6}}, {3, {1, 5, 6}}, NACRE_ROLE_IMAGE, NACRE_U8, 1},
        {NACRE_U8, {4, {4, 3, 5, 6}}, {3, {3, 5, 6}}, NACRE_ROLE_IMAGE, NACRE_U8, 1},
        {NACRE_U8, {4, {4, 5, 6, 3}}, {3, {3, 5, 6}}, NACRE_ROLE_IMAGE, NACRE_U8, 3},
        {NACRE_F64, {4, {4, 5, 6, 1}}, {3, {1, 5, 6}}, NACRE_ROLE_IMAGE, NACRE_F32, 1},
        {NACRE_F64, {2, {4, 5}}, {1, {5}}, NACRE_ROLE_FEATURES, NACRE_F32, 1},
        {NACRE_F32, {3, {4, 5, 6}}, {2, {5, 6}}, NACRE_ROLE_FEATURES, NACRE_F32, 1},
        {NACRE_I64, {2, {4, 5}}, {1, {5}}, NACRE_ROLE_FEATURES, NACRE_I64, 1},
    };
    for (size_t i = 0; i < sizeof CASES / sizeof *CASES; i++) {
        nacre_array inputs = make_array(ctx, CASES[i].dtype, CASES[i].shape);
        nacre_dataset *dataset = nacre_dataset_from_arrays(ctx, "arrays", &inputs, NULL, NULL, NULL);
        NC_REQUIRE(dataset);
        const nacre_field *field = nacre_dataset_field(dataset, 0);
        NC_CHECK_INT(field->role, CASES[i].role);
        NC_CHECK_INT(field->dtype, CASES[i].becomes);
        NC_CHECK(nacre_shape_equal(field->shape, CASES[i].field));
        nacre_sample sample = {.context = ctx};
        NC_CHECK_INT(nacre_dataset_get(dataset, 0, &sample), NACRE_OK);
        NC_CHECK_INT(nacre_dtype_load(sample.values[0].dtype, sample.values[0].data, 1), CASES[i].second);
        nacre_sample_release(&sample);
        nacre_dataset_destroy(dataset);
    }
}

static void targets_become_labels_or_numbers(void)
{
    nacre_array inputs = make_array(ctx, NACRE_F32, NACRE_SHAPE(5, 2)),
                targets = make_array(ctx, NACRE_U8, NACRE_SHAPE(5, 1));
    nacre_dataset *dataset = nacre_dataset_from_arrays(ctx, "arrays", &inputs, &targets, NULL, NULL);
    NC_REQUIRE(dataset);
    NC_CHECK_INT(nacre_dataset_field(dataset, 1)->role, NACRE_ROLE_LABEL);
    NC_CHECK_INT(nacre_dataset_classes(dataset), 5);
    NC_CHECK_INT(nacre_dataset_label(dataset, 4), 4);
    nacre_dataset_destroy(dataset);
    inputs = make_array(ctx, NACRE_F32, NACRE_SHAPE(5, 2));
    targets = make_array(ctx, NACRE_F64, NACRE_SHAPE(5));
    dataset = nacre_dataset_from_arrays(ctx, "arrays", &inputs, &targets, NULL, NULL);
    NC_REQUIRE(dataset);
    NC_CHECK_INT(nacre_dataset_field(dataset, 1)->role, NACRE_ROLE_TARGET);
    NC_CHECK(nacre_shape_equal(nacre_dataset_field(dataset, 1)->shape, NACRE_SHAPE(1)));
    nacre_sample sample = {.context = ctx};
    NC_CHECK_INT(nacre_dataset_get(dataset, 3, &sample), NACRE_OK);
    NC_CHECK_NEAR(*(const float *)sample.values[1].data, 3, 0);
    nacre_sample_release(&sample);
    nacre_dataset_destroy(dataset);
    NC_CHECK_OK(ctx);
}

static void arrays_that_do_not_fit(void)
{
    static const char *const TWO[] = {"no", "yes", NULL};
    nacre_array inputs = make_array(ctx, NACRE_F32, NACRE_SHAPE(5, 2)),
                targets = make_array(ctx, NACRE_U8, NACRE_SHAPE(4));
    NC_CHECK(nacre_dataset_from_arrays(ctx, "arrays", &inputs, &targets, NULL, NULL) == NULL);
    NC_CHECK_FAILED(ctx, NACRE_ERROR_SHAPE, "5 inputs, but 4 labels");
    inputs = make_array(ctx, NACRE_F32, NACRE_SHAPE(5, 2));
    targets = make_array(ctx, NACRE_I64, NACRE_SHAPE(5));
    NC_CHECK(nacre_dataset_from_arrays(ctx, "arrays", &inputs, &targets, NULL,
                                       &(nacre_dataset_options){.labels = TWO}) == NULL);
    NC_CHECK_FAILED(ctx, NACRE_ERROR_FORMAT, "sample 2 has label 2, expected 0 to 1");
    inputs = make_array(ctx, NACRE_F32, NACRE_SCALAR);
    NC_CHECK(nacre_dataset_from_arrays(ctx, "arrays", &inputs, NULL, NULL, NULL) == NULL);
    NC_CHECK_FAILED(ctx, NACRE_ERROR_SHAPE, "[samples, ...]");
}

/* ---- memory ---- */

static bool build_all(nacre_context *context, void *user)
{
    (void)user;
    nacre_sample sample = {.context = context};
    nacre_dataset *glyphs = nacre_glyphs(context, 60, 3);
    nacre_dataset *train = nacre_dataset_split(glyphs, NACRE_TRAIN, &(nacre_split_options){.validation = 0.2});
    nacre_dataset *few = nacre_dataset_subset(train, 20, 4);
    nacre_array inputs = make_array(context, NACRE_U8, NACRE_SHAPE(4, 5, 6, 3));
    nacre_array targets = make_array(context, NACRE_I32, NACRE_SHAPE(4));
    nacre_dataset *arrays = NULL;
    if (inputs.data && targets.data)
        arrays = nacre_dataset_from_arrays(context, "arrays", &inputs, &targets, NULL, NULL);
    bool done = few && arrays && nacre_dataset_get(few, 3, &sample) == NACRE_OK &&
                nacre_dataset_get(arrays, 3, &sample) == NACRE_OK;
    nacre_array_release(context, &inputs);
    nacre_array_release(context, &targets);
    nacre_sample_release(&sample);
    nacre_dataset_destroy(few);
    nacre_dataset_destroy(train);
    nacre_dataset_destroy(glyphs);
    nacre_dataset_destroy(arrays);
    return done;
}

static void out_of_memory(void)
{
    nc_fail_each_allocation(build_all, NULL);
}

int main(void)
{
    ctx = nacre_context_create(&(nacre_context_options){.threads = 1});
    NC_RUN(glyphs_are_the_same_everywhere);
    NC_RUN(glyphs_have_parts);
    NC_RUN(glyphs_vary);
    NC_RUN(views_compose);
    NC_RUN(parts_are_disjoint);
    NC_RUN(splits_in_order);
    NC_RUN(subsets);
    NC_RUN(arrays_become_fields);
    NC_RUN(targets_become_labels_or_numbers);
    NC_RUN(arrays_that_do_not_fit);
    NC_RUN(out_of_memory);
    nacre_context_destroy(ctx);
    return nc_report();
}

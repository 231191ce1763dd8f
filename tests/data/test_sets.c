/* The sets of the catalogue as they are, where NACRE_DATA names a folder that has them. */
#include "support.h"

static nacre_context *ctx;
static const char *data_folder;

typedef struct expectation {
    const char *name;
    int64_t train, test;
    int classes;
    nacre_shape shape;
    nacre_role target;
    const char *first_class;
    bool varied; /* pictures of several sizes */
} expectation;

static const expectation SETS[] = {
    {"mnist", 60000, 10000, 10, {3, {1, 28, 28}}, NACRE_ROLE_LABEL, "0", false},
    {"fashion_mnist", 60000, 10000, 10, {3, {1, 28, 28}}, NACRE_ROLE_LABEL, "T-shirt/top", false},
    {"cifar10", 20000, 5000, 10, {3, {3, 32, 32}}, NACRE_ROLE_LABEL, "airplane", false},
    {"gtsrb", 2940, 830, 43, {3, {3, 32, 32}}, NACRE_ROLE_LABEL, "00000", false},
    {"brain_mri", 800, 240, 4, {3, {3, 224, 224}}, NACRE_ROLE_LABEL, "glioma", false},
    {"orl_faces", 320, 80, 40, {3, {1, 112, 92}}, NACRE_ROLE_LABEL, "s1", false},
    {"magnetic_tile", 144, 36, 6, {0}, NACRE_ROLE_LABEL, "Blowhole", true},
    {"neu_det", 240, 60, 6, {3, {3, 200, 200}}, NACRE_ROLE_LABEL, "crazing", false},
    {"wbc", 240, 60, 5, {0}, NACRE_ROLE_LABEL, "neutrophil", true},
    {"tabular_classics/iris", 120, 30, 3, {1, {4}}, NACRE_ROLE_LABEL, "Iris-setosa", false},
    {"tabular_classics/wine", 142, 36, 3, {1, {13}}, NACRE_ROLE_LABEL, "1", false},
    {"tabular_classics/mammography", 8946, 2237, 2, {1, {6}}, NACRE_ROLE_LABEL, "-1", false},
    {"tabular_classics/adult", 32561, 16281, 2, {1, {105}}, NACRE_ROLE_LABEL, "<=50K", false},
    {"creditcard_fraud", 4330, 1082, 2, {1, {30}}, NACRE_ROLE_LABEL, "0", false},
    {"nsl_kdd", 25192, 22544, 0, {0}, NACRE_ROLE_LABEL, "apache2", false},
    {"ai4i2020", 8000, 2000, 2, {1, {8}}, NACRE_ROLE_LABEL, "0", false},
    {"occupancy", 8143, 12417, 2, {1, {5}}, NACRE_ROLE_LABEL, "0", false},
    {"appliances_energy", 14803, 4932, 0, {1, {25}}, NACRE_ROLE_TARGET, NULL, false},
};

static void check_samples(const nacre_dataset *dataset, const expectation *expected)
{
    nacre_sample sample = {.context = ctx};
    int64_t count = nacre_dataset_count(dataset), step = count / 97 + 1;
    for (int64_t i = 0; i < count; i += step) {
        NC_REQUIRE(nacre_dataset_get(dataset, i, &sample) == NACRE_OK);
        const nacre_value *value = &sample.values[0];
        if (!expected->varied) NC_CHECK(nacre_shape_equal(value->shape, nacre_dataset_field(dataset, 0)->shape));
        for (int64_t j = 0; j < nacre_shape_count(value->shape); j++)
            NC_CHECK(isfinite(nacre_dtype_load(value->dtype, value->data, j)));
        if (expected->target == NACRE_ROLE_LABEL)
            NC_CHECK_INT(*(const int64_t *)sample.values[1].data, nacre_dataset_label(dataset, i));
    }
    nacre_sample_release(&sample);
}

static void check_set(const expectation *expected)
{
    nc_test = expected->name;
    nacre_dataset *dataset = nacre_dataset_open(ctx, expected->name, &(nacre_dataset_options){.folder = data_folder});
    NC_CHECK_OK(ctx);
    NC_REQUIRE(dataset);
    nacre_dataset *train = nacre_dataset_split(dataset, NACRE_TRAIN, NULL);
    nacre_dataset *test = nacre_dataset_split(dataset, NACRE_TEST, NULL);
    NC_CHECK_INT(nacre_dataset_count(train), expected->train);
    NC_CHECK_INT(nacre_dataset_count(test), expected->test);
    if (expected->classes) NC_CHECK_INT(nacre_dataset_classes(dataset), expected->classes);
    if (expected->first_class) NC_CHECK_TEXT(nacre_dataset_class_name(dataset, 0), expected->first_class);
    NC_CHECK_INT(nacre_dataset_field(dataset, 1)->role, expected->target);
    char text[NACRE_SHAPE_TEXT_SIZE];
    if (expected->shape.rank && !nacre_shape_equal(nacre_dataset_field(dataset, 0)->shape, expected->shape))
        NC_COMPLAIN("shape is %s", nacre_shape_text(nacre_dataset_field(dataset, 0)->shape, text));
    check_samples(dataset, expected);
    nacre_dataset_destroy(train);
    nacre_dataset_destroy(test);
    nacre_dataset_destroy(dataset);
    NC_CHECK_OK(ctx);
}

/* What is known about single samples. */
static void known_samples(void)
{
    nacre_dataset *mnist = nacre_dataset_open(ctx, "mnist", &(nacre_dataset_options){.folder = data_folder});
    NC_REQUIRE(mnist);
    static const int FIRST[] = {5, 0, 4, 1, 9, 2, 1, 3, 1, 4}, TEST[] = {7, 2, 1, 0, 4, 1, 4, 9, 5, 9};
    for (int i = 0; i < 10; i++) {
        NC_CHECK_INT(nacre_dataset_label(mnist, i), FIRST[i]);
        NC_CHECK_INT(nacre_dataset_label(mnist, 60000 + i), TEST[i]);
    }
    nacre_transforms *list = nacre_transforms_parse(ctx, "scale(1/255); standardise");
    nacre_dataset *train = nacre_dataset_split(mnist, NACRE_TRAIN, NULL);
    NC_CHECK_INT(nacre_transforms_fit(list, train), NACRE_OK);
    nacre_buffer text = nacre_buffer_create(ctx);
    nacre_transforms_print(list, &text);
    NC_CHECK_CONTAINS(text.data, "normalise(0.13066"); /* the mean and deviation that every tutorial prints */
    NC_CHECK_CONTAINS(text.data, ", 0.30810");
    nacre_buffer_destroy(&text);
    nacre_transforms_destroy(list);
    nacre_dataset_destroy(train);
    nacre_dataset_destroy(mnist);
}

static void missing_values(void)
{
    nacre_dataset_options options = {.folder = data_folder};
    NC_CHECK(nacre_dataset_open(ctx, "tabular_classics/breast_cancer", &options) == NULL);
    NC_CHECK_FAILED(ctx, NACRE_ERROR_FORMAT, "breast-cancer-wisconsin.csv:24: column '5' is missing");
    options.keep_missing = true;
    nacre_dataset *dataset = nacre_dataset_open(ctx, "tabular_classics/breast_cancer", &options);
    NC_REQUIRE(dataset);
    nacre_transforms *list = nacre_transforms_parse(ctx, "impute; standardise");
    NC_CHECK_INT(nacre_transforms_fit(list, dataset), NACRE_OK);
    nacre_loader *loader = nacre_loader_create(dataset, &(nacre_loader_options){.batch_size = 64, .transforms = list});
    for (const nacre_batch *batch; (batch = nacre_loader_next(loader));)
        for (int64_t i = 0; i < nacre_shape_count(batch->fields[0].shape); i++)
            NC_CHECK(isfinite(((const float *)batch->fields[0].data)[i]));
    NC_CHECK_OK(ctx);
    nacre_loader_destroy(loader);
    nacre_transforms_destroy(list);
    nacre_dataset_destroy(dataset);
}

/* The whole way, on two threads: archive, JPEG, augmentation, batches. */
static void loading(void)
{
    nacre_dataset *dataset = nacre_dataset_open(ctx, "cifar10", &(nacre_dataset_options){.folder = data_folder});
    nacre_dataset *few = nacre_dataset_subset(dataset, 1000, 1);
    nacre_transforms *list = nacre_transforms_parse(
        ctx,
        "random_crop(32, padding=4); horizontal_flip; scale(1/255); normalise([0.49, 0.48, 0.45], [0.25, 0.24, 0.26])");
    double sums[2] = {0};
    for (int run = 0; run < 2; run++) {
        nacre_loader_options options = {
            .batch_size = 128, .workers = 2 * run, .shuffle = true, .training = true, .transforms = list};
        nacre_loader *loader = nacre_loader_create(few, &options);
        NC_REQUIRE(loader);
        for (const nacre_batch *batch; (batch = nacre_loader_next(loader));) {
            NC_CHECK_INT(batch->fields[0].shape.dims[1], 3);
            for (int64_t i = 0; i < nacre_shape_count(batch->fields[0].shape); i++)
                sums[run] += ((const float *)batch->fields[0].data)[i] * (double)(i % 17);
        }
        NC_CHECK_INT(nacre_loader_statistics(loader).samples, 1000);
        nacre_loader_destroy(loader);
    }
    NC_CHECK(sums[0] == sums[1]);
    NC_CHECK_OK(ctx);
    nacre_transforms_destroy(list);
    nacre_dataset_destroy(few);
    nacre_dataset_destroy(dataset);
}

/* A gzip file cut short, or with one bit wrong, is noticed. */
static void torn_files(void)
{
    char images[1024], labels[1024], folder[512];
    size_t size;
    snprintf(images, sizeof images, "%s/mnist/t10k-images-idx3-ubyte.gz", data_folder);
    snprintf(labels, sizeof labels, "%s/mnist/t10k-labels-idx1-ubyte.gz", data_folder);
    snprintf(folder, sizeof folder, "%s", nc_file("torn"));
    NC_CHECK_INT(nacre_make_directories(ctx, folder), NACRE_OK);
    char *bytes = nacre_file_read(ctx, labels, 0, &size);
    NC_REQUIRE(bytes);
    nacre_file_write(ctx, nc_file("torn/t10k-labels-idx1-ubyte.gz"), bytes, size);
    nacre_release(ctx, bytes);
    bytes = nacre_file_read(ctx, images, 0, &size);
    NC_REQUIRE(bytes);
    for (int i = 0; i < 12; i++) {
        size_t cut = size * (size_t)(i + 1) / 13;
        nacre_file_write(ctx, nc_file("torn/t10k-images-idx3-ubyte.gz"), bytes, cut);
        NC_CHECK(nacre_dataset_open(ctx, folder, NULL) == NULL);
        NC_CHECK_FAILED(ctx, NACRE_ERROR_FORMAT, "t10k-images-idx3-ubyte.gz: cut short");
        bytes[cut] ^= 8;
        nacre_file_write(ctx, nc_file("torn/t10k-images-idx3-ubyte.gz"), bytes, size);
        NC_CHECK(nacre_dataset_open(ctx, folder, NULL) == NULL);
        NC_CHECK_FAILED(ctx, NACRE_ERROR_FORMAT, "t10k-images-idx3-ubyte.gz");
        bytes[cut] ^= 8;
    }
    nacre_file_write(ctx, nc_file("torn/t10k-images-idx3-ubyte.gz"), bytes, size);
    nacre_dataset *dataset = nacre_dataset_open(ctx, folder, NULL);
    NC_CHECK_INT(nacre_dataset_count(dataset), 10000);
    nacre_dataset_destroy(dataset);
    nacre_release(ctx, bytes);
    NC_CHECK_OK(ctx);
}

static void files_are_the_catalogue_s(void)
{
    static const char *const NAMES[] = {"orl_faces", "tabular_classics", "nsl_kdd", "timeseries_small"};
    for (int i = 0; i < 4; i++) {
        const nacre_catalogue_set *set = nacre_catalogue_find(NAMES[i]);
        NC_REQUIRE(set);
        NC_CHECK_INT(nacre_catalogue_check(ctx, set, data_folder, true), NACRE_OK);
        NC_CHECK_OK(ctx);
    }
}

int main(void)
{
    data_folder = getenv("NACRE_DATA");
    if (!data_folder) return NC_SKIPPED;
    ctx = nacre_context_create(&(nacre_context_options){.threads = 1});
    for (size_t i = 0; i < sizeof SETS / sizeof *SETS; i++) check_set(&SETS[i]);
    NC_RUN(known_samples);
    NC_RUN(missing_values);
    NC_RUN(loading);
    NC_RUN(torn_files);
    NC_RUN(files_are_the_catalogue_s);
    nacre_context_destroy(ctx);
    return nc_report();
}

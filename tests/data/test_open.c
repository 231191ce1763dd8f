/* Opening by path: folders and archives of pictures, IDX folders, npz, tables, single pictures; and what is refused. */
#include "support.h"

#include <sys/stat.h>

#if __has_include(<archive.h>)
#include <archive.h>
#include <archive_entry.h>
#define HAVE_ARCHIVE 1
#else
#define HAVE_ARCHIVE 0
#endif

static nacre_context *ctx;

/* ---- files to open ---- */

static void make_folder_of(const char *path)
{
    char folder[1024];
    snprintf(folder, sizeof folder, "%s", path);
    *strrchr(folder, '/') = 0;
    NC_CHECK_INT(nacre_make_directories(ctx, folder), NACRE_OK);
}

static void write_picture(const char *path, int channels, int height, int width, int seed)
{
    nacre_image image = {0};
    nacre_image_reserve(ctx, &image, channels, height, width);
    for (int i = 0; i < channels * height * width; i++) image.pixels[i] = (uint8_t)(seed * 37 + i * 5);
    make_folder_of(path);
    NC_CHECK_INT(nacre_image_write_png(ctx, &image, path), NACRE_OK);
    nacre_image_release(ctx, &image);
}

static const char *const PICTURES[] = {"train/dog/b.png", "train/dog/a.png",       "train/cat/1.png",
                                       "train/cat/2.png", "test/cat/3.png",        "test/dog/c.png",
                                       "val/dog/d.png",   "train/cat/.hidden.png", "train/notes.txt"};
enum { PICTURE_COUNT = sizeof PICTURES / sizeof *PICTURES, REAL_PICTURES = 7 };

static void make_album(const char *name)
{
    for (int i = 0; i < PICTURE_COUNT; i++) {
        char path[1024];
        snprintf(path, sizeof path, "%s/%s", nc_file(name), PICTURES[i]);
        if (strstr(path, ".png"))
            write_picture(path, i == 3 ? 3 : 1, 4, 5, i);
        else
            nacre_file_write(ctx, path, "notes", 5);
    }
}

#if HAVE_ARCHIVE
/* All files of the album below "top/", in the order above. */
static void pack_album(const char *album, const char *path)
{
    struct archive *writer = archive_write_new();
    if (strstr(path, ".zip")) {
        archive_write_set_format_zip(writer);
    } else {
        archive_write_set_format_pax_restricted(writer);
        if (strstr(path, ".gz")) archive_write_add_filter_gzip(writer);
        if (strstr(path, ".zst")) archive_write_add_filter_zstd(writer);
    }
    NC_REQUIRE(archive_write_open_filename(writer, path) == ARCHIVE_OK);
    for (int i = 0; i < PICTURE_COUNT; i++) {
        char inside[1024], source[1024];
        size_t size;
        snprintf(inside, sizeof inside, "top/%s", PICTURES[i]);
        snprintf(source, sizeof source, "%s/%s", nc_file(album), PICTURES[i]);
        char *bytes = nacre_file_read(ctx, source, 0, &size);
        struct archive_entry *entry = archive_entry_new();
        archive_entry_set_pathname(entry, inside);
        archive_entry_set_size(entry, (la_int64_t)size);
        archive_entry_set_filetype(entry, AE_IFREG);
        archive_entry_set_perm(entry, 0644);
        NC_CHECK_INT(archive_write_header(writer, entry), ARCHIVE_OK);
        NC_CHECK_INT(archive_write_data(writer, bytes, size), size);
        archive_entry_free(entry);
        nacre_release(ctx, bytes);
    }
    archive_write_close(writer);
    archive_write_free(writer);
}
#endif

/* ---- pictures ---- */

static uint64_t hash_samples(const nacre_dataset *dataset) /* FNV-1a */
{
    nacre_sample sample = {.context = ctx};
    uint64_t hash = 0xcbf29ce484222325u;
    for (int64_t i = 0; i < nacre_dataset_count(dataset); i++) {
        NC_CHECK_INT(nacre_dataset_get(dataset, i, &sample), NACRE_OK);
        for (int f = 0; f < nacre_dataset_field_count(dataset); f++) {
            const nacre_value *value = &sample.values[f];
            size_t size = (size_t)nacre_shape_count(value->shape) * nacre_dtype_size(value->dtype);
            for (size_t b = 0; b < size; b++) hash = (hash ^ ((const uint8_t *)value->data)[b]) * 0x100000001b3u;
        }
    }
    nacre_sample_release(&sample);
    return hash;
}

static void check_album(nacre_dataset *dataset)
{
    static const int64_t COUNTS[] = {4, 1, 2, 7};
    NC_CHECK_OK(ctx);
    NC_REQUIRE(dataset);
    NC_CHECK_INT(nacre_dataset_count(dataset), REAL_PICTURES);
    NC_CHECK_INT(nacre_dataset_classes(dataset), 2);
    NC_CHECK_TEXT(nacre_dataset_class_name(dataset, 0), "cat");
    NC_CHECK(nacre_shape_equal(nacre_dataset_field(dataset, 0)->shape, NACRE_SHAPE(3, 4, 5))); /* one is in colour */
    for (int part = NACRE_TRAIN; part <= NACRE_ALL; part++) {
        nacre_dataset *view = nacre_dataset_split(dataset, (nacre_part)part, NULL);
        NC_CHECK_INT(nacre_dataset_count(view), COUNTS[part]);
        nacre_dataset_destroy(view);
    }
    char origin[1024];
    NC_CHECK_CONTAINS(nacre_dataset_origin(dataset, 0, origin, sizeof origin), "test/cat/3.png"); /* sorted paths */
    NC_CHECK_INT(nacre_dataset_label(dataset, 1), 1);
    NC_CHECK_OK(ctx);
}

static void folders_and_archives(void)
{
    make_album("album");
    nacre_dataset *folder = nacre_dataset_open(ctx, nc_file("album"), NULL);
    check_album(folder);
    uint64_t hash = hash_samples(folder);
    nacre_dataset_destroy(folder);
#if HAVE_ARCHIVE
    static const char *const NAMES[] = {"album.tar", "album.tar.gz", "album.tar.zst", "album.zip"};
    for (size_t i = 0; i < sizeof NAMES / sizeof *NAMES; i++) {
        char path[256];
        nc_test = NAMES[i];
        snprintf(path, sizeof path, "%s", nc_file(NAMES[i]));
        pack_album("album", path);
        nacre_dataset *archive = nacre_dataset_open(ctx, path, NULL);
        check_album(archive);
        NC_CHECK_INT(hash_samples(archive), hash);
        nacre_dataset_destroy(archive);
    }
#endif
}

/* Cut or with a wrong byte, an archive is an error, or at least never other pictures. */
static void torn_archives(void)
{
#if HAVE_ARCHIVE
    static const char *const NAMES[] = {"album.tar.gz", "album.tar.zst", "album.zip"};
    for (size_t i = 0; i < sizeof NAMES / sizeof *NAMES; i++) {
        size_t size;
        char path[256];
        nc_test = NAMES[i];
        snprintf(path, sizeof path, "%s", nc_file(NAMES[i]));
        char *bytes = nacre_file_read(ctx, path, 0, &size);
        NC_REQUIRE(bytes);
        char torn[256];
        snprintf(torn, sizeof torn, "%s/torn-%s", nc_folder(), NAMES[i]);
        for (size_t cut = 0; cut + 30 < size; cut += 41) {
            nacre_file_write(ctx, torn, bytes, cut);
            nacre_dataset *dataset = nacre_dataset_open(ctx, torn, NULL);
            NC_CHECK(dataset == NULL);
            NC_CHECK(nacre_check(ctx) == NACRE_ERROR_FORMAT || nacre_check(ctx) == NACRE_ERROR_NOT_FOUND);
            nacre_dataset_destroy(dataset);
            nacre_clear(ctx);
        }
        for (size_t at = 0; at < size; at += 23) {
            bytes[at] = (char)(bytes[at] ^ 16);
            nacre_file_write(ctx, torn, bytes, size);
            nacre_dataset *dataset = nacre_dataset_open(ctx, torn, NULL);
            NC_CHECK((dataset == NULL) == (nacre_check(ctx) != NACRE_OK));
            nacre_dataset_destroy(dataset);
            nacre_clear(ctx);
            bytes[at] = (char)(bytes[at] ^ 16);
        }
        nacre_release(ctx, bytes);
    }
#endif
}

static void layouts(void)
{
    char path[1024];
    static const char *const NAMES[] = {"x/IMAGES/big_cat_10.png", "x/IMAGES/big_cat_9.png", "x/IMAGES/dog_1.png",
                                        "x/OTHER/dog_1.png"};
    for (int i = 0; i < 4; i++) {
        snprintf(path, sizeof path, "%s/%s", nc_file("layout"), NAMES[i]);
        write_picture(path, 1, 3, 3, i);
    }
    nacre_dataset_options options = {.layout = "IMAGES/{class}_{number}.png"};
    nacre_dataset *dataset = nacre_dataset_open(ctx, nc_file("layout"), &options);
    NC_CHECK_OK(ctx);
    NC_CHECK_INT(nacre_dataset_count(dataset), 3);
    NC_CHECK_TEXT(nacre_dataset_class_name(dataset, 0), "big_cat");
    NC_CHECK_TEXT(nacre_dataset_class_name(dataset, 1), "dog");
    nacre_dataset_destroy(dataset);
    options.layout = "{split}/{class}/*.png";
    dataset = nacre_dataset_open(ctx, nc_file("album"), &options);
    NC_CHECK_INT(nacre_dataset_count(dataset), REAL_PICTURES);
    NC_CHECK(nacre_dataset_has_part(dataset, NACRE_VALIDATION));
    nacre_dataset_destroy(dataset);
    options = (nacre_dataset_options){.parts = 1u << NACRE_TEST, .channels = 1};
    dataset = nacre_dataset_open(ctx, nc_file("album"), &options);
    NC_CHECK_INT(nacre_dataset_count(dataset), 2);
    NC_CHECK(nacre_shape_equal(nacre_dataset_field(dataset, 0)->shape, NACRE_SHAPE(1, 4, 5)));
    nacre_dataset_destroy(dataset);
    NC_CHECK_OK(ctx);
    options = (nacre_dataset_options){.layout = "{class}.png"};
    dataset = nacre_dataset_open(ctx, nc_file("layout"), &options);
    NC_CHECK_INT(nacre_dataset_classes(dataset), 3); /* big_cat_10, big_cat_9, dog_1 */
    nacre_dataset_destroy(dataset);
    options.layout = "{class}/*.jpg";
    NC_CHECK(nacre_dataset_open(ctx, nc_file("layout"), &options) == NULL);
    NC_CHECK_FAILED(ctx, NACRE_ERROR_NOT_FOUND, "no pictures whose path is like '{class}/*.jpg'");
}

static void classes_that_are_given(void)
{
    nacre_dataset_options options = {.labels = (const char *const[]){"dog", "cat", "cow", NULL}};
    nacre_dataset *dataset = nacre_dataset_open(ctx, nc_file("album"), &options);
    NC_CHECK_OK(ctx);
    NC_CHECK_INT(nacre_dataset_classes(dataset), 3);
    NC_CHECK_INT(nacre_dataset_label(dataset, 0), 1);
    nacre_dataset_destroy(dataset);
    options.labels = (const char *const[]){"dog", NULL};
    NC_CHECK(nacre_dataset_open(ctx, nc_file("album"), &options) == NULL);
    NC_CHECK_FAILED(ctx, NACRE_ERROR_FORMAT, "has class 'cat', which is not one of the 1");
}

static void pictures_without_labels(void)
{
    char stray[1024], one[1024], album[256];
    snprintf(album, sizeof album, "%s", nc_file("album"));
    snprintf(one, sizeof one, "%s/train/dog/b.png", album);
    snprintf(stray, sizeof stray, "%s/stray.png", album);
    nacre_dataset *dataset = nacre_dataset_from_pictures(ctx, (const char *const[]){one, album}, 2, 3);
    NC_CHECK_OK(ctx);
    NC_CHECK_INT(nacre_dataset_count(dataset), 1 + REAL_PICTURES);
    NC_CHECK_INT(nacre_dataset_field_count(dataset), 1);
    char origin[1024];
    NC_CHECK_TEXT(nacre_dataset_origin(dataset, 0, origin, sizeof origin), one);
    nacre_dataset_destroy(dataset);
    dataset = nacre_dataset_open(ctx, one, NULL);
    NC_CHECK_INT(nacre_dataset_count(dataset), 1);
    nacre_dataset_destroy(dataset);
    NC_CHECK_OK(ctx);
    write_picture(stray, 1, 4, 5, 1);
    NC_CHECK(nacre_dataset_open(ctx, album, NULL) == NULL);
    NC_CHECK_FAILED(ctx, NACRE_ERROR_FORMAT, "stray.png' is in no folder that could be its class");
    unlink(stray);
    NC_CHECK(nacre_dataset_from_pictures(ctx, (const char *const[]){"missing.png"}, 1, 0) == NULL);
    NC_CHECK_FAILED(ctx, NACRE_ERROR_NOT_FOUND, "missing.png");
    NC_CHECK(nacre_dataset_from_pictures(ctx, NULL, 0, 0) == NULL);
    NC_CHECK_FAILED(ctx, NACRE_ERROR_NOT_FOUND, "no pictures");
}

/* Found only when it is its turn: a torn picture, one of another size, one in colour among grey ones. */
static void bad_pictures(void)
{
    char path[1024], album[256];
    snprintf(album, sizeof album, "%s", nc_file("bad"));
    for (int i = 0; i < 40; i++) {
        snprintf(path, sizeof path, "%s/c/%02d.png", album, i);
        write_picture(path, i == 14 ? 3 : 1, i == 25 ? 8 : 4, 4, i);
    }
    snprintf(path, sizeof path, "%s/c/37.png", album);
    nacre_file_write(ctx, path, "\x89PNG\r\n\x1a\n torn", 13);
    nacre_dataset *dataset = nacre_dataset_open(ctx, album, NULL);
    NC_REQUIRE(dataset);
    nacre_loader *loader = nacre_loader_create(dataset, &(nacre_loader_options){.batch_size = 1});
    static const struct {
        int at;
        nacre_status status;
        const char *message;
    } FAULTS[] = {
        {14, NACRE_ERROR_SHAPE, "14.png: a colour picture"},
        {25, NACRE_ERROR_SHAPE, "25.png: \"image\" is [1, 8, 4], but the first sample's is [1, 4, 4]; add resize"},
        {37, NACRE_ERROR_FORMAT, "37.png: PNG"}};
    for (int i = 0; i < 3; i++) {
        nacre_loader_start(loader, 0, FAULTS[i].at - 1);
        NC_CHECK(nacre_loader_next(loader) != NULL);
        NC_CHECK(nacre_loader_next(loader) == NULL);
        NC_CHECK_FAILED(ctx, FAULTS[i].status, FAULTS[i].message);
    }
    nacre_loader_destroy(loader);
    nacre_transforms *list = nacre_transforms_parse(ctx, "resize(6)");
    loader = nacre_loader_create(dataset, &(nacre_loader_options){.batch_size = 1, .transforms = list});
    nacre_loader_start(loader, 0, 25);
    NC_CHECK(nacre_loader_next(loader) != NULL); /* evened out */
    NC_CHECK_OK(ctx);
    nacre_loader_destroy(loader);
    nacre_transforms_destroy(list);
    nacre_dataset_destroy(dataset);
}

/* ---- IDX, npz, tables ---- */

static void write_idx(const char *name, int rank, const uint32_t *dims, const void *data, size_t size)
{
    nacre_buffer bytes = nacre_buffer_create(ctx);
    nacre_buffer_put(&bytes, (const char[]){0, 0, 8, (char)rank}, 4);
    for (int i = 0; i < rank; i++)
        for (int shift = 24; shift >= 0; shift -= 8) nacre_buffer_put(&bytes, &(char){(char)(dims[i] >> shift)}, 1);
    nacre_buffer_put(&bytes, data, size);
    make_folder_of(nc_file(name));
    NC_CHECK_INT(nacre_file_write(ctx, nc_file(name), bytes.data, bytes.size), NACRE_OK);
    nacre_buffer_destroy(&bytes);
}

static void idx_folders(void)
{
    write_idx("idx/train-images-idx3-ubyte", 3, (uint32_t[]){3, 2, 2}, "abcdefghijkl", 12);
    write_idx("idx/train-labels-idx1-ubyte", 1, (uint32_t[]){3}, "\0\1\2", 3);
    write_idx("idx/t10k-images-idx3-ubyte", 3, (uint32_t[]){1, 2, 2}, "wxyz", 4);
    write_idx("idx/t10k-labels-idx1-ubyte", 1, (uint32_t[]){1}, "\1", 1);
    nacre_dataset *dataset = nacre_dataset_open(ctx, nc_file("idx"), NULL);
    NC_CHECK_OK(ctx);
    NC_REQUIRE(dataset);
    NC_CHECK_INT(nacre_dataset_count(dataset), 4);
    NC_CHECK_INT(nacre_dataset_classes(dataset), 3);
    nacre_dataset *test = nacre_dataset_split(dataset, NACRE_TEST, NULL);
    nacre_sample sample = {.context = ctx};
    NC_CHECK_INT(nacre_dataset_get(test, 0, &sample), NACRE_OK);
    NC_CHECK(!memcmp(sample.values[0].data, "wxyz", 4));
    NC_CHECK_INT(*(const int64_t *)sample.values[1].data, 1);
    nacre_sample_release(&sample);
    nacre_dataset_destroy(test);
    nacre_dataset_destroy(dataset);
    nacre_dataset_options options = {.parts = 1u << NACRE_TEST};
    dataset = nacre_dataset_open(ctx, nc_file("idx"), &options);
    NC_CHECK_INT(nacre_dataset_count(dataset), 1);
    nacre_dataset_destroy(dataset);

    options = (nacre_dataset_options){.labels = (const char *const[]){"a", "b", NULL}};
    NC_CHECK(nacre_dataset_open(ctx, nc_file("idx"), &options) == NULL);
    NC_CHECK_FAILED(ctx, NACRE_ERROR_FORMAT, "sample 2 has label 2, expected 0 to 1");
    write_idx("idx/t10k-labels-idx1-ubyte", 1, (uint32_t[]){2}, "\1\1", 2);
    NC_CHECK(nacre_dataset_open(ctx, nc_file("idx"), NULL) == NULL);
    NC_CHECK_FAILED(ctx, NACRE_ERROR_SHAPE, "1 inputs, but 2 labels or targets in the test part");
    write_idx("idx/t10k-images-idx3-ubyte", 3, (uint32_t[]){2, 3, 1}, "uvwxyz", 6);
    NC_CHECK(nacre_dataset_open(ctx, nc_file("idx"), NULL) == NULL);
    NC_CHECK_FAILED(ctx, NACRE_ERROR_SHAPE, "the parts differ: u8[3, 2, 2] and u8[2, 3, 1]");
    unlink(nc_file("idx/t10k-labels-idx1-ubyte"));
    NC_CHECK(nacre_dataset_open(ctx, nc_file("idx"), NULL) == NULL);
    NC_CHECK_FAILED(ctx, NACRE_ERROR_NOT_FOUND, "t10k-labels-idx1-ubyte is missing");
}

static void npz_files(void)
{
    nacre_dataset *dataset = nacre_dataset_open(ctx, "tests/data/files/deflated.npz", NULL); /* x [3, 4, 2], no y */
    NC_CHECK_OK(ctx);
    NC_CHECK_INT(nacre_dataset_count(dataset), 3);
    NC_CHECK_INT(nacre_dataset_field_count(dataset), 1);
    nacre_dataset_destroy(dataset);
    nacre_dataset_options options = {.target = "values", .regression = true};
    dataset = nacre_dataset_open(ctx, "tests/data/files/deflated.npz", &options);
    NC_CHECK_OK(ctx);
    NC_CHECK_INT(nacre_dataset_field(dataset, 1)->role, NACRE_ROLE_TARGET);
    NC_CHECK(nacre_shape_equal(nacre_dataset_field(dataset, 1)->shape, NACRE_SHAPE(4, 2)));
    nacre_dataset_destroy(dataset);
    dataset = nacre_dataset_open(ctx, "tests/data/files/array_lf4.npy", NULL);
    NC_CHECK_INT(nacre_dataset_count(dataset), 3);
    nacre_dataset_destroy(dataset);
    NC_CHECK_OK(ctx);
    options.target = "y";
    NC_CHECK(nacre_dataset_open(ctx, "tests/data/files/deflated.npz", &options) == NULL);
    NC_CHECK_FAILED(ctx, NACRE_ERROR_NOT_FOUND, "no array 'y'; there are values, x");
    NC_CHECK(nacre_dataset_open(ctx, "tests/data/files/expected.npz", NULL) == NULL);
    NC_CHECK_FAILED(ctx, NACRE_ERROR_NOT_FOUND, "arrays x and y");
}

static void tables(void)
{
    nacre_file_write(ctx, nc_file("t.csv"), "a,b,c\n1,x,no\n2,y,yes\n", 21);
    nacre_dataset *dataset = nacre_dataset_open(ctx, nc_file("t.csv"), NULL);
    NC_CHECK_OK(ctx);
    NC_CHECK_INT(nacre_dataset_count(dataset), 2);
    NC_CHECK_TEXT(nacre_dataset_class_name(dataset, 1), "yes");
    nacre_dataset_destroy(dataset);
    nacre_dataset_options options = {
        .target = "a", .regression = true, .table = {.ignore = (const char *const[]){"c", NULL}}};
    dataset = nacre_dataset_open(ctx, nc_file("t.csv"), &options);
    NC_CHECK_OK(ctx);
    NC_CHECK(nacre_shape_equal(nacre_dataset_field(dataset, 0)->shape, NACRE_SHAPE(2)));
    nacre_dataset_destroy(dataset);
}

/* ---- names ---- */

static void names(void)
{
    unsetenv("NACRE_DATA");
    nacre_dataset *glyphs = nacre_dataset_open(ctx, "glyphs", &(nacre_dataset_options){.count = 60});
    NC_CHECK_INT(nacre_dataset_count(glyphs), 80);
    nacre_dataset_destroy(glyphs);
    NC_CHECK_OK(ctx);
    static const struct {
        const char *source;
        nacre_status status;
        const char *message;
    } CASES[] = {
        {"mnsit", NACRE_ERROR_NOT_FOUND, "did you mean 'mnist'?"},
        {"no/such/path", NACRE_ERROR_NOT_FOUND, "neither a file or folder nor a known dataset"},
        {"mnist", NACRE_ERROR_NOT_FOUND, "--data or NACRE_DATA; nacre data get mnist"},
        {"esc10", NACRE_ERROR_UNSUPPORTED, "no reader opens this set by name yet"},
        {"tabular_classics", NACRE_ERROR_NOT_FOUND, "several datasets: tabular_classics/iris, "},
        {"tests/support.h", NACRE_ERROR_UNSUPPORTED, "what kind of data is this?"},
        {"no.tar.gz:x.csv", NACRE_ERROR_NOT_FOUND, "no.tar.gz"},
    };
    for (size_t i = 0; i < sizeof CASES / sizeof *CASES; i++) {
        nc_test = CASES[i].source;
        NC_CHECK(nacre_dataset_open(ctx, CASES[i].source, NULL) == NULL);
        NC_CHECK_FAILED(ctx, CASES[i].status, CASES[i].message);
    }
    NC_CHECK(nacre_dataset_open(ctx, "mnist", &(nacre_dataset_options){.folder = nc_folder()}) == NULL);
    NC_CHECK_FAILED(ctx, NACRE_ERROR_NOT_FOUND, "nacre data get mnist --data");
}

static void no_permission(void)
{
    if (geteuid() == 0) return; /* root may read everything */
    char path[1024];
    snprintf(path, sizeof path, "%s/train", nc_file("album"));
    NC_CHECK_INT(chmod(path, 0), 0);
    NC_CHECK(nacre_dataset_open(ctx, nc_file("album"), NULL) == NULL);
    NC_CHECK_FAILED(ctx, NACRE_ERROR_IO, "Permission denied");
    chmod(path, 0700);
}

/* ---- memory ---- */

static bool open_all(nacre_context *context, void *user)
{
    static const char *const SOURCES[] = {"album", "album.zip", "album.tar.gz", "t.csv", "small"};
    (void)user;
    nacre_sample sample = {.context = context};
    bool done = true;
    for (size_t i = 0; done && i < sizeof SOURCES / sizeof *SOURCES; i++) {
        if (!HAVE_ARCHIVE && strchr(SOURCES[i], '.') && i < 3) continue;
        nacre_dataset *dataset = nacre_dataset_open(context, nc_file(SOURCES[i]), NULL);
        done = dataset && nacre_dataset_get(dataset, 1, &sample) == NACRE_OK;
        nacre_dataset_destroy(dataset);
    }
    nacre_sample_release(&sample);
    return done;
}

static void out_of_memory(void)
{
    write_idx("small/train-images-idx3-ubyte", 3, (uint32_t[]){3, 2, 2}, "abcdefghijkl", 12);
    write_idx("small/train-labels-idx1-ubyte", 1, (uint32_t[]){3}, "\0\1\2", 3);
    nc_fail_each_allocation(open_all, NULL);
}

int main(void)
{
    ctx = nacre_context_create(&(nacre_context_options){.threads = 1});
    NC_RUN(folders_and_archives);
    NC_RUN(torn_archives);
    NC_RUN(layouts);
    NC_RUN(classes_that_are_given);
    NC_RUN(pictures_without_labels);
    NC_RUN(bad_pictures);
    NC_RUN(idx_folders);
    NC_RUN(npz_files);
    NC_RUN(tables);
    NC_RUN(names);
    NC_RUN(no_permission);
    NC_RUN(out_of_memory);
    nacre_context_destroy(ctx);
    return nc_report();
}

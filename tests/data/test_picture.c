/* Pictures: every format against Pillow's pixels, torn and flipped files, conversion, resampling, PNG written back. */
#include "support.h"

#include <nacre/image.h>

#define FILES "tests/data/files/"

static nacre_context *ctx;
static nacre_npz *expected;

static const char *const PICTURES[] = {
    "grey.png",         "colour.png",        "alpha.png",        "grey_alpha.png",   "bits.png",
    "palette.png",      "palette_alpha.png", "deep.png",         "interlaced.png",   "grey.jpg",
    "colour.jpg",       "full.jpg",          "progressive.jpg",  "orientation1.jpg", "orientation2.jpg",
    "orientation3.jpg", "orientation4.jpg",  "orientation5.jpg", "orientation6.jpg", "orientation7.jpg",
    "orientation8.jpg", "bits.bmp",          "grey.bmp",         "palette.bmp",      "colour.bmp",
    "alpha.bmp",        "unused.bmp",        "bits565.bmp",      "plain.pbm",        "plain.pgm",
    "plain.ppm",        "raw.pbm",           "deep.pgm",         "raw.ppm"};
enum { PICTURE_COUNT = sizeof PICTURES / sizeof *PICTURES };

static const char *path_of(const char *name)
{
    static char path[256];
    snprintf(path, sizeof path, FILES "%s", name);
    return path;
}

/* The largest difference of two pictures; 256 if their sizes differ. Decoders of lossy formats may differ by one. */
static int distance(const nacre_image *image, const nacre_array *pixels)
{
    nacre_shape shape = NACRE_SHAPE(image->channels, image->height, image->width);
    if (!nacre_shape_equal(shape, pixels->shape)) return 256;
    int worst = 0;
    for (int64_t i = 0; i < nacre_shape_count(shape); i++) {
        int difference = abs((int)image->pixels[i] - (int)((const uint8_t *)pixels->data)[i]);
        if (difference > worst) worst = difference;
    }
    return worst;
}

static void every_format(void)
{
    nacre_image image = {0}; /* reused, as loaders do */
    for (int i = 0; i < PICTURE_COUNT; i++) {
        nc_test = PICTURES[i];
        NC_CHECK_INT(nacre_image_read(ctx, path_of(PICTURES[i]), 0, &image), NACRE_OK);
        NC_CHECK_OK(ctx);
        const nacre_array *pixels = nacre_npz_find(expected, PICTURES[i]);
        NC_REQUIRE(pixels);
        int worst = distance(&image, pixels);
        if (worst > (strstr(PICTURES[i], ".jpg") ? 1 : 0)) NC_COMPLAIN("pixels differ by %d", worst);
        NC_CHECK(nacre_image_has_name(PICTURES[i]));
    }
    NC_CHECK(!nacre_image_has_name("labels.csv"));
    nacre_image_release(ctx, &image);
}

static void channels_as_asked(void)
{
    nacre_image grey = {0}, colour = {0};
    nacre_image_read(ctx, FILES "colour.png", 1, &grey);
    nacre_image_read(ctx, FILES "colour.png", 3, &colour);
    NC_CHECK_OK(ctx);
    NC_CHECK_INT(grey.channels, 1);
    int plane = colour.height * colour.width;
    for (int i = 0; i < plane; i++) {
        double luma =
            0.299 * colour.pixels[i] + 0.587 * colour.pixels[plane + i] + 0.114 * colour.pixels[2 * plane + i];
        NC_CHECK_NEAR(grey.pixels[i], luma, 0.51);
    }
    nacre_image_read(ctx, FILES "grey.png", 3, &colour);
    nacre_image_read(ctx, FILES "grey.png", 1, &grey);
    NC_CHECK_INT(colour.channels, 3);
    for (int i = 0; i < 3 * plane; i++) NC_CHECK_INT(colour.pixels[i], grey.pixels[i % plane]);
    NC_CHECK_INT(nacre_image_read(ctx, FILES "grey.png", 2, &grey), NACRE_ERROR_ARGUMENT);
    NC_CHECK_FAILED(ctx, NACRE_ERROR_ARGUMENT, "0, 1 or 3");
    nacre_image_release(ctx, &grey);
    nacre_image_release(ctx, &colour);
}

/* Cut anywhere, a picture is an error that names it; but the last number of a plain PNM may lose digits unnoticed. */
static void cut_short(void)
{
    nacre_image image = {0};
    for (int i = 0; i < PICTURE_COUNT; i++) {
        size_t size, spare = strstr(PICTURES[i], "plain") ? 3 : 0;
        nc_test = PICTURES[i];
        char *bytes = nacre_file_read(ctx, path_of(PICTURES[i]), 0, &size);
        NC_REQUIRE(bytes);

        for (size_t cut = 0; cut + spare < size; cut++) {
            char *part = malloc(cut + 1); /* so that reading beyond it is seen */
            memcpy(part, bytes, cut);
            NC_CHECK(nacre_image_decode(ctx, PICTURES[i], part, cut, 0, &image) != NACRE_OK);
            NC_CHECK_FAILED(ctx, NACRE_ERROR_FORMAT, PICTURES[i]);
            free(part);
        }
        nacre_release(ctx, bytes);
    }
    nacre_image_release(ctx, &image);
}

/* Any single bit wrong: an error or a picture, never a crash; in PNG, which has checksums, an error or the same. */
static void flipped_bits(void)
{
    nacre_image image = {0};
    for (int i = 0; i < PICTURE_COUNT; i++) {
        size_t size;
        nc_test = PICTURES[i];
        char *bytes = nacre_file_read(ctx, path_of(PICTURES[i]), 0, &size);
        NC_REQUIRE(bytes);
        const nacre_array *pixels = nacre_npz_find(expected, PICTURES[i]);
        for (size_t bit = 0; bit < size * 8; bit += 3) {
            bytes[bit / 8] = (char)(bytes[bit / 8] ^ 1 << bit % 8);
            nacre_status status = nacre_image_decode(ctx, PICTURES[i], bytes, size, 0, &image);
            if (status == NACRE_OK && strstr(PICTURES[i], ".png") && distance(&image, pixels) > 0)
                NC_COMPLAIN("bit %zu flipped changed the pixels unnoticed", bit);
            NC_CHECK_INT(nacre_check(ctx), status);
            nacre_clear(ctx);
            bytes[bit / 8] = (char)(bytes[bit / 8] ^ 1 << bit % 8);
        }
        nacre_release(ctx, bytes);
    }
    nacre_image_release(ctx, &image);
}

static void other_faults(void)
{
    nacre_image image = {0};
    NC_CHECK(nacre_image_read(ctx, FILES "array_lf4.npy", 0, &image) != NACRE_OK);
    NC_CHECK_FAILED(ctx, NACRE_ERROR_FORMAT, "not a PNG, JPEG, BMP or PNM");
    NC_CHECK(nacre_image_read(ctx, FILES "missing.png", 0, &image) != NACRE_OK);
    NC_CHECK_FAILED(ctx, NACRE_ERROR_NOT_FOUND, "missing.png");
    static const char huge[] = "P5 99999999 99999999 255\n";
    NC_CHECK(nacre_image_decode(ctx, "huge.pgm", huge, sizeof huge - 1, 0, &image) != NACRE_OK);
    NC_CHECK_FAILED(ctx, NACRE_ERROR_FORMAT, "huge.pgm");
    nacre_image_release(ctx, &image);
}

static void resampling(void)
{
    static const int SIZES[][2] = {{9, 14}, {4, 5}, {20, 33}, {5, 30}, {1, 1}, {3, 14}};
    const nacre_array *source = nacre_npz_find(expected, "source");
    nacre_work work = {0};
    for (int i = 0; i < 6; i++) {
        char name[64];
        float target[20 * 33];
        int height = SIZES[i][0], width = SIZES[i][1];
        snprintf(name, sizeof name, "resized_%dx%d", height, width);
        const nacre_array *result = nacre_npz_find(expected, name);
        nacre_status status = nacre_resample(ctx, &work, &(nacre_planes){NACRE_F32, source->data, 1, 9, 14, 0, 0},
                                             target, height, width, true);
        NC_CHECK_INT(status, NACRE_OK);
        for (int j = 0; j < height * width; j++) NC_CHECK_NEAR(target[j], ((const float *)result->data)[j], 2e-6);
    }
    nacre_release(ctx, work.block);
}

/* Without antialiasing a target pixel is blended from the two neighbours of its centre on each axis. */
static void resampling_two_neighbours(void)
{
    float source[5] = {0, 10, 20, 50, 90}, target[2];
    nacre_work work = {0};
    NC_CHECK_INT(nacre_resample(ctx, &work, &(nacre_planes){NACRE_F32, source, 1, 1, 5, 0, 0}, target, 1, 2, false),
                 NACRE_OK);
    NC_CHECK_NEAR(target[0], 7.5, 1e-5);  /* centre 1.25: 3/4 between pixels 0 and 1 */
    NC_CHECK_NEAR(target[1], 60.0, 1e-4); /* centre 3.75: 1/4 between pixels 3 and 4 */
    nacre_image image = {0}, small = {0};
    nacre_image_read(ctx, FILES "colour.png", 0, &image);
    NC_CHECK_INT(nacre_image_resize(ctx, &image, 3, 4, true, &small), NACRE_OK);
    NC_CHECK(small.channels == 3 && small.height == 3 && small.width == 4);
    NC_CHECK_INT(nacre_image_resize(ctx, &image, 0, 4, true, &small), NACRE_ERROR_FORMAT);
    nacre_clear(ctx);
    nacre_image_release(ctx, &image);
    nacre_image_release(ctx, &small);
    nacre_release(ctx, work.block);
}

static void written_and_read_back(void)
{
    static const char *const NAMES[] = {"grey.png", "colour.png"};
    for (int i = 0; i < 2; i++) {
        nacre_image image = {0}, back = {0};
        nacre_image_read(ctx, path_of(NAMES[i]), 0, &image);
        NC_CHECK_INT(nacre_image_write_png(ctx, &image, nc_file("out.png")), NACRE_OK);
        NC_CHECK_INT(nacre_image_read(ctx, nc_file("out.png"), 0, &back), NACRE_OK);
        NC_CHECK_INT(distance(&back, nacre_npz_find(expected, NAMES[i])), 0);
        nacre_image_release(ctx, &image);
        nacre_image_release(ctx, &back);
    }
    NC_CHECK_OK(ctx);
}

static bool read_and_write(nacre_context *context, void *user)
{
    (void)user;
    nacre_image image = {0}, small = {0};
    nacre_buffer png = nacre_buffer_create(context);
    bool done = nacre_image_read(context, FILES "alpha.png", 0, &image) == NACRE_OK &&
                nacre_image_read(context, FILES "orientation6.jpg", 3, &image) == NACRE_OK &&
                nacre_image_read(context, FILES "palette.bmp", 3, &image) == NACRE_OK &&
                nacre_image_read(context, FILES "raw.ppm", 0, &image) == NACRE_OK &&
                nacre_image_resize(context, &image, 4, 4, true, &small) == NACRE_OK &&
                nacre_image_encode_png(context, &small, &png) == NACRE_OK;
    nacre_image_release(context, &image);
    nacre_image_release(context, &small);
    nacre_buffer_destroy(&png);
    return done;
}

static void out_of_memory(void)
{
    nc_fail_each_allocation(read_and_write, NULL);
}

/* A window gives what its pixels alone give. */
static void windows_are_cut_out(void)
{
    enum { PLANES = 2, HEIGHT = 9, WIDTH = 11, TOP = 2, LEFT = 3, ROWS = 5, COLUMNS = 6, SIDE = 8 };
    uint8_t whole[PLANES * HEIGHT * WIDTH], part[PLANES * ROWS * COLUMNS];
    float from_whole[PLANES * SIDE * SIDE], from_part[PLANES * SIDE * SIDE];
    for (int i = 0; i < PLANES * HEIGHT * WIDTH; i++) whole[i] = (uint8_t)(i * 37);
    for (int p = 0; p < PLANES; p++)
        for (int y = 0; y < ROWS; y++)
            memcpy(part + (p * ROWS + y) * COLUMNS, whole + (p * HEIGHT + TOP + y) * WIDTH + LEFT, COLUMNS);
    nacre_work work = {0};
    const nacre_planes window = {NACRE_U8, whole + TOP * WIDTH + LEFT, PLANES, ROWS, COLUMNS, WIDTH, HEIGHT * WIDTH};
    const nacre_planes alone = {NACRE_U8, part, PLANES, ROWS, COLUMNS, 0, 0};
    for (int side = 2; side <= SIDE; side += 3) { /* to a third, to about the same, enlarged */
        NC_CHECK_INT(nacre_resample(ctx, &work, &window, from_whole, side, side, true), NACRE_OK);
        NC_CHECK_INT(nacre_resample(ctx, &work, &alone, from_part, side, side, true), NACRE_OK);
        NC_CHECK(!memcmp(from_whole, from_part, sizeof(float) * PLANES * (size_t)(side * side)));
    }
    nacre_release(ctx, work.block);
}

static void jpeg_comes_back(void)
{
    nacre_image image = {0}, back = {0};
    nacre_buffer jpeg = nacre_buffer_create(ctx);
    for (int channels = 1; channels <= 3; channels += 2) {
        nacre_image_reserve(ctx, &image, channels, 21, 34);
        for (int i = 0; i < channels * 21 * 34; i++) image.pixels[i] = (uint8_t)(60 + i / (21 * 34) * 50 + i % 34);
        nacre_buffer_clear(&jpeg);
        NC_CHECK_INT(nacre_image_encode_jpeg(ctx, &image, 95, &jpeg), NACRE_OK);
        NC_CHECK_INT(nacre_image_decode(ctx, "a.jpg", jpeg.data, jpeg.size, 0, &back), NACRE_OK);
        NC_CHECK(back.channels == channels && back.height == 21 && back.width == 34);
        int furthest = 0;
        for (int i = 0; i < channels * 21 * 34; i++) {
            const int off = abs(image.pixels[i] - back.pixels[i]);
            if (off > furthest) furthest = off;
        }
        if (furthest > 6) NC_COMPLAIN("a pixel is off by %d", furthest);
    }
    NC_CHECK_OK(ctx);
    nacre_image_encode_jpeg(ctx, &image, 0, &jpeg);
    NC_CHECK_FAILED(ctx, NACRE_ERROR_ARGUMENT, "quality 0");
    nacre_buffer_destroy(&jpeg);
    nacre_image_release(ctx, &image);
    nacre_image_release(ctx, &back);
}

int main(void)
{
    ctx = nacre_context_create(&(nacre_context_options){.threads = 1});
    expected = nacre_npz_open(ctx, FILES "expected.npz");
    if (!expected) {
        fprintf(stderr, "%s\n", nacre_message(ctx));
        return 1;
    }
    NC_RUN(every_format);
    NC_RUN(channels_as_asked);
    NC_RUN(cut_short);
    NC_RUN(flipped_bits);
    NC_RUN(other_faults);
    NC_RUN(resampling);
    NC_RUN(resampling_two_neighbours);
    NC_RUN(written_and_read_back);
    NC_RUN(out_of_memory);
    NC_RUN(windows_are_cut_out);
    NC_RUN(jpeg_comes_back);
    nacre_npz_close(expected);
    nacre_context_destroy(ctx);
    return nc_report();
}

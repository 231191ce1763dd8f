/* The safetensors reader and writer: round trips, a file of the format's own library, every lie a header can tell. */
#include "support.h"

#include <nacre/safetensors.h>

static nacre_context *ctx;

/* A file in memory: header text, announced header size (-1: the true one), data bytes. */
static nacre_safetensors *open_made(const char *header, int64_t announced, size_t data_size)
{
    static unsigned char bytes[4096];
    size_t size = strlen(header);
    uint64_t length = announced < 0 ? size : (uint64_t)announced;
    for (int i = 0; i < 8; i++) bytes[i] = (unsigned char)(length >> 8 * i);
    memcpy(bytes + 8, header, size);
    memset(bytes + 8 + size, 7, data_size);
    return nacre_safetensors_open_bytes(ctx, bytes, 8 + size + data_size, "made");
}

static void written_files_come_back(void)
{
    static const float weight[6] = {1, 2, 3, 4, 5, 6};
    static const double wide[2] = {0.1, -0.2};
    static const uint8_t flags[3] = {1, 0, 1};
    static const int64_t steps = 1234567890123;
    const nacre_named_array arrays[] = {{"flags", NACRE_BOOL, NACRE_SHAPE(3), flags},
                                        {"conv.weight", NACRE_F32, NACRE_SHAPE(1, 2, 3), weight},
                                        {"none", NACRE_F32, NACRE_SHAPE(4, 0), NULL},
                                        {"wide", NACRE_F64, NACRE_SHAPE(2), wide},
                                        {"steps", NACRE_I64, NACRE_SCALAR, &steps}};
    const nacre_text_pair metadata[] = {{"model", "x = f(\"a\")\n\ttab \\ back\x01"}, {"", "\xc3\xa9"}, {"empty", ""}};
    const char *path = nc_file("a.safetensors");
    NC_CHECK_INT(nacre_safetensors_write(ctx, path, arrays, 5, metadata, 3), NACRE_OK);

    nacre_safetensors *file = nacre_safetensors_open(ctx, path);
    NC_REQUIRE(file);
    static const char *const order[] = {"wide", "steps", "conv.weight", "none", "flags"};
    NC_CHECK_INT(nacre_safetensors_count(file), 5);
    for (int i = 0; i < 5; i++) NC_CHECK_TEXT(nacre_safetensors_at(file, i)->name, order[i]);
    NC_CHECK(!nacre_safetensors_at(file, 5) && !nacre_safetensors_at(file, -1));
    for (int i = 0; i < 5; i++) {
        const nacre_named_array *array = nacre_safetensors_find(file, arrays[i].name);
        NC_REQUIRE(array);
        NC_CHECK_INT(array->dtype, arrays[i].dtype);
        NC_CHECK(nacre_shape_equal(array->shape, arrays[i].shape));
        size_t size = (size_t)nacre_shape_count(array->shape) * nacre_dtype_size(array->dtype);
        NC_CHECK(size == 0 || memcmp(array->data, arrays[i].data, size) == 0);
        NC_CHECK_INT((uintptr_t)array->data % nacre_dtype_size(array->dtype), 0);
    }
    NC_CHECK_INT((uintptr_t)nacre_safetensors_at(file, 0)->data % 64, 0);
    NC_CHECK(!nacre_safetensors_find(file, "conv"));
    for (int i = 0; i < 3; i++) {
        NC_CHECK_TEXT(nacre_safetensors_metadata(file, metadata[i].key), metadata[i].text);
        NC_CHECK_TEXT(nacre_safetensors_metadata_at(file, i).key, metadata[i].key);
    }
    NC_CHECK(!nacre_safetensors_metadata(file, "Model") && !nacre_safetensors_metadata_at(file, 3).key);
    nacre_safetensors_close(file);

    const char *again = nc_file("b.safetensors");
    nacre_safetensors_write(ctx, again, arrays, 5, metadata, 3);
    char first[65], second[65];
    nacre_file_sha256(ctx, path, first);
    nacre_file_sha256(ctx, again, second);
    NC_CHECK_TEXT(first, second);
    NC_CHECK_OK(ctx);
}

static void an_empty_file_is_fine(void)
{
    const char *path = nc_file("empty.safetensors");
    NC_CHECK_INT(nacre_safetensors_write(ctx, path, NULL, 0, NULL, 0), NACRE_OK);
    nacre_safetensors *file = nacre_safetensors_open(ctx, path);
    NC_CHECK(file);
    NC_CHECK_INT(nacre_safetensors_count(file), 0);
    NC_CHECK(!nacre_safetensors_find(file, "x") && !nacre_safetensors_metadata(file, "x"));
    nacre_safetensors_close(file);
    nacre_safetensors_close(NULL);
    NC_CHECK_OK(ctx);
}

/* Values of tests/golden/make_safetensors.py. */
static void the_own_library_of_the_format_agrees(void)
{
    nacre_safetensors *file = nacre_safetensors_open(ctx, nc_source("tests/golden/python.safetensors"));
    NC_REQUIRE(file);
    static const struct {
        const char *name;
        nacre_dtype dtype;
        int rank;
        int64_t count;
        double values[6];
    } expected[] = {
        {"fc.weight", NACRE_F32, 2, 6, {-0.25, -0.125, 0, 0.125, 0.25, 0.375}},
        {"fc.bias", NACRE_F64, 1, 2, {1.5, -2.5}},
        {"half", NACRE_F16, 1, 3, {0.5, -1024, 65504}},
        {"steps", NACRE_I64, 0, 1, {7e9}},
        {"indices", NACRE_I32, 2, 2, {-1, 2147483647}},
        {"pixels", NACRE_U8, 1, 3, {0, 127, 255}},
        {"signed", NACRE_I8, 1, 2, {-128, 127}},
        {"mask", NACRE_BOOL, 1, 3, {1, 0, 1}},
        {"empty", NACRE_F32, 2, 0, {0}},
    };
    NC_CHECK_INT(nacre_safetensors_count(file), 9);
    for (size_t i = 0; i < sizeof expected / sizeof *expected; i++) {
        const nacre_named_array *array = nacre_safetensors_find(file, expected[i].name);
        NC_REQUIRE(array);
        NC_CHECK_INT(array->dtype, expected[i].dtype);
        NC_CHECK_INT(array->shape.rank, expected[i].rank);
        NC_CHECK_INT(nacre_shape_count(array->shape), expected[i].count);
        double values[6];
        nacre_safetensors_load(array, NACRE_F64, values);
        for (int64_t j = 0; j < expected[i].count; j++) NC_CHECK_NEAR(values[j], expected[i].values[j], 0);
    }
    NC_CHECK_TEXT(nacre_safetensors_metadata(file, "format"), "np");
    NC_CHECK_TEXT(nacre_safetensors_metadata(file, "quote"),
                  "line one\n\"line two\" \\ \xc3\xa9 \xe2\x86\x92 \xf0\x9f\x90\x9a");
    nacre_safetensors_close(file);
    NC_CHECK_OK(ctx);
}

/* Data behind a header of odd size: 1,000 numbers, read through the aligned staging. */
static void unaligned_data_is_read(void)
{
    enum { COUNT = 1000 };
    static unsigned char bytes[8 + 64 + COUNT * sizeof(float)];
    static const char header[] = "{\"x\":{\"dtype\":\"F32\",\"shape\":[1000],\"data_offsets\":[0,4000]}}";
    size_t size = sizeof header - 1, begin = 8 + size;
    bytes[0] = (unsigned char)size;
    memcpy(bytes + 8, header, size);
    for (int i = 0; i < COUNT; i++) {
        float value = (float)i / 4;
        memcpy(bytes + begin + (size_t)i * sizeof value, &value, sizeof value);
    }
    nacre_safetensors *file = nacre_safetensors_open_bytes(ctx, bytes, begin + COUNT * sizeof(float), "odd");
    NC_REQUIRE(file);
    static double values[COUNT];
    nacre_safetensors_load(nacre_safetensors_at(file, 0), NACRE_F64, values);
    for (int i = 0; i < COUNT; i++) NC_CHECK_NEAR(values[i], i / 4.0, 0);
    nacre_safetensors_close(file);
    NC_CHECK_OK(ctx);
}

static void good_headers_open(void)
{
    static const char *const headers[] = {
        "{}",
        " {} \n\t ",
        "{\"__metadata__\":{}}",
        "{\"a\":{\"data_offsets\":[0,8],\"dtype\":\"F32\",\"shape\":[2]}}",
        "{\"b\":{\"dtype\":\"U8\",\"shape\":[4],\"data_offsets\":[4,8]},"
        "\"a\":{\"dtype\":\"F32\",\"shape\":[],\"data_offsets\":[0,4]}}",
        "{\"n\":{\"dtype\":\"F32\",\"shape\":[0],\"data_offsets\":[0,0]},"
        "\"a\":{\"dtype\":\"F64\",\"shape\":[1],\"data_offsets\":[0,8]},"
        "\"z\":{\"dtype\":\"F32\",\"shape\":[0,9],\"data_offsets\":[8,8]}}",
        "{\"\\\\u0000\":{\"dtype\":\"F64\",\"shape\":[1],\"data_offsets\":[0,8]}}",
    };
    for (size_t i = 0; i < sizeof headers / sizeof *headers; i++) {
        nacre_safetensors *file = open_made(headers[i], -1, i < 3 ? 0 : 8);
        NC_CHECK(file);
        nacre_safetensors_close(file);
        NC_CHECK_OK(ctx);
    }
}

#define TENSOR(dtype, shape, offsets) "\"a\":{\"dtype\":" dtype ",\"shape\":" shape ",\"data_offsets\":" offsets "}"
#define F32(shape, offsets)           "{" TENSOR("\"F32\"", shape, offsets) "}"

/* Each with 8 bytes of data. */
static void lies_are_refused(void)
{
    static const struct {
        const char *header, *message;
        nacre_status status;
    } lies[] = {
        {"", "not JSON near byte 8", NACRE_ERROR_FORMAT},
        {"{", "not JSON", NACRE_ERROR_FORMAT},
        {"{} x", "not JSON near byte 11", NACRE_ERROR_FORMAT},
        {"[]", "not a JSON object", NACRE_ERROR_FORMAT},
        {"{\"\xff\":1}", "not UTF-8", NACRE_ERROR_FORMAT},
        {"{\"a\\u0000b\":1}", "0 character", NACRE_ERROR_FORMAT},
        {"{}", "the last 8 bytes belong to no tensor", NACRE_ERROR_FORMAT},
        {"{\"a\":7}", "tensor 'a' has no dtype", NACRE_ERROR_FORMAT},
        {"{\"a\":{}}", "tensor 'a' has no dtype", NACRE_ERROR_FORMAT},
        {"{" TENSOR("3", "[2]", "[0,8]") "}", "tensor 'a' has no dtype", NACRE_ERROR_FORMAT},
        {"{" TENSOR("\"f32\"", "[2]", "[0,8]") "}", "tensor 'a' has elements of type 'f32'", NACRE_ERROR_UNSUPPORTED},
        {"{" TENSOR("\"F8_E5M2\"", "[8]", "[0,8]") "}", "'F8_E5M2', which is not supported", NACRE_ERROR_UNSUPPORTED},
        {F32("2", "[0,8]"), "tensor 'a' has no shape", NACRE_ERROR_FORMAT},
        {F32("[-2]", "[0,8]"), "not a whole number", NACRE_ERROR_FORMAT},
        {F32("[2.5]", "[0,8]"), "not a whole number", NACRE_ERROR_FORMAT},
        {F32("[\"2\"]", "[0,8]"), "not a whole number", NACRE_ERROR_FORMAT},
        {F32("[1e300]", "[0,8]"), "not a whole number", NACRE_ERROR_FORMAT},
        {F32("[9007199254740993]", "[0,8]"), "not a whole number", NACRE_ERROR_FORMAT},
        {F32("[1,1,1,1,1,1,1,1,2]", "[0,8]"), "more than 8 dimensions", NACRE_ERROR_UNSUPPORTED},
        {F32("[3]", "[0,8]"), "do not hold [3] elements of 4 bytes", NACRE_ERROR_FORMAT},
        {F32("[4503599627370496,4503599627370496]", "[0,8]"), "do not hold", NACRE_ERROR_FORMAT},
        {F32("[4503599627370496,1024]", "[0,8]"), "do not hold", NACRE_ERROR_FORMAT},
        {F32("[2]", "8"), "not two whole numbers", NACRE_ERROR_FORMAT},
        {F32("[2]", "[8]"), "not two whole numbers", NACRE_ERROR_FORMAT},
        {F32("[2]", "[0,8,8]"), "not two whole numbers", NACRE_ERROR_FORMAT},
        {F32("[2]", "[-8,0]"), "not two whole numbers", NACRE_ERROR_FORMAT},
        {F32("[2]", "[8,0]"), "data_offsets [8, 0] lie outside", NACRE_ERROR_FORMAT},
        {F32("[2]", "[8,16]"), "data_offsets [8, 16] lie outside the 8 bytes", NACRE_ERROR_FORMAT},
        {F32("[1]", "[4,8]"), "4 bytes before tensor 'a' belong to no tensor", NACRE_ERROR_FORMAT},
        {F32("[1]", "[0,4]"), "the last 4 bytes belong to no tensor", NACRE_ERROR_FORMAT},
        {"{\"a\":{\"dtype\":\"F32\",\"shape\":[2],\"offsets\":[0,8]}}", "data_offsets are not", NACRE_ERROR_FORMAT},
        {"{\"a\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,8],\"x\":1}}", "other keys", NACRE_ERROR_FORMAT},
        {"{\"a\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,8],\"shape\":[2]}}", "one twice",
         NACRE_ERROR_FORMAT},
        {"{" TENSOR("\"F32\"", "[1]", "[0,4]") "," TENSOR("\"F32\"", "[1]", "[4,8]") "}", "tensor 'a' is there twice",
         NACRE_ERROR_FORMAT},
        {"{" TENSOR("\"F32\"", "[2]", "[0,8]") ",\"b\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[4,8]}}",
         "'a' and 'b' overlap", NACRE_ERROR_FORMAT},
        {"{\"__metadata__\":3}", "__metadata__ is not an object", NACRE_ERROR_FORMAT},
        {"{\"__metadata__\":{\"k\":3}}", "__metadata__ 'k' is not a text", NACRE_ERROR_FORMAT},
        {"{\"__metadata__\":{\"k\":\"\",\"j\":\"\",\"k\":\"\"}}", "__metadata__ has 'k' twice", NACRE_ERROR_FORMAT},
        {"{\"__metadata__\":{},\"__metadata__\":{}}", "__metadata__ is there twice", NACRE_ERROR_FORMAT},
    };
    for (size_t i = 0; i < sizeof lies / sizeof *lies; i++) {
        NC_CHECK(!open_made(lies[i].header, -1, 8));
        NC_CHECK_CONTAINS(nacre_message(ctx), "'made'");
        NC_CHECK_FAILED(ctx, lies[i].status, lies[i].message);
    }
}

static void lengths_are_not_believed(void)
{
    NC_CHECK(!open_made("{}", 100000001, 0));
    NC_CHECK_FAILED(ctx, NACRE_ERROR_FORMAT, "announces a header of 100000001 bytes, at most 100000000");
    NC_CHECK(!open_made("{}", 3, 0));
    NC_CHECK_FAILED(ctx, NACRE_ERROR_FORMAT, "announces a header of 3 bytes but only 2 follow");
    NC_CHECK(!open_made("{}", INT64_MAX, 0));
    NC_CHECK_FAILED(ctx, NACRE_ERROR_FORMAT, "is it a safetensors file?");
    NC_CHECK(!open_made("{}", 1, 0));
    NC_CHECK_FAILED(ctx, NACRE_ERROR_FORMAT, "not JSON");
    NC_CHECK(!nacre_safetensors_open_bytes(ctx, "1234567", 7, "short"));
    NC_CHECK_FAILED(ctx, NACRE_ERROR_FORMAT, "'short' has 7 bytes");
}

/* A file cut anywhere, and with any one bit turned, is refused or still consistent; nothing reads out of bounds. */
static void torn_files_are_refused(void)
{
    size_t size;
    char *bytes = nacre_file_read(ctx, nc_source("tests/golden/python.safetensors"), 0, &size);
    NC_REQUIRE(bytes);
    for (size_t cut = 0; cut < size; cut++) {
        char *part = malloc(cut ? cut : 1); /* its own block, so that the sanitizer sees its end */
        memcpy(part, bytes, cut);
        NC_CHECK(!nacre_safetensors_open_bytes(ctx, part, cut, "cut"));
        NC_CHECK_FAILED(ctx, NACRE_ERROR_FORMAT, "'cut'");
        free(part);
    }
    for (size_t bit = 0; bit < size * 8; bit++) {
        bytes[bit / 8] = (char)(bytes[bit / 8] ^ 1 << bit % 8);
        nacre_safetensors *file = nacre_safetensors_open_bytes(ctx, bytes, size, "turned");
        NC_CHECK((file != NULL) == (nacre_check(ctx) == NACRE_OK));
        size_t covered = 0;
        for (int i = 0; i < nacre_safetensors_count(file); i++) {
            const nacre_named_array *array = nacre_safetensors_at(file, i);
            covered += (size_t)nacre_shape_count(array->shape) * nacre_dtype_size(array->dtype);
        }
        if (file) NC_CHECK_INT(covered, 70);
        nacre_safetensors_close(file);
        nacre_clear(ctx);
        bytes[bit / 8] = (char)(bytes[bit / 8] ^ 1 << bit % 8);
    }
    nacre_release(ctx, bytes);
}

static void files_that_are_none_are_refused(void)
{
    NC_CHECK(!nacre_safetensors_open(ctx, nc_file("absent")));
    NC_CHECK_FAILED(ctx, NACRE_ERROR_NOT_FOUND, "absent");
    nacre_file_write(ctx, nc_file("void"), "", 0);
    NC_CHECK(!nacre_safetensors_open(ctx, nc_file("void")));
    NC_CHECK_FAILED(ctx, NACRE_ERROR_FORMAT, "has 0 bytes");
}

static void bad_arguments_write_nothing(void)
{
    static const float one = 1;
    const nacre_named_array twice[] = {{"a", NACRE_F32, NACRE_SCALAR, &one}, {"a", NACRE_F32, NACRE_SCALAR, &one}};
    const nacre_named_array reserved = {"__metadata__", NACRE_F32, NACRE_SCALAR, &one};
    const nacre_named_array nameless = {NULL, NACRE_F32, NACRE_SCALAR, &one};
    const nacre_named_array shapeless = {"s", NACRE_F32, NACRE_SHAPE(-1), &one};
    const nacre_named_array typeless = {"t", NACRE_DTYPE_COUNT, NACRE_SCALAR, &one};
    const nacre_named_array latin = {"\xe9", NACRE_F32, NACRE_SCALAR, &one};
    const nacre_text_pair keys[] = {{"k", "1"}, {"k", "2"}}, nothing = {"k", NULL};
    const char *path = nc_file("refused");
    nacre_safetensors_write(ctx, path, twice, 2, NULL, 0);
    NC_CHECK_FAILED(ctx, NACRE_ERROR_ARGUMENT, "tensor 'a' is there twice");
    nacre_safetensors_write(ctx, path, &reserved, 1, NULL, 0);
    NC_CHECK_FAILED(ctx, NACRE_ERROR_ARGUMENT, "cannot be called '__metadata__'");
    nacre_safetensors_write(ctx, path, &nameless, 1, NULL, 0);
    NC_CHECK_FAILED(ctx, NACRE_ERROR_ARGUMENT, "cannot be called ''");
    nacre_safetensors_write(ctx, path, &shapeless, 1, NULL, 0);
    NC_CHECK_FAILED(ctx, NACRE_ERROR_ARGUMENT, "tensor 's' has no valid shape");
    nacre_safetensors_write(ctx, path, &typeless, 1, NULL, 0);
    NC_CHECK_FAILED(ctx, NACRE_ERROR_ARGUMENT, "tensor 't' has no valid shape");
    nacre_safetensors_write(ctx, path, &latin, 1, NULL, 0);
    NC_CHECK_FAILED(ctx, NACRE_ERROR_ARGUMENT, "not UTF-8");
    nacre_safetensors_write(ctx, path, NULL, 0, keys, 2);
    NC_CHECK_FAILED(ctx, NACRE_ERROR_ARGUMENT, "metadata 'k' is there twice");
    nacre_safetensors_write(ctx, path, NULL, 0, &nothing, 1);
    NC_CHECK_FAILED(ctx, NACRE_ERROR_ARGUMENT, "no text");
    NC_CHECK(!nacre_path_exists(path));
    nacre_safetensors_write(ctx, nc_file("no/where"), twice, 1, NULL, 0);
    NC_CHECK_FAILED(ctx, NACRE_ERROR_NOT_FOUND, "no/where");
}

static bool write_and_read(nacre_context *context, void *user)
{
    static const float values[4] = {1, 2, 3, 4};
    const nacre_named_array arrays[] = {{"a", NACRE_F32, NACRE_SHAPE(4), values},
                                        {"b", NACRE_F32, NACRE_SCALAR, values}};
    const nacre_text_pair metadata[] = {{"k", "v"}, {"l", "w"}};
    const char *path = user;
    if (nacre_safetensors_write(context, path, arrays, 2, metadata, 2) != NACRE_OK) return false;
    nacre_safetensors *file = nacre_safetensors_open(context, path);
    bool done = nacre_safetensors_find(file, "b") != NULL;
    nacre_safetensors_close(file);
    return done;
}

static void every_allocation_may_fail(void)
{
    nc_fail_each_allocation(write_and_read, (void *)(uintptr_t)nc_file("memory"));
}

int main(void)
{
    ctx = nacre_context_create(NULL);
    NC_RUN(written_files_come_back);
    NC_RUN(an_empty_file_is_fine);
    NC_RUN(the_own_library_of_the_format_agrees);
    NC_RUN(unaligned_data_is_read);
    NC_RUN(good_headers_open);
    NC_RUN(lies_are_refused);
    NC_RUN(lengths_are_not_believed);
    NC_RUN(torn_files_are_refused);
    NC_RUN(files_that_are_none_are_refused);
    NC_RUN(bad_arguments_write_nothing);
    NC_RUN(every_allocation_may_fail);
    nacre_context_destroy(ctx);
    return nc_report();
}

/* Arrays in files: IDX, npy and npz, what NumPy wrote, what is torn, what lies about its size. */
#include "support.h"

#include <sys/stat.h>

#define FILES "tests/data/files/"

static nacre_context *ctx;
static nacre_npz *expected;

/* ---- npy ---- */

static void every_element_type(void)
{
    static const struct {
        const char *code;
        nacre_dtype dtype;
    } CASES[] = {{"lf4", NACRE_F32}, {"bf4", NACRE_F32}, {"lf8", NACRE_F64}, {"bf8", NACRE_F64}, {"lf2", NACRE_F16},
                 {"xi1", NACRE_I8},  {"xu1", NACRE_U8},  {"li2", NACRE_I32}, {"bi2", NACRE_I32}, {"lu2", NACRE_I32},
                 {"li4", NACRE_I32}, {"bi4", NACRE_I32}, {"lu4", NACRE_I64}, {"li8", NACRE_I64}, {"bi8", NACRE_I64},
                 {"lu8", NACRE_I64}, {"xb1", NACRE_BOOL}};
    const nacre_array *values = nacre_npz_find(expected, "values");
    NC_REQUIRE(values);
    for (size_t i = 0; i < sizeof CASES / sizeof *CASES; i++) {
        char path[128];
        nacre_array array;
        nc_test = CASES[i].code;
        snprintf(path, sizeof path, FILES "array_%s.npy", CASES[i].code);
        NC_CHECK_INT(nacre_npy_read(ctx, path, &array), NACRE_OK);
        NC_CHECK_OK(ctx);
        NC_CHECK_INT(array.dtype, CASES[i].dtype);
        NC_REQUIRE(nacre_shape_equal(array.shape, NACRE_SHAPE(3, 4, 2)));
        for (int64_t j = 0; j < 24; j++) {
            double value = nacre_dtype_load(values->dtype, values->data, j);
            if (array.dtype == NACRE_BOOL) value = (int)value % 2;
            NC_CHECK_NEAR(nacre_dtype_load(array.dtype, array.data, j), value, 0);
        }
        nacre_array_release(ctx, &array);
    }
}

static void column_major(void)
{
    const nacre_array *values = nacre_npz_find(expected, "values");
    nacre_array array;
    NC_CHECK_INT(nacre_npy_read(ctx, FILES "fortran.npy", &array), NACRE_OK);
    NC_REQUIRE(nacre_shape_equal(array.shape, values->shape));
    for (int64_t i = 0; i < 24; i++)
        NC_CHECK_NEAR(nacre_dtype_load(array.dtype, array.data, i), nacre_dtype_load(values->dtype, values->data, i),
                      0);
    nacre_array_release(ctx, &array);
}

static void corners(void)
{
    nacre_array array;
    NC_CHECK_INT(nacre_npy_read(ctx, FILES "scalar.npy", &array), NACRE_OK);
    NC_CHECK_INT(array.shape.rank, 0);
    NC_CHECK_NEAR(*(double *)array.data, 2.5, 0);
    nacre_array_release(ctx, &array);
    NC_CHECK_INT(nacre_npy_read(ctx, FILES "empty.npy", &array), NACRE_OK);
    NC_CHECK(nacre_shape_equal(array.shape, NACRE_SHAPE(0, 5)));
    nacre_array_release(ctx, &array);
    NC_CHECK_OK(ctx);
    NC_CHECK(nacre_npy_read(ctx, FILES "strings.npy", &array) != NACRE_OK);
    NC_CHECK_FAILED(ctx, NACRE_ERROR_UNSUPPORTED, "<U2");
    NC_CHECK(nacre_npy_read(ctx, FILES "grey.png", &array) != NACRE_OK);
    NC_CHECK_FAILED(ctx, NACRE_ERROR_FORMAT, "not an npy file");
    NC_CHECK(nacre_npy_read(ctx, "tests", &array) != NACRE_OK);
    NC_CHECK_FAILED(ctx, NACRE_ERROR_IO, "Is a directory");
}

static void written_and_read_back(void)
{
    static const nacre_dtype DTYPES[] = {NACRE_F32, NACRE_F64, NACRE_F16, NACRE_I8,
                                         NACRE_U8,  NACRE_I32, NACRE_I64, NACRE_BOOL};
    for (size_t i = 0; i < sizeof DTYPES / sizeof *DTYPES; i++) {
        double room[6] = {0};
        nacre_array array = {DTYPES[i], NACRE_SHAPE(2, 3), room}, back;
        for (int j = 0; j < 6; j++) nacre_dtype_store(array.dtype, room, j, j - 2);
        NC_CHECK_INT(nacre_npy_write(ctx, nc_file("a.npy"), &array), NACRE_OK);
        NC_CHECK_INT(nacre_npy_read(ctx, nc_file("a.npy"), &back), NACRE_OK);
        NC_CHECK(back.dtype == array.dtype && nacre_shape_equal(back.shape, array.shape));
        NC_CHECK(!memcmp(back.data, room, 6 * nacre_dtype_size(array.dtype)));
        nacre_array_release(ctx, &back);
    }
    nacre_array odd = {NACRE_BF16, NACRE_SHAPE(1), (uint16_t[]){0}};
    NC_CHECK(nacre_npy_write(ctx, nc_file("b.npy"), &odd) != NACRE_OK);
    NC_CHECK_FAILED(ctx, NACRE_ERROR_UNSUPPORTED, "bf16");
    NC_CHECK(!nacre_path_exists(nc_file("b.npy")));
}

static void zipped(void)
{
    nacre_npz *npz = nacre_npz_open(ctx, FILES "deflated.npz");
    NC_REQUIRE(npz);
    NC_CHECK_INT(nacre_npz_count(npz), 2);
    NC_CHECK_TEXT(nacre_npz_name(npz, 1), "x");
    NC_CHECK(nacre_npz_name(npz, 2) == NULL);
    const nacre_array *values = nacre_npz_find(npz, "values"), *x = nacre_npz_find(npz, "x");
    NC_REQUIRE(values && x);
    for (int i = 0; i < 24; i++) NC_CHECK_NEAR(((float *)x->data)[i], ((int64_t *)values->data)[i] / 8.0, 0);
    NC_CHECK(nacre_npz_find(npz, "y") == NULL);
    NC_CHECK_FAILED(ctx, NACRE_ERROR_NOT_FOUND, "values, x");
    nacre_npz_close(npz);
    NC_CHECK(nacre_npz_open(ctx, FILES "grey.png") == NULL);
    NC_CHECK_FAILED(ctx, NACRE_ERROR_FORMAT, "grey.png");
}

/* ---- IDX ---- */

static size_t make_idx(unsigned char *bytes, int type, int rank, const uint32_t *dims, const void *data, size_t size)
{
    unsigned char *at = bytes;
    *at++ = 0;
    *at++ = 0;
    *at++ = (unsigned char)type;
    *at++ = (unsigned char)rank;
    for (int i = 0; i < rank; i++)
        for (int shift = 24; shift >= 0; shift -= 8) *at++ = (unsigned char)(dims[i] >> shift);
    memcpy(at, data, size);
    return (size_t)(at - bytes) + size;
}

static void idx_types(void)
{
    unsigned char bytes[64];
    nacre_array array;
    size_t size = make_idx(bytes, 0x08, 2, (uint32_t[]){2, 3}, "\1\2\3\4\5\377", 6);
    NC_CHECK_INT(nacre_idx_decode(ctx, "u8", bytes, size, &array), NACRE_OK);
    NC_CHECK(array.dtype == NACRE_U8 && nacre_shape_equal(array.shape, NACRE_SHAPE(2, 3)));
    NC_CHECK_INT(((uint8_t *)array.data)[5], 255);
    nacre_array_release(ctx, &array);
    size = make_idx(bytes, 0x0B, 1, (uint32_t[]){2}, "\377\376\1\0", 4);
    NC_CHECK_INT(nacre_idx_decode(ctx, "i16", bytes, size, &array), NACRE_OK);
    NC_CHECK(array.dtype == NACRE_I32 && ((int32_t *)array.data)[0] == -2 && ((int32_t *)array.data)[1] == 256);
    nacre_array_release(ctx, &array);
    size = make_idx(bytes, 0x0D, 1, (uint32_t[]){1}, "\300\40\0\0", 4);
    NC_CHECK_INT(nacre_idx_decode(ctx, "f32", bytes, size, &array), NACRE_OK);
    NC_CHECK_NEAR(((float *)array.data)[0], -2.5, 0);
    nacre_array_release(ctx, &array);
    NC_CHECK_OK(ctx);
}

/* Every length but the right one, every single bit of the header. */
static void idx_torn(void)
{
    unsigned char bytes[64];
    nacre_array array;
    size_t size = make_idx(bytes, 0x08, 3, (uint32_t[]){2, 2, 3}, "abcdefghijkl", 12);
    for (size_t cut = 0; cut < size; cut++) {
        NC_CHECK(nacre_idx_decode(ctx, "torn", bytes, cut, &array) != NACRE_OK);
        NC_CHECK_FAILED(ctx, NACRE_ERROR_FORMAT, "torn");
    }
    bytes[size] = 'm';
    NC_CHECK(nacre_idx_decode(ctx, "long", bytes, size + 1, &array) != NACRE_OK);
    NC_CHECK_FAILED(ctx, NACRE_ERROR_FORMAT, "more bytes");
    for (size_t bit = 0; bit < 16 * 8; bit++) {
        bytes[bit / 8] = (unsigned char)(bytes[bit / 8] ^ 1 << bit % 8);
        if (bit / 8 == 2 && bytes[2] == 0x09) { /* signed instead of unsigned bytes: nothing to notice */
            NC_CHECK_INT(nacre_idx_decode(ctx, "flip", bytes, size, &array), NACRE_OK);
            nacre_array_release(ctx, &array);
        } else {
            NC_CHECK(nacre_idx_decode(ctx, "flip", bytes, size, &array) != NACRE_OK);
            NC_CHECK_FAILED(ctx, NACRE_ERROR_FORMAT, "flip");
        }
        bytes[bit / 8] = (unsigned char)(bytes[bit / 8] ^ 1 << bit % 8);
    }
}

static void idx_impossible(void)
{
    unsigned char bytes[64];
    nacre_array array;
    size_t size = make_idx(bytes, 0x0E, 4, (uint32_t[]){UINT32_MAX, UINT32_MAX, UINT32_MAX, 7}, "", 0);
    NC_CHECK(nacre_idx_decode(ctx, "vast", bytes, size, &array) != NACRE_OK);
    NC_CHECK_FAILED(ctx, NACRE_ERROR_FORMAT, "impossible shape");
    size = make_idx(bytes, 0x08, 2, (uint32_t[]){UINT32_MAX, 16}, "few", 3);
    NC_CHECK(nacre_idx_decode(ctx, "promise", bytes, size, &array) != NACRE_OK); /* takes memory only as bytes come */
    NC_CHECK_FAILED(ctx, NACRE_ERROR_FORMAT, "but 3 follow");
}

/* ---- gzip ---- */

/* One stored block: the simplest gzip there is, with its checksum. */
static const unsigned char GZIPPED[] = {0x1f, 0x8b, 8,    0,    0,    0,    0,  0, 0, 255, 1, 11,
                                        0,    0xf4, 0xff, 0,    0,    8,    1,  0, 0, 0,   3, 'a',
                                        'b',  'c',  0x54, 0x24, 0x25, 0xc4, 11, 0, 0, 0};

static void gzipped(void)
{
    nacre_array array;
    unsigned char twice[2 * sizeof GZIPPED];
    NC_CHECK_INT(nacre_idx_decode(ctx, "idx.gz", GZIPPED, sizeof GZIPPED, &array), NACRE_OK);
    NC_CHECK_OK(ctx);
    NC_CHECK(array.data && !memcmp(array.data, "abc", 3));
    nacre_array_release(ctx, &array);
    for (size_t cut = 2; cut < sizeof GZIPPED; cut++) {
        NC_CHECK(nacre_idx_decode(ctx, "cut.gz", GZIPPED, cut, &array) != NACRE_OK);
        NC_CHECK_FAILED(ctx, NACRE_ERROR_FORMAT, "cut.gz");
    }
    for (size_t at = sizeof GZIPPED - 11; at < sizeof GZIPPED; at++) { /* the data, the checksum, the length */
        memcpy(twice, GZIPPED, sizeof GZIPPED);
        twice[at] ^= 4;
        NC_CHECK(nacre_idx_decode(ctx, "flip.gz", twice, sizeof GZIPPED, &array) != NACRE_OK);
        NC_CHECK_FAILED(ctx, NACRE_ERROR_FORMAT, "flip.gz");
    }
    memcpy(twice, GZIPPED, sizeof GZIPPED);
    memcpy(twice + sizeof GZIPPED, GZIPPED, sizeof GZIPPED); /* two members are one stream of both contents */
    NC_CHECK(nacre_idx_decode(ctx, "two.gz", twice, sizeof twice, &array) != NACRE_OK);
    NC_CHECK_FAILED(ctx, NACRE_ERROR_FORMAT, "more bytes");
    NC_CHECK(nacre_idx_decode(ctx, "tail.gz", twice, sizeof GZIPPED + 1, &array) != NACRE_OK);
    NC_CHECK_FAILED(ctx, NACRE_ERROR_FORMAT, "not gzip");
}

/* ---- torn npy and npz ---- */

static void npy_torn(void)
{
    size_t size;
    nacre_array array;
    char *bytes = nacre_file_read(ctx, FILES "array_lf4.npy", 0, &size);
    NC_REQUIRE(bytes);
    for (size_t cut = 0; cut < size; cut++) {
        NC_CHECK(nacre_npy_decode(ctx, "torn.npy", bytes, cut, &array) != NACRE_OK);
        NC_CHECK_FAILED(ctx, NACRE_ERROR_FORMAT, "torn.npy");
    }
    for (size_t bit = 0; bit < size * 8; bit++) {
        bytes[bit / 8] = (char)(bytes[bit / 8] ^ 1 << bit % 8);
        nacre_status status = nacre_npy_decode(ctx, "flip.npy", bytes, size, &array);
        NC_CHECK_INT(nacre_check(ctx), status);
        if (status == NACRE_OK) nacre_array_release(ctx, &array);
        nacre_clear(ctx);
        bytes[bit / 8] = (char)(bytes[bit / 8] ^ 1 << bit % 8);
    }
    nacre_release(ctx, bytes);
}

/* Zip has checksums of contents, though none of names: an array that is found is the right one. */
static void npz_torn(void)
{
    size_t size;
    char *bytes = nacre_file_read(ctx, FILES "deflated.npz", 0, &size);
    nacre_npz *whole = nacre_npz_open(ctx, FILES "deflated.npz");
    NC_REQUIRE(bytes && whole);
    const char *path = nc_file("torn.npz");
    for (size_t cut = 0; cut < size; cut += 7) {
        NC_CHECK_INT(nacre_file_write(ctx, path, bytes, cut), NACRE_OK);
        NC_CHECK(nacre_npz_open(ctx, path) == NULL);
        NC_CHECK_FAILED(ctx, NACRE_ERROR_FORMAT, "torn.npz");
    }
    for (size_t bit = 0; bit < size * 8; bit += 5) {
        bytes[bit / 8] = (char)(bytes[bit / 8] ^ 1 << bit % 8);
        NC_CHECK_INT(nacre_file_write(ctx, path, bytes, size), NACRE_OK);
        nacre_npz *npz = nacre_npz_open(ctx, path);
        NC_CHECK((npz == NULL) == (nacre_check(ctx) != NACRE_OK));
        for (int i = 0; i < nacre_npz_count(whole); i++) {
            const nacre_array *a = nacre_npz_find(npz, nacre_npz_name(whole, i));
            const nacre_array *b = nacre_npz_find(whole, nacre_npz_name(whole, i));
            if (!a) continue;
            size_t length = (size_t)nacre_shape_count(b->shape) * nacre_dtype_size(b->dtype);
            if (a->dtype != b->dtype || !nacre_shape_equal(a->shape, b->shape) || memcmp(a->data, b->data, length))
                NC_COMPLAIN("bit %zu flipped changed %s unnoticed", bit, nacre_npz_name(npz, i));
        }
        nacre_npz_close(npz);
        nacre_clear(ctx);
        bytes[bit / 8] = (char)(bytes[bit / 8] ^ 1 << bit % 8);
    }
    nacre_npz_close(whole);
    nacre_release(ctx, bytes);
}

static void npy_lies(void)
{
    static const char *const HEADERS[] = {
        "{'descr': '<f4', 'fortran_order': False, 'shape': (99999999999999999999,), }",
        "{'descr': '<f4', 'fortran_order': False, 'shape': (4611686018427387904, 4), }",
        "{'descr': '<f4', 'fortran_order': False, 'shape': (1,1,1,1,1,1,1,1,1), }",
        "{'descr': '<f4', 'fortran_order': Maybe, 'shape': (1,), }",
        "{'descr': '<f4', 'shape': (1,), }",
        "{'descr': '<f4', 'fortran_order': False, 'shape': (1,), 'extra': 1}",
        "{'descr': '<f4, 'fortran_order': False, 'shape': (1,), }",
        "",
    };
    for (size_t i = 0; i < sizeof HEADERS / sizeof *HEADERS; i++) {
        char bytes[256] = "\x93NUMPY\1\0";
        size_t size = strlen(HEADERS[i]);
        bytes[8] = (char)size;
        memcpy(bytes + 10, HEADERS[i], size);
        nacre_array array;
        NC_CHECK(nacre_npy_decode(ctx, "lie.npy", bytes, 10 + size + 4, &array) != NACRE_OK);
        NC_CHECK_FAILED(ctx, NACRE_ERROR_FORMAT, "lie.npy");
    }
}

static void no_permission(void)
{
    nacre_array array;
    if (geteuid() == 0) return; /* root may read everything */
    NC_CHECK_INT(nacre_file_write(ctx, nc_file("secret"), "x", 1), NACRE_OK);
    NC_CHECK_INT(chmod(nc_file("secret"), 0), 0);
    NC_CHECK(nacre_idx_read(ctx, nc_file("secret"), &array) != NACRE_OK);
    NC_CHECK_FAILED(ctx, NACRE_ERROR_IO, "Permission denied");
}

static bool read_all(nacre_context *context, void *user)
{
    (void)user;
    nacre_array a = {0}, b = {0}, c = {0};
    nacre_npz *npz = NULL;
    bool done = nacre_npy_read(context, FILES "fortran.npy", &a) == NACRE_OK &&
                nacre_npy_read(context, FILES "array_bi2.npy", &b) == NACRE_OK &&
                nacre_idx_decode(context, "idx.gz", GZIPPED, sizeof GZIPPED, &c) == NACRE_OK &&
                (npz = nacre_npz_open(context, FILES "deflated.npz")) != NULL;
    nacre_array_release(context, &a);
    nacre_array_release(context, &b);
    nacre_array_release(context, &c);
    nacre_npz_close(npz);
    return done;
}

static void out_of_memory(void)
{
    nc_fail_each_allocation(read_all, NULL);
}

int main(void)
{
    ctx = nacre_context_create(&(nacre_context_options){.threads = 1});
    expected = nacre_npz_open(ctx, FILES "expected.npz");
    if (!expected) {
        fprintf(stderr, "%s\n", nacre_message(ctx));
        return 1;
    }
    NC_RUN(every_element_type);
    NC_RUN(column_major);
    NC_RUN(corners);
    NC_RUN(written_and_read_back);
    NC_RUN(zipped);
    NC_RUN(idx_types);
    NC_RUN(idx_torn);
    NC_RUN(idx_impossible);
    NC_RUN(gzipped);
    NC_RUN(npy_torn);
    NC_RUN(npz_torn);
    NC_RUN(npy_lies);
    NC_RUN(no_permission);
    NC_RUN(out_of_memory);
    nacre_npz_close(expected);
    nacre_context_destroy(ctx);
    return nc_report();
}

/* data/array.c - arrays from streams of numbers; the IDX format. */
#include "data/array.h"

#include <string.h>

void nacre_array_release(nacre_context *context, nacre_array *array)
{
    if (!array) return;
    nacre_release_aligned(context, array->data);
    *array = (nacre_array){0};
}

nacre_status nc_array_create(nacre_context *context, nacre_dtype dtype, nacre_shape shape, nacre_array *array)
{
    *array = (nacre_array){.dtype = dtype, .shape = shape};
    array->data = nacre_allocate_aligned(context, (size_t)nacre_shape_count(shape) * nacre_dtype_size(dtype));
    return array->data ? NACRE_OK : NACRE_ERROR_MEMORY;
}

/* ---- element types in files ---- */

static const struct {
    size_t size;
    nacre_dtype dtype; /* what it becomes */
} STORED[] = {
    [NC_STORED_I8] = {1, NACRE_I8},   [NC_STORED_U8] = {1, NACRE_U8},   [NC_STORED_BOOL] = {1, NACRE_BOOL},
    [NC_STORED_I16] = {2, NACRE_I32}, [NC_STORED_U16] = {2, NACRE_I32}, [NC_STORED_I32] = {4, NACRE_I32},
    [NC_STORED_U32] = {4, NACRE_I64}, [NC_STORED_I64] = {8, NACRE_I64}, [NC_STORED_U64] = {8, NACRE_I64},
    [NC_STORED_F16] = {2, NACRE_F16}, [NC_STORED_F32] = {4, NACRE_F32}, [NC_STORED_F64] = {8, NACRE_F64},
};

size_t nc_stored_size(nc_stored stored)
{
    return STORED[stored].size;
}

static uint64_t load_word(const unsigned char *bytes, size_t size, bool big_endian)
{
    uint64_t word = 0;
    for (size_t i = 0; i < size; i++) word = word << 8 | bytes[big_endian ? i : size - 1 - i];
    return word;
}

/* Element by element; false if an unsigned number does not fit. */
static bool convert(nc_stored stored, bool big_endian, const unsigned char *bytes, void *target, int64_t start,
                    size_t count)
{
    size_t size = STORED[stored].size;
    for (size_t i = 0; i < count; i++) {
        int64_t at = start + (int64_t)i;
        uint64_t word = load_word(bytes + i * size, size, big_endian);
        switch (stored) {
        case NC_STORED_I16: ((int32_t *)target)[at] = (int16_t)word; break;
        case NC_STORED_U16: ((int32_t *)target)[at] = (int32_t)word; break;
        case NC_STORED_U32: ((int64_t *)target)[at] = (int64_t)word; break;
        case NC_STORED_U64:
            if (word > INT64_MAX) return false;
            ((int64_t *)target)[at] = (int64_t)word;
            break;
        case NC_STORED_BOOL: ((uint8_t *)target)[at] = word != 0; break;
        case NC_STORED_I8:
        case NC_STORED_U8: ((uint8_t *)target)[at] = (uint8_t)word; break;
        case NC_STORED_F16: ((uint16_t *)target)[at] = (uint16_t)word; break;
        case NC_STORED_F32:
        case NC_STORED_I32: ((uint32_t *)target)[at] = (uint32_t)word; break;
        case NC_STORED_F64:
        case NC_STORED_I64: ((uint64_t *)target)[at] = word; break;
        }
    }
    return true;
}

static bool is_little_endian(void)
{
    return *(const unsigned char *)&(const uint16_t){1} == 1;
}

/* The bytes in the file are the bytes in memory. */
static bool is_native(nc_stored stored, bool big_endian)
{
    if (stored == NC_STORED_BOOL || nacre_dtype_size(STORED[stored].dtype) != STORED[stored].size) return false;
    return stored != NC_STORED_U64 && (STORED[stored].size == 1 || big_endian != is_little_endian());
}

static nacre_status fail_size(nacre_context *context, const char *name, nacre_shape shape, int64_t expected,
                              int64_t got)
{
    char text[NACRE_SHAPE_TEXT_SIZE];
    return nacre_fail(context, NACRE_ERROR_FORMAT, "%s: cut short: the header promises %s, %lld bytes, but %lld follow",
                      name, nacre_shape_text(shape, text), (long long)expected, (long long)got);
}

/* Memory is taken only as bytes arrive: a header can promise more than any machine has. */
static nacre_status grow(nacre_context *context, nacre_array *array, int64_t used, int64_t *capacity, int64_t count)
{
    enum { FIRST = 1 << 22 };
    size_t size = nacre_dtype_size(array->dtype);
    int64_t larger = *capacity ? *capacity * 2 : FIRST / (int64_t)size;
    if (larger > count) larger = count;
    void *data = nacre_allocate_aligned(context, (size_t)larger * size);
    if (!data) return NACRE_ERROR_MEMORY;
    if (used) memcpy(data, array->data, (size_t)used * size);
    nacre_release_aligned(context, array->data);
    array->data = data;
    *capacity = larger;
    return NACRE_OK;
}

static nacre_status read_elements(nacre_context *context, nc_stream *stream, const char *name, nc_stored stored,
                                  bool big_endian, nacre_array *array)
{
    unsigned char chunk[1 << 15];
    int64_t size = (int64_t)STORED[stored].size, count = nacre_shape_count(array->shape), capacity = 0, done = 0;
    bool native = is_native(stored, big_endian);
    while (done < count) {
        if (done == capacity && grow(context, array, done, &capacity, count) != NACRE_OK) return NACRE_ERROR_MEMORY;
        int64_t part = capacity - done;
        if (!native && part > (int64_t)sizeof chunk / size) part = (int64_t)sizeof chunk / size;
        int64_t got =
            nc_stream_read(stream, native ? (unsigned char *)array->data + done * size : chunk, (size_t)(part * size));
        if (got < 0) return nacre_check(context);
        if (got < part * size) return fail_size(context, name, array->shape, count * size, done * size + got);
        if (!native && !convert(stored, big_endian, chunk, array->data, done, (size_t)part))
            return nacre_fail(context, NACRE_ERROR_UNSUPPORTED, "%s: an unsigned number of 2^63 or more", name);
        done += part;
    }
    return NACRE_OK;
}

nacre_status nc_array_read(nacre_context *context, nc_stream *stream, const char *name, nc_stored stored,
                           bool big_endian, nacre_shape shape, nacre_array *array)
{
    char text[NACRE_SHAPE_TEXT_SIZE];
    *array = (nacre_array){.dtype = STORED[stored].dtype, .shape = shape};
    int64_t count = nacre_shape_count(shape);
    if (count < 0 || count > INT64_MAX / 16)
        return nacre_fail(context, NACRE_ERROR_FORMAT, "%s: impossible shape %s", name, nacre_shape_text(shape, text));
    nacre_status status = read_elements(context, stream, name, stored, big_endian, array);
    char extra;
    int64_t left = status == NACRE_OK ? nc_stream_read(stream, &extra, 1) : 0;
    if (left < 0) status = nacre_check(context);
    if (left > 0)
        status = nacre_fail(context, NACRE_ERROR_FORMAT, "%s: more bytes follow than the header's %s needs", name,
                            nacre_shape_text(shape, text));
    if (status == NACRE_OK && !array->data) array->data = nacre_allocate_aligned(context, 1); /* no elements */
    if (status == NACRE_OK && !array->data) status = NACRE_ERROR_MEMORY;
    if (status != NACRE_OK) nacre_array_release(context, array);
    return status;
}

/* ---- IDX ---- */

static nacre_status read_idx(nacre_context *context, nc_stream *stream, const char *name, nacre_array *array)
{
    static const int TYPES[256] = {[0x08] = NC_STORED_U8 + 1,  [0x09] = NC_STORED_I8 + 1,  [0x0B] = NC_STORED_I16 + 1,
                                   [0x0C] = NC_STORED_I32 + 1, [0x0D] = NC_STORED_F32 + 1, [0x0E] = NC_STORED_F64 + 1};
    unsigned char magic[4];
    int64_t got = nc_stream_read(stream, magic, sizeof magic);
    if (got < 0) return nacre_check(context);
    if (got < 4 || magic[0] || magic[1] || !TYPES[magic[2]])
        return nacre_fail(context, NACRE_ERROR_FORMAT, "%s: not an IDX file (magic number 00 00 type rank expected)",
                          name);
    nacre_shape shape = {.rank = magic[3]};
    if (shape.rank < 1 || shape.rank > NACRE_MAX_RANK)
        return nacre_fail(context, NACRE_ERROR_FORMAT, "%s: IDX of rank %d, expected 1 to %d", name, shape.rank,
                          NACRE_MAX_RANK);
    for (int i = 0; i < shape.rank; i++) {
        unsigned char size[4];
        got = nc_stream_read(stream, size, sizeof size);
        if (got < 0) return nacre_check(context);
        if (got < 4) return nacre_fail(context, NACRE_ERROR_FORMAT, "%s: cut short within the IDX header", name);
        shape.dims[i] = (int64_t)load_word(size, sizeof size, true);
    }
    return nc_array_read(context, stream, name, (nc_stored)(TYPES[magic[2]] - 1), true, shape, array);
}

nacre_status nacre_idx_read(nacre_context *context, const char *path, nacre_array *array)
{
    *array = (nacre_array){0};
    nc_stream *stream = nc_stream_open(context, path);
    nacre_status status = stream ? read_idx(context, stream, path, array) : nacre_check(context);
    nc_stream_close(stream);
    return status;
}

nacre_status nacre_idx_decode(nacre_context *context, const char *name, const void *bytes, size_t size,
                              nacre_array *array)
{
    *array = (nacre_array){0};
    nc_stream *stream = nc_stream_open_memory(context, name, bytes, size);
    nacre_status status = stream ? read_idx(context, stream, name, array) : nacre_check(context);
    nc_stream_close(stream);
    return status;
}

/* data/npy.c - NumPy's array files, alone (npy) and zipped (npz). */
#include "data/array.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- the header: a Python dictionary with three keys ---- */

typedef struct npy_header {
    nc_stored stored;
    bool big_endian, fortran_order;
    nacre_shape shape;
} npy_header;

typedef struct cursor {
    const char *at, *end;
} cursor;

static void skip_blanks(cursor *text)
{
    while (text->at < text->end && strchr(" \t\n", *text->at) && *text->at) text->at++;
}

static bool accept(cursor *text, const char *word)
{
    skip_blanks(text);
    size_t size = strlen(word);
    if ((size_t)(text->end - text->at) < size || memcmp(text->at, word, size)) return false;
    text->at += size;
    return true;
}

/* 'text' or "text" into `out`. */
static bool scan_string(cursor *text, char *out, size_t size)
{
    skip_blanks(text);
    if (text->at == text->end || (*text->at != '\'' && *text->at != '"')) return false;
    char quote = *text->at++;
    const char *close = memchr(text->at, quote, (size_t)(text->end - text->at));
    if (!close || (size_t)(close - text->at) >= size) return false;
    memcpy(out, text->at, (size_t)(close - text->at));
    out[close - text->at] = 0;
    text->at = close + 1;
    return true;
}

static bool scan_bool(cursor *text, bool *value)
{
    *value = accept(text, "True");
    return *value || accept(text, "False");
}

static bool scan_shape(cursor *text, nacre_shape *shape)
{
    if (!accept(text, "(")) return false;
    while (!accept(text, ")")) {
        if (shape->rank == NACRE_MAX_RANK || text->at == text->end || *text->at < '0' || *text->at > '9') return false;
        int64_t size = 0;
        for (; text->at < text->end && *text->at >= '0' && *text->at <= '9'; text->at++)
            if (__builtin_mul_overflow(size, 10, &size) || __builtin_add_overflow(size, *text->at - '0', &size))
                return false;
        shape->dims[shape->rank++] = size;
        accept(text, "L"); /* Python 2 wrote long integers so */
        if (!accept(text, ",")) return accept(text, ")");
    }
    return true;
}

static bool scan_descr(const char *descr, npy_header *result)
{
    static const struct {
        const char *code;
        nc_stored stored;
    } CODES[] = {{"b1", NC_STORED_BOOL}, {"i1", NC_STORED_I8},  {"u1", NC_STORED_U8},  {"i2", NC_STORED_I16},
                 {"u2", NC_STORED_U16},  {"i4", NC_STORED_I32}, {"u4", NC_STORED_U32}, {"i8", NC_STORED_I64},
                 {"u8", NC_STORED_U64},  {"f2", NC_STORED_F16}, {"f4", NC_STORED_F32}, {"f8", NC_STORED_F64}};
    if (!*descr || !strchr("<>|=", *descr)) return false;
    result->big_endian = *descr == '>';
    for (size_t i = 0; i < sizeof CODES / sizeof *CODES; i++)
        if (!strcmp(descr + 1, CODES[i].code)) {
            result->stored = CODES[i].stored;
            return true;
        }
    return false;
}

static nacre_status parse_header(nacre_context *context, const char *name, const char *text, size_t size,
                                 npy_header *result)
{
    cursor at = {text, text + size};
    char key[32], descr[32] = "";
    bool order = false, shape = false, good = accept(&at, "{");
    while (good && !accept(&at, "}")) {
        good = scan_string(&at, key, sizeof key) && accept(&at, ":");
        if (good && !strcmp(key, "descr"))
            good = scan_string(&at, descr, sizeof descr);
        else if (good && !strcmp(key, "fortran_order"))
            good = order = scan_bool(&at, &result->fortran_order);
        else if (good && !strcmp(key, "shape"))
            good = !shape && (shape = scan_shape(&at, &result->shape));
        else
            good = false;
        if (good && !accept(&at, ",")) {
            good = accept(&at, "}");
            break;
        }
    }
    if (good && *descr && !scan_descr(descr, result))
        return nacre_fail(context, NACRE_ERROR_UNSUPPORTED,
                          "%s: element type %s; numbers of 1 to 8 bytes and bool can be read", name, descr);
    if (good && *descr && order && shape) return NACRE_OK;
    return nacre_fail(context, NACRE_ERROR_FORMAT,
                      "%s: malformed npy header (descr, fortran_order and shape of rank <= %d expected)", name,
                      NACRE_MAX_RANK);
}

static nacre_status read_header(nacre_context *context, nc_stream *stream, const char *name, npy_header *result)
{
    enum { LIMIT = 1 << 16 };
    unsigned char start[12];
    int64_t got = nc_stream_read(stream, start, 10);
    if (got < 0) return nacre_check(context);
    if (got < 10 || memcmp(start, "\x93NUMPY", 6) || start[6] < 1 || start[6] > 3)
        return nacre_fail(context, NACRE_ERROR_FORMAT, "%s: not an npy file of version 1 to 3", name);
    size_t size = (size_t)start[8] | (size_t)start[9] << 8;
    if (start[6] > 1) {
        got = nc_stream_read(stream, start + 10, 2);
        if (got < 0) return nacre_check(context);
        if (got < 2) return nacre_fail(context, NACRE_ERROR_FORMAT, "%s: cut short within the npy header", name);
        size |= (size_t)start[10] << 16 | (size_t)start[11] << 24;
    }
    if (size > LIMIT)
        return nacre_fail(context, NACRE_ERROR_FORMAT, "%s: npy header of %zu bytes, expected at most %d", name, size,
                          LIMIT);
    char *text = nacre_allocate(context, size);
    if (!text) return NACRE_ERROR_MEMORY;
    got = nc_stream_read(stream, text, size);
    nacre_status status;
    if (got == (int64_t)size)
        status = parse_header(context, name, text, size, result);
    else
        status = got < 0 ? nacre_check(context)
                         : nacre_fail(context, NACRE_ERROR_FORMAT, "%s: cut short within the npy header", name);
    nacre_release(context, text);
    return status;
}

/* ---- arrays ---- */

/* Column-major to row-major: reading the axes backwards and transposing. */
static nacre_status reverse_axes(nacre_context *context, nacre_array *array)
{
    nacre_array result;
    nacre_shape shape = array->shape; /* as stored: reversed */
    nacre_shape target = {.rank = shape.rank};
    for (int i = 0; i < shape.rank; i++) target.dims[i] = shape.dims[shape.rank - 1 - i];
    nacre_status status = nc_array_create(context, array->dtype, target, &result);
    if (status != NACRE_OK) return status;
    size_t size = nacre_dtype_size(array->dtype);
    int64_t count = nacre_shape_count(shape), index[NACRE_MAX_RANK] = {0}; /* in `target`, row-major */
    for (int64_t to = 0; to < count; to++) {
        int64_t from = 0;
        for (int i = target.rank - 1; i >= 0; i--) from = from * target.dims[i] + index[i];
        memcpy((char *)result.data + (size_t)to * size, (char *)array->data + (size_t)from * size, size);
        for (int i = target.rank - 1; i >= 0 && ++index[i] == target.dims[i]; i--) index[i] = 0;
    }
    nacre_array_release(context, array);
    *array = result;
    return NACRE_OK;
}

static nacre_status read_npy(nacre_context *context, nc_stream *stream, const char *name, nacre_array *array)
{
    npy_header header = {0};
    nacre_status status = read_header(context, stream, name, &header);
    if (status != NACRE_OK) return status;
    nacre_shape shape = header.shape;
    if (header.fortran_order)
        for (int i = 0; i < shape.rank; i++) shape.dims[i] = header.shape.dims[shape.rank - 1 - i];
    status = nc_array_read(context, stream, name, header.stored, header.big_endian, shape, array);
    if (status == NACRE_OK && header.fortran_order && shape.rank > 1) {
        status = reverse_axes(context, array);
        if (status != NACRE_OK) nacre_array_release(context, array);
    }
    return status;
}

nacre_status nacre_npy_read(nacre_context *context, const char *path, nacre_array *array)
{
    *array = (nacre_array){0};
    nc_stream *stream = nc_stream_open(context, path);
    nacre_status status = stream ? read_npy(context, stream, path, array) : nacre_check(context);
    nc_stream_close(stream);
    return status;
}

nacre_status nacre_npy_decode(nacre_context *context, const char *name, const void *bytes, size_t size,
                              nacre_array *array)
{
    *array = (nacre_array){0};
    nc_stream *stream = nc_stream_open_memory(context, name, bytes, size);
    nacre_status status = stream ? read_npy(context, stream, name, array) : nacre_check(context);
    nc_stream_close(stream);
    return status;
}

nacre_status nacre_npy_write(nacre_context *context, const char *path, const nacre_array *array)
{
    static const char *const DESCRS[NACRE_DTYPE_COUNT] = {
        [NACRE_F32] = "<f4", [NACRE_F64] = "<f8", [NACRE_F16] = "<f2", [NACRE_I8] = "|i1",
        [NACRE_U8] = "|u1",  [NACRE_I32] = "<i4", [NACRE_I64] = "<i8", [NACRE_BOOL] = "|b1"};
    const char *descr = DESCRS[array->dtype];
    if (!descr)
        return nacre_fail(context, NACRE_ERROR_UNSUPPORTED, "%s: npy has no element type for %s; convert it first",
                          path, nacre_dtype_name(array->dtype));
    char text[512];
    int size = snprintf(text, sizeof text, "{'descr': '%s', 'fortran_order': False, 'shape': (", descr);
    for (int i = 0; i < array->shape.rank; i++)
        size += snprintf(text + size, sizeof text - (size_t)size, "%lld,", (long long)array->shape.dims[i]);
    size += snprintf(text + size, sizeof text - (size_t)size, "), }");
    /* The data begin at a multiple of 64 bytes, and the header ends with a line end. */
    while ((10 + size + 1) % 64) text[size++] = ' ';
    text[size++] = '\n';
    unsigned char start[10] = {0x93, 'N', 'U', 'M', 'P', 'Y', 1, 0, (unsigned char)size, (unsigned char)(size >> 8)};

    nacre_writer *writer = nacre_writer_open(context, path);
    if (!writer) return nacre_check(context);
    nacre_writer_put(writer, start, sizeof start);
    nacre_writer_put(writer, text, (size_t)size);
    nacre_writer_put(writer, array->data, (size_t)nacre_shape_count(array->shape) * nacre_dtype_size(array->dtype));
    return nacre_writer_commit(writer);
}

/* ---- npz ---- */

struct nacre_npz {
    nacre_context *context;
    char *path;
    char **names;
    nacre_array *arrays;
    int count;
};

static nacre_status add_member(nacre_npz *npz, nc_archive *archive, const char *member)
{
    nacre_context *context = npz->context;
    size_t slots = (size_t)npz->count + 1;
    char **names = nacre_resize(context, npz->names, slots * sizeof *names);
    if (names) npz->names = names;
    nacre_array *arrays = nacre_resize(context, npz->arrays, slots * sizeof *arrays);
    if (arrays) npz->arrays = arrays;
    char *name = nacre_duplicate(context, member);
    nacre_buffer bytes = nacre_buffer_create(context);
    nacre_status status = names && arrays && name ? nc_archive_read(archive, &bytes) : NACRE_ERROR_MEMORY;
    if (status == NACRE_OK) {
        nacre_buffer label = nacre_buffer_create(context);
        nacre_buffer_print(&label, "%s:%s", npz->path, name);
        status = label.failed ? NACRE_ERROR_MEMORY
                              : nacre_npy_decode(context, label.data, bytes.data ? bytes.data : "", bytes.size,
                                                 &npz->arrays[npz->count]);
        nacre_buffer_destroy(&label);
    }
    nacre_buffer_destroy(&bytes);
    if (status != NACRE_OK) {
        nacre_release(context, name);
        return status;
    }
    name[strlen(name) - strlen(".npy")] = 0;
    npz->names[npz->count++] = name;
    return NACRE_OK;
}

nacre_npz *nacre_npz_open(nacre_context *context, const char *path)
{
    nacre_npz *npz = nacre_allocate(context, sizeof *npz);
    if (!npz) return NULL;
    npz->context = context;
    npz->path = nacre_duplicate(context, path);
    nc_archive *archive = npz->path ? nc_archive_open(context, path) : NULL;
    nacre_status status = archive ? NACRE_OK : nacre_check(context);
    for (const char *member; status == NACRE_OK;) {
        status = nc_archive_next(archive, &member);
        if (status != NACRE_OK || !member) break;
        if (nc_ends_with(member, ".npy")) status = add_member(npz, archive, member);
    }
    nc_archive_close(archive);
    if (status == NACRE_OK && npz->count == 0)
        status = nacre_fail(context, NACRE_ERROR_FORMAT, "%s: no .npy members in it", path);
    if (status == NACRE_OK) return npz;
    nacre_npz_close(npz);
    return NULL;
}

void nacre_npz_close(nacre_npz *npz)
{
    if (!npz) return;
    for (int i = 0; i < npz->count; i++) {
        nacre_release(npz->context, npz->names[i]);
        nacre_array_release(npz->context, &npz->arrays[i]);
    }
    nacre_release(npz->context, npz->names);
    nacre_release(npz->context, npz->arrays);
    nacre_release(npz->context, npz->path);
    nacre_release(npz->context, npz);
}

int nacre_npz_count(const nacre_npz *npz)
{
    return npz ? npz->count : 0;
}

const char *nacre_npz_name(const nacre_npz *npz, int index)
{
    return npz && index >= 0 && index < npz->count ? npz->names[index] : NULL;
}

const nacre_array *nacre_npz_find(const nacre_npz *npz, const char *name)
{
    if (!npz) return NULL;
    nacre_buffer list = nacre_buffer_create(npz->context);
    for (int i = 0; i < npz->count; i++) {
        if (!strcmp(npz->names[i], name)) {
            nacre_buffer_destroy(&list);
            return &npz->arrays[i];
        }
        nacre_buffer_print(&list, "%s%s", i ? ", " : "", npz->names[i]);
    }
    nacre_fail(npz->context, NACRE_ERROR_NOT_FOUND, "%s: no array '%s'; there are %s", npz->path, name,
               list.data ? list.data : "none");
    nacre_buffer_destroy(&list);
    return NULL;
}

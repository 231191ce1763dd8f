/* formats/safetensors.c - the safetensors file format, reading and writing. */
#include <nacre/io.h>
#include <nacre/safetensors.h>

#include <cjson/cJSON.h>

#include <stdlib.h>
#include <string.h>

#define HEADER_LIMIT  100000000u /* bytes, of the specification */
#define LARGEST_EXACT 0x1p53     /* JSON numbers arrive as doubles */

enum { LENGTH_SIZE = 8, ALIGNMENT = 64 };

static const char *const DTYPE_NAMES[NACRE_DTYPE_COUNT] = {
#define DTYPE_NAME(constant, name, bytes, safetensors) [NACRE_##constant] = safetensors,
    NACRE_DTYPE_TABLE(DTYPE_NAME)
#undef DTYPE_NAME
};
static const char METADATA[] = "__metadata__";

struct nacre_safetensors {
    nacre_context *context;
    nacre_mapping mapping; /* of the file; empty if the bytes are the caller's */
    char *origin;          /* what messages call the file */
    const unsigned char *data;
    size_t data_size;
    cJSON *header; /* owns all text */
    const cJSON *metadata;
    nacre_named_array *arrays; /* in the order of their data */
    const nacre_named_array **by_name;
    int count;
};

/* Bytes of an array whose shape and type were checked. */
static size_t array_size(const nacre_named_array *array)
{
    return (size_t)nacre_shape_count(array->shape) * nacre_dtype_size(array->dtype);
}

static int compare_texts(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* Sorts and returns a text that is there twice, NULL if there is none. */
static const char *find_double(const char **texts, int count)
{
    qsort(texts, (size_t)count, sizeof *texts, compare_texts);
    for (int i = 1; i < count; i++)
        if (strcmp(texts[i - 1], texts[i]) == 0) return texts[i];
    return NULL;
}

/* ---- reading: the header ---- */

#define FAIL(file, ...) nacre_fail((file)->context, NACRE_ERROR_FORMAT, __VA_ARGS__)

/* cJSON ends text at an escaped 0 character, under which two names could pass for one. */
static bool has_escaped_zero(const char *text, size_t size)
{
    for (size_t i = 0; i + 1 < size; i++) {
        if (text[i] != '\\') continue;
        if (size - i >= 6 && memcmp(text + i, "\\u0000", 6) == 0) return true;
        i++;
    }
    return false;
}

static bool is_blank(char c)
{
    return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

static nacre_status parse_header(nacre_safetensors *file, const char *text, size_t size)
{
    if (!nacre_is_utf8(text, size)) return FAIL(file, "'%s': the header is not UTF-8 text", file->origin);
    if (has_escaped_zero(text, size)) return FAIL(file, "'%s': the header has a 0 character in a text", file->origin);
    const char *end = text;
    file->header = cJSON_ParseWithLengthOpts(text, size, &end, 0);
    while (file->header && end < text + size && is_blank(*end)) end++;
    if (!file->header || end < text + size)
        return FAIL(file, "'%s': the header is not JSON near byte %zu", file->origin,
                    (size_t)LENGTH_SIZE + (size_t)(end - text));
    if (!cJSON_IsObject(file->header)) return FAIL(file, "'%s': the header is not a JSON object", file->origin);
    return NACRE_OK;
}

static nacre_status locate_header(nacre_safetensors *file, const unsigned char *bytes, size_t size)
{
    if (size < LENGTH_SIZE)
        return FAIL(file, "'%s' has %zu bytes; a safetensors file begins with 8 bytes of header size", file->origin,
                    size);
    uint64_t header_size = 0;
    for (int i = LENGTH_SIZE - 1; i >= 0; i--) header_size = header_size << 8 | bytes[i];
    if (header_size > HEADER_LIMIT)
        return FAIL(file, "'%s' announces a header of %llu bytes, at most %u are allowed; is it a safetensors file?",
                    file->origin, (unsigned long long)header_size, HEADER_LIMIT);
    if (header_size > size - LENGTH_SIZE)
        return FAIL(file, "'%s' announces a header of %llu bytes but only %zu follow; it is cut short", file->origin,
                    (unsigned long long)header_size, size - LENGTH_SIZE);
    file->data = bytes + LENGTH_SIZE + header_size;
    file->data_size = size - LENGTH_SIZE - (size_t)header_size;
    return parse_header(file, (const char *)bytes + LENGTH_SIZE, (size_t)header_size);
}

static nacre_status read_metadata(nacre_safetensors *file, const cJSON *metadata)
{
    if (file->metadata) return FAIL(file, "'%s': %s is there twice", file->origin, METADATA);
    if (!cJSON_IsObject(metadata)) return FAIL(file, "'%s': %s is not an object", file->origin, METADATA);
    const char **keys = nacre_allocate(file->context, (size_t)cJSON_GetArraySize(metadata) * sizeof *keys);
    if (!keys) return NACRE_ERROR_MEMORY;

    nacre_status status = NACRE_OK;
    int count = 0;
    const cJSON *entry;
    cJSON_ArrayForEach(entry, metadata)
    {
        if (!cJSON_IsString(entry))
            status = FAIL(file, "'%s': %s '%.200s' is not a text", file->origin, METADATA, entry->string);
        keys[count++] = entry->string;
    }
    const char *twice = find_double(keys, count);
    if (twice) status = FAIL(file, "'%s': %s has '%.200s' twice", file->origin, METADATA, twice);
    nacre_release(file->context, keys);
    file->metadata = metadata;
    return status;
}

/* ---- reading: one array ---- */

/* A non-negative whole number that a double holds exactly; -1 for anything else. */
static int64_t whole_number(const cJSON *item)
{
    if (!cJSON_IsNumber(item)) return -1;
    double value = item->valuedouble;
    if (!(value >= 0 && value < LARGEST_EXACT)) return -1;
    return (double)(int64_t)value == value ? (int64_t)value : -1;
}

static nacre_status read_dtype(nacre_safetensors *file, const cJSON *item, nacre_named_array *array)
{
    if (!cJSON_IsString(item)) return FAIL(file, "'%s': tensor '%.200s' has no dtype", file->origin, array->name);
    for (int i = 0; i < NACRE_DTYPE_COUNT; i++) {
        if (strcmp(item->valuestring, DTYPE_NAMES[i]) != 0) continue;
        array->dtype = (nacre_dtype)i;
        return NACRE_OK;
    }
    return nacre_fail(file->context, NACRE_ERROR_UNSUPPORTED,
                      "'%s': tensor '%.200s' has elements of type '%.40s', which is not supported", file->origin,
                      array->name, item->valuestring);
}

static nacre_status read_shape(nacre_safetensors *file, const cJSON *item, nacre_named_array *array)
{
    if (!cJSON_IsArray(item)) return FAIL(file, "'%s': tensor '%.200s' has no shape", file->origin, array->name);
    const cJSON *entry;
    cJSON_ArrayForEach(entry, item)
    {
        if (array->shape.rank == NACRE_MAX_RANK)
            return nacre_fail(file->context, NACRE_ERROR_UNSUPPORTED,
                              "'%s': tensor '%.200s' has more than %d dimensions", file->origin, array->name,
                              NACRE_MAX_RANK);
        int64_t dim = whole_number(entry);
        if (dim < 0)
            return FAIL(file, "'%s': tensor '%.200s' has a dimension that is not a whole number", file->origin,
                        array->name);
        array->shape.dims[array->shape.rank++] = dim;
    }
    return NACRE_OK;
}

static nacre_status read_offsets(nacre_safetensors *file, const cJSON *item, nacre_named_array *array)
{
    int64_t begin = -1, end = -1;
    if (cJSON_IsArray(item) && cJSON_GetArraySize(item) == 2) {
        begin = whole_number(item->child);
        end = whole_number(item->child->next);
    }
    if (begin < 0 || end < 0)
        return FAIL(file, "'%s': tensor '%.200s': data_offsets are not two whole numbers", file->origin, array->name);
    if (begin > end || (uint64_t)end > file->data_size)
        return FAIL(file, "'%s': tensor '%.200s': data_offsets [%lld, %lld] lie outside the %zu bytes of data",
                    file->origin, array->name, (long long)begin, (long long)end, file->data_size);
    int64_t count = nacre_shape_count(array->shape), size = (int64_t)nacre_dtype_size(array->dtype);
    if (count < 0 || count > INT64_MAX / size || count * size != end - begin) {
        char shape[NACRE_SHAPE_TEXT_SIZE];
        return FAIL(file, "'%s': tensor '%.200s': data_offsets [%lld, %lld] do not hold %s elements of %lld bytes",
                    file->origin, array->name, (long long)begin, (long long)end, nacre_shape_text(array->shape, shape),
                    (long long)size);
    }
    array->data = file->data + begin;
    return NACRE_OK;
}

static nacre_status read_array(nacre_safetensors *file, const cJSON *item)
{
    nacre_named_array *array = &file->arrays[file->count++];
    *array = (nacre_named_array){.name = item->string};
    nacre_status status = read_dtype(file, cJSON_GetObjectItemCaseSensitive(item, "dtype"), array);
    if (status == NACRE_OK) status = read_shape(file, cJSON_GetObjectItemCaseSensitive(item, "shape"), array);
    if (status == NACRE_OK) status = read_offsets(file, cJSON_GetObjectItemCaseSensitive(item, "data_offsets"), array);
    if (status == NACRE_OK && cJSON_GetArraySize(item) != 3)
        status = FAIL(file, "'%s': tensor '%.200s' has other keys than dtype, shape and data_offsets, or one twice",
                      file->origin, array->name);
    return status;
}

/* ---- reading: all arrays ---- */

static int compare_places(const void *a, const void *b)
{
    const nacre_named_array *x = a, *y = b;
    if (x->data != y->data) return (const char *)x->data < (const char *)y->data ? -1 : 1;
    size_t x_size = array_size(x), y_size = array_size(y); /* empty ones before the one that begins there */
    return x_size != y_size ? (x_size < y_size ? -1 : 1) : strcmp(x->name, y->name);
}

static int compare_names(const void *a, const void *b)
{
    return strcmp((*(const nacre_named_array *const *)a)->name, (*(const nacre_named_array *const *)b)->name);
}

static nacre_status check_names(nacre_safetensors *file)
{
    for (int i = 1; i < file->count; i++)
        if (compare_names(&file->by_name[i - 1], &file->by_name[i]) == 0)
            return FAIL(file, "'%s': tensor '%.200s' is there twice", file->origin, file->by_name[i]->name);
    return NACRE_OK;
}

/* The arrays must cover the data exactly: what lies in a hole would be invisible to every reader. */
static nacre_status check_cover(nacre_safetensors *file)
{
    const unsigned char *expected = file->data;
    for (int i = 0; i < file->count; i++) {
        const nacre_named_array *array = &file->arrays[i];
        const unsigned char *begin = array->data;
        if (begin < expected)
            return FAIL(file, "'%s': tensors '%.200s' and '%.200s' overlap", file->origin, array[-1].name, array->name);
        if (begin > expected)
            return FAIL(file, "'%s': %zu bytes before tensor '%.200s' belong to no tensor", file->origin,
                        (size_t)(begin - expected), array->name);
        expected = begin + array_size(array);
    }
    size_t rest = file->data_size - (size_t)(expected - file->data);
    if (rest) return FAIL(file, "'%s': the last %zu bytes belong to no tensor", file->origin, rest);
    return NACRE_OK;
}

static nacre_status read_entries(nacre_safetensors *file)
{
    size_t entries = (size_t)cJSON_GetArraySize(file->header);
    file->arrays = nacre_allocate(file->context, entries * sizeof *file->arrays);
    file->by_name = nacre_allocate(file->context, entries * sizeof *file->by_name);
    if (!file->arrays || !file->by_name) return NACRE_ERROR_MEMORY;

    const cJSON *item;
    cJSON_ArrayForEach(item, file->header)
    {
        bool is_metadata = strcmp(item->string, METADATA) == 0;
        nacre_status status = is_metadata ? read_metadata(file, item) : read_array(file, item);
        if (status != NACRE_OK) return status;
    }
    qsort(file->arrays, (size_t)file->count, sizeof *file->arrays, compare_places);
    for (int i = 0; i < file->count; i++) file->by_name[i] = &file->arrays[i];
    qsort(file->by_name, (size_t)file->count, sizeof *file->by_name, compare_names);
    nacre_status status = check_names(file);
    return status == NACRE_OK ? check_cover(file) : status;
}

nacre_safetensors *nacre_safetensors_open_bytes(nacre_context *context, const void *bytes, size_t size,
                                                const char *origin)
{
    nacre_safetensors *file = nacre_allocate(context, sizeof *file);
    if (!file) return NULL;
    *file = (nacre_safetensors){.context = context, .origin = nacre_duplicate(context, origin)};
    if (!file->origin || locate_header(file, bytes, size) != NACRE_OK || read_entries(file) != NACRE_OK) {
        nacre_safetensors_close(file);
        return NULL;
    }
    return file;
}

nacre_safetensors *nacre_safetensors_open(nacre_context *context, const char *path)
{
    nacre_mapping mapping;
    if (nacre_file_map(context, path, &mapping) != NACRE_OK) return NULL;
    nacre_safetensors *file = nacre_safetensors_open_bytes(context, mapping.data, mapping.size, path);
    if (file)
        file->mapping = mapping;
    else
        nacre_file_unmap(&mapping);
    return file;
}

void nacre_safetensors_close(nacre_safetensors *file)
{
    if (!file) return;
    nacre_file_unmap(&file->mapping);
    cJSON_Delete(file->header);
    nacre_release(file->context, file->origin);
    nacre_release(file->context, file->arrays);
    nacre_release(file->context, file->by_name);
    nacre_release(file->context, file);
}

/* ---- asking ---- */

const char *nacre_safetensors_origin(const nacre_safetensors *file)
{
    return file ? file->origin : NULL;
}

int nacre_safetensors_count(const nacre_safetensors *file)
{
    return file ? file->count : 0;
}

const nacre_named_array *nacre_safetensors_at(const nacre_safetensors *file, int index)
{
    return file && index >= 0 && index < file->count ? &file->arrays[index] : NULL;
}

const nacre_named_array *nacre_safetensors_find(const nacre_safetensors *file, const char *name)
{
    if (!file || !name) return NULL;
    const nacre_named_array wanted = {.name = name}, *key = &wanted;
    const nacre_named_array **found = bsearch(&key, file->by_name, (size_t)file->count, sizeof key, compare_names);
    return found ? *found : NULL;
}

void nacre_safetensors_load(const nacre_named_array *array, nacre_dtype dtype, void *target)
{
    enum { STEP = 256 };
    int64_t count = nacre_shape_count(array->shape);
    size_t from_size = nacre_dtype_size(array->dtype), to_size = nacre_dtype_size(dtype);
    if (array->dtype == dtype) {
        if (count) memcpy(target, array->data, (size_t)count * to_size);
        return;
    }
    _Alignas(ALIGNMENT) unsigned char aligned[STEP * sizeof(double)];
    for (int64_t i = 0; i < count; i += STEP) {
        int64_t step = count - i < STEP ? count - i : STEP;
        memcpy(aligned, (const char *)array->data + (size_t)i * from_size, (size_t)step * from_size);
        nacre_dtype_convert(dtype, (char *)target + (size_t)i * to_size, array->dtype, aligned, step);
    }
}

const char *nacre_safetensors_metadata(const nacre_safetensors *file, const char *key)
{
    return file && key ? cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(file->metadata, key)) : NULL;
}

nacre_text_pair nacre_safetensors_metadata_at(const nacre_safetensors *file, int index)
{
    const cJSON *entry = file ? cJSON_GetArrayItem(file->metadata, index) : NULL;
    return entry ? (nacre_text_pair){entry->string, entry->valuestring} : (nacre_text_pair){NULL, NULL};
}

/* ---- writing: what a reader would refuse is not written ---- */

#define REFUSE(context, ...) nacre_fail(context, NACRE_ERROR_ARGUMENT, __VA_ARGS__)

static nacre_status check_arrays(nacre_context *context, const char *path, const nacre_named_array *arrays, int count)
{
    const char **names = nacre_allocate(context, (size_t)count * sizeof *names);
    if (!names) return NACRE_ERROR_MEMORY;
    nacre_status status = NACRE_OK;
    for (int i = 0; i < count && status == NACRE_OK; i++) {
        int64_t size = (int64_t)nacre_dtype_size(arrays[i].dtype), elements = nacre_shape_count(arrays[i].shape);
        names[i] = arrays[i].name;
        if (!names[i] || strcmp(names[i], METADATA) == 0)
            status = REFUSE(context, "cannot write '%s': tensor %d cannot be called '%s'", path, i,
                            names[i] ? names[i] : "");
        else if (size == 0 || elements < 0 || elements > (int64_t)LARGEST_EXACT / size)
            status = REFUSE(context, "cannot write '%s': tensor '%.200s' has no valid shape and dtype", path, names[i]);
    }
    const char *twice = status == NACRE_OK ? find_double(names, count) : NULL;
    if (twice) status = REFUSE(context, "cannot write '%s': tensor '%.200s' is there twice", path, twice);
    nacre_release(context, names);
    return status;
}

static nacre_status check_metadata(nacre_context *context, const char *path, const nacre_text_pair *pairs, int count)
{
    const char **keys = nacre_allocate(context, (size_t)count * sizeof *keys);
    if (!keys) return NACRE_ERROR_MEMORY;
    nacre_status status = NACRE_OK;
    for (int i = 0; i < count && status == NACRE_OK; i++) {
        keys[i] = pairs[i].key;
        if (!pairs[i].key || !pairs[i].text)
            status = REFUSE(context, "cannot write '%s': metadata '%.200s' has no key or no text", path,
                            pairs[i].key ? pairs[i].key : "");
    }
    const char *twice = status == NACRE_OK ? find_double(keys, count) : NULL;
    if (twice) status = REFUSE(context, "cannot write '%s': metadata '%.200s' is there twice", path, twice);
    nacre_release(context, keys);
    return status;
}

static nacre_status check_header(nacre_context *context, const char *path, const nacre_buffer *header)
{
    if (header->failed) return NACRE_ERROR_MEMORY;
    if (!nacre_is_utf8(header->data, header->size))
        return REFUSE(context, "cannot write '%s': a name or text is not UTF-8", path);
    if (header->size > HEADER_LIMIT)
        return REFUSE(context, "cannot write '%s': names and metadata take %zu bytes, at most %u are allowed", path,
                      header->size, HEADER_LIMIT);
    return NACRE_OK;
}

/* ---- writing ---- */

/* The caller's arrays in file order. */
static const nacre_named_array **file_order(nacre_context *context, const nacre_named_array *arrays, int count)
{
    const nacre_named_array **order = nacre_allocate(context, (size_t)count * sizeof *order);
    int placed = 0;
    for (size_t size = sizeof(double); order && size > 0; size /= 2)
        for (int i = 0; i < count; i++)
            if (nacre_dtype_size(arrays[i].dtype) == size) order[placed++] = &arrays[i];
    return order;
}

static void print_metadata(nacre_buffer *header, const nacre_text_pair *metadata, int count)
{
    nacre_buffer_print(header, "\"%s\":{", METADATA);
    for (int i = 0; i < count; i++) {
        if (i) nacre_buffer_put(header, ",", 1);
        nacre_buffer_quote(header, metadata[i].key);
        nacre_buffer_put(header, ":", 1);
        nacre_buffer_quote(header, metadata[i].text);
    }
    nacre_buffer_put(header, "}", 1);
}

static size_t print_array(nacre_buffer *header, const nacre_named_array *array, size_t offset)
{
    nacre_buffer_quote(header, array->name);
    nacre_buffer_print(header, ":{\"dtype\":\"%s\",\"shape\":[", DTYPE_NAMES[array->dtype]);
    for (int i = 0; i < array->shape.rank; i++)
        nacre_buffer_print(header, "%s%lld", i ? "," : "", (long long)array->shape.dims[i]);
    size_t end = offset + array_size(array);
    nacre_buffer_print(header, "],\"data_offsets\":[%zu,%zu]}", offset, end);
    return end;
}

static void print_header(nacre_buffer *header, const nacre_named_array *const *order, int count,
                         const nacre_text_pair *metadata, int metadata_count)
{
    size_t offset = 0;
    nacre_buffer_put(header, "{", 1);
    if (metadata_count) print_metadata(header, metadata, metadata_count);
    for (int i = 0; i < count; i++) {
        if (i || metadata_count) nacre_buffer_put(header, ",", 1);
        offset = print_array(header, order[i], offset);
    }
    nacre_buffer_put(header, "}", 1);
    while (!header->failed && (LENGTH_SIZE + header->size) % ALIGNMENT) nacre_buffer_put(header, " ", 1);
}

static nacre_status write_file(nacre_context *context, const char *path, const nacre_buffer *header,
                               const nacre_named_array *const *order, int count)
{
    nacre_writer *writer = nacre_writer_open(context, path);
    if (!writer) return nacre_check(context);
    unsigned char length[LENGTH_SIZE];
    for (int i = 0; i < LENGTH_SIZE; i++) length[i] = (unsigned char)((uint64_t)header->size >> 8 * i);
    nacre_writer_put(writer, length, sizeof length);
    nacre_writer_put(writer, header->data, header->size);
    for (int i = 0; i < count; i++) nacre_writer_put(writer, order[i]->data, array_size(order[i]));
    return nacre_writer_commit(writer);
}

nacre_status nacre_safetensors_write(nacre_context *context, const char *path, const nacre_named_array *arrays,
                                     int count, const nacre_text_pair *metadata, int metadata_count)
{
    nacre_status status = check_arrays(context, path, arrays, count);
    if (status == NACRE_OK) status = check_metadata(context, path, metadata, metadata_count);
    if (status != NACRE_OK) return status;
    const nacre_named_array **order = file_order(context, arrays, count);
    if (!order) return NACRE_ERROR_MEMORY;
    nacre_buffer header = nacre_buffer_create(context);
    print_header(&header, order, count, metadata, metadata_count);
    status = check_header(context, path, &header);
    if (status == NACRE_OK) status = write_file(context, path, &header, order, count);
    nacre_buffer_destroy(&header);
    nacre_release(context, order);
    return status;
}

/* safetensors.h - named arrays in one file, after the specification at github.com/huggingface/safetensors:
 *
 *     u64 little-endian        size of the header, at most 100,000,000
 *     header                   {"name": {"dtype": "F32", "shape": [2, 3], "data_offsets": [0, 24]}, ...,
 *                               "__metadata__": {"key": "text", ...}}, padded with spaces
 *     data                     row-major, little-endian, dense; offsets count from here
 *
 * Files are not believed: every length, offset, shape and name is checked when a file is opened, and the tensors must
 * cover the data without overlap or hole. What opens can be read without further checks.
 */
#ifndef NACRE_SAFETENSORS_H
#define NACRE_SAFETENSORS_H

#include <nacre/base.h>
#ifdef __cplusplus
extern "C" {
#endif

/* One array of a file that is read or to be written. When read, `name` and `data` belong to the file; `data` lies
 * where the file put it, which need not be a multiple of the element size (nacre_safetensors_load takes care). */
typedef struct nacre_named_array {
    const char *name;
    nacre_dtype dtype;
    nacre_shape shape;
    const void *data;
} nacre_named_array;

/* One entry of a file's metadata: any text under any key. */
typedef struct nacre_text_pair {
    const char *key, *text;
} nacre_text_pair;

/* ---- reading ---------------------------------------------------------------------------------------------------- */

typedef struct nacre_safetensors nacre_safetensors;

/* Maps the file and checks its header. NULL: NACRE_ERROR_NOT_FOUND, _IO, _FORMAT (a lie, with the tensor's name) or
 * _UNSUPPORTED (an element type or rank that Nacre does not have). */
NACRE_API nacre_safetensors *nacre_safetensors_open(nacre_context *context, const char *path);
/* The same on bytes that stay the caller's until the close; `origin` stands in messages where the path would. */
NACRE_API nacre_safetensors *nacre_safetensors_open_bytes(nacre_context *context, const void *bytes, size_t size,
                                                          const char *origin);
NACRE_API void nacre_safetensors_close(nacre_safetensors *file); /* NULL is fine */

/* The path, or what was given for it: for messages. */
NACRE_API const char *nacre_safetensors_origin(const nacre_safetensors *file);
NACRE_API int nacre_safetensors_count(const nacre_safetensors *file);
/* Arrays in the order of their data; NULL past the end. */
NACRE_API const nacre_named_array *nacre_safetensors_at(const nacre_safetensors *file, int index);
NACRE_API const nacre_named_array *nacre_safetensors_find(const nacre_safetensors *file, const char *name);
/* Copies an array of the file out as elements of `dtype` (converted as nacre_dtype_convert does). */
NACRE_API void nacre_safetensors_load(const nacre_named_array *array, nacre_dtype dtype, void *target);

/* The text under a key, NULL if there is none; pairs in the order of the file, {NULL, NULL} past the end. */
NACRE_API const char *nacre_safetensors_metadata(const nacre_safetensors *file, const char *key);
NACRE_API nacre_text_pair nacre_safetensors_metadata_at(const nacre_safetensors *file, int index);

/* ---- writing ---------------------------------------------------------------------------------------------------- */

/* Replaces the file atomically (io.h). The same arguments give the same bytes. Data begins at a multiple of 64 bytes
 * and arrays of larger elements come first, otherwise in the caller's order, so every array is aligned to its own
 * elements. Names and keys must differ; all text must be UTF-8. */
NACRE_API nacre_status nacre_safetensors_write(nacre_context *context, const char *path,
                                               const nacre_named_array *arrays, int count,
                                               const nacre_text_pair *metadata, int metadata_count);

#ifdef __cplusplus
}
#endif

#endif

/* data/array.h - building arrays, and what the readers of array files share. */
#ifndef NC_DATA_ARRAY_H
#define NC_DATA_ARRAY_H

#include <nacre/data.h>

#include "data/stream.h"

/* Room for an array; 0 elements are fine. */
nacre_status nc_array_create(nacre_context *context, nacre_dtype dtype, nacre_shape shape, nacre_array *array);

/* Element types that files hold. What has no dtype of its own becomes the next larger one that does. */
typedef enum nc_stored {
    NC_STORED_I8,
    NC_STORED_U8,
    NC_STORED_BOOL,
    NC_STORED_I16,
    NC_STORED_U16,
    NC_STORED_I32,
    NC_STORED_U32,
    NC_STORED_I64,
    NC_STORED_U64,
    NC_STORED_F16,
    NC_STORED_F32,
    NC_STORED_F64
} nc_stored;

/* Fills a new array of this shape from the stream, of which nothing may be left. */
nacre_status nc_array_read(nacre_context *context, nc_stream *stream, const char *name, nc_stored stored,
                           bool big_endian, nacre_shape shape, nacre_array *array);
size_t nc_stored_size(nc_stored stored);

#endif

/* Any bytes as npy: either one clear failure, or an array that is the same after writing and reading it again. */
#include <nacre/data.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void write_and_read(nacre_context *context, const nacre_array *array)
{
    char path[64];
    nacre_array again;
    snprintf(path, sizeof path, "/tmp/nacre-fuzz-%d.npy", (int)getpid());
    if (nacre_npy_write(context, path, array) != NACRE_OK) abort();
    if (nacre_npy_read(context, path, &again) != NACRE_OK) abort();
    size_t bytes = (size_t)nacre_shape_count(array->shape) * nacre_dtype_size(array->dtype);
    if (again.dtype != array->dtype || !nacre_shape_equal(again.shape, array->shape)) abort();
    if (memcmp(again.data, array->data, bytes)) abort();
    nacre_array_release(context, &again);
    unlink(path);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    enum { SMALL = 4096 }; /* larger ones only take time */
    static nacre_context *context;
    static unsigned runs;
    if (!context) context = nacre_context_create(&(nacre_context_options){.threads = 1});
    nacre_array array;
    nacre_status status = nacre_npy_decode(context, "fuzz", data, size, &array);
    if (status != nacre_check(context) || (status != NACRE_OK && array.data)) abort();
    if (status == NACRE_OK && size < SMALL && runs++ % 16 == 0) write_and_read(context, &array);
    nacre_array_release(context, &array);
    nacre_clear(context);
    return 0;
}

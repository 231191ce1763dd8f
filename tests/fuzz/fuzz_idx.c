/* Any bytes as IDX, plain or gzip: either one clear failure, or an array whose every byte is there. */
#include <nacre/data.h>

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static nacre_context *context;
    if (!context) context = nacre_context_create(&(nacre_context_options){.threads = 1});
    nacre_array array;
    nacre_status status = nacre_idx_decode(context, "fuzz", data, size, &array);
    if (status != nacre_check(context)) abort();
    if (status == NACRE_OK) {
        double sum = 0;
        for (int64_t i = 0; i < nacre_shape_count(array.shape); i++)
            sum += nacre_dtype_load(array.dtype, array.data, i);
        if (array.shape.rank < 1 || (sum == 1 && !array.data)) abort();
    } else if (array.data) {
        abort();
    }
    nacre_array_release(context, &array);
    nacre_clear(context);
    return 0;
}

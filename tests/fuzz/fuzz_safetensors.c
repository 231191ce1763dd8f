/* Any bytes: either one clear failure, or arrays whose every byte can be read. */
#include <nacre/safetensors.h>

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Reads all bytes, so that the sanitizer sees whether they are there. */
static void touch(const nacre_named_array *array)
{
    double *values = malloc(((size_t)nacre_shape_count(array->shape) + 1) * sizeof *values);
    if (values) nacre_safetensors_load(array, NACRE_F64, values);
    free(values);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static nacre_context *context;
    if (!context) context = nacre_context_create(&(nacre_context_options){.threads = 1});
    nacre_safetensors *file = nacre_safetensors_open_bytes(context, data, size, "fuzz");
    if ((file == NULL) != (nacre_check(context) != NACRE_OK)) abort();
    for (int i = 0; i < nacre_safetensors_count(file); i++) {
        const nacre_named_array *array = nacre_safetensors_at(file, i);
        if (nacre_safetensors_find(file, array->name) != array) abort();
        touch(array);
    }
    for (int i = 0; nacre_safetensors_metadata_at(file, i).key; i++)
        if (!nacre_safetensors_metadata(file, nacre_safetensors_metadata_at(file, i).key)) abort();
    nacre_safetensors_close(file);
    nacre_clear(context);
    return 0;
}

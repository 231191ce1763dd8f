/* Any bytes as a picture: either one clear failure, or pixels that are all there. */
#include <nacre/image.h>

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static nacre_context *context;
    if (!context) context = nacre_context_create(&(nacre_context_options){.threads = 1});
    nacre_image image = {0};
    for (int channels = 0; channels <= 3; channels += channels + 1) {
        nacre_status status = nacre_image_decode(context, "fuzz", data, size, channels, &image);
        if (status != nacre_check(context)) abort();
        if (status == NACRE_OK) {
            if (channels && image.channels != channels) abort();
            unsigned sum = 0;
            for (size_t i = 0; i < (size_t)image.channels * (size_t)image.height * (size_t)image.width; i++)
                sum += image.pixels[i];
            if (sum == 1 && !image.pixels) abort();
        }
        nacre_clear(context);
    }
    nacre_image_release(context, &image);
    return 0;
}

/* Any text as a list of transforms: either one clear failure, or a list that prints as what parses to the same. */
#include <nacre/data.h>

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static nacre_context *context;
    if (!context) context = nacre_context_create(&(nacre_context_options){.threads = 1});
    nacre_buffer text = nacre_buffer_create(context), first = text, second = text;
    nacre_buffer_put(&text, data, size);
    nacre_transforms *list = nacre_transforms_parse(context, text.data);
    if ((list == NULL) != (nacre_check(context) != NACRE_OK)) abort();
    if (list) {
        nacre_buffer_put(&first, "", 0);
        nacre_buffer_put(&second, "", 0);
        nacre_transforms_print(list, &first);
        nacre_transforms *again = nacre_transforms_parse(context, first.data);
        if (!again || nacre_transforms_count(again) != nacre_transforms_count(list)) abort();
        nacre_transforms_print(again, &second);
        if (strcmp(first.data, second.data)) abort();
        nacre_transforms_destroy(again);
    }
    nacre_transforms_destroy(list);
    nacre_buffer_destroy(&text);
    nacre_buffer_destroy(&first);
    nacre_buffer_destroy(&second);
    nacre_clear(context);
    return 0;
}

/* Any bytes: either one clear failure, or a text that prints itself and reads back as the same, and that builds or
 * says why not. */
#include <nacre/text.h>

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Memory is short, so that huge layers fail instead of being made. */
static void *resize(void *user, void *pointer, size_t size)
{
    (void)user;
    if (size == 0) {
        free(pointer);
        return NULL;
    }
    return size > 1 << 20 ? NULL : realloc(pointer, size);
}

static char *print(nacre_context *context, const nacre_text *text)
{
    nacre_buffer buffer = nacre_buffer_create(context);
    if (nacre_text_print(text, NULL, &buffer) != NACRE_OK) abort();
    return nacre_buffer_take(&buffer, NULL);
}

static void check_print(nacre_context *context, const nacre_text *text)
{
    char *first = print(context, text);
    nacre_text *again = nacre_text_parse(context, first, strlen(first), "fuzz");
    if (!again) abort();
    char *second = print(context, again);
    if (strcmp(first, second) != 0) abort();
    nacre_release(context, first);
    nacre_release(context, second);
    nacre_text_destroy(again);
}

static void check_build(nacre_context *context, const nacre_text *text)
{
    nacre_graph *graph = nacre_graph_create(context);
    nacre_model *model = nacre_model_create(context);
    nacre_tensor *result = nacre_text_build(text, nacre_root(graph, model, true), NULL);
    if ((result == NULL) != (nacre_check(context) != NACRE_OK)) abort();
    nacre_model_destroy(model);
    nacre_graph_destroy(graph);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static nacre_context *context;
    if (!context) context = nacre_context_create(&(nacre_context_options){.allocator = {NULL, resize}, .threads = 1});
    if (size > 1 << 14) return 0;
    nacre_text *text = nacre_text_parse(context, (const char *)data, size, "fuzz");
    if ((text == NULL) != (nacre_check(context) != NACRE_OK)) abort();
    if (text) check_print(context, text);
    if (text) check_build(context, text);
    nacre_text_destroy(text);
    nacre_clear(context);
    return 0;
}

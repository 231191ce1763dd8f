/* Any bytes: either one clear failure, or a recipe that prints itself and reads back as the same. */
#include <nacre/recipe.h>

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static char *print(nacre_context *context, const nacre_recipe *recipe)
{
    nacre_buffer text = nacre_buffer_create(context);
    nacre_recipe_print(recipe, true, &text);
    return nacre_buffer_take(&text, NULL);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static nacre_context *context;
    if (!context) context = nacre_context_create(&(nacre_context_options){.threads = 1});
    nacre_recipe *recipe = nacre_recipe_parse(context, (const char *)data, size, "fuzz/fuzz.yaml", NULL);
    if ((recipe == NULL) != (nacre_check(context) != NACRE_OK)) abort();
    if (recipe) {
        char *first = print(context, recipe);
        nacre_recipe *again = nacre_recipe_parse(context, first, strlen(first), "fuzz/fuzz.yaml", NULL);
        if (!again) abort();
        char *second = print(context, again);
        if (strcmp(first, second) != 0) abort();
        nacre_release(context, first);
        nacre_release(context, second);
        nacre_recipe_destroy(again);
    }
    nacre_recipe_destroy(recipe);
    nacre_clear(context);
    return 0;
}

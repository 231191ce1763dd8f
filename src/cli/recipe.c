/* cli/recipe.c - recipes named on the command line. */
#include "recipe.h"

#include <nacre/io.h>

#include <string.h>

enum { MAX_SETTINGS = 64, MAX_MORE = 8 };

/* What a recipe is read from: a file, or a text under a name. */
typedef struct origin {
    const char *path, *text;
} origin;

static nacre_recipe *read(nc_call *call, const origin *from, const char *const *settings)
{
    if (!from->text) return nacre_recipe_load(call->context, from->path, settings);
    return nacre_recipe_parse(call->context, from->text, strlen(from->text), from->path, settings);
}

static nacre_recipe *load(nc_call *call, const origin *from, const char *const *settings)
{
    nacre_recipe *recipe = read(call, from, settings);
    if (!recipe) return NULL;
    bool reference = !strcmp(recipe->training.device, "reference");
    int64_t threads = recipe->training.threads;
    if (!reference && threads == 0) return recipe;
    nacre_recipe_destroy(recipe);
    if (nc_renew_context(call, reference ? "reference" : "cpu", threads) != NC_EXIT_DONE) return NULL;
    return read(call, from, settings);
}

static nacre_recipe *open_from(nc_call *call, const origin *from, const char *const *more, int *code)
{
    const char *settings[MAX_SETTINGS + MAX_MORE + 2] = {0}, *setting;
    char seed[64];
    int count = 0, position = 0;
    *code = NC_EXIT_FAILED;
    while ((setting = nc_next(call, "set", &position))) {
        if (count == MAX_SETTINGS) {
            *code = (int)nc_usage_error(call, "more than %d --set", MAX_SETTINGS);
            return NULL;
        }
        settings[count++] = setting;
    }
    if (nc_is_given(call, "seed")) {
        snprintf(seed, sizeof seed, "training.seed=%lld", (long long)nc_integer(call, "seed"));
        settings[count++] = seed;
    }
    for (int i = 0; more && more[i] && i < MAX_MORE; i++) settings[count++] = more[i];
    return load(call, from, settings);
}

nacre_recipe *nc_open_recipe(nc_call *call, const char *path, const char *const *more, int *code)
{
    return open_from(call, &(origin){.path = path}, more, code);
}

nacre_recipe *nc_parse_recipe(nc_call *call, const char *text, const char *name, int *code)
{
    return open_from(call, &(origin){.path = name, .text = text}, NULL, code);
}

int nc_settle_recipe(nc_call *call, nacre_recipe *recipe, const nacre_settle_options *options)
{
    nacre_buffer words = nacre_buffer_create(call->context);
    nacre_settle_options chosen = *options;
    if (!chosen.words) chosen.words = &words;
    const nacre_status status = nacre_recipe_settle(call->context, recipe, nc_data_folder(call), &chosen);
    if (status == NACRE_OK && chosen.words->size > 0 && !nc_flag(call, "quiet")) fputs(chosen.words->data, stderr);
    nacre_buffer_destroy(&words);
    return status ? NC_EXIT_FAILED : NC_EXIT_DONE;
}

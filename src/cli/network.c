/* cli/network.c - models named on the command line: saved files, model texts, recipes, zoo names. */
#include "network.h"

#include <nacre/zoo.h>

#include <stdlib.h>
#include <string.h>

static bool ends_with(const char *text, const char *ending)
{
    size_t length = strlen(text), tail = strlen(ending);
    return length >= tail && !strcmp(text + length - tail, ending);
}

static void open_saved(nc_call *call, const char *name, nc_named_model *named)
{
    named->network = nacre_network_load(call->context, name);
    if (!named->network) return;
    named->model = nacre_network_model(named->network);
    named->build = nacre_network_build;
    named->user = named->network;
    named->input = nacre_network_input(named->network)->shape;
    named->has_input = true;
    named->classes = nacre_network_class_count(named->network) > 0;
}

static void open_recipe(nc_call *call, const char *name, nc_named_model *named)
{
    named->recipe = nacre_recipe_load(call->context, name, NULL);
    if (!named->recipe ||
        nacre_experiment_open(call->context, named->recipe, nc_data_folder(call), NULL, &named->experiment) != NACRE_OK)
        return;
    named->model = nacre_network_model(named->experiment.network);
    named->build = nacre_network_build;
    named->user = named->experiment.network;
    named->input = nacre_network_input(named->experiment.network)->shape;
    named->has_input = true;
    named->classes = nacre_network_class_count(named->experiment.network) > 0;
}

/* A text names its own inputs, unless --input does. */
static nacre_tensor *build_text(void *user, nacre_scope scope, nacre_tensor *const *inputs, int input_count)
{
    nc_named_model *named = user;
    nacre_text_options options = {.batch = named->batch,
                                  .length = named->length,
                                  .parameters = named->parameters,
                                  .inputs = inputs,
                                  .input_count = input_count};
    return nacre_text_build(named->text, scope, &options);
}

/* --input "1x28x28": the shape of one sample. */
static nacre_status read_input(nc_call *call, nc_named_model *named)
{
    const char *text = nc_text(call, "input");
    named->has_input = text != NULL;
    for (const char *at = text; at;) {
        char *end;
        long long size = strtoll(at, &end, 10);
        if (end == at || size < 1 || (*end && *end != 'x') || named->input.rank == NACRE_MAX_RANK - 1)
            return nacre_fail(call->context, NACRE_ERROR_ARGUMENT, "--input %s: expected sizes like 1x28x28", text);
        named->input.dims[named->input.rank++] = size;
        at = *end ? end + 1 : NULL;
    }
    return NACRE_OK;
}

/* --parameter depth=56 --parameter tanh=true ... */
static nacre_status read_parameters(nc_call *call, nc_named_model *named)
{
    int count = 0, position = 0;
    while (nc_next(call, "parameter", &position)) count++;
    named->parameters = nacre_pool_allocate(&named->pool, sizeof *named->parameters * (size_t)(count + 1));
    position = 0;
    for (nacre_setting *setting = named->parameters; setting && count > 0; setting++, count--) {
        const char *text = nc_next(call, "parameter", &position), *equals = strchr(text, '=');
        if (!equals || equals == text)
            return nacre_fail(call->context, NACRE_ERROR_ARGUMENT, "--parameter %s: expected NAME=VALUE", text);
        setting->name = nacre_pool_copy(&named->pool, text, (size_t)(equals - text));
        setting->text = nacre_pool_copy(&named->pool, equals + 1, strlen(equals + 1));
        setting->is_number = setting->text && nacre_parse_number(setting->text, &setting->number);
    }
    return nacre_check(call->context);
}

static void open_text(nc_call *call, const char *name, nc_named_model *named)
{
    const char *source = nacre_zoo_text(name);
    named->text =
        source ? nacre_text_parse(call->context, source, strlen(source), name) : nacre_text_load(call->context, name);
    named->model = nacre_model_create(call->context);
    named->build = build_text;
    named->user = named;
    named->classes = true;
    named->length = nc_integer(call, "length");
    if (read_input(call, named) == NACRE_OK) read_parameters(call, named);
}

static const char *text_option(const nc_call *call)
{
    static const char *const names[] = {"input", "length", "parameter"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (nc_is_given(call, names[i])) return names[i];
    return NULL;
}

nacre_status nc_named_model_open(nc_call *call, const char *name, int64_t batch, nc_named_model *named)
{
    *named = (nc_named_model){.context = call->context, .batch = batch, .pool = {.context = call->context}};
    bool is_text = ends_with(name, ".nacre") || nacre_zoo_text(name);
    if (!is_text && text_option(call))
        nacre_fail(call->context, NACRE_ERROR_ARGUMENT, "%s: --%s is for model texts and names of the zoo", name,
                   text_option(call));
    else if (ends_with(name, ".safetensors"))
        open_saved(call, name, named);
    else if (ends_with(name, ".yaml") || ends_with(name, ".yml"))
        open_recipe(call, name, named);
    else if (is_text)
        open_text(call, name, named);
    else
        nacre_fail(call->context, NACRE_ERROR_NOT_FOUND,
                   "%s: is neither a saved model (.safetensors), a recipe (.yaml), a model text (.nacre) nor a name of "
                   "the zoo",
                   name);
    return nacre_check(call->context);
}

nacre_tensor *nc_named_model_build(nc_named_model *named, nacre_graph *graph, bool training)
{
    nacre_scope scope = nacre_root(graph, named->model, training);
    if (!named->has_input) return named->build(named->user, scope, NULL, 0);
    nacre_shape shape = {.rank = named->input.rank + 1, .dims = {named->batch}};
    for (int i = 0; i < named->input.rank; i++) shape.dims[i + 1] = named->input.dims[i];
    nacre_tensor *input = nacre_input(graph, "input", NACRE_F32, shape);
    return named->build(named->user, scope, &input, 1);
}

void nc_named_model_close(nc_named_model *named)
{
    if (named->text) nacre_model_destroy(named->model);
    nacre_text_destroy(named->text);
    nacre_network_destroy(named->network);
    if (named->experiment.network) nacre_experiment_close(&named->experiment);
    nacre_recipe_destroy(named->recipe);
    nacre_pool_destroy(&named->pool);
}

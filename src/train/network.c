/* train/network.c - model text, weights, preprocessing and labels as one thing. */
#include "train/network.h"

#include <cjson/cJSON.h>
#include <stdio.h>
#include <string.h>

/* ---- metadata ---- */

nacre_status nc_network_describe(nacre_network *network, const char *key, const char *text)
{
    char *copy = text ? nacre_pool_copy(&network->pool, text, strlen(text)) : NULL;
    if (!copy) return nacre_check(network->context);
    int i = 0;
    while (i < network->metadata_count && strcmp(network->metadata[i].key, key)) i++;
    if (i == NC_MAX_METADATA)
        return nacre_fail(network->context, NACRE_ERROR_STATE, "a saved model has at most %d texts", NC_MAX_METADATA);
    if (i == network->metadata_count) network->metadata[network->metadata_count++].key = key;
    network->metadata[i].text = copy;
    return NACRE_OK;
}

const char *nacre_network_metadata(const nacre_network *network, const char *key)
{
    for (int i = 0; network && i < network->metadata_count; i++)
        if (!strcmp(network->metadata[i].key, key)) return network->metadata[i].text;
    return NULL;
}

static void describe_buffer(nacre_network *network, const char *key, nacre_buffer *buffer)
{
    if (!buffer->failed) nc_network_describe(network, key, buffer->size ? buffer->data : "");
    nacre_buffer_destroy(buffer);
}

static void describe_model(nacre_network *network)
{
    nacre_buffer text = nacre_buffer_create(network->context);
    nacre_text_print(network->text, network->parameters, &text);
    describe_buffer(network, "nacre.model", &text);
}

static void describe_transforms(nacre_network *network)
{
    nacre_buffer text = nacre_buffer_create(network->context);
    nacre_transforms_print(network->transforms, &text);
    describe_buffer(network, "nacre.transforms", &text);
}

static void describe_classes(nacre_network *network)
{
    nacre_buffer text = nacre_buffer_create(network->context);
    nacre_buffer_print(&text, "[");
    for (int i = 0; i < network->class_count; i++) {
        if (i) nacre_buffer_print(&text, ", ");
        nacre_buffer_quote(&text, network->classes[i]);
    }
    nacre_buffer_print(&text, "]");
    describe_buffer(network, "nacre.classes", &text);
}

static void describe_input(nacre_network *network)
{
    nacre_buffer text = nacre_buffer_create(network->context);
    nacre_buffer_print(&text, "{\"name\": ");
    nacre_buffer_quote(&text, network->input.name);
    nacre_buffer_print(&text, ", \"role\": \"%s\", \"dtype\": \"%s\", \"shape\": [",
                       network->input.role == NACRE_ROLE_IMAGE ? "image" : "features",
                       nacre_dtype_name(network->input.dtype));
    for (int i = 0; i < network->input.shape.rank; i++)
        nacre_buffer_print(&text, i ? ", %lld" : "%lld", (long long)network->input.shape.dims[i]);
    nacre_buffer_print(&text, "]}");
    describe_buffer(network, "nacre.input", &text);
}

static void describe_recipe(nacre_network *network, const nacre_recipe *recipe)
{
    nacre_buffer text = nacre_buffer_create(network->context);
    nacre_recipe_print(recipe, false, &text);
    describe_buffer(network, "nacre.recipe", &text);
}

/* ---- creation ---- */

static nacre_network *allocate(nacre_context *context)
{
    nacre_network *network = nacre_allocate(context, sizeof *network);
    if (!network) return NULL;
    network->context = context;
    network->pool = (nacre_pool){.context = context};
    network->model = nacre_model_create(context);
    return network;
}

void nacre_network_destroy(nacre_network *network)
{
    if (!network) return;
    nacre_context *context = network->context;
    nacre_model_destroy(network->model);
    nacre_text_destroy(network->text);
    nacre_transforms_destroy(network->transforms);
    nacre_pool_destroy(&network->pool);
    nacre_release(context, network);
}

static bool reserve_classes(nacre_network *network, int count)
{
    network->class_count = count;
    network->classes = nacre_pool_allocate(&network->pool, sizeof *network->classes * (size_t)(count + 1));
    return network->classes != NULL;
}

static bool take_classes(nacre_network *network, const nacre_dataset *sample)
{
    if (!reserve_classes(network, nacre_dataset_classes(sample))) return false;
    for (int i = 0; i < network->class_count; i++) {
        const char *name = nacre_dataset_class_name(sample, i);
        if (!(network->classes[i] = nacre_pool_copy(&network->pool, name, strlen(name)))) return false;
    }
    return true;
}

/* The first image or features of the data, as the transforms leave them. */
static bool take_input(nacre_network *network, const nacre_dataset *sample)
{
    const nacre_field *field;
    for (int i = 0; (field = nacre_dataset_field(sample, i)); i++) {
        if (field->role != NACRE_ROLE_IMAGE && field->role != NACRE_ROLE_FEATURES) continue;
        if (nacre_transforms_field(network->transforms, sample, field, &network->input)) return false;
        network->input.name = nacre_pool_copy(&network->pool, field->name, strlen(field->name));
        return network->input.name != NULL;
    }
    nacre_fail(network->context, NACRE_ERROR_ARGUMENT, "\"%s\" has neither images nor features to feed a model with",
               nacre_dataset_name(sample));
    return false;
}

nacre_network *nc_network_create(nacre_context *context, nacre_text *text, const nacre_setting *parameters,
                                 nacre_transforms *transforms, nacre_dataset *sample, const nacre_recipe *recipe)
{
    nacre_network *network = allocate(context);
    if (!network) {
        nacre_text_destroy(text);
        nacre_transforms_destroy(transforms);
        return NULL;
    }
    network->text = text;
    network->transforms = transforms;
    network->parameters = parameters;
    if (text && transforms && take_classes(network, sample) && take_input(network, sample)) {
        describe_model(network);
        describe_transforms(network);
        describe_classes(network);
        describe_input(network);
        describe_recipe(network, recipe);
    }
    if (nacre_check(context) == NACRE_OK) return network;
    nacre_network_destroy(network);
    return NULL;
}

/* ---- loading ---- */

static bool read_classes(nacre_network *network, const char *path)
{
    cJSON *array = cJSON_Parse(nacre_network_metadata(network, "nacre.classes"));
    bool complete = cJSON_IsArray(array) && reserve_classes(network, cJSON_GetArraySize(array));
    for (int i = 0; complete && i < network->class_count; i++) {
        const char *name = cJSON_GetStringValue(cJSON_GetArrayItem(array, i));
        network->classes[i] = name ? nacre_pool_copy(&network->pool, name, strlen(name)) : NULL;
        complete = network->classes[i] != NULL;
    }
    if (!complete && nacre_check(network->context) == NACRE_OK)
        nacre_fail(network->context, NACRE_ERROR_FORMAT, "%s: nacre.classes is not a JSON array of names", path);
    cJSON_Delete(array);
    return complete;
}

static const char *text_of(const cJSON *object, const char *key)
{
    const char *text = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(object, key));
    return text ? text : "";
}

static bool read_input(nacre_network *network, const char *path)
{
    cJSON *object = cJSON_Parse(nacre_network_metadata(network, "nacre.input"));
    const cJSON *shape = cJSON_GetObjectItemCaseSensitive(object, "shape");
    int rank = cJSON_GetArraySize(shape), dtype = nacre_dtype_from_name(text_of(object, "dtype"));
    nacre_field *input = &network->input;
    bool image = !strcmp(text_of(object, "role"), "image");
    bool complete = cJSON_IsArray(shape) && rank < NACRE_MAX_RANK && dtype >= 0;
    input->role = image ? NACRE_ROLE_IMAGE : NACRE_ROLE_FEATURES;
    input->dtype = complete ? (nacre_dtype)dtype : NACRE_F32;
    for (int i = 0; complete && i < rank; i++) {
        const cJSON *size = cJSON_GetArrayItem(shape, i);
        complete = cJSON_IsNumber(size) && size->valuedouble >= 1 && size->valuedouble <= 1 << 24;
        if (complete) input->shape.dims[i] = (int64_t)size->valuedouble;
    }
    input->shape.rank = rank;
    const char *name = text_of(object, "name");
    input->name = nacre_pool_copy(&network->pool, name, strlen(name));
    if (!complete) nacre_fail(network->context, NACRE_ERROR_FORMAT, "%s: nacre.input does not describe an input", path);
    cJSON_Delete(object);
    return complete && input->name;
}

static bool read_metadata(nacre_network *network, const nacre_safetensors *file, const char *path)
{
    static const char *const keys[] = {"nacre.model", "nacre.transforms", "nacre.classes",
                                       "nacre.input", "nacre.recipe",     "nacre.figures"};
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++) {
        const char *text = nacre_safetensors_metadata(file, keys[i]);
        if (text && nc_network_describe(network, keys[i], text)) return false;
    }
    const char *model = nacre_network_metadata(network, "nacre.model");
    const char *transforms = nacre_network_metadata(network, "nacre.transforms");
    if (!model) {
        nacre_fail(network->context, NACRE_ERROR_FORMAT,
                   "%s: has weights but no model text (metadata nacre.model); it was not saved by nacre train", path);
        return false;
    }
    network->text = nacre_text_parse(network->context, model, strlen(model), path);
    network->transforms = nacre_transforms_parse(network->context, transforms ? transforms : "");
    return network->text && network->transforms && read_classes(network, path) && read_input(network, path);
}

nacre_network *nacre_network_load(nacre_context *context, const char *path)
{
    nacre_safetensors *file = nacre_safetensors_open(context, path);
    nacre_network *network = file ? allocate(context) : NULL;
    bool complete = network && network->model && nacre_model_load(network->model, file) == NACRE_OK &&
                    read_metadata(network, file, path);
    nacre_safetensors_close(file);
    if (complete) return network;
    nacre_network_destroy(network);
    return NULL;
}

/* ---- use ---- */

nacre_model *nacre_network_model(const nacre_network *network)
{
    return network ? network->model : NULL;
}

const nacre_transforms *nacre_network_transforms(const nacre_network *network)
{
    return network ? network->transforms : NULL;
}

const char *nacre_network_text(const nacre_network *network)
{
    return nacre_network_metadata(network, "nacre.model");
}

int nacre_network_class_count(const nacre_network *network)
{
    return network ? network->class_count : 0;
}

const char *nacre_network_class(const nacre_network *network, int index)
{
    return network && index >= 0 && index < network->class_count ? network->classes[index] : NULL;
}

const nacre_field *nacre_network_input(const nacre_network *network)
{
    return network ? &network->input : NULL;
}

nacre_tensor *nacre_network_build(void *user, nacre_scope scope, nacre_tensor *const *inputs, int input_count)
{
    nacre_network *network = user;
    return nacre_text_build(
        network->text, scope,
        &(nacre_text_options){.parameters = network->parameters, .inputs = inputs, .input_count = input_count});
}

static nacre_status check_input(const nacre_network *network, const nacre_field *field)
{
    char got[NACRE_SHAPE_TEXT_SIZE], want[NACRE_SHAPE_TEXT_SIZE];
    if (nacre_shape_equal(field->shape, network->input.shape)) return NACRE_OK;
    return nacre_fail(network->context, NACRE_ERROR_SHAPE,
                      "the model takes \"%s\" of shape %s, the data gives \"%s\" of shape %s", network->input.name,
                      nacre_shape_text(network->input.shape, want), field->name, nacre_shape_text(field->shape, got));
}

/* Labels are numbers; they must mean the same classes. Data may lack the last ones. */
static nacre_status check_classes(const nacre_network *network, const nacre_dataset *dataset)
{
    int count = network->class_count ? nacre_dataset_classes(dataset) : 0;
    for (int i = 0; i < count; i++) {
        const char *name = nacre_dataset_class_name(dataset, i), *known = nacre_network_class(network, i);
        if (!known)
            return nacre_fail(network->context, NACRE_ERROR_ARGUMENT, "the data has %d classes, the model %d", count,
                              network->class_count);
        if (strcmp(name, known) != 0)
            return nacre_fail(network->context, NACRE_ERROR_ARGUMENT,
                              "class %d is \"%s\" in the data and \"%s\" in the model; data.classes sets their order",
                              i, name, known);
    }
    return NACRE_OK;
}

nacre_status nacre_network_check_data(const nacre_network *network, const nacre_dataset *dataset)
{
    const nacre_field *field;
    nacre_field input;
    if (!network || !dataset) return NACRE_ERROR_ARGUMENT;
    for (int i = 0; (field = nacre_dataset_field(dataset, i)); i++) {
        if (field->role != NACRE_ROLE_IMAGE && field->role != NACRE_ROLE_FEATURES) continue;
        nacre_status status = nacre_transforms_field(network->transforms, dataset, field, &input);
        if (status == NACRE_OK) status = check_input(network, &input);
        return status ? status : check_classes(network, dataset);
    }
    return nacre_fail(network->context, NACRE_ERROR_ARGUMENT, "\"%s\" has neither images nor features",
                      nacre_dataset_name(dataset));
}

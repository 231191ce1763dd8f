/* cli/summary.c */
#include "layers.h"
#include "network.h"

/* Parameters of one element type. */
static int64_t count_of_type(const nacre_model *model, nacre_dtype dtype)
{
    int64_t count = 0;
    nacre_entry entry;
    for (int slot = 0; nacre_model_entry(model, slot, &entry); slot++)
        if (entry.role == NACRE_ENTRY_PARAMETER && entry.dtype == dtype) count += nacre_shape_count(entry.shape);
    return count;
}

static cJSON *types_json(const nacre_model *model)
{
    cJSON *types = cJSON_CreateObject();
    for (int i = 0; i < NACRE_DTYPE_COUNT; i++) {
        const int64_t count = count_of_type(model, (nacre_dtype)i);
        if (count > 0) cJSON_AddNumberToObject(types, nacre_dtype_name((nacre_dtype)i), (double)count);
    }
    return types;
}

/* "parameters are f32", or how many are of each type. */
static void print_types(const nacre_model *model, int64_t parameters)
{
    char number[NACRE_NUMBER_SIZE];
    const char *before = "parameters are ";
    for (int i = 0; i < NACRE_DTYPE_COUNT; i++) {
        const int64_t count = count_of_type(model, (nacre_dtype)i);
        if (count == 0) continue;
        printf("%s%s%s%s", before, count < parameters ? nacre_text_count(number, count) : "",
               count < parameters ? " " : "", nacre_dtype_name((nacre_dtype)i));
        before = ", ";
    }
    if (parameters > 0) printf("\n");
}

static cJSON *to_json(const nc_layer_row *layers, int count, const nacre_model *model, int64_t parameters)
{
    cJSON *object = cJSON_CreateObject();
    cJSON_AddItemToObject(object, "layers", nc_layers_json(layers, count));
    cJSON_AddItemToObject(object, "types", types_json(model));
    cJSON_AddNumberToObject(object, "parameters", (double)parameters);
    return object;
}

static int run(nc_call *call)
{
    nc_named_model named;
    int64_t batch = nc_integer(call, "batch-size");
    if (batch < 1) return nc_usage_error(call, "--batch-size must be at least 1");
    nacre_graph *graph = nacre_graph_create(call->context);
    nc_layer_row *layers = NULL;
    int count;
    int code = NC_EXIT_FAILED;
    if (nc_named_model_open(call, call->arguments[0], batch, &named) == NACRE_OK &&
        nc_named_model_build(&named, graph, false) &&
        (layers = nc_layer_rows(call->context, graph, named.model, &count))) {
        int64_t parameters = nacre_model_elements(named.model, NACRE_ENTRY_PARAMETER);
        code = NC_EXIT_DONE;
        if (nc_flag(call, "json"))
            code = nc_print_json(call, to_json(layers, count, named.model, parameters));
        else {
            nc_print_layers(layers, count, parameters);
            print_types(named.model, parameters);
            if (nc_flag(call, "text") && named.network) printf("\n%s", nacre_network_text(named.network));
        }
    }
    nacre_release(call->context, layers);
    nacre_graph_destroy(graph);
    nc_named_model_close(&named);
    return code;
}

static const nc_option OPTIONS[] = {
    NC_MODEL_OPTIONS,
    {"batch-size", 'b', NC_INTEGER, "N", NULL, "1", false, "How many samples the shapes shown are for."},
    {"text", 't', NC_FLAG, NULL, NULL, NULL, false, "Print the model text of a saved model too."},
    {0},
};

static const nc_example EXAMPLES[] = {
    {"nacre summary lenet", "An architecture of the zoo."},
    {"nacre summary resnet_cifar --parameter depth=56 --batch-size 128", "One of its sizes."},
    {"nacre summary model.safetensors --text", "A saved model, with its text."},
    {0},
};

const nc_command nc_command_summary = {
    .name = "summary",
    .summary = "show a model's layers, shapes and parameters",
    .description =
        "Prints each layer of a model with its output's shape and how many parameters it has, and the element "
        "types of the parameters.",
    .with = NC_WITH_DATA | NC_WITH_JSON,
    .options = OPTIONS,
    .arguments = {{"MODEL", false, false, NC_FILE, NULL,
                   "A saved model (.safetensors), a recipe (.yaml), a model text (.nacre) or a name of the zoo."}},
    .examples = EXAMPLES,
    .run = run,
};

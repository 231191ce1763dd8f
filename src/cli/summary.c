/* cli/summary.c */
#include "network.h"

#include <nacre/backend.h>
#include <nacre/report.h>

#include <string.h>

/* Nodes with the same path are one layer: its last output, and the entries under its path. */
typedef struct row {
    const char *path, *op;
    nacre_shape output;
    int64_t parameters;
} row;

static int64_t parameters_under(const nacre_model *model, const char *path)
{
    nacre_entry entry;
    int64_t count = 0;
    size_t length = strlen(path);
    for (int slot = 0; nacre_model_entry(model, slot, &entry); slot++)
        if (entry.role == NACRE_ENTRY_PARAMETER && !strncmp(entry.path, path, length) && entry.path[length] == '.' &&
            !strchr(entry.path + length + 1, '.'))
            count += nacre_shape_count(entry.shape);
    return count;
}

static int collect(const nacre_graph *graph, const nacre_model *model, row *layers)
{
    nacre_node_view node;
    int count = 0;
    for (int i = 0; nacre_graph_node(graph, i, &node); i++) {
        if (node.op->flags & NACRE_OP_LEAF || !*node.path || node.op->flags & NACRE_OP_STATEFUL) continue;
        row *last = count > 0 ? &layers[count - 1] : NULL;
        if (!last || strcmp(last->path, node.path)) {
            last = &layers[count++];
            *last = (row){.path = node.path, .parameters = parameters_under(model, node.path)};
        }
        last->op = node.op->name;
        last->output = nacre_tensor_shape(nacre_graph_node_output(graph, i, 0));
    }
    return count;
}

static void print_table(const row *layers, int count, int64_t parameters)
{
    char shape[NACRE_SHAPE_TEXT_SIZE], number[NACRE_NUMBER_SIZE];
    int path = 5, op = 9, output = 6;
    for (int i = 0; i < count; i++) {
        int widths[3] = {(int)strlen(layers[i].path), (int)strlen(layers[i].op),
                         (int)strlen(nacre_shape_text(layers[i].output, shape))};
        if (widths[0] > path) path = widths[0];
        if (widths[1] > op) op = widths[1];
        if (widths[2] > output) output = widths[2];
    }
    printf("%-*s  %-*s  %-*s  %12s\n", path, "layer", op, "operation", output, "output", "parameters");
    for (int i = 0; i < count; i++)
        printf("%-*s  %-*s  %-*s  %12s\n", path, layers[i].path, op, layers[i].op, output,
               nacre_shape_text(layers[i].output, shape),
               layers[i].parameters ? nacre_text_count(number, layers[i].parameters) : "");
    printf("%-*s  %-*s  %-*s  %12s\n", path, "total", op, "", output, "", nacre_text_count(number, parameters));
}

static cJSON *to_json(const row *layers, int count, int64_t parameters)
{
    cJSON *object = cJSON_CreateObject(), *array = cJSON_AddArrayToObject(object, "layers");
    for (int i = 0; i < count; i++) {
        cJSON *entry = cJSON_CreateObject(), *shape = cJSON_AddArrayToObject(entry, "output");
        cJSON_AddStringToObject(entry, "path", layers[i].path);
        cJSON_AddStringToObject(entry, "operation", layers[i].op);
        for (int k = 0; k < layers[i].output.rank; k++)
            cJSON_AddItemToArray(shape, cJSON_CreateNumber((double)layers[i].output.dims[k]));
        cJSON_AddNumberToObject(entry, "parameters", (double)layers[i].parameters);
        cJSON_AddItemToArray(array, entry);
    }
    cJSON_AddNumberToObject(object, "parameters", (double)parameters);
    return object;
}

static int run(nc_call *call)
{
    nc_named_model named;
    int64_t batch = nc_integer(call, "batch-size");
    if (batch < 1) return nc_usage_error(call, "--batch-size must be at least 1");
    nacre_graph *graph = nacre_graph_create(call->context);
    row *layers = NULL;
    int code = NC_EXIT_FAILED;
    if (nc_named_model_open(call, call->arguments[0], batch, &named) == NACRE_OK &&
        nc_named_model_build(&named, graph, false) &&
        (layers = nacre_allocate(call->context, sizeof *layers * (size_t)(nacre_graph_node_count(graph) + 1)))) {
        int count = collect(graph, named.model, layers);
        int64_t parameters = nacre_model_elements(named.model, NACRE_ENTRY_PARAMETER);
        code = NC_EXIT_DONE;
        if (nc_flag(call, "json"))
            code = nc_print_json(call, to_json(layers, count, parameters));
        else
            print_table(layers, count, parameters);
        if (!nc_flag(call, "json") && nc_flag(call, "text") && named.network)
            printf("\n%s", nacre_network_text(named.network));
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
    .description = "Prints each layer of a model with its output's shape and how many parameters it has.",
    .with = NC_WITH_DATA | NC_WITH_JSON,
    .options = OPTIONS,
    .arguments = {{"MODEL", false, false, NC_FILE, NULL,
                   "A saved model (.safetensors), a recipe (.yaml), a model text (.nacre) or a name of the zoo."}},
    .examples = EXAMPLES,
    .run = run,
};

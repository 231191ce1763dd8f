/* cli/layers.c - a graph as the table of its layers. */
#include "layers.h"

#include <nacre/backend.h>
#include <nacre/report.h>

#include <string.h>

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

nc_layer_row *nc_layer_rows(nacre_context *context, const nacre_graph *graph, const nacre_model *model, int *count)
{
    nacre_node_view node;
    nc_layer_row *rows = nacre_allocate(context, sizeof *rows * (size_t)(nacre_graph_node_count(graph) + 1));
    *count = 0;
    for (int i = 0; rows && nacre_graph_node(graph, i, &node); i++) {
        if (node.op->flags & NACRE_OP_LEAF || !*node.path || node.op->flags & NACRE_OP_STATEFUL) continue;
        nc_layer_row *last = *count > 0 ? &rows[*count - 1] : NULL;
        if (!last || strcmp(last->path, node.path)) {
            last = &rows[(*count)++];
            *last = (nc_layer_row){.path = node.path, .parameters = parameters_under(model, node.path)};
        }
        last->op = node.op->name;
        last->output = nacre_tensor_shape(nacre_graph_node_output(graph, i, 0));
    }
    return rows;
}

void nc_print_layers(const nc_layer_row *layers, int count, int64_t parameters)
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

cJSON *nc_layers_json(const nc_layer_row *layers, int count)
{
    cJSON *array = cJSON_CreateArray();
    for (int i = 0; i < count; i++) {
        cJSON *entry = cJSON_CreateObject(), *shape = cJSON_AddArrayToObject(entry, "output");
        cJSON_AddStringToObject(entry, "path", layers[i].path);
        cJSON_AddStringToObject(entry, "operation", layers[i].op);
        for (int k = 0; k < layers[i].output.rank; k++)
            cJSON_AddItemToArray(shape, cJSON_CreateNumber((double)layers[i].output.dims[k]));
        cJSON_AddNumberToObject(entry, "parameters", (double)layers[i].parameters);
        cJSON_AddItemToArray(array, entry);
    }
    return array;
}

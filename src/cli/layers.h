/* cli/layers.h - a graph as the table of its layers. */
#ifndef NACRE_CLI_LAYERS_H
#define NACRE_CLI_LAYERS_H

#include "cli.h"

/* Nodes with the same path are one layer: its last output, and the parameters directly under its path. */
typedef struct nc_layer_row {
    const char *path, *op;
    nacre_shape output;
    int64_t parameters;
} nc_layer_row;

/* The rows of a graph, freed with nacre_release; their texts belong to the graph. NULL when there is no memory. */
nc_layer_row *nc_layer_rows(nacre_context *context, const nacre_graph *graph, const nacre_model *model, int *count);
void nc_print_layers(const nc_layer_row *rows, int count, int64_t parameters);
cJSON *nc_layers_json(const nc_layer_row *rows, int count);

#endif

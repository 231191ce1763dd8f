/* cli/network.h - models named on the command line, for summary and plan. */
#ifndef NACRE_CLI_NETWORK_H
#define NACRE_CLI_NETWORK_H

#include "cli.h"

#include <nacre/text.h>

typedef struct nc_named_model {
    nacre_context *context;
    nacre_model *model;
    nacre_model_function *build;
    void *user;
    bool has_input; /* `input` is known; otherwise the model text says */
    nacre_shape input;
    bool classes;
    int64_t batch, length;
    nacre_pool pool;
    nacre_setting *parameters; /* of a model text, NULL: its defaults */
    /* one of them */
    nacre_network *network;
    nacre_text *text;
    nacre_recipe *recipe;
    nacre_experiment experiment;
} nc_named_model;

/* What model texts leave open: sizes of inputs ("mlp" takes any), parameters of the model. */
#define NC_MODEL_OPTIONS                                                                                               \
    {"input", 'i',  NC_TEXT, "SIZES",                                                                                  \
     NULL,    NULL, false,   "The shape of one sample, e.g. 1x28x28, for model texts that leave it open."},            \
        {"length", 'l', NC_INTEGER, "T", NULL, "1", false, "How long sequences are, for model texts that take any."},  \
    {                                                                                                                  \
        "parameter", 'p', NC_TEXT, "NAME=VALUE", NULL, NULL, true,                                                     \
            "Another value for a parameter of a model text, e.g. depth=56."                                            \
    }

/* A saved model (.safetensors), a recipe (.yaml), a model text (.nacre) or a name of the zoo. */
nacre_status nc_named_model_open(nc_call *call, const char *name, int64_t batch, nc_named_model *named);
/* Its outputs over a batch. */
nacre_tensor *nc_named_model_build(nc_named_model *named, nacre_graph *graph, bool training);
void nc_named_model_close(nc_named_model *named);

#endif

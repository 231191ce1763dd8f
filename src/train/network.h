/* train/network.h - what is inside a network. */
#ifndef NC_TRAIN_NETWORK_H
#define NC_TRAIN_NETWORK_H

#include <nacre/io.h>
#include <nacre/text.h>
#include <nacre/train.h>

enum { NC_MAX_METADATA = 16 };

struct nacre_network {
    nacre_context *context;
    nacre_pool pool; /* texts */
    nacre_model *model;
    nacre_text *text;
    const nacre_setting *parameters; /* of the text; borrowed from the recipe, NULL when loaded */
    nacre_transforms *transforms;
    const char **classes;
    int class_count;
    nacre_field input;
    nacre_text_pair metadata[NC_MAX_METADATA];
    int metadata_count;
};

/* `text` and `transforms` are taken over, also on failure. `sample` is the dataset whose classes and input the network
 * gets. */
nacre_network *nc_network_create(nacre_context *context, nacre_text *text, const nacre_setting *parameters,
                                 nacre_transforms *transforms, nacre_dataset *sample, const nacre_recipe *recipe);
/* Adds or replaces a text of the metadata. */
nacre_status nc_network_describe(nacre_network *network, const char *key, const char *text);

#endif

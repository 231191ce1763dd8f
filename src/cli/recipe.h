/* cli/recipe.h - recipes named on the command line, with what --set and --seed say. */
#ifndef NACRE_CLI_RECIPE_H
#define NACRE_CLI_RECIPE_H

#include "cli.h"

#include <nacre/train.h>

#define NC_SET_OPTION                                                                                                  \
    {                                                                                                                  \
        "set", 's', NC_TEXT, "KEY=VALUE", NULL, NULL, true,                                                            \
            "Give a key of the recipe another value, e.g. training.epochs=3; 'nacre help --recipe' explains the "      \
            "keys."                                                                                                    \
    }

/* NULL after a failure, or after a message about the usage, with *code. `more` are further settings, ended by NULL;
 * NULL: none. The recipe may say where to compute: then call->context is another one afterwards. */
nacre_recipe *nc_open_recipe(nc_call *call, const char *path, const char *const *more, int *code);
/* The same from a text; `name` stands for the path in messages and names the recipe. */
nacre_recipe *nc_parse_recipe(nc_call *call, const char *text, const char *name, int *code);

/* Finds what the recipe leaves to measuring (nacre_recipe_settle) and says on stderr what was found. */
int nc_settle_recipe(nc_call *call, nacre_recipe *recipe, const nacre_settle_options *options);

#endif

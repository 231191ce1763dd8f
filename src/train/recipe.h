/* train/recipe.h - the table of a recipe's keys. */
#ifndef NC_TRAIN_RECIPE_H
#define NC_TRAIN_RECIPE_H

#include "train/yaml.h"

#include <nacre/recipe.h>

/* What a key holds, and what its field in nacre_recipe is. */
typedef enum nc_key_type {
    NC_KEY_BOOL,
    NC_KEY_WHOLE,    /* int64_t in [low, high] */
    NC_KEY_NUMBER,   /* double in [low, high] */
    NC_KEY_POSITIVE, /* double in (0, high] */
    NC_KEY_PAIR,     /* double[2], each in [low, high] */
    NC_KEY_TEXT,
    NC_KEY_SOURCE,   /* a text that is a path if it has a / in it and the catalogue does not know it */
    NC_KEY_PATH,     /* a text that is a path */
    NC_KEY_CHOICE,   /* a text out of `choices` */
    NC_KEY_TEXTS,    /* const char *const *, ended by NULL */
    NC_KEY_STEPS,    /* a list of texts, joined by "; " */
    NC_KEY_SETTINGS, /* const nacre_setting *, ended by a NULL name */
    NC_KEY_WHOLES,   /* const int64_t *, each in [low, high], ended by -1 */
    NC_KEY_GROUPS    /* const nacre_parameter_group *, ended by a NULL pattern */
} nc_key_type;

typedef struct nc_recipe_key {
    const char *path;
    nc_key_type type;
    size_t offset; /* of the field in nacre_recipe */
    const char *fallback;
    double low, high;
    const char *choices; /* "sgd|adam|adamw" */
    bool automatic;      /* WHOLE, POSITIVE: may be auto, which is stored as low - 1 or 0 */
    const char *doc;
} nc_recipe_key;

extern const nc_recipe_key nc_recipe_keys[]; /* sections together, in the order of the documentation */
extern const int nc_recipe_key_count;

/* Where a key was given; origin.name is NULL for defaults. */
typedef struct nc_given {
    nc_origin origin;
    int line;
    const char *path; /* of SOURCE and PATH: as written */
} nc_given;

struct nacre_recipe_state {
    nacre_context *context;
    nacre_pool pool; /* everything else */
    nc_origin origin;
    const char *folder; /* "" for the current one */
    nc_given *given;    /* one per key */
};

/* Whether a key was given, in the file or after it. */
bool nc_recipe_is_given(const nacre_recipe *recipe, const char *path);
/* Whether a number of an automatic key stands for auto. */
bool nc_recipe_is_auto(const nacre_recipe *recipe, const nc_recipe_key *key);
/* Appends what a key expects: "a whole number of at least 1". */
void nc_recipe_print_expected(nacre_buffer *text, const nc_recipe_key *key);

#endif

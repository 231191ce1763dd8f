/* recipe.h - a recipe joins data, model and training in one YAML file.
 *
 *     data:
 *       source: fashion_mnist
 *       transforms:
 *         - random_crop(28, padding=2)
 *         - scale(1/255)
 *     model:
 *       zoo: lenet
 *     optimizer:
 *       name: adamw
 *       learning_rate: 0.002
 *     training:
 *       epochs: 12
 *
 *     nacre_recipe *recipe = nacre_recipe_load(ctx, "recipes/fashion-mnist.yaml", NULL);
 *     ... recipe->training.epochs ...
 *     nacre_recipe_destroy(recipe);
 *
 * One table of keys (nacre_recipe_key_at) makes the parser, its messages, `--set`, the printed form and the
 * documentation. Keys that do not exist, values of a wrong type or out of range, keys given twice: the message names
 * file and line, what was expected and what is there. YAML 1.1 as libyaml reads it, without anchors, aliases and tags;
 * one document of at most 1 MiB.
 */
#ifndef NACRE_RECIPE_H
#define NACRE_RECIPE_H

#include <nacre/base.h>
#include <nacre/io.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Parameters with settings of their own. Each belongs to the first group whose pattern fits its path. */
typedef struct nacre_parameter_group {
    const char *pattern; /* * stands for any characters, ? for one: "head.*", "*.bias" */
    double rate;         /* factor of the learning rate; 0: 1 */
    bool frozen;         /* these stay as they are */
    bool has_weight_decay;
    double weight_decay; /* in place of the optimizer's */
} nacre_parameter_group;

/* Everything belongs to the recipe and may be read, not written: nacre_recipe_set changes it. Texts that are not given
 * are NULL. Lists of texts end with NULL and are themselves NULL if not given. */
typedef struct nacre_recipe {
    const char *name; /* for titles and folders; if not given, that of the file: "fashion-mnist" */
    struct {
        const char *source;     /* as nacre_dataset_open takes it; paths are resolved against the recipe's folder */
        const char *transforms; /* for nacre_transforms_parse: "random_crop(28, padding=2); scale(1/255)" */
        const char *const *classes;
        const char *const *ignore;
        const char *const *category;
        const char *layout, *target, *group;
        double validation, test;
        bool ordered, regression, keep_missing, codes, shuffle, drop_last;
        int64_t limit, channels, count, seed, prefetch;
        int64_t workers; /* -1: auto */
    } data;
    struct {
        int64_t folds;
        bool stratified;
    } validation;
    struct {
        const char *zoo, *file, *text; /* exactly one of them; `file` is resolved against the recipe's folder */
        const nacre_setting *parameters;
    } model;
    struct {
        const char *name;     /* nacre_optimizer_find */
        double learning_rate; /* 0: auto, to be found */
        double momentum, dampening, betas[2], eps, weight_decay, momentum_decay, rate_decay, initial, rho, trust;
        bool nesterov, amsgrad, centered, match_rms;
        const char *decay;                   /* "weights", "all" */
        const nacre_parameter_group *groups; /* ended by a NULL pattern */
        int64_t lookahead;
        double lookahead_pull;
    } optimizer;
    struct {
        const char *name;                          /* nacre_schedule_find */
        const char *unit, *warmup, *mode, *anneal; /* "epoch", "update"; "linear", "constant"; ... */
        int64_t warmup_steps, step_size, patience, cooldown, width;
        double warmup_epochs, warmup_factor, gamma, min_rate, power, period, period_factor, step_up, step_down;
        double pct_start, div_factor, final_div_factor, base_momentum, max_momentum, decay_fraction, threshold;
        bool three_phase, cycle_momentum;
        const int64_t *milestones; /* ended by -1 */
    } schedule;
    struct {
        const char *name; /* "none", "ema", "swa" */
        double decay, start;
        int64_t every;
    } averaging;
    struct {
        int64_t reference_batch;
        double memory;            /* GiB; 0: half of the machine's */
        const char *rate_scaling; /* "none", "linear", "sqrt" */
        int64_t epochs, batch_size, accumulate, seed, threads, checkpoint_every;
        double clip_norm, clip_value, gradient_noise, max_norm, label_smoothing, mixup, cutmix;
        bool recompute;
        struct {
            int64_t patience, start_from_epoch;
            double min_delta;
        } early_stopping;
        const char *loss;      /* "cross_entropy", "mse", "l1", "huber", "bce_with_logits" */
        const char *device;    /* "cpu", "reference" */
        const char *precision; /* "f32", "bf16", "f16" */
        struct {
            double initial, growth, backoff, minimum;
            int64_t interval;
        } scaler;
        const char *const *metrics;
    } training;
    struct {
        const char *folder; /* relative to the current directory, not to the recipe */
        bool report, csv, tensorboard, histograms;
        int64_t log_every, keep_every, keep_best;
    } output;
    struct {
        const char *method; /* "asha", "random", "grid" */
        int64_t trials, seed, min_epochs, reduction;
        const nacre_setting *ranges; /* keys and their ranges, as nacre_tune reads them */
    } tune;
    const nacre_setting *target; /* figures that the test part must reach: accuracy 0.92 */

    struct nacre_recipe_state *state;
} nacre_recipe;

/* Reads a recipe. `settings` are overrides "training.epochs=3" applied after the file in their order, ended by NULL
 * (NULL: none); the value is YAML too ("optimizer.betas=[0.9, 0.99]"), null takes a key back to its default, and
 * paths in them are relative to the current directory. NULL and the first failure if anything is wrong. */
NACRE_API nacre_recipe *nacre_recipe_load(nacre_context *context, const char *path, const char *const *settings);
/* The same from memory. `origin` stands for the path in messages and its folder resolves paths; NULL: "recipe". */
NACRE_API nacre_recipe *nacre_recipe_parse(nacre_context *context, const char *text, size_t size, const char *origin,
                                           const char *const *settings);
NACRE_API void nacre_recipe_destroy(nacre_recipe *recipe); /* NULL is fine */

/* A recipe of its own with further overrides, all checked together at last; NULL: none. Relative paths become absolute
 * ones, so that it can be written to any folder. */
NACRE_API nacre_recipe *nacre_recipe_copy(const nacre_recipe *recipe, const char *const *settings);

/* One more override, "training.epochs=3". On failure the recipe stays as it was. */
NACRE_API nacre_status nacre_recipe_set(nacre_recipe *recipe, const char *setting);

/* Appends the recipe as YAML that reads back to the same values: every key that was given, and with `complete` also
 * the defaults, so that the text stands for itself in a saved model. Paths are printed as they were given. */
NACRE_API nacre_status nacre_recipe_print(const nacre_recipe *recipe, bool complete, nacre_buffer *text);

/* Writes it as nacre_recipe_print does, without defaults. */
NACRE_API nacre_status nacre_recipe_save(const nacre_recipe *recipe, const char *path);

/* Records a failure about a key that only its user could find, in the recipe's own manner:
 * "recipes/x.yaml:12: 'training.loss': ..." (the file alone where the key was not given). */
NACRE_API nacre_status nacre_recipe_fail(const nacre_recipe *recipe, const char *key, nacre_status status,
                                         const char *format, ...) NACRE_PRINTF(4, 5);

/* ---- the table of keys ------------------------------------------------------------------------------------------ */

typedef struct nacre_recipe_key {
    const char *path;     /* "training.epochs" */
    const char *value;    /* what is expected: "a whole number of at least 1" */
    const char *fallback; /* the default as it would be written, NULL if there is none */
    const char *doc;
} nacre_recipe_key;

/* Fills `key`; its texts are valid until `text` (scratch of the caller) changes. False past the end. */
NACRE_API bool nacre_recipe_key_at(int index, nacre_recipe_key *key, nacre_buffer *text);
/* Appends the reference of all keys as Markdown: docs/recipes.md. */
NACRE_API void nacre_recipe_document(nacre_buffer *text);

#ifdef __cplusplus
}
#endif

#endif

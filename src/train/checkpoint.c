/* train/checkpoint.c - last.safetensors: entries of all roles, and where the run is as JSON in the metadata. */
#include "train/train.h"

#include <nacre/io.h>

#include <cJSON.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

static const char STATE_KEY[] = "nacre.run";

/* X(field, whole number?) of nc_run_state in the order they are written. */
#define RUN_FIELDS(WHOLE, REAL)                                                                                        \
    WHOLE(epoch)                                                                                                       \
    WHOLE(batch)                                                                                                       \
    WHOLE(step)                                                                                                        \
    WHOLE(best_epoch)                                                                                                  \
    WHOLE(bad_epochs)                                                                                                  \
    REAL(best_value)                                                                                                   \
    REAL(stop_value)                                                                                                   \
    REAL(train_loss)                                                                                                   \
    REAL(loss.sum)                                                                                                     \
    REAL(loss.weight)                                                                                                  \
    REAL(pending)                                                                                                      \
    WHOLE(plateau.observed)                                                                                            \
    WHOLE(plateau.bad)                                                                                                 \
    WHOLE(plateau.cooldown)                                                                                            \
    WHOLE(plateau.reductions)                                                                                          \
    REAL(plateau.best)                                                                                                 \
    REAL(seconds)

/* What a resumed run must have in common with the one that was stopped: what its place in the data and the sums of
 * its gradients depend on. */
static void print_identity(nacre_buffer *text, const nacre_fit_options *options)
{
    nacre_buffer_print(text,
                       "seed %" PRIu64 ", batch size %" PRId64 ", accumulate %" PRId64 ", %" PRId64 " samples%s%s",
                       options->seed, options->batch_size, options->accumulate, nacre_dataset_count(options->train),
                       options->no_shuffle ? ", not shuffled" : "", options->drop_last ? ", last batch dropped" : "");
}

static char *checkpoint_path(const nacre_fit_options *options)
{
    return nacre_path_join(nacre_model_context(options->model), options->folder, "last.safetensors");
}

bool nc_checkpoint_exists(const nacre_fit_options *options)
{
    char *path = checkpoint_path(options);
    bool exists = path && nacre_path_exists(path);
    nacre_release(nacre_model_context(options->model), path);
    return exists;
}

nacre_status nc_checkpoint_remove(const nacre_fit_options *options)
{
    nacre_context *context = nacre_model_context(options->model);
    char *path = checkpoint_path(options);
    if (path) nacre_file_remove(context, path);
    nacre_release(context, path);
    return nacre_check(context);
}

/* Doubles as their bits: NaN is a value here, every bit counts, and no locale matters. */
static uint64_t bits_of(double value)
{
    uint64_t bits;
    memcpy(&bits, &value, sizeof bits);
    return bits;
}

static double from_bits(uint64_t bits)
{
    double value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

static void print_state(nacre_buffer *text, const nc_run_state *state)
{
#define PRINT_WHOLE(field) nacre_buffer_print(text, "\"%s\": \"%" PRId64 "\", ", #field, state->field);
#define PRINT_REAL(field)  nacre_buffer_print(text, "\"%s\": \"%016" PRIx64 "\", ", #field, bits_of(state->field));
    RUN_FIELDS(PRINT_WHOLE, PRINT_REAL)
#undef PRINT_WHOLE
#undef PRINT_REAL
}

nacre_status nc_checkpoint_save(const nacre_fit_options *options, const nc_run_state *state)
{
    nacre_context *context = nacre_model_context(options->model);
    nacre_buffer text = nacre_buffer_create(context), identity = nacre_buffer_create(context);
    char *path = checkpoint_path(options);
    nacre_buffer_print(&text, "{");
    print_state(&text, state);
    print_identity(&identity, options);
    nacre_buffer_print(&text, "\"identity\": \"%s\"}", identity.failed ? "" : identity.data);
    nacre_text_pair *pairs = nacre_allocate(context, sizeof *pairs * (size_t)(options->metadata_count + 1));
    if (path && pairs && !text.failed && !identity.failed) {
        for (int i = 0; i < options->metadata_count; i++) pairs[i] = options->metadata[i];
        pairs[options->metadata_count] = (nacre_text_pair){STATE_KEY, text.data};
        nacre_model_save(options->model, path, true, pairs, options->metadata_count + 1);
    }
    nacre_release(context, pairs);
    nacre_release(context, path);
    nacre_buffer_destroy(&text);
    nacre_buffer_destroy(&identity);
    return nacre_check(context);
}

static const char *text_of(const cJSON *object, const char *key)
{
    const char *text = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(object, key));
    return text ? text : "";
}

static nacre_status read_state(nacre_context *context, const nacre_fit_options *options, const char *path,
                               const char *json, nc_run_state *state)
{
    cJSON *object = json ? cJSON_Parse(json) : NULL;
    if (!object) return nacre_fail(context, NACRE_ERROR_FORMAT, "%s: is not a checkpoint of a training run", path);
#define READ_WHOLE(field) state->field = strtoll(text_of(object, #field), NULL, 10);
#define READ_REAL(field)  state->field = from_bits(strtoull(text_of(object, #field), NULL, 16));
    RUN_FIELDS(READ_WHOLE, READ_REAL)
#undef READ_WHOLE
#undef READ_REAL
    nacre_buffer identity = nacre_buffer_create(context);
    print_identity(&identity, options);
    if (!identity.failed && strcmp(identity.data, text_of(object, "identity")))
        nacre_fail(context, NACRE_ERROR_STATE, "%s: was made with %s; this run has %s", path,
                   text_of(object, "identity"), identity.data);
    nacre_buffer_destroy(&identity);
    cJSON_Delete(object);
    return nacre_check(context);
}

/* Going on under another recipe can be meant; it must not go unnoticed. */
static void compare_metadata(nacre_context *context, const nacre_fit_options *options, const char *path,
                             const nacre_safetensors *file)
{
    for (int i = 0; i < options->metadata_count; i++) {
        const char *before = nacre_safetensors_metadata(file, options->metadata[i].key);
        if (before && strcmp(before, options->metadata[i].text) != 0)
            nacre_log_message(context, NACRE_LOG_WARNING,
                              "%s: was made with another %s; the run goes on with the new one", path,
                              options->metadata[i].key);
    }
}

nacre_status nc_checkpoint_load(const nacre_fit_options *options, nc_run_state *state)
{
    nacre_context *context = nacre_model_context(options->model);
    char *path = checkpoint_path(options);
    nacre_safetensors *file = path ? nacre_safetensors_open(context, path) : NULL;
    if (file && read_state(context, options, path, nacre_safetensors_metadata(file, STATE_KEY), state) == NACRE_OK) {
        compare_metadata(context, options, path, file);
        nacre_model_load(options->model, file);
    }
    nacre_safetensors_close(file);
    nacre_release(context, path);
    return nacre_check(context);
}

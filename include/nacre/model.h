/* model.h - parameters at paths, in flat memory.
 *
 * A model owns everything that is learnt or that learning must remember: parameters, buffers (running statistics) and
 * optimizer state. Each entry has a path ("layer1.0.conv1.weight", PyTorch's spelling), a role, an element type and a
 * shape. All entries of one role and element type lie in one slab, each 64-byte aligned, so optimizers, checkpoints
 * and all-reduce walk flat memory. Pointers into slabs are borrowed until the next entry is added.
 *
 * Plans keep what they make of parameters (packed weights, folded normalisation) until these change. So memory is
 * written through nacre_model_write or nacre_model_slab, asked for anew after each nacre_run.
 */
#ifndef NACRE_MODEL_H
#define NACRE_MODEL_H

#include <nacre/graph.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef enum nacre_entry_role {
    NACRE_ENTRY_PARAMETER, /* learnt by gradients */
    NACRE_ENTRY_BUFFER,    /* part of the model but not learnt that way: running statistics */
    NACRE_ENTRY_STATE,     /* of the training: optimizer moments, accumulated gradients; not part of a saved model */
    NACRE_ENTRY_ROLES
} nacre_entry_role;

typedef struct nacre_entry {
    const char *path;
    nacre_entry_role role;
    nacre_dtype dtype;
    nacre_shape shape;
    const void *data;
    size_t bytes;
} nacre_entry;

NACRE_API nacre_model *nacre_model_create(nacre_context *context);
NACRE_API void nacre_model_destroy(nacre_model *model);
NACRE_API nacre_context *nacre_model_context(const nacre_model *model);

/* Adds a zero-filled entry and returns its slot, or -1: the path is taken, the model is frozen (parameters and
 * buffers only), or memory ran out. */
NACRE_API int nacre_model_add(nacre_model *model, nacre_entry_role role, const char *path, nacre_dtype dtype,
                              nacre_shape shape);
NACRE_API int nacre_model_find(const nacre_model *model, const char *path); /* slot or -1 */
NACRE_API int nacre_model_count(const nacre_model *model);                  /* slots are 0 .. count-1 */
NACRE_API bool nacre_model_entry(const nacre_model *model, int slot, nacre_entry *entry);
/* An entry's memory, to be written before the next nacre_run. NULL for a slot that is not there. */
NACRE_API void *nacre_model_write(nacre_model *model, int slot);
/* Number of elements of all entries of a role. */
NACRE_API int64_t nacre_model_elements(const nacre_model *model, nacre_entry_role role);
/* Bytes of memory behind all entries of a role, with the room that slabs have for more. */
NACRE_API size_t nacre_model_bytes(const nacre_model *model, nacre_entry_role role);
/* The slab of a role and element type, to be read, or written before the next nacre_run; NULL if it is empty. */
NACRE_API void *nacre_model_slab(nacre_model *model, nacre_entry_role role, nacre_dtype dtype, size_t *bytes);

/* A frozen model refuses new parameters and buffers: after loading, an unknown name is an error, never a fresh
 * weight. */
NACRE_API void nacre_model_freeze(nacre_model *model, bool frozen);
NACRE_API bool nacre_model_frozen(const nacre_model *model);

/* Seed of the initialisers of entries created from now on (nn.h); each entry draws from its own stream, named by its
 * path, so the order of creation does not matter. */
NACRE_API void nacre_model_set_seed(nacre_model *model, uint64_t seed);
NACRE_API uint64_t nacre_model_seed(const nacre_model *model);

/* ---- files ------------------------------------------------------------------------------------------------------ */

/* One safetensors file (safetensors.h): parameters and buffers under their paths, and with `state` the training's
 * entries too. `metadata` is stored along: model text, preprocessing, labels, figures; and a checksum over all of it.
 * Replaced atomically. */
struct nacre_text_pair;
struct nacre_safetensors;
NACRE_API nacre_status nacre_model_save(const nacre_model *model, const char *path, bool state,
                                        const struct nacre_text_pair *metadata, int metadata_count);
/* Takes the values of a file over and freezes the model. Into an empty model all entries are added; otherwise names
 * must match one to one and shapes exactly (floating types convert), and a message names the first that does not.
 * State entries are read where the file has them and become zero where it has not. A file that has a checksum must
 * agree with it. On failure no value of the model has changed. */
NACRE_API nacre_status nacre_model_load(nacre_model *model, const struct nacre_safetensors *file);

#ifdef __cplusplus
}
#endif

#endif

/* layer.h - layers by name, for model text and tools.
 *
 * What nn.h has as functions, as a table: operands and attributes by schema, as operations have them (backend.h).
 */
#ifndef NACRE_LAYER_H
#define NACRE_LAYER_H

#include <nacre/backend.h>
#include <nacre/nn.h>

#ifdef __cplusplus
extern "C" {
#endif

#define NACRE_MAX_LAYER_INPUTS 4

typedef struct nacre_layer {
    const char *name;
    const char *doc;
    const char *inputs; /* "x ?mask": operand names; ? optional */
    bool learns;        /* has parameters or buffers at its path */
    /* One word each in the order of the schema; no INTS. */
    nacre_attribute attributes[NACRE_MAX_ATTRIBUTES];
    nacre_tensor *(*build)(nacre_scope scope, nacre_tensor *const *inputs, const int64_t *words);
} nacre_layer;

NACRE_API const nacre_layer *nacre_layer_find(const char *name); /* NULL if there is none */
NACRE_API const nacre_layer *nacre_layer_at(int index);          /* NULL past the end */
/* Appends the reference of all layers as Markdown: docs/layers.md. */
NACRE_API void nacre_layer_document(nacre_buffer *text);

#ifdef __cplusplus
}
#endif

#endif

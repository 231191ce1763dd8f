/* nn/layer.h - what the layers share. */
#ifndef NC_NN_LAYER_H
#define NC_NN_LAYER_H

#include <nacre/backend.h> /* nacre_tensor_sibling */
#include <nacre/nn.h>

#include <math.h>

/* The given initialiser, or U(-bound, bound) where none is given. */
nacre_init nc_default_init(nacre_init given, double bound);

/* Gets or creates a zero-filled entry of the training or of a generation, which a saved model does not contain. */
nacre_tensor *nc_state_entry(nacre_scope scope, const char *name, nacre_dtype dtype, nacre_shape shape);

#endif

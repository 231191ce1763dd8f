/* nn/scope.c - paths, parameters, the seed. */
#include "nn/layer.h"

#include <stdio.h>
#include <string.h>

nacre_scope nacre_root(nacre_graph *graph, nacre_model *model, bool training)
{
    nacre_graph_set_path(graph, NULL);
    return (nacre_scope){.graph = graph, .model = model, .dtype = NACRE_F32, .training = training};
}

nacre_scope nacre_in(nacre_scope scope, const char *name)
{
    if (!name || !*name) return scope;
    size_t used = strlen(scope.path);
    int written = snprintf(scope.path + used, sizeof scope.path - used, used ? ".%s" : "%s", name);
    if (used + (size_t)written >= sizeof scope.path)
        nacre_fail(nacre_graph_context(scope.graph), NACRE_ERROR_ARGUMENT, "the path \"%s...\" is longer than %d bytes",
                   scope.path, NACRE_PATH_SIZE - 1);
    nacre_graph_set_path(scope.graph, scope.path);
    return scope;
}

nacre_scope nacre_at(nacre_scope scope, int index)
{
    char number[16];
    snprintf(number, sizeof number, "%d", index);
    return nacre_in(scope, number);
}

nacre_tensor *nacre_seed(nacre_graph *graph, bool create)
{
    nacre_tensor *seed = nacre_graph_input(graph, "seed");
    return seed || !create ? seed : nacre_input(graph, "seed", NACRE_I64, NACRE_SCALAR);
}

/* ---- entries ---- */

/* What new entries are stored in: 16 bits are for parameters that are read as matrices; those that are added, and
 * statistics, are f32 then. */
static nacre_dtype stored_dtype(const nacre_scope *scope, nacre_entry_role role, nacre_shape shape)
{
    const bool half = scope->dtype == NACRE_BF16 || scope->dtype == NACRE_F16;
    const bool narrows = role == NACRE_ENTRY_PARAMETER && shape.rank >= 2;
    return half && role != NACRE_ENTRY_STATE && !narrows ? NACRE_F32 : scope->dtype;
}

/* The slot of an entry that has to have this shape; -1 and a failure otherwise, `*fresh` if it was added now. */
static int get_or_add(const nacre_scope *scope, nacre_entry_role role, nacre_shape shape, bool *fresh)
{
    nacre_entry entry;
    int slot = nacre_model_find(scope->model, scope->path);
    *fresh = slot < 0;
    if (slot < 0) return nacre_model_add(scope->model, role, scope->path, stored_dtype(scope, role, shape), shape);
    nacre_model_entry(scope->model, slot, &entry);
    if (nacre_shape_equal(entry.shape, shape)) return slot;
    char have[NACRE_SHAPE_TEXT_SIZE], want[NACRE_SHAPE_TEXT_SIZE];
    nacre_fail(nacre_graph_context(scope->graph), NACRE_ERROR_SHAPE,
               "parameter \"%s\" is %s in the model, this layer needs %s", scope->path,
               nacre_shape_text(entry.shape, have), nacre_shape_text(shape, want));
    return -1;
}

static nacre_tensor *entry_tensor(nacre_scope scope, const char *name, nacre_entry_role role, nacre_shape shape,
                                  nacre_init init)
{
    nacre_context *context = nacre_graph_context(scope.graph);
    if (!scope.graph || !scope.model || nacre_check(context)) return NULL;
    char layer[NACRE_PATH_SIZE];
    memcpy(layer, scope.path, sizeof layer);
    scope = nacre_in(scope, name);
    bool fresh;
    nacre_entry entry;
    int slot = get_or_add(&scope, role, shape, &fresh);
    if (slot >= 0 && fresh && nacre_model_entry(scope.model, slot, &entry))
        nacre_initialise(context, init, nacre_model_seed(scope.model), entry.path, entry.dtype, shape,
                         nacre_model_write(scope.model, slot));
    nacre_tensor *tensor = nacre_model_tensor(scope.graph, scope.model, slot);
    nacre_graph_set_path(scope.graph, layer);
    return tensor;
}

nacre_tensor *nacre_parameter(nacre_scope scope, const char *name, nacre_shape shape, nacre_init init)
{
    nacre_tensor *tensor = entry_tensor(scope, name, NACRE_ENTRY_PARAMETER, shape, init);
    const nacre_dtype dtype = nacre_tensor_dtype(tensor);
    return tensor && (dtype == NACRE_BF16 || dtype == NACRE_F16) ? nacre_cast(tensor, NACRE_F32) : tensor;
}

nacre_tensor *nacre_state_buffer(nacre_scope scope, const char *name, nacre_shape shape, double value)
{
    return entry_tensor(scope, name, NACRE_ENTRY_BUFFER, shape, (nacre_init){NACRE_INIT_CONSTANT, value, 0});
}

nacre_tensor *nc_state_entry(nacre_scope scope, const char *name, nacre_dtype dtype, nacre_shape shape)
{
    scope.dtype = dtype;
    return entry_tensor(scope, name, NACRE_ENTRY_STATE, shape, (nacre_init){NACRE_INIT_CONSTANT, 0, 0});
}

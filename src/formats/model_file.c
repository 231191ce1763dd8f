/* formats/model_file.c - models to and from safetensors files.
 *
 * The metadata key "nacre.roles" lists what is not a parameter: "bn1.running_mean=buffer optimizer.step=state ...".
 */
#include <nacre/io.h>
#include <nacre/model.h>
#include <nacre/safetensors.h>

#include <string.h>

static const char ROLES_KEY[] = "nacre.roles";
static const char *const ROLE_NAMES[NACRE_ENTRY_ROLES] = {"parameter", "buffer", "state"};

/* ---- saving ---- */

nacre_status nacre_model_save(const nacre_model *model, const char *path, bool state, const nacre_text_pair *metadata,
                              int metadata_count)
{
    nacre_context *context = nacre_model_context(model);
    if (!model || !path) return NACRE_ERROR_ARGUMENT;
    nacre_named_array *arrays = nacre_allocate(context, sizeof *arrays * (size_t)(nacre_model_count(model) + 1));
    nacre_text_pair *pairs = nacre_allocate(context, sizeof *pairs * (size_t)(metadata_count + 1));
    nacre_buffer roles = nacre_buffer_create(context);
    nacre_entry entry;
    int count = 0;
    for (int slot = 0; arrays && nacre_model_entry(model, slot, &entry); slot++) {
        if (entry.role == NACRE_ENTRY_STATE && !state) continue;
        arrays[count++] = (nacre_named_array){entry.path, entry.dtype, entry.shape, entry.data};
        if (entry.role != NACRE_ENTRY_PARAMETER)
            nacre_buffer_print(&roles, "%s%s=%s", roles.size ? " " : "", entry.path, ROLE_NAMES[entry.role]);
    }
    if (arrays && pairs && !roles.failed) {
        for (int i = 0; i < metadata_count; i++) pairs[i] = metadata[i];
        pairs[metadata_count] = (nacre_text_pair){ROLES_KEY, roles.size ? roles.data : ""};
        nacre_safetensors_write(context, path, arrays, count, pairs, metadata_count + 1);
    }
    nacre_buffer_destroy(&roles);
    nacre_release(context, pairs);
    nacre_release(context, arrays);
    return nacre_check(context);
}

/* ---- loading ---- */

/* What the file says an entry is; files of other systems say nothing, then the name does. */
static nacre_entry_role role_of(const char *roles, const char *name)
{
    size_t length = strlen(name);
    for (const char *at = roles; at && (at = strstr(at, name)); at += length) {
        if ((at != roles && at[-1] != ' ') || at[length] != '=') continue;
        for (int role = 0; role < NACRE_ENTRY_ROLES; role++)
            if (!strncmp(at + length + 1, ROLE_NAMES[role], strlen(ROLE_NAMES[role]))) return (nacre_entry_role)role;
    }
    if (roles) return NACRE_ENTRY_PARAMETER;
    const char *last = strrchr(name, '.');
    last = last ? last + 1 : name;
    return !strncmp(last, "running_", 8) ? NACRE_ENTRY_BUFFER : NACRE_ENTRY_PARAMETER;
}

/* PyTorch counts batches in a buffer that no computation here uses. */
static bool is_ignored(const char *name)
{
    static const char ending[] = "num_batches_tracked";
    size_t length = strlen(name);
    return length >= sizeof ending - 1 && !strcmp(name + length - (sizeof ending - 1), ending);
}

static nacre_status check_known(nacre_model *model, const nacre_safetensors *file, const char *roles)
{
    nacre_context *context = nacre_model_context(model);
    const nacre_named_array *array;
    nacre_entry entry;
    for (int i = 0; (array = nacre_safetensors_at(file, i)); i++) {
        if (is_ignored(array->name) || role_of(roles, array->name) == NACRE_ENTRY_STATE) continue;
        if (!nacre_model_entry(model, nacre_model_find(model, array->name), &entry))
            return nacre_fail(context, NACRE_ERROR_NOT_FOUND, "the file has \"%s\", which the model has not",
                              array->name);
        char have[NACRE_SHAPE_TEXT_SIZE], want[NACRE_SHAPE_TEXT_SIZE];
        if (!nacre_shape_equal(entry.shape, array->shape))
            return nacre_fail(context, NACRE_ERROR_SHAPE, "\"%s\" is %s in the file, the model has %s", array->name,
                              nacre_shape_text(array->shape, have), nacre_shape_text(entry.shape, want));
    }
    return NACRE_OK;
}

static nacre_status check_complete(nacre_model *model, const nacre_safetensors *file)
{
    nacre_entry entry;
    for (int slot = 0; nacre_model_entry(model, slot, &entry); slot++)
        if (entry.role != NACRE_ENTRY_STATE && !nacre_safetensors_find(file, entry.path))
            return nacre_fail(nacre_model_context(model), NACRE_ERROR_NOT_FOUND,
                              "the model has \"%s\", which the file has not", entry.path);
    return NACRE_OK;
}

/* The slot of a file's entry, added if the model does not have it and may; -1: leave it out. */
static int slot_for(nacre_model *model, const nacre_named_array *array, nacre_entry_role role, bool was_empty)
{
    int slot = nacre_model_find(model, array->name);
    if (slot >= 0 || !(was_empty || role == NACRE_ENTRY_STATE)) return slot;
    return nacre_model_add(model, role, array->name, array->dtype, array->shape);
}

static void zero_state(nacre_model *model)
{
    nacre_entry entry;
    for (int slot = 0; nacre_model_entry(model, slot, &entry); slot++)
        if (entry.role == NACRE_ENTRY_STATE) memset(entry.data, 0, entry.bytes);
}

nacre_status nacre_model_load(nacre_model *model, const nacre_safetensors *file)
{
    nacre_context *context = nacre_model_context(model);
    if (!model || !file) return NACRE_ERROR_ARGUMENT;
    const char *roles = nacre_safetensors_metadata(file, ROLES_KEY);
    bool was_empty = nacre_model_count(model) == 0;
    if (!was_empty && (check_known(model, file, roles) || check_complete(model, file))) return nacre_check(context);

    nacre_model_freeze(model, false);
    zero_state(model);
    const nacre_named_array *array;
    nacre_entry entry;
    for (int i = 0; (array = nacre_safetensors_at(file, i)); i++) {
        if (is_ignored(array->name)) continue;
        int slot = slot_for(model, array, role_of(roles, array->name), was_empty);
        if (nacre_check(context)) return nacre_check(context);
        if (nacre_model_entry(model, slot, &entry)) nacre_safetensors_load(array, entry.dtype, entry.data);
    }
    nacre_model_freeze(model, true);
    return NACRE_OK;
}

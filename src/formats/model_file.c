/* formats/model_file.c - models to and from safetensors files.
 *
 * The metadata key "nacre.roles" lists what is not a parameter: "bn1.running_mean=buffer optimizer.step=state ...".
 * "nacre.checksum" is over everything else in the file, for a flipped bit in a weight looks like a weight.
 */
#include <nacre/io.h>
#include <nacre/model.h>
#include <nacre/safetensors.h>

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

static const char ROLES_KEY[] = "nacre.roles", CHECKSUM_KEY[] = "nacre.checksum";
static const char *const ROLE_NAMES[NACRE_ENTRY_ROLES] = {"parameter", "buffer", "state"};

/* ---- checksums ---- */

enum { CHECKSUM_TEXT = 17 };

/* Every step is a bijection of the sum for a given word, and of the word for a given sum: one changed word always
 * changes the result. Eight bytes at a time, so that large models load as fast as they are read. */
static uint64_t add_word(uint64_t sum, uint64_t word)
{
    sum = (sum ^ word) * 0x9e3779b97f4a7c15u;
    return sum ^ sum >> 32;
}

static uint64_t add_bytes(uint64_t sum, const void *bytes, size_t size)
{
    const unsigned char *at = bytes;
    uint64_t word;
    sum = add_word(sum, size);
    for (; size >= sizeof word; at += sizeof word, size -= sizeof word) {
        memcpy(&word, at, sizeof word);
        sum = add_word(sum, word);
    }
    word = 0;
    if (size) memcpy(&word, at, size);
    return add_word(sum, word);
}

static uint64_t add_text(uint64_t sum, const char *text)
{
    return add_bytes(sum, text, strlen(text));
}

static uint64_t add_pair(uint64_t sum, nacre_text_pair pair)
{
    return add_text(add_text(sum, pair.key), pair.text);
}

/* Arrays are summed up regardless of their order, which the writer chooses. */
static uint64_t array_sum(const nacre_named_array *array)
{
    uint64_t sum = add_text(add_text(0, array->name), nacre_dtype_name(array->dtype));
    for (int i = 0; i < array->shape.rank; i++) sum = add_word(sum, (uint64_t)array->shape.dims[i]);
    return add_bytes(sum, array->data, (size_t)nacre_shape_count(array->shape) * nacre_dtype_size(array->dtype));
}

static void print_checksum(uint64_t pairs, uint64_t arrays, char text[CHECKSUM_TEXT])
{
    snprintf(text, CHECKSUM_TEXT, "%016" PRIx64, add_word(pairs, arrays));
}

/* Files of other systems have none. */
static nacre_status check_sum(nacre_context *context, const nacre_safetensors *file)
{
    const char *stored = nacre_safetensors_metadata(file, CHECKSUM_KEY);
    const nacre_named_array *array;
    nacre_text_pair pair;
    uint64_t pairs = 0, arrays = 0;
    char text[CHECKSUM_TEXT];
    if (!stored) return NACRE_OK;
    for (int i = 0; (pair = nacre_safetensors_metadata_at(file, i)).key; i++)
        if (strcmp(pair.key, CHECKSUM_KEY) != 0) pairs = add_pair(pairs, pair);
    for (int i = 0; (array = nacre_safetensors_at(file, i)); i++) arrays += array_sum(array);
    print_checksum(pairs, arrays, text);
    if (!strcmp(text, stored)) return NACRE_OK;
    return nacre_fail(context, NACRE_ERROR_FORMAT,
                      "'%s' was damaged after it had been saved: its checksum is %s, it says %s",
                      nacre_safetensors_origin(file), text, stored);
}

/* ---- saving ---- */

nacre_status nacre_model_save(const nacre_model *model, const char *path, bool state, const nacre_text_pair *metadata,
                              int metadata_count)
{
    nacre_context *context = nacre_model_context(model);
    if (!model || !path) return NACRE_ERROR_ARGUMENT;
    nacre_named_array *arrays = nacre_allocate(context, sizeof *arrays * (size_t)(nacre_model_count(model) + 1));
    nacre_text_pair *pairs = nacre_allocate(context, sizeof *pairs * (size_t)(metadata_count + 2));
    nacre_buffer roles = nacre_buffer_create(context);
    nacre_entry entry;
    char checksum[CHECKSUM_TEXT];
    uint64_t pairs_sum = 0, arrays_sum = 0;
    int count = 0;
    for (int slot = 0; arrays && nacre_model_entry(model, slot, &entry); slot++) {
        if (entry.role == NACRE_ENTRY_STATE && !state) continue;
        arrays[count] = (nacre_named_array){entry.path, entry.dtype, entry.shape, entry.data};
        arrays_sum += array_sum(&arrays[count++]);
        if (entry.role != NACRE_ENTRY_PARAMETER)
            nacre_buffer_print(&roles, "%s%s=%s", roles.size ? " " : "", entry.path, ROLE_NAMES[entry.role]);
    }
    if (arrays && pairs && !roles.failed) {
        for (int i = 0; i < metadata_count; i++) pairs[i] = metadata[i];
        pairs[metadata_count] = (nacre_text_pair){ROLES_KEY, roles.size ? roles.data : ""};
        for (int i = 0; i <= metadata_count; i++) pairs_sum = add_pair(pairs_sum, pairs[i]);
        print_checksum(pairs_sum, arrays_sum, checksum);
        pairs[metadata_count + 1] = (nacre_text_pair){CHECKSUM_KEY, checksum};
        nacre_safetensors_write(context, path, arrays, count, pairs, metadata_count + 2);
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

static nacre_status check_fit(nacre_context *context, const nacre_safetensors *file, const nacre_named_array *array,
                              const nacre_entry *entry)
{
    char have[NACRE_SHAPE_TEXT_SIZE], want[NACRE_SHAPE_TEXT_SIZE];
    if (!nacre_shape_equal(entry->shape, array->shape))
        return nacre_fail(context, NACRE_ERROR_SHAPE, "'%s': \"%s\" is %s, the model's is %s",
                          nacre_safetensors_origin(file), array->name, nacre_shape_text(array->shape, have),
                          nacre_shape_text(entry->shape, want));
    bool floats = nacre_dtype_is_float(entry->dtype) && nacre_dtype_is_float(array->dtype);
    if (!floats && entry->dtype != array->dtype)
        return nacre_fail(context, NACRE_ERROR_DTYPE, "'%s': \"%s\" is of type %s, the model's of type %s",
                          nacre_safetensors_origin(file), array->name, nacre_dtype_name(array->dtype),
                          nacre_dtype_name(entry->dtype));
    return NACRE_OK;
}

static nacre_status check_known(nacre_model *model, const nacre_safetensors *file, const char *roles)
{
    nacre_context *context = nacre_model_context(model);
    const nacre_named_array *array;
    nacre_entry entry;
    for (int i = 0; (array = nacre_safetensors_at(file, i)); i++) {
        bool known = nacre_model_entry(model, nacre_model_find(model, array->name), &entry);
        if (!known && (is_ignored(array->name) || role_of(roles, array->name) == NACRE_ENTRY_STATE)) continue;
        if (!known)
            return nacre_fail(context, NACRE_ERROR_NOT_FOUND, "'%s' has \"%s\", which the model has not",
                              nacre_safetensors_origin(file), array->name);
        if (check_fit(context, file, array, &entry)) return nacre_check(context);
    }
    return NACRE_OK;
}

static nacre_status check_complete(nacre_model *model, const nacre_safetensors *file)
{
    nacre_entry entry;
    for (int slot = 0; nacre_model_entry(model, slot, &entry); slot++)
        if (entry.role != NACRE_ENTRY_STATE && !nacre_safetensors_find(file, entry.path))
            return nacre_fail(nacre_model_context(model), NACRE_ERROR_NOT_FOUND,
                              "the model has \"%s\", which '%s' has not", entry.path, nacre_safetensors_origin(file));
    return NACRE_OK;
}

static void zero_state(nacre_model *model)
{
    nacre_entry entry;
    for (int slot = 0; nacre_model_entry(model, slot, &entry); slot++)
        if (entry.role == NACRE_ENTRY_STATE && entry.bytes) memset(nacre_model_write(model, slot), 0, entry.bytes);
}

/* All entries that the file has and the model may have. */
static nacre_status add_entries(nacre_model *model, const nacre_safetensors *file, const char *roles)
{
    bool was_empty = nacre_model_count(model) == 0, was_frozen = nacre_model_frozen(model);
    const nacre_named_array *array;
    nacre_model_freeze(model, false);
    for (int i = 0; (array = nacre_safetensors_at(file, i)); i++) {
        nacre_entry_role role = role_of(roles, array->name);
        bool wanted = (was_empty && !is_ignored(array->name)) || role == NACRE_ENTRY_STATE;
        if (wanted && nacre_model_find(model, array->name) < 0)
            nacre_model_add(model, role, array->name, array->dtype, array->shape);
    }
    nacre_model_freeze(model, was_frozen);
    return nacre_check(nacre_model_context(model));
}

nacre_status nacre_model_load(nacre_model *model, const nacre_safetensors *file)
{
    nacre_context *context = nacre_model_context(model);
    if (!model || !file) return NACRE_ERROR_ARGUMENT;
    const char *roles = nacre_safetensors_metadata(file, ROLES_KEY);
    if (check_sum(context, file)) return nacre_check(context);
    if (nacre_model_count(model) > 0 && (check_known(model, file, roles) || check_complete(model, file)))
        return nacre_check(context);
    if (add_entries(model, file, roles)) return nacre_check(context);

    const nacre_named_array *array;
    nacre_entry entry;
    zero_state(model);
    for (int i = 0; (array = nacre_safetensors_at(file, i)); i++) {
        const int slot = nacre_model_find(model, array->name);
        if (nacre_model_entry(model, slot, &entry))
            nacre_safetensors_load(array, entry.dtype, nacre_model_write(model, slot));
    }
    nacre_model_freeze(model, true);
    return NACRE_OK;
}

/* core/op.c - looking up operations and reading their schemas. */
#include "core/registry.h"

#include <pthread.h>
#include <string.h>

/* Operations by name and by address, in two open-addressing tables that are filled once. */
enum { TABLE = 1024 };
static nc_op_traits traits_of[TABLE / 2];
static const nc_op_traits *by_address[TABLE], *by_name[TABLE];
static pthread_once_t once = PTHREAD_ONCE_INIT;

static size_t name_hash(const char *name)
{
    size_t hash = 5381;
    for (; *name; name++) hash = hash * 33 + (unsigned char)*name;
    return hash;
}

static size_t address_hash(const nacre_op *op)
{
    return (size_t)((uintptr_t)op >> 5) * 0x9e3779b97f4a7c15u >> 40;
}

static int attribute_words(const nacre_attribute *attribute)
{
    return attribute->type == NACRE_ATTRIBUTE_INTS ? 1 + attribute->limit : 1;
}

static void read_operands(nc_op_traits *traits)
{
    for (const char *at = traits->op->inputs; *at;) {
        size_t length = strcspn(at, " ");
        bool repeats = at[length - 1] == '*';
        if (*at == '?')
            traits->optional |= UINT32_C(1) << traits->named;
        else if (!repeats)
            traits->required = traits->named + 1;
        traits->variadic |= repeats;
        traits->named++;
        at += length;
        at += strspn(at, " ");
    }
    for (const char *at = traits->op->outputs; *at; at += strspn(at, " ")) {
        traits->outputs++;
        at += strcspn(at, " ");
    }
}

static void read_schema(nc_op_traits *traits, const nacre_op *op)
{
    traits->op = op;
    read_operands(traits);
    for (int i = 0; i < NACRE_MAX_ATTRIBUTES && op->attributes[i].type != NACRE_ATTRIBUTE_NONE; i++) {
        const nacre_attribute *attribute = &op->attributes[i];
        traits->offsets[i] = traits->words;
        bool real = attribute->type == NACRE_ATTRIBUTE_FLOAT;
        if (attribute->type != NACRE_ATTRIBUTE_INTS)
            traits->fallback[traits->words] = real ? nacre_word(attribute->fallback) : (int64_t)attribute->fallback;
        traits->words += attribute_words(attribute);
    }
}

static void fill_tables(void)
{
    int count;
    const nacre_op *const *list = nc_op_list(&count);
    for (int i = 0; i < count; i++) {
        read_schema(&traits_of[i], list[i]);
        size_t at = address_hash(list[i]);
        while (by_address[at % TABLE]) at++;
        by_address[at % TABLE] = &traits_of[i];
        at = name_hash(list[i]->name);
        while (by_name[at % TABLE]) at++;
        by_name[at % TABLE] = &traits_of[i];
    }
}

const nc_op_traits *nc_traits(const nacre_op *op)
{
    pthread_once(&once, fill_tables);
    size_t at = address_hash(op);
    while (by_address[at % TABLE] && by_address[at % TABLE]->op != op) at++;
    return by_address[at % TABLE];
}

const nacre_op *nacre_op_find(const char *name)
{
    if (!name) return NULL;
    pthread_once(&once, fill_tables);
    size_t at = name_hash(name);
    while (by_name[at % TABLE] && strcmp(by_name[at % TABLE]->op->name, name)) at++;
    return by_name[at % TABLE] ? by_name[at % TABLE]->op : NULL;
}

const nacre_op *nacre_op_at(int index)
{
    int count;
    const nacre_op *const *list = nc_op_list(&count);
    return index >= 0 && index < count ? list[index] : NULL;
}

int nacre_op_input_count(const nacre_op *op, bool *variadic)
{
    const nc_op_traits *traits = nc_traits(op);
    if (variadic) *variadic = traits->variadic;
    return traits->named;
}

int nacre_op_output_count(const nacre_op *op)
{
    return nc_traits(op)->outputs;
}

int nacre_op_attribute_words(const nacre_op *op)
{
    return nc_traits(op)->words;
}

int nacre_op_attribute_offset(const nacre_op *op, int index)
{
    return nc_traits(op)->offsets[index];
}

/* train/recipe.c - recipes: from YAML and overrides to a checked struct. */
#include "train/recipe.h"

#include <nacre/data.h>

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { PATH_SIZE = 512 };

/* Who gives a value: where messages point, and what paths are relative to. */
typedef struct giver {
    nacre_recipe *recipe;
    nc_origin origin;
    const char *folder;
} giver;

static nacre_context *context_of(const nacre_recipe *recipe)
{
    return recipe->state->context;
}

static const char *print_in_pool(nacre_pool *pool, const char *format, ...) NACRE_PRINTF(2, 3);
static const char *print_in_pool(nacre_pool *pool, const char *format, ...)
{
    va_list arguments, again;
    va_start(arguments, format);
    va_copy(again, arguments);
    size_t size = (size_t)vsnprintf(NULL, 0, format, arguments) + 1;
    char *text = nacre_pool_allocate(pool, size);
    if (text) vsnprintf(text, size, format, again);
    va_end(again);
    va_end(arguments);
    return text;
}

/* ---- keys ---- */

static const nc_recipe_key *find_key(const char *path)
{
    for (int i = 0; i < nc_recipe_key_count; i++)
        if (strcmp(nc_recipe_keys[i].path, path) == 0) return &nc_recipe_keys[i];
    return NULL;
}

/* The part of `path` below `section` ("" for all), NULL if it does not lie there. */
static const char *below(const char *path, const char *section)
{
    size_t length = strlen(section);
    if (length == 0) return path;
    return strncmp(path, section, length) == 0 && path[length] == '.' ? path + length + 1 : NULL;
}

static bool is_section(const char *path)
{
    for (int i = 0; i < nc_recipe_key_count; i++)
        if (below(nc_recipe_keys[i].path, path)) return true;
    return false;
}

/* The key of open names to which "model.parameters.depth" belongs. */
static const nc_recipe_key *find_owner(const char *path, const char **name)
{
    for (int i = 0; i < nc_recipe_key_count; i++) {
        *name = below(path, nc_recipe_keys[i].path);
        if (*name && nc_recipe_keys[i].type == NC_KEY_SETTINGS) return &nc_recipe_keys[i];
    }
    return NULL;
}

static const char *last_part(const char *path)
{
    const char *dot = strrchr(path, '.');
    return dot ? dot + 1 : path;
}

/* ---- keys that do not exist ---- */

/* The names that stand directly in a section, each once, ended by NULL; in the recipe's pool. */
static const char **names_in(nacre_pool *pool, const char *section)
{
    const char **names = nacre_pool_allocate(pool, (size_t)(nc_recipe_key_count + 1) * sizeof *names);
    int count = 0;
    for (int i = 0; names && i < nc_recipe_key_count; i++) {
        const char *name = below(nc_recipe_keys[i].path, section);
        size_t length = name ? strcspn(name, ".") : 0;
        if (!name || (count && strlen(names[count - 1]) == length && !strncmp(names[count - 1], name, length)))
            continue;
        names[count] = nacre_pool_copy(pool, name, length);
        if (!names[count++]) return NULL;
    }
    return names;
}

/* The whole path of the key that was probably meant: in its own section, else anywhere. NULL: no idea. */
static const char *suggest(nacre_pool *pool, const char *section, const char *name)
{
    const char **siblings = names_in(pool, section);
    const char *nearest = siblings ? nacre_nearest(name, siblings) : NULL;
    if (nearest) return print_in_pool(pool, "%s%s%s", section, *section ? "." : "", nearest);

    const char **all = nacre_pool_allocate(pool, (size_t)(nc_recipe_key_count + 1) * sizeof *all);
    for (int i = 0; all && i < nc_recipe_key_count; i++) all[i] = last_part(nc_recipe_keys[i].path);
    nearest = all ? nacre_nearest(name, all) : NULL;
    for (int i = 0; nearest && i < nc_recipe_key_count; i++)
        if (all[i] == nearest) return nc_recipe_keys[i].path;
    return NULL;
}

static nacre_status fail_unknown(const giver *by, const char *path, int line)
{
    nacre_pool *pool = &by->recipe->state->pool;
    char section[PATH_SIZE];
    snprintf(section, sizeof section, "%s", path);
    char *dot = strrchr(section, '.');
    *(dot ? dot : section) = 0;
    if (!is_section(section)) return fail_unknown(by, section, line);
    const char *meant = suggest(pool, section, last_part(path));
    if (meant)
        return nc_yaml_fail(pool->context, &by->origin, line, NACRE_ERROR_FORMAT,
                            "unknown key '%.200s'; did you mean '%s'?", path, meant);
    const char **names = names_in(pool, section);
    nacre_buffer list = nacre_buffer_create(pool->context);
    for (int i = 0; names && names[i]; i++) nacre_buffer_print(&list, "%s%s", i ? ", " : "", names[i]);
    nacre_status status = nc_yaml_fail(pool->context, &by->origin, line, NACRE_ERROR_FORMAT,
                                       "unknown key '%.200s'; there are %s", path, list.data ? list.data : "others");
    nacre_buffer_destroy(&list);
    return status;
}

/* ---- values that do not fit ---- */

static void print_choices(nacre_buffer *text, const char *choices)
{
    for (const char *c = choices; *c; c++)
        if (*c == '|')
            nacre_buffer_put(text, ", ", 2);
        else
            nacre_buffer_put(text, c, 1);
}

static void print_range(nacre_buffer *text, const nc_recipe_key *key)
{
    nacre_buffer_put(text, isinf(key->high) ? " of at least " : " from ", isinf(key->high) ? 13 : 6);
    nacre_buffer_number(text, key->low);
    if (isinf(key->high)) return;
    nacre_buffer_put(text, " to ", 4);
    nacre_buffer_number(text, key->high);
}

void nc_recipe_print_expected(nacre_buffer *text, const nc_recipe_key *key)
{
    switch (key->type) {
    case NC_KEY_BOOL: nacre_buffer_print(text, "true or false"); break;
    case NC_KEY_WHOLE: nacre_buffer_print(text, "a whole number"); break;
    case NC_KEY_NUMBER: nacre_buffer_print(text, "a number"); break;
    case NC_KEY_POSITIVE: nacre_buffer_print(text, "a number above 0"); break;
    case NC_KEY_PAIR: nacre_buffer_print(text, "two numbers"); break;
    case NC_KEY_TEXT: nacre_buffer_print(text, "a text"); break;
    case NC_KEY_SOURCE: nacre_buffer_print(text, "a name or path"); break;
    case NC_KEY_PATH: nacre_buffer_print(text, "a path"); break;
    case NC_KEY_CHOICE: nacre_buffer_print(text, "one of "); break;
    case NC_KEY_TEXTS: nacre_buffer_print(text, key->choices ? "a list of " : "a list of names"); break;
    case NC_KEY_STEPS: nacre_buffer_print(text, "a list of steps"); break;
    case NC_KEY_SETTINGS: nacre_buffer_print(text, "names with a number or text each"); break;
    case NC_KEY_WHOLES: nacre_buffer_print(text, "a list of whole numbers"); break;
    case NC_KEY_GROUPS: nacre_buffer_print(text, "patterns with rate, weight_decay or frozen each"); break;
    }
    if (key->choices) print_choices(text, key->choices);
    if (key->type == NC_KEY_WHOLE || key->type == NC_KEY_NUMBER || key->type == NC_KEY_PAIR ||
        key->type == NC_KEY_WHOLES)
        print_range(text, key);
    if (key->type == NC_KEY_POSITIVE && !isinf(key->high)) {
        nacre_buffer_print(text, " and at most ");
        nacre_buffer_number(text, key->high);
    }
    if (key->automatic) nacre_buffer_print(text, ", or auto");
}

static nacre_status fail_value(const giver *by, const nc_recipe_key *key, const nc_yaml *node)
{
    nacre_context *context = context_of(by->recipe);
    nacre_buffer expected = nacre_buffer_create(context);
    nc_recipe_print_expected(&expected, key);
    const char *kind = node->kind == NC_YAML_LIST  ? "a list"
                       : node->kind == NC_YAML_MAP ? "a section"
                       : *node->text               ? NULL
                                                   : "nothing";
    const char *quote = kind ? "" : node->plain ? "'" : "\"";
    nacre_status status =
        nc_yaml_fail(context, &by->origin, node->line, NACRE_ERROR_FORMAT, "'%s' must be %s, got %s%.100s%s", key->path,
                     expected.data ? expected.data : "something else", quote, kind ? kind : node->text, quote);
    nacre_buffer_destroy(&expected);
    return status;
}

/* ---- storing ---- */

static bool is_null(const nc_yaml *node)
{
    return node->kind == NC_YAML_SCALAR && node->plain &&
           (strcmp(node->text, "null") == 0 || strcmp(node->text, "~") == 0);
}

static bool read_number(const nc_yaml *node, double low, double high, double *number)
{
    return node->kind == NC_YAML_SCALAR && node->plain && nacre_parse_number(node->text, number) && *number >= low &&
           *number <= high;
}

static nacre_status store_bool(const giver *by, const nc_recipe_key *key, const nc_yaml *node, bool *field)
{
    bool is_true = node->kind == NC_YAML_SCALAR && node->plain && strcmp(node->text, "true") == 0;
    bool is_false = node->kind == NC_YAML_SCALAR && node->plain && strcmp(node->text, "false") == 0;
    if (!is_true && !is_false) return fail_value(by, key, node);
    *field = is_true;
    return NACRE_OK;
}

/* "auto", where the key knows it. */
static bool is_auto(const nc_recipe_key *key, const nc_yaml *node)
{
    return key->automatic && node->kind == NC_YAML_SCALAR && node->plain && strcmp(node->text, "auto") == 0;
}

static nacre_status store_whole(const giver *by, const nc_recipe_key *key, const nc_yaml *node, int64_t *field)
{
    double number = key->low - 1;
    if (!is_auto(key, node) &&
        (!read_number(node, key->low, fmin(key->high, 0x1p53), &number) || floor(number) != number))
        return fail_value(by, key, node);
    *field = (int64_t)number;
    return NACRE_OK;
}

static nacre_status store_number(const giver *by, const nc_recipe_key *key, const nc_yaml *node, double *field)
{
    double number = 0;
    if (!is_auto(key, node) &&
        (!read_number(node, key->low, key->high, &number) || (key->type == NC_KEY_POSITIVE && number <= 0)))
        return fail_value(by, key, node);
    *field = number;
    return NACRE_OK;
}

static nacre_status store_pair(const giver *by, const nc_recipe_key *key, const nc_yaml *node, double *field)
{
    double pair[2];
    if (node->kind != NC_YAML_LIST || node->count != 2 || !read_number(node->items, key->low, key->high, &pair[0]) ||
        !read_number(node->items->next, key->low, key->high, &pair[1]))
        return fail_value(by, key, node);
    memcpy(field, pair, sizeof pair);
    return NACRE_OK;
}

static nacre_status store_text(const giver *by, const nc_recipe_key *key, const nc_yaml *node, const char **field)
{
    if (node->kind != NC_YAML_SCALAR || !*node->text) return fail_value(by, key, node);
    *field = node->text;
    return NACRE_OK;
}

/* "mnist", but also "tabular_classics/iris": what the catalogue knows is a name, and "./..." a path. */
static bool names_data(const char *text)
{
    const nacre_catalogue_set *set;
    const char *name;
    if (!strchr(text, '/')) return true;
    for (int i = 0; (set = nacre_catalogue_at(i)); i++)
        for (int k = 0; (name = nacre_catalogue_dataset(set, k)); k++)
            if (!strcmp(text, name)) return true;
    return false;
}

/* A path lies where it was written: beside the recipe, or for overrides in the current folder. */
static nacre_status store_path(const giver *by, const nc_recipe_key *key, const nc_yaml *node, const char **field)
{
    nacre_pool *pool = &by->recipe->state->pool;
    if (node->kind != NC_YAML_SCALAR || !*node->text) return fail_value(by, key, node);
    bool is_name = key->type == NC_KEY_SOURCE && names_data(node->text);
    char *joined = nacre_path_join(pool->context, is_name ? "" : by->folder, node->text);
    const char *kept = joined ? nacre_pool_copy(pool, joined, strlen(joined)) : NULL;
    nacre_release(pool->context, joined);
    if (!kept) return NACRE_ERROR_MEMORY;
    by->recipe->state->given[key - nc_recipe_keys].path = node->text;
    *field = kept;
    return NACRE_OK;
}

/* The choices of a key, cut apart in the recipe's pool, ended by NULL; NULL: out of memory. */
static const char **names_of_choices(nacre_pool *pool, const char *choices)
{
    int count = 1;
    for (const char *c = choices; *c; c++) count += *c == '|';
    const char **names = nacre_pool_allocate(pool, (size_t)(count + 1) * sizeof *names);
    for (int i = 0; names && i < count; i++) {
        size_t length = strcspn(choices, "|");
        if (!(names[i] = nacre_pool_copy(pool, choices, length))) return NULL;
        choices += length + 1;
    }
    return names;
}

/* "top5" is what the choice "topK" stands for. */
static bool is_choice(const char *text, const char *choice)
{
    size_t length = strlen(choice);
    if (choice[length - 1] != 'K') return strcmp(text, choice) == 0;
    return strncmp(text, choice, length - 1) == 0 && text[length - 1] >= '1' && text[length - 1] <= '9' &&
           strspn(text + length - 1, "0123456789") == strlen(text) - (length - 1);
}

static nacre_status check_choice(const giver *by, const nc_recipe_key *key, const nc_yaml *node)
{
    nacre_pool *pool = &by->recipe->state->pool;
    const char *text = node->kind == NC_YAML_SCALAR ? node->text : "";
    const char **names = names_of_choices(pool, key->choices);
    if (!names) return NACRE_ERROR_MEMORY;
    for (int i = 0; names[i]; i++)
        if (is_choice(text, names[i])) return NACRE_OK;
    const char *nearest = nacre_nearest(text, names);
    if (!nearest) return fail_value(by, key, node);
    return nc_yaml_fail(pool->context, &by->origin, node->line, NACRE_ERROR_FORMAT,
                        "'%s' cannot be '%.100s'; did you mean '%s'?", key->path, text, nearest);
}

static nacre_status store_choice(const giver *by, const nc_recipe_key *key, const nc_yaml *node, const char **field)
{
    nacre_status status = check_choice(by, key, node);
    if (status == NACRE_OK) *field = node->text;
    return status;
}

static nacre_status store_texts(const giver *by, const nc_recipe_key *key, const nc_yaml *node,
                                const char *const **field)
{
    if (node->kind != NC_YAML_LIST) return fail_value(by, key, node);
    const char **texts = nacre_pool_allocate(&by->recipe->state->pool, (size_t)(node->count + 1) * sizeof *texts);
    if (!texts) return NACRE_ERROR_MEMORY;
    int count = 0;
    for (const nc_yaml *item = node->items; item; item = item->next) {
        if (item->kind != NC_YAML_SCALAR || !*item->text) return fail_value(by, key, item);
        nacre_status status = key->choices ? check_choice(by, key, item) : NACRE_OK;
        if (status != NACRE_OK) return status;
        texts[count++] = item->text;
    }
    *field = texts;
    return NACRE_OK;
}

/* One transform, which has to be one. */
static nacre_status check_step(const giver *by, const nc_recipe_key *key, const nc_yaml *item, const char *text)
{
    nacre_context *context = context_of(by->recipe);
    nacre_transforms *parsed = nacre_transforms_parse(context, text);
    if (parsed) {
        nacre_transforms_destroy(parsed);
        return NACRE_OK;
    }
    char message[512];
    nacre_status status = nacre_check(context);
    snprintf(message, sizeof message, "%s", nacre_message(context));
    nacre_clear(context);
    return nc_yaml_fail(context, &by->origin, item->line, status, "'%s': %s", key->path, message);
}

static bool is_open(const char *text)
{
    int depth = 0;
    for (; *text; text++) depth += (*text == '(') - (*text == ')');
    return depth > 0;
}

/* In a list within brackets a comma parts items: [crop(2, 3), flip] arrives as "crop(2", "3)", "flip". */
static nacre_status join_steps(const giver *by, const nc_recipe_key *key, const nc_yaml *node, nacre_buffer *step,
                               nacre_buffer *joined)
{
    for (const nc_yaml *item = node->items; item; item = item->next) {
        if (item->kind != NC_YAML_SCALAR || !*item->text || strpbrk(item->text, ";#\n"))
            return fail_value(by, key, item);
        nacre_buffer_print(step, "%s%s", step->size ? ", " : "", item->text);
        if (step->failed) return NACRE_ERROR_MEMORY;
        if (is_open(step->data) && item->next) continue;
        nacre_status status = check_step(by, key, item, step->data);
        if (status) return status;
        nacre_buffer_print(joined, "%s%s", joined->size ? "; " : "", step->data);
        nacre_buffer_clear(step);
    }
    return NACRE_OK;
}

static nacre_status store_steps(const giver *by, const nc_recipe_key *key, const nc_yaml *node, const char **field)
{
    nacre_pool *pool = &by->recipe->state->pool;
    if (node->kind != NC_YAML_LIST) return fail_value(by, key, node);
    nacre_buffer joined = nacre_buffer_create(pool->context), step = nacre_buffer_create(pool->context);
    nacre_status status = join_steps(by, key, node, &step, &joined);
    const char *kept = joined.failed ? NULL : nacre_pool_copy(pool, joined.data ? joined.data : "", joined.size);
    nacre_buffer_destroy(&step);
    nacre_buffer_destroy(&joined);
    if (status == NACRE_OK && !kept) status = NACRE_ERROR_MEMORY;
    if (status == NACRE_OK) *field = kept;
    return status;
}

static nacre_status read_setting(const giver *by, const nc_recipe_key *key, const nc_yaml *node, const char *name,
                                 nacre_setting *setting)
{
    if (node->kind != NC_YAML_SCALAR || !*node->text || is_null(node))
        return nc_yaml_fail(context_of(by->recipe), &by->origin, node->line, NACRE_ERROR_FORMAT,
                            "'%s.%.100s' must be a number or a text", key->path, name);
    *setting = (nacre_setting){.name = name, .text = node->text};
    setting->is_number = node->plain && nacre_parse_number(node->text, &setting->number);
    return NACRE_OK;
}

static nacre_status store_settings(const giver *by, const nc_recipe_key *key, const nc_yaml *node,
                                   const nacre_setting **field)
{
    if (node->kind != NC_YAML_MAP) return fail_value(by, key, node);
    nacre_setting *settings =
        nacre_pool_allocate(&by->recipe->state->pool, (size_t)(node->count + 1) * sizeof *settings);
    if (!settings) return NACRE_ERROR_MEMORY;
    int count = 0;
    for (const nc_yaml *item = node->items; item; item = item->next) {
        nacre_status status = read_setting(by, key, item, item->key, &settings[count++]);
        if (status != NACRE_OK) return status;
    }
    *field = settings;
    return NACRE_OK;
}

static nacre_status store_wholes(const giver *by, const nc_recipe_key *key, const nc_yaml *node, const int64_t **field)
{
    if (node->kind != NC_YAML_LIST) return fail_value(by, key, node);
    int64_t *numbers = nacre_pool_allocate(&by->recipe->state->pool, (size_t)(node->count + 1) * sizeof *numbers);
    if (!numbers) return NACRE_ERROR_MEMORY;
    int count = 0;
    for (const nc_yaml *item = node->items; item; item = item->next) {
        nacre_status status = store_whole(by, key, item, &numbers[count++]);
        if (status != NACRE_OK) return status;
    }
    numbers[count] = -1;
    *field = numbers;
    return NACRE_OK;
}

static nacre_status store_group(const giver *by, const nc_recipe_key *key, const nc_yaml *node,
                                nacre_parameter_group *group)
{
    *group = (nacre_parameter_group){.pattern = node->key};
    if (node->kind != NC_YAML_MAP) return fail_value(by, key, node);
    for (const nc_yaml *item = node->items; item; item = item->next) {
        bool known = true;
        if (strcmp(item->key, "rate") == 0)
            known = read_number(item, 0, INFINITY, &group->rate) && group->rate > 0;
        else if (strcmp(item->key, "weight_decay") == 0)
            known = group->has_weight_decay = read_number(item, 0, INFINITY, &group->weight_decay);
        else if (strcmp(item->key, "frozen") != 0)
            known = false;
        else if (store_bool(by, key, item, &group->frozen) != NACRE_OK)
            return nacre_check(context_of(by->recipe));
        if (!known)
            return nc_yaml_fail(
                context_of(by->recipe), &by->origin, item->line, NACRE_ERROR_FORMAT,
                "'%s': \"%.100s\" may have a rate above 0, a weight_decay of at least 0 and frozen, got "
                "%.100s",
                key->path, node->key, item->key);
    }
    return NACRE_OK;
}

static nacre_status store_groups(const giver *by, const nc_recipe_key *key, const nc_yaml *node,
                                 const nacre_parameter_group **field)
{
    if (node->kind != NC_YAML_MAP) return fail_value(by, key, node);
    nacre_parameter_group *groups =
        nacre_pool_allocate(&by->recipe->state->pool, (size_t)(node->count + 1) * sizeof *groups);
    if (!groups) return NACRE_ERROR_MEMORY;
    int count = 0;
    for (const nc_yaml *item = node->items; item; item = item->next) {
        nacre_status status = store_group(by, key, item, &groups[count++]);
        if (status != NACRE_OK) return status;
    }
    groups[count] = (nacre_parameter_group){0};
    *field = groups;
    return NACRE_OK;
}

/* One name of an open key: replaces the setting of that name or adds it. */
static nacre_status store_setting(const giver *by, const nc_recipe_key *key, const char *name, const nc_yaml *node,
                                  const nacre_setting **field)
{
    nacre_pool *pool = &by->recipe->state->pool;
    int count = 0, index = -1;
    for (; *field && (*field)[count].name; count++)
        if (strcmp((*field)[count].name, name) == 0) index = count;
    nacre_setting *settings = nacre_pool_allocate(pool, (size_t)(count + 2) * sizeof *settings);
    const char *kept = nacre_pool_copy(pool, name, strlen(name));
    if (!settings || !kept) return NACRE_ERROR_MEMORY;
    if (count) memcpy(settings, *field, (size_t)count * sizeof *settings);
    nacre_status status = read_setting(by, key, node, kept, &settings[index < 0 ? count : index]);
    if (status == NACRE_OK) *field = settings;
    return status;
}

static void *field_of(nacre_recipe *recipe, const nc_recipe_key *key)
{
    return (char *)recipe + key->offset;
}

static nacre_status store_value(const giver *by, const nc_recipe_key *key, const nc_yaml *node)
{
    void *field = field_of(by->recipe, key);
    switch (key->type) {
    case NC_KEY_BOOL: return store_bool(by, key, node, field);
    case NC_KEY_WHOLE: return store_whole(by, key, node, field);
    case NC_KEY_NUMBER:
    case NC_KEY_POSITIVE: return store_number(by, key, node, field);
    case NC_KEY_PAIR: return store_pair(by, key, node, field);
    case NC_KEY_TEXT: return store_text(by, key, node, field);
    case NC_KEY_SOURCE:
    case NC_KEY_PATH: return store_path(by, key, node, field);
    case NC_KEY_CHOICE: return store_choice(by, key, node, field);
    case NC_KEY_TEXTS: return store_texts(by, key, node, field);
    case NC_KEY_STEPS: return store_steps(by, key, node, field);
    case NC_KEY_SETTINGS: return store_settings(by, key, node, field);
    case NC_KEY_WHOLES: return store_wholes(by, key, node, field);
    case NC_KEY_GROUPS: return store_groups(by, key, node, field);
    }
    return NACRE_ERROR_STATE;
}

/* Defaults are written in the table as they would be in a file. */
static nacre_status store_default(nacre_recipe *recipe, const nc_recipe_key *key)
{
    recipe->state->given[key - nc_recipe_keys] = (nc_given){0};
    if (!key->fallback) { /* such keys are all pointers */
        *(const void **)field_of(recipe, key) = NULL;
        return NACRE_OK;
    }
    giver table = {.recipe = recipe, .origin = {.name = key->path}, .folder = ""};
    nc_yaml scalar = {.text = key->fallback, .plain = true};
    const nc_yaml *node = &scalar;
    if (key->fallback[0] == '[')
        node = nc_yaml_parse(&recipe->state->pool, &table.origin, key->fallback, strlen(key->fallback));
    return node ? store_value(&table, key, node) : NACRE_ERROR_MEMORY;
}

/* ---- giving ---- */

static nacre_status give_key(const giver *by, const nc_recipe_key *key, const char *name, const nc_yaml *node)
{
    nacre_recipe *recipe = by->recipe;
    if (is_null(node) && !name) return store_default(recipe, key);
    nacre_status status = name ? store_setting(by, key, name, node, field_of(recipe, key)) : store_value(by, key, node);
    nc_given *given = &recipe->state->given[key - nc_recipe_keys];
    given->origin = by->origin;
    given->line = node->line;
    return status;
}

/* Everything that stands at a path: a key's value, one name of an open key, or a section with more keys. */
static nacre_status give(const giver *by, const char *path, const nc_yaml *node)
{
    const char *name = NULL;
    const nc_recipe_key *key = find_key(path);
    if (key) return give_key(by, key, NULL, node);
    key = find_owner(path, &name);
    if (key) return give_key(by, key, name, node);
    if (!is_section(path)) return fail_unknown(by, path, node->line);

    bool is_empty = node->kind == NC_YAML_SCALAR && node->plain && (!*node->text || is_null(node));
    if (node->kind != NC_YAML_MAP && !is_empty)
        return nc_yaml_fail(context_of(by->recipe), &by->origin, node->line, NACRE_ERROR_FORMAT,
                            "%s%s%s must be a section of keys", *path ? "'" : "a recipe", path, *path ? "'" : "");
    nacre_status status = NACRE_OK;
    for (const nc_yaml *item = node->items; item && status == NACRE_OK; item = item->next) {
        char inner[PATH_SIZE];
        snprintf(inner, sizeof inner, "%s%s%s", path, *path ? "." : "", item->key);
        status = give(by, inner, item);
    }
    return status;
}

static nacre_status give_setting(nacre_recipe *recipe, const char *setting)
{
    nacre_pool *pool = &recipe->state->pool;
    const char *origin = print_in_pool(pool, "--set %s", setting);
    if (!origin) return NACRE_ERROR_MEMORY;

    giver by = {.recipe = recipe, .origin = {.name = origin}, .folder = ""};
    const char *equals = strchr(setting, '=');
    size_t length = equals ? (size_t)(equals - setting) : 0;
    if (length == 0 || length >= PATH_SIZE)
        return nc_yaml_fail(pool->context, &by.origin, 0, NACRE_ERROR_ARGUMENT,
                            "expected KEY=VALUE, such as training.epochs=3");
    char path[PATH_SIZE];
    memcpy(path, setting, length);
    path[length] = 0;
    nc_yaml nothing = {.text = "", .plain = true};
    const char *value = equals + 1;
    const nc_yaml *node =
        value[strspn(value, " \t")] ? nc_yaml_parse(pool, &by.origin, value, strlen(value)) : &nothing;
    return node ? give(&by, path, node) : nacre_check(pool->context);
}

/* ---- checks across keys ---- */

static const nc_given *given(const nacre_recipe *recipe, const char *path)
{
    const nc_recipe_key *key = find_key(path);
    return key ? &recipe->state->given[key - nc_recipe_keys] : NULL;
}

bool nc_recipe_is_given(const nacre_recipe *recipe, const char *path)
{
    const nc_given *place = given(recipe, path);
    return place && place->origin.name;
}

nacre_status nacre_recipe_fail(const nacre_recipe *recipe, const char *key, nacre_status status, const char *format,
                               ...)
{
    char message[640];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(message, sizeof message, format, arguments);
    va_end(arguments);
    const nc_given *place = given(recipe, key);
    bool is_given = place && place->origin.name;
    return nc_yaml_fail(context_of(recipe), is_given ? &place->origin : &recipe->state->origin,
                        is_given ? place->line : 0, status, "'%s' %s", key, message);
}

static nacre_status check(const nacre_recipe *recipe)
{
    if (!recipe->data.source)
        return nacre_recipe_fail(recipe, "data.source", NACRE_ERROR_FORMAT, "is missing: which data set?");
    int models = (recipe->model.zoo != NULL) + (recipe->model.file != NULL) + (recipe->model.text != NULL);
    if (models == 0)
        return nacre_recipe_fail(recipe, "model", NACRE_ERROR_FORMAT,
                                 "is missing: give model.zoo, model.file or model.text");
    if (models > 1)
        return nacre_recipe_fail(recipe, recipe->model.zoo ? "model.zoo" : "model.file", NACRE_ERROR_FORMAT,
                                 "stands beside model.%s; give one (--set takes one away: model.%s=null)",
                                 recipe->model.text ? "text" : "file", recipe->model.text ? "text" : "file");
    if (recipe->optimizer.nesterov && recipe->optimizer.momentum == 0)
        return nacre_recipe_fail(recipe, "optimizer.nesterov", NACRE_ERROR_FORMAT, "needs optimizer.momentum");
    if (recipe->training.batch_size > 0 && recipe->training.accumulate % recipe->training.batch_size != 0)
        return nacre_recipe_fail(recipe, "training.accumulate", NACRE_ERROR_FORMAT,
                                 "must be a multiple of training.batch_size, which is %lld",
                                 (long long)recipe->training.batch_size);
    if (recipe->schedule.warmup_epochs > 0 && recipe->schedule.warmup_steps > 0)
        return nacre_recipe_fail(recipe, "schedule.warmup_steps", NACRE_ERROR_FORMAT,
                                 "stands beside schedule.warmup_epochs; give one");
    if (recipe->optimizer.learning_rate > 0 && recipe->schedule.min_rate > recipe->optimizer.learning_rate)
        return nacre_recipe_fail(recipe, "schedule.min_rate", NACRE_ERROR_FORMAT,
                                 "is larger than optimizer.learning_rate");
    return NACRE_OK;
}

/* ---- recipes ---- */

static nacre_recipe *create(nacre_context *context, const char *origin)
{
    nacre_recipe *recipe = nacre_allocate(context, sizeof *recipe);
    struct nacre_recipe_state *state = nacre_allocate(context, sizeof *state);
    if (!recipe || !state) {
        nacre_release(context, recipe);
        nacre_release(context, state);
        return NULL;
    }
    recipe->state = state;
    *state = (struct nacre_recipe_state){.context = context, .pool = {.context = context}};
    const char *slash = strrchr(origin, '/');
    state->folder = nacre_pool_copy(&state->pool, origin, slash ? (size_t)(slash - origin) + 1 : 0);
    state->origin = (nc_origin){.name = nacre_pool_copy(&state->pool, origin, strlen(origin)), .has_lines = true};
    state->given = nacre_pool_allocate(&state->pool, (size_t)nc_recipe_key_count * sizeof *state->given);
    bool done = state->folder && state->origin.name && state->given;
    for (int i = 0; done && i < nc_recipe_key_count; i++) done = store_default(recipe, &nc_recipe_keys[i]) == NACRE_OK;
    if (done) return recipe;
    nacre_recipe_destroy(recipe);
    return NULL;
}

/* "recipes/mnist.yaml" -> "mnist" */
static nacre_status name_after_file(nacre_recipe *recipe)
{
    const char *file = recipe->state->origin.name + strlen(recipe->state->folder), *dot = strrchr(file, '.');
    size_t length = dot && dot > file ? (size_t)(dot - file) : strlen(file);
    recipe->name = nacre_pool_copy(&recipe->state->pool, file, length);
    return recipe->name ? NACRE_OK : NACRE_ERROR_MEMORY;
}

static nacre_status read_recipe(nacre_recipe *recipe, const char *text, size_t size, const char *const *settings)
{
    struct nacre_recipe_state *state = recipe->state;
    giver file = {.recipe = recipe, .origin = state->origin, .folder = state->folder};
    const nc_yaml *root = nc_yaml_parse(&state->pool, &state->origin, text, size);
    nacre_status status = root ? give(&file, "", root) : nacre_check(state->context);
    for (; settings && *settings && status == NACRE_OK; settings++) status = give_setting(recipe, *settings);
    if (status == NACRE_OK && !recipe->name) status = name_after_file(recipe);
    return status == NACRE_OK ? check(recipe) : status;
}

nacre_recipe *nacre_recipe_parse(nacre_context *context, const char *text, size_t size, const char *origin,
                                 const char *const *settings)
{
    nacre_recipe *recipe = create(context, origin ? origin : "recipe");
    if (recipe && read_recipe(recipe, text, size, settings) != NACRE_OK) {
        nacre_recipe_destroy(recipe);
        return NULL;
    }
    return recipe;
}

nacre_recipe *nacre_recipe_load(nacre_context *context, const char *path, const char *const *settings)
{
    size_t size;
    char *text = nacre_file_read(context, path, 0, &size);
    nacre_recipe *recipe = text ? nacre_recipe_parse(context, text, size, path, settings) : NULL;
    nacre_release(context, text);
    return recipe;
}

/* The paths and lines of what the overrides have left as it was. */
static nacre_status keep_places(nacre_recipe *copy, const nacre_recipe *recipe)
{
    nacre_pool *pool = &copy->state->pool;
    for (int i = 0; i < nc_recipe_key_count; i++) {
        const nc_recipe_key *key = &nc_recipe_keys[i];
        nc_given *given = &copy->state->given[i];
        const nc_given *before = &recipe->state->given[i];
        if (!given->origin.has_lines) continue;
        if (before->origin.has_lines) given->line = before->line;
        if (!before->path || !strchr(before->path, '/') || (key->type == NC_KEY_SOURCE && names_data(before->path)))
            continue;
        char *path = realpath(*(const char *const *)((const char *)recipe + key->offset), NULL);
        const char *kept = path ? path : before->path; /* what is not there will be complained of by its own name */
        const char **field = field_of(copy, key);
        *field = given->path = nacre_pool_copy(pool, kept, strlen(kept));
        free(path);
        if (!*field) return NACRE_ERROR_MEMORY;
    }
    return NACRE_OK;
}

nacre_recipe *nacre_recipe_copy(const nacre_recipe *recipe, const char *const *settings)
{
    nacre_context *context = context_of(recipe);
    nacre_buffer text = nacre_buffer_create(context);
    nacre_recipe_print(recipe, false, &text);
    nacre_recipe *copy =
        text.failed ? NULL : nacre_recipe_parse(context, text.data, text.size, recipe->state->origin.name, settings);
    nacre_buffer_destroy(&text);
    if (copy && keep_places(copy, recipe) == NACRE_OK) return copy;
    nacre_recipe_destroy(copy);
    return NULL;
}

void nacre_recipe_destroy(nacre_recipe *recipe)
{
    if (!recipe) return;
    nacre_context *context = context_of(recipe);
    nacre_pool_destroy(&recipe->state->pool);
    nacre_release(context, recipe->state);
    nacre_release(context, recipe);
}

nacre_status nacre_recipe_set(nacre_recipe *recipe, const char *setting)
{
    struct nacre_recipe_state *state = recipe->state;
    size_t size = (size_t)nc_recipe_key_count * sizeof *state->given;
    nc_given *kept_given = nacre_pool_allocate(&state->pool, size);
    if (!kept_given) return NACRE_ERROR_MEMORY;
    memcpy(kept_given, state->given, size);
    nacre_recipe kept = *recipe;
    nacre_status status = give_setting(recipe, setting);
    if (status == NACRE_OK && !recipe->name) status = name_after_file(recipe);
    if (status == NACRE_OK) status = check(recipe);
    if (status != NACRE_OK) {
        *recipe = kept;
        state->given = kept_given;
    }
    return status;
}

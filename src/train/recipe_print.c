/* train/recipe_print.c - recipes as YAML again, and the reference of their keys. */
#include "train/recipe.h"

#include <string.h>

/* ---- values ---- */

/* The lines of a text as a literal block. */
static void print_block(nacre_buffer *text, const char *block, int indent)
{
    nacre_buffer_print(text, block[strlen(block) - 1] == '\n' ? "|" : "|-");
    for (const char *line = block; *line;) {
        size_t size = strcspn(line, "\n");
        nacre_buffer_print(text, "\n%*s", size ? indent : 0, "");
        nacre_buffer_put(text, line, size);
        line += size + (line[size] == '\n');
    }
}

static void print_texts(nacre_buffer *text, const char *const *texts)
{
    nacre_buffer_put(text, "[", 1);
    for (int i = 0; texts[i]; i++) {
        if (i) nacre_buffer_put(text, ", ", 2);
        nc_yaml_print_text(text, texts[i], true);
    }
    nacre_buffer_put(text, "]", 1);
}

/* "a; b" as a list with a line for each step. */
static void print_steps(nacre_buffer *text, const char *steps, int indent)
{
    if (!*steps) nacre_buffer_put(text, "[]", 2);
    nacre_buffer step = nacre_buffer_create(text->context);
    while (*steps) {
        size_t size = strcspn(steps, ";");
        nacre_buffer_clear(&step);
        nacre_buffer_put(&step, steps, size);
        nacre_buffer_print(text, "\n%*s- ", indent, "");
        if (!step.failed) nc_yaml_print_text(text, step.data, false);
        steps += size;
        steps += strspn(steps, "; ");
    }
    text->failed |= step.failed;
    nacre_buffer_destroy(&step);
}

static void print_settings(nacre_buffer *text, const nacre_setting *settings)
{
    nacre_buffer_put(text, "{", 1);
    for (int i = 0; settings[i].name; i++) {
        if (i) nacre_buffer_put(text, ", ", 2);
        nc_yaml_print_text(text, settings[i].name, true);
        nacre_buffer_put(text, ": ", 2);
        if (settings[i].is_number)
            nacre_buffer_number(text, settings[i].number);
        else
            nc_yaml_print_text(text, settings[i].text, true);
    }
    nacre_buffer_put(text, "}", 1);
}

static void print_wholes(nacre_buffer *text, const int64_t *numbers)
{
    nacre_buffer_put(text, "[", 1);
    for (int i = 0; numbers[i] >= 0; i++) nacre_buffer_print(text, "%s%lld", i ? ", " : "", (long long)numbers[i]);
    nacre_buffer_put(text, "]", 1);
}

static void print_groups(nacre_buffer *text, const nacre_parameter_group *groups)
{
    nacre_buffer_put(text, "{", 1);
    for (const nacre_parameter_group *group = groups; group->pattern; group++) {
        if (group != groups) nacre_buffer_put(text, ", ", 2);
        nc_yaml_print_text(text, group->pattern, true);
        nacre_buffer_print(text, ": {frozen: %s", group->frozen ? "true" : "false");
        if (group->rate != 0) {
            nacre_buffer_print(text, ", rate: ");
            nacre_buffer_number(text, group->rate);
        }
        if (group->has_weight_decay) {
            nacre_buffer_print(text, ", weight_decay: ");
            nacre_buffer_number(text, group->weight_decay);
        }
        nacre_buffer_put(text, "}", 1);
    }
    nacre_buffer_put(text, "}", 1);
}

bool nc_recipe_is_auto(const nacre_recipe *recipe, const nc_recipe_key *key)
{
    const void *field = (const char *)recipe + key->offset;
    if (!key->automatic) return false;
    return key->type == NC_KEY_WHOLE ? (double)*(const int64_t *)field < key->low : *(const double *)field <= 0;
}

/* The value of a key as it stands after "key:"; `indent` is that of lines of its own. */
static void print_value(nacre_buffer *text, const nacre_recipe *recipe, const nc_recipe_key *key, int indent)
{
    const void *field = (const char *)recipe + key->offset;
    const double *numbers = field;
    const char *const *texts = field;
    const char *path = recipe->state->given[key - nc_recipe_keys].path;
    if (key->type != NC_KEY_STEPS || !**texts) nacre_buffer_put(text, " ", 1);
    if (nc_recipe_is_auto(recipe, key)) {
        nacre_buffer_print(text, "auto");
        return;
    }
    switch (key->type) {
    case NC_KEY_BOOL: nacre_buffer_print(text, *(const bool *)field ? "true" : "false"); break;
    case NC_KEY_WHOLE: nacre_buffer_print(text, "%lld", (long long)*(const int64_t *)field); break;
    case NC_KEY_NUMBER:
    case NC_KEY_POSITIVE: nacre_buffer_number(text, *numbers); break;
    case NC_KEY_PAIR:
        nacre_buffer_put(text, "[", 1);
        nacre_buffer_number(text, numbers[0]);
        nacre_buffer_put(text, ", ", 2);
        nacre_buffer_number(text, numbers[1]);
        nacre_buffer_put(text, "]", 1);
        break;
    case NC_KEY_TEXT:
    case NC_KEY_CHOICE:
        if (nc_yaml_can_be_block(*texts))
            print_block(text, *texts, indent);
        else
            nc_yaml_print_text(text, *texts, false);
        break;
    case NC_KEY_SOURCE:
    case NC_KEY_PATH: nc_yaml_print_text(text, path, false); break;
    case NC_KEY_TEXTS: print_texts(text, *(const char *const *const *)field); break;
    case NC_KEY_STEPS: print_steps(text, *texts, indent); break;
    case NC_KEY_SETTINGS: print_settings(text, *(const nacre_setting *const *)field); break;
    case NC_KEY_WHOLES: print_wholes(text, *(const int64_t *const *)field); break;
    case NC_KEY_GROUPS: print_groups(text, *(const nacre_parameter_group *const *)field); break;
    }
}

/* ---- recipes ---- */

/* Opens the sections that `path` has and `before` has not: "training:\n  early_stopping:\n". Returns the depth. */
static int print_sections(nacre_buffer *text, const char *path, const char *before)
{
    int depth = 0;
    bool open = true; /* all sections so far are those of `before` */
    for (const char *dot; (dot = strchr(path, '.')); path = dot + 1, depth++) {
        size_t length = (size_t)(dot - path);
        open = open && strncmp(path, before, length + 1) == 0;
        if (open)
            before += length + 1;
        else
            nacre_buffer_print(text, "%*s%.*s:\n", 2 * depth, "", (int)length, path);
    }
    return depth;
}

/* Keys without a default are all pointers. */
static bool has_value(const nacre_recipe *recipe, const nc_recipe_key *key)
{
    return key->fallback || *(const void *const *)((const char *)recipe + key->offset);
}

nacre_status nacre_recipe_print(const nacre_recipe *recipe, bool complete, nacre_buffer *text)
{
    const char *before = "";
    for (int i = 0; i < nc_recipe_key_count; i++) {
        const nc_recipe_key *key = &nc_recipe_keys[i];
        bool is_given = recipe->state->given[i].origin.name;
        if (!has_value(recipe, key) || (!is_given && !complete)) continue;
        int depth = print_sections(text, key->path, before);
        const char *dot = strrchr(key->path, '.');
        nacre_buffer_print(text, "%*s%s:", 2 * depth, "", dot ? dot + 1 : key->path);
        print_value(text, recipe, key, 2 * depth + 2);
        nacre_buffer_put(text, "\n", 1);
        before = key->path;
    }
    return text->failed ? NACRE_ERROR_MEMORY : NACRE_OK;
}

nacre_status nacre_recipe_save(const nacre_recipe *recipe, const char *path)
{
    nacre_context *context = recipe->state->context;
    nacre_buffer text = nacre_buffer_create(context);
    nacre_recipe_print(recipe, false, &text);
    if (!text.failed) nacre_file_write(context, path, text.data, text.size);
    nacre_buffer_destroy(&text);
    return nacre_check(context);
}

/* ---- the reference ---- */

bool nacre_recipe_key_at(int index, nacre_recipe_key *key, nacre_buffer *text)
{
    if (index < 0 || index >= nc_recipe_key_count) return false;
    const nc_recipe_key *row = &nc_recipe_keys[index];
    nacre_buffer_clear(text);
    nc_recipe_print_expected(text, row);
    if (text->failed) return false;
    *key = (nacre_recipe_key){.path = row->path, .value = text->data, .fallback = row->fallback, .doc = row->doc};
    return true;
}

static const char INTRODUCTION[] =
    "# Recipes\n"
    "\n"
    "A recipe is one YAML file that says which data, which model and how to train it. `nacre train recipe.yaml`\n"
    "follows it; the finished model carries it along.\n"
    "\n"
    "```yaml\n"
    "data:\n"
    "  source: fashion_mnist\n"
    "  transforms:\n"
    "    - random_crop(28, padding=2)\n"
    "    - horizontal_flip\n"
    "    - scale(1/255)\n"
    "model:\n"
    "  zoo: lenet\n"
    "optimizer:\n"
    "  name: adamw\n"
    "  learning_rate: 0.002\n"
    "training:\n"
    "  epochs: 12\n"
    "```\n"
    "\n"
    "`data.source` and one of `model.zoo`, `model.file` and `model.text` must be given; everything else has a "
    "default.\n"
    "A key that does not exist, a value of the wrong kind or out of range, or a key given twice stops the run before "
    "it\n"
    "begins, with the file and line:\n"
    "\n"
    "    recipes/mine.yaml:12: unknown key 'training.epoch'; did you mean 'training.epochs'?\n"
    "\n"
    "On the command line `--set training.epochs=3` gives any key another value. The value is YAML, too\n"
    "(`--set 'optimizer.betas=[0.9, 0.99]'`), and `null` takes a key back to its default. Paths in a recipe are "
    "relative\n"
    "to the recipe, paths after `--set` to the current folder.\n"
    "Anchors, aliases, tags and several documents in one file are refused.\n";

/* Text inside a cell of a Markdown table. */
static void print_cell(nacre_buffer *text, const char *cell)
{
    for (; *cell; cell++) nacre_buffer_print(text, *cell == '|' ? "\\|" : "%c", *cell);
}

void nacre_recipe_document(nacre_buffer *text)
{
    nacre_buffer_put(text, INTRODUCTION, sizeof INTRODUCTION - 1);
    nacre_buffer value = nacre_buffer_create(text->context);
    const char *section = NULL;
    nacre_recipe_key key;
    for (int i = 0; nacre_recipe_key_at(i, &key, &value); i++) {
        size_t length = strcspn(key.path, ".");
        if (!section || strncmp(section, key.path, length) != 0 || section[length] != key.path[length]) {
            nacre_buffer_print(text, "\n## %.*s\n\n| key | value | default | meaning |\n|---|---|---|---|\n",
                               (int)length, key.path);
            section = key.path;
        }
        nacre_buffer_print(text, "| `%s` | %s | ", key.path, key.value);
        if (key.fallback) nacre_buffer_print(text, "`%s`", key.fallback);
        nacre_buffer_put(text, " | ", 3);
        print_cell(text, key.doc);
        nacre_buffer_put(text, " |\n", 3);
    }
    text->failed |= value.failed;
    nacre_buffer_destroy(&value);
}

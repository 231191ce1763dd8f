/* train/keep.c - saved models of several epochs, the best of them or all. */
#include "train/train.h"

#include <nacre/io.h>

#include <dirent.h>
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { NAME_SIZE = 160 };

/* One file, as its name says. */
typedef struct kept {
    int64_t epoch;
    double value;
    char name[NAME_SIZE];
} kept;

typedef struct keeper {
    nacre_context *context;
    nacre_keep_options options;
    char *folder;
    kept *files;
    int count, capacity;
} keeper;

/* ---- names ---- */

/* "epoch-012-accuracy-0.921300.safetensors": epoch and figure, wherever the dashes of the figure's name are. */
static bool parse_name(const char *name, kept *file)
{
    static const char head[] = "epoch-", tail[] = ".safetensors";
    size_t length = strlen(name), head_size = sizeof head - 1, tail_size = sizeof tail - 1;
    char number[NAME_SIZE], *end;
    if (length >= NAME_SIZE || length < head_size + tail_size || strncmp(name, head, head_size) != 0) return false;
    if (strcmp(name + length - tail_size, tail) != 0) return false;
    file->epoch = strtoll(name + head_size, &end, 10);
    snprintf(number, sizeof number, "%.*s", (int)(length - tail_size), name);
    const char *dash = strrchr(number, '-');
    if (dash > number && dash[-1] == '-') dash--; /* the figure is negative */
    if (end == name + head_size || *end != '-' || file->epoch < 1) return false;
    file->value = NAN;
    return !strcmp(dash + 1, "nan") || nacre_parse_number(dash + 1, &file->value);
}

static kept name_file(const nacre_fit_event *event)
{
    kept file = {.epoch = event->epoch};
    snprintf(file.name, sizeof file.name, "epoch-%03lld-%.60s-%.6f.safetensors", (long long)event->epoch,
             event->deciding, event->deciding_value);
    parse_name(file.name, &file); /* what counts is what the name says, so that a resumed run decides alike */
    return file;
}

/* ---- the list ---- */

static nacre_status add_file(keeper *all, const kept *file)
{
    if (all->count == all->capacity) {
        int capacity = all->capacity ? 2 * all->capacity : 8;
        kept *files = nacre_resize(all->context, all->files, (size_t)capacity * sizeof *files);
        if (!files) return NACRE_ERROR_MEMORY;
        all->files = files;
        all->capacity = capacity;
    }
    all->files[all->count++] = *file;
    return NACRE_OK;
}

static nacre_status remove_file(keeper *all, int index)
{
    char *path = nacre_path_join(all->context, all->folder, all->files[index].name);
    nacre_status status = path ? nacre_file_remove(all->context, path) : NACRE_ERROR_MEMORY;
    nacre_release(all->context, path);
    all->files[index] = all->files[--all->count];
    return status;
}

/* Takes over what is there of epochs before `epoch` and removes the rest, which comes again. */
static nacre_status read_folder(keeper *all, int64_t epoch)
{
    if (nacre_make_directories(all->context, all->folder)) return nacre_check(all->context);
    DIR *entries = opendir(all->folder);
    if (!entries) return nacre_fail(all->context, NACRE_ERROR_IO, "cannot read '%s': %s", all->folder, strerror(errno));
    nacre_status status = NACRE_OK;
    kept file;
    for (const struct dirent *entry; status == NACRE_OK && (entry = readdir(entries));)
        if (parse_name(entry->d_name, &file)) {
            snprintf(file.name, sizeof file.name, "%s", entry->d_name);
            status = add_file(all, &file);
        }
    closedir(entries);
    for (int i = all->count - 1; status == NACRE_OK && i >= 0; i--)
        if (all->files[i].epoch >= epoch) status = remove_file(all, i);
    return status;
}

/* ---- epochs ---- */

/* NaN is worse than any number; of equals the older one is better. */
static bool is_worse(const kept *a, const kept *b, bool higher)
{
    if (isnan(a->value) != isnan(b->value)) return isnan(a->value);
    if (a->value != b->value && !isnan(a->value)) return higher ? a->value < b->value : a->value > b->value;
    return a->epoch > b->epoch;
}

static int find_worst(const keeper *all, bool higher)
{
    int worst = 0;
    for (int i = 1; i < all->count; i++)
        if (is_worse(&all->files[i], &all->files[worst], higher)) worst = i;
    return worst;
}

static nacre_status save_epoch(keeper *all, const nacre_fit_event *event)
{
    bool higher = nacre_metric_higher_is_better(event->deciding);
    bool full = all->options.keep > 0 && all->count >= all->options.keep;
    if (event->epoch % (all->options.every > 0 ? all->options.every : 1) != 0) return NACRE_OK;
    kept file = name_file(event);
    if (full && is_worse(&file, &all->files[find_worst(all, higher)], higher)) return NACRE_OK;
    char *path = nacre_path_join(all->context, all->folder, file.name);
    nacre_status status =
        path ? nacre_model_save(event->model, path, false, all->options.metadata, all->options.metadata_count)
             : NACRE_ERROR_MEMORY;
    nacre_release(all->context, path);
    if (status == NACRE_OK) status = add_file(all, &file);
    while (status == NACRE_OK && all->options.keep > 0 && all->count > all->options.keep)
        status = remove_file(all, find_worst(all, higher));
    return status;
}

/* ---- the callback ---- */

static nacre_fit_answer hear(void *user, const nacre_fit_event *event)
{
    keeper *all = user;
    if (event->kind == NACRE_FIT_BEGIN) read_folder(all, event->resumed ? event->epoch : 0);
    if (event->kind == NACRE_FIT_EPOCH) save_epoch(all, event);
    return NACRE_FIT_GO_ON;
}

static void destroy(void *user)
{
    keeper *all = user;
    nacre_context *context = all->context;
    nacre_release(context, all->folder);
    nacre_release(context, all->files);
    nacre_release(context, all);
}

nacre_callback nacre_keep_callback(nacre_context *context, const nacre_keep_options *options)
{
    keeper *all = nacre_allocate(context, sizeof *all);
    if (!all) return (nacre_callback){0};
    *all = (keeper){.context = context, .options = *options, .folder = nacre_duplicate(context, options->folder)};
    if (all->folder) return (nacre_callback){hear, all, destroy};
    destroy(all);
    return (nacre_callback){0};
}

/* data/open.c - from a name or a path to a dataset. */
#include "data/album.h"
#include "data/catalogue.h"
#include "data/dataset.h"
#include "data/stream.h"
#include "data/table.h"

#include <stdlib.h>
#include <string.h>

/* ---- paths ---- */

/* Whether an archive holds pictures or tables, by the first name that tells. */
static nacre_status look_inside(nacre_context *context, const char *path, bool *pictures, bool *tables)
{
    nc_archive *archive = nc_archive_open(context, path);
    if (!archive) return nacre_check(context);
    nacre_status status = NACRE_OK;
    for (const char *member; status == NACRE_OK && !*pictures;) {
        status = nc_archive_next(archive, &member);
        if (status != NACRE_OK || !member) break;
        *pictures = nacre_image_has_name(member);
        *tables = *tables || nc_is_table_name(member);
    }
    nc_archive_close(archive);
    return status;
}

static nacre_dataset *open_table(nacre_context *context, const char *path, const nacre_dataset_options *options)
{
    nacre_table *table = nacre_table_read(context, &path, 1, &options->table);
    return nacre_dataset_from_table(context, table, options);
}

static nacre_dataset *open_archive(nacre_context *context, const char *path, const nacre_dataset_options *options)
{
    bool pictures = false, tables = false;
    if (look_inside(context, path, &pictures, &tables) != NACRE_OK) return NULL;
    return tables && !pictures ? open_table(context, path, options) : nc_open_album(context, path, options, NULL);
}

static nacre_dataset *open_path(nacre_context *context, const char *path, const nacre_dataset_options *options)
{
    if (nacre_path_is_directory(path))
        return nc_is_idx_folder(path) ? nc_open_idx(context, path, options)
                                      : nc_open_album(context, path, options, NULL);
    if (nc_ends_with(path, ".npz") || nc_ends_with(path, ".npy")) return nc_open_npz(context, path, options);
    if (nc_archive_has_name(path)) return open_archive(context, path, options);
    if (nc_is_table_name(path)) return open_table(context, path, options);
    if (nacre_image_has_name(path)) return nacre_dataset_from_pictures(context, &path, 1, options->channels);
    nacre_fail(context, NACRE_ERROR_UNSUPPORTED,
               "%s: what kind of data is this? Folders, archives, .csv .tsv .txt .data .npz .npy and pictures are read",
               path);
    return NULL;
}

/* ---- names ---- */

static nacre_dataset *fail_set(nacre_context *context, const nacre_catalogue_set *set)
{
    const char *first = nacre_catalogue_dataset(set, 0);
    if (!first) {
        nacre_fail(context, NACRE_ERROR_UNSUPPORTED, "%s: no reader opens this set by name yet (%s)", set->name,
                   set->files[0].format);
        return NULL;
    }
    nacre_buffer names = nacre_buffer_create(context);
    for (int i = 0; nacre_catalogue_dataset(set, i); i++)
        nacre_buffer_print(&names, "%s%s", i ? ", " : "", nacre_catalogue_dataset(set, i));
    nacre_fail(context, NACRE_ERROR_NOT_FOUND, "%s holds several datasets: %s", set->name,
               names.data ? names.data : first);
    nacre_buffer_destroy(&names);
    return NULL;
}

static nacre_dataset *fail_unknown(nacre_context *context, const char *source)
{
    const char *names[128] = {"glyphs"};
    int count = 1;
    for (int i = 0; nc_guide_at(i); i++) names[count++] = nc_guide_at(i)->name;
    for (int i = 0; nacre_catalogue_at(i); i++) names[count++] = nacre_catalogue_at(i)->name;
    const char *near = nacre_nearest(source, names);
    nacre_fail(context, NACRE_ERROR_NOT_FOUND,
               "'%s' is neither a file or folder nor a known dataset%s%s%s; run: nacre "
               "data list",
               source, near ? "; did you mean '" : "", near ? near : "", near ? "'?" : "");
    return NULL;
}

/* The set's name within "tabular_classics/iris". */
static const nacre_catalogue_set *set_of(const char *name)
{
    for (int i = 0; nacre_catalogue_at(i); i++) {
        const nacre_catalogue_set *set = nacre_catalogue_at(i);
        size_t size = strlen(set->name);
        if (!strncmp(name, set->name, size) && (name[size] == 0 || name[size] == '/')) return set;
    }
    return NULL;
}

static nacre_dataset *fail_absent(nacre_context *context, const char *name, const char *folder)
{
    const nacre_catalogue_set *set = set_of(name);
    if (!folder)
        nacre_fail(
            context, NACRE_ERROR_NOT_FOUND,
            "%s: where are the data sets? Name their folder with --data or NACRE_DATA; nacre data get %s brings it",
            name, set->name);
    else
        nacre_fail(context, NACRE_ERROR_NOT_FOUND, "%s is not in '%s'; run: nacre data get %s --data %s", name, folder,
                   set->name, folder);
    return NULL;
}

/* All files of the set are there, whatever is in them: the readers will tell. */
static bool is_present(nacre_context *context, const nacre_catalogue_set *set, const char *folder)
{
    bool present = true;
    for (int i = 0; present && i < set->file_count; i++) {
        char *path = nacre_path_join(context, folder, set->files[i].path);
        present = path && nacre_path_exists(path);
        nacre_release(context, path);
    }
    return present;
}

static nacre_dataset *open_source(nacre_context *context, const char *source, const nacre_dataset_options *options)
{
    if (!strcmp(source, "glyphs")) return nacre_glyphs(context, options->count, options->seed);
    const char *folder = options->folder ? options->folder : getenv("NACRE_DATA");
    const nc_guide *guide = nc_guide_find(source);
    if (guide && folder && is_present(context, set_of(source), folder))
        return nc_guide_open(context, guide, folder, options);
    if (nacre_path_exists(source) || strchr(source, ':')) return open_path(context, source, options);
    if (guide) return fail_absent(context, source, folder);
    const nacre_catalogue_set *set = nacre_catalogue_find(source);
    return set ? fail_set(context, set) : fail_unknown(context, source);
}

nacre_dataset *nacre_dataset_open(nacre_context *context, const char *source, const nacre_dataset_options *options)
{
    static const nacre_dataset_options DEFAULTS;
    nacre_dataset *dataset = open_source(context, source, options ? options : &DEFAULTS);
    if (!dataset || !options || !options->group || nacre_dataset_has_groups(dataset)) return dataset;
    nacre_fail(context, NACRE_ERROR_ARGUMENT, "%s: there is no column '%s' to group by; only tables have columns",
               source, options->group);
    nacre_dataset_destroy(dataset);
    return NULL;
}

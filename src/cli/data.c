/* cli/data.c - the data sets that Nacre knows: what they are, whether they are here, how they come here. */
#include "data_show.h"

#include <nacre/data.h>
#include <nacre/image.h>

#include <string.h>
#include <unistd.h>

/* ---- list -----------------------------------------------------------------------------------------------------------
 */

static bool is_here(nc_call *call, const nacre_catalogue_set *set)
{
    const char *folder = nc_data_folder(call);
    bool here = folder && nacre_catalogue_check(call->context, set, folder, false) == NACRE_OK;
    nacre_clear(call->context); /* a set that is not here is no failure */
    return here;
}

static void print_counts(int64_t train, int64_t test, int width)
{
    char text[64] = "-";
    if (train >= 0 && test > 0)
        snprintf(text, sizeof text, "%lld + %lld", (long long)train, (long long)test);
    else if (train >= 0)
        snprintf(text, sizeof text, "%lld", (long long)train);
    printf("%*s", width, text);
}

static void print_row(nc_call *call, const nacre_catalogue_set *set)
{
    char size[NC_SIZE_TEXT];
    bool here = is_here(call, set);
    printf("%s%-22s%s ", nc_style_code(stdout, here ? NC_GREEN : NC_PLAIN), set->name, nc_style_code(stdout, NC_PLAIN));
    print_counts(set->train, set->test, 15);
    printf("  %9s  %-4s  %s\n", nc_size_text(nacre_catalogue_bytes(set), size), here ? "here" : "-", set->task);
}

static void add_set(nc_call *call, cJSON *object, const nacre_catalogue_set *set)
{
    cJSON_AddStringToObject(object, "name", set->name);
    cJSON_AddStringToObject(object, "task", set->task);
    cJSON_AddStringToObject(object, "licence", set->licence);
    cJSON_AddNumberToObject(object, "train", (double)set->train);
    cJSON_AddNumberToObject(object, "test", (double)set->test);
    cJSON_AddNumberToObject(object, "bytes", (double)nacre_catalogue_bytes(set));
    cJSON_AddBoolToObject(object, "here", is_here(call, set));
}

static nc_exit list_json(nc_call *call)
{
    cJSON *object = cJSON_CreateObject(), *sets = cJSON_AddArrayToObject(object, "sets");
    const nacre_catalogue_set *set;
    for (int i = 0; (set = nacre_catalogue_at(i)); i++) {
        cJSON *entry = cJSON_CreateObject();
        cJSON_AddItemToArray(sets, entry);
        add_set(call, entry, set);
    }
    return nc_print_json(call, object);
}

static nc_exit list(nc_call *call)
{
    if (nc_flag(call, "json")) return list_json(call);
    const char *folder = nc_data_folder(call), *format = "%-22s %15s  %9s  %-4s  %s\n";
    const nacre_catalogue_set *set;
    printf(format, "name", "train + test", "size", "", "task");
    printf(format, "glyphs", "any number", "0 B", "here", "digits that the program draws itself");
    for (int i = 0; (set = nacre_catalogue_at(i)); i++) print_row(call, set);
    if (folder)
        printf("\nThe data folder is %s.\n", folder);
    else
        printf("\nNo data folder: name one with --data DIR or NACRE_DATA.\n");
    return NC_EXIT_DONE;
}

/* ---- info -----------------------------------------------------------------------------------------------------------
 */

static void print_set(nc_call *call, const nacre_catalogue_set *set)
{
    char size[NC_SIZE_TEXT];
    printf("%s%s%s: %s\n", nc_style_code(stdout, NC_BOLD), set->name, nc_style_code(stdout, NC_PLAIN), set->task);
    printf("  licence  %s\n  samples  ", set->licence);
    print_counts(set->train, set->test, 0);
    printf("\n  size     %s, %s\n", nc_size_text(nacre_catalogue_bytes(set), size),
           is_here(call, set)     ? "here"
           : nc_data_folder(call) ? "not in the data folder"
                                  : "no data folder is named");
    const char *name;
    for (int i = 0; (name = nacre_catalogue_dataset(set, i)); i++) printf("  open as  %s\n", name);
    for (int i = 0; i < set->file_count; i++) {
        const nacre_catalogue_file *file = &set->files[i];
        printf("\n  %s\n    %s, %s\n    sha256 %s\n", file->path, nc_size_text(file->bytes, size), file->format,
               file->sha256);
        if (file->source && file->source[0]) printf("    from %s\n", file->source);
        if (file->notes && file->notes[0]) nc_print_wrapped(stdout, file->notes, 0, 4, nc_width(stdout));
    }
}

static void add_files(cJSON *object, const nacre_catalogue_set *set)
{
    cJSON *files = cJSON_AddArrayToObject(object, "files");
    for (int i = 0; i < set->file_count; i++) {
        cJSON *entry = cJSON_CreateObject();
        cJSON_AddItemToArray(files, entry);
        cJSON_AddStringToObject(entry, "path", set->files[i].path);
        cJSON_AddStringToObject(entry, "sha256", set->files[i].sha256);
        cJSON_AddNumberToObject(entry, "bytes", (double)set->files[i].bytes);
    }
}

static int64_t count_part(nacre_dataset *dataset, nacre_part part)
{
    nacre_dataset *view = nacre_dataset_split(dataset, part, NULL);
    int64_t count = nacre_dataset_count(view);
    nacre_dataset_destroy(view);
    return count;
}

static void print_dataset(nacre_dataset *dataset)
{
    enum { SHOWN_CLASSES = 50 };
    printf("\n  holds    %lld samples", (long long)nacre_dataset_count(dataset));
    for (int part = NACRE_TRAIN; part <= NACRE_TEST; part++)
        if (nacre_dataset_has_part(dataset, (nacre_part)part))
            printf(", %s %lld", nacre_part_name((nacre_part)part), (long long)count_part(dataset, (nacre_part)part));
    printf("\n");
    const nacre_field *field;
    for (int i = 0; (field = nacre_dataset_field(dataset, i)); i++) {
        char shape[NACRE_SHAPE_TEXT_SIZE];
        printf("  field    %s: %s%s\n", field->name, nacre_dtype_name(field->dtype),
               field->shape.rank ? nacre_shape_text(field->shape, shape) : "");
    }
    int classes = nacre_dataset_classes(dataset);
    if (classes) printf("  classes  %d:", classes);
    for (int i = 0; i < classes && i < SHOWN_CLASSES; i++)
        printf("%s %s", i ? "," : "", nacre_dataset_class_name(dataset, i));
    if (classes) printf(classes > SHOWN_CLASSES ? " ...\n" : "\n");
}

static void add_dataset(cJSON *object, nacre_dataset *dataset)
{
    cJSON_AddNumberToObject(object, "samples", (double)nacre_dataset_count(dataset));
    cJSON *names = cJSON_AddArrayToObject(object, "classes");
    for (int i = 0; i < nacre_dataset_classes(dataset); i++)
        cJSON_AddItemToArray(names, cJSON_CreateString(nacre_dataset_class_name(dataset, i)));
}

static nacre_dataset *open_named(nc_call *call, const char *name)
{
    const nacre_dataset_options options = {.folder = nc_data_folder(call), .seed = (uint64_t)nc_integer(call, "seed")};
    return nacre_dataset_open(call->context, name, &options);
}

/* What a name or path holds: the catalogue's knowledge, and what opening it shows where one name opens it. */
static nc_exit info(nc_call *call, const char *name)
{
    const nacre_catalogue_set *set = nacre_catalogue_find(name);
    bool opens = !set || (is_here(call, set) && nacre_catalogue_dataset(set, 0) && !nacre_catalogue_dataset(set, 1));
    nacre_dataset *dataset = opens ? open_named(call, name) : NULL;
    if (opens && !dataset) return NC_EXIT_FAILED;
    nc_exit code = NC_EXIT_DONE;
    if (nc_flag(call, "json")) {
        cJSON *object = cJSON_CreateObject();
        if (set) add_set(call, object, set);
        if (set) add_files(object, set);
        if (dataset) add_dataset(object, dataset);
        code = nc_print_json(call, object);
    } else {
        if (set)
            print_set(call, set);
        else
            printf("%s%s%s\n", nc_style_code(stdout, NC_BOLD), name, nc_style_code(stdout, NC_PLAIN));
        if (dataset) print_dataset(dataset);
    }
    nacre_dataset_destroy(dataset);
    return nacre_check(call->context) ? NC_EXIT_FAILED : code;
}

/* ---- get ------------------------------------------------------------------------------------------------------------
 */

static bool show_progress(void *user, const nacre_catalogue_file *file, int64_t done, int64_t total)
{
    const bool *show = user;
    char have[NC_SIZE_TEXT], all[NC_SIZE_TEXT];
    if (*show)
        fprintf(stderr, "\r%s  %s of %s  %3.0f %%\033[K%s", file->path, nc_size_text(done, have),
                nc_size_text(total, all), total ? 100 * (double)done / (double)total : 100.0,
                done == total ? "\n" : "");
    return true;
}

static nc_exit unknown_set(nc_call *call, const char *name)
{
    enum { MOST = 256 };
    const char *names[MOST + 1] = {NULL};
    for (int i = 0; i < MOST && nacre_catalogue_at(i); i++) names[i] = nacre_catalogue_at(i)->name;
    const char *nearest = nacre_nearest(name, names);
    nacre_fail(call->context, NACRE_ERROR_NOT_FOUND, "there is no data set '%s'%s%s%s; 'nacre data list' shows all",
               name, nearest ? ", did you mean '" : "", nearest ? nearest : "", nearest ? "'?" : "");
    return NC_EXIT_FAILED;
}

static nc_exit get(nc_call *call, const char *name)
{
    if (!strcmp(name, "glyphs")) {
        printf("glyphs needs no files: the program draws its digits itself.\n");
        return NC_EXIT_DONE;
    }
    const nacre_catalogue_set *set = nacre_catalogue_find(name);
    if (!set) return unknown_set(call, name);
    const char *folder = nc_data_folder(call);
    if (!folder) return nc_usage_error(call, "where to? Name the data folder with --data DIR or NACRE_DATA");
    bool show = !nc_flag(call, "quiet") && isatty(STDERR_FILENO);
    const nacre_fetch_options options = {
        .folder = folder, .mirror = nc_text(call, "mirror"), .progress = show_progress, .user = &show};
    if (nacre_catalogue_fetch(call->context, set, &options)) return NC_EXIT_FAILED;
    if (nc_flag(call, "json")) {
        cJSON *object = cJSON_CreateObject();
        add_set(call, object, set);
        return nc_print_json(call, object);
    }
    printf("%s is in %s, checked.\n", name, folder);
    return NC_EXIT_DONE;
}

/* ---- export ---------------------------------------------------------------------------------------------------------
 */

/* OUTPUT/CLASS; a class may be called "T-shirt/top". */
static char *class_folder(nc_call *call, const char *class_name)
{
    char name[256];
    snprintf(name, sizeof name, "%s", class_name ? class_name : "");
    for (char *slash; (slash = strchr(name, '/'));) *slash = '-';
    return nacre_path_join(call->context, nc_text(call, "output"), name);
}

/* The picture as OUTPUT/CLASS/NUMBER.png. */
static nacre_status write_picture(nc_call *call, const nacre_value *value, const char *class_name, int64_t index)
{
    nacre_context *context = call->context;
    nacre_image image = {0};
    char name[32];
    snprintf(name, sizeof name, "%05lld.png", (long long)index);
    char *folder = class_folder(call, class_name);
    char *path = folder ? nacre_path_join(context, folder, name) : NULL;
    if (path && !nacre_make_directories(context, folder) &&
        !nacre_image_reserve(context, &image, (int)value->shape.dims[0], (int)value->shape.dims[1],
                             (int)value->shape.dims[2])) {
        memcpy(image.pixels, value->data, (size_t)nacre_shape_count(value->shape));
        if (!nacre_image_write_png(context, &image, path) && !nc_flag(call, "quiet")) printf("%s\n", path);
    }
    nacre_image_release(context, &image);
    nacre_release(context, path);
    nacre_release(context, folder);
    return nacre_check(context);
}

static int picture_field(const nacre_dataset *dataset)
{
    const nacre_field *field;
    for (int i = 0; (field = nacre_dataset_field(dataset, i)); i++)
        if (field->role == NACRE_ROLE_IMAGE && field->dtype == NACRE_U8 && field->shape.rank == 3) return i;
    return -1;
}

static nc_exit export_pictures(nc_call *call, const char *name)
{
    nacre_dataset *all = open_named(call, name);
    nacre_dataset *view = all ? nacre_dataset_split(all, (nacre_part)nc_choice(call, "part"), NULL) : NULL;
    int field = view ? picture_field(view) : -1;
    if (view && field < 0)
        nacre_fail(call->context, NACRE_ERROR_UNSUPPORTED, "%s holds no pictures, so there is nothing to write as PNG",
                   name);
    int64_t wanted = nc_integer(call, "count"), there = nacre_dataset_count(view);
    nacre_sample sample = {.context = call->context};
    for (int64_t i = 0; field >= 0 && i < wanted && i < there; i++)
        if (nacre_dataset_get(view, i, &sample) ||
            write_picture(call, &sample.values[field],
                          nacre_dataset_class_name(view, (int)nacre_dataset_label(view, i)), i))
            break;
    nacre_sample_release(&sample);
    nacre_dataset_destroy(view);
    nacre_dataset_destroy(all);
    return nacre_check(call->context) ? NC_EXIT_FAILED : NC_EXIT_DONE;
}

/* ---- the command ----------------------------------------------------------------------------------------------------
 */

static int run(nc_call *call)
{
    enum { LIST, INFO, GET, EXPORT, SHOW };
    int action = nc_choice_index(call->command->arguments[0].choices, call->arguments[0]);
    const char *name = call->argument_count > 1 ? call->arguments[1] : NULL;
    if (action == LIST) return name ? nc_usage_error(call, "list takes no name, got '%s'", name) : list(call);
    if (!name) return nc_usage_error(call, "NAME is missing: 'nacre data list' shows what there is");
    return action == INFO   ? info(call, name)
           : action == GET  ? get(call, name)
           : action == SHOW ? nc_data_show(call, name)
                            : export_pictures(call, name);
}

static const nc_option OPTIONS[] = {
    {.name = "mirror",
     .type = NC_FOLDER,
     .argument = "PLACE",
     .doc = "get: the folder or the http, https or file URL under which the files lie. Without it the environment "
            "variable NACRE_MIRROR names it; none is built in."},
    {.name = "output",
     .letter = 'o',
     .type = NC_FOLDER,
     .argument = "DIR",
     .fallback = "pictures",
     .doc = "export: where the pictures go. show: the PNG file, sheet.png without it."},
    {.name = "count",
     .letter = 'n',
     .type = NC_INTEGER,
     .argument = "N",
     .fallback = "10",
     .doc = "export: at most so many. show: so many rows."},
    {.name = "part",
     .type = NC_CHOICE,
     .argument = "PART",
     .choices = "train|validation|test|all",
     .fallback = "test",
     .doc =
         "export and show: from which part: train, validation, test or all. A recipe is shown by its training part."},
    {0},
};

static const nc_example EXAMPLES[] = {
    {"nacre data list --data data", "Which sets there are, and which of them are in the folder data."},
    {"nacre data info fashion_mnist", "Its files, their SHA-256, licence and classes."},
    {"nacre data get mnist --data data --mirror https://example.org/sets", NULL},
    {"nacre data export glyphs -n 5 -o digits", "Five pictures to try nacre predict on."},
    {"nacre data show recipes/glyphs.yaml -o sheet.png", "What the recipe's augmentation makes of ten samples."},
    {0},
};

const nc_command nc_command_data = {
    .name = "data",
    .summary = "list, describe, fetch, export and show data sets",
    .description =
        "list shows the data sets that Nacre knows by name and which of them are in the data folder. info describes "
        "one, "
        "or whatever file or folder NAME is. get brings its files into the data folder: they are continued where a "
        "transfer broke off, and used only when size and SHA-256 are right. export writes pictures of a set as PNG "
        "files, in one folder per class. show draws a sheet of a set's pictures or, for a recipe (.yaml), of its "
        "training "
        "samples: first as evaluation has them, then as seven epochs of training do, transforms, mixup and cutmix "
        "included.\n\nThe set glyphs needs no files: the program draws its digits itself, as "
        "many "
        "as are wanted, the same ones for the same seed.",
    .with = NC_WITH_DATA | NC_WITH_SEED | NC_WITH_JSON | NC_WITH_QUIET,
    .options = OPTIONS,
    .arguments = {{.name = "ACTION",
                   .type = NC_CHOICE,
                   .choices = "list|info|get|export|show",
                   .doc = "What to do: list, info, get, export or show."},
                  {.name = "NAME",
                   .type = NC_FILE,
                   .optional = true,
                   .doc = "A data set; for info, export and show also a file or folder, for show also a recipe."}},
    .examples = EXAMPLES,
    .run = run,
};

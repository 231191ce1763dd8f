/* data/album.c - pictures in folders and archives, their classes and parts told by their paths.
 *
 * An archive is read once: its pictures stay in memory as they are stored and are decoded when asked for. From a folder
 * only the paths are kept.
 */
#include "data/album.h"
#include "data/dataset.h"
#include "data/stream.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

enum { MAX_DEPTH = 16, LOOKED_AT = 16 };

typedef struct picture {
    const char *path;       /* within the archive, or to open */
    const char *class_name; /* NULL: none */
    int64_t label, number;  /* number: -1 if the layout has none */
    size_t offset, size;    /* in `bytes`, of an archive */
    uint8_t part;
} picture;

typedef struct album {
    nacre_context *context;
    const char *name, *layout; /* layout NULL: by the folders' names */
    nacre_pool pool;           /* of paths and names */
    picture *pictures;
    int64_t count, capacity;
    char *bytes; /* of an archive's pictures; NULL: a folder */
    const char *const *class_names;
    int class_count;
    int channels; /* of the samples */
    bool parts, grey_found;
    char *label_table; /* the member that guide->label_member names */
    size_t label_size;
} album;

static void close_album(void *user)
{
    album *self = user;
    nacre_context *context = self->context;
    nacre_pool_destroy(&self->pool);
    nacre_release(context, self->pictures);
    nacre_release(context, self->bytes);
    nacre_release(context, self->label_table);
    nacre_release(context, self);
}

/* ---- what a path tells ---- */

typedef struct capture {
    const char *start;
    size_t size;
} capture;

typedef struct captures {
    capture class_name, split, number;
} captures;

static bool match(const char *pattern, const char *text, captures *found);

/* Tries every length for a wildcard, the shortest first; it ends at a slash. */
static bool match_run(const char *rest, const char *text, size_t least, bool digits, capture *slot, captures *found)
{
    for (size_t size = 0;; size++) {
        if (slot) *slot = (capture){text, size};
        if (size >= least && match(rest, text + size, found)) return true;
        char next = text[size];
        if (!next || next == '/' || (digits && (next < '0' || next > '9'))) return false;
    }
}

static bool match(const char *pattern, const char *text, captures *found)
{
    for (; *pattern; pattern++, text++) {
        if (*pattern == '*') return match_run(pattern + 1, text, 0, false, NULL, found);
        if (!strncmp(pattern, "{class}", 7)) return match_run(pattern + 7, text, 1, false, &found->class_name, found);
        if (!strncmp(pattern, "{split}", 7)) return match_run(pattern + 7, text, 1, false, &found->split, found);
        if (!strncmp(pattern, "{number}", 8)) return match_run(pattern + 8, text, 1, true, &found->number, found);
        if (*pattern != *text) return false;
    }
    return !*text;
}

/* The last part of a path that has as many names as the pattern. */
static const char *tail(const char *path, const char *pattern)
{
    const char *start = path + strlen(path);
    for (; start > path; start--) {
        if (start[-1] != '/') continue;
        pattern = strchr(pattern, '/');
        if (!pattern) return start;
        pattern++;
    }
    return strchr(pattern, '/') ? NULL : start;
}

static int part_of(capture name)
{
    char text[16];
    if (!name.start || name.size >= sizeof text) return -1;
    memcpy(text, name.start, name.size);
    text[name.size] = 0;
    return nacre_part_from_name(text);
}

/* The folder that holds the picture is its class, a folder called train, test, ... above it its part. */
static void read_folders(const char *path, captures *found)
{
    for (const char *start = path, *slash; (slash = strchr(start, '/')); start = slash + 1) {
        capture name = {start, (size_t)(slash - start)};
        if (part_of(name) >= 0 && part_of(name) != NACRE_ALL) {
            found->split = name;
            found->class_name = (capture){0};
        } else if (name.size) {
            found->class_name = name;
        }
    }
}

static bool is_hidden(const char *path)
{
    return *path == '.' || strstr(path, "/.") || !strncmp(path, "__MACOSX/", 9);
}

/* False: not a picture, or not one that the layout describes. */
static bool read_path(const char *layout, const char *path, captures *found)
{
    *found = (captures){0};
    if (!nacre_image_has_name(path) || is_hidden(path)) return false;
    if (!layout) {
        read_folders(path, found);
        return true;
    }
    const char *end = tail(path, layout);
    return end && match(layout, end, found) && (!found->split.start || part_of(found->split) >= 0);
}

static nacre_status add_picture(album *self, const char *path, const captures *found, size_t offset, size_t size)
{
    if (self->count == self->capacity) {
        int64_t capacity = self->capacity ? self->capacity * 2 : 256;
        picture *larger = nacre_resize(self->context, self->pictures, (size_t)capacity * sizeof *larger);
        if (!larger) return NACRE_ERROR_MEMORY;
        self->pictures = larger;
        self->capacity = capacity;
    }
    picture *added = &self->pictures[self->count];
    *added = (picture){.label = -1, .number = -1, .offset = offset, .size = size, .part = NACRE_TRAIN};
    added->path = nacre_pool_copy(&self->pool, path, strlen(path));
    if (found->class_name.start)
        added->class_name = nacre_pool_copy(&self->pool, found->class_name.start, found->class_name.size);
    if (!added->path || (found->class_name.start && !added->class_name)) return NACRE_ERROR_MEMORY;
    if (found->number.start) added->number = strtoll(found->number.start, NULL, 10);
    if (found->split.start) {
        added->part = (uint8_t)part_of(found->split);
        self->parts = true;
    }
    self->count++;
    return NACRE_OK;
}

/* ---- folders ---- */

static nacre_status walk(album *self, const char *folder, const char *inside, int depth);

static nacre_status visit(album *self, const char *folder, const char *inside, const char *entry, int depth)
{
    nacre_context *context = self->context;
    char *path = nacre_path_join(context, folder, entry), *name = NULL;
    if (path) name = *inside ? nacre_path_join(context, inside, entry) : nacre_duplicate(context, entry);
    nacre_status status = name ? NACRE_OK : NACRE_ERROR_MEMORY;
    captures found;
    if (status == NACRE_OK && nacre_path_is_directory(path))
        status = walk(self, path, name, depth + 1);
    else if (status == NACRE_OK && read_path(self->layout, name, &found))
        status = add_picture(self, path, &found, 0, 0);
    nacre_release(context, path);
    nacre_release(context, name);
    return status;
}

static nacre_status walk(album *self, const char *folder, const char *inside, int depth)
{
    if (depth > MAX_DEPTH)
        return nacre_fail(self->context, NACRE_ERROR_IO, "%s: more than %d folders deep", folder, MAX_DEPTH);
    DIR *entries = opendir(folder);
    if (!entries)
        return nacre_fail(self->context, errno == ENOENT ? NACRE_ERROR_NOT_FOUND : NACRE_ERROR_IO,
                          "cannot read folder '%s': %s", folder, strerror(errno));
    nacre_status status = NACRE_OK;
    for (struct dirent *entry; status == NACRE_OK && (entry = readdir(entries));)
        if (*entry->d_name != '.') status = visit(self, folder, inside, entry->d_name, depth);
    closedir(entries);
    return status;
}

/* ---- archives ---- */

static nacre_status keep_member(album *self, nc_archive *archive, const char *member, const nc_album_guide *guide,
                                nacre_buffer *bytes)
{
    captures found;
    if (guide && guide->label_member && nc_ends_with(member, guide->label_member)) {
        nacre_buffer table = nacre_buffer_create(self->context);
        nacre_status status = nc_archive_read(archive, &table);
        if (status == NACRE_OK && !self->label_table) self->label_table = nacre_buffer_take(&table, &self->label_size);
        nacre_buffer_destroy(&table);
        return status;
    }
    if (!read_path(self->layout, member, &found)) return NACRE_OK;
    size_t offset = bytes->size;
    nacre_status status = add_picture(self, member, &found, offset, 0); /* the name lives until the member is read */
    if (status == NACRE_OK) status = nc_archive_read(archive, bytes);
    if (status == NACRE_OK) self->pictures[self->count - 1].size = bytes->size - offset;
    return status;
}

static nacre_status read_archive(album *self, const char *path, const nc_album_guide *guide)
{
    nc_archive *archive = nc_archive_open(self->context, path);
    if (!archive) return nacre_check(self->context);
    nacre_buffer bytes = nacre_buffer_create(self->context);
    nacre_status status = NACRE_OK;
    for (const char *member; status == NACRE_OK;) {
        status = nc_archive_next(archive, &member);
        if (status != NACRE_OK || !member) break;
        status = keep_member(self, archive, member, guide, &bytes);
    }
    nc_archive_close(archive);
    if (status == NACRE_OK) {
        self->bytes = nacre_buffer_take(&bytes, NULL);
        if (!self->bytes) status = NACRE_ERROR_MEMORY;
    }
    nacre_buffer_destroy(&bytes);
    return status;
}

/* ---- classes and parts ---- */

static int compare_paths(const void *a, const void *b)
{
    return strcmp(((const picture *)a)->path, ((const picture *)b)->path);
}

static int compare_names(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* The names of all classes, sorted, without repeats. */
static nacre_status collect_classes(album *self)
{
    const char **names = nacre_pool_allocate(&self->pool, (size_t)(self->count + 1) * sizeof *names);
    if (!names) return NACRE_ERROR_MEMORY;
    int64_t count = 0;
    for (int64_t i = 0; i < self->count; i++)
        if (self->pictures[i].class_name) names[count++] = self->pictures[i].class_name;
    if (count && count < self->count)
        for (int64_t i = 0; i < self->count; i++)
            if (!self->pictures[i].class_name)
                return nacre_fail(self->context, NACRE_ERROR_FORMAT,
                                  "%s: '%s' is in no folder that could be its class, but others are", self->name,
                                  self->pictures[i].path);
    qsort(names, (size_t)count, sizeof *names, compare_names);
    for (int64_t i = 0; i < count; i++)
        if (i == 0 || strcmp(names[i], names[self->class_count - 1])) names[self->class_count++] = names[i];
    self->class_names = names;
    return NACRE_OK;
}

static int find_class(const album *self, const char *name)
{
    for (int i = 0; i < self->class_count; i++)
        if (!strcmp(self->class_names[i], name)) return i;
    return -1;
}

static nacre_status label_by_folders(album *self, const char *const *wanted)
{
    nacre_status status = NACRE_OK;
    if (wanted) {
        self->class_names = wanted; /* copied when the dataset is created */
        self->class_count = nc_count_names(wanted);
    } else {
        status = collect_classes(self);
    }
    for (int64_t i = 0; status == NACRE_OK && i < self->count; i++) {
        picture *p = &self->pictures[i];
        if (!p->class_name) continue;
        p->label = find_class(self, p->class_name);
        if (p->label < 0)
            status = nacre_fail(self->context, NACRE_ERROR_FORMAT,
                                "%s: '%s' has class '%s', which is not one of the %d "
                                "that were given",
                                self->name, p->path, p->class_name, self->class_count);
    }
    return status;
}

/* A table of picture numbers and classes counted from 1. */
static nacre_status label_by_table(album *self, const nc_album_guide *guide)
{
    if (!self->label_table)
        return nacre_fail(self->context, NACRE_ERROR_NOT_FOUND, "%s: '%s' is not in it", self->name,
                          guide->label_member);
    nacre_table *table =
        nacre_table_decode(self->context, guide->label_member, self->label_table, self->label_size, NULL);
    if (!table) return nacre_check(self->context);
    self->class_names = guide->class_names;
    self->class_count = nc_count_names(guide->class_names);
    const nacre_column *numbers = nacre_table_column(table, 0), *classes = nacre_table_column(table, 1);
    nacre_status status = NACRE_OK;
    if (!numbers || !classes || !numbers->numbers || !classes->numbers)
        status = nacre_fail(self->context, NACRE_ERROR_FORMAT, "%s: numbers and classes expected", guide->label_member);
    for (int64_t i = 0; status == NACRE_OK && i < self->count; i++) {
        picture *p = &self->pictures[i];
        for (int64_t row = 0; row < nacre_table_rows(table) && p->label < 0; row++)
            if (numbers->numbers[row] == (double)p->number) p->label = (int64_t)classes->numbers[row] - 1;
        if (p->label < 0 || p->label >= self->class_count)
            status = nacre_fail(self->context, NACRE_ERROR_FORMAT, "%s: no class from 1 to %d for '%s'",
                                guide->label_member, self->class_count, p->path);
    }
    nacre_table_destroy(table);
    return status;
}

/* How many pictures of the same class come after this one. */
static int64_t count_after(const album *self, const picture *p)
{
    int64_t after = 0;
    for (int64_t i = 0; i < self->count; i++) {
        const picture *q = &self->pictures[i];
        if (q->label == p->label && (q->number > p->number || (q->number == p->number && strcmp(q->path, p->path) > 0)))
            after++;
    }
    return after;
}

static void apply_rule(album *self, const nc_rule *rule)
{
    if (rule->kind == NC_RULE_NONE) return;
    self->parts = true;
    for (int64_t i = 0; i < self->count; i++) {
        picture *p = &self->pictures[i];
        bool test = rule->kind == NC_RULE_MODULO ? p->number % rule->a == rule->b
                    : rule->kind == NC_RULE_FROM ? p->number >= rule->a
                                                 : count_after(self, p) < rule->a;
        p->part = test ? NACRE_TEST : NACRE_TRAIN;
    }
}

/* Forgets the pictures of parts that were not asked for. */
static void keep_parts(album *self, unsigned parts)
{
    if (!parts || !self->parts) return;
    int64_t kept = 0;
    for (int64_t i = 0; i < self->count; i++)
        if (parts >> self->pictures[i].part & 1) self->pictures[kept++] = self->pictures[i];
    self->count = kept;
}

/* ---- samples ---- */

/* Into the image, which is the value's room. */
static nacre_status decode(const album *self, nacre_context *context, const picture *p, int channels,
                           nacre_image *image)
{
    if (self->bytes) return nacre_image_decode(context, p->path, self->bytes + p->offset, p->size, channels, image);
    nacre_mapping mapping;
    nacre_status status = nacre_file_map(context, p->path, &mapping);
    if (status != NACRE_OK) return status;
    status = nacre_image_decode(context, p->path, mapping.data, mapping.size, channels, image);
    nacre_file_unmap(&mapping);
    return status;
}

static nacre_status get_picture(void *user, int64_t index, nacre_sample *sample)
{
    const album *self = user;
    const picture *p = &self->pictures[index];
    nacre_value *value = &sample->values[0];
    nacre_image image = {.pixels = value->room.block, .capacity = value->room.capacity};
    nacre_status status = decode(self, sample->context, p, self->grey_found ? 0 : self->channels, &image);
    value->room = (nacre_work){image.pixels, image.capacity};
    if (status != NACRE_OK) return status;
    if (image.channels != self->channels)
        return nacre_fail(sample->context, NACRE_ERROR_SHAPE,
                          "%s: a colour picture, but those looked at when opening "
                          "were grey; say how many channels there should be, 1 or 3",
                          p->path);
    value->dtype = NACRE_U8;
    value->shape = NACRE_SHAPE(image.channels, image.height, image.width);
    value->data = image.pixels;
    if (!self->class_count) return NACRE_OK;
    int64_t *label = nacre_sample_reserve(sample, 1, NACRE_I64, NACRE_SCALAR);
    if (!label) return NACRE_ERROR_MEMORY;
    *label = p->label;
    return NACRE_OK;
}

static void name_origin(void *user, int64_t index, char *text, size_t size)
{
    const album *self = user;
    snprintf(text, size, "%s", self->pictures[index].path);
}

/* The size of the first picture and, if nothing was asked for, the channels of some spread over all. */
static nacre_status look_at_some(album *self, int channels, nacre_shape *shape)
{
    nacre_image image = {0};
    nacre_status status = decode(self, self->context, &self->pictures[0], 0, &image);
    *shape = NACRE_SHAPE(channels ? channels : image.channels, image.height, image.width);
    for (int i = 1; status == NACRE_OK && !channels && shape->dims[0] == 1 && i < LOOKED_AT; i++) {
        status = decode(self, self->context, &self->pictures[i * (self->count - 1) / (LOOKED_AT - 1)], 0, &image);
        if (status == NACRE_OK) shape->dims[0] = image.channels;
    }
    nacre_image_release(self->context, &image);
    self->channels = (int)shape->dims[0];
    self->grey_found = !channels && self->channels == 1;
    return status;
}

static nacre_dataset *make_dataset(album *self, nacre_shape shape)
{
    nacre_context *context = self->context;
    size_t count = (size_t)self->count;
    int64_t *labels = nacre_allocate(context, count * sizeof *labels);
    uint8_t *parts = nacre_allocate(context, count);
    if (!labels || !parts) {
        nacre_release(context, labels);
        nacre_release(context, parts);
        close_album(self);
        return NULL;
    }
    for (size_t i = 0; i < count; i++) {
        labels[i] = self->pictures[i].label;
        parts[i] = self->pictures[i].part;
    }
    nacre_dataset_source source = {
        .name = self->name,
        .user = self,
        .count = self->count,
        .fields = {{"image", NACRE_ROLE_IMAGE, NACRE_U8, shape}, {"label", NACRE_ROLE_LABEL, NACRE_I64, NACRE_SCALAR}},
        .field_count = self->class_count ? 2 : 1,
        .class_names = self->class_names,
        .class_count = self->class_count,
        .labels = self->class_count ? labels : NULL,
        .parts = self->parts ? parts : NULL,
        .get = get_picture,
        .origin = name_origin,
        .destroy = close_album,
    };
    nacre_dataset *dataset = nacre_dataset_create(context, &source);
    nacre_release(context, labels);
    nacre_release(context, parts);
    return dataset;
}

static album *create_album(nacre_context *context, const char *name, const char *layout)
{
    album *self = nacre_allocate(context, sizeof *self);
    if (!self) return NULL;
    self->context = context;
    self->pool.context = context;
    self->layout = layout;
    self->name = nacre_pool_copy(&self->pool, name, strlen(name));
    if (self->name) return self;
    close_album(self);
    return NULL;
}

static nacre_dataset *finish_album(album *self, nacre_status status, int channels)
{
    nacre_shape shape;
    if (status == NACRE_OK && self->count == 0)
        status = nacre_fail(self->context, NACRE_ERROR_NOT_FOUND, "%s: no pictures%s%s%s in it", self->name,
                            self->layout ? " whose path is like '" : "", self->layout ? self->layout : "",
                            self->layout ? "'" : "");
    if (status == NACRE_OK) status = look_at_some(self, channels, &shape);
    if (status == NACRE_OK) return make_dataset(self, shape);
    close_album(self);
    return NULL;
}

nacre_dataset *nc_open_album(nacre_context *context, const char *path, const nacre_dataset_options *options,
                             const nc_album_guide *guide)
{
    album *self = create_album(context, path, guide ? guide->layout : options->layout);
    if (!self) return NULL;
    nacre_status status = nacre_path_is_directory(path) ? walk(self, path, "", 0) : read_archive(self, path, guide);
    if (self->count) qsort(self->pictures, (size_t)self->count, sizeof *self->pictures, compare_paths);
    if (status == NACRE_OK)
        status = guide && guide->label_member ? label_by_table(self, guide) : label_by_folders(self, options->labels);
    if (status == NACRE_OK && guide) apply_rule(self, &guide->rule);
    if (status == NACRE_OK) keep_parts(self, options->parts);
    return finish_album(self, status, options->channels);
}

nacre_dataset *nacre_dataset_from_pictures(nacre_context *context, const char *const *paths, int count, int channels)
{
    album *self = create_album(context, count == 1 ? paths[0] : "pictures", NULL);
    if (!self) return NULL;
    nacre_status status = NACRE_OK;
    for (int i = 0; status == NACRE_OK && i < count; i++) {
        int64_t first = self->count;
        if (!nacre_path_is_directory(paths[i])) { /* whatever its name: the bytes will tell */
            status = add_picture(self, paths[i], &(captures){0}, 0, 0);
            continue;
        }
        status = walk(self, paths[i], "", 0);
        if (self->count > first)
            qsort(self->pictures + first, (size_t)(self->count - first), sizeof *self->pictures, compare_paths);
    }
    self->parts = false;
    return finish_album(self, status, channels);
}

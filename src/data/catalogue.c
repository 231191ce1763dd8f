/* data/catalogue.c - the sets that are known by name: their files, and how they are opened. */
#include "data/catalogue.h"
#include "data/dataset.h"
#include "data/table.h"

#include <string.h>
#include <sys/stat.h>

/* ---- files ---- */

static const nacre_catalogue_file FILES[] = {
#define NC_SET(...)
#define NC_FILE(path, bytes, sha256, format, source, licence, notes)                                                   \
    {path, sha256, bytes, format, source, licence, notes},
#include "data/catalogue.def"
#undef NC_SET
#undef NC_FILE
};

static const nacre_catalogue_set SETS[] = {
#define NC_SET(name, task, licence, train, test, first, count) {name, task, licence, train, test, &FILES[first], count},
#define NC_FILE(...)
#include "data/catalogue.def"
#undef NC_SET
#undef NC_FILE
};
enum { SET_COUNT = sizeof SETS / sizeof *SETS };

const nacre_catalogue_set *nacre_catalogue_at(int index)
{
    return index >= 0 && index < SET_COUNT ? &SETS[index] : NULL;
}

const nacre_catalogue_set *nacre_catalogue_find(const char *name)
{
    for (int i = 0; i < SET_COUNT; i++)
        if (!strcmp(SETS[i].name, name)) return &SETS[i];
    return NULL;
}

int64_t nacre_catalogue_bytes(const nacre_catalogue_set *set)
{
    int64_t bytes = 0;
    for (int i = 0; i < set->file_count; i++) bytes += set->files[i].bytes;
    return bytes;
}

static nacre_status check_file(nacre_context *context, const nacre_catalogue_set *set, const nacre_catalogue_file *file,
                               const char *path, bool hash)
{
    struct stat info;
    char found[65];
    if (stat(path, &info) != 0)
        return nacre_fail(context, NACRE_ERROR_NOT_FOUND, "%s: '%s' is not there; run: nacre data get %s", set->name,
                          path, set->name);
    if (info.st_size != file->bytes)
        return nacre_fail(context, NACRE_ERROR_FORMAT, "%s: '%s' has %lld bytes, expected %lld", set->name, path,
                          (long long)info.st_size, (long long)file->bytes);
    if (!hash) return NACRE_OK;
    nacre_status status = nacre_file_sha256(context, path, found);
    if (status == NACRE_OK && strcmp(found, file->sha256))
        status = nacre_fail(context, NACRE_ERROR_FORMAT, "%s: '%s' has SHA-256 %s, expected %s", set->name, path, found,
                            file->sha256);
    return status;
}

nacre_status nacre_catalogue_check(nacre_context *context, const nacre_catalogue_set *set, const char *folder,
                                   bool hash)
{
    nacre_status status = NACRE_OK;
    for (int i = 0; status == NACRE_OK && i < set->file_count; i++) {
        char *path = nacre_path_join(context, folder, set->files[i].path);
        status = path ? check_file(context, set, &set->files[i], path, hash) : NACRE_ERROR_MEMORY;
        nacre_release(context, path);
    }
    return status;
}

/* ---- how they are opened ---- */

static const char *const CLOTHES[] = {"T-shirt/top", "Trouser", "Pullover", "Dress",      "Coat", "Sandal",
                                      "Shirt",       "Sneaker", "Bag",      "Ankle boot", NULL};
static const char *const DIGITS[] = {"0", "1", "2", "3", "4", "5", "6", "7", "8", "9", NULL};
static const char *const WHITE_CELLS[] = {"neutrophil", "lymphocyte", "monocyte", "eosinophil", "basophil", NULL};
static const char *const CONNECTION[] = {"duration",
                                         "protocol_type",
                                         "service",
                                         "flag",
                                         "src_bytes",
                                         "dst_bytes",
                                         "land",
                                         "wrong_fragment",
                                         "urgent",
                                         "hot",
                                         "num_failed_logins",
                                         "logged_in",
                                         "num_compromised",
                                         "root_shell",
                                         "su_attempted",
                                         "num_root",
                                         "num_file_creations",
                                         "num_shells",
                                         "num_access_files",
                                         "num_outbound_cmds",
                                         "is_host_login",
                                         "is_guest_login",
                                         "count",
                                         "srv_count",
                                         "serror_rate",
                                         "srv_serror_rate",
                                         "rerror_rate",
                                         "srv_rerror_rate",
                                         "same_srv_rate",
                                         "diff_srv_rate",
                                         "srv_diff_host_rate",
                                         "dst_host_count",
                                         "dst_host_srv_count",
                                         "dst_host_same_srv_rate",
                                         "dst_host_diff_srv_rate",
                                         "dst_host_same_src_port_rate",
                                         "dst_host_srv_diff_host_rate",
                                         "dst_host_serror_rate",
                                         "dst_host_srv_serror_rate",
                                         "dst_host_rerror_rate",
                                         "dst_host_srv_rerror_rate",
                                         "attack",
                                         "difficulty",
                                         NULL};
static const char *const DIFFICULTY[] = {"difficulty", NULL};
static const char *const MACHINE_NAMES[] = {"UDI", "Product ID", "TWF", "HDF", "PWF", "OSF", "RNF", NULL};
static const char *const DATE[] = {"date", NULL};
static const char *const DATE_AND_NOISE[] = {"date", "rv1", "rv2", NULL};

#define CLASSICS "tabular_classics/tabular_classics.tar.gz:"

/* Where the source has no official split, the rule is the one that the catalogue's notes suggest. */
static const nc_guide GUIDES[] = {
    {.name = "mnist", .kind = NC_GUIDE_IDX, .train = "mnist", .class_names = DIGITS},
    {.name = "fashion_mnist", .kind = NC_GUIDE_IDX, .train = "fashion_mnist", .class_names = CLOTHES},
    {.name = "cifar10", .kind = NC_GUIDE_ALBUM, .train = "cifar10/cifar10_jpg_subset.tar.gz"},
    {.name = "gtsrb",
     .kind = NC_GUIDE_ALBUM,
     .train = "gtsrb/gtsrb_32x32_subset.tar.zst",
     .album = {.layout = "{class}/{number}_*.ppm", .rule = {NC_RULE_MODULO, 4, 3}}},
    {.name = "brain_mri", .kind = NC_GUIDE_ALBUM, .train = "brain_mri/brain_tumor_mri_subset.tar.gz"},
    {.name = "orl_faces",
     .kind = NC_GUIDE_ALBUM,
     .train = "orl_faces/orl_faces.tar.zst",
     .album = {.layout = "{class}/{number}.pgm", .rule = {NC_RULE_FROM, 9, 0}}},
    {.name = "magnetic_tile",
     .kind = NC_GUIDE_ALBUM,
     .train = "magnetic_tile/magnetic_tile_subset.tar.gz",
     .album = {.layout = "MT_{class}/Imgs/*.jpg", .rule = {NC_RULE_LAST, 6, 0}}},
    {.name = "neu_det",
     .kind = NC_GUIDE_ALBUM,
     .train = "neu_det/neu_det_subset.tar.gz",
     .album = {.layout = "IMAGES/{class}_{number}.jpg", .rule = {NC_RULE_LAST, 10, 0}}},
    {.name = "wbc",
     .kind = NC_GUIDE_ALBUM,
     .train = "wbc/wbc_dataset1.tar.zst",
     .album = {.layout = "{number}.bmp",
               .rule = {NC_RULE_MODULO, 5, 0},
               .label_member = "Class Labels of Dataset 1.csv",
               .class_names = WHITE_CELLS}},
    {.name = "tabular_classics/iris", .kind = NC_GUIDE_TABLE, .train = CLASSICS "iris.csv"},
    {.name = "tabular_classics/wine", .kind = NC_GUIDE_TABLE, .train = CLASSICS "wine.csv"},
    {.name = "tabular_classics/breast_cancer", .kind = NC_GUIDE_TABLE, .train = CLASSICS "breast-cancer-wisconsin.csv"},
    {.name = "tabular_classics/mammography",
     .kind = NC_GUIDE_TABLE,
     .train = CLASSICS "mammography.csv",
     .table = {.quote = '\''}},
    {.name = "tabular_classics/adult",
     .kind = NC_GUIDE_TABLE,
     .train = CLASSICS "adult-train.csv",
     .test = {CLASSICS "adult-test.csv"},
     .table = {.header = -1, .trim = "."}},
    {.name = "creditcard_fraud",
     .kind = NC_GUIDE_TABLE,
     .train = "creditcard_fraud/creditcard_sample.csv.gz",
     .rule = {NC_RULE_MODULO, 5, 4}},
    {.name = "nsl_kdd",
     .kind = NC_GUIDE_TABLE,
     .train = "nsl_kdd/KDDTrain+_20Percent.txt.gz",
     .test = {"nsl_kdd/KDDTest+.txt.gz"},
     .table = {.header = -1, .columns = CONNECTION, .ignore = DIFFICULTY}},
    {.name = "ai4i2020",
     .kind = NC_GUIDE_TABLE,
     .train = "ai4i2020/ai4i2020.csv.gz",
     .table = {.ignore = MACHINE_NAMES},
     .rule = {NC_RULE_MODULO, 5, 4}},
    {.name = "occupancy",
     .kind = NC_GUIDE_TABLE,
     .train = "occupancy/occupancy.tar.gz:datatraining.txt",
     .test = {"occupancy/occupancy.tar.gz:datatest.txt", "occupancy/occupancy.tar.gz:datatest2.txt"},
     .table = {.ignore = DATE}},
    {.name = "appliances_energy",
     .kind = NC_GUIDE_TABLE,
     .train = "appliances_energy/energydata_complete.zip",
     .table = {.ignore = DATE_AND_NOISE},
     .target = "Appliances",
     .regression = true,
     .rule = {NC_RULE_FROM, 14803, 0}},
};
enum { GUIDE_COUNT = sizeof GUIDES / sizeof *GUIDES };

const nc_guide *nc_guide_at(int index)
{
    return index >= 0 && index < GUIDE_COUNT ? &GUIDES[index] : NULL;
}

const nc_guide *nc_guide_find(const char *name)
{
    for (int i = 0; i < GUIDE_COUNT; i++)
        if (!strcmp(GUIDES[i].name, name)) return &GUIDES[i];
    return NULL;
}

const char *nacre_catalogue_dataset(const nacre_catalogue_set *set, int index)
{
    size_t size = strlen(set->name);
    for (int i = 0; i < GUIDE_COUNT; i++) {
        const char *name = GUIDES[i].name;
        bool inside = !strncmp(name, set->name, size) && (name[size] == 0 || name[size] == '/');
        if (inside && index-- == 0) return name;
    }
    return NULL;
}

/* ---- opening ---- */

static void mark_rows(const nc_guide *guide, const nacre_table *table, uint8_t *parts)
{
    int64_t rows = nacre_table_rows(table), first_test = guide->test[0] ? nacre_table_file_start(table, 1) : rows;
    for (int64_t i = 0; i < rows; i++) {
        bool test = i >= first_test;
        if (guide->rule.kind == NC_RULE_MODULO) test = i % guide->rule.a == guide->rule.b;
        if (guide->rule.kind == NC_RULE_FROM) test = i >= guide->rule.a;
        parts[i] = test ? NACRE_TEST : NACRE_TRAIN;
    }
}

static nacre_dataset *open_rows(nacre_context *context, const nc_guide *guide, nacre_table *table,
                                const nacre_dataset_options *options)
{
    bool split = guide->test[0] || guide->rule.kind != NC_RULE_NONE;
    uint8_t *parts = nacre_allocate(context, (size_t)nacre_table_rows(table));
    if (!parts) {
        nacre_table_destroy(table);
        return NULL;
    }
    mark_rows(guide, table, parts);
    nacre_dataset *dataset = nc_dataset_from_table(context, table, options, split ? parts : NULL);
    nacre_release(context, parts);
    return dataset;
}

static nacre_dataset *open_table(nacre_context *context, const nc_guide *guide, const char *folder,
                                 const nacre_dataset_options *options)
{
    const char *names[] = {guide->train, guide->test[0], guide->test[1]};
    char *paths[3] = {0};
    int count = 0;
    bool failed = false;
    for (int i = 0; i < 3 && names[i] && !failed; i++) {
        paths[i] = nacre_path_join(context, folder, names[i]);
        failed = !paths[i];
        count++;
    }
    nacre_table *table = failed ? NULL : nacre_table_read(context, (const char *const *)paths, count, &guide->table);
    for (int i = 0; i < 3; i++) nacre_release(context, paths[i]);
    return table ? open_rows(context, guide, table, options) : NULL;
}

nacre_dataset *nc_guide_open(nacre_context *context, const nc_guide *guide, const char *folder,
                             const nacre_dataset_options *options)
{
    nacre_dataset_options chosen = *options;
    if (!chosen.labels) chosen.labels = guide->class_names;
    if (!chosen.target) chosen.target = guide->target;
    if (!options->target) chosen.regression = chosen.regression || guide->regression;
    if (guide->kind == NC_GUIDE_TABLE) return open_table(context, guide, folder, &chosen);
    char *path = nacre_path_join(context, folder, guide->train);
    if (!path) return NULL;
    nacre_dataset *dataset = guide->kind == NC_GUIDE_IDX ? nc_open_idx(context, path, &chosen)
                                                         : nc_open_album(context, path, &chosen, &guide->album);
    nacre_release(context, path);
    return dataset;
}

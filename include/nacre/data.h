/* data.h - datasets, splits, transforms, loaders, the catalogue.
 *
 *     nacre_dataset *all = nacre_dataset_open(ctx, "fashion_mnist", &(nacre_dataset_options){.folder = "data"});
 *     nacre_dataset *train = nacre_dataset_split(all, NACRE_TRAIN, &(nacre_split_options){.validation = 0.1});
 *     nacre_transforms *list = nacre_transforms_parse(ctx, "random_crop(28, padding=2); scale(1/255)");
 *     nacre_loader *loader = nacre_loader_create(train, &(nacre_loader_options){
 *         .batch_size = 128, .workers = 2, .shuffle = true, .training = true, .transforms = list});
 *     for (int64_t epoch = 0; epoch < 10; epoch++) {
 *         nacre_loader_start(loader, epoch, 0);
 *         for (const nacre_batch *b; (b = nacre_loader_next(loader));) // b->fields[0].data: f32[N, 1, 28, 28]
 *             ...
 *     }
 *
 * A dataset answers "give me sample i": one value per field (an image and its label; features and a target). It knows
 * its class names and, where the source has them, its official parts. Views (splits, subsets) share the data beneath.
 * A loader turns samples into dense batches, on worker threads, in an order that depends on the seed alone.
 *
 * Ownership: every create, open, split, subset and parse returns something to destroy; views and loaders keep what
 * they look at alive. Errors: NULL or a status, the context has the message.
 */
#ifndef NACRE_DATA_H
#define NACRE_DATA_H

#include <nacre/base.h>
#include <nacre/image.h>
#include <nacre/io.h>

#ifdef __cplusplus
extern "C" {
#endif

/* ---- arrays in files ------------------------------------------------------------------------------------------- */

/* Numbers read from a file. `data` is dense, row-major, in this machine's byte order. */
typedef struct nacre_array {
    nacre_dtype dtype;
    nacre_shape shape;
    void *data; /* from nacre_allocate_aligned; nacre_array_release frees it */
} nacre_array;
NACRE_API void nacre_array_release(nacre_context *context, nacre_array *array);

/* IDX, the format of MNIST (yann.lecun.com/exdb/mnist): plain or gzip. 16-bit integers become i32. The file must hold
 * exactly what its header says. */
NACRE_API nacre_status nacre_idx_read(nacre_context *context, const char *path, nacre_array *array);
/* NPY versions 1.0 to 3.0 (numpy.org/doc/stable/reference/generated/numpy.lib.format.html). Either byte order and
 * either memory order; u16 and i16 become i32, u32 and u64 become i64 (out of range is an error); strings, objects and
 * complex numbers are refused. */
NACRE_API nacre_status nacre_npy_read(nacre_context *context, const char *path, nacre_array *array);
NACRE_API nacre_status nacre_npy_write(nacre_context *context, const char *path, const nacre_array *array);
/* The same formats already in memory; `name` is for messages. */
NACRE_API nacre_status nacre_idx_decode(nacre_context *context, const char *name, const void *bytes, size_t size,
                                        nacre_array *array);
NACRE_API nacre_status nacre_npy_decode(nacre_context *context, const char *name, const void *bytes, size_t size,
                                        nacre_array *array);

/* NPZ: a zip of npy members, stored or deflated. Opening reads all of them. */
typedef struct nacre_npz nacre_npz;
NACRE_API nacre_npz *nacre_npz_open(nacre_context *context, const char *path);
NACRE_API void nacre_npz_close(nacre_npz *npz);
NACRE_API int nacre_npz_count(const nacre_npz *npz);
NACRE_API const char *nacre_npz_name(const nacre_npz *npz, int index); /* without ".npy"; NULL past the end */
/* Borrowed until nacre_npz_close; NULL and a failure that lists the names there are. */
NACRE_API const nacre_array *nacre_npz_find(const nacre_npz *npz, const char *name);

/* ---- tables ---------------------------------------------------------------------------------------------------- */

typedef enum nacre_column_kind { NACRE_COLUMN_NUMERIC, NACRE_COLUMN_CATEGORICAL } nacre_column_kind;

typedef struct nacre_table_options {
    char delimiter;              /* 0: found out (comma, semicolon, tab, or runs of blanks); ' ' means runs of blanks */
    int header;                  /* 1: the first row has names, -1: it has not, 0: found out (see nacre_table_read) */
    const char *const *columns;  /* names for all columns, ended by NULL; instead of the header's */
    const char *const *ignore;   /* columns to leave out, by name or number from 0, ended by NULL */
    const char *const *category; /* columns that are categorical although they hold numbers, ended by NULL */
    const char *missing;         /* texts that count as missing, separated by spaces; NULL: "? NA N/A NaN nan null" */
    char quote;                  /* around cells; 0: " */
    const char *trim;            /* characters to cut from the end of every cell that is not quoted; NULL: none */
    int skip;                    /* lines to skip at the beginning */
} nacre_table_options;

/* A column of a table: numbers (NaN where missing), or codes into `categories`, which are sorted (by value if all are
 * numbers, else by byte) so that the codes do not depend on the order of the rows; -1 where missing. */
typedef struct nacre_column {
    const char *name;
    nacre_column_kind kind;
    const double *numbers; /* NUMERIC, else NULL */
    const int32_t *codes;  /* CATEGORICAL, else NULL */
    const char *const *categories;
    int category_count;
    int64_t missing; /* how many cells are */
} nacre_column;

/* Comma- or tab-separated text as in RFC 4180: quotes around cells, doubled quotes and line ends within them, CRLF or
 * LF, a byte order mark, empty lines and blanks around cells are skipped. Plain, gzip, or in a zip
 * or tar (.gz, .zst): "iris.zip" if there is but one table in it, else "classics.tar.gz:iris.csv". A header is assumed
 * when no cell of the first row is a number and some column is numeric below it, or when the first row has exactly one
 * cell less than all others (which then begin with an unnamed row number, ignored). A column is numeric when every cell
 * that is not missing is a number. Rows of different length, an open quote, bytes that are no text: NACRE_ERROR_FORMAT
 * with file and line. `paths`: one file or several with the same columns, whose rows follow each other; their
 * categories are joined. */
typedef struct nacre_table nacre_table;
NACRE_API nacre_table *nacre_table_read(nacre_context *context, const char *const *paths, int path_count,
                                        const nacre_table_options *options);
NACRE_API nacre_table *nacre_table_decode(nacre_context *context, const char *name, const char *text, size_t size,
                                          const nacre_table_options *options);
NACRE_API void nacre_table_destroy(nacre_table *table);
NACRE_API int64_t nacre_table_rows(const nacre_table *table);
NACRE_API int nacre_table_columns(const nacre_table *table);
NACRE_API const nacre_column *nacre_table_column(const nacre_table *table, int index); /* NULL past the end */
/* By name, or by number as text ("3", "-1" is the last); -1 and a failure that suggests the nearest name. */
NACRE_API int nacre_table_find(const nacre_table *table, const char *column);
NACRE_API const char *nacre_table_file(const nacre_table *table, int64_t row);      /* that holds the row */
NACRE_API int64_t nacre_table_line(const nacre_table *table, int64_t row);          /* in its file, from 1 */
NACRE_API int64_t nacre_table_file_start(const nacre_table *table, int path_index); /* first row of that file */

/* ---- datasets -------------------------------------------------------------------------------------------------- */

typedef enum nacre_part { NACRE_TRAIN, NACRE_VALIDATION, NACRE_TEST, NACRE_ALL } nacre_part;
NACRE_API const char *nacre_part_name(nacre_part part); /* "train", "validation", "test", "all" */
NACRE_API int nacre_part_from_name(const char *name); /* -1: none of them; also "training", "val", "valid", "dev"... */

/* What a field is for decides which transforms touch it. */
typedef enum nacre_role {
    NACRE_ROLE_IMAGE,    /* u8 or f32 [C, H, W]; batches are f32. u8 keeps its range 0..255: add scale(1/255) */
    NACRE_ROLE_FEATURES, /* numbers to learn from, any shape */
    NACRE_ROLE_LABEL,    /* i64 scalar, class index in [0, classes) */
    NACRE_ROLE_TARGET,   /* numbers to predict */
    NACRE_ROLE_OTHER     /* passed through */
} nacre_role;

typedef struct nacre_field {
    const char *name;
    nacre_role role;
    nacre_dtype dtype;
    nacre_shape shape; /* of the first sample; pictures may differ in H and W, which a resize or crop evens out */
} nacre_field;

#define NACRE_MAX_FIELDS 8

/* One value of a sample. A dataset points `data` at its own memory (which must stay as it is until the dataset is
 * destroyed) or at room from nacre_sample_reserve. */
typedef struct nacre_value {
    nacre_dtype dtype;
    nacre_shape shape;
    const void *data;
    nacre_work room; /* reused from sample to sample */
} nacre_value;

/* Scratch for one thread. */
typedef struct nacre_sample {
    nacre_context *context; /* where failures go */
    nacre_value values[NACRE_MAX_FIELDS];
} nacre_sample;
NACRE_API void nacre_sample_release(nacre_sample *sample);
/* Room for a value of this type and shape, with `data` pointing at it; NULL when there is no memory. */
NACRE_API void *nacre_sample_reserve(nacre_sample *sample, int field, nacre_dtype dtype, nacre_shape shape);

/* A dataset of your own. All pointers but `user` are copied or used during the call only. */
typedef struct nacre_dataset_source {
    const char *name; /* for messages */
    void *user;
    int64_t count;
    nacre_field fields[NACRE_MAX_FIELDS];
    int field_count;
    const char *const *class_names; /* NULL: "0", "1", ... */
    int class_count;                /* 0: no classes */
    const int64_t *labels;          /* `count` class indices, NULL: not known without reading the samples */
    const int64_t *groups;          /* `count` group numbers >= 0, NULL: every sample stands alone */
    const uint8_t *parts;           /* `count` nacre_part values, NULL: no official parts */
    /* Fills sample->values[0 .. field_count). May be called from several threads at once, with a sample each; on a
     * fault it returns nacre_fail(sample->context, ...). */
    nacre_status (*get)(void *user, int64_t index, nacre_sample *sample);
    /* Where a sample came from, for messages; NULL: its number. */
    void (*origin)(void *user, int64_t index, char *text, size_t size);
    void (*destroy)(void *user); /* NULL is fine; also called if nacre_dataset_create fails */
} nacre_dataset_source;

typedef struct nacre_dataset nacre_dataset;
NACRE_API nacre_dataset *nacre_dataset_create(nacre_context *context, const nacre_dataset_source *source);
NACRE_API void nacre_dataset_destroy(nacre_dataset *dataset); /* NULL is fine */

NACRE_API nacre_context *nacre_dataset_context(const nacre_dataset *dataset); /* NULL for NULL */
NACRE_API const char *nacre_dataset_name(const nacre_dataset *dataset);
NACRE_API int64_t nacre_dataset_count(const nacre_dataset *dataset);
NACRE_API int nacre_dataset_field_count(const nacre_dataset *dataset);
NACRE_API const nacre_field *nacre_dataset_field(const nacre_dataset *dataset, int index); /* NULL past the end */
NACRE_API int nacre_dataset_classes(const nacre_dataset *dataset);
NACRE_API const char *nacre_dataset_class_name(const nacre_dataset *dataset, int index); /* NULL past the end */
NACRE_API int64_t nacre_dataset_label(const nacre_dataset *dataset, int64_t index);      /* -1: not known */
/* Samples that belong together (pictures of one patient, rows of one customer): splits and folds never part them. */
NACRE_API int64_t nacre_dataset_group(const nacre_dataset *dataset, int64_t index); /* -1: it stands alone */
NACRE_API bool nacre_dataset_has_groups(const nacre_dataset *dataset);
NACRE_API bool nacre_dataset_has_part(const nacre_dataset *dataset, nacre_part part); /* an official one */
/* Sample `index` in [0, count). */
NACRE_API nacre_status nacre_dataset_get(const nacre_dataset *dataset, int64_t index, nacre_sample *sample);

/* ---- splits ---------------------------------------------------------------------------------------------------- */

/* The official part where the source has one. Otherwise the test and validation samples are drawn from the training
 * ones: by seed and, where labels are known, in every class alike (stratified); where there are groups, whole groups
 * until the share is reached, without regard to the classes. The three parts of one dataset with the same options never
 * share a sample and together are all of it. */
typedef struct nacre_split_options {
    double validation; /* share of the training samples to draw if there is no official validation part; 0: none */
    double test;       /* share of all samples to draw if there is no official test part; 0: 0.2, negative: none */
    uint64_t seed;
    bool ordered;      /* the last samples instead of random ones: for series, whose future must not leak */
    bool unstratified; /* drawn without regard to the classes */
} nacre_split_options;
NACRE_API nacre_dataset *nacre_dataset_split(nacre_dataset *dataset, nacre_part part,
                                             const nacre_split_options *options);

/* Cross-validation: the samples in `count` folds of equal size (but for one sample, or for groups), of which one after
 * the other is held out. */
typedef struct nacre_fold_options {
    int count;       /* k, from 2 to the number of samples (of groups, where there are groups) */
    bool stratified; /* every class in all folds alike; each needs at least `count` samples */
    bool ordered;    /* for series: count + 1 blocks in their order, and fold i trains only on what lies before it */
    uint64_t seed;
} nacre_fold_options;
/* NACRE_TEST: what fold `fold` (from 0) holds out; NACRE_TRAIN: all other samples, or with `ordered` those before it.
 * The same options give the same folds. Groups are spread by size and, if stratified, by classes, the largest first,
 * each to where it evens out most. */
NACRE_API nacre_dataset *nacre_dataset_fold(nacre_dataset *dataset, int fold, nacre_part part,
                                            const nacre_fold_options *options);

/* `count` samples drawn by seed, classes in proportion; more than there are is an error. */
NACRE_API nacre_dataset *nacre_dataset_subset(nacre_dataset *dataset, int64_t count, uint64_t seed);
/* These samples in this order (indices are copied, may repeat). */
NACRE_API nacre_dataset *nacre_dataset_select(nacre_dataset *dataset, const int64_t *indices, int64_t count);

/* ---- opening --------------------------------------------------------------------------------------------------- */

typedef struct nacre_dataset_options {
    const char *folder;        /* of catalogue sets (`--data`); NULL: the environment's NACRE_DATA */
    unsigned parts;            /* read only these official parts: bits 1 << NACRE_TRAIN ...; 0: all */
    int channels;              /* pictures become grey (1) or colour (3); 0: colour if one of 16 looked at is */
    const char *layout;        /* of picture folders, see below */
    const char *const *labels; /* class names, ended by NULL; other classes are an error. NULL: all there are, sorted */
    nacre_table_options table;
    const char *target; /* tables: the column to predict; NULL: the last. npz: the array; NULL: found out */
    const char *group;  /* tables: the column that says which rows belong together; it is no feature. NULL: none */
    bool regression;    /* the target is a number (f32 [1]), not a class */
    bool keep_missing;  /* missing numbers become NaN, for impute(); else they are an error */
    bool codes;         /* categorical features stay codes (one column) instead of one-hot (one column each) */
    int64_t count;      /* glyphs: training samples; 0: 12000. A sixth more each for validation and test */
    uint64_t seed;      /* glyphs */
} nacre_dataset_options;

/* `source` is
 * - "glyphs": digits that the program draws itself, u8 [1, 28, 28] (nacre_glyphs);
 * - a name of the catalogue ("fashion_mnist", "tabular_classics/iris"), looked for under the data folder;
 * - the path of a .csv .tsv .txt .data file (also .gz, or inside an archive): fields "features" f32 [n] and "label" or
 *   "target";
 * - a .npz with arrays x, y (also x_train, y_train, x_test, y_test; images, labels; data, target) as
 *   nacre_dataset_from_arrays takes them, or a .npy: inputs alone;
 * - a folder with files *-images-idx3-ubyte and *-labels-idx1-ubyte (train-, t10k- or test-; .gz or not): IDX;
 * - a folder of pictures, or a .tar, .tar.gz, .tar.zst or .zip of one: fields "image" u8 [C, H, W] and "label". The
 *   folder that holds a picture is its class; a folder above it called train, training, val, valid, validation, test
 *   or testing is its part. `layout` says it differently, as a pattern for the end of the path in which {class},
 *   {split} and {number} stand for themselves and * for anything within one name: "{split}/{class}/{number}.png",
 *   "IMAGES/{class}_{number}.jpg". The order is that of the sorted paths, in folders and archives alike;
 * - one picture: "image" alone.
 * Not found: the message suggests the nearest name and how to get the set. */
NACRE_API nacre_dataset *nacre_dataset_open(nacre_context *context, const char *source,
                                            const nacre_dataset_options *options);

/* From what is already there; arrays and the table are taken over (also on failure). `parts` as in
 * nacre_dataset_source. `inputs` [N, ...]: u8 of rank 3 and any of rank 4 are images N,H,W / N,C,H,W / N,H,W,C (the
 * last when dim 3 is 1 or 3 and dim 1 is not), the rest are features: numbers become f32, i32 and i64 stay. `targets`
 * [N] or [N, 1] of integers are labels, others and any with options->regression are targets f32; NULL: none. */
NACRE_API nacre_dataset *nacre_dataset_from_arrays(nacre_context *context, const char *name, nacre_array *inputs,
                                                   nacre_array *targets, const uint8_t *parts,
                                                   const nacre_dataset_options *options);
NACRE_API nacre_dataset *nacre_dataset_from_table(nacre_context *context, nacre_table *table,
                                                  const nacre_dataset_options *options);
/* These pictures without labels, for prediction: files, and folders with all pictures beneath them. */
NACRE_API nacre_dataset *nacre_dataset_from_pictures(nacre_context *context, const char *const *paths, int count,
                                                     int channels);
/* Where sample `index` came from ("train/cat/7.jpg", "iris.csv:12"), into the caller's buffer, which is returned. */
NACRE_API const char *nacre_dataset_origin(const nacre_dataset *dataset, int64_t index, char *text, size_t size);

/* Digits 0 to 9 from a stroke font of several hands: random pen, slant, size, elastic distortion, noise and polarity
 * kept white on black as in MNIST. Sample i of a part is a pure function of (seed, part, i), the same on any machine;
 * label i % 10. Official parts: `count` for training, count / 6 for validation and for test each. */
NACRE_API nacre_dataset *nacre_glyphs(nacre_context *context, int64_t count, uint64_t seed);

/* ---- transforms ------------------------------------------------------------------------------------------------ */

/* A list of steps that samples pass on their way into a batch, written as text:
 *
 *     resize(64); random_crop(56); horizontal_flip; scale(1/255); normalise(mean=[0.5, 0.4, 0.4], std=0.25)
 *
 * Steps are separated by ; or line ends; arguments are numbers, fractions or lists of them, by position or by name;
 * from # to the line's end is a comment. nacre_transforms_print writes it back so that it parses to the same list.
 *
 * Random steps draw from (seed, epoch, sample index) alone, so neither the order of loading nor the number of workers
 * matters. Outside training they do what does not depend on chance: random_crop cuts the centre, flips, affine, jitter
 * and noise do nothing. So one list serves training, evaluation and the saved model, and the shapes always agree. */
typedef struct nacre_transforms nacre_transforms;
NACRE_API nacre_transforms *nacre_transforms_create(nacre_context *context);
NACRE_API void nacre_transforms_destroy(nacre_transforms *transforms);
NACRE_API nacre_transforms *nacre_transforms_parse(nacre_context *context, const char *text);
/* One step from its name and arguments, as a recipe has them. name NULL: by position. */
typedef struct nacre_argument {
    const char *name;
    const double *values;
    int count;
} nacre_argument;
NACRE_API nacre_status nacre_transforms_add(nacre_transforms *transforms, const char *name,
                                            const nacre_argument *arguments, int argument_count);
NACRE_API nacre_status nacre_transforms_print(const nacre_transforms *transforms, nacre_buffer *text);
NACRE_API int nacre_transforms_count(const nacre_transforms *transforms);

/* standardise and impute learn figures from data and are ordinary normalise and fill steps afterwards: mean and
 * standard deviation per channel or column, missing values left out. Call it once with the training samples; lists
 * without such steps are left alone. */
NACRE_API nacre_status nacre_transforms_fit(nacre_transforms *transforms, const nacre_dataset *dataset);

/* Which random numbers a sample gets, and whether any. */
typedef struct nacre_draw {
    bool training;
    uint64_t seed;
    int64_t epoch, index;
} nacre_draw;
/* All steps on one sample of `dataset`, in place. `work` is scratch of this thread: zero at first, its blocks freed
 * with nacre_release at last. */
NACRE_API nacre_status nacre_transforms_apply(const nacre_transforms *transforms, const nacre_dataset *dataset,
                                              const nacre_draw *draw, nacre_sample *sample, nacre_work work[2]);
/* What a field becomes. Fails where a step cannot work (a crop larger than the image; resize without any image). */
NACRE_API nacre_status nacre_transforms_field(const nacre_transforms *transforms, const nacre_dataset *dataset,
                                              const nacre_field *field, nacre_field *result);

/* One operation of randaugment and trivialaugment on a picture of bytes [channels, height, width], as torchvision's
 * functions of these names do it on tensors (nearest pixel, zero outside, results cut to whole numbers). `magnitude` is
 * what they take: for ShearX and ShearY the tangent; TranslateX, TranslateY pixels; Rotate degrees; Brightness, Color,
 * Contrast, Sharpness 0 for no change, -1 for nothing left; Posterize bits to keep; Solarize the least value to invert;
 * Identity, AutoContrast, Equalize ignore it. `target` is not `source`. */
NACRE_API nacre_status nacre_augment(nacre_context *context, const char *operation, double magnitude, int channels,
                                     int height, int width, const uint8_t *source, uint8_t *target);

/* What there is, for help texts and checks. */
typedef struct nacre_transform_info {
    const char *name, *doc;
    char arguments[112]; /* "height, width=height, antialias=1" */
    bool random;
} nacre_transform_info;
NACRE_API bool nacre_transform_at(int index, nacre_transform_info *info); /* false past the end */

/* ---- loaders --------------------------------------------------------------------------------------------------- */

typedef struct nacre_loader_options {
    int batch_size; /* 0: 32 */
    int workers;    /* threads; 0: the calling thread does the work in nacre_loader_next */
    int prefetch;   /* batches prepared ahead; 0: two per worker */
    bool shuffle;   /* a fresh order each epoch, by (seed, epoch) */
    bool drop_last; /* leave out a last batch that is not full */
    bool training;  /* random transforms draw, batches are mixed */
    uint64_t seed;
    const nacre_transforms *transforms; /* NULL: none. Must live as long as the loader and stay as it is */
    /* Batches are mixed with themselves, each sample with the one before it, by one share drawn from Beta(alpha, alpha)
     * for the batch: mixup averages the inputs (Zhang et al. 2018), cutmix puts a rectangle of one picture into the
     * other (Yun et al. 2019). Where both are given, each batch gets one of them with equal chance. 0: neither. Drawn
     * from (seed, epoch, batch) alone. Needs labels. */
    double mixup, cutmix;
} nacre_loader_options;

/* Dense values of `count` samples: data is dtype[count, shape...], 64-byte aligned. */
typedef struct nacre_batch_field {
    const char *name;
    nacre_role role;
    nacre_dtype dtype;
    nacre_shape shape; /* dims[0] is the batch */
    const void *data;
} nacre_batch_field;

typedef struct nacre_batch {
    int64_t index; /* in the epoch, from 0 */
    int64_t count; /* samples */
    int field_count;
    nacre_batch_field fields[NACRE_MAX_FIELDS];
    const int64_t *indices; /* of the samples in the dataset */
    const float *shares;    /* [count, classes]: how much of each class a mixed sample is; NULL: nothing is mixed. The
                               field of labels holds each sample's own */
    int classes;            /* of `shares` */
} nacre_batch;

typedef struct nacre_loader nacre_loader;
NACRE_API nacre_loader *nacre_loader_create(nacre_dataset *dataset, const nacre_loader_options *options);
NACRE_API void nacre_loader_destroy(nacre_loader *loader);
NACRE_API nacre_dataset *nacre_loader_dataset(const nacre_loader *loader);
NACRE_API int64_t nacre_loader_batches(const nacre_loader *loader); /* per epoch */
NACRE_API int nacre_loader_field_count(const nacre_loader *loader);
/* What the batches hold, shape without the batch: what a model's input must look like. */
NACRE_API const nacre_field *nacre_loader_field(const nacre_loader *loader, int index);
/* Begins (or resumes) an epoch at a batch; an epoch in progress is given up. Without it the first nacre_loader_next
 * begins epoch 0. */
NACRE_API nacre_status nacre_loader_start(nacre_loader *loader, int64_t epoch, int64_t batch);
/* The next batch, in order, borrowed until the following call; NULL at the end of the epoch or on failure
 * (nacre_check tells). The first failing batch in the order of the epoch is the one reported, whatever thread found
 * it. Nothing is allocated once every buffer has been used. */
NACRE_API const nacre_batch *nacre_loader_next(nacre_loader *loader);

typedef struct nacre_loader_stats {
    int64_t batches, samples;
    double wait_seconds; /* that nacre_loader_next was blocked (with workers 0: worked) */
} nacre_loader_stats;
NACRE_API nacre_loader_stats nacre_loader_statistics(const nacre_loader *loader); /* since it was created */
/* Bytes of the ring of batches: 64-byte aligned, touched before the first epoch begins, and used again and again. It
 * comes from the context's allocator, which is where a device would have it pinned. */
NACRE_API int64_t nacre_loader_bytes(const nacre_loader *loader);

/* ---- the catalogue --------------------------------------------------------------------------------------------- */

typedef struct nacre_catalogue_file {
    const char *path;   /* under the data folder: "mnist/train-images-idx3-ubyte.gz" */
    const char *sha256; /* 64 hex digits */
    int64_t bytes;
    const char *format, *source, *licence, *notes;
} nacre_catalogue_file;

typedef struct nacre_catalogue_set {
    const char *name, *task, *licence;
    int64_t train, test; /* samples as the source counts them, -1: it does not say */
    const nacre_catalogue_file *files;
    int file_count;
} nacre_catalogue_set;

NACRE_API const nacre_catalogue_set *nacre_catalogue_at(int index);          /* NULL past the end */
NACRE_API const nacre_catalogue_set *nacre_catalogue_find(const char *name); /* NULL: none */
NACRE_API int64_t nacre_catalogue_bytes(const nacre_catalogue_set *set);     /* of all its files */
/* What nacre_dataset_open knows in a set: "mnist"; "tabular_classics/iris", ... NULL past the end; nothing at all for
 * sets (sound, text, boxes, series) that there is no reader for. */
NACRE_API const char *nacre_catalogue_dataset(const nacre_catalogue_set *set, int index);
/* NACRE_OK: all files are in `folder` with the right size and, if `hash`, content. */
NACRE_API nacre_status nacre_catalogue_check(nacre_context *context, const nacre_catalogue_set *set, const char *folder,
                                             bool hash);

typedef struct nacre_fetch_options {
    const char *folder; /* data folder; NULL: NACRE_DATA */
    const char *mirror; /* folder or http(s):// or file:// URL under which the same paths lie; NULL: NACRE_MIRROR. No
                           mirror is built in */
    /* Called now and then; false stops with NACRE_ERROR_CANCELLED. `total` is the catalogue's size. */
    bool (*progress)(void *user, const nacre_catalogue_file *file, int64_t done, int64_t total);
    void *user;
} nacre_fetch_options;
/* Brings the files of a set that are not there yet. Each is written to <path>.part, continued if that exists, checked
 * (size, SHA-256) and only then given its name. Wrong content removes the .part; an interrupted transfer keeps it. */
NACRE_API nacre_status nacre_catalogue_fetch(nacre_context *context, const nacre_catalogue_set *set,
                                             const nacre_fetch_options *options);

#ifdef __cplusplus
}
#endif

#endif

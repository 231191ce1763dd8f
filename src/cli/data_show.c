/* cli/data_show.c - samples as one picture: as they are, and as training sees them. */
#include "data_show.h"

#include <nacre/image.h>

#include <math.h>
#include <string.h>

enum { COLUMNS = 8, LEAST_SIDE = 64, GAP = 4 };

typedef struct sheet {
    nc_call *call;
    nacre_image picture;
    int rows, height, width, zoom; /* of a cell; pixels are repeated zoom times */
} sheet;

/* ---- cells ---- */

static bool begin_sheet(sheet *all, int rows, int height, int width)
{
    int side = height > width ? height : width;
    all->rows = rows;
    all->height = height;
    all->width = width;
    all->zoom = side < LEAST_SIDE ? (LEAST_SIDE + side - 1) / side : 1;
    int cell_height = height * all->zoom + GAP, cell_width = width * all->zoom + GAP;
    if (nacre_image_reserve(all->call->context, &all->picture, 3, rows * cell_height + GAP, COLUMNS * cell_width + GAP))
        return false;
    memset(all->picture.pixels, 255, (size_t)3 * (size_t)all->picture.height * (size_t)all->picture.width);
    return true;
}

/* Values from low to high become 0 to 255; grey is all three colours. */
static void draw_cell(sheet *all, int row, int column, const float *values, int channels, float low, float high)
{
    int height = all->height * all->zoom, width = all->width * all->zoom;
    int top = GAP + row * (height + GAP), left = GAP + column * (width + GAP);
    float scale = high > low ? 255 / (high - low) : 1;
    for (int c = 0; c < 3; c++)
        for (int y = 0; y < height; y++)
            for (int x = 0; x < width; x++) {
                int at = ((channels == 3 ? c : 0) * all->height + y / all->zoom) * all->width + x / all->zoom;
                float value = (values[at] - low) * scale;
                uint8_t byte = (uint8_t)(value < 0 ? 0 : value > 255 ? 255 : value + 0.5f);
                all->picture.pixels[((int64_t)c * all->picture.height + top + y) * all->picture.width + left + x] =
                    byte;
            }
}

static nc_exit finish_sheet(sheet *all, const char *words)
{
    const char *path = nc_is_given(all->call, "output") ? nc_text(all->call, "output") : "sheet.png";
    nacre_status status = nacre_check(all->call->context);
    if (status == NACRE_OK) status = nacre_image_write_png(all->call->context, &all->picture, path);
    nacre_image_release(all->call->context, &all->picture);
    if (status != NACRE_OK) return NC_EXIT_FAILED;
    printf("%s: %s\n", path, words);
    return NC_EXIT_DONE;
}

/* ---- batches ---- */

static int picture_field(nc_call *call, const nacre_loader *loader)
{
    for (int i = 0; i < nacre_loader_field_count(loader); i++) {
        const nacre_field *field = nacre_loader_field(loader, i);
        if (field->role == NACRE_ROLE_IMAGE && field->shape.rank == 3) return i;
    }
    nacre_fail(call->context, NACRE_ERROR_UNSUPPORTED, "%s holds no pictures to show",
               nacre_dataset_name(nacre_loader_dataset(loader)));
    return -1;
}

/* Bytes and shares have a range of their own; what is normalised is stretched. */
static void find_range(const float *values, int64_t count, float *low, float *high)
{
    float least = INFINITY, most = -INFINITY;
    for (int64_t i = 0; i < count; i++) {
        least = fminf(least, values[i]);
        most = fmaxf(most, values[i]);
    }
    bool bytes = least >= 0 && most > 1 && most <= 255, share = least >= 0 && most <= 1;
    *low = bytes || share ? 0 : least;
    *high = bytes ? 255 : share ? 1 : most;
}

/* The batch's pictures as a column, or in rows of COLUMNS where `column` is negative. */
static void draw_batch(sheet *all, const nacre_batch *batch, int field, int column)
{
    const float *values = batch->fields[field].data;
    int channels = (int)batch->fields[field].shape.dims[1];
    int64_t size = nacre_shape_count(batch->fields[field].shape) / batch->count;
    float low, high;
    find_range(values, size * batch->count, &low, &high);
    for (int i = 0; i < batch->count; i++)
        draw_cell(all, column < 0 ? i / COLUMNS : i, column < 0 ? i % COLUMNS : column, values + i * size, channels,
                  low, high);
}

static bool start_sheet(sheet *all, const nacre_loader *loader, int rows, int *field)
{
    *field = loader ? picture_field(all->call, loader) : -1;
    if (*field < 0) return false;
    nacre_shape shape = nacre_loader_field(loader, *field)->shape;
    return begin_sheet(all, rows, (int)shape.dims[1], (int)shape.dims[2]);
}

/* ---- a set ---- */

static nc_exit show_set(nc_call *call, const char *name)
{
    const nacre_dataset_options options = {.folder = nc_data_folder(call), .seed = (uint64_t)nc_integer(call, "seed")};
    nacre_dataset *all = nacre_dataset_open(call->context, name, &options);
    nacre_dataset *part = all ? nacre_dataset_split(all, (nacre_part)nc_choice(call, "part"), NULL) : NULL;
    int64_t count = nc_integer(call, "count") * COLUMNS, there = nacre_dataset_count(part);
    nacre_dataset *few = part ? nacre_dataset_subset(part, count < there ? count : there, options.seed) : NULL;
    nacre_loader *loader =
        few ? nacre_loader_create(few, &(nacre_loader_options){.batch_size = (int)nacre_dataset_count(few)}) : NULL;
    sheet drawing = {.call = call};
    int field, rows = ((int)(count < there ? count : there) + COLUMNS - 1) / COLUMNS;
    const nacre_batch *batch;
    if (start_sheet(&drawing, loader, rows, &field) && (batch = nacre_loader_next(loader)))
        draw_batch(&drawing, batch, field, -1);
    nacre_loader_destroy(loader);
    nacre_dataset_destroy(few);
    nacre_dataset_destroy(part);
    nacre_dataset_destroy(all);
    return finish_sheet(&drawing, "samples of all classes");
}

/* ---- a recipe ---- */

/* The first column without chance, the others as seven epochs of training would have them. */
static void draw_epochs(sheet *drawing, nacre_dataset *few, const nacre_recipe *recipe,
                        const nacre_transforms *transforms)
{
    nacre_loader_options options = {.batch_size = (int)nacre_dataset_count(few),
                                    .seed = (uint64_t)recipe->training.seed,
                                    .transforms = transforms,
                                    .mixup = recipe->training.mixup,
                                    .cutmix = recipe->training.cutmix};
    nacre_loader *plain = nacre_loader_create(few, &options);
    options.training = true;
    nacre_loader *lively = plain ? nacre_loader_create(few, &options) : NULL;
    const nacre_batch *batch;
    int field;
    if (lively && start_sheet(drawing, lively, options.batch_size, &field)) {
        if ((batch = nacre_loader_next(plain))) draw_batch(drawing, batch, field, 0);
        for (int epoch = 0; epoch + 1 < COLUMNS; epoch++) {
            nacre_loader_start(lively, epoch, 0);
            if ((batch = nacre_loader_next(lively))) draw_batch(drawing, batch, field, epoch + 1);
        }
    }
    nacre_loader_destroy(plain);
    nacre_loader_destroy(lively);
}

static nc_exit show_recipe(nc_call *call, const char *path)
{
    nacre_recipe *recipe = nacre_recipe_load(call->context, path, NULL);
    nacre_dataset *train =
        recipe ? nacre_experiment_part(call->context, recipe, nc_data_folder(call), NACRE_TRAIN) : NULL;
    int64_t count = nc_integer(call, "count"), there = nacre_dataset_count(train);
    nacre_dataset *few = train ? nacre_dataset_subset(train, count < there ? count : there, 0) : NULL;
    nacre_transforms *transforms =
        few ? nacre_transforms_parse(call->context, recipe->data.transforms ? recipe->data.transforms : "") : NULL;
    sheet drawing = {.call = call};
    if (transforms && nacre_transforms_fit(transforms, train) == NACRE_OK)
        draw_epochs(&drawing, few, recipe, transforms);
    nc_exit code = finish_sheet(&drawing, "each row a sample, first as evaluation has it, then as seven epochs do");
    nacre_transforms_destroy(transforms);
    nacre_dataset_destroy(few);
    nacre_dataset_destroy(train);
    nacre_recipe_destroy(recipe);
    return code;
}

nc_exit nc_data_show(nc_call *call, const char *name)
{
    const char *dot = strrchr(name, '.');
    if (nc_integer(call, "count") < 1 || nc_integer(call, "count") > 64)
        return nc_usage_error(call, "show: --count is the number of rows, 1 to 64");
    return dot && (!strcmp(dot, ".yaml") || !strcmp(dot, ".yml")) ? show_recipe(call, name) : show_set(call, name);
}

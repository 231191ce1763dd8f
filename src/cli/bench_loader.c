/* cli/bench_loader.c - pictures from files into batches: decode, random crop, resize, flip, normalise. */
#include "bench.h"

#include <nacre/data.h>
#include <nacre/image.h>
#include <nacre/io.h>
#include <nacre/random.h>

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

enum { PICTURES = 2000, SIDE = 256, CHANNELS = 3, QUALITY = 90, BATCH = 64 };
static const int WORKERS[] = {0, 1, 2, 4};
enum { SETTINGS = sizeof WORKERS / sizeof *WORKERS };

static const char STEPS[] = "random_resized_crop(224); horizontal_flip; scale(1/255); "
                            "normalise(mean=[0.485, 0.456, 0.406], std=[0.229, 0.224, 0.225])";

/* ---- the pictures --------------------------------------------------------------------------------------------------
 */

/* A bicubic kernel's weights (Keys 1981, a = -1/2) of the four neighbours of a point `t` after the second. */
static void cubic_weights(float t, float weights[4])
{
    for (int k = 0; k < 4; k++) {
        const float x = fabsf(t + 1 - (float)k);
        weights[k] = x < 1 ? (1.5f * x - 2.5f) * x * x + 1 : ((-0.5f * x + 2.5f) * x - 4) * x + 2;
    }
}

/* Adds noise of cells x cells, enlarged, times `gain`, to one channel. `rows` has room for cells * SIDE numbers. */
static void add_noise(nacre_random *random, int cells, float gain, float *rows, float *channel)
{
    float noise[128 * 128], weights[4];
    for (int i = 0; i < cells * cells; i++) noise[i] = (float)nacre_random_below(random, 256) - 127.5f;
    for (int pass = 0; pass < 2; pass++) /* along x into rows, then along y into the channel */
        for (int to = 0; to < SIDE; to++) {
            const float at = ((float)to + 0.5f) * (float)cells / SIDE - 0.5f;
            const int first = (int)floorf(at);
            cubic_weights(at - (float)first, weights);
            for (int i = 0; i < (pass ? SIDE : cells); i++) {
                float sum = 0;
                for (int k = 0; k < 4; k++) {
                    int from = first - 1 + k;
                    from = from < 0 ? 0 : from >= cells ? cells - 1 : from;
                    sum += weights[k] * (pass ? rows[from * SIDE + i] : noise[i * cells + from]);
                }
                if (pass)
                    channel[to * SIDE + i] += gain * sum;
                else
                    rows[i * SIDE + to] = sum;
            }
        }
}

/* A flat rectangle of 10 to 89 pixels a side, in all channels. */
static void add_rectangle(nacre_random *random, float *pixels)
{
    const int top = (int)nacre_random_below(random, SIDE - 40), left = (int)nacre_random_below(random, SIDE - 40);
    const int bottom = top + 10 + (int)nacre_random_below(random, 80);
    const int right = left + 10 + (int)nacre_random_below(random, 80);
    for (int c = 0; c < CHANNELS; c++) {
        const float value = (float)nacre_random_below(random, 160) - 80;
        for (int y = top; y < bottom && y < SIDE; y++)
            for (int x = left; x < right && x < SIDE; x++) pixels[(c * SIDE + y) * SIDE + x] += value;
    }
}

/* Smooth colour noise of three sizes, and six edges. */
static void draw(int index, float *pixels, float *rows, nacre_image *image)
{
    static const struct {
        int cells;
        float gain;
    } layers[] = {{8, 60.0f / 64}, {32, 30.0f / 64}, {128, 12.0f / 64}};
    nacre_random random = nacre_random_create(0, 0, (uint64_t)index);
    for (int i = 0; i < CHANNELS * SIDE * SIDE; i++) pixels[i] = 127.5f;
    for (int c = 0; c < CHANNELS; c++)
        for (int k = 0; k < 3; k++) add_noise(&random, layers[k].cells, layers[k].gain, rows, pixels + c * SIDE * SIDE);
    for (int i = 0; i < 6; i++) add_rectangle(&random, pixels);
    for (int i = 0; i < CHANNELS * SIDE * SIDE; i++)
        image->pixels[i] = (uint8_t)(pixels[i] < 0 ? 0 : pixels[i] > 255 ? 255 : pixels[i]);
}

static bool make_pictures(nacre_context *context, const char *folder)
{
    float *pixels = nacre_allocate(context, sizeof *pixels * (CHANNELS * SIDE * SIDE + 128 * SIDE));
    nacre_buffer jpeg = nacre_buffer_create(context);
    nacre_image image = {0};
    char name[32];
    nacre_status status = pixels ? nacre_make_directories(context, folder) : nacre_check(context);
    if (status == NACRE_OK) status = nacre_image_reserve(context, &image, CHANNELS, SIDE, SIDE);
    for (int i = 0; i < PICTURES && status == NACRE_OK; i++) {
        snprintf(name, sizeof name, "%05d.jpg", i);
        char *path = nacre_path_join(context, folder, name);
        draw(i, pixels, pixels + CHANNELS * SIDE * SIDE, &image);
        nacre_buffer_clear(&jpeg);
        status = nacre_image_encode_jpeg(context, &image, QUALITY, &jpeg);
        if (status == NACRE_OK && path) status = nacre_file_write(context, path, jpeg.data, jpeg.size);
        nacre_release(context, path);
    }
    nacre_image_release(context, &image);
    nacre_buffer_destroy(&jpeg);
    nacre_release(context, pixels);
    return status == NACRE_OK && nacre_check(context) == NACRE_OK;
}

/* Made once; the last one is written last, so that it is there only if all are. */
static char *find_pictures(nacre_context *context)
{
    const char *place = getenv("TMPDIR");
    char *folder = nacre_path_join(context, place ? place : "/tmp", "nacre-bench-pictures");
    char *last = folder ? nacre_path_join(context, folder, "01999.jpg") : NULL;
    const bool complete = last && (nacre_path_exists(last) || make_pictures(context, folder));
    nacre_release(context, last);
    if (complete) return folder;
    nacre_release(context, folder);
    return NULL;
}

/* ---- measuring ------------------------------------------------------------------------------------------------------
 */

typedef struct loading {
    nacre_dataset *pictures;
    nacre_transforms *transforms;
    nacre_loader *loader; /* of the setting that is being measured */
    int64_t epoch;
} loading;

static double step(nc_bench *bench)
{
    loading *all = bench->state;
    const nacre_batch *batch;
    int64_t count = 0;
    const double start = nacre_seconds();
    nacre_loader_start(all->loader, all->epoch++, 0);
    while ((batch = nacre_loader_next(all->loader))) count += batch->count;
    return count == PICTURES ? nacre_seconds() - start : -1;
}

static bool create(nc_bench *bench)
{
    loading *all = bench->state = nacre_allocate(bench->context, sizeof *all);
    if (!all) return false;
    bench->table = cJSON_CreateArray();
    all->transforms = nacre_transforms_parse(bench->context, STEPS);
    bench->items = PICTURES;
    return nacre_check(bench->context) == NACRE_OK;
}

static void add_row(nc_bench *bench, int workers, const nc_series *times)
{
    const double median = nc_series_median(times), least = times->seconds[0];
    cJSON *row = cJSON_CreateObject();
    cJSON_AddNumberToObject(row, "num_workers", workers);
    nc_add_rounded(row, "images_s", PICTURES / median, 0);
    nc_add_rounded(row, "images_s_best", PICTURES / least, 0);
    nc_add_rounded(row, "ms_median", 1e3 * median, 1);
    cJSON_AddItemToArray(bench->table, row);
}

/* Epochs with one number of workers, the first to warm up; `best` becomes the faster of it and these. */
static bool measure_workers(nc_bench *bench, int workers, double seconds, nc_series *best)
{
    loading *all = bench->state;
    nc_bench part = *bench;
    nc_series times = {0};
    const nacre_loader_options options = {
        .batch_size = BATCH, .workers = workers, .shuffle = true, .training = true, .transforms = all->transforms};
    part.seconds = seconds;
    part.least = bench->least < 3 ? bench->least : 3;
    all->loader = nacre_loader_create(all->pictures, &options);
    const bool complete = all->loader && nc_bench_measure(&part, &times);
    nacre_loader_destroy(all->loader);
    all->loader = NULL;
    if (complete) {
        nc_series_sort(&times);
        add_row(bench, workers, &times);
        if (best->count == 0 || times.seconds[0] < best->seconds[0]) {
            const nc_series slower = *best;
            *best = times;
            times = slower;
        }
    }
    nacre_release(bench->context, times.seconds);
    return complete;
}

static bool measure(nc_bench *bench, nc_series *times)
{
    loading *all = bench->state;
    char *folder = find_pictures(bench->context);
    all->pictures = folder ? nacre_dataset_from_pictures(bench->context, (const char *const *)&folder, 1, 3) : NULL;
    nacre_release(bench->context, folder);
    bool complete = all->pictures != NULL;
    for (int i = 0; i < SETTINGS && complete; i++)
        complete = measure_workers(bench, WORKERS[i], bench->seconds / SETTINGS, times);
    return complete;
}

static void destroy(nc_bench *bench)
{
    loading *all = bench->state;
    if (!all) return;
    nacre_transforms_destroy(all->transforms);
    nacre_dataset_destroy(all->pictures);
    nacre_release(bench->context, all);
}

const nc_workload nc_bench_loading[] = {
    {
        .name = "loader",
        .metric = "loader throughput, best number of workers",
        .unit = "images/s",
        .summary = "2,000 JPEGs of 256x256 into batches: decode, random resized crop to 224, flip, normalise; 0 to 4 "
                   "workers",
        .create = create,
        .step = step,
        .destroy = destroy,
        .measure = measure,
        .warm_up = 1,
    },
    {0},
};

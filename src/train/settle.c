/* train/settle.c - what a recipe leaves to measuring: batch size, workers and learning rate. */
#include "train/experiment.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

typedef struct search {
    nacre_context *context; /* of its own, so that no plan and no memory of the search outlives it */
    nacre_recipe *recipe;
    nacre_experiment experiment;
    nacre_buffer *words;
    int64_t batch_size;
} search;

static void say(const search *all, const char *format, ...) NACRE_PRINTF(2, 3);
static void say(const search *all, const char *format, ...)
{
    char line[512];
    va_list arguments;
    if (!all->words) return;
    va_start(arguments, format);
    vsnprintf(line, sizeof line, format, arguments);
    va_end(arguments);
    nacre_buffer_print(all->words, "%s\n", line);
}

/* For timing any rate does; one of auto is found last. */
static nacre_fit_options fit_to_time(const search *all)
{
    nacre_fit_options fit = nacre_experiment_fit(&all->experiment);
    fit.validation = NULL;
    if (fit.schedule.base <= 0) fit.schedule = (nacre_schedule){.kind = NACRE_SCHEDULE_CONSTANT, .base = 1e-6};
    return fit;
}

/* ---- the batch ---- */

enum { SMALLEST = 16, MOST_SIZES = 16, TIMED_STEPS = 8 };
static const double GIB = 1024.0 * 1024 * 1024;

/* Powers of two that fit; their throughput. */
typedef struct sizes {
    int64_t size[MOST_SIZES], memory[MOST_SIZES];
    double rate[MOST_SIZES];
    int count;
} sizes;

static double memory_bound(const nacre_recipe *recipe)
{
    double asked = recipe->training.memory * GIB;
    return asked > 0 ? asked : 0.5 * (double)nacre_machine_info()->memory_bytes;
}

/* Planning takes as much room as it finds; so what the next size will need is first foretold from the last. */
static nacre_status find_fitting(search *all, nacre_fit_options fit, double bound, sizes *found)
{
    int64_t most = nacre_dataset_count(fit.train) / 10; /* fewer updates than ten an epoch teach little */
    for (int64_t size = SMALLEST; (size <= most || size == SMALLEST) && found->count < MOST_SIZES; size *= 2) {
        nacre_fit_memory memory;
        if (all->recipe->training.accumulate % size != 0) break; /* updates are of whole batches */
        if (found->count > 0 && 1.5 * (double)found->memory[found->count - 1] > bound) break;
        fit.batch_size = size;
        fit.accumulate = 0;
        if (nacre_fit_plan(all->context, &fit, &memory)) return nacre_check(all->context);
        if ((double)memory.total > bound) break;
        found->size[found->count] = size;
        found->memory[found->count++] = memory.total;
    }
    if (found->count > 0) return NACRE_OK;
    if (all->recipe->training.accumulate % SMALLEST != 0)
        return nacre_recipe_fail(all->recipe, "training.accumulate", NACRE_ERROR_ARGUMENT,
                                 "must be a multiple of %d for a batch size of auto", SMALLEST);
    return nacre_recipe_fail(all->recipe, "training.memory", NACRE_ERROR_MEMORY,
                             "not even a batch of %d samples fits into %.2f GiB", SMALLEST, bound / GIB);
}

/* The better of two rounds, for other programs get in the way. The first ends early where larger batches have become
 * slower twice. */
static nacre_status time_sizes(search *all, nacre_fit_options fit, sizes *found)
{
    int count = found->count;
    fit.accumulate = 0;
    for (int round = 0; round < 2; round++)
        for (int i = 0; i < count; i++) {
            nacre_fit_timing timing;
            fit.batch_size = found->size[i];
            if (nacre_fit_time(all->context, &fit, TIMED_STEPS, 1, &timing)) return nacre_check(all->context);
            found->rate[i] = fmax(found->rate[i], timing.samples_per_second);
            bool slower = i >= 2 && found->rate[i] < found->rate[i - 1] && found->rate[i - 1] < found->rate[i - 2];
            if (round == 0 && slower) count = i + 1;
        }
    return NACRE_OK;
}

static nacre_status settle_batch(search *all)
{
    char setting[64];
    double bound = memory_bound(all->recipe), best = 0;
    nacre_fit_options fit = fit_to_time(all);
    sizes found = {0};
    int knee = 0;
    if (find_fitting(all, nacre_experiment_fit(&all->experiment), bound, &found) || time_sizes(all, fit, &found))
        return nacre_check(all->context);
    for (int i = 0; i < found.count; i++) best = fmax(best, found.rate[i]);
    while (found.rate[knee] < 0.9 * best) knee++;
    for (int i = 0; i < found.count && found.rate[i] > 0; i++)
        say(all, "batch size %lld: %.1f MiB, %.0f samples/s", (long long)found.size[i],
            (double)found.memory[i] / (1 << 20), found.rate[i]);
    say(all, "batch size %lld: the smallest with 90 %% of the best rate; %lld is the largest tried that fits %.2f GiB",
        (long long)found.size[knee], (long long)found.size[found.count - 1], bound / GIB);
    all->batch_size = found.size[knee];
    snprintf(setting, sizeof setting, "training.batch_size=%lld", (long long)all->batch_size);
    return nacre_recipe_set(all->recipe, setting);
}

/* ---- the workers ---- */

static nacre_status settle_workers(search *all)
{
    enum { MOST = 8 };
    char setting[64];
    int most = nacre_machine_info()->cores < MOST ? nacre_machine_info()->cores : MOST, chosen = 0;
    nacre_fit_timing timing[MOST + 1] = {{0}};
    nacre_fit_options fit = fit_to_time(all);
    double best = 0;
    fit.batch_size = all->batch_size;
    fit.accumulate = 0;
    fit.prefetch = 0;
    for (int turn = 0; turn < 2 * (most + 1); turn++) { /* two rounds, as above */
        nacre_fit_timing now;
        int workers = turn % (most + 1);
        fit.workers = workers;
        if (nacre_fit_time(all->context, &fit, 2 * TIMED_STEPS, 1, &now)) return nacre_check(all->context);
        if (now.samples_per_second > timing[workers].samples_per_second) timing[workers] = now;
    }
    for (int workers = 0; workers <= most; workers++) {
        best = fmax(best, timing[workers].samples_per_second);
        say(all, "workers %d: %.0f samples/s, %.0f %% waiting for data", workers, timing[workers].samples_per_second,
            100 * timing[workers].wait_share);
    }
    while (timing[chosen].samples_per_second < 0.97 * best) chosen++;
    /* What still waits with workers enough waits for single slow batches: a longer queue evens them out. */
    int prefetch = chosen * (timing[chosen].wait_share > 0.03 ? 4 : 2);
    say(all, "workers %d, %d batches ahead: the fewest with 97 %% of the best rate", chosen, prefetch);
    snprintf(setting, sizeof setting, "data.workers=%d", chosen);
    if (nacre_recipe_set(all->recipe, setting)) return nacre_check(all->context);
    snprintf(setting, sizeof setting, "data.prefetch=%d", prefetch);
    return nacre_recipe_set(all->recipe, setting);
}

/* ---- the learning rate ---- */

static nacre_status set_rate(nacre_recipe *recipe, double rate)
{
    char setting[64];
    snprintf(setting, sizeof setting, "optimizer.learning_rate=%.17g", rate);
    return nacre_recipe_set(recipe, setting);
}

static nacre_status settle_rate(search *all)
{
    char text[NC_RATE_TEXT];
    double rate = 0;
    nacre_fit_options fit = nacre_experiment_fit(&all->experiment);
    if (nc_experiment_rate(all->context, &fit, &rate, text)) return nacre_check(all->context);
    say(all, "%s", text);
    return set_rate(all->recipe, rate);
}

/* ---- what is left to find ---- */

typedef struct open_keys {
    bool batch, workers, rate;
} open_keys;

/* Whether a search tries values of the key, by the recipe or by `more`. */
static bool is_searched(const nacre_recipe *recipe, const char *const *more, const char *key)
{
    const size_t length = strlen(key);
    for (const nacre_setting *range = recipe->tune.ranges; range && range->name; range++)
        if (!strcmp(range->name, key)) return true;
    for (; more && *more; more++)
        if (!strncmp(*more, key, length) && (*more)[length] == '=') return true;
    return false;
}

static open_keys find_open(const nacre_recipe *recipe, const nacre_settle_options *options)
{
    open_keys open = {.batch = recipe->training.batch_size < 1,
                      .workers = recipe->data.workers < 0,
                      .rate = recipe->optimizer.learning_rate <= 0 && options->purpose != NACRE_SETTLE_FOLDS};
    if (options->purpose != NACRE_SETTLE_SEARCH) return open;
    open.batch &= !is_searched(recipe, options->ranges, "training.batch_size");
    open.workers &= !is_searched(recipe, options->ranges, "data.workers");
    open.rate &= !is_searched(recipe, options->ranges, "optimizer.learning_rate");
    return open;
}

/* ---- a run that goes on ---- */

/* The first run's checkpoint, in fresh memory. */
static char *checkpoint_path(nacre_context *context, const nacre_recipe *recipe, const nacre_settle_options *options)
{
    static const char *const suffix[] = {"", "-folds", "-tune"}, *const first[] = {"", "fold-1/", "trial-1/"};
    char *folder = nc_experiment_folder(context, recipe, options->output, suffix[options->purpose]);
    nacre_buffer path = nacre_buffer_create(context);
    if (folder) nacre_buffer_print(&path, "%s/%slast.safetensors", folder, first[options->purpose]);
    nacre_release(context, folder);
    return nacre_buffer_take(&path, NULL);
}

/* Takes the numbers of the recipe in the checkpoint, if there is one. */
static nacre_status recall(nacre_context *context, nacre_recipe *recipe, const nacre_settle_options *options,
                           open_keys open)
{
    char *path = checkpoint_path(context, recipe, options), setting[3][64];
    nacre_safetensors *file = path && nacre_path_exists(path) ? nacre_safetensors_open(context, path) : NULL;
    const char *text = file ? nacre_safetensors_metadata(file, "nacre.recipe") : NULL;
    nacre_recipe *before = text ? nacre_recipe_parse(context, text, strlen(text), path, NULL) : NULL;
    if (before) {
        snprintf(setting[0], sizeof *setting, "training.batch_size=%lld", (long long)nc_recipe_batch(before));
        snprintf(setting[1], sizeof *setting, "data.workers=%d", nc_recipe_workers(before));
        snprintf(setting[2], sizeof *setting, "data.prefetch=%lld", (long long)before->data.prefetch);
        for (int i = 0; i < 3; i++)
            if (i == 0 ? open.batch : open.workers) nacre_recipe_set(recipe, setting[i]);
        if (open.rate && before->optimizer.learning_rate > 0) set_rate(recipe, before->optimizer.learning_rate);
    }
    nacre_recipe_destroy(before);
    nacre_safetensors_close(file);
    nacre_release(context, path);
    return nacre_check(context);
}

/* ---- all of it ---- */

static nacre_status measure(search *all, const char *data_folder, open_keys open)
{
    nacre_status status = nacre_experiment_open(all->context, all->recipe, data_folder, NULL, &all->experiment);
    all->batch_size = nc_recipe_batch(all->recipe);
    if (status == NACRE_OK && open.batch) status = settle_batch(all);
    if (status == NACRE_OK && open.workers) status = settle_workers(all);
    if (status == NACRE_OK && open.rate) status = settle_rate(all);
    nacre_experiment_close(&all->experiment);
    return status;
}

static nacre_status measure_apart(nacre_context *context, search *all, const char *data_folder, open_keys open)
{
    nacre_context_options options = {.threads = nacre_threads(context),
                                     .device = nacre_context_device(context),
                                     .instruction_set = nacre_context_instruction_set(context) + 1};
    all->context = nacre_context_create(&options);
    if (!all->context) return nacre_fail(context, NACRE_ERROR_MEMORY, "out of memory for settling the recipe");
    nacre_status status = measure(all, data_folder, open);
    if (status != NACRE_OK && nacre_check(context) == NACRE_OK)
        nacre_fail(context, status, "%s", nacre_message(all->context));
    nacre_context_destroy(all->context);
    return nacre_check(context);
}

static void say_scaling(const search *all)
{
    const nacre_recipe *recipe = all->recipe;
    double factor = nc_rate_factor(recipe);
    if (!strcmp(recipe->training.rate_scaling, "none")) return;
    say(all, "learning rate %g x %g = %g: %s in the samples per update, from %lld", recipe->optimizer.learning_rate,
        factor, recipe->optimizer.learning_rate * factor, recipe->training.rate_scaling,
        (long long)recipe->training.reference_batch);
}

nacre_status nacre_recipe_settle(nacre_context *context, nacre_recipe *recipe, const char *data_folder,
                                 const nacre_settle_options *options)
{
    const nacre_settle_options chosen = options ? *options : (nacre_settle_options){0};
    search all = {.recipe = recipe, .words = chosen.words};
    if (strcmp(recipe->training.rate_scaling, "none") && recipe->optimizer.learning_rate <= 0)
        return nacre_recipe_fail(recipe, "training.rate_scaling", NACRE_ERROR_ARGUMENT,
                                 "a learning rate of auto is found for the batch size as it is; nothing is to scale");
    open_keys open = find_open(recipe, &chosen);
    if (chosen.resume && recall(context, recipe, &chosen, open)) return nacre_check(context);
    open = find_open(recipe, &chosen);
    if ((open.batch || open.workers || open.rate) && measure_apart(context, &all, data_folder, open))
        return nacre_check(context);
    say_scaling(&all);
    return nacre_check(context);
}

/* The same seed gives the same bits: whatever the number of loader workers and of compute threads, and whether or not a
 * listener stops the run in between. */
#include "runs.h"

/* ---- workers, seeds ---- */

static nc_run run_with(uint64_t seed, int workers, int prefetch)
{
    nc_run run = nc_run_create(&(nacre_context_options){.threads = 2});
    run.fit.seed = seed;
    run.fit.workers = workers;
    run.fit.prefetch = prefetch;
    nc_run_go(&run);
    NC_CHECK_OK(run.context);
    NC_CHECK_INT(run.result.steps, 18);
    return run;
}

static void any_number_of_workers(void)
{
    const struct {
        int workers, prefetch;
    } cases[] = {{0, 0}, {1, 0}, {2, 0}, {2, 1}, {4, 0}, {4, 9}};
    nc_run first = run_with(5, 0, 0);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        nc_run run = run_with(5, cases[i].workers, cases[i].prefetch);
        if (!nc_same_models(first.fit.model, run.fit.model))
            NC_COMPLAIN("%d workers, prefetch %d: other weights", cases[i].workers, cases[i].prefetch);
        NC_CHECK(run.result.train_loss == first.result.train_loss);
        NC_CHECK(run.result.best_value == first.result.best_value);
        nc_run_destroy(&run);
    }
    nc_run_destroy(&first);
}

static void another_seed_differs(void)
{
    nc_run a = run_with(5, 0, 0), b = run_with(6, 0, 0);
    NC_CHECK(nc_distance(a.fit.model, b.fit.model) > 1e-3);
    nc_run_destroy(&a);
    nc_run_destroy(&b);
}

/* ---- threads ---- */

/* Large enough that every kernel divides its work. */
static nacre_tensor *wide_model(void *user, nacre_scope s, nacre_tensor *const *inputs, int input_count)
{
    (void)user;
    (void)input_count;
    nacre_tensor *x = nacre_conv2d(nacre_in(s, "conv1"), inputs[0], 16, 3, NULL);
    x = nacre_relu(nacre_batch_norm(nacre_in(s, "bn1"), x, NULL));
    x = nacre_conv2d(nacre_in(s, "depthwise"), x, 16, 5, &(nacre_conv_layer_options){.groups = 16});
    x = nacre_max_pool(nacre_conv2d(nacre_in(s, "conv2"), x, 24, 3, NULL), &(nacre_pool_options){.kernel = {2, 2}});
    x = nacre_conv2d(nacre_in(s, "conv3"), x, 24, 3, &(nacre_conv_layer_options){.stride = 2});
    x = nacre_gelu(nacre_group_norm(nacre_in(s, "gn"), x, 4, NULL));
    x = nacre_dropout(nacre_in(s, "dropout"), nacre_flatten(x, 1), 0.2);
    x = nacre_layer_norm(nacre_in(s, "ln"), nacre_linear(nacre_in(s, "fc1"), x, 96, NULL), 1, NULL);
    return nacre_linear(nacre_in(s, "fc2"), nacre_tanh(x), 10, NULL);
}

static nacre_dataset *noise(nacre_context *context, int64_t count, int64_t side)
{
    nacre_array images = {NACRE_F32, NACRE_SHAPE(count, 1, side, side), NULL};
    nacre_array labels = {NACRE_I64, NACRE_SHAPE(count), NULL};
    float *pixels = images.data = nacre_allocate_aligned(context, sizeof *pixels * (size_t)(count * side * side));
    int64_t *ids = labels.data = nacre_allocate_aligned(context, sizeof *ids * (size_t)count);
    for (int64_t i = 0; i < count * side * side; i++) {
        uint32_t bits[4];
        nacre_philox((uint32_t[]){3, 1}, (uint32_t[]){(uint32_t)i, 0, 0, 0}, bits);
        pixels[i] = (float)(bits[0] >> 8) / (float)(1 << 23) - 1;
    }
    for (int64_t i = 0; i < count; i++) ids[i] = i * 7 % 10;
    return nacre_dataset_from_arrays(context, "noise", &images, &labels, NULL, NULL);
}

static nc_run run_threads(int threads)
{
    nc_run run = {.context = nacre_context_create(&(nacre_context_options){.threads = threads})};
    run.train = noise(run.context, 64, 24);
    run.fit = (nacre_fit_options){.model = nacre_model_create(run.context),
                                  .build = wide_model,
                                  .train = run.train,
                                  .optimizer = {.kind = NACRE_OPTIMIZER_ADAM, .clip_norm = 1, .weight_decay = 1e-3},
                                  .schedule = {.base = 0.01},
                                  .epochs = 2,
                                  .batch_size = 32,
                                  .seed = 3};
    nc_run_go(&run);
    NC_CHECK_OK(run.context);
    return run;
}

static void any_number_of_threads(void)
{
    nc_run one = run_threads(1);
    for (int threads = 2; threads <= 5; threads++) {
        nc_run run = run_threads(threads);
        nacre_entry x, y;
        for (int slot = 0; nacre_model_entry(one.fit.model, slot, &x); slot++)
            if (!nacre_model_entry(run.fit.model, slot, &y) || memcmp(x.data, y.data, x.bytes) != 0)
                NC_COMPLAIN("%d threads: %s differs", threads, x.path);
        nc_run_destroy(&run);
    }
    nc_run_destroy(&one);
}

/* ---- stopping and going on in one process ---- */

typedef struct patience {
    int64_t steps, left;
    int validations;
} patience;

static bool stop_when_tired(void *user, const nacre_fit_event *event)
{
    patience *listener = user;
    listener->validations += event->kind == NACRE_FIT_VALIDATION;
    if (event->kind == NACRE_FIT_STEP) listener->left--;
    return listener->left > 0;
}

/* A run that is cancelled every few steps, with accumulated gradients in between. */
static void stopped_and_resumed(void)
{
    nc_run whole = nc_run_create(&(nacre_context_options){.threads = 1});
    whole.fit.accumulate = 16;
    nc_run_go(&whole);
    for (int64_t stride = 1; stride <= 7; stride += 2) {
        char folder[64];
        int cancelled = 0;
        bool done = false;
        snprintf(folder, sizeof folder, "stopped%d", (int)stride);
        for (int turn = 0; !done && turn < 40; turn++) {
            patience listener = {.left = stride};
            nc_run run = nc_run_create(&(nacre_context_options){.threads = 1});
            run.fit.accumulate = 16;
            run.fit.folder = nc_file(folder);
            run.fit.resume = turn > 0;
            run.fit.listen = stop_when_tired;
            run.fit.listen_user = &listener;
            nc_run_go(&run);
            NC_CHECK_OK(run.context);
            cancelled += run.result.cancelled;
            done = !run.result.cancelled;
            if (done) NC_CHECK(nc_same_models(whole.fit.model, run.fit.model));
            if (done) NC_CHECK(run.result.train_loss == whole.result.train_loss);
            nc_run_destroy(&run);
        }
        NC_CHECK(done);
        NC_CHECK_INT(cancelled, 18 / stride);
    }
    nc_run_destroy(&whole);
}

int main(void)
{
    NC_RUN(any_number_of_workers);
    NC_RUN(another_seed_differs);
    NC_RUN(any_number_of_threads);
    NC_RUN(stopped_and_resumed);
    return nc_report();
}

/* What is known before a long run: memory as it will be taken, time, and whether the model can learn - without a trace.
 */
#include "runs.h"

/* ---- memory ---- */

/* Counts bytes; each block has its size in front of it. Arenas, which graphs and plans live in, are smaller than LARGE,
 * and so is what is planned beside the few blocks that matter. */
typedef struct meter {
    int64_t live, peak;         /* bytes */
    int64_t large, large_count; /* bytes and number of large blocks */
    int64_t most, most_count;   /* the same where they were most since the last clearing */
} meter;

enum { HEAD = 16, LARGE = 1 << 17 };

static void *meter_resize(void *user, void *pointer, size_t size)
{
    meter *all = user;
    char *block = pointer ? (char *)pointer - HEAD : NULL;
    size_t before = 0;
    if (block) memcpy(&before, block, sizeof before);
    all->live += (int64_t)size - (int64_t)before;
    all->peak = all->live > all->peak ? all->live : all->peak;
    all->large += (size >= LARGE ? (int64_t)size : 0) - (before >= LARGE ? (int64_t)before : 0);
    all->large_count += (size >= LARGE) - (before >= LARGE);
    if (all->large > all->most) {
        all->most = all->large;
        all->most_count = all->large_count;
    }
    if (size == 0) return free(block), NULL;
    block = realloc(block, size + HEAD);
    if (!block) return NULL;
    memcpy(block, &size, sizeof size);
    return block + HEAD;
}

/* While the model grows, a slab is there twice; that is over before the first step. */
static bool begin_to_count(void *user, const nacre_fit_event *event)
{
    meter *all = user;
    if (event->kind == NACRE_FIT_STEP && event->step <= 1) all->most = 0;
    return true;
}

/* What an aligned block takes beyond what was asked for. */
static int64_t overhead(nacre_context *context, const meter *all)
{
    const int64_t before = all->large;
    void *block = nacre_allocate_aligned(context, 2 * LARGE);
    const int64_t more = all->large - before - 2 * LARGE;
    nacre_release_aligned(context, block);
    return more;
}

/* Large enough that what graphs and plans take beside it is small. */
static nacre_tensor *wide_model(void *user, nacre_scope s, nacre_tensor *const *inputs, int input_count)
{
    (void)user;
    (void)input_count;
    nacre_tensor *x = nacre_conv2d(nacre_in(s, "conv"), inputs[0], 64, 3, NULL);
    x = nacre_relu(nacre_batch_norm(nacre_in(s, "bn"), x, NULL));
    x = nacre_relu(nacre_linear(nacre_in(s, "fc1"), nacre_flatten(x, 1), 512, NULL));
    return nacre_linear(nacre_in(s, "fc2"), x, NC_CLASSES, NULL);
}

/* 44 samples: with and without a last batch that is not full, with accumulation and mixing, in 16 bits with a scaler.
 */
static nc_run wide_run(meter *all, int turn)
{
    nc_run run = nc_run_create(&(nacre_context_options){.threads = 1, .allocator = {all, meter_resize}});
    run.fit.build = wide_model;
    run.fit.epochs = 2;
    run.fit.batch_size = turn == 1 ? 11 : 16;
    run.fit.accumulate = turn == 2 ? 32 : 0;
    run.fit.workers = 1;
    run.fit.mixup = turn == 2 ? 0.4 : 0;
    run.fit.precision = turn == 3 ? NACRE_F16 : NACRE_F32;
    run.fit.optimizer.kind = NACRE_OPTIMIZER_ADAMW;
    return run;
}

/* What is planned is what is taken. */
static void memory(void)
{
    for (int turn = 0; turn < 4; turn++) {
        meter all = {0};
        nc_run run = wide_run(&all, turn);
        nacre_fit_memory planned, again;
        nacre_fit_plan(run.context, &run.fit, &planned);
        NC_CHECK_OK(run.context);
        nacre_fit_plan(run.context, &run.fit, &again);
        NC_CHECK(!memcmp(&planned, &again, sizeof planned));
        NC_CHECK(planned.parameters >= 4 * nacre_model_elements(run.fit.model, NACRE_ENTRY_PARAMETER));
        NC_CHECK(planned.state >= 8 * nacre_model_elements(run.fit.model, NACRE_ENTRY_PARAMETER));
        NC_CHECK(planned.batch_block > 0 && planned.batch_block <= planned.activations);
        NC_CHECK((nacre_model_find(run.fit.model, "scaler.scale") >= 0) == (turn == 3));
        nc_run_destroy(&run);

        all = (meter){0};
        run = wide_run(&all, turn);
        const int64_t before = all.live, each = overhead(run.context, &all);
        run.fit.listen = begin_to_count;
        run.fit.listen_user = &all;
        nc_run_go(&run);
        NC_CHECK_OK(run.context);
        const int64_t taken = all.most - all.most_count * each;
        if (taken > planned.total || taken < planned.total - LARGE)
            NC_COMPLAIN("turn %d: large blocks of %lld bytes, %lld planned", turn, (long long)taken,
                        (long long)planned.total);
        NC_CHECK((double)(all.peak - before) < 1.1 * (double)planned.total + 500e3); /* with graphs and plans */
        nc_run_destroy(&run);
    }
}

/* ---- no trace ---- */

static bool never(void *user, const nacre_fit_event *event)
{
    (void)event;
    ++*(int *)user;
    return true;
}

static void no_trace(void)
{
    const nacre_context_options one = {.threads = 1};
    nc_run plain = nc_run_create(&one), tried = nc_run_create(&one);
    nacre_fit_memory planned;
    nacre_fit_timing timing;
    int heard = 0;
    nc_run_go(&plain);
    tried.fit.listen = never;
    tried.fit.listen_user = &heard;
    tried.fit.folder = nc_file("never");
    nacre_fit_plan(tried.context, &tried.fit, &planned);
    nacre_fit_time(tried.context, &tried.fit, 6, 1, &timing);
    NC_CHECK_OK(tried.context);
    NC_CHECK(timing.steps >= 3 && timing.steps <= 6);
    NC_CHECK(timing.step_seconds > 0 && timing.samples_per_second > 0);
    NC_CHECK(timing.wait_share >= 0 && timing.wait_share <= 1);
    NC_CHECK(isfinite(timing.first_loss) && isfinite(timing.last_loss));
    NC_CHECK_INT(timing.transfers.runs, 1);
    NC_CHECK_INT(timing.transfers.borrowed_bytes, 8 * (36 * 4 + 8)); /* pictures and labels */
    NC_CHECK_INT(timing.transfers.borrowed_calls, 2);
    NC_CHECK_INT(timing.transfers.out_bytes, 8 * 3 * 4 + 4); /* outputs and the loss */
    NC_CHECK_INT(timing.transfers.scalar_reads, 1);
    NC_CHECK_INT(heard, 0);
    NC_CHECK(access(nc_file("never"), F_OK) != 0);
    tried.fit.listen = NULL;
    tried.fit.folder = NULL;
    nc_run_go(&tried);
    NC_CHECK_OK(tried.context);
    NC_CHECK(nc_same_models(plain.fit.model, tried.fit.model));
    nc_run_destroy(&plain);
    nc_run_destroy(&tried);
}

/* ---- by heart ---- */

/* The outputs do not depend on the inputs. */
static nacre_tensor *blind_model(void *user, nacre_scope s, nacre_tensor *const *inputs, int input_count)
{
    (void)user;
    (void)input_count;
    nacre_tensor *x = nacre_mul_scalar(nacre_flatten(inputs[0], 1), 0);
    return nacre_linear(nacre_in(s, "fc"), x, NC_CLASSES, NULL);
}

static void by_heart(void)
{
    nc_run run = nc_run_create(&(nacre_context_options){.threads = 1});
    nacre_overfit result;
    run.fit.label_smoothing = 0.3; /* would keep the loss far from 0 */
    run.fit.optimizer.weight_decay = 10;
    nacre_fit_overfit(run.context, &run.fit, 12, 400, &result);
    NC_CHECK_OK(run.context);
    NC_CHECK(result.reached && result.last_loss <= result.goal && result.first_loss > 0.5);
    NC_CHECK_NEAR(result.goal, 0.02 * log(3), 1e-9);
    NC_CHECK_INT(result.samples, 12);
    NC_CHECK(result.steps > 3 && result.steps < 400);
    nc_run_destroy(&run);

    run = nc_run_create(&(nacre_context_options){.threads = 1});
    run.fit.build = blind_model;
    nacre_fit_overfit(run.context, &run.fit, 12, 50, &result);
    NC_CHECK_OK(run.context);
    NC_CHECK(!result.reached && result.least_loss > 0.9);
    NC_CHECK_INT(result.steps, 50);
    nacre_fit_overfit(run.context, &run.fit, 1000, 2, &result);
    NC_CHECK_OK(run.context);
    NC_CHECK_INT(result.samples, 44); /* all there are */
    nacre_fit_overfit(run.context, &run.fit, 0, 2, &result);
    NC_CHECK_FAILED(run.context, NACRE_ERROR_ARGUMENT, "at least one sample, not 0");
    nc_run_destroy(&run);
}

int main(void)
{
    NC_RUN(memory);
    NC_RUN(no_trace);
    NC_RUN(by_heart);
    return nc_report();
}

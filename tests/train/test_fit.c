/* What the loop promises: the best weights, stopping early, accumulation, clipping, schedules - and that a step that
 * goes wrong changes nothing. */
#include "runs.h"

#include <time.h>

enum { ONE_THREAD = 1 };

static nc_run create(void)
{
    return nc_run_create(&(nacre_context_options){.threads = ONE_THREAD});
}

/* Loss and first metric of a run's weights on its validation data. */
static double validate(nc_run *run, double *metric)
{
    nacre_evaluation evaluation = {0};
    nacre_evaluate(run->context,
                   &(nacre_evaluate_options){.model = run->fit.model,
                                             .build = run->fit.build,
                                             .user = run->fit.user,
                                             .dataset = run->validation,
                                             .transforms = run->transforms,
                                             .batch_size = run->fit.batch_size,
                                             .metrics = run->fit.metrics},
                   &evaluation);
    NC_CHECK_OK(run->context);
    if (metric) *metric = nacre_metrics_value(evaluation.metrics, 0);
    nacre_metrics_destroy(evaluation.metrics);
    return evaluation.loss;
}

/* ---- the best weights ---- */

typedef struct history {
    int64_t epochs, best_epoch;
    double values[32], losses[32], rates[256];
    int64_t steps;
} history;

static bool remember(void *user, const nacre_fit_event *event)
{
    history *all = user;
    if (event->kind == NACRE_FIT_STEP) all->rates[all->steps++ % 256] = event->learning_rate;
    if (event->kind != NACRE_FIT_EPOCH) return true;
    all->losses[all->epochs] = event->train_loss;
    if (event->validation) all->values[all->epochs] = nacre_metrics_value(event->validation->metrics, 0);
    all->epochs++;
    if (event->best) all->best_epoch = all->epochs;
    return true;
}

/* A rate so high that epochs get worse now and then. */
static nc_run wild_run(history *all, const char *folder)
{
    nc_run run = create();
    *all = (history){0};
    run.fit.schedule = (nacre_schedule){.base = 0.2};
    run.fit.epochs = 8;
    run.fit.folder = folder;
    run.fit.listen = remember;
    run.fit.listen_user = all;
    nc_run_go(&run);
    NC_CHECK_OK(run.context);
    return run;
}

static void best_weights_at_the_end(void)
{
    history all;
    double value;
    for (int with_folder = 0; with_folder < 2; with_folder++) {
        nc_run run = wild_run(&all, with_folder ? nc_file("best") : NULL);
        int64_t best = 0;
        for (int64_t i = 1; i < all.epochs; i++)
            if (all.values[i] > all.values[best]) best = i;
        NC_CHECK_INT(all.epochs, 8);
        NC_CHECK(best + 1 < all.epochs); /* otherwise nothing is shown here */
        NC_CHECK_INT(run.result.best_epoch, best + 1);
        NC_CHECK(run.result.best_value == all.values[best]);
        validate(&run, &value);
        NC_CHECK(value == all.values[best]);
        nc_run_destroy(&run);
    }
}

/* The file holds what the run ended with. */
static void best_weights_in_the_file(void)
{
    history all;
    nc_run run = wild_run(&all, nc_file("file"));
    nacre_model *loaded = nacre_model_create(run.context);
    nacre_safetensors *file = nacre_safetensors_open(run.context, nc_file("file/model.safetensors"));
    nacre_model_load(loaded, file);
    NC_CHECK_OK(run.context);
    NC_CHECK(nc_same_models(loaded, run.fit.model));
    nacre_safetensors_close(file);
    nacre_model_destroy(loaded);
    nc_run_destroy(&run);
}

/* The loss decides where no metric is asked for, and lower is better. */
static void loss_decides(void)
{
    static const char *const none[] = {NULL};
    history all = {0};
    nc_run run = create();
    run.fit.metrics = none;
    run.fit.listen = remember;
    run.fit.listen_user = &all;
    nc_run_go(&run);
    NC_CHECK_OK(run.context);
    NC_CHECK(run.result.best_value == validate(&run, NULL));
    nc_run_destroy(&run);
}

static void stops_early(void)
{
    history all = {0};
    nc_run run = create();
    run.fit.epochs = 40;
    run.fit.schedule.base = 1e-9; /* nothing gets better after the first epoch */
    run.fit.patience = 3;
    run.fit.min_delta = 0.5;
    run.fit.listen = remember;
    run.fit.listen_user = &all;
    nc_run_go(&run);
    NC_CHECK_OK(run.context);
    NC_CHECK(run.result.stopped_early);
    NC_CHECK_INT(run.result.best_epoch, 1);
    NC_CHECK_INT(run.result.epochs, 4);
    NC_CHECK_INT(all.epochs, 4);
    nc_run_destroy(&run);
}

/* ---- updates ---- */

/* Two runs of the plain model over the same order of samples, differing in how they are cut into batches. */
static nc_run plain_run(int64_t batch_size, int64_t accumulate, const nacre_optimizer *optimizer)
{
    nc_run run = create();
    run.fit.build = nc_plain_model;
    run.fit.batch_size = batch_size;
    run.fit.accumulate = accumulate;
    run.fit.optimizer = *optimizer;
    run.fit.schedule = (nacre_schedule){.base = 0.05};
    nc_run_go(&run);
    NC_CHECK_OK(run.context);
    return run;
}

/* 44 samples: updates of 16, 16 and 12 samples, whether in one piece or in batches of 4 or 8. */
static void accumulation_is_a_large_batch(void)
{
    const nacre_optimizer optimizers[] = {{.kind = NACRE_OPTIMIZER_SGD, .momentum = 0.9},
                                          {.kind = NACRE_OPTIMIZER_SGD, .clip_norm = 0.05},
                                          {.kind = NACRE_OPTIMIZER_ADAMW, .weight_decay = 0.1}};
    for (int i = 0; i < 3; i++) {
        nc_run large = plain_run(16, 0, &optimizers[i]), half = plain_run(8, 16, &optimizers[i]);
        nc_run quarter = plain_run(4, 16, &optimizers[i]), small = plain_run(8, 0, &optimizers[i]);
        NC_CHECK_INT(large.result.steps, 9);
        NC_CHECK_INT(half.result.steps, 9);
        NC_CHECK_INT(quarter.result.steps, 9);
        NC_CHECK_NEAR(nc_distance(large.fit.model, half.fit.model), 0, 2e-5);
        NC_CHECK_NEAR(nc_distance(large.fit.model, quarter.fit.model), 0, 2e-5);
        NC_CHECK(nc_distance(large.fit.model, small.fit.model) > 1e-3);
        nc_run_destroy(&large);
        nc_run_destroy(&half);
        nc_run_destroy(&quarter);
        nc_run_destroy(&small);
    }
}

static void unclean_accumulation_is_refused(void)
{
    nc_run run = create();
    run.fit.accumulate = 20;
    nc_run_go(&run);
    NC_CHECK_FAILED(run.context, NACRE_ERROR_ARGUMENT, "accumulate (20) a multiple of batch_size (8)");
    nc_run_destroy(&run);
}

/* How far one step of plain gradient descent at rate 1 leads: the norm of the gradient. */
static double step_length(double clip_norm)
{
    nc_run before = create(), after = create();
    double sum = 0;
    before.fit.build = after.fit.build = nc_plain_model;
    before.fit.epochs = after.fit.epochs = 1;
    before.fit.batch_size = after.fit.batch_size = 44;
    before.fit.optimizer = after.fit.optimizer = (nacre_optimizer){.clip_norm = clip_norm};
    before.fit.schedule = (nacre_schedule){.base = 1e-30}; /* leaves the weights as they were drawn */
    after.fit.schedule = (nacre_schedule){.base = 1};
    nc_run_go(&before);
    nc_run_go(&after);
    nacre_entry x, y;
    for (int slot = 0; nacre_model_entry(before.fit.model, slot, &x); slot++)
        for (int64_t i = 0; x.role == NACRE_ENTRY_PARAMETER && i < nacre_shape_count(x.shape); i++) {
            nacre_model_entry(after.fit.model, slot, &y);
            double step = nacre_dtype_load(y.dtype, y.data, i) - nacre_dtype_load(x.dtype, x.data, i);
            sum += step * step;
        }
    nc_run_destroy(&before);
    nc_run_destroy(&after);
    return sqrt(sum);
}

static void gradients_are_clipped(void)
{
    double norm = step_length(0);
    NC_CHECK(norm > 0.1);
    NC_CHECK_NEAR(step_length(norm / 4), norm / 4, 1e-4 * norm);
    NC_CHECK_NEAR(step_length(norm * 2), norm, 1e-6 * norm);
}

/* Two classes, outputs that ignore the input: with smoothing e the optimum is log((1 - e/2) / (e/2)) apart. */
static nacre_tensor *bias_model(void *user, nacre_scope s, nacre_tensor *const *inputs, int input_count)
{
    (void)user;
    (void)input_count;
    nacre_tensor *x = nacre_mul_scalar(nacre_flatten(inputs[0], 1), 0);
    return nacre_linear(nacre_in(s, "fc"), x, 2, NULL);
}

static void labels_are_smoothed(void)
{
    nc_run run = create();
    nacre_entry bias;
    nacre_dataset_destroy(run.train);
    run.fit.train = run.train = nc_stripes(run.context, 16, 1, 1); /* label 0 only */
    run.fit.validation = NULL;
    run.fit.build = bias_model;
    run.fit.label_smoothing = 0.2;
    run.fit.optimizer = (nacre_optimizer){.kind = NACRE_OPTIMIZER_SGD};
    run.fit.schedule = (nacre_schedule){.base = 1};
    run.fit.epochs = 60;
    nc_run_go(&run);
    NC_CHECK_OK(run.context);
    nacre_model_entry(run.fit.model, nacre_model_find(run.fit.model, "fc.bias"), &bias);
    const float *values = bias.data;
    NC_CHECK_NEAR(values[0] - values[1], log(0.9 / 0.1), 1e-4);
    nc_run_destroy(&run);
}

/* ---- schedules: golden points, as the steps of a run see them ---- */

static history rates_of(nacre_schedule schedule, int64_t accumulate)
{
    history all = {0};
    nc_run run = create();
    run.fit.build = nc_plain_model;
    run.fit.schedule = schedule;
    run.fit.accumulate = accumulate;
    run.fit.listen = remember;
    run.fit.listen_user = &all;
    nc_run_go(&run);
    NC_CHECK_OK(run.context);
    nc_run_destroy(&run);
    return all;
}

static void rates_follow_the_schedule(void)
{
    history step = rates_of((nacre_schedule){NACRE_SCHEDULE_STEP, 0.1, .step_size = 6, .gamma = 0.5}, 0);
    NC_CHECK_INT(step.steps, 18);
    NC_CHECK_NEAR(step.rates[0], 0.1, 1e-15);
    NC_CHECK_NEAR(step.rates[5], 0.1, 1e-15);
    NC_CHECK_NEAR(step.rates[6], 0.05, 1e-15);
    NC_CHECK_NEAR(step.rates[17], 0.025, 1e-15);

    history cosine = rates_of((nacre_schedule){NACRE_SCHEDULE_COSINE, 0.1, .min_rate = 0.01}, 0);
    NC_CHECK_NEAR(cosine.rates[0], 0.1, 1e-15);
    NC_CHECK_NEAR(cosine.rates[6], 0.0775, 1e-15); /* a third: (1 + 1/2) / 2 of 0.09 */
    NC_CHECK_NEAR(cosine.rates[9], 0.055, 1e-15);
    NC_CHECK_NEAR(cosine.rates[12], 0.0325, 1e-15);

    history warm = rates_of((nacre_schedule){NACRE_SCHEDULE_COSINE, 0.1, .warmup_steps = 4}, 0);
    NC_CHECK_NEAR(warm.rates[0], 0.02, 1e-15);
    NC_CHECK_NEAR(warm.rates[3], 0.08, 1e-15);
    NC_CHECK_NEAR(warm.rates[4], 0.1, 1e-15);
    NC_CHECK_NEAR(warm.rates[11], 0.05, 1e-15); /* half of the 14 steps after the warm-up */

    /* Updates count, not batches: 16 samples each, so 9 of them in 18 batches. */
    history updates = rates_of((nacre_schedule){NACRE_SCHEDULE_STEP, 0.1, .step_size = 3}, 16);
    NC_CHECK_INT(updates.steps, 18);
    NC_CHECK_NEAR(updates.rates[5], 0.1, 1e-15);
    NC_CHECK_NEAR(updates.rates[6], 0.01, 1e-15);
}

/* ---- steps that go wrong ---- */

/* Nothing holds it back. */
static nacre_tensor *bold_model(void *user, nacre_scope s, nacre_tensor *const *inputs, int input_count)
{
    (void)user;
    (void)input_count;
    nacre_tensor *x = nacre_linear(nacre_in(s, "fc1"), nacre_flatten(inputs[0], 1), 8, NULL);
    return nacre_linear(nacre_in(s, "fc2"), nacre_relu(x), NC_CLASSES, NULL);
}

/* From a batch on, logits that overflow in a layer with a name. */
typedef struct trap {
    double factor;
} trap;

static nacre_tensor *trap_model(void *user, nacre_scope s, nacre_tensor *const *inputs, int input_count)
{
    const trap *set = user;
    (void)input_count;
    nacre_tensor *x =
        nacre_relu(nacre_batch_norm(nacre_in(s, "bn"), nacre_conv2d(nacre_in(s, "conv"), inputs[0], 3, 3, NULL), NULL));
    x = nacre_linear(nacre_in(s, "fc1"), nacre_flatten(x, 1), 8, NULL);
    x = nacre_mul_scalar(x, set->factor); /* at the path of fc1 */
    x = nacre_linear(nacre_in(s, "fc2"), x, 8, NULL);
    return nacre_linear(nacre_in(s, "fc3"), x, NC_CLASSES, NULL);
}

static char *read_all(nc_run *run, const char *path, size_t *size)
{
    return nacre_file_read(run->context, nc_file(path), 0, size);
}

static void divergence_stops_the_run(void)
{
    for (int with_momentum = 0; with_momentum < 2; with_momentum++) {
        nc_run run = create();
        char wanted[64];
        run.fit.build = bold_model;
        run.fit.optimizer = (nacre_optimizer){.momentum = with_momentum ? 0.9 : 0};
        run.fit.schedule = (nacre_schedule){.base = 1e12};
        nacre_status status = nc_run_go(&run);
        NC_CHECK_INT(status, NACRE_ERROR_NUMERIC);
        snprintf(wanted, sizeof wanted, "epoch 1, batch %d, learning rate 1e+12", (int)run.result.steps + 1);
        NC_CHECK_CONTAINS(nacre_message(run.context), wanted);
        NC_CHECK_CONTAINS(nacre_message(run.context), "first in ");
        NC_CHECK_CONTAINS(nacre_message(run.context), "\"fc");
        NC_CHECK_FAILED(run.context, NACRE_ERROR_NUMERIC, "try a lower learning rate");
        nc_run_destroy(&run);
    }
}

/* Weights, running statistics and files stay as they were before the step. */
static void a_bad_step_changes_nothing(void)
{
    trap set = {1};
    nc_run run = create();
    size_t size = 0, again = 0;
    run.fit.build = trap_model;
    run.fit.user = &set;
    run.fit.folder = nc_file("bad");
    run.fit.epochs = 1;
    nc_run_go(&run);
    NC_CHECK_OK(run.context);
    nacre_model *before = nacre_model_create(run.context);
    char *best = read_all(&run, "bad/model.safetensors", &size), *last, *last_again;
    nacre_safetensors *file = nacre_safetensors_open(run.context, nc_file("bad/model.safetensors"));
    nacre_model_load(before, file);
    nacre_safetensors_close(file);
    size_t last_size = 0, last_again_size = 0;
    last = read_all(&run, "bad/last.safetensors", &last_size);

    set.factor = INFINITY;
    run.fit.epochs = 2;
    run.fit.resume = true;
    NC_CHECK_INT(nc_run_go(&run), NACRE_ERROR_NUMERIC);
    NC_CHECK_CONTAINS(nacre_message(run.context), "epoch 2, batch 1");
    NC_CHECK_FAILED(run.context, NACRE_ERROR_NUMERIC, "\"fc1\"");
    NC_CHECK(nc_same_models(before, run.fit.model));
    char *best_again = read_all(&run, "bad/model.safetensors", &again);
    last_again = read_all(&run, "bad/last.safetensors", &last_again_size);
    NC_CHECK(best && best_again && size == again && !memcmp(best, best_again, size));
    NC_CHECK(last && last_again && last_size == last_again_size && !memcmp(last, last_again, last_size));
    NC_CHECK_INT(nc_count_temporaries(nc_file("bad")), 0);
    nacre_release(run.context, best);
    nacre_release(run.context, best_again);
    nacre_release(run.context, last);
    nacre_release(run.context, last_again);
    nacre_model_destroy(before);
    nc_run_destroy(&run);
}

static nacre_tensor *linear_model(void *user, nacre_scope s, nacre_tensor *const *inputs, int input_count)
{
    (void)user;
    (void)input_count;
    return nacre_linear(nacre_in(s, "fc"), nacre_flatten(inputs[0], 1), NC_CLASSES, NULL);
}

/* The only update of an epoch makes the weights infinite, or so large that the validation overflows: no loss of the
 * training has seen it yet. */
static void infinite_weights_reach_no_file(void)
{
    const struct {
        double rate;
        const char *message;
    } cases[] = {
        {3e38, "the weights are no longer finite (epoch 1, batch 1, learning rate 3e+38): first in \"fc.weight\""},
        {1e35, "the loss is not finite (validation of epoch 1, batch 1): first in matmul \"fc\""}};
    for (int i = 0; i < 2; i++) {
        nc_run run = create();
        nacre_transforms_destroy(run.transforms);
        run.fit.transforms = run.transforms = nacre_transforms_parse(run.context, "scale(40)");
        run.fit.build = linear_model;
        run.fit.optimizer = (nacre_optimizer){0};
        run.fit.schedule = (nacre_schedule){.base = cases[i].rate};
        run.fit.batch_size = 44;
        run.fit.folder = nc_file("infinite");
        nc_run_go(&run);
        NC_CHECK_FAILED(run.context, NACRE_ERROR_NUMERIC, cases[i].message);
        NC_CHECK(!nacre_path_exists(nc_file("infinite/model.safetensors")));
        NC_CHECK(!nacre_path_exists(nc_file("infinite/last.safetensors")));
        nc_run_destroy(&run);
    }
}

static void labels_out_of_range(void)
{
    nc_run run = create();
    nacre_dataset_destroy(run.train);
    run.fit.train = run.train = nc_stripes(run.context, 20, 1, NC_CLASSES + 1);
    nc_run_go(&run);
    NC_CHECK_FAILED(run.context, NACRE_ERROR_ARGUMENT, "has label 3, the model's outputs are for labels 0 to 2");
    nc_run_destroy(&run);
}

static void nothing_to_learn_from(void)
{
    nc_run run = create();
    run.fit.drop_last = true;
    run.fit.batch_size = run.fit.accumulate = 64;
    nc_run_go(&run);
    NC_CHECK_FAILED(run.context, NACRE_ERROR_ARGUMENT, "44 training samples do not fill a batch of 64");
    run.fit.batch_size = run.fit.accumulate = 8;
    run.fit.loss = "cross_entrophy";
    nc_run_go(&run);
    NC_CHECK_FAILED(run.context, NACRE_ERROR_ARGUMENT, "did you mean \"cross_entropy\"?");
    run.fit.loss = "mse";
    nc_run_go(&run);
    NC_CHECK(nacre_check(run.context) != NACRE_OK);
    nc_run_destroy(&run);
}

/* ---- folders ---- */

static bool try_the_same_folder(void *user, const nacre_fit_event *event)
{
    nc_run *second = user;
    if (event->kind == NACRE_FIT_STEP && event->step == 3) {
        nc_run_go(second);
        NC_CHECK_FAILED(second->context, NACRE_ERROR_BUSY, "is in use by process");
    }
    return true;
}

static void one_run_per_folder(void)
{
    nc_run first = create(), second = create();
    first.fit.folder = second.fit.folder = nc_file("shared");
    first.fit.listen = try_the_same_folder;
    first.fit.listen_user = &second;
    nc_run_go(&first);
    NC_CHECK_OK(first.context);
    NC_CHECK_INT(first.result.steps, 18);
    nc_run_go(&second);
    NC_CHECK_OK(second.context);
    NC_CHECK(nc_same_models(first.fit.model, second.fit.model));
    nc_run_destroy(&first);
    nc_run_destroy(&second);
}

static bool stop_at_once(void *user, const nacre_fit_event *event)
{
    (void)user;
    (void)event;
    return false;
}

/* A fresh run forgets the checkpoint of the one that was there before, even if it is killed before its own first. */
static void a_fresh_run_forgets(void)
{
    nc_run old = create(), fresh = create(), resumed = create(), whole = create();
    old.fit.folder = fresh.fit.folder = resumed.fit.folder = nc_file("again");
    old.fit.schedule.base = 0.001;
    nc_run_go(&old);
    NC_CHECK(nacre_path_exists(nc_file("again/last.safetensors")));
    fresh.fit.train = NULL; /* fails before the folder is touched */
    nc_run_go(&fresh);
    NC_CHECK_FAILED(fresh.context, NACRE_ERROR_ARGUMENT, "needs a model");
    NC_CHECK(nacre_path_exists(nc_file("again/last.safetensors")));
    fresh.fit.train = fresh.train;
    fresh.fit.batch_size = 44;
    fresh.fit.listen = stop_at_once;
    fresh.fit.build = trap_model; /* is killed, so to speak, in its first step */
    fresh.fit.user = &(trap){INFINITY};
    nc_run_go(&fresh);
    NC_CHECK_FAILED(fresh.context, NACRE_ERROR_NUMERIC, "epoch 1, batch 1");
    NC_CHECK(!nacre_path_exists(nc_file("again/last.safetensors")));
    resumed.fit.resume = true;
    nc_run_go(&resumed);
    nc_run_go(&whole);
    NC_CHECK_OK(resumed.context);
    NC_CHECK_INT(resumed.result.epochs, 3);
    NC_CHECK(nc_same_models(whole.fit.model, resumed.fit.model));
    nc_run_destroy(&old);
    nc_run_destroy(&fresh);
    nc_run_destroy(&resumed);
    nc_run_destroy(&whole);
}

/* Going on with other samples or batches is not going on. */
static void a_checkpoint_of_another_run(void)
{
    nc_run old = create(), other = create();
    old.fit.folder = other.fit.folder = nc_file("other");
    nc_run_go(&old);
    other.fit.resume = true;
    other.fit.seed = 6;
    nc_run_go(&other);
    NC_CHECK_FAILED(other.context, NACRE_ERROR_STATE, "was made with seed 5, batch size 8");
    other.fit.seed = 5;
    other.fit.batch_size = 4;
    nc_run_go(&other);
    NC_CHECK_FAILED(other.context, NACRE_ERROR_STATE, "this run has seed 5, batch size 4");
    other.fit.batch_size = 8;
    other.fit.epochs = 4;
    other.fit.build = nc_plain_model;
    nc_run_go(&other);
    NC_CHECK_FAILED(other.context, NACRE_ERROR_NOT_FOUND, "\"fc1.weight\" is not in the loaded model");
    nc_run_destroy(&old);
    nc_run_destroy(&other);
}

static bool dawdle(void *user, const nacre_fit_event *event)
{
    (void)user;
    if (event->kind == NACRE_FIT_STEP && event->step == 1) nanosleep(&(struct timespec){.tv_nsec = 50000000}, NULL);
    return event->step < 7;
}

/* A run that has nothing left to do still knows how long the others took. */
static void seconds_add_up(void)
{
    for (int turn = 0; turn < 3; turn++) {
        nc_run run = create();
        run.fit.folder = nc_file("seconds");
        run.fit.resume = turn > 0;
        run.fit.listen = turn == 0 ? dawdle : NULL;
        nc_run_go(&run);
        NC_CHECK_OK(run.context);
        NC_CHECK_INT(run.result.cancelled, turn == 0);
        NC_CHECK_INT(run.result.steps, turn == 0 ? 7 : 18);
        NC_CHECK(run.result.seconds >= 0.05);
        nc_run_destroy(&run);
    }
}

int main(void)
{
    NC_RUN(best_weights_at_the_end);
    NC_RUN(best_weights_in_the_file);
    NC_RUN(loss_decides);
    NC_RUN(stops_early);
    NC_RUN(accumulation_is_a_large_batch);
    NC_RUN(unclean_accumulation_is_refused);
    NC_RUN(gradients_are_clipped);
    NC_RUN(labels_are_smoothed);
    NC_RUN(rates_follow_the_schedule);
    NC_RUN(divergence_stops_the_run);
    NC_RUN(a_bad_step_changes_nothing);
    NC_RUN(infinite_weights_reach_no_file);
    NC_RUN(labels_out_of_range);
    NC_RUN(nothing_to_learn_from);
    NC_RUN(one_run_per_folder);
    NC_RUN(a_fresh_run_forgets);
    NC_RUN(a_checkpoint_of_another_run);
    NC_RUN(seconds_add_up);
    return nc_report();
}

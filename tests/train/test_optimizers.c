/* Parameter groups, what is done around updates, averages of weights, and schedules of runs that change their length.
 */
#include "runs.h"

#include <math.h>

enum { ROWS = 3, COLUMNS = 4 };

/* A model with a matrix "fc.weight" and a vector "fc.bias", each element 1, whose gradients are 1 too. */
typedef struct bench {
    nacre_context *context;
    nacre_graph *graph;
    nacre_model *model;
    nacre_step_inputs inputs;
    nacre_tensor *mix, *loss;
} bench;

static void fill(bench *b, const char *path, float value)
{
    nacre_entry entry;
    int slot = nacre_model_find(b->model, path);
    float *values = nacre_model_write(b->model, slot);
    NC_REQUIRE(nacre_model_entry(b->model, slot, &entry) && values);
    for (int64_t i = 0; i < nacre_shape_count(entry.shape); i++) values[i] = value;
}

static float value_of(const bench *b, const char *path)
{
    nacre_entry entry;
    bool found = nacre_model_entry(b->model, nacre_model_find(b->model, path), &entry);
    NC_CHECK(found);
    return found ? ((const float *)entry.data)[0] : NAN;
}

static bench start(void)
{
    bench b = {.context = nacre_context_create(&(nacre_context_options){.threads = 1})};
    b.graph = nacre_graph_create(b.context);
    b.model = nacre_model_create(b.context);
    int weight = nacre_model_add(b.model, NACRE_ENTRY_PARAMETER, "fc.weight", NACRE_F32, NACRE_SHAPE(ROWS, COLUMNS));
    int bias = nacre_model_add(b.model, NACRE_ENTRY_PARAMETER, "fc.bias", NACRE_F32, NACRE_SHAPE(ROWS));
    fill(&b, "fc.weight", 1);
    fill(&b, "fc.bias", 1);
    b.inputs.learning_rate = nacre_input(b.graph, "learning_rate", NACRE_F32, NACRE_SCALAR);
    b.inputs.step = nacre_input(b.graph, "step", NACRE_I64, NACRE_SCALAR);
    nacre_tensor *sum = nacre_sum(nacre_model_tensor(b.graph, b.model, weight), NULL);
    b.loss = nacre_add(sum, nacre_sum(nacre_model_tensor(b.graph, b.model, bias), NULL));
    return b;
}

static void run_steps(bench *b, const nacre_optimizer *optimizer, double rate, int steps)
{
    NC_CHECK(nacre_optimizer_check(optimizer, b->model) == NACRE_OK);
    NC_CHECK(nacre_minimise(b->loss, b->model, optimizer, &b->inputs) == NACRE_OK);
    if (b->mix) NC_CHECK(nacre_average_model(b->graph, b->model, b->mix) == NACRE_OK);
    nacre_feed_scalar(b->inputs.learning_rate, rate);
    for (int i = 1; i <= steps; i++) {
        nacre_tensor *seed = nacre_seed(b->graph, false);
        nacre_feed_scalar(b->inputs.step, i);
        if (seed) nacre_feed_scalar(seed, i);
        if (b->mix) nacre_feed_scalar(b->mix, 1.0 / i);
        NC_CHECK(nacre_run(b->graph) == NACRE_OK);
    }
}

static void end(bench *b)
{
    NC_CHECK_OK(b->context);
    nacre_graph_destroy(b->graph);
    nacre_model_destroy(b->model);
    nacre_context_destroy(b->context);
}

/* ---- groups ---- */

static void groups_have_rates_and_decays_of_their_own(void)
{
    bench b = start();
    const nacre_parameter_group groups[] = {{.pattern = "*.bias", .rate = 3, .has_weight_decay = true}};
    run_steps(&b, &(nacre_optimizer){.weight_decay = 0.5, .groups = groups, .group_count = 1}, 0.1, 1);
    NC_CHECK_NEAR(value_of(&b, "fc.weight"), 1 - 0.1 * (1 + 0.5), 1e-6);
    NC_CHECK_NEAR(value_of(&b, "fc.bias"), 1 - 0.3 * 1, 1e-6);
    end(&b);
}

static void vectors_are_spared(void)
{
    for (int spare = 0; spare < 2; spare++) {
        bench b = start();
        run_steps(&b, &(nacre_optimizer){.weight_decay = 0.5, .spare_vectors = spare != 0}, 0.1, 1);
        NC_CHECK_NEAR(value_of(&b, "fc.weight"), 0.85, 1e-6);
        NC_CHECK_NEAR(value_of(&b, "fc.bias"), spare ? 0.9 : 0.85, 1e-6);
        end(&b);
    }
}

static void frozen_ones_stay(void)
{
    bench b = start();
    const nacre_parameter_group groups[] = {{.pattern = "fc.w?ight", .frozen = true}};
    run_steps(&b, &(nacre_optimizer){.groups = groups, .group_count = 1, .clip_norm = 1}, 0.1, 1);
    NC_CHECK_NEAR(value_of(&b, "fc.weight"), 1, 0);
    NC_CHECK_NEAR(value_of(&b, "fc.bias"), 1 - 0.1 / sqrt(3), 1e-5); /* nor do they count for the norm */
    end(&b);
}

static void refused(const nacre_parameter_group *groups, int count, const char *message)
{
    bench b = start();
    NC_CHECK(nacre_optimizer_check(&(nacre_optimizer){.groups = groups, .group_count = count}, b.model) != NACRE_OK);
    NC_CHECK_CONTAINS(nacre_message(b.context), message);
    nacre_clear(b.context);
    end(&b);
}

static void bad_groups_are_refused(void)
{
    refused((const nacre_parameter_group[]){{.pattern = "fc.weigt"}}, 1, "there is \"fc.weight\"");
    refused((const nacre_parameter_group[]){{.pattern = ""}}, 1, "has no pattern");
    refused((const nacre_parameter_group[]){{.pattern = "*"}, {.pattern = "fc.*"}}, 2, "\"fc.*\" is empty");
    refused((const nacre_parameter_group[]){{.pattern = "*", .rate = -1}}, 1, "negative");
}

/* ---- around updates ---- */

static void weights_of_an_output_are_limited(void)
{
    bench b = start();
    run_steps(&b, &(nacre_optimizer){.max_norm = 0.5}, 0.1, 1);
    NC_CHECK_NEAR(value_of(&b, "fc.weight"), 0.5 / sqrt(COLUMNS), 1e-5); /* its row has the norm 0.5 */
    NC_CHECK_NEAR(value_of(&b, "fc.bias"), 0.9, 1e-6);
    end(&b);
}

/* The noise of the step t has the variance 0.04 / (1 + t)^0.55. */
static void noise_fades(void)
{
    enum { COUNT = 4096 };
    for (int step = 1; step <= 100; step += 99) {
        nacre_context *context = nacre_context_create(&(nacre_context_options){.threads = 1});
        nacre_graph *graph = nacre_graph_create(context);
        nacre_model *model = nacre_model_create(context);
        int slot = nacre_model_add(model, NACRE_ENTRY_PARAMETER, "w", NACRE_F32, NACRE_SHAPE(COUNT));
        nacre_step_inputs inputs = {.learning_rate = nacre_input(graph, "learning_rate", NACRE_F32, NACRE_SCALAR)};
        inputs.step = nacre_input(graph, "step", NACRE_I64, NACRE_SCALAR);
        nacre_tensor *loss = nacre_sum(nacre_model_tensor(graph, model, slot), NULL);
        NC_CHECK(nacre_minimise(loss, model, &(nacre_optimizer){.noise = 0.04}, &inputs) == NACRE_OK);
        nacre_feed_scalar(inputs.learning_rate, 1);
        nacre_feed_scalar(inputs.step, step);
        nacre_feed_scalar(nacre_seed(graph, false), 5);
        NC_CHECK(nacre_run(graph) == NACRE_OK);
        nacre_entry entry;
        nacre_model_entry(model, slot, &entry);
        double sum = 0;
        for (int i = 0; i < COUNT; i++) sum += pow(((const float *)entry.data)[i] + 1, 2);
        double expected = 0.04 * pow(step, -0.55);
        NC_CHECK_NEAR(sum / COUNT, expected, 0.1 * expected);
        NC_CHECK_OK(context);
        nacre_graph_destroy(graph);
        nacre_model_destroy(model);
        nacre_context_destroy(context);
    }
}

/* mix 1 / t is the mean: of 0.9, 0.8 and 0.7. */
static void averages_of_weights(void)
{
    bench b = start();
    b.mix = nacre_input(b.graph, "mix", NACRE_F32, NACRE_SCALAR);
    run_steps(&b, &(nacre_optimizer){0}, 0.1, 3);
    NC_CHECK_NEAR(value_of(&b, "fc.weight"), 0.7, 1e-6);
    NC_CHECK_NEAR(value_of(&b, "average.fc.weight"), 0.8, 1e-6);
    NC_CHECK_NEAR(value_of(&b, "average.fc.bias"), 0.8, 1e-6);
    end(&b);
}

static void when_averages_move(void)
{
    nacre_averaging ema = {.kind = NACRE_AVERAGING_EMA, .decay = 0.99};
    NC_CHECK_NEAR(nacre_averaging_mix(&ema, 1, 100, 10), 1 - 2.0 / 11, 1e-12);
    NC_CHECK_NEAR(nacre_averaging_mix(&ema, 100000, 100, 10), 0.01, 1e-12);
    nacre_averaging swa = {.kind = NACRE_AVERAGING_SWA, .start = 0.75};
    NC_CHECK_NEAR(nacre_averaging_mix(&swa, 75, 100, 10), 0, 0);
    NC_CHECK_NEAR(nacre_averaging_mix(&swa, 80, 100, 10), 1, 0);
    NC_CHECK_NEAR(nacre_averaging_mix(&swa, 85, 100, 10), 0, 0);
    NC_CHECK_NEAR(nacre_averaging_mix(&swa, 90, 100, 10), 0.5, 0);
    NC_CHECK_NEAR(nacre_averaging_mix(&(nacre_averaging){0}, 1, 100, 10), 0, 0);
}

/* A loss that is not finite changes neither weights nor moments, whatever the optimizer. */
static void losses_that_are_not_finite_change_nothing(void)
{
    for (int kind = 0; kind < NACRE_OPTIMIZER_KINDS; kind++) {
        bench b = start();
        nacre_optimizer optimizer = {
            .kind = (nacre_optimizer_kind)kind, .momentum = 0.9, .lookahead = 1, .clip_norm = 1};
        nacre_tensor *bad = nacre_input(b.graph, "bad", NACRE_F32, NACRE_SCALAR);
        b.loss = nacre_mul(b.loss, bad);
        nacre_feed_scalar(bad, NAN);
        run_steps(&b, &optimizer, 0.1, 1);
        if (!(value_of(&b, "fc.weight") == 1 && value_of(&b, "fc.bias") == 1))
            NC_COMPLAIN("%s changed the weights", nacre_optimizer_name((nacre_optimizer_kind)kind));
        nacre_entry entry;
        for (int slot = 0; nacre_model_entry(b.model, slot, &entry); slot++)
            for (size_t i = 0; entry.role == NACRE_ENTRY_STATE && i < entry.bytes / sizeof(float); i++)
                if (!isfinite(((const float *)entry.data)[i])) NC_COMPLAIN("%s is not finite", entry.path);
        end(&b);
    }
}

/* ---- schedules ---- */

/* The rest of a run depends on step and length alone: nothing is remembered that a new length could contradict, and a
 * step behind the end is the last one, where PyTorch's rises again. */
static void lengths_may_change(void)
{
    for (int kind = 0; kind < NACRE_SCHEDULE_KINDS; kind++) {
        nacre_schedule s = {.kind = (nacre_schedule_kind)kind, .base = 0.1, .period = 7, .step_up = 3, .step_size = 5};
        if (kind == NACRE_SCHEDULE_NOAM) s.warmup_steps = 4;
        for (int64_t step = 0; step < 120; step++) {
            double rate = nacre_schedule_rate(&s, step, 60);
            NC_CHECK(isfinite(rate) && rate >= 0 && rate <= 0.1 + 1e-12);
        }
    }
    nacre_schedule cycle = {.kind = NACRE_SCHEDULE_ONE_CYCLE, .base = 1};
    NC_CHECK_NEAR(nacre_schedule_rate(&cycle, 99, 100), 4e-6, 1e-12);
    NC_CHECK_NEAR(nacre_schedule_rate(&cycle, 100, 100), 4e-6, 1e-12);
    NC_CHECK_NEAR(nacre_schedule_rate(&cycle, 15, 100), 0.545987, 1e-6);
    NC_CHECK_NEAR(nacre_schedule_rate(&cycle, 64, 100), 0.500002, 1e-6);
}

/* ---- runs that go on ---- */

typedef struct course {
    int64_t stop_after; /* epochs; 0: never */
    double rates[64];   /* of each step */
} course;

static bool follow(void *user, const nacre_fit_event *event)
{
    course *c = user;
    if (event->kind == NACRE_FIT_STEP && event->step >= 1 && event->step <= 64)
        c->rates[event->step - 1] = event->learning_rate;
    return !(event->kind == NACRE_FIT_EPOCH && event->epoch == c->stop_after);
}

/* Everything that remembers: momentum that moves, a plateau, averages, Lookahead. */
static nc_run lively_run(int variant, const char *folder, course *c)
{
    nc_run run = nc_run_create(&(nacre_context_options){.threads = 1, .deterministic = true});
    run.fit.folder = nc_file(folder);
    run.fit.epochs = 5;
    run.fit.listen = follow;
    run.fit.listen_user = c;
    run.fit.optimizer = (nacre_optimizer){.momentum = 0.9, .lookahead = 4, .noise = 0.001, .clip_value = 1};
    run.fit.schedule = (nacre_schedule){.kind = variant ? NACRE_SCHEDULE_PLATEAU : NACRE_SCHEDULE_ONE_CYCLE,
                                        .base = 0.1,
                                        .gamma = variant ? 0.5 : 0,
                                        .cycle_momentum = !variant};
    run.fit.averaging = (nacre_averaging){.kind = variant ? NACRE_AVERAGING_SWA : NACRE_AVERAGING_EMA, .start = 0.3};
    if (variant) run.fit.accumulate = 16;
    return run;
}

static void resumed_runs_end_alike(void)
{
    for (int variant = 0; variant < 2; variant++) {
        course whole = {0}, first = {.stop_after = 3}, rest = {0};
        nc_run a = lively_run(variant, variant ? "plateau" : "cycle", &whole);
        NC_CHECK(nc_run_go(&a) == NACRE_OK);
        NC_CHECK_OK(a.context);
        nc_run_destroy(&a);
        nc_run b = lively_run(variant, variant ? "plateau2" : "cycle2", &first);
        NC_CHECK(nc_run_go(&b) == NACRE_OK);
        NC_CHECK_OK(b.context);
        NC_CHECK(b.result.cancelled);
        nc_run_destroy(&b);
        nc_run c = lively_run(variant, variant ? "plateau2" : "cycle2", &rest);
        c.fit.resume = true;
        NC_CHECK(nc_run_go(&c) == NACRE_OK);
        NC_CHECK(c.result.epochs == 5);
        const char *end = variant ? "plateau/last.safetensors" : "cycle/last.safetensors";
        const char *again = variant ? "plateau2/last.safetensors" : "cycle2/last.safetensors";
        nc_same_tensors(c.context, nc_file(end), nc_file(again));
        const char *best = variant ? "plateau/model.safetensors" : "cycle/model.safetensors";
        nc_same_tensors(c.context, nc_file(best),
                        nc_file(variant ? "plateau2/model.safetensors" : "cycle2/model.safetensors"));
        NC_CHECK_OK(c.context);
        nc_run_destroy(&c);
    }
}

/* Five epochs were planned, three done; it goes on with eight, then a finished run with ten. */
static void resumed_runs_may_be_longer(void)
{
    const int64_t lengths[] = {5, 8, 10};
    for (int i = 0; i < 3; i++) {
        course c = {.stop_after = i == 0 ? 3 : 0};
        nc_run run = lively_run(0, "longer", &c);
        run.fit.epochs = lengths[i];
        run.fit.resume = i > 0;
        NC_CHECK(nc_run_go(&run) == NACRE_OK);
        NC_CHECK(run.result.epochs == (i == 0 ? 3 : lengths[i]));
        int64_t total = nacre_fit_steps(&run.fit), each = total / lengths[i], from = i == 0 ? 0 : i == 1 ? 3 : 8;
        for (int64_t step = from * each; step < run.result.steps; step++)
            NC_CHECK_NEAR(c.rates[step], nacre_schedule_rate(&run.fit.schedule, step, total), 0);
        NC_CHECK_OK(run.context);
        nc_run_destroy(&run);
    }
}

/* What is saved and measured is the average; what goes on is not. */
static void averages_are_evaluated_and_saved(void)
{
    course c = {0};
    nc_run run = lively_run(0, "average", &c);
    NC_CHECK(nc_run_go(&run) == NACRE_OK);
    nacre_safetensors *saved = nacre_safetensors_open(run.context, nc_file("average/model.safetensors"));
    nacre_safetensors *last = nacre_safetensors_open(run.context, nc_file("average/last.safetensors"));
    NC_REQUIRE(saved && last);
    const nacre_named_array *weight = nacre_safetensors_find(saved, "fc.weight");
    const nacre_named_array *live = nacre_safetensors_find(last, "fc.weight");
    const nacre_named_array *mean = nacre_safetensors_find(last, "average.fc.weight");
    NC_REQUIRE(weight && live && mean);
    size_t bytes = (size_t)nacre_shape_count(weight->shape) * sizeof(float);
    NC_CHECK(memcmp(live->data, mean->data, bytes) != 0);
    if (run.result.best_epoch == run.result.epochs) NC_CHECK(memcmp(weight->data, mean->data, bytes) == 0);
    NC_CHECK(memcmp(weight->data, live->data, bytes) != 0);
    nacre_safetensors_close(saved);
    nacre_safetensors_close(last);
    NC_CHECK_OK(run.context);
    nc_run_destroy(&run);
}

static void impossible(nacre_schedule schedule, int64_t total, const char *message)
{
    nacre_context *context = nacre_context_create(&(nacre_context_options){.threads = 1});
    NC_CHECK(nacre_schedule_check(context, &schedule, total) == NACRE_ERROR_ARGUMENT);
    NC_CHECK_CONTAINS(nacre_message(context), message);
    nacre_context_destroy(context);
}

static void impossible_schedules_are_refused(void)
{
    impossible((nacre_schedule){.base = 0.1}, 0, "at least one update");
    impossible((nacre_schedule){.base = -0.1}, 10, "must be a positive number, got -0.1");
    impossible((nacre_schedule){.base = NAN}, 10, "must be a positive number");
    impossible((nacre_schedule){.base = 0.1, .min_rate = -1}, 10, "must not be negative");
    impossible((nacre_schedule){.base = 0.1, .min_rate = 1}, 10, "lies above");
    impossible((nacre_schedule){.kind = NACRE_SCHEDULE_ONE_CYCLE, .base = 1, .pct_start = 1}, 10, "pct_start");
    impossible((nacre_schedule){.kind = NACRE_SCHEDULE_ONE_CYCLE, .base = 1, .pct_start = -0.1}, 10, "pct_start");
    impossible((nacre_schedule){.kind = NACRE_SCHEDULE_ONE_CYCLE, .base = 1, .pct_start = 0.1}, 10, "more than 1");
    impossible((nacre_schedule){.kind = NACRE_SCHEDULE_ONE_CYCLE, .base = 1, .pct_start = 0.6, .three_phase = true},
               100, "at most 0.5");
    impossible((nacre_schedule){.kind = NACRE_SCHEDULE_CYCLIC, .base = 1}, 10, "step_up");
    impossible((nacre_schedule){.kind = NACRE_SCHEDULE_COSINE_RESTARTS, .base = 1}, 10, "period");
    impossible((nacre_schedule){.kind = NACRE_SCHEDULE_STEP, .base = 1, .gamma = -1}, 10, "gamma");
    impossible((nacre_schedule){.kind = NACRE_SCHEDULE_MULTISTEP, .base = 1}, 10, "milestones");
    impossible((nacre_schedule){.base = 1, .warmup_steps = 11}, 10, "does not fit a run of 10");
    impossible((nacre_schedule){.base = 1, .max_momentum = 1}, 10, "momentum");
}

int main(void)
{
    NC_RUN(groups_have_rates_and_decays_of_their_own);
    NC_RUN(vectors_are_spared);
    NC_RUN(frozen_ones_stay);
    NC_RUN(bad_groups_are_refused);
    NC_RUN(weights_of_an_output_are_limited);
    NC_RUN(noise_fades);
    NC_RUN(averages_of_weights);
    NC_RUN(when_averages_move);
    NC_RUN(losses_that_are_not_finite_change_nothing);
    NC_RUN(lengths_may_change);
    NC_RUN(resumed_runs_end_alike);
    NC_RUN(resumed_runs_may_be_longer);
    NC_RUN(averages_are_evaluated_and_saved);
    NC_RUN(impossible_schedules_are_refused);
    return nc_report();
}

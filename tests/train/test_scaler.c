/* Loss scaling: scale, tracker and weights step by step as torch.amp.GradScaler, and whole runs in f16. */
#include "golden.h"
#include "runs.h"

#include <nacre/train.h>

/* ---- the table --------------------------------------------------------------------------------------------------- */

static double number(const char *text, const char *key)
{
    const char *found = strstr(text, key);
    return found ? strtod(found + strlen(key), NULL) : 0;
}

static double state(const nacre_model *model, const char *path)
{
    nacre_entry entry;
    if (!nacre_model_entry(model, nacre_model_find(model, path), &entry)) return NAN;
    return nacre_dtype_load(entry.dtype, entry.data, 0);
}

typedef struct table {
    nacre_context *context;
    nacre_graph *graph, *update; /* update: of accumulated gradients, NULL: one graph does it all */
    nacre_model *model;
    nacre_tensor *gradient;
    nacre_step_inputs inputs;
} table;

/* One parameter w with the loss w g. Adam and clipping by norm, as the golden values have it. */
static void build(table *t, const nacre_scaler *scaler, bool accumulate)
{
    static nacre_optimizer adam;
    adam = (nacre_optimizer){.kind = NACRE_OPTIMIZER_ADAM, .clip_norm = 0.5, .scaler = scaler};
    t->context = nacre_context_create(NULL);
    t->graph = nacre_graph_create(t->context);
    t->model = nacre_model_create(t->context);
    int slot = nacre_model_add(t->model, NACRE_ENTRY_PARAMETER, "w", NACRE_F32, NACRE_SCALAR);
    nacre_graph *last = accumulate ? nacre_graph_create(t->context) : t->graph;
    t->gradient = nacre_input(t->graph, "gradient", NACRE_F32, NACRE_SCALAR);
    t->inputs.learning_rate = nacre_input(last, "learning_rate", NACRE_F32, NACRE_SCALAR);
    t->inputs.step = nacre_input(last, "step", NACRE_I64, NACRE_SCALAR);
    nacre_tensor *loss = nacre_mul(nacre_model_tensor(t->graph, t->model, slot), t->gradient);
    if (accumulate) {
        t->update = last;
        t->inputs.scale = nacre_input(last, "scale", NACRE_F32, NACRE_SCALAR);
        nacre_accumulate_gradients(nacre_scale_loss(loss, t->model, scaler), t->model);
        nacre_apply_gradients(last, t->model, &adam, &t->inputs);
        nacre_feed_scalar(t->inputs.scale, 0.5);
    } else {
        nacre_minimise(loss, t->model, &adam, &t->inputs);
    }
    nacre_feed_scalar(t->inputs.learning_rate, 0.1);
    *(float *)nacre_model_write(t->model, slot) = 1;
}

static void destroy(table *t)
{
    NC_CHECK_TEXT(nacre_message(t->context), "");
    if (t->update) nacre_graph_destroy(t->update);
    nacre_graph_destroy(t->graph);
    nacre_model_destroy(t->model);
    nacre_context_destroy(t->context);
}

static void run_step(table *t, int64_t index, double gradient)
{
    nacre_feed_scalar(t->gradient, gradient);
    nacre_feed_scalar(t->inputs.step, (double)(index + 1));
    NC_CHECK(nacre_run(t->graph) == NACRE_OK);
    if (!t->update) return;
    NC_CHECK(nacre_run(t->graph) == NACRE_OK); /* twice the gradient, and half of it is used */
    NC_CHECK(nacre_run(t->update) == NACRE_OK);
}

static const double *column(const nacre_safetensors *file, const char *name, const char *what)
{
    char path[80];
    snprintf(path, sizeof path, "%s.%s", name, what);
    const nacre_named_array *array = nacre_safetensors_find(file, path);
    return array ? nc_golden_values(array) : NULL;
}

static void follow(const nacre_safetensors *file, const char *name, const char *text, bool accumulate)
{
    const nacre_scaler scaler = {.initial = number(text, "initial="),
                                 .growth = number(text, "growth="),
                                 .backoff = number(text, "backoff="),
                                 .interval = (int64_t)number(text, "interval="),
                                 .minimum = 1e-30};
    const nacre_named_array *given = nacre_safetensors_find(file, "gradients");
    const double *scale = column(file, name, "scale"), *tracker = column(file, name, "growth_tracker");
    const double *weight = column(file, name, "weight");
    double *gradients = given ? nc_golden_values(given) : NULL;
    NC_REQUIRE(gradients && scale && tracker && weight);
    table t = {0};
    build(&t, &scaler, accumulate);
    int64_t skipped = 0;
    for (int64_t i = 0; i < nacre_shape_count(given->shape); i++) {
        run_step(&t, i, gradients[i]);
        skipped += !isfinite(gradients[i]);
        NC_CHECK_NEAR(nacre_scaler_scale(t.model), scale[i], 0);
        NC_CHECK_NEAR(state(t.model, "scaler.growth_tracker"), tracker[i], 0);
        NC_CHECK_NEAR(state(t.model, "w"), weight[i], 2e-6);
        NC_CHECK_INT(nacre_scaler_skipped(t.model), skipped);
    }
    destroy(&t);
    free(gradients);
    free((void *)(uintptr_t)scale);
    free((void *)(uintptr_t)tracker);
    free((void *)(uintptr_t)weight);
}

static void the_table_of_pytorch(void)
{
    nacre_context *context = nacre_context_create(NULL);
    nacre_safetensors *file = nacre_safetensors_open(context, nc_source("tests/golden/scaler.safetensors"));
    NC_REQUIRE(file);
    int count = 0;
    for (nacre_text_pair pair; (pair = nacre_safetensors_metadata_at(file, count)).key; count++) {
        follow(file, pair.key, pair.text, false);
        follow(file, pair.key, pair.text, true);
    }
    NC_CHECK_INT(count, 3);
    nacre_safetensors_close(file);
    nacre_context_destroy(context);
}

static void the_scale_stays_above_its_minimum(void)
{
    const nacre_scaler scaler = {.initial = 64, .minimum = 8};
    table t = {0};
    build(&t, &scaler, false);
    for (int i = 0; i < 6; i++) run_step(&t, i, INFINITY);
    NC_CHECK_NEAR(nacre_scaler_scale(t.model), 8, 0);
    NC_CHECK_NEAR(state(t.model, "w"), 1, 0);
    NC_CHECK_INT(nacre_scaler_skipped(t.model), 6);
    destroy(&t);
}

/* ---- whole runs in f16 ------------------------------------------------------------------------------------------- */

static void keep_first(void *user, nacre_log_level level, const char *message)
{
    char *text = user;
    if (level == NACRE_LOG_WARNING && !*text) snprintf(text, 512, "%s", message);
}

static void overflow_is_skipped_and_named(void)
{
    char warning[512] = "";
    nc_run run = nc_run_create(&(nacre_context_options){.log = keep_first, .log_user = warning});
    run.fit.precision = NACRE_F16;
    run.fit.scaler = (nacre_scaler){.initial = 1e9, .interval = 4};
    NC_CHECK(nc_run_go(&run) == NACRE_OK);
    NC_CHECK_CONTAINS(warning, "update 1 skipped (epoch 1, batch 1");
    NC_CHECK_CONTAINS(warning, "f16 overflows at a loss scale of 1e+09, first in ");
    NC_CHECK_CONTAINS(warning, "of the gradient; the scale is now 5e+08");
    NC_CHECK(nacre_scaler_skipped(run.fit.model) > 1 && nacre_scaler_skipped(run.fit.model) < 18);
    NC_CHECK(nacre_scaler_scale(run.fit.model) < 5e8);
    NC_CHECK_INT(run.result.steps, 18);
    nc_run_destroy(&run);
}

/* Nowhere to go: the run stops and says where. */
static void overflow_at_the_minimum_stops(void)
{
    nc_run run = nc_run_create(NULL);
    run.fit.precision = NACRE_F16;
    run.fit.scaler = (nacre_scaler){.initial = 1e9, .minimum = 2e8};
    NC_CHECK(nc_run_go(&run) == NACRE_ERROR_NUMERIC);
    NC_CHECK_CONTAINS(nacre_message(run.context), "f16 overflows at the smallest loss scale");
    NC_CHECK_CONTAINS(nacre_message(run.context), "of the gradient; bf16 has the range of f32");
    nc_run_destroy(&run);
}

static void nonsense_is_refused(void)
{
    nc_run run = nc_run_create(NULL);
    run.fit.precision = NACRE_F16;
    run.fit.scaler.backoff = 2;
    NC_CHECK(nc_run_go(&run) == NACRE_ERROR_ARGUMENT);
    NC_CHECK_CONTAINS(nacre_message(run.context), "backoff between 0 and 1");
    nacre_clear(run.context);
    run.fit.precision = NACRE_I8;
    NC_CHECK(nc_run_go(&run) == NACRE_ERROR_UNSUPPORTED);
    NC_CHECK_CONTAINS(nacre_message(run.context), "f32, bf16 or f16, not in i8");
    nc_run_destroy(&run);
}

static bool stop_at_three(void *user, const nacre_fit_event *event)
{
    (void)user;
    return event->step != 3;
}

/* The scale is among what a checkpoint holds. */
static void a_resumed_run_ends_alike(void)
{
    nc_run whole = nc_run_create(NULL), parts = nc_run_create(NULL), rest = nc_run_create(NULL);
    nc_run *all[] = {&whole, &parts, &rest};
    for (int i = 0; i < 3; i++) {
        all[i]->fit.precision = NACRE_F16;
        all[i]->fit.scaler = (nacre_scaler){.initial = 1e8, .interval = 3};
        all[i]->fit.folder = nc_file(i > 0 ? "parts" : "whole");
    }
    parts.fit.listen = stop_at_three;
    rest.fit.resume = true;
    for (int i = 0; i < 3; i++) NC_CHECK(nc_run_go(all[i]) == NACRE_OK);
    NC_CHECK(parts.result.cancelled && !rest.result.cancelled);
    NC_CHECK(nc_same_models(whole.fit.model, rest.fit.model));
    NC_CHECK(nc_same_tensors(whole.context, nc_file("whole/last.safetensors"), nc_file("parts/last.safetensors")));
    nacre_safetensors *last = nacre_safetensors_open(whole.context, nc_file("parts/last.safetensors"));
    const nacre_named_array *skipped = last ? nacre_safetensors_find(last, "scaler.skipped") : NULL;
    NC_CHECK(skipped && nacre_dtype_load(skipped->dtype, skipped->data, 0) > 0);
    nacre_safetensors_close(last);
    for (int i = 0; i < 3; i++) nc_run_destroy(all[i]);
}

static void accumulated_gradients_are_scaled(void)
{
    nc_run plain = nc_run_create(NULL), halves = nc_run_create(NULL);
    nc_run *both[] = {&plain, &halves};
    for (int i = 0; i < 2; i++) {
        both[i]->fit.build = nc_plain_model;
        both[i]->fit.precision = NACRE_F16;
        both[i]->fit.accumulate = 16;
        both[i]->fit.validation = NULL;
        both[i]->fit.optimizer = (nacre_optimizer){.kind = NACRE_OPTIMIZER_SGD, .clip_norm = 0.5};
    }
    plain.fit.batch_size = 16;
    halves.fit.batch_size = 8;
    for (int i = 0; i < 2; i++) NC_CHECK(nc_run_go(both[i]) == NACRE_OK);
    NC_CHECK_INT(nacre_scaler_skipped(plain.fit.model), 0);
    NC_CHECK(nc_distance(plain.fit.model, halves.fit.model) < 2e-3);
    for (int i = 0; i < 2; i++) nc_run_destroy(both[i]);
}

int main(void)
{
    NC_RUN(the_table_of_pytorch);
    NC_RUN(the_scale_stays_above_its_minimum);
    NC_RUN(overflow_is_skipped_and_named);
    NC_RUN(overflow_at_the_minimum_stops);
    NC_RUN(nonsense_is_refused);
    NC_RUN(a_resumed_run_ends_alike);
    NC_RUN(accumulated_gradients_are_scaled);
    return nc_report();
}

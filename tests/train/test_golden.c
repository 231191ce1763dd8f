/* Optimizers, schedules and twenty training steps against PyTorch: tests/golden/optim, schedules and train_*. */
#include "golden.h"

#include <nacre/train.h>

enum { TEXT = 160 };

/* "momentum=0.9" in "sgd learning_rate=0.1 momentum=0.9" -> 0.9; 0 if it is not there. */
static double option(const char *text, const char *name)
{
    char key[TEXT];
    snprintf(key, sizeof key, " %s=", name);
    const char *found = strstr(text, key);
    return found ? strtod(found + strlen(key), NULL) : 0;
}

static bool is(const char *text, const char *word)
{
    return strncmp(text, word, strlen(word)) == 0 && strchr(" ", text[strlen(word)]) != NULL;
}

static nacre_optimizer read_optimizer(const char *text)
{
    nacre_optimizer optimizer = {.momentum = option(text, "momentum"),
                                 .dampening = option(text, "dampening"),
                                 .nesterov = option(text, "nesterov") != 0,
                                 .beta1 = option(text, "beta1"),
                                 .beta2 = option(text, "beta2"),
                                 .eps = option(text, "eps"),
                                 .amsgrad = option(text, "amsgrad") != 0,
                                 .momentum_decay = option(text, "momentum_decay"),
                                 .rate_decay = option(text, "rate_decay"),
                                 .initial = option(text, "initial"),
                                 .rho = option(text, "rho"),
                                 .centered = option(text, "centered") != 0,
                                 .trust = option(text, "trust"),
                                 .match_rms = option(text, "match_rms") != 0,
                                 .weight_decay = option(text, "weight_decay"),
                                 .clip_value = option(text, "clip_value"),
                                 .clip_norm = option(text, "clip_norm"),
                                 .lookahead = (int64_t)option(text, "lookahead"),
                                 .lookahead_pull = option(text, "lookahead_pull")};
    char name[16];
    snprintf(name, sizeof name, "%.*s", (int)strcspn(text, " "), text);
    NC_CHECK(nacre_optimizer_find(name, &optimizer.kind));
    return optimizer;
}

static const nacre_named_array *find(const nacre_safetensors *file, const char *first, const char *second)
{
    char name[TEXT];
    snprintf(name, sizeof name, "%s.%s", first, second);
    return nacre_safetensors_find(file, name);
}

static void compare(const char *what, const nacre_named_array *golden, nacre_dtype dtype, const void *got)
{
    double *expected = golden ? nc_golden_values(golden) : NULL;
    double error = expected ? nc_furthest(dtype, got, expected, nacre_shape_count(golden->shape)) : INFINITY;
    if (error > nc_tolerance(dtype))
        NC_COMPLAIN("%s %s in %s: relative error %.3g", what, golden ? golden->name : "(no golden value)",
                    nacre_dtype_name(dtype), error);
    free(expected);
}

/* ---- optimizers ---- */

/* The parameter's gradient is the input g: the loss is sum(weight * g). */
static void run_optimizer(nacre_context *context, const nacre_safetensors *file, nacre_text_pair line,
                          nacre_dtype dtype)
{
    const nacre_named_array *start = nacre_safetensors_find(file, "start"), *after = find(file, line.key, "after");
    const nacre_named_array *gradients = nacre_safetensors_find(file, "gradients");
    NC_REQUIRE(start && after && gradients);
    nacre_optimizer optimizer = read_optimizer(line.text);
    nacre_graph *graph = nacre_graph_create(context);
    nacre_model *model = nacre_model_create(context);
    int slot = nacre_model_add(model, NACRE_ENTRY_PARAMETER, "weight", dtype, start->shape);
    int64_t size = nacre_shape_count(start->shape), steps = gradients->shape.dims[0];
    nacre_safetensors_load(start, dtype, nacre_model_write(model, slot)); /* Lookahead begins with these */
    nacre_tensor *g = nacre_input(graph, "gradient", dtype, start->shape);
    nacre_tensor *rate = nacre_input(graph, "learning_rate", dtype, NACRE_SCALAR);
    nacre_tensor *step = nacre_input(graph, "step", NACRE_I64, NACRE_SCALAR);
    nacre_tensor *loss = nacre_sum(nacre_mul(nacre_model_tensor(graph, model, slot), g), NULL);
    nacre_minimise(loss, model, &optimizer, &(nacre_step_inputs){.learning_rate = rate, .step = step});
    nacre_feed_scalar(rate, option(line.text, "learning_rate"));
    size_t bytes = (size_t)(size * steps) * nacre_dtype_size(dtype), each = bytes / (size_t)steps;
    char *all = malloc(bytes), *history = malloc(bytes);
    NC_REQUIRE(all && history);
    nacre_safetensors_load(gradients, dtype, all);
    const void *values = nacre_model_write(model, slot); /* after the moments were added: that moves entries */
    for (int64_t i = 0; i < steps && nacre_check(context) == NACRE_OK; i++) {
        nacre_feed_scalar(step, (double)(i + 1));
        nacre_feed(g, all + (size_t)i * each);
        nacre_run(graph);
        memcpy(history + (size_t)i * each, values, each);
    }
    NC_CHECK_OK(context);
    compare(line.text, after, dtype, history);
    free(all);
    free(history);
    nacre_graph_destroy(graph);
    nacre_model_destroy(model);
}

static void optimizers(void)
{
    nacre_context *context = nacre_context_create(&(nacre_context_options){.threads = 2});
    nacre_safetensors *file = nacre_safetensors_open(context, nc_source("tests/golden/optim.safetensors"));
    NC_REQUIRE(file);
    int count = 0;
    for (nacre_text_pair line; (line = nacre_safetensors_metadata_at(file, count)).key; count++) {
        run_optimizer(context, file, line, NACRE_F64);
        run_optimizer(context, file, line, NACRE_F32);
    }
    NC_CHECK(count > 0);
    nacre_safetensors_close(file);
    nacre_context_destroy(context);
}

/* ---- schedules ---- */

enum { MOST_STEPS = 128 };

/* "milestones=4,9,20" */
static int read_milestones(const char *text, int64_t milestones[8])
{
    const char *found = strstr(text, " milestones=");
    int count = 0;
    for (const char *at = found ? found + strlen(" milestones=") : ""; *at >= '0' && *at <= '9' && count < 8;) {
        char *end;
        milestones[count++] = strtoll(at, &end, 10);
        at = *end == ',' ? end + 1 : end;
    }
    return count;
}

static nacre_schedule read_schedule(const char *text, int64_t milestones[8])
{
    nacre_schedule schedule = {.base = option(text, "base"),
                               .warmup_steps = (int64_t)option(text, "warmup_steps"),
                               .warmup_factor = option(text, "warmup_factor"),
                               .warmup_constant = option(text, "warmup_constant") != 0,
                               .step_size = (int64_t)option(text, "step_size"),
                               .milestones = milestones,
                               .milestone_count = read_milestones(text, milestones),
                               .gamma = option(text, "gamma"),
                               .power = option(text, "power"),
                               .min_rate = option(text, "min_rate"),
                               .period = (int64_t)option(text, "period"),
                               .period_factor = option(text, "period_factor"),
                               .step_up = (int64_t)option(text, "step_up"),
                               .step_down = (int64_t)option(text, "step_down"),
                               .cyclic_mode = strstr(text, "triangular2") ? NACRE_CYCLIC_TRIANGULAR2
                                              : strstr(text, "exp_range") ? NACRE_CYCLIC_EXP_RANGE
                                                                          : NACRE_CYCLIC_TRIANGULAR,
                               .pct_start = option(text, "pct_start"),
                               .div_factor = option(text, "div_factor"),
                               .final_div_factor = option(text, "final_div_factor"),
                               .three_phase = option(text, "three_phase") != 0,
                               .anneal = option(text, "linear") != 0 ? NACRE_ANNEAL_LINEAR : NACRE_ANNEAL_USUAL,
                               .cycle_momentum = true,
                               .patience = (int64_t)option(text, "patience"),
                               .cooldown = (int64_t)option(text, "cooldown"),
                               .threshold = option(text, "threshold")};
    char name[32];
    snprintf(name, sizeof name, "%.*s", (int)strcspn(text, " "), text);
    NC_CHECK(nacre_schedule_find(name, &schedule.kind));
    return schedule;
}

static void compare_schedule(nacre_context *context, const nacre_safetensors *file, nacre_text_pair line)
{
    const nacre_named_array *rates = find(file, line.key, "rates"), *momenta = find(file, line.key, "momenta");
    int64_t milestones[8];
    double got[MOST_STEPS], moved[MOST_STEPS];
    nacre_schedule schedule = read_schedule(line.text, milestones);
    NC_REQUIRE(rates && rates->shape.dims[0] <= MOST_STEPS);
    int64_t total = rates->shape.dims[0];
    NC_CHECK(nacre_schedule_check(context, &schedule, total) == NACRE_OK);
    for (int64_t i = 0; i < total; i++) {
        got[i] = nacre_schedule_rate(&schedule, i, total);
        moved[i] = nacre_schedule_momentum(&schedule, i, total);
    }
    compare(line.text, rates, NACRE_F64, got);
    NC_CHECK(nacre_schedule_cycles_momentum(&schedule) == (momenta != NULL));
    if (momenta) compare(line.text, momenta, NACRE_F64, moved);
}

static void compare_plateau(const nacre_safetensors *file, nacre_text_pair line)
{
    const nacre_named_array *rates = find(file, line.key, "rates");
    double *values = nc_golden_values(nacre_safetensors_find(file, "values")), got[MOST_STEPS];
    int64_t milestones[8];
    nacre_schedule schedule = read_schedule(line.text, milestones);
    nacre_plateau state = {0};
    NC_REQUIRE(rates && values && rates->shape.dims[0] <= MOST_STEPS);
    for (int64_t i = 0; i < rates->shape.dims[0]; i++) {
        nacre_plateau_observe(&schedule, &state, values[i], option(line.text, "higher") != 0);
        got[i] = nacre_plateau_rate(&schedule, &state, i, MOST_STEPS);
    }
    compare(line.text, rates, NACRE_F64, got);
    free(values);
}

static void schedules(void)
{
    nacre_context *context = nacre_context_create(&(nacre_context_options){.threads = 1});
    nacre_safetensors *file = nacre_safetensors_open(context, nc_source("tests/golden/schedules.safetensors"));
    NC_REQUIRE(file);
    int count = 0;
    for (nacre_text_pair line; (line = nacre_safetensors_metadata_at(file, count)).key; count++)
        if (is(line.text, "plateau"))
            compare_plateau(file, line);
        else
            compare_schedule(context, file, line);
    NC_CHECK(count > 0);
    nacre_safetensors_close(file);
    nacre_context_destroy(context);
}

/* ---- the learning rate finder ---- */

static void suggestions(void)
{
    nacre_context *context = nacre_context_create(&(nacre_context_options){.threads = 1});
    nacre_safetensors *file = nacre_safetensors_open(context, nc_source("tests/golden/schedules.safetensors"));
    const nacre_named_array *rates = file ? nacre_safetensors_find(file, "curve.rates") : NULL;
    NC_REQUIRE(rates);
    nacre_rate_curve curve = {.planned = 100,
                              .count = rates->shape.dims[0],
                              .rates = nc_golden_values(rates),
                              .smooth = nc_golden_values(nacre_safetensors_find(file, "curve.smooth"))};
    NC_CHECK(nacre_rate_curve_suggest(context, &curve) == NACRE_OK);
    const double got[] = {curve.valley, curve.steepest, curve.minimum};
    compare("suggestions", nacre_safetensors_find(file, "curve.suggestions"), NACRE_F64, got);
    curve.count = 16; /* ran away at once: nothing is left of the first tenth and last five */
    NC_CHECK(nacre_rate_curve_suggest(context, &curve) == NACRE_ERROR_NUMERIC);
    free(curve.rates);
    free(curve.smooth);
    nacre_safetensors_close(file);
    nacre_context_destroy(context);
}

/* ---- models: those of tests/golden/maker/training.py ---- */

static nacre_tensor *mlp(nacre_scope s, nacre_tensor *x)
{
    x = nacre_relu(nacre_linear(nacre_in(s, "fc1"), x, 24, NULL));
    x = nacre_tanh(nacre_linear(nacre_in(s, "fc2"), x, 16, NULL));
    return nacre_linear(nacre_in(s, "fc3"), x, 5, NULL);
}

static nacre_tensor *cnn(nacre_scope s, nacre_tensor *x)
{
    const nacre_conv_layer_options plain = {.no_bias = true}, halving = {.no_bias = true, .stride = 2};
    x = nacre_conv2d(nacre_in(s, "conv1"), x, 6, 3, &plain);
    x = nacre_relu(nacre_batch_norm(nacre_in(s, "bn1"), x, NULL));
    x = nacre_max_pool(x, &(nacre_pool_options){.kernel = {2, 2}});
    x = nacre_conv2d(nacre_in(s, "conv2"), x, 8, 3, &halving);
    x = nacre_relu(nacre_batch_norm(nacre_in(s, "bn2"), x, NULL));
    x = nacre_flatten(nacre_adaptive_avg_pool(x, (int64_t[]){1, 1}), 1);
    return nacre_linear(nacre_in(s, "fc"), x, 4, NULL);
}

static nacre_tensor *transformer(nacre_scope s, nacre_tensor *tokens)
{
    enum { VOCABULARY = 11, LENGTH = 8, WIDTH = 16 };
    const nacre_init normal = {NACRE_INIT_NORMAL, 0, 1};
    nacre_tensor *x = nacre_embedding(nacre_in(s, "token"), tokens, VOCABULARY, WIDTH, NULL);
    x = nacre_add(x, nacre_parameter(nacre_in(s, "position"), "weight", NACRE_SHAPE(LENGTH, WIDTH), normal));
    nacre_tensor *h = nacre_layer_norm(nacre_in(s, "norm1"), x, 1, NULL);
    const nacre_attention_options causal = {.causal = true};
    x = nacre_add(x, nacre_multi_head_attention(nacre_in(s, "attention"), h, 2, &causal));
    h = nacre_layer_norm(nacre_in(s, "norm2"), x, 1, NULL);
    h = nacre_gelu(nacre_linear(nacre_in(s, "up"), h, 4 * WIDTH, NULL));
    x = nacre_add(x, nacre_linear(nacre_in(s, "down"), h, WIDTH, NULL));
    x = nacre_layer_norm(nacre_in(s, "norm"), x, 1, NULL);
    x = nacre_linear(nacre_in(s, "head"), x, VOCABULARY, &(nacre_linear_options){.no_bias = true});
    return nacre_reshape(x, NACRE_SHAPE(-1, VOCABULARY));
}

/* ---- training ---- */

enum { STEPS = 20 };

typedef nacre_tensor *build_function(nacre_scope scope, nacre_tensor *x);

typedef struct training {
    nacre_context *context;
    nacre_graph *graph;
    nacre_model *model;
    const nacre_safetensors *file;
    const char *name;
    nacre_dtype dtype, precision; /* of parameters; of the graphs, 0 as they are built */
    build_function *build;
    void *x, *y; /* the batches one after the other */
} training;

static void *load(const nacre_named_array *array, nacre_dtype dtype)
{
    void *values = array ? malloc((size_t)nacre_shape_count(array->shape) * nacre_dtype_size(dtype)) : NULL;
    if (values) nacre_safetensors_load(array, dtype, values);
    return values;
}

/* Batch `index` of array `name` as an input: what stands behind the first axis, the targets in one row. */
static nacre_tensor *feed_batch(training *t, const char *name, const void *values, int64_t index, bool flat)
{
    const nacre_named_array *array = nacre_safetensors_find(t->file, name);
    nacre_dtype dtype = nacre_dtype_is_float(array->dtype) ? t->dtype : array->dtype;
    nacre_shape shape = {.rank = array->shape.rank - 1};
    memcpy(shape.dims, array->shape.dims + 1, sizeof(int64_t) * (size_t)shape.rank);
    int64_t count = nacre_shape_count(shape);
    nacre_tensor *input = nacre_input(t->graph, name, dtype, flat ? NACRE_SHAPE(count) : shape);
    index %= array->shape.dims[0];
    nacre_feed(input, (const char *)values + (size_t)(index * count) * nacre_dtype_size(dtype));
    return input;
}

static nacre_tensor *logits(training *t, int64_t batch, bool is_training)
{
    nacre_scope scope = nacre_root(t->graph, t->model, is_training);
    scope.dtype = t->dtype;
    return t->build(scope, feed_batch(t, "x", t->x, batch, false));
}

/* Builds the graph of a step anew: from the second time on its plan is found again. */
static double train_step(training *t, const char *optimizer_text, int64_t index)
{
    nacre_optimizer optimizer = read_optimizer(optimizer_text);
    nacre_graph_reset(t->graph);
    nacre_tensor *outputs = logits(t, index, true);
    nacre_tensor *loss = nacre_cross_entropy(outputs, feed_batch(t, "y", t->y, index, true), NULL);
    nacre_tensor *rate = nacre_input(t->graph, "learning_rate", t->dtype, NACRE_SCALAR);
    nacre_tensor *step = nacre_input(t->graph, "step", NACRE_I64, NACRE_SCALAR);
    nacre_minimise(loss, t->model, &optimizer, &(nacre_step_inputs){.learning_rate = rate, .step = step});
    nacre_feed_scalar(rate, option(optimizer_text, "learning_rate"));
    nacre_feed_scalar(step, (double)(index + 1));
    nacre_output(loss);
    nacre_graph_set_precision(t->graph, t->precision);
    nacre_run(t->graph);
    return nacre_read_scalar(loss);
}

/* Every parameter and buffer of the model gets the value `prefix`.PATH, or is compared with it. */
static void each_entry(training *t, const char *prefix, bool set)
{
    nacre_entry entry;
    int count = 0;
    for (int slot = 0; nacre_model_entry(t->model, slot, &entry); slot++) {
        if (entry.role == NACRE_ENTRY_STATE) continue;
        const nacre_named_array *golden = find(t->file, prefix, entry.path);
        if (!golden || !nacre_shape_equal(golden->shape, entry.shape))
            NC_COMPLAIN("%s: PyTorch has no %s of this shape", t->name, entry.path);
        else if (set)
            nacre_safetensors_load(golden, t->dtype, nacre_model_write(t->model, slot));
        else
            compare(t->name, golden, t->dtype, entry.data);
        count++;
    }
    NC_CHECK(count > 0);
}

static void train_with(training *t, const char *optimizer, const char *text)
{
    char name[TEXT];
    double losses[STEPS];
    t->graph = nacre_graph_create(t->context);
    t->model = nacre_model_create(t->context);
    logits(t, 0, true);
    each_entry(t, "start", true);
    for (int i = 0; i < STEPS; i++) losses[i] = train_step(t, text, i);
    float narrow[STEPS];
    for (int i = 0; i < STEPS; i++) narrow[i] = (float)losses[i];
    compare(t->name, find(t->file, optimizer, "loss"), t->dtype, t->dtype == NACRE_F64 ? (void *)losses : narrow);
    snprintf(name, sizeof name, "%s.final", optimizer);
    each_entry(t, name, false);

    nacre_graph_reset(t->graph);
    nacre_tensor *outputs = logits(t, 0, false);
    nacre_output(outputs);
    nacre_run(t->graph);
    size_t size = (size_t)nacre_tensor_count(outputs) * nacre_dtype_size(t->dtype);
    void *got = malloc(size + 1);
    NC_CHECK(got && nacre_read(outputs, got, size) == NACRE_OK);
    compare(t->name, find(t->file, optimizer, "eval"), t->dtype, got);
    free(got);
    if (nacre_check(t->context)) NC_COMPLAIN("%s, %s: %s", t->name, text, nacre_message(t->context));
    nacre_clear(t->context);
    nacre_graph_destroy(t->graph);
    nacre_model_destroy(t->model);
}

static void train_model(const char *name, build_function *build, nacre_dtype dtype,
                        const nacre_context_options *options)
{
    char path[TEXT];
    snprintf(path, sizeof path, "tests/golden/train_%s.safetensors", name);
    training t = {.context = nacre_context_create(options), .name = name, .dtype = dtype, .build = build};
    nacre_safetensors *file = nacre_safetensors_open(t.context, nc_source(path));
    const nacre_named_array *x = file ? nacre_safetensors_find(file, "x") : NULL;
    NC_REQUIRE(x);
    t.file = file;
    t.x = load(x, nacre_dtype_is_float(x->dtype) ? dtype : x->dtype);
    t.y = load(nacre_safetensors_find(file, "y"), NACRE_I64);
    NC_REQUIRE(t.x && t.y);
    int count = 0;
    for (nacre_text_pair pair; (pair = nacre_safetensors_metadata_at(file, count)).key; count++)
        train_with(&t, pair.key, pair.text);
    NC_CHECK(count > 0);
    free(t.x);
    free(t.y);
    nacre_safetensors_close(file);
    nacre_context_destroy(t.context);
}

/* In both precisions, with plain kernels and with those of each instruction set. */
static void train_everywhere(const char *name, build_function *build)
{
    for (int d = 0; d < 2; d++) {
        nacre_dtype dtype = d ? NACRE_F32 : NACRE_F64;
        train_model(name, build, dtype, &(nacre_context_options){.device = NACRE_DEVICE_REFERENCE, .threads = 1});
        for (int level = 0; level <= (int)nacre_machine_info()->best; level++)
            train_model(name, build, dtype, &(nacre_context_options){.threads = 2, .instruction_set = level + 1});
    }
}

/* ---- bf16 ---- */

/* The losses of twenty steps beside those under torch.autocast: both round the same factors to 8 bits, at places that
 * differ by a few. A rounding is 2^-9; through twenty steps of three to ten products the curves part by up to 3 %. */
static void follow_autocast(const char *name, build_function *build, const nacre_context_options *options)
{
    char path[TEXT];
    snprintf(path, sizeof path, "tests/golden/train_%s.safetensors", name);
    training t = {.context = nacre_context_create(options), .name = name, .dtype = NACRE_F32, .build = build};
    nacre_safetensors *file = nacre_safetensors_open(t.context, nc_source(path));
    nacre_safetensors *curves = nacre_safetensors_open(t.context, nc_source("tests/golden/precision.safetensors"));
    const nacre_named_array *x = file ? nacre_safetensors_find(file, "x") : NULL;
    const nacre_named_array *curve = curves ? find(curves, name, "sgd") : NULL;
    NC_REQUIRE(x && curve);
    t.file = file;
    t.precision = NACRE_BF16;
    t.x = load(x, nacre_dtype_is_float(x->dtype) ? NACRE_F32 : x->dtype);
    t.y = load(nacre_safetensors_find(file, "y"), NACRE_I64);
    t.graph = nacre_graph_create(t.context);
    t.model = nacre_model_create(t.context);
    double *expected = nc_golden_values(curve);
    NC_REQUIRE(t.x && t.y && expected);
    logits(&t, 0, true);
    each_entry(&t, "start", true);
    for (int i = 0; i < STEPS; i++) {
        const double loss = train_step(&t, "sgd learning_rate=0.05 momentum=0.9 weight_decay=0.001", i);
        if (!(fabs(loss - expected[i]) <= 0.03 * expected[i]))
            NC_COMPLAIN("%s in bf16, step %d: loss %g, PyTorch has %g", name, i, loss, expected[i]);
    }
    NC_CHECK_TEXT(nacre_message(t.context), "");
    free(expected);
    free(t.x);
    free(t.y);
    nacre_graph_destroy(t.graph);
    nacre_model_destroy(t.model);
    nacre_safetensors_close(file);
    nacre_safetensors_close(curves);
    nacre_context_destroy(t.context);
}

static void bf16_follows_autocast(void)
{
    static const struct {
        const char *name;
        build_function *build;
    } models[] = {{"mlp", mlp}, {"cnn", cnn}, {"transformer", transformer}};
    for (int i = 0; i < 3; i++) {
        follow_autocast(models[i].name, models[i].build,
                        &(nacre_context_options){.device = NACRE_DEVICE_REFERENCE, .threads = 1});
        for (int level = 0; level <= (int)nacre_machine_info()->best; level++)
            follow_autocast(models[i].name, models[i].build,
                            &(nacre_context_options){.threads = 2, .instruction_set = level + 1});
    }
}

static void train_mlp(void)
{
    train_everywhere("mlp", mlp);
}

static void train_cnn(void)
{
    train_everywhere("cnn", cnn);
}

static void train_transformer(void)
{
    train_everywhere("transformer", transformer);
}

int main(void)
{
    NC_RUN(optimizers);
    NC_RUN(schedules);
    NC_RUN(suggestions);
    NC_RUN(train_mlp);
    NC_RUN(train_cnn);
    NC_RUN(train_transformer);
    NC_RUN(bf16_follows_autocast);
    return nc_report();
}

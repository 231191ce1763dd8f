/* Layers, losses and initialisers against PyTorch: tests/golden/layers, losses and init.safetensors. */
#include "golden.h"

#include <nacre/nn.h>

enum { WEIGHTS = 32, TEXT = 128 };

/* "hidden=5 layers=2" -> the value of "layers", 0 if it is not there. */
static int64_t option(const char *text, const char *name)
{
    char key[TEXT];
    snprintf(key, sizeof key, " %s=", name);
    const char *found = strstr(text, key);
    return found ? strtoll(found + strlen(key), NULL, 10) : 0;
}

static bool starts_with(const char *text, const char *word)
{
    return strncmp(text, word, strlen(word)) == 0 && strchr(" ", text[strlen(word)]) != NULL;
}

/* ---- one graph and what it is compared with ---- */

typedef struct golden {
    nacre_context *context;
    nacre_graph *graph;
    nacre_model *model;
    nacre_safetensors *file;
    nacre_dtype dtype;
    const char *name, *text;
    void *buffers[WEIGHTS];
    int buffer_count;
} golden;

static const nacre_named_array *find(const golden *g, const char *tensor)
{
    char name[TEXT];
    snprintf(name, sizeof name, "%.60s.%.60s", g->name, tensor);
    return nacre_safetensors_find(g->file, name);
}

static nacre_tensor *feed(golden *g, const char *tensor)
{
    const nacre_named_array *array = find(g, tensor);
    if (!array || g->buffer_count == WEIGHTS) return NULL;
    nacre_dtype dtype = nacre_dtype_is_float(array->dtype) ? g->dtype : array->dtype;
    void *values = malloc((size_t)nacre_shape_count(array->shape) * nacre_dtype_size(dtype) + 1);
    if (!values) return NULL;
    g->buffers[g->buffer_count++] = values;
    nacre_safetensors_load(array, dtype, values);
    nacre_tensor *input = nacre_input(g->graph, array->name, dtype, array->shape);
    nacre_feed(input, values);
    return input;
}

static void compare(const golden *g, const char *name, nacre_tensor *tensor)
{
    const nacre_named_array *array = find(g, name);
    int64_t count = nacre_tensor_count(tensor);
    size_t size = (size_t)count * nacre_dtype_size(g->dtype);
    void *got = malloc(size + 1);
    double *expected = array ? nc_golden_values(array) : NULL;
    if (!got || !expected || !nacre_shape_equal(array->shape, nacre_tensor_shape(tensor)) ||
        nacre_read(tensor, got, size))
        NC_COMPLAIN("%s (%s) %s: cannot be compared: %s", g->name, g->text, name, nacre_message(g->context));
    else if (nc_furthest(g->dtype, got, expected, count) > nc_tolerance(g->dtype))
        NC_COMPLAIN("%s (%s) %s in %s: relative error %.3g", g->name, g->text, name, nacre_dtype_name(g->dtype),
                    nc_furthest(g->dtype, got, expected, count));
    free(got);
    free(expected);
}

/* Runs `body` for each entry of the file's metadata, in both precisions. */
static void each(const char *path, void (*body)(golden *g))
{
    nacre_context *context = nacre_context_create(&(nacre_context_options){.threads = 2});
    golden g = {.context = context, .file = nacre_safetensors_open(context, nc_source(path))};
    nacre_text_pair pair;
    for (int i = 0; g.file && (pair = nacre_safetensors_metadata_at(g.file, i)).key; i++)
        for (int d = 0; d < 2; d++) {
            g.name = pair.key, g.text = pair.text;
            g.dtype = d ? NACRE_F32 : NACRE_F64;
            g.graph = nacre_graph_create(context);
            g.model = nacre_model_create(context);
            body(&g);
            nacre_graph_destroy(g.graph);
            nacre_model_destroy(g.model);
            while (g.buffer_count > 0) free(g.buffers[--g.buffer_count]);
            if (nacre_check(context)) NC_COMPLAIN("%s (%s): %s", g.name, g.text, nacre_message(context));
            nacre_clear(context);
        }
    NC_CHECK(g.file != NULL);
    nacre_safetensors_close(g.file);
    nacre_context_destroy(context);
}

/* ---- layers ---- */

static nacre_tensor *build_layer(const golden *g, nacre_tensor *x)
{
    nacre_scope scope = nacre_root(g->graph, g->model, false);
    scope.dtype = g->dtype;
    const char *text = g->text;
    nacre_recurrent_options recurrent = {.layers = option(text, "layers"),
                                         .bidirectional = option(text, "bidirectional") != 0,
                                         .no_bias = option(text, "no_bias") != 0};
    if (starts_with(text, "rnn")) return nacre_rnn(scope, x, option(text, "hidden"), &recurrent);
    if (starts_with(text, "lstm")) return nacre_lstm(scope, x, option(text, "hidden"), &recurrent);
    if (starts_with(text, "gru")) return nacre_gru(scope, x, option(text, "hidden"), &recurrent);
    nacre_conv_layer_options conv = {.stride = option(text, "stride"),
                                     .padding = option(text, "padding"),
                                     .output_padding = option(text, "output_padding"),
                                     .dilation = option(text, "dilation"),
                                     .groups = option(text, "groups"),
                                     .no_bias = option(text, "no_bias") != 0};
    const int64_t channels = option(text, "channels"), kernel = option(text, "kernel");
    if (starts_with(text, "conv_transpose")) return nacre_conv_transpose(scope, x, channels, kernel, &conv);
    if (starts_with(text, "conv")) return nacre_conv3d(scope, x, channels, kernel, &conv);
    if (starts_with(text, "attention")) {
        nacre_attention_options attention = {.causal = option(text, "causal") != 0};
        return nacre_multi_head_attention(scope, x, option(text, "heads"), &attention);
    }
    return NULL;
}

/* Gives the model's entries the golden weights; tensors[0 .. count) are theirs. */
static int load_weights(const golden *g, nacre_tensor **tensors, char (*names)[TEXT])
{
    int count = nacre_model_count(g->model);
    nacre_entry entry;
    for (int slot = 0; slot < count && slot < WEIGHTS; slot++) {
        nacre_model_entry(g->model, slot, &entry);
        snprintf(names[slot], TEXT, "w.%.100s", entry.path);
        const nacre_named_array *array = find(g, names[slot]);
        if (!array || !nacre_shape_equal(array->shape, entry.shape))
            NC_COMPLAIN("%s (%s): PyTorch has no %s of this shape", g->name, g->text, entry.path);
        else
            nacre_safetensors_load(array, g->dtype, nacre_model_write(g->model, slot));
        snprintf(names[slot], TEXT, "dw.%.100s", entry.path);
        tensors[slot] = nacre_model_tensor(g->graph, g->model, slot);
    }
    return count;
}

static void check_layer(golden *g)
{
    nacre_tensor *tensors[WEIGHTS + 1], *gradients[WEIGHTS + 1] = {NULL};
    char names[WEIGHTS + 1][TEXT];
    nacre_tensor *x = feed(g, "x"), *y = build_layer(g, x), *dy = feed(g, "dy");
    NC_REQUIRE(x && y && dy);
    int count = load_weights(g, tensors, names);
    NC_CHECK(count > 0);
    snprintf(names[count], TEXT, "dx");
    tensors[count++] = x;
    nacre_vjp(&y, &dy, 1, tensors, count, gradients);
    nacre_output(y);
    for (int i = 0; i < count; i++) nacre_output(gradients[i]);
    NC_REQUIRE(nacre_run(g->graph) == NACRE_OK);
    compare(g, "y", y);
    for (int i = 0; i < count; i++) compare(g, names[i], gradients[i]);
}

static void layers(void)
{
    each("tests/golden/layers.safetensors", check_layer);
}

/* ---- losses ---- */

static nacre_tensor *build_loss(const char *text, nacre_tensor *prediction, nacre_tensor *target)
{
    double parameter = strchr(text, ' ') ? strtod(strchr(text, ' '), NULL) : 0;
    if (starts_with(text, "mse")) return nacre_mse_loss(prediction, target);
    if (starts_with(text, "l1")) return nacre_l1_loss(prediction, target);
    if (starts_with(text, "huber")) return nacre_huber_loss(prediction, target, parameter);
    if (starts_with(text, "smooth_l1")) return nacre_smooth_l1_loss(prediction, target, parameter);
    if (starts_with(text, "bce_with_logits")) return nacre_bce_with_logits_loss(prediction, target);
    if (starts_with(text, "kl_divergence")) return nacre_kl_divergence_loss(prediction, target);
    if (starts_with(text, "nll")) return nacre_nll_loss(prediction, target);
    if (starts_with(text, "cross_entropy")) return nacre_cross_entropy(prediction, target, NULL);
    return NULL;
}

static void check_loss(golden *g)
{
    nacre_tensor *prediction = feed(g, "prediction"), *gradient = NULL;
    nacre_tensor *loss = build_loss(g->text, prediction, feed(g, "target"));
    NC_REQUIRE(loss);
    nacre_gradients(loss, &prediction, 1, &gradient);
    nacre_output(loss);
    nacre_output(gradient);
    NC_REQUIRE(nacre_run(g->graph) == NACRE_OK);
    compare(g, "loss", loss);
    compare(g, "dprediction", gradient);
}

static void losses(void)
{
    each("tests/golden/losses.safetensors", check_loss);
}

/* ---- initialisers ---- */

static int by_size(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* The sample has PyTorch's quantiles, up to what samples of this size differ by. Of the extremes only those of bounded
 * distributions are comparable. */
static void check_quantiles(const nacre_safetensors *file, const char *name, double *sample, int64_t count,
                            bool bounded)
{
    const nacre_named_array *array = nacre_safetensors_find(file, name);
    const nacre_named_array *levels = nacre_safetensors_find(file, "quantiles");
    NC_REQUIRE(array && levels && nacre_shape_equal(array->shape, levels->shape));
    double *expected = nc_golden_values(array), *level = nc_golden_values(levels);
    NC_REQUIRE(expected && level);
    qsort(sample, (size_t)count, sizeof *sample, by_size);
    int64_t last = array->shape.dims[0] - 1;
    double spread = expected[last - 1] - expected[1]; /* of the middle 98 % */
    for (int64_t i = bounded ? 0 : 1; i <= (bounded ? last : last - 1); i++) {
        double got = sample[(int64_t)llround(level[i] * (double)(count - 1))];
        if (!(fabs(got - expected[i]) < 0.02 * spread))
            NC_COMPLAIN("%s: quantile %g is %g, PyTorch's %g", name, level[i], got, expected[i]);
    }
    free(expected);
    free(level);
}

static void initialisers(void)
{
    static const struct {
        const char *name;
        nacre_init init;
        bool bounded;
    } cases[] = {
        {"uniform", {NACRE_INIT_UNIFORM, -0.5, 1.5}, true},
        {"normal", {NACRE_INIT_NORMAL, 0.5, 2}, false},
        {"truncated_normal", {NACRE_INIT_TRUNCATED_NORMAL, 0, 0.02}, true},
        {"xavier_uniform", {NACRE_INIT_XAVIER_UNIFORM, 1.5, 0}, true},
        {"xavier_normal", {NACRE_INIT_XAVIER_NORMAL, 0, 0}, false},
        {"kaiming_uniform", {NACRE_INIT_KAIMING_UNIFORM, 0.1, 0}, true},
        {"kaiming_normal", {NACRE_INIT_KAIMING_NORMAL, 0, 0}, false},
        {"kaiming_normal_fan_out", {NACRE_INIT_KAIMING_NORMAL, 0, 1}, false},
        {"orthogonal", {NACRE_INIT_ORTHOGONAL, 0, 0}, false},
    };
    nacre_context *context = nacre_context_create(NULL);
    nacre_safetensors *file = nacre_safetensors_open(context, nc_source("tests/golden/init.safetensors"));
    nacre_shape shape = NACRE_SHAPE(256, 32, 3, 3);
    double *sample = nacre_allocate(context, sizeof(double) * (size_t)nacre_shape_count(shape));
    NC_REQUIRE(file && sample);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        NC_CHECK(nacre_initialise(context, cases[i].init, 7, "layer.weight", NACRE_F64, shape, sample) == NACRE_OK);
        check_quantiles(file, cases[i].name, sample, nacre_shape_count(shape), cases[i].bounded);
    }
    nacre_release(context, sample);
    nacre_safetensors_close(file);
    nacre_context_destroy(context);
}

/* What layers begin with when nothing is said. */
static void first_weights(void)
{
    static const struct {
        const char *name, *path;
        bool bounded;
    } cases[] = {{"linear", "fc.weight", true},
                 {"linear_bias", "wide.bias", true},
                 {"conv", "conv.weight", true},
                 {"embedding", "embedding.weight", false},
                 {"lstm", "lstm.weight_ih_l0", true}};
    nacre_context *context = nacre_context_create(NULL);
    nacre_safetensors *file = nacre_safetensors_open(context, nc_source("tests/golden/init.safetensors"));
    nacre_graph *graph = nacre_graph_create(context);
    nacre_model *model = nacre_model_create(context);
    nacre_scope scope = nacre_root(graph, model, true);
    nacre_linear(nacre_in(scope, "fc"), nacre_input(graph, "a", NACRE_F32, NACRE_SHAPE(1, 300)), 250, NULL);
    nacre_linear(nacre_in(scope, "wide"), nacre_input(graph, "b", NACRE_F32, NACRE_SHAPE(1, 16)), 70000, NULL);
    nacre_conv2d(nacre_in(scope, "conv"), nacre_input(graph, "c", NACRE_F32, NACRE_SHAPE(1, 64, 8, 8)), 128, 3, NULL);
    nacre_embedding(nacre_in(scope, "embedding"), nacre_input(graph, "d", NACRE_I64, NACRE_SHAPE(1, 5)), 1000, 70,
                    NULL);
    nacre_lstm(nacre_in(scope, "lstm"), nacre_input(graph, "e", NACRE_F32, NACRE_SHAPE(1, 2, 100)), 200, NULL);
    NC_CHECK_OK(context);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        nacre_entry entry;
        int slot = nacre_model_find(model, cases[i].path);
        NC_REQUIRE(file && nacre_model_entry(model, slot, &entry));
        int64_t count = nacre_shape_count(entry.shape);
        double *sample = nacre_allocate(context, sizeof(double) * (size_t)count);
        NC_REQUIRE(sample);
        nacre_dtype_convert(NACRE_F64, sample, entry.dtype, entry.data, count);
        check_quantiles(file, cases[i].name, sample, count, cases[i].bounded);
        nacre_release(context, sample);
    }
    nacre_model_destroy(model);
    nacre_graph_destroy(graph);
    nacre_safetensors_close(file);
    nacre_context_destroy(context);
}

int main(void)
{
    NC_RUN(layers);
    NC_RUN(losses);
    NC_RUN(initialisers);
    NC_RUN(first_weights);
    return nc_report();
}

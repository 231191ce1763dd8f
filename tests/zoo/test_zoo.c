/* The zoo: every architecture builds, has the published number of parameters under the published names, and computes
 * what PyTorch computes with the same weights. */
#include "golden.h"

#include <nacre/backend.h>
#include <nacre/nacre.h>

#include <stdlib.h>

static nacre_context *ctx;

static bool same(const char *a, const char *b)
{
    return strcmp(a, b) == 0;
}

typedef struct built {
    nacre_graph *graph;
    nacre_model *model;
    nacre_tensor *y;
} built;

static built build(const char *name, const nacre_setting *settings, int64_t batch, int64_t length)
{
    built b = {nacre_graph_create(ctx), nacre_model_create(ctx), NULL};
    const char *source = nacre_zoo_text(name);
    nacre_text *text = source ? nacre_text_parse(ctx, source, strlen(source), name) : NULL;
    nacre_text_options options = {.batch = batch, .length = length, .parameters = settings};
    b.y = nacre_text_build(text, nacre_root(b.graph, b.model, false), &options);
    nacre_text_destroy(text);
    NC_CHECK_OK(ctx);
    return b;
}

static void drop(built *b)
{
    nacre_graph_destroy(b->graph);
    nacre_model_destroy(b->model);
}

/* ---- sizes and names -----------------------------------------------------------------------------------------------
 */

#define SETTING(key, value)                                                                                            \
    {                                                                                                                  \
        .name = key, .is_number = true, .number = value                                                                \
    }

static const struct {
    const char *name;
    nacre_setting settings[8];
    int64_t parameters;
    const char *entries[3]; /* some of its paths */
} SIZES[] = {
    {"resnet", {SETTING("depth", 18)}, 11689512, {"layer2.0.downsample.0.weight", "layer4.1.bn2.running_var"}},
    {"resnet", {{0}}, 25557032, {"conv1.weight", "layer1.0.downsample.1.running_mean", "layer4.2.bn3.weight"}},
    {"vgg", {{0}}, 138357544, {"features.0.weight", "features.28.bias", "classifier.3.weight"}},
    {"mobilenet_v2", {{0}}, 3504872, {"features.1.conv.1.weight", "features.17.conv.2.weight", "classifier.1.bias"}},
    {"mobilenet_v2", {SETTING("width", 0.5)}, 1968680, {"features.18.1.running_var", "features.2.conv.0.0.weight"}},
    {"bert",
     {{0}},
     108891648,
     {"embeddings.token_type_embeddings.weight", "encoder.layer.11.attention.self.value.bias",
      "encoder.layer.0.attention.output.LayerNorm.weight"}},
    {"gpt", {{0}}, 10770816, {"transformer.wpe.weight", "transformer.h.5.mlp.c_fc.bias", "transformer.ln_f.weight"}},
    {"gpt",
     {SETTING("layers", 12), SETTING("heads", 12), SETTING("width", 768), SETTING("context", 1024),
      SETTING("vocabulary", 50257)},
     124439808,
     {"transformer.h.11.attn.c_attn.weight"}},
    {"char_lstm", {{0}}, 3457729, {"rnn.weight_hh_l1", "encoder.weight", "decoder.bias"}},
    {"dcgan_generator", {{0}}, 3576704, {"main.0.weight", "main.10.running_mean", "main.12.weight"}},
    {"dcgan_discriminator", {{0}}, 2765568, {"main.0.weight", "main.9.bias", "main.11.weight"}},
    {"vae", {{0}}, 652824, {"fc21.weight", "fc4.bias"}},
    {"resnet_cifar", {SETTING("depth", 56), SETTING("projection", 0)}, 853018, {"layer3.8.bn2.weight"}},
    {"mlp", {{0}}, 0, {"fc1.weight"}},
    {"lenet", {{0}}, 421642, {"conv2.bias"}},
};

/* A sanitized build would take minutes over the largest ones. */
static bool takes_too_long(int64_t parameters)
{
    const char *sanitizers = getenv("NACRE_SANITIZERS");
    return sanitizers && *sanitizers && parameters > 50000000;
}

static void sizes_and_names(void)
{
    for (size_t i = 0; i < sizeof SIZES / sizeof *SIZES; i++) {
        if (same(SIZES[i].name, "mlp") /* takes inputs of any size */ || takes_too_long(SIZES[i].parameters)) continue;
        built b = build(SIZES[i].name, SIZES[i].settings, 1, 8);
        NC_CHECK_INT(nacre_model_elements(b.model, NACRE_ENTRY_PARAMETER), SIZES[i].parameters);
        for (int k = 0; k < 3 && SIZES[i].entries[k]; k++)
            if (nacre_model_find(b.model, SIZES[i].entries[k]) < 0)
                NC_COMPLAIN("%s has no entry %s", SIZES[i].name, SIZES[i].entries[k]);
        drop(&b);
    }
}

/* No architecture is left out above. */
static void all_are_here(void)
{
    for (int i = 0; nacre_zoo_name(i); i++) {
        bool found = false;
        for (size_t k = 0; k < sizeof SIZES / sizeof *SIZES; k++) found |= same(SIZES[k].name, nacre_zoo_name(i));
        if (!found) NC_COMPLAIN("%s is not tested", nacre_zoo_name(i));
    }
    NC_CHECK(!nacre_zoo_text("resnet50") && !nacre_zoo_text(NULL));
}

/* ---- against PyTorch -----------------------------------------------------------------------------------------------
 */

enum { SETTINGS = 8 };

/* As tests/golden/maker/zoo.py makes a weight. */
static double weight(const char *path, nacre_shape shape, int64_t place)
{
    double sum = 0, fan_in = 1;
    size_t length = strlen(path);
    for (const char *c = path; *c; c++) sum += *c;
    for (int i = 1; i < shape.rank; i++) fan_in *= (double)shape.dims[i];
    const double wave = sin(0.7 * (double)place + sum);
    if (length > 11 && same(path + length - 11, "running_var")) return 1 + 0.5 * wave;
    if (shape.rank > 1) return wave * sqrt(6 / fan_in);
    return length > 6 && same(path + length - 6, "weight") ? 1 + 0.2 * wave : 0.1 * wave;
}

static void set_weights(nacre_model *model)
{
    nacre_entry entry;
    for (int slot = 0; nacre_model_entry(model, slot, &entry); slot++)
        for (int64_t i = 0; i < nacre_shape_count(entry.shape); i++)
            ((float *)entry.data)[i] = (float)weight(entry.path, entry.shape, i);
}

/* "resnet depth=18 width=4": the architecture's name into `name`, the others into `settings`. */
static void read_case(char *text, nacre_setting settings[SETTINGS + 1], const char **name)
{
    *name = strtok(text, " ");
    int count = 0;
    for (char *word = strtok(NULL, " "); word && count < SETTINGS; word = strtok(NULL, " "), count++) {
        char *value = strchr(word, '=');
        *value = 0;
        settings[count] = (nacre_setting){.name = word, .is_number = true, .number = strtod(value + 1, NULL)};
    }
    settings[count] = (nacre_setting){0};
}

static void compare(const nacre_safetensors *file, const char *name, int output, nacre_tensor *tensor)
{
    char key[80];
    snprintf(key, sizeof key, output ? "%s.y%d" : "%s.y", name, output);
    const nacre_named_array *array = nacre_safetensors_find(file, key);
    if (!array) return;
    const size_t size = (size_t)nacre_tensor_count(tensor) * sizeof(float);
    float *got = malloc(size);
    double *expected = nc_golden_values(array);
    NC_CHECK(nacre_shape_equal(array->shape, nacre_tensor_shape(tensor)));
    if (got && expected && nacre_read(tensor, got, size) == NACRE_OK) {
        const double error = nc_furthest(NACRE_F32, got, expected, nacre_tensor_count(tensor));
        if (error > nc_tolerance(NACRE_F32)) NC_COMPLAIN("%s is off by %g", key, error);
    }
    NC_CHECK_OK(ctx);
    free(got);
    free(expected);
}

static void *make_input(const nacre_safetensors *file, const char *name, nacre_tensor *x)
{
    char key[80];
    snprintf(key, sizeof key, "%s.x", name);
    const nacre_named_array *array = nacre_safetensors_find(file, key);
    const int64_t count = nacre_tensor_count(x);
    void *data = malloc((size_t)count * nacre_dtype_size(nacre_tensor_dtype(x)));
    if (data && array) nacre_safetensors_load(array, NACRE_I64, data);
    for (int64_t i = 0; data && !array && i < count; i++) ((float *)data)[i] = (float)sin(0.7 * (double)i);
    return data;
}

static void run_case(const nacre_safetensors *file, const char *name, const char *description)
{
    enum { OUTPUTS = 3 };
    char text[160], key[80];
    nacre_setting settings[SETTINGS + 1];
    const char *architecture;
    snprintf(text, sizeof text, "%s", description);
    read_case(text, settings, &architecture);
    snprintf(key, sizeof key, "%s.x", name);
    const nacre_named_array *tokens = nacre_safetensors_find(file, key);
    snprintf(key, sizeof key, "%s.y", name);
    const nacre_named_array *result = nacre_safetensors_find(file, key);
    NC_REQUIRE(result);
    nacre_tensor *outputs[OUTPUTS];
    nacre_graph *graph = nacre_graph_create(ctx);
    nacre_model *model = nacre_model_create(ctx);
    nacre_text *parsed =
        nacre_text_parse(ctx, nacre_zoo_text(architecture), strlen(nacre_zoo_text(architecture)), name);
    nacre_text_options options = {.batch = result->shape.dims[0],
                                  .length = tokens ? tokens->shape.dims[1] : 0,
                                  .parameters = settings,
                                  .outputs = outputs,
                                  .output_limit = OUTPUTS};
    nacre_text_build(parsed, nacre_root(graph, model, false), &options);
    nacre_tensor *x = nacre_graph_node_output(graph, 0, 0);
    void *data = make_input(file, name, x);
    NC_CHECK_OK(ctx);
    set_weights(model);
    nacre_feed(x, data);
    for (int i = 0; i < OUTPUTS && outputs[i]; i++) nacre_output(outputs[i]);
    nacre_run(graph);
    for (int i = 0; i < OUTPUTS && outputs[i]; i++) compare(file, name, i, outputs[i]);
    free(data);
    nacre_text_destroy(parsed);
    nacre_graph_destroy(graph);
    nacre_model_destroy(model);
}

static void as_pytorch_computes(void)
{
    nacre_safetensors *file = nacre_safetensors_open(ctx, nc_source("tests/golden/zoo.safetensors"));
    int cases = 0;
    NC_CHECK_OK(ctx);
    for (nacre_text_pair pair; file && (pair = nacre_safetensors_metadata_at(file, cases)).key; cases++)
        run_case(file, pair.key, pair.text);
    NC_CHECK(cases >= 10);
    nacre_safetensors_close(file);
}

int main(void)
{
    ctx = nacre_context_create(&(nacre_context_options){.threads = 1});
    NC_RUN(sizes_and_names);
    NC_RUN(all_are_here);
    NC_RUN(as_pytorch_computes);
    nacre_context_destroy(ctx);
    return nc_report();
}

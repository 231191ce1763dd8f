/* cli/bench_train.c - training steps: forward, loss, backward, update, all in one plan. */
#include "bench.h"

#include <nacre/backend.h>
#include <nacre/train.h>

/* A step on one batch. Dropout is nowhere; numbers that are not given are the zoo's or the optimizer's defaults. */
typedef struct training {
    const char *zoo; /* NULL: lenet_train's own network */
    nacre_setting settings[8];
    nacre_shape input;  /* of numbers; with `vocabulary` of tokens */
    int64_t vocabulary; /* of tokens, else 0 */
    int64_t classes;    /* of targets, one a row of the output */
    double items;       /* samples or tokens a step */
    nacre_optimizer optimizer;
    double learning_rate;
} training;

#define SETTING(key, value)                                                                                            \
    {                                                                                                                  \
        .name = key, .is_number = true, .number = value                                                                \
    }
#define SHAPE(n, ...)                                                                                                  \
    {                                                                                                                  \
        .rank = n, .dims = { __VA_ARGS__ }                                                                             \
    }

static nacre_tensor *scalar_input(nc_bench_network *network, const char *name, double value)
{
    nacre_tensor *input = nacre_input(network->graph, name, NACRE_F32, NACRE_SCALAR);
    nacre_feed_scalar(input, value);
    return input;
}

/* The update, and what there is to know before the first run. */
static bool finish(nc_bench *bench, const training *what, nacre_tensor *loss)
{
    nc_bench_network *network = bench->state;
    nacre_tensor *rate = scalar_input(network, "learning_rate", what->learning_rate);
    network->step = nacre_input(network->graph, "step", NACRE_I64, NACRE_SCALAR);
    nacre_minimise(loss, network->models[0], &what->optimizer,
                   &(nacre_step_inputs){.learning_rate = rate, .step = network->step});
    nacre_output(loss);
    network->seed = nacre_seed(network->graph, false);
    bench->items = what->items;
    bench->operations = nacre_graph_cost(network->graph).operations;
    bench->parameters = nacre_model_elements(network->models[0], NACRE_ENTRY_PARAMETER);
    return nacre_check(bench->context) == NACRE_OK;
}

/* ---- classifiers and language models -------------------------------------------------------------------------------
 */

static nacre_tensor *build(nc_bench_network *network, const training *what, nacre_tensor *x)
{
    if (what->zoo) return nc_build_zoo(network, what->zoo, what->settings, 0, true, &x, NULL, 0);
    return nc_bench_lenet(nacre_root(network->graph, network->models[0], true), x);
}

static bool create(nc_bench *bench)
{
    const training *what = bench->workload->details;
    nc_bench_network *network = nc_open_network(bench);
    if (!network) return false;
    nacre_tensor *x = what->vocabulary ? nc_feed_whole(network, "x", what->input, what->vocabulary)
                                       : nc_feed_normal(network, "x", what->input);
    nacre_tensor *y = build(network, what, x);
    const int64_t rows = what->classes ? nacre_tensor_count(y) / what->classes : 0;
    y = nacre_reshape(y, NACRE_SHAPE(rows, what->classes));
    nacre_tensor *target = nc_feed_whole(network, "target", NACRE_SHAPE(rows), what->classes);
    return finish(bench, what, nacre_cross_entropy(y, target, NULL));
}

/* ---- the variational autoencoder -----------------------------------------------------------------------------------
 */

/* Summed over the batch: cross-entropy of the pixels - (1 + v - m^2 - e^v) / 2. */
static nacre_tensor *evidence_loss(nacre_tensor *const outputs[3], nacre_tensor *x)
{
    nacre_tensor *mean = outputs[1], *variance = outputs[2];
    nacre_tensor *pixels = nacre_bce_with_logits_loss(outputs[0], x);
    pixels = nacre_mul_scalar(pixels, (double)nacre_tensor_count(x));
    nacre_tensor *spread = nacre_sub(nacre_add_scalar(variance, 1), nacre_exp(variance));
    nacre_tensor *divergence = nacre_sum(nacre_sub(spread, nacre_square(mean)), NULL);
    return nacre_sub(pixels, nacre_mul_scalar(divergence, 0.5));
}

static bool create_vae(nc_bench *bench)
{
    const training *what = bench->workload->details;
    nc_bench_network *network = nc_open_network(bench);
    if (!network) return false;
    nacre_tensor *outputs[3], *x = nc_feed_uniform(network, "x", what->input);
    nc_build_zoo(network, what->zoo, what->settings, 0, true, &x, outputs, 3);
    return finish(bench, what, evidence_loss(outputs, x));
}

/* ---- the adversarial pair ------------------------------------------------------------------------------------------
 */

static nacre_tensor *judge(nc_bench_network *network, nacre_tensor *pictures, double target)
{
    nacre_tensor *logits = nc_build_zoo(network, "dcgan_discriminator", NULL, 1, true, &pictures, NULL, 0);
    nacre_tensor *wanted = nacre_full(network->graph, NACRE_F32, nacre_tensor_shape(logits), target);
    return nacre_bce_with_logits_loss(logits, wanted);
}

/* The discriminator learns from real and made pictures, then the generator from what the new discriminator says. Nodes
 * built after an update see its result, so all of it is one graph. */
static bool create_dcgan(nc_bench *bench)
{
    const training *what = bench->workload->details;
    nc_bench_network *network = nc_open_network(bench);
    if (!network) return false;
    nacre_tensor *real = nc_feed_normal(network, "real", NACRE_SHAPE(what->input.dims[0], 3, 64, 64));
    nacre_tensor *noise = nc_feed_normal(network, "noise", what->input);
    nacre_tensor *rate = scalar_input(network, "learning_rate", what->learning_rate);
    network->step = nacre_input(network->graph, "step", NACRE_I64, NACRE_SCALAR);
    nacre_tensor *real_loss = judge(network, real, 1);
    nacre_tensor *made = nc_build_zoo(network, "dcgan_generator", NULL, 0, true, &noise, NULL, 0);
    nacre_tensor *made_loss = judge(network, nacre_stop_gradient(made), 0);
    nacre_tensor *loss = nacre_add(real_loss, made_loss);
    const nacre_step_inputs inputs = {.learning_rate = rate, .step = network->step};
    nacre_minimise(loss, network->models[1], &what->optimizer, &inputs);
    nacre_tensor *deceit = judge(network, made, 1);
    nacre_minimise(deceit, network->models[0], &what->optimizer, &inputs);
    nacre_output(loss);
    nacre_output(deceit);
    bench->items = what->items;
    bench->operations = nacre_graph_cost(network->graph).operations;
    for (int i = 0; i < 2; i++) bench->parameters += nacre_model_elements(network->models[i], NACRE_ENTRY_PARAMETER);
    return nacre_check(bench->context) == NACRE_OK;
}

/* ---- the workloads -------------------------------------------------------------------------------------------------
 */

static void add_facts(nc_bench *bench, cJSON *object)
{
    (void)bench;
    cJSON_AddStringToObject(object, "opt", "fused"); /* one node updates all parameters */
}

#define TRAINING(id, of, text, creator, ...)                                                                           \
    {                                                                                                                  \
        .name = id, .metric = "training throughput", .unit = of, .summary = text, .create = creator,                   \
        .step = nc_step_network, .destroy = nc_close_network, .half = true, .add_facts = add_facts,                    \
        .details = &(const training){__VA_ARGS__},                                                                     \
    }

const nc_workload nc_bench_training[] = {
    TRAINING("mlp_train", "samples/s", "784-512-512-10 with ReLU, batch 128, cross-entropy, AdamW", create,
             .zoo = "mlp", .input = SHAPE(2, 128, 784), .classes = 10, .items = 128,
             .optimizer = {.kind = NACRE_OPTIMIZER_ADAMW, .weight_decay = 0.01}, .learning_rate = 1e-3),
    TRAINING("lenet_train", "samples/s",
             "two 3x3 convolutions (32, 64), 2x2 pool, 128, 10, batch 128 of 1x28x28, cross-entropy, SGD with momentum",
             create, .input = SHAPE(4, 128, 1, 28, 28), .classes = 10, .items = 128,
             .optimizer = {.kind = NACRE_OPTIMIZER_SGD, .momentum = 0.9}, .learning_rate = 0.01),
    TRAINING("resnet56_train", "samples/s",
             "ResNet-56 for 32x32 pictures with shortcuts that have no parameters, batch 128, SGD with momentum",
             create, .zoo = "resnet_cifar", .settings = {SETTING("depth", 56), SETTING("projection", 0)},
             .input = SHAPE(4, 128, 3, 32, 32), .classes = 10, .items = 128,
             .optimizer = {.kind = NACRE_OPTIMIZER_SGD, .momentum = 0.9, .weight_decay = 1e-4}, .learning_rate = 0.1),
    TRAINING("lstm_train", "tokens/s",
             "characters: embedding 128, LSTM of 2 layers of 512, 64 sequences of 64, gradient norm 1, Adam", create,
             .zoo = "char_lstm", .input = SHAPE(2, 64, 64), .vocabulary = 65, .classes = 65, .items = 4096,
             .optimizer = {.kind = NACRE_OPTIMIZER_ADAM, .clip_norm = 1}, .learning_rate = 2e-3),
    TRAINING("gpt_train", "tokens/s", "characters: 6 layers of width 384, 6 heads, 16 sequences of 256, AdamW", create,
             .zoo = "gpt", .input = SHAPE(2, 16, 256), .vocabulary = 65, .classes = 65, .items = 4096,
             .optimizer = {.kind = NACRE_OPTIMIZER_ADAMW, .beta1 = 0.9, .beta2 = 0.99, .weight_decay = 0.1},
             .learning_rate = 1e-3),
    TRAINING("gpt2_train", "tokens/s", "GPT-2 of 124 M parameters, 4 sequences of 64, AdamW", create, .zoo = "gpt",
             .settings = {SETTING("layers", 12), SETTING("heads", 12), SETTING("width", 768), SETTING("context", 1024),
                          SETTING("vocabulary", 50257), SETTING("tanh", 1)},
             .input = SHAPE(2, 4, 64), .vocabulary = 50257, .classes = 50257, .items = 256,
             .optimizer = {.kind = NACRE_OPTIMIZER_ADAMW}, .learning_rate = 1e-4),
    TRAINING("dcgan_train", "images/s", "DCGAN for 64x64 pictures, batch 32: both networks learn, Adam", create_dcgan,
             .input = SHAPE(4, 32, 100, 1, 1), .items = 32,
             .optimizer = {.kind = NACRE_OPTIMIZER_ADAM, .beta1 = 0.5, .beta2 = 0.999}, .learning_rate = 2e-4),
    TRAINING("vae_train", "samples/s", "variational autoencoder 784-400-20-400-784, batch 128, Adam", create_vae,
             .zoo = "vae", .input = SHAPE(2, 128, 784), .items = 128, .optimizer = {.kind = NACRE_OPTIMIZER_ADAM},
             .learning_rate = 1e-3),
    {0},
};

/* cli/bench_train.c - training steps of small networks, and the time from the start to a first prediction. */
#include "bench.h"

#include <nacre/io.h>
#include <nacre/train.h>

#include <fcntl.h>
#include <limits.h>
#include <spawn.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

enum { BATCH = 128, CLASSES = 10 };

/* ---- models --------------------------------------------------------------------------------------------------------
 */

typedef nacre_tensor *model_function(nacre_scope scope, nacre_tensor *x);

static nacre_tensor *mlp(nacre_scope s, nacre_tensor *x)
{
    x = nacre_relu(nacre_linear(nacre_in(s, "fc1"), x, 512, NULL));
    x = nacre_relu(nacre_linear(nacre_in(s, "fc2"), x, 512, NULL));
    return nacre_linear(nacre_in(s, "fc3"), x, CLASSES, NULL);
}

static nacre_tensor *lenet(nacre_scope s, nacre_tensor *x)
{
    x = nacre_relu(nacre_conv2d(nacre_in(s, "conv1"), x, 32, 3, NULL));
    x = nacre_relu(nacre_conv2d(nacre_in(s, "conv2"), x, 64, 3, NULL));
    x = nacre_flatten(nacre_max_pool(x, &(nacre_pool_options){.kernel = {2, 2}}), 1);
    x = nacre_relu(nacre_linear(nacre_in(s, "fc1"), x, 128, NULL));
    return nacre_linear(nacre_in(s, "fc2"), x, CLASSES, NULL);
}

/* Multiply-adds of the products and convolutions in the graph so far, counted twice: once to multiply, once to add. A
 * training step does each three times, for the result and for two gradients, but that of the data is not wanted. */
static double mlp_operations(void)
{
    const double layers[] = {784.0 * 512, 512.0 * 512, 512.0 * CLASSES};
    return 2.0 * BATCH * (2 * layers[0] + 3 * layers[1] + 3 * layers[2]);
}

static double lenet_operations(void)
{
    const double pixels = 28 * 28;
    const double layers[] = {pixels * 32 * 9, pixels * 64 * 32 * 9, 12544.0 * 128, 128.0 * CLASSES};
    return 2.0 * BATCH * (2 * layers[0] + 3 * layers[1] + 3 * layers[2] + 3 * layers[3]);
}

/* ---- training ------------------------------------------------------------------------------------------------------
 */

typedef struct training {
    nacre_graph *graph;
    nacre_model *model;
    float *x;
    int64_t *y;
    nacre_tensor *step;
    int64_t steps; /* done */
} training;

/* The same numbers each time: normal ones by adding twelve uniform ones, and class ids. */
static void fill_batch(training *t, int64_t count)
{
    uint64_t state = 1;
    for (int64_t i = 0; i < count; i++) {
        t->x[i] = -6;
        for (int k = 0; k < 12; k++) {
            state = state * 6364136223846793005u + 1442695040888963407u;
            t->x[i] += (float)(state >> 40) / (float)(1 << 24);
        }
    }
    for (int64_t i = 0; i < BATCH; i++) t->y[i] = (i * 7) % CLASSES;
}

static bool build_training(nc_bench *bench, training *t, model_function *model, nacre_shape shape,
                           const nacre_optimizer *optimizer, double learning_rate)
{
    nacre_tensor *x = nacre_input(t->graph, "x", NACRE_F32, shape);
    nacre_tensor *y = nacre_input(t->graph, "y", NACRE_I64, NACRE_SHAPE(BATCH));
    nacre_tensor *rate = nacre_input(t->graph, "learning_rate", NACRE_F32, NACRE_SCALAR);
    t->step = nacre_input(t->graph, "step", NACRE_I64, NACRE_SCALAR);
    nacre_tensor *loss = nacre_cross_entropy(model(nacre_root(t->graph, t->model, true), x), y, NULL);
    nacre_minimise(loss, t->model, optimizer, &(nacre_step_inputs){.learning_rate = rate, .step = t->step});
    nacre_feed(x, t->x);
    nacre_feed(y, t->y);
    nacre_feed_scalar(rate, learning_rate);
    nacre_output(loss);
    bench->items = BATCH;
    bench->parameters = nacre_model_elements(t->model, NACRE_ENTRY_PARAMETER);
    return nacre_check(bench->context) == NACRE_OK;
}

static bool create_training(nc_bench *bench, model_function *model, nacre_shape shape, const nacre_optimizer *optimizer,
                            double learning_rate)
{
    training *t = bench->state = nacre_allocate(bench->context, sizeof *t);
    if (!t) return false;
    t->graph = nacre_graph_create(bench->context);
    t->model = nacre_model_create(bench->context);
    t->x = nacre_allocate(bench->context, sizeof *t->x * (size_t)nacre_shape_count(shape));
    t->y = nacre_allocate(bench->context, sizeof *t->y * BATCH);
    if (!t->graph || !t->model || !t->x || !t->y) return false;
    fill_batch(t, nacre_shape_count(shape));
    return build_training(bench, t, model, shape, optimizer, learning_rate);
}

static double step_training(nc_bench *bench)
{
    training *t = bench->state;
    const double start = nacre_seconds();
    nacre_feed_scalar(t->step, (double)++t->steps);
    if (nacre_run(t->graph)) return -1;
    return nacre_seconds() - start;
}

static void destroy_training(nc_bench *bench)
{
    training *t = bench->state;
    if (!t) return;
    nacre_graph_destroy(t->graph);
    nacre_model_destroy(t->model);
    nacre_release(bench->context, t->x);
    nacre_release(bench->context, t->y);
    nacre_release(bench->context, t);
}

static void add_training_facts(nc_bench *bench, cJSON *object)
{
    (void)bench;
    cJSON_AddStringToObject(object, "opt", "fused"); /* one node updates all parameters */
}

static bool create_mlp(nc_bench *bench)
{
    const nacre_optimizer adamw = {.kind = NACRE_OPTIMIZER_ADAMW, .weight_decay = 0.01};
    bench->operations = mlp_operations();
    return create_training(bench, mlp, NACRE_SHAPE(BATCH, 784), &adamw, 1e-3);
}

static bool create_lenet(nc_bench *bench)
{
    const nacre_optimizer sgd = {.kind = NACRE_OPTIMIZER_SGD, .momentum = 0.9};
    bench->operations = lenet_operations();
    return create_training(bench, lenet, NACRE_SHAPE(BATCH, 1, 28, 28), &sgd, 0.01);
}

const nc_workload nc_bench_mlp_train = {
    .name = "mlp_train",
    .metric = "training throughput",
    .unit = "samples/s",
    .summary = "784-512-512-10 with ReLU, batch 128, cross-entropy, AdamW",
    .create = create_mlp,
    .step = step_training,
    .destroy = destroy_training,
    .add_facts = add_training_facts,
};

const nc_workload nc_bench_lenet_train = {
    .name = "lenet_train",
    .metric = "training throughput",
    .unit = "samples/s",
    .summary =
        "two 3x3 convolutions (32, 64), 2x2 pool, 128, 10, batch 128 of 1x28x28, cross-entropy, SGD with momentum",
    .create = create_lenet,
    .step = step_training,
    .destroy = destroy_training,
    .add_facts = add_training_facts,
};

/* ---- startup -------------------------------------------------------------------------------------------------------
 */

int nc_predict_once(nacre_context *context)
{
    float image[28 * 28], logits[CLASSES];
    for (int i = 0; i < 28 * 28; i++) image[i] = 1;
    nacre_graph *graph = nacre_graph_create(context);
    nacre_model *model = nacre_model_create(context);
    nacre_tensor *x = nacre_input(graph, "x", NACRE_F32, NACRE_SHAPE(1, 1, 28, 28));
    nacre_tensor *y = lenet(nacre_root(graph, model, false), x);
    nacre_feed(x, image);
    nacre_output(y);
    nacre_run(graph);
    int best = 0;
    if (nacre_read(y, logits, sizeof logits) == NACRE_OK)
        for (int i = 1; i < CLASSES; i++)
            if (logits[i] > logits[best]) best = i;
    nacre_model_destroy(model);
    nacre_graph_destroy(graph);
    return nacre_check(context) == NACRE_OK ? best : -1;
}

/* Starts this program so that what it prints comes through `output`; its id, or -1. */
static pid_t start_again(nacre_context *context, int *output)
{
    char self[PATH_MAX] = "", bench[] = "bench", startup[] = "startup", once[] = "--once", threads[32];
    char *const words[] = {self, bench, startup, once, threads, NULL};
    int pipes[2];
    snprintf(threads, sizeof threads, "--threads=%d", nacre_threads(context));
    if (readlink("/proc/self/exe", self, sizeof self - 1) <= 0 || pipe2(pipes, O_CLOEXEC)) return -1;
    posix_spawn_file_actions_t actions;
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_adddup2(&actions, pipes[1], STDOUT_FILENO);
    pid_t child;
    const int error = posix_spawn(&child, self, &actions, NULL, words, environ);
    posix_spawn_file_actions_destroy(&actions);
    close(pipes[1]);
    if (error) close(pipes[0]);
    *output = pipes[0];
    return error ? -1 : child;
}

/* From the start of a process to the first line that it prints. */
static double step_startup(nc_bench *bench)
{
    char line[16];
    int output, status;
    const double start = nacre_seconds();
    const pid_t child = start_again(bench->context, &output);
    if (child < 0) {
        nacre_fail(bench->context, NACRE_ERROR_IO, "startup: cannot start this program again");
        return -1;
    }
    const ssize_t got = read(output, line, sizeof line);
    const double seconds = nacre_seconds() - start;
    close(output);
    if (waitpid(child, &status, 0) == child && status == 0 && got > 0) return seconds;
    nacre_fail(bench->context, NACRE_ERROR_STATE, "startup: the started program made no prediction");
    return -1;
}

static bool create_startup(nc_bench *bench)
{
    return step_startup(bench) >= 0; /* the first start warms the disk */
}

static void keep(nc_bench *bench)
{
    (void)bench;
}

static double child_memory(void)
{
    struct rusage usage;
    getrusage(RUSAGE_CHILDREN, &usage);
    return 1024.0 * (double)usage.ru_maxrss;
}

const nc_workload nc_bench_startup = {
    .name = "startup",
    .metric = "process start to first prediction",
    .unit = "ms",
    .summary = "start this program, make lenet_train's network, predict one image, print its class",
    .create = create_startup,
    .step = step_startup,
    .destroy = keep,
    .memory = child_memory,
};

/* cli/bench_process.c - from the start of the program to a first prediction. */
#include "bench.h"

#include <nacre/io.h>
#include <nacre/nn.h>

#include <fcntl.h>
#include <limits.h>
#include <spawn.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

enum { CLASSES = 10 };

nacre_tensor *nc_bench_lenet(nacre_scope s, nacre_tensor *x)
{
    x = nacre_relu(nacre_conv2d(nacre_in(s, "conv1"), x, 32, 3, NULL));
    x = nacre_relu(nacre_conv2d(nacre_in(s, "conv2"), x, 64, 3, NULL));
    x = nacre_flatten(nacre_max_pool(x, &(nacre_pool_options){.kernel = {2, 2}}), 1);
    x = nacre_relu(nacre_linear(nacre_in(s, "fc1"), x, 128, NULL));
    return nacre_linear(nacre_in(s, "fc2"), x, CLASSES, NULL);
}

int nc_predict_once(nacre_context *context)
{
    float image[28 * 28], logits[CLASSES];
    for (int i = 0; i < 28 * 28; i++) image[i] = 1;
    nacre_graph *graph = nacre_graph_create(context);
    nacre_model *model = nacre_model_create(context);
    nacre_tensor *x = nacre_input(graph, "x", NACRE_F32, NACRE_SHAPE(1, 1, 28, 28));
    nacre_tensor *y = nc_bench_lenet(nacre_root(graph, model, false), x);
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

static double child_memory(void)
{
    struct rusage usage;
    getrusage(RUSAGE_CHILDREN, &usage);
    return 1024.0 * (double)usage.ru_maxrss;
}

const nc_workload nc_bench_process[] = {
    {
        .name = "startup",
        .metric = "process start to first prediction",
        .unit = "ms",
        .summary = "start this program, make lenet_train's network, predict one image, print its class",
        .create = create_startup,
        .step = step_startup,
        .memory = child_memory,
    },
    {0},
};

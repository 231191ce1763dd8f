/* cli/bench_kernels.c - matrix products and passes over memory one by one: how near each comes to the machine's limit.
 *
 * What counts is the time of one operation's kernel, as the planner chooses it, within a graph that holds little else.
 */
#include "bench.h"

#include <nacre/backend.h>
#include <nacre/ops.h>
#include <nacre/profile.h>

#include <math.h>
#include <string.h>

typedef struct piece piece;
struct piece {
    const char *name;
    const char *op; /* whose time counts */
    void (*build)(nc_bench_network *network, const piece *what);
    int64_t rows, columns, inner; /* of a product: result and sum; of a pass: the array */
    bool transpose_a, transpose_b;
};

/* ---- matrix products -----------------------------------------------------------------------------------------------
 */

static void build_product(nc_bench_network *network, const piece *what)
{
    const int64_t m = what->rows, n = what->columns, k = what->inner;
    nacre_tensor *a = nc_feed_normal(network, "a", what->transpose_a ? NACRE_SHAPE(k, m) : NACRE_SHAPE(m, k));
    nacre_tensor *b = nc_feed_normal(network, "b", what->transpose_b ? NACRE_SHAPE(n, k) : NACRE_SHAPE(k, n));
    nacre_output(nacre_matmul(a, b, what->transpose_a, what->transpose_b));
}

/* Of a linear layer: forward NT, the gradient of its input NN, of its weights TN. */
#define FORWARD(layer, rows, out, in)                                                                                  \
    {                                                                                                                  \
        layer " forward", "matmul", build_product, rows, out, in, false, true                                          \
    }
#define BACKWARD(layer, rows, out, in)                                                                                 \
    {                                                                                                                  \
        layer " input", "matmul", build_product, rows, in, out, false, false                                           \
    }
#define WEIGHTS(layer, rows, out, in)                                                                                  \
    {                                                                                                                  \
        layer " weights", "matmul", build_product, out, in, rows, true, false                                          \
    }
#define LINEAR(layer, rows, out, in)                                                                                   \
    FORWARD(layer, rows, out, in), BACKWARD(layer, rows, out, in), WEIGHTS(layer, rows, out, in)

static const piece PRODUCTS[] = {
    {"2048 cubed", "matmul", build_product, 2048, 2048, 2048, false, false},
    LINEAR("gpt qkv", 4096, 1152, 384),
    LINEAR("gpt proj", 4096, 384, 384),
    LINEAR("gpt up", 4096, 1536, 384),
    LINEAR("gpt down", 4096, 384, 1536),
    LINEAR("gpt head", 4096, 65, 384),
    FORWARD("bert qkv", 1024, 768, 768),
    FORWARD("bert up", 1024, 3072, 768),
    FORWARD("bert down", 1024, 768, 3072),
    LINEAR("gpt2 qkv", 256, 2304, 768),
    LINEAR("gpt2 up", 256, 3072, 768),
    LINEAR("gpt2 down", 256, 768, 3072),
    LINEAR("gpt2 head", 256, 50257, 768),
    LINEAR("lstm gates", 4096, 2048, 512),
    {"lstm step", "matmul", build_product, 64, 2048, 512, false, true},
    LINEAR("mlp first", 128, 512, 784),
    LINEAR("mlp second", 128, 512, 512),
    LINEAR("mlp last", 128, 10, 512),
    LINEAR("vae first", 128, 400, 784),
    LINEAR("vae head", 128, 20, 400),
    LINEAR("vae last", 128, 784, 400),
    {0},
};

/* ---- passes over memory --------------------------------------------------------------------------------------------
 */

static nacre_tensor *array(nc_bench_network *network, const char *name, const piece *what)
{
    return nc_feed_normal(network, name, NACRE_SHAPE(what->rows, what->columns));
}

static void build_add(nc_bench_network *network, const piece *what)
{
    nacre_tensor *x = array(network, "x", what), *y = array(network, "y", what);
    nacre_output(nacre_add(x, y));
}

static void build_chain(nc_bench_network *network, const piece *what)
{
    nacre_tensor *x = array(network, "x", what), *y = array(network, "y", what);
    nacre_output(nacre_tanh(nacre_add(nacre_mul(x, y), nacre_sigmoid(x))));
}

static void build_sums(nc_bench_network *network, const piece *what, int64_t axis)
{
    nacre_output(nacre_sum(array(network, "x", what), &(nacre_reduce_options){.axes = &axis, .axis_count = 1}));
}

static void build_row_sums(nc_bench_network *network, const piece *what)
{
    build_sums(network, what, 1);
}

static void build_column_sums(nc_bench_network *network, const piece *what)
{
    build_sums(network, what, 0);
}

static void build_transpose(nc_bench_network *network, const piece *what)
{
    nacre_output(nacre_swap_axes(array(network, "x", what), 0, 1));
}

/* A function of x and the gradient of x: both are measured, each by its own row. */
static void with_gradient(nc_bench_network *network, const piece *what, nacre_tensor *x, nacre_tensor *y)
{
    nacre_tensor *dy = array(network, "dy", what), *dx;
    nacre_vjp(&y, &dy, 1, &x, 1, &dx);
    nacre_output(y);
    nacre_output(dx);
}

static void build_gelu(nc_bench_network *network, const piece *what)
{
    nacre_tensor *x = array(network, "x", what), *y = nacre_gelu(x);
    with_gradient(network, what, x, y);
}

static void build_softmax(nc_bench_network *network, const piece *what)
{
    nacre_tensor *x = array(network, "x", what), *y = nacre_softmax(x, 1);
    with_gradient(network, what, x, y);
}

static void build_layer_norm(nc_bench_network *network, const piece *what)
{
    nacre_tensor *x = array(network, "x", what);
    nacre_tensor *weight = nc_feed_normal(network, "weight", NACRE_SHAPE(what->columns));
    nacre_tensor *bias = nc_feed_normal(network, "bias", NACRE_SHAPE(what->columns));
    nacre_tensor *y = nacre_layer_norm_with(x, 1, weight, bias, 1e-5);
    with_gradient(network, what, x, y);
}

static void build_batch_norm(nc_bench_network *network, const piece *what)
{
    nacre_tensor *x = array(network, "x", what);
    nacre_tensor *weight = nc_feed_normal(network, "weight", NACRE_SHAPE(what->columns));
    nacre_tensor *bias = nc_feed_normal(network, "bias", NACRE_SHAPE(what->columns));
    nacre_tensor *y = nacre_batch_norm_with(x, weight, bias, 1e-5);
    with_gradient(network, what, x, y);
}

static void build_cross_entropy(nc_bench_network *network, const piece *what)
{
    nacre_tensor *x = array(network, "x", what), *dx;
    nacre_tensor *labels = nc_feed_whole(network, "labels", NACRE_SHAPE(what->rows), what->columns);
    nacre_tensor *loss = nacre_cross_entropy(x, labels, NULL);
    nacre_gradients(loss, &x, 1, &dx);
    nacre_output(loss);
    nacre_output(dx);
}

enum { TALL = 8192, WIDE = 2048 }; /* 64 MiB, beyond most caches */
#define PASS(name, op, build)                                                                                          \
    {                                                                                                                  \
        name, op, build, TALL, WIDE, 0, false, false                                                                   \
    }
#define NORM(name, op, channels)                                                                                       \
    {                                                                                                                  \
        name, op, build_batch_norm, TALL *WIDE / channels, channels, 0, false, false                                   \
    }

static const piece PASSES[] = {
    PASS("add", "add", build_add),
    PASS("chain of four", "fused", build_chain),
    PASS("row sums", "sum", build_row_sums),
    PASS("column sums", "sum", build_column_sums),
    PASS("transpose", "transpose", build_transpose),
    PASS("gelu", "gelu", build_gelu),
    PASS("gelu gradient", "gelu_backward", build_gelu),
    PASS("softmax", "softmax", build_softmax),
    PASS("softmax gradient", "softmax_backward", build_softmax),
    PASS("layer norm", "layer_norm", build_layer_norm),
    PASS("layer norm gradient", "layer_norm_backward", build_layer_norm),
    NORM("batch norm of 64", "batch_norm", 64),
    NORM("batch norm of 64 gradient", "batch_norm_backward", 64),
    NORM("batch norm of 256", "batch_norm", 256),
    NORM("batch norm of 256 gradient", "batch_norm_backward", 256),
    PASS("cross-entropy", "cross_entropy", build_cross_entropy),
    PASS("cross-entropy gradient", "cross_entropy_backward", build_cross_entropy),
    {0},
};

/* ---- measuring -----------------------------------------------------------------------------------------------------
 */

/* What one call of the operation does, and its least time in some runs; false after a recorded failure. */
static bool time_op(nc_bench *bench, nacre_graph *graph, const char *op, nacre_profile *profile,
                    nacre_profile_row *found)
{
    bool complete = nacre_run(graph) == NACRE_OK;
    const double end = nacre_seconds() + bench->seconds * 0.04; /* 5 seconds asked for: a fifth of one */
    nacre_profile_start(profile);
    for (int i = 0; complete && (i < 3 || nacre_seconds() < end); i++) complete = nacre_run(graph) == NACRE_OK;
    nacre_profile_stop(profile);
    nacre_profile_row row;
    for (int i = 0; complete && nacre_profile_at(profile, i, &row); i++) {
        if (strcmp(row.op, op) != 0) continue;
        *found = row;
        found->seconds = row.least;
        found->operations /= (double)row.calls;
        found->bytes /= (double)row.calls;
    }
    return complete;
}

static cJSON *describe(const piece *what, const nacre_profile_row *row, const nacre_ceiling *ceiling)
{
    cJSON *object = cJSON_CreateObject();
    cJSON_AddStringToObject(object, "case", what->name);
    if (what->inner) cJSON_AddNumberToObject(object, "k", (double)what->inner);
    cJSON_AddStringToObject(object, "kernel", row->variant);
    nc_add_rounded(object, "ms", 1e3 * row->seconds, 3);
    if (row->operations > 0) nc_add_rounded(object, "gfs", row->operations / row->seconds * 1e-9, 1);
    nc_add_rounded(object, "gbs", row->bytes / row->seconds * 1e-9, 1);
    nc_add_rounded(object, "share", nacre_profile_share(row, ceiling), 3);
    return object;
}

static cJSON *measure_piece(nc_bench *bench, const piece *what, const nacre_ceiling *ceiling, double *share)
{
    nc_bench_network *network = nc_open_network(bench);
    nacre_profile *profile = nacre_profile_create(bench->context);
    nacre_profile_row row = {0};
    cJSON *object = NULL;
    if (network && profile) {
        what->build(network, what);
        if (time_op(bench, network->graph, what->op, profile, &row) && row.seconds > 0) {
            object = describe(what, &row, ceiling);
            *share = nacre_profile_share(&row, ceiling);
        }
    }
    nacre_profile_destroy(profile);
    nc_close_network(bench);
    bench->state = NULL;
    return object;
}

static bool measure(nc_bench *bench, nc_series *times)
{
    const double start = nacre_seconds();
    double logarithms = 0;
    int count = 0;
    nacre_ceiling ceiling;
    if (nacre_ceiling_measure(bench->context, &ceiling)) return false;
    bench->table = cJSON_CreateArray();
    for (const piece *what = bench->workload->details; what->name; what++, count++) {
        double share = 1;
        cJSON *row = measure_piece(bench, what, &ceiling, &share);
        if (nacre_check(bench->context)) return false;
        cJSON_AddItemToArray(bench->table, row);
        logarithms += log(share);
    }
    bench->value = exp(logarithms / count);
    return nc_series_add(bench->context, times, nacre_seconds() - start);
}

const nc_workload nc_bench_kernels[] = {
    {
        .name = "products",
        .metric = "geometric mean of the shares of the bound",
        .unit = "of 1",
        .summary = "matrix products of the other workloads' layers, forward and gradients, one by one",
        .measure = measure,
        .half = true,
        .details = PRODUCTS,
    },
    {
        .name = "passes",
        .metric = "geometric mean of the shares of the bound",
        .unit = "of 1",
        .summary = "operations that memory bounds, one by one, over arrays beyond the caches",
        .measure = measure,
        .details = PASSES,
    },
    {0},
};

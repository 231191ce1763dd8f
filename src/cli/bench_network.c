/* cli/bench_network.c - graphs over synthetic batches, what the training and inference workloads share. */
#include "bench.h"

#include <nacre/io.h>
#include <nacre/random.h>
#include <nacre/text.h>

#include <string.h>

nc_bench_network *nc_open_network(nc_bench *bench)
{
    nc_bench_network *network = bench->state = nacre_allocate(bench->context, sizeof *network);
    if (!network) return NULL;
    network->context = bench->context;
    network->graph = nacre_graph_create(bench->context);
    nacre_graph_set_precision(network->graph, bench->dtype);
    for (int i = 0; i < 2; i++) network->models[i] = nacre_model_create(bench->context);
    return nacre_check(bench->context) == NACRE_OK ? network : NULL;
}

double nc_step_network(nc_bench *bench)
{
    nc_bench_network *network = bench->state;
    const double start = nacre_seconds();
    network->runs++;
    if (network->step) nacre_feed_scalar(network->step, (double)network->runs);
    if (network->seed) nacre_feed_scalar(network->seed, (double)network->runs);
    return nacre_run(network->graph) == NACRE_OK ? nacre_seconds() - start : -1;
}

void nc_close_network(nc_bench *bench)
{
    nc_bench_network *network = bench->state;
    if (!network) return;
    nacre_graph_destroy(network->graph);
    for (int i = 0; i < 2; i++) nacre_model_destroy(network->models[i]);
    for (int i = 0; i < network->fed_count; i++) nacre_release_aligned(bench->context, network->fed[i]);
    nacre_release(bench->context, network);
}

nacre_tensor *nc_build_zoo(nc_bench_network *network, const char *name, const nacre_setting *settings, int model,
                           bool training, nacre_tensor *const *inputs, nacre_tensor **outputs, int output_limit)
{
    const char *source = nacre_zoo_text(name);
    nacre_text *text = nacre_text_parse(network->context, source, strlen(source), name);
    const nacre_text_options options = {
        .parameters = settings, .inputs = inputs, .input_count = 1, .outputs = outputs, .output_limit = output_limit};
    nacre_scope scope = nacre_root(network->graph, network->models[model], training);
    nacre_tensor *result = nacre_text_build(text, scope, &options);
    nacre_text_destroy(text);
    return result;
}

/* ---- batches -------------------------------------------------------------------------------------------------------
 */

static nacre_tensor *feed(nc_bench_network *network, nacre_tensor *input, void *data)
{
    network->fed[network->fed_count++] = data;
    if (data) nacre_feed(input, data);
    return data ? input : NULL;
}

static nacre_tensor *numbers(nc_bench_network *network, const char *name, nacre_shape shape, bool normal)
{
    nacre_tensor *input = nacre_input(network->graph, name, NACRE_F32, shape);
    const int64_t count = nacre_shape_count(shape);
    float *data = nacre_allocate_aligned(network->context, sizeof *data * (size_t)count);
    nacre_random random = nacre_random_create(1, 0, 0);
    for (int64_t i = 0; data && i < count; i++)
        data[i] = normal ? nacre_random_normal(&random) : nacre_random_uniform(&random, 0, 1);
    return feed(network, input, data);
}

nacre_tensor *nc_feed_normal(nc_bench_network *network, const char *name, nacre_shape shape)
{
    return numbers(network, name, shape, true);
}

nacre_tensor *nc_feed_uniform(nc_bench_network *network, const char *name, nacre_shape shape)
{
    return numbers(network, name, shape, false);
}

nacre_tensor *nc_feed_whole(nc_bench_network *network, const char *name, nacre_shape shape, int64_t limit)
{
    nacre_tensor *input = nacre_input(network->graph, name, NACRE_I64, shape);
    const int64_t count = nacre_shape_count(shape);
    int64_t *data = nacre_allocate_aligned(network->context, sizeof *data * (size_t)count);
    nacre_random random = nacre_random_create(2, 0, 0);
    for (int64_t i = 0; data && i < count; i++) data[i] = nacre_random_below(&random, (uint32_t)limit);
    return feed(network, input, data);
}

/* cli/bench_infer.c - predictions of large networks. */
#include "bench.h"

#include <nacre/backend.h>

typedef struct inference {
    const char *zoo;
    nacre_setting settings[8];
    nacre_shape input;  /* of numbers; with `vocabulary` of tokens */
    int64_t vocabulary; /* of tokens, else 0 */
} inference;

#define SHAPE(n, ...)                                                                                                  \
    {                                                                                                                  \
        .rank = n, .dims = { __VA_ARGS__ }                                                                             \
    }

static bool create(nc_bench *bench)
{
    const inference *what = bench->workload->details;
    nc_bench_network *network = nc_open_network(bench);
    if (!network) return false;
    nacre_tensor *x = what->vocabulary ? nc_feed_whole(network, "x", what->input, what->vocabulary)
                                       : nc_feed_normal(network, "x", what->input);
    nacre_output(nc_build_zoo(network, what->zoo, what->settings, 0, false, &x, NULL, 0));
    bench->items = (double)what->input.dims[0];
    bench->operations = nacre_graph_cost(network->graph).operations;
    bench->parameters = nacre_model_elements(network->models[0], NACRE_ENTRY_PARAMETER);
    return nacre_check(bench->context) == NACRE_OK;
}

#define INFERENCE(id, of, text, ...)                                                                                   \
    {                                                                                                                  \
        .name = id, .metric = "inference throughput", .unit = of, .summary = text, .create = create,                   \
        .step = nc_step_network, .destroy = nc_close_network, .half = true,                                            \
        .details = &(const inference){__VA_ARGS__},                                                                    \
    }

const nc_workload nc_bench_inference[] = {
    INFERENCE("resnet50_infer_b1", "images/s", "ResNet-50, one picture of 224x224", .zoo = "resnet",
              .input = SHAPE(4, 1, 3, 224, 224)),
    INFERENCE("resnet50_infer_b16", "images/s", "ResNet-50, 16 pictures of 224x224", .zoo = "resnet",
              .input = SHAPE(4, 16, 3, 224, 224)),
    INFERENCE("mobilenetv2_infer_b1", "images/s", "MobileNetV2, one picture of 224x224", .zoo = "mobilenet_v2",
              .input = SHAPE(4, 1, 3, 224, 224)),
    INFERENCE("vgg16_infer_b1", "images/s", "VGG-16, one picture of 224x224", .zoo = "vgg",
              .input = SHAPE(4, 1, 3, 224, 224)),
    INFERENCE("bert_infer", "sequences/s", "BERT's base encoder, 8 sequences of 128 tokens", .zoo = "bert",
              .input = SHAPE(2, 8, 128), .vocabulary = 30522),
    {0},
};

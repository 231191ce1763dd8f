/* Fast kernels on operands that are larger than the operations' own cases, so that work is cut into parts, and on
 * channels-last images, which only a convolution before them brings about. */
#include "test.h"

#include <nacre/backend.h>
#include <nacre/nacre.h>

#include <stdlib.h>

/* ---- larger cases: each kernel against the reference ---------------------------------------------------------------
 */

static const char *const LARGER[][2] = {
    {"add", "a=40x50x30 b=40x50x30 !grad"},
    {"add", "a=700x90 b=90 !grad"},
    {"mul", "a=30x40x70 b=30x1x70 !grad"},
    {"mul", "a=30x40x70 b=40x1 !grad"},
    {"gelu", "x=33001@-5..5 !grad"},
    {"where", "condition=300x1:bool@0..1 a=300x200 b=200 !grad"},
    {"sum", "x=50x70x20 !grad"},
    {"sum", "x=3000x70 axes=0 !grad"},
    {"sum", "x=10x3x3000 axes=0,2 !grad"},
    {"mean", "x=5x100x100 axes=1 !grad"},
    {"max", "x=60000 !grad"},
    {"min", "x=3x30000 axes=1 !grad"},
    {"softmax", "x=900x70@-9..9 !grad"},
    {"softmax", "x=30x70x40@-9..9 axis=1 !grad"},
    {"cross_entropy", "logits=3000x10 target=3000:i64@0..9 label_smoothing=0.1 !grad"},
    {"matmul", "a=150x300 b=300x100 !grad"},
    {"matmul", "a=300x150 b=100x300 transpose_a=1 transpose_b=1 !grad"},
    {"matmul", "a=6x5x40x30 b=6x5x30x50 !grad"},
    {"conv", "x=4x9x20x20 w=37x9x3x3 b=37 padding=1 activation=relu !grad"},
    {"conv_backward_data", "dy=4x21x10x10 w=21x9x3x3 size=20 stride=2 padding=1 !grad"},
    {"conv_backward_weight", "x=6x9x17x17 dy=6x18x17x17 kernel=3 padding=1 !grad"},
    {"conv", "x=3x20x17x14 w=37x20x3x3 b=37 padding=1 activation=relu !grad"},
    {"conv", "x=3x33x15x15 w=16x33x3x3 residual=3x16x15x15 padding=0,2,2,0 !grad"},
    {"conv_backward_data", "dy=3x37x17x14 w=37x20x3x3 size=17,14 padding=1 !grad"},
    {"conv_backward_data", "dy=9x16x11x12 w=16x32x3x3 size=13,14 !grad"},
    {"conv_backward_weight", "x=3x20x17x14 dy=3x37x17x14 kernel=3 padding=1 !grad"},
    {"conv_backward_weight", "x=20x16x9x9 dy=20x32x7x7 kernel=3 !grad"},
    {"max_pool", "x=5x20x20x20 kernel=3 stride=2 padding=1 !grad"},
    {"max_pool_backward", "dy=5x20x10x10 indices=5x20x10x10:i32@0..399 size=20 !grad"},
    {"batch_norm", "x=6x20x20x20@2..4 weight=20 bias=20 !grad"},
    {"batch_norm", "x=3000x40 weight=40 bias=40 !grad"},
    {"batch_norm_backward", "dy=6x20x20x20 x=6x20x20x20 mean=20 var=20@0.5..1 weight=20 !grad"},
    {"layer_norm", "x=700x90 weight=90 bias=90 !grad"},
    {"layer_norm_backward", "dy=700x90 x=700x90 mean=700 var=700@0.5..1 weight=90 !grad"},
    {"group_norm_backward", "dy=50x12x9x9 x=50x12x9x9 mean=50x3 var=50x3@0.5..1 weight=12 groups=3 !grad"},
    {"sgd",
     "learning_rate=scalar@0.1..0.1 step=scalar:i64@3..3 tensors=300x200 tensors=300x200 tensors=300x200 tensors=5 "
     "tensors=5 tensors=5 tensors=0 tensors=0 tensors=0 tensors=40000 tensors=40000 tensors=40000 momentum=0.9"},
    {"adam", "learning_rate=scalar@0.1..0.1 step=scalar:i64@3..3 tensors=300x200 tensors=300x200 tensors=300x200 "
             "tensors=300x200@0..1 weight_decay=0.1 decoupled=1"},
    {"global_norm", "x=300x200 x=7 x=0 x=50000"},
};

static void larger_cases(void)
{
    for (size_t i = 0; i < sizeof LARGER / sizeof *LARGER; i++) {
        const nacre_op *op = nacre_op_find(LARGER[i][0]);
        nacre_context *context = nacre_context_create(&(nacre_context_options){.threads = 1});
        NC_REQUIRE(op && context);
        if (nacre_op_check(context, op, LARGER[i][1], NULL, NULL)) NC_COMPLAIN("%s", nacre_message(context));
        nacre_context_destroy(context);
    }
}

/* ---- between two convolutions --------------------------------------------------------------------------------------
 */

enum { BATCH = 3, CHANNELS = 20, SIDE = 12, WEIGHTS = CHANNELS * CHANNELS };

typedef nacre_tensor *layer(nacre_tensor *x, nacre_tensor *per_channel);

static nacre_tensor *normalise(nacre_tensor *x, nacre_tensor *per_channel)
{
    return nacre_batch_norm_with(x, per_channel, per_channel, 1e-5);
}

static nacre_tensor *rectify(nacre_tensor *x, nacre_tensor *per_channel)
{
    return nacre_relu(nacre_mul(x, nacre_reshape(per_channel, NACRE_SHAPE(CHANNELS, 1, 1))));
}

static nacre_tensor *add_itself(nacre_tensor *x, nacre_tensor *per_channel)
{
    (void)per_channel;
    return nacre_add(nacre_sigmoid(x), nacre_mul(x, x));
}

static nacre_tensor *pool_largest(nacre_tensor *x, nacre_tensor *per_channel)
{
    (void)per_channel;
    return nacre_max_pool(x, &(nacre_pool_options){.kernel = {2, 2}});
}

static nacre_tensor *pool_overlapping(nacre_tensor *x, nacre_tensor *per_channel)
{
    (void)per_channel;
    return nacre_max_pool(x, &(nacre_pool_options){.kernel = {3, 3}, .stride = {2, 2}, .padding = {1, 1}});
}

static nacre_tensor *pool_average(nacre_tensor *x, nacre_tensor *per_channel)
{
    (void)per_channel;
    return nacre_avg_pool(x, &(nacre_pool_options){.kernel = {3, 3}, .stride = {2, 2}, .padding = {1, 1}});
}

static nacre_tensor *subtract_mean(nacre_tensor *x, nacre_tensor *per_channel)
{
    (void)per_channel;
    return nacre_sub(x, nacre_mean(x, &(nacre_reduce_options){(const int64_t[]){2, 3}, 2, true}));
}

static nacre_tensor *subtract_channel_mean(nacre_tensor *x, nacre_tensor *per_channel)
{
    (void)per_channel;
    return nacre_sub(x, nacre_mean(x, &(nacre_reduce_options){(const int64_t[]){1}, 1, true}));
}

static nacre_tensor *softmax_of_channels(nacre_tensor *x, nacre_tensor *per_channel)
{
    (void)per_channel;
    return nacre_softmax(x, 1);
}

static nacre_tensor *softmax_of_rows(nacre_tensor *x, nacre_tensor *per_channel)
{
    (void)per_channel;
    return nacre_softmax(x, 3);
}

static nacre_tensor *groups(nacre_tensor *x, nacre_tensor *per_channel)
{
    return nacre_group_norm_with(x, 4, per_channel, per_channel, 1e-5);
}

/* Every step here has a fast kernel. */
static void complain_of_reference(void *user, const nacre_plan_step *step)
{
    if (!strcmp(step->variant, "reference"))
        NC_COMPLAIN("%s: %s %s has no fast kernel: %s", (const char *)user, step->op, step->signature, step->refusals);
}

/* conv, layer, conv, mean of squares: the loss, and its gradients with respect to x, w and c into `results`. */
static bool run_between(const char *name, layer *middle, nacre_device device, const float *x_values,
                        const float *w_values, float *results)
{
    nacre_context *context = nacre_context_create(&(nacre_context_options){.threads = 2, .device = device});
    nacre_graph *graph = nacre_graph_create(context);
    const nacre_shape weights = NACRE_SHAPE(CHANNELS, CHANNELS, 1, 1);
    nacre_tensor *x = nacre_input(graph, "x", NACRE_F32, NACRE_SHAPE(BATCH, CHANNELS, SIDE, SIDE));
    nacre_tensor *w = nacre_input(graph, "w", NACRE_F32, weights);
    nacre_tensor *c = nacre_input(graph, "c", NACRE_F32, NACRE_SHAPE(CHANNELS));
    nacre_tensor *y = nacre_conv_with(middle(nacre_conv_with(x, w, NULL, NULL), c), w, NULL, NULL), *grads[3];
    nacre_tensor *loss = nacre_mean(nacre_mul(y, y), NULL);
    nacre_feed(x, x_values);
    nacre_feed(w, w_values);
    nacre_feed(c, w_values);
    bool ran = nacre_gradients(loss, (nacre_tensor *[]){x, w, c}, 3, grads) == NACRE_OK;
    nacre_output(loss);
    for (int i = 0; i < 3 && ran; i++) nacre_output(grads[i]);
    ran = ran && nacre_run(graph) == NACRE_OK;
    nacre_tensor *const wanted[] = {loss, grads[0], grads[1], grads[2]};
    for (int i = 0; i < 4 && ran; i++) {
        const int64_t count = nacre_tensor_count(wanted[i]);
        ran = nacre_read(wanted[i], results, (size_t)count * sizeof(float)) == NACRE_OK;
        results += count;
    }
    if (ran && device == NACRE_DEVICE_CPU) nacre_plan_visit(graph, complain_of_reference, (void *)(uintptr_t)name);
    if (!ran) NC_COMPLAIN("%s", nacre_message(context));
    nacre_graph_destroy(graph);
    nacre_context_destroy(context);
    return ran;
}

static void check_between(const char *name, layer *middle)
{
    enum { INPUTS = BATCH * CHANNELS * SIDE * SIDE, RESULTS = 1 + INPUTS + WEIGHTS + CHANNELS };
    static float x[INPUTS], w[WEIGHTS], got[RESULTS], expected[RESULTS];
    uint64_t state = 1;
    for (int i = 0; i < INPUTS + WEIGHTS; i++) {
        state = state * 6364136223846793005u + 1442695040888963407u;
        *(i < INPUTS ? &x[i] : &w[i - INPUTS]) = (float)(state >> 40) * 0x1p-23f - 1;
    }
    if (!run_between(name, middle, NACRE_DEVICE_CPU, x, w, got) ||
        !run_between(name, middle, NACRE_DEVICE_REFERENCE, x, w, expected))
        return;
    double worst = 0, largest = 0;
    for (int i = 0; i < RESULTS; i++) {
        if (fabs(expected[i]) > largest) largest = fabs(expected[i]);
        const double error = fabs((double)got[i] - (double)expected[i]);
        if (!(error <= worst)) worst = error;
    }
    if (!(worst <= 1e-5 * largest)) NC_COMPLAIN("%s: off by %g of %g", name, worst, largest);
}

static void channels_last(void)
{
#define CHECK(middle) check_between(#middle, middle)
    CHECK(normalise);
    CHECK(rectify);
    CHECK(add_itself);
    CHECK(pool_largest);
    CHECK(pool_overlapping);
    CHECK(pool_average);
    CHECK(subtract_mean);
    CHECK(subtract_channel_mean);
    CHECK(softmax_of_channels);
    CHECK(softmax_of_rows);
    CHECK(groups);
#undef CHECK
}

int main(void)
{
    NC_RUN(larger_cases);
    NC_RUN(channels_last);
    return nc_report();
}

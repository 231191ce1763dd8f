/* Every kernel of convolutions, forward and both gradients, at every instruction set, against plain loops in double:
 * of f32 numbers, and of 16-bit factors with f32 and with 16-bit results, as mixed precision has them. */
#include "raw.h"

#include <nacre/backend.h>

#include "cpu/conv.h"

static nacre_context *contexts[2]; /* of one thread and of three */

enum mode {
    F32,
    MIXED,  /* bf16 factors, f32 results, bias and residual */
    ROUNDED /* bf16 factors and results, no residual */
};

typedef struct arrays {
    int64_t x_count, y_count, w_count;
    float *x, *w, *y, *bias, *residual;
    double *y_sum, *x_sum, *w_sum; /* what forward, the input's and the weights' gradient should be */
} arrays;

static int64_t input_index(const nc_conv *c, int64_t n, int64_t i, int64_t j, int64_t channel)
{
    return ((n * c->in_channels + channel) * c->in[0] + i) * c->in[1] + j;
}

/* Numbers that factors hold: 16 bits of f32 are a bf16 number. */
static float *random_floats(enum mode mode, int64_t count, uint64_t seed)
{
    float *values = nc_test_memory((size_t)count * sizeof *values);
    nc_fill_random(values, count, seed);
    for (int64_t i = 0; i < count && mode != F32; i++) {
        uint32_t bits;
        memcpy(&bits, &values[i], sizeof bits);
        bits &= 0xffff0000u;
        memcpy(&values[i], &bits, sizeof bits);
    }
    return values;
}

/* One multiply-add of the definition feeds all three results: y += x w, dx += dy w, dw += x dy (dy is `a->y`). */
static void accumulate(const nc_conv *c, arrays *a, int64_t n, int64_t i, int64_t j, int64_t o)
{
    const int64_t inputs = c->in_channels / c->groups, group = o / (c->out_channels / c->groups);
    const int64_t y = ((n * c->out_channels + o) * c->out[0] + i) * c->out[1] + j;
    for (int64_t k = 0; k < c->kernel[0]; k++)
        for (int64_t l = 0; l < c->kernel[1]; l++) {
            const int64_t row = i * c->stride[0] + k * c->dilation[0] - c->pad[0];
            const int64_t column = j * c->stride[1] + l * c->dilation[1] - c->pad[1];
            if (row < 0 || row >= c->in[0] || column < 0 || column >= c->in[1]) continue;
            for (int64_t channel = 0; channel < inputs; channel++) {
                const int64_t x = input_index(c, n, row, column, group * inputs + channel);
                const int64_t w = ((o * inputs + channel) * c->kernel[0] + k) * c->kernel[1] + l;
                a->y_sum[y] += (double)a->x[x] * a->w[w];
                a->x_sum[x] += (double)a->y[y] * a->w[w];
                a->w_sum[w] += (double)a->x[x] * a->y[y];
            }
        }
}

static arrays make_arrays(const nc_conv *c, enum mode mode)
{
    arrays a = {.x_count = c->batch * c->in[0] * c->in[1] * c->in_channels,
                .y_count = c->batch * c->out[0] * c->out[1] * c->out_channels,
                .w_count = c->out_channels * c->in_channels / c->groups * c->kernel[0] * c->kernel[1]};
    a.x = random_floats(mode, a.x_count, 1);
    a.w = random_floats(mode, a.w_count, 2);
    a.y = random_floats(mode, a.y_count, 3);
    a.bias = random_floats(mode, c->in_channels + c->out_channels, 4);
    if (mode != ROUNDED) a.residual = random_floats(mode, a.x_count + a.y_count, 5);
    a.x_sum = calloc((size_t)a.x_count, sizeof *a.x_sum);
    a.y_sum = calloc((size_t)a.y_count, sizeof *a.y_sum);
    a.w_sum = calloc((size_t)a.w_count, sizeof *a.w_sum);
    for (int64_t n = 0; n < c->batch; n++)
        for (int64_t i = 0; i < c->out[0]; i++)
            for (int64_t j = 0; j < c->out[1]; j++)
                for (int64_t o = 0; o < c->out_channels; o++) accumulate(c, &a, n, i, j, o);
    return a;
}

static void free_arrays(arrays *a)
{
    void *const blocks[] = {a->x, a->w, a->y, a->bias, a->residual, a->x_sum, a->y_sum, a->w_sum};
    for (size_t i = 0; i < sizeof blocks / sizeof *blocks; i++) free(blocks[i]);
}

/* Sums of up to a few thousand products of numbers in [-1, 1]: rounding grows like a random walk, and Winograd's
 * transforms (the derivation in winograd_body.h) cost at most another digit. Factors of 16 bits are what they were and
 * results stay f32, so nothing more is allowed there; rounded ones may be half a unit of their eight bits off. */
static const double TOLERANCE = 5e-5, ROUNDED_TOLERANCE = 0x1p-8 + 5e-5;

static void compare(const char *variant, const nc_conv *c, enum mode mode, const float *got, const double *sums,
                    int64_t count, const arrays *epilogue, double ceiling)
{
    const int64_t pixels = c->out[0] * c->out[1];
    double worst = 0;
    for (int64_t i = 0; i < count; i++) {
        double expected = sums[i];
        if (epilogue) {
            expected += (double)epilogue->bias[i / pixels % c->out_channels];
            if (epilogue->residual) expected += epilogue->residual[i];
            expected = fmin(fmax(expected, 0), ceiling);
        }
        const double error = fabs(got[i] - expected) / (1 + fabs(expected));
        if (!(error <= worst)) worst = error;
    }
    if (!(worst <= (mode == ROUNDED ? ROUNDED_TOLERANCE : TOLERANCE)))
        NC_COMPLAIN("%s: %dx%dx%dx%d -> %dx%dx%d kernel %dx%d stride %dx%d dilation %dx%d pad %dx%d "
                    "groups %d: off by %g",
                    variant, (int)c->batch, (int)c->in_channels, (int)c->in[0], (int)c->in[1], (int)c->out_channels,
                    (int)c->out[0], (int)c->out[1], (int)c->kernel[0], (int)c->kernel[1], (int)c->stride[0],
                    (int)c->stride[1], (int)c->dilation[0], (int)c->dilation[1], (int)c->pad[0], (int)c->pad[1],
                    (int)c->groups, worst);
}

typedef struct search {
    const char *op, *variant;
    bool taken;
} search;

static void look(void *user, const nacre_plan_step *step)
{
    search *wanted = user;
    wanted->taken |= !strcmp(step->op, wanted->op) && !strcmp(step->variant, wanted->variant);
}

static nacre_tensor *feed(nacre_graph *graph, const char *name, nacre_shape shape, const float *data)
{
    nacre_tensor *x = nacre_input(graph, name, NACRE_F32, shape);
    nacre_feed(x, data);
    return x;
}

/* What the operation is called with, after its operands: stride, padding, dilation, groups and its own list. */
static void set_attributes(const nacre_op *op, const nc_conv *c, int64_t *words)
{
    const char *const own = !strcmp(op->name, "conv_backward_data") ? "size" : "kernel";
    nacre_op_attribute_defaults(op, words);
    for (int i = 0; i < 2; i++) {
        const int64_t reach = (c->kernel[i] - 1) * c->dilation[i] + 1;
        const int64_t after = (c->out[i] - 1) * c->stride[i] + reach - c->in[i] - c->pad[i];
        words[NC_WINDOW_STRIDE] = words[NC_WINDOW_DILATION] = 2;
        words[NC_WINDOW_PADDING] = 4;
        words[NC_WINDOW_STRIDE + 1 + i] = c->stride[i];
        words[NC_WINDOW_DILATION + 1 + i] = c->dilation[i];
        words[NC_WINDOW_PADDING + 1 + i] = c->pad[i];
        words[NC_WINDOW_PADDING + 3 + i] = after;
        const int list = nacre_op_attribute_find(op, own);
        if (list < 0) continue;
        int64_t *sizes = words + nacre_op_attribute_offset(op, list);
        sizes[0] = 2;
        sizes[1 + i] = !strcmp(own, "size") ? c->in[i] : c->kernel[i];
    }
    words[NC_CONV_GROUPS] = c->groups;
}

static void check_variant(nacre_context *context, const nc_conv *c, const arrays *a, enum mode mode, const nacre_op *op,
                          const char *variant)
{
    const bool forward = !strcmp(op->name, "conv"), data = !strcmp(op->name, "conv_backward_data");
    const nacre_shape x_shape = NACRE_SHAPE(c->batch, c->in_channels, c->in[0], c->in[1]);
    const nacre_shape y_shape = NACRE_SHAPE(c->batch, c->out_channels, c->out[0], c->out[1]);
    const nacre_shape w_shape = NACRE_SHAPE(c->out_channels, c->in_channels / c->groups, c->kernel[0], c->kernel[1]);
    int64_t words[NACRE_MAX_ATTRIBUTE_WORDS];
    nacre_graph *graph = nacre_graph_create(context);
    nacre_tensor *operands[4];
    nacre_graph_set_precision(graph, mode == F32 ? NACRE_F32 : NACRE_BF16);
    set_attributes(op, c, words);
    operands[0] = data ? feed(graph, "dy", y_shape, a->y) : feed(graph, "x", x_shape, a->x);
    operands[1] = forward || data ? feed(graph, "w", w_shape, a->w) : feed(graph, "dy", y_shape, a->y);
    if (forward) {
        operands[2] = feed(graph, "bias", NACRE_SHAPE(c->out_channels), a->bias);
        operands[3] = a->residual ? feed(graph, "residual", y_shape, a->residual) : NULL;
        words[NC_CONV_ACTIVATION] = strstr(variant, "im2col") ? NC_CONV_RELU : NC_CONV_RELU6;
    }
    nacre_tensor *result = nacre_apply(graph, op, operands, forward ? 4 : 2, words);
    if (mode == ROUNDED) result = nacre_neg(result); /* which reads 16 bits */
    nacre_output(result);
    search wanted = {op->name, variant, false};
    nacre_force_variant(context, op->name, variant);
    NC_CHECK_INT(nacre_plan_visit(graph, look, &wanted), NACRE_OK);
    if (wanted.taken) {
        const int64_t count = nacre_tensor_count(result);
        float *got = nc_test_memory((size_t)count * sizeof *got);
        NC_CHECK_INT(nacre_run(graph), NACRE_OK);
        NC_CHECK_INT(nacre_read(result, got, (size_t)count * sizeof *got), NACRE_OK);
        for (int64_t i = 0; i < count && mode == ROUNDED; i++) got[i] = -got[i];
        compare(variant, c, mode, got,
                forward ? a->y_sum
                : data  ? a->x_sum
                        : a->w_sum,
                count, forward ? a : NULL, words[NC_CONV_ACTIVATION] == NC_CONV_RELU6 ? 6 : INFINITY);
        free(got);
    }
    nacre_graph_destroy(graph);
}

/* One kernel leaves 16 bits only. */
static bool computes(const char *variant, enum mode mode)
{
    return !strstr(variant, "f64") && (mode != MIXED || !strstr(variant, "direct_bf16"));
}

static void check_in(const nc_conv *c, enum mode mode)
{
    arrays a = make_arrays(c, mode);
    static const char *const names[] = {"conv", "conv_backward_data", "conv_backward_weight"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        for (int t = 0; t < 2; t++) {
            const nacre_op *op = nacre_op_find(names[i]);
            const nacre_kernel *kernel;
            for (int k = 0; (kernel = nacre_kernel_at(contexts[t], op, k)); k++)
                if (computes(kernel->variant, mode)) check_variant(contexts[t], c, &a, mode, op, kernel->variant);
        }
    free_arrays(&a);
}

static void check(nc_conv c)
{
    if (c.groups == 0) c.groups = 1;
    for (int i = 0; i < 2; i++) {
        if (c.stride[i] == 0) c.stride[i] = 1;
        if (c.dilation[i] == 0) c.dilation[i] = 1;
        if (c.out[i] == 0) /* as much padding after as before */
            c.out[i] = (c.in[i] + 2 * c.pad[i] - (c.kernel[i] - 1) * c.dilation[i] - 1) / c.stride[i] + 1;
    }
    check_in(&c, F32);
    check_in(&c, MIXED);
    check_in(&c, ROUNDED);
}

static void layers_of_networks(void)
{
    check((nc_conv){.batch = 3, .in_channels = 1, .out_channels = 32, .in = {28, 28}, .kernel = {3, 3}, .pad = {1, 1}});
    check(
        (nc_conv){.batch = 2, .in_channels = 32, .out_channels = 64, .in = {28, 28}, .kernel = {3, 3}, .pad = {1, 1}});
    check(
        (nc_conv){.batch = 2, .in_channels = 16, .out_channels = 16, .in = {32, 32}, .kernel = {3, 3}, .pad = {1, 1}});
    check((nc_conv){.batch = 5, .in_channels = 64, .out_channels = 64, .in = {8, 8}, .kernel = {3, 3}, .pad = {1, 1}});
    check((nc_conv){.batch = 2,
                    .in_channels = 16,
                    .out_channels = 32,
                    .in = {32, 32},
                    .kernel = {3, 3},
                    .pad = {1, 1},
                    .stride = {2, 2}});
    check((nc_conv){.batch = 1,
                    .in_channels = 3,
                    .out_channels = 64,
                    .in = {40, 40},
                    .kernel = {7, 7},
                    .pad = {3, 3},
                    .stride = {2, 2}});
}

static void odd_shapes(void)
{
    check((nc_conv){.batch = 1, .in_channels = 1, .out_channels = 1, .in = {1, 1}, .kernel = {1, 1}});
    check((nc_conv){.batch = 1, .in_channels = 5, .out_channels = 37, .in = {9, 17}, .kernel = {2, 4}});
    check((nc_conv){.batch = 2, .in_channels = 7, .out_channels = 10, .in = {5, 6}, .kernel = {5, 1}, .pad = {2, 0}});
    check((nc_conv){.batch = 1, .in_channels = 33, .out_channels = 3, .in = {4, 50}, .kernel = {1, 5}, .pad = {0, 4}});
    check((nc_conv){.batch = 2, .in_channels = 4, .out_channels = 40, .in = {3, 3}, .kernel = {5, 5}, .pad = {2, 2}});
    check((nc_conv){.batch = 1, .in_channels = 2, .out_channels = 3, .in = {4, 4}, .kernel = {3, 3}, .pad = {5, 5}});
}

static void strides_dilations_groups(void)
{
    for (int stride = 1; stride <= 3; stride++)
        for (int dilation = 1; dilation <= 2; dilation++)
            for (int groups = 1; groups <= 3; groups++)
                for (int kernel = 1; kernel <= 4; kernel += 3)
                    check((nc_conv){.batch = 2,
                                    .in_channels = 6 * groups,
                                    .out_channels = 5 * groups,
                                    .in = {13, 11},
                                    .kernel = {kernel, 2},
                                    .pad = {1, groups - 1},
                                    .stride = {stride, 4 - stride},
                                    .dilation = {dilation, 3 - dilation},
                                    .groups = groups});
}

static void padding_only_after(void)
{
    check((nc_conv){.batch = 2, .in_channels = 3, .out_channels = 8, .in = {6, 6}, .out = {6, 6}, .kernel = {3, 3}});
}

/* Channels that fill vectors, panels and slices of the inner dimension and leave a rest of each. */
static void many_channels(void)
{
    check((nc_conv){.batch = 2, .in_channels = 70, .out_channels = 130, .in = {9, 6}, .kernel = {3, 3}, .pad = {1, 1}});
    check(
        (nc_conv){.batch = 1, .in_channels = 130, .out_channels = 70, .in = {5, 14}, .kernel = {3, 3}, .pad = {1, 1}});
    check((nc_conv){.batch = 3, .in_channels = 300, .out_channels = 40, .in = {7, 7}, .kernel = {1, 1}});
    check((nc_conv){
        .batch = 2, .in_channels = 48, .out_channels = 300, .in = {9, 8}, .kernel = {1, 1}, .stride = {2, 2}});
    check((nc_conv){.batch = 2,
                    .in_channels = 48,
                    .out_channels = 65,
                    .in = {8, 8},
                    .kernel = {4, 4},
                    .pad = {1, 1},
                    .stride = {2, 2}});
}

/* Images halved: odd and even sizes, every padding, few tiles of many channels and many of few. */
static void halved(void)
{
    for (int pad = 0; pad <= 3; pad++)
        check((nc_conv){.batch = 3,
                        .in_channels = 5 + 16 * pad,
                        .out_channels = 37 - 9 * pad,
                        .in = {9 + pad, 20 - pad},
                        .kernel = {4, 4},
                        .pad = {pad, 3 - pad},
                        .stride = {2, 2}});
    check((nc_conv){.batch = 2,
                    .in_channels = 130,
                    .out_channels = 150,
                    .in = {8, 8},
                    .kernel = {4, 4},
                    .pad = {1, 1},
                    .stride = {2, 2}});
}

static void one_channel_per_group(void)
{
    for (int stride = 1; stride <= 2; stride++)
        for (int kernel = 3; kernel <= 5; kernel += 2)
            for (int channels = 5; channels <= 35; channels += 15)
                check((nc_conv){.batch = 2,
                                .in_channels = channels,
                                .out_channels = channels,
                                .groups = channels,
                                .in = {9, 8},
                                .kernel = {kernel, kernel},
                                .pad = {kernel / 2, kernel / 2},
                                .stride = {stride, stride}});
}

int main(void)
{
    for (int t = 0; t < 2; t++) contexts[t] = nacre_context_create(&(nacre_context_options){.threads = 1 + 2 * t});
    NC_RUN(layers_of_networks);
    NC_RUN(odd_shapes);
    NC_RUN(strides_dilations_groups);
    NC_RUN(padding_only_after);
    NC_RUN(many_channels);
    NC_RUN(halved);
    NC_RUN(one_channel_per_group);
    for (int t = 0; t < 2; t++) nacre_context_destroy(contexts[t]);
    return nc_report();
}

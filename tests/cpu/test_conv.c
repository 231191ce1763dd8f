/* Direct convolutions of every instruction set, forward and both gradients, against plain loops in double. */
#include "raw.h"

#include "cpu/conv.h"

#define FUNCTIONS(suffix)                                                                                              \
    {                                                                                                                  \
        nc_conv_forward_workspace_##suffix, nc_conv_forward_##suffix, nc_conv_backward_data_workspace_##suffix,        \
            nc_conv_backward_data_##suffix, nc_conv_backward_weights_workspace_##suffix,                               \
            nc_conv_backward_weights_##suffix                                                                          \
    }
static const struct functions {
    size_t (*forward_workspace)(const nc_conv *, int);
    void (*forward)(const nc_conv *, const float *, const float *, float *, const nc_conv_epilogue *, void *,
                    nacre_team *);
    size_t (*data_workspace)(const nc_conv *, int);
    void (*data)(const nc_conv *, const float *, const float *, float *, const nc_conv_epilogue *, void *,
                 nacre_team *);
    size_t (*weights_workspace)(const nc_conv *, int);
    void (*weights)(const nc_conv *, const float *, const float *, float *, void *, nacre_team *);
} functions[] = {FUNCTIONS(base),
#if defined(__x86_64__)
                 FUNCTIONS(avx2), FUNCTIONS(avx512)
#endif
};

static nacre_context *context;
static nacre_team *teams[2];

typedef struct arrays {
    int64_t x_count, y_count, w_count;
    float *x, *w, *y, *bias, *residual;
    double *y_sum, *x_sum, *w_sum; /* what forward, the input's and the weights' gradient should be */
} arrays;

static int64_t input_index(const nc_conv *c, int64_t n, int64_t i, int64_t j, int64_t channel)
{
    return ((n * c->in[0] + i) * c->in[1] + j) * c->in_channels + channel;
}

static float *random_floats(int64_t count, uint64_t seed)
{
    float *values = nc_test_memory((size_t)count * sizeof *values);
    nc_fill_random(values, count, seed);
    return values;
}

/* One multiply-add of the definition feeds all three results: y += x w, dx += dy w, dw += x dy (dy is `a->y`). */
static void accumulate(const nc_conv *c, arrays *a, int64_t n, int64_t i, int64_t j, int64_t o)
{
    const int64_t inputs = c->in_channels / c->groups, group = o / (c->out_channels / c->groups);
    const int64_t y = ((n * c->out[0] + i) * c->out[1] + j) * c->out_channels + o;
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

static arrays make_arrays(const nc_conv *c)
{
    arrays a = {.x_count = c->batch * c->in[0] * c->in[1] * c->in_channels,
                .y_count = c->batch * c->out[0] * c->out[1] * c->out_channels,
                .w_count = c->out_channels * c->in_channels / c->groups * c->kernel[0] * c->kernel[1]};
    a.x = random_floats(a.x_count, 1);
    a.w = random_floats(a.w_count, 2);
    a.y = random_floats(a.y_count, 3);
    a.bias = random_floats(c->in_channels + c->out_channels, 4);
    a.residual = random_floats(a.x_count + a.y_count, 5);
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

static void compare(const char *what, int level, const nc_conv *c, const float *got, const double *sums, int64_t count,
                    int64_t channels, const nc_conv_epilogue *epilogue)
{
    double worst = 0;
    for (int64_t i = 0; i < count; i++) {
        double expected = sums[i];
        if (epilogue) {
            expected += (double)epilogue->bias[i % channels] + epilogue->residual[i];
            if (expected < 0) expected = 0;
        }
        const double error = fabs(got[i] - expected) / (1 + fabs(expected));
        if (!(error <= worst)) worst = error;
    }
    if (!(worst <= 5e-5)) /* sums of up to two thousand products */
        NC_COMPLAIN("%s level %d: %dx%dx%dx%d -> %dx%dx%d kernel %dx%d stride %dx%d dilation %dx%d pad %dx%d "
                    "groups %d: off by %g",
                    what, level, (int)c->batch, (int)c->in_channels, (int)c->in[0], (int)c->in[1], (int)c->out_channels,
                    (int)c->out[0], (int)c->out[1], (int)c->kernel[0], (int)c->kernel[1], (int)c->stride[0],
                    (int)c->stride[1], (int)c->dilation[0], (int)c->dilation[1], (int)c->pad[0], (int)c->pad[1],
                    (int)c->groups, worst);
}

static void check_level(const nc_conv *c, const arrays *a, int level, nacre_team *team, bool with_epilogue)
{
    const struct functions *f = &functions[level];
    const int threads = nacre_team_size(team);
    const nc_conv_epilogue parts = {.bias = a->bias, .residual = a->residual, .relu = true};
    const nc_conv_epilogue *epilogue = with_epilogue ? &parts : NULL;
    float *result = nc_test_memory((size_t)(a->x_count + a->y_count + a->w_count) * sizeof *result);

    void *workspace = nc_test_memory(f->forward_workspace(c, threads));
    f->forward(c, a->x, a->w, result, epilogue, workspace, team);
    compare("forward", level, c, result, a->y_sum, a->y_count, c->out_channels, epilogue);
    free(workspace);

    workspace = nc_test_memory(f->data_workspace(c, threads));
    f->data(c, a->y, a->w, result, epilogue, workspace, team);
    compare("backward_data", level, c, result, a->x_sum, a->x_count, c->in_channels, epilogue);
    free(workspace);

    workspace = nc_test_memory(f->weights_workspace(c, threads));
    f->weights(c, a->x, a->y, result, workspace, team);
    compare("backward_weights", level, c, result, a->w_sum, a->w_count, 1, NULL);
    free(workspace);
    free(result);
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
    arrays a = make_arrays(&c);
    for (int level = 0; level < nc_isa_levels(); level++)
        for (int t = 0; t < 2; t++) check_level(&c, &a, level, teams[t], t == 0);
    free_arrays(&a);
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

int main(void)
{
    context = nacre_context_create(&(nacre_context_options){.threads = 1});
    teams[0] = nc_team_create(context, 1);
    teams[1] = nc_team_create(context, 3);
    NC_RUN(layers_of_networks);
    NC_RUN(odd_shapes);
    NC_RUN(strides_dilations_groups);
    NC_RUN(padding_only_after);
    nc_team_destroy(teams[0]);
    nc_team_destroy(teams[1]);
    nacre_context_destroy(context);
    return nc_report();
}

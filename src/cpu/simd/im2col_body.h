/* cpu/simd/im2col_body.h - convolutions of any kind as matrix products, in the vocabulary of real.h: one to three
 * spatial axes, groups, strides, dilations, plain memory order.
 *
 * The columns of a few lines of output positions are laid out as a matrix [input channel and tap][position] and
 * multiplied at once, so the matrix stays in the second-level cache. Tasks never write to the same place: they are
 * lines of the output, or blocks of input channels for the two gradients. */

enum {
#ifdef NACRE_STRESS
    COLUMNS = 64,
#else
    COLUMNS = 1 << 16, /* elements of the matrix */
#endif
    AXES = NC_WINDOW_AXES
};

typedef struct lowering {
    nc_conv_node node;
    nc_window window; /* of three axes: missing ones in front have size 1 */
    int64_t in[AXES], out[AXES];
    int64_t batch, groups, in_channels, out_channels; /* channels of one group */
    int64_t taps, in_pixels, out_pixels, lines;       /* lines of the innermost axis of an output image */
    int64_t chunk;                                    /* lines of one matrix */
    int64_t block, blocks;                            /* input channels of one task of a gradient */
    const REAL *x, *w, *y;
    REAL *result;
    char *workspace;
    size_t thread_bytes;
} lowering;

static lowering describe(const nc_conv_node *node)
{
    lowering l = {.node = *node, .groups = node->groups, .batch = node->x.shape.dims[0]};
    const int missing = AXES - node->window.axes;
    l.window.axes = AXES;
    for (int i = 0; i < AXES; i++) {
        const int own = i - missing;
        l.window.kernel[i] = own < 0 ? 1 : node->window.kernel[own];
        l.window.stride[i] = own < 0 ? 1 : node->window.stride[own];
        l.window.dilation[i] = own < 0 ? 1 : node->window.dilation[own];
        l.window.begin[i] = own < 0 ? 0 : node->window.begin[own];
        l.in[i] = own < 0 ? 1 : node->x.shape.dims[2 + own];
        l.out[i] = own < 0 ? 1 : node->y.shape.dims[2 + own];
    }
    l.in_channels = node->x.shape.dims[1] / l.groups;
    l.out_channels = node->y.shape.dims[1] / l.groups;
    l.taps = l.window.kernel[0] * l.window.kernel[1] * l.window.kernel[2];
    l.in_pixels = l.in[0] * l.in[1] * l.in[2];
    l.lines = l.out[0] * l.out[1];
    l.out_pixels = l.lines * l.out[2];
    l.x = node->x.data;
    l.w = node->w.data;
    l.y = node->y.data;
    return l;
}

/* Blocks of input channels small enough for some lines to fit, and enough of them to share among threads. */
static void cut(lowering *l, int64_t channels)
{
    l->block = channels;
    l->blocks = nc_ceil_div(l->in_channels, nc_most(channels, 1));
    const int64_t line = nc_most(channels * l->taps * l->out[2], 1);
    l->chunk = nc_most(nc_least(COLUMNS / line, l->lines), 1);
}

static nc_matmul product(const lowering *l)
{
    return (nc_matmul){.m = l->out_channels, .n = l->chunk * l->out[2], .k = l->block * l->taps};
}

static size_t columns_bytes(const lowering *l)
{
    return (size_t)nc_round_up(l->block * l->taps * l->chunk * l->out[2], 64) * sizeof(REAL);
}

static void set_thread_bytes(lowering *l)
{
    const nc_matmul p = product(l);
    l->thread_bytes = columns_bytes(l) + (size_t)nc_round_up((int64_t)nc_isa_real(nc_matmul_workspace)(&p, 1), 64);
}

static int64_t groups_of_channels(const lowering *l)
{
    const int64_t size = nc_ceil_div(l->in_channels, 8);
    return nc_most(nc_least(size, COLUMNS / nc_most(l->taps * l->out[2], 1)), 1);
}

/* ---- the matrix of columns ------------------------------------------------------------------------------------------
 */

/* Output line `line` and tap `t`: the input line they meet, -1 in the padding. */
static int64_t input_line(const lowering *l, int64_t line, int64_t t)
{
    const nc_window *w = &l->window;
    const int64_t tap[2] = {t / w->kernel[2] / w->kernel[1], t / w->kernel[2] % w->kernel[1]};
    const int64_t at[2] = {line / l->out[1] * w->stride[0] - w->begin[0] + tap[0] * w->dilation[0],
                           line % l->out[1] * w->stride[1] - w->begin[1] + tap[1] * w->dilation[1]};
    return at[0] < 0 || at[0] >= l->in[0] || at[1] < 0 || at[1] >= l->in[1] ? -1 : at[0] * l->in[1] + at[1];
}

/* Positions o of a line with 0 <= o * stride + first < size. */
static nc_range inside(int64_t first, int64_t stride, int64_t size, int64_t count)
{
    const int64_t begin = first < 0 ? nc_least(nc_ceil_div(-first, stride), count) : 0;
    const int64_t end = size > first ? nc_least(nc_ceil_div(size - first, stride), count) : 0;
    return (nc_range){begin, nc_most(begin, end)};
}

static int64_t first_column(const lowering *l, int64_t t)
{
    return t % l->window.kernel[2] * l->window.dilation[2] - l->window.begin[2];
}

/* columns[channel, tap][line, position] of channels [channel, channel + count) of an image. */
static void gather_columns(const lowering *l, const REAL *image, int64_t count, nc_range lines, REAL *columns)
{
    const int64_t width = l->out[2], stride = l->window.stride[2];
    for (int64_t c = 0; c < count; c++, image += l->in_pixels)
        for (int64_t t = 0; t < l->taps; t++) {
            const int64_t first = first_column(l, t);
            const nc_range in = inside(first, stride, l->in[2], width);
            for (int64_t line = lines.begin; line < lines.end; line++, columns += width) {
                const int64_t from = input_line(l, line, t);
                if (from < 0) {
                    memset(columns, 0, (size_t)width * sizeof(REAL));
                    continue;
                }
                const REAL *x = image + from * l->in[2] + first;
                memset(columns, 0, (size_t)in.begin * sizeof(REAL));
                for (int64_t o = in.begin; o < in.end; o++) columns[o] = x[o * stride];
                memset(columns + in.end, 0, (size_t)(width - in.end) * sizeof(REAL));
            }
        }
}

/* The other way round: adds the columns up where they came from. */
static void scatter_columns(const lowering *l, REAL *image, int64_t count, nc_range lines, const REAL *columns)
{
    const int64_t width = l->out[2], stride = l->window.stride[2];
    for (int64_t c = 0; c < count; c++, image += l->in_pixels)
        for (int64_t t = 0; t < l->taps; t++) {
            const int64_t first = first_column(l, t);
            const nc_range in = inside(first, stride, l->in[2], width);
            for (int64_t line = lines.begin; line < lines.end; line++, columns += width) {
                const int64_t to = input_line(l, line, t);
                for (int64_t o = in.begin; o < in.end && to >= 0; o++)
                    image[to * l->in[2] + first + o * stride] += columns[o];
            }
        }
}

static nc_range chunk_of(const lowering *l, int64_t index)
{
    return (nc_range){index * l->chunk, nc_least((index + 1) * l->chunk, l->lines)};
}

static REAL *thread_columns(const lowering *l, int thread)
{
    return (REAL *)(void *)(l->workspace + (size_t)thread * l->thread_bytes);
}

static void multiply(const lowering *l, const nc_matmul *p, int thread)
{
    nc_isa_real(nc_matmul)(p, (char *)thread_columns(l, thread) + columns_bytes(l), NULL);
}

/* ---- forward: y[o][position] = w[o][channel, tap] columns
 * ------------------------------------------------------------- */

static void forward_task(void *user, int64_t index, int thread)
{
    const lowering *l = user;
    const int64_t chunks = nc_ceil_div(l->lines, l->chunk), image = index / chunks / l->groups;
    const int64_t group = index / chunks % l->groups, depth = l->in_channels * l->taps;
    const nc_range lines = chunk_of(l, index % chunks);
    const int64_t out_channel = group * l->out_channels;
    const int64_t to = (image * l->groups * l->out_channels + out_channel) * l->out_pixels + lines.begin * l->out[2];
    REAL *columns = thread_columns(l, thread);
    gather_columns(l, l->x + (image * l->groups + group) * l->in_channels * l->in_pixels, l->in_channels, lines,
                   columns);
    nc_matmul p = product(l);
    p.n = (lines.end - lines.begin) * l->out[2];
    p.a = l->w + out_channel * depth;
    p.a_row = depth;
    p.a_column = 1;
    p.b = columns;
    p.b_row = p.n;
    p.b_column = 1;
    p.c = l->result + to;
    p.c_row = l->out_pixels;
    p.relu = l->node.relu;
    if (l->node.bias.data) p.row_bias = (const REAL *)l->node.bias.data + out_channel;
    if (l->node.residual.data) p.residual = (const REAL *)l->node.residual.data + to;
    multiply(l, &p, thread);
}

static void run_forward(lowering *l, nacre_team *team)
{
    l->result = l->node.y.data;
    nacre_parallel(team, l->batch * l->groups * nc_ceil_div(l->lines, l->chunk), forward_task, l);
}

/* ---- gradient of x: columns = w' dy, added up where they came from
 * ---------------------------------------------------- */

static void backward_data_task(void *user, int64_t index, int thread)
{
    const lowering *l = user;
    const int64_t block = index % l->blocks, group = index / l->blocks % l->groups;
    const int64_t image = index / l->blocks / l->groups, depth = l->in_channels * l->taps;
    const int64_t channel = block * l->block, channels = nc_least(l->in_channels - channel, l->block);
    const REAL *dy = l->y + (image * l->groups + group) * l->out_channels * l->out_pixels;
    REAL *dx = l->result + ((image * l->groups + group) * l->in_channels + channel) * l->in_pixels;
    REAL *columns = thread_columns(l, thread);
    memset(dx, 0, (size_t)(channels * l->in_pixels) * sizeof(REAL));
    for (int64_t i = 0; i * l->chunk < l->lines; i++) {
        const nc_range lines = chunk_of(l, i);
        nc_matmul p = {.m = channels * l->taps, .n = (lines.end - lines.begin) * l->out[2], .k = l->out_channels};
        p.a = l->w + group * l->out_channels * depth + channel * l->taps;
        p.a_row = 1;
        p.a_column = depth;
        p.b = dy + lines.begin * l->out[2];
        p.b_row = l->out_pixels;
        p.b_column = 1;
        p.c = columns;
        p.c_row = p.n;
        multiply(l, &p, thread);
        scatter_columns(l, dx, channels, lines, columns);
    }
}

static void run_backward_data(lowering *l, nacre_team *team)
{
    l->result = l->node.x.data;
    nacre_parallel(team, l->batch * l->groups * l->blocks, backward_data_task, l);
}

/* ---- gradient of w: dw[o][channel, tap] = sum over images of dy columns'
 * ---------------------------------------------- */

static void backward_weight_task(void *user, int64_t index, int thread)
{
    const lowering *l = user;
    const int64_t block = index % l->blocks, group = index / l->blocks, depth = l->in_channels * l->taps;
    const int64_t channel = block * l->block, channels = nc_least(l->in_channels - channel, l->block);
    REAL *columns = thread_columns(l, thread);
    nc_matmul p = {.m = l->out_channels, .n = channels * l->taps, .a = columns, .b = columns};
    p.c = l->result + group * l->out_channels * depth + channel * l->taps;
    p.c_row = depth;
    multiply(l, &p, thread); /* zeros: of a and b nothing is read yet */
    p.accumulate = true;
    for (int64_t image = 0; image < l->batch; image++)
        for (int64_t i = 0; i * l->chunk < l->lines; i++) {
            const nc_range lines = chunk_of(l, i);
            const int64_t sample = image * l->groups + group;
            gather_columns(l, l->x + (sample * l->in_channels + channel) * l->in_pixels, channels, lines, columns);
            p.k = (lines.end - lines.begin) * l->out[2];
            p.a = l->y + sample * l->out_channels * l->out_pixels + lines.begin * l->out[2];
            p.a_row = l->out_pixels;
            p.a_column = 1;
            p.b = columns;
            p.b_row = 1;
            p.b_column = p.k;
            multiply(l, &p, thread);
        }
}

static void run_backward_weight(lowering *l, nacre_team *team)
{
    l->result = l->node.w.data;
    nacre_parallel(team, l->groups * l->blocks, backward_weight_task, l);
}

/* ---- as kernels
 * ------------------------------------------------------------------------------------------------------- */

static const char *refuse(const nacre_node_info *info)
{
    if (info->outputs[0].dtype != (sizeof(REAL) == 8 ? NACRE_F64 : NACRE_F32))
        return sizeof(REAL) == 8 ? "computes f64 only" : "computes f32 only";
    const bool forward = !strcmp(info->op->name, "conv");
    return forward && info->attributes[NC_CONV_ACTIVATION] > NC_CONV_RELU ? "ends with relu only" : NULL;
}

static lowering prepare(const nacre_op *op, const int64_t *attributes, const nacre_view *inputs, int input_count,
                        const nacre_view *output)
{
    const nc_conv_node node = nc_conv_node_read(op, attributes, inputs, input_count, output);
    lowering l = describe(&node);
    cut(&l, strcmp(op->name, "conv") ? groups_of_channels(&l) : l.in_channels);
    set_thread_bytes(&l);
    return l;
}

static size_t workspace(const nacre_node_info *info)
{
    return prepare(info->op, info->attributes, info->inputs, info->input_count, &info->outputs[0]).thread_bytes *
           (size_t)info->threads;
}

#define KERNEL(name, function)                                                                                         \
    static void function##_call(const nacre_call *call)                                                                \
    {                                                                                                                  \
        lowering l = prepare(call->op, call->attributes, call->inputs, call->input_count, &call->outputs[0]);          \
        l.workspace = call->workspace;                                                                                 \
        function(&l, call->team);                                                                                      \
    }                                                                                                                  \
    const nacre_kernel nc_isa_real(nc_##name##_im2col_kernel) = {.op = #name,                                          \
                                                                 .variant = "im2col_" REAL_NAME "_" NC_ISA_NAME,       \
                                                                 .can = refuse,                                        \
                                                                 .workspace = workspace,                               \
                                                                 .run = function##_call};
KERNEL(conv, run_forward)
KERNEL(conv_backward_data, run_backward_data)
KERNEL(conv_backward_weight, run_backward_weight)

/* cpu/simd/half_direct.c - convolutions of bf16 images of few channels, in pairs, without gathering patches.
 *
 * Rows of the input are copied once with zeros around them; from there register tiles read what a row of the kernel
 * meets, which lies side by side in memory, where it is: one tap for each row of the kernel, whose weights are packed
 * by themselves. An odd half at a row's end is paired with what follows it, times zero: an infinity there gives NaN, as
 * one anywhere in a tile does with Winograd's. With few filters gathering patches costs as much as the products. The
 * gradient of the input, of stride 1, is the same sum over the gradient of the result with the weights upside down. */
#include "cpu/conv.h"
#include "cpu/half_product.h"
#include "cpu/layout.h"
#include "cpu/share.h"
#include "cpu/simd/tile_bf16.h"

enum {
    X,
    W,
    LEAST_FILTERS = 16, /* a vector */
    FEW_CHANNELS = 24,  /* Winograd's algorithm is faster from there on */
    MOST_ROWS = 16,     /* of a kernel */
    PANEL = NC_TILE_COLUMNS,
#ifdef NACRE_STRESS
    SCRATCH = 1 << 9,
#else
    SCRATCH = 1 << 15, /* halves of copied rows that a task holds: two first-level caches */
#endif
};

/* A correlation: out[i, j] = sum over k, l of in[i * stride + k - pad, ...] b[k, l]. */
typedef struct rows {
    nc_half_product product; /* of patches with the kernel's first row: how it is packed, and what follows the sums */
    int64_t row_weights;     /* elements between rows of the kernel */
    int64_t batch, in[2], out[2], kernel[2], stride[2], pad[2];
    int64_t channels, pitch; /* of the input; halves of a copied row */
    int64_t task_rows, tasks;
    const uint16_t *x;
    const int32_t *packed;
    uint16_t *scratch;
} rows;

static int64_t input_rows(const rows *r, int64_t output_rows)
{
    return (output_rows - 1) * r->stride[0] + r->kernel[0];
}

/* What a row of the kernel takes, packed. */
static size_t kernel_row_bytes(const rows *r)
{
    return nc_isa(nc_half_packed_bytes)(&r->product, true);
}

static rows rows_of(const nacre_op *op, const nc_conv_node *node)
{
    const bool forward = !strcmp(op->name, "conv");
    const nc_conv conv = nc_conv_problem(node);
    const int64_t taps = conv.kernel[0] * conv.kernel[1];
    rows r = {.batch = conv.batch, .channels = forward ? conv.in_channels : conv.out_channels};
    for (int i = 0; i < 2; i++) {
        r.in[i] = forward ? conv.in[i] : conv.out[i];
        r.out[i] = forward ? conv.out[i] : conv.in[i];
        r.kernel[i] = conv.kernel[i];
        r.stride[i] = conv.stride[i];
        r.pad[i] = forward ? conv.pad[i] : conv.kernel[i] - 1 - conv.pad[i];
    }
    const nacre_view *y = forward ? &node->y : &node->x;
    const uint16_t *w = node->w.data;
    r.product = (nc_half_product){.n = forward ? conv.out_channels : conv.in_channels,
                                  .k = r.channels * r.kernel[1],
                                  .dtype = NACRE_BF16,
                                  .c_dtype = y->dtype,
                                  .c = y->data,
                                  .bias = node->bias.data,
                                  .residual = node->residual.data,
                                  .relu = node->relu,
                                  .ceiling = node->ceiling};
    if (forward) /* taps of a channel side by side, where tiles want the channels of a tap */
        r.product.b =
            (nc_half_matrix){.data = w, .line = r.channels * taps, .step = 1, .inner = r.channels, .inner_step = taps};
    else
        r.product.b = (nc_half_matrix){.data = w ? w + taps - 1 : NULL,
                                       .line = taps,
                                       .step = -1,
                                       .inner = r.channels,
                                       .inner_step = r.product.n * taps};
    r.row_weights = forward ? conv.kernel[1] : -conv.kernel[1];
    r.pitch = nc_round_up(nc_most((r.out[1] - 1) * r.stride[1] + r.kernel[1], 0) * r.channels, 2);
    r.x = forward ? node->x.data : node->y.data;
    const int64_t fit = (SCRATCH / nc_most(r.pitch, 1) - r.kernel[0]) / r.stride[0] + 1;
    r.task_rows = nc_least(nc_most(fit, 1), nc_most(r.out[0], 1));
    r.tasks = nc_ceil_div(r.out[0], r.task_rows);
    return r;
}

#if defined(NC_ISA_avx512)

/* Input rows from `first` on, with zeros where they or their columns lie outside. */
static void copy_rows(const rows *r, int64_t image, int64_t first, int64_t count, uint16_t *to)
{
    const int64_t width = r->in[1] * r->channels, before = nc_least(r->pad[1] * r->channels, r->pitch);
    const int64_t copied = nc_least(width, r->pitch - before);
    for (int64_t row = first; row < first + count; row++, to += r->pitch) {
        if (row < 0 || row >= r->in[0]) {
            memset(to, 0, (size_t)r->pitch * sizeof *to);
            continue;
        }
        memset(to, 0, (size_t)before * sizeof *to);
        memcpy(to + before, r->x + (image * r->in[0] + row) * width, (size_t)copied * sizeof *to);
        memset(to + before + copied, 0, (size_t)(r->pitch - before - copied) * sizeof *to);
    }
}

/* One row of the result against a panel of filters; `a` is where the first kernel row meets the input. */
static void multiply_row(const rows *r, const uint16_t *a, const nc_tap *taps, int64_t panel, int64_t row)
{
    const nc_half_product *p = &r->product;
    const int64_t parts = nc_ceil_div(r->out[1], NC_TILE_ROWS), first = panel * PANEL,
                  pixel = r->stride[1] * r->channels, steps = nc_ceil_div(p->k, 2);
    nc_rounded_tile rounded = {.tile = {.a_row = pixel / 2,
                                        .b = r->packed + panel * steps * PANEL,
                                        .b_step = PANEL,
                                        .taps = taps,
                                        .tap_count = r->kernel[0],
                                        .steps = steps,
                                        .c_row = p->n,
                                        .columns = nc_least(p->n - first, PANEL),
                                        .relu = p->relu,
                                        .ceiling = p->ceiling,
                                        .column_bias = p->bias ? (const float *)p->bias + first : NULL,
                                        .fetch_below = true}};
    for (int64_t part = 0; part < parts; part++) {
        const nc_range pixels = nc_share(r->out[1], 1, parts, part);
        const int64_t c = (row * r->out[1] + pixels.begin) * p->n + first, count = pixels.end - pixels.begin;
        rounded.tile.a = a + pixels.begin * pixel;
        rounded.tile.c = (uint16_t *)p->c + c;
        if (p->residual) rounded.tile.residual = (const uint16_t *)p->residual + c;
        nc_tiles_rounded[NC_TILE_STEPS_CONTIGUOUS][count - 1][rounded.tile.columns > NC_LANES](&rounded);
    }
}

static void run_rows(void *user, int64_t index, int thread)
{
    const rows *r = user;
    const int64_t image = index / r->tasks;
    const nc_range out = nc_share(r->out[0], 1, r->tasks, index % r->tasks);
    uint16_t *scratch = r->scratch + thread * input_rows(r, r->task_rows) * r->pitch;
    nc_tap taps[MOST_ROWS];
    for (int64_t k = 0; k < r->kernel[0]; k++)
        taps[k] = (nc_tap){k * r->pitch / 2, k * (int64_t)(kernel_row_bytes(r) / sizeof *r->packed)};
    copy_rows(r, image, out.begin * r->stride[0] - r->pad[0], input_rows(r, out.end - out.begin), scratch);
    for (int64_t panel = 0; panel < nc_ceil_div(r->product.n, PANEL); panel++)
        for (int64_t row = out.begin; row < out.end; row++)
            multiply_row(r, scratch + (row - out.begin) * r->stride[0] * r->pitch, taps, panel,
                         image * r->out[0] + row);
}

#endif

/* ---- as kernels -------------------------------------------------------------------------------------------------- */

static const char *refuse(const nacre_node_info *info)
{
    const char *reason = nc_pairs_refusal();
    if (reason) return reason;
    for (int i = 0; i < info->input_count; i++)
        if (info->inputs[i].shape.rank >= 0 && info->inputs[i].dtype != (i == 2 ? NACRE_F32 : NACRE_BF16))
            return "takes bf16 operands and an f32 bias only";
    if (info->outputs[0].dtype != NACRE_BF16) return "leaves bf16 only";
    nc_conv_node node;
    reason = nc_conv_ungrouped_refusal(info, &node);
    if (reason) return reason;
    const nc_conv conv = nc_conv_problem(&node);
    const rows r = rows_of(info->op, &node);
    for (int i = 0; i < 2; i++) {
        if (r.pad[i] < 0) return "takes padding within the kernel only";
        if (strcmp(info->op->name, "conv") && conv.stride[i] != 1) return "takes stride 1 only";
    }
    if (r.kernel[0] > MOST_ROWS) return "the kernel has too many rows";
    if (r.stride[1] * r.channels % 2) return "needs whole pairs between results";
    return r.product.n < LEAST_FILTERS ? "too few filters" : NULL;
}

static const char *slower(const nacre_node_info *info)
{
    const nc_conv_node node = nc_conv_node_of_info(info);
    const rows r = rows_of(info->op, &node);
    if (r.kernel[0] * r.kernel[1] == 1) return "there is nothing to gather";
    return r.channels >= FEW_CHANNELS && r.product.n >= FEW_CHANNELS ? "more channels are better gathered" : NULL;
}

static size_t prepared(const nacre_node_info *info)
{
    const nc_conv_node node = nc_conv_node_of_info(info);
    const rows r = rows_of(info->op, &node);
    return (size_t)r.kernel[0] * kernel_row_bytes(&r);
}

static void prepare(const nacre_call *call)
{
    const nc_conv_node node = nc_conv_node_of_call(call);
    const rows r = rows_of(call->op, &node);
    for (int64_t k = 0; k < r.kernel[0]; k++) {
        nc_half_product row = r.product;
        row.b.data = (const uint16_t *)row.b.data + k * r.row_weights;
        nc_isa(nc_half_pack)(&row, true, (char *)call->prepared + (size_t)k * kernel_row_bytes(&r), call->team);
    }
}

static size_t workspace(const nacre_node_info *info)
{
    const nc_conv_node node = nc_conv_node_of_info(info);
    const rows r = rows_of(info->op, &node);
    return sizeof(uint16_t) * (size_t)(info->threads * input_rows(&r, r.task_rows) * r.pitch);
}

static void run(const nacre_call *call)
{
#if defined(NC_ISA_avx512)
    const nc_conv_node node = nc_conv_node_of_call(call);
    rows r = rows_of(call->op, &node);
    r.packed = call->prepared;
    r.scratch = call->workspace;
    if (r.out[1] > 0) nacre_parallel(call->team, r.batch * r.tasks, run_rows, &r);
#else
    (void)call;
#endif
}

#define KERNEL(operation)                                                                                              \
    const nacre_kernel nc_isa(nc_##operation##_half_direct_kernel) = {.op = #operation,                                \
                                                                      .variant = "direct_bf16_" NC_ISA_NAME,           \
                                                                      .flags = NACRE_KERNEL_CHANNELS_LAST |            \
                                                                               NACRE_KERNEL_MIXED,                     \
                                                                      .can = refuse,                                   \
                                                                      .slower = slower,                                \
                                                                      .workspace = workspace,                          \
                                                                      .prepared = prepared,                            \
                                                                      .prepare = prepare,                              \
                                                                      .prepared_operand = W,                           \
                                                                      .run = run};
KERNEL(conv)
KERNEL(conv_backward_data)

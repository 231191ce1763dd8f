/* cpu/simd/half_conv.c - convolutions of bf16 images as products of pairs with f32 sums.
 *
 * Forward, a filter is a column of the weights and what it meets is a row that is gathered while it is packed
 * (half_product.h), so no patch is ever written out. The gradients are taken for 1x1 kernels only, which are plain
 * products of images as matrices: Winograd's algorithm in f32, with a quarter of the multiplications, is faster where
 * kernels are larger. */
#include "cpu/conv.h"
#include "cpu/half_product.h"
#include "cpu/layout.h"
#include "cpu/share.h"
#include "cpu/simd/half.h"

enum { X, W, ALIGNMENT = 64, LEAST_FILTERS = 16 };

static const char *refuse(const nacre_node_info *info)
{
    const char *reason = nc_pairs_refusal();
    if (reason) return reason;
    if (info->inputs[X].dtype != NACRE_BF16 || info->inputs[W].dtype != NACRE_BF16) return "takes bf16 factors only";
    nc_conv_node node;
    reason = nc_conv_ungrouped_refusal(info, &node);
    if (reason) return reason;
    return nc_conv_problem(&node).out_channels < LEAST_FILTERS ? "too few filters" : NULL;
}

static bool is_pointwise(const nc_conv *conv)
{
    for (int i = 0; i < 2; i++)
        if (conv->kernel[i] != 1 || conv->stride[i] != 1 || conv->pad[i] != 0 || conv->in[i] != conv->out[i])
            return false;
    return true;
}

static const char *refuse_gradient(const nacre_node_info *info)
{
    const char *reason = refuse(info);
    if (reason) return reason;
    const nc_conv_node node = nc_conv_node_of_info(info);
    const nc_conv conv = nc_conv_problem(&node);
    return is_pointwise(&conv) ? NULL : "f32 is faster but for 1x1 kernels";
}

/* ---- the products ------------------------------------------------------------------------------------------------ */

static nc_patches patches_of(const nc_conv *conv)
{
    nc_patches p = {.channels = conv->in_channels};
    for (int i = 0; i < 2; i++) {
        p.in[i] = conv->in[i];
        p.out[i] = conv->out[i];
        p.kernel[i] = conv->kernel[i];
        p.stride[i] = conv->stride[i];
        p.pad[i] = conv->pad[i];
    }
    return p;
}

/* A dense matrix of `columns` columns whose lines are rows (or, `across`, columns). */
static nc_half_matrix matrix(const void *data, int64_t columns, bool across)
{
    return (nc_half_matrix){.data = data, .line = across ? 1 : columns, .step = across ? columns : 1};
}

/* Positions by filters. */
static nc_half_product forward(const nc_conv_node *node, const nc_conv *conv, const nc_patches *patches)
{
    const int64_t taps = conv->kernel[0] * conv->kernel[1], channels = conv->in_channels;
    nc_half_product p = {.m = conv->batch * conv->out[0] * conv->out[1],
                         .n = conv->out_channels,
                         .k = channels * taps,
                         .a = {.data = node->x.data, .patches = patches},
                         .b = matrix(node->w.data, channels * taps, false),
                         .c = node->y.data,
                         .c_dtype = node->y.dtype,
                         .bias = node->bias.data,
                         .bias_dtype = node->bias.dtype,
                         .residual = node->residual.data,
                         .residual_dtype = node->residual.dtype,
                         .relu = node->relu,
                         .ceiling = node->ceiling};
    if (is_pointwise(conv)) p.a = matrix(node->x.data, channels, false);
    if (taps > 1) { /* weights have the taps of a channel side by side, patches the channels of a tap */
        p.b.inner = channels;
        p.b.inner_step = taps;
    }
    return p;
}

/* Positions by input channels: the filters are the steps. */
static nc_half_product backward_data(const nc_conv_node *node, const nc_conv *conv)
{
    return (nc_half_product){.m = conv->batch * conv->out[0] * conv->out[1],
                             .n = conv->in_channels,
                             .k = conv->out_channels,
                             .a = matrix(node->y.data, conv->out_channels, false),
                             .b = matrix(node->w.data, conv->in_channels, true),
                             .c = node->x.data,
                             .c_dtype = node->x.dtype};
}

/* Filters by input channels: the positions are the steps. */
static nc_half_product backward_weight(const nc_conv_node *node, const nc_conv *conv)
{
    return (nc_half_product){.m = conv->out_channels,
                             .n = conv->in_channels,
                             .k = conv->batch * conv->out[0] * conv->out[1],
                             .a = matrix(node->y.data, conv->out_channels, true),
                             .b = matrix(node->x.data, conv->in_channels, true),
                             .c = node->w.data,
                             .c_dtype = node->w.dtype};
}

enum { FORWARD, BACKWARD_DATA, BACKWARD_WEIGHT };

/* `patches` has to live as long as the product. */
static nc_half_product product_of(const nc_conv_node *node, int direction, nc_patches *patches)
{
    const nc_conv conv = nc_conv_problem(node);
    *patches = patches_of(&conv);
    nc_half_product p = direction == FORWARD         ? forward(node, &conv, patches)
                        : direction == BACKWARD_DATA ? backward_data(node, &conv)
                                                     : backward_weight(node, &conv);
    p.dtype = NACRE_BF16;
    p.c_row = p.n;
    return p;
}

static nc_half_product product_of_call(const nacre_call *call, int direction, nc_patches *patches)
{
    const nc_conv_node node = nc_conv_node_of_call(call);
    return product_of(&node, direction, patches);
}

static size_t packed_bytes(const nc_half_product *p)
{
    return (size_t)nc_round_up((int64_t)nc_isa(nc_half_packed_bytes)(p, true), ALIGNMENT);
}

/* ---- images: weights are prepared -------------------------------------------------------------------------------- */

static size_t image_prepared(const nacre_node_info *info, int direction)
{
    nc_patches patches;
    const nc_conv_node node = nc_conv_node_of_info(info);
    const nc_half_product p = product_of(&node, direction, &patches);
    return packed_bytes(&p);
}

static size_t image_workspace(const nacre_node_info *info, int direction)
{
    nc_patches patches;
    const nc_conv_node node = nc_conv_node_of_info(info);
    const nc_half_product p = product_of(&node, direction, &patches);
    return nc_isa(nc_half_workspace)(&p, true, info->threads);
}

static void prepare_image(const nacre_call *call, int direction)
{
    nc_patches patches;
    const nc_half_product p = product_of_call(call, direction, &patches);
    nc_isa(nc_half_pack)(&p, true, call->prepared, call->team);
}

static void run_image(const nacre_call *call, int direction)
{
    nc_patches patches;
    const nc_half_product p = product_of_call(call, direction, &patches);
    nc_isa(nc_half_multiply)(&p, true, call->prepared, call->workspace, call->team);
}

#define IMAGE(name, direction)                                                                                         \
    static size_t name##_prepared(const nacre_node_info *info)                                                         \
    {                                                                                                                  \
        return image_prepared(info, direction);                                                                        \
    }                                                                                                                  \
    static size_t name##_workspace(const nacre_node_info *info)                                                        \
    {                                                                                                                  \
        return image_workspace(info, direction);                                                                       \
    }                                                                                                                  \
    static void prepare_##name(const nacre_call *call)                                                                 \
    {                                                                                                                  \
        prepare_image(call, direction);                                                                                \
    }                                                                                                                  \
    static void run_##name(const nacre_call *call)                                                                     \
    {                                                                                                                  \
        run_image(call, direction);                                                                                    \
    }
IMAGE(forward, FORWARD)
IMAGE(backward_data, BACKWARD_DATA)

/* ---- weights ----------------------------------------------------------------------------------------------------- */

static size_t backward_weight_workspace(const nacre_node_info *info)
{
    nc_patches patches;
    const nc_conv_node node = nc_conv_node_of_info(info);
    const nc_half_product p = product_of(&node, BACKWARD_WEIGHT, &patches);
    return nc_isa(nc_half_product_workspace)(&p, true, info->threads);
}

static void run_backward_weight(const nacre_call *call)
{
    nc_patches patches;
    const nc_half_product p = product_of_call(call, BACKWARD_WEIGHT, &patches);
    nc_isa(nc_half_product)(&p, true, call->workspace, call->team);
}

/* ---- as kernels -------------------------------------------------------------------------------------------------- */

enum { FLAGS = NACRE_KERNEL_CHANNELS_LAST | NACRE_KERNEL_MIXED };

const nacre_kernel nc_isa(nc_conv_half_kernel) = {.op = "conv",
                                                  .variant = "pairs_bf16_" NC_ISA_NAME,
                                                  .flags = FLAGS,
                                                  .can = refuse,
                                                  .workspace = forward_workspace,
                                                  .run = run_forward,
                                                  .prepared = forward_prepared,
                                                  .prepare = prepare_forward,
                                                  .prepared_operand = W};
const nacre_kernel nc_isa(nc_conv_backward_data_half_kernel) = {.op = "conv_backward_data",
                                                                .variant = "pairs_bf16_" NC_ISA_NAME,
                                                                .flags = FLAGS,
                                                                .can = refuse_gradient,
                                                                .workspace = backward_data_workspace,
                                                                .run = run_backward_data,
                                                                .prepared = backward_data_prepared,
                                                                .prepare = prepare_backward_data,
                                                                .prepared_operand = W};
const nacre_kernel nc_isa(nc_conv_backward_weight_half_kernel) = {.op = "conv_backward_weight",
                                                                  .variant = "pairs_bf16_" NC_ISA_NAME,
                                                                  .flags = FLAGS,
                                                                  .can = refuse_gradient,
                                                                  .workspace = backward_weight_workspace,
                                                                  .run = run_backward_weight};

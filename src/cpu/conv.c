/* cpu/conv.c - from a convolution node to the problem that kernels solve. */
#include "cpu/conv.h"

#include "core/dtype.h"
#include "cpu/layout.h"
#include "ops/window.h"

#include <string.h>

nc_conv_node nc_conv_node_read(const nacre_op *op, const int64_t *attributes, const nacre_view *inputs, int input_count,
                               const nacre_view *output)
{
    nc_conv_node node = {.attributes = attributes};
    if (!strcmp(op->name, "conv")) {
        node.x = inputs[0];
        node.w = inputs[1];
        node.y = *output;
        if (input_count > 2) node.bias = inputs[2];
        if (input_count > 3) node.residual = inputs[3];
        node.relu = attributes[NC_CONV_ACTIVATION] != NC_CONV_PLAIN;
        node.ceiling = attributes[NC_CONV_ACTIVATION] == NC_CONV_RELU6 ? 6 : 0;
    } else if (!strcmp(op->name, "conv_backward_data")) {
        node.y = inputs[0];
        node.w = inputs[1];
        node.x = *output;
    } else {
        node.x = inputs[0];
        node.y = inputs[1];
        node.w = *output;
    }
    node.window = nc_window_read(attributes, node.x.shape.rank - 2, node.w.shape.dims + 2);
    node.groups = attributes[NC_CONV_GROUPS];
    return node;
}

nc_conv_node nc_conv_node_of_info(const nacre_node_info *info)
{
    return nc_conv_node_read(info->op, info->attributes, info->inputs, info->input_count, &info->outputs[0]);
}

nc_conv_node nc_conv_node_of_call(const nacre_call *call)
{
    return nc_conv_node_read(call->op, call->attributes, call->inputs, call->input_count, &call->outputs[0]);
}

nc_conv nc_conv_problem(const nc_conv_node *node)
{
    nc_conv conv = {.batch = node->x.shape.dims[0],
                    .groups = node->groups,
                    .in_channels = node->x.shape.dims[1],
                    .out_channels = node->y.shape.dims[1]};
    for (int i = 0; i < 2; i++) {
        conv.in[i] = node->x.shape.dims[2 + i];
        conv.out[i] = node->y.shape.dims[2 + i];
        conv.kernel[i] = node->window.kernel[i];
        conv.stride[i] = node->window.stride[i];
        conv.dilation[i] = node->window.dilation[i];
        conv.pad[i] = node->window.begin[i];
    }
    return conv;
}

nc_conv nc_conv_problem_of_info(const nacre_node_info *info)
{
    const nc_conv_node node = nc_conv_node_of_info(info);
    return nc_conv_problem(&node);
}

nc_conv_epilogue nc_conv_epilogue_of(const nc_conv_node *node)
{
    return (nc_conv_epilogue){
        .bias = node->bias.data, .residual = node->residual.data, .relu = node->relu, .ceiling = node->ceiling};
}

enum { LEAST_GROUP = 8 }; /* output channels of a group that are worth a vector */

/* What all kernels of channels-last images refuse. */
static const char *images_refusal(const nacre_node_info *info, nc_conv_node *node)
{
    if (info->outputs[0].shape.rank != 4) return "takes two spatial axes only";
    *node = nc_conv_node_of_info(info);
    if (!nc_is_channels_last(&node->x) || !nc_is_channels_last(&node->y)) return "needs channels-last images";
    return NULL;
}

const char *nc_conv_ungrouped_refusal(const nacre_node_info *info, nc_conv_node *node)
{
    const char *reason = images_refusal(info, node);
    if (reason) return reason;
    if (node->groups != 1) return "takes one group only";
    const nc_conv conv = nc_conv_problem(node);
    return conv.dilation[0] != 1 || conv.dilation[1] != 1 ? "takes undilated kernels only" : NULL;
}

/* And those that list the taps of a kernel. */
static const char *common_refusal(const nacre_node_info *info, nc_conv_node *node)
{
    const char *reason = images_refusal(info, node);
    if (reason) return reason;
    if (node->window.kernel[0] * node->window.kernel[1] > NC_CONV_MAX_TAPS) return "the kernel has too many taps";
    return NULL;
}

static const char *const F32_ONLY = "computes f32 only";

const char *nc_conv_depthwise_refusal(const nacre_node_info *info)
{
    nc_conv_node node;
    if (info->outputs[0].dtype != NACRE_F32) return F32_ONLY;
    const char *reason = common_refusal(info, &node);
    if (reason) return reason;
    const bool one_each = node.groups == node.x.shape.dims[1] && node.groups == node.y.shape.dims[1];
    return one_each ? NULL : "takes one channel in and one out per group";
}

const char *nc_conv_direct_refusal(const nacre_node_info *info)
{
    return info->outputs[0].dtype == NACRE_F32 ? nc_conv_mixed_refusal(info) : F32_ONLY;
}

const char *nc_conv_mixed_refusal(const nacre_node_info *info)
{
    nc_conv_node node;
    for (int i = 0; i < info->input_count; i++) {
        const nacre_view *x = &info->inputs[i];
        if (x->shape.rank >= 0 && x->dtype != NACRE_F32 && !nc_is_half(x->dtype))
            return "computes f32 and 16 bits only";
    }
    const char *reason = common_refusal(info, &node);
    if (reason) return reason;
    if (node.groups > 1 && nacre_shape_count(node.w.shape) > 0 && node.y.shape.dims[1] / node.groups < LEAST_GROUP)
        return "too few channels in a group";
    return NULL;
}

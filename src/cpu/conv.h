/* cpu/conv.h - 2d convolutions on channels-last images: the problem, apart from any graph. */
#ifndef NC_CPU_CONV_H
#define NC_CPU_CONV_H

#include "ops/window.h"

/* y[n, o, i, j] = sum over c, k, l of x[n, c, i * stride + k * dilation - pad, ...] * w[o, c, k, l], cross-correlation
 * as in every framework. Pairs are {height, width}. `pad` is what stands before the first row and column; what
 * follows the last one is implied by `out`. Images lie in memory as N,H,W,C and weights as O,I,H,W with I =
 * in_channels / groups, all dense. */
typedef struct nc_conv {
    int64_t batch, groups, in_channels, out_channels;
    int64_t in[2], out[2], kernel[2], stride[2], dilation[2], pad[2];
} nc_conv;

/* y = activation( convolution + bias[channel] + residual ); NULL: none. */
typedef struct nc_conv_epilogue {
    const float *bias, *residual; /* [channels of the result], laid out like the result */
    bool relu;
    float ceiling; /* with relu: the largest value, 0: none */
} nc_conv_epilogue;

/* What the three convolution operations have in common: the gradient's result takes the place of what it is the
 * gradient of. */
typedef struct nc_conv_node {
    const int64_t *attributes;
    nacre_view x, w, y;
    nc_window window;
    int64_t groups;
    nacre_view bias, residual; /* without data: none */
    bool relu;
    float ceiling; /* as in nc_conv_epilogue */
} nc_conv_node;
nc_conv_node nc_conv_node_read(const nacre_op *op, const int64_t *attributes, const nacre_view *inputs, int input_count,
                               const nacre_view *output);
nc_conv_node nc_conv_node_of_info(const nacre_node_info *info);
nc_conv_node nc_conv_node_of_call(const nacre_call *call);
nc_conv nc_conv_problem(const nc_conv_node *node); /* of two spatial axes */
nc_conv nc_conv_problem_of_info(const nacre_node_info *info);
nc_conv_epilogue nc_conv_epilogue_of(const nc_conv_node *node); /* of a node that is f32 throughout */
/* Why kernels of channels-last images do not take a node, NULL if they do: those made of register tiles, those of them
 * that read and write numbers of 16 bits as well, and those of one channel per group. */
const char *nc_conv_direct_refusal(const nacre_node_info *info);
const char *nc_conv_mixed_refusal(const nacre_node_info *info);
const char *nc_conv_depthwise_refusal(const nacre_node_info *info);
/* The same of those that multiply pairs of bf16; reads the node where the images allow it. */
const char *nc_conv_ungrouped_refusal(const nacre_node_info *info, nc_conv_node *node);

enum { NC_CONV_MAX_TAPS = 256 }; /* kernel positions the direct convolutions take */

#endif

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

/* y = relu?( convolution + bias[channel] + residual ); NULL: none. */
typedef struct nc_conv_epilogue {
    const float *bias, *residual; /* [channels of the result], laid out like the result */
    bool relu;
} nc_conv_epilogue;

/* What the three convolution operations have in common: the gradient's result takes the place of what it is the
 * gradient of. */
typedef struct nc_conv_node {
    const int64_t *attributes;
    nacre_view x, w, y;
    nc_window window;
    int64_t groups;
    const void *bias, *residual;
    bool relu;
} nc_conv_node;
nc_conv_node nc_conv_node_read(const nacre_op *op, const int64_t *attributes, const nacre_view *inputs, int input_count,
                               const nacre_view *output);
nc_conv nc_conv_problem(const nc_conv_node *node); /* of two spatial axes */
/* Why the direct kernels below do not take a node, NULL if they do. */
const char *nc_conv_direct_refusal(const nacre_node_info *info);

enum { NC_CONV_MAX_TAPS = 256 }; /* kernel positions the direct convolutions take */

/* One for each instruction set. backward_data is also the forward of the transposed convolution. Workspaces are
 * 64-byte aligned; no result depends on the number of threads. */
#define NC_CONV_DECLARE(isa)                                                                                           \
    size_t nc_conv_forward_workspace_##isa(const nc_conv *conv, int threads);                                          \
    void nc_conv_forward_##isa(const nc_conv *conv, const float *x, const float *w, float *y,                          \
                               const nc_conv_epilogue *epilogue, void *workspace, nacre_team *team);                   \
    size_t nc_conv_backward_data_workspace_##isa(const nc_conv *conv, int threads);                                    \
    void nc_conv_backward_data_##isa(const nc_conv *conv, const float *dy, const float *w, float *dx,                  \
                                     const nc_conv_epilogue *epilogue, void *workspace, nacre_team *team);             \
    size_t nc_conv_backward_weights_workspace_##isa(const nc_conv *conv, int threads);                                 \
    void nc_conv_backward_weights_##isa(const nc_conv *conv, const float *x, const float *dy, float *dw,               \
                                        void *workspace, nacre_team *team);
NC_CONV_DECLARE(base)
#if defined(__x86_64__)
NC_CONV_DECLARE(avx2)
NC_CONV_DECLARE(avx512)
#endif

#endif

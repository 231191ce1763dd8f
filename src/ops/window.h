/* ops/window.h - windows that slide over the spatial axes: what convolution and pooling share.
 *
 * Output position o and tap k of a window meet input position o * stride - begin + k * dilation; positions outside of
 * the input are padding. A negative padding crops.
 */
#ifndef NC_OPS_WINDOW_H
#define NC_OPS_WINDOW_H

#include "ops/op.h"

/* The first attributes of every operation here. In a node all lists are complete: one stride and dilation per axis,
 * and the padding as all begins, then all ends. */
enum {
    NC_WINDOW_AXES = 3,
    NC_WINDOW_STRIDE = 0,
    NC_WINDOW_PADDING = NC_WINDOW_STRIDE + 1 + NC_WINDOW_AXES,
    NC_WINDOW_DILATION = NC_WINDOW_PADDING + 1 + 2 * NC_WINDOW_AXES,
    NC_WINDOW_WORDS = NC_WINDOW_DILATION + 1 + NC_WINDOW_AXES
};
#define NC_WINDOW_SCHEMA(stride_fallback, stride_default)                                                              \
    {"stride", NACRE_ATTRIBUTE_INTS, stride_fallback, .limit = NC_WINDOW_AXES,                                         \
     .doc = "step of the window; none: " stride_default},                                                              \
        {"padding", NACRE_ATTRIBUTE_INTS, 0, .limit = 2 * NC_WINDOW_AXES,                                              \
         .doc = "one number, one per axis, or all begins and then all ends; none: 0"},                                 \
    {                                                                                                                  \
        "dilation", NACRE_ATTRIBUTE_INTS, 1, .limit = NC_WINDOW_AXES, .doc = "distance of the window's taps; none: 1"  \
    }

/* conv, conv_backward_data and conv_backward_weight: windows, groups, and one more each. */
enum {
    NC_CONV_GROUPS = NC_WINDOW_WORDS,
    NC_CONV_ACTIVATION,                 /* conv: one of the following */
    NC_CONV_SIZE = NC_CONV_GROUPS + 1,  /* conv_backward_data: spatial sizes of the result */
    NC_CONV_KERNEL = NC_CONV_GROUPS + 1 /* conv_backward_weight: spatial sizes of the result */
};

enum { NC_CONV_PLAIN, NC_CONV_RELU, NC_CONV_RELU6 };

/* Pooling and its backward operations. */
enum {
    NC_POOL_KERNEL = NC_WINDOW_WORDS,
    NC_POOL_CEIL = NC_POOL_KERNEL + 1 + NC_WINDOW_AXES,
    NC_POOL_COUNT_PADDING, /* avg_pool */
    NC_POOL_SIZE           /* avg_pool_backward: spatial sizes of the result */
};

typedef struct nc_window {
    int axes;
    int64_t kernel[NC_WINDOW_AXES], stride[NC_WINDOW_AXES], dilation[NC_WINDOW_AXES];
    int64_t begin[NC_WINDOW_AXES], end[NC_WINDOW_AXES];
} nc_window;

/* An INTS list as given becomes one value per axis: none counts as `fallback` (NULL: must be there), one is repeated.
 * Each must be at least `least`. */
nacre_status nc_spread(nacre_shape_call *call, const char *name, int64_t *words, int axes, const int64_t *fallback,
                       int64_t least);
/* Completes stride, padding and dilation; an absent stride is 1, or the kernel if `stride_is_kernel`. */
nacre_status nc_window_complete(nacre_shape_call *call, int axes, const int64_t *kernel, bool stride_is_kernel);
/* Words from a builder's options: one value per axis, 0 meaning 1 where 0 is impossible; `more` is added at the end. */
void nc_window_words(int64_t *words, int axes, const int64_t *stride, const int64_t *padding, const int64_t *more,
                     const int64_t *dilation);
/* From a node's words. */
nc_window nc_window_read(const int64_t *attributes, int axes, const int64_t *kernel);

/* From the first tap of a window to the last. */
static inline int64_t nc_window_reach(const nc_window *window, int axis)
{
    return window->dilation[axis] * (window->kernel[axis] - 1) + 1;
}

/* Whole windows along an axis of `input` elements; 0 if there is none. */
int64_t nc_window_count(const nc_window *window, int axis, int64_t input);

/* The input position that tap `k` of window `o` meets; false in the padding. */
static inline bool nc_window_at(const nc_window *window, const int64_t *o, const int64_t *k, const int64_t *sizes,
                                int64_t *position)
{
    for (int i = 0; i < window->axes; i++) {
        position[i] = o[i] * window->stride[i] - window->begin[i] + k[i] * window->dilation[i];
        if (position[i] < 0 || position[i] >= sizes[i]) return false;
    }
    return true;
}

/* The other way round: the window whose tap `k` meets an input position; false if there is none among `counts`. */
static inline bool nc_window_from(const nc_window *window, const int64_t *position, const int64_t *k,
                                  const int64_t *counts, int64_t *o)
{
    for (int i = 0; i < window->axes; i++) {
        int64_t from = position[i] + window->begin[i] - k[i] * window->dilation[i];
        if (from < 0 || from % window->stride[i]) return false;
        o[i] = from / window->stride[i];
        if (o[i] >= counts[i]) return false;
    }
    return true;
}

/* The spatial axes of [N, C, ...] as a shape. */
static inline nacre_shape nc_spatial(const nacre_shape *shape)
{
    nacre_shape spatial = {.rank = shape->rank - 2};
    for (int i = 0; i < spatial.rank; i++) spatial.dims[i] = shape->dims[i + 2];
    return spatial;
}

/* Operand `index` must have 1 to 3 spatial axes, and none so long that positions could overflow. */
nacre_status nc_need_spatial(nacre_shape_call *call, int index);

#endif

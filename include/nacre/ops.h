/* ops.h - every operation as a function.
 *
 * All take and return tensors of one graph, return NULL after a failure and accept NULL operands, so a model is written
 * as one expression and checked once. Element-wise operations broadcast as NumPy does. Operands must agree in element
 * type; there is no silent promotion (nacre_cast). Negative axes count from the end. An operation whose layer in nn.h
 * has the plain name is called ..._with: it takes its weights as tensors.
 */
#ifndef NACRE_OPS_H
#define NACRE_OPS_H

#include <nacre/graph.h>

#ifdef __cplusplus
extern "C" {
#endif

/* ---- arithmetic ------------------------------------------------------------------------------------------------- */

NACRE_API nacre_tensor *nacre_add(nacre_tensor *a, nacre_tensor *b);
NACRE_API nacre_tensor *nacre_sub(nacre_tensor *a, nacre_tensor *b);
NACRE_API nacre_tensor *nacre_mul(nacre_tensor *a, nacre_tensor *b);
NACRE_API nacre_tensor *nacre_div(nacre_tensor *a, nacre_tensor *b);
NACRE_API nacre_tensor *nacre_neg(nacre_tensor *x);

/* ---- activations ------------------------------------------------------------------------------------------------ */

NACRE_API nacre_tensor *nacre_relu(nacre_tensor *x);

/* ---- shape ------------------------------------------------------------------------------------------------------ */

/* One dimension may be -1 and is worked out. Costs nothing: the memory is shared. */
NACRE_API nacre_tensor *nacre_reshape(nacre_tensor *x, nacre_shape to);
/* Axes from `first_axis` on become one. */
NACRE_API nacre_tensor *nacre_flatten(nacre_tensor *x, int first_axis);
/* Repeats along axes of size 1 (or lacking at the left). */
NACRE_API nacre_tensor *nacre_expand(nacre_tensor *x, nacre_shape to);

/* ---- reductions ------------------------------------------------------------------------------------------------- */

typedef struct nacre_reduce_options {
    const int64_t *axes; /* NULL: all */
    int axis_count;
    bool keep; /* reduced axes stay with size 1 */
} nacre_reduce_options;

NACRE_API nacre_tensor *nacre_sum(nacre_tensor *x, const nacre_reduce_options *options);

/* ---- matrix product --------------------------------------------------------------------------------------------- */

/* Over the last two axes, earlier ones broadcast. */
NACRE_API nacre_tensor *nacre_matmul(nacre_tensor *a, nacre_tensor *b, bool transpose_a, bool transpose_b);
/* x [..., in], weight [out, in], bias [out] or NULL -> [..., out]. */
NACRE_API nacre_tensor *nacre_linear_with(nacre_tensor *x, nacre_tensor *weight, nacre_tensor *bias);

/* ---- convolution ------------------------------------------------------------------------------------------------ */

/* One value per spatial axis. Zero means 1 for stride, dilation and groups. */
typedef struct nacre_conv_options {
    int64_t stride[3], dilation[3];
    int64_t padding[3];        /* zeros at both ends */
    int64_t padding_extra[3];  /* more of them at the end only; negative: fewer */
    int64_t output_padding[3]; /* nacre_conv_transpose_with: elements added at the end of the result */
    int64_t groups;
} nacre_conv_options;

/* Cross-correlation. x [N, C, ...] with 1 to 3 spatial axes, weight [O, C / groups, kernel...], bias [O] or NULL
 * -> [N, O, ...], floor((size + paddings - dilation (kernel - 1) - 1) / stride) + 1 along each spatial axis. */
NACRE_API nacre_tensor *nacre_conv_with(nacre_tensor *x, nacre_tensor *weight, nacre_tensor *bias,
                                        const nacre_conv_options *options);
/* The transposed map. x [N, C, ...], weight [C, O / groups, kernel...], bias [O] or NULL -> [N, O, ...],
 * (size - 1) stride + dilation (kernel - 1) + 1 - paddings + output_padding along each spatial axis. */
NACRE_API nacre_tensor *nacre_conv_transpose_with(nacre_tensor *x, nacre_tensor *weight, nacre_tensor *bias,
                                                  const nacre_conv_options *options);

/* ---- pooling ---------------------------------------------------------------------------------------------------- */

/* One value per spatial axis of x [N, C, ...]. Zero means the kernel for stride and 1 for dilation. */
typedef struct nacre_pool_options {
    int64_t kernel[3], stride[3], dilation[3];
    int64_t padding[3];       /* at both ends, less than the window */
    int64_t padding_extra[3]; /* more at the end only */
    bool ceil_mode;           /* a last window may hang over the end if it begins inside */
    bool exclude_padding;     /* nacre_avg_pool divides by the elements inside the input only */
} nacre_pool_options;

/* Sibling 1: positions of the maxima in their planes, i32. */
NACRE_API nacre_tensor *nacre_max_pool(nacre_tensor *x, const nacre_pool_options *options);
NACRE_API nacre_tensor *nacre_avg_pool(nacre_tensor *x, const nacre_pool_options *options);
/* To `size` cells, one number per spatial axis. */
NACRE_API nacre_tensor *nacre_adaptive_avg_pool(nacre_tensor *x, const int64_t *size);
NACRE_API nacre_tensor *nacre_adaptive_max_pool(nacre_tensor *x, const int64_t *size); /* siblings as nacre_max_pool */

/* ---- probabilities and losses ----------------------------------------------------------------------------------- */

NACRE_API nacre_tensor *nacre_softmax(nacre_tensor *x, int axis);
NACRE_API nacre_tensor *nacre_log_softmax(nacre_tensor *x, int axis);
/* The loss at each position: logits [N, classes, ...], target ids [N, ...] (i64 or i32), class weights [classes] or
 * NULL
 * -> [N, ...]. Sibling 1 is log(sum(exp(logits))), sibling 2 the weight of each position, 0 where the target is
 * `ignore_index` (PyTorch's is -100): a mean is the sum of losses by the sum of weights. A target that is no class
 * gives NaN, so check labels when they are read. */
NACRE_API nacre_tensor *nacre_cross_entropy_with(nacre_tensor *logits, nacre_tensor *target, nacre_tensor *weight,
                                                 double label_smoothing, int64_t ignore_index);

/* ---- state ------------------------------------------------------------------------------------------------------ */

/* `target` is a model entry (nacre_model_tensor). Nodes built before see the old value, nodes built after the new. */
NACRE_API nacre_tensor *nacre_assign(nacre_tensor *target, nacre_tensor *value);
/* target = (1 - weight) target + weight * scale * value. */
NACRE_API nacre_tensor *nacre_assign_lerp(nacre_tensor *target, nacre_tensor *value, double weight, double scale);

#ifdef __cplusplus
}
#endif

#endif

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
NACRE_API nacre_tensor *nacre_add_scalar(nacre_tensor *x, double value);
NACRE_API nacre_tensor *nacre_mul_scalar(nacre_tensor *x, double value);

/* ---- functions of one operand ------------------------------------------------------------------------------------ */

/* Integers too: */
NACRE_API nacre_tensor *nacre_abs(nacre_tensor *x);
NACRE_API nacre_tensor *nacre_sign(nacre_tensor *x); /* 0 for NaN; gradient 0 */
NACRE_API nacre_tensor *nacre_square(nacre_tensor *x);
/* Floating types only, here and below; outside their domain they give NaN. The gradient of a step is 0. */
NACRE_API nacre_tensor *nacre_floor(nacre_tensor *x);
NACRE_API nacre_tensor *nacre_ceil(nacre_tensor *x);
NACRE_API nacre_tensor *nacre_round(nacre_tensor *x); /* to the even one of two */
NACRE_API nacre_tensor *nacre_reciprocal(nacre_tensor *x);
NACRE_API nacre_tensor *nacre_sqrt(nacre_tensor *x);
NACRE_API nacre_tensor *nacre_rsqrt(nacre_tensor *x);
NACRE_API nacre_tensor *nacre_exp(nacre_tensor *x);
NACRE_API nacre_tensor *nacre_expm1(nacre_tensor *x);
NACRE_API nacre_tensor *nacre_log(nacre_tensor *x);
NACRE_API nacre_tensor *nacre_log1p(nacre_tensor *x);
NACRE_API nacre_tensor *nacre_sin(nacre_tensor *x);
NACRE_API nacre_tensor *nacre_cos(nacre_tensor *x);
NACRE_API nacre_tensor *nacre_tan(nacre_tensor *x);
NACRE_API nacre_tensor *nacre_asin(nacre_tensor *x);
NACRE_API nacre_tensor *nacre_acos(nacre_tensor *x);
NACRE_API nacre_tensor *nacre_atan(nacre_tensor *x);
NACRE_API nacre_tensor *nacre_sinh(nacre_tensor *x);
NACRE_API nacre_tensor *nacre_cosh(nacre_tensor *x);
NACRE_API nacre_tensor *nacre_tanh(nacre_tensor *x);
NACRE_API nacre_tensor *nacre_asinh(nacre_tensor *x);
NACRE_API nacre_tensor *nacre_acosh(nacre_tensor *x);
NACRE_API nacre_tensor *nacre_atanh(nacre_tensor *x);
NACRE_API nacre_tensor *nacre_erf(nacre_tensor *x);

/* ---- activations ------------------------------------------------------------------------------------------------ */

/* PyTorch's definitions; the numbers named in brackets are its defaults. */
NACRE_API nacre_tensor *nacre_relu(nacre_tensor *x);
NACRE_API nacre_tensor *nacre_relu6(nacre_tensor *x);
NACRE_API nacre_tensor *nacre_leaky_relu(nacre_tensor *x, double slope); /* [0.01] below zero */
/* The slope below zero is learned: one number, or one for each channel (axis 1) as a tensor [C]; any other shape
 * broadcasts to x. */
NACRE_API nacre_tensor *nacre_prelu(nacre_tensor *x, nacre_tensor *slope);
NACRE_API nacre_tensor *nacre_elu(nacre_tensor *x, double alpha); /* [1], not negative */
NACRE_API nacre_tensor *nacre_selu(nacre_tensor *x);
NACRE_API nacre_tensor *nacre_celu(nacre_tensor *x, double alpha); /* [1] */
NACRE_API nacre_tensor *nacre_gelu(nacre_tensor *x);
NACRE_API nacre_tensor *nacre_gelu_tanh(nacre_tensor *x); /* the approximation with tanh, as GPT-2 has it */
NACRE_API nacre_tensor *nacre_silu(nacre_tensor *x);      /* also called swish */
NACRE_API nacre_tensor *nacre_mish(nacre_tensor *x);
NACRE_API nacre_tensor *nacre_softplus(nacre_tensor *x, double beta, double threshold); /* [1, 20] */
NACRE_API nacre_tensor *nacre_sigmoid(nacre_tensor *x);
NACRE_API nacre_tensor *nacre_log_sigmoid(nacre_tensor *x);
NACRE_API nacre_tensor *nacre_hardsigmoid(nacre_tensor *x);
NACRE_API nacre_tensor *nacre_hardswish(nacre_tensor *x);
NACRE_API nacre_tensor *nacre_hardtanh(nacre_tensor *x, double min, double max); /* [-1, 1]; gradient 0 at the bounds */
NACRE_API nacre_tensor *nacre_clamp(nacre_tensor *x, double min, double max);    /* gradient 1 at the bounds */
NACRE_API nacre_tensor *nacre_softshrink(nacre_tensor *x, double lambda);        /* [0.5] */
NACRE_API nacre_tensor *nacre_hardshrink(nacre_tensor *x, double lambda);        /* [0.5] */
NACRE_API nacre_tensor *nacre_softsign(nacre_tensor *x);
NACRE_API nacre_tensor *nacre_tanhshrink(nacre_tensor *x);
/* The first half of an axis times the sigmoid of the second (Dauphin et al. 2016). */
NACRE_API nacre_tensor *nacre_glu(nacre_tensor *x, int axis);

/* ---- functions of two operands ----------------------------------------------------------------------------------- */

NACRE_API nacre_tensor *nacre_pow(nacre_tensor *a, nacre_tensor *b);
/* NaN where either is; equal operands share the gradient. */
NACRE_API nacre_tensor *nacre_maximum(nacre_tensor *a, nacre_tensor *b);
NACRE_API nacre_tensor *nacre_minimum(nacre_tensor *a, nacre_tensor *b);
/* The remainder with the sign of b (Python's), or of a if `truncated` (C's). Integers divided by 0 give 0. */
NACRE_API nacre_tensor *nacre_mod(nacre_tensor *a, nacre_tensor *b, bool truncated);
NACRE_API nacre_tensor *nacre_atan2(nacre_tensor *a, nacre_tensor *b);

/* ---- comparison, logic, choice ----------------------------------------------------------------------------------- */

/* The result is bool and has no gradient. */
NACRE_API nacre_tensor *nacre_equal(nacre_tensor *a, nacre_tensor *b);
NACRE_API nacre_tensor *nacre_not_equal(nacre_tensor *a, nacre_tensor *b);
NACRE_API nacre_tensor *nacre_less(nacre_tensor *a, nacre_tensor *b);
NACRE_API nacre_tensor *nacre_less_equal(nacre_tensor *a, nacre_tensor *b);
NACRE_API nacre_tensor *nacre_greater(nacre_tensor *a, nacre_tensor *b);
NACRE_API nacre_tensor *nacre_greater_equal(nacre_tensor *a, nacre_tensor *b);
/* Operands of any one type; what is not zero counts as true. */
NACRE_API nacre_tensor *nacre_logical_and(nacre_tensor *a, nacre_tensor *b);
NACRE_API nacre_tensor *nacre_logical_or(nacre_tensor *a, nacre_tensor *b);
NACRE_API nacre_tensor *nacre_logical_xor(nacre_tensor *a, nacre_tensor *b);
NACRE_API nacre_tensor *nacre_logical_not(nacre_tensor *x);
NACRE_API nacre_tensor *nacre_isnan(nacre_tensor *x);
NACRE_API nacre_tensor *nacre_isinf(nacre_tensor *x);
NACRE_API nacre_tensor *nacre_isfinite(nacre_tensor *x);
/* a where the condition (bool) holds, else b; all broadcast. */
NACRE_API nacre_tensor *nacre_where(nacre_tensor *condition, nacre_tensor *a, nacre_tensor *b);
/* a + weight (b - a). */
NACRE_API nacre_tensor *nacre_lerp(nacre_tensor *a, nacre_tensor *b, nacre_tensor *weight);

/* ---- element types ----------------------------------------------------------------------------------------------- */

/* Floats round to nearest even; integers truncate towards zero and saturate, NaN becomes 0; bool is x != 0. */
NACRE_API nacre_tensor *nacre_cast(nacre_tensor *x, nacre_dtype dtype);

/* ---- shape ------------------------------------------------------------------------------------------------------ */

/* One dimension may be -1 and is worked out. Costs nothing: the memory is shared. */
NACRE_API nacre_tensor *nacre_reshape(nacre_tensor *x, nacre_shape to);
/* Axes from `first_axis` on become one. */
NACRE_API nacre_tensor *nacre_flatten(nacre_tensor *x, int first_axis);
/* Repeats along axes of size 1 (or lacking at the left). */
NACRE_API nacre_tensor *nacre_expand(nacre_tensor *x, nacre_shape to);
/* Without an axis of size 1 (another size: unchanged), or with a new one at that place of the result. */
NACRE_API nacre_tensor *nacre_squeeze(nacre_tensor *x, int axis);
NACRE_API nacre_tensor *nacre_unsqueeze(nacre_tensor *x, int axis);
/* Axis i of the result is axis order[i] of x; NULL reverses them. */
NACRE_API nacre_tensor *nacre_transpose(nacre_tensor *x, const int64_t *order);
NACRE_API nacre_tensor *nacre_swap_axes(nacre_tensor *x, int a, int b);
/* Positions start, start + step, ... before stop of an axis. Negative ones count from the end; they are then clipped to
 * the tensor, so that NACRE_END means all the rest. The step may be negative, but not 0. */
#define NACRE_END INT64_MAX
NACRE_API nacre_tensor *nacre_slice(nacre_tensor *x, int axis, int64_t start, int64_t stop, int64_t step);
/* One after the other along an axis, or along a new one. */
NACRE_API nacre_tensor *nacre_concat(nacre_tensor *const *tensors, int count, int axis);
NACRE_API nacre_tensor *nacre_stack(nacre_tensor *const *tensors, int count, int axis);
/* `count` parts of these sizes, of equal size for NULL; together they are the whole axis. */
NACRE_API nacre_status nacre_split(nacre_tensor *x, int axis, const int64_t *sizes, int count, nacre_tensor **parts);
/* More positions before and after the last `axes` axes: a value, the tensor mirrored at its end positions, these
 * repeated, or the other end. */
typedef enum nacre_pad_mode {
    NACRE_PAD_CONSTANT,
    NACRE_PAD_REFLECT,
    NACRE_PAD_REPLICATE,
    NACRE_PAD_CIRCULAR
} nacre_pad_mode;
NACRE_API nacre_tensor *nacre_pad(nacre_tensor *x, const int64_t *before, const int64_t *after, int axes,
                                  nacre_pad_mode mode, double value);
NACRE_API nacre_tensor *nacre_flip(nacre_tensor *x, const int64_t *axes, int count);
/* Along one axis: turned round by `shift` positions, the whole `copies` times (abab), each position `copies` times
 * (aabb). */
NACRE_API nacre_tensor *nacre_roll(nacre_tensor *x, int axis, int64_t shift);
NACRE_API nacre_tensor *nacre_tile(nacre_tensor *x, int axis, int64_t copies);
NACRE_API nacre_tensor *nacre_repeat(nacre_tensor *x, int axis, int64_t copies);
/* The last two axes at and left (right) of a diagonal, which is shifted to the right; 0 elsewhere. */
NACRE_API nacre_tensor *nacre_tril(nacre_tensor *x, int64_t diagonal);
NACRE_API nacre_tensor *nacre_triu(nacre_tensor *x, int64_t diagonal);
/* [count]: start, start + step, ... */
NACRE_API nacre_tensor *nacre_arange(nacre_graph *graph, nacre_dtype dtype, int64_t count, double start, double step);
NACRE_API nacre_tensor *nacre_eye(nacre_graph *graph, nacre_dtype dtype, int64_t size); /* [size, size] */

/* ---- indices and order ------------------------------------------------------------------------------------------- */

/* Indices are integers of any type. Negative ones count from the end; one outside reads NaN (0 where the type has none)
 * and writes nothing. Gradients are summed up in the order of the indices. */

/* Whole positions of an axis, in its place the axes of the indices: x[..., indices, ...]. */
NACRE_API nacre_tensor *nacre_take(nacre_tensor *x, nacre_tensor *indices, int axis);
/* Rows of weight [entries, width]. The entry *padding_index gets no gradient; NULL: all do. */
NACRE_API nacre_tensor *nacre_embedding_with(nacre_tensor *weight, nacre_tensor *indices, const int64_t *padding_index);
/* y[i][j] = x[indices[i][j]][j] for axis 0; the result has the shape of the indices. */
NACRE_API nacre_tensor *nacre_gather(nacre_tensor *x, nacre_tensor *indices, int axis);
/* x with y[indices[i][j]][j] = updates[i][j] for axis 0, the last one where several are named; or with += */
NACRE_API nacre_tensor *nacre_scatter(nacre_tensor *x, nacre_tensor *indices, nacre_tensor *updates, int axis);
NACRE_API nacre_tensor *nacre_scatter_add(nacre_tensor *x, nacre_tensor *indices, nacre_tensor *updates, int axis);
/* [...] -> [..., classes]: 1 at the index, else 0. */
NACRE_API nacre_tensor *nacre_one_hot(nacre_tensor *indices, int64_t classes, nacre_dtype dtype);
/* By size along an axis; sibling 1: where they were, i64. Equal elements keep their order, NaN counts as the largest.
 */
NACRE_API nacre_tensor *nacre_sort(nacre_tensor *x, int axis, bool descending);
NACRE_API nacre_tensor *nacre_argsort(nacre_tensor *x, int axis, bool descending); /* that sibling */
/* The k largest or smallest, in order; sibling 1: where they were, i64. */
NACRE_API nacre_tensor *nacre_topk(nacre_tensor *x, int64_t k, int axis, bool largest);

/* ---- random numbers ---------------------------------------------------------------------------------------------- */

/* `seed` is one i64, fed anew for each step; `stream` (0 to 2^32 - 1) names the node, so that two of them draw
 * different numbers. An element's number depends on seed, stream and its place alone (nacre_element_bits in random.h),
 * whatever its type. */
NACRE_API nacre_tensor *nacre_draw_uniform(nacre_tensor *seed, int64_t stream, nacre_dtype dtype, nacre_shape to,
                                           double low, double high);
NACRE_API nacre_tensor *nacre_draw_normal(nacre_tensor *seed, int64_t stream, nacre_dtype dtype, nacre_shape to,
                                          double mean, double deviation);
NACRE_API nacre_tensor *nacre_draw_bernoulli(nacre_tensor *seed, int64_t stream, nacre_dtype dtype, nacre_shape to,
                                             double p);
/* 0 with probability p, scaled by 1 / (1 - p) else. The first `mask_axes` axes have draws of their own: 0 means every
 * element, 1 drops whole samples (stochastic depth), 2 whole channels. The gradient draws again: no mask is kept. */
NACRE_API nacre_tensor *nacre_dropout_with(nacre_tensor *x, nacre_tensor *seed, int64_t stream, double p,
                                           int mask_axes);

/* ---- reductions ------------------------------------------------------------------------------------------------- */

typedef struct nacre_reduce_options {
    const int64_t *axes; /* NULL: all */
    int axis_count;
    bool keep; /* reduced axes stay with size 1 */
} nacre_reduce_options;

NACRE_API nacre_tensor *nacre_sum(nacre_tensor *x, const nacre_reduce_options *options);
NACRE_API nacre_tensor *nacre_mean(nacre_tensor *x, const nacre_reduce_options *options);
NACRE_API nacre_tensor *nacre_prod(nacre_tensor *x, const nacre_reduce_options *options);
/* NaN if there is one; equal elements share the gradient. */
NACRE_API nacre_tensor *nacre_max(nacre_tensor *x, const nacre_reduce_options *options);
NACRE_API nacre_tensor *nacre_min(nacre_tensor *x, const nacre_reduce_options *options);
/* The sum of squared distances from the mean, divided by the number of elements less `correction`: 0, or 1 for the
 * unbiased estimate, which is PyTorch's default. */
NACRE_API nacre_tensor *nacre_var(nacre_tensor *x, const nacre_reduce_options *options, int64_t correction);
NACRE_API nacre_tensor *nacre_std(nacre_tensor *x, const nacre_reduce_options *options, int64_t correction);
NACRE_API nacre_tensor *nacre_norm(nacre_tensor *x, const nacre_reduce_options *options); /* sqrt(sum(x^2)) */
NACRE_API nacre_tensor *nacre_logsumexp(nacre_tensor *x, const nacre_reduce_options *options);
NACRE_API nacre_tensor *nacre_all(nacre_tensor *x, const nacre_reduce_options *options); /* bool: none is zero */
NACRE_API nacre_tensor *nacre_any(nacre_tensor *x, const nacre_reduce_options *options); /* bool: not all are zero */
/* i64: where along an axis, the first of equal ones and of NaN. */
NACRE_API nacre_tensor *nacre_argmax(nacre_tensor *x, int axis, bool keep);
NACRE_API nacre_tensor *nacre_argmin(nacre_tensor *x, int axis, bool keep);
/* Sums and products of the elements up to each, of those before it (exclusive), or from the end (reverse). */
NACRE_API nacre_tensor *nacre_cumsum(nacre_tensor *x, int axis, bool exclusive, bool reverse);
NACRE_API nacre_tensor *nacre_cumprod(nacre_tensor *x, int axis, bool exclusive, bool reverse);

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

/* The mean of each plane: [N, C, ...] -> [N, C, 1...]. */
NACRE_API nacre_tensor *nacre_global_avg_pool(nacre_tensor *x);

/* ---- interpolation ---------------------------------------------------------------------------------------------- */

typedef struct nacre_interpolate_options {
    int64_t size[3]; /* of the result, one per spatial axis; zeros: floor(n * scale) */
    double scale;    /* result by input size, of all axes; 0: as the sizes give it */
    bool linear;     /* between neighbours; else the nearest element */
    bool align_corners;
} nacre_interpolate_options;

/* Resizes the planes of x [N, C, ...]. */
NACRE_API nacre_tensor *nacre_interpolate(nacre_tensor *x, const nacre_interpolate_options *options);

/* ---- normalisation ---------------------------------------------------------------------------------------------- */

/* Weights and biases may be NULL; epsilon is added to the variance (usually 1e-5). Siblings 1 and 2 are mean and biased
 * variance of what was normalised together (of nacre_rms_norm_with: 1, the mean square). */

/* Training: x [N, C, ...] by its own statistics [C], weight and bias [C]. */
NACRE_API nacre_tensor *nacre_batch_norm_with(nacre_tensor *x, nacre_tensor *weight, nacre_tensor *bias,
                                              double epsilon);
/* Evaluation: by given statistics [C]. */
NACRE_API nacre_tensor *nacre_batch_norm_inference(nacre_tensor *x, nacre_tensor *mean, nacre_tensor *var,
                                                   nacre_tensor *weight, nacre_tensor *bias, double epsilon);
/* Over the last `axes` axes, whose shape weight and bias have. */
NACRE_API nacre_tensor *nacre_layer_norm_with(nacre_tensor *x, int axes, nacre_tensor *weight, nacre_tensor *bias,
                                              double epsilon);
NACRE_API nacre_tensor *nacre_rms_norm_with(nacre_tensor *x, int axes, nacre_tensor *weight, double epsilon);
/* x [N, C, ...] by statistics [N, groups], weight and bias [C]; instance: one group per channel. */
NACRE_API nacre_tensor *nacre_group_norm_with(nacre_tensor *x, int64_t groups, nacre_tensor *weight, nacre_tensor *bias,
                                              double epsilon);
NACRE_API nacre_tensor *nacre_instance_norm_with(nacre_tensor *x, nacre_tensor *weight, nacre_tensor *bias,
                                                 double epsilon);

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

/* ---- attention -------------------------------------------------------------------------------------------------- */

/* softmax(scale q k' + mask) v: q [..., T, D], k [..., S, D], v [..., S, E] -> [..., T, E]; sibling 1 is the logsumexp
 * of the scores [..., T]. The mask (NULL: none) broadcasts to [..., T, S] and is added, or, if bool, is true where one
 * may attend; `causal`: row t to columns 0 to t. scale 0: 1 / sqrt(D). */
NACRE_API nacre_tensor *nacre_scaled_dot_product_attention(nacre_tensor *q, nacre_tensor *k, nacre_tensor *v,
                                                           nacre_tensor *mask, bool causal, double scale);
/* The same over the first `length` rows of k and v alone, of which there may be more (a scalar i64 tensor, so that one
 * plan serves all lengths); the rows of q are the last of them: `causal` lets row t attend to t + length - T. */
NACRE_API nacre_tensor *nacre_prefix_attention(nacre_tensor *q, nacre_tensor *k, nacre_tensor *v, nacre_tensor *length,
                                               bool causal, double scale);
/* The same of several heads side by side: q [N, T, heads D], k [N, S, heads D], v [N, S, heads E] -> [N, T, heads E];
 * sibling 1 is [N, heads, T], a mask broadcasts to [N, heads, T, S]. Where q, k and v are the thirds of one tensor,
 * slices along its last axis, it is read in place. */
NACRE_API nacre_tensor *nacre_attention_of_heads(nacre_tensor *q, nacre_tensor *k, nacre_tensor *v, int64_t heads,
                                                 nacre_tensor *mask, bool causal, double scale);

/* ---- recurrent layers ------------------------------------------------------------------------------------------- */

/* Whole sequences of steps; x [N, T, gates H] is the input's part of the gates at all times (nacre_linear_with), weight
 * [gates H, H] and bias [gates H] (NULL: none) make the state's, h and c [N, H] are the initial states (NULL: zeros);
 * `reverse` begins at the last time. -> [N, T, H]. torch's gate order. */

/* 4 gates i, f, g, o. Siblings: 1 the cells [N, T, H], 2 the gates, for the gradient. */
NACRE_API nacre_tensor *nacre_lstm_with(nacre_tensor *x, nacre_tensor *weight, nacre_tensor *bias, nacre_tensor *h,
                                        nacre_tensor *c, bool reverse);
/* 3 gates r, z, n, the reset applied after the state's product and its bias. */
NACRE_API nacre_tensor *nacre_gru_with(nacre_tensor *x, nacre_tensor *weight, nacre_tensor *bias, nacre_tensor *h,
                                       bool reverse);
/* 1 gate: tanh. */
NACRE_API nacre_tensor *nacre_rnn_with(nacre_tensor *x, nacre_tensor *weight, nacre_tensor *bias, nacre_tensor *h,
                                       bool reverse);

/* ---- optimizer updates ------------------------------------------------------------------------------------------- */

/* All parameters of one update. `scale` (a scalar, or NULL for 1) multiplies the gradients; where it is 0 nothing
 * changes. `step` (i64) counts from 1. `momentum` (a scalar, or NULL for the option) takes the place of momentum or
 * beta1, so that a schedule can move it without a new plan. */
typedef struct nacre_update_operands {
    int count;
    nacre_tensor *const *weights, *const *gradients;
    nacre_tensor *const *state; /* the moments of each weight one after the other */
    nacre_tensor *learning_rate, *step, *scale, *momentum;
} nacre_update_operands;

/* Zero means the usual value, which `nacre op NAME` shows; no momentum, no weight decay. Each optimizer reads what it
 * knows. */
typedef struct nacre_update_options {
    double momentum, dampening; /* sgd; momentum also rmsprop, lars, larc */
    bool nesterov;              /* sgd */
    double beta1, beta2, eps;   /* the Adam family; eps also adagrad, adadelta, rmsprop, larc */
    double weight_decay;        /* decoupled for adamw, lamb and lion, else added to the gradient */
    bool amsgrad;               /* adam, adamw */
    double momentum_decay;      /* nadam */
    double rate_decay, initial; /* adagrad */
    double rho;                 /* adadelta, rmsprop: decay of the mean square */
    bool centered;              /* rmsprop: divide by the deviation, not the mean square */
    double trust;               /* lars, larc: share of the weights' norm in a step */
    bool plain;                 /* lars, larc, lamb: no rate of its own for these tensors */
} nacre_update_options;

/* One node each, whose result is only a token to order by. Formulas: `nacre op NAME`. Moments per weight: sgd, lars,
 * larc 1 (sgd without momentum none), adagrad and lion 1, rmsprop 1 and one each if centred and with momentum, the
 * others 2, with amsgrad 3. */
typedef nacre_tensor *nacre_update_function(const nacre_update_operands *operands, const nacre_update_options *options);
NACRE_API nacre_update_function nacre_sgd_update, nacre_adam_update, nacre_adamw_update, nacre_nadam_update,
    nacre_radam_update, nacre_adamax_update, nacre_adagrad_update, nacre_adadelta_update, nacre_rmsprop_update,
    nacre_lars_update, nacre_larc_update, nacre_lamb_update, nacre_lion_update;
/* pairs[2 i] is a weight, pairs[2 i + 1] its average: average += mix (weight - average), and with `back` the weight
 * becomes the average (Lookahead). `mix` is a scalar; 0 changes nothing. */
NACRE_API nacre_tensor *nacre_average_weights(nacre_tensor *mix, nacre_tensor *const *pairs, int count, bool back);
/* The Euclidean norm of all elements of all tensors, and min(1, largest / (norm + 1e-6)). */
NACRE_API nacre_tensor *nacre_global_norm(nacre_tensor *const *tensors, int count);
NACRE_API nacre_tensor *nacre_clip_coefficient(nacre_tensor *norm, double largest);

/* ---- state ------------------------------------------------------------------------------------------------------ */

/* `target` is a model entry (nacre_model_tensor). Nodes built before see the old value, nodes built after the new. */
NACRE_API nacre_tensor *nacre_assign(nacre_tensor *target, nacre_tensor *value);
/* target = (1 - weight) target + weight * scale * value. */
NACRE_API nacre_tensor *nacre_assign_lerp(nacre_tensor *target, nacre_tensor *value, double weight, double scale);
/* target[..., start + i, ...] = value[..., i, ...] along an axis, where `start` is a scalar i64 tensor. Positions
 * outside the target are left out. */
NACRE_API nacre_tensor *nacre_assign_slice(nacre_tensor *target, nacre_tensor *value, nacre_tensor *start, int axis);

#ifdef __cplusplus
}
#endif

#endif

/* nn.h - layers, initialisers, losses.
 *
 * A model is a plain C function that builds a graph; its parameters live at paths:
 *
 *     static nacre_tensor *block(nacre_scope s, nacre_tensor *x, int channels)
 *     {
 *         nacre_tensor *h = nacre_relu(nacre_conv2d(nacre_in(s, "conv1"), x, channels, 3, NULL));
 *         h = nacre_conv2d(nacre_in(s, "conv2"), h, channels, 3, NULL);
 *         return nacre_relu(nacre_add(h, x));
 *     }
 *
 * nacre_in extends the path; the layer gets or creates "layer1.0.conv1.weight" in the model. Names, shapes and default
 * initialisation are PyTorch's, so published weights load by name. In a frozen model (model.h) an unknown name is an
 * error. Options are const structs where zero means default; NULL is all defaults.
 */
#ifndef NACRE_NN_H
#define NACRE_NN_H

#include <nacre/model.h>
#include <nacre/ops.h>

#ifdef __cplusplus
extern "C" {
#endif

/* ---- scopes ----------------------------------------------------------------------------------------------------- */

#define NACRE_PATH_SIZE 160

/* Where a layer stands: passed by value, cheap to extend. */
typedef struct nacre_scope {
    nacre_graph *graph;
    nacre_model *model;
    nacre_dtype dtype; /* of new parameters; f32. See "16-bit weights" */
    bool training;     /* dropout draws, batch statistics are used and recorded */
    char path[NACRE_PATH_SIZE];
} nacre_scope;

/* 16-bit weights: with `dtype` NACRE_BF16 or NACRE_F16 new parameters of two or more axes are stored in 16 bits, the
 * others and all buffers in f32. Loading a file into such a model converts weight by weight, so f32 weights never stand
 * beside them. They enter the graph as f32; where the graph's precision is the same type (nacre_graph_set_precision),
 * products and look-ups read the 16 bits as they lie, and what follows from them stays in 16 bits. For inference and
 * generation: optimizers update f32 parameters. */
NACRE_API nacre_scope nacre_root(nacre_graph *graph, nacre_model *model, bool training);
/* "layer1" + "0.conv1" -> "layer1.0.conv1"; an empty name changes nothing. */
NACRE_API nacre_scope nacre_in(nacre_scope scope, const char *name);
/* The same with a number: nacre_at(s, 3) -> "layer1.3". */
NACRE_API nacre_scope nacre_at(nacre_scope scope, int index);

/* The scalar i64 input "seed" that random operations of this graph draw from; made when first asked for. Feed it a new
 * value each step. NULL if the graph has none yet and `create` is false. */
NACRE_API nacre_tensor *nacre_seed(nacre_graph *graph, bool create);

/* ---- initialisers ------------------------------------------------------------------------------------------------ */

/* Fans are PyTorch's: of a weight [out, in, k...], fan_in = in * k..., fan_out = out * k.... Numbers come from Philox,
 * keyed by the model's seed and the parameter's path. */
typedef enum nacre_init_kind {
    NACRE_INIT_DEFAULT,          /* what the layer's documentation says */
    NACRE_INIT_CONSTANT,         /* a everywhere */
    NACRE_INIT_UNIFORM,          /* [a, b) */
    NACRE_INIT_NORMAL,           /* mean a, standard deviation b */
    NACRE_INIT_TRUNCATED_NORMAL, /* the same, redrawn outside mean +- 2 standard deviations */
    NACRE_INIT_XAVIER_UNIFORM,   /* gain a (0: 1): +- a sqrt(6 / (fan_in + fan_out)); Glorot and Bengio 2010 */
    NACRE_INIT_XAVIER_NORMAL,    /* standard deviation a sqrt(2 / (fan_in + fan_out)) */
    NACRE_INIT_KAIMING_UNIFORM,  /* negative slope a: +- sqrt(6 / ((1 + a^2) fan_in)); He et al. 2015 */
    NACRE_INIT_KAIMING_NORMAL,   /* standard deviation sqrt(2 / ((1 + a^2) fan)); fan_out if b != 0 */
    NACRE_INIT_ORTHOGONAL        /* rows or columns orthonormal, times gain a (0: 1); Saxe et al. 2014 */
} nacre_init_kind;

typedef struct nacre_init {
    nacre_init_kind kind;
    double a, b;
} nacre_init;

/* Fills memory as an initialiser would fill a parameter of this path and shape. */
NACRE_API nacre_status nacre_initialise(nacre_context *context, nacre_init init, uint64_t seed, const char *path,
                                        nacre_dtype dtype, nacre_shape shape, void *data);

/* Gets or creates an entry at path + "." + name and returns its tensor; the shape must agree. */
NACRE_API nacre_tensor *nacre_parameter(nacre_scope scope, const char *name, nacre_shape shape, nacre_init init);
NACRE_API nacre_tensor *nacre_state_buffer(nacre_scope scope, const char *name, nacre_shape shape, double value);

/* ---- layers ------------------------------------------------------------------------------------------------------ */

typedef struct nacre_linear_options {
    bool no_bias;
    nacre_init weight, bias; /* default: U(+- 1/sqrt(in)) both */
} nacre_linear_options;
/* x [..., in] -> [..., features]. "weight" [features, in], "bias" [features]. */
NACRE_API nacre_tensor *nacre_linear(nacre_scope scope, nacre_tensor *x, int64_t features,
                                     const nacre_linear_options *options);

typedef struct nacre_conv_layer_options {
    int64_t stride;   /* 0: 1 */
    int64_t padding;  /* each side; 0: dilation * (kernel - 1) / 2, which keeps the size at stride 1 for odd kernels */
    bool valid;       /* no padding */
    int64_t dilation; /* 0: 1 */
    int64_t groups;   /* 0: 1 */
    int64_t output_padding; /* transposed convolution: added to one side of the result */
    bool no_bias;
    nacre_init weight, bias; /* default: U(+- 1/sqrt(fan_in)) both */
} nacre_conv_layer_options;
/* x [N, in, ...] -> [N, channels, ...]. "weight" [channels, in / groups, kernel...], "bias" [channels]. */
NACRE_API nacre_tensor *nacre_conv1d(nacre_scope scope, nacre_tensor *x, int64_t channels, int64_t kernel,
                                     const nacre_conv_layer_options *options);
NACRE_API nacre_tensor *nacre_conv2d(nacre_scope scope, nacre_tensor *x, int64_t channels, int64_t kernel,
                                     const nacre_conv_layer_options *options);
NACRE_API nacre_tensor *nacre_conv3d(nacre_scope scope, nacre_tensor *x, int64_t channels, int64_t kernel,
                                     const nacre_conv_layer_options *options);
/* The transpose of conv2d (rank of x decides: 1d, 2d, 3d). "weight" [in, channels / groups, kernel...]. Without
 * padding unless asked for. */
NACRE_API nacre_tensor *nacre_conv_transpose(nacre_scope scope, nacre_tensor *x, int64_t channels, int64_t kernel,
                                             const nacre_conv_layer_options *options);

typedef struct nacre_norm_options {
    double eps;      /* 0: 1e-5 */
    double momentum; /* of running statistics, 0: 0.1 (PyTorch's sense: weight of the new value) */
    bool no_affine;  /* no weight and bias */
} nacre_norm_options;
/* x [N, C, ...]: over all axes but C. "weight", "bias" [C], buffers "running_mean", "running_var". */
NACRE_API nacre_tensor *nacre_batch_norm(nacre_scope scope, nacre_tensor *x, const nacre_norm_options *options);
/* Over the last `axes` axes. "weight", "bias" of their shape. */
NACRE_API nacre_tensor *nacre_layer_norm(nacre_scope scope, nacre_tensor *x, int axes,
                                         const nacre_norm_options *options);
NACRE_API nacre_tensor *nacre_group_norm(nacre_scope scope, nacre_tensor *x, int64_t groups,
                                         const nacre_norm_options *options);
NACRE_API nacre_tensor *nacre_instance_norm(nacre_scope scope, nacre_tensor *x, const nacre_norm_options *options);
/* Over the last axis, no mean, no bias. "weight". eps 0: 1e-6. */
NACRE_API nacre_tensor *nacre_rms_norm(nacre_scope scope, nacre_tensor *x, const nacre_norm_options *options);

typedef struct nacre_embedding_options {
    nacre_init weight; /* default: N(0, 1) */
} nacre_embedding_options;
/* ids (i64 or i32) [...] -> [..., width]. "weight" [count, width]. */
NACRE_API nacre_tensor *nacre_embedding(nacre_scope scope, nacre_tensor *ids, int64_t count, int64_t width,
                                        const nacre_embedding_options *options);
/* Zeroes each element with probability p and scales the others by 1 / (1 - p), in training only. */
NACRE_API nacre_tensor *nacre_dropout(nacre_scope scope, nacre_tensor *x, double p);
/* The same with one draw for each channel of each sample: x [N, C, ...] with any number of axes behind, what others
 * call Dropout1d, 2d and 3d (Tompson et al. 2015). */
NACRE_API nacre_tensor *nacre_channel_dropout(nacre_scope scope, nacre_tensor *x, double p);
/* The same with one draw for each sample of x [N, ...]: around a residual branch, stochastic depth (Huang et al. 2016).
 */
NACRE_API nacre_tensor *nacre_drop_path(nacre_scope scope, nacre_tensor *x, double p);
/* The probability of block 0 .. blocks - 1 by the linear rule: from 0 in the first to `last` in the last. */
NACRE_API double nacre_drop_path_rate(double last, int64_t block, int64_t blocks);
/* In training mean + exp(log_variance / 2) times fresh standard normal numbers, so that gradients reach both; else the
 * mean (Kingma and Welling 2013). */
NACRE_API nacre_tensor *nacre_draw_latent(nacre_scope scope, nacre_tensor *mean, nacre_tensor *log_variance);

/* Scaled dot-product attention of several heads, each over its part of the width: q [N, T, width], k and v [N, S,
 * width]
 * -> [N, T, width]. `mask` as in nacre_scaled_dot_product_attention, broadcast to [N, heads, T, S]; NULL: none. */
NACRE_API nacre_tensor *nacre_attend(nacre_tensor *q, nacre_tensor *k, nacre_tensor *v, int64_t heads,
                                     nacre_tensor *mask, bool causal);

typedef struct nacre_attention_options {
    bool causal;
    bool no_bias;
    nacre_tensor *mask; /* added to the scores, broadcast to [N, heads, T, S]; NULL: none */
    /* Generation (see nacre_attend_cached): where x stands in its sequence, a scalar i64 tensor, and how long that
     * may become. Causal by nature; takes no mask. */
    nacre_tensor *position;
    int64_t capacity;
} nacre_attention_options;
/* Multi-head self-attention over x [N, T, width], torch.nn.MultiheadAttention's names: "in_proj_weight" [3 width,
 * width], "in_proj_bias", "out_proj.weight", "out_proj.bias" (Vaswani et al. 2017). */
NACRE_API nacre_tensor *nacre_multi_head_attention(nacre_scope scope, nacre_tensor *x, int64_t heads,
                                                   const nacre_attention_options *options);
/* Causal attention of T new positions, the first of which is `position` (a scalar i64 tensor), to all up to themselves;
 * q, k and v as for nacre_attend. The scope keeps the keys and values of up to `capacity` positions in "key_cache" and
 * "value_cache" [N, heads, capacity, width / heads], which are no part of a saved model. What lies beyond the capacity
 * is lost. Not for training: no gradient flows to k and v. */
NACRE_API nacre_tensor *nacre_attend_cached(nacre_scope scope, nacre_tensor *q, nacre_tensor *k, nacre_tensor *v,
                                            int64_t heads, nacre_tensor *position, int64_t capacity);

typedef struct nacre_recurrent_options {
    int64_t layers; /* 0: 1 */
    bool bidirectional;
    bool no_bias;
    double dropout; /* between layers, in training */
    bool unrolled;  /* nodes for each step instead of one for all: slower, but with second derivatives */
} nacre_recurrent_options;
/* x [N, T, in] -> [N, T, hidden * directions], zero initial state. torch's names and gate order: "weight_ih_l0",
 * "weight_hh_l0", "bias_ih_l0", "bias_hh_l0", "..._reverse"; U(+- 1/sqrt(hidden)). */
NACRE_API nacre_tensor *nacre_rnn(nacre_scope scope, nacre_tensor *x, int64_t hidden,
                                  const nacre_recurrent_options *options);
NACRE_API nacre_tensor *nacre_lstm(nacre_scope scope, nacre_tensor *x, int64_t hidden,
                                   const nacre_recurrent_options *options);
NACRE_API nacre_tensor *nacre_gru(nacre_scope scope, nacre_tensor *x, int64_t hidden,
                                  const nacre_recurrent_options *options);

/* ---- losses (all scalars, means unless stated) --------------------------------------------------------------------
 */

typedef struct nacre_cross_entropy_options {
    double label_smoothing;
    nacre_tensor *weight; /* per class [C], NULL: all 1 */
    bool ignore;          /* positions whose target is ignore_index do not count */
    int64_t ignore_index;
} nacre_cross_entropy_options;
/* logits [N, C, ...], target class ids [N, ...]: the (weighted) mean over counted positions, as
 * torch.nn.functional.cross_entropy. As there, the target may also be a distribution over the classes, of the logits'
 * type and shape: then the loss is the mean over positions of -sum of weight[c] target[c] log p[c], smoothing mixes the
 * target with the even distribution, and `ignore` is refused. */
NACRE_API nacre_tensor *nacre_cross_entropy(nacre_tensor *logits, nacre_tensor *target,
                                            const nacre_cross_entropy_options *options);
NACRE_API nacre_tensor *nacre_mse_loss(nacre_tensor *prediction, nacre_tensor *target);
NACRE_API nacre_tensor *nacre_l1_loss(nacre_tensor *prediction, nacre_tensor *target);
/* Quadratic below delta, linear above (Huber 1964). smooth_l1 is huber / beta. */
NACRE_API nacre_tensor *nacre_huber_loss(nacre_tensor *prediction, nacre_tensor *target, double delta);
NACRE_API nacre_tensor *nacre_smooth_l1_loss(nacre_tensor *prediction, nacre_tensor *target, double beta);
/* Binary cross-entropy from logits, stable for any magnitude; target in [0, 1]. */
NACRE_API nacre_tensor *nacre_bce_with_logits_loss(nacre_tensor *logits, nacre_tensor *target);
/* Sum of target (log target - log_prediction) over all but the first axis, mean over the first ("batchmean"). */
NACRE_API nacre_tensor *nacre_kl_divergence_loss(nacre_tensor *log_prediction, nacre_tensor *target);
/* -log_probabilities[n, target[n]], mean. */
NACRE_API nacre_tensor *nacre_nll_loss(nacre_tensor *log_probabilities, nacre_tensor *target);

#ifdef __cplusplus
}
#endif

#endif

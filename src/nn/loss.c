/* nn/loss.c - losses as expressions of simpler operations. */
#include "nn/layer.h"

static nacre_tensor *like(nacre_tensor *x, double value)
{
    return nacre_full(nacre_tensor_graph(x), nacre_tensor_dtype(x), NACRE_SCALAR, value);
}

static nacre_tensor *mean(nacre_tensor *x)
{
    int64_t count = nacre_tensor_count(x);
    return x ? nacre_mul(nacre_sum(x, NULL), like(x, count ? 1 / (double)count : 0)) : NULL;
}

/* Prediction and target must have one shape: broadcasting here hides mistakes. */
static nacre_tensor *difference(const char *loss, nacre_tensor *prediction, nacre_tensor *target)
{
    nacre_shape a = nacre_tensor_shape(prediction), b = nacre_tensor_shape(target);
    if (prediction && target && !nacre_shape_equal(a, b)) {
        char got[NACRE_SHAPE_TEXT_SIZE], want[NACRE_SHAPE_TEXT_SIZE];
        nacre_fail(nacre_graph_context(nacre_tensor_graph(prediction)), NACRE_ERROR_SHAPE,
                   "%s: the model's output is %s, the target %s", loss, nacre_shape_text(a, got),
                   nacre_shape_text(b, want));
        return NULL;
    }
    return nacre_sub(prediction, target);
}

/* Weights [C] for logits [N, C, ...]. */
static nacre_tensor *per_class(nacre_tensor *weight, nacre_tensor *logits)
{
    nacre_shape shape = {.rank = nacre_tensor_rank(logits)};
    for (int i = 0; i < shape.rank; i++) shape.dims[i] = i == 1 ? nacre_tensor_dim(logits, 1) : 1;
    return nacre_reshape(weight, shape);
}

/* The target is a distribution. */
static nacre_tensor *soft_cross_entropy(nacre_tensor *logits, nacre_tensor *target, nacre_cross_entropy_options chosen)
{
    int64_t classes = nacre_tensor_dim(logits, 1), positions = classes ? nacre_tensor_count(logits) / classes : 0;
    double smoothing = chosen.label_smoothing;
    if (chosen.ignore) {
        nacre_fail(nacre_graph_context(nacre_tensor_graph(logits)), NACRE_ERROR_ARGUMENT,
                   "cross_entropy: a distribution as target has no class to ignore");
        return NULL;
    }
    if (!difference("cross_entropy", logits, target)) return NULL;
    if (smoothing != 0) {
        nacre_tensor *kept = nacre_mul(target, like(target, 1 - smoothing));
        target = nacre_add(kept, like(target, smoothing / (double)classes));
    }
    if (chosen.weight) target = nacre_mul(target, per_class(chosen.weight, logits));
    nacre_tensor *each = nacre_mul(target, nacre_log_softmax(logits, 1));
    return nacre_mul(nacre_sum(each, NULL), like(logits, positions ? -1 / (double)positions : 0));
}

nacre_tensor *nacre_cross_entropy(nacre_tensor *logits, nacre_tensor *target,
                                  const nacre_cross_entropy_options *options)
{
    nacre_cross_entropy_options chosen = options ? *options : (nacre_cross_entropy_options){0};
    if (logits && target && nacre_dtype_is_float(nacre_tensor_dtype(target)))
        return soft_cross_entropy(logits, target, chosen);
    nacre_tensor *losses = nacre_cross_entropy_with(logits, target, chosen.weight, chosen.label_smoothing,
                                                    chosen.ignore ? chosen.ignore_index : INT64_MIN);
    if (!chosen.weight && !chosen.ignore) return mean(losses);
    return nacre_div(nacre_sum(losses, NULL), nacre_sum(nacre_tensor_sibling(losses, 2), NULL));
}

nacre_tensor *nacre_mse_loss(nacre_tensor *prediction, nacre_tensor *target)
{
    nacre_tensor *error = difference("mse", prediction, target);
    return mean(nacre_mul(error, error));
}

nacre_tensor *nacre_l1_loss(nacre_tensor *prediction, nacre_tensor *target)
{
    return mean(nacre_abs(difference("l1", prediction, target)));
}

/* With c = min(|e|, delta): c (|e| - c / 2). */
nacre_tensor *nacre_huber_loss(nacre_tensor *prediction, nacre_tensor *target, double delta)
{
    nacre_tensor *size = nacre_abs(difference("huber", prediction, target));
    if (!size) return NULL;
    nacre_tensor *clipped = nacre_minimum(size, like(size, delta));
    return mean(nacre_mul(clipped, nacre_sub(size, nacre_mul(clipped, like(size, 0.5)))));
}

nacre_tensor *nacre_smooth_l1_loss(nacre_tensor *prediction, nacre_tensor *target, double beta)
{
    if (beta == 0) return nacre_l1_loss(prediction, target);
    nacre_tensor *huber = nacre_huber_loss(prediction, target, beta);
    return huber ? nacre_mul(huber, like(huber, 1 / beta)) : NULL;
}

/* -t log s - (1 - t) log(1 - s) with s = sigmoid(x) is (1 - t) x - log s, which is smooth where |x| is not. */
nacre_tensor *nacre_bce_with_logits_loss(nacre_tensor *logits, nacre_tensor *target)
{
    if (!difference("bce_with_logits", logits, target)) return NULL;
    nacre_tensor *rest = nacre_sub(like(target, 1), target);
    return mean(nacre_sub(nacre_mul(rest, logits), nacre_log_sigmoid(logits)));
}

/* t log t is 0 at t = 0: the logarithm is taken of the target where it is positive. */
nacre_tensor *nacre_kl_divergence_loss(nacre_tensor *log_prediction, nacre_tensor *target)
{
    if (!difference("kl_divergence", log_prediction, target)) return NULL;
    nacre_tensor *one = like(target, 1), *zero = like(target, 0);
    nacre_tensor *safe = nacre_where(nacre_greater(target, zero), target, one);
    nacre_tensor *each = nacre_mul(target, nacre_sub(nacre_log(safe), log_prediction));
    int64_t rows = nacre_tensor_dim(target, 0);
    return nacre_mul(nacre_sum(each, NULL), like(target, rows > 0 ? 1 / (double)rows : 1));
}

nacre_tensor *nacre_nll_loss(nacre_tensor *log_probabilities, nacre_tensor *target)
{
    if (!log_probabilities || !target) return NULL;
    nacre_shape shape = nacre_tensor_shape(target);
    nacre_tensor *index = nacre_reshape(target, NACRE_SHAPE(shape.rank ? shape.dims[0] : 1, 1));
    return nacre_neg(mean(nacre_gather(log_probabilities, index, 1)));
}

/* ops/cross_entropy.c - the loss of classification, from logits and class ids.
 *
 * With p = softmax(x), K classes, class weights w, label smoothing e and target t (PyTorch's definition):
 *     loss = (1 - e) w[t] (-log p[t]) + e / K sum over c of w[c] (-log p[c])
 *     d loss / d x[c] = a p[c] - b[c],  b[c] = (1 - e) w[t] [c = t] + e / K w[c],  a = sum of b
 */
#include "ops/rows.h"

#include <math.h>

enum { LABEL_SMOOTHING, IGNORE_INDEX, WORDS };
enum { CLASSES = 1 }; /* the axis */

/* ---- shape rules ---- */

static nacre_shape without_classes(nacre_shape logits)
{
    for (int i = CLASSES; i + 1 < logits.rank; i++) logits.dims[i] = logits.dims[i + 1];
    logits.rank--;
    return logits;
}

static nacre_status check_operands(nacre_shape_call *call, nacre_tensor *logits, nacre_tensor *target,
                                   nacre_tensor *weight)
{
    nacre_shape x = nacre_tensor_shape(logits), t = nacre_tensor_shape(target);
    nacre_dtype dtype = nacre_tensor_dtype(target);
    char got[NACRE_SHAPE_TEXT_SIZE], want[NACRE_SHAPE_TEXT_SIZE];
    if (x.rank < 2)
        return nacre_shape_fail(call, NACRE_ERROR_SHAPE, "logits are %s, expected [N, classes, ...]",
                                nacre_shape_text(x, got));
    if (dtype != NACRE_I64 && dtype != NACRE_I32)
        return nacre_shape_fail(call, NACRE_ERROR_DTYPE, "targets are %s, expected class ids in i64 or i32",
                                nacre_dtype_name(dtype));
    if (!nacre_shape_equal(t, without_classes(x)))
        return nacre_shape_fail(call, NACRE_ERROR_SHAPE, "targets are %s, logits %s expect %s",
                                nacre_shape_text(t, got), nacre_shape_text(x, (char[NACRE_SHAPE_TEXT_SIZE]){0}),
                                nacre_shape_text(without_classes(x), want));
    if (weight && !nacre_shape_equal(nacre_tensor_shape(weight), NACRE_SHAPE(x.dims[CLASSES])))
        return nacre_shape_fail(call, NACRE_ERROR_SHAPE, "weight is %s, expected one per class, [%lld]",
                                nacre_shape_text(nacre_tensor_shape(weight), got), (long long)x.dims[CLASSES]);
    if (weight && nacre_tensor_dtype(weight) != nacre_tensor_dtype(logits))
        return nacre_shape_fail(call, NACRE_ERROR_DTYPE, "logits are %s, weight is %s",
                                nacre_dtype_name(nacre_tensor_dtype(logits)),
                                nacre_dtype_name(nacre_tensor_dtype(weight)));
    double smoothing = nacre_unword(call->attributes[LABEL_SMOOTHING]);
    if (!(smoothing >= 0 && smoothing <= 1))
        return nacre_shape_fail(call, NACRE_ERROR_ARGUMENT, "label_smoothing is %g, expected 0 to 1", smoothing);
    return NACRE_OK;
}

static nacre_status shape(nacre_shape_call *call)
{
    nacre_status status = nc_need_float(call);
    if (!status)
        status = check_operands(call, call->inputs[0], call->inputs[1], call->input_count > 2 ? call->inputs[2] : NULL);
    for (int i = 0; i < call->output_count; i++) {
        call->shapes[i] = without_classes(nacre_tensor_shape(call->inputs[0]));
        call->dtypes[i] = nacre_tensor_dtype(call->inputs[0]);
    }
    return status;
}

static nacre_status backward_shape(nacre_shape_call *call)
{
    nacre_tensor *dloss = call->inputs[0], *logits = call->inputs[1], *target = call->inputs[2];
    nacre_status status = nc_need_float(call);
    if (!status) status = check_operands(call, logits, target, call->input_count > 4 ? call->inputs[4] : NULL);
    if (status) return status;
    for (int i = 0; i <= 3; i += 3)
        if (!nacre_shape_equal(nacre_tensor_shape(call->inputs[i]), nacre_tensor_shape(target)) ||
            nacre_tensor_dtype(call->inputs[i]) != nacre_tensor_dtype(logits))
            return nacre_shape_fail(call, NACRE_ERROR_SHAPE,
                                    "dloss and logsumexp must be shaped like the targets and of "
                                    "the logits' type");
    call->shapes[0] = nacre_tensor_shape(logits);
    call->dtypes[0] = nacre_tensor_dtype(dloss);
    return NACRE_OK;
}

/* ---- gradient rules ---- */

static nacre_shape with_one_class(nacre_tensor *logits)
{
    nacre_shape shape = nacre_tensor_shape(logits);
    shape.dims[CLASSES] = 1;
    return shape;
}

static nacre_tensor *class_ids(nacre_graph *graph, nacre_tensor *logits, nacre_dtype dtype)
{
    nacre_context *context = nacre_graph_context(graph);
    int64_t classes = nacre_tensor_dim(logits, CLASSES);
    nacre_shape shape = {.rank = nacre_tensor_rank(logits)};
    for (int i = 0; i < shape.rank; i++) shape.dims[i] = i == CLASSES ? classes : 1;
    void *ids = nacre_allocate(context, (size_t)classes * nacre_dtype_size(dtype));
    for (int64_t c = 0; ids && c < classes; c++) nacre_dtype_store(dtype, ids, c, (double)c);
    nacre_tensor *constant = nacre_constant(graph, dtype, shape, ids);
    nacre_release(context, ids);
    return constant;
}

/* (1 - e) [c = t] + e / K, 0 where ignored: [N, classes, ...]. */
static nacre_tensor *shares(nacre_graph *graph, nacre_tensor *logits, nacre_tensor *target, const int64_t *attributes,
                            double smoothing)
{
    nacre_dtype real = nacre_tensor_dtype(logits), id = nacre_tensor_dtype(target);
    nacre_tensor *t = nacre_reshape(target, with_one_class(logits));
    nacre_tensor *ignored = nacre_full(graph, id, NACRE_SCALAR, (double)attributes[IGNORE_INDEX]);
    nacre_tensor *counted = nacre_cast(nacre_not_equal(t, ignored), real);
    nacre_tensor *share = nacre_cast(nacre_equal(t, class_ids(graph, logits, id)), real);
    if (smoothing != 0) {
        double everywhere = smoothing / (double)nacre_tensor_dim(logits, CLASSES);
        share = nacre_add_scalar(nacre_mul_scalar(share, 1 - smoothing), everywhere);
    }
    return nacre_mul(share, counted);
}

static nacre_tensor *per_class(nacre_tensor *weight, nacre_tensor *logits)
{
    nacre_shape shape = {.rank = nacre_tensor_rank(logits) - 1, .dims = {nacre_tensor_dim(logits, CLASSES)}};
    for (int i = 1; i < shape.rank; i++) shape.dims[i] = 1;
    return nacre_reshape(weight, shape);
}

static nacre_tensor *logits_gradient(nacre_gradient_call *call)
{
    nacre_tensor *logits = call->inputs[0], *weight = call->input_count > 2 ? call->inputs[2] : NULL;
    nacre_tensor *dloss = call->output_grads[0], *dlogsumexp = call->output_grads[1], *sum = NULL;
    if (dloss)
        sum = nacre_apply(call->graph, &nc_op_cross_entropy_backward,
                          (nacre_tensor *[]){dloss, logits, call->inputs[1], call->outputs[1], weight}, 5,
                          call->attributes);
    if (!dlogsumexp) return sum;
    nacre_tensor *part = nacre_mul(nacre_reshape(dlogsumexp, with_one_class(logits)), nacre_softmax(logits, CLASSES));
    return sum ? nacre_add(sum, part) : part;
}

/* The loss is linear in the class weights, and so is the third result. */
static nacre_tensor *weight_gradient(nacre_gradient_call *call)
{
    nacre_tensor *logits = call->inputs[0], *target = call->inputs[1], *sum = NULL;
    nacre_tensor *dloss = call->output_grads[0], *dcounted = call->output_grads[2];
    double smoothing = nacre_unword(call->attributes[LABEL_SMOOTHING]);
    nacre_shape single = with_one_class(logits);
    if (dloss) {
        nacre_tensor *minus_log_p = nacre_sub(nacre_reshape(call->outputs[1], single), logits);
        sum = nacre_mul(shares(call->graph, logits, target, call->attributes, smoothing), minus_log_p);
        sum = nacre_mul(sum, nacre_reshape(dloss, single));
    }
    if (dcounted) {
        nacre_tensor *part = shares(call->graph, logits, target, call->attributes, 0);
        part = nacre_mul(part, nacre_reshape(dcounted, single));
        sum = sum ? nacre_add(sum, part) : part;
    }
    return sum ? nacre_reshape(nc_sum_to(sum, per_class(call->inputs[2], logits)), NACRE_SHAPE(-1)) : NULL;
}

static void gradient(nacre_gradient_call *call)
{
    if (call->wanted[0]) call->input_grads[0] = logits_gradient(call);
    if (call->input_count > 2 && call->wanted[2]) call->input_grads[2] = weight_gradient(call);
}

static void backward_expand(nacre_graph *graph, nacre_tensor *const *inputs, int input_count, const int64_t *attributes,
                            nacre_tensor **outputs)
{
    nacre_tensor *logits = inputs[1], *weight = input_count > 4 ? inputs[4] : NULL;
    nacre_shape single = with_one_class(logits);
    nacre_tensor *dloss = nacre_reshape(inputs[0], single);
    nacre_tensor *p = nacre_exp(nacre_sub(logits, nacre_reshape(inputs[3], single)));
    nacre_tensor *b = shares(graph, logits, inputs[2], attributes, nacre_unword(attributes[LABEL_SMOOTHING]));
    if (weight) b = nacre_mul(b, per_class(weight, logits));
    outputs[0] = nacre_mul(dloss, nacre_sub(nacre_mul(nc_sum_along(b, CLASSES), p), b));
}

/* ---- reference kernels ---- */

typedef struct target_row {
    int64_t target;
    double weight;   /* of the target; 0 where ignored, NaN for a target that is no class */
    double smoothed; /* sum of all class weights times e / K, 0 where ignored */
    double smoothing;
} target_row;

static double class_weight(const nacre_view *weight, int64_t class)
{
    return weight ? nc_get(weight, class * weight->strides[0]) : 1;
}

static target_row read_row(const int64_t *attributes, const nacre_view *target, const nacre_view *weight,
                           int64_t classes, const int64_t *at)
{
    int64_t t = (int64_t)nc_get(target, nc_offset(target, at));
    target_row row = {.target = t, .smoothing = nacre_unword(attributes[LABEL_SMOOTHING])};
    if (t == attributes[IGNORE_INDEX]) return row;
    row.weight = t >= 0 && t < classes ? class_weight(weight, t) : NAN;
    for (int64_t c = 0; c < classes; c++) row.smoothed += row.smoothing / (double)classes * class_weight(weight, c);
    return row;
}

/* Steps through the positions [N, ...]; `start` is the same position in the logits, class 0. */
static void position_of(const int64_t *start, int rank, int64_t *at)
{
    for (int i = 0, k = 0; i < rank; i++)
        if (i != CLASSES) at[k++] = start[i];
}

static void reference(const nacre_call *call)
{
    const nacre_view *x = &call->inputs[0], *weight = nc_optional(call, 2), *loss = &call->outputs[0];
    nacre_shape starts = nc_line_starts(&x->shape, CLASSES);
    int64_t start[NACRE_MAX_RANK] = {0}, at[NACRE_MAX_RANK], classes = x->shape.dims[CLASSES];
    if (nc_count(loss) == 0) return;
    do {
        position_of(start, x->shape.rank, at);
        target_row row = read_row(call->attributes, &call->inputs[1], weight, classes, at);
        int64_t line = nc_offset(x, start);
        double log_sum = nc_logsumexp_along(x, line, CLASSES), value = 0;
        if (row.weight != row.weight)
            value = NAN;
        else if (row.weight != 0)
            value = (1 - row.smoothing) * row.weight * (log_sum - nc_get_along(x, line, CLASSES, row.target));
        for (int64_t c = 0; row.smoothed != 0 && c < classes; c++)
            value += row.smoothing / (double)classes * class_weight(weight, c) *
                     (log_sum - nc_get_along(x, line, CLASSES, c));
        nc_set(loss, nc_offset(loss, at), value);
        nc_set(&call->outputs[1], nc_offset(&call->outputs[1], at), log_sum);
        nc_set(&call->outputs[2], nc_offset(&call->outputs[2], at), row.weight);
    } while (nc_next(&starts, start));
}

static void backward_reference(const nacre_call *call)
{
    const nacre_view *dloss = &call->inputs[0], *x = &call->inputs[1], *log_sums = &call->inputs[3];
    const nacre_view *weight = nc_optional(call, 4), *dx = &call->outputs[0];
    nacre_shape starts = nc_line_starts(&x->shape, CLASSES);
    int64_t start[NACRE_MAX_RANK] = {0}, at[NACRE_MAX_RANK], classes = x->shape.dims[CLASSES];
    if (nc_count(dx) == 0) return;
    do {
        position_of(start, x->shape.rank, at);
        target_row row = read_row(call->attributes, &call->inputs[2], weight, classes, at);
        double d = nc_get(dloss, nc_offset(dloss, at)), log_sum = nc_get(log_sums, nc_offset(log_sums, at));
        double on_target = (1 - row.smoothing) * row.weight, all = on_target + row.smoothed;
        for (int64_t c = 0; c < classes; c++) {
            double p = exp(nc_get_along(x, nc_offset(x, start), CLASSES, c) - log_sum);
            double b = row.smoothed == 0 ? 0 : row.smoothing / (double)classes * class_weight(weight, c);
            if (c == row.target) b += on_target;
            nc_set_along(dx, nc_offset(dx, start), CLASSES, c, all == 0 ? 0 : d * (all * p - b));
        }
    } while (nc_next(&starts, start));
}

/* ---- descriptors ---- */

static const char *const CASES[] = {"logits=6x5 target=6:i64@0..4",
                                    "logits=6x5 target=6:i32@0..4",
                                    "logits=9x5 target=9:i64@0..4 ignore_index=2",
                                    "logits=6x5 target=6:i64@0..4 label_smoothing=0.1",
                                    "logits=9x5 target=9:i64@0..4 weight=5@0.5..2",
                                    "logits=9x5 target=9:i64@0..4 weight=5@0.5..2 label_smoothing=0.2 ignore_index=1",
                                    "logits=2x4x3x3 target=2x3x3:i64@0..3",
                                    "logits=2x4x3x5 target=2x3x5:i64@0..3 weight=4@0.5..2 label_smoothing=0.3",
                                    "logits=2x4x3 target=2x3:i64@0..3 ignore_index=0",
                                    "logits=6x5 target=6:i64@-1..5 !grad",
                                    "logits=6x1 target=6:i64@0..0",
                                    "logits=5x40@-200..200 target=5:i64@0..39",
                                    "logits=128x10 target=128:i64@0..9 !grad",
                                    "logits=0x5 target=0:i64@0..4",
                                    NULL};
static const char *const BACKWARD_CASES[] = {
    "dloss=6 logits=6x5 target=6:i64@0..4 logsumexp=6@1..2",
    "dloss=6 logits=6x5 target=6:i32@0..4 logsumexp=6@1..2 label_smoothing=0.1",
    "dloss=9 logits=9x5 target=9:i64@0..4 logsumexp=9@1..2 weight=5@0.5..2 label_smoothing=0.2 ignore_index=1",
    "dloss=2x3x5 logits=2x4x3x5 target=2x3x5:i64@0..3 logsumexp=2x3x5@1..2 ignore_index=2",
    "dloss=6 logits=6x5 target=6:i64@-1..5 logsumexp=6@1..2 !grad",
    "dloss=128 logits=128x10 target=128:i64@0..9 logsumexp=128@1..2 !grad",
    NULL};

#define SCHEMA                                                                                                         \
    {                                                                                                                  \
        {"label_smoothing", NACRE_ATTRIBUTE_FLOAT, 0, .doc = "part e of the target that is spread over all classes"},  \
        {                                                                                                              \
            "ignore_index", NACRE_ATTRIBUTE_INT, -100, .doc = "positions with this target do not count"                \
        }                                                                                                              \
    }

const nacre_op nc_op_cross_entropy = {
    .name = "cross_entropy",
    .doc = "Per position of logits [N, classes, ...] and target ids [N, ...]: the loss (1 - e) w[t] (-log p[t]) + e / "
           "classes * sum of w[c] (-log p[c]) with p = softmax(logits) and class weights w (absent: 1); log(sum(exp("
           "logits))); and w[t], by whose sum a mean is divided. All but the second are 0 where the target is "
           "ignore_index, and NaN where it is no class: data should be checked before.",
    .onnx = "SoftmaxCrossEntropyLoss",
    .inputs = "logits target ?weight",
    .outputs = "loss logsumexp counted",
    .attributes = SCHEMA,
    .layouts = "dpp>ppp",
    .shape = shape,
    .gradient = gradient,
    .reference = reference,
    .cases = CASES,
};

const nacre_op nc_op_cross_entropy_backward = {
    .name = "cross_entropy_backward",
    .doc = "The gradient of cross_entropy's loss with respect to the logits, where logsumexp is its second result.",
    .inputs = "dloss logits target logsumexp ?weight",
    .outputs = "dlogits",
    .attributes = SCHEMA,
    .layouts = "pdppp>d",
    .shape = backward_shape,
    .expand = backward_expand,
    .reference = backward_reference,
    .cases = BACKWARD_CASES,
};

nacre_tensor *nacre_cross_entropy_with(nacre_tensor *logits, nacre_tensor *target, nacre_tensor *weight,
                                       double label_smoothing, int64_t ignore_index)
{
    int64_t words[WORDS] = {nacre_word(label_smoothing), ignore_index};
    if (!logits || !target) return NULL;
    return nacre_apply(nacre_tensor_graph(logits), &nc_op_cross_entropy, (nacre_tensor *[]){logits, target, weight},
                       weight ? 3 : 2, words);
}

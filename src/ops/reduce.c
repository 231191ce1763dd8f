/* ops/reduce.c - what the reductions share, and those that take in one element after the other. */
#include "ops/reduce.h"

#include <math.h>

void nc_reduce_words(int64_t words[NC_REDUCE_WORDS], const nacre_reduce_options *options)
{
    memset(words, 0, sizeof(int64_t) * NC_REDUCE_WORDS);
    if (!options) return;
    nc_put_ints(words, options->axes, options->axis_count, NACRE_MAX_RANK);
    words[NC_REDUCE_KEEP] = options->keep;
}

bool nc_is_reduced(const int64_t *attributes, int axis)
{
    for (int i = 0; i < attributes[0]; i++)
        if (attributes[1 + i] == axis) return true;
    return false;
}

nacre_status nc_reduce_shape(nacre_shape_call *call)
{
    nacre_shape from = nacre_tensor_shape(call->inputs[0]), to = {0};
    int64_t *axes = call->attributes + NC_REDUCE_AXES, sorted[NACRE_MAX_RANK];
    bool all = axes[0] == 0, keep = call->attributes[NC_REDUCE_KEEP] != 0;
    nacre_status status = nc_normalise_axes(call, axes, from.rank);
    if (status) return status;
    int count = 0;
    for (int i = 0; i < from.rank; i++) {
        bool reduced = all || nc_is_reduced(call->attributes, i);
        if (reduced) sorted[count++] = i;
        if (!reduced || keep) to.dims[to.rank++] = reduced ? 1 : from.dims[i];
    }
    nc_put_ints(axes, sorted, count, NACRE_MAX_RANK);
    call->shapes[0] = to;
    call->dtypes[0] = nacre_tensor_dtype(call->inputs[0]);
    return NACRE_OK;
}

nacre_tensor *nc_unreduce(nacre_tensor *reduced, nacre_tensor *x, const int64_t *attributes)
{
    nacre_shape shape = nacre_tensor_shape(x);
    for (int i = 0; i < shape.rank; i++)
        if (nc_is_reduced(attributes, i)) shape.dims[i] = 1;
    return nacre_reshape(reduced, shape);
}

int64_t nc_reduced_count(nacre_tensor *x, const int64_t *attributes)
{
    int64_t count = 1;
    for (int i = 0; i < attributes[NC_REDUCE_AXES]; i++) count *= nacre_tensor_dim(x, (int)attributes[1 + i]);
    return count;
}

void nc_reference_fold(const nacre_call *call, double (*fold)(const nacre_view *, const int64_t *))
{
    const nacre_view *x = &call->inputs[0], *y = &call->outputs[0];
    bool keep = call->attributes[NC_REDUCE_KEEP] != 0;
    nacre_shape outer = x->shape;
    nacre_view elements = *x;
    for (int i = 0; i < x->shape.rank; i++)
        *(nc_is_reduced(call->attributes, i) ? &outer.dims[i] : &elements.shape.dims[i]) = 1;
    int64_t at[NACRE_MAX_RANK] = {0};
    if (nc_count(y) == 0) return;
    do {
        int64_t result[NACRE_MAX_RANK];
        int rank = 0;
        for (int i = 0; i < x->shape.rank; i++)
            if (keep || !nc_is_reduced(call->attributes, i)) result[rank++] = at[i];
        elements.data = (char *)x->data + nc_offset(x, at) * (int64_t)nacre_dtype_size(x->dtype);
        nc_set(y, nc_offset(y, result), fold(&elements, call->attributes));
    } while (nc_next(&outer, at));
}

double nc_fold(const nacre_view *view, double state, double (*take)(double, double))
{
    int64_t at[NACRE_MAX_RANK] = {0};
    if (nc_count(view) == 0) return state;
    do state = take(state, nc_get(view, nc_offset(view, at)));
    while (nc_next(&view->shape, at));
    return state;
}

double nc_fold_about(const nacre_view *view, double center, double (*take)(double, double))
{
    double state = 0;
    int64_t at[NACRE_MAX_RANK] = {0};
    if (nc_count(view) == 0) return state;
    do state = take(state, nc_get(view, nc_offset(view, at)) - center);
    while (nc_next(&view->shape, at));
    return state;
}

/* ---- what they take in ---- */

static double add(double state, double x)
{
    return state + x;
}

double nc_add_square(double state, double x)
{
    return state + x * x;
}

static double add_exponential(double state, double x)
{
    return state + exp(x);
}

static double multiply(double state, double x)
{
    return state * x;
}

static double both(double state, double x)
{
    return state != 0 && x != 0;
}

static double either(double state, double x)
{
    return state != 0 || x != 0;
}

double nc_fold_mean(const nacre_view *view)
{
    return nc_fold(view, 0, add) / (double)nc_count(view);
}

static double sum_fold(const nacre_view *elements, const int64_t *attributes)
{
    (void)attributes;
    return nc_fold(elements, 0, add);
}

static double mean_fold(const nacre_view *elements, const int64_t *attributes)
{
    (void)attributes;
    return nc_fold_mean(elements);
}

static double prod_fold(const nacre_view *elements, const int64_t *attributes)
{
    (void)attributes;
    return nc_fold(elements, 1, multiply);
}

static double norm_fold(const nacre_view *elements, const int64_t *attributes)
{
    (void)attributes;
    return sqrt(nc_fold(elements, 0, nc_add_square));
}

static double logsumexp_fold(const nacre_view *elements, const int64_t *attributes)
{
    (void)attributes;
    double largest = nc_fold(elements, -INFINITY, nc_larger);
    return isinf(largest) ? largest : largest + log(nc_fold_about(elements, largest, add_exponential));
}

static double all_fold(const nacre_view *elements, const int64_t *attributes)
{
    (void)attributes;
    return nc_fold(elements, 1, both);
}

static double any_fold(const nacre_view *elements, const int64_t *attributes)
{
    (void)attributes;
    return nc_fold(elements, 0, either);
}

/* ---- gradients ---- */

static void sum_gradient(nacre_gradient_call *call)
{
    nacre_tensor *x = call->inputs[0];
    call->input_grads[0] = nacre_expand(nc_unreduce(call->output_grads[0], x, call->attributes), nacre_tensor_shape(x));
}

static void mean_gradient(nacre_gradient_call *call)
{
    double count = (double)nc_reduced_count(call->inputs[0], call->attributes);
    nacre_tensor *x = call->inputs[0], *share = nacre_mul_scalar(call->output_grads[0], 1 / count);
    call->input_grads[0] = nacre_expand(nc_unreduce(share, x, call->attributes), nacre_tensor_shape(x));
}

/* x / y, and 0 where all of x is 0. */
static void norm_gradient(nacre_gradient_call *call)
{
    nacre_tensor *x = call->inputs[0], *y = call->outputs[0], *zero = nc_zero_like(y);
    nacre_tensor *slope = nacre_where(nacre_equal(y, zero), zero, nacre_div(call->output_grads[0], y));
    call->input_grads[0] = nacre_mul(x, nc_unreduce(slope, x, call->attributes));
}

static void logsumexp_gradient(nacre_gradient_call *call)
{
    nacre_tensor *x = call->inputs[0], *y = nc_unreduce(call->outputs[0], x, call->attributes);
    nacre_tensor *dy = nc_unreduce(call->output_grads[0], x, call->attributes);
    call->input_grads[0] = nacre_mul(dy, nacre_exp(nacre_sub(x, y)));
}

/* The product of one half of an axis with the other, and again: no division, so that zeros do no harm to the gradient.
 */
static nacre_tensor *prod_along(nacre_tensor *x, int axis)
{
    for (int64_t dim; (dim = nacre_tensor_dim(x, axis)) > 1;) {
        int64_t half = dim / 2;
        nacre_tensor *product = nacre_mul(nacre_slice(x, axis, 0, half, 1), nacre_slice(x, axis, half, 2 * half, 1));
        nacre_tensor *parts[] = {product, nacre_slice(x, axis, 2 * half, dim, 1)};
        x = dim % 2 ? nacre_concat(parts, 2, axis) : product;
    }
    return x;
}

static void prod_expand(nacre_graph *graph, nacre_tensor *const *inputs, int input_count, const int64_t *attributes,
                        nacre_tensor **outputs)
{
    (void)graph, (void)input_count;
    nacre_tensor *x = inputs[0];
    nacre_shape shape = {0};
    if (nc_reduced_count(x, attributes) == 0) return; /* ones, whatever x is */
    for (int i = 0; i < attributes[NC_REDUCE_AXES]; i++) x = prod_along(x, (int)attributes[1 + i]);
    for (int i = 0; i < nacre_tensor_rank(x); i++)
        if (attributes[NC_REDUCE_KEEP] || !nc_is_reduced(attributes, i))
            shape.dims[shape.rank++] = nacre_tensor_dim(x, i);
    outputs[0] = nacre_reshape(x, shape);
}

/* ---- descriptors ---- */

nacre_status nc_reduce_shape_float(nacre_shape_call *call)
{
    nacre_status status = nc_need_float(call);
    return status ? status : nc_reduce_shape(call);
}

static nacre_status question_shape(nacre_shape_call *call)
{
    nacre_status status = nc_reduce_shape(call);
    call->dtypes[0] = NACRE_BOOL;
    return status;
}

static const char *const CASES[] = {"x=2x3x4",
                                    "x=2x3x4 axes=1",
                                    "x=2x3x4 axes=0,-1 keep=1",
                                    "x=128x10 axes=0",
                                    "x=64x33 axes=1",
                                    "x=4x8x5x5 axes=0,2,3",
                                    "x=scalar",
                                    "x=0x3 axes=0",
                                    "x=37x200 axes=0",
                                    NULL};
static const char *const PROD_CASES[] = {"x=2x3x4@0.5..1.5",
                                         "x=2x7x4 axes=1",
                                         "x=2x3x5 axes=0,-1 keep=1",
                                         "x=33x3:i32@-1..2 axes=0",
                                         "x=scalar",
                                         "x=2x1 axes=1",
                                         "x=0x3 axes=0",
                                         NULL};
static const char *const FULL_CASES[] = {"x=2x3x4",
                                         "x=2x3x4 axes=1",
                                         "x=2x3x5 axes=0,-1 keep=1",
                                         "x=64x33@-90..90 axes=1",
                                         "x=scalar@1..2",
                                         "x=2x1@1..2 axes=1",
                                         "x=2x0 axes=1",
                                         "x=0x3 axes=1",
                                         NULL};
static const char *const QUESTION_CASES[] = {"x=2x9:bool@0..1 axes=1", "x=3x4:i32@0..3 axes=0,1",
                                             "x=2x3x4 axes=-1 keep=1", "x=scalar:bool@0..0",
                                             "x=0x3:bool axes=0",      NULL};

NC_REDUCTION(sum, "ReduceSum", "The sum over the given axes.", nc_reduce_shape, sum_gradient, 0, CASES, {NULL});
NC_REDUCTION(mean, "ReduceMean", "The mean over the given axes; NaN of nothing.", nc_reduce_shape_float, mean_gradient,
             0, FULL_CASES, {NULL});
NC_REDUCTION(norm, "ReduceL2", "The square root of the sum of squares over the given axes. Its gradient at 0 is 0.",
             nc_reduce_shape_float, norm_gradient, 0, FULL_CASES, {NULL});
NC_REDUCTION(logsumexp, "ReduceLogSumExp", "log(sum(e^x)) over the given axes, without overflow.",
             nc_reduce_shape_float, logsumexp_gradient, 0, FULL_CASES, {NULL});
NC_REDUCTION(all, NULL, "Whether all elements over the given axes are non-zero.", question_shape, NULL,
             NACRE_OP_NONDIFFERENTIABLE, QUESTION_CASES, {NULL});
NC_REDUCTION(any, NULL, "Whether an element over the given axes is non-zero.", question_shape, NULL,
             NACRE_OP_NONDIFFERENTIABLE, QUESTION_CASES, {NULL});

static void prod_reference(const nacre_call *call)
{
    nc_reference_fold(call, prod_fold);
}

const nacre_op nc_op_prod = {
    .name = "prod",
    .doc = "The product over the given axes.",
    .onnx = "ReduceProd",
    .inputs = "x",
    .outputs = "y",
    .attributes = {NC_REDUCE_SCHEMA},
    .shape = nc_reduce_shape,
    .expand = prod_expand,
    .reference = prod_reference,
    .cases = PROD_CASES,
};

/* ---- builders ---- */

nacre_reduce_options nc_reduce_options(const int64_t *attributes)
{
    return (nacre_reduce_options){attributes + NC_REDUCE_AXES + 1, (int)attributes[NC_REDUCE_AXES], true};
}

nacre_tensor *nc_reduce(const nacre_op *op, nacre_tensor *x, const nacre_reduce_options *options)
{
    int64_t words[NC_REDUCE_WORDS];
    nc_reduce_words(words, options);
    return nc_apply1(op, x, words);
}

nacre_tensor *nacre_sum(nacre_tensor *x, const nacre_reduce_options *options)
{
    return nc_reduce(&nc_op_sum, x, options);
}

nacre_tensor *nacre_mean(nacre_tensor *x, const nacre_reduce_options *options)
{
    return nc_reduce(&nc_op_mean, x, options);
}

nacre_tensor *nacre_prod(nacre_tensor *x, const nacre_reduce_options *options)
{
    return nc_reduce(&nc_op_prod, x, options);
}

nacre_tensor *nacre_norm(nacre_tensor *x, const nacre_reduce_options *options)
{
    return nc_reduce(&nc_op_norm, x, options);
}

nacre_tensor *nacre_logsumexp(nacre_tensor *x, const nacre_reduce_options *options)
{
    return nc_reduce(&nc_op_logsumexp, x, options);
}

nacre_tensor *nacre_all(nacre_tensor *x, const nacre_reduce_options *options)
{
    return nc_reduce(&nc_op_all, x, options);
}

nacre_tensor *nacre_any(nacre_tensor *x, const nacre_reduce_options *options)
{
    return nc_reduce(&nc_op_any, x, options);
}

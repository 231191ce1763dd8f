/* ops/norm.c - what the normalisations share. */
#include "ops/norm.h"

#include <math.h>

int64_t nc_norm_count(const nc_norm *norm)
{
    int64_t count = 1;
    for (int i = 0; i < norm->shape.rank; i++)
        if (norm->reduced[i]) count *= norm->shape.dims[i];
    return count;
}

/* Where the operands stand. */
enum { X, WEIGHT, BIAS };

static int backward_weight_index(const nc_norm *norm)
{
    return norm->centred ? 4 : 3;
}

/* ---- shape rules ---- */

static nacre_status need_shape(nacre_shape_call *call, int index, const char *name, const nacre_shape *expected)
{
    if (index >= call->input_count || !call->inputs[index]) return NACRE_OK;
    nacre_shape shape = nacre_tensor_shape(call->inputs[index]);
    char got[NACRE_SHAPE_TEXT_SIZE], want[NACRE_SHAPE_TEXT_SIZE];
    if (nacre_shape_equal(shape, *expected)) return NACRE_OK;
    return nacre_shape_fail(call, NACRE_ERROR_SHAPE, "%s is %s, expected %s", name, nacre_shape_text(shape, got),
                            nacre_shape_text(*expected, want));
}

nacre_status nc_norm_shape(nacre_shape_call *call, const nc_norm *norm)
{
    nacre_status status = nc_need_float(call);
    if (!status) status = nc_need_one_dtype(call);
    if (!status) status = need_shape(call, WEIGHT, "weight", &norm->weight);
    if (!status) status = need_shape(call, BIAS, "bias", &norm->weight);
    if (!status && !(norm->epsilon >= 0))
        status = nacre_shape_fail(call, NACRE_ERROR_ARGUMENT, "epsilon is %g, expected at least 0", norm->epsilon);
    for (int i = 0; i < call->output_count; i++) {
        call->shapes[i] = i == 0 ? nacre_tensor_shape(call->inputs[X]) : norm->statistics;
        call->dtypes[i] = nacre_tensor_dtype(call->inputs[X]);
    }
    return status;
}

nacre_status nc_norm_backward_shape(nacre_shape_call *call, const nc_norm *norm)
{
    nacre_status status = nc_need_float(call);
    if (!status) status = nc_need_same(call, 1);
    if (!status) status = need_shape(call, 2, norm->centred ? "mean" : "mean square", &norm->statistics);
    if (!status && norm->centred) status = need_shape(call, 3, "variance", &norm->statistics);
    if (!status) status = need_shape(call, backward_weight_index(norm), "weight", &norm->weight);
    for (int i = 0; i < call->output_count; i++) {
        call->shapes[i] = i == 0 ? nacre_tensor_shape(call->inputs[0]) : norm->weight;
        call->dtypes[i] = nacre_tensor_dtype(call->inputs[0]);
    }
    return status;
}

/* ---- gradients ---- */

/* `norm->shape` with 1 for the axes that are not, or are, marked. */
static nacre_shape kept_axes(const nc_norm *norm, const bool *marked, bool keep)
{
    nacre_shape shape = norm->shape;
    for (int i = 0; i < shape.rank; i++)
        if (marked[i] != keep) shape.dims[i] = 1;
    return shape;
}

static nacre_tensor *as_statistic(const nc_norm *norm, nacre_tensor *x)
{
    return nacre_reshape(x, kept_axes(norm, norm->reduced, false));
}

static nacre_tensor *sum_over(const nc_norm *norm, nacre_tensor *x, const bool *marked, bool over)
{
    int64_t axes[NACRE_MAX_RANK];
    int count = 0;
    for (int i = 0; i < norm->shape.rank; i++)
        if (marked[i] == over) axes[count++] = i;
    return count ? nacre_sum(x, &(nacre_reduce_options){.axes = axes, .axis_count = count, .keep = true}) : x;
}

/* What gradients of the statistics add to dx: dmean / K and dvar 2 (x - mean) / K. */
static nacre_tensor *through_statistics(nacre_gradient_call *call, const nc_norm *norm)
{
    double count = (double)nc_norm_count(norm);
    nacre_tensor *x = nacre_reshape(call->inputs[X], norm->shape), *sum = NULL;
    nacre_tensor *dmean = norm->centred ? call->output_grads[1] : NULL;
    nacre_tensor *dvar = call->output_grads[norm->centred ? 2 : 1];
    if (dmean) sum = nacre_expand(nacre_mul_scalar(as_statistic(norm, dmean), 1 / count), norm->shape);
    if (dvar) {
        if (norm->centred) x = nacre_sub(x, as_statistic(norm, call->outputs[1]));
        nacre_tensor *part = nacre_mul(x, nacre_mul_scalar(as_statistic(norm, dvar), 2 / count));
        sum = sum ? nacre_add(sum, part) : part;
    }
    return sum ? nacre_reshape(sum, nacre_tensor_shape(call->inputs[X])) : NULL;
}

void nc_norm_gradient(nacre_gradient_call *call, const nc_norm *norm, const nacre_op *backward)
{
    nacre_tensor *weight = call->input_count > WEIGHT ? call->inputs[WEIGHT] : NULL;
    if (call->output_grads[0]) {
        nacre_tensor *operands[] = {call->output_grads[0], call->inputs[X], call->outputs[1],
                                    norm->centred ? call->outputs[2] : weight, weight};
        int count = backward_weight_index(norm) + (weight ? 1 : 0);
        nacre_tensor *dx = nacre_apply(call->graph, backward, operands, count, call->attributes);
        for (int i = 0; i < call->input_count; i++)
            if (call->wanted[i]) call->input_grads[i] = nacre_tensor_sibling(dx, i);
    }
    nacre_tensor *more = call->wanted[X] ? through_statistics(call, norm) : NULL;
    if (more) call->input_grads[X] = call->input_grads[X] ? nacre_add(call->input_grads[X], more) : more;
}

void nc_norm_backward_expand(const nc_norm *norm, nacre_tensor *const *inputs, int input_count, nacre_tensor **outputs)
{
    int at = backward_weight_index(norm);
    nacre_tensor *weight = input_count > at ? inputs[at] : NULL;
    nacre_tensor *dy = nacre_reshape(inputs[0], norm->shape), *x = nacre_reshape(inputs[1], norm->shape);
    nacre_tensor *var = as_statistic(norm, inputs[at - 1]);
    nacre_tensor *inverse = nacre_rsqrt(nacre_add_scalar(var, norm->epsilon));
    nacre_tensor *n = nacre_mul(norm->centred ? nacre_sub(x, as_statistic(norm, inputs[2])) : x, inverse);
    nacre_tensor *h = weight ? nacre_mul(dy, nacre_reshape(weight, kept_axes(norm, norm->affine, true))) : dy;
    double part = 1 / (double)nc_norm_count(norm);
    nacre_tensor *rest =
        nacre_sub(h, nacre_mul(n, nacre_mul_scalar(sum_over(norm, nacre_mul(h, n), norm->reduced, true), part)));
    if (norm->centred) rest = nacre_sub(rest, nacre_mul_scalar(sum_over(norm, h, norm->reduced, true), part));
    outputs[0] = nacre_reshape(nacre_mul(rest, inverse), nacre_tensor_shape(inputs[0]));
    outputs[1] = nacre_reshape(sum_over(norm, nacre_mul(dy, n), norm->affine, false), norm->weight);
    if (norm->centred) outputs[2] = nacre_reshape(sum_over(norm, dy, norm->affine, false), norm->weight);
}

/* ---- reference kernels ---- */

/* `view` seen under the shape `to`, which splits its axis 1 in two or is its own. */
static nacre_view seen_as(const nacre_view *view, const nacre_shape *to)
{
    nacre_view split = *view;
    int extra = to->rank - view->shape.rank;
    split.shape = *to;
    for (int i = 1 + extra; extra && i < to->rank; i++) split.strides[i] = view->strides[i - extra];
    if (extra) split.strides[1] = view->strides[1] * to->dims[2];
    return split;
}

/* `view`, whose axes are the marked ones of `shape` in order, seen under all of them: the others have stride 0. */
static nacre_view spread_over(const nacre_view *view, const nacre_shape *shape, const bool *marked, bool keep)
{
    nacre_view wide = {.data = view->data, .dtype = view->dtype, .shape = *shape};
    int64_t stride = 1;
    for (int i = shape->rank - 1; i >= 0; i--) {
        wide.strides[i] = marked[i] == keep ? stride : 0;
        if (marked[i] == keep) stride *= shape->dims[i];
    }
    return wide;
}

/* Everything a reference kernel looks at, all seen under norm->shape. */
typedef struct views {
    nacre_shape groups, members; /* positions of statistics; of the elements of one */
    nacre_view x, mean, var, weight;
    double epsilon;
} views;

static views begin(const nc_norm *norm, const nacre_view *x, const nacre_view *mean, const nacre_view *var,
                   const nacre_view *weight)
{
    views v = {.groups = kept_axes(norm, norm->reduced, false),
               .members = kept_axes(norm, norm->reduced, true),
               .x = seen_as(x, &norm->shape),
               .epsilon = norm->epsilon};
    if (mean) v.mean = spread_over(mean, &norm->shape, norm->reduced, false);
    v.var = spread_over(var, &norm->shape, norm->reduced, false);
    if (weight) v.weight = spread_over(weight, &norm->shape, norm->affine, true);
    return v;
}

static void add_positions(const nacre_shape *shape, const int64_t *a, const int64_t *b, int64_t *sum)
{
    for (int i = 0; i < shape->rank; i++) sum[i] = a[i] + b[i];
}

static double get_or(const nacre_view *view, const int64_t *index, double absent)
{
    return view->data ? nc_get(view, nc_offset(view, index)) : absent;
}

/* The mean over one group of f(x - centre). */
static double mean_of(const views *v, const int64_t *group, double centre, bool squared)
{
    int64_t member[NACRE_MAX_RANK] = {0}, at[NACRE_MAX_RANK];
    double sum = 0;
    do {
        add_positions(&v->groups, group, member, at);
        double x = nc_get(&v->x, nc_offset(&v->x, at)) - centre;
        sum += squared ? x * x : x;
    } while (nc_next(&v->members, member));
    return sum / (double)nacre_shape_count(v->members);
}

void nc_norm_reference(const nacre_call *call, const nc_norm *norm)
{
    const nacre_view *mean = norm->centred ? &call->outputs[1] : NULL;
    views v = begin(norm, &call->inputs[X], mean, &call->outputs[norm->centred ? 2 : 1], nc_optional(call, WEIGHT));
    nacre_view y = seen_as(&call->outputs[0], &norm->shape), bias = {0};
    if (nc_optional(call, BIAS)) bias = spread_over(nc_optional(call, BIAS), &norm->shape, norm->affine, true);
    int64_t group[NACRE_MAX_RANK] = {0}, at[NACRE_MAX_RANK];
    if (nc_count(&y) == 0) return;
    do {
        double centre = norm->centred ? mean_of(&v, group, 0, false) : 0, var = mean_of(&v, group, centre, true);
        double inverse = 1 / sqrt(var + norm->epsilon);
        int64_t member[NACRE_MAX_RANK] = {0};
        if (mean) nc_set(&v.mean, nc_offset(&v.mean, group), centre);
        nc_set(&v.var, nc_offset(&v.var, group), var);
        do {
            add_positions(&v.groups, group, member, at);
            double n = (nc_get(&v.x, nc_offset(&v.x, at)) - centre) * inverse;
            nc_set(&y, nc_offset(&y, at), n * get_or(&v.weight, at, 1) + get_or(&bias, at, 0));
        } while (nc_next(&v.members, member));
    } while (nc_next(&v.groups, group));
}

/* The normalised x at a position. */
static double normalised(const views *v, const int64_t *at)
{
    double inverse = 1 / sqrt(nc_get(&v->var, nc_offset(&v->var, at)) + v->epsilon);
    return (nc_get(&v->x, nc_offset(&v->x, at)) - get_or(&v->mean, at, 0)) * inverse;
}

static void backward_group(const views *v, const nacre_view *dy, const nacre_view *dx, const int64_t *group)
{
    int64_t member[NACRE_MAX_RANK] = {0}, at[NACRE_MAX_RANK];
    double sum_h = 0, sum_hn = 0, count = (double)nacre_shape_count(v->members);
    double inverse = 1 / sqrt(nc_get(&v->var, nc_offset(&v->var, group)) + v->epsilon);
    do {
        add_positions(&v->groups, group, member, at);
        double h = nc_get(dy, nc_offset(dy, at)) * get_or(&v->weight, at, 1);
        sum_h += h;
        sum_hn += h * normalised(v, at);
    } while (nc_next(&v->members, member));
    if (!v->mean.data) sum_h = 0;
    do {
        add_positions(&v->groups, group, member, at);
        double h = nc_get(dy, nc_offset(dy, at)) * get_or(&v->weight, at, 1);
        nc_set(dx, nc_offset(dx, at), inverse * (h - sum_h / count - normalised(v, at) * sum_hn / count));
    } while (nc_next(&v->members, member));
}

void nc_norm_backward_reference(const nacre_call *call, const nc_norm *norm)
{
    int weight_index = backward_weight_index(norm);
    views v = begin(norm, &call->inputs[1], norm->centred ? &call->inputs[2] : NULL, &call->inputs[weight_index - 1],
                    nc_optional(call, weight_index));
    nacre_view dy = seen_as(&call->inputs[0], &norm->shape), dx = seen_as(&call->outputs[0], &norm->shape);
    nacre_view dweight = spread_over(&call->outputs[1], &norm->shape, norm->affine, true), dbias = {0};
    if (norm->centred) dbias = spread_over(&call->outputs[2], &norm->shape, norm->affine, true);
    nacre_shape channels = kept_axes(norm, norm->affine, true), sharing = kept_axes(norm, norm->affine, false);
    int64_t group[NACRE_MAX_RANK] = {0}, channel[NACRE_MAX_RANK] = {0}, at[NACRE_MAX_RANK];
    if (nc_count(&dx) > 0) {
        do backward_group(&v, &dy, &dx, group);
        while (nc_next(&v.groups, group));
    }
    if (nacre_shape_count(channels) == 0) return;
    do {
        int64_t member[NACRE_MAX_RANK] = {0};
        double weight_sum = 0, bias_sum = 0;
        do {
            if (nacre_shape_count(sharing) == 0) break;
            add_positions(&channels, channel, member, at);
            double d = nc_get(&dy, nc_offset(&dy, at));
            weight_sum += d * normalised(&v, at);
            bias_sum += d;
        } while (nc_next(&sharing, member));
        nc_set(&dweight, nc_offset(&dweight, channel), weight_sum);
        if (norm->centred) nc_set(&dbias, nc_offset(&dbias, channel), bias_sum);
    } while (nc_next(&channels, channel));
}

/* ops/attention.c - scaled dot-product attention, without ever storing the matrix of weights (Vaswani et al. 2017;
 * the backward pass from y and logsumexp as in Dao et al. 2022).
 *
 *     s = scale q k' + mask,  p = exp(s - logsumexp(s)),  y = p v
 *     ds = p (dy v' - sum(dy y) + dlogsumexp),  dq = scale ds k,  dk = scale ds' q,  dv = p' dy
 */
#include "ops/op.h"

#include <math.h>
#include <string.h>

enum { CAUSAL, SCALE, HEADS, WORDS };
enum { Q, K, V, MASK, LENGTH, OPERANDS };                                                 /* of attention */
enum { DY, BACK_Q, BACK_K, BACK_V, Y, LOGSUMEXP, BACK_MASK, BACK_LENGTH, BACK_OPERANDS }; /* of attention_backward */

static double scale_of(const int64_t *attributes, int64_t depth)
{
    double scale = nacre_unword(attributes[SCALE]);
    return scale != 0 ? scale : 1 / sqrt((double)depth);
}

/* ---- heads ---- */

/* Columns [part, part + 1) of `parts` of each row [N, T, parts heads D] as [N, heads, T, D]. */
static nacre_view heads_of(const nacre_view *view, int64_t heads, int part, int parts)
{
    const int64_t width = view->shape.dims[2] / parts, depth = width / heads;
    nacre_view split = *view;
    split.shape = NACRE_SHAPE(view->shape.dims[0], heads, view->shape.dims[1], depth);
    split.strides[0] = view->strides[0];
    split.strides[1] = depth * view->strides[2];
    split.strides[2] = view->strides[1];
    split.strides[3] = view->strides[2];
    const int64_t offset = part * width * view->strides[2];
    if (split.data) split.data = (char *)split.data + offset * (int64_t)nacre_dtype_size(view->dtype);
    return split;
}

nacre_view nc_attention_part(const nacre_view *view, int64_t heads)
{
    return heads ? heads_of(view, heads, 0, 1) : *view;
}

void nc_attention_parts(const nacre_view *views, int count, int64_t heads, nacre_view parts[3])
{
    const bool together = heads && (count <= K || views[K].shape.rank < 0);
    for (int i = Q; i <= V; i++)
        parts[i] = together ? heads_of(&views[Q], heads, i, 3) : nc_attention_part(&views[i], heads);
}

/* The same of tensors: [N, T, heads D] -> [N, heads, T, D], and back. */
static nacre_tensor *split_heads(nacre_tensor *x, int64_t heads)
{
    if (!heads || !x) return x;
    const int64_t *dims = nacre_tensor_shape(x).dims;
    return nacre_swap_axes(nacre_reshape(x, NACRE_SHAPE(dims[0], dims[1], heads, dims[2] / heads)), 1, 2);
}

static nacre_tensor *join_heads(nacre_tensor *x, int64_t heads)
{
    if (!heads || !x) return x;
    const nacre_shape shape = nacre_tensor_shape(x);
    return nacre_reshape(nacre_swap_axes(x, 1, 2),
                         NACRE_SHAPE(shape.dims[0], shape.dims[2], shape.dims[1] * shape.dims[3]));
}

static nacre_tensor *operand(nacre_tensor *const *inputs, int count, int index)
{
    return index < count ? inputs[index] : NULL;
}

static void split_operands(nacre_tensor *const *operands, int count, int64_t heads, nacre_tensor *parts[3])
{
    for (int i = Q; i <= V; i++) parts[i] = operand(operands, count, i);
    if (heads && !parts[K] && nacre_split(parts[Q], 2, NULL, 3, parts)) return;
    for (int i = Q; i <= V; i++) parts[i] = split_heads(parts[i], heads);
}

/* Gradients of q, k and v, NULL for zero, become those of the operands. */
static void join_gradients(nacre_tensor *const *operands, int count, int64_t heads, nacre_tensor *grads[3])
{
    for (int i = Q; i <= V; i++) grads[i] = join_heads(grads[i], heads);
    if (!heads || operand(operands, count, K)) return;
    for (int i = Q; i <= V; i++)
        if (!grads[i]) grads[i] = nacre_expand(nc_scalar_like(grads[Q], 0), nacre_tensor_shape(grads[Q]));
    grads[Q] = nacre_concat(grads, 3, 2);
    grads[K] = grads[V] = NULL;
}

/* ---- shape rules ---- */

static nacre_status fail_operands(nacre_shape_call *call, const nacre_view *views)
{
    char a[NACRE_SHAPE_TEXT_SIZE], b[NACRE_SHAPE_TEXT_SIZE], c[NACRE_SHAPE_TEXT_SIZE];
    if (!call->attributes[HEADS])
        return nacre_shape_fail(call, NACRE_ERROR_SHAPE,
                                "q %s, k %s and v %s do not fit; expected [..., T, D], [..., S, D] and [..., S, E]",
                                nacre_shape_text(views[Q].shape, a), nacre_shape_text(views[K].shape, b),
                                nacre_shape_text(views[V].shape, c));
    return nacre_shape_fail(call, NACRE_ERROR_SHAPE,
                            "q %s, k %s and v %s do not fit %lld heads; expected [N, T, heads D], [N, S, heads D] and "
                            "[N, S, heads E], or [N, T, 3 heads D] alone",
                            nacre_shape_text(views[Q].shape, a), nacre_shape_text(views[K].shape, b),
                            nacre_shape_text(views[V].shape, c), (long long)call->attributes[HEADS]);
}

static bool splits_into_heads(const nacre_view *views, int64_t heads)
{
    const bool together = views[K].shape.rank < 0 && views[V].shape.rank < 0;
    if (heads < 0 || (heads == 0 && together)) return false;
    for (int i = Q; heads && i <= (together ? Q : V); i++)
        if (views[i].shape.rank != 3 || views[i].shape.dims[2] % (heads * (together ? 3 : 1))) return false;
    return together || (views[K].shape.rank >= 0 && views[V].shape.rank >= 0);
}

/* Shapes of q, k and v at `first` with an axis of heads; fails if they do not fit together. */
static nacre_status find_parts(nacre_shape_call *call, int first, nacre_view parts[3])
{
    nacre_view views[3] = {{0}};
    for (int i = Q; i <= V; i++) {
        nacre_tensor *given = first + i < call->input_count ? call->inputs[first + i] : NULL;
        views[i].shape = given ? nacre_tensor_shape(given) : (nacre_shape){.rank = -1};
    }
    if (!splits_into_heads(views, call->attributes[HEADS])) return fail_operands(call, views);
    nc_attention_parts(views, V + 1, call->attributes[HEADS], parts);
    const nacre_shape *q = &parts[Q].shape, *k = &parts[K].shape, *v = &parts[V].shape;
    const int rank = q->rank;
    bool fit = rank >= 2 && k->rank == rank && v->rank == rank && q->dims[rank - 1] == k->dims[rank - 1] &&
               k->dims[rank - 2] == v->dims[rank - 2] && q->dims[rank - 1] != 0;
    for (int i = 0; fit && i < rank - 2; i++) fit = q->dims[i] == k->dims[i] && q->dims[i] == v->dims[i];
    return fit ? NACRE_OK : fail_operands(call, views);
}

static nacre_status check_length(nacre_shape_call *call, nacre_tensor *length)
{
    if (!length || (nacre_tensor_count(length) == 1 && nacre_tensor_dtype(length) == NACRE_I64)) return NACRE_OK;
    return nacre_shape_fail(call, NACRE_ERROR_SHAPE, "length must be one number of type i64");
}

/* q, k and v at `first` and the mask at `mask`, which the length follows, fit together. */
static nacre_status check_operands(nacre_shape_call *call, int first, int mask, nacre_view parts[3])
{
    nacre_status status = find_parts(call, first, parts);
    if (!status) status = check_length(call, mask + 1 < call->input_count ? call->inputs[mask + 1] : NULL);
    nacre_tensor *given = mask < call->input_count ? call->inputs[mask] : NULL;
    if (status || !given) return status;
    nacre_shape shape = nacre_tensor_shape(given), scores = parts[Q].shape;
    nacre_dtype dtype = nacre_tensor_dtype(given), expected = nacre_tensor_dtype(call->inputs[first + Q]);
    char a[NACRE_SHAPE_TEXT_SIZE], b[NACRE_SHAPE_TEXT_SIZE];
    scores.dims[scores.rank - 1] = parts[K].shape.dims[scores.rank - 2];
    nacre_shape wide = scores;
    if (!nc_broadcast(&wide, &shape) || !nacre_shape_equal(wide, scores))
        return nacre_shape_fail(call, NACRE_ERROR_SHAPE, "mask %s does not broadcast to %s", nacre_shape_text(shape, a),
                                nacre_shape_text(scores, b));
    if (dtype != NACRE_BOOL && dtype != expected)
        return nacre_shape_fail(call, NACRE_ERROR_DTYPE, "mask is %s, expected bool or %s as q",
                                nacre_dtype_name(dtype), nacre_dtype_name(expected));
    return NACRE_OK;
}

static nacre_status need_one_float(nacre_shape_call *call, int count)
{
    nacre_shape_call some = *call;
    some.input_count = count;
    nacre_status status = nc_need_float(&some);
    return status ? status : nc_need_one_dtype(&some);
}

/* Of y and of the scores' logsumexp. */
static void result_shapes(const nacre_view parts[3], int64_t heads, nacre_shape *y, nacre_shape *sums)
{
    *y = *sums = parts[Q].shape;
    sums->rank--;
    const int64_t width = parts[V].shape.dims[y->rank - 1];
    if (heads)
        *y = NACRE_SHAPE(y->dims[0], y->dims[2], heads * width);
    else
        y->dims[y->rank - 1] = width;
}

static nacre_status shape(nacre_shape_call *call)
{
    nacre_view parts[3];
    nacre_status status = need_one_float(call, MASK);
    if (!status) status = check_operands(call, Q, MASK, parts);
    if (status) return status;
    result_shapes(parts, call->attributes[HEADS], &call->shapes[0], &call->shapes[1]);
    call->dtypes[0] = call->dtypes[1] = nacre_tensor_dtype(call->inputs[Q]);
    return NACRE_OK;
}

static nacre_status backward_shape(nacre_shape_call *call)
{
    nacre_view parts[3];
    nacre_shape y, sums;
    nacre_status status = need_one_float(call, BACK_MASK);
    if (!status) status = check_operands(call, BACK_Q, BACK_MASK, parts);
    if (status) return status;
    result_shapes(parts, call->attributes[HEADS], &y, &sums);
    if (!nacre_shape_equal(nacre_tensor_shape(call->inputs[DY]), y) ||
        !nacre_shape_equal(nacre_tensor_shape(call->inputs[Y]), y) ||
        !nacre_shape_equal(nacre_tensor_shape(call->inputs[LOGSUMEXP]), sums))
        return nacre_shape_fail(call, NACRE_ERROR_SHAPE,
                                "dy, y or logsumexp do not have the shapes that attention gives");
    if (!call->inputs[BACK_K]) call->output_count = 1; /* q, k and v side by side */
    for (int i = 0; i < call->output_count; i++) {
        call->shapes[i] = nacre_tensor_shape(call->inputs[BACK_Q + i]);
        call->dtypes[i] = nacre_tensor_dtype(call->inputs[BACK_Q]);
    }
    return NACRE_OK;
}

/* ---- gradients, where they are built of simple operations ---- */

/* first, first + 1, ... along one of the last two axes. */
static nacre_tensor *positions(nacre_graph *graph, int64_t first, int64_t count, bool along_last)
{
    nacre_context *context = nacre_graph_context(graph);
    int64_t *values = nacre_allocate(context, sizeof *values * (size_t)count);
    for (int64_t i = 0; values && i < count; i++) values[i] = first + i;
    nacre_shape shape = along_last ? NACRE_SHAPE(1, count) : NACRE_SHAPE(count, 1);
    nacre_tensor *constant = nacre_constant(graph, NACRE_I64, shape, values);
    nacre_release(context, values);
    return constant;
}

static nacre_tensor *minus_infinity_unless(nacre_tensor *condition, nacre_tensor *scores)
{
    return nacre_where(condition, scores, nc_scalar_like(scores, -INFINITY));
}

/* [..., T] as [..., T, 1]. */
static nacre_tensor *as_column(nacre_tensor *x)
{
    nacre_shape shape = nacre_tensor_shape(x);
    shape.dims[shape.rank++] = 1;
    return nacre_reshape(x, shape);
}

static nacre_tensor *scaled(nacre_tensor *x, nacre_tensor *q, const int64_t *attributes)
{
    return nacre_mul_scalar(x, scale_of(attributes, nacre_tensor_dim(q, -1)));
}

/* Where a row may attend by its position and by the length; NULL: everywhere. */
static nacre_tensor *reach(nacre_graph *graph, int64_t rows, int64_t columns, nacre_tensor *length, bool causal)
{
    nacre_tensor *column = positions(graph, 0, columns, true);
    if (length && causal) return nacre_less(column, nacre_add(positions(graph, 1 - rows, rows, false), length));
    if (causal) return nacre_less_equal(column, positions(graph, 0, rows, false));
    return length ? nacre_less(column, length) : NULL;
}

/* The operands that say what is attended to; NULL for absent ones. */
typedef struct restriction {
    nacre_tensor *mask, *length;
} restriction;

/* The weights p [..., T, S], stored after all. */
static nacre_tensor *weights(nacre_graph *graph, nacre_tensor *q, nacre_tensor *k, restriction limits,
                             nacre_tensor *logsumexp, const int64_t *attributes)
{
    nacre_tensor *mask = limits.mask, *s = scaled(nacre_matmul(q, k, false, true), q, attributes);
    nacre_tensor *within =
        reach(graph, nacre_tensor_dim(q, -2), nacre_tensor_dim(k, -2), limits.length, attributes[CAUSAL]);
    if (mask) s = nacre_tensor_dtype(mask) == NACRE_BOOL ? minus_infinity_unless(mask, s) : nacre_add(s, mask);
    if (within) s = minus_infinity_unless(within, s);
    return nacre_exp(nacre_sub(s, as_column(logsumexp)));
}

/* p (dy v' - sum(dy y)) */
static nacre_tensor *scores_gradient(nacre_tensor *p, nacre_tensor *dy, nacre_tensor *v, nacre_tensor *y)
{
    return nacre_mul(p, nacre_sub(nacre_matmul(dy, v, false, true), nc_sum_along(nacre_mul(dy, y), -1)));
}

static void backward_expand(nacre_graph *graph, nacre_tensor *const *inputs, int input_count, const int64_t *attributes,
                            nacre_tensor **outputs)
{
    const int64_t heads = attributes[HEADS];
    nacre_tensor *parts[3], *grads[3], *dy = split_heads(inputs[DY], heads), *y = split_heads(inputs[Y], heads);
    split_operands(inputs + BACK_Q, V + 1, heads, parts);
    restriction limits = {operand(inputs, input_count, BACK_MASK), operand(inputs, input_count, BACK_LENGTH)};
    nacre_tensor *p = weights(graph, parts[Q], parts[K], limits, inputs[LOGSUMEXP], attributes);
    nacre_tensor *ds = scores_gradient(p, dy, parts[V], y);
    grads[Q] = scaled(nacre_matmul(ds, parts[K], false, false), parts[Q], attributes);
    grads[K] = scaled(nacre_matmul(ds, parts[Q], true, false), parts[Q], attributes);
    grads[V] = nacre_matmul(p, dy, true, false);
    join_gradients(inputs + BACK_Q, V + 1, heads, grads);
    for (int i = Q; i <= V && grads[i]; i++) outputs[i] = grads[i];
}

static nacre_tensor *sum_of(nacre_tensor *a, nacre_tensor *b)
{
    return a && b ? nacre_add(a, b) : a ? a : b;
}

/* What a gradient of logsumexp adds, and all of the mask's. */
static void gradient_through_weights(nacre_gradient_call *call, restriction limits)
{
    const int64_t heads = call->attributes[HEADS];
    nacre_tensor *parts[3], *ds = NULL;
    nacre_tensor *dy = call->output_grads[0], *dlogsumexp = call->output_grads[1];
    split_operands(call->inputs, call->input_count, heads, parts);
    nacre_tensor *p = weights(call->graph, parts[Q], parts[K], limits, call->outputs[1], call->attributes);
    if (dlogsumexp) {
        ds = nacre_mul(p, as_column(dlogsumexp));
        nacre_tensor *grads[3] = {0};
        grads[Q] = scaled(nacre_matmul(ds, parts[K], false, false), parts[Q], call->attributes);
        grads[K] = scaled(nacre_matmul(ds, parts[Q], true, false), parts[Q], call->attributes);
        join_gradients(call->inputs, call->input_count, heads, grads);
        for (int i = Q; i <= K; i++)
            if (grads[i] && call->wanted[i]) call->input_grads[i] = sum_of(call->input_grads[i], grads[i]);
    }
    if (call->input_count <= MASK || !call->wanted[MASK]) return;
    if (dy) {
        dy = split_heads(dy, heads);
        nacre_tensor *y = split_heads(call->outputs[0], heads);
        ds = sum_of(ds, scores_gradient(p, dy, parts[V], y));
    }
    call->input_grads[MASK] = nc_sum_to(ds, limits.mask);
}

static void gradient(nacre_gradient_call *call)
{
    restriction limits = {operand(call->inputs, call->input_count, MASK),
                          operand(call->inputs, call->input_count, LENGTH)};
    if (call->output_grads[0]) {
        nacre_tensor *operands[BACK_OPERANDS] = {[DY] = call->output_grads[0],
                                                 [Y] = call->outputs[0],
                                                 [LOGSUMEXP] = call->outputs[1],
                                                 [BACK_MASK] = limits.mask,
                                                 [BACK_LENGTH] = limits.length};
        for (int i = Q; i <= V; i++) operands[BACK_Q + i] = operand(call->inputs, call->input_count, i);
        nacre_tensor *dq =
            nacre_apply(call->graph, &nc_op_attention_backward, operands, BACK_OPERANDS, call->attributes);
        for (int i = Q; i <= V; i++)
            if (operand(call->inputs, call->input_count, i) && call->wanted[i])
                call->input_grads[i] = nacre_tensor_sibling(dq, i);
    }
    if (call->output_grads[1] || (limits.mask && call->wanted[MASK])) gradient_through_weights(call, limits);
}

/* ---- reference kernels ---- */

/* One matrix of each operand, at a position of the leading axes. */
typedef struct matrix {
    const nacre_view *view;
    int64_t offset, row_stride, column_stride;
} matrix;

static matrix matrix_at(const nacre_view *view, const int64_t *lead)
{
    matrix m = {.view = view};
    int rank = view->shape.rank;
    for (int i = 0; i < rank - 2; i++) m.offset += lead[i] * view->strides[i];
    m.row_stride = view->strides[rank - 2];
    m.column_stride = view->strides[rank - 1];
    return m;
}

static double at(const matrix *m, int64_t row, int64_t column)
{
    return nc_get(m->view, m->offset + row * m->row_stride + column * m->column_stride);
}

static void put(const matrix *m, int64_t row, int64_t column, double value)
{
    nc_set(m->view, m->offset + row * m->row_stride + column * m->column_stride, value);
}

static double dot(const matrix *a, int64_t row_a, const matrix *b, int64_t row_b)
{
    double sum = 0;
    int64_t columns = a->view->shape.dims[a->view->shape.rank - 1];
    for (int64_t i = 0; i < columns; i++) sum += at(a, row_a, i) * at(b, row_b, i);
    return sum;
}

typedef struct head {
    matrix q, k, v, y, dy;
    int64_t lead[NACRE_MAX_RANK];
    int64_t rows, columns;                  /* T, S */
    int64_t valid, shift;                   /* columns that exist; how far a row's last one is ahead of it, if causal */
    const nacre_view *mask, *length, *sums; /* NULL for none, NULL for none, logsumexp */
    const double *row_sum;                  /* logsumexp of the row at hand, before it is rounded; NULL: see sums */
    const int64_t *attributes;
} head;

static double score(const head *h, int64_t row, int64_t column)
{
    const nacre_shape *q = &h->q.view->shape;
    if (column >= h->valid || (h->attributes[CAUSAL] && column > row + h->shift)) return -INFINITY;
    double s = scale_of(h->attributes, q->dims[q->rank - 1]) * dot(&h->q, row, &h->k, column);
    if (!h->mask) return s;
    int64_t index[NACRE_MAX_RANK];
    memcpy(index, h->lead, sizeof index);
    index[q->rank - 2] = row;
    index[q->rank - 1] = column;
    double value = nc_get(h->mask, nc_broadcast_offset(h->mask, index, q->rank));
    return h->mask->dtype != NACRE_BOOL ? s + value : value != 0 ? s : -INFINITY;
}

static int64_t sum_offset(const head *h, int64_t row)
{
    int64_t index[NACRE_MAX_RANK];
    memcpy(index, h->lead, sizeof index);
    index[h->sums->shape.rank - 1] = row;
    return nc_offset(h->sums, index);
}

static double weight(const head *h, int64_t row, int64_t column)
{
    return exp(score(h, row, column) - (h->row_sum ? *h->row_sum : nc_get(h->sums, sum_offset(h, row))));
}

/* ds(row, column) */
static double score_gradient(const head *h, int64_t row, int64_t column)
{
    return weight(h, row, column) * (dot(&h->dy, row, &h->v, column) - dot(&h->dy, row, &h->y, row));
}

/* Row `to` of `result` = factor * sum over i of f(i, to) (f(to, i) if `by_row`) times row i of `rows`. */
static void combine(const head *h, const matrix *result, int64_t to, double factor, const matrix *rows, int64_t count,
                    double (*f)(const head *h, int64_t row, int64_t column), bool by_row)
{
    enum { PART = 64 };
    int64_t columns = result->view->shape.dims[result->view->shape.rank - 1];
    for (int64_t first = 0; first < columns; first += PART) {
        double sums[PART] = {0};
        int64_t part = columns - first < PART ? columns - first : PART;
        for (int64_t i = 0; i < count; i++) {
            double by = by_row ? f(h, to, i) : f(h, i, to);
            for (int64_t c = 0; c < part; c++) sums[c] += by * at(rows, i, first + c);
        }
        for (int64_t c = 0; c < part; c++) put(result, to, first + c, factor * sums[c]);
    }
}

/* log(sum(exp(scores))) of a row; +infinity if it may attend to nothing, which makes all its weights 0. */
static double logsumexp_of_row(const head *h, int64_t row)
{
    double largest = -INFINITY, sum = 0;
    for (int64_t i = 0; i < h->columns; i++) {
        double s = score(h, row, i);
        if (s > largest || s != s) largest = s;
    }
    if (largest == -INFINITY) return INFINITY;
    for (int64_t i = 0; i < h->columns; i++) sum += exp(score(h, row, i) - largest);
    return largest + log(sum);
}

/* Calls `body` for each head. */
static void for_each_head(const nacre_call *call, int first, head h,
                          void (*body)(const nacre_call *call, const head *h))
{
    nacre_view parts[3];
    nc_attention_parts(&call->inputs[first], call->input_count - first, call->attributes[HEADS], parts);
    nacre_shape lead = parts[Q].shape;
    lead.rank -= 2;
    h.rows = parts[Q].shape.dims[lead.rank];
    h.columns = parts[K].shape.dims[lead.rank];
    h.valid = h.length ? (int64_t)nc_get(h.length, 0) : h.columns;
    h.shift = h.length ? h.valid - h.rows : 0;
    h.attributes = call->attributes;
    if (nacre_shape_count(lead) == 0) return;
    do {
        h.q = matrix_at(&parts[Q], h.lead);
        h.k = matrix_at(&parts[K], h.lead);
        h.v = matrix_at(&parts[V], h.lead);
        body(call, &h);
    } while (nc_next(&lead, h.lead));
}

static void forward_head(const nacre_call *call, const head *h)
{
    const nacre_view part = nc_attention_part(&call->outputs[0], call->attributes[HEADS]);
    const matrix y = matrix_at(&part, h->lead);
    for (int64_t t = 0; t < h->rows; t++) {
        const double row_sum = logsumexp_of_row(h, t);
        head with_sum = *h;
        with_sum.row_sum = &row_sum;
        nc_set(h->sums, sum_offset(h, t), row_sum);
        combine(&with_sum, &y, t, 1, &h->v, h->columns, weight, true);
    }
}

static void reference(const nacre_call *call)
{
    head h = {.mask = nc_optional(call, MASK), .length = nc_optional(call, LENGTH), .sums = &call->outputs[1]};
    for_each_head(call, Q, h, forward_head);
}

static void backward_head(const nacre_call *call, const head *without)
{
    head h = *without;
    const int64_t heads = call->attributes[HEADS];
    const nacre_view dy = nc_attention_part(&call->inputs[DY], heads), y = nc_attention_part(&call->inputs[Y], heads);
    nacre_view parts[3];
    nc_attention_parts(call->outputs, call->output_count, heads, parts);
    h.dy = matrix_at(&dy, h.lead);
    h.y = matrix_at(&y, h.lead);
    const matrix dq = matrix_at(&parts[Q], h.lead), dk = matrix_at(&parts[K], h.lead);
    const matrix dv = matrix_at(&parts[V], h.lead);
    double scale = scale_of(h.attributes, h.q.view->shape.dims[h.q.view->shape.rank - 1]);
    for (int64_t t = 0; t < h.rows; t++) combine(&h, &dq, t, scale, &h.k, h.columns, score_gradient, true);
    for (int64_t s = 0; s < h.columns; s++) {
        combine(&h, &dk, s, scale, &h.q, h.rows, score_gradient, false);
        combine(&h, &dv, s, 1, &h.dy, h.rows, weight, false);
    }
}

static void backward_reference(const nacre_call *call)
{
    head h = {.mask = nc_optional(call, BACK_MASK),
              .length = nc_optional(call, BACK_LENGTH),
              .sums = &call->inputs[LOGSUMEXP]};
    for_each_head(call, BACK_Q, h, backward_head);
}

/* ---- descriptors ---- */

static const char *const CASES[] = {"q=2x2x4x8 k=2x2x4x8 v=2x2x4x8",
                                    "q=2x2x5x8 k=2x2x5x8 v=2x2x5x8 causal=1",
                                    "q=1x2x3x4 k=1x2x6x4 v=1x2x6x5 scale=0.3",
                                    "q=1x2x6x4 k=1x2x3x4 v=1x2x3x4 causal=1",
                                    "q=1x2x3x4 k=1x2x6x4 v=1x2x6x4 mask=3x6",
                                    "q=2x2x4x8 k=2x2x4x8 v=2x2x4x8 mask=2x1x4x4 causal=1",
                                    "q=2x2x4x3 k=2x2x4x3 v=2x2x4x3 mask=2x1x1x4:bool@0..1",
                                    "q=1x1x1x1 k=1x1x1x1 v=1x1x1x1",
                                    "q=3x4 k=5x4 v=5x2",
                                    "q=1x2x33x16 k=1x2x65x16 v=1x2x65x70 !grad",
                                    "q=1x1x3x4 k=1x1x0x4 v=1x1x0x4 !grad",
                                    "q=1x2x1x8 k=1x2x9x8 v=1x2x9x8 length=scalar:i64@6..6 causal=1",
                                    "q=1x2x3x4 k=1x2x7x4 v=1x2x7x5 length=scalar:i64@5..5 causal=1",
                                    "q=1x2x3x4 k=1x2x7x4 v=1x2x7x4 mask=3x7 length=scalar:i64@4..4",
                                    "q=2x3x1x64 k=2x3x300x64 v=2x3x300x64 length=scalar:i64@261..261 causal=1 !grad",
                                    "q=1x2x300x20 k=1x2x300x20 v=1x2x300x36 causal=1 !grad",
                                    "q=1x1x130x64 k=1x1x270x64 v=1x1x270x64 mask=1x1x130x270@-2..2 !grad",
                                    "q=2x2x40x32 k=2x2x530x32 v=2x2x530x32 mask=2x1x1x530:bool@0..1 !grad",
                                    "q=1x2x75x32 k=1x2x301x32 v=1x2x301x64 !grad",
                                    "q=1x2x290x64 k=1x2x290x64 v=1x2x290x32 causal=1 !grad",
                                    "q=2x4x6 k=2x5x6 v=2x5x8 heads=2",
                                    "q=2x5x18 heads=2 causal=1",
                                    "q=1x4x12 heads=2 mask=1x2x4x4",
                                    "q=2x1x32 k=2x40x32 v=2x40x32 heads=2 !grad",
                                    "q=2x130x384 heads=2 causal=1 !grad",
                                    "q=2x40x64 k=2x270x64 v=2x270x64 heads=2 mask=2x1x1x270:bool@0..1 !grad",
                                    "q=2x290x40 k=2x290x40 v=2x290x72 heads=2 !grad",
                                    NULL};
static const char *const BACKWARD_CASES[] = {
    "dy=1x2x4x8 q=1x2x4x8 k=1x2x4x8 v=1x2x4x8 y=1x2x4x8 logsumexp=1x2x4@1..2",
    "dy=1x2x5x4 q=1x2x5x4 k=1x2x5x4 v=1x2x5x4 y=1x2x5x4 logsumexp=1x2x5@1..2 causal=1",
    "dy=1x2x3x5 q=1x2x3x4 k=1x2x6x4 v=1x2x6x5 y=1x2x3x5 logsumexp=1x2x3@1..2 scale=0.3",
    "dy=1x2x3x4 q=1x2x3x4 k=1x2x6x4 v=1x2x6x4 y=1x2x3x4 logsumexp=1x2x3@1..2 mask=3x6",
    "dy=2x2x4x3 q=2x2x4x3 k=2x2x4x3 v=2x2x4x3 y=2x2x4x3 logsumexp=2x2x4@1..2 mask=2x1x1x4:bool@0..1",
    "dy=1x2x17x70 q=1x2x17x8 k=1x2x9x8 v=1x2x9x70 y=1x2x17x70 logsumexp=1x2x17@1..2 !grad",
    "dy=1x2x3x5 q=1x2x3x4 k=1x2x7x4 v=1x2x7x5 y=1x2x3x5 logsumexp=1x2x3@1..2 length=scalar:i64@5..5 causal=1",
    "dy=1x2x300x20 q=1x2x300x32 k=1x2x300x32 v=1x2x300x20 y=1x2x300x20 logsumexp=1x2x300@3..4 causal=1 !grad",
    "dy=1x1x130x64 q=1x1x130x64 k=1x1x270x64 v=1x1x270x64 y=1x1x130x64 logsumexp=1x1x130@3..4 "
    "mask=1x1x130x270@-2..2 !grad",
    "dy=1x2x120x16 q=1x2x120x16 k=1x2x270x16 v=1x2x270x16 y=1x2x120x16 logsumexp=1x2x120@3..4 "
    "mask=1x1x1x270:bool@0..1 length=scalar:i64@200..200 causal=1 !grad",
    "dy=1x2x75x64 q=1x2x75x32 k=1x2x301x32 v=1x2x301x64 y=1x2x75x64 logsumexp=1x2x75@5..6 !grad",
    "dy=1x2x290x32 q=1x2x290x64 k=1x2x290x64 v=1x2x290x32 y=1x2x290x32 logsumexp=1x2x290@5..6 causal=1 !grad",
    "dy=2x4x8 q=2x4x6 k=2x5x6 v=2x5x8 y=2x4x8 logsumexp=2x2x4@1..2 heads=2",
    "dy=1x5x6 q=1x5x18 y=1x5x6 logsumexp=1x2x5@1..2 heads=2 causal=1",
    "dy=2x130x128 q=2x130x384 y=2x130x128 logsumexp=2x2x130@3..4 heads=2 causal=1 !grad",
    "dy=1x75x72 q=1x75x40 k=1x301x40 v=1x301x72 y=1x75x72 logsumexp=1x2x75@5..6 heads=2 !grad",
    NULL};

#define SCHEMA                                                                                                         \
    {                                                                                                                  \
        {"causal", NACRE_ATTRIBUTE_BOOL, .doc = "row t attends to columns 0 to t only (+ length - T)"},                \
            {"scale", NACRE_ATTRIBUTE_FLOAT, 0, .doc = "of the scores; 0: 1 / sqrt(D)"},                               \
        {                                                                                                              \
            "heads", NACRE_ATTRIBUTE_INT, 0, .doc = "that lie side by side in a row; 0: each has its own rows"         \
        }                                                                                                              \
    }

/* Scores and sums of values: two products over the whole square. */
static double square(const nacre_view *q, const nacre_view *k, const nacre_view *v)
{
    const int last = q->shape.rank - 1;
    const int64_t depth = q->shape.dims[last], columns = k->shape.dims[last - 1];
    const double rows = depth ? (double)nacre_shape_count(q->shape) / (double)depth : 0;
    return 2 * rows * (double)columns * (double)(depth + v->shape.dims[last]);
}

static void cost(const nacre_node_info *node, nacre_cost *cost)
{
    nacre_view parts[3];
    nc_attention_parts(&node->inputs[Q], node->input_count, node->attributes[HEADS], parts);
    cost->operations = square(&parts[Q], &parts[K], &parts[V]);
}

static void backward_cost(const nacre_node_info *node, nacre_cost *cost)
{
    nacre_view parts[3];
    nc_attention_parts(&node->inputs[BACK_Q], V + 1, node->attributes[HEADS], parts);
    cost->operations = 2 * square(&parts[Q], &parts[K], &parts[V]);
}

const nacre_op nc_op_attention = {
    .name = "attention",
    .doc =
        "softmax(scale q k' + mask) v over q [..., T, D], k [..., S, D], v [..., S, E], and the scores' logsumexp [..."
        ", T]. A mask broadcasts to [..., T, S]; it is added, or if bool tells what may be attended to. With a length "
        "only the first `length` rows of k and v count, and the rows of q are the last of them: a cache of keys and "
        "values, filled so far. A row that may attend to nothing gives 0 and logsumexp +infinity. With `heads` "
        "h the operands are q [N, T, h D], k [N, S, h D], v [N, S, h E], as a linear layer leaves them, or without k "
        "and v q [N, T, 3 h D], which holds all three; y is [N, T, h E], logsumexp [N, h, T].",
    .onnx = "Attention",
    .inputs = "q ?k ?v ?mask ?length",
    .outputs = "y logsumexp",
    .attributes = SCHEMA,
    .shape = shape,
    .gradient = gradient,
    .cost = cost,
    .reference = reference,
    .cases = CASES,
};

const nacre_op nc_op_attention_backward = {
    .name = "attention_backward",
    .doc = "The gradients of attention's y with respect to q, k and v, from its operands and results; without k and v "
           "one gradient, of all three side by side.",
    .inputs = "dy q ?k ?v y logsumexp ?mask ?length",
    .outputs = "dq dk dv",
    .attributes = SCHEMA,
    .shape = backward_shape,
    .expand = backward_expand,
    .cost = backward_cost,
    .reference = backward_reference,
    .cases = BACKWARD_CASES,
};

static nacre_tensor *attend(nacre_tensor *q, nacre_tensor *k, nacre_tensor *v, restriction limits, bool causal,
                            double scale, int64_t heads)
{
    return nacre_apply(nacre_tensor_graph(q), &nc_op_attention,
                       (nacre_tensor *[OPERANDS]){q, k, v, limits.mask, limits.length}, OPERANDS,
                       (int64_t[WORDS]){causal, nacre_word(scale), heads});
}

nacre_tensor *nacre_scaled_dot_product_attention(nacre_tensor *q, nacre_tensor *k, nacre_tensor *v, nacre_tensor *mask,
                                                 bool causal, double scale)
{
    if (!q || !k || !v) return NULL;
    return attend(q, k, v, (restriction){.mask = mask}, causal, scale, 0);
}

nacre_tensor *nacre_prefix_attention(nacre_tensor *q, nacre_tensor *k, nacre_tensor *v, nacre_tensor *length,
                                     bool causal, double scale)
{
    if (!q || !k || !v || !length) return NULL;
    return attend(q, k, v, (restriction){.length = length}, causal, scale, 0);
}

nacre_tensor *nacre_attention_of_heads(nacre_tensor *q, nacre_tensor *k, nacre_tensor *v, int64_t heads,
                                       nacre_tensor *mask, bool causal, double scale)
{
    if (!q || !k || !v) return NULL;
    const int64_t width = nacre_tensor_dim(q, -1);
    nacre_tensor *whole = nc_slice_source(q, 0, width);
    if (whole && nacre_tensor_dim(whole, -1) == 3 * width && nc_slice_source(k, width, width) == whole &&
        nc_slice_source(v, 2 * width, width) == whole)
        q = whole, k = v = NULL;
    return attend(q, k, v, (restriction){.mask = mask}, causal, scale, heads);
}

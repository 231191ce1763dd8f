/* ops/attention.c - scaled dot-product attention, without ever storing the matrix of weights (Vaswani et al. 2017;
 * the backward pass from y and logsumexp as in Dao et al. 2022).
 *
 *     s = scale q k' + mask,  p = exp(s - logsumexp(s)),  y = p v
 *     ds = p (dy v' - sum(dy y) + dlogsumexp),  dq = scale ds k,  dk = scale ds' q,  dv = p' dy
 */
#include "ops/op.h"

#include <math.h>
#include <string.h>

enum { CAUSAL, SCALE, WORDS };
enum { Q, K, V, MASK, LENGTH, OPERANDS };                                                 /* of attention */
enum { DY, BACK_Q, BACK_K, BACK_V, Y, LOGSUMEXP, BACK_MASK, BACK_LENGTH, BACK_OPERANDS }; /* of attention_backward */

static double scale_of(const int64_t *attributes, int64_t depth)
{
    double scale = nacre_unword(attributes[SCALE]);
    return scale != 0 ? scale : 1 / sqrt((double)depth);
}

/* ---- shape rules ---- */

static nacre_status fail_operands(nacre_shape_call *call, nacre_tensor *q, nacre_tensor *k, nacre_tensor *v)
{
    char a[NACRE_SHAPE_TEXT_SIZE], b[NACRE_SHAPE_TEXT_SIZE], c[NACRE_SHAPE_TEXT_SIZE];
    return nacre_shape_fail(call, NACRE_ERROR_SHAPE,
                            "q %s, k %s and v %s do not fit; expected [..., T, D], [..., S, D] and [..., S, E]",
                            nacre_shape_text(nacre_tensor_shape(q), a), nacre_shape_text(nacre_tensor_shape(k), b),
                            nacre_shape_text(nacre_tensor_shape(v), c));
}

static nacre_status check_length(nacre_shape_call *call, nacre_tensor *length)
{
    if (!length || (nacre_tensor_count(length) == 1 && nacre_tensor_dtype(length) == NACRE_I64)) return NACRE_OK;
    return nacre_shape_fail(call, NACRE_ERROR_SHAPE, "length must be one number of type i64");
}

/* q, k and v at `first` and the mask at `mask`, which the length follows, fit together. */
static nacre_status check_operands(nacre_shape_call *call, int first, int mask)
{
    nacre_tensor *const *operands = call->inputs + first;
    nacre_shape q = nacre_tensor_shape(operands[Q]), k = nacre_tensor_shape(operands[K]);
    nacre_shape v = nacre_tensor_shape(operands[V]), scores = q;
    int rank = q.rank;
    if (rank < 2 || k.rank != rank || v.rank != rank || q.dims[rank - 1] != k.dims[rank - 1] ||
        k.dims[rank - 2] != v.dims[rank - 2] || q.dims[rank - 1] == 0)
        return fail_operands(call, operands[Q], operands[K], operands[V]);
    for (int i = 0; i < rank - 2; i++)
        if (q.dims[i] != k.dims[i] || q.dims[i] != v.dims[i])
            return fail_operands(call, operands[Q], operands[K], operands[V]);
    nacre_status status = check_length(call, mask + 1 < call->input_count ? call->inputs[mask + 1] : NULL);
    nacre_tensor *given = mask < call->input_count ? call->inputs[mask] : NULL;
    if (status || !given) return status;
    nacre_shape shape = nacre_tensor_shape(given);
    nacre_dtype dtype = nacre_tensor_dtype(given);
    char a[NACRE_SHAPE_TEXT_SIZE], b[NACRE_SHAPE_TEXT_SIZE];
    scores.dims[rank - 1] = k.dims[rank - 2];
    nacre_shape wide = scores;
    if (!nc_broadcast(&wide, &shape) || !nacre_shape_equal(wide, scores))
        return nacre_shape_fail(call, NACRE_ERROR_SHAPE, "mask %s does not broadcast to %s", nacre_shape_text(shape, a),
                                nacre_shape_text(scores, b));
    if (dtype != NACRE_BOOL && dtype != nacre_tensor_dtype(operands[Q]))
        return nacre_shape_fail(call, NACRE_ERROR_DTYPE, "mask is %s, expected bool or %s as q",
                                nacre_dtype_name(dtype), nacre_dtype_name(nacre_tensor_dtype(operands[Q])));
    return NACRE_OK;
}

static nacre_status need_one_float(nacre_shape_call *call, int count)
{
    nacre_shape_call some = *call;
    some.input_count = count;
    nacre_status status = nc_need_float(&some);
    return status ? status : nc_need_one_dtype(&some);
}

static nacre_status shape(nacre_shape_call *call)
{
    nacre_status status = need_one_float(call, MASK);
    if (!status) status = check_operands(call, Q, MASK);
    if (status) return status;
    nacre_shape y = nacre_tensor_shape(call->inputs[Q]);
    call->shapes[1] = y;
    call->shapes[1].rank--;
    y.dims[y.rank - 1] = nacre_tensor_dim(call->inputs[V], -1);
    call->shapes[0] = y;
    call->dtypes[0] = call->dtypes[1] = nacre_tensor_dtype(call->inputs[Q]);
    return NACRE_OK;
}

static nacre_status backward_shape(nacre_shape_call *call)
{
    nacre_status status = need_one_float(call, BACK_MASK);
    if (!status) status = check_operands(call, BACK_Q, BACK_MASK);
    if (status) return status;
    nacre_shape y = nacre_tensor_shape(call->inputs[BACK_Q]), sums = y;
    y.dims[y.rank - 1] = nacre_tensor_dim(call->inputs[BACK_V], -1);
    sums.rank--;
    if (!nacre_shape_equal(nacre_tensor_shape(call->inputs[DY]), y) ||
        !nacre_shape_equal(nacre_tensor_shape(call->inputs[Y]), y) ||
        !nacre_shape_equal(nacre_tensor_shape(call->inputs[LOGSUMEXP]), sums))
        return nacre_shape_fail(call, NACRE_ERROR_SHAPE,
                                "dy, y or logsumexp do not have the shapes that attention gives");
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

static nacre_tensor *operand(nacre_tensor *const *inputs, int count, int index)
{
    return index < count ? inputs[index] : NULL;
}

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
    nacre_tensor *q = inputs[BACK_Q], *k = inputs[BACK_K], *dy = inputs[DY];
    restriction limits = {operand(inputs, input_count, BACK_MASK), operand(inputs, input_count, BACK_LENGTH)};
    nacre_tensor *p = weights(graph, q, k, limits, inputs[LOGSUMEXP], attributes);
    nacre_tensor *ds = scores_gradient(p, dy, inputs[BACK_V], inputs[Y]);
    outputs[0] = scaled(nacre_matmul(ds, k, false, false), q, attributes);
    outputs[1] = scaled(nacre_matmul(ds, q, true, false), q, attributes);
    outputs[2] = nacre_matmul(p, dy, true, false);
}

static nacre_tensor *sum_of(nacre_tensor *a, nacre_tensor *b)
{
    return a && b ? nacre_add(a, b) : a ? a : b;
}

/* What a gradient of logsumexp adds, and all of the mask's. */
static void gradient_through_weights(nacre_gradient_call *call, restriction limits)
{
    nacre_tensor *q = call->inputs[Q], *k = call->inputs[K], *ds = NULL;
    nacre_tensor *dy = call->output_grads[0], *dlogsumexp = call->output_grads[1];
    nacre_tensor *p = weights(call->graph, q, k, limits, call->outputs[1], call->attributes);
    if (dlogsumexp) {
        ds = nacre_mul(p, as_column(dlogsumexp));
        nacre_tensor *dq = scaled(nacre_matmul(ds, k, false, false), q, call->attributes);
        nacre_tensor *dk = scaled(nacre_matmul(ds, q, true, false), q, call->attributes);
        if (call->wanted[Q]) call->input_grads[Q] = sum_of(call->input_grads[Q], dq);
        if (call->wanted[K]) call->input_grads[K] = sum_of(call->input_grads[K], dk);
    }
    if (call->input_count <= MASK || !call->wanted[MASK]) return;
    if (dy) ds = sum_of(ds, scores_gradient(p, dy, call->inputs[V], call->outputs[0]));
    call->input_grads[MASK] = nc_sum_to(ds, limits.mask);
}

static void gradient(nacre_gradient_call *call)
{
    restriction limits = {operand(call->inputs, call->input_count, MASK),
                          operand(call->inputs, call->input_count, LENGTH)};
    if (call->output_grads[0]) {
        nacre_tensor *operands[BACK_OPERANDS] = {call->output_grads[0], call->inputs[Q],  call->inputs[K],
                                                 call->inputs[V],       call->outputs[0], call->outputs[1],
                                                 limits.mask,           limits.length};
        nacre_tensor *dq =
            nacre_apply(call->graph, &nc_op_attention_backward, operands, BACK_OPERANDS, call->attributes);
        for (int i = Q; i <= V; i++)
            if (call->wanted[i]) call->input_grads[i] = nacre_tensor_sibling(dq, i);
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
    const nacre_view *q = &call->inputs[first + Q], *k = &call->inputs[first + K], *v = &call->inputs[first + V];
    nacre_shape lead = q->shape;
    lead.rank -= 2;
    h.rows = q->shape.dims[lead.rank];
    h.columns = k->shape.dims[lead.rank];
    h.valid = h.length ? (int64_t)nc_get(h.length, 0) : h.columns;
    h.shift = h.length ? h.valid - h.rows : 0;
    h.attributes = call->attributes;
    if (nacre_shape_count(lead) == 0) return;
    do {
        h.q = matrix_at(q, h.lead);
        h.k = matrix_at(k, h.lead);
        h.v = matrix_at(v, h.lead);
        body(call, &h);
    } while (nc_next(&lead, h.lead));
}

static void forward_head(const nacre_call *call, const head *h)
{
    matrix y = matrix_at(&call->outputs[0], h->lead);
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
    h.dy = matrix_at(&call->inputs[DY], h.lead);
    h.y = matrix_at(&call->inputs[Y], h.lead);
    matrix dq = matrix_at(&call->outputs[0], h.lead), dk = matrix_at(&call->outputs[1], h.lead);
    matrix dv = matrix_at(&call->outputs[2], h.lead);
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
    NULL};

#define SCHEMA                                                                                                         \
    {                                                                                                                  \
        {"causal", NACRE_ATTRIBUTE_BOOL, .doc = "row t attends to columns 0 to t only (+ length - T)"},                \
        {                                                                                                              \
            "scale", NACRE_ATTRIBUTE_FLOAT, 0, .doc = "of the scores; 0: 1 / sqrt(D)"                                  \
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
    cost->operations = square(&node->inputs[Q], &node->inputs[K], &node->inputs[V]);
}

static void backward_cost(const nacre_node_info *node, nacre_cost *cost)
{
    cost->operations = 2 * square(&node->inputs[BACK_Q], &node->inputs[BACK_K], &node->inputs[BACK_V]);
}

const nacre_op nc_op_attention = {
    .name = "attention",
    .doc =
        "softmax(scale q k' + mask) v over q [..., T, D], k [..., S, D], v [..., S, E], and the scores' logsumexp [..."
        ", T]. A mask broadcasts to [..., T, S]; it is added, or if bool tells what may be attended to. With a length "
        "only the first `length` rows of k and v count, and the rows of q are the last of them: a cache of keys and "
        "values, filled so far. A row that may attend to nothing gives 0 and logsumexp +infinity.",
    .onnx = "Attention",
    .inputs = "q k v ?mask ?length",
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
    .doc = "The gradients of attention's y with respect to q, k and v, from its operands and results.",
    .inputs = "dy q k v y logsumexp ?mask ?length",
    .outputs = "dq dk dv",
    .attributes = SCHEMA,
    .shape = backward_shape,
    .expand = backward_expand,
    .cost = backward_cost,
    .reference = backward_reference,
    .cases = BACKWARD_CASES,
};

static nacre_tensor *attend(nacre_tensor *q, nacre_tensor *k, nacre_tensor *v, restriction limits, bool causal,
                            double scale)
{
    if (!q || !k || !v) return NULL;
    return nacre_apply(nacre_tensor_graph(q), &nc_op_attention,
                       (nacre_tensor *[OPERANDS]){q, k, v, limits.mask, limits.length}, OPERANDS,
                       (int64_t[WORDS]){causal, nacre_word(scale)});
}

nacre_tensor *nacre_scaled_dot_product_attention(nacre_tensor *q, nacre_tensor *k, nacre_tensor *v, nacre_tensor *mask,
                                                 bool causal, double scale)
{
    return attend(q, k, v, (restriction){.mask = mask}, causal, scale);
}

nacre_tensor *nacre_prefix_attention(nacre_tensor *q, nacre_tensor *k, nacre_tensor *v, nacre_tensor *length,
                                     bool causal, double scale)
{
    return length ? attend(q, k, v, (restriction){.length = length}, causal, scale) : NULL;
}

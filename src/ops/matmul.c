/* ops/matmul.c - the matrix product: batched, broadcast, transposed operands, with what may follow it. */
#include "ops/op.h"

enum { TRANSPOSE_A, TRANSPOSE_B, ACTIVATION, WORDS };
enum { NONE, RELU, GELU, GELU_TANH }; /* activations */

typedef struct extents {
    int64_t m, n, k;
    nacre_shape batch_a, batch_b;
} extents;

static extents read_extents(const nacre_shape *a, const nacre_shape *b, const int64_t *attributes)
{
    bool ta = attributes[TRANSPOSE_A] != 0, tb = attributes[TRANSPOSE_B] != 0;
    extents e = {.m = a->dims[a->rank - (ta ? 1 : 2)],
                 .k = a->dims[a->rank - (ta ? 2 : 1)],
                 .n = b->dims[b->rank - (tb ? 2 : 1)],
                 .batch_a = *a,
                 .batch_b = *b};
    e.batch_a.rank -= 2;
    e.batch_b.rank -= 2;
    return e;
}

static nacre_status shape(nacre_shape_call *call)
{
    nacre_shape a = nacre_tensor_shape(call->inputs[0]), b = nacre_tensor_shape(call->inputs[1]);
    char text_a[NACRE_SHAPE_TEXT_SIZE], text_b[NACRE_SHAPE_TEXT_SIZE];
    nacre_shape_text(a, text_a);
    nacre_shape_text(b, text_b);
    if (a.rank < 2 || b.rank < 2)
        return nacre_shape_fail(call, NACRE_ERROR_SHAPE, "operands need at least 2 axes, got %s and %s", text_a,
                                text_b);
    nacre_status status = nc_need_float(call);
    if (status) return status;
    for (int i = 1; i < call->input_count; i++)
        if (call->inputs[i] && nacre_tensor_dtype(call->inputs[i]) != nacre_tensor_dtype(call->inputs[0]))
            return nacre_shape_fail(call, NACRE_ERROR_DTYPE, "operands are %s and %s; cast one of them first",
                                    nacre_dtype_name(nacre_tensor_dtype(call->inputs[0])),
                                    nacre_dtype_name(nacre_tensor_dtype(call->inputs[i])));
    extents e = read_extents(&a, &b, call->attributes);
    int64_t k_of_b = b.dims[b.rank - (call->attributes[TRANSPOSE_B] ? 1 : 2)];
    if (e.k != k_of_b)
        return nacre_shape_fail(call, NACRE_ERROR_SHAPE, "input has %lld features, weight expects %lld (%s by %s%s)",
                                (long long)e.k, (long long)k_of_b, text_a, text_b,
                                call->attributes[TRANSPOSE_B] ? " transposed" : "");
    nacre_shape result = e.batch_a;
    if (!nc_broadcast(&result, &e.batch_b))
        return nacre_shape_fail(call, NACRE_ERROR_SHAPE, "batches of %s and %s do not broadcast", text_a, text_b);
    result.dims[result.rank++] = e.m;
    result.dims[result.rank++] = e.n;
    if (call->input_count > 2 && call->inputs[2]) {
        nacre_shape bias = nacre_tensor_shape(call->inputs[2]);
        if (bias.rank != 1 || bias.dims[0] != e.n)
            return nacre_shape_fail(call, NACRE_ERROR_SHAPE, "bias is %s, expected [%lld]",
                                    nacre_shape_text(bias, text_a), (long long)e.n);
    }
    if (call->input_count > 3 && call->inputs[3]) {
        nacre_shape residual = nacre_tensor_shape(call->inputs[3]);
        if (!nacre_shape_equal(residual, result))
            return nacre_shape_fail(call, NACRE_ERROR_SHAPE, "residual is %s, expected %s",
                                    nacre_shape_text(residual, text_a), nacre_shape_text(result, text_b));
    }
    call->shapes[0] = result;
    call->dtypes[0] = nacre_tensor_dtype(call->inputs[0]);
    return NACRE_OK;
}

/* A weight that all batches share: one product over the batch and row axes together gives its gradient. */
static nacre_tensor *shared_weight_gradient(nacre_tensor *a, nacre_tensor *g, bool transpose_b)
{
    nacre_tensor *rows = nacre_reshape(a, NACRE_SHAPE(-1, nacre_tensor_dim(a, -1)));
    nacre_tensor *grads = nacre_reshape(g, NACRE_SHAPE(-1, nacre_tensor_dim(g, -1)));
    return transpose_b ? nacre_matmul(grads, rows, true, false) : nacre_matmul(rows, grads, true, false);
}

/* ReLU's slope can be seen in its result; GELU's takes the sum, which is computed again. */
static nacre_tensor *gradient_of_sum(const nacre_gradient_call *call)
{
    const int64_t activation = call->attributes[ACTIVATION];
    nacre_tensor *g = call->output_grads[0];
    if (activation == NONE) return g;
    if (activation == RELU) return nc_apply2(&nc_op_relu_backward, g, call->outputs[0], NULL);
    const int64_t plain[WORDS] = {call->attributes[TRANSPOSE_A], call->attributes[TRANSPOSE_B], NONE};
    nacre_tensor *sum =
        nacre_apply(nacre_tensor_graph(call->inputs[0]), &nc_op_matmul, call->inputs, call->input_count, plain);
    return nc_apply2(&nc_op_gelu_backward, g, sum, (int64_t[]){activation == GELU_TANH});
}

static double activate(int64_t activation, double sum)
{
    if (activation == NONE) return sum;
    if (activation == RELU) return sum < 0 ? 0 : sum;
    return nc_gelu_value(sum, activation == GELU_TANH);
}

static void gradient(nacre_gradient_call *call)
{
    nacre_tensor *a = call->inputs[0], *b = call->inputs[1], *g = gradient_of_sum(call);
    bool ta = call->attributes[TRANSPOSE_A] != 0, tb = call->attributes[TRANSPOSE_B] != 0;
    if (call->wanted[0]) {
        nacre_tensor *da = ta ? nacre_matmul(b, g, tb, true) : nacre_matmul(g, b, false, !tb);
        call->input_grads[0] = nc_sum_to(da, a);
    }
    if (call->wanted[1]) {
        if (!ta && nacre_tensor_rank(b) == 2 && nacre_tensor_rank(a) > 2) {
            call->input_grads[1] = shared_weight_gradient(a, g, tb);
        } else {
            nacre_tensor *db = tb ? nacre_matmul(g, a, true, ta) : nacre_matmul(a, g, !ta, false);
            call->input_grads[1] = nc_sum_to(db, b);
        }
    }
    if (call->input_count > 2 && call->wanted[2]) call->input_grads[2] = nc_sum_to(g, call->inputs[2]);
    if (call->input_count > 3 && call->wanted[3]) call->input_grads[3] = g;
}

static void reference(const nacre_call *call)
{
    const nacre_view *a = &call->inputs[0], *b = &call->inputs[1], *y = &call->outputs[0];
    const nacre_view *bias = nc_optional(call, 2);
    const nacre_view *residual = nc_optional(call, 3);
    extents e = read_extents(&a->shape, &b->shape, call->attributes);
    bool ta = call->attributes[TRANSPOSE_A] != 0, tb = call->attributes[TRANSPOSE_B] != 0;
    int rank = y->shape.rank;
    nacre_view batch_a = *a, batch_b = *b;
    batch_a.shape.rank -= 2;
    batch_b.shape.rank -= 2;
    int64_t row_a = a->strides[a->shape.rank - (ta ? 1 : 2)], inner_a = a->strides[a->shape.rank - (ta ? 2 : 1)];
    int64_t column_b = b->strides[b->shape.rank - (tb ? 2 : 1)], inner_b = b->strides[b->shape.rank - (tb ? 1 : 2)];
    int64_t index[NACRE_MAX_RANK] = {0};
    if (nc_count(y) == 0) return;
    do {
        int64_t row = index[rank - 2], column = index[rank - 1];
        int64_t at_a = nc_broadcast_offset(&batch_a, index, rank - 2) + row * row_a;
        int64_t at_b = nc_broadcast_offset(&batch_b, index, rank - 2) + column * column_b;
        double sum = bias ? nc_get(bias, column * bias->strides[0]) : 0;
        for (int64_t i = 0; i < e.k; i++) sum += nc_get(a, at_a + i * inner_a) * nc_get(b, at_b + i * inner_b);
        if (residual) sum += nc_get(residual, nc_offset(residual, index));
        nc_set(y, nc_offset(y, index), activate(call->attributes[ACTIVATION], sum));
    } while (nc_next(&y->shape, index));
}

static void cost(const nacre_node_info *node, nacre_cost *cost)
{
    extents e = read_extents(&node->inputs[0].shape, &node->inputs[1].shape, node->attributes);
    cost->operations = 2.0 * (double)nacre_shape_count(node->outputs[0].shape) * (double)e.k;
}

static const char *const CASES[] = {"a=4x5 b=5x6",
                                    "a=9x1 b=1x70",
                                    "a=5x4 b=5x6 transpose_a=1",
                                    "a=4x5 b=6x5 transpose_b=1",
                                    "a=5x4 b=6x5 transpose_a=1 transpose_b=1",
                                    "a=2x3x4x5 b=5x6",
                                    "a=2x3x4x5 b=3x5x6",
                                    "a=4x5 b=2x6x5 transpose_b=1",
                                    "a=7x9 b=3x9 bias=3 transpose_b=1",
                                    "a=7x9 b=3x9 bias=3 residual=7x3 transpose_b=1 activation=relu",
                                    "a=7x9 b=3x9 bias=3 transpose_b=1 activation=gelu",
                                    "a=9x5 b=5x40 residual=9x40 activation=gelu_tanh",
                                    "a=33x70 b=70x129",
                                    "a=1x17 b=17x1",
                                    "a=64x128 b=100x128 bias=100 transpose_b=1 !grad",
                                    "a=1x100 b=37x100 transpose_b=1 !grad",
                                    "a=1x2x40 b=37x40 bias=37 residual=1x2x37 transpose_b=1 activation=relu !grad",
                                    "a=3x129 b=70x129 bias=70 transpose_b=1 !grad",
                                    "a=3x129 b=70x129 bias=70 transpose_b=1 activation=gelu_tanh !grad",
                                    "a=70x2000 b=33x2000 bias=33 transpose_b=1 activation=gelu !grad",
                                    "a=4x33 b=9x33 transpose_b=1 !grad",
                                    "a=5x300 b=18x300 bias=18 transpose_b=1 !grad",
                                    "a=6x48 b=7x48 transpose_b=1 !grad",
                                    "a=70x2000 b=33x2000 bias=33 transpose_b=1 !grad",
                                    "a=1000x70 b=1000x33 transpose_a=1 !grad",
                                    "a=8x65 b=40x65 residual=8x40 transpose_b=1 !grad",
                                    NULL};

const nacre_op nc_op_matmul = {
    .name = "matmul",
    .doc = "The matrix product of the last two axes, earlier axes broadcast: y = op(a) op(b) + bias + residual, then "
           "the activation. `activation` and `residual` are used by the planner, which folds what follows a product.",
    .onnx = "MatMul",
    .inputs = "a b ?bias ?residual",
    .outputs = "y",
    .attributes = {{"transpose_a", NACRE_ATTRIBUTE_BOOL, .doc = "swap the last two axes of a"},
                   {"transpose_b", NACRE_ATTRIBUTE_BOOL, .doc = "swap the last two axes of b"},
                   {"activation", NACRE_ATTRIBUTE_ENUM, .choices = "none|relu|gelu|gelu_tanh", .doc = "applied last"}},
    .shape = shape,
    .gradient = gradient,
    .cost = cost,
    .reference = reference,
    .cases = CASES,
};

nacre_tensor *nacre_matmul(nacre_tensor *a, nacre_tensor *b, bool transpose_a, bool transpose_b)
{
    return nc_apply2(&nc_op_matmul, a, b, (int64_t[WORDS]){transpose_a, transpose_b});
}

nacre_tensor *nacre_linear_with(nacre_tensor *x, nacre_tensor *weight, nacre_tensor *bias)
{
    if (!x || !weight) return NULL;
    return nacre_apply(nacre_tensor_graph(x), &nc_op_matmul, (nacre_tensor *[]){x, weight, bias}, bias ? 3 : 2,
                       (int64_t[WORDS]){false, true});
}

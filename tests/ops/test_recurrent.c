/* Recurrent layers as one operation against the same layer built of nodes for each step: results and gradients by every
 * operand, in double on the reference and in float on the fast kernels; and what second derivatives need. */
#include "test.h"

#include <nacre/nacre.h>

enum { N = 5, T = 4, H = 6, MOST = 4 * N * T * H, OPERANDS = 5, RESULTS = 2 };

typedef enum cell { RNN, GRU, LSTM } cell;
static const int gates_of[] = {1, 3, 4};

/* x, w, b, h, c of the cell, uniform in [-1, 1). */
static double values[OPERANDS][MOST];
static double weights[RESULTS][N * T * H];

static void fill(double *array, int count, uint32_t stream)
{
    for (int i = 0; i < count; i++) {
        uint32_t bits[4];
        nacre_philox((uint32_t[]){stream, 9}, (uint32_t[]){(uint32_t)i, 0, 0, 0}, bits);
        array[i] = 2 * nacre_uniform(bits[0]) - 1;
    }
}

static nacre_tensor *gate(nacre_tensor *all, int index)
{
    return nacre_slice(all, 1, index * H, (index + 1) * H, 1);
}

/* One step from the input's part and the state's part of the gates. */
static void step(cell kind, nacre_tensor *in, nacre_tensor *part, nacre_tensor **h, nacre_tensor **c)
{
    nacre_tensor *sum = nacre_add(in, part);
    if (kind == RNN) {
        *h = nacre_tanh(sum);
    } else if (kind == LSTM) {
        nacre_tensor *kept = nacre_mul(nacre_sigmoid(gate(sum, 1)), *c);
        *c = nacre_add(kept, nacre_mul(nacre_sigmoid(gate(sum, 0)), nacre_tanh(gate(sum, 2))));
        *h = nacre_mul(nacre_sigmoid(gate(sum, 3)), nacre_tanh(*c));
    } else {
        nacre_tensor *z = nacre_sigmoid(gate(sum, 1));
        nacre_tensor *reset = nacre_mul(nacre_sigmoid(gate(sum, 0)), gate(part, 2));
        nacre_tensor *new = nacre_tanh(nacre_add(gate(in, 2), reset));
        *h = nacre_add(new, nacre_mul(z, nacre_sub(*h, new)));
    }
}

static void unrolled(cell kind, nacre_tensor *const *operands, bool reverse, nacre_tensor **results)
{
    nacre_tensor *h = operands[3], *c = operands[4], *ys[T], *cs[T];
    for (int i = 0; i < T; i++) {
        int t = reverse ? T - 1 - i : i;
        nacre_tensor *in = nacre_slice(operands[0], 1, t, t + 1, 1);
        in = nacre_reshape(in, NACRE_SHAPE(N, gates_of[kind] * H));
        step(kind, in, nacre_linear_with(h, operands[1], operands[2]), &h, &c);
        ys[t] = h;
        cs[t] = c;
    }
    results[0] = nacre_stack(ys, T, 1);
    results[1] = kind == LSTM ? nacre_stack(cs, T, 1) : NULL;
}

static void fused(cell kind, nacre_tensor *const *o, bool reverse, nacre_tensor **results)
{
    results[1] = NULL;
    if (kind == RNN) results[0] = nacre_rnn_with(o[0], o[1], o[2], o[3], reverse);
    if (kind == GRU) results[0] = nacre_gru_with(o[0], o[1], o[2], o[3], reverse);
    if (kind != LSTM) return;
    results[0] = nacre_lstm_with(o[0], o[1], o[2], o[3], o[4], reverse);
    results[1] = nacre_tensor_sibling(results[0], 1);
}

typedef void builder(cell kind, nacre_tensor *const *operands, bool reverse, nacre_tensor **results);

/* The loss sum of weights * results, and its gradients, into doubles: [0] the loss, then by operand. */
static void compute(nacre_context *ctx, nacre_dtype dtype, builder *build, cell kind, bool reverse,
                    double got[OPERANDS + 1][MOST])
{
    const nacre_shape shapes[OPERANDS] = {NACRE_SHAPE(N, T, gates_of[kind] * H), NACRE_SHAPE(gates_of[kind] * H, H),
                                          NACRE_SHAPE(gates_of[kind] * H), NACRE_SHAPE(N, H), NACRE_SHAPE(N, H)};
    static char memory[OPERANDS][MOST * sizeof(double)], converted[MOST * sizeof(double)];
    nacre_graph *graph = nacre_graph_create(ctx);
    nacre_tensor *operands[OPERANDS], *results[RESULTS], *grads[OPERANDS], *loss = NULL;
    int count = kind == LSTM ? OPERANDS : OPERANDS - 1;
    for (int i = 0; i < OPERANDS; i++) {
        operands[i] = nacre_input(graph, "x", dtype, shapes[i]);
        nacre_dtype_convert(dtype, memory[i], NACRE_F64, values[i], nacre_shape_count(shapes[i]));
        nacre_feed(operands[i], memory[i]);
    }
    build(kind, operands, reverse, results);
    for (int i = 0; i < RESULTS && results[i]; i++) {
        nacre_dtype_convert(dtype, converted, NACRE_F64, weights[i], N * T * H);
        nacre_tensor *part = nacre_constant(graph, dtype, NACRE_SHAPE(N, T, H), converted);
        part = nacre_sum(nacre_mul(results[i], part), NULL);
        loss = loss ? nacre_add(loss, part) : part;
    }
    NC_REQUIRE(nacre_gradients(loss, operands, count, grads) == NACRE_OK);
    nacre_output(loss);
    for (int i = 0; i < count; i++) nacre_output(grads[i]);
    NC_REQUIRE(nacre_run(graph) == NACRE_OK);
    got[0][0] = nacre_read_scalar(loss);
    for (int i = 0; i < count; i++) {
        int64_t elements = nacre_shape_count(shapes[i]);
        NC_CHECK(nacre_read(grads[i], converted, (size_t)elements * nacre_dtype_size(dtype)) == NACRE_OK);
        nacre_dtype_convert(NACRE_F64, got[i + 1], dtype, converted, elements);
    }
    nacre_graph_destroy(graph);
}

static void compare(nacre_device device, nacre_dtype dtype, double tolerance)
{
    static double got[OPERANDS + 1][MOST], expected[OPERANDS + 1][MOST];
    nacre_context_options options = {.device = device, .threads = 2};
    nacre_context *ctx = nacre_context_create(&options);
    for (cell kind = RNN; kind <= LSTM; kind++)
        for (int reverse = 0; reverse < 2; reverse++) {
            memset(got, 0, sizeof got);
            memset(expected, 0, sizeof expected);
            compute(ctx, dtype, fused, kind, reverse, got);
            compute(ctx, NACRE_F64, unrolled, kind, reverse, expected);
            double worst = 0;
            for (int i = 0; i <= OPERANDS; i++)
                for (int k = 0; k < MOST; k++) worst = fmax(worst, fabs(got[i][k] - expected[i][k]));
            NC_CHECK(worst <= tolerance);
        }
    nacre_context_destroy(ctx);
}

static void gradients_are_those_of_single_steps(void)
{
    for (uint32_t i = 0; i < OPERANDS; i++) fill(values[i], MOST, i);
    for (uint32_t i = 0; i < RESULTS; i++) fill(weights[i], N * T * H, 20 + i);
    compare(NACRE_DEVICE_REFERENCE, NACRE_F64, 1e-12);
    compare(NACRE_DEVICE_CPU, NACRE_F32, 1e-5); /* sums of 20 products of values around 1 */
}

/* The loss of a layer's gradient: the gradient penalty of some networks. */
static nacre_status differentiate_twice(nacre_context *ctx, bool unroll)
{
    nacre_graph *graph = nacre_graph_create(ctx);
    nacre_model *model = nacre_model_create(ctx);
    const nacre_recurrent_options options = {.unrolled = unroll};
    nacre_tensor *x = nacre_input(graph, "x", NACRE_F32, NACRE_SHAPE(2, 3, 4)), *dx, *again;
    nacre_tensor *y = nacre_lstm(nacre_root(graph, model, true), x, H, &options);
    nacre_gradients(nacre_sum(y, NULL), &x, 1, &dx);
    nacre_status status = nacre_gradients(nacre_sum(nacre_square(dx), NULL), &x, 1, &again);
    nacre_graph_destroy(graph);
    nacre_model_destroy(model);
    return status;
}

static void second_derivatives_need_single_steps(void)
{
    nacre_context *ctx = nacre_context_create(NULL);
    NC_CHECK(differentiate_twice(ctx, true) == NACRE_OK);
    NC_CHECK(differentiate_twice(ctx, false) == NACRE_ERROR_UNSUPPORTED);
    NC_CHECK_CONTAINS(nacre_message(ctx), "unrolled");
    nacre_context_destroy(ctx);
}

int main(void)
{
    NC_RUN(gradients_are_those_of_single_steps);
    NC_RUN(second_derivatives_need_single_steps);
    return nc_report();
}

/* ops/recurrent.c - recurrent layers over whole sequences, and their gradients from what the steps left behind.
 *
 * The part of the gates that comes from the input, x [N, T, gates H], is one matrix product over all times, made
 * before; the operation adds the part of the state, W h + b, from step to step. Its gradient gives dx at all times, of
 * which the gradient of W is again one product; only the state's gradient goes from step to step.
 */
#include "ops/op.h"

#include <math.h>

enum { REVERSE, WORDS, NO_DH = WORDS }; /* NO_DH: of the backward operations */
enum { X, W, B, H0, C0 };               /* operands of the forward operations */
enum { OUT_Y, OUT_C, OUT_GATES };       /* of lstm */
enum { GRU_Y, GRU_GATES };              /* of gru */
enum { DY, BACK_W, LAST };              /* operands of all backward operations */
enum { LSTM_C = LAST, LSTM_GATES, LSTM_C0, LSTM_DC };
enum { STATE_Y = LAST, GRU_BACK_GATES, GRU_H0 };
enum { DX, LSTM_DH, LSTM_DC0 }; /* outputs of lstm_backward; rnn_backward has the first two */
enum { DHIDDEN = 1, GRU_DH };   /* of gru_backward */

/* ---- shape rules ---- */

static nacre_shape sequence(const nacre_tensor *x, int64_t width)
{
    nacre_shape shape = nacre_tensor_shape(x);
    shape.dims[2] = width;
    return shape;
}

/* The gates of all samples at one time lie together, [T, N, 4 H]: steps write and read them so. */
static nacre_shape saved_gates(const nacre_tensor *x, int64_t size)
{
    return NACRE_SHAPE(nacre_tensor_dim(x, 1), nacre_tensor_dim(x, 0), 4 * size);
}

static nacre_shape one_state(const nacre_tensor *x, int64_t size)
{
    return NACRE_SHAPE(nacre_tensor_dim(x, 0), size);
}

static nacre_status need_shape(nacre_shape_call *call, int operand, const char *name, nacre_shape expected)
{
    char a[NACRE_SHAPE_TEXT_SIZE], b[NACRE_SHAPE_TEXT_SIZE];
    if (operand >= call->input_count || !call->inputs[operand]) return NACRE_OK;
    nacre_shape got = nacre_tensor_shape(call->inputs[operand]);
    if (nacre_shape_equal(got, expected)) return NACRE_OK;
    return nacre_shape_fail(call, NACRE_ERROR_SHAPE, "%s is %s, expected %s", name, nacre_shape_text(got, a),
                            nacre_shape_text(expected, b));
}

static nacre_status need_real(nacre_shape_call *call)
{
    nacre_status status = nc_need_float(call);
    return status ? status : nc_need_one_dtype(call);
}

static void give(nacre_shape_call *call, int output, nacre_shape shape)
{
    call->shapes[output] = shape;
    call->dtypes[output] = nacre_tensor_dtype(call->inputs[0]);
}

/* Operands x, w, b and states of `size` elements; writes the size. */
static nacre_status check_forward(nacre_shape_call *call, int gates, int64_t *size)
{
    nacre_status status = need_real(call);
    nacre_tensor *x = call->inputs[X];
    char text[NACRE_SHAPE_TEXT_SIZE];
    *size = nacre_tensor_dim(call->inputs[W], -1);
    if (status) return status;
    if (nacre_tensor_rank(x) != 3 || nacre_tensor_dim(x, 2) != gates * *size || *size < 1)
        return nacre_shape_fail(call, NACRE_ERROR_SHAPE, "x is %s, expected [N, T, %lld]: %d gates of the state's size",
                                nacre_shape_text(nacre_tensor_shape(x), text), (long long)(gates * *size), gates);
    status = need_shape(call, W, "w", NACRE_SHAPE(gates * *size, *size));
    if (!status) status = need_shape(call, B, "b", NACRE_SHAPE(gates * *size));
    if (!status) status = need_shape(call, H0, "h", one_state(x, *size));
    return status ? status : need_shape(call, C0, "c", one_state(x, *size));
}

static nacre_status lstm_shape(nacre_shape_call *call)
{
    int64_t size;
    nacre_status status = check_forward(call, 4, &size);
    if (status) return status;
    give(call, OUT_Y, sequence(call->inputs[X], size));
    give(call, OUT_C, sequence(call->inputs[X], size));
    give(call, OUT_GATES, saved_gates(call->inputs[X], size));
    return NACRE_OK;
}

static nacre_status gru_shape(nacre_shape_call *call)
{
    int64_t size;
    nacre_status status = check_forward(call, 3, &size);
    if (status) return status;
    give(call, GRU_Y, sequence(call->inputs[X], size));
    give(call, GRU_GATES, saved_gates(call->inputs[X], size));
    return NACRE_OK;
}

static nacre_status rnn_shape(nacre_shape_call *call)
{
    int64_t size;
    nacre_status status = check_forward(call, 1, &size);
    if (!status) give(call, OUT_Y, sequence(call->inputs[X], size));
    return status;
}

/* dy and w, and what else is a sequence; writes the state's size. */
static nacre_status check_backward(nacre_shape_call *call, int gates, int64_t *size)
{
    nacre_status status = need_real(call);
    char text[NACRE_SHAPE_TEXT_SIZE];
    nacre_shape dy = nacre_tensor_shape(call->inputs[DY]);
    *size = dy.rank ? dy.dims[dy.rank - 1] : 0;
    if (!status && dy.rank != 3)
        status = nacre_shape_fail(call, NACRE_ERROR_SHAPE, "dy is %s, expected [N, T, H]", nacre_shape_text(dy, text));
    if (!status) status = need_shape(call, BACK_W, "w", NACRE_SHAPE(gates * *size, *size));
    if (status) return status;
    give(call, DX, sequence(call->inputs[DY], gates * *size));
    return NACRE_OK;
}

static nacre_status lstm_backward_shape(nacre_shape_call *call)
{
    int64_t size;
    nacre_status status = check_backward(call, 4, &size);
    nacre_tensor *dy = call->inputs[DY];
    if (!status) status = need_shape(call, LSTM_C, "c", sequence(dy, size));
    if (!status) status = need_shape(call, LSTM_GATES, "gates", saved_gates(dy, size));
    if (!status) status = need_shape(call, LSTM_C0, "c0", one_state(dy, size));
    if (!status) status = need_shape(call, LSTM_DC, "dc", sequence(dy, size));
    if (status) return status;
    give(call, LSTM_DH, one_state(dy, size));
    give(call, LSTM_DC0, one_state(dy, size));
    return NACRE_OK;
}

static nacre_status gru_backward_shape(nacre_shape_call *call)
{
    int64_t size;
    nacre_status status = check_backward(call, 3, &size);
    nacre_tensor *dy = call->inputs[DY];
    if (!status) status = need_shape(call, STATE_Y, "y", sequence(dy, size));
    if (!status) status = need_shape(call, GRU_BACK_GATES, "gates", saved_gates(dy, size));
    if (!status) status = need_shape(call, GRU_H0, "h0", one_state(dy, size));
    if (status) return status;
    give(call, DHIDDEN, sequence(dy, 3 * size));
    give(call, GRU_DH, one_state(dy, size));
    return NACRE_OK;
}

static nacre_status rnn_backward_shape(nacre_shape_call *call)
{
    int64_t size;
    nacre_status status = check_backward(call, 1, &size);
    if (!status) status = need_shape(call, STATE_Y, "y", sequence(call->inputs[DY], size));
    if (!status) give(call, LSTM_DH, one_state(call->inputs[DY], size));
    return status;
}

/* ---- gradients ---- */

static nacre_tensor *operand(const nacre_gradient_call *call, int index)
{
    return index < call->input_count ? call->inputs[index] : NULL;
}

/* The state before each step: y one step late, behind the initial one. */
static nacre_tensor *states_before(const nacre_gradient_call *call)
{
    nacre_tensor *y = call->outputs[0], *initial = operand(call, H0);
    int64_t batch = nacre_tensor_dim(y, 0), length = nacre_tensor_dim(y, 1), size = nacre_tensor_dim(y, 2);
    bool reverse = call->attributes[REVERSE] != 0;
    nacre_shape shape = NACRE_SHAPE(batch, 1, size);
    initial = initial ? nacre_reshape(initial, shape) : nacre_full(call->graph, nacre_tensor_dtype(y), shape, 0);
    if (length == 1) return initial;
    nacre_tensor *rest = nacre_slice(y, 1, reverse ? 1 : 0, reverse ? length : length - 1, 1);
    return nacre_concat((nacre_tensor *[]){reverse ? rest : initial, reverse ? initial : rest}, 2, 1);
}

/* [N, T, width] -> [N T, width] */
static nacre_tensor *flat(nacre_tensor *x)
{
    return nacre_reshape(x, NACRE_SHAPE(nacre_tensor_dim(x, 0) * nacre_tensor_dim(x, 1), nacre_tensor_dim(x, 2)));
}

/* From the gradients of both parts of the gates, the input's and the state's, at all times. */
static void share_out(nacre_gradient_call *call, nacre_tensor *dx, nacre_tensor *dhidden, nacre_tensor *dh)
{
    call->input_grads[X] = dx;
    if (call->wanted[W]) call->input_grads[W] = nacre_matmul(flat(dhidden), flat(states_before(call)), true, false);
    if (operand(call, B) && call->wanted[B]) call->input_grads[B] = nc_sum_to(dhidden, operand(call, B));
    if (operand(call, H0) && call->wanted[H0]) call->input_grads[H0] = dh;
}

static nacre_tensor *or_zeros(const nacre_gradient_call *call, nacre_tensor *dy)
{
    nacre_tensor *y = call->outputs[0];
    return dy ? dy : nacre_full(call->graph, nacre_tensor_dtype(y), nacre_tensor_shape(y), 0);
}

/* The gates are outputs for the gradient's sake alone. */
static bool refuse_gates(const nacre_gradient_call *call, int gates)
{
    if (!call->output_grads[gates]) return false;
    nacre_fail(nacre_graph_context(call->graph), NACRE_ERROR_UNSUPPORTED,
               "%s: no gradient flows through its output `gates`", call->op->name);
    return true;
}

/* The backward operation; it leaves out the initial state's gradient, a product of its own, where nobody wants it. */
static nacre_tensor *gradients(const nacre_gradient_call *call, const nacre_op *op, nacre_tensor **inputs, int count)
{
    const bool wants_dh = operand(call, H0) && call->wanted[H0];
    return nacre_apply(call->graph, op, inputs, count, (int64_t[]){call->attributes[REVERSE], !wants_dh});
}

static void lstm_gradient(nacre_gradient_call *call)
{
    if (refuse_gates(call, OUT_GATES)) return;
    nacre_tensor *inputs[] = {or_zeros(call, call->output_grads[OUT_Y]),
                              call->inputs[W],
                              call->outputs[OUT_C],
                              call->outputs[OUT_GATES],
                              operand(call, C0),
                              call->output_grads[OUT_C]};
    nacre_tensor *dx = gradients(call, &nc_op_lstm_backward, inputs, 6);
    share_out(call, dx, dx, nacre_tensor_sibling(dx, LSTM_DH));
    if (operand(call, C0) && call->wanted[C0]) call->input_grads[C0] = nacre_tensor_sibling(dx, LSTM_DC0);
}

static void gru_gradient(nacre_gradient_call *call)
{
    if (refuse_gates(call, GRU_GATES)) return;
    nacre_tensor *inputs[] = {or_zeros(call, call->output_grads[GRU_Y]), call->inputs[W], call->outputs[GRU_Y],
                              call->outputs[GRU_GATES], operand(call, H0)};
    nacre_tensor *dx = gradients(call, &nc_op_gru_backward, inputs, 5);
    share_out(call, dx, nacre_tensor_sibling(dx, DHIDDEN), nacre_tensor_sibling(dx, GRU_DH));
}

static void rnn_gradient(nacre_gradient_call *call)
{
    nacre_tensor *inputs[] = {call->output_grads[OUT_Y], call->inputs[W], call->outputs[OUT_Y]};
    nacre_tensor *dx = gradients(call, &nc_op_rnn_backward, inputs, 3);
    share_out(call, dx, dx, nacre_tensor_sibling(dx, LSTM_DH));
}

static void second_gradient(nacre_gradient_call *call)
{
    nacre_fail(nacre_graph_context(call->graph), NACRE_ERROR_UNSUPPORTED,
               "%s has no gradient of its own: for second derivatives build the recurrent layer with `unrolled`",
               call->op->name);
}

/* ---- reference kernels ---- */

typedef struct sequence_call {
    const nacre_call *call;
    int64_t batch, length, size;
    int gates;
} sequence_call;

static sequence_call describe(const nacre_call *call, int gates)
{
    const nacre_shape *first = &call->inputs[0].shape; /* x, or dy */
    return (sequence_call){.call = call,
                           .batch = first->dims[0],
                           .length = first->dims[1],
                           .size = call->inputs[1].shape.dims[1],
                           .gates = gates};
}

/* Element of a sequence; of saved gates with n and t exchanged. */
static double at(const nacre_view *view, int64_t n, int64_t t, int64_t i)
{
    return nc_get(view, n * view->strides[0] + t * view->strides[1] + i * view->strides[2]);
}

static void put(const nacre_view *view, int64_t n, int64_t t, int64_t i, double value)
{
    nc_set(view, n * view->strides[0] + t * view->strides[1] + i * view->strides[2], value);
}

static double at_state(const nacre_view *view, int64_t n, int64_t i)
{
    return view ? nc_get(view, n * view->strides[0] + i * view->strides[1]) : 0;
}

static void put_state(const nacre_view *view, int64_t n, int64_t i, double value)
{
    nc_set(view, n * view->strides[0] + i * view->strides[1], value);
}

/* The time of a step, and the step before it: -1 for the first. */
static int64_t time_of(const sequence_call *s, int64_t step)
{
    return s->call->attributes[REVERSE] ? s->length - 1 - step : step;
}

/* A sequence's value one step before `step`. */
static double before(const sequence_call *s, const nacre_view *y, const nacre_view *initial, int64_t n, int64_t step,
                     int64_t i)
{
    return step == 0 ? at_state(initial, n, i) : at(y, n, time_of(s, step - 1), i);
}

static double sigmoid(double x)
{
    return 1 / (1 + exp(-x));
}

/* The state's part of gate `row`. */
static double hidden_part(const sequence_call *s, int64_t n, int64_t step, int64_t row)
{
    const nacre_view *w = &s->call->inputs[W], *b = nc_optional(s->call, B);
    double sum = b ? nc_get(b, row * b->strides[0]) : 0;
    for (int64_t j = 0; j < s->size; j++)
        sum += nc_get(w, row * w->strides[0] + j * w->strides[1]) *
               before(s, &s->call->outputs[0], nc_optional(s->call, H0), n, step, j);
    return sum;
}

static void lstm_unit(const sequence_call *s, int64_t n, int64_t step, int64_t i)
{
    const nacre_call *call = s->call;
    int64_t t = time_of(s, step);
    double gate[4];
    for (int g = 0; g < 4; g++) {
        double sum = at(&call->inputs[X], n, t, g * s->size + i) + hidden_part(s, n, step, g * s->size + i);
        gate[g] = g == 2 ? tanh(sum) : sigmoid(sum);
        put(&call->outputs[OUT_GATES], t, n, g * s->size + i, gate[g]);
    }
    double c = gate[1] * before(s, &call->outputs[OUT_C], nc_optional(call, C0), n, step, i) + gate[0] * gate[2];
    put(&call->outputs[OUT_C], n, t, i, c);
    put(&call->outputs[OUT_Y], n, t, i, gate[3] * tanh(c));
}

static void gru_unit(const sequence_call *s, int64_t n, int64_t step, int64_t i)
{
    const nacre_call *call = s->call;
    int64_t t = time_of(s, step), size = s->size;
    const nacre_view *x = &call->inputs[X];
    double r = sigmoid(at(x, n, t, i) + hidden_part(s, n, step, i));
    double z = sigmoid(at(x, n, t, size + i) + hidden_part(s, n, step, size + i));
    double part = hidden_part(s, n, step, 2 * size + i), new = tanh(at(x, n, t, 2 * size + i) + r * part);
    double values[4] = {r, z, new, part};
    for (int g = 0; g < 4; g++) put(&call->outputs[GRU_GATES], t, n, g * size + i, values[g]);
    double old = before(s, &call->outputs[GRU_Y], nc_optional(call, H0), n, step, i);
    put(&call->outputs[GRU_Y], n, t, i, new + z *(old - new));
}

static void rnn_unit(const sequence_call *s, int64_t n, int64_t step, int64_t i)
{
    int64_t t = time_of(s, step);
    put(&s->call->outputs[OUT_Y], n, t, i, tanh(at(&s->call->inputs[X], n, t, i) + hidden_part(s, n, step, i)));
}

static void run_forward(const nacre_call *call, int gates,
                        void (*unit)(const sequence_call *s, int64_t n, int64_t step, int64_t i))
{
    sequence_call s = describe(call, gates);
    for (int64_t n = 0; n < s.batch; n++)
        for (int64_t step = 0; step < s.length; step++)
            for (int64_t i = 0; i < s.size; i++) unit(&s, n, step, i);
}

static void lstm_reference(const nacre_call *call)
{
    run_forward(call, 4, lstm_unit);
}

static void gru_reference(const nacre_call *call)
{
    run_forward(call, 3, gru_unit);
}

static void rnn_reference(const nacre_call *call)
{
    run_forward(call, 1, rnn_unit);
}

/* What the gates of the following step send back to state i. */
static double sent_back(const sequence_call *s, const nacre_view *dhidden, int64_t n, int64_t step, int64_t i)
{
    const nacre_view *w = &s->call->inputs[BACK_W];
    double sum = 0;
    if (step == s->length) return 0;
    for (int64_t k = 0; k < s->gates * s->size; k++)
        sum += at(dhidden, n, time_of(s, step), k) * nc_get(w, k * w->strides[0] + i * w->strides[1]);
    return sum;
}

/* The gradients of the states, dh and dc [N, H], carry what reaches them past the gates from step to step. */

static void lstm_back_unit(const sequence_call *s, int64_t n, int64_t step, int64_t i)
{
    const nacre_call *call = s->call;
    const nacre_view *dc_later = &call->outputs[LSTM_DC0], *given = nc_optional(call, LSTM_DC);
    int64_t t = time_of(s, step), size = s->size;
    double gate[4], tanh_c = tanh(at(&call->inputs[LSTM_C], n, t, i));
    for (int g = 0; g < 4; g++) gate[g] = at(&call->inputs[LSTM_GATES], t, n, g * size + i);
    double dh = at(&call->inputs[DY], n, t, i) + sent_back(s, &call->outputs[DX], n, step + 1, i);
    double dc = at_state(dc_later, n, i) + dh * gate[3] * (1 - tanh_c * tanh_c) + (given ? at(given, n, t, i) : 0);
    double old = before(s, &call->inputs[LSTM_C], nc_optional(call, LSTM_C0), n, step, i);
    const double sums[4] = {dc * gate[2] * gate[0] * (1 - gate[0]), dc * old * gate[1] * (1 - gate[1]),
                            dc * gate[0] * (1 - gate[2] * gate[2]), dh * tanh_c * gate[3] * (1 - gate[3])};
    for (int g = 0; g < 4; g++) put(&call->outputs[DX], n, t, g * size + i, sums[g]);
    put_state(dc_later, n, i, dc * gate[1]);
}

static void gru_back_unit(const sequence_call *s, int64_t n, int64_t step, int64_t i)
{
    const nacre_call *call = s->call;
    const nacre_view *carried = &call->outputs[GRU_DH];
    int64_t t = time_of(s, step), size = s->size;
    double value[4];
    for (int g = 0; g < 4; g++) value[g] = at(&call->inputs[GRU_BACK_GATES], t, n, g * size + i);
    const double r = value[0], z = value[1], new = value[2], part = value[3];
    double dh = at(&call->inputs[DY], n, t, i) + at_state(carried, n, i) +
                sent_back(s, &call->outputs[DHIDDEN], n, step + 1, i);
    double old = before(s, &call->inputs[STATE_Y], nc_optional(call, GRU_H0), n, step, i);
    double dnew = dh * (1 - z) * (1 - new *new);
    const double sums[3] = {dnew * part * r * (1 - r), dh * (old - new) * z * (1 - z), dnew};
    for (int g = 0; g < 3; g++) {
        put(&call->outputs[DX], n, t, g * size + i, sums[g]);
        put(&call->outputs[DHIDDEN], n, t, g * size + i, g == 2 ? dnew * r : sums[g]);
    }
    put_state(carried, n, i, dh * z);
}

static void rnn_back_unit(const sequence_call *s, int64_t n, int64_t step, int64_t i)
{
    const nacre_call *call = s->call;
    int64_t t = time_of(s, step);
    double y = at(&call->inputs[STATE_Y], n, t, i);
    double dh = at(&call->inputs[DY], n, t, i) + sent_back(s, &call->outputs[DX], n, step + 1, i);
    put(&call->outputs[DX], n, t, i, dh * (1 - y * y));
}

/* `dhidden` and `dh`: the outputs that hold the gradients of the state's part and of the initial state. */
static void run_backward(const nacre_call *call, int gates, int dhidden, int dh,
                         void (*unit)(const sequence_call *s, int64_t n, int64_t step, int64_t i))
{
    sequence_call s = describe(call, gates);
    for (int i = dh; i < call->output_count; i++) nc_fill_view(&call->outputs[i], 0);
    for (int64_t n = 0; n < s.batch; n++) {
        for (int64_t step = s.length - 1; step >= 0; step--)
            for (int64_t i = 0; i < s.size; i++) unit(&s, n, step, i);
        for (int64_t i = 0; i < s.size; i++)
            put_state(&call->outputs[dh], n, i,
                      call->attributes[NO_DH]
                          ? 0
                          : at_state(&call->outputs[dh], n, i) + sent_back(&s, &call->outputs[dhidden], n, 0, i));
    }
}

static void lstm_backward_reference(const nacre_call *call)
{
    run_backward(call, 4, DX, LSTM_DH, lstm_back_unit);
}

static void gru_backward_reference(const nacre_call *call)
{
    run_backward(call, 3, DHIDDEN, GRU_DH, gru_back_unit);
}

static void rnn_backward_reference(const nacre_call *call)
{
    run_backward(call, 1, DX, LSTM_DH, rnn_back_unit);
}

/* One product of state and weights a step, forward and backward. */
static void cost(const nacre_node_info *node, nacre_cost *cost)
{
    const nacre_shape *sequences = &node->inputs[0].shape;
    cost->operations =
        2.0 * (double)(sequences->dims[0] * sequences->dims[1]) * (double)nacre_shape_count(node->inputs[W].shape);
}

/* ---- descriptors ---- */

/* The gates are outputs without a gradient, so those of lstm and gru are compared with unrolled ones elsewhere. */
static const char *const LSTM_CASES[] = {"x=2x3x8 w=8x2 !grad",
                                         "x=2x4x20 w=20x5 b=20 reverse=1 !grad",
                                         "x=3x2x12 w=12x3 b=12 h=3x3 c=3x3 !grad",
                                         "x=1x1x4 w=4x1 h=1x1 c=1x1 reverse=1 !grad",
                                         "x=17x3x160 w=160x40 b=160 !grad",
                                         "x=17x3x192 w=192x48 b=192 !grad",
                                         "x=64x2x148 w=148x37 h=64x37 c=64x37 reverse=1 !grad",
                                         "x=0x3x8 w=8x2 !grad",
                                         NULL};
static const char *const GRU_CASES[] = {"x=2x3x6 w=6x2 !grad",
                                        "x=2x4x15 w=15x5 b=15 reverse=1 !grad",
                                        "x=3x2x9 w=9x3 b=9 h=3x3 !grad",
                                        "x=17x3x120 w=120x40 b=120 !grad",
                                        "x=64x2x111 w=111x37 h=64x37 reverse=1 !grad",
                                        NULL};
static const char *const RNN_CASES[] = {"x=2x3x2 w=2x2", "x=2x4x5 w=5x5 b=5 reverse=1", "x=3x2x3 w=3x3 b=3 h=3x3",
                                        "x=17x3x40 w=40x40 b=40 !grad", NULL};
static const char *const LSTM_BACKWARD_CASES[] = {
    "dy=2x3x5 w=20x5 c=2x3x5 gates=3x2x20@0..1 !grad",
    "dy=2x3x5 w=20x5 c=2x3x5 gates=3x2x20@0..1 c0=2x5 dc=2x3x5 reverse=1 !grad",
    "dy=17x3x40 w=160x40 c=17x3x40 gates=3x17x160@0..1 c0=17x40 !grad",
    "dy=64x2x37 w=148x37 c=64x2x37 gates=2x64x148@0..1 dc=64x2x37 !grad",
    "dy=17x3x40 w=160x40 c=17x3x40 gates=3x17x160@0..1 no_dh=1 !grad",
    NULL};
static const char *const GRU_BACKWARD_CASES[] = {"dy=2x3x5 w=15x5 y=2x3x5 gates=3x2x20@0..1 !grad",
                                                 "dy=2x3x5 w=15x5 y=2x3x5 gates=3x2x20@0..1 h0=2x5 reverse=1 !grad",
                                                 "dy=17x3x40 w=120x40 y=17x3x40 gates=3x17x160@0..1 h0=17x40 !grad",
                                                 "dy=64x2x37 w=111x37 y=64x2x37 gates=2x64x148@0..1 !grad",
                                                 "dy=17x3x40 w=120x40 y=17x3x40 gates=3x17x160@0..1 no_dh=1 !grad",
                                                 NULL};
static const char *const RNN_BACKWARD_CASES[] = {"dy=2x3x5 w=5x5 y=2x3x5 !grad",
                                                 "dy=17x3x40 w=40x40 y=17x3x40 reverse=1 !grad",
                                                 "dy=17x3x40 w=40x40 y=17x3x40 no_dh=1 !grad", NULL};

#define FROM_LAST "reverse", NACRE_ATTRIBUTE_BOOL, .doc = "from the last time to the first"
#define SCHEMA                                                                                                         \
    {                                                                                                                  \
        {                                                                                                              \
            FROM_LAST                                                                                                  \
        }                                                                                                              \
    }
#define BACKWARD_SCHEMA                                                                                                \
    {                                                                                                                  \
        {FROM_LAST},                                                                                                   \
        {                                                                                                              \
            "no_dh", NACRE_ATTRIBUTE_BOOL, .doc = "nobody wants dh: it is zero"                                        \
        }                                                                                                              \
    }
#define PARTS                                                                                                          \
    " x [N, T, gates H] is the input's part, W_in x + b_in, of the gates; w [gates H, H] and b make the state's; the " \
    "initial state is zero where it is absent. "

const nacre_op nc_op_lstm = {
    .name = "lstm",
    .doc = "Long short-term memory over a sequence." PARTS
           "Gates i, f, g, o: c = f c + i g, y = o tanh(c) (Hochreiter and Schmidhuber 1997). The output gates, "
           "[T, N, 4 H], is there for the gradient.",
    .inputs = "x w ?b ?h ?c",
    .outputs = "y c gates",
    .attributes = SCHEMA,
    .shape = lstm_shape,
    .gradient = lstm_gradient,
    .reference = lstm_reference,
    .cost = cost,
    .cases = LSTM_CASES,
};

const nacre_op nc_op_gru = {
    .name = "gru",
    .doc = "Gated recurrent units over a sequence." PARTS
           "Gates r, z, n: n = tanh(x_n + r (W_n h + b_n)), y = n + z (h - n) (Cho et al. 2014). The output gates, "
           "[T, N, 4 H], holds r, z, n and W_n h + b_n.",
    .inputs = "x w ?b ?h",
    .outputs = "y gates",
    .attributes = SCHEMA,
    .shape = gru_shape,
    .gradient = gru_gradient,
    .reference = gru_reference,
    .cost = cost,
    .cases = GRU_CASES,
};

const nacre_op nc_op_rnn = {
    .name = "rnn",
    .doc = "A recurrent layer with one gate over a sequence." PARTS "y = tanh(x + W h + b) (Elman 1990).",
    .inputs = "x w ?b ?h",
    .outputs = "y",
    .attributes = SCHEMA,
    .shape = rnn_shape,
    .gradient = rnn_gradient,
    .reference = rnn_reference,
    .cost = cost,
    .cases = RNN_CASES,
};

const nacre_op nc_op_lstm_backward = {
    .name = "lstm_backward",
    .doc =
        "The gradients of lstm with respect to x and the initial states, from its outputs; dc is that of its output c.",
    .inputs = "dy w c gates ?c0 ?dc",
    .outputs = "dx dh dc0",
    .attributes = BACKWARD_SCHEMA,
    .shape = lstm_backward_shape,
    .gradient = second_gradient,
    .reference = lstm_backward_reference,
    .cost = cost,
    .cases = LSTM_BACKWARD_CASES,
};

const nacre_op nc_op_gru_backward = {
    .name = "gru_backward",
    .doc = "The gradients of gru with respect to x, to the state's part of the gates, and to the initial state.",
    .inputs = "dy w y gates ?h0",
    .outputs = "dx dhidden dh",
    .attributes = BACKWARD_SCHEMA,
    .shape = gru_backward_shape,
    .gradient = second_gradient,
    .reference = gru_backward_reference,
    .cost = cost,
    .cases = GRU_BACKWARD_CASES,
};

const nacre_op nc_op_rnn_backward = {
    .name = "rnn_backward",
    .doc = "The gradients of rnn with respect to x and the initial state.",
    .inputs = "dy w y",
    .outputs = "dx dh",
    .attributes = BACKWARD_SCHEMA,
    .shape = rnn_backward_shape,
    .gradient = second_gradient,
    .reference = rnn_backward_reference,
    .cost = cost,
    .cases = RNN_BACKWARD_CASES,
};

nacre_tensor *nacre_lstm_with(nacre_tensor *x, nacre_tensor *weight, nacre_tensor *bias, nacre_tensor *h,
                              nacre_tensor *c, bool reverse)
{
    if (!x || !weight) return NULL;
    return nacre_apply(nacre_tensor_graph(x), &nc_op_lstm, (nacre_tensor *[]){x, weight, bias, h, c}, 5,
                       (int64_t[WORDS]){reverse});
}

nacre_tensor *nacre_gru_with(nacre_tensor *x, nacre_tensor *weight, nacre_tensor *bias, nacre_tensor *h, bool reverse)
{
    if (!x || !weight) return NULL;
    return nacre_apply(nacre_tensor_graph(x), &nc_op_gru, (nacre_tensor *[]){x, weight, bias, h}, 4,
                       (int64_t[WORDS]){reverse});
}

nacre_tensor *nacre_rnn_with(nacre_tensor *x, nacre_tensor *weight, nacre_tensor *bias, nacre_tensor *h, bool reverse)
{
    if (!x || !weight) return NULL;
    return nacre_apply(nacre_tensor_graph(x), &nc_op_rnn, (nacre_tensor *[]){x, weight, bias, h}, 4,
                       (int64_t[WORDS]){reverse});
}

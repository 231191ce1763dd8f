/* nn/recurrent.c - recurrent layers. The input products of all steps are one matrix product; the steps are one node, or
 * on demand nodes of their own. */
#include "nn/layer.h"

#include <stdio.h>

/* What one step does: hidden [N, H] and cell (LSTM) from the gates' input part [N, G H] and the old state. */
struct cell {
    int gates;
    nacre_tensor *(*sequence)(nacre_tensor *inputs, nacre_tensor *weight, nacre_tensor *bias, bool reverse);
    void (*step)(nacre_tensor *input, nacre_tensor *recurrent, nacre_tensor **hidden, nacre_tensor **state);
};

/* Gate `index` of [N, gates * H]. */
static nacre_tensor *gate(nacre_tensor *all, int64_t hidden, int index)
{
    return nacre_slice(all, 1, index * hidden, (index + 1) * hidden, 1);
}

static void rnn_step(nacre_tensor *input, nacre_tensor *recurrent, nacre_tensor **hidden, nacre_tensor **state)
{
    (void)state;
    *hidden = nacre_tanh(nacre_add(input, recurrent));
}

/* Gates i, f, g, o: c = f c + i g, h = o tanh(c) (Hochreiter and Schmidhuber 1997). */
static void lstm_step(nacre_tensor *input, nacre_tensor *recurrent, nacre_tensor **hidden, nacre_tensor **state)
{
    int64_t size = nacre_tensor_dim(*hidden, 1);
    nacre_tensor *all = nacre_add(input, recurrent);
    nacre_tensor *in = nacre_sigmoid(gate(all, size, 0)), *forget = nacre_sigmoid(gate(all, size, 1));
    nacre_tensor *new = nacre_tanh(gate(all, size, 2)), *out = nacre_sigmoid(gate(all, size, 3));
    *state = nacre_add(nacre_mul(forget, *state), nacre_mul(in, new));
    *hidden = nacre_mul(out, nacre_tanh(*state));
}

/* Gates r, z, n, the reset applied after the hidden product and its bias: h = n + z (h - n) (Cho et al. 2014). */
static void gru_step(nacre_tensor *input, nacre_tensor *recurrent, nacre_tensor **hidden, nacre_tensor **state)
{
    int64_t size = nacre_tensor_dim(*hidden, 1);
    (void)state;
    nacre_tensor *reset = nacre_sigmoid(nacre_add(gate(input, size, 0), gate(recurrent, size, 0)));
    nacre_tensor *update = nacre_sigmoid(nacre_add(gate(input, size, 1), gate(recurrent, size, 1)));
    nacre_tensor *new = nacre_tanh(nacre_add(gate(input, size, 2), nacre_mul(reset, gate(recurrent, size, 2))));
    *hidden = nacre_add(new, nacre_mul(update, nacre_sub(*hidden, new)));
}

static nacre_tensor *rnn_sequence(nacre_tensor *inputs, nacre_tensor *weight, nacre_tensor *bias, bool reverse)
{
    return nacre_rnn_with(inputs, weight, bias, NULL, reverse);
}

static nacre_tensor *lstm_sequence(nacre_tensor *inputs, nacre_tensor *weight, nacre_tensor *bias, bool reverse)
{
    return nacre_lstm_with(inputs, weight, bias, NULL, NULL, reverse);
}

static nacre_tensor *gru_sequence(nacre_tensor *inputs, nacre_tensor *weight, nacre_tensor *bias, bool reverse)
{
    return nacre_gru_with(inputs, weight, bias, NULL, reverse);
}

/* The same from nodes for each step. */
static nacre_tensor *unrolled(nacre_tensor *inputs, nacre_tensor *weight, nacre_tensor *bias, const struct cell *cell,
                              bool reverse)
{
    int64_t batch = nacre_tensor_dim(inputs, 0), length = nacre_tensor_dim(inputs, 1);
    int64_t rows = nacre_tensor_dim(inputs, 2);
    nacre_graph *graph = nacre_tensor_graph(inputs);
    nacre_context *context = nacre_graph_context(graph);
    nacre_tensor **outputs = nacre_allocate(context, sizeof *outputs * (size_t)(length + 1)), *result = NULL;
    if (outputs) {
        nacre_shape state = NACRE_SHAPE(batch, rows / cell->gates);
        nacre_tensor *h = nacre_full(graph, nacre_tensor_dtype(inputs), state, 0), *c = h;
        for (int64_t i = 0; i < length; i++) {
            int64_t t = reverse ? length - 1 - i : i;
            nacre_tensor *now = nacre_reshape(nacre_slice(inputs, 1, t, t + 1, 1), NACRE_SHAPE(batch, rows));
            cell->step(now, nacre_linear_with(h, weight, bias), &h, &c);
            outputs[t] = h;
        }
        result = nacre_stack(outputs, (int)length, 1);
    }
    nacre_release(context, outputs);
    return result;
}

/* The weight or bias "weight_ih_l0_reverse" and the like; NULL where it is not wanted or failed. */
static nacre_tensor *weight_of(nacre_scope scope, const char *kind, int layer, bool reverse, nacre_shape shape,
                               double bound)
{
    char name[48];
    snprintf(name, sizeof name, "%s_l%d%s", kind, layer, reverse ? "_reverse" : "");
    return nacre_parameter(scope, name, shape, (nacre_init){NACRE_INIT_UNIFORM, -bound, bound});
}

/* One direction of one layer: x [N, T, in] -> [N, T, H]. */
static nacre_tensor *run_direction(nacre_scope scope, nacre_tensor *x, int64_t hidden, const struct cell *cell,
                                   int layer, bool reverse, const nacre_recurrent_options *options)
{
    int64_t in = nacre_tensor_dim(x, 2), rows = cell->gates * hidden;
    double bound = 1 / sqrt((double)hidden);
    bool no_bias = options->no_bias;
    nacre_tensor *w_in = weight_of(scope, "weight_ih", layer, reverse, NACRE_SHAPE(rows, in), bound);
    nacre_tensor *w_hidden = weight_of(scope, "weight_hh", layer, reverse, NACRE_SHAPE(rows, hidden), bound);
    nacre_tensor *b_in = no_bias ? NULL : weight_of(scope, "bias_ih", layer, reverse, NACRE_SHAPE(rows), bound);
    nacre_tensor *b_hidden = no_bias ? NULL : weight_of(scope, "bias_hh", layer, reverse, NACRE_SHAPE(rows), bound);
    nacre_tensor *inputs = nacre_linear_with(x, w_in, b_in);
    if (nacre_check(nacre_graph_context(scope.graph))) return NULL;
    return options->unrolled ? unrolled(inputs, w_hidden, b_hidden, cell, reverse)
                             : cell->sequence(inputs, w_hidden, b_hidden, reverse);
}

static nacre_tensor *run(nacre_scope scope, nacre_tensor *x, int64_t hidden, const nacre_recurrent_options *options,
                         const struct cell *cell)
{
    nacre_recurrent_options chosen = options ? *options : (nacre_recurrent_options){0};
    char text[NACRE_SHAPE_TEXT_SIZE];
    if (chosen.layers == 0) chosen.layers = 1;
    if (x && (nacre_tensor_rank(x) != 3 || nacre_tensor_dim(x, 1) < 1 || hidden < 1 || chosen.layers < 0))
        nacre_fail(nacre_graph_context(scope.graph), NACRE_ERROR_SHAPE,
                   "recurrent layer: input is %s, expected [N, T, in] with at least one step, and hidden at least 1",
                   nacre_shape_text(nacre_tensor_shape(x), text));
    if (nacre_check(nacre_graph_context(scope.graph))) return NULL;
    for (int layer = 0; x && layer < chosen.layers; layer++) {
        if (layer > 0) x = nacre_dropout(scope, x, chosen.dropout);
        nacre_tensor *forward = run_direction(scope, x, hidden, cell, layer, false, &chosen);
        nacre_tensor *backward =
            chosen.bidirectional ? run_direction(scope, x, hidden, cell, layer, true, &chosen) : NULL;
        x = chosen.bidirectional ? nacre_concat((nacre_tensor *[]){forward, backward}, 2, 2) : forward;
    }
    return x;
}

nacre_tensor *nacre_rnn(nacre_scope scope, nacre_tensor *x, int64_t hidden, const nacre_recurrent_options *options)
{
    return run(scope, x, hidden, options, &(struct cell){1, rnn_sequence, rnn_step});
}

nacre_tensor *nacre_lstm(nacre_scope scope, nacre_tensor *x, int64_t hidden, const nacre_recurrent_options *options)
{
    return run(scope, x, hidden, options, &(struct cell){4, lstm_sequence, lstm_step});
}

nacre_tensor *nacre_gru(nacre_scope scope, nacre_tensor *x, int64_t hidden, const nacre_recurrent_options *options)
{
    return run(scope, x, hidden, options, &(struct cell){3, gru_sequence, gru_step});
}

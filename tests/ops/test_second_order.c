/* Second and third derivatives against central differences of the derivatives below them, in double.
 *
 * Of an operation with operands x and results y: L = sum of c y, g = dL/dx, M = sum of d g with fixed random c and d;
 * dM/dx is compared with differences of M. Then the same on the fast kernels.
 */
#include "test.h"

#include <nacre/backend.h>
#include <nacre/nacre.h>

#include <stdlib.h>

enum { MAX_OPERANDS = 8, MAX_ELEMENTS = 4096, PROBES = 12 };

/* ---- operands ---- */

typedef struct operand {
    nacre_shape shape;
    nacre_dtype dtype; /* f64, i64 or i32 */
    double low, high;
    double real[MAX_ELEMENTS];
    int64_t ids[MAX_ELEMENTS];
    int32_t indices[MAX_ELEMENTS];
} operand;

static operand operands[MAX_OPERANDS];

/* Uniform in [0, 1), always the same numbers. */
static double random_unit(uint32_t stream, uint32_t index)
{
    uint32_t bits[4];
    nacre_philox((uint32_t[]){stream, 5}, (uint32_t[]){index, 0, 0, 0}, bits);
    return nacre_uniform(bits[0]);
}

/* "2x3", "2x3@0.5..2", "6:i64@0..4" */
static void read_operand(operand *o, uint32_t stream, const char *text)
{
    char *at;
    *o = (operand){.dtype = NACRE_F64, .low = -1, .high = 1};
    do {
        o->shape.dims[o->shape.rank++] = strtoll(text, &at, 10);
        text = at + 1;
    } while (*at == 'x');
    if (*at == ':') {
        o->dtype = strncmp(text, "i64", 3) ? NACRE_I32 : NACRE_I64;
        at += 4;
    }
    if (*at == '@') {
        o->low = strtod(at + 1, &at);
        o->high = strtod(at + 2, &at);
    }
    for (uint32_t i = 0; i < (uint32_t)nacre_shape_count(o->shape); i++) {
        o->real[i] = o->low + (o->high - o->low) * random_unit(stream, i);
        o->ids[i] = (int64_t)(o->low + (o->high + 1 - o->low) * random_unit(stream, i));
        o->indices[i] = (int32_t)o->ids[i];
    }
}

static nacre_tensor *feed(nacre_graph *graph, operand *o)
{
    nacre_tensor *input = nacre_input(graph, "x", o->dtype, o->shape);
    const void *data = o->dtype == NACRE_F64 ? o->real : o->dtype == NACRE_I64 ? (void *)o->ids : (void *)o->indices;
    nacre_feed(input, data);
    return input;
}

/* sum of c x with fixed random c; NULL counts as nothing. */
static nacre_tensor *weighted_sum(nacre_tensor *sum, nacre_tensor *x, uint32_t stream)
{
    static double weights[MAX_ELEMENTS];
    if (!x || !nacre_dtype_is_float(nacre_tensor_dtype(x))) return sum;
    for (uint32_t i = 0; i < (uint32_t)nacre_tensor_count(x); i++) weights[i] = 2 * random_unit(stream, i) - 1;
    nacre_tensor *c = nacre_constant(nacre_tensor_graph(x), NACRE_F64, nacre_tensor_shape(x), weights);
    nacre_tensor *part = nacre_sum(nacre_mul(x, c), NULL);
    return sum ? nacre_add(sum, part) : part;
}

/* ---- differences ---- */

static double value_at(nacre_graph *graph, nacre_tensor *scalar, double *element, double value)
{
    double old = *element;
    *element = value;
    nacre_run(graph);
    *element = old;
    return nacre_read_scalar(scalar);
}

/* Central differences of two step sizes, combined so that the error is of fourth order. */
static double numeric_derivative(nacre_graph *graph, nacre_tensor *scalar, double *element)
{
    double x = *element, h = 1e-3, slope[2];
    for (int i = 0; i < 2; i++, h /= 2)
        slope[i] = (value_at(graph, scalar, element, x + h) - value_at(graph, scalar, element, x - h)) / (2 * h);
    return (4 * slope[1] - slope[0]) / 3;
}

/* `gradient` is the derivative of `scalar` by operand o, at some of its elements. */
static void check_derivative(const char *name, nacre_graph *graph, nacre_tensor *scalar, operand *o,
                             nacre_tensor *gradient)
{
    static double analytic[MAX_ELEMENTS];
    int count = (int)nacre_shape_count(o->shape);
    double numeric[PROBES], worst = 0, scale = 1e-3;
    int at[PROBES], probes = count < PROBES ? count : PROBES;
    nacre_run(graph);
    nacre_read(gradient, analytic, sizeof(double) * (size_t)count);
    for (int i = 0; i < probes; i++) {
        at[i] = count <= PROBES ? i : (int)(random_unit(77, (uint32_t)i) * count);
        numeric[i] = numeric_derivative(graph, scalar, &o->real[at[i]]);
        scale = fmax(scale, fabs(numeric[i]));
    }
    for (int i = 0; i < probes; i++) worst = fmax(worst, fabs(analytic[at[i]] - numeric[i]) / scale);
    if (!(worst < 1e-6)) NC_COMPLAIN("%s: derivative by operand %d is off by %.2g", name, (int)(o - operands), worst);
}

/* ---- single operations ---- */

typedef struct subject {
    const char *op, *operands[MAX_OPERANDS], *attributes[4];
} subject;

static const subject SUBJECTS[] = {
    {"matmul", {"3x4", "4x5"}, {0}},
    {"matmul", {"2x3x4", "5x4"}, {"transpose_b=1"}},
    {"matmul", {"2x1x4x3", "3x4x2", "2"}, {"transpose_a=1"}},
    {"conv", {"2x3x6x5", "4x3x3x3", "4"}, {"stride=2", "padding=1"}},
    {"conv", {"1x4x7x7", "6x2x3x2"}, {"groups=2", "dilation=2,1", "padding=0,1,2,0"}},
    {"conv", {"2x2x9", "3x2x3", "3"}, {"stride=2"}},
    {"conv", {"1x2x3x4x3", "2x2x2x2x2"}, {"padding=1,0,0"}},
    {"conv_backward_data", {"2x4x3x3", "4x3x3x3"}, {"stride=2", "padding=1"}},
    {"conv_backward_weight", {"2x3x5x5", "2x4x3x3"}, {"stride=2", "padding=1", "kernel=3"}},
    {"max_pool", {"2x2x6x6@-20..20"}, {"kernel=2"}},
    {"avg_pool", {"2x2x7x6"}, {"kernel=3", "stride=2", "padding=1"}},
    {"adaptive_avg_pool", {"2x2x5x4"}, {"size=3"}},
    {"interpolate", {"1x2x4x3"}, {"size=6,5", "mode=linear"}},
    {"batch_norm", {"4x3x3x3", "3", "3"}, {0}},
    {"batch_norm", {"6x3"}, {"epsilon=0.1"}},
    {"batch_norm_inference", {"4x3x2x2", "3", "3@0.5..2", "3", "3"}, {0}},
    {"layer_norm", {"4x7", "7", "7"}, {0}},
    {"layer_norm", {"3x2x5"}, {"axes=2"}},
    {"rms_norm", {"4x7", "7"}, {0}},
    {"group_norm", {"2x4x3x2", "4", "4"}, {"groups=2"}},
    {"softmax", {"3x6"}, {0}},
    {"log_softmax", {"2x5x3"}, {"axis=1"}},
    {"cross_entropy", {"6x5", "6:i64@0..4"}, {0}},
    {"cross_entropy", {"3x4x2", "3x2:i32@0..3", "4@0.5..2"}, {"label_smoothing=0.2", "ignore_index=1"}},
    {"attention", {"1x2x4x3", "1x2x5x3", "1x2x5x2"}, {0}},
    {"attention", {"1x2x4x3", "1x2x4x3", "1x2x4x3", "4x4"}, {"causal=1"}},
    {"attention", {"1x4x6", "1x5x6", "1x5x4"}, {"heads=2"}},
    {"attention", {"1x4x12"}, {"heads=2", "causal=1"}},
    {"relu", {"40"}, {0}},
    {"leaky_relu", {"40"}, {0}},
    {"elu", {"40"}, {0}},
    {"selu", {"40"}, {0}},
    {"sigmoid", {"40@-4..4"}, {0}},
    {"tanh", {"40@-3..3"}, {0}},
    {"softplus", {"40@-4..4"}, {0}},
    {"silu", {"40@-4..4"}, {0}},
    {"mish", {"40@-4..4"}, {0}},
    {"gelu", {"40@-4..4"}, {0}},
    {"gelu", {"40@-4..4"}, {"approximate=tanh"}},
    {"exp", {"20"}, {0}},
    {"log", {"20@0.5..2"}, {0}},
    {"sqrt", {"20@0.5..2"}, {0}},
    {"rsqrt", {"20@0.5..2"}, {0}},
    {"div", {"3x4", "4@0.5..2"}, {0}},
    {"pow", {"3x4@0.5..2", "4"}, {0}},
};

static bool read_attributes(const subject *s, const nacre_op *op, int64_t *words)
{
    nacre_op_attribute_defaults(op, words);
    for (int i = 0; i < 4 && s->attributes[i]; i++) {
        char name[32];
        const char *value = strchr(s->attributes[i], '=') + 1;
        snprintf(name, sizeof name, "%.*s", (int)(value - 1 - s->attributes[i]), s->attributes[i]);
        int index = nacre_op_attribute_find(op, name);
        if (index < 0 ||
            !nacre_attribute_parse(&op->attributes[index], value, words + nacre_op_attribute_offset(op, index)))
            return false;
    }
    return true;
}

typedef struct derivatives {
    nacre_context *context;
    nacre_graph *graph;
    nacre_tensor *inputs[MAX_OPERANDS], *second[MAX_OPERANDS], *scalar;
    int count;
} derivatives;

/* Builds M and its derivatives by all floating operands. */
static bool build(const subject *s, nacre_device device, derivatives *d)
{
    const nacre_op *op = nacre_op_find(s->op);
    int64_t words[NACRE_MAX_ATTRIBUTE_WORDS];
    nacre_tensor *wrt[MAX_OPERANDS], *grads[MAX_OPERANDS], *output, *loss = NULL;
    int real = 0;
    *d = (derivatives){.context = nacre_context_create(&(nacre_context_options){.device = device, .threads = 2})};
    d->graph = nacre_graph_create(d->context);
    if (!op || !read_attributes(s, op, words)) return false;
    for (; s->operands[d->count]; d->count++) {
        read_operand(&operands[d->count], (uint32_t)d->count, s->operands[d->count]);
        d->inputs[d->count] = feed(d->graph, &operands[d->count]);
        if (operands[d->count].dtype == NACRE_F64) wrt[real++] = d->inputs[d->count];
    }
    output = nacre_apply(d->graph, op, d->inputs, d->count, words);
    for (int i = 0; nacre_tensor_sibling(output, i); i++)
        loss = weighted_sum(loss, nacre_tensor_sibling(output, i), 100 + (uint32_t)i);
    if (nacre_gradients(loss, wrt, real, grads)) return false;
    for (int i = 0; i < real; i++) d->scalar = weighted_sum(d->scalar, grads[i], 200 + (uint32_t)i);
    if (nacre_gradients(d->scalar, wrt, real, grads)) return false;
    nacre_output(d->scalar);
    for (int i = 0, k = 0; i < d->count; i++) {
        if (operands[i].dtype != NACRE_F64) continue;
        d->second[i] = grads[k++];
        nacre_output(d->second[i]);
    }
    return true;
}

static void destroy(derivatives *d)
{
    nacre_graph_destroy(d->graph);
    nacre_context_destroy(d->context);
}

/* The fast kernels agree with the plain ones. */
static void compare(const char *name, derivatives *plain, derivatives *fast)
{
    static double expected[MAX_ELEMENTS], got[MAX_ELEMENTS];
    NC_CHECK(nacre_run(plain->graph) == NACRE_OK && nacre_run(fast->graph) == NACRE_OK);
    for (int i = 0; i < plain->count; i++) {
        if (!plain->second[i]) continue;
        size_t count = (size_t)nacre_shape_count(operands[i].shape);
        nacre_read(plain->second[i], expected, sizeof(double) * count);
        nacre_read(fast->second[i], got, sizeof(double) * count);
        double worst = 0, scale = 1e-3;
        for (size_t k = 0; k < count; k++) scale = fmax(scale, fabs(expected[k]));
        for (size_t k = 0; k < count; k++) worst = fmax(worst, fabs(got[k] - expected[k]) / scale);
        if (!(worst < 1e-10)) NC_COMPLAIN("%s: fast kernels are off by %.2g in operand %d", name, worst, i);
    }
}

static void operations(void)
{
    for (size_t n = 0; n < sizeof SUBJECTS / sizeof *SUBJECTS; n++) {
        char name[96];
        derivatives plain, fast;
        const subject *s = &SUBJECTS[n];
        snprintf(name, sizeof name, "%s %s %s", s->op, s->operands[0], s->attributes[0] ? s->attributes[0] : "");
        bool built = build(s, NACRE_DEVICE_CPU, &fast);
        built = build(s, NACRE_DEVICE_REFERENCE, &plain) && built;
        if (!built) NC_COMPLAIN("%s: %s", name, nacre_message(plain.context));
        for (int i = 0; built && i < plain.count; i++)
            if (plain.second[i]) check_derivative(name, plain.graph, plain.scalar, &operands[i], plain.second[i]);
        if (built) compare(name, &plain, &fast);
        if (nacre_check(plain.context)) NC_COMPLAIN("%s: %s", name, nacre_message(plain.context));
        destroy(&plain);
        destroy(&fast);
    }
}

/* ---- a network: gradient penalty, and the third order ---- */

enum { IMAGE, KERNEL, SCALE, SHIFT, CLASSIFIER, LABELS, NETWORK_OPERANDS };

static nacre_tensor *network_loss(nacre_tensor **x)
{
    nacre_tensor *h = nacre_conv_with(x[IMAGE], x[KERNEL], NULL, &(nacre_conv_options){.padding = {1, 1}});
    h = nacre_gelu(nacre_batch_norm_with(h, x[SCALE], x[SHIFT], 1e-5));
    h = nacre_avg_pool(h, &(nacre_pool_options){.kernel = {2, 2}});
    h = nacre_linear_with(nacre_flatten(h, 1), x[CLASSIFIER], NULL);
    return nacre_sum(nacre_cross_entropy_with(h, x[LABELS], NULL, 0.1, -100), NULL);
}

/* P = |dL/d image|^2, and dP/d kernel; then Q = sum of c dP/d kernel, and its derivatives. */
static void gradient_penalty_of_a_network(void)
{
    static const char *const shapes[NETWORK_OPERANDS] = {"3x2x4x4", "3x2x3x3", "3@0.5..2", "3", "4x12", "3:i64@0..3"};
    nacre_context *context = nacre_context_create(&(nacre_context_options){.device = NACRE_DEVICE_REFERENCE});
    nacre_graph *graph = nacre_graph_create(context);
    nacre_tensor *x[NETWORK_OPERANDS], *image_gradient, *second[LABELS], *third[LABELS];
    for (int i = 0; i < NETWORK_OPERANDS; i++) {
        read_operand(&operands[i], 300 + (uint32_t)i, shapes[i]);
        x[i] = feed(graph, &operands[i]);
    }
    nacre_gradients(network_loss(x), &x[IMAGE], 1, &image_gradient);
    nacre_tensor *penalty = nacre_sum(nacre_mul(image_gradient, image_gradient), NULL);
    nacre_gradients(penalty, x, LABELS, second);
    nacre_tensor *scalar = weighted_sum(NULL, second[KERNEL], 400);
    nacre_gradients(scalar, x, LABELS, third);
    nacre_output(penalty);
    nacre_output(scalar);
    for (int i = 0; i < LABELS; i++) {
        nacre_output(second[i]);
        nacre_output(third[i]);
    }
    NC_CHECK(nacre_check(context) == NACRE_OK);
    for (int i = 0; i < LABELS && nacre_check(context) == NACRE_OK; i++) {
        check_derivative("penalty", graph, penalty, &operands[i], second[i]);
        check_derivative("derivative of the penalty", graph, scalar, &operands[i], third[i]);
    }
    if (nacre_check(context)) NC_COMPLAIN("%s", nacre_message(context));
    nacre_graph_destroy(graph);
    nacre_context_destroy(context);
}

int main(void)
{
    NC_RUN(operations);
    NC_RUN(gradient_penalty_of_a_network);
    return nc_report();
}

/* Mixed precision: which nodes compute in 16 bits, what stays f32, and that the numbers are those of rounded factors.
 */
#include "test.h"

#include <nacre/backend.h>
#include <nacre/nacre.h>

#include <string.h>

enum { ROWS = 8, WIDTH = 48, CLASSES = 5 };

typedef struct small_net {
    nacre_graph *graph;
    nacre_tensor *x, *w1, *w2, *logits, *loss, *grads[2];
} small_net;

/* loss = cross_entropy(w2 (x + relu(w1 x))): a residual, a product that the loss reads, a gradient of each weight. */
static small_net build(nacre_context *ctx)
{
    small_net net = {.graph = nacre_graph_create(ctx)};
    net.x = nacre_input(net.graph, "x", NACRE_F32, NACRE_SHAPE(ROWS, WIDTH));
    net.w1 = nacre_input(net.graph, "w1", NACRE_F32, NACRE_SHAPE(WIDTH, WIDTH));
    net.w2 = nacre_input(net.graph, "w2", NACRE_F32, NACRE_SHAPE(CLASSES, WIDTH));
    nacre_tensor *target = nacre_input(net.graph, "target", NACRE_I64, NACRE_SHAPE(ROWS));
    nacre_tensor *h = nacre_relu(nacre_matmul(net.x, net.w1, false, true));
    net.logits = nacre_matmul(nacre_add(net.x, h), net.w2, false, true);
    net.loss = nacre_loss("cross_entropy", net.logits, target, 0);
    nacre_gradients(net.loss, (nacre_tensor *[]){net.w1, net.w2}, 2, net.grads);
    nacre_output(net.logits);
    nacre_output(net.loss);
    for (int i = 0; i < 2; i++) nacre_output(net.grads[i]);
    return net;
}

static float x[ROWS * WIDTH], w1[WIDTH * WIDTH], w2[CLASSES * WIDTH];
static int64_t target[ROWS];

static void fill(float *values, int count, uint32_t seed)
{
    for (int i = 0; i < count; i++) {
        seed = seed * 1664525u + 1013904223u;
        values[i] = ((float)(seed >> 8) / (float)(1 << 24) - 0.5f) * 0.5f;
    }
}

static void feed(const small_net *net)
{
    fill(x, ROWS * WIDTH, 1);
    fill(w1, WIDTH * WIDTH, 2);
    fill(w2, CLASSES * WIDTH, 3);
    for (int i = 0; i < ROWS; i++) target[i] = i % CLASSES;
    nacre_feed(net->x, x);
    nacre_feed(net->w1, w1);
    nacre_feed(net->w2, w2);
    nacre_feed(nacre_graph_input(net->graph, "target"), target);
}

typedef struct outcome {
    float logits[ROWS * CLASSES], w1[WIDTH * WIDTH], w2[CLASSES * WIDTH];
    double loss;
} outcome;

static outcome run(nacre_device device, nacre_dtype precision)
{
    outcome result = {.loss = NAN};
    nacre_context *ctx = nacre_context_create(&(nacre_context_options){.device = device, .threads = 1});
    small_net net = build(ctx);
    feed(&net);
    NC_CHECK(nacre_graph_set_precision(net.graph, precision) == NACRE_OK);
    NC_CHECK(nacre_graph_precision(net.graph) == precision);
    NC_CHECK(nacre_run(net.graph) == NACRE_OK);
    result.loss = nacre_read_scalar(net.loss);
    NC_CHECK(nacre_read(net.logits, result.logits, sizeof result.logits) == NACRE_OK);
    NC_CHECK(nacre_read(net.grads[0], result.w1, sizeof result.w1) == NACRE_OK);
    NC_CHECK(nacre_read(net.grads[1], result.w2, sizeof result.w2) == NACRE_OK);
    nacre_graph_destroy(net.graph);
    nacre_context_destroy(ctx);
    return result;
}

/* Largest difference relative to the largest value. */
static double apart(const float *a, const float *b, int count)
{
    double worst = 0, largest = 0;
    for (int i = 0; i < count; i++) {
        const double difference = fabs((double)a[i] - (double)b[i]), size = fabs((double)b[i]);
        if (difference > worst) worst = difference;
        if (size > largest) largest = size;
    }
    return worst / largest;
}

static void check_close(const outcome *got, const outcome *expected, double tolerance)
{
    NC_CHECK_NEAR(got->loss, expected->loss, tolerance * expected->loss);
    NC_CHECK(apart(got->logits, expected->logits, ROWS * CLASSES) <= tolerance);
    NC_CHECK(apart(got->w1, expected->w1, WIDTH * WIDTH) <= tolerance);
    NC_CHECK(apart(got->w2, expected->w2, CLASSES * WIDTH) <= tolerance);
}

/* Near to f32 but not equal to it, and on the fast device what it is on the reference. A chain of three roundings of
 * 2^-9 (bf16) or 2^-12 (f16) each; fast kernels skip some of them. */
static void numbers_are_those_of_rounded_factors(void)
{
    const struct {
        nacre_dtype dtype;
        double tolerance;
    } types[] = {{NACRE_BF16, 2e-2}, {NACRE_F16, 2e-3}};
    const outcome exact = run(NACRE_DEVICE_REFERENCE, NACRE_F32);
    for (int i = 0; i < 2; i++) {
        const outcome reference = run(NACRE_DEVICE_REFERENCE, types[i].dtype);
        const outcome fast = run(NACRE_DEVICE_CPU, types[i].dtype);
        check_close(&reference, &exact, types[i].tolerance);
        check_close(&fast, &exact, types[i].tolerance);
        NC_CHECK(apart(reference.logits, exact.logits, ROWS * CLASSES) > types[i].tolerance / 200);
        NC_CHECK(apart(fast.w1, exact.w1, WIDTH * WIDTH) > 0);
    }
}

struct seen {
    char signatures[8192];
    int reference;
};

static void note(void *user, const nacre_plan_step *step)
{
    struct seen *seen = user;
    const size_t used = strlen(seen->signatures);
    snprintf(seen->signatures + used, sizeof seen->signatures - used, "%s: %s\n", step->op, step->signature);
    seen->reference += !strcmp(step->variant, "reference");
}

static void classes_of_operations(void)
{
    nacre_context *ctx = nacre_context_create(&(nacre_context_options){.device = NACRE_DEVICE_REFERENCE});
    small_net net = build(ctx);
    struct seen seen = {0};
    nacre_graph_set_precision(net.graph, NACRE_BF16);
    NC_CHECK(nacre_plan_visit(net.graph, note, &seen) == NACRE_OK);
    /* products take 16-bit factors; what relu reads is 16 bits, what only the loss or the caller reads is f32 */
    NC_CHECK_CONTAINS(seen.signatures, "matmul: bf16[8,48] bf16[48,48] -> bf16[8,48] transpose_b=true");
    NC_CHECK_CONTAINS(seen.signatures, "matmul: bf16[8,48] bf16[5,48] -> f32[8,5] transpose_b=true");
    NC_CHECK_CONTAINS(seen.signatures, "relu: bf16[8,48] -> bf16[8,48]");
    /* f32 plus 16 bits is f32; losses are f32 */
    NC_CHECK_CONTAINS(seen.signatures, "add: f32[8,48] f32[8,48] -> f32[8,48]");
    NC_CHECK_CONTAINS(seen.signatures, "cross_entropy: f32[8,5] i64[8] -> f32[8]");
    /* gradients of weights are f32 sums of 16-bit products */
    NC_CHECK_CONTAINS(seen.signatures, "matmul: bf16[8,5] bf16[8,48] -> f32[5,48] transpose_a=true");
    /* forward and backward share the rounded weight */
    const char *first = strstr(seen.signatures, "cast: f32[5,48] -> bf16[5,48]");
    NC_CHECK(first && !strstr(first + 1, "cast: f32[5,48] -> bf16[5,48]"));
    nacre_graph_destroy(net.graph);
    nacre_context_destroy(ctx);
}

/* A weight that is changed between two products is rounded again. */
static void a_changed_weight_is_rounded_again(void)
{
    nacre_context *ctx = nacre_context_create(NULL);
    nacre_model *model = nacre_model_create(ctx);
    nacre_graph *g = nacre_graph_create(ctx);
    nacre_tensor *a = nacre_input(g, "a", NACRE_F32, NACRE_SHAPE(1, 1));
    int slot = nacre_model_add(model, NACRE_ENTRY_PARAMETER, "w", NACRE_F32, NACRE_SHAPE(1, 1));
    *(float *)nacre_model_write(model, slot) = 3;
    nacre_tensor *w = nacre_model_tensor(g, model, slot);
    nacre_tensor *before = nacre_matmul(a, w, false, false);
    nacre_assign(w, nacre_add(w, a));
    nacre_tensor *after = nacre_matmul(a, w, false, false);
    nacre_output(before);
    nacre_output(after);
    nacre_graph_set_precision(g, NACRE_BF16);
    const float two = 2;
    nacre_feed(a, &two);
    NC_CHECK(nacre_run(g) == NACRE_OK);
    NC_CHECK(nacre_read_scalar(before) == 6);
    NC_CHECK(nacre_read_scalar(after) == 10);
    nacre_graph_destroy(g);
    nacre_model_destroy(model);
    nacre_context_destroy(ctx);
}

static void other_types_are_refused(void)
{
    nacre_context *ctx = nacre_context_create(NULL);
    nacre_graph *g = nacre_graph_create(ctx);
    NC_CHECK(nacre_graph_set_precision(g, NACRE_I8) == NACRE_ERROR_UNSUPPORTED);
    NC_CHECK_CONTAINS(nacre_message(ctx), "f32, bf16 or f16, not in i8");
    nacre_clear(ctx);
    NC_CHECK(nacre_graph_set_precision(g, NACRE_F16) == NACRE_OK);
    nacre_graph_reset(g);
    NC_CHECK(nacre_graph_precision(g) == NACRE_F32);
    NC_CHECK(nacre_graph_set_precision(NULL, NACRE_F16) == NACRE_ERROR_ARGUMENT);
    nacre_graph_destroy(g);
    nacre_context_destroy(ctx);
}

/* A norm takes and gives what comes, with f32 parameters and statistics. */
static void norms_follow_their_data(void)
{
    nacre_context *ctx = nacre_context_create(&(nacre_context_options){.device = NACRE_DEVICE_REFERENCE});
    nacre_graph *g = nacre_graph_create(ctx);
    nacre_tensor *a = nacre_input(g, "a", NACRE_F32, NACRE_SHAPE(ROWS, WIDTH));
    nacre_tensor *w = nacre_input(g, "w", NACRE_F32, NACRE_SHAPE(WIDTH, WIDTH));
    nacre_tensor *scale = nacre_input(g, "scale", NACRE_F32, NACRE_SHAPE(WIDTH));
    nacre_tensor *shift = nacre_input(g, "shift", NACRE_F32, NACRE_SHAPE(WIDTH));
    nacre_tensor *h = nacre_batch_norm_with(nacre_matmul(a, w, false, true), scale, shift, 1e-5);
    nacre_tensor *loss = nacre_sum(nacre_square(nacre_matmul(nacre_relu(h), w, false, true)), NULL), *grad;
    nacre_gradients(loss, &w, 1, &grad);
    nacre_output(grad);
    struct seen seen = {0};
    nacre_graph_set_precision(g, NACRE_BF16);
    NC_CHECK(nacre_plan_visit(g, note, &seen) == NACRE_OK);
    NC_CHECK_CONTAINS(seen.signatures, "batch_norm: bf16[8,48] f32[48] f32[48] -> bf16[8,48] f32[48] f32[48]");
    NC_CHECK_CONTAINS(seen.signatures, "batch_norm_backward: bf16[8,48] bf16[8,48] f32[48] f32[48] f32[48] -> "
                                       "bf16[8,48] f32[48] f32[48]");
    nacre_graph_destroy(g);
    nacre_context_destroy(ctx);
}

/* A sum over rows, as biases have for a gradient, reads 16 bits as they are and gives f32 that is not rounded. */
static void sums_of_columns_read_16_bits(void)
{
    enum { COLUMNS = 200 };
    nacre_context *ctx = nacre_context_create(NULL);
    nacre_graph *g = nacre_graph_create(ctx);
    nacre_tensor *a = nacre_input(g, "a", NACRE_F32, NACRE_SHAPE(ROWS, 1));
    nacre_tensor *b = nacre_input(g, "b", NACRE_F32, NACRE_SHAPE(1, COLUMNS));
    nacre_tensor *h = nacre_relu(nacre_matmul(a, b, false, false));
    nacre_tensor *sum = nacre_sum(h, &(nacre_reduce_options){.axes = (int64_t[]){0}, .axis_count = 1});
    nacre_output(sum);
    struct seen seen = {0};
    nacre_graph_set_precision(g, NACRE_BF16);
    NC_CHECK(nacre_plan_visit(g, note, &seen) == NACRE_OK);
    NC_CHECK_CONTAINS(seen.signatures, "sum: bf16[8,200] -> f32[200]");
    float rows[ROWS], columns[COLUMNS], got[COLUMNS] = {0}, total = 0;
    for (int i = 0; i < ROWS; i++) total += rows[i] = (float)(i == 0 ? 9 : i);
    for (int j = 0; j < COLUMNS; j++) columns[j] = (float)(j % 24);
    nacre_feed(a, rows);
    nacre_feed(b, columns);
    NC_CHECK(nacre_run(g) == NACRE_OK && nacre_read(sum, got, sizeof got) == NACRE_OK);
    for (int j = 0; j < COLUMNS; j++) NC_CHECK(got[j] == total * columns[j]);
    nacre_graph_destroy(g);
    nacre_context_destroy(ctx);
}

/* As in a gradient of weights: a long sum of 16-bit products whose only reader wants f32, here of whole numbers, exact.
 */
static void long_sums_are_exact(void)
{
    enum { STEPS = 2001, LEFT = 70, RIGHT = 40 };
    static float a[STEPS * LEFT], b[STEPS * RIGHT], got[RIGHT];
    nacre_context *ctx = nacre_context_create(&(nacre_context_options){.threads = 2});
    nacre_graph *g = nacre_graph_create(ctx);
    nacre_tensor *left = nacre_input(g, "left", NACRE_F32, NACRE_SHAPE(STEPS, LEFT));
    nacre_tensor *right = nacre_input(g, "right", NACRE_F32, NACRE_SHAPE(STEPS, RIGHT));
    const nacre_reduce_options over_rows = {.axes = (int64_t[]){0}, .axis_count = 1};
    nacre_tensor *sums = nacre_sum(nacre_matmul(left, right, true, false), &over_rows);
    nacre_output(sums);
    struct seen seen = {0};
    nacre_graph_set_precision(g, NACRE_BF16);
    NC_CHECK(nacre_plan_visit(g, note, &seen) == NACRE_OK);
    NC_CHECK_CONTAINS(seen.signatures, "matmul: bf16[2001,70] bf16[2001,40] -> f32[70,40] transpose_a=true");
    double expected[RIGHT] = {0};
    for (int k = 0; k < STEPS; k++) {
        double row = 0;
        for (int i = 0; i < LEFT; i++) row += (double)(a[k * LEFT + i] = (float)((k + i) % 7 - 2));
        for (int j = 0; j < RIGHT; j++) {
            b[k * RIGHT + j] = (float)((k * 3 + j) % 5 - 1);
            expected[j] += row * (double)b[k * RIGHT + j];
        }
    }
    nacre_feed(left, a);
    nacre_feed(right, b);
    NC_CHECK(nacre_run(g) == NACRE_OK && nacre_read(sums, got, sizeof got) == NACRE_OK);
    for (int j = 0; j < RIGHT; j++) NC_CHECK(got[j] == (float)expected[j]);
    nacre_graph_destroy(g);
    nacre_context_destroy(ctx);
}

/* What the gradient needs in f32 of what follows in 16 bits is widened again there, and not kept from before. */
static void the_gradient_widens_for_itself(void)
{
    nacre_context *ctx = nacre_context_create(&(nacre_context_options){.device = NACRE_DEVICE_REFERENCE});
    nacre_graph *g = nacre_graph_create(ctx);
    nacre_tensor *a = nacre_input(g, "a", NACRE_F32, NACRE_SHAPE(ROWS, WIDTH));
    nacre_tensor *w = nacre_input(g, "w", NACRE_F32, NACRE_SHAPE(WIDTH, WIDTH));
    nacre_tensor *h = nacre_relu(nacre_matmul(a, w, false, true));
    nacre_tensor *loss = nacre_sum(nacre_mul(nacre_log1p(h), nacre_log1p(h)), NULL), *grad;
    nacre_gradients(loss, &w, 1, &grad);
    nacre_output(grad);
    nacre_output(loss);
    struct seen seen = {0};
    nacre_graph_set_precision(g, NACRE_BF16);
    NC_CHECK(nacre_plan_visit(g, note, &seen) == NACRE_OK);
    const char *first = strstr(seen.signatures, "cast: bf16[8,48] -> f32[8,48]");
    const char *second = first ? strstr(first + 1, "cast: bf16[8,48] -> f32[8,48]") : NULL;
    const char *backward = strstr(seen.signatures, "relu_backward");
    NC_CHECK(first && second && backward && first < second && second < backward);
    nacre_graph_destroy(g);
    nacre_context_destroy(ctx);
}

/* A long sum of 16-bit factors, f32 sums in slices, to which an f32 residual is added. */
static void long_sums_take_residuals(void)
{
    enum { LONG = 2048, ROWS_OF = 65, COLUMNS_OF = 128 };
    static float a[LONG * ROWS_OF], b[LONG * COLUMNS_OF], added[ROWS_OF * COLUMNS_OF], y[ROWS_OF * COLUMNS_OF];
    for (int i = 0; i < LONG * ROWS_OF; i++) a[i] = (float)(i * 7 % 17 - 8) / 16; /* sums are exact */
    for (int i = 0; i < LONG * COLUMNS_OF; i++) b[i] = (float)(i * 5 % 13 - 6) / 16;
    for (int i = 0; i < ROWS_OF * COLUMNS_OF; i++) added[i] = 1;
    for (int set = 1; set <= 3; set++) {
        nacre_context *ctx = nacre_context_create(&(nacre_context_options){.instruction_set = set, .threads = 2});
        nacre_graph *graph = nacre_graph_create(ctx);
        nacre_tensor *ta = nacre_input(graph, "a", NACRE_F32, NACRE_SHAPE(LONG, ROWS_OF));
        nacre_tensor *tb = nacre_input(graph, "b", NACRE_F32, NACRE_SHAPE(LONG, COLUMNS_OF));
        nacre_tensor *tr = nacre_input(graph, "added", NACRE_F32, NACRE_SHAPE(ROWS_OF, COLUMNS_OF));
        nacre_tensor *product = nacre_matmul(ta, tb, true, false);
        nacre_tensor *sum = nacre_add(product, tr);
        nacre_output(sum);
        nacre_feed(ta, a);
        nacre_feed(tb, b);
        nacre_feed(tr, added);
        NC_CHECK(nacre_graph_set_precision(graph, NACRE_BF16) == NACRE_OK);
        NC_CHECK(nacre_run(graph) == NACRE_OK);
        NC_CHECK(nacre_read(sum, y, sizeof y) == NACRE_OK);
        for (int i = 0; i < ROWS_OF * COLUMNS_OF; i++) {
            double expected = 1;
            for (int k = 0; k < LONG; k++)
                expected += (double)a[k * ROWS_OF + i / COLUMNS_OF] * (double)b[k * COLUMNS_OF + i % COLUMNS_OF];
            NC_CHECK_NEAR(y[i], expected, 1e-3);
        }
        nacre_graph_destroy(graph);
        nacre_context_destroy(ctx);
    }
}

int main(void)
{
    NC_RUN(long_sums_take_residuals);
    NC_RUN(numbers_are_those_of_rounded_factors);
    NC_RUN(classes_of_operations);
    NC_RUN(a_changed_weight_is_rounded_again);
    NC_RUN(norms_follow_their_data);
    NC_RUN(the_gradient_widens_for_itself);
    NC_RUN(sums_of_columns_read_16_bits);
    NC_RUN(long_sums_are_exact);
    NC_RUN(other_types_are_refused);
    return nc_report();
}

/* ops/check.c - the harness: a case string as every kernel against the reference, the gradient against finite
 * differences, and each allocation failed in turn.
 *
 * A case is written like a call: operands by shape, element type and range of their random values, attributes by name:
 *     x=2x3x8x8 w=4x3x3x3 stride=2,1 ids=2x5:i64@0..4 !grad
 */
#include "ops/op.h"

#include <nacre/random.h>

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_OPERANDS = 24, PROBES = 24 };

struct operand {
    char name[32];
    nacre_shape shape;
    int dtype; /* -1: the floating type under test */
    double low, high;
};

typedef struct test_case {
    const nacre_op *op;
    const char *text;
    struct operand operands[MAX_OPERANDS];
    bool present[MAX_OPERANDS]; /* an optional operand may be left out */
    int count;
    int64_t attributes[NACRE_MAX_ATTRIBUTE_WORDS];
    bool no_gradient;
} test_case;

struct checker {
    nacre_context *context;
    const test_case *test;
    void (*report)(void *, const nacre_check_line *);
    void *user;
    bool failed;
};

/* ---- reading a case ---- */

/* The place of `name` among the operand names "x w ?b tensors*"; a repeated one takes the next free place. */
static int operand_index(const test_case *test, const char *name)
{
    int index = 0;
    for (const char *at = test->op->inputs; *at; index++) {
        size_t length = strcspn(at, " ");
        const char *bare = *at == '?' ? at + 1 : at;
        size_t bare_length = length - (size_t)(bare - at);
        bool repeats = bare[bare_length - 1] == '*';
        if (repeats) bare_length--;
        if (strlen(name) == bare_length && !memcmp(bare, name, bare_length)) {
            while (repeats && index < MAX_OPERANDS && test->present[index]) index++;
            return index < MAX_OPERANDS ? index : -1;
        }
        at += length + strspn(at + length, " ");
    }
    return -1;
}

static bool read_shape(const char *text, nacre_shape *shape)
{
    shape->rank = 0;
    if (!strcmp(text, "scalar")) return true;
    for (;;) {
        char *end;
        if (shape->rank == NACRE_MAX_RANK) return false;
        shape->dims[shape->rank++] = strtoll(text, &end, 10);
        if (end == text || (*end && *end != 'x')) return false;
        if (!*end) return true;
        text = end + 1;
    }
}

/* "2x3", "2x5:i64", "2x3:f32@0.1..2" */
static bool read_operand(char *text, struct operand *operand)
{
    char *range = strchr(text, '@'), *dtype;
    operand->dtype = -1;
    operand->low = -1;
    operand->high = 1;
    if (range) {
        *range++ = 0;
        char *dots = strstr(range, "..");
        if (!dots) return false;
        *dots = 0;
        if (!nacre_parse_number(range, &operand->low) || !nacre_parse_number(dots + 2, &operand->high)) return false;
    }
    if ((dtype = strchr(text, ':'))) {
        *dtype++ = 0;
        if ((operand->dtype = nacre_dtype_from_name(dtype)) < 0) return false;
    }
    return read_shape(text, &operand->shape);
}

static bool read_word(test_case *test, char *word)
{
    if (!strcmp(word, "!grad")) return test->no_gradient = true;
    char *value = strchr(word, '=');
    if (!value) return false;
    *value++ = 0;
    int index = operand_index(test, word), attribute = nacre_op_attribute_find(test->op, word);
    if (index >= 0) {
        struct operand *operand = &test->operands[index];
        snprintf(operand->name, sizeof operand->name, "%.31s", word);
        test->present[index] = true;
        if (index >= test->count) test->count = index + 1;
        return read_operand(value, operand);
    }
    return attribute >= 0 && nacre_attribute_parse(&test->op->attributes[attribute], value,
                                                   test->attributes + nacre_op_attribute_offset(test->op, attribute));
}

static nacre_status read_case(nacre_context *context, const nacre_op *op, const char *text, test_case *test)
{
    *test = (test_case){.op = op, .text = text};
    nacre_op_attribute_defaults(op, test->attributes);
    for (const char *at = text + strspn(text, " "); *at;) {
        char word[160], copy[160];
        size_t length = strcspn(at, " ");
        snprintf(word, sizeof word, "%.*s", (int)length, at);
        memcpy(copy, word, sizeof copy);
        if (length >= sizeof word || !read_word(test, word))
            return nacre_fail(
                context, NACRE_ERROR_ARGUMENT,
                "case \"%s\": \"%s\" is neither an operand of %s (\"%s\") with a shape like 2x3:f32@-1..1 "
                "nor one of its attributes",
                text, copy, op->name, op->inputs);
        at += length + strspn(at + length, " ");
    }
    return NACRE_OK;
}

/* ---- running a case ---- */

/* Uniform in [0, 1) with 24 bits, a pure function of its arguments. */
static double random_unit(uint64_t stream, uint64_t index)
{
    uint32_t bits[4];
    nacre_philox((uint32_t[]){(uint32_t)stream, 0}, (uint32_t[]){(uint32_t)index, (uint32_t)(index >> 32), 0, 0}, bits);
    return nacre_uniform(bits[0]);
}

/* Operand values and results of one run, as doubles. */
struct values {
    double *inputs[MAX_OPERANDS];
    double *outputs[NACRE_MAX_OUTPUTS];
    double *changed[MAX_OPERANDS]; /* operands afterwards: of operations that change state */
    nacre_shape shapes[NACRE_MAX_OUTPUTS];
    nacre_dtype dtypes[NACRE_MAX_OUTPUTS];
    int output_count;
};

static void free_values(nacre_context *context, struct values *values)
{
    for (int i = 0; i < MAX_OPERANDS; i++) nacre_release(context, values->inputs[i]);
    for (int i = 0; i < MAX_OPERANDS; i++) nacre_release(context, values->changed[i]);
    for (int i = 0; i < NACRE_MAX_OUTPUTS; i++) nacre_release(context, values->outputs[i]);
    memset(values, 0, sizeof *values);
}

/* Random but always the same; exactly representable in f32 so that both precisions see the same numbers. */
static bool draw_inputs(nacre_context *context, const test_case *test, struct values *values)
{
    for (int i = 0; i < test->count; i++) {
        const struct operand *operand = &test->operands[i];
        int64_t count = test->present[i] ? nacre_shape_count(operand->shape) : 0;
        values->inputs[i] = nacre_allocate(context, sizeof(double) * (size_t)(count + 1));
        if (!values->inputs[i]) return false;
        bool real = operand->dtype < 0 || nacre_dtype_is_float((nacre_dtype)operand->dtype);
        for (int64_t k = 0; k < count; k++) {
            double unit = random_unit((uint64_t)i + 17, (uint64_t)k);
            double value = operand->low + unit * (operand->high - operand->low + (real ? 0 : 1));
            values->inputs[i][k] = real ? (double)(float)value : floor(value);
        }
    }
    return true;
}

typedef struct built_case {
    nacre_graph *graph;
    nacre_tensor *inputs[MAX_OPERANDS];
    nacre_tensor *output;
    void *memory[MAX_OPERANDS]; /* what is fed, in the operand's own type */
} built_case;

static nacre_dtype dtype_of(const struct operand *operand, nacre_dtype compute)
{
    return operand->dtype < 0 ? compute : (nacre_dtype)operand->dtype;
}

static bool build(nacre_context *context, const test_case *test, const struct values *values, nacre_dtype compute,
                  built_case *built)
{
    *built = (built_case){.graph = nacre_graph_create(context)};
    for (int i = 0; i < test->count; i++) {
        if (!test->present[i]) continue;
        const struct operand *operand = &test->operands[i];
        nacre_dtype dtype = dtype_of(operand, compute);
        int64_t count = nacre_shape_count(operand->shape);
        built->inputs[i] = nacre_input(built->graph, operand->name, dtype, operand->shape);
        built->memory[i] = nacre_allocate_aligned(context, (size_t)(count + 1) * nacre_dtype_size(dtype));
        if (!built->inputs[i] || !built->memory[i]) return false;
        nacre_dtype_convert(dtype, built->memory[i], NACRE_F64, values->inputs[i], count);
        nacre_feed(built->inputs[i], built->memory[i]);
    }
    built->output = nacre_apply(built->graph, test->op, built->inputs, test->count, test->attributes);
    return built->output != NULL;
}

static void unbuild(nacre_context *context, built_case *built)
{
    for (int i = 0; i < MAX_OPERANDS; i++) nacre_release_aligned(context, built->memory[i]);
    nacre_graph_destroy(built->graph);
}

static double *read_doubles(nacre_context *context, nacre_tensor *tensor)
{
    int64_t count = nacre_tensor_count(tensor);
    size_t bytes = (size_t)count * nacre_dtype_size(nacre_tensor_dtype(tensor));
    double *result = nacre_allocate(context, sizeof(double) * (size_t)(count + 1));
    void *raw = nacre_allocate(context, bytes);
    if (result && raw && nacre_read(tensor, raw, bytes) == NACRE_OK)
        nacre_dtype_convert(NACRE_F64, result, nacre_tensor_dtype(tensor), raw, count);
    nacre_release(context, raw);
    return result;
}

static bool run_case(nacre_context *context, const test_case *test, struct values *values, nacre_dtype compute)
{
    built_case built;
    bool complete = build(context, test, values, compute, &built);
    nacre_tensor *output = built.output;
    for (int i = 0; complete && (output = nacre_tensor_sibling(built.output, i)); i++) nacre_output(output);
    complete = complete && nacre_run(built.graph) == NACRE_OK;
    for (int i = 0; complete && (output = nacre_tensor_sibling(built.output, i)); i++) {
        values->outputs[i] = read_doubles(context, output);
        values->shapes[i] = nacre_tensor_shape(output);
        values->dtypes[i] = nacre_tensor_dtype(output);
        values->output_count = i + 1;
        complete = values->outputs[i] != NULL;
    }
    for (int i = 0; complete && test->op->flags & NACRE_OP_STATEFUL && i < test->count; i++) {
        if (!test->present[i]) continue;
        int64_t count = nacre_shape_count(test->operands[i].shape);
        values->changed[i] = nacre_allocate(context, sizeof(double) * (size_t)(count + 1));
        if (!values->changed[i])
            complete = false;
        else
            nacre_dtype_convert(NACRE_F64, values->changed[i], dtype_of(&test->operands[i], compute), built.memory[i],
                                count);
    }
    unbuild(context, &built);
    return complete && nacre_check(context) == NACRE_OK;
}

/* ---- comparing ---- */

static void say(struct checker *checker, nacre_check_line line)
{
    if (!line.passed && !line.refusal && !checker->failed) {
        checker->failed = true;
        nacre_fail(checker->context, NACRE_ERROR_NUMERIC,
                   "%s, %s: error %.3g, allowed %.3g; repeat with: nacre op %s \"%s\" --check", line.variant, line.what,
                   line.error, line.tolerance, checker->test->op->name, checker->test->text);
    }
    if (checker->report) checker->report(checker->user, &line);
}

/* Largest difference relative to the largest value; equal infinities and NaN in both count as equal. */
static double difference(const double *got, const double *expected, int64_t count)
{
    double scale = 1e-3, worst = 0;
    for (int64_t i = 0; i < count; i++)
        if (isfinite(expected[i]) && fabs(expected[i]) > scale) scale = fabs(expected[i]);
    for (int64_t i = 0; i < count; i++) {
        if (got[i] == expected[i] || (got[i] != got[i] && expected[i] != expected[i])) continue;
        double error = fabs(got[i] - expected[i]) / scale;
        if (!(error <= worst)) worst = error;
    }
    return worst;
}

static double compare(const test_case *test, const struct values *got, const struct values *expected)
{
    double worst = 0;
    for (int i = 0; i < expected->output_count; i++) {
        double error = difference(got->outputs[i], expected->outputs[i], nacre_shape_count(expected->shapes[i]));
        if (!(error <= worst)) worst = error;
    }
    for (int i = 0; i < test->count; i++) {
        if (!expected->changed[i]) continue;
        int64_t count = nacre_shape_count(test->operands[i].shape);
        double error = difference(got->changed[i], expected->changed[i], count);
        if (!(error <= worst)) worst = error;
    }
    return worst;
}

/* ---- forward: every kernel against the reference in double ---- */

static nacre_context *inner_context(const struct checker *checker, nacre_device device, int threads,
                                    nacre_allocator allocator)
{
    nacre_context_options options = {.device = device, .threads = threads, .allocator = allocator};
    options.instruction_set = nacre_context_instruction_set(checker->context) + 1;
    return nacre_context_create(&options);
}

/* Sums of random numbers of one size lose about as many bits as a random walk; 2^-20 leaves room for a few thousand.
 * Winograd's F(4x4, 3x3), whose error is derived in cpu/simd/winograd_body.h, stays below 2^-18 up to 78 channels.
 * In 16 bits kernel and reference see the same rounded operands; where their sums lie close to the middle between two
 * numbers, they round to neighbours. */
static double forward_tolerance(nacre_dtype compute)
{
    switch (compute) {
    case NACRE_F64: return 1e-12;
    case NACRE_BF16: return 0x1p-7;
    case NACRE_F16: return 0x1p-10;
    default: return 0x1p-18;
    }
}

static const char *forward_name(nacre_dtype compute)
{
    switch (compute) {
    case NACRE_F64: return "forward f64";
    case NACRE_BF16: return "forward bf16";
    case NACRE_F16: return "forward f16";
    default: return "forward f32";
    }
}

static const char *why_refused(nacre_context *context, const test_case *test, const struct values *inputs,
                               nacre_dtype compute, const nacre_kernel *kernel);

static void check_kernel(struct checker *checker, const struct values *expected, nacre_dtype compute,
                         const nacre_kernel *kernel)
{
    const test_case *test = checker->test;
    nacre_context *context =
        inner_context(checker, kernel ? NACRE_DEVICE_CPU : NACRE_DEVICE_REFERENCE, 2, (nacre_allocator){0});
    if (!context) return;
    nacre_check_line line = {.what = forward_name(compute),
                             .variant = kernel ? kernel->variant : "reference",
                             .tolerance = forward_tolerance(compute)};
    struct values got = {0};
    bool drawn = draw_inputs(context, test, &got);
    if (kernel) {
        nacre_force_variant(context, test->op->name, kernel->variant);
        line.refusal = why_refused(context, test, &got, compute, kernel);
    }
    if (!line.refusal) {
        bool ran = drawn && run_case(context, test, &got, compute);
        line.error = ran ? compare(test, &got, expected) : INFINITY;
        line.passed = line.error <= line.tolerance;
        if (!ran) nacre_fail(checker->context, nacre_check(context), "%s", nacre_message(context));
    }
    free_values(context, &got);
    nacre_context_destroy(context);
    say(checker, line);
}

/* The plan says which kernel it took; when the forced one is not among them, why. */
struct search {
    const char *op, *variant;
    bool taken;
    char refusal[160];
};

static void look_at_step(void *user, const nacre_plan_step *step)
{
    struct search *search = user;
    if (strcmp(step->op, search->op)) return;
    if (!strcmp(step->variant, search->variant)) {
        search->taken = true;
        return;
    }
    const char *at = strstr(step->refusals, search->variant);
    at = at ? at + strlen(search->variant) : "";
    snprintf(search->refusal, sizeof search->refusal, "%.*s", (int)strcspn(at + strspn(at, ": "), ";"),
             at + strspn(at, ": "));
}

static const char *why_refused(nacre_context *context, const test_case *test, const struct values *inputs,
                               nacre_dtype compute, const nacre_kernel *kernel)
{
    static _Thread_local char reason[160];
    struct search search = {.op = test->op->name, .variant = kernel->variant};
    built_case built;
    if (build(context, test, inputs, compute, &built)) {
        nacre_tensor *output;
        for (int i = 0; (output = nacre_tensor_sibling(built.output, i)); i++) nacre_output(output);
        nacre_plan_visit(built.graph, look_at_step, &search);
    }
    unbuild(context, &built);
    if (search.taken || nacre_check(context)) return NULL; /* a failure shows when it runs */
    memcpy(reason, search.refusal, sizeof reason);
    return reason;
}

/* Every kernel in the types that go with an expectation: single and double precision share one. */
static void check_forward(struct checker *checker, nacre_dtype compute)
{
    const test_case *test = checker->test;
    nacre_context *context = inner_context(checker, NACRE_DEVICE_REFERENCE, 1, (nacre_allocator){0});
    if (!context) return;
    struct values expected = {0};
    if (!draw_inputs(context, test, &expected) || !run_case(context, test, &expected, compute)) {
        nacre_fail(checker->context, nacre_check(context), "case \"%s\" of %s: %s", test->text, test->op->name,
                   nacre_message(context));
        checker->failed = true;
    } else {
        if (compute == NACRE_F64) check_kernel(checker, &expected, NACRE_F32, NULL);
        const nacre_kernel *kernel;
        for (int i = 0; (kernel = nacre_kernel_at(checker->context, test->op, i)); i++) {
            if (compute == NACRE_F64) check_kernel(checker, &expected, NACRE_F32, kernel);
            check_kernel(checker, &expected, compute, kernel);
        }
    }
    free_values(context, &expected);
    nacre_context_destroy(context);
}

/* Whether 16-bit numbers are worth asking about: some fast kernel, and an operation that reads them at all. */
static bool has_half_kernels(const struct checker *checker)
{
    const test_case *test = checker->test;
    if (!nacre_kernel_at(checker->context, test->op, 0)) return false;
    for (int i = 0; i < test->count; i++)
        if (test->present[i] && test->operands[i].dtype < 0) return true;
    return false;
}

/* ---- gradient: against central differences in double ---- */

static bool has_gradient(const test_case *test)
{
    return !test->no_gradient && !(test->op->flags & (NACRE_OP_NONDIFFERENTIABLE | NACRE_OP_STATEFUL)) &&
           (test->op->gradient || test->op->expand);
}

/* sum over the floating outputs of output . c with fixed random c; a scalar. */
static nacre_tensor *probe_loss(nacre_context *context, built_case *built)
{
    nacre_tensor *loss = NULL, *output;
    for (int i = 0; (output = nacre_tensor_sibling(built->output, i)); i++) {
        if (!nacre_dtype_is_float(nacre_tensor_dtype(output))) continue;
        int64_t count = nacre_tensor_count(output);
        double *weights = nacre_allocate(context, sizeof(double) * (size_t)(count + 1));
        if (!weights) return NULL;
        for (int64_t k = 0; k < count; k++) weights[k] = 2 * random_unit((uint64_t)i + 99, (uint64_t)k) - 1;
        nacre_tensor *c = nacre_constant(built->graph, NACRE_F64, nacre_tensor_shape(output), weights);
        nacre_release(context, weights);
        nacre_tensor *part = nacre_sum(nacre_mul(output, c), NULL);
        loss = loss ? nacre_add(loss, part) : part;
    }
    return loss;
}

static double loss_at(built_case *built, nacre_tensor *loss, double *element, double value)
{
    double old = *element;
    *element = value;
    nacre_run(built->graph);
    *element = old;
    return nacre_read_scalar(loss);
}

/* Central differences of two step sizes, combined so that the error is of fourth order. */
static double numeric_derivative(built_case *built, nacre_tensor *loss, double *element)
{
    double x = *element, h = 1e-3;
    double wide = (loss_at(built, loss, element, x + h) - loss_at(built, loss, element, x - h)) / (2 * h);
    h /= 2;
    double narrow = (loss_at(built, loss, element, x + h) - loss_at(built, loss, element, x - h)) / (2 * h);
    return (4 * narrow - wide) / 3;
}

static void check_operand(struct checker *checker, nacre_context *context, built_case *built, nacre_tensor *loss,
                          nacre_tensor *gradient, int index)
{
    const struct operand *operand = &checker->test->operands[index];
    int64_t count = nacre_shape_count(operand->shape);
    if (count == 0) return;
    nacre_run(built->graph);
    double *analytic = read_doubles(context, gradient);
    double numeric[PROBES], probed[PROBES];
    int probes = count < PROBES ? (int)count : PROBES;
    for (int i = 0; analytic && i < probes; i++) {
        int64_t at = count <= PROBES ? i : (int64_t)(random_unit(7, (uint64_t)i) * (double)count);
        numeric[i] = numeric_derivative(built, loss, (double *)built->memory[index] + at);
        probed[i] = analytic[at];
    }
    char what[64];
    snprintf(what, sizeof what, "gradient of %s", operand->name);
    nacre_check_line line = {.what = what, .variant = "reference", .tolerance = 1e-7};
    line.error = analytic ? difference(probed, numeric, probes) : INFINITY;
    line.passed = line.error <= line.tolerance;
    nacre_release(context, analytic);
    say(checker, line);
}

static void check_gradients(struct checker *checker)
{
    const test_case *test = checker->test;
    if (!has_gradient(test)) return;
    nacre_context *context = inner_context(checker, NACRE_DEVICE_REFERENCE, 1, (nacre_allocator){0});
    if (!context) return;
    struct values inputs = {0};
    built_case built = {0};
    nacre_tensor *wrt[MAX_OPERANDS], *grads[MAX_OPERANDS];
    int which[MAX_OPERANDS], count = 0;
    if (draw_inputs(context, test, &inputs) && build(context, test, &inputs, NACRE_F64, &built)) {
        for (int i = 0; i < test->count; i++)
            if (test->present[i] && nacre_tensor_dtype(built.inputs[i]) == NACRE_F64)
                wrt[count] = built.inputs[i], which[count++] = i;
        nacre_tensor *loss = probe_loss(context, &built);
        if (loss && nacre_gradients(loss, wrt, count, grads) == NACRE_OK) {
            nacre_output(loss);
            for (int i = 0; i < count; i++) nacre_output(grads[i]);
            for (int i = 0; i < count; i++) check_operand(checker, context, &built, loss, grads[i], which[i]);
        }
    }
    if (nacre_check(context)) {
        checker->failed = true;
        nacre_fail(checker->context, nacre_check(context), "gradient of case \"%s\" of %s: %s", test->text,
                   test->op->name, nacre_message(context));
    }
    unbuild(context, &built);
    free_values(context, &inputs);
    nacre_context_destroy(context);
}

/* ---- allocation failures ---- */

typedef struct failing_allocator {
    int64_t remaining, live;
} failing_allocator;

static void *failing_resize(void *user, void *pointer, size_t size)
{
    failing_allocator *state = user;
    if (size == 0) {
        if (pointer) state->live--;
        free(pointer);
        return NULL;
    }
    if (state->remaining-- <= 0) return NULL;
    void *result = realloc(pointer, size);
    if (result && !pointer) state->live++;
    return result;
}

/* Fails the n-th allocation and all after it, for n = 0, 1, ... until the case succeeds. Nothing may leak, and a
 * failure must be reported as one. */
static void check_allocations(struct checker *checker)
{
    nacre_check_line line = {.what = "allocation failures", .variant = "cpu", .passed = true};
    bool succeeded = false;
    for (int64_t n = 0; !succeeded && line.passed; n++) {
        failing_allocator state = {.remaining = n};
        nacre_context *context = inner_context(checker, NACRE_DEVICE_CPU, 1, (nacre_allocator){&state, failing_resize});
        struct values inputs = {0};
        if (context) {
            succeeded =
                draw_inputs(context, checker->test, &inputs) && run_case(context, checker->test, &inputs, NACRE_F32);
            if (!succeeded && nacre_check(context) != NACRE_ERROR_MEMORY) line.passed = false;
            free_values(context, &inputs);
            nacre_context_destroy(context);
        }
        if (state.live != 0) line.passed = false;
        line.error = (double)state.live;
    }
    say(checker, line);
}

/* ---- all of it ---- */

nacre_status nacre_op_check(nacre_context *context, const nacre_op *op, const char *case_text,
                            void (*report)(void *, const nacre_check_line *), void *user)
{
    test_case test;
    if (!context || !op || !case_text) return NACRE_ERROR_ARGUMENT;
    if (read_case(context, op, case_text, &test)) return nacre_check(context);
    struct checker checker = {.context = context, .test = &test, .report = report, .user = user};
    check_forward(&checker, NACRE_F64);
    if (has_half_kernels(&checker)) {
        check_forward(&checker, NACRE_BF16);
        check_forward(&checker, NACRE_F16);
    }
    if (!checker.failed) check_gradients(&checker);
    if (!checker.failed) check_allocations(&checker);
    return checker.failed ? nacre_check(context) : NACRE_OK;
}

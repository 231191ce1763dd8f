/* Operations that are called wrongly: the message names the fault, and no shapes or attributes, however odd, do harm.
 */
#include "support.h"

#include <nacre/backend.h>

/* ---- faults and what is said about them ---- */

static nacre_context *context;
static nacre_graph *graph;

static nacre_tensor *input(nacre_dtype dtype, nacre_shape shape)
{
    return nacre_input(graph, "x", dtype, shape);
}

static nacre_tensor *real(nacre_shape shape)
{
    return input(NACRE_F32, shape);
}

#define REFUSES(call, status, part)                                                                                    \
    do {                                                                                                               \
        NC_CHECK((call) == NULL);                                                                                      \
        NC_CHECK_FAILED(context, status, part);                                                                        \
    } while (0)

static void convolution(void)
{
    nacre_tensor *x = real(NACRE_SHAPE(2, 3, 8, 8)), *w = real(NACRE_SHAPE(4, 3, 3, 3));
    REFUSES(nacre_conv_with(x, real(NACRE_SHAPE(4, 2, 3, 3)), NULL, NULL), NACRE_ERROR_SHAPE,
            "input has 3 channels, weight [4, 2, 3, 3] expects 2 in each of 1 groups");
    REFUSES(nacre_conv_with(x, real(NACRE_SHAPE(4, 3, 3)), NULL, NULL), NACRE_ERROR_SHAPE, "differ in rank");
    REFUSES(nacre_conv_with(x, w, real(NACRE_SHAPE(3)), NULL), NACRE_ERROR_SHAPE, "bias is [3], expected [4]");
    REFUSES(nacre_conv_with(x, w, NULL, &(nacre_conv_options){.dilation = {4, 4}}), NACRE_ERROR_SHAPE,
            "kernel covers 9 elements of axis 2, padded input has 8");
    REFUSES(nacre_conv_with(x, w, NULL, &(nacre_conv_options){.stride = {-1, 1}}), NACRE_ERROR_ARGUMENT,
            "stride is -1, expected at least 1");
    REFUSES(nacre_conv_with(x, w, NULL, &(nacre_conv_options){.groups = 2}), NACRE_ERROR_SHAPE, "2 groups");
    REFUSES(nacre_conv_with(x, input(NACRE_F64, NACRE_SHAPE(4, 3, 3, 3)), NULL, NULL), NACRE_ERROR_DTYPE,
            "operands are f32 and f64");
    REFUSES(nacre_conv_with(real(NACRE_SHAPE(2, 3)), real(NACRE_SHAPE(4, 3)), NULL, NULL), NACRE_ERROR_SHAPE,
            "operand 1 is [2, 3], expected [N, C, ...]");
    REFUSES(nacre_conv_transpose_with(x, w, NULL, NULL), NACRE_ERROR_SHAPE, "input has 3 channels, weight expects 4");
    REFUSES(nacre_conv_transpose_with(x, real(NACRE_SHAPE(3, 4, 2, 2)), NULL, &(nacre_conv_options){.padding = {9, 9}}),
            NACRE_ERROR_ARGUMENT, "size is");
}

static void pooling(void)
{
    nacre_tensor *x = real(NACRE_SHAPE(2, 3, 4, 4));
    REFUSES(nacre_max_pool(x, &(nacre_pool_options){.kernel = {2}}), NACRE_ERROR_ARGUMENT, "kernel is 0");
    REFUSES(nacre_max_pool(x, &(nacre_pool_options){.kernel = {5, 5}}), NACRE_ERROR_SHAPE,
            "window covers 5 elements of axis 2, padded input has 4");
    REFUSES(nacre_avg_pool(x, &(nacre_pool_options){.kernel = {2, 2}, .padding = {2, 2}}), NACRE_ERROR_ARGUMENT,
            "padding is 2 and 2, expected 0 to 1");
    REFUSES(nacre_max_pool(input(NACRE_I32, NACRE_SHAPE(1, 1, 4)), &(nacre_pool_options){.kernel = {2}}),
            NACRE_ERROR_DTYPE, "needs a floating type, got i32");
    REFUSES(nacre_adaptive_avg_pool(x, (int64_t[]){0, 1}), NACRE_ERROR_ARGUMENT, "size is 0");
    REFUSES(nacre_interpolate(x, &(nacre_interpolate_options){.scale = 0.1}), NACRE_ERROR_ARGUMENT, "size is 0");
    REFUSES(nacre_interpolate(x, &(nacre_interpolate_options){.size = {2, 2}, .align_corners = true}),
            NACRE_ERROR_ARGUMENT, "align_corners is for mode=linear");
}

static void normalisation(void)
{
    nacre_tensor *x = real(NACRE_SHAPE(2, 6, 3)), *six = real(NACRE_SHAPE(6)), *three = real(NACRE_SHAPE(3));
    REFUSES(nacre_batch_norm_with(x, three, NULL, 1e-5), NACRE_ERROR_SHAPE, "weight is [3], expected [6]");
    REFUSES(nacre_batch_norm_with(real(NACRE_SHAPE(1, 6)), NULL, NULL, 1e-5), NACRE_ERROR_SHAPE,
            "fewer than 2 values per channel");
    REFUSES(nacre_batch_norm_inference(x, six, three, NULL, NULL, 1e-5), NACRE_ERROR_SHAPE, "variance is [3]");
    REFUSES(nacre_layer_norm_with(x, 1, six, NULL, 1e-5), NACRE_ERROR_SHAPE, "weight is [6], expected [3]");
    REFUSES(nacre_layer_norm_with(x, 4, NULL, NULL, 1e-5), NACRE_ERROR_ARGUMENT, "axes is 4");
    REFUSES(nacre_group_norm_with(x, 4, NULL, NULL, 1e-5), NACRE_ERROR_SHAPE, "4 groups do not divide the 6 channels");
    REFUSES(nacre_rms_norm_with(x, 1, NULL, -1), NACRE_ERROR_ARGUMENT, "epsilon is -1");
}

static void losses(void)
{
    nacre_tensor *logits = real(NACRE_SHAPE(4, 10)), *ids = input(NACRE_I64, NACRE_SHAPE(4));
    REFUSES(nacre_softmax(logits, 2), NACRE_ERROR_SHAPE, "axis 2 is outside a tensor of rank 2");
    REFUSES(nacre_cross_entropy_with(logits, real(NACRE_SHAPE(4)), NULL, 0, -100), NACRE_ERROR_DTYPE,
            "expected class ids in i64 or i32");
    REFUSES(nacre_cross_entropy_with(logits, input(NACRE_I64, NACRE_SHAPE(5)), NULL, 0, -100), NACRE_ERROR_SHAPE,
            "targets are [5], logits [4, 10] expect [4]");
    REFUSES(nacre_cross_entropy_with(logits, ids, real(NACRE_SHAPE(9)), 0, -100), NACRE_ERROR_SHAPE,
            "weight is [9], expected one per class, [10]");
    REFUSES(nacre_cross_entropy_with(logits, ids, NULL, 1.5, -100), NACRE_ERROR_ARGUMENT, "label_smoothing is 1.5");
}

static void attention(void)
{
    nacre_tensor *q = real(NACRE_SHAPE(2, 4, 5, 8)), *short_k = real(NACRE_SHAPE(2, 4, 5, 7));
    REFUSES(nacre_scaled_dot_product_attention(q, short_k, q, NULL, false, 0), NACRE_ERROR_SHAPE, "do not fit");
    REFUSES(nacre_scaled_dot_product_attention(q, q, q, real(NACRE_SHAPE(3, 5)), false, 0), NACRE_ERROR_SHAPE,
            "mask [3, 5] does not broadcast to [2, 4, 5, 5]");
    REFUSES(nacre_scaled_dot_product_attention(q, q, q, input(NACRE_I32, NACRE_SHAPE(5, 5)), false, 0),
            NACRE_ERROR_DTYPE, "mask is i32");
}

/* ---- anything at all ---- */

static uint32_t drawn;

static uint32_t draw(uint32_t below)
{
    uint32_t bits[4];
    nacre_philox((uint32_t[]){9, 9}, (uint32_t[]){drawn++, 0, 0, 0}, bits);
    return bits[0] % below;
}

static void draw_attributes(const nacre_op *op, int64_t *words)
{
    static const int64_t odd[] = {INT64_MIN, -100, -1, 0, 1, 1, 2, 2, 3, 4, INT32_MAX, (int64_t)1 << 62, INT64_MAX};
    static const double real_odd[] = {0, 0.5, 1, -1, 1e-5, 1e300, INFINITY, NAN};
    enum { ODD = sizeof odd / sizeof *odd, REAL_ODD = sizeof real_odd / sizeof *real_odd };
    nacre_op_attribute_defaults(op, words);
    for (int i = 0; i < NACRE_MAX_ATTRIBUTES && op->attributes[i].type != NACRE_ATTRIBUTE_NONE; i++) {
        const nacre_attribute *attribute = &op->attributes[i];
        int64_t *word = words + nacre_op_attribute_offset(op, i);
        if (draw(2)) continue;
        switch (attribute->type) {
        case NACRE_ATTRIBUTE_INT: *word = odd[draw(ODD)]; break;
        case NACRE_ATTRIBUTE_FLOAT: *word = nacre_word(real_odd[draw(REAL_ODD)]); break;
        case NACRE_ATTRIBUTE_INTS:
            word[0] = draw((uint32_t)attribute->limit + 1);
            for (int k = 0; k < word[0]; k++) word[1 + k] = odd[draw(ODD)];
            break;
        case NACRE_ATTRIBUTE_DTYPE: *word = draw(NACRE_DTYPE_COUNT); break;
        default: *word = draw(2); break;
        }
    }
}

/* Small shapes that often fit, mostly of a floating type. */
static nacre_tensor *draw_operand(nacre_tensor *first)
{
    static const nacre_dtype dtypes[] = {NACRE_I64, NACRE_I32, NACRE_BOOL, NACRE_BF16};
    nacre_shape shape = {.rank = draw(3) ? 3 + (int)draw(2) : (int)draw(7)};
    if (draw(12) == 0) return NULL;
    if (first && draw(2)) return first;
    if (first && draw(2)) return real(NACRE_SHAPE(nacre_tensor_dim(first, 1)));
    for (int i = 0; i < shape.rank; i++) shape.dims[i] = draw(4) ? 2 : draw(5);
    return input(draw(5) ? NACRE_F32 : dtypes[draw(4)], shape);
}

static void call_anyhow(const nacre_op *op)
{
    enum { OPERANDS = 10 };
    bool variadic;
    int64_t words[NACRE_MAX_ATTRIBUTE_WORDS];
    nacre_tensor *operands[OPERANDS], *wrt[OPERANDS], *grads[OPERANDS], *sum = NULL;
    int named = nacre_op_input_count(op, &variadic), real_count = 0;
    int count = variadic ? (int)draw(OPERANDS) : named - (int)draw(2);
    if (count < 0) count = 0;
    draw_attributes(op, words);
    for (int i = 0; i < count; i++) {
        operands[i] = draw_operand(i > 0 ? operands[0] : NULL);
        if (operands[i] && nacre_dtype_is_float(nacre_tensor_dtype(operands[i]))) wrt[real_count++] = operands[i];
    }
    nacre_tensor *result = nacre_apply(graph, op, operands, count, words);
    bool stateful = (op->flags & NACRE_OP_STATEFUL) != 0;
    for (int i = 0; !stateful && nacre_tensor_sibling(result, i); i++) {
        nacre_tensor *output = nacre_tensor_sibling(result, i);
        if (nacre_dtype_is_float(nacre_tensor_dtype(output))) sum = nacre_sum(output, NULL);
    }
    if (sum && real_count) nacre_gradients(sum, wrt, real_count, grads);
    nacre_clear(context);
}

static void anything(void)
{
    const nacre_op *op;
    for (int i = 0; (op = nacre_op_at(i)); i++) {
        if (op->flags & NACRE_OP_LEAF) continue;
        for (int k = 0; k < 300; k++) {
            if (k % 100 == 0) nacre_graph_reset(graph);
            call_anyhow(op);
        }
    }
    nacre_graph_reset(graph);
    nacre_tensor *x = real(NACRE_SHAPE(2, 2)); /* and all still works */
    NC_CHECK(nacre_add(x, x) != NULL);
    NC_CHECK_OK(context);
}

int main(void)
{
    context = nacre_context_create(&(nacre_context_options){.threads = 1});
    graph = nacre_graph_create(context);
    NC_RUN(convolution);
    NC_RUN(pooling);
    NC_RUN(normalisation);
    NC_RUN(losses);
    NC_RUN(attention);
    NC_RUN(anything);
    nacre_graph_destroy(graph);
    nacre_context_destroy(context);
    return nc_report();
}

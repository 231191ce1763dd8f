/* ops/random.c - random tensors and dropout. What they draw is a function of the seed operand, the stream attribute and
 * the element's place (nacre_element_bits), never of memory order or threads, so it can be drawn again: the gradient of
 * dropout is dropout. */
#include "ops/op.h"

#include <nacre/random.h>

enum { SHAPE = 0, DTYPE = 1 + NACRE_MAX_RANK, STREAM, FIRST, SECOND, WORDS };
enum { PROBABILITY, DROPOUT_STREAM, MASK_AXES, DROPOUT_WORDS };

static nacre_status check_draw(nacre_shape_call *call, nacre_tensor *seed, int64_t stream)
{
    if (nacre_tensor_count(seed) != 1 || nacre_tensor_dtype(seed) != NACRE_I64)
        return nacre_shape_fail(call, NACRE_ERROR_DTYPE, "the seed must be one i64");
    if (stream < 0 || stream > UINT32_MAX)
        return nacre_shape_fail(call, NACRE_ERROR_ARGUMENT, "stream %lld is outside 0..4294967295", (long long)stream);
    return NACRE_OK;
}

static nacre_status check_probability(nacre_shape_call *call, int64_t word)
{
    double p = nacre_unword(word);
    if (p >= 0 && p <= 1) return NACRE_OK;
    return nacre_shape_fail(call, NACRE_ERROR_ARGUMENT, "the probability is %g, expected 0 to 1", p);
}

static uint64_t seed_of(const nacre_view *seed)
{
    uint64_t value;
    memcpy(&value, seed->data, sizeof value);
    return value;
}

/* ---- random tensors ---- */

static nacre_status shape(nacre_shape_call *call)
{
    const int64_t *words = call->attributes;
    if (words[DTYPE] < 0 || words[DTYPE] >= NACRE_DTYPE_COUNT)
        return nacre_shape_fail(call, NACRE_ERROR_ARGUMENT, "there is no element type %lld", (long long)words[DTYPE]);
    call->shapes[0].rank = (int)words[SHAPE];
    for (int i = 0; i < call->shapes[0].rank; i++) call->shapes[0].dims[i] = words[SHAPE + 1 + i];
    call->dtypes[0] = (nacre_dtype)words[DTYPE];
    return check_draw(call, call->inputs[0], words[STREAM]);
}

static nacre_status bernoulli_shape(nacre_shape_call *call)
{
    nacre_status status = check_probability(call, call->attributes[FIRST]);
    return status ? status : shape(call);
}

/* Fills output 0 with numbers made of the bits of an element pair, the first and the second in turn. */
static void fill(const nacre_call *call, double (*number)(const uint32_t bits[2], int which, const int64_t *attributes))
{
    const nacre_view *y = &call->outputs[0];
    uint64_t seed = seed_of(&call->inputs[0]), element = 0;
    uint32_t stream = (uint32_t)call->attributes[STREAM], bits[2] = {0};
    int64_t index[NACRE_MAX_RANK] = {0};
    if (nc_count(y) == 0) return;
    do {
        int which = element & 1;
        for (int i = 0; which == 0 && i < 2; i++) bits[i] = nacre_element_bits(seed, stream, element + (uint64_t)i);
        nc_set(y, nc_offset(y, index), number(bits, which, call->attributes));
        element++;
    } while (nc_next(&y->shape, index));
}

static double uniform(const uint32_t bits[2], int which, const int64_t *attributes)
{
    double low = nacre_unword(attributes[FIRST]), high = nacre_unword(attributes[SECOND]);
    return low + (high - low) * (double)nacre_uniform(bits[which]);
}

static double normal(const uint32_t bits[2], int which, const int64_t *attributes)
{
    float pair[2];
    nacre_normal(bits[0], bits[1], pair);
    return nacre_unword(attributes[FIRST]) + nacre_unword(attributes[SECOND]) * (double)pair[which];
}

static double bernoulli(const uint32_t bits[2], int which, const int64_t *attributes)
{
    return nacre_chance(bits[which], nacre_unword(attributes[FIRST]));
}

static void uniform_reference(const nacre_call *call)
{
    fill(call, uniform);
}

static void normal_reference(const nacre_call *call)
{
    fill(call, normal);
}

static void bernoulli_reference(const nacre_call *call)
{
    fill(call, bernoulli);
}

#define SCHEMA                                                                                                         \
    {"shape", NACRE_ATTRIBUTE_INTS, .limit = NACRE_MAX_RANK, .doc = "of the result"},                                  \
        {"dtype", NACRE_ATTRIBUTE_DTYPE, NACRE_F32, .doc = "of the result"},                                           \
    {                                                                                                                  \
        "stream", NACRE_ATTRIBUTE_INT, .doc = "names the node: another one draws other numbers"                        \
    }

static const char *const UNIFORM_CASES[] = {
    "seed=scalar:i64@7..7 shape=3,5 stream=2", "seed=1:i64@-9..-9 low=-1 high=3",
    "seed=scalar:i64@7..7 shape=131 dtype=i32 low=0 high=10", "seed=scalar:i64@1..1 shape=0,3", NULL};
static const char *const NORMAL_CASES[] = {"seed=scalar:i64@7..7 shape=3,5 stream=2",
                                           "seed=1:i64@-9..-9 shape=131 mean=3 deviation=0.5", NULL};
static const char *const BERNOULLI_CASES[] = {"seed=scalar:i64@7..7 shape=3,5 p=0.3 dtype=bool",
                                              "seed=1:i64@-9..-9 shape=131 p=1", "seed=1:i64@3..3 shape=131 p=0", NULL};

const nacre_op nc_op_random_uniform = {
    .name = "random_uniform",
    .doc = "Numbers uniform in [low, high), before they are rounded to the element type: low + (high - low) "
           "nacre_uniform(bits of the element).",
    .inputs = "seed",
    .outputs = "y",
    .attributes = {SCHEMA,
                   {"low", NACRE_ATTRIBUTE_FLOAT, .doc = "the least"},
                   {"high", NACRE_ATTRIBUTE_FLOAT, 1, .doc = "above the largest"}},
    .flags = NACRE_OP_RANDOM | NACRE_OP_NONDIFFERENTIABLE,
    .shape = shape,
    .reference = uniform_reference,
    .cases = UNIFORM_CASES,
};

const nacre_op nc_op_random_normal = {
    .name = "random_normal",
    .doc = "Normal numbers: mean + deviation n, where elements 2i and 2i + 1 get the two n of nacre_normal(bits of 2i, "
           "bits of 2i + 1).",
    .inputs = "seed",
    .outputs = "y",
    .attributes = {SCHEMA,
                   {"mean", NACRE_ATTRIBUTE_FLOAT, .doc = "expected value"},
                   {"deviation", NACRE_ATTRIBUTE_FLOAT, 1, .doc = "standard deviation"}},
    .flags = NACRE_OP_RANDOM | NACRE_OP_NONDIFFERENTIABLE,
    .shape = shape,
    .reference = normal_reference,
    .cases = NORMAL_CASES,
};

const nacre_op nc_op_random_bernoulli = {
    .name = "random_bernoulli",
    .doc = "1 with probability p, else 0: nacre_chance(bits of the element, p).",
    .inputs = "seed",
    .outputs = "y",
    .attributes = {SCHEMA, {"p", NACRE_ATTRIBUTE_FLOAT, 0.5, .doc = "probability of 1"}},
    .flags = NACRE_OP_RANDOM | NACRE_OP_NONDIFFERENTIABLE,
    .shape = bernoulli_shape,
    .reference = bernoulli_reference,
    .cases = BERNOULLI_CASES,
};

/* ---- dropout ---- */

static nacre_status dropout_shape(nacre_shape_call *call)
{
    const int64_t *words = call->attributes;
    nacre_status status = nc_need_float(call);
    if (!status) status = check_probability(call, words[PROBABILITY]);
    if (!status) status = check_draw(call, call->inputs[1], words[DROPOUT_STREAM]);
    if (status) return status;
    if (words[MASK_AXES] < 0 || words[MASK_AXES] > nacre_tensor_rank(call->inputs[0]))
        return nacre_shape_fail(call, NACRE_ERROR_ARGUMENT, "%lld mask axes of a tensor of rank %d",
                                (long long)words[MASK_AXES], nacre_tensor_rank(call->inputs[0]));
    return nc_shape_same(call);
}

static void dropout_reference(const nacre_call *call)
{
    const nacre_view *x = &call->inputs[0], *y = &call->outputs[0];
    double p = nacre_unword(call->attributes[PROBABILITY]), scale = 1 / (1 - p);
    uint64_t seed = seed_of(&call->inputs[1]);
    uint32_t stream = (uint32_t)call->attributes[DROPOUT_STREAM];
    int mask_axes = call->attributes[MASK_AXES] ? (int)call->attributes[MASK_AXES] : x->shape.rank;
    int64_t index[NACRE_MAX_RANK] = {0};
    if (y->dtype != NACRE_F64) scale = (float)scale;
    if (nc_count(y) == 0) return;
    do {
        uint64_t element = 0;
        for (int i = 0; i < mask_axes; i++) element = element * (uint64_t)x->shape.dims[i] + (uint64_t)index[i];
        bool dropped = nacre_chance(nacre_element_bits(seed, stream, element), p);
        nc_set(y, nc_offset(y, index), dropped ? 0 : scale * nc_get(x, nc_offset(x, index)));
    } while (nc_next(&y->shape, index));
}

static void dropout_gradient(nacre_gradient_call *call)
{
    call->input_grads[0] = nc_apply2(&nc_op_dropout, call->output_grads[0], call->inputs[1], call->attributes);
}

static const char *const DROPOUT_CASES[] = {"x=2x3x4 seed=scalar:i64@7..7",
                                            "x=131 seed=1:i64@-3..-3 p=0.1 stream=5",
                                            "x=3x4x5x5 seed=scalar:i64@1..1 p=0.5 mask_axes=2",
                                            "x=4x33 seed=scalar:i64@1..1 p=0.3 mask_axes=1",
                                            "x=40 seed=scalar:i64@1..1 p=0",
                                            "x=40 seed=scalar:i64@1..1 p=1",
                                            "x=scalar seed=scalar:i64@1..1",
                                            "x=0x3 seed=scalar:i64@1..1",
                                            NULL};

const nacre_op nc_op_dropout = {
    .name = "dropout",
    .doc = "x, but 0 with probability p and scaled by 1 / (1 - p) else (Srivastava et al. 2014). Element i is dropped "
           "if nacre_chance(bits of i, p); with mask_axes = m, i counts over the first m axes only, so that a whole "
           "channel (2) or sample (1) shares its fate. The factor is rounded to f32, but for f64 operands.",
    .onnx = "Dropout",
    .inputs = "x seed",
    .outputs = "y",
    .attributes = {{"p", NACRE_ATTRIBUTE_FLOAT, 0.5, .doc = "probability of 0"},
                   {"stream", NACRE_ATTRIBUTE_INT, .doc = "names the node: another one draws other numbers"},
                   {"mask_axes", NACRE_ATTRIBUTE_INT, .doc = "leading axes with draws of their own; 0: all"}},
    .flags = NACRE_OP_RANDOM,
    .shape = dropout_shape,
    .gradient = dropout_gradient,
    .reference = dropout_reference,
    .cases = DROPOUT_CASES,
};

/* ---- builders ---- */

static nacre_tensor *draw(const nacre_op *op, nacre_tensor *seed, int64_t stream, nacre_dtype dtype, nacre_shape to,
                          double first, double second)
{
    int64_t words[WORDS];
    nc_put_ints(words + SHAPE, to.dims, to.rank, NACRE_MAX_RANK);
    words[DTYPE] = dtype;
    words[STREAM] = stream;
    words[FIRST] = nacre_word(first);
    words[SECOND] = nacre_word(second);
    return nc_apply1(op, seed, words);
}

nacre_tensor *nacre_draw_uniform(nacre_tensor *seed, int64_t stream, nacre_dtype dtype, nacre_shape to, double low,
                                 double high)
{
    return draw(&nc_op_random_uniform, seed, stream, dtype, to, low, high);
}

nacre_tensor *nacre_draw_normal(nacre_tensor *seed, int64_t stream, nacre_dtype dtype, nacre_shape to, double mean,
                                double deviation)
{
    return draw(&nc_op_random_normal, seed, stream, dtype, to, mean, deviation);
}

nacre_tensor *nacre_draw_bernoulli(nacre_tensor *seed, int64_t stream, nacre_dtype dtype, nacre_shape to, double p)
{
    return draw(&nc_op_random_bernoulli, seed, stream, dtype, to, p, 0);
}

nacre_tensor *nacre_dropout_with(nacre_tensor *x, nacre_tensor *seed, int64_t stream, double p, int mask_axes)
{
    return nc_apply2(&nc_op_dropout, x, seed, (int64_t[DROPOUT_WORDS]){nacre_word(p), stream, mask_axes});
}

/* Random tensors: the numbers they promise, and nothing but seed, stream and place behind them. */
#include "values.h"

enum { COUNT = 400 };
static const uint64_t SEED = 0x123456789abcdefULL;

static nacre_tensor *seed(void)
{
    return nacre_constant(graph, NACRE_I64, NACRE_SCALAR, &SEED);
}

/* Philox called directly, as the headers say. */
static uint32_t bits_of(uint32_t stream, uint32_t element)
{
    uint32_t key[2] = {(uint32_t)SEED, (uint32_t)(SEED >> 32)}, bits[4];
    nacre_philox(key, (uint32_t[]){element / 4, stream, 0, 0x656c656d}, bits);
    return bits[element % 4];
}

static void numbers_are_the_promised_ones(void)
{
    double uniform[COUNT], normal[COUNT], coins[COUNT];
    for (uint32_t i = 0; i < COUNT; i++) {
        float pair[2];
        nacre_normal(bits_of(5, i & ~1u), bits_of(5, i | 1u), pair);
        uniform[i] = -2 + 6 * (bits_of(3, i) >> 8) / 0x1p24;
        normal[i] = 1 + 0.5 * (double)pair[i & 1];
        coins[i] = bits_of(7, i) < 0.25 * 0x1p32;
    }
    nacre_shape shape = NACRE_SHAPE(4, COUNT / 4);
    expect(__LINE__, nacre_draw_uniform(seed(), 3, NACRE_F64, shape, -2, 4), uniform, COUNT);
    expect(__LINE__, nacre_draw_normal(seed(), 5, NACRE_F64, shape, 1, 0.5), normal, COUNT);
    expect(__LINE__, nacre_draw_bernoulli(seed(), 7, NACRE_BOOL, NACRE_SHAPE(COUNT), 0.25), coins, COUNT);
}

static void moments(void)
{
    nacre_shape shape = NACRE_SHAPE(100000);
    nacre_tensor *uniform = nacre_draw_uniform(seed(), 0, NACRE_F64, shape, 0, 1);
    nacre_tensor *normal = nacre_draw_normal(seed(), 1, NACRE_F64, shape, 0, 1);
    nacre_tensor *coins = nacre_draw_bernoulli(seed(), 2, NACRE_F64, shape, 0.3);
    nacre_tensor *results[] = {nacre_mean(uniform, NULL),  nacre_var(uniform, NULL, 0), nacre_mean(normal, NULL),
                               nacre_var(normal, NULL, 0), nacre_mean(coins, NULL),     nacre_max(uniform, NULL)};
    const double expected[] = {0.5, 1.0 / 12, 0, 1, 0.3, 1}, allowed[] = {0.004, 0.001, 0.013, 0.02, 0.006, 1e-3};
    for (int i = 0; i < 6; i++) nacre_output(results[i]);
    NC_CHECK(nacre_run(graph) == NACRE_OK);
    for (int i = 0; i < 6; i++) NC_CHECK_NEAR(nacre_read_scalar(results[i]), expected[i], allowed[i]);
}

static void dropout_drops_and_scales(void)
{
    double kept[COUNT], channels[COUNT];
    for (uint32_t i = 0; i < COUNT; i++) {
        kept[i] = bits_of(9, i) < 0.2 * 0x1p32 ? 0 : 1.25;
        channels[i] = bits_of(9, i / 20) < 0.2 * 0x1p32 ? 0 : 1.25; /* 20 elements a channel */
    }
    nacre_tensor *x = nacre_full(graph, NACRE_F64, NACRE_SHAPE(4, 5, 4, 5), 1);
    nacre_tensor *y = nacre_dropout_with(x, seed(), 9, 0.2, 0), *c = nacre_dropout_with(x, seed(), 9, 0.2, 2);
    expect(__LINE__, y, kept, COUNT);
    expect(__LINE__, slope(y, x), kept, COUNT);
    expect(__LINE__, c, channels, COUNT);
    expect(__LINE__, slope(c, x), channels, COUNT);
    EXPECT(nacre_dropout_with(NUMBERS(1, NAN, 3), seed(), 0, 1, 0), 0, 0, 0);
    EXPECT(nacre_dropout_with(NUMBERS(1, 2, 3), seed(), 0, 0, 0), 1, 2, 3);
}

enum { LONG = 3001 }; /* several tasks, and no whole number of blocks */

static void draw_floats(nacre_device device, int threads, float values[3][LONG])
{
    nacre_context *own = nacre_context_create(&(nacre_context_options){.device = device, .threads = threads});
    nacre_graph *draws = nacre_graph_create(own);
    nacre_tensor *from = nacre_constant(draws, NACRE_I64, NACRE_SCALAR, &SEED);
    nacre_tensor *results[] = {nacre_draw_uniform(from, 3, NACRE_F32, NACRE_SHAPE(LONG), -0.3, 4.1),
                               nacre_draw_normal(from, 5, NACRE_F32, NACRE_SHAPE(LONG), 0.1, 0.7),
                               nacre_draw_bernoulli(from, 7, NACRE_F32, NACRE_SHAPE(LONG), 0.25)};
    for (int i = 0; i < 3; i++) nacre_output(results[i]);
    NC_CHECK(nacre_run(draws) == NACRE_OK);
    for (int i = 0; i < 3; i++) NC_CHECK(nacre_read(results[i], values[i], sizeof values[i]) == NACRE_OK);
    nacre_graph_destroy(draws);
    nacre_context_destroy(own);
}

/* A multiplication joined to an addition would change the last bit of some. */
static void the_same_bits_by_every_kernel(void)
{
    static float expected[3][LONG], got[3][LONG];
    draw_floats(NACRE_DEVICE_REFERENCE, 1, expected);
    for (int threads = 1; threads <= 3; threads += 2) {
        draw_floats(NACRE_DEVICE_CPU, threads, got);
        NC_CHECK(!memcmp(expected, got, sizeof expected));
    }
}

static void mistakes(void)
{
    nacre_tensor *x = NUMBERS(1, 2);
    EXPECT_FAILURE(nacre_dropout_with(x, x, 0, 0.5, 0), NACRE_ERROR_DTYPE, "dropout: the seed must be one i64");
    EXPECT_FAILURE(nacre_dropout_with(x, seed(), 0, 1.5, 0), NACRE_ERROR_ARGUMENT, "the probability is 1.5");
    EXPECT_FAILURE(nacre_dropout_with(x, seed(), 0, NAN, 0), NACRE_ERROR_ARGUMENT, "the probability is nan");
    EXPECT_FAILURE(nacre_dropout_with(x, seed(), -1, 0.5, 0), NACRE_ERROR_ARGUMENT, "stream -1 is outside");
    EXPECT_FAILURE(nacre_dropout_with(x, seed(), 0, 0.5, 2), NACRE_ERROR_ARGUMENT, "2 mask axes of a tensor of rank 1");
    EXPECT_FAILURE(nacre_draw_bernoulli(seed(), 0, NACRE_F32, NACRE_SHAPE(2), -0.1), NACRE_ERROR_ARGUMENT, "is -0.1");
}

int main(void)
{
    RUN(numbers_are_the_promised_ones);
    RUN(moments);
    RUN(dropout_drops_and_scales);
    RUN(the_same_bits_by_every_kernel);
    RUN(mistakes);
    return nc_report();
}

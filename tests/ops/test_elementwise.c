/* Element-wise operations where the harness does not look: special values, ties, derivatives of derivatives. */
#include "values.h"

typedef nacre_tensor *(*unary)(nacre_tensor *);

static void special_values(void)
{
    nacre_tensor *x = NUMBERS(NAN, INFINITY, -INFINITY, -0.5, 0.5, 2.5);
    EXPECT(nacre_sign(x), 0, 1, -1, -1, 1, 1);
    EXPECT(nacre_round(x), NAN, INFINITY, -INFINITY, 0, 0, 2);
    EXPECT(nacre_isnan(x), 1, 0, 0, 0, 0, 0);
    EXPECT(nacre_isinf(x), 0, 1, 1, 0, 0, 0);
    EXPECT(nacre_isfinite(x), 0, 0, 0, 1, 1, 1);
    EXPECT(nacre_clamp(x, -1, 1), NAN, 1, -1, -0.5, 0.5, 1);
    EXPECT(nacre_relu6(x), NAN, 6, 0, 0, 0.5, 2.5);
    EXPECT(nacre_hardshrink(x, 0.5), NAN, INFINITY, -INFINITY, 0, 0, 2.5);
    EXPECT(nacre_softshrink(x, 0.5), NAN, INFINITY, -INFINITY, 0, 0, 2);
    EXPECT(nacre_sigmoid(x), NAN, 1, 0, 1 / (1 + exp(0.5)), 1 / (1 + exp(-0.5)), 1 / (1 + exp(-2.5)));
    EXPECT(nacre_log_sigmoid(NUMBERS(-800, 800)), -800, 0);
    EXPECT(nacre_softplus(NUMBERS(-800, 800), 1, 20), 0, 800);
    EXPECT(nacre_cast(x, NACRE_I8), 0, 127, -128, 0, 0, 2);
    EXPECT(nacre_cast(NUMBERS(-1, 300, 1e30, -1e30), NACRE_U8), 0, 255, 255, 0);
    EXPECT(nacre_cast(NUMBERS(0, -0.0, 0.25, NAN), NACRE_BOOL), 0, 0, 1, 1);
}

static void special_pairs(void)
{
    nacre_tensor *a = NUMBERS(1, NAN, 2, -7, 7, 7), *b = NUMBERS(NAN, 1, 2, 3, -3, 0);
    EXPECT(nacre_maximum(a, b), NAN, NAN, 2, 3, 7, 7);
    EXPECT(nacre_minimum(a, b), NAN, NAN, 2, -7, -3, 0);
    EXPECT(nacre_equal(a, b), 0, 0, 1, 0, 0, 0);
    EXPECT(nacre_not_equal(a, b), 1, 1, 0, 1, 1, 1);
    EXPECT(nacre_less_equal(a, b), 0, 0, 1, 1, 0, 0);
    EXPECT(nacre_mod(a, b, false), NAN, NAN, 0, 2, -2, NAN);
    EXPECT(nacre_mod(a, b, true), NAN, NAN, 0, -1, 1, NAN);
    EXPECT(nacre_mod(nacre_cast(a, NACRE_I32), nacre_cast(b, NACRE_I32), false), 0, 0, 0, 2, -2, 0);
    EXPECT(nacre_lerp(NUMBERS(1, 2), NUMBERS(3, 6), NUMBERS(0.25, 1)), 1.5, 6);
    EXPECT(nacre_glu(NUMBERS(1, 2, 0, INFINITY), 0), 0.5, 2);
    EXPECT(nacre_atan2(NUMBERS(0, 1, -1), NUMBERS(-1, 0, 0)), M_PI, M_PI_2, -M_PI_2);
}

/* What PyTorch gives where the derivative is not defined. */
static void slopes_at_kinks(void)
{
    nacre_tensor *a = NUMBERS(1, 2, 3), *b = NUMBERS(2, 2, 2), *x = NUMBERS(-3, -1, -0.5, 0, 0.5, 1, 3, 6);
    EXPECT(slope(nacre_maximum(a, b), a), 0, 0.5, 1);
    EXPECT(slope(nacre_maximum(a, b), b), 1, 0.5, 0);
    EXPECT(slope(nacre_minimum(a, b), a), 1, 0.5, 0);
    EXPECT(slope(nacre_maximum(a, a), a), 1, 1, 1);
    EXPECT(slope(nacre_abs(x), x), -1, -1, -1, 0, 1, 1, 1, 1);
    EXPECT(slope(nacre_clamp(x, -1, 1), x), 0, 1, 1, 1, 1, 1, 0, 0);
    EXPECT(slope(nacre_hardtanh(x, -1, 1), x), 0, 0, 1, 1, 1, 0, 0, 0);
    EXPECT(slope(nacre_relu6(x), x), 0, 0, 0, 0, 1, 1, 1, 0);
    EXPECT(slope(nacre_leaky_relu(x, 0.1), x), 0.1, 0.1, 0.1, 0.1, 1, 1, 1, 1);
    EXPECT(slope(nacre_leaky_relu(x, -2), x), -2, -2, -2, -2, 1, 1, 1, 1);
    EXPECT(slope(nacre_hardshrink(x, 0.5), x), 1, 1, 0, 0, 0, 1, 1, 1);
    EXPECT(slope(nacre_softshrink(x, 0.5), x), 1, 1, 0, 0, 0, 1, 1, 1);
    EXPECT(slope(nacre_floor(x), x), 0, 0, 0, 0, 0, 0, 0, 0);
    nacre_tensor *base = NUMBERS(0, 0, 2), *power = NUMBERS(0, 2, 0);
    EXPECT(slope(nacre_pow(base, power), base), 0, 0, 0);
    EXPECT(slope(nacre_pow(base, power), power), 0, 0, log(2));
}

/* Each derivative against the difference quotient of the one before it. */
static void third_derivatives(void)
{
    const unary functions[] = {nacre_gelu, nacre_gelu_tanh, nacre_silu, nacre_mish, nacre_tanh, nacre_sigmoid};
    const double at[] = {-1.5, -0.25, 0.75, 2}, h = 1e-4;
    enum { COUNT = sizeof at / sizeof *at };
    for (size_t f = 0; f < sizeof functions / sizeof *functions; f++) {
        double values[3][4][COUNT]; /* by place, order, element */
        for (int place = 0; place < 3; place++) {
            nacre_graph_reset(graph);
            nacre_tensor *x = nacre_add_scalar(nacre_constant(graph, NACRE_F64, NACRE_SHAPE(COUNT), at),
                                               (place - 1) * h),
                         *d = functions[f](x);
            for (int order = 0; order < 4; order++, d = slope(d, x)) {
                nacre_output(d);
                NC_CHECK(nacre_run(graph) == NACRE_OK);
                nacre_read(d, values[place][order], sizeof values[place][order]);
            }
        }
        for (int order = 0; order < 3; order++)
            for (int i = 0; i < COUNT; i++)
                NC_CHECK_NEAR(values[1][order + 1][i], (values[2][order][i] - values[0][order][i]) / (2 * h), 1e-6);
    }
}

static void mistakes(void)
{
    nacre_tensor *x = NUMBERS(1, 2), *i = integers(x);
    EXPECT_FAILURE(nacre_glu(NUMBERS(1, 2, 3), 0), NACRE_ERROR_SHAPE, "an axis of size 3, but 2 parts");
    EXPECT_FAILURE(nacre_exp(i), NACRE_ERROR_DTYPE, "exp: needs a floating type, got i64; cast it first");
    EXPECT_FAILURE(nacre_where(x, x, x), NACRE_ERROR_DTYPE, "where: the condition is f64, expected bool");
    EXPECT_FAILURE(nacre_equal(x, i), NACRE_ERROR_DTYPE, "operands are f64 and i64; cast one of them first");
    EXPECT_FAILURE(nacre_elu(x, -1), NACRE_ERROR_ARGUMENT, "alpha is -1 and must not be negative");
    EXPECT_FAILURE(nacre_cast(x, (nacre_dtype)99), NACRE_ERROR_ARGUMENT, "cast: there is no element type 99");
    EXPECT_FAILURE(nacre_where(nacre_less(x, x), x, NUMBERS(1, 2, 3)), NACRE_ERROR_SHAPE, "do not broadcast");
}

int main(void)
{
    RUN(special_values);
    RUN(special_pairs);
    RUN(slopes_at_kinks);
    RUN(third_derivatives);
    RUN(mistakes);
    return nc_report();
}

/* ops/activation.c - the field's activation functions of one operand. Definitions, defaults and the values at the kinks
 * are PyTorch's. relu, gelu and silu, whose gradients are hot, stand in files of their own. */
#include "ops/elementwise.h"

/* A parameter of the function; the builders pass all of them. */
#define REAL_NUMBER(parameter, value, text)                                                                            \
    {                                                                                                                  \
        parameter, NACRE_ATTRIBUTE_FLOAT, value, .doc = text                                                           \
    }

#define ACTIVATION(symbol, onnx_name, text, value, gradient_of_x)                                                      \
    NC_UNARY(symbol, onnx_name, text, nc_shape_float, value, gradient_of_x, "@-4..4", "", {NULL});                     \
    nacre_tensor *nacre_##symbol(nacre_tensor *x)                                                                      \
    {                                                                                                                  \
        return nc_apply1(&nc_op_##symbol, x, NULL);                                                                    \
    }
#define ACTIVATION1(symbol, onnx_name, text, value, gradient_of_x, setting, p0)                                        \
    NC_UNARY(symbol, onnx_name, text, nc_shape_float, value, gradient_of_x, "@-4..4", setting, p0);                    \
    nacre_tensor *nacre_##symbol(nacre_tensor *x, double parameter)                                                    \
    {                                                                                                                  \
        return nc_apply1(&nc_op_##symbol, x, (int64_t[]){nacre_word(parameter)});                                      \
    }
#define ACTIVATION2(symbol, onnx_name, text, shape_rule, value, gradient_of_x, setting, p0, p1)                        \
    NC_UNARY(symbol, onnx_name, text, shape_rule, value, gradient_of_x, "@-4..4", setting, p0, p1);                    \
    nacre_tensor *nacre_##symbol(nacre_tensor *x, double first, double second)                                         \
    {                                                                                                                  \
        return nc_apply1(&nc_op_##symbol, x, (int64_t[]){nacre_word(first), nacre_word(second)});                      \
    }

/* NaN stays NaN. */
static double bounded(double x, double low, double high)
{
    return x < low ? low : x > high ? high : x;
}

static nacre_tensor *positive(nacre_tensor *x)
{
    return nacre_greater(x, nc_zero_like(x));
}

/* dy strictly between the bounds of x (or of the result, where it has the same bounds), else 0. */
static nacre_tensor *inside(nacre_tensor *dy, nacre_tensor *x, double low, double high)
{
    nacre_tensor *above = nacre_greater(x, nc_scalar_like(x, low)), *below = nacre_less(x, nc_scalar_like(x, high));
    return nacre_where(nacre_logical_and(above, below), dy, nc_zero_like(dy));
}

/* ---- rectifiers ---- */

/* The sign of the result tells that of x unless the slope is negative. */
ACTIVATION1(leaky_relu, "LeakyRelu", "x where x > 0, else slope x (Maas et al. 2013).", x > 0 ? x : P(0) * x,
            nacre_where(positive(P(0) >= 0 ? y : x), dy, nacre_mul_scalar(dy, P(0))), " slope=0.2",
            REAL_NUMBER("slope", 0.01, "factor below zero"))
ACTIVATION(relu6, NULL, "min(max(x, 0), 6).", bounded(x, 0, 6), inside(dy, y, 0, 6))
ACTIVATION2(hardtanh, "Clip", "min(max(x, min), max); its gradient is zero from the bounds on.", nc_shape_float,
            bounded(x, P(0), P(1)), inside(dy, y, P(0), P(1)), " min=-0.5 max=2", REAL_NUMBER("min", -1, "lower bound"),
            REAL_NUMBER("max", 1, "upper bound"))
ACTIVATION2(clamp, "Clip", "min(max(x, min), max); its gradient passes at the bounds.", nc_shape_same,
            bounded(x, P(0), P(1)), nacre_where(nacre_equal(x, y), dy, nc_zero_like(dy)), " min=-0.5 max=2",
            REAL_NUMBER("min", -INFINITY, "lower bound"), REAL_NUMBER("max", INFINITY, "upper bound"))
ACTIVATION1(softshrink, "Shrink", "x pulled towards 0 by lambda, 0 within lambda of it.",
            x > P(0)    ? x - P(0)
            : x < -P(0) ? x + P(0)
                        : 0 * x,
            nacre_where(nacre_equal(y, nc_zero_like(y)), nc_zero_like(dy), dy), " lambda=1",
            REAL_NUMBER("lambda", 0.5, "half width of the flat part"))
ACTIVATION1(hardshrink, "Shrink", "x, but 0 within lambda of 0.", x >= -P(0) && x <= P(0) ? 0 : x,
            nacre_where(nacre_equal(y, nc_zero_like(y)), nc_zero_like(dy), dy), " lambda=1",
            REAL_NUMBER("lambda", 0.5, "half width of the flat part"))

/* ---- exponential units ---- */

static nacre_status elu_shape(nacre_shape_call *call)
{
    if (nacre_unword(call->attributes[0]) < 0)
        return nacre_shape_fail(call, NACRE_ERROR_ARGUMENT, "alpha is %g and must not be negative",
                                nacre_unword(call->attributes[0]));
    return nc_shape_float(call);
}

#define SELU_ALPHA 1.6732632423543772848170429916717
#define SELU_SCALE 1.0507009873554804934193349852946
#define SELU_LIMIT (SELU_SCALE * SELU_ALPHA)

NC_UNARY(elu, "Elu", "x where x > 0, else alpha (e^x - 1) (Clevert et al. 2015).", elu_shape,
         x > 0 ? x : P(0) * expm1(x), nacre_where(positive(y), dy, nacre_mul(dy, nacre_add_scalar(y, P(0)))), "@-4..4",
         " alpha=0.5", REAL_NUMBER("alpha", 1, "minus the limit at the left"));
nacre_tensor *nacre_elu(nacre_tensor *x, double alpha)
{
    return nc_apply1(&nc_op_elu, x, (int64_t[]){nacre_word(alpha)});
}
ACTIVATION(selu, "Selu", "elu with the scale and alpha that keep mean 0 and variance 1 (Klambauer et al. 2017).",
           (x > 0 ? x : SELU_ALPHA * expm1(x)) * SELU_SCALE,
           nacre_where(positive(y), nacre_mul_scalar(dy, SELU_SCALE), nacre_mul(dy, nacre_add_scalar(y, SELU_LIMIT))))
ACTIVATION1(celu, NULL, "x where x > 0, else alpha (e^(x / alpha) - 1) (Barron 2017).",
            x > 0 ? x : P(0) * expm1(x / P(0)),
            nacre_where(positive(y), dy, nacre_mul(dy, nacre_add_scalar(nacre_mul_scalar(y, 1 / P(0)), 1))),
            " alpha=0.5", REAL_NUMBER("alpha", 1, "minus the limit at the left"))

/* ---- sigmoids ---- */

ACTIVATION(sigmoid, "Sigmoid", "1 / (1 + e^-x).", 1 / (1 + exp(-x)), nacre_mul(dy, nacre_mul(y, nc_one_minus(y))))
ACTIVATION(log_sigmoid, NULL, "log(sigmoid(x)), exact where the sigmoid vanishes.",
           x < 0 ? x - log1p(exp(x)) : -log1p(exp(-x)), nacre_neg(nacre_mul(dy, nacre_expm1(y))))
ACTIVATION(hardsigmoid, "HardSigmoid", "min(max(x / 6 + 1/2, 0), 1).", bounded(x / 6 + 0.5, 0, 1),
           inside(nacre_mul_scalar(dy, 1.0 / 6), y, 0, 1))
ACTIVATION(softsign, "Softsign", "x / (1 + |x|).", x / (1 + fabs(x)),
           nacre_div(dy, nacre_square(nacre_add_scalar(nacre_abs(x), 1))))
ACTIVATION(tanhshrink, NULL, "x - tanh(x).", x - tanh(x), nacre_mul(dy, nacre_square(nacre_sub(x, y))))

/* ---- smooth rectifiers ---- */

static nacre_tensor *softplus_gradient_of_x(nacre_tensor *dy, nacre_tensor *x, double beta, double threshold)
{
    nacre_tensor *scaled = nacre_mul_scalar(x, beta);
    nacre_tensor *linear = nacre_greater(scaled, nc_scalar_like(x, threshold));
    return nacre_where(linear, dy, nacre_mul(dy, nacre_sigmoid(scaled)));
}

ACTIVATION2(softplus, "Softplus", "log(1 + e^(beta x)) / beta, and x itself where beta x > threshold.", nc_shape_float,
            P(0) * x > P(1) ? x : log1p(exp(P(0) * x)) / P(0), softplus_gradient_of_x(dy, x, P(0), P(1)),
            " beta=2 threshold=3", REAL_NUMBER("beta", 1, "sharpness"),
            REAL_NUMBER("threshold", 20, "from where on it is linear"))

/* d/dx x tanh(s) with s = softplus(x) is t + x sigmoid(x) (1 - t^2), t = tanh(s). */
static nacre_tensor *mish_gradient_of_x(nacre_tensor *dy, nacre_tensor *x)
{
    nacre_tensor *t = nacre_tanh(nacre_softplus(x, 1, 20));
    nacre_tensor *rest = nacre_mul(nacre_mul(x, nacre_sigmoid(x)), nc_one_minus(nacre_square(t)));
    return nacre_mul(dy, nacre_add(t, rest));
}

ACTIVATION(mish, "Mish", "x tanh(softplus(x)) (Misra 2019).", tanh(x > 20 ? x : log1p(exp(x))) * x,
           mish_gradient_of_x(dy, x))

/* 0 below -3, dy (x / 3 + 1/2) up to 3, dy above. */
static nacre_tensor *hardswish_gradient_of_x(nacre_tensor *dy, nacre_tensor *x)
{
    nacre_tensor *middle = nacre_mul(dy, nacre_add_scalar(nacre_mul_scalar(x, 1.0 / 3), 0.5));
    nacre_tensor *right = nacre_where(nacre_greater(x, nc_scalar_like(x, 3)), dy, middle);
    return nacre_where(nacre_less(x, nc_scalar_like(x, -3)), nc_zero_like(dy), right);
}

ACTIVATION(hardswish, "HardSwish", "x min(max(x + 3, 0), 6) / 6 (Howard et al. 2019).", bounded(x + 3, 0, 6) / 6 * x,
           hardswish_gradient_of_x(dy, x))

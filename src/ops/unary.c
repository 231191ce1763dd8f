/* ops/unary.c - the elementary functions of one operand, each with its gradient: in terms of the result y where that
 * is possible, so that the operand need not be kept. */
#include "ops/elementwise.h"

#define UNARY(symbol, onnx_name, text, shape_rule, value, gradient_of_x, range)                                        \
    NC_UNARY(symbol, onnx_name, text, shape_rule, value, gradient_of_x, range, "", {NULL});                            \
    nacre_tensor *nacre_##symbol(nacre_tensor *x)                                                                      \
    {                                                                                                                  \
        return nc_apply1(&nc_op_##symbol, x, NULL);                                                                    \
    }
#define REAL(symbol, onnx_name, text, value, gradient_of_x, range)                                                     \
    UNARY(symbol, onnx_name, text, nc_shape_float, value, gradient_of_x, range)
#define ANY(symbol, onnx_name, text, value, gradient_of_x, range)                                                      \
    UNARY(symbol, onnx_name, text, nc_shape_same, value, gradient_of_x, range)

static nacre_tensor *scale(nacre_tensor *x, double factor)
{
    return nacre_mul_scalar(x, factor);
}

static nacre_tensor *shift(nacre_tensor *x, double offset)
{
    return nacre_add_scalar(x, offset);
}

/* ---- magnitude and rounding ---- */

ANY(abs, "Abs", "|x|.", fabs(x), nacre_mul(dy, nacre_sign(x)), "@-2..2")
ANY(sign, "Sign", "1, 0 or -1: the sign of x; 0 for NaN.", (x > 0) - (x < 0), NULL, "@-2..2")
ANY(square, NULL, "x squared.", (x * x), nacre_mul(dy, scale(x, 2)), "@-2..2")
REAL(floor, "Floor", "The largest integer that is not above x. Its gradient is zero.", floor(x), NULL, "@-4..4")
REAL(ceil, "Ceil", "The smallest integer that is not below x. Its gradient is zero.", ceil(x), NULL, "@-4..4")
REAL(round, "Round", "The nearest integer, the even one of two. Its gradient is zero.", nearbyint(x), NULL, "@-4..4")

/* ---- powers, exponentials, logarithms ---- */

REAL(reciprocal, "Reciprocal", "1 / x.", 1 / x, nacre_neg(nacre_mul(dy, nacre_square(y))), "@0.5..4")
REAL(sqrt, "Sqrt", "The square root; NaN below 0.", sqrt(x), nacre_div(dy, scale(y, 2)), "@0.1..4")
REAL(rsqrt, NULL, "1 / sqrt(x).", 1 / sqrt(x), nacre_mul(dy, scale(nacre_mul(y, nacre_square(y)), -0.5)), "@0.1..4")
REAL(exp, "Exp", "e^x.", exp(x), nacre_mul(dy, y), "@-3..3")
REAL(expm1, NULL, "e^x - 1, exact near 0.", expm1(x), nacre_mul(dy, nacre_exp(x)), "@-3..3")
REAL(log, "Log", "The natural logarithm; NaN below 0.", log(x), nacre_div(dy, x), "@0.1..4")
REAL(log1p, NULL, "log(1 + x), exact near 0.", log1p(x), nacre_div(dy, shift(x, 1)), "@-0.9..4")

/* ---- circular and hyperbolic functions ---- */

REAL(sin, "Sin", "The sine of x in radians.", sin(x), nacre_mul(dy, nacre_cos(x)), "@-4..4")
REAL(cos, "Cos", "The cosine of x in radians.", cos(x), nacre_neg(nacre_mul(dy, nacre_sin(x))), "@-4..4")
REAL(tan, "Tan", "The tangent of x in radians.", tan(x), nacre_mul(dy, shift(nacre_square(y), 1)), "@-1.3..1.3")
REAL(asin, "Asin", "The angle in [-pi/2, pi/2] whose sine is x.", asin(x),
     nacre_mul(dy, nacre_rsqrt(nc_one_minus(nacre_square(x)))), "@-0.9..0.9")
REAL(acos, "Acos", "The angle in [0, pi] whose cosine is x.", acos(x),
     nacre_neg(nacre_mul(dy, nacre_rsqrt(nc_one_minus(nacre_square(x))))), "@-0.9..0.9")
REAL(atan, "Atan", "The angle in [-pi/2, pi/2] whose tangent is x.", atan(x), nacre_div(dy, shift(nacre_square(x), 1)),
     "@-4..4")
REAL(sinh, "Sinh", "The hyperbolic sine.", sinh(x), nacre_mul(dy, nacre_cosh(x)), "@-3..3")
REAL(cosh, "Cosh", "The hyperbolic cosine.", cosh(x), nacre_mul(dy, nacre_sinh(x)), "@-3..3")
REAL(tanh, "Tanh", "The hyperbolic tangent.", tanh(x), nacre_mul(dy, nc_one_minus(nacre_square(y))), "@-3..3")
REAL(asinh, "Asinh", "The inverse hyperbolic sine.", asinh(x), nacre_mul(dy, nacre_rsqrt(shift(nacre_square(x), 1))),
     "@-4..4")
REAL(acosh, "Acosh", "The inverse hyperbolic cosine; NaN below 1.", acosh(x),
     nacre_mul(dy, nacre_rsqrt(shift(nacre_square(x), -1))), "@1.2..4")
REAL(atanh, "Atanh", "The inverse hyperbolic tangent; NaN outside [-1, 1].", atanh(x),
     nacre_div(dy, nc_one_minus(nacre_square(x))), "@-0.9..0.9")
REAL(erf, "Erf", "The error function, 2 / sqrt(pi) times the integral of exp(-t^2) from 0 to x.", erf(x),
     nacre_mul(dy, scale(nacre_exp(nacre_neg(nacre_square(x))), M_2_SQRTPI)), "@-3..3")

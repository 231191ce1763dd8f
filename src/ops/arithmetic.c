/* ops/arithmetic.c - add, sub, mul, div, neg with NumPy's broadcasting. */
#include "ops/elementwise.h"

static const char *const CASES[] = {"a=2x3x4 b=2x3x4", "a=2x3x4 b=4",         "a=3x1 b=2x1x5", "a=scalar b=7",
                                    "a=1x33 b=17x1",   "a=2x5x3x4 b=1x5x1x1", "a=0x3 b=0x3",   NULL};
static const char *const DIV_CASES[] = {"a=2x3x4 b=2x3x4@0.5..2", "a=2x3x4 b=4@-2..-0.5", "a=scalar b=7@1..2", NULL};

NC_BINARY(add, "Add", "a + b.", nc_shape_broadcast, a + b, dy, dy, CASES, {NULL});
NC_BINARY(sub, "Sub", "a - b.", nc_shape_broadcast, a - b, dy, nacre_neg(dy), CASES, {NULL});
NC_BINARY(mul, "Mul", "a * b.", nc_shape_broadcast, a *b, nacre_mul(dy, b), nacre_mul(dy, a), CASES, {NULL});
NC_BINARY(div, "Div", "a / b.", nc_shape_broadcast, a / b, nacre_div(dy, b), nacre_neg(nacre_div(nacre_mul(dy, y), b)),
          DIV_CASES, {NULL});
NC_UNARY(neg, "Neg", "-x.", nc_shape_same, -x, nacre_neg(dy), "", "", {NULL});

nacre_tensor *nacre_add(nacre_tensor *a, nacre_tensor *b)
{
    return nc_apply2(&nc_op_add, a, b, NULL);
}

nacre_tensor *nacre_sub(nacre_tensor *a, nacre_tensor *b)
{
    return nc_apply2(&nc_op_sub, a, b, NULL);
}

nacre_tensor *nacre_mul(nacre_tensor *a, nacre_tensor *b)
{
    return nc_apply2(&nc_op_mul, a, b, NULL);
}

nacre_tensor *nacre_div(nacre_tensor *a, nacre_tensor *b)
{
    return nc_apply2(&nc_op_div, a, b, NULL);
}

nacre_tensor *nacre_neg(nacre_tensor *x)
{
    return nc_apply1(&nc_op_neg, x, NULL);
}

nacre_tensor *nacre_add_scalar(nacre_tensor *x, double value)
{
    return nacre_add(x, nc_scalar_like(x, value));
}

nacre_tensor *nacre_mul_scalar(nacre_tensor *x, double value)
{
    return nacre_mul(x, nc_scalar_like(x, value));
}

nacre_tensor *nacre_lerp(nacre_tensor *a, nacre_tensor *b, nacre_tensor *weight)
{
    return nacre_add(a, nacre_mul(weight, nacre_sub(b, a)));
}

/* ops/binary.c - functions of two operands that broadcast: powers, extremes, remainders, angles. */
#include "ops/elementwise.h"

/* The sign is that of b, as in mathematics, or that of a, as in C. */
static double remainder_of(double a, double b, bool truncated)
{
    double rest = fmod(a, b);
    return !truncated && rest != 0 && (rest < 0) != (b < 0) ? rest + b : rest;
}

/* dy, but half of it where both are equal and none where the operand `loses`. */
static nacre_tensor *share(nacre_tensor *dy, nacre_tensor *loses, nacre_tensor *a, nacre_tensor *b)
{
    nacre_tensor *tied = nacre_where(nacre_equal(a, b), nacre_mul_scalar(dy, 0.5), dy);
    return nacre_where(loses, nc_zero_like(dy), tied);
}

/* b a^(b - 1), and 0 where b is 0 whatever a is. */
static nacre_tensor *pow_gradient_of_a(nacre_tensor *dy, nacre_tensor *a, nacre_tensor *b)
{
    nacre_tensor *slope = nacre_mul(b, nacre_pow(a, nacre_add_scalar(b, -1)));
    return nacre_where(nacre_equal(b, nc_zero_like(b)), nc_zero_like(dy), nacre_mul(dy, slope));
}

/* y log(a), and 0 where a is 0 and b is not negative. */
static nacre_tensor *pow_gradient_of_b(nacre_tensor *dy, nacre_tensor *a, nacre_tensor *b, nacre_tensor *y)
{
    nacre_tensor *flat = nacre_logical_and(nacre_equal(a, nc_zero_like(a)), nacre_greater_equal(b, nc_zero_like(b)));
    return nacre_where(flat, nc_zero_like(dy), nacre_mul(dy, nacre_mul(y, nacre_log(a))));
}

static nacre_tensor *square_sum(nacre_tensor *a, nacre_tensor *b)
{
    return nacre_add(nacre_square(a), nacre_square(b));
}

static const char *const CASES[] = {
    "a=2x3x4 b=2x3x4", "a=3x1 b=2x1x5", "a=scalar b=7", "a=131 b=131", "a=7:i32 b=1:i32", "a=0x3 b=0x3", NULL};
static const char *const ANGLE_CASES[] = {"a=2x3x4 b=2x3x4", "a=3x1 b=2x1x5", "a=scalar b=7", "a=0x3 b=0x3", NULL};
static const char *const POW_CASES[] = {"a=2x3x4@0.1..3 b=2x3x4", "a=3x1@0.5..2 b=2x1x5@-2..2",
                                        "a=2x9:i32@-5..5 b=9:i32@0..3", "a=0x3 b=0x3", NULL};
static const char *const MOD_CASES[] = {"a=2x3x4@2.3..3.5 b=2x3x4@1.9..2.1",
                                        "a=3x1@-3.5..-2.3 b=2x1x5@1.9..2.1",
                                        "a=2x9@2.3..3.5 b=9@-2.1..-1.9",
                                        "a=2x9@2.3..3.5 b=9@-2.1..-1.9 truncated=true",
                                        "a=40:i32@-9..9 b=40:i32@1..4",
                                        "a=40:i64@-9..9 b=40:i64@-4..-1 truncated=true",
                                        NULL};

NC_BINARY(pow, "Pow", "a to the power b; NaN for a negative a and a b that is no integer.", nc_shape_broadcast,
          pow(a, b), pow_gradient_of_a(dy, a, b), pow_gradient_of_b(dy, a, b, y), POW_CASES, {NULL});
NC_BINARY(maximum, "Max", "The larger of a and b; NaN if one is. Equal operands share the gradient.",
          nc_shape_broadcast, nc_larger(a, b), share(dy, nacre_less(a, b), a, b), share(dy, nacre_less(b, a), a, b),
          CASES, {NULL});
NC_BINARY(minimum, "Min", "The smaller of a and b; NaN if one is. Equal operands share the gradient.",
          nc_shape_broadcast, nc_smaller(a, b), share(dy, nacre_greater(a, b), a, b),
          share(dy, nacre_greater(b, a), a, b), CASES, {NULL});
NC_BINARY(mod, "Mod",
          "The remainder of a / b with the sign of b (a - b floor(a / b)), or of a if truncated (a - b trunc(a / b)).",
          nc_shape_broadcast, remainder_of(a, b, attributes[0] != 0), dy, nacre_mul(dy, nacre_div(nacre_sub(y, a), b)),
          MOD_CASES, {"truncated", NACRE_ATTRIBUTE_BOOL, .doc = "the result has the sign of a"});
NC_BINARY(atan2, NULL, "The angle in (-pi, pi] of the point with ordinate a and abscissa b.", nc_shape_float_broadcast,
          atan2(a, b), nacre_div(nacre_mul(dy, b), square_sum(a, b)),
          nacre_neg(nacre_div(nacre_mul(dy, a), square_sum(a, b))), ANGLE_CASES, {NULL});

nacre_tensor *nacre_pow(nacre_tensor *a, nacre_tensor *b)
{
    return nc_apply2(&nc_op_pow, a, b, NULL);
}

nacre_tensor *nacre_maximum(nacre_tensor *a, nacre_tensor *b)
{
    return nc_apply2(&nc_op_maximum, a, b, NULL);
}

nacre_tensor *nacre_minimum(nacre_tensor *a, nacre_tensor *b)
{
    return nc_apply2(&nc_op_minimum, a, b, NULL);
}

nacre_tensor *nacre_mod(nacre_tensor *a, nacre_tensor *b, bool truncated)
{
    return nc_apply2(&nc_op_mod, a, b, (int64_t[]){truncated});
}

nacre_tensor *nacre_atan2(nacre_tensor *a, nacre_tensor *b)
{
    return nc_apply2(&nc_op_atan2, a, b, NULL);
}

/* ops/compare.c - questions whose answer is bool: comparisons, logic, and what kind of number it is. No gradient. */
#include "ops/op.h"

#include <math.h>

/* The value is an expression of the doubles p (and q). */
#define ANSWER(symbol, onnx_name, text, operands, value, case_list)                                                    \
    static double symbol##_value(const double *v, const int64_t *attributes)                                           \
    {                                                                                                                  \
        double p = v[0], q = v[sizeof operands > 2];                                                                   \
        (void)q, (void)attributes;                                                                                     \
        return value;                                                                                                  \
    }                                                                                                                  \
    static void symbol##_reference(const nacre_call *call)                                                             \
    {                                                                                                                  \
        nc_reference_elementwise(call, symbol##_value);                                                                \
    }                                                                                                                  \
    const nacre_op nc_op_##symbol = {                                                                                  \
        .name = #symbol,                                                                                               \
        .doc = text,                                                                                                   \
        .onnx = onnx_name,                                                                                             \
        .inputs = operands,                                                                                            \
        .outputs = "y",                                                                                                \
        .flags = NACRE_OP_ELEMENTWISE | NACRE_OP_NONDIFFERENTIABLE,                                                    \
        .shape = nc_shape_compare,                                                                                     \
        .reference = symbol##_reference,                                                                               \
        .cases = case_list,                                                                                            \
    };
#define COMPARISON(symbol, onnx_name, text, value)                                                                     \
    ANSWER(symbol, onnx_name, text, "a b", value, COMPARE_CASES)                                                       \
    nacre_tensor *nacre_##symbol(nacre_tensor *a, nacre_tensor *b)                                                     \
    {                                                                                                                  \
        return nc_apply2(&nc_op_##symbol, a, b, NULL);                                                                 \
    }
#define CONNECTIVE(symbol, onnx_name, text, value)                                                                     \
    ANSWER(symbol, onnx_name, text, "a b", value, LOGIC_CASES)                                                         \
    nacre_tensor *nacre_##symbol(nacre_tensor *a, nacre_tensor *b)                                                     \
    {                                                                                                                  \
        return nc_apply2(&nc_op_##symbol, a, b, NULL);                                                                 \
    }
#define QUESTION(symbol, onnx_name, text, value)                                                                       \
    ANSWER(symbol, onnx_name, text, "x", value, QUESTION_CASES)                                                        \
    nacre_tensor *nacre_##symbol(nacre_tensor *x)                                                                      \
    {                                                                                                                  \
        return nc_apply1(&nc_op_##symbol, x, NULL);                                                                    \
    }

static const char *const COMPARE_CASES[] = {"a=2x3x4 b=2x3x4", "a=2x3x4:i32@-2..2 b=3x1:i32@-2..2",
                                            "a=scalar b=7",    "a=131:i64@0..3 b=131:i64@0..3",
                                            "a=0x3 b=0x3",     NULL};
static const char *const LOGIC_CASES[] = {"a=2x3x4:bool@0..1 b=2x3x4:bool@0..1", "a=2x3x4:i32@-1..1 b=3x1:i32@-1..1",
                                          "a=scalar:bool@1..1 b=7:bool@0..1", NULL};
static const char *const QUESTION_CASES[] = {"x=2x3x5", "x=scalar", "x=40:i32@-1..1", "x=0x3", NULL};

COMPARISON(equal, "Equal", "a == b; false where one is NaN.", p == q)
COMPARISON(not_equal, NULL, "a != b; true where one is NaN.", p != q)
COMPARISON(less, "Less", "a < b; false where one is NaN.", p < q)
COMPARISON(less_equal, "LessOrEqual", "a <= b; false where one is NaN.", p <= q)
COMPARISON(greater, "Greater", "a > b; false where one is NaN.", p > q)
COMPARISON(greater_equal, "GreaterOrEqual", "a >= b; false where one is NaN.", p >= q)

CONNECTIVE(logical_and, "And", "Whether both are non-zero.", p != 0 && q != 0)
CONNECTIVE(logical_or, "Or", "Whether one or both are non-zero.", p != 0 || q != 0)
CONNECTIVE(logical_xor, "Xor", "Whether exactly one is non-zero.", (p != 0) != (q != 0))
QUESTION(logical_not, "Not", "Whether it is zero.", p == 0)

QUESTION(isnan, "IsNaN", "Whether x is not a number.", isnan(p) != 0)
QUESTION(isinf, "IsInf", "Whether x is plus or minus infinity.", isinf(p) != 0)
QUESTION(isfinite, NULL, "Whether x is neither infinite nor NaN.", isfinite(p) != 0)

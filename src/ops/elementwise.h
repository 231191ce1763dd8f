/* ops/elementwise.h - families of element-wise operations, one entry for each member.
 *
 *     NC_UNARY(exp, "Exp", "e^x.", nc_shape_float, exp(x), nacre_mul(dy, y), "@-3..3", "", {NULL});
 *
 * defines the descriptor nc_op_exp with its reference kernel, gradient rule and cases. The entries are C expressions:
 * of the value in terms of the doubles `x` (or `a` and `b`), of the gradients in terms of the tensors `dy`, `y` and the
 * operands. FLOAT attributes of the schema are read in both as P(0), P(1), ... A gradient of NULL is zero.
 */
#ifndef NC_OPS_ELEMENTWISE_H
#define NC_OPS_ELEMENTWISE_H

#include "ops/op.h"

#include <math.h>

#define P(index) nacre_unword(attributes[index])

/* `range` is that of the values in the cases ("@0.1..4"), `setting` their attributes (" slope=0.2"); what follows is
 * the schema. */
#define NC_UNARY(symbol, onnx_name, text, shape_rule, value, gradient_of_x, range, setting, ...)                       \
    static double symbol##_value(const double *operands, const int64_t *attributes)                                    \
    {                                                                                                                  \
        double x = operands[0];                                                                                        \
        (void)attributes;                                                                                              \
        return value;                                                                                                  \
    }                                                                                                                  \
    static void symbol##_reference(const nacre_call *call)                                                             \
    {                                                                                                                  \
        nc_reference_elementwise(call, symbol##_value);                                                                \
    }                                                                                                                  \
    static void symbol##_gradient(nacre_gradient_call *call)                                                           \
    {                                                                                                                  \
        nacre_tensor *x = call->inputs[0], *y = call->outputs[0], *dy = call->output_grads[0];                         \
        const int64_t *attributes = call->attributes;                                                                  \
        (void)x, (void)y, (void)dy, (void)attributes;                                                                  \
        call->input_grads[0] = gradient_of_x;                                                                          \
    }                                                                                                                  \
    static const char *const symbol##_cases[] = {"x=2x3x5" range,         "x=scalar" range, "x=131" range setting,     \
                                                 "x=3x1x7" range setting, "x=0x3",          NULL};                     \
    const nacre_op nc_op_##symbol = {                                                                                  \
        .name = #symbol,                                                                                               \
        .doc = text,                                                                                                   \
        .onnx = onnx_name,                                                                                             \
        .inputs = "x",                                                                                                 \
        .outputs = "y",                                                                                                \
        .attributes = {__VA_ARGS__},                                                                                   \
        .flags = NACRE_OP_ELEMENTWISE,                                                                                 \
        .shape = shape_rule,                                                                                           \
        .gradient = symbol##_gradient,                                                                                 \
        .reference = symbol##_reference,                                                                               \
        .cases = symbol##_cases,                                                                                       \
    }

/* Of two operands that broadcast: the gradients are summed back to the operands' shapes. */
#define NC_BINARY(symbol, onnx_name, text, shape_rule, value, gradient_of_a, gradient_of_b, case_list, ...)            \
    static double symbol##_value(const double *operands, const int64_t *attributes)                                    \
    {                                                                                                                  \
        double a = operands[0], b = operands[1];                                                                       \
        (void)attributes;                                                                                              \
        return value;                                                                                                  \
    }                                                                                                                  \
    static void symbol##_reference(const nacre_call *call)                                                             \
    {                                                                                                                  \
        nc_reference_elementwise(call, symbol##_value);                                                                \
    }                                                                                                                  \
    static void symbol##_gradient(nacre_gradient_call *call)                                                           \
    {                                                                                                                  \
        nacre_tensor *a = call->inputs[0], *b = call->inputs[1], *y = call->outputs[0], *dy = call->output_grads[0];   \
        (void)y, (void)dy;                                                                                             \
        if (call->wanted[0]) call->input_grads[0] = nc_sum_to(gradient_of_a, a);                                       \
        if (call->wanted[1]) call->input_grads[1] = nc_sum_to(gradient_of_b, b);                                       \
    }                                                                                                                  \
    const nacre_op nc_op_##symbol = {                                                                                  \
        .name = #symbol,                                                                                               \
        .doc = text,                                                                                                   \
        .onnx = onnx_name,                                                                                             \
        .inputs = "a b",                                                                                               \
        .outputs = "y",                                                                                                \
        .attributes = {__VA_ARGS__},                                                                                   \
        .flags = NACRE_OP_ELEMENTWISE,                                                                                 \
        .shape = shape_rule,                                                                                           \
        .gradient = symbol##_gradient,                                                                                 \
        .reference = symbol##_reference,                                                                               \
        .cases = case_list,                                                                                            \
    }

#endif

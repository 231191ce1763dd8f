/* cpu/elementwise.h - element-wise operations on vectors of float, sorted by name.
 *
 * X(operation, result, ...): the sources are a, b and c; w(i) is attribute word i, a FLOAT, on all lanes. Truth values
 * are 1 and 0. What follows X is handed through. */
#ifndef NC_CPU_ELEMENTWISE_H
#define NC_CPU_ELEMENTWISE_H

/* clang-format off */
#define NC_ELEMENTWISE_TABLE(X, ...)                                                                                   \
    X(abs, nc_abs(a), __VA_ARGS__)                                                                                     \
    X(acos, nc_each(acosf, a), __VA_ARGS__)                                                                            \
    X(acosh, nc_each(acoshf, a), __VA_ARGS__)                                                                          \
    X(add, a + b, __VA_ARGS__)                                                                                         \
    X(asin, nc_each(asinf, a), __VA_ARGS__)                                                                            \
    X(asinh, nc_each(asinhf, a), __VA_ARGS__)                                                                          \
    X(atan, nc_each(atanf, a), __VA_ARGS__)                                                                            \
    X(atan2, nc_each2(atan2f, a, b), __VA_ARGS__)                                                                      \
    X(atanh, nc_each(atanhf, a), __VA_ARGS__)                                                                          \
    X(cast, attributes[0] == NACRE_BOOL ? truth(nc_unequal(a, zero)) : a, __VA_ARGS__)                                 \
    X(ceil, nc_each(ceilf, a), __VA_ARGS__)                                                                            \
    X(celu, nc_select(nc_less(zero, a), a, w(0) * nc_expm1(a / w(0))), __VA_ARGS__)                                    \
    X(clamp, bounded(a, w(0), w(1)), __VA_ARGS__)                                                                      \
    X(cos, nc_each(cosf, a), __VA_ARGS__)                                                                              \
    X(cosh, nc_each(coshf, a), __VA_ARGS__)                                                                            \
    X(div, a / b, __VA_ARGS__)                                                                                         \
    X(elu, nc_select(nc_less(zero, a), a, w(0) * nc_expm1(a)), __VA_ARGS__)                                            \
    X(equal, truth(nc_equal(a, b)), __VA_ARGS__)                                                                       \
    X(erf, nc_erf(a), __VA_ARGS__)                                                                                     \
    X(exp, nc_exp(a), __VA_ARGS__)                                                                                     \
    X(expand, a, __VA_ARGS__)                                                                                          \
    X(expm1, nc_expm1(a), __VA_ARGS__)                                                                                 \
    X(floor, nc_each(floorf, a), __VA_ARGS__)                                                                          \
    X(gelu, nc_gelu(a, attributes[0] != 0), __VA_ARGS__)                                                               \
    X(gelu_backward, a * gelu_slope(b, attributes), __VA_ARGS__)                                                       \
    X(greater, truth(nc_less(b, a)), __VA_ARGS__)                                                                      \
    X(greater_equal, truth(nc_less_equal(b, a)), __VA_ARGS__)                                                          \
    X(hardshrink, nc_select(nc_less_equal(-w(0), a) & nc_less_equal(a, w(0)), zero, a), __VA_ARGS__)                   \
    X(hardsigmoid, bounded(a / 6.0f + 0.5f, zero, nc_splat(1.0f)), __VA_ARGS__)                                        \
    X(hardswish, a * bounded(a + 3.0f, zero, nc_splat(6.0f)) / 6.0f, __VA_ARGS__)                                      \
    X(hardtanh, bounded(a, w(0), w(1)), __VA_ARGS__)                                                                   \
    X(isfinite, truth(nc_less(nc_abs(a), nc_splat(INFINITY))), __VA_ARGS__)                                            \
    X(isinf, truth(nc_equal(nc_abs(a), nc_splat(INFINITY))), __VA_ARGS__)                                              \
    X(isnan, truth(nc_unequal(a, a)), __VA_ARGS__)                                                                     \
    X(leaky_relu, nc_select(nc_less(zero, a), a, w(0) * a), __VA_ARGS__)                                               \
    X(less, truth(nc_less(a, b)), __VA_ARGS__)                                                                         \
    X(less_equal, truth(nc_less_equal(a, b)), __VA_ARGS__)                                                             \
    X(log, nc_log(a), __VA_ARGS__)                                                                                     \
    X(log1p, nc_log1p(a), __VA_ARGS__)                                                                                 \
    X(log_sigmoid, -softplus(-a), __VA_ARGS__)                                                                         \
    X(logical_and, truth(nc_unequal(a, zero) & nc_unequal(b, zero)), __VA_ARGS__)                                      \
    X(logical_not, truth(nc_equal(a, zero)), __VA_ARGS__)                                                              \
    X(logical_or, truth(nc_unequal(a, zero) | nc_unequal(b, zero)), __VA_ARGS__)                                       \
    X(logical_xor, truth(nc_unequal(a, zero) ^ nc_unequal(b, zero)), __VA_ARGS__)                                      \
    X(maximum, nc_select(nc_unequal(a, a) | nc_less(b, a), a, b), __VA_ARGS__)                                         \
    X(minimum, nc_select(nc_unequal(a, a) | nc_less(a, b), a, b), __VA_ARGS__)                                         \
    X(mish, a * nc_tanh(softplus(a)), __VA_ARGS__)                                                                     \
    X(mul, a * b, __VA_ARGS__)                                                                                         \
    X(neg, -a, __VA_ARGS__)                                                                                            \
    X(not_equal, truth(nc_unequal(a, b)), __VA_ARGS__)                                                                 \
    X(pow, nc_each2(powf, a, b), __VA_ARGS__)                                                                          \
    X(prelu, nc_select(nc_less(zero, a), a, b * a), __VA_ARGS__)                                                       \
    X(reciprocal, 1.0f / a, __VA_ARGS__)                                                                               \
    X(relu, nc_max(zero, a), __VA_ARGS__)                                                                              \
    X(relu6, bounded(a, zero, nc_splat(6.0f)), __VA_ARGS__)                                                            \
    X(relu_backward, nc_select(nc_less(zero, b), a, zero), __VA_ARGS__)                                                \
    X(round, nc_each(nearbyintf, a), __VA_ARGS__)                                                                      \
    X(rsqrt, 1.0f / nc_sqrt(a), __VA_ARGS__)                                                                           \
    X(selu, 1.05070099f * nc_select(nc_less(zero, a), a, 1.67326324f * nc_expm1(a)), __VA_ARGS__)                      \
    X(sigmoid, nc_sigmoid(a), __VA_ARGS__)                                                                             \
    X(sign, truth(nc_less(zero, a)) - truth(nc_less(a, zero)), __VA_ARGS__)                                            \
    X(silu, a * nc_sigmoid(a), __VA_ARGS__)                                                                            \
    X(silu_backward, a * silu_slope(b), __VA_ARGS__)                                                                   \
    X(sin, nc_each(sinf, a), __VA_ARGS__)                                                                              \
    X(sinh, nc_each(sinhf, a), __VA_ARGS__)                                                                            \
    X(softplus, nc_select(nc_less(w(1), w(0) * a), a, softplus(w(0) * a) / w(0)), __VA_ARGS__)                         \
    X(softshrink, softshrink(a, w(0)), __VA_ARGS__)                                                                    \
    X(softsign, a / (1.0f + nc_abs(a)), __VA_ARGS__)                                                                   \
    X(sqrt, nc_sqrt(a), __VA_ARGS__)                                                                                   \
    X(square, a * a, __VA_ARGS__)                                                                                      \
    X(sub, a - b, __VA_ARGS__)                                                                                         \
    X(tan, nc_each(tanf, a), __VA_ARGS__)                                                                              \
    X(tanh, nc_tanh(a), __VA_ARGS__)                                                                                   \
    X(tanhshrink, a - nc_tanh(a), __VA_ARGS__)                                                                         \
    X(where, nc_select(nc_unequal(a, zero), b, c), __VA_ARGS__)
/* clang-format on */

#endif

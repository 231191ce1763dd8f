/* cpu/elementwise.h - element-wise operations on vectors of float, in alphabetical order.
 *
 * X(operation, result, ...): the sources are a, b and c; w(i) is attribute word i, a FLOAT, on all lanes. Truth values
 * are 1 and 0. What follows X is handed through. */
#ifndef NC_CPU_ELEMENTWISE_H
#define NC_CPU_ELEMENTWISE_H

/* clang-format off */
#define NC_ELEMENTWISE_TABLE(X, ...)                                                                                   \
    X(add, a + b, __VA_ARGS__)                                                                                         \
    X(div, a / b, __VA_ARGS__)                                                                                         \
    X(mul, a * b, __VA_ARGS__)                                                                                         \
    X(neg, -a, __VA_ARGS__)                                                                                            \
    X(relu, nc_max(zero, a), __VA_ARGS__)                                                                              \
    X(relu_backward, nc_select(nc_less(zero, b), a, zero), __VA_ARGS__)                                                \
    X(sub, a - b, __VA_ARGS__)
/* clang-format on */

#endif

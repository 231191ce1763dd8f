/* values.h - small tensors written down, and what an operation must make of them. */
#ifndef NC_TESTS_OPS_VALUES_H
#define NC_TESTS_OPS_VALUES_H

#include "support.h"

static nacre_context *context;
static nacre_graph *graph;

/* Runs a test in a context and graph of its own. */
#define RUN(function) (begin(#function), function(), end())

static void begin(const char *name)
{
    nc_test = name;
    context = nacre_context_create(&(nacre_context_options){.threads = 1});
    graph = nacre_graph_create(context);
}

static void end(void)
{
    NC_CHECK_OK(context);
    nacre_graph_destroy(graph);
    nacre_context_destroy(context);
}

/* ---- operands ---- */

#define COUNT_OF(...) ((int)(sizeof((double[]){__VA_ARGS__}) / sizeof(double)))

/* A constant f64 vector of the numbers listed. */
#define NUMBERS(...) nacre_constant(graph, NACRE_F64, NACRE_SHAPE(COUNT_OF(__VA_ARGS__)), (double[]){__VA_ARGS__})

static inline nacre_tensor *shaped(nacre_tensor *x, int64_t rows, int64_t columns)
{
    return nacre_reshape(x, NACRE_SHAPE(rows, columns));
}

static inline nacre_tensor *integers(nacre_tensor *x)
{
    return nacre_cast(x, NACRE_I64);
}

/* d sum(y) / dx */
static inline nacre_tensor *slope(nacre_tensor *y, nacre_tensor *x)
{
    nacre_tensor *dx = NULL;
    nacre_gradients(nacre_sum(y, NULL), &x, 1, &dx);
    return dx;
}

/* ---- results ---- */

/* The tensor's elements as doubles, converted; false (and a complaint) if they are not `count` or cannot be had. */
static inline bool read_values(int line, nacre_tensor *tensor, double *values, int count)
{
    char raw[4096];
    nacre_dtype dtype = nacre_tensor_dtype(tensor);
    size_t size = (size_t)count * nacre_dtype_size(dtype);
    if (!tensor || nacre_tensor_count(tensor) != count || size > sizeof raw) {
        NC_COMPLAIN("line %d: %" PRId64 " elements, expected %d (%s)", line, nacre_tensor_count(tensor), count,
                    nacre_message(context));
        return false;
    }
    nacre_output(tensor);
    if (nacre_run(graph) || nacre_read(tensor, raw, size)) {
        NC_COMPLAIN("line %d: %s", line, nacre_message(context));
        return false;
    }
    nacre_dtype_convert(NACRE_F64, values, dtype, raw, count);
    return true;
}

/* Elements equal to 1e-12 and better; NaN equals NaN. */
static inline void expect(int line, nacre_tensor *tensor, const double *expected, int count)
{
    double got[512];
    if (!read_values(line, tensor, got, count)) return;
    for (int i = 0; i < count; i++) {
        bool equal = got[i] == expected[i] || (isnan(got[i]) && isnan(expected[i]));
        if (!equal && !(fabs(got[i] - expected[i]) <= 1e-12))
            NC_COMPLAIN("line %d: element %d is %.17g, expected %.17g", line, i, got[i], expected[i]);
    }
}
#define EXPECT(tensor, ...) expect(__LINE__, tensor, (double[]){__VA_ARGS__}, COUNT_OF(__VA_ARGS__))

static inline void expect_shape(int line, nacre_tensor *tensor, nacre_shape expected)
{
    char a[NACRE_SHAPE_TEXT_SIZE], b[NACRE_SHAPE_TEXT_SIZE];
    if (!tensor || !nacre_shape_equal(nacre_tensor_shape(tensor), expected))
        NC_COMPLAIN("line %d: shape is %s, expected %s", line, nacre_shape_text(nacre_tensor_shape(tensor), a),
                    nacre_shape_text(expected, b));
}
#define EXPECT_SHAPE(tensor, ...) expect_shape(__LINE__, tensor, NACRE_SHAPE(__VA_ARGS__))

/* Building the tensor fails with this status and a message that contains `part`. */
#define EXPECT_FAILURE(tensor, status, part)                                                                           \
    do {                                                                                                               \
        NC_CHECK((tensor) == NULL);                                                                                    \
        NC_CHECK_FAILED(context, status, part);                                                                        \
    } while (0)

#endif

/* ops/cumulative.c - sums and products of all elements up to each along an axis. */
#include "ops/rows.h"

enum { AXIS, EXCLUSIVE, REVERSE, WORDS };

static nacre_status shape(nacre_shape_call *call)
{
    nacre_status status = nc_normalise_axis(call, &call->attributes[AXIS], nacre_tensor_rank(call->inputs[0]));
    return status ? status : nc_shape_same(call);
}

static void accumulate(const nacre_call *call, double start, double (*take)(double state, double x))
{
    const nacre_view *x = &call->inputs[0], *y = &call->outputs[0];
    int axis = (int)call->attributes[AXIS];
    bool exclusive = call->attributes[EXCLUSIVE] != 0, reverse = call->attributes[REVERSE] != 0;
    nacre_shape starts = nc_line_starts(&y->shape, axis);
    int64_t at[NACRE_MAX_RANK] = {0}, count = y->shape.dims[axis];
    if (nc_count(y) == 0) return;
    do {
        double state = start;
        for (int64_t i = 0; i < count; i++) {
            int64_t place = reverse ? count - 1 - i : i;
            double before = state;
            state = take(state, nc_get_along(x, nc_offset(x, at), axis, place));
            nc_set_along(y, nc_offset(y, at), axis, place, exclusive ? before : state);
        }
    } while (nc_next(&starts, at));
}

static double add(double state, double x)
{
    return state + x;
}

static double multiply(double state, double x)
{
    return state * x;
}

static void sum_reference(const nacre_call *call)
{
    accumulate(call, 0, add);
}

static void product_reference(const nacre_call *call)
{
    accumulate(call, 1, multiply);
}

static void sum_gradient(nacre_gradient_call *call)
{
    int64_t words[WORDS] = {call->attributes[AXIS], call->attributes[EXCLUSIVE], !call->attributes[REVERSE]};
    call->input_grads[0] = nc_apply1(&nc_op_cumsum, call->output_grads[0], words);
}

/* Moved along the axis by `distance`, with ones where nothing comes from. */
static nacre_tensor *shifted(nacre_tensor *x, int axis, int64_t distance, bool reverse)
{
    int64_t dim = nacre_tensor_dim(x, axis), before[NACRE_MAX_RANK] = {0}, after[NACRE_MAX_RANK] = {0};
    (reverse ? after : before)[axis] = distance;
    nacre_tensor *kept = reverse ? nacre_slice(x, axis, distance, dim, 1) : nacre_slice(x, axis, 0, dim - distance, 1);
    return nacre_pad(kept, before, after, nacre_tensor_rank(x), NACRE_PAD_CONSTANT, 1);
}

/* By doubling (Hillis and Steele 1986): after step s each element is the product of the 2^s up to it. No division, so
 * that zeros do no harm to the gradient. */
static void product_expand(nacre_graph *graph, nacre_tensor *const *inputs, int input_count, const int64_t *attributes,
                           nacre_tensor **outputs)
{
    (void)graph, (void)input_count;
    int axis = (int)attributes[AXIS];
    bool reverse = attributes[REVERSE] != 0;
    nacre_tensor *y = inputs[0];
    int64_t dim = nacre_tensor_dim(y, axis);
    for (int64_t distance = 1; distance < dim; distance *= 2) y = nacre_mul(y, shifted(y, axis, distance, reverse));
    outputs[0] = attributes[EXCLUSIVE] && dim > 0 ? shifted(y, axis, 1, reverse) : y;
}

static const char *const CASES[] = {"x=3x7",
                                    "x=3x4x5 axis=1 reverse=true",
                                    "x=3x7 axis=0 exclusive=true",
                                    "x=2x9 exclusive=true reverse=true",
                                    "x=33:i32@-2..2",
                                    "x=1x1 exclusive=true",
                                    "x=0x3",
                                    "x=3x0",
                                    NULL};
#define SCHEMA                                                                                                         \
    {                                                                                                                  \
        {"axis", NACRE_ATTRIBUTE_INT, -1, .doc = "along which"},                                                       \
            {"exclusive", NACRE_ATTRIBUTE_BOOL, .doc = "without the element itself"},                                  \
        {                                                                                                              \
            "reverse", NACRE_ATTRIBUTE_BOOL, .doc = "from the end"                                                     \
        }                                                                                                              \
    }

const nacre_op nc_op_cumsum = {
    .name = "cumsum",
    .doc = "The sum of the elements up to each along an axis.",
    .onnx = "CumSum",
    .inputs = "x",
    .outputs = "y",
    .attributes = SCHEMA,
    .shape = shape,
    .gradient = sum_gradient,
    .reference = sum_reference,
    .cases = CASES,
};

const nacre_op nc_op_cumprod = {
    .name = "cumprod",
    .doc = "The product of the elements up to each along an axis.",
    .inputs = "x",
    .outputs = "y",
    .attributes = SCHEMA,
    .shape = shape,
    .expand = product_expand,
    .reference = product_reference,
    .cases = CASES,
};

nacre_tensor *nacre_cumsum(nacre_tensor *x, int axis, bool exclusive, bool reverse)
{
    return nc_apply1(&nc_op_cumsum, x, (int64_t[WORDS]){axis, exclusive, reverse});
}

nacre_tensor *nacre_cumprod(nacre_tensor *x, int axis, bool exclusive, bool reverse)
{
    return nc_apply1(&nc_op_cumprod, x, (int64_t[WORDS]){axis, exclusive, reverse});
}

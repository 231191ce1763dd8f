/* ops/triangle.c - one side of a diagonal (tril, triu), and tensors made of positions: arange, eye. */
#include "ops/op.h"

enum { DIAGONAL, WORDS };

static nacre_status shape(nacre_shape_call *call)
{
    int rank = nacre_tensor_rank(call->inputs[0]);
    if (rank < 2) return nacre_shape_fail(call, NACRE_ERROR_SHAPE, "needs at least 2 axes, got %d", rank);
    return nc_shape_same(call);
}

/* x at or left of the diagonal, or at or right of it; zero elsewhere. */
static void keep_side(const nacre_call *call, bool lower)
{
    const nacre_view *x = &call->inputs[0], *y = &call->outputs[0];
    int rank = y->shape.rank;
    int64_t index[NACRE_MAX_RANK] = {0};
    if (nc_count(y) == 0) return;
    do {
        int64_t distance = index[rank - 1] - index[rank - 2] - call->attributes[DIAGONAL];
        if (lower ? distance <= 0 : distance >= 0)
            nc_copy_element(x, nc_offset(x, index), y, nc_offset(y, index));
        else
            nc_set(y, nc_offset(y, index), 0);
    } while (nc_next(&y->shape, index));
}

static void tril_reference(const nacre_call *call)
{
    keep_side(call, true);
}

static void triu_reference(const nacre_call *call)
{
    keep_side(call, false);
}

static void gradient(nacre_gradient_call *call)
{
    call->input_grads[0] = nc_apply1(call->op, call->output_grads[0], call->attributes);
}

static const char *const CASES[] = {
    "x=4x4", "x=3x5 diagonal=1", "x=2x5x3 diagonal=-2", "x=2x3:i32@-9..9", "x=1x7 diagonal=9", "x=0x3", NULL};
#define SCHEMA                                                                                                         \
    {                                                                                                                  \
        {                                                                                                              \
            "diagonal", NACRE_ATTRIBUTE_INT, .doc = "columns to the right of the main diagonal"                        \
        }                                                                                                              \
    }

const nacre_op nc_op_tril = {
    .name = "tril",
    .doc = "x at the diagonal of the last two axes and to the left of it, 0 elsewhere.",
    .onnx = "Trilu",
    .inputs = "x",
    .outputs = "y",
    .attributes = SCHEMA,
    .shape = shape,
    .gradient = gradient,
    .reference = tril_reference,
    .cases = CASES,
};

const nacre_op nc_op_triu = {
    .name = "triu",
    .doc = "x at the diagonal of the last two axes and to the right of it, 0 elsewhere.",
    .onnx = "Trilu",
    .inputs = "x",
    .outputs = "y",
    .attributes = SCHEMA,
    .shape = shape,
    .gradient = gradient,
    .reference = triu_reference,
    .cases = CASES,
};

/* ---- positions ---- */

enum { COUNT, START, STEP, DTYPE, ARANGE_WORDS };

static nacre_status arange_shape(nacre_shape_call *call)
{
    int64_t dtype = call->attributes[DTYPE];
    if (dtype < 0 || dtype >= NACRE_DTYPE_COUNT)
        return nacre_shape_fail(call, NACRE_ERROR_ARGUMENT, "there is no element type %lld", (long long)dtype);
    call->shapes[0] = NACRE_SHAPE(call->attributes[COUNT]);
    call->dtypes[0] = (nacre_dtype)dtype;
    return NACRE_OK;
}

static void arange_reference(const nacre_call *call)
{
    const nacre_view *y = &call->outputs[0];
    double start = nacre_unword(call->attributes[START]), step = nacre_unword(call->attributes[STEP]);
    for (int64_t i = 0; i < y->shape.dims[0]; i++) nc_set(y, i * y->strides[0], start + (double)i * step);
}

static const char *const ARANGE_CASES[] = {"count=5", "count=9 start=-1 step=0.25", "count=7 start=3 step=-2 dtype=i64",
                                           "count=0", NULL};

const nacre_op nc_op_arange = {
    .name = "arange",
    .doc = "start, start + step, ...: `count` numbers.",
    .onnx = "Range",
    .inputs = "",
    .outputs = "y",
    .attributes = {{"count", NACRE_ATTRIBUTE_INT, .required = true, .doc = "how many"},
                   {"start", NACRE_ATTRIBUTE_FLOAT, .doc = "the first"},
                   {"step", NACRE_ATTRIBUTE_FLOAT, 1, .doc = "from one to the next"},
                   {"dtype", NACRE_ATTRIBUTE_DTYPE, NACRE_F32, .doc = "of the result"}},
    .flags = NACRE_OP_NONDIFFERENTIABLE,
    .shape = arange_shape,
    .reference = arange_reference,
    .cases = ARANGE_CASES,
};

nacre_tensor *nacre_tril(nacre_tensor *x, int64_t diagonal)
{
    return nc_apply1(&nc_op_tril, x, (int64_t[WORDS]){diagonal});
}

nacre_tensor *nacre_triu(nacre_tensor *x, int64_t diagonal)
{
    return nc_apply1(&nc_op_triu, x, (int64_t[WORDS]){diagonal});
}

nacre_tensor *nacre_arange(nacre_graph *graph, nacre_dtype dtype, int64_t count, double start, double step)
{
    return nacre_apply(graph, &nc_op_arange, NULL, 0,
                       (int64_t[ARANGE_WORDS]){count, nacre_word(start), nacre_word(step), dtype});
}

nacre_tensor *nacre_eye(nacre_graph *graph, nacre_dtype dtype, int64_t size)
{
    nacre_tensor *column = nacre_arange(graph, NACRE_I64, size, 0, 1);
    return nacre_cast(nacre_equal(nacre_reshape(column, NACRE_SHAPE(size, 1)), column), dtype);
}

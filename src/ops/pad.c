/* ops/pad.c - more positions at both ends of axes. */
#include "ops/index.h"

/* before and after: count and values for the last axes; mode; value. */
enum { LIST = 1 + NACRE_MAX_RANK, BEFORE = 0, AFTER = LIST, MODE = 2 * LIST, VALUE, WORDS };

/* Paddings of one axis; the lists speak of the last ones. */
static void read_paddings(const int64_t *attributes, int rank, int axis, int64_t *before, int64_t *after)
{
    int place = axis - rank + (int)attributes[BEFORE];
    *before = place >= 0 ? attributes[BEFORE + 1 + place] : 0;
    *after = place >= 0 ? attributes[AFTER + 1 + place] : 0;
}

static int64_t most_padding(int64_t mode, int64_t dim)
{
    if (mode == NACRE_PAD_REFLECT) return dim > 0 ? dim - 1 : 0;
    if (mode == NACRE_PAD_CIRCULAR) return dim;
    return mode == NACRE_PAD_REPLICATE && dim == 0 ? 0 : INT64_MAX / 4;
}

static nacre_status shape(nacre_shape_call *call)
{
    const int64_t *words = call->attributes;
    nacre_shape to = nacre_tensor_shape(call->inputs[0]);
    if (words[BEFORE] != words[AFTER] || words[BEFORE] > to.rank)
        return nacre_shape_fail(call, NACRE_ERROR_ARGUMENT,
                                "%lld paddings before and %lld after the ends of a tensor of rank %d",
                                (long long)words[BEFORE], (long long)words[AFTER], to.rank);
    for (int i = 0; i < to.rank; i++) {
        int64_t before, after, most = most_padding(words[MODE], to.dims[i]);
        read_paddings(words, to.rank, i, &before, &after);
        if (before < 0 || after < 0 || before > most || after > most)
            return nacre_shape_fail(call, NACRE_ERROR_SHAPE, "axis %d of size %lld cannot be padded by %lld and %lld",
                                    i, (long long)to.dims[i], (long long)before, (long long)after);
        to.dims[i] += before + after;
    }
    call->shapes[0] = to;
    call->dtypes[0] = nacre_tensor_dtype(call->inputs[0]);
    return NACRE_OK;
}

/* The position of an axis of size `dim` whose value stands at position i counted from its beginning, maybe outside. */
static int64_t source(int64_t i, int64_t dim, int64_t mode)
{
    if (i >= 0 && i < dim) return i;
    if (mode == NACRE_PAD_REFLECT) return i < 0 ? -i : 2 * (dim - 1) - i;
    if (mode == NACRE_PAD_REPLICATE) return i < 0 ? 0 : dim - 1;
    return i < 0 ? i + dim : i - dim;
}

nacre_view nc_pad_part(nacre_view whole, const nacre_shape *part, const int64_t *attributes)
{
    const int rank = whole.shape.rank;
    for (int i = 0; i < rank; i++) {
        int64_t before, after;
        read_paddings(attributes, rank, i, &before, &after);
        whole = nc_section(whole, i, before, 1, part->dims[i]);
    }
    return whole;
}

bool nc_pad_value(const int64_t *attributes, double *value)
{
    *value = nacre_unword(attributes[VALUE]);
    return attributes[MODE] == NACRE_PAD_CONSTANT;
}

static void reference(const nacre_call *call)
{
    const nacre_view *x = &call->inputs[0], *y = &call->outputs[0];
    int64_t mode = call->attributes[MODE], before[NACRE_MAX_RANK], after, index[NACRE_MAX_RANK] = {0};
    double value;
    for (int i = 0; i < y->shape.rank; i++) read_paddings(call->attributes, y->shape.rank, i, &before[i], &after);
    if (nc_pad_value(call->attributes, &value)) {
        nacre_view inner = nc_pad_part(*y, &x->shape, call->attributes);
        nc_fill_view(y, value);
        nc_copy_view(x, &inner);
    } else if (nc_count(y) > 0) {
        do {
            int64_t at = 0;
            for (int i = 0; i < y->shape.rank; i++)
                at += x->strides[i] * source(index[i] - before[i], x->shape.dims[i], mode);
            nc_copy_element(x, at, y, nc_offset(y, index));
        } while (nc_next(&y->shape, index));
    }
}

/* Adds what stands at the padded positions of one axis to where it came from. */
static nacre_tensor *fold_axis(nacre_tensor *dy, int axis, int64_t dim, int64_t before, int64_t mode)
{
    nacre_graph *graph = nacre_tensor_graph(dy);
    int64_t count = nacre_tensor_dim(dy, axis);
    int64_t *sources = nacre_allocate(nacre_graph_context(graph), sizeof *sources * (size_t)(count + 1));
    if (!sources) return NULL;
    for (int64_t i = 0; i < count; i++) sources[i] = source(i - before, dim, mode);
    nacre_tensor *indices = nacre_constant(graph, NACRE_I64, NACRE_SHAPE(count), sources);
    nacre_release(nacre_graph_context(graph), sources);
    return nc_take_backward(dy, indices, axis, dim, NC_NO_PADDING_INDEX);
}

static void gradient(nacre_gradient_call *call)
{
    nacre_tensor *dy = call->output_grads[0];
    nacre_shape shape = nacre_tensor_shape(call->inputs[0]);
    int64_t mode = call->attributes[MODE];
    for (int i = 0; i < shape.rank && dy; i++) {
        int64_t before, after;
        read_paddings(call->attributes, shape.rank, i, &before, &after);
        if (before == 0 && after == 0) continue;
        if (mode == NACRE_PAD_CONSTANT)
            dy = nacre_slice(dy, i, before, before + shape.dims[i], 1);
        else
            dy = fold_axis(dy, i, shape.dims[i], before, mode);
    }
    call->input_grads[0] = dy;
}

static const char *const CASES[] = {"x=2x3x4 before=0,1,2 after=1,0,3",
                                    "x=2x3x4 before=0,1,2 after=1,0,1 value=0.5",
                                    "x=2x3x5x4 before=1,2 after=2,3 mode=reflect",
                                    "x=2x3x5 before=4,3 after=2,4 mode=replicate",
                                    "x=2x3x4 before=3,4 after=1,2 mode=circular",
                                    "x=7 before=6 after=6 mode=reflect",
                                    "x=1x1 before=2 after=1 mode=replicate",
                                    "x=3:i64@-9..9 before=1 after=2 value=-7",
                                    "x=2x3x5x4:i32@-9..9 before=2,1,0 after=1,0,3 value=-7",
                                    "x=0x3 before=2,0 after=1,1",
                                    "x=scalar",
                                    NULL};

const nacre_op nc_op_pad = {
    .name = "pad",
    .doc = "More positions at both ends of the last axes: filled with a value, with the tensor mirrored at its first "
           "and last positions (reflect), with these repeated (replicate), or with the other end (circular).",
    .onnx = "Pad",
    .inputs = "x",
    .outputs = "y",
    .attributes = {{"before", NACRE_ATTRIBUTE_INTS, .limit = NACRE_MAX_RANK, .doc = "positions before the last axes"},
                   {"after", NACRE_ATTRIBUTE_INTS, .limit = NACRE_MAX_RANK, .doc = "positions after them"},
                   {"mode", NACRE_ATTRIBUTE_ENUM, .choices = "constant|reflect|replicate|circular",
                    .doc = "what stands there"},
                   {"value", NACRE_ATTRIBUTE_FLOAT, .doc = "of mode constant"}},
    .layouts = "d>d",
    .shape = shape,
    .gradient = gradient,
    .reference = reference,
    .cases = CASES,
};

nacre_tensor *nacre_pad(nacre_tensor *x, const int64_t *before, const int64_t *after, int axes, nacre_pad_mode mode,
                        double value)
{
    int64_t words[WORDS];
    nc_put_ints(words + BEFORE, before, axes, NACRE_MAX_RANK);
    nc_put_ints(words + AFTER, after, axes, NACRE_MAX_RANK);
    words[MODE] = mode;
    words[VALUE] = nacre_word(value);
    return nc_apply1(&nc_op_pad, x, words);
}

/* ops/sort.c - the elements along an axis by size: all of them (sort) or the first k (topk). Equal elements keep their
 * order, NaN counts as the largest, as in PyTorch. */
#include "ops/rows.h"

enum { SORT_AXIS, DESCENDING, SORT_WORDS };
enum { COUNT, TOPK_AXIS, LARGEST, TOPK_WORDS };

static nacre_status sort_shape(nacre_shape_call *call)
{
    nacre_status status = nc_normalise_axis(call, &call->attributes[SORT_AXIS], nacre_tensor_rank(call->inputs[0]));
    nc_shape_same(call);
    call->shapes[1] = call->shapes[0];
    call->dtypes[1] = NACRE_I64;
    return status;
}

static nacre_status topk_shape(nacre_shape_call *call)
{
    nacre_shape shape = nacre_tensor_shape(call->inputs[0]);
    nacre_status status = nc_normalise_axis(call, &call->attributes[TOPK_AXIS], shape.rank);
    if (status) return status;
    int64_t *dim = &shape.dims[call->attributes[TOPK_AXIS]], count = call->attributes[COUNT];
    if (count < 0 || count > *dim)
        return nacre_shape_fail(call, NACRE_ERROR_ARGUMENT, "k is %lld for an axis of size %lld", (long long)count,
                                (long long)*dim);
    *dim = count;
    call->shapes[0] = call->shapes[1] = shape;
    call->dtypes[0] = nacre_tensor_dtype(call->inputs[0]);
    call->dtypes[1] = NACRE_I64;
    return NACRE_OK;
}

/* One line, and the indices of the elements chosen so far as a heap whose top comes last in the result. */
struct line {
    const nacre_view *x, *indices;
    int64_t start, heap; /* offsets of the line */
    int axis;
    bool descending;
};

static int64_t *entry(const struct line *line, int64_t place)
{
    return (int64_t *)line->indices->data + line->heap + place * line->indices->strides[line->axis];
}

/* Whether element i stands before element j in the result. */
static bool comes_before(const struct line *line, int64_t i, int64_t j)
{
    double a = nc_get_along(line->x, line->start, line->axis, i), b = nc_get_along(line->x, line->start, line->axis, j);
    bool less = a < b || (a == a && b != b), greater = b < a || (b == b && a != a);
    if (less || greater) return line->descending ? greater : less;
    return i < j;
}

static void exchange(int64_t *a, int64_t *b)
{
    int64_t kept = *a;
    *a = *b;
    *b = kept;
}

/* Lets the entry at `place` sink until none below it comes after it. */
static void sink(const struct line *line, int64_t place, int64_t count)
{
    for (int64_t child; (child = 2 * place + 1) < count; place = child) {
        if (child + 1 < count && comes_before(line, *entry(line, child), *entry(line, child + 1))) child++;
        if (!comes_before(line, *entry(line, place), *entry(line, child))) return;
        exchange(entry(line, place), entry(line, child));
    }
}

/* The first `count` of all elements in order, by a heap of that size (Williams 1964). */
static void order_line(const struct line *line, int64_t count)
{
    if (count == 0) return;
    for (int64_t i = 0; i < count; i++) *entry(line, i) = i;
    for (int64_t i = count / 2; i-- > 0;) sink(line, i, count);
    for (int64_t i = count; i < line->x->shape.dims[line->axis]; i++) {
        if (!comes_before(line, i, *entry(line, 0))) continue;
        *entry(line, 0) = i;
        sink(line, 0, count);
    }
    for (int64_t i = count; i-- > 1;) {
        exchange(entry(line, 0), entry(line, i));
        sink(line, 0, i);
    }
}

static void order(const nacre_call *call, int axis, bool descending)
{
    const nacre_view *x = &call->inputs[0], *values = &call->outputs[0], *indices = &call->outputs[1];
    nacre_shape starts = nc_line_starts(&values->shape, axis);
    int64_t at[NACRE_MAX_RANK] = {0};
    if (nc_count(values) == 0) return;
    do {
        struct line line = {x, indices, nc_offset(x, at), nc_offset(indices, at), axis, descending};
        int64_t target = nc_offset(values, at);
        order_line(&line, values->shape.dims[axis]);
        for (int64_t i = 0; i < values->shape.dims[axis]; i++)
            nc_copy_element(x, line.start + *entry(&line, i) * x->strides[axis], values,
                            target + i * values->strides[axis]);
    } while (nc_next(&starts, at));
}

static void sort_reference(const nacre_call *call)
{
    order(call, (int)call->attributes[SORT_AXIS], call->attributes[DESCENDING] != 0);
}

static void topk_reference(const nacre_call *call)
{
    order(call, (int)call->attributes[TOPK_AXIS], call->attributes[LARGEST] != 0);
}

static void scatter_back(nacre_gradient_call *call, int axis)
{
    nacre_tensor *x = call->inputs[0], *dy = call->output_grads[0];
    nacre_tensor *zeros = nacre_full(call->graph, nacre_tensor_dtype(x), nacre_tensor_shape(x), 0);
    if (dy) call->input_grads[0] = nacre_scatter_add(zeros, call->outputs[1], dy, axis);
}

static void sort_gradient(nacre_gradient_call *call)
{
    scatter_back(call, (int)call->attributes[SORT_AXIS]);
}

static void topk_gradient(nacre_gradient_call *call)
{
    scatter_back(call, (int)call->attributes[TOPK_AXIS]);
}

static const char *const SORT_CASES[] = {"x=3x9",
                                         "x=3x4x2 axis=1 descending=true",
                                         "x=33x2:i32@-3..3 axis=0",
                                         "x=40:u8@0..3 descending=true",
                                         "x=1x1",
                                         "x=0x3",
                                         "x=3x0",
                                         NULL};
static const char *const TOPK_CASES[] = {"x=3x9 k=4",         "x=3x7x2 k=2 axis=1 largest=false",
                                         "x=40:i64@0..3 k=7", "x=5 k=5",
                                         "x=5 k=0",           "x=2x1 k=1",
                                         "x=0x3 k=2",         NULL};

const nacre_op nc_op_sort = {
    .name = "sort",
    .doc = "The elements along an axis by size, and where they were. Equal ones keep their order; NaN counts as the "
           "largest.",
    .inputs = "x",
    .outputs = "values indices",
    .attributes = {{"axis", NACRE_ATTRIBUTE_INT, -1, .doc = "along which"},
                   {"descending", NACRE_ATTRIBUTE_BOOL, .doc = "the largest first"}},
    .shape = sort_shape,
    .gradient = sort_gradient,
    .reference = sort_reference,
    .cases = SORT_CASES,
};

const nacre_op nc_op_topk = {
    .name = "topk",
    .doc = "The k largest or smallest elements along an axis, in order, and where they were. Of equal ones the first "
           "are taken; NaN counts as the largest.",
    .onnx = "TopK",
    .inputs = "x",
    .outputs = "values indices",
    .attributes = {{"k", NACRE_ATTRIBUTE_INT, .required = true, .doc = "how many"},
                   {"axis", NACRE_ATTRIBUTE_INT, -1, .doc = "along which"},
                   {"largest", NACRE_ATTRIBUTE_BOOL, 1, .doc = "the largest; false: the smallest"}},
    .shape = topk_shape,
    .gradient = topk_gradient,
    .reference = topk_reference,
    .cases = TOPK_CASES,
};

nacre_tensor *nacre_sort(nacre_tensor *x, int axis, bool descending)
{
    return nc_apply1(&nc_op_sort, x, (int64_t[SORT_WORDS]){axis, descending});
}

nacre_tensor *nacre_argsort(nacre_tensor *x, int axis, bool descending)
{
    return nacre_tensor_sibling(nacre_sort(x, axis, descending), 1);
}

nacre_tensor *nacre_topk(nacre_tensor *x, int64_t k, int axis, bool largest)
{
    return nc_apply1(&nc_op_topk, x, (int64_t[TOPK_WORDS]){k, axis, largest});
}

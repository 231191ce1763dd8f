/* ops/op.h - what the operations share: building nodes, common shape rules, walking over elements.
 *
 * How to add an operation: write src/ops/NAME.c with one const descriptor `nc_op_NAME` (backend.h says what each field
 * means), add its line to ops.def, declare its builder in include/nacre/ops.h. Attribute words are read at the offsets
 * that follow from the schema; give them names in an enum beside it.
 */
#ifndef NC_OPS_OP_H
#define NC_OPS_OP_H

#include "core/registry.h"

#include <nacre/ops.h>

#include <string.h>

#define OP(name)      extern const nacre_op nc_op_##name;
#define CORE_OP(name) /* declared in core/registry.h */
#include "ops/ops.def"
#undef OP
#undef CORE_OP

/* ---- building ---- */

/* One to three operands; NULL operands give NULL (an optional operand goes through nacre_apply). */
nacre_tensor *nc_apply1(const nacre_op *op, nacre_tensor *x, const int64_t *attributes);
nacre_tensor *nc_apply2(const nacre_op *op, nacre_tensor *a, nacre_tensor *b, const int64_t *attributes);
nacre_tensor *nc_apply3(const nacre_op *op, nacre_tensor *a, nacre_tensor *b, nacre_tensor *c,
                        const int64_t *attributes);
/* INTS attribute: count and values into words[0 .. limit]. */
void nc_put_ints(int64_t *words, const int64_t *values, int count, int limit);
/* A scalar of the tensor's graph and dtype. */
nacre_tensor *nc_scalar_like(nacre_tensor *tensor, double value);
nacre_tensor *nc_zero_like(nacre_tensor *tensor);
nacre_tensor *nc_one_minus(nacre_tensor *x);
/* The sum along one axis, which stays with size 1. */
nacre_tensor *nc_sum_along(nacre_tensor *x, int64_t axis);
/* Sums a broadcast gradient back to `like`'s shape. */
nacre_tensor *nc_sum_to(nacre_tensor *gradient, nacre_tensor *like);

/* ---- shape rules ---- */

nacre_status nc_shape_same(nacre_shape_call *call);            /* output 0 like operand 0 */
nacre_status nc_shape_float(nacre_shape_call *call);           /* the same, which must be of a floating type */
nacre_status nc_shape_broadcast(nacre_shape_call *call);       /* all operands broadcast, one dtype (NumPy's rules) */
nacre_status nc_shape_float_broadcast(nacre_shape_call *call); /* the same, a floating one */
nacre_status nc_shape_compare(nacre_shape_call *call);         /* the same, any, result bool */
nacre_status nc_shape_leaf(nacre_shape_call *call);            /* from the attributes (first, dtype, shape) */
/* Operand 0 must be of a floating type. */
nacre_status nc_need_float(nacre_shape_call *call);
/* All operands that are there must be of operand 0's type. */
nacre_status nc_need_one_dtype(nacre_shape_call *call);
/* Operands 1 to `last` must be of operand 0's shape and type. */
nacre_status nc_need_same(nacre_shape_call *call, int last);
/* -1 counts from the end; fails if it is outside `rank`. Writes the axis back. */
nacre_status nc_normalise_axis(nacre_shape_call *call, int64_t *axis, int rank);
/* The same for an INTS attribute (count, axes), which must not name one twice. */
nacre_status nc_normalise_axes(nacre_shape_call *call, int64_t *list, int rank);
/* Widens `shape` by another one by the rules of broadcasting; false if they do not fit. */
bool nc_broadcast(nacre_shape *shape, const nacre_shape *other);

/* ---- reference kernels ---- */

/* Steps `index` through all positions of `shape` in row-major order; start with zeros; false at the end. */
static inline bool nc_next(const nacre_shape *shape, int64_t *index)
{
    for (int i = shape->rank - 1; i >= 0; i--) {
        if (++index[i] < shape->dims[i]) return true;
        index[i] = 0;
    }
    return false;
}

static inline int64_t nc_offset(const nacre_view *view, const int64_t *index)
{
    int64_t offset = 0;
    for (int i = 0; i < view->shape.rank; i++) offset += index[i] * view->strides[i];
    return offset;
}

/* The operand's element that meets position `index` of a result of `rank`: aligned at the right, size 1 repeats. */
static inline int64_t nc_broadcast_offset(const nacre_view *view, const int64_t *index, int rank)
{
    int64_t offset = 0;
    int shift = rank - view->shape.rank;
    for (int i = 0; i < view->shape.rank; i++)
        if (view->shape.dims[i] > 1) offset += index[shift + i] * view->strides[i];
    return offset;
}

static inline double nc_get(const nacre_view *view, int64_t offset)
{
    return nacre_dtype_load(view->dtype, view->data, offset);
}

static inline void nc_set(const nacre_view *view, int64_t offset, double value)
{
    nacre_dtype_store(view->dtype, view->data, offset, value);
}

/* The very bits within a dtype, else converted. */
static inline void nc_copy_element(const nacre_view *from, int64_t source, const nacre_view *to, int64_t target)
{
    size_t size = nacre_dtype_size(to->dtype);
    if (from->dtype != to->dtype)
        nc_set(to, target, nc_get(from, source));
    else
        memcpy((char *)to->data + target * (int64_t)size, (const char *)from->data + source * (int64_t)size, size);
}

static inline double nc_larger(double a, double b) /* NaN if one is */
{
    return a != a || a > b ? a : b;
}

static inline double nc_smaller(double a, double b)
{
    return a != a || a < b ? a : b;
}

double nc_gelu_value(double x, bool with_tanh);

static inline int64_t nc_count(const nacre_view *view)
{
    return nacre_shape_count(view->shape);
}

/* Operand `index`, NULL if it is absent. */
static inline const nacre_view *nc_optional(const nacre_call *call, int index)
{
    return index < call->input_count && call->inputs[index].data ? &call->inputs[index] : NULL;
}

/* output 0 = f(operands), element by element with broadcasting. */
void nc_reference_unary(const nacre_call *call, double (*f)(double x));
void nc_reference_binary(const nacre_call *call, double (*f)(double a, double b));
/* The same for one to three operands and a function of the attributes too. */
void nc_reference_elementwise(const nacre_call *call, double (*f)(const double *operands, const int64_t *attributes));
/* output 0 = operand 0, element by element, whatever the strides and dtypes. */
void nc_reference_copy(const nacre_call *call);
/* Element by element between views of one shape. */
void nc_copy_view(const nacre_view *from, const nacre_view *to);
void nc_fill_view(const nacre_view *view, double value);
/* The view's `count` positions start, start + step, ... along one axis. */
nacre_view nc_section(nacre_view view, int axis, int64_t start, int64_t step, int64_t count);
/* The part of a view that slice and slice_backward with these attributes mean. */
nacre_view nc_slice_section(nacre_view whole, const int64_t *attributes);
/* What positions [start, start + count) of the last axis are `part`, if that is made by a slice; else NULL. */
nacre_tensor *nc_slice_source(const nacre_tensor *part, int64_t start, int64_t count);
/* q, k and v of attention, or their gradients, as [..., T, D] with the attribute `heads`: heads that lie side by side
 * in one row become an axis; without a view of k, the first holds all three side by side. */
void nc_attention_parts(const nacre_view *views, int count, int64_t heads, nacre_view parts[3]);
/* The same of a row-wise operand alone: y and its gradient. */
nacre_view nc_attention_part(const nacre_view *view, int64_t heads);
/* The part of pad's result that is its operand, and what stands around it; false if that is not one value. */
nacre_view nc_pad_part(nacre_view whole, const nacre_shape *part, const int64_t *attributes);
bool nc_pad_value(const int64_t *attributes, double *value);

#endif

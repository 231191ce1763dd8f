/* ops/assign.c - writing to an entry of a model. */
#include "ops/op.h"

static nacre_status shape(nacre_shape_call *call)
{
    nacre_shape target = nacre_tensor_shape(call->inputs[0]), value = nacre_tensor_shape(call->inputs[1]);
    char a[NACRE_SHAPE_TEXT_SIZE], b[NACRE_SHAPE_TEXT_SIZE];
    if (!nacre_shape_equal(target, value))
        return nacre_shape_fail(call, NACRE_ERROR_SHAPE, "target is %s, value is %s", nacre_shape_text(target, a),
                                nacre_shape_text(value, b));
    if (nacre_tensor_dtype(call->inputs[0]) != nacre_tensor_dtype(call->inputs[1]))
        return nacre_shape_fail(call, NACRE_ERROR_DTYPE, "target and value have different element types");
    return nc_shape_same(call);
}

enum { WEIGHT, SCALE, WORDS };

static void assign_reference(const nacre_call *call)
{
    const nacre_view *value = &call->inputs[1], *target = &call->outputs[0];
    int64_t index[NACRE_MAX_RANK] = {0};
    if (nc_count(target) == 0) return;
    do nc_set(target, nc_offset(target, index), nc_get(value, nc_offset(value, index)));
    while (nc_next(&target->shape, index));
}

static void lerp_reference(const nacre_call *call)
{
    const nacre_view *value = &call->inputs[1], *target = &call->outputs[0];
    double weight = nacre_unword(call->attributes[WEIGHT]), scale = nacre_unword(call->attributes[SCALE]);
    int64_t index[NACRE_MAX_RANK] = {0};
    if (nc_count(target) == 0) return;
    do {
        int64_t at = nc_offset(target, index);
        double old = nc_get(target, at), new = scale *nc_get(value, nc_offset(value, index));
        nc_set(target, at, (1 - weight) * old + weight * new);
    } while (nc_next(&target->shape, index));
}

/* ---- part of an entry ---- */

enum { SLICE_AXIS, SLICE_WORDS };
enum { TARGET, VALUE, START };

static nacre_status slice_shape(nacre_shape_call *call)
{
    nacre_shape target = nacre_tensor_shape(call->inputs[TARGET]), value = nacre_tensor_shape(call->inputs[VALUE]);
    char a[NACRE_SHAPE_TEXT_SIZE], b[NACRE_SHAPE_TEXT_SIZE];
    nacre_status status = nc_normalise_axis(call, &call->attributes[SLICE_AXIS], target.rank);
    if (status) return status;
    int64_t axis = call->attributes[SLICE_AXIS];
    nacre_shape whole = value;
    if (value.rank == target.rank) whole.dims[axis] = target.dims[axis];
    if (!nacre_shape_equal(target, whole) || value.dims[axis] > target.dims[axis])
        return nacre_shape_fail(call, NACRE_ERROR_SHAPE, "value %s is no part of target %s along axis %lld",
                                nacre_shape_text(value, b), nacre_shape_text(target, a), (long long)axis);
    if (nacre_tensor_dtype(call->inputs[TARGET]) != nacre_tensor_dtype(call->inputs[VALUE]))
        return nacre_shape_fail(call, NACRE_ERROR_DTYPE, "target and value have different element types");
    if (nacre_tensor_count(call->inputs[START]) != 1 || nacre_tensor_dtype(call->inputs[START]) != NACRE_I64)
        return nacre_shape_fail(call, NACRE_ERROR_SHAPE, "start must be one number of type i64");
    return nc_shape_same(call);
}

static void slice_reference(const nacre_call *call)
{
    const nacre_view *value = &call->inputs[VALUE], *target = &call->outputs[0];
    int64_t axis = call->attributes[SLICE_AXIS], start = (int64_t)nc_get(&call->inputs[START], 0);
    int64_t index[NACRE_MAX_RANK] = {0};
    if (nc_count(value) == 0) return;
    do {
        int64_t at = index[axis] + start;
        if (at < 0 || at >= target->shape.dims[axis]) continue;
        nc_copy_element(value, nc_offset(value, index), target,
                        nc_offset(target, index) + start * target->strides[axis]);
    } while (nc_next(&value->shape, index));
}

/* Of the target only what is written. */
static void slice_cost(const nacre_node_info *node, nacre_cost *cost)
{
    const nacre_view *value = &node->inputs[VALUE];
    cost->bytes = 2.0 * (double)nacre_shape_count(value->shape) * (double)nacre_dtype_size(value->dtype);
}

static const char *const SLICE_CASES[] = {"target=2x5x3 value=2x2x3 start=scalar:i64@1..1 axis=1",
                                          "target=7 value=3 start=scalar:i64@4..4",
                                          "target=2x3x9x20 value=2x3x1x20 start=scalar:i64@8..8 axis=2",
                                          "target=2x5 value=2x3 start=scalar:i64@3..3 axis=-1",
                                          "target=4x3 value=2x3 start=scalar:i64@-1..-1",
                                          "target=4x3 value=0x3 start=scalar:i64@0..0",
                                          NULL};

/* ---- descriptors ---- */

const nacre_op nc_op_assign = {
    .name = "assign",
    .doc = "Writes `value` into the model entry `target`; nodes built later see it.",
    .inputs = "target value",
    .outputs = "target",
    .flags = NACRE_OP_STATEFUL | NACRE_OP_ALIAS | NACRE_OP_NONDIFFERENTIABLE,
    .shape = shape,
    .reference = assign_reference,
};

const nacre_op nc_op_assign_lerp = {
    .name = "assign_lerp",
    .doc = "target = (1 - weight) target + weight scale value: running statistics and averages of weights.",
    .inputs = "target value",
    .outputs = "target",
    .attributes = {{"weight", NACRE_ATTRIBUTE_FLOAT, 0.1}, {"scale", NACRE_ATTRIBUTE_FLOAT, 1}},
    .flags = NACRE_OP_STATEFUL | NACRE_OP_ALIAS | NACRE_OP_NONDIFFERENTIABLE,
    .shape = shape,
    .reference = lerp_reference,
};

const nacre_op nc_op_assign_slice = {
    .name = "assign_slice",
    .doc = "Writes `value` into the model entry `target` from position `start` on along an axis; what would lie "
           "outside is left out. Nodes built later see it.",
    .inputs = "target value start",
    .outputs = "target",
    .attributes = {{"axis", NACRE_ATTRIBUTE_INT, .doc = "along which value is shorter than target"}},
    .flags = NACRE_OP_STATEFUL | NACRE_OP_ALIAS | NACRE_OP_NONDIFFERENTIABLE,
    .shape = slice_shape,
    .reference = slice_reference,
    .cost = slice_cost,
    .cases = SLICE_CASES,
};

nacre_tensor *nacre_assign(nacre_tensor *target, nacre_tensor *value)
{
    return nc_apply2(&nc_op_assign, target, value, NULL);
}

nacre_tensor *nacre_assign_lerp(nacre_tensor *target, nacre_tensor *value, double weight, double scale)
{
    return nc_apply2(&nc_op_assign_lerp, target, value, (int64_t[WORDS]){nacre_word(weight), nacre_word(scale)});
}

nacre_tensor *nacre_assign_slice(nacre_tensor *target, nacre_tensor *value, nacre_tensor *start, int axis)
{
    return nc_apply3(&nc_op_assign_slice, target, value, start, (int64_t[SLICE_WORDS]){axis});
}

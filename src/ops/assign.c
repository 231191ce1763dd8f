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

nacre_tensor *nacre_assign(nacre_tensor *target, nacre_tensor *value)
{
    return nc_apply2(&nc_op_assign, target, value, NULL);
}

nacre_tensor *nacre_assign_lerp(nacre_tensor *target, nacre_tensor *value, double weight, double scale)
{
    return nc_apply2(&nc_op_assign_lerp, target, value, (int64_t[WORDS]){nacre_word(weight), nacre_word(scale)});
}

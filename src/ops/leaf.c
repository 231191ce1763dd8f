/* ops/leaf.c - values that come from outside the graph: fed inputs, constants, parameters. */
#include "ops/op.h"

/* Leaves never run: the planner binds their memory. */
static void nothing(const nacre_call *call)
{
    (void)call;
}

#define LEAF(symbol, text, onnx_name, first_name, first_type)                                                          \
    const nacre_op nc_op_##symbol = {                                                                                  \
        .name = #symbol,                                                                                               \
        .doc = text,                                                                                                   \
        .onnx = onnx_name,                                                                                             \
        .inputs = "",                                                                                                  \
        .outputs = "y",                                                                                                \
        .attributes = {{first_name, first_type},                                                                       \
                       {"dtype", NACRE_ATTRIBUTE_DTYPE},                                                               \
                       {"shape", NACRE_ATTRIBUTE_INTS, .limit = NACRE_MAX_RANK}},                                      \
        .flags = NACRE_OP_LEAF,                                                                                        \
        .shape = nc_shape_leaf,                                                                                        \
        .reference = nothing,                                                                                          \
    }

LEAF(input, "A value that is fed before each run; `index` counts the graph's inputs.", NULL, "index",
     NACRE_ATTRIBUTE_INT);
LEAF(constant, "A value that is part of the graph's structure.", "Constant", "reserved", NACRE_ATTRIBUTE_INT);
LEAF(parameter,
     "An entry of a model; `slot` holds the model's ordinal in the graph (high half), whether the entry has "
     "the role of state (bit 31) and the entry's slot.",
     NULL, "slot", NACRE_ATTRIBUTE_INT);
LEAF(full, "Every element equals `value`.", "ConstantOfShape", "value", NACRE_ATTRIBUTE_FLOAT);

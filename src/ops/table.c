/* ops/table.c - the list of all operations. */
#include "ops/op.h"

static const nacre_op *const OPS[] = {
#define OP(name)      &nc_op_##name,
#define CORE_OP(name) OP(name)
#include "ops/ops.def"
#undef OP
#undef CORE_OP
};

const nacre_op *const *nc_op_list(int *count)
{
    *count = (int)(sizeof OPS / sizeof *OPS);
    return OPS;
}

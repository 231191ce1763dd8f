/* core/registry.h - what the floor above hands to the core: the list of operations and the lists of kernels. */
#ifndef NC_CORE_REGISTRY_H
#define NC_CORE_REGISTRY_H

#include <nacre/backend.h>

/* Defined in src/ops/table.c, in the order of ops.def. */
const nacre_op *const *nc_op_list(int *count);
/* Defined in src/cpu/kernels.c: the fast kernels that may run at `instruction_set` (nacre_instruction_set) in the order
 * in which they are tried, for each operation the best allowed instruction set's first. */
const nacre_kernel *const *nc_cpu_kernels(int instruction_set, int *count);

/* Operations that the core itself knows. */
extern const nacre_op nc_op_input, nc_op_constant, nc_op_parameter, nc_op_full, nc_op_relayout, nc_op_fused;

/* The sum of two gradients that slices gave where their parts touch, without zeros to add; else NULL. src/ops/slice.c.
 */
nacre_tensor *nc_join_slices(nacre_tensor *a, nacre_tensor *b);

/* What an operation's schema says, worked out once. */
typedef struct nc_op_traits {
    const nacre_op *op;
    int required, named, outputs; /* operands up to the last that must be there, all named ones, outputs */
    uint32_t optional;            /* bit i: operand i may be absent */
    bool variadic;                /* the last named operand repeats */
    int words;
    int offsets[NACRE_MAX_ATTRIBUTES];
    int64_t fallback[NACRE_MAX_ATTRIBUTE_WORDS];
} nc_op_traits;
const nc_op_traits *nc_traits(const nacre_op *op);

#endif

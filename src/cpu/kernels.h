/* cpu/kernels.h - every fast kernel of this processor. */
#ifndef NC_CPU_KERNELS_H
#define NC_CPU_KERNELS_H

#include <nacre/backend.h>

/* The kernels that may run at `instruction_set` (nacre_instruction_set), in the order in which they are tried: for
 * each operation the best allowed instruction set's first. */
const nacre_kernel *const *nc_cpu_kernels(int instruction_set, int *count);

#endif

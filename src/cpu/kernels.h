/* cpu/kernels.h - every fast kernel of this processor. */
#ifndef NC_CPU_KERNELS_H
#define NC_CPU_KERNELS_H

#include "core/registry.h" /* nc_cpu_kernels */

#endif

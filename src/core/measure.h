/* core/measure.h - kernels chosen by timing those that can, and the file that remembers the outcome. */
#ifndef NC_CORE_MEASURE_H
#define NC_CORE_MEASURE_H

#include "core/plan.h"

typedef struct nc_measurements nc_measurements;

/* `folder` as in nacre_context_options. NULL: out of memory. */
nc_measurements *nc_measurements_create(nacre_context *context, const char *folder);
void nc_measurements_destroy(nc_measurements *measurements);

/* The fastest kernel for a step whose operation and operands are known, as remembered or timed now, and the times as
 * text in `arena`: "winograd_avx512 412.0 us, direct_avx512 890.1 us". NULL if there is nothing to choose from, too
 * little memory or time to measure in, or a failure: then the heuristic decides. */
const nacre_kernel *nc_measured_kernel(nacre_context *context, const nc_step *step, const nacre_node_info *info,
                                       nc_arena *arena, const char **times);
/* Writes what is new to the file. That it cannot be written is worth a log line only. */
void nc_measurements_save(nacre_context *context);

#endif

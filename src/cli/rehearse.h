/* cli/rehearse.h - what to know before a long run. */
#ifndef NACRE_CLI_REHEARSE_H
#define NACRE_CLI_REHEARSE_H

#include "cli.h"

/* Layers, memory, time and transfers of a run, of which nothing stays. */
nc_exit nc_dry_run(nc_call *call, nacre_experiment *experiment);
/* Whether the model can learn `samples` samples by heart; NC_EXIT_FAILED if it cannot. */
nc_exit nc_overfit(nc_call *call, nacre_experiment *experiment, int64_t samples);

#endif

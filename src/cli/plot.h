/* cli/plot.h - what the command plot is made of. */
#ifndef NACRE_CLI_PLOT_H
#define NACRE_CLI_PLOT_H

#include "cli.h"

/* Draws the curves of the runs in the arguments (plot_runs.c). */
nc_exit nc_plot_runs(nc_call *call);

#endif

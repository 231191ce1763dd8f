/* cli/data_show.h - samples as one picture. */
#ifndef NACRE_CLI_DATA_SHOW_H
#define NACRE_CLI_DATA_SHOW_H

#include "cli.h"

/* A sheet of the set's pictures, or, for a recipe, of pictures before and after its transforms. */
nc_exit nc_data_show(nc_call *call, const char *name);

#endif

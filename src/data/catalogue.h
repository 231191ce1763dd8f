/* data/catalogue.h - how the sets of the catalogue are opened. */
#ifndef NC_DATA_CATALOGUE_H
#define NC_DATA_CATALOGUE_H

#include "data/album.h"

typedef enum nc_guide_kind { NC_GUIDE_IDX, NC_GUIDE_ALBUM, NC_GUIDE_TABLE } nc_guide_kind;

/* What it takes to open one dataset of the catalogue. */
typedef struct nc_guide {
    const char *name; /* "mnist", "tabular_classics/iris": the set, and what in it */
    nc_guide_kind kind;
    const char *train, *test[2];    /* under the data folder; a table's may be members of archives */
    const char *const *class_names; /* NULL: as found */
    nc_album_guide album;           /* pictures */
    nacre_table_options table;      /* tables */
    const char *target;
    bool regression;
    nc_rule rule; /* on the numbers of rows, from 0 */
} nc_guide;

const nc_guide *nc_guide_at(int index); /* NULL past the end */
const nc_guide *nc_guide_find(const char *name);
nacre_dataset *nc_guide_open(nacre_context *context, const nc_guide *guide, const char *folder,
                             const nacre_dataset_options *options);

#endif

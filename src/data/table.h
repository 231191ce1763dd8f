/* data/table.h - datasets of a table's rows. */
#ifndef NC_DATA_TABLE_H
#define NC_DATA_TABLE_H

#include <nacre/data.h>

/* nacre_dataset_from_table with the official part of each row; NULL: none. */
nacre_dataset *nc_dataset_from_table(nacre_context *context, nacre_table *table, const nacre_dataset_options *options,
                                     const uint8_t *parts);

/* A file's name says that it is a table; also "archive.tar.gz:member". */
bool nc_is_table_name(const char *path);

#endif

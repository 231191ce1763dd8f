/* zoo/zoo.h - the table that the build makes from the .nacre files. */
#ifndef NC_ZOO_ZOO_H
#define NC_ZOO_ZOO_H

typedef struct nc_zoo_entry {
    const char *name, *text;
} nc_zoo_entry;

extern const nc_zoo_entry nc_zoo[]; /* sorted by name, ended by NULL */

#endif

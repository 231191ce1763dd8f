/* zoo/zoo.c - finds architectures by name. The texts stand in the .nacre files beside this one. */
#include "zoo/zoo.h"

#include <nacre/zoo.h>

#include <string.h>

const char *nacre_zoo_text(const char *name)
{
    for (int i = 0; name && nc_zoo[i].name; i++)
        if (!strcmp(nc_zoo[i].name, name)) return nc_zoo[i].text;
    return NULL;
}

const char *nacre_zoo_name(int index)
{
    for (int i = 0; i <= index && nc_zoo[i].name; i++)
        if (i == index) return nc_zoo[i].name;
    return NULL;
}

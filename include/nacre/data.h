/* data.h */
#ifndef NACRE_DATA_H
#define NACRE_DATA_H

#include <nacre/graph.h>

#endif

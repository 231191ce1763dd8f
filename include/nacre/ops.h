/* ops.h */
#ifndef NACRE_OPS_H
#define NACRE_OPS_H

#include <nacre/graph.h>

#endif

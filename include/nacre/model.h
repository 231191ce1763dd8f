/* model.h */
#ifndef NACRE_MODEL_H
#define NACRE_MODEL_H

#include <nacre/graph.h>

#endif

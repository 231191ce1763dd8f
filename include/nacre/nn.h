/* nn.h */
#ifndef NACRE_NN_H
#define NACRE_NN_H

#include <nacre/graph.h>

#endif

/* nn.h */
#include <nacre/nacre.h> /* before the guard: it includes this header */
#ifndef NACRE_NN_H
#define NACRE_NN_H

#endif

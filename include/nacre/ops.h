/* ops.h */
#include <nacre/nacre.h> /* before the guard: it includes this header */
#ifndef NACRE_OPS_H
#define NACRE_OPS_H

#endif

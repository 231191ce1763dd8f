/* model.h */
#include <nacre/nacre.h> /* before the guard: it includes this header */
#ifndef NACRE_MODEL_H
#define NACRE_MODEL_H

#endif

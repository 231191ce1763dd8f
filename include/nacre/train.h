/* train.h */
#include <nacre/nacre.h> /* before the guard: it includes this header */
#ifndef NACRE_TRAIN_H
#define NACRE_TRAIN_H

#endif

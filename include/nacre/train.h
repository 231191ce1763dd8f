/* train.h */
#ifndef NACRE_TRAIN_H
#define NACRE_TRAIN_H

#include <nacre/graph.h>

#endif

/* core/model.h - the one thing a running plan needs of a model. */
#ifndef NC_CORE_MODEL_H
#define NC_CORE_MODEL_H

#include <nacre/model.h>

void *nc_model_data(const nacre_model *model, int slot);

#endif

/* core/model.h - the one thing a running plan needs of a model. */
#ifndef NC_CORE_MODEL_H
#define NC_CORE_MODEL_H

#include <nacre/model.h>

void *nc_model_data(const nacre_model *model, int slot);
/* A number that no other state of any model has had: it changes whenever the entries may have been written. */
uint64_t nc_model_version(const nacre_model *model);
void nc_model_touch(nacre_model *model);

#endif

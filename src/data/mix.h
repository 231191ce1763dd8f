/* data/mix.h - mixup and cutmix: batches mixed with themselves. */
#ifndef NC_DATA_MIX_H
#define NC_DATA_MIX_H

#include <nacre/data.h>

/* Whether a loader with these options mixes. */
bool nc_mixes(const nacre_loader_options *options);
/* What mixing needs of the data: labels of known classes, inputs that are f32, pictures for cutmix. */
nacre_status nc_mix_check(nacre_context *context, const nacre_dataset *dataset, const nacre_field *fields,
                          int field_count, const nacre_loader_options *options);
/* Mixes the inputs of a batch in place and writes shares [count, classes]. `data` are the fields' own blocks, `sample`
 * is room for one sample of any of them. */
void nc_mix(const nacre_loader_options *options, int64_t epoch, nacre_batch *batch, void *const *data, float *shares,
            void *sample);

#endif

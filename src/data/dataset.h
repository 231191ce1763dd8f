/* data/dataset.h - what the files of this floor share about datasets. */
#ifndef NC_DATA_DATASET_H
#define NC_DATA_DATASET_H

#include <nacre/data.h>

/* Puts [0, count) into an order that depends on (seed, stream) alone. */
void nc_shuffle(int64_t *order, int64_t count, uint64_t seed, int64_t stream);

/* Labels must be in [0, classes); classes 0: as many as the largest asks for. Returns the number of classes, -1 after
 * a failure that names the sample. */
int nc_check_labels(nacre_context *context, const char *name, const int64_t *labels, int64_t count, int classes);

/* The number of names in a list ended by NULL; 0 for NULL. */
int nc_count_names(const char *const *names);

/* One more owner, who calls nacre_dataset_destroy when done. */
nacre_dataset *nc_dataset_retain(nacre_dataset *dataset);

/* Re-marks whole groups of the samples marked NACRE_TRAIN as `part`, in random order until the share is reached. */
nacre_status nc_draw_groups(const nacre_dataset *dataset, uint8_t *marks, nacre_part part, double share, uint64_t seed);

/* What one kind of source can be opened from. */
nacre_dataset *nc_open_idx(nacre_context *context, const char *folder, const nacre_dataset_options *options);
nacre_dataset *nc_open_npz(nacre_context *context, const char *path, const nacre_dataset_options *options);
bool nc_is_idx_folder(const char *path);

#endif

/* train/snapshot.c - copies of what a model holds, to go back to. */
#include "train/train.h"

#include <string.h>

/* The copy of a slab, as large as the slab is now; NULL for an empty slab. */
static bool take_slab(nc_snapshot *snapshot, nacre_model *model, nacre_entry_role role, nacre_dtype dtype)
{
    nc_slab_copy *copy = &snapshot->copies[role][dtype];
    size_t bytes;
    const void *slab = nacre_model_slab(model, role, dtype, &bytes);
    if (!slab) return true;
    if (bytes > copy->bytes) {
        void *data = nacre_resize(nacre_model_context(model), copy->data, bytes);
        if (!data) return false;
        copy->data = data;
    }
    copy->bytes = bytes;
    memcpy(copy->data, slab, bytes);
    return true;
}

nacre_status nc_snapshot_take(nc_snapshot *snapshot, nacre_model *model, nacre_entry_role role)
{
    for (int dtype = 0; dtype < NACRE_DTYPE_COUNT; dtype++)
        if (!take_slab(snapshot, model, role, (nacre_dtype)dtype)) return NACRE_ERROR_MEMORY;
    return NACRE_OK;
}

void nc_snapshot_restore(const nc_snapshot *snapshot, nacre_model *model)
{
    for (int role = 0; role < NACRE_ENTRY_ROLES; role++)
        for (int dtype = 0; dtype < NACRE_DTYPE_COUNT; dtype++) {
            const nc_slab_copy *copy = &snapshot->copies[role][dtype];
            if (copy->bytes)
                memcpy(nacre_model_slab(model, (nacre_entry_role)role, (nacre_dtype)dtype, NULL), copy->data,
                       copy->bytes);
        }
}

void nc_snapshot_release(nc_snapshot *snapshot, nacre_context *context)
{
    for (int role = 0; role < NACRE_ENTRY_ROLES; role++)
        for (int dtype = 0; dtype < NACRE_DTYPE_COUNT; dtype++)
            nacre_release(context, snapshot->copies[role][dtype].data);
    memset(snapshot, 0, sizeof *snapshot);
}

/* train/average.c - averages of weights: when they move, and taking their place for a while. */
#include "train/train.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

double nacre_averaging_mix(const nacre_averaging *averaging, int64_t step, int64_t total, int64_t steps_per_epoch)
{
    if (averaging->kind == NACRE_AVERAGING_EMA) {
        double decay = averaging->decay != 0 ? averaging->decay : 0.9998;
        return 1 - fmin(decay, (1 + (double)step) / (10 + (double)step));
    }
    if (averaging->kind == NACRE_AVERAGING_NONE) return 0;
    double share = averaging->start != 0 ? averaging->start : 0.75;
    int64_t every = averaging->every > 0 ? averaging->every : steps_per_epoch > 0 ? steps_per_epoch : 1;
    int64_t start = (int64_t)ceil(share * (double)total), first = (start / every + 1) * every;
    if (step < first || step % every) return 0;
    return 1 / (double)((step - first) / every + 1);
}

/* Whether there is an average already after `step` steps. */
static bool has_begun(const nacre_averaging *averaging, int64_t step, int64_t total, int64_t steps_per_epoch)
{
    if (averaging->kind == NACRE_AVERAGING_EMA) return step > 0;
    for (; step > 0; step--) /* the last term is at most an interval away */
        if (nacre_averaging_mix(averaging, step, total, steps_per_epoch) > 0) return true;
    return false;
}

nacre_status nc_average_enter(nc_snapshot *live, nacre_model *model, const nacre_averaging *averaging, int64_t step,
                              int64_t total, int64_t steps_per_epoch, bool *entered)
{
    *entered = has_begun(averaging, step, total, steps_per_epoch);
    if (!*entered) return NACRE_OK;
    nacre_status status = nc_snapshot_take(live, model, NACRE_ENTRY_PARAMETER);
    if (status == NACRE_OK) status = nc_snapshot_take(live, model, NACRE_ENTRY_BUFFER);
    nacre_entry entry, average;
    for (int slot = 0; status == NACRE_OK && nacre_model_entry(model, slot, &entry); slot++) {
        char name[NACRE_PATH_SIZE + 16];
        if (entry.role != NACRE_ENTRY_PARAMETER) continue;
        snprintf(name, sizeof name, "average.%s", entry.path);
        if (nacre_model_entry(model, nacre_model_find(model, name), &average))
            memcpy(nacre_model_write(model, slot), average.data, entry.bytes);
    }
    return status;
}

/* train/scores.c - loss and metrics, added up batch by batch. */
#include "train/train.h"

#include <string.h>

static bool reserve(nc_scores *scores, nacre_context *context, int64_t values)
{
    if (values <= scores->capacity) return true;
    float *outputs = nacre_resize(context, scores->outputs, sizeof *outputs * (size_t)values);
    if (!outputs) return false;
    scores->outputs = outputs;
    scores->capacity = values;
    return true;
}

nacre_status nc_scores_add(nc_scores *scores, nacre_context *context, const nc_step_graph *step, const nc_roles *roles,
                           const char *const *metric_names, const nacre_batch *batch, double loss)
{
    int64_t values = nacre_tensor_count(step->outputs);
    nacre_running_mean_add(&scores->loss, loss, (double)batch->count);
    if (!reserve(scores, context, values) || nacre_read(step->outputs, scores->outputs, sizeof(float) * (size_t)values))
        return nacre_check(context);
    if (!scores->metrics) {
        const char *const *names = nc_default_metrics(roles, metric_names);
        scores->metrics = nacre_metrics_create(context, names, nc_list_length(names), values / batch->count);
        if (!scores->metrics) return nacre_check(context);
    }
    const nacre_batch_field *target = &batch->fields[roles->target];
    return nacre_metrics_add(scores->metrics, scores->outputs, target->dtype, target->data, batch->count);
}

void nc_scores_clear(nc_scores *scores)
{
    scores->loss = (nacre_running_mean){0};
    nacre_metrics_clear(scores->metrics);
}

void nc_scores_release(nc_scores *scores, nacre_context *context)
{
    nacre_metrics_destroy(scores->metrics);
    nacre_release(context, scores->outputs);
    memset(scores, 0, sizeof *scores);
}

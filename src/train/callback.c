/* train/callback.c - what callbacks have in common. */
#include "train/train.h"

#include <stdio.h>

void nacre_callback_destroy(nacre_callback *callback)
{
    if (!callback) return;
    if (callback->destroy) callback->destroy(callback->user);
    *callback = (nacre_callback){0};
}

static void add_field(nc_event_fields *fields, const char *prefix, const char *name, double value)
{
    if (fields->count == NC_MOST_FIELDS) return;
    snprintf(fields->names[fields->count], sizeof *fields->names, "%s%s", prefix, name);
    fields->values[fields->count++] = value;
}

static void add_metrics(nc_event_fields *fields, const char *prefix, double loss, nacre_metrics *metrics)
{
    add_field(fields, prefix, "loss", loss);
    for (int i = 0; i < nacre_metrics_count(metrics); i++)
        add_field(fields, prefix, nacre_metrics_name(metrics, i), nacre_metrics_value(metrics, i));
}

void nc_describe_epoch(const nacre_fit_event *event, nc_event_fields *fields)
{
    fields->count = 0;
    add_field(fields, "", "epoch", (double)event->epoch);
    add_field(fields, "", "learning_rate", event->learning_rate);
    add_field(fields, "", "seconds", event->epoch_seconds);
    add_metrics(fields, "train.", event->train_loss, event->train);
    if (event->validation) add_metrics(fields, "validation.", event->validation->loss, event->validation->metrics);
}

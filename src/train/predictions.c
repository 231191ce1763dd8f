/* train/predictions.c - which predictions a report shows. */
#include "train/experiment.h"

#include <math.h>
#include <string.h>

/* The softmax of the largest output. */
static double probability_of(const float *outputs, int64_t columns, int64_t predicted)
{
    double sum = 0;
    for (int64_t i = 0; i < columns; i++) sum += exp((double)outputs[i] - (double)outputs[predicted]);
    return 1 / sum;
}

static void take_mistake(nc_predictions *predictions, nc_prediction mistake)
{
    int at = predictions->mistake_count;
    while (at > 0 && predictions->mistakes[at - 1].probability < mistake.probability) at--;
    if (at == NC_SHOWN_MISTAKES) return;
    int moved = predictions->mistake_count - at;
    if (predictions->mistake_count == NC_SHOWN_MISTAKES)
        moved--;
    else
        predictions->mistake_count++;
    memmove(&predictions->mistakes[at + 1], &predictions->mistakes[at], sizeof mistake * (size_t)moved);
    predictions->mistakes[at] = mistake;
}

nacre_status nc_predictions_visit(void *user, const nacre_batch *batch, const float *outputs, int64_t columns)
{
    nc_predictions *predictions = user;
    const nacre_batch_field *label = NULL;
    for (int i = 0; i < batch->field_count; i++)
        if (batch->fields[i].role == NACRE_ROLE_LABEL && batch->fields[i].dtype == NACRE_I64) label = &batch->fields[i];
    if (!label || columns < 2) return NACRE_OK;
    for (int64_t i = 0; i < batch->count; i++) {
        const float *row = outputs + i * columns;
        nc_prediction made = {.index = batch->indices[i],
                              .truth = ((const int64_t *)label->data)[i],
                              .predicted = nacre_best_class(row, columns)};
        if (made.predicted < 0) continue;
        made.probability = probability_of(row, columns, made.predicted);
        if (predictions->sample_count < NC_SHOWN_SAMPLES) predictions->samples[predictions->sample_count++] = made;
        if (made.predicted != made.truth) take_mistake(predictions, made);
    }
    return NACRE_OK;
}

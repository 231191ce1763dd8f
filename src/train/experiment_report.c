/* train/experiment_report.c - report.html and curves.png of an experiment. */
#include "train/experiment.h"

#include <nacre/image.h>
#include <nacre/report.h>

#include <stdio.h>
#include <string.h>

enum { MAX_FACTS = 12, MAX_CURVES = 6 };

/* What the report is made of while it is put together. */
typedef struct contents {
    nacre_context *context;
    const nacre_experiment *experiment;
    const nacre_experiment_result *result;
    nacre_pool pool;
    nacre_run_history *history;
    nacre_fact facts[MAX_FACTS];
    int fact_count;
    nacre_series series[MAX_CURVES][2];
    nacre_figure figures[MAX_CURVES];
    int figure_count;
    nacre_report_sample samples[NC_SHOWN_SAMPLES], mistakes[NC_SHOWN_MISTAKES];
    nacre_report_layer *layers;
    int layer_count;
} contents;

static const char *keep(contents *all, const char *text)
{
    const char *copy = nacre_pool_copy(&all->pool, text, strlen(text));
    return copy ? copy : "";
}

static void add_fact(contents *all, const char *name, const char *value)
{
    if (all->fact_count < MAX_FACTS) all->facts[all->fact_count++] = (nacre_fact){keep(all, name), keep(all, value)};
}

static void add_facts(contents *all)
{
    char text[NACRE_NUMBER_SIZE], name[80];
    const nacre_experiment_result *result = all->result;
    for (int i = 0; i < nacre_metrics_count(result->test.metrics); i++) {
        snprintf(name, sizeof name, "test %s", nacre_metrics_name(result->test.metrics, i));
        add_fact(all, name, nacre_text_value(text, nacre_metrics_value(result->test.metrics, i)));
    }
    if (result->test.samples > 0) add_fact(all, "test loss", nacre_text_value(text, result->test.loss));
    add_fact(all, "parameters", nacre_text_count(text, all->experiment->parameters));
    add_fact(all, "training time", nacre_text_duration(text, result->fit.seconds));
    snprintf(text, sizeof text, "%lld of %lld", (long long)result->fit.best_epoch, (long long)result->fit.epochs);
    add_fact(all, "best epoch", text);
    snprintf(text, sizeof text, "%lld", (long long)all->experiment->recipe->training.seed);
    add_fact(all, "seed", text);
}

/* ---- curves ---- */

static void add_curve(contents *all, const char *measure)
{
    char train[96], validation[96], label[80];
    if (all->figure_count == MAX_CURVES) return;
    snprintf(train, sizeof train, "train.%s", measure);
    snprintf(validation, sizeof validation, "validation.%s", measure);
    snprintf(label, sizeof label, "%c%s", measure[0] - 'a' + 'A', measure + 1);
    nacre_series *series = all->series[all->figure_count];
    nacre_series found[2] = {nacre_run_history_series(all->history, "epoch", "epoch", train),
                             nacre_run_history_series(all->history, "epoch", "epoch", validation)};
    int count = 0;
    for (int i = 0; i < 2; i++) {
        if (found[i].count == 0) continue;
        series[count] = found[i];
        series[count++].name = i == 0 ? "training" : "validation";
    }
    if (count == 0) return;
    all->figures[all->figure_count++] = (nacre_figure){.title = keep(all, label),
                                                       .x = {.label = "epoch", .whole = true},
                                                       .series = series,
                                                       .series_count = count,
                                                       .mark_name = all->experiment->validation ? "best" : NULL,
                                                       .mark = (double)all->result->fit.best_epoch};
}

static void add_curves(contents *all)
{
    char *path = nacre_path_join(all->context, all->experiment->folder, "log.jsonl");
    all->history = path ? nacre_run_history_read(all->context, path) : NULL;
    nacre_release(all->context, path);
    if (!all->history) return;
    add_curve(all, "loss");
    for (int i = 0; i < nacre_metrics_count(all->result->test.metrics); i++)
        add_curve(all, nacre_metrics_name(all->result->test.metrics, i));
}

/* ---- pictures ---- */

/* The sample as the dataset has it, before any transform; without picture where it is none. */
static void draw_sample(contents *all, nacre_dataset *dataset, const nc_prediction *made, nacre_report_sample *shown)
{
    nacre_sample sample = {.context = all->context};
    char origin[256];
    *shown =
        (nacre_report_sample){.truth = made->truth, .predicted = made->predicted, .probability = made->probability};
    if (nacre_dataset_get(dataset, made->index, &sample) == NACRE_OK) {
        const nacre_value *value = &sample.values[0];
        size_t size = (size_t)nacre_shape_count(value->shape);
        bool picture = value->dtype == NACRE_U8 && value->shape.rank == 3;
        uint8_t *pixels = picture ? nacre_pool_allocate(&all->pool, size) : NULL;
        if (pixels)
            shown->image = (nacre_image){.channels = (int)value->shape.dims[0],
                                         .height = (int)value->shape.dims[1],
                                         .width = (int)value->shape.dims[2],
                                         .pixels = memcpy(pixels, value->data, size)};
        shown->name = keep(all, nacre_dataset_origin(dataset, made->index, origin, sizeof origin));
    }
    nacre_sample_release(&sample);
}

/* ---- layers ---- */

static void add_layers(contents *all)
{
    nacre_model *model = nacre_network_model(all->experiment->network);
    nacre_entry entry;
    char shape[NACRE_SHAPE_TEXT_SIZE];
    size_t room = sizeof *all->layers * (size_t)(nacre_model_count(model) + 1);
    all->layers = nacre_pool_allocate(&all->pool, room);
    for (int slot = 0; all->layers && nacre_model_entry(model, slot, &entry); slot++)
        if (entry.role == NACRE_ENTRY_PARAMETER)
            all->layers[all->layer_count++] =
                (nacre_report_layer){.path = entry.path,
                                     .kind = nacre_dtype_name(entry.dtype),
                                     .output = keep(all, nacre_shape_text(entry.shape, shape)),
                                     .parameters = nacre_shape_count(entry.shape)};
}

/* ---- all of it ---- */

static void write_files(contents *all, const nc_predictions *predictions)
{
    const nacre_experiment *experiment = all->experiment;
    const nacre_network *network = experiment->network;
    char title[160], subtitle[160];
    snprintf(title, sizeof title, "%s", experiment->recipe->name ? experiment->recipe->name : "A training run");
    snprintf(subtitle, sizeof subtitle, "%s on %s", nacre_text_name(network->text),
             nacre_dataset_name(experiment->train));
    nacre_report report = {.title = title,
                           .subtitle = subtitle,
                           .summary = all->facts,
                           .summary_count = all->fact_count,
                           .figures = all->figures,
                           .figure_count = all->figure_count,
                           .confusion = nacre_metrics_confusion(all->result->test.metrics),
                           .class_names = network->classes,
                           .class_count = network->class_count,
                           .samples = all->samples,
                           .sample_count = predictions->sample_count,
                           .mistakes = all->mistakes,
                           .mistake_count = predictions->mistake_count,
                           .layers = all->layers,
                           .layer_count = all->layer_count,
                           .settings = nacre_network_metadata(network, "nacre.recipe")};
    nacre_report_write(all->context, &report, all->result->report_path);
    for (int i = 0; i < all->figure_count && nacre_check(all->context) == NACRE_OK; i++) {
        char name[96];
        snprintf(name, sizeof name, "%s.png", all->figures[i].title);
        if (name[0] >= 'A' && name[0] <= 'Z') name[0] = (char)(name[0] - 'A' + 'a');
        char *path = nacre_path_join(all->context, experiment->folder, name);
        if (path) nacre_figure_write(all->context, &all->figures[i], path);
        nacre_release(all->context, path);
    }
}

nacre_status nc_experiment_report(nacre_context *context, nacre_experiment *experiment,
                                  const nc_predictions *predictions, nacre_experiment_result *result)
{
    contents *all = nacre_allocate(context, sizeof *all);
    if (!all) return NACRE_ERROR_MEMORY;
    *all = (contents){.context = context, .experiment = experiment, .result = result, .pool = {.context = context}};
    add_facts(all);
    add_curves(all);
    add_layers(all);
    for (int i = 0; i < predictions->sample_count; i++)
        draw_sample(all, experiment->test, &predictions->samples[i], &all->samples[i]);
    for (int i = 0; i < predictions->mistake_count; i++)
        draw_sample(all, experiment->test, &predictions->mistakes[i], &all->mistakes[i]);
    result->report_path = nacre_path_join(context, experiment->folder, "report.html");
    if (result->report_path && nacre_check(context) == NACRE_OK) write_files(all, predictions);
    nacre_run_history_destroy(all->history);
    nacre_pool_destroy(&all->pool);
    nacre_release(context, all);
    return nacre_check(context);
}

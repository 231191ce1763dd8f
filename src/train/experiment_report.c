/* train/experiment_report.c - report.html and the curves of an experiment. */
#include "train/experiment.h"

#include <stdio.h>
#include <string.h>

enum { MAX_FACTS = 12 };

/* What the report is made of while it is put together. */
typedef struct contents {
    nacre_context *context;
    const nacre_experiment *experiment;
    const nacre_experiment_result *result;
    nacre_pool pool; /* texts and tables */
    nacre_fact facts[MAX_FACTS];
    int fact_count;
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
    if (result->test.samples > 0) {
        add_fact(all, "test loss", nacre_text_value(text, result->test.loss));
        add_fact(all, "test samples", nacre_text_count(text, result->test.samples));
    }
    add_fact(all, "parameters", nacre_text_count(text, all->experiment->parameters));
    add_fact(all, "training time", nacre_text_duration(text, result->fit.seconds));
    snprintf(text, sizeof text, "%lld of %lld", (long long)result->fit.best_epoch, (long long)result->fit.epochs);
    add_fact(all, "best epoch", text);
    snprintf(text, sizeof text, "%lld", (long long)all->experiment->recipe->training.seed);
    add_fact(all, "seed", text);
}

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

#ifdef NACRE_HAVE_CAIRO /* without it there is the report only */
/* loss.png, accuracy.png, ... */
static void write_curves(contents *all, const nacre_figure *figures, int count)
{
    for (int i = 0; i < count && nacre_check(all->context) == NACRE_OK; i++) {
        char name[96];
        snprintf(name, sizeof name, "%s.png", figures[i].title);
        for (char *at = name; *at; at++) {
            if (*at >= 'A' && *at <= 'Z') *at = (char)(*at - 'A' + 'a');
            if (*at == ' ' || *at == '/') *at = '-';
        }
        char *path = nacre_path_join(all->context, all->experiment->folder, name);
        if (path) nacre_figure_write(all->context, &figures[i], path);
        nacre_release(all->context, path);
    }
}
#endif

static void write_files(contents *all, nacre_gallery *gallery)
{
    const nacre_experiment *experiment = all->experiment;
    const nacre_network *network = experiment->network;
    char subtitle[256];
    snprintf(subtitle, sizeof subtitle, "%s on %s", nacre_text_name(network->text),
             nacre_dataset_name(experiment->train));
    char *log = nacre_path_join(all->context, experiment->folder, "log.jsonl");
    nacre_run_history *history = log ? nacre_run_history_read(all->context, log) : NULL;
    nacre_report report = {.title = experiment->recipe->name ? experiment->recipe->name : "A training run",
                           .subtitle = subtitle,
                           .summary = all->facts,
                           .summary_count = all->fact_count,
                           .confusion = nacre_metrics_confusion(all->result->test.metrics),
                           .class_names = network->classes,
                           .class_count = network->class_count,
                           .layers = all->layers,
                           .layer_count = all->layer_count,
                           .settings = nacre_network_metadata(network, "nacre.recipe")};
    if (history) {
        int64_t best = experiment->validation ? all->result->fit.best_epoch : 0;
        report.figures = nacre_run_history_curves(history, best, &report.figure_count);
        if (!gallery || nacre_gallery_show(gallery, &report) == NACRE_OK)
            nacre_report_write(all->context, &report, all->result->report_path);
#ifdef NACRE_HAVE_CAIRO
        write_curves(all, report.figures, report.figure_count);
#endif
    }
    nacre_run_history_destroy(history);
    nacre_release(all->context, log);
}

nacre_status nc_experiment_report(nacre_context *context, nacre_experiment *experiment, nacre_gallery *gallery,
                                  nacre_experiment_result *result)
{
    contents all = {.context = context, .experiment = experiment, .result = result, .pool = {.context = context}};
    add_facts(&all);
    add_layers(&all);
    result->report_path = nacre_path_join(context, experiment->folder, "report.html");
    if (result->report_path && nacre_check(context) == NACRE_OK) write_files(&all, gallery);
    nacre_pool_destroy(&all.pool);
    return nacre_check(context);
}

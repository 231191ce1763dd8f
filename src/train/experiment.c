/* train/experiment.c - recipes carried out: from names in a file to datasets, a network and a trained model. */
#include "train/experiment.h"

#include <nacre/zoo.h>

#include <stdio.h>
#include <string.h>

/* ---- data ---- */

nacre_dataset *nc_experiment_data(nacre_context *context, const nacre_recipe *recipe, const char *folder)
{
    nacre_dataset_options options = {.folder = folder,
                                     .channels = (int)recipe->data.channels,
                                     .layout = recipe->data.layout,
                                     .labels = recipe->data.classes,
                                     .table = {.ignore = recipe->data.ignore, .category = recipe->data.category},
                                     .target = recipe->data.target,
                                     .group = recipe->data.group,
                                     .regression = recipe->data.regression,
                                     .keep_missing = recipe->data.keep_missing,
                                     .codes = recipe->data.codes,
                                     .count = recipe->data.count,
                                     .seed = (uint64_t)recipe->data.seed};
    return nacre_dataset_open(context, recipe->data.source, &options);
}

nacre_dataset *nc_experiment_part(nacre_context *context, nacre_dataset *all, const nacre_recipe *recipe,
                                  nacre_part part)
{
    nacre_split_options options = {.validation = recipe->data.validation,
                                   .test = recipe->data.test > 0 ? recipe->data.test : -1, /* here 0 means none */
                                   .seed = (uint64_t)recipe->data.seed,
                                   .ordered = recipe->data.ordered};
    double share = part == NACRE_VALIDATION ? options.validation : options.test;
    if (part != NACRE_TRAIN && share <= 0 && !nacre_dataset_has_part(all, part)) return NULL;
    nacre_dataset *dataset = nacre_dataset_split(all, part, &options);
    int64_t limit = recipe->data.limit;
    if (limit <= 0 || limit >= nacre_dataset_count(dataset)) return dataset;
    nacre_dataset *fewer = nacre_dataset_subset(dataset, limit, (uint64_t)recipe->data.seed);
    nacre_dataset_destroy(dataset);
    return nacre_check(context) ? NULL : fewer;
}

nacre_dataset *nacre_experiment_part(nacre_context *context, const nacre_recipe *recipe, const char *data_folder,
                                     nacre_part part)
{
    nacre_dataset *all = nc_experiment_data(context, recipe, data_folder);
    nacre_dataset *dataset = all ? nc_experiment_part(context, all, recipe, part) : NULL;
    if (!dataset)
        nacre_fail(context, NACRE_ERROR_NOT_FOUND, "%s has no %s part", recipe->data.source, nacre_part_name(part));
    nacre_dataset_destroy(all);
    return dataset;
}

nacre_dataset *nc_experiment_pool(nacre_context *context, nacre_dataset *all, const nacre_recipe *recipe)
{
    nacre_recipe whole = *recipe;
    whole.data.validation = 0;
    return nc_experiment_part(context, all, &whole, NACRE_TRAIN);
}

/* ---- model ---- */

nacre_text *nc_experiment_text(nacre_context *context, const nacre_recipe *recipe)
{
    if (recipe->model.file) return nacre_text_load(context, recipe->model.file);
    if (recipe->model.text)
        return nacre_text_parse(context, recipe->model.text, strlen(recipe->model.text), "model.text");
    const char *text = nacre_zoo_text(recipe->model.zoo);
    if (text) return nacre_text_parse(context, text, strlen(text), recipe->model.zoo);
    const char *names[64] = {0};
    for (int i = 0; i < 63 && (names[i] = nacre_zoo_name(i)); i++) {
    }
    const char *near = nacre_nearest(recipe->model.zoo, names);
    nacre_recipe_fail(recipe, "model.zoo", NACRE_ERROR_NOT_FOUND, "the zoo has no \"%s\"%s%s%s", recipe->model.zoo,
                      near ? "; did you mean \"" : "", near ? near : "", near ? "\"?" : "");
    return NULL;
}

/* Builds once, forward only, with a batch of one: parameters come to be, and mistakes show. */
static bool try_model(nacre_context *context, nacre_experiment *experiment)
{
    nacre_network *network = experiment->network;
    const nacre_field *field = nacre_network_input(network);
    nacre_shape shape = {.rank = field->shape.rank + 1, .dims = {1}};
    for (int i = 0; i < field->shape.rank; i++) shape.dims[i + 1] = field->shape.dims[i];
    nacre_graph *graph = nacre_graph_create(context);
    nacre_dtype dtype = field->role == NACRE_ROLE_IMAGE ? NACRE_F32 : field->dtype;
    nacre_tensor *input = nacre_input(graph, field->name, dtype, shape);
    nacre_model_set_seed(network->model, (uint64_t)experiment->recipe->training.seed);
    nacre_tensor *output = nacre_network_build(network, nacre_root(graph, network->model, false), &input, 1);
    if (output && network->class_count > 0 && nacre_tensor_dim(output, 1) < network->class_count)
        nacre_fail(context, NACRE_ERROR_SHAPE,
                   "the model gives %lld outputs for %d classes; set model.parameters (classes=%d)",
                   (long long)nacre_tensor_dim(output, 1), network->class_count, network->class_count);
    nacre_graph_destroy(graph);
    experiment->parameters = nacre_model_elements(network->model, NACRE_ENTRY_PARAMETER);
    return nacre_check(context) == NACRE_OK;
}

static bool open_network(nacre_context *context, nacre_experiment *experiment)
{
    const nacre_recipe *recipe = experiment->recipe;
    nacre_transforms *transforms =
        nacre_transforms_parse(context, recipe->data.transforms ? recipe->data.transforms : "");
    if (transforms) nacre_transforms_fit(transforms, experiment->train);
    nacre_text *text = nc_experiment_text(context, recipe);
    experiment->network =
        nc_network_create(context, text, recipe->model.parameters, transforms, experiment->train, recipe);
    return experiment->network && try_model(context, experiment);
}

/* A target that nothing measures would always count as reached. */
static bool check_targets(const nacre_recipe *recipe)
{
    for (const nacre_setting *target = recipe->target; target && target->name; target++) {
        bool measured = false;
        for (const char *const *name = recipe->training.metrics; name && *name; name++)
            measured |= !strcmp(*name, target->name);
        if (measured) continue;
        nacre_recipe_fail(recipe, "target", NACRE_ERROR_ARGUMENT, "'%s' is not among training.metrics", target->name);
        return false;
    }
    return true;
}

/* Only of a whole data set: searches and pilots leave the test part out on purpose. */
static void require_test(const nacre_recipe *recipe, const nacre_dataset *test)
{
    const nacre_setting *target = recipe->target;
    if (target && target->name && !test)
        nacre_recipe_fail(recipe, "target", NACRE_ERROR_ARGUMENT, "there is no test part to measure '%s' on",
                          target->name);
}

/* ---- open and close ---- */

char *nc_experiment_folder(nacre_context *context, const nacre_recipe *recipe, const char *output, const char *what)
{
    const char *name = recipe->name ? recipe->name : "run", *folder = recipe->output.folder;
    if (output) return nacre_duplicate(context, output);
    nacre_buffer path = nacre_buffer_create(context);
    nacre_buffer_print(&path, "%s%s%s", folder ? folder : "runs/", folder ? "" : name, what);
    return nacre_buffer_take(&path, NULL);
}

/* Patterns of groups that fit no parameter, with the place in the recipe. */
static bool check_groups(nacre_context *context, const nacre_experiment *experiment)
{
    const nacre_optimizer optimizer = nc_experiment_optimizer(experiment->recipe);
    nacre_status status = nacre_optimizer_check(&optimizer, experiment->network->model);
    if (status == NACRE_OK) return true;
    char message[512];
    snprintf(message, sizeof message, "%s", nacre_message(context));
    nacre_clear(context);
    nacre_recipe_fail(experiment->recipe, "optimizer.groups", status, "cannot be: %s", message);
    return false;
}

nacre_status nacre_experiment_open_on(nacre_context *context, const nacre_recipe *recipe,
                                      const nacre_experiment_parts *parts, const char *output,
                                      nacre_experiment *experiment)
{
    *experiment = (nacre_experiment){
        .recipe = recipe, .train = parts->train, .validation = parts->validation, .test = parts->test};
    bool complete = nacre_check(context) == NACRE_OK && check_targets(recipe) && open_network(context, experiment) &&
                    check_groups(context, experiment) &&
                    (experiment->folder = nc_experiment_folder(context, recipe, output, ""));
    if (!complete) nacre_experiment_close(experiment);
    return nacre_check(context);
}

nacre_status nacre_experiment_open(nacre_context *context, const nacre_recipe *recipe, const char *data_folder,
                                   const char *output, nacre_experiment *experiment)
{
    nacre_experiment_parts parts = {0};
    nacre_dataset *all = nc_experiment_data(context, recipe, data_folder);
    if (all) {
        parts.train = nc_experiment_part(context, all, recipe, NACRE_TRAIN);
        parts.validation = nc_experiment_part(context, all, recipe, NACRE_VALIDATION);
        parts.test = nc_experiment_part(context, all, recipe, NACRE_TEST);
        if (nacre_check(context) == NACRE_OK) require_test(recipe, parts.test);
    }
    nacre_dataset_destroy(all);
    return nacre_experiment_open_on(context, recipe, &parts, output, experiment);
}

void nacre_experiment_close(nacre_experiment *experiment)
{
    if (!experiment) return;
    nacre_context *context = experiment->network ? experiment->network->context : NULL;
    nacre_dataset_destroy(experiment->train);
    nacre_dataset_destroy(experiment->validation);
    nacre_dataset_destroy(experiment->test);
    nacre_release(context, experiment->folder);
    nacre_network_destroy(experiment->network);
    *experiment = (nacre_experiment){0};
}

/* ---- run ---- */

nacre_fit_options nacre_experiment_fit(const nacre_experiment *experiment)
{
    const nacre_recipe *recipe = experiment->recipe;
    nacre_network *network = experiment->network;
    return (nacre_fit_options){.model = network->model,
                               .build = nacre_network_build,
                               .user = network,
                               .train = experiment->train,
                               .validation = experiment->validation,
                               .transforms = network->transforms,
                               .workers = nc_recipe_workers(recipe),
                               .prefetch = (int)recipe->data.prefetch,
                               .no_shuffle = !recipe->data.shuffle,
                               .drop_last = recipe->data.drop_last,
                               .optimizer = nc_experiment_optimizer(recipe),
                               .schedule = nc_experiment_schedule(experiment),
                               .averaging = nc_experiment_averaging(recipe),
                               .epochs = recipe->training.epochs,
                               .batch_size = nc_recipe_batch(recipe),
                               .accumulate = recipe->training.accumulate,
                               .precision = (nacre_dtype)nacre_dtype_from_name(recipe->training.precision),
                               .scaler = {.initial = recipe->training.scaler.initial,
                                          .growth = recipe->training.scaler.growth,
                                          .backoff = recipe->training.scaler.backoff,
                                          .interval = recipe->training.scaler.interval,
                                          .minimum = recipe->training.scaler.minimum},
                               .loss = recipe->training.loss,
                               .label_smoothing = recipe->training.label_smoothing,
                               .mixup = recipe->training.mixup,
                               .cutmix = recipe->training.cutmix,
                               .metrics = recipe->training.metrics,
                               .patience = recipe->training.early_stopping.patience,
                               .min_delta = recipe->training.early_stopping.min_delta,
                               .start_from_epoch = recipe->training.early_stopping.start_from_epoch,
                               .seed = (uint64_t)recipe->training.seed,
                               .folder = experiment->folder,
                               .recompute = recipe->training.recompute,
                               .checkpoint_every = recipe->training.checkpoint_every,
                               .metadata = network->metadata,
                               .metadata_count = network->metadata_count};
}

/* {"test.accuracy": 0.99, ...}: what the saved model says about itself. */
static void describe_figures(nacre_experiment *experiment, const nacre_experiment_result *result)
{
    nacre_network *network = experiment->network;
    nacre_buffer text = nacre_buffer_create(network->context);
    nacre_buffer_print(&text, "{\"epochs\": %lld, \"best_epoch\": %lld", (long long)result->fit.epochs,
                       (long long)result->fit.best_epoch);
    if (result->test.samples > 0) {
        nacre_buffer_print(&text, ", \"test.samples\": %lld, \"test.loss\": ", (long long)result->test.samples);
        nacre_buffer_number(&text, result->test.loss);
        for (int i = 0; i < nacre_metrics_count(result->test.metrics); i++) {
            nacre_buffer_print(&text, ", \"test.%s\": ", nacre_metrics_name(result->test.metrics, i));
            nacre_buffer_number(&text, nacre_metrics_value(result->test.metrics, i));
        }
    }
    nacre_buffer_print(&text, "}");
    if (!text.failed) nc_network_describe(network, "nacre.figures", text.data);
    nacre_buffer_destroy(&text);
}

static const char *missed_target(const nacre_experiment *experiment, const nacre_experiment_result *result)
{
    const nacre_setting *target = experiment->recipe->target;
    for (; target && target->name; target++)
        for (int i = 0; i < nacre_metrics_count(result->test.metrics); i++) {
            if (strcmp(nacre_metrics_name(result->test.metrics, i), target->name)) continue;
            double value = nacre_metrics_value(result->test.metrics, i);
            bool higher = nacre_metric_higher_is_better(target->name);
            if (!(higher ? value >= target->number : value <= target->number)) return target->name;
        }
    return NULL;
}

static nacre_status test_best(nacre_context *context, nacre_experiment *experiment, nacre_gallery *gallery,
                              nacre_experiment_result *result)
{
    const nacre_recipe *recipe = experiment->recipe;
    nacre_network *network = experiment->network;
    return nacre_evaluate(
        context,
        &(nacre_evaluate_options){.model = network->model,
                                  .build = nacre_network_build,
                                  .user = network,
                                  .dataset = experiment->test,
                                  .transforms = network->transforms,
                                  .batch_size = nc_recipe_batch(recipe),
                                  .workers = nc_recipe_workers(recipe),
                                  .precision = (nacre_dtype)nacre_dtype_from_name(recipe->training.precision),
                                  .loss = recipe->training.loss,
                                  .metrics = recipe->training.metrics,
                                  .visit = nacre_gallery_visit,
                                  .visit_user = gallery},
        &result->test);
}

static nacre_status save_model(nacre_experiment *experiment, nacre_experiment_result *result)
{
    nacre_network *network = experiment->network;
    describe_figures(experiment, result);
    result->model_path = nacre_path_join(network->context, experiment->folder, "model.safetensors");
    if (!result->model_path) return NACRE_ERROR_MEMORY;
    return nacre_model_save(network->model, result->model_path, false, network->metadata, network->metadata_count);
}

static nacre_status run_locked(nacre_context *context, nacre_experiment *experiment, const nacre_fit_options *fit,
                               nacre_experiment_result *result)
{
    nacre_gallery *gallery = NULL;
    nacre_status status = nacre_fit(context, fit, &result->fit);
    if (status == NACRE_OK && !result->fit.cancelled) {
        if (experiment->test) {
            gallery = nacre_gallery_create(context, experiment->test, NC_SHOWN_SAMPLES, NC_SHOWN_MISTAKES);
            status = gallery ? test_best(context, experiment, gallery, result) : nacre_check(context);
        }
        if (status == NACRE_OK) status = save_model(experiment, result);
        if (status == NACRE_OK && experiment->recipe->output.report)
            status = nc_experiment_report(context, experiment, gallery, result);
        result->missed = missed_target(experiment, result);
    }
    nacre_gallery_destroy(gallery);
    return status;
}

/* ---- callbacks ---- */

/* Those of the recipe, which are destroyed with the list, and then the caller's. */
typedef struct callback_list {
    nacre_callback *all;
    int count, own;
} callback_list;

static void add_callback(callback_list *list, nacre_callback callback)
{
    if (callback.call) list->all[list->own++] = callback;
}

static void add_own_callbacks(nacre_context *context, const nacre_experiment *experiment, callback_list *list)
{
    const nacre_recipe *recipe = experiment->recipe;
    char *csv = nacre_path_join(context, experiment->folder, "metrics.csv");
    char *board = nacre_path_join(context, experiment->folder, "tensorboard");
    char *kept = nacre_path_join(context, experiment->folder, "checkpoints");
    nacre_tensorboard_options drawing = {
        .folder = board, .histograms = recipe->output.histograms, .every = recipe->output.log_every};
    nacre_keep_options keeping = {.folder = kept,
                                  .every = recipe->output.keep_every,
                                  .keep = recipe->output.keep_best,
                                  .metadata = experiment->network->metadata,
                                  .metadata_count = experiment->network->metadata_count};
    if (recipe->output.csv && csv) add_callback(list, nacre_csv_callback(context, csv));
    if (recipe->output.tensorboard && board) add_callback(list, nacre_tensorboard_callback(context, &drawing));
    if ((keeping.every > 0 || keeping.keep > 0) && kept) add_callback(list, nacre_keep_callback(context, &keeping));
    nacre_release(context, csv);
    nacre_release(context, board);
    nacre_release(context, kept);
}

static void destroy_callbacks(nacre_context *context, callback_list *list)
{
    for (int i = 0; i < list->own; i++) nacre_callback_destroy(&list->all[i]);
    nacre_release(context, list->all);
}

static nacre_status create_callbacks(nacre_context *context, const nacre_experiment *experiment,
                                     const nacre_experiment_options *options, callback_list *list)
{
    enum { MOST_OWN = 3 };
    *list = (callback_list){0};
    list->all = nacre_allocate(context, sizeof *list->all * (size_t)(MOST_OWN + options->callback_count));
    if (list->all) add_own_callbacks(context, experiment, list);
    if (nacre_check(context)) return nacre_check(context);
    list->count = list->own;
    for (int i = 0; i < options->callback_count; i++) list->all[list->count++] = options->callbacks[i];
    return NACRE_OK;
}

nacre_status nc_experiment_rate(nacre_context *context, const nacre_fit_options *fit, double *rate,
                                char text[NC_RATE_TEXT])
{
    nacre_rate_curve curve;
    if (nacre_find_rate(context, fit, NULL, &curve)) return nacre_check(context);
    *rate = curve.valley;
    snprintf(text, NC_RATE_TEXT,
             "learning rate %.3g, found as the valley of %lld steps (steepest %.3g, minimum / 10 %.3g)", curve.valley,
             (long long)curve.count, curve.steepest, curve.minimum);
    nacre_rate_curve_release(context, &curve);
    return NACRE_OK;
}

/* For a recipe that was not settled. The search depends on it alone, so a resumed run finds the same. */
static nacre_status find_base(nacre_context *context, nacre_fit_options *fit)
{
    char text[NC_RATE_TEXT];
    if (nc_experiment_rate(context, fit, &fit->schedule.base, text)) return nacre_check(context);
    nacre_log_message(context, NACRE_LOG_INFO, "%s", text);
    return NACRE_OK;
}

nacre_status nacre_experiment_run(nacre_context *context, nacre_experiment *experiment,
                                  const nacre_experiment_options *options, nacre_experiment_result *result)
{
    nacre_experiment_options chosen = options ? *options : (nacre_experiment_options){0};
    nacre_fit_options fit = nacre_experiment_fit(experiment);
    if (fit.schedule.base == 0 && find_base(context, &fit)) return nacre_check(context);
    fit.resume = chosen.resume;
    fit.notes = chosen.notes;
    fit.listen = chosen.listen;
    fit.listen_user = chosen.listen_user;
    *result = (nacre_experiment_result){0};
    if (nacre_make_directories(context, experiment->folder)) return nacre_check(context);
    fit.lock = nacre_lock_directory(context, experiment->folder); /* until the report is written, too */
    if (!fit.lock) return nacre_check(context);
    callback_list callbacks;
    nacre_status status = create_callbacks(context, experiment, &chosen, &callbacks);
    fit.callbacks = callbacks.all;
    fit.callback_count = callbacks.count;
    if (status == NACRE_OK) status = run_locked(context, experiment, &fit, result);
    destroy_callbacks(context, &callbacks);
    nacre_unlock(fit.lock);
    return status;
}

/* cli/predict.c */
#include "cli.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

typedef struct prediction {
    nc_call *call;
    nacre_network *network;
    nacre_dataset *pictures;
    nacre_loader *loader;
    int64_t top;
    cJSON *array; /* --json */
} prediction;

/* ---- one sample ---- */

static void softmax(const float *outputs, int64_t count, double *probabilities)
{
    double largest = outputs[0], sum = 0;
    for (int64_t i = 1; i < count; i++) largest = outputs[i] > largest ? outputs[i] : largest;
    for (int64_t i = 0; i < count; i++) sum += probabilities[i] = exp(outputs[i] - largest);
    for (int64_t i = 0; i < count; i++) probabilities[i] /= sum;
}

static void show_classes(prediction *all, const char *origin, double *probabilities, int64_t count)
{
    cJSON *entry = NULL, *labels = NULL;
    if (all->array) {
        entry = cJSON_CreateObject();
        cJSON_AddStringToObject(entry, "input", origin);
        labels = cJSON_AddArrayToObject(entry, "predictions");
        cJSON_AddItemToArray(all->array, entry);
    } else {
        printf("%s", origin);
    }
    for (int64_t shown = 0; shown < all->top && shown < count; shown++) {
        int64_t best = 0;
        for (int64_t i = 1; i < count; i++)
            if (probabilities[i] > probabilities[best]) best = i;
        const char *label = nacre_network_class(all->network, (int)best);
        char number[24];
        snprintf(number, sizeof number, "%lld", (long long)best);
        if (all->array) {
            cJSON *line = cJSON_CreateObject();
            cJSON_AddStringToObject(line, "label", label ? label : number);
            cJSON_AddNumberToObject(line, "probability", probabilities[best]);
            cJSON_AddItemToArray(labels, line);
        } else {
            printf("%s%s %.4f", shown ? ", " : "\t", label ? label : number, probabilities[best]);
        }
        probabilities[best] = -1;
    }
    if (!all->array) printf("\n");
}

static void show_values(prediction *all, const char *origin, const float *outputs, int64_t count)
{
    if (all->array) {
        cJSON *entry = cJSON_CreateObject(), *values = cJSON_AddArrayToObject(entry, "outputs");
        cJSON_AddStringToObject(entry, "input", origin);
        for (int64_t i = 0; i < count; i++) cJSON_AddItemToArray(values, cJSON_CreateNumber(outputs[i]));
        cJSON_AddItemToArray(all->array, entry);
        return;
    }
    printf("%s", origin);
    for (int64_t i = 0; i < count; i++) printf("%s%g", i ? " " : "\t", outputs[i]);
    printf("\n");
}

/* ---- batches ---- */

static nacre_status show(prediction *all, const char *origin, const float *outputs, int64_t count,
                         double *probabilities)
{
    for (int64_t i = 0; i < count; i++)
        if (!isfinite(outputs[i]))
            return nacre_fail(all->call->context, NACRE_ERROR_NUMERIC, "%s: output %lld of the model is not finite",
                              origin, (long long)i);
    if (nacre_network_class_count(all->network) < 2) {
        show_values(all, origin, outputs, count);
    } else {
        softmax(outputs, count, probabilities);
        show_classes(all, origin, probabilities, count);
    }
    return NACRE_OK;
}

static nacre_status run_batch(prediction *all, nacre_graph *graph, const nacre_batch *batch)
{
    nacre_context *context = all->call->context;
    const nacre_batch_field *field = &batch->fields[0];
    nacre_model *model = nacre_network_model(all->network);
    nacre_graph_reset(graph);
    nacre_tensor *input = nacre_input(graph, field->name, field->dtype, field->shape);
    nacre_tensor *output = nacre_network_build(all->network, nacre_root(graph, model, false), &input, 1);
    nacre_output(output);
    nacre_graph_set_precision(graph, nc_precision(all->call));
    nacre_feed(input, field->data);
    if (nacre_check(context) || nacre_run(graph)) return nacre_check(context);
    int64_t columns = nacre_tensor_count(output) / batch->count;
    float *outputs = nacre_allocate(context, sizeof *outputs * (size_t)(columns * batch->count));
    double *probabilities = nacre_allocate(context, sizeof *probabilities * (size_t)columns);
    if (outputs && probabilities &&
        nacre_read(output, outputs, sizeof *outputs * (size_t)(columns * batch->count)) == NACRE_OK)
        for (int64_t i = 0; i < batch->count; i++) {
            char origin[1024];
            nacre_dataset_origin(all->pictures, batch->indices[i], origin, sizeof origin);
            if (show(all, origin, outputs + i * columns, columns, probabilities)) break;
        }
    nacre_release(context, outputs);
    nacre_release(context, probabilities);
    return nacre_check(context);
}

static nacre_status predict(prediction *all)
{
    nacre_context *context = all->call->context;
    const nacre_field *input = nacre_network_input(all->network);
    const char *const *paths = (const char *const *)all->call->arguments + 1;
    if (input->role != NACRE_ROLE_IMAGE)
        return nacre_fail(context, NACRE_ERROR_UNSUPPORTED,
                          "%s: was trained on tables; only pictures can be named here", all->call->arguments[0]);
    all->pictures =
        nacre_dataset_from_pictures(context, paths, all->call->argument_count - 1, (int)input->shape.dims[0]);
    if (!all->pictures || nacre_network_check_data(all->network, all->pictures)) return nacre_check(context);
    all->loader = nacre_loader_create(all->pictures,
                                      &(nacre_loader_options){.batch_size = (int)nc_integer(all->call, "batch-size"),
                                                              .transforms = nacre_network_transforms(all->network)});
    nacre_graph *graph = nacre_graph_create(context);
    const nacre_batch *batch;
    if (all->loader && graph)
        while ((batch = nacre_loader_next(all->loader)))
            if (run_batch(all, graph, batch)) break;
    nacre_graph_destroy(graph);
    return nacre_check(context);
}

static int run(nc_call *call)
{
    prediction all = {.call = call, .top = nc_integer(call, "top")};
    if (all.top < 1) return nc_usage_error(call, "--top must be at least 1");
    if (nc_integer(call, "batch-size") < 1) return nc_usage_error(call, "--batch-size must be at least 1");
    if (nc_flag(call, "json")) all.array = cJSON_CreateArray();
    all.network = nacre_network_load(call->context, call->arguments[0]);
    nacre_status status = all.network ? predict(&all) : nacre_check(call->context);
    int code = status ? NC_EXIT_FAILED : NC_EXIT_DONE;
    if (all.array && code == NC_EXIT_DONE)
        code = nc_print_json(call, all.array);
    else
        cJSON_Delete(all.array);
    nacre_loader_destroy(all.loader);
    nacre_dataset_destroy(all.pictures);
    nacre_network_destroy(all.network);
    return code;
}

static const nc_option OPTIONS[] = {
    {"top", 'k', NC_INTEGER, "K", NULL, "1", false, "Show the K most probable labels."},
    {"batch-size", 0, NC_INTEGER, "N", NULL, "64", false, "How many pictures are computed together."},
    NC_PRECISION_OPTION,
    {0},
};

static const nc_example EXAMPLES[] = {
    {"nacre predict model.safetensors photo.jpg", "Its label and probability."},
    {"nacre predict model.safetensors --top 3 pictures/", "The three best labels of every picture in a folder."},
    {0},
};

const nc_command nc_command_predict = {
    .name = "predict",
    .summary = "label pictures with a saved model",
    .description = "Prints one line for each picture: its path, a tab, the label and its probability. Pictures may be "
                   "PNG, JPEG, BMP or PNM; folders are searched. The saved model brings its own preprocessing and "
                   "labels. With --json one array is printed.",
    .with = NC_WITH_COMPUTE | NC_WITH_JSON,
    .options = OPTIONS,
    .arguments = {{"MODEL", false, false, NC_FILE, NULL, "A file that nacre train has saved."},
                  {"PICTURE", false, true, NC_FILE, NULL, "Pictures and folders of pictures."}},
    .examples = EXAMPLES,
    .run = run,
};

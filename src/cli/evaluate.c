/* cli/evaluate.c */
#include "cli.h"

#include <nacre/report.h>

#include <string.h>

/* The recipe that the model was trained with says what data it is about. */
static nacre_recipe *recipe_of(nc_call *call, const nacre_network *network)
{
    const char *given = nc_text(call, "recipe"), *stored = nacre_network_metadata(network, "nacre.recipe");
    if (given) return nacre_recipe_load(call->context, given, NULL);
    if (stored) return nacre_recipe_parse(call->context, stored, strlen(stored), call->arguments[0], NULL);
    nacre_fail(call->context, NACRE_ERROR_NOT_FOUND, "%s: holds no recipe; name one with --recipe", call->arguments[0]);
    return NULL;
}

static cJSON *to_json(const nc_call *call, const nacre_network *network, const nacre_evaluation *result,
                      const char *part, int64_t seed)
{
    cJSON *object = cJSON_CreateObject(), *metrics = cJSON_AddObjectToObject(object, "metrics");
    cJSON *values = cJSON_AddObjectToObject(metrics, part);
    cJSON_AddNumberToObject(values, "loss", result->loss);
    for (int i = 0; i < nacre_metrics_count(result->metrics); i++)
        cJSON_AddNumberToObject(values, nacre_metrics_name(result->metrics, i),
                                nacre_metrics_value(result->metrics, i));
    cJSON_AddNumberToObject(object, "samples", (double)result->samples);
    cJSON_AddNumberToObject(object, "seed", (double)seed);
    cJSON_AddNumberToObject(object, "seconds", result->seconds);
    cJSON_AddNumberToObject(object, "parameters",
                            (double)nacre_model_elements(nacre_network_model(network), NACRE_ENTRY_PARAMETER));
    cJSON_AddStringToObject(object, "model", call->arguments[0]);
    return object;
}

static void print(const nacre_evaluation *result, const char *part)
{
    char text[NACRE_NUMBER_SIZE];
    printf("%s", part);
    for (int i = 0; i < nacre_metrics_count(result->metrics); i++)
        printf("  %s %s", nacre_metrics_name(result->metrics, i),
               nacre_text_value(text, nacre_metrics_value(result->metrics, i)));
    printf("  loss %s", nacre_text_value(text, result->loss));
    printf("  (%s samples, ", nacre_text_count(text, result->samples));
    printf("%s)\n", nacre_text_duration(text, result->seconds));
}

static int evaluate(nc_call *call, nacre_network *network, const nacre_recipe *recipe)
{
    static const char *const names[] = {"test", "validation", "train"};
    const char *part = names[nc_choice(call, "part")];
    nacre_dataset *dataset =
        nacre_experiment_part(call->context, recipe, nc_data_folder(call), (nacre_part)nacre_part_from_name(part));
    nacre_evaluation result = {0};
    int code = NC_EXIT_FAILED;
    if (dataset && nacre_network_check_data(network, dataset) == NACRE_OK &&
        nacre_evaluate(call->context,
                       &(nacre_evaluate_options){.model = nacre_network_model(network),
                                                 .build = nacre_network_build,
                                                 .user = network,
                                                 .dataset = dataset,
                                                 .transforms = nacre_network_transforms(network),
                                                 .workers = recipe->data.workers < 0 ? 1 : (int)recipe->data.workers,
                                                 .precision = nc_precision(call),
                                                 .loss = recipe->training.loss,
                                                 .metrics = recipe->training.metrics},
                       &result) == NACRE_OK) {
        code = NC_EXIT_DONE;
        if (nc_flag(call, "json"))
            code = nc_print_json(call, to_json(call, network, &result, part, recipe->training.seed));
        else
            print(&result, part);
    }
    nacre_metrics_destroy(result.metrics);
    nacre_dataset_destroy(dataset);
    return code;
}

static int run(nc_call *call)
{
    nacre_network *network = nacre_network_load(call->context, call->arguments[0]);
    nacre_recipe *recipe = network ? recipe_of(call, network) : NULL;
    int code = recipe ? evaluate(call, network, recipe) : NC_EXIT_FAILED;
    nacre_recipe_destroy(recipe);
    nacre_network_destroy(network);
    return code;
}

static const nc_option OPTIONS[] = {
    {"part", 'p', NC_CHOICE, "PART", "test|validation|train", "test", false,
     "The part of the data to measure on: test, validation or train."},
    {"recipe", 0, NC_FILE, "FILE", NULL, NULL, false,
     "Take data and metrics from this recipe, not from the stored one."},
    NC_PRECISION_OPTION,
    {0},
};

static const nc_example EXAMPLES[] = {
    {"nacre evaluate runs/mnist/model.safetensors --data data", "On the official test part."},
    {0},
};

const nc_command nc_command_evaluate = {
    .name = "evaluate",
    .summary = "measure a saved model on data",
    .description =
        "Loads a saved model with its preprocessing and measures loss and metrics on a part of the data that "
        "its recipe names. With --json the last line on stdout is an object with metrics.PART.NAME.",
    .with = NC_WITH_DATA | NC_WITH_COMPUTE | NC_WITH_JSON | NC_WITH_QUIET,
    .options = OPTIONS,
    .arguments = {{"MODEL", false, false, NC_FILE, NULL, "A file that nacre train has saved."}},
    .examples = EXAMPLES,
    .run = run,
};

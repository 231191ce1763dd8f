/* cli/plan.c */
#include "network.h"

#include <string.h>

typedef struct listing {
    bool explain;
    cJSON *array;
} listing;

static void show_step(void *user, const nacre_plan_step *step)
{
    listing *all = user;
    if (all->array) {
        cJSON *entry = cJSON_CreateObject();
        cJSON_AddStringToObject(entry, "op", step->op);
        cJSON_AddStringToObject(entry, "path", step->path);
        cJSON_AddStringToObject(entry, "kernel", step->variant);
        cJSON_AddStringToObject(entry, "signature", step->signature);
        cJSON_AddStringToObject(entry, "refusals", step->refusals);
        cJSON_AddStringToObject(entry, "times", step->times);
        cJSON_AddBoolToObject(entry, "once", step->once);
        cJSON_AddNumberToObject(entry, "prepared_bytes", (double)step->prepared_bytes);
        cJSON_AddNumberToObject(entry, "output_bytes", (double)step->output_bytes);
        cJSON_AddNumberToObject(entry, "workspace_bytes", (double)step->workspace_bytes);
        cJSON_AddNumberToObject(entry, "offset", (double)step->offset);
        cJSON_AddBoolToObject(entry, "in_place", step->in_place);
        cJSON_AddItemToArray(all->array, entry);
        return;
    }
    printf("%4d  %-22s %-18s %-20s %s%s\n", step->index, step->op, step->variant, step->path, step->signature,
           step->once       ? "  once"
           : step->in_place ? "  in place"
                            : "");
    if (!all->explain) return;
    if (*step->times) printf("      timed %s\n", step->times);
    for (const char *at = step->refusals; *at;) {
        size_t length = strcspn(at, ";");
        printf("      not %.*s\n", (int)length, at);
        at += length + strspn(at + length, "; ");
    }
}

static cJSON *to_json(const nacre_plan_info *info, cJSON *steps)
{
    cJSON *object = cJSON_CreateObject();
    cJSON_AddItemToObject(object, "steps", steps);
    cJSON_AddNumberToObject(object, "activation_bytes", (double)info->activation_bytes);
    cJSON_AddNumberToObject(object, "unpacked_bytes", (double)info->unpacked_bytes);
    cJSON_AddNumberToObject(object, "workspace_bytes", (double)info->workspace_bytes);
    cJSON_AddNumberToObject(object, "prepared_bytes", (double)info->prepared_bytes);
    return object;
}

/* With --training the plan is that of a whole step: loss, gradients, update. */
static nacre_status build(nc_call *call, nc_named_model *named, nacre_graph *graph)
{
    bool training = nc_flag(call, "training");
    nacre_tensor *output = nc_named_model_build(named, graph, training);
    if (!training) return nacre_output(output);
    nacre_shape shape = nacre_tensor_shape(output);
    if (named->classes && shape.rank == 3) { /* a sequence's positions are so many samples */
        shape = NACRE_SHAPE(shape.dims[0] * shape.dims[1], shape.dims[2]);
        output = nacre_reshape(output, shape);
    }
    nacre_tensor *target = nacre_input(graph, "target", named->classes ? NACRE_I64 : NACRE_F32,
                                       named->classes ? NACRE_SHAPE(shape.dims[0]) : shape);
    nacre_tensor *loss = nacre_loss(named->classes ? "cross_entropy" : "mse", output, target, 0);
    nacre_step_inputs inputs = {0};
    inputs.learning_rate = nacre_input(graph, "learning_rate", NACRE_F32, NACRE_SCALAR);
    inputs.step = nacre_input(graph, "step", NACRE_I64, NACRE_SCALAR);
    nacre_output(loss);
    if (nc_flag(call, "recompute")) nacre_graph_recompute(graph, NACRE_RECOMPUTE_AUTO);
    return nacre_minimise(loss, named->model, &(nacre_optimizer){.kind = NACRE_OPTIMIZER_ADAMW}, &inputs);
}

static int run(nc_call *call)
{
    nc_named_model named;
    nacre_plan_info info;
    listing all = {.explain = nc_flag(call, "explain"), .array = nc_flag(call, "json") ? cJSON_CreateArray() : NULL};
    char block[NC_SIZE_TEXT], unpacked[NC_SIZE_TEXT];
    int64_t batch = nc_integer(call, "batch-size");
    if (batch < 1) return nc_usage_error(call, "--batch-size must be at least 1");
    if (nc_flag(call, "recompute") && !nc_flag(call, "training"))
        return nc_usage_error(call, "--recompute belongs to --training");
    nacre_graph *graph = nacre_graph_create(call->context);
    int code = NC_EXIT_FAILED;
    if (nc_named_model_open(call, call->arguments[0], batch, &named) == NACRE_OK &&
        build(call, &named, graph) == NACRE_OK && nacre_graph_set_precision(graph, nc_precision(call)) == NACRE_OK &&
        nacre_plan_visit(graph, show_step, &all) == NACRE_OK && nacre_plan(graph, &info) == NACRE_OK) {
        code = NC_EXIT_DONE;
        if (all.array)
            code = nc_print_json(call, to_json(&info, all.array));
        else
            printf("%d steps, activations %s packed into %s\n", info.nodes,
                   nc_size_text((int64_t)info.unpacked_bytes, unpacked),
                   nc_size_text((int64_t)info.activation_bytes, block));
        all.array = NULL;
    }
    cJSON_Delete(all.array);
    nacre_graph_destroy(graph);
    nc_named_model_close(&named);
    return code;
}

static const nc_option OPTIONS[] = {
    NC_MODEL_OPTIONS,
    {"batch-size", 'b', NC_INTEGER, "N", NULL, "1", false, "How many samples a batch has."},
    {"training", 't', NC_FLAG, NULL, NULL, NULL, false, "Plan a whole training step: loss, gradients, AdamW's update."},
    {"recompute", 0, NC_FLAG, NULL, NULL, NULL, false,
     "With --training: keep little of the forward part and compute it again for the gradient."},
    NC_PRECISION_OPTION,
    {"explain", 'e', NC_FLAG, NULL, NULL, NULL, false,
     "Say for each step why other kernels were refused, and what was timed."},
    {0},
};

static const nc_example EXAMPLES[] = {
    {"nacre plan lenet --batch-size 128 --training --explain", "Which kernel runs each step of training, and why."},
    {0},
};

const nc_command nc_command_plan = {
    .name = "plan",
    .summary = "show the steps, kernels and memory a model is run with",
    .description =
        "Compiles the model as nacre would run it and prints each step: operation, kernel, layer, shapes. The "
        "last line says how much memory the activations need, packed and unpacked.",
    .with = NC_WITH_DATA | NC_WITH_COMPUTE | NC_WITH_JSON,
    .options = OPTIONS,
    .arguments = {{"MODEL", false, false, NC_FILE, NULL,
                   "A saved model (.safetensors), a recipe (.yaml), a model text (.nacre) or a name of the zoo."}},
    .examples = EXAMPLES,
    .run = run,
};

/* cli/rehearse.c - what to know before a long run: train --dry-run and --overfit. */
#include "rehearse.h"

#include "layers.h"

#include <nacre/report.h>

#include <string.h>

/* ---- the run as it would be ---- */

enum { TIMED_STEPS = 20, TIMED_SECONDS = 5 };

typedef struct rehearsal {
    nacre_fit_options fit;
    nacre_fit_memory memory;
    nacre_fit_timing timing;
    int64_t steps_per_epoch;
    double epoch_seconds, run_seconds;
} rehearsal;

static void estimate(rehearsal *all)
{
    int64_t samples = nacre_dataset_count(all->fit.train), size = all->fit.batch_size;
    all->steps_per_epoch = all->fit.drop_last ? samples / size : (samples + size - 1) / size;
    all->epoch_seconds = all->timing.step_seconds * (double)all->steps_per_epoch + all->timing.validation_seconds;
    all->run_seconds = all->epoch_seconds * (double)all->fit.epochs;
}

static nacre_graph *build_forward(nc_call *call, nacre_experiment *experiment, int64_t batch)
{
    nacre_graph *graph = nacre_graph_create(call->context);
    const nacre_field *field = nacre_network_input(experiment->network);
    nacre_shape shape = {.rank = field->shape.rank + 1, .dims = {batch}};
    for (int i = 0; i < field->shape.rank; i++) shape.dims[i + 1] = field->shape.dims[i];
    nacre_tensor *input = nacre_input(graph, field->name, field->dtype == NACRE_U8 ? NACRE_F32 : field->dtype, shape);
    nacre_scope scope = nacre_root(graph, nacre_network_model(experiment->network), false);
    nacre_network_build(experiment->network, scope, &input, 1);
    return graph;
}

/* ---- words ---- */

static void print_bytes(const char *what, int64_t bytes, const char *note)
{
    char size[NC_SIZE_TEXT], exact[NACRE_NUMBER_SIZE];
    printf("  %-12s %10s %15s bytes%s%s\n", what, nc_size_text(bytes, size), nacre_text_count(exact, bytes),
           *note ? "  " : "", note);
}

static void print_memory(const nacre_fit_memory *memory)
{
    printf("\nmemory\n");
    print_bytes("parameters", memory->parameters, "");
    print_bytes("buffers", memory->buffers, "running statistics");
    print_bytes("state", memory->state, "of the optimizer");
    print_bytes("activations", memory->activations, "with gradients, packed by the planner");
    if (memory->validation > 0) print_bytes("validation", memory->validation, "the same for measuring");
    print_bytes("loader", memory->loader, "the rings of batches");
    print_bytes("copies", memory->copies, "to go back to");
    print_bytes("total", memory->total, "and the data set itself");
}

static void print_time(const rehearsal *all)
{
    char epoch[NACRE_NUMBER_SIZE], run[NACRE_NUMBER_SIZE], rate[NACRE_NUMBER_SIZE], measuring[NACRE_NUMBER_SIZE];
    const nacre_fit_timing *timing = &all->timing;
    printf("\ntime\n  %.2f ms a step of %lld samples (median of %lld), %s samples/s", 1e3 * timing->step_seconds,
           (long long)all->fit.batch_size, (long long)timing->steps,
           nacre_text_quantity(rate, timing->samples_per_second));
    printf(", %.0f %% of it waiting for data\n", 100 * timing->wait_share);
    printf("  about %s an epoch of %lld steps", nacre_text_duration(epoch, all->epoch_seconds),
           (long long)all->steps_per_epoch);
    if (all->fit.validation)
        printf(", of which validation %s", nacre_text_duration(measuring, timing->validation_seconds));
    printf("; %s for %lld epochs\n", nacre_text_duration(run, all->run_seconds), (long long)all->fit.epochs);
}

/* The loop reads the loss to stop at the first that is not finite, and the outputs to count metrics. */
static void print_transfers(const nacre_transfers *one)
{
    char in[NC_SIZE_TEXT], out[NC_SIZE_TEXT];
    printf("\ntransfers a step\n  in   %s read in place, %lld scalars copied\n", nc_size_text(one->borrowed_bytes, in),
           (long long)one->in_calls);
    printf("  out  %s copied in %lld calls\n", nc_size_text(one->out_bytes, out), (long long)one->out_calls);
    if (one->scalar_reads > 0)
        printf("  nacre_read_scalar (%s) waits for every step; on the CPU that costs nothing\n", one->scalar);
}

static cJSON *memory_json(const nacre_fit_memory *memory)
{
    cJSON *object = cJSON_CreateObject();
    cJSON_AddNumberToObject(object, "parameters", (double)memory->parameters);
    cJSON_AddNumberToObject(object, "buffers", (double)memory->buffers);
    cJSON_AddNumberToObject(object, "state", (double)memory->state);
    cJSON_AddNumberToObject(object, "activations", (double)memory->activations);
    cJSON_AddNumberToObject(object, "validation", (double)memory->validation);
    cJSON_AddNumberToObject(object, "loader", (double)memory->loader);
    cJSON_AddNumberToObject(object, "copies", (double)memory->copies);
    cJSON_AddNumberToObject(object, "total", (double)memory->total);
    return object;
}

static cJSON *transfers_json(const nacre_transfers *one)
{
    cJSON *object = cJSON_CreateObject();
    cJSON_AddNumberToObject(object, "borrowed_bytes", (double)one->borrowed_bytes);
    cJSON_AddNumberToObject(object, "borrowed_calls", (double)one->borrowed_calls);
    cJSON_AddNumberToObject(object, "in_bytes", (double)one->in_bytes);
    cJSON_AddNumberToObject(object, "in_calls", (double)one->in_calls);
    cJSON_AddNumberToObject(object, "out_bytes", (double)one->out_bytes);
    cJSON_AddNumberToObject(object, "out_calls", (double)one->out_calls);
    cJSON_AddNumberToObject(object, "scalar_reads", (double)one->scalar_reads);
    return object;
}

static cJSON *to_json(const rehearsal *all, const nc_layer_row *rows, int count, int64_t parameters)
{
    cJSON *object = cJSON_CreateObject();
    cJSON_AddItemToObject(object, "layers", nc_layers_json(rows, count));
    cJSON_AddNumberToObject(object, "parameters", (double)parameters);
    cJSON_AddItemToObject(object, "memory", memory_json(&all->memory));
    cJSON_AddItemToObject(object, "transfers_per_step", transfers_json(&all->timing.transfers));
    cJSON_AddNumberToObject(object, "batch_size", (double)all->fit.batch_size);
    cJSON_AddNumberToObject(object, "steps_per_epoch", (double)all->steps_per_epoch);
    cJSON_AddNumberToObject(object, "step_seconds", all->timing.step_seconds);
    cJSON_AddNumberToObject(object, "wait_share", all->timing.wait_share);
    cJSON_AddNumberToObject(object, "validation_seconds", all->timing.validation_seconds);
    cJSON_AddNumberToObject(object, "epoch_seconds", all->epoch_seconds);
    cJSON_AddNumberToObject(object, "run_seconds", all->run_seconds);
    return object;
}

nc_exit nc_dry_run(nc_call *call, nacre_experiment *experiment)
{
    rehearsal all = {.fit = nacre_experiment_fit(experiment)};
    nacre_model *model = nacre_network_model(experiment->network);
    nacre_graph *graph = build_forward(call, experiment, all.fit.batch_size);
    int count = 0;
    nc_layer_row *rows = nc_layer_rows(call->context, graph, model, &count);
    nc_exit code = NC_EXIT_FAILED;
    if (rows && nacre_fit_plan(call->context, &all.fit, &all.memory) == NACRE_OK &&
        nacre_fit_time(call->context, &all.fit, TIMED_STEPS, TIMED_SECONDS, &all.timing) == NACRE_OK) {
        int64_t parameters = nacre_model_elements(model, NACRE_ENTRY_PARAMETER);
        code = NC_EXIT_DONE;
        estimate(&all);
        if (nc_flag(call, "json")) {
            code = nc_print_json(call, to_json(&all, rows, count, parameters));
        } else {
            nc_print_layers(rows, count, parameters);
            print_memory(&all.memory);
            print_time(&all);
            print_transfers(&all.timing.transfers);
            printf("\nNothing was trained and nothing written.\n");
        }
    }
    nacre_release(call->context, rows);
    nacre_graph_destroy(graph);
    return code;
}

/* ---- one batch by heart ---- */

static const char *diagnose(const nacre_overfit *result)
{
    if (result->last_loss > 2 * result->first_loss) return "the loss grows: try a lower learning rate";
    if (result->least_loss > 0.9 * result->first_loss)
        return "the loss hardly moves: the learning rate is far too low, the gradient does not reach the weights, or "
               "the "
               "inputs do not tell the targets apart";
    return "the loss falls but not far enough: try a higher learning rate, less dropout or a larger model";
}

nc_exit nc_overfit(nc_call *call, nacre_experiment *experiment, int64_t samples)
{
    enum { MOST_STEPS = 500 };
    nacre_fit_options fit = nacre_experiment_fit(experiment);
    nacre_overfit result;
    char first[NACRE_NUMBER_SIZE], last[NACRE_NUMBER_SIZE], goal[NACRE_NUMBER_SIZE];
    if (nacre_fit_overfit(call->context, &fit, samples, MOST_STEPS, &result)) return NC_EXIT_FAILED;
    if (nc_flag(call, "json")) {
        cJSON *object = cJSON_CreateObject();
        cJSON_AddBoolToObject(object, "can_learn", result.reached);
        cJSON_AddNumberToObject(object, "samples", (double)result.samples);
        cJSON_AddNumberToObject(object, "steps", (double)result.steps);
        cJSON_AddNumberToObject(object, "first_loss", result.first_loss);
        cJSON_AddNumberToObject(object, "last_loss", result.last_loss);
        cJSON_AddNumberToObject(object, "goal", result.goal);
        nc_exit code = nc_print_json(call, object);
        return code == NC_EXIT_DONE && !result.reached ? NC_EXIT_FAILED : code;
    }
    printf("%lld samples, %lld steps: loss %s -> %s (goal %s)\n", (long long)result.samples, (long long)result.steps,
           nacre_text_value(first, result.first_loss), nacre_text_value(last, result.last_loss),
           nacre_text_value(goal, result.goal));
    if (result.reached)
        printf("The model can learn: it knows these samples by heart.\n");
    else
        printf("The model cannot learn them as the recipe has it: %s.\n", diagnose(&result));
    return result.reached ? NC_EXIT_DONE : NC_EXIT_FAILED;
}

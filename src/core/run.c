/* core/run.c - running plans and looking into them. */
#include "core/context.h"
#include "core/kernel.h"
#include "core/model.h"
#include "core/plan.h"
#include "core/profile.h"
#include "core/team.h"

#include <nacre/io.h>

#include <math.h>
#include <stdio.h>
#include <string.h>

static const void *external(nacre_graph *graph, nc_place place)
{
    if (place.kind == NC_PLACE_MODEL) return nc_model_data(graph->models[place.model].model, (int)place.index);
    nc_feed *feed = &graph->feeds[place.index];
    if (feed->is_scalar) return &feed->scalar;
    if (!feed->data)
        nacre_fail(graph->context, NACRE_ERROR_STATE, "input \"%s\" has no data; call nacre_feed before nacre_run",
                   feed->node->name);
    return feed->data;
}

static bool patch(nacre_graph *graph, nc_plan *plan)
{
    for (int i = 0; i < plan->patch_count; i++) {
        const void *data = external(graph, plan->patches[i].place);
        if (!data) return false;
        *plan->patches[i].pointer = (void *)(uintptr_t)data;
    }
    return true;
}

/* Threads that are idle during the step fetch what a later one will wait for. */
static void run_step(const nc_step *step)
{
    const nacre_view *ahead = step->ahead;
    const size_t bytes = ahead ? (size_t)nacre_shape_count(ahead->shape) * nacre_dtype_size(ahead->dtype) : 0;
    nc_team_fetch(step->call.team, ahead ? ahead->data : NULL, bytes);
    if (step->prepared_bytes && !step->prepares_once) step->kernel->prepare(&step->call);
    if (step->kernel)
        step->kernel->run(&step->call);
    else
        step->node->op->reference(&step->call);
}

/* ---- looking into a plan ---- */

static void print_view(nacre_buffer *buffer, const nacre_view *view)
{
    nacre_buffer_print(buffer, "%s[", nacre_dtype_name(view->dtype));
    for (int i = 0; i < view->shape.rank; i++)
        nacre_buffer_print(buffer, i ? ",%lld" : "%lld", (long long)view->shape.dims[i]);
    bool last = view->shape.rank == 4 && view->strides[1] == 1 && view->shape.dims[1] > 1 && view->strides[3] != 1;
    nacre_buffer_print(buffer, last ? "]nhwc" : "]");
}

/* Those that differ from their default. */
static void print_attributes(nacre_buffer *buffer, const nc_node *node)
{
    const nc_op_traits *traits = nc_traits(node->op);
    for (int i = 0; i < NACRE_MAX_ATTRIBUTES && node->op->attributes[i].type != NACRE_ATTRIBUTE_NONE; i++) {
        const int64_t *word = node->attributes + traits->offsets[i];
        if (word[0] == traits->fallback[traits->offsets[i]]) continue;
        nacre_buffer_print(buffer, " %s=", node->op->attributes[i].name);
        nacre_attribute_print(&node->op->attributes[i], word, buffer);
    }
}

void nc_print_signature(nacre_buffer *buffer, const nc_step *step)
{
    for (int i = 0; i < step->call.input_count; i++) {
        if (i) nacre_buffer_print(buffer, " ");
        if (step->node->inputs[i])
            print_view(buffer, &step->call.inputs[i]);
        else
            nacre_buffer_print(buffer, "-");
    }
    nacre_buffer_print(buffer, " ->");
    for (int i = 0; i < step->call.output_count; i++) {
        nacre_buffer_print(buffer, " ");
        print_view(buffer, &step->call.outputs[i]);
    }
    print_attributes(buffer, step->node);
    for (int i = 0; step->node->chain && i < step->node->chain->count; i++)
        nacre_buffer_print(buffer, i ? " > %s" : " {%s", step->node->chain->steps[i].op->name);
    if (step->node->chain) nacre_buffer_print(buffer, "}");
}

/* Why not each kernel that comes before the chosen one, or if times decided, why the others had none. */
static void print_refusals(nacre_buffer *buffer, const nacre_context *context, const nc_step *step)
{
    nc_arena arena = nc_arena_create((nacre_context *)context);
    nacre_node_info info;
    const nacre_kernel *kernel;
    if (nc_node_info(&arena, context, step->node, NC_LAYOUT_AS_IS, &info)) {
        for (int i = 0; (kernel = nacre_kernel_at(context, step->node->op, i)) && kernel != step->kernel; i++) {
            const char *reason = nc_refusal(context, kernel, &info);
            if (!reason && step->times) continue;
            if (!reason && kernel->slower) reason = kernel->slower(&info);
            nacre_buffer_print(buffer, "%s%s: %s", buffer->size ? "; " : "", kernel->variant, reason ? reason : "?");
        }
    }
    nc_arena_destroy(&arena);
}

static nacre_plan_step describe(nc_plan *plan, int index)
{
    const nc_step *step = &plan->steps[index];
    const nc_node *node = step->node;
    nacre_plan_step described = {.index = index,
                                 .op = node->op->name,
                                 .path = node->path,
                                 .variant = step->kernel ? step->kernel->variant : "reference",
                                 .signature = "",
                                 .refusals = "",
                                 .times = step->times ? step->times : "",
                                 .workspace_bytes = step->workspace_bytes,
                                 .in_place = step->in_place,
                                 .once = step->steady,
                                 .prepared_bytes = step->prepared_bytes};
    for (int i = 0; i < node->output_count; i++)
        described.output_bytes +=
            (size_t)nacre_tensor_count(&node->outputs[i]) * nacre_dtype_size(node->outputs[i].dtype);
    const char *data = step->call.output_count ? step->call.outputs[0].data : NULL;
    if (data >= plan->block && data < plan->block + plan->block_bytes) described.offset = (size_t)(data - plan->block);
    return described;
}

nacre_status nacre_plan_visit(nacre_graph *graph, void (*visit)(void *, const nacre_plan_step *), void *user)
{
    if (!graph || !visit) return NACRE_ERROR_ARGUMENT;
    nc_plan *plan = nc_plan_of(graph);
    if (!plan) return nacre_check(graph->context);
    nacre_buffer signature = nacre_buffer_create(graph->context), refusals = nacre_buffer_create(graph->context);
    for (int i = 0; i < plan->step_count; i++) {
        nacre_buffer_clear(&signature);
        nacre_buffer_clear(&refusals);
        nc_print_signature(&signature, &plan->steps[i]);
        print_refusals(&refusals, graph->context, &plan->steps[i]);
        nacre_plan_step step = describe(plan, i);
        if (signature.size) step.signature = signature.data;
        if (refusals.size) step.refusals = refusals.data;
        visit(user, &step);
    }
    nacre_buffer_destroy(&signature);
    nacre_buffer_destroy(&refusals);
    return nacre_check(graph->context);
}

nacre_status nacre_plan(nacre_graph *graph, nacre_plan_info *info)
{
    if (!graph) return NACRE_ERROR_ARGUMENT;
    nc_plan *plan = nc_plan_of(graph);
    if (!plan) return nacre_check(graph->context);
    const nc_plan_cache *cache = graph->context->plans;
    if (info)
        *info = (nacre_plan_info){.nodes = plan->step_count,
                                  .activation_bytes = plan->block_bytes,
                                  .unpacked_bytes = plan->unpacked_bytes,
                                  .workspace_bytes = plan->workspace_bytes,
                                  .prepared_bytes = plan->kept_bytes,
                                  .plans = cache->count,
                                  .hits = cache->hits,
                                  .misses = cache->misses};
    return NACRE_OK;
}

/* ---- running ---- */

static uint64_t version_of_models(const nacre_graph *graph)
{
    uint64_t version = 1;
    for (int i = 0; i < graph->model_count; i++)
        version = version * 0x9e3779b97f4a7c15u + nc_model_version(graph->models[i].model);
    return version;
}

/* Everything that follows from the parameters, if they have changed since. */
static void run_steady_steps(const nacre_graph *graph, nc_plan *plan)
{
    const uint64_t version = version_of_models(graph);
    if (plan->kept_of == version) return;
    for (int i = 0; i < plan->step_count; i++) {
        const nc_step *step = &plan->steps[i];
        if (step->prepares_once) step->kernel->prepare(&step->call);
        if (step->steady) run_step(step);
    }
    plan->kept_of = version;
}

static void run_steps(nc_plan *plan)
{
    for (int i = 0; i < plan->step_count; i++)
        if (!plan->steps[i].steady) run_step(&plan->steps[i]);
}

/* State-changing steps may have written to any entry. */
static void touch_models(const nacre_graph *graph, const nc_plan *plan)
{
    if (plan->changes_weights)
        for (int i = 0; i < graph->model_count; i++) nc_model_touch(graph->models[i].model);
}

static void run_profiled(nacre_profile *profile, const nc_plan *plan)
{
    const int first = nc_profile_begin(profile, plan);
    for (int i = 0; i < plan->step_count; i++) {
        if (plan->steps[i].steady) continue;
        const double start = nacre_seconds();
        run_step(&plan->steps[i]);
        nc_profile_add(profile, first + i, start, nacre_seconds() - start);
    }
}

nacre_status nacre_run(nacre_graph *graph)
{
    if (!graph) return NACRE_ERROR_ARGUMENT;
    nc_plan *plan = nc_plan_of(graph);
    if (!plan || !patch(graph, plan)) return nacre_check(graph->context);
    plan->last_graph = graph;
    graph->context->transfers.runs++;
    run_steady_steps(graph, plan);
    if (graph->context->profile)
        run_profiled(graph->context->profile, plan);
    else
        run_steps(plan);
    touch_models(graph, plan);
    return NACRE_OK;
}

nacre_status nacre_read(nacre_tensor *tensor, void *data, size_t size)
{
    if (!tensor || !data) return NACRE_ERROR_ARGUMENT;
    nacre_graph *graph = tensor->node->graph;
    size_t bytes = (size_t)nacre_tensor_count(tensor) * nacre_dtype_size(tensor->dtype);
    if (size != bytes)
        return nacre_fail(graph->context, NACRE_ERROR_ARGUMENT,
                          "nacre_read: the tensor has %zu bytes, %zu were asked for", bytes, size);
    int wanted = 0;
    while (wanted < graph->wanted_count && graph->wanted[wanted] != tensor) wanted++;
    nc_plan *plan = graph->plan;
    if (wanted == graph->wanted_count || !plan || plan->last_graph != graph)
        return nacre_fail(graph->context, NACRE_ERROR_STATE,
                          "nacre_read: the result of %s is not there; mark it with nacre_output before nacre_run",
                          tensor->node->op->name);
    nc_place place = plan->wanted[wanted];
    const void *source = place.kind == NC_PLACE_BLOCK      ? plan->block + place.index
                         : place.kind == NC_PLACE_CONSTANT ? place.bytes
                                                           : external(graph, place);
    if (!source) return nacre_check(graph->context);
    memcpy(data, source, bytes);
    graph->context->transfers.out_calls++;
    graph->context->transfers.out_bytes += (int64_t)bytes;
    return NACRE_OK;
}

/* Says it once, and quietly: both devices that there are share the program's memory. */
static void note_scalar(nacre_context *context, const nc_node *node)
{
    enum { LONG_STREAK = 1000 };
    nacre_transfers *transfers = &context->transfers;
    transfers->scalar_reads++;
    snprintf(transfers->scalar, sizeof transfers->scalar, "%s%s%s", node->op->name, *node->path ? " of " : "",
             node->path);
    if (transfers->runs == context->scalar_run) return;
    context->scalar_streak = transfers->runs == context->scalar_run + 1 ? context->scalar_streak + 1 : 1;
    context->scalar_run = transfers->runs;
    if (context->scalar_streak != LONG_STREAK) return;
    nacre_log_message(context, NACRE_LOG_DEBUG,
                      "nacre_read_scalar (%s) has followed each of %d runs: each waits for the device; add up in the "
                      "graph and read now and then",
                      transfers->scalar, LONG_STREAK);
}

nacre_transfers nacre_transfer_statistics(const nacre_context *context)
{
    return context ? context->transfers : (nacre_transfers){0};
}

double nacre_read_scalar(nacre_tensor *tensor)
{
    union {
        double f64;
        int64_t i64;
    } value = {.i64 = 0};
    if (!tensor) return NAN;
    if (nacre_tensor_count(tensor) != 1) {
        nacre_fail(tensor->node->graph->context, NACRE_ERROR_SHAPE, "nacre_read_scalar: the tensor is not one number");
        return NAN;
    }
    if (nacre_read(tensor, &value, nacre_dtype_size(tensor->dtype))) return NAN;
    note_scalar(tensor->node->graph->context, tensor->node);
    return nacre_dtype_load(tensor->dtype, &value, 0);
}

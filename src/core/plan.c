/* core/plan.c - from a graph to steps over packed memory. */
#include "core/context.h"
#include "core/kernel.h"
#include "core/measure.h"
#include "core/memory.h"
#include "core/model.h"
#include "core/pass.h"
#include "core/plan.h"

#include <limits.h>
#include <string.h>

/* ---- passes ---- */

static nacre_graph *run_passes(nacre_graph *graph)
{
    static nacre_graph *(*const passes[])(nacre_graph *) = {nc_pass_recompute, nc_pass_simplify,  nc_pass_fold,
                                                            nc_pass_simplify,  nc_pass_precision, nc_pass_epilogue,
                                                            nc_pass_simplify,  nc_pass_layout,    nc_pass_fuse};
    nacre_graph *current = graph;
    for (size_t i = 0; i < sizeof passes / sizeof *passes && current; i++) {
        if (passes[i] == nc_pass_recompute && graph->segments == 0) continue;
        if (passes[i] == nc_pass_precision && graph->precision == NACRE_F32) continue;
        nacre_graph *next = passes[i](current);
        if (current != graph) nacre_graph_destroy(current);
        current = next;
    }
    return current;
}

/* ---- places ---- */

/* While compiling: per tensor of the plan's graph, the storage it lives in. Several tensors share one storage through
 * aliases and in-place operations. */

typedef struct compiler {
    nc_plan *plan;
    nc_place *places; /* per tensor */
    int *base;        /* per node */
    nc_lifetime *lifetimes;
    int *lifetime_of_workspace, *lifetime_of_prepared; /* per step, -1 for none */
    int lifetime_count, lifetime_capacity;
} compiler;

static nc_place *place_of(const compiler *compilation, const nacre_tensor *tensor)
{
    return &compilation->places[compilation->base[tensor->node->index] + tensor->output];
}

static size_t tensor_bytes(const nacre_tensor *tensor)
{
    return (size_t)nacre_tensor_count(tensor) * nacre_dtype_size(tensor->dtype);
}

/* Constants of one repeated value are written once, when the plan is made. */
static const void *filled(nc_plan *plan, const nc_node *node)
{
    const nacre_tensor *tensor = &node->outputs[0];
    int64_t count = nacre_tensor_count(tensor);
    size_t size = nacre_dtype_size(tensor->dtype);
    char *bytes = nc_arena_take(&plan->arena, tensor_bytes(tensor) + 64);
    if (!bytes) return NULL;
    bytes = (char *)(((uintptr_t)bytes + 63) & ~(uintptr_t)63);
    if (count > 0) nacre_dtype_store(tensor->dtype, bytes, 0, nacre_unword(node->attributes[0]));
    for (int64_t i = 1; i < count; i++) memcpy(bytes + (size_t)i * size, bytes, size);
    return bytes;
}

static nc_place leaf_place(nc_plan *plan, const nc_node *node)
{
    int64_t first = node->attributes[0];
    if (node->op == &nc_op_input) return (nc_place){.kind = NC_PLACE_FEED, .index = first};
    if (node->op == &nc_op_parameter)
        return (nc_place){
            .kind = NC_PLACE_MODEL, .model = (int)(first >> 32), .index = (int32_t)(first & ~NC_STATE_ENTRY)};
    const void *bytes = node->op == &nc_op_full ? filled(plan, node) : node->data;
    return (nc_place){.kind = NC_PLACE_CONSTANT, .bytes = bytes};
}

/* ---- time ---- */

/* What depends on parameters and constants alone is computed once, before all the rest: a run that needs it has two
 * rounds over the steps, and time goes through both. */
static int time_of(const compiler *compilation, int step)
{
    return compilation->plan->steps[step].steady ? step : compilation->plan->step_count + step;
}

static int time_of_preparing(const compiler *compilation, int step)
{
    return compilation->plan->steps[step].prepares_once ? step : time_of(compilation, step);
}

static bool is_steady(const nc_plan *plan, const nacre_tensor *tensor)
{
    return !tensor || plan->steps[tensor->node->index].steady;
}

/* Entries with the role of state (moments, what attention remembers) may change in any run, the others only where a
 * plan writes to them. */
static bool is_weight(const nacre_tensor *tensor)
{
    return tensor && tensor->node->op == &nc_op_parameter && !(tensor->node->attributes[0] & NC_STATE_ENTRY);
}

static bool changes_weights(const nc_node *node)
{
    for (int i = 0; node->op->flags & NACRE_OP_STATEFUL && i < node->input_count; i++)
        if (is_weight(node->inputs[i])) return true;
    return false;
}

/* A node whose value may differ between two runs with the same weights. */
static bool varies(const nc_node *node)
{
    if (node->op == &nc_op_parameter) return !is_weight(&node->outputs[0]);
    return node->op == &nc_op_input || node->op->flags & (NACRE_OP_RANDOM | NACRE_OP_STATEFUL);
}

/* Steps before this one are marked already. */
static void mark_steady(nc_plan *plan, int index)
{
    const nc_node *node = plan->graph->nodes[index];
    nc_step *step = &plan->steps[index];
    if (plan->context->device == NACRE_DEVICE_REFERENCE || plan->changes_weights) return;
    step->steady = !varies(node);
    for (int k = 0; k < node->input_count; k++) step->steady &= is_steady(plan, node->inputs[k]);
}

static bool prepares_once(const nc_plan *plan, const nc_step *step)
{
    return step->kernel && step->kernel->prepared && !plan->changes_weights &&
           is_steady(plan, step->node->inputs[step->kernel->prepared_operand]);
}

static int new_lifetime(compiler *compilation, size_t bytes, int time)
{
    if (!nc_grow(compilation->plan->context, &compilation->lifetimes, compilation->lifetime_count,
                 &compilation->lifetime_capacity, sizeof(nc_lifetime)))
        return -1;
    compilation->lifetimes[compilation->lifetime_count] = (nc_lifetime){.bytes = bytes, .first = time, .last = time};
    compilation->plan->unpacked_bytes += bytes;
    return compilation->lifetime_count++;
}

/* Operand whose memory the first output may take over: the same number of bytes, and nothing reads it later. */
static const nacre_tensor *dying_operand(const compiler *compilation, const nc_step *step, const int *last_use,
                                         int index)
{
    const nc_node *node = step->node;
    bool allowed = step->kernel ? (step->kernel->flags & NACRE_KERNEL_IN_PLACE) != 0
                                : (node->op->flags & NACRE_OP_ELEMENTWISE) != 0;
    for (int i = 0; allowed && i < node->input_count; i++) {
        const nacre_tensor *in = node->inputs[i], *out = &node->outputs[0];
        if (!in || !nacre_shape_equal(in->shape, out->shape) || in->channels_last != out->channels_last ||
            nacre_dtype_size(in->dtype) != nacre_dtype_size(out->dtype))
            continue;
        const nc_place *place = place_of(compilation, in);
        if (place->kind == NC_PLACE_BLOCK && last_use[place->index] == time_of(compilation, index) &&
            !compilation->lifetimes[place->index].kept)
            return in;
    }
    return NULL;
}

/* First walk: which storage each tensor would have if nothing were done in place, and its last use. */
static bool assign_storage(compiler *compilation)
{
    nc_plan *plan = compilation->plan;
    for (int i = 0; i < plan->graph->node_count; i++) {
        const nc_node *node = plan->graph->nodes[i];
        for (int k = 0; k < node->output_count; k++) {
            nc_place *place = place_of(compilation, &node->outputs[k]);
            if (node->op->flags & NACRE_OP_LEAF) {
                *place = leaf_place(plan, node);
                if (place->kind == NC_PLACE_CONSTANT && !place->bytes) return false;
            } else if (k == 0 && node->op->flags & NACRE_OP_ALIAS) {
                *place = *place_of(compilation, node->inputs[0]);
            } else {
                int lifetime = new_lifetime(compilation, tensor_bytes(&node->outputs[k]), time_of(compilation, i));
                if (lifetime < 0) return false;
                *place = (nc_place){.kind = NC_PLACE_BLOCK, .index = lifetime};
            }
        }
    }
    return true;
}

/* A steady value that is used outside the first round stays from run to run. */
static void use(compiler *compilation, const nacre_tensor *tensor, int time)
{
    const nc_place *place = tensor ? place_of(compilation, tensor) : NULL;
    if (!place || place->kind != NC_PLACE_BLOCK) return;
    nc_lifetime *lifetime = &compilation->lifetimes[place->index];
    if (lifetime->last < time) lifetime->last = time;
    lifetime->kept |= is_steady(compilation->plan, tensor) && time >= compilation->plan->step_count;
}

static void find_last_uses(compiler *compilation)
{
    const nacre_graph *graph = compilation->plan->graph;
    for (int i = 0; i < graph->node_count; i++) {
        const nc_step *step = &compilation->plan->steps[i];
        for (int k = 0; k < graph->nodes[i]->input_count; k++) {
            const bool prepared = step->prepares_once && k == step->kernel->prepared_operand;
            use(compilation, graph->nodes[i]->inputs[k],
                prepared ? time_of_preparing(compilation, i) : time_of(compilation, i));
        }
    }
    for (int i = 0; i < graph->wanted_count; i++) use(compilation, graph->wanted[i], INT_MAX);
}

/* Second walk: outputs take over dying operands. The operand's lifetime grows over the output's. */
static bool reuse_in_place(compiler *compilation)
{
    nc_plan *plan = compilation->plan;
    int *last_use = nacre_allocate(plan->context, sizeof(int) * (size_t)(compilation->lifetime_count + 1));
    int *merged = nacre_allocate(plan->context, sizeof(int) * (size_t)(compilation->lifetime_count + 1));
    if (last_use && merged) {
        for (int i = 0; i < compilation->lifetime_count; i++) {
            last_use[i] = compilation->lifetimes[i].last;
            merged[i] = i;
        }
        for (int i = 0; i < plan->graph->node_count; i++) {
            const nc_node *node = plan->graph->nodes[i];
            for (int k = 0; k < node->output_count; k++) { /* aliases follow what their operand became */
                nc_place *place = place_of(compilation, &node->outputs[k]);
                if (place->kind == NC_PLACE_BLOCK) place->index = merged[place->index];
            }
            if (node->op->flags & (NACRE_OP_LEAF | NACRE_OP_ALIAS) || node->output_count == 0) continue;
            nc_step *step = &plan->steps[i];
            const nacre_tensor *operand = dying_operand(compilation, step, last_use, i);
            if (!operand) continue;
            nc_place *out = place_of(compilation, &node->outputs[0]), *in = place_of(compilation, operand);
            int own = (int)out->index, taken = (int)in->index;
            merged[own] = taken;
            out->index = taken;
            last_use[taken] = last_use[own];
            compilation->lifetimes[taken].last = last_use[own];
            compilation->lifetimes[taken].kept |= compilation->lifetimes[own].kept;
            compilation->lifetimes[own].bytes = 0;
            step->in_place = true;
        }
    }
    bool complete = last_use && merged;
    nacre_release(plan->context, last_use);
    nacre_release(plan->context, merged);
    return complete;
}

/* The place of a step's workspace, or of what its kernel prepares. */
static bool add_memory(compiler *compilation, size_t bytes, int from, int to, bool kept, int *lifetime)
{
    *lifetime = -1;
    if (bytes == 0) return true;
    *lifetime = new_lifetime(compilation, bytes, from);
    if (*lifetime < 0) return false;
    compilation->lifetimes[*lifetime].last = to;
    compilation->lifetimes[*lifetime].kept = kept;
    return true;
}

static bool add_workspaces(compiler *compilation)
{
    nc_plan *plan = compilation->plan;
    compilation->lifetime_of_workspace = nacre_allocate(plan->context, sizeof(int) * (size_t)(plan->step_count + 1));
    compilation->lifetime_of_prepared = nacre_allocate(plan->context, sizeof(int) * (size_t)(plan->step_count + 1));
    if (!compilation->lifetime_of_workspace || !compilation->lifetime_of_prepared) return false;
    for (int i = 0; i < plan->step_count; i++) {
        nc_step *step = &plan->steps[i];
        const int time = time_of(compilation, i);
        const bool kept = step->prepares_once && !step->steady;
        if (!add_memory(compilation, step->workspace_bytes, time, time, false,
                        &compilation->lifetime_of_workspace[i]) ||
            !add_memory(compilation, step->prepared_bytes, time, time, kept, &compilation->lifetime_of_prepared[i]))
            return false;
        const size_t bytes = step->workspace_bytes + (kept ? 0 : step->prepared_bytes);
        if (bytes > plan->workspace_bytes) plan->workspace_bytes = bytes;
    }
    return true;
}

static bool take_block(compiler *compilation)
{
    nc_plan *plan = compilation->plan;
    size_t bytes = nc_pack(plan->context, compilation->lifetimes, compilation->lifetime_count);
    if (bytes == SIZE_MAX) return false;
    for (int i = 0; i < compilation->lifetime_count; i++) {
        nc_lifetime *lifetime = &compilation->lifetimes[i];
        if (!lifetime->kept) continue;
        lifetime->offset = plan->kept_bytes;
        plan->kept_bytes += lifetime->bytes;
    }
    plan->block_bytes = bytes;
    plan->block = nacre_allocate_aligned(plan->context, bytes); /* also for 0 bytes: empty tensors have an address */
    plan->kept = nacre_allocate_aligned(plan->context, plan->kept_bytes);
    return plan->block && plan->kept;
}

static char *address_of(const compiler *compilation, int64_t lifetime)
{
    const nc_lifetime *found = &compilation->lifetimes[lifetime];
    return (found->kept ? compilation->plan->kept : compilation->plan->block) + found->offset;
}

/* ---- steps ---- */

static bool choose_kernel(nc_plan *plan, nc_step *step)
{
    const nc_node *node = step->node;
    nacre_node_info info;
    if (!nc_node_info(&plan->arena, plan->context, node, NC_LAYOUT_AS_IS, &info)) return false;
    step->call = (nacre_call){.op = node->op,
                              .attributes = node->attributes,
                              .inputs = info.inputs,
                              .input_count = info.input_count,
                              .outputs = (nacre_view *)info.outputs,
                              .output_count = info.output_count,
                              .team = plan->context->team,
                              .chain = node->chain};
    step->kernel = nc_choose_kernel(plan->context, &info);
    step->prepares_once = prepares_once(plan, step);
    const nacre_kernel *fastest = nc_measured_kernel(plan->context, step, &info, &plan->arena, &step->times);
    if (fastest) step->kernel = fastest;
    if (step->kernel && step->kernel->workspace) step->workspace_bytes = step->kernel->workspace(&info);
    if (step->kernel && step->kernel->prepared) step->prepared_bytes = step->kernel->prepared(&info);
    step->prepares_once = step->prepared_bytes > 0 && prepares_once(plan, step);
    return nacre_check(plan->context) == NACRE_OK;
}

static bool choose_kernels(nc_plan *plan)
{
    nacre_graph *graph = plan->graph;
    plan->step_count = graph->node_count;
    plan->steps = nacre_allocate(plan->context, sizeof *plan->steps * (size_t)(graph->node_count + 1));
    if (!plan->steps) return false;
    for (int i = 0; i < graph->node_count; i++) plan->changes_weights |= changes_weights(graph->nodes[i]);
    for (int i = 0; i < graph->node_count; i++) {
        nc_step *step = &plan->steps[i];
        step->node = graph->nodes[i];
        mark_steady(plan, i);
        const unsigned flags = step->node->op->flags;
        if (flags & (NACRE_OP_LEAF | NACRE_OP_ALIAS) && !(flags & NACRE_OP_STATEFUL)) continue;
        if (!choose_kernel(plan, step)) return false;
    }
    nc_measurements_save(plan->context);
    return true;
}

static bool bind(compiler *compilation, nc_place place, void **pointer)
{
    nc_plan *plan = compilation->plan;
    if (place.kind == NC_PLACE_BLOCK) {
        *pointer = address_of(compilation, place.index);
        return true;
    }
    if (place.kind == NC_PLACE_CONSTANT) {
        *pointer = (void *)(uintptr_t)place.bytes;
        return true;
    }
    if (!nc_grow(plan->context, &plan->patches, plan->patch_count, &plan->patch_capacity, sizeof(nc_patch)))
        return false;
    plan->patches[plan->patch_count++] = (nc_patch){.pointer = pointer, .place = place};
    return true;
}

static bool bind_steps(compiler *compilation)
{
    nc_plan *plan = compilation->plan;
    int kept = 0;
    for (int i = 0; i < plan->step_count; i++) {
        nc_step *step = &plan->steps[i];
        if (!step->call.op) continue; /* leaves and aliases cost nothing */
        int workspace = compilation->lifetime_of_workspace[i];
        if (workspace >= 0) {
            step->workspace_offset = compilation->lifetimes[workspace].offset;
            step->call.workspace = address_of(compilation, workspace);
        }
        if (compilation->lifetime_of_prepared[i] >= 0)
            step->call.prepared = address_of(compilation, compilation->lifetime_of_prepared[i]);
        for (int k = 0; k < step->call.input_count; k++) {
            nacre_view *view = (nacre_view *)&step->call.inputs[k];
            if (step->node->inputs[k] && !bind(compilation, *place_of(compilation, step->node->inputs[k]), &view->data))
                return false;
        }
        for (int k = 0; k < step->call.output_count; k++)
            if (!bind(compilation, *place_of(compilation, &step->node->outputs[k]), &step->call.outputs[k].data))
                return false;
        plan->steps[kept++] = *step;
    }
    plan->step_count = kept;
    return true;
}

static const nacre_view *largest_operand(const nc_step *step)
{
    const nacre_view *largest = &step->call.inputs[0];
    for (int i = 1; i < step->call.input_count; i++)
        if (nacre_shape_count(step->call.inputs[i].shape) > nacre_shape_count(largest->shape))
            largest = &step->call.inputs[i];
    return largest;
}

static void look_ahead(nc_plan *plan)
{
    const nacre_view *ahead = NULL;
    for (int i = plan->step_count - 1; i >= 0; i--) {
        nc_step *step = &plan->steps[i];
        if (step->steady) continue; /* they run before all others */
        step->ahead = ahead;
        if (step->kernel && step->kernel->flags & NACRE_KERNEL_READS_ONCE) ahead = largest_operand(step);
    }
}

static bool bind_wanted(compiler *compilation)
{
    nc_plan *plan = compilation->plan;
    int count = plan->graph->wanted_count;
    plan->wanted = nacre_allocate(plan->context, sizeof *plan->wanted * (size_t)(count + 1));
    if (!plan->wanted) return false;
    for (int i = 0; i < count; i++) {
        nc_place place = *place_of(compilation, plan->graph->wanted[i]);
        if (place.kind == NC_PLACE_BLOCK && compilation->lifetimes[place.index].kept)
            place = (nc_place){.kind = NC_PLACE_CONSTANT, .bytes = address_of(compilation, place.index)};
        else if (place.kind == NC_PLACE_BLOCK)
            place.index = (int64_t)compilation->lifetimes[place.index].offset;
        plan->wanted[i] = place;
    }
    return true;
}

static bool compile(compiler *compilation)
{
    nc_plan *plan = compilation->plan;
    int tensors = 0;
    compilation->base = nacre_allocate(plan->context, sizeof(int) * (size_t)(plan->graph->node_count + 1));
    if (!compilation->base) return false;
    for (int i = 0; i < plan->graph->node_count; i++) {
        compilation->base[i] = tensors;
        tensors += plan->graph->nodes[i]->output_count;
    }
    compilation->places = nacre_allocate(plan->context, sizeof(nc_place) * (size_t)(tensors + 1));
    if (!compilation->places || !choose_kernels(plan) || !assign_storage(compilation)) return false;
    find_last_uses(compilation);
    if (!reuse_in_place(compilation) || !add_workspaces(compilation) || !take_block(compilation) ||
        !bind_steps(compilation) || !bind_wanted(compilation))
        return false;
    look_ahead(plan);
    return true;
}

nc_plan *nc_plan_compile(nacre_graph *graph)
{
    nacre_context *context = graph->context;
    nc_plan *plan = nacre_allocate(context, sizeof *plan);
    if (!plan) return NULL;
    plan->context = context;
    plan->arena = nc_arena_create(context);
    plan->graph = run_passes(graph);
    compiler compilation = {.plan = plan};
    bool complete = plan->graph && compile(&compilation);
    nacre_release(context, compilation.base);
    nacre_release(context, compilation.places);
    nacre_release(context, compilation.lifetimes);
    nacre_release(context, compilation.lifetime_of_workspace);
    nacre_release(context, compilation.lifetime_of_prepared);
    if (complete) return plan;
    nc_plan_destroy(plan);
    return NULL;
}

void nc_plan_destroy(nc_plan *plan)
{
    if (!plan) return;
    nacre_context *context = plan->context;
    nacre_graph_destroy(plan->graph);
    nc_arena_destroy(&plan->arena);
    nacre_release(context, plan->words);
    nacre_release(context, plan->steps);
    nacre_release(context, plan->patches);
    nacre_release(context, plan->wanted);
    nacre_release_aligned(context, plan->block);
    nacre_release_aligned(context, plan->kept);
    nacre_release(context, plan);
}

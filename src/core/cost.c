/* core/cost.c - what nodes must do at least, and what the machine can do at most. */
#include "core/context.h"
#include "core/graph.h"
#include "core/kernel.h"

#include <nacre/profile.h>

#include <math.h>

static double bytes_of(const nacre_view *views, int count)
{
    double bytes = 0;
    for (int i = 0; i < count; i++)
        if (views[i].shape.rank >= 0)
            bytes += (double)nacre_shape_count(views[i].shape) * (double)nacre_dtype_size(views[i].dtype);
    return bytes;
}

nacre_cost nacre_node_cost(const nacre_node_info *node)
{
    nacre_cost cost = {0};
    if (node->op->flags & (NACRE_OP_LEAF | NACRE_OP_ALIAS) && !(node->op->flags & NACRE_OP_STATEFUL)) return cost;
    cost.bytes = bytes_of(node->inputs, node->input_count) + bytes_of(node->outputs, node->output_count);
    if (node->op->cost) node->op->cost(node, &cost);
    return cost;
}

nacre_cost nacre_graph_cost(nacre_graph *graph)
{
    nacre_cost sum = {0};
    if (!graph) return sum;
    nc_arena arena = nc_arena_create(graph->context);
    for (int i = 0; i < graph->node_count; i++) {
        nacre_node_info info;
        if (!nc_node_info(&arena, graph->context, graph->nodes[i], NACRE_LAYOUT_PLAIN, &info)) break;
        const nacre_cost cost = nacre_node_cost(&info);
        sum.operations += cost.operations;
        sum.bytes += cost.bytes;
    }
    nc_arena_destroy(&arena);
    return sum;
}

/* ---- ceilings ---- */

enum { REPEATS = 10, LENGTH = 1 << 24 /* 64 MiB an array, beyond most caches */ };

nacre_status nacre_ceiling_measure(nacre_context *context, nacre_ceiling *ceiling)
{
    if (!context || !ceiling) return NACRE_ERROR_ARGUMENT;
    *ceiling = (nacre_ceiling){0};
    float *arrays = nacre_allocate_aligned(context, sizeof(float) * 3 * LENGTH);
    if (!arrays) return nacre_check(context);
    for (int64_t i = 0; i < (int64_t)3 * LENGTH; i++) arrays[i] = 1;
    for (int i = 0; i < REPEATS; i++) {
        double start = nacre_seconds();
        double operations = nacre_exercise_arithmetic(context, NACRE_F32);
        ceiling->operations = fmax(ceiling->operations, operations / (nacre_seconds() - start));
        start = nacre_seconds();
        operations = nacre_exercise_arithmetic(context, NACRE_BF16);
        ceiling->half_operations = fmax(ceiling->half_operations, operations / (nacre_seconds() - start));
        start = nacre_seconds();
        nacre_exercise_memory(context, arrays, arrays + LENGTH, arrays + 2 * (size_t)LENGTH, LENGTH);
        ceiling->bytes = fmax(ceiling->bytes, 3.0 * sizeof(float) * LENGTH / (nacre_seconds() - start));
    }
    nacre_release_aligned(context, arrays);
    return NACRE_OK;
}

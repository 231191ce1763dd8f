/* core/graph.c - building graphs. */
#include "core/context.h"
#include "core/graph.h"
#include "core/plan.h"

#include <stdio.h>
#include <string.h>

bool nc_grow(nacre_context *context, void *array, int count, int *capacity, size_t element)
{
    if (count < *capacity) return true;
    int wider = *capacity ? 2 * *capacity : 16;
    void *old;
    memcpy(&old, array, sizeof old);
    void *fresh = nacre_resize(context, old, element * (size_t)wider);
    if (!fresh) return false;
    memcpy(array, &fresh, sizeof fresh);
    *capacity = wider;
    return true;
}

/* ---- life ---- */

nacre_graph *nacre_graph_create(nacre_context *context)
{
    nacre_graph *graph = nacre_allocate(context, sizeof *graph);
    if (!graph) return NULL;
    graph->context = context;
    graph->arena = nc_arena_create(context);
    graph->path = "";
    return graph;
}

void nacre_graph_reset(nacre_graph *graph)
{
    if (!graph) return;
    nc_arena_reset(&graph->arena);
    graph->node_count = graph->word_count = graph->feed_count = graph->model_count = graph->wanted_count = 0;
    graph->segments = 0;
    graph->path = "";
    graph->precision = NACRE_F32;
    nc_plan_drop(graph);
}

void nacre_graph_recompute(nacre_graph *graph, int segments)
{
    if (!graph || graph->segments == segments) return;
    graph->segments = segments;
    nc_plan_drop(graph);
}

void nacre_graph_destroy(nacre_graph *graph)
{
    if (!graph) return;
    nc_plan_drop(graph);
    nc_arena_destroy(&graph->arena);
    nacre_release(graph->context, graph->nodes);
    nacre_release(graph->context, graph->words);
    nacre_release(graph->context, graph->feeds);
    nacre_release(graph->context, graph->models);
    nacre_release(graph->context, graph->wanted);
    nacre_release(graph->context, graph);
}

nacre_context *nacre_graph_context(const nacre_graph *graph)
{
    return graph ? graph->context : NULL;
}

int nacre_graph_node_count(const nacre_graph *graph)
{
    return graph ? graph->node_count : 0;
}

void nacre_graph_set_path(nacre_graph *graph, const char *path)
{
    if (!graph) return;
    if (!path || !*path)
        graph->path = "";
    else if (strcmp(path, graph->path)) {
        const char *copy = nc_arena_text(&graph->arena, path);
        if (copy) graph->path = copy;
    }
}

nacre_status nacre_check_precision(nacre_context *context, nacre_dtype precision)
{
    if (precision == NACRE_F32 || precision == NACRE_BF16 || precision == NACRE_F16) return NACRE_OK;
    return nacre_fail(context, NACRE_ERROR_UNSUPPORTED,
                      "the processor computes in f32, bf16 or f16, not in %s; choose one of these",
                      nacre_dtype_name(precision));
}

nacre_status nacre_graph_set_precision(nacre_graph *graph, nacre_dtype precision)
{
    if (!graph) return NACRE_ERROR_ARGUMENT;
    if (nacre_check_precision(graph->context, precision)) return NACRE_ERROR_UNSUPPORTED;
    if (graph->precision != precision) nc_plan_drop(graph);
    graph->precision = precision;
    return NACRE_OK;
}

nacre_dtype nacre_graph_precision(const nacre_graph *graph)
{
    return graph ? graph->precision : NACRE_F32;
}

/* ---- nodes ---- */

/* `linear "fc1": ...` in front of what the operation has to say. */
static nacre_status fail_at(nacre_graph *graph, const nacre_op *op, nacre_status status, const char *text)
{
    const char *path = graph->path;
    return nacre_fail(graph->context, status, *path ? "%s \"%s\": %s" : "%s%s: %s", op->name, path, text);
}

nacre_status nacre_shape_fail(nacre_shape_call *call, nacre_status status, const char *format, ...)
{
    char text[NC_MESSAGE_SIZE];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    return fail_at(call->graph, call->op, status, text);
}

static bool reserve_words(nacre_graph *graph, int count)
{
    while (graph->word_count + count > graph->word_capacity)
        if (!nc_grow(graph->context, &graph->words, graph->word_capacity, &graph->word_capacity, sizeof(int64_t)))
            return false;
    return true;
}

static bool append_words(nacre_graph *graph, const nc_node *node, int attribute_words)
{
    size_t data_bytes =
        node->data ? (size_t)nacre_shape_count(node->outputs[0].shape) * nacre_dtype_size(node->outputs[0].dtype) : 0;
    int data_words = (int)((data_bytes + 7) / 8);
    if (!reserve_words(graph, 2 + attribute_words + node->input_count + data_words)) return false;
    int64_t *at = graph->words + graph->word_count;
    *at++ = (int64_t)(intptr_t)node->op;
    *at++ = node->input_count;
    for (int i = 0; i < attribute_words; i++) *at++ = node->attributes[i];
    for (int i = 0; i < node->input_count; i++) *at++ = nc_tensor_word(node->inputs[i]);
    if (data_words) {
        at[data_words - 1] = 0;
        memcpy(at, node->data, data_bytes);
        at += data_words;
    }
    graph->word_count = (int)(at - graph->words);
    return true;
}

/* Every required operand is there, all belong to this graph. A missing one is silent if something failed before:
 * then it is only the consequence. */
static bool check_operands(nacre_graph *graph, const nc_op_traits *traits, nacre_tensor *const *inputs, int count)
{
    nacre_context *context = graph->context;
    if (count < traits->required || (count > traits->named && !traits->variadic)) {
        nacre_fail(context, NACRE_ERROR_ARGUMENT, "%s \"%s\": takes operands \"%s\", got %d", traits->op->name,
                   graph->path, traits->op->inputs, count);
        return false;
    }
    for (int i = 0; i < count; i++) {
        if (inputs[i] && inputs[i]->node->graph == graph) continue;
        if (!inputs[i] && i < traits->named && traits->optional >> i & 1) continue;
        if (nacre_check(context) == NACRE_OK)
            nacre_fail(context, NACRE_ERROR_ARGUMENT, "%s \"%s\": operand %d of \"%s\" %s", traits->op->name,
                       graph->path, i + 1, traits->op->inputs, inputs[i] ? "belongs to another graph" : "is missing");
        return false;
    }
    return true;
}

static bool check_outputs(nacre_shape_call *call)
{
    for (int i = 0; i < call->output_count; i++) {
        if (nacre_shape_count(call->shapes[i]) >= 0) continue;
        char text[NACRE_SHAPE_TEXT_SIZE];
        nacre_shape_fail(call, NACRE_ERROR_SHAPE, "the result would have the impossible shape %s",
                         nacre_shape_text(call->shapes[i], text));
        return false;
    }
    return true;
}

nc_node *nc_new_node(nacre_graph *graph, const nacre_op *op, int inputs, int outputs, int words)
{
    if (!nc_grow(graph->context, &graph->nodes, graph->node_count, &graph->node_capacity, sizeof(nc_node *)))
        return NULL;
    size_t head = sizeof(nc_node) + sizeof(nacre_tensor) * (size_t)outputs;
    nc_node *node =
        nc_arena_take(&graph->arena, head + sizeof(int64_t) * (size_t)words + sizeof(nacre_tensor *) * (size_t)inputs);
    if (!node) return NULL;
    *node = (nc_node){.graph = graph,
                      .op = op,
                      .path = graph->path,
                      .name = "",
                      .index = graph->node_count,
                      .input_count = inputs,
                      .output_count = outputs,
                      .backward = graph->differentiating > 0,
                      .attributes = (int64_t *)((char *)node + head)};
    node->inputs = (nacre_tensor **)(node->attributes + words);
    return node;
}

static nacre_tensor *apply(nacre_graph *graph, const nacre_op *op, nacre_tensor *const *inputs, int input_count,
                           const int64_t *attributes, const void *data, const char *name)
{
    const nc_op_traits *traits = op ? nc_traits(op) : NULL;
    if (!graph || !traits || !check_operands(graph, traits, inputs, input_count)) return NULL;

    int64_t words[NACRE_MAX_ATTRIBUTE_WORDS];
    memcpy(words, attributes ? attributes : traits->fallback, sizeof(int64_t) * (size_t)traits->words);
    nacre_shape_call call;
    call.graph = graph;
    call.op = op;
    call.inputs = inputs;
    call.input_count = input_count;
    call.attributes = words;
    call.output_count = traits->outputs;
    if (op->shape(&call) != NACRE_OK || !check_outputs(&call)) return NULL;

    nc_node *node = nc_new_node(graph, op, input_count, call.output_count, traits->words);
    if (!node) return NULL;
    memcpy(node->attributes, words, sizeof(int64_t) * (size_t)traits->words);
    if (input_count) memcpy(node->inputs, inputs, sizeof *inputs * (size_t)input_count);
    for (int i = 0; i < call.output_count; i++)
        node->outputs[i] = (nacre_tensor){.node = node, .output = i, .dtype = call.dtypes[i], .shape = call.shapes[i]};
    node->data = data;
    if (name && !(node->name = nc_arena_text(&graph->arena, name))) return NULL;
    if (!append_words(graph, node, traits->words)) return NULL;
    graph->nodes[graph->node_count++] = node;
    nc_plan_drop(graph);
    return &node->outputs[0];
}

nacre_tensor *nacre_apply(nacre_graph *graph, const nacre_op *op, nacre_tensor *const *inputs, int input_count,
                          const int64_t *attributes)
{
    return apply(graph, op, inputs, input_count, attributes, NULL, NULL);
}

nacre_tensor *nacre_tensor_sibling(nacre_tensor *tensor, int output)
{
    if (!tensor || output < 0 || output >= tensor->node->output_count) return NULL;
    return &tensor->node->outputs[output];
}

bool nacre_graph_node(const nacre_graph *graph, int index, nacre_node_view *view)
{
    if (!graph || index < 0 || index >= graph->node_count) return false;
    const nc_node *node = graph->nodes[index];
    *view = (nacre_node_view){.op = node->op,
                              .path = node->path,
                              .name = node->name,
                              .data = node->data,
                              .inputs = node->inputs,
                              .input_count = node->input_count,
                              .output_count = node->output_count,
                              .attributes = node->attributes};
    return true;
}

nacre_tensor *nacre_graph_node_output(const nacre_graph *graph, int index, int output)
{
    if (!graph || index < 0 || index >= graph->node_count) return NULL;
    return nacre_tensor_sibling(&graph->nodes[index]->outputs[0], output);
}

int nacre_tensor_node(const nacre_tensor *tensor, int *output)
{
    if (!tensor) return -1;
    if (output) *output = tensor->output;
    return tensor->node->index;
}

/* ---- leaves ---- */

/* Leaves have the attributes (index or value), dtype, shape in this order. */
enum { LEAF_WORDS = 3 + NACRE_MAX_RANK };

static void leaf_words(int64_t words[LEAF_WORDS], int64_t first, nacre_dtype dtype, nacre_shape shape)
{
    memset(words, 0, sizeof(int64_t) * LEAF_WORDS);
    words[0] = first;
    words[1] = dtype;
    words[2] = shape.rank;
    memcpy(words + 3, shape.dims, sizeof(int64_t) * (size_t)shape.rank);
}

nacre_tensor *nacre_input(nacre_graph *graph, const char *name, nacre_dtype dtype, nacre_shape shape)
{
    if (!graph || !nc_grow(graph->context, &graph->feeds, graph->feed_count, &graph->feed_capacity, sizeof(nc_feed)))
        return NULL;
    int64_t words[LEAF_WORDS];
    leaf_words(words, graph->feed_count, dtype, shape);
    nacre_tensor *tensor = apply(graph, &nc_op_input, NULL, 0, words, NULL, name ? name : "input");
    if (tensor) graph->feeds[graph->feed_count++] = (nc_feed){.node = tensor->node};
    return tensor;
}

nacre_tensor *nacre_graph_input(nacre_graph *graph, const char *name)
{
    for (int i = 0; graph && name && i < graph->feed_count; i++)
        if (!strcmp(graph->feeds[i].node->name, name)) return &graph->feeds[i].node->outputs[0];
    return NULL;
}

nacre_tensor *nacre_constant(nacre_graph *graph, nacre_dtype dtype, nacre_shape shape, const void *data)
{
    int64_t count = nacre_shape_count(shape);
    if (!graph || !data || count < 0) return NULL;
    size_t bytes = (size_t)count * nacre_dtype_size(dtype);
    void *copy = nc_arena_take(&graph->arena, bytes);
    if (!copy) return NULL;
    memcpy(copy, data, bytes);
    int64_t words[LEAF_WORDS];
    leaf_words(words, 0, dtype, shape);
    return apply(graph, &nc_op_constant, NULL, 0, words, copy, NULL);
}

nacre_tensor *nacre_full(nacre_graph *graph, nacre_dtype dtype, nacre_shape shape, double value)
{
    int64_t words[LEAF_WORDS];
    leaf_words(words, nacre_word(value), dtype, shape);
    return apply(graph, &nc_op_full, NULL, 0, words, NULL, NULL);
}

static int model_ordinal(nacre_graph *graph, nacre_model *model)
{
    for (int i = 0; i < graph->model_count; i++)
        if (graph->models[i].model == model) return i;
    if (!nc_grow(graph->context, &graph->models, graph->model_count, &graph->model_capacity, sizeof(nc_bound_model)))
        return -1;
    graph->models[graph->model_count] = (nc_bound_model){.model = model};
    return graph->model_count++;
}

/* Where the node of a slot is remembered, so that gradients of all its uses meet in one tensor. */
static nacre_tensor **slot_tensor(nacre_graph *graph, nc_bound_model *bound, int slot)
{
    if (slot >= bound->count) {
        int count = nacre_model_count(bound->model) + 16;
        nacre_tensor **tensors = nc_arena_take(&graph->arena, sizeof *tensors * (size_t)count);
        if (!tensors) return NULL;
        memset(tensors, 0, sizeof *tensors * (size_t)count);
        if (bound->count) memcpy(tensors, bound->tensors, sizeof *tensors * (size_t)bound->count);
        bound->tensors = tensors;
        bound->count = count;
    }
    return &bound->tensors[slot];
}

nacre_tensor *nacre_model_tensor(nacre_graph *graph, nacre_model *model, int slot)
{
    nacre_entry entry;
    if (!graph || !nacre_model_entry(model, slot, &entry)) return NULL;
    int ordinal = model_ordinal(graph, model);
    nacre_tensor **tensor = ordinal < 0 ? NULL : slot_tensor(graph, &graph->models[ordinal], slot);
    if (!tensor || *tensor) return tensor ? *tensor : NULL;
    int64_t words[LEAF_WORDS];
    const int64_t state = entry.role == NACRE_ENTRY_STATE ? NC_STATE_ENTRY : 0;
    leaf_words(words, (int64_t)ordinal << 32 | state | slot, entry.dtype, entry.shape);
    return *tensor = apply(graph, &nc_op_parameter, NULL, 0, words, NULL, entry.path);
}

/* ---- asking ---- */

nacre_dtype nacre_tensor_dtype(const nacre_tensor *tensor)
{
    return tensor ? tensor->dtype : NACRE_F32;
}

nacre_shape nacre_tensor_shape(const nacre_tensor *tensor)
{
    return tensor ? tensor->shape : NACRE_SCALAR;
}

int64_t nacre_tensor_dim(const nacre_tensor *tensor, int axis)
{
    if (!tensor) return 0;
    if (axis < 0) axis += tensor->shape.rank;
    return axis >= 0 && axis < tensor->shape.rank ? tensor->shape.dims[axis] : 0;
}

int nacre_tensor_rank(const nacre_tensor *tensor)
{
    return tensor ? tensor->shape.rank : 0;
}

int64_t nacre_tensor_count(const nacre_tensor *tensor)
{
    return tensor ? nacre_shape_count(tensor->shape) : 0;
}

nacre_graph *nacre_tensor_graph(const nacre_tensor *tensor)
{
    return tensor ? tensor->node->graph : NULL;
}

/* ---- what a run needs ---- */

static nc_feed *feed_of(nacre_tensor *input)
{
    if (!input) return NULL;
    nacre_graph *graph = input->node->graph;
    if (input->node->op == &nc_op_input) return &graph->feeds[input->node->attributes[0]];
    nacre_fail(graph->context, NACRE_ERROR_ARGUMENT, "only inputs are fed, this is the result of %s",
               input->node->op->name);
    return NULL;
}

nacre_status nacre_feed(nacre_tensor *input, const void *data)
{
    nc_feed *feed = feed_of(input);
    if (!feed) return NACRE_ERROR_ARGUMENT;
    feed->data = data;
    feed->is_scalar = false;
    nacre_transfers *transfers = &input->node->graph->context->transfers;
    transfers->borrowed_calls++;
    transfers->borrowed_bytes += nacre_tensor_count(input) * (int64_t)nacre_dtype_size(input->dtype);
    return NACRE_OK;
}

nacre_status nacre_feed_scalar(nacre_tensor *input, double value)
{
    nc_feed *feed = feed_of(input);
    if (!feed) return NACRE_ERROR_ARGUMENT;
    if (nacre_tensor_count(input) != 1)
        return nacre_fail(input->node->graph->context, NACRE_ERROR_SHAPE, "input \"%s\" is not a scalar",
                          input->node->name);
    nacre_dtype_store(input->dtype, &feed->scalar, 0, value);
    feed->data = NULL;
    feed->is_scalar = true;
    input->node->graph->context->transfers.in_calls++;
    input->node->graph->context->transfers.in_bytes += (int64_t)nacre_dtype_size(input->dtype);
    return NACRE_OK;
}

nacre_status nacre_output(nacre_tensor *tensor)
{
    if (!tensor) return NACRE_ERROR_ARGUMENT;
    nacre_graph *graph = tensor->node->graph;
    for (int i = 0; i < graph->wanted_count; i++)
        if (graph->wanted[i] == tensor) return NACRE_OK;
    if (!nc_grow(graph->context, &graph->wanted, graph->wanted_count, &graph->wanted_capacity, sizeof tensor))
        return NACRE_ERROR_MEMORY;
    graph->wanted[graph->wanted_count++] = tensor;
    nc_plan_drop(graph);
    return NACRE_OK;
}

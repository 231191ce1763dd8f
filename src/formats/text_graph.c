/* formats/text_graph.c - any graph as a model text of operations. */
#include "formats/text.h"

#include <nacre/layer.h>

#include <stdio.h>
#include <string.h>

/* Values are called t0, t1, ... after their nodes; further results of a node t5_1, t5_2. Inputs keep their names. */
typedef struct printer {
    const nacre_graph *graph;
    const nacre_model *model;
    nacre_buffer *out;
} printer;

static nacre_context *context_of(const printer *p)
{
    return nacre_graph_context(p->graph);
}

/* ---- names ---- */

static bool is_op(const nacre_node_view *node, const char *name)
{
    return strcmp(node->op->name, name) == 0;
}

/* t12, which is also what nodes are called. */
static bool looks_generated(const char *name)
{
    return name[0] == 't' && name[1] >= '0' && name[1] <= '9';
}

/* Whether an input's own name can stand for it. */
static bool keeps_name(const nacre_node_view *node)
{
    return is_op(node, "input") && nc_is_name(node->name) && !looks_generated(node->name) &&
           strcmp(node->name, "N") != 0;
}

static void print_value(const printer *p, const nacre_tensor *tensor)
{
    int output;
    nacre_node_view node;
    int index = nacre_tensor_node(tensor, &output);
    nacre_graph_node(p->graph, index, &node);
    if (keeps_name(&node))
        nacre_buffer_print(p->out, "%s", node.name);
    else
        nacre_buffer_print(p->out, output ? "t%d_%d" : "t%d", index, output);
}

/* As it stands if it can, else between quotes, which cannot hold everything. */
static nacre_status print_path(const printer *p, const char *path)
{
    if (strpbrk(path, "\"\n") || !nacre_is_utf8(path, strlen(path)))
        return nacre_fail(context_of(p), NACRE_ERROR_UNSUPPORTED, "the name '%.100s' cannot be written in a model text",
                          path);
    nacre_buffer_print(p->out, nc_is_path(path) ? " as %s" : " as \"%s\"", path);
    return NACRE_OK;
}

/* ---- leaves ---- */

static void print_type(const printer *p, const nacre_tensor *tensor)
{
    char shape[NACRE_SHAPE_TEXT_SIZE];
    nacre_buffer_print(p->out, " %s%s", nacre_dtype_name(nacre_tensor_dtype(tensor)),
                       nacre_shape_text(nacre_tensor_shape(tensor), shape));
}

static void print_declaration(const printer *p, const char *word, const nacre_tensor *tensor)
{
    nacre_buffer_print(p->out, "%s ", word);
    print_value(p, tensor);
    print_type(p, tensor);
}

static nacre_status print_input(const printer *p, const nacre_node_view *node, const nacre_tensor *tensor)
{
    print_declaration(p, "input", tensor);
    return keeps_name(node) ? NACRE_OK : print_path(p, node->name);
}

static nacre_status print_entry(const printer *p, const nacre_node_view *node, const nacre_tensor *tensor)
{
    static const char *const roles[NACRE_ENTRY_ROLES] = {
        [NACRE_ENTRY_PARAMETER] = "parameter", [NACRE_ENTRY_BUFFER] = "buffer", [NACRE_ENTRY_STATE] = "state"};
    nacre_entry entry = {.role = NACRE_ENTRY_PARAMETER};
    int slot = p->model ? nacre_model_find(p->model, node->name) : -1;
    if (slot >= 0) nacre_model_entry(p->model, slot, &entry);
    print_declaration(p, roles[entry.role], tensor);
    return print_path(p, node->name);
}

static void print_constant(const printer *p, const nacre_node_view *node, const nacre_tensor *tensor)
{
    nacre_dtype dtype = nacre_tensor_dtype(tensor);
    print_declaration(p, "constant", tensor);
    nacre_buffer_print(p->out, " = [");
    for (int64_t i = 0; i < nacre_tensor_count(tensor); i++) {
        if (i) nacre_buffer_put(p->out, ", ", 2);
        if (dtype == NACRE_I64)
            nacre_buffer_print(p->out, "%lld", (long long)((const int64_t *)node->data)[i]);
        else
            nacre_buffer_number(p->out, nacre_dtype_load(dtype, node->data, i));
    }
    nacre_buffer_put(p->out, "]", 1);
}

/* ---- operations ---- */

/* A comma, unless nothing stands yet after the bracket at `start`. */
static void separate(const printer *p, size_t start)
{
    if (p->out->size > start) nacre_buffer_put(p->out, ", ", 2);
}

static void print_attribute(const printer *p, const nacre_attribute *attribute, const int64_t *words)
{
    bool is_list = attribute->type == NACRE_ATTRIBUTE_INTS;
    nacre_buffer_print(p->out, "%s=%s", attribute->name, is_list ? "[" : "");
    if (!is_list) nacre_attribute_print(attribute, words, p->out);
    for (int64_t i = 0; is_list && i < words[0]; i++)
        nacre_buffer_print(p->out, "%s%lld", i ? ", " : "", (long long)words[1 + i]);
    if (is_list) nacre_buffer_put(p->out, "]", 1);
}

/* Attributes that differ from their defaults. */
static void print_attributes(const printer *p, const nacre_node_view *node, size_t start)
{
    int64_t defaults[NACRE_MAX_ATTRIBUTE_WORDS];
    nacre_op_attribute_defaults(node->op, defaults);
    const nacre_attribute *attributes = node->op->attributes;
    for (int i = 0; i < NACRE_MAX_ATTRIBUTES && attributes[i].type != NACRE_ATTRIBUTE_NONE; i++) {
        int offset = nacre_op_attribute_offset(node->op, i);
        size_t words = attributes[i].type == NACRE_ATTRIBUTE_INTS ? (size_t)attributes[i].limit + 1 : 1;
        bool is_default = memcmp(&defaults[offset], &node->attributes[offset], words * sizeof(int64_t)) == 0;
        if (is_default && !attributes[i].required) continue;
        separate(p, start);
        print_attribute(p, &attributes[i], &node->attributes[offset]);
    }
}

/* The name of operand `index` for where an optional one before it is left out. */
static void print_operand_name(const printer *p, const nacre_op *op, int index)
{
    const char *at = op->inputs;
    while (index-- > 0) {
        at += strcspn(at, " ");
        at += strspn(at, " ");
    }
    at += *at == '?';
    nacre_buffer_print(p->out, "%.*s=", (int)strcspn(at, " *"), at);
}

static void print_operands(const printer *p, const nacre_node_view *node, size_t start)
{
    bool is_gap = false; /* a tensor after one that is left out needs its name */
    for (int i = 0; i < node->input_count; i++) {
        if (!node->inputs[i]) {
            is_gap = true;
            continue;
        }
        separate(p, start);
        if (is_gap) print_operand_name(p, node->op, i);
        print_value(p, node->inputs[i]);
    }
}

static nacre_status print_call(const printer *p, int index, const nacre_node_view *node)
{
    size_t line = p->out->size;
    for (int i = 0; i < node->output_count; i++) {
        separate(p, line);
        print_value(p, nacre_graph_node_output(p->graph, index, i));
    }
    nacre_buffer_print(p->out, " = %s%s(", nacre_layer_find(node->op->name) ? "op." : "", node->op->name);
    size_t start = p->out->size;
    print_operands(p, node, start);
    print_attributes(p, node, start);
    nacre_buffer_put(p->out, ")", 1);

    char own[16]; /* the path that it gets without being told */
    snprintf(own, sizeof own, "t%d", index);
    return *node->path && strcmp(node->path, own) != 0 ? print_path(p, node->path) : NACRE_OK;
}

static nacre_status print_node(const printer *p, int index)
{
    nacre_node_view node;
    nacre_graph_node(p->graph, index, &node);
    const nacre_tensor *tensor = nacre_graph_node_output(p->graph, index, 0);
    nacre_buffer_put(p->out, "  ", 2);
    nacre_status status = NACRE_OK;
    if (is_op(&node, "input"))
        status = print_input(p, &node, tensor);
    else if (is_op(&node, "parameter"))
        status = print_entry(p, &node, tensor);
    else if (is_op(&node, "constant"))
        print_constant(p, &node, tensor);
    else
        status = print_call(p, index, &node);
    nacre_buffer_put(p->out, "\n", 1);
    return status;
}

nacre_status nacre_text_from_graph(const nacre_graph *graph, const nacre_model *model, nacre_tensor *const *outputs,
                                   int output_count, const char *name, nacre_buffer *text)
{
    printer p = {.graph = graph, .model = model, .out = text};
    for (int i = 0; i < output_count; i++)
        if (nacre_tensor_graph(outputs[i]) != graph) output_count = 0;
    if (output_count == 0)
        return nacre_fail(context_of(&p), NACRE_ERROR_ARGUMENT,
                          "a model text returns one tensor of its graph at least");
    nacre_buffer_print(text, "model %s\n", name && nc_is_name(name) ? name : "graph");
    for (int i = 0; i < nacre_graph_node_count(graph); i++) {
        nacre_status status = print_node(&p, i);
        if (status != NACRE_OK) return status;
    }
    for (int i = 0; i < output_count; i++) {
        nacre_buffer_print(text, i ? ", " : "  return ");
        print_value(&p, outputs[i]);
    }
    nacre_buffer_print(text, "\nend\n");
    return text->failed ? NACRE_ERROR_MEMORY : NACRE_OK;
}

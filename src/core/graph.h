/* core/graph.h - nodes, and the words by which two graphs are compared. */
#ifndef NC_CORE_GRAPH_H
#define NC_CORE_GRAPH_H

#include "core/arena.h"
#include "core/registry.h"

typedef struct nc_node nc_node;

struct nacre_tensor {
    nc_node *node;
    int output;
    nacre_dtype dtype;
    bool channels_last; /* memory order, chosen by the layout pass */
    nacre_shape shape;
};

struct nc_node {
    nacre_graph *graph;
    const nacre_op *op;
    const char *path; /* "" if none */
    const char *name; /* of an input */
    const void *data; /* of a constant */
    const nacre_chain *chain;
    int64_t *attributes;
    nacre_tensor **inputs;
    int index, input_count, output_count;
    int repetition; /* > 0: computes once more what another node has computed; not to be merged with it */
    bool backward;  /* made by differentiation */
    nacre_tensor outputs[];
};

/* What the caller has bound to an input node. Scalars are copied into `scalar`. */
typedef struct nc_feed {
    nc_node *node;
    const void *data;
    bool is_scalar;
    union {
        double f64;
        int64_t i64;
    } scalar;
} nc_feed;

/* A model that nodes of a graph refer to, with the one node of each slot that has been asked for. */
/* Set in a parameter leaf's first word, beside the slot, if the entry's role is state. */
#define NC_STATE_ENTRY (INT64_C(1) << 31)

typedef struct nc_bound_model {
    nacre_model *model;
    nacre_tensor **tensors; /* by slot, in the graph's arena */
    int count;
} nc_bound_model;

struct nacre_graph {
    nacre_context *context;
    nc_arena arena;
    nc_node **nodes;
    int node_count, node_capacity;
    const char *path;
    int differentiating;   /* > 0: nodes are being made by gradient rules */
    int segments;          /* as nacre_graph_recompute was told */
    nacre_dtype precision; /* of what the precision pass makes narrow; f32: it does nothing */

    /* The structure as words: per node its operation, attributes and operands; then, while running, the outputs. */
    int64_t *words;
    int word_count, word_capacity;

    nc_feed *feeds;
    int feed_count, feed_capacity;
    nc_bound_model *models;
    int model_count, model_capacity;
    nacre_tensor **wanted;
    int wanted_count, wanted_capacity;

    struct nc_plan *plan; /* of the last run or nacre_plan; dropped when a node or an output is added */
};

/* Grows `*array` so that one more element fits. */
bool nc_grow(nacre_context *context, void *array, int count, int *capacity, size_t element);
/* A node with room for its parts, not yet in the graph's list: attributes, operands and outputs are the caller's. */
nc_node *nc_new_node(nacre_graph *graph, const nacre_op *op, int inputs, int outputs, int words);
/* Operand `index` as (node, output), -1 for an absent one. */
static inline int64_t nc_tensor_word(const nacre_tensor *tensor)
{
    return tensor ? (int64_t)tensor->node->index * NACRE_MAX_OUTPUTS + tensor->output : -1;
}

#endif

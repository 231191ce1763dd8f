/* graph.h - tensors, graphs, gradients, running.
 *
 * Define by run, run by plan: calling operations (ops.h) or layers (nn.h) appends nodes to a graph; nacre_run
 * hashes the graph's structure, finds or makes the plan for it, and executes the plan.
 *
 *     nacre_graph *g = nacre_graph_create(ctx);
 *     nacre_tensor *x = nacre_input(g, "x", NACRE_F32, NACRE_SHAPE(2, 3));
 *     nacre_tensor *y = nacre_sum(nacre_mul(x, x), NULL);
 *     nacre_tensor *dx;
 *     nacre_gradients(y, &x, 1, &dx);
 *     nacre_feed(x, values);
 *     nacre_output(y); nacre_output(dx);
 *     nacre_run(g);
 *     nacre_read(dx, result, sizeof result);
 *
 * A nacre_tensor * is borrowed from its graph: valid until nacre_graph_reset or nacre_graph_destroy. Nodes run in
 * the order in which they were built; a node that changes state (assignments, optimizer updates, running
 * statistics) is seen by the nodes built after it and not by those built before.
 */
#ifndef NACRE_GRAPH_H
#define NACRE_GRAPH_H

#include <nacre/base.h>
#ifdef __cplusplus
extern "C" {
#endif

typedef struct nacre_graph nacre_graph;
typedef struct nacre_tensor nacre_tensor;
typedef struct nacre_model nacre_model;

/* ---- graphs --------------------------------------------------------------------------------------------------- */

NACRE_API nacre_graph *nacre_graph_create(nacre_context *context);
NACRE_API void nacre_graph_reset(nacre_graph *graph); /* forgets all nodes, keeps the memory and the plans */
NACRE_API void nacre_graph_destroy(nacre_graph *graph);
NACRE_API nacre_context *nacre_graph_context(const nacre_graph *graph); /* NULL for NULL */
NACRE_API int nacre_graph_node_count(const nacre_graph *graph);

/* Nodes built from now on carry this text in messages, profiles and plans ("layer1.0.conv1"); NULL ends it. The
 * text is copied. Layers do this by themselves. */
NACRE_API void nacre_graph_set_path(nacre_graph *graph, const char *path);

/* Mixed precision: f32 (the default), bf16 or f16. The graph stays an f32 graph to its owner - inputs, outputs,
 * parameters, gradients of parameters - and the plan computes inside in 16 bits what the lists of torch.autocast
 * compute so: products, convolutions and attention take 16-bit operands and sum in f32; exponentials, sums,
 * probabilities and losses are f32; norms take data as it comes and keep their statistics in f32; the rest follows its
 * operands. Parameters are rounded once per run. f16 reaches 65504 only: scale the loss (nacre_scaler, train.h).
 * nacre_graph_reset goes back to f32. Other types are NACRE_ERROR_UNSUPPORTED. */
NACRE_API nacre_status nacre_graph_set_precision(nacre_graph *graph, nacre_dtype precision);
/* The same error without a graph: whether the context's device computes in this precision. */
NACRE_API nacre_status nacre_check_precision(nacre_context *context, nacre_dtype precision);
NACRE_API nacre_dtype nacre_graph_precision(const nacre_graph *graph); /* NACRE_F32 for NULL */

/* ---- leaves --------------------------------------------------------------------------------------------------- */

/* A value fed before each run. The name is for messages and nacre_graph_input. */
NACRE_API nacre_tensor *nacre_input(nacre_graph *graph, const char *name, nacre_dtype dtype, nacre_shape shape);
NACRE_API nacre_tensor *nacre_graph_input(nacre_graph *graph, const char *name); /* by name, NULL if there is none */
/* A value that belongs to the structure: the bytes are copied into the graph and are part of what plans are
 * compared by, so keep it small and never put anything into it that changes per step. */
NACRE_API nacre_tensor *nacre_constant(nacre_graph *graph, nacre_dtype dtype, nacre_shape shape, const void *data);
/* Every element the same number. */
NACRE_API nacre_tensor *nacre_full(nacre_graph *graph, nacre_dtype dtype, nacre_shape shape, double value);
/* Entry `slot` of a model (model.h): the same tensor each time it is asked for in one graph. Layers call it by path
 * (nacre_parameter); trainers call it by slot to name what gradients are wanted of. */
NACRE_API nacre_tensor *nacre_model_tensor(nacre_graph *graph, nacre_model *model, int slot);

/* ---- asking a tensor ------------------------------------------------------------------------------------------ */

NACRE_API nacre_dtype nacre_tensor_dtype(const nacre_tensor *tensor);
NACRE_API nacre_shape nacre_tensor_shape(const nacre_tensor *tensor);     /* rank 0 for NULL */
NACRE_API int64_t nacre_tensor_dim(const nacre_tensor *tensor, int axis); /* negative axes count from the end */
NACRE_API int nacre_tensor_rank(const nacre_tensor *tensor);
NACRE_API int64_t nacre_tensor_count(const nacre_tensor *tensor);
NACRE_API nacre_graph *nacre_tensor_graph(const nacre_tensor *tensor); /* NULL for NULL */
/* Another result of the operation that made it: 0 is the one that its function returned. NULL if there is none. */
NACRE_API nacre_tensor *nacre_tensor_sibling(nacre_tensor *tensor, int output);

/* ---- gradients ------------------------------------------------------------------------------------------------ */

/* Appends the nodes that compute d loss / d wrt[i] and stores their tensors in grads[i] (shape and dtype of
 * wrt[i]; zeros where the loss does not depend on it). `loss` is a scalar. The result are ordinary nodes, so
 * calling it again on them gives second derivatives. */
NACRE_API nacre_status nacre_gradients(nacre_tensor *loss, nacre_tensor *const *wrt, int count, nacre_tensor **grads);
/* The vector-Jacobian product: sum over o of seeds[o] . d outputs[o] / d wrt[i]. A NULL seed counts as zeros. */
NACRE_API nacre_status nacre_vjp(nacre_tensor *const *outputs, nacre_tensor *const *seeds, int output_count,
                                 nacre_tensor *const *wrt, int count, nacre_tensor **grads);
/* Trades time for memory: the part of the graph before the first gradient is cut into `segments` parts where a single
 * tensor crosses; the gradient keeps only those tensors and computes the rest again, part by part, with the same bits
 * (random draws too; running statistics are updated once). About one forward pass more; the usual number is the square
 * root of the number of blocks, which NACRE_RECOMPUTE_AUTO takes. 0, the default: everything is kept. Chen et al.
 * 2016. */
enum { NACRE_RECOMPUTE_AUTO = -1 };
NACRE_API void nacre_graph_recompute(nacre_graph *graph, int segments);
/* The same value, but gradients do not flow through. */
NACRE_API nacre_tensor *nacre_stop_gradient(nacre_tensor *x);

/* ---- running -------------------------------------------------------------------------------------------------- */

/* Binds an input for the following runs. The memory is read during nacre_run, dense and row-major, and stays the
 * caller's. */
NACRE_API nacre_status nacre_feed(nacre_tensor *input, const void *data);
/* The same for a scalar input: the value is converted and copied. */
NACRE_API nacre_status nacre_feed_scalar(nacre_tensor *input, double value);
/* Marks a tensor as wanted, so that nacre_read finds it after the run. */
NACRE_API nacre_status nacre_output(nacre_tensor *tensor);
/* Runs what the marked outputs and the state-changing nodes need. Same structure as an earlier run of any graph of
 * this context: the plan is reused (microseconds). Fails with NACRE_ERROR_STATE if an input has no data. */
NACRE_API nacre_status nacre_run(nacre_graph *graph);
/* Copies a marked output of the last run out: dense, row-major, in the tensor's dtype. `size` in bytes must be
 * exactly the tensor's. */
NACRE_API nacre_status nacre_read(nacre_tensor *tensor, void *data, size_t size);
NACRE_API double nacre_read_scalar(nacre_tensor *tensor); /* NaN and a recorded failure if it is not one number */

/* What has crossed between the program's memory and the device's since the context was created. On the CPU both are one
 * memory: what is fed is read in place, scalars and results are copied. Whoever reads a scalar after every run makes
 * program and device wait for each other; after a thousand such runs in a row a message (NACRE_LOG_DEBUG) names it. */
typedef struct nacre_transfers {
    int64_t runs;
    int64_t borrowed_calls, borrowed_bytes; /* nacre_feed: no copy */
    int64_t in_calls, in_bytes;             /* nacre_feed_scalar: copied to the device */
    int64_t out_calls, out_bytes;           /* nacre_read, nacre_read_scalar: copied from it */
    int64_t scalar_reads;                   /* of out_calls */
    char scalar[96];                        /* which was read last: "mean of loss" */
} nacre_transfers;
NACRE_API nacre_transfers nacre_transfer_statistics(const nacre_context *context);

/* ---- plans ---------------------------------------------------------------------------------------------------- */

typedef struct nacre_plan_info {
    int nodes;               /* after passes */
    size_t activation_bytes; /* the one packed block */
    size_t unpacked_bytes;   /* what the same tensors would take without reuse */
    size_t workspace_bytes;  /* the largest kernel workspace, inside activation_bytes */
    size_t prepared_bytes;   /* beside them: packed weights and what else follows from the parameters */
    int plans, hits, misses; /* of the context's plan cache so far */
} nacre_plan_info;

/* Compiles (if need be) without running. */
NACRE_API nacre_status nacre_plan(nacre_graph *graph, nacre_plan_info *info);

/* One call per step of the plan, in order: what runs, on what, and why not something faster. */
typedef struct nacre_plan_step {
    int index;
    const char *op, *path, *variant; /* variant: the kernel taken */
    const char *signature;           /* "f32[128,1,28,28] f32[32,1,3,3] -> f32[128,32,28,28] stride=1,1" */
    const char *refusals;            /* "direct_avx512: groups 2 != 1; ..." or "" */
    const char *times;               /* of the kernels that were timed, "winograd_avx512 41.0 us, ...", or "" */
    size_t output_bytes, workspace_bytes, offset;
    bool in_place;
    bool once;             /* depends on parameters alone: runs again only after they have changed */
    size_t prepared_bytes; /* weights in the kernel's own order */
} nacre_plan_step;
NACRE_API nacre_status nacre_plan_visit(nacre_graph *graph, void (*visit)(void *user, const nacre_plan_step *step),
                                        void *user);

#ifdef __cplusplus
}
#endif

#endif

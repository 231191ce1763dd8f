/* backend.h - what an operation is and how a kernel is written. UNSTABLE: for kernels, importers and tools.
 *
 * An operation (nacre_op) says what something means: its operands, attributes, shape rule, gradient rule, a plain
 * reference kernel, a page of text and the cases it is tested with. One `const` descriptor per operation, listed in
 * src/ops/ops.def. A kernel (nacre_kernel) says how to do it fast where its `can` agrees. One harness runs every
 * case as every variant against the reference and checks the gradient by finite differences.
 */
#ifndef NACRE_BACKEND_H
#define NACRE_BACKEND_H

#include <nacre/graph.h>
#include <nacre/io.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct nacre_op nacre_op;

/* ---- attributes ------------------------------------------------------------------------------------------------ */

/* The schema drives the typed builders' storage, the model text, ONNX attributes, hashing and the generated docs.
 * A node stores its attributes as int64_t words in schema order: INT, BOOL, ENUM (index into `choices`), DTYPE and
 * FLOAT (the double's bits) take one word, INTS takes 1 + limit words (count first, unused ones zero). */
typedef enum nacre_attribute_type {
    NACRE_ATTRIBUTE_NONE, /* ends a list */
    NACRE_ATTRIBUTE_INT,
    NACRE_ATTRIBUTE_FLOAT,
    NACRE_ATTRIBUTE_BOOL,
    NACRE_ATTRIBUTE_INTS,
    NACRE_ATTRIBUTE_ENUM,
    NACRE_ATTRIBUTE_DTYPE
} nacre_attribute_type;

typedef struct nacre_attribute {
    const char *name;
    nacre_attribute_type type;
    double fallback; /* default; for INTS every element of an absent list counts as this */
    bool required;
    int limit;           /* INTS: most elements */
    const char *choices; /* ENUM: "zeros|reflect|replicate" */
    const char *doc;
} nacre_attribute;

#define NACRE_MAX_ATTRIBUTES      10
#define NACRE_MAX_ATTRIBUTE_WORDS 48

NACRE_API int nacre_op_attribute_words(const nacre_op *op);             /* words of one node */
NACRE_API int nacre_op_attribute_offset(const nacre_op *op, int index); /* first word of attribute `index` */
/* Attribute words from and to text, as in case strings and model text: "2,1", "1e-5", "true", "relu", "f32". Parsing
 * writes at `word` (the attribute's first word) and returns false if the text does not fit the type. Printing is
 * shortest and parses back to the same words. */

NACRE_API bool nacre_attribute_parse(const nacre_attribute *attribute, const char *text, int64_t *word);
NACRE_API void nacre_attribute_print(const nacre_attribute *attribute, const int64_t *word, nacre_buffer *buffer);
/* The schema's index of a name, -1 if there is none; and all defaults into words[0 .. nacre_op_attribute_words). */
NACRE_API int nacre_op_attribute_find(const nacre_op *op, const char *name);
NACRE_API void nacre_op_attribute_defaults(const nacre_op *op, int64_t *words);

static inline int64_t nacre_word(double value) /* FLOAT as a word, and back */
{
    union {
        double d;
        int64_t i;
    } u = {.d = value};
    return u.i;
}
static inline double nacre_unword(int64_t word)
{
    union {
        double d;
        int64_t i;
    } u = {.i = word};
    return u.d;
}

/* ---- rules ------------------------------------------------------------------------------------------------------ */

#define NACRE_MAX_OUTPUTS 8

/* Shape rule. Fill `shapes` and `dtypes` of each output; attributes may be normalised in place (negative axes,
 * absent lists). On a fault return nacre_shape_fail(...), which names the operation and its path. An absent optional
 * operand is NULL. */
typedef struct nacre_shape_call {
    nacre_graph *graph;
    const nacre_op *op;
    nacre_tensor *const *inputs;
    int input_count;
    int64_t *attributes;
    nacre_shape shapes[NACRE_MAX_OUTPUTS];
    nacre_dtype dtypes[NACRE_MAX_OUTPUTS];
    int output_count; /* preset to the operation's; a variadic operation may change it */
} nacre_shape_call;
NACRE_API nacre_status nacre_shape_fail(nacre_shape_call *call, nacre_status status, const char *format, ...)
    NACRE_PRINTF(3, 4);

/* Gradient rule: fill input_grads[i] (left NULL: zero) for each i with wanted[i], by building ordinary nodes.
 * output_grads[o] is NULL where no gradient arrives. The engine adds up over several uses. */
typedef struct nacre_gradient_call {
    nacre_graph *graph;
    const nacre_op *op;
    nacre_tensor *const *inputs;
    int input_count;
    nacre_tensor *const *outputs;
    nacre_tensor *const *output_grads;
    int output_count;
    const int64_t *attributes;
    const bool *wanted;
    nacre_tensor **input_grads;
} nacre_gradient_call;

/* ---- kernels ---------------------------------------------------------------------------------------------------- */

/* A dense block of elements seen as a shape. Strides are in elements; row-major unless the layout pass chose
 * channels-last (strides of N,C,H,W then are H*W*C, 1, W*C, C). data is NULL for an absent optional operand. */
typedef struct nacre_view {
    void *data;
    nacre_dtype dtype;
    nacre_shape shape;
    int64_t strides[NACRE_MAX_RANK];
} nacre_view;

typedef struct nacre_team nacre_team; /* the compute threads */

/* The program of a "fused" node: element-wise operations over operands that broadcast to the node's shape. Step k
 * computes `op` on its sources; source s >= 0 is the node's operand s, s < 0 is the result of step -1-s. The last
 * step is the node's output. Intermediate results have dtypes of their own (`dtype` of each step). */
enum { NACRE_CHAIN_MAX_STEPS = 24, NACRE_CHAIN_MAX_SOURCES = 3 };
typedef struct nacre_chain_step {
    const nacre_op *op;
    const int64_t *attributes;
    nacre_dtype dtype;
    int source_count;
    int sources[NACRE_CHAIN_MAX_SOURCES];
} nacre_chain_step;
typedef struct nacre_chain {
    int count;
    nacre_chain_step steps[NACRE_CHAIN_MAX_STEPS];
} nacre_chain;

typedef struct nacre_call {
    const nacre_op *op;
    const int64_t *attributes;
    const nacre_view *inputs;
    int input_count;
    nacre_view *outputs;
    int output_count;
    void *workspace; /* 64-byte aligned, as many bytes as the kernel asked for */
    void *prepared;  /* the same for what `prepare` fills */
    nacre_team *team;
    const nacre_chain *chain; /* of a "fused" node, else NULL */
} nacre_call;

/* Runs body(user, index, thread) for each index in [0, count) on the team, this thread included; `thread` is in
 * [0, nacre_team_size). Returns when all are done. Nested calls run serially. Which thread takes which index is not
 * fixed, so a result must not depend on it. */
NACRE_API void nacre_parallel(nacre_team *team, int64_t count, void (*body)(void *user, int64_t index, int thread),
                              void *user);
NACRE_API int nacre_team_size(const nacre_team *team);

/* What the processor can do at most, for kernels to be measured against: time these calls. The first does multiply-adds
 * in registers on all compute threads, some milliseconds long, and returns how many operations that were (two a
 * multiply-add): of f32 numbers, or for NACRE_BF16 of pairs of bf16 with f32 sums where the processor has that; the
 * second a[i] = b[i] + 0.5 c[i], and returns the bytes read and written; the third reads `bytes` bytes in order, most
 * of a token's work in a language model, and returns how many it read (whole cache lines). */
NACRE_API double nacre_exercise_arithmetic(nacre_context *context, nacre_dtype dtype);
NACRE_API double nacre_exercise_memory(nacre_context *context, float *a, const float *b, const float *c, int64_t count);
NACRE_API double nacre_exercise_reading(nacre_context *context, const void *data, size_t bytes);

/* Memory orders a kernel can work in. */
typedef enum nacre_layout { NACRE_LAYOUT_PLAIN, NACRE_LAYOUT_CHANNELS_LAST } nacre_layout;

typedef struct nacre_node_info { /* what a kernel may know when it is asked whether it can */
    const nacre_op *op;
    const int64_t *attributes;
    const nacre_view *inputs; /* shapes and strides only; data is NULL, absent operands have rank -1 */
    int input_count;
    const nacre_view *outputs;
    int output_count;
    const nacre_chain *chain;
    int threads;
    bool deterministic;
} nacre_node_info;

/* What a node must do at least, whatever the kernel. Multiply-adds count as two operations, those of matrix products
 * and convolutions only; padding taps and the masked half of causal attention count as if computed. */
typedef struct nacre_cost {
    double operations;
    double bytes; /* operands read and results written, each once */
} nacre_cost;
NACRE_API nacre_cost nacre_node_cost(const nacre_node_info *node);
/* The sum over all nodes as they were built, before any pass: what a step of a workload is said to cost. */
NACRE_API nacre_cost nacre_graph_cost(nacre_graph *graph);

enum {
    NACRE_KERNEL_IN_PLACE = 1,      /* output 0 may be input 0's memory */
    NACRE_KERNEL_CHANNELS_LAST = 2, /* wants its rank-4 data operands channels-last; refuses plain ones */
    NACRE_KERNEL_ANY_LAYOUT = 4,    /* works in either, all data operands alike */
    NACRE_KERNEL_NONDETERMINISTIC = 8,
    NACRE_KERNEL_MIXED = 16,     /* takes f32 and 16-bit floats side by side; others are not asked about such nodes */
    NACRE_KERNEL_READS_ONCE = 32 /* waits for its largest operand, read once from its begin on: idle threads fetch it */
};

typedef struct nacre_kernel {
    const char *op, *variant; /* "conv", "direct_avx512" */
    unsigned flags;
    const char *(*can)(const nacre_node_info *node); /* NULL: yes; else the reason why not */
    /* Why another kernel is likely to be faster though this one can, NULL if none is: where nothing is measured, the
     * first that can and is not passed over here is taken. NULL: never. */
    const char *(*slower)(const nacre_node_info *node);
    size_t (*workspace)(const nacre_node_info *node); /* NULL: none */
    void (*run)(const nacre_call *call);
    /* The part of the work that depends on one operand alone: weights brought into the order in which `run` reads them.
     * `prepare` fills call->prepared from operand `prepared_operand` (no other data may be looked at) and always comes
     * before `run`; where the operand follows from the parameters and the plan changes none, it comes once, and again
     * only after they have changed. Needs no workspace. NULL: there is none. */
    size_t (*prepared)(const nacre_node_info *node);
    void (*prepare)(const nacre_call *call);
    int prepared_operand;
} nacre_kernel;

/* ---- operations -------------------------------------------------------------------------------------------------- */

enum {
    NACRE_OP_ELEMENTWISE = 1,       /* each output element depends on the same element of the (broadcast) operands */
    NACRE_OP_STATEFUL = 2,          /* changes memory that outlives the run; never removed, moved or merged */
    NACRE_OP_RANDOM = 4,            /* draws numbers from (seed operand, stream attribute) */
    NACRE_OP_ALIAS = 8,             /* output 0 is input 0's memory under another shape */
    NACRE_OP_LEAF = 16,             /* parameter, input, constant */
    NACRE_OP_NONDIFFERENTIABLE = 32 /* gradients stop here by definition (argmax, compare, ...) */
};

struct nacre_op {
    const char *name;
    const char *doc;     /* one paragraph: meaning, formula, source */
    const char *onnx;    /* the ONNX operator with the same meaning, or NULL */
    const char *inputs;  /* "x w ?b": operand names; ? optional; a last one with * repeats */
    const char *outputs; /* "y mean ?": output names */
    nacre_attribute attributes[NACRE_MAX_ATTRIBUTES];
    unsigned flags;
    /* Which operands and outputs follow the node's memory order when it runs channels-last, one letter each: 'd' data
     * (follows), 'p' always plain: conv has "dppd>d". NULL: all follow if ELEMENTWISE, none otherwise. */
    const char *layouts; /* the last letter stands for all further operands, too */
    nacre_status (*shape)(nacre_shape_call *call);
    void (*gradient)(
        nacre_gradient_call *call); /* NULL with neither `expand` nor NONDIFFERENTIABLE: an error when asked */
    /* The same values from more basic operations: used for the gradient where `gradient` is NULL, which gives second
     * derivatives of hand-written backward operations for free. Fills outputs. For at most 16 operands. */
    void (*expand)(nacre_graph *graph, nacre_tensor *const *inputs, int input_count, const int64_t *attributes,
                   nacre_tensor **outputs);
    /* Corrects the cost of a node, preset to no operations and the bytes of all operands and results; NULL: leaves it.
     */
    void (*cost)(const nacre_node_info *node, nacre_cost *cost);
    void (*reference)(const nacre_call *call); /* any strides, any supported dtype, double accumulation */
    /* Case strings for the harness, ended by NULL; see docs/ops-cases.md:
     *   "x=2x3x8x8 w=4x3x3x3 stride=2"      operands by shape (1x1 etc.; "scalar"), attributes by name
     *   "x=2x5:i64@0..4"                     element type and range of the random values
     *   "x=2x3@0.1..2 !grad"                 no gradient check; also !f32 (no reduced-precision comparison) */
    const char *const *cases;
};

NACRE_API const nacre_op *nacre_op_find(const char *name);              /* NULL if there is none */
NACRE_API const nacre_op *nacre_op_at(int index);                       /* NULL past the end; in the order of ops.def */
NACRE_API int nacre_op_input_count(const nacre_op *op, bool *variadic); /* named operands */
NACRE_API int nacre_op_output_count(const nacre_op *op);

/* Appends a node. `attributes` are words laid out by the schema, NULL for all defaults. Returns output 0 (ask
 * nacre_tensor_sibling for others), NULL after a failure or if a required operand is NULL. */
NACRE_API nacre_tensor *nacre_apply(nacre_graph *graph, const nacre_op *op, nacre_tensor *const *inputs,
                                    int input_count, const int64_t *attributes);

/* Looking at nodes: index in [0, nacre_graph_node_count). */
typedef struct nacre_node_view {
    const nacre_op *op;
    const char *path;
    const char *name; /* of an input; path of a model's entry; "" for other nodes */
    const void *data; /* of a constant, else NULL */
    nacre_tensor *const *inputs;
    int input_count;
    int output_count;
    const int64_t *attributes;
} nacre_node_view;
NACRE_API bool nacre_graph_node(const nacre_graph *graph, int index, nacre_node_view *view);
NACRE_API nacre_tensor *nacre_graph_node_output(const nacre_graph *graph, int index, int output);
NACRE_API int nacre_tensor_node(const nacre_tensor *tensor, int *output); /* index of the node that made it */

/* The fast kernels of an operation in the order they are tried; NULL past the end. The reference comes after them. */
NACRE_API const nacre_kernel *nacre_kernel_at(const nacre_context *context, const nacre_op *op, int index);
/* Until cleared with NULL, plans use only this variant where it can ("direct_avx512"), for tests. */
NACRE_API void nacre_force_variant(nacre_context *context, const char *op, const char *variant);

/* ---- the harness ------------------------------------------------------------------------------------------------- */

/* One thing that was checked about one case. */
typedef struct nacre_check_line {
    const char *what;    /* "forward", "gradient of x", "allocation failures" */
    const char *variant; /* kernel, "reference" */
    const char *refusal; /* why the kernel does not take this case, else NULL */
    double error, tolerance;
    bool passed;
} nacre_check_line;

/* Runs one case of an operation as every kernel against the reference, its gradient against finite differences in
 * double precision, and fails each allocation in turn. `report` may be NULL. On failure the message names the
 * command that repeats it. `context` gives the instruction set and receives the failure; the work happens in contexts
 * of its own. */
NACRE_API nacre_status nacre_op_check(nacre_context *context, const nacre_op *op, const char *case_text,
                                      void (*report)(void *user, const nacre_check_line *line), void *user);

#ifdef __cplusplus
}
#endif

#endif

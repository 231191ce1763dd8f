/* core/plan.h - compiled graphs and the cache that finds them again. */
#ifndef NC_CORE_PLAN_H
#define NC_CORE_PLAN_H

#include "core/graph.h"

/* Where a tensor's bytes are during a run. */
typedef enum nc_place_kind {
    NC_PLACE_NONE,
    NC_PLACE_BLOCK,
    NC_PLACE_FEED,
    NC_PLACE_MODEL,
    NC_PLACE_CONSTANT
} nc_place_kind;
typedef struct nc_place {
    nc_place_kind kind;
    int model;         /* MODEL: ordinal in the graph */
    int64_t index;     /* BLOCK: byte offset; FEED: ordinal; MODEL: slot */
    const void *bytes; /* CONSTANT */
} nc_place;

/* One pointer that changes from run to run. */
typedef struct nc_patch {
    void **pointer;
    nc_place place;
} nc_patch;

typedef struct nc_step {
    nc_node *node;
    const nacre_kernel *kernel; /* NULL: the operation's reference */
    nacre_call call;
    size_t workspace_bytes, workspace_offset, prepared_bytes;
    const char *times;       /* of the kernels that were timed, NULL: none was */
    const nacre_view *ahead; /* what the next step with NACRE_KERNEL_READS_ONCE will wait for, or NULL */
    bool in_place;
    bool steady;        /* depends on parameters and constants alone, and the plan changes none */
    bool prepares_once; /* the same of what its kernel prepares */
} nc_step;

typedef struct nc_plan {
    nacre_context *context;
    uint64_t hash;
    int64_t *words; /* what it was made from */
    int word_count;
    int users;                     /* graphs that point here */
    uint64_t last_used;            /* cache clock */
    const nacre_graph *last_graph; /* whose results are in the block */

    nacre_graph *graph; /* after the passes */
    nc_step *steps;
    int step_count;
    nc_arena arena; /* views of the steps */
    nc_patch *patches;
    int patch_count, patch_capacity;
    nc_place *wanted;   /* per wanted output of the graph it was made from */
    char *block, *kept; /* what lives during a run; what steady steps and kernels prepared, from run to run */
    size_t block_bytes, kept_bytes, unpacked_bytes, workspace_bytes;
    bool changes_weights; /* or buffers: entries whose role is not state */
    uint64_t kept_of;     /* version of the models that `kept` was made from, 0: not yet */
} nc_plan;

typedef struct nc_plan_cache {
    nacre_context *context;
    nc_plan **plans;
    int count, capacity;
    int hits, misses;
    uint64_t clock;
} nc_plan_cache;

nc_plan_cache *nc_plan_cache_create(nacre_context *context);
void nc_plan_cache_destroy(nc_plan_cache *cache);

nc_plan *nc_plan_of(nacre_graph *graph); /* finds or makes; NULL after a failure */
void nc_plan_drop(nacre_graph *graph);   /* the graph has changed: it no longer points to a plan */
nc_plan *nc_plan_compile(nacre_graph *graph);
void nc_plan_destroy(nc_plan *plan);
/* "f32[1,3,8,8]nhwc f32[4,3,3,3] -> f32[1,4,8,8]nhwc padding=1,1" */
void nc_print_signature(nacre_buffer *buffer, const nc_step *step);

#endif

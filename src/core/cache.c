/* core/cache.c - plans found again by the structure of the graph. */
#include "core/context.h"
#include "core/plan.h"

#include <string.h>

#ifdef NACRE_STRESS
enum { KEPT = 2 };
#else
enum { KEPT = 64 };
#endif

nc_plan_cache *nc_plan_cache_create(nacre_context *context)
{
    nc_plan_cache *cache = nacre_allocate(context, sizeof *cache);
    if (cache) cache->context = context;
    return cache;
}

void nc_plan_cache_destroy(nc_plan_cache *cache)
{
    if (!cache) return;
    for (int i = 0; i < cache->count; i++) nc_plan_destroy(cache->plans[i]);
    nacre_release(cache->context, cache->plans);
    nacre_release(cache->context, cache);
}

/* Four independent lanes, so that the multiplications overlap. */
static uint64_t hash_words(const int64_t *words, int count)
{
    const uint64_t prime = 0x9e3779b97f4a7c15u;
    uint64_t lanes[4] = {1, 2, 3, 4};
    int i = 0;
    for (; i + 4 <= count; i += 4)
        for (int k = 0; k < 4; k++) lanes[k] = (lanes[k] ^ (uint64_t)words[i + k]) * prime;
    for (; i < count; i++) lanes[0] = (lanes[0] ^ (uint64_t)words[i]) * prime;
    uint64_t hash = (uint64_t)count;
    for (int k = 0; k < 4; k++) hash = (hash ^ lanes[k] ^ lanes[k] >> 31) * prime;
    return hash;
}

/* What decides about a plan besides the nodes: the outputs, the precision and how kernels are chosen. */
static bool append_tail(nacre_graph *graph, int *nodes_only)
{
    nacre_context *context = graph->context;
    *nodes_only = graph->word_count;
    while (graph->word_count + graph->wanted_count + 5 > graph->word_capacity)
        if (!nc_grow(context, &graph->words, graph->word_capacity, &graph->word_capacity, sizeof(int64_t)))
            return false;
    int64_t *at = graph->words + graph->word_count;
    for (int i = 0; i < graph->wanted_count; i++) *at++ = nc_tensor_word(graph->wanted[i]);
    *at++ = graph->segments;
    *at++ = graph->precision;
    *at++ = context->deterministic;
    *at++ = (int64_t)(intptr_t)context->forced_op;
    *at++ = (int64_t)(intptr_t)context->forced_variant;
    graph->word_count = (int)(at - graph->words);
    return true;
}

static nc_plan *find(nc_plan_cache *cache, const nacre_graph *graph, uint64_t hash)
{
    size_t bytes = sizeof(int64_t) * (size_t)graph->word_count;
    for (int i = 0; i < cache->count; i++) {
        nc_plan *plan = cache->plans[i];
        if (plan->hash == hash && plan->word_count == graph->word_count && !memcmp(plan->words, graph->words, bytes))
            return plan;
    }
    return NULL;
}

static void drop_oldest(nc_plan_cache *cache)
{
    int oldest = -1;
    for (int i = 0; i < cache->count; i++)
        if (cache->plans[i]->users == 0 && (oldest < 0 || cache->plans[i]->last_used < cache->plans[oldest]->last_used))
            oldest = i;
    if (oldest < 0) return;
    nc_plan_destroy(cache->plans[oldest]);
    cache->plans[oldest] = cache->plans[--cache->count];
}

static nc_plan *make(nc_plan_cache *cache, nacre_graph *graph, uint64_t hash)
{
    nacre_context *context = graph->context;
    if (cache->count >= KEPT) drop_oldest(cache);
    if (!nc_grow(context, &cache->plans, cache->count, &cache->capacity, sizeof(nc_plan *))) return NULL;
    nc_plan *plan = nc_plan_compile(graph);
    if (!plan) return NULL;
    plan->hash = hash;
    plan->word_count = graph->word_count;
    plan->words = nacre_allocate(context, sizeof(int64_t) * (size_t)graph->word_count);
    if (!plan->words) {
        nc_plan_destroy(plan);
        return NULL;
    }
    memcpy(plan->words, graph->words, sizeof(int64_t) * (size_t)graph->word_count);
    return cache->plans[cache->count++] = plan;
}

nc_plan *nc_plan_of(nacre_graph *graph)
{
    nacre_context *context = graph->context;
    nc_plan_cache *cache = context->plans;
    cache->clock++;
    if (!graph->plan) {
        int nodes_only;
        if (nacre_check(context) || !append_tail(graph, &nodes_only)) return NULL;
        uint64_t hash = hash_words(graph->words, graph->word_count);
        nc_plan *plan = find(cache, graph, hash);
        if (plan)
            cache->hits++;
        else
            cache->misses++, plan = make(cache, graph, hash);
        graph->word_count = nodes_only;
        if (!plan) return NULL;
        plan->users++;
        graph->plan = plan;
    }
    graph->plan->last_used = cache->clock;
    return graph->plan;
}

void nc_plan_drop(nacre_graph *graph)
{
    if (!graph->plan) return;
    graph->plan->users--;
    if (graph->plan->last_graph == graph) graph->plan->last_graph = NULL;
    graph->plan = NULL;
}

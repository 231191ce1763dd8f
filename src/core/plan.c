/* core/plan.c - from a graph to steps over packed memory. */
#include "core/plan.h"

struct nc_plan_cache {
    nacre_context *context;
};

struct nc_plan_cache *nc_plan_cache_create(nacre_context *context)
{
    struct nc_plan_cache *cache = nacre_allocate(context, sizeof *cache);
    if (cache) cache->context = context;
    return cache;
}

void nc_plan_cache_destroy(struct nc_plan_cache *cache)
{
    if (cache) nacre_release(cache->context, cache);
}

/* core/plan.h - compiled graphs and the cache that finds them again. */
#ifndef NC_CORE_PLAN_H
#define NC_CORE_PLAN_H

#include <nacre/backend.h>

struct nc_plan_cache *nc_plan_cache_create(nacre_context *context);
void nc_plan_cache_destroy(struct nc_plan_cache *cache);

#endif

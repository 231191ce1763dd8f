/* core/team.h - the compute threads. */
#ifndef NC_CORE_TEAM_H
#define NC_CORE_TEAM_H

#include <nacre/backend.h>

nacre_team *nc_team_create(nacre_context *context, int threads);
void nc_team_destroy(nacre_team *team);
/* From now on workers that have nothing to do bring the beginning of `data` into their caches, until the next call;
 * NULL: nothing. Only hints to the processor: the memory may vanish meanwhile. */
void nc_team_fetch(nacre_team *team, const void *data, size_t bytes);

#endif

/* core/team.h - the compute threads. */
#ifndef NC_CORE_TEAM_H
#define NC_CORE_TEAM_H

#include <nacre/backend.h>

nacre_team *nc_team_create(nacre_context *context, int threads);
void nc_team_destroy(nacre_team *team);

#endif

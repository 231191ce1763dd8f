/* core/profile.h - what a running plan tells a profile. */
#ifndef NC_CORE_PROFILE_H
#define NC_CORE_PROFILE_H

#include "core/plan.h"

#include <nacre/profile.h>

/* A run of the plan begins: the place of its first step among all that the profile knows. */
int nc_profile_begin(nacre_profile *profile, const nc_plan *plan);
void nc_profile_add(nacre_profile *profile, int site, double start, double seconds);

#endif

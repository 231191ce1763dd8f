/* train/optimizer_groups.c - parameters by the pattern of their path. */
#include "train/optimizer.h"

#include <string.h>

/* * stands for any characters, also none and dots; ? for one. */
static bool fits(const char *pattern, const char *path)
{
    const char *star = NULL, *retry = NULL;
    while (*path) {
        if (*pattern == '*') {
            star = ++pattern;
            retry = path;
        } else if (*pattern == '?' || *pattern == *path) {
            pattern++;
            path++;
        } else if (star) {
            pattern = star;
            path = ++retry;
        } else {
            return false;
        }
    }
    while (*pattern == '*') pattern++;
    return !*pattern;
}

const nacre_parameter_group *nc_group_of(const nacre_optimizer *optimizer, const char *path)
{
    for (int i = 0; i < optimizer->group_count; i++)
        if (fits(optimizer->groups[i].pattern, path)) return &optimizer->groups[i];
    return NULL;
}

/* The path that is nearest to the pattern without its stars, else any. */
static const char *nearest_path(nacre_context *context, const nacre_model *model, const char *pattern)
{
    const char **paths = nacre_allocate(context, sizeof *paths * (size_t)(nacre_model_count(model) + 1));
    nacre_entry entry;
    int count = 0;
    if (!paths) return "";
    for (int slot = 0; nacre_model_entry(model, slot, &entry); slot++)
        if (entry.role == NACRE_ENTRY_PARAMETER) paths[count++] = entry.path;
    paths[count] = NULL;
    const char *near = nacre_nearest(pattern, paths), *found = near ? near : count ? paths[0] : "";
    nacre_release(context, paths);
    return found;
}

static nacre_status check_group(const nacre_optimizer *optimizer, int index, const nacre_model *model)
{
    nacre_context *context = nacre_model_context(model);
    const nacre_parameter_group *group = &optimizer->groups[index];
    nacre_entry entry;
    bool meant = false;
    if (!group->pattern || !*group->pattern)
        return nacre_fail(context, NACRE_ERROR_ARGUMENT, "parameter group %d has no pattern", index + 1);
    if (group->rate < 0 || group->weight_decay < 0)
        return nacre_fail(context, NACRE_ERROR_ARGUMENT, "parameter group \"%s\" has a negative rate or weight decay",
                          group->pattern);
    for (int slot = 0; nacre_model_entry(model, slot, &entry); slot++) {
        if (entry.role != NACRE_ENTRY_PARAMETER) continue;
        if (nc_group_of(optimizer, entry.path) == group) return NACRE_OK;
        meant |= fits(group->pattern, entry.path);
    }
    if (meant)
        return nacre_fail(context, NACRE_ERROR_ARGUMENT,
                          "parameter group \"%s\" is empty: the groups before it have all its parameters; put it first",
                          group->pattern);
    return nacre_fail(context, NACRE_ERROR_NOT_FOUND, "parameter group \"%s\" fits no parameter; there is \"%s\"",
                      group->pattern, nearest_path(context, model, group->pattern));
}

nacre_status nacre_optimizer_check(const nacre_optimizer *optimizer, const nacre_model *model)
{
    nacre_status status = NACRE_OK;
    for (int i = 0; i < optimizer->group_count && status == NACRE_OK; i++) status = check_group(optimizer, i, model);
    return status;
}

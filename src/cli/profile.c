/* cli/profile.c - what --profile prints. */
#include "cli.h"

#include <nacre/profile.h>

nc_exit nc_print_profile(nc_call *call, nacre_profile *profile, const char *folder, const char *name)
{
    nacre_context *context = call->context;
    nacre_ceiling ceiling;
    nacre_buffer text = nacre_buffer_create(context);
    char *path = nacre_path_join(context, folder ? folder : ".", name);
    nc_exit code = NC_EXIT_FAILED;
    if (path && nacre_ceiling_measure(context, &ceiling) == NACRE_OK &&
        nacre_profile_print(profile, &ceiling, &text) == NACRE_OK &&
        nacre_profile_write_trace(profile, path) == NACRE_OK) {
        fprintf(nc_flag(call, "json") ? stderr : stdout, "\n%.*s%s: a time line for ui.perfetto.dev\n", (int)text.size,
                text.data, path);
        code = NC_EXIT_DONE;
    }
    nacre_release(context, path);
    nacre_buffer_destroy(&text);
    return code;
}

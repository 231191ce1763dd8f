/* cli/version.c */
#include "cli.h"

#if defined(__clang__)
#define COMPILER "clang " __clang_version__
#else
#define COMPILER "gcc " __VERSION__
#endif

static int run(nc_call *call)
{
    if (nc_flag(call, "json")) {
        cJSON *object = cJSON_CreateObject();
        cJSON_AddStringToObject(object, "version", nacre_version());
        cJSON_AddStringToObject(object, "compiler", COMPILER);
        return nc_print_json(call, object);
    }
    printf("nacre %s (%s)\n", nacre_version(), COMPILER);
    return NC_EXIT_DONE;
}

const nc_command nc_command_version = {
    .name = "version",
    .summary = "show the version",
    .description = "Prints the version of the library and the compiler that made this program.",
    .with = NC_WITH_JSON,
    .examples = (const nc_example[]){{"nacre version", "The same as nacre --version."}, {0}},
    .run = run,
};

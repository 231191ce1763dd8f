/* cli/main.c - from the words on the command line to a command, and from its end to an exit code. */
#include "cli/cli.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static void complain(const char *name, const char *message)
{
    fprintf(stderr, "%snacre%s%s:%s %s\n", nc_style_code(stderr, NC_RED), name ? " " : "", name ? name : "",
            nc_style_code(stderr, NC_PLAIN), message);
}

static nc_exit run(nc_call *call)
{
    nc_exit code = nc_renew_context(call, NULL, 0);
    if (code == NC_EXIT_DONE) code = (nc_exit)call->command->run(call);
    if (code != NC_EXIT_DONE && call->context && nacre_check(call->context))
        complain(call->command->name, nacre_message(call->context));
    nacre_context_destroy(call->context);
    return code;
}

static nc_exit call_command(const nc_command *command, int count, char **words)
{
    nc_call call = {.command = command, .given = calloc((size_t)count + 1, sizeof *call.given)};
    if (!call.given) {
        complain(command->name, "out of memory");
        return NC_EXIT_FAILED;
    }
    nc_exit code = nc_parse(&call, count, words);
    if (code == NC_EXIT_DONE && nc_flag(&call, "help"))
        nc_print_help(stdout, command);
    else if (code == NC_EXIT_DONE)
        code = run(&call);
    free(call.given);
    return code;
}

static nc_exit dispatch(int argc, char **argv)
{
    if (argc < 2) {
        nc_print_overview(stderr);
        return NC_EXIT_USAGE;
    }
    const char *name = argv[1];
    if (!strcmp(name, "--help") || !strcmp(name, "-h")) name = "help";
    if (!strcmp(name, "--version") || !strcmp(name, "-V")) name = "version";
    const nc_command *command = nc_command_find(name);
    return command ? call_command(command, argc - 2, argv + 2) : nc_unknown_command(name);
}

int main(int argc, char **argv)
{
    nc_exit code = dispatch(argc, argv);
    if (fflush(stdout) || ferror(stdout)) { /* a result that did not arrive is no result */
        char message[128];
        snprintf(message, sizeof message, "cannot write to standard output: %s", strerror(errno));
        complain(NULL, message);
        return NC_EXIT_FAILED;
    }
    return (int)code;
}

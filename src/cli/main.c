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

static void print_log(void *user, nacre_log_level level, const char *message)
{
    const bool *quiet = user;
    if (level == NACRE_LOG_DEBUG || (level == NACRE_LOG_INFO && *quiet)) return;
    const char *word = level == NACRE_LOG_WARNING ? "warning: " : level == NACRE_LOG_ERROR ? "error: " : "";
    fprintf(stderr, "%s%s%s%s\n", nc_style_code(stderr, NC_YELLOW), word, nc_style_code(stderr, NC_PLAIN), message);
}

/* The context that the options ask for; NULL after a message. */
static nacre_context *create_context(nc_call *call, bool *quiet)
{
    unsigned with = call->command->with;
    *quiet = (with & NC_WITH_QUIET) && nc_flag(call, "quiet");
    nacre_context_options options = {.log = print_log, .log_user = quiet, .threads = 1};
    if (with & NC_WITH_COMPUTE) {
        options.threads = (int)nc_integer(call, "threads");
        options.device = nc_choice(call, "device") ? NACRE_DEVICE_REFERENCE : NACRE_DEVICE_CPU;
        options.instruction_set = nc_choice(call, "instruction-set") + 1;
        nacre_instruction_set best = nacre_machine_info()->best;
        if (options.instruction_set > (int)best + 1) {
            char message[128];
            snprintf(message, sizeof message, "--instruction-set %s: this processor has %s at best",
                     nc_text(call, "instruction-set"), nacre_instruction_set_name(best));
            complain(call->command->name, message);
            return NULL;
        }
    }
    nacre_context *context = nacre_context_create(&options);
    if (!context) complain(call->command->name, "out of memory");
    return context;
}

static nc_exit run(nc_call *call)
{
    bool quiet;
    call->context = create_context(call, &quiet);
    if (!call->context) return NC_EXIT_FAILED;
    nc_exit code = (nc_exit)call->command->run(call);
    if (code != NC_EXIT_DONE && nacre_check(call->context)) complain(call->command->name, nacre_message(call->context));
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

/* cli/machine.c - the context of a call: on which device, with how many threads, and where its log goes. */
#include "cli.h"

#include <nacre/report.h>

#include <string.h>

static void print_log(void *user, nacre_log_level level, const char *message)
{
    const nc_call *call = user;
    bool quiet = (call->command->with & NC_WITH_QUIET) && nc_flag(call, "quiet");
    if (level == NACRE_LOG_DEBUG || (level == NACRE_LOG_INFO && quiet)) return;
    if (call->progress) {
        nacre_progress_say(call->progress, message);
        return;
    }
    const char *word = level == NACRE_LOG_WARNING ? "warning: " : level == NACRE_LOG_ERROR ? "error: " : "";
    fprintf(stderr, "%s%s%s%s\n", nc_style_code(stderr, NC_YELLOW), word, nc_style_code(stderr, NC_PLAIN), message);
}

nc_exit nc_renew_context(nc_call *call, const char *device, int64_t threads)
{
    nacre_context_options options = {.log = print_log, .log_user = call, .threads = 1};
    if (call->command->with & NC_WITH_COMPUTE) {
        if (!device || nc_is_given(call, "device")) device = nc_text(call, "device");
        if (nc_is_given(call, "threads")) threads = nc_integer(call, "threads");
        options.threads = threads > INT32_MAX ? INT32_MAX : (int)threads;
        options.device = strcmp(device, "reference") ? NACRE_DEVICE_CPU : NACRE_DEVICE_REFERENCE;
        options.instruction_set = nc_choice(call, "instruction-set") + 1;
        options.kernels = (nacre_kernel_choice)nc_choice(call, "kernels");
        nacre_instruction_set best = nacre_machine_info()->best;
        if (options.instruction_set > (int)best + 1) {
            fprintf(stderr, "nacre %s: --instruction-set %s: this processor has %s at best\n", call->command->name,
                    nc_text(call, "instruction-set"), nacre_instruction_set_name(best));
            return NC_EXIT_FAILED;
        }
    }
    nacre_context_destroy(call->context);
    call->context = nacre_context_create(&options);
    if (call->context) return NC_EXIT_DONE;
    fprintf(stderr, "nacre %s: out of memory\n", call->command->name);
    return NC_EXIT_FAILED;
}

/* cli/commands.c - the table of commands and the options they share. */
#include "cli.h"

#include <string.h>

#define NC_COMMAND(name) extern const nc_command nc_command_##name;
#include "commands.def"
#undef NC_COMMAND

const nc_command *const nc_commands[] = {
#define NC_COMMAND(name) &nc_command_##name,
#include "commands.def"
#undef NC_COMMAND
    NULL};

static const struct {
    unsigned with;
    nc_option option;
} SHARED[] = {
    {NC_WITH_DATA,
     {.name = "data",
      .type = NC_FOLDER,
      .argument = "DIR",
      .doc = "The folder of data sets. Without it the environment variable NACRE_DATA names it."}},
    {NC_WITH_COMPUTE,
     {.name = "device",
      .type = NC_CHOICE,
      .argument = "NAME",
      .choices = "cpu|reference",
      .fallback = "cpu",
      .doc = "Where to compute: cpu (fast kernels) or reference (plain ones with double accumulation: slow, for "
             "checking)."}},
    {NC_WITH_COMPUTE,
     {.name = "threads",
      .type = NC_INTEGER,
      .argument = "N",
      .fallback = "0",
      .doc = "Compute threads; 0 is one per usable core."}},
    {NC_WITH_COMPUTE,
     {.name = "instruction-set",
      .type = NC_CHOICE,
      .argument = "LEVEL",
      .choices = "base|avx2|avx512",
      .doc = "Use kernels up to this level only: base, avx2 or avx512. Without it the best that the processor has."}},
    {NC_WITH_COMPUTE,
     {.name = "kernels",
      .type = NC_CHOICE,
      .argument = "HOW",
      .choices = "heuristic|benchmark",
      .fallback = "heuristic",
      .doc =
          "How kernels are chosen: heuristic (by rules) or benchmark (those that can are timed, once per problem; the "
          "times are kept in the user's cache folder)."}},
    {NC_WITH_SEED,
     {.name = "seed",
      .type = NC_INTEGER,
      .argument = "N",
      .doc = "Where random numbers start: the same seed gives the same result. Without it the recipe's, or 0."}},
    {NC_WITH_JSON, {.name = "json", .doc = "Print the result as one JSON object, for programs."}},
    {NC_WITH_QUIET, {.name = "quiet", .letter = 'q', .doc = "No progress and no notes; warnings and errors remain."}},
};

static const nc_option HELP = {.name = "help", .letter = 'h', .doc = "Show this text."};

const nc_command *nc_command_find(const char *name)
{
    for (int i = 0; nc_commands[i]; i++)
        if (!strcmp(nc_commands[i]->name, name)) return nc_commands[i];
    return NULL;
}

const nc_option *nc_option_at(const nc_command *command, int index)
{
    for (const nc_option *own = command->options; own && own->name; own++)
        if (index-- == 0) return own;
    for (size_t i = 0; i < sizeof SHARED / sizeof *SHARED; i++)
        if ((SHARED[i].with & command->with) && index-- == 0) return &SHARED[i].option;
    return index == 0 ? &HELP : NULL;
}

const char *nc_exit_meaning(const nc_command *command, nc_exit code)
{
    static const char *const usual[NC_EXIT_COUNT] = {
        [NC_EXIT_DONE] = "the work is done",
        [NC_EXIT_FAILED] = "the work failed; the message on standard error says why",
        [NC_EXIT_USAGE] = "wrong usage: an unknown command or option, a missing or malformed argument",
    };
    return command && command->exits[code] ? command->exits[code] : usual[code];
}

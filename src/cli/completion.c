/* cli/completion.c - completions for three shells, from the tables. */
#include "cli.h"

static void print_choices(FILE *stream, const char *choices)
{
    for (; *choices; choices++) fputc(*choices == '|' ? ' ' : *choices, stream);
}

static void print_command_names(FILE *stream)
{
    for (int i = 0; nc_commands[i]; i++) fprintf(stream, "%s%s", i ? " " : "", nc_commands[i]->name);
}

/* What shells take for the end of a quoted text becomes a blank. */
static void print_quotable(FILE *stream, const char *text)
{
    for (; *text; text++) fputc(*text == '\'' || *text == '[' || *text == ']' || *text == ':' ? ' ' : *text, stream);
}

/* ---- bash: one function that prints the words for (command, current word, previous word) ---------------------------
 */

static void print_bash_words(FILE *stream, nc_option_type type, const char *choices)
{
    if (type == NC_CHOICE || type == NC_COMMAND_NAME) {
        fprintf(stream, "compgen -W '");
        if (type == NC_CHOICE)
            print_choices(stream, choices);
        else
            print_command_names(stream);
        fprintf(stream, "' -- \"$2\" ;;\n");
    } else if (type == NC_FILE || type == NC_FOLDER) {
        fprintf(stream, "compgen %s -- \"$2\" ;;\n", type == NC_FILE ? "-f" : "-d");
    } else {
        fprintf(stream, ";;\n");
    }
}

static void print_bash_command(FILE *stream, const nc_command *command)
{
    const nc_option *option;
    for (int i = 0; (option = nc_option_at(command, i)); i++) {
        if (option->type == NC_FLAG) continue;
        fprintf(stream, "    '%s --%s '*", command->name, option->name);
        if (option->letter) fprintf(stream, " | '%s -%c '*", command->name, option->letter);
        fprintf(stream, ") ");
        print_bash_words(stream, option->type, option->choices);
    }
    fprintf(stream, "    '%s '*' -'*) compgen -W '", command->name);
    for (int i = 0; (option = nc_option_at(command, i)); i++) fprintf(stream, "%s--%s", i ? " " : "", option->name);
    fprintf(stream, "' -- \"$2\" ;;\n");
    fprintf(stream, "    '%s '*) ", command->name);
    print_bash_words(stream, command->arguments[0].name ? command->arguments[0].type : NC_TEXT,
                     command->arguments[0].choices);
}

static void print_bash(FILE *stream)
{
    fprintf(stream, "# bash completion for nacre\n"
                    "_nacre_words() { # command, current word, previous word\n"
                    "    case \"$1 $3 $2\" in\n");
    for (int i = 0; nc_commands[i]; i++) print_bash_command(stream, nc_commands[i]);
    fprintf(stream, "    *) compgen -W '");
    print_command_names(stream);
    fprintf(stream, "' -- \"$2\" ;;\n"
                    "    esac\n"
                    "}\n"
                    "_nacre() {\n"
                    "    local command=\n"
                    "    [ \"$COMP_CWORD\" -le 1 ] || command=${COMP_WORDS[1]}\n"
                    "    mapfile -t COMPREPLY < <(_nacre_words \"$command\" \"$2\" \"$3\")\n"
                    "}\n"
                    "complete -o filenames -F _nacre nacre\n");
}

/* ---- zsh ------------------------------------------------------------------------------------------------------------
 */

static void print_zsh_action(FILE *stream, nc_option_type type, const char *choices)
{
    switch (type) {
    case NC_CHOICE:
        fprintf(stream, "(");
        print_choices(stream, choices);
        fprintf(stream, ")");
        break;
    case NC_COMMAND_NAME:
        fprintf(stream, "(");
        print_command_names(stream);
        fprintf(stream, ")");
        break;
    case NC_FILE: fprintf(stream, "_files"); break;
    case NC_FOLDER: fprintf(stream, "_files -/"); break;
    default: fprintf(stream, " "); break;
    }
}

static void print_zsh_option(FILE *stream, const nc_option *option, bool lettered)
{
    fprintf(stream, " \\\n            '%s", option->repeated ? "*" : "");
    if (lettered)
        fprintf(stream, "-%c", option->letter);
    else
        fprintf(stream, "--%s", option->name);
    fprintf(stream, "[");
    print_quotable(stream, option->doc);
    fprintf(stream, "]");
    if (option->type != NC_FLAG) {
        fprintf(stream, ":%s:", option->argument);
        print_zsh_action(stream, option->type, option->choices);
    }
    fprintf(stream, "'");
}

static void print_zsh_command(FILE *stream, const nc_command *command)
{
    fprintf(stream, "        %s)\n            _arguments", command->name);
    const nc_option *option;
    for (int i = 0; (option = nc_option_at(command, i)); i++) {
        print_zsh_option(stream, option, false);
        if (option->letter) print_zsh_option(stream, option, true);
    }
    for (int i = 0; i < NC_MAX_ARGUMENTS && command->arguments[i].name; i++) {
        const nc_argument *argument = &command->arguments[i];
        fprintf(stream, " \\\n            '%s:%s:",
                argument->repeated   ? "*"
                : argument->optional ? ":"
                                     : "",
                argument->name);
        print_zsh_action(stream, argument->type, argument->choices);
        fprintf(stream, "'");
    }
    fprintf(stream, " ;;\n");
}

static void print_zsh(FILE *stream)
{
    fprintf(stream, "#compdef nacre\n"
                    "_nacre() {\n"
                    "    local state line\n"
                    "    local -a commands=(");
    for (int i = 0; nc_commands[i]; i++) {
        fprintf(stream, "\n        '%s:", nc_commands[i]->name);
        print_quotable(stream, nc_commands[i]->summary);
        fprintf(stream, "'");
    }
    fprintf(stream, ")\n"
                    "    _arguments -C '1:command:->command' '*::argument:->argument'\n"
                    "    case $state in\n"
                    "    command) _describe 'command' commands ;;\n"
                    "    argument)\n"
                    "        case $line[1] in\n");
    for (int i = 0; nc_commands[i]; i++) print_zsh_command(stream, nc_commands[i]);
    fprintf(stream, "        esac ;;\n"
                    "    esac\n"
                    "}\n"
                    "_nacre \"$@\"\n");
}

/* ---- fish -----------------------------------------------------------------------------------------------------------
 */

static void print_fish_values(FILE *stream, nc_option_type type, const char *choices)
{
    if (type == NC_CHOICE) {
        fprintf(stream, " -a '");
        print_choices(stream, choices);
        fprintf(stream, "'");
    } else if (type == NC_COMMAND_NAME) {
        fprintf(stream, " -a '");
        print_command_names(stream);
        fprintf(stream, "'");
    } else if (type == NC_FILE) {
        fprintf(stream, " -F");
    } else if (type == NC_FOLDER) {
        fprintf(stream, " -a '(__fish_complete_directories)'");
    }
}

static void print_fish_command(FILE *stream, const nc_command *command)
{
    const char *name = command->name;
    fprintf(stream, "complete -c nacre -n __fish_use_subcommand -a %s -d '", name);
    print_quotable(stream, command->summary);
    fprintf(stream, "'\n");
    const nc_option *option;
    for (int i = 0; (option = nc_option_at(command, i)); i++) {
        fprintf(stream, "complete -c nacre -n '__fish_seen_subcommand_from %s' -l %s", name, option->name);
        if (option->letter) fprintf(stream, " -s %c", option->letter);
        if (option->type != NC_FLAG) fprintf(stream, " -r");
        print_fish_values(stream, option->type, option->choices);
        fprintf(stream, " -d '");
        print_quotable(stream, option->doc);
        fprintf(stream, "'\n");
    }
    const nc_argument *argument = &command->arguments[0];
    if (!argument->name || argument->type == NC_TEXT) return;
    fprintf(stream, "complete -c nacre -n '__fish_seen_subcommand_from %s'", name);
    print_fish_values(stream, argument->type, argument->choices);
    fprintf(stream, "\n");
}

static void print_fish(FILE *stream)
{
    fprintf(stream, "# fish completion for nacre\ncomplete -c nacre -f\n");
    for (int i = 0; nc_commands[i]; i++) print_fish_command(stream, nc_commands[i]);
}

/* ---- the command
 * ------------------------------------------------------------------------------------------------------ */

static int run(nc_call *call)
{
    static void (*const print[])(FILE *) = {print_bash, print_zsh, print_fish};
    print[nc_choice_index(call->command->arguments[0].choices, call->arguments[0])](stdout);
    return NC_EXIT_DONE;
}

const nc_command nc_command_completion = {
    .name = "completion",
    .summary = "print the completions for a shell",
    .description =
        "Prints what a shell needs to complete the commands, options and values of nacre. An installed nacre "
        "has put it where the shells look; otherwise use one of the lines below.",
    .arguments = {{.name = "SHELL", .type = NC_CHOICE, .choices = "bash|zsh|fish", .doc = "bash, zsh or fish."}},
    .examples = (const nc_example[]){{"eval \"$(nacre completion bash)\"", "For this session of bash."},
                                     {"nacre completion zsh > ~/.zfunc/_nacre", "With ~/.zfunc in $fpath."},
                                     {"nacre completion fish | source", "For this session of fish."},
                                     {0}},
    .run = run,
};

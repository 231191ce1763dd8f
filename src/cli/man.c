/* cli/man.c - the manual page, from the tables, in the macros of man(7). */
#include "cli.h"

/* Text with what troff would take for itself escaped; an empty line starts a paragraph. */
static void print_text(FILE *stream, const char *text)
{
    bool line_start = true;
    for (; *text; text++) {
        if (text[0] == '\n' && text[1] == '\n') {
            fprintf(stream, "\n.PP\n");
            text++;
            line_start = true;
            continue;
        }
        if (line_start && (*text == '.' || *text == '\'')) fprintf(stream, "\\&");
        if (*text == '-')
            fprintf(stream, "\\-");
        else if (*text == '\\')
            fprintf(stream, "\\e");
        else
            fputc(*text, stream);
        line_start = *text == '\n';
    }
    fprintf(stream, "\n");
}

static void print_option(FILE *stream, const nc_option *option)
{
    fprintf(stream, ".TP\n");
    if (option->letter) fprintf(stream, "\\fB\\-%c\\fR, ", option->letter);
    fprintf(stream, "\\fB\\-\\-");
    for (const char *c = option->name; *c; c++) fprintf(stream, *c == '-' ? "\\-" : "%c", *c);
    fprintf(stream, "\\fR");
    if (option->argument) fprintf(stream, " \\fI%s\\fR", option->argument);
    fprintf(stream, "\n");
    print_text(stream, option->doc);
    if (option->fallback) fprintf(stream, "Default: %s.\n", option->fallback);
}

static void print_command(FILE *stream, const nc_command *command)
{
    fprintf(stream, ".SS ");
    nc_print_usage_line(stream, command);
    print_text(stream, command->description);
    for (int i = 0; i < NC_MAX_ARGUMENTS && command->arguments[i].name; i++) {
        fprintf(stream, ".TP\n\\fI%s\\fR\n", command->arguments[i].name);
        print_text(stream, command->arguments[i].doc);
    }
    const nc_option *option;
    for (int i = 0; (option = nc_option_at(command, i)); i++) print_option(stream, option);
    for (int code = 0; code < NC_EXIT_COUNT; code++)
        if (command->exits[code]) {
            fprintf(stream, ".TP\nExit code %d\n", code);
            print_text(stream, command->exits[code]);
        }
    for (const nc_example *example = command->examples; example && example->line; example++) {
        fprintf(stream, ".PP\n.RS 4\n.B ");
        print_text(stream, example->line);
        if (example->doc) {
            fprintf(stream, ".br\n");
            print_text(stream, example->doc);
        }
        fprintf(stream, ".RE\n");
    }
}

void nc_print_man(FILE *stream)
{
    fprintf(stream, ".TH NACRE 1 \"\" \"nacre %s\" \"User Commands\"\n", nacre_version());
    fprintf(stream, ".SH NAME\nnacre \\- train, examine and use neural networks\n");
    fprintf(stream, ".SH SYNOPSIS\n.B nacre\n.I COMMAND\n[options] [arguments]\n");
    fprintf(stream, ".SH DESCRIPTION\n");
    print_text(stream,
               "Nacre is a deep learning system in one command. Long options take their value as --name value or "
               "--name=value; a word -- ends the options. Results are printed on standard output, progress and "
               "messages on standard error.");
    fprintf(stream, ".SH COMMANDS\n");
    for (int i = 0; nc_commands[i]; i++) print_command(stream, nc_commands[i]);
    fprintf(stream, ".SH EXIT STATUS\n");
    for (int code = 0; code < NC_EXIT_COUNT; code++)
        fprintf(stream, ".TP\n%d\n%s\n", code, nc_exit_meaning(NULL, (nc_exit)code));
    fprintf(stream, ".SH ENVIRONMENT\n");
    fprintf(stream, ".TP\nNACRE_DATA\nThe folder of data sets where \\-\\-data is not given.\n");
    fprintf(stream, ".TP\nNO_COLOR\nIf set and not empty, no colours are used; see https://no\\-color.org.\n");
}

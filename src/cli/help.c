/* cli/help.c - the help texts, from the tables. */
#include "cli.h"

#include <nacre/recipe.h>

enum { INDENT = 2, TEXT_COLUMN = 26 };

static void print_heading(FILE *stream, const char *text)
{
    fprintf(stream, "\n%s%s%s\n", nc_style_code(stream, NC_BOLD), text, nc_style_code(stream, NC_PLAIN));
}

/* "  left   doc doc doc", the doc in its column and below if `left` is long. */
static void print_entry(FILE *stream, const char *left, const char *doc)
{
    int used = fprintf(stream, "%*s%s", INDENT, "", left);
    if (used >= TEXT_COLUMN - 1) {
        fprintf(stream, "\n");
        used = 0;
    }
    nc_print_wrapped(stream, doc, used, TEXT_COLUMN, nc_width(stream));
}

void nc_print_usage_line(FILE *stream, const nc_command *command)
{
    fprintf(stream, "nacre %s [options]", command->name);
    for (int i = 0; i < NC_MAX_ARGUMENTS && command->arguments[i].name; i++) {
        const nc_argument *argument = &command->arguments[i];
        fprintf(stream, argument->optional ? " [%s%s]" : " %s%s", argument->name, argument->repeated ? "..." : "");
    }
    fprintf(stream, "\n");
}

static void print_option(FILE *stream, const nc_option *option)
{
    char left[96], doc[1024];
    int used =
        option->letter ? snprintf(left, sizeof left, "-%c, ", option->letter) : snprintf(left, sizeof left, "    ");
    snprintf(left + used, sizeof left - (size_t)used, "--%s%s%s", option->name, option->argument ? " " : "",
             option->argument ? option->argument : "");
    snprintf(doc, sizeof doc, "%s%s%s%s", option->doc, option->fallback ? " Default: " : "",
             option->fallback ? option->fallback : "", option->fallback ? "." : "");
    print_entry(stream, left, doc);
}

void nc_print_help(FILE *stream, const nc_command *command)
{
    fprintf(stream, "nacre %s - %s\n\nUsage: ", command->name, command->summary);
    nc_print_usage_line(stream, command);
    fprintf(stream, "\n");
    nc_print_wrapped(stream, command->description, 0, 0, nc_width(stream));
    if (command->arguments[0].name) print_heading(stream, "Arguments");
    for (int i = 0; i < NC_MAX_ARGUMENTS && command->arguments[i].name; i++)
        print_entry(stream, command->arguments[i].name, command->arguments[i].doc);
    print_heading(stream, "Options");
    const nc_option *option;
    for (int i = 0; (option = nc_option_at(command, i)); i++) print_option(stream, option);
    if (command->examples) print_heading(stream, "Examples");
    for (const nc_example *example = command->examples; example && example->line; example++) {
        fprintf(stream, "  %s\n", example->line);
        if (example->doc) nc_print_wrapped(stream, example->doc, 0, 6, nc_width(stream));
    }
    print_heading(stream, "Exit codes");
    for (int code = 0; code < NC_EXIT_COUNT; code++)
        fprintf(stream, "  %d  %s\n", code, nc_exit_meaning(command, (nc_exit)code));
}

void nc_print_overview(FILE *stream)
{
    fprintf(stream, "nacre - train, examine and use neural networks\n\nUsage: nacre COMMAND [options] [arguments]\n");
    print_heading(stream, "Commands");
    for (int i = 0; nc_commands[i]; i++) fprintf(stream, "  %-12s%s\n", nc_commands[i]->name, nc_commands[i]->summary);
    fprintf(stream, "\n'nacre help COMMAND' tells more about one.\n");
}

static nc_exit print_recipe_keys(nc_call *call)
{
    nacre_buffer text = nacre_buffer_create(call->context), doc = nacre_buffer_create(call->context);
    nacre_recipe_key key;
    for (int i = 0; nacre_recipe_key_at(i, &key, &text); i++) {
        nacre_buffer_clear(&doc);
        nacre_buffer_print(&doc, "%s (%s%s%s)", key.doc, key.value, key.fallback ? ", default " : "",
                           key.fallback ? key.fallback : "");
        if (doc.data) print_entry(stdout, key.path, doc.data);
    }
    nacre_buffer_destroy(&doc);
    nacre_buffer_destroy(&text);
    return nacre_check(call->context) ? NC_EXIT_FAILED : NC_EXIT_DONE;
}

static int run(nc_call *call)
{
    if (nc_flag(call, "recipe")) return print_recipe_keys(call);
    if (nc_flag(call, "man")) {
        nc_print_man(stdout);
    } else if (call->argument_count == 0) {
        nc_print_overview(stdout);
    } else {
        nc_print_help(stdout, nc_command_find(call->arguments[0]));
    }
    return NC_EXIT_DONE;
}

static const nc_option OPTIONS[] = {
    {.name = "recipe", .doc = "Explain the keys of recipes, the files that nacre train takes."},
    {.name = "man", .doc = "Print the manual page, in the format of man(7)."},
    {0},
};

const nc_command nc_command_help = {
    .name = "help",
    .summary = "explain the commands",
    .description = "Without an argument it lists the commands; with one it explains that command, like nacre COMMAND "
                   "--help.",
    .options = OPTIONS,
    .arguments = {{.name = "COMMAND", .type = NC_COMMAND_NAME, .optional = true, .doc = "The command to explain."}},
    .examples = (const nc_example[]){{"nacre help devices", NULL},
                                     {"nacre help --recipe", "What a recipe may say."},
                                     {"nacre help --man | man -l -", "Reads the manual page of this very program."},
                                     {0}},
    .run = run,
};

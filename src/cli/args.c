/* cli/args.c - reading the command line as the tables say. */
#include "cli.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_NAMES = 64 };

static const char *hint(const char *dashes, const char *nearest, char text[NC_HINT_SIZE])
{
    text[0] = 0;
    if (nearest) snprintf(text, NC_HINT_SIZE, ", did you mean '%s%s'?", dashes, nearest);
    return text;
}

/* The name that the word begins, else the one nearest to it. */
static const char *nearest_name(const char *word, const char *const *names)
{
    for (int i = 0; names[i]; i++)
        if (word[0] && !strncmp(names[i], word, strlen(word))) return names[i];
    return nacre_nearest(word, names);
}

nc_exit nc_usage_error(const nc_call *call, const char *format, ...)
{
    const char *name = call->command->name;
    va_list arguments;
    va_start(arguments, format);
    fprintf(stderr, "%snacre %s:%s ", nc_style_code(stderr, NC_RED), name, nc_style_code(stderr, NC_PLAIN));
    vfprintf(stderr, format, arguments);
    fprintf(stderr, "\nUsage: ");
    nc_print_usage_line(stderr, call->command);
    fprintf(stderr, "'nacre help %s' tells more.\n", name);
    va_end(arguments);
    return NC_EXIT_USAGE;
}

nc_exit nc_unknown_command(const char *name)
{
    const char *names[MAX_NAMES + 1] = {NULL};
    char text[NC_HINT_SIZE];
    for (int i = 0; nc_commands[i] && i < MAX_NAMES; i++) names[i] = nc_commands[i]->name;
    fprintf(stderr, "%snacre:%s there is no command '%s'%s\n'nacre help' lists them.\n", nc_style_code(stderr, NC_RED),
            nc_style_code(stderr, NC_PLAIN), name, hint("", nearest_name(name, names), text));
    return NC_EXIT_USAGE;
}

/* ---- choices ------------------------------------------------------------------------------------------------------
 */

bool nc_choice_at(const char *choices, int index, char word[NC_WORD_SIZE])
{
    for (; index > 0 && choices; index--) {
        choices = strchr(choices, '|');
        if (choices) choices++;
    }
    if (!choices) return false;
    snprintf(word, NC_WORD_SIZE, "%.*s", (int)strcspn(choices, "|"), choices);
    return true;
}

int nc_choice_index(const char *choices, const char *word)
{
    char choice[NC_WORD_SIZE];
    for (int i = 0; nc_choice_at(choices, i, choice); i++)
        if (!strcmp(choice, word)) return i;
    return -1;
}

const char *nc_choice_hint(const char *choices, const char *word, char text[NC_HINT_SIZE])
{
    char words[MAX_NAMES][NC_WORD_SIZE];
    const char *names[MAX_NAMES + 1] = {NULL};
    for (int i = 0; i < MAX_NAMES && nc_choice_at(choices, i, words[i]); i++) names[i] = words[i];
    return hint("", nearest_name(word, names), text);
}

/* ---- parsing -------------------------------------------------------------------------------------------------------
 */

static const nc_option *option_named(const nc_command *command, const char *name, size_t length)
{
    const nc_option *option;
    for (int i = 0; (option = nc_option_at(command, i)); i++)
        if (!strncmp(option->name, name, length) && !option->name[length]) return option;
    return NULL;
}

static const nc_option *option_lettered(const nc_command *command, char letter)
{
    const nc_option *option;
    for (int i = 0; (option = nc_option_at(command, i)); i++)
        if (option->letter == letter) return option;
    return NULL;
}

static nc_exit unknown_option(const nc_call *call, const char *word)
{
    const char *names[MAX_NAMES + 1] = {NULL};
    const nc_option *option;
    for (int i = 0; i < MAX_NAMES && (option = nc_option_at(call->command, i)); i++) names[i] = option->name;
    const char *start = word + strspn(word, "-"); /* -epochs is near to --epochs too */
    char name[NC_WORD_SIZE], text[NC_HINT_SIZE];
    snprintf(name, sizeof name, "%.*s", (int)strcspn(start, "="), start);
    return nc_usage_error(call, "unknown option '%s'%s", word, hint("--", nearest_name(name, names), text));
}

static bool is_integer(const char *value)
{
    char *end;
    errno = 0;
    return strtoll(value, &end, 10) >= 0 && end != value && !*end && !errno;
}

static bool is_number(const char *value)
{
    char *end;
    double number = strtod(value, &end);
    return end != value && !*end && number == number;
}

static nc_exit check_value(const nc_call *call, const nc_option *option, const char *value)
{
    char text[NC_HINT_SIZE];
    if (option->type == NC_INTEGER && !is_integer(value))
        return nc_usage_error(call, "--%s wants a whole number that is not negative, got '%s'", option->name, value);
    if (option->type == NC_NUMBER && !is_number(value))
        return nc_usage_error(call, "--%s wants a number, got '%s'", option->name, value);
    if (option->type == NC_CHOICE && nc_choice_index(option->choices, value) < 0)
        return nc_usage_error(call, "--%s wants one of %s, got '%s'%s", option->name, option->choices, value,
                              nc_choice_hint(option->choices, value, text));
    return NC_EXIT_DONE;
}

static nc_exit keep(nc_call *call, const nc_option *option, const char *value)
{
    if (option->type != NC_FLAG) {
        if (!value)
            return nc_usage_error(call, "--%s wants a value: --%s %s", option->name, option->name, option->argument);
        nc_exit fault = check_value(call, option, value);
        if (fault) return fault;
    } else if (value) {
        return nc_usage_error(call, "--%s takes no value, got '%s'", option->name, value);
    }
    if (!option->repeated && nc_is_given(call, option->name))
        return nc_usage_error(call, "--%s was given twice", option->name);
    call->given[call->given_count++] = (nc_given){option, value};
    return NC_EXIT_DONE;
}

/* One option at words[0]; *used is how many words it took. */
static nc_exit read_option(nc_call *call, int count, char **words, int *used)
{
    const char *word = words[0], *value = NULL;
    const nc_option *option;
    if (word[1] == '-') {
        size_t length = strcspn(word + 2, "=");
        option = option_named(call->command, word + 2, length);
        if (word[2 + length]) value = word + 3 + length;
    } else {
        option = option_lettered(call->command, word[1]);
        if (word[2]) value = word + 2 + (word[2] == '='); /* -oDIR, -o=DIR */
    }
    if (!option) return unknown_option(call, word);
    *used = 1;
    if (!value && option->type != NC_FLAG && count > 1) {
        value = words[1];
        *used = 2;
    }
    return keep(call, option, value);
}

static nc_exit check_argument(const nc_call *call, const nc_argument *argument, const char *value)
{
    char text[NC_HINT_SIZE];
    if (argument->type == NC_COMMAND_NAME && !nc_command_find(value)) return nc_unknown_command(value);
    if (argument->type == NC_CHOICE && nc_choice_index(argument->choices, value) < 0)
        return nc_usage_error(call, "%s is one of %s, got '%s'%s", argument->name, argument->choices, value,
                              nc_choice_hint(argument->choices, value, text));
    return NC_EXIT_DONE;
}

static nc_exit check_arguments(const nc_call *call)
{
    const nc_argument *expected = call->command->arguments;
    int count = 0;
    for (; count < NC_MAX_ARGUMENTS && expected[count].name; count++) {
        if (count < call->argument_count) {
            nc_exit fault = check_argument(call, &expected[count], call->arguments[count]);
            if (fault) return fault;
        } else if (!expected[count].optional) {
            return nc_usage_error(call, "%s is missing", expected[count].name);
        }
    }
    if (call->argument_count > count && !(count && expected[count - 1].repeated))
        return nc_usage_error(call, "unexpected argument '%s'", call->arguments[count]);
    return NC_EXIT_DONE;
}

nc_exit nc_parse(nc_call *call, int count, char **words)
{
    call->arguments = words; /* filled from the front: never ahead of what is read */
    bool options_end = false;
    for (int i = 0; i < count;) {
        int used = 1;
        nc_exit fault = NC_EXIT_DONE;
        if (!options_end && !strcmp(words[i], "--"))
            options_end = true;
        else if (!options_end && words[i][0] == '-' && words[i][1])
            fault = read_option(call, count - i, words + i, &used);
        else
            call->arguments[call->argument_count++] = words[i];
        if (fault) return fault;
        i += used;
    }
    return nc_flag(call, "help") ? NC_EXIT_DONE : check_arguments(call);
}

/* ---- asking ---------------------------------------------------------------------------------------------------------
 */

static const nc_option *known(const nc_call *call, const char *name)
{
    const nc_option *option = option_named(call->command, name, strlen(name));
    assert(option && "the command's table has this option");
    return option;
}

static const nc_given *find(const nc_call *call, const char *name)
{
    for (int i = 0; i < call->given_count; i++)
        if (!strcmp(call->given[i].option->name, name)) return &call->given[i];
    return NULL;
}

bool nc_is_given(const nc_call *call, const char *name)
{
    return find(call, name);
}

bool nc_flag(const nc_call *call, const char *name)
{
    assert(known(call, name)->type == NC_FLAG);
    return nc_is_given(call, name);
}

const char *nc_text(const nc_call *call, const char *name)
{
    const nc_given *given = find(call, name);
    return given ? given->value : known(call, name)->fallback;
}

int64_t nc_integer(const nc_call *call, const char *name)
{
    const char *value = nc_text(call, name);
    return value ? strtoll(value, NULL, 10) : 0;
}

double nc_number(const nc_call *call, const char *name)
{
    const char *value = nc_text(call, name);
    return value ? strtod(value, NULL) : 0;
}

int nc_choice(const nc_call *call, const char *name)
{
    const char *value = nc_text(call, name);
    return value ? nc_choice_index(known(call, name)->choices, value) : -1;
}

const char *nc_next(const nc_call *call, const char *name, int *position)
{
    while (*position < call->given_count) {
        const nc_given *given = &call->given[(*position)++];
        if (!strcmp(given->option->name, name)) return given->value;
    }
    return NULL;
}

const char *nc_data_folder(const nc_call *call)
{
    const char *folder = nc_text(call, "data");
    return folder ? folder : getenv("NACRE_DATA");
}

nacre_dtype nc_precision(const nc_call *call)
{
    static const nacre_dtype precisions[] = {NACRE_F32, NACRE_BF16, NACRE_F16};
    return precisions[nc_choice(call, "precision")];
}

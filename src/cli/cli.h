/* cli.h - the frame of the command: what a command is, and what it may use.
 *
 * A command is one file with one const table, nc_command_NAME, and one line in commands.def. The table drives the
 * parser, `nacre help NAME`, the man page and the completions of three shells, so they cannot disagree.
 *
 *     static int run(nc_call *call)
 *     {
 *         const char *recipe = call->arguments[0];
 *         if (nc_flag(call, "json")) ...
 *         return nacre_check(call->context) ? NC_EXIT_FAILED : NC_EXIT_DONE;
 *     }
 *
 * Results go to stdout, everything else to stderr. A failure that the context has recorded is printed by main.
 */
#ifndef NACRE_CLI_CLI_H
#define NACRE_CLI_CLI_H

#include <nacre/nacre.h>

#include <cjson/cJSON.h>
#include <stdio.h>

/* ---- tables ---------------------------------------------------------------------------------------------------- */

typedef enum nc_exit {
    NC_EXIT_DONE = 0,
    NC_EXIT_FAILED = 1,
    NC_EXIT_USAGE = 2,
    NC_EXIT_COUNT,
} nc_exit;

typedef enum nc_option_type {
    NC_FLAG,
    NC_TEXT,
    NC_INTEGER, /* not negative */
    NC_NUMBER,
    NC_CHOICE,
    NC_FILE,
    NC_FOLDER,
    NC_COMMAND_NAME
} nc_option_type;

typedef struct nc_option {
    const char *name; /* "output", given as --output; NULL ends a list */
    char letter;      /* 'o', given as -o; 0: none */
    nc_option_type type;
    const char *argument; /* what help calls the value: "DIR"; NULL for flags */
    const char *choices;  /* NC_CHOICE: "cpu|reference" */
    const char *fallback; /* the value when it is not given; NULL: none */
    bool repeated;        /* may be given several times: nc_next */
    const char *doc;
} nc_option;

/* Options that many commands share are described once, in args.c. */
enum {
    NC_WITH_DATA = 1,    /* --data */
    NC_WITH_COMPUTE = 2, /* --device, --threads, --instruction-set: call->context is made as they say */
    NC_WITH_SEED = 4,    /* --seed */
    NC_WITH_JSON = 8,    /* --json */
    NC_WITH_QUIET = 16   /* --quiet */
};

typedef struct nc_argument {
    const char *name; /* "RECIPE"; NULL ends a list */
    bool optional, repeated;
    nc_option_type type; /* not NC_FLAG: say NC_TEXT */
    const char *choices;
    const char *doc;
} nc_argument;

typedef struct nc_example {
    const char *line, *doc;
} nc_example;

#define NC_MAX_ARGUMENTS 4

typedef struct nc_call nc_call;

typedef struct nc_command {
    const char *name, *summary; /* the summary is one line without a full stop */
    const char *description;    /* paragraphs, separated by an empty line */
    unsigned with;              /* NC_WITH_... */
    const nc_option *options;   /* ended by {0}; NULL: none of its own */
    nc_argument arguments[NC_MAX_ARGUMENTS];
    const char *exits[NC_EXIT_COUNT]; /* what the codes mean here; NULL: the usual */
    const nc_example *examples;       /* ended by {0} */
    int (*run)(nc_call *call);
} nc_command;

extern const nc_command *const nc_commands[]; /* ended by NULL, in the order of commands.def */

const nc_command *nc_command_find(const char *name); /* NULL if there is none */
/* A command's options one after the other, its own first, then the shared ones; NULL past the end. */
const nc_option *nc_option_at(const nc_command *command, int index);
const char *nc_exit_meaning(const nc_command *command, nc_exit code);

/* ---- a call ---------------------------------------------------------------------------------------------------- */

typedef struct nc_given {
    const nc_option *option;
    const char *value; /* NULL for a flag */
} nc_given;

struct nc_call {
    const nc_command *command;
    nacre_context *context;
    struct nacre_progress *progress; /* while one is shown: log lines are written above it; else NULL */
    char **arguments;                /* the positional ones, within argv */
    int argument_count;
    nc_given *given; /* room for argc of them */
    int given_count;
};

/* Reads what stands behind the command's name into `call`. NC_EXIT_USAGE after a message on stderr if it does not fit
 * the tables. */
nc_exit nc_parse(nc_call *call, int count, char **words);

/* What was given, else the table's fallback. Asking for an option that the command's table lacks is a mistake in the
 * program. */
bool nc_flag(const nc_call *call, const char *name);
bool nc_is_given(const nc_call *call, const char *name);
const char *nc_text(const nc_call *call, const char *name); /* NULL: not given and no fallback */
int64_t nc_integer(const nc_call *call, const char *name);
double nc_number(const nc_call *call, const char *name);
int nc_choice(const nc_call *call, const char *name); /* index into its choices */
/* The values of a repeated option: *position starts at 0; NULL after the last. */
const char *nc_next(const nc_call *call, const char *name, int *position);
/* --data, else the environment's NACRE_DATA, else NULL. */
const char *nc_data_folder(const nc_call *call);

/* --precision, for commands that run a model; nc_precision reads it. */
#define NC_PRECISION_OPTION                                                                                            \
    {                                                                                                                  \
        "precision", 0, NC_CHOICE, "TYPE", "f32|bf16|f16", "f32", false,                                               \
            "What products and convolutions compute in, and what lies between them: f32, bf16 or f16. Sums, "          \
            "probabilities and losses are f32 always."                                                                 \
    }
nacre_dtype nc_precision(const nc_call *call);

/* Another context for the call, as --device and --threads say and, where they were not given, as the arguments do
 * (NULL and 0: the usual). What belongs to the old one must be gone. */
nc_exit nc_renew_context(nc_call *call, const char *device, int64_t threads);

/* "nacre NAME: MESSAGE" and where to read more, on stderr; returns NC_EXIT_USAGE. */
nc_exit nc_usage_error(const nc_call *call, const char *format, ...) NACRE_PRINTF(2, 3);
/* The same when there is no such command. */
nc_exit nc_unknown_command(const char *name);

/* ---- words ------------------------------------------------------------------------------------------------------- */

/* Choices "a|b|c": the entry `index` copied into `word`, false past the end; the index of `word`, -1 if none. */
#define NC_WORD_SIZE 64
bool nc_choice_at(const char *choices, int index, char word[NC_WORD_SIZE]);
int nc_choice_index(const char *choices, const char *word);
/* ", did you mean 'X'?" when one of the choices is near, else "", in `text`, which is returned. */
#define NC_HINT_SIZE 128
const char *nc_choice_hint(const char *choices, const char *word, char text[NC_HINT_SIZE]);

/* ---- output --------------------------------------------------------------------------------------------------------
 */

/* Escape sequences, or "" where `stream` is no terminal, NO_COLOR is set or TERM is dumb. */
typedef enum nc_style { NC_PLAIN, NC_BOLD, NC_DIM, NC_RED, NC_GREEN, NC_YELLOW } nc_style;
const char *nc_style_code(FILE *stream, nc_style style);
int nc_width(FILE *stream); /* columns, between 60 and 100 */
/* Text broken at spaces into lines of at most `width` columns, each indented; the first line goes on at `column`. An
 * empty line separates paragraphs. Ends with a newline. */
void nc_print_wrapped(FILE *stream, const char *text, int column, int indent, int width);
/* "1.5 GiB", in `text`, which is returned. */
#define NC_SIZE_TEXT 32
const char *nc_size_text(int64_t bytes, char text[NC_SIZE_TEXT]);
/* Prints the object as one line on stdout and deletes it; NULL (memory ran out while it was built) is a failure. */
nc_exit nc_print_json(nc_call *call, cJSON *object);

/* A table of where the time went, beside what the machine can do, on stdout (with --json on stderr), and the time line
 * as NAME in `folder` (NULL: here). */
struct nacre_profile;
nc_exit nc_print_profile(nc_call *call, struct nacre_profile *profile, const char *folder, const char *name);

/* ---- documents made from the tables ---------------------------------------------------------------------------------
 */

void nc_print_usage_line(FILE *stream, const nc_command *command); /* "nacre train [options] RECIPE" */
void nc_print_overview(FILE *stream);
void nc_print_help(FILE *stream, const nc_command *command);
void nc_print_man(FILE *stream);

#endif

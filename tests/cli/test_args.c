/* Reading the command line: every kind of option and argument, and every way to get it wrong. */
#include "cli/cli.h"
#include "test.h"

static const nc_option OPTIONS[] = {
    {.name = "output", .letter = 'o', .type = NC_FOLDER, .argument = "DIR", .fallback = "out", .doc = ""},
    {.name = "rate", .type = NC_NUMBER, .argument = "X", .fallback = "0.5", .doc = ""},
    {.name = "count", .letter = 'n', .type = NC_INTEGER, .argument = "N", .doc = ""},
    {.name = "mode", .type = NC_CHOICE, .argument = "MODE", .choices = "fast|slow", .fallback = "slow", .doc = ""},
    {.name = "set", .type = NC_TEXT, .argument = "KEY=VALUE", .repeated = true, .doc = ""},
    {.name = "verbose", .letter = 'v', .doc = ""},
    {0},
};
static const nc_command COMMAND = {
    .name = "try",
    .summary = "a command for this test",
    .with = NC_WITH_DATA | NC_WITH_SEED,
    .options = OPTIONS,
    .arguments = {{.name = "ACTION", .type = NC_CHOICE, .choices = "go|stop", .doc = ""},
                  {.name = "FILE", .type = NC_FILE, .optional = true, .repeated = true, .doc = ""}},
};

enum { MAX_WORDS = 16 };
static nc_given given[MAX_WORDS];
static char *words[MAX_WORDS];
static nc_call call;

/* Parses the words, which end with NULL. */
static nc_exit parse(const char *first, ...)
{
    int count = 0;
    va_list more;
    va_start(more, first);
    for (const char *word = first; word && count < MAX_WORDS; word = va_arg(more, const char *))
        words[count++] = (char *)(uintptr_t)word; /* the parser only moves the pointers */
    va_end(more);
    call = (nc_call){.command = &COMMAND, .given = given};
    return nc_parse(&call, count, words);
}

static void fallbacks(void)
{
    NC_CHECK_INT(parse("go", NULL), NC_EXIT_DONE);
    NC_CHECK_TEXT(nc_text(&call, "output"), "out");
    NC_CHECK_NEAR(nc_number(&call, "rate"), 0.5, 0);
    NC_CHECK_INT(nc_choice(&call, "mode"), 1);
    NC_CHECK(!nc_flag(&call, "verbose"));
    NC_CHECK(!nc_text(&call, "count"));
    NC_CHECK(!nc_is_given(&call, "rate"));
}

static void values(void)
{
    NC_CHECK_INT(parse("--output", "a b", "go", "--rate=1e-3", "--mode", "fast", "--verbose", "--seed", "7", NULL),
                 NC_EXIT_DONE);
    NC_CHECK_TEXT(nc_text(&call, "output"), "a b");
    NC_CHECK_NEAR(nc_number(&call, "rate"), 1e-3, 0);
    NC_CHECK_INT(nc_choice(&call, "mode"), 0);
    NC_CHECK_INT(nc_integer(&call, "seed"), 7);
    NC_CHECK(nc_flag(&call, "verbose"));
    NC_CHECK_INT(parse("-o", "x", "-n3", "-v", "go", NULL), NC_EXIT_DONE);
    NC_CHECK_TEXT(nc_text(&call, "output"), "x");
    NC_CHECK_INT(nc_integer(&call, "count"), 3);
    NC_CHECK_INT(parse("go", "--output=", "--rate", "-2.5", NULL), NC_EXIT_DONE);
    NC_CHECK_TEXT(nc_text(&call, "output"), "");
    NC_CHECK_NEAR(nc_number(&call, "rate"), -2.5, 0);
}

static void repeated(void)
{
    NC_CHECK_INT(parse("go", "--set", "a=1", "-v", "--set=b=2", NULL), NC_EXIT_DONE);
    int position = 0;
    NC_CHECK_TEXT(nc_next(&call, "set", &position), "a=1");
    NC_CHECK_TEXT(nc_next(&call, "set", &position), "b=2");
    NC_CHECK(!nc_next(&call, "set", &position));
}

static void arguments(void)
{
    NC_CHECK_INT(parse("stop", "--verbose", "x", "-", "--", "-y", "--", NULL), NC_EXIT_DONE);
    NC_CHECK_INT(call.argument_count, 5);
    NC_CHECK_TEXT(call.arguments[0], "stop");
    NC_CHECK_TEXT(call.arguments[2], "-");
    NC_CHECK_TEXT(call.arguments[3], "-y");
    NC_CHECK_TEXT(call.arguments[4], "--");
}

static void wrong_usage(void)
{
    NC_CHECK_INT(parse(NULL, NULL), NC_EXIT_USAGE);
    NC_CHECK_INT(parse("walk", NULL), NC_EXIT_USAGE);
    NC_CHECK_INT(parse("go", "--nothing", NULL), NC_EXIT_USAGE);
    NC_CHECK_INT(parse("go", "--out", "x", NULL), NC_EXIT_USAGE);
    NC_CHECK_INT(parse("go", "--output", NULL), NC_EXIT_USAGE);
    NC_CHECK_INT(parse("go", "--verbose=1", NULL), NC_EXIT_USAGE);
    NC_CHECK_INT(parse("go", "-z", NULL), NC_EXIT_USAGE);
    NC_CHECK_INT(parse("go", "-vv", NULL), NC_EXIT_USAGE);
    NC_CHECK_INT(parse("go", "--mode", "fats", NULL), NC_EXIT_USAGE);
    NC_CHECK_INT(parse("go", "--rate", "1", "--rate", "2", NULL), NC_EXIT_USAGE);
    for (const char *const *bad = (const char *const[]){"", "x", "1x", "nan", NULL}; *bad; bad++)
        NC_CHECK_INT(parse("go", "--rate", *bad, NULL), NC_EXIT_USAGE);
    for (const char *const *bad = (const char *const[]){"", "-1", "1.5", "3x", "99999999999999999999", NULL}; *bad;
         bad++)
        NC_CHECK_INT(parse("go", "--count", *bad, NULL), NC_EXIT_USAGE);
}

static void help_needs_nothing_else(void)
{
    NC_CHECK_INT(parse("--help", NULL), NC_EXIT_DONE);
    NC_CHECK(nc_flag(&call, "help"));
}

static void sizes(void)
{
    char text[NC_SIZE_TEXT];
    NC_CHECK_TEXT(nc_size_text(0, text), "0 B");
    NC_CHECK_TEXT(nc_size_text(1536, text), "1.5 KiB");
    NC_CHECK_TEXT(nc_size_text((int64_t)3 << 40, text), "3 TiB");
    NC_CHECK_TEXT(nc_size_text((int64_t)5000 << 40, text), "5000 TiB");
}

int main(void)
{
    NC_RUN(fallbacks);
    NC_RUN(values);
    NC_RUN(repeated);
    NC_RUN(arguments);
    NC_RUN(wrong_usage);
    NC_RUN(help_needs_nothing_else);
    NC_RUN(sizes);
    return nc_report();
}

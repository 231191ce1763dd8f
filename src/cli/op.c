/* cli/op.c - the operations: what they mean, how they are called, whether every kernel computes them right. */
#include "cli.h"

#include <nacre/backend.h>
#include <nacre/io.h>

#include <string.h>

/* ---- list -----------------------------------------------------------------------------------------------------------
 */

/* The first sentence of an operation's text. */
static int summary_length(const nacre_op *op)
{
    const char *stop = strstr(op->doc, ". ");
    return (int)(stop ? (size_t)(stop - op->doc) + 1 : strcspn(op->doc, "\n"));
}

static nc_exit list(nc_call *call)
{
    const nacre_op *op;
    if (nc_flag(call, "json")) {
        cJSON *object = cJSON_CreateObject(), *ops = cJSON_AddArrayToObject(object, "operations");
        for (int i = 0; (op = nacre_op_at(i)); i++) cJSON_AddItemToArray(ops, cJSON_CreateString(op->name));
        return nc_print_json(call, object);
    }
    for (int i = 0; (op = nacre_op_at(i)); i++) printf("%-20s %.*s\n", op->name, summary_length(op), op->doc);
    return NC_EXIT_DONE;
}

/* ---- describe -------------------------------------------------------------------------------------------------------
 */

/* "int", "one of zeros|reflect", and the default, as the case strings write it. */
static void print_attribute(nc_call *call, const nacre_op *op, int index, const int64_t *defaults)
{
    static const char *const types[] = {[NACRE_ATTRIBUTE_INT] = "int",
                                        [NACRE_ATTRIBUTE_FLOAT] = "float",
                                        [NACRE_ATTRIBUTE_BOOL] = "bool",
                                        [NACRE_ATTRIBUTE_INTS] = "list of int",
                                        [NACRE_ATTRIBUTE_DTYPE] = "type"};
    const nacre_attribute *attribute = &op->attributes[index];
    printf("  %s: %s", attribute->name,
           attribute->type == NACRE_ATTRIBUTE_ENUM ? attribute->choices : types[attribute->type]);
    if (attribute->required) {
        printf(", required");
    } else {
        nacre_buffer text = nacre_buffer_create(call->context);
        nacre_attribute_print(attribute, defaults + nacre_op_attribute_offset(op, index), &text);
        if (text.size) printf(", default %s", text.data);
        nacre_buffer_destroy(&text);
    }
    printf("\n");
    if (attribute->doc) nc_print_wrapped(stdout, attribute->doc, 0, 6, nc_width(stdout));
}

static void print_heading(const char *text)
{
    printf("\n%s%s%s\n", nc_style_code(stdout, NC_BOLD), text, nc_style_code(stdout, NC_PLAIN));
}

static nc_exit describe(nc_call *call, const nacre_op *op)
{
    int64_t defaults[NACRE_MAX_ATTRIBUTE_WORDS];
    nacre_op_attribute_defaults(op, defaults);
    printf("%s%s%s (%s) -> %s\n\n", nc_style_code(stdout, NC_BOLD), op->name, nc_style_code(stdout, NC_PLAIN),
           op->inputs, op->outputs);
    nc_print_wrapped(stdout, op->doc, 0, 0, nc_width(stdout));
    if (op->onnx) printf("\nONNX calls it %s.\n", op->onnx);
    if (op->attributes[0].name) print_heading("Attributes");
    for (int i = 0; i < NACRE_MAX_ATTRIBUTES && op->attributes[i].name; i++) print_attribute(call, op, i, defaults);
    print_heading("Kernels, in the order in which they are tried");
    const nacre_kernel *kernel;
    for (int i = 0; (kernel = nacre_kernel_at(call->context, op, i)); i++) printf("  %s\n", kernel->variant);
    printf("  reference\n");
    if (op->cases && op->cases[0]) print_heading("Cases");
    for (int i = 0; op->cases && op->cases[i]; i++) printf("  %s\n", op->cases[i]);
    return NC_EXIT_DONE;
}

/* ---- check ----------------------------------------------------------------------------------------------------------
 */

static void print_line(void *user, const nacre_check_line *line)
{
    const bool *quiet = user;
    if (*quiet && (line->passed || line->refusal)) return;
    if (line->refusal) {
        printf("  %-6s  %-24s %-20s %s\n", "-", line->what, line->variant, line->refusal);
        return;
    }
    printf("  %s%-6s%s  %-24s %-20s error %.2g, at most %.2g\n",
           nc_style_code(stdout, line->passed ? NC_GREEN : NC_RED), line->passed ? "passed" : "FAILED",
           nc_style_code(stdout, NC_PLAIN), line->what, line->variant, line->error, line->tolerance);
}

static nc_exit check_case(nc_call *call, const nacre_op *op, const char *text)
{
    bool quiet = nc_flag(call, "quiet");
    if (!quiet) printf("%s \"%s\"\n", op->name, text);
    return nacre_op_check(call->context, op, text, print_line, &quiet) ? NC_EXIT_FAILED : NC_EXIT_DONE;
}

static nc_exit check_all_cases(nc_call *call, const nacre_op *op)
{
    for (int i = 0; op->cases && op->cases[i]; i++)
        if (check_case(call, op, op->cases[i])) return NC_EXIT_FAILED;
    return NC_EXIT_DONE;
}

static nc_exit check_everything(nc_call *call)
{
    const nacre_op *op;
    for (int i = 0; (op = nacre_op_at(i)); i++)
        if (check_all_cases(call, op)) return NC_EXIT_FAILED;
    return NC_EXIT_DONE;
}

/* ---- the command
 * ------------------------------------------------------------------------------------------------------ */

static nc_exit unknown_operation(nc_call *call, const char *name)
{
    enum { MOST = 512 };
    const char *names[MOST + 1] = {NULL};
    for (int i = 0; i < MOST && nacre_op_at(i); i++) names[i] = nacre_op_at(i)->name;
    const char *nearest = nacre_nearest(name, names);
    return nc_usage_error(call, "there is no operation '%s'%s%s%s", name, nearest ? ", did you mean '" : "",
                          nearest ? nearest : "", nearest ? "'?" : "");
}

static int run(nc_call *call)
{
    bool check = nc_flag(call, "check");
    if (call->argument_count == 0) return check ? check_everything(call) : list(call);
    const nacre_op *op = nacre_op_find(call->arguments[0]);
    if (!op) return unknown_operation(call, call->arguments[0]);
    if (call->argument_count == 1) return check ? check_all_cases(call, op) : describe(call, op);
    if (!check) return nc_usage_error(call, "what is to be done with the case? Add --check");
    return check_case(call, op, call->arguments[1]);
}

static const nc_option OPTIONS[] = {
    {.name = "check",
     .doc = "Run CASE, or all cases of the operation, or all of all operations, as every kernel that takes it; compare "
            "with the reference, the gradient with finite differences, and let each allocation fail in turn."},
    {0},
};

static const nc_example EXAMPLES[] = {
    {"nacre op", "All operations, a line each."},
    {"nacre op matmul", "What it computes, its attributes, kernels and cases."},
    {"nacre op matmul \"a=7x5 b=5x3\" --check", NULL},
    {0},
};

const nc_command nc_command_op = {
    .name = "op",
    .summary = "explain operations and check their kernels",
    .description =
        "Without an argument it lists the operations; with a name it explains one. With --check it proves that the "
        "fast "
        "kernels compute what the reference kernel computes.\n\nA case names operands with their shapes and attributes "
        "with their values: \"x=2x3x8x8 w=4x3x3x3 stride=2\". An element type and a range may follow a shape "
        "(x=2x5:i64@0..4); \"scalar\" is the shape of a single number.",
    .with = NC_WITH_COMPUTE | NC_WITH_JSON | NC_WITH_QUIET,
    .options = OPTIONS,
    .arguments = {{.name = "NAME", .optional = true, .doc = "The operation."},
                  {.name = "CASE", .optional = true, .doc = "Operands and attributes, for --check."}},
    .exits = {[NC_EXIT_FAILED] = "a kernel or gradient is wrong; the message is the command that repeats it"},
    .examples = EXAMPLES,
    .run = run,
};

/* Every case of every operation, as every kernel. With an argument: of that operation only. */
#include "test.h"

#include <nacre/backend.h>

static void print_failure(void *user, const nacre_check_line *line)
{
    (void)user;
    if (!line->passed && !line->refusal)
        fprintf(stderr, "  %s, %s: error %.3g, allowed %.3g\n", line->variant, line->what, line->error,
                line->tolerance);
}

static void check_op(const nacre_op *op)
{
    for (int i = 0; op->cases && op->cases[i]; i++) {
        nacre_context *context = nacre_context_create(&(nacre_context_options){.threads = 1});
        NC_REQUIRE(context);
        if (nacre_op_check(context, op, op->cases[i], print_failure, NULL)) NC_COMPLAIN("%s", nacre_message(context));
        nacre_context_destroy(context);
    }
}

int main(int argc, char **argv)
{
    const nacre_op *op;
    for (int i = 0; (op = nacre_op_at(i)); i++) {
        if (argc > 1 && strcmp(argv[1], op->name)) continue;
        nc_test = op->name;
        check_op(op);
    }
    return nc_report();
}

/* cli/bench_generate.c - a language model continues a prompt token by token. */
#include "bench.h"

#include <nacre/backend.h>
#include <nacre/generate.h>
#include <nacre/io.h>
#include <nacre/text.h>

#include <string.h>

enum { PROMPT = 32, NEW = 128, VOCABULARY = 50257, WIDTH = 768, LAYERS = 12 };

typedef struct generation {
    nc_bench *bench;
    nacre_model *model;
    nacre_text *text;
    int64_t prompt[PROMPT], tokens[NEW];
    double last;         /* when the last token came */
    bool first;          /* none has come yet in this step */
    nacre_entry largest; /* of the weights: what reading is measured on */
    nc_series prefill, token, reading;
} generation;

/* GPT-2 of 124 M parameters, with room for the prompt and what follows. */
static nacre_tensor *next_token(nacre_scope scope, nacre_tensor *tokens, nacre_tensor *position, void *user)
{
    static const nacre_setting settings[] = {
        {.name = "layers", .is_number = true, .number = LAYERS},
        {.name = "heads", .is_number = true, .number = 12},
        {.name = "width", .is_number = true, .number = WIDTH},
        {.name = "context", .is_number = true, .number = 1024},
        {.name = "vocabulary", .is_number = true, .number = VOCABULARY},
        {.name = "tanh", .is_number = true, .number = 1},
        {.name = "generate", .is_number = true, .number = 1},
        {0},
    };
    const generation *g = user;
    nacre_tensor *inputs[] = {tokens, position};
    const nacre_text_options options = {.parameters = settings, .inputs = inputs, .input_count = 2};
    nacre_graph_set_precision(scope.graph, g->bench->dtype);
    scope.dtype = g->bench->dtype;
    return nacre_text_build(g->text, scope, &options);
}

static bool note_token(void *user, int64_t token)
{
    generation *g = user;
    const double now = nacre_seconds();
    (void)token;
    const bool noted = nc_series_add(g->bench->context, g->first ? &g->prefill : &g->token, now - g->last);
    g->last = now;
    g->first = false;
    return noted;
}

/* What memory gives in the same seconds: the largest weights read twice after each generation. */
static bool note_reading(generation *g)
{
    for (int i = 0; i < 2; i++) {
        const double start = nacre_seconds();
        const double bytes = nacre_exercise_reading(g->bench->context, g->largest.data, g->largest.bytes);
        if (!nc_series_add(g->bench->context, &g->reading, (nacre_seconds() - start) / bytes)) return false;
    }
    return true;
}

static double step(nc_bench *bench)
{
    generation *g = bench->state;
    const nacre_generate_options options = {.on_token = note_token, .user = g};
    const double start = g->last = nacre_seconds();
    g->first = true;
    const int64_t made = nacre_generate(g->model, next_token, g, g->prompt, PROMPT, g->tokens, NEW, &options);
    const double seconds = nacre_seconds() - start;
    return made == NEW && note_reading(g) ? seconds : -1;
}

static const double body = LAYERS * 12.0 * WIDTH * WIDTH, output = (double)VOCABULARY * WIDTH; /* weights */

/* Products of every position with every weight, of the last ones with the output matrix, and attention. */
static void count_work(nc_bench *bench)
{
    double pairs = (double)PROMPT * PROMPT;
    for (int i = 0; i < NEW - 1; i++) pairs += PROMPT + i + 1;
    bench->operations = 2 * ((PROMPT + NEW - 1) * body + NEW * output + LAYERS * 2.0 * WIDTH * pairs);
    bench->bytes = NEW * (body + output) * (double)nacre_dtype_size(bench->dtype);
    bench->items = NEW;
}

static bool create(nc_bench *bench)
{
    generation *g = bench->state = nacre_allocate(bench->context, sizeof *g);
    const char *source = nacre_zoo_text("gpt");
    if (!g) return false;
    g->bench = bench;
    g->model = nacre_model_create(bench->context);
    g->text = nacre_text_parse(bench->context, source, strlen(source), "gpt");
    for (int i = 0; i < PROMPT; i++) g->prompt[i] = (i * 7919) % VOCABULARY;
    count_work(bench);
    nacre_graph *graph = nacre_graph_create(bench->context); /* makes the parameters */
    nacre_tensor *tokens = nacre_input(graph, "tokens", NACRE_I64, NACRE_SHAPE(1, 1));
    nacre_tensor *position = nacre_input(graph, "position", NACRE_I64, NACRE_SCALAR);
    next_token(nacre_root(graph, g->model, false), tokens, position, g);
    nacre_graph_destroy(graph);
    nacre_entry entry;
    for (int i = 0; nacre_model_entry(g->model, i, &entry); i++)
        if (entry.bytes > g->largest.bytes) g->largest = entry;
    bench->parameters = nacre_model_elements(g->model, NACRE_ENTRY_PARAMETER);
    return nacre_check(bench->context) == NACRE_OK;
}

static void destroy(nc_bench *bench)
{
    generation *g = bench->state;
    if (!g) return;
    nacre_model_destroy(g->model);
    nacre_text_destroy(g->text);
    nacre_release(bench->context, g->prefill.seconds);
    nacre_release(bench->context, g->token.seconds);
    nacre_release(bench->context, g->reading.seconds);
    nacre_release(bench->context, g);
}

static void add_facts(nc_bench *bench, cJSON *object)
{
    generation *g = bench->state;
    nc_series_sort(&g->prefill);
    nc_series_sort(&g->token);
    nc_add_rounded(object, "prefill_ms_min", 1e3 * g->prefill.seconds[0], 3);
    nc_add_rounded(object, "token_ms_median", 1e3 * nc_series_median(&g->token), 3);
    nc_add_rounded(object, "token_ms_min", 1e3 * g->token.seconds[0], 3);
    nc_series_sort(&g->reading);
    const double weights = (body + output) * (double)nacre_dtype_size(bench->dtype);
    const double median = weights * nc_series_median(&g->reading), least = weights * g->reading.seconds[0];
    nc_add_rounded(object, "read_gbs_median", 1e-9 / nc_series_median(&g->reading), 1);
    nc_add_rounded(object, "read_gbs_best", 1e-9 / g->reading.seconds[0], 1);
    nc_add_rounded(object, "token_of_read_median", median / nc_series_median(&g->token), 3);
    nc_add_rounded(object, "token_of_read_best", least / g->token.seconds[0], 3);
}

const nc_workload nc_bench_generation[] = {
    {
        .name = "gpt2_generate",
        .metric = "generation throughput",
        .unit = "tokens/s",
        .summary = "GPT-2 of 124 M parameters continues 32 tokens by 128, greedily, with a cache of keys and values",
        .create = create,
        .step = step,
        .destroy = destroy,
        .warm_up = 1,
        .half = true,
        .add_facts = add_facts,
    },
    {0},
};

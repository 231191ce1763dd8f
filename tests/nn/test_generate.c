/* Generation with a cache of keys and values: the same logits and tokens as the whole sequence computed again for each
 * token, one plan for all of them, and what is refused. */
#include "test.h"

#include <nacre/nacre.h>

#include <math.h>

enum { VOCABULARY = 29, WIDTH = 16, HEADS = 2, LAYERS = 2, CONTEXT = 24, PROMPT = 5, NEW = 12 };

static nacre_context *ctx;
static nacre_model *model;

static void open_all(void)
{
    ctx = nacre_context_create(NULL);
    model = nacre_model_create(ctx);
    nacre_model_set_seed(model, 3);
}

static void close_all(void)
{
    nacre_model_destroy(model);
    nacre_context_destroy(ctx);
}

/* A small transformer; without a position the whole sequence is attended to at once. */
static nacre_tensor *transformer(nacre_scope s, nacre_tensor *tokens, nacre_tensor *position)
{
    nacre_tensor *places = nacre_arange(s.graph, NACRE_I64, nacre_tensor_dim(tokens, 1), 0, 1);
    if (position) places = nacre_add(places, position);
    nacre_tensor *x = nacre_embedding(nacre_in(s, "tokens"), tokens, VOCABULARY, WIDTH, NULL);
    x = nacre_add(x, nacre_embedding(nacre_in(s, "places"), places, CONTEXT, WIDTH, NULL));
    for (int i = 0; i < LAYERS; i++) {
        nacre_attention_options attention = {.causal = true, .position = position, .capacity = CONTEXT};
        nacre_tensor *h = nacre_layer_norm(nacre_in(nacre_at(s, i), "norm"), x, 1, NULL);
        x = nacre_add(x, nacre_multi_head_attention(nacre_in(nacre_at(s, i), "attention"), h, HEADS, &attention));
        h = nacre_gelu(nacre_linear(nacre_in(nacre_at(s, i), "up"), x, 2 * WIDTH, NULL));
        x = nacre_add(x, nacre_linear(nacre_in(nacre_at(s, i), "down"), h, WIDTH, NULL));
    }
    return nacre_linear(nacre_in(s, "head"), x, VOCABULARY, NULL);
}

static nacre_tensor *next_token(nacre_scope s, nacre_tensor *tokens, nacre_tensor *position, void *user)
{
    (void)user;
    return nacre_last_position(transformer(s, tokens, position));
}

static const int64_t prompt[PROMPT] = {3, 1, 4, 1, 5};

/* Logits of all positions of `tokens`, computed at once. */
static void whole(const int64_t *tokens, int64_t count, float *logits)
{
    nacre_graph *graph = nacre_graph_create(ctx);
    nacre_tensor *ids = nacre_input(graph, "tokens", NACRE_I64, NACRE_SHAPE(1, count));
    nacre_tensor *y = transformer(nacre_root(graph, model, false), ids, NULL);
    nacre_feed(ids, tokens);
    nacre_output(y);
    NC_CHECK(nacre_run(graph) == NACRE_OK);
    nacre_read(y, logits, sizeof(float) * (size_t)(count * VOCABULARY));
    nacre_graph_destroy(graph);
}

/* The same with weights stored in 16 bits, if the model has been told so in time. */
static nacre_tensor *next_token_of_halves(nacre_scope s, nacre_tensor *tokens, nacre_tensor *position, void *user)
{
    nacre_graph_set_precision(s.graph, NACRE_BF16);
    s.dtype = NACRE_BF16;
    return next_token(s, tokens, position, user);
}

static int64_t largest(const float *logits)
{
    int64_t best = 0;
    for (int64_t i = 1; i < VOCABULARY; i++)
        if (logits[i] > logits[best]) best = i;
    return best;
}

static void cached_logits_are_those_of_the_whole(void)
{
    open_all();
    int64_t tokens[PROMPT + NEW];
    static float all[(PROMPT + NEW) * VOCABULARY], one[VOCABULARY];
    for (int i = 0; i < PROMPT + NEW; i++) tokens[i] = i * 7 % VOCABULARY;
    whole(tokens, PROMPT + NEW, all);
    nacre_graph *graphs[2];
    nacre_plan_info info;
    for (int stage = 0; stage < 2; stage++) {
        graphs[stage] = nacre_graph_create(ctx);
        nacre_tensor *ids = nacre_input(graphs[stage], "ids", NACRE_I64, NACRE_SHAPE(1, stage ? 1 : PROMPT));
        nacre_tensor *position = nacre_input(graphs[stage], "position", NACRE_I64, NACRE_SCALAR);
        nacre_tensor *y = next_token(nacre_root(graphs[stage], model, false), ids, position, NULL);
        nacre_output(y);
        for (int at = stage ? PROMPT : 0; at < (stage ? PROMPT + NEW : 1); at++) {
            nacre_feed(ids, tokens + at);
            nacre_feed_scalar(position, at);
            NC_CHECK(nacre_run(graphs[stage]) == NACRE_OK);
            NC_CHECK(nacre_read(y, one, sizeof one) == NACRE_OK);
            const float *expected = all + (stage ? at : PROMPT - 1) * VOCABULARY;
            for (int i = 0; i < VOCABULARY; i++) NC_CHECK_NEAR(one[i], expected[i], 1e-5);
        }
    }
    NC_CHECK(nacre_plan(graphs[1], &info) == NACRE_OK);
    NC_CHECK_INT(info.misses, 3); /* the whole, the prompt, and one for every further token */
    for (int i = 0; i < 2; i++) nacre_graph_destroy(graphs[i]);
    close_all();
}

static void tokens_are_those_without_a_cache(void)
{
    open_all();
    int64_t expected[PROMPT + NEW], got[NEW];
    static float logits[(PROMPT + NEW) * VOCABULARY];
    memcpy(expected, prompt, sizeof prompt);
    for (int i = PROMPT; i < PROMPT + NEW; i++) {
        whole(expected, i, logits);
        expected[i] = largest(logits + (i - 1) * VOCABULARY);
    }
    nacre_model_freeze(model, true); /* what is remembered is no parameter */
    for (int round = 0; round < 2; round++) {
        NC_CHECK_INT(nacre_generate(model, next_token, NULL, prompt, PROMPT, got, NEW, NULL), NEW);
        for (int i = 0; i < NEW; i++) NC_CHECK_INT(got[i], expected[PROMPT + i]);
    }
    close_all();
}

static bool count_to_three(void *user, int64_t token)
{
    (void)token;
    return ++*(int *)user < 3;
}

static void generation_ends_where_it_is_told_to(void)
{
    open_all();
    int64_t all[NEW], tokens[NEW];
    int seen = 0;
    NC_CHECK_INT(nacre_generate(model, next_token, NULL, prompt, PROMPT, all, NEW, NULL), NEW);
    nacre_generate_options options = {.on_token = count_to_three, .user = &seen};
    NC_CHECK_INT(nacre_generate(model, next_token, NULL, prompt, PROMPT, tokens, NEW, &options), 3);
    NC_CHECK_INT(seen, 3);
    int64_t first = 0;
    while (all[first] != all[4]) first++;
    options = (nacre_generate_options){.stops = true, .stop = all[4]};
    NC_CHECK_INT(nacre_generate(model, next_token, NULL, prompt, PROMPT, tokens, NEW, &options), first + 1);
    NC_CHECK_INT(tokens[first], all[4]);
    close_all();
}

static nacre_tensor *every_position(nacre_scope s, nacre_tensor *tokens, nacre_tensor *position, void *user)
{
    (void)user;
    return transformer(s, tokens, position);
}

static void what_cannot_be_is_refused(void)
{
    int64_t tokens[NEW], long_prompt[CONTEXT + 1] = {0};
    open_all();
    NC_CHECK_INT(nacre_generate(model, every_position, NULL, prompt, PROMPT, tokens, NEW, NULL), -1);
    NC_CHECK_CONTAINS(nacre_message(ctx), "nacre_last_position");
    close_all();
    open_all();
    NC_CHECK_INT(nacre_generate(model, next_token, NULL, long_prompt, CONTEXT + 1, tokens, NEW, NULL), -1);
    NC_CHECK_CONTAINS(nacre_message(ctx), "capacity of 24");
    close_all();
    open_all();
    NC_CHECK_INT(nacre_generate(model, next_token, NULL, prompt, 0, tokens, NEW, NULL), -1);
    NC_CHECK_CONTAINS(nacre_message(ctx), "a prompt");
    close_all();
    open_all();
    NC_CHECK_INT(nacre_generate(model, next_token, NULL, prompt, PROMPT, tokens, 1, NULL), 1);
    float *bias = nacre_model_write(model, nacre_model_find(model, "head.bias"));
    NC_REQUIRE(bias);
    bias[2] = NAN;
    NC_CHECK_INT(nacre_generate(model, next_token, NULL, prompt, PROMPT, tokens, NEW, NULL), -1);
    NC_CHECK_CONTAINS(nacre_message(ctx), "token 2 is NaN");
    close_all();
}

static void weights_of_16_bits_stay_so(void)
{
    open_all();
    int64_t tokens[NEW];
    NC_CHECK(nacre_generate(model, next_token_of_halves, NULL, prompt, PROMPT, tokens, NEW, NULL) == NEW);
    nacre_entry entry;
    for (int i = 0; nacre_model_entry(model, i, &entry); i++) {
        if (entry.role != NACRE_ENTRY_PARAMETER) continue;
        NC_CHECK_INT(entry.dtype, entry.shape.rank >= 2 ? NACRE_BF16 : NACRE_F32);
    }
    nacre_graph *graph = nacre_graph_create(ctx);
    nacre_tensor *ids = nacre_input(graph, "tokens", NACRE_I64, NACRE_SHAPE(1, 1));
    nacre_tensor *position = nacre_input(graph, "position", NACRE_I64, NACRE_SCALAR);
    nacre_output(next_token_of_halves(nacre_root(graph, model, false), ids, position, NULL));
    nacre_plan_info info;
    NC_CHECK_INT(nacre_plan(graph, &info), NACRE_OK);
    NC_CHECK(info.prepared_bytes < 4 * VOCABULARY * WIDTH); /* no weight stands beside itself in f32 */
    nacre_graph_destroy(graph);
    close_all();
}

/* The sums of a whole network differ by what rounding to bf16 between the layers does: some 2^-8 of the largest. */
static void logits_of_halves_are_close(void)
{
    float wide[PROMPT * VOCABULARY], narrow[PROMPT * VOCABULARY], scale = 0;
    for (int half = 0; half < 2; half++) {
        open_all();
        nacre_graph *graph = nacre_graph_create(ctx);
        nacre_tensor *ids = nacre_input(graph, "tokens", NACRE_I64, NACRE_SHAPE(1, PROMPT));
        nacre_scope s = nacre_root(graph, model, false);
        if (half) nacre_graph_set_precision(graph, NACRE_BF16);
        s.dtype = half ? NACRE_BF16 : NACRE_F32;
        nacre_tensor *y = transformer(s, ids, NULL);
        nacre_feed(ids, prompt);
        nacre_output(y);
        NC_CHECK_INT(nacre_tensor_dtype(y), NACRE_F32);
        NC_CHECK_INT(nacre_run(graph), NACRE_OK);
        nacre_read(y, half ? narrow : wide, sizeof wide);
        nacre_graph_destroy(graph);
        close_all();
    }
    for (int i = 0; i < PROMPT * VOCABULARY; i++) scale = fmaxf(scale, fabsf(wide[i]));
    for (int i = 0; i < PROMPT * VOCABULARY; i++) NC_CHECK_NEAR(narrow[i], wide[i], 0x1p-5 * scale);
}

int main(void)
{
    NC_RUN(cached_logits_are_those_of_the_whole);
    NC_RUN(tokens_are_those_without_a_cache);
    NC_RUN(generation_ends_where_it_is_told_to);
    NC_RUN(what_cannot_be_is_refused);
    NC_RUN(weights_of_16_bits_stay_so);
    NC_RUN(logits_of_halves_are_close);
    return nc_report();
}

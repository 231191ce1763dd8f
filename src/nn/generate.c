/* nn/generate.c - continuing a sequence greedily. */
#include <nacre/generate.h>

nacre_tensor *nacre_last_position(nacre_tensor *x)
{
    int64_t length = nacre_tensor_dim(x, 1);
    return nacre_slice(x, 1, length - 1, length, 1);
}

/* The model over a number of tokens at once: the prompt, or one. */
typedef struct stage {
    nacre_graph *graph;
    nacre_tensor *tokens, *position, *logits;
} stage;

static nacre_status build(stage *s, nacre_model *model, nacre_token_model *body, void *user, int64_t length)
{
    nacre_context *context = nacre_model_context(model);
    if (!(s->graph = nacre_graph_create(context))) return nacre_check(context);
    s->tokens = nacre_input(s->graph, "tokens", NACRE_I64, NACRE_SHAPE(1, length));
    s->position = nacre_input(s->graph, "position", NACRE_I64, NACRE_SCALAR);
    s->logits = body(nacre_root(s->graph, model, false), s->tokens, s->position, user);
    if (nacre_check(context)) return nacre_check(context);
    char text[NACRE_SHAPE_TEXT_SIZE];
    if (!s->logits || nacre_tensor_rank(s->logits) < 1 || nacre_tensor_dtype(s->logits) != NACRE_F32 ||
        nacre_tensor_dim(s->logits, -1) < 1 || nacre_tensor_count(s->logits) != nacre_tensor_dim(s->logits, -1))
        return nacre_fail(context, NACRE_ERROR_SHAPE,
                          "generate: the model gives %s, expected one row of f32 logits; nacre_last_position?",
                          nacre_shape_text(nacre_tensor_shape(s->logits), text));
    return nacre_output(s->logits);
}

static nacre_status run(stage *s, const int64_t *tokens, int64_t position, float *logits)
{
    nacre_feed(s->tokens, tokens);
    nacre_feed_scalar(s->position, (double)position);
    nacre_status status = nacre_run(s->graph);
    return status ? status : nacre_read(s->logits, logits, sizeof *logits * (size_t)nacre_tensor_count(s->logits));
}

/* Where the first of the largest values is; -1 after a recorded failure. */
static int64_t most_likely(nacre_context *context, const float *logits, int64_t count)
{
    int64_t best = 0;
    for (int64_t i = 0; i < count; i++) {
        if (logits[i] > logits[best]) best = i;
        if (logits[i] == logits[i]) continue;
        nacre_fail(context, NACRE_ERROR_NUMERIC, "generate: the logit of token %lld is NaN", (long long)i);
        return -1;
    }
    return best;
}

static int64_t continue_prompt(stage *prompt, stage *step, const int64_t *tokens_before, int64_t length,
                               int64_t *tokens, int64_t count, const nacre_generate_options *options)
{
    nacre_context *context = nacre_graph_context(prompt->graph);
    const int64_t vocabulary = nacre_tensor_count(prompt->logits);
    float *logits = nacre_allocate(context, sizeof *logits * (size_t)vocabulary);
    int64_t made = 0;
    nacre_status status = logits ? run(prompt, tokens_before, 0, logits) : nacre_check(context);
    while (!status) {
        const int64_t token = most_likely(context, logits, vocabulary);
        if ((status = nacre_check(context))) break;
        tokens[made++] = token;
        const bool goes_on = !options->on_token || options->on_token(options->user, token);
        if (!goes_on || made == count || (options->stops && token == options->stop)) break;
        status = run(step, &tokens[made - 1], length + made - 1, logits);
    }
    nacre_release(context, logits);
    return status ? -1 : made;
}

int64_t nacre_generate(nacre_model *model, nacre_token_model *body, void *user, const int64_t *prompt,
                       int64_t prompt_length, int64_t *tokens, int64_t count, const nacre_generate_options *options)
{
    static const nacre_generate_options defaults;
    nacre_context *context = nacre_model_context(model);
    if (!model || nacre_check(context)) return -1;
    if (!body || !prompt || prompt_length < 1 || !tokens || count < 1) {
        nacre_fail(context, NACRE_ERROR_ARGUMENT, "generate: needs a model, a prompt and room for at least one token");
        return -1;
    }
    stage whole = {0}, step = {0};
    int64_t made = -1;
    if (!build(&whole, model, body, user, prompt_length) && !build(&step, model, body, user, 1))
        made = continue_prompt(&whole, &step, prompt, prompt_length, tokens, count, options ? options : &defaults);
    nacre_graph_destroy(whole.graph);
    nacre_graph_destroy(step.graph);
    return made;
}

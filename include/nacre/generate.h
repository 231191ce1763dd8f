/* generate.h - sequences continued token by token by a model that predicts the next one.
 *
 * The model is a function that builds a graph for some tokens and says what follows the last of them; its attention
 * layers keep the keys and values of what came before (nacre_attend_cached, nacre_multi_head_attention with a
 * position), so that each token is computed once:
 *
 *     static nacre_tensor *next_token(nacre_scope s, nacre_tensor *tokens, nacre_tensor *position, void *user)
 *     {
 *         nacre_tensor *x = nacre_embedding(nacre_in(s, "embedding"), tokens, VOCABULARY, WIDTH, NULL);
 *         nacre_attention_options cached = {.position = position, .capacity = CONTEXT};
 *         x = nacre_add(x, nacre_multi_head_attention(nacre_in(s, "attention"), x, HEADS, &cached));
 *         return nacre_linear(nacre_in(s, "head"), nacre_last_position(x), VOCABULARY, NULL);
 *     }
 *
 *     int64_t made = nacre_generate(model, next_token, NULL, prompt, prompt_length, tokens, count, NULL);
 *
 * A token costs reading all weights once, so with weights of 16 bits it takes half the time and memory:
 * scope.dtype = NACRE_BF16 before the first layer and nacre_graph_set_precision(scope.graph, NACRE_BF16) (see "16-bit
 * weights" in nn.h).
 */
#ifndef NACRE_GENERATE_H
#define NACRE_GENERATE_H

#include <nacre/nn.h>

#ifdef __cplusplus
extern "C" {
#endif

/* tokens [1, T] (i64), the first of which stands at `position` (a scalar i64 tensor) of the sequence -> the f32 logits
 * of what follows the last, [..., vocabulary] with one row. Called with the whole prompt and once with T = 1. */
typedef nacre_tensor *nacre_token_model(nacre_scope scope, nacre_tensor *tokens, nacre_tensor *position, void *user);

typedef struct nacre_generate_options {
    bool stops; /* ends after the token `stop` */
    int64_t stop;
    bool (*on_token)(void *user, int64_t token); /* called with each new token; false ends. NULL: none */
    void *user;                                  /* of on_token */
} nacre_generate_options;

/* Continues a prompt of at least one token by up to `count` tokens, each the most likely one (the first of equals),
 * into `tokens`. Returns how many there are, the one that ended it included, or -1 after a failure: one of the graph's,
 * or NACRE_ERROR_NUMERIC where a logit is NaN. What the model remembered of an earlier sequence is overwritten. Options
 * NULL: all defaults. */
NACRE_API int64_t nacre_generate(nacre_model *model, nacre_token_model *body, void *user, const int64_t *prompt,
                                 int64_t prompt_length, int64_t *tokens, int64_t count,
                                 const nacre_generate_options *options);

/* The last position of x [N, T, ...]: [N, 1, ...]. */
NACRE_API nacre_tensor *nacre_last_position(nacre_tensor *x);

#ifdef __cplusplus
}
#endif

#endif

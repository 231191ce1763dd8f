/* hello.c - a network that learns to read digits, through Nacre's public interface alone. With Nacre installed:
 *
 *     cc -std=c17 hello.c $(pkg-config --cflags --libs nacre) -o hello && ./hello
 */
#include <nacre/nacre.h>

#include <stdio.h>

static nacre_tensor *network(void *user, nacre_scope s, nacre_tensor *const *inputs, int input_count)
{
    (void)user;
    (void)input_count;
    nacre_tensor *pixels = nacre_flatten(inputs[0], 1);
    nacre_tensor *hidden = nacre_relu(nacre_linear(nacre_in(s, "hidden"), pixels, 128, NULL));
    return nacre_linear(nacre_in(s, "out"), hidden, 10, NULL);
}

int main(void)
{
    nacre_context *ctx = nacre_context_create(NULL);
    nacre_dataset *digits = nacre_glyphs(ctx, 6000, 1); /* drawn by the program itself */
    nacre_dataset *train = nacre_dataset_split(digits, NACRE_TRAIN, NULL);
    nacre_dataset *test = nacre_dataset_split(digits, NACRE_TEST, NULL);
    nacre_transforms *scale = nacre_transforms_parse(ctx, "scale(1/255)");
    nacre_model *model = nacre_model_create(ctx);

    nacre_fit_options fit = {.model = model,
                             .build = network,
                             .train = train,
                             .transforms = scale,
                             .optimizer = {.kind = NACRE_OPTIMIZER_ADAMW},
                             .schedule = {.base = 2e-3},
                             .epochs = 3,
                             .batch_size = 64};
    nacre_evaluate_options look = {.model = model, .build = network, .dataset = test, .transforms = scale};
    nacre_fit_result learnt;
    nacre_evaluation seen = {0};
    if (nacre_fit(ctx, &fit, &learnt) == NACRE_OK && nacre_evaluate(ctx, &look, &seen) == NACRE_OK)
        printf("accuracy %.1f %% on %lld new digits\n", 100 * nacre_metrics_value(seen.metrics, 0),
               (long long)seen.samples);

    if (nacre_check(ctx)) fprintf(stderr, "%s\n", nacre_message(ctx)); /* the first failure, wherever it was */
    int failed = nacre_check(ctx) != NACRE_OK;
    nacre_metrics_destroy(seen.metrics);
    nacre_model_destroy(model);
    nacre_transforms_destroy(scale);
    nacre_dataset_destroy(test);
    nacre_dataset_destroy(train);
    nacre_dataset_destroy(digits);
    nacre_context_destroy(ctx);
    return failed;
}

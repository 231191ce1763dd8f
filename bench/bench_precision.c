/* A small character GPT learns a text in f32 and in bf16, from the same weights and batches: losses side by side.
 *
 *     bench_precision TEXT [STEPS] [LAYERS]
 *
 * Width 128, 4 heads, 128 characters at a time, 16 sequences a batch, AdamW at 1e-3; two seeds. The loss shown is that
 * of 16 batches of the last tenth of the text, which is not learnt from, in the precision that was trained in. */
#include <nacre/io.h>
#include <nacre/random.h>
#include <nacre/text.h>
#include <nacre/train.h>
#include <nacre/zoo.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { BATCH = 16, LENGTH = 128, TESTS = 16, SHOWN = 6, MOST_CHARACTERS = 256 };

typedef struct corpus {
    int64_t *ids, count, characters;
} corpus;

/* Characters numbered in the order of their codes. */
static bool read_corpus(nacre_context *context, const char *path, corpus *text)
{
    size_t size;
    int64_t number[MOST_CHARACTERS] = {0};
    char *bytes = nacre_file_read(context, path, (size_t)1 << 28, &size);
    *text = (corpus){.ids = nacre_allocate(context, sizeof *text->ids * (size + 1)), .count = (int64_t)size};
    for (size_t i = 0; bytes && text->ids && i < size; i++) number[(unsigned char)bytes[i]] = 1;
    for (int c = 0; c < MOST_CHARACTERS; c++) number[c] = number[c] ? text->characters++ : -1;
    for (size_t i = 0; bytes && text->ids && i < size; i++) text->ids[i] = number[(unsigned char)bytes[i]];
    nacre_release(context, bytes);
    return nacre_check(context) == NACRE_OK;
}

/* Sequences that begin at random places of [first, last), and what follows each character. */
static void draw_batch(const corpus *text, int64_t first, int64_t last, uint32_t seed, uint32_t step, int64_t *x,
                       int64_t *target)
{
    for (uint32_t i = 0; i < BATCH; i++) {
        uint32_t bits[4];
        nacre_philox((uint32_t[]){seed, 1}, (uint32_t[]){step, i, 0, 0}, bits);
        const int64_t begin = first + (int64_t)(bits[0] % (uint32_t)(last - first - LENGTH - 1));
        memcpy(x + i * LENGTH, text->ids + begin, sizeof *x * LENGTH);
        memcpy(target + i * LENGTH, text->ids + begin + 1, sizeof *x * LENGTH);
    }
}

typedef struct run {
    nacre_graph *graph;
    nacre_tensor *x, *target, *loss, *rate, *step;
} run;

static bool build(run *r, nacre_model *model, nacre_text *source, const corpus *text, double layers, nacre_dtype dtype,
                  bool training)
{
    const nacre_setting settings[] = {{.name = "layers", .is_number = true, .number = layers},
                                      {.name = "heads", .is_number = true, .number = 4},
                                      {.name = "width", .is_number = true, .number = 128},
                                      {.name = "context", .is_number = true, .number = LENGTH},
                                      {.name = "vocabulary", .is_number = true, .number = (double)text->characters},
                                      {0}};
    r->graph = nacre_graph_create(nacre_model_context(model));
    nacre_graph_set_precision(r->graph, dtype);
    r->x = nacre_input(r->graph, "x", NACRE_I64, NACRE_SHAPE(BATCH, LENGTH));
    r->target = nacre_input(r->graph, "target", NACRE_I64, NACRE_SHAPE(BATCH * LENGTH));
    const nacre_text_options options = {.parameters = settings, .inputs = &r->x, .input_count = 1};
    nacre_tensor *y = nacre_text_build(source, nacre_root(r->graph, model, training), &options);
    y = nacre_reshape(y, NACRE_SHAPE(BATCH * LENGTH, text->characters));
    r->loss = nacre_cross_entropy(y, r->target, NULL);
    if (training) {
        const nacre_optimizer optimizer = {.kind = NACRE_OPTIMIZER_ADAMW, .weight_decay = 0.1};
        r->rate = nacre_input(r->graph, "learning_rate", NACRE_F32, NACRE_SCALAR);
        r->step = nacre_input(r->graph, "step", NACRE_I64, NACRE_SCALAR);
        nacre_feed_scalar(r->rate, 1e-3);
        nacre_minimise(r->loss, model, &optimizer, &(nacre_step_inputs){.learning_rate = r->rate, .step = r->step});
    }
    return nacre_output(r->loss) == NACRE_OK;
}

static double run_once(const run *r, const int64_t *x, const int64_t *target)
{
    nacre_feed(r->x, x);
    nacre_feed(r->target, target);
    nacre_run(r->graph);
    return nacre_read_scalar(r->loss);
}

/* Trains and notes the test loss SHOWN times on the way. */
static bool train(nacre_context *context, nacre_text *source, const corpus *text, uint32_t seed, int steps,
                  double layers, nacre_dtype dtype, double losses[SHOWN])
{
    static int64_t x[BATCH * LENGTH], target[BATCH * LENGTH];
    const int64_t border = text->count / 10 * 9;
    nacre_model *model = nacre_model_create(context);
    run learning, testing;
    nacre_model_set_seed(model, seed);
    bool complete = build(&learning, model, source, text, layers, dtype, true) &&
                    build(&testing, model, source, text, layers, dtype, false);
    for (int i = 0; complete && i < steps; i++) {
        draw_batch(text, 0, border, seed, (uint32_t)i, x, target);
        nacre_feed_scalar(learning.step, i + 1);
        run_once(&learning, x, target);
        if ((i + 1) * SHOWN / steps == i * SHOWN / steps) continue;
        double sum = 0;
        for (uint32_t t = 0; t < TESTS; t++) {
            draw_batch(text, border, text->count, 99, t, x, target);
            sum += run_once(&testing, x, target);
        }
        losses[i * SHOWN / steps] = sum / TESTS;
        complete = nacre_check(context) == NACRE_OK;
    }
    nacre_graph_destroy(learning.graph);
    nacre_graph_destroy(testing.graph);
    nacre_model_destroy(model);
    return complete;
}

int main(int count, char **arguments)
{
    const int steps = count > 2 ? atoi(arguments[2]) : 600;
    const double layers = count > 3 ? atof(arguments[3]) : 2;
    nacre_context *context = nacre_context_create(NULL);
    const char *zoo = nacre_zoo_text("gpt");
    nacre_text *source = nacre_text_parse(context, zoo, strlen(zoo), "gpt");
    corpus text = {0};
    bool complete = count > 1 && read_corpus(context, arguments[1], &text);
    for (uint32_t seed = 1; complete && seed <= 2; seed++) {
        double wide[SHOWN], narrow[SHOWN];
        complete = train(context, source, &text, seed, steps, layers, NACRE_F32, wide) &&
                   train(context, source, &text, seed, steps, layers, NACRE_BF16, narrow);
        printf("seed %u\n  step     f32    bf16\n", (unsigned)seed);
        for (int i = 0; complete && i < SHOWN; i++)
            printf("  %4d  %.4f  %.4f\n", (i + 1) * steps / SHOWN, wide[i], narrow[i]);
    }
    if (!complete) fprintf(stderr, "bench_precision TEXT [STEPS] [LAYERS]: %s\n", nacre_message(context));
    nacre_release(context, text.ids);
    nacre_text_destroy(source);
    nacre_context_destroy(context);
    return complete ? 0 : 1;
}

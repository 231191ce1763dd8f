/* Augmentations: operations as torchvision does them; what RandAugment, TrivialAugment, erasing and mixing draw. */
#include "golden.h"

#include <nacre/data.h>
#include <nacre/nn.h>

static nacre_context *ctx;

/* ---- against torchvision ---- */

/* Geometry may round a pixel's place the other way; all else is exact. */
static void compare(const char *picture, int index, const char *line, const nacre_named_array *source,
                    const nacre_named_array *expected)
{
    uint8_t got[3 * 26 * 17];
    char operation[32];
    double magnitude;
    int64_t count = nacre_shape_count(source->shape), wrong = 0;
    NC_REQUIRE(sscanf(line, "%31s %lf", operation, &magnitude) == 2 && count <= (int64_t)sizeof got);
    nacre_augment(ctx, operation, magnitude, (int)source->shape.dims[0], (int)source->shape.dims[1],
                  (int)source->shape.dims[2], source->data, got);
    NC_CHECK_OK(ctx);
    for (int64_t i = 0; i < count; i++) wrong += got[i] != ((const uint8_t *)expected->data)[i];
    bool turned = strstr("ShearX ShearY Rotate", operation);
    if (wrong > (turned ? count / 100 : 0))
        NC_COMPLAIN("%s.%d %s: %lld of %lld values differ", picture, index, line, (long long)wrong, (long long)count);
}

static void operations(void)
{
    static const char *const pictures[] = {"colour", "grey", "large"};
    nacre_safetensors *file = nacre_safetensors_open(ctx, nc_source("tests/golden/augment.safetensors"));
    int compared = 0;
    NC_REQUIRE(file);
    for (int p = 0; p < 3; p++)
        for (int i = 0;; i++, compared++) {
            char name[32], key[16];
            snprintf(key, sizeof key, "%d", i);
            const char *line = nacre_safetensors_metadata(file, key);
            if (!line) break;
            snprintf(name, sizeof name, "%s.%d", pictures[p], i);
            compare(pictures[p], i, line, nacre_safetensors_find(file, pictures[p]),
                    nacre_safetensors_find(file, name));
        }
    NC_CHECK_INT(compared, 3 * 28);
    nacre_safetensors_close(file);
}

static void operations_refused(void)
{
    uint8_t pixels[8] = {0};
    nacre_augment(ctx, "Rotat", 1, 1, 2, 2, pixels, pixels + 4);
    NC_CHECK_FAILED(ctx, NACRE_ERROR_ARGUMENT, "did you mean 'Rotate'?");
    nacre_augment(ctx, "Posterize", 9, 1, 2, 2, pixels, pixels + 4);
    NC_CHECK_FAILED(ctx, NACRE_ERROR_ARGUMENT, "0 to 8 bits");
    nacre_augment(ctx, "ShearX", NAN, 1, 2, 2, pixels, pixels + 4);
    NC_CHECK_FAILED(ctx, NACRE_ERROR_ARGUMENT, "magnitude nan");
}

/* ---- distributions as targets ---- */

static void compare_loss(const nacre_safetensors *file, int index)
{
    static const double smoothing[] = {0, 0.1, 0.2};
    double logits[30], target[30], weights[5], gradient[30], wanted[30];
    char name[32];
    nacre_safetensors_load(nacre_safetensors_find(file, "logits"), NACRE_F64, logits);
    nacre_safetensors_load(nacre_safetensors_find(file, "target"), NACRE_F64, target);
    nacre_safetensors_load(nacre_safetensors_find(file, "weight"), NACRE_F64, weights);
    nacre_graph *graph = nacre_graph_create(ctx);
    nacre_tensor *x = nacre_input(graph, "x", NACRE_F64, NACRE_SHAPE(6, 5)), *dx;
    nacre_tensor *t = nacre_input(graph, "t", NACRE_F64, NACRE_SHAPE(6, 5));
    nacre_tensor *w = index == 2 ? nacre_constant(graph, NACRE_F64, NACRE_SHAPE(5), weights) : NULL;
    nacre_cross_entropy_options options = {.label_smoothing = smoothing[index], .weight = w};
    nacre_tensor *loss = nacre_cross_entropy(x, t, &options);
    nacre_gradients(loss, &x, 1, &dx);
    nacre_output(loss);
    nacre_output(dx);
    nacre_feed(x, logits);
    nacre_feed(t, target);
    nacre_run(graph);
    nacre_read(dx, gradient, sizeof gradient);
    NC_CHECK_OK(ctx);
    snprintf(name, sizeof name, "loss.%d", index);
    nacre_safetensors_load(nacre_safetensors_find(file, name), NACRE_F64, wanted);
    NC_CHECK_NEAR(nacre_read_scalar(loss), *wanted, 1e-7);
    snprintf(name, sizeof name, "gradient.%d", index);
    nacre_safetensors_load(nacre_safetensors_find(file, name), NACRE_F64, wanted);
    NC_CHECK(nc_furthest(NACRE_F64, gradient, wanted, 30) < 1e-6);
    nacre_graph_destroy(graph);
}

static void soft_targets(void)
{
    nacre_safetensors *file = nacre_safetensors_open(ctx, nc_source("tests/golden/augment.safetensors"));
    for (int i = 0; file && i < 3; i++) compare_loss(file, i);
    nacre_safetensors_close(file);
    nacre_graph *graph = nacre_graph_create(ctx);
    nacre_tensor *x = nacre_input(graph, "x", NACRE_F32, NACRE_SHAPE(6, 5));
    nacre_tensor *t = nacre_input(graph, "t", NACRE_F32, NACRE_SHAPE(6, 4));
    NC_CHECK(!nacre_cross_entropy(x, t, NULL));
    NC_CHECK_FAILED(ctx, NACRE_ERROR_SHAPE, "cross_entropy: the model's output is [6, 5], the target [6, 4]");
    NC_CHECK(!nacre_cross_entropy(x, x, &(nacre_cross_entropy_options){.ignore = true}));
    NC_CHECK_FAILED(ctx, NACRE_ERROR_ARGUMENT, "no class to ignore");
    nacre_graph_destroy(graph);
}

/* ---- what steps draw ---- */

enum { SIDE = 32, PIXELS = SIDE * SIDE, SAMPLES = 400, CLASSES = 4 };

/* Sample i is a picture of the one value 100 + i % 4 * 40, class i % 4. */
static nacre_status get(void *user, int64_t index, nacre_sample *sample)
{
    (void)user;
    uint8_t *pixels = nacre_sample_reserve(sample, 0, NACRE_U8, NACRE_SHAPE(1, SIDE, SIDE));
    int64_t *label = nacre_sample_reserve(sample, 1, NACRE_I64, NACRE_SCALAR);
    if (!pixels || !label) return NACRE_ERROR_MEMORY;
    memset(pixels, (int)(100 + index % CLASSES * 40), PIXELS);
    *label = index % CLASSES;
    return NACRE_OK;
}

static nacre_dataset *plain_pictures(bool labels)
{
    nacre_dataset_source source = {.name = "plain",
                                   .count = SAMPLES,
                                   .fields = {{"image", NACRE_ROLE_IMAGE, NACRE_U8, NACRE_SHAPE(1, SIDE, SIDE)},
                                              {"label", NACRE_ROLE_LABEL, NACRE_I64, NACRE_SCALAR}},
                                   .field_count = labels ? 2 : 1,
                                   .class_count = labels ? CLASSES : 0,
                                   .get = get};
    return nacre_dataset_create(ctx, &source);
}

typedef struct drawn {
    nacre_dataset *dataset;
    nacre_transforms *list;
    nacre_sample sample;
    nacre_work work[2];
} drawn;

static drawn open_steps(const char *text)
{
    return (drawn){
        .dataset = plain_pictures(true), .list = nacre_transforms_parse(ctx, text), .sample = {.context = ctx}};
}

static const float *draw(drawn *all, int64_t index, int64_t epoch, bool training)
{
    nacre_draw how = {.training = training, .seed = 4, .epoch = epoch, .index = index};
    nacre_dataset_get(all->dataset, index, &all->sample);
    nacre_transforms_apply(all->list, all->dataset, &how, &all->sample, all->work);
    NC_CHECK_OK(ctx);
    return all->sample.values[0].data;
}

static void close_steps(drawn *all)
{
    nacre_sample_release(&all->sample);
    for (int i = 0; i < 2; i++) nacre_release(ctx, all->work[i].block);
    nacre_transforms_destroy(all->list);
    nacre_dataset_destroy(all->dataset);
}

/* Half of the pictures lose a rectangle of 2 to 33 % of their area, 17.5 % in the mean. */
static void erasing(void)
{
    drawn all = open_steps("random_erasing(value=7)");
    int erased = 0;
    double area = 0;
    for (int64_t i = 0; i < SAMPLES; i++) {
        const float *pixels = draw(&all, i, 0, true);
        int count = 0, left = SIDE, right = -1, top = SIDE, bottom = -1;
        for (int k = 0; k < PIXELS; k++) {
            if (pixels[k] != 7) continue;
            int x = k % SIDE, y = k / SIDE;
            count++;
            left = x < left ? x : left;
            right = x > right ? x : right;
            top = y < top ? y : top;
            bottom = y > bottom ? y : bottom;
        }
        if (!count) continue;
        NC_CHECK_INT((right - left + 1) * (bottom - top + 1), count); /* one rectangle */
        NC_CHECK(count > 0.01 * PIXELS && count < 0.36 * PIXELS);
        erased++;
        area += (double)count / PIXELS;
    }
    NC_CHECK(erased > 0.42 * SAMPLES && erased < 0.58 * SAMPLES);
    NC_CHECK_NEAR(area / erased, 0.175, 0.03);
    NC_CHECK(draw(&all, 3, 0, false)[PIXELS / 2] == 220); /* nothing happens outside training */
    close_steps(&all);

    all = open_steps("scale(0); random_erasing(1, 0.2, 0.2, noise=1)");
    double sum = 0, squares = 0;
    int64_t count = 0;
    for (int64_t i = 0; i < 100; i++) {
        const float *pixels = draw(&all, i, 0, true);
        for (int k = 0; k < PIXELS; k++) {
            count += pixels[k] != 0;
            sum += (double)pixels[k];
            squares += (double)pixels[k] * (double)pixels[k];
        }
    }
    NC_CHECK_NEAR((double)count / 100 / PIXELS, 0.2, 0.02);
    NC_CHECK_NEAR(sum / (double)count, 0, 0.05);
    NC_CHECK_NEAR(squares / (double)count, 1, 0.05);
    close_steps(&all);
}

/* A plain picture tells which of the fourteen operations it went through as little as it can; their shares can be
 * told by a list of one operation on few pictures: unchanged for those that leave a plain picture as it is. */
static void random_operations(void)
{
    static const char *const texts[] = {"randaugment(1, 30)", "trivialaugment"};
    for (int t = 0; t < 2; t++) {
        drawn all = open_steps(texts[t]);
        int changed = 0, black = 0;
        for (int64_t i = 0; i < SAMPLES; i++) {
            const float *pixels = draw(&all, i, 0, true);
            bool same = true, zero = false;
            for (int k = 0; k < PIXELS; k++) {
                same &= pixels[k] == (float)(100 + i % CLASSES * 40);
                zero |= pixels[k] == 0;
                NC_CHECK(pixels[k] >= 0 && pixels[k] <= 255 && pixels[k] == nearbyintf(pixels[k]));
            }
            changed += !same;
            black += zero;
        }
        /* Identity, Color (of grey), Contrast, Sharpness, AutoContrast and Equalize change nothing: 6 of 14. The five
         * that move bring zeros in. */
        NC_CHECK_NEAR((double)changed / SAMPLES, 8.0 / 14, t ? 0.12 : 0.08);
        NC_CHECK_NEAR((double)black / SAMPLES, 5.0 / 14, t ? 0.12 : 0.08);
        float first[PIXELS];
        memcpy(first, draw(&all, 9, 3, true), sizeof first);
        NC_CHECK(!memcmp(first, draw(&all, 9, 3, true), sizeof first));
        NC_CHECK(draw(&all, 9, 3, false)[0] == 140);
        close_steps(&all);
    }
}

static void steps_refused(void)
{
    static const struct {
        const char *text, *message;
    } wrong[] = {
        {"scale(1/255); randaugment", "randaugment works on values 0 to 255; put it before scale"},
        {"standardise; trivialaugment", "put it before standardise"},
        {"randaugment(2, 31)", "magnitude is 31, but with 31 magnitudes there are 0 to 30"},
    };
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        nacre_dataset *dataset = plain_pictures(true);
        nacre_transforms *list = nacre_transforms_parse(ctx, wrong[i].text);
        nacre_field field;
        nacre_transforms_field(list, dataset, nacre_dataset_field(dataset, 0), &field);
        NC_CHECK_FAILED(ctx, NACRE_ERROR_ARGUMENT, wrong[i].message);
        nacre_transforms_destroy(list);
        nacre_dataset_destroy(dataset);
    }
    NC_CHECK(!nacre_transforms_parse(ctx, "random_erasing(1.5)"));
    NC_CHECK_FAILED(ctx, NACRE_ERROR_ARGUMENT, "probability is 1.5");
    NC_CHECK(!nacre_transforms_parse(ctx, "trivialaugment(1)"));
    NC_CHECK_FAILED(ctx, NACRE_ERROR_ARGUMENT, "magnitudes is 1");
}

/* ---- mixing ---- */

static nacre_loader *open_loader(nacre_dataset *dataset, double mixup, double cutmix, int workers)
{
    return nacre_loader_create(dataset, &(nacre_loader_options){.batch_size = 10,
                                                                .workers = workers,
                                                                .shuffle = true,
                                                                .training = true,
                                                                .seed = 11,
                                                                .mixup = mixup,
                                                                .cutmix = cutmix});
}

static float own_value(const nacre_batch *batch, int64_t i)
{
    return (float)(100 + batch->indices[i] % CLASSES * 40);
}

/* Each picture is its own value and its neighbour's in the shares that the distribution says. */
static void check_mixed(const nacre_batch *batch, bool cut)
{
    const float *pixels = batch->fields[0].data;
    for (int64_t i = 0; i < batch->count; i++) {
        const float *shares = batch->shares + i * batch->classes, *image = pixels + i * PIXELS;
        float own = own_value(batch, i), other = own_value(batch, i ? i - 1 : batch->count - 1);
        double mean = 0, sum = 0, expected = 0;
        for (int c = 0; c < batch->classes; c++) {
            sum += (double)shares[c];
            expected += (double)shares[c] * (100 + 40 * c);
        }
        for (int k = 0; k < PIXELS; k++) {
            mean += (double)image[k] / PIXELS;
            if (cut) NC_CHECK(image[k] == own || image[k] == other);
        }
        NC_CHECK_NEAR(sum, 1, 1e-6);
        NC_CHECK_NEAR(mean, expected, 2e-3);
        NC_CHECK_INT(((const int64_t *)batch->fields[1].data)[i], batch->indices[i] % CLASSES);
    }
}

/* The share that sample 0 keeps of itself, where its neighbour is of another class; -1 where it is not. */
static double kept_share(const nacre_batch *batch)
{
    int64_t own = batch->indices[0] % CLASSES, other = batch->indices[batch->count - 1] % CLASSES;
    return own == other ? -1 : (double)batch->shares[own];
}

/* Mean and spread of the shares of a thousand batches; Beta(a, a) has 1/2 and 1 / (4 (2 a + 1)). */
static void mixing(void)
{
    static const struct {
        double mixup, cutmix, mean, variance, tolerance;
    } cases[] = {
        {0.2, 0, 0.5, 1 / (4 * 1.4), 0.03},
        {1, 0, 0.5, 1.0 / 12, 0.02},
        {4, 0, 0.5, 1.0 / 36, 0.01},
        {0, 1, 0.7, 0.0334, 0.01}, /* boxes that reach over the edge are cut: more stays */
    };
    nacre_dataset *dataset = plain_pictures(true);
    for (size_t c = 0; c < sizeof cases / sizeof *cases; c++) {
        nacre_loader *loader = open_loader(dataset, cases[c].mixup, cases[c].cutmix, 0);
        const nacre_batch *batch;
        double sum = 0, squares = 0;
        int count = 0;
        for (int64_t epoch = 0; epoch < 25; epoch++)
            for (nacre_loader_start(loader, epoch, 0); (batch = nacre_loader_next(loader));) {
                double share = kept_share(batch);
                NC_REQUIRE(batch->shares && batch->classes == CLASSES);
                if (epoch == 0) check_mixed(batch, cases[c].cutmix > 0);
                if (share < 0) continue;
                sum += share;
                squares += share * share;
                count++;
            }
        NC_CHECK_OK(ctx);
        NC_CHECK(count > 500);
        NC_CHECK_NEAR(sum / count, cases[c].mean, 0.04);
        NC_CHECK_NEAR(squares / count - sum / count * sum / count, cases[c].variance, cases[c].tolerance);
        nacre_loader_destroy(loader);
    }
    nacre_dataset_destroy(dataset);
}

/* Of both, each gets about half of the batches; and the batches do not depend on the workers. */
static void mixing_both_ways(void)
{
    nacre_dataset *dataset = plain_pictures(true);
    nacre_loader *one = open_loader(dataset, 0.4, 1, 0), *three = open_loader(dataset, 0.4, 1, 3);
    const nacre_batch *a, *b;
    int cuts = 0, batches = 0;
    for (int64_t epoch = 0; epoch < 5; epoch++) {
        nacre_loader_start(one, epoch, 0);
        nacre_loader_start(three, epoch, 0);
        while ((a = nacre_loader_next(one)) && (b = nacre_loader_next(three))) {
            bool cut = true;
            NC_CHECK(!memcmp(a->fields[0].data, b->fields[0].data, sizeof(float) * PIXELS * 10));
            NC_CHECK(!memcmp(a->shares, b->shares, sizeof(float) * 10 * CLASSES));
            const float *pixels = a->fields[0].data;
            for (int64_t k = 0; k < 10 * PIXELS; k++) cut &= pixels[k] == nearbyintf(pixels[k]);
            cuts += cut;
            batches++;
        }
    }
    NC_CHECK_OK(ctx);
    NC_CHECK(batches == 200 && cuts > 70 && cuts < 130);
    nacre_loader_destroy(one);
    nacre_loader_destroy(three);
    nacre_dataset_destroy(dataset);
}

static void mixing_refused(void)
{
    nacre_dataset *bare = plain_pictures(false), *dataset = plain_pictures(true);
    NC_CHECK(!open_loader(bare, 0.2, 0, 0));
    NC_CHECK_FAILED(ctx, NACRE_ERROR_ARGUMENT, "mixup needs labels of classes, \"plain\" has none");
    NC_CHECK(!open_loader(dataset, -1, 0, 0));
    NC_CHECK_FAILED(ctx, NACRE_ERROR_ARGUMENT, "mixup -1");
    nacre_transforms *flat = nacre_transforms_parse(ctx, "flatten");
    nacre_loader_options options = {.batch_size = 2, .training = true, .cutmix = 1, .transforms = flat};
    NC_CHECK(!nacre_loader_create(dataset, &options));
    NC_CHECK_FAILED(ctx, NACRE_ERROR_ARGUMENT, "cutmix needs pictures");
    options.training = false; /* evaluation never mixes */
    nacre_loader *loader = nacre_loader_create(dataset, &options);
    NC_CHECK(loader && !nacre_loader_next(loader)->shares);
    NC_CHECK_OK(ctx);
    nacre_loader_destroy(loader);
    nacre_transforms_destroy(flat);
    nacre_dataset_destroy(bare);
    nacre_dataset_destroy(dataset);
}

/* ---- omission ---- */

/* A quarter of the channels, or of the samples, vanishes whole; the rest is scaled so that the mean stays. */
static void dropout_of_wholes(void)
{
    enum { N = 40, C = 30, REST = 12 };
    static float x[N * C * REST], y[N * C * REST];
    nacre_model *model = nacre_model_create(ctx);
    for (int i = 0; i < N * C * REST; i++) x[i] = 1;
    for (int path = 0; path < 2; path++)
        for (int rank = 3; rank <= 5; rank++) {
            nacre_graph *graph = nacre_graph_create(ctx);
            nacre_shape shape = rank == 3   ? NACRE_SHAPE(N, C, REST)
                                : rank == 4 ? NACRE_SHAPE(N, C, 3, 4)
                                            : NACRE_SHAPE(N, C, 3, 2, 2);
            nacre_tensor *input = nacre_input(graph, "x", NACRE_F32, shape);
            nacre_scope scope = nacre_root(graph, model, true);
            nacre_tensor *output =
                path ? nacre_drop_path(scope, input, 0.25) : nacre_channel_dropout(scope, input, 0.25);
            nacre_output(output);
            nacre_feed(input, x);
            nacre_feed_scalar(nacre_seed(graph, false), 5);
            nacre_run(graph);
            nacre_read(output, y, sizeof y);
            NC_CHECK_OK(ctx);
            int unit = path ? C * REST : REST, units = N * C * REST / unit, dropped = 0;
            for (int u = 0; u < units; u++) {
                float value = y[(size_t)u * (size_t)unit];
                dropped += value == 0;
                NC_CHECK(value == 0 || value == (float)(1 / 0.75));
                for (int k = 0; k < unit; k++) NC_CHECK(y[(size_t)u * (size_t)unit + (size_t)k] == value);
            }
            NC_CHECK_NEAR((double)dropped / units, 0.25, path ? 0.2 : 0.05);
            NC_CHECK(nacre_channel_dropout(nacre_root(graph, model, false), input, 0.25) == input);
            nacre_graph_destroy(graph);
        }
    nacre_model_destroy(model);
    NC_CHECK_NEAR(nacre_drop_path_rate(0.2, 0, 5), 0, 0);
    NC_CHECK_NEAR(nacre_drop_path_rate(0.2, 2, 5), 0.1, 1e-15);
    NC_CHECK_NEAR(nacre_drop_path_rate(0.2, 4, 5), 0.2, 0);
    NC_CHECK_NEAR(nacre_drop_path_rate(0.2, 0, 1), 0.2, 0);
}

int main(void)
{
    ctx = nacre_context_create(&(nacre_context_options){.threads = 1});
    NC_RUN(operations);
    NC_RUN(operations_refused);
    NC_RUN(soft_targets);
    NC_RUN(erasing);
    NC_RUN(random_operations);
    NC_RUN(steps_refused);
    NC_RUN(mixing);
    NC_RUN(mixing_both_ways);
    NC_RUN(mixing_refused);
    NC_RUN(dropout_of_wholes);
    nacre_context_destroy(ctx);
    return nc_report();
}

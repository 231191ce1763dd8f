/* train/rules.c - the rules of advice: which families and how much capacity suit data, and what a pilot's figures say.
 */
#include <nacre/advise.h>

#include <math.h>
#include <stdio.h>
#include <string.h>

/* ---- families ---- */

static const nacre_family PICTURE_FAMILIES[] = {
    {"small convolutional net", "model.zoo: lenet, or the model in the suggested recipe",
     "pictures of this size need few layers, and shared weights need few samples (LeCun et al. 1998)"},
    {"residual network", "model.zoo: resnet_cifar, resnet",
     "the choice where there are thousands of pictures; depth by repetition of one block (He et al. 2015)"},
    {"multi-layer perceptron", "model.zoo: mlp",
     "a baseline: what does not beat it has not used that neighbouring pixels belong together"},
    {0}};
static const nacre_family LARGE_PICTURE_FAMILIES[] = {
    {"residual network", "model.zoo: resnet", "the usual beginning for photographs (He et al. 2015)"},
    {"inverted residuals", "model.zoo: mobilenet_v2",
     "a tenth of the arithmetic for nearly the accuracy (Sandler et al. 2018)"},
    {"small convolutional net", "the model in the suggested recipe",
     "for fewer than about a thousand pictures a class, on pictures that are scaled down"},
    {0}};
static const nacre_family TABLE_FAMILIES[] = {
    {"multi-layer perceptron", "model.zoo: mlp",
     "two or three layers with dropout and weight decay, tuned, hold their own on tables (Kadra et al. 2021)"},
    {"linear model", "a model.text of one layer linear", "a baseline that shows whether the rest is worth its weights"},
    {"boosted trees", "not in Nacre",
     "on tables of medium size they are hard to beat (Grinsztajn, Oyallon, Varoquaux 2022): compare before you trust"},
    {0}};
static const nacre_family SEQUENCE_FAMILIES[] = {
    {"gated recurrent net", "layers gru and lstm", "order matters and lengths are moderate (Cho et al. 2014)"},
    {"convolution over time", "layer conv1d",
     "as accurate where what matters is local, and faster: steps are computed at once (Bai, Kolter, Koltun 2018)"},
    {"attention", "layers multi_head_attention, attend",
     "where far steps depend on each other and there are many samples (Vaswani et al. 2017)"},
    {0}};
static const nacre_family TEXT_FAMILIES[] = {
    {"mean of embeddings", "the model in the suggested recipe",
     "a few hundred thousand weights, and hard to beat for topic and sentiment (Joulin et al. 2016)"},
    {"gated recurrent net", "layers embedding and lstm, model.zoo: char_lstm",
     "where the order of words decides (Hochreiter and Schmidhuber 1997)"},
    {"transformer", "model.zoo: bert, gpt",
     "with pretrained weights or many samples; from scratch it needs more than the others (Devlin et al. 2018)"},
    {0}};

void nacre_suggest_families(const nacre_survey *survey, nacre_family families[NACRE_MOST_FAMILIES + 1])
{
    static const nacre_family *const ALL[] = {PICTURE_FAMILIES, TABLE_FAMILIES, SEQUENCE_FAMILIES, TEXT_FAMILIES};
    const nacre_family *from = ALL[survey->kind];
    const int64_t *dims = survey->input.shape.dims;
    if (survey->kind == NACRE_DATA_PICTURES && (dims[1] > 64 || dims[2] > 64)) from = LARGE_PICTURE_FAMILIES;
    int count = 0;
    while (from[count].name && count < NACRE_MOST_FAMILIES) count++;
    memcpy(families, from, (size_t)count * sizeof *families);
    families[count] = (nacre_family){0};
}

/* ---- capacity ---- */

nacre_capacity nacre_suggest_capacity(const nacre_survey *survey)
{
    int64_t low = survey->samples / 10, memory = 2 * survey->samples + nacre_shape_count(survey->input.shape);
    return (nacre_capacity){low > 0 ? low : 1, 10 * memory};
}

/* ---- a recipe to begin with ---- */

static void print_data(const nacre_survey *survey, const char *source, nacre_buffer *yaml)
{
    nacre_buffer_print(yaml, "data:\n  source: ");
    nacre_buffer_quote(yaml, source); /* a JSON string is a YAML one, too */
    nacre_buffer_print(yaml, "\n");
    if (survey->missing > 0) nacre_buffer_print(yaml, "  keep_missing: true\n");
    if (survey->regression) nacre_buffer_print(yaml, "  regression: true\n");
    nacre_buffer_print(yaml, "  transforms:");
    int lines = 0;
    if (survey->kind == NACRE_DATA_PICTURES && !survey->same_size)
        lines += (nacre_buffer_print(yaml, "\n    - resize(64, 64)"), 1);
    if (survey->kind == NACRE_DATA_PICTURES && survey->input.dtype == NACRE_U8)
        lines += (nacre_buffer_print(yaml, "\n    - scale(1/255)"), 1);
    if (survey->missing > 0) lines += (nacre_buffer_print(yaml, "\n    - impute"), 1);
    if (survey->kind != NACRE_DATA_TEXT) lines += (nacre_buffer_print(yaml, "\n    - standardise"), 1);
    nacre_buffer_print(yaml, lines ? "\n" : " []\n");
}

static const char PICTURE_MODEL[] = "    model convnet(classes=10, width=16, dropout=0)\n"
                                    "      input x f32[N, ...]\n"
                                    "      conv1 = conv2d(x, width, 3)\n"
                                    "      h = relu(conv1)\n"
                                    "      h = max_pool(h, 2)\n"
                                    "      conv2 = conv2d(h, 2 * width, 3)\n"
                                    "      h = relu(conv2)\n"
                                    "      h = max_pool(h, 2)\n"
                                    "      conv3 = conv2d(h, 4 * width, 3)\n"
                                    "      h = relu(conv3)\n"
                                    "      h = adaptive_avg_pool(h, 3)\n"
                                    "      h = flatten(h)\n"
                                    "      h = dropout(h, dropout)\n"
                                    "      fc = linear(h, classes)\n"
                                    "      return fc\n"
                                    "    end\n";
static const char SEQUENCE_MODEL[] = "    model recurrent(classes=10, hidden=32, dropout=0)\n"
                                     "      input x f32[N, ...]\n"
                                     "      h = gru(x, hidden) as rnn\n"
                                     "      h = mean(h, axes=[1])\n"
                                     "      h = dropout(h, dropout)\n"
                                     "      fc = linear(h, classes)\n"
                                     "      return fc\n"
                                     "    end\n";
static const char TEXT_MODEL[] = "    model bag(classes=10, vocabulary=1000, width=32, dropout=0)\n"
                                 "      input tokens i64[N, ...]\n"
                                 "      h = embedding(tokens, vocabulary, width) as words\n"
                                 "      h = mean(h, axes=[1])\n"
                                 "      h = dropout(h, dropout)\n"
                                 "      fc = linear(h, classes)\n"
                                 "      return fc\n"
                                 "    end\n";

static void print_model(const nacre_survey *survey, nacre_buffer *yaml)
{
    static const char *const TEXTS[] = {PICTURE_MODEL, NULL, SEQUENCE_MODEL, TEXT_MODEL};
    int64_t targets = survey->regression ? 1 : survey->classes;
    nacre_buffer_print(yaml, "model:\n");
    if (TEXTS[survey->kind])
        nacre_buffer_print(yaml, "  text: |\n%s", TEXTS[survey->kind]);
    else
        nacre_buffer_print(yaml, "  zoo: mlp\n");
    nacre_buffer_print(yaml, "  parameters: {classes: %lld", (long long)targets);
    if (survey->kind == NACRE_DATA_TABLE) nacre_buffer_print(yaml, ", hidden: 64, layers: 2, dropout: 0");
    if (survey->kind == NACRE_DATA_TEXT) nacre_buffer_print(yaml, ", vocabulary: %lld", (long long)survey->vocabulary);
    nacre_buffer_print(yaml, "}\n");
}

nacre_status nacre_suggest_recipe(nacre_context *context, const nacre_survey *survey, const char *source,
                                  nacre_buffer *yaml)
{
    if (!survey->regression && survey->classes == 0)
        return nacre_fail(context, NACRE_ERROR_UNSUPPORTED,
                          "%s has neither classes nor numbers to predict, so there is nothing to advise on", source);
    print_data(survey, source, yaml);
    print_model(survey, yaml);
    nacre_buffer_print(yaml,
                       "optimizer:\n  name: adamw\n  learning_rate: 0.003\nschedule:\n  name: cosine\n"
                       "training:\n  epochs: 20\n  batch_size: %d\n",
                       survey->samples < 2000 ? 32 : 64);
    if (survey->regression) nacre_buffer_print(yaml, "  loss: mse\n  metrics: [rmse]\n");
    return yaml->failed ? NACRE_ERROR_MEMORY : NACRE_OK;
}

/* ---- diagnosis ---- */

const char *nacre_diagnosis_name(nacre_diagnosis diagnosis)
{
    static const char *const NAMES[] = {"fits", "underfitting", "overfitting", "learning rate fault", "data fault"};
    return (unsigned)diagnosis <= NACRE_DATA_FAULT ? NAMES[diagnosis] : "?";
}

/* Of a difference of two means over folds. */
static double standard_error(nacre_spread a, nacre_spread b)
{
    double count = fmax((double)(a.count < b.count ? a.count : b.count), 1);
    return sqrt((a.deviation * a.deviation + b.deviation * b.deviation) / count);
}

static bool carries_over(const nacre_pilot *pilot, double chance)
{
    return pilot && !pilot->failed && pilot->validation_error.mean < NACRE_NEAR_CHANCE * chance;
}

static bool is_better(const nacre_pilot *larger, const nacre_pilot *pilot)
{
    nacre_spread a = larger->validation_error, b = pilot->validation_error;
    return !larger->failed && b.mean - a.mean > standard_error(a, b);
}

nacre_diagnosis nacre_diagnose(const nacre_pilot *pilot, const nacre_pilot *larger, double chance)
{
    double train = pilot->train_error.mean, gap = pilot->validation_error.mean - train;
    double uncertain = standard_error(pilot->train_error, pilot->validation_error);
    if (pilot->failed) return NACRE_DATA_FAULT;
    if (!carries_over(pilot, chance))
        return train > NACRE_HIGH_ERROR * chance && carries_over(larger, chance) ? NACRE_UNDERFITS : NACRE_DATA_FAULT;
    if (gap > NACRE_WIDE_GAP * chance && gap > 2 * uncertain && gap > train && pilot->gap_growth > 0)
        return NACRE_OVERFITS;
    if (train > NACRE_HIGH_ERROR * chance && train > gap && (!larger || is_better(larger, pilot)))
        return NACRE_UNDERFITS;
    return NACRE_FITS;
}

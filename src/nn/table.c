/* nn/table.c - layers by name: how their options are written in a model text.
 *
 * A new layer is one row here beside its function; its `build` unpacks the attribute words into the function's options.
 */
#include <nacre/layer.h>

#include <string.h>

/* ---- attributes that several layers have ---- */

#define COUNT(attribute, text)                                                                                         \
    {                                                                                                                  \
        .name = attribute, .type = NACRE_ATTRIBUTE_INT, .required = true, .doc = text                                  \
    }
#define WHOLE(attribute, value, text)                                                                                  \
    {                                                                                                                  \
        .name = attribute, .type = NACRE_ATTRIBUTE_INT, .fallback = value, .doc = text                                 \
    }
#define NUMBER(attribute, value, text)                                                                                 \
    {                                                                                                                  \
        .name = attribute, .type = NACRE_ATTRIBUTE_FLOAT, .fallback = value, .doc = text                               \
    }
#define SWITCH(attribute, value, text)                                                                                 \
    {                                                                                                                  \
        .name = attribute, .type = NACRE_ATTRIBUTE_BOOL, .fallback = value, .doc = text                                \
    }

static const char INITS[] = "default|zeros|xavier_uniform|xavier_normal|kaiming_uniform|kaiming_normal|orthogonal";
#define BIAS SWITCH("bias", true, "add a learnt bias")
#define INIT                                                                                                           \
    {                                                                                                                  \
        .name = "init", .type = NACRE_ATTRIBUTE_ENUM, .choices = INITS, .doc = "how the weight begins"                 \
    }

#define STD NUMBER("std", 0, "not 0: the weight begins normal with this deviation, the bias with 0")

/* Words of INIT and STD. */
static nacre_init weight_init(const int64_t *words)
{
    static const nacre_init_kind kinds[] = {
        NACRE_INIT_DEFAULT,         NACRE_INIT_CONSTANT,       NACRE_INIT_XAVIER_UNIFORM, NACRE_INIT_XAVIER_NORMAL,
        NACRE_INIT_KAIMING_UNIFORM, NACRE_INIT_KAIMING_NORMAL, NACRE_INIT_ORTHOGONAL};
    double deviation = nacre_unword(words[1]);
    return deviation != 0 ? (nacre_init){NACRE_INIT_NORMAL, 0, deviation} : (nacre_init){.kind = kinds[words[0]]};
}

static nacre_init bias_init(const int64_t *words)
{
    return (nacre_init){nacre_unword(words[1]) != 0 ? NACRE_INIT_CONSTANT : NACRE_INIT_DEFAULT, 0, 0};
}

/* ---- from words to options ---- */

/* What no tensor has stays what no tensor has. */
static int axis_of(int64_t word)
{
    return word > NACRE_MAX_RANK ? NACRE_MAX_RANK + 1 : word < -NACRE_MAX_RANK ? -NACRE_MAX_RANK - 1 : (int)word;
}

static nacre_tensor *build_linear(nacre_scope scope, nacre_tensor *const *inputs, const int64_t *words)
{
    nacre_linear_options options = {
        .no_bias = !words[1], .weight = weight_init(words + 2), .bias = bias_init(words + 2)};
    return nacre_linear(scope, inputs[0], words[0], &options);
}

/* channels, kernel, stride, padding, valid, dilation, groups, bias, init, std */
#define CONV_ATTRIBUTES                                                                                                \
    {                                                                                                                  \
        COUNT("channels", "of the result"), COUNT("kernel", "size along each axis"),                                   \
            WHOLE("stride", 1, "step along each axis"),                                                                \
            WHOLE("padding", 0, "zeros at each end; 0: as many as keep the size at stride 1"),                         \
            SWITCH("valid", false, "no padding"), WHOLE("dilation", 1, "distance of the kernel's elements"),           \
            WHOLE("groups", 1, "independent groups of channels"), BIAS, INIT, STD                                      \
    }

static nacre_conv_layer_options conv_options(const int64_t *words)
{
    return (nacre_conv_layer_options){.stride = words[2],
                                      .padding = words[3],
                                      .valid = words[4],
                                      .dilation = words[5],
                                      .groups = words[6],
                                      .no_bias = !words[7],
                                      .weight = weight_init(words + 8),
                                      .bias = bias_init(words + 8)};
}

static nacre_tensor *build_conv1d(nacre_scope scope, nacre_tensor *const *inputs, const int64_t *words)
{
    nacre_conv_layer_options options = conv_options(words);
    return nacre_conv1d(scope, inputs[0], words[0], words[1], &options);
}

static nacre_tensor *build_conv2d(nacre_scope scope, nacre_tensor *const *inputs, const int64_t *words)
{
    nacre_conv_layer_options options = conv_options(words);
    return nacre_conv2d(scope, inputs[0], words[0], words[1], &options);
}

static nacre_tensor *build_conv3d(nacre_scope scope, nacre_tensor *const *inputs, const int64_t *words)
{
    nacre_conv_layer_options options = conv_options(words);
    return nacre_conv3d(scope, inputs[0], words[0], words[1], &options);
}

/* channels, kernel, stride, padding, output_padding, dilation, groups, bias, init, std */
static nacre_tensor *build_conv_transpose(nacre_scope scope, nacre_tensor *const *inputs, const int64_t *words)
{
    nacre_conv_layer_options options = {.stride = words[2],
                                        .padding = words[3],
                                        .output_padding = words[4],
                                        .dilation = words[5],
                                        .groups = words[6],
                                        .no_bias = !words[7],
                                        .weight = weight_init(words + 8),
                                        .bias = bias_init(words + 8)};
    return nacre_conv_transpose(scope, inputs[0], words[0], words[1], &options);
}

/* eps and affine from words[first] on. */
static nacre_norm_options norm_options(const int64_t *words, int first)
{
    return (nacre_norm_options){.eps = nacre_unword(words[first]), .no_affine = !words[first + 1]};
}

#define EPSILON(value) NUMBER("eps", value, "added to the variance")
#define AFFINE         SWITCH("affine", true, "learn a scale and a shift")

static nacre_tensor *build_batch_norm(nacre_scope scope, nacre_tensor *const *inputs, const int64_t *words)
{
    nacre_norm_options options = norm_options(words, 0);
    options.momentum = nacre_unword(words[2]);
    return nacre_batch_norm(scope, inputs[0], &options);
}

static nacre_tensor *build_layer_norm(nacre_scope scope, nacre_tensor *const *inputs, const int64_t *words)
{
    nacre_norm_options options = norm_options(words, 1);
    return nacre_layer_norm(scope, inputs[0], axis_of(words[0]), &options);
}

static nacre_tensor *build_group_norm(nacre_scope scope, nacre_tensor *const *inputs, const int64_t *words)
{
    nacre_norm_options options = norm_options(words, 1);
    return nacre_group_norm(scope, inputs[0], words[0], &options);
}

static nacre_tensor *build_instance_norm(nacre_scope scope, nacre_tensor *const *inputs, const int64_t *words)
{
    nacre_norm_options options = norm_options(words, 0);
    return nacre_instance_norm(scope, inputs[0], &options);
}

static nacre_tensor *build_rms_norm(nacre_scope scope, nacre_tensor *const *inputs, const int64_t *words)
{
    nacre_norm_options options = norm_options(words, 0);
    return nacre_rms_norm(scope, inputs[0], &options);
}

/* kernel, stride, padding, dilation, ceil_mode, exclude_padding */
static nacre_pool_options pool_options(const int64_t *words)
{
    nacre_pool_options options = {.ceil_mode = words[4], .exclude_padding = words[5]};
    for (int i = 0; i < 3; i++) {
        options.kernel[i] = words[0];
        options.stride[i] = words[1];
        options.padding[i] = words[2];
        options.dilation[i] = words[3];
    }
    return options;
}

#define POOL_ATTRIBUTES                                                                                                \
    {                                                                                                                  \
        COUNT("kernel", "size along each axis"), WHOLE("stride", 0, "step along each axis; 0: the kernel"),            \
            WHOLE("padding", 0, "at each end"), WHOLE("dilation", 1, "distance of the window's elements"),             \
            SWITCH("ceil_mode", false, "a last window may hang over the end"),                                         \
            SWITCH("exclude_padding", false, "averages count the elements inside only")                                \
    }

static nacre_tensor *build_max_pool(nacre_scope scope, nacre_tensor *const *inputs, const int64_t *words)
{
    (void)scope;
    nacre_pool_options options = pool_options(words);
    return nacre_max_pool(inputs[0], &options);
}

static nacre_tensor *build_avg_pool(nacre_scope scope, nacre_tensor *const *inputs, const int64_t *words)
{
    (void)scope;
    nacre_pool_options options = pool_options(words);
    return nacre_avg_pool(inputs[0], &options);
}

static nacre_tensor *build_adaptive_avg_pool(nacre_scope scope, nacre_tensor *const *inputs, const int64_t *words)
{
    (void)scope;
    return nacre_adaptive_avg_pool(inputs[0], (const int64_t[]){words[0], words[0], words[0]});
}

static nacre_tensor *build_adaptive_max_pool(nacre_scope scope, nacre_tensor *const *inputs, const int64_t *words)
{
    (void)scope;
    return nacre_adaptive_max_pool(inputs[0], (const int64_t[]){words[0], words[0], words[0]});
}

static nacre_tensor *build_flatten(nacre_scope scope, nacre_tensor *const *inputs, const int64_t *words)
{
    (void)scope;
    return nacre_flatten(inputs[0], axis_of(words[0]));
}

static nacre_tensor *build_embedding(nacre_scope scope, nacre_tensor *const *inputs, const int64_t *words)
{
    double deviation = nacre_unword(words[2]);
    nacre_embedding_options options = {.weight = {NACRE_INIT_NORMAL, 0, deviation}};
    return nacre_embedding(scope, inputs[0], words[0], words[1], &options);
}

/* heads, causal */
static nacre_tensor *build_attend(nacre_scope scope, nacre_tensor *const *inputs, const int64_t *words)
{
    (void)scope;
    return nacre_attend(inputs[0], inputs[1], inputs[2], words[0], inputs[3], words[1]);
}

/* heads, capacity */
static nacre_tensor *build_attend_cached(nacre_scope scope, nacre_tensor *const *inputs, const int64_t *words)
{
    return nacre_attend_cached(scope, inputs[0], inputs[1], inputs[2], words[0], inputs[3], words[1]);
}

static nacre_tensor *build_draw(nacre_scope scope, nacre_tensor *const *inputs, const int64_t *words)
{
    (void)words;
    return nacre_draw_latent(scope, inputs[0], inputs[1]);
}

/* heads, causal, bias */
static nacre_tensor *build_attention(nacre_scope scope, nacre_tensor *const *inputs, const int64_t *words)
{
    nacre_attention_options options = {.causal = words[1], .no_bias = !words[2], .mask = inputs[1]};
    return nacre_multi_head_attention(scope, inputs[0], words[0], &options);
}

/* hidden, layers, bidirectional, bias, dropout, unrolled */
#define RECURRENT_ATTRIBUTES                                                                                           \
    {                                                                                                                  \
        COUNT("hidden", "size of the state"), WHOLE("layers", 1, "one upon another"),                                  \
            SWITCH("bidirectional", false, "a second one from the end to the beginning"), BIAS,                        \
            NUMBER("dropout", 0, "between layers, in training"),                                                       \
            SWITCH("unrolled", false, "nodes for each step: slower, but with second derivatives")                      \
    }

static nacre_recurrent_options recurrent_options(const int64_t *words)
{
    return (nacre_recurrent_options){.layers = words[1],
                                     .bidirectional = words[2],
                                     .no_bias = !words[3],
                                     .dropout = nacre_unword(words[4]),
                                     .unrolled = words[5]};
}

static nacre_tensor *build_rnn(nacre_scope scope, nacre_tensor *const *inputs, const int64_t *words)
{
    nacre_recurrent_options options = recurrent_options(words);
    return nacre_rnn(scope, inputs[0], words[0], &options);
}

static nacre_tensor *build_lstm(nacre_scope scope, nacre_tensor *const *inputs, const int64_t *words)
{
    nacre_recurrent_options options = recurrent_options(words);
    return nacre_lstm(scope, inputs[0], words[0], &options);
}

static nacre_tensor *build_gru(nacre_scope scope, nacre_tensor *const *inputs, const int64_t *words)
{
    nacre_recurrent_options options = recurrent_options(words);
    return nacre_gru(scope, inputs[0], words[0], &options);
}

static nacre_tensor *build_dropout(nacre_scope scope, nacre_tensor *const *inputs, const int64_t *words)
{
    return nacre_dropout(scope, inputs[0], nacre_unword(words[0]));
}

static nacre_tensor *build_channel_dropout(nacre_scope scope, nacre_tensor *const *inputs, const int64_t *words)
{
    return nacre_channel_dropout(scope, inputs[0], nacre_unword(words[0]));
}

static nacre_tensor *build_drop_path(nacre_scope scope, nacre_tensor *const *inputs, const int64_t *words)
{
    return nacre_drop_path(scope, inputs[0], nacre_unword(words[0]));
}

/* ---- the table ---- */

static const nacre_layer LAYERS[] = {
    {"linear",
     "Every output from every input: y = x W^T + b over the last axis.",
     "x",
     true,
     {COUNT("features", "of the result"), BIAS, INIT, STD},
     build_linear},
    {"conv1d", "Convolution over one axis.", "x", true, CONV_ATTRIBUTES, build_conv1d},
    {"conv2d", "Convolution over two axes.", "x", true, CONV_ATTRIBUTES, build_conv2d},
    {"conv3d", "Convolution over three axes.", "x", true, CONV_ATTRIBUTES, build_conv3d},
    {"conv_transpose",
     "The transpose of a convolution over one to three axes.",
     "x",
     true,
     {COUNT("channels", "of the result"), COUNT("kernel", "size along each axis"),
      WHOLE("stride", 1, "step along each axis"), WHOLE("padding", 0, "taken away at each end"),
      WHOLE("output_padding", 0, "added at one end"), WHOLE("dilation", 1, "distance of the kernel's elements"),
      WHOLE("groups", 1, "independent groups of channels"), BIAS, INIT, STD},
     build_conv_transpose},
    {"batch_norm",
     "Normalises each channel over the batch; outside training by running statistics (Ioffe and Szegedy 2015).",
     "x",
     true,
     {EPSILON(1e-5), AFFINE, NUMBER("momentum", 0.1, "weight of the new value in the running statistics")},
     build_batch_norm},
    {"layer_norm",
     "Normalises each sample over its last axes (Ba et al. 2016).",
     "x",
     true,
     {WHOLE("axes", 1, "how many axes, from the last"), EPSILON(1e-5), AFFINE},
     build_layer_norm},
    {"group_norm",
     "Normalises each sample over groups of channels (Wu and He 2018).",
     "x",
     true,
     {COUNT("groups", "of channels"), EPSILON(1e-5), AFFINE},
     build_group_norm},
    {"instance_norm",
     "Normalises each channel of each sample (Ulyanov et al. 2016).",
     "x",
     true,
     {EPSILON(1e-5), AFFINE},
     build_instance_norm},
    {"rms_norm",
     "Divides by the root of the mean square over the last axis (Zhang and Sennrich 2019).",
     "x",
     true,
     {EPSILON(1e-6), AFFINE},
     build_rms_norm},
    {"max_pool", "The largest of each window.", "x", false, POOL_ATTRIBUTES, build_max_pool},
    {"avg_pool", "The mean of each window.", "x", false, POOL_ATTRIBUTES, build_avg_pool},
    {"adaptive_avg_pool",
     "Means of as many windows as asked for; 1 is the mean over each channel.",
     "x",
     false,
     {COUNT("size", "cells along each axis")},
     build_adaptive_avg_pool},
    {"adaptive_max_pool",
     "Maxima of as many windows as asked for.",
     "x",
     false,
     {COUNT("size", "cells along each axis")},
     build_adaptive_max_pool},
    {"embedding",
     "A learnt row for each id.",
     "ids",
     true,
     {COUNT("count", "of rows"), COUNT("width", "of a row"), NUMBER("std", 1, "deviation of the normal start")},
     build_embedding},
    {"multi_head_attention",
     "Self-attention over [N, T, width] (Vaswani et al. 2017).",
     "x ?mask",
     true,
     {COUNT("heads", "that the width is divided into"), SWITCH("causal", false, "no looking ahead"), BIAS},
     build_attention},
    {"attend",
     "Scaled dot-product attention of several heads: queries [N, T, width], keys and values [N, S, width].",
     "q k v ?mask",
     false,
     {COUNT("heads", "that the width is divided into"), SWITCH("causal", false, "no looking ahead")},
     build_attend},
    {"attend_cached",
     "The same without looking ahead over a sequence that comes in pieces: x stands at `position`, keys and values of "
     "what came before are kept.",
     "q k v position",
     true,
     {COUNT("heads", "that the width is divided into"), COUNT("capacity", "longest sequence")},
     build_attend_cached},
    {"rnn", "Recurrent layer with tanh over [N, T, in].", "x", true, RECURRENT_ATTRIBUTES, build_rnn},
    {"lstm", "Long short-term memory over [N, T, in].", "x", true, RECURRENT_ATTRIBUTES, build_lstm},
    {"gru", "Gated recurrent units over [N, T, in].", "x", true, RECURRENT_ATTRIBUTES, build_gru},
    {"dropout",
     "In training: zeroes each element with probability p and scales the others by 1 / (1 - p).",
     "x",
     false,
     {NUMBER("p", 0.5, "probability of zero")},
     build_dropout},
    {"channel_dropout",
     "Dropout of whole channels of [N, C, ...] (Tompson et al. 2015).",
     "x",
     false,
     {NUMBER("p", 0.5, "probability of zero")},
     build_channel_dropout},
    {"drop_path",
     "Dropout of whole samples, for a residual branch: stochastic depth (Huang et al. 2016).",
     "x",
     false,
     {NUMBER("p", 0.5, "probability of zero")},
     build_drop_path},
    {"draw",
     "In training: a normal number of this mean and logarithm of the variance for each element; else the mean (Kingma "
     "and Welling 2013).",
     "mean log_variance",
     false,
     {{0}},
     build_draw},
    {"flatten", "Axes from one on become one.", "x", false, {WHOLE("first_axis", 1, "where it begins")}, build_flatten},
};

enum { LAYER_COUNT = sizeof LAYERS / sizeof *LAYERS };

const nacre_layer *nacre_layer_at(int index)
{
    return index >= 0 && index < LAYER_COUNT ? &LAYERS[index] : NULL;
}

const nacre_layer *nacre_layer_find(const char *name)
{
    for (int i = 0; name && i < LAYER_COUNT; i++)
        if (strcmp(LAYERS[i].name, name) == 0) return &LAYERS[i];
    return NULL;
}

/* ---- the reference ---- */

/* "conv2d(x, channels, kernel, stride=1, ...)" */
static void print_call(nacre_buffer *text, const nacre_layer *layer)
{
    nacre_buffer_print(text, "%s(", layer->name);
    for (const char *c = layer->inputs; *c; c++)
        if (*c == ' ')
            nacre_buffer_put(text, ", ", 2);
        else if (*c != '?')
            nacre_buffer_put(text, c, 1);
    for (int i = 0; i < NACRE_MAX_ATTRIBUTES && layer->attributes[i].type != NACRE_ATTRIBUTE_NONE; i++) {
        const nacre_attribute *attribute = &layer->attributes[i];
        bool is_float = attribute->type == NACRE_ATTRIBUTE_FLOAT;
        int64_t word = is_float ? nacre_word(attribute->fallback) : (int64_t)attribute->fallback;
        nacre_buffer_print(text, ", %s%s", attribute->name, attribute->required ? "" : "=");
        if (!attribute->required) nacre_attribute_print(attribute, &word, text);
    }
    nacre_buffer_put(text, ")", 1);
}

void nacre_layer_document(nacre_buffer *text)
{
    nacre_buffer_print(text, "# Layers\n\nAs a model text calls them (docs/model-text.md). In C they are functions "
                             "of the same names\nin `nacre/nn.h` and `nacre/ops.h`.\n");
    for (int i = 0; i < LAYER_COUNT; i++) {
        const nacre_layer *layer = &LAYERS[i];
        nacre_buffer_print(text, "\n## %s\n\n    ", layer->name);
        print_call(text, layer);
        nacre_buffer_print(text, "\n\n%s%s\n\n", layer->doc, layer->learns ? " Has parameters." : "");
        for (int j = 0; j < NACRE_MAX_ATTRIBUTES && layer->attributes[j].type != NACRE_ATTRIBUTE_NONE; j++) {
            const nacre_attribute *attribute = &layer->attributes[j];
            nacre_buffer_print(text, "- `%s`: %s", attribute->name, attribute->doc);
            for (const char *c = attribute->choices ? attribute->choices : ""; *c;) {
                size_t length = strcspn(c, "|");
                nacre_buffer_print(text, "%s`%.*s`", c == attribute->choices ? "; one of " : ", ", (int)length, c);
                c += length + (c[length] == '|');
            }
            nacre_buffer_put(text, "\n", 1);
        }
    }
}

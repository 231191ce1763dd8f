/* Model text: printing back, building, every kind of mistake, graphs as text. */
#include "support.h"

#include <nacre/backend.h>
#include <nacre/layer.h>
#include <nacre/nacre.h>

static nacre_context *ctx;

/* Everything the grammar has, in the usual form. */
static const char EVERYTHING[] = "# A comment before all.\n"
                                 "\n"
                                 "block two(x, width, scale=1 / 2)  # after a head\n"
                                 "  a = linear(x, width * 2, bias=false, init=kaiming_normal)\n"
                                 "\n"
                                 "  # inside\n"
                                 "  b = linear(x, width)  # after a call\n"
                                 "  return a, b\n"
                                 "end  # after an end\n"
                                 "\n"
                                 "model all(n=3, kind=\"plain\", deep=false)\n"
                                 "  input x f32[N, 8]\n"
                                 "  input other f32[] as \"some input\"\n"
                                 "  parameter w f32[4, 8] as head.{n}.weight\n"
                                 "  buffer mean f64[2]\n"
                                 "  constant c i64[3] = [1, -2, 9223372036854775807]\n"
                                 "  constant e f32[0] = []\n"
                                 "  width = not deep and n >= 3 ? 2 ^ n : (n + 1) % 5 // 2\n"
                                 "  size = -dim(x, -1) * 1e-3\n"
                                 "  repeat i in 1..n - 1\n"
                                 "    x, y = two(x, width, scale=0.25) as layer{i}.{i * 2}\n"
                                 "    if kind == \"plain\" or i != 2  # after if\n"
                                 "      x = relu(y)\n"
                                 "    else  # after else\n"
                                 "      x = op.relu(y)\n"
                                 "    end  # after end if\n"
                                 "  end\n"
                                 "  z = linear(x, 4) reuse layer1.2.a\n"
                                 "  z = reshape(z, shape=[-1, 2, 2])\n"
                                 "  return z, x\n"
                                 "end\n";

static nacre_text *parse(const char *source)
{
    return nacre_text_parse(ctx, source, strlen(source), "m.nacre");
}

static char *print(const nacre_text *text, const nacre_setting *parameters)
{
    nacre_buffer buffer = nacre_buffer_create(ctx);
    NC_CHECK_INT(nacre_text_print(text, parameters, &buffer), NACRE_OK);
    return nacre_buffer_take(&buffer, NULL);
}

static void check_prints(const char *source, const char *expected)
{
    nacre_text *text = parse(source);
    NC_CHECK_OK(ctx);
    NC_REQUIRE(text);
    char *printed = print(text, NULL);
    NC_CHECK_TEXT(printed, expected);
    nacre_release(ctx, printed);
    nacre_text_destroy(text);
}

/* ---- printing ---- */

static void the_usual_form_comes_back(void)
{
    check_prints(EVERYTHING, EVERYTHING);
    for (int i = 0; nacre_zoo_name(i); i++) {
        const char *source = nacre_zoo_text(nacre_zoo_name(i));
        check_prints(source, source);
    }
}

static void other_forms_become_usual(void)
{
    check_prints("model   m( a = 1,b=2 )\r\n\tinput x  f32 [ N,3 ]\n  y=relu( x )as  p.q\n   return y\n  end",
                 "model m(a=1, b=2)\n  input x f32[N, 3]\n  y = relu(x) as p.q\n  return y\nend\n");
    check_prints("model m\nx=full(value=-1,shape=[2],)#c  \nreturn x\nend#d",
                 "model m\n  x = full(value=-1, shape=[2])  #c\n  return x\nend  #d\n");
    check_prints("model m\nif 1==2\nelse\nend\nrepeat i in 1 .. 2\nend\nreturn 1\nend\n",
                 "model m\n  if 1 == 2\n  else\n  end\n  repeat i in 1..2\n  end\n  return 1\nend\n");
}

static void other_defaults_are_printed(void)
{
    nacre_text *text = parse("model m(depth=20, act=\"relu\", wide=false, p)\n  return p\nend\n");
    NC_REQUIRE(text);
    NC_CHECK_TEXT(nacre_text_name(text), "m");
    const nacre_setting settings[] = {
        {"p", "0.5", true, 0.5}, {"act", "gelu", false, 0}, {"wide", "true", false, 0}, {NULL}};
    char *printed = print(text, settings);
    NC_CHECK_TEXT(printed, "model m(depth=20, act=\"gelu\", wide=true, p=0.5)\n  return p\nend\n");
    nacre_release(ctx, printed);
    nacre_text_destroy(text);
    nacre_text_destroy(NULL);
    NC_CHECK_OK(ctx);
}

/* ---- building ---- */

typedef struct built {
    nacre_graph *graph;
    nacre_model *model;
    nacre_tensor *result;
} built;

static built build_text(const nacre_text *text, const nacre_text_options *options, bool training)
{
    built b = {nacre_graph_create(ctx), nacre_model_create(ctx), NULL};
    b.result = nacre_text_build(text, nacre_root(b.graph, b.model, training), options);
    return b;
}

static built build(const char *source, const nacre_text_options *options)
{
    nacre_text *text = parse(source);
    built b = build_text(text, options, false);
    nacre_text_destroy(text);
    return b;
}

static void drop(built b)
{
    nacre_graph_destroy(b.graph);
    nacre_model_destroy(b.model);
}

static void check_shape(const nacre_tensor *tensor, nacre_shape expected)
{
    char got[NACRE_SHAPE_TEXT_SIZE], wanted[NACRE_SHAPE_TEXT_SIZE];
    NC_CHECK_TEXT(nacre_shape_text(nacre_tensor_shape(tensor), got), nacre_shape_text(expected, wanted));
}

/* Depth 20 and 56 have the numbers of parameters that the paper's authors report as 0.27 M and 0.85 M. */
static void a_residual_network_fits_on_a_page(void)
{
    nacre_text *text = parse(nacre_zoo_text("resnet_cifar"));
    NC_CHECK_OK(ctx);
    NC_REQUIRE(text);
    built b = build_text(text, NULL, false);
    NC_CHECK_OK(ctx);
    NC_CHECK_INT(nacre_model_elements(b.model, NACRE_ENTRY_PARAMETER), 272474);
    check_shape(b.result, NACRE_SHAPE(1, 10));
    static const char *const names[] = {"conv1.weight",
                                        "bn1.running_mean",
                                        "layer1.0.conv1.weight",
                                        "layer2.0.bn2.bias",
                                        "layer2.0.downsample.0.weight",
                                        "layer3.2.conv2.weight",
                                        "fc.bias"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) NC_CHECK(nacre_model_find(b.model, names[i]) >= 0);
    NC_CHECK(nacre_model_find(b.model, "layer1.0.downsample.0.weight") < 0);
    drop(b);

    const nacre_setting settings[] = {{"depth", "56", true, 56}, {"classes", "100", true, 100}, {NULL}};
    b = build_text(text, &(nacre_text_options){.batch = 4, .parameters = settings}, true);
    NC_CHECK_OK(ctx);
    NC_CHECK_INT(nacre_model_elements(b.model, NACRE_ENTRY_PARAMETER), 855770 + 90 * 65);
    check_shape(b.result, NACRE_SHAPE(4, 100));
    drop(b);

    const nacre_setting odd[] = {{"depth", "21", true, 21}, {NULL}};
    b = build_text(text, &(nacre_text_options){.parameters = odd}, false);
    NC_CHECK(!b.result);
    NC_CHECK_FAILED(ctx, NACRE_ERROR_FORMAT, "expected a whole number, got 2.16667");
    drop(b);
    const nacre_setting unknown[] = {{"dept", "21", true, 21}, {NULL}};
    b = build_text(text, &(nacre_text_options){.parameters = unknown}, false);
    NC_CHECK_FAILED(ctx, NACRE_ERROR_FORMAT, "resnet_cifar has no parameter 'dept'; did you mean 'depth'?");
    drop(b);
    nacre_text_destroy(text);
}

/* Every layer of the table does something. */
static void every_layer_can_be_called(void)
{
    static const char *const calls[] = {"linear(x, 6)",
                                        "conv1d(x, 4, 3)",
                                        "conv2d(picture, 4, 3)",
                                        "conv3d(volume, 4, 3)",
                                        "conv_transpose(picture, 4, 2, stride=2)",
                                        "batch_norm(picture)",
                                        "layer_norm(x)",
                                        "group_norm(picture, 2)",
                                        "instance_norm(picture)",
                                        "rms_norm(x)",
                                        "embedding(ids, 10, 3)",
                                        "multi_head_attention(x, 2, causal=true)",
                                        "attend(x, x, x, 2, causal=true)",
                                        "attend_cached(x, x, x, position, 2, 16)",
                                        "rnn(x, 5)",
                                        "lstm(x, 5, layers=2, bidirectional=true, dropout=0.1)",
                                        "gru(x, 5, bias=false)",
                                        "dropout(x, 0.5)",
                                        "channel_dropout(x, 0.5)",
                                        "drop_path(x, 0.5)",
                                        "max_pool(picture, 2)",
                                        "avg_pool(picture, 2, stride=1)",
                                        "adaptive_avg_pool(picture, 1)",
                                        "adaptive_max_pool(picture, 2)",
                                        "draw(x, x)",
                                        "flatten(picture)"};
    int count = 0;
    while (nacre_layer_at(count)) count++;
    NC_CHECK_INT(sizeof calls / sizeof *calls, count);
    for (size_t i = 0; i < sizeof calls / sizeof *calls; i++) {
        char source[512];
        snprintf(source, sizeof source,
                 "model m\n  input x f32[N, 4, 8]\n  input picture f32[N, 4, 8, 8]\n  input volume f32[N, 4, 4, 4, 4]\n"
                 "  input ids i64[N, 5]\n  input position i64[]\n  y = %s\n  return y\nend\n",
                 calls[i]);
        nacre_text *text = parse(source);
        built b = build_text(text, &(nacre_text_options){.batch = 2}, true);
        if (!b.result) NC_COMPLAIN("%s: %s", calls[i], nacre_message(ctx));
        nacre_clear(ctx);
        drop(b);
        nacre_text_destroy(text);
    }
}

/* The same network through the C interface and as text: the same numbers. */
static void text_computes_what_c_computes(void)
{
    static float pixels[2 * 3 * 6 * 6], from_c[2 * 5], from_text[2 * 5];
    for (size_t i = 0; i < sizeof pixels / sizeof *pixels; i++) pixels[i] = (float)((i * 37) % 101) / 50 - 1;
    nacre_model *model = nacre_model_create(ctx);
    nacre_graph *graph = nacre_graph_create(ctx);
    nacre_scope s = nacre_root(graph, model, false);
    nacre_tensor *x = nacre_input(graph, "x", NACRE_F32, NACRE_SHAPE(2, 3, 6, 6));
    nacre_tensor *h = nacre_conv2d(nacre_in(s, "conv"), x, 4, 3, &(nacre_conv_layer_options){.stride = 2});
    h = nacre_linear(nacre_in(s, "head.fc"), nacre_flatten(nacre_relu(h), 1), 5, NULL);
    nacre_feed(x, pixels);
    nacre_output(h);
    nacre_run(graph);
    nacre_read(h, from_c, sizeof from_c);
    NC_CHECK_OK(ctx);

    nacre_model_freeze(model, true);
    nacre_text *text = parse("model m\n  input x f32[N, 3, 6, 6]\n  conv = conv2d(x, 4, 3, stride=2)\n"
                             "  h = relu(conv)\n  h = flatten(h)\n  h = linear(h, 5) as head.fc\n  return h\nend\n");
    nacre_graph_reset(graph);
    h = nacre_text_build(text, nacre_root(graph, model, false), &(nacre_text_options){.batch = 2});
    NC_CHECK_OK(ctx);
    nacre_feed(nacre_graph_input(graph, "x"), pixels);
    nacre_output(h);
    nacre_run(graph);
    nacre_read(h, from_text, sizeof from_text);
    NC_CHECK_OK(ctx);
    NC_CHECK(memcmp(from_c, from_text, sizeof from_c) == 0);
    nacre_text_destroy(text);
    nacre_graph_destroy(graph);
    nacre_model_destroy(model);
}

static void expressions_have_values(void)
{
    static const struct {
        const char *expression;
        double value;
    } cases[] = {
        {"1 + 2 * 3", 7},
        {"(1 + 2) * 3", 9},
        {"2 ^ 3 ^ 2", 64},
        {"-2 ^ 2", -4},
        {"7 / 2", 3.5},
        {"7 // 2", 3},
        {"-7 // 2", -4},
        {"-7 % 3", 2},
        {"1 - 2 - 3", -4},
        {"1 < 2", 1},
        {"2 <= 1", 0},
        {"1 != 1", 0},
        {"not 0", 1},
        {"not 1 == 2", 1},
        {"1 and 0 or 1", 1},
        {"0 and x", 0},
        {"1 or x", 1},
        {"1 ? 2 : 3", 2},
        {"0 ? 2 : 1 ? 5 : 6", 5},
        {"true + true", 2},
        {"n * 2", 6},
        {"N", 7},
        {"dim(x, 1)", 5},
        {"dim(x, -2)", 7},
        {"kind == \"a\"", 1},
        {"kind != \"a\"", 0},
        {".5e1 + 0", 5},
        {"inf", INFINITY},
        {"1e3", 1000},
        {"((n))", 3},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char source[256];
        snprintf(source, sizeof source,
                 "model m(n=3, kind=\"a\")\n  input x f32[N, 5]\n  y = full(value=%s, shape=[])\n  return y\nend\n",
                 cases[i].expression);
        built b = build(source, &(nacre_text_options){.batch = 7});
        if (cases[i].expression[0] == '.') { /* a number begins with a digit */
            NC_CHECK_FAILED(ctx, NACRE_ERROR_FORMAT, "expected a value, got '.'");
        } else {
            if (nacre_check(ctx)) NC_COMPLAIN("%s: %s", cases[i].expression, nacre_message(ctx));
            nacre_node_view node;
            NC_CHECK(nacre_graph_node(b.graph, nacre_tensor_node(b.result, NULL), &node));
            double got = nacre_unword(node.attributes[0]);
            if (got != cases[i].value) NC_COMPLAIN("%s is %g, expected %g", cases[i].expression, got, cases[i].value);
        }
        nacre_clear(ctx);
        drop(b);
    }
}

static void inputs_can_be_given(void)
{
    nacre_text *text = parse("model m\n  input x f32[N, C, 4]\n  input y f32[N, ...]\n  z = full(shape=[N, C])\n"
                             "  return z, x\nend\n");
    NC_REQUIRE(text);
    nacre_graph *graph = nacre_graph_create(ctx);
    nacre_model *model = nacre_model_create(ctx);
    nacre_tensor *given[] = {nacre_input(graph, "a", NACRE_F32, NACRE_SHAPE(3, 2, 4)),
                             nacre_input(graph, "b", NACRE_F32, NACRE_SHAPE(3, 9, 9)),
                             nacre_input(graph, "c", NACRE_F32, NACRE_SHAPE(4, 1)),
                             nacre_input(graph, "d", NACRE_F64, NACRE_SHAPE(3, 2, 4))};
    nacre_tensor *outputs[3];
    nacre_scope s = nacre_root(graph, model, false);
    nacre_text_options options = {.inputs = given, .input_count = 2, .outputs = outputs, .output_limit = 3};
    nacre_tensor *z = nacre_text_build(text, s, &options);
    NC_CHECK_OK(ctx);
    check_shape(z, NACRE_SHAPE(3, 2));
    NC_CHECK(outputs[0] == z && outputs[1] == given[0] && !outputs[2]);

    options.input_count = 1;
    NC_CHECK(!nacre_text_build(text, s, &options) && !outputs[0]);
    NC_CHECK_FAILED(ctx, NACRE_ERROR_FORMAT, "m.nacre:3: input 'y' is not given; there are 1");
    options.input_count = 3;
    NC_CHECK(!nacre_text_build(text, s, &options));
    NC_CHECK_FAILED(ctx, NACRE_ERROR_FORMAT, "m.nacre:1: m has 2 inputs, got 3");
    options.input_count = 2;
    nacre_tensor *wrong_batch[] = {given[0], given[2]}, *wrong_rank[] = {given[2], given[1]},
                 *wrong_type[] = {given[3], given[1]};
    options.inputs = wrong_batch;
    NC_CHECK(!nacre_text_build(text, s, &options));
    NC_CHECK_FAILED(ctx, NACRE_ERROR_FORMAT, "m.nacre:3: input 'y' is f32[N, ...] here, got f32[4, 1]");
    options.inputs = wrong_rank;
    NC_CHECK(!nacre_text_build(text, s, &options));
    NC_CHECK_FAILED(ctx, NACRE_ERROR_FORMAT, "m.nacre:2: input 'x' is f32[N, C, 4] here, got f32[4, 1]");
    options.inputs = wrong_type;
    NC_CHECK(!nacre_text_build(text, s, &options));
    NC_CHECK_FAILED(ctx, NACRE_ERROR_FORMAT, "m.nacre:2: input 'x' is f32[N, C, 4] here, got f64[3, 2, 4]");
    NC_CHECK(!nacre_text_build(text, s, NULL));
    NC_CHECK_FAILED(ctx, NACRE_ERROR_FORMAT, "m.nacre:2: there is no 'C' here");
    nacre_model_destroy(model);
    nacre_graph_destroy(graph);
    nacre_text_destroy(text);
}

static void parameters_are_shared_on_purpose_only(void)
{
    built b =
        build("model m\n  input x f32[N, 8]\n  a = linear(x, 8)\n  b = linear(a, 8) reuse a\n  return b\nend\n", NULL);
    NC_CHECK_OK(ctx);
    NC_CHECK_INT(nacre_model_count(b.model), 2);
    drop(b);
    b = build("model m\n  input x f32[N, 8]\n  h = linear(x, 8)\n  h = linear(h, 8)\n  return h\nend\n", NULL);
    NC_CHECK_FAILED(ctx, NACRE_ERROR_FORMAT, "m.nacre:4: linear \"h\": line 3 has parameters at this path");
    drop(b);
    b = build("model m\n  input x f32[N, 8]\n  h = linear(x, 8) reuse fc\n  return h\nend\n", NULL);
    NC_CHECK_FAILED(ctx, NACRE_ERROR_FORMAT, "m.nacre:3: linear \"fc\": there are no parameters at this path to reuse");
    drop(b);
}

#define MODEL(body) "model m\n  input x f32[N, 3, 8, 8]\n" body "\nend\n"

static void bad_models_are_refused(void)
{
    static const struct {
        const char *source, *message;
        nacre_status status;
    } cases[] = {
        {MODEL("y = rellu(x)\nreturn y"), "m.nacre:3: unknown layer or operation 'rellu'; did you mean 'relu'?",
         NACRE_ERROR_FORMAT},
        {MODEL("y = blub(x)\nreturn y"), "m.nacre:3: unknown layer or operation 'blub'", NACRE_ERROR_FORMAT},
        {MODEL("y = op.linear(x, 3)\nreturn y"), "m.nacre:3: unknown layer or operation 'linear'", NACRE_ERROR_FORMAT},
        {MODEL("y = relu(z)\nreturn y"), "m.nacre:3: there is no 'z' here", NACRE_ERROR_FORMAT},
        {MODEL("width = 3\ny = conv2d(x, widht, 3)\nreturn y"), "there is no 'widht' here; did you mean 'width'?",
         NACRE_ERROR_FORMAT},
        {MODEL("y = conv2d(x, 4, 3, strid=2)\nreturn y"),
         "m.nacre:3: conv2d: there is no attribute 'strid'; did you mean 'stride'?", NACRE_ERROR_FORMAT},
        {MODEL("y = flatten(x, colour=2)\nreturn y"), "flatten: there is no attribute 'colour'; there are: first_axis",
         NACRE_ERROR_FORMAT},
        {MODEL("y = conv2d(x, 4)\nreturn y"), "conv2d: 'kernel' is missing", NACRE_ERROR_FORMAT},
        {MODEL("y = conv2d(4, 3)\nreturn y"), "conv2d: operand 'x' is missing", NACRE_ERROR_FORMAT},
        {MODEL("y = conv2d(x, 4.5, 3)\nreturn y"), "conv2d: 'channels' must be a whole number, got 4.5",
         NACRE_ERROR_FORMAT},
        {MODEL("y = conv2d(x, \"a\", 3)\nreturn y"), "conv2d: 'channels' must be a whole number, got a",
         NACRE_ERROR_FORMAT},
        {MODEL("y = conv2d(x, [1], 3)\nreturn y"), "conv2d: 'channels' must be a whole number, got a list",
         NACRE_ERROR_FORMAT},
        {MODEL("y = conv2d(x, 4, 3, bias=2)\nreturn y"), "conv2d: 'bias' must be true or false, got 2",
         NACRE_ERROR_FORMAT},
        {MODEL("y = conv2d(x, 4, 3, init=magic)\nreturn y"), "conv2d: 'init' must be one of default|zeros",
         NACRE_ERROR_FORMAT},
        {MODEL("y = conv2d(x, 4, 3, channels=3)\nreturn y"), "conv2d: 'channels' is given twice", NACRE_ERROR_FORMAT},
        {MODEL("y = conv2d(x, 4, 3, x=x)\nreturn y"), "conv2d: operand 1 is given twice", NACRE_ERROR_FORMAT},
        {MODEL("y = conv2d(4, 3, x=3)\nreturn y"), "conv2d: operand 'x' must be a tensor, got a number",
         NACRE_ERROR_FORMAT},
        {MODEL("y = relu(x, x)\nreturn y"), "relu: takes the operands \"x\", got one more tensor", NACRE_ERROR_FORMAT},
        {MODEL("y = relu(x, 1)\nreturn y"), "relu: takes 0 attributes, got one more", NACRE_ERROR_FORMAT},
        {MODEL("y = reshape(x, shape=[1, 2, 3, 4, 5, 6, 7, 8, 9])\nreturn y"),
         "reshape: 'shape' takes at most 8 numbers, got 9", NACRE_ERROR_FORMAT},
        {MODEL("y = reshape(x, shape=\"a\")\nreturn y"), "reshape: 'shape' must be a list of whole numbers, got a",
         NACRE_ERROR_FORMAT},
        {MODEL("n = [1, 2, 3, 4, 5, 6, 7, 8, 9]\ny = reshape(x, shape=n)\nreturn y"),
         "reshape: 'shape' takes at most 8 numbers, got 9", NACRE_ERROR_FORMAT},
        {MODEL("n = [1, 2.5]\ny = reshape(x, shape=n)\nreturn y"),
         "reshape: 'shape' must be a list of whole numbers, got a list", NACRE_ERROR_FORMAT},
        {MODEL("y, z = relu(x)\nreturn y"), "m.nacre:3: relu has no result 2", NACRE_ERROR_FORMAT},
        {MODEL("y = op.input(x)\nreturn y"), "input", NACRE_ERROR_FORMAT},
        {MODEL("y = op.parameter()\nreturn y"), "parameter: write 'parameter NAME f32[...]' instead",
         NACRE_ERROR_FORMAT},
        {MODEL("y = x + 1\nreturn y"), "'+' takes two numbers, got a tensor and a number", NACRE_ERROR_FORMAT},
        {MODEL("y = -x\nreturn y"), "expected a number, got a tensor", NACRE_ERROR_FORMAT},
        {MODEL("y = dim(x, 4)\nreturn y"), "dim: there is no axis 4 in a tensor with 4", NACRE_ERROR_FORMAT},
        {MODEL("y = dim(1, 4)\nreturn y"), "dim takes a tensor, got a number", NACRE_ERROR_FORMAT},
        {MODEL("if x\nend\nreturn x"), "expected a number, got a tensor", NACRE_ERROR_FORMAT},
        {MODEL("repeat i in 1..1000000000\nend\nreturn x"), "m.nacre:3: more than 200000 steps", NACRE_ERROR_FORMAT},
        {MODEL("repeat i in 0.5..2\nend\nreturn x"), "expected a whole number, got 0.5", NACRE_ERROR_FORMAT},
        {MODEL("return 3"), "m.nacre:3: a model returns tensors, got a number", NACRE_ERROR_FORMAT},
        {MODEL("y = relu(x)"), "m.nacre:1: m returns nothing", NACRE_ERROR_FORMAT},
        {MODEL("input x f32[2]\nreturn x"), "the graph has an input 'x' already", NACRE_ERROR_FORMAT},
        {MODEL("input y f32[-2]\nreturn x"), "'y' has a negative dimension", NACRE_ERROR_FORMAT},
        {MODEL("input y f32[1, 2, 3, 4, 5, 6, 7, 8, 9]\nreturn x"), "'y' has more than 8 dimensions",
         NACRE_ERROR_FORMAT},
        {MODEL("input y f32[9000000000000000, 9000]\nreturn x"), "'y' is too large", NACRE_ERROR_FORMAT},
        {MODEL("input y f32[...]\nreturn x"), "the shape of 'y' is open", NACRE_ERROR_FORMAT},
        {MODEL("constant c f32[3] = [1, 2]\nreturn c"), "'c' is [3], got 2 values", NACRE_ERROR_FORMAT},
        {MODEL("constant c i64[1] = [1.5]\nreturn c"), "expected a whole number, got 1.5", NACRE_ERROR_FORMAT},
        {MODEL("y = relu(x) as a{x}\nreturn y"), "a path is made of numbers and texts, got a tensor",
         NACRE_ERROR_FORMAT},
        {"block b(x)\n  input y f32[1]\n  return x\nend\n" MODEL("y = b(x)\nreturn y"),
         "m.nacre:2: inputs stand in the model", NACRE_ERROR_FORMAT},
        {"block b(x, n)\n  return x\nend\n" MODEL("y = b(x)\nreturn y"), "m.nacre:6: b: 'n' is missing",
         NACRE_ERROR_FORMAT},
        {"block b(x)\n  return x\nend\n" MODEL("y = b(x, 1)\nreturn y"), "b: more arguments than parameters",
         NACRE_ERROR_FORMAT},
        {"block b(x)\n  return x\nend\n" MODEL("y = b(x, x=1)\nreturn y"), "b: 'x' is given twice", NACRE_ERROR_FORMAT},
        {"block b(x, width=1)\n  return x\nend\n" MODEL("y = b(x, widht=1)\nreturn y"),
         "b has no parameter 'widht'; did you mean 'width'?", NACRE_ERROR_FORMAT},
        {"block b(x)\n  return x\nend\n" MODEL("y, z = b(x)\nreturn y"), "b returns 1 values", NACRE_ERROR_FORMAT},
        {"block b(x)\n  x = b(x)\n  return x\nend\n" MODEL("y = b(x)\nreturn y"), "call each other more than 32 deep",
         NACRE_ERROR_FORMAT},
        {MODEL("y = linear(x, 8)\nz = conv2d(y, 4, 3, groups=2)\nreturn z"), "m.nacre:4: conv2d: 3 to 4 channels",
         NACRE_ERROR_ARGUMENT},
        {MODEL("y = add(x, x)\nz = reshape(y, shape=[7, 7])\nreturn z"),
         "m.nacre:4: reshape \"z\":", NACRE_ERROR_SHAPE},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        built b = build(cases[i].source, NULL);
        if (b.result) NC_COMPLAIN("built: %s", cases[i].source);
        NC_CHECK_FAILED(ctx, cases[i].status, cases[i].message);
        drop(b);
    }
}

static void bad_texts_are_refused(void)
{
    static const char *const cases[][2] = {
        {"", "m.nacre:1: there is no model in it"},
        {"# nothing\n", "there is no model in it"},
        {"x = 3\n", "m.nacre:1: expected 'block' or 'model', got 'x'"},
        {"model m\nreturn 1\n", "m.nacre:3: the model of line 1 has no end"},
        {"model m\nrepeat i in 1..2\nreturn 1\nend\n", "m.nacre:5: the model of line 1 has no end"},
        {"model m\nif 1\nelse\nelse\nend\nend\n", "m.nacre:4: expected a statement, got 'else'"},
        {"model m\nend\nmodel n\nend\n", "m.nacre:3: a second model; the first is in line 1"},
        {"block b(x)\nend\nblock b(x)\nend\n", "m.nacre:3: block 'b' is there twice, first in line 1"},
        {"block b\nend\n", "m.nacre:1: expected '(', got 'the end of the line'"},
        {"block b(x, x)\nend\n", "parameter 'x' is there twice"},
        {"model 3\nend\n", "expected a name, got '3'"},
        {"model m\nreturn\nend\n", "m.nacre:2: expected a value, got 'the end of the line'"},
        {"model m\ny = relu(x\nend\n", "m.nacre:2: expected ')', got 'the end of the line'"},
        {"model m\ny = relu(x) y\nend\n", "m.nacre:2: expected the end of the line, got 'y'"},
        {"model m\ny = relu(tanh(x))\nend\n", "'tanh(' inside an expression; a call stands on a line of its own"},
        {"model m\na, b = 3\nend\n", "only a call gives several values, got '3'"},
        {"model m\na b = 3\nend\n", "expected '=', got 'b'"},
        {"model m\nend = 3\nend\n", "expected the end of the line, got '='"},
        {"model m\nin = 3\nend\n", "expected a statement, got 'in'"},
        {"model m\ny = 3 $ 4\nend\n", "m.nacre:2: '$' has no meaning here"},
        {"model m\ny = \xc3\xa9\nend\n", "m.nacre:2: byte 0xc3 has no meaning here"},
        {"model m\ny = \"abc\nend\n", "m.nacre:2: a text without its closing \""},
        {"model m\ny = 3x\nend\n", "'3x' is not a number"},
        {"model m\ny = 1e999\nend\n", "is not a number"},
        {"model m\ninput x g32[1]\nend\n", "expected an element type such as f32, got 'g32'"},
        {"model m\ninput x f32\nend\n", "expected '[', got 'the end of the line'"},
        {"model m\nconstant c f32[1] = 3\nend\n", "expected '[', got '3'"},
        {"model m\nconstant c f32[1] = [x]\nend\n", "expected a number, got 'x'"},
        {"model m\nconstant c f32[...] = [1]\nend\n", "expected a value, got '...'"},
        {"model m\ny = relu(x) as\nend\n", "expected a path, got 'the end of the line'"},
        {"model m\ny = relu(x) as a{1\nend\n", "expected '}', got 'the end of the line'"},
        {"model m\nrepeat 3 in 1..2\nend\nend\n", "expected the name of a counter, got '3'"},
        {"model m\nrepeat i of 1..2\nend\nend\n", "expected 'in', got 'of'"},
        {"\xff\xfe", "m.nacre: not a text"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        NC_CHECK(!parse(cases[i][0]));
        NC_CHECK_FAILED(ctx, NACRE_ERROR_FORMAT, cases[i][1]);
    }
    NC_CHECK(!nacre_text_load(ctx, nc_file("none.nacre")));
    NC_CHECK_FAILED(ctx, NACRE_ERROR_NOT_FOUND, "none.nacre");
}

static void bombs_are_refused(void)
{
    nacre_buffer text = nacre_buffer_create(ctx);
    nacre_buffer_print(&text, "model m\ny = ");
    for (int i = 0; i < 100000; i++) nacre_buffer_put(&text, "(", 1);
    NC_CHECK(!nacre_text_parse(ctx, text.data, text.size, NULL));
    NC_CHECK_FAILED(ctx, NACRE_ERROR_FORMAT, "model:2: nested more than 64 levels deep");
    nacre_buffer_clear(&text);
    nacre_buffer_print(&text, "model m\ny = 1");
    for (int i = 0; i < 100000; i++) nacre_buffer_put(&text, "+1", 2);
    NC_CHECK(!nacre_text_parse(ctx, text.data, text.size, NULL));
    NC_CHECK_FAILED(ctx, NACRE_ERROR_FORMAT, "model:2: more than 500 operations in one statement");
    nacre_buffer_clear(&text);
    nacre_buffer_print(&text, "model m\n");
    for (int i = 0; i < 1000; i++) nacre_buffer_print(&text, "if 1\n");
    NC_CHECK(!nacre_text_parse(ctx, text.data, text.size, NULL));
    NC_CHECK_FAILED(ctx, NACRE_ERROR_FORMAT, "nested more than 64 levels deep");
    nacre_buffer_destroy(&text);
}

/* ---- graphs as text ---- */

static void check_same_graph(const nacre_graph *a, const nacre_graph *b)
{
    NC_CHECK_INT(nacre_graph_node_count(a), nacre_graph_node_count(b));
    nacre_node_view x, y;
    for (int i = 0; nacre_graph_node(a, i, &x) && nacre_graph_node(b, i, &y); i++) {
        NC_CHECK(x.op == y.op);
        NC_REQUIRE(x.op == y.op);
        NC_CHECK_TEXT(x.name, y.name);
        NC_CHECK_INT(x.input_count, y.input_count);
        for (int j = 0; j < x.input_count; j++) {
            int from_x = -1, from_y = -1;
            NC_CHECK_INT(nacre_tensor_node(x.inputs[j], &from_x), nacre_tensor_node(y.inputs[j], &from_y));
            NC_CHECK_INT(from_x, from_y);
        }
        size_t words = (size_t)nacre_op_attribute_words(x.op) * sizeof(int64_t);
        if (words) NC_CHECK(memcmp(x.attributes, y.attributes, words) == 0);
        for (int j = 0; j < x.output_count; j++) {
            const nacre_tensor *of_x = nacre_graph_node_output(a, i, j), *of_y = nacre_graph_node_output(b, i, j);
            NC_CHECK_INT(nacre_tensor_dtype(of_x), nacre_tensor_dtype(of_y));
            NC_CHECK(nacre_shape_equal(nacre_tensor_shape(of_x), nacre_tensor_shape(of_y)));
            size_t size = (size_t)nacre_tensor_count(of_x) * nacre_dtype_size(nacre_tensor_dtype(of_x));
            if (x.data) NC_CHECK(memcmp(x.data, y.data, size) == 0);
        }
    }
}

/* Text of the graph, a graph of that text, and its text again. */
static void check_comes_back(const nacre_graph *graph, nacre_model *model, nacre_tensor *result)
{
    nacre_buffer first = nacre_buffer_create(ctx), second = nacre_buffer_create(ctx);
    NC_CHECK_INT(nacre_text_from_graph(graph, model, &result, 1, "again", &first), NACRE_OK);
    NC_CHECK_OK(ctx);
    NC_REQUIRE(first.data);
    check_prints(first.data, first.data);
    nacre_text *text = nacre_text_parse(ctx, first.data, first.size, "again");
    nacre_graph *copy = nacre_graph_create(ctx);
    nacre_tensor *again = nacre_text_build(text, nacre_root(copy, model, false), NULL);
    NC_CHECK_OK(ctx);
    check_same_graph(graph, copy);
    nacre_text_from_graph(copy, model, &again, 1, "again", &second);
    NC_CHECK_TEXT(second.data, first.data);
    nacre_graph_destroy(copy);
    nacre_text_destroy(text);
    nacre_buffer_destroy(&first);
    nacre_buffer_destroy(&second);
}

static void a_training_step_comes_back(void)
{
    nacre_text *text = parse(nacre_zoo_text("resnet_cifar"));
    built b = build_text(text, &(nacre_text_options){.batch = 2}, true);
    NC_REQUIRE(b.result);
    nacre_tensor *loss = nacre_sum(nacre_mul(b.result, b.result), NULL);
    nacre_tensor *weight = nacre_model_tensor(b.graph, b.model, nacre_model_find(b.model, "fc.weight")), *gradient;
    nacre_gradients(loss, &weight, 1, &gradient);
    nacre_assign_lerp(weight, gradient, 0.1, -1);
    NC_CHECK_OK(ctx);
    check_comes_back(b.graph, b.model, loss);
    drop(b);
    nacre_text_destroy(text);
}

static void leaves_and_odd_names_come_back(void)
{
    nacre_graph *graph = nacre_graph_create(ctx);
    nacre_model *model = nacre_model_create(ctx);
    nacre_tensor *x = nacre_input(graph, "t3", NACRE_F32, NACRE_SHAPE(2, 2));
    nacre_tensor *y = nacre_input(graph, "a picture", NACRE_F32, NACRE_SHAPE(2, 2));
    nacre_tensor *n = nacre_input(graph, "repeat", NACRE_F32, NACRE_SHAPE(2, 2));
    const float odd[] = {0.1f, -0.0f, INFINITY, -1e-30f};
    const int64_t ids[] = {INT64_MAX, INT64_MIN, -1};
    const uint8_t truth[] = {1, 0};
    nacre_tensor *c = nacre_constant(graph, NACRE_F32, NACRE_SHAPE(2, 2), odd);
    nacre_constant(graph, NACRE_I64, NACRE_SHAPE(3), ids);
    nacre_constant(graph, NACRE_BOOL, NACRE_SHAPE(2), truth);
    nacre_tensor *f = nacre_full(graph, NACRE_F32, NACRE_SCALAR, 1.0 / 3);
    nacre_model_add(model, NACRE_ENTRY_BUFFER, "odd name.mean", NACRE_F32, NACRE_SHAPE(2, 2));
    nacre_tensor *mean = nacre_model_tensor(graph, model, 0);
    nacre_graph_set_path(graph, "some.path-2");
    nacre_tensor *z = nacre_add(nacre_add(nacre_add(x, y), nacre_mul(c, f)), nacre_add(n, mean));
    check_comes_back(graph, model, z);

    nacre_buffer text = nacre_buffer_create(ctx);
    nacre_graph_set_path(graph, "a\"b");
    z = nacre_relu(z);
    NC_CHECK_INT(nacre_text_from_graph(graph, model, &z, 1, NULL, &text), NACRE_ERROR_UNSUPPORTED);
    NC_CHECK_FAILED(ctx, NACRE_ERROR_UNSUPPORTED, "the name 'a\"b' cannot be written");
    NC_CHECK_INT(nacre_text_from_graph(graph, model, NULL, 0, NULL, &text), NACRE_ERROR_ARGUMENT);
    nacre_clear(ctx);
    nacre_buffer_destroy(&text);
    nacre_model_destroy(model);
    nacre_graph_destroy(graph);
}

/* ---- the table of layers ---- */

static void layers_are_described(void)
{
    for (int i = 0; nacre_layer_at(i); i++) {
        const nacre_layer *layer = nacre_layer_at(i);
        NC_CHECK(nacre_layer_find(layer->name) == layer);
        NC_CHECK(layer->doc && *layer->doc && layer->inputs && *layer->inputs && layer->build);
        for (int j = 0; j < NACRE_MAX_ATTRIBUTES && layer->attributes[j].type != NACRE_ATTRIBUTE_NONE; j++) {
            NC_CHECK(layer->attributes[j].doc && *layer->attributes[j].doc);
            NC_CHECK(layer->attributes[j].type != NACRE_ATTRIBUTE_INTS);
        }
    }
    NC_CHECK(!nacre_layer_find("none") && !nacre_layer_at(-1));
}

/* The first example of the manual is what it says: a text in the usual form that builds. */
static void the_manual_is_right(void)
{
    char *manual = nacre_file_read(ctx, nc_source("docs/model-text.md"), 0, NULL);
    NC_CHECK_OK(ctx);
    NC_REQUIRE(manual);
    char *start = strstr(manual, "```\n"), *end = start ? strstr(start + 4, "```\n") : NULL;
    NC_CHECK(end);
    if (end) {
        *end = 0;
        check_prints(start + 4, start + 4);
        built b = build(start + 4, NULL);
        NC_CHECK_OK(ctx);
        NC_CHECK_INT(nacre_model_elements(b.model, NACRE_ENTRY_PARAMETER), 272474);
        drop(b);
    }
    nacre_release(ctx, manual);
}

static void the_reference_is_current(void)
{
    nacre_buffer text = nacre_buffer_create(ctx);
    nacre_layer_document(&text);
    char *file = nacre_file_read(ctx, nc_source("docs/layers.md"), 0, NULL);
    NC_CHECK_OK(ctx);
    if (!file || strcmp(file, text.data) != 0) {
        if (getenv("NACRE_UPDATE")) nacre_file_write(ctx, nc_source("docs/layers.md"), text.data, text.size);
        NC_COMPLAIN("docs/layers.md is not what the table of layers says; run this test with NACRE_UPDATE=1");
    }
    nacre_release(ctx, file);
    nacre_buffer_destroy(&text);
}

/* ---- memory ---- */

static bool parse_build_print(nacre_context *context, void *user)
{
    (void)user;
    static const char source[] =
        "block b(x, n=2)\n  y = linear(x, n)\n  return y\nend\nmodel m(k=3)\n  input x f32[N, 4]\n"
        "  constant c f32[1] = [2]\n  repeat i in 1..k\n    x = b(x, 4) as l{i}\n  end\n"
        "  y = add(x, c)\n  y = reshape(y, shape=[N, 2, 2])\n  return y\nend\n";
    nacre_text *text = nacre_text_parse(context, source, sizeof source - 1, NULL);
    nacre_graph *graph = nacre_graph_create(context);
    nacre_model *model = nacre_model_create(context);
    nacre_buffer printed = nacre_buffer_create(context);
    nacre_tensor *y = NULL;
    if (text && graph && model) y = nacre_text_build(text, nacre_root(graph, model, true), NULL);
    bool done = y && nacre_text_print(text, NULL, &printed) == NACRE_OK &&
                nacre_text_from_graph(graph, model, &y, 1, "m", &printed) == NACRE_OK;
    nacre_buffer_destroy(&printed);
    nacre_model_destroy(model);
    nacre_graph_destroy(graph);
    nacre_text_destroy(text);
    return done;
}

static void every_allocation_may_fail(void)
{
    nc_fail_each_allocation(parse_build_print, NULL);
}

int main(void)
{
    ctx = nacre_context_create(&(nacre_context_options){.threads = 1});
    NC_RUN(the_usual_form_comes_back);
    NC_RUN(other_forms_become_usual);
    NC_RUN(other_defaults_are_printed);
    NC_RUN(a_residual_network_fits_on_a_page);
    NC_RUN(every_layer_can_be_called);
    NC_RUN(text_computes_what_c_computes);
    NC_RUN(expressions_have_values);
    NC_RUN(inputs_can_be_given);
    NC_RUN(parameters_are_shared_on_purpose_only);
    NC_RUN(bad_models_are_refused);
    NC_RUN(bad_texts_are_refused);
    NC_RUN(bombs_are_refused);
    NC_RUN(a_training_step_comes_back);
    NC_RUN(leaves_and_odd_names_come_back);
    NC_RUN(layers_are_described);
    NC_RUN(the_manual_is_right);
    NC_RUN(the_reference_is_current);
    NC_RUN(every_allocation_may_fail);
    nacre_context_destroy(ctx);
    return nc_report();
}

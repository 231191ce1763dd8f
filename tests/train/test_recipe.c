/* Recipes: values, defaults, overrides, printing, and a message for everything that can be wrong. */
#include "support.h"

#include <nacre/recipe.h>

static nacre_context *ctx;

static const char MINIMAL[] = "data: {source: mnist}\nmodel: {zoo: lenet}\n";
static const char FULL[] = "name: everything\n"
                           "data:\n"
                           "  source: ./photos\n"
                           "  transforms:\n"
                           "    - random_crop(28, padding=2)\n"
                           "    - horizontal_flip\n"
                           "    - scale(1/255)\n"
                           "  validation: 0.25\n"
                           "  limit: 500\n"
                           "  classes: [cat, \"12\", \"\xe7\x8c\xab\"]\n"
                           "  shuffle: false\n"
                           "  workers: 3\n"
                           "model:\n"
                           "  text: |\n"
                           "    model tiny\n"
                           "\n"
                           "      return x # all of it\n"
                           "  parameters: {depth: 20, act: relu, odd: \"1\"}\n"
                           "optimizer:\n"
                           "  name: adamw\n"
                           "  learning_rate: 2e-3\n"
                           "  betas: [0.8, 0.99]\n"
                           "schedule:\n"
                           "  name: cosine\n"
                           "  warmup_epochs: 0.5\n"
                           "training:\n"
                           "  epochs: 12\n"
                           "  early_stopping:\n"
                           "    patience: 3\n"
                           "  metrics: [accuracy, f1_macro, top5]\n"
                           "  seed: 9007199254740992\n"
                           "output:\n"
                           "  folder: runs/x\n"
                           "target: {accuracy: 0.92}\n";

static nacre_recipe *parse(const char *text, const char *const *settings)
{
    return nacre_recipe_parse(ctx, text, strlen(text), "recipes/a.yaml", settings);
}

static void defaults_are_there(void)
{
    nacre_recipe *r = parse(MINIMAL, NULL);
    NC_REQUIRE(r);
    NC_CHECK_TEXT(r->name, "a");
    NC_CHECK_TEXT(r->data.source, "mnist");
    NC_CHECK_TEXT(r->model.zoo, "lenet");
    NC_CHECK(!r->data.transforms && !r->data.classes && !r->model.file && !r->model.parameters && !r->target);
    NC_CHECK_NEAR(r->data.validation, 0.1, 0);
    NC_CHECK(r->data.shuffle && !r->data.ordered && r->output.report);
    NC_CHECK_TEXT(r->optimizer.name, "sgd");
    NC_CHECK_NEAR(r->optimizer.betas[1], 0.999, 0);
    NC_CHECK_TEXT(r->schedule.name, "constant");
    NC_CHECK_INT(r->training.epochs, 10);
    NC_CHECK_TEXT(r->training.metrics[0], "accuracy");
    NC_CHECK(!r->training.metrics[1]);
    NC_CHECK_TEXT(r->training.device, "cpu");
    nacre_recipe_destroy(r);
    nacre_recipe_destroy(NULL);
    NC_CHECK_OK(ctx);
}

static void check_full(const nacre_recipe *r)
{
    NC_CHECK_TEXT(r->name, "everything");
    NC_CHECK_TEXT(r->data.source, "recipes/./photos");
    NC_CHECK_TEXT(r->data.transforms, "random_crop(28, padding=2); horizontal_flip; scale(1/255)");
    NC_CHECK_NEAR(r->data.validation, 0.25, 0);
    NC_CHECK_INT(r->data.limit, 500);
    NC_CHECK_TEXT(r->data.classes[1], "12");
    NC_CHECK_TEXT(r->data.classes[2], "\xe7\x8c\xab");
    NC_CHECK(!r->data.classes[3] && !r->data.shuffle);
    NC_CHECK_INT(r->data.workers, 3);
    NC_CHECK_TEXT(r->model.text, "model tiny\n\n  return x # all of it\n");
    NC_CHECK_TEXT(r->model.parameters[0].name, "depth");
    NC_CHECK(r->model.parameters[0].is_number && r->model.parameters[0].number == 20);
    NC_CHECK_TEXT(r->model.parameters[1].text, "relu");
    NC_CHECK(!r->model.parameters[1].is_number && !r->model.parameters[2].is_number && !r->model.parameters[3].name);
    NC_CHECK_TEXT(r->optimizer.name, "adamw");
    NC_CHECK_NEAR(r->optimizer.learning_rate, 0.002, 0);
    NC_CHECK_NEAR(r->optimizer.betas[0], 0.8, 0);
    NC_CHECK_TEXT(r->schedule.name, "cosine");
    NC_CHECK_NEAR(r->schedule.warmup_epochs, 0.5, 0);
    NC_CHECK_INT(r->training.epochs, 12);
    NC_CHECK_INT(r->training.early_stopping.patience, 3);
    NC_CHECK_TEXT(r->training.metrics[1], "f1_macro");
    NC_CHECK_INT(r->training.seed, 9007199254740992);
    NC_CHECK_TEXT(r->output.folder, "runs/x");
    NC_CHECK_TEXT(r->target[0].name, "accuracy");
    NC_CHECK_NEAR(r->target[0].number, 0.92, 0);
}

static void values_are_read(void)
{
    nacre_recipe *r = parse(FULL, NULL);
    NC_REQUIRE(r);
    check_full(r);
    nacre_recipe_destroy(r);
    NC_CHECK_OK(ctx);
}

static char *print(const nacre_recipe *recipe, bool complete)
{
    nacre_buffer text = nacre_buffer_create(ctx);
    NC_CHECK_INT(nacre_recipe_print(recipe, complete, &text), NACRE_OK);
    return nacre_buffer_take(&text, NULL);
}

static void printing_comes_back(void)
{
    nacre_recipe *r = parse(FULL, NULL);
    NC_REQUIRE(r);
    for (int complete = 0; complete < 2; complete++) {
        char *first = print(r, complete);
        nacre_recipe *again = parse(first, NULL);
        NC_CHECK_OK(ctx);
        NC_REQUIRE(again);
        check_full(again);
        char *second = print(again, complete);
        NC_CHECK_TEXT(second, first);
        nacre_recipe_destroy(again);
        nacre_release(ctx, first);
        nacre_release(ctx, second);
    }
    nacre_recipe_destroy(r);

    r = parse(MINIMAL, NULL);
    char *text = print(r, false);
    NC_CHECK_TEXT(text, "data:\n  source: mnist\nmodel:\n  zoo: lenet\n");
    nacre_release(ctx, text);
    text = print(r, true);
    NC_CHECK_CONTAINS(text, "name: a\n");
    NC_CHECK_CONTAINS(text, "\ntraining:\n  epochs: 10\n");
    NC_CHECK_CONTAINS(
        text,
        "\n  early_stopping:\n    patience: 0\n    min_delta: 0\n    start_from_epoch: 0\n  loss: cross_entropy\n");
    NC_CHECK_CONTAINS(text, "  betas: [0.9, 0.999]\n  eps: 1e-08\n");
    nacre_release(ctx, text);
    nacre_recipe_destroy(r);
    NC_CHECK_OK(ctx);
}

/* Texts that YAML would take for something else, or that need care on the way through it. */
static void any_text_survives(void)
{
    static const char *const texts[] = {"null",
                                        "true",
                                        "12",
                                        "1e3",
                                        " lead",
                                        "trail ",
                                        "a: b",
                                        "a #b",
                                        "- x",
                                        "[x",
                                        "{x}",
                                        "&a",
                                        "*a",
                                        "!t",
                                        "'q'",
                                        "\"q\"",
                                        "a\\b",
                                        "a\tb",
                                        "a\nb",
                                        "a\nb\n",
                                        "a\nb\n\n",
                                        "\na",
                                        " a\nb",
                                        "a\n\n  b\n",
                                        "\x01",
                                        "\xc2\x85",
                                        "\xe2\x80\xa8",
                                        "\xef\xbb\xbfx",
                                        "\xe7\x8c\xab",
                                        "a, b",
                                        "f(x, y=[1])",
                                        "a\n b \n",
                                        "---",
                                        "...",
                                        "\x7f",
                                        "a\n   ",
                                        "| x",
                                        "%a",
                                        "@a",
                                        "`a",
                                        "~",
                                        "\t\n",
                                        "x\ry",
                                        "x\ry\n",
                                        "a\n\tb\n"};
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        nacre_buffer source = nacre_buffer_create(ctx);
        nacre_buffer_print(&source, "%s  parameters: {a: 1}\n", "data: {source: mnist}\nmodel:\n  zoo: x\n");
        nacre_recipe *r = parse(source.data, NULL);
        NC_REQUIRE(r);
        r->model.zoo = texts[i];
        char *printed = print(r, false);
        nacre_recipe *again = parse(printed, NULL);
        if (!again) NC_COMPLAIN("%zu: %s: %s", i, printed, nacre_message(ctx));
        NC_CHECK_OK(ctx);
        if (again) NC_CHECK_TEXT(again->model.zoo, texts[i]);
        nacre_recipe_destroy(again);
        nacre_recipe_destroy(r);
        nacre_release(ctx, printed);
        nacre_buffer_destroy(&source);
    }
}

static void overrides_come_last(void)
{
    const char *const settings[] = {"training.epochs=3",
                                    "optimizer.betas=[0.5, 0.6]",
                                    "data.source=./here",
                                    "model.zoo=resnet",
                                    "model.text=null",
                                    "model.parameters.depth=56",
                                    "model.parameters.width=2",
                                    "training.early_stopping={patience: 7, min_delta: 0.5}",
                                    "training.metrics=null",
                                    "data.transforms=[]",
                                    "name=~",
                                    NULL};
    nacre_recipe *r = parse(FULL, settings);
    NC_CHECK_OK(ctx);
    NC_REQUIRE(r);
    NC_CHECK_INT(r->training.epochs, 3);
    NC_CHECK_NEAR(r->optimizer.betas[1], 0.6, 0);
    NC_CHECK_TEXT(r->data.source, "./here");
    NC_CHECK(!r->model.text);
    NC_CHECK_TEXT(r->model.zoo, "resnet");
    NC_CHECK_NEAR(r->model.parameters[0].number, 56, 0);
    NC_CHECK_TEXT(r->model.parameters[1].text, "relu");
    NC_CHECK_TEXT(r->model.parameters[3].name, "width");
    NC_CHECK(!r->model.parameters[4].name);
    NC_CHECK_INT(r->training.early_stopping.patience, 7);
    NC_CHECK_NEAR(r->training.early_stopping.min_delta, 0.5, 0);
    NC_CHECK(r->training.metrics[0] && !r->training.metrics[1]);
    NC_CHECK_TEXT(r->data.transforms, "");
    NC_CHECK_TEXT(r->name, "a");

    NC_CHECK_INT(nacre_recipe_set(r, "training.epochs=5"), NACRE_OK);
    NC_CHECK_INT(r->training.epochs, 5);
    NC_CHECK_INT(nacre_recipe_set(r, "training={epochs: 6, seed: x}"), NACRE_ERROR_FORMAT);
    NC_CHECK_FAILED(ctx, NACRE_ERROR_FORMAT, "--set training={epochs: 6, seed: x}: 'training.seed' must be a whole");
    NC_CHECK_INT(r->training.epochs, 5);
    NC_CHECK_INT(nacre_recipe_set(r, "model.zoo=null"), NACRE_ERROR_FORMAT);
    NC_CHECK_FAILED(ctx, NACRE_ERROR_FORMAT, "'model' is missing");
    NC_CHECK_TEXT(r->model.zoo, "resnet");
    nacre_recipe_destroy(r);
}

static void overrides_say_what_is_wrong(void)
{
    static const char *const cases[][2] = {
        {"training.epoch=3", "--set training.epoch=3: unknown key 'training.epoch'; did you mean 'training.epochs'?"},
        {"epochs=3", "--set epochs=3: unknown key 'epochs'; did you mean 'training.epochs'?"},
        {"trainig.epochs=3", "unknown key 'trainig'; did you mean 'training'?"},
        {"training.epochs=many", "--set training.epochs=many: 'training.epochs' must be a whole number of at least 1, "
                                 "got 'many'"},
        {"training.epochs=", "must be a whole number of at least 1, got nothing"},
        {"training.epochs", "--set training.epochs: expected KEY=VALUE"},
        {"=3", "expected KEY=VALUE"},
        {"training=3", "'training' must be a section of keys"},
        {"training.epochs=[", "--set training.epochs=[: this is not YAML"},
        {"training.epochs=!!int 3", "tags (!) are not allowed"},
        {"model.parameters.depth=[1]", "'model.parameters.depth' must be a number or a text"},
        {"training.epochs.x=1", "unknown key 'training.epochs'"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const char *const settings[] = {cases[i][0], NULL};
        NC_CHECK(!parse(MINIMAL, settings));
        NC_CHECK_CONTAINS(nacre_message(ctx), cases[i][1]);
        NC_CHECK(nacre_check(ctx) == NACRE_ERROR_FORMAT || nacre_check(ctx) == NACRE_ERROR_ARGUMENT);
        nacre_clear(ctx);
    }
}

static void bad_recipes_are_refused(void)
{
    static const char *const cases[][2] = {
        {"", "recipes/a.yaml:1: there is nothing in it"},
        {"# only this\n", "there is nothing in it"},
        {"- a\n", "recipes/a.yaml:1: a recipe must be a section of keys"},
        {"just text\n", "a recipe must be a section of keys"},
        {"data:\n  source: x\n  sorce: y\n", "a.yaml:3: unknown key 'data.sorce'; did you mean 'data.source'?"},
        {"dta:\n", "a.yaml:1: unknown key 'dta'; did you mean 'data'?"},
        {"\nepochs: 3\n", "a.yaml:2: unknown key 'epochs'; did you mean 'training.epochs'?"},
        {"output:\n  qqqqqqqqqq: 3\n", "a.yaml:2: unknown key 'output.qqqqqqqqqq'; there are folder, report"},
        {"data: [1]\n", "a.yaml:1: 'data' must be a section of keys"},
        {"data:\n  source: [a]\n", "a.yaml:2: 'data.source' must be a name or path, got a list"},
        {"data:\n  source:\n", "a.yaml:2: 'data.source' must be a name or path, got nothing"},
        {"data:\n  limit: -1\n", "'data.limit' must be a whole number of at least 0, got '-1'"},
        {"data:\n  limit: 1.5\n", "'data.limit' must be a whole number of at least 0, got '1.5'"},
        {"data:\n  limit: \"1\"\n", "must be a whole number of at least 0, got \"1\""},
        {"data:\n  limit: 1e300\n", "must be a whole number of at least 0, got '1e300'"},
        {"data:\n  validation: 2\n", "'data.validation' must be a number from 0 to 0.9, got '2'"},
        {"data:\n  shuffle: yes\n", "'data.shuffle' must be true or false, got 'yes'"},
        {"data:\n  transforms: flip\n", "'data.transforms' must be a list of steps, got 'flip'"},
        {"data:\n  transforms:\n    - horizontal_flip\n    - b; c\n",
         "a.yaml:4: 'data.transforms' must be a list of steps, got 'b; c'"},
        {"training:\n  metrics:\n    - accuracy\n    - acuracy\n",
         "a.yaml:4: 'training.metrics' cannot be 'acuracy'; did you mean 'accuracy'?"},
        {"training:\n  metrics: [blub]\n", "'training.metrics' must be a list of accuracy, balanced_accuracy, "},
        {"data:\n  classes:\n    - a\n    - {b: c}\n",
         "a.yaml:4: 'data.classes' must be a list of names, got a section"},
        {"optimizer:\n  name: adm\n", "a.yaml:2: 'optimizer.name' cannot be 'adm'; did you mean 'adam'?"},
        {"optimizer:\n  name: newton\n", "'optimizer.name' must be one of sgd, adam, adamw, nadam, radam, adamax, "
                                         "adagrad, adadelta, rmsprop, lars, larc, lamb, lion, muon, got 'newton'"},
        {"optimizer:\n  learning_rate: 0\n", "'optimizer.learning_rate' must be a number above 0, or auto, got '0'"},
        {"optimizer:\n  learning_rate: nan\n", "must be a number above 0, or auto, got 'nan'"},
        {"optimizer:\n  eps: 2\n", "'optimizer.eps' must be a number above 0 and at most 1, got '2'"},
        {"optimizer:\n  betas: [0.9]\n", "'optimizer.betas' must be two numbers from 0 to 0.999999, got a list"},
        {"optimizer:\n  betas: [0.9, 1]\n", "'optimizer.betas' must be two numbers"},
        {"model:\n  parameters: [1]\n", "'model.parameters' must be names with a number or text each, got a list"},
        {"model:\n  parameters:\n    a:\n      b: 1\n", "a.yaml:3: 'model.parameters.a' must be a number or a text"},
        {"data:\n  limit: 1\n  limit: 2\n", "a.yaml:3: key 'limit' is there twice"},
        {"data: &x\n  limit: 1\n", "a.yaml:1: anchors (&), aliases (*) and tags (!) are not allowed"},
        {"data: *x\n", "a.yaml:1: anchors (&), aliases (*)"},
        {"data:\n  limit: !!int 1\n", "a.yaml:2: anchors (&), aliases (*)"},
        {"data: {limit: 1}\n---\ndata: {limit: 2}\n", "a.yaml:2: a second document begins"},
        {"data: {limit: 1\n", "this is not YAML"},
        {"data:\n\tlimit: 1\n", "a.yaml:2: this is not YAML"},
        {"\xff\xfe\n", "this is not YAML"},
        {"[a]: 1\n", "a.yaml:1: a key must be a text"},
        {"name: \"a\\0b\"\n", "a text has a 0 character"},
        {"data: {source: mnist}\n", "recipes/a.yaml: 'model' is missing"},
        {"model: {zoo: x}\n", "recipes/a.yaml: 'data.source' is missing"},
        {"data: {source: x}\nmodel:\n  zoo: x\n  file: y\n", "a.yaml:3: 'model.zoo' stands beside model.file"},
        {"data: {source: x}\nmodel: {zoo: x}\noptimizer: {nesterov: true}\n",
         "a.yaml:3: 'optimizer.nesterov' needs optimizer.momentum"},
        {"data: {source: x}\nmodel: {zoo: x}\nschedule: {warmup_steps: 1, warmup_epochs: 1}\n",
         "a.yaml:3: 'schedule.warmup_steps' stands beside schedule.warmup_epochs"},
        {"data: {source: x}\nmodel: {zoo: x}\ntraining: {batch_size: 8, accumulate: 12}\n",
         "a.yaml:3: 'training.accumulate' must be a multiple of training.batch_size, which is 8"},
        {"data: {source: x}\nmodel: {zoo: x}\nschedule: {min_rate: 5}\n", "is larger than optimizer.learning_rate"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        NC_CHECK(!parse(cases[i][0], NULL));
        NC_CHECK_FAILED(ctx, NACRE_ERROR_FORMAT, cases[i][1]);
    }
}

static void steps_within_brackets(void)
{
    nacre_recipe *r =
        parse("data: {source: x, transforms: [random_crop(28, padding=2), horizontal_flip, 'resize(8, 8)']}\n"
              "model: {zoo: x}\n",
              NULL);
    NC_CHECK_OK(ctx);
    NC_REQUIRE(r);
    NC_CHECK_TEXT(r->data.transforms, "random_crop(28, padding=2); horizontal_flip; resize(8, 8)");
    nacre_recipe_destroy(r);
}

static void transforms_and_metrics_are_checked(void)
{
    NC_CHECK(!parse("data:\n  transforms:\n    - horizontal_flip\n    - random_corp(3)\n", NULL));
    NC_CHECK_CONTAINS(nacre_message(ctx), "random_crop");
    NC_CHECK_FAILED(ctx, NACRE_ERROR_NOT_FOUND, "recipes/a.yaml:4: 'data.transforms': ");
    const char *const settings[] = {"training.metrics=[top5, top10, accuracy]", NULL};
    nacre_recipe *r = parse(MINIMAL, settings);
    NC_CHECK_OK(ctx);
    nacre_recipe_destroy(r);
    NC_CHECK(!parse("training: {metrics: [top0]}\n", NULL));
    NC_CHECK_FAILED(ctx, NACRE_ERROR_FORMAT, "'top0'");
    NC_CHECK(!parse("training: {metrics: [top5x]}\n", NULL));
    NC_CHECK_FAILED(ctx, NACRE_ERROR_FORMAT, "'top5x'");
}

static void bombs_are_refused(void)
{
    nacre_buffer text = nacre_buffer_create(ctx);
    for (int i = 0; i < 100; i++) nacre_buffer_put(&text, "[", 1);
    NC_CHECK(!nacre_recipe_parse(ctx, text.data, text.size, NULL, NULL));
    NC_CHECK_FAILED(ctx, NACRE_ERROR_FORMAT, "recipe:1: nested more than 32 levels deep");
    nacre_buffer_clear(&text);
    nacre_buffer_put(&text, "[", 1);
    for (int i = 0; i < 11000; i++) nacre_buffer_put(&text, "1,", 2);
    nacre_buffer_put(&text, "]", 1);
    NC_CHECK(!nacre_recipe_parse(ctx, text.data, text.size, NULL, NULL));
    NC_CHECK_FAILED(ctx, NACRE_ERROR_FORMAT, "more than 10000 entries");
    while (text.size <= 1 << 20) nacre_buffer_put(&text, "# no end of it\n", 15);
    NC_CHECK(!nacre_recipe_parse(ctx, text.data, text.size, NULL, NULL));
    NC_CHECK_FAILED(ctx, NACRE_ERROR_FORMAT, "larger than 1048576 bytes");
    nacre_buffer_destroy(&text);
}

static void users_fail_in_the_same_manner(void)
{
    nacre_recipe *r = parse("data: {source: x}\nmodel: {zoo: x}\ntraining:\n  loss: mse\n", NULL);
    NC_REQUIRE(r);
    nacre_recipe_fail(r, "training.loss", NACRE_ERROR_NOT_FOUND, "cannot be '%s'", r->training.loss);
    NC_CHECK_FAILED(ctx, NACRE_ERROR_NOT_FOUND, "recipes/a.yaml:4: 'training.loss' cannot be 'mse'");
    nacre_recipe_fail(r, "training.epochs", NACRE_ERROR_ARGUMENT, "is too large");
    NC_CHECK_FAILED(ctx, NACRE_ERROR_ARGUMENT, "recipes/a.yaml: 'training.epochs' is too large");
    nacre_recipe_destroy(r);
}

static void files_are_loaded(void)
{
    nacre_make_directories(ctx, nc_file("sub"));
    const char text[] = "data: {source: data/x.csv}\nmodel: {file: m.nacre}\n";
    nacre_file_write(ctx, nc_file("sub/my.recipe.yaml"), text, sizeof text - 1);
    nacre_recipe *r = nacre_recipe_load(ctx, nc_file("sub/my.recipe.yaml"), NULL);
    NC_CHECK_OK(ctx);
    NC_REQUIRE(r);
    NC_CHECK_TEXT(r->name, "my.recipe");
    NC_CHECK_TEXT(r->data.source, nc_file("sub/data/x.csv"));
    NC_CHECK_TEXT(r->model.file, nc_file("sub/m.nacre"));
    char *printed = print(r, false);
    NC_CHECK_TEXT(printed, "data:\n  source: data/x.csv\nmodel:\n  file: m.nacre\n");
    nacre_release(ctx, printed);
    nacre_recipe_destroy(r);
    const char named[] = "data: {source: tabular_classics/iris}\nmodel: {file: m.nacre}\n";
    nacre_file_write(ctx, nc_file("sub/named.yaml"), named, sizeof named - 1);
    r = nacre_recipe_load(ctx, nc_file("sub/named.yaml"), NULL);
    NC_REQUIRE(r);
    NC_CHECK_TEXT(r->data.source, "tabular_classics/iris"); /* a name, wherever the recipe lies */
    nacre_recipe *copy = nacre_recipe_copy(r, NULL);
    NC_REQUIRE(copy);
    NC_CHECK_TEXT(copy->data.source, "tabular_classics/iris");
    nacre_recipe_destroy(copy);
    nacre_recipe_destroy(r);
    NC_CHECK(!nacre_recipe_load(ctx, nc_file("none.yaml"), NULL));
    NC_CHECK_FAILED(ctx, NACRE_ERROR_NOT_FOUND, "none.yaml");
}

static void keys_can_be_listed(void)
{
    nacre_buffer text = nacre_buffer_create(ctx);
    nacre_recipe_key key;
    int count = 0;
    for (; nacre_recipe_key_at(count, &key, &text); count++) {
        NC_CHECK(key.path && *key.path && key.value && *key.value && key.doc && *key.doc);
        if (strcmp(key.path, "training.epochs") == 0) {
            NC_CHECK_TEXT(key.value, "a whole number of at least 1");
            NC_CHECK_TEXT(key.fallback, "10");
        }
    }
    NC_CHECK(count > 40);
    NC_CHECK(!nacre_recipe_key_at(-1, &key, &text));
    nacre_buffer_destroy(&text);
}

static void the_reference_is_current(void)
{
    nacre_buffer text = nacre_buffer_create(ctx);
    nacre_recipe_document(&text);
    char *file = nacre_file_read(ctx, nc_source("docs/recipes.md"), 0, NULL);
    NC_CHECK_OK(ctx);
    if (!file || strcmp(file, text.data) != 0) {
        if (getenv("NACRE_UPDATE")) nacre_file_write(ctx, nc_source("docs/recipes.md"), text.data, text.size);
        NC_COMPLAIN("docs/recipes.md is not what the table of keys says; run this test with NACRE_UPDATE=1");
    }
    nacre_release(ctx, file);
    nacre_buffer_destroy(&text);
}

static void the_recipes_of_the_house_load(void)
{
    static const char *const names[] = {"mnist", "fashion-mnist", "glyphs"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        char path[64];
        snprintf(path, sizeof path, "recipes/%s.yaml", names[i]);
        nacre_recipe *r = nacre_recipe_load(ctx, nc_source(path), NULL);
        NC_CHECK_OK(ctx);
        NC_REQUIRE(r);
        NC_CHECK_TEXT(r->name, names[i]);
        NC_CHECK(r->target && r->target[0].is_number);
        nacre_recipe_destroy(r);
    }
}

static bool parse_and_print(nacre_context *context, void *user)
{
    const char *const *settings = user;
    nacre_recipe *r = nacre_recipe_parse(context, FULL, sizeof FULL - 1, "a.yaml", settings);
    if (!r) return false;
    bool done = nacre_recipe_set(r, "training.epochs=4") == NACRE_OK;
    nacre_buffer text = nacre_buffer_create(context);
    done = nacre_recipe_print(r, true, &text) == NACRE_OK && done;
    nacre_buffer_destroy(&text);
    nacre_recipe_destroy(r);
    return done;
}

static void every_allocation_may_fail(void)
{
    const char *const settings[] = {"model.parameters.depth=3", "optimizer.betas=[0.1, 0.2]", NULL};
    nc_fail_each_allocation(parse_and_print, (void *)(uintptr_t)settings);
}

int main(void)
{
    ctx = nacre_context_create(NULL);
    NC_RUN(defaults_are_there);
    NC_RUN(values_are_read);
    NC_RUN(printing_comes_back);
    NC_RUN(any_text_survives);
    NC_RUN(overrides_come_last);
    NC_RUN(overrides_say_what_is_wrong);
    NC_RUN(bad_recipes_are_refused);
    NC_RUN(steps_within_brackets);
    NC_RUN(transforms_and_metrics_are_checked);
    NC_RUN(bombs_are_refused);
    NC_RUN(users_fail_in_the_same_manner);
    NC_RUN(files_are_loaded);
    NC_RUN(keys_can_be_listed);
    NC_RUN(the_reference_is_current);
    NC_RUN(the_recipes_of_the_house_load);
    NC_RUN(every_allocation_may_fail);
    nacre_context_destroy(ctx);
    return nc_report();
}

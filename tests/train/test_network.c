/* Saved models: they predict without anything else, every damage is noticed, and weights of other systems come in by
 * name. */
#include "runs.h"

static const char RECIPE[] = "data:\n"
                             "  source: glyphs\n"
                             "  count: 60\n"
                             "  transforms: [resize(8), scale(1/255), standardise]\n"
                             "model:\n"
                             "  text: |\n"
                             "    model tiny(classes=10, width=2)\n"
                             "      input x f32[N, 1, 8, 8]\n"
                             "      conv1 = conv2d(x, width, 3)\n"
                             "      bn1 = batch_norm(conv1)\n"
                             "      h = relu(bn1)\n"
                             "      h = max_pool(h, 2)\n"
                             "      h = flatten(h)\n"
                             "      fc = linear(h, classes)\n"
                             "      return fc\n"
                             "    end\n"
                             "  parameters: {width: 3}\n"
                             "optimizer: {name: adamw, learning_rate: 0.02}\n"
                             "training: {epochs: 2, batch_size: 16, seed: 3}\n"
                             "output: {report: false}\n";

static nacre_context *ctx;

/* ---- one experiment for all tests ---- */

typedef struct trained {
    nacre_recipe *recipe;
    nacre_experiment experiment;
    nacre_experiment_result result;
} trained;

static trained all;

static void train(void)
{
    all.recipe = nacre_recipe_parse(ctx, RECIPE, strlen(RECIPE), "test.yaml", NULL);
    NC_REQUIRE(all.recipe);
    NC_REQUIRE(nacre_experiment_open(ctx, all.recipe, NULL, nc_file("run"), &all.experiment) == NACRE_OK);
    NC_CHECK_INT(nacre_experiment_run(ctx, &all.experiment, NULL, &all.result), NACRE_OK);
    NC_CHECK_OK(ctx);
    NC_CHECK_INT(all.experiment.parameters, 3 * 9 + 3 + 6 + 3 * 16 * 10 + 10);
}

static const char *saved(void)
{
    return nc_file("run/model.safetensors");
}

static nacre_evaluation evaluate(nacre_network *network, nacre_dataset *dataset)
{
    nacre_evaluation evaluation = {0};
    nacre_evaluate(ctx,
                   &(nacre_evaluate_options){.model = nacre_network_model(network),
                                             .build = nacre_network_build,
                                             .user = network,
                                             .dataset = dataset,
                                             .transforms = nacre_network_transforms(network),
                                             .batch_size = 16},
                   &evaluation);
    return evaluation;
}

/* ---- what a file holds ---- */

static void a_file_is_enough(void)
{
    nacre_network *network = nacre_network_load(ctx, saved());
    NC_REQUIRE(network);
    NC_CHECK(nc_same_models(nacre_network_model(network), nacre_network_model(all.experiment.network)));
    NC_CHECK_INT(nacre_network_class_count(network), 10);
    NC_CHECK_TEXT(nacre_network_class(network, 7), "7");
    NC_CHECK(!nacre_network_class(network, 10));
    NC_CHECK_TEXT(nacre_network_input(network)->name, "image");
    NC_CHECK(nacre_shape_equal(nacre_network_input(network)->shape, NACRE_SHAPE(1, 8, 8)));
    NC_CHECK_CONTAINS(nacre_network_text(network), "model tiny(classes=10, width=3)");
    NC_CHECK_CONTAINS(nacre_network_metadata(network, "nacre.recipe"), "learning_rate: 0.02");
    NC_CHECK_CONTAINS(nacre_network_metadata(network, "nacre.figures"), "\"test.accuracy\": ");
    nacre_evaluation test = evaluate(network, all.experiment.test);
    NC_CHECK(test.samples == all.result.test.samples && test.loss == all.result.test.loss);
    NC_CHECK(nacre_metrics_value(test.metrics, 0) == nacre_metrics_value(all.result.test.metrics, 0));
    nacre_metrics_destroy(test.metrics);
    nacre_network_destroy(network);
    NC_CHECK_OK(ctx);
}

/* The weights in the file are the best ones: what the log says about the validation comes out again. */
static void the_best_epoch_is_saved(void)
{
    nacre_network *network = nacre_network_load(ctx, saved());
    nacre_evaluation validation = evaluate(network, all.experiment.validation);
    NC_CHECK(nacre_metrics_value(validation.metrics, 0) == all.result.fit.best_value);
    nacre_metrics_destroy(validation.metrics);
    nacre_network_destroy(network);
    NC_CHECK_OK(ctx);
}

static nacre_dataset *named_classes(const char *const *names)
{
    nacre_array images = {NACRE_U8, NACRE_SHAPE(2, 9, 9), nacre_allocate_aligned(ctx, 2 * 81)};
    nacre_array labels = {NACRE_I64, NACRE_SHAPE(2), nacre_allocate_aligned(ctx, 2 * sizeof(int64_t))};
    memset(images.data, 100, 2 * 81);
    memset(labels.data, 0, 2 * sizeof(int64_t));
    return nacre_dataset_from_arrays(ctx, "named", &images, &labels, NULL, &(nacre_dataset_options){.labels = names});
}

static void data_must_fit(void)
{
    nacre_network *network = nacre_network_load(ctx, saved());
    nacre_dataset *stripes = nc_stripes(ctx, 6, 1, 3), *many = nc_stripes(ctx, 12, 1, 12);
    nacre_dataset *named = named_classes((const char *const[]){"0", "one", NULL});
    NC_CHECK_INT(nacre_network_check_data(network, all.experiment.test), NACRE_OK);
    NC_CHECK_INT(nacre_network_check_data(network, stripes), NACRE_OK); /* "0", "1", "2"; resized */
    nacre_network_check_data(network, many);
    NC_CHECK_FAILED(ctx, NACRE_ERROR_ARGUMENT, "the data has 12 classes, the model 10");
    nacre_network_check_data(network, named);
    NC_CHECK_FAILED(ctx, NACRE_ERROR_ARGUMENT, "class 1 is \"one\" in the data and \"1\" in the model");
    nacre_dataset_destroy(named);
    nacre_dataset_destroy(stripes);
    nacre_dataset_destroy(many);
    nacre_network_destroy(network);
}

/* ---- damage ---- */

/* Whether the bytes load as a network that is the saved one in everything that counts. */
static bool loads_unharmed(const void *bytes, size_t size, const nacre_network *whole)
{
    const char *path = nc_file("damaged.safetensors");
    FILE *file = fopen(path, "wb"); /* thousands of files need not be synced */
    if (!file || fwrite(bytes, 1, size, file) != size || fclose(file) != 0) return false;
    nacre_network *network = nacre_network_load(ctx, path);
    bool same =
        network && nc_same_models(nacre_network_model(network), nacre_network_model(whole)) &&
        !strcmp(nacre_network_text(network), nacre_network_text(whole)) &&
        !strcmp(nacre_network_metadata(network, "nacre.transforms"), nacre_network_metadata(whole, "nacre.transforms"));
    if (network && !same) NC_COMPLAIN("a damaged file was loaded");
    if (!network && !*nacre_message(ctx)) NC_COMPLAIN("a damaged file was refused without a message");
    nacre_clear(ctx);
    nacre_network_destroy(network);
    return same;
}

static void every_flipped_bit_is_noticed(void)
{
    size_t size;
    unsigned char *bytes = (unsigned char *)nacre_file_read(ctx, saved(), 0, &size);
    nacre_network *whole = nacre_network_load(ctx, saved());
    NC_REQUIRE(bytes && whole);
    int harmless = 0;
    for (size_t i = 0; i < size; i += 3) {
        unsigned char mask = (unsigned char)(1 << (i * 7 / 3 % 8));
        bytes[i] ^= mask;
        harmless += loads_unharmed(bytes, size, whole);
        bytes[i] ^= mask;
    }
    NC_CHECK(harmless <= 10); /* those in the name under which the checksum stands */
    NC_CHECK(loads_unharmed(bytes, size, whole));
    nacre_network_destroy(whole);
    nacre_release(ctx, bytes);
}

static void every_cut_is_noticed(void)
{
    size_t size;
    char *bytes = nacre_file_read(ctx, saved(), 0, &size);
    nacre_network *whole = nacre_network_load(ctx, saved());
    NC_REQUIRE(bytes && whole);
    for (size_t cut = 0; cut < size; cut += cut < 32 ? 1 : 61)
        if (loads_unharmed(bytes, cut, whole)) NC_COMPLAIN("%zu of %zu bytes were enough", cut, size);
    NC_CHECK(!loads_unharmed(bytes, size - 1, whole));
    nacre_network_destroy(whole);
    nacre_release(ctx, bytes);
}

static void the_message_names_file_and_reason(void)
{
    size_t size;
    char *bytes = nacre_file_read(ctx, saved(), 0, &size);
    NC_REQUIRE(bytes);
    bytes[size - 3] ^= 4; /* in a weight */
    nacre_file_write(ctx, nc_file("flipped.safetensors"), bytes, size);
    NC_CHECK(!nacre_network_load(ctx, nc_file("flipped.safetensors")));
    NC_CHECK_CONTAINS(nacre_message(ctx), "flipped.safetensors' was damaged");
    NC_CHECK_FAILED(ctx, NACRE_ERROR_FORMAT, "checksum");
    nacre_file_write(ctx, nc_file("cut.safetensors"), bytes, size / 2);
    NC_CHECK(!nacre_network_load(ctx, nc_file("cut.safetensors")));
    NC_CHECK_FAILED(ctx, NACRE_ERROR_FORMAT, "cut.safetensors'");
    NC_CHECK(!nacre_network_load(ctx, nc_file("none.safetensors")));
    NC_CHECK_FAILED(ctx, NACRE_ERROR_NOT_FOUND, "none.safetensors': No such file");
    NC_CHECK(!nacre_network_load(ctx, nc_folder()));
    NC_CHECK_FAILED(ctx, NACRE_ERROR_IO, "Is a directory");
    nacre_release(ctx, bytes);
}

/* The command, where the test knows it, refuses the network as it is now. */
static void predict_fails(const nacre_network *network, const char *message)
{
    static const char *const keys[] = {"nacre.model", "nacre.transforms", "nacre.classes", "nacre.input"};
    nacre_text_pair pairs[4];
    const char *command = getenv("NACRE"), *model = nc_file("odd.safetensors"), *picture = nc_file("grey.pgm");
    char line[4096], pixels[11 + 64] = "P5 8 8 255\n";
    if (!command) return;
    for (int i = 0; i < 4; i++) pairs[i] = (nacre_text_pair){keys[i], nacre_network_metadata(network, keys[i])};
    nacre_model_save(nacre_network_model(network), model, false, pairs, 4);
    nacre_file_write(ctx, picture, pixels, sizeof pixels);
    snprintf(line, sizeof line, "'%s' predict '%s' '%s' 2>'%s'", command, model, picture, nc_file("stderr"));
    NC_CHECK_INT(WEXITSTATUS(system(line)), 1);
    char *told = nacre_file_read(ctx, nc_file("stderr"), 0, NULL);
    NC_CHECK_CONTAINS(told, message);
    nacre_release(ctx, told);
    NC_CHECK_OK(ctx);
}

/* Weights that are not finite are not damage that a checksum can see; the loss shows them. */
static void infinite_outputs_are_refused(void)
{
    nacre_network *network = nacre_network_load(ctx, saved());
    nacre_model *model = nacre_network_model(network);
    float *bias = nacre_model_write(model, nacre_model_find(model, "fc.bias"));
    NC_REQUIRE(bias);
    bias[3] = INFINITY;
    nacre_evaluation evaluation = evaluate(network, all.experiment.test);
    NC_CHECK(!evaluation.metrics);
    NC_CHECK_FAILED(ctx, NACRE_ERROR_NUMERIC,
                    "the loss is not finite (evaluation, batch 1): first in parameter \"fc.bias\"");
    predict_fails(network, "output 3 of the model is not finite");
    nacre_network_destroy(network);
}

/* ---- weights of other systems ---- */

/* A file as safetensors.torch.save_file writes it: `entries` without the braces, then floats 0, 1, 2, ... */
static const char *torch_file(const char *entries, int bytes)
{
    const char *path = nc_file("torch.safetensors");
    char header[1024];
    float values[64];
    int length = snprintf(header, sizeof header, "{\"__metadata__\":{\"format\":\"pt\"},%s}", entries);
    while (length % 8) header[length++] = ' ';
    const uint64_t size = (uint64_t)length;
    for (int i = 0; i < 64; i++) values[i] = (float)i;
    nacre_writer *writer = nacre_writer_open(ctx, path);
    nacre_writer_put(writer, &size, sizeof size);
    nacre_writer_put(writer, header, (size_t)length);
    nacre_writer_put(writer, values, (size_t)bytes);
    nacre_writer_commit(writer);
    return path;
}

static nacre_tensor *small_model(void *user, nacre_scope s, nacre_tensor *const *inputs, int input_count)
{
    (void)user;
    (void)input_count;
    nacre_tensor *x = nacre_batch_norm(nacre_in(s, "bn"), inputs[0], NULL);
    return nacre_linear(nacre_in(s, "fc"), x, 2, NULL);
}

static nacre_model *small(void)
{
    nacre_model *model = nacre_model_create(ctx);
    nacre_graph *graph = nacre_graph_create(ctx);
    nacre_tensor *x = nacre_input(graph, "x", NACRE_F32, NACRE_SHAPE(1, 3));
    NC_CHECK(small_model(NULL, nacre_root(graph, model, false), &x, 1) != NULL);
    nacre_graph_destroy(graph);
    return model;
}

#define BN                                                                                                             \
    "\"bn.weight\":{\"dtype\":\"F32\",\"shape\":[3],\"data_offsets\":[0,12]},"                                         \
    "\"bn.bias\":{\"dtype\":\"F32\",\"shape\":[3],\"data_offsets\":[12,24]},"                                          \
    "\"bn.running_mean\":{\"dtype\":\"F32\",\"shape\":[3],\"data_offsets\":[24,36]},"                                  \
    "\"bn.running_var\":{\"dtype\":\"F32\",\"shape\":[3],\"data_offsets\":[36,48]},"
#define COUNTER    "\"bn.num_batches_tracked\":{\"dtype\":\"I64\",\"shape\":[],\"data_offsets\":[48,56]},"
#define FC_WEIGHT  "\"fc.weight\":{\"dtype\":\"F32\",\"shape\":[2,3],\"data_offsets\":[56,80]},"
#define FC_BIAS    "\"fc.bias\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[80,88]}"
#define ONE_MORE   ",\"extra.bias\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[88,96]}"
#define TRANSPOSED "\"fc.weight\":{\"dtype\":\"F32\",\"shape\":[3,2],\"data_offsets\":[56,80]},"
#define WHOLE_BIAS "\"fc.bias\":{\"dtype\":\"I32\",\"shape\":[2],\"data_offsets\":[80,88]}"
#define HALF_BIAS  "\"fc.bias\":{\"dtype\":\"F16\",\"shape\":[2],\"data_offsets\":[80,84]}"

/* Loads into a built model; on failure its weights must be the old ones. */
static void load_torch(const char *entries, int bytes, nacre_status status, const char *message)
{
    nacre_model *model = small(), *before = small();
    nacre_safetensors *file = nacre_safetensors_open(ctx, torch_file(entries, bytes));
    NC_REQUIRE(file);
    nacre_model_load(model, file);
    if (status) {
        NC_CHECK_FAILED(ctx, status, message);
        NC_CHECK(nc_same_models(model, before));
    } else {
        nacre_entry entry;
        NC_CHECK_OK(ctx);
        NC_CHECK(nacre_model_entry(model, nacre_model_find(model, "fc.weight"), &entry));
        NC_CHECK(((const float *)entry.data)[5] == 19);
        NC_CHECK(nacre_model_entry(model, nacre_model_find(model, "bn.running_mean"), &entry));
        NC_CHECK(((const float *)entry.data)[0] == 6 && entry.role == NACRE_ENTRY_BUFFER);
        NC_CHECK_INT(nacre_model_count(model), 6);
        NC_CHECK(nacre_model_frozen(model));
    }
    nacre_safetensors_close(file);
    nacre_model_destroy(model);
    nacre_model_destroy(before);
}

static void weights_load_by_name(void)
{
    load_torch(BN COUNTER FC_WEIGHT FC_BIAS, 88, NACRE_OK, NULL);
    load_torch(BN COUNTER FC_WEIGHT HALF_BIAS, 84, NACRE_OK, NULL);
    load_torch(BN COUNTER FC_WEIGHT FC_BIAS ONE_MORE, 96, NACRE_ERROR_NOT_FOUND,
               "has \"extra.bias\", which the model has not");
    load_torch(BN COUNTER "\"fc.weight\":{\"dtype\":\"F32\",\"shape\":[2,3],\"data_offsets\":[56,80]}", 80,
               NACRE_ERROR_NOT_FOUND, "the model has \"fc.bias\", which '");
    load_torch(BN COUNTER TRANSPOSED FC_BIAS, 88, NACRE_ERROR_SHAPE, "\"fc.weight\" is [3, 2], the model's is [2, 3]");
    load_torch(BN COUNTER FC_WEIGHT WHOLE_BIAS, 88, NACRE_ERROR_DTYPE,
               "\"fc.bias\" is of type i32, the model's of type f32");
}

/* Into an empty model everything comes, with the roles that the names tell; then the model is closed. */
static void weights_load_into_nothing(void)
{
    nacre_model *model = nacre_model_create(ctx);
    nacre_safetensors *file = nacre_safetensors_open(ctx, torch_file(BN COUNTER FC_WEIGHT FC_BIAS, 88));
    nacre_entry entry;
    NC_CHECK_INT(nacre_model_load(model, file), NACRE_OK);
    NC_CHECK_INT(nacre_model_count(model), 6);
    NC_CHECK(nacre_model_entry(model, nacre_model_find(model, "bn.running_var"), &entry));
    NC_CHECK_INT(entry.role, NACRE_ENTRY_BUFFER);
    nacre_graph *graph = nacre_graph_create(ctx);
    nacre_tensor *x = nacre_input(graph, "x", NACRE_F32, NACRE_SHAPE(1, 3));
    NC_CHECK(!nacre_linear(nacre_in(nacre_root(graph, model, false), "fc9"), x, 2, NULL));
    NC_CHECK_FAILED(ctx, NACRE_ERROR_NOT_FOUND, "\"fc9.weight\" is not in the loaded model");
    nacre_graph_destroy(graph);
    nacre_safetensors_close(file);
    nacre_model_destroy(model);
}

static void weights_alone_are_no_network(void)
{
    NC_CHECK(!nacre_network_load(ctx, torch_file(BN COUNTER FC_WEIGHT FC_BIAS, 88)));
    NC_CHECK_FAILED(ctx, NACRE_ERROR_FORMAT, "has weights but no model text");
}

/* What the training remembers is taken or dropped, and never of another shape. */
static void state_must_fit(void)
{
    nacre_model *model = small();
    int slot = nacre_model_add(model, NACRE_ENTRY_STATE, "optimizer.exp_avg.fc.bias", NACRE_F32, NACRE_SHAPE(2));
    nacre_entry entry;
    nacre_model_entry(model, slot, &entry);
    ((float *)nacre_model_write(model, slot))[1] = 5;
    nacre_model_save(model, nc_file("state.safetensors"), true, NULL, 0);
    ((float *)nacre_model_write(model, slot))[1] = 6;
    nacre_safetensors *file = nacre_safetensors_open(ctx, nc_file("state.safetensors"));
    nacre_model *other = small();
    nacre_model_add(other, NACRE_ENTRY_STATE, "optimizer.exp_avg.fc.bias", NACRE_F32, NACRE_SHAPE(1));
    nacre_model_load(other, file);
    NC_CHECK_FAILED(ctx, NACRE_ERROR_SHAPE, "\"optimizer.exp_avg.fc.bias\" is [2], the model's is [1]");
    NC_CHECK_INT(nacre_model_load(model, file), NACRE_OK);
    NC_CHECK(((const float *)entry.data)[1] == 5);
    nacre_safetensors_close(file);
    nacre_model_save(model, nc_file("state.safetensors"), false, NULL, 0);
    file = nacre_safetensors_open(ctx, nc_file("state.safetensors"));
    NC_CHECK_INT(nacre_model_load(model, file), NACRE_OK);
    NC_CHECK(((const float *)entry.data)[1] == 0);
    nacre_safetensors_close(file);
    nacre_model_destroy(model);
    nacre_model_destroy(other);
    NC_CHECK_OK(ctx);
}

int main(void)
{
    ctx = nacre_context_create(&(nacre_context_options){.threads = 1});
    NC_RUN(train);
    if (nc_failures) return nc_report();
    NC_RUN(a_file_is_enough);
    NC_RUN(the_best_epoch_is_saved);
    NC_RUN(data_must_fit);
    NC_RUN(every_flipped_bit_is_noticed);
    NC_RUN(every_cut_is_noticed);
    NC_RUN(the_message_names_file_and_reason);
    NC_RUN(infinite_outputs_are_refused);
    NC_RUN(weights_load_by_name);
    NC_RUN(weights_load_into_nothing);
    NC_RUN(weights_alone_are_no_network);
    NC_RUN(state_must_fit);
    nacre_metrics_destroy(all.result.test.metrics);
    nacre_release(ctx, all.result.model_path);
    nacre_experiment_close(&all.experiment);
    nacre_recipe_destroy(all.recipe);
    nacre_context_destroy(ctx);
    return nc_report();
}

/* Layers: names, shapes, initial values, running statistics, freezing. */
#include "test.h"

#include <nacre/nacre.h>

static nacre_context *ctx;
static nacre_graph *graph;
static nacre_model *model;

static void open_all(void)
{
    ctx = nacre_context_create(NULL);
    graph = nacre_graph_create(ctx);
    model = nacre_model_create(ctx);
    nacre_model_set_seed(model, 42);
}

static void close_all(void)
{
    nacre_graph_destroy(graph);
    nacre_model_destroy(model);
    nacre_context_destroy(ctx);
}

static void names_and_shapes_are_pytorchs(void)
{
    open_all();
    nacre_scope s = nacre_root(graph, model, true);
    nacre_tensor *x = nacre_input(graph, "x", NACRE_F32, NACRE_SHAPE(2, 3, 8, 8));
    nacre_tensor *h = nacre_conv2d(nacre_in(nacre_at(nacre_in(s, "layer1"), 0), "conv1"), x, 16, 3, NULL);
    h = nacre_batch_norm(nacre_in(s, "bn1"), h, NULL);
    h = nacre_linear(nacre_in(s, "fc"), nacre_flatten(h, 1), 10, NULL);
    NC_CHECK_INT(nacre_tensor_dim(h, 1), 10);
    const struct {
        const char *path;
        nacre_shape shape;
        nacre_entry_role role;
    } expected[] = {{"layer1.0.conv1.weight", NACRE_SHAPE(16, 3, 3, 3), NACRE_ENTRY_PARAMETER},
                    {"layer1.0.conv1.bias", NACRE_SHAPE(16), NACRE_ENTRY_PARAMETER},
                    {"bn1.weight", NACRE_SHAPE(16), NACRE_ENTRY_PARAMETER},
                    {"bn1.bias", NACRE_SHAPE(16), NACRE_ENTRY_PARAMETER},
                    {"bn1.running_mean", NACRE_SHAPE(16), NACRE_ENTRY_BUFFER},
                    {"bn1.running_var", NACRE_SHAPE(16), NACRE_ENTRY_BUFFER},
                    {"fc.weight", NACRE_SHAPE(10, 1024), NACRE_ENTRY_PARAMETER},
                    {"fc.bias", NACRE_SHAPE(10), NACRE_ENTRY_PARAMETER}};
    NC_CHECK_INT(nacre_model_count(model), 8);
    for (int i = 0; i < 8; i++) {
        nacre_entry entry;
        NC_REQUIRE(nacre_model_entry(model, nacre_model_find(model, expected[i].path), &entry));
        NC_CHECK(nacre_shape_equal(entry.shape, expected[i].shape));
        NC_CHECK(entry.role == expected[i].role);
    }
    close_all();
}

/* Mean and deviation of what an initialiser draws. */
static void check_moments(nacre_init init, nacre_shape shape, double mean, double deviation, double bound)
{
    static float data[1 << 16];
    int64_t count = nacre_shape_count(shape);
    double sum = 0, squares = 0, largest = 0;
    NC_CHECK(nacre_initialise(ctx, init, 7, "w", NACRE_F32, shape, data) == NACRE_OK);
    for (int64_t i = 0; i < count; i++) {
        sum += data[i];
        squares += (double)data[i] * data[i];
        largest = fmax(largest, fabs(data[i]));
    }
    double got = sum / (double)count, spread = sqrt(squares / (double)count - got * got);
    NC_CHECK_NEAR(got, mean, 5 * deviation / sqrt((double)count) + 1e-12);
    NC_CHECK_NEAR(spread, deviation, 0.03 * deviation + 1e-12);
    NC_CHECK(largest <= bound);
}

static void initialisers_have_their_moments(void)
{
    open_all();
    nacre_shape shape = NACRE_SHAPE(256, 16, 3, 3); /* fan_in 144, fan_out 2304 */
    check_moments((nacre_init){NACRE_INIT_CONSTANT, 0.5, 0}, shape, 0.5, 0, 0.5);
    check_moments((nacre_init){NACRE_INIT_UNIFORM, -1, 3}, shape, 1, 4 / sqrt(12), 3);
    check_moments((nacre_init){NACRE_INIT_NORMAL, 0.1, 2}, shape, 0.1, 2, 12);
    check_moments((nacre_init){NACRE_INIT_TRUNCATED_NORMAL, 0, 1}, shape, 0, 0.8796, 2);
    check_moments((nacre_init){NACRE_INIT_XAVIER_UNIFORM, 0, 0}, shape, 0, sqrt(2.0 / 2448), sqrt(6.0 / 2448));
    check_moments((nacre_init){NACRE_INIT_XAVIER_NORMAL, 0, 0}, shape, 0, sqrt(2.0 / 2448), 1);
    check_moments((nacre_init){NACRE_INIT_KAIMING_UNIFORM, 0, 0}, shape, 0, sqrt(2.0 / 144), sqrt(6.0 / 144));
    check_moments((nacre_init){NACRE_INIT_KAIMING_NORMAL, 0, 0}, shape, 0, sqrt(2.0 / 144), 1);
    check_moments((nacre_init){NACRE_INIT_KAIMING_NORMAL, 0, 1}, shape, 0, sqrt(2.0 / 2304), 1);
    close_all();
}

static void orthogonal_rows_are_orthonormal(void)
{
    static double data[20 * 30];
    open_all();
    for (int tall = 0; tall < 2; tall++) {
        int rows = tall ? 30 : 20, columns = tall ? 20 : 30, n = 20;
        NC_CHECK(nacre_initialise(ctx, (nacre_init){NACRE_INIT_ORTHOGONAL, 2, 0}, 7, "w", NACRE_F64,
                                  NACRE_SHAPE(rows, columns), data) == NACRE_OK);
        for (int i = 0; i < n; i++)
            for (int j = 0; j < n; j++) {
                double dot = 0;
                for (int k = 0; k < 30; k++)
                    dot += tall ? data[k * 20 + i] * data[k * 20 + j] : data[i * 30 + k] * data[j * 30 + k];
                NC_CHECK_NEAR(dot, i == j ? 4 : 0, 1e-12);
            }
    }
    close_all();
}

static void values_depend_on_seed_and_path_only(void)
{
    float values[3][4];
    for (int i = 0; i < 3; i++) {
        open_all();
        if (i == 2) nacre_model_set_seed(model, 43);
        nacre_scope s = nacre_root(graph, model, true);
        if (i == 1)
            nacre_parameter(nacre_in(s, "other"), "weight", NACRE_SHAPE(5), (nacre_init){NACRE_INIT_NORMAL, 0, 1});
        nacre_parameter(nacre_in(s, "one"), "weight", NACRE_SHAPE(4), (nacre_init){NACRE_INIT_NORMAL, 0, 1});
        nacre_entry entry;
        NC_REQUIRE(nacre_model_entry(model, nacre_model_find(model, "one.weight"), &entry));
        memcpy(values[i], entry.data, sizeof values[i]);
        close_all();
    }
    NC_CHECK(!memcmp(values[0], values[1], sizeof values[0]));
    NC_CHECK(memcmp(values[0], values[2], sizeof values[0]) != 0);
}

static void running_statistics_follow_the_batches(void)
{
    open_all();
    nacre_tensor *x = nacre_input(graph, "x", NACRE_F32, NACRE_SHAPE(4, 1));
    nacre_tensor *y = nacre_batch_norm(nacre_in(nacre_root(graph, model, true), "bn"), x, NULL);
    nacre_output(y);
    const float values[4] = {1, 2, 3, 6}; /* mean 3, biased variance 3.5, unbiased 14/3 */
    nacre_feed(x, values);
    NC_CHECK(nacre_run(graph) == NACRE_OK);
    nacre_entry entry;
    nacre_model_entry(model, nacre_model_find(model, "bn.running_mean"), &entry);
    NC_CHECK_NEAR(*(float *)entry.data, 0.3, 1e-6);
    nacre_model_entry(model, nacre_model_find(model, "bn.running_var"), &entry);
    NC_CHECK_NEAR(*(float *)entry.data, 0.9 + 0.1 * 14 / 3, 1e-6);
    float got[4];
    nacre_read(y, got, sizeof got);
    NC_CHECK_NEAR(got[3], 3 / sqrt(3.5 + 1e-5), 1e-5);

    nacre_graph_reset(graph); /* evaluation uses what was gathered */
    x = nacre_input(graph, "x", NACRE_F32, NACRE_SHAPE(4, 1));
    y = nacre_batch_norm(nacre_in(nacre_root(graph, model, false), "bn"), x, NULL);
    nacre_output(y);
    nacre_feed(x, values);
    NC_CHECK(nacre_run(graph) == NACRE_OK);
    nacre_read(y, got, sizeof got);
    NC_CHECK_NEAR(got[3], (6 - 0.3) / sqrt(0.9 + 1.4 / 3 + 1e-5), 1e-5);
    close_all();
}

static void frozen_models_refuse_fresh_weights(void)
{
    open_all();
    nacre_tensor *x = nacre_input(graph, "x", NACRE_F32, NACRE_SHAPE(2, 3));
    nacre_scope s = nacre_root(graph, model, false);
    nacre_linear(nacre_in(s, "fc1"), x, 4, NULL);
    nacre_model_freeze(model, true);
    NC_CHECK(nacre_linear(nacre_in(s, "fc1"), x, 4, NULL) != NULL);
    NC_CHECK(nacre_linear(nacre_in(s, "fc2"), x, 4, NULL) == NULL);
    NC_CHECK_CONTAINS(nacre_message(ctx), "\"fc2.weight\" is not in the loaded model");
    nacre_clear(ctx);
    NC_CHECK(nacre_linear(nacre_in(s, "fc1"), x, 5, NULL) == NULL);
    NC_CHECK_CONTAINS(nacre_message(ctx), "\"fc1.weight\" is [4, 3] in the model, this layer needs [5, 3]");
    close_all();
}

int main(void)
{
    NC_RUN(names_and_shapes_are_pytorchs);
    NC_RUN(initialisers_have_their_moments);
    NC_RUN(orthogonal_rows_are_orthonormal);
    NC_RUN(values_depend_on_seed_and_path_only);
    NC_RUN(running_statistics_follow_the_batches);
    NC_RUN(frozen_models_refuse_fresh_weights);
    return nc_report();
}

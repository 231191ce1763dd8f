/* Costs of nodes, and profiles: what is counted, what is added up, what the trace says. */
#include "support.h"

#include <nacre/backend.h>
#include <nacre/nacre.h>

static nacre_context *ctx;

/* y = relu(x w), as two nodes or one. */
static nacre_tensor *build(nacre_graph *graph, nacre_tensor **x, nacre_tensor **w)
{
    *x = nacre_input(graph, "x", NACRE_F32, NACRE_SHAPE(6, 5));
    *w = nacre_input(graph, "w", NACRE_F32, NACRE_SHAPE(5, 4));
    nacre_graph_set_path(graph, "the \"layer\"");
    nacre_tensor *y = nacre_matmul(*x, *w, false, false);
    nacre_output(y);
    return y;
}

static void products_and_convolutions_are_counted(void)
{
    nacre_graph *graph = nacre_graph_create(ctx);
    nacre_tensor *x, *w, *y = build(graph, &x, &w);
    nacre_cost cost = nacre_graph_cost(graph);
    NC_CHECK_NEAR(cost.operations, 2 * 6 * 5 * 4, 0);
    NC_CHECK_NEAR(cost.bytes, 4 * (6 * 5 + 5 * 4 + 6 * 4), 0);
    nacre_tensor *gradients[2];
    nacre_gradients(nacre_sum(y, NULL), (nacre_tensor *[]){x, w}, 2, gradients);
    NC_CHECK_NEAR(nacre_graph_cost(graph).operations, 3 * 2 * 6 * 5 * 4, 0);

    nacre_graph_reset(graph); /* 2 pictures, 3 to 8 channels in 1 group of 3x3, stride 2: 4x4 positions */
    x = nacre_input(graph, "x", NACRE_F32, NACRE_SHAPE(2, 3, 8, 8));
    w = nacre_input(graph, "w", NACRE_F32, NACRE_SHAPE(8, 3, 3, 3));
    const nacre_conv_options options = {.stride = {2, 2}, .padding = {1, 1}};
    y = nacre_conv_with(x, w, NULL, &options);
    NC_CHECK_NEAR(nacre_graph_cost(graph).operations, 2.0 * 2 * 8 * 16 * 27, 0);
    nacre_gradients(nacre_sum(y, NULL), (nacre_tensor *[]){x, w}, 2, gradients);
    NC_CHECK_NEAR(nacre_graph_cost(graph).operations, 3 * 2.0 * 2 * 8 * 16 * 27, 0);
    NC_CHECK_OK(ctx);
    nacre_graph_destroy(graph);
}

static void updates_write_what_they_read(void)
{
    nacre_graph *graph = nacre_graph_create(ctx);
    nacre_model *model = nacre_model_create(ctx);
    nacre_tensor *tensors[4];
    static const char *const names[] = {"p", "g", "m", "v"};
    for (int i = 0; i < 4; i++)
        tensors[i] = nacre_model_tensor(
            graph, model, nacre_model_add(model, NACRE_ENTRY_STATE, names[i], NACRE_F32, NACRE_SHAPE(1000)));
    nacre_tensor *rate = nacre_input(graph, "rate", NACRE_F32, NACRE_SCALAR);
    nacre_tensor *step = nacre_input(graph, "step", NACRE_I64, NACRE_SCALAR);
    const nacre_update_operands operands = {.count = 1,
                                            .weights = tensors,
                                            .gradients = tensors + 1,
                                            .state = tensors + 2,
                                            .learning_rate = rate,
                                            .step = step};
    nacre_adamw_update(&operands, &(nacre_update_options){0});
    NC_CHECK_NEAR(nacre_graph_cost(graph).bytes, 7 * 4000, 40); /* and the scalars */
    NC_CHECK_OK(ctx);
    nacre_graph_destroy(graph);
    nacre_model_destroy(model);
}

static void a_profile_adds_up(void)
{
    static const float x_data[30], w_data[20];
    nacre_graph *graph = nacre_graph_create(ctx);
    nacre_profile *profile = nacre_profile_create(ctx);
    nacre_profile_row row;
    nacre_tensor *x, *w;
    build(graph, &x, &w);
    nacre_feed(x, x_data);
    nacre_feed(w, w_data);
    nacre_run(graph);
    NC_CHECK(!nacre_profile_at(profile, 0, &row));
    nacre_profile_start(profile);
    for (int i = 0; i < 3; i++) nacre_run(graph);
    nacre_profile_stop(profile);
    nacre_run(graph);
    NC_CHECK_INT(nacre_profile_runs(profile), 3);
    NC_REQUIRE(nacre_profile_at(profile, 0, &row));
    NC_CHECK_TEXT(row.op, "matmul");
    NC_CHECK_INT(row.calls, 3);
    NC_CHECK_NEAR(row.operations, 3 * 2 * 6 * 5 * 4, 0);
    NC_CHECK(row.seconds > 0 && row.least <= row.seconds / 3 && row.seconds <= nacre_profile_seconds(profile));
    NC_CHECK(!nacre_profile_at(profile, 1, &row));
    const nacre_ceiling ceiling = {.operations = row.operations / row.seconds * 2, .bytes = 1e30};
    NC_CHECK_NEAR(nacre_profile_share(&row, &ceiling), 0.5, 1e-12);
    nacre_buffer text = nacre_buffer_create(ctx);
    NC_CHECK_INT(nacre_profile_print(profile, &ceiling, &text), NACRE_OK);
    NC_CHECK_CONTAINS(text.data, "50%");
    nacre_buffer_destroy(&text);
    NC_CHECK_OK(ctx);
    nacre_profile_destroy(profile);
    nacre_graph_destroy(graph);
}

static void the_trace_is_json(void)
{
    static const float x_data[30], w_data[20];
    nacre_graph *graph = nacre_graph_create(ctx);
    nacre_profile *profile = nacre_profile_create(ctx);
    nacre_tensor *x, *w;
    build(graph, &x, &w);
    nacre_feed(x, x_data);
    nacre_feed(w, w_data);
    nacre_profile_start(profile);
    nacre_run(graph);
    const char *path = nc_file("trace.json");
    NC_CHECK_INT(nacre_profile_write_trace(profile, path), NACRE_OK);
    size_t size = 0;
    char *text = nacre_file_read(ctx, path, 1 << 20, &size);
    NC_CHECK_CONTAINS(text, "\"traceEvents\":[");
    NC_CHECK_CONTAINS(text, "\"name\":\"matmul\",\"args\":{\"layer\":\"the \\\"layer\\\"\",\"shapes\":\"6x5 5x4\"");
    nacre_release(ctx, text);
    NC_CHECK(nacre_profile_write_trace(profile, nc_file("no/such/folder/trace.json")) != NACRE_OK);
    nacre_clear(ctx);
    nacre_profile_destroy(profile); /* while it collects */
    nacre_run(graph);
    NC_CHECK_OK(ctx);
    nacre_graph_destroy(graph);
}

static void ceilings_are_measured(void)
{
    nacre_ceiling ceiling;
    NC_CHECK_INT(nacre_ceiling_measure(ctx, &ceiling), NACRE_OK);
    NC_CHECK(ceiling.operations > 0 && ceiling.bytes > 0);
}

int main(void)
{
    ctx = nacre_context_create(NULL);
    NC_RUN(products_and_convolutions_are_counted);
    NC_RUN(updates_write_what_they_read);
    NC_RUN(a_profile_adds_up);
    NC_RUN(the_trace_is_json);
    NC_RUN(ceilings_are_measured);
    nacre_context_destroy(ctx);
    return nc_report();
}

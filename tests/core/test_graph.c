/* Graphs, gradients, plans: the machinery rather than the operations. */
#include "test.h"

#include <nacre/backend.h>
#include <nacre/nacre.h>

#include <string.h>

static const float X[6] = {1, -2, 3, -4, 5, -6};

/* y = sum(relu(x w)^2), by hand. */
static void gradients_of_a_small_chain(void)
{
    nacre_context *ctx = nacre_context_create(NULL);
    nacre_graph *g = nacre_graph_create(ctx);
    nacre_tensor *x = nacre_input(g, "x", NACRE_F32, NACRE_SHAPE(2, 3));
    nacre_tensor *w = nacre_input(g, "w", NACRE_F32, NACRE_SHAPE(3, 2));
    nacre_tensor *h = nacre_relu(nacre_matmul(x, w, false, false));
    nacre_tensor *loss = nacre_sum(nacre_mul(h, h), NULL);
    nacre_tensor *dw;
    NC_CHECK(nacre_gradients(loss, &w, 1, &dw) == NACRE_OK);
    nacre_output(loss);
    nacre_output(dw);
    const float weights[6] = {1, 0, 0, 1, 1, 1};
    nacre_feed(x, X);
    nacre_feed(w, weights);
    NC_CHECK(nacre_run(g) == NACRE_OK);
    /* x w = [[4, 1], [-10, -1]]: loss 17, d = 2 [[4, 1], [0, 0]], dw = x^T d */
    NC_CHECK(nacre_read_scalar(loss) == 17);
    float grads[6];
    NC_CHECK(nacre_read(dw, grads, sizeof grads) == NACRE_OK);
    const float expected[6] = {8, 2, -16, -4, 24, 6};
    for (int i = 0; i < 6; i++) NC_CHECK(grads[i] == expected[i]);
    NC_CHECK(nacre_check(ctx) == NACRE_OK);
    nacre_graph_destroy(g);
    nacre_context_destroy(ctx);
}

/* f = sum(x^3): f' = 3 x^2, f'' = 6 x, f''' = 6. */
static void derivatives_of_derivatives(void)
{
    nacre_context *ctx = nacre_context_create(NULL);
    nacre_graph *g = nacre_graph_create(ctx);
    nacre_tensor *x = nacre_input(g, "x", NACRE_F32, NACRE_SHAPE(6));
    nacre_tensor *d[4] = {nacre_mul(x, nacre_mul(x, x))};
    for (int i = 1; i < 4; i++) nacre_gradients(nacre_sum(d[i - 1], NULL), &x, 1, &d[i]);
    for (int i = 0; i < 4; i++) nacre_output(d[i]);
    nacre_feed(x, X);
    NC_CHECK(nacre_run(g) == NACRE_OK);
    for (int order = 1; order < 4; order++) {
        float got[6];
        nacre_read(d[order], got, sizeof got);
        for (int i = 0; i < 6; i++) NC_CHECK(got[i] == (order == 1 ? 3 * X[i] * X[i] : order == 2 ? 6 * X[i] : 6));
    }
    nacre_graph_destroy(g);
    nacre_context_destroy(ctx);
}

static void plans_are_found_again(void)
{
    nacre_context *ctx = nacre_context_create(NULL);
    nacre_graph *g = nacre_graph_create(ctx);
    nacre_plan_info info;
    for (int round = 0; round < 5; round++) {
        nacre_graph_reset(g);
        nacre_tensor *x = nacre_input(g, "x", NACRE_F32, NACRE_SHAPE(round == 3 ? 2 : 6));
        nacre_tensor *y = nacre_sum(nacre_mul(x, x), NULL);
        nacre_output(y);
        nacre_feed(x, X);
        NC_CHECK(nacre_run(g) == NACRE_OK);
        NC_CHECK(nacre_read_scalar(y) == (round == 3 ? 5 : 91));
    }
    nacre_plan(g, &info);
    NC_CHECK(info.misses == 2);
    NC_CHECK(info.hits == 3);
    nacre_graph_destroy(g);
    nacre_context_destroy(ctx);
}

static void state_changes_are_seen_in_order(void)
{
    nacre_context *ctx = nacre_context_create(NULL);
    nacre_model *model = nacre_model_create(ctx);
    int slot = nacre_model_add(model, NACRE_ENTRY_PARAMETER, "w", NACRE_F32, NACRE_SHAPE(6));
    memcpy(nacre_model_write(model, slot), X, sizeof X);
    nacre_graph *g = nacre_graph_create(ctx);
    nacre_tensor *w = nacre_model_tensor(g, model, slot);
    nacre_tensor *before = nacre_sum(nacre_mul(w, w), NULL);
    nacre_assign(w, nacre_add(w, w));
    nacre_tensor *after = nacre_sum(nacre_mul(w, w), NULL);
    nacre_output(before);
    nacre_output(after);
    NC_CHECK(nacre_run(g) == NACRE_OK);
    NC_CHECK(nacre_read_scalar(before) == 91);
    NC_CHECK(nacre_read_scalar(after) == 4 * 91);
    nacre_graph_destroy(g);
    nacre_model_destroy(model);
    nacre_context_destroy(ctx);
}

static void count_once(void *user, const nacre_plan_step *step)
{
    *(int *)user += step->once;
}

/* What follows from the parameters alone is kept between runs, and made again when they have changed: through a
 * pointer, by another plan, or because another model stands in the same place. */
static void steady_values_follow_the_parameters(void)
{
    nacre_context *ctx = nacre_context_create(&(nacre_context_options){.threads = 1});
    nacre_model *models[2] = {nacre_model_create(ctx), nacre_model_create(ctx)};
    nacre_graph *uses[2], *changes = nacre_graph_create(ctx);
    nacre_tensor *results[2];
    int slot = 0, steps = 0;
    for (int i = 0; i < 2; i++) {
        slot = nacre_model_add(models[i], NACRE_ENTRY_PARAMETER, "w", NACRE_F32, NACRE_SHAPE(6));
        memcpy(nacre_model_write(models[i], slot), X, sizeof X);
        uses[i] = nacre_graph_create(ctx);
        nacre_tensor *x = nacre_input(uses[i], "x", NACRE_F32, NACRE_SHAPE(6));
        nacre_tensor *w = nacre_model_tensor(uses[i], models[i], slot);
        nacre_output(results[i] = nacre_sum(nacre_add(nacre_mul(x, nacre_sum(nacre_mul(w, w), NULL)), x), NULL));
        nacre_feed(x, X);
    }
    nacre_tensor *w = nacre_model_tensor(changes, models[0], slot);
    nacre_assign(w, nacre_add(w, w));
    NC_CHECK(nacre_plan_visit(uses[0], count_once, &steps) == NACRE_OK);
    NC_CHECK(steps > 0);
    const double sum = -3;
    for (int round = 0; round < 2; round++) {
        NC_CHECK(nacre_run(uses[0]) == NACRE_OK);
        NC_CHECK(nacre_read_scalar(results[0]) == sum * 92);
    }
    ((float *)nacre_model_write(models[0], slot))[0] = 2;
    NC_CHECK(nacre_run(uses[0]) == NACRE_OK);
    NC_CHECK(nacre_read_scalar(results[0]) == sum * 95);
    NC_CHECK(nacre_run(uses[1]) == NACRE_OK);
    NC_CHECK(nacre_read_scalar(results[1]) == sum * 92);
    NC_CHECK(nacre_run(changes) == NACRE_OK);
    NC_CHECK(nacre_run(uses[0]) == NACRE_OK);
    NC_CHECK(nacre_read_scalar(results[0]) == sum * (4 * 94 + 1));
    for (int i = 0; i < 2; i++) {
        nacre_graph_destroy(uses[i]);
        nacre_model_destroy(models[i]);
    }
    nacre_graph_destroy(changes);
    nacre_context_destroy(ctx);
}

static void memory_is_reused(void)
{
    nacre_context *ctx = nacre_context_create(NULL);
    nacre_graph *g = nacre_graph_create(ctx);
    nacre_tensor *x = nacre_input(g, "x", NACRE_F32, NACRE_SHAPE(1024, 16)), *y = x;
    for (int i = 0; i < 20; i++)
        y = nacre_matmul(nacre_reshape(y, NACRE_SHAPE(64, 16, 16)),
                         nacre_full(g, NACRE_F32, NACRE_SHAPE(16, 16), 0.0625), false, false);
    nacre_output(y);
    nacre_plan_info info;
    NC_CHECK(nacre_plan(g, &info) == NACRE_OK);
    NC_CHECK(info.unpacked_bytes >= 20 * 65536);
    NC_CHECK(info.activation_bytes - info.workspace_bytes <= 2 * 65536);
    nacre_graph_destroy(g);
    nacre_context_destroy(ctx);
}

static void mistakes_are_named(void)
{
    nacre_context *ctx = nacre_context_create(NULL);
    nacre_graph *g = nacre_graph_create(ctx);
    nacre_tensor *x = nacre_input(g, "x", NACRE_F32, NACRE_SHAPE(2, 3));
    nacre_graph_set_path(g, "fc1");
    NC_CHECK(nacre_matmul(x, x, false, false) == NULL);
    NC_CHECK(strstr(nacre_message(ctx), "matmul \"fc1\": input has 3 features, weight expects 2"));
    NC_CHECK(nacre_relu(nacre_add(x, NULL)) == NULL);
    nacre_clear(ctx);
    nacre_tensor *y = nacre_relu(x);
    nacre_output(y);
    NC_CHECK(nacre_run(g) == NACRE_ERROR_STATE);
    NC_CHECK(strstr(nacre_message(ctx), "input \"x\" has no data"));
    nacre_clear(ctx);
    NC_CHECK(nacre_gradients(y, &x, 1, &y) == NACRE_ERROR_SHAPE);
    nacre_graph_destroy(g);
    nacre_context_destroy(ctx);
}

int main(void)
{
    NC_RUN(gradients_of_a_small_chain);
    NC_RUN(derivatives_of_derivatives);
    NC_RUN(plans_are_found_again);
    NC_RUN(state_changes_are_seen_in_order);
    NC_RUN(steady_values_follow_the_parameters);
    NC_RUN(memory_is_reused);
    NC_RUN(mistakes_are_named);
    return nc_report();
}

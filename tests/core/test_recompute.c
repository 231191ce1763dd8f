/* Memory for time: with nacre_graph_recompute a training step needs less memory and leaves the same bits. */
#include "support.h"

/* So many samples that activations weigh more than gradients. */
enum { BLOCKS = 16, BATCH = 512, WIDTH = 32, STEPS = 3 };

typedef struct outcome {
    nacre_model *model;
    nacre_plan_info info;
    double losses[STEPS];
} outcome;

static nacre_tensor *residual_block(nacre_scope s, nacre_tensor *x)
{
    nacre_tensor *h = nacre_batch_norm(nacre_in(s, "bn"), x, NULL);
    h = nacre_linear(nacre_in(s, "fc1"), nacre_relu(h), 2 * WIDTH, NULL);
    h = nacre_dropout(nacre_in(s, "dropout"), nacre_gelu(h), 0.1);
    h = nacre_linear(nacre_in(s, "fc2"), h, WIDTH, NULL);
    return nacre_add(x, h);
}

static outcome train(nacre_context *context, int segments)
{
    outcome result = {.model = nacre_model_create(context)};
    nacre_graph *graph = nacre_graph_create(context);
    nacre_scope root = nacre_root(graph, result.model, true);
    nacre_tensor *x = nacre_input(graph, "x", NACRE_F32, NACRE_SHAPE(BATCH, WIDTH)), *h = x;
    for (int i = 0; i < BLOCKS; i++) {
        char name[16];
        snprintf(name, sizeof name, "block%d", i);
        h = residual_block(nacre_in(root, name), h);
    }
    nacre_tensor *loss = nacre_mean(nacre_mul(h, h), NULL);
    nacre_tensor *rate = nacre_input(graph, "rate", NACRE_F32, NACRE_SCALAR);
    nacre_tensor *step = nacre_input(graph, "step", NACRE_I64, NACRE_SCALAR);
    nacre_minimise(loss, result.model, &(nacre_optimizer){.kind = NACRE_OPTIMIZER_ADAM},
                   &(nacre_step_inputs){.learning_rate = rate, .step = step});
    nacre_output(loss);
    nacre_graph_recompute(graph, segments);
    float *values = nacre_allocate(context, sizeof(float) * BATCH * WIDTH);
    for (int i = 0; values && i < BATCH * WIDTH; i++) values[i] = sinf((float)i);
    nacre_feed(x, values);
    nacre_feed_scalar(rate, 1e-3);
    nacre_tensor *seed = nacre_seed(graph, false);
    for (int i = 0; i < STEPS; i++) {
        nacre_feed_scalar(step, i + 1);
        nacre_feed_scalar(seed, i);
        NC_CHECK_INT(nacre_run(graph), NACRE_OK);
        result.losses[i] = nacre_read_scalar(loss);
    }
    NC_CHECK_INT(nacre_plan(graph, &result.info), NACRE_OK);
    NC_CHECK_TEXT(nacre_message(context), "");
    nacre_release(context, values);
    nacre_graph_destroy(graph);
    return result;
}

static void check_same(const outcome *a, const outcome *b)
{
    nacre_entry x, y;
    for (int i = 0; i < STEPS; i++) NC_CHECK(a->losses[i] == b->losses[i]);
    NC_CHECK_INT(nacre_model_count(a->model), nacre_model_count(b->model));
    for (int slot = 0; nacre_model_entry(a->model, slot, &x) && nacre_model_entry(b->model, slot, &y); slot++)
        if (memcmp(x.data, y.data, (size_t)nacre_shape_count(x.shape) * nacre_dtype_size(x.dtype)))
            NC_COMPLAIN("%s has other bits", x.path);
}

/* Weights, moments, and running statistics, which must be updated once a step. */
static void less_memory_and_the_same_bits(void)
{
    nacre_context *context = nacre_context_create(NULL);
    outcome kept = train(context, 0);
    const int segments[] = {NACRE_RECOMPUTE_AUTO, 2, 4, 8, 1000};
    for (size_t i = 0; i < sizeof segments / sizeof *segments; i++) {
        outcome repeated = train(context, segments[i]);
        check_same(&kept, &repeated);
        NC_CHECK(repeated.info.activation_bytes < kept.info.activation_bytes);
        NC_CHECK(repeated.info.nodes > kept.info.nodes);
        if (segments[i] == NACRE_RECOMPUTE_AUTO)
            NC_CHECK(repeated.info.activation_bytes < kept.info.activation_bytes / 2);
        nacre_model_destroy(repeated.model);
    }
    nacre_model_destroy(kept.model);
    nacre_context_destroy(context);
}

/* Without a gradient there is nothing to compute again. */
static void a_forward_graph_stays_as_it_is(void)
{
    nacre_context *context = nacre_context_create(NULL);
    nacre_graph *graph = nacre_graph_create(context);
    nacre_tensor *x = nacre_input(graph, "x", NACRE_F32, NACRE_SHAPE(8));
    nacre_plan_info kept, repeated;
    nacre_output(nacre_softmax(nacre_mul(x, x), 0));
    NC_CHECK_INT(nacre_plan(graph, &kept), NACRE_OK);
    nacre_graph_recompute(graph, 4);
    NC_CHECK_INT(nacre_plan(graph, &repeated), NACRE_OK);
    NC_CHECK_INT(repeated.nodes, kept.nodes);
    NC_CHECK_INT(repeated.activation_bytes, kept.activation_bytes);
    nacre_graph_destroy(graph);
    nacre_context_destroy(context);
}

static bool plan_once(nacre_context *context, void *user)
{
    (void)user;
    nacre_graph *graph = nacre_graph_create(context);
    nacre_tensor *x = nacre_input(graph, "x", NACRE_F32, NACRE_SHAPE(4, 4)), *h = x, *gradient;
    for (int i = 0; i < 4; i++) h = nacre_add(h, nacre_tanh(nacre_matmul(h, x, false, false)));
    nacre_gradients(nacre_sum(h, NULL), &x, 1, &gradient);
    nacre_output(gradient);
    nacre_graph_recompute(graph, 3);
    nacre_plan_info info;
    bool done = nacre_plan(graph, &info) == NACRE_OK;
    nacre_graph_destroy(graph);
    return done;
}

static void memory_that_runs_out(void)
{
    nc_fail_each_planning_allocation(plan_once, NULL);
}

int main(void)
{
    NC_RUN(less_memory_and_the_same_bits);
    NC_RUN(a_forward_graph_stays_as_it_is);
    NC_RUN(memory_that_runs_out);
    return nc_report();
}

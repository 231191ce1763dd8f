/* train/optimizer.c - gradients to weights: one fused update over all parameters. */
#include <nacre/backend.h>
#include <nacre/train.h>

#include <stdio.h>
#include <string.h>

enum { MAX_MOMENTS = 2 };

/* The parameters of a model with their gradients and moments, as tensors of one graph. */
typedef struct parameters {
    nacre_graph *graph;
    nacre_model *model;
    int count, moments;
    nacre_tensor **weights, **gradients, **state; /* state: `moments` per weight */
} parameters;

static const char *const SGD_MOMENTS[] = {"momentum_buffer"}, *const ADAM_MOMENTS[] = {"exp_avg", "exp_avg_sq"};

static int moment_names(const nacre_optimizer *optimizer, const char *const **names)
{
    bool sgd = optimizer->kind == NACRE_OPTIMIZER_SGD;
    *names = sgd ? SGD_MOMENTS : ADAM_MOMENTS;
    return sgd ? optimizer->momentum != 0 : 2;
}

/* The entry PREFIX.PATH, added with the parameter's shape if it is not there yet. */
static nacre_tensor *state_tensor(const parameters *all, const char *prefix, const char *path)
{
    char name[NACRE_PATH_SIZE + 64];
    nacre_entry entry;
    snprintf(name, sizeof name, "%s.%s", prefix, path);
    int slot = nacre_model_find(all->model, name);
    if (slot < 0 && nacre_model_entry(all->model, nacre_model_find(all->model, path), &entry))
        slot = nacre_model_add(all->model, NACRE_ENTRY_STATE, name, entry.dtype, entry.shape);
    return nacre_model_tensor(all->graph, all->model, slot);
}

static void release(parameters *all)
{
    nacre_context *context = nacre_graph_context(all->graph);
    nacre_release(context, all->weights);
    nacre_release(context, all->gradients);
    nacre_release(context, all->state);
}

/* Collects the weights; adding state entries comes later, for it may move what entries point to. */
static bool collect(parameters *all, nacre_graph *graph, nacre_model *model, int moments)
{
    nacre_context *context = nacre_graph_context(graph);
    nacre_entry entry;
    *all = (parameters){.graph = graph, .model = model, .moments = moments};
    for (int slot = 0; nacre_model_entry(model, slot, &entry); slot++)
        all->count += entry.role == NACRE_ENTRY_PARAMETER;
    size_t room = (size_t)all->count + 1;
    all->weights = nacre_allocate(context, sizeof(nacre_tensor *) * room);
    all->gradients = nacre_allocate(context, sizeof(nacre_tensor *) * room);
    all->state = nacre_allocate(context, sizeof(nacre_tensor *) * room * MAX_MOMENTS);
    if (!all->weights || !all->gradients || !all->state) return false;
    for (int slot = 0, i = 0; nacre_model_entry(model, slot, &entry); slot++)
        if (entry.role == NACRE_ENTRY_PARAMETER) all->weights[i++] = nacre_model_tensor(graph, model, slot);
    return nacre_check(context) == NACRE_OK;
}

static const char *path_of(const parameters *all, int index)
{
    nacre_entry entry;
    for (int slot = 0, i = 0; nacre_model_entry(all->model, slot, &entry); slot++)
        if (entry.role == NACRE_ENTRY_PARAMETER && i++ == index) return entry.path;
    return "";
}

static void add_state(parameters *all, const char *const *names)
{
    for (int i = 0; i < all->count; i++)
        for (int k = 0; k < all->moments; k++) {
            char prefix[48];
            snprintf(prefix, sizeof prefix, "optimizer.%s", names[k]);
            all->state[i * all->moments + k] = state_tensor(all, prefix, path_of(all, i));
        }
}

/* min(1, clip_norm / (norm + 1e-6)) */
static nacre_tensor *clip_coefficient(const parameters *all, double clip_norm)
{
    nacre_tensor *norm = nacre_global_norm(all->gradients, all->count);
    return norm ? nacre_clip_coefficient(norm, clip_norm) : NULL;
}

/* 0, which makes the update change nothing, where the loss is not finite. */
static nacre_tensor *guard(nacre_tensor *loss, nacre_tensor *scale)
{
    nacre_graph *graph = nacre_tensor_graph(loss);
    nacre_tensor *zero = nacre_full(graph, nacre_tensor_dtype(loss), NACRE_SCALAR, 0);
    nacre_tensor *one = nacre_full(graph, nacre_tensor_dtype(loss), NACRE_SCALAR, 1);
    return nacre_where(nacre_isfinite(loss), scale ? scale : one, zero);
}

static void update(parameters *all, const nacre_optimizer *optimizer, nacre_tensor *learning_rate, nacre_tensor *step,
                   nacre_tensor *scale)
{
    nacre_update_options options = {.momentum = optimizer->momentum,
                                    .dampening = optimizer->dampening,
                                    .nesterov = optimizer->nesterov,
                                    .beta1 = optimizer->beta1,
                                    .beta2 = optimizer->beta2,
                                    .eps = optimizer->eps,
                                    .weight_decay = optimizer->weight_decay};
    nacre_update_operands operands = {.count = all->count,
                                      .weights = all->weights,
                                      .gradients = all->gradients,
                                      .state = all->state,
                                      .learning_rate = learning_rate,
                                      .step = step,
                                      .scale = scale};
    switch (optimizer->kind) {
    case NACRE_OPTIMIZER_SGD: nacre_sgd_update(&operands, &options); break;
    case NACRE_OPTIMIZER_ADAM: nacre_adam_update(&operands, &options); break;
    case NACRE_OPTIMIZER_ADAMW: nacre_adamw_update(&operands, &options); break;
    }
}

nacre_status nacre_minimise(nacre_tensor *loss, nacre_model *model, const nacre_optimizer *optimizer,
                            nacre_tensor *learning_rate, nacre_tensor *step)
{
    nacre_graph *graph = nacre_tensor_graph(loss);
    parameters all;
    const char *const *names;
    if (!loss || !model || !optimizer) return NACRE_ERROR_ARGUMENT;
    if (collect(&all, graph, model, moment_names(optimizer, &names)) &&
        nacre_gradients(loss, all.weights, all.count, all.gradients) == NACRE_OK) {
        nacre_graph_set_path(graph, "optimizer");
        nacre_tensor *scale = optimizer->clip_norm > 0 ? clip_coefficient(&all, optimizer->clip_norm) : NULL;
        scale = guard(loss, scale);
        add_state(&all, names);
        update(&all, optimizer, learning_rate, step, scale);
    }
    release(&all);
    return nacre_check(nacre_graph_context(graph));
}

nacre_status nacre_accumulate_gradients(nacre_tensor *loss, nacre_model *model)
{
    nacre_graph *graph = nacre_tensor_graph(loss);
    parameters all;
    if (!loss || !model) return NACRE_ERROR_ARGUMENT;
    if (collect(&all, graph, model, 0) && nacre_gradients(loss, all.weights, all.count, all.gradients) == NACRE_OK) {
        nacre_graph_set_path(graph, "optimizer");
        for (int i = 0; i < all.count; i++) {
            nacre_tensor *sum = state_tensor(&all, "gradient", path_of(&all, i));
            nacre_assign(sum, nacre_add(sum, all.gradients[i]));
        }
    }
    release(&all);
    return nacre_check(nacre_graph_context(graph));
}

nacre_status nacre_apply_gradients(nacre_graph *graph, nacre_model *model, const nacre_optimizer *optimizer,
                                   nacre_tensor *learning_rate, nacre_tensor *step, nacre_tensor *scale)
{
    parameters all;
    const char *const *names;
    if (!graph || !model || !optimizer || !scale) return NACRE_ERROR_ARGUMENT;
    if (collect(&all, graph, model, moment_names(optimizer, &names))) {
        nacre_graph_set_path(graph, "optimizer");
        for (int i = 0; i < all.count; i++) all.gradients[i] = state_tensor(&all, "gradient", path_of(&all, i));
        if (optimizer->clip_norm > 0) { /* the norm is that of the mean gradient */
            nacre_tensor *norm = nacre_mul(nacre_global_norm(all.gradients, all.count), scale);
            scale = nacre_mul(scale, nacre_clip_coefficient(norm, optimizer->clip_norm));
        }
        add_state(&all, names);
        update(&all, optimizer, learning_rate, step, scale);
        for (int i = 0; i < all.count; i++) {
            nacre_shape shape = nacre_tensor_shape(all.gradients[i]);
            nacre_assign(all.gradients[i], nacre_full(graph, nacre_tensor_dtype(all.gradients[i]), shape, 0));
        }
    }
    release(&all);
    return nacre_check(nacre_graph_context(graph));
}

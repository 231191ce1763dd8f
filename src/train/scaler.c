/* train/scaler.c - loss scaling for f16, as state of the model and nodes of the step: torch.amp.GradScaler.
 *
 * Entries of state: "scaler.scale" (f32), "scaler.growth_tracker" (updates without overflow since the scale last
 * changed) and "scaler.skipped" (updates left out so far). They go into checkpoints, so a resumed run scales as the one
 * that was not stopped. */
#include "train/optimizer.h"
#include "train/train.h"

static const char SCALE[] = "scaler.scale", TRACKER[] = "scaler.growth_tracker", SKIPPED[] = "scaler.skipped";

static double or_default(double value, double fallback)
{
    return value != 0 ? value : fallback;
}

nacre_scaler nc_scaler_filled(const nacre_scaler *scaler)
{
    return (nacre_scaler){.initial = or_default(scaler->initial, 65536),
                          .growth = or_default(scaler->growth, 2),
                          .backoff = or_default(scaler->backoff, 0.5),
                          .interval = scaler->interval ? scaler->interval : 2000,
                          .minimum = or_default(scaler->minimum, 1)};
}

nacre_status nc_scaler_check(nacre_context *context, const nacre_scaler *scaler)
{
    const nacre_scaler all = nc_scaler_filled(scaler);
    if (all.growth > 1 && all.backoff > 0 && all.backoff < 1 && all.interval > 0 && all.minimum > 0 &&
        all.initial >= all.minimum)
        return NACRE_OK;
    return nacre_fail(
        context, NACRE_ERROR_ARGUMENT,
        "a loss scale that begins at %g, grows by %g every %lld updates, shrinks by %g and is at least %g "
        "makes no sense: growth must be above 1, backoff between 0 and 1, the interval and the minimum "
        "positive, and the initial scale not below the minimum",
        all.initial, all.growth, (long long)all.interval, all.backoff, all.minimum);
}

/* ---- state ------------------------------------------------------------------------------------------------------- */

static nacre_tensor *entry(nacre_graph *graph, nacre_model *model, const char *path, nacre_dtype dtype, double initial)
{
    int slot = nacre_model_find(model, path);
    if (slot < 0) {
        slot = nacre_model_add(model, NACRE_ENTRY_STATE, path, dtype, NACRE_SCALAR);
        void *value = nacre_model_write(model, slot);
        if (value) nacre_dtype_store(dtype, value, 0, initial);
    }
    return nacre_model_tensor(graph, model, slot);
}

static double read(const nacre_model *model, const char *path)
{
    nacre_entry found;
    if (!nacre_model_entry(model, nacre_model_find(model, path), &found)) return 0;
    return nacre_dtype_load(found.dtype, found.data, 0);
}

double nacre_scaler_scale(const nacre_model *model)
{
    return read(model, SCALE);
}

int64_t nacre_scaler_skipped(const nacre_model *model)
{
    return (int64_t)read(model, SKIPPED);
}

static nacre_tensor *scale_of(nacre_graph *graph, nacre_model *model, const nacre_scaler *scaler)
{
    return entry(graph, model, SCALE, NACRE_F32, nc_scaler_filled(scaler).initial);
}

/* ---- nodes ------------------------------------------------------------------------------------------------------- */

nacre_tensor *nacre_scale_loss(nacre_tensor *loss, nacre_model *model, const nacre_scaler *scaler)
{
    nacre_graph *graph = nacre_tensor_graph(loss);
    if (!loss || !model || !scaler) return NULL;
    nacre_tensor *scale = nacre_stop_gradient(scale_of(graph, model, scaler));
    return nacre_mul(loss, nacre_cast(scale, nacre_tensor_dtype(loss)));
}

/* The inverse is taken in double and rounded once, as GradScaler does. */
static nacre_tensor *inverse(nacre_tensor *scale, nacre_dtype dtype)
{
    nacre_tensor *one = nacre_full(nacre_tensor_graph(scale), NACRE_F64, NACRE_SCALAR, 1);
    nacre_tensor *wide = nacre_cast(scale, NACRE_F64);
    return nacre_cast(nacre_div(one, wide), dtype);
}

/* The norm of all gradients is finite exactly if each of their numbers is - up to 1e19, whose square f32 still holds;
 * sums of products of f16 numbers do not come near it. */
static nacre_tensor *gradients_are_finite(const nc_parameters *all)
{
    nacre_context *context = nacre_graph_context(all->graph);
    nacre_tensor **gradients = nacre_allocate(context, sizeof *gradients * (size_t)(all->count + 1));
    if (!gradients) return NULL;
    for (int i = 0; i < all->count; i++) gradients[i] = all->items[i].gradient;
    nacre_tensor *norm = nacre_global_norm(gradients, all->count);
    nacre_release(context, gradients);
    return norm ? nacre_isfinite(norm) : NULL;
}

nc_scaling nc_scaler_begin(nc_parameters *all, nacre_step_inputs *inputs)
{
    nacre_graph *graph = all->graph;
    nacre_tensor *scale = scale_of(graph, all->model, all->optimizer->scaler);
    nacre_tensor *skipped = entry(graph, all->model, SKIPPED, NACRE_I64, 0);
    nc_scaling scaling = {.finite = gradients_are_finite(all)};
    nacre_tensor *unscale = inverse(scale, nacre_tensor_dtype(inputs->learning_rate));
    inputs->scale = inputs->scale ? nacre_mul(inputs->scale, unscale) : unscale;
    inputs->step = nacre_sub(inputs->step, skipped);
    return scaling;
}

nacre_tensor *nc_scaler_guard(const nc_scaling *scaling, nacre_tensor *scale)
{
    nacre_tensor *zero = nacre_full(nacre_tensor_graph(scale), nacre_tensor_dtype(scale), NACRE_SCALAR, 0);
    return nacre_where(scaling->finite, scale, zero);
}

/* finite: one more clean update, and after `interval` of them the scale grows, if that is finite; else it shrinks and
 * the count begins anew. */
void nc_scaler_end(const nc_parameters *all, const nc_scaling *scaling)
{
    nacre_graph *graph = all->graph;
    const nacre_scaler rules = nc_scaler_filled(all->optimizer->scaler);
    nacre_tensor *scale = scale_of(graph, all->model, all->optimizer->scaler);
    nacre_tensor *tracker = entry(graph, all->model, TRACKER, NACRE_I64, 0);
    nacre_tensor *skipped = entry(graph, all->model, SKIPPED, NACRE_I64, 0);
    nacre_tensor *none = nacre_full(graph, NACRE_I64, NACRE_SCALAR, 0);
    nacre_tensor *one = nacre_full(graph, NACRE_I64, NACRE_SCALAR, 1);
    nacre_tensor *clean = nacre_add(tracker, one);
    nacre_tensor *full = nacre_full(graph, NACRE_I64, NACRE_SCALAR, (double)rules.interval);
    nacre_tensor *due = nacre_equal(clean, full);
    nacre_tensor *grown = nacre_mul(scale, nacre_full(graph, NACRE_F32, NACRE_SCALAR, rules.growth));
    nacre_tensor *grows = nacre_logical_and(due, nacre_isfinite(grown));
    nacre_tensor *shrunk = nacre_mul(scale, nacre_full(graph, NACRE_F32, NACRE_SCALAR, rules.backoff));
    shrunk = nacre_maximum(shrunk, nacre_full(graph, NACRE_F32, NACRE_SCALAR, rules.minimum));
    nacre_tensor *next_scale = nacre_where(scaling->finite, nacre_where(grows, grown, scale), shrunk);
    nacre_tensor *restart = nacre_logical_or(due, nacre_logical_not(scaling->finite));
    nacre_tensor *next_tracker = nacre_where(restart, none, clean);
    nacre_tensor *next_skipped = nacre_where(scaling->finite, skipped, nacre_add(skipped, one));
    nacre_assign(scale, next_scale);
    nacre_assign(tracker, next_tracker);
    nacre_assign(skipped, next_skipped);
}

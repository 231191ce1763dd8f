/* train/optimizer_extras.c - what is done to gradients before an update and to weights after it. */
#include "train/optimizer.h"

#include <math.h>

static nacre_tensor *scalar(const nc_parameters *all, double value)
{
    return nacre_full(all->graph, nacre_tensor_dtype(all->inputs->learning_rate), NACRE_SCALAR, value);
}

static nacre_tensor *times(nacre_tensor *tensor, nacre_tensor *scale)
{
    return scale ? nacre_mul(tensor, scale) : tensor;
}

/* ---- gradients ---- */

/* The factor that limits the norm of all gradients, which are still to be multiplied by `scale`. */
static nacre_tensor *norm_factor(const nc_parameters *all, nacre_tensor *scale)
{
    nacre_context *context = nacre_graph_context(all->graph);
    const nacre_optimizer *optimizer = all->optimizer;
    nacre_tensor **gradients = nacre_allocate(context, sizeof *gradients * (size_t)(all->count + 1));
    if (!gradients) return NULL;
    for (int i = 0; i < all->count; i++) gradients[i] = all->items[i].gradient;
    nacre_tensor *norm = times(nacre_global_norm(gradients, all->count), scale);
    nacre_release(context, gradients);
    if (optimizer->kind != NACRE_OPTIMIZER_LAMB) return nacre_clip_coefficient(norm, optimizer->clip_norm);
    double largest = optimizer->clip_norm > 0 ? optimizer->clip_norm : 1;
    nacre_tensor *one = scalar(all, 1);
    return nacre_div(one, nacre_maximum(one, nacre_div(norm, scalar(all, largest))));
}

/* Normal noise of variance noise / (1 + t)^0.55 at the step t from 0. */
static void add_noise(const nc_parameters *all, nacre_tensor *scale)
{
    nacre_tensor *seed = nacre_seed(all->graph, true);
    nacre_tensor *step = nacre_cast(all->inputs->step, nacre_tensor_dtype(all->inputs->learning_rate));
    nacre_tensor *fade = nacre_pow(step, scalar(all, -0.55 / 2));
    nacre_tensor *deviation = nacre_mul(fade, scalar(all, sqrt(all->optimizer->noise)));
    for (int i = 0; i < all->count; i++) {
        nc_parameter *p = &all->items[i];
        nacre_tensor *gradient = times(p->gradient, scale);
        nacre_shape shape = nacre_tensor_shape(gradient);
        int64_t stream = nacre_graph_node_count(all->graph);
        nacre_tensor *noise = nacre_draw_normal(seed, stream, nacre_tensor_dtype(gradient), shape, 0, 1);
        p->gradient = nacre_add(gradient, nacre_mul(noise, deviation));
    }
}

nacre_tensor *nc_prepare_gradients(nc_parameters *all, nacre_tensor *scale)
{
    const nacre_optimizer *optimizer = all->optimizer;
    if (optimizer->clip_value > 0) {
        for (int i = 0; i < all->count; i++) {
            nacre_tensor *gradient = times(all->items[i].gradient, scale);
            all->items[i].gradient = nacre_clamp(gradient, -optimizer->clip_value, optimizer->clip_value);
        }
        scale = NULL;
    }
    if (optimizer->clip_norm > 0 || (optimizer->kind == NACRE_OPTIMIZER_LAMB && optimizer->clip_norm == 0)) {
        nacre_tensor *factor = norm_factor(all, scale);
        scale = times(factor, scale);
    }
    if (optimizer->noise > 0) {
        add_noise(all, scale);
        scale = NULL;
    }
    return scale;
}

/* ---- Muon ---- */

/* The nearest thing to an orthogonal matrix: the quintic Newton-Schulz iteration of Jordan 2024, which takes singular
 * values to about 1. Works on the wide side, so that x x' is the smaller product. */
static nacre_tensor *orthogonal(const nc_parameters *all, nacre_tensor *x)
{
    const double a = 3.4445, b = -4.775, c = 2.0315;
    nacre_tensor *norm = nacre_maximum(nacre_global_norm(&x, 1), scalar(all, 1e-7));
    x = nacre_div(x, norm);
    for (int i = 0; i < 5; i++) {
        nacre_tensor *gram = nacre_matmul(x, x, false, true);
        nacre_tensor *square = nacre_mul(nacre_matmul(gram, gram, false, false), scalar(all, c));
        nacre_tensor *mixed = nacre_add(nacre_mul(gram, scalar(all, b)), square);
        nacre_tensor *turned = nacre_matmul(mixed, x, false, false);
        x = nacre_add(nacre_mul(x, scalar(all, a)), turned);
    }
    return x;
}

/* How long the step of a matrix is: Jordan's, or as long as that of AdamW (Liu et al. 2025). */
static double step_length(const nacre_optimizer *optimizer, double rows, double columns)
{
    return optimizer->match_rms ? 0.2 * sqrt(fmax(rows, columns)) : sqrt(fmax(1, rows / columns));
}

static void orthogonalise(const nc_parameters *all, nc_parameter *p, nacre_tensor *scale, nacre_tensor *momentum)
{
    nacre_tensor *changes = nacre_not_equal(scale, scalar(all, 0)), *zero = scalar(all, 0);
    nacre_tensor *buffer = nc_state_tensor(all, "optimizer.momentum_buffer", p, false);
    nacre_tensor *gradient = nacre_where(changes, nacre_mul(p->gradient, scale), zero);
    nacre_tensor *moved = nacre_lerp(gradient, buffer, momentum);
    nacre_assign(buffer, nacre_where(changes, moved, buffer));
    nacre_tensor *ahead = nacre_lerp(gradient, moved, momentum);
    nacre_shape shape = nacre_tensor_shape(p->weight);
    int64_t rows = shape.dims[0], columns = nacre_shape_count(shape) / (rows ? rows : 1);
    nacre_tensor *matrix = nacre_reshape(ahead, NACRE_SHAPE(rows, columns));
    if (rows > columns) matrix = nacre_transpose(matrix, (int64_t[]){1, 0});
    matrix = orthogonal(all, matrix);
    if (rows > columns) matrix = nacre_transpose(matrix, (int64_t[]){1, 0});
    double length = step_length(all->optimizer, (double)rows, (double)columns);
    nacre_tensor *direction = nacre_mul(nacre_reshape(matrix, shape), scalar(all, length));
    /* The update multiplies by the scale again. */
    p->gradient = nacre_div(direction, nacre_where(changes, scale, scalar(all, 1)));
}

void nc_orthogonalise(nc_parameters *all, nacre_tensor *scale)
{
    double momentum = all->optimizer->momentum != 0 ? all->optimizer->momentum : 0.95;
    nacre_tensor *input = all->inputs->momentum;
    for (int i = 0; i < all->count; i++)
        if (!all->items[i].vector) orthogonalise(all, &all->items[i], scale, input ? input : scalar(all, momentum));
}

/* ---- weights ---- */

void nc_limit_norms(const nc_parameters *all)
{
    for (int i = 0; i < all->count; i++) {
        const nc_parameter *p = &all->items[i];
        if (p->vector) continue;
        int64_t axes[NACRE_MAX_RANK];
        int rank = nacre_tensor_shape(p->weight).rank;
        for (int axis = 1; axis < rank; axis++) axes[axis - 1] = axis;
        const nacre_reduce_options rows = {.axes = axes, .axis_count = rank - 1, .keep = true};
        nacre_tensor *norm = nacre_sqrt(nacre_sum(nacre_mul(p->weight, p->weight), &rows));
        nacre_tensor *ratio = nacre_div(scalar(all, all->optimizer->max_norm), nacre_add(norm, scalar(all, 1e-7)));
        nacre_assign(p->weight, nacre_mul(p->weight, nacre_minimum(ratio, scalar(all, 1))));
    }
}

void nc_look_back(const nc_parameters *all, nacre_tensor *scale)
{
    nacre_context *context = nacre_graph_context(all->graph);
    const nacre_optimizer *optimizer = all->optimizer;
    nacre_tensor **pairs = nacre_allocate(context, 2 * sizeof *pairs * (size_t)(all->count + 1));
    if (!pairs) return;
    for (int i = 0; i < all->count; i++) {
        pairs[2 * i] = all->items[i].weight;
        pairs[2 * i + 1] = nc_state_tensor(all, "optimizer.slow", &all->items[i], true);
    }
    nacre_tensor *zero = nacre_full(all->graph, NACRE_I64, NACRE_SCALAR, 0);
    nacre_tensor *period = nacre_full(all->graph, NACRE_I64, NACRE_SCALAR, (double)optimizer->lookahead);
    nacre_tensor *due = nacre_equal(nacre_mod(all->inputs->step, period, false), zero);
    due = nacre_logical_and(due, nacre_not_equal(scale, scalar(all, 0)));
    double pull = optimizer->lookahead_pull != 0 ? optimizer->lookahead_pull : 0.5;
    nacre_tensor *mix = nacre_where(due, scalar(all, pull), scalar(all, 0));
    nacre_average_weights(mix, pairs, all->count, true);
    nacre_release(context, pairs);
}

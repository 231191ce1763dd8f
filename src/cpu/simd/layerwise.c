/* cpu/simd/layerwise.c - updates whose rate follows the norms of each tensor: a first pass over all pieces sums
 * squares, a second one moves the weights. Bytes an element, read + written, in f32: lars 8 + 12 read, 8 written; lamb
 * 16 + 12 read, 8 + 4 written. */
#include "cpu/simd/update.h"

/* Squares of the weights and of the gradient (lars) or direction (lamb): of each piece, behind the starts of the
 * pieces; after the first pass the place of a tensor's first piece holds those of the tensor. */
struct sums {
    double weight, other;
};

static struct sums *sums_of(const nc_pieces *pieces)
{
    return (struct sums *)(void *)(pieces->first + pieces->tensor_count + 1);
}

static size_t layer_workspace(const nacre_node_info *info)
{
    const int count = info->input_count - NC_UPDATE_FIRST;
    return nc_pieces_bytes(count, 2) +
           (size_t)nc_piece_count(info->inputs + NC_UPDATE_FIRST, count, 1) * sizeof(struct sums);
}

static void gather_sums(const nc_pieces *pieces)
{
    struct sums *sums = sums_of(pieces);
    for (int t = 0; t < pieces->tensor_count; t++)
        for (int64_t i = pieces->first[t] + 1; i < pieces->first[t + 1]; i++) {
            sums[pieces->first[t]].weight += sums[i].weight;
            sums[pieces->first[t]].other += sums[i].other;
        }
}

static struct sums tensor_sums(const nc_pieces *pieces, int tensor)
{
    return sums_of(pieces)[pieces->first[tensor]];
}

/* ---- LARS and LARC -------------------------------------------------------------------------------------------------
 */

enum { LARS_MOMENTUM, LARS_CLIP = 4 };

struct lars {
    nc_pieces pieces;
    const int64_t *attributes;
    nc_update_now now;
    float into, out, decay; /* of the tensor at hand */
};

static void lars_sums(void *user, int64_t index, int thread)
{
    (void)thread;
    const struct lars *u = user;
    const nc_piece at = nc_find_piece(&u->pieces, index);
    nc_vec weights[2] = {{0}}, gradients[2] = {{0}};
    for (int64_t i = 0, k = 0; i < at.count; i += NC_LANES, k ^= 1) {
        const int64_t lanes = nc_least(at.count - i, NC_LANES);
        const nc_vec weight = nc_get_lanes(at.data[0] + i, lanes), gradient = nc_get_lanes(at.data[1] + i, lanes);
        weights[k] = nc_fma(weight, weight, weights[k]);
        gradients[k] = nc_fma(gradient, gradient, gradients[k]);
    }
    sums_of(&u->pieces)[index] =
        (struct sums){(double)nc_sum(weights[0] + weights[1]), (double)nc_sum(gradients[0] + gradients[1])};
}

NC_ALWAYS_INLINE void lars_vector(const struct lars *u, const nc_piece *at, int64_t i, int64_t lanes)
{
    const nc_vec weight = nc_get_lanes(at->data[0] + i, lanes);
    const nc_vec scaled = nc_get_lanes(at->data[1] + i, lanes) * (float)u->now.scale;
    const nc_vec gradient = nc_fma(weight, nc_splat(u->decay), scaled);
    const nc_vec kept = nc_get_lanes(at->data[2] + i, lanes) * (float)u->now.momentum;
    const nc_vec velocity = nc_fma(gradient, nc_splat(u->into), kept);
    nc_put_lanes(at->data[2] + i, velocity, lanes);
    nc_put_lanes(at->data[0] + i, nc_fma(velocity, nc_splat(-u->out), weight), lanes);
}

static void lars_piece(void *user, int64_t index, int thread)
{
    (void)thread;
    struct lars u = *(const struct lars *)user;
    const nc_piece at = nc_find_piece(&u.pieces, index);
    const struct sums sums = tensor_sums(&u.pieces, at.tensor);
    const double rate = u.now.learning_rate;
    double factor, decay;
    nc_lars_factors(u.attributes, sqrt(sums.weight), fabs(u.now.scale) * sqrt(sums.other), rate, &factor, &decay);
    const bool clip = u.attributes[LARS_CLIP] != 0;
    u.into = (float)(clip ? factor : factor * rate);
    u.out = clip ? (float)rate : 1;
    u.decay = (float)decay;
    int64_t i = 0;
    for (; i + NC_LANES <= at.count; i += NC_LANES) lars_vector(&u, &at, i, NC_LANES);
    if (i < at.count) lars_vector(&u, &at, i, at.count - i);
}

static void run_lars(const nacre_call *call)
{
    struct lars u = {.attributes = call->attributes,
                     .now = nc_update_scalars(call, nacre_unword(call->attributes[LARS_MOMENTUM]))};
    if (u.now.scale == 0) return;
    nc_run_pieces(call, &u.pieces, 1, lars_sums);
    gather_sums(&u.pieces);
    nc_run_pieces(call, &u.pieces, 1, lars_piece);
}

/* ---- LAMB
 * ------------------------------------------------------------------------------------------------------------
 */

enum { PLAIN = NC_ADAM_WORDS };

struct lamb {
    nc_pieces pieces;
    bool plain;
    float scale, decay, beta1, take1, beta2, take2, eps, correction, root, rate;
};

NC_ALWAYS_INLINE nc_vec direction(const struct lamb *u, nc_vec weight, nc_vec first, nc_vec second)
{
    const nc_vec below = nc_fma(nc_sqrt(second), nc_splat(u->root), nc_splat(u->eps));
    return nc_fma(weight, nc_splat(u->decay), first * u->correction / below);
}

NC_ALWAYS_INLINE void lamb_sum(const struct lamb *u, const nc_piece *at, int64_t i, int64_t lanes, nc_vec sums[2])
{
    const nc_vec weight = nc_get_lanes(at->data[0] + i, lanes);
    const nc_vec gradient = nc_get_lanes(at->data[1] + i, lanes) * u->scale;
    const nc_vec first = nc_fma(nc_get_lanes(at->data[2] + i, lanes), nc_splat(u->beta1), gradient * u->take1);
    const nc_vec kept = nc_get_lanes(at->data[3] + i, lanes) * u->beta2;
    const nc_vec second = nc_fma(gradient * gradient, nc_splat(u->take2), kept);
    nc_put_lanes(at->data[2] + i, first, lanes);
    nc_put_lanes(at->data[3] + i, second, lanes);
    const nc_vec way = direction(u, weight, first, second);
    sums[0] = nc_fma(weight, weight, sums[0]);
    sums[1] = nc_fma(way, way, sums[1]);
}

static void lamb_sums(void *user, int64_t index, int thread)
{
    (void)thread;
    const struct lamb u = *(const struct lamb *)user;
    const nc_piece at = nc_find_piece(&u.pieces, index);
    nc_vec sums[2] = {{0}};
    int64_t i = 0;
    for (; i + NC_LANES <= at.count; i += NC_LANES) lamb_sum(&u, &at, i, NC_LANES, sums);
    if (i < at.count) lamb_sum(&u, &at, i, at.count - i, sums); /* beyond the end both terms are 0 */
    sums_of(&u.pieces)[index] = (struct sums){(double)nc_sum(sums[0]), (double)nc_sum(sums[1])};
}

NC_ALWAYS_INLINE void lamb_vector(const struct lamb *u, const nc_piece *at, int64_t i, int64_t lanes)
{
    const nc_vec weight = nc_get_lanes(at->data[0] + i, lanes);
    const nc_vec way = direction(u, weight, nc_get_lanes(at->data[2] + i, lanes), nc_get_lanes(at->data[3] + i, lanes));
    nc_put_lanes(at->data[0] + i, nc_fma(way, nc_splat(-u->rate), weight), lanes);
}

static void lamb_piece(void *user, int64_t index, int thread)
{
    (void)thread;
    struct lamb u = *(const struct lamb *)user;
    const nc_piece at = nc_find_piece(&u.pieces, index);
    const struct sums sums = tensor_sums(&u.pieces, at.tensor);
    if (!u.plain && sums.weight > 0 && sums.other > 0) u.rate *= (float)sqrt(sums.weight / sums.other);
    int64_t i = 0;
    for (; i + NC_LANES <= at.count; i += NC_LANES) lamb_vector(&u, &at, i, NC_LANES);
    if (i < at.count) lamb_vector(&u, &at, i, at.count - i);
}

static void run_lamb(const nacre_call *call)
{
    const int64_t *attributes = call->attributes;
    const nc_update_now now = nc_update_scalars(call, nacre_unword(attributes[NC_ADAM_BETA1]));
    const double beta2 = nacre_unword(attributes[NC_ADAM_BETA2]);
    struct lamb u = {.plain = attributes[PLAIN] != 0,
                     .scale = (float)now.scale,
                     .decay = (float)nacre_unword(attributes[NC_ADAM_WEIGHT_DECAY]),
                     .beta1 = (float)now.momentum,
                     .take1 = (float)(1 - now.momentum),
                     .beta2 = (float)beta2,
                     .take2 = (float)(1 - beta2),
                     .eps = (float)nacre_unword(attributes[NC_ADAM_EPS]),
                     .correction = (float)(1 / (1 - pow(now.momentum, now.step))),
                     .root = (float)(1 / sqrt(1 - pow(beta2, now.step))),
                     .rate = (float)now.learning_rate};
    if (u.scale == 0) return;
    nc_run_pieces(call, &u.pieces, 2, lamb_sums);
    gather_sums(&u.pieces);
    nc_run_pieces(call, &u.pieces, 2, lamb_piece);
}

NC_KERNEL(lars, nc_refuse_update, layer_workspace, run_lars)
NC_KERNEL(lamb, nc_refuse_update, layer_workspace, run_lamb)

/* cpu/simd/update.c - element-wise optimizer updates. Each reads its tensors once and writes what changes: the memory
 * bus is the limit, so the traffic counts. Bytes an element, read + written, in f32: sgd 8 + 4, with momentum 12 + 8;
 * adam, nadam, radam, adamax, adadelta 16 + 12 (amsgrad 20 + 16); adagrad, lion, rmsprop 12 + 8 (each further moment of
 * rmsprop 4 + 4). */
#include "cpu/simd/update.h"

/* ---- stochastic gradient descent ----------------------------------------------------------------------------------
 */

enum { SGD_MOMENTUM, SGD_DAMPENING, SGD_NESTEROV, SGD_WEIGHT_DECAY };

struct sgd {
    nc_pieces pieces;
    bool has_buffer, first_step, nesterov;
    float rate, scale, decay, momentum, undamped;
};

NC_ALWAYS_INLINE void sgd_vector(const struct sgd *u, const nc_piece *at, int64_t i, int64_t lanes)
{
    const nc_vec weight = nc_get_lanes(at->data[0] + i, lanes);
    nc_vec gradient = nc_fma(weight, nc_splat(u->decay), nc_get_lanes(at->data[1] + i, lanes) * u->scale);
    if (u->has_buffer) {
        nc_vec buffer = gradient;
        if (!u->first_step)
            buffer = nc_fma(nc_get_lanes(at->data[2] + i, lanes), nc_splat(u->momentum), gradient * u->undamped);
        nc_put_lanes(at->data[2] + i, buffer, lanes);
        gradient = u->nesterov ? nc_fma(buffer, nc_splat(u->momentum), gradient) : buffer;
    }
    nc_put_lanes(at->data[0] + i, nc_fma(gradient, nc_splat(-u->rate), weight), lanes);
}
NC_EACH_PIECE(sgd)

static void run_sgd(const nacre_call *call)
{
    const int64_t *attributes = call->attributes;
    const nc_update_now now = nc_update_scalars(call, nacre_unword(attributes[SGD_MOMENTUM]));
    struct sgd u = {.has_buffer = nacre_unword(attributes[SGD_MOMENTUM]) != 0,
                    .first_step = now.step <= 1,
                    .nesterov = attributes[SGD_NESTEROV] != 0,
                    .rate = (float)now.learning_rate,
                    .scale = (float)now.scale,
                    .decay = (float)nacre_unword(attributes[SGD_WEIGHT_DECAY]),
                    .momentum = (float)now.momentum,
                    .undamped = (float)(1 - nacre_unword(attributes[SGD_DAMPENING]))};
    if (u.scale != 0) nc_run_pieces(call, &u.pieces, u.has_buffer, sgd_piece);
}

/* ---- the Adam family ------------------------------------------------------------------------------------------------
 */

enum { DECOUPLED = NC_ADAM_WORDS, AMSGRAD, MOMENTUM_DECAY = NC_ADAM_WORDS };

/* What they share: the averages. 1 - beta comes from the exact numbers: 1 - 0.999f is 5e-5 off. */
struct averages {
    float scale, decay, beta1, take1, beta2, take2, eps;
};

static struct averages read_averages(const nacre_call *call, nc_update_now now, double decay)
{
    const double beta2 = nacre_unword(call->attributes[NC_ADAM_BETA2]);
    return (struct averages){.scale = (float)now.scale,
                             .decay = (float)decay,
                             .beta1 = (float)now.momentum,
                             .take1 = (float)(1 - now.momentum),
                             .beta2 = (float)beta2,
                             .take2 = (float)(1 - beta2),
                             .eps = (float)nacre_unword(call->attributes[NC_ADAM_EPS])};
}

NC_ALWAYS_INLINE nc_vec decayed_gradient(const struct averages *a, const nc_piece *at, nc_vec weight, int64_t i,
                                         int64_t lanes)
{
    return nc_fma(weight, nc_splat(a->decay), nc_get_lanes(at->data[1] + i, lanes) * a->scale);
}

NC_ALWAYS_INLINE nc_vec move_first(const struct averages *a, const nc_piece *at, nc_vec gradient, int64_t i,
                                   int64_t lanes)
{
    const nc_vec first = nc_fma(nc_get_lanes(at->data[2] + i, lanes), nc_splat(a->beta1), gradient * a->take1);
    nc_put_lanes(at->data[2] + i, first, lanes);
    return first;
}

NC_ALWAYS_INLINE nc_vec move_second(const struct averages *a, const nc_piece *at, nc_vec gradient, int64_t i,
                                    int64_t lanes)
{
    const nc_vec square = gradient * gradient * a->take2;
    const nc_vec second = nc_fma(nc_get_lanes(at->data[3] + i, lanes), nc_splat(a->beta2), square);
    nc_put_lanes(at->data[3] + i, second, lanes);
    return second;
}

struct adam {
    nc_pieces pieces;
    struct averages averages;
    bool amsgrad;
    float keep, rate, root; /* corrected: rate / (1 - beta1^step), 1 / sqrt(1 - beta2^step) */
};

NC_ALWAYS_INLINE void adam_vector(const struct adam *u, const nc_piece *at, int64_t i, int64_t lanes)
{
    const nc_vec weight = nc_get_lanes(at->data[0] + i, lanes);
    const nc_vec gradient = decayed_gradient(&u->averages, at, weight, i, lanes);
    const nc_vec first = move_first(&u->averages, at, gradient, i, lanes);
    nc_vec second = move_second(&u->averages, at, gradient, i, lanes);
    if (u->amsgrad) {
        second = nc_max(nc_get_lanes(at->data[4] + i, lanes), second);
        nc_put_lanes(at->data[4] + i, second, lanes);
    }
    const nc_vec below = nc_fma(nc_sqrt(second), nc_splat(u->root), nc_splat(u->averages.eps));
    nc_put_lanes(at->data[0] + i, weight * u->keep - first * u->rate / below, lanes);
}
NC_EACH_PIECE(adam)

static void run_adam(const nacre_call *call)
{
    const int64_t *attributes = call->attributes;
    const nc_update_now now = nc_update_scalars(call, nacre_unword(attributes[NC_ADAM_BETA1]));
    const double beta2 = nacre_unword(attributes[NC_ADAM_BETA2]),
                 decay = nacre_unword(attributes[NC_ADAM_WEIGHT_DECAY]);
    const bool decoupled = attributes[DECOUPLED] != 0;
    struct adam u = {.averages = read_averages(call, now, decoupled ? 0 : decay),
                     .amsgrad = attributes[AMSGRAD] != 0,
                     .keep = decoupled ? (float)(1 - now.learning_rate * decay) : 1,
                     .rate = (float)(now.learning_rate / (1 - pow(now.momentum, now.step))),
                     .root = (float)(1 / sqrt(1 - pow(beta2, now.step)))};
    if (now.scale != 0) nc_run_pieces(call, &u.pieces, u.amsgrad ? 3 : 2, adam_piece);
}

struct nadam {
    nc_pieces pieces;
    struct averages averages;
    float gradient_rate, rate, root;
};

NC_ALWAYS_INLINE void nadam_vector(const struct nadam *u, const nc_piece *at, int64_t i, int64_t lanes)
{
    const nc_vec weight = nc_get_lanes(at->data[0] + i, lanes);
    const nc_vec gradient = decayed_gradient(&u->averages, at, weight, i, lanes);
    const nc_vec first = move_first(&u->averages, at, gradient, i, lanes);
    const nc_vec second = move_second(&u->averages, at, gradient, i, lanes);
    const nc_vec below = nc_fma(nc_sqrt(second), nc_splat(u->root), nc_splat(u->averages.eps));
    const nc_vec ahead = nc_fma(first, nc_splat(u->rate), gradient * u->gradient_rate);
    nc_put_lanes(at->data[0] + i, weight - ahead / below, lanes);
}
NC_EACH_PIECE(nadam)

static void run_nadam(const nacre_call *call)
{
    const int64_t *attributes = call->attributes;
    const nc_update_now now = nc_update_scalars(call, nacre_unword(attributes[NC_ADAM_BETA1]));
    double mu, next, product;
    nc_nadam_momenta(now.momentum, nacre_unword(attributes[MOMENTUM_DECAY]), (int64_t)now.step, &mu, &next, &product);
    struct nadam u = {.averages = read_averages(call, now, nacre_unword(attributes[NC_ADAM_WEIGHT_DECAY])),
                      .gradient_rate = (float)(now.learning_rate * (1 - mu) / (1 - product)),
                      .rate = (float)(now.learning_rate * next / (1 - product * next)),
                      .root = (float)(1 / sqrt(1 - pow(nacre_unword(attributes[NC_ADAM_BETA2]), now.step)))};
    if (now.scale != 0) nc_run_pieces(call, &u.pieces, 2, nadam_piece);
}

struct radam {
    nc_pieces pieces;
    struct averages averages;
    bool rectified;
    float rate;
};

NC_ALWAYS_INLINE void radam_vector(const struct radam *u, const nc_piece *at, int64_t i, int64_t lanes)
{
    const nc_vec weight = nc_get_lanes(at->data[0] + i, lanes);
    const nc_vec gradient = decayed_gradient(&u->averages, at, weight, i, lanes);
    nc_vec change = move_first(&u->averages, at, gradient, i, lanes) * u->rate;
    const nc_vec second = move_second(&u->averages, at, gradient, i, lanes);
    if (u->rectified) change /= nc_sqrt(second) + u->averages.eps;
    nc_put_lanes(at->data[0] + i, weight - change, lanes);
}
NC_EACH_PIECE(radam)

static void run_radam(const nacre_call *call)
{
    const int64_t *attributes = call->attributes;
    const nc_update_now now = nc_update_scalars(call, nacre_unword(attributes[NC_ADAM_BETA1]));
    const double rectification = nc_radam_rectification(nacre_unword(attributes[NC_ADAM_BETA2]), now.step);
    const double rate = now.learning_rate / (1 - pow(now.momentum, now.step));
    struct radam u = {.averages = read_averages(call, now, nacre_unword(attributes[NC_ADAM_WEIGHT_DECAY])),
                      .rectified = rectification != 0,
                      .rate = (float)(rectification != 0 ? rate * rectification : rate)};
    if (now.scale != 0) nc_run_pieces(call, &u.pieces, 2, radam_piece);
}

struct adamax {
    nc_pieces pieces;
    struct averages averages;
    float rate;
};

NC_ALWAYS_INLINE void adamax_vector(const struct adamax *u, const nc_piece *at, int64_t i, int64_t lanes)
{
    const nc_vec weight = nc_get_lanes(at->data[0] + i, lanes);
    const nc_vec gradient = decayed_gradient(&u->averages, at, weight, i, lanes);
    const nc_vec first = move_first(&u->averages, at, gradient, i, lanes);
    const nc_vec faded = nc_get_lanes(at->data[3] + i, lanes) * u->averages.beta2;
    const nc_vec largest = nc_max(faded, nc_abs(gradient) + u->averages.eps);
    nc_put_lanes(at->data[3] + i, largest, lanes);
    nc_put_lanes(at->data[0] + i, weight - first * u->rate / largest, lanes);
}
NC_EACH_PIECE(adamax)

static void run_adamax(const nacre_call *call)
{
    const int64_t *attributes = call->attributes;
    const nc_update_now now = nc_update_scalars(call, nacre_unword(attributes[NC_ADAM_BETA1]));
    struct adamax u = {.averages = read_averages(call, now, nacre_unword(attributes[NC_ADAM_WEIGHT_DECAY])),
                       .rate = (float)(now.learning_rate / (1 - pow(now.momentum, now.step)))};
    if (now.scale != 0) nc_run_pieces(call, &u.pieces, 2, adamax_piece);
}

/* ---- by mean squares -----------------------------------------------------------------------------------------------
 */

enum { ADAGRAD_EPS, ADAGRAD_WEIGHT_DECAY, ADAGRAD_RATE_DECAY, ADAGRAD_INITIAL };

struct adagrad {
    nc_pieces pieces;
    float scale, decay, rate, eps, initial;
};

NC_ALWAYS_INLINE void adagrad_vector(const struct adagrad *u, const nc_piece *at, int64_t i, int64_t lanes)
{
    const nc_vec weight = nc_get_lanes(at->data[0] + i, lanes);
    const nc_vec gradient = nc_fma(weight, nc_splat(u->decay), nc_get_lanes(at->data[1] + i, lanes) * u->scale);
    const nc_vec sum = nc_fma(gradient, gradient, nc_get_lanes(at->data[2] + i, lanes));
    nc_put_lanes(at->data[2] + i, sum, lanes);
    nc_put_lanes(at->data[0] + i, weight - gradient * u->rate / (nc_sqrt(sum + u->initial) + u->eps), lanes);
}
NC_EACH_PIECE(adagrad)

static void run_adagrad(const nacre_call *call)
{
    const int64_t *attributes = call->attributes;
    const nc_update_now now = nc_update_scalars(call, 0);
    const double slower = 1 + (now.step - 1) * nacre_unword(attributes[ADAGRAD_RATE_DECAY]);
    struct adagrad u = {.scale = (float)now.scale,
                        .decay = (float)nacre_unword(attributes[ADAGRAD_WEIGHT_DECAY]),
                        .rate = (float)(now.learning_rate / slower),
                        .eps = (float)nacre_unword(attributes[ADAGRAD_EPS]),
                        .initial = (float)nacre_unword(attributes[ADAGRAD_INITIAL])};
    if (u.scale != 0) nc_run_pieces(call, &u.pieces, 1, adagrad_piece);
}

enum { RHO, RHO_EPS, RHO_WEIGHT_DECAY, RMSPROP_MOMENTUM, RMSPROP_CENTERED };

struct adadelta {
    nc_pieces pieces;
    float scale, decay, rate, rho, take, eps;
};

NC_ALWAYS_INLINE void adadelta_vector(const struct adadelta *u, const nc_piece *at, int64_t i, int64_t lanes)
{
    const nc_vec weight = nc_get_lanes(at->data[0] + i, lanes), moved = nc_get_lanes(at->data[3] + i, lanes);
    const nc_vec gradient = nc_fma(weight, nc_splat(u->decay), nc_get_lanes(at->data[1] + i, lanes) * u->scale);
    const nc_vec kept = nc_get_lanes(at->data[2] + i, lanes) * u->rho;
    const nc_vec square = nc_fma(gradient * gradient, nc_splat(u->take), kept);
    const nc_vec change = nc_sqrt((moved + u->eps) / (square + u->eps)) * gradient;
    nc_put_lanes(at->data[2] + i, square, lanes);
    nc_put_lanes(at->data[3] + i, nc_fma(change * change, nc_splat(u->take), moved * u->rho), lanes);
    nc_put_lanes(at->data[0] + i, nc_fma(change, nc_splat(-u->rate), weight), lanes);
}
NC_EACH_PIECE(adadelta)

static void run_adadelta(const nacre_call *call)
{
    const int64_t *attributes = call->attributes;
    const nc_update_now now = nc_update_scalars(call, 0);
    const double rho = nacre_unword(attributes[RHO]);
    struct adadelta u = {.scale = (float)now.scale,
                         .decay = (float)nacre_unword(attributes[RHO_WEIGHT_DECAY]),
                         .rate = (float)now.learning_rate,
                         .rho = (float)rho,
                         .take = (float)(1 - rho),
                         .eps = (float)nacre_unword(attributes[RHO_EPS])};
    if (u.scale != 0) nc_run_pieces(call, &u.pieces, 2, adadelta_piece);
}

struct rmsprop {
    nc_pieces pieces;
    bool centered;
    int buffer; /* 0: there is none */
    float scale, decay, rate, rho, take, eps, momentum;
};

NC_ALWAYS_INLINE void rmsprop_vector(const struct rmsprop *u, const nc_piece *at, int64_t i, int64_t lanes)
{
    const nc_vec weight = nc_get_lanes(at->data[0] + i, lanes);
    const nc_vec gradient = nc_fma(weight, nc_splat(u->decay), nc_get_lanes(at->data[1] + i, lanes) * u->scale);
    const nc_vec kept = nc_get_lanes(at->data[2] + i, lanes) * u->rho;
    nc_vec square = nc_fma(gradient * gradient, nc_splat(u->take), kept);
    nc_put_lanes(at->data[2] + i, square, lanes);
    if (u->centered) {
        const nc_vec mean = nc_fma(gradient, nc_splat(u->take), nc_get_lanes(at->data[3] + i, lanes) * u->rho);
        nc_put_lanes(at->data[3] + i, mean, lanes);
        square -= mean * mean;
    }
    nc_vec change = gradient / (nc_sqrt(square) + u->eps);
    if (u->buffer) {
        change = nc_fma(nc_get_lanes(at->data[u->buffer] + i, lanes), nc_splat(u->momentum), change);
        nc_put_lanes(at->data[u->buffer] + i, change, lanes);
    }
    nc_put_lanes(at->data[0] + i, nc_fma(change, nc_splat(-u->rate), weight), lanes);
}
NC_EACH_PIECE(rmsprop)

static void run_rmsprop(const nacre_call *call)
{
    const int64_t *attributes = call->attributes;
    const double momentum = nacre_unword(attributes[RMSPROP_MOMENTUM]), rho = nacre_unword(attributes[RHO]);
    const nc_update_now now = nc_update_scalars(call, momentum);
    const bool centered = attributes[RMSPROP_CENTERED] != 0;
    struct rmsprop u = {.centered = centered,
                        .buffer = momentum != 0 ? 3 + centered : 0,
                        .scale = (float)now.scale,
                        .decay = (float)nacre_unword(attributes[RHO_WEIGHT_DECAY]),
                        .rate = (float)now.learning_rate,
                        .rho = (float)rho,
                        .take = (float)(1 - rho),
                        .eps = (float)nacre_unword(attributes[RHO_EPS]),
                        .momentum = (float)now.momentum};
    if (u.scale != 0) nc_run_pieces(call, &u.pieces, 1 + centered + (momentum != 0), rmsprop_piece);
}

/* ---- by signs ------------------------------------------------------------------------------------------------------
 */

enum { LION_BETA1, LION_BETA2, LION_WEIGHT_DECAY };

struct lion {
    nc_pieces pieces;
    float scale, keep, rate, beta1, take1, beta2, take2;
};

NC_ALWAYS_INLINE void lion_vector(const struct lion *u, const nc_piece *at, int64_t i, int64_t lanes)
{
    const nc_vec weight = nc_get_lanes(at->data[0] + i, lanes), mean = nc_get_lanes(at->data[2] + i, lanes);
    const nc_vec gradient = nc_get_lanes(at->data[1] + i, lanes) * u->scale;
    const nc_vec direction = nc_fma(mean, nc_splat(u->beta1), gradient * u->take1), zero = nc_splat(0);
    const nc_vec change = nc_select(nc_unequal(direction, zero), nc_copy_sign(nc_splat(u->rate), direction), zero);
    nc_put_lanes(at->data[2] + i, nc_fma(mean, nc_splat(u->beta2), gradient * u->take2), lanes);
    nc_put_lanes(at->data[0] + i, nc_fma(weight, nc_splat(u->keep), -change), lanes);
}
NC_EACH_PIECE(lion)

static void run_lion(const nacre_call *call)
{
    const int64_t *attributes = call->attributes;
    const nc_update_now now = nc_update_scalars(call, nacre_unword(attributes[LION_BETA1]));
    const double beta2 = nacre_unword(attributes[LION_BETA2]);
    struct lion u = {.scale = (float)now.scale,
                     .keep = (float)(1 - now.learning_rate * nacre_unword(attributes[LION_WEIGHT_DECAY])),
                     .rate = (float)now.learning_rate,
                     .beta1 = (float)now.momentum,
                     .take1 = (float)(1 - now.momentum),
                     .beta2 = (float)beta2,
                     .take2 = (float)(1 - beta2)};
    if (u.scale != 0) nc_run_pieces(call, &u.pieces, 1, lion_piece);
}

NC_UPDATE_KERNEL(sgd)
NC_UPDATE_KERNEL(adam)
NC_UPDATE_KERNEL(nadam)
NC_UPDATE_KERNEL(radam)
NC_UPDATE_KERNEL(adamax)
NC_UPDATE_KERNEL(adagrad)
NC_UPDATE_KERNEL(adadelta)
NC_UPDATE_KERNEL(rmsprop)
NC_UPDATE_KERNEL(lion)

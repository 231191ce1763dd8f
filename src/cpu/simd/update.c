/* cpu/simd/update.c - optimizer updates of all tensors in one parallel region, the norm of all gradients, and writes
 * to entries of a model. Tensors are cut into pieces of one size, so that large and small ones share the threads. */
#include "cpu/share.h"
#include "cpu/simd/simd.h"

#include <nacre/backend.h>

#include <math.h>

#ifdef NACRE_STRESS
enum { PIECE = 3 * NC_LANES };
#else
enum { PIECE = 1 << 14 }; /* elements */
#endif

/* Piece `index` of all tensors lies in tensor t with first[t] <= index < first[t + 1]. */
typedef struct pieces {
    const nacre_view *views; /* `stride` views for each tensor */
    int tensor_count, stride;
    int64_t *first; /* [tensor_count + 1] */
} pieces;

typedef struct piece {
    float *data[4];
    int64_t count;
} piece;

static size_t pieces_bytes(int view_count, int stride)
{
    return (size_t)(view_count / stride + 1) * sizeof(int64_t);
}

static pieces cut_pieces(const nacre_view *views, int view_count, int stride, void *workspace)
{
    pieces p = {.views = views, .tensor_count = view_count / stride, .stride = stride, .first = workspace};
    p.first[0] = 0;
    for (int t = 0; t < p.tensor_count; t++)
        p.first[t + 1] = p.first[t] + nc_ceil_div(nacre_shape_count(views[t * stride].shape), PIECE);
    return p;
}

static piece find_piece(const pieces *p, int64_t index)
{
    int low = 0, high = p->tensor_count;
    while (high - low > 1) {
        const int middle = (low + high) / 2;
        if (p->first[middle] <= index)
            low = middle;
        else
            high = middle;
    }
    while (p->first[low + 1] <= index) low++; /* tensors without elements */
    const nacre_view *views = p->views + low * p->stride;
    const int64_t start = (index - p->first[low]) * PIECE;
    piece found = {.count = nc_least(nacre_shape_count(views[0].shape) - start, PIECE)};
    for (int i = 0; i < p->stride; i++) found.data[i] = (float *)views[i].data + start;
    return found;
}

static const char *need_f32(const nacre_view *views, int from, int count)
{
    for (int i = from; i < count; i++)
        if (views[i].shape.rank >= 0 && views[i].dtype != NACRE_F32) return "computes f32 only";
    return NULL;
}

NC_ALWAYS_INLINE nc_vec get(const float *p, int64_t lanes)
{
    return lanes == NC_LANES ? nc_load(p) : nc_load_some(p, lanes);
}

NC_ALWAYS_INLINE void put(float *p, nc_vec v, int64_t lanes)
{
    if (lanes == NC_LANES)
        nc_store(p, v);
    else
        nc_store_some(p, v, lanes);
}

/* ---- updates ----------------------------------------------------------------------------------------------------- */

enum { LEARNING_RATE, STEP, SCALE, FIRST }; /* operands, then groups of tensors */
enum { SGD_MOMENTUM, SGD_DAMPENING, SGD_NESTEROV, SGD_WEIGHT_DECAY };
enum { ADAM_BETA1, ADAM_BETA2, ADAM_EPS, ADAM_WEIGHT_DECAY, ADAM_DECOUPLED };

typedef struct update {
    pieces pieces;
    bool first_step, nesterov, decoupled;
    /* sgd */
    float learning_rate, scale, decay, momentum, undamped;
    /* adam; the corrections for the first steps are in step_size and in root, 1 / sqrt(1 - beta2^step) */
    float beta1, beta2, take1, take2, eps, keep, step_size, root;
} update;

static double scalar(const nacre_view *view, double absent)
{
    return view->data ? nacre_dtype_load(view->dtype, view->data, 0) : absent;
}

NC_ALWAYS_INLINE void sgd_vector(const update *u, const piece *at, int64_t i, int64_t lanes)
{
    const nc_vec weight = get(at->data[0] + i, lanes);
    nc_vec gradient = nc_fma(weight, nc_splat(u->decay), get(at->data[1] + i, lanes) * u->scale);
    if (u->momentum != 0) {
        nc_vec buffer = gradient;
        if (!u->first_step) buffer = nc_fma(get(at->data[2] + i, lanes), nc_splat(u->momentum), gradient * u->undamped);
        put(at->data[2] + i, buffer, lanes);
        gradient = u->nesterov ? nc_fma(buffer, nc_splat(u->momentum), gradient) : buffer;
    }
    put(at->data[0] + i, nc_fma(gradient, nc_splat(-u->learning_rate), weight), lanes);
}

static void sgd_piece(void *user, int64_t index, int thread)
{
    (void)thread;
    const update u = *(const update *)user;
    const piece at = find_piece(&u.pieces, index);
    int64_t i = 0;
    for (; i + NC_LANES <= at.count; i += NC_LANES) sgd_vector(&u, &at, i, NC_LANES);
    if (i < at.count) sgd_vector(&u, &at, i, at.count - i);
}

NC_ALWAYS_INLINE void adam_vector(const update *u, const piece *at, int64_t i, int64_t lanes)
{
    nc_vec weight = get(at->data[0] + i, lanes), gradient = get(at->data[1] + i, lanes) * u->scale;
    if (u->decoupled)
        weight *= u->keep;
    else
        gradient = nc_fma(weight, nc_splat(u->decay), gradient);
    const nc_vec first = nc_fma(get(at->data[2] + i, lanes), nc_splat(u->beta1), gradient * u->take1);
    const nc_vec second = nc_fma(get(at->data[3] + i, lanes), nc_splat(u->beta2), gradient * gradient * u->take2);
    put(at->data[2] + i, first, lanes);
    put(at->data[3] + i, second, lanes);
    const nc_vec deviation = nc_fma(nc_sqrt(second), nc_splat(u->root), nc_splat(u->eps));
    put(at->data[0] + i, weight - first * u->step_size / deviation, lanes);
}

static void adam_piece(void *user, int64_t index, int thread)
{
    (void)thread;
    const update u = *(const update *)user;
    const piece at = find_piece(&u.pieces, index);
    int64_t i = 0;
    for (; i + NC_LANES <= at.count; i += NC_LANES) adam_vector(&u, &at, i, NC_LANES);
    if (i < at.count) adam_vector(&u, &at, i, at.count - i);
}

static int sgd_stride(const int64_t *attributes)
{
    return nacre_unword(attributes[SGD_MOMENTUM]) != 0 ? 3 : 2;
}

static size_t sgd_workspace(const nacre_node_info *info)
{
    return pieces_bytes(info->input_count - FIRST, sgd_stride(info->attributes));
}

static size_t adam_workspace(const nacre_node_info *info)
{
    return pieces_bytes(info->input_count - FIRST, 4);
}

static void run_pieces(const nacre_call *call, update *u, int stride, void (*body)(void *, int64_t, int))
{
    u->scale = (float)scalar(&call->inputs[SCALE], 1);
    if (u->scale == 0) return; /* nothing is to change */
    u->pieces = cut_pieces(call->inputs + FIRST, call->input_count - FIRST, stride, call->workspace);
    nacre_parallel(call->team, u->pieces.first[u->pieces.tensor_count], body, u);
}

static void run_sgd(const nacre_call *call)
{
    const int64_t *attributes = call->attributes;
    update u = {.learning_rate = (float)scalar(&call->inputs[LEARNING_RATE], 0),
                .first_step = scalar(&call->inputs[STEP], 0) <= 1,
                .nesterov = attributes[SGD_NESTEROV] != 0,
                .momentum = (float)nacre_unword(attributes[SGD_MOMENTUM]),
                .undamped = (float)(1 - nacre_unword(attributes[SGD_DAMPENING])),
                .decay = (float)nacre_unword(attributes[SGD_WEIGHT_DECAY])};
    run_pieces(call, &u, sgd_stride(attributes), sgd_piece);
}

static void run_adam(const nacre_call *call)
{
    const int64_t *attributes = call->attributes;
    const double rate = scalar(&call->inputs[LEARNING_RATE], 0), step = scalar(&call->inputs[STEP], 1);
    const double beta1 = nacre_unword(attributes[ADAM_BETA1]), beta2 = nacre_unword(attributes[ADAM_BETA2]);
    const double decay = nacre_unword(attributes[ADAM_WEIGHT_DECAY]);
    update u = {.beta1 = (float)beta1,
                .beta2 = (float)beta2,
                .take1 = (float)(1 - beta1), /* from the exact numbers: 1 - 0.999f is 5e-5 off */
                .take2 = (float)(1 - beta2),
                .eps = (float)nacre_unword(attributes[ADAM_EPS]),
                .decay = (float)decay,
                .decoupled = attributes[ADAM_DECOUPLED] != 0,
                .keep = (float)(1 - rate * decay),
                .step_size = (float)(rate / (1 - pow(beta1, step))),
                .root = (float)(1 / sqrt(1 - pow(beta2, step)))};
    run_pieces(call, &u, 4, adam_piece);
}

static const char *refuse_update(const nacre_node_info *info)
{
    return need_f32(info->inputs, FIRST, info->input_count);
}

/* ---- norm of all gradients --------------------------------------------------------------------------------------- */

typedef struct norm {
    pieces pieces;
    double *sums; /* of squares, for each piece */
} norm;

static int64_t piece_count(const nacre_view *views, int count)
{
    int64_t total = 0;
    for (int i = 0; i < count; i++) total += nc_ceil_div(nacre_shape_count(views[i].shape), PIECE);
    return total;
}

static void norm_piece(void *user, int64_t index, int thread)
{
    (void)thread;
    const norm *n = user;
    const piece at = find_piece(&n->pieces, index);
    nc_vec sums[4] = {{0}};
    int64_t i = 0;
    for (; i + 4 * NC_LANES <= at.count; i += 4 * NC_LANES) {
        NC_UNROLL
        for (int v = 0; v < 4; v++) {
            const nc_vec x = nc_load(at.data[0] + i + v * NC_LANES);
            sums[v] = nc_fma(x, x, sums[v]);
        }
    }
    for (; i < at.count; i += NC_LANES) {
        const nc_vec x = nc_load_some(at.data[0] + i, nc_least(at.count - i, NC_LANES));
        sums[0] = nc_fma(x, x, sums[0]);
    }
    n->sums[index] = (double)nc_sum((sums[0] + sums[1]) + (sums[2] + sums[3]));
}

static size_t norm_workspace(const nacre_node_info *info)
{
    return pieces_bytes(info->input_count, 1) + (size_t)piece_count(info->inputs, info->input_count) * sizeof(double);
}

static void run_norm(const nacre_call *call)
{
    norm n = {.pieces = cut_pieces(call->inputs, call->input_count, 1, call->workspace)};
    n.sums = (double *)(void *)(n.pieces.first + call->input_count + 1);
    const int64_t count = n.pieces.first[call->input_count];
    nacre_parallel(call->team, count, norm_piece, &n);
    double sum = 0;
    for (int64_t i = 0; i < count; i++) sum += n.sums[i];
    *(float *)call->outputs[0].data = (float)sqrt(sum);
}

static const char *refuse_norm(const nacre_node_info *info)
{
    return need_f32(info->inputs, 0, info->input_count);
}

/* ---- entries of a model ------------------------------------------------------------------------------------------ */

enum { TARGET, VALUE };
enum { LERP_WEIGHT, LERP_SCALE };

typedef struct assignment {
    float *target;
    const float *value;
    int64_t count;
    float keep, take; /* target = keep target + take value */
} assignment;

static void mix_piece(void *user, int64_t index, int thread)
{
    (void)thread;
    const assignment *job = user;
    float *target = job->target + index * PIECE;
    const float *value = job->value + index * PIECE;
    const int64_t count = nc_least(job->count - index * PIECE, PIECE);
    for (int64_t i = 0; i < count; i += NC_LANES) {
        const int64_t lanes = nc_least(count - i, NC_LANES);
        const nc_vec kept = get(target + i, lanes) * job->keep;
        put(target + i, nc_fma(get(value + i, lanes), nc_splat(job->take), kept), lanes);
    }
}

static void copy_piece(void *user, int64_t index, int thread)
{
    (void)thread;
    const assignment *job = user;
    memcpy(job->target + index * PIECE, job->value + index * PIECE,
           (size_t)nc_least(job->count - index * PIECE, PIECE) * sizeof(float));
}

static void run_assign(const nacre_call *call)
{
    assignment job = {.target = call->outputs[0].data,
                      .value = call->inputs[VALUE].data,
                      .count = nacre_shape_count(call->outputs[0].shape)};
    nacre_parallel(call->team, nc_ceil_div(job.count, PIECE), copy_piece, &job);
}

static void run_lerp(const nacre_call *call)
{
    const double weight = nacre_unword(call->attributes[LERP_WEIGHT]);
    assignment job = {.target = call->outputs[0].data,
                      .value = call->inputs[VALUE].data,
                      .count = nacre_shape_count(call->outputs[0].shape),
                      .keep = (float)(1 - weight),
                      .take = (float)(weight * nacre_unword(call->attributes[LERP_SCALE]))};
    nacre_parallel(call->team, nc_ceil_div(job.count, PIECE), mix_piece, &job);
}

enum { START = 2 }; /* operand of assign_slice */

/* The target is [outer][size][inner], the value [outer][count][inner] of it from position `start` on. */
static void run_slice(const nacre_call *call)
{
    const nacre_shape *target = &call->outputs[0].shape, *value = &call->inputs[VALUE].shape;
    const int64_t axis = call->attributes[0], size = target->dims[axis], count = value->dims[axis];
    const int64_t start = *(const int64_t *)call->inputs[START].data;
    const int64_t first = nc_most(start, 0), end = nc_least(start + count, size);
    int64_t outer = 1, inner = 1;
    for (int64_t i = 0; i < axis; i++) outer *= target->dims[i];
    for (int64_t i = axis + 1; i < target->rank; i++) inner *= target->dims[i];
    for (int64_t i = 0; i < outer && end > first; i++)
        memcpy((float *)call->outputs[0].data + (i * size + first) * inner,
               (const float *)call->inputs[VALUE].data + (i * count + first - start) * inner,
               (size_t)((end - first) * inner) * sizeof(float));
}

static const char *refuse_slice(const nacre_node_info *info)
{
    return need_f32(info->inputs, TARGET, VALUE + 1);
}

/* ---- as kernels -------------------------------------------------------------------------------------------------- */

#define KERNEL(name, refusal, bytes, function)                                                                         \
    const nacre_kernel nc_isa(nc_##name##_kernel) = {                                                                  \
        .op = #name, .variant = "pieces_" NC_ISA_NAME, .can = refusal, .workspace = bytes, .run = function};
KERNEL(sgd, refuse_update, sgd_workspace, run_sgd)
KERNEL(adam, refuse_update, adam_workspace, run_adam)
KERNEL(global_norm, refuse_norm, norm_workspace, run_norm)
KERNEL(assign, refuse_norm, NULL, run_assign)
KERNEL(assign_lerp, refuse_norm, NULL, run_lerp)
KERNEL(assign_slice, refuse_slice, NULL, run_slice)

/* cpu/simd/assign.c - the norm of all gradients, writes to entries of a model, averages of weights. */
#include "cpu/simd/update.h"

/* ---- norm of all gradients --------------------------------------------------------------------------------------- */

typedef struct norm {
    nc_pieces pieces;
    double *sums; /* of squares, for each piece */
} norm;

static void norm_piece(void *user, int64_t index, int thread)
{
    (void)thread;
    const norm *n = user;
    const nc_piece at = nc_find_piece(&n->pieces, index);
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
    return nc_pieces_bytes(info->input_count, 1) +
           (size_t)nc_piece_count(info->inputs, info->input_count, 1) * sizeof(double);
}

static void run_norm(const nacre_call *call)
{
    norm n = {.pieces = nc_cut_pieces(call->inputs, call->input_count, 1, call->workspace)};
    n.sums = (double *)(void *)(n.pieces.first + call->input_count + 1);
    const int64_t count = n.pieces.first[call->input_count];
    nacre_parallel(call->team, count, norm_piece, &n);
    double sum = 0;
    for (int64_t i = 0; i < count; i++) sum += n.sums[i];
    *(float *)call->outputs[0].data = (float)sqrt(sum);
}

static const char *refuse(const nacre_node_info *info)
{
    return nc_need_f32(info->inputs, 0, info->input_count);
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
    float *target = job->target + index * NC_PIECE;
    const float *value = job->value + index * NC_PIECE;
    const int64_t count = nc_least(job->count - index * NC_PIECE, NC_PIECE);
    for (int64_t i = 0; i < count; i += NC_LANES) {
        const int64_t lanes = nc_least(count - i, NC_LANES);
        const nc_vec kept = nc_get_lanes(target + i, lanes) * job->keep;
        nc_put_lanes(target + i, nc_fma(nc_get_lanes(value + i, lanes), nc_splat(job->take), kept), lanes);
    }
}

static void copy_piece(void *user, int64_t index, int thread)
{
    (void)thread;
    const assignment *job = user;
    memcpy(job->target + index * NC_PIECE, job->value + index * NC_PIECE,
           (size_t)nc_least(job->count - index * NC_PIECE, NC_PIECE) * sizeof(float));
}

static void run_assign(const nacre_call *call)
{
    assignment job = {.target = call->outputs[0].data,
                      .value = call->inputs[VALUE].data,
                      .count = nacre_shape_count(call->outputs[0].shape)};
    nacre_parallel(call->team, nc_ceil_div(job.count, NC_PIECE), copy_piece, &job);
}

static void run_lerp(const nacre_call *call)
{
    const double weight = nacre_unword(call->attributes[LERP_WEIGHT]);
    assignment job = {.target = call->outputs[0].data,
                      .value = call->inputs[VALUE].data,
                      .count = nacre_shape_count(call->outputs[0].shape),
                      .keep = (float)(1 - weight),
                      .take = (float)(weight * nacre_unword(call->attributes[LERP_SCALE]))};
    nacre_parallel(call->team, nc_ceil_div(job.count, NC_PIECE), mix_piece, &job);
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
    return nc_need_f32(info->inputs, TARGET, VALUE + 1);
}

/* ---- averages of weights ------------------------------------------------------------------------------------------
 */

struct average {
    nc_pieces pieces;
    float mix;
    bool back;
};

NC_ALWAYS_INLINE void average_vector(const struct average *u, const nc_piece *at, int64_t i, int64_t lanes)
{
    const nc_vec old = nc_get_lanes(at->data[1] + i, lanes);
    const nc_vec mean = nc_fma(nc_get_lanes(at->data[0] + i, lanes) - old, nc_splat(u->mix), old);
    nc_put_lanes(at->data[1] + i, mean, lanes);
    if (u->back) nc_put_lanes(at->data[0] + i, mean, lanes);
}
NC_EACH_PIECE(average)

static size_t average_workspace(const nacre_node_info *info)
{
    return nc_pieces_bytes(info->input_count - 1, 2);
}

static void run_average(const nacre_call *call)
{
    struct average u = {.mix = (float)nc_update_scalar(&call->inputs[0], 0), .back = call->attributes[0] != 0};
    if (u.mix == 0) return;
    u.pieces = nc_cut_pieces(call->inputs + 1, call->input_count - 1, 2, call->workspace);
    nacre_parallel(call->team, u.pieces.first[u.pieces.tensor_count], average_piece, &u);
}

NC_KERNEL(global_norm, refuse, norm_workspace, run_norm)
NC_KERNEL(assign, refuse, NULL, run_assign)
NC_KERNEL(assign_lerp, refuse, NULL, run_lerp)
NC_KERNEL(assign_slice, refuse_slice, NULL, run_slice)
NC_KERNEL(average_weights, refuse, average_workspace, run_average)

/* cpu/simd/update.h - many tensors in one parallel region: they are cut into pieces of one size, so that large and
 * small ones share the threads. */
#ifndef NC_CPU_SIMD_UPDATE_H
#define NC_CPU_SIMD_UPDATE_H

#include "cpu/share.h"
#include "cpu/simd/simd.h"
#include "ops/update.h"

#include <math.h>

#ifdef NACRE_STRESS
enum { NC_PIECE = 3 * NC_LANES };
#else
enum { NC_PIECE = 1 << 14 }; /* elements */
#endif
enum { NC_MOST_VIEWS = 5 };

/* Piece `index` of all tensors lies in tensor t with first[t] <= index < first[t + 1]. */
typedef struct nc_pieces {
    const nacre_view *views; /* `stride` views for each tensor */
    int tensor_count, stride;
    int64_t *first; /* [tensor_count + 1] */
} nc_pieces;

typedef struct nc_piece {
    float *data[NC_MOST_VIEWS];
    int64_t count;
    int tensor;
} nc_piece;

static inline size_t nc_pieces_bytes(int view_count, int stride)
{
    return (size_t)(view_count / stride + 1) * sizeof(int64_t);
}

static inline nc_pieces nc_cut_pieces(const nacre_view *views, int view_count, int stride, void *workspace)
{
    nc_pieces p = {.views = views, .tensor_count = view_count / stride, .stride = stride, .first = workspace};
    p.first[0] = 0;
    for (int t = 0; t < p.tensor_count; t++)
        p.first[t + 1] = p.first[t] + nc_ceil_div(nacre_shape_count(views[t * stride].shape), NC_PIECE);
    return p;
}

static inline nc_piece nc_find_piece(const nc_pieces *p, int64_t index)
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
    const int64_t start = (index - p->first[low]) * NC_PIECE;
    nc_piece found = {.count = nc_least(nacre_shape_count(views[0].shape) - start, NC_PIECE), .tensor = low};
    for (int i = 0; i < p->stride; i++) found.data[i] = (float *)views[i].data + start;
    return found;
}

/* How many pieces `count` views, of which `stride` belong together, are cut into. */
static inline int64_t nc_piece_count(const nacre_view *views, int count, int stride)
{
    int64_t total = 0;
    for (int i = 0; i < count; i += stride) total += nc_ceil_div(nacre_shape_count(views[i].shape), NC_PIECE);
    return total;
}

static inline const char *nc_need_f32(const nacre_view *views, int from, int count)
{
    for (int i = from; i < count; i++)
        if (views[i].shape.rank >= 0 && views[i].dtype != NACRE_F32) return "computes f32 only";
    return NULL;
}

NC_ALWAYS_INLINE nc_vec nc_get_lanes(const float *p, int64_t lanes)
{
    return lanes == NC_LANES ? nc_load(p) : nc_load_some(p, lanes);
}

NC_ALWAYS_INLINE void nc_put_lanes(float *p, nc_vec v, int64_t lanes)
{
    if (lanes == NC_LANES)
        nc_store(p, v);
    else
        nc_store_some(p, v, lanes);
}

static inline double nc_update_scalar(const nacre_view *view, double absent)
{
    return view->data ? nacre_dtype_load(view->dtype, view->data, 0) : absent;
}

static inline nc_update_now nc_update_scalars(const nacre_call *call, double momentum)
{
    return (nc_update_now){.learning_rate = nc_update_scalar(&call->inputs[NC_UPDATE_RATE], 0),
                           .step = nc_update_scalar(&call->inputs[NC_UPDATE_STEP], 1),
                           .scale = nc_update_scalar(&call->inputs[NC_UPDATE_SCALE], 1),
                           .momentum = nc_update_scalar(&call->inputs[NC_UPDATE_MOMENTUM], momentum)};
}

static inline const char *nc_refuse_update(const nacre_node_info *info)
{
    return nc_need_f32(info->inputs, NC_UPDATE_FIRST, info->input_count);
}

/* NAME_piece out of NAME_vector(constants, piece, element, lanes); the constants are a struct NAME whose first member
 * `pieces` says what it works on. They are copied so that stores through the tensors cannot change them. */
#define NC_EACH_PIECE(name)                                                                                            \
    static void name##_piece(void *user, int64_t index, int thread)                                                    \
    {                                                                                                                  \
        (void)thread;                                                                                                  \
        const struct name u = *(const struct name *)user;                                                              \
        const nc_piece at = nc_find_piece(&u.pieces, index);                                                           \
        int64_t i = 0;                                                                                                 \
        for (; i + NC_LANES <= at.count; i += NC_LANES) name##_vector(&u, &at, i, NC_LANES);                           \
        if (i < at.count) name##_vector(&u, &at, i, at.count - i);                                                     \
    }

/* All pieces of an update with `moments` moments a weight; `user` begins with the pieces, which are cut here. */
static inline void nc_run_pieces(const nacre_call *call, nc_pieces *user, int moments,
                                 void (*body)(void *user, int64_t index, int thread))
{
    *user = nc_cut_pieces(call->inputs + NC_UPDATE_FIRST, call->input_count - NC_UPDATE_FIRST, 2 + moments,
                          call->workspace);
    nacre_parallel(call->team, user->first[user->tensor_count], body, user);
}

/* Room for the pieces however many moments there are: one start for each weight would do. */
static inline size_t nc_update_workspace(const nacre_node_info *info)
{
    return nc_pieces_bytes(info->input_count - NC_UPDATE_FIRST, 2);
}

#define NC_KERNEL(name, refusal, bytes, function)                                                                      \
    const nacre_kernel nc_isa(nc_##name##_kernel) = {                                                                  \
        .op = #name, .variant = "pieces_" NC_ISA_NAME, .can = refusal, .workspace = bytes, .run = function};
#define NC_UPDATE_KERNEL(name) NC_KERNEL(name, nc_refuse_update, nc_update_workspace, run_##name)

#endif

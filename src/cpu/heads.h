/* cpu/heads.h - where the rows of attention's heads lie: each head may have rows of its own, or heads lie side by side
 * in longer ones. */
#ifndef NC_CPU_HEADS_H
#define NC_CPU_HEADS_H

#include "ops/op.h"

/* Heads are counted over all axes but the last two; strides are in elements. */
typedef struct nc_heads {
    void *data;
    int64_t together;          /* heads of a sample */
    int64_t sample, head, row; /* strides */
} nc_heads;

/* Of a view [..., T, D] as nc_attention_parts gives it: dense, or [N, heads, T, D] with strides of its own. */
static inline nc_heads nc_heads_of(const nacre_view *view)
{
    const int rank = view->shape.rank;
    const int64_t *dims = view->shape.dims, *strides = view->strides;
    if (rank == 4) return (nc_heads){view->data, dims[1] > 0 ? dims[1] : 1, strides[0], strides[1], strides[2]};
    return (nc_heads){view->data, INT64_MAX, 0, dims[rank - 2] * dims[rank - 1], dims[rank - 1]};
}

static inline int64_t nc_heads_offset(const nc_heads *heads, int64_t head, int64_t row)
{
    return head / heads->together * heads->sample + head % heads->together * heads->head + row * heads->row;
}

/* Of y or its gradient, with attention's attribute `heads`. */
static inline nc_heads nc_heads_of_rows(const nacre_view *view, int64_t heads)
{
    const nacre_view part = nc_attention_part(view, heads);
    return nc_heads_of(&part);
}

/* Of attention_backward: y's gradient and the results. */
typedef struct nc_heads_gradients {
    nc_heads dy, dq, dk, dv;
} nc_heads_gradients;

static inline nc_heads_gradients nc_heads_of_gradients(const nacre_call *call, int dy, int64_t heads)
{
    nacre_view parts[3];
    nc_attention_parts(call->outputs, call->output_count, heads, parts);
    return (nc_heads_gradients){nc_heads_of_rows(&call->inputs[dy], heads), nc_heads_of(&parts[0]),
                                nc_heads_of(&parts[1]), nc_heads_of(&parts[2])};
}

#endif

/* cpu/simd/correlation.h - what forward convolution and the gradient of its input have in common.
 *
 * Both are a correlation: at each output position, a list of taps (offset in the input, matrix of weights). Forward has
 * one tap per kernel position. The gradient of the input has them mirrored, and with a stride s its positions fall
 * into s * s phases, each a correlation with the taps that reach it. An algorithm says how one correlation is carried
 * out; weights are packed in the same order for all of them, before the first run. */
#ifndef NC_CPU_CORRELATION_H
#define NC_CPU_CORRELATION_H

#include "cpu/conv.h"
#include "cpu/share.h"
#include "cpu/simd/tile.h"

typedef struct nc_correlation_tap {
    int64_t row, column; /* offset of the input position */
    int64_t weight;      /* offset in one [kernel height, kernel width] */
} nc_correlation_tap;

typedef struct nc_correlation {
    int64_t batch, groups;
    int64_t in_channels, out_channels; /* of one group */
    int64_t in[2], out[2];
    int64_t step[2]; /* input positions from one output position to the next */
    const float *x;
    float *y;
    int64_t y_image, y_row, y_pixel; /* strides of the output positions */
    int tap_count;
    nc_correlation_tap taps[NC_CONV_MAX_TAPS]; /* by row, then by column */
    int64_t low[2], high[2];                   /* of the taps' offsets */
    int run;                                   /* taps that lie side by side in memory, the same for all rows of taps */
    const float *packed;                       /* weights */
    const nc_conv_epilogue *epilogue;
} nc_correlation;

static inline int64_t nc_correlation_panels(const nc_correlation *c) /* of one group */
{
    return nc_ceil_div(c->out_channels, NC_TILE_COLUMNS);
}

static inline int64_t nc_correlation_depth(const nc_correlation *c) /* products in a sum */
{
    return c->tap_count * c->in_channels;
}

void nc_isa(nc_correlation_forward)(nc_correlation *c, const nc_conv *conv);

/* The weights of a correlation, as the node has them. */
typedef struct nc_correlation_weights {
    const float *w;
    int64_t taps;                /* of the whole kernel; they are contiguous */
    int64_t group, out, in;      /* strides over groups and over channels of the correlation's output and input */
    int place[NC_CONV_MAX_TAPS]; /* of each weight among the correlation's taps, -1: none */
} nc_correlation_weights;

/* How one correlation is carried out. Sizes count floats. */
typedef struct nc_correlator {
    int64_t (*packed)(const nc_correlation *c);
    void (*pack)(const nc_correlation *c, const nc_correlation_weights *from, float *packed, nacre_team *team);
    int64_t (*scratch)(const nc_correlation *c, int threads);
    void (*run)(const nc_correlation *c, float *scratch, nacre_team *team);
} nc_correlator;

/* [group][panel][tap][input channel][NC_TILE_COLUMNS], as tiles read them. */
int64_t nc_isa(nc_correlation_panel_floats)(const nc_correlation *c);
void nc_isa(nc_correlation_pack_panels)(const nc_correlation *c, const nc_correlation_weights *from, float *packed,
                                        nacre_team *team);

/* As parts of kernels for "conv" and "conv_backward_data". */
enum { NC_CORRELATION_WEIGHTS = 1 }; /* the prepared operand */
size_t nc_isa(nc_correlation_prepared)(const nc_correlator *how, const nacre_node_info *info);
void nc_isa(nc_correlation_prepare)(const nc_correlator *how, const nacre_call *call);
size_t nc_isa(nc_correlation_workspace)(const nc_correlator *how, const nacre_node_info *info);
void nc_isa(nc_correlation_run)(const nc_correlator *how, const nacre_call *call);
/* The two kernels of an algorithm. */
#define NC_CORRELATION_KERNELS(name, how, refusal, passed_over)                                                        \
    static size_t prepared(const nacre_node_info *info)                                                                \
    {                                                                                                                  \
        return nc_isa(nc_correlation_prepared)(&how, info);                                                            \
    }                                                                                                                  \
    static void prepare(const nacre_call *call)                                                                        \
    {                                                                                                                  \
        nc_isa(nc_correlation_prepare)(&how, call);                                                                    \
    }                                                                                                                  \
    static size_t workspace(const nacre_node_info *info)                                                               \
    {                                                                                                                  \
        return nc_isa(nc_correlation_workspace)(&how, info);                                                           \
    }                                                                                                                  \
    static void run(const nacre_call *call)                                                                            \
    {                                                                                                                  \
        nc_isa(nc_correlation_run)(&how, call);                                                                        \
    }                                                                                                                  \
    NC_CORRELATION_KERNEL(conv, name, refusal, passed_over)                                                            \
    NC_CORRELATION_KERNEL(conv_backward_data, name, refusal, passed_over)
#define NC_CORRELATION_KERNEL(operation, name, refusal, passed_over)                                                   \
    const nacre_kernel nc_isa(nc_##operation##_##name##_kernel) = {.op = #operation,                                   \
                                                                   .variant = #name "_" NC_ISA_NAME,                   \
                                                                   .flags = NACRE_KERNEL_CHANNELS_LAST,                \
                                                                   .can = refusal,                                     \
                                                                   .slower = passed_over,                              \
                                                                   .workspace = workspace,                             \
                                                                   .prepared = prepared,                               \
                                                                   .prepare = prepare,                                 \
                                                                   .prepared_operand = NC_CORRELATION_WEIGHTS,         \
                                                                   .run = run};

/* Adds up private copies [slot][group][panel][tap][input channel][NC_TILE_COLUMNS] of the gradient of the weights, in
 * the order of the slots, and writes it as O,I,H,W. The first copy is destroyed. */
void nc_isa(nc_conv_add_slots)(const nc_conv *conv, float *sums, int64_t slots, float *dw, nacre_team *team);
static inline int64_t nc_conv_slot_floats(const nc_conv *conv)
{
    return conv->groups * nc_round_up(conv->out_channels / conv->groups, NC_TILE_COLUMNS) *
           (conv->in_channels / conv->groups) * conv->kernel[0] * conv->kernel[1];
}

/* columns[k] = the k-th of `count` contiguous floats of each of `lanes` lines, `line` floats apart. */
NC_ALWAYS_INLINE void nc_load_columns(const float *from, int64_t line, int64_t lanes, int64_t count,
                                      nc_vec columns[NC_LANES])
{
    NC_UNROLL
    for (int i = 0; i < NC_LANES; i++) columns[i] = i < lanes ? nc_load_some(from + i * line, count) : (nc_vec){0};
    nc_transpose(columns);
}

#endif

/* cpu/simd/elementwise.c - chains of element-wise operations, tile by tile.
 *
 * A tile is short enough for all intermediate results of a chain to stay in the first-level cache. Each step is one
 * pass over the tile; sources that lie dense in memory are read in place, small repeated ones (a bias, a scalar) are
 * laid out once so that any tile finds its elements in a row, everything else is gathered into scratch. */
#include "cpu/chain.h"
#include "cpu/elementwise.h"
#include "cpu/share.h"
#include "cpu/simd/half.h"
#include "cpu/simd/math.h"

#include <stdlib.h>

enum {
#ifdef NACRE_STRESS
    TILE = 2 * NC_LANES,
    PART = 3 * TILE,
#else
    TILE = 1024,
    PART = 16 * TILE, /* what a thread takes at a time */
#endif
};

/* ---- functions that the table uses ------------------------------------------------------------------------------ */

NC_ALWAYS_INLINE nc_vec truth(nc_mask mask)
{
    return nc_select(mask, nc_splat(1.0f), (nc_vec){0});
}

/* NaN stays NaN. */
NC_ALWAYS_INLINE nc_vec bounded(nc_vec x, nc_vec low, nc_vec high)
{
    return nc_select(nc_less(x, low), low, nc_select(nc_less(high, x), high, x));
}

NC_ALWAYS_INLINE nc_vec softshrink(nc_vec x, nc_vec width)
{
    return nc_select(nc_less(width, x), x - width, nc_select(nc_less(x, -width), x + width, 0.0f * x));
}

/* log(1 + e^x) without overflow. */
NC_ALWAYS_INLINE nc_vec softplus(nc_vec x)
{
    return nc_max((nc_vec){0}, x) + nc_log1p(nc_exp(-nc_abs(x)));
}

NC_ALWAYS_INLINE nc_vec silu_slope(nc_vec x)
{
    const nc_vec s = nc_sigmoid(x);
    return s * (1.0f + x * (1.0f - s));
}

/* The slope of x times the normal distribution function, less a half, is odd: x p(x^2) / q(x^2), to 2e-7. From 5.8 on
 * it is 1. */
NC_ALWAYS_INLINE nc_vec normal_slope(nc_vec x)
{
    static const float p[] = {0.797884583f,    -0.0438772812f,   0.0146101275f,   -0.000186417616f,
                              3.25808905e-05f, -1.65674905e-07f, 3.44807782e-09f, -1.92022648e-11f};
    static const float q[] = {1.0f, 0.278342187f, 0.0360889621f, 0.00282887788f, 0.000141295139f, 4.87626721e-06f};
    const nc_vec c = nc_within(x, 5.8f), z = c * c;
    return c * nc_polynomial(z, p, 7) / nc_polynomial(z, q, 5) + 0.5f;
}

NC_ALWAYS_INLINE nc_vec gelu_slope(nc_vec x, const int64_t *attributes)
{
    if (!attributes[0]) return normal_slope(x);
    const nc_vec t = nc_tanh_of_cubic(x);
    return 0.5f * (1.0f + t + x * (1.0f - t * t) * NC_SQRT_2_OVER_PI * (1.0f + 3 * NC_CUBIC * x * x));
}

/* ---- steps ------------------------------------------------------------------------------------------------------- */

typedef void step_function(float *y, const float *const *x, int64_t count, const int64_t *attributes);

#define w(index) nc_splat((float)nacre_unword(attributes[index]))

/* `a`, `b` and `c` of absent sources are source 0 and are not used. */
#define STEP(name, result, unused)                                                                                     \
    static void step_##name(float *y, const float *const *x, int64_t count, const int64_t *attributes)                 \
    {                                                                                                                  \
        const nc_vec zero = {0};                                                                                       \
        (void)zero, (void)attributes;                                                                                  \
        int64_t i = 0;                                                                                                 \
        for (; i + NC_LANES <= count; i += NC_LANES) {                                                                 \
            const nc_vec a = nc_load(x[0] + i), b = nc_load(x[1] + i), c = nc_load(x[2] + i);                          \
            (void)b, (void)c;                                                                                          \
            nc_store(y + i, result);                                                                                   \
        }                                                                                                              \
        if (i == count) return;                                                                                        \
        const int64_t left = count - i;                                                                                \
        const nc_vec a = nc_load_some(x[0] + i, left), b = nc_load_some(x[1] + i, left),                               \
                     c = nc_load_some(x[2] + i, left);                                                                 \
        (void)b, (void)c;                                                                                              \
        nc_store_some(y + i, result, left);                                                                            \
    }
NC_ELEMENTWISE_TABLE(STEP, )
#undef w

static const struct entry {
    const char *name;
    step_function *function;
} ENTRIES[] = {
#define ENTRY(name, result, unused) {#name, step_##name},
    NC_ELEMENTWISE_TABLE(ENTRY, )};

static int compare_entries(const void *name, const void *entry)
{
    return strcmp(name, ((const struct entry *)entry)->name);
}

static step_function *find_step(const nacre_op *op)
{
    const struct entry *entry =
        bsearch(op->name, ENTRIES, sizeof ENTRIES / sizeof *ENTRIES, sizeof *ENTRIES, compare_entries);
    return entry ? entry->function : NULL;
}

/* ---- tiles ------------------------------------------------------------------------------------------------------- */

typedef struct run {
    nc_walk walk;
    nc_program program;
    step_function *functions[NACRE_CHAIN_MAX_STEPS];
    const int64_t *attributes[NACRE_CHAIN_MAX_STEPS];
    float *patterns[NC_CHAIN_MAX_OPERANDS]; /* of periodic operands: TILE + period elements; NULL for the others */
    float *scratch;                         /* for each thread: slots, then a tile for each operand */
    void *y;
    nacre_dtype y_dtype;
    bool streamed; /* the result goes around the cache */
} run;

static size_t thread_floats(const run *r)
{
    return (size_t)(r->program.slot_count + r->walk.operand_count) * TILE;
}

static bool has_pattern(const nc_operand *operand)
{
    return operand->kind == NC_OPERAND_PERIODIC && operand->period <= TILE;
}

static size_t pattern_floats(const nc_operand *operand)
{
    return has_pattern(operand) ? (size_t)nc_round_up(TILE + operand->period, NC_LANES) : 0;
}

static const float *operand_tile(const run *r, int index, int64_t start, int64_t count, float *scratch)
{
    const nc_operand *operand = &r->walk.operands[index];
    if (operand->kind == NC_OPERAND_DENSE && operand->dtype == NACRE_F32) return (const float *)operand->data + start;
    if (has_pattern(operand)) return r->patterns[index] + start % operand->period;
    float *values = scratch + (r->program.slot_count + index) * TILE;
    if (operand->kind == NC_OPERAND_DENSE && nc_is_half(operand->dtype)) {
        nc_widen(operand->dtype, (const uint16_t *)operand->data + start, count, values);
        return values;
    }
    nc_walk_gather(&r->walk, operand, start, count, values);
    return values;
}

static void run_tile(const run *r, int64_t start, int64_t count, float *scratch)
{
    const int last = r->program.step_count - 1;
    const float *operands[NC_CHAIN_MAX_OPERANDS];
    for (int i = 0; i < r->walk.operand_count; i++) operands[i] = operand_tile(r, i, start, count, scratch);
    for (int k = 0; k <= last; k++) {
        const nc_program_step *step = &r->program.steps[k];
        const float *x[NACRE_CHAIN_MAX_SOURCES];
        for (int i = 0; i < NACRE_CHAIN_MAX_SOURCES; i++) {
            const int source = step->sources[i < step->source_count ? i : 0];
            x[i] = source >= 0 ? operands[source] : scratch + (-1 - source) * TILE;
        }
        const bool to_output = k == last && r->y_dtype == NACRE_F32 && !r->streamed;
        float *y = to_output ? (float *)r->y + start : scratch + step->slot * TILE;
        r->functions[k](y, x, count, r->attributes[k]);
    }
    const float *result = scratch + r->program.steps[last].slot * TILE;
    if (r->streamed) nc_stream_row((float *)r->y + start, result, count);
    if (r->y_dtype == NACRE_F32) return;
    if (nc_is_half(r->y_dtype))
        nc_narrow(r->y_dtype, result, count, (uint16_t *)r->y + start);
    else
        for (int64_t i = 0; i < count; i++) ((uint8_t *)r->y)[start + i] = result[i] != 0;
}

static void run_part(void *user, int64_t index, int thread)
{
    const run *r = user;
    const int64_t end = nc_least((index + 1) * PART, r->walk.count);
    float *scratch = r->scratch + (size_t)thread * thread_floats(r);
    for (int64_t start = index * PART; start < end; start += TILE)
        run_tile(r, start, nc_least(end - start, TILE), scratch);
    if (r->streamed) nc_stream_end();
}

/* A large result whose memory is no operand's. */
static bool is_streamed(const run *r)
{
    bool streamed = r->y_dtype == NACRE_F32 && nc_is_streamed(r->y, r->walk.count);
    for (int i = 0; i < r->walk.operand_count; i++) streamed = streamed && r->walk.operands[i].data != r->y;
    return streamed;
}

static void prepare(run *r, const nacre_chain *chain, const nacre_view *inputs, int input_count,
                    const nacre_view *output)
{
    nc_walk_make(&r->walk, inputs, input_count, output);
    nc_program_make(&r->program, chain);
    r->y = output->data;
    r->y_dtype = output->dtype;
    r->streamed = false;
}

static size_t workspace(const nacre_node_info *info)
{
    run r;
    nacre_chain single;
    if (!info->chain) nc_chain_single(&single, info->op, info->attributes, &info->outputs[0], info->input_count);
    prepare(&r, info->chain ? info->chain : &single, info->inputs, info->input_count, &info->outputs[0]);
    size_t floats = (size_t)info->threads * thread_floats(&r);
    for (int i = 0; i < r.walk.operand_count; i++) floats += pattern_floats(&r.walk.operands[i]);
    return floats * sizeof(float);
}

static void run_call(const nacre_call *call)
{
    run r;
    nacre_chain single;
    const nacre_chain *chain = call->chain ? call->chain : &single;
    if (!call->chain) nc_chain_single(&single, call->op, call->attributes, &call->outputs[0], call->input_count);
    prepare(&r, chain, call->inputs, call->input_count, &call->outputs[0]);
    if (r.walk.count == 0) return;
    for (int k = 0; k < chain->count; k++) {
        r.functions[k] = find_step(chain->steps[k].op);
        r.attributes[k] = chain->steps[k].attributes;
    }
    float *free = call->workspace;
    for (int i = 0; i < r.walk.operand_count; i++) {
        const nc_operand *operand = &r.walk.operands[i];
        r.patterns[i] = free;
        free += pattern_floats(operand);
        if (!has_pattern(operand)) continue;
        nc_walk_gather(&r.walk, operand, 0, operand->period, r.patterns[i]);
        for (int64_t k = operand->period; k < TILE + operand->period; k++)
            r.patterns[i][k] = r.patterns[i][k - operand->period];
    }
    r.scratch = free;
    r.streamed = is_streamed(&r);
    nacre_parallel(call->team, nc_ceil_div(r.walk.count, PART), run_part, &r);
}

/* ---- as kernels -------------------------------------------------------------------------------------------------- */

static const char *refuse(const nacre_node_info *info)
{
    nacre_chain single;
    if (!info->chain) {
        if (info->input_count > NACRE_CHAIN_MAX_SOURCES) return "too many operands";
        nc_chain_single(&single, info->op, info->attributes, &info->outputs[0], info->input_count);
    }
    const nacre_chain *chain = info->chain ? info->chain : &single;
    for (int k = 0; k < chain->count; k++)
        if (!find_step(chain->steps[k].op)) return "no vector form of an operation";
    return nc_chain_refusal(chain, info->inputs, info->input_count, &info->outputs[0]);
}

#define KERNEL(name, result, unused)                                                                                   \
    const nacre_kernel nc_isa(nc_elementwise_kernel_##name) = {                                                        \
        .op = #name,                                                                                                   \
        .variant = "tiled_" NC_ISA_NAME,                                                                               \
        .flags = NACRE_KERNEL_IN_PLACE | NACRE_KERNEL_ANY_LAYOUT | NACRE_KERNEL_MIXED,                                 \
        .can = refuse,                                                                                                 \
        .workspace = workspace,                                                                                        \
        .run = run_call,                                                                                               \
    };
KERNEL(fused, , )
NC_ELEMENTWISE_TABLE(KERNEL, )

/* cpu/simd/dropout.c - dropout. Element i is dropped by bits that are a function of seed, stream and i alone
 * (nacre_element_bits), so neither threads nor memory order matter; a block of the generator serves four elements. */
#include "cpu/share.h"
#include "cpu/simd/simd.h"

#include <nacre/backend.h>
#include <nacre/random.h>

enum { PROBABILITY, STREAM, MASK_AXES }; /* attribute words */
#ifdef NACRE_STRESS
enum { PART = 16 };
#else
enum { PART = 1 << 13 }; /* elements of a task, a multiple of four */
#endif

typedef struct dropout {
    const float *x;
    float *y;
    int64_t masks, shared; /* draws, and the elements that share each */
    uint64_t seed, limit;  /* dropped below */
    uint32_t stream;
    float scale;
} dropout;

/* Four elements with a draw of their own each. */
static void drop_four(const dropout *d, int64_t first, int64_t count)
{
    uint32_t bits[4];
    nacre_element_block(d->seed, d->stream, (uint64_t)first / 4, bits);
    for (int64_t i = 0; i < count; i++) d->y[first + i] = bits[i] < d->limit ? 0 : d->x[first + i] * d->scale;
}

static void drop_part(void *user, int64_t index, int thread)
{
    (void)thread;
    const dropout *d = user;
    const int64_t end = nc_least((index + 1) * PART, d->masks);
    for (int64_t i = index * PART; i < end; i += 4) drop_four(d, i, nc_least(end - i, 4));
}

/* Elements that share a draw lie side by side. */
static void drop_group(void *user, int64_t index, int thread)
{
    (void)thread;
    const dropout *d = user;
    const uint32_t bits = nacre_element_bits(d->seed, d->stream, (uint64_t)index);
    const float *x = d->x + index * d->shared;
    float *y = d->y + index * d->shared;
    for (int64_t i = 0; i < d->shared; i++) y[i] = bits < d->limit ? 0 : x[i] * d->scale;
}

static const char *refuse(const nacre_node_info *info)
{
    return info->outputs[0].dtype == NACRE_F32 ? NULL : "computes f32 only";
}

static void run_call(const nacre_call *call)
{
    const nacre_shape *shape = &call->outputs[0].shape;
    const double p = nacre_unword(call->attributes[PROBABILITY]);
    const int mask_axes = call->attributes[MASK_AXES] ? (int)call->attributes[MASK_AXES] : shape->rank;
    dropout d = {.x = call->inputs[0].data,
                 .y = call->outputs[0].data,
                 .masks = 1,
                 .shared = 1,
                 .limit = nacre_chance_limit(p),
                 .stream = (uint32_t)call->attributes[STREAM],
                 .scale = (float)(1 / (1 - p))};
    memcpy(&d.seed, call->inputs[1].data, sizeof d.seed);
    for (int i = 0; i < shape->rank; i++) *(i < mask_axes ? &d.masks : &d.shared) *= shape->dims[i];
    if (d.shared == 1)
        nacre_parallel(call->team, nc_ceil_div(d.masks, PART), drop_part, &d);
    else
        nacre_parallel(call->team, d.masks, drop_group, &d);
}

const nacre_kernel nc_isa(nc_dropout_kernel) = {
    .op = "dropout", .variant = "blocks_" NC_ISA_NAME, .flags = NACRE_KERNEL_IN_PLACE, .can = refuse, .run = run_call};

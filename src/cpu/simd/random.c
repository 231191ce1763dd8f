/* cpu/simd/random.c - tensors of random numbers, with the bits of the reference. An element's number is a function of
 * seed, stream and its place alone (nacre_element_block), so neither threads nor vectors change it: blocks of the
 * generator are worked out side by side, and every number takes the same operations in the same order. */
#include "cpu/share.h"
#include "cpu/simd/simd.h"

#include <nacre/backend.h>
#include <nacre/random.h>

enum { STREAM = 2 + NACRE_MAX_RANK, FIRST, SECOND }; /* attribute words */
enum { BLOCK = 4 };                                  /* numbers that a block of the generator gives */
#ifdef NACRE_STRESS
enum { BLOCKS = 4, PART = 2 * BLOCKS * BLOCK };
#else
enum { BLOCKS = 64, PART = 1 << 9 }; /* blocks side by side; elements of a task, a multiple of BLOCKS * BLOCK */
#endif

typedef struct draws {
    float *y;
    int64_t count;
    uint64_t seed;
    uint32_t stream;
    double first, second;
    void (*numbers)(const struct draws *, const uint32_t *bits, float *y);
} draws;

/* bits[i]: those of element 4 `block` + i. */
static void draw_bits(const draws *d, uint64_t block, uint32_t bits[BLOCKS * BLOCK])
{
    for (int i = 0; i < BLOCKS; i++)
        nacre_element_block(d->seed, d->stream, block + (uint64_t)i, bits + (size_t)i * BLOCK);
}

static void uniform(const draws *d, const uint32_t *bits, float *y)
{
    for (int i = 0; i < BLOCKS * BLOCK; i++)
        y[i] = (float)(d->first + (d->second - d->first) * (double)nacre_uniform(bits[i]));
}

static void normal(const draws *d, const uint32_t *bits, float *y)
{
    for (int i = 0; i < BLOCKS * BLOCK / 2; i++) {
        float pair[2];
        nacre_normal(bits[2 * i], bits[2 * i + 1], pair);
        y[2 * i] = (float)(d->first + d->second * (double)pair[0]);
        y[2 * i + 1] = (float)(d->first + d->second * (double)pair[1]);
    }
}

static void bernoulli(const draws *d, const uint32_t *bits, float *y)
{
    const uint64_t limit = nacre_chance_limit(d->first);
    for (int i = 0; i < BLOCKS * BLOCK; i++) y[i] = bits[i] < limit ? 1.0f : 0.0f;
}

static void draw_part(void *user, int64_t index, int thread)
{
    (void)thread;
    const draws *d = user;
    const int64_t end = nc_least((index + 1) * PART, d->count);
    uint32_t bits[BLOCKS * BLOCK];
    float rest[BLOCKS * BLOCK];
    for (int64_t i = index * PART; i < end; i += BLOCKS * BLOCK) {
        draw_bits(d, (uint64_t)i / BLOCK, bits);
        const bool whole = end - i >= BLOCKS * BLOCK;
        d->numbers(d, bits, whole ? d->y + i : rest);
        if (!whole) memcpy(d->y + i, rest, sizeof(float) * (size_t)(end - i));
    }
}

static void run_draws(const nacre_call *call, void (*numbers)(const draws *, const uint32_t *, float *))
{
    draws d = {.y = call->outputs[0].data,
               .count = nacre_shape_count(call->outputs[0].shape),
               .stream = (uint32_t)call->attributes[STREAM],
               .first = nacre_unword(call->attributes[FIRST]),
               .second = nacre_unword(call->attributes[SECOND]),
               .numbers = numbers};
    memcpy(&d.seed, call->inputs[0].data, sizeof d.seed);
    nacre_parallel(call->team, nc_ceil_div(d.count, PART), draw_part, &d);
}

static void run_uniform(const nacre_call *call)
{
    run_draws(call, uniform);
}

static void run_normal(const nacre_call *call)
{
    run_draws(call, normal);
}

static void run_bernoulli(const nacre_call *call)
{
    run_draws(call, bernoulli);
}

static const char *refuse(const nacre_node_info *info)
{
    return info->outputs[0].dtype == NACRE_F32 ? NULL : "computes f32 only";
}

const nacre_kernel nc_isa(nc_random_uniform_kernel) = {
    .op = "random_uniform", .variant = "blocks_" NC_ISA_NAME, .can = refuse, .run = run_uniform};
const nacre_kernel nc_isa(nc_random_normal_kernel) = {
    .op = "random_normal", .variant = "blocks_" NC_ISA_NAME, .can = refuse, .run = run_normal};
const nacre_kernel nc_isa(nc_random_bernoulli_kernel) = {
    .op = "random_bernoulli", .variant = "blocks_" NC_ISA_NAME, .can = refuse, .run = run_bernoulli};

/* cpu/ceiling.c - what this processor can do at most, for kernels to be measured against. */
#include "cpu/ceiling.h"

#include "core/context.h"
#include "cpu/half_product.h"

typedef struct loops {
    int lanes; /* numbers a vector: floats, or bf16 in pairs */
    float (*multiply_adds)(void);
    void (*triad)(float *a, const float *b, const float *c, int64_t count);
    uint32_t (*read)(const char *data, int64_t lines);
} loops;

static loops loops_of(const nacre_context *context, nacre_dtype dtype)
{
#if defined(__x86_64__)
    if (context->instruction_set == NACRE_ISA_AVX512 && dtype == NACRE_BF16 && nc_has_bf16_pairs())
        return (loops){32, nc_multiply_pairs_avx512, nc_triad_avx512, nc_read_avx512};
    if (context->instruction_set == NACRE_ISA_AVX512)
        return (loops){16, nc_multiply_adds_avx512, nc_triad_avx512, nc_read_avx512};
    if (context->instruction_set == NACRE_ISA_AVX2)
        return (loops){8, nc_multiply_adds_avx2, nc_triad_avx2, nc_read_avx2};
#else
    (void)context, (void)dtype;
#endif
    return (loops){4, nc_multiply_adds_base, nc_triad_base, nc_read_base};
}

/* ---- arithmetic ---- */

static void multiply_add(void *user, int64_t index, int thread)
{
    (void)index, (void)thread;
    const loops *chosen = user;
    chosen->multiply_adds();
}

double nacre_exercise_arithmetic(nacre_context *context, nacre_dtype dtype)
{
    loops chosen = loops_of(context, dtype);
    const int64_t pieces = (int64_t)16 * nacre_team_size(context->team); /* many, so that all threads end together */
    nacre_parallel(context->team, pieces, multiply_add, &chosen);
    return 2.0 * chosen.lanes * NC_CEILING_CHAINS * NC_CEILING_STEPS * (double)pieces;
}

/* ---- memory ---- */

typedef struct triad {
    loops chosen;
    float *a;
    const float *b, *c;
    int64_t count;
} triad;

enum { BLOCK = 1 << 16 }; /* floats */

static void add_block(void *user, int64_t index, int thread)
{
    (void)thread;
    const triad *t = user;
    const int64_t first = index * BLOCK, left = t->count - first;
    t->chosen.triad(t->a + first, t->b + first, t->c + first, left < BLOCK ? left : BLOCK);
}

double nacre_exercise_memory(nacre_context *context, float *a, const float *b, const float *c, int64_t count)
{
    triad t = {loops_of(context, NACRE_F32), a, b, c, count};
    nacre_parallel(context->team, (count + BLOCK - 1) / BLOCK, add_block, &t);
    return 3.0 * sizeof(float) * (double)count;
}

typedef struct reading {
    loops chosen;
    const char *data;
    int64_t lines;
} reading;

enum { BLOCK_LINES = 1 << 13 };

static void read_block(void *user, int64_t index, int thread)
{
    (void)thread;
    const reading *r = user;
    const int64_t first = index * BLOCK_LINES, left = r->lines - first;
    r->chosen.read(r->data + first * NC_CEILING_LINE, left < BLOCK_LINES ? left : BLOCK_LINES);
}

double nacre_exercise_reading(nacre_context *context, const void *data, size_t bytes)
{
    reading r = {loops_of(context, NACRE_F32), data, (int64_t)(bytes / NC_CEILING_LINE)};
    nacre_parallel(context->team, (r.lines + BLOCK_LINES - 1) / BLOCK_LINES, read_block, &r);
    return (double)NC_CEILING_LINE * (double)r.lines;
}

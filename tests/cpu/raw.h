/* tests/cpu/raw.h - what the tests of raw kernels share: random numbers, aligned memory, each instruction set. */
#ifndef NC_TEST_KERNELS_H
#define NC_TEST_KERNELS_H

#include "test.h"

#include <nacre/nacre.h>

#include "core/team.h"

#include <stdlib.h>

/* One entry per instruction set the library was compiled for: {base, avx2, avx512}; the run-time level says how many
 * of them this machine can execute. */
#if defined(__x86_64__)
#define NC_ISA_TABLE(name)                                                                                             \
    {                                                                                                                  \
        name##_base, name##_avx2, name##_avx512                                                                        \
    }
#else
#define NC_ISA_TABLE(name)                                                                                             \
    {                                                                                                                  \
        name##_base                                                                                                    \
    }
#endif

static inline int nc_isa_levels(void)
{
    return (int)nacre_machine_info()->best + 1;
}

static inline double nc_random_unit(uint64_t *state) /* uniform in [-1, 1); a multiplicative generator does here */
{
    *state = *state * 6364136223846793005u + 1442695040888963407u;
    return (double)(int64_t)(*state >> 11) * 0x1p-52 - 1;
}

static inline void nc_fill_random(float *values, int64_t count, uint64_t seed)
{
    for (int64_t i = 0; i < count; i++) values[i] = (float)nc_random_unit(&seed);
}

/* 64-byte aligned, freed with free. */
static inline void *nc_test_memory(size_t size)
{
    return aligned_alloc(64, (size + 64) / 64 * 64);
}

#endif

/* cpu/ceiling.h - the loops behind nacre_exercise_arithmetic, _memory and _reading, one for each instruction set. */
#ifndef NC_CPU_CEILING_H
#define NC_CPU_CEILING_H

#include <stdint.h>

/* multiply_adds does CHAINS * STEPS vector multiply-adds, two operations a lane each. Two a cycle with a latency of
 * four or five need ten under way; base has sixteen registers. */
enum { NC_CEILING_CHAINS = 12, NC_CEILING_STEPS = 1 << 16 };
enum { NC_CEILING_LINE = 64 }; /* bytes */

#define NC_CEILING_DECLARE(isa)                                                                                        \
    float nc_multiply_adds_##isa(void);                                                                                \
    void nc_triad_##isa(float *a, const float *b, const float *c, int64_t count);                                      \
    uint32_t nc_read_##isa(const char *data, int64_t lines);
NC_CEILING_DECLARE(base)
#if defined(__x86_64__)
NC_CEILING_DECLARE(avx2)
NC_CEILING_DECLARE(avx512)
/* The same of pairs of bf16, four operations a lane each: AVX-512 BF16. */
float nc_multiply_pairs_avx512(void);
#endif

#endif

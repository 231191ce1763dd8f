/* cpu/simd/half.h - numbers of 16 bits to vectors of float and back, rounding to nearest even. */
#ifndef NC_CPU_HALF_H
#define NC_CPU_HALF_H

#include "core/dtype.h"
#include "cpu/simd/simd.h"

typedef uint16_t nc_halves __attribute__((vector_size(NC_VECTOR_BYTES / 2)));
typedef uint16_t nc_halves_any __attribute__((vector_size(NC_VECTOR_BYTES / 2), aligned(2), may_alias));

NC_ALWAYS_INLINE nc_vec nc_widen_bf16(nc_halves bits)
{
    return (nc_vec)(__builtin_convertvector(bits, nc_vecu) << 16);
}

NC_ALWAYS_INLINE nc_vec nc_load_bf16(const uint16_t *p)
{
    return nc_widen_bf16(*(const nc_halves_any *)p);
}

NC_ALWAYS_INLINE void nc_store_bf16(uint16_t *p, nc_vec v)
{
    const nc_vecu bits = (nc_vecu)v;
    const nc_vecu rounded = (bits + 0x7fffu + (bits >> 16 & 1u)) >> 16;
    const nc_vecu kept = (nc_vecu)nc_selecti(nc_equal(v, v), (nc_veci)rounded, (nc_veci)(bits >> 16 | 64u)); /* NaN */
    *(nc_halves_any *)p = __builtin_convertvector(kept, nc_halves);
}

NC_ALWAYS_INLINE nc_vec nc_load_f16(const uint16_t *p)
{
#if defined(NC_ISA_avx512)
    return (nc_vec)_mm512_cvtph_ps(_mm256_loadu_si256((const __m256i *)(const void *)p));
#elif defined(NC_ISA_avx2)
    return (nc_vec)_mm256_cvtph_ps(_mm_loadu_si128((const __m128i *)(const void *)p));
#else
    nc_vec v;
    for (int i = 0; i < NC_LANES; i++) v[i] = nc_f16_to_f32(p[i]);
    return v;
#endif
}

NC_ALWAYS_INLINE void nc_store_f16(uint16_t *p, nc_vec v)
{
#if defined(NC_ISA_avx512)
    _mm256_storeu_si256((__m256i *)(void *)p, _mm512_cvtps_ph((__m512)v, _MM_FROUND_TO_NEAREST_INT));
#elif defined(NC_ISA_avx2)
    _mm_storeu_si128((__m128i *)(void *)p, _mm256_cvtps_ph((__m256)v, _MM_FROUND_TO_NEAREST_INT));
#else
    for (int i = 0; i < NC_LANES; i++) p[i] = nc_f32_to_f16(v[i]);
#endif
}

/* The first `count` (at most NC_LANES) halves, the others zero, and their memory is not touched. */
NC_ALWAYS_INLINE nc_halves nc_load_halves(const uint16_t *from, int64_t count)
{
#if defined(NC_ISA_avx512)
    return (nc_halves)_mm256_maskz_loadu_epi16((__mmask16)((1u << count) - 1u), from);
#else
    uint16_t some[NC_LANES] = {0};
    memcpy(some, from, (size_t)count * sizeof *from);
    return *(const nc_halves_any *)some;
#endif
}

/* `count` numbers from element `offset` on, a vector at most, the other lanes zero; the type is f32 or of 16 bits. */
NC_ALWAYS_INLINE nc_vec nc_load_as(nacre_dtype dtype, const void *base, int64_t offset, int64_t count)
{
    if (dtype == NACRE_F32)
        return count >= NC_LANES ? nc_load((const float *)base + offset)
                                 : nc_load_some((const float *)base + offset, count);
    const uint16_t *from = (const uint16_t *)base + offset;
    if (dtype == NACRE_BF16) return count >= NC_LANES ? nc_load_bf16(from) : nc_widen_bf16(nc_load_halves(from, count));
    if (count >= NC_LANES) return nc_load_f16(from);
    uint16_t some[NC_LANES];
    *(nc_halves_any *)some = nc_load_halves(from, count);
    return nc_load_f16(some);
}

/* The first `count` (at most NC_LANES) of the halves; no other memory is touched. */
NC_ALWAYS_INLINE void nc_store_halves(uint16_t *to, nc_halves halves, int64_t count)
{
#if defined(NC_ISA_avx512)
    _mm256_mask_storeu_epi16(to, (__mmask16)((1u << count) - 1u), (__m256i)halves);
#else
    memcpy(to, &halves, (size_t)count * sizeof *to);
#endif
}

NC_ALWAYS_INLINE void nc_store_as(nacre_dtype dtype, void *base, int64_t offset, nc_vec v, int64_t count)
{
    if (dtype == NACRE_F32) {
        nc_store_some((float *)base + offset, v, count);
        return;
    }
    uint16_t some[NC_LANES], *to = (uint16_t *)base + offset, *place = count == NC_LANES ? to : some;
    if (dtype == NACRE_BF16)
        nc_store_bf16(place, v);
    else
        nc_store_f16(place, v);
    if (place != to) nc_store_halves(to, *(const nc_halves_any *)some, count);
}

static inline void nc_widen(nacre_dtype dtype, const uint16_t *from, int64_t count, float *to)
{
    int64_t i = 0;
    if (dtype == NACRE_BF16) {
        for (; i + NC_LANES <= count; i += NC_LANES) nc_store(to + i, nc_load_bf16(from + i));
        for (; i < count; i++) to[i] = nc_bf16_to_f32(from[i]);
    } else {
        for (; i + NC_LANES <= count; i += NC_LANES) nc_store(to + i, nc_load_f16(from + i));
        for (; i < count; i++) to[i] = nc_f16_to_f32(from[i]);
    }
}

static inline void nc_narrow(nacre_dtype dtype, const float *from, int64_t count, uint16_t *to)
{
    int64_t i = 0;
    if (dtype == NACRE_BF16) {
        for (; i + NC_LANES <= count; i += NC_LANES) nc_store_bf16(to + i, nc_load(from + i));
        for (; i < count; i++) to[i] = nc_f32_to_bf16(from[i]);
    } else {
        for (; i + NC_LANES <= count; i += NC_LANES) nc_store_f16(to + i, nc_load(from + i));
        for (; i < count; i++) to[i] = nc_f32_to_f16(from[i]);
    }
}

#endif

/* cpu/simd/simd.h - one vector of numbers, the same source for every instruction set.
 *
 * Files in this folder are compiled once per instruction set with NC_ISA set to its name; nc_isa(f) gives each copy
 * of a function its own name. GCC's and clang's vector extensions do the arithmetic (a + b, a * b, comparisons);
 * what they cannot express stands here, with intrinsics only where the portable form would be slow.
 *
 *     nc_vec    NC_LANES floats          nc_vec64  NC_LANES64 doubles          nc_veci  NC_LANES 32-bit integers
 *     nc_mask   one truth value per lane, made by nc_less and friends, used by nc_select
 */
#ifndef NC_CPU_SIMD_H
#define NC_CPU_SIMD_H

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#if defined(__AVX2__)
#include <immintrin.h>
#elif defined(__aarch64__)
#include <arm_neon.h>
#endif

#define NC_PASTE_(a, b)  a##_##b
#define NC_PASTE(a, b)   NC_PASTE_(a, b)
#define nc_isa(name)     NC_PASTE(name, NC_ISA)
#define NC_STRING_(text) #text
#define NC_STRING(text)  NC_STRING_(text)
#define NC_ISA_NAME      NC_STRING(NC_ISA)
#define NC_ALWAYS_INLINE static inline __attribute__((always_inline))
#if defined(__clang__)
#define NC_UNROLL _Pragma("clang loop unroll(full)") /* before a loop with constant bounds */
#else
#define NC_UNROLL _Pragma("GCC unroll 32")
#endif

#if defined(NC_ISA_avx512)
#define NC_VECTOR_BYTES 64
#elif defined(NC_ISA_avx2)
#define NC_VECTOR_BYTES 32
#else
#define NC_VECTOR_BYTES 16
#endif
#define NC_LANES   (NC_VECTOR_BYTES / 4)
#define NC_LANES64 (NC_VECTOR_BYTES / 8)

typedef float nc_vec __attribute__((vector_size(NC_VECTOR_BYTES)));
typedef double nc_vec64 __attribute__((vector_size(NC_VECTOR_BYTES)));
typedef int32_t nc_veci __attribute__((vector_size(NC_VECTOR_BYTES)));
typedef int64_t nc_veci64 __attribute__((vector_size(NC_VECTOR_BYTES)));
typedef uint32_t nc_vecu __attribute__((vector_size(NC_VECTOR_BYTES)));
/* The same at any address. */
typedef float nc_vec_any __attribute__((vector_size(NC_VECTOR_BYTES), aligned(4), may_alias));
typedef double nc_vec64_any __attribute__((vector_size(NC_VECTOR_BYTES), aligned(8), may_alias));
typedef int32_t nc_veci_any __attribute__((vector_size(NC_VECTOR_BYTES), aligned(4), may_alias));

/* ---- memory ------------------------------------------------------------------------------------------------------ */

NC_ALWAYS_INLINE nc_vec nc_load(const float *p)
{
    return *(const nc_vec_any *)p;
}

NC_ALWAYS_INLINE void nc_store(float *p, nc_vec v)
{
    *(nc_vec_any *)p = v;
}

NC_ALWAYS_INLINE nc_vec64 nc_load64(const double *p)
{
    return *(const nc_vec64_any *)p;
}

NC_ALWAYS_INLINE void nc_store64(double *p, nc_vec64 v)
{
    *(nc_vec64_any *)p = v;
}

/* Fetches the line `ahead` floats behind p; any address will do. */
NC_ALWAYS_INLINE void nc_fetch(const float *p, int64_t ahead)
{
    __builtin_prefetch((const char *)p + ahead * (int64_t)sizeof *p);
}

NC_ALWAYS_INLINE nc_vec nc_splat(float x)
{
    return x - (nc_vec){0}; /* not 0 + x: that would turn -0 into 0 */
}

NC_ALWAYS_INLINE nc_vec64 nc_splat64(double x)
{
    return x - (nc_vec64){0};
}

NC_ALWAYS_INLINE nc_veci nc_splati(int32_t x)
{
    return x - (nc_veci){0};
}

#if defined(NC_ISA_avx2)
NC_ALWAYS_INLINE __m256i nc_first_lanes(int count)
{
    const __m256i lane = _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7);
    return _mm256_cmpgt_epi32(_mm256_set1_epi32(count), lane);
}
#endif

/* The first `count` lanes (0 <= count <= NC_LANES); the others are zero, and their memory is not touched. */
NC_ALWAYS_INLINE nc_vec nc_load_some(const float *p, int64_t count)
{
#if defined(NC_ISA_avx512)
    return (nc_vec)_mm512_maskz_loadu_ps((__mmask16)((1u << count) - 1u), p);
#elif defined(NC_ISA_avx2)
    return (nc_vec)_mm256_maskload_ps(p, nc_first_lanes((int)count));
#else
    float lanes[NC_LANES] = {0};
    memcpy(lanes, p, (size_t)count * sizeof *p);
    return nc_load(lanes);
#endif
}

NC_ALWAYS_INLINE void nc_store_some(float *p, nc_vec v, int64_t count)
{
#if defined(NC_ISA_avx512)
    _mm512_mask_storeu_ps(p, (__mmask16)((1u << count) - 1u), (__m512)v);
#elif defined(NC_ISA_avx2)
    _mm256_maskstore_ps(p, nc_first_lanes((int)count), (__m256)v);
#else
    memcpy(p, &v, (size_t)count * sizeof *p);
#endif
}

NC_ALWAYS_INLINE nc_vec64 nc_load64_some(const double *p, int64_t count)
{
#if defined(NC_ISA_avx512)
    return (nc_vec64)_mm512_maskz_loadu_pd((__mmask8)((1u << count) - 1u), p);
#else
    double lanes[NC_LANES64] = {0};
    memcpy(lanes, p, (size_t)count * sizeof *p);
    return nc_load64(lanes);
#endif
}

NC_ALWAYS_INLINE void nc_store64_some(double *p, nc_vec64 v, int64_t count)
{
#if defined(NC_ISA_avx512)
    _mm512_mask_storeu_pd(p, (__mmask8)((1u << count) - 1u), (__m512d)v);
#else
    memcpy(p, &v, (size_t)count * sizeof *p);
#endif
}

/* Stores around the caches, at an address that is a multiple of the vector's size: for results that are larger than
 * they are, whose lines need not be read first. Others see them after nc_stream_end. */
NC_ALWAYS_INLINE void nc_stream(float *p, nc_vec v)
{
#if defined(NC_ISA_avx512)
    _mm512_stream_ps(p, (__m512)v);
#elif defined(NC_ISA_avx2)
    _mm256_stream_ps(p, (__m256)v);
#else
    nc_store(p, v);
#endif
}

/* Floats of a result that would not be found in the cache again. */
#ifdef NACRE_STRESS
enum { NC_STREAMED = 1 };
#else
enum { NC_STREAMED = 1 << 22 };
#endif

/* Whether a result of so many floats is worth that and begins at such an address. It must not be an operand too. */
NC_ALWAYS_INLINE bool nc_is_streamed(const void *result, int64_t floats)
{
    return floats >= NC_STREAMED && (uintptr_t)result % NC_VECTOR_BYTES == 0;
}

/* Up to a vector of a result; whole vectors only if that is streamed. */
NC_ALWAYS_INLINE void nc_store_result(bool streamed, float *p, nc_vec v, int64_t lanes)
{
    if (streamed)
        nc_stream(p, v);
    else if (lanes >= NC_LANES)
        nc_store(p, v);
    else
        nc_store_some(p, v, lanes);
}

/* A row of which all but the last vector begin at such addresses. */
NC_ALWAYS_INLINE void nc_stream_row(float *to, const float *from, int64_t count)
{
    int64_t i = 0;
    for (; i + NC_LANES <= count; i += NC_LANES) nc_stream(to + i, nc_load(from + i));
    if (i < count) nc_store_some(to + i, nc_load_some(from + i, count - i), count - i);
}

NC_ALWAYS_INLINE void nc_stream_end(void)
{
#if defined(__AVX2__)
    _mm_sfence();
#endif
}

/* ---- arithmetic -------------------------------------------------------------------------------------------------- */

/* a * b + c, rounded once where the processor can. */
NC_ALWAYS_INLINE nc_vec nc_fma(nc_vec a, nc_vec b, nc_vec c)
{
#if defined(NC_ISA_avx512)
    return (nc_vec)_mm512_fmadd_ps((__m512)a, (__m512)b, (__m512)c);
#elif defined(NC_ISA_avx2)
    return (nc_vec)_mm256_fmadd_ps((__m256)a, (__m256)b, (__m256)c);
#elif defined(__aarch64__)
    return (nc_vec)vfmaq_f32((float32x4_t)c, (float32x4_t)a, (float32x4_t)b);
#else
    return a * b + c;
#endif
}

NC_ALWAYS_INLINE nc_vec64 nc_fma64(nc_vec64 a, nc_vec64 b, nc_vec64 c)
{
#if defined(NC_ISA_avx512)
    return (nc_vec64)_mm512_fmadd_pd((__m512d)a, (__m512d)b, (__m512d)c);
#elif defined(NC_ISA_avx2)
    return (nc_vec64)_mm256_fmadd_pd((__m256d)a, (__m256d)b, (__m256d)c);
#elif defined(__aarch64__)
    return (nc_vec64)vfmaq_f64((float64x2_t)c, (float64x2_t)a, (float64x2_t)b);
#else
    return a * b + c;
#endif
}

#if defined(NC_ISA_avx512)
typedef __mmask16 nc_mask;
#define NC_COMPARE(name, sign, predicate)                                                                              \
    NC_ALWAYS_INLINE nc_mask name(nc_vec a, nc_vec b)                                                                  \
    {                                                                                                                  \
        return _mm512_cmp_ps_mask((__m512)a, (__m512)b, predicate);                                                    \
    }
#else
typedef nc_veci nc_mask;
#define NC_COMPARE(name, sign, predicate)                                                                              \
    NC_ALWAYS_INLINE nc_mask name(nc_vec a, nc_vec b)                                                                  \
    {                                                                                                                  \
        return a sign b;                                                                                               \
    }
#endif
/* False where either side is NaN, but for nc_unequal. */
NC_COMPARE(nc_less, <, _CMP_LT_OS)
NC_COMPARE(nc_less_equal, <=, _CMP_LE_OS)
NC_COMPARE(nc_equal, ==, _CMP_EQ_OQ)
NC_COMPARE(nc_unequal, !=, _CMP_NEQ_UQ)
#undef NC_COMPARE

NC_ALWAYS_INLINE nc_mask nc_equali(nc_veci a, nc_veci b)
{
#if defined(NC_ISA_avx512)
    return _mm512_cmpeq_epi32_mask((__m512i)a, (__m512i)b);
#else
    return a == b;
#endif
}

/* Lane by lane: mask ? a : b. */
NC_ALWAYS_INLINE nc_vec nc_select(nc_mask mask, nc_vec a, nc_vec b)
{
#if defined(NC_ISA_avx512)
    return (nc_vec)_mm512_mask_blend_ps(mask, (__m512)b, (__m512)a);
#elif defined(NC_ISA_avx2)
    return (nc_vec)_mm256_blendv_ps((__m256)b, (__m256)a, (__m256)mask);
#else
    return (nc_vec)(((nc_veci)a & mask) | ((nc_veci)b & ~mask));
#endif
}

NC_ALWAYS_INLINE nc_veci nc_selecti(nc_mask mask, nc_veci a, nc_veci b)
{
    return (nc_veci)nc_select(mask, (nc_vec)a, (nc_vec)b);
}

/* The larger of the two; b where either is NaN, so nc_max(limit, x) keeps x's NaN. */
NC_ALWAYS_INLINE nc_vec nc_max(nc_vec a, nc_vec b)
{
#if defined(NC_ISA_avx512)
    return (nc_vec)_mm512_max_ps((__m512)a, (__m512)b);
#elif defined(NC_ISA_avx2)
    return (nc_vec)_mm256_max_ps((__m256)a, (__m256)b);
#else
    return nc_select(nc_less(b, a), a, b);
#endif
}

/* The smaller of the two; b where either is NaN. */
NC_ALWAYS_INLINE nc_vec nc_min(nc_vec a, nc_vec b)
{
#if defined(NC_ISA_avx512)
    return (nc_vec)_mm512_min_ps((__m512)a, (__m512)b);
#elif defined(NC_ISA_avx2)
    return (nc_vec)_mm256_min_ps((__m256)a, (__m256)b);
#else
    return nc_select(nc_less(a, b), a, b);
#endif
}

NC_ALWAYS_INLINE nc_vec64 nc_max64(nc_vec64 a, nc_vec64 b)
{
    const nc_veci64 above = b < a;
    return (nc_vec64)(((nc_veci64)a & above) | ((nc_veci64)b & ~above));
}

NC_ALWAYS_INLINE nc_vec64 nc_min64(nc_vec64 a, nc_vec64 b)
{
    const nc_veci64 below = a < b;
    return (nc_vec64)(((nc_veci64)a & below) | ((nc_veci64)b & ~below));
}

NC_ALWAYS_INLINE nc_vec nc_abs(nc_vec x)
{
    return (nc_vec)((nc_veci)x & 0x7fffffff);
}

NC_ALWAYS_INLINE nc_vec nc_copy_sign(nc_vec magnitude, nc_vec sign)
{
    return (nc_vec)(((nc_veci)magnitude & 0x7fffffff) | ((nc_veci)sign & INT32_MIN));
}

NC_ALWAYS_INLINE nc_vec nc_sqrt(nc_vec x)
{
#if defined(NC_ISA_avx512)
    return (nc_vec)_mm512_sqrt_ps((__m512)x);
#elif defined(NC_ISA_avx2)
    return (nc_vec)_mm256_sqrt_ps((__m256)x);
#else
    nc_vec root;
    for (int i = 0; i < NC_LANES; i++) root[i] = __builtin_sqrtf(x[i]);
    return root;
#endif
}

/* To integer towards zero; lanes out of range are unspecified. */
NC_ALWAYS_INLINE nc_veci nc_to_int(nc_vec x)
{
    return __builtin_convertvector(x, nc_veci);
}

NC_ALWAYS_INLINE nc_vec nc_to_float(nc_veci x)
{
    return __builtin_convertvector(x, nc_vec);
}

/* ---- across lanes ------------------------------------------------------------------------------------------------ */

/* a0 b0 a1 b1 ... from the lower or upper halves of a and b. */
#define NC_ZIP4_LOW(a, b)   __builtin_shufflevector(a, b, 0, 4, 1, 5)
#define NC_ZIP4_HIGH(a, b)  __builtin_shufflevector(a, b, 2, 6, 3, 7)
#define NC_ZIP8_LOW(a, b)   __builtin_shufflevector(a, b, 0, 8, 1, 9, 2, 10, 3, 11)
#define NC_ZIP8_HIGH(a, b)  __builtin_shufflevector(a, b, 4, 12, 5, 13, 6, 14, 7, 15)
#define NC_ZIP16_LOW(a, b)  __builtin_shufflevector(a, b, 0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23)
#define NC_ZIP16_HIGH(a, b) __builtin_shufflevector(a, b, 8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31)
#define NC_ZIP2_LOW(a, b)   __builtin_shufflevector(a, b, 0, 2)
#define NC_ZIP2_HIGH(a, b)  __builtin_shufflevector(a, b, 1, 3)
#if NC_VECTOR_BYTES == 64
#define NC_ZIP_LOW    NC_ZIP16_LOW
#define NC_ZIP_HIGH   NC_ZIP16_HIGH
#define NC_ZIP64_LOW  NC_ZIP8_LOW
#define NC_ZIP64_HIGH NC_ZIP8_HIGH
#elif NC_VECTOR_BYTES == 32
#define NC_ZIP_LOW    NC_ZIP8_LOW
#define NC_ZIP_HIGH   NC_ZIP8_HIGH
#define NC_ZIP64_LOW  NC_ZIP4_LOW
#define NC_ZIP64_HIGH NC_ZIP4_HIGH
#else
#define NC_ZIP_LOW    NC_ZIP4_LOW
#define NC_ZIP_HIGH   NC_ZIP4_HIGH
#define NC_ZIP64_LOW  NC_ZIP2_LOW
#define NC_ZIP64_HIGH NC_ZIP2_HIGH
#endif

/* Transposes a square of lanes: each round interleaves row i with row i + lanes / 2, which rotates the bits of
 * (row, lane) by one place; log2(lanes) rounds swap row and lane. */
#define NC_TRANSPOSE(name, vector, lanes, zip_low, zip_high)                                                           \
    NC_ALWAYS_INLINE void name(vector rows[lanes])                                                                     \
    {                                                                                                                  \
        NC_UNROLL                                                                                                      \
        for (int round = 1; round < lanes; round *= 2) {                                                               \
            vector next[lanes];                                                                                        \
            NC_UNROLL                                                                                                  \
            for (int i = 0; i < lanes / 2; i++) {                                                                      \
                next[2 * i] = zip_low(rows[i], rows[i + lanes / 2]);                                                   \
                next[2 * i + 1] = zip_high(rows[i], rows[i + lanes / 2]);                                              \
            }                                                                                                          \
            NC_UNROLL                                                                                                  \
            for (int i = 0; i < lanes; i++) rows[i] = next[i];                                                         \
        }                                                                                                              \
    }
NC_TRANSPOSE(nc_transpose, nc_vec, NC_LANES, NC_ZIP_LOW, NC_ZIP_HIGH)
NC_TRANSPOSE(nc_transpose64, nc_vec64, NC_LANES64, NC_ZIP64_LOW, NC_ZIP64_HIGH)
#undef NC_TRANSPOSE

/* Folds the lanes in a fixed tree. */
#define NC_FOLD(name, combine)                                                                                         \
    NC_ALWAYS_INLINE float name(nc_vec v)                                                                              \
    {                                                                                                                  \
        float lanes[NC_LANES];                                                                                         \
        memcpy(lanes, &v, sizeof lanes);                                                                               \
        NC_UNROLL                                                                                                      \
        for (int half = NC_LANES / 2; half > 0; half /= 2)                                                             \
            for (int i = 0; i < half; i++) lanes[i] = combine(lanes[i], lanes[i + half]);                              \
        return lanes[0];                                                                                               \
    }
#define NC_ADD_(a, b) ((a) + (b))
#define NC_MAX_(a, b) ((a) > (b) || (a) != (a) ? (a) : (b)) /* keeps a NaN */
#define NC_MIN_(a, b) ((a) < (b) || (a) != (a) ? (a) : (b))
NC_FOLD(nc_sum, NC_ADD_)
NC_FOLD(nc_fold_max, NC_MAX_)
NC_FOLD(nc_fold_min, NC_MIN_)
#undef NC_FOLD

#endif

/* cpu/simd/math.h - elementary functions of vectors, to two units in the last place unless stated.
 *
 * The polynomials were fitted here: interpolation at Chebyshev points of the remainder after the leading terms, which
 * is close to the best approximation. NaN gives NaN; infinities and the edges of the range behave as in libm. */
#ifndef NC_CPU_MATH_H
#define NC_CPU_MATH_H

#include "cpu/simd/simd.h"

#include <math.h>

/* 2^n x for whole numbers -252 <= n <= 254; otherwise in two factors, so that results may overflow or become
 * subnormal. */
NC_ALWAYS_INLINE nc_vec nc_scale(nc_vec x, nc_vec n)
{
#if defined(NC_ISA_avx512)
    return (nc_vec)_mm512_scalef_ps((__m512)x, (__m512)n);
#else
    const nc_veci whole = nc_to_int(n), half = whole >> 1;
    return x * (nc_vec)((half + 127) << 23) * (nc_vec)((whole - half + 127) << 23);
#endif
}

NC_ALWAYS_INLINE nc_vec nc_round(nc_vec x) /* to nearest even, |x| < 2^22 */
{
#if defined(NC_ISA_avx512)
    return (nc_vec)_mm512_roundscale_ps((__m512)x, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
#else
    const nc_vec magic = nc_splat(0x1.8p23f);
    return (x + magic) - magic;
#endif
}

/* c[0] + c[1] z + ... + c[degree] z^degree, for a degree known to the compiler */
NC_ALWAYS_INLINE nc_vec nc_polynomial(nc_vec z, const float *c, int degree)
{
    nc_vec p = nc_splat(c[degree]);
    NC_UNROLL
    for (int i = degree - 1; i >= 0; i--) p = nc_fma(p, z, nc_splat(c[i]));
    return p;
}

/* x kept within [-limit, limit]; NaN stays NaN. */
NC_ALWAYS_INLINE nc_vec nc_within(nc_vec x, float limit)
{
    return nc_max(nc_splat(-limit), nc_min(nc_splat(limit), x));
}

/* e^r - 1 for |r| <= ln(2) / 2 */
NC_ALWAYS_INLINE nc_vec nc_expm1_near_0(nc_vec r)
{
    nc_vec p = nc_splat(0.00139262681f);
    p = nc_fma(p, r, nc_splat(0.00836324667f));
    p = nc_fma(p, r, nc_splat(0.0416665541f));
    p = nc_fma(p, r, nc_splat(0.166665766f));
    p = nc_fma(p, r, nc_splat(0.5f));
    return nc_fma(p, r * r, r);
}

NC_ALWAYS_INLINE nc_vec nc_exp(nc_vec x)
{
    x = nc_min(nc_splat(89.0f), nc_max(nc_splat(-104.0f), x));
    const nc_vec n = nc_round(x * 1.44269504f);
    const nc_vec r =
        nc_fma(n, nc_splat(-1.42860677e-6f), nc_fma(n, nc_splat(-0.693145752f), x)); /* ln 2 in two parts */
    return nc_scale(nc_expm1_near_0(r) + 1.0f, n);
}

/* e^x, x < 88, in two thirds of nc_exp's multiplications: for terms that are divided by their sum. As 2^(n + f) with
 * |f| <= 1/2: the polynomial is exact to 1.7e-7, rounding x log2(e) adds up to |x| 2^-24. */
NC_ALWAYS_INLINE nc_vec nc_exp_of_term(nc_vec x)
{
    static const float p[] = {1.0f, 0.693147004f, 0.240222424f, 0.0555073358f, 0.00967151299f, 0.00132647273f};
    const nc_vec t = nc_max(nc_splat(-104.0f), x) * 1.44269504f, n = nc_round(t);
    return nc_scale(nc_polynomial(t - n, p, 5), n);
}

NC_ALWAYS_INLINE nc_vec nc_expm1(nc_vec x)
{
    return nc_select(nc_less(nc_abs(x), nc_splat(0.34f)), nc_expm1_near_0(x), nc_exp(x) - 1.0f);
}

/* log(1 + f) - f for sqrt(1/2) <= 1 + f < sqrt(2) */
NC_ALWAYS_INLINE nc_vec nc_log1p_tail(nc_vec f)
{
    nc_vec p = nc_splat(0.0697251896f);
    p = nc_fma(p, f, nc_splat(-0.114812122f));
    p = nc_fma(p, f, nc_splat(0.116857847f));
    p = nc_fma(p, f, nc_splat(-0.124255233f));
    p = nc_fma(p, f, nc_splat(0.142490072f));
    p = nc_fma(p, f, nc_splat(-0.166678071f));
    p = nc_fma(p, f, nc_splat(0.200007172f));
    p = nc_fma(p, f, nc_splat(-0.249999969f));
    p = nc_fma(p, f, nc_splat(0.333333312f));
    const nc_vec f2 = f * f;
    return nc_fma(p, f * f2, f2 * -0.5f);
}

NC_ALWAYS_INLINE nc_vec nc_log(nc_vec x)
{
    const nc_mask tiny = nc_less(x, nc_splat(0x1p-126f));
    nc_vec scaled = nc_select(tiny, x * 0x1p23f, x);
    const nc_veci bits = (nc_veci)scaled - 0x3f3504f3; /* the mantissa falls into [sqrt(1/2), sqrt(2)) */
    const nc_vec e = nc_to_float(bits >> 23) - nc_select(tiny, nc_splat(23.0f), nc_splat(0.0f));
    const nc_vec f = (nc_vec)((bits & 0x007fffff) + 0x3f3504f3) - 1.0f;
    nc_vec tail = nc_log1p_tail(f);
    tail = nc_fma(e, nc_splat(-2.12194440e-4f), tail); /* ln 2 = 0.693359375 - 2.1219444e-4 */
    nc_vec result = nc_fma(e, nc_splat(0.693359375f), f + tail);
    const nc_vec infinity = nc_splat(__builtin_inff());
    result = nc_select(nc_equal(x, infinity), infinity, result);
    result = nc_select(nc_equal(x, nc_splat(0.0f)), -infinity, result);
    return nc_select(nc_less_equal(nc_splat(0.0f), x), result, nc_splat(__builtin_nanf("")));
}

NC_ALWAYS_INLINE nc_vec nc_log1p(nc_vec x)
{
    const nc_mask near_0 = nc_less(nc_splat(-0.29f), x) & nc_less(x, nc_splat(0.41f));
    return nc_select(near_0, x + nc_log1p_tail(x), nc_log(1.0f + x));
}

NC_ALWAYS_INLINE nc_vec nc_sigmoid(nc_vec x)
{
    const nc_vec e = nc_exp(-nc_abs(x)), one = nc_splat(1.0f);
    return nc_select(nc_less(x, nc_splat(0.0f)), e, one) / (one + e);
}

/* x p(x^2) / q(x^2), to six units in the last place; 1 from 8.5 on. The quotient was fitted to tanh times a little more
 * than 1 near its end, so that what rounding leaves there is above 1 and can be cut off. */
NC_ALWAYS_INLINE nc_vec nc_tanh(nc_vec x)
{
    static const float p[] = {1.0f, 0.134074479f, 0.00352737121f, 2.115387e-05f, 1.41636818e-08f};
    static const float q[] = {1.0f, 0.467407674f, 0.0259968005f, 0.000333847041f, 8.09549192e-07f};
    x = nc_within(x, 8.5f);
    const nc_vec z = x * x;
    return nc_within(x * nc_polynomial(z, p, 4) / nc_polynomial(z, q, 4), 1.0f);
}

/* The distribution function of the normal distribution, fitted in the same way: to 2.2e-7, 0 and 1 from -5.5 and 5.5
 * on. */
NC_ALWAYS_INLINE nc_vec nc_normal_cdf(nc_vec x)
{
    static const float p[] = {0.398942262f,    0.0334283039f,   0.00464804331f,
                              0.000164101119f, 6.28371936e-06f, 2.28580532e-08f};
    static const float q[] = {1.0f, 0.250458747f, 0.0283946861f, 0.00185784721f, 7.19435775e-05f, 1.19558672e-06f};
    x = nc_within(x, 5.5f);
    const nc_vec z = x * x;
    return nc_within(x * nc_polynomial(z, p, 5) / nc_polynomial(z, q, 5), 0.5f) + 0.5f;
}

#define NC_SQRT_2_OVER_PI 0.797884561f
#define NC_CUBIC          0.044715f

NC_ALWAYS_INLINE nc_vec nc_tanh_of_cubic(nc_vec x)
{
    return nc_tanh(NC_SQRT_2_OVER_PI * (x + NC_CUBIC * x * x * x));
}

/* With the normal distribution function, or the form with tanh. */
NC_ALWAYS_INLINE nc_vec nc_gelu(nc_vec x, bool with_tanh)
{
    return with_tanh ? 0.5f * x * (1.0f + nc_tanh_of_cubic(x)) : x * nc_normal_cdf(x);
}

NC_ALWAYS_INLINE nc_vec nc_erf(nc_vec x)
{
    const nc_vec magnitude = nc_abs(x), z = x * x;
    nc_vec p = nc_splat(7.87587505e-05f);
    p = nc_fma(p, z, nc_splat(-0.000801686428f));
    p = nc_fma(p, z, nc_splat(0.00518908742f));
    p = nc_fma(p, z, nc_splat(-0.026854212f));
    p = nc_fma(p, z, nc_splat(0.112835947f));
    p = nc_fma(p, z, nc_splat(-0.376126267f));
    p = nc_fma(p, z, nc_splat(1.12837917f));
    const nc_vec t = nc_min(nc_splat(4.0f), magnitude) - 2.5f; /* erf(4) rounds to 1 */
    nc_vec q = nc_splat(-1.63715141e-06f);
    q = nc_fma(q, t, nc_splat(1.33150144e-05f));
    q = nc_fma(q, t, nc_splat(-7.72913762e-05f));
    q = nc_fma(q, t, nc_splat(0.000420122524f));
    q = nc_fma(q, t, nc_splat(-0.00216530355f));
    q = nc_fma(q, t, nc_splat(0.0108585416f));
    q = nc_fma(q, t, nc_splat(0.943893704f));
    q = nc_fma(q, t, nc_splat(5.35268067f));
    q = nc_fma(q, t, nc_splat(7.80681527f)); /* -log(1 - erf) */
    const nc_vec large = nc_copy_sign(1.0f - nc_exp(-q), x);
    return nc_select(nc_less(magnitude, nc_splat(1.0f)), p * x, large);
}

/* What has no vector form here: lane by lane. */
NC_ALWAYS_INLINE nc_vec nc_each(float (*f)(float), nc_vec x)
{
    nc_vec y;
    for (int i = 0; i < NC_LANES; i++) y[i] = f(x[i]);
    return y;
}

NC_ALWAYS_INLINE nc_vec nc_each2(float (*f)(float, float), nc_vec a, nc_vec b)
{
    nc_vec y;
    for (int i = 0; i < NC_LANES; i++) y[i] = f(a[i], b[i]);
    return y;
}

#endif

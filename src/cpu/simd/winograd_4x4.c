/* cpu/simd/winograd_4x4.c - F(4x4, 3x3): a quarter of the multiplications. See winograd_body.h.
 *
 * The matrices follow from the points at which polynomials are multiplied (Toom and Cook): here 0, P, -P, Q, -Q and
 * infinity. K = 27.4 and S^2 = 26.3 with a = 3, b = 2, g = 4 roundings: on random data an error is about
 * 8.8 sqrt(C / 2 + 18) u / sqrt 3, three times the direct sum's at 128 channels. The usual points 1 and 2 have K = 48
 * and S^2 = 94.3 and lose almost a decimal digit; 3/4 and 3/2 were found by trying a grid of pairs. */
#include "cpu/simd/simd.h"

enum {
    OUT = 4, /* outputs of a tile along an axis */
    TAPS = 3,
    STEP = 1,
    SIDE = OUT + TAPS - 1, /* inputs of a tile along an axis */
    LEAST_CHANNELS = 24,   /* of either side; with fewer the transforms cost more than they save */
};

#define P  0.75f
#define Q  1.5f
#define P2 (P * P)
#define Q2 (Q * Q)
/* One over the product of a point's distances from the others. */
#define SCALE_0 (1 / (P2 * Q2))
#define SCALE_P (1 / (2 * P2 * (P2 - Q2)))
#define SCALE_Q (1 / (2 * Q2 * (Q2 - P2)))

/* B' d */
NC_ALWAYS_INLINE void transform_input(const nc_vec d[SIDE], nc_vec v[SIDE])
{
    const nc_vec a = nc_fma(d[2], nc_splat(-Q2), d[4]), b = nc_fma(d[1], nc_splat(-Q2), d[3]);
    const nc_vec c = nc_fma(d[2], nc_splat(-P2), d[4]), e = nc_fma(d[1], nc_splat(-P2), d[3]);
    v[0] = nc_fma(d[0], nc_splat(P2 * Q2), nc_fma(d[2], nc_splat(-P2 - Q2), d[4]));
    v[1] = nc_fma(b, nc_splat(P), a);
    v[2] = nc_fma(b, nc_splat(-P), a);
    v[3] = nc_fma(e, nc_splat(Q), c);
    v[4] = nc_fma(e, nc_splat(-Q), c);
    v[5] = nc_fma(d[1], nc_splat(P2 * Q2), nc_fma(d[3], nc_splat(-P2 - Q2), d[5]));
}

/* A' m */
NC_ALWAYS_INLINE void transform_output(const nc_vec m[SIDE], nc_vec y[OUT])
{
    const nc_vec a = m[1] + m[2], b = m[1] - m[2], c = m[3] + m[4], d = m[3] - m[4];
    y[0] = m[0] + a + c;
    y[1] = nc_fma(d, nc_splat(Q), b * P);
    y[2] = nc_fma(c, nc_splat(Q2), a * P2);
    y[3] = nc_fma(d, nc_splat(Q2 * Q), nc_fma(b, nc_splat(P2 * P), m[5]));
}

/* A e: the adjoint of transform_output. */
NC_ALWAYS_INLINE void transform_gradient(const nc_vec e[OUT], nc_vec m[SIDE])
{
    const nc_vec a = nc_fma(e[2], nc_splat(P2), e[0]), b = nc_fma(e[3], nc_splat(P2 * P), e[1] * P);
    const nc_vec c = nc_fma(e[2], nc_splat(Q2), e[0]), d = nc_fma(e[3], nc_splat(Q2 * Q), e[1] * Q);
    m[0] = e[0];
    m[1] = a + b;
    m[2] = a - b;
    m[3] = c + d;
    m[4] = c - d;
    m[5] = e[3];
}

/* G w */
NC_ALWAYS_INLINE void transform_weights(const nc_vec w[3], nc_vec u[SIDE])
{
    const nc_vec a = nc_fma(w[2], nc_splat(P2 * SCALE_P), w[0] * SCALE_P), b = w[1] * (P * SCALE_P);
    const nc_vec c = nc_fma(w[2], nc_splat(Q2 * SCALE_Q), w[0] * SCALE_Q), d = w[1] * (Q * SCALE_Q);
    u[0] = w[0] * SCALE_0;
    u[1] = a + b;
    u[2] = a - b;
    u[3] = c + d;
    u[4] = c - d;
    u[5] = w[2];
}

/* G' m: the adjoint of transform_weights. */
NC_ALWAYS_INLINE void restore_weights(const nc_vec m[SIDE], nc_vec w[3])
{
    const nc_vec a = (m[1] + m[2]) * SCALE_P, b = (m[1] - m[2]) * SCALE_P;
    const nc_vec c = (m[3] + m[4]) * SCALE_Q, d = (m[3] - m[4]) * SCALE_Q;
    w[0] = nc_fma(m[0], nc_splat(SCALE_0), a + c);
    w[1] = nc_fma(d, nc_splat(Q), b * P);
    w[2] = nc_fma(c, nc_splat(Q2), nc_fma(a, nc_splat(P2), m[5]));
}

#define NAME winograd
#include "cpu/simd/winograd_body.h"

/* cpu/simd/winograd_strided.c - F(4x4, 2x2) on the phases of 4x4 kernels of stride 2, those that halve or double
 * images: 25 multiplications in place of 64. See winograd_body.h.
 *
 * The points are P, -P, Q, -Q and infinity. K = 12.6 and S^2 = 9.5 with a = 3, b = 2, g = 3 roundings; found by trying
 * a grid of pairs, as were those of winograd_4x4.c. C counts the channels of all phases where these are summed:
 * forward, four times the input's. On random data an error is about 4.7 sqrt(C / 2 + 16) u / sqrt 3, two and a half
 * times the direct sum's. */
#include "cpu/simd/simd.h"

enum {
    OUT = 4,               /* outputs of a tile along an axis */
    TAPS = 2,              /* weights of a phase along an axis */
    STEP = 2,              /* stride */
    SIDE = OUT + TAPS - 1, /* inputs of a tile along an axis */
    LEAST_CHANNELS = 24,   /* of either side; with fewer the transforms cost more than they save */
};

#define P  0.5f
#define Q  1.25f
#define P2 (P * P)
#define Q2 (Q * Q)
/* One over the product of a point's distances from the others. */
#define SCALE_P (1 / (2 * P * (P2 - Q2)))
#define SCALE_Q (1 / (2 * Q * (Q2 - P2)))

/* B' d */
NC_ALWAYS_INLINE void transform_input(const nc_vec d[SIDE], nc_vec v[SIDE])
{
    const nc_vec a = nc_fma(d[1], nc_splat(-Q2), d[3]), b = nc_fma(d[0], nc_splat(-Q2), d[2]);
    const nc_vec c = nc_fma(d[1], nc_splat(-P2), d[3]), e = nc_fma(d[0], nc_splat(-P2), d[2]);
    v[0] = nc_fma(b, nc_splat(P), a);
    v[1] = nc_fma(b, nc_splat(-P), a);
    v[2] = nc_fma(e, nc_splat(Q), c);
    v[3] = nc_fma(e, nc_splat(-Q), c);
    v[4] = nc_fma(d[0], nc_splat(P2 * Q2), nc_fma(d[2], nc_splat(-P2 - Q2), d[4]));
}

/* A' m */
NC_ALWAYS_INLINE void transform_output(const nc_vec m[SIDE], nc_vec y[OUT])
{
    const nc_vec a = m[0] + m[1], b = m[0] - m[1], c = m[2] + m[3], d = m[2] - m[3];
    y[0] = a + c;
    y[1] = nc_fma(d, nc_splat(Q), b * P);
    y[2] = nc_fma(c, nc_splat(Q2), a * P2);
    y[3] = nc_fma(d, nc_splat(Q2 * Q), nc_fma(b, nc_splat(P2 * P), m[4]));
}

/* A e: the adjoint of transform_output. */
NC_ALWAYS_INLINE void transform_gradient(const nc_vec e[OUT], nc_vec m[SIDE])
{
    const nc_vec a = nc_fma(e[2], nc_splat(P2), e[0]), b = nc_fma(e[3], nc_splat(P2 * P), e[1] * P);
    const nc_vec c = nc_fma(e[2], nc_splat(Q2), e[0]), d = nc_fma(e[3], nc_splat(Q2 * Q), e[1] * Q);
    m[0] = a + b;
    m[1] = a - b;
    m[2] = c + d;
    m[3] = c - d;
    m[4] = e[3];
}

/* G w */
NC_ALWAYS_INLINE void transform_weights(const nc_vec w[TAPS], nc_vec u[SIDE])
{
    const nc_vec a = w[0] * SCALE_P, b = w[1] * (P * SCALE_P);
    const nc_vec c = w[0] * SCALE_Q, d = w[1] * (Q * SCALE_Q);
    u[0] = b + a;
    u[1] = b - a;
    u[2] = d + c;
    u[3] = d - c;
    u[4] = w[1];
}

/* G' m: the adjoint of transform_weights. */
NC_ALWAYS_INLINE void restore_weights(const nc_vec m[SIDE], nc_vec w[TAPS])
{
    w[0] = nc_fma(m[0] - m[1], nc_splat(SCALE_P), (m[2] - m[3]) * SCALE_Q);
    w[1] = nc_fma(m[0] + m[1], nc_splat(P * SCALE_P), nc_fma(m[2] + m[3], nc_splat(Q * SCALE_Q), m[4]));
}

#define NAME winograd_strided
#include "cpu/simd/winograd_body.h"

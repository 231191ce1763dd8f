/* cpu/simd/winograd_2x2.c - F(2x2, 3x3): four ninths of the multiplications. See winograd_body.h.
 *
 * The points are 0, 1, -1 and infinity, so that but for halves nothing is multiplied in a transform. K = 8 and S^2 = 5
 * with a = 2, b = 1, g = 2 roundings: on random data an error is 1.7 sqrt(C / 2 + 10) u / sqrt 3, less than the direct
 * sum's from 9 channels on, as its sums are a ninth as long. Taken where the images are too small for the larger tiles.
 */
#include "cpu/simd/simd.h"

enum {
    OUT = 2, /* outputs of a tile along an axis */
    TAPS = 3,
    STEP = 1,
    SIDE = OUT + TAPS - 1, /* inputs of a tile along an axis */
    LEAST_CHANNELS = 24,   /* of either side; with fewer the transforms cost more than they save */
};

/* B' d */
NC_ALWAYS_INLINE void transform_input(const nc_vec d[SIDE], nc_vec v[SIDE])
{
    v[0] = d[0] - d[2];
    v[1] = d[1] + d[2];
    v[2] = d[2] - d[1];
    v[3] = d[1] - d[3];
}

/* A' m */
NC_ALWAYS_INLINE void transform_output(const nc_vec m[SIDE], nc_vec y[OUT])
{
    y[0] = m[0] + (m[1] + m[2]);
    y[1] = (m[1] - m[2]) - m[3];
}

/* A e: the adjoint of transform_output. */
NC_ALWAYS_INLINE void transform_gradient(const nc_vec e[OUT], nc_vec m[SIDE])
{
    m[0] = e[0];
    m[1] = e[0] + e[1];
    m[2] = e[0] - e[1];
    m[3] = -e[1];
}

/* G w */
NC_ALWAYS_INLINE void transform_weights(const nc_vec w[3], nc_vec u[SIDE])
{
    const nc_vec sum = (w[0] + w[2]) * 0.5f, middle = w[1] * 0.5f;
    u[0] = w[0];
    u[1] = sum + middle;
    u[2] = sum - middle;
    u[3] = w[2];
}

/* G' m: the adjoint of transform_weights. */
NC_ALWAYS_INLINE void restore_weights(const nc_vec m[SIDE], nc_vec w[3])
{
    const nc_vec sum = (m[1] + m[2]) * 0.5f;
    w[0] = m[0] + sum;
    w[1] = (m[1] - m[2]) * 0.5f;
    w[2] = sum + m[3];
}

#define NAME winograd2
#include "cpu/simd/winograd_body.h"

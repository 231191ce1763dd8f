/* random.h - counter-based random numbers: Philox4x32-10.
 *
 * A block of four 32-bit words is a pure function of a 64-bit key and a 128-bit counter (Salmon, Moraes, Dror, Shaw:
 * "Parallel random numbers: as easy as 1, 2, 3", SC 2011). There is no state to share, so a number depends only on
 * who asks - seed, step, node, sample, element - and never on the number of threads or on the order of the asking.
 *
 *     uint32_t bits[4];
 *     nacre_philox((uint32_t[]){seed_low, seed_high}, (uint32_t[]){block, step, node, 0}, bits);
 *     float u = nacre_uniform(bits[0]);                        // or, drawing one number after the other:
 *     nacre_random r = nacre_random_create(seed, epoch, index);
 *     int side = (int)nacre_random_below(&r, 6);
 *
 * Everything uses integers and the four IEEE operations with square root, so the bits are the same on any machine
 * (as long as the compiler does not contract a*b+c; Nacre is built with -ffp-contract=off).
 */
#ifndef NACRE_RANDOM_H
#define NACRE_RANDOM_H

#include <math.h>
#include <stdint.h>
#include <string.h>

/* ---- blocks --------------------------------------------------------------------------------------------------- */

static inline void nacre_philox(const uint32_t key[2], const uint32_t counter[4], uint32_t out[4])
{
    uint32_t k0 = key[0], k1 = key[1];
    uint32_t c0 = counter[0], c1 = counter[1], c2 = counter[2], c3 = counter[3];
    for (int round = 0; round < 10; round++) {
        uint64_t a = (uint64_t)0xD2511F53u * c0, b = (uint64_t)0xCD9E8D57u * c2;
        c0 = (uint32_t)(b >> 32) ^ c1 ^ k0;
        c1 = (uint32_t)b;
        c2 = (uint32_t)(a >> 32) ^ c3 ^ k1;
        c3 = (uint32_t)a;
        k0 += 0x9E3779B9u; /* the Weyl sequences of the golden ratio and of sqrt(3) - 1 */
        k1 += 0xBB67AE85u;
    }
    out[0] = c0;
    out[1] = c1;
    out[2] = c2;
    out[3] = c3;
}

/* ---- from bits to numbers ------------------------------------------------------------------------------------- */

/* [0, 1) in steps of 2^-24: every value is a float, 1 never appears. */
static inline float nacre_uniform(uint32_t bits)
{
    return (float)(bits >> 8) * 0x1p-24f;
}

/* [0, 1) in steps of 2^-53. */
static inline double nacre_uniform_f64(uint32_t high, uint32_t low)
{
    return (double)(((uint64_t)high << 32 | low) >> 11) * 0x1p-53;
}

/* Two independent standard normal numbers from two words (Box and Muller 1958). The logarithm and the sine and cosine
 * are short series, exact to about one unit in the last place of a float; the largest magnitude is 5.8. */
static inline void nacre_normal(uint32_t bits0, uint32_t bits1, float out[2])
{
    /* radius = sqrt(-2 ln u), u = n / 2^24 in (0, 1]; n = m * 2^e with m in [0.75, 1.5), ln m = 2 artanh((m-1)/(m+1))
     */
    float n = (float)((bits0 >> 8) + 1);
    uint32_t word;
    memcpy(&word, &n, sizeof word);
    int exponent = (int)((word + 0x00400000u) >> 23) - 127;
    word -= (uint32_t)exponent << 23;
    float m;
    memcpy(&m, &word, sizeof m);
    double s = ((double)m - 1) / ((double)m + 1), s2 = s * s;
    double series = 1 + s2 * (1.0 / 3 + s2 * (1.0 / 5 + s2 * (1.0 / 7 + s2 * (1.0 / 9 + s2 * (1.0 / 11)))));
    double logarithm = (exponent - 24) * 0.69314718055994530942 + 2 * s * series;
    double radius = sqrt(-2 * logarithm);

    /* angle = (quadrant + 1/2) * pi/2 + a, |a| < pi/4; the half only says where the uniform circle starts */
    uint32_t quadrant = bits1 >> 30;
    double a = ((double)(bits1 << 2 >> 8) * 0x1p-24 - 0.5) * 1.57079632679489661923, a2 = a * a;
    double sine = a * (1 - a2 / 6 * (1 - a2 / 20 * (1 - a2 / 42 * (1 - a2 / 72 * (1 - a2 / 110)))));
    double cosine = 1 - a2 / 2 * (1 - a2 / 12 * (1 - a2 / 30 * (1 - a2 / 56 * (1 - a2 / 90))));
    double x = quadrant & 1 ? -sine : cosine, y = quadrant & 1 ? cosine : sine;
    out[0] = (float)(quadrant & 2 ? -radius * x : radius * x);
    out[1] = (float)(quadrant & 2 ? -radius * y : radius * y);
}

/* ---- one number per element ------------------------------------------------------------------------------------ */

/* What random operations on tensors draw: the bits of an element (its place in row-major order) in the stream of a node
 * are word element % 4 of Philox(key = seed, counter = {b, stream, b >> 32, "elem"}), b = element / 4. A block holds
 * the bits of four neighbours. */
static inline void nacre_element_block(uint64_t seed, uint32_t stream, uint64_t block, uint32_t bits[4])
{
    uint32_t key[2] = {(uint32_t)seed, (uint32_t)(seed >> 32)};
    uint32_t counter[4] = {(uint32_t)block, stream, (uint32_t)(block >> 32), 0x656c656du};
    nacre_philox(key, counter, bits);
}

static inline uint32_t nacre_element_bits(uint64_t seed, uint32_t stream, uint64_t element)
{
    uint32_t bits[4];
    nacre_element_block(seed, stream, element / 4, bits);
    return bits[element % 4];
}

/* True with probability p in [0, 1], exact to 2^-33: bits below p 2^32, rounded. */
static inline uint64_t nacre_chance_limit(double p)
{
    return (uint64_t)(p * 0x1p32 + 0.5);
}

static inline int nacre_chance(uint32_t bits, double p)
{
    return bits < nacre_chance_limit(p);
}

/* ---- one number after the other ------------------------------------------------------------------------------- */

/* A cursor over the blocks of (seed, stream, index), 2^32 of them: streams are epochs or steps, indices samples. */
typedef struct nacre_random {
    uint32_t key[2], counter[4], block[4];
    int left; /* unused words of `block` */
} nacre_random;

static inline nacre_random nacre_random_create(uint64_t seed, uint32_t stream, uint64_t index)
{
    nacre_random random;
    memset(&random, 0, sizeof random);
    random.key[0] = (uint32_t)seed;
    random.key[1] = (uint32_t)(seed >> 32);
    random.counter[1] = stream;
    random.counter[2] = (uint32_t)index;
    random.counter[3] = (uint32_t)(index >> 32);
    return random;
}

/* A seed for another purpose: what shuffles must not be what augments. */
static inline uint64_t nacre_random_fork(uint64_t seed, uint64_t purpose)
{
    uint32_t key[2] = {(uint32_t)seed, (uint32_t)(seed >> 32)}, bits[4];
    uint32_t counter[4] = {(uint32_t)purpose, (uint32_t)(purpose >> 32), 0x6b726f66u, 0xffffffffu};
    nacre_philox(key, counter, bits);
    return (uint64_t)bits[1] << 32 | bits[0];
}

static inline uint32_t nacre_random_bits(nacre_random *random)
{
    if (!random->left) {
        nacre_philox(random->key, random->counter, random->block);
        random->counter[0]++;
        random->left = 4;
    }
    return random->block[4 - random->left--];
}

/* [0, limit), every value equally likely; limit >= 1 (Lemire, "Fast random integer generation in an interval", 2019).
 */
static inline uint32_t nacre_random_below(nacre_random *random, uint32_t limit)
{
    uint64_t product = (uint64_t)nacre_random_bits(random) * limit;
    if ((uint32_t)product < limit) {
        uint32_t threshold = (0u - limit) % limit;
        while ((uint32_t)product < threshold) product = (uint64_t)nacre_random_bits(random) * limit;
    }
    return (uint32_t)(product >> 32);
}

static inline float nacre_random_uniform(nacre_random *random, float low, float high)
{
    return low + (high - low) * nacre_uniform(nacre_random_bits(random));
}

static inline float nacre_random_normal(nacre_random *random)
{
    float pair[2];
    uint32_t first = nacre_random_bits(random);
    nacre_normal(first, nacre_random_bits(random), pair);
    return pair[0];
}

#endif

/* core/dtype.h - conversions of the 16-bit floats, inline where kernels need them. */
#ifndef NC_CORE_DTYPE_H
#define NC_CORE_DTYPE_H

#include <nacre/nacre.h>

#include <math.h>

/* Whether elements have 16 bits. */
static inline bool nc_is_half(nacre_dtype dtype)
{
    return dtype == NACRE_BF16 || dtype == NACRE_F16;
}

static inline float nc_bits_to_f32(uint32_t bits)
{
    union {
        uint32_t u;
        float f;
    } v = {.u = bits};
    return v.f;
}

static inline uint32_t nc_f32_to_bits(float value)
{
    union {
        float f;
        uint32_t u;
    } v = {.f = value};
    return v.u;
}

static inline float nc_bf16_to_f32(uint16_t half)
{
    return nc_bits_to_f32((uint32_t)half << 16);
}

static inline uint16_t nc_f32_to_bf16(float value)
{
    uint32_t bits = nc_f32_to_bits(value);
    if ((bits & 0x7fffffffu) > 0x7f800000u) return (uint16_t)(bits >> 16 | 64u); /* NaN stays NaN */
    return (uint16_t)((bits + 0x7fffu + (bits >> 16 & 1u)) >> 16);
}

/* double -> f32 keeping a sticky last bit, so that the second rounding to 16 bits is the only one that counts. */
static inline float nc_round_to_odd(double value)
{
    float rounded = (float)value;
    if ((double)rounded == value || value != value || isinf(rounded)) return rounded;
    uint32_t bits = nc_f32_to_bits(rounded);
    if (fabs((double)rounded) > fabs(value)) bits--; /* towards zero */
    return nc_bits_to_f32(bits | 1u);
}

float nc_f16_to_f32(uint16_t half);
uint16_t nc_f32_to_f16(float value);

#endif

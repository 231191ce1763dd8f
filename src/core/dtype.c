/* core/dtype.c - element types and shapes. */
#include "core/dtype.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

static const struct {
    const char *name, *safetensors;
    size_t size;
} DTYPES[NACRE_DTYPE_COUNT] = {
#define DTYPE_ROW(constant, text, bytes, st) [NACRE_##constant] = {text, st, bytes},
    NACRE_DTYPE_TABLE(DTYPE_ROW)
#undef DTYPE_ROW
};

size_t nacre_dtype_size(nacre_dtype dtype)
{
    return (unsigned)dtype < NACRE_DTYPE_COUNT ? DTYPES[dtype].size : 0;
}

const char *nacre_dtype_name(nacre_dtype dtype)
{
    return (unsigned)dtype < NACRE_DTYPE_COUNT ? DTYPES[dtype].name : "?";
}

int nacre_dtype_from_name(const char *name)
{
    if (!name) return -1;
    for (int i = 0; i < NACRE_DTYPE_COUNT; i++)
        if (!strcmp(name, DTYPES[i].name) || !strcmp(name, DTYPES[i].safetensors)) return i;
    return -1;
}

bool nacre_dtype_is_float(nacre_dtype dtype)
{
    return dtype <= NACRE_F16;
}

/* ---- f16: IEEE 754 binary16, rounding to nearest even ---- */

float nc_f16_to_f32(uint16_t half)
{
    uint32_t sign = (uint32_t)(half & 0x8000u) << 16, exponent = (half >> 10) & 31u, mantissa = half & 1023u;
    if (exponent == 31) return nc_bits_to_f32(sign | 0x7f800000u | mantissa << 13);
    if (exponent == 0) { /* zero or subnormal: mantissa * 2^-24 is exact in f32 */
        float value = (float)mantissa * 0x1p-24f;
        return sign ? -value : value;
    }
    return nc_bits_to_f32(sign | (exponent + 112) << 23 | mantissa << 13);
}

uint16_t nc_f32_to_f16(float value)
{
    uint32_t bits = nc_f32_to_bits(value), sign = (bits >> 16) & 0x8000u, magnitude = bits & 0x7fffffffu;
    if (magnitude > 0x7f800000u) return (uint16_t)(sign | 0x7e00u);  /* NaN, quiet */
    if (magnitude >= 0x477ff000u) return (uint16_t)(sign | 0x7c00u); /* rounds to infinity */
    if (magnitude < 0x38800000u) { /* subnormal: adding 0.5 leaves the rounded multiple of 2^-24 in the low bits */
        uint32_t shifted = nc_f32_to_bits(nc_bits_to_f32(magnitude) + 0.5f);
        return (uint16_t)(sign | (shifted - 0x3f000000u));
    }
    magnitude += 0xfffu + ((magnitude >> 13) & 1u);
    return (uint16_t)(sign | ((magnitude >> 13) - (112u << 10)));
}

/* ---- elements as doubles ---- */

double nacre_dtype_load(nacre_dtype dtype, const void *array, int64_t index)
{
    switch (dtype) {
    case NACRE_F32: return ((const float *)array)[index];
    case NACRE_F64: return ((const double *)array)[index];
    case NACRE_BF16: return nc_bf16_to_f32(((const uint16_t *)array)[index]);
    case NACRE_F16: return nc_f16_to_f32(((const uint16_t *)array)[index]);
    case NACRE_I8: return ((const int8_t *)array)[index];
    case NACRE_U8:
    case NACRE_BOOL: return ((const uint8_t *)array)[index];
    case NACRE_I32: return ((const int32_t *)array)[index];
    case NACRE_I64: return (double)((const int64_t *)array)[index];
    default: return 0;
    }
}

static double saturated(double value, double low, double high)
{
    if (value != value) return 0;
    return value < low ? low : value > high ? high : value;
}

void nacre_dtype_store(nacre_dtype dtype, void *array, int64_t index, double value)
{
    switch (dtype) {
    case NACRE_F32: ((float *)array)[index] = (float)value; break;
    case NACRE_F64: ((double *)array)[index] = value; break;
    case NACRE_BF16: ((uint16_t *)array)[index] = nc_f32_to_bf16(nc_round_to_odd(value)); break;
    case NACRE_F16: ((uint16_t *)array)[index] = nc_f32_to_f16(nc_round_to_odd(value)); break;
    case NACRE_I8: ((int8_t *)array)[index] = (int8_t)saturated(value, INT8_MIN, INT8_MAX); break;
    case NACRE_U8: ((uint8_t *)array)[index] = (uint8_t)saturated(value, 0, UINT8_MAX); break;
    case NACRE_I32: ((int32_t *)array)[index] = (int32_t)saturated(value, INT32_MIN, INT32_MAX); break;
    case NACRE_I64: /* 2^63 itself does not fit, the largest double below it does */
        ((int64_t *)array)[index] = (int64_t)saturated(value, -0x1p63, 0x1.fffffffffffffp62);
        break;
    case NACRE_BOOL: ((uint8_t *)array)[index] = value != 0; break;
    default: break;
    }
}

void nacre_dtype_convert(nacre_dtype to, void *target, nacre_dtype from, const void *source, int64_t count)
{
    if (to == from) {
        memcpy(target, source, (size_t)count * nacre_dtype_size(to));
    } else if (to == NACRE_I64 && from == NACRE_I32) {
        for (int64_t i = 0; i < count; i++) ((int64_t *)target)[i] = ((const int32_t *)source)[i];
    } else if (to == NACRE_F32 && from == NACRE_U8) { /* every picture that is loaded */
        for (int64_t i = 0; i < count; i++) ((float *)target)[i] = ((const uint8_t *)source)[i];
    } else {
        for (int64_t i = 0; i < count; i++) nacre_dtype_store(to, target, i, nacre_dtype_load(from, source, i));
    }
}

/* ---- shapes ---- */

int64_t nacre_shape_count(nacre_shape shape)
{
    int64_t count = 1;
    bool empty = false;
    for (int i = 0; i < shape.rank; i++) {
        if (shape.dims[i] < 0) return -1;
        if (shape.dims[i] == 0)
            empty = true;
        else if (__builtin_mul_overflow(count, shape.dims[i], &count) || count > (int64_t)1 << 59)
            return -1;
    }
    return empty ? 0 : count;
}

bool nacre_shape_equal(nacre_shape a, nacre_shape b)
{
    if (a.rank != b.rank) return false;
    for (int i = 0; i < a.rank; i++)
        if (a.dims[i] != b.dims[i]) return false;
    return true;
}

char *nacre_shape_text(nacre_shape shape, char text[NACRE_SHAPE_TEXT_SIZE])
{
    int used = snprintf(text, NACRE_SHAPE_TEXT_SIZE, "[");
    for (int i = 0; i < shape.rank && i < NACRE_MAX_RANK; i++)
        used += snprintf(text + used, (size_t)(NACRE_SHAPE_TEXT_SIZE - used), i ? ", %lld" : "%lld",
                         (long long)shape.dims[i]);
    snprintf(text + used, (size_t)(NACRE_SHAPE_TEXT_SIZE - used), "]");
    return text;
}

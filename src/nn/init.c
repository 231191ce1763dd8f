/* nn/init.c - initial values of parameters. */
#include <nacre/nn.h>
#include <nacre/random.h>

#include <math.h>

/* Number k of the stream that belongs to (seed, path); uniform numbers and normal ones use the same blocks. */
typedef struct stream {
    uint32_t key[2];
    uint32_t path[2];
} stream;

static stream open_stream(uint64_t seed, const char *path)
{
    uint64_t hash = 0xcbf29ce484222325u; /* FNV-1a */
    for (; *path; path++) hash = (hash ^ (unsigned char)*path) * 0x100000001b3u;
    return (stream){{(uint32_t)seed, (uint32_t)(seed >> 32)}, {(uint32_t)hash, (uint32_t)(hash >> 32)}};
}

static void draw(const stream *from, uint64_t block, uint32_t round, uint32_t bits[4])
{
    nacre_philox(from->key, (uint32_t[]){(uint32_t)block, round, from->path[0], from->path[1]}, bits);
}

static double normal_at(const stream *from, int64_t index, uint32_t round)
{
    uint32_t bits[4];
    float pair[2];
    draw(from, (uint64_t)index / 2, round, bits);
    nacre_normal(bits[0], bits[1], pair);
    return pair[index % 2];
}

static double truncated_normal_at(const stream *from, int64_t index)
{
    uint32_t round = 0;
    double value = normal_at(from, index, round);
    while (fabs(value) > 2) value = normal_at(from, index, ++round);
    return value;
}

/* ---- fans ---- */

struct fans {
    double in, out;
};

static struct fans fans_of(nacre_shape shape)
{
    double field = 1;
    for (int i = 2; i < shape.rank; i++) field *= (double)shape.dims[i];
    double out = shape.rank > 0 ? (double)shape.dims[0] : 1, in = shape.rank > 1 ? (double)shape.dims[1] : out;
    return (struct fans){in * field, out * field};
}

/* ---- filling ---- */

/* Each block of random bits gives four numbers in [0, 1). */
static void fill_uniform(const stream *from, nacre_dtype dtype, void *data, int64_t count, double low, double high)
{
    enum { CHUNK = 256 };
    float values[CHUNK];
    for (int64_t start = 0; start < count; start += CHUNK) {
        const int64_t left = count - start < CHUNK ? count - start : CHUNK;
        for (int64_t i = 0; i < left; i += 4) {
            uint32_t bits[4];
            draw(from, (uint64_t)(start + i) / 4, 0, bits);
            for (int k = 0; k < 4; k++) values[i + k] = (float)(low + (double)nacre_uniform(bits[k]) * (high - low));
        }
        nacre_dtype_convert(dtype, (char *)data + (size_t)start * nacre_dtype_size(dtype), NACRE_F32, values, left);
    }
}

/* Each block gives two normal numbers. */
static void fill_normal(const stream *from, nacre_dtype dtype, void *data, int64_t count, double mean, double deviation)
{
    for (int64_t i = 0; i < count; i += 2) {
        uint32_t bits[4];
        float pair[2];
        draw(from, (uint64_t)i / 2, 0, bits);
        nacre_normal(bits[0], bits[1], pair);
        for (int64_t k = 0; k < 2 && i + k < count; k++)
            nacre_dtype_store(dtype, data, i + k, mean + deviation * (double)pair[k]);
    }
}

/* Gram-Schmidt, twice for accuracy, over the rows of a [rows, columns] matrix with rows <= columns. */
static void orthonormalise(double *matrix, int64_t rows, int64_t columns)
{
    for (int64_t i = 0; i < rows; i++) {
        double *row = matrix + i * columns, norm = 0;
        for (int pass = 0; pass < 2; pass++) {
            for (int64_t k = 0; k < i; k++) {
                const double *other = matrix + k * columns;
                double dot = 0;
                for (int64_t c = 0; c < columns; c++) dot += row[c] * other[c];
                for (int64_t c = 0; c < columns; c++) row[c] -= dot * other[c];
            }
        }
        for (int64_t c = 0; c < columns; c++) norm += row[c] * row[c];
        norm = sqrt(norm);
        for (int64_t c = 0; c < columns; c++) row[c] /= norm;
    }
}

static nacre_status fill_orthogonal(nacre_context *context, const stream *from, nacre_dtype dtype, void *data,
                                    nacre_shape shape, double gain)
{
    int64_t count = nacre_shape_count(shape), rows = shape.rank > 0 ? shape.dims[0] : 1;
    int64_t columns = rows ? count / rows : 0;
    bool wide = rows <= columns;
    int64_t short_side = wide ? rows : columns, long_side = wide ? columns : rows;
    double *matrix = nacre_allocate(context, sizeof(double) * (size_t)(count + 1));
    if (!matrix) return NACRE_ERROR_MEMORY;
    for (int64_t i = 0; i < count; i++) matrix[i] = normal_at(from, i, 0);
    orthonormalise(matrix, short_side, long_side);
    for (int64_t r = 0; r < rows; r++)
        for (int64_t c = 0; c < columns; c++)
            nacre_dtype_store(dtype, data, r * columns + c,
                              gain * (wide ? matrix[r * columns + c] : matrix[c * rows + r]));
    nacre_release(context, matrix);
    return NACRE_OK;
}

nacre_status nacre_initialise(nacre_context *context, nacre_init init, uint64_t seed, const char *path,
                              nacre_dtype dtype, nacre_shape shape, void *data)
{
    int64_t count = nacre_shape_count(shape);
    stream from = open_stream(seed, path ? path : "");
    struct fans fan = fans_of(shape);
    double gain = init.a != 0 ? init.a : 1, slope = 1 + init.a * init.a, bound;
    switch (init.kind) {
    case NACRE_INIT_DEFAULT:
    case NACRE_INIT_CONSTANT:
        for (int64_t i = 0; i < count; i++) nacre_dtype_store(dtype, data, i, init.a);
        break;
    case NACRE_INIT_UNIFORM: fill_uniform(&from, dtype, data, count, init.a, init.b); break;
    case NACRE_INIT_NORMAL: fill_normal(&from, dtype, data, count, init.a, init.b); break;
    case NACRE_INIT_TRUNCATED_NORMAL:
        for (int64_t i = 0; i < count; i++)
            nacre_dtype_store(dtype, data, i, init.a + init.b * truncated_normal_at(&from, i));
        break;
    case NACRE_INIT_XAVIER_UNIFORM:
        bound = gain * sqrt(6 / (fan.in + fan.out));
        fill_uniform(&from, dtype, data, count, -bound, bound);
        break;
    case NACRE_INIT_XAVIER_NORMAL:
        fill_normal(&from, dtype, data, count, 0, gain * sqrt(2 / (fan.in + fan.out)));
        break;
    case NACRE_INIT_KAIMING_UNIFORM:
        bound = sqrt(6 / (slope * fan.in));
        fill_uniform(&from, dtype, data, count, -bound, bound);
        break;
    case NACRE_INIT_KAIMING_NORMAL:
        fill_normal(&from, dtype, data, count, 0, sqrt(2 / (slope * (init.b != 0 ? fan.out : fan.in))));
        break;
    case NACRE_INIT_ORTHOGONAL: return fill_orthogonal(context, &from, dtype, data, shape, gain);
    }
    return NACRE_OK;
}

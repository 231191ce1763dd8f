/* cpu/simd/tile_body.h - the text of the register tile, in the vocabulary of real.h: see tile.h. */

/* Rows share base pointers in groups of three: x86 addresses base, base + stride and base + 2 * stride in one
 * instruction, so fourteen rows cost five pointers. */
enum { GROUP = 3, GROUPS = (NC_TILE_ROWS + GROUP - 1) / GROUP };

NC_ALWAYS_INLINE void step(VECTOR sums[NC_TILE_ROWS][NC_TILE_VECTORS], const REAL *const a[GROUPS], int64_t a_row,
                           const REAL *b, int rows, int vectors)
{
    VECTOR columns[NC_TILE_VECTORS];
    NC_UNROLL
    for (int v = 0; v < vectors; v++) columns[v] = LOAD(b + v * LANES);
    NC_UNROLL
    for (int i = 0; i < rows; i++) {
        VECTOR row = SPLAT(a[i / GROUP][i % GROUP * a_row]);
        NC_UNROLL
        for (int v = 0; v < vectors; v++) sums[i][v] = FMA(row, columns[v], sums[i][v]);
    }
}

/* What is left to fetch: see tile.h. */
typedef struct fetching {
    const REAL *c, *residual;
    int64_t rows, c_row, read_count;
    const char *const *reads;
} fetching;

NC_ALWAYS_INLINE fetching begin_fetching(const nc_tile *tile, int rows, int vectors)
{
    const REAL *c = tile->c, *residual = tile->residual;
    fetching next = {.c_row = tile->c_row, .reads = tile->reads, .read_count = tile->read_count};
    if (tile->fetch_below) {
        next.rows = rows;
        next.c = c + rows * tile->c_row;
        next.residual = residual ? residual + rows * tile->c_row : next.c;
        return next;
    }
    NC_UNROLL
    for (int i = 0; i < rows; i++) {
        NC_UNROLL
        for (int v = 0; v < vectors; v++) __builtin_prefetch(c + i * tile->c_row + v * LANES, 1);
    }
    return next;
}

NC_ALWAYS_INLINE void fetch(fetching *next, int vectors)
{
    if (next->rows > 0) {
        NC_UNROLL
        for (int v = 0; v < vectors; v++) {
            __builtin_prefetch(next->c + v * LANES, 1);
            __builtin_prefetch(next->residual + v * LANES);
        }
        next->c += next->c_row;
        next->residual += next->c_row;
        next->rows--;
    }
    if (next->read_count > 0) {
        __builtin_prefetch(*next->reads++);
        next->read_count--;
    }
}

/* Epilogue and store, shared by all tile sizes: a pass over sums that have just left the registers. */
static __attribute__((noinline)) void finish(const nc_tile *tile, const VECTOR *sums, int rows, int vectors)
{
    for (int v = 0; v < vectors; v++) {
        const int64_t left = tile->columns - v * LANES;
        const bool whole = left >= LANES;
        VECTOR column_bias = {0};
        if (tile->column_bias) {
            const REAL *bias = (const REAL *)tile->column_bias + v * LANES;
            column_bias = whole ? LOAD(bias) : LOAD_SOME(bias, left);
        }
        for (int i = 0; i < rows; i++) {
            const int64_t offset = i * tile->c_row + v * LANES;
            REAL *c = (REAL *)tile->c + offset;
            VECTOR sum = sums[i * vectors + v];
            if (tile->accumulate) sum += whole ? LOAD(c) : LOAD_SOME(c, left);
            if (tile->column_bias) sum += column_bias;
            if (tile->row_bias) sum += SPLAT(((const REAL *)tile->row_bias)[i]);
            if (tile->residual) {
                const REAL *residual = (const REAL *)tile->residual + offset;
                sum += whole ? LOAD(residual) : LOAD_SOME(residual, left);
            }
            if (tile->relu) sum = MAX((VECTOR){0}, sum);
            if (tile->ceiling > 0) sum = MIN(SPLAT((REAL)tile->ceiling), sum);
            if (whole)
                STORE(c, sum);
            else
                STORE_SOME(c, sum, left);
        }
    }
}

NC_ALWAYS_INLINE void add_rows(VECTOR sums[NC_TILE_ROWS][NC_TILE_VECTORS], const REAL *from, int64_t stride, int rows,
                               int vectors)
{
    NC_UNROLL
    for (int i = 0; i < rows; i++, from += stride) {
        NC_UNROLL
        for (int v = 0; v < vectors; v++) sums[i][v] += LOAD(from + v * LANES);
    }
}

/* The same for whole vectors and the commonest epilogues. */
NC_ALWAYS_INLINE void finish_in_registers(const nc_tile *tile, VECTOR sums[NC_TILE_ROWS][NC_TILE_VECTORS], int rows,
                                          int vectors)
{
    REAL *c = tile->c;
    if (tile->accumulate) add_rows(sums, c, tile->c_row, rows, vectors);
    if (tile->column_bias) add_rows(sums, tile->column_bias, 0, rows, vectors);
    if (tile->residual) add_rows(sums, tile->residual, tile->c_row, rows, vectors);
    if (tile->relu) {
        NC_UNROLL
        for (int i = 0; i < rows; i++) {
            NC_UNROLL
            for (int v = 0; v < vectors; v++) sums[i][v] = MAX((VECTOR){0}, sums[i][v]);
        }
    }
    if (tile->ceiling > 0) {
        const VECTOR ceiling = SPLAT((REAL)tile->ceiling);
        NC_UNROLL
        for (int i = 0; i < rows; i++) {
            NC_UNROLL
            for (int v = 0; v < vectors; v++) sums[i][v] = MIN(ceiling, sums[i][v]);
        }
    }
    NC_UNROLL
    for (int i = 0; i < rows; i++) {
        NC_UNROLL
        for (int v = 0; v < vectors; v++) STORE(c + i * tile->c_row + v * LANES, sums[i][v]);
    }
}

NC_ALWAYS_INLINE void run(const nc_tile *tile, int order, int rows, int vectors)
{
    const int64_t a_row = order == NC_TILE_ROWS_CONTIGUOUS ? 1 : tile->a_row;
    const int64_t a_step = order == NC_TILE_ROWS_CONTIGUOUS ? tile->a_step : 1;
    VECTOR sums[NC_TILE_ROWS][NC_TILE_VECTORS] = {0};
    fetching next = begin_fetching(tile, rows, vectors);
    for (int64_t t = 0; t < tile->tap_count; t++) {
        const REAL *a[GROUPS];
        const REAL *b = (const REAL *)tile->b + tile->taps[t].b;
        NC_UNROLL
        for (int g = 0; g < GROUPS; g++) a[g] = (const REAL *)tile->a + tile->taps[t].a + g * GROUP * a_row;
        for (int64_t k = 0; k < tile->steps; k++) {
            fetch(&next, vectors);
            step(sums, a, a_row, b, rows, vectors);
            NC_UNROLL
            for (int g = 0; g < GROUPS; g++) a[g] += a_step;
            b += tile->b_step;
        }
    }
    if (tile->columns == vectors * LANES && !tile->row_bias) {
        finish_in_registers(tile, sums, rows, vectors);
        return;
    }
    VECTOR results[NC_TILE_ROWS * NC_TILE_VECTORS];
    NC_UNROLL
    for (int i = 0; i < rows; i++) {
        NC_UNROLL
        for (int v = 0; v < vectors; v++) results[i * vectors + v] = sums[i][v];
    }
    finish(tile, results, rows, vectors);
}

#define DEFINE(rows)                                                                                                   \
    static void steps_##rows##_1(const nc_tile *tile)                                                                  \
    {                                                                                                                  \
        run(tile, NC_TILE_STEPS_CONTIGUOUS, rows, 1);                                                                  \
    }                                                                                                                  \
    static void steps_##rows##_2(const nc_tile *tile)                                                                  \
    {                                                                                                                  \
        run(tile, NC_TILE_STEPS_CONTIGUOUS, rows, 2);                                                                  \
    }                                                                                                                  \
    static void rows_##rows##_1(const nc_tile *tile)                                                                   \
    {                                                                                                                  \
        run(tile, NC_TILE_ROWS_CONTIGUOUS, rows, 1);                                                                   \
    }                                                                                                                  \
    static void rows_##rows##_2(const nc_tile *tile)                                                                   \
    {                                                                                                                  \
        run(tile, NC_TILE_ROWS_CONTIGUOUS, rows, 2);                                                                   \
    }
#define STEPS_ENTRY(rows) {steps_##rows##_1, steps_##rows##_2},
#define ROWS_ENTRY(rows)  {rows_##rows##_1, rows_##rows##_2},

#define EACH_TO_6(X)  X(1) X(2) X(3) X(4) X(5) X(6)
#define EACH_TO_10(X) EACH_TO_6(X) X(7) X(8) X(9) X(10)
#define EACH_TO_14(X) EACH_TO_10(X) X(11) X(12) X(13) X(14)
#if NC_TILE_ROWS == 14
#define EACH EACH_TO_14
#elif NC_TILE_ROWS == 10
#define EACH EACH_TO_10
#else
#define EACH EACH_TO_6
#endif

EACH(DEFINE)
nc_tile_function *const nc_isa_real(nc_tiles)[2][NC_TILE_ROWS][NC_TILE_VECTORS] = {{EACH(STEPS_ENTRY)},
                                                                                   {EACH(ROWS_ENTRY)}};

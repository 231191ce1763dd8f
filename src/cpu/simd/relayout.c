/* cpu/simd/relayout.c - between plain and channels-last order: each image is a matrix, [channels][pixels] or
 * [pixels][channels], that is transposed in squares of registers. */
#include "cpu/layout.h"
#include "cpu/share.h"
#include "cpu/simd/simd.h"

enum { STRIP = 4 * NC_LANES }; /* source rows that a task takes: whole lines of the target for each */

typedef struct transposition {
    const float *source; /* [images][rows][columns] */
    float *target;       /* [images][columns][rows] */
    int64_t rows, columns, strips;
} transposition;

static void transpose_square(const float *source, int64_t source_row, float *target, int64_t target_row, int64_t rows,
                             int64_t columns)
{
    nc_vec square[NC_LANES];
    NC_UNROLL
    for (int i = 0; i < NC_LANES; i++)
        square[i] = i < rows ? nc_load_some(source + i * source_row, columns) : (nc_vec){0};
    nc_transpose(square);
    NC_UNROLL
    for (int i = 0; i < NC_LANES; i++)
        if (i < columns) nc_store_some(target + i * target_row, square[i], rows);
}

static void transpose_strip(void *user, int64_t index, int thread)
{
    (void)thread;
    const transposition *t = user;
    const int64_t image = index / t->strips, first = index % t->strips * STRIP, end = nc_least(first + STRIP, t->rows);
    const float *source = t->source + image * t->rows * t->columns;
    float *target = t->target + image * t->rows * t->columns;
    for (int64_t column = 0; column < t->columns; column += NC_LANES)
        for (int64_t row = first; row < end; row += NC_LANES)
            transpose_square(source + row * t->columns + column, t->columns, target + column * t->rows + row, t->rows,
                             nc_least(end - row, NC_LANES), nc_least(t->columns - column, NC_LANES));
}

static const char *refuse(const nacre_node_info *info)
{
    const nacre_view *x = &info->inputs[0], *y = &info->outputs[0];
    if (x->dtype != NACRE_F32 && x->dtype != NACRE_I32) return "moves elements of four bytes only";
    if (!(nc_is_plain(x) && nc_is_channels_last(y)) && !(nc_is_channels_last(x) && nc_is_plain(y)))
        return "goes between plain and channels-last order only";
    return NULL;
}

static void run_call(const nacre_call *call)
{
    const nacre_view *x = &call->inputs[0], *y = &call->outputs[0];
    const int64_t *dims = x->shape.dims, pixels = dims[2] * dims[3];
    const bool to_last = nc_is_plain(x) && nc_is_channels_last(y);
    transposition t = {.source = x->data,
                       .target = y->data,
                       .rows = to_last ? dims[1] : pixels,
                       .columns = to_last ? pixels : dims[1]};
    t.strips = nc_ceil_div(t.rows, STRIP);
    nacre_parallel(call->team, dims[0] * t.strips, transpose_strip, &t);
}

const nacre_kernel nc_isa(nc_relayout_kernel) = {
    .op = "relayout",
    .variant = "squares_" NC_ISA_NAME,
    .flags = NACRE_KERNEL_ANY_LAYOUT,
    .can = refuse,
    .run = run_call,
};

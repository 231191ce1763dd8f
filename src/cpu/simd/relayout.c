/* cpu/simd/relayout.c - the same elements in another memory order: between plain and channels-last, and with axes
 * exchanged.
 *
 * Walking along the result's memory, the innermost axis either is contiguous in the source too, and lines are copied;
 * or some other axis is, and squares of those two axes are transposed in registers. */
#include "cpu/chain.h"
#include "cpu/share.h"
#include "cpu/simd/half.h"

#ifdef NACRE_STRESS
enum { GRAIN = 1 << 6, BLOCK = 2 * NC_LANES, MANY_TASKS = 2 };
#else
enum {
    GRAIN = 1 << 14, /* elements worth a task */
    BLOCK = 64,      /* rows and columns transposed together: pieces of four lines on both sides */
    MANY_TASKS = 32  /* keep all threads busy */
};
#endif

typedef struct permutation {
    nc_walk walk; /* of the result, the source is operand 0 */
    const void *source;
    void *target;
    bool half;       /* elements of two bytes, not four */
    bool streamed;   /* the result goes around the cache: whole vectors only */
    int contiguous;  /* the axis that is contiguous in the source, -1: none */
    int64_t strip;   /* elements of that axis that a task takes, or lines of the innermost axis */
    int64_t strips;  /* that cover the axis */
    int64_t inner;   /* elements of the result from one index of the axis to the next */
    int64_t outside; /* positions of all axes but those two */
} permutation;

/* The first `count` elements of two bytes, their bits on lanes of four. */
static nc_vec load_halves(const uint16_t *p, int64_t count)
{
    const nc_halves halves = count < NC_LANES ? nc_load_halves(p, count) : (nc_halves) * (const nc_halves_any *)p;
    return (nc_vec) __builtin_convertvector(halves, nc_vecu);
}

static void store_halves(uint16_t *p, nc_vec v, int64_t count)
{
    const nc_halves bits = __builtin_convertvector((nc_vecu)v, nc_halves);
    if (count == NC_LANES)
        *(nc_halves_any *)p = bits;
    else
        nc_store_halves(p, bits, count);
}

static void transpose_whole_square(const float *source, int64_t source_row, float *target, int64_t target_row,
                                   bool streamed)
{
    nc_vec square[NC_LANES];
    NC_UNROLL
    for (int i = 0; i < NC_LANES; i++) {
        square[i] = nc_load(source + i * source_row);
        nc_fetch(source + i * source_row, BLOCK * source_row);
    }
    nc_transpose(square);
    if (streamed) {
        NC_UNROLL
        for (int i = 0; i < NC_LANES; i++) nc_stream(target + i * target_row, square[i]);
    } else {
        NC_UNROLL
        for (int i = 0; i < NC_LANES; i++) nc_store(target + i * target_row, square[i]);
    }
}

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

static void transpose_square_of_halves(const uint16_t *source, int64_t source_row, uint16_t *target, int64_t target_row,
                                       int64_t rows, int64_t columns)
{
    nc_vec square[NC_LANES];
    NC_UNROLL
    for (int i = 0; i < NC_LANES; i++)
        square[i] = i < rows ? load_halves(source + i * source_row, columns) : (nc_vec){0};
    nc_transpose(square);
    NC_UNROLL
    for (int i = 0; i < NC_LANES; i++)
        if (i < columns) store_halves(target + i * target_row, square[i], rows);
}

/* Positions of the axes but the innermost one and the contiguous one: offsets in source and target. */
static void find_outside(const permutation *p, int64_t at, int64_t *source, int64_t *target)
{
    const nc_walk *walk = &p->walk;
    int64_t dense = walk->dims[walk->rank - 1];
    *source = *target = 0;
    for (int axis = walk->rank - 2; axis >= 0; axis--) {
        if (axis != p->contiguous) {
            *source += at % walk->dims[axis] * walk->operands[0].strides[axis];
            *target += at % walk->dims[axis] * dense;
            at /= walk->dims[axis];
        }
        dense *= walk->dims[axis];
    }
}

/* Rows and columns of one position outside, `source` and `target` being the first element's there. */
static void transpose_block(const permutation *p, int64_t source, int64_t target, nc_range rows, nc_range columns)
{
    const int64_t row = p->walk.operands[0].strides[p->walk.rank - 1];
    for (int64_t i = rows.begin; i < rows.end; i += NC_LANES)
        for (int64_t j = columns.begin; j < columns.end; j += NC_LANES) {
            const int64_t from = source + i * row + j, to = target + j * p->inner + i;
            const int64_t high = nc_least(rows.end - i, NC_LANES), wide = nc_least(columns.end - j, NC_LANES);
            if (p->half)
                transpose_square_of_halves((const uint16_t *)p->source + from, row, (uint16_t *)p->target + to,
                                           p->inner, high, wide);
            else if (high == NC_LANES && wide == NC_LANES)
                transpose_whole_square((const float *)p->source + from, row, (float *)p->target + to, p->inner,
                                       p->streamed);
            else
                transpose_square((const float *)p->source + from, row, (float *)p->target + to, p->inner, high, wide);
        }
}

static void transpose_strip(void *user, int64_t index, int thread)
{
    (void)thread;
    const permutation *p = user;
    const int64_t rows = p->walk.dims[p->walk.rank - 1], columns = p->walk.dims[p->contiguous];
    const int64_t first = index % p->strips * p->strip, end = nc_least(first + p->strip, columns);
    int64_t source, target;
    find_outside(p, index / p->strips, &source, &target);
    for (int64_t j = first; j < end; j += BLOCK)
        for (int64_t i = 0; i < rows; i += BLOCK)
            transpose_block(p, source, target, (nc_range){i, nc_least(i + BLOCK, rows)},
                            (nc_range){j, nc_least(j + BLOCK, end)});
    if (p->streamed) nc_stream_end();
}

static void gather_strip(void *user, int64_t index, int thread)
{
    (void)thread;
    const permutation *p = user;
    const nc_operand *source = &p->walk.operands[0];
    const int64_t end = nc_least(p->walk.count, (index + 1) * p->strip);
    int64_t start = index * p->strip;
    if (!p->half) {
        nc_walk_gather(&p->walk, source, start, end - start, (float *)p->target + start);
        return;
    }
    float values[16 * NC_LANES]; /* every number of 16 bits is one of 32 */
    const int64_t room = sizeof values / sizeof *values;
    for (; start < end; start += room) {
        const int64_t count = nc_least(room, end - start);
        nc_walk_gather(&p->walk, source, start, count, values);
        nc_narrow(source->dtype, values, count, (uint16_t *)p->target + start);
    }
}

/* Where neighbours stay neighbours, two numbers of 16 bits move like a float. */
static bool join_halves(permutation *p)
{
    nc_walk *walk = &p->walk;
    int64_t *strides = walk->operands[0].strides;
    const int last = walk->rank - 1;
    if (last < 0 || strides[last] != 1 || walk->dims[last] % 2) return false;
    for (int axis = 0; axis < last; axis++)
        if (strides[axis] % 2) return false;
    for (int axis = 0; axis < last; axis++) strides[axis] /= 2;
    walk->dims[last] /= 2;
    walk->count /= 2;
    return true;
}

static void permute(const nacre_view *from, const nacre_view *to, nacre_team *team)
{
    permutation p = {.source = from->data, .target = to->data, .contiguous = -1, .half = nc_is_half(from->dtype)};
    nc_walk_make(&p.walk, from, 1, to);
    if (p.half && join_halves(&p)) p.half = false;
    if (!p.half) p.walk.operands[0].dtype = NACRE_F32; /* any type of four bytes moves like a float */
    const int last = p.walk.rank - 1;
    for (int axis = 0; axis < last; axis++)
        if (p.walk.operands[0].strides[axis] == 1) p.contiguous = axis;
    if (p.walk.count == 0) return;
    if (last < 0 || p.contiguous < 0 || p.walk.operands[0].strides[last] == 1) {
        p.strip = GRAIN;
        nacre_parallel(team, nc_ceil_div(p.walk.count, GRAIN), gather_strip, &p);
        return;
    }
    p.inner = 1;
    for (int axis = p.contiguous + 1; axis <= last; axis++) p.inner *= p.walk.dims[axis];
    const int64_t columns = p.walk.dims[p.contiguous], rows = p.walk.dims[last];
    p.outside = p.walk.count / (columns * rows);
    const bool many = p.outside * columns >= BLOCK * MANY_TASKS;
    p.strip = nc_round_up(nc_most(GRAIN / rows, NC_LANES), many ? BLOCK : NC_LANES);
    p.streamed = !p.half && rows % NC_LANES == 0 && nc_is_streamed(p.target, p.walk.count);
    p.strips = nc_ceil_div(columns, p.strip);
    nacre_parallel(team, p.outside * p.strips, transpose_strip, &p);
}

static const char *refuse(const nacre_node_info *info)
{
    const size_t size = nacre_dtype_size(info->inputs[0].dtype);
    return size == sizeof(float) || size == sizeof(uint16_t) ? NULL : "moves elements of two and four bytes only";
}

static void run_relayout(const nacre_call *call)
{
    permute(&call->inputs[0], &call->outputs[0], call->team);
}

static void run_transpose(const nacre_call *call)
{
    const int64_t *order = call->attributes + 1; /* after their number */
    nacre_view turned = call->inputs[0];
    for (int i = 0; i < turned.shape.rank; i++) {
        turned.shape.dims[i] = call->inputs[0].shape.dims[order[i]];
        turned.strides[i] = call->inputs[0].strides[order[i]];
    }
    permute(&turned, &call->outputs[0], call->team);
}

const nacre_kernel nc_isa(nc_relayout_kernel) = {.op = "relayout",
                                                 .variant = "squares_" NC_ISA_NAME,
                                                 .flags = NACRE_KERNEL_ANY_LAYOUT,
                                                 .can = refuse,
                                                 .run = run_relayout};
const nacre_kernel nc_isa(nc_transpose_kernel) = {
    .op = "transpose", .variant = "squares_" NC_ISA_NAME, .can = refuse, .run = run_transpose};

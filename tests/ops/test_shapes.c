/* Operations that move elements without changing them. */
#include "values.h"

static nacre_tensor *grid(int64_t rows, int64_t columns) /* 0, 1, 2, ... */
{
    return shaped(nacre_arange(graph, NACRE_F64, rows * columns, 0, 1), rows, columns);
}

static void slices(void)
{
    nacre_tensor *x = NUMBERS(0, 1, 2, 3, 4, 5);
    EXPECT(nacre_slice(x, 0, 1, 4, 1), 1, 2, 3);
    EXPECT(nacre_slice(x, 0, -2, NACRE_END, 1), 4, 5);
    EXPECT(nacre_slice(x, 0, 1, NACRE_END, 2), 1, 3, 5);
    EXPECT(nacre_slice(x, 0, -1, -100, -2), 5, 3, 1);
    EXPECT(nacre_slice(x, 0, 100, 2, -1), 5, 4, 3);
    EXPECT_SHAPE(nacre_slice(x, 0, 4, 2, 1), 0);
    EXPECT_SHAPE(nacre_slice(x, 0, INT64_MIN, INT64_MAX, INT64_MAX), 1);
    EXPECT(nacre_slice(grid(2, 3), -1, 1, NACRE_END, 1), 1, 2, 4, 5);
    EXPECT(slope(nacre_slice(x, 0, 4, 0, -3), x), 0, 1, 0, 0, 1, 0);
    EXPECT_FAILURE(nacre_slice(x, 1, 0, 1, 1), NACRE_ERROR_SHAPE, "slice: axis 1 is outside a tensor of rank 1");
    EXPECT_FAILURE(nacre_slice(x, 0, 0, 1, 0), NACRE_ERROR_ARGUMENT, "slice: a step must not be 0");
}

static void joining_and_splitting(void)
{
    nacre_tensor *a = grid(2, 2), *b = nacre_add_scalar(grid(2, 1), 10), *parts[3] = {a, b, NULL};
    EXPECT(nacre_concat(parts, 2, 1), 0, 1, 10, 2, 3, 11);
    EXPECT(nacre_stack((nacre_tensor *[]){a, a}, 2, -1), 0, 0, 1, 1, 2, 2, 3, 3);
    NC_CHECK(nacre_concat(parts, 3, 1) == NULL);
    EXPECT_FAILURE(nacre_concat(parts, 2, 0), NACRE_ERROR_SHAPE, "concat: operand 2 is [2, 1], the first one [2, 2]");
    EXPECT_FAILURE(nacre_stack(parts, 2, 0), NACRE_ERROR_SHAPE, "stack: operand 2 is [2, 1], the first one [2, 2]");
    nacre_tensor *x = grid(1, 6);
    NC_CHECK(nacre_split(x, 1, NULL, 3, parts) == NACRE_OK);
    EXPECT(parts[2], 4, 5);
    NC_CHECK(nacre_split(x, -1, (int64_t[]){1, 3, 2}, 3, parts) == NACRE_OK);
    EXPECT(parts[1], 1, 2, 3);
    EXPECT(slope(nacre_mul(parts[1], parts[1]), x), 0, 2, 4, 6, 0, 0);
    NC_CHECK(nacre_split(x, 1, NULL, 4, (nacre_tensor *[4]){0}) == NACRE_ERROR_SHAPE);
    NC_CHECK_FAILED(context, NACRE_ERROR_SHAPE, "split: an axis of size 6, but 4 parts of together 4");
}

static void padding(void)
{
    nacre_tensor *x = NUMBERS(1, 2, 3);
    const int64_t two[] = {2}, one[] = {1}, five[] = {5}, zero[] = {0};
    EXPECT(nacre_pad(x, two, one, 1, NACRE_PAD_CONSTANT, 9), 9, 9, 1, 2, 3, 9);
    EXPECT(nacre_pad(x, two, one, 1, NACRE_PAD_REFLECT, 0), 3, 2, 1, 2, 3, 2);
    EXPECT(nacre_pad(x, two, one, 1, NACRE_PAD_REPLICATE, 0), 1, 1, 1, 2, 3, 3);
    EXPECT(nacre_pad(x, two, one, 1, NACRE_PAD_CIRCULAR, 0), 2, 3, 1, 2, 3, 1);
    EXPECT(slope(nacre_pad(x, two, one, 1, NACRE_PAD_CONSTANT, 9), x), 1, 1, 1);
    EXPECT(slope(nacre_pad(x, two, one, 1, NACRE_PAD_REFLECT, 0), x), 1, 3, 2);
    EXPECT(slope(nacre_pad(x, two, one, 1, NACRE_PAD_REPLICATE, 0), x), 3, 1, 2);
    EXPECT(slope(nacre_pad(x, two, one, 1, NACRE_PAD_CIRCULAR, 0), x), 2, 2, 2);
    EXPECT(nacre_pad(grid(2, 1), one, zero, 1, NACRE_PAD_CONSTANT, 7), 7, 0, 7, 1); /* of the last axis */
    EXPECT_FAILURE(nacre_pad(x, five, one, 1, NACRE_PAD_REFLECT, 0), NACRE_ERROR_SHAPE,
                   "pad: axis 0 of size 3 cannot be padded by 5 and 1");
    EXPECT_FAILURE(nacre_pad(x, five, one, 1, NACRE_PAD_CIRCULAR, 0), NACRE_ERROR_SHAPE, "cannot be padded by 5 and 1");
    EXPECT_FAILURE(nacre_pad(x, (int64_t[]){1, 1}, (int64_t[]){1, 1}, 2, NACRE_PAD_CONSTANT, 0), NACRE_ERROR_ARGUMENT,
                   "2 paddings before and 2 after the ends of a tensor of rank 1");
}

static void turning(void)
{
    nacre_tensor *x = grid(2, 3), *v = NUMBERS(1, 2, 3);
    EXPECT(nacre_transpose(x, NULL), 0, 3, 1, 4, 2, 5);
    EXPECT(nacre_swap_axes(x, 0, -1), 0, 3, 1, 4, 2, 5);
    EXPECT(nacre_flip(x, (int64_t[]){-1}, 1), 2, 1, 0, 5, 4, 3);
    EXPECT(nacre_roll(v, 0, 1), 3, 1, 2);
    EXPECT(nacre_roll(v, 0, -4), 2, 3, 1);
    EXPECT(nacre_roll(v, 0, 6), 1, 2, 3);
    EXPECT(nacre_tile(x, 0, 2), 0, 1, 2, 3, 4, 5, 0, 1, 2, 3, 4, 5);
    EXPECT(nacre_tile(x, -1, 2), 0, 1, 2, 0, 1, 2, 3, 4, 5, 3, 4, 5);
    EXPECT(nacre_repeat(x, 0, 2), 0, 1, 2, 0, 1, 2, 3, 4, 5, 3, 4, 5);
    EXPECT(nacre_repeat(v, 0, 3), 1, 1, 1, 2, 2, 2, 3, 3, 3);
    EXPECT(slope(nacre_repeat(v, 0, 3), v), 3, 3, 3);
    EXPECT_SHAPE(nacre_unsqueeze(x, -1), 2, 3, 1);
    EXPECT_SHAPE(nacre_unsqueeze(x, 0), 1, 2, 3);
    EXPECT_SHAPE(nacre_squeeze(nacre_unsqueeze(x, 1), 1), 2, 3);
    EXPECT_SHAPE(nacre_squeeze(x, 1), 2, 3);
    EXPECT_FAILURE(nacre_transpose(x, (int64_t[]){1, 1}), NACRE_ERROR_ARGUMENT, "transpose: axis 1 is named twice");
    EXPECT_FAILURE(nacre_flip(x, (int64_t[]){0, -2}, 2), NACRE_ERROR_ARGUMENT, "flip: axis 0 is named twice");
    EXPECT_FAILURE(nacre_tile(x, 2, 2), NACRE_ERROR_SHAPE, "axis 2 of a tensor of rank 2, 2 times");
    EXPECT_FAILURE(nacre_unsqueeze(x, 3), NACRE_ERROR_SHAPE, "unsqueeze: axis 3");
}

static void triangles_and_positions(void)
{
    nacre_tensor *x = nacre_add_scalar(grid(2, 3), 1);
    EXPECT(nacre_tril(x, 0), 1, 0, 0, 4, 5, 0);
    EXPECT(nacre_triu(x, 1), 0, 2, 3, 0, 0, 6);
    EXPECT(nacre_tril(x, -2), 0, 0, 0, 0, 0, 0);
    EXPECT(slope(nacre_triu(x, 0), x), 1, 1, 1, 0, 1, 1);
    EXPECT(nacre_arange(graph, NACRE_I32, 4, 5, -2), 5, 3, 1, -1);
    EXPECT(nacre_eye(graph, NACRE_F32, 2), 1, 0, 0, 1);
    EXPECT_FAILURE(nacre_tril(NUMBERS(1, 2), 0), NACRE_ERROR_SHAPE, "tril: needs at least 2 axes, got 1");
    EXPECT_FAILURE(nacre_arange(graph, NACRE_F32, -1, 0, 1), NACRE_ERROR_SHAPE, "impossible shape");
}

/* More bits than a double has are moved unharmed. */
static void wide_integers_are_kept(void)
{
    const int64_t values[] = {INT64_MAX, INT64_MIN + 1, (1LL << 60) + 1, 7};
    int64_t got[4];
    nacre_tensor *x = nacre_constant(graph, NACRE_I64, NACRE_SHAPE(2, 2), values);
    nacre_tensor *y = nacre_transpose(nacre_flip(x, (int64_t[]){0, 1}, 2), NULL);
    y = nacre_take(nacre_sort(y, 1, false), integers(NUMBERS(0, 1)), 0);
    y = nacre_cast(nacre_gather(y, integers(shaped(NUMBERS(0, 1, 0, 1), 2, 2)), 1), NACRE_I64);
    nacre_output(y);
    NC_CHECK(nacre_run(graph) == NACRE_OK && nacre_read(y, got, sizeof got) == NACRE_OK);
    /* x turned by half and transposed: [7, MIN + 1], [2^60 + 1, MAX]; then each row in order */
    const int64_t expected[] = {INT64_MIN + 1, 7, (1LL << 60) + 1, INT64_MAX};
    for (int i = 0; i < 4; i++) NC_CHECK_INT(got[i], expected[i]);
}

int main(void)
{
    RUN(slices);
    RUN(joining_and_splitting);
    RUN(padding);
    RUN(turning);
    RUN(triangles_and_positions);
    RUN(wide_integers_are_kept);
    return nc_report();
}

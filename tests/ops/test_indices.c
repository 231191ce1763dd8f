/* Indices: those outside, those named twice, equal elements in order. */
#include "values.h"

static void reading(void)
{
    nacre_tensor *x = shaped(NUMBERS(1, 2, 3, 4, 5, 6), 3, 2), *ids = integers(NUMBERS(2, -3, 3, -4));
    EXPECT(nacre_take(x, ids, 0), 5, 6, 1, 2, NAN, NAN, NAN, NAN);
    EXPECT(nacre_take(integers(x), ids, 0), 5, 6, 1, 2, 0, 0, 0, 0);
    EXPECT(nacre_take(x, integers(NUMBERS(1, 1)), 1), 2, 2, 4, 4, 6, 6);
    EXPECT_SHAPE(nacre_take(x, nacre_reshape(ids, NACRE_SHAPE(2, 2)), 0), 2, 2, 2);
    EXPECT(slope(nacre_take(x, ids, 0), x), 1, 1, 0, 0, 1, 1);
    EXPECT(nacre_embedding_with(x, ids, NULL), 5, 6, 1, 2, NAN, NAN, NAN, NAN);
    EXPECT(nacre_gather(x, integers(shaped(NUMBERS(2, 0, 9, -1), 2, 2)), 0), 5, 2, NAN, 6);
    EXPECT(nacre_one_hot(integers(NUMBERS(1, -1, 2)), 2, NACRE_U8), 0, 1, 0, 0, 0, 0);
}

static void padding_entries_do_not_learn(void)
{
    const int64_t padding = -2;
    nacre_tensor *weight = shaped(NUMBERS(1, 2, 3, 4, 5, 6), 3, 2), *ids = integers(NUMBERS(1, 0, 1, 0, 2));
    nacre_tensor *y = nacre_embedding_with(weight, ids, &padding);
    EXPECT(y, 3, 4, 1, 2, 3, 4, 1, 2, 5, 6);
    nacre_tensor *dy = nacre_mul(y, y), *dx = slope(dy, weight);
    EXPECT(dx, 2 * 2 * 1, 2 * 2 * 2, 0, 0, 2 * 5, 2 * 6);
    EXPECT(slope(dx, weight), 4, 4, 0, 0, 2, 2);
}

static void writing(void)
{
    nacre_tensor *x = NUMBERS(1, 2, 3), *ids = integers(NUMBERS(0, 2, 0, 5, -2)), *new = NUMBERS(10, 20, 30, 40, 50);
    EXPECT(nacre_scatter(x, ids, new, 0), 30, 50, 20);
    EXPECT(nacre_scatter_add(x, ids, new, 0), 41, 52, 23);
    EXPECT(slope(nacre_scatter(x, ids, new, 0), x), 0, 0, 0);
    EXPECT(slope(nacre_mul(x, nacre_scatter_add(x, integers(NUMBERS(0, 0)), NUMBERS(1, 1), 0)), x), 1 + 2 + 1, 4, 6);
}

static void order(void)
{
    nacre_tensor *x = NUMBERS(3, NAN, 1, 3, -INFINITY, 1), *sorted = nacre_sort(x, 0, false);
    EXPECT(sorted, -INFINITY, 1, 1, 3, 3, NAN);
    EXPECT(nacre_tensor_sibling(sorted, 1), 4, 2, 5, 0, 3, 1);
    EXPECT(nacre_argsort(x, 0, true), 1, 0, 3, 2, 5, 4);
    nacre_tensor *largest = nacre_topk(x, 3, 0, true), *smallest = nacre_topk(x, 2, -1, false);
    EXPECT(largest, NAN, 3, 3);
    EXPECT(nacre_tensor_sibling(largest, 1), 1, 0, 3);
    EXPECT(smallest, -INFINITY, 1);
    EXPECT(nacre_tensor_sibling(smallest, 1), 4, 2);
    EXPECT(slope(smallest, x), 0, 0, 1, 0, 1, 0);
}

static void mistakes(void)
{
    nacre_tensor *x = NUMBERS(1, 2, 3), *ids = integers(NUMBERS(0, 1));
    EXPECT_FAILURE(nacre_take(x, x, 0), NACRE_ERROR_DTYPE, "take: indices are f64, expected integers");
    EXPECT_FAILURE(nacre_embedding_with(x, ids, NULL), NACRE_ERROR_SHAPE,
                   "the weight is [3], expected [entries, width]");
    EXPECT_FAILURE(nacre_embedding_with(shaped(x, 3, 1), ids, &(int64_t){3}), NACRE_ERROR_ARGUMENT,
                   "there is no padding index 3 among 3 entries");
    EXPECT_FAILURE(nacre_gather(x, shaped(ids, 1, 2), 0), NACRE_ERROR_SHAPE, "indices [1, 2] do not fit into [3]");
    EXPECT_FAILURE(nacre_scatter(x, ids, x, 0), NACRE_ERROR_SHAPE, "updates are [3], indices [2]");
    EXPECT_FAILURE(nacre_scatter(x, ids, ids, 0), NACRE_ERROR_DTYPE, "updates are i64, x is f64");
    EXPECT_FAILURE(nacre_topk(x, 4, 0, true), NACRE_ERROR_ARGUMENT, "topk: k is 4 for an axis of size 3");
    EXPECT_FAILURE(nacre_one_hot(x, 4, NACRE_F32), NACRE_ERROR_DTYPE, "one_hot: indices are f64");
}

int main(void)
{
    RUN(reading);
    RUN(padding_entries_do_not_learn);
    RUN(writing);
    RUN(order);
    RUN(mistakes);
    return nc_report();
}

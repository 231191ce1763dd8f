/* Reductions and running sums where the harness does not look: NaN, ties, zeros, nothing at all. */
#include "values.h"

static const int64_t FIRST[] = {0}, LAST[] = {-1};
static const nacre_reduce_options ROWS = {LAST, 1, false}, COLUMNS = {FIRST, 1, true};

static void special_values(void)
{
    nacre_tensor *x = shaped(NUMBERS(1, NAN, 3, 4, 5, -INFINITY), 2, 3), *none = nacre_slice(x, 1, 0, 0, 1);
    EXPECT(nacre_max(x, &ROWS), NAN, 5);
    EXPECT(nacre_min(x, &ROWS), NAN, -INFINITY);
    EXPECT(nacre_max(x, &COLUMNS), 4, NAN, 3);
    EXPECT_SHAPE(nacre_max(x, &COLUMNS), 1, 3);
    EXPECT(nacre_argmax(x, -1, false), 1, 1);
    EXPECT(nacre_argmin(x, -1, false), 1, 2);
    EXPECT(nacre_argmax(NUMBERS(2, 7, 7), 0, true), 1);
    EXPECT(nacre_sum(none, &ROWS), 0, 0);
    EXPECT(nacre_prod(none, &ROWS), 1, 1);
    EXPECT(nacre_mean(none, &ROWS), NAN, NAN);
    EXPECT(nacre_logsumexp(none, &ROWS), -INFINITY, -INFINITY);
    EXPECT(nacre_logsumexp(NUMBERS(1000, 1000), NULL), 1000 + log(2));
    EXPECT(nacre_logsumexp(NUMBERS(-INFINITY, -INFINITY), NULL), -INFINITY);
    EXPECT(nacre_all(nacre_isnan(x), &ROWS), 0, 0);
    EXPECT(nacre_any(nacre_isnan(x), &ROWS), 1, 0);
    EXPECT(nacre_all(none, &ROWS), 1, 1);
    EXPECT(nacre_any(none, &ROWS), 0, 0);
    EXPECT(nacre_var(NUMBERS(1, 2, 3, 6), NULL, 0), 3.5);
    EXPECT(nacre_var(NUMBERS(1, 2, 3, 6), NULL, 1), 14.0 / 3);
    EXPECT(nacre_var(NUMBERS(5), NULL, 1), NAN);
    EXPECT(nacre_std(NUMBERS(1, 5), NULL, 0), 2);
    EXPECT(nacre_norm(NUMBERS(3, -4), NULL), 5);
}

static void slopes_at_ties_and_zeros(void)
{
    nacre_tensor *x = shaped(NUMBERS(1, 3, 3, 2, 2, 2), 2, 3), *flat = NUMBERS(4, 4), *zeros = NUMBERS(0, 0);
    EXPECT(slope(nacre_max(x, &ROWS), x), 0, 0.5, 0.5, 1.0 / 3, 1.0 / 3, 1.0 / 3);
    EXPECT(slope(nacre_min(x, &COLUMNS), x), 1, 0, 0, 0, 1, 1);
    EXPECT(slope(nacre_std(flat, NULL, 0), flat), 0, 0);
    EXPECT(slope(nacre_norm(zeros, NULL), zeros), 0, 0);
    nacre_tensor *p = NUMBERS(2, 0, 3, 5), *q = NUMBERS(2, 0, 3, 0, 5);
    EXPECT(slope(nacre_prod(p, NULL), p), 0, 30, 0, 0);
    EXPECT(slope(nacre_prod(q, NULL), q), 0, 0, 0, 0, 0);
    EXPECT(slope(nacre_slice(slope(nacre_prod(q, NULL), q), 0, 1, 2, 1), q), 0, 0, 0, 30, 0); /* d2 / dq1 dq3 */
    EXPECT(slope(nacre_cumprod(p, 0, false, false), p), 1, 2 + 6 + 30, 0, 0);
}

static void running_sums(void)
{
    nacre_tensor *x = NUMBERS(1, 2, 3, 4);
    EXPECT(nacre_cumsum(x, 0, false, false), 1, 3, 6, 10);
    EXPECT(nacre_cumsum(x, 0, true, false), 0, 1, 3, 6);
    EXPECT(nacre_cumsum(x, 0, false, true), 10, 9, 7, 4);
    EXPECT(nacre_cumsum(x, 0, true, true), 9, 7, 4, 0);
    EXPECT(nacre_cumprod(x, 0, false, false), 1, 2, 6, 24);
    EXPECT(nacre_cumprod(x, 0, true, true), 24, 12, 4, 1);
    EXPECT(slope(nacre_cumsum(x, 0, true, false), x), 3, 2, 1, 0);
}

static void mistakes(void)
{
    nacre_tensor *x = shaped(NUMBERS(1, 2), 1, 2), *none = nacre_slice(x, 1, 0, 0, 1);
    const int64_t twice[] = {0, -2}, outside[] = {2};
    EXPECT_FAILURE(nacre_max(none, &ROWS), NACRE_ERROR_SHAPE, "max: there is none among no elements");
    EXPECT_FAILURE(nacre_argmin(none, 1, false), NACRE_ERROR_SHAPE, "argmin: there is none among no elements");
    EXPECT_FAILURE(nacre_mean(integers(x), NULL), NACRE_ERROR_DTYPE, "mean: needs a floating type, got i64");
    EXPECT_FAILURE(nacre_sum(x, &(nacre_reduce_options){twice, 2, false}), NACRE_ERROR_ARGUMENT, "named twice");
    EXPECT_FAILURE(nacre_sum(x, &(nacre_reduce_options){outside, 1, false}), NACRE_ERROR_SHAPE, "axis 2 is outside");
    EXPECT_FAILURE(nacre_cumsum(x, 2, false, false), NACRE_ERROR_SHAPE, "axis 2 is outside a tensor of rank 2");
}

int main(void)
{
    RUN(special_values);
    RUN(slopes_at_ties_and_zeros);
    RUN(running_sums);
    RUN(mistakes);
    return nc_report();
}

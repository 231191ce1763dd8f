/* Philox against the published vectors, and the shape of what is drawn from it. */
#include "test.h"

#include <nacre/random.h>

/* The known answers of the Random123 distribution for philox4x32 with 10 rounds. */
static void known_answers(void)
{
    static const struct {
        uint32_t counter[4], key[2], out[4];
    } CASES[] = {
        {{0, 0, 0, 0}, {0, 0}, {0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8}},
        {{0xffffffff, 0xffffffff, 0xffffffff, 0xffffffff},
         {0xffffffff, 0xffffffff},
         {0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd}},
        {{0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344},
         {0xa4093822, 0x299f31d0},
         {0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1}},
    };
    for (size_t i = 0; i < sizeof CASES / sizeof *CASES; i++) {
        uint32_t out[4];
        nacre_philox(CASES[i].key, CASES[i].counter, out);
        for (int word = 0; word < 4; word++) NC_CHECK_INT(out[word], CASES[i].out[word]);
    }
}

static void uniform_range(void)
{
    NC_CHECK(nacre_uniform(0) == 0.0f);
    NC_CHECK(nacre_uniform(UINT32_MAX) < 1.0f);
    NC_CHECK(nacre_uniform_f64(UINT32_MAX, UINT32_MAX) < 1.0);
    nacre_random random = nacre_random_create(1, 2, 3);
    double sum = 0, squares = 0;
    enum { N = 100000 };
    for (int i = 0; i < N; i++) {
        double u = nacre_random_uniform(&random, 0, 1);
        sum += u;
        squares += u * u;
    }
    NC_CHECK(fabs(sum / N - 0.5) < 0.005);
    NC_CHECK(fabs(squares / N - 1.0 / 3) < 0.005);
}

/* The series against libm, and the first four moments. */
static void normal_distribution(void)
{
    enum { N = 200000 };
    nacre_random random = nacre_random_create(7, 0, 0);
    double moments[5] = {0}, product = 0, worst = 0;
    for (int i = 0; i < N; i++) {
        uint32_t bits0 = nacre_random_bits(&random), bits1 = nacre_random_bits(&random);
        float pair[2];
        nacre_normal(bits0, bits1, pair);
        double radius = sqrt(-2 * log(((double)(bits0 >> 8) + 1) * 0x1p-24));
        double angle = ((double)(bits1 >> 6) * 0x1p-26 - 0.125) * 6.28318530717958647692;
        worst = fmax(worst, fabs(pair[0] - radius * cos(angle)));
        worst = fmax(worst, fabs(pair[1] - radius * sin(angle)));
        for (int power = 1; power < 5; power++) moments[power] += pow(pair[0], power) / N;
        product += (double)pair[0] * pair[1] / N;
    }
    NC_CHECK(worst < 1e-6);
    NC_CHECK(fabs(moments[1]) < 0.01);
    NC_CHECK(fabs(moments[2] - 1) < 0.01);
    NC_CHECK(fabs(moments[3]) < 0.03);
    NC_CHECK(fabs(moments[4] - 3) < 0.08);
    NC_CHECK(fabs(product) < 0.01);
    float extreme[2];
    nacre_normal(0, 0, extreme); /* the smallest u: finite, and the largest radius there is */
    NC_CHECK(fabs(hypot(extreme[0], extreme[1]) - sqrt(48 * log(2))) < 1e-5);
    nacre_normal(UINT32_MAX, 0, extreme); /* u = 1: radius 0 */
    NC_CHECK(extreme[0] == 0 && extreme[1] == 0);
}

static void below_is_even(void)
{
    int counts[7] = {0};
    nacre_random random = nacre_random_create(11, 0, 0);
    for (int i = 0; i < 70000; i++) {
        uint32_t value = nacre_random_below(&random, 7);
        NC_CHECK(value < 7);
        if (value < 7) counts[value]++;
    }
    for (int i = 0; i < 7; i++) NC_CHECK(counts[i] > 9600 && counts[i] < 10400);
    for (int i = 0; i < 100; i++) NC_CHECK_INT(nacre_random_below(&random, 1), 0);
}

static void streams_differ(void)
{
    nacre_random base = nacre_random_create(1, 1, 1);
    nacre_random others[] = {nacre_random_create(2, 1, 1), nacre_random_create(1, 2, 1), nacre_random_create(1, 1, 2),
                             nacre_random_create(nacre_random_fork(1, 1), 1, 1)};
    uint32_t first = nacre_random_bits(&base);
    for (size_t i = 0; i < sizeof others / sizeof *others; i++) NC_CHECK(nacre_random_bits(&others[i]) != first);
    nacre_random again = nacre_random_create(1, 1, 1);
    NC_CHECK_INT(nacre_random_bits(&again), first);
    NC_CHECK(nacre_random_fork(1, 1) != nacre_random_fork(1, 2));
}

int main(void)
{
    NC_RUN(known_answers);
    NC_RUN(uniform_range);
    NC_RUN(normal_distribution);
    NC_RUN(below_is_even);
    NC_RUN(streams_differ);
    return nc_report();
}

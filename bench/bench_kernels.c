/* Raw kernels against what the machine can do: GFLOP/s beside the measured peak, GB/s beside a measured triad.
 *
 *     bench_kernels [-t THREADS] [-s SECONDS] [-i INSTRUCTION-SET-LEVEL] [PART-OF-A-NAME]
 *
 * Each figure is the best of the repetitions that fit into SECONDS (0.3), since other work on the machine can only
 * add time. */
#include <nacre/nacre.h>

#include "core/team.h"
#include "cpu/matmul.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#if defined(__x86_64__)
#include <immintrin.h>
#endif

static int level;
static nacre_team *team;
static double seconds_each = 0.3;
static const char *wanted = "";
static double peak, triad; /* operations and bytes a second, all threads */

/* With one thread the processor's time is taken, which other jobs do not lengthen. */
static double now(void)
{
    struct timespec t;
    clock_gettime(nacre_team_size(team) == 1 ? CLOCK_PROCESS_CPUTIME_ID : CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

static double best_seconds(void (*body)(void *user), void *user)
{
    double best = 1e30;
    const double end = now() + seconds_each;
    for (int i = 0; i < 3 || now() < end; i++) {
        const double start = now();
        body(user);
        const double elapsed = now() - start;
        if (elapsed < best) best = elapsed;
    }
    return best;
}

/* An array of small random numbers that lives as long as the program. */
static void *numbers(int64_t count, size_t size)
{
    void *data = aligned_alloc(64, ((size_t)count * size + 127) / 64 * 64);
    if (!data) exit(1);
    for (int64_t i = 0; i < count; i++)
        nacre_dtype_store(size == 8 ? NACRE_F64 : NACRE_F32, data, i, (double)(i % 17 - 8) / 16);
    return data;
}

/* ---- what the machine can do --------------------------------------------------------------------------------------
 */

#if defined(__clang__)
#define UNROLL _Pragma("clang loop unroll(full)")
#else
#define UNROLL _Pragma("GCC unroll 12")
#endif
enum { PEAK_STEPS = 1 << 20, CHAINS = 12 };
static volatile float sink;

#if defined(__x86_64__)
__attribute__((target("avx512f"))) static void multiply_add_avx512(void)
{
    __m512 sums[CHAINS], x = _mm512_set1_ps(0.5f);
    UNROLL
    for (int c = 0; c < CHAINS; c++) sums[c] = _mm512_set1_ps((float)c);
    for (int i = 0; i < PEAK_STEPS; i++) {
        UNROLL
        for (int c = 0; c < CHAINS; c++) sums[c] = _mm512_fmadd_ps(sums[c], x, x);
    }
    UNROLL
    for (int c = 0; c < CHAINS; c++) sink = _mm512_reduce_add_ps(sums[c]);
}

__attribute__((target("avx2,fma"))) static void multiply_add_avx2(void)
{
    __m256 sums[CHAINS], x = _mm256_set1_ps(0.5f);
    UNROLL
    for (int c = 0; c < CHAINS; c++) sums[c] = _mm256_set1_ps((float)c);
    for (int i = 0; i < PEAK_STEPS; i++) {
        UNROLL
        for (int c = 0; c < CHAINS; c++) sums[c] = _mm256_fmadd_ps(sums[c], x, x);
    }
    UNROLL
    for (int c = 0; c < CHAINS; c++) sink = _mm256_cvtss_f32(sums[c]);
}
#endif

static void multiply_add_base(void)
{
    typedef float vector __attribute__((vector_size(16)));
    vector sums[CHAINS] = {0}, x = {0.5f, 0.5f, 0.5f, 0.5f};
    for (int i = 0; i < PEAK_STEPS; i++) {
        UNROLL
        for (int c = 0; c < CHAINS; c++) sums[c] = sums[c] * x + x;
    }
    UNROLL
    for (int c = 0; c < CHAINS; c++) sink = sums[c][0];
}

static void run_peak(void *user, int64_t index, int thread)
{
    (void)user, (void)index, (void)thread;
#if defined(__x86_64__)
    if (level == NACRE_ISA_AVX512) {
        multiply_add_avx512();
        return;
    }
    if (level == NACRE_ISA_AVX2) {
        multiply_add_avx2();
        return;
    }
#endif
    multiply_add_base();
}

static void all_peak(void *user)
{
    nacre_parallel(team, nacre_team_size(team), run_peak, user);
}

enum { TRIAD_COUNT = 1 << 24, TRIAD_PARTS = 64 };
static float *triad_arrays[3];

static void run_triad(void *user, int64_t index, int thread)
{
    (void)user, (void)thread;
    const int64_t part = TRIAD_COUNT / TRIAD_PARTS;
    float *a = triad_arrays[0] + index * part;
    const float *b = triad_arrays[1] + index * part, *c = triad_arrays[2] + index * part;
    for (int64_t i = 0; i < part; i++) a[i] = b[i] + 0.5f * c[i];
}

static void all_triad(void *user)
{
    nacre_parallel(team, TRIAD_PARTS, run_triad, user);
}

static void measure_machine(void)
{
    static const int lanes[] = {4, 8, 16};
    peak = 2.0 * lanes[level] * CHAINS * PEAK_STEPS * nacre_team_size(team) / best_seconds(all_peak, NULL);
    for (int i = 0; i < 3; i++) triad_arrays[i] = numbers(TRIAD_COUNT, sizeof(float));
    triad = 3.0 * sizeof(float) * TRIAD_COUNT / best_seconds(all_triad, NULL);
    for (int i = 0; i < 3; i++) free(triad_arrays[i]);
    printf("%s, %d threads, peak %.1f GF/s (f32), triad %.1f GB/s\n\n", nacre_instruction_set_name(level),
           nacre_team_size(team), peak * 1e-9, triad * 1e-9);
    printf("%-44s %10s %9s %6s %9s %6s\n", "", "us", "GF/s", "%peak", "GB/s", "%triad");
}

static void report(const char *name, double seconds, double operations, double bytes, double ceiling)
{
    printf("%-44s %10.1f", name, seconds * 1e6);
    if (operations > 0)
        printf(" %9.1f %6.1f", operations / seconds * 1e-9, 100 * operations / seconds / ceiling);
    else
        printf(" %9s %6s", "", "");
    printf(" %9.1f %6.1f\n", bytes / seconds * 1e-9, 100 * bytes / seconds / triad);
    fflush(stdout);
}

/* ---- matrix products -----------------------------------------------------------------------------------------------
 */

typedef void matmul_function(const nc_matmul *, void *, nacre_team *);
typedef size_t matmul_size(const nc_matmul *, int);
#if defined(__x86_64__)
#define TABLE(name)                                                                                                    \
    {                                                                                                                  \
        name##_base, name##_avx2, name##_avx512                                                                        \
    }
#else
#define TABLE(name)                                                                                                    \
    {                                                                                                                  \
        name##_base                                                                                                    \
    }
#endif

typedef struct matmul_run {
    matmul_function *function;
    nc_matmul problem;
    void *workspace;
} matmul_run;

static void run_matmul(void *user)
{
    matmul_run *run = user;
    run->function(&run->problem, run->workspace, team);
}

static void bench_matmul(int64_t m, int64_t n, int64_t k, bool transpose_a, bool transpose_b, bool is_double)
{
    static matmul_function *const functions[2][NACRE_ISA_COUNT] = {TABLE(nc_matmul_f32), TABLE(nc_matmul_f64)};
    static matmul_size *const sizes[2][NACRE_ISA_COUNT] = {TABLE(nc_matmul_workspace_f32),
                                                           TABLE(nc_matmul_workspace_f64)};
    char name[80];
    snprintf(name, sizeof name, "matmul_%s %c%c %dx%dx%d", is_double ? "f64" : "f32", transpose_a ? 't' : 'n',
             transpose_b ? 't' : 'n', (int)m, (int)n, (int)k);
    if (!strstr(name, wanted)) return;
    const size_t size = is_double ? 8 : 4;
    matmul_run run = {.function = functions[is_double][level]};
    nc_matmul *p = &run.problem;
    *p = (nc_matmul){.m = m, .n = n, .k = k, .c_row = n};
    p->a_row = transpose_a ? 1 : k;
    p->a_column = transpose_a ? m : 1;
    p->b_row = transpose_b ? 1 : n;
    p->b_column = transpose_b ? k : 1;
    void *a = numbers(m * k, size), *b = numbers(k * n, size), *c = numbers(m * n, size);
    p->a = a;
    p->b = b;
    p->c = c;
    run.workspace = aligned_alloc(64, sizes[is_double][level](p, nacre_team_size(team)));
    if (!run.workspace) exit(1);
    const double seconds = best_seconds(run_matmul, &run);
    report(name, seconds, 2.0 * (double)(m * n * k), (double)((m * k + k * n + m * n) * (int64_t)size),
           is_double ? peak / 2 : peak);
    free(run.workspace);
    free(a);
    free(b);
    free(c);
}

static void bench_matmuls(void)
{
    static const int64_t shapes[][3] = {
        {1024, 1024, 1024}, {2048, 2048, 2048}, {128, 512, 784},   {128, 512, 512},   {128, 10, 512},
        {128, 128, 12544},  {4096, 384, 384},   {4096, 65, 384},   {64, 64, 64},      {256, 256, 64},
        {4096, 1152, 384},  {4096, 1536, 384},  {4096, 384, 1536}, {4096, 2048, 512}, {64, 2048, 512},
    };
    const int count = sizeof shapes / sizeof *shapes;
    for (int i = 0; i < count; i++)
        for (int order = 0; order < 3; order++) { /* y = x w', dx = dy w, dw = dy' x of a linear layer */
            const int64_t batch = shapes[i][0], out = shapes[i][1], in = shapes[i][2];
            if (order == 0) bench_matmul(batch, out, in, false, true, false);
            if (order == 1) bench_matmul(batch, in, out, false, false, false);
            if (order == 2) bench_matmul(out, in, batch, true, false, false);
        }
    bench_matmul(1024, 1024, 1024, false, false, true);
    bench_matmul(128, 512, 784, false, true, true);
}

int main(int argc, char **argv)
{
    nacre_context_options options = {0};
    level = nacre_machine_info()->best;
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "-t") == 0 && i + 1 < argc)
            options.threads = atoi(argv[++i]);
        else if (strcmp(argv[i], "-s") == 0 && i + 1 < argc)
            seconds_each = atof(argv[++i]);
        else if (strcmp(argv[i], "-i") == 0 && i + 1 < argc)
            level = atoi(argv[++i]);
        else
            wanted = argv[i];
    }
    nacre_context *context = nacre_context_create(&options);
    if (!context) return 1;
    team = nc_team_create(context, nacre_threads(context));
    if (!team) return 1;
    measure_machine();
    bench_matmuls();
    nc_team_destroy(team);
    nacre_context_destroy(context);
    return 0;
}

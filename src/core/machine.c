/* core/machine.c - what this processor is and can do. */
#include <nacre/nacre.h>

#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static nacre_machine machine;
static pthread_once_t machine_once = PTHREAD_ONCE_INIT;

static void read_cpu_name(void)
{
    snprintf(machine.cpu, sizeof machine.cpu, "unknown processor");
    FILE *file = fopen("/proc/cpuinfo", "re");
    if (!file) return;
    char line[256];
    while (fgets(line, sizeof line, file)) {
        char *colon = strchr(line, ':');
        if (strncmp(line, "model name", 10) || !colon) continue;
        snprintf(machine.cpu, sizeof machine.cpu, "%.*s", (int)strcspn(colon + 2, "\n"), colon + 2);
        break;
    }
    fclose(file);
}

static void read_features(void)
{
#if defined(__x86_64__)
    __builtin_cpu_init();
    static const char *const separator = " ";
#define FEATURE(name)                                                                                                  \
    if (__builtin_cpu_supports(name)) {                                                                                \
        if (machine.features[0])                                                                                       \
            strncat(machine.features, separator, sizeof machine.features - strlen(machine.features) - 1);              \
        strncat(machine.features, name, sizeof machine.features - strlen(machine.features) - 1);                       \
    }
    FEATURE("sse4.2")
    FEATURE("avx2")
    FEATURE("fma")
    FEATURE("avx512f")
    FEATURE("avx512bw")
    FEATURE("avx512vl")
    FEATURE("avx512dq")
    FEATURE("avx512cd")
    FEATURE("avx512vnni")
    FEATURE("avx512bf16")
#undef FEATURE
    machine.best = NACRE_ISA_BASE;
    if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") && __builtin_cpu_supports("bmi2"))
        machine.best = NACRE_ISA_AVX2;
    if (machine.best == NACRE_ISA_AVX2 && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
        __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512cd"))
        machine.best = NACRE_ISA_AVX512;
#elif defined(__aarch64__)
    snprintf(machine.features, sizeof machine.features, "neon");
#endif
}

static int64_t positive(long value)
{
    return value > 0 ? value : 0;
}

static void read_machine(void)
{
    read_cpu_name();
    read_features();
    cpu_set_t usable;
    machine.cores = sched_getaffinity(0, sizeof usable, &usable) == 0 ? CPU_COUNT(&usable) : 1;
    machine.l1_bytes = positive(sysconf(_SC_LEVEL1_DCACHE_SIZE));
    machine.l2_bytes = positive(sysconf(_SC_LEVEL2_CACHE_SIZE));
    machine.l3_bytes = positive(sysconf(_SC_LEVEL3_CACHE_SIZE));
    machine.memory_bytes = positive(sysconf(_SC_PHYS_PAGES)) * positive(sysconf(_SC_PAGESIZE));
}

const nacre_machine *nacre_machine_info(void)
{
    pthread_once(&machine_once, read_machine);
    return &machine;
}

const char *nacre_instruction_set_name(nacre_instruction_set level)
{
    static const char *const names[] = {"base", "avx2", "avx512"};
    return (unsigned)level < NACRE_ISA_COUNT ? names[level] : "?";
}

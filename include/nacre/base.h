/* base.h - the ground floor: contexts, errors, memory, dtypes, shapes.
 *
 * Everything else in Nacre stands on this header; a program includes <nacre/nacre.h>, which is all of them.
 *
 *     nacre_context *ctx = nacre_context_create(NULL);
 *     ...
 *     if (nacre_check(ctx)) fprintf(stderr, "%s\n", nacre_message(ctx));
 *     nacre_context_destroy(ctx);
 *
 * Conventions that hold in every header
 * - Names: functions nacre_verb_noun, types nacre_noun, constants NACRE_NOUN.
 * - Option structs are const and zero means default; a NULL pointer means all defaults.
 * - Sizes are int64_t in elements and size_t in bytes. Shapes are logical and row-major: images are N,C,H,W and
 *   convolution weights O,I,H,W whatever the memory layout the planner has chosen.
 * - Errors: functions that touch the world return nacre_status. Functions that build (graphs, layers, objects)
 *   return NULL on failure and accept NULL arguments, so calls can be chained and checked once at the end. In
 *   both cases the context keeps the *first* failure until nacre_clear.
 * - The library never aborts, exits, prints or longjmps. It logs through the context's callback.
 * - A context and all that belongs to it is used by one thread at a time; different contexts are independent.
 */
#ifndef NACRE_BASE_H
#define NACRE_BASE_H

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define NACRE_VERSION_MAJOR  0
#define NACRE_VERSION_MINOR  1
#define NACRE_VERSION_PATCH  0
#define NACRE_VERSION_STRING "0.1.0"

#if defined(NACRE_SHARED) && defined(__GNUC__)
#define NACRE_API __attribute__((visibility("default")))
#else
#define NACRE_API
#endif
#if defined(__GNUC__)
#define NACRE_PRINTF(format_index, first_argument) __attribute__((format(printf, format_index, first_argument)))
#else
#define NACRE_PRINTF(format_index, first_argument)
#endif

#ifdef __cplusplus
extern "C" {
#endif

/* ---- status ------------------------------------------------------------------------------------------------- */

/* One table makes code, name and message of every error. */
#define NACRE_STATUS_TABLE(X)                                                                                          \
    X(OK, 0, "success")                                                                                                \
    X(ERROR_ARGUMENT, 1, "invalid argument")                                                                           \
    X(ERROR_SHAPE, 2, "shapes do not fit")                                                                             \
    X(ERROR_DTYPE, 3, "element types do not fit")                                                                      \
    X(ERROR_MEMORY, 4, "out of memory")                                                                                \
    X(ERROR_NOT_FOUND, 5, "not found")                                                                                 \
    X(ERROR_IO, 6, "input or output failed")                                                                           \
    X(ERROR_FORMAT, 7, "malformed file")                                                                               \
    X(ERROR_UNSUPPORTED, 8, "not supported")                                                                           \
    X(ERROR_NUMERIC, 9, "numeric failure (NaN or infinity)")                                                           \
    X(ERROR_STATE, 10, "call not allowed in this state")                                                               \
    X(ERROR_BUSY, 11, "in use by another process")                                                                     \
    X(ERROR_CANCELLED, 12, "cancelled")

typedef enum nacre_status {
#define NACRE_STATUS_MEMBER(name, code, text) NACRE_##name = code,
    NACRE_STATUS_TABLE(NACRE_STATUS_MEMBER)
#undef NACRE_STATUS_MEMBER
} nacre_status;

/* "success", "out of memory", ... Never NULL. */
NACRE_API const char *nacre_status_text(nacre_status status);
/* "0.1.0" of the library that is linked (the header's is NACRE_VERSION_STRING). */
NACRE_API const char *nacre_version(void);

/* ---- context ------------------------------------------------------------------------------------------------- */

typedef struct nacre_context nacre_context;

/* Memory comes from here and nowhere else (third-party codecs excepted). `resize` follows realloc with the size
 * spelled out: (NULL, n) allocates, (p, n) resizes, (p, 0) frees and returns NULL. It may be called from several
 * threads at once. Returning NULL for n > 0 makes the call that needed memory fail with NACRE_ERROR_MEMORY. */
typedef struct nacre_allocator {
    void *user;
    void *(*resize)(void *user, void *pointer, size_t size);
} nacre_allocator;

typedef enum nacre_log_level { NACRE_LOG_DEBUG, NACRE_LOG_INFO, NACRE_LOG_WARNING, NACRE_LOG_ERROR } nacre_log_level;
typedef void (*nacre_log_function)(void *user, nacre_log_level level, const char *message);

/* Where a plan runs. NACRE_DEVICE_REFERENCE uses only the plain kernels with double accumulation: slow, obvious,
 * right; it is what every other kernel is tested against. */
typedef enum nacre_device { NACRE_DEVICE_CPU, NACRE_DEVICE_REFERENCE } nacre_device;

/* How a kernel is chosen among those that can run a node: by rules, or by timing each of them once per problem (shapes,
 * attributes, memory orders, threads, determinism) when a plan is made, within 30 seconds and 1 GiB of memory for all.
 * What was measured is kept in a file for later processes on the same processor. */
typedef enum nacre_kernel_choice { NACRE_KERNELS_HEURISTIC, NACRE_KERNELS_BENCHMARK } nacre_kernel_choice;

typedef struct nacre_context_options {
    nacre_allocator allocator; /* resize == NULL: malloc and free */
    nacre_log_function log;    /* NULL: silence */
    void *log_user;
    int threads; /* of the compute team; 0: one per usable core */
    nacre_device device;
    bool deterministic;  /* only kernels whose result does not depend on the number of threads */
    int instruction_set; /* cap of the kernels' level, nacre_instruction_set + 1; 0: the best this CPU has */
    nacre_kernel_choice kernels;
    const char
        *kernel_folder; /* where "kernels.txt" keeps what was measured; NULL: "nacre" in the user's cache folder */
} nacre_context_options;

NACRE_API nacre_context *nacre_context_create(const nacre_context_options *options); /* NULL: out of memory */
NACRE_API void nacre_context_destroy(nacre_context *context);                        /* NULL is fine */
/* A context for a helper thread: the same allocator and device, but its own error, one thread and no log. Whoever
 * forks it destroys it before the original and passes failures on. */
NACRE_API nacre_context *nacre_context_fork(const nacre_context *context);
NACRE_API int nacre_threads(const nacre_context *context);
NACRE_API nacre_device nacre_context_device(const nacre_context *context);
NACRE_API int nacre_context_instruction_set(const nacre_context *context); /* a nacre_instruction_set */

/* ---- errors --------------------------------------------------------------------------------------------------- */

/* Records a failure and returns `status`. Only the first one since nacre_clear is kept (the rest are logged at
 * debug level), so the message names the cause and not its consequences. Messages say what, where, expected and
 * got, and what to do: `linear "fc1": input has 784 features, weight expects 512; flatten first?` */
NACRE_API nacre_status nacre_fail(nacre_context *context, nacre_status status, const char *format, ...)
    NACRE_PRINTF(3, 4);
NACRE_API nacre_status nacre_fail_v(nacre_context *context, nacre_status status, const char *format, va_list arguments);
NACRE_API nacre_status nacre_check(const nacre_context *context);  /* the first failure, NACRE_OK if none */
NACRE_API const char *nacre_message(const nacre_context *context); /* its text, "" if none */
NACRE_API void nacre_clear(nacre_context *context);
NACRE_API void nacre_log_message(nacre_context *context, nacre_log_level level, const char *format, ...)
    NACRE_PRINTF(3, 4);

/* ---- memory --------------------------------------------------------------------------------------------------- */

/* All three record NACRE_ERROR_MEMORY and return NULL when there is none left. `nacre_allocate` returns zeroed
 * memory; `nacre_resize` leaves what is beyond the old size undefined and, on failure, the old block alive. */
NACRE_API void *nacre_allocate(nacre_context *context, size_t size);
NACRE_API void *nacre_resize(nacre_context *context, void *pointer, size_t size);
NACRE_API void nacre_release(nacre_context *context, void *pointer); /* NULL is fine */
NACRE_API char *nacre_duplicate(nacre_context *context, const char *text);
/* 64-byte aligned and uninitialised, for numbers; freed with nacre_release_aligned only. */
NACRE_API void *nacre_allocate_aligned(nacre_context *context, size_t size);
NACRE_API void nacre_release_aligned(nacre_context *context, void *pointer);

/* ---- element types -------------------------------------------------------------------------------------------- */

/* X(constant, name in files and messages, bytes, safetensors name) */
#define NACRE_DTYPE_TABLE(X)                                                                                           \
    X(F32, "f32", 4, "F32")                                                                                            \
    X(F64, "f64", 8, "F64")                                                                                            \
    X(BF16, "bf16", 2, "BF16")                                                                                         \
    X(F16, "f16", 2, "F16")                                                                                            \
    X(I8, "i8", 1, "I8")                                                                                               \
    X(U8, "u8", 1, "U8")                                                                                               \
    X(I32, "i32", 4, "I32")                                                                                            \
    X(I64, "i64", 8, "I64")                                                                                            \
    X(BOOL, "bool", 1, "BOOL")

typedef enum nacre_dtype {
#define NACRE_DTYPE_MEMBER(constant, name, bytes, safetensors) NACRE_##constant,
    NACRE_DTYPE_TABLE(NACRE_DTYPE_MEMBER)
#undef NACRE_DTYPE_MEMBER
        NACRE_DTYPE_COUNT
} nacre_dtype;

NACRE_API size_t nacre_dtype_size(nacre_dtype dtype);
NACRE_API const char *nacre_dtype_name(nacre_dtype dtype);
/* -1 if there is no such name; accepts both our spelling and safetensors' ("f32", "F32"). */
NACRE_API int nacre_dtype_from_name(const char *name);
NACRE_API bool nacre_dtype_is_float(nacre_dtype dtype);
/* Element `index` of an array as a double, and back. Writing rounds to nearest even (floats), truncates towards
 * zero and saturates (integers), or tests against zero (bool). i64 beyond 2^53 loses bits on this path. */
NACRE_API double nacre_dtype_load(nacre_dtype dtype, const void *array, int64_t index);
NACRE_API void nacre_dtype_store(nacre_dtype dtype, void *array, int64_t index, double value);
NACRE_API void nacre_dtype_convert(nacre_dtype to, void *target, nacre_dtype from, const void *source, int64_t count);

/* ---- shapes --------------------------------------------------------------------------------------------------- */

#define NACRE_MAX_RANK 8

typedef struct nacre_shape {
    int rank; /* 0 is a scalar */
    int64_t dims[NACRE_MAX_RANK];
} nacre_shape;

/* NACRE_SHAPE(128, 1, 28, 28); NACRE_SCALAR for none. */
#define NACRE_SHAPE(...)                                                                                               \
    ((nacre_shape){.rank = (int)(sizeof((int64_t[]){__VA_ARGS__}) / sizeof(int64_t)), .dims = {__VA_ARGS__}})
#define NACRE_SCALAR ((nacre_shape){.rank = 0})

/* Product of the dimensions, 1 for a scalar; -1 if a dimension is negative or the product exceeds 2^59, so
 * that sizes in bytes fit, too. */
NACRE_API int64_t nacre_shape_count(nacre_shape shape);
NACRE_API bool nacre_shape_equal(nacre_shape a, nacre_shape b);
/* "[128, 1, 28, 28]" into the caller's buffer, which is returned (always terminated). */
#define NACRE_SHAPE_TEXT_SIZE 192
NACRE_API char *nacre_shape_text(nacre_shape shape, char text[NACRE_SHAPE_TEXT_SIZE]);

/* ---- the machine ----------------------------------------------------------------------------------------------- */

typedef enum nacre_instruction_set {
    NACRE_ISA_BASE,
    NACRE_ISA_AVX2,
    NACRE_ISA_AVX512,
    NACRE_ISA_COUNT
} nacre_instruction_set;

typedef struct nacre_machine {
    char cpu[96];               /* the processor's own name */
    char features[128];         /* "sse4.2 avx2 fma avx512f avx512_bf16", what the kernels care about */
    int cores;                  /* usable by this process */
    nacre_instruction_set best; /* the level chosen at run time */
    int64_t l1_bytes, l2_bytes, l3_bytes, memory_bytes;
} nacre_machine;

NACRE_API const nacre_machine *nacre_machine_info(void);
NACRE_API const char *
nacre_instruction_set_name(nacre_instruction_set level); /* "base" (x86-64-v2 or arm64), "avx2", "avx512" */

#ifdef __cplusplus
}
#endif

#endif

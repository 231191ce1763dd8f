/* core/context.c - contexts: memory, errors, log. */
#include "core/context.h"
#include "core/measure.h"
#include "core/plan.h"
#include "core/team.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

static void *default_resize(void *user, void *pointer, size_t size)
{
    (void)user;
    if (size == 0) {
        free(pointer);
        return NULL;
    }
    return realloc(pointer, size);
}

nacre_context *nacre_context_create(const nacre_context_options *options)
{
    nacre_context_options chosen = options ? *options : (nacre_context_options){0};
    if (!chosen.allocator.resize) chosen.allocator.resize = default_resize;

    nacre_context *context = chosen.allocator.resize(chosen.allocator.user, NULL, sizeof *context);
    if (!context) return NULL;
    *context = (nacre_context){.allocator = chosen.allocator,
                               .log = chosen.log,
                               .log_user = chosen.log_user,
                               .device = chosen.device,
                               .deterministic = chosen.deterministic};
    pthread_mutex_init(&context->error_lock, NULL);

    const nacre_machine *machine = nacre_machine_info();
    context->instruction_set = (int)machine->best;
    if (chosen.instruction_set > 0 && chosen.instruction_set - 1 < context->instruction_set)
        context->instruction_set = chosen.instruction_set - 1;
    context->team = nc_team_create(context, chosen.threads > 0 ? chosen.threads : machine->cores);
    context->plans = nc_plan_cache_create(context);
    const bool measures = chosen.kernels == NACRE_KERNELS_BENCHMARK && chosen.device == NACRE_DEVICE_CPU;
    if (measures) context->measurements = nc_measurements_create(context, chosen.kernel_folder);
    if (!context->team || !context->plans || (measures && !context->measurements)) {
        nacre_context_destroy(context);
        return NULL;
    }
    return context;
}

void nacre_context_destroy(nacre_context *context)
{
    if (!context) return;
    nc_plan_cache_destroy(context->plans);
    nc_measurements_destroy(context->measurements);
    nc_team_destroy(context->team);
    pthread_mutex_destroy(&context->error_lock);
    context->allocator.resize(context->allocator.user, context, 0);
}

nacre_context *nacre_context_fork(const nacre_context *context)
{
    if (!context) return NULL;
    nacre_context_options options = {.allocator = context->allocator,
                                     .threads = 1,
                                     .device = context->device,
                                     .deterministic = context->deterministic,
                                     .instruction_set = context->instruction_set + 1};
    return nacre_context_create(&options);
}

int nacre_threads(const nacre_context *context)
{
    return context ? nacre_team_size(context->team) : 0;
}

nacre_device nacre_context_device(const nacre_context *context)
{
    return context ? context->device : NACRE_DEVICE_CPU;
}

int nacre_context_instruction_set(const nacre_context *context)
{
    return context ? context->instruction_set : NACRE_ISA_BASE;
}

/* ---- errors ---- */

const char *nacre_status_text(nacre_status status)
{
    switch (status) {
#define STATUS_CASE(name, code, text)                                                                                  \
    case NACRE_##name: return text;
        NACRE_STATUS_TABLE(STATUS_CASE)
#undef STATUS_CASE
    }
    return "unknown status";
}

const char *nacre_version(void)
{
    return NACRE_VERSION_STRING;
}

nacre_status nacre_fail_v(nacre_context *context, nacre_status status, const char *format, va_list arguments)
{
    if (!context || status == NACRE_OK) return status;
    pthread_mutex_lock(&context->error_lock);
    bool first = context->status == NACRE_OK;
    if (first) {
        context->status = status;
        vsnprintf(context->message, sizeof context->message, format, arguments);
    }
    pthread_mutex_unlock(&context->error_lock);
    if (!first && context->log) {
        char message[NC_MESSAGE_SIZE];
        vsnprintf(message, sizeof message, format, arguments);
        nacre_log_message(context, NACRE_LOG_DEBUG, "also: %s", message);
    }
    return status;
}

nacre_status nacre_fail(nacre_context *context, nacre_status status, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    nacre_fail_v(context, status, format, arguments);
    va_end(arguments);
    return status;
}

nacre_status nacre_check(const nacre_context *context)
{
    return context ? context->status : NACRE_ERROR_ARGUMENT;
}

const char *nacre_message(const nacre_context *context)
{
    return context ? context->message : "there is no context";
}

void nacre_clear(nacre_context *context)
{
    if (!context) return;
    context->status = NACRE_OK;
    context->message[0] = 0;
}

void nacre_log_message(nacre_context *context, nacre_log_level level, const char *format, ...)
{
    if (!context || !context->log) return;
    char message[NC_MESSAGE_SIZE];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(message, sizeof message, format, arguments);
    va_end(arguments);
    context->log(context->log_user, level, message);
}

/* ---- memory ---- */

static void *resize_or_fail(nacre_context *context, void *pointer, size_t size)
{
    if (!context) return NULL;
    void *result = context->allocator.resize(context->allocator.user, pointer, size ? size : 1);
    if (!result) nacre_fail(context, NACRE_ERROR_MEMORY, "out of memory: %zu bytes were asked for", size);
    return result;
}

void *nacre_allocate(nacre_context *context, size_t size)
{
    void *result = resize_or_fail(context, NULL, size);
    if (result) memset(result, 0, size);
    return result;
}

void *nacre_resize(nacre_context *context, void *pointer, size_t size)
{
    return resize_or_fail(context, pointer, size);
}

void nacre_release(nacre_context *context, void *pointer)
{
    if (context && pointer) context->allocator.resize(context->allocator.user, pointer, 0);
}

char *nacre_duplicate(nacre_context *context, const char *text)
{
    if (!text) return NULL;
    size_t size = strlen(text) + 1;
    char *copy = resize_or_fail(context, NULL, size);
    return copy ? memcpy(copy, text, size) : NULL;
}

/* The address that the allocator gave stands in the word before the aligned block. */
enum { ALIGNMENT = 64 };

/* Large pages halve the cost of the first touch; refusal is harmless. */
static void advise_large_pages(void *block, size_t size)
{
#ifdef MADV_HUGEPAGE
    enum { LARGE_PAGE = 2 << 20 };
    uintptr_t from = ((uintptr_t)block + LARGE_PAGE - 1) & ~(uintptr_t)(LARGE_PAGE - 1);
    uintptr_t to = ((uintptr_t)block + size) & ~(uintptr_t)(LARGE_PAGE - 1);
    if (to > from) (void)madvise((void *)from, to - from, MADV_HUGEPAGE);
#else
    (void)block;
    (void)size;
#endif
}

void *nacre_allocate_aligned(nacre_context *context, size_t size)
{
    if (size > SIZE_MAX - ALIGNMENT - sizeof(void *)) {
        nacre_fail(context, NACRE_ERROR_MEMORY, "out of memory: %zu bytes were asked for", size);
        return NULL;
    }
    char *block = resize_or_fail(context, NULL, size + ALIGNMENT + sizeof(void *));
    if (!block) return NULL;
    uintptr_t start = (uintptr_t)block + sizeof(void *);
    void **aligned = (void **)((start + ALIGNMENT - 1) & ~(uintptr_t)(ALIGNMENT - 1));
    aligned[-1] = block;
    advise_large_pages(aligned, size);
    return aligned;
}

void nacre_release_aligned(nacre_context *context, void *pointer)
{
    if (pointer) nacre_release(context, ((void **)pointer)[-1]);
}

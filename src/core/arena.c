/* core/arena.c - a list of chunks, each taken from front to back. */
#include "core/arena.h"

#include <string.h>

#ifdef NACRE_STRESS
enum { CHUNK = 256 };
#else
enum { CHUNK = 64 * 1024 };
#endif

struct nc_chunk {
    struct nc_chunk *next;
    size_t used, size;
    _Alignas(16) char bytes[];
};

nc_arena nc_arena_create(nacre_context *context)
{
    return (nc_arena){.context = context};
}

void nc_arena_destroy(nc_arena *arena)
{
    for (struct nc_chunk *chunk = arena->first, *next; chunk; chunk = next) {
        next = chunk->next;
        nacre_release(arena->context, chunk);
    }
    *arena = nc_arena_create(arena->context);
}

void nc_arena_reset(nc_arena *arena)
{
    arena->current = arena->first;
    if (arena->first) arena->first->used = 0;
}

/* The next kept chunk if it is large enough, otherwise a fresh one in front of it. */
static struct nc_chunk *advance(nc_arena *arena, size_t size)
{
    struct nc_chunk *next = arena->current ? arena->current->next : arena->first;
    if (!next || next->size < size) {
        size_t bytes = size > CHUNK ? size : CHUNK;
        struct nc_chunk *fresh = nacre_resize(arena->context, NULL, sizeof *fresh + bytes);
        if (!fresh) return NULL;
        *fresh = (struct nc_chunk){.next = next, .size = bytes};
        if (arena->current)
            arena->current->next = fresh;
        else
            arena->first = fresh;
        next = fresh;
    }
    next->used = 0;
    return arena->current = next;
}

void *nc_arena_take(nc_arena *arena, size_t size)
{
    size = (size + 15) & ~(size_t)15;
    struct nc_chunk *chunk = arena->current;
    if (!chunk || chunk->size - chunk->used < size) chunk = advance(arena, size);
    if (!chunk) return NULL;
    void *result = chunk->bytes + chunk->used;
    chunk->used += size;
    return result;
}

char *nc_arena_text(nc_arena *arena, const char *text)
{
    size_t size = strlen(text) + 1;
    char *copy = nc_arena_take(arena, size);
    return copy ? memcpy(copy, text, size) : NULL;
}

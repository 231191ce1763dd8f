/* core/arena.h - memory that is freed all at once: nodes, shapes, names of a graph. */
#ifndef NC_CORE_ARENA_H
#define NC_CORE_ARENA_H

#include <nacre/nacre.h>

typedef struct nc_arena {
    nacre_context *context;
    struct nc_chunk *first, *current;
} nc_arena;

nc_arena nc_arena_create(nacre_context *context);
void nc_arena_destroy(nc_arena *arena);
void nc_arena_reset(nc_arena *arena); /* keeps the chunks for the next round */
/* 16-byte aligned and uninitialised; NULL with the failure recorded in the context. */
void *nc_arena_take(nc_arena *arena, size_t size);
char *nc_arena_text(nc_arena *arena, const char *text);

#endif

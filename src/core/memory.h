/* core/memory.h - packing the tensors of a plan into one block. */
#ifndef NC_CORE_MEMORY_H
#define NC_CORE_MEMORY_H

#include <nacre/nacre.h>

/* A stretch of bytes that is needed from step `first` to step `last` (both included). */
typedef struct nc_lifetime {
    size_t bytes;
    int first, last;
    bool kept;     /* needed beyond the run: takes no part in the packing */
    size_t offset; /* result */
} nc_lifetime;

/* Gives every lifetime an offset, a multiple of 64, so that no two that overlap in time overlap in space; returns
 * the size of the block or SIZE_MAX if memory ran out. Largest first, each at the lowest place that is free for all
 * of its life (Pisarchyk and Lee, "Efficient Memory Management for Deep Neural Net Inference", 2020). */
size_t nc_pack(nacre_context *context, nc_lifetime *lifetimes, int count);

#endif

/* cpu/chain.h - how a chain of element-wise operations walks over its operands. */
#ifndef NC_CPU_CHAIN_H
#define NC_CPU_CHAIN_H

#include <nacre/backend.h>

enum { NC_CHAIN_MAX_OPERANDS = 16 };

/* How an operand meets the elements of the result, taken in the order of the result's memory. */
typedef enum nc_operand_kind {
    NC_OPERAND_DENSE,    /* element i meets element i */
    NC_OPERAND_PERIODIC, /* element i meets element i % period; a scalar has period 1 */
    NC_OPERAND_GENERAL   /* by strides */
} nc_operand_kind;

typedef struct nc_operand {
    nc_operand_kind kind;
    const void *data;
    nacre_dtype dtype;
    int64_t period;
    int64_t strides[NACRE_MAX_RANK]; /* over the walk's axes */
} nc_operand;

/* The elements of a dense result in the order of its memory: axes without those of size 1, neighbours merged where
 * all operands allow it. */
typedef struct nc_walk {
    int rank;
    int64_t dims[NACRE_MAX_RANK], count;
    int operand_count;
    nc_operand operands[NC_CHAIN_MAX_OPERANDS];
} nc_walk;

void nc_walk_make(nc_walk *walk, const nacre_view *inputs, int input_count, const nacre_view *output);
/* Elements [start, start + count) of an operand of any kind as floats. */
void nc_walk_gather(const nc_walk *walk, const nc_operand *operand, int64_t start, int64_t count, float *values);

/* The sources of a chain's steps become operands and slots of scratch. */
typedef struct nc_program_step {
    int source_count;
    int sources[NACRE_CHAIN_MAX_SOURCES]; /* >= 0: operand, < 0: slot -1 - source */
    int slot;                             /* of the result; the last step writes to the output */
} nc_program_step;

typedef struct nc_program {
    int step_count, slot_count;
    nc_program_step steps[NACRE_CHAIN_MAX_STEPS];
} nc_program;

void nc_program_make(nc_program *program, const nacre_chain *chain);
/* Why a chain of f32 arithmetic on these views cannot be walked; NULL if it can. */
const char *nc_chain_refusal(const nacre_chain *chain, const nacre_view *inputs, int input_count,
                             const nacre_view *output);
/* A node of a single operation as a chain of one step. */
void nc_chain_single(nacre_chain *chain, const nacre_op *op, const int64_t *attributes, const nacre_view *output,
                     int input_count);

#endif

/* cpu/chain.c - how a chain of element-wise operations walks over its operands. */
#include "cpu/chain.h"

#include "core/dtype.h"
#include "cpu/share.h"

#include <string.h>

/* ---- axes -------------------------------------------------------------------------------------------------------- */

/* Axes of the result from the outermost in memory to the innermost, those of size 1 left out. */
static int memory_order(const nacre_view *view, int order[NACRE_MAX_RANK])
{
    int rank = 0;
    for (int axis = 0; axis < view->shape.rank; axis++) {
        if (view->shape.dims[axis] == 1) continue;
        int at = rank++;
        for (; at > 0 && view->strides[order[at - 1]] < view->strides[axis]; at--) order[at] = order[at - 1];
        order[at] = axis;
    }
    return rank;
}

static int64_t broadcast_stride(const nacre_view *view, int axis, int rank)
{
    const int own = axis - (rank - view->shape.rank);
    return own < 0 || view->shape.dims[own] == 1 ? 0 : view->strides[own];
}

/* Merges axis i + 1 into i where every operand steps through both as through one. */
static void merge_axes(nc_walk *walk)
{
    for (int i = walk->rank - 2; i >= 0; i--) {
        bool one = true;
        for (int k = 0; k < walk->operand_count && one; k++) {
            const int64_t *strides = walk->operands[k].strides;
            one = strides[i] == strides[i + 1] * walk->dims[i + 1];
        }
        if (!one) continue;
        walk->dims[i] *= walk->dims[i + 1];
        walk->rank--;
        for (int k = 0; k < walk->operand_count; k++) walk->operands[k].strides[i] = walk->operands[k].strides[i + 1];
        for (int j = i + 1; j < walk->rank; j++) {
            walk->dims[j] = walk->dims[j + 1];
            for (int k = 0; k < walk->operand_count; k++)
                walk->operands[k].strides[j] = walk->operands[k].strides[j + 1];
        }
    }
}

static void classify(const nc_walk *walk, nc_operand *operand)
{
    int64_t dense = 1;
    int axis = walk->rank - 1;
    for (; axis >= 0 && operand->strides[axis] == dense; axis--) dense *= walk->dims[axis];
    operand->period = dense;
    operand->kind = axis < 0 ? NC_OPERAND_DENSE : NC_OPERAND_PERIODIC;
    for (; axis >= 0; axis--)
        if (operand->strides[axis] != 0) operand->kind = NC_OPERAND_GENERAL;
}

void nc_walk_make(nc_walk *walk, const nacre_view *inputs, int input_count, const nacre_view *output)
{
    int order[NACRE_MAX_RANK];
    walk->rank = memory_order(output, order);
    walk->count = nacre_shape_count(output->shape);
    walk->operand_count = input_count;
    for (int i = 0; i < walk->rank; i++) walk->dims[i] = output->shape.dims[order[i]];
    for (int k = 0; k < input_count; k++) {
        nc_operand *operand = &walk->operands[k];
        *operand = (nc_operand){.data = inputs[k].data, .dtype = inputs[k].dtype};
        for (int i = 0; i < walk->rank; i++)
            operand->strides[i] = broadcast_stride(&inputs[k], order[i], output->shape.rank);
    }
    merge_axes(walk);
    for (int k = 0; k < input_count; k++) classify(walk, &walk->operands[k]);
}

static float element(const nc_operand *operand, int64_t offset)
{
    return operand->dtype == NACRE_F32 ? ((const float *)operand->data)[offset]
                                       : (float)nacre_dtype_load(operand->dtype, operand->data, offset);
}

/* Elements of the innermost axis. */
static void gather_line(const nc_operand *operand, int64_t offset, int64_t stride, int64_t count, float *values)
{
    if (stride == 0) {
        const float value = element(operand, offset);
        for (int64_t i = 0; i < count; i++) values[i] = value;
    } else if (stride == 1 && operand->dtype == NACRE_F32) {
        memcpy(values, (const float *)operand->data + offset, (size_t)count * sizeof *values);
    } else if (stride == 1 && operand->dtype == NACRE_BOOL) {
        const uint8_t *truth = (const uint8_t *)operand->data + offset;
        for (int64_t i = 0; i < count; i++) values[i] = truth[i] != 0;
    } else if (operand->dtype == NACRE_BF16) {
        const uint16_t *halves = (const uint16_t *)operand->data + offset;
        for (int64_t i = 0; i < count; i++) values[i] = nc_bf16_to_f32(halves[i * stride]);
    } else {
        for (int64_t i = 0; i < count; i++) values[i] = element(operand, offset + i * stride);
    }
}

void nc_walk_gather(const nc_walk *walk, const nc_operand *operand, int64_t start, int64_t count, float *values)
{
    int64_t index[NACRE_MAX_RANK], left = start, offset = 0;
    const int last = walk->rank - 1;
    if (last < 0) {
        values[0] = element(operand, 0);
        return;
    }
    for (int axis = last; axis >= 0; axis--) {
        index[axis] = left % walk->dims[axis];
        left /= walk->dims[axis];
        offset += index[axis] * operand->strides[axis];
    }
    while (count > 0) {
        const int64_t line = nc_least(walk->dims[last] - index[last], count);
        gather_line(operand, offset, operand->strides[last], line, values);
        values += line;
        count -= line;
        offset -= index[last] * operand->strides[last];
        index[last] = 0;
        for (int axis = last - 1; axis >= 0; axis--) {
            offset += operand->strides[axis];
            if (++index[axis] < walk->dims[axis]) break;
            offset -= index[axis] * operand->strides[axis];
            index[axis] = 0;
        }
    }
}

/* ---- programs ---------------------------------------------------------------------------------------------------- */

/* A step's result is wanted until its last reader; a reader may write where it reads. */
void nc_program_make(nc_program *program, const nacre_chain *chain)
{
    int last_reader[NACRE_CHAIN_MAX_STEPS] = {0};
    bool taken[NACRE_CHAIN_MAX_STEPS] = {false};
    program->step_count = chain->count;
    program->slot_count = 0;
    for (int k = 0; k < chain->count; k++)
        for (int i = 0; i < chain->steps[k].source_count; i++)
            if (chain->steps[k].sources[i] < 0) last_reader[-1 - chain->steps[k].sources[i]] = k;
    for (int k = 0; k < chain->count; k++) {
        nc_program_step *step = &program->steps[k];
        step->source_count = chain->steps[k].source_count;
        for (int i = 0; i < step->source_count; i++) {
            const int source = chain->steps[k].sources[i];
            step->sources[i] = source < 0 ? -1 - program->steps[-1 - source].slot : source;
            if (source < 0 && last_reader[-1 - source] == k) taken[program->steps[-1 - source].slot] = false;
        }
        step->slot = 0;
        while (taken[step->slot]) step->slot++;
        taken[step->slot] = true;
        if (step->slot >= program->slot_count) program->slot_count = step->slot + 1;
    }
}

static bool is_walkable(nacre_dtype dtype)
{
    return dtype == NACRE_F32 || dtype == NACRE_BOOL || dtype == NACRE_BF16 || dtype == NACRE_F16;
}

const char *nc_chain_refusal(const nacre_chain *chain, const nacre_view *inputs, int input_count,
                             const nacre_view *output)
{
    if (input_count > NC_CHAIN_MAX_OPERANDS) return "too many operands";
    for (int k = 0; k < chain->count; k++)
        if (!is_walkable(chain->steps[k].dtype)) return "computes f32, bf16 and f16 only";
    for (int i = 0; i < input_count; i++) {
        if (inputs[i].shape.rank < 0) return "an operand is absent";
        if (!is_walkable(inputs[i].dtype)) return "computes f32, bf16 and f16 only";
    }
    return is_walkable(output->dtype) ? NULL : "computes f32, bf16 and f16 only";
}

void nc_chain_single(nacre_chain *chain, const nacre_op *op, const int64_t *attributes, const nacre_view *output,
                     int input_count)
{
    chain->count = 1;
    chain->steps[0] = (nacre_chain_step){.op = op,
                                         .attributes = attributes,
                                         .dtype = output->dtype,
                                         .source_count = (int)nc_least(input_count, NACRE_CHAIN_MAX_SOURCES)};
    for (int i = 0; i < NACRE_CHAIN_MAX_SOURCES; i++) chain->steps[0].sources[i] = i;
}

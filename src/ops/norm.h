/* ops/norm.h - normalisation: subtract the mean, divide by the standard deviation, scale and shift.
 *
 * Batch, layer, group and RMS normalisation differ only in which axes the statistics are taken over and which ones
 * weight and bias run along. With K elements per statistic, n = (x - mean) (var + epsilon)^(-1/2) and h = dy weight:
 *     y  = n weight + bias
 *     dx = (var + epsilon)^(-1/2) (h - mean(h) - n mean(h n)),  dweight = sum(dy n),  dbias = sum(dy)
 * (Ioffe and Szegedy 2015). RMS normalisation has no mean (0 above) and the mean square for the variance.
 *
 * Operands: x ?weight ?bias -> y mean var; dy x mean var ?weight -> dx dweight dbias. Without the mean the same less
 * mean and bias.
 */
#ifndef NC_OPS_NORM_H
#define NC_OPS_NORM_H

#include "ops/op.h"

typedef struct nc_norm {
    nacre_shape shape;              /* of x; group normalisation splits the channels into groups and the rest */
    bool reduced[NACRE_MAX_RANK];   /* axes that statistics are taken over */
    bool affine[NACRE_MAX_RANK];    /* axes that weight and bias run along */
    nacre_shape statistics, weight; /* as operands and results */
    bool centred;                   /* false: no mean */
    double epsilon;
} nc_norm;

/* Elements per statistic. */
int64_t nc_norm_count(const nc_norm *norm);

/* Checks operands against `norm` and sets the results' shapes. */
nacre_status nc_norm_shape(nacre_shape_call *call, const nc_norm *norm);
nacre_status nc_norm_backward_shape(nacre_shape_call *call, const nc_norm *norm);
/* The gradient rule of the forward operation; `backward` is the other one. */
void nc_norm_gradient(nacre_gradient_call *call, const nc_norm *norm, const nacre_op *backward);
/* The backward operation in simple ones. */
void nc_norm_backward_expand(const nc_norm *norm, nacre_tensor *const *inputs, int input_count, nacre_tensor **outputs);

void nc_norm_reference(const nacre_call *call, const nc_norm *norm);
void nc_norm_backward_reference(const nacre_call *call, const nc_norm *norm);

#endif

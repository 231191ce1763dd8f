/* ops/update.h - what optimizer updates of many tensors have in common.
 *
 * An update is one node over all its parameters: operands learning_rate, step, scale and beta, then for each tensor
 * the weight, its gradient and its moments. It writes weights and moments, which are entries of a model, and returns
 * its first operand as a token to order by. */
#ifndef NC_OPS_UPDATE_H
#define NC_OPS_UPDATE_H

#include "ops/op.h"

#define NC_UPDATE_OPERANDS "learning_rate step ?scale ?beta tensors*"
#define NC_UPDATE_FLAGS    (NACRE_OP_STATEFUL | NACRE_OP_ALIAS | NACRE_OP_NONDIFFERENTIABLE)
enum { NC_UPDATE_RATE, NC_UPDATE_STEP, NC_UPDATE_SCALE, NC_UPDATE_MOMENTUM, NC_UPDATE_FIRST };

/* The attributes that begin those of each kin of Adam. */
enum { NC_ADAM_BETA1, NC_ADAM_BETA2, NC_ADAM_EPS, NC_ADAM_WEIGHT_DECAY, NC_ADAM_WORDS };
#define NC_ADAM_ATTRIBUTES(usual_eps)                                                                                  \
    {"beta1", NACRE_ATTRIBUTE_FLOAT, 0.9}, {"beta2", NACRE_ATTRIBUTE_FLOAT, 0.999},                                    \
        {"eps", NACRE_ATTRIBUTE_FLOAT, usual_eps},                                                                     \
    {                                                                                                                  \
        "weight_decay", NACRE_ATTRIBUTE_FLOAT                                                                          \
    }
/* Their values in words[NC_ADAM_WORDS]. */
void nc_adam_words(const nacre_update_options *options, double usual_eps, int64_t *words);

/* Shape, cost and cases of those with two moments and nothing else to choose. */
nacre_status nc_adam_shape(nacre_shape_call *call);
void nc_adam_cost(const nacre_node_info *node, nacre_cost *cost);
extern const char *const nc_adam_cases[];

/* The scalars of a call. `momentum` is the operand beta where it is given, else the attribute. */
typedef struct nc_update_now {
    double learning_rate, step, scale, momentum;
} nc_update_now;

nacre_status nc_update_shape(nacre_shape_call *call, int moments);

/* Updates one tensor: views[0] is the weight, [1] the gradient, then the moments. */
typedef void nc_update_rule(const int64_t *attributes, const nacre_view *views, nc_update_now now);
/* The rule for each tensor of the call, none where the scale is 0. `momentum`: the attribute's. */
void nc_update_reference(const nacre_call *call, int moments, double momentum, nc_update_rule *rule);
/* Adds the writes of weights and moments to the reads of all tensors, which are counted already. */
void nc_update_cost(const nacre_node_info *node, int moments, nacre_cost *cost);
/* The Euclidean norm of a tensor's elements. */
double nc_update_norm(const nacre_view *view);

nacre_tensor *nc_update_apply(const nacre_op *op, const nacre_update_operands *operands, int moments,
                              const int64_t *words);

/* NAdam's momentum of this step and the next, and the product of all up to this one. */
void nc_nadam_momenta(double beta1, double momentum_decay, int64_t step, double *now, double *next, double *product);
/* RAdam's factor before 1 / sqrt(v); 0 in the first steps, which do without v. */
double nc_radam_rectification(double beta2, double step);
/* What the op lars multiplies a tensor's gradient by, and the weight decay that is added to it before. */
void nc_lars_factors(const int64_t *attributes, double weight_norm, double gradient_norm, double learning_rate,
                     double *factor, double *decay);

static inline double nc_or(double value, double fallback)
{
    return value != 0 ? value : fallback;
}

#endif

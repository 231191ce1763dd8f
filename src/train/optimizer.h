/* train/optimizer.h - what the files of the optimizers share. */
#ifndef NC_TRAIN_OPTIMIZER_H
#define NC_TRAIN_OPTIMIZER_H

#include <nacre/backend.h>
#include <nacre/train.h>

/* A parameter that is learnt, as a tensor of the graph. */
typedef struct nc_parameter {
    int slot;
    nacre_tensor *weight, *gradient;
    double rate, weight_decay; /* factor of the learning rate; decay */
    bool vector;               /* a bias or norm: fewer than two axes */
    bool done;                 /* has its update */
} nc_parameter;

typedef struct nc_parameters {
    nacre_graph *graph;
    nacre_model *model;
    const nacre_optimizer *optimizer;
    const nacre_step_inputs *inputs;
    nc_parameter *items;
    int count;
} nc_parameters;

/* The group that a parameter belongs to, NULL: none. */
const nacre_parameter_group *nc_group_of(const nacre_optimizer *optimizer, const char *path);

/* The entry PREFIX.PATH of a parameter, added with its shape (zero, or with `copy` the parameter's values) if it is not
 * there yet. */
nacre_tensor *nc_state_tensor(const nc_parameters *all, const char *prefix, const nc_parameter *parameter, bool copy);

/* Clips and adds noise as the optimizer says. Gradients are replaced where each element changes; returns what they are
 * to be multiplied by then, NULL for 1. `scale` NULL: 1. */
nacre_tensor *nc_prepare_gradients(nc_parameters *all, nacre_tensor *scale);
/* Loss scaling of one update, between `begin` - the gradients are known and still scaled; the inputs' scale takes the
 * factor back, their step becomes that of the updates that were not skipped - and `end`, which comes after the update
 * and moves the scale. Where a gradient is not finite, `guard` makes the scale of the update 0. */
typedef struct nc_scaling {
    nacre_tensor *finite;
} nc_scaling;
nc_scaling nc_scaler_begin(nc_parameters *all, nacre_step_inputs *inputs);
nacre_tensor *nc_scaler_guard(const nc_scaling *scaling, nacre_tensor *scale);
void nc_scaler_end(const nc_parameters *all, const nc_scaling *scaling);

/* The orthogonalised momentum of parameters of two axes or more becomes their gradient; `scale` 0: nothing changes. */
void nc_orthogonalise(nc_parameters *all, nacre_tensor *scale);
/* After the update. */
void nc_limit_norms(const nc_parameters *all);
void nc_look_back(const nc_parameters *all, nacre_tensor *scale);

#endif

/* train/train.h - what the files of the training loop share. */
#ifndef NC_TRAIN_TRAIN_H
#define NC_TRAIN_TRAIN_H

#include <nacre/train.h>

/* ---- batches as model inputs ---- */

/* Which fields of a batch are the model's inputs and which is the target. */
typedef struct nc_roles {
    int inputs[NACRE_MAX_FIELDS], input_count;
    int target; /* -1: none */
    bool classes;
} nc_roles;
nacre_status nc_find_roles(nacre_context *context, const nacre_loader *loader, nc_roles *roles);

/* A graph over batches of `count` samples. Forward only, or with everything that a training step does. */
typedef struct nc_step_graph {
    nacre_graph *graph;
    int64_t count; /* 0: not built */
    nacre_tensor *inputs[NACRE_MAX_FIELDS], *target, *outputs, *loss;
    nacre_tensor *shares;     /* mixed batches: instead of the target */
    nacre_step_inputs update; /* learning_rate NULL: there is none */
    nacre_tensor *mix;        /* of the averages; NULL: there are none */
    double weight;            /* of the loss among accumulated ones: samples, or the tokens of sequences */
    nacre_tensor *seed;
} nc_step_graph;

/* What to build: the parts of fit and evaluate options that matter. */
typedef struct nc_step_options {
    nacre_model *model;
    nacre_model_function *build;
    void *user;
    const char *loss; /* a name, never NULL */
    double label_smoothing;
    bool training;  /* layers behave as in training */
    bool forward;   /* no gradients */
    bool recompute; /* little of the forward part is kept for them */
    nacre_dtype precision;
    const nacre_optimizer *optimizer; /* NULL: gradients are accumulated only */
    bool cycle_momentum, average;     /* the update has the input momentum; weights are averaged */
    const nacre_scaler *scaler;       /* of accumulated gradients; NULL: none */
} nc_step_options;

/* Fills in what zero stands for; f16 gets the scaler in these very options, so they must stay where they are. */
void nc_fit_fill(nacre_fit_options *options);
/* What nacre_fit builds for its steps; all defaults must be filled in. */
nc_step_options nc_training_step(const nacre_fit_options *options, const nc_roles *roles);

/* (Re)builds if the number of samples differs from the last time. */
nacre_status nc_step_prepare(nc_step_graph *step, nacre_context *context, const nc_step_options *options,
                             const nc_roles *roles, const nacre_batch *batch);
/* Makes the inputs of an update, but for its scale. */
void nc_step_inputs(nc_step_graph *step, const nc_step_options *options);
/* Builds the update of accumulated gradients, a graph of its own, if it is not built yet. */
nacre_status nc_update_prepare(nc_step_graph *update, nacre_context *context, const nacre_fit_options *options,
                               const nc_step_options *step);
void nc_step_feed(nc_step_graph *step, const nc_roles *roles, const nacre_batch *batch);
void nc_step_release(nc_step_graph *step);

const char *nc_default_loss(const nc_roles *roles, const char *given);
/* The metric names to use, ended by NULL. */
const char *const *nc_default_metrics(const nc_roles *roles, const char *const *given);
int nc_list_length(const char *const *names);

/* ---- what a pass over the data adds up ---- */

typedef struct nc_scores {
    nacre_running_mean loss;
    nacre_metrics *metrics; /* made with the first batch, when the outputs are known */
    float *outputs;         /* of the last batch */
    int64_t capacity;
} nc_scores;

/* After a run of the step: its loss, which has been read already, and outputs count. */
nacre_status nc_scores_add(nc_scores *scores, nacre_context *context, const nc_step_graph *step, const nc_roles *roles,
                           const char *const *metric_names, const nacre_batch *batch, double loss);
void nc_scores_clear(nc_scores *scores);
void nc_scores_release(nc_scores *scores, nacre_context *context);

/* nacre_evaluate; `what` is being evaluated stands in messages. */
nacre_status nc_measure(nacre_context *context, const nacre_evaluate_options *options, const char *what,
                        nacre_evaluation *result);

/* The same with defaults filled in; an error if the numbers make no sense. */
nacre_scaler nc_scaler_filled(const nacre_scaler *scaler);
nacre_status nc_scaler_check(nacre_context *context, const nacre_scaler *scaler);
/* Which operation of a step on this batch, forward or back from `scale` times the loss, is the first with a result that
 * is not finite: `matmul "fc1" of the gradient`; "" if none is. Changes running statistics. */
enum { NC_CULPRIT_SIZE = 320 };
nacre_status nc_find_overflow(nacre_context *context, const nc_step_options *options, const nc_roles *roles,
                              const nacre_batch *batch, uint64_t seed, double scale, char culprit[NC_CULPRIT_SIZE]);
/* The loss of a batch is not finite: finds the first node of the step whose result is not and says so. */
nacre_status nc_diagnose(nacre_context *context, const nc_step_options *options, const nc_roles *roles,
                         const nacre_batch *batch, uint64_t seed, const char *where);
/* Fails with the first parameter or buffer of the model that is not finite. */
nacre_status nc_check_weights(nacre_model *model, const char *where);

/* ---- copies of what a model holds ---- */

typedef struct nc_slab_copy {
    void *data;
    size_t bytes;
} nc_slab_copy;

/* Zero at first. */
typedef struct nc_snapshot {
    nc_slab_copy copies[NACRE_ENTRY_ROLES][NACRE_DTYPE_COUNT];
} nc_snapshot;

/* All entries of a role as they are now. */
nacre_status nc_snapshot_take(nc_snapshot *snapshot, nacre_model *model, nacre_entry_role role);
/* Gives the entries of all roles that were taken their values back. */
void nc_snapshot_restore(const nc_snapshot *snapshot, nacre_model *model);
void nc_snapshot_release(nc_snapshot *snapshot, nacre_context *context);

/* ---- what events say, as names and numbers ---- */

enum { NC_MOST_FIELDS = 48 };

typedef struct nc_event_fields {
    int count;
    double values[NC_MOST_FIELDS];
    char names[NC_MOST_FIELDS][64]; /* "epoch", "train.loss", "validation.accuracy", "learning_rate", "seconds" */
} nc_event_fields;
/* The record of an epoch. */
void nc_describe_epoch(const nacre_fit_event *event, nc_event_fields *fields);

/* The averages take the place of the weights, if there are any after `step` steps; nc_snapshot_restore(live) ends it.
 */
nacre_status nc_average_enter(nc_snapshot *live, nacre_model *model, const nacre_averaging *averaging, int64_t step,
                              int64_t total, int64_t steps_per_epoch, bool *entered);

/* ---- where a run is: everything that resuming needs besides the entries of the model ---- */

typedef struct nc_run_state {
    int64_t epoch, batch; /* epochs done; batches done in the current one */
    int64_t step;         /* optimizer steps */
    int64_t best_epoch, bad_epochs;
    double best_value;       /* NaN: none yet */
    double stop_value;       /* what the next epoch must be better than, for patience; NaN: none yet */
    double train_loss;       /* of the last epoch */
    nacre_running_mean loss; /* of the epoch so far */
    double pending;          /* what gradients that wait for an update were weighted with in all */
    nacre_plateau plateau;
    double seconds; /* of all processes before */
} nc_run_state;

bool nc_checkpoint_exists(const nacre_fit_options *options);
nacre_status nc_checkpoint_remove(const nacre_fit_options *options);
nacre_status nc_checkpoint_save(const nacre_fit_options *options, const nc_run_state *state);
nacre_status nc_checkpoint_load(const nacre_fit_options *options, nc_run_state *state);

#endif

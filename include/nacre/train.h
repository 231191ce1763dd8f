/* train.h - fitting a model: optimizers, schedules, the loop, checkpoints, evaluation.
 *
 *     nacre_fit_options fit = {.model = model, .build = lenet, .train = train, .validation = validation,
 *                              .transforms = transforms, .optimizer = {.kind = NACRE_OPTIMIZER_ADAMW},
 *                              .schedule = {.base = 1e-3}, .epochs = 10, .batch_size = 128};
 *     nacre_fit_result result;
 *     if (nacre_fit(ctx, &fit, &result)) fprintf(stderr, "%s\n", nacre_message(ctx));
 *
 * A whole training step - forward, backward, update - is one graph and one plan. The run is a pure function of the
 * options: the number of loader workers or of compute threads does not change a bit, and a run that was killed and
 * resumed ends with the bits of the run that was not.
 */
#ifndef NACRE_TRAIN_H
#define NACRE_TRAIN_H

#include <nacre/data.h>
#include <nacre/metrics.h>
#include <nacre/nn.h>
#include <nacre/recipe.h>
#include <nacre/safetensors.h>

#ifdef __cplusplus
extern "C" {
#endif

/* A model as a function: builds the graph from inputs and returns the outputs (logits for classes). */
typedef nacre_tensor *nacre_model_function(void *user, nacre_scope scope, nacre_tensor *const *inputs, int input_count);

/* ---- optimizers ------------------------------------------------------------------------------------------------- */

typedef enum nacre_optimizer_kind {
    NACRE_OPTIMIZER_SGD,
    NACRE_OPTIMIZER_ADAM,
    NACRE_OPTIMIZER_ADAMW,
    NACRE_OPTIMIZER_NADAM,
    NACRE_OPTIMIZER_RADAM,
    NACRE_OPTIMIZER_ADAMAX,
    NACRE_OPTIMIZER_ADAGRAD,
    NACRE_OPTIMIZER_ADADELTA,
    NACRE_OPTIMIZER_RMSPROP,
    NACRE_OPTIMIZER_LARS,
    NACRE_OPTIMIZER_LARC,
    NACRE_OPTIMIZER_LAMB,
    NACRE_OPTIMIZER_LION,
    NACRE_OPTIMIZER_MUON,
    NACRE_OPTIMIZER_KINDS
} nacre_optimizer_kind;
/* "sgd", "adamw", ...; NULL past the end. */
NACRE_API const char *nacre_optimizer_name(nacre_optimizer_kind kind);
NACRE_API bool nacre_optimizer_find(const char *name, nacre_optimizer_kind *kind);

/* Loss scaling: gradients too small for f16 are computed from a loss that is `scale` times as large, and divided by it
 * again in f32, before they are clipped. As torch.amp.GradScaler: an update with a gradient that is not finite is
 * skipped and the scale becomes `backoff` times as large, but not less than `minimum`; after `interval` updates in a
 * row that were not, `growth` times. Zero means the defaults. Where the scale is, is state of the model: its entries
 * "scaler.scale", "scaler.growth_tracker", "scaler.skipped". The step that an optimizer counts is that of the updates
 * that were not skipped. */
typedef struct nacre_scaler {
    double initial;         /* 0: 65536 */
    double growth, backoff; /* 0: 2 and 0.5 */
    int64_t interval;       /* 0: 2000 */
    double minimum;         /* 0: 1 */
} nacre_scaler;
NACRE_API double nacre_scaler_scale(const nacre_model *model);    /* the scale now, 0: there was none yet */
NACRE_API int64_t nacre_scaler_skipped(const nacre_model *model); /* updates skipped so far */
/* The loss times the scale, for nacre_accumulate_gradients (nacre_minimise does it by itself); nacre_apply_gradients
 * with an optimizer of the same scaler divides. NULL if an argument is. */
NACRE_API nacre_tensor *nacre_scale_loss(nacre_tensor *loss, nacre_model *model, const nacre_scaler *scaler);

/* Zero means the usual value of each optimizer (`nacre op NAME` shows formula and values), and that weight decay acts
 * on all parameters, as in PyTorch. weight_decay is L2 in the gradient, but decoupled for adamw, lamb, lion and muon
 * (Loshchilov and Hutter 2019). lars and lamb leave biases and norms (parameters of fewer than two axes) without a rate
 * of their own, and lamb clips the gradient's norm to 1 unless clip_norm says otherwise. muon (Jordan 2024) moves
 * parameters of two axes or more along their orthogonalised momentum (0: 0.95, Nesterov's), five Newton-Schulz
 * iterations long, and the others as adamw does. */
typedef struct nacre_optimizer {
    nacre_optimizer_kind kind;
    double momentum, dampening; /* sgd; momentum also rmsprop, lars, larc, muon */
    bool nesterov;              /* sgd */
    double beta1, beta2, eps;   /* the Adam family and lion; eps also adagrad, adadelta, rmsprop, larc */
    bool amsgrad;               /* adam, adamw */
    double momentum_decay;      /* nadam */
    double rate_decay, initial; /* adagrad */
    double rho;                 /* adadelta, rmsprop */
    bool centered;              /* rmsprop */
    double trust;               /* lars, larc */
    bool match_rms;             /* muon: steps as large as adamw's, 0.2 sqrt(max(rows, columns)) */
    double weight_decay;
    bool spare_vectors; /* no decay of biases and norms: of parameters of fewer than two axes */
    const nacre_parameter_group *groups;
    int group_count;
    double clip_value; /* > 0: each gradient is clipped to +- this first */
    double clip_norm;  /* > 0: gradients are scaled by min(1, clip_norm / (global norm + 1e-6)) */
    double noise;      /* > 0: normal noise of variance noise / (1 + step)^0.55 is added (Neelakantan et al. 2015) */
    double max_norm; /* > 0: afterwards the weights of each output (axis 0, two axes or more) have at most this norm */
    int64_t lookahead; /* > 0: every so many steps weights go back to lookahead_pull (0: 0.5) of their way from the */
    double lookahead_pull;      /* last such place (Zhang et al. 2019) */
    const nacre_scaler *scaler; /* the loss is scaled, for f16; NULL: not */
} nacre_optimizer;

/* What an update reads anew each step: scalar inputs, of the loss's element type but for the step. */
typedef struct nacre_step_inputs {
    nacre_tensor *learning_rate;
    nacre_tensor *step;     /* i64, from 1 */
    nacre_tensor *momentum; /* in place of momentum or beta1, for schedules; NULL: the optimizer's */
    nacre_tensor *scale;    /* multiplies the gradients: 1 / samples, 1 / loss scale; NULL: 1 */
} nacre_step_inputs;

/* Whether it has a momentum or beta1 that a schedule can move. */
NACRE_API bool nacre_optimizer_has_momentum(const nacre_optimizer *optimizer);
/* An error that names the group whose pattern is empty or fits no parameter that is left, with the nearest path. */
NACRE_API nacre_status nacre_optimizer_check(const nacre_optimizer *optimizer, const nacre_model *model);

/* Appends the gradients of `loss` for all parameters of the model and one fused update for each group of parameters to
 * the graph. A step whose loss (or, with clipping, gradient norm) is not finite changes nothing. Moments live in the
 * model as state entries "optimizer.exp_avg.fc1.weight". With `noise` the graph has the input "seed". */
NACRE_API nacre_status nacre_minimise(nacre_tensor *loss, nacre_model *model, const nacre_optimizer *optimizer,
                                      const nacre_step_inputs *inputs);
/* The two halves, for accumulation: gradients are added up in state entries "gradient.fc1.weight" ... */
NACRE_API nacre_status nacre_accumulate_gradients(nacre_tensor *loss, nacre_model *model);
/* ... and used, times the scale (here required), and cleared. */
NACRE_API nacre_status nacre_apply_gradients(nacre_graph *graph, nacre_model *model, const nacre_optimizer *optimizer,
                                             const nacre_step_inputs *inputs);
/* Averages of all parameters in state entries "average.fc1.weight": += mix (weight - average), as weights are where it
 * is appended; `mix` is a scalar input, 0 changes nothing. The first time takes 1. */
NACRE_API nacre_status nacre_average_model(nacre_graph *graph, nacre_model *model, nacre_tensor *mix);

/* ---- schedules --------------------------------------------------------------------------------------------------- */

typedef enum nacre_schedule_kind {
    NACRE_SCHEDULE_CONSTANT,
    NACRE_SCHEDULE_STEP,
    NACRE_SCHEDULE_MULTISTEP,
    NACRE_SCHEDULE_EXPONENTIAL,
    NACRE_SCHEDULE_INVERSE,    /* base (1 + gamma n)^-power */
    NACRE_SCHEDULE_SIGMOID,    /* base / (1 + exp(-gamma (step - step_size))) */
    NACRE_SCHEDULE_POLYNOMIAL, /* (1 - step / length)^power down to min_rate */
    NACRE_SCHEDULE_COSINE,
    NACRE_SCHEDULE_COSINE_RESTARTS, /* Loshchilov and Hutter 2017 */
    NACRE_SCHEDULE_CYCLIC,          /* triangles; Smith 2017 */
    NACRE_SCHEDULE_ONE_CYCLE,       /* Smith and Topin 2018, as torch's OneCycleLR */
    NACRE_SCHEDULE_WSD,             /* warm-up, stable, decay; Hu et al. 2024 */
    NACRE_SCHEDULE_NOAM,            /* Vaswani et al. 2017 */
    NACRE_SCHEDULE_PLATEAU,         /* lower when validation stalls: nacre_plateau */
    NACRE_SCHEDULE_KINDS
} nacre_schedule_kind;
/* By the name of a recipe: "step", "one_cycle", ... and Caffe's "fixed", "exp", "inv", "poly", "sigmoid". */
NACRE_API bool nacre_schedule_find(const char *name, nacre_schedule_kind *kind);

typedef enum nacre_cyclic_mode {
    NACRE_CYCLIC_TRIANGULAR,
    NACRE_CYCLIC_TRIANGULAR2, /* each triangle half as high as the one before */
    NACRE_CYCLIC_EXP_RANGE    /* times gamma^step */
} nacre_cyclic_mode;
typedef enum nacre_anneal { NACRE_ANNEAL_USUAL, NACRE_ANNEAL_COSINE, NACRE_ANNEAL_LINEAR } nacre_anneal;

/* A pure function of the step and the run's length, both in optimizer steps from 0: a run whose length changes goes on
 * as if it had always had the new one. Zero means the usual value. */
typedef struct nacre_schedule {
    nacre_schedule_kind kind;
    double base;          /* the learning rate that the rest is relative to: the largest but for noam's width */
    int64_t warmup_steps; /* before all kinds but one_cycle; noam: where it turns */
    bool warmup_constant; /* stay at the factor; else grow evenly from it to 1 */
    double warmup_factor; /* 0: 1 / (warmup_steps + 1), constant 1 / 3 */
    double min_rate;      /* polynomial, cosine, restarts, wsd: at the end; cyclic: between triangles; plateau */
    double gamma;         /* 0: step, multistep, plateau 0.1; exponential 0.95; inverse, sigmoid 1e-4; exp_range 1 */
    double power;         /* 0: polynomial 1, inverse 0.75 */
    int64_t unit;         /* exponential, inverse, multistep: steps that count as one; 0: 1 */
    int64_t step_size;    /* step: times gamma every so many steps; sigmoid: where its middle is */
    const int64_t *milestones; /* multistep: times gamma at each of these, in units; borrowed */
    int milestone_count;
    int64_t period;       /* restarts: steps of the first period */
    double period_factor; /* restarts: of the length of each next one; 0: 1 */
    nacre_cyclic_mode cyclic_mode;
    int64_t step_up, step_down;         /* cyclic: steps of the rise and the fall (0: as the rise) */
    double pct_start;                   /* one_cycle: share of the rise; 0: 0.3 */
    double div_factor;                  /* one_cycle: it begins at base / this; 0: 25 */
    double final_div_factor;            /* one_cycle: it ends at the beginning / this; 0: 1e4 */
    bool three_phase;                   /* one_cycle: down to the beginning as long as up, then to the end */
    nacre_anneal anneal;                /* one_cycle: cosine unless linear; wsd: linear unless cosine */
    bool cycle_momentum;                /* cyclic, one_cycle: momentum (or beta1) goes down while the rate goes up */
    double base_momentum, max_momentum; /* 0: one_cycle 0.85 and 0.95, cyclic 0.8 and 0.9 */
    double decay_fraction;              /* wsd: share of the run that decays; 0: 0.2 */
    int64_t width;                      /* noam: of the model; 0: `base` is the largest rate */
    int64_t patience, cooldown;         /* plateau, in epochs */
    double threshold;                   /* plateau: what counts as better, relative; 0: 1e-4 */
} nacre_schedule;
NACRE_API double nacre_schedule_rate(const nacre_schedule *schedule, int64_t step, int64_t total_steps);
NACRE_API bool nacre_schedule_cycles_momentum(const nacre_schedule *schedule);
NACRE_API double nacre_schedule_momentum(const nacre_schedule *schedule, int64_t step, int64_t total_steps);
/* An error that says what cannot be: no steps, negative rates, a rise of no length, ... */
NACRE_API nacre_status nacre_schedule_check(nacre_context *context, const nacre_schedule *schedule,
                                            int64_t total_steps);

/* What PLATEAU remembers, as torch's ReduceLROnPlateau in its relative mode: after more than `patience` epochs without
 * a better value the rate is multiplied by gamma, but not below min_rate; then `cooldown` epochs do not count. Zero at
 * first. */
typedef struct nacre_plateau {
    int64_t observed, bad, cooldown, reductions;
    double best;
} nacre_plateau;
NACRE_API void nacre_plateau_observe(const nacre_schedule *schedule, nacre_plateau *state, double value, bool higher);
NACRE_API double nacre_plateau_rate(const nacre_schedule *schedule, const nacre_plateau *state, int64_t step,
                                    int64_t total_steps);

/* ---- averages of weights ----------------------------------------------------------------------------------------- */

typedef enum nacre_averaging_kind {
    NACRE_AVERAGING_NONE,
    NACRE_AVERAGING_EMA, /* exponential: average += (1 - decay) (weight - average) after each step */
    NACRE_AVERAGING_SWA  /* the mean of the weights at regular intervals (Izmailov et al. 2018) */
} nacre_averaging_kind;

/* Averages are evaluated and saved, training goes on with the weights themselves. Running statistics of normalisation:
 * EMA takes those of the training as they are, SWA renews them for the averaged weights by forward passes over up to a
 * hundred training batches. */
typedef struct nacre_averaging {
    nacre_averaging_kind kind;
    double decay;  /* EMA; 0: 0.9998. In the step t it is at most (1 + t) / (10 + t), so that the beginning fades */
    double start;  /* SWA: share of the run before; 0: 0.75 */
    int64_t every; /* SWA: steps; 0: those of an epoch */
} nacre_averaging;
/* What nacre_average_model is to be fed after `step` (from 1) of `total`; 0: nothing happens. */
NACRE_API double nacre_averaging_mix(const nacre_averaging *averaging, int64_t step, int64_t total,
                                     int64_t steps_per_epoch);

/* ---- losses by name -----------------------------------------------------------------------------------------------
 */

/* "cross_entropy" (targets: class ids), "mse", "l1", "huber", "smooth_l1", "bce_with_logits" (targets: numbers). */
NACRE_API bool nacre_loss_exists(const char *name);
NACRE_API nacre_tensor *nacre_loss(const char *name, nacre_tensor *outputs, nacre_tensor *targets,
                                   double label_smoothing);
extern NACRE_API const char *const nacre_loss_names[]; /* ended by NULL */

/* ---- evaluating ----------------------------------------------------------------------------------------------------
 */

typedef struct nacre_evaluate_options {
    nacre_model *model;
    nacre_model_function *build;
    void *user;
    nacre_dataset *dataset;
    const nacre_transforms *transforms;
    int64_t batch_size; /* 0: 256 */
    int workers;
    nacre_dtype precision;      /* of the graphs: nacre_graph_set_precision */
    const char *loss;           /* NULL: cross_entropy where the data has labels, else mse */
    const char *const *metrics; /* ended by NULL; NULL: accuracy for classes, rmse for values */
    /* Called for each batch with the outputs [count, columns]; NULL: not wanted. A failure stops. */
    nacre_status (*visit)(void *user, const nacre_batch *batch, const float *outputs, int64_t columns);
    void *visit_user;
} nacre_evaluate_options;

typedef struct nacre_evaluation {
    double loss;
    nacre_metrics *metrics; /* the caller's: nacre_metrics_destroy */
    int64_t samples;
    double seconds;
} nacre_evaluation;
/* A loss that is not finite is NACRE_ERROR_NUMERIC and names batch and layer. */
NACRE_API nacre_status nacre_evaluate(nacre_context *context, const nacre_evaluate_options *options,
                                      nacre_evaluation *result);

/* ---- fitting --------------------------------------------------------------------------------------------------------
 */

/* What callbacks hear, in this order: BEGIN once, before the first step (of this process); STEP after each batch;
 * VALIDATION before that is measured; EPOCH when an epoch is measured, its best weights are saved and its record stands
 * in log.jsonl, but before last.safetensors is written: a run that is killed in between resumes before the epoch, and
 * callbacks hear of it again; END once, with the best weights in the model, of runs that neither fail nor stop
 * half-way. Everything in an event is borrowed for the call. */
typedef struct nacre_fit_event {
    enum { NACRE_FIT_STEP, NACRE_FIT_VALIDATION, NACRE_FIT_EPOCH, NACRE_FIT_BEGIN, NACRE_FIT_END } kind;
    nacre_model *model;
    bool resumed;           /* BEGIN: `step` is that of the checkpoint */
    int64_t epoch, epochs;  /* from 1; END: the epochs done */
    int64_t batch, batches; /* done in this epoch */
    int64_t samples;        /* done in this epoch */
    int64_t step;           /* optimizer steps in the whole run */
    double learning_rate;
    int64_t skipped;                    /* updates in the whole run, for f16 overflowed */
    double loss_scale;                  /* of f16, 0 otherwise */
    double batch_loss;                  /* STEP: of this batch */
    double train_loss;                  /* running mean of the epoch */
    nacre_metrics *train;               /* running, of what this process has seen of the epoch */
    const nacre_evaluation *validation; /* EPOCH: NULL without validation data */
    bool best;                          /* EPOCH: the best so far */
    const char *deciding;  /* EPOCH: the name of the figure that decides what is best, "loss" or a metric */
    double deciding_value; /* EPOCH: of the validation data, where there is any */
    double epoch_seconds, wait_seconds; /* time, and how much of it was waiting for data */
} nacre_fit_event;

typedef enum nacre_fit_answer {
    NACRE_FIT_GO_ON,
    NACRE_FIT_FINISH,   /* the run is complete with this epoch: the best weights are kept, as by early stopping */
    NACRE_FIT_INTERRUPT /* stops after this step (the last of an epoch: after the epoch) as if killed there, for a later
                           resume; a checkpoint is written first */
} nacre_fit_answer;

/* One function that hears of every event. A failure that it records in the context (nacre_fail) ends the run with that
 * failure. */
typedef struct nacre_callback {
    nacre_fit_answer (*call)(void *user, const nacre_fit_event *event);
    void *user;
    void (*destroy)(void *user); /* NULL: nothing to do */
} nacre_callback;
NACRE_API void nacre_callback_destroy(nacre_callback *callback); /* whoever made it; call NULL is fine */

/* Callbacks that come along. Each returns {NULL} and a failure if memory runs out. Files go on where a resumed run goes
 * on: what they hold of steps after its checkpoint is cut off, for it comes again. */

/* One row per epoch (RFC 4180): epoch, step, learning_rate, seconds, train.NAME, validation.NAME. */
NACRE_API nacre_callback nacre_csv_callback(nacre_context *context, const char *path);

typedef struct nacre_tensorboard_options {
    const char *folder; /* the file is events.out.tfevents.nacre in it */
    bool histograms;    /* of each parameter's values, after each epoch */
    int64_t every;      /* batch loss and learning rate every so many steps; 0: epochs only */
} nacre_tensorboard_options;
/* TensorBoard's event files: TFRecords (length, masked CRC-32C, bytes, masked CRC-32C) of tensorflow.Event messages.
 * Scalars "train/loss", "validation/accuracy", "learning_rate" at the optimizer's step. */
NACRE_API nacre_callback nacre_tensorboard_callback(nacre_context *context, const nacre_tensorboard_options *options);

typedef struct nacre_keep_options {
    const char *folder;              /* files are called epoch-012-accuracy-0.921300.safetensors */
    int64_t every;                   /* a file every so many epochs; 0: each */
    int64_t keep;                    /* only the best so many stay; 0: all */
    const nacre_text_pair *metadata; /* as in nacre_fit_options; must outlive the callback */
    int metadata_count;
} nacre_keep_options;
/* Saved models of several epochs. A file is removed only after the one that displaces it is complete and synced. Equal
 * figures (as the names say them): the older one stays. A new run removes what an earlier one has left there. */
NACRE_API nacre_callback nacre_keep_callback(nacre_context *context, const nacre_keep_options *options);

typedef struct nacre_fit_options {
    nacre_model *model; /* may be empty: parameters are made from `seed` */
    nacre_model_function *build;
    void *user;
    nacre_dataset *train, *validation;  /* validation NULL: the last weights are the best */
    const nacre_transforms *transforms; /* fitted; the same for both */
    int workers, prefetch;
    bool no_shuffle, drop_last;
    bool no_augment; /* random transforms do not draw */

    nacre_optimizer optimizer;
    nacre_schedule schedule;
    nacre_averaging averaging;
    int64_t epochs, batch_size; /* 0: 1 epoch, 64 samples */
    int64_t accumulate;         /* samples per update, a multiple of batch_size; 0: batch_size */
    const char *loss;           /* as in nacre_evaluate_options */
    double label_smoothing;
    double mixup, cutmix; /* as in nacre_loader_options; metrics of training count each sample's own label */
    bool recompute; /* as nacre_graph_recompute with NACRE_RECOMPUTE_AUTO: less memory, more time, the same bits */
    nacre_dtype precision;      /* of steps and validation: nacre_graph_set_precision */
    nacre_scaler scaler;        /* of f16; other precisions need none */
    const char *const *metrics; /* the first decides what is best, else the loss */
    int64_t patience;           /* epochs without improvement before stopping; 0: never */
    double min_delta;           /* what counts as improvement */
    int64_t start_from_epoch;   /* patience counts only after so many epochs */
    uint64_t seed;

    /* Files. `folder` NULL: none are written. Otherwise model.safetensors (best so far, with `metadata`),
     * last.safetensors (everything that resuming needs) after each epoch and every `checkpoint_every` steps (0: epochs
     * only), log.jsonl. A second run in the same folder is refused. `resume` goes on from last.safetensors; without
     * one the run begins anew. */
    const char *folder;
    nacre_lock *lock; /* of the folder, where the caller holds it already; NULL: nacre_fit takes it */
    int64_t checkpoint_every;
    bool resume;
    const char *notes; /* into log.jsonl before the first epoch, each line the text of an event "note"; NULL: none */
    const nacre_text_pair *metadata;
    int metadata_count;

    const nacre_callback *callbacks; /* called in their order; they stay the caller's */
    int callback_count;
    /* The short form for programs that only watch: hears of STEP, VALIDATION and EPOCH after the callbacks; returning
     * false is NACRE_FIT_INTERRUPT. */
    bool (*listen)(void *user, const nacre_fit_event *event);
    void *listen_user;
} nacre_fit_options;

typedef struct nacre_fit_result {
    int64_t epochs, steps; /* done in all, resumed ones counted */
    int64_t best_epoch;    /* from 1 */
    double best_value;     /* of the metric that decides */
    double train_loss;     /* of the last epoch */
    double seconds;        /* of all processes that worked on the run */
    double wait_seconds;   /* for data, of this process */
    bool stopped_early, cancelled;
} nacre_fit_result;

/* How many optimizer steps a whole run takes. */
NACRE_API int64_t nacre_fit_steps(const nacre_fit_options *options);
/* Trains; the model holds the best weights afterwards. A loss that is not finite stops the run with
 * NACRE_ERROR_NUMERIC and names epoch, batch and the first layer whose output is not finite; weights and files stay as
 * they were before that step. Weights that are not finite are never written. */
NACRE_API nacre_status nacre_fit(nacre_context *context, const nacre_fit_options *options, nacre_fit_result *result);

/* ---- before a long run --------------------------------------------------------------------------------------------
 */

/* What a run needs, in bytes, as its plans say: nothing runs and nothing is written, but the model's entries are made
 * if they are not there yet. Graphs, plans and what datasets hold come on top. */
typedef struct nacre_fit_memory {
    int64_t parameters, buffers;
    int64_t state;       /* of the optimizer; accumulated gradients */
    int64_t activations; /* with gradients: the blocks of the plans for a batch and for a last one that is not full */
    int64_t validation;  /* the blocks of the plans that measure */
    int64_t loader;      /* the rings of batches */
    int64_t copies;      /* of buffers before each step, of the best weights where there is no folder */
    int64_t total;
    int64_t batch_block; /* of `activations`, the plan for one full batch */
} nacre_fit_memory;
NACRE_API nacre_status nacre_fit_plan(nacre_context *context, const nacre_fit_options *options,
                                      nacre_fit_memory *memory);

/* A few steps of a run, timed and undone: model, files and callbacks are as if nothing had happened. */
typedef struct nacre_fit_timing {
    int64_t steps;       /* that were timed; the first ones, which find kernels and memory, are not */
    double step_seconds; /* of a step, the median */
    double wait_share;   /* of the time, spent waiting for data */
    double samples_per_second;
    double validation_seconds; /* of measuring all validation samples, from some batches of them; 0: there are none */
    double first_loss, last_loss;
    nacre_transfers transfers; /* of one step, rounded */
} nacre_fit_timing;
/* Stops after so many timed steps, or as soon as `seconds` have passed and three are timed. */
NACRE_API nacre_status nacre_fit_time(nacre_context *context, const nacre_fit_options *options, int64_t steps,
                                      double seconds, nacre_fit_timing *timing);

/* Whether the model can learn at all: `samples` of the training data, always the same batch without augmentation,
 * mixing, smoothing, decay and schedule, until the loss is near 0. The model is trained afterwards. */
typedef struct nacre_overfit {
    int64_t samples, steps;
    double first_loss, last_loss; /* of training */
    double least_loss;            /* reached on the way */
    double goal;                  /* what counts as near 0: 2 % of what guessing costs */
    bool reached;
} nacre_overfit;
NACRE_API nacre_status nacre_fit_overfit(nacre_context *context, const nacre_fit_options *options, int64_t samples,
                                         int64_t most_steps, nacre_overfit *result);

/* ---- finding the learning rate ------------------------------------------------------------------------------------
 */

/* Smith 2017: the rate grows exponentially from step to step until the smoothed loss is `stop` times its best. Zero
 * means the usual value. */
typedef struct nacre_rate_search {
    double low, high; /* 0: 1e-7 and 10 */
    int64_t steps;    /* 0: 100 */
    double stop;      /* 0: 4 */
} nacre_rate_search;

typedef struct nacre_rate_curve {
    double *rates, *losses, *smooth; /* of each step; smooth: the exponential mean of the losses */
    int64_t count, planned;          /* steps done; as many as were to be */
    /* Suggestions, from the curve without its first tenth and last five steps: in the middle of the longest fall (at
     * its half: a third and a sixth), where it falls fastest, and a tenth of where it is lowest. */
    double valley, steepest, minimum;
} nacre_rate_curve;

/* Trains a copy of the model for some steps with the data, batch size and optimizer of `options`: model, files and
 * random numbers of a later run are what they were. nacre_rate_curve_release when it is no longer wanted. */
NACRE_API nacre_status nacre_find_rate(nacre_context *context, const nacre_fit_options *options,
                                       const nacre_rate_search *search, nacre_rate_curve *curve);
/* Fills in the suggestions from the rest. */
NACRE_API nacre_status nacre_rate_curve_suggest(nacre_context *context, nacre_rate_curve *curve);
NACRE_API void nacre_rate_curve_release(nacre_context *context, nacre_rate_curve *curve);

/* ---- networks: models that know what to do with data ---------------------------------------------------------------
 */

/* A model text with its parameters, preprocessing and class names: what a recipe describes and what a saved model
 * holds. The file is one safetensors file whose metadata has nacre.model       the model text (text.h) nacre.transforms
 * the fitted preprocessing (data.h) nacre.classes     class names as a JSON array nacre.input       the model's input
 * as JSON: {"name": "image", "role": "image", "shape": [1, 28, 28]} nacre.recipe      the recipe as YAML nacre.figures
 * measured figures as JSON: {"test.accuracy": 0.9923, ...} */
typedef struct nacre_network nacre_network;

/* From a saved file; nothing else is needed to predict. */
NACRE_API nacre_network *nacre_network_load(nacre_context *context, const char *path);
NACRE_API void nacre_network_destroy(nacre_network *network);
NACRE_API nacre_model *nacre_network_model(const nacre_network *network);
NACRE_API const nacre_transforms *nacre_network_transforms(const nacre_network *network);
NACRE_API const char *nacre_network_text(const nacre_network *network); /* the model text */
NACRE_API int nacre_network_class_count(const nacre_network *network);
NACRE_API const char *nacre_network_class(const nacre_network *network, int index);          /* NULL past the end */
NACRE_API const nacre_field *nacre_network_input(const nacre_network *network);              /* after the transforms */
NACRE_API const char *nacre_network_metadata(const nacre_network *network, const char *key); /* NULL: not there */
/* A nacre_model_function; `network` is its user pointer. */
NACRE_API nacre_tensor *nacre_network_build(void *network, nacre_scope scope, nacre_tensor *const *inputs,
                                            int input_count);
/* An error that says expected and got where the data does not fit the model: its input after the transforms, and, where
 * both have them, the names of its classes. */
NACRE_API nacre_status nacre_network_check_data(const nacre_network *network, const nacre_dataset *dataset);

/* ---- recipes carried out --------------------------------------------------------------------------------------------
 */

/* Everything a recipe names, opened: data in parts, preprocessing fitted on the training part, the network. */
typedef struct nacre_experiment {
    const nacre_recipe *recipe;
    nacre_dataset *train, *validation, *test; /* NULL: there is none */
    nacre_network *network;
    char *folder; /* of the output */
    int64_t parameters;
} nacre_experiment;

/* `data_folder` NULL: NACRE_DATA. `output` NULL: the recipe's, else runs/NAME. The model's parameters exist afterwards,
 * so shape mistakes are found here, before any training. The recipe must outlive the experiment. */
NACRE_API nacre_status nacre_experiment_open(nacre_context *context, const nacre_recipe *recipe,
                                             const char *data_folder, const char *output, nacre_experiment *experiment);
/* The same on data that is there already: a fold, a fraction, a view shared by many runs. The experiment owns the parts
 * from here on, also when it fails; validation and test may be NULL. Preprocessing is fitted on `train` and nothing
 * else.
 */
typedef struct nacre_experiment_parts {
    nacre_dataset *train, *validation, *test;
} nacre_experiment_parts;
NACRE_API nacre_status nacre_experiment_open_on(nacre_context *context, const nacre_recipe *recipe,
                                                const nacre_experiment_parts *parts, const char *output,
                                                nacre_experiment *experiment);
NACRE_API void nacre_experiment_close(nacre_experiment *experiment);
/* Only the data: one part of what the recipe names; NULL and a failure if it has no such part. */
NACRE_API nacre_dataset *nacre_experiment_part(nacre_context *context, const nacre_recipe *recipe,
                                               const char *data_folder, nacre_part part);

/* What settling is for. In cross-validation a learning rate of auto stays: each fold finds its own, from the samples
 * that it trains on. A search leaves alone what it searches. */
typedef enum nacre_settle_purpose { NACRE_SETTLE_RUN, NACRE_SETTLE_FOLDS, NACRE_SETTLE_SEARCH } nacre_settle_purpose;

/* Zero is a fresh run about which nothing is said. */
typedef struct nacre_settle_options {
    nacre_settle_purpose purpose;
    const char *output;        /* the folder of the run, the folds or the search; NULL: as without it */
    bool resume;               /* take the numbers of the checkpoint there instead of measuring again */
    const char *const *ranges; /* of a search: KEY=RANGE in addition to the recipe's, ended by NULL; NULL: none */
    nacre_buffer *words;       /* gets a line for each: what was chosen and why, also for training.rate_scaling */
} nacre_settle_options;

/* Finds what the recipe leaves to measuring - training.batch_size: auto, data.workers: auto, optimizer.learning_rate:
 * auto, in this order - and sets it in the recipe, so that experiments opened afterwards, saved models and resumed runs
 * have numbers. All is planned and tried in a context of its own: nothing is written. */
NACRE_API nacre_status nacre_recipe_settle(nacre_context *context, nacre_recipe *recipe, const char *data_folder,
                                           const nacre_settle_options *options);

/* What the recipe says about fitting, for those who call nacre_fit themselves: shorter, without a folder, ... It
 * borrows from the experiment. */
NACRE_API nacre_fit_options nacre_experiment_fit(const nacre_experiment *experiment);

typedef struct nacre_experiment_options {
    bool resume;
    const char *notes;               /* as in nacre_fit_options */
    const nacre_callback *callbacks; /* as in nacre_fit_options, after those of the recipe */
    int callback_count;
    bool (*listen)(void *user, const nacre_fit_event *event); /* as in nacre_fit_options */
    void *listen_user;
} nacre_experiment_options;

typedef struct nacre_experiment_result {
    nacre_fit_result fit;
    nacre_evaluation test;          /* samples 0 without test data; the caller destroys its metrics */
    char *model_path, *report_path; /* the caller releases them; NULL: not written */
    const char *missed;             /* the first of the recipe's target figures that was not reached, NULL: all were */
} nacre_experiment_result;

/* Trains, evaluates the best weights on the test part, writes the saved model with its figures, report.html and
 * curves.png into the folder. */
NACRE_API nacre_status nacre_experiment_run(nacre_context *context, nacre_experiment *experiment,
                                            const nacre_experiment_options *options, nacre_experiment_result *result);

#ifdef __cplusplus
}
#endif

#endif

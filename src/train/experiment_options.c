/* train/experiment_options.c - what a recipe says about optimizer, schedule and averages. */
#include "train/experiment.h"
#include "train/recipe.h"

#include <math.h>
#include <string.h>

/* A number that counts only where it was given: the default in the table is that of the commonest kind. */
static double given(const nacre_recipe *recipe, const char *key, double value)
{
    return nc_recipe_is_given(recipe, key) ? value : 0;
}

nacre_optimizer nc_experiment_optimizer(const nacre_recipe *recipe)
{
    nacre_optimizer optimizer = {.momentum = recipe->optimizer.momentum,
                                 .dampening = recipe->optimizer.dampening,
                                 .nesterov = recipe->optimizer.nesterov,
                                 .beta1 = given(recipe, "optimizer.betas", recipe->optimizer.betas[0]),
                                 .beta2 = given(recipe, "optimizer.betas", recipe->optimizer.betas[1]),
                                 .eps = given(recipe, "optimizer.eps", recipe->optimizer.eps),
                                 .amsgrad = recipe->optimizer.amsgrad,
                                 .momentum_decay = recipe->optimizer.momentum_decay,
                                 .rate_decay = recipe->optimizer.rate_decay,
                                 .initial = recipe->optimizer.initial,
                                 .rho = recipe->optimizer.rho,
                                 .centered = recipe->optimizer.centered,
                                 .trust = recipe->optimizer.trust,
                                 .match_rms = recipe->optimizer.match_rms,
                                 .weight_decay = recipe->optimizer.weight_decay,
                                 .spare_vectors = !strcmp(recipe->optimizer.decay, "weights"),
                                 .groups = recipe->optimizer.groups,
                                 .clip_value = recipe->training.clip_value,
                                 .clip_norm = recipe->training.clip_norm,
                                 .noise = recipe->training.gradient_noise,
                                 .max_norm = recipe->training.max_norm,
                                 .lookahead = recipe->optimizer.lookahead,
                                 .lookahead_pull = recipe->optimizer.lookahead_pull};
    nacre_optimizer_find(recipe->optimizer.name, &optimizer.kind);
    while (optimizer.groups && optimizer.groups[optimizer.group_count].pattern) optimizer.group_count++;
    return optimizer;
}

int64_t nc_recipe_batch(const nacre_recipe *recipe)
{
    return recipe->training.batch_size > 0 ? recipe->training.batch_size : NC_UNSETTLED_BATCH;
}

int nc_recipe_workers(const nacre_recipe *recipe)
{
    return recipe->data.workers >= 0 ? (int)recipe->data.workers : 1;
}

static int64_t steps_per_epoch(const nacre_experiment *experiment)
{
    const nacre_recipe *recipe = experiment->recipe;
    return nacre_fit_steps(&(nacre_fit_options){.train = experiment->train,
                                                .batch_size = nc_recipe_batch(recipe),
                                                .accumulate = recipe->training.accumulate,
                                                .drop_last = recipe->data.drop_last});
}

static bool is(const char *word, const char *other)
{
    return strcmp(word, other) == 0;
}

double nc_rate_factor(const nacre_recipe *recipe)
{
    int64_t size = nc_recipe_batch(recipe);
    int64_t update = recipe->training.accumulate > size ? recipe->training.accumulate : size;
    double growth = (double)update / (double)recipe->training.reference_batch;
    return is(recipe->training.rate_scaling, "linear") ? growth
           : is(recipe->training.rate_scaling, "sqrt") ? sqrt(growth)
                                                       : 1;
}

/* Of a rate that has grown with the batch (Goyal et al. 2017), unless the schedule begins low by itself. */
static int64_t scaled_warmup(const nacre_recipe *recipe, int64_t epoch)
{
    enum { EPOCHS = 5, SHARE = 5 };
    bool rises = is(recipe->schedule.name, "one_cycle") || is(recipe->schedule.name, "cyclic") ||
                 is(recipe->schedule.name, "noam");
    int64_t most = recipe->training.epochs * epoch / SHARE;
    if (rises || nc_rate_factor(recipe) <= 1) return 0;
    return EPOCHS * epoch < most ? EPOCHS * epoch : most;
}

nacre_schedule nc_experiment_schedule(const nacre_experiment *experiment)
{
    const nacre_recipe *recipe = experiment->recipe;
    const char *name = recipe->schedule.name, *mode = recipe->schedule.mode, *anneal = recipe->schedule.anneal;
    bool updates = is(recipe->schedule.unit, "update") || is(name, "exp") || is(name, "inv") || is(name, "sigmoid");
    int64_t epoch = steps_per_epoch(experiment), unit = updates ? 1 : epoch, warmup = recipe->schedule.warmup_steps;
    const nacre_optimizer optimizer = nc_experiment_optimizer(recipe);
    if (warmup == 0) warmup = (int64_t)(recipe->schedule.warmup_epochs * (double)epoch);
    if (warmup == 0) warmup = scaled_warmup(recipe, epoch);
    nacre_schedule schedule = {.base = recipe->optimizer.learning_rate * nc_rate_factor(recipe),
                               .warmup_steps = warmup,
                               .warmup_constant = is(recipe->schedule.warmup, "constant"),
                               .warmup_factor = recipe->schedule.warmup_factor,
                               .min_rate = recipe->schedule.min_rate,
                               .gamma = given(recipe, "schedule.gamma", recipe->schedule.gamma),
                               .power = recipe->schedule.power,
                               .unit = unit,
                               .step_size = recipe->schedule.step_size * unit,
                               .milestones = recipe->schedule.milestones,
                               .period = (int64_t)round(recipe->schedule.period * (double)unit),
                               .period_factor = recipe->schedule.period_factor,
                               .cyclic_mode = is(mode, "triangular2") ? NACRE_CYCLIC_TRIANGULAR2
                                              : is(mode, "exp_range") ? NACRE_CYCLIC_EXP_RANGE
                                                                      : NACRE_CYCLIC_TRIANGULAR,
                               .step_up = (int64_t)round(recipe->schedule.step_up * (double)unit),
                               .step_down = (int64_t)round(recipe->schedule.step_down * (double)unit),
                               .pct_start = recipe->schedule.pct_start,
                               .div_factor = recipe->schedule.div_factor,
                               .final_div_factor = recipe->schedule.final_div_factor,
                               .three_phase = recipe->schedule.three_phase,
                               .anneal = is(anneal, "cosine")   ? NACRE_ANNEAL_COSINE
                                         : is(anneal, "linear") ? NACRE_ANNEAL_LINEAR
                                                                : NACRE_ANNEAL_USUAL,
                               .cycle_momentum =
                                   recipe->schedule.cycle_momentum && nacre_optimizer_has_momentum(&optimizer),
                               .base_momentum = recipe->schedule.base_momentum,
                               .max_momentum = recipe->schedule.max_momentum,
                               .decay_fraction = recipe->schedule.decay_fraction,
                               .width = recipe->schedule.width,
                               .patience = recipe->schedule.patience,
                               .cooldown = recipe->schedule.cooldown,
                               .threshold = recipe->schedule.threshold};
    nacre_schedule_find(name, &schedule.kind);
    while (schedule.milestones && schedule.milestones[schedule.milestone_count] >= 0) schedule.milestone_count++;
    return schedule;
}

nacre_averaging nc_experiment_averaging(const nacre_recipe *recipe)
{
    const char *name = recipe->averaging.name;
    return (nacre_averaging){.kind = is(name, "ema")   ? NACRE_AVERAGING_EMA
                                     : is(name, "swa") ? NACRE_AVERAGING_SWA
                                                       : NACRE_AVERAGING_NONE,
                             .decay = recipe->averaging.decay,
                             .start = recipe->averaging.start,
                             .every = recipe->averaging.every};
}

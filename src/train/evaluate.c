/* train/evaluate.c - loss and metrics of a model over a dataset. */
#include "train/train.h"

#include <nacre/io.h>

#include <math.h>
#include <stdio.h>

typedef struct pass {
    nacre_context *context;
    const nacre_evaluate_options *options;
    const char *what; /* for messages: "validation of epoch 3" */
    nacre_loader *loader;
    nc_roles roles;
    nc_step_graph step;
    nc_scores scores;
} pass;

static nacre_status check_loss(const pass *run, const nc_step_options *step, const nacre_batch *batch, double loss)
{
    char where[96];
    if (isfinite(loss)) return NACRE_OK;
    snprintf(where, sizeof where, "%s, batch %lld", run->what, (long long)batch->index + 1);
    return nc_diagnose(run->context, step, &run->roles, batch, 0, where);
}

static nacre_status take_batch(pass *run, const nacre_batch *batch)
{
    const nacre_evaluate_options *options = run->options;
    nc_step_options step = {.model = options->model,
                            .build = options->build,
                            .user = options->user,
                            .forward = true,
                            .precision = options->precision,
                            .loss = nc_default_loss(&run->roles, options->loss)};
    if (nc_step_prepare(&run->step, run->context, &step, &run->roles, batch)) return nacre_check(run->context);
    nc_step_feed(&run->step, &run->roles, batch);
    if (nacre_run(run->step.graph)) return nacre_check(run->context);
    double loss = nacre_read_scalar(run->step.loss);
    if (check_loss(run, &step, batch, loss)) return nacre_check(run->context);
    if (nc_scores_add(&run->scores, run->context, &run->step, &run->roles, options->metrics, batch, loss))
        return nacre_check(run->context);
    int64_t columns = nacre_tensor_count(run->step.outputs) / batch->count;
    return options->visit ? options->visit(options->visit_user, batch, run->scores.outputs, columns) : NACRE_OK;
}

nacre_status nc_measure(nacre_context *context, const nacre_evaluate_options *options, const char *what,
                        nacre_evaluation *result)
{
    double start = nacre_seconds();
    nacre_loader_options loading = {.batch_size = options->batch_size ? (int)options->batch_size : 256,
                                    .workers = options->workers,
                                    .transforms = options->transforms};
    pass run = {.context = context,
                .options = options,
                .what = what,
                .loader = nacre_loader_create(options->dataset, &loading)};
    const nacre_batch *batch;
    *result = (nacre_evaluation){0};
    if (run.loader && nc_find_roles(context, run.loader, &run.roles) == NACRE_OK)
        while (nacre_check(context) == NACRE_OK && (batch = nacre_loader_next(run.loader)))
            if (take_batch(&run, batch)) break;
    if (nacre_check(context) == NACRE_OK) {
        *result = (nacre_evaluation){.loss = nacre_running_mean_value(&run.scores.loss),
                                     .metrics = run.scores.metrics,
                                     .samples = nacre_dataset_count(options->dataset),
                                     .seconds = nacre_seconds() - start};
        run.scores.metrics = NULL;
    }
    nc_scores_release(&run.scores, context);
    nc_step_release(&run.step);
    nacre_loader_destroy(run.loader);
    return nacre_check(context);
}

nacre_status nacre_evaluate(nacre_context *context, const nacre_evaluate_options *options, nacre_evaluation *result)
{
    return nc_measure(context, options, "evaluation", result);
}

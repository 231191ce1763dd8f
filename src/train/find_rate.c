/* train/find_rate.c - the learning rate finder: a short training of a copy, with a rate that grows. */
#include "train/train.h"

#include <math.h>
#include <string.h>

/* ---- what a curve suggests ---- */

/* The longest decreasing subsequence of the losses; its first index, its length. Ties: the one that ends first. */
static int64_t longest_fall(const double *losses, int64_t count, int64_t *lengths, int64_t *length)
{
    int64_t end = 0;
    for (int64_t i = 0; i < count; i++) {
        lengths[i] = 1;
        for (int64_t j = 0; j < i; j++)
            if (losses[i] < losses[j] && lengths[i] <= lengths[j]) lengths[i] = lengths[j] + 1;
        if (lengths[i] > lengths[end]) end = i;
    }
    *length = lengths[end];
    return end - lengths[end] > 0 ? end - lengths[end] : 0;
}

static int64_t valley(const double *losses, int64_t count, int64_t *lengths)
{
    int64_t length, start = longest_fall(losses, count, lengths, &length);
    double third = (double)length / 3;
    int64_t at = start + (int64_t)third + (int64_t)(third / 2);
    return at < count ? at : count - 1;
}

static int64_t steepest(const double *rates, const double *losses, int64_t count)
{
    int64_t best = 0;
    double least = INFINITY;
    for (int64_t i = 0; i + 1 < count; i++) {
        double slope = (losses[i + 1] - losses[i]) / (log(rates[i + 1]) - log(rates[i]));
        if (slope < least) {
            least = slope;
            best = i;
        }
    }
    return best;
}

nacre_status nacre_rate_curve_suggest(nacre_context *context, nacre_rate_curve *curve)
{
    int64_t first = curve->planned / 10, count = curve->count - first - 5, lowest = 0;
    if (count < 2)
        return nacre_fail(context, NACRE_ERROR_NUMERIC,
                          "the loss ran away after %lld of %lld steps: too few to suggest a learning rate; begin lower",
                          (long long)curve->count, (long long)curve->planned);
    const double *rates = curve->rates + first, *losses = curve->smooth + first;
    int64_t *lengths = nacre_allocate(context, sizeof *lengths * (size_t)count);
    if (!lengths) return NACRE_ERROR_MEMORY;
    for (int64_t i = 1; i < count; i++)
        if (losses[i] < losses[lowest]) lowest = i;
    curve->valley = rates[valley(losses, count, lengths)];
    curve->steepest = rates[steepest(rates, losses, count)];
    curve->minimum = rates[lowest] / 10;
    nacre_release(context, lengths);
    return NACRE_OK;
}

void nacre_rate_curve_release(nacre_context *context, nacre_rate_curve *curve)
{
    nacre_release(context, curve->rates);
    nacre_release(context, curve->losses);
    nacre_release(context, curve->smooth);
    *curve = (nacre_rate_curve){0};
}

/* ---- a copy of the model ---- */

static nacre_model *copy_model(nacre_context *context, const nacre_model *model)
{
    nacre_model *copy = nacre_model_create(context);
    nacre_entry entry;
    for (int from = 0; copy && nacre_model_entry(model, from, &entry); from++) {
        if (entry.role == NACRE_ENTRY_STATE) continue;
        int to = nacre_model_add(copy, entry.role, entry.path, entry.dtype, entry.shape);
        void *values = nacre_model_write(copy, to);
        if (values && entry.bytes) memcpy(values, entry.data, entry.bytes);
    }
    if (copy) nacre_model_set_seed(copy, nacre_model_seed(model));
    return copy;
}

/* ---- the search ---- */

typedef struct search {
    nacre_context *context;
    nacre_rate_search settings; /* with defaults filled in */
    nc_step_options options;
    nacre_loader *loader;
    nc_roles roles;
    nc_step_graph step;
    nacre_rate_curve *curve;
    double average, best; /* of the losses so far; the best smoothed one */
    bool done;
} search;

static bool allocate_curve(search *s)
{
    size_t bytes = sizeof(double) * (size_t)s->settings.steps;
    *s->curve = (nacre_rate_curve){.planned = s->settings.steps};
    s->curve->rates = nacre_allocate(s->context, bytes);
    s->curve->losses = nacre_allocate(s->context, bytes);
    s->curve->smooth = nacre_allocate(s->context, bytes);
    return s->curve->rates && s->curve->losses && s->curve->smooth;
}

/* An exponential mean over about fifty steps, corrected for its beginning. */
static void record(search *s, double rate, double loss)
{
    const double keep = 0.98;
    nacre_rate_curve *curve = s->curve;
    int64_t i = curve->count++;
    s->average = keep * s->average + (1 - keep) * loss;
    curve->rates[i] = rate;
    curve->losses[i] = loss;
    curve->smooth[i] = s->average / (1 - pow(keep, (double)curve->count));
    if (i == 0 || curve->smooth[i] < s->best) s->best = curve->smooth[i];
    s->done = curve->count == s->settings.steps || curve->smooth[i] > s->settings.stop * s->best;
}

static nacre_status try_rate(search *s, const nacre_batch *batch)
{
    int64_t i = s->curve->count, last = s->settings.steps > 1 ? s->settings.steps - 1 : 1;
    double rate = s->settings.low * pow(s->settings.high / s->settings.low, (double)i / (double)last);
    if (nc_step_prepare(&s->step, s->context, &s->options, &s->roles, batch)) return nacre_check(s->context);
    nc_step_feed(&s->step, &s->roles, batch);
    if (s->step.seed) nacre_feed_scalar(s->step.seed, (double)i);
    nacre_feed_scalar(s->step.update.learning_rate, rate);
    nacre_feed_scalar(s->step.update.step, (double)(i + 1));
    if (nacre_run(s->step.graph)) return nacre_check(s->context);
    double loss = nacre_read_scalar(s->step.loss);
    if (isfinite(loss))
        record(s, rate, loss);
    else
        s->done = true;
    return NACRE_OK;
}

static nacre_status run(search *s)
{
    for (int64_t epoch = 0; !s->done && nacre_check(s->context) == NACRE_OK; epoch++) {
        const nacre_batch *batch;
        int64_t batches = nacre_loader_batches(s->loader);
        if (nacre_loader_start(s->loader, epoch, 0)) break;
        while (!s->done && (batch = nacre_loader_next(s->loader))) {
            int64_t index = batch->index;
            if (try_rate(s, batch) || index + 1 == batches) break;
        }
    }
    return nacre_check(s->context);
}

static nacre_status check_search(nacre_context *context, const nacre_rate_search *settings)
{
    if (settings->low > 0 && settings->high > settings->low && settings->steps >= 20 && settings->stop > 1)
        return NACRE_OK;
    return nacre_fail(
        context, NACRE_ERROR_ARGUMENT,
        "a search goes from a positive rate to a larger one in 20 steps or more and stops at more than the "
        "best loss, got %g to %g in %lld steps up to %g times",
        settings->low, settings->high, (long long)settings->steps, settings->stop);
}

static bool open_loader(search *s, const nacre_fit_options *fit)
{
    nacre_loader_options loading = {.batch_size = (int)fit->batch_size,
                                    .workers = fit->workers,
                                    .prefetch = fit->prefetch,
                                    .shuffle = !fit->no_shuffle,
                                    .drop_last = fit->drop_last,
                                    .training = true,
                                    .seed = fit->seed,
                                    .transforms = fit->transforms,
                                    .mixup = fit->mixup,
                                    .cutmix = fit->cutmix};
    s->loader = nacre_loader_create(fit->train, &loading);
    if (!s->loader || nc_find_roles(s->context, s->loader, &s->roles)) return false;
    if (nacre_loader_batches(s->loader) > 0) return true;
    nacre_fail(s->context, NACRE_ERROR_ARGUMENT, "%lld training samples do not fill a batch of %d",
               (long long)nacre_dataset_count(fit->train), loading.batch_size);
    return false;
}

nacre_status nacre_find_rate(nacre_context *context, const nacre_fit_options *fit, const nacre_rate_search *settings,
                             nacre_rate_curve *curve)
{
    nacre_rate_search chosen = settings ? *settings : (nacre_rate_search){0};
    nacre_fit_options filled = *fit;
    nc_fit_fill(&filled);
    if (chosen.low == 0) chosen.low = 1e-7;
    if (chosen.high == 0) chosen.high = 10;
    if (chosen.steps == 0) chosen.steps = 100;
    if (chosen.stop == 0) chosen.stop = 4;
    *curve = (nacre_rate_curve){0};
    if (check_search(context, &chosen)) return nacre_check(context);
    search s = {.context = context, .settings = chosen, .curve = curve};
    nacre_model *copy = copy_model(context, fit->model);
    if (copy && allocate_curve(&s) && open_loader(&s, &filled)) {
        s.options = (nc_step_options){.model = copy,
                                      .build = fit->build,
                                      .user = fit->user,
                                      .loss = nc_default_loss(&s.roles, fit->loss),
                                      .label_smoothing = fit->label_smoothing,
                                      .recompute = fit->recompute,
                                      .training = true,
                                      .precision = fit->precision,
                                      .optimizer = &filled.optimizer};
        if (run(&s) == NACRE_OK) nacre_rate_curve_suggest(context, curve);
    }
    nc_step_release(&s.step);
    nacre_loader_destroy(s.loader);
    nacre_model_destroy(copy);
    if (nacre_check(context)) nacre_rate_curve_release(context, curve);
    return nacre_check(context);
}

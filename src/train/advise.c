/* train/advise.c - advice: which pilots are run, in which order, and what follows from them. */
#include "train/advise.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

enum {
    DEFAULT_SAMPLES = 3000,
    DEFAULT_FOLDS = 3,
    MOST_FOLDS = 20,
    MOST_CAPACITIES = 4,
    MOST_REMEDIES = 8,
    USUAL_REMEDIES = 5,
    LEAST_SAMPLES = 600, /* that pilots are cut down to for want of time */
    MOST_NOTES = 12,
    MOST_PARAMETERS = 4000000 /* of pilots at other capacities */
};
static const double default_seconds = 300;
static const double fractions[] = {0.10, 0.33, 0.55, 0.78};
enum { FRACTIONS = sizeof fractions / sizeof *fractions };

/* Room for what the advice points to. */
typedef struct findings {
    nc_advising *advising;
    nacre_pilot fractions[FRACTIONS + 1], capacities[MOST_CAPACITIES];
    nacre_remedy remedies[MOST_REMEDIES];
    const char *notes[MOST_NOTES + 1];
    int fraction_count, capacity_count, remedy_count, note_count;
    int base_capacity; /* index of the base in capacities */
    double capacity;   /* the recipe's value of the capacity parameter */
    double growth;     /* how many times as much the larger model has */
    double dropout;    /* of the dropout parameter, NaN: the model has none */
    bool stop;         /* time is over, or somebody wants no more */
} findings;

static void note(findings *all, const char *text)
{
    if (all->note_count < MOST_NOTES && *text) all->notes[all->note_count++] = text;
}

#define NOTE(all, ...) note(all, nc_advice_text((all)->advising, __VA_ARGS__))

/* ---- what the model lets one change ---- */

/* A number among the model's parameters, as the recipe gives it or by default; NaN: there is none of this name. */
static double parameter_value(const nacre_recipe *recipe, const nacre_text *text, const char *name)
{
    nacre_setting parameter;
    for (const nacre_setting *given = recipe->model.parameters; given && given->name; given++)
        if (!strcmp(given->name, name) && given->is_number) return given->number;
    for (int i = 0; nacre_text_parameter(text, i, &parameter); i++)
        if (!strcmp(parameter.name, name) && parameter.is_number) return parameter.number;
    return NAN;
}

static bool find_parameters(findings *all)
{
    static const char *const NAMES[] = {"width", "hidden", "channels", "units", "features"};
    nc_advising *advising = all->advising;
    nacre_text *text = nc_experiment_text(advising->context, advising->recipe);
    if (!text) return false;
    all->capacity = NAN;
    for (size_t i = 0; i < sizeof NAMES / sizeof *NAMES && isnan(all->capacity); i++) {
        all->capacity = parameter_value(advising->recipe, text, NAMES[i]);
        if (!isnan(all->capacity))
            advising->advice->capacity_key = nc_advice_text(advising, "model.parameters.%s", NAMES[i]);
    }
    all->dropout = parameter_value(advising->recipe, text, "dropout");
    nacre_text_destroy(text);
    return true;
}

/* ---- pilots with other settings ---- */

/* Runs a pilot of the recipe with further settings (ended by NULL; NULL: none). False: there is none. */
static bool try_settings(findings *all, const char *name, const char *const *settings, double fraction,
                         nacre_pilot *pilot)
{
    nc_advising *advising = all->advising;
    if (all->stop || nacre_check(advising->context)) return false;
    nacre_recipe *recipe = nacre_recipe_copy(advising->recipe, settings);
    if (!recipe) return false;
    nacre_status status = nc_run_pilot(advising, recipe, name, fraction, settings ? MOST_PARAMETERS : 0, pilot);
    nacre_recipe_destroy(recipe);
    all->stop |= status == NACRE_ERROR_CANCELLED;
    return status == NACRE_OK;
}

/* The value of the capacity parameter as a setting. */
static const char *capacity_setting(findings *all, double value)
{
    return nc_advice_text(all->advising, "%s=%.0f", all->advising->advice->capacity_key, value);
}

/* All pilots: the recipe on all samples and on fractions, a smaller and a larger model, remedies. */
static double all_seconds(findings *all)
{
    nc_advising *advising = all->advising;
    const double one = nc_pilot_seconds(advising, advising->recipe, INT64_MAX);
    double larger = one;
    if (advising->advice->capacity_key && nacre_check(advising->context) == NACRE_OK) {
        const char *settings[] = {capacity_setting(all, all->growth * all->capacity), NULL};
        nacre_recipe *recipe = nacre_recipe_copy(advising->recipe, settings);
        if (recipe) larger = nc_pilot_seconds(advising, recipe, MOST_PARAMETERS);
        nacre_recipe_destroy(recipe);
    }
    return advising->folds.count * (one * (2 + FRACTIONS + USUAL_REMEDIES) + larger);
}

/* Fewer samples where all pilots would not end in time: better all of them on less than the last ones not at all. */
static nacre_status fit_into_time(findings *all)
{
    const double share = 0.8; /* of the time: what was timed is uncertain */
    nc_advising *advising = all->advising;
    const int64_t samples = nacre_dataset_count(advising->pool);
    const double budget = share * advising->options.seconds;
    double needed = samples > LEAST_SAMPLES ? all_seconds(all) : 0;
    if (needed > budget) { /* four times the channels are sixteen times the work */
        all->growth = 2;
        needed = all_seconds(all);
    }
    if (nacre_check(advising->context) || needed <= budget) return nacre_check(advising->context);
    const int64_t fewer = (int64_t)fmax((double)samples * budget / needed, LEAST_SAMPLES);
    nacre_dataset *pool = nacre_dataset_subset(advising->pool, fewer, (uint64_t)advising->recipe->data.seed);
    if (!pool) return nacre_check(advising->context);
    nacre_dataset_destroy(advising->pool);
    advising->pool = pool;
    NOTE(all, "all pilots on %lld samples would take about %.0f s, so they see %lld; --time grants more",
         (long long)samples, needed, (long long)fewer);
    return NACRE_OK;
}

static nacre_status run_base(findings *all)
{
    nc_advising *advising = all->advising;
    nacre_pilot *pilot = &all->fractions[FRACTIONS];
    if (!try_settings(all, "as the recipe says", NULL, 1, pilot)) {
        if (nacre_check(advising->context) == NACRE_OK && !advising->advice->cancelled)
            nacre_fail(advising->context, NACRE_ERROR_CANCELLED,
                       "the first pilot did not end within %.0f s; take fewer samples, fewer epochs or more time",
                       advising->options.seconds);
        return nacre_check(advising->context);
    }
    pilot->capacity = all->capacity;
    return NACRE_OK;
}

/* A quarter and four times the recipe's capacity (twice, where time is short); of less than 4 also sixteen times. */
static void try_capacities(findings *all)
{
    nc_advising *advising = all->advising;
    double wanted[MOST_CAPACITIES] = {floor(all->capacity / 4), all->capacity, all->growth * all->capacity,
                                      all->capacity < 4 ? 16 * all->capacity : NAN};
    if (!advising->advice->capacity_key) wanted[0] = wanted[2] = wanted[3] = NAN;
    for (int i = 0; i < MOST_CAPACITIES; i++) {
        nacre_pilot *pilot = &all->capacities[all->capacity_count];
        if (i == 1) {
            all->base_capacity = all->capacity_count++;
            *pilot = all->fractions[FRACTIONS];
            continue;
        }
        if (!(wanted[i] >= 1)) continue;
        const char *setting = capacity_setting(all, wanted[i]);
        const char *name = strrchr(setting, '.') + 1;
        if (try_settings(all, name, (const char *const[]){setting, NULL}, 1, pilot)) {
            pilot->capacity = wanted[i];
            all->capacity_count++;
        } else if (pilot->parameters > MOST_PARAMETERS) {
            NOTE(all, "%s, with %lld parameters, was left out: too large for a pilot", name,
                 (long long)pilot->parameters);
        }
    }
}

static void try_fractions(findings *all)
{
    int done = 0;
    for (int i = 0; i < FRACTIONS; i++) {
        const char *name = nc_advice_text(all->advising, "%.0f %% of the samples", 100 * fractions[i]);
        if (try_settings(all, name, NULL, fractions[i], &all->fractions[done])) {
            all->fractions[done].capacity = all->capacity;
            done++;
        }
    }
    all->fractions[done] = all->fractions[FRACTIONS];
    all->fraction_count = done + 1;
}

/* The larger model that validates best, NULL: none was tried. */
static const nacre_pilot *best_larger(const findings *all)
{
    const nacre_pilot *best = NULL;
    for (int i = all->base_capacity + 1; i < all->capacity_count; i++)
        if (!all->capacities[i].failed &&
            (!best || all->capacities[i].validation_error.mean < best->validation_error.mean))
            best = &all->capacities[i];
    return best;
}

/* ---- remedies ---- */

/* What validation loses by going without, fold by fold. */
static nacre_spread gain_of(const findings *all, const nacre_pilot *pilot)
{
    double gains[MOST_FOLDS];
    const nacre_pilot *base = &all->fractions[FRACTIONS];
    if (pilot->failed) return (nacre_spread){.mean = -INFINITY};
    if (base->failed) return (nacre_spread){.mean = INFINITY};
    for (int f = 0; f < all->advising->folds.count; f++) gains[f] = base->losses[f] - pilot->losses[f];
    return nacre_spread_of(gains, all->advising->folds.count);
}

/* One or two settings, the second NULL for none. */
static void try_remedy(findings *all, const char *name, const char *first, const char *second)
{
    nacre_pool *pool = &all->advising->advice->pool;
    if (all->remedy_count == MOST_REMEDIES || all->stop) return;
    nacre_remedy *remedy = &all->remedies[all->remedy_count];
    const char **settings = nacre_pool_allocate(pool, 3 * sizeof *settings);
    if (!settings) return;
    settings[0] = first;
    settings[1] = second;
    if (!try_settings(all, name, settings, 1, &remedy->pilot)) return;
    remedy->settings = settings;
    remedy->gain = gain_of(all, &remedy->pilot);
    remedy->pilot.capacity = all->capacity;
    all->remedy_count++;
}

/* Weights that decay within the run: the time constant of the average that AdamW's weights are, 1 / (rate * decay)
 * updates, is best between one epoch and the run's length (Wang and Aitchison 2024); here it is the run's length and a
 * fifth of it. For SGD, whose decay goes through the rate and the momentum alike, the same by its effective rate. */
static double decay_for(const findings *all)
{
    const nacre_recipe *recipe = all->advising->recipe;
    const nacre_pilot *base = &all->fractions[FRACTIONS];
    double batches = ceil((double)base->samples / (double)nc_recipe_batch(recipe));
    double updates = batches * (double)recipe->training.epochs;
    double rate = recipe->optimizer.learning_rate;
    if (!strcmp(recipe->optimizer.name, "sgd")) rate /= 1 - recipe->optimizer.momentum;
    return 1 / (rate * updates);
}

/* With one digit: nobody knows more. */
static const char *decay_setting(findings *all, double decay)
{
    return nc_advice_text(all->advising, "optimizer.weight_decay=%.1g", decay);
}

/* "weight_decay=0.03" */
static const char *name_of_setting(const char *setting)
{
    const char *dot = strchr(setting, '=');
    while (dot > setting && *dot != '.') dot--;
    return dot > setting ? dot + 1 : setting;
}

static void regularise(findings *all)
{
    nc_advising *advising = all->advising;
    const nacre_recipe *recipe = advising->recipe;
    /* L2 in the gradient of Adam is divided away again (Loshchilov and Hutter 2019): decay asks for AdamW. */
    const char *switched = strcmp(recipe->optimizer.name, "adam") ? NULL : "optimizer.name=adamw";
    double weak = fmax(decay_for(all), 2 * recipe->optimizer.weight_decay);
    const char *decays[] = {decay_setting(all, weak), decay_setting(all, 5 * weak)};
    for (int i = 0; i < 2; i++) try_remedy(all, name_of_setting(decays[i]), decays[i], switched);
    if (isnan(all->dropout)) {
        NOTE(all, "the model has no parameter 'dropout', so only weight decay was tried");
        return;
    }
    double rates[] = {all->dropout < 0.25 ? 0.25 : 0.5, all->dropout < 0.5 ? 0.5 : 0.7};
    for (int i = 0; i < 2; i++) {
        const char *dropout = nc_advice_text(advising, "model.parameters.dropout=%g", rates[i]);
        if (i == 1) try_remedy(all, name_of_setting(dropout), dropout, NULL);
        if (switched) continue; /* two settings at most */
        try_remedy(all, nc_advice_text(advising, "%s, %s", name_of_setting(decays[i]), name_of_setting(dropout)),
                   decays[i], dropout);
    }
}

/* More capacity was tried already; a larger rate and a longer run say whether it is that. */
static void strengthen(findings *all)
{
    nc_advising *advising = all->advising;
    const nacre_pilot *larger = best_larger(all);
    if (larger && all->remedy_count < MOST_REMEDIES) {
        nacre_remedy *remedy = &all->remedies[all->remedy_count++];
        const char **settings = nacre_pool_allocate(&advising->advice->pool, 2 * sizeof *settings);
        if (!settings) return;
        settings[0] = capacity_setting(all, larger->capacity);
        *remedy = (nacre_remedy){.settings = settings, .pilot = *larger, .gain = gain_of(all, larger)};
    }
    const char *rate =
        nc_advice_text(advising, "optimizer.learning_rate=%.2g", 3 * advising->recipe->optimizer.learning_rate);
    const char *epochs =
        nc_advice_text(advising, "training.epochs=%lld", 3 * (long long)advising->recipe->training.epochs);
    try_remedy(all, name_of_setting(rate), rate, NULL);
    try_remedy(all, name_of_setting(epochs), epochs, NULL);
}

static bool learns(const findings *all, const nacre_pilot *pilot)
{
    return !pilot->failed && pilot->validation_error.mean < NACRE_NEAR_CHANCE * all->advising->advice->chance;
}

/* Other rates tell a rate that learns nothing from data that cannot be learned: those nearby, and those that are usual
 * for the optimizer. */
static void try_rates(findings *all)
{
    nc_advising *advising = all->advising;
    double rate = advising->recipe->optimizer.learning_rate;
    bool plain = !strcmp(advising->recipe->optimizer.name, "sgd");
    double rates[] = {plain ? 0.1 : 0.003, rate / 10, plain ? 0.01 : 0.0003, rate * 10};
    int learned = 0;
    for (size_t i = 0; i < sizeof rates / sizeof *rates && learned == 0; i++) {
        bool known = fabs(log(rates[i] / rate)) < log(2) || rates[i] > 1;
        for (size_t k = 0; k < i; k++) known |= fabs(log(rates[i] / rates[k])) < log(2);
        if (known) continue;
        const char *setting = nc_advice_text(advising, "optimizer.learning_rate=%.2g", rates[i]);
        int before = all->remedy_count;
        try_remedy(all, name_of_setting(setting), setting, NULL);
        learned += all->remedy_count > before && learns(all, &all->remedies[before].pilot);
    }
    if (learned > 0) advising->advice->diagnosis = NACRE_RATE_FAULT;
}

/* Of a mean over folds. */
static double standard_error(nacre_spread spread)
{
    return spread.deviation / sqrt(fmax((double)spread.count, 1));
}

/* Validation loss falls beyond its standard error, and the error does not grow beyond its own. */
static bool helps(const findings *all, const nacre_remedy *remedy)
{
    const nacre_pilot *base = &all->fractions[FRACTIONS];
    if (all->advising->advice->diagnosis == NACRE_DATA_FAULT || remedy->pilot.failed) return false;
    if (all->advising->advice->diagnosis == NACRE_RATE_FAULT) return learns(all, &remedy->pilot);
    double doubt = fmax(standard_error(base->validation_error), standard_error(remedy->pilot.validation_error));
    return remedy->gain.mean > standard_error(remedy->gain) &&
           remedy->pilot.validation_error.mean <= base->validation_error.mean + doubt;
}

/* The remedy that helps and has the lowest validation loss. */
static const nacre_remedy *choose_remedy(const findings *all)
{
    const nacre_remedy *best = NULL;
    for (int i = 0; i < all->remedy_count; i++) {
        const nacre_remedy *remedy = &all->remedies[i];
        if (helps(all, remedy) && (!best || remedy->pilot.validation_loss.mean < best->pilot.validation_loss.mean))
            best = remedy;
    }
    return best;
}

/* ---- words ---- */

static const char *spread_text(findings *all, nacre_spread spread, double scale)
{
    char text[NACRE_SPREAD_SIZE];
    spread.mean *= scale;
    spread.deviation *= scale;
    return nc_advice_text(all->advising, "%s", nacre_text_spread(text, spread));
}

static const char *explain(findings *all)
{
    nacre_advice *advice = all->advising->advice;
    const nacre_pilot *base = advice->base;
    const char *unit = advice->survey.regression ? "% of the variance" : "%";
    if (base->failed && advice->diagnosis == NACRE_RATE_FAULT)
        return "training failed: the loss became infinite or NaN; it does not at another learning rate";
    if (base->failed) return "training failed at every rate that was tried: the loss became infinite or NaN";
    const char *figures = nc_advice_text(all->advising, "training error %s %s, validation error %s %s, chance %.3g %%",
                                         spread_text(all, base->train_error, 100), unit,
                                         spread_text(all, base->validation_error, 100), unit, 100 * advice->chance);
    switch (advice->diagnosis) {
    case NACRE_OVERFITS:
        return nc_advice_text(all->advising,
                              "%s: a wide gap, and from the first epoch to the last the gap of the losses grew by "
                              "%.3g while the training loss fell",
                              figures, base->gap_growth);
    case NACRE_UNDERFITS:
        return nc_advice_text(all->advising, "%s: the training error itself is high%s", figures,
                              best_larger(all) ? ", and a larger model has a lower one" : "");
    case NACRE_RATE_FAULT:
        return nc_advice_text(all->advising, "%s: nothing is learned at this learning rate, but at another", figures);
    case NACRE_DATA_FAULT:
        return nc_advice_text(all->advising,
                              "%s: no rate and no capacity that was tried learns anything that holds for other "
                              "samples; are the labels those of these samples, and do the inputs say anything on them?",
                              figures);
    default: return nc_advice_text(all->advising, "%s", figures);
    }
}

static void note_data(findings *all)
{
    const nacre_survey *survey = &all->advising->advice->survey;
    if (survey->classes > 0 && survey->largest > 10 * survey->smallest)
        NOTE(all,
             "the classes are not balanced (%lld samples of the most frequent, %lld of the rarest): judge by "
             "balanced_accuracy or f1_macro, not by accuracy",
             (long long)survey->largest, (long long)survey->smallest);
    if (survey->missing > 0)
        NOTE(all, "%lld values are missing, in %lld of %lld samples looked at: the transform impute fills them",
             (long long)survey->missing, (long long)survey->missing_samples, (long long)survey->looked_at);
    if (survey->constant > 0)
        NOTE(all, "%lld columns never change and can be ignored (data.ignore)", (long long)survey->constant);
    if (survey->kind == NACRE_DATA_PICTURES && !survey->same_size)
        NOTE(all, "the pictures differ in size: resize or crop them");
}

/* Fewer samples are learned by heart more easily. */
static void note_share(findings *all)
{
    const nc_advising *advising = all->advising;
    const int64_t seen = nacre_dataset_count(advising->pool), samples = advising->advice->survey.samples;
    if (advising->advice->diagnosis == NACRE_OVERFITS && 2 * seen < samples)
        NOTE(all,
             "the pilots saw %lld of %lld samples: on all of them the gap will be smaller, and it may be that nothing "
             "needs to be done (--samples)",
             (long long)seen, (long long)samples);
}

static void note_capacity(findings *all)
{
    const nacre_advice *advice = all->advising->advice;
    int64_t have = advice->base->parameters;
    const char *where = have < advice->capacity.low ? "below" : have > advice->capacity.high ? "above" : "within";
    NOTE(all, "the model has %lld parameters, %s the range of %lld to %lld that fits %lld samples", (long long)have,
         where, (long long)advice->capacity.low, (long long)advice->capacity.high, (long long)advice->survey.samples);
    for (int i = 0; i < all->base_capacity; i++)
        if (!all->capacities[i].failed && !advice->base->failed &&
            all->capacities[i].validation_error.mean <= advice->base->validation_error.mean)
            NOTE(all, "%s, with %lld parameters, validates as well", all->capacities[i].name,
                 (long long)all->capacities[i].parameters);
}

/* Is the curve still going down where the samples end? */
static void note_learning_curve(findings *all)
{
    const nacre_pilot *last = &all->fractions[all->fraction_count - 1];
    if (all->fraction_count < 3 || last->failed || all->fractions[all->fraction_count - 3].failed) return;
    const nacre_pilot *before = &all->fractions[all->fraction_count - 3];
    double fell = before->validation_error.mean - last->validation_error.mean;
    double doubt = fmax(before->validation_error.deviation, last->validation_error.deviation);
    if (fell > doubt && fell > 0.05 * last->validation_error.mean)
        NOTE(all, "from %.0f to 100 %% of the samples the validation error still fell by %.2g points: more data help",
             100 * before->fraction, 100 * fell);
    else
        NOTE(all,
             "from %.0f to 100 %% of the samples the validation error hardly fell: more data of the same kind "
             "would change little",
             100 * before->fraction);
}

/* ---- all of it ---- */

static bool enough_for_strata(const nc_advising *advising)
{
    const nacre_survey *survey = &advising->advice->survey;
    double kept = (double)nacre_dataset_count(advising->pool) / (double)survey->samples;
    return survey->classes > 0 && (double)survey->smallest * kept >= 2 * advising->options.folds;
}

static bool open_pool(nc_advising *advising, const char *data_folder)
{
    const nacre_recipe *recipe = advising->recipe;
    nacre_advice *advice = advising->advice;
    nacre_dataset *data = nc_experiment_data(advising->context, recipe, data_folder);
    nacre_dataset *pool = data ? nc_experiment_pool(advising->context, data, recipe) : NULL;
    nacre_dataset_destroy(data);
    bool ready = pool && nacre_survey_data(pool, &advice->survey) == NACRE_OK;
    if (ready && nacre_dataset_count(pool) > advising->options.samples)
        advising->pool = nacre_dataset_subset(pool, advising->options.samples, (uint64_t)recipe->data.seed);
    else if (ready)
        advising->pool = nacre_dataset_split(pool, NACRE_ALL, NULL);
    nacre_dataset_destroy(pool);
    if (!ready || !advising->pool) return false;
    if (!(recipe->optimizer.learning_rate > 0))
        nacre_recipe_fail(recipe, "optimizer.learning_rate", NACRE_ERROR_ARGUMENT,
                          "must be a number for pilots, which try other rates beside it");
    if (!advice->survey.regression && advice->survey.classes == 0)
        nacre_fail(advising->context, NACRE_ERROR_UNSUPPORTED,
                   "%s has neither classes nor numbers to predict, so there is nothing to advise on",
                   recipe->data.source);
    advising->folds = (nacre_fold_options){.count = advising->options.folds,
                                           .stratified = enough_for_strata(advising) && !recipe->data.ordered,
                                           .ordered = recipe->data.ordered,
                                           .seed = (uint64_t)recipe->data.seed};
    nacre_dataset_destroy(nacre_dataset_fold(advising->pool, 0, NACRE_TEST, &advising->folds)); /* can it be? */
    return nacre_check(advising->context) == NACRE_OK;
}

/* The lists move into the pool of the advice. */
static bool hand_over(findings *all)
{
    nacre_advice *advice = all->advising->advice;
    nacre_pool *pool = &advice->pool;
    findings *kept = nacre_pool_allocate(pool, sizeof *kept);
    if (!kept) return false;
    const nacre_remedy *chosen = advice->proposal;
    *kept = *all;
    advice->fractions = kept->fractions;
    advice->fraction_count = kept->fraction_count;
    advice->base = &kept->fractions[kept->fraction_count - 1];
    advice->capacities = kept->capacities;
    advice->capacity_count = kept->capacity_count;
    advice->remedies = kept->remedies;
    advice->remedy_count = kept->remedy_count;
    advice->proposal = chosen ? &kept->remedies[chosen - all->remedies] : NULL;
    advice->notes = kept->notes;
    return true;
}

static void find_out(findings *all)
{
    nc_advising *advising = all->advising;
    nacre_advice *advice = advising->advice;
    advice->base = &all->fractions[FRACTIONS];
    try_capacities(all);
    advice->diagnosis = nacre_diagnose(advice->base, best_larger(all), advice->chance);
    switch (advice->diagnosis) {
    case NACRE_OVERFITS: regularise(all); break;
    case NACRE_UNDERFITS: strengthen(all); break;
    case NACRE_DATA_FAULT: try_rates(all); break;
    default: break;
    }
    advice->proposal = choose_remedy(all);
    if (!advice->base->failed) try_fractions(all);
    if (all->fraction_count == 0) all->fractions[all->fraction_count++] = all->fractions[FRACTIONS];
    advice->reason = explain(all);
    note_data(all);
    note_share(all);
    note_capacity(all);
    if (advice->diagnosis != NACRE_DATA_FAULT && advice->diagnosis != NACRE_RATE_FAULT) note_learning_curve(all);
    if (advice->out_of_time)
        NOTE(all, "time was over after %.0f s; some pilots are missing", advising->options.seconds);
}

static void advise(nc_advising *advising, const char *data_folder)
{
    nacre_advice *advice = advising->advice;
    findings all = {.advising = advising, .growth = 4};
    if (!open_pool(advising, data_folder) || !find_parameters(&all)) return;
    const nacre_survey *survey = &advice->survey;
    nacre_suggest_families(survey, advice->families);
    advice->capacity = nacre_suggest_capacity(survey);
    advice->folds = advising->folds.count;
    advice->chance = survey->regression ? 1 : 1 - (double)survey->largest / (double)survey->samples;
    advising->total =
        (int64_t)advising->folds.count * (1 + 2 * (advice->capacity_key != NULL) + FRACTIONS + USUAL_REMEDIES);
    if (fit_into_time(&all) || run_base(&all)) return;
    find_out(&all);
    hand_over(&all);
}

nacre_status nacre_advise(nacre_context *context, const nacre_recipe *recipe, const char *data_folder,
                          const char *output, const nacre_advise_options *options, nacre_advice *advice)
{
    *advice = (nacre_advice){.pool = {.context = context}};
    nc_advising advising = {.context = context, .recipe = recipe, .advice = advice, .start = nacre_seconds()};
    if (options) advising.options = *options;
    if (advising.options.samples == 0) advising.options.samples = DEFAULT_SAMPLES;
    if (advising.options.folds == 0) advising.options.folds = DEFAULT_FOLDS;
    if (advising.options.seconds == 0) advising.options.seconds = default_seconds;
    if (advising.options.folds > MOST_FOLDS)
        return nacre_fail(context, NACRE_ERROR_ARGUMENT, "advice: at most %d folds", MOST_FOLDS);
    advise(&advising, data_folder);
    advice->seconds = nacre_seconds() - advising.start;
    nacre_dataset_destroy(advising.pool);
    if (nacre_check(context) || advice->cancelled) return nacre_check(context);
    char *folder = nc_experiment_folder(context, recipe, output, "-advice");
    if (folder && nacre_make_directories(context, folder) == NACRE_OK) nc_write_advice(context, recipe, folder, advice);
    nacre_release(context, folder);
    return nacre_check(context);
}

void nacre_advice_release(nacre_advice *advice)
{
    if (!advice) return;
    nacre_pool_destroy(&advice->pool);
    *advice = (nacre_advice){0};
}

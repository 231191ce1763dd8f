/* train/schedule.c - learning rates and momentum as functions of the step. */
#include <nacre/train.h>

#include <math.h>
#include <string.h>

static const double PI = 3.14159265358979323846;

static double or_usual(double value, double usual)
{
    return value != 0 ? value : usual;
}

static int64_t at_least_one(int64_t value)
{
    return value > 0 ? value : 1;
}

/* From `start` to `end` as `part` goes from 0 to 1. */
static double anneal(double start, double end, double part, bool linear)
{
    return linear ? start + (end - start) * part : end + (start - end) / 2 * (1 + cos(PI * part));
}

/* ---- by steps ---- */

static double gamma_of(const nacre_schedule *s)
{
    double usual = s->kind == NACRE_SCHEDULE_EXPONENTIAL                                    ? 0.95
                   : s->kind == NACRE_SCHEDULE_INVERSE || s->kind == NACRE_SCHEDULE_SIGMOID ? 1e-4
                   : s->kind == NACRE_SCHEDULE_CYCLIC                                       ? 1
                                                                                            : 0.1;
    return or_usual(s->gamma, usual);
}

static double drops(const nacre_schedule *s, int64_t step)
{
    int64_t count = 0;
    if (s->kind == NACRE_SCHEDULE_STEP) {
        count = s->step_size > 0 ? step / s->step_size : 0;
    } else {
        while (count < s->milestone_count && step >= s->milestones[count] * at_least_one(s->unit)) count++;
    }
    return s->base * pow(gamma_of(s), (double)count);
}

/* ---- cosine with restarts ---- */

/* How far the period is that `step` lies in, from 0 to below 1. */
static double part_of_period(const nacre_schedule *s, int64_t step)
{
    double length = (double)at_least_one(s->period), factor = or_usual(s->period_factor, 1), at = (double)step;
    while (at >= length) {
        at -= length;
        length *= factor;
    }
    return at / length;
}

/* ---- triangles: Smith 2017 ---- */

/* How high the triangle stands at `step`, from 0 to 1, with what makes later ones lower. */
static double triangle(const nacre_schedule *s, int64_t step)
{
    double up = (double)at_least_one(s->step_up), total = up + (s->step_down > 0 ? (double)s->step_down : up);
    double cycle = floor(1 + (double)step / total), at = 1 + (double)step / total - cycle, turn = up / total;
    double height = at <= turn ? at / turn : (at - 1) / (turn - 1);
    if (s->cyclic_mode == NACRE_CYCLIC_TRIANGULAR2) return height / pow(2, cycle - 1);
    if (s->cyclic_mode == NACRE_CYCLIC_EXP_RANGE) return height * pow(gamma_of(s), (double)step);
    return height;
}

/* ---- one cycle: Smith and Topin 2018 ---- */

static double pct_start(const nacre_schedule *s)
{
    return or_usual(s->pct_start, 0.3);
}

/* Between values[0] at the beginning, [1] at the top, [2] after the way down, [3] at the end; two phases have no [3].
 * A step behind the end is the last one. */
static double one_cycle(const nacre_schedule *s, int64_t step, int64_t total, const double values[4])
{
    double share = pct_start(s) * (double)total, last = (double)total - 1, at = fmin((double)step, last);
    double ends[3] = {share - 1, s->three_phase ? 2 * share - 2 : last, last}, start = 0;
    int phase = 0;
    while (phase < (s->three_phase ? 2 : 1) && at > ends[phase]) start = ends[phase++];
    return anneal(values[phase], values[phase + 1], (at - start) / (ends[phase] - start),
                  s->anneal == NACRE_ANNEAL_LINEAR);
}

static double one_cycle_rate(const nacre_schedule *s, int64_t step, int64_t total)
{
    double initial = s->base / or_usual(s->div_factor, 25), end = initial / or_usual(s->final_div_factor, 1e4);
    const double two[4] = {initial, s->base, end, end}, three[4] = {initial, s->base, initial, end};
    return one_cycle(s, step, total, s->three_phase ? three : two);
}

/* ---- the whole ---- */

static double wsd(const nacre_schedule *s, int64_t step, int64_t total)
{
    int64_t length = (int64_t)ceil(or_usual(s->decay_fraction, 0.2) * (double)total), start = total - length;
    if (step < start) return s->base;
    double part = fmin((double)(step - start) / (double)at_least_one(length), 1);
    return anneal(s->base, s->min_rate, part, s->anneal != NACRE_ANNEAL_COSINE);
}

/* Vaswani and others 2017; without the width of the model `base` is the largest rate. */
static double noam(const nacre_schedule *s, int64_t step)
{
    double now = (double)step + 1, warmup = (double)at_least_one(s->warmup_steps);
    double curve = fmin(1 / sqrt(now), now / (warmup * sqrt(warmup)));
    return s->base * curve * (s->width > 0 ? 1 / sqrt((double)s->width) : sqrt(warmup));
}

static double after_warmup(const nacre_schedule *s, int64_t step, int64_t length)
{
    double done = length > 0 ? fmin((double)step / (double)length, 1) : 1, range = s->base - s->min_rate;
    double count = floor((double)step / (double)at_least_one(s->unit));
    switch (s->kind) {
    case NACRE_SCHEDULE_STEP:
    case NACRE_SCHEDULE_MULTISTEP: return drops(s, step);
    case NACRE_SCHEDULE_EXPONENTIAL: return s->base * pow(gamma_of(s), count);
    case NACRE_SCHEDULE_INVERSE: return s->base * pow(1 + gamma_of(s) * count, -or_usual(s->power, 0.75));
    case NACRE_SCHEDULE_SIGMOID: return s->base / (1 + exp(-gamma_of(s) * (double)(step - s->step_size)));
    case NACRE_SCHEDULE_POLYNOMIAL: return s->min_rate + range * pow(1 - done, or_usual(s->power, 1));
    case NACRE_SCHEDULE_COSINE: return s->min_rate + range * (1 + cos(PI * done)) / 2;
    case NACRE_SCHEDULE_COSINE_RESTARTS: return s->min_rate + range * (1 + cos(PI * part_of_period(s, step))) / 2;
    case NACRE_SCHEDULE_CYCLIC: return s->min_rate + range * triangle(s, step);
    case NACRE_SCHEDULE_CONSTANT:
    case NACRE_SCHEDULE_PLATEAU:
    case NACRE_SCHEDULE_ONE_CYCLE:
    case NACRE_SCHEDULE_WSD:
    case NACRE_SCHEDULE_NOAM:
    case NACRE_SCHEDULE_KINDS: break;
    }
    return s->base;
}

double nacre_schedule_rate(const nacre_schedule *schedule, int64_t step, int64_t total_steps)
{
    const nacre_schedule *s = schedule;
    if (s->kind == NACRE_SCHEDULE_ONE_CYCLE) return one_cycle_rate(s, step, total_steps);
    if (s->kind == NACRE_SCHEDULE_NOAM) return noam(s, step);
    if (step < s->warmup_steps) {
        double usual = s->warmup_constant ? 1.0 / 3 : 1 / ((double)s->warmup_steps + 1);
        double start = or_usual(s->warmup_factor, usual), part = (double)step / (double)s->warmup_steps;
        return s->base * (s->warmup_constant ? start : start + (1 - start) * part);
    }
    if (s->kind == NACRE_SCHEDULE_WSD) return wsd(s, step, total_steps);
    return after_warmup(s, step - s->warmup_steps, total_steps - s->warmup_steps);
}

bool nacre_schedule_cycles_momentum(const nacre_schedule *schedule)
{
    return schedule->cycle_momentum &&
           (schedule->kind == NACRE_SCHEDULE_CYCLIC || schedule->kind == NACRE_SCHEDULE_ONE_CYCLE);
}

double nacre_schedule_momentum(const nacre_schedule *schedule, int64_t step, int64_t total_steps)
{
    bool cyclic = schedule->kind == NACRE_SCHEDULE_CYCLIC;
    double low = or_usual(schedule->base_momentum, cyclic ? 0.8 : 0.85);
    double high = or_usual(schedule->max_momentum, cyclic ? 0.9 : 0.95);
    if (!nacre_schedule_cycles_momentum(schedule)) return high;
    if (cyclic) return high - (high - low) * triangle(schedule, step);
    return one_cycle(schedule, step, total_steps, (const double[4]){high, low, high, high});
}

/* ---- plateau ---- */

/* As ReduceLROnPlateau: better by a share of the best so far. */
static bool improves(const nacre_schedule *s, const nacre_plateau *state, double value, bool higher)
{
    double by = or_usual(s->threshold, 1e-4);
    if (!state->observed) return true;
    return higher ? value > state->best * (1 + by) : value < state->best * (1 - by);
}

void nacre_plateau_observe(const nacre_schedule *schedule, nacre_plateau *state, double value, bool higher)
{
    bool better = improves(schedule, state, value, higher);
    if (better) state->best = value;
    state->observed = 1;
    state->bad = better ? 0 : state->bad + 1;
    if (state->cooldown > 0) {
        state->cooldown--;
        state->bad = 0;
    }
    if (state->bad <= schedule->patience) return;
    state->reductions++;
    state->cooldown = schedule->cooldown;
    state->bad = 0;
}

double nacre_plateau_rate(const nacre_schedule *schedule, const nacre_plateau *state, int64_t step, int64_t total)
{
    double rate = nacre_schedule_rate(schedule, step, total);
    double factor = pow(gamma_of(schedule), (double)state->reductions);
    return state->reductions > 0 ? fmax(rate * factor, fmin(rate, schedule->min_rate)) : rate;
}

/* ---- names and checks ---- */

static const struct {
    const char *name;
    nacre_schedule_kind kind;
} NAMES[] = {
    {"constant", NACRE_SCHEDULE_CONSTANT},
    {"step", NACRE_SCHEDULE_STEP},
    {"multistep", NACRE_SCHEDULE_MULTISTEP},
    {"exponential", NACRE_SCHEDULE_EXPONENTIAL},
    {"polynomial", NACRE_SCHEDULE_POLYNOMIAL},
    {"cosine", NACRE_SCHEDULE_COSINE},
    {"cosine_restarts", NACRE_SCHEDULE_COSINE_RESTARTS},
    {"plateau", NACRE_SCHEDULE_PLATEAU},
    {"cyclic", NACRE_SCHEDULE_CYCLIC},
    {"one_cycle", NACRE_SCHEDULE_ONE_CYCLE},
    {"wsd", NACRE_SCHEDULE_WSD},
    {"noam", NACRE_SCHEDULE_NOAM},
    {"fixed", NACRE_SCHEDULE_CONSTANT}, /* Caffe's */
    {"exp", NACRE_SCHEDULE_EXPONENTIAL},
    {"inv", NACRE_SCHEDULE_INVERSE},
    {"poly", NACRE_SCHEDULE_POLYNOMIAL},
    {"sigmoid", NACRE_SCHEDULE_SIGMOID},
};

bool nacre_schedule_find(const char *name, nacre_schedule_kind *kind)
{
    for (size_t i = 0; i < sizeof NAMES / sizeof *NAMES; i++)
        if (!strcmp(NAMES[i].name, name)) {
            *kind = NAMES[i].kind;
            return true;
        }
    return false;
}

static nacre_status refuse(nacre_context *context, const char *what, double got, const char *way_out)
{
    return nacre_fail(context, NACRE_ERROR_ARGUMENT, "schedule: %s, got %g; %s", what, got, way_out);
}

static nacre_status check_one_cycle(nacre_context *context, const nacre_schedule *s, double total)
{
    double pct = pct_start(s);
    if (!(pct > 0 && pct < 1))
        return refuse(context, "pct_start must lie between 0 and 1, both excluded", pct, "usual is 0.3");
    if (s->three_phase && pct > 0.5)
        return refuse(context, "three phases need a pct_start of at most 0.5, for they rise and fall alike", pct,
                      "take a smaller one");
    if (pct * total - 1 <= 0)
        return nacre_fail(
            context, NACRE_ERROR_ARGUMENT,
            "schedule: the rise of one_cycle takes pct_start * updates = %g * %g, which must be more than "
            "1; train longer, or take a larger pct_start",
            pct, total);
    if (s->div_factor < 0 || s->final_div_factor < 0)
        return refuse(context, "div_factor and final_div_factor must be positive",
                      fmin(s->div_factor, s->final_div_factor), "usual are 25 and 10000");
    if (s->warmup_steps > 0)
        return refuse(context, "one_cycle begins with a warm-up of its own", (double)s->warmup_steps,
                      "leave the other out");
    return NACRE_OK;
}

static nacre_status check_gamma(nacre_context *context, const nacre_schedule *s)
{
    bool any = s->kind == NACRE_SCHEDULE_SIGMOID; /* falls where it is negative */
    if (isfinite(s->gamma) && (any || s->gamma >= 0)) return NACRE_OK;
    return refuse(context, "gamma must be positive", s->gamma, "rates would become negative");
}

static nacre_status check_milestones(nacre_context *context, const nacre_schedule *s)
{
    if (s->kind == NACRE_SCHEDULE_MULTISTEP && s->milestone_count == 0)
        return refuse(context, "multistep needs milestones", 0, "say where the rate drops");
    for (int i = 0; i < s->milestone_count; i++)
        if (s->milestones[i] < 0 || (i && s->milestones[i] < s->milestones[i - 1]))
            return refuse(context, "milestones must be positive and grow", (double)s->milestones[i],
                          "put them in order");
    return NACRE_OK;
}

static nacre_status check_lengths(nacre_context *context, const nacre_schedule *s, int64_t total)
{
    if (s->warmup_steps < 0 || s->warmup_steps > total)
        return nacre_fail(context, NACRE_ERROR_ARGUMENT,
                          "schedule: a warm-up of %lld updates does not fit a run of %lld; make one of them other",
                          (long long)s->warmup_steps, (long long)total);
    if (s->kind == NACRE_SCHEDULE_NOAM && s->warmup_steps == 0)
        return refuse(context, "noam needs warm-up steps", 0, "usual are 4000");
    if (s->kind == NACRE_SCHEDULE_COSINE_RESTARTS && (s->period < 1 || (s->period_factor != 0 && s->period_factor < 1)))
        return refuse(context,
                      "cosine_restarts needs a period of at least one update and a period_factor of at least 1",
                      s->period < 1 ? (double)s->period : s->period_factor, "give schedule.period");
    if (s->kind == NACRE_SCHEDULE_CYCLIC && (s->step_up < 1 || s->step_down < 0))
        return refuse(context, "cyclic needs a rise (step_up) of at least one update",
                      (double)(s->step_up < 1 ? s->step_up : s->step_down), "usual are 2 to 10 epochs");
    if (s->kind == NACRE_SCHEDULE_WSD && !(s->decay_fraction >= 0 && s->decay_fraction <= 1))
        return refuse(context, "decay_fraction must lie between 0 and 1", s->decay_fraction, "usual is 0.2");
    return NACRE_OK;
}

nacre_status nacre_schedule_check(nacre_context *context, const nacre_schedule *schedule, int64_t total_steps)
{
    const nacre_schedule *s = schedule;
    if (total_steps <= 0)
        return refuse(context, "a run needs at least one update", (double)total_steps, "give it epochs and samples");
    if (!(s->base > 0) || isinf(s->base))
        return refuse(context, "the learning rate must be a positive number", s->base, "usual are 0.0001 to 1");
    if (!(s->min_rate >= 0))
        return refuse(context, "the smallest rate must not be negative", s->min_rate, "usual is 0");
    if (s->min_rate > s->base)
        return refuse(context, "the smallest rate lies above the learning rate", s->min_rate, "exchange them");
    if (s->base_momentum < 0 || s->base_momentum >= 1 || s->max_momentum < 0 || s->max_momentum >= 1)
        return refuse(context, "momentum must lie in [0, 1)", fmax(s->base_momentum, s->max_momentum),
                      "usual are 0.85 and 0.95");
    nacre_status status = check_gamma(context, s);
    if (status == NACRE_OK) status = check_milestones(context, s);
    if (status == NACRE_OK) status = check_lengths(context, s, total_steps);
    if (status == NACRE_OK && s->kind == NACRE_SCHEDULE_ONE_CYCLE)
        status = check_one_cycle(context, s, (double)total_steps);
    return status;
}

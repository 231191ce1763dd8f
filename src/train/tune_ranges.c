/* train/tune_ranges.c - ranges of settings: reading them, drawing from them, laying a grid over them. */
#include "train/tune.h"

#include <nacre/random.h>

#include <math.h>
#include <stdio.h>
#include <string.h>

enum { MOST_RANGES = 32, GRID_POINTS = 5, MOST_POINTS = 1000, MOST_TRIALS = 100000, DRAWS = 10000, VALUE_SIZE = 64 };

/* ---- reading ---- */

static nacre_status fail_range(nacre_context *context, const char *key, const char *text, const char *what)
{
    return nacre_fail(context, NACRE_ERROR_ARGUMENT,
                      "range %s=%s: %s; ranges are LOW..HIGH, LOW..HIGH:log and lists such as 32,64,128", key, text,
                      what);
}

static bool is_whole_text(const char *text)
{
    return !strpbrk(text, ".eE");
}

/* "low..high", already cut from its words. */
static nacre_status read_bounds(nacre_context *context, const char *whole, char *text, nacre_range *range)
{
    char *dots = strstr(text, "..");
    *dots = 0;
    const char *low = text, *high = dots + 2;
    if (!nacre_parse_number(low, &range->low) || !nacre_parse_number(high, &range->high))
        return fail_range(context, range->key, whole, "the ends must be numbers");
    if (!(range->low < range->high))
        return fail_range(context, range->key, whole, "the low end must be below the high end");
    if (range->logarithmic && range->low <= 0)
        return fail_range(context, range->key, whole, "a logarithmic range must lie above 0");
    if (!isfinite(range->high - range->low)) return fail_range(context, range->key, whole, "it is too wide");
    range->kind = is_whole_text(low) && is_whole_text(high) ? NACRE_RANGE_WHOLE : NACRE_RANGE_NUMBER;
    return NACRE_OK;
}

/* ":log", ":7", ":log:7" */
static nacre_status read_words(nacre_context *context, const char *whole, char *text, nacre_range *range)
{
    for (char *word; (word = strrchr(text, ':'));) {
        double points;
        if (!strcmp(word + 1, "log"))
            range->logarithmic = true;
        else if (nacre_parse_number(word + 1, &points) && points >= 2 && points <= MOST_POINTS &&
                 points == floor(points))
            range->points = (int)points;
        else
            return fail_range(context, range->key, whole, "after a colon there can be log or a number of points");
        *word = 0;
    }
    return NACRE_OK;
}

static nacre_status read_choices(nacre_context *context, nacre_pool *pool, const char *text, nacre_range *range)
{
    int count = 1;
    for (const char *at = text; *at; at++) count += *at == ',';
    const char **choices = nacre_pool_allocate(pool, (size_t)count * sizeof *choices);
    if (!choices) return NACRE_ERROR_MEMORY;
    range->kind = NACRE_RANGE_CHOICE;
    range->choices = choices;
    for (const char *at = text; count > 0; count--) {
        at += strspn(at, " \t");
        size_t size = strcspn(at, ","), kept = size;
        while (kept > 0 && strchr(" \t", at[kept - 1])) kept--;
        if (kept == 0) return fail_range(context, range->key, text, "a choice is empty");
        choices[range->choice_count] = nacre_pool_copy(pool, at, kept);
        if (!choices[range->choice_count]) return NACRE_ERROR_MEMORY;
        for (int i = 0; i < range->choice_count; i++)
            if (!strcmp(choices[i], choices[range->choice_count]))
                return fail_range(context, range->key, text, "a choice is there twice");
        range->choice_count++;
        at += size + 1;
    }
    return NACRE_OK;
}

static nacre_status read_range(nacre_context *context, nacre_pool *pool, const char *key, size_t key_size,
                               const char *text, nacre_range *range)
{
    *range = (nacre_range){.key = nacre_pool_copy(pool, key, key_size), .points = GRID_POINTS};
    char *copy = nacre_pool_copy(pool, text, strlen(text));
    if (!range->key || !copy) return NACRE_ERROR_MEMORY;
    if (key_size == 0 || !*text) return fail_range(context, range->key, text, "a key and its values are needed");
    if (!strstr(text, "..")) return read_choices(context, pool, text, range);
    nacre_status status = read_words(context, text, copy, range);
    return status ? status : read_bounds(context, text, copy, range);
}

static nacre_status add_range(nacre_context *context, nacre_tune_result *result, nacre_range *ranges, const char *key,
                              size_t key_size, const char *text)
{
    int index = 0; /* a later range replaces an earlier one of the same key */
    while (index < result->range_count &&
           (strlen(ranges[index].key) != key_size || strncmp(ranges[index].key, key, key_size) != 0))
        index++;
    if (index == MOST_RANGES)
        return nacre_fail(context, NACRE_ERROR_ARGUMENT, "at most %d ranges can be searched", MOST_RANGES);
    if (index == result->range_count) result->range_count++;
    return read_range(context, &result->pool, key, key_size, text, &ranges[index]);
}

nacre_status nc_read_ranges(nacre_context *context, const nacre_recipe *recipe, const char *const *more,
                            nacre_tune_result *result)
{
    nacre_range *ranges = nacre_pool_allocate(&result->pool, MOST_RANGES * sizeof *ranges);
    nacre_status status = ranges ? NACRE_OK : NACRE_ERROR_MEMORY;
    result->ranges = ranges;
    for (const nacre_setting *range = recipe->tune.ranges; range && range->name && !status; range++)
        status = add_range(context, result, ranges, range->name, strlen(range->name), range->text);
    for (; more && *more && !status; more++) {
        const char *equals = strchr(*more, '=');
        if (!equals)
            return nacre_fail(context, NACRE_ERROR_ARGUMENT,
                              "range '%s': expected KEY=RANGE, such as optimizer.learning_rate=1e-4..1e-1:log", *more);
        status = add_range(context, result, ranges, *more, (size_t)(equals - *more), equals + 1);
    }
    if (status == NACRE_OK && result->range_count == 0)
        return nacre_recipe_fail(recipe, "tune.ranges", NACRE_ERROR_ARGUMENT,
                                 "is missing: which keys are to be tried? Or give --range KEY=RANGE");
    return status;
}

/* ---- values ---- */

/* What stands at a share in [0, 1) of a range, or at point `index` of its grid: a choice, or printed into `text`. Whole
 * numbers as such, others with four digits: a recipe is to be read. */
static const char *value_at(const nacre_range *range, double share, char text[VALUE_SIZE])
{
    if (range->kind == NACRE_RANGE_CHOICE) {
        int index = (int)(share * range->choice_count);
        return range->choices[index < range->choice_count ? index : range->choice_count - 1];
    }
    bool whole = range->kind == NACRE_RANGE_WHOLE;
    double low = range->low, high = range->high + whole; /* each whole number has a stretch of its own */
    double value = range->logarithmic ? low * pow(high / low, share) : low + share * (high - low);
    if (whole)
        snprintf(text, VALUE_SIZE, "%.0f", fmin(floor(value), range->high));
    else
        snprintf(text, VALUE_SIZE, "%.4g", value);
    return text;
}

static const char *point_at(const nacre_range *range, int index, int points, char text[VALUE_SIZE])
{
    if (range->kind == NACRE_RANGE_CHOICE) return range->choices[index];
    double share = points > 1 ? (double)index / (points - 1) : 0;
    double value = range->logarithmic ? range->low * pow(range->high / range->low, share)
                                      : range->low + share * (range->high - range->low);
    snprintf(text, VALUE_SIZE, range->kind == NACRE_RANGE_WHOLE ? "%.0f" : "%.4g", value);
    return text;
}

double nc_range_position(const nacre_range *range, const char *value)
{
    double number = 0;
    if (range->kind != NACRE_RANGE_CHOICE) return nacre_parse_number(value, &number) ? number : NAN;
    for (int i = 0; i < range->choice_count; i++)
        if (!strcmp(range->choices[i], value)) return i;
    return NAN;
}

/* How many different values there are; INFINITY for numbers. */
static double value_count(const nacre_range *range)
{
    return range->kind == NACRE_RANGE_CHOICE  ? range->choice_count
           : range->kind == NACRE_RANGE_WHOLE ? range->high - range->low + 1
                                              : INFINITY;
}

static int grid_points(const nacre_range *range)
{
    if (range->kind == NACRE_RANGE_CHOICE) return range->choice_count;
    return (int)fmin(value_count(range), range->points);
}

/* ---- trials ---- */

static bool is_drawn(const nacre_tune_result *result, const char *const *values, int64_t before)
{
    for (int64_t t = 0; t < before; t++) {
        bool same = true;
        for (int r = 0; same && r < result->range_count; r++) same = !strcmp(values[r], result->trials[t].values[r]);
        if (same) return true;
    }
    return false;
}

static nacre_status keep_values(nacre_tune_result *result, int64_t index, const char *const *values)
{
    const char **kept = nacre_pool_allocate(&result->pool, (size_t)result->range_count * sizeof *kept);
    for (int r = 0; kept && r < result->range_count; r++) {
        kept[r] = nacre_pool_copy(&result->pool, values[r], strlen(values[r]));
        if (!kept[r]) return NACRE_ERROR_MEMORY;
    }
    result->trials[index].values = kept;
    return kept ? NACRE_OK : NACRE_ERROR_MEMORY;
}

/* Trial `index` is a function of seed and index, but for draws that came before and are passed over. */
static nacre_status draw_trial(nacre_tune_result *result, uint64_t seed, int64_t index)
{
    const char *values[MOST_RANGES];
    char texts[MOST_RANGES][VALUE_SIZE];
    for (uint32_t draw = 0; draw < DRAWS; draw++) {
        for (int r = 0; r < result->range_count; r++) {
            uint32_t bits[4];
            nacre_philox((uint32_t[]){(uint32_t)seed, (uint32_t)(seed >> 32)},
                         (uint32_t[]){(uint32_t)index, (uint32_t)r, draw, 0x7e57}, bits);
            values[r] = value_at(&result->ranges[r], (double)nacre_uniform(bits[0]), texts[r]);
        }
        if (!is_drawn(result, values, index)) break;
    }
    return keep_values(result, index, values);
}

/* The last range changes fastest. */
static nacre_status lay_grid_point(nacre_tune_result *result, int64_t index)
{
    const char *values[MOST_RANGES];
    char texts[MOST_RANGES][VALUE_SIZE];
    int64_t rest = index;
    for (int r = result->range_count - 1; r >= 0; r--) {
        int points = grid_points(&result->ranges[r]);
        values[r] = point_at(&result->ranges[r], (int)(rest % points), points, texts[r]);
        rest /= points;
    }
    return keep_values(result, index, values);
}

static double count_trials(const nacre_recipe *recipe, const nacre_tune_result *result, bool grid)
{
    double all = 1, wanted = (double)recipe->tune.trials;
    for (int r = 0; r < result->range_count; r++)
        all *= grid ? grid_points(&result->ranges[r]) : value_count(&result->ranges[r]);
    return grid || all < wanted ? all : wanted;
}

/* A mistake in any of the settings is found before the first training. */
static nacre_status check_trials(nacre_context *context, const nacre_recipe *recipe, const nacre_tune_result *result)
{
    for (int64_t t = 0; t < result->trial_count; t++) {
        nacre_recipe *tried = nc_recipe_of_trial(context, recipe, result, t);
        if (!tried) return nacre_check(context);
        nacre_recipe_destroy(tried);
    }
    return NACRE_OK;
}

nacre_status nc_choose_trials(nacre_context *context, const nacre_recipe *recipe, nacre_tune_result *result)
{
    bool grid = !strcmp(recipe->tune.method, "grid");
    double count = count_trials(recipe, result, grid);
    if (count > MOST_TRIALS)
        return nacre_fail(context, NACRE_ERROR_ARGUMENT,
                          "the grid has %.0f points, at most %d can be tried; give fewer per range (LOW..HIGH:3)",
                          count, MOST_TRIALS);
    result->trial_count = (int64_t)count;
    result->trials = nacre_pool_allocate(&result->pool, (size_t)result->trial_count * sizeof *result->trials);
    if (!result->trials) return NACRE_ERROR_MEMORY;
    nacre_status status = NACRE_OK;
    for (int64_t t = 0; t < result->trial_count && !status; t++) {
        result->trials[t].value = NAN;
        status = grid ? lay_grid_point(result, t) : draw_trial(result, (uint64_t)recipe->tune.seed, t);
    }
    return status ? status : check_trials(context, recipe, result);
}

nacre_recipe *nc_recipe_of_trial(nacre_context *context, const nacre_recipe *recipe, const nacre_tune_result *result,
                                 int64_t trial)
{
    const char *settings[MOST_RANGES + 1] = {0};
    nacre_buffer texts[MOST_RANGES];
    bool complete = true;
    for (int r = 0; r < result->range_count; r++) {
        texts[r] = nacre_buffer_create(context);
        nacre_buffer_print(&texts[r], "%s=%s", result->ranges[r].key, result->trials[trial].values[r]);
        settings[r] = texts[r].data;
        complete &= !texts[r].failed;
    }
    nacre_recipe *tried = complete ? nacre_recipe_copy(recipe, settings) : NULL;
    for (int r = 0; r < result->range_count; r++) nacre_buffer_destroy(&texts[r]);
    return tried;
}

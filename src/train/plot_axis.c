/* train/plot_axis.c - scales and their ticks: steps of 1, 2 or 5 times a power of ten. */
#include "train/plot.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

bool nc_can_show(double value, bool logarithmic)
{
    return fabs(value) < 1e300 && (!logarithmic || value > 1e-300);
}

void nc_range_add(nc_range *range, double value, bool logarithmic)
{
    if (!nc_can_show(value, logarithmic)) return;
    if (fabs(value) < 1e-300) value = 0; /* steps between such numbers would have no digits */
    range->low = fmin(range->low, value);
    range->high = fmax(range->high, value);
}

/* The smallest of 1, 2, 5, 10 times a power of ten that is not below `value`. */
static double nice_above(double value)
{
    double power = pow(10, floor(log10(value) + 1e-9)), factor = value / power;
    return power * (factor <= 1 + 1e-9 ? 1 : factor <= 2 + 1e-9 ? 2 : factor <= 5 + 1e-9 ? 5 : 10);
}

static double nice_below(double value)
{
    double above = nice_above(value);
    if (above <= value * (1 + 1e-9)) return above;
    double power = pow(10, floor(log10(value) + 1e-9));
    return above / power > 7 ? 5 * power : above / power > 3 ? 2 * power : power;
}

/* Room around a range that is a single value, so that it can be shown in the middle. */
static nc_range widen(nc_range range, const nacre_axis *axis)
{
    if (range.low > range.high) return axis->logarithmic ? (nc_range){0.1, 1} : (nc_range){0, 1};
    double largest = fmax(fabs(range.low), fabs(range.high));
    double least = axis->logarithmic ? 1e-3 * largest : axis->whole ? 1e-6 : 1e-12 * largest;
    if (range.high - range.low > least) return range;
    if (axis->logarithmic) return (nc_range){range.low / 2, range.high * 2};
    double around = axis->whole ? fmax(1, 1e-6 * largest) : largest > 0 ? 0.1 * largest : 1;
    return (nc_range){range.low - around, range.high + around};
}

static void put_tick(nc_scale *scale, double value)
{
    double slack = 1e-9 * (scale->high - scale->low);
    bool inside = value >= scale->low - slack && value <= scale->high + slack;
    if (inside && scale->tick_count < NC_MOST_TICKS) scale->ticks[scale->tick_count++] = value;
}

static void make_linear(nc_scale *scale, const nacre_axis *axis, int want, bool rounded)
{
    double step = nice_above((scale->high - scale->low) / want);
    if (axis->whole) step = fmax(step, 1);
    if (rounded) {
        scale->low = floor(scale->low / step + 1e-9) * step;
        scale->high = ceil(scale->high / step - 1e-9) * step;
    }
    scale->step = step;
    double first = ceil(scale->low / step - 1e-9), count = floor(scale->high / step + 1e-9) - first;
    for (double i = 0; i <= count && scale->tick_count < NC_MOST_TICKS; i++) put_tick(scale, (first + i) * step);
}

/* Ticks at 1, 2, 5 of each decade while there is room, else at decades, else at every n-th. */
static void make_logarithmic(nc_scale *scale, int want, bool rounded)
{
    if (rounded) {
        scale->low = nice_below(scale->low);
        scale->high = nice_above(scale->high);
    }
    int first = (int)floor(log10(scale->low) + 1e-9), last = (int)ceil(log10(scale->high) - 1e-9);
    int decades = last - first, every = (decades + want - 1) / want;
    if (every < 1) every = 1;
    bool fine = 3 * log10(scale->high / scale->low) <= 2 * want;
    for (int decade = first; decade <= last; decade += every) {
        put_tick(scale, pow(10, decade));
        if (!fine) continue;
        put_tick(scale, 2 * pow(10, decade));
        put_tick(scale, 5 * pow(10, decade));
    }
}

nc_scale nc_scale_make(const nacre_axis *axis, nc_range range, int want, bool rounded)
{
    bool given = axis->low < axis->high && nc_can_show(axis->low, axis->logarithmic) &&
                 nc_can_show(axis->high, axis->logarithmic);
    if (given) range = (nc_range){axis->low, axis->high};
    range = widen(range, axis);
    nc_scale scale = {.low = range.low, .high = range.high, .logarithmic = axis->logarithmic, .percent = axis->percent};
    if (axis->logarithmic)
        make_logarithmic(&scale, want, rounded && !given);
    else
        make_linear(&scale, axis, want, rounded && !given);
    return scale;
}

double nc_scale_map(const nc_scale *scale, double value)
{
    double low = scale->low, high = scale->high;
    value = fmin(fmax(value, low), high);
    double share = scale->logarithmic ? log(value / low) / log(high / low) : (value - low) / (high - low);
    return scale->from + share * (scale->to - scale->from);
}

/* 10⁻³, 2×10⁵ */
static void put_power(char text[NACRE_NUMBER_SIZE], double value)
{
    static const char *const superscripts[] = {"⁰", "¹", "²", "³", "⁴", "⁵", "⁶", "⁷", "⁸", "⁹"};
    int exponent = (int)floor(log10(fabs(value)) + 1e-9);
    double factor = value / pow(10, exponent);
    char digits[16];
    int length = snprintf(digits, sizeof digits, "%d", exponent), used = 0;
    if (fabs(factor - 1) > 1e-6) used = snprintf(text, NACRE_NUMBER_SIZE, "%.3g×", factor);
    used += snprintf(text + used, (size_t)(NACRE_NUMBER_SIZE - used), "10");
    for (int i = 0; i < length; i++)
        used += snprintf(text + used, (size_t)(NACRE_NUMBER_SIZE - used), "%s",
                         digits[i] == '-' ? "⁻" : superscripts[digits[i] - '0']);
}

char *nc_tick_text(char text[NACRE_NUMBER_SIZE], const nc_scale *scale, double value)
{
    double step = scale->step, largest = fmax(fabs(scale->low), fabs(scale->high));
    if (!scale->logarithmic && fabs(value) < 1e-9 * step) value = 0; /* what rounding left of zero */
    if (scale->percent) {
        value *= 100;
        step *= 100;
        largest *= 100;
    }
    if (scale->logarithmic) step = fabs(value);
    bool tiny = step < 0.99e-4, huge = largest >= 1e6 || (scale->logarithmic && fabs(value) >= 1e5);
    if (value != 0 && (tiny || huge)) {
        put_power(text, value);
        return text;
    }
    const char *unit = "";
    if (largest >= 1e4 && fabs(value) >= 1000) {
        value /= 1000;
        step /= 1000;
        unit = "k";
    }
    int decimals = value == 0 ? 0 : (int)fmin(fmax(-floor(log10(step) + 1e-9), 0), 6);
    snprintf(text, NACRE_NUMBER_SIZE, "%.*f%s%s", decimals, value, unit, scale->percent ? " %" : "");
    return text;
}

/* train/spread.c - means and standard deviations over seeds, folds and trials. */
#include <nacre/select.h>

#include <math.h>
#include <stdio.h>

nacre_spread nacre_spread_of(const double *values, int64_t count)
{
    nacre_spread spread = {0};
    double squares = 0; /* of distances from the mean so far: Welford 1962 */
    for (int64_t i = 0; i < count; i++) {
        if (!isfinite(values[i])) continue;
        double distance = values[i] - spread.mean;
        spread.count++;
        spread.mean += distance / (double)spread.count;
        squares += distance * (values[i] - spread.mean);
    }
    if (spread.count > 1) spread.deviation = sqrt(squares / (double)(spread.count - 1));
    if (spread.count == 0) spread.mean = NAN;
    return spread;
}

/* Two digits of the deviation, and the mean to the same place. */
char *nacre_text_spread(char text[NACRE_SPREAD_SIZE], nacre_spread spread)
{
    if (!(spread.deviation > 0) || spread.deviation > 1e9 || spread.deviation < 1e-6) {
        snprintf(text, NACRE_SPREAD_SIZE, spread.count > 1 ? "%.4g ± %.2g" : "%.4g", spread.mean, spread.deviation);
        return text;
    }
    int places = (int)fmax(1 - floor(log10(spread.deviation)), 0);
    snprintf(text, NACRE_SPREAD_SIZE, "%.*f ± %.*f", places, spread.mean, places, spread.deviation);
    return text;
}

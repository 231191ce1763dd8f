/* train/schedule.c - learning rates as functions of the step. */
#include <nacre/train.h>

#include <math.h>

double nacre_schedule_rate(const nacre_schedule *schedule, int64_t step, int64_t total_steps)
{
    const double pi = 3.14159265358979323846;
    double gamma = schedule->gamma != 0 ? schedule->gamma : 0.1;
    if (step < schedule->warmup_steps)
        return schedule->base * (double)(step + 1) / (double)(schedule->warmup_steps + 1);
    int64_t after = step - schedule->warmup_steps, length = total_steps - schedule->warmup_steps;
    switch (schedule->kind) {
    case NACRE_SCHEDULE_CONSTANT: break;
    case NACRE_SCHEDULE_STEP:
        return schedule->step_size > 0 ? schedule->base * pow(gamma, (double)(after / schedule->step_size))
                                       : schedule->base;
    case NACRE_SCHEDULE_COSINE: {
        double part = length > 0 ? fmin((double)after / (double)length, 1) : 1;
        return schedule->min_rate + (schedule->base - schedule->min_rate) * (1 + cos(pi * part)) / 2;
    }
    }
    return schedule->base;
}

/* train/metrics.c - accumulators for figures of merit, alone and in sets by name. */
#include <nacre/io.h>
#include <nacre/metrics.h>

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* ---- means and regression ---- */

void nacre_running_mean_add(nacre_running_mean *mean, double value, double weight)
{
    mean->sum += value * weight;
    mean->weight += weight;
}

double nacre_running_mean_value(const nacre_running_mean *mean)
{
    return mean->weight > 0 ? mean->sum / mean->weight : NAN;
}

void nacre_regression_add(nacre_regression *regression, double predicted, double target)
{
    double error = predicted - target;
    regression->count++;
    regression->absolute += fabs(error);
    regression->squared += error * error;
    double distance = target - regression->target_mean;
    regression->target_mean += distance / (double)regression->count;
    regression->target_spread += distance * (target - regression->target_mean);
}

double nacre_regression_mse(const nacre_regression *regression)
{
    return regression->count ? regression->squared / (double)regression->count : NAN;
}

double nacre_regression_rmse(const nacre_regression *regression)
{
    return sqrt(nacre_regression_mse(regression));
}

double nacre_regression_mae(const nacre_regression *regression)
{
    return regression->count ? regression->absolute / (double)regression->count : NAN;
}

double nacre_regression_r2(const nacre_regression *regression)
{
    return regression->target_spread > 0 ? 1 - regression->squared / regression->target_spread : NAN;
}

/* ---- confusion ---- */

struct nacre_confusion {
    nacre_context *context;
    int64_t classes, total;
    int64_t *rights, *truths, *predictions; /* per class: the diagonal, row sums, column sums */
    int64_t *cells;                         /* [truth][predicted]; NULL beyond MOST_CELL_CLASSES */
};

/* A vocabulary is a set of classes too, and its square would not fit into memory. */
enum { MOST_CLASSES = 1 << 24, MOST_CELL_CLASSES = 2048 };

static size_t cell_count(int64_t classes)
{
    return classes <= MOST_CELL_CLASSES ? (size_t)(classes * classes) : 0;
}

nacre_confusion *nacre_confusion_create(nacre_context *context, int64_t classes)
{
    if (classes < 1 || classes > MOST_CLASSES) {
        nacre_fail(context, NACRE_ERROR_ARGUMENT, "confusion matrix: %lld classes, expected 1 to %d",
                   (long long)classes, MOST_CLASSES);
        return NULL;
    }
    nacre_confusion *confusion = nacre_allocate(context, sizeof *confusion);
    if (!confusion) return NULL;
    *confusion = (nacre_confusion){.context = context, .classes = classes};
    size_t counts = 3 * (size_t)classes + cell_count(classes);
    confusion->rights = nacre_allocate(context, counts * sizeof *confusion->rights);
    if (!confusion->rights) {
        nacre_release(context, confusion);
        return NULL;
    }
    confusion->truths = confusion->rights + classes;
    confusion->predictions = confusion->truths + classes;
    confusion->cells = cell_count(classes) ? confusion->predictions + classes : NULL;
    return confusion;
}

void nacre_confusion_destroy(nacre_confusion *confusion)
{
    if (!confusion) return;
    nacre_release(confusion->context, confusion->rights);
    nacre_release(confusion->context, confusion);
}

void nacre_confusion_clear(nacre_confusion *confusion)
{
    if (!confusion) return;
    size_t counts = 3 * (size_t)confusion->classes + cell_count(confusion->classes);
    memset(confusion->rights, 0, counts * sizeof *confusion->rights);
    confusion->total = 0;
}

static bool is_class(const nacre_confusion *confusion, int64_t index)
{
    return confusion && index >= 0 && index < confusion->classes;
}

nacre_status nacre_confusion_add(nacre_confusion *confusion, int64_t truth, int64_t predicted)
{
    if (!confusion) return NACRE_ERROR_ARGUMENT;
    if (!is_class(confusion, truth) || !is_class(confusion, predicted))
        return nacre_fail(confusion->context, NACRE_ERROR_ARGUMENT,
                          "confusion matrix: class %lld predicted as %lld, expected 0 to %lld", (long long)truth,
                          (long long)predicted, (long long)confusion->classes - 1);
    if (confusion->cells) confusion->cells[truth * confusion->classes + predicted]++;
    confusion->rights[truth] += truth == predicted;
    confusion->truths[truth]++;
    confusion->predictions[predicted]++;
    confusion->total++;
    return NACRE_OK;
}

int64_t nacre_confusion_classes(const nacre_confusion *confusion)
{
    return confusion ? confusion->classes : 0;
}

int64_t nacre_confusion_total(const nacre_confusion *confusion)
{
    return confusion ? confusion->total : 0;
}

int64_t nacre_confusion_count(const nacre_confusion *confusion, int64_t truth, int64_t predicted)
{
    if (!is_class(confusion, truth) || !is_class(confusion, predicted)) return 0;
    if (truth == predicted) return confusion->rights[truth];
    return confusion->cells ? confusion->cells[truth * confusion->classes + predicted] : -1;
}

static int64_t count_right(const nacre_confusion *confusion)
{
    int64_t right = 0;
    for (int64_t i = 0; i < confusion->classes; i++) right += confusion->rights[i];
    return right;
}

double nacre_confusion_accuracy(const nacre_confusion *confusion)
{
    if (!confusion || confusion->total == 0) return NAN;
    return (double)count_right(confusion) / (double)confusion->total;
}

static double ratio(double part, double whole)
{
    return whole > 0 ? part / whole : 0;
}

nacre_class_scores nacre_confusion_class(const nacre_confusion *confusion, int64_t index)
{
    if (!is_class(confusion, index)) return (nacre_class_scores){0};
    double right = (double)confusion->rights[index];
    double truths = (double)confusion->truths[index], predictions = (double)confusion->predictions[index];
    return (nacre_class_scores){.support = confusion->truths[index],
                                .precision = ratio(right, predictions),
                                .recall = ratio(right, truths),
                                .f1 = ratio(2 * right, truths + predictions)};
}

nacre_class_scores nacre_confusion_average(const nacre_confusion *confusion, nacre_average average)
{
    if (!confusion || confusion->total == 0) return (nacre_class_scores){0, NAN, NAN, NAN};
    if (average == NACRE_AVERAGE_MICRO) {
        double accuracy = nacre_confusion_accuracy(confusion);
        return (nacre_class_scores){confusion->total, accuracy, accuracy, accuracy};
    }
    nacre_running_mean precision = {0}, recall = {0}, f1 = {0};
    for (int64_t i = 0; i < confusion->classes; i++) {
        bool occurs = confusion->truths[i] + confusion->predictions[i] > 0;
        nacre_class_scores scores = nacre_confusion_class(confusion, i);
        double weight = average == NACRE_AVERAGE_WEIGHTED ? (double)scores.support : occurs;
        nacre_running_mean_add(&precision, scores.precision, weight);
        nacre_running_mean_add(&recall, scores.recall, weight);
        nacre_running_mean_add(&f1, scores.f1, weight);
    }
    return (nacre_class_scores){confusion->total, nacre_running_mean_value(&precision),
                                nacre_running_mean_value(&recall), nacre_running_mean_value(&f1)};
}

/* Mean recall over the classes that have samples; classes that were only predicted have no recall. */
static double balanced_accuracy(const nacre_confusion *confusion)
{
    nacre_running_mean recall = {0};
    for (int64_t i = 0; i < confusion->classes; i++)
        nacre_running_mean_add(&recall, nacre_confusion_class(confusion, i).recall, confusion->truths[i] > 0);
    return nacre_running_mean_value(&recall);
}

int64_t nacre_best_class(const float *scores, int64_t count)
{
    int64_t best = count > 0 ? 0 : -1;
    for (int64_t i = 0; i < count; i++) {
        if (isnan(scores[i])) return -1;
        if (scores[i] > scores[best]) best = i;
    }
    return best;
}

/* ---- ranking ---- */

typedef struct scored {
    double score;
    bool positive;
} scored;

struct nacre_roc {
    nacre_context *context;
    scored *samples;
    int64_t count, capacity, positives;
};

nacre_roc *nacre_roc_create(nacre_context *context)
{
    nacre_roc *roc = nacre_allocate(context, sizeof *roc);
    if (roc) roc->context = context;
    return roc;
}

void nacre_roc_destroy(nacre_roc *roc)
{
    if (!roc) return;
    nacre_release(roc->context, roc->samples);
    nacre_release(roc->context, roc);
}

void nacre_roc_clear(nacre_roc *roc)
{
    if (roc) roc->count = roc->positives = 0;
}

nacre_status nacre_roc_add(nacre_roc *roc, double score, bool positive)
{
    if (!roc) return NACRE_ERROR_ARGUMENT;
    if (isnan(score)) return nacre_fail(roc->context, NACRE_ERROR_NUMERIC, "roc_auc: a score is NaN");
    if (roc->count == roc->capacity) {
        int64_t capacity = roc->capacity ? 2 * roc->capacity : 256;
        scored *samples = nacre_resize(roc->context, roc->samples, (size_t)capacity * sizeof *samples);
        if (!samples) return NACRE_ERROR_MEMORY;
        roc->samples = samples;
        roc->capacity = capacity;
    }
    roc->samples[roc->count++] = (scored){score, positive};
    roc->positives += positive;
    return NACRE_OK;
}

static int by_score(const void *a, const void *b)
{
    double x = ((const scored *)a)->score, y = ((const scored *)b)->score;
    return (x > y) - (x < y);
}

/* Sum of the positives' ranks, equal scores sharing the mean of theirs; from it the Mann-Whitney statistic. */
double nacre_roc_area(nacre_roc *roc)
{
    if (!roc || roc->positives == 0 || roc->positives == roc->count) return NAN;
    qsort(roc->samples, (size_t)roc->count, sizeof *roc->samples, by_score);
    double ranks = 0;
    for (int64_t first = 0, last; first < roc->count; first = last) {
        int64_t positives = 0;
        for (last = first; last < roc->count && roc->samples[last].score == roc->samples[first].score; last++)
            positives += roc->samples[last].positive;
        ranks += (double)positives * (double)(first + 1 + last) / 2;
    }
    double positives = (double)roc->positives, negatives = (double)(roc->count - roc->positives);
    return (ranks - positives * (positives + 1) / 2) / (positives * negatives);
}

/* ---- sets by name ---- */

typedef enum metric_kind {
#define METRIC_MEMBER(name, targets, higher, doc) METRIC_##name,
    NACRE_METRIC_TABLE(METRIC_MEMBER)
#undef METRIC_MEMBER
        METRIC_top
} metric_kind;

typedef enum target_kind { TARGET_CLASSES, TARGET_VALUES } target_kind;

static const char *const metric_names[] = {
#define METRIC_NAME(name, targets, higher, doc) #name,
    NACRE_METRIC_TABLE(METRIC_NAME)
#undef METRIC_NAME
        NULL};

static const struct {
    target_kind targets;
    bool higher_is_better;
} metric_traits[] = {
#define METRIC_TRAITS(name, targets, higher, doc) {TARGET_##targets, higher},
    NACRE_METRIC_TABLE(METRIC_TRAITS)
#undef METRIC_TRAITS
        {TARGET_CLASSES, true}};

typedef struct metric {
    char *name;
    metric_kind kind;
    int64_t top;  /* K of topK */
    int64_t hits; /* samples whose true class is among the K best */
} metric;

struct nacre_metrics {
    nacre_context *context;
    metric *items;
    int count;
    target_kind targets;
    int64_t columns, samples;
    nacre_confusion *confusion; /* for classes */
    nacre_regression regression;
    nacre_roc **rocs; /* for roc_auc: one, or one per class if there are more than two */
    int64_t roc_count;
};

/* K of "topK", 0 for other names. */
static int64_t parse_top(const char *name)
{
    if (strncmp(name, "top", 3) != 0 || name[3] < '1' || name[3] > '9') return 0;
    char *end;
    long long top = strtoll(name + 3, &end, 10);
    return *end == 0 && top <= MOST_CLASSES ? top : 0;
}

/* -1: there is no such metric. */
static int find_metric(const char *name)
{
    for (int i = 0; metric_names[i]; i++)
        if (strcmp(name, metric_names[i]) == 0) return i;
    return parse_top(name) ? METRIC_top : -1;
}

bool nacre_metric_higher_is_better(const char *name)
{
    int kind = name ? find_metric(name) : -1;
    return kind >= 0 && metric_traits[kind].higher_is_better;
}

static int64_t class_count(const nacre_metrics *metrics)
{
    return metrics->columns == 1 ? 2 : metrics->columns;
}

static nacre_status add_metric(nacre_metrics *metrics, const char *name)
{
    nacre_context *context = metrics->context;
    int kind = find_metric(name);
    if (kind < 0) {
        const char *nearest = nacre_nearest(name, metric_names);
        return nacre_fail(context, NACRE_ERROR_ARGUMENT, "unknown metric '%s'%s%s%s", name,
                          nearest ? ", did you mean '" : "", nearest ? nearest : "", nearest ? "'?" : "");
    }
    target_kind targets = metric_traits[kind].targets;
    if (metrics->count == 0) metrics->targets = targets;
    if (targets != metrics->targets)
        return nacre_fail(context, NACRE_ERROR_ARGUMENT,
                          "metrics '%s' and '%s' cannot be mixed: one compares classes, "
                          "the other values",
                          metrics->items[0].name, name);
    bool of_class_1 = kind == METRIC_precision || kind == METRIC_recall || kind == METRIC_f1;
    if (of_class_1 && class_count(metrics) != 2)
        return nacre_fail(context, NACRE_ERROR_ARGUMENT,
                          "metric '%s' is for two classes, there are %lld: take "
                          "'%s_macro' or '%s_micro'",
                          name, (long long)class_count(metrics), name, name);
    metric *item = &metrics->items[metrics->count];
    *item = (metric){.name = nacre_duplicate(context, name), .kind = (metric_kind)kind, .top = parse_top(name)};
    if (!item->name) return NACRE_ERROR_MEMORY;
    metrics->count++;
    return NACRE_OK;
}

static bool has_metric(const nacre_metrics *metrics, metric_kind kind)
{
    for (int i = 0; i < metrics->count; i++)
        if (metrics->items[i].kind == kind) return true;
    return false;
}

static nacre_status create_counters(nacre_metrics *metrics)
{
    if (metrics->targets == TARGET_VALUES) return NACRE_OK;
    metrics->confusion = nacre_confusion_create(metrics->context, class_count(metrics));
    if (!metrics->confusion) return nacre_check(metrics->context);
    if (!has_metric(metrics, METRIC_roc_auc)) return NACRE_OK;

    int64_t count = class_count(metrics) == 2 ? 1 : class_count(metrics);
    metrics->rocs = nacre_allocate(metrics->context, (size_t)count * sizeof(nacre_roc *));
    if (!metrics->rocs) return NACRE_ERROR_MEMORY;
    for (; metrics->roc_count < count; metrics->roc_count++) {
        metrics->rocs[metrics->roc_count] = nacre_roc_create(metrics->context);
        if (!metrics->rocs[metrics->roc_count]) return NACRE_ERROR_MEMORY;
    }
    return NACRE_OK;
}

nacre_metrics *nacre_metrics_create(nacre_context *context, const char *const *names, int count, int64_t columns)
{
    if (count < 0 || (count > 0 && !names) || columns < 1) {
        nacre_fail(context, NACRE_ERROR_ARGUMENT, "metrics: %d names and %lld output columns", count,
                   (long long)columns);
        return NULL;
    }
    nacre_metrics *metrics = nacre_allocate(context, sizeof *metrics);
    if (!metrics) return NULL;
    *metrics = (nacre_metrics){.context = context, .columns = columns};
    metrics->items = nacre_allocate(context, (size_t)count * sizeof *metrics->items);
    nacre_status status = metrics->items ? NACRE_OK : NACRE_ERROR_MEMORY;
    for (int i = 0; i < count && !status; i++) status = add_metric(metrics, names[i]);
    if (!status) status = create_counters(metrics);
    if (!status) return metrics;
    nacre_metrics_destroy(metrics);
    return NULL;
}

void nacre_metrics_destroy(nacre_metrics *metrics)
{
    if (!metrics) return;
    nacre_context *context = metrics->context;
    for (int i = 0; i < metrics->count; i++) nacre_release(context, metrics->items[i].name);
    for (int64_t i = 0; i < metrics->roc_count; i++) nacre_roc_destroy(metrics->rocs[i]);
    nacre_release(context, metrics->rocs);
    nacre_release(context, metrics->items);
    nacre_confusion_destroy(metrics->confusion);
    nacre_release(context, metrics);
}

void nacre_metrics_clear(nacre_metrics *metrics)
{
    if (!metrics) return;
    for (int i = 0; i < metrics->count; i++) metrics->items[i].hits = 0;
    for (int64_t i = 0; i < metrics->roc_count; i++) nacre_roc_clear(metrics->rocs[i]);
    nacre_confusion_clear(metrics->confusion);
    metrics->regression = (nacre_regression){0};
    metrics->samples = 0;
}

/* How many classes come before the true one; among equals the lower index comes first, as in nacre_best_class. */
static int64_t rank_of(const float *scores, int64_t classes, int64_t truth)
{
    int64_t rank = 0;
    for (int64_t i = 0; i < classes; i++)
        rank += scores[i] > scores[truth] || (scores[i] == scores[truth] && i < truth);
    return rank;
}

static nacre_status add_class(nacre_metrics *metrics, const float *scores, int64_t truth, int64_t predicted)
{
    int64_t columns = metrics->columns;
    /* One logit z stands for the scores (0, z). */
    float two[2] = {0, scores[0]};
    const float *row = columns == 1 ? two : scores;
    for (int i = 0; i < metrics->count; i++)
        if (metrics->items[i].kind == METRIC_top)
            metrics->items[i].hits += rank_of(row, class_count(metrics), truth) < metrics->items[i].top;
    for (int64_t i = 0; i < metrics->roc_count; i++) {
        bool binary = metrics->roc_count == 1;
        double score = binary ? (double)row[1] - (double)row[0] : (double)row[i];
        nacre_status status = nacre_roc_add(metrics->rocs[i], score, truth == (binary ? 1 : i));
        if (status) return status;
    }
    metrics->samples++;
    return nacre_confusion_add(metrics->confusion, truth, predicted);
}

static nacre_status add_classes(nacre_metrics *metrics, const float *outputs, nacre_dtype dtype, const void *targets,
                                int64_t samples)
{
    int64_t columns = metrics->columns, classes = class_count(metrics);
    for (int64_t i = 0; i < samples; i++) {
        const float *row = outputs + i * columns;
        int64_t predicted = nacre_best_class(row, columns);
        if (predicted < 0)
            return nacre_fail(metrics->context, NACRE_ERROR_NUMERIC,
                              "metrics: sample %lld of the batch has a NaN score", (long long)i);
        if (columns == 1) predicted = row[0] > 0;
        double label = nacre_dtype_load(dtype, targets, i);
        if (!(label >= 0 && label < (double)classes) || label != floor(label))
            return nacre_fail(metrics->context, NACRE_ERROR_ARGUMENT,
                              "metrics: sample %lld of the batch has label %g, expected a whole number from 0 to %lld",
                              (long long)i, label, (long long)classes - 1);
        nacre_status status = add_class(metrics, row, (int64_t)label, predicted);
        if (status) return status;
    }
    return NACRE_OK;
}

static nacre_status add_values(nacre_metrics *metrics, const float *outputs, nacre_dtype dtype, const void *targets,
                               int64_t samples)
{
    for (int64_t i = 0; i < samples * metrics->columns; i++) {
        if (isnan(outputs[i]))
            return nacre_fail(metrics->context, NACRE_ERROR_NUMERIC,
                              "metrics: sample %lld of the batch has a NaN output", (long long)(i / metrics->columns));
        nacre_regression_add(&metrics->regression, (double)outputs[i], nacre_dtype_load(dtype, targets, i));
    }
    metrics->samples += samples;
    return NACRE_OK;
}

nacre_status nacre_metrics_add(nacre_metrics *metrics, const float *outputs, nacre_dtype target_dtype,
                               const void *targets, int64_t samples)
{
    if (!metrics) return NACRE_ERROR_ARGUMENT;
    return (metrics->targets == TARGET_VALUES ? add_values : add_classes)(metrics, outputs, target_dtype, targets,
                                                                          samples);
}

int nacre_metrics_count(const nacre_metrics *metrics)
{
    return metrics ? metrics->count : 0;
}

const char *nacre_metrics_name(const nacre_metrics *metrics, int index)
{
    return index >= 0 && index < nacre_metrics_count(metrics) ? metrics->items[index].name : NULL;
}

static double mean_roc_area(nacre_metrics *metrics)
{
    nacre_running_mean area = {0};
    for (int64_t i = 0; i < metrics->roc_count; i++) nacre_running_mean_add(&area, nacre_roc_area(metrics->rocs[i]), 1);
    return nacre_running_mean_value(&area);
}

double nacre_metrics_value(nacre_metrics *metrics, int index)
{
    if (index < 0 || index >= nacre_metrics_count(metrics) || metrics->samples == 0) return NAN;
    const nacre_confusion *confusion = metrics->confusion;
    const nacre_regression *regression = &metrics->regression;
    switch (metrics->items[index].kind) {
    case METRIC_accuracy: return nacre_confusion_accuracy(confusion);
    case METRIC_balanced_accuracy: return balanced_accuracy(confusion);
    case METRIC_precision: return nacre_confusion_class(confusion, 1).precision;
    case METRIC_recall: return nacre_confusion_class(confusion, 1).recall;
    case METRIC_f1: return nacre_confusion_class(confusion, 1).f1;
    case METRIC_precision_macro: return nacre_confusion_average(confusion, NACRE_AVERAGE_MACRO).precision;
    case METRIC_recall_macro: return nacre_confusion_average(confusion, NACRE_AVERAGE_MACRO).recall;
    case METRIC_f1_macro: return nacre_confusion_average(confusion, NACRE_AVERAGE_MACRO).f1;
    case METRIC_precision_micro: return nacre_confusion_average(confusion, NACRE_AVERAGE_MICRO).precision;
    case METRIC_recall_micro: return nacre_confusion_average(confusion, NACRE_AVERAGE_MICRO).recall;
    case METRIC_f1_micro: return nacre_confusion_average(confusion, NACRE_AVERAGE_MICRO).f1;
    case METRIC_roc_auc: return mean_roc_area(metrics);
    case METRIC_mse: return nacre_regression_mse(regression);
    case METRIC_rmse: return nacre_regression_rmse(regression);
    case METRIC_mae: return nacre_regression_mae(regression);
    case METRIC_r2: return nacre_regression_r2(regression);
    case METRIC_top: return (double)metrics->items[index].hits / (double)metrics->samples;
    }
    return NAN;
}

const nacre_confusion *nacre_metrics_confusion(const nacre_metrics *metrics)
{
    return metrics ? metrics->confusion : NULL;
}

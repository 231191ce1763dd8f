/* metrics.h - how good a model is, counted batch by batch.
 *
 * Two layers. Below: small accumulators that can be used alone (means, regression errors, confusion matrices, the
 * area under the ROC curve). Above: a nacre_metrics set that recipes fill by name ("accuracy", "f1_macro", ...) and
 * that is fed with raw model outputs.
 *
 *     const char *names[] = {"accuracy", "top5", "f1_macro"};
 *     nacre_metrics *m = nacre_metrics_create(ctx, names, 3, 10);
 *     for each batch: nacre_metrics_add(m, logits, NACRE_I64, labels, samples);
 *     printf("%.4f\n", nacre_metrics_value(m, 0));
 *     nacre_metrics_destroy(m);
 *
 * Everything accumulates in double or in whole numbers, so neither the size nor the order of the batches changes
 * a count. A figure that is not defined (nothing was added; the area under the curve with one class only) is NaN.
 * Definitions and edge cases are those of scikit-learn unless said otherwise.
 */
#ifndef NACRE_METRICS_H
#define NACRE_METRICS_H

#include <nacre/base.h>
#ifdef __cplusplus
extern "C" {
#endif

/* ---- means ----------------------------------------------------------------------------------------------------- */

/* Zero-initialise. The loss of a data set is the mean of its batches' losses weighted by their samples: the last
 * batch is usually smaller. */
typedef struct nacre_running_mean {
    double sum, weight;
} nacre_running_mean;

NACRE_API void nacre_running_mean_add(nacre_running_mean *mean, double value, double weight);
NACRE_API double nacre_running_mean_value(const nacre_running_mean *mean);

/* ---- regression ------------------------------------------------------------------------------------------------ */

/* Zero-initialise; read with the functions below. The target's spread follows Welford, so that R2 survives targets
 * far from zero. */
typedef struct nacre_regression {
    int64_t count;
    double absolute, squared;          /* sums of |error| and error^2 */
    double target_mean, target_spread; /* mean, and the sum of squared distances from it */
} nacre_regression;

NACRE_API void nacre_regression_add(nacre_regression *regression, double predicted, double target);
NACRE_API double nacre_regression_mse(const nacre_regression *regression);
NACRE_API double nacre_regression_rmse(const nacre_regression *regression);
NACRE_API double nacre_regression_mae(const nacre_regression *regression);
/* 1 - squared error / spread of the targets; NaN if all targets are equal. */
NACRE_API double nacre_regression_r2(const nacre_regression *regression);

/* ---- classes --------------------------------------------------------------------------------------------------- */

/* How often which class was taken for which, for 1 to 2^24 classes. Beyond 2048 of them only the diagonal and the
 * sums are kept, which is all that the scores need. */
typedef struct nacre_confusion nacre_confusion;
NACRE_API nacre_confusion *nacre_confusion_create(nacre_context *context, int64_t classes);
NACRE_API void nacre_confusion_destroy(nacre_confusion *confusion);
NACRE_API void nacre_confusion_clear(nacre_confusion *confusion);
/* Counts one sample. A class outside 0..classes-1 is NACRE_ERROR_ARGUMENT. */
NACRE_API nacre_status nacre_confusion_add(nacre_confusion *confusion, int64_t truth, int64_t predicted);
NACRE_API int64_t nacre_confusion_classes(const nacre_confusion *confusion); /* 0 for NULL */
NACRE_API int64_t nacre_confusion_total(const nacre_confusion *confusion);
/* 0 for classes out of range, -1 for a pair that is not kept. */
NACRE_API int64_t nacre_confusion_count(const nacre_confusion *confusion, int64_t truth, int64_t predicted);
NACRE_API double nacre_confusion_accuracy(const nacre_confusion *confusion);

/* Precision is right / predicted as the class, recall right / truly of the class, F1 their harmonic mean. Each is
 * 0 where its denominator is 0. */
typedef struct nacre_class_scores {
    int64_t support; /* samples truly of the class (of all classes, for averages) */
    double precision, recall, f1;
} nacre_class_scores;

/* Macro: the plain mean over the classes that occur as truth or prediction. Micro: from the summed counts (equals
 * the accuracy). Weighted: the mean weighted by support. */
typedef enum nacre_average { NACRE_AVERAGE_MACRO, NACRE_AVERAGE_MICRO, NACRE_AVERAGE_WEIGHTED } nacre_average;

NACRE_API nacre_class_scores nacre_confusion_class(const nacre_confusion *confusion, int64_t index);
NACRE_API nacre_class_scores nacre_confusion_average(const nacre_confusion *confusion, nacre_average average);

/* The index of the largest score, the first of equals; -1 if one of them is NaN or there is none. */
NACRE_API int64_t nacre_best_class(const float *scores, int64_t count);

/* ---- ranking --------------------------------------------------------------------------------------------------- */

/* Area under the receiver operating characteristic: the chance that a positive sample scores higher than a
 * negative one, ties counting one half (Mann and Whitney). Keeps every score: 16 bytes a sample. */
typedef struct nacre_roc nacre_roc;
NACRE_API nacre_roc *nacre_roc_create(nacre_context *context);
NACRE_API void nacre_roc_destroy(nacre_roc *roc);
NACRE_API void nacre_roc_clear(nacre_roc *roc);
NACRE_API nacre_status nacre_roc_add(nacre_roc *roc, double score, bool positive); /* NaN: NACRE_ERROR_NUMERIC */
NACRE_API double nacre_roc_area(nacre_roc *roc);

/* ---- sets by name ---------------------------------------------------------------------------------------------- */

/* X(name, what the targets are, higher is better, doc). Besides these there is topK for any K >= 1: "top5". */
#define NACRE_METRIC_TABLE(X)                                                                                          \
    X(accuracy, CLASSES, true, "share of samples whose highest score is the true class")                               \
    X(balanced_accuracy, CLASSES, true, "mean recall over the classes that occur")                                     \
    X(precision, CLASSES, true, "of class 1, for two classes")                                                         \
    X(recall, CLASSES, true, "of class 1, for two classes")                                                            \
    X(f1, CLASSES, true, "of class 1, for two classes")                                                                \
    X(precision_macro, CLASSES, true, "mean over classes")                                                             \
    X(recall_macro, CLASSES, true, "mean over classes")                                                                \
    X(f1_macro, CLASSES, true, "mean over classes")                                                                    \
    X(precision_micro, CLASSES, true, "from summed counts")                                                            \
    X(recall_micro, CLASSES, true, "from summed counts")                                                               \
    X(f1_micro, CLASSES, true, "from summed counts")                                                                   \
    X(roc_auc, CLASSES, true, "area under the ROC curve; mean of one class against the rest for more than two")        \
    X(mse, VALUES, false, "mean squared error")                                                                        \
    X(rmse, VALUES, false, "root of the mean squared error")                                                           \
    X(mae, VALUES, false, "mean absolute error")                                                                       \
    X(r2, VALUES, true, "coefficient of determination")

typedef struct nacre_metrics nacre_metrics;

/* `columns` is the width of the model's output per sample. For classes it is their number; 1 means two classes
 * told apart by one logit, positive for class 1. For values it is the numbers predicted per sample. A name that
 * does not exist, a set that mixes classes and values, or a name that does not fit the columns ("f1" for ten
 * classes) is NACRE_ERROR_ARGUMENT, with the nearest name in the message. */
NACRE_API nacre_metrics *nacre_metrics_create(nacre_context *context, const char *const *names, int count,
                                              int64_t columns);
NACRE_API void nacre_metrics_destroy(nacre_metrics *metrics);
NACRE_API void nacre_metrics_clear(nacre_metrics *metrics); /* for the next pass over the data */

/* One batch. `outputs` is [samples, columns]: logits, probabilities or anything that grows with them. `targets` is
 * [samples] whole class numbers for classes, [samples, columns] for values, of any dtype. A label outside the
 * classes is NACRE_ERROR_ARGUMENT, a NaN output NACRE_ERROR_NUMERIC; both name the sample of the batch. */
NACRE_API nacre_status nacre_metrics_add(nacre_metrics *metrics, const float *outputs, nacre_dtype target_dtype,
                                         const void *targets, int64_t samples);
NACRE_API int nacre_metrics_count(const nacre_metrics *metrics);
NACRE_API const char *nacre_metrics_name(const nacre_metrics *metrics, int index); /* NULL out of range */
NACRE_API double nacre_metrics_value(nacre_metrics *metrics, int index);
/* What was counted, for reports; NULL for sets of values. Belongs to the set. */
NACRE_API const nacre_confusion *nacre_metrics_confusion(const nacre_metrics *metrics);
/* Whether larger is better; losses and errors, and names that are unknown: false. */
NACRE_API bool nacre_metric_higher_is_better(const char *name);

#ifdef __cplusplus
}
#endif

#endif

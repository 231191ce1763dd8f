/* advise.h - what a data set and a recipe ask for: a survey, families of models, pilots, a diagnosis, a proposal.
 *
 *     nacre_advice advice;
 *     if (nacre_advise(ctx, recipe, "data", "runs/advice", NULL, &advice) == NACRE_OK)
 *         printf("%s: %s\n", nacre_diagnosis_name(advice.diagnosis), advice.reason);
 *     nacre_advice_release(&advice);
 *
 * Nothing here is a black box: every threshold and every rule is a named constant or a sentence with its source.
 */
#ifndef NACRE_ADVISE_H
#define NACRE_ADVISE_H

#include <nacre/select.h>

#ifdef __cplusplus
extern "C" {
#endif

/* ---- the data ---------------------------------------------------------------------------------------------------- */

typedef enum nacre_data_kind {
    NACRE_DATA_PICTURES,  /* [C, H, W] */
    NACRE_DATA_TABLE,     /* [columns] */
    NACRE_DATA_SEQUENCES, /* [steps, channels] of numbers */
    NACRE_DATA_TEXT       /* [steps] of whole numbers: tokens */
} nacre_data_kind;
NACRE_API const char *nacre_data_kind_name(nacre_data_kind kind); /* "pictures", "a table", ... */

typedef struct nacre_survey {
    nacre_data_kind kind;
    int64_t samples, looked_at;        /* values: from at most 2,000 samples, evenly spread; of text all */
    nacre_field input;                 /* of the first sample */
    bool same_size;                    /* pictures: all that were looked at */
    bool regression;                   /* numbers are to be predicted, not classes */
    int classes;                       /* that occur */
    int64_t smallest, largest;         /* samples of the rarest and of the most frequent class */
    int64_t missing, missing_samples;  /* values that are NaN, and in how many samples */
    int64_t constant;                  /* columns (tables) that never change */
    int64_t shortest, median, longest; /* sequences and text: steps until only zeros follow */
    double low, high;                  /* of all values */
    int64_t vocabulary;                /* text: the largest token + 1 */
} nacre_survey;
NACRE_API nacre_status nacre_survey_data(nacre_dataset *dataset, nacre_survey *survey);

/* A family of models that suits the data, and why; NULL names end the list. `here` says how Nacre has it. */
typedef struct nacre_family {
    const char *name, *here, *reason;
} nacre_family;
#define NACRE_MOST_FAMILIES 4
NACRE_API void nacre_suggest_families(const nacre_survey *survey, nacre_family families[NACRE_MOST_FAMILIES + 1]);

/* How many weights: from one for ten samples (Baum and Haussler 1989: a net of W weights needs about W / error samples
 * to do as well on new data; here for an error of 0.1) to ten times the 2 N + d with which a net can learn any labels
 * of N samples of d numbers by heart (Zhang, Bengio, Hardt, Recht, Vinyals 2017, theorem 1). */
typedef struct nacre_capacity {
    int64_t low, high;
} nacre_capacity;
NACRE_API nacre_capacity nacre_suggest_capacity(const nacre_survey *survey);

/* A recipe to begin with for data without one, as YAML; `source` as in data.source. */
NACRE_API nacre_status nacre_suggest_recipe(nacre_context *context, const nacre_survey *survey, const char *source,
                                            nacre_buffer *yaml);

/* ---- pilots ------------------------------------------------------------------------------------------------------ */

/* A short training, repeated over folds. Errors are shares: of wrong classes, or of the targets' variance that is left
 * (1 - R2). All are measured without dropout or random transforms, with the last weights. */
typedef struct nacre_pilot {
    const char *name; /* "as the recipe says", "weight decay 0.1", ... */
    double fraction;  /* of the training samples */
    double capacity;  /* value of the capacity parameter, NaN: there is none */
    int64_t samples;  /* trained on, in each fold */
    int64_t parameters;
    nacre_spread train_error, validation_error, train_loss, validation_loss;
    const double *losses; /* validation loss of each fold */
    double gap_growth;    /* by how much validation loss - training loss grew from the first epoch to the last, while
                             the training loss fell; 0: it did not, or training loss did not fall */
    double fall;          /* the share of its first epoch's training loss that was gone in the last */
    double seconds;
    bool failed; /* the loss was no number */
} nacre_pilot;

typedef enum nacre_diagnosis {
    NACRE_FITS,
    NACRE_UNDERFITS,
    NACRE_OVERFITS,
    NACRE_RATE_FAULT, /* the learning rate is too small or too large to learn anything */
    NACRE_DATA_FAULT  /* no rate and no capacity learns anything that holds for other samples */
} nacre_diagnosis;
NACRE_API const char *nacre_diagnosis_name(nacre_diagnosis diagnosis); /* "underfitting", ... */

/* The rules, in their order, with `chance` the error of always answering the most frequent class (1 for numbers):
 *   fault      training and validation error are both above NACRE_NEAR_CHANCE of chance, or training failed; a rate
 *              fault if another rate gets below. A validation error there at every capacity is a fault of the data.
 *   overfit    the gap validation - training error is above NACRE_WIDE_GAP of chance and twice its standard error, more
 *              than the training error itself, and grew while the training loss fell
 *   underfit   the training error is above NACRE_HIGH_ERROR of chance, more than the gap, and a larger model (where
 *              capacity can be changed) has a lower validation error by more than the standard error
 *   fits       otherwise */
#define NACRE_NEAR_CHANCE 0.9
#define NACRE_WIDE_GAP    0.03
#define NACRE_HIGH_ERROR  0.15
/* NACRE_DATA_FAULT stands for either fault here: only pilots tell them apart. `larger` NULL: not known. */
NACRE_API nacre_diagnosis nacre_diagnose(const nacre_pilot *pilot, const nacre_pilot *larger, double chance);

/* ---- advice ------------------------------------------------------------------------------------------------------ */

/* Something that was tried against the diagnosis, as settings for the recipe. */
typedef struct nacre_remedy {
    const char *const *settings; /* "optimizer.weight_decay=0.1", ended by NULL */
    nacre_pilot pilot;
    nacre_spread gain; /* validation loss without it - with it, fold by fold */
} nacre_remedy;

typedef struct nacre_advice {
    nacre_survey survey;
    nacre_family families[NACRE_MOST_FAMILIES + 1];
    nacre_capacity capacity;
    const char *capacity_key; /* "model.parameters.hidden"; NULL: the model has no such parameter */
    double chance;
    int folds;
    const nacre_pilot *base;      /* the recipe on all training samples; among both lists below */
    const nacre_pilot *fractions; /* 10, 33, 55, 78 and 100 % of the samples, with as many updates each */
    int fraction_count;
    const nacre_pilot *capacities; /* from small to large */
    int capacity_count;
    const nacre_remedy *remedies;
    int remedy_count;
    const nacre_remedy *proposal; /* the remedy that helped most; NULL: none did, or none is needed */
    nacre_diagnosis diagnosis;
    const char *reason;       /* the figures that led to it, in a sentence */
    const char *const *notes; /* further findings, ended by NULL */
    int64_t pilots;           /* trainings, all folds counted */
    double seconds;
    bool out_of_time, cancelled;
    char *report_path, *json_path, *learning_path, *capacity_path; /* NULL: not written */
    nacre_pool pool;                                               /* holds all of this */
} nacre_advice;

typedef struct nacre_advise_options {
    int64_t samples; /* at most so many of the training samples are used; 0: 3000 */
    int folds;       /* 0: 3 */
    double seconds;  /* no pilot begins, and one that goes on is given up, after so long; 0: 300 */
    /* After each batch; `total` is how many trainings there will be, as far as is known. false stops. */
    bool (*listen)(void *user, int64_t training, int64_t total, const nacre_fit_event *event);
    void *listen_user;
} nacre_advise_options;

/* Surveys the training samples, trains the recipe on folds of them, on fractions and at other capacities, makes the
 * diagnosis, tries what could help, and writes advice.json, report.html, learning.png and capacity.png into `output`
 * (NULL: the recipe's or runs/NAME, and -advice). The test part is not looked at. What was begun is a function of the
 * recipe's seeds, unless time runs out. */
NACRE_API nacre_status nacre_advise(nacre_context *context, const nacre_recipe *recipe, const char *data_folder,
                                    const char *output, const nacre_advise_options *options, nacre_advice *advice);
NACRE_API void nacre_advice_release(nacre_advice *advice);

#ifdef __cplusplus
}
#endif

#endif

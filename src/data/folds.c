/* data/folds.c - cross-validation, and groups of samples that stay together. */
#include "data/dataset.h"

#include <stdlib.h>
#include <string.h>

enum { FOLD_STREAM = 16 }; /* of the random order; the parts of splits have those below */

/* ---- groups ---- */

static int compare_numbers(const void *a, const void *b)
{
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return x < y ? -1 : x > y;
}

/* Groups of a view, numbered from 0 without gaps in the order of their own numbers; `ids` has one per sample. Returns
 * how many there are, -1 without memory. */
static int64_t number_groups(const nacre_dataset *dataset, int64_t *ids)
{
    nacre_context *context = nacre_dataset_context(dataset);
    int64_t count = nacre_dataset_count(dataset), distinct = 0;
    int64_t *sorted = nacre_allocate(context, (size_t)(count ? count : 1) * sizeof *sorted);
    if (!sorted) return -1;
    for (int64_t i = 0; i < count; i++) sorted[i] = nacre_dataset_group(dataset, i);
    qsort(sorted, (size_t)count, sizeof *sorted, compare_numbers);
    for (int64_t i = 0; i < count; i++)
        if (i == 0 || sorted[i] != sorted[distinct - 1]) sorted[distinct++] = sorted[i];
    for (int64_t i = 0; i < count; i++) {
        int64_t group = nacre_dataset_group(dataset, i);
        const int64_t *found = bsearch(&group, sorted, (size_t)distinct, sizeof *sorted, compare_numbers);
        ids[i] = found - sorted;
    }
    nacre_release(context, sorted);
    return distinct;
}

nacre_status nc_draw_groups(const nacre_dataset *dataset, uint8_t *marks, nacre_part part, double share, uint64_t seed)
{
    nacre_context *context = nacre_dataset_context(dataset);
    int64_t count = nacre_dataset_count(dataset), left = 0, groups;
    int64_t *ids = nacre_allocate(context, (size_t)count * sizeof *ids), *order = NULL, *sizes = NULL;
    groups = ids ? number_groups(dataset, ids) : -1;
    if (groups >= 0) order = nacre_allocate(context, (size_t)(groups + 1) * sizeof *order);
    if (order) sizes = nacre_allocate(context, (size_t)(groups + 1) * sizeof *sizes);
    if (sizes) {
        for (int64_t i = 0; i < count; i++)
            if (marks[i] == NACRE_TRAIN) {
                sizes[ids[i]]++;
                left++;
            }
        left = (int64_t)((double)left * share + 0.5);
        nc_shuffle(order, groups, seed, part);
        for (int64_t g = 0; g < groups; g++) { /* from here on a size of 0 says: not drawn */
            int64_t size = sizes[order[g]];
            if (left <= 0) sizes[order[g]] = 0;
            left -= size;
        }
        for (int64_t i = 0; i < count; i++)
            if (marks[i] == NACRE_TRAIN && sizes[ids[i]] > 0) marks[i] = (uint8_t)part;
    }
    bool done = sizes != NULL;
    nacre_release(context, ids);
    nacre_release(context, order);
    nacre_release(context, sizes);
    return done ? NACRE_OK : NACRE_ERROR_MEMORY;
}

/* ---- folds ---- */

/* A dealing: the fold of each sample, and what it takes to find it. */
typedef struct dealing {
    const nacre_dataset *dataset;
    const nacre_fold_options *options;
    nacre_pool pool;
    int64_t count, *folds;
    int classes; /* strata; samples of unknown class are the last, and without strata all are */
} dealing;

static int stratum_of(const dealing *deal, int64_t index)
{
    int64_t label = deal->classes > 1 ? nacre_dataset_label(deal->dataset, index) : -1;
    return label >= 0 && label < deal->classes - 1 ? (int)label : deal->classes - 1;
}

static int64_t *numbers(dealing *deal, int64_t count)
{
    return nacre_pool_allocate(&deal->pool, (size_t)(count ? count : 1) * sizeof(int64_t));
}

/* How many samples each stratum has. */
static int64_t *count_strata(dealing *deal)
{
    int64_t *sizes = numbers(deal, deal->classes);
    for (int64_t i = 0; sizes && i < deal->count; i++) sizes[stratum_of(deal, i)]++;
    return sizes;
}

/* As cards are dealt: class by class in random order, each going on where the one before has ended, so that neither
 * the folds nor the classes within them differ by more than one sample. */
static bool deal_samples(dealing *deal)
{
    int64_t *order = numbers(deal, deal->count), *starts = count_strata(deal), *sorted = numbers(deal, deal->count);
    if (!order || !starts || !sorted) return false;
    int64_t at = 0;
    for (int c = 0; c < deal->classes; c++) {
        int64_t size = starts[c];
        starts[c] = at;
        at += size;
    }
    nc_shuffle(order, deal->count, deal->options->seed, FOLD_STREAM);
    for (int64_t i = 0; i < deal->count; i++) sorted[starts[stratum_of(deal, order[i])]++] = order[i];
    for (int64_t i = 0; i < deal->count; i++) deal->folds[sorted[i]] = i % deal->options->count;
    return true;
}

static void cut_blocks(dealing *deal)
{
    int64_t blocks = deal->options->count + 1;
    for (int64_t i = 0; i < deal->count; i++) deal->folds[i] = i * blocks / deal->count - 1; /* the first: -1 */
}

/* Samples sorted by group: those of group g are members[starts[g]] to members[starts[g + 1] - 1]. */
typedef struct grouping {
    int64_t count, *starts, *members;
} grouping;

static bool sort_by_group(dealing *deal, grouping *groups)
{
    int64_t *ids = numbers(deal, deal->count);
    if (!ids || (groups->count = number_groups(deal->dataset, ids)) < 0) return false;
    groups->members = numbers(deal, deal->count);
    groups->starts = numbers(deal, groups->count + 1);
    int64_t *next = numbers(deal, groups->count + 1);
    if (!groups->members || !groups->starts || !next) return false;
    for (int64_t i = 0; i < deal->count; i++) groups->starts[ids[i] + 1]++;
    for (int64_t g = 0; g < groups->count; g++) next[g + 1] = groups->starts[g + 1] += groups->starts[g];
    for (int64_t i = 0; i < deal->count; i++) groups->members[next[ids[i]]++] = i;
    return true;
}

/* Groups in random order, the larger ones first. */
typedef struct ranked_group {
    int64_t size, rank, group;
} ranked_group;

static int compare_groups(const void *a, const void *b)
{
    const ranked_group *x = a, *y = b;
    if (x->size != y->size) return x->size > y->size ? -1 : 1;
    return x->rank < y->rank ? -1 : x->rank > y->rank;
}

static ranked_group *rank_groups(dealing *deal, const grouping *groups)
{
    ranked_group *ranked = nacre_pool_allocate(&deal->pool, (size_t)(groups->count + 1) * sizeof *ranked);
    int64_t *order = numbers(deal, groups->count);
    if (!ranked || !order) return NULL;
    nc_shuffle(order, groups->count, deal->options->seed, FOLD_STREAM);
    for (int64_t i = 0; i < groups->count; i++)
        ranked[i] = (ranked_group){groups->starts[order[i] + 1] - groups->starts[order[i]], i, order[i]};
    qsort(ranked, (size_t)groups->count, sizeof *ranked, compare_groups);
    return ranked;
}

/* Each group goes to the fold where the sum over strata and folds of (samples / samples of the stratum)^2 grows least,
 * which is least when all folds are alike. */
static bool deal_groups(dealing *deal, const grouping *groups)
{
    int folds = deal->options->count, classes = deal->classes;
    ranked_group *ranked = rank_groups(deal, groups);
    int64_t *sizes = count_strata(deal), *held = numbers(deal, (int64_t)folds * classes);
    int64_t *inside = numbers(deal, classes), *in_fold = numbers(deal, folds);
    if (!ranked || !sizes || !held || !inside || !in_fold) return false;
    for (int64_t r = 0; r < groups->count; r++) {
        int64_t group = ranked[r].group, begin = groups->starts[group], end = groups->starts[group + 1];
        memset(inside, 0, (size_t)classes * sizeof *inside);
        for (int64_t i = begin; i < end; i++) inside[stratum_of(deal, groups->members[i])]++;
        int best = 0;
        double least = 0;
        for (int f = 0; f < folds; f++) {
            double growth = 0;
            for (int c = 0; c < classes; c++) {
                double size = sizes[c] ? (double)sizes[c] : 1, more = (double)inside[c] / size;
                growth += more * (2 * (double)held[(int64_t)f * classes + c] / size + more);
            }
            bool tied = growth == least && in_fold[f] < in_fold[best];
            if (f == 0 || growth < least || tied) {
                best = f;
                least = growth;
            }
        }
        for (int c = 0; c < classes; c++) held[(int64_t)best * classes + c] += inside[c];
        for (int64_t i = begin; i < end; i++) deal->folds[groups->members[i]] = best;
        in_fold[best] += end - begin;
    }
    return true;
}

/* ---- what cannot be ---- */

static nacre_status check_options(const dealing *deal)
{
    const nacre_fold_options *options = deal->options;
    nacre_context *context = nacre_dataset_context(deal->dataset);
    const char *name = nacre_dataset_name(deal->dataset);
    if (options->count < 2)
        return nacre_fail(context, NACRE_ERROR_ARGUMENT, "%s: %d folds asked for, at least 2 are needed", name,
                          options->count);
    if (options->count + options->ordered > deal->count)
        return nacre_fail(context, NACRE_ERROR_ARGUMENT, "%s: %d folds asked for, but there are only %lld samples",
                          name, options->count, (long long)deal->count);
    if (options->stratified && nacre_dataset_classes(deal->dataset) == 0)
        return nacre_fail(context, NACRE_ERROR_ARGUMENT, "%s: stratified folds need classes, and there are none", name);
    if (options->ordered && nacre_dataset_has_groups(deal->dataset))
        return nacre_fail(context, NACRE_ERROR_ARGUMENT,
                          "%s: folds cannot follow the order of the samples and keep groups together", name);
    return NACRE_OK;
}

static nacre_status check_classes(dealing *deal)
{
    const int64_t *sizes = count_strata(deal);
    if (!sizes) return NACRE_ERROR_MEMORY;
    for (int c = 0; c + 1 < deal->classes; c++)
        if (sizes[c] > 0 && sizes[c] < deal->options->count)
            return nacre_fail(nacre_dataset_context(deal->dataset), NACRE_ERROR_ARGUMENT,
                              "%s: class \"%s\" has %lld sample%s, too few for %d stratified folds; take fewer folds, "
                              "or folds that are not stratified",
                              nacre_dataset_name(deal->dataset), nacre_dataset_class_name(deal->dataset, c),
                              (long long)sizes[c], sizes[c] == 1 ? "" : "s", deal->options->count);
    return NACRE_OK;
}

static nacre_status deal_all(dealing *deal)
{
    nacre_context *context = nacre_dataset_context(deal->dataset);
    grouping groups = {0};
    if (check_options(deal)) return nacre_check(context);
    if (!(deal->folds = numbers(deal, deal->count)) || check_classes(deal)) return nacre_check(context);
    if (deal->options->ordered) {
        cut_blocks(deal);
    } else if (!nacre_dataset_has_groups(deal->dataset)) {
        deal_samples(deal);
    } else if (sort_by_group(deal, &groups)) {
        if (groups.count < deal->options->count)
            return nacre_fail(context, NACRE_ERROR_ARGUMENT, "%s: %d folds asked for, but there are only %lld groups",
                              nacre_dataset_name(deal->dataset), deal->options->count, (long long)groups.count);
        deal_groups(deal, &groups);
    }
    return nacre_check(context);
}

nacre_dataset *nacre_dataset_fold(nacre_dataset *dataset, int fold, nacre_part part, const nacre_fold_options *options)
{
    static const nacre_fold_options DEFAULTS;
    if (!dataset) return NULL;
    nacre_context *context = nacre_dataset_context(dataset);
    dealing deal = {.dataset = dataset,
                    .options = options ? options : &DEFAULTS,
                    .pool = {.context = context},
                    .count = nacre_dataset_count(dataset)};
    deal.classes = deal.options->stratified && !deal.options->ordered ? nacre_dataset_classes(dataset) + 1 : 1;
    nacre_dataset *view = NULL;
    if (deal_all(&deal) == NACRE_OK && (fold < 0 || fold >= deal.options->count || part == NACRE_VALIDATION))
        nacre_fail(context, NACRE_ERROR_ARGUMENT, "%s: fold %d, %s part, asked for; there are %d, with train and test",
                   nacre_dataset_name(dataset), fold, nacre_part_name(part), deal.options->count);
    int64_t *chosen = nacre_check(context) ? NULL : numbers(&deal, deal.count), count = 0;
    for (int64_t i = 0; chosen && i < deal.count; i++) {
        bool held_out = deal.folds[i] == fold, later = deal.options->ordered && deal.folds[i] > fold;
        if (part == NACRE_ALL || (part == NACRE_TEST ? held_out : !held_out && !later)) chosen[count++] = i;
    }
    if (chosen) view = nacre_dataset_select(dataset, chosen, count);
    nacre_pool_destroy(&deal.pool);
    return view;
}

/* Folds: each sample held out once, classes and groups spread, the order of series kept; splits that keep groups
 * together; and what is refused.
 */
#include "numbers.h"

static nacre_context *ctx;

enum { MOST = 1000 };

/* Which fold holds out each sample; every sample is in one, and in the training part of all others. */
static void find_folds(nacre_dataset *all, const nacre_fold_options *options, int *folds)
{
    int64_t count = nacre_dataset_count(all);
    for (int64_t i = 0; i < count; i++) folds[i] = -1;
    for (int f = 0; f < options->count; f++) {
        nacre_dataset *held = nacre_dataset_fold(all, f, NACRE_TEST, options);
        nacre_dataset *train = nacre_dataset_fold(all, f, NACRE_TRAIN, options);
        NC_CHECK_INT(nacre_dataset_count(held) + nacre_dataset_count(train), count);
        for (int64_t i = 0; i < nacre_dataset_count(held); i++) {
            int64_t number = nc_number_at(held, i);
            NC_CHECK_INT(folds[number], -1);
            folds[number] = f;
        }
        for (int64_t i = 0; i < nacre_dataset_count(train); i++) NC_CHECK(folds[nc_number_at(train, i)] != f);
        nacre_dataset_destroy(held);
        nacre_dataset_destroy(train);
    }
    for (int64_t i = 0; i < count; i++) NC_CHECK(folds[i] >= 0);
}

static void each_sample_is_held_out_once(void)
{
    int folds[MOST], again[MOST], other[MOST], sizes[4] = {0};
    nacre_dataset *all = nc_make_numbers(ctx, 90, NULL, NULL);
    find_folds(all, &(nacre_fold_options){.count = 4, .seed = 3}, folds);
    find_folds(all, &(nacre_fold_options){.count = 4, .seed = 3}, again);
    find_folds(all, &(nacre_fold_options){.count = 4, .seed = 4}, other);
    for (int i = 0; i < 90; i++) sizes[folds[i]]++;
    for (int f = 0; f < 4; f++) NC_CHECK(sizes[f] == 22 || sizes[f] == 23);
    NC_CHECK(!memcmp(folds, again, 90 * sizeof *folds));
    NC_CHECK(memcmp(folds, other, 90 * sizeof *folds) != 0);
    find_folds(all, &(nacre_fold_options){.count = 90}, folds); /* leave one out */
    nacre_dataset_destroy(all);
    NC_CHECK_OK(ctx);
}

static void classes_are_spread(void)
{
    int64_t labels[103];
    int folds[MOST], sizes[5] = {0}, counts[5][3] = {{0}};
    for (int i = 0; i < 103; i++) labels[i] = i < 7 ? 0 : i < 40 ? 1 : 2;
    nacre_dataset *all = nc_make_numbers(ctx, 103, labels, NULL);
    find_folds(all, &(nacre_fold_options){.count = 5, .stratified = true, .seed = 1}, folds);
    for (int i = 0; i < 103; i++) counts[folds[i]][labels[i]]++, sizes[folds[i]]++;
    for (int f = 0; f < 5; f++) {
        NC_CHECK(sizes[f] == 20 || sizes[f] == 21);
        NC_CHECK(counts[f][0] == 1 || counts[f][0] == 2);
        NC_CHECK(counts[f][1] == 6 || counts[f][1] == 7);
        NC_CHECK(counts[f][2] == 12 || counts[f][2] == 13);
    }
    nacre_dataset_destroy(all);
    NC_CHECK_OK(ctx);
}

/* 40 groups of 1 to 9 samples; the numbers of groups have gaps. */
static int64_t make_groups(int64_t *groups, int64_t *labels)
{
    int64_t count = 0;
    for (int g = 0; g < 40; g++)
        for (int i = 0; i <= g % 9; i++, count++) {
            groups[count] = 1000 - 7 * g;
            labels[count] = g % 4 == 0 ? 0 : g % 3 == 0 ? 1 : 2;
        }
    return count;
}

static void groups_stay_together(void)
{
    int64_t groups[MOST], labels[MOST], count = make_groups(groups, labels);
    nacre_dataset *all = nc_make_numbers(ctx, count, labels, groups);
    for (int stratified = 0; stratified < 2; stratified++) {
        int folds[MOST], counts[4][3] = {{0}}, sizes[4] = {0}, totals[3] = {0};
        find_folds(all, &(nacre_fold_options){.count = 4, .stratified = stratified, .seed = 2}, folds);
        for (int64_t i = 1; i < count; i++) NC_CHECK(groups[i] != groups[i - 1] || folds[i] == folds[i - 1]);
        for (int64_t i = 0; i < count; i++) counts[folds[i]][labels[i]]++, sizes[folds[i]]++, totals[labels[i]]++;
        for (int f = 0; f < 4; f++) {
            NC_CHECK(sizes[f] >= count / 4 - 4 && sizes[f] <= count / 4 + 4);
            for (int c = 0; c < 3 && stratified; c++) NC_CHECK(fabs(counts[f][c] - totals[c] / 4.0) <= 4);
        }
    }
    nacre_dataset_destroy(all);
    NC_CHECK_OK(ctx);
}

static void splits_keep_groups_together(void)
{
    static const nacre_part PARTS[] = {NACRE_TRAIN, NACRE_VALIDATION, NACRE_TEST};
    int64_t groups[MOST], labels[MOST], count = make_groups(groups, labels), seen[1001] = {0}, total = 0;
    nacre_dataset *all = nc_make_numbers(ctx, count, labels, groups);
    for (int p = 0; p < 3; p++) {
        nacre_dataset *part =
            nacre_dataset_split(all, PARTS[p], &(nacre_split_options){.validation = 0.25, .test = 0.2, .seed = 5});
        int64_t size = nacre_dataset_count(part);
        total += size;
        if (p == 2) NC_CHECK(size >= count / 5 && size < count / 5 + 9);
        for (int64_t i = 0; i < size; i++) {
            int64_t group = nacre_dataset_group(part, i);
            NC_CHECK(seen[group] == 0 || seen[group] == p + 1);
            seen[group] = p + 1;
        }
        nacre_dataset_destroy(part);
    }
    NC_CHECK_INT(total, count);
    nacre_dataset_destroy(all);
    NC_CHECK_OK(ctx);
}

/* Each fold of a series trains on what lies before it. */
static void series_keep_their_order(void)
{
    nacre_dataset *all = nc_make_numbers(ctx, 50, NULL, NULL);
    int64_t end = 10;
    for (int f = 0; f < 4; f++) {
        nacre_fold_options options = {.count = 4, .ordered = true};
        nacre_dataset *train = nacre_dataset_fold(all, f, NACRE_TRAIN, &options);
        nacre_dataset *held = nacre_dataset_fold(all, f, NACRE_TEST, &options);
        NC_CHECK_INT(nacre_dataset_count(train), end);
        NC_CHECK_INT(nc_number_at(train, end - 1), end - 1);
        NC_CHECK_INT(nc_number_at(held, 0), end);
        end += nacre_dataset_count(held);
        nacre_dataset_destroy(train);
        nacre_dataset_destroy(held);
    }
    NC_CHECK_INT(end, 50);
    nacre_dataset_destroy(all);
    NC_CHECK_OK(ctx);
}

static void the_group_of_a_row(void)
{
    static const char *const TEXTS[] = {"who,x,class\nana,1,a\nbo,2,b\nana,3,b\n",
                                        "who,x,class\n7,1,a\n8.5,2,b\n7,3,b\n"};
    for (int t = 0; t < 2; t++) {
        nacre_table *table = nacre_table_decode(ctx, "t.csv", TEXTS[t], strlen(TEXTS[t]), NULL);
        nacre_dataset *all = nacre_dataset_from_table(ctx, table, &(nacre_dataset_options){.group = "who"});
        NC_CHECK_INT(nacre_dataset_field(all, 0)->shape.dims[0], 1); /* the group is no feature */
        NC_CHECK_INT(nacre_dataset_group(all, 0), 0);
        NC_CHECK_INT(nacre_dataset_group(all, 1), 1);
        NC_CHECK_INT(nacre_dataset_group(all, 2), 0);
        nacre_dataset_destroy(all);
    }
    NC_CHECK_OK(ctx);
}

static void open_text(const char *text, const char *group)
{
    nacre_file_write(ctx, nc_file("g.csv"), text, strlen(text));
    nacre_dataset_destroy(nacre_dataset_open(ctx, nc_file("g.csv"), &(nacre_dataset_options){.group = group}));
}

static void what_is_refused(void)
{
    static const int64_t LABELS[] = {0, 0, 1, 1, 1, 2, 2, 2}, GROUPS[] = {0, 0, 0, 0, 1, 1, 1, 1}, BAD[] = {0, -1};
    nacre_dataset *plain = nc_make_numbers(ctx, 8, NULL, NULL), *classes = nc_make_numbers(ctx, 8, LABELS, NULL);
    nacre_dataset *groups = nc_make_numbers(ctx, 8, NULL, GROUPS);
#define REFUSED(dataset, message, ...)                                                                                 \
    do {                                                                                                               \
        NC_CHECK(!nacre_dataset_fold(dataset, 0, NACRE_TRAIN, &(nacre_fold_options){__VA_ARGS__}));                    \
        NC_CHECK_FAILED(ctx, NACRE_ERROR_ARGUMENT, message);                                                           \
    } while (0)
    REFUSED(plain, "1 folds asked for, at least 2", .count = 1);
    REFUSED(plain, "9 folds asked for, but there are only 8 samples", .count = 9);
    REFUSED(plain, "8 folds asked for, but there are only 8 samples", .count = 8, .ordered = true);
    REFUSED(plain, "stratified folds need classes", .count = 2, .stratified = true);
    REFUSED(classes, "class \"a\" has 2 samples, too few for 3 stratified folds", .count = 3, .stratified = true);
    REFUSED(groups, "3 folds asked for, but there are only 2 groups", .count = 3);
    REFUSED(groups, "keep groups together", .count = 2, .ordered = true);
#undef REFUSED
    NC_CHECK(!nacre_dataset_fold(plain, 4, NACRE_TRAIN, &(nacre_fold_options){.count = 4}));
    NC_CHECK_FAILED(ctx, NACRE_ERROR_ARGUMENT, "fold 4, train part");
    NC_CHECK(!nc_make_numbers(ctx, 2, NULL, BAD));
    NC_CHECK_FAILED(ctx, NACRE_ERROR_ARGUMENT, "sample 1 has group -1");
    open_text("who,x,class\nana,1,a\n,2,b\n", "who");
    NC_CHECK_FAILED(ctx, NACRE_ERROR_FORMAT, "column 'who' is missing, and it says which rows belong together");
    open_text("who,x,class\nana,1,a\nbo,2,b\n", "wo");
    NC_CHECK_FAILED(ctx, NACRE_ERROR_NOT_FOUND, "who");
    open_text("who,x,class\nana,1,a\nbo,2,b\n", "class");
    NC_CHECK_FAILED(ctx, NACRE_ERROR_ARGUMENT, "cannot be both");
    NC_CHECK(!nacre_dataset_open(ctx, "glyphs", &(nacre_dataset_options){.group = "who"}));
    NC_CHECK_FAILED(ctx, NACRE_ERROR_ARGUMENT, "there is no column 'who' to group by");
    nacre_dataset_destroy(plain);
    nacre_dataset_destroy(classes);
    nacre_dataset_destroy(groups);
}

static bool fold_once(nacre_context *context, void *user)
{
    const int64_t *groups = user, *labels = groups + MOST;
    nacre_dataset *all = nc_make_numbers(context, 60, labels, groups);
    nacre_dataset *train =
        all ? nacre_dataset_fold(all, 1, NACRE_TRAIN, &(nacre_fold_options){.count = 3, .stratified = true}) : NULL;
    nacre_dataset *part =
        train ? nacre_dataset_split(train, NACRE_VALIDATION, &(nacre_split_options){.validation = 0.3, .test = -1})
              : NULL;
    bool done = part != NULL;
    nacre_dataset_destroy(part);
    nacre_dataset_destroy(train);
    nacre_dataset_destroy(all);
    return done;
}

static void memory_runs_out(void)
{
    static int64_t both[2 * MOST];
    make_groups(both, both + MOST);
    nc_fail_each_allocation(fold_once, both);
}

int main(void)
{
    ctx = nacre_context_create(&(nacre_context_options){.threads = 1});
    NC_RUN(each_sample_is_held_out_once);
    NC_RUN(classes_are_spread);
    NC_RUN(groups_stay_together);
    NC_RUN(splits_keep_groups_together);
    NC_RUN(series_keep_their_order);
    NC_RUN(the_group_of_a_row);
    NC_RUN(what_is_refused);
    NC_RUN(memory_runs_out);
    nacre_context_destroy(ctx);
    return nc_report();
}

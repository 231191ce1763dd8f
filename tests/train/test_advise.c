/* Advice: what a survey sees, the rules at their thresholds, and the diagnoses of prepared cases - two models that are
 * too small, two that are too large for 500 samples, a rate that learns nothing, labels that say nothing, and one that
 * fits - with proposals whose gain is measured.
 */
#include "runs.h"

#include <nacre/advise.h>

static nacre_context *ctx;

/* ---- data ---- */

static double number(uint32_t row, uint32_t column)
{
    uint32_t bits[4];
    float normal[2];
    nacre_philox((uint32_t[]){11, 4}, (uint32_t[]){row, column, 0, 0}, bits);
    nacre_normal(bits[0], bits[1], normal);
    return normal[0];
}

static void begin_table(nacre_buffer *text, int columns)
{
    for (int c = 0; c < columns; c++) nacre_buffer_print(text, "x%d,", c);
    nacre_buffer_print(text, "class\n");
}

static void write_table(nacre_buffer *text, const char *name)
{
    NC_CHECK(!text->failed);
    nacre_file_write(ctx, nc_file(name), text->data, text->size);
    nacre_buffer_destroy(text);
}

/* Three arms that wind around each other. */
static void write_spiral(void)
{
    nacre_buffer text = nacre_buffer_create(ctx);
    begin_table(&text, 2);
    for (uint32_t i = 0; i < 600; i++) {
        double radius = (i + 0.5) / 600, angle = 2.1 * (i % 3) + 4 * radius + 0.12 * number(i, 9);
        nacre_buffer_print(&text, "%.4f,%.4f,%c\n", radius * cos(angle), radius * sin(angle), 'a' + (int)(i % 3));
    }
    write_table(&text, "spiral.csv");
}

/* Twenty numbers, of which three tell the class but for one label in seven; or none does. */
static void write_noise(const char *name, bool related)
{
    nacre_buffer text = nacre_buffer_create(ctx);
    begin_table(&text, 20);
    for (uint32_t i = 0; i < 500; i++) {
        double sum = related ? number(i, 0) + number(i, 1) - number(i, 2) : number(i, 30);
        bool positive = (sum > 0) != (related && i % 7 == 0);
        for (uint32_t c = 0; c < 20; c++) nacre_buffer_print(&text, "%.4f,", number(i, c));
        nacre_buffer_print(&text, "%s\n", positive ? "yes" : "no");
    }
    write_table(&text, name);
}

/* 500 glyphs as the 64 numbers of a coarse picture: drawn once, for a table is read faster. */
static void write_glyphs(void)
{
    nacre_buffer text = nacre_buffer_create(ctx);
    nacre_dataset *glyphs = nacre_glyphs(ctx, 500, 1);
    nacre_dataset *train = nacre_dataset_split(glyphs, NACRE_TRAIN, NULL);
    nacre_transforms *steps = nacre_transforms_parse(ctx, "resize(8); scale(1/255)");
    nacre_loader *loader = nacre_loader_create(train, &(nacre_loader_options){.batch_size = 1, .transforms = steps});
    begin_table(&text, 64);
    for (const nacre_batch *batch; (batch = nacre_loader_next(loader));) {
        const float *pixels = batch->fields[0].data;
        for (int k = 0; k < 64; k++) nacre_buffer_print(&text, "%.3f,", (double)pixels[k]);
        nacre_buffer_print(&text, "d%d\n", (int)*(const int64_t *)batch->fields[1].data);
    }
    nacre_loader_destroy(loader);
    nacre_transforms_destroy(steps);
    nacre_dataset_destroy(train);
    nacre_dataset_destroy(glyphs);
    write_table(&text, "digits.csv");
}

/* ---- prepared cases ---- */

typedef struct prepared {
    const char *data, *parameters, *optimizer;
    int epochs;
    nacre_diagnosis diagnosis;
} prepared;

static bool advise_on(const prepared *given, const nacre_advise_options *options, nacre_advice *advice)
{
    char yaml[512];
    snprintf(yaml, sizeof yaml,
             "data: {%s, test: 0, workers: 0}\n"
             "model: {zoo: mlp, parameters: {%s}}\noptimizer: {%s}\nschedule: {name: cosine}\n"
             "training: {epochs: %d, batch_size: 32}\n",
             given->data, given->parameters, given->optimizer, given->epochs);
    nacre_recipe *recipe = nacre_recipe_parse(ctx, yaml, strlen(yaml), nc_file("case.yaml"), NULL);
    bool done =
        recipe && nacre_advise(ctx, recipe, getenv("NACRE_DATA"), nc_file("advice"), options, advice) == NACRE_OK;
    nacre_recipe_destroy(recipe);
    NC_CHECK_OK(ctx);
    return done;
}

/* The diagnosis is the expected one, and what is proposed has helped. */
static void check_case(const prepared *given)
{
    nacre_advice advice;
    if (!advise_on(given, NULL, &advice)) return;
    if (advice.diagnosis != given->diagnosis)
        NC_COMPLAIN("%s, %s is \"%s\" (%s), expected \"%s\"", given->data, given->parameters,
                    nacre_diagnosis_name(advice.diagnosis), advice.reason, nacre_diagnosis_name(given->diagnosis));
    const nacre_remedy *proposal = advice.proposal;
    bool wanted = given->diagnosis != NACRE_DATA_FAULT && given->diagnosis != NACRE_FITS;
    if (wanted != (proposal != NULL))
        NC_COMPLAIN("%s, %s: a proposal is %s", given->data, given->parameters, wanted ? "missing" : "there");
    if (proposal) {
        NC_CHECK(proposal->gain.mean > 0);
        NC_CHECK(proposal->pilot.validation_loss.mean < advice.base->validation_loss.mean);
        printf("%s, %s: %s, %s %s: validation loss %.3f -> %.3f, error %.1f -> %.1f %%\n", given->data,
               given->parameters, nacre_diagnosis_name(advice.diagnosis), proposal->settings[0],
               proposal->settings[1] ? proposal->settings[1] : "", advice.base->validation_loss.mean,
               proposal->pilot.validation_loss.mean, 100 * advice.base->validation_error.mean,
               100 * proposal->pilot.validation_error.mean);
    }
    bool regularised = given->diagnosis == NACRE_OVERFITS;
    if (regularised && proposal)
        NC_CHECK(strstr(proposal->settings[0], "weight_decay") || strstr(proposal->settings[0], "dropout"));
    nacre_advice_release(&advice);
}

#define ADAMW       "name: adamw, learning_rate: 0.003"
#define TABLE(name) "source: " name ", transforms: [standardise]"

static void prepared_cases(void)
{
    static const prepared CASES[] = {
        {TABLE("./digits.csv"), "hidden: 2, layers: 1", ADAMW, 20, NACRE_UNDERFITS},
        {TABLE("./spiral.csv"), "classes: 3, hidden: 2, layers: 1", "name: adamw, learning_rate: 0.01", 30,
         NACRE_UNDERFITS},
        {TABLE("./digits.csv"), "hidden: 256, layers: 2", ADAMW, 20, NACRE_OVERFITS},
        {TABLE("./noisy.csv"), "classes: 2, hidden: 128, layers: 2", ADAMW, 20, NACRE_OVERFITS},
        {TABLE("./digits.csv"), "hidden: 32, layers: 1", "name: sgd, learning_rate: 1e-7", 10, NACRE_RATE_FAULT},
        {TABLE("./random.csv"), "classes: 2, hidden: 8, layers: 1", ADAMW, 10, NACRE_DATA_FAULT},
        {TABLE("./spiral.csv"), "classes: 3, hidden: 32, layers: 2", "name: adamw, learning_rate: 0.01", 30,
         NACRE_FITS}};
    write_spiral();
    write_noise("noisy.csv", true);
    write_noise("random.csv", false);
    write_glyphs();
    for (size_t i = 0; i < sizeof CASES / sizeof *CASES; i++) check_case(&CASES[i]);
}

/* ---- cases of real data, which the rules were not made with ---- */

/* Each row of the table with the label of another one. */
static void write_exchanged(const char *folder)
{
    enum { STRIDE = 251 }; /* shares no factor with the number of rows */
    nacre_buffer text = nacre_buffer_create(ctx);
    nacre_dataset *table = nacre_dataset_open(ctx, "tabular_classics/wine", &(nacre_dataset_options){.folder = folder});
    nacre_loader *loader =
        nacre_loader_create(table, &(nacre_loader_options){.batch_size = (int)nacre_dataset_count(table)});
    const nacre_batch *batch = nacre_loader_next(loader);
    NC_REQUIRE(batch);
    const int columns = (int)batch->fields[0].shape.dims[1];
    const float *values = batch->fields[0].data;
    const int64_t *labels = batch->fields[1].data;
    begin_table(&text, columns);
    for (int64_t i = 0; i < batch->count; i++) {
        for (int c = 0; c < columns; c++) nacre_buffer_print(&text, "%.4f,", (double)values[i * columns + c]);
        nacre_buffer_print(&text, "k%d\n", (int)labels[(i * STRIDE + 97) % batch->count]);
    }
    nacre_loader_destroy(loader);
    nacre_dataset_destroy(table);
    write_table(&text, "exchanged.csv");
}

#define PICTURES(name, count)                                                                                          \
    "source: " name ", validation: 0, limit: " count ", transforms: [resize(14), scale(1/255)]"

static void real_cases(void)
{
    static const prepared CASES[] = {
        {PICTURES("mnist", "1000"), "hidden: 2, layers: 1", ADAMW, 20, NACRE_UNDERFITS},
        {PICTURES("fashion_mnist", "1000"), "hidden: 1, layers: 1", ADAMW, 20, NACRE_UNDERFITS},
        {PICTURES("mnist", "500"), "hidden: 256, layers: 2", ADAMW, 20, NACRE_OVERFITS},
        {TABLE("tabular_classics/adult, limit: 500"), "classes: 2, hidden: 128, layers: 2", ADAMW, 20, NACRE_OVERFITS},
        {TABLE("tabular_classics/wine"), "classes: 3, hidden: 32, layers: 1", ADAMW, 30, NACRE_FITS},
        {TABLE("occupancy, limit: 1500"), "classes: 2, hidden: 16, layers: 1", ADAMW, 20, NACRE_FITS},
        {PICTURES("fashion_mnist", "500"), "hidden: 64, layers: 1", "name: sgd, learning_rate: 1e-6", 10,
         NACRE_RATE_FAULT},
        {PICTURES("mnist", "500"), "hidden: 64, layers: 1", "name: adamw, learning_rate: 3", 10, NACRE_RATE_FAULT},
        {TABLE("./exchanged.csv"), "classes: 3, hidden: 8, layers: 1", ADAMW, 20, NACRE_DATA_FAULT}};
    const char *folder = getenv("NACRE_DATA");
    if (!folder || !*folder) return;
    write_exchanged(folder);
    for (size_t i = 0; i < sizeof CASES / sizeof *CASES; i++) check_case(&CASES[i]);
}

static void what_is_written(void)
{
    static const prepared GIVEN = {TABLE("./spiral.csv"), "classes: 3, hidden: 8, layers: 1",
                                   "name: adamw, learning_rate: 0.01", 3, NACRE_FITS};
    nacre_advice advice, again;
    NC_REQUIRE(advise_on(&GIVEN, NULL, &advice));
    NC_CHECK_INT(advice.fraction_count, 5);
    NC_CHECK_INT(advice.fractions[0].samples, 40);
    NC_CHECK_INT(advice.fractions[4].samples, 400);
    NC_CHECK_INT(advice.capacity_count, 3);
    NC_CHECK_TEXT(advice.capacity_key, "model.parameters.hidden");
    for (int i = 1; i < advice.capacity_count; i++)
        NC_CHECK(advice.capacities[i].parameters > advice.capacities[i - 1].parameters);
    NC_CHECK_INT(advice.base->train_error.count, 3);
    NC_CHECK_NEAR(advice.chance, 2.0 / 3, 1e-9);
    NC_CHECK(nacre_path_exists(advice.json_path) && nacre_path_exists(advice.report_path));
    NC_CHECK(nacre_path_exists(advice.learning_path) && nacre_path_exists(advice.capacity_path));
    NC_REQUIRE(advise_on(&GIVEN, NULL, &again));
    for (int i = 0; i < 5; i++)
        NC_CHECK(advice.fractions[i].validation_loss.mean == again.fractions[i].validation_loss.mean);
    nacre_advice_release(&again);
    nacre_advice_release(&advice);
}

static bool stop_at_third(void *user, int64_t training, int64_t total, const nacre_fit_event *event)
{
    (void)user, (void)total, (void)event;
    return training < 3;
}

static void it_can_be_stopped(void)
{
    static const char SLOW[] = "data: {source: glyphs, count: 60}\nmodel: {zoo: lenet}\n";
    static const prepared GIVEN = {TABLE("./spiral.csv"), "classes: 3, hidden: 8, layers: 1",
                                   "name: adamw, learning_rate: 0.01", 3, NACRE_FITS};
    nacre_advice advice;
    NC_CHECK(advise_on(&GIVEN, &(nacre_advise_options){.listen = stop_at_third}, &advice));
    NC_CHECK(advice.cancelled);
    NC_CHECK(!advice.report_path);
    nacre_advice_release(&advice);
    nacre_recipe *recipe = nacre_recipe_parse(ctx, SLOW, strlen(SLOW), NULL, NULL);
    NC_REQUIRE(recipe);
    NC_CHECK_INT(nacre_advise(ctx, recipe, NULL, nc_file("late"), &(nacre_advise_options){.seconds = 1e-6}, &advice),
                 NACRE_ERROR_CANCELLED);
    NC_CHECK_FAILED(ctx, NACRE_ERROR_CANCELLED, "the first pilot did not end within");
    nacre_advice_release(&advice);
    NC_CHECK_INT(nacre_advise(ctx, recipe, NULL, nc_file("late"), &(nacre_advise_options){.samples = 2}, &advice),
                 NACRE_ERROR_ARGUMENT);
    NC_CHECK_FAILED(ctx, NACRE_ERROR_ARGUMENT, "3 folds asked for, but there are only 2 samples");
    nacre_advice_release(&advice);
    nacre_recipe_destroy(recipe);
}

/* ---- rules ---- */

static nacre_pilot pilot_of(double train, double validation, double growth)
{
    return (nacre_pilot){
        .train_error = {train, 0.01, 3}, .validation_error = {validation, 0.01, 3}, .gap_growth = growth};
}

static void rules(void)
{
    nacre_pilot larger = pilot_of(0.05, 0.1, 0), same = pilot_of(0.4, 0.42, 0), lost = pilot_of(0.01, 0.88, 1);
    nacre_pilot pilot = pilot_of(0.4, 0.42, 0);
    NC_CHECK_INT(nacre_diagnose(&pilot, &larger, 0.9), NACRE_UNDERFITS);
    NC_CHECK_INT(nacre_diagnose(&pilot, &same, 0.9), NACRE_FITS); /* more capacity does not help: it is noise */
    NC_CHECK_INT(nacre_diagnose(&pilot, NULL, 0.9), NACRE_UNDERFITS);
    pilot = pilot_of(0.0, 0.1, 0.2);
    NC_CHECK_INT(nacre_diagnose(&pilot, NULL, 0.9), NACRE_OVERFITS);
    pilot.gap_growth = 0; /* wide, but it does not grow */
    NC_CHECK_INT(nacre_diagnose(&pilot, NULL, 0.9), NACRE_FITS);
    pilot = pilot_of(0.0, 0.02, 0.2); /* too narrow */
    NC_CHECK_INT(nacre_diagnose(&pilot, NULL, 0.9), NACRE_FITS);
    pilot = pilot_of(0.88, 0.89, 0);
    NC_CHECK_INT(nacre_diagnose(&pilot, &lost, 0.9), NACRE_DATA_FAULT);
    NC_CHECK_INT(nacre_diagnose(&pilot, &larger, 0.9), NACRE_UNDERFITS);
    NC_CHECK_INT(nacre_diagnose(&lost, NULL, 0.9), NACRE_DATA_FAULT);
    pilot.failed = true;
    NC_CHECK_INT(nacre_diagnose(&pilot, &larger, 0.9), NACRE_DATA_FAULT);
}

/* ---- surveys ---- */

static void survey_of(nacre_array *inputs, nacre_survey *survey)
{
    nacre_array labels = {NACRE_I64, NACRE_SHAPE(inputs->shape.dims[0]), NULL};
    int64_t *ids = labels.data = nacre_allocate_aligned(ctx, (size_t)inputs->shape.dims[0] * sizeof *ids);
    for (int64_t i = 0; i < inputs->shape.dims[0]; i++) ids[i] = i % 4 == 0;
    nacre_dataset *dataset = nacre_dataset_from_arrays(ctx, "arrays", inputs, &labels, NULL, NULL);
    NC_CHECK_INT(nacre_survey_data(dataset, survey), NACRE_OK);
    nacre_dataset_destroy(dataset);
    NC_CHECK_OK(ctx);
}

static void suggested(const nacre_survey *survey, const char *source, const char *part)
{
    nacre_buffer yaml = nacre_buffer_create(ctx);
    NC_CHECK_INT(nacre_suggest_recipe(ctx, survey, source, &yaml), NACRE_OK);
    NC_CHECK_CONTAINS(yaml.data, part);
    nacre_recipe *recipe = nacre_recipe_parse(ctx, yaml.data, yaml.size, NULL, NULL);
    NC_CHECK(recipe);
    nacre_recipe_destroy(recipe);
    nacre_buffer_destroy(&yaml);
    NC_CHECK_OK(ctx);
}

static void surveys(void)
{
    static const char TEXT[] = "a,b,c,class\n1,?,5,x\n2,3,5,y\n3,4,5,x\n";
    nacre_survey survey;
    nacre_family families[NACRE_MOST_FAMILIES + 1];
    nacre_array series = {NACRE_F32, NACRE_SHAPE(8, 5, 3), NULL}, tokens = {NACRE_I64, NACRE_SHAPE(8, 6), NULL};
    float *values = series.data = nacre_allocate_aligned(ctx, sizeof(float[8 * 5 * 3]));
    int64_t *words = tokens.data = nacre_allocate_aligned(ctx, sizeof(int64_t[8 * 6]));
    for (int i = 0; i < 8 * 5 * 3; i++) values[i] = i / 3 % 5 <= i / 15 % 5 ? 1 : 0; /* 1 to 5 steps */
    for (int i = 0; i < 8 * 6; i++) words[i] = i % 6 < 2 ? 7 + i : 0;
    survey_of(&series, &survey);
    NC_CHECK_INT(survey.kind, NACRE_DATA_SEQUENCES);
    NC_CHECK_INT(survey.shortest, 1);
    NC_CHECK_INT(survey.longest, 5);
    NC_CHECK_INT(survey.classes, 2);
    NC_CHECK_INT(survey.smallest, 2);
    NC_CHECK_INT(survey.largest, 6);
    suggested(&survey, "series.npz", "gru(x, hidden)");
    survey_of(&tokens, &survey);
    NC_CHECK_INT(survey.kind, NACRE_DATA_TEXT);
    NC_CHECK_INT(survey.median, 2);
    NC_CHECK_INT(survey.vocabulary, 7 + 43 + 1);
    suggested(&survey, "words.npz", "vocabulary: 51");
    nacre_suggest_families(&survey, families);
    NC_CHECK_TEXT(families[0].name, "mean of embeddings");

    nacre_table *table = nacre_table_decode(ctx, "t.csv", TEXT, strlen(TEXT), NULL);
    nacre_dataset *rows = nacre_dataset_from_table(ctx, table, &(nacre_dataset_options){.keep_missing = true});
    NC_CHECK_INT(nacre_survey_data(rows, &survey), NACRE_OK);
    NC_CHECK_INT(survey.kind, NACRE_DATA_TABLE);
    NC_CHECK_INT(survey.missing, 1);
    NC_CHECK_INT(survey.missing_samples, 1);
    NC_CHECK_INT(survey.constant, 1);
    suggested(&survey, "t.csv", "- impute");
    NC_CHECK_INT(nacre_suggest_capacity(&survey).high, 10 * (2 * 3 + 3));
    nacre_dataset_destroy(rows);
    NC_CHECK_OK(ctx);
}

int main(void)
{
    ctx = nacre_context_create(&(nacre_context_options){.threads = 1});
    NC_RUN(rules);
    NC_RUN(surveys);
    NC_RUN(prepared_cases);
    NC_RUN(real_cases);
    NC_RUN(what_is_written);
    NC_RUN(it_can_be_stopped);
    nacre_context_destroy(ctx);
    return nc_report();
}

/* cli/find_lr.c */
#include "recipe.h"

#include <nacre/report.h>

#include <math.h>
#include <string.h>

/* ---- the curve on a terminal ---- */

enum { ROWS = 12, COLUMNS = 60 };

/* The smoothed losses as stars, what runs away cut off at the top; V marks the valley below. */
static void draw_text(const nacre_rate_curve *curve)
{
    char rows[ROWS][COLUMNS + 1];
    int valley = 0;
    double low = INFINITY, first = curve->smooth[0];
    for (int64_t i = 0; i < curve->count; i++) low = fmin(low, curve->smooth[i]);
    double high = low + 1.5 * (first > low ? first - low : 1);
    memset(rows, ' ', sizeof rows);
    for (int c = 0; c < COLUMNS; c++) {
        int64_t i = c * (curve->count - 1) / (COLUMNS - 1);
        double part = fmin((high - curve->smooth[i]) / (high - low), 1);
        rows[(int)(fmax(part, 0) * (ROWS - 1))][c] = '*';
        if (curve->rates[i] <= curve->valley) valley = c;
    }
    for (int r = 0; r < ROWS; r++) {
        rows[r][COLUMNS] = 0;
        printf("%8.3g |%s\n", high - (high - low) * r / (ROWS - 1), rows[r]);
    }
    printf("%8s +", "loss");
    for (int c = 0; c < COLUMNS; c++) putchar(c == valley ? 'V' : '-');
    printf("\n%10.1e%*s%.1e\n", curve->rates[0], COLUMNS - 6, "", curve->rates[curve->count - 1]);
}

static nacre_status draw_picture(nc_call *call, const nacre_recipe *recipe, const nacre_rate_curve *curve)
{
    char title[160], mark[48];
    nacre_series lines[] = {
        {.name = "loss", .x = curve->rates, .y = curve->losses, .count = curve->count, .faint = true, .color = 1},
        {.name = "smoothed", .x = curve->rates, .y = curve->smooth, .count = curve->count, .color = 1}};
    snprintf(title, sizeof title, "%s: loss against learning rate", recipe->name);
    snprintf(mark, sizeof mark, "valley %.2g", curve->valley);
    nacre_figure figure = {.title = title,
                           .width = 640,
                           .x = {.label = "learning rate", .logarithmic = true},
                           .series = lines,
                           .series_count = 2,
                           .mark_name = mark,
                           .mark = curve->valley};
    double low = INFINITY;
    for (int64_t i = 0; i < curve->count; i++) low = fmin(low, curve->smooth[i]);
    figure.y.low = low - 0.1 * fabs(curve->smooth[0] - low);
    figure.y.high = low + 1.5 * fmax(fabs(curve->smooth[0] - low), 1e-3); /* what runs away is drawn at the edge */
    return nacre_figure_write(call->context, &figure, nc_text(call, "picture"));
}

/* ---- words ---- */

static nc_exit print_json(nc_call *call, const nacre_rate_curve *curve)
{
    cJSON *object = cJSON_CreateObject();
    cJSON_AddNumberToObject(object, "valley", curve->valley);
    cJSON_AddNumberToObject(object, "steepest", curve->steepest);
    cJSON_AddNumberToObject(object, "minimum_tenth", curve->minimum);
    cJSON_AddNumberToObject(object, "steps", (double)curve->count);
    cJSON_AddItemToObject(object, "learning_rates", cJSON_CreateDoubleArray(curve->rates, (int)curve->count));
    cJSON_AddItemToObject(object, "losses", cJSON_CreateDoubleArray(curve->losses, (int)curve->count));
    cJSON_AddItemToObject(object, "smoothed", cJSON_CreateDoubleArray(curve->smooth, (int)curve->count));
    return nc_print_json(call, object);
}

static void print_words(const nc_call *call, const nacre_rate_curve *curve)
{
    draw_text(curve);
    printf("\nvalley        %-10.3g in the middle of the longest fall: a good rate to begin with\n", curve->valley);
    printf("steepest      %-10.3g where the loss falls fastest\n", curve->steepest);
    printf("minimum / 10  %-10.3g a tenth of where it is lowest\n", curve->minimum);
    if (nc_is_given(call, "picture")) printf("picture       %s\n", nc_text(call, "picture"));
    printf("\nnacre train %s --set optimizer.learning_rate=%.2g\n", call->arguments[0], curve->valley);
}

/* ---- the command ---- */

static int search(nc_call *call, const nacre_recipe *recipe, const nacre_experiment *experiment)
{
    nacre_fit_options fit = nacre_experiment_fit(experiment);
    nacre_rate_search settings = {
        .low = nc_number(call, "from"), .high = nc_number(call, "to"), .steps = nc_integer(call, "steps")};
    nacre_rate_curve curve;
    if (nacre_find_rate(call->context, &fit, &settings, &curve)) return NC_EXIT_FAILED;
    nc_exit code = NC_EXIT_DONE;
    if (nc_is_given(call, "picture") && draw_picture(call, recipe, &curve)) code = NC_EXIT_FAILED;
    if (code == NC_EXIT_DONE && nc_flag(call, "json"))
        code = print_json(call, &curve);
    else if (code == NC_EXIT_DONE)
        print_words(call, &curve);
    nacre_rate_curve_release(call->context, &curve);
    return code;
}

static int run(nc_call *call)
{
    int code;
    nacre_recipe *recipe = nc_open_recipe(call, call->arguments[0], NULL, &code);
    nacre_experiment experiment;
    if (!recipe) return code;
    code = NC_EXIT_FAILED;
    if (nacre_experiment_open(call->context, recipe, nc_data_folder(call), NULL, &experiment) == NACRE_OK) {
        code = search(call, recipe, &experiment);
        nacre_experiment_close(&experiment);
    }
    nacre_recipe_destroy(recipe);
    return code;
}

static const nc_option OPTIONS[] = {
    NC_SET_OPTION,
    {"from", 0, NC_NUMBER, "RATE", NULL, "1e-7", false, "The learning rate of the first step."},
    {"to", 0, NC_NUMBER, "RATE", NULL, "10", false, "The learning rate of the last step."},
    {"steps", 0, NC_INTEGER, "N", NULL, "100", false, "Steps, at least 20; the rate grows by one factor in each."},
    {"picture", 'p', NC_FILE, "FILE", NULL, NULL, false, "Draw the curve, too: a name ending in .png or .svg."},
    {0},
};

static const nc_example EXAMPLES[] = {
    {"nacre find-lr recipes/glyphs.yaml", "The curve on the terminal, and what it suggests."},
    {"nacre find-lr recipes/mnist.yaml --data data -p rates.png", "The curve as a picture."},
    {0},
};

const nc_command nc_command_find_lr = {
    .name = "find-lr",
    .summary = "find a learning rate by a short search",
    .description =
        "Trains a copy of the model for a hundred steps while the learning rate grows from tiny to huge, until the "
        "smoothed loss is four times its best, and suggests rates from the curve. Nothing else changes: weights, "
        "optimizer, random numbers and files of a later 'nacre train' are the same with and without it.\n\nIn a recipe "
        "'learning_rate: auto' does the same and takes the valley.",
    .with = NC_WITH_DATA | NC_WITH_COMPUTE | NC_WITH_SEED | NC_WITH_JSON | NC_WITH_QUIET,
    .options = OPTIONS,
    .arguments = {{"RECIPE", false, false, NC_FILE, NULL,
                   "A YAML file that says which data, model, optimizer and batch size."}},
    .examples = EXAMPLES,
    .run = run,
};

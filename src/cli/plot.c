/* cli/plot.c - pictures of what recipes say and what runs did. */
#include "plot.h"
#include "recipe.h"

#include <nacre/report.h>

#include <string.h>

/* ---- schedule ---- */

/* Rate and momentum of every update. */
typedef struct course {
    double *steps, *rates, *momenta; /* momenta NULL: not moved */
    int64_t count;
} course;

static bool follow_schedule(nc_call *call, const nacre_schedule *schedule, int64_t total, course *c)
{
    nacre_context *context = call->context;
    size_t bytes = sizeof(double) * (size_t)total;
    bool moves = nacre_schedule_cycles_momentum(schedule);
    *c = (course){.count = total};
    c->steps = nacre_allocate(context, bytes);
    c->rates = nacre_allocate(context, bytes);
    if (moves) c->momenta = nacre_allocate(context, bytes);
    if (!c->steps || !c->rates || (moves && !c->momenta)) return false;
    for (int64_t i = 0; i < total; i++) {
        c->steps[i] = (double)i;
        c->rates[i] = nacre_schedule_rate(schedule, i, total);
        if (moves) c->momenta[i] = nacre_schedule_momentum(schedule, i, total);
    }
    return true;
}

static nc_exit print_course(nc_call *call, const course *c)
{
    cJSON *object = cJSON_CreateObject();
    cJSON_AddNumberToObject(object, "updates", (double)c->count);
    cJSON_AddItemToObject(object, "learning_rate", cJSON_CreateDoubleArray(c->rates, (int)c->count));
    if (c->momenta) cJSON_AddItemToObject(object, "momentum", cJSON_CreateDoubleArray(c->momenta, (int)c->count));
    return nc_print_json(call, object);
}

/* A few updates that show the course: beginning, end, and the largest rate. */
static void summarise_course(const course *c)
{
    int64_t top = 0;
    for (int64_t i = 0; i < c->count; i++)
        if (c->rates[i] > c->rates[top]) top = i;
    const int64_t shown[] = {0, top, c->count / 2, c->count - 1};
    const char *const names[] = {"first", "largest", "middle", "last"};
    printf("%-8s %10s %14s%s\n", "", "update", "learning rate", c->momenta ? "   momentum" : "");
    for (int i = 0; i < 4; i++) {
        printf("%-8s %10lld %14.6g", names[i], (long long)shown[i], c->rates[shown[i]]);
        if (c->momenta) printf(" %10.4g", c->momenta[shown[i]]);
        printf("\n");
    }
}

static nacre_status draw_course(nc_call *call, const nacre_recipe *recipe, const course *c)
{
    const char *path = nc_is_given(call, "output") ? nc_text(call, "output") : "schedule.png";
    nacre_series lines[] = {{.name = "learning rate", .x = c->steps, .y = c->rates, .count = c->count},
                            {.name = "momentum", .x = c->steps, .y = c->momenta, .count = c->count}};
    char title[160];
    snprintf(title, sizeof title, "%s: %s", recipe->name, recipe->schedule.name);
    nacre_figure figure = {.title = title,
                           .width = 640,
                           .x = {.label = "update", .whole = true},
                           .series = lines,
                           .series_count = c->momenta ? 2 : 1};
    nacre_status status = nacre_figure_write(call->context, &figure, path);
    if (status == NACRE_OK && !nc_flag(call, "json")) printf("picture  %s\n", path);
    return status;
}

static int plot_schedule(nc_call *call)
{
    int code;
    nacre_recipe *recipe = nc_open_recipe(call, call->arguments[1], NULL, &code);
    nacre_experiment experiment;
    if (!recipe) return code;
    if (nacre_experiment_open(call->context, recipe, nc_data_folder(call), NULL, &experiment) == NACRE_OK) {
        nacre_fit_options fit = nacre_experiment_fit(&experiment);
        int64_t total = nacre_fit_steps(&fit);
        course c = {0};
        if (fit.schedule.base == 0) fit.schedule.base = 1; /* auto: the shape alone */
        if (nacre_schedule_check(call->context, &fit.schedule, total) == NACRE_OK &&
            follow_schedule(call, &fit.schedule, total, &c)) {
            if (nc_flag(call, "json"))
                print_course(call, &c);
            else
                summarise_course(&c);
            draw_course(call, recipe, &c);
        }
        nacre_release(call->context, c.steps);
        nacre_release(call->context, c.rates);
        nacre_release(call->context, c.momenta);
        nacre_experiment_close(&experiment);
    }
    nacre_recipe_destroy(recipe);
    return nacre_check(call->context) ? NC_EXIT_FAILED : NC_EXIT_DONE;
}

/* ---- the command ---- */

static int run(nc_call *call)
{
    if (strcmp(call->arguments[0], "schedule") != 0) return (int)nc_plot_runs(call);
    if (nc_is_given(call, "metric") || nc_is_given(call, "x"))
        return nc_usage_error(call, "--metric and --x are for runs, not for schedules");
    if (call->argument_count != 2) return nc_usage_error(call, "schedule takes one RECIPE");
    return plot_schedule(call);
}

static const nc_option OPTIONS[] = {
    NC_SET_OPTION,
    {"output", 'o', NC_FILE, "FILE", NULL, NULL, false,
     "The picture, a name ending in .png or .svg. Without it schedule.png or runs.png."},
    {"metric", 'm', NC_TEXT, "NAME", NULL, NULL, true,
     "Runs: which curves to draw, a panel each: loss, accuracy, learning_rate, ... Without it the loss and the first "
     "metric."},
    {"x", 'x', NC_CHOICE, "KEY", "epoch|step", "epoch", false, "Runs: what the curves are drawn against."},
    {0},
};

static const nc_example EXAMPLES[] = {
    {"nacre plot runs/a runs/b -o compared.png", "The curves of two runs side by side, and their best figures."},
    {"nacre plot runs/* --metric accuracy --x step", "Which run learns fastest, by updates."},
    {"nacre plot schedule recipes/glyphs.yaml", "The learning rate of each update, as schedule.png."},
    {"nacre plot schedule recipes/glyphs.yaml -s schedule.name=wsd -o wsd.svg", "What another schedule would do."},
    {0},
};

const nc_command nc_command_plot = {
    .name = "plot",
    .summary = "draw the curves of runs, or the schedule of a recipe",
    .description =
        "Runs (folders that train has written, or their log.jsonl) are drawn in one picture, a colour each: validation "
        "solid, training dashed. The table below says the best figure of each and where it was reached.\n\n"
        "schedule draws the learning rate of each update as the recipe says, and momentum or beta1 where the schedule "
        "moves it, and prints a few of them; with --json all of them. The data is opened to know how many updates "
        "there are; nothing is trained. A rate of auto is drawn as 1.",
    .with = NC_WITH_DATA | NC_WITH_COMPUTE | NC_WITH_SEED | NC_WITH_JSON,
    .options = OPTIONS,
    .arguments = {{"RUN", false, true, NC_FILE, NULL,
                   "Up to eight runs; or the word schedule and a YAML file that says which data, model and schedule."}},
    .examples = EXAMPLES,
    .run = run,
};

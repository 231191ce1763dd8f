/* core/profile.c - times of steps, added up and on a time line. */
#include "core/profile.h"

#include "core/context.h"
#include "core/kernel.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { EVENT_LIMIT = 1000000 };

/* A step of a plan: what it does, and how often and long it ran. */
typedef struct site {
    const char *op, *variant, *path, *shapes;
    nacre_cost cost;
    bool half; /* its factors are bf16 */
    int64_t calls;
    double seconds, least;
} site;

/* Plans are known by their structure: one that was dropped and made again is the same. */
typedef struct known_plan {
    uint64_t hash;
    int first, count; /* its sites */
} known_plan;

typedef struct event {
    double start, seconds;
    int site;
} event;

struct nacre_profile {
    nacre_context *context;
    nc_arena arena; /* texts */
    site *sites;
    int site_count, site_capacity;
    known_plan *plans;
    int plan_count, plan_capacity;
    event *events;
    int event_count, event_capacity;
    nacre_profile_row *rows; /* made when asked for */
    int row_count;
    int64_t runs;
};

nacre_profile *nacre_profile_create(nacre_context *context)
{
    nacre_profile *profile = nacre_allocate(context, sizeof *profile);
    if (!profile) return NULL;
    profile->context = context;
    profile->arena = nc_arena_create(context);
    return profile;
}

void nacre_profile_destroy(nacre_profile *profile)
{
    if (!profile) return;
    nacre_profile_stop(profile);
    nacre_context *context = profile->context;
    nc_arena_destroy(&profile->arena);
    nacre_release(context, profile->sites);
    nacre_release(context, profile->plans);
    nacre_release(context, profile->events);
    nacre_release(context, profile->rows);
    nacre_release(context, profile);
}

void nacre_profile_start(nacre_profile *profile)
{
    if (profile) profile->context->profile = profile;
}

void nacre_profile_stop(nacre_profile *profile)
{
    if (profile && profile->context->profile == profile) profile->context->profile = NULL;
}

/* ---- collecting ---- */

/* The kernel's view of a step, its operands' shapes as text: "128x784 512x784". */
static const char *shapes_of(nacre_profile *profile, const nc_step *step)
{
    nacre_buffer text = nacre_buffer_create(profile->context);
    for (int i = 0; i < step->call.input_count && i < 4; i++) {
        const nacre_view *view = &step->call.inputs[i];
        if (i) nacre_buffer_print(&text, " ");
        for (int k = 0; k < view->shape.rank; k++)
            nacre_buffer_print(&text, k ? "x%lld" : "%lld", (long long)view->shape.dims[k]);
        if (view->shape.rank <= 0) nacre_buffer_print(&text, view->shape.rank ? "-" : "scalar");
    }
    const char *copy = nc_arena_text(&profile->arena, text.data ? text.data : "");
    nacre_buffer_destroy(&text);
    return copy;
}

static bool add_site(nacre_profile *profile, const nc_step *step)
{
    if (!nc_grow(profile->context, &profile->sites, profile->site_count, &profile->site_capacity, sizeof(site)))
        return false;
    const nacre_node_info info = {.op = step->node->op,
                                  .attributes = step->node->attributes,
                                  .inputs = step->call.inputs,
                                  .input_count = step->call.input_count,
                                  .outputs = step->call.outputs,
                                  .output_count = step->call.output_count,
                                  .chain = step->node->chain};
    profile->sites[profile->site_count++] = (site){.op = step->node->op->name,
                                                   .variant = step->kernel ? step->kernel->variant : "reference",
                                                   .path = nc_arena_text(&profile->arena, step->node->path),
                                                   .shapes = shapes_of(profile, step),
                                                   .cost = nacre_node_cost(&info),
                                                   .half = info.input_count > 0 && info.inputs[0].dtype == NACRE_BF16,
                                                   .least = INFINITY};
    return true;
}

int nc_profile_begin(nacre_profile *profile, const nc_plan *plan)
{
    profile->runs++;
    for (int i = 0; i < profile->plan_count; i++)
        if (profile->plans[i].hash == plan->hash && profile->plans[i].count == plan->step_count)
            return profile->plans[i].first;
    const int first = profile->site_count;
    bool complete =
        nc_grow(profile->context, &profile->plans, profile->plan_count, &profile->plan_capacity, sizeof(known_plan));
    for (int i = 0; complete && i < plan->step_count; i++) complete = add_site(profile, &plan->steps[i]);
    if (!complete) return -1 - plan->step_count; /* none of its steps is known */
    profile->plans[profile->plan_count++] = (known_plan){plan->hash, first, plan->step_count};
    return first;
}

void nc_profile_add(nacre_profile *profile, int place, double start, double seconds)
{
    if (place < 0) return;
    site *here = &profile->sites[place];
    here->calls++;
    here->seconds += seconds;
    here->least = fmin(here->least, seconds);
    if (profile->event_count < EVENT_LIMIT &&
        nc_grow(profile->context, &profile->events, profile->event_count, &profile->event_capacity, sizeof(event)))
        profile->events[profile->event_count++] = (event){start, seconds, place};
}

/* ---- rows ---- */

static nacre_profile_row *row_of(nacre_profile *profile, const site *here)
{
    for (int i = 0; i < profile->row_count; i++)
        if (!strcmp(profile->rows[i].op, here->op) && !strcmp(profile->rows[i].variant, here->variant))
            return &profile->rows[i];
    nacre_profile_row *row = &profile->rows[profile->row_count++];
    *row = (nacre_profile_row){.op = here->op, .variant = here->variant, .least = INFINITY};
    return row;
}

static int longest_first(const void *a, const void *b)
{
    const double x = ((const nacre_profile_row *)a)->seconds, y = ((const nacre_profile_row *)b)->seconds;
    return (x < y) - (x > y);
}

static bool make_rows(nacre_profile *profile)
{
    nacre_context *context = profile->context;
    nacre_release(context, profile->rows);
    profile->row_count = 0;
    profile->rows = nacre_allocate(context, sizeof *profile->rows * (size_t)(profile->site_count + 1));
    for (int i = 0; profile->rows && i < profile->site_count; i++) {
        const site *here = &profile->sites[i];
        if (here->calls == 0) continue;
        nacre_profile_row *row = row_of(profile, here);
        row->calls += here->calls;
        row->seconds += here->seconds;
        row->least = fmin(row->least, here->least);
        row->operations += here->cost.operations * (double)here->calls;
        row->bytes += here->cost.bytes * (double)here->calls;
        if (here->half) row->half_operations += here->cost.operations * (double)here->calls;
    }
    if (profile->rows) qsort(profile->rows, (size_t)profile->row_count, sizeof *profile->rows, longest_first);
    return profile->rows != NULL;
}

bool nacre_profile_at(nacre_profile *profile, int index, nacre_profile_row *row)
{
    if (!profile || !row || index < 0 || (index == 0 && !make_rows(profile)) || index >= profile->row_count)
        return false;
    *row = profile->rows[index];
    return true;
}

int64_t nacre_profile_runs(const nacre_profile *profile)
{
    return profile ? profile->runs : 0;
}

double nacre_profile_seconds(const nacre_profile *profile)
{
    double seconds = 0;
    for (int i = 0; profile && i < profile->site_count; i++) seconds += profile->sites[i].seconds;
    return seconds;
}

double nacre_profile_share(const nacre_profile_row *row, const nacre_ceiling *ceiling)
{
    if (!row || !ceiling || row->seconds <= 0) return 0;
    const double half = ceiling->half_operations > 0 ? ceiling->half_operations : ceiling->operations;
    const double least = (row->operations - row->half_operations) / ceiling->operations + row->half_operations / half;
    const double arithmetic = ceiling->operations > 0 ? least : 0;
    const double memory = ceiling->bytes > 0 ? row->bytes / ceiling->bytes : 0;
    return fmax(arithmetic, memory) / row->seconds;
}

/* ---- printing ---- */

nacre_status nacre_profile_print(nacre_profile *profile, const nacre_ceiling *ceiling, nacre_buffer *text)
{
    if (!profile || !text) return NACRE_ERROR_ARGUMENT;
    const double all = nacre_profile_seconds(profile), runs = (double)(profile->runs ? profile->runs : 1);
    nacre_profile_row row;
    nacre_buffer_print(text, "%-24s %-22s %8s %7s %10s %9s %8s%s\n", "operation", "kernel", "calls", "time", "ms a run",
                       "GFLOP/s", "GB/s", ceiling ? "   bound" : "");
    for (int i = 0; nacre_profile_at(profile, i, &row); i++) {
        nacre_buffer_print(text, "%-24s %-22s %8lld %6.1f%% %10.3f", row.op, row.variant, (long long)row.calls,
                           all > 0 ? 100 * row.seconds / all : 0, 1e3 * row.seconds / runs);
        if (row.operations > 0)
            nacre_buffer_print(text, " %9.1f", row.operations / row.seconds * 1e-9);
        else
            nacre_buffer_print(text, " %9s", "");
        nacre_buffer_print(text, " %8.1f", row.bytes / row.seconds * 1e-9);
        if (ceiling) nacre_buffer_print(text, " %6.0f%%", 100 * nacre_profile_share(&row, ceiling));
        nacre_buffer_print(text, "\n");
    }
    nacre_buffer_print(text, "%lld runs, %.3f ms each in steps", (long long)profile->runs, 1e3 * all / runs);
    if (ceiling)
        nacre_buffer_print(text, "; ceilings: %.0f GFLOP/s (bf16: %.0f), %.1f GB/s", ceiling->operations * 1e-9,
                           ceiling->half_operations * 1e-9, ceiling->bytes * 1e-9);
    nacre_buffer_print(text, "\n");
    return nacre_check(profile->context);
}

static void print_event(nacre_buffer *text, const event *done, const site *here, double origin)
{
    nacre_buffer_print(text, "{\"ph\":\"X\",\"pid\":1,\"tid\":1,\"ts\":%.3f,\"dur\":%.3f,\"cat\":",
                       1e6 * (done->start - origin), 1e6 * done->seconds);
    nacre_buffer_quote(text, here->variant);
    nacre_buffer_print(text, ",\"name\":");
    nacre_buffer_quote(text, here->op);
    nacre_buffer_print(text, ",\"args\":{\"layer\":");
    nacre_buffer_quote(text, here->path);
    nacre_buffer_print(text, ",\"shapes\":");
    nacre_buffer_quote(text, here->shapes);
    if (here->cost.operations > 0 && done->seconds > 0)
        nacre_buffer_print(text, ",\"GFLOP/s\":%.1f", here->cost.operations / done->seconds * 1e-9);
    if (done->seconds > 0) nacre_buffer_print(text, ",\"GB/s\":%.1f", here->cost.bytes / done->seconds * 1e-9);
    nacre_buffer_print(text, "}}");
}

nacre_status nacre_profile_write_trace(const nacre_profile *profile, const char *path)
{
    if (!profile || !path) return NACRE_ERROR_ARGUMENT;
    nacre_writer *writer = nacre_writer_open(profile->context, path);
    nacre_buffer text = nacre_buffer_create(profile->context);
    const double origin = profile->event_count ? profile->events[0].start : 0;
    nacre_buffer_print(&text, "{\"displayTimeUnit\":\"ms\",\"traceEvents\":[\n{\"ph\":\"M\",\"pid\":1,\"tid\":1,"
                              "\"name\":\"process_name\",\"args\":{\"name\":\"nacre\"}}");
    nacre_status status = writer ? NACRE_OK : nacre_check(profile->context);
    for (int i = 0; i < profile->event_count && status == NACRE_OK; i++) {
        nacre_buffer_print(&text, ",\n");
        print_event(&text, &profile->events[i], &profile->sites[profile->events[i].site], origin);
        if (text.size < 65536) continue;
        status = nacre_writer_put(writer, text.data, text.size);
        nacre_buffer_clear(&text);
    }
    nacre_buffer_print(&text, "\n]}\n");
    if (status == NACRE_OK) status = nacre_check(profile->context);
    if (status == NACRE_OK) status = nacre_writer_put(writer, text.data, text.size);
    nacre_buffer_destroy(&text);
    if (status == NACRE_OK) return nacre_writer_commit(writer);
    nacre_writer_abandon(writer);
    return status;
}

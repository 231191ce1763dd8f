/* core/measure.c - kernels chosen by timing those that can.
 *
 * The file is text: a line that names the program's version and the processor, then a line per problem with its key,
 * the winner and all times, separated by tabs, and at last the number of lines, so that a torn file shows. A file of
 * another version or processor is replaced. */
#include "core/measure.h"
#include "core/context.h"
#include "core/kernel.h"

#include <nacre/io.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { RUNS = 5, LINE_SIZE = 4096 };
static const size_t MOST_BYTES = (size_t)1 << 30; /* of operands and workspace together */
static const double SECONDS_EACH = 0.03;          /* for a kernel, beyond its first run */
static const double SECONDS_ALL = 30;             /* for all of a context */
static const double HOPELESS = 3;                 /* times the best: one run is enough */

typedef struct entry {
    char *key, *winner, *times;
} entry;

struct nc_measurements {
    nacre_context *context;
    char *path; /* NULL: there is no place for the file */
    entry *entries;
    int count, capacity;
    bool loaded, changed, out_of_time;
    double seconds;
};

/* ---- the file ---------------------------------------------------------------------------------------------------- */

static char *default_folder(nacre_context *context)
{
    const char *cache = getenv("XDG_CACHE_HOME"), *home = getenv("HOME");
    if (cache && *cache == '/') return nacre_path_join(context, cache, "nacre");
    return home && *home == '/' ? nacre_path_join(context, home, ".cache/nacre") : NULL;
}

nc_measurements *nc_measurements_create(nacre_context *context, const char *folder)
{
    nc_measurements *m = nacre_allocate(context, sizeof *m);
    char *chosen = folder ? nacre_duplicate(context, folder) : default_folder(context);
    if (m) m->context = context;
    if (m && chosen) m->path = nacre_path_join(context, chosen, "kernels.txt");
    nacre_release(context, chosen);
    if (!nacre_check(context)) return m;
    nc_measurements_destroy(m);
    return NULL;
}

void nc_measurements_destroy(nc_measurements *m)
{
    if (!m) return;
    for (int i = 0; i < m->count; i++) {
        nacre_release(m->context, m->entries[i].key);
        nacre_release(m->context, m->entries[i].winner);
        nacre_release(m->context, m->entries[i].times);
    }
    nacre_release(m->context, m->entries);
    nacre_release(m->context, m->path);
    nacre_release(m->context, m);
}

static void print_header(char *line)
{
    snprintf(line, LINE_SIZE, "nacre kernels %s on %s", nacre_version(), nacre_machine_info()->cpu);
}

static entry *find(const nc_measurements *m, const char *key)
{
    for (int i = 0; i < m->count; i++)
        if (!strcmp(m->entries[i].key, key)) return &m->entries[i];
    return NULL;
}

static entry *add(nc_measurements *m, const char *key, const char *winner, const char *times)
{
    if (!nc_grow(m->context, &m->entries, m->count, &m->capacity, sizeof *m->entries)) return NULL;
    entry *e = &m->entries[m->count++];
    *e = (entry){nacre_duplicate(m->context, key), nacre_duplicate(m->context, winner),
                 nacre_duplicate(m->context, times)};
    return e->key && e->winner && e->times ? e : NULL;
}

/* Cuts the next line off `*at`; NULL if no whole one is left. */
static char *next_line(char **at)
{
    char *line = *at, *end = strchr(line, '\n');
    if (!end) return NULL;
    *end = 0;
    *at = end + 1;
    return line;
}

static bool parse(nc_measurements *m, char *text)
{
    char header[LINE_SIZE], *line = next_line(&text);
    int count = 0, stated;
    print_header(header);
    if (!line || strcmp(line, header)) return false;
    while ((line = next_line(&text))) {
        char *winner = strchr(line, '\t'), *times = winner ? strchr(winner + 1, '\t') : NULL;
        if (!times) break;
        *winner++ = *times++ = 0;
        count++;
        if (!find(m, line) && !add(m, line, winner, times)) return true; /* the context knows what failed */
    }
    return line && sscanf(line, "end %d", &stated) == 1 && stated == count;
}

static void load(nc_measurements *m)
{
    nacre_context *context = m->context;
    if (m->loaded) return;
    m->loaded = true;
    if (!m->path || !nacre_path_exists(m->path) || nacre_check(context)) return;
    char *text = nacre_file_read(context, m->path, 0, NULL);
    const int before = m->count;
    if (!text) nacre_clear(context);
    if (!text || !parse(m, text)) {
        nacre_log_message(context, NACRE_LOG_WARNING,
                          "'%s' is torn or belongs to another version or processor: kernels are measured anew",
                          m->path);
        while (m->count > before) {
            entry *e = &m->entries[--m->count];
            nacre_release(context, e->key);
            nacre_release(context, e->winner);
            nacre_release(context, e->times);
        }
    }
    nacre_release(context, text);
}

void nc_measurements_save(nacre_context *context)
{
    nc_measurements *m = context->measurements;
    if (!m || !m->changed || !m->path || nacre_check(context)) return;
    char header[LINE_SIZE], *folder = nacre_duplicate(context, m->path);
    nacre_buffer text = nacre_buffer_create(context);
    print_header(header);
    m->changed = false;
    nacre_buffer_print(&text, "%s\n", header);
    for (int i = 0; i < m->count; i++)
        nacre_buffer_print(&text, "%s\t%s\t%s\n", m->entries[i].key, m->entries[i].winner, m->entries[i].times);
    nacre_buffer_print(&text, "end %d\n", m->count);
    if (folder && !text.failed) {
        *strrchr(folder, '/') = 0;
        if (nacre_make_directories(context, folder) || nacre_file_write(context, m->path, text.data, text.size)) {
            nacre_log_message(context, NACRE_LOG_WARNING, "what was measured about kernels is not kept: %s",
                              nacre_message(context));
            nacre_clear(context);
        }
    }
    nacre_buffer_destroy(&text);
    nacre_release(context, folder);
}

/* ---- timing ------------------------------------------------------------------------------------------------------ */

static size_t view_bytes(const nacre_view *view)
{
    if (view->shape.rank < 0) return 0;
    return ((size_t)nacre_shape_count(view->shape) * nacre_dtype_size(view->dtype) + 63) & ~(size_t)63;
}

/* Numbers of ordinary size: zeros and denormal ones have speeds of their own. */
static void fill(const nacre_view *view)
{
    enum { PERIOD = 17 * 64 };
    const size_t size = nacre_dtype_size(view->dtype), bytes = (size_t)nacre_shape_count(view->shape) * size;
    memset(view->data, 0, bytes);
    if (!nacre_dtype_is_float(view->dtype)) return;
    const int64_t count = nacre_shape_count(view->shape), first = count < PERIOD ? count : PERIOD;
    for (int64_t i = 0; i < first; i++) nacre_dtype_store(view->dtype, view->data, i, (double)(i % 17 - 8) / 16);
    for (size_t at = PERIOD * size; at < bytes; at += PERIOD * size)
        memcpy((char *)view->data + at, view->data, bytes - at < PERIOD * size ? bytes - at : PERIOD * size);
}

typedef struct trial {
    nacre_context *context;
    const nacre_node_info *info;
    nacre_call call;
    bool prepares_each; /* the weights change from run to run */
} trial;

static double run_once(const trial *t, const nacre_kernel *kernel)
{
    const double start = nacre_seconds();
    if (t->call.prepared && t->prepares_each) kernel->prepare(&t->call);
    kernel->run(&t->call);
    return nacre_seconds() - start;
}

/* Seconds of the fastest of a few runs; negative without memory. */
static double time_kernel(trial *t, const nacre_kernel *kernel, double best_so_far)
{
    const size_t workspace = kernel->workspace ? kernel->workspace(t->info) : 0;
    const size_t prepared = kernel->prepared ? kernel->prepared(t->info) : 0;
    char *memory = nacre_allocate_aligned(t->context, ((workspace + 63) & ~(size_t)63) + prepared);
    if (!memory) return -1;
    t->call.workspace = memory;
    t->call.prepared = prepared ? memory + ((workspace + 63) & ~(size_t)63) : NULL;
    if (prepared) kernel->prepare(&t->call);
    double best = run_once(t, kernel), spent = 0;
    for (int i = 0; i < RUNS && spent < SECONDS_EACH && best < HOPELESS * best_so_far; i++) {
        const double seconds = run_once(t, kernel);
        if (seconds < best) best = seconds;
        spent += seconds;
    }
    nacre_release_aligned(t->context, memory);
    return best;
}

/* Kernels of the instruction set that the first one has: the others are the same, but slower. */
static bool is_candidate(const nacre_context *context, const nacre_kernel *kernel, const nacre_node_info *info,
                         const char **level)
{
    if (nc_refusal(context, kernel, info)) return false;
    const char *own = strrchr(kernel->variant, '_');
    if (!*level) *level = own;
    if (!own || strcmp(own, *level)) return false;
    return (kernel->workspace ? kernel->workspace(info) : 0) + (kernel->prepared ? kernel->prepared(info) : 0) <=
           MOST_BYTES;
}

static int count_candidates(const nacre_context *context, const nacre_node_info *info)
{
    const nacre_kernel *kernel;
    const char *level = NULL;
    int count = 0;
    for (int i = 0; (kernel = nacre_kernel_at(context, info->op, i)); i++)
        count += is_candidate(context, kernel, info, &level);
    return count;
}

/* Times all candidates on operands of their own; the fastest, and the times into `text`. */
static const nacre_kernel *time_candidates(trial *t, nacre_buffer *text)
{
    const nacre_kernel *kernel, *winner = NULL;
    const char *level = NULL;
    double best = SECONDS_ALL;
    for (int i = 0; (kernel = nacre_kernel_at(t->context, t->info->op, i)); i++) {
        if (!is_candidate(t->context, kernel, t->info, &level)) continue;
        const double seconds = time_kernel(t, kernel, best);
        if (seconds < 0) return NULL;
        nacre_buffer_print(text, "%s%s %.1f us", text->size ? ", " : "", kernel->variant, seconds * 1e6);
        if (seconds < best) {
            best = seconds;
            winner = kernel;
        }
    }
    return text->failed ? NULL : winner;
}

/* The operands in one block of memory. */
static const nacre_kernel *measure(trial *t, nc_arena *arena, nacre_buffer *text)
{
    const nacre_node_info *info = t->info;
    const int count = info->input_count + info->output_count;
    nacre_view *views = nc_arena_take(arena, sizeof *views * (size_t)count);
    size_t bytes = 0;
    for (int i = 0; i < info->input_count; i++) bytes += view_bytes(&info->inputs[i]);
    for (int i = 0; i < info->output_count; i++) bytes += view_bytes(&info->outputs[i]);
    char *block = views && bytes <= MOST_BYTES ? nacre_allocate_aligned(t->context, bytes) : NULL;
    if (!block) return NULL;
    char *at = block;
    for (int i = 0; i < count; i++) {
        views[i] = i < info->input_count ? info->inputs[i] : info->outputs[i - info->input_count];
        if (views[i].shape.rank < 0) continue;
        views[i].data = at;
        at += view_bytes(&views[i]);
        fill(&views[i]);
    }
    t->call.inputs = views;
    t->call.outputs = views + info->input_count;
    const nacre_kernel *winner = time_candidates(t, text);
    nacre_release_aligned(t->context, block);
    return winner;
}

static bool has_time(nc_measurements *m)
{
    if (m->seconds < SECONDS_ALL) return true;
    if (!m->out_of_time)
        nacre_log_message(m->context, NACRE_LOG_INFO, "%.0f seconds were spent on timing kernels; the rest is guessed",
                          SECONDS_ALL);
    m->out_of_time = true;
    return false;
}

static const nacre_kernel *named(const nacre_context *context, const nacre_node_info *info, const char *variant)
{
    const nacre_kernel *kernel;
    for (int i = 0; (kernel = nacre_kernel_at(context, info->op, i)); i++)
        if (!strcmp(kernel->variant, variant)) return nc_refusal(context, kernel, info) ? NULL : kernel;
    return NULL;
}

static const nacre_kernel *measured(nc_measurements *m, const nc_step *step, const nacre_node_info *info,
                                    nc_arena *arena, const char *key, const char **times)
{
    entry *known = find(m, key);
    if (!known && has_time(m)) {
        trial t = {.context = m->context, .info = info, .call = step->call, .prepares_each = !step->prepares_once};
        nacre_buffer text = nacre_buffer_create(m->context);
        const double start = nacre_seconds();
        const nacre_kernel *winner = measure(&t, arena, &text);
        m->seconds += nacre_seconds() - start;
        if (winner) known = add(m, key, winner->variant, text.data);
        m->changed |= known != NULL;
        nacre_buffer_destroy(&text);
    }
    const nacre_kernel *kernel = known ? named(m->context, info, known->winner) : NULL;
    if (kernel) *times = nc_arena_text(arena, known->times);
    return kernel;
}

const nacre_kernel *nc_measured_kernel(nacre_context *context, const nc_step *step, const nacre_node_info *info,
                                       nc_arena *arena, const char **times)
{
    nc_measurements *m = context->measurements;
    if (!m || context->forced_variant || info->op->flags & (NACRE_OP_STATEFUL | NACRE_OP_RANDOM) ||
        count_candidates(context, info) < 2)
        return NULL;
    load(m);
    nacre_buffer key = nacre_buffer_create(context);
    nacre_buffer_print(&key, "%s ", info->op->name);
    nc_print_signature(&key, step);
    nacre_buffer_print(&key, " %s threads=%d%s%s",
                       nacre_instruction_set_name((nacre_instruction_set)context->instruction_set), info->threads,
                       info->deterministic ? " deterministic" : "", step->prepares_once ? " prepared once" : "");
    const nacre_kernel *kernel = key.failed ? NULL : measured(m, step, info, arena, key.data, times);
    nacre_buffer_destroy(&key);
    return kernel;
}

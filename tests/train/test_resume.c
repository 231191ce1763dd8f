/* Runs that are killed, at steps, at times and in the middle of writing files, and go on: the bits are those of the run
 * that was not.
 *
 * Each run is a process of its own. In it this program stands between the library and the system: write, fsync and
 * rename are counted, and at a chosen one the process dies as by kill -9. */
#include "runs.h"

#include <signal.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>

/* ---- dying ---- */

static long calls, die_at_call = -1;
static long steps, die_at_step = -1;

static bool is_last_call(void)
{
    return die_at_call >= 0 && calls++ == die_at_call;
}

static void die(void)
{
    kill(getpid(), SIGKILL);
}

/* Half of what was to be written arrives. */
ssize_t write(int file, const void *data, size_t size)
{
    bool last = is_last_call();
    ssize_t done = syscall(SYS_write, file, data, last ? size / 2 : size);
    if (last) die();
    return done;
}

/* Only power cuts need the disk. */
int fsync(int file)
{
    (void)file;
    if (is_last_call()) die();
    return 0;
}

/* Killed before it, or after it. */
int rename(const char *from, const char *to)
{
    if (is_last_call()) die();
    int status = (int)syscall(SYS_renameat2, -100 /* AT_FDCWD */, from, -100, to, 0);
    if (is_last_call()) die();
    return status;
}

static bool count_steps(void *user, const nacre_fit_event *event)
{
    (void)user;
    if (event->kind == NACRE_FIT_STEP && steps++ == die_at_step) die();
    return true;
}

/* ---- runs in processes ---- */

typedef void setting(nacre_fit_options *fit);

/* What happens to the child. */
typedef struct fate {
    long step, call;  /* -1: none */
    long nanoseconds; /* until the parent kills it; 0: never */
} fate;

static const fate LIVES = {.step = -1, .call = -1};

/* In the child: exits with 0 or a message. */
static void run_child(setting *set, const char *folder, bool resume, fate how)
{
    nc_run run = nc_run_create(&(nacre_context_options){.threads = 1});
    die_at_step = how.step;
    die_at_call = how.call;
    run.fit.folder = folder;
    run.fit.resume = resume;
    run.fit.listen = count_steps;
    if (set) set(&run.fit);
    nacre_status status = nc_run_go(&run);
    if (status) fprintf(stderr, "%s: %s\n", folder, nacre_message(run.context));
    nc_run_destroy(&run);
    _exit(status ? 1 : 0);
}

/* Whether it was killed; a run that fails is a fault of the test. */
static bool run_process(setting *set, const char *folder, bool resume, fate how)
{
    int status = 0;
    pid_t child = fork();
    if (child == 0) run_child(set, folder, resume, how);
    if (how.nanoseconds) {
        nanosleep(&(struct timespec){.tv_nsec = how.nanoseconds}, NULL);
        kill(child, SIGKILL);
    }
    waitpid(child, &status, 0);
    bool killed = WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL;
    if (!killed && !(WIFEXITED(status) && WEXITSTATUS(status) == 0)) NC_COMPLAIN("a run in %s failed", folder);
    return killed;
}

static const char *in(const char *folder, const char *name)
{
    static char paths[4][512];
    static unsigned next;
    char *path = paths[next++ % 4];
    snprintf(path, sizeof paths[0], "%s/%s", folder, name);
    return path;
}

/* What a killed run may leave: whole files only. */
static void check_whole(const char *folder)
{
    static const char *const names[] = {"model.safetensors", "last.safetensors"};
    nacre_context *context = nacre_context_create(&(nacre_context_options){.threads = 1});
    for (int i = 0; i < 2; i++) {
        if (!nacre_path_exists(in(folder, names[i]))) continue;
        nacre_model *model = nacre_model_create(context);
        nacre_safetensors *file = nacre_safetensors_open(context, in(folder, names[i]));
        if (!file || nacre_model_load(model, file))
            NC_COMPLAIN("%s of a killed run: %s", names[i], nacre_message(context));
        nacre_clear(context);
        nacre_safetensors_close(file);
        nacre_model_destroy(model);
    }
    nacre_context_destroy(context);
}

/* Epochs in the log: each once, in order. */
static void check_log(const char *folder, int epochs)
{
    nacre_context *context = nacre_context_create(&(nacre_context_options){.threads = 1});
    size_t size;
    char *text = nacre_file_read(context, in(folder, "log.jsonl"), 0, &size), wanted[32];
    const char *at = text;
    for (int epoch = 1; at && epoch <= epochs; epoch++) {
        snprintf(wanted, sizeof wanted, "\"epoch\":%d,", epoch);
        at = strstr(at, wanted);
        if (!at) NC_COMPLAIN("%s: epoch %d is not in the log:\n%s", folder, epoch, text);
        if (at && strstr(at + 1, wanted)) NC_COMPLAIN("%s: epoch %d is in the log twice:\n%s", folder, epoch, text);
    }
    nacre_release(context, text);
    nacre_context_destroy(context);
}

static void check_end(const char *folder, const char *whole, int epochs)
{
    nacre_context *context = nacre_context_create(&(nacre_context_options){.threads = 1});
    if (!nc_same_files(in(whole, "model.safetensors"), in(folder, "model.safetensors")))
        NC_COMPLAIN("model.safetensors differs from that of the run that was not killed");
    nc_same_tensors(context, in(whole, "last.safetensors"), in(folder, "last.safetensors"));
    NC_CHECK_INT(nc_count_temporaries(folder), 0);
    check_log(folder, epochs);
    nacre_context_destroy(context);
}

/* A fresh run meets the fates in their order and then goes on to its end. Returns how often it was killed. */
static int run_through(setting *set, const char *whole, const fate *fates, int count, int epochs)
{
    static int number;
    char folder[512];
    int killed = 0;
    snprintf(folder, sizeof folder, "%s/run%d", nc_folder(), number++);
    for (int i = 0; i < count; i++) {
        killed += run_process(set, folder, i > 0, fates[i]);
        check_whole(folder);
    }
    int before = nc_failures;
    run_process(set, folder, count > 0, LIVES);
    check_end(folder, whole, epochs);
    if (nc_failures > before)
        for (int i = 0; i < count; i++)
            fprintf(stderr, "    after death at step %ld, call %ld, %ld ns\n", fates[i].step, fates[i].call,
                    fates[i].nanoseconds);
    return killed;
}

/* The run to compare with; NULL if it fails. */
static const char *run_whole(setting *set, const char *name)
{
    const char *folder = nc_file(name);
    run_process(set, folder, false, LIVES);
    return nacre_path_exists(in(folder, "model.safetensors")) ? folder : NULL;
}

/* ---- settings ---- */

static void often(nacre_fit_options *fit)
{
    fit->checkpoint_every = 2;
}

/* Two batches and a last, smaller one per update; clipped, with momentum. */
static void accumulated(nacre_fit_options *fit)
{
    fit->accumulate = 16;
    fit->checkpoint_every = 1;
    fit->optimizer =
        (nacre_optimizer){.kind = NACRE_OPTIMIZER_SGD, .momentum = 0.9, .nesterov = true, .clip_norm = 0.5};
}

/* The best epoch comes early, and the run stops before its end, after two epochs that were no better. */
static void patient(nacre_fit_options *fit)
{
    fit->schedule.kind = NACRE_SCHEDULE_CONSTANT;
    fit->epochs = 12;
    fit->patience = 2;
    fit->min_delta = 0.2;
    fit->workers = 2;
}

/* ---- tests ---- */

static uint64_t seed;

static long draw(long limit)
{
    seed = seed * 6364136223846793005u + 1442695040888963407u;
    return (long)((seed >> 33) % (uint64_t)limit);
}

/* After the first step, within an epoch, at the last step of an epoch, at the very last step; and twice. */
static void killed_at_steps(void)
{
    const char *whole = run_whole(often, "often");
    NC_REQUIRE(whole);
    const long places[] = {0, 1, 5, 6, 9, 17};
    for (size_t i = 0; i < sizeof places / sizeof *places; i++)
        NC_CHECK_INT(run_through(often, whole, &(fate){.step = places[i], .call = -1}, 1, 3), 1);
    NC_CHECK_INT(run_through(often, whole, (fate[]){{.step = 4, .call = -1}, {.step = 4, .call = -1}}, 2, 3), 2);
    const char *rare = run_whole(NULL, "rare");
    NC_REQUIRE(rare);
    NC_CHECK_INT(run_through(NULL, rare, (fate[]){{.step = 2, .call = -1}, {.step = 8, .call = -1}}, 2, 3), 2);
}

static void killed_while_accumulating(void)
{
    const char *whole = run_whole(accumulated, "accumulated");
    NC_REQUIRE(whole);
    for (long step = 0; step < 18; step += 4)
        NC_CHECK_INT(run_through(accumulated, whole, &(fate){.step = step, .call = -1}, 1, 3), 1);
    NC_CHECK_INT(run_through(accumulated, whole, (fate[]){{.step = 6, .call = -1}, {.step = 7, .call = -1}}, 2, 3), 2);
}

static void killed_before_stopping_early(void)
{
    const char *whole = run_whole(patient, "patient");
    NC_REQUIRE(whole);
    nacre_context *context = nacre_context_create(&(nacre_context_options){.threads = 1});
    size_t size;
    char *log = nacre_file_read(context, in(whole, "log.jsonl"), 0, &size);
    int epochs = 0;
    for (const char *at = log; at && (at = strchr(at, '\n')); at++) epochs++;
    nacre_release(context, log);
    nacre_context_destroy(context);
    NC_CHECK(epochs > 2 && epochs < 12);
    for (int epoch = 0; epoch < epochs; epoch++)
        NC_CHECK_INT(run_through(patient, whole, &(fate){.step = 6 * epoch + 4, .call = -1}, 1, epochs), 1);
}

/* Every third of the calls that write files, from the first on, each time at another place. */
static void killed_while_writing(void)
{
    const char *whole = run_whole(often, "written");
    NC_REQUIRE(whole);
    int killed = 1, deaths = 0;
    for (long call = draw(3); killed; call += 3) {
        killed = run_through(often, whole, &(fate){.step = -1, .call = call}, 1, 3);
        deaths += killed;
    }
    NC_CHECK(deaths > 10);
}

static void killed_at_random_times(void)
{
    const char *whole = run_whole(often, "timed");
    NC_REQUIRE(whole);
    fate fates[3];
    for (int i = 0; i < 4; i++) {
        for (int k = 0; k < 3; k++) fates[k] = (fate){.step = -1, .call = -1, .nanoseconds = 1 + draw(60000000)};
        run_through(often, whole, fates, 3, 3);
    }
}

int main(void)
{
    seed = (uint64_t)time(NULL);
    NC_RUN(killed_at_steps);
    NC_RUN(killed_while_accumulating);
    NC_RUN(killed_before_stopping_early);
    NC_RUN(killed_while_writing);
    NC_RUN(killed_at_random_times);
    return nc_report();
}

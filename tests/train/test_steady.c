/* A training step allocates nothing: not the graph, not the plan, not the loader, not the metrics. Only the first epoch
 * does, which makes all that. */
#include "runs.h"

enum { EPOCHS = 2, STEPS = 20, BATCH = 8 };

typedef struct watch {
    nc_allocator allocator;
    long before;
    int checked;
} watch;

static bool look(void *user, const nacre_fit_event *event)
{
    watch *self = user;
    long now = self->allocator.count;
    if (event->kind != NACRE_FIT_STEP) return true;
    bool warm = event->epoch > 1 && event->batch > 1;
    if (warm && now != self->before) NC_COMPLAIN("step %d: %ld allocations", (int)event->step, now - self->before);
    self->checked += warm;
    self->before = now;
    return true;
}

static void steps_do_not_allocate(int workers)
{
    watch self = {.allocator = {.fail_at = -1}};
    nc_run run =
        nc_run_create(&(nacre_context_options){.allocator = {&self.allocator, nc_allocator_resize}, .threads = 2});
    nacre_dataset_destroy(run.train);
    run.fit.train = run.train = nc_stripes(run.context, STEPS * BATCH, 1, NC_CLASSES);
    run.fit.workers = workers;
    run.fit.epochs = EPOCHS;
    run.fit.optimizer.clip_norm = 1;
    run.fit.listen = look;
    run.fit.listen_user = &self;
    NC_CHECK_INT(nc_run_go(&run), NACRE_OK);
    NC_CHECK_INT(self.checked, (EPOCHS - 1) * (STEPS - 1));
    nc_run_destroy(&run);
    NC_CHECK_INT(self.allocator.live, 0);
}

static void without_workers(void)
{
    steps_do_not_allocate(0);
}

static void with_workers(void)
{
    steps_do_not_allocate(2);
}

int main(void)
{
    NC_RUN(without_workers);
    NC_RUN(with_workers);
    return nc_report();
}

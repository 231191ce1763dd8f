/* core/team.c - a team of threads that wait by spinning briefly and then sleeping.
 *
 * A parallel region hands out indices from one atomic counter. Spinning first keeps the cost of a region near a
 * microsecond while a plan runs; sleeping after SPIN turns leaves the cores to others between steps.
 */
#include "core/team.h"

#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>

enum { SPIN = 4000, MAX_THREADS = 256 };

typedef struct worker {
    nacre_team *team;
    int thread;
    pthread_t handle;
} worker;

struct nacre_team {
    nacre_context *context;
    int size; /* the calling thread included */
    worker *workers;

    void (*body)(void *, int64_t, int);
    void *user;
    int64_t count;
    _Atomic int64_t next;
    atomic_int busy;    /* workers still in the current region */
    atomic_uint epoch;  /* changes when a region starts */
    atomic_bool inside; /* a region is running: nested ones are serial */
    atomic_bool stop;

    pthread_mutex_t lock; /* for sleeping only */
    pthread_cond_t wake;
    atomic_int sleepers;
};

static inline void pause_core(void)
{
#if defined(__x86_64__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    __asm__ volatile("yield");
#endif
}

static void take_indices(nacre_team *team, int thread)
{
    for (;;) {
        int64_t index = atomic_fetch_add_explicit(&team->next, 1, memory_order_relaxed);
        if (index >= team->count) return;
        team->body(team->user, index, thread);
    }
}

static void wait_for_region(nacre_team *team, unsigned seen)
{
    for (int i = 0; i < SPIN; i++) {
        if (atomic_load_explicit(&team->epoch, memory_order_acquire) != seen) return;
        pause_core();
    }
    pthread_mutex_lock(&team->lock);
    atomic_fetch_add(&team->sleepers, 1);
    while (atomic_load(&team->epoch) == seen) pthread_cond_wait(&team->wake, &team->lock);
    atomic_fetch_sub(&team->sleepers, 1);
    pthread_mutex_unlock(&team->lock);
}

static void *work(void *argument)
{
    worker *self = argument;
    nacre_team *team = self->team;
    unsigned seen = 0;
    for (;;) {
        wait_for_region(team, seen);
        seen++;
        if (atomic_load(&team->stop)) return NULL;
        take_indices(team, self->thread);
        atomic_fetch_sub_explicit(&team->busy, 1, memory_order_release);
    }
}

static void start_region(nacre_team *team)
{
    atomic_fetch_add(&team->epoch, 1);
    if (atomic_load(&team->sleepers) == 0) return;
    pthread_mutex_lock(&team->lock);
    pthread_cond_broadcast(&team->wake);
    pthread_mutex_unlock(&team->lock);
}

void nacre_parallel(nacre_team *team, int64_t count, void (*body)(void *, int64_t, int), void *user)
{
    if (count <= 0) return;
    bool expected = false;
    if (!team || team->size == 1 || count == 1 || !atomic_compare_exchange_strong(&team->inside, &expected, true)) {
        for (int64_t i = 0; i < count; i++) body(user, i, 0);
        return;
    }
    team->body = body;
    team->user = user;
    team->count = count;
    atomic_store_explicit(&team->next, 0, memory_order_relaxed);
    atomic_store_explicit(&team->busy, team->size - 1, memory_order_relaxed);
    start_region(team);
    take_indices(team, 0);
    for (int spins = 0; atomic_load_explicit(&team->busy, memory_order_acquire) > 0; spins++) {
        pause_core();
        if (spins > SPIN) sched_yield(); /* someone else has the core that our worker needs */
    }
    atomic_store(&team->inside, false);
}

int nacre_team_size(const nacre_team *team)
{
    return team ? team->size : 1;
}

nacre_team *nc_team_create(nacre_context *context, int threads)
{
    if (threads > MAX_THREADS) threads = MAX_THREADS;
    nacre_team *team = nacre_allocate(context, sizeof *team);
    if (!team) return NULL;
    team->context = context;
    team->size = 1;
    pthread_mutex_init(&team->lock, NULL);
    pthread_cond_init(&team->wake, NULL);
    team->workers = nacre_allocate(context, sizeof *team->workers * (size_t)threads);
    if (!team->workers) {
        nc_team_destroy(team);
        return NULL;
    }
    /* Fewer threads than asked for is a slower team, not a failure. */
    while (team->size < threads) {
        worker *next = &team->workers[team->size];
        *next = (worker){.team = team, .thread = team->size};
        if (pthread_create(&next->handle, NULL, work, next)) break;
        team->size++;
    }
    return team;
}

void nc_team_destroy(nacre_team *team)
{
    if (!team) return;
    atomic_store(&team->stop, true);
    start_region(team);
    for (int i = 1; i < team->size; i++) pthread_join(team->workers[i].handle, NULL);
    pthread_cond_destroy(&team->wake);
    pthread_mutex_destroy(&team->lock);
    nacre_release(team->context, team->workers);
    nacre_release(team->context, team);
}

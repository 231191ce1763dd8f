/* core/team.c - a team of threads that wait by spinning briefly and then sleeping.
 *
 * A parallel region cuts its indices into as many shares as there are threads, up to some, each with an atomic counter.
 * A thread empties its own share, then helps with the others: so neighbours, and what one region after the other does
 * to the same part of an array, mostly stay in one core's caches. The caller never waits for a worker that has not
 * come: workers join a region while it is open, the caller closes it when no index is left and waits for those inside
 * only. So a region costs well below a microsecond where nobody helps, and a machine busy with other work does not
 * stall it. Spinning first keeps workers at hand while a plan runs; sleeping after SPIN turns leaves the cores to
 * others between steps. While they spin they fetch what a coming step will wait for, if they have been told
 * (nc_team_fetch).
 */
#include "core/team.h"

#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>

enum {
    SPIN = 4000,
    MAX_THREADS = 256,
    MAX_SHARES = 8, /* more would take longer to look through than threads wait for each other at one */
    LINE = 64,
    FETCHED = 16 * LINE,   /* bytes between two looks whether there is work */
    MOST_FETCHED = 1 << 19 /* bytes a worker: half of a second-level cache, as others lie there too */
};

typedef struct worker {
    nacre_team *team;
    int thread;
    pthread_t handle;
} worker;

/* Indices of a region that are left to one thread, or some; no two of them meet in a cache line. */
typedef struct share {
    _Atomic int64_t next;
    int64_t end;
    char apart[LINE - 2 * sizeof(int64_t)];
} share;

struct nacre_team {
    nacre_context *context;
    int size; /* the calling thread included */
    worker *workers;

    void (*body)(void *, int64_t, int);
    void *user;
    share shares[MAX_SHARES];
    int share_count;
    _Atomic uint64_t state; /* number of the region, whether it is open, how many workers are inside */
    atomic_bool inside;     /* a region is running: nested ones are serial */
    atomic_bool stop;

    atomic_uintptr_t fetched; /* the data that nc_team_fetch named */
    atomic_uintptr_t fetch_next, fetch_end;

    pthread_mutex_t lock; /* for sleeping only */
    pthread_cond_t wake;
    atomic_int sleepers;
};

/* The state's parts, from the lowest bit: workers inside, open, number. */
#define WORKER UINT64_C(1)
#define INSIDE (OPEN - 1)
#define OPEN   (UINT64_C(1) << 16)
#define NUMBER (UINT64_C(1) << 17)

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
    const int own = thread * team->share_count / team->size;
    for (int i = 0; i < team->share_count; i++) {
        share *from = &team->shares[(own + i) % team->share_count];
        int64_t index;
        while ((index = atomic_fetch_add_explicit(&from->next, 1, memory_order_relaxed)) < from->end)
            team->body(team->user, index, thread);
    }
}

static bool is_new(uint64_t state, uint64_t seen)
{
    return state / NUMBER != seen / NUMBER;
}

/* ---- fetching ahead ---------------------------------------------------------------------------------------------- */

void nc_team_fetch(nacre_team *team, const void *data, size_t bytes)
{
    const uintptr_t begin = (uintptr_t)data;
    if (nacre_team_size(team) == 1 || begin == atomic_load_explicit(&team->fetched, memory_order_relaxed)) return;
    const size_t most = (size_t)(team->size - 1) * MOST_FETCHED;
    atomic_store_explicit(&team->fetched, begin, memory_order_relaxed);
    atomic_store_explicit(&team->fetch_end, 0, memory_order_relaxed);
    atomic_store_explicit(&team->fetch_next, begin, memory_order_relaxed);
    if (data) atomic_store_explicit(&team->fetch_end, begin + (bytes < most ? bytes : most), memory_order_release);
}

/* False if there is nothing left. A worker that comes while other data is named fetches lines that nobody needs. */
static bool fetch_some(nacre_team *team)
{
    const uintptr_t end = atomic_load_explicit(&team->fetch_end, memory_order_acquire);
    if (atomic_load_explicit(&team->fetch_next, memory_order_relaxed) >= end) return false;
    const uintptr_t begin = atomic_fetch_add_explicit(&team->fetch_next, FETCHED, memory_order_relaxed);
    for (uintptr_t line = begin; line < begin + FETCHED && line < end; line += LINE)
        __builtin_prefetch((const void *)line, 0, 2);
    return true;
}

/* ---- regions ----------------------------------------------------------------------------------------------------- */

/* Returns when a region has been opened since `seen`; it may be closed again by then. */
static void wait_for_region(nacre_team *team, uint64_t seen)
{
    for (int i = 0; i < SPIN; i++) {
        if (is_new(atomic_load_explicit(&team->state, memory_order_acquire), seen)) return;
        if (!fetch_some(team)) pause_core();
    }
    pthread_mutex_lock(&team->lock);
    atomic_fetch_add(&team->sleepers, 1);
    while (!is_new(atomic_load(&team->state), seen)) pthread_cond_wait(&team->wake, &team->lock);
    atomic_fetch_sub(&team->sleepers, 1);
    pthread_mutex_unlock(&team->lock);
}

/* Enters the current region; false if it is closed. */
static bool join_region(nacre_team *team, uint64_t *seen)
{
    *seen = atomic_load(&team->state);
    while (*seen & OPEN)
        if (atomic_compare_exchange_weak(&team->state, seen, *seen + WORKER)) return true;
    return false;
}

static void *work(void *argument)
{
    worker *self = argument;
    nacre_team *team = self->team;
    uint64_t seen = 0;
    for (;;) {
        wait_for_region(team, seen);
        const bool joined = join_region(team, &seen);
        if (atomic_load(&team->stop)) return NULL;
        if (!joined) continue;
        take_indices(team, self->thread);
        atomic_fetch_sub_explicit(&team->state, WORKER, memory_order_release);
    }
}

static void open_region(nacre_team *team)
{
    /* Nobody is inside and the region is closed: the number is all that is left. */
    const uint64_t state = atomic_load_explicit(&team->state, memory_order_relaxed);
    atomic_store(&team->state, (state / NUMBER + 1) * NUMBER + OPEN);
    if (atomic_load(&team->sleepers) == 0) return;
    pthread_mutex_lock(&team->lock);
    pthread_cond_broadcast(&team->wake);
    pthread_mutex_unlock(&team->lock);
}

static void close_region(nacre_team *team)
{
    atomic_fetch_and(&team->state, ~OPEN);
    for (int spins = 0; atomic_load_explicit(&team->state, memory_order_acquire) & INSIDE; spins++) {
        pause_core();
        if (spins > SPIN) sched_yield(); /* someone else has the core that our worker needs */
    }
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
    for (int i = 0; i < team->share_count; i++) {
        atomic_store_explicit(&team->shares[i].next, count * i / team->share_count, memory_order_relaxed);
        team->shares[i].end = count * (i + 1) / team->share_count;
    }
    open_region(team);
    take_indices(team, 0);
    close_region(team);
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
    team->share_count = team->size < MAX_SHARES ? team->size : MAX_SHARES;
    return team;
}

void nc_team_destroy(nacre_team *team)
{
    if (!team) return;
    atomic_store(&team->stop, true);
    open_region(team);
    for (int i = 1; i < team->size; i++) pthread_join(team->workers[i].handle, NULL);
    pthread_cond_destroy(&team->wake);
    pthread_mutex_destroy(&team->lock);
    nacre_release(team->context, team->workers);
    nacre_release(team->context, team);
}

/* Parallel regions: every index once, nested ones, many in a row, teams of all sizes. */
#include "test.h"

#include "core/team.h"

#include <nacre/nacre.h>

#include <stdatomic.h>

static nacre_context *context;

struct visit {
    nacre_team *team;
    atomic_int counts[1000];
    atomic_int bad_threads;
};

static void visit_once(void *user, int64_t index, int thread)
{
    struct visit *visit = user;
    atomic_fetch_add(&visit->counts[index], 1);
    if (thread < 0 || thread >= nacre_team_size(visit->team)) atomic_fetch_add(&visit->bad_threads, 1);
}

static void check_counts(struct visit *visit, int count, int expected)
{
    for (int i = 0; i < 1000; i++) NC_CHECK_INT(atomic_load(&visit->counts[i]), i < count ? expected : 0);
    NC_CHECK_INT(atomic_load(&visit->bad_threads), 0);
}

static void every_index_once(void)
{
    static const int64_t counts[] = {0, 1, 2, 3, 17, 1000};
    for (int size = 1; size <= 5; size++) {
        nacre_team *team = nc_team_create(context, size);
        NC_REQUIRE(team);
        NC_CHECK_INT(nacre_team_size(team), size);
        for (size_t i = 0; i < sizeof counts / sizeof *counts; i++) {
            struct visit visit = {.team = team};
            nacre_parallel(team, counts[i], visit_once, &visit);
            check_counts(&visit, (int)counts[i], 1);
        }
        nc_team_destroy(team);
    }
}

static void many_short_regions(void)
{
    nacre_team *team = nc_team_create(context, 3);
    NC_REQUIRE(team);
    struct visit visit = {.team = team};
    for (int i = 0; i < 20000; i++) nacre_parallel(team, 4, visit_once, &visit);
    check_counts(&visit, 4, 20000);
    nc_team_destroy(team);
}

static void nest(void *user, int64_t index, int thread)
{
    (void)index, (void)thread;
    struct visit *visit = user;
    nacre_parallel(visit->team, 10, visit_once, visit);
}

static void nested_regions_run_serially(void)
{
    nacre_team *team = nc_team_create(context, 3);
    NC_REQUIRE(team);
    struct visit visit = {.team = team};
    nacre_parallel(team, 50, nest, &visit);
    check_counts(&visit, 10, 50);
    nc_team_destroy(team);
}

static void no_team(void)
{
    struct visit visit = {0};
    nacre_parallel(NULL, 5, visit_once, &visit);
    check_counts(&visit, 5, 1);
    NC_CHECK_INT(nacre_team_size(NULL), 1);
    nc_team_destroy(NULL);
}

int main(void)
{
    context = nacre_context_create(&(nacre_context_options){.threads = 1});
    NC_RUN(every_index_once);
    NC_RUN(many_short_regions);
    NC_RUN(nested_regions_run_serially);
    NC_RUN(no_team);
    nacre_context_destroy(context);
    return nc_report();
}

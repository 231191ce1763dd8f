/* cli/watch.h - a run that is being watched: progress on stderr, and Ctrl-C.
 *
 *     nc_watch watch;
 *     nc_watch_begin(&watch, call, NULL, 0);
 *     ... nacre_fit with .listen = nc_watch_fit, .listen_user = &watch ...
 *     nc_watch_end(&watch);
 */
#ifndef NACRE_CLI_WATCH_H
#define NACRE_CLI_WATCH_H

#include "cli.h"

#include <nacre/report.h>

#include <signal.h>

typedef struct nc_watch {
    nc_call *call;
    const char *unit;     /* NULL: the epochs of one run; "fold", "trial": runs that follow each other, of which each is
                             one step of the bar */
    int64_t index, total; /* of the run, from 1 */
    int64_t from, to;     /* the epochs of the run, (from, to]; both 0: all */
    int64_t samples;      /* of the epochs that the run has done */
    struct sigaction before[2];
} nc_watch;

/* With --quiet there is no progress. The first SIGINT or SIGTERM asks the run to stop, a second one ends the process.
 */
void nc_watch_begin(nc_watch *watch, nc_call *call, const char *unit, int64_t total);
void nc_watch_end(nc_watch *watch);
bool nc_watch_interrupted(void);

/* The next run of several. */
void nc_watch_next(nc_watch *watch, int64_t index);
/* A listener of nacre_fit; `user` is the watch. */
bool nc_watch_fit(void *user, const nacre_fit_event *event);
/* The line that stays when a run of several is done. */
void nc_watch_finish(nc_watch *watch, const nacre_named_value *values, int count, const char *note);

#endif

/* core/context.h - what the floors below the line see of a context. */
#ifndef NC_CORE_CONTEXT_H
#define NC_CORE_CONTEXT_H

#include <nacre/nacre.h>
#include <nacre/backend.h>

#include <pthread.h>

#define NC_MESSAGE_SIZE 1024

struct nc_plan_cache;

struct nacre_context {
    nacre_allocator allocator;
    nacre_log_function log;
    void *log_user;
    nacre_device device;
    bool deterministic;
    int instruction_set; /* of the kernels to use */
    nacre_team *team;

    pthread_mutex_t error_lock; /* loader threads may fail too */
    nacre_status status;
    char message[NC_MESSAGE_SIZE];

    nacre_transfers transfers;
    int64_t scalar_run, scalar_streak; /* the run after which a scalar was read last; such runs in a row */

    struct nc_plan_cache *plans;
    struct nc_measurements *measurements; /* NULL: kernels are chosen by rules */
    const char *forced_op, *forced_variant;
    nacre_profile *profile; /* that collects, NULL: none */
};

#endif

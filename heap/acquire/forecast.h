/* How long a stop will take, known before it. */
#ifndef GRF_HEAP_ACQUIRE_FORECAST_H
#define GRF_HEAP_ACQUIRE_FORECAST_H

#include "heap/acquire/acquire.h"

struct rsp;

enum { FORECAST_FORK_MS = 2000 }; /* a longer stop is a fork by default */

/*
 * Fills the report's forecast in, where the stub shows the process's memory use (else it stays 0),
 * and shows it.
 */
ERR_MUST_CHECK struct err *forecast_make(struct acquire *a, struct rsp *rsp, uint64_t pid);

/* Whether what --fork leaves open (FORK_DEFAULT) becomes a fork: a->o.fork is FORK_LONG then. */
void forecast_choose(struct acquire *a, struct rsp *rsp);

/* ERR_LIMIT: the stop would most likely take longer than --max-stop allows, or, without it, than
 * forecast_limit(). */
ERR_MUST_CHECK struct err *forecast_refuse(const struct acquire *a);

/* The process has run on by now: since when it stood before we came, if the stub had attached to it
 * already. */
ERR_MUST_CHECK struct err *forecast_held_before(struct acquire *a, int64_t connected_ns);

/* Says how long a stop may last at most: rsp_set_stop_limit(). */
void forecast_limit(const struct acquire *a, struct rsp *rsp);

#endif

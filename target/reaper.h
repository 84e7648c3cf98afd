/*
 * Who takes the status of a process whose parent is gone?  The init of its pid namespace is meant
 * to; but a container's first process may be any program, and then each leaves a zombie and a
 * SIGCHLD there.
 */
#ifndef GRF_TARGET_REAPER_H
#define GRF_TARGET_REAPER_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"

struct rsp;

/* *ret: the init of the process's pid namespace takes the status of children that it did not make,
 * as far as can be seen from what it does with SIGCHLD. */
ERR_MUST_CHECK struct err *reaper_reaps(struct rsp *rsp, uint64_t pid, bool *ret);

#endif

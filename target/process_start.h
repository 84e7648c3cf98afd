/* When a process of the stub's machine was started, by its files. */
#ifndef GRF_TARGET_PROCESS_START_H
#define GRF_TARGET_PROCESS_START_H

#include <stdint.h>

#include "base/err.h"

struct rsp;

enum { TICKS_PER_SECOND = 100 /* USER_HZ, the same everywhere */ };

/* In ticks since the machine's start; 0: unknown.  pid 0: the stub itself. */
ERR_MUST_CHECK struct err *process_start(struct rsp *rsp, uint64_t pid, uint64_t *ret);

#endif

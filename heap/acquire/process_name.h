/* The one process of a name, for -p NAME. */
#ifndef GRF_HEAP_ACQUIRE_PROCESS_NAME_H
#define GRF_HEAP_ACQUIRE_PROCESS_NAME_H

#include <stdint.h>

#include "base/err.h"

struct rsp;

/*
 * A name is what the program was started as, or its file, with or without the folders before it.
 * ERR_OS: no process has it, or several have, which the message lists.
 */
ERR_MUST_CHECK struct err *process_name_here(const char *name, uint64_t *pid);
/* On the stub's machine.  ERR_UNSUPPORTED: the stub lists no processes. */
ERR_MUST_CHECK struct err *process_name_there(struct rsp *rsp, const char *name, uint64_t *pid);

#endif

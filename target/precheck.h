/*
 * Before the stub attaches: would it be able to stop the process, to read it, and to let it go?
 * The stub's files tell, while the process still runs; a stub that tries in vain may hold it.
 */
#ifndef GRF_TARGET_PRECHECK_H
#define GRF_TARGET_PRECHECK_H

#include <stdint.h>

#include "base/err.h"

struct rsp;

/* ERR_UNSUPPORTED: it would not, with what is missing.  What the stub's files do not show is no
 * reason. */
ERR_MUST_CHECK struct err *precheck(struct rsp *rsp, uint64_t pid);

#endif

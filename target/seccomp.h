/*
 * May a process that has a seccomp filter be made to call what a fork needs?  A filter can answer a
 * call by killing.  What it does is known where its container's profile can be read.
 */
#ifndef GRF_TARGET_SECCOMP_H
#define GRF_TARGET_SECCOMP_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"

struct rsp;

/*
 * ERR_UNSUPPORTED: it may not, with the reason.  consent: the user says that the filter allows it
 * (--fork=seccomp).  evidence gets a line about how it is known, or stays empty where there is no
 * filter; *known: by its profile.
 */
ERR_MUST_CHECK struct err *seccomp_check(struct rsp *rsp, uint64_t pid, bool consent, bool *known,
					 struct buf *evidence);

#endif

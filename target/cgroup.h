/*
 * A process's cgroup, as the stub's files show it: from the stub's own mount of the cgroups, or
 * from the process's (/proc/PID/root), which a debug container that shares the pid namespace sees.
 */
#ifndef GRF_TARGET_CGROUP_H
#define GRF_TARGET_CGROUP_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"

struct buf;
struct rsp;

/*
 * The path in the hierarchy of a controller ("memory", "freezer") in the text of /proc/PID/cgroup,
 * which is written to; *v2: it is that of version 2.  NULL: there is none.
 */
const char *cgroup_path(char *text, const char *controller, bool *v2);

/* Is the process held by its cgroup's freezer?  Not known counts as no. */
ERR_MUST_CHECK struct err *cgroup_frozen(struct rsp *rsp, uint64_t pid, bool *ret);

#endif

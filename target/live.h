/*
 * A process behind a stub as a target, and what only such a target has.
 */
#ifndef GRF_TARGET_LIVE_H
#define GRF_TARGET_LIVE_H

#include "target/target.h"

struct rsp;
struct live;

/* rsp is borrowed. */
ERR_MUST_CHECK struct err *live_create(struct rsp *rsp, const struct arch *arch, struct live **ret);

/* The target that it is; target_destroy() of that ends it. */
struct target *live_target(struct live *l);
struct rsp *live_rsp(const struct live *l);

/* Called by the source every 64 MB or so, when nothing is under way; an error ends the fetch.
 * NULL: none. */
void live_set_watch(struct live *l, struct err *(*watch)(void *arg), void *arg);

/* Where in the reply to `g` a register of the architecture's table is; *found false: nowhere, or it
 * is not a word. */
ERR_MUST_CHECK struct err *live_reg_place(struct live *l, const char *name, uint32_t *offset,
					  bool *found);

/*
 * A process may be in a pid namespace below the stub's: *levels is 2 or more then, for as long as
 * the process lives (0: not known).  The runtime has noted other numbers for its threads than the
 * stub's then: live_own_tids() gives threads those.  Both read files of the stub's machine; the
 * process need not be stopped.
 */
ERR_MUST_CHECK struct err *live_pid_levels(struct rsp *rsp, uint64_t pid, unsigned *levels);
ERR_MUST_CHECK struct err *live_own_tids(const struct live *l, struct threads *threads);

#endif

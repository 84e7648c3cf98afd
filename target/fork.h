/*
 * --fork: the process is stopped only for as long as the kernel takes to copy its page tables; what
 * is read afterwards is the copy.  When it may be done, and the architecture's part of it; the
 * steps are in rsp/inject.h, the reasons in docs/FORK.md.
 */
#ifndef GRF_TARGET_FORK_H
#define GRF_TARGET_FORK_H

#include "target/elf.h"
#include "target/target.h"

struct fork;

/* All are borrowed.  force: what memory there is room for is not looked at.  ERR_UNSUPPORTED:
 * not this program, architecture or stub. */
ERR_MUST_CHECK struct err *fork_create(struct rsp *rsp, const struct arch *arch,
				       const struct elf *exe, bool force, struct fork **ret);
void fork_destroy(struct fork *f); /* of what has been let go */

/* Better while the process runs.  ERR_UNSUPPORTED: it is not safe, with the reason. */
ERR_MUST_CHECK struct err *fork_check(struct fork *f, uint64_t pid);

/*
 * t is stopped, and runs afterwards; its memory is the snapshot's until fork_end().
 * ERR_UNSUPPORTED: refused, and still stopped.  threads: t's, as target_threads() gave them.
 */
ERR_MUST_CHECK struct err *fork_take(struct fork *f, struct target *t,
				     const struct threads *threads, uint64_t bias);
ERR_MUST_CHECK struct err *fork_end(struct fork *f);
bool fork_taken(const struct fork *f);

#endif

/*
 * --fork: the process is stopped only for as long as the kernel takes to copy its page tables; what
 * is read afterwards is the copy.  Whether it may be done is decided here; the steps are in
 * rsp/inject.h, the reasons in docs/FORK.md.
 */
#ifndef GRF_TARGET_FORK_H
#define GRF_TARGET_FORK_H

#include "target/elf.h"
#include "target/live.h"

struct fork;

/* All are borrowed.  force: goes on however little memory is left.  ERR_UNSUPPORTED: this program,
 * architecture or stub cannot do it. */
ERR_MUST_CHECK struct err *fork_create(struct rsp *rsp, const struct arch *arch,
				       const struct elf *exe, bool force, struct fork **ret);
void fork_destroy(struct fork *f); /* after fork_end(); NULL is fine */

/* ERR_UNSUPPORTED: it is not safe, with the reason.  The process may run meanwhile, and should.
 * consent: as seccomp_check() has it. */
ERR_MUST_CHECK struct err *fork_check(struct fork *f, uint64_t pid, bool consent);
/* Under a seccomp filter, after fork_check(): how it is known what that does; else NULL. */
const char *fork_evidence(const struct fork *f);

/*
 * The process l is stopped, and runs afterwards; its memory is the snapshot's until fork_end().
 * ERR_UNSUPPORTED: it was refused, and the process is still stopped.  threads: l's, as
 * target_threads() gave them.
 */
ERR_MUST_CHECK struct err *fork_take(struct fork *f, struct live *l, const struct threads *threads,
				     uint64_t bias);
ERR_MUST_CHECK struct err *fork_end(struct fork *f);
bool fork_taken(const struct fork *f);

#endif

/*
 * Letting the process run to a place of its own choice: the only way to stop it there where a stub
 * cannot interrupt (QEMU's user mode), and a way to stop it where it means something elsewhere.
 */
#ifndef GRF_TARGET_UNTIL_H
#define GRF_TARGET_UNTIL_H

#include "target/live.h"

struct until {
	/* the breakpoint could only be set by writing to the program's text, for as long as the
	 * program ran */
	bool writes;
	uint64_t signals; /* that came meanwhile, and were passed on */
};

/* Moves *addr, a function's entry, to where every call of the function comes past. */
ERR_MUST_CHECK struct err *target_until_place(struct target *t, uint64_t *addr);

/*
 * Lets the process run until a thread is at addr, n times (one that is there already does not
 * count), however long that takes.  u is zeroed before, and says what happened with an error, too.
 */
ERR_MUST_CHECK struct err *live_run_until(struct live *l, uint64_t addr, uint64_t n,
					  struct until *u);

#endif

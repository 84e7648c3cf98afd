/*
 * Letting the process run to a place of its own choice: the only way to stop it there where a stub
 * cannot interrupt (QEMU's user mode), and a way to stop it where it means something elsewhere.
 */
#ifndef GRF_TARGET_UNTIL_H
#define GRF_TARGET_UNTIL_H

#include "target/target.h"

struct until {
	/* the breakpoint could only be set by writing to the program's text, for as long as it
	 * ran */
	bool writes;
	uint64_t signals; /* that came meanwhile, and were passed on */
};

/* Where every call of the function whose entry is *addr comes past: *addr is moved there. */
ERR_MUST_CHECK struct err *target_until_place(struct target *t, uint64_t *addr);

/*
 * Until a thread is at addr, n times (one that is there already does not count), however long that
 * takes.  Sets what it knows of u, also with an error; u is zeroed before.
 */
ERR_MUST_CHECK struct err *target_run_until(struct target *t, uint64_t addr, uint64_t n,
					    struct until *u);

#endif

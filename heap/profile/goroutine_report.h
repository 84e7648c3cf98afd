/*
 * Goroutines for readers: grouped by equal stacks; what waits for finalizers, and why.
 */
#ifndef GRF_HEAP_PROFILE_GOROUTINE_REPORT_H
#define GRF_HEAP_PROFILE_GOROUTINE_REPORT_H

#include <stdbool.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/err.h"
#include "base/vec.h"
#include "heap/profile/account.h"

/* Goroutines with the same functions on their stacks, in the same state, made at the same place. */
struct goroutine_group {
	uint64_t count;
	uint64_t goid;             /* the lowest */
	const char *state;         /* "running", "chan receive", "in a system call" */
	const char *const *frames; /* outermost first */
	uint32_t nframes;
	const char *created_by; /* NULL: nobody, or unknown */
	uint64_t stack_bytes;
	/* The runtime notes that one waits when it next collects: it has waited at least so
	 * long.  0: not noted. */
	uint64_t wait_min_ns, wait_max_ns;
	struct amount alone;  /* objects that nothing else leads to */
	uint32_t first, last; /* while it is made: members, linked */
};

VEC_NAMED(goroutine_groups, struct goroutine_group);

/* The goroutine that runs finalizers (until 1.24 cleanups, too), or one that runs cleanups. */
struct finalizer_worker {
	uint64_t goid;
	bool cleanups;
	bool busy; /* in a function of the program */
	const char *state;
	const char *function;   /* busy: what it runs, the outermost; */
	const char *blocked_in; /* and the program's innermost */
	uint64_t wait_ns;       /* at least; 0: unknown */
};

struct goroutine_report {
	bool grouped;                   /* it was asked for */
	struct goroutine_groups groups; /* most objects alone first, then most goroutines */
	VEC(struct finalizer_worker) workers;
	struct arena arena;
};

void goroutine_report_deinit(struct goroutine_report *r);

#endif

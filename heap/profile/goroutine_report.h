/*
 * Goroutines as people read of them: the groups of those with equal stacks, and the goroutines
 * that run finalizers and cleanups, with what holds them up.
 */
#ifndef GRF_HEAP_PROFILE_GOROUTINE_REPORT_H
#define GRF_HEAP_PROFILE_GOROUTINE_REPORT_H

#include <stdbool.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/err.h"
#include "base/vec.h"
#include "heap/profile/account.h"
#include "heap/profile/code_lines.h"

/* Leaked: nothing can ever wake it (heap/report/leaked.c). */
enum goroutine_verdict { VERDICT_RUNNING, VERDICT_WAITING, VERDICT_LEAKED };

/* Goroutines that are in the same function of the program, in the same state, made at the same
 * place. */
struct goroutine_group {
	uint64_t count;
	uint64_t goid;        /* the lowest */
	const char *function; /* the innermost of the program; else what it began with */
	bool own;             /* the runtime's: in no function of the program or the library */
	const char *state;    /* "running", "chan receive", "in a system call" */
	enum goroutine_verdict verdict;
	const struct code_line *stack; /* of the one with the lowest id, outermost first; inlined
					* calls, too */
	uint32_t nframes;
	struct code_line created_by; /* function NULL: nobody, or unknown */
	uint64_t stack_bytes;
	/* How long they have waited, at least: the runtime notes that a goroutine waits when it
	 * next collects.  0: it was not noted. */
	uint64_t wait_min_ns, wait_max_ns;
	struct amount alone; /* objects that nothing else leads to */
	uint32_t order;      /* of the groups, by their first goroutines */
	uint32_t example;    /* index of the goroutine that the stack is of */
};

VEC_NAMED(goroutine_groups, struct goroutine_group);

/* The goroutine that runs finalizers (until 1.24 cleanups, too), or one that runs cleanups. */
struct finalizer_worker {
	uint64_t goid;
	bool cleanups;
	bool busy; /* in a function of the program */
	const char *state;
	/* busy: the program's outermost function on its stack, and the innermost */
	const char *function, *blocked_in;
	uint64_t wait_ns; /* at least; 0: unknown */
};

struct goroutine_report {
	bool grouped;                   /* groups were made */
	bool hidden;                    /* they were not asked for: a summary has none */
	uint64_t leaked;                /* goroutines, where grouped */
	struct goroutine_groups groups; /* most objects alone first, then most goroutines */
	VEC(struct finalizer_worker) workers;
	struct arena arena;
};

/* The largest group of goroutines that are in the function; NULL: there is none. */
const struct goroutine_group *goroutine_group_in(const struct goroutine_report *r,
						 const char *function);
/* Where in its function the group is; NULL: unknown. */
const struct code_line *goroutine_group_line(const struct goroutine_group *g);

void goroutine_report_deinit(struct goroutine_report *r);

#endif

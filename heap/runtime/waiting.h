/*
 * What a parked goroutine waits for: why it says that it waits, and the objects through which alone
 * it can be woken.
 */
#ifndef GRF_HEAP_RUNTIME_WAITING_H
#define GRF_HEAP_RUNTIME_WAITING_H

#include "base/arena.h"
#include "base/err.h"
#include "base/hash.h"
#include "base/vec.h"
#include "heap/runtime/goroutine.h"

enum {
	REASONS_MAX = 256, /* g.waitreason is a byte */
	/* the function of a goroutine in sync.Cond.Wait and those called from there, and more */
	WAIT_FRAMES_MAX = 16,
};

VEC_NAMED(wait_objects, uint64_t);

enum wait_kind {
	WAIT_ELSE,    /* for the runtime, a timer, the network, or nobody knows for what */
	WAIT_FOREVER, /* a nil channel, a select without cases */
	WAIT_OBJECTS, /* channels, a lock's or a WaitGroup's semaphore, a Cond */
};

/* What one goroutine waits for. */
struct wait {
	enum wait_kind kind;
	struct wait_objects on; /* addresses, often inside an object */
	uint64_t sudog; /* of a semaphore: it points to it, which is no reference; 0: none */
};

struct waiting {
	/* borrowed; the arena holds the reasons' names */
	const struct proc *p;
	const struct spans *spans;
	const struct stacks *stacks;
	struct arena *arena;
	const char *reasons[REASONS_MAX]; /* each is read when it is first needed */
	uint64_t steps;          /* along chains of sudogs; in all no more than there are objects */
	struct map64 conds;      /* g -> the address of the list of a Cond that it is in */
	struct map64 conds_seen; /* addresses of lists that have been gone through */
};

void waiting_deinit(struct waiting *w);

/* Why g, which has status G_WAITING or G_LEAKED, says that it waits: "chan receive"; "waiting,
 * reason 20" where the names were not found.  NULL: no memory. */
const char *waiting_reason(struct waiting *w, const struct goroutine *g);

/* ret->on is emptied before. */
ERR_MUST_CHECK struct err *waiting_for(struct waiting *w, const struct goroutine *g,
				       struct wait *ret);

#endif

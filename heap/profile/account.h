/*
 * Where all of a Go process's memory is, to the byte: what is live and what else there is.  The
 * numbers that the runtime counts of itself (runtime.MemStats) and those that are counted here from
 * its tables must agree; a note in the report says where they do not.
 *
 *	sys = heap_inuse + heap_idle + stack_inuse + stack_sys_own + mspan_sys + mcache_sys
 *	      + buckhash_sys + gc_sys + other_sys
 *	heap_inuse = live + unreachable + free slots + tails
 *
 * Source: runtime/mstats.go:readmemstats_m, mheap.go, stack.go of each release.
 */
#ifndef GRF_HEAP_PROFILE_ACCOUNT_H
#define GRF_HEAP_PROFILE_ACCOUNT_H

#include <stdbool.h>
#include <stdint.h>

/* The kind of root that keeps an object alive, in the order of marking's passes
 * (heap/mark/mark.h). */
enum live_kind {
	LIVE_VARIABLES, /* package variables outside the runtime */
	LIVE_GOROUTINES,
	LIVE_FINALIZERS, /* finalizers, and what their objects point to */
	LIVE_CLEANUPS,
	LIVE_QUEUED,  /* finalizers and cleanups that are due */
	LIVE_WEAK,    /* weak handles */
	LIVE_TIMERS,  /* what timers will call, and what that holds */
	LIVE_RUNTIME, /* the runtime's own variables, sync.Pool, tiny blocks being filled */
	LIVE_N,
	LIVE_SEVERAL, /* several roots, of any kind (heap/graph/domtree.h) */
	LIVE_NAMES
};
/* LIVE_N and LIVE_SEVERAL have names, too; LIVE_N is what is not live. */
const char *live_kind_name(enum live_kind kind);

struct amount {
	uint64_t bytes, objects;
};

enum stack_state {
	STACK_RUNNING,
	STACK_RUNNABLE,
	STACK_WAITING,
	STACK_SYSCALL,
	STACK_OTHER,
	STACK_N
};
const char *stack_state_name(enum stack_state state);

struct stack_amount {
	uint64_t count, bytes, used;
};

enum { SIZE_CLASSES = 68 }; /* internal/runtime/gc.NumSizeClasses, runtime._NumSizeClasses */

struct account {
	bool heap;     /* the tables could be counted */
	bool counters; /* the runtime's own counters could be read */

	/* The heap's spans in use; bytes are those of slots. */
	struct amount live[LIVE_N];
	struct amount unswept;    /* unreachable: dead in the last collection, and not swept yet */
	struct amount waiting;    /* only their finalizers, which will run, lead to them */
	struct amount garbage;    /* unreachable, neither of these */
	struct amount free_slots; /* objects: slots */
	struct amount free_class[SIZE_CLASSES]; /* the same by size class; 0: none */
	uint64_t class_size[SIZE_CLASSES];
	uint64_t tails;          /* ends of spans: no slot fits, or the pointer bitmaps are there */
	uint64_t large_rounding; /* of allocated bytes: large objects' last pages */
	/* of live bytes: slots of small objects whose own size is known (heap/mark/slot_use.h) */
	struct amount sized;
	uint64_t class_waste; /* of those slots: what their objects do not need */
	/* of allocated bytes: blocks that hold several small objects without pointers */
	struct amount tiny;

	/* spans */
	uint64_t heap_alloc, heap_inuse, heap_idle, heap_released; /* released: part of idle */
	uint64_t stack_inuse, work_bufs, ptr_bits;
	uint64_t manual; /* spans of stacks and work buffers, from the tables */

	/* stacks */
	struct stack_amount stacks[STACK_N]; /* goroutines' */
	struct stack_amount dead_stacks;     /* of ended goroutines, kept for new ones */
	struct stack_amount thread_stacks;   /* g0s and signal stacks among stack_inuse */
	uint64_t stack_pool;                 /* free */
	uint64_t stack_sys_own;              /* mapped for threads */

	/* the runtime's structures */
	uint64_t mspan_inuse, mspan_sys, mcache_inuse, mcache_sys, buckhash_sys, gc_misc_sys,
		other_sys;
	uint64_t sys;

	/* finalizers and cleanups */
	uint64_t finalizers_queued, cleanups_queued;
};

static inline uint64_t account_unreachable(const struct account *a)
{
	return a->unswept.bytes + a->waiting.bytes + a->garbage.bytes;
}

/* stats.GCSys */
static inline uint64_t account_gc_sys(const struct account *a)
{
	return a->gc_misc_sys + a->work_bufs + a->ptr_bits;
}

#endif

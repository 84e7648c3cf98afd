/*
 * Goroutines, their frames, and what their stacks hold.
 *
 * The collector's own rules (scanstack, getStackMap, traceback) apply to a goroutine that is
 * parked.  A goroutine that a stub stopped while it ran is at no GC safe point: its innermost frame
 * is scanned conservatively, with the thread's registers, its callers precisely.
 *
 * Source: runtime/traceback.go, stkframe.go, mgcmark.go:scanstack of each release.
 */
#ifndef GRF_HEAP_RUNTIME_GOROUTINE_H
#define GRF_HEAP_RUNTIME_GOROUTINE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "base/hash.h"
#include "base/vec.h"
#include "heap/runtime/proc.h"
#include "heap/runtime/span.h"

enum { /* runtime2.go, without _Gscan */
       G_IDLE = 0,
       G_RUNNABLE = 1,
       G_RUNNING = 2,
       G_SYSCALL = 3,
       G_WAITING = 4,
       G_MORIBUND = 5, /* unused, as G_ENQUEUE */
       G_DEAD = 6,
       G_ENQUEUE = 7,
       G_COPYSTACK = 8,
       G_PREEMPTED = 9,
       G_LEAKED = 10,
       G_DEADEXTRA = 11,
       G_SCAN = 0x1000,
};

struct goroutine {
	uint64_t addr, goid, status;
	uint64_t lo, hi; /* stack */
	uint64_t sched_sp, sched_pc, sched_lr, sched_ctxt, syscall_sp, syscall_pc, top_sp;
	uint64_t m;     /* 0: none */
	int32_t thread; /* index of the thread that runs it; -1: none */
	uint32_t first_frame, nframes;
	bool partial;    /* not walked to its end */
	const char *why; /* partial: the reason */
};

/* Whether it has ended, or not begun: then its stack means nothing. */
static inline bool goroutine_is_dead(const struct goroutine *g)
{
	return g->status == G_DEAD || g->status == G_DEADEXTRA || g->status == G_IDLE;
}

/* Where the used part of its stack begins, if it does not run. */
static inline uint64_t goroutine_sp(const struct goroutine *g)
{
	return g->syscall_sp ? g->syscall_sp : g->sched_sp;
}

/* Whether sp, which may point behind the last word, is in the stack. */
static inline bool stack_holds(uint64_t sp, uint64_t lo, uint64_t hi)
{
	return sp > lo && sp <= hi;
}

/* One m, and the thread that it is. */
struct machine {
	uint64_t addr, procid, curg, g0, gsignal, g0_lo, g0_hi, g0_sched_sp, sig_lo, sig_hi,
		vdso_sp, vdso_pc;
	int32_t thread; /* -1: not among the target's threads */
};

enum frame_goes_on { FRAME_HERE, FRAME_AT_DEFERRETURN, FRAME_NEVER };

/* There are many: a million goroutines have some millions of frames. */
struct gframe {
	uint64_t pc, sp;
	const struct func *func;
	uint32_t g;         /* index of its goroutine */
	uint32_t size : 29; /* fp - sp, in FRAME_UNIT bytes */
	uint32_t conservative : 1;
	uint32_t goes_on : 2; /* enum frame_goes_on */
};
enum { FRAME_UNIT = 4, FRAME_SIZE_MAX = (1 << 29) - 1 };

static inline uint64_t frame_fp(const struct gframe *f)
{
	return f->sp + (uint64_t)f->size * FRAME_UNIT;
}

/* Where locals end (stkframe.go: varp). */
static inline uint64_t frame_varp(const struct proc *p, const struct gframe *f)
{
	uint64_t varp = frame_fp(f);

	if (!p->arch->min_frame)
		varp -= p->fmt.word;
	return p->arch->saved_fp && varp > f->sp ? varp - p->fmt.word : varp;
}

static inline uint64_t frame_argp(const struct proc *p, const struct gframe *f)
{
	return frame_fp(f) + p->arch->min_frame;
}

VEC_NAMED(goroutines, struct goroutine);
VEC_NAMED(machines, struct machine);
VEC_NAMED(gframes, struct gframe);

/* Where a root was found. */
enum root_kind {
	ROOT_DATA,          /* a module's data or bss, by its mask */
	ROOT_STACK,         /* a stack slot; frame is set */
	ROOT_REGISTER,      /* a running thread's register; frame is the innermost */
	ROOT_DEFER,         /* a defer record on the heap; frame is the deferring function's */
	ROOT_DEFER_FN,      /* a deferred func value */
	ROOT_FIN_OBJ,       /* a field of an object with a finalizer */
	ROOT_FIN_FN,        /* its finalizer */
	ROOT_CLEANUP,       /* runtime.AddCleanup's function */
	ROOT_CLEANUP_ARG,   /* the pointer to its argument */
	ROOT_WEAK,          /* a weak handle */
	ROOT_FIN_QUEUE,     /* a queued finalizer: its object, function or type */
	ROOT_CLEANUP_QUEUE, /* a queued cleanup's function */
	ROOT_CLEANUP_QUEUE_ARG,
	ROOT_TINY, /* a P's current tiny block */
	/* in the runtime's tables, which are roots themselves: for names only */
	ROOT_TIMER,
	ROOT_G,
};

/* One word that keeps an object alive. */
struct root {
	uint64_t addr;  /* of the word (a register: the innermost sp) */
	uint64_t value; /* the pointer */
	/* ROOT_FIN_OBJ: where the object's data begins; a cleanup's argument: its function value */
	uint64_t object;
	/* ROOT_FIN_OBJ, a queued object: descriptor of the pointer to it; 0: unknown */
	uint64_t type;
	uint32_t frame; /* index into gframes; UINT32_MAX: none */
	uint8_t kind;   /* enum root_kind */
	bool conservative;
};

VEC_NAMED(roots, struct root);

struct stacks {
	struct goroutines gs; /* all of allgs, dead ones too */
	struct machines ms;
	struct map64 by_curg; /* a g's address -> index of the m that runs it */
	struct gframes frames;
	const struct threads *threads; /* borrowed */
};

void stacks_deinit(struct stacks *s);

/* The stacks of g alone, to be walked as number 0.  g is borrowed; the frames are the caller's, for
 * stacks_one_deinit(). */
static inline struct stacks stacks_one(const struct stacks *all, struct goroutine *g)
{
	return (struct stacks){
		.gs = { g, 1, 1 }, .ms = all->ms, .by_curg = all->by_curg, .threads = all->threads
	};
}

static inline void stacks_one_deinit(struct stacks *one)
{
	vec_deinit(&one->frames);
}

/* How much of a thread's stack is looked at, from its sp on: more than the runtime's own functions
 * use. */
enum { STACK_TOP = 16 << 10 };

/* Reads the g at addr, which must be in the image. */
ERR_MUST_CHECK struct err *goroutine_load(const struct proc *p, uint64_t addr, struct goroutine *g);

/* heap/runtime/machine.c: reads the ms and finds their threads, goroutines and stack bounds;
 * fetches what it needs. */
ERR_MUST_CHECK struct err *machines_load(struct proc *p, const struct spans *spans,
					 const struct threads *threads, struct stacks *s);
/* Tells whether a thread is somewhere where the heap or a stack cannot be read exactly (u->why): it
 * looks at the tops of the threads' stacks and walks what runs.  It fetches what it needs, among it
 * the whole stacks of goroutines that run. */
ERR_MUST_CHECK struct err *machines_check(struct proc *p, struct stacks *s, struct unstable *u);

/* Reads allgs, whose structs must be in the image. */
ERR_MUST_CHECK struct err *stacks_load(struct proc *p, struct stacks *s);
/* Appends the used part of every stack but those that machines_check() has fetched. */
ERR_MUST_CHECK struct err *stacks_plan(struct proc *p, const struct stacks *s, struct ranges *want);
/* Walks one goroutine and appends its frames.  Sets g->partial rather than fail. */
ERR_MUST_CHECK struct err *stacks_walk(struct proc *p, struct stacks *s, size_t g);
/* heap/runtime/stack.c: appends what the walked goroutine's frames, defers and registers point
 * to. */
ERR_MUST_CHECK struct err *stacks_scan(struct proc *p, struct stacks *s, const struct spans *spans,
				       size_t g, struct roots *roots);

/* heap/runtime/unwind.c: where a thread really is, as it was suspended. */
struct gcontext {
	uint64_t pc, sp;
	uint64_t lr; /* link-register machines; 0: on the stack */
	uint64_t regs[ARCH_MAX_REGS];
	bool have_regs;
};

/* Finds where a walk of goroutine g begins, which m runs (NULL: none does).  *conservative: the
 * innermost frame is no safe point.  False: it cannot be known, and *why says why. */
bool stack_start(struct proc *p, const struct stacks *s, const struct goroutine *g,
		 const struct machine *m, struct gcontext *ctx, bool *conservative,
		 const char **why);

/* A frame of any stack, also of threads on g0 and gsignal, whose bounds are not known. */
struct unwind {
	uint64_t pc, sp, fp, lr;
	const struct pcinfo *pi;
	bool innermost;
};
/* Fills in what follows from pc and sp, on link-register machines also from lr.  False: the walk
 * ends here, as pc is in no function or memory cannot be read. */
bool unwind_frame(struct proc *p, struct unwind *u);
/* Goes on to the caller, which it fills in.  False: there is none, or the walk ends. */
bool unwind_next(struct proc *p, struct unwind *u);

#endif

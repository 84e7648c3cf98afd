/*
 * From TARGET and EXE to a captured heap: connect, stop, verify, capture, let go.
 *
 *	acquire_init(options)
 *	acquire(a, report)		afterwards the process runs again
 *	heap_analyse(a->heap, ...)	from the image alone
 *	acquire_details(a)		the figures that -v shows
 *	acquire_release(a)		before acquire() once more: the next one of a series
 *	acquire_deinit(a)		on every way out: the process runs again, first of all
 */
#ifndef GRF_HEAP_ACQUIRE_ACQUIRE_H
#define GRF_HEAP_ACQUIRE_ACQUIRE_H

#include "base/err.h"
#include "heap/heap.h"
#include "rsp/rsp.h"

enum { LOCAL_EXE_PATH = 32 };

enum fork_mode {
	FORK_DEFAULT, /* FORK_LONG, where the stop would be long; else FORK_NO */
	FORK_NO,
	FORK_LONG,  /* as FORK_AUTO, and the summary says why */
	FORK_YES,   /* ERR_UNSUPPORTED where it is not safe */
	FORK_AUTO,  /* where it is not safe the stopped process is read */
	FORK_FORCE, /* whatever memory is left */
	/* under a seccomp filter whose profile cannot be read, too: target/seccomp.h */
	FORK_SECCOMP,
};

struct acquire_options {
	/* as rsp_create() takes it, or a core file; NULL: the process is of this machine */
	const char *target;
	const char *exe;          /* NULL: fetched from the stub */
	const char *const *debug; /* as heap_create() takes it */
	size_t ndebug;
	uint64_t pid;         /* 0: the stub holds the process */
	const char *pid_name; /* or the name of the one to attach to; NULL: none */
	int timeout_ms;
	unsigned nth; /* which of a guest's processes that run exe, from 1; 0: the only one */
	enum fork_mode fork;
	uint64_t max_stop_ns; /* the longest stop; 0: any */
	bool save;            /* what is captured will be saved: heap/acquire/save.h */
	bool spare_memory;    /* what is captured goes to a file, if there is a disk */
	/* words that are no pointers are saved as zeros, but for the runtime's own
	 * (heap/acquire/scrub.h) */
	bool scrub;
	bool full;    /* all memory, not only what the analysis needs */
	bool verbose; /* what a stub of our own has to say is shown */
	bool force;   /* go on although exe is not what runs */
	bool outside; /* look at memory that is not Go's, too */
	/* Before the capture the process runs until it enters this function for the until_n-th
	 * time; NULL: it does not. */
	const char *until;
	uint64_t until_n;
	unsigned after_s; /* or for so many seconds; 0: it does not */
	bool series;      /* the process will have to be stopped again */
	/* How far a phase is, in units of `unit`; total may grow. */
	void (*progress)(void *arg, const char *phase, double done, double total, const char *unit);
	/* Says what is of interest before the process is stopped; NULL: nobody listens. */
	void (*say)(void *arg, const char *fmt, ...) ERR_PRINTF(2, 3);
	void *arg;
};

struct acquire {
	struct acquire_options o;
	char local_exe[LOCAL_EXE_PATH]; /* room for o.exe */
	struct report *report;
	struct elf *exe;
	/* EXE's path where the process runs, if it was fetched or is /proc/PID/exe; else NULL */
	char *remote_exe;
	struct heap *heap;
	struct rsp *rsp;       /* NULL: a core, or we hung up */
	bool hung_up;          /* all is captured: heap/acquire/privilege.h */
	struct rsp_stats wire; /* until then */
	struct core *core;     /* NULL: a stub */
	struct live *live;     /* NULL: a core */
	struct target *target; /* a core's, live's, or a guest's with live's in it */
	bool look_through; /* the guest's memory, for the registers of threads that no vCPU runs */
	struct guest *guest; /* the target's; NULL: the stub shows the process itself */
	struct image *img;
	struct fork *fork;                /* NULL: memory is read while the process is stopped */
	uint64_t fetched_bytes, fetch_ns; /* of EXE, through the stub */
	uint64_t most; /* bytes of memory that the process can have; 0: not known */
	char most_why[64];
	uint64_t bias;
	uint64_t until; /* the function's address; 0: none */
	bool until_noted;
	unsigned pid_levels; /* live_pid_levels() */
	bool pid_levels_known;
	uint64_t pause_ns;   /* the last stop that counts */
	uint64_t earlier_ns; /* of all stops of earlier captures */
	struct threads threads;
};

/* What o points to is borrowed. */
void acquire_init(struct acquire *a, const struct acquire_options *o);
void acquire_deinit(struct acquire *a);
/* Lets the process go, after err (taken), which is what went wrong.  Returns it, and says along
 * with it if the process may still be held: rsp_close(). */
ERR_MUST_CHECK struct err *acquire_close(struct acquire *a, struct err *err);

/* Lets go of what was captured, but not of EXE and the connection.  What a report borrows of the
 * heap is gone, too. */
void acquire_release(struct acquire *a);

/* Afterwards the process runs again.  Fills the report's part about EXE, the process and its stops;
 * report is borrowed.  Errors: those of rsp_create(), heap_create(), heap_verify(),
 * heap_capture(). */
ERR_MUST_CHECK struct err *acquire(struct acquire *a, struct report *report);

/* Adds the figures that -v shows to the report. */
ERR_MUST_CHECK struct err *acquire_details(struct acquire *a);

#endif

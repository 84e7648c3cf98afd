/*
 * System calls made by a stopped process on our behalf, through its stub: a snapshot by fork, and
 * the way back from every step of it.
 *
 * All state is one flat struct in the guardian's page, written before the packet that makes it
 * true, so that the guardian finishes from wherever the main process died.  Hence nothing here
 * allocates or prints, and all talking goes through a port: the main process has one over its
 * connection, the guardian one over its own.
 *
 * Three take part: a thread of the process, which is made to call; the middle, a process that is
 * there for a moment; and the snapshot, a process with a copy of the memory.
 *
 *	the thread                                 the middle                 the snapshot
 *	clone(VM|VFORK|FILES, no signal) ────────► (shares memory, never runs)
 *	    waits, as vfork's parent does          clone(FILES|SIGCHLD) ────► its own copy of memory
 *	                                           is killed                  adopted by init
 *	wait4(the middle)                                                     read, then killed
 *	registers restored, let go
 *
 * Only the snapshot's clone copies page tables.  The middle's end sends no signal (its exit signal
 * is 0), and wait4 leaves no zombie; the middle shares memory and descriptors, so that it costs
 * nothing.  The snapshot shares the table of descriptors, too, or a connection that the process
 * closes would stay open.  The init of a pid namespace would adopt the snapshot itself: it forks
 * the snapshot directly, and is stopped once more at the end to reap it.
 *
 * Whatever lets the middle or the snapshot go makes it exit: the system call's instruction is
 * chosen so that exit() follows.
 *
 * docs/FORK.md has the reasons and what was measured.
 */
#ifndef GRF_RSP_INJECT_H
#define GRF_RSP_INJECT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/bytes.h"

enum {
	INJECT_REGS = 6144, /* a reply to `g`, bytes; with AVX-512 it is 2.7 KB */
	INJECT_REPLY = 2 * INJECT_REGS + 64,
	INJECT_CODE = 32,
	INJECT_ID = 40,
	INJECT_KEPT = 4, /* signals */
	INJECT_SIGINFO = 128,
	INJECT_THREADS = 64, /* that are looked at */
	INJECT_TEXT = 4096,
};

/* Of seccomp: whether there may be one.  If so the middle tries each call first. */
enum inject_filter { INJECT_NO_FILTER, INJECT_KNOWN, INJECT_UNKNOWN };

/* What the architecture and the program say; offsets into a thread's registers as `g` has them,
 * all of fmt.word bytes. */
struct inject_machine {
	struct bytes_fmt fmt;
	uint16_t nr, ret, pc, sp, args[6];
	/* The register that has an interrupted system call's number, below 0: none.  UINT16_MAX:
	 * the architecture has no such register. */
	uint16_t restart;
	uint32_t nr_wait; /* and wait_limit: for architectures without (struct arch_fork) */
	uint8_t wait_limit;
	uint32_t nr_clone, nr_wait4, nr_waitid, nr_close_range, nr_sigaction, nr_exit;
	uint32_t nr_alarm;         /* 0: there is none */
	uint8_t code[INJECT_CODE]; /* what must be at code_at: a loop of exit() */
	uint8_t code_len;
	uint8_t call_off, call_len; /* its system call instruction */
	uint64_t code_at;
	/* code where a thread may be made use of that is in no system call */
	uint64_t text, text_end;
	uint8_t seccomp; /* enum inject_filter */
	/* The snapshot is to be the process's own child, as nobody else would reap it. */
	uint8_t own_child;
};

enum inject_call {
	INJECT_OVER,    /* no call is under way */
	INJECT_OPEN,    /* clone has told of its child, and is not over */
	INJECT_UNHEARD, /* how the thread's last step ended was not heard */
};

enum inject_stage {
	INJECT_NONE,     /* nothing to undo */
	INJECT_CALLING,  /* the thread may have our registers; the others may be there */
	INJECT_SIGNALS,  /* the thread may not have had all signals that came meanwhile */
	INJECT_SNAPSHOT, /* the same, and the snapshot is there */
};

struct inject_signal {
	uint8_t number; /* gdb's */
	uint8_t len;    /* of info */
	uint8_t info[INJECT_SIGINFO];
};

struct inject {
	volatile uint8_t stage;
	/* gdbserver must not be talked to before it has said how that ended */
	volatile uint8_t stepping;
	struct inject_machine m;
	uint64_t pid;
	uint64_t likely;  /* the thread to try first; 0: none */
	uint64_t next_fd; /* what vFile:open will most likely give */
	bool init;        /* the snapshot is, or would be, the process's own child */
	bool probe;       /* a filter is on */
	bool adopts;      /* the process is init: it adopts orphans */
	/* the process must not make these calls: the filter refuses them, or kills for them */
	bool no_wait4, no_waitid;
	uint8_t call;     /* enum inject_call, of the thread */
	uint32_t call_nr; /* what it calls, or called last */
	/* the filter trapped: the stub would pass SIGSYS on when it lets go */
	volatile uint8_t sigsys;
	char thread[INJECT_ID]; /* that is made to call */
	uint32_t saved_len;
	uint8_t saved[INJECT_REGS]; /* its registers */
	uint8_t stop_signal;        /* what the stop began with, of that thread */
	char stop_thread[INJECT_ID];
	char middle[INJECT_ID], snapshot[INJECT_ID];
	uint64_t reap;    /* the snapshot as the process sees it, to be waited for; 0: none */
	uint64_t waiting; /* a dead child that wait4 is about to be called for */
	uint64_t expect;  /* whose SIGCHLD is ours */
	uint8_t coming;   /* a signal that the thread stopped with, not looked at yet */
	bool ate_chld;    /* it came, and was not passed on */
	struct inject_signal chld; /* it */
	unsigned nsignals; /* that came while the thread was ours: it gets them afterwards */
	struct inject_signal signals[INJECT_KEPT];
};

struct inject_port {
	/* One packet out; it may be kept until a reply is waited for.  The next reply, runs
	 * spelled out, NUL-terminated, into reply[] and reply_len.  false: there is no talking
	 * to the stub any more. */
	bool (*send)(struct inject_port *p, const char *cmd, size_t len);
	bool (*next)(struct inject_port *p);
	void *arg;
	struct inject *in;
	/* sent, and to be answered "OK" (F: a file's), before the next reply that is waited for */
	unsigned posted;
	bool lost;       /* send() or next() failed */
	bool exited;     /* the process is gone */
	bool gone;       /* the middle or the snapshot has ended by itself */
	bool found;      /* of the children that were ended, one was ours */
	int64_t error;   /* a system call's, as it returned it; 0: none failed */
	const char *why; /* what went wrong or was refused, if something did; a constant */
	char reply[INJECT_REPLY];
	size_t reply_len;
	char cmd[INJECT_REPLY];
	uint8_t regs[INJECT_REGS];
	char text[INJECT_TEXT]; /* of a file */
	char ids[INJECT_THREADS][INJECT_ID];
};

/*
 * Before: the process in->pid is stopped, in->m is set, `?` was asked (stop_attach()) and noted.
 * true: the snapshot is there and armed, the process whole and still stopped.  false: p->why says
 * why not, and inject_undo() is to be called (which does nothing where no step was made).
 */
bool inject_fork(struct inject_port *p);
/* The process runs.  The snapshot gives up its descriptors, and becomes the kernel's first
 * choice to kill. */
bool inject_settle(struct inject_port *p);
/*
 * After D;PID: children that the process itself made just as it was stopped are held by the stub,
 * too.  Not before: gdbserver 13 crashes if a child goes whose birth it has not reported yet.
 */
bool inject_free_others(struct inject_port *p);
/* Whom the stop is about, from a stop reply: `?`'s, or vAttach's. */
void inject_note_stop(struct inject *in, const char *reply);
/* The answer to the step under way, if the main process died before it heard it; runs spelled
 * out or not. */
void inject_heard(struct inject *in, const char *reply);
/*
 * Goes from any stage to INJECT_NONE.  *stopped: the process had to be stopped for it, and is to be
 * let go (also when this fails).  A snapshot that is the process's own child must not be left to
 * others, who would see it.
 */
bool inject_undo(struct inject_port *p, bool *stopped);

#endif

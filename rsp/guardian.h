/*
 * gdbserver keeps a process stopped when its client vanishes.  So a small second process, the
 * guardian, holds the connection too, and says goodbye for the main process if that dies without a
 * word (SIGKILL, a crash, the out-of-memory killer).
 *
 *	main ──pipe──► guardian	end of file: main died; a byte: all is well, it ends
 *	  └── struct guardian_state, in a shared page: what there is to undo
 *
 * It is forked with the socket, before that is connected, so that there is no moment without a
 * guardian; from then on it calls only what is safe in the child of a threaded process (no malloc,
 * no stdio).
 */
#ifndef GRF_RSP_GUARDIAN_H
#define GRF_RSP_GUARDIAN_H

#include <stdint.h>
#include <sys/types.h>

#include "base/err.h"
#include "rsp/inject.h"

/* Written by the main process, read by the guardian once that is dead. */
struct guardian_state {
	volatile uint8_t held; /* the debuggee is (or may be) held */
	/* the stub listens to packets: not after it resumed a whole machine */
	volatile uint8_t talking;
	volatile uint8_t no_ack;
	volatile uint8_t physical; /* a machine's stub shows physical memory */
	volatile uint8_t multiprocess;
	volatile uint8_t forks;       /* the stub may hold children, too */
	volatile uint8_t sending;     /* half a packet may be out */
	volatile uint8_t end_stub;    /* the gdbserver is ours alone: end it too */
	volatile uint8_t end_if_held; /* it is ours alone if it holds something: not known yet */
	/* the process was resumed, with a breakpoint or for a step: a stop reply will come, which
	 * somebody must take */
	volatile uint8_t running;
	volatile uint8_t interrupts; /* 0x03 makes it come */
	/* the packet that takes the breakpoint away; "": there is none */
	char clear[48];
	volatile uint64_t pid;   /* 0: not known yet; ask */
	volatile pid_t child;    /* of `| COMMAND`; 0 = none */
	volatile int silence_ms; /* gives up on a stub that says nothing for so long */
	struct inject inject;    /* a system call under way, a snapshot */
};

struct guardian {
	pid_t pid;
	int pipe;
	struct guardian_state *state;
};

/* fd: the connection, shared from now on.  initial: what there is to undo from the first moment. */
ERR_MUST_CHECK struct err *guardian_start(struct guardian *g, int fd,
					  const struct guardian_state *initial);
/* Tells the guardian that all is well, and reaps it.  One that was never started is fine (pid
 * 0). */
void guardian_stop(struct guardian *g);
/* Has the guardian do what it would do if the main process died, and reaps it. */
void guardian_take_over(struct guardian *g);
/* As guardian_take_over(), but nobody waits for it: it may take as long as the debuggee runs.
 * *child becomes the guardian's. */
void guardian_leave(struct guardian *g, pid_t *child);

#endif
